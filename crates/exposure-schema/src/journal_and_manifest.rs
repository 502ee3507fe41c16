//! What a run recorded about itself: its manifest and its journals.

use serde::{Deserialize, Serialize};

/// What the manifest states about the capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ManifestEntry {
    /// The program that captured; `null` where the manifest does not name it.
    #[serde(deserialize_with = "crate::nullable")]
    pub program: Option<ProgramEntry>,
    /// `http` or `https`.
    pub scheme: String,
    /// The HTTP version that both agents use.
    pub http_version: String,
    /// TLS versions that both agents offer; empty without TLS.
    pub tls_versions: Vec<String>,
    /// Port of agent-b.
    pub port: u16,
    /// Name of the captured interface; `null` for a relay.
    #[serde(deserialize_with = "crate::nullable")]
    pub interface: Option<String>,
    /// Link type of the capture (`LINKTYPE_*`).
    #[serde(deserialize_with = "crate::nullable")]
    pub link_type: Option<u16>,
    /// Greatest number of bytes captured of a frame.
    #[serde(deserialize_with = "crate::nullable")]
    pub snaplen: Option<u32>,
    /// Capture filter in tcpdump's syntax; empty if there was none.
    #[serde(deserialize_with = "crate::nullable")]
    pub filter: Option<String>,
    /// When the capturer was ready, nanoseconds since the epoch.
    #[serde(deserialize_with = "crate::nullable")]
    pub started_at_unix_ns: Option<u64>,
    /// When the capturer stopped reading, nanoseconds since the epoch.
    #[serde(deserialize_with = "crate::nullable")]
    pub ended_at_unix_ns: Option<u64>,
    /// File names of the agents' journals.
    pub journals: Vec<String>,
    /// File name of the key log; `null` without TLS.
    #[serde(deserialize_with = "crate::nullable")]
    pub key_log: Option<String>,
    /// Frames captured before their checksum was filled in (checksum offload).
    #[serde(deserialize_with = "crate::nullable")]
    pub unfinished_checksums: Option<u64>,
    /// Frames that represent several TCP segments (segmentation offload).
    #[serde(deserialize_with = "crate::nullable")]
    pub segmentation_offload_frames: Option<u64>,
}

/// Name and version of a program, as the manifest states them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProgramEntry {
    /// Name of the program.
    pub name: String,
    /// Version of the program.
    pub version: String,
}

/// A line of a journal: one message that one agent sent or received.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JournalEntry {
    /// The agent whose journal contains the line: `agent-a` or `agent-b`.
    pub agent: String,
    /// Whether the agent sent or received the message.
    pub event: Event,
    /// Id of the message; `null` if the agent could read none.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
    /// When the line was written, nanoseconds since the epoch.
    #[serde(deserialize_with = "crate::nullable")]
    pub at_unix_ns: Option<u64>,
    /// The agent's own address and port.
    #[serde(deserialize_with = "crate::nullable")]
    pub local: Option<String>,
    /// Address and port of the other side.
    #[serde(deserialize_with = "crate::nullable")]
    pub remote: Option<String>,
    /// `Content-Type` of the message.
    #[serde(deserialize_with = "crate::nullable")]
    pub content_type: Option<String>,
    /// Length of the body in bytes.
    pub body_bytes: u64,
    /// SHA-256 of the body.
    pub body_sha256: String,
    /// The body, in the lines of the first exchange only, at most 16 KiB.
    #[serde(deserialize_with = "crate::nullable")]
    pub body: Option<String>,
}

/// What an agent did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// The agent sent the message.
    Sent,
    /// The agent received the message.
    Received,
}
