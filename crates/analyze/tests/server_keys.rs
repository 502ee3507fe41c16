//! Server keys open connections whose key exchange is RSA, and the result says what each key opened.

use std::ops::ControlFlow;
use std::path::PathBuf;

use analyze::analysis::{self, Options};
use analyze::explain;
use analyze::follow::Messages;
use analyze::input::capture::whole;
use analyze::input::discover::Input;
use analyze::input::key_log::Keys;
use analyze::input::secrets::Secrets;
use analyze::walk;
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::pcap;
use data_encoding::{BASE64, HEXLOWER};
use exposure_schema::{Capture, Level};
use tempfile::TempDir;

/// The keys in DER, and the connections, as `record_server_keys.py` recorded them between OpenSSL's client and server.
const RECORDED: &str = include_str!("../../dissect/tests/tls_openssl/server-keys.txt");

/// A key, and a request of HTTP with its answer, recorded likewise.
const HTTP: &str = include_str!("../../dissect/tests/tls_openssl/rsa-http.txt");

/// The last line of the client of each connection.
const QUESTION: &str = "a question from the client";

/// A capture of some of the connections, and the keys.
struct Files {
    folder: TempDir,
    connections: u16,
}

impl Files {
    /// Of the connections whose name is wanted. Beside them is a journal with the client's line.
    fn of(wanted: impl Fn(&str) -> bool) -> Self {
        Self::recorded(RECORDED, wanted)
    }

    fn recorded(recorded: &str, wanted: impl Fn(&str) -> bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut frames = Frames::default();
        let mut connections = 0;
        let mut current: Option<Connection> = None;
        for line in recorded.lines() {
            let (kind, value) = line.split_once(' ').expect("two words");
            match (kind, &mut current) {
                ("server-key", _) => {
                    let (name, der) = value.split_once(' ').expect("name and key");
                    // The short key is in the older form.
                    let label = if name == "short" { "RSA PRIVATE KEY" } else { "PRIVATE KEY" };
                    let key = BASE64.encode(&HEXLOWER.decode(der.as_bytes()).expect("hex"));
                    let lines: Vec<_> = key.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
                    let text =
                        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"));
                    std::fs::write(folder.path().join(format!("{name}.key")), text).expect("the key");
                }
                ("name", _) => {
                    current = wanted(value).then(|| {
                        connections += 1;
                        let client = format!("10.0.0.1:{}", 40_000 + connections);
                        let server = "10.0.0.2:443".parse().expect("an address");
                        let settings = Settings::new(client.parse().expect("an address"), server);
                        let mut connection = Connection::new(settings).expect("one IP version");
                        connection.open(0, &mut frames).expect("a fresh connection");
                        connection
                    });
                }
                ("C" | "S", Some(connection)) => {
                    let side = if kind == "C" { Side::Client } else { Side::Server };
                    let bytes = HEXLOWER.decode(value.as_bytes()).expect("hex");
                    connection.send(side, &bytes, 0, &mut frames).expect("an open connection");
                }
                _ => {}
            }
        }
        let mut writer = pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN)
            .expect("a vector can be written");
        for (at, frame) in (1..).zip(frames.iter()) {
            let length = frame.bytes.len() as u32;
            writer.write(at * 1000, length, frame.bytes).expect("a vector can be written");
        }
        std::fs::write(folder.path().join("a.pcap"), writer.into_inner()).expect("the capture");
        let body = serde_json::json!({ "text": QUESTION }).to_string();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        let line = serde_json::json!({
            "schema": "plainsight.journal/1", "run": "0", "agent": "agent-a", "event": "sent",
            "message_id": "call-0001", "at_unix_ns": 1, "local": null, "remote": "10.0.0.2:443",
            "content_type": "application/json", "body": body,
            "body_sha256": HEXLOWER.encode(hash.as_ref()),
        });
        std::fs::write(folder.path().join("a.jsonl"), format!("{line}\n")).expect("the journal");
        Self { folder, connections }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn analyze(&self, keys: &[&str]) -> anyhow::Result<Capture> {
        let mut input = Input::file(&self.path("a.pcap"));
        input.journals = vec![self.path("a.jsonl")];
        input.server_keys = keys.iter().map(|name| self.path(name)).collect();
        analysis::analyze(&input, Options::default(), &mut |_| ControlFlow::Continue(()))
    }
}

fn reasons(capture: &Capture) -> Vec<String> {
    capture.completeness.unexplained.iter().map(|entry| entry.reason.clone()).collect()
}

#[test]
fn opens_every_suite_with_rsa_key_exchange() {
    let files = Files::of(|name| name.contains("TLS_RSA_WITH_") || name.ends_with("short key"));
    let capture = files.analyze(&["long.key", "short.key"]).expect("a capture");
    assert_eq!(files.connections, 64);
    let tls = capture.tls.as_ref().expect("TLS");
    assert_eq!(
        (tls.connections, tls.records.not_opened, tls.records.failed),
        (64, 0, 0),
        "{:?}",
        reasons(&capture)
    );
    let [long, short] = &capture.server_keys[..] else { panic!("two keys") };
    assert_eq!((long.bits, long.handshakes, long.opened, &long.reason), (2048, 58, 58, &None));
    assert_eq!((short.bits, short.handshakes, short.opened, &short.reason), (1024, 6, 6, &None));
    for key in [long, short] {
        let [certificate] = &key.certificates[..] else { panic!("one certificate") };
        let leaves = tls.sessions.iter().filter_map(|session| session.visible.certificates.first());
        assert!(leaves.into_iter().any(|leaf| leaf.sha256 == *certificate), "{certificate}");
    }
    let found = capture.strings.iter().find(|entry| entry.value.contains(QUESTION)).expect("the line");
    // Suites without encryption show it on the wire, too.
    assert_ne!(found.level, Level::Absent);

    // The verdict on TLS before 1.3 stays open.
    let files = Files::of(|name| name == "TLS 1.2 TLS_RSA_WITH_AES_128_GCM_SHA256 extended");
    let capture = files.analyze(&["long.key"]).expect("a capture");
    assert_eq!(capture.summary.decrypted, 1);
    assert!(!capture.reasons.is_empty());
    assert_eq!(capture.verdict, Some(exposure_schema::Verdict::Inconclusive));
}

