//! How many bytes crossed, by kind.

use serde::{Deserialize, Serialize};

/// How many bytes crossed, and of what kind they are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Traffic {
    /// Bytes of all frames on the wire.
    pub wire_bytes: u64,
    /// The same, by kind.
    pub by_kind: ByKind,
    /// TCP payload that was sampled for the next two: the first 16 MiB that were captured.
    pub payload_bytes_sampled: u64,
    /// Shannon entropy of the sample's bytes one by one (order 0), in bits, rounded to four places; `null` without any.
    #[serde(deserialize_with = "crate::nullable")]
    pub payload_entropy_bits_per_byte: Option<f64>,
    /// Bytes of the sample that are printable ASCII, tab or line end.
    pub payload_printable_bytes: u64,
}

/// Bytes on the wire by kind. They add up to [`Traffic::wire_bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ByKind {
    /// Link, IP and TCP headers, padding and trailers of frames with TCP.
    pub headers: u64,
    /// TCP payload that was not read as TLS.
    pub clear: u64,
    /// TLS record headers, and the records that anybody can read.
    pub tls_clear: u64,
    /// Bodies of protected TLS records.
    pub ciphertext: u64,
    /// Frames without TCP.
    pub other: u64,
}
