//! Copies a run's files and damages them: drops, cuts, alters or adds frames, and falsifies manifests and journals.
//! Tests then check that the analyzer's verdict on the copy is still correct.
//!
//! Files are read with another implementation than ours (pcap-parser) and written with `craft`, which shares no code
//! with the analyzer.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use aws_lc_rs::digest;
use craft::conversation::{Connection, Frames, Settings};
use craft::frame::{Ethernet, Ip, Link, Tcp};
use craft::pcap::{FULL_SNAPLEN, Writer};
use data_encoding::HEXLOWER;
use pcap_parser::pcap::{parse_pcap_frame, parse_pcap_header};
use serde_json::Value;
use tempfile::TempDir;

use crate::capture::{self, Frame};
use crate::lab::{Lab, names, read_json};
use crate::programs;
use crate::segment::tcp_at;

pub use crate::capture::Record;
pub use craft::conversation::Side;

/// Bytes before the first record of a pcap file.
pub const FILE_HEADER: u64 = 24;

/// Bytes before the frame in a record of a pcap file.
pub const RECORD_HEADER: u64 = 16;

/// A temporary folder with copies of a run's files.
pub struct Copied {
    folder: TempDir,
}

impl Copied {
    /// Copies all files of a lab's captures folder.
    ///
    /// # Panics
    /// If the files cannot be copied.
    #[must_use]
    pub fn of(lab: &Lab) -> Self {
        let copied = Self::empty();
        for name in names(&lab.captures()) {
            fs::copy(lab.captures().join(&name), copied.path(&name)).expect("a file that can be copied");
        }
        copied
    }

