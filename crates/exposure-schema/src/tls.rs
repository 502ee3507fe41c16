//! TLS connections: what an eavesdropper sees of them, and what only the key log shows.

use serde::{Deserialize, Serialize};

/// The TLS connections of a capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tls {
    /// TLS connections.
    pub connections: u64,
    /// Records of both directions of all connections.
    pub records: TlsRecords,
    /// The first 256 connections.
    pub sessions: Vec<TlsSession>,
}

/// Numbers of TLS records.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TlsRecords {
    /// All records.
    pub total: u64,
    /// Records of the outer type `application_data`.
    pub application_data: u64,
    /// Records that authenticate under the key log.
    pub authenticated: u64,
    /// Records that do not authenticate under the key log.
    pub failed: u64,
    /// Records that could not be tried, for example without a key.
    pub not_opened: u64,
}

/// One TLS connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TlsSession {
    /// TCP stream.
    pub stream: u32,
    /// Client's address and port.
    pub client: String,
    /// Server's address and port.
    pub server: String,
    /// What an eavesdropper sees.
    pub visible: TlsVisible,
    /// What only the key log shows.
    pub hidden: TlsHidden,
}

/// What an eavesdropper sees of a TLS connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TlsVisible {
    /// Server name that the client asked for.
    #[serde(deserialize_with = "crate::nullable")]
    pub server_name: Option<String>,
    /// Versions that the client offered.
    pub versions_offered: Vec<String>,
    /// Application protocols that the client offered.
    pub alpn_offered: Vec<String>,
    /// Application protocol, where the server's choice is not encrypted.
    #[serde(deserialize_with = "crate::nullable")]
    pub alpn: Option<String>,
    /// TLS version.
    #[serde(deserialize_with = "crate::nullable")]
    pub version: Option<String>,
    /// Cipher suite.
    #[serde(deserialize_with = "crate::nullable")]
    pub cipher_suite: Option<String>,
    /// Group of the key exchange.
    #[serde(deserialize_with = "crate::nullable")]
    pub named_group: Option<String>,
    /// Whether the group is a post-quantum hybrid.
    #[serde(deserialize_with = "crate::nullable")]
    pub post_quantum_hybrid: Option<bool>,
    /// Certificates, where they are not encrypted.
    pub certificates: Vec<CertificateEntry>,
    /// Records that the client and the server sent.
    pub records: [u64; 2],
    /// Bytes that the client and the server sent.
    pub stream_bytes: [u64; 2],
}

/// What only the key log shows of a TLS connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TlsHidden {
    /// Application protocol.
    #[serde(deserialize_with = "crate::nullable")]
    pub alpn: Option<String>,
    /// Certificates.
    pub certificates: Vec<CertificateEntry>,
}

/// A certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CertificateEntry {
    /// Subject.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// Subject alternative names.
    pub subject_alt_names: Vec<String>,
    /// SHA-256 of the certificate's DER encoding.
    pub sha256: String,
}
