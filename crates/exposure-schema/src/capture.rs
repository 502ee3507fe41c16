//! One capture: its origin, its verdict, and what was found in it.

use serde::{Deserialize, Serialize};

use crate::beside_frames::BesideFrames;
use crate::completeness::Completeness;
use crate::connections::{ConnectionEntry, PacketEntry};
use crate::controls::Controls;
use crate::dns::Dns;
use crate::doubts::DoubtEntry;
use crate::exhibit::Exhibit;
use crate::http::{HttpMessage, MessagePart};
use crate::journal_and_manifest::{JournalEntry, ManifestEntry};
use crate::peers::PeerEntry;
use crate::quic::Quic;
use crate::readable::Readable;
use crate::scope::Scope;
use crate::server_keys::ServerKeyEntry;
use crate::strings::{FragmentEntry, Level, ReadableEntry, StringEntry};
use crate::tls::Tls;
use crate::traffic::Traffic;

/// One capture file and everything the analyzer found in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Capture"))]
pub struct Capture<Strings = Vec<StringEntry>> {
    /// Name of the capture, from its manifest or else from its file name.
    pub name: String,
    /// Path of the file as given or found; `-` for standard input.
    pub file: String,
    /// SHA-256 of the file as it was analyzed.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Compression of the file: `gzip` or `zstd`.
    ///
    /// Documents written before compressed captures were read lack this field.
    #[serde(default)]
    pub compression: Option<String>,
    /// Run id from the manifest.
    #[serde(deserialize_with = "crate::nullable")]
    pub run_id: Option<String>,
    /// Name of the variant.
    #[serde(deserialize_with = "crate::nullable")]
    pub variant: Option<String>,
    /// Backend of the run: `netns`, `relay`, `docker`.
    #[serde(deserialize_with = "crate::nullable")]
    pub backend: Option<String>,
    /// Where the frames were recorded: `interface` or `relay`.
    #[serde(deserialize_with = "crate::nullable")]
    pub vantage: Option<String>,
    /// Verdict that the experiment expects of the variant.
    #[serde(deserialize_with = "crate::nullable")]
    pub expected_verdict: Option<Expected>,
    /// Frames in the capture.
    pub frames: u64,
    /// Time of the first frame, nanoseconds since the epoch.
    #[serde(deserialize_with = "crate::nullable")]
    pub first_frame_at_unix_ns: Option<u64>,
    /// Time of the last frame, nanoseconds since the epoch.
    #[serde(deserialize_with = "crate::nullable")]
    pub last_frame_at_unix_ns: Option<u64>,
    /// Verdict; `null` where no journal names what was sent.
    #[serde(deserialize_with = "crate::nullable")]
    pub verdict: Option<Verdict>,
    /// Every doubt as text. Empty for a clean "exposed" or "sealed".
    pub reasons: Vec<String>,
    /// The same doubts with codes and scopes, in the same order.
    ///
    /// Documents written before doubts had codes lack this field.
    #[serde(default)]
    pub doubts: Vec<DoubtEntry>,
    /// What the verdict is about, for traffic that no manifest describes; `null` if it is about the whole capture.
    ///
    /// Documents written before verdicts had scopes lack this field.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Whether the capture contains everything that was sent.
    pub completeness: Completeness,
    /// Whether "not found" means "not there" in this capture.
    pub controls: Controls,
    /// Every string and number of the journals' messages.
    pub strings: Strings,
    /// Number of strings by level.
    pub summary: Summary,
    /// Readable parts of messages and readable secrets of the key log, where no whole string is readable.
    ///
    /// Documents written before parts were searched lack this field.
    #[serde(default)]
    pub fragments: Vec<FragmentEntry>,
    /// What the file contains beside its frames, which was not on the wire; `null` if it contains nothing else.
    ///
    /// Documents written before it was searched lack this field.
    #[serde(default)]
    pub beside_frames: Option<BesideFrames>,
    /// Blocks of a pcapng file that carry no frame; `null` in a file that has none, or of another format.
    ///
    /// Documents written before they were counted lack this field.
    #[serde(default)]
    pub skipped_blocks: Option<SkippedBlocks>,
    /// The RSA private keys of servers that were given, and what they opened.
    ///
    /// Documents written before server keys were used lack this field.
    #[serde(default)]
    pub server_keys: Vec<ServerKeyEntry>,
    /// TLS connections; `null` if the capture has none.
    #[serde(deserialize_with = "crate::nullable")]
    pub tls: Option<Tls>,
    /// DNS messages; `null` if the capture has none.
    ///
    /// Documents written before DNS was read lack this field.
    #[serde(default)]
    pub dns: Option<Dns>,
    /// QUIC sessions; `null` if the capture has none.
    ///
    /// Documents written before QUIC was read lack this field.
    #[serde(default)]
    pub quic: Option<Quic>,
    /// HTTP messages, in the clear or decrypted; the first 10,000.
    pub http: Vec<HttpMessage>,
    /// Number of HTTP messages.
    pub http_total: u64,
    /// Parts of HTTP messages: server-sent events, lines of JSON, gRPC messages; the first 10,000.
    ///
    /// Documents written before parts were read lack this field.
    #[serde(default)]
    pub parts: Vec<MessagePart>,
    /// Number of such parts.
    #[serde(default)]
    pub parts_total: u64,
    /// Strings of bodies, JSON's and those of forms, that an eavesdropper can read, for a capture without journals; the first
    /// 5,000.
    pub readable: Vec<ReadableEntry>,
    /// Number of such strings.
    pub readable_total: u64,
    /// As `readable`, for the strings that only the holder of the keys can read; the first 5,000.
    ///
    /// Documents written before they were listed lack this field.
    #[serde(default)]
    pub opened: Vec<ReadableEntry>,
    /// Number of such strings.
    #[serde(default)]
    pub opened_total: u64,
    /// Credentials, personal data and messages of agents that can be read, for a capture without journals; otherwise `null`.
    ///
    /// Documents written before they were read lack this field.
    #[serde(default)]
    pub contents: Option<Readable>,
    /// What the manifest states about the capture; `null` without a manifest.
    #[serde(deserialize_with = "crate::nullable")]
    pub manifest: Option<ManifestEntry>,
    /// Lines of the agents' journals in order of time: the first 200.
    pub journal: Vec<JournalEntry>,
    /// Number of lines of the journals.
    pub journal_total: u64,
    /// Digest of the journals' messages, the same for two runs whose agents sent the same messages: values of 32 hex
    /// digits (canaries) are left out, and the order does not matter. `null` without journals.
    ///
    /// Documents written before pairs were named lack this field.
    #[serde(default)]
    pub messages_sha256: Option<String>,
    /// TCP connections: the first 2,048.
    pub connections: Vec<ConnectionEntry>,
    /// Number of TCP connections.
    pub connections_total: u64,
    /// Which hosts exchanged payload with each other: the first 4,096 pairs by address.
    ///
    /// Documents written before pairs of hosts were listed lack this field.
    #[serde(default)]
    pub peers: Vec<PeerEntry>,
    /// Bytes of payload between other hosts, beyond those pairs.
    #[serde(default)]
    pub peers_left_out_bytes: u64,
    /// Frames: the first 200.
    pub packets: Vec<PacketEntry>,
    /// Bytes on the wire by kind.
    pub traffic: Traffic,
    /// The first exchange byte by byte; `null` where none was decoded, or the file cannot be read twice.
    #[serde(deserialize_with = "crate::nullable")]
    pub exhibit: Option<Exhibit>,
}

