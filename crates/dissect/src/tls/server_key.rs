//! RSA keys of servers: they open connections before TLS 1.3 whose key exchange is RSA (RFC 5246 §7.4.7.1).
//!
//! ```text
//!   Certificate ──its public key──> which server key
//!   ClientKeyExchange ──that key──> premaster secret ──randoms, or session hash (RFC 7627)──> master secret
//! ```
//!
//! A key opens nothing of a connection whose keys are agreed on with Diffie-Hellman: the server's key only signs there.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use num_bigint::BigUint;

use super::certificate::Certificate;
#[cfg(feature = "x509")]
use super::certificate::RsaPrivateKey;

/// Maximum number of server keys: a certificate is compared with each of them.
pub const MAX_SERVER_KEYS: usize = 64;

/// Shortest and longest modulus of a server key, in bits. Connections from before 2014 often use 1,024; one decryption with the
/// longest takes some 0.1 s.
pub const SERVER_KEY_BITS: std::ops::RangeInclusive<usize> = 512..=8192;

/// Maximum number of certificates that are listed of one server key.
pub const MAX_KEY_CERTIFICATES: usize = 16;

/// Length of the premaster secret of an RSA key exchange (RFC 5246 §7.4.7.1).
const PREMASTER_SECRET: usize = 48;

/// Fewest bytes of padding in front of the content (RFC 8017 §7.2.1).
const MIN_PADDING: usize = 8;

/// The RSA private key of a server. `Debug` shows its size only.
pub struct ServerKey {
    /// SHA-256 of the RSAPublicKey in DER.
    public_key: [u8; 32],
    bits: usize,
    rsa: Rsa,
}

/// How a key decrypts.
enum Rsa {
    AwsLc(Box<Pkcs1PrivateDecryptingKey>),
    /// AWS-LC takes no key below 2,048 bits, and none whose parts do not fit each other in its way; modulus and private exponent
    /// suffice. Its time depends on the key, which is no secret from a user who has the key in a file.
    Numbers {
        modulus: BigUint,
        exponent: BigUint,
    },
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerKeyError {
    /// Not DER of an RSA private key.
    #[error("no RSA private key: {0}")]
    NotRsa(String),
    /// A modulus outside of [`SERVER_KEY_BITS`].
    #[error("an RSA key of {0} bits; those of {min} to {max} bits can be used", min = SERVER_KEY_BITS.start(), max = SERVER_KEY_BITS.end())]
    Size(usize),
}

impl ServerKey {
    /// Reads a private key in DER: RSAPrivateKey (PKCS #1) or PrivateKeyInfo (PKCS #8).
    ///
    /// # Errors
    /// The bytes are no RSA private key, or one whose size is not supported.
    #[cfg(feature = "x509")]
    pub fn from_der(der: &[u8]) -> Result<Self, ServerKeyError> {
        let key = RsaPrivateKey::parse(der).map_err(ServerKeyError::NotRsa)?;
        let modulus = BigUint::from_bytes_be(key.modulus);
        let bits = usize::try_from(modulus.bits()).unwrap_or(usize::MAX);
        if !SERVER_KEY_BITS.contains(&bits) {
            return Err(ServerKeyError::Size(bits));
        }
        let aws_lc = PrivateDecryptingKey::from_pkcs8(&key.to_pkcs8()).ok();
        let rsa = match aws_lc.and_then(|key| Pkcs1PrivateDecryptingKey::new(key).ok()) {
            Some(key) => Rsa::AwsLc(Box::new(key)),
            None => Rsa::Numbers { modulus, exponent: BigUint::from_bytes_be(key.private_exponent) },
        };
        let mut public_key = [0; 32];
        public_key.copy_from_slice(digest::digest(&digest::SHA256, &key.public_key()).as_ref());
        Ok(Self { public_key, bits, rsa })
    }

