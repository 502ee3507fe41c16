//! The files of a run: their names, and how they are written.
//!
//! Captures hold the agents' messages and key logs hold secrets, so only the owner can read the files (mode 0600). A file
//! that other programs wait for or rely on is written under another name, synced, and renamed: it is whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::random;

/// The names of one run's files in one folder, all built from the run's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFiles {
    directory: PathBuf,
    name: RunName,
}

impl RunFiles {
    /// The files of the run `name` in `directory`. Does not access the file system.
    pub fn new(directory: impl Into<PathBuf>, name: RunName) -> Self {
        Self { directory: directory.into(), name }
    }

    /// The folder that holds the files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The run's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The path of `file_name` in the folder.
    #[must_use]
    pub fn path(&self, file_name: &str) -> PathBuf {
        self.directory.join(file_name)
    }

    /// `NAME.pcap`, the finished capture.
    #[must_use]
    pub fn capture(&self) -> String {
        format!("{}.pcap", self.name)
    }

    /// `NAME.manifest.json`, the capturer's record of the capture.
    #[must_use]
    pub fn manifest(&self) -> String {
        format!("{}.manifest.json", self.name)
    }

    /// `NAME.partial.pcap`, the capture while the capturer writes it; a killed capturer leaves it behind.
    #[must_use]
    pub fn partial_capture(&self) -> String {
        format!("{}.partial.pcap", self.name)
    }

    /// `NAME.partial.manifest.json`, the manifest of an unfinished capture, with `finished: false`.
    #[must_use]
    pub fn partial_manifest(&self) -> String {
        format!("{}.partial.manifest.json", self.name)
    }

    /// `NAME.agent-a.jsonl`, the client's journal.
    #[must_use]
    pub fn journal_a(&self) -> String {
        format!("{}.agent-a.jsonl", self.name)
    }

    /// `NAME.agent-b.jsonl`, the server's journal.
    #[must_use]
    pub fn journal_b(&self) -> String {
        format!("{}.agent-b.jsonl", self.name)
    }

    /// `NAME.keys`, the NSS key log of a TLS variant.
    #[must_use]
    pub fn key_log(&self) -> String {
        format!("{}.keys", self.name)
    }
}

/// The stem of a run's files: a single path component of safe characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName(String);

impl RunName {
    /// The stem as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The maximum length of a stem. With the longest suffix it stays below the 255 bytes that file systems allow.
pub const RUN_NAME_MAX_BYTES: usize = 128;

/// A run name that is not a safe file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "run name {0:?} must be 1 to {RUN_NAME_MAX_BYTES} letters, digits, '.', '_' or '-', the first a letter or digit"
)]
pub struct BadRunName(String);

impl FromStr for RunName {
    type Err = BadRunName;

    fn from_str(text: &str) -> Result<Self, BadRunName> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        let begins_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if plain && begins_well && text.len() <= RUN_NAME_MAX_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadRunName(text.to_owned()))
        }
    }
}

impl std::fmt::Display for RunName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Creates an empty file of mode 0600. An existing file at `path` is removed and never written to: it may be a link, or
/// readable by others.
///
/// # Errors
/// If the file cannot be replaced; the message names `path`.
pub fn create_private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named("remove", path, &error)),
        _ => {}
    }
    create_new_private(path).map_err(|error| named("create", path, &error))
}

/// Writes a whole file: to a temporary name beside it (mode 0600), synced, then renamed over `path`. Readers see the old
/// file or the new one, never a part.
///
/// # Errors
/// If the file cannot be written; the message names `path`, and the temporary file is removed.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let Some(file_name) = path.file_name() else {
        return Err(named("write", path, &io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(file_name);
    temporary_name.push(format!(".{}.tmp", random::hex128()?));
    let temporary = path.with_file_name(temporary_name);

    let written = create_new_private(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let result = written.and_then(|()| fs::rename(&temporary, path)).and_then(|()| sync_parent(path));
    result.map_err(|error| {
        // The first error is the one to report, even if the temporary file cannot be removed either.
        let _ = fs::remove_file(&temporary);
        named("write", path, &error)
    })
}

/// Renames a file within a folder, and syncs the folder so that the new name survives a crash.
///
/// # Errors
/// If the rename or the sync fails; the message names both paths.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).and_then(|()| sync_parent(to)).map_err(|error| {
        io::Error::new(error.kind(), format!("rename {} to {}: {error}", from.display(), to.display()))
    })
}

fn create_new_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A rename survives a crash once its folder is synced. Only Unix can open a folder to sync it.
fn sync_parent(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn named(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_names_from_the_stem() {
        let files = RunFiles::new("captures", "http".parse().unwrap());
        assert_eq!(files.path(&files.capture()), Path::new("captures/http.pcap"));
        assert_eq!(files.partial_manifest(), "http.partial.manifest.json");
        assert_eq!(files.journal_a(), "http.agent-a.jsonl");
        assert_eq!(files.key_log(), "http.keys");
    }

    #[test]
    fn rejects_names_that_leave_the_folder_or_hide() {
        for text in [
            "",
            ".",
            "..",
            "../http",
            "a/b",
            ".hidden",
            "a b",
            "é",
            "-x",
            &"x".repeat(RUN_NAME_MAX_BYTES + 1),
        ] {
            assert!(text.parse::<RunName>().is_err(), "{text}");
        }
        for text in ["http", "https-1.3", "2_b"] {
            assert_eq!(text.parse::<RunName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn write_private_replaces_the_file_and_leaves_no_temporary_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.json");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn failed_write_names_the_path_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = write_private(&path, b"x").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_private(&folder.path().join("no/such/folder"), b"x").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn files_are_readable_by_their_owner_only_and_links_are_not_followed() {
        use std::os::unix::fs::{MetadataExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let open_to_all = folder.path().join("open");
        fs::write(&open_to_all, b"victim").unwrap();
        let link = folder.path().join("link");
        symlink(&open_to_all, &link).unwrap();

        create_private(&link).unwrap().write_all(b"secret").unwrap();
        assert_eq!(fs::read(&open_to_all).unwrap(), b"victim");
        assert_eq!(fs::symlink_metadata(&link).unwrap().mode() & 0o7777, 0o600);

        write_private(&open_to_all, b"secret").unwrap();
        assert_eq!(fs::metadata(&open_to_all).unwrap().mode() & 0o7777, 0o600);
    }
}
