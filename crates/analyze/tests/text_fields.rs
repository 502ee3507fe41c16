//! Strings that hellos say, too: the registered name of a protocol and the server name that the run states are known from the
//! handshake and leak nothing; any other string or key there makes the capture exposed.

#[path = "../../dissect/tests/tls_support/peer.rs"]
#[expect(dead_code, reason = "the tests of dissect use the rest")]
mod peer;
#[path = "../../dissect/tests/tls_support/mod.rs"]
mod tls_support;

use std::fs;
use std::ops::ControlFlow;

use analyze::analysis::{self, Options};
use analyze::input::discover::Input;
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::frame::flags;
use craft::pcap;
use data_encoding::HEXLOWER;
use dissect::flow::Direction;
use exposure_schema::{Capture, HandshakeField, Level, Verdict, WordKind};
use peer::Setup;
use serde_json::{Value, json};

const CLIENT: &str = "10.0.0.1:40000";
const SERVER: &str = "10.0.0.2:8443";
const RUN: &str = "00112233445566778899aabbccddeeff";
const STARTED_AT: u64 = 1_700_000_000_000_000_000;

/// One exchange over TLS with the files of its run. The client asks for the server name "agent-b" and offers h2 and http/1.1.
struct Run<'a> {
    request: &'a str,
    /// The server name in the manifest.
    stated: Option<&'a str>,
    /// How often the first segment of the client is sent.
    hellos: usize,
}

impl Run<'_> {
    fn analyze(&self) -> Capture {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        let (frames, keys) = self.frames();
        let mut writer =
            pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN).expect("a header");
        for frame in frames.iter() {
            writer.write(STARTED_AT, frame.bytes.len() as u32, frame.bytes).expect("a frame");
        }
        let file = writer.into_inner();
        fs::write(path("a.pcap"), &file).expect("the capture");
        fs::write(path("a.keys"), keys).expect("the key log");
        for agent in ["agent-a", "agent-b"] {
            fs::write(path(&format!("a.{agent}.jsonl")), self.journal(agent)).expect("a journal");
        }
        let manifest = self.manifest(&file, frames.iter().count());
        fs::write(path("a.manifest.json"), manifest.to_string()).expect("the manifest");
        let input = Input::file(&path("a.pcap"));
        analysis::analyze(&input, Options::default(), &mut |_| ControlFlow::Continue(())).expect("a capture")
    }

    fn frames(&self) -> (Frames, String) {
        let configs = Setup::usual().configs();
        let mut tls = configs.connect();
        let length = self.request.len();
        let head = format!(
            "POST /tool HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        );
        let wire = tls
            .settle()
            .client_sends(format!("{head}{}", self.request).as_bytes())
            .server_sends(answer.as_bytes())
            .close();
        let ends = [CLIENT, SERVER].map(|end| end.parse().expect("an address"));
        let mut connection = Connection::new(Settings::new(ends[0], ends[1])).expect("one IP version");
        let mut frames = Frames::default();
        connection.open(0, &mut frames).expect("a fresh connection");
        for (number, (direction, bytes)) in wire.sent.iter().enumerate() {
            let side = match direction {
                Direction::ClientToServer => Side::Client,
                Direction::ServerToClient => Side::Server,
            };
            connection.send(side, bytes, 0, &mut frames).expect("an open connection");
            if number == 0 {
                (1..self.hellos).for_each(|_| connection.segment(side, 0, flags::ACK, bytes, 0, &mut frames));
            }
        }
        for side in [Side::Client, Side::Server] {
            connection.close(side, 0, &mut frames).expect("an open connection");
        }
        (frames, wire.keys)
    }

    fn journal(&self, agent: &str) -> String {
        let is_client = agent == "agent-a";
        let (local, remote) = if is_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let messages = [(self.request, is_client), (ANSWER, !is_client)];
        let line = |(body, is_sent): (&str, bool)| {
            json!({
                "schema": "plainsight.journal/1", "run": RUN, "agent": agent,
                "event": if is_sent { "sent" } else { "received" }, "message_id": null, "at_unix_ns": STARTED_AT,
                "local": local, "remote": remote, "content_type": "application/json",
                "body_sha256": sha256(body.as_bytes()), "body": body,
            })
        };
        messages.into_iter().map(|message| format!("{}\n", line(message))).collect()
    }

    fn manifest(&self, file: &[u8], frames: usize) -> Value {
        json!({
            "schema": "plainsight.manifest/1", "run_id": RUN, "name": "a", "backend": "netns", "vantage": "interface",
            "variant": {
                "name": "https", "scheme": "https", "http_version": "1.1", "tls_versions": ["1.3"], "port": 8443,
                "server_name": self.stated, "expected_verdict": "sealed",
            },
            "interface": "veth-b", "link_type": 1, "finished": true, "drained": true, "key_log": "a.keys",
            "capture": {
                "file": "a.pcap", "sha256": sha256(file), "frames": frames, "bytes": file.len(), "kernel_drops": 0,
                "snaplen": pcap::FULL_SNAPLEN, "filter": "tcp port 8443", "truncated_frames": 0,
                "unfinished_checksums": 0, "segmentation_offload_frames": 0,
            },
            "journals": ["a.agent-a.jsonl", "a.agent-b.jsonl"],
            "decoys": (0..8).map(|n| format!("{:032x}", DECOY + n)).collect::<Vec<_>>(),
            "program": {"name": "craft", "version": "0"},
            "started_at_unix_ns": STARTED_AT, "ended_at_unix_ns": STARTED_AT, "expected_verdict": "sealed",
        })
    }
}

