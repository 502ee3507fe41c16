//! Streams made by hand: TLS 1.2, hellos alone, and streams that only look like TLS.

mod tls_support;

use dissect::flow::Direction;
use dissect::tls::{
    AlertDescription, CipherSuite, Message, NotDecrypted, ProtocolVersion, Reason, Session, Workspace,
};
use tls_support::{Seen, watch};

const CLIENT: Direction = Direction::ClientToServer;
const SERVER: Direction = Direction::ServerToClient;

fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[content_type, 3, 3, high, low], body].concat()
}

fn message(message_type: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[message_type, a, b, c], body].concat()
}

/// A ClientHello with the server name "agent-b" and, if asked, `supported_versions`.
fn client_hello(tls13: bool) -> Vec<u8> {
    let mut extensions = vec![0, 0, 0, 12, 0, 10, 0, 0, 7];
    extensions.extend(b"agent-b");
    if tls13 {
        extensions.extend([0, 43, 0, 3, 2, 3, 4]);
    }
    let mut body = [&[3, 3][..], &[0x11; 32], &[0, 0, 4, 0xc0, 0x2f, 0x13, 0x01, 1, 0, 0]].concat();
    body.push(u8::try_from(extensions.len()).unwrap());
    body.extend(extensions);
    message(1, &body)
}

/// A ServerHello of TLS 1.2 with ALPN http/1.1.
fn server_hello_12() -> Vec<u8> {
    let mut body = [&[3, 3][..], &[0x22; 32], &[0, 0xc0, 0x2f, 0, 0, 15, 0, 16, 0, 11, 0, 9, 8]].concat();
    body.extend(b"http/1.1");
    message(2, &body)
}

fn server_hello_13() -> Vec<u8> {
    message(2, &[&[3, 3][..], &[0x22; 32], &[0, 0x13, 0x01, 0, 0, 6, 0, 43, 0, 2, 3, 4]].concat())
}

/// Its random is the one that makes it a HelloRetryRequest (RFC 9846 §4.1.3).
fn hello_retry_request() -> Vec<u8> {
    const RANDOM: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
        0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];
    message(2, &[&[3, 3][..], &RANDOM, &[0, 0x13, 0x01, 0, 0, 6, 0, 43, 0, 2, 3, 4]].concat())
}

#[test]
fn parses_tls_1_2_as_far_as_it_is_in_the_clear() {
    let certificate = message(11, &[0, 0, 6, 0, 0, 3, b'd', b'e', b'r']);
    let flight = [server_hello_12(), certificate, message(12, b"params"), message(14, b"")].concat();
    // Four messages in two records that split one of them.
    let (head, tail) = flight.split_at(70);
    let encrypted_finished = record(22, &[0x55; 40]);
    let sent = [
        (CLIENT, record(22, &client_hello(false))),
        (SERVER, [record(22, head), record(22, tail)].concat()),
        (CLIENT, [record(22, &message(16, b"key")), record(20, &[1]), encrypted_finished.clone()].concat()),
        (SERVER, [record(20, &[1]), encrypted_finished].concat()),
        (CLIENT, record(23, &[0x66; 60])),
        (SERVER, record(23, &[0x77; 80])),
        (SERVER, record(21, &[0x88; 26])),
    ];
    let seen = watch(Session::new(None), &sent);
    let chain = seen.message(SERVER, |m| matches!(m, Message::Certificate(_))).unwrap();
    let Message::Certificate(chain) = &chain.message else { unreachable!() };
    assert_eq!(chain.total, 1);
    assert!(chain.certificates[0].fields.is_err());
    let hello = seen.message(SERVER, |m| matches!(m, Message::ServerHello(_))).unwrap();
    let Message::ServerHello(hello) = &hello.message else { unreachable!() };
    assert_eq!((hello.version, hello.alpn.as_deref()), (ProtocolVersion::TLS_1_2, Some("http/1.1")));
    assert_eq!(hello.cipher_suite, CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256);

    let why = NotDecrypted::NoKeyLog;
    for (direction, not_decrypted, bytes) in [(CLIENT, 2, 100), (SERVER, 3, 146)] {
        let counters = seen.counters(direction);
        assert_eq!(
            (counters.not_decrypted, counters.unexplained_bytes, counters.failed),
            (not_decrypted, bytes, 0)
        );
        assert_eq!(counters.first_unexplained.unwrap().reason, Reason::NotDecrypted(why));
    }

    // A capture that is out of order may have the client's second flight before the server's hello.
    let skewed = [
        sent[0].clone(),
        sent[2].clone(),
        sent[4].clone(),
        sent[1].clone(),
        sent[3].clone(),
        sent[5].clone(),
    ];
    let skewed = watch(Session::new(None), &[&skewed[..], &sent[6..]].concat());
    assert_eq!(skewed.counters, seen.counters);
    for direction in [CLIENT, SERVER] {
        assert_eq!(skewed.of(direction), seen.of(direction));
    }
}

