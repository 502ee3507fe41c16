//! The fields of an X.509 certificate that identify it. Nothing is verified here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Most subject alternative names kept of one certificate; shared hosting uses some hundred. Further ones are only counted.
pub const MAX_SUBJECT_ALT_NAMES: usize = 256;

/// Most certificates in the cache, which parses the certificate of a server once instead of once per connection. When
/// hit, the cache is cleared, which costs time only.
pub const CERTIFICATE_CACHE: usize = 64;

/// One certificate. Text fields come from the capture; their control characters are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Algorithm of the signature, e.g. `ecdsa-with-SHA256`, or its OID.
    pub signature_algorithm: String,
}

impl Certificate {
    /// Parses one DER certificate.
    #[must_use]
    pub fn parse(der: &[u8]) -> Self {
        let fields = match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(CertificateFields::of(&certificate)),
            Ok((rest, _)) => Err(format!("{} bytes after the certificate", rest.len())),
            Err(error) => Err(escape(&error.to_string())),
        };
        Self { sha256: sha256(der), length: der.len(), fields }
    }
}

impl CertificateFields {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let names =
            certificate.subject_alternative_name().ok().flatten().map(|found| &found.value.general_names);
        let names = names.map(Vec::as_slice).unwrap_or_default();
        Self {
            subject: escape(&certificate.subject().to_string()),
            issuer: escape(&certificate.issuer().to_string()),
            serial: hex(certificate.raw_serial()),
            subject_alt_names: names.iter().take(MAX_SUBJECT_ALT_NAMES).map(name).collect(),
            subject_alt_names_total: names.len(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            public_key_algorithm: public_key(certificate),
            signature_algorithm: algorithm(&certificate.signature_algorithm.algorithm.to_id_string()),
        }
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

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if c.is_control() {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
        safe
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => escape(text),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
            .map_or_else(|_| hex(bytes), |address| address.to_string()),
        other => escape(&other.to_string()),
    }
}

fn public_key(certificate: &X509Certificate<'_>) -> String {
    let info = certificate.public_key();
    let id = info.algorithm.algorithm.to_id_string();
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {} bits", key.key_size()),
        Ok(PublicKey::EC(_)) => {
            let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
            let curve = curve.map(|oid| oid.to_id_string()).unwrap_or_default();
            format!("ECDSA {}", algorithm(&curve))
        }
        _ => algorithm(&id),
    }
}

/// The usual name of an algorithm or curve; an unknown OID is returned unchanged.
fn algorithm(oid: &str) -> String {
    let name = match oid {
        "1.2.840.10045.3.1.7" => "secp256r1",
        "1.3.132.0.34" => "secp384r1",
        "1.3.132.0.35" => "secp521r1",
        "1.2.840.10045.2.1" => "ECDSA",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
        other => other,
    };
    name.to_owned()
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
