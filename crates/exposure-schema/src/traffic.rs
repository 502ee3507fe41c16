//! Bytes on the wire by kind.

use serde::{Deserialize, Serialize};

/// Bytes on the wire by kind, and a sample of the payload.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Traffic {
    /// Bytes of all frames on the wire.
    pub wire_bytes: u64,
    /// The same bytes by kind.
    pub by_kind: ByKind,
    /// Bytes of TCP payload in the sample for the next two fields: at most the first 16 MiB.
    pub payload_bytes_sampled: u64,
    /// Shannon entropy of the sample per byte (order 0) in bits, rounded to four places; `null` without payload.
    #[serde(deserialize_with = "crate::nullable")]
    pub payload_entropy_bits_per_byte: Option<f64>,
    /// Bytes of the sample that are printable ASCII, tabs or line ends.
    pub payload_printable_bytes: u64,
}

/// Bytes on the wire by kind. They add up to [`Traffic::wire_bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ByKind {
    /// Link, IP and TCP headers, padding and trailers of frames with TCP.
    pub headers: u64,
    /// TCP payload that is not TLS.
    pub clear: u64,
    /// TLS record headers, and unprotected records.
    pub tls_clear: u64,
    /// Bodies of protected TLS records.
    pub ciphertext: u64,
    /// Frames without TCP.
    pub other: u64,
}
