//! Whether a capture contains everything that was sent.

use serde::{Deserialize, Serialize};

use crate::connections::Direction;

/// Whether a capture contains everything that was sent, and every byte of it is explained.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Completeness {
    /// Whether every check below passed.
    pub passed: bool,
    /// Whether the file has the hash that the manifest states; `null` without a manifest.
    #[serde(deserialize_with = "crate::nullable")]
    pub hash_matches_manifest: Option<bool>,
    /// Whether the capturer ended normally and closed the file; `null` without a manifest.
    #[serde(deserialize_with = "crate::nullable")]
    pub capture_finished: Option<bool>,
    /// Frames that the kernel dropped; `null` for a relay, which captures no frames.
    #[serde(deserialize_with = "crate::nullable")]
    pub kernel_drops: Option<u64>,
    /// Messages that the journals name.
    pub messages_expected: u64,
    /// Number of these that the capture contains as complete HTTP messages with exactly that body.
    pub messages_accounted: u64,
    /// Ids of the first 32 messages that it does not contain.
    pub messages_missing: Vec<String>,
    /// Captured messages with a body that no journal names.
    pub messages_unjournaled: u64,
    /// TCP streams that carry payload.
    pub streams: u64,
    /// Number of these that are whole: handshake seen, no gap, no conflict, nothing cut.
    pub streams_whole: u64,
    /// The first 2,048 streams that are not whole, and why.
    pub streams_troubled: Vec<TroubledStream>,
    /// Gaps in streams.
    pub gaps: u64,
    /// Bytes missing in these gaps.
    pub gap_bytes: u64,
    /// Segments whose bytes contradict those of other segments, so that two versions of the stream exist.
    pub overlap_conflicts: u64,
    /// Segments that repeat earlier bytes.
    pub retransmissions: u64,
    /// Segments captured before earlier bytes of their stream.
    pub out_of_order: u64,
    /// Frames cut by the snaplen.
    pub frames_truncated: u64,
    /// Frames that were not decoded down to a transport header.
    pub frames_undecoded: u64,
    /// Frames of UDP, ICMP and other protocols, which are searched but not decoded.
    pub frames_other: u64,
    /// ARP frames.
    pub frames_control: u64,
    /// Payload bytes that belong to no message that was read, in the clear or inside of TLS.
    pub unexplained_bytes: u64,
    /// The first 64 ranges of such bytes.
    pub unexplained: Vec<UnexplainedEntry>,
}

/// A TCP stream that is not whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TroubledStream {
    /// Number of the stream, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// Why the stream is not whole.
    pub reasons: Vec<String>,
}

/// A range of unexplained bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnexplainedEntry {
    /// TCP stream; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Direction of the bytes in the stream; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// Stream offset of the first byte; frame number outside of any stream.
    pub at: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// Why the bytes are unexplained.
    pub reason: String,
}
