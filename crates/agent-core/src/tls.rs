//! The experiment's TLS settings: aws-lc-rs named explicitly, versions by flag, ALPN pinned to `http/1.1`, and verification that
//! cannot be disabled.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::key_log::FileKeyLog;
use crate::private_file;

/// The only protocol that either side offers (RFC 7301). Without it TLS would negotiate HTTP/2 while the plain run uses
/// HTTP/1.1, and the comparison would mix two effects.
pub const ALPN: &[u8] = b"http/1.1";

/// Why a TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read, or lacks the expected item.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with the file.
        reason: String,
    },
    /// rustls rejects the settings.
    #[error("TLS settings: {0}")]
    Settings(#[from] rustls::Error),
}

/// The TLS versions that a side offers; by default 1.3 only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsVersions {
    tls12: bool,
    tls13: bool,
}

/// A text that does not name TLS versions.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a list of TLS versions: 1.3, 1.2 or 1.2,1.3")]
pub struct NotTlsVersions(String);

impl Default for TlsVersions {
    fn default() -> Self {
        Self { tls12: false, tls13: true }
    }
}

impl FromStr for TlsVersions {
    type Err = NotTlsVersions;

    fn from_str(text: &str) -> Result<Self, NotTlsVersions> {
        let mut versions = Self { tls12: false, tls13: false };
        for name in text.split(',') {
            match name.trim() {
                "1.2" => versions.tls12 = true,
                "1.3" => versions.tls13 = true,
                _ => return Err(NotTlsVersions(crate::text::printable(text, 80))),
            }
        }
        Ok(versions)
    }
}

impl fmt::Display for TlsVersions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match (self.tls12, self.tls13) {
            (true, true) => "1.2,1.3",
            (true, false) => "1.2",
            (false, _) => "1.3",
        })
    }
}

impl TlsVersions {
    fn supported(&self) -> Vec<&'static SupportedProtocolVersion> {
        let mut versions = Vec::new();
        if self.tls13 {
            versions.push(&rustls::version::TLS13);
        }
        if self.tls12 {
            versions.push(&rustls::version::TLS12);
        }
        versions
    }
}

/// The cryptography provider of both agents.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A client that trusts the certificates in `ca` (PEM) and nothing else.
///
/// It never resumes a session, so that every connection shows a whole handshake.
///
/// # Errors
/// When `ca` cannot be read or holds no certificate.
pub fn client_config(
    ca: &Path,
    versions: &TlsVersions,
    key_log: Option<Arc<FileKeyLog>>,
) -> Result<ClientConfig, TlsError> {
    client_config_from(roots(ca)?, versions, key_log)
}

fn roots(ca: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| wrong(ca, format!("not a CA certificate: {error}")))?;
    }
    Ok(roots)
}

/// A client that trusts no certificate: for runs without TLS, which must not need a certificate file.
///
/// # Errors
/// Never with the versions this crate knows; the type is that of [`client_config`].
pub fn client_config_without_trust() -> Result<ClientConfig, TlsError> {
    client_config_from(RootCertStore::empty(), &TlsVersions::default(), None)
}

fn client_config_from(
    roots: RootCertStore,
    versions: &TlsVersions,
    key_log: Option<Arc<FileKeyLog>>,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions.supported())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    if let Some(key_log) = key_log {
        config.key_log = key_log;
    }
    Ok(config)
}

/// A server with the chain in `cert` (PEM, leaf first) with the key in `key` (PEM).
///
/// # Errors
/// When a file cannot be read, lacks a certificate or key, the key does not match the leaf, or others than the key's owner can
/// read it.
pub fn server_config(
    cert: &Path,
    key: &Path,
    versions: &TlsVersions,
    key_log: Option<Arc<FileKeyLog>>,
) -> Result<ServerConfig, TlsError> {
    server_config_for(cert, key, versions, key_log, None)
}

/// Like [`server_config`], and asks each client for a certificate that the authority in `client_ca` (PEM) has signed. A client
/// without one can connect too: the server's routes decide what it may do. A certificate of another authority ends the
/// handshake.
///
/// # Errors
/// When a file cannot be read, lacks a certificate or key, or the key does not match the leaf.
pub fn server_config_asking_clients(
    cert: &Path,
    key: &Path,
    versions: &TlsVersions,
    key_log: Option<Arc<FileKeyLog>>,
    client_ca: &Path,
) -> Result<ServerConfig, TlsError> {
    let roots = Arc::new(roots(client_ca)?);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated().build();
    let verifier = verifier.map_err(|error| wrong(client_ca, error.to_string()))?;
    server_config_for(cert, key, versions, key_log, Some(verifier))
}

fn server_config_for(
    cert: &Path,
    key: &Path,
    versions: &TlsVersions,
    key_log: Option<Arc<FileKeyLog>>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, TlsError> {
    let chain = certificates(cert)?;
    private_file::refuse_others(key).map_err(|error| wrong(key, error.to_string()))?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, format!("no private key: {error}")))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions.supported())?
        .with_client_cert_verifier(clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_single_cert(chain, private)
        .map_err(|error| wrong(cert, format!("with {}: {error}", key.display())))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    if let Some(key_log) = key_log {
        config.key_log = key_log;
    }
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(path, error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong(path, "no certificate in it".into()));
    }
    Ok(certificates)
}

fn wrong(path: &Path, reason: String) -> TlsError {
    TlsError::File { path: path.display().to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_versions() {
        for text in ["1.3", "1.2", "1.2,1.3"] {
            assert_eq!(text.parse::<TlsVersions>().unwrap().to_string(), text);
        }
        assert_eq!("1.3, 1.2".parse::<TlsVersions>().unwrap().to_string(), "1.2,1.3");
        assert_eq!(TlsVersions::default().to_string(), "1.3");
        for text in ["", "1.1", "1.3,", "tls"] {
            assert!(text.parse::<TlsVersions>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        let absent = client_config(&path, &TlsVersions::default(), None).unwrap_err();
        assert!(absent.to_string().contains("empty.pem"), "{absent}");
        std::fs::write(&path, "no certificate here").unwrap();
        let empty = client_config(&path, &TlsVersions::default(), None).unwrap_err();
        assert!(empty.to_string().contains("no certificate in it"), "{empty}");
        let server = server_config(&path, &path, &TlsVersions::default(), None).unwrap_err();
        assert!(server.to_string().contains("empty.pem"), "{server}");
    }

    #[test]
    fn offers_only_http_1_1() {
        assert_eq!(client_config_without_trust().unwrap().alpn_protocols, [b"http/1.1"]);
    }

    // Regression: with aws-lc's jitter entropy every process needs about 35 ms for its first random byte,
    // which would count as a cost of TLS. `.cargo/config.toml` switches it off at build time.
    #[test]
    fn the_jitter_entropy_source_is_not_linked() {
        assert_eq!(
            option_env!("AWS_LC_SYS_NO_JITTER_ENTROPY"),
            Some("1"),
            ".cargo/config.toml is not in effect"
        );
        // Checks what is linked too: the test program holds the symbols of its libraries.
        provider().secure_random.fill(&mut [0; 16]).unwrap();
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        // Joined at run time, so that the search does not find its own constants.
        let contains = |parts: [&str; 2]| {
            let name = parts.join("_");
            program.windows(name.len()).any(|window| window == name.as_bytes())
        };
        if !contains(["RAND", "bytes"]) {
            return test_support::skip("the test program carries no symbols");
        }
        assert!(!contains(["jent", "read_entropy"]), "aws-lc was built with its jitter entropy source");
    }
}
