//! QUIC: what its first packets show.

use serde::{Deserialize, Serialize};

use crate::tls::TlsHidden;

/// The QUIC sessions of a capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Quic {
    /// The first 2,048 sessions.
    pub sessions: Vec<QuicSession>,
    /// Number of sessions.
    pub sessions_total: u64,
    /// Datagrams of all sessions.
    pub datagrams: u64,
}

/// One QUIC session. Everything in it but `hidden` is readable without a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct QuicSession {
    /// Client's address and port.
    pub client: String,
    /// Server's address and port.
    pub server: String,
    /// Number of the first frame.
    pub first_frame: u64,
    /// Number of the last frame.
    pub last_frame: u64,
    /// Datagrams from the client and from the server.
    pub datagrams: [u64; 2],
    /// Bytes of UDP payload from the client and from the server.
    pub payload_bytes: [u64; 2],
    /// Version of the last packet with a long header; `null` if there is none.
    #[serde(deserialize_with = "crate::nullable")]
    pub version: Option<String>,
    /// Versions that the server offered in version negotiation.
    pub versions_negotiated: Vec<String>,
    /// Whether the server sent a Retry.
    pub retry: bool,
    /// Initial packets that were opened, and that were not.
    pub initial_packets: [u64; 2],
    /// Packets that the key log opens.
    ///
    /// Documents written before QUIC was decrypted lack this field.
    #[serde(default)]
    pub decrypted_packets: u64,
    /// Packets under other keys, which stay closed.
    pub closed_packets: u64,
    /// Server name that the client asked for.
    #[serde(deserialize_with = "crate::nullable")]
    pub server_name: Option<String>,
    /// The name by which the client looked up the server's address before.
    #[serde(deserialize_with = "crate::nullable")]
    pub looked_up: Option<String>,
    /// Application protocols that the client offered.
    pub alpn_offered: Vec<String>,
    /// TLS versions that the client offered.
    pub tls_versions_offered: Vec<String>,
    /// Cipher suite that the server chose.
    #[serde(deserialize_with = "crate::nullable")]
    pub cipher_suite: Option<String>,
    /// Group of the key exchange.
    #[serde(deserialize_with = "crate::nullable")]
    pub named_group: Option<String>,
    /// Whether the group is a post-quantum hybrid.
    #[serde(deserialize_with = "crate::nullable")]
    pub post_quantum_hybrid: Option<bool>,
    /// JA4 of the ClientHello.
    ///
    /// Documents written before QUIC was decrypted lack this field.
    #[serde(default)]
    pub ja4: Option<String>,
    /// What only the key log shows.
    ///
    /// Documents written before QUIC was decrypted lack this field.
    #[serde(default)]
    pub hidden: TlsHidden,
}
