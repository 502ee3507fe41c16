//! Files that hold what was said or what can decrypt it: readable by their owner only.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens `path` to append, made with mode 0600 when it is not there.
///
/// A regular file that is already there and that others may read is narrowed to 0600 before anything is added to it.
///
/// # Errors
/// When it cannot be opened, made or narrowed; the error names the path.
pub fn append(path: &Path) -> io::Result<File> {
    open(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Removes what an earlier process left at `path`, so that [`append`] begins a new file. What is neither a regular file nor
/// a link to something, such as a terminal, stays.
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
    fn anew_is_another_file() {
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
