//! Workspaces: the files of a conversation, which each of its sandboxes gets and gives back.
//!
//! A workspace is an archive that only programs in sandboxes read and write. The gateway keeps its bytes and never unpacks them,
//! so that no name and no link in it means anything on this machine.
//!
//! ```text
//!  file ── base64 in the prompt ──> sandbox: unpacks, works, packs ── record behind the answer ──> file
//! ```
//!
//! A turn that fails changes nothing. The file of a conversation has mode 0600, and begins with a line that names the user.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use agent_core::error_chain::error_chain;
use agent_core::journal::sha256_hex;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use uuid::Uuid;

use crate::store::{Store, StoreError};
use crate::user::UserId;

/// Ends the answer in a program's stdout; the record with the workspace follows. The control character that begins a record
/// in a sequence of JSON texts (RFC 7464 §2.2), which no JSON contains as it is.
const RECORD: u8 = 0x1e;

/// The `schema` of the record.
const SCHEMA: &str = "plainsight.workspace/1";

/// Bytes of the record beside the archive, and some white space.
const RECORD_BYTES: u64 = 1024;

/// Longest first line of a file: a user id has at most 320 bytes.
const MAX_FIRST_LINE: u64 = 1024;

/// Ending of the files.
const EXTENSION: &str = "workspace";

/// The workspaces of all conversations.
#[derive(Debug)]
pub struct Workspaces {
    folder: PathBuf,
    max_bytes: u64,
}

/// Why a program's output has no usable workspace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWorkspace {
    /// What follows the answer is no record.
    #[error("behind the answer is no {SCHEMA}: {0}")]
    NoRecord(String),
    /// It is longer than allowed.
    #[error("the workspace has {0} bytes, more than {1}")]
    TooLarge(u64, u64),
}

#[derive(Deserialize)]
struct Record {
    schema: String,
    archive: String,
}

#[derive(Serialize, Deserialize)]
struct FirstLine {
    user: String,
}

/// A workspace that is written, and not valid yet.
#[derive(Debug)]
pub struct Prepared {
    file: NamedTempFile,
    path: PathBuf,
}

impl Prepared {
    /// Makes it the workspace of the conversation, in the place of the one before.
    ///
    /// # Errors
    /// When it cannot be moved to its place.
    pub fn commit(self) -> io::Result<()> {
        self.file.persist(&self.path).map(drop).map_err(|error| error.error)
    }
}

impl Workspaces {
    /// The workspaces in this folder, which is made with mode 0700 if it is missing. Each has at most `max_bytes`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        private_folder(folder)?;
        Ok(Self { folder: folder.to_owned(), max_bytes })
    }

    /// The most bytes of a workspace, and the bytes that its record takes in a program's output.
    pub fn record_bytes(&self) -> u64 {
        self.max_bytes.div_ceil(3) * 4 + RECORD_BYTES
    }

    /// The workspace of a conversation; empty if it has none yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(&self, user: &UserId, id: Uuid) -> io::Result<Vec<u8>> {
        let file = match File::open(self.path(user, id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let mut reader = BufReader::new(file);
        if owner(&mut reader)? != user.as_str() {
            return Err(io::Error::other(format!("the workspace of {id} belongs to another user")));
        }
        let mut archive = Vec::new();
        reader.read_to_end(&mut archive)?;
        Ok(archive)
    }

    /// Writes a workspace beside the one that is valid.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare(&self, user: &UserId, id: Uuid, archive: &[u8]) -> io::Result<Prepared> {
        let path = self.path(user, id);
        let folder = path.parent().unwrap_or(&self.folder);
        private_folder(folder)?;
        // Mode 0600, as all files of this library.
        let mut file = tempfile::Builder::new().prefix(".").suffix(".partial").tempfile_in(folder)?;
        serde_json::to_writer(&mut file, &FirstLine { user: user.as_str().to_owned() })?;
        file.write_all(b"\n")?;
        file.write_all(archive)?;
        file.as_file().sync_data()?;
        Ok(Prepared { file, path })
    }

    /// Removes the workspace of a conversation, if it has one.
    pub fn remove(&self, user: &UserId, id: Uuid) {
        let path = self.path(user, id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!("cannot remove the workspace {}: {error}", path.display());
            }
            // Fails while it holds others.
            _ => drop(path.parent().map(fs::remove_dir)),
        }
    }

    /// Bytes of all workspaces of a user.
    pub fn usage(&self, user: &UserId) -> u64 {
        let files = fs::read_dir(self.folder_of(user)).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// Removes what belongs to no conversation of the store: those that were deleted while a sandbox ran or by another gateway,
    /// and what a gateway that was killed has not finished.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sweep(&self, store: &dyn Store) -> Result<usize, StoreError> {
        let folders = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut removed = 0;
        for path in folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten()) {
            let path = path.path();
            let is_known = match belongs_to(&path) {
                Some((user, id)) => store.summary(&user, id).await?.is_some(),
                // Younger ones are being written.
                None => !is_old(&path),
            };
            if !is_known {
                match fs::remove_file(&path) {
                    Ok(()) => removed += 1,
                    Err(error) => tracing::error!("cannot remove {}: {error}", path.display()),
                }
            }
        }
        Ok(removed)
    }

    /// Sweeps, and logs how it went.
    pub async fn sweep_and_log(&self, store: &dyn Store) {
        match self.sweep(store).await {
            Ok(0) => (),
            Ok(removed) => tracing::info!(removed, "removed workspaces of deleted conversations"),
            Err(error) => tracing::error!("cannot sweep the workspaces: {}", error_chain(&error)),
        }
    }

    /// Divides a program's stdout into the answer and the workspace behind it; `None` if the program gives none back, so that
    /// the one before stays.
    ///
    /// # Errors
    /// When what follows the answer is no workspace, or too large a one.
    pub fn divide<'o>(&self, stdout: &'o [u8]) -> Result<(&'o [u8], Option<Vec<u8>>), BadWorkspace> {
        let Some(end) = stdout.iter().position(|byte| *byte == RECORD) else { return Ok((stdout, None)) };
        let (answer, record) = (&stdout[..end], &stdout[end + 1..]);
        let no_record = |why: String| BadWorkspace::NoRecord(why);
        let record: Record = serde_json::from_slice(record).map_err(|error| no_record(error.to_string()))?;
        if record.schema != SCHEMA {
            return Err(no_record("it has another schema".to_owned()));
        }
        let archive = BASE64_STANDARD
            .decode(&record.archive)
            .map_err(|error| no_record(format!("its archive: {error}")))?;
        match archive.len() as u64 {
            size if size > self.max_bytes => Err(BadWorkspace::TooLarge(size, self.max_bytes)),
            _ => Ok((answer, Some(archive))),
        }
    }

    fn folder_of(&self, user: &UserId) -> PathBuf {
        // An id can be longer than a file's name.
        self.folder.join(sha256_hex(user.as_str().as_bytes()))
    }

    fn path(&self, user: &UserId, id: Uuid) -> PathBuf {
        self.folder_of(user).join(id.to_string()).with_extension(EXTENSION)
    }
}

