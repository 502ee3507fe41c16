//! The store in one SQLite file, in write-ahead mode. A stored turn is synced to the disk (`synchronous=FULL`), and
//! deleted data is overwritten (`secure_delete`).

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent_core::private_file;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::{
    Added, Answer, KEY_LIFE, KeptAnswer, Part, Place, RequestKey, Store, StoreError, Summary, To, Turn, Usage,
};
use crate::user::UserId;

/// Room that the probe needs beside the file, in bytes: the longest turn (a message of 64 KiB, an answer of less than 1 MiB) with
/// its pages in the log and in the file.
const ROOM: usize = 2 << 20;

/// The layout this program reads and writes, in `user_version`.
pub const LAYOUT_VERSION: i64 = 2;

/// Marks the file as this program's in its header (`application_id`): "plns".
pub const APPLICATION_ID: i64 = 0x706c_6e73;

/// Longest wait of a write for another process that locks the file, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait, when opening, for another gateway that is ending. The processes of a killed gateway end within
/// milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// The tables of layout 1.
const LAYOUT_1: &str = "
    CREATE TABLE conversation (
        id BLOB PRIMARY KEY,
        user TEXT NOT NULL,
        created_at_unix_ns INTEGER NOT NULL,
        updated_at_unix_ns INTEGER NOT NULL,
        turns INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX conversation_of_user ON conversation (user, created_at_unix_ns, id);
    CREATE TABLE turn (
        conversation BLOB NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        message TEXT NOT NULL,
        answer TEXT NOT NULL,
        asked_at_unix_ns INTEGER NOT NULL,
        answered_at_unix_ns INTEGER NOT NULL,
        PRIMARY KEY (conversation, number)
    ) STRICT, WITHOUT ROWID;";

/// What layout 2 adds: keys of requests, the order of retention, and a row that the probe writes.
const LAYOUT_2: &str = "
    CREATE TABLE request_key (
        user TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        conversation BLOB NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        at_unix_ns INTEGER NOT NULL,
        PRIMARY KEY (user, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX request_key_of_conversation ON request_key (conversation);
    CREATE INDEX request_key_by_age ON request_key (at_unix_ns);
    CREATE INDEX conversation_by_use ON conversation (updated_at_unix_ns);
    CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), written TEXT NOT NULL) STRICT;";

/// Conversations that one transaction of [`Store::delete_some_unused`] deletes, so that answers need not wait long for it.
const DELETED_AT_ONCE: u32 = 32;

const SUMMARY: &str = "SELECT id, created_at_unix_ns, updated_at_unix_ns, turns, bytes FROM conversation";

const TURN: &str = "SELECT message, answer, asked_at_unix_ns, answered_at_unix_ns FROM turn";

/// Conversations in a file, which one process at a time can open.
#[derive(Debug)]
pub struct Sqlite {
    writer: Arc<Mutex<Connection>>,
    /// Separate from the writer, so that reads do not wait for a sync of the disk.
    reader: Arc<Mutex<Connection>>,
    folder: PathBuf,
    /// Held as long as the store is open.
    _lock: File,
}

/// Why a file is not opened as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read, made or locked.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Another gateway uses it.
    #[error("{0} is in use by another gateway")]
    InUse(PathBuf),
    /// The file belongs to another program.
    #[error("{0} is a database of another program")]
    Foreign(PathBuf),
    /// A newer version of this program wrote it.
    #[error(
        "{path} has layout {found}, but this program supports layout {LAYOUT_VERSION}: a newer version wrote the file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its layout.
        found: i64,
    },
    /// SQLite rejects the file.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
}

impl Sqlite {
    /// Opens the store at `path`; creates it with mode 0600 if it is missing. Locks the file `path.lock` beside it.
    ///
    /// # Errors
    /// When it cannot be opened, is in use, or is not a store of this version; the file stays unchanged then.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        refuse_foreign(path)?;
        let lock = lock(path)?;
        private_file::create(path)?;
        let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let mut writer = Connection::open(path).map_err(sqlite)?;
        writer.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
        prepare(&mut writer, path)?;
        // Narrows the mode only now that the file is known to be this program's.
        drop(private_file::append(path)?);
        let reader = Connection::open(path).map_err(sqlite)?;
        configure(&reader).map_err(sqlite)?;
        reader.pragma_update(None, "query_only", true).map_err(sqlite)?;
        // The file's own folder, and not that of a link to it.
        let folder = path.canonicalize()?.parent().map_or_else(PathBuf::new, Path::to_owned);
        let (writer, reader) = (Arc::new(Mutex::new(writer)), Arc::new(Mutex::new(reader)));
        Ok(Self { writer, reader, folder, _lock: lock })
    }
}

