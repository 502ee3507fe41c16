//! The exact contents of a generated capture. The generator writes them, and `check` compares the analyzer's answer
//! with them.

use serde::{Deserialize, Serialize};

use crate::capture_spec::CaptureSpec;
use crate::message::Form;

/// Name and version of the format.
pub(crate) const SCHEMA: &str = "plainsight.truth/1";

/// The contents of a capture, written to `NAME.truth.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroundTruth {
    pub(crate) schema: String,
    /// The spec that the capture was generated from.
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
    /// Data segments captured before an earlier segment of their stream.
    pub(crate) out_of_order: u64,
    /// Data segments that are captured twice.
    pub(crate) repeated: u64,
    /// TLS records.
    pub(crate) records: u64,
    /// TLS records of the outer type `application_data`.
    pub(crate) records_encrypted: u64,
    /// The planted strings, in the order of the journals.
    pub(crate) strings: Vec<PlantedString>,
}

/// A planted string and its places in the capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlantedString {
    pub(crate) value: String,
    pub(crate) message_id: String,
    /// How it was sent.
    pub(crate) form: Form,
    /// Name of its level in the analyzer's result.
    pub(crate) level: String,
    /// Layers to undo, outermost first.
    pub(crate) layers: Vec<String>,
    /// Every place of the string at that level, in the order of the file.
    pub(crate) places: Vec<Place>,
}

/// A place in the capture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// All frames that contribute, ascending, from 1.
    pub(crate) frames: Vec<u64>,
    /// Offset in the file of the first byte.
    pub(crate) file_offset: u64,
    /// TCP stream, numbered from 0 in the order of the SYNs.
    pub(crate) stream: u64,
    /// Stream offset of the first byte; `None` in a frame that only repeats.
    pub(crate) stream_offset: Option<u64>,
}
