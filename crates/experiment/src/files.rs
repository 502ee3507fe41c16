//! The files of a run: their names, and how they are written.
//!
//! Captures hold what was said and key logs hold secrets, so every file is for its owner alone (mode 0600). Files that
//! others wait for or rely on are written under another name, synced, and renamed: they are whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::random;

/// The names of one run's files, all built from the run's name in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFiles {
    directory: PathBuf,
    name: RunName,
}

impl RunFiles {
    /// The files of the run `name` in `directory`. Nothing is touched.
    pub fn new(directory: impl Into<PathBuf>, name: RunName) -> Self {
        Self { directory: directory.into(), name }
    }

    /// The folder they are in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The run's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// A file of the folder.
    #[must_use]
    pub fn path(&self, file_name: &str) -> PathBuf {
        self.directory.join(file_name)
    }

    /// `NAME.pcap`, the finished capture.
    #[must_use]
    pub fn capture(&self) -> String {
        format!("{}.pcap", self.name)
    }

    /// `NAME.manifest.json`, what the capturer says about it.
    #[must_use]
    pub fn manifest(&self) -> String {
        format!("{}.manifest.json", self.name)
    }

    /// `NAME.partial.pcap`, the capture while it grows, and what a killed capturer leaves.
    #[must_use]
    pub fn partial_capture(&self) -> String {
        format!("{}.partial.pcap", self.name)
    }

    /// `NAME.partial.manifest.json`, its manifest with `finished: false`.
    #[must_use]
    pub fn partial_manifest(&self) -> String {
        format!("{}.partial.manifest.json", self.name)
    }

    /// `NAME.agent-a.jsonl`, what the client said and heard.
    #[must_use]
    pub fn journal_a(&self) -> String {
        format!("{}.agent-a.jsonl", self.name)
    }

    /// `NAME.agent-b.jsonl`, what the server said and heard.
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

/// The stem of a run's files: one plain path component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName(String);

impl RunName {
    /// The stem.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The longest stem. With the longest ending it stays below the 255 bytes that file systems allow.
pub const RUN_NAME_MAX_BYTES: usize = 128;

/// A run name that could not stand in a file name, or would reach out of the folder.
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

/// A new, empty file of mode 0600. What stood at `path` before is removed, never written into: it may be a link, or
/// readable by others.
///
/// # Errors
/// With `path` in the message.
pub fn create_private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named("remove", path, &error)),
        _ => {}
    }
    create_new_private(path).map_err(|error| named("create", path, &error))
}

/// Writes the whole file at once: to a temporary name beside it (mode 0600), synced, then renamed over `path`. Readers
/// see the old file or the new one, never a part.
///
/// # Errors
/// With `path` in the message; the temporary file is gone then.
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
        // Already failing: a temporary file that cannot be removed either is not the story to tell.
        let _ = fs::remove_file(&temporary);
        named("write", path, &error)
    })
}

/// Renames within a folder, and makes the new name durable.
///
/// # Errors
/// With both paths in the message.
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

/// A rename is durable once its folder is synced; elsewhere than on Unix a folder cannot be opened for that.
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
    fn names_are_built_from_the_stem() {
        let files = RunFiles::new("captures", "http".parse().unwrap());
        assert_eq!(files.path(&files.capture()), Path::new("captures/http.pcap"));
        assert_eq!(files.partial_manifest(), "http.partial.manifest.json");
        assert_eq!(files.journal_a(), "http.agent-a.jsonl");
        assert_eq!(files.key_log(), "http.keys");
    }

    #[test]
    fn a_name_cannot_leave_its_folder() {
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
    fn write_private_replaces_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.json");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_path_and_leaves_nothing() {
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
    fn files_are_for_their_owner_alone() {
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
