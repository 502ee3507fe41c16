//! The strings that were said, and the places where they stand.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::connections::Direction;

/// One string (or number) that was said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StringEntry {
    /// Its value; of one longer than 256 characters the beginning.
    pub value: String,
    /// Length of the value in bytes.
    pub value_bytes: u64,
    /// Its place in the message, as a JSONPath (RFC 9535).
    pub path: String,
    /// Id of its message.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
    /// Which way the message went.
    pub direction: Direction,
    /// What it takes to read it.
    pub level: Level,
    /// How it was searched.
    pub searched_as: SearchedAs,
    /// Matches to be expected by chance if all bytes searched without a key were random.
    pub expected_chance_hits: f64,
    /// Where it stands at that level: in its own message first; the first 8.
    pub locations: Vec<Location>,
    /// In how many places the value stands, at all levels and in all messages.
    pub locations_total: u64,
}

/// How a string was searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SearchedAs {
    /// By itself.
    Value,
    /// With its key or its quotes, because alone it is too short to be evidence.
    Pair,
    /// Not by itself: it stands where its message stands.
    Message,
}

/// What an eavesdropper must do to read a string, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing: it stands in one frame, grep finds it.
    Verbatim,
    /// Put segments together.
    Reassembled,
    /// Undo an encoding that needs no secret.
    Decoded,
    /// Have the key log.
    Decrypted,
    /// It cannot be read at any level.
    Absent,
}

impl Level {
    /// All levels in order.
    pub const ALL: [Self; 5] =
        [Self::Verbatim, Self::Reassembled, Self::Decoded, Self::Decrypted, Self::Absent];

    /// Whether reading it needs no secret.
    pub fn is_keyless(self) -> bool {
        self < Self::Decrypted
    }

    /// Its name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verbatim => "verbatim",
            Self::Reassembled => "reassembled",
            Self::Decoded => "decoded",
            Self::Decrypted => "decrypted",
            Self::Absent => "absent",
        }
    }
}

/// A place in the capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Location {
    /// All frames that contribute, from 1 as Wireshark counts.
    pub frames: Vec<u64>,
    /// Offset in the capture file of the first byte.
    pub file_offset: u64,
    /// TCP stream, as Wireshark's `tcp.stream`; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Which way.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// Offset in the stream of the first byte, from 0 behind the SYN; `null` for bytes that did not join a stream.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream_offset: Option<u64>,
    /// Bytes on the wire that carry it: of an encoded string the encoded bytes, of a decrypted one its whole records.
    pub wire_bytes: u64,
    /// What has to be undone, outermost first; empty for bytes that stand there as they are.
    pub layers: Vec<Name>,
    /// Display filter for Wireshark.
    pub filter: String,
    /// The first bytes on the wire there: as text where they are UTF-8, what is not printable as `\xNN`; `null` where
    /// they were not read again.
    #[serde(deserialize_with = "crate::nullable")]
    pub excerpt: Option<String>,
}

/// A JSON string that anybody can read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReadableEntry {
    /// Its value; `null` where its name says that it is a secret and it was not asked for.
    #[serde(deserialize_with = "crate::nullable")]
    pub value: Option<String>,
    /// Its place in the body.
    pub path: String,
    /// Where the message stands.
    pub location: Location,
}
