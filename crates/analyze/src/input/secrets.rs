//! What opens the TLS sessions of a capture: its key log, and RSA keys of servers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use dissect::keylog::KeyLog;
use dissect::tls::ServerKeys;

use super::key_log::{self, Keys};
use super::server_key;

/// Where the secrets of a capture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secrets<'p> {
    /// Which key log belongs to it.
    pub keys: Keys<'p>,
    /// PEM files with RSA private keys of servers.
    pub server_keys: &'p [PathBuf],
}

/// The secrets, read.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub keys: Option<Arc<KeyLog>>,
    pub server_keys: ServerKeys,
}

impl<'p> From<Keys<'p>> for Secrets<'p> {
    fn from(keys: Keys<'p>) -> Self {
        Self { keys, server_keys: &[] }
    }
}

impl Secrets<'_> {
    /// Reads the secrets of a capture.
    ///
    /// # Errors
    ///
    /// A file cannot be read, the given key log is none, or a file has no RSA private key that can be used.
    pub(crate) fn of(self, capture: &Path) -> Result<Opened> {
        let server_keys = server_key::read(self.server_keys.iter().map(PathBuf::as_path))?.keys;
        Ok(Opened { keys: key_log::of(capture, self.keys)?, server_keys })
    }
}
