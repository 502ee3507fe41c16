//! TLS 1.3 connections between a rustls client and server, seen from the wire.

#[path = "tls_support/peer.rs"]
mod peer;
mod tls_support;

use dissect::flow::Direction;
use dissect::keylog::KeyLog;
use dissect::tls::{
    AlertDescription, CipherSuite, Content, ContentType, Epoch, Event, Finished, Handshake, KeyExchange,
    Message, NamedGroup, NotDecrypted, ProtocolVersion, Reason, Session, Workspace,
};
use peer::{Setup, converse};
use proptest::prelude::*;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use std::sync::Arc;
use tls_support::{Seen, Step, Wire, watch, watch_steps};

const CLIENT: Direction = Direction::ClientToServer;
const SERVER: Direction = Direction::ServerToClient;

fn watch_with_keys(wire: &Wire) -> Seen {
    watch(Session::new(Some(wire.key_log())), &wire.sent)
}

fn client_hello(seen: &Seen) -> &dissect::tls::ClientHello {
    let found = seen.message(CLIENT, |m| matches!(m, Message::ClientHello(_))).unwrap();
    assert!(!found.was_encrypted);
    match &found.message {
        Message::ClientHello(hello) => hello,
        _ => unreachable!(),
    }
}

fn server_hellos(seen: &Seen) -> Vec<&dissect::tls::ServerHello> {
    let hello = |found: &'_ Handshake| matches!(found.message, Message::ServerHello(_));
    seen.messages
        .iter()
        .filter(|found| hello(found))
        .map(|found| match &found.message {
            Message::ServerHello(hello) => hello.as_ref(),
            _ => unreachable!(),
        })
        .collect()
}

/// Every suite of rustls with every group that its version allows.
#[test]
fn decrypts_every_suite_and_group_of_rustls() {
    let mut suites = 0;
    for suite in aws_lc_rs::ALL_CIPHER_SUITES {
        suites += 1;
        let version = suite.version().version;
        for group in aws_lc_rs::ALL_KX_GROUPS.iter().filter(|group| group.usable_for_version(version)) {
            let wire = converse(&Setup::new(*suite, *group));
            let seen = watch_with_keys(&wire);
            seen.assert_sealed();
            assert_eq!(seen.plain, [b"a question".to_vec(), b"an answer".to_vec()]);
            assert_eq!(seen.finished, [Finished::Verified; 2]);

            let hello = client_hello(&seen);
            let [choice] = server_hellos(&seen)[..] else { panic!() };
            assert_eq!(choice.version.0, u16::from(version));
            assert_eq!(choice.cipher_suite.0, u16::from(suite.suite()));
            if version == rustls::ProtocolVersion::TLSv1_3 {
                let group = NamedGroup(u16::from(group.name()));
                assert!(hello.key_share_groups.contains(&group));
                assert_eq!(choice.key_share_group, Some(group));
            }
        }
    }
    assert_eq!(suites, 9);
}

#[test]
fn describes_both_hellos_and_the_certificate() {
    for (suite, code) in [
        (cipher_suite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS_AES_128_GCM_SHA256),
        (cipher_suite::TLS13_AES_256_GCM_SHA384, CipherSuite::TLS_AES_256_GCM_SHA384),
        (cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, CipherSuite::TLS_CHACHA20_POLY1305_SHA256),
    ] {
        let wire = converse(&Setup::new(suite, kx_group::X25519MLKEM768));
        let seen = watch_with_keys(&wire);
        let close = AlertDescription::CLOSE_NOTIFY.to_string();
        assert_eq!(seen.alerts, [(CLIENT, close.clone()), (SERVER, close)]);
        assert_eq!(seen.epochs, Some([Epoch::Application(0); 2]));

        let hello = client_hello(&seen);
        assert_eq!(hello.server_name.as_deref(), Some("agent-b"));
        assert_eq!(hello.alpn, ["h2", "http/1.1"]);
        let [choice] = server_hellos(&seen)[..] else { panic!() };
        assert_eq!((choice.version, choice.cipher_suite), (ProtocolVersion::TLS_1_3, code));
        assert_eq!(choice.key_share_group, Some(NamedGroup::X25519MLKEM768));
        assert_eq!(choice.session_id, hello.session_id);

        let extensions = seen.message(SERVER, |m| matches!(m, Message::EncryptedExtensions(_))).unwrap();
        let Message::EncryptedExtensions(extensions) = &extensions.message else { unreachable!() };
        assert_eq!(extensions.alpn.as_deref(), Some("http/1.1"));
        let chain = seen.message(SERVER, |m| matches!(m, Message::Certificate(_))).unwrap();
        assert!(chain.was_encrypted);
        let Message::Certificate(chain) = &chain.message else { unreachable!() };
        let leaf = chain.certificates[0].fields.as_ref().unwrap();
        assert_eq!(leaf.subject_alt_names, ["agent-b", "127.0.0.1"]);
        assert_eq!(leaf.public_key_algorithm, "ECDSA secp256r1");
        assert_eq!(leaf.signature_algorithm, "ecdsa-with-SHA256");
    }
}

