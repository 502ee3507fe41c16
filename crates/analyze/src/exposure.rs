//! The result as data: `plainsight.exposure/1`.
//!
//! Field by field; `ARCHITECTURE.md` and the README point here. Arrays are arrays even when they hold one thing; a field
//! that does not apply is `null`, not left out.

pub mod isolation;
mod said;
mod wire;

use serde::Serialize;

pub use said::{JournalEntry, ManifestEntry, ProgramEntry};
pub use wire::{ByKind, ConnectionEntry, Ended, Exhibit, ExhibitFrame, PacketEntry, Traffic, Turn};

use self::isolation::Isolation;
use crate::input::journal::Direction;
use crate::input::manifest::Expected;
use crate::observe::hits::Level;

/// Schema and version of this document.
pub const SCHEMA: &str = "plainsight.exposure/1";

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub struct Exposure {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The program that wrote it.
    pub program: Program,
    /// One entry for each capture, in the order of their paths.
    pub captures: Vec<Capture>,
    /// What the comparison of the plaintext and the TLS captures proves; `null` where there is nothing to compare.
    pub conclusion: Option<Conclusion>,
    /// Why the conclusion is what it is.
    pub reasons: Vec<String>,
    /// Isolation runs, in the order of their paths.
    pub isolation: Vec<Isolation>,
    /// Inputs that could not be analyzed, each with why.
    pub errors: Vec<String>,
}

/// Name and version of a program.
#[derive(Clone, Debug, Serialize)]
pub struct Program {
    /// `analyze`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// What the comparison proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Conclusion {
    /// The plaintext variants are exposed, the TLS variants sealed, and nothing is in doubt.
    Proven,
    /// A capture shows the opposite of what was expected of its variant.
    Refuted,
    /// Something is in doubt.
    Inconclusive,
}

impl Conclusion {
    /// Its name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Refuted => "refuted",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// What a capture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A known string stands at a level that needs no secret.
    Exposed,
    /// No known string does, everything that was said is accounted for, and the controls show that the search would
    /// have found it.
    Sealed,
    /// Neither can be said.
    Inconclusive,
}

impl Verdict {
    /// Its name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exposed => "exposed",
            Self::Sealed => "sealed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// One capture.
#[derive(Clone, Debug, Serialize)]
pub struct Capture {
    /// Name of the run's capture, by its manifest or its file name.
    pub name: String,
    /// Path of the file as it was given or found; `-` for standard input.
    pub file: String,
    /// SHA-256 of the file as it was analyzed.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Run id by the manifest.
    pub run_id: Option<String>,
    /// Name of the variant.
    pub variant: Option<String>,
    /// How the run was made: `netns`, `relay`, `docker`.
    pub backend: Option<String>,
    /// Where the observer stood: `interface` or `relay`.
    pub vantage: Option<String>,
    /// Verdict that the variant should give.
    pub expected_verdict: Option<Expected>,
    /// Frames in the capture.
    pub frames: u64,
    /// Time of the first frame, nanoseconds since the epoch.
    pub first_frame_at_unix_ns: Option<u64>,
    /// Time of the last frame.
    pub last_frame_at_unix_ns: Option<u64>,
    /// What the capture shows; `null` where nobody knows what was said.
    pub verdict: Option<Verdict>,
    /// Every doubt. Empty for a clean "exposed" or "sealed".
    pub reasons: Vec<String>,
    /// Whether all that was said was seen.
    pub completeness: Completeness,
    /// Whether "not found" means "not there".
    pub controls: Controls,
    /// Every string of the journals.
    pub strings: Vec<StringEntry>,
    /// Number of strings by level.
    pub summary: Summary,
    /// What TLS shows; `null` if the capture has none.
    pub tls: Option<Tls>,
    /// HTTP messages, in the clear or decrypted; the first 1,000.
    pub http: Vec<HttpMessage>,
    /// Number of HTTP messages.
    pub http_total: u64,
    /// JSON strings that anybody can read, in a capture without journals; the first 500.
    pub readable: Vec<ReadableEntry>,
    /// Number of such strings.
    pub readable_total: u64,
    /// What the capturer states; `null` without a manifest.
    pub manifest: Option<ManifestEntry>,
    /// What the agents state, both journals in order of time: the first 200 lines.
    pub journal: Vec<JournalEntry>,
    /// Number of such lines.
    pub journal_total: u64,
    /// TCP connections: the first 256.
    pub connections: Vec<ConnectionEntry>,
    /// Number of TCP connections.
    pub connections_total: u64,
    /// Frames: the first 200.
    pub packets: Vec<PacketEntry>,
    /// How many bytes crossed, and of what kind they are.
    pub traffic: Traffic,
    /// The first exchange on the wire; `null` where it was not read, or the file cannot be read twice.
    pub exhibit: Option<Exhibit>,
}

/// Whether all that was said was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Completeness {
    /// Whether everything below is as it must be.
    pub passed: bool,
    /// Whether the file is the one that the capturer closed; `null` without a manifest.
    pub hash_matches_manifest: Option<bool>,
    /// Whether the capturer closed the file itself; `null` without a manifest.
    pub capture_finished: Option<bool>,
    /// Frames that the kernel dropped; `null` where no kernel was asked.
    pub kernel_drops: Option<u64>,
    /// Messages of the journals.
    pub messages_expected: u64,
    /// Of these, how many crossed the wire as whole HTTP messages with exactly that body.
    pub messages_accounted: u64,
    /// The first 32 that did not: ids.
    pub messages_missing: Vec<String>,
    /// Messages with a body on the wire that no journal names.
    pub messages_unjournaled: u64,
    /// TCP streams that carry payload.
    pub streams: u64,
    /// Of these, how many are whole: handshake seen, no gap, no conflict, nothing cut.
    pub streams_whole: u64,
    /// The first 256 streams that are not, and why.
    pub streams_troubled: Vec<TroubledStream>,
    /// Holes in streams.
    pub gaps: u64,
    /// Bytes in them.
    pub gap_bytes: u64,
    /// Segments that contradict others: two versions of the stream exist.
    pub overlap_conflicts: u64,
    /// Segments that repeat what was seen.
    pub retransmissions: u64,
    /// Segments that came before their turn.
    pub out_of_order: u64,
    /// Frames cut by the snaplen.
    pub frames_truncated: u64,
    /// Frames that were not decoded down to a transport header.
    pub frames_undecoded: u64,
    /// Frames of UDP, ICMP and other protocols, searched but not read.
    pub frames_other: u64,
    /// ARP frames.
    pub frames_control: u64,
    /// Payload bytes that are neither a message that was read nor an authenticated record.
    pub unexplained_bytes: u64,
    /// The first 64 places of such bytes.
    pub unexplained: Vec<UnexplainedEntry>,
}

