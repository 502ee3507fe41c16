//! Bearer tokens, in a file that the commands `gateway token` change and a running gateway reads again when it has changed.
//!
//! The file holds SHA-256 hashes, never a token. A token is 256 random bits, so that its hash cannot be searched for, and
//! needs neither salt nor a slow function.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use agent_core::hex128::Hex128;
use agent_core::journal::sha256_hex;
use agent_core::private_file;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serve::throttle::Throttle;

use crate::api::rfc3339;
use crate::store::now_unix_ns;
use crate::user::UserId;

/// The form of the file.
const SCHEMA: &str = "plainsight.tokens/1";

/// How every token begins, so that people and scanners for secrets recognise one.
const PREFIX: &str = "plns_";

/// Interval of the log lines about a file that cannot be read.
const LOG_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    schema: String,
    tokens: Vec<Entry>,
}

/// A token as the file knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The user that it authenticates.
    pub user: String,
    /// Its hash, 64 hex digits.
    pub sha256: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

/// Makes a token for `user`, and adds its hash to the file at `path`. Returns the token, which is stored nowhere.
///
/// # Errors
/// When the file cannot be read or written, or the system returns no random bytes.
pub fn add(path: &Path, user: &UserId) -> Result<String> {
    let half = || Hex128::fresh().context("the system returns no random bytes");
    let token = format!("{PREFIX}{}{}", half()?, half()?);
    change(path, |tokens| {
        tokens.push(Entry {
            user: user.to_string(),
            sha256: sha256_hex(token.as_bytes()),
            created_at: rfc3339(now_unix_ns()),
        });
    })?;
    Ok(token)
}

/// Removes all tokens of `user`; returns how many there were.
///
/// # Errors
/// When the file cannot be read or written.
pub fn revoke(path: &Path, user: &UserId) -> Result<usize> {
    let mut removed = 0;
    change(path, |tokens| {
        let before = tokens.len();
        tokens.retain(|token| token.user != user.as_str());
        removed = before - tokens.len();
    })?;
    Ok(removed)
}

/// The tokens in the file at `path`; none if it is missing.
///
/// # Errors
/// When the file cannot be read, or is no file of tokens.
pub fn list(path: &Path) -> Result<Vec<Entry>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    private_file::refuse_others(path).with_context(|| path.display().to_string())?;
    let document: Document =
        serde_json::from_slice(&text).with_context(|| format!("{} is no file of tokens", path.display()))?;
    ensure!(document.schema == SCHEMA, "{} is not {SCHEMA}", path.display());
    Ok(document.tokens)
}

/// Changes the file, which is replaced as a whole, while no other process does.
fn change(path: &Path, change: impl FnOnce(&mut Vec<Entry>)) -> Result<()> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let lock = private_file::append(Path::new(&lock))?;
    lock.lock().context("cannot lock the file of tokens")?;
    let mut tokens = list(path)?;
    change(&mut tokens);
    let document = Document { schema: SCHEMA.to_owned(), tokens };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        // With mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, &document)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The tokens of a running gateway.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    read: Mutex<Read>,
    errors: Throttle,
}

#[derive(Debug, Default)]
struct Read {
    version: Option<Version>,
    /// Users by the hashes of their tokens.
    users: HashMap<String, UserId>,
}

/// Changes whenever the file is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Tokens {
    /// The tokens in the file at `path`, which may be missing.
    ///
    /// # Errors
    /// When it cannot be read, or is no file of tokens.
    pub fn open(path: &Path) -> Result<Self> {
        let this =
            Self { path: path.to_owned(), read: Mutex::default(), errors: Throttle::new(1, LOG_INTERVAL) };
        if list(path)?.is_empty() {
            tracing::warn!(
                "{} has no token: no user can log in; make one with gateway token add NAME",
                path.display()
            );
        }
        Ok(this)
    }

    /// The user of a token. A file that cannot be read has no tokens.
    pub fn user(&self, token: &str) -> Option<UserId> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let version = std::fs::metadata(&self.path).ok().map(|metadata| Version::of(&metadata));
        if version.is_none() || read.version != version {
            *read = Read { version, users: self.users() };
        }
        // The time of the search depends on hashes only, which a client cannot choose.
        read.users.get(&sha256_hex(token.as_bytes())).cloned()
    }

    fn users(&self) -> HashMap<String, UserId> {
        let tokens = list(&self.path).unwrap_or_else(|error| {
            if self.errors.pass().is_some() {
                tracing::error!("no user can log in: {error:#}");
            }
            Vec::new()
        });
        tokens
            .into_iter()
            .filter_map(|entry| Some((entry.sha256, UserId::parse(&entry.user).ok()?)))
            .collect()
    }
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: metadata.modified().ok(), length: metadata.len(), inode }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    #[test]
    fn a_token_is_in_force_until_it_is_revoked_and_is_stored_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let tokens = Tokens::open(&path).unwrap();
        assert_eq!(tokens.user(""), None);
        let (first, second) = (add(&path, &user("alice")).unwrap(), add(&path, &user("alice")).unwrap());
        let other = add(&path, &user("bob")).unwrap();
        assert_eq!(tokens.user(&first), Some(user("alice")));
        assert_eq!(tokens.user(&second), Some(user("alice")));
        assert_eq!(tokens.user(&other), Some(user("bob")));
        for wrong in ["", "alice", PREFIX, &first[1..], &first.to_uppercase(), &format!("{first} ")] {
            assert_eq!(tokens.user(wrong), None, "{wrong}");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&first[PREFIX.len()..]) && text.contains("alice"));
        // The hash is no token.
        assert_eq!(tokens.user(&sha256_hex(first.as_bytes())), None);
        assert_eq!(revoke(&path, &user("alice")).unwrap(), 2);
        assert_eq!((tokens.user(&first), tokens.user(&second)), (None, None));
        assert_eq!(tokens.user(&other), Some(user("bob")));
        assert_eq!(revoke(&path, &user("alice")).unwrap(), 0);
        assert_eq!(list(&path).unwrap().len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_or_that_is_gone_admits_no_user() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let token = add(&path, &user("alice")).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let tokens = Tokens::open(&path).unwrap();
        assert!(tokens.user(&token).is_some());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(list(&path).unwrap_err().root_cause().to_string().contains("chmod 600"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(tokens.user(&token), None);
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(tokens.user(&token), None);
        assert!(Tokens::open(&path).is_err());
    }
}