#[test]
fn reads_a_session_of_tls_1_2_in_every_division() {
    for suite in [
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ] {
        let wire = converse(&Setup::new(suite, kx_group::X25519));
        let seen = watch_with_keys(&wire);
        let [choice] = server_hellos(&seen)[..] else { panic!() };
        assert_eq!(choice.version, ProtocolVersion::TLS_1_2);
        assert_eq!(KeyExchange::of(choice), Some(KeyExchange::ForwardSecret));
        assert_eq!(watch_with_keys(&wire.chopped(1)), seen);
    }
}

#[test]
fn reads_a_post_quantum_hello_over_several_segments() {
    let wire = converse(&Setup::new(cipher_suite::TLS13_AES_128_GCM_SHA256, kx_group::X25519MLKEM768));
    assert!(wire.sent[0].1.len() > 1300);
    let whole = watch_with_keys(&wire);
    assert_eq!(watch_with_keys(&wire.chopped(1300)), whole);
    assert!(client_hello(&whole).key_share_groups[0].is_post_quantum_hybrid());
}

#[test]
fn decrypts_after_a_hello_retry_request() {
    let mut setup = Setup::usual();
    setup.client_groups = vec![kx_group::X25519, kx_group::SECP384R1];
    setup.server_groups = vec![kx_group::SECP384R1];
    let wire = converse(&setup);
    let seen = watch_with_keys(&wire);
    seen.assert_sealed();
    assert_eq!(seen.plain, [b"a question".to_vec(), b"an answer".to_vec()]);
    let [retry, choice] = server_hellos(&seen)[..] else { panic!() };
    assert!(retry.is_hello_retry_request && !choice.is_hello_retry_request);
    assert_eq!(retry.key_share_group, Some(NamedGroup::SECP384R1));
    let hellos = seen.messages.iter().filter(|m| matches!(m.message, Message::ClientHello(_))).count();
    assert_eq!(hellos, 2);
    assert_eq!(watch_with_keys(&wire.chopped(1)), seen);
}

#[test]
fn decrypts_a_resumed_session_without_certificate() {
    let configs = Setup::usual().configs();
    let first = configs.connect().settle().client_sends(b"one").close();
    assert!(watch_with_keys(&first).message(SERVER, |m| matches!(m, Message::NewSessionTicket(_))).is_some());

    let second = configs.connect().settle().client_sends(b"two").close();
    let seen = watch_with_keys(&second);
    seen.assert_sealed();
    assert_eq!(seen.plain[0], b"two");
    assert!(client_hello(&seen).offers_psk && server_hellos(&seen)[0].accepts_psk);
    assert!(seen.message(SERVER, |m| matches!(m, Message::Certificate(_))).is_none());
}

