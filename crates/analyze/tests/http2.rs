//! HTTP/2 (RFC 9113) over a captured connection: messages are read, hashed and searched, also from within a connection.

mod support;

use std::io::Write as _;

use craft::conversation::Side;
use exposure_schema::{Capture, Level};
use support::{Bench, Conversation, Line};

const REQUEST: &str =
    r#"{"id":"call-0001","type":"tool_call","text":"a string that was asked","host":"www.example.com"}"#;
const ANSWER: &str = r#"{"id":"call-0001","type":"tool_result","text":"a string in the answer"}"#;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

fn frame(frame_type: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b] = (payload.len() as u16).to_be_bytes();
    [&[0, a, b, frame_type, flags, 0, 0, 0, stream][..], payload].concat()
}

/// POST http://www.example.com/tools, with the authority in Huffman code (RFC 7541 §C.4.1), as JSON.
fn request_head(stream: u8) -> Vec<u8> {
    let authority = [0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    let block = [&b"\x83\x86\x44\x06/tools"[..], &authority, b"\x5f\x10application/json"].concat();
    frame(HEADERS, END_HEADERS, stream, &block)
}

fn answer_head(stream: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, b"\x88\x5f\x10application/json")
}

fn client() -> Vec<u8> {
    let body = frame(DATA, END_STREAM, 1, REQUEST.as_bytes());
    [PREFACE, &SETTINGS, &request_head(1), &body].concat()
}

/// An answer whose body is divided in the middle of a string, around the frames of another stream.
fn server() -> Vec<u8> {
    let (head, tail) = ANSWER.split_at(ANSWER.find("in the").expect("a part of the answer"));
    let parts = [
        frame(DATA, 0, 1, head.as_bytes()),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x8d"),
        frame(DATA, END_STREAM, 1, tail.as_bytes()),
    ];
    [SETTINGS.to_vec(), answer_head(1), parts.concat()].concat()
}

fn analyze(conversation: &Conversation) -> Capture {
    let sent = Line { agent: "agent-a", event: "sent", at: 1, body: REQUEST };
    let received = Line { agent: "agent-a", event: "received", at: 2, body: ANSWER };
    Bench::new(&[sent, received]).analyze(&conversation.made())
}

fn found(capture: &Capture, value: &str) -> (Level, Vec<String>) {
    let string = capture.strings.iter().find(|string| string.value == value).expect("a known string");
    let layers = string.locations.first().map(|first| first.layers.iter().map(ToString::to_string).collect());
    (string.level, layers.unwrap_or_default())
}

fn check(capture: &Capture) {
    assert_eq!(found(capture, "a string that was asked"), (Level::Verbatim, vec![]));
    assert_eq!(
        found(capture, "a string in the answer"),
        (Level::Decoded, vec!["http2".into(), "frames".into()])
    );
    assert_eq!(capture.completeness.messages_accounted, 2, "bodies are hashed");
    let mut read: Vec<_> =
        capture.http.iter().map(|message| (message.body_bytes, message.complete)).collect();
    read.sort_unstable();
    assert_eq!(read, [(0, true), (ANSWER.len() as u64, true), (REQUEST.len() as u64, true)]);
}

#[test]
fn interleaved_messages_are_read_and_searched_across_frames() {
    let conversation = Conversation::open().sends(Side::Client, &client()).sends(Side::Server, &server());
    let capture = analyze(&conversation);
    check(&capture);
    // HTTP/2 is never fully explained: no rule says which fields of its frames an honest sender can choose.
    let mut reasons: Vec<_> =
        capture.completeness.unexplained.iter().map(|entry| entry.reason.as_str()).collect();
    reasons.dedup(); // both directions
    assert_eq!(reasons, ["HTTP/2 is read, but the fields of its frames are not checked one by one"]);
}

#[test]
fn every_division_into_segments_gives_the_same_result() {
    let (client, server) = (client(), server());
    for at in (1..server.len()).step_by(7) {
        let of_client = at.min(client.len() - 1);
        let conversation = Conversation::open()
            .sends(Side::Client, &client[..of_client])
            .sends(Side::Client, &client[of_client..])
            .sends(Side::Server, &server[..at])
            .sends(Side::Server, &server[at..]);
        check(&analyze(&conversation));
    }
}

#[test]
fn header_fields_in_huffman_code_are_searched() {
    let head = [PREFACE, &SETTINGS, &request_head(1), &frame(DATA, END_STREAM, 1, b"{}")].concat();
    let capture = analyze(&Conversation::open().sends(Side::Client, &head));
    assert_eq!(
        found(&capture, "www.example.com"),
        (Level::Decoded, vec!["http2".to_owned(), "hpack".to_owned()])
    );
}

