//! Whether all that was said was seen.

use serde::{Deserialize, Serialize};

use crate::connections::Direction;

/// Whether all that was said was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Completeness {
    /// Whether everything below is as it must be.
    pub passed: bool,
    /// Whether the file is the one that the capturer closed; `null` without a manifest.
    #[serde(deserialize_with = "crate::nullable")]
    pub hash_matches_manifest: Option<bool>,
    /// Whether the capturer closed the file itself; `null` without a manifest.
    #[serde(deserialize_with = "crate::nullable")]
    pub capture_finished: Option<bool>,
    /// Frames that the kernel dropped; `null` where no kernel was asked.
    #[serde(deserialize_with = "crate::nullable")]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TroubledStream {
    /// Its number, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// Why.
    pub reasons: Vec<String>,
}

/// Bytes that no parser explains.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnexplainedEntry {
    /// TCP stream; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Which way they went.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// Stream offset of the first of them; frame number outside of any stream.
    pub at: u64,
    /// How many.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}