/// Refuses a database of another program by its first bytes (the SQLite file format, §1.3), without making a file beside it. A
/// database without an application id is recognised by its tables, as far as the file itself has them; [`prepare`] sees the rest.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let mut header = [0; 100];
    match File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) => (),
        // Missing, empty, or shorter than any database.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    let application = i64::from(i32::from_be_bytes([header[68], header[69], header[70], header[71]]));
    if !header.starts_with(b"SQLite format 3\0") || application != 0 && application != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if application == 0 {
        let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        // Immutable: SQLite takes no lock and makes no file.
        let name = percent_encoded(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let there = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags).map_err(sqlite)?;
        if tables(&there).map_err(sqlite)? > 0 {
            return Err(OpenError::Foreign(path.to_owned()));
        }
    }
    Ok(())
}

/// The path in a URI: every byte but letters, digits and `/` as `%HH`.
fn percent_encoded(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'/';
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn tables(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
}

/// Locks other gateways out. Two gateways with one file would end each other's sandboxes, and could run a conversation
/// twice at the same time.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private_file::append(Path::new(&name))?;
    let asked_at = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if asked_at.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// Checks that the file is this program's before changing it, and creates the layout in an empty one.
fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let number = |connection: &Connection, pragma: &str| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(sqlite)
    };
    let layout = number(connection, "user_version")?;
    let application = number(connection, "application_id")?;
    let empty = tables(connection).map_err(sqlite)? == 0 && layout == 0 && application == 0;
    if !empty && application != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if layout > LAYOUT_VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found: layout });
    }
    configure(connection).map_err(sqlite)?;
    lay_out(connection, if empty { 0 } else { layout }).map_err(sqlite)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))
}

/// Brings a file of an earlier layout, 0 for an empty one, to the current one.
fn lay_out(connection: &mut Connection, layout: i64) -> rusqlite::Result<()> {
    if layout == LAYOUT_VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if layout < 1 {
        transaction.execute_batch(LAYOUT_1)?;
    }
    transaction.execute_batch(LAYOUT_2)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", LAYOUT_VERSION)?;
    transaction.commit()
}

impl Store for Sqlite {
    fn summary(&self, user: &UserId, id: Uuid) -> Answer<Option<Summary>> {
        let user = user.clone();
        run(&self.reader, "look up a conversation", move |connection| summary(connection, &user, id))
    }

    fn turns(&self, user: &UserId, id: Uuid, part: Part) -> Answer<Option<Vec<Turn>>> {
        let user = user.clone();
        run(&self.reader, "read a conversation", move |connection| {
            // Both queries see the same state.
            let transaction = connection.transaction()?;
            let Some(summary) = summary(&transaction, &user, id)? else { return Ok(None) };
            if summary.turns < part.through {
                return Ok(None);
            }
            let mut query = transaction.prepare_cached(&format!(
                "{TURN} WHERE conversation = ?1 AND number > ?2 AND number <= ?3 ORDER BY number"
            ))?;
            let rows = query.query_map(params![id.as_bytes(), part.after, part.through], read_turn)?;
            Ok(Some(up_to(rows, part.bytes)?))
        })
    }

    fn latest(&self, user: &UserId, id: Uuid, bytes: u64) -> Answer<Option<(Summary, Vec<Turn>)>> {
        let user = user.clone();
        run(&self.reader, "read a conversation", move |connection| {
            let transaction = connection.transaction()?;
            let Some(summary) = summary(&transaction, &user, id)? else { return Ok(None) };
            let mut query = transaction
                .prepare_cached(&format!("{TURN} WHERE conversation = ?1 ORDER BY number DESC"))?;
            let mut left = bytes;
            let mut turns = Vec::new();
            for turn in query.query_map([id.as_bytes()], read_turn)? {
                let turn = turn?;
                let Some(rest) = left.checked_sub(turn.bytes()) else { break };
                left = rest;
                turns.push(turn);
            }
            turns.reverse();
            Ok(Some((summary, turns)))
        })
    }