/// A stream of which something is missing or doubtful.
#[derive(Clone, Debug, Serialize)]
pub struct TroubledStream {
    /// Its number, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// Why.
    pub reasons: Vec<String>,
}

/// Bytes that nobody can explain.
#[derive(Clone, Debug, Serialize)]
pub struct UnexplainedEntry {
    /// TCP stream; `null` outside of any.
    pub stream: Option<u32>,
    /// Which way they went.
    pub direction: Option<Direction>,
    /// Stream offset of the first of them; frame number outside of any stream.
    pub at: u64,
    /// How many.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

/// The controls.
#[derive(Clone, Debug, Serialize)]
pub struct Controls {
    /// The same search finds what is there.
    pub positive: PositiveControl,
    /// It does not find what is not there.
    pub decoys: DecoyControl,
    /// Decryption does not succeed by accident; `null` without TLS or without a key log.
    pub wrong_key: Option<WrongKeyControl>,
}

/// The same search, in this very capture, finds every string.
#[derive(Clone, Debug, Serialize)]
pub struct PositiveControl {
    /// Whether it found every one, and there were any.
    pub passed: bool,
    /// Strings that were searched.
    pub strings: u64,
    /// Strings that were found at any level.
    pub found: u64,
    /// Whether the key log was there to look behind the encryption.
    pub key_log: bool,
    /// Bytes searched without a key.
    pub bytes_searched: u64,
    /// Decrypted bytes searched.
    pub bytes_decrypted: u64,
}

/// Values of the canaries' form that were never sent are found nowhere.
#[derive(Clone, Debug, Serialize)]
pub struct DecoyControl {
    /// Whether there were decoys and none was found.
    pub passed: bool,
    /// How many there were.
    pub searched: u64,
    /// How many were found.
    pub found: u64,
}

/// With wrong secrets nothing authenticates.
#[derive(Clone, Debug, Serialize)]
pub struct WrongKeyControl {
    /// Whether it was tried and nothing authenticated.
    pub passed: bool,
    /// Records tried.
    pub tried: u64,
    /// Records that authenticated.
    pub authenticated: u64,
}

/// One string (or number) that was said.
#[derive(Clone, Debug, Serialize)]
pub struct StringEntry {
    /// Its value; of one longer than 256 characters the beginning.
    pub value: String,
    /// Length of the value in bytes.
    pub value_bytes: u64,
    /// Its place in the message, as a JSONPath (RFC 9535).
    pub path: String,
    /// Id of its message.
    pub message_id: Option<String>,
    /// Which way the message went.
    pub direction: Direction,
    /// What it takes to read it.
    pub level: Level,
    /// How it was searched: `value`, `pair` (with its key or its quotes, because alone it is too short to be evidence) or
    /// `message` (not by itself: it stands where its message stands).
    pub searched_as: &'static str,
    /// Matches to be expected by chance if all bytes searched without a key were random.
    pub expected_chance_hits: f64,
    /// Where it stands at that level: in its own message first; the first 8.
    pub locations: Vec<Location>,
    /// In how many places the value stands, at all levels and in all messages.
    pub locations_total: u64,
}

/// A place in the capture.
#[derive(Clone, Debug, Serialize)]
pub struct Location {
    /// All frames that contribute, from 1 as Wireshark counts.
    pub frames: Vec<u64>,
    /// Offset in the capture file of the first byte.
    pub file_offset: u64,
    /// TCP stream, as Wireshark's `tcp.stream`; `null` outside of any.
    pub stream: Option<u32>,
    /// Which way.
    pub direction: Option<Direction>,
    /// Offset in the stream of the first byte, from 0 behind the SYN; `null` for bytes that did not join a stream.
    pub stream_offset: Option<u64>,
    /// Bytes on the wire that carry it: of an encoded string the encoded bytes, of a decrypted one its whole records.
    pub wire_bytes: u64,
    /// What has to be undone, outermost first; empty for bytes that stand there as they are.
    pub layers: Vec<&'static str>,
    /// Display filter for Wireshark.
    pub filter: String,
    /// The first bytes on the wire there: as text where they are UTF-8, what is not printable as `\xNN`; `null` where
    /// they were not read again.
    pub excerpt: Option<String>,
}

/// Number of strings by level.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Summary {
    /// Strings that stand in one frame.
    pub verbatim: u64,
    /// Strings split over segments.
    pub reassembled: u64,
    /// Strings behind an encoding.
    pub decoded: u64,
    /// Strings that need the key log.
    pub decrypted: u64,
    /// Strings that were not found.
    pub absent: u64,
    /// All strings.
    pub total: u64,
}

