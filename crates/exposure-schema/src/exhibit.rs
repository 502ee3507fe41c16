//! The first exchange byte by byte.

use serde::{Deserialize, Serialize};

use crate::connections::Direction;
use crate::strings::Level;

/// The first request of the run and its answer, byte by byte.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Exhibit {
    /// Id of the request.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
    /// TCP stream.
    pub stream: u32,
    /// The stream from its first byte to the end of the answer, divided where the direction changes.
    pub turns: Vec<Turn>,
    /// What TLS records of these turns contain, which only the keys show: at most the first 8 KiB of each direction. Empty for
    /// traffic that no manifest describes, because heads of messages may have credentials.
    #[serde(default)]
    pub opened: Vec<OpenedRecord>,
    /// Bytes in these turns: at most the first 8 KiB of each direction.
    pub bytes_shown: u64,
    /// Bytes that the client sent in the stream up to the end of the request.
    pub client_bytes: u64,
    /// Bytes that the server sent in the stream up to the end of the answer.
    pub server_bytes: u64,
    /// A frame that contains one of its strings; `null` where no string was found.
    #[serde(deserialize_with = "crate::nullable")]
    pub frame: Option<ExhibitFrame>,
}

/// Bytes that one side sent before the other side sent anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Turn {
    /// Direction of the bytes.
    pub direction: Direction,
    /// Stream offset of the first byte.
    pub stream_offset: u64,
    /// Frames that carry the bytes.
    pub frames: Vec<u64>,
    /// The bytes, in base64 (RFC 4648 §4).
    pub bytes: String,
}

/// Application data that a TLS record contains, decrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OpenedRecord {
    /// Direction of the record.
    pub direction: Direction,
    /// Stream offset of the record's header.
    pub stream_offset: u64,
    /// Length of the record with its header in bytes.
    pub wire_bytes: u64,
    /// The decrypted bytes, in base64 (RFC 4648 §4).
    pub bytes: String,
}

/// A frame that contains a string, in the clear or encrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExhibitFrame {
    /// Number of the frame.
    pub frame: u64,
    /// Offset of the frame's first byte in the capture file.
    pub file_offset: u64,
    /// Length of the frame on the wire in bytes.
    pub wire_bytes: u64,
    /// The captured frame in base64: its first 2,048 bytes.
    pub bytes: String,
    /// Offset of the TCP payload in the frame.
    pub payload_offset: u64,
    /// JSONPath of the string.
    pub path: String,
    /// Id of the string's message.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
    /// Level of the string.
    pub level: Level,
    /// Offset in the frame of the bytes that carry the string.
    pub offset: u64,
    /// Number of these bytes in this frame.
    pub length: u64,
}
