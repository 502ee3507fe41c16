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

/// Creates `path` with mode 0600 if it is missing, and leaves an existing file as it is.
///
/// # Errors
/// When it cannot be opened or made; the error names the path.
pub fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWNER_ONLY);
    let opened = options.open(path);
    opened.map(drop).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
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

/// Refuses a file with a secret that others than its owner can read or change, as ssh does; root's file may also be readable by
/// its group, as keys that several services share commonly are.
///
/// # Errors
/// When it has such a mode, with the remedy, or when its mode cannot be read.
#[cfg(unix)]
pub fn refuse_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(path)?;
    let mode = metadata.mode() & 0o777;
    let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.is_file() && mode & others != 0 {
        let path = path.display();
        return Err(io::Error::other(format!(
            "its mode {mode:03o} lets others than its owner use the secret in it: chmod 600 {path}"
        )));
    }
    Ok(())
}

/// Checks nothing: this system has no modes.
#[cfg(not(unix))]
pub fn refuse_others(_: &Path) -> io::Result<()> {
    Ok(())
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

    #[cfg(unix)]
    #[test]
    fn refuses_a_secret_that_others_can_read_and_names_the_remedy() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        std::fs::write(&path, "secret").unwrap();
        for (mode, is_refused) in
            [(0o600, false), (0o400, false), (0o644, true), (0o604, true), (0o620, true)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let outcome = refuse_others(&path);
            assert_eq!(outcome.is_err(), is_refused, "{mode:03o}");
            if let Err(error) = outcome {
                assert!(error.to_string().ends_with(&format!("chmod 600 {}", path.display())), "{error}");
            }
        }
        assert!(refuse_others(&folder.path().join("missing")).is_err());
    }

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