/// What TLS shows.
#[derive(Clone, Debug, Serialize)]
pub struct Tls {
    /// TLS connections.
    pub connections: u64,
    /// Records of both directions of all connections.
    pub records: TlsRecords,
    /// The first 256 connections.
    pub sessions: Vec<TlsSession>,
}

/// Records by what became of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TlsRecords {
    /// All.
    pub total: u64,
    /// Of the outer type `application_data`.
    pub application_data: u64,
    /// Opened with the key log.
    pub authenticated: u64,
    /// Not authentic under the key log.
    pub failed: u64,
    /// Not tried.
    pub not_opened: u64,
}

/// One TLS connection.
#[derive(Clone, Debug, Serialize)]
pub struct TlsSession {
    /// TCP stream.
    pub stream: u32,
    /// Client's address and port.
    pub client: String,
    /// Server's address and port.
    pub server: String,
    /// What everybody on the wire sees.
    pub visible: TlsVisible,
    /// What only the key log shows.
    pub hidden: TlsHidden,
}

/// What everybody on the wire sees of a TLS connection.
#[derive(Clone, Debug, Serialize)]
pub struct TlsVisible {
    /// Server name that the client asked for.
    pub server_name: Option<String>,
    /// Versions that the client offered.
    pub versions_offered: Vec<String>,
    /// Application protocols that the client offered.
    pub alpn_offered: Vec<String>,
    /// Application protocol, where the server's choice is not encrypted.
    pub alpn: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Cipher suite.
    pub cipher_suite: Option<String>,
    /// Group of the key exchange.
    pub named_group: Option<String>,
    /// Whether the group is a post-quantum hybrid.
    pub post_quantum_hybrid: Option<bool>,
    /// Certificates, where they are not encrypted.
    pub certificates: Vec<CertificateEntry>,
    /// Records that the client and the server sent.
    pub records: [u64; 2],
    /// Bytes that the client and the server sent.
    pub stream_bytes: [u64; 2],
}

/// What only the key log shows of a TLS connection.
#[derive(Clone, Debug, Serialize)]
pub struct TlsHidden {
    /// Application protocol.
    pub alpn: Option<String>,
    /// Certificates.
    pub certificates: Vec<CertificateEntry>,
}

/// A certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateEntry {
    /// Subject.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// Names it is good for.
    pub subject_alt_names: Vec<String>,
    /// SHA-256 of its DER.
    pub sha256: String,
}

/// An HTTP message.
#[derive(Clone, Debug, Serialize)]
pub struct HttpMessage {
    /// TCP stream.
    pub stream: Option<u32>,
    /// Which way.
    pub direction: Option<Direction>,
    /// Frame of its first byte.
    pub first_frame: Option<u64>,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Time of the first frame, nanoseconds since the epoch; `null` where it is not known any more.
    pub first_at_unix_ns: Option<u64>,
    /// Time of the last frame.
    pub last_at_unix_ns: Option<u64>,
    /// Request method; `null` in an answer.
    pub method: Option<String>,
    /// Request target; `null` in an answer.
    pub target: Option<String>,
    /// Status code; `null` in a request.
    pub status: Option<u16>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// Bytes of the body, all codings undone.
    pub body_bytes: u64,
    /// Whether it was seen whole.
    pub complete: bool,
    /// What it takes to read the body.
    pub level: Level,
    /// What has to be undone.
    pub layers: Vec<&'static str>,
    /// Id of the message, if a journal names it.
    pub message_id: Option<String>,
}

/// A JSON string that anybody can read.
#[derive(Clone, Debug, Serialize)]
pub struct ReadableEntry {
    /// Its value; `null` where its name says that it is a secret and it was not asked for.
    pub value: Option<String>,
    /// Its place in the body.
    pub path: String,
    /// Where the message stands.
    pub location: Location,
}
