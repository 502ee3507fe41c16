//! The store of conversations: one interface for SQLite (one file, the default) and Firestore.
//!
//! A *turn* is a question and its answer. Only whole turns are stored, and the first one creates the conversation: a
//! question without answer leaves nothing, so a crash leaves no partial conversation.

#[cfg(feature = "firestore")]
pub mod firestore;
pub mod sqlite;

use std::error::Error as StdError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::user::UserId;

/// Most turns of a conversation: one write to Firestore, of at most 500 documents, deletes them with their keys.
pub const MAX_TURNS: u32 = 200;

/// A conversation with this many bytes of text is full.
pub const MAX_CONVERSATION_BYTES: u64 = 4 * 1024 * 1024;

/// How long an answer can be found by the key of its request.
pub const KEY_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes that a turn or a conversation counts for besides its text: about what its times, ids and indices take.
const ENTRY_BYTES: u64 = 256;

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

/// A client's name for a request, by which a repetition of it is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The key, chosen by the client.
    pub key: String,
    /// Distinguishes requests with the same key: a hash of what was asked.
    pub fingerprint: String,
}

/// The answer to an earlier request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Of the earlier request.
    pub fingerprint: String,
    /// Its conversation.
    pub conversation: Uuid,
    /// Its answer.
    pub answer: String,
}

/// What a user's conversations take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Conversations.
    pub conversations: u64,
    /// Their turns.
    pub turns: u64,
    /// Bytes of text in them.
    pub bytes: u64,
}

impl Usage {
    /// Bytes that count against a quota: the text, and what a turn and a conversation take besides.
    pub fn counted_bytes(&self) -> u64 {
        self.bytes.saturating_add(ENTRY_BYTES * (self.turns + self.conversations))
    }
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
    /// The conversation without its text.
    fn summary(&self, user: &UserId, id: Uuid) -> Answer<Option<Summary>>;

    /// The turns of `part`, oldest first; `None` if the user has no such conversation, or a turn of the part is gone with it.
    fn turns(&self, user: &UserId, id: Uuid, part: Part) -> Answer<Option<Vec<Turn>>>;

    /// The last turns, oldest first: as many as have at most `bytes` of text together. With the conversation at the same time.
    fn latest(&self, user: &UserId, id: Uuid, bytes: u64) -> Answer<Option<(Summary, Vec<Turn>)>>;

    /// At most `limit` of the user's conversations after `after`, the newest first.
    fn list(&self, user: &UserId, after: Option<Place>, limit: u32) -> Answer<Vec<Summary>>;

    /// Adds a turn, and notes the key of its request if there is one. When the future ends with [`Added::Kept`], both are on
    /// durable storage.
    fn add(&self, user: &UserId, id: Uuid, to: To, turn: Turn, key: Option<RequestKey>) -> Answer<Added>;

    /// The answer to the user's earlier request with this key, which is kept for at least [`KEY_LIFE`].
    fn kept_answer(&self, user: &UserId, key: &str) -> Answer<Option<KeptAnswer>>;

    /// What the user's conversations take.
    fn usage(&self, user: &UserId) -> Answer<Usage>;

    /// Deletes a conversation with its turns; false if the user has no such conversation.
    fn delete(&self, user: &UserId, id: Uuid) -> Answer<bool>;

    /// Deletes some of the conversations of all users that have no turn since `before_unix_ns`; returns how many. Zero means
    /// that none is left.
    fn delete_some_unused(&self, before_unix_ns: i64) -> Answer<u64>;

    /// Writes to the store, and reads what was written.
    fn probe(&self) -> Answer<()>;
}

/// Some turns of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The number of the turn before the first one; 0 for the beginning.
    pub after: u32,
    /// The number of the last one.
    pub through: u32,
    /// Bytes of text after which the part ends. It has at least one turn.
    pub bytes: u64,
}

/// The current time, nanoseconds since the Unix epoch; valid until the year 2262.
pub fn now_unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
