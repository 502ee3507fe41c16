//! DNS over UDP and TCP, and QUIC: what they show is listed and searched, and nothing of it counts as explained.

mod support;

use craft::conversation::Side;
use craft::frame::{Ip, Ipv4, Link, Udp};
use exposure_schema::{Capture, Level};
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
    // The verdict depends on the same doubts, opened or not.
    assert_eq!(reasons(&without), reasons(&with));
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