#[test]
fn decrypts_early_data_with_its_secret_and_skips_it_without() {
    let mut setup = Setup::usual();
    setup.early_data = true;
    let configs = setup.configs();
    configs.connect().settle().client_sends(b"one").close();

    let mut connection = configs.connect();
    std::io::Write::write_all(&mut connection.client.early_data().unwrap(), b"early ").unwrap();
    let wire = connection.settle().client_sends(b"late").close();
    assert_eq!(connection.received[1], b"early late");
    let seen = watch_with_keys(&wire);
    seen.assert_sealed();
    assert_eq!(seen.plain[0], b"early late");
    assert_eq!(watch_with_keys(&wire.chopped(1)), seen);

    let mut without = wire.clone();
    without.keys =
        wire.keys.lines().filter(|line| !line.contains("EARLY")).map(|line| format!("{line}\n")).collect();
    let seen = watch_with_keys(&without);
    assert_eq!(seen.plain[0], b"late");
    // EndOfEarlyData is not read, so that the client's Finished message cannot be compared.
    assert_eq!(seen.finished, [Finished::NotVerifiable, Finished::Verified]);
    let first = seen.counters(CLIENT).first_unexplained.unwrap();
    assert_eq!(first.reason, Reason::NotDecrypted(NotDecrypted::EarlyData));
    assert_eq!(seen.counters(CLIENT).failed, 0);
}

/// A connection with four records of early data, after one that made it possible.
fn with_early_data() -> Wire {
    let mut setup = Setup::usual();
    setup.early_data = true;
    let configs = setup.configs();
    configs.connect().settle().client_sends(b"one").close();
    let mut connection = configs.connect();
    for part in [b"a ", b"b ", b"c ", b"d "] {
        std::io::Write::write_all(&mut connection.client.early_data().unwrap(), part).unwrap();
    }
    let wire = connection.settle().client_sends(b"late").close();
    assert_eq!(connection.received[1], b"a b c d late");
    wire
}

/// A session that has the ServerHello tries the handshake keys on each record of early data. These attempts must not
/// consume sequence numbers.
#[test]
fn skips_several_records_of_early_data_after_the_server_hello() {
    let mut wire = with_early_data();
    wire.keys =
        wire.keys.lines().filter(|line| !line.contains("EARLY")).map(|line| format!("{line}\n")).collect();
    let sent = [(SERVER, wire.stream(SERVER)), (CLIENT, wire.stream(CLIENT))];
    let seen = watch(Session::new(Some(wire.key_log())), &sent);
    assert_eq!(seen.plain[0], b"late");
    let counters = seen.counters(CLIENT);
    // EndOfEarlyData is the fifth.
    assert_eq!((counters.not_decrypted, counters.failed), (5, 0));
    let reason = counters.first_unexplained.unwrap().reason;
    assert_eq!(reason, Reason::NotDecrypted(NotDecrypted::EarlyData));
}

#[test]
fn decrypts_early_data_after_a_damaged_record_of_it() {
    let wire = with_early_data();
    let (_, second) =
        protected_records(&wire).into_iter().filter(|(sender, _)| *sender == CLIENT).nth(1).unwrap();
    let client = wire.stream(CLIENT);
    let steps = with_gap(&client, CLIENT, usize::try_from(second.start).unwrap() + 8, 3);
    let server = wire.stream(SERVER);
    let seen = watch_steps(
        Session::new(Some(wire.key_log())),
        steps.into_iter().chain([Step::Bytes(SERVER, &server)]),
    );
    assert_eq!(seen.plain[0], b"a c d late");
    assert_eq!((seen.counters(CLIENT).failed, seen.counters(CLIENT).not_decrypted), (0, 0));
}

#[test]
fn follows_key_updates_in_both_directions() {
    let configs = Setup::new(cipher_suite::TLS13_AES_256_GCM_SHA384, kx_group::X25519).configs();
    let mut connection = configs.connect();
    connection.settle().client_sends(b"before ").server_sends(b"first ");
    for _ in 0..3 {
        connection.client.refresh_traffic_keys().unwrap();
        connection.client_sends(b"after ").server_sends(b"later ");
    }
    connection.server.refresh_traffic_keys().unwrap();
    connection.server_sends(b"end");
    let wire = connection.close();
    let seen = watch_with_keys(&wire);
    seen.assert_sealed();
    assert_eq!(seen.plain[0], b"before after after after ");
    assert_eq!(seen.plain[1], b"first later later later end");
    let Some([Epoch::Application(client), Epoch::Application(server)]) = seen.epochs else { panic!() };
    assert!(client >= 3 && server >= 4, "{client} {server}");
    // One try for the handshake keys and one for each generation of the others.
    assert_eq!(seen.wrong_keys[0].tries, client + 2);
    assert_eq!(watch_with_keys(&wire.chopped(1)), seen);
}

