//! The parts of the result that describe traffic: packets, connections, bytes by kind and the exhibit. The captures are
//! made for each test.

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use craft::conversation::Side;
use craft::frame::{self, Ethernet, Ip, Link, Udp};
use craft::pcap;
use exposure_schema::{ByKind, Capture, Ended, Exhibit};
use proptest::prelude::*;
use support::{Conversation, Line, Made, record, whole};

const REQUEST: &str = r#"{"id":"call-0001","type":"tool_call","text":"a string to be found"}"#;
const ANSWER: &str = r#"{"id":"call-0001","type":"tool_result","text":"a string to be found"}"#;

/// Link, IP and TCP headers with the timestamps option.
const HEADERS: u64 = 14 + 20 + 32;

/// Analyzes captures with a journal of one exchange.
struct Bench(support::Bench);

impl Bench {
    fn new() -> Self {
        let sent = Line { agent: "agent-a", event: "sent", at: 1, body: REQUEST };
        let received = Line { agent: "agent-a", event: "received", at: 2, body: ANSWER };
        Self(support::Bench::new(&[sent, received]))
    }

    fn analyze(&self, made: &[Made]) -> Capture {
        let capture = self.0.analyze(made);
        assert_adds_up(&capture);
        capture
    }

    fn analyze_file(&self, file: &[u8]) -> Capture {
        let capture = self.0.analyze_file(file);
        assert_adds_up(&capture);
        capture
    }
}

/// Checks the sums that hold for every capture.
fn assert_adds_up(capture: &Capture) {
    let ByKind { headers, clear, tls_clear, ciphertext, other } = capture.traffic.by_kind;
    assert_eq!(headers + clear + tls_clear + ciphertext + other, capture.traffic.wire_bytes);
    assert_eq!(capture.packets.len() as u64, capture.frames.min(200));
    assert_eq!(capture.connections.len() as u64, capture.connections_total.min(2048));
    let of_connections: u64 = capture.connections.iter().map(|connection| connection.wire_bytes).sum();
    if capture.connections_total <= 2048 {
        assert_eq!(of_connections, capture.traffic.wire_bytes - other);
    }
    let payload: u64 = capture.connections.iter().flat_map(|connection| connection.payload_bytes).sum();
    assert!(payload <= clear + tls_clear + ciphertext);
}

fn request() -> Vec<u8> {
    let head = format!("POST /tool HTTP/1.1\r\nContent-Length: {}\r\n\r\n", REQUEST.len());
    [head.as_bytes(), REQUEST.as_bytes()].concat()
}

fn answer() -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ANSWER.len());
    [head.as_bytes(), ANSWER.as_bytes()].concat()
}

/// The lab's first exchange in plaintext.
fn exchange() -> Conversation {
    let conversation = Conversation::open().sends(Side::Client, &request()).sends(Side::Server, &answer());
    conversation.closes(Side::Client).closes(Side::Server)
}

fn kinds(capture: &Capture) -> (u64, u64, u64) {
    let ByKind { clear, tls_clear, ciphertext, .. } = capture.traffic.by_kind;
    (clear, tls_clear, ciphertext)
}

fn holds(capture: &Capture) -> Vec<(u64, &str)> {
    let of = |packet: &'_ exposure_schema::PacketEntry| packet.frame;
    capture
        .packets
        .iter()
        .flat_map(|packet| packet.holds.iter().map(move |name| (of(packet), name.as_str())))
        .collect()
}