/// The part of a program's stdout that is not behind the answer, as it arrives.
#[derive(Debug, Default)]
pub struct UpToRecord(bool);

impl UpToRecord {
    /// The part of the next bytes that belongs to the answer.
    pub fn of<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if self.0 {
            return &[];
        }
        let end = bytes.iter().position(|byte| *byte == RECORD);
        self.0 = end.is_some();
        &bytes[..end.unwrap_or(bytes.len())]
    }
}

/// A workspace as text, for JSON.
pub fn as_text(archive: &[u8]) -> String {
    BASE64_STANDARD.encode(archive)
}

fn private_folder(folder: &Path) -> io::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))
}

fn owner(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(MAX_FIRST_LINE).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice::<FirstLine>(&line)?.user)
}

/// The user and the conversation of a file.
fn belongs_to(path: &Path) -> Option<(UserId, Uuid)> {
    let id = path.file_stem()?.to_str()?.parse().ok()?;
    path.extension().filter(|extension| *extension == EXTENSION)?;
    let user = owner(&mut BufReader::new(File::open(path).ok()?)).ok()?;
    Some((UserId::parse(&user).ok()?, id))
}

/// Whether the file was not changed for an hour.
fn is_old(path: &Path) -> bool {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() > 3600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn record(archive: &[u8]) -> Vec<u8> {
        let record = serde_json::json!({"schema": SCHEMA, "archive": as_text(archive)});
        format!("\u{1e}{record}\n").into_bytes()
    }

    #[test]
    fn a_workspace_is_what_was_committed_last() {
        let folder = tempfile::tempdir().unwrap();
        let workspaces = Workspaces::open(&folder.path().join("w"), 100).unwrap();
        let (alice, id) = (user("alice"), Uuid::new_v4());
        assert_eq!(workspaces.load(&alice, id).unwrap(), b"");
        workspaces.prepare(&alice, id, b"one\n").unwrap().commit().unwrap();
        drop(workspaces.prepare(&alice, id, b"never").unwrap());
        assert_eq!(workspaces.load(&alice, id).unwrap(), b"one\n");
        assert_eq!(workspaces.load(&user("bob"), id).unwrap(), b"", "another user's");
        assert!(workspaces.usage(&alice) > 4 && workspaces.usage(&user("bob")) == 0);
        let path = workspaces.path(&alice, id);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&path), mode(path.parent().unwrap()), mode(&workspaces.folder)),
            (0o600, 0o700, 0o700)
        );
        // A file that was moved to another user is not that user's.
        fs::create_dir_all(workspaces.folder_of(&user("bob"))).unwrap();
        fs::copy(&path, workspaces.path(&user("bob"), id)).unwrap();
        assert!(workspaces.load(&user("bob"), id).is_err());
        workspaces.remove(&alice, id);
        assert_eq!(workspaces.load(&alice, id).unwrap(), b"");
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn divides_the_output_of_a_program() {
        let workspaces = Workspaces { folder: PathBuf::new(), max_bytes: 3 };
        assert_eq!(workspaces.divide(b"the answer\n"), Ok((&b"the answer\n"[..], None)));
        let output = [b"the answer\n", &record(b"abc")[..]].concat();
        assert_eq!(workspaces.divide(&output), Ok((&b"the answer\n"[..], Some(b"abc".to_vec()))));
        assert!(record(b"abc").len() as u64 <= workspaces.record_bytes());
        assert_eq!(workspaces.divide(&record(b"abcd")), Err(BadWorkspace::TooLarge(4, 3)));
        for bad in [&b"\x1e"[..], b"\x1e{}", b"\x1e{\"schema\":\"x\",\"archive\":\"\"}", b"a\x1eb\x1e"] {
            assert!(matches!(workspaces.divide(bad), Err(BadWorkspace::NoRecord(_))), "{bad:?}");
        }
        let mut pieces = UpToRecord::default();
        let shown: Vec<_> = output.chunks(4).flat_map(|chunk| pieces.of(chunk).to_vec()).collect();
        assert_eq!(shown, b"the answer\n");
    }
}