#[test]
fn an_upgrade_continues_as_http2() {
    let upgrade =
        b"GET / HTTP/1.1\r\nHost: b\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n";
    let switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let conversation = Conversation::open()
        .sends(Side::Client, upgrade)
        .sends(Side::Server, &[&switching[..], &server()].concat())
        .sends(Side::Client, &[PREFACE, &SETTINGS].concat());
    let capture = analyze(&conversation);
    assert_eq!(found(&capture, "a string in the answer").0, Level::Decoded);
    assert_eq!(capture.http.len(), 4, "the request, 101, and two answers");
}

#[test]
fn what_is_no_frame_is_unexplained() {
    let mut bytes = client();
    bytes.extend([0xff; 100]);
    // The server's settings allow frames of the default length.
    let conversation = Conversation::open().sends(Side::Server, &SETTINGS).sends(Side::Client, &bytes);
    let capture = analyze(&conversation);
    let lost =
        capture.completeness.unexplained.iter().find(|entry| entry.reason.contains("not read as HTTP/2"));
    assert_eq!(lost.expect("the bytes behind the message").bytes, 100);
}

/// CONNECT to b:80 on stream 1, as RFC 9113 §8.5 describes it.
fn connect() -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, b"\x02\x07CONNECT\x41\x04b:80")
}

/// A connection of HTTP/2 with `client` and `server` inside of a tunnel, divided into two frames at these offsets.
fn tunnelled(client: &[u8], server: &[u8], at: [usize; 2]) -> Conversation {
    let divided = |bytes: &[u8], at| {
        let (head, tail) = bytes.split_at(at);
        // A frame of another stream is between both.
        [frame(DATA, 0, 1, head), frame(0xbe, 0, 3, b"an extension"), frame(DATA, END_STREAM, 1, tail)]
            .concat()
    };
    Conversation::open()
        .sends(Side::Client, &[PREFACE, &SETTINGS, &connect()].concat())
        .sends(Side::Server, &[&SETTINGS[..], &frame(HEADERS, END_HEADERS, 1, b"\x88")].concat())
        .sends(Side::Client, &divided(client, at[0]))
        .sends(Side::Server, &divided(server, at[1]))
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

#[test]
fn what_is_inside_of_a_tunnel_is_read_by_the_same_stack() {
    let coded = compressed(ANSWER);
    let request = format!(
        "POST /tool HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{REQUEST}",
        REQUEST.len()
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        coded.len()
    );
    let answer = [head.as_bytes(), &coded].concat();
    for at in (0..answer.len()).step_by(3) {
        let conversation = tunnelled(request.as_bytes(), &answer, [at.min(request.len()), at]);
        let capture = analyze(&conversation);
        // Decoded, where the border of the frames is within the string.
        let level = found(&capture, "a string that was asked").0;
        assert!(matches!(level, Level::Verbatim | Level::Decoded), "at {at}: {level:?}");
        assert_eq!(
            found(&capture, "a string in the answer"),
            (Level::Decoded, vec!["http2".into(), "http1".into(), "gzip".into()]),
            "at {at}"
        );
        assert_eq!(capture.completeness.messages_accounted, 2, "at {at}");
        let read: Vec<_> =
            capture.http.iter().filter(|message| message.complete && message.body_bytes > 0).collect();
        let of = |len: usize| read.iter().find(|message| message.body_bytes == len as u64);
        for (len, frame) in [(REQUEST.len(), 6), (ANSWER.len(), 7)] {
            let message = of(len).unwrap_or_else(|| panic!("at {at}: {read:?}"));
            assert_eq!((message.http2_stream, message.first_frame), (Some(1), Some(frame)), "at {at}");
        }
    }
}

#[test]
fn http2_inside_of_http2_is_unexplained() {
    let capture = analyze(&tunnelled(&client(), &server(), [40, 40]));
    let unknown =
        capture.completeness.unexplained.iter().filter(|entry| entry.reason == "an unknown protocol");
    let bytes: u64 = unknown.map(|entry| entry.bytes).sum();
    assert_eq!(bytes, (client().len() + server().len()) as u64);
}

#[test]
fn a_tunnel_that_the_server_refuses_is_not_read() {
    let refused = [&SETTINGS[..], &frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x8d")].concat();
    let conversation = Conversation::open()
        .sends(Side::Client, &[PREFACE, &SETTINGS, &connect()].concat())
        .sends(Side::Server, &refused)
        .sends(Side::Client, &frame(DATA, END_STREAM, 1, b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"));
    let capture = analyze(&conversation);
    assert!(capture.http.iter().all(|message| message.method.as_deref() != Some("GET")));
}