    fn list(&self, user: &UserId, after: Option<Place>, limit: u32) -> Answer<Vec<Summary>> {
        let user = user.clone();
        // Greater than every conversation: the greatest time and id.
        let after = after.unwrap_or(Place { created_at_unix_ns: i64::MAX, id: Uuid::max() });
        run(&self.reader, "list conversations", move |connection| {
            let mut query = connection.prepare_cached(&format!(
                "{SUMMARY} WHERE user = ?1 AND (created_at_unix_ns, id) < (?2, ?3)
                 ORDER BY created_at_unix_ns DESC, id DESC LIMIT ?4"
            ))?;
            let at = after.created_at_unix_ns;
            query.query_map(params![user.as_str(), at, after.id.as_bytes(), limit], read_summary)?.collect()
        })
    }

    fn add(&self, user: &UserId, id: Uuid, to: To, turn: Turn, key: Option<RequestKey>) -> Answer<Added> {
        let user = user.clone();
        run(&self.writer, "keep an answer", move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(number) = grow(&transaction, &user, id, to, &turn)? else { return Ok(Added::Gone) };
            transaction.prepare_cached("INSERT INTO turn VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
                params![
                    id.as_bytes(),
                    number,
                    turn.message,
                    turn.answer,
                    turn.asked_at_unix_ns,
                    turn.answered_at_unix_ns
                ],
            )?;
            if let Some(RequestKey { key, fingerprint }) = key {
                let at = turn.answered_at_unix_ns;
                let oldest = at.saturating_sub(KEY_LIFE.as_nanos() as i64);
                transaction
                    .prepare_cached("DELETE FROM request_key WHERE at_unix_ns < ?1")?
                    .execute([oldest])?;
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO request_key VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                    .execute(params![user.as_str(), key, fingerprint, id.as_bytes(), number, at])?;
            }
            transaction.commit()?;
            Ok(Added::Kept)
        })
    }

    fn kept_answer(&self, user: &UserId, key: &str) -> Answer<Option<KeptAnswer>> {
        let (user, key) = (user.clone(), key.to_owned());
        run(&self.reader, "look up a request", move |connection| {
            connection
                .prepare_cached(
                    "SELECT fingerprint, conversation, answer FROM request_key JOIN turn USING (conversation, number)
                     WHERE user = ?1 AND key = ?2",
                )?
                .query_row(params![user.as_str(), key], |row| {
                    let conversation = Uuid::from_bytes(row.get(1)?);
                    Ok(KeptAnswer { fingerprint: row.get(0)?, conversation, answer: row.get(2)? })
                })
                .optional()
        })
    }

    fn usage(&self, user: &UserId) -> Answer<Usage> {
        let user = user.clone();
        run(&self.reader, "add up a user's conversations", move |connection| {
            connection
                .prepare_cached(
                    "SELECT count(*), coalesce(sum(turns), 0), coalesce(sum(bytes), 0) FROM conversation WHERE user = ?1",
                )?
                .query_row([user.as_str()], |row| {
                    let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
                    Ok(Usage { conversations: number(0)?, turns: number(1)?, bytes: number(2)? })
                })
        })
    }

    fn delete(&self, user: &UserId, id: Uuid) -> Answer<bool> {
        let user = user.clone();
        run(&self.writer, "delete a conversation", move |connection| {
            let deleted = connection
                .prepare_cached("DELETE FROM conversation WHERE id = ?1 AND user = ?2")?
                .execute(params![id.as_bytes(), user.as_str()])?;
            Ok(deleted == 1)
        })
    }

    fn delete_some_unused(&self, before_unix_ns: i64) -> Answer<u64> {
        run(&self.writer, "delete unused conversations", move |connection| {
            let deleted = connection
                .prepare_cached(
                    "DELETE FROM conversation WHERE id IN
                     (SELECT id FROM conversation WHERE updated_at_unix_ns < ?1 LIMIT ?2)",
                )?
                .execute(params![before_unix_ns, DELETED_AT_ONCE])?;
            Ok(deleted as u64)
        })
    }

    fn probe(&self) -> Answer<()> {
        let written = Uuid::new_v4().to_string();
        let read = written.clone();
        let writing = run(&self.writer, "write a probe", move |connection| {
            connection.prepare_cached("INSERT OR REPLACE INTO probe VALUES (1, ?1)")?.execute([&written])
        });
        let folder = self.folder.clone();
        // The write of a row can succeed on a full disk, because SQLite writes its log anew from the beginning.
        let taking_room = async move {
            let write = move || tempfile::tempfile_in(folder)?.write_all(&vec![0; ROOM]);
            let written = tokio::task::spawn_blocking(write).await.map_err(io::Error::other).flatten();
            written.map_err(|error| StoreError::new("take room on its disk", error))
        };
        let reading = run(&self.reader, "read a probe", |connection| {
            connection
                .prepare_cached("SELECT written FROM probe")?
                .query_row([], |row| row.get::<_, String>(0))
        });
        Box::pin(async move {
            taking_room.await?;
            writing.await?;
            let found = reading.await?;
            if found == read { Ok(()) } else { Err(StoreError::new("read a probe", "it has another value")) }
        })
    }
}

