//! Creates certificates, with rcgen.

use anyhow::{Context, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use webpki::anchor_from_trusted_cert;

use crate::{AUTHORITY_LIFE, CLOCK_SKEW, LEAF_LIFE};

/// The common name of an authority, before the time of its creation (seconds since the epoch).
const AUTHORITY_NAME: &str = "plainsight lab CA ";

/// Why an authority of another program is not kept.
const FOREIGN: &str = "certgen did not create it";

/// The purpose of a leaf certificate (extended key usage, RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// TLS server.
    Server,
    /// TLS client.
    Client,
}

/// A certificate authority with its key.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
    not_after: OffsetDateTime,
}

impl Authority {
    /// Creates an authority that is valid from `now` on. It may sign leaf certificates, but no further authority.
    ///
    /// # Errors
    /// If the operating system returns no random bytes.
    pub fn new(now: OffsetDateTime) -> Result<Self> {
        let key = new_key()?;
        // A unique name: with two authorities of the same name in a trust store, a verifier may try the wrong one.
        let mut params = authority_params(&now.unix_timestamp().to_string());
        params.not_before = now - CLOCK_SKEW;
        params.not_after = now + AUTHORITY_LIFE;
        let not_after = params.not_after;
        let certificate_pem = params.self_signed(&key).context("cannot sign the authority")?.pem();
        Ok(Self { certificate_pem, issuer: Issuer::new(params, key), not_after })
    }

    /// Loads an authority that [`Authority::new`] created. rcgen does not read certificates: the authority signs with the
    /// parameters that it was created with, and a certificate made of them again must have the same subject and key.
    ///
    /// # Errors
    /// If the key cannot be parsed, or if the certificate has another subject or key.
    pub(crate) fn load(
        certificate_pem: &str,
        certificate: &CertificateDer<'_>,
        key: &str,
        not_after: OffsetDateTime,
    ) -> Result<Self> {
        let key = KeyPair::from_pem(key).context("its key cannot be parsed")?;
        let anchor = anchor_from_trusted_cert(certificate).context("its certificate cannot be parsed")?;
        let params = authority_params(&created_at(&anchor.subject).context(FOREIGN)?);
        let again = params.self_signed(&key).context("its key cannot sign")?;
        let again = anchor_from_trusted_cert(again.der()).context("its parameters make no certificate")?;
        ensure!(again == anchor, FOREIGN);
        Ok(Self { certificate_pem: certificate_pem.to_owned(), issuer: Issuer::new(params, key), not_after })
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key in PKCS #8 PEM.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// When the authority expires.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Issues a leaf certificate for `names`; returns the certificate and the key in PEM, and the time when it expires.
    ///
    /// # Errors
    /// If a name is neither a DNS name nor an IP address.
    pub fn issue(
        &self,
        names: &[String],
        kind: Leaf,
        now: OffsetDateTime,
    ) -> Result<(String, String, OffsetDateTime)> {
        let key = new_key()?;
        let mut params = CertificateParams::new(names.to_vec())
            .with_context(|| format!("cannot create a certificate for {}", names.join(", ")))?;
        if let Some(first) = names.first() {
            params.distinguished_name.push(DnType::CommonName, first.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match kind {
            Leaf::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Leaf::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        params.not_before = now - CLOCK_SKEW;
        params.not_after = (now + LEAF_LIFE).min(self.not_after);
        let not_after = params.not_after;
        let certificate = params.signed_by(&key, &self.issuer).context("cannot sign the certificate")?;
        Ok((certificate.pem(), key.serialize_pem(), not_after))
    }
}

/// The parameters of an authority except for its validity.
fn authority_params(created_at: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{AUTHORITY_NAME}{created_at}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// The end of an authority's name, which is also the end of its subject in DER.
fn created_at(subject: &[u8]) -> Option<String> {
    let name = AUTHORITY_NAME.as_bytes();
    let start = subject.windows(name.len()).position(|part| part == name)? + name.len();
    String::from_utf8(subject.get(start..)?.to_vec()).ok()
}

fn new_key() -> Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot create a key")
}
