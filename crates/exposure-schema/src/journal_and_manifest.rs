//! What the run states of itself: its manifest and its journals.

use serde::{Deserialize, Serialize};

/// What the capturer states about the capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ManifestEntry {
    /// The program that captured; `null` where the manifest does not name it.
    #[serde(deserialize_with = "crate::nullable")]
    pub program: Option<ProgramEntry>,
    /// `http` or `https`.
    pub scheme: String,
    /// The one HTTP version that both agents speak.
    pub http_version: String,
    /// TLS versions that both agents offer; empty without TLS.
    pub tls_versions: Vec<String>,
    /// Port of agent-b, as far as the capturer was told.
    pub port: u16,
    /// Interface that was captured on; `null` for a relay.
    #[serde(deserialize_with = "crate::nullable")]
    pub interface: Option<String>,
    /// Link type of the capture (`LINKTYPE_*`).
    #[serde(deserialize_with = "crate::nullable")]
    pub link_type: Option<u16>,
    /// The most bytes kept of a frame.
    #[serde(deserialize_with = "crate::nullable")]
    pub snaplen: Option<u32>,
    /// The kernel's filter in tcpdump's words; empty if everything was taken.
    #[serde(deserialize_with = "crate::nullable")]
    pub filter: Option<String>,
    /// When the capturer was ready, nanoseconds since the epoch.
    #[serde(deserialize_with = "crate::nullable")]
    pub started_at_unix_ns: Option<u64>,
    /// When it stopped reading.
    #[serde(deserialize_with = "crate::nullable")]
    pub ended_at_unix_ns: Option<u64>,
    /// Names of the agents' journals.
    pub journals: Vec<String>,
    /// Name of the key log; `null` without TLS.
    #[serde(deserialize_with = "crate::nullable")]
    pub key_log: Option<String>,
    /// Frames seen before their checksum was filled in (checksum offload).
    #[serde(deserialize_with = "crate::nullable")]
    pub unfinished_checksums: Option<u64>,
    /// Frames that stand for several segments (segmentation offload).
    #[serde(deserialize_with = "crate::nullable")]
    pub segmentation_offload_frames: Option<u64>,
}

/// Name and version of a program by its own account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProgramEntry {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One message that one agent sent or received.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JournalEntry {
    /// Whose journal says so: `agent-a` or `agent-b`.
    pub agent: String,
    /// What that agent did with the message.
    pub event: Event,
    /// Id of the message; `null` if the agent could read none.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
    /// When the line was written, nanoseconds since the epoch.
    #[serde(deserialize_with = "crate::nullable")]
    pub at_unix_ns: Option<u64>,
    /// The agent's side of the TCP connection.
    #[serde(deserialize_with = "crate::nullable")]
    pub local: Option<String>,
    /// The other side.
    #[serde(deserialize_with = "crate::nullable")]
    pub remote: Option<String>,
    /// `Content-Type` of the message.
    #[serde(deserialize_with = "crate::nullable")]
    pub content_type: Option<String>,
    /// Bytes of its body.
    pub body_bytes: u64,
    /// SHA-256 of its body.
    pub body_sha256: String,
    /// The body itself, in the lines of the first exchange only, at most 16 KiB long.
    #[serde(deserialize_with = "crate::nullable")]
    pub body: Option<String>,
}

/// What an agent did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It put it on the wire.
    Sent,
    /// It read it off the wire.
    Received,
}
