//! The files of a certificate and its key, each replaced whole or not at all.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// `NAME.pem` and `NAME.key`.
pub(crate) struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

/// The content of a pair.
pub(crate) struct Pem {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn in_folder(folder: &Path, name: &str) -> Self {
        Self { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) }
    }

    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Reads both files; `None` if one of them is missing.
    pub(crate) fn read(&self) -> Result<Option<Pem>> {
        let (Some(certificate), Some(key)) = (read(&self.certificate)?, read(&self.key)?) else {
            return Ok(None);
        };
        Ok(Some(Pem { certificate, key }))
    }

    /// Replaces both files, the key first: a crash in between leaves a pair that does not match, which the next run renews.
    pub(crate) fn write(&self, certificate: &str, key: &str) -> Result<()> {
        replace(&self.key, key, 0o600)?;
        replace(&self.certificate, certificate, 0o644)
    }

    /// Makes a kept key readable by its owner only.
    pub(crate) fn restrict_key(&self) -> Result<()> {
        set_mode(&self.key, 0o600)
            .with_context(|| format!("cannot restrict the mode of {}", self.key.display()))
    }
}

/// Reads a file; `None` if it is missing. Bytes that are not UTF-8 are replaced, and then rejected as PEM.
fn read(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn replace(path: &Path, text: &str, mode: u32) -> Result<()> {
    let write = || -> std::io::Result<()> {
        // A temporary file has mode 0600, so other users cannot read the key at any moment.
        let folder = path.parent().unwrap_or(Path::new("."));
        // Without the name of the temporary file, which is of no use to the reader of an error.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| error.kind())?;
        file.write_all(text.as_bytes())?;
        set_mode(file.path(), mode)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path)?.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> std::io::Result<()> {
    Ok(())
}