#[test]
fn an_exchange_in_plaintext_frame_by_frame() {
    let capture = Bench::new().analyze(&exchange().made());
    let rows: Vec<_> = capture
        .packets
        .iter()
        .map(|packet| {
            let holds = packet.holds.join(", ");
            (packet.at_unix_ns, packet.flags.join("+"), packet.sequence, packet.payload_bytes, holds)
        })
        .collect();
    let (request_len, answer_len) = (request().len() as u32, answer().len() as u32);
    let row = |at: u64, flags: &str, sequence: u32, payload: u32, holds: &str| {
        (at * 1000, flags.to_owned(), Some(sequence), u64::from(payload), holds.to_owned())
    };
    let expected = [
        row(1, "SYN", 0, 0, ""),
        row(2, "SYN+ACK", 0, 0, ""),
        row(3, "ACK", 1, 0, ""),
        row(4, "PSH+ACK", 1, request_len, "POST /tool"),
        row(5, "PSH+ACK", 1, answer_len, "200 OK"),
        row(6, "FIN+ACK", 1 + request_len, 0, ""),
        row(7, "ACK", 1 + answer_len, 0, ""),
        row(8, "FIN+ACK", 1 + answer_len, 0, ""),
        row(9, "ACK", 2 + request_len, 0, ""),
    ];
    assert_eq!(rows, expected);
    let packet = &capture.packets[3];
    assert_eq!(
        (packet.source.as_deref(), packet.destination.as_deref()),
        (Some("10.0.0.1:40000"), Some("10.0.0.2:8000"))
    );
    assert_eq!(
        (packet.protocol.as_str(), packet.stream, packet.wire_bytes),
        ("TCP", Some(0), HEADERS + u64::from(request_len))
    );

    let [connection] = &capture.connections[..] else { panic!("one connection") };
    assert_eq!((connection.client.as_str(), connection.server.as_str()), ("10.0.0.1:40000", "10.0.0.2:8000"));
    assert_eq!((connection.first_frame, connection.last_frame, connection.frames), (1, 9, 9));
    assert_eq!((connection.first_frame_at_unix_ns, connection.last_frame_at_unix_ns), (1000, 9000));
    assert_eq!(connection.payload_bytes, [u64::from(request_len), u64::from(answer_len)]);
    assert_eq!(connection.round_trips_before_first_answer, Some(2));
    assert_eq!(connection.ended, Ended::Fin);

    let times: Vec<_> =
        capture.http.iter().map(|message| (message.first_at_unix_ns, message.last_at_unix_ns)).collect();
    assert_eq!(times, [(Some(4000), Some(4000)), (Some(5000), Some(5000))]);
    assert_eq!(kinds(&capture), (u64::from(request_len + answer_len), 0, 0));
    assert_eq!(capture.traffic.payload_bytes_sampled, u64::from(request_len + answer_len));
    assert_eq!(capture.traffic.payload_printable_bytes, u64::from(request_len + answer_len));
}