#[test]
fn shows_client_certificates_only_with_keys() {
    let mut setup = Setup::usual();
    setup.client_certificate = true;
    let wire = converse(&setup);
    let seen = watch_with_keys(&wire);
    seen.assert_sealed();
    assert_eq!(seen.plain[1], b"an answer");
    let chain = seen.message(CLIENT, |m| matches!(m, Message::Certificate(_))).unwrap();
    let Message::Certificate(chain) = &chain.message else { unreachable!() };
    assert_eq!(chain.certificates[0].fields.as_ref().unwrap().subject_alt_names[0], "agent-a");
    let without = watch(Session::new(None), &wire.sent);
    assert!(without.message(CLIENT, |m| matches!(m, Message::Certificate(_))).is_none());
}

#[test]
fn decrypts_megabytes_in_any_segmentation() {
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let wire = Setup::usual()
        .configs()
        .connect()
        .settle()
        .client_sends(&data)
        .server_sends(&data[..1_000_000])
        .close();
    for size in [usize::MAX, 1448, 65536] {
        let seen = watch_with_keys(&wire.chopped(size));
        seen.assert_sealed();
        assert!(seen.plain == [data.clone(), data[..1_000_000].to_vec()]);
    }
}

/// The same connections and labels with the first digit of every secret changed.
fn with_other_secrets(keys: &str) -> Arc<KeyLog> {
    let changed = keys.lines().map(|line| {
        let (names, secret) = line.rsplit_once(' ').unwrap();
        let digit = if secret.starts_with('0') { '1' } else { '0' };
        format!("{names} {digit}{}\n", &secret[1..])
    });
    Arc::new(KeyLog::parse(changed.collect::<String>().as_bytes()))
}

#[test]
fn authenticates_nothing_with_wrong_keys() {
    let wire = converse(&Setup::usual());
    let other = converse(&Setup::usual());
    let wrong = with_other_secrets(&wire.keys);
    let seen = watch(Session::new(Some(wrong)), &wire.sent);
    assert_eq!(seen.plain, [vec![], vec![]]);
    for counters in &seen.counters {
        assert_eq!((counters.authenticated, counters.authenticated_bytes), (0, 0));
        assert_eq!(counters.failed + counters.not_decrypted, counters.application_data_records);
        assert_eq!(counters.first_unexplained.unwrap().reason, Reason::NotAuthentic);
    }
    let seen = watch(Session::new(Some(other.key_log())), &wire.sent);
    for counters in &seen.counters {
        assert_eq!(counters.authenticated, 0);
        let first = counters.first_unexplained.unwrap();
        assert_eq!(first.reason, Reason::NotDecrypted(NotDecrypted::ClientRandomNotInKeyLog));
    }
}

#[test]
fn names_the_missing_secret() {
    let wire = converse(&Setup::usual());
    for (label, direction, decrypted) in [
        ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", CLIENT, 0),
        ("SERVER_HANDSHAKE_TRAFFIC_SECRET", SERVER, 0),
        ("CLIENT_TRAFFIC_SECRET_0", CLIENT, 1),
    ] {
        let keys: String = wire
            .keys
            .lines()
            .filter(|line| !line.starts_with(label))
            .map(|line| format!("{line}\n"))
            .collect();
        let seen = watch(Session::new(Some(Arc::new(KeyLog::parse(keys.as_bytes())))), &wire.sent);
        let counters = seen.counters(direction);
        assert_eq!(counters.authenticated, decrypted);
        let Reason::NotDecrypted(NotDecrypted::SecretMissing(missing)) =
            counters.first_unexplained.unwrap().reason
        else {
            panic!("{counters:?}")
        };
        assert_eq!(missing.as_str(), label);
        assert!(seen.counters(direction.opposite()).is_explained());
    }
}

/// Each direction yields the same events, however far it is behind or ahead of the other.
#[test]
fn accepts_the_directions_in_any_order() {
    let mut setup = Setup::usual();
    setup.client_groups = vec![kx_group::X25519, kx_group::SECP384R1];
    setup.server_groups = vec![kx_group::SECP384R1];
    for wire in [converse(&Setup::usual()), converse(&setup)] {
        let usual = watch_with_keys(&wire);
        let (client, server) = (wire.stream(CLIENT), wire.stream(SERVER));
        for sent in [
            vec![(CLIENT, client.clone()), (SERVER, server.clone())],
            vec![(SERVER, server), (CLIENT, client)],
        ] {
            let skewed = watch(Session::new(Some(wire.key_log())), &sent);
            skewed.assert_sealed();
            assert_eq!(skewed.counters, usual.counters);
            assert_eq!(skewed.plain, usual.plain);
            for direction in [CLIENT, SERVER] {
                assert_eq!(skewed.of(direction), usual.of(direction));
            }
        }
    }
}

