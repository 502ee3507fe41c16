//! One capture: what it is, what it shows, and what was found in it.

use serde::{Deserialize, Serialize};

use crate::completeness::Completeness;
use crate::connections::{ConnectionEntry, PacketEntry};
use crate::controls::Controls;
use crate::doubts::DoubtEntry;
use crate::exhibit::Exhibit;
use crate::http::HttpMessage;
use crate::journal_and_manifest::{JournalEntry, ManifestEntry};
use crate::strings::{Level, ReadableEntry, StringEntry};
use crate::tls::Tls;
use crate::traffic::Traffic;

/// One capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Capture"))]
pub struct Capture<Strings = Vec<StringEntry>> {
    /// Name of the run's capture, by its manifest or its file name.
    pub name: String,
    /// Path of the file as it was given or found; `-` for standard input.
    pub file: String,
    /// SHA-256 of the file as it was analyzed.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Run id by the manifest.
    #[serde(deserialize_with = "crate::nullable")]
    pub run_id: Option<String>,
    /// Name of the variant.
    #[serde(deserialize_with = "crate::nullable")]
    pub variant: Option<String>,
    /// How the run was made: `netns`, `relay`, `docker`.
    #[serde(deserialize_with = "crate::nullable")]
    pub backend: Option<String>,
    /// Where the observer stood: `interface` or `relay`.
    #[serde(deserialize_with = "crate::nullable")]
    pub vantage: Option<String>,
    /// Verdict that the variant should give.
    #[serde(deserialize_with = "crate::nullable")]
    pub expected_verdict: Option<Expected>,
    /// Frames in the capture.
    pub frames: u64,
    /// Time of the first frame, nanoseconds since the epoch.
    #[serde(deserialize_with = "crate::nullable")]
    pub first_frame_at_unix_ns: Option<u64>,
    /// Time of the last frame.
    #[serde(deserialize_with = "crate::nullable")]
    pub last_frame_at_unix_ns: Option<u64>,
    /// What the capture shows; `null` where no journal names what was sent.
    #[serde(deserialize_with = "crate::nullable")]
    pub verdict: Option<Verdict>,
    /// Every doubt. Empty for a clean "exposed" or "sealed".
    pub reasons: Vec<String>,
    /// The same doubts with codes and scopes, in the same order.
    ///
    /// Missing in documents from before there were codes.
    #[serde(default)]
    pub doubts: Vec<DoubtEntry>,
    /// Whether all that was said was seen.
    pub completeness: Completeness,
    /// Whether "not found" means "not there".
    pub controls: Controls,
    /// Every string of the journals.
    pub strings: Strings,
    /// Number of strings by level.
    pub summary: Summary,
    /// What TLS shows; `null` if the capture has none.
    #[serde(deserialize_with = "crate::nullable")]
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
    #[serde(deserialize_with = "crate::nullable")]
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
    #[serde(deserialize_with = "crate::nullable")]
    pub exhibit: Option<Exhibit>,
}

/// What a capture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// The verdict that the experiment expects of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// Plaintext: the strings are readable.
    Exposed,
    /// TLS: they are not.
    Sealed,
    /// Boxes without network: nothing of them is there. Of such captures the isolation run is judged, not they.
    Isolated,
}

/// Number of strings by level.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

impl Summary {
    /// The count of one level.
    pub fn of(&self, level: Level) -> u64 {
        match level {
            Level::Verbatim => self.verbatim,
            Level::Reassembled => self.reassembled,
            Level::Decoded => self.decoded,
            Level::Decrypted => self.decrypted,
            Level::Absent => self.absent,
        }
    }

    /// Strings that can be read without a secret.
    pub fn keyless(&self) -> u64 {
        Level::ALL.into_iter().filter(|level| level.is_keyless()).map(|level| self.of(level)).sum()
    }
}