#[test]
fn names_the_reason_where_a_key_opens_nothing() {
    let files = Files::of(|name| name == "forward secret");
    let capture = files.analyze(&["long.key", "short.key"]).expect("a capture");
    let [long, short] = &capture.server_keys[..] else { panic!("two keys") };
    assert_eq!((long.handshakes, long.opened, long.other_exchanges), (1, 0, 1));
    assert!(long.reason.as_ref().is_some_and(|reason| reason.contains("forward secrecy")), "{long:?}");
    assert!(short.reason.as_ref().is_some_and(|reason| reason.contains("no server presents")), "{short:?}");
    let reasons = reasons(&capture);
    assert!(reasons.iter().any(|reason| reason.contains("a server's key does not open it")), "{reasons:?}");
    assert_eq!(capture.summary.decrypted, 0);

    let error = files.analyze(&["a.jsonl"]).expect_err("no key").to_string();
    assert!(error.ends_with("a.jsonl"), "{error}");
    assert!(files.analyze(&["missing.key"]).is_err());
}

#[test]
fn opens_sessions_that_resume_one_that_a_key_opened() {
    for how in ["by ticket", "by id"] {
        let files = Files::of(|name| name.starts_with(&format!("TLS 1.2 AES128-SHA {how}")));
        let capture = files.analyze(&["long.key"]).expect("a capture");
        let records = capture.tls.as_ref().expect("TLS").records;
        assert_eq!(
            (files.connections, records.not_opened, records.failed),
            (2, 0, 0),
            "{how}: {:?}",
            reasons(&capture)
        );
        assert_eq!((capture.server_keys[0].handshakes, capture.server_keys[0].opened), (1, 1));
        assert!(records.authenticated > 0);
    }
}

const REQUEST: &str = "GET /answer HTTP/1.0";

#[test]
fn a_walk_shows_what_a_key_opens() {
    let files = Files::recorded(HTTP, |_| true);
    let given = [files.path("http.key")];
    let pieces = |server_keys: &[PathBuf]| {
        let secrets = Secrets { keys: Keys::None, server_keys };
        walk::stream(&files.path("a.pcap"), 0, secrets, 0..9, &mut whole).expect("a connection").pieces
    };
    let opened = pieces(&given);
    assert_eq!(opened.len(), 2);
    assert!(opened.iter().all(|piece| piece.decrypted));
    assert!(opened[0].bytes.starts_with(&HEXLOWER.encode(REQUEST.as_bytes())));
    assert!(opened[1].bytes.ends_with(&HEXLOWER.encode(b"only for you")));
    assert!(pieces(&[]).iter().all(|piece| !piece.decrypted));
}

#[test]
fn an_explanation_has_the_plaintext_that_a_key_opens() {
    let files = Files::recorded(HTTP, |_| true);
    let given = [files.path("http.key")];
    let plaintexts = |server_keys: &[PathBuf]| {
        let secrets = Secrets { keys: Keys::None, server_keys };
        let of = |frame| explain::frame(&files.path("a.pcap"), frame, secrets, &mut whole);
        (1..).map_while(|frame| of(frame).ok()).flat_map(|explained| explained.plaintexts).collect::<Vec<_>>()
    };
    let opened = plaintexts(&given);
    let request = opened.iter().find(|plaintext| plaintext.bytes.starts_with(REQUEST.as_bytes()));
    let fields = &request.expect("the request").fields;
    assert!(fields.iter().any(|field| field.kind.id() == "http.request.method"), "{fields:?}");
    assert!(plaintexts(&[]).is_empty());
    // An error of a file names it.
    let secrets = Secrets { keys: Keys::None, server_keys: &[files.path("a.jsonl")] };
    let error = explain::frame(&files.path("a.pcap"), 1, secrets, &mut whole).expect_err("no key");
    assert!(error.to_string().ends_with("a.jsonl"), "{error}");
}

#[test]
fn the_messages_of_a_growing_capture_are_opened_with_a_key() {
    let files = Files::recorded(HTTP, |_| true);
    let lines = |server_keys: &[PathBuf]| {
        let messages = Messages::of_file(&files.path("a.pcap"), None).expect("a file");
        let mut messages = messages.with_server_keys(server_keys).expect("keys");
        let mut lines = Vec::new();
        messages.read(&mut |line| lines.push((line.what.clone(), line.needs_keys))).expect("a capture");
        messages.finish(&mut |line| lines.push((line.what.clone(), line.needs_keys)));
        lines
    };
    let opened = lines(&[files.path("http.key")]);
    assert_eq!(opened[2..], [("GET /answer".to_owned(), true), ("status 200".to_owned(), true)]);
    assert!(lines(&[]).iter().all(|(_, needs_keys)| !needs_keys));
    let messages = Messages::of_pieces(None);
    assert!(messages.with_server_keys(&[files.path("missing.key")]).is_err());
}