#[test]
fn counts_frames_without_tcp_as_other() {
    let (link, mut udp, mut arp) = (Link::Ethernet(Ethernet::default()), Vec::new(), Vec::new());
    let ip = Ip::between([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).expect("one IP version");
    let ports = Udp { source_port: 53, destination_port: 5353, ..Udp::default() };
    frame::udp(&mut udp, &link, &ip, &ports, b"a question");
    frame::arp(&mut arp, &link, [2; 6], [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let mut icmp = Vec::new();
    frame::ip(&mut icmp, &link, &ip, 1, b"\x08\x00\x00\x00");
    let unknown = vec![0; 14];
    let made: Vec<Made> = [udp, arp, icmp, unknown].map(whole).to_vec();
    let lens: u64 = made.iter().map(|made| made.bytes.len() as u64).sum();
    let capture = Bench::new().analyze(&[exchange().made(), made].concat());
    assert_eq!(capture.traffic.by_kind.other, lens);
    let rows: Vec<_> = capture.packets[9..]
        .iter()
        .map(|packet| {
            (packet.protocol.as_str(), packet.source.as_deref(), packet.payload_bytes, packet.stream)
        })
        .collect();
    let expected = [
        ("UDP", Some("10.0.0.1:53"), 10, None),
        ("ARP", None, 0, None),
        ("ICMP", Some("10.0.0.1"), 0, None),
        ("EtherType 0x0000", None, 0, None),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn distinguishes_clear_and_protected_tls_records() {
    let handshake = record(22, b"\x01\0\0\0");
    let sealed = record(23, &[0x5a; 100]);
    let conversation = Conversation::open()
        .sends(Side::Client, &[handshake.clone(), record(20, b"\x01")].concat())
        .sends(Side::Server, &sealed)
        .sends(Side::Client, &[sealed.clone(), sealed.clone()].concat())
        .sends(Side::Server, &record(21, b"\x01\0"));
    let capture = Bench::new().analyze(&conversation.made());
    assert_eq!(kinds(&capture), (0, 9 + 6 + 3 * 5 + 7, 300));
    let expected = [
        (4, "ClientHello"),
        (4, "ChangeCipherSpec"),
        (5, "Application Data"),
        (6, "Application Data"),
        (6, "Application Data"),
        (7, "Alert"),
    ];
    let mut held = holds(&capture);
    held.sort_by_key(|(frame, _)| *frame);
    assert_eq!(held, expected);

    // A retransmitted segment counts with the bytes that its side sends; bytes that are not a record are in the clear.
    let capture = Bench::new()
        .analyze(&conversation.repeats(Side::Server, 0, &sealed).sends(Side::Server, b"no TLS").made());
    assert_eq!(kinds(&capture), (105 + 6, 37, 300), "the server stopped speaking TLS");
}

#[test]
fn counts_bytes_that_the_snaplen_cut() {
    let mut made = exchange().made();
    made[3].bytes.truncate(HEADERS as usize + 10);
    let capture = Bench::new().analyze(&made);
    assert_eq!(capture.packets[3].payload_bytes, request().len() as u64);
    assert_eq!(capture.packets[3].captured_bytes, HEADERS + 10);
    assert_eq!(kinds(&capture).0, (request().len() + answer().len()) as u64);
    assert_eq!(capture.traffic.payload_bytes_sampled, 10 + answer().len() as u64);
}

#[test]
fn distinguishes_fin_rst_and_open_connections() {
    let ended = |conversation: Conversation| Bench::new().analyze(&conversation.made()).connections[0].ended;
    let open = || Conversation::open().sends(Side::Client, &request());
    assert_eq!(ended(open()), Ended::Open);
    assert_eq!(ended(open().closes(Side::Client)), Ended::Open, "half closed");
    assert_eq!(ended(open().resets(Side::Server)), Ended::Rst);
    assert_eq!(ended(open().closes(Side::Client).resets(Side::Server)), Ended::Rst);
    assert_eq!(ended(open().closes(Side::Client).closes(Side::Server)), Ended::Fin);
}

#[test]
fn counts_round_trips_before_the_first_answer() {
    let waited = |conversation: Conversation| {
        Bench::new().analyze(&conversation.made()).connections[0].round_trips_before_first_answer
    };
    let request = request();
    let (first, second) = request.split_at(30);
    assert_eq!(waited(Conversation::open().sends(Side::Client, &request)), None, "no answer");
    let in_parts = Conversation::open().sends(Side::Client, first).sends(Side::Client, second);
    assert_eq!(waited(in_parts.sends(Side::Server, &answer())), Some(2), "two segments are one flight");
    let interim = Conversation::open()
        .sends(Side::Client, first)
        .sends(Side::Server, b"HTTP/1.1 100 Continue\r\n\r\n")
        .sends(Side::Client, second)
        .sends(Side::Server, &answer());
    assert_eq!(waited(interim), Some(3), "an interim answer is waited for, and is not the answer");
    let repeated = Conversation::open()
        .sends(Side::Client, first)
        .repeats(Side::Client, 0, first)
        .sends(Side::Client, second)
        .sends(Side::Server, &answer());
    assert_eq!(waited(repeated), Some(2));
    let mut made = exchange().made();
    made.remove(1);
    let capture = Bench::new().analyze(&made);
    assert_eq!(capture.connections[0].round_trips_before_first_answer, None, "no SYN-ACK");
}

/// The exhibit must show the bytes of the file at the frames that it names.
fn assert_shows_file_bytes(exhibit: &Exhibit, file: &[u8], capture: &Capture) {
    let mut shown = 0;
    for turn in &exhibit.turns {
        let bytes = STANDARD.decode(&turn.bytes).expect("base64");
        shown += bytes.len() as u64;
        let carried: u64 =
            turn.frames.iter().map(|frame| capture.packets[*frame as usize - 1].payload_bytes).sum();
        assert!(carried >= bytes.len() as u64);
    }
    assert_eq!(exhibit.bytes_shown, shown);
    if let Some(frame) = &exhibit.frame {
        let bytes = STANDARD.decode(&frame.bytes).expect("base64");
        let at = frame.file_offset as usize;
        assert_eq!(&file[at..at + bytes.len()], bytes);
    }
}

#[test]
fn the_exhibit_is_the_first_exchange() {
    let bench = Bench::new();
    let (first, second) = (request(), answer());
    let (one, two) = first.split_at(100);
    // Before it another connection; its request with the second half first; behind it another exchange.
    let mut other_connection = Conversation::open().sends(Side::Client, b"hello").made();
    for (at, made) in other_connection.iter_mut().enumerate() {
        made.bytes[if at == 1 { 14 + 19 } else { 14 + 15 }] = 99; // another client: 10.0.0.99
    }
    let conversation = Conversation::open()
        .repeats(Side::Client, 100, two)
        .repeats(Side::Client, 0, one)
        .repeats(Side::Server, 0, &second)
        .repeats(Side::Client, first.len() as u32, &first);
    let capture = bench.analyze(&[other_connection, conversation.made()].concat());
    let exhibit = capture.exhibit.as_ref().expect("the exchange was read");
    assert_eq!((exhibit.message_id.as_deref(), exhibit.stream), (Some("call-0001"), 1));
    assert_eq!((exhibit.client_bytes, exhibit.server_bytes), (first.len() as u64, second.len() as u64));
    let [first_turn, second_turn] = &exhibit.turns[..] else { panic!("two turns") };
    assert_eq!(STANDARD.decode(&first_turn.bytes).expect("base64"), first);
    assert_eq!(STANDARD.decode(&second_turn.bytes).expect("base64"), second);
    assert_eq!((first_turn.frames.as_slice(), second_turn.frames.as_slice()), (&[9, 8][..], &[10][..]));
    assert_eq!((first_turn.stream_offset, second_turn.stream_offset), (0, 0));
    assert_shows_file_bytes(exhibit, &std::fs::read(bench.0.path()).expect("the capture"), &capture);

    let frame = exhibit.frame.as_ref().expect("a frame with a string");
    assert_eq!((frame.path.as_str(), frame.level.name(), frame.frame), ("$.id", "verbatim", 9));
    assert_eq!(frame.payload_offset, HEADERS);
    let bytes = STANDARD.decode(&frame.bytes).expect("base64");
    assert_eq!(&bytes[frame.offset as usize..][..frame.length as usize], b"call-0001");
}

#[test]
fn shows_a_string_across_two_frames_in_the_first() {
    let split = |text: &[u8]| {
        let at = text.windows(9).position(|window| window == b"call-0001").expect("it is there") + 4;
        let (one, two) = text.split_at(at);
        (one.to_vec(), two.to_vec())
    };
    let (request, answer) = (split(&request()), split(&answer()));
    let conversation = Conversation::open().sends(Side::Client, &request.0).sends(Side::Client, &request.1);
    let conversation = conversation.sends(Side::Server, &answer.0).sends(Side::Server, &answer.1);
    let capture = Bench::new().analyze(&conversation.made());
    let frame = capture.exhibit.and_then(|exhibit| exhibit.frame).expect("a frame with a string");
    assert_eq!((frame.frame, frame.level.name(), frame.length), (4, "reassembled", 4));
    let bytes = STANDARD.decode(&frame.bytes).expect("base64");
    assert_eq!(&bytes[frame.offset as usize..], b"call");
}

#[test]
fn cuts_long_directions_and_omits_incomplete_exchanges() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
    let conversation = Conversation::open()
        .sends(Side::Client, long.as_bytes())
        .sends(Side::Server, b"HTTP/1.1 204 No\r\n\r\n");
    let conversation = conversation.sends(Side::Client, &request()).sends(Side::Server, &answer());
    let capture = Bench::new().analyze(&conversation.made());
    let exhibit = capture.exhibit.as_ref().expect("the exchange was read");
    assert_eq!(exhibit.client_bytes, (long.len() + request().len()) as u64);
    assert_eq!(exhibit.bytes_shown, 8192 + exhibit.server_bytes);
    assert_eq!(capture.packets[3].holds[0].chars().count(), 128, "names are cut as well");
    let capture = Bench::new().analyze(&Conversation::open().sends(Side::Client, &request()).made());
    assert!(capture.exhibit.is_none(), "there is no answer");
}

#[test]
fn lists_end_at_their_bounds() {
    let mut made = Vec::new();
    for host in 0..2_100_u16 {
        let mut one = Conversation::open().sends(Side::Client, b"?").made();
        let [high, low] = (1024 + host).to_be_bytes();
        for (at, made) in one.iter_mut().enumerate() {
            let port = if at == 1 { 36 } else { 34 };
            made.bytes[port..port + 2].copy_from_slice(&[high, low]);
        }
        made.extend(one);
    }
    let capture = Bench::new().analyze(&made);
    assert_eq!((capture.connections.len(), capture.connections_total), (2048, 2100));
    assert_eq!((capture.packets.len(), capture.frames), (200, 8400));
    assert!(capture.connections.iter().zip(0..).all(|(connection, index)| connection.stream == index));
    let tiny = record(23, b"").repeat(200);
    let capture = Bench::new().analyze(&Conversation::open().sends(Side::Client, &tiny).made());
    assert_eq!(capture.packets[3].holds.len(), 16);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// For any content of the frames and their lengths: no panic, the kinds add up, and two runs give the same result.
    #[test]
    fn sums_hold_for_damaged_files(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        tls in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut conversation = exchange();
        if tls {
            let sealed = record(23, &[0x5a; 60]);
            conversation = Conversation::open().sends(Side::Client, &record(22, b"\x01\0\0\0")).sends(Side::Server, &sealed).sends(Side::Client, &sealed);
        }
        let mut writer = pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN).expect("a vector");
        for made in conversation.made() {
            writer.write(0, made.original_len, &made.bytes).expect("a vector");
        }
        let mut file = writer.into_inner();
        for (at, value) in hits {
            let at = 24 + at.index(file.len() - 24);
            file[at] = value;
        }
        file.truncate(25 + cut.index(file.len() - 24));
        let bench = Bench::new();
        let json = |capture: &Capture| serde_json::to_string(capture).expect("JSON");
        prop_assert_eq!(json(&bench.analyze_file(&file)), json(&bench.analyze_file(&file)));
    }
}