/// The caller may have the roles wrong, for example if the capture lacks the SYN.
#[test]
fn determines_the_roles_by_the_hello() {
    let wire = converse(&Setup::usual());
    let swapped: Vec<_> =
        wire.sent.iter().map(|(direction, bytes)| (direction.opposite(), bytes.clone())).collect();
    let seen = watch(Session::new(Some(wire.key_log())), &swapped);
    seen.assert_sealed();
    assert_eq!(seen.plain, [b"an answer".to_vec(), b"a question".to_vec()]);
}

#[test]
fn counts_text_after_tls_as_unexplained() {
    let mut wire = converse(&Setup::usual());
    let end = wire.stream(CLIENT).len() as u64;
    wire.sent.push((CLIENT, b"in plain sight".to_vec()));
    for wire in [wire.clone(), wire.chopped(1)] {
        let seen = watch_with_keys(&wire);
        let counters = seen.counters(CLIENT);
        assert_eq!(counters.unexplained_bytes, 14);
        let first = counters.first_unexplained.unwrap();
        assert_eq!(first.stream_offset, end);
        assert!(matches!(first.reason, Reason::NotTls(_)));
        assert!(seen.counters(SERVER).is_explained());
    }
}

/// An attacker may insert records in the clear after encryption has begun.
#[test]
fn counts_plaintext_records_after_encryption_as_unexplained() {
    let wire = converse(&Setup::usual());
    for record in [
        &b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"[..],
        b"\x15\x03\x03\x00\x02\x01\x00",
        b"\x14\x03\x03\x00\x01\x01",
        b"\x18\x03\x03\x00\x03abc",
    ] {
        let mut wire = wire.clone();
        wire.sent.push((SERVER, record.to_vec()));
        let counters = watch_with_keys(&wire).counters[1].clone();
        assert_eq!(counters.unexplained_bytes, record.len() as u64 - 5, "{record:?}");
    }
    // A record that looks protected does not authenticate.
    let mut wire = wire.clone();
    wire.sent.push((SERVER, [&b"\x17\x03\x03\x00\x20"[..], &[b'x'; 32]].concat()));
    let counters = watch_with_keys(&wire).counters[1].clone();
    assert_eq!((counters.failed, counters.unexplained_bytes), (1, 32));
}

#[test]
fn reports_a_capture_that_begins_after_the_handshake() {
    let wire = converse(&Setup::usual());
    // The client's Finished and what follows; the server's tickets and what follows.
    let seen = watch(Session::new(Some(wire.key_log())), &wire.sent[2..]);
    assert!(seen.messages.is_empty());
    for counters in &seen.counters {
        assert!(counters.records > 0);
        assert_eq!((counters.authenticated, counters.failed), (0, 0));
        let first = counters.first_unexplained.unwrap();
        assert_eq!(first.reason, Reason::NotDecrypted(NotDecrypted::NoClientHello));
    }
}

/// A direction with a gap of `length` bytes at `from`.
fn with_gap(stream: &[u8], direction: Direction, from: usize, length: usize) -> Vec<Step<'_>> {
    let length = length.min(stream.len() - from);
    vec![
        Step::Bytes(direction, &stream[..from]),
        Step::Gap(direction, length as u64),
        Step::Bytes(direction, &stream[from + length..]),
    ]
}

