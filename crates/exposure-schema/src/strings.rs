//! The strings that were sent, and their locations in the capture.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::connections::Direction;

/// One string or number of a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StringEntry {
    /// The value, cut after 256 characters.
    pub value: String,
    /// Length of the value in bytes.
    pub value_bytes: u64,
    /// JSONPath of the string in the message (RFC 9535).
    pub path: String,
    /// Id of the message.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
    /// Direction of the message; `null` for a string that was given without one.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// The cheapest level at which the string was found.
    pub level: Level,
    /// How the analyzer searched for the string.
    pub searched_as: SearchedAs,
    /// Expected number of matches if all bytes searched without a key were random.
    pub expected_chance_hits: f64,
    /// Locations at that level, those in the string's own message first; the first 8.
    pub locations: Vec<Location>,
    /// Number of locations of the value, at all levels and in all messages.
    pub locations_total: u64,
}

/// How the analyzer searched for a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SearchedAs {
    /// By itself.
    Value,
    /// With its key, its quotes or what surrounds it, because the value alone is too short to be evidence.
    Pair,
    /// Not at all: its whole message is too short, so its location is that of its message.
    Message,
}

/// Parts of a message, of a string, or of a secret that an eavesdropper can read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FragmentEntry {
    /// What the parts belong to.
    pub source: FragmentSource,
    /// Id of the message; `null` for a secret.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
    /// Direction of the message; `null` for a secret.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// JSONPath of the string in the message (RFC 9535); `null` unless the parts belong to a string.
    #[serde(deserialize_with = "crate::nullable")]
    pub path: Option<String>,
    /// Label of the secret in the key log (RFC 9850); `null` unless the parts belong to a secret.
    #[serde(deserialize_with = "crate::nullable")]
    pub label: Option<Name>,
    /// Random of the ClientHello of the secret's connection, in hexadecimal digits; `null` unless the parts belong to a
    /// secret.
    #[serde(deserialize_with = "crate::nullable")]
    pub client_random: Option<String>,
    /// The cheapest level at which a part was found.
    pub level: Level,
    /// Length of the whole in bytes.
    pub source_bytes: u64,
    /// Length of the longest part in bytes.
    pub longest_bytes: u64,
    /// Locations of parts, those at the cheapest level first; the first 8.
    pub locations: Vec<Location>,
    /// Number of parts.
    pub locations_total: u64,
}

/// What readable parts belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FragmentSource {
    /// The body of a message.
    Message,
    /// A string of a message, where it is written otherwise than in the message.
    String,
    /// A secret of the key log.
    Secret,
}

/// What an eavesdropper must do to read a string, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing: one frame contains the string, and grep finds it.
    Verbatim,
    /// Join TCP segments.
    Reassembled,
    /// Undo an encoding that needs no secret.
    Decoded,
    /// Have the key log.
    Decrypted,
    /// The string was not found.
    Absent,
}

impl Level {
    /// All levels in order.
    pub const ALL: [Self; 5] =
        [Self::Verbatim, Self::Reassembled, Self::Decoded, Self::Decrypted, Self::Absent];

    /// Whether a string of this level can be read without a secret.
    pub fn is_keyless(self) -> bool {
        self < Self::Decrypted
    }

    /// The level as it is written in outputs.
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

/// A location in a capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Location {
    /// All frames that contribute, counted from 1 as in Wireshark.
    pub frames: Vec<u64>,
    /// Offset of the first byte in the capture file.
    pub file_offset: u64,
    /// TCP stream, as Wireshark's `tcp.stream`; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Direction in the stream; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// Stream offset of the first byte, where 0 is the first byte after the SYN; `null` for bytes outside of any
    /// stream.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream_offset: Option<u64>,
    /// Number of bytes on the wire that carry the string: its encoded bytes, or the whole records if it is encrypted.
    pub wire_bytes: u64,
    /// Layers to undo in order to read the string, outermost first; empty if it can be read as it is.
    pub layers: Vec<Name>,
    /// Display filter for Wireshark.
    pub filter: String,
    /// The first of these bytes: as text where they are UTF-8, unprintable bytes as `\xNN`; `null` where the file was
    /// not read again.
    #[serde(deserialize_with = "crate::nullable")]
    pub excerpt: Option<String>,
}

/// A string of a body: of JSON, or a field of a form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReadableEntry {
    /// The value; `null` where its key names a secret and secrets were not requested.
    #[serde(deserialize_with = "crate::nullable")]
    pub value: Option<String>,
    /// Position of the string in the body: a JSONPath, or the name of the field of a form, and ` > $` where one leads into a
    /// document in it.
    pub path: String,
    /// Location of the message.
    pub location: Location,
}
