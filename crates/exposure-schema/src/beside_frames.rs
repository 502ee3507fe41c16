//! What a capture file contains beside its frames.

use serde::{Deserialize, Serialize};

use crate::{FragmentSource, Name};

/// The bytes of a capture file that are no part of a frame: comments, names, secrets, unknown blocks. None of them was on the
/// wire, so nothing in them is a leak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BesideFrames {
    /// Number of these bytes, all of which were searched.
    pub bytes_searched: u64,
    /// Strings, parts of messages and secrets in them: the first 64.
    pub found: Vec<BesideFramesEntry>,
    /// Number of strings, messages and secrets in them.
    pub found_total: u64,
}

/// One string, message or secret that is in the file, but in no frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BesideFramesEntry {
    /// What it is.
    pub source: FragmentSource,
    /// The string, at most 256 characters of it; `null` unless it is one.
    pub value: Option<String>,
    /// The string's position in its message; `null` unless it is one.
    pub path: Option<String>,
    /// Id of the message.
    pub message_id: Option<String>,
    /// Offset in the file of the first byte.
    pub file_offset: u64,
    /// Encodings to undo, outermost first.
    pub layers: Vec<Name>,
}
