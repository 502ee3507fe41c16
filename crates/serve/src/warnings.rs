//! Warnings at the start of a server: settings that let others read what it receives and sends.

use std::net::SocketAddr;
use std::path::Path;

/// Warns if the server listens without TLS on all addresses, and if it writes the secrets of TLS to a file. One line each.
pub fn at_start(local: SocketAddr, is_tls: bool, key_log: Option<&Path>) {
    if !is_tls && local.ip().is_unspecified() {
        tracing::warn!(
            "plain HTTP on all addresses ({local}): other machines can connect, and all on the way can read and change what is \
             sent; for this machine alone listen on 127.0.0.1, for others give a certificate"
        );
    }
    if let Some(path) = key_log.filter(|_| is_tls) {
        tracing::warn!(
            "the TLS secrets go to {}: with that file everything that is sent can be decrypted; unset SSLKEYLOGFILE to stop it",
            path.display()
        );
    }
}
