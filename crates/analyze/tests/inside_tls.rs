//! What is inside of TLS must be read, too: that a record authenticates does not explain its contents.

#[path = "../../dissect/tests/tls_support/peer.rs"]
#[expect(dead_code, reason = "the tests of dissect use the rest")]
mod peer;
#[path = "../../dissect/tests/tls_support/mod.rs"]
mod tls_support;

use std::fs;
use std::io::BufWriter;
use std::ops::ControlFlow;

use analyze::analysis::{self, Options};
use analyze::input::discover::Input;
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::pcap;
use dissect::flow::Direction;
use exposure_schema::{Capture, KeyExchange, Level};
use peer::{Setup, TestConnection};
use tls_support::Wire;

/// Analyzes a TLS connection with its key log.
fn analyze(wire: &Wire) -> Capture {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a.pcap");
    let settings = Settings::new(
        "10.0.0.1:40000".parse().expect("an address"),
        "10.0.0.2:8443".parse().expect("an address"),
    );
    let mut connection = Connection::new(settings).expect("one IP version");
    let mut frames = Frames::default();
    connection.open(0, &mut frames).expect("a fresh connection");
    for (direction, bytes) in &wire.sent {
        let side = match direction {
            Direction::ClientToServer => Side::Client,
            Direction::ServerToClient => Side::Server,
        };
        connection.send(side, bytes, 0, &mut frames).expect("an open connection");
    }
    let file = BufWriter::new(fs::File::create(&path).expect("a file"));
    let mut writer = pcap::Writer::new(file, connection.link_type(), pcap::FULL_SNAPLEN).expect("a header");
    for frame in frames.iter() {
        writer.write(frame.at_ns, frame.bytes.len() as u32, frame.bytes).expect("a frame");
    }
    writer.flush().expect("the file");
    drop(writer);
    let mut input = Input::file(&path);
    let keys = directory.path().join("a.keys");
    fs::write(&keys, &wire.keys).expect("the key log");
    input.key_log = Some(keys);
    analysis::analyze(&input, Options::default(), &mut |_| ControlFlow::Continue(())).expect("a capture")
}

fn connected(exchange: impl FnOnce(&mut TestConnection)) -> Capture {
    let configs = Setup::usual().configs();
    let mut connection = configs.connect();
    connection.settle();
    exchange(&mut connection);
    analyze(&connection.close())
}

#[test]
fn http_inside_of_tls_is_explained() {
    let capture = connected(|connection| {
        connection
            .client_sends(b"POST /tool HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            .server_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull");
    });
    assert_eq!(capture.completeness.unexplained_bytes, 0, "{:?}", capture.completeness.unexplained);
    assert_eq!(capture.http_total, 2);
}

/// TLS 1.2 is read like TLS 1.3, but no rule checks the fields of its handshake, so that a doubt is left.
#[test]
fn http_inside_of_tls_1_2_is_read_and_a_doubt() {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
    let setup = Setup::new(suite, rustls::crypto::aws_lc_rs::kx_group::X25519);
    let mut connection = setup.configs().connect();
    connection
        .settle()
        .client_sends(b"POST /tool HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        .server_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull");
    let capture = analyze(&connection.close());
    assert_eq!(capture.http_total, 2);
    assert!(capture.http.iter().all(|message| message.layers == ["tls1.2", "http1"]));
    assert!(capture.http.iter().all(|message| message.level == Level::Decrypted));
    let doubts = &capture.completeness.unexplained;
    let only = "TLS 1.2 is read, but the fields of its handshake are not checked one by one";
    assert!(!doubts.is_empty() && doubts.iter().all(|doubt| doubt.reason == only), "{doubts:?}");
    assert!(!capture.completeness.passed);
    let tls = capture.tls.expect("TLS");
    assert_eq!((tls.records.failed, tls.records.not_opened), (0, 0));
    let visible = &tls.sessions[0].visible;
    assert_eq!(visible.key_exchange, Some(KeyExchange::ForwardSecret));
    assert!(visible.ja4.as_ref().is_some_and(|ja4| ja4.starts_with("t12d")), "{visible:?}");
    assert_eq!(visible.certificates.len(), 1);
    assert!(visible.certificates[0].not_after_unix > visible.certificates[0].not_before_unix);
}

/// HTTP/2 with an answer of server-sent events. What its frames can hide stays a doubt.
#[test]
fn http2_inside_of_tls_is_read() {
    let frame = |frame_type, flags, stream, payload: &[u8]| {
        [&[0, 0, payload.len() as u8, frame_type, flags, 0, 0, 0, stream][..], payload].concat()
    };
    let settings = frame(4, 0, 0, b"");
    // POST http://b/x, and status 200 with a content type (RFC 7541 §6).
    let request = frame(1, 5, 1, b"\x83\x86\x44\x02/x\x41\x01b");
    let head = frame(1, 4, 1, b"\x88\x5f\x11text/event-stream");
    let body = b"data: {\"a\":\"first\"}\n\ndata: {\"a\":\"second\"}\n\n";
    let capture = connected(|connection| {
        connection
            .client_sends(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings, &request].concat())
            .server_sends(&[&settings[..], &head, &frame(0, 0, 1, &body[..30])].concat())
            .server_sends(&frame(0, 1, 1, &body[30..]));
    });
    let messages: Vec<_> = capture
        .http
        .iter()
        .map(|message| (message.http2_stream, message.method.as_deref(), message.status, message.complete))
        .collect();
    assert_eq!(messages, [(Some(1), Some("POST"), None, true), (Some(1), None, Some(200), true)]);
    let parts: Vec<_> = capture.parts.iter().map(|part| (part.bytes, part.level, part.complete)).collect();
    assert_eq!(parts, [(13, Level::Decrypted, true), (14, Level::Decrypted, true)]);
    assert!(capture.readable.is_empty(), "nothing of it can be read without the keys");
    assert!(!capture.completeness.passed);
}

/// A sender that knows the keystream can choose a plaintext whose ciphertext spells something.
#[test]
fn bytes_inside_of_tls_that_no_parser_reads_are_a_doubt() {
    for noise in [&b"\x93\x1c\xfe\x00 nothing that any parser reads"[..], &[0xff; 3000]] {
        let capture = connected(|connection| {
            connection.client_sends(noise);
        });
        assert_eq!(capture.completeness.unexplained_bytes, noise.len() as u64);
        assert!(!capture.completeness.passed);
    }
}

#[test]
fn bytes_behind_an_http_message_inside_of_tls_are_a_doubt() {
    let capture = connected(|connection| {
        connection.client_sends(b"GET / HTTP/1.1\r\n\r\n\x00\x01\x02 and more that is no request\r\n\r\n");
    });
    assert!(capture.completeness.unexplained_bytes > 0);
}

#[test]
fn a_message_inside_of_tls_that_does_not_go_on_is_a_doubt() {
    let whole = "GET / HTTP/1.1\r\n\r\n";
    for head in ["POST", "GET /tool HTTP/1.1\r\nHost: a", "GET /tool HTTP/1.1\r\nHost: a\r\n"] {
        for (before, sent) in [("", head.to_owned()), (whole, format!("{whole}{head}"))] {
            let capture = connected(|connection| {
                connection.client_sends(sent.as_bytes());
            });
            let completeness = &capture.completeness;
            assert_eq!(completeness.unexplained_bytes, head.len() as u64, "{before:?} {head:?}");
            assert!(!completeness.passed);
        }
    }
}
