//! The first exchange byte by byte.

use serde::{Deserialize, Serialize};

use crate::connections::Direction;
use crate::strings::Level;

/// The first exchange of the run as it stands on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Exhibit {
    /// Id of its request.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
    /// Its TCP stream.
    pub stream: u32,
    /// The stream from its first byte to the end of the answer, as the sides took turns.
    pub turns: Vec<Turn>,
    /// Bytes in these turns: of each direction the first 8 KiB.
    pub bytes_shown: u64,
    /// Bytes that the client sent in the stream up to the end of the request.
    pub client_bytes: u64,
    /// Bytes that the server sent in it up to the end of the answer.
    pub server_bytes: u64,
    /// A frame that holds a string of it; `null` where none was found.
    #[serde(deserialize_with = "crate::nullable")]
    pub frame: Option<ExhibitFrame>,
}

/// Bytes that one side sent before the other did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Turn {
    /// Which way they went.
    pub direction: Direction,
    /// Offset in the stream of the first of them.
    pub stream_offset: u64,
    /// The frames that carry them.
    pub frames: Vec<u64>,
    /// The bytes, in base64 (RFC 4648 §4).
    pub bytes: String,
}

/// A frame with a string in it, in the clear or encrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExhibitFrame {
    /// Its number.
    pub frame: u64,
    /// Offset in the capture file of its first byte.
    pub file_offset: u64,
    /// Bytes it had on the wire.
    pub wire_bytes: u64,
    /// The captured frame in base64: its first 2,048 bytes.
    pub bytes: String,
    /// Where in the frame its TCP payload begins.
    pub payload_offset: u64,
    /// Which string, as a JSONPath.
    pub path: String,
    /// Id of the string's message.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
    /// What it takes to read it.
    pub level: Level,
    /// Where in the frame the bytes begin that carry the string.
    pub offset: u64,
    /// How many of them are in this frame.
    pub length: u64,
}
