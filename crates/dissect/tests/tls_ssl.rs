//! Connections of SSL 3.0, and those that begin with a ClientHello in the form of SSL 2.0, as `tls_ssl/record.py` recorded them
//! between tlslite's client and server.

mod tls_support;

use dissect::detection::Detection;
use dissect::flow::Direction;
use dissect::tls::{Finished, Irregularity, Message, NotTls, ProtocolVersion, Reason, Session, detect};
use tls_support::{Seen, Wire, at, watch};

const CLIENT: Direction = Direction::ClientToServer;
const SERVER: Direction = Direction::ServerToClient;

const QUESTION: &str = "a question from the client";

fn recordings() -> Vec<(&'static str, Wire)> {
    let mut all = Vec::<(_, Wire)>::new();
    for line in include_str!("tls_ssl/recorded.txt").lines() {
        let (kind, value) = line.split_once(' ').unwrap();
        if kind == "name" {
            all.push((value, Wire::default()));
            continue;
        }
        let wire = &mut all.last_mut().unwrap().1;
        let bytes = || data_encoding::HEXLOWER.decode(value.as_bytes()).unwrap();
        match kind {
            "key" => wire.keys += &format!("{value}\n"),
            "C" => wire.sent.push((CLIENT, bytes())),
            "S" => wire.sent.push((SERVER, bytes())),
            _ => panic!("{line}"),
        }
    }
    all
}

fn with_keys(wire: &Wire) -> Seen {
    watch(Session::new(Some(wire.key_log())), &wire.sent)
}

/// Where the first bytes are that are not explained, and why.
fn first_unexplained(seen: &Seen, direction: Direction) -> (u64, Reason) {
    let first = seen.counters(direction).first_unexplained.expect("something is not explained");
    (first.stream_offset, first.reason)
}

#[test]
fn opens_tls_behind_a_hello_of_ssl_2() {
    for (name, wire) in recordings().into_iter().filter(|(name, _)| name.starts_with("TLS")) {
        let seen = with_keys(&wire);
        assert_eq!(seen.plain[at(CLIENT)], QUESTION.as_bytes(), "{name}: {:#?}", seen.events);
        let reversed: String = QUESTION.chars().rev().collect();
        assert_eq!(seen.plain[at(SERVER)], reversed.as_bytes(), "{name}");
        // Both sides hashed the hello without its first two bytes.
        assert_eq!(seen.finished, [Finished::Verified; 2], "{name}");
        let hello = seen.message(CLIENT, |message| matches!(message, Message::ClientHello(_))).unwrap();
        let Message::ClientHello(hello) = &hello.message else { unreachable!() };
        assert_eq!(hello.irregularity, Some(Irregularity::Ssl2Form), "{name}");
        assert!(hello.extensions.is_empty() && hello.cipher_suites.len() == 2, "{name}: {hello:?}");
    }
}

#[test]
fn describes_ssl_3_and_names_it_as_not_opened() {
    let mut count = 0;
    for (name, wire) in recordings().into_iter().filter(|(name, _)| name.starts_with("SSL 3.0")) {
        count += 1;
        let seen = with_keys(&wire);
        let hello = seen.message(SERVER, |message| matches!(message, Message::ServerHello(_))).unwrap();
        let Message::ServerHello(hello) = &hello.message else { unreachable!() };
        assert_eq!(hello.version, ProtocolVersion::SSL_3_0, "{name}");
        assert_eq!(hello.cipher_suite.to_string(), "TLS_RSA_WITH_AES_128_CBC_SHA");
        let chain = seen.message(SERVER, |message| matches!(message, Message::Certificate(_))).unwrap();
        let Message::Certificate(chain) = &chain.message else { unreachable!() };
        let subject = &chain.certificates[0].fields.as_ref().unwrap().subject;
        assert!(subject.contains("agent-b.example"), "{subject}");
        for direction in Direction::BOTH {
            assert!(seen.plain[at(direction)].is_empty(), "{name}");
            let expected = (0, Reason::RecordVersion(ProtocolVersion::SSL_3_0));
            assert_eq!(first_unexplained(&seen, direction), expected);
            let counters = seen.counters(direction);
            assert!(counters.adds_up() && counters.not_decrypted > 0, "{counters:?}");
            // Nothing of a protected record counts as explained, nor does the header of any.
            assert_eq!((counters.header_bytes, counters.authenticated_bytes), (0, 0));
        }
        assert!(reason_text(&seen).contains("SSL 3.0, which are not opened"), "{}", reason_text(&seen));
    }
    assert_eq!(count, 2);
}

fn reason_text(seen: &Seen) -> String {
    first_unexplained(seen, SERVER).1.to_string()
}

#[test]
fn any_division_of_the_bytes_gives_the_same() {
    for (name, wire) in recordings() {
        let whole = with_keys(&wire);
        for size in [1, 2, 4, 5, 7, 100] {
            let chopped = with_keys(&wire.chopped(size));
            assert_eq!(chopped.events, whole.events, "{name}, {size}");
            assert_eq!(chopped.counters, whole.counters, "{name}, {size}");
        }
        let stream = wire.stream(CLIENT);
        for length in 0..=stream.len() {
            let expected = match length {
                0..5 => Detection::NeedMore,
                5..11 if stream[0] == 0x80 => Detection::NeedMore,
                _ => Detection::Match,
            };
            assert_eq!(detect(&stream[..length]), expected, "{name}, {length}");
        }
        // Cut anywhere, every byte is counted.
        for length in (0..stream.len()).step_by(7) {
            let seen = watch(Session::new(Some(wire.key_log())), &[(CLIENT, stream[..length].to_vec())]);
            assert!(seen.counters(CLIENT).adds_up(), "{name}, {length}");
        }
    }
}

#[test]
fn only_the_first_message_may_have_the_form_of_ssl_2() {
    let recorded = recordings();
    let (_, wire) = recorded.iter().find(|(name, _)| name.starts_with("TLS 1.2")).unwrap();
    let hello = wire.sent[0].1.clone();
    let again =
        watch(Session::new(Some(wire.key_log())), &[(CLIENT, hello.clone()), (CLIENT, hello.clone())]);
    let expected = (hello.len() as u64, Reason::NotTls(NotTls::ContentType(0x80)));
    assert_eq!(first_unexplained(&again, CLIENT), expected);
    // A server has none.
    let answered = [wire.sent[0].clone(), (SERVER, hello.clone())];
    let seen = watch(Session::new(Some(wire.key_log())), &answered);
    assert!(matches!(first_unexplained(&seen, SERVER).1, Reason::UnexpectedHandshake(_)));
    assert_eq!(seen.counters(SERVER).handshake_bytes, 0);
}

#[test]
fn a_record_of_ssl_3_is_a_doubt_in_any_connection() {
    for (name, wire) in recordings().into_iter().filter(|(name, _)| name.starts_with("TLS")) {
        let mut sent = wire.sent.clone();
        let server_hello = sent.iter_mut().find(|(direction, _)| *direction == SERVER).unwrap();
        server_hello.1[2] = 0;
        let seen = watch(Session::new(Some(wire.key_log())), &sent);
        assert_eq!(seen.plain[at(CLIENT)], QUESTION.as_bytes(), "{name}");
        let expected = (0, Reason::RecordVersion(ProtocolVersion::SSL_3_0));
        assert_eq!(first_unexplained(&seen, SERVER), expected, "{name}");
        assert!(!seen.counters(SERVER).is_explained() && seen.counters(SERVER).adds_up());
    }
}
