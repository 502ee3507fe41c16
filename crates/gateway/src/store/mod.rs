//! The store of conversations: one interface for SQLite (one file, the default) and Firestore.
//!
//! A *turn* is a question and its answer. Only whole turns are stored, and the first one creates the conversation: a
//! question without answer leaves nothing, so a crash leaves no partial conversation.

#[cfg(feature = "firestore")]
pub mod firestore;
pub mod sqlite;

use std::error::Error as StdError;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::user::UserId;

/// Most turns of a conversation: one answer of `GET /api/conversation/{id}` contains all of them, and one write to
/// Firestore, of at most 500 documents, deletes them.
pub const MAX_TURNS: u32 = 200;

/// A conversation with this many bytes of text is full, because each answer reads all of it.
pub const MAX_CONVERSATION_BYTES: u64 = 4 * 1024 * 1024;

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The user's message.
    pub message: String,
    /// The sandbox's answer.
    pub answer: String,
    /// Arrival of the question, nanoseconds since the Unix epoch.
    pub asked_at_unix_ns: i64,
    /// Time of the answer, nanoseconds since the Unix epoch.
    pub answered_at_unix_ns: i64,
}

impl Turn {
    /// Bytes of text in the turn.
    pub fn bytes(&self) -> u64 {
        (self.message.len() + self.answer.len()) as u64
    }
}

/// A conversation without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The conversation's id.
    pub id: Uuid,
    /// Time of the first answer, nanoseconds since the Unix epoch.
    pub created_at_unix_ns: i64,
    /// Time of the last answer, nanoseconds since the Unix epoch.
    pub updated_at_unix_ns: i64,
    /// Number of turns.
    pub turns: u32,
    /// Bytes of text in its turns.
    pub bytes: u64,
}

impl Summary {
    /// Whether the conversation is full.
    pub fn is_full(&self) -> bool {
        self.turns >= MAX_TURNS || self.bytes >= MAX_CONVERSATION_BYTES
    }

    /// Place of the conversation in the order of [`Store::list`].
    pub fn place(&self) -> Place {
        Place { created_at_unix_ns: self.created_at_unix_ns, id: self.id }
    }
}

/// A conversation with all its turns, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The conversation without its text.
    pub summary: Summary,
    /// The turns, oldest first.
    pub turns: Vec<Turn>,
}

/// A place in a user's list of conversations. It stays valid if the conversation is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// See [`Summary::created_at_unix_ns`].
    pub created_at_unix_ns: i64,
    /// Orders conversations of the same nanosecond.
    pub id: Uuid,
}

/// The conversation that a turn is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A new one, which begins with the turn.
    New,
    /// An existing one.
    Existing,
}

/// Result of adding a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The turn is stored, and survives a crash of this machine.
    Kept,
    /// The user has no such conversation (any more); nothing was written.
    Gone,
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot {action}: {source}")]
pub struct StoreError {
    /// The action that failed.
    pub action: &'static str,
    /// The reason.
    pub source: Box<dyn StdError + Send + Sync>,
}

impl StoreError {
    /// The store cannot `action` because of `source`.
    pub fn new(action: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { action, source: source.into() }
    }
}

/// The future that a method of [`Store`] returns.
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

/// Stores conversations. Every method takes the user, and treats other users' conversations as if they did not exist.
pub trait Store: Send + Sync {
    /// The whole conversation at one moment.
    fn conversation(&self, user: &UserId, id: Uuid) -> Answer<Option<Conversation>>;

    /// The conversation without its text.
    fn summary(&self, user: &UserId, id: Uuid) -> Answer<Option<Summary>>;

    /// At most `limit` of the user's conversations after `after`, the newest first.
    fn list(&self, user: &UserId, after: Option<Place>, limit: u32) -> Answer<Vec<Summary>>;

    /// Adds a turn. When the future ends with [`Added::Kept`], the turn is on durable storage.
    fn add(&self, user: &UserId, id: Uuid, to: To, turn: Turn) -> Answer<Added>;

    /// Deletes a conversation with its turns; false if the user has no such conversation.
    fn delete(&self, user: &UserId, id: Uuid) -> Answer<bool>;
}

/// The current time, nanoseconds since the Unix epoch; valid until the year 2262.
pub fn now_unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
