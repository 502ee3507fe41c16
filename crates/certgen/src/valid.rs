//! Checks whether existing certificates can be kept. An error is the reason to renew one.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::files::Pem;
use crate::{Authority, Leaf, RENEW_WITHIN};

/// The authority in `pem`, if it is valid long enough and matches its key.
pub(crate) fn authority(pem: &Pem, now: OffsetDateTime) -> Result<(Authority, OffsetDateTime)> {
    let certificate = single(pem)?;
    key_matches(&certificate, pem)?;
    let (_, parsed) = X509Certificate::from_der(&certificate).context("it is not an X.509 certificate")?;
    ensure!(parsed.is_ca(), "it is not an authority");
    let not_after = valid_until(&parsed, now)?;
    Ok((Authority::from_pem(&pem.certificate, &pem.key, not_after)?, not_after))
}

/// Checks that a verifier that trusts `authority` accepts the leaf in `pem` for each of `names`; returns when it expires.
pub(crate) fn leaf(
    pem: &Pem,
    authority: &str,
    names: &[String],
    kind: Leaf,
    now: OffsetDateTime,
) -> Result<((), OffsetDateTime)> {
    let certificate = single(pem)?;
    key_matches(&certificate, pem)?;
    let (_, parsed) = X509Certificate::from_der(&certificate).context("it is not an X.509 certificate")?;
    let not_after = valid_until(&parsed, now)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.unix_timestamp().try_into()?));
    match kind {
        Leaf::Server => {
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
            for name in names {
                let name = ServerName::try_from(name.as_str())
                    .with_context(|| format!("`{name}` is not a DNS name or IP address"))?;
                verifier
                    .verify_server_cert(&certificate, &[], &name, &[], at)
                    .with_context(|| format!("it is not valid for {}", name.to_str()))?;
            }
        }
        Leaf::Client => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
            verifier.verify_client_cert(&certificate, &[], at).context("it is not valid for a client")?;
        }
    }
    Ok(((), not_after))
}

/// The only certificate in the file. certgen writes no file with several, so such a file is renewed.
fn single(pem: &Pem) -> Result<CertificateDer<'static>> {
    let mut all = CertificateDer::pem_slice_iter(pem.certificate.as_bytes());
    let first = all.next().context("it holds no certificate")?.context("it cannot be parsed")?;
    ensure!(all.next().is_none(), "it holds more than one certificate");
    Ok(first)
}

fn key_matches(certificate: &CertificateDer<'static>, pem: &Pem) -> Result<()> {
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).context("its key cannot be parsed")?;
    let key = provider().key_provider.load_private_key(key).context("its key cannot be used")?;
    CertifiedKey::new(vec![certificate.clone()], key).keys_match().context("its key does not match")
}

/// Checks that the certificate is valid now and for a while; returns when it expires.
fn valid_until(certificate: &X509Certificate<'_>, now: OffsetDateTime) -> Result<OffsetDateTime> {
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
    ensure!(from <= now, "it is not valid before {from}");
    ensure!(now < until, "it expired on {until}");
    ensure!(now + RENEW_WITHIN < until, "it expires within a day, on {until}");
    Ok(until)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
