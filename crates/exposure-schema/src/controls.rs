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