    /// The same files once more.
    ///
    /// # Panics
    /// If the files cannot be copied.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copied = Self::empty();
        for name in names(self.folder()) {
            fs::copy(self.path(&name), copied.path(&name)).expect("a file that can be copied");
        }
        copied
    }

    /// An empty folder.
    ///
    /// # Panics
    /// If the folder cannot be created.
    #[must_use]
    pub fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("plainsight-damage-").tempdir();
        Self { folder: folder.expect("a temporary folder") }
    }

    /// The path of the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file in the folder.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The contents of a file in the folder.
    ///
    /// # Panics
    /// If the file cannot be read.
    #[must_use]
    pub fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Writes a file in the folder.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(file), bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// Removes a file from the folder.
    ///
    /// # Panics
    /// If the file does not exist.
    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// The frames of `NAME.pcap`.
    ///
    /// # Panics
    /// If the file is not a pcap file, or ends within a record.
    #[must_use]
    pub fn records(&self, name: &str) -> Vec<Record> {
        let file = self.read(&format!("{name}.pcap"));
        let (mut rest, _) = parse_pcap_header(&file).expect("a pcap file header");
        let mut records = Vec::new();
        while let Ok((after, frame)) = parse_pcap_frame(rest) {
            rest = after;
            let at = u64::from(frame.ts_sec) * 1_000_000_000 + u64::from(frame.ts_usec);
            records.push(Record { at, original_len: frame.origlen, bytes: frame.data.to_vec() });
        }
        assert!(rest.is_empty(), "{name}.pcap: {} bytes after the last whole frame", rest.len());
        records
    }

    /// The frames of `NAME.pcap`, decoded down to TCP.
    #[must_use]
    pub fn frames(&self, name: &str) -> Vec<Frame> {
        capture::frames(&self.path(&format!("{name}.pcap")))
    }

    /// Writes `NAME.pcap` with these frames. The manifest does not change; see [`Copied::update_manifest`].
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write_records(&self, name: &str, link_type: u16, records: &[Record]) {
        let mut writer = Writer::new(Vec::new(), link_type, FULL_SNAPLEN).expect("a vector can be written");
        for record in records {
            writer.write(record.at, record.original_len, &record.bytes).expect("a vector can be written");
        }
        self.write(&format!("{name}.pcap"), writer.into_inner());
    }

    /// Updates hash, size and frame count in the manifest to those of the capture file, for tests whose subject is not
    /// a manifest that disagrees with the file.
    pub fn update_manifest(&self, name: &str) {
        let file = self.read(&format!("{name}.pcap"));
        let mut frames = 0;
        if let Ok((mut rest, _)) = parse_pcap_header(&file) {
            while let Ok((after, _)) = parse_pcap_frame(rest) {
                (rest, frames) = (after, frames + 1);
            }
        }
        self.update_manifest_with(name, &file, frames);
    }

    /// Like [`Copied::update_manifest`], but with a number of frames from the caller, for a file that is not pcap.
    pub fn update_manifest_with(&self, name: &str, file: &[u8], frames: usize) {
        self.edit_manifest(name, |manifest| {
            manifest["capture"]["sha256"] = sha256(file).into();
            manifest["capture"]["bytes"] = file.len().into();
            manifest["capture"]["frames"] = frames.into();
        });
    }

    /// Changes the manifest.
    ///
    /// # Panics
    /// If the manifest is missing.
    pub fn edit_manifest(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let file = format!("{name}.manifest.json");
        let mut manifest = read_json(&self.path(&file));
        edit(&mut manifest);
        self.write(&file, manifest.to_string());
    }

    /// The lines of an agent's journal.
    ///
    /// # Panics
    /// If the journal is missing or not JSON.
    #[must_use]
    pub fn journal(&self, name: &str, agent: &str) -> Vec<Value> {
        let text = self.read(&format!("{name}.{agent}.jsonl"));
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("a journal line is JSON")).collect()
    }

    /// Every canary of a run, in the order of agent-a's journal.
    ///
    /// # Panics
    /// If a message has no canary.
    #[must_use]
    pub fn canaries(&self, name: &str) -> Vec<String> {
        let canary = |line: &Value| {
            let body = line["body"].as_str().expect("a body of text");
            let body: Value = serde_json::from_str(body).expect("a body of JSON");
            body["canary"].as_str().expect("a canary").to_owned()
        };
        self.journal(name, "agent-a").iter().map(canary).collect()
    }

    /// The canary of the first request.
    ///
    /// # Panics
    /// If the journal is empty.
    #[must_use]
    pub fn canary(&self, name: &str) -> String {
        self.canaries(name).into_iter().next().expect("a message in the journal")
    }

    /// Analyzes the whole folder.
    #[must_use]
    pub fn analyze(&self) -> Judged {
        analyze(&[self.folder()])
    }

    /// Analyzes one capture alone.
    #[must_use]
    pub fn analyze_only(&self, file: &str) -> Judged {
        analyze(&[&self.path(file)])
    }
}

/// The output of `analyze --format json`.
#[derive(Debug)]
pub struct Judged {
    /// The exit status.
    pub status: i32,
    /// The document on stdout.
    pub document: Value,
    /// The text on stderr.
    pub stderr: String,
}

