//! The TLS secrets of a run in the NSS key log format, written only when `SSLKEYLOGFILE` names a file.
//!
//! This module reads the variable and passes the file to the TLS configurations explicitly. Both agents can append to the same
//! file, each line by one `write`.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use rustls::KeyLog;

use crate::private_file;

/// The environment variable that names the key log.
pub const VARIABLE: &str = "SSLKEYLOGFILE";

/// A key log in a file of mode 0600.
#[derive(Debug)]
pub struct FileKeyLog {
    file: Mutex<File>,
}

/// The file that `SSLKEYLOGFILE` names; `None` if it is unset or empty.
pub fn path_from_env() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

impl FileKeyLog {
    /// Opens the key log that `SSLKEYLOGFILE` names; `None` if it is unset or empty.
    ///
    /// # Errors
    /// When the file cannot be opened: a requested key log must not silently be missing.
    pub fn from_env() -> io::Result<Option<Arc<Self>>> {
        Self::at(path_from_env().as_deref())
    }

    /// Removes the key log that `SSLKEYLOGFILE` names, so that the next one begins empty.
    ///
    /// # Errors
    /// When the earlier file cannot be removed.
    pub fn begin_anew() -> io::Result<()> {
        path_from_env().map_or(Ok(()), |path| private_file::begin_anew(&path))
    }

    fn at(path: Option<&Path>) -> io::Result<Option<Arc<Self>>> {
        path.map(|path| Self::append_to(path).map(Arc::new)).transpose()
    }

    /// Appends to the key log at `path`.
    ///
    /// # Errors
    /// When the file cannot be opened or made.
    pub fn append_to(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Mutex::new(private_file::append(path)?) })
    }
}

impl KeyLog for FileKeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = line(label, client_random, secret);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            // The handshake continues; the analyzer reports the missing secret.
            tracing::error!("key log: {label} is lost: {error}");
        }
    }
}

/// A line in the NSS format, with its end.
pub fn line(label: &str, client_random: &[u8], secret: &[u8]) -> String {
    format!("{label} {} {}\n", HEXLOWER.encode(client_random), HEXLOWER.encode(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_lines_in_the_nss_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.keys");
        FileKeyLog::append_to(&path).unwrap().log("CLIENT_TRAFFIC_SECRET_0", &[0x0a; 2], &[0xff]);
        FileKeyLog::append_to(&path).unwrap().log("SERVER_TRAFFIC_SECRET_0", &[0x0a; 2], &[0x01]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "CLIENT_TRAFFIC_SECRET_0 0a0a ff\nSERVER_TRAFFIC_SECRET_0 0a0a 01\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn an_unset_variable_gives_no_key_log() {
        assert!(FileKeyLog::at(None).unwrap().is_none());
        assert!(FileKeyLog::at(Some(Path::new("/nowhere/at/all/x.keys"))).is_err());
    }
}
