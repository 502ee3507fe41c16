//! Reads RSA private keys of servers from PEM files (RFC 7468).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use dissect::tls::{MAX_SERVER_KEYS, ServerKey, ServerKeys};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

/// Longest key file that is read: more than [`MAX_SERVER_KEYS`] keys of 8,192 bits with a chain of certificates for
/// each.
const MAX_KEY_FILE: u64 = 4 << 20;

/// How a PEM file names an encrypted key: PKCS #8 (RFC 7468 §11), or OpenSSL's own way.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];

/// The keys of several files, and for each key its file.
#[derive(Debug, Default)]
pub(crate) struct GivenKeys<'p> {
    /// The keys.
    pub keys: ServerKeys,
    /// The file of each key.
    pub files: Vec<&'p Path>,
}

/// Reads the keys in PEM files. Other objects in them, such as certificates, are skipped.
///
/// # Errors
///
/// A file cannot be read, has no RSA private key, or one that cannot be used; or there are too many keys.
pub(crate) fn read<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<GivenKeys<'p>> {
    let mut given = GivenKeys::default();
    for path in paths {
        let mut text = Vec::new();
        let file = File::open(path).map(|file| file.take(MAX_KEY_FILE + 1));
        let read = file.and_then(|mut file| file.read_to_end(&mut text));
        read.with_context(|| format!("cannot read the server key {}", path.display()))?;
        if text.len() as u64 > MAX_KEY_FILE {
            bail!("{}: no server key: longer than {MAX_KEY_FILE} bytes", path.display());
        }
        for key in of_pem(&text).with_context(|| path.display().to_string())? {
            if !given.keys.add(key) {
                bail!("{}: more than {MAX_SERVER_KEYS} server keys", path.display());
            }
            given.files.push(path);
        }
    }
    Ok(given)
}

/// The keys of one file.
fn of_pem(text: &[u8]) -> Result<Vec<ServerKey>> {
    let is_encrypted = ENCRYPTED.iter().any(|mark| memchr::memmem::find(text, mark.as_bytes()).is_some());
    if is_encrypted {
        bail!("the private key is encrypted: give it without its password (openssl rsa -in FILE -out OTHER)");
    }
    let mut keys = Vec::new();
    for key in PrivateKeyDer::pem_slice_iter(text) {
        let key = key.map_err(|error| anyhow!("no server key: {error}"))?;
        let der = match &key {
            PrivateKeyDer::Pkcs1(key) => key.secret_pkcs1_der(),
            PrivateKeyDer::Pkcs8(key) => key.secret_pkcs8_der(),
            _ => bail!("not an RSA key: only RSA keys open key exchanges"),
        };
        keys.push(ServerKey::from_der(der)?);
    }
    if keys.is_empty() {
        bail!("no server key: it has no private key in PEM (-----BEGIN PRIVATE KEY-----)");
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        format!("{:#}", of_pem(text.as_bytes()).unwrap_err())
    }

    #[test]
    fn reads_every_key_and_skips_certificates() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
        let text = format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{key}\n{key}");
        let keys = of_pem(text.as_bytes()).unwrap();
        assert_eq!(keys.iter().map(ServerKey::bits).collect::<Vec<_>>(), [2048, 2048]);
        // Cut anywhere, it is no key.
        for length in (0..key.len() - 30).step_by(97) {
            assert!(of_pem(&key.as_bytes()[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(error(&other).contains("not rsaEncryption"), "{}", error(&other));
        assert!(error("hello").contains("it has no private key in PEM"));
        assert!(error(ENCRYPTED[0]).contains("is encrypted"));
        let cut = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        assert!(error(cut).contains("no RSA private key: version"), "{}", error(cut));
    }
}
