//! Captures made for a test, with a journal of what was said.
#![allow(dead_code, reason = "each test uses its own part of it")]

use std::path::PathBuf;

use analyze::exposure::Capture;
use analyze::inputs::Input;
use analyze::prove::{self, Options};
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::frame::flags;
use craft::pcap;

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

/// A place for a capture, with what was said in it.
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

    /// The capture.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("a.pcap")
    }

    /// Frame n is captured at n microseconds.
    pub(crate) fn analyze(&self, made: &[Made]) -> Capture {
        let mut writer = pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN)
            .expect("a vector can be written");
        for (at, made) in (1..).zip(made) {
            writer.write(at * 1000, made.original_len, &made.bytes).expect("a vector can be written");
        }
        self.analyze_file(&writer.into_inner())
    }

    /// A file as it is.
    pub(crate) fn analyze_file(&self, file: &[u8]) -> Capture {
        std::fs::write(self.path(), file).expect("the capture");
        let mut input = Input::file(&self.path());
        input.journals = vec![self.directory.path().join("a.jsonl")];
        prove::prove(&input, Options::default(), &mut |_| {}).expect("a capture")
    }
}

impl Line<'_> {
    fn json(&self) -> serde_json::Value {
        let Self { agent, event, at, body } = self;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        let sha256: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!({
            "schema": "plainsight.journal/1", "run": "0", "agent": agent, "event": event,
            "message_id": "call-0001", "at_unix_ns": at, "local": null, "remote": "10.0.0.2:8000",
            "content_type": "application/json", "body_sha256": sha256, "body": body,
        })
    }
}

/// A conversation under way.
pub(crate) struct Talk {
    connection: Connection,
    frames: Frames,
}

impl Talk {
    /// Two ends that have not met.
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

    /// After the handshake.
    pub(crate) fn open() -> Self {
        let mut talk = Self::new();
        talk.connection.open(0, &mut talk.frames).expect("a fresh connection");
        talk
    }

    /// Sends bytes in segments of full size.
    pub(crate) fn says(mut self, side: Side, bytes: &[u8]) -> Self {
        self.connection.send(side, bytes, 0, &mut self.frames).expect("an open connection");
        self
    }

    /// Sends a segment out of turn.
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

    /// All frames so far.
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