#[test]
fn explains_no_stream_with_a_gap() {
    let wire = converse(&Setup::usual());
    let (client, server) = (wire.stream(CLIENT), wire.stream(SERVER));
    for (direction, incomplete, whole) in [(CLIENT, &client, &server), (SERVER, &server, &client)] {
        for from in 0..incomplete.len() {
            for length in [1, 40] {
                let steps = with_gap(incomplete, direction, from, length);
                let steps = std::iter::once(Step::Bytes(direction.opposite(), whole)).chain(steps);
                let seen = watch_steps(Session::new(Some(wire.key_log())), steps);
                let counters = seen.counters(direction);
                assert!(!counters.is_explained() && counters.gap_bytes > 0);
                assert_eq!(seen.wrong_keys[tls_support::at(direction)].authenticated, 0);
                let plain = if direction == CLIENT { &b"a question"[..] } else { b"an answer" };
                let found = &seen.plain[tls_support::at(direction)];
                assert!(found.is_empty() || found == plain);
            }
        }
    }
}

#[test]
fn decrypts_the_records_after_a_damaged_one() {
    let mut connection = Setup::usual().configs().connect();
    connection.settle().client_sends(b"one ");
    let before = connection.client_sent();
    let wire = connection.client_sends(b"two ").client_sends(b"three").close();
    let client = wire.stream(CLIENT);
    let steps = with_gap(&client, CLIENT, before + 8, 3);
    let server = wire.stream(SERVER);
    let steps = std::iter::once(Step::Bytes(SERVER, &server)).chain(steps);
    let seen = watch_steps(Session::new(Some(wire.key_log())), steps);
    assert_eq!(seen.plain[0], b"one three");
    let counters = seen.counters(CLIENT);
    assert_eq!((counters.gap_bytes, counters.unexplained_bytes, counters.failed), (3, 4 + 17 - 3, 0));
    assert_eq!(counters.first_unexplained.unwrap().reason, Reason::Gap);

    // The same with a flipped bit instead of a gap.
    let mut flipped = client.clone();
    flipped[before + 8] ^= 1;
    let seen = watch(Session::new(Some(wire.key_log())), &[(SERVER, server), (CLIENT, flipped)]);
    assert_eq!(seen.plain[0], b"one three");
    let counters = seen.counters(CLIENT);
    assert_eq!((counters.failed, counters.unexplained_bytes), (1, 4 + 17));
    assert_eq!(counters.first_unexplained.unwrap().stream_offset, before as u64);
}

#[test]
fn decrypts_a_prefix_of_every_truncated_capture() {
    let wire = converse(&Setup::usual());
    let total: usize = wire.sent.iter().map(|(_, bytes)| bytes.len()).sum();
    let whole = watch_with_keys(&wire);
    for keep in 0..total {
        let mut left = keep;
        let mut cut = Wire { sent: Vec::new(), keys: wire.keys.clone() };
        for (direction, bytes) in &wire.sent {
            let part = left.min(bytes.len());
            cut.sent.push((*direction, bytes[..part].to_vec()));
            left -= part;
        }
        let seen = watch_with_keys(&cut);
        for direction in 0..2 {
            assert!(whole.plain[direction].starts_with(&seen.plain[direction]));
            assert_eq!((seen.counters[direction].failed, seen.wrong_keys[direction].authenticated), (0, 0));
        }
    }
}

#[test]
fn authenticates_no_record_with_a_flipped_byte() {
    let wire = converse(&Setup::usual());
    let spans = protected_records(&wire);
    for (direction, span) in spans {
        let mut streams = [wire.stream(CLIENT), wire.stream(SERVER)];
        for at in span.clone() {
            let at = usize::try_from(at).unwrap();
            for flip in [0x01, 0x80] {
                let stream = &mut streams[tls_support::at(direction)];
                stream[at] ^= flip;
                let sent = [(CLIENT, streams[0].clone()), (SERVER, streams[1].clone())];
                let seen = watch(Session::new(Some(wire.key_log())), &sent);
                let counters = seen.counters(direction);
                assert!(!counters.is_explained(), "byte {at} of {direction:?}");
                assert!(counters.first_unexplained.unwrap().stream_offset <= span.start);
                assert!(seen.counters(direction.opposite()).is_explained());
                streams[tls_support::at(direction)][at] ^= flip;
            }
        }
    }
}

#[test]
fn leaves_the_header_of_an_empty_record_unexplained() {
    let wire = converse(&Setup::usual());
    for direction in Direction::BOTH {
        let mut sent = wire.sent.clone();
        sent.push((direction, vec![23, 3, 3, 0, 0]));
        let seen = watch(Session::new(Some(wire.key_log())), &sent);
        let counters = seen.counters(direction);
        assert_eq!((counters.failed, counters.unexplained_bytes), (1, 5));
        assert!(counters.adds_up() && !counters.is_explained());
    }
}

