//! The controls: whether "not found" means "not there".

use serde::{Deserialize, Serialize};

/// The controls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Controls {
    /// The same search finds what is there.
    pub positive: PositiveControl,
    /// It does not find what is not there.
    pub decoys: DecoyControl,
    /// Decryption does not succeed by accident; `null` without TLS or without a key log.
    #[serde(deserialize_with = "crate::nullable")]
    pub wrong_key: Option<WrongKeyControl>,
}

/// The same search, in this very capture, finds every string.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PositiveControl {
    /// Whether it found every one, and there were any.
    pub passed: bool,
    /// Strings that were searched.
    pub strings: u64,
    /// Strings that were found at any level.
    pub found: u64,
    /// Whether the key log was there to look behind the encryption.
    pub key_log: bool,
    /// Bytes searched without a key.
    pub bytes_searched: u64,
    /// Decrypted bytes searched.
    pub bytes_decrypted: u64,
}

/// Values of the canaries' form that were never sent are found nowhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DecoyControl {
    /// Whether there were decoys and none was found.
    pub passed: bool,
    /// How many there were.
    pub searched: u64,
    /// How many were found.
    pub found: u64,
}

/// With wrong secrets nothing authenticates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WrongKeyControl {
    /// Whether it was tried and nothing authenticated.
    pub passed: bool,
    /// Records tried.
    pub tried: u64,
    /// Records that authenticated.
    pub authenticated: u64,
}
