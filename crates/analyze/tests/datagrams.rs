//! DNS over UDP and TCP, and QUIC: what they show is listed and searched, and nothing of it counts as explained.

mod support;

use std::collections::BTreeSet;

use analyze::input::discover::OwnTraffic;
use analyze::input::strings::GivenStrings;
use craft::conversation::Side;
use craft::frame::{Ip, Ipv4, Link, Udp};
use exposure_schema::{Capture, Direction, HttpMessage, Level, Name, Verdict};
use support::{Bench, Conversation, Line, Made, whole};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const RESOLVER: [u8; 4] = [10, 0, 0, 53];
const SERVER: [u8; 4] = [10, 0, 0, 2];

fn datagram(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> Made {
    let ip = Ipv4::between(from.0.into(), to.0.into());
    let udp = Udp { source_port: from.1, destination_port: to.1, ..Udp::default() };
    let mut bytes = Vec::new();
    craft::frame::udp(&mut bytes, &Link::default(), &Ip::V4(ip), &udp, payload);
    whole(bytes)
}

fn query(name: &[u8]) -> Vec<u8> {
    [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, b"\0\x01\0\x01"].concat()
}

/// A CNAME, and the server's address under the other name.
fn answer(name: &[u8]) -> Vec<u8> {
    let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x0d\x05other\x05lab-x\0";
    let address = [&b"\x05other\x05lab-x\0\0\x01\0\x01\0\0\0\x3c\0\x04"[..], &SERVER].concat();
    [&[0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0][..], name, b"\0\x01\0\x01", alias, &address].concat()
}

const NAME: &[u8] = b"\x06agents\x07example\0";

fn analyze(made: &[Made]) -> Capture {
    let body = r#"{"id":"call-0001","type":"tool_call","host":"agents.example","alias":"other.lab-x","text":"not on the wire"}"#;
    Bench::new(&[Line { agent: "agent-a", event: "sent", at: 1, body }]).analyze(made)
}

fn level(capture: &Capture, value: &str) -> Level {
    capture.strings.iter().find(|string| string.value == value).expect("a known string").level
}

fn reasons(capture: &Capture) -> Vec<&str> {
    let mut reasons: Vec<&str> =
        capture.completeness.unexplained.iter().map(|entry| entry.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

#[test]
fn a_lookup_is_linked_with_the_connection_that_follows() {
    let mut made = vec![
        datagram((CLIENT, 5000), (RESOLVER, 53), &query(NAME)),
        datagram((RESOLVER, 53), (CLIENT, 5000), &answer(NAME)),
    ];
    made.extend(Conversation::open().sends(Side::Client, b"\0nothing known").made());
    let capture = analyze(&made);
    let dns = capture.dns.as_ref().expect("DNS");
    let [lookup] = &dns.lookups[..] else { panic!("{:?}", dns.lookups) };
    assert_eq!((dns.messages, dns.lookups_total), (2, 1));
    assert_eq!((lookup.name.as_str(), lookup.record_type.as_str()), ("agents.example", "A"));
    assert_eq!((lookup.query_frame, lookup.answer_frame), (Some(1), Some(2)));
    assert_eq!(lookup.client.as_deref(), Some("10.0.0.1:5000"));
    assert_eq!(lookup.server.as_deref(), Some("10.0.0.53:53"));
    assert_eq!(lookup.response_code.as_deref(), Some("NoError"));
    let data: Vec<_> = lookup.answers.iter().map(|answer| answer.data.as_str()).collect();
    assert_eq!(data, ["other.lab-x", "10.0.0.2"]);
    assert_eq!(lookup.connections, [0]);
    assert!(!lookup.needs_key && lookup.stream.is_none());
    assert_eq!(capture.packets[0].holds, ["DNS query A agents.example"]);
    // Labels are divided by lengths: only a reader of DNS finds the names.
    assert_eq!(level(&capture, "agents.example"), Level::Decoded);
    assert_eq!(level(&capture, "other.lab-x"), Level::Decoded);
    assert_eq!(level(&capture, "not on the wire"), Level::Absent);
    assert_eq!(
        reasons(&capture),
        ["DNS is read, but its fields are not checked one by one", "an unknown protocol"]
    );
    assert_eq!(capture.completeness.frames_other, 2);
}

#[test]
fn a_connection_before_the_answer_is_not_linked() {
    let mut made = Conversation::open().made();
    made.push(datagram((CLIENT, 5000), (RESOLVER, 53), &query(NAME)));
    made.push(datagram((RESOLVER, 53), (CLIENT, 5000), &answer(NAME)));
    let capture = analyze(&made);
    assert!(capture.dns.expect("DNS").lookups[0].connections.is_empty());
}

#[test]
fn dns_over_tcp_is_read_in_any_division() {
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
    let (query, answer) = (framed(&query(NAME)), framed(&answer(NAME)));
    for at in 1..query.len() {
        let conversation = Conversation::open()
            .sends(Side::Client, &query[..at])
            .sends(Side::Client, &query[at..])
            .sends(Side::Server, &answer[..at])
            .sends(Side::Server, &answer[at..]);
        let capture = analyze(&conversation.made());
        let dns = capture.dns.as_ref().expect("DNS");
        let [lookup] = &dns.lookups[..] else { panic!("{:?}", dns.lookups) };
        assert_eq!(
            (lookup.name.as_str(), lookup.stream, lookup.answers_total),
            ("agents.example", Some(0), 2)
        );
        assert_eq!(lookup.client.as_deref(), Some("10.0.0.1:40000"));
        assert_eq!(level(&capture, "agents.example"), Level::Decoded);
        assert_eq!(reasons(&capture), ["DNS over TCP is read, but its fields are not checked one by one"]);
        let unexplained: u64 = capture.completeness.unexplained.iter().map(|entry| entry.bytes).sum();
        assert_eq!(unexplained, (query.len() + answer.len()) as u64, "every byte, once");
    }
}

#[test]
fn noise_on_the_port_of_dns_is_no_dns() {
    let noise = [7; 60];
    let capture = analyze(&[
        datagram((CLIENT, 5000), (RESOLVER, 53), &noise),
        datagram((CLIENT, 5353), (RESOLVER, 5353), b"some words, but no message of DNS"),
        datagram((CLIENT, 5000), (RESOLVER, 5000), &[0xc0; 1300]),
    ]);
    assert!(capture.dns.is_none() && capture.quic.is_none());
    assert_eq!(reasons(&capture), ["UDP is searched, but not read"]);
}

#[test]
fn multicast_dns_names_what_is_announced() {
    let record = b"\x05other\x05lab-x\0\0\x01\x80\x01\0\0\0\x78\0\x04\x0a\0\0\x02";
    let message = [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], record].concat();
    let mut made = vec![datagram((SERVER, 5353), ([224, 0, 0, 251], 5353), &message)];
    made.extend(Conversation::open().made());
    let capture = analyze(&made);
    let lookups = capture.dns.as_ref().expect("DNS").lookups.clone();
    assert_eq!((lookups[0].name.as_str(), lookups[0].protocol.as_str()), ("other.lab-x", "mdns"));
    assert_eq!((lookups[0].query_frame, lookups[0].answer_frame), (None, Some(1)));
    assert_eq!(lookups[0].connections, [0], "every host heard it");
}

/// The datagrams of a file of the corpus.
fn quic(file: &[u8]) -> Vec<Made> {
    let mut made = Vec::new();
    let mut rest = file;
    while let Some((&[direction, high, low], after)) = rest.split_first_chunk() {
        let (payload, behind) = after.split_at(usize::from(u16::from_be_bytes([high, low])));
        let ends = [(CLIENT, 50_000), (SERVER, 443)];
        let [from, to] = if direction == 0 { ends } else { [ends[1], ends[0]] };
        made.push(datagram(from, to, payload));
        rest = behind;
    }
    made
}

#[test]
fn the_hellos_of_quic_are_read() {
    let files: [(&[u8], &str); 2] = [
        (include_bytes!("../../../corpus/quic/version-1.bin"), "QUIC version 1"),
        (include_bytes!("../../../corpus/quic/version-2.bin"), "QUIC version 2"),
    ];
    for (file, version) in files {
        let mut made = vec![
            datagram((CLIENT, 5000), (RESOLVER, 53), &query(NAME)),
            datagram((RESOLVER, 53), (CLIENT, 5000), &answer(NAME)),
        ];
        made.extend(quic(file));
        let body = r#"{"host":"quic0.example"}"#;
        let capture = Bench::new(&[Line { agent: "agent-a", event: "sent", at: 1, body }]).analyze(&made);
        let quic = capture.quic.as_ref().expect("QUIC");
        let [session] = &quic.sessions[..] else { panic!("{:?}", quic.sessions) };
        assert_eq!((session.client.as_str(), session.server.as_str()), ("10.0.0.1:50000", "10.0.0.2:443"));
        assert_eq!(session.version.as_deref(), Some(version));
        assert_eq!(session.server_name.as_deref(), Some("quic0.example"));
        assert_eq!(session.looked_up.as_deref(), Some("agents.example"));
        assert_eq!(session.alpn_offered, ["h3"]);
        assert_eq!(session.cipher_suite.as_deref(), Some("TLS_AES_256_GCM_SHA384"));
        assert_eq!((session.first_frame, session.last_frame), (3, made.len() as u64));
        assert_eq!(session.datagrams.iter().sum::<u64>(), quic.datagrams);
        assert!(
            session.closed_packets > 0 && session.initial_packets[0] >= 2 && session.initial_packets[1] == 0
        );
        let found = capture.strings.iter().find(|string| string.value == "quic0.example").expect("a string");
        assert_eq!(found.level, Level::Decoded);
        assert_eq!(found.locations[0].layers, ["quic", "initial"]);
        assert_eq!(found.locations[0].frames, [3]);
        assert_eq!(capture.packets[2].holds, ["QUIC Initial", "ClientHello"]);
        assert!(reasons(&capture).contains(&"QUIC packets under keys that are not known"));
        assert!(!reasons(&capture).contains(&"UDP is searched, but not read"));
        assert_eq!(capture.completeness.frames_other, made.len() as u64);
    }
}

/// The key log at the beginning of a file of the corpus, and the datagrams behind it.
fn quic_with_keys(file: &[u8]) -> (&[u8], Vec<Made>) {
    let (&[2, high, low], rest) = file.split_first_chunk().expect("a header") else { panic!("no key log") };
    let (keys, rest) = rest.split_at(usize::from(u16::from_be_bytes([high, low])));
    (keys, quic(rest))
}

#[test]
fn a_key_log_shows_the_certificates_of_quic() {
    let (keys, made) = quic_with_keys(include_bytes!("../../../corpus/quic/with-keys-key-update.bin"));
    let body = r#"{"host":"quic0.example"}"#;
    let journal = [Line { agent: "agent-a", event: "sent", at: 1, body }];
    let without = Bench::new(&journal).analyze(&made);
    let with = Bench::new(&journal).with_keys(keys).analyze(&made);
    let session = |capture: &Capture| capture.quic.as_ref().expect("QUIC").sessions[0].clone();
    let (hidden, shown) = (session(&without), session(&with));
    assert_eq!(hidden.decrypted_packets, 0);
    assert!(hidden.hidden.alpn.is_none() && hidden.hidden.certificates.is_empty());
    assert_eq!((shown.decrypted_packets, shown.closed_packets), (hidden.closed_packets, 0));
    assert_eq!(shown.hidden.alpn.as_deref(), Some("h3"));
    let [certificate] = &shown.hidden.certificates[..] else { panic!("{:?}", shown.hidden) };
    assert_eq!(certificate.subject_alt_names, ["quic0.example"]);
    assert_eq!(hidden.ja4, shown.ja4);
    assert!(hidden.ja4.is_some_and(|ja4| ja4.starts_with("q13d")));
    // What is opened is a doubt as well.
    let hides_nothing =
        "QUIC packets that hide nothing are read, but their fields are not checked one by one";
    let opened = "QUIC packets that keys open are read, but their fields are not checked one by one";
    let closed = "QUIC packets under keys that are not known";
    assert_eq!(BTreeSet::from_iter(reasons(&without)), BTreeSet::from([hides_nothing, closed]));
    assert_eq!(BTreeSet::from_iter(reasons(&with)), BTreeSet::from([hides_nothing, opened]));
    assert_eq!((without.verdict, with.verdict), (Some(Verdict::Exposed), Some(Verdict::Exposed)));
    let unexplained = |capture: &Capture| capture.completeness.unexplained_bytes;
    assert_eq!(unexplained(&without), unexplained(&with));
}

/// All recorded sessions with a key log.
const WITH_KEYS: [&[u8]; 3] = [
    include_bytes!("../../../corpus/quic/with-keys-aes128.bin"),
    include_bytes!("../../../corpus/quic/with-keys-key-update.bin"),
    include_bytes!("../../../corpus/quic/with-keys-chacha20.bin"),
];

/// What is sent and returned in a body of these sessions.
const SENT: &str = "sk-lab-000111222333";

#[test]
fn a_key_log_opens_the_messages_of_http3() {
    for file in WITH_KEYS {
        let (keys, made) = quic_with_keys(file);
        assert!(Bench::without_journal().analyze(&made).http.is_empty());
        let capture = Bench::without_journal().with_keys(keys).analyze(&made);
        let of_session = |message: &HttpMessage| (message.stream, message.quic_session) == (None, Some(0));
        assert!(capture.http.len() == 10 && capture.http.iter().all(of_session), "{:?}", capture.http);
        for target in ["/index.html", "/tool", "/again", "/one", "/two"] {
            let is_request = |message: &&HttpMessage| message.target.as_deref() == Some(target);
            let request = capture.http.iter().find(is_request).expect("a request");
            assert_eq!(request.direction, Some(Direction::ClientToServer));
            let is_answer = |message: &&HttpMessage| {
                message.http3_stream == request.http3_stream && message.status == Some(200)
            };
            let answer = capture.http.iter().find(is_answer).expect("an answer");
            assert_eq!(answer.direction, Some(Direction::ServerToClient));
            assert!(request.last_frame < answer.last_frame && answer.last_frame <= made.len() as u64);
            assert!(answer.first_frame.is_some_and(|first| first <= answer.last_frame));
        }
        let is_read = |message: &HttpMessage| {
            message.complete && message.level == Level::Decrypted && message.layers[..2] == ["quic", "http3"]
        };
        assert!(capture.http.iter().all(is_read), "{:?}", capture.http);
        // What keys open is no string that an eavesdropper can read.
        assert!(capture.readable.is_empty() && capture.readable_total == 0);
        let opened = capture.opened.iter().find(|string| string.path == "$.arguments.api_key");
        let place = &opened.unwrap_or_else(|| panic!("{:?}", capture.opened)).location;
        assert_eq!(
            (place.stream, &place.layers[..]),
            (None, &["quic", "http3", "frames"].map(Name::from)[..])
        );
        assert_eq!(place.direction, Some(Direction::ClientToServer));
        assert!(!place.frames.is_empty() && place.wire_bytes > 40);
        let contents = capture.contents.as_ref().expect("contents");
        assert!(contents.credentials.iter().all(|found| found.location.layers[0] == "quic"));
    }
}

/// Strings that only the key log shows, in QUIC, are no reason to seal anything.
#[test]
fn strings_in_http3_are_found_with_keys_only() {
    let body = json_body();
    let journal = [Line { agent: "agent-a", event: "sent", at: 1, body: &body }];
    for file in WITH_KEYS {
        let (keys, made) = quic_with_keys(file);
        let with = Bench::new(&journal).with_keys(keys).analyze(&made);
        assert_eq!((level(&with, SENT), with.verdict), (Level::Decrypted, Some(Verdict::Inconclusive)));
        let without = Bench::new(&journal).analyze(&made);
        assert_eq!((level(&without, SENT), without.verdict), (Level::Absent, Some(Verdict::Inconclusive)));
    }
}

fn json_body() -> String {
    format!("{{\"api_key\":\"{SENT}\"}}")
}

/// A scope has TCP connections only, so that a string in QUIC is outside of any.
#[test]
fn a_string_in_quic_is_outside_of_the_scope() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let list = folder.path().join("strings.txt");
    std::fs::write(&list, SENT).expect("a list of strings");
    for (scope, is_outside) in [(Some("10.0.0.2:8000"), true), (Some("all"), false), (None, false)] {
        let (keys, quic) = quic_with_keys(WITH_KEYS[0]);
        let mut made = Conversation::open().sends(Side::Client, b"\0nothing known").made();
        made.extend(quic);
        let bench = Bench::without_journal().with_keys(keys);
        let mut strings = GivenStrings::default();
        strings.add_lines(&list).expect("a list of strings");
        let scope = scope.map(|scope| scope.parse().expect("a scope")).into_iter().collect();
        let capture = bench.analyze_own(&made, OwnTraffic { strings, scope });
        let doubts: Vec<&str> = capture.doubts.iter().map(|doubt| &*doubt.code).collect();
        assert_eq!(level(&capture, SENT), Level::Decrypted);
        assert_eq!(capture.verdict, Some(Verdict::Inconclusive), "{doubts:?}");
        assert_eq!(doubts.contains(&"scope.carrier-in-quic"), is_outside, "{doubts:?}");
        assert!(is_outside || doubts.contains(&"bytes.unexplained"), "{doubts:?}");
    }
}

/// Lost datagrams end or shorten messages, and nothing is claimed that is not there.
#[test]
fn lost_datagrams_shorten_messages_of_http3() {
    let (keys, made) = quic_with_keys(WITH_KEYS[0]);
    let all = Bench::without_journal().with_keys(keys).analyze(&made).http;
    let line = |message: &HttpMessage| (message.http3_stream, message.direction, message.body_bytes);
    let mut fewer = 0;
    for lost in 4..made.len() {
        let mut made = made.clone();
        made.remove(lost);
        let http = Bench::without_journal().with_keys(keys).analyze(&made).http;
        let complete = http.iter().filter(|message| message.complete);
        assert!(
            complete.map(line).all(|message| all.iter().map(line).any(|known| known == message)),
            "{lost}"
        );
        let same =
            |message: &&HttpMessage| message.complete && all.iter().any(|known| line(known) == line(message));
        let count = http.iter().filter(same).count();
        // One datagram carries a part of two streams at most.
        assert!((7..=10).contains(&count), "without datagram {lost}: {count}");
        fewer += usize::from(count < 10);
    }
    assert!(fewer > 5, "{fewer}");
}

#[test]
fn retry_and_version_negotiation_are_named() {
    let capture = analyze(&quic(include_bytes!("../../../corpus/quic/retry.bin")));
    let quic_of = |capture: &Capture| capture.quic.as_ref().expect("QUIC").sessions[0].clone();
    assert!(quic_of(&capture).retry);
    assert_eq!(capture.packets[1].holds, ["QUIC Retry"]);
    let capture = analyze(&quic(include_bytes!("../../../corpus/quic/version-negotiation.bin")));
    assert_eq!(quic_of(&capture).versions_negotiated, ["QUIC version 2"]);
    assert_eq!(quic_of(&capture).version.as_deref(), Some("QUIC version 2"));
}

/// `SERVER PROTOCOL/PORT: CLEAR bytes from frame N, protected, [NAMES]`, without what does not apply.
fn peers(capture: &Capture) -> Vec<String> {
    let peers = capture.peers.iter().map(|peer| {
        let port = peer.port.map(|port| format!("/{port}")).unwrap_or_default();
        let first = peer.first_clear_frame.map(|frame| format!(" from frame {frame}")).unwrap_or_default();
        let protected = if peer.protected_bytes > 0 { ", protected" } else { "" };
        let (server, protocol, clear) = (&peer.server, &peer.protocol, peer.clear_bytes);
        format!("{server} {protocol}{port}: {clear} bytes{first}{protected}, {:?}", peer.names)
    });
    peers.collect()
}

#[test]
fn hosts_are_listed_with_what_they_exchange_in_the_clear() {
    let (asked, answered) = (query(NAME), answer(NAME));
    let mut made = vec![
        datagram((CLIENT, 5000), (RESOLVER, 53), &asked),
        datagram((RESOLVER, 53), (CLIENT, 5000), &answered),
    ];
    let request = b"GET / HTTP/1.1\r\nHost: Web.Example:8000\r\n\r\n";
    let text = b"HTTP/1.1 204 No Content\r\n\r\n";
    made.extend(Conversation::open().sends(Side::Client, request).sends(Side::Server, text).made());
    let capture = analyze(&made);
    let (dns, http) = (asked.len() + answered.len(), request.len() + text.len());
    let port = capture.peers[0].port.expect("a port");
    let expected = [
        // The three frames of the handshake carry no payload.
        format!("10.0.0.2 TCP/{port}: {http} bytes from frame 6, [\"agents.example\", \"web.example\"]"),
        format!("10.0.0.53 UDP/53: {dns} bytes from frame 1, []"),
    ];
    assert_eq!(peers(&capture), expected);
    assert_eq!(capture.peers[0].connections, 1);

    let capture = analyze(&quic(include_bytes!("../../../corpus/quic/version-1.bin")));
    assert_eq!(peers(&capture), ["10.0.0.2 UDP/443: 0 bytes, protected, [\"quic0.example\"]"]);
}