#[test]
fn accepts_hellos_with_a_flipped_byte_without_panic() {
    let wire = converse(&Setup::usual());
    for direction in [CLIENT, SERVER] {
        let first = wire.sent.iter().find(|(sender, _)| *sender == direction).unwrap().1.len();
        for at in 0..first {
            for flip in [0x01, 0x10, 0xff] {
                let mut streams = [wire.stream(CLIENT), wire.stream(SERVER)];
                streams[tls_support::at(direction)][at] ^= flip;
                let sent = [(CLIENT, streams[0].clone()), (SERVER, streams[1].clone())];
                let seen = watch(Session::new(Some(wire.key_log())), &sent);
                assert!(b"a question".starts_with(&seen.plain[0][..]));
                assert!(b"an answer".starts_with(&seen.plain[1][..]));
            }
        }
    }
}

/// Every kind of handshake: all suites, a HelloRetryRequest, a client certificate, a resumed session, early data.
fn every_handshake() -> Vec<(&'static str, Wire)> {
    let mut wires = Vec::new();
    for suite in [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ] {
        wires.push(("a suite", converse(&Setup::new(suite, kx_group::X25519))));
        let mut retried = Setup::new(suite, kx_group::X25519);
        retried.client_groups = vec![kx_group::X25519, kx_group::SECP384R1];
        retried.server_groups = vec![kx_group::SECP384R1];
        wires.push(("a HelloRetryRequest", converse(&retried)));
    }
    let mut with_certificate = Setup::usual();
    with_certificate.client_certificate = true;
    wires.push(("a client certificate", converse(&with_certificate)));
    let configs = Setup::usual().configs();
    configs.connect().settle().client_sends(b"one").close();
    wires.push(("a resumed session", configs.connect().settle().client_sends(b"two").close()));
    wires.push(("early data", with_early_data()));
    wires
}

#[test]
fn verifies_both_finished_messages() {
    for (what, wire) in every_handshake() {
        let seen = watch_with_keys(&wire);
        assert_eq!(seen.finished, [Finished::Verified; 2], "{what}");
        assert_eq!(watch_with_keys(&wire.chopped(7)).finished, [Finished::Verified; 2], "{what}");
        assert_eq!(watch(Session::new(None), &wire.sent).finished, [Finished::NotSeen; 2], "{what}");
    }
}

/// Whatever byte of a hello is changed: the connection is not decrypted, or a Finished message contradicts it.
#[test]
fn notices_every_changed_byte_of_a_hello() {
    for (what, wire) in every_handshake() {
        for direction in [CLIENT, SERVER] {
            let first = wire.sent.iter().position(|(sender, _)| *sender == direction).unwrap();
            let record = &wire.sent[first].1;
            let end = 5 + usize::from(u16::from_be_bytes([record[3], record[4]]));
            for at in 5..end {
                let mut sent = wire.sent.clone();
                sent[first].1[at] ^= 0x01;
                let seen = watch(Session::new(Some(wire.key_log())), &sent);
                assert!(!seen.finished.contains(&Finished::Verified), "{what}, {direction:?}, byte {at}");
            }
        }
    }
}

#[test]
fn a_finished_message_behind_a_lost_one_is_not_verified() {
    let wire = converse(&Setup::usual());
    let server = wire.stream(SERVER);
    // rustls sends all messages from EncryptedExtensions to Finished in one record.
    let (_, record) = protected_records(&wire).into_iter().find(|(sender, _)| *sender == SERVER).unwrap();
    let client = wire.stream(CLIENT);
    let hello = wire.sent.iter().find(|(sender, _)| *sender == CLIENT).unwrap().1.len();
    let lost = with_gap(&server, SERVER, usize::try_from(record.start).unwrap() + 8, 3);
    let steps = std::iter::once(Step::Bytes(CLIENT, &client[..hello])).chain(lost);
    let seen =
        watch_steps(Session::new(Some(wire.key_log())), steps.chain([Step::Bytes(CLIENT, &client[hello..])]));
    assert_eq!(seen.finished, [Finished::NotVerifiable, Finished::NotSeen]);
}

