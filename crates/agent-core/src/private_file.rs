//! Files with messages or with secrets that decrypt them: only their owner can read them.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens `path` to append; creates it with mode 0600 if it is missing.
///
/// Narrows the mode of an existing regular file to 0600 before it returns.
///
/// # Errors
/// When it cannot be opened, made or narrowed; the error names the path.
pub fn append(path: &Path) -> io::Result<File> {
    open(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Removes the file of an earlier process at `path`, so that [`append`] creates a new one. Leaves anything but a regular file
/// or a link in place, such as a terminal.
///
/// # Errors
/// When it cannot be removed; the error names the path.
pub fn begin_anew(path: &Path) -> io::Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(there) if there.is_file() || there.is_symlink() => std::fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

    let file = OpenOptions::new().append(true).create(true).mode(OWNER_ONLY).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(file)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(unix)]
const OWNER_ONLY: u32 = 0o600;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn after_removal_append_creates_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        begin_anew(&path).unwrap();
        let mut earlier = append(&path).unwrap();
        begin_anew(&path).unwrap();
        append(&path).unwrap().write_all(b"new").unwrap();
        earlier.write_all(b"late").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        begin_anew(folder.path()).unwrap();
        assert!(folder.path().is_dir());
    }
}
