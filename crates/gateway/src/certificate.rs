//! The names in a server certificate, which are names of the server.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// The DNS names and addresses in the first certificate of the file at `path` (PEM).
///
/// # Errors
/// When the file cannot be read, or holds no certificate.
pub fn names(path: &Path) -> Result<Vec<String>> {
    let read = || -> Result<Vec<String>> {
        let text = std::fs::read(path)?;
        let pem = Pem::iter_from_buffer(&text).next().context("it holds no certificate")??;
        let certificate = pem.parse_x509()?;
        let names = certificate.subject_alternative_name()?;
        let names = names.map(|extension| &extension.value.general_names[..]).unwrap_or_default();
        Ok(names.iter().filter_map(name).collect())
    };
    read().with_context(|| path.display().to_string())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(*bytes.first_chunk::<4>()?).to_string()),
            16 => Some(IpAddr::from(*bytes.first_chunk::<16>()?).to_string()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_that_the_certificate_was_made_for() {
        let folder = tempfile::tempdir().unwrap();
        certgen::ensure(&certgen::Request::new(folder.path())).unwrap();
        assert_eq!(names(&folder.path().join("server.pem")).unwrap(), certgen::SERVER_NAMES);
        assert_eq!(names(&folder.path().join("client.pem")).unwrap(), [""; 0]);
        let wrong = names(&folder.path().join("server.key")).unwrap_err();
        assert!(format!("{wrong:#}").contains("server.key"), "{wrong:#}");
        assert!(names(&folder.path().join("missing")).is_err());
    }
}