fn protected_records(wire: &Wire) -> Vec<(Direction, std::ops::Range<u64>)> {
    let mut spans = Vec::new();
    let mut session = Session::new(Some(wire.key_log()));
    let mut workspace = Workspace::new();
    let mut offsets = [0; 2];
    for (direction, bytes) in &wire.sent {
        let offset = &mut offsets[tls_support::at(*direction)];
        let mut feed = session.feed(&mut workspace, *direction, *offset, bytes);
        *offset += bytes.len() as u64;
        while let Some(event) = feed.next_event() {
            if let Event::Record(record) = event
                && record.header.content_type == ContentType::APPLICATION_DATA
            {
                assert!(matches!(record.content, Content::Decrypted(_)));
                spans.push((record.direction, record.range));
            }
        }
    }
    spans
}

#[test]
fn processes_the_input_of_a_feed_that_is_dropped() {
    let wire = converse(&Setup::usual());
    let mut session = Session::new(Some(wire.key_log()));
    let mut workspace = Workspace::new();
    let mut offsets = [0; 2];
    for (direction, bytes) in &wire.sent {
        let offset = &mut offsets[tls_support::at(*direction)];
        drop(session.feed(&mut workspace, *direction, *offset, bytes));
        *offset += bytes.len() as u64;
    }
    drop(session.finish(&mut workspace));
    let seen = watch_with_keys(&wire);
    assert_eq!([session.counters(CLIENT).clone(), session.counters(SERVER).clone()], seen.counters);
    assert_eq!(session.negotiated(), Some((ProtocolVersion::TLS_1_3, CipherSuite::TLS_AES_128_GCM_SHA256)));
    assert_eq!(session.tls_client(), Some(CLIENT));
    assert_eq!(session.client_random(), Some(&client_hello(&seen).random));
}

#[test]
fn counts_an_invalid_header_in_pieces_once() {
    let wire = converse(&Setup::usual());
    let pieces = [(CLIENT, vec![20]), (CLIENT, vec![20, 3, 3, 0, 0])];
    let seen = watch(Session::new(Some(wire.key_log())), &pieces);
    assert_eq!((seen.counters[0].bytes, seen.counters[0].unexplained_bytes), (6, 6));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn yields_the_same_events_in_random_splits(cuts in proptest::collection::vec(1_usize..3000, 1..40), which in 0..3_usize) {
        let suite = [
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ][which];
        let mut connection = Setup::new(suite, kx_group::X25519MLKEM768).configs().connect();
        let wire = connection.settle().client_sends(&[7; 40_000]).server_sends(b"yes").client_sends(b"bye").close();
        let whole = watch_with_keys(&wire);
        whole.assert_sealed();
        let mut sizes = cuts.iter().cycle();
        let mut pieces = Vec::new();
        for (direction, bytes) in &wire.sent {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                pieces.push((*direction, piece.to_vec()));
                rest = after;
            }
        }
        prop_assert_eq!(watch(Session::new(Some(wire.key_log())), &pieces), whole);
    }

    /// No panic, and the counters add up, which `watch` checks.
    #[test]
    fn accepts_any_bytes_in_any_direction(
        pieces in proptest::collection::vec((any::<bool>(), hostile_bytes()), 0..12),
    ) {
        let direction = |client: bool| if client { CLIENT } else { SERVER };
        let sent: Vec<_> = pieces.into_iter().map(|(client, bytes)| (direction(client), bytes)).collect();
        let wire = converse(&Setup::usual());
        watch(Session::new(Some(wire.key_log())), &sent);
    }
}

/// Bytes that often look like records.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let record = (20_u8..25, proptest::collection::vec(any::<u8>(), 0..60)).prop_map(|(kind, body)| {
        let mut record = vec![kind, 3, 3, 0, u8::try_from(body.len()).unwrap()];
        record.extend(body);
        record
    });
    let hello = (0_u8..26, proptest::collection::vec(any::<u8>(), 0..60)).prop_map(|(kind, body)| {
        let len = u8::try_from(body.len()).unwrap();
        let mut record = vec![22, 3, 1, 0, len + 4, kind, 0, 0, len];
        record.extend(body);
        record
    });
    prop_oneof![record, hello, proptest::collection::vec(any::<u8>(), 0..20)]
}
