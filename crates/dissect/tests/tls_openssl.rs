//! Connections between OpenSSL's server and client, as `tls_openssl/record.py` recorded them: every cipher suite that they offer,
//! from TLS 1.0 to TLS 1.3.

mod tls_support;

use std::collections::{BTreeMap, BTreeSet};

use dissect::flow::Direction;
use dissect::tls::{CipherSuite, Finished, Message, NotDecrypted, ProtocolVersion, Reason, Session};
use proptest::prelude::*;
use tls_support::{Seen, Wire, at, watch};

const CLIENT: Direction = Direction::ClientToServer;
const SERVER: Direction = Direction::ServerToClient;

const QUESTION: &str = "a question from the client";

/// Suites that are recorded, but whose records are not decrypted: no maintained crate of ARIA-GCM is worth its weight, as
/// browsers and agents do not offer it.
const NOT_OPENED: &str = "ARIA";

/// The recordings of each version.
const RECORDED: [(ProtocolVersion, &str); 4] = [
    (ProtocolVersion::TLS_1_0, include_str!("tls_openssl/tls1.0.txt")),
    (ProtocolVersion::TLS_1_1, include_str!("tls_openssl/tls1.1.txt")),
    (ProtocolVersion::TLS_1_2, include_str!("tls_openssl/tls1.2.txt")),
    (ProtocolVersion::TLS_1_3, include_str!("tls_openssl/tls1.3.txt")),
];

struct Recording {
    version: ProtocolVersion,
    name: &'static str,
    wire: Wire,
}

fn recordings() -> Vec<Recording> {
    let mut all = Vec::new();
    for (version, text) in RECORDED {
        for line in text.lines() {
            let (kind, value) = line.split_once(' ').unwrap();
            if kind == "name" {
                all.push(Recording { version, name: value, wire: Wire::default() });
                continue;
            }
            let wire = &mut all.last_mut().unwrap().wire;
            let mut sent = |direction| {
                let bytes = data_encoding::HEXLOWER.decode(value.as_bytes()).unwrap();
                wire.sent.push((direction, bytes));
            };
            match kind {
                "key" => wire.keys += &format!("{value}\n"),
                "C" => sent(CLIENT),
                "S" => sent(SERVER),
                _ => panic!("{line}"),
            }
        }
    }
    all
}

fn watch_with_keys(wire: &Wire) -> Seen {
    watch(Session::new(Some(wire.key_log())), &wire.sent)
}

fn text(seen: &Seen, direction: Direction) -> String {
    String::from_utf8_lossy(&seen.plain[at(direction)]).trim().to_owned()
}

fn suite(seen: &Seen) -> (ProtocolVersion, CipherSuite) {
    let hello = seen.message(SERVER, |message| matches!(message, Message::ServerHello(_))).unwrap();
    let Message::ServerHello(hello) = &hello.message else { unreachable!() };
    (hello.version, hello.cipher_suite)
}

fn assert_opened(recording: &Recording, seen: &Seen) {
    let Recording { name, version, .. } = recording;
    assert_eq!(text(seen, CLIENT), QUESTION, "{version} {name}: {:#?}", seen.events);
    assert_eq!(text(seen, SERVER), QUESTION.chars().rev().collect::<String>(), "{version} {name}");
    assert_eq!(seen.finished, [Finished::Verified; 2], "{version} {name}: {:#?}", seen.events);
    assert_eq!(suite(seen).0, *version, "{name}");
    seen.assert_sealed();
}

#[test]
fn opens_every_suite_that_openssl_offers() {
    let mut opened = BTreeSet::new();
    let mut not_opened = BTreeMap::new();
    for recording in &recordings() {
        let seen = watch_with_keys(&recording.wire);
        let (version, suite) = suite(&seen);
        if !suite.to_string().contains(NOT_OPENED) {
            assert_opened(recording, &seen);
            opened.insert((version, suite));
            continue;
        }
        let reason = seen.counters(CLIENT).first_unexplained.unwrap().reason;
        assert_eq!(reason, Reason::NotDecrypted(NotDecrypted::CipherSuite(suite)), "{suite}");
        assert!(reason.to_string().contains(&format!("decryption of {suite} is not supported")), "{reason}");
        not_opened.insert(suite, reason);
    }
    for (version, least) in [
        (ProtocolVersion::TLS_1_0, 10),
        (ProtocolVersion::TLS_1_1, 10),
        (ProtocolVersion::TLS_1_2, 100),
        (ProtocolVersion::TLS_1_3, 5),
    ] {
        let count = opened.iter().filter(|(of, _)| *of == version).count();
        assert!(count >= least, "{version}: {count}");
    }
    assert_eq!(not_opened.len(), 16);
}

