//! Creates certificates, with rcgen.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use webpki::anchor_from_trusted_cert;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{AUTHORITY_LIFE, CLOCK_SKEW, LEAF_LIFE};

/// The common name of an authority, before the time of its creation (seconds since the epoch).
const AUTHORITY_NAME: &str = "plainsight lab CA ";

/// Why an authority of another program is not kept.
const FOREIGN: &str = "certgen did not create it";

/// A certificate authority with its key.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
    not_after: OffsetDateTime,
}

impl Authority {
    /// Creates an authority that is valid from `now` on. It may sign leaf certificates, but no further authority; and server
    /// certificates for `names` only (name constraints, RFC 5280 §4.2.1.10), so that its key is of no use for other servers.
    ///
    /// # Errors
    /// If the operating system returns no random bytes.
    pub fn new(now: OffsetDateTime, names: &[String]) -> Result<Self> {
        let key = new_key()?;
        // A unique name: with two authorities of the same name in a trust store, a verifier may try the wrong one.
        let mut params = authority_params(&now.unix_timestamp().to_string(), names);
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
    /// If the key cannot be parsed, if the certificate has another subject or key, or if it does not permit all of `names`.
    pub(crate) fn load(
        certificate_pem: &str,
        certificate: &CertificateDer<'_>,
        key: &str,
        not_after: OffsetDateTime,
        names: &[String],
    ) -> Result<Self> {
        let anchor = anchor_from_trusted_cert(certificate).context("its certificate cannot be parsed")?;
        let created_at = created_at(&anchor.subject).context(FOREIGN)?;
        let permitted = permitted_names(certificate)?;
        if let Some(name) = names.iter().find(|name| !permitted.contains(name)) {
            bail!("it may not sign for {name}");
        }
        let key = KeyPair::from_pem(key).context("its key cannot be parsed")?;
        let params = authority_params(&created_at, &permitted);
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

    /// Issues a client certificate whose subject is `user`; returns the certificate and the key in PEM, and the time when it
    /// expires.
    ///
    /// # Errors
    /// If the operating system returns no random bytes.
    pub fn issue_client(&self, user: &str, now: OffsetDateTime) -> Result<(String, String, OffsetDateTime)> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, now)
    }

    /// Issues a server certificate for `names`; returns the certificate and the key in PEM, and the time when it expires.
    ///
    /// # Errors
    /// If a name is neither a DNS name nor an IP address.
    pub fn issue_server(
        &self,
        names: &[String],
        now: OffsetDateTime,
    ) -> Result<(String, String, OffsetDateTime)> {
        let mut params = CertificateParams::new(names.to_vec())
            .with_context(|| format!("cannot create a certificate for {}", names.join(", ")))?;
        if let Some(first) = names.first() {
            params.distinguished_name.push(DnType::CommonName, first.as_str());
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, now)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        now: OffsetDateTime,
    ) -> Result<(String, String, OffsetDateTime)> {
        let key = new_key()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = now - CLOCK_SKEW;
        params.not_after = (now + LEAF_LIFE).min(self.not_after);
        let not_after = params.not_after;
        let certificate = params.signed_by(&key, &self.issuer).context("cannot sign the certificate")?;
        Ok((certificate.pem(), key.serialize_pem(), not_after))
    }
}

/// The parameters of an authority except for its validity.
fn authority_params(created_at: &str, names: &[String]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{AUTHORITY_NAME}{created_at}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let subtree = |name: &String| match name.parse::<IpAddr>() {
        Ok(address @ IpAddr::V4(_)) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 32)),
        Ok(address @ IpAddr::V6(_)) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 128)),
        Err(_) => GeneralSubtree::DnsName(name.clone()),
    };
    let permitted_subtrees = names.iter().map(subtree).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    params
}

/// The names that an authority may sign for, as [`Authority::new`] got them.
fn permitted_names(certificate: &CertificateDer<'_>) -> Result<Vec<String>> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).context("its certificate cannot be parsed")?;
    let constraints = certificate.name_constraints().context("its name constraints cannot be parsed")?;
    let constraints = constraints.context("it may sign for any name")?.value;
    let permitted = constraints.permitted_subtrees.iter().flatten();
    permitted.map(|subtree| name_of(&subtree.base).context(FOREIGN)).collect()
}

/// A name of a constraint; an address is followed by its mask, which covers all of it.
fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            8 => Some(IpAddr::from(*bytes.first_chunk::<4>()?).to_string()),
            32 => Some(IpAddr::from(*bytes.first_chunk::<16>()?).to_string()),
            _ => None,
        },
        _ => None,
    }
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
