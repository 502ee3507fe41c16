//! The controls: whether "not found" means "not there".

use serde::{Deserialize, Serialize};

/// The controls of one capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Controls {
    /// The same search finds the strings that were sent.
    pub positive: PositiveControl,
    /// The search does not find values that were never sent.
    pub decoys: DecoyControl,
    /// No record authenticates under wrong keys; `null` without TLS or without a key log.
    #[serde(deserialize_with = "crate::nullable")]
    pub wrong_key: Option<WrongKeyControl>,
    /// The search without keys finds strings that are planted in copies of the capture's frames; `null` where none can be
    /// planted.
    ///
    /// Documents written before this control lack the field.
    #[serde(default, deserialize_with = "crate::nullable")]
    pub planted: Option<PlantedControl>,
    /// Every captured byte was searched, in its stream or with its frame.
    ///
    /// Documents written before this control lack the field.
    #[serde(default, deserialize_with = "crate::nullable")]
    pub coverage: Option<CoverageControl>,
}

/// Control: every captured byte was searched.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CoverageControl {
    /// Whether each was searched at least once.
    pub passed: bool,
    /// Number of bytes in all frames, as captured.
    pub captured_bytes: u64,
    /// Number of those that were searched with their frame: headers, trailers, and payload that joined no stream.
    pub bytes_in_frames: u64,
    /// Number of bytes that were searched in the streams that they joined.
    pub bytes_in_streams: u64,
}

/// Control: known strings, written in every form and planted in copies of the capture's frames, are found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlantedControl {
    /// Whether strings were planted, and each was found at its level and in its frames.
    pub passed: bool,
    /// Number of planted strings.
    pub planted: u64,
    /// Number of those that were found.
    pub found: u64,
    /// Number of forms in which they were written.
    pub forms: u64,
    /// Number of places in a segment or body at which they were planted.
    pub places: u64,
    /// Number of layers in which they were planted.
    pub layers: u64,
}

/// Control: the same search in the same capture finds every string.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PositiveControl {
    /// Whether there were strings, and all were found.
    pub passed: bool,
    /// Number of strings searched for.
    pub strings: u64,
    /// Number of strings found at any level.
    pub found: u64,
    /// Whether a key log was available for decryption.
    pub key_log: bool,
    /// Bytes searched without a key.
    pub bytes_searched: u64,
    /// Decrypted bytes searched.
    pub bytes_decrypted: u64,
}

/// Control: values in the form of canaries that were never sent are not found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DecoyControl {
    /// Whether there were decoys and none was found.
    pub passed: bool,
    /// Number of decoys.
    pub searched: u64,
    /// Number of decoys found.
    pub found: u64,
}

/// Control: no record authenticates under wrong keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WrongKeyControl {
    /// Whether records were tried, and none authenticated.
    pub passed: bool,
    /// Number of records tried.
    pub tried: u64,
    /// Number of records that authenticated.
    pub authenticated: u64,
}