#[test]
fn names_the_reason_without_the_right_key() {
    for recording in recordings() {
        if recording.version == ProtocolVersion::TLS_1_3 {
            continue;
        }
        let without = watch(Session::new(None), &recording.wire.sent);
        let reason = without.counters(CLIENT).first_unexplained.unwrap().reason;
        assert_eq!(reason, Reason::NotDecrypted(NotDecrypted::NoKeyLog), "{}", recording.name);

        // The last digit of every secret is changed.
        let mut wrong = recording.wire.clone();
        wrong.keys = wrong
            .keys
            .lines()
            .map(|line| {
                let (rest, last) = line.split_at(line.len() - 1);
                format!("{rest}{}\n", if last == "0" { '1' } else { '0' })
            })
            .collect();
        let seen = watch_with_keys(&wrong);
        assert_eq!(seen.plain, [Vec::<u8>::new(), Vec::new()], "{}", recording.name);
        assert_ne!(seen.finished, [Finished::Verified; 2], "{}", recording.name);
        assert_eq!(seen.counters(CLIENT).authenticated, 0, "{}", recording.name);
    }
}

/// A hello or a certificate that was changed on its way is noticed.
#[test]
fn notices_a_changed_handshake() {
    for recording in recordings().into_iter().filter(|recording| recording.version < ProtocolVersion::TLS_1_3)
    {
        if recording.name.contains(NOT_OPENED) {
            continue;
        }
        let mut changed = recording.wire.clone();
        // In the session id of the ClientHello, or in its list of suites.
        changed.sent[0].1[5 + 4 + 2 + 32 + 6] ^= 1;
        let seen = watch_with_keys(&changed);
        assert_eq!(seen.finished, [Finished::Differs; 2], "{} {}", recording.version, recording.name);
    }
}

#[test]
fn reads_the_same_in_every_division_and_order_of_directions() {
    for recording in recordings() {
        let whole = watch_with_keys(&recording.wire);
        for size in [1, 7, 1000] {
            assert_eq!(watch_with_keys(&recording.wire.chopped(size)), whole, "{}", recording.name);
        }
        // All of the client, and then all of the server: a renegotiation needs both hellos before the keys change.
        if recording.name == "renegotiated" || recording.version == ProtocolVersion::TLS_1_3 {
            continue;
        }
        let mut skewed = recording.wire.clone();
        skewed.sent = vec![(CLIENT, recording.wire.stream(CLIENT)), (SERVER, recording.wire.stream(SERVER))];
        let skewed = watch_with_keys(&skewed);
        assert_eq!((&skewed.plain, &skewed.finished), (&whole.plain, &whole.finished), "{}", recording.name);
        assert_eq!(skewed.counters, whole.counters, "{}", recording.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damage anywhere gives no panic, no plaintext that was not sent, and counters that add up.
    #[test]
    fn opens_nothing_that_was_not_sent(number in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), bit in 0..8) {
        let recordings = recordings();
        let recording = &recordings[number.index(recordings.len())];
        let mut wire = recording.wire.clone();
        let piece = byte.index(wire.sent.len());
        let (direction, bytes) = &mut wire.sent[piece];
        let direction = *direction;
        let byte = byte.index(bytes.len());
        bytes[byte] ^= 1_u8 << bit;
        let seen = watch_with_keys(&wire);
        let whole = watch_with_keys(&recording.wire);
        prop_assert!(whole.plain[at(direction)].starts_with(&seen.plain[at(direction)]) || whole.plain[at(direction)].ends_with(&seen.plain[at(direction)]));
    }
}

/// A server may warn that it does not know the name that the client asks for (RFC 6066 §3).
#[test]
fn a_warning_in_front_of_the_hello_of_the_server_is_no_lost_beginning() {
    const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 1, 112];
    let recordings = recordings();
    let usual = recordings.iter().filter(|recording| recording.name == "MAC-then-encrypt");
    for Recording { name, version, wire } in usual {
        let mut sent = wire.sent.clone();
        let hello = sent.iter_mut().find(|(direction, _)| *direction == SERVER).unwrap();
        hello.1.splice(..0, UNRECOGNIZED_NAME);
        let seen = watch(Session::new(Some(wire.key_log())), &sent);
        assert_eq!(text(&seen, CLIENT), QUESTION, "{version} {name}: {:#?}", seen.events);
        assert_eq!(seen.finished, [Finished::Verified; 2]);
        let counters = seen.counters(SERVER);
        assert_eq!(counters.first_unexplained.unwrap().reason, Reason::AlertBeforeHello);
        assert_eq!((counters.unexplained_bytes, counters.alert_bytes), (2, 0), "{counters:?}");
        assert!(counters.adds_up());
        // Behind protected data the hello is still missing.
        hello_behind(&[23, 3, 3, 0, 2, 1, 112], wire);
        // An alert that is none is protected, too.
        hello_behind(&[21, 3, 3, 0, 2, 9, 112], wire);
    }
}

/// The hello of a server behind another record is not read.
fn hello_behind(record: &[u8], wire: &Wire) {
    let mut sent = wire.sent.clone();
    let hello = sent.iter_mut().find(|(direction, _)| *direction == SERVER).unwrap();
    hello.1.splice(..0, record.iter().copied());
    let seen = watch(Session::new(Some(wire.key_log())), &sent);
    assert!(seen.message(SERVER, |message| matches!(message, Message::ServerHello(_))).is_none());
}
