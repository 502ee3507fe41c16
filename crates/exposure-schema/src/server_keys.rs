//! RSA keys of servers, and what they opened.

use serde::{Deserialize, Serialize};

/// The RSA private key of a server that was given for the analysis. The key itself is not in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerKeyEntry {
    /// The file that it is from.
    pub file: String,
    /// Size of the modulus in bits.
    pub bits: u64,
    /// SHA-256 of the public key as certificates have it (subjectPublicKey).
    pub public_key_sha256: String,
    /// SHA-256 of the certificates in the capture with its public key: the first 16.
    pub certificates: Vec<String>,
    /// Handshakes in which a server presents one of them.
    pub handshakes: u64,
    /// Of these: the key decrypted the premaster secret, so that the connection is opened.
    pub opened: u64,
    /// Of these: the key exchange has forward secrecy, or is no RSA key exchange.
    pub other_exchanges: u64,
    /// Of these: the key did not decrypt the premaster secret, or a part of the handshake is missing.
    pub failed: u64,
    /// Why it opened nothing; `null` if it opened something.
    pub reason: Option<String>,
}