impl Judged {
    /// What `analyze --format json` answered.
    ///
    /// # Panics
    /// If stdout is not JSON.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let document = serde_json::from_slice(&output.stdout);
        let document =
            document.unwrap_or_else(|error| panic!("stdout of analyze: {error}; stderr: {stderr}"));
        Self { status: output.status.code().unwrap_or(-1), document, stderr }
    }

    /// The entry of a capture.
    ///
    /// # Panics
    /// If the document has no such capture.
    #[must_use]
    pub fn capture(&self, name: &str) -> &Value {
        let captures = self.document["captures"].as_array().expect("an array of captures");
        let found = captures.iter().find(|capture| capture["name"] == name);
        found.unwrap_or_else(|| panic!("no capture {name}: {}", self.stderr))
    }

    /// The verdict on a capture, `null` if it has none.
    #[must_use]
    pub fn verdict(&self, name: &str) -> &str {
        self.capture(name)["verdict"].as_str().unwrap_or("null")
    }

    /// The conclusion, `null` if there is none.
    #[must_use]
    pub fn conclusion(&self) -> &str {
        self.document["conclusion"].as_str().unwrap_or("null")
    }

    /// The reasons of a capture's verdict.
    ///
    /// # Panics
    /// If the reasons are not an array of strings.
    #[must_use]
    pub fn reasons(&self, name: &str) -> Vec<&str> {
        let reasons = self.capture(name)["reasons"].as_array().expect("an array of reasons");
        reasons.iter().map(|reason| reason.as_str().expect("a string")).collect()
    }

    /// The codes of the doubts about a capture.
    ///
    /// # Panics
    /// If the doubts are not an array of objects with a code.
    #[must_use]
    pub fn codes(&self, name: &str) -> Vec<&str> {
        let doubts = self.capture(name)["doubts"].as_array().expect("an array of doubts");
        doubts.iter().map(|doubt| doubt["code"].as_str().expect("a code")).collect()
    }

    /// The first entry with this value among the strings of a capture.
    ///
    /// # Panics
    /// If the strings do not contain the value.
    #[must_use]
    pub fn string(&self, name: &str, value: &str) -> &Value {
        let strings = self.capture(name)["strings"].as_array().expect("an array of strings");
        strings.iter().find(|string| string["value"] == value).unwrap_or_else(|| panic!("no string {value}"))
    }
}

/// Analyzes these paths without writing a file.
#[must_use]
pub fn analyze(paths: &[&Path]) -> Judged {
    Judged::of(&analyze_with(paths, &["--format", "json", "--no-output"]))
}

/// The verdict on these frames of a run's TLS capture, with its canaries and this key log, and everything in the scope: what
/// an analysis without manifest says.
///
/// # Panics
/// If the program cannot be started.
#[must_use]
pub fn own_traffic(run: &Copied, link_type: u16, frames: &[Record], keys: impl AsRef<[u8]>) -> Judged {
    let folder = Copied::empty();
    folder.write_records("mine", link_type, frames);
    folder.write("mine.keys", keys);
    folder.write("strings.txt", run.canaries("https").join("\n"));
    let flags = ["mine.pcap", "--strings", "strings.txt", "--keys", "mine.keys", "--scope", "all"];
    let output =
        analyze_command().args(flags).args(["--format", "json"]).current_dir(folder.folder()).output();
    Judged::of(&output.expect("analyze starts"))
}

/// Runs `analyze` on these paths with these flags.
///
/// # Panics
/// If the program cannot be started.
#[must_use]
pub fn analyze_with(paths: &[&Path], flags: &[&str]) -> Output {
    analyze_command().args(flags).args(paths).output().expect("analyze starts")
}