/// Numbers of the blocks of a pcapng file that carry no frame, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SkippedBlocks {
    /// Names of addresses.
    pub name_resolution: u64,
    /// Statistics of an interface.
    pub statistics: u64,
    /// Secrets of other protocols than TLS.
    pub other_secrets: u64,
    /// Custom blocks.
    pub custom: u64,
    /// Blocks of unknown types.
    pub unknown: u64,
}

/// The analyzer's verdict on a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// At least one known string can be read without a secret.
    Exposed,
    /// No known string can be read without a secret, the capture is complete, and the controls show that the search
    /// would have found the strings.
    Sealed,
    /// The capture proves neither.
    Inconclusive,
}

impl Verdict {
    /// The verdict as it is written in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exposed => "exposed",
            Self::Sealed => "sealed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The verdict that the experiment expects of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// Plaintext: the strings are readable.
    Exposed,
    /// TLS: the strings are not readable.
    Sealed,
    /// Sandboxes without network: no frame comes from them. Such a capture has no verdict of its own; the isolation run
    /// has.
    Isolated,
}

/// Number of strings by level.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    /// Strings that one frame contains as they are.
    pub verbatim: u64,
    /// Strings that are split over TCP segments.
    pub reassembled: u64,
    /// Strings in an encoding that needs no secret.
    pub decoded: u64,
    /// Strings that need the key log.
    pub decrypted: u64,
    /// Strings that were not found.
    pub absent: u64,
    /// All strings.
    pub total: u64,
}

impl Summary {
    /// Number of strings of one level.
    pub fn of(&self, level: Level) -> u64 {
        match level {
            Level::Verbatim => self.verbatim,
            Level::Reassembled => self.reassembled,
            Level::Decoded => self.decoded,
            Level::Decrypted => self.decrypted,
            Level::Absent => self.absent,
        }
    }

    /// Number of strings that can be read without a secret.
    pub fn keyless(&self) -> u64 {
        Level::ALL.into_iter().filter(|level| level.is_keyless()).map(|level| self.of(level)).sum()
    }
}
