//! The ready file: contains the address of a server once it listens, for the program that started it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

/// Writes `{"local":"ip:port"}` to `path`, completely or not at all; with a second, plain listener
/// `{"local":"ip:port","plain":"ip:port"}`.
///
/// # Errors
/// When the file cannot be written; the error names it.
pub fn write(path: &Path, local: SocketAddr, plain: Option<SocketAddr>) -> io::Result<()> {
    #[derive(Serialize)]
    struct Ready {
        local: SocketAddr,
        #[serde(skip_serializing_if = "Option::is_none")]
        plain: Option<SocketAddr>,
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, &Ready { local, plain })?;
        file.write_all(b"\n")?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| io::Error::new(error.kind(), format!("ready file {}: {error}", path.display())))
}