/// The command `analyze`, without arguments.
#[must_use]
pub fn analyze_command() -> Command {
    let mut command = Command::new(programs::program("analyze"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("NO_COLOR");
    command
}

/// A complete TCP connection as frames: handshake, what each side sends in turn, both FINs.
///
/// # Panics
/// If the two addresses are of different IP versions.
#[must_use]
pub fn conversation(settings: Settings, sent: &[(Side, &[u8])]) -> Vec<Vec<u8>> {
    let mut connection = Connection::new(settings).expect("two addresses of one IP version");
    let mut frames = Frames::default();
    connection.open(0, &mut frames).expect("a fresh connection opens");
    for (side, bytes) in sent {
        connection.send(*side, bytes, 0, &mut frames).expect("an open connection sends");
    }
    for side in [Side::Client, Side::Server] {
        connection.close(side, 0, &mut frames).expect("an open connection closes");
    }
    frames.iter().map(|frame| frame.bytes.to_vec()).collect()
}

/// Settings of a connection between addresses that are not the agents', with one frame for each send.
#[must_use]
pub fn strangers() -> Settings {
    let client = SocketAddr::from(([192, 0, 2, 1], 50_000));
    let server = SocketAddr::from(([192, 0, 2, 2], 9_000));
    Settings { ack_every: 0, client_isn: 1000, server_isn: 2000, ..Settings::new(client, server) }
}

/// Inserts frames before the record `at`, with the time of that record.
pub fn insert(records: &mut Vec<Record>, at: usize, frames: Vec<Vec<u8>>) {
    let time = records[at].at;
    let new = frames.into_iter().map(|bytes| Record { at: time, original_len: bytes.len() as u32, bytes });
    records.splice(at..at, new);
}

/// Offset in the pcap file of the first byte of the frame with this index.
#[must_use]
pub fn file_offset(records: &[Record], index: usize) -> u64 {
    let before: u64 = records[..index].iter().map(|record| RECORD_HEADER + record.bytes.len() as u64).sum();
    FILE_HEADER + before + RECORD_HEADER
}

/// SHA-256 in lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// A segment from the sender of `frame` in the same connection, with this sequence number and payload.
///
/// # Panics
/// If the frame is not TCP over IP over Ethernet.
#[must_use]
pub fn segment_like(frame: &Frame, sequence: u32, tcp_flags: u8, payload: &[u8]) -> Vec<u8> {
    let mac = |at: usize| frame.bytes[at..at + 6].try_into().expect("six bytes");
    let ethernet = Ethernet { destination: mac(0), source: mac(6), ..Ethernet::default() };
    let ip = Ip::between(frame.from.ip(), frame.to.ip()).expect("two addresses of one IP version");
    let at = tcp_at(&frame.bytes);
    let tcp = Tcp {
        source_port: frame.from.port(),
        destination_port: frame.to.port(),
        sequence,
        acknowledgment: u32::from_be_bytes(frame.bytes[at + 8..at + 12].try_into().expect("four bytes")),
        flags: tcp_flags,
        ..Tcp::default()
    };
    let mut bytes = Vec::new();
    craft::frame::tcp(&mut bytes, &Link::Ethernet(ethernet), &ip, &tcp, payload);
    bytes
}

/// The same frame with a sequence number higher by `by`, as if more had been sent before it, and with a correct
/// checksum.
///
/// # Panics
/// If the frame is not TCP over IP over Ethernet.
#[must_use]
pub fn shifted(frame: &Frame, by: u32) -> Vec<u8> {
    const SEQUENCE: usize = 4;
    with_higher(frame, SEQUENCE, by)
}

/// The same frame with an acknowledgment number higher by `by`, as if more had been received before it, and with a correct
/// checksum.
///
/// # Panics
/// If the frame is not TCP over IP over Ethernet.
#[must_use]
pub fn acknowledging(frame: &Frame, by: u32) -> Vec<u8> {
    const ACKNOWLEDGMENT: usize = 8;
    with_higher(frame, ACKNOWLEDGMENT, by)
}

/// The frame with a higher number in the four bytes at this offset of the TCP header.
fn with_higher(frame: &Frame, field: usize, by: u32) -> Vec<u8> {
    let at = tcp_at(&frame.bytes);
    let mut bytes = frame.bytes.clone();
    let number = u32::from_be_bytes(bytes[at + field..at + field + 4].try_into().expect("four bytes"));
    bytes[at + field..at + field + 4].copy_from_slice(&number.wrapping_add(by).to_be_bytes());
    // The new checksum follows from the old one and the changed words (RFC 1624 §3).
    let words = |bytes: &[u8]| -> u32 {
        let word = |at: usize| u32::from(bytes[at]) << 8 | u32::from(bytes[at + 1]);
        word(at + field) + word(at + field + 2)
    };
    let old = u32::from(bytes[at + 16]) << 8 | u32::from(bytes[at + 17]);
    let mut sum = (old ^ 0xffff) + 2 * 0xffff - words(&frame.bytes) + words(&bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[at + 16..at + 18].copy_from_slice(&(sum as u16 ^ 0xffff).to_be_bytes());
    bytes
}
