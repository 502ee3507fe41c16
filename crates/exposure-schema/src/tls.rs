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
    /// The first 2,048 connections.
    pub sessions: Vec<TlsSession>,
    /// What the handshakes say as text in the clear: the first 64 different texts.
    #[serde(default)]
    pub known_from_handshake: Vec<HandshakeText>,
    /// Strings and keys of the messages in these texts: the first 64.
    #[serde(default)]
    pub words_in_handshake: Vec<HandshakeWord>,
    /// Number of strings and keys of the messages in these texts.
    #[serde(default)]
    pub words_in_handshake_total: u64,
}

/// A text that handshakes say in the clear. By itself it is no leak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HandshakeText {
    /// The field.
    pub field: HandshakeField,
    /// The text.
    pub text: String,
    /// How often it is said.
    pub times: u64,
    /// The first connection that says it.
    pub stream: u32,
}

/// A string or key of a message in a text of a handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HandshakeWord {
    /// The field.
    pub field: HandshakeField,
    /// The text.
    pub text: String,
    /// The part of it that is in a message, in lower case.
    pub word: String,
    /// What it is in the message.
    pub is: WordKind,
    /// The connection.
    pub stream: u32,
    /// The frame in which the handshake message begins, if it is known.
    pub frame: Option<u64>,
}

/// A text field of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HandshakeField {
    /// The server name that a client asks for (SNI).
    ServerName,
    /// An application protocol (ALPN).
    Alpn,
    /// The version that a server chooses.
    Version,
    /// A name in a certificate.
    CertificateName,
}

/// What a word is in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WordKind {
    /// The value of a string or number.
    Value,
    /// The key of an object.
    Key,
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

/// How the keys of a TLS connection are agreed on, and so who can read its recording later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyExchange {
    /// With ML-KEM: neither the server's key nor a quantum computer opens the recording.
    PostQuantum,
    /// With Diffie-Hellman alone: a quantum computer will open the recording.
    ForwardSecret,
    /// The server's key or the shared key opens the recording, also later.
    NotForwardSecret,
    /// Neither side proves who it is: an attacker between the two reads everything at once.
    Unauthenticated,
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
    /// Who can read the recording later.
    #[serde(deserialize_with = "crate::nullable")]
    pub key_exchange: Option<KeyExchange>,
    /// JA3 of the ClientHello.
    #[serde(deserialize_with = "crate::nullable")]
    pub ja3: Option<String>,
    /// JA3S of the ServerHello.
    #[serde(deserialize_with = "crate::nullable")]
    pub ja3s: Option<String>,
    /// JA4 of the ClientHello.
    #[serde(deserialize_with = "crate::nullable")]
    pub ja4: Option<String>,
    /// Certificates of the server, where they are not encrypted.
    pub certificates: Vec<CertificateEntry>,
    /// Certificates of the client, where they are not encrypted.
    pub client_certificates: Vec<CertificateEntry>,
    /// Records that the client and the server sent.
    pub records: [u64; 2],
    /// Bytes that the client and the server sent.
    pub stream_bytes: [u64; 2],
}

/// What only the key log shows of a TLS connection or of a QUIC session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TlsHidden {
    /// Application protocol.
    #[serde(deserialize_with = "crate::nullable")]
    pub alpn: Option<String>,
    /// Certificates of the server.
    pub certificates: Vec<CertificateEntry>,
    /// Certificates of the client.
    pub client_certificates: Vec<CertificateEntry>,
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
    /// Beginning of its validity, in seconds since 1970 UTC.
    #[serde(deserialize_with = "crate::nullable")]
    pub not_before_unix: Option<i64>,
    /// End of its validity, in seconds since 1970 UTC.
    #[serde(deserialize_with = "crate::nullable")]
    pub not_after_unix: Option<i64>,
    /// SHA-256 of the certificate's DER encoding.
    pub sha256: String,
}
