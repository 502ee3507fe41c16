//! Makes captures for a test, with a journal of the messages.
#![allow(dead_code, reason = "each test uses its own part of it")]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use analyze::analysis::{self, Options};
use analyze::input::discover::{Input, OwnTraffic};
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::frame::flags;
use craft::pcap;
use data_encoding::HEXLOWER;
use exposure_schema::Capture;
use serde_json::Value;

/// The first of eight decoys.
const DECOY: u128 = 0xffee_ddcc_bbaa_9988_7766_5544_3322_1100;

/// When a run's capture begins, nanoseconds since the epoch.
pub(crate) const STARTED_AT: u64 = 10_000_000_000;

/// One frame of a capture to be made.
#[derive(Clone)]
pub(crate) struct Made {
    /// Bytes on the wire.
    pub(crate) original_len: u32,
    /// Bytes captured.
    pub(crate) bytes: Vec<u8>,
}

/// A journal line to be written.
pub(crate) struct Line<'a> {
    /// Whose.
    pub(crate) agent: &'a str,
    /// `sent` or `received`.
    pub(crate) event: &'a str,
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    /// The message.
    pub(crate) body: &'a str,
}

/// A directory for a capture, with a journal of its messages.
pub(crate) struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    /// With this journal.
    pub(crate) fn new(lines: &[Line<'_>]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let text: String = lines.iter().map(|line| format!("{}\n", line.json())).collect();
        std::fs::write(directory.path().join("a.jsonl"), text).expect("the journal");
        Self { directory }
    }

    /// Without a journal.
    pub(crate) fn without_journal() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// The capture.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("a.pcap")
    }

    /// Analyzes a capture of these frames. Frame n is captured at n microseconds.
    pub(crate) fn analyze(&self, made: &[Made]) -> Capture {
        self.analyze_file(&capture_file(made))
    }

    /// Analyzes a capture that starts at [`STARTED_AT`] with the files of a run, after `change` to the manifest and to the
    /// one line of the journal.
    pub(crate) fn analyze_run(&self, made: &[Made], change: impl FnOnce(&mut Value, &mut Value)) -> Capture {
        let mut writer = pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN)
            .expect("a vector can be written");
        for (at, made) in (1..).zip(made) {
            let at = STARTED_AT + at * 1000;
            writer.write(at, made.original_len, &made.bytes).expect("a vector can be written");
        }
        let file = writer.into_inner();
        let mut manifest = serde_json::json!({
            "schema": "plainsight.manifest/1", "run_id": "0", "name": "a", "backend": "relay", "vantage": "relay",
            "variant": {
                "name": "http", "scheme": "http", "http_version": "1.1", "tls_versions": [], "port": 8000,
                "server_name": null, "expected_verdict": "exposed",
            },
            "interface": null, "link_type": 1, "finished": true, "drained": true, "key_log": null,
            "capture": {
                "file": "a.pcap", "sha256": sha256(&file), "frames": made.len(), "bytes": file.len(),
                "kernel_drops": null, "snaplen": pcap::FULL_SNAPLEN, "filter": "", "truncated_frames": 0,
                "unfinished_checksums": 0, "segmentation_offload_frames": 0,
            },
            "journals": ["a.jsonl"], "decoys": (0..8).map(|n| format!("{:032x}", DECOY + n)).collect::<Vec<_>>(),
            "program": {"name": "craft", "version": "0"},
            "started_at_unix_ns": STARTED_AT, "ended_at_unix_ns": STARTED_AT, "expected_verdict": "exposed",
        });
        let journal = self.directory.path().join("a.jsonl");
        let text = std::fs::read_to_string(&journal).expect("the journal");
        let mut line: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        change(&mut manifest, &mut line);
        // agent-b journals what agent-a does, from its own point of view.
        let mut other = line.clone();
        other["agent"] = "agent-b".into();
        other["event"] = if line["event"] == "sent" { "received" } else { "sent" }.into();
        (other["local"], other["remote"]) = (line["remote"].clone(), line["local"].clone());
        std::fs::write(&journal, format!("{line}\n{other}\n")).expect("the journal");
        std::fs::write(self.directory.path().join("a.manifest.json"), manifest.to_string())
            .expect("the manifest");
        self.analyze_file(&file)
    }

    /// Puts a key log beside the captures.
    pub(crate) fn with_keys(self, key_log: &[u8]) -> Self {
        std::fs::write(self.directory.path().join("a.keys"), key_log).expect("the key log");
        self
    }

    /// Analyzes a capture of these frames by the strings and the scope that flags state.
    pub(crate) fn analyze_own(&self, made: &[Made], own: OwnTraffic) -> Capture {
        self.analyze_as(&capture_file(made), Some(own))
    }

    /// Analyzes a file.
    pub(crate) fn analyze_file(&self, file: &[u8]) -> Capture {
        self.analyze_as(file, None)
    }

    fn analyze_as(&self, file: &[u8], own: Option<OwnTraffic>) -> Capture {
        std::fs::write(self.path(), file).expect("the capture");
        let mut input = Input::file(&self.path());
        input.own = own.map(Arc::new);
        input.journals =
            Some(self.directory.path().join("a.jsonl")).filter(|path| path.exists()).into_iter().collect();
        input.key_log = Some(self.directory.path().join("a.keys")).filter(|path| path.exists());
        analysis::analyze(&input, Options::default(), &mut |_| ControlFlow::Continue(())).expect("a capture")
    }
}