/// The first turns of `rows` with at most `bytes` of text together, and at least one.
fn up_to(rows: impl Iterator<Item = rusqlite::Result<Turn>>, bytes: u64) -> rusqlite::Result<Vec<Turn>> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut taken = 0;
    for turn in rows {
        let turn = turn?;
        taken += turn.bytes();
        if taken > bytes && !turns.is_empty() {
            break;
        }
        turns.push(turn);
    }
    Ok(turns)
}

/// Runs `query` on a thread that may block on the disk.
fn run<T: Send + 'static>(
    connection: &Arc<Mutex<Connection>>,
    action: &'static str,
    query: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Answer<T> {
    let connection = Arc::clone(connection);
    Box::pin(async move {
        let blocking = tokio::task::spawn_blocking(move || {
            // SQLite rolled back the transaction of a panicking thread: the connection is usable.
            query(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match blocking.await {
            Ok(result) => result.map_err(|error| StoreError::new(action, error)),
            Err(error) => Err(StoreError::new(action, error)),
        }
    })
}

/// Creates the conversation or increments its count; returns the new turn's number, from 1.
fn grow(
    transaction: &Transaction<'_>,
    user: &UserId,
    id: Uuid,
    to: To,
    turn: &Turn,
) -> rusqlite::Result<Option<u32>> {
    let (at, bytes) = (turn.answered_at_unix_ns, turn.bytes().cast_signed());
    let parameters = params![id.as_bytes(), user.as_str(), at, bytes];
    match to {
        To::New => transaction
            .prepare_cached("INSERT INTO conversation VALUES (?1, ?2, ?3, ?3, 1, ?4)")?
            .execute(parameters)
            .map(|_| Some(1)),
        To::Existing => transaction
            .prepare_cached(
                "UPDATE conversation SET updated_at_unix_ns = ?3, turns = turns + 1, bytes = bytes + ?4
                 WHERE id = ?1 AND user = ?2 RETURNING turns",
            )?
            .query_row(parameters, |row| row.get(0))
            .optional(),
    }
}

fn summary(connection: &Connection, user: &UserId, id: Uuid) -> rusqlite::Result<Option<Summary>> {
    connection
        .prepare_cached(&format!("{SUMMARY} WHERE id = ?1 AND user = ?2"))?
        .query_row(params![id.as_bytes(), user.as_str()], read_summary)
        .optional()
}

fn read_summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    Ok(Summary {
        id: Uuid::from_bytes(row.get(0)?),
        created_at_unix_ns: row.get(1)?,
        updated_at_unix_ns: row.get(2)?,
        turns: row.get(3)?,
        bytes: row.get::<_, i64>(4)?.cast_unsigned(),
    })
}

fn read_turn(row: &Row<'_>) -> rusqlite::Result<Turn> {
    Ok(Turn {
        message: row.get(0)?,
        answer: row.get(1)?,
        asked_at_unix_ns: row.get(2)?,
        answered_at_unix_ns: row.get(3)?,
    })
}
