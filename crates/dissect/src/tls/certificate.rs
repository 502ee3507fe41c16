//! The fields of an X.509 certificate that identify it. Nothing is verified here.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest;

#[cfg(feature = "x509")]
pub(super) use self::rsa_key::RsaPrivateKey;
#[cfg(feature = "x509")]
use self::x509::fields;

#[cfg(feature = "x509")]
mod der;
#[cfg(feature = "x509")]
mod name;
#[cfg(feature = "x509")]
mod rsa_key;
#[cfg(feature = "x509")]
mod time;
#[cfg(feature = "x509")]
mod x509;

/// Maximum number of subject alternative names kept of one certificate; shared hosting uses some hundred. Further ones
/// are only counted.
pub const MAX_SUBJECT_ALT_NAMES: usize = 256;

/// Maximum number of certificates in the cache, which parses the certificate of a server once instead of once for each
/// connection. A full cache is cleared, which only costs time.
pub const CERTIFICATE_CACHE: usize = 64;

/// One certificate. Text fields come from the capture; their control characters are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// SHA-256 of the DER bytes.
    pub sha256: [u8; 32],
    /// Length of the DER bytes.
    pub length: usize,
    /// The parsed fields, or why the certificate could not be parsed.
    pub fields: Result<CertificateFields, String>,
}

/// The parsed fields of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateFields {
    /// Subject as a distinguished name.
    pub subject: String,
    /// Issuer as a distinguished name.
    pub issuer: String,
    /// Serial number in hex.
    pub serial: String,
    /// DNS names, IP addresses, mail addresses and URIs, at most [`MAX_SUBJECT_ALT_NAMES`].
    pub subject_alt_names: Vec<String>,
    /// Number of subject alternative names in the certificate.
    pub subject_alt_names_total: usize,
    /// Start of the validity (seconds since the epoch).
    pub not_before: i64,
    /// End of the validity (seconds since the epoch).
    pub not_after: i64,
    /// Algorithm of the public key, e.g. `ECDSA secp256r1`, or its OID.
    pub public_key_algorithm: String,
    /// SHA-256 of subjectPublicKey, without the count of its unused bits: in the manner of RFC 7093 §2, in full length.
    pub public_key_sha256: [u8; 32],
    /// Algorithm of the signature, e.g. `ecdsa-with-SHA256`, or its OID.
    pub signature_algorithm: String,
}

impl Certificate {
    /// Parses one DER certificate.
    #[must_use]
    pub fn parse(der: &[u8]) -> Self {
        Self { sha256: sha256(der), length: der.len(), fields: fields(der) }
    }
}

/// Parsed certificates by the hash of their bytes.
#[derive(Debug, Default)]
pub(super) struct CertificateCache {
    known: HashMap<[u8; 32], Arc<Certificate>>,
}

impl CertificateCache {
    pub(super) fn read(&mut self, der: &[u8]) -> Arc<Certificate> {
        let hash = sha256(der);
        if let Some(known) = self.known.get(&hash) {
            return Arc::clone(known);
        }
        if self.known.len() >= CERTIFICATE_CACHE {
            self.known.clear();
        }
        let certificate = Arc::new(Certificate::parse(der));
        self.known.insert(hash, Arc::clone(&certificate));
        certificate
    }
}

/// Without a parser there are no fields.
#[cfg(not(feature = "x509"))]
fn fields(_der: &[u8]) -> Result<CertificateFields, String> {
    Err("built without the feature x509".to_owned())
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_why_bytes_are_not_a_certificate() {
        assert!(Certificate::parse(b"\x30\x03abc").fields.is_err());
        assert!(Certificate::parse(b"").fields.is_err());
    }

    #[test]
    fn caches_a_bounded_number_of_certificates() {
        let mut cache = CertificateCache::default();
        let first = cache.read(b"x");
        assert!(Arc::ptr_eq(&first, &cache.read(b"x")));
        for n in 0..1000_u32 {
            cache.read(&n.to_be_bytes());
        }
        assert!(cache.known.len() <= CERTIFICATE_CACHE);
    }
}
