//! Checks whether existing certificates can be kept. An error is the reason to renew one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use webpki::{EndEntityCert, Error, KeyUsage};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate};

use crate::files::Pem;
use crate::{Authority, RENEW_WITHIN};

/// The authority in `pem`, if it is valid long enough, matches its key and may sign for `names`.
pub(crate) fn authority(
    pem: &Pem,
    now: OffsetDateTime,
    names: &[String],
) -> Result<(Authority, OffsetDateTime)> {
    let certificate = single(pem)?;
    key_matches(&certificate, pem)?;
    let not_after = valid_until(&certificate, now, Holder::Authority)?;
    Ok((Authority::load(&pem.certificate, &certificate, &pem.key, not_after, names)?, not_after))
}

/// What a leaf certificate is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaf<'a> {
    /// A TLS server with these names.
    Server(&'a [String]),
    /// This TLS client.
    Client(&'a str),
}

/// Checks that a verifier that trusts `authority` accepts the leaf in `pem`; returns when it expires.
pub(crate) fn leaf(
    pem: &Pem,
    authority: &str,
    leaf: Leaf<'_>,
    now: OffsetDateTime,
) -> Result<((), OffsetDateTime)> {
    let certificate = single(pem)?;
    key_matches(&certificate, pem)?;
    let not_after = valid_until(&certificate, now, Holder::Leaf)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now.unix_timestamp().try_into()?));
    match leaf {
        Leaf::Server(names) => {
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
        Leaf::Client(name) => {
            let (_, parsed) = X509Certificate::from_der(&certificate).context("it cannot be parsed")?;
            let mut names = parsed.subject().iter_common_name().map(AttributeTypeAndValue::as_str);
            ensure!(
                matches!((names.next(), names.next()), (Some(Ok(only)), None) if only == name),
                "it has another subject"
            );
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Authority,
    Leaf,
}

/// Checks that the certificate is an authority's, if it has to be, and valid now and for a while; returns when it expires.
fn valid_until(
    certificate: &CertificateDer<'_>,
    now: OffsetDateTime,
    holder: Holder,
) -> Result<OffsetDateTime> {
    let certificate = EndEntityCert::try_from(certificate).context("it is not an X.509 certificate")?;
    let (from, until) = validity(&certificate)?;
    if holder == Holder::Authority {
        // A verifier checks the validity first, so that it finds an authority only while it is valid.
        ensure!(refusal(&certificate, from) == Some(Error::CaUsedAsEndEntity), "it is not an authority");
    }
    let from = OffsetDateTime::from_unix_timestamp(from.as_secs().try_into()?)?;
    let until = OffsetDateTime::from_unix_timestamp(until.as_secs().try_into()?)?;
    ensure!(from <= now, "it is not valid before {from}");
    ensure!(now < until, "it expired on {until}");
    ensure!(now + RENEW_WITHIN < until, "it expires within a day, on {until}");
    Ok(until)
}

/// The first and the last second of the validity. A verifier names them when it refuses a certificate at another time.
fn validity(certificate: &EndEntityCert<'_>) -> Result<(UnixTime, UnixTime)> {
    let epoch = UnixTime::since_unix_epoch(Duration::ZERO);
    let from = match refusal(certificate, epoch) {
        Some(Error::CertNotValidYet { not_before, .. }) => not_before,
        _ => epoch,
    };
    match refusal(certificate, UnixTime::since_unix_epoch(Duration::MAX)) {
        Some(Error::CertExpired { not_after, .. }) => Ok((from, not_after)),
        Some(error) => Err(error).context("its validity cannot be read"),
        None => bail!("it never expires"),
    }
}

/// Why a verifier that trusts nothing refuses the certificate of a leaf at a time. It checks the validity, then whether the
/// certificate is an authority's, then who signed it.
fn refusal(certificate: &EndEntityCert<'_>, time: UnixTime) -> Option<Error> {
    certificate.verify_for_usage(&[], &[], &[], time, KeyUsage::client_auth(), None, None).err()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