/// The first of eight decoys.
const DECOY: u128 = 0xffee_ddcc_bbaa_9988_7766_5544_3322_1100;

const ANSWER: &str = r#"{"result":"a string that only the answer contains"}"#;

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

fn run(request: &str) -> Capture {
    Run { request, stated: Some("agent-b"), hellos: 1 }.analyze()
}

#[test]
fn a_message_may_name_its_protocol_and_its_server() {
    for request in [
        r#"{"a":"http/1.1","b":"some longer string"}"#,
        r#"{"a":"agent-b","b":"http/1.1","agent-b":"some longer string"}"#,
        r#"{"a":"agent","h2":"b","b":["some longer string","h2"]}"#,
    ] {
        let capture = run(request);
        assert_eq!(capture.verdict, Some(Verdict::Sealed), "{request}: {:#?}", capture.reasons);
        assert!(capture.strings.iter().all(|string| string.level == Level::Decrypted), "{request}");
        let tls = capture.tls.expect("TLS");
        let said: Vec<_> =
            tls.known_from_handshake.iter().map(|said| (said.field, said.text.as_str())).collect();
        let expected = [
            (HandshakeField::ServerName, "agent-b"),
            (HandshakeField::Alpn, "h2"),
            (HandshakeField::Alpn, "http/1.1"),
            (HandshakeField::Version, "TLS 1.3"),
        ];
        assert_eq!(said, expected);
        assert_eq!((tls.words_in_handshake.len(), tls.words_in_handshake_total), (0, 0));
    }
}

#[test]
fn a_repeated_hello_says_nothing_more() {
    for hellos in 2..5 {
        let capture =
            Run { request: r#"{"a":"http/1.1","b":"some longer string"}"#, stated: Some("agent-b"), hellos }
                .analyze();
        assert_eq!(capture.verdict, Some(Verdict::Sealed), "{hellos}: {:#?}", capture.reasons);
    }
}

#[test]
fn a_name_that_the_run_does_not_state_is_exposed() {
    for (request, word, is) in [
        (r#"{"a":"agent-b","b":"some longer string"}"#, "agent-b", WordKind::Value),
        (r#"{"a":"agent","b":"some longer string"}"#, "agent", WordKind::Value),
        (r#"{"Agent":"some longer string"}"#, "agent", WordKind::Key),
    ] {
        for stated in [None, Some("agent-c")] {
            let capture = Run { request, stated, hellos: 1 }.analyze();
            assert_eq!(capture.verdict, Some(Verdict::Exposed), "{request}: {:#?}", capture.reasons);
            let found = &capture.tls.expect("TLS").words_in_handshake;
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((found[0].word.as_str(), found[0].is, found[0].text.as_str()), (word, is, "agent-b"));
            assert_eq!(
                (found[0].field, found[0].stream, found[0].frame),
                (HandshakeField::ServerName, 0, Some(4))
            );
        }
    }
    // A name that no message contains is no leak, but the manifest is wrong.
    let capture = Run { request: ANSWER, stated: None, hellos: 1 }.analyze();
    assert_eq!(capture.verdict, Some(Verdict::Inconclusive));
    assert!(
        capture.reasons.iter().any(|reason| reason.contains("variant.server_name")),
        "{:?}",
        capture.reasons
    );
}
