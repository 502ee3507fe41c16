//! Where conversations are kept: one interface, and behind it SQLite (in one file, the default) or Firestore.
//!
//! A *turn* is a question and its answer. Only whole turns are kept, and a conversation comes to be with its first one:
//! a question that got no answer leaves nothing behind, so nobody finds half a conversation after a crash.

#[cfg(feature = "firestore")]
pub mod firestore;
pub mod sqlite;

use std::error::Error as StdError;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::user::UserId;

/// Most turns of a conversation: its whole goes into one answer of `GET /api/conversation/{id}`, and it is removed in one
/// write of Firestore, which takes 500 documents.
pub const MAX_TURNS: u32 = 200;

/// A conversation with this many bytes of text takes no further turn, for it is read whole for each answer.
pub const MAX_CONVERSATION_BYTES: u64 = 4 * 1024 * 1024;

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What the user said.
    pub message: String,
    /// What the box answered.
    pub answer: String,
    /// When the question came, nanoseconds since the Unix epoch.
    pub asked_at_unix_ns: i64,
    /// When the answer was there, nanoseconds since the Unix epoch.
    pub answered_at_unix_ns: i64,
}

impl Turn {
    /// Bytes of text in it.
    pub fn bytes(&self) -> u64 {
        (self.message.len() + self.answer.len()) as u64
    }
}

/// A conversation without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub id: Uuid,
    /// When its first answer was there, nanoseconds since the Unix epoch.
    pub created_at_unix_ns: i64,
    /// When its last answer was there, nanoseconds since the Unix epoch.
    pub updated_at_unix_ns: i64,
    /// How many turns it has.
    pub turns: u32,
    /// Bytes of text in its turns.
    pub bytes: u64,
}

impl Summary {
    /// Whether it takes no further turn.
    pub fn is_full(&self) -> bool {
        self.turns >= MAX_TURNS || self.bytes >= MAX_CONVERSATION_BYTES
    }

    /// Its place in the order of [`Store::list`].
    pub fn place(&self) -> Place {
        Place { created_at_unix_ns: self.created_at_unix_ns, id: self.id }
    }
}

/// A conversation with all its turns, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// What is known of it without its text.
    pub summary: Summary,
    /// Its turns.
    pub turns: Vec<Turn>,
}

/// A place in a user's list of conversations. It stays valid when the conversation there is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// See [`Summary::created_at_unix_ns`].
    pub created_at_unix_ns: i64,
    /// Decides between conversations of the same nanosecond.
    pub id: Uuid,
}

/// What a turn is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A conversation that begins with it.
    New,
    /// A conversation that is there.
    Existing,
}

/// How adding a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is kept, and a crash of this machine cannot take it back.
    Kept,
    /// The conversation is not there (any more), or is not this user's: nothing was written.
    Gone,
}

/// A store that cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot {action}: {source}")]
pub struct StoreError {
    /// What it should have done.
    pub action: &'static str,
    /// Why it cannot.
    pub source: Box<dyn StdError + Send + Sync>,
}

impl StoreError {
    /// `source` is why the store cannot `action`.
    pub fn new(action: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { action, source: source.into() }
    }
}

/// The answer of a store.
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

/// Keeps conversations. Every question names the user, and what belongs to another user is as if it were not there.
pub trait Store: Send + Sync {
    /// The whole conversation, as of one moment.
    fn conversation(&self, user: &UserId, id: Uuid) -> Answer<Option<Conversation>>;

    /// The conversation without its text.
    fn summary(&self, user: &UserId, id: Uuid) -> Answer<Option<Summary>>;

    /// At most `limit` of the user's conversations, the newest first, from behind `after` on.
    fn list(&self, user: &UserId, after: Option<Place>, limit: u32) -> Answer<Vec<Summary>>;

    /// Adds a turn. When the future ends with [`Added::Kept`], the turn is on durable storage.
    fn add(&self, user: &UserId, id: Uuid, to: To, turn: Turn) -> Answer<Added>;

    /// Removes a conversation with its turns; false when there is none.
    fn delete(&self, user: &UserId, id: Uuid) -> Answer<bool>;
}

/// The time now, nanoseconds since the Unix epoch; until the year 2262.
pub fn now_unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
