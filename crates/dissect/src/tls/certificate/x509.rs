//! The fields of X.509 certificates.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::{CertificateFields, MAX_SUBJECT_ALT_NAMES};

/// Parses one DER certificate; the error is text that is safe to display.
pub(super) fn fields(der: &[u8]) -> Result<CertificateFields, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(CertificateFields::of(&certificate)),
        Ok((rest, _)) => Err(format!("{} bytes after the certificate", rest.len())),
        Err(error) => Err(escape(&error.to_string())),
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
            serial: HEXLOWER.encode(certificate.raw_serial()),
            subject_alt_names: names.iter().take(MAX_SUBJECT_ALT_NAMES).map(name).collect(),
            subject_alt_names_total: names.len(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            public_key_algorithm: public_key(certificate),
            signature_algorithm: algorithm(&certificate.signature_algorithm.algorithm.to_id_string()),
        }
    }
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

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => escape(text),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
            .map_or_else(|_| HEXLOWER.encode(bytes), |address| address.to_string()),
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
