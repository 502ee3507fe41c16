//! Connections before TLS 1.3 that a server's RSA key opens, and sessions that resume others, as
//! `tls_openssl/record_server_keys.py` recorded them between OpenSSL's server and client.

mod tls_support;

use std::collections::BTreeSet;

use dissect::flow::Direction;
use dissect::tls::{
    ExtensionType, Finished, KeyUse, Message, NotDecrypted, Reason, ServerHello, ServerKey, ServerKeyError,
    ServerKeys, Session, Workspace,
};
use proptest::prelude::*;
use tls_support::{Seen, Wire, at, watch, watch_in};

const CLIENT: Direction = Direction::ClientToServer;
const SERVER: Direction = Direction::ServerToClient;

const QUESTION: &str = "a question from the client";

const FORWARD_SECRET: &str = "forward secret";

struct Recording {
    name: &'static str,
    wire: Wire,
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

/// The keys in DER, and the connections.
fn recorded() -> (Vec<Vec<u8>>, Vec<Recording>) {
    let (mut keys, mut all) = (Vec::new(), Vec::<Recording>::new());
    for line in include_str!("tls_openssl/server-keys.txt").lines() {
        let (kind, value) = line.split_once(' ').unwrap();
        match kind {
            "server-key" => keys.push(bytes(value.split_once(' ').unwrap().1)),
            "name" => all.push(Recording { name: value, wire: Wire::default() }),
            "key" => all.last_mut().unwrap().wire.keys += &format!("{value}\n"),
            "C" => all.last_mut().unwrap().wire.sent.push((CLIENT, bytes(value))),
            "S" => all.last_mut().unwrap().wire.sent.push((SERVER, bytes(value))),
            _ => panic!("{line}"),
        }
    }
    (keys, all)
}

/// The connections that resume none and are resumed by none.
fn single() -> impl Iterator<Item = Recording> {
    recorded().1.into_iter().filter(|recording| !recording.name.contains(','))
}

/// Two connections, of which the second resumes the first.
fn pairs() -> Vec<[Recording; 2]> {
    let mut all = recorded().1.into_iter().filter(|recording| recording.name.contains(','));
    let mut pairs = Vec::new();
    while let Some(first) = all.next() {
        pairs.push([first, all.next().unwrap()]);
    }
    pairs
}

fn with_keys() -> Workspace {
    let mut keys = ServerKeys::default();
    for der in recorded().0 {
        assert!(keys.add(ServerKey::from_der(&der).unwrap()));
    }
    let mut workspace = Workspace::new();
    workspace.use_server_keys(keys);
    workspace
}

fn use_of(workspace: &Workspace) -> KeyUse {
    let mut used = workspace.server_keys().iter().map(|(_, used)| used).filter(|used| used.handshakes > 0);
    let first = used.next().cloned().unwrap_or_default();
    assert!(used.next().is_none());
    first
}

fn text(seen: &Seen, direction: Direction) -> String {
    String::from_utf8_lossy(&seen.plain[at(direction)]).trim().to_owned()
}

fn assert_opened(name: &str, seen: &Seen) {
    assert_eq!(text(seen, CLIENT), QUESTION, "{name}: {:#?}", seen.events);
    assert_eq!(text(seen, SERVER), QUESTION.chars().rev().collect::<String>(), "{name}");
    assert_eq!(seen.finished, [Finished::Verified; 2], "{name}: {:#?}", seen.events);
    seen.assert_sealed();
}

fn reason(seen: &Seen, direction: Direction) -> Reason {
    seen.counters(direction).first_unexplained.unwrap().reason
}

fn chosen(seen: &Seen) -> &ServerHello {
    let hello = seen.message(SERVER, |message| matches!(message, Message::ServerHello(_))).unwrap();
    let Message::ServerHello(hello) = &hello.message else { unreachable!() };
    hello
}

fn is_extended(seen: &Seen) -> bool {
    chosen(seen).extensions.contains(&ExtensionType::EXTENDED_MASTER_SECRET)
}

#[test]
fn opens_every_rsa_key_exchange() {
    let mut count = [0, 0];
    let mut suites = BTreeSet::new();
    for Recording { name, wire } in single().filter(|recording| recording.name != FORWARD_SECRET) {
        let mut workspace = with_keys();
        let seen = watch_in(&mut workspace, Session::new(None), &wire.sent);
        assert_opened(name, &seen);
        let used = use_of(&workspace);
        let handshakes = if name == "renegotiated" { 2 } else { 1 };
        assert_eq!(
            (used.handshakes, used.opened, used.other_exchanges, used.failed),
            (handshakes, handshakes, 0, 0)
        );
        assert_eq!(used.certificates.len(), 1, "{name}");
        assert_eq!(is_extended(&seen), !name.contains("plain"), "{name}");
        count[usize::from(is_extended(&seen))] += 1;
        suites.insert(chosen(&seen).cipher_suite);
        // The key log gives the same.
        let logged = watch(Session::new(Some(wire.key_log())), &wire.sent);
        assert_eq!((logged.plain, logged.counters), (seen.plain, seen.counters), "{name}");
    }
    assert_eq!(count, [32, 34]);
    assert_eq!(suites.len(), 17, "{suites:?}");
}

#[test]
fn opens_them_in_every_division_and_order_of_directions() {
    for Recording { name, wire } in single().filter(|recording| recording.name != FORWARD_SECRET) {
        let whole = watch_in(&mut with_keys(), Session::new(None), &wire.sent);
        for size in [1, 7, 1000] {
            let seen = watch_in(&mut with_keys(), Session::new(None), &wire.chopped(size).sent);
            assert_eq!(seen, whole, "{name}");
        }
        // A renegotiation needs the messages of both sides before the keys change.
        if name == "renegotiated" {
            continue;
        }
        // All of the client, and then all of the server.
        let skewed = [(CLIENT, wire.stream(CLIENT)), (SERVER, wire.stream(SERVER))];
        let seen = watch_in(&mut with_keys(), Session::new(None), &skewed);
        assert_eq!((&seen.plain, &seen.finished), (&whole.plain, &whole.finished), "{name}");
        assert_eq!(seen.counters, whole.counters, "{name}");
    }
}

#[test]
fn names_the_reason_where_a_server_key_opens_nothing() {
    for Recording { name, wire } in single() {
        let mut workspace = with_keys();
        if name == FORWARD_SECRET {
            let seen = watch_in(&mut workspace, Session::new(None), &wire.sent);
            assert_eq!(reason(&seen, CLIENT), Reason::NotDecrypted(NotDecrypted::ForwardSecret));
            let used = use_of(&workspace);
            assert_eq!((used.handshakes, used.opened, used.other_exchanges, used.failed), (1, 0, 1, 0));
            continue;
        }
        let is_short = name.ends_with("short key");
        let other = ServerKey::from_der(&recorded().0[usize::from(!is_short)]).unwrap();
        let mut keys = ServerKeys::default();
        assert!(keys.add(other));
        workspace.use_server_keys(keys);
        let seen = watch_in(&mut workspace, Session::new(None), &wire.sent);
        for direction in [CLIENT, SERVER] {
            assert_eq!(reason(&seen, direction), Reason::NotDecrypted(NotDecrypted::NoServerKey), "{name}");
        }
        assert_eq!(seen.plain, [Vec::new(), Vec::new()]);
        assert_eq!(use_of(&workspace), KeyUse::default());
    }
}

#[test]
fn opens_resumed_sessions_by_id_and_ticket() {
    let pairs = pairs();
    assert_eq!(pairs.len(), 12);
    for [first, second] in &pairs {
        // The key log lacks the line of the second connection.
        let keys = Session::new(Some(first.wire.key_log()));
        let mut workspace = Workspace::new();
        assert_opened(first.name, &watch_in(&mut workspace, keys, &first.wire.sent));
        let again = || Session::new(Some(first.wire.key_log()));
        let seen = watch_in(&mut workspace, again(), &second.wire.sent);
        assert_opened(second.name, &seen);
        for size in [1, 7, 1000] {
            assert_eq!(
                watch_in(&mut workspace, again(), &second.wire.chopped(size).sent),
                seen,
                "{}",
                second.name
            );
        }
        let (client, server) = ((CLIENT, second.wire.stream(CLIENT)), (SERVER, second.wire.stream(SERVER)));
        for skewed in [[client.clone(), server.clone()], [server, client]] {
            let skewed = watch_in(&mut workspace, again(), &skewed);
            assert_eq!(
                (skewed.plain, skewed.counters),
                (seen.plain.clone(), seen.counters.clone()),
                "{}",
                second.name
            );
        }
        // In front of the first one, nothing is known.
        let seen = watch(again(), &second.wire.sent);
        assert_eq!(reason(&seen, SERVER), Reason::NotDecrypted(NotDecrypted::ClientRandomNotInKeyLog));

        // With the server's key instead of a key log.
        let is_rsa = !first.name.contains("ECDHE");
        let mut workspace = with_keys();
        let seen = watch_in(&mut workspace, Session::new(None), &first.wire.sent);
        let resumed = watch_in(&mut workspace, Session::new(None), &second.wire.sent);
        if is_rsa {
            assert_opened(first.name, &seen);
            assert_opened(second.name, &resumed);
            assert_eq!(use_of(&workspace).opened, 1, "the second one has no key exchange");
        } else {
            assert_eq!(reason(&seen, SERVER), Reason::NotDecrypted(NotDecrypted::ForwardSecret));
            assert_eq!(
                reason(&resumed, SERVER),
                Reason::NotDecrypted(NotDecrypted::Resumed),
                "{}",
                second.name
            );
        }
    }
}

#[test]
fn reports_keys_that_cannot_be_used() {
    let (keys, _) = recorded();
    let [long, short] = &keys[..] else { panic!("{} keys", keys.len()) };
    assert_eq!([long, short].map(|der| ServerKey::from_der(der).unwrap().bits()), [2048, 1024]);
    assert_eq!(format!("{:?}", ServerKey::from_der(short).unwrap()), "ServerKey(1024 bits)");
    for length in 0..short.len() {
        let cut = ServerKey::from_der(&short[..length]);
        assert!(matches!(cut, Err(ServerKeyError::NotRsa(_))), "{length}");
    }
    let mut keys = ServerKeys::default();
    for _ in 0..dissect::tls::MAX_SERVER_KEYS {
        assert!(keys.add(ServerKey::from_der(short).unwrap()));
    }
    assert!(!keys.add(ServerKey::from_der(short).unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Damage anywhere gives no panic, no plaintext that was not sent, and counters that add up.
    #[test]
    fn opens_nothing_that_was_not_sent(
        number in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let recordings: Vec<Recording> = single().collect();
        let recording = &recordings[number.index(recordings.len())];
        let mut sent = recording.wire.sent.clone();
        let (direction, bytes) = &mut sent[byte.index(recording.wire.sent.len())];
        let direction = *direction;
        let byte = byte.index(bytes.len());
        bytes[byte] ^= 1_u8 << bit;
        let seen = watch_in(&mut with_keys(), Session::new(None), &sent);
        let whole = watch_in(&mut with_keys(), Session::new(None), &recording.wire.sent);
        let (seen, whole) = (&seen.plain[at(direction)], &whole.plain[at(direction)]);
        prop_assert!(whole.starts_with(seen) || whole.ends_with(seen));
    }
}