fn capture_file(made: &[Made]) -> Vec<u8> {
    let mut writer = pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN)
        .expect("a vector can be written");
    for (at, made) in (1..).zip(made) {
        writer.write(at * 1000, made.original_len, &made.bytes).expect("a vector can be written");
    }
    writer.into_inner()
}

impl Line<'_> {
    fn json(&self) -> serde_json::Value {
        let Self { agent, event, at, body } = self;
        serde_json::json!({
            "schema": "plainsight.journal/1", "run": "0", "agent": agent, "event": event,
            "message_id": "call-0001", "at_unix_ns": at, "local": null, "remote": "10.0.0.2:8000",
            "content_type": "application/json", "body_sha256": sha256(body.as_bytes()), "body": body,
        })
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    HEXLOWER.encode(digest.as_ref())
}

/// A TCP connection of which the frames are recorded.
pub(crate) struct Conversation {
    connection: Connection,
    frames: Frames,
}

impl Conversation {
    fn new() -> Self {
        let settings = Settings {
            ack_every: 0,
            client_isn: u32::MAX - 3, // the numbers wrap
            server_isn: 7,
            ..Settings::new(
                "10.0.0.1:40000".parse().expect("an address"),
                "10.0.0.2:8000".parse().expect("an address"),
            )
        };
        let connection = Connection::new(settings).expect("one IP version");
        Self { connection, frames: Frames::default() }
    }

    /// A connection after its handshake.
    pub(crate) fn open() -> Self {
        let mut conversation = Self::new();
        conversation.connection.open(0, &mut conversation.frames).expect("a fresh connection");
        conversation
    }

    /// Sends bytes in segments of full size.
    pub(crate) fn sends(mut self, side: Side, bytes: &[u8]) -> Self {
        self.connection.send(side, bytes, 0, &mut self.frames).expect("an open connection");
        self
    }

    /// Sends a segment again, or out of order.
    pub(crate) fn repeats(mut self, side: Side, offset: u32, bytes: &[u8]) -> Self {
        self.connection.segment(side, offset, flags::ACK, bytes, 0, &mut self.frames);
        self
    }

    /// Sends a FIN.
    pub(crate) fn closes(mut self, side: Side) -> Self {
        self.connection.close(side, 0, &mut self.frames).expect("an open connection");
        self
    }

    /// Sends an RST.
    pub(crate) fn resets(mut self, side: Side) -> Self {
        self.connection.reset(side, 0, &mut self.frames).expect("an open connection");
        self
    }

    /// Returns all frames so far.
    pub(crate) fn made(&self) -> Vec<Made> {
        self.frames.iter().map(|frame| whole(frame.bytes.to_vec())).collect()
    }
}

/// A frame that was captured whole.
pub(crate) fn whole(bytes: Vec<u8>) -> Made {
    Made { original_len: bytes.len() as u32, bytes }
}

/// A TLS record.
pub(crate) fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (body.len() as u16).to_be_bytes();
    [&[content_type, 3, 3, high, low], body].concat()
}
