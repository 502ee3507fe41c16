//! What is in a capture: written down by the generator, held against what the analyzer says.

use serde::{Deserialize, Serialize};

use crate::capture_spec::CaptureSpec;
use crate::message::Form;

/// The `schema` member.
pub(crate) const SCHEMA: &str = "plainsight.truth/1";

/// Everything that is true of a capture. `NAME.truth.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroundTruth {
    /// Always [`SCHEMA`].
    pub(crate) schema: String,
    /// What it was made from.
    #[serde(rename = "recipe")]
    pub(crate) spec: CaptureSpec,
    /// Frames in the file.
    pub(crate) frames: u64,
    /// Size of the file in bytes.
    pub(crate) bytes: u64,
    /// SHA-256 of the file.
    pub(crate) sha256: String,
    /// TCP connections; all carry data.
    pub(crate) streams: u64,
    /// HTTP messages in both directions; all have a body.
    pub(crate) messages: u64,
    /// Data segments that come before one they follow.
    pub(crate) out_of_order: u64,
    /// Data segments that are in the file twice.
    pub(crate) repeated: u64,
    /// TLS records.
    pub(crate) records: u64,
    /// Those of them whose outer type is `application_data`.
    pub(crate) records_encrypted: u64,
    /// The planted strings, in the order of the journals.
    pub(crate) strings: Vec<PlantedString>,
}

/// A string that stands in the capture, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlantedString {
    /// The string.
    pub(crate) value: String,
    /// Id of its message.
    pub(crate) message_id: String,
    /// How it was sent.
    pub(crate) form: Form,
    /// What it takes to read it, in the analyzer's words.
    pub(crate) level: String,
    /// What has to be undone, outermost first.
    pub(crate) layers: Vec<String>,
    /// Every place where it stands at that level, in the order of the file.
    pub(crate) places: Vec<Place>,
}

/// A place in the capture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// All frames that contribute, ascending, from 1.
    pub(crate) frames: Vec<u64>,
    /// Offset in the file of the first byte.
    pub(crate) file_offset: u64,
    /// TCP stream, from 0 in the order of their SYN.
    pub(crate) stream: u64,
    /// Offset in the stream of the first byte; `None` in a frame that only repeats.
    pub(crate) stream_offset: Option<u64>,
}