#[test]
fn expects_a_second_client_hello_only_after_a_retry_request_and_no_third() {
    type Messages<'a> = &'a [Vec<u8>];
    let hello = client_hello(true);
    let mut other = hello.clone();
    other[6] ^= 1; // the random
    let len = hello.len() as u64;
    let cases: [(Messages<'_>, Messages<'_>, [u64; 2]); 6] = [
        (&[hello.clone(), hello.clone()], &[hello_retry_request(), server_hello_13()], [0, 0]),
        (&[hello.clone(), other], &[hello_retry_request(), server_hello_13()], [len, 0]),
        (
            &[hello.clone(), hello.clone(), hello.clone()],
            &[hello_retry_request(), server_hello_13()],
            [len, 0],
        ),
        (&[hello.clone(), hello.clone()], &[server_hello_13()], [len, 0]),
        (&[hello.clone(), hello.clone()], &[], [len, 0]),
        (
            &[hello.clone(), hello.clone()],
            &[hello_retry_request(), hello_retry_request(), server_hello_13()],
            [0, hello_retry_request().len() as u64],
        ),
    ];
    for (at, (client, server, unexplained)) in cases.into_iter().enumerate() {
        let of = |direction, messages: &[Vec<u8>]| -> Vec<_> {
            messages.iter().map(|message| (direction, record(22, message))).collect()
        };
        let (client, server) = (of(CLIENT, client), of(SERVER, server));
        // In the order of a connection, then with the client's direction first.
        let (first, rest) = client.split_at(1);
        let (retry, choice) = server.split_at(server.len().saturating_sub(1));
        for sent in [[first, retry, rest, choice].concat(), [&client[..], &server].concat()] {
            let seen = watch(Session::new(None), &sent);
            assert_eq!(
                [CLIENT, SERVER].map(|direction| seen.counters(direction).unexplained_bytes),
                unexplained,
                "{at}"
            );
        }
    }
}

/// Until the ServerHello, the version is unknown. Only in TLS 1.2 does a client continue in the clear.
#[test]
fn rejects_client_messages_between_the_hellos_of_tls_1_3() {
    for message_type in [0, 4, 11, 12, 13, 14, 15, 16, 20, 22] {
        let message = message(message_type, b"\0\0\0");
        let sent = [
            (CLIENT, record(22, &client_hello(true))),
            (CLIENT, record(22, &message)),
            (SERVER, record(22, &server_hello_13())),
        ];
        for sent in [&sent[..], &sent[..2]] {
            let seen = watch(Session::new(None), sent);
            let counters = seen.counters(CLIENT);
            assert_eq!(counters.unexplained_bytes, message.len() as u64, "type {message_type}");
            assert!(matches!(counters.first_unexplained.unwrap().reason, Reason::UnexpectedHandshake(_)));
        }
        let with_hello = [&client_hello(true)[..], &message].concat();
        let counters = one_direction(CLIENT, record(22, &with_hello)).counters(CLIENT).clone();
        assert_eq!(counters.unexplained_bytes, message.len() as u64, "type {message_type}");
    }
}

#[test]
fn explains_at_most_two_change_cipher_specs() {
    for (times, unexplained) in [(2, 0), (3, 1), (32, 30)] {
        let sent = [record(22, &client_hello(true)), record(20, &[1]).repeat(times)].concat();
        let counters = one_direction(CLIENT, sent).counters(CLIENT).clone();
        assert_eq!(counters.unexplained_bytes, unexplained);
        assert_eq!(counters.change_cipher_spec_bytes, times as u64 - unexplained);
    }
}