    /// Size of the modulus in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// SHA-256 of the public key as certificates have it, see
    /// [`CertificateFields::public_key_sha256`](super::CertificateFields::public_key_sha256).
    #[must_use]
    pub fn public_key_sha256(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// The premaster secret of the body of a ClientKeyExchange.
    fn premaster_secret(&self, body: &[u8]) -> Option<[u8; PREMASTER_SECRET]> {
        let length = self.bits.div_ceil(8);
        let encrypted = match body.split_first_chunk() {
            Some((announced, encrypted))
                if usize::from(u16::from_be_bytes(*announced)) == encrypted.len() =>
            {
                encrypted
            }
            // Some clients of TLS 1.0 leave the length out, as in SSL 3.0 (RFC 5246 §7.4.7.1, implementation note).
            _ => body,
        };
        if encrypted.len() != length {
            return None;
        }
        let mut out = vec![0; length];
        let decrypted: &[u8] = match &self.rsa {
            Rsa::AwsLc(key) => key.decrypt(encrypted, &mut out).ok()?,
            Rsa::Numbers { modulus, exponent } => {
                let encrypted = BigUint::from_bytes_be(encrypted);
                if encrypted >= *modulus {
                    return None;
                }
                let encoded = encrypted.modpow(exponent, modulus).to_bytes_be();
                let at = length.checked_sub(encoded.len())?;
                out.get_mut(at..)?.copy_from_slice(&encoded);
                unpadded(&out)?
            }
        };
        decrypted.try_into().ok()
    }
}

/// The content of an encoded message of EME-PKCS1-v1_5: 0, 2, padding without a zero, 0, content (RFC 8017 §7.2.2).
fn unpadded(encoded: &[u8]) -> Option<&[u8]> {
    let padded = encoded.strip_prefix(&[0, 2])?;
    let zero = padded.iter().position(|byte| *byte == 0).filter(|zero| *zero >= MIN_PADDING)?;
    padded.get(zero + 1..)
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKey({} bits)", self.bits)
    }
}

/// What the handshakes of a capture have to do with one server key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUse {
    /// SHA-256 of the certificates with its public key, in the order of the capture; at most [`MAX_KEY_CERTIFICATES`].
    pub certificates: Vec<[u8; 32]>,
    /// Handshakes in which a server presents one of them.
    pub handshakes: u64,
    /// Of these: the key decrypted the premaster secret.
    pub opened: u64,
    /// Of these: with a key exchange that no RSA key opens, such as one with forward secrecy.
    pub other_exchanges: u64,
    /// Of these: the key did not decrypt what the client sent, or what the master secret depends on is not in the capture.
    pub failed: u64,
}

/// The server keys of an analysis, and their use so far.
#[derive(Debug, Default)]
pub struct ServerKeys {
    keys: Vec<(ServerKey, KeyUse)>,
}

/// Which of the [`ServerKeys`].
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyNumber(usize);

impl ServerKeys {
    /// Adds a key. Returns `false` if there are [`MAX_SERVER_KEYS`] already.
    #[must_use]
    pub fn add(&mut self, key: ServerKey) -> bool {
        let has_room = self.keys.len() < MAX_SERVER_KEYS;
        if has_room {
            self.keys.push((key, KeyUse::default()));
        }
        has_room
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys in the order in which they were added, with their use.
    pub fn iter(&self) -> impl Iterator<Item = (&ServerKey, &KeyUse)> + '_ {
        self.keys.iter().map(|(key, used)| (key, used))
    }

    /// Notes a certificate that a server presents. Returns the key that belongs to it.
    pub(super) fn presented(&mut self, certificate: &Certificate) -> Option<KeyNumber> {
        let public_key = certificate.fields.as_ref().ok()?.public_key_sha256;
        let at = self.keys.iter().position(|(key, _)| key.public_key == public_key)?;
        let (_, used) = self.keys.get_mut(at)?;
        used.handshakes += 1;
        if used.certificates.len() < MAX_KEY_CERTIFICATES && !used.certificates.contains(&certificate.sha256)
        {
            used.certificates.push(certificate.sha256);
        }
        Some(KeyNumber(at))
    }

    /// Decrypts the premaster secret of the body of a ClientKeyExchange.
    pub(super) fn premaster_secret(&self, key: KeyNumber, body: &[u8]) -> Option<[u8; PREMASTER_SECRET]> {
        self.keys.get(key.0)?.0.premaster_secret(body)
    }

    /// The use of a key, to be counted on.
    pub(super) fn use_mut(&mut self, key: KeyNumber) -> Option<&mut KeyUse> {
        self.keys.get_mut(key.0).map(|(_, used)| used)
    }
}
