//! The store in one SQLite file, in write-ahead mode. A stored turn is synced to the disk (`synchronous=FULL`), and
//! deleted data is overwritten (`secure_delete`).

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent_core::private_file;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::{Added, Answer, Conversation, Place, Store, StoreError, Summary, To, Turn};
use crate::user::UserId;

/// The layout this program reads and writes, in `user_version`.
pub const LAYOUT_VERSION: i64 = 1;

/// Marks the file as this program's in its header (`application_id`): "plns".
pub const APPLICATION_ID: i64 = 0x706c_6e73;

/// Longest wait of a write for another process that locks the file, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait, when opening, for another gateway that is ending. The processes of a killed gateway end within
/// milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

const LAYOUT: &str = "
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

const SUMMARY: &str = "SELECT id, created_at_unix_ns, updated_at_unix_ns, turns, bytes FROM conversation";

/// Conversations in a file, which one process at a time can open.
#[derive(Debug)]
pub struct Sqlite {
    writer: Arc<Mutex<Connection>>,
    /// Separate from the writer, so that reads do not wait for a sync of the disk.
    reader: Arc<Mutex<Connection>>,
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
        let lock = lock(path)?;
        drop(private_file::append(path)?);
        let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let mut writer = Connection::open(path).map_err(sqlite)?;
        writer.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
        prepare(&mut writer, path)?;
        let reader = Connection::open(path).map_err(sqlite)?;
        configure(&reader).map_err(sqlite)?;
        reader.pragma_update(None, "query_only", true).map_err(sqlite)?;
        Ok(Self { writer: Arc::new(Mutex::new(writer)), reader: Arc::new(Mutex::new(reader)), _lock: lock })
    }
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
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sqlite)?;
    let empty = tables == 0 && layout == 0 && application == 0;
    if !empty && application != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if layout > LAYOUT_VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found: layout });
    }
    configure(connection).map_err(sqlite)?;
    if empty { lay_out(connection).map_err(sqlite) } else { Ok(()) }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))
}

fn lay_out(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(LAYOUT)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", LAYOUT_VERSION)?;
    transaction.commit()
}

impl Store for Sqlite {
    fn conversation(&self, user: &UserId, id: Uuid) -> Answer<Option<Conversation>> {
        let user = user.clone();
        run(&self.reader, "read a conversation", move |connection| {
            // Both queries see the same state.
            let transaction = connection.transaction()?;
            let Some(summary) = summary(&transaction, &user, id)? else { return Ok(None) };
            let turns = turns(&transaction, id)?;
            Ok(Some(Conversation { summary, turns }))
        })
    }

    fn summary(&self, user: &UserId, id: Uuid) -> Answer<Option<Summary>> {
        let user = user.clone();
        run(&self.reader, "look up a conversation", move |connection| summary(connection, &user, id))
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

    fn add(&self, user: &UserId, id: Uuid, to: To, turn: Turn) -> Answer<Added> {
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
            transaction.commit()?;
            Ok(Added::Kept)
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

fn turns(connection: &Connection, id: Uuid) -> rusqlite::Result<Vec<Turn>> {
    let mut query = connection.prepare_cached(
        "SELECT message, answer, asked_at_unix_ns, answered_at_unix_ns FROM turn
         WHERE conversation = ?1 ORDER BY number",
    )?;
    query.query_map([id.as_bytes()], read_turn)?.collect()
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