fn one_direction(direction: Direction, bytes: Vec<u8>) -> Seen {
    watch(Session::new(None), &[(direction, bytes)])
}

#[test]
fn explains_a_refused_hello() {
    let refused = [(CLIENT, record(22, &client_hello(true))), (SERVER, record(21, &[2, 70]))];
    let seen = watch(Session::new(None), &refused);
    assert!(seen.counters.iter().all(dissect::tls::RecordCounters::is_explained));
    assert!(seen.events[2].contains(&AlertDescription::PROTOCOL_VERSION.to_string()), "{:?}", seen.events);
}

#[test]
fn reports_a_reason_for_each_kind_of_damage_in_the_clear() {
    type Want = fn(Reason) -> bool;
    let hello = client_hello(true);
    let mut broken = hello.clone();
    broken[4 + 34] = 33; // a session id longer than may be
    let cases: [(Vec<u8>, u64, Want); 10] = [
        (record(22, &broken), hello.len() as u64, |r| matches!(r, Reason::Handshake(..))),
        (record(22, &hello[..20]), 20, |r| r == Reason::PartialHandshake),
        (record(22, &hello)[..30].to_vec(), 30, |r| r == Reason::PartialRecord),
        (record(20, &[2]), 1, |r| r == Reason::ChangeCipherSpec),
        (record(20, &[1, 1]), 2, |r| r == Reason::ChangeCipherSpec),
        (record(21, &[1, 0, 0]), 3, |r| r == Reason::Alert),
        (record(24, b"heart"), 5, |r| matches!(r, Reason::UnexpectedContentType(_))),
        (record(22, &message(99, b"?")), 5, |r| matches!(r, Reason::UnexpectedHandshake(_))),
        // The header of a record without content is unexplained.
        (record(22, b""), 5, |r| matches!(r, Reason::NotTls(_))),
        (record(23, b""), 5, |r| matches!(r, Reason::NotDecrypted(_))),
    ];
    for (bytes, unexplained, want) in cases {
        let seen = one_direction(CLIENT, bytes.clone());
        let counters = seen.counters(CLIENT);
        assert_eq!(counters.unexplained_bytes, unexplained, "{bytes:?}");
        assert!(want(counters.first_unexplained.unwrap().reason), "{counters:?}");
    }
}

#[test]
fn rejects_messages_other_than_hellos_in_the_clear_of_tls_1_3() {
    let certificate = message(11, &[0, 0, 0, 0]);
    let sent = [
        (CLIENT, record(22, &client_hello(true))),
        (SERVER, record(22, &[server_hello_13(), certificate.clone()].concat())),
    ];
    let counters = watch(Session::new(None), &sent).counters[1].clone();
    assert_eq!(counters.unexplained_bytes, certificate.len() as u64);
    assert!(matches!(counters.first_unexplained.unwrap().reason, Reason::UnexpectedHandshake(_)));
}

#[test]
fn releases_held_records_at_the_bound() {
    let mut session = Session::new(None);
    let mut workspace = Workspace::new();
    let hello = record(22, &client_hello(true));
    drop(session.feed(&mut workspace, CLIENT, 0, &hello));
    let data = record(23, &[9; 1000]);
    let mut offset = hello.len() as u64;
    let mut released = 0;
    for _ in 0..200 {
        let mut feed = session.feed(&mut workspace, CLIENT, offset, &data);
        while feed.next_event().is_some() {
            released += 1;
        }
        drop(feed);
        offset += data.len() as u64;
    }
    assert_eq!(released, 200);
    let counters = session.counters(CLIENT);
    assert_eq!(counters.not_decrypted, 200);
    assert_eq!(counters.first_unexplained.unwrap().reason, Reason::NotDecrypted(NotDecrypted::NoServerHello));
}

#[test]
fn rejects_text_at_its_first_byte() {
    let seen = one_direction(CLIENT, b"POST /tool HTTP/1.1\r\n".to_vec());
    let counters = seen.counters(CLIENT);
    assert_eq!((counters.records, counters.unexplained_bytes), (0, 21));
    assert!(matches!(counters.first_unexplained.unwrap().reason, Reason::NotTls(_)));
}
