//! The store in Google's Firestore, or in its emulator at `FIRESTORE_EMULATOR_HOST`.
//!
//! ```text
//!  users/{user}/conversations/{id}                 summary, and the place in the list
//!  users/{user}/conversations/{id}/turns/{number}  a question and its answer, from 000001 on
//!  users/{user}/keys/{hash of the key}             the conversation and turn of a request with a key
//!  probes/{id of a gateway}                        what a probe wrote
//! ```
//!
//! A turn and the count of its conversation change in one transaction, so that readers see both or neither. The list is
//! ordered by one field, which Firestore indexes by default.

use std::time::Duration;

use agent_core::journal::sha256_hex;
use firestore::errors::{BackoffError, FirestoreError};
use firestore::{
    FirestoreDb, FirestoreDbOptions, FirestoreQueryCursor, FirestoreResult, FirestoreTransaction,
    FirestoreWritePrecondition, ParentPathBuilder, path,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Added, Answer, KEY_LIFE, KeptAnswer, Part, Place, RequestKey, Store, StoreError, Summary, To, Turn,
    Usage, now_unix_ns,
};
use crate::user::UserId;

const USERS: &str = "users";
const CONVERSATIONS: &str = "conversations";
const TURNS: &str = "turns";
const KEYS: &str = "keys";
const PROBES: &str = "probes";

/// Turns that are read at once.
const READ_AT_ONCE: u32 = 8;

/// Conversations that one call of [`Store::delete_some_unused`] deletes.
const DELETED_AT_ONCE: u32 = 32;

/// Longest wait for one answer of Firestore.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Conversations in a project's default database.
#[derive(Clone)]
pub struct Firestore {
    database: FirestoreDb,
    /// Names the document that the probes of this gateway write.
    id: Uuid,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Head {
    /// Orders the list; see [`place`].
    place: String,
    created_at_unix_ns: i64,
    updated_at_unix_ns: i64,
    turns: u32,
    bytes: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct TurnDocument {
    number: u32,
    message: String,
    answer: String,
    asked_at_unix_ns: i64,
    answered_at_unix_ns: i64,
}

/// The answer to a request with a key.
#[derive(Debug, Serialize, Deserialize)]
struct KeyDocument {
    fingerprint: String,
    conversation: String,
    number: u32,
    at_unix_ns: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct ProbeDocument {
    written: String,
}

/// A result of an aggregation.
#[derive(Debug, Deserialize)]
struct Total {
    total: Option<i64>,
}

impl Firestore {
    /// Connects to the default database of `project` with the credentials of the environment, and sends a first
    /// request.
    ///
    /// # Errors
    /// When there are no credentials, or the database does not answer.
    pub async fn open(project: &str) -> Result<Self, StoreError> {
        // The client needs a cryptography provider. An already installed one is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let options = FirestoreDbOptions::new(project.to_owned()).with_request_timeout(ANSWER_TIMEOUT);
        let connect = async {
            let database = FirestoreDb::with_options(options).await?;
            database.ping().await?;
            FirestoreResult::Ok(database)
        };
        let connected = connect.await.map_err(|error| StoreError::new("connect to Firestore", error));
        connected.map(|database| Self { database, id: Uuid::new_v4() })
    }
}

impl Store for Firestore {
    fn summary(&self, user: &UserId, id: Uuid) -> Answer<Option<Summary>> {
        let (database, user) = (self.database.clone(), user.clone());
        answer("look up a conversation", async move {
            Ok(head(&database, &user, id).await?.map(|head| head.summary(id)))
        })
    }

    fn turns(&self, user: &UserId, id: Uuid, part: Part) -> Answer<Option<Vec<Turn>>> {
        let (database, user) = (self.database.clone(), user.clone());
        answer("read a conversation", async move {
            let Some(head) = head(&database, &user, id).await? else { return Ok(None) };
            let mut all: Vec<Turn> = Vec::new();
            let mut bytes = 0;
            let mut done = part.after;
            while done < part.through {
                let through = part.through.min(done + READ_AT_ONCE);
                let turns = turns(&database, &user, id, done, through).await?;
                // Turns are only added: if one is missing, the conversation was deleted in between.
                if turns.len() < (through - done) as usize {
                    return Ok(None);
                }
                for turn in turns.into_iter().map(Turn::from) {
                    bytes += turn.bytes();
                    if bytes > part.bytes && !all.is_empty() {
                        return Ok(Some(all));
                    }
                    all.push(turn);
                }
                done = through;
            }
            Ok((head.turns >= part.through).then_some(all))
        })
    }

    fn latest(&self, user: &UserId, id: Uuid, bytes: u64) -> Answer<Option<(Summary, Vec<Turn>)>> {
        let (database, user) = (self.database.clone(), user.clone());
        answer("read a conversation", async move {
            let Some(head) = head(&database, &user, id).await? else { return Ok(None) };
            let mut newest_first: Vec<Turn> = Vec::new();
            let mut left = bytes;
            let mut before = head.turns;
            'reading: while before > 0 {
                let after = before.saturating_sub(READ_AT_ONCE);
                let turns = turns(&database, &user, id, after, before).await?;
                if turns.len() < (before - after) as usize {
                    return Ok(None);
                }
                for turn in turns.into_iter().rev().map(Turn::from) {
                    let Some(rest) = left.checked_sub(turn.bytes()) else { break 'reading };
                    left = rest;
                    newest_first.push(turn);
                }
                before = after;
            }
            newest_first.reverse();
            Ok(Some((head.summary(id), newest_first)))
        })
    }

    fn list(&self, user: &UserId, after: Option<Place>, limit: u32) -> Answer<Vec<Summary>> {
        let (database, user) = (self.database.clone(), user.clone());
        answer("list conversations", async move {
            let of_user = database.parent_path(USERS, user.as_str())?;
            let fluent = database.fluent();
            let mut query = fluent
                .select()
                .from(CONVERSATIONS)
                .parent(&of_user)
                .order(|order| order.fields([order.field(path!(Head::place)).desc()]))
                .limit(limit);
            if let Some(after) = after {
                query = query.start_at(FirestoreQueryCursor::AfterValue(vec![place(after).into()]));
            }
            let heads: Vec<Head> = query.obj().query().await?;
            Ok(heads.iter().filter_map(|head| Some(head.summary(head.id()?))).collect())
        })
    }

    fn add(&self, user: &UserId, id: Uuid, to: To, turn: Turn, key: Option<RequestKey>) -> Answer<Added> {
        let (database, user) = (self.database.clone(), user.clone());
        answer("keep an answer", async move {
            database
                .run_transaction(|database, transaction| {
                    let (user, turn, key) = (user.clone(), turn.clone(), key.clone());
                    within(async move { add(&database, transaction, (&user, id, to), turn, key).await })
                })
                .await
        })
    }

    fn delete(&self, user: &UserId, id: Uuid) -> Answer<bool> {
        let (database, user) = (self.database.clone(), user.clone());
        answer("delete a conversation", async move {
            database
                .run_transaction(|database, transaction| {
                    let user = user.clone();
                    within(async move { delete(&database, transaction, &user, id).await })
                })
                .await
        })
    }

    fn kept_answer(&self, user: &UserId, key: &str) -> Answer<Option<KeptAnswer>> {
        let (database, user, key) = (self.database.clone(), user.clone(), key_id(key));
        answer("look up a request", async move {
            let of_user = database.parent_path(USERS, user.as_str())?;
            let found: Option<KeyDocument> =
                database.fluent().select().by_id_in(KEYS).parent(&of_user).obj().one(key).await?;
            let oldest = now_unix_ns().saturating_sub(KEY_LIFE.as_nanos() as i64);
            let Some(found) = found.filter(|found| found.at_unix_ns >= oldest) else { return Ok(None) };
            let Ok(conversation) = Uuid::try_parse(&found.conversation) else { return Ok(None) };
            let turn = turns(&database, &user, conversation, found.number - 1, found.number).await?.pop();
            let KeyDocument { fingerprint, .. } = found;
            Ok(turn.map(|turn| KeptAnswer { fingerprint, conversation, answer: turn.answer }))
        })
    }

    fn usage(&self, user: &UserId) -> Answer<Usage> {
        let (database, user) = (self.database.clone(), user.clone());
        answer("add up a user's conversations", async move {
            let (conversations, turns, bytes) = tokio::try_join!(
                total(&database, &user, None),
                total(&database, &user, Some(path!(Head::turns))),
                total(&database, &user, Some(path!(Head::bytes)))
            )?;
            Ok(Usage { conversations, turns, bytes })
        })
    }

    fn delete_some_unused(&self, before_unix_ns: i64) -> Answer<u64> {
        let database = self.database.clone();
        answer("delete unused conversations", async move {
            let fluent = database.fluent();
            let unused = fluent
                .select()
                .from(CONVERSATIONS)
                .all_descendants()
                .filter(|filter| filter.field(path!(Head::updated_at_unix_ns)).less_than(before_unix_ns))
                .limit(DELETED_AT_ONCE)
                .query()
                .await?;
            let mut deleted = 0;
            for (user, id) in unused.iter().filter_map(|document| user_and_id(&document.name)) {
                let is_deleted = database.run_transaction(|database, transaction| {
                    let user = user.clone();
                    within(async move { delete(&database, transaction, &user, id).await })
                });
                deleted += u64::from(is_deleted.await?);
            }
            Ok(deleted)
        })
    }

    fn probe(&self) -> Answer<()> {
        let (database, id) = (self.database.clone(), self.id.to_string());
        let written = Uuid::new_v4().to_string();
        let probing = answer("write and read a probe", async move {
            let probe = ProbeDocument { written };
            let fluent = database.fluent();
            let _: ProbeDocument =
                fluent.update().in_col(PROBES).document_id(&id).object(&probe).execute().await?;
            let read: Option<ProbeDocument> =
                database.fluent().select().by_id_in(PROBES).obj().one(&id).await?;
            Ok(read.is_some_and(|read| read.written == probe.written))
        });
        Box::pin(async move {
            if probing.await? { Ok(()) } else { Err(StoreError::new("read a probe", "it has another value")) }
        })
    }
}

/// Sum of a number of all conversations of the user, or how many there are.
async fn total(database: &FirestoreDb, user: &UserId, field: Option<String>) -> FirestoreResult<u64> {
    let of_user = database.parent_path(USERS, user.as_str())?;
    let fluent = database.fluent();
    let totals: Vec<Total> = fluent
        .select()
        .from(CONVERSATIONS)
        .parent(&of_user)
        .aggregate(|aggregate| {
            let total = aggregate.field(path!(Total::total));
            aggregate.fields([match &field {
                Some(field) => total.sum(field),
                None => total.count(),
            }])
        })
        .obj()
        .query()
        .await?;
    Ok(totals.first().and_then(|total| total.total).unwrap_or_default().cast_unsigned())
}

/// The user and the conversation of a document's path: `…/users/{user}/conversations/{id}`.
fn user_and_id(name: &str) -> Option<(UserId, Uuid)> {
    let mut parts = name.rsplit('/');
    let id = Uuid::try_parse(parts.next()?).ok()?;
    let user = parts.nth(1)?;
    Some((UserId::parse(user).ok()?, id))
}

/// The document of a key, whose text may have characters that a document's name may not.
fn key_id(key: &str) -> String {
    sha256_hex(key.as_bytes())
}

fn answer<T>(
    action: &'static str,
    asking: impl Future<Output = FirestoreResult<T>> + Send + 'static,
) -> Answer<T> {
    asking.map(move |result| result.map_err(|error| StoreError::new(action, error))).boxed()
}

/// One attempt of a transaction, which the client may repeat.
fn within<'a, T>(
    attempt: impl Future<Output = FirestoreResult<T>> + Send + 'a,
) -> BoxFuture<'a, Result<T, BackoffError<FirestoreError>>> {
    attempt.map(|result| result.map_err(BackoffError::from)).boxed()
}

async fn add(
    database: &FirestoreDb,
    transaction: &mut FirestoreTransaction<'_>,
    (user, id, to): (&UserId, Uuid, To),
    turn: Turn,
    key: Option<RequestKey>,
) -> FirestoreResult<Added> {
    let at = turn.answered_at_unix_ns;
    let mut grown = match to {
        To::New => Head {
            place: place(Place { created_at_unix_ns: at, id }),
            created_at_unix_ns: at,
            updated_at_unix_ns: at,
            turns: 0,
            bytes: 0,
        },
        To::Existing => match head(database, user, id).await? {
            Some(head) => head,
            None => return Ok(Added::Gone),
        },
    };
    grown.updated_at_unix_ns = at;
    grown.turns += 1;
    grown.bytes += turn.bytes().cast_signed();
    let document = TurnDocument::new(grown.turns, turn);
    let fluent = database.fluent();
    fluent
        .update()
        .in_col(CONVERSATIONS)
        .precondition(FirestoreWritePrecondition::Exists(to == To::Existing))
        .document_id(id.to_string())
        .parent(database.parent_path(USERS, user.as_str())?)
        .object(&grown)
        .add_to_transaction(transaction)?;
    database
        .fluent()
        .update()
        .in_col(TURNS)
        .precondition(FirestoreWritePrecondition::Exists(false))
        .document_id(turn_id(document.number))
        .parent(document_of(database, user, id)?)
        .object(&document)
        .add_to_transaction(transaction)?;
    if let Some(RequestKey { key, fingerprint }) = key {
        let conversation = id.to_string();
        let named = KeyDocument { fingerprint, conversation, number: document.number, at_unix_ns: at };
        database
            .fluent()
            .update()
            .in_col(KEYS)
            .document_id(key_id(&key))
            .parent(database.parent_path(USERS, user.as_str())?)
            .object(&named)
            .add_to_transaction(transaction)?;
    }
    Ok(Added::Kept)
}

async fn delete(
    database: &FirestoreDb,
    transaction: &mut FirestoreTransaction<'_>,
    user: &UserId,
    id: Uuid,
) -> FirestoreResult<bool> {
    let Some(head) = head(database, user, id).await? else { return Ok(false) };
    let turns = document_of(database, user, id)?;
    for number in 1..=head.turns {
        let fluent = database.fluent();
        let turn = fluent.delete().from(TURNS).parent(&turns).document_id(turn_id(number));
        turn.add_to_transaction(transaction)?;
    }
    let of_user = database.parent_path(USERS, user.as_str())?;
    let fluent = database.fluent();
    let keys = fluent
        .select()
        .from(KEYS)
        .parent(&of_user)
        .filter(|filter| filter.field(path!(KeyDocument::conversation)).equal(id.to_string()))
        .query()
        .await?;
    for key in keys.iter().filter_map(|key| key.name.rsplit('/').next()) {
        let fluent = database.fluent();
        fluent.delete().from(KEYS).parent(&of_user).document_id(key).add_to_transaction(transaction)?;
    }
    let fluent = database.fluent();
    let conversation = fluent.delete().from(CONVERSATIONS).parent(&of_user).document_id(id.to_string());
    conversation.add_to_transaction(transaction)?;
    Ok(true)
}

async fn head(database: &FirestoreDb, user: &UserId, id: Uuid) -> FirestoreResult<Option<Head>> {
    let of_user = database.parent_path(USERS, user.as_str())?;
    database.fluent().select().by_id_in(CONVERSATIONS).parent(&of_user).obj().one(id.to_string()).await
}

/// The turns after number `after` up to number `through`.
async fn turns(
    database: &FirestoreDb,
    user: &UserId,
    id: Uuid,
    after: u32,
    through: u32,
) -> FirestoreResult<Vec<TurnDocument>> {
    let conversation = document_of(database, user, id)?;
    database
        .fluent()
        .select()
        .from(TURNS)
        .parent(&conversation)
        .filter(|filter| {
            let number = || filter.field(path!(TurnDocument::number));
            filter.for_all([number().greater_than(after), number().less_than_or_equal(through)])
        })
        .order(|order| order.fields([order.field(path!(TurnDocument::number)).asc()]))
        .obj()
        .query()
        .await
}

/// The path of a conversation's document; its turns are below it. A user id begins with a letter or digit and has no
/// slash, so it is a valid name in Firestore.
fn document_of(database: &FirestoreDb, user: &UserId, id: Uuid) -> FirestoreResult<ParentPathBuilder> {
    database.parent_path(USERS, user.as_str())?.at(CONVERSATIONS, id.to_string())
}

fn turn_id(number: u32) -> String {
    format!("{number:06}")
}

/// A text with the order of places: the time, shifted so that it is never negative, in 20 digits, and the id.
fn place(place: Place) -> String {
    let moved = place.created_at_unix_ns.cast_unsigned() ^ (1 << 63);
    format!("{moved:020}-{}", place.id)
}

impl Head {
    fn summary(&self, id: Uuid) -> Summary {
        Summary {
            id,
            created_at_unix_ns: self.created_at_unix_ns,
            updated_at_unix_ns: self.updated_at_unix_ns,
            turns: self.turns,
            bytes: self.bytes.cast_unsigned(),
        }
    }

    /// The id after the time in its place; `None` in a document of another program.
    fn id(&self) -> Option<Uuid> {
        Uuid::try_parse(self.place.split_once('-')?.1).ok()
    }
}

impl TurnDocument {
    fn new(number: u32, turn: Turn) -> Self {
        let Turn { message, answer, asked_at_unix_ns, answered_at_unix_ns } = turn;
        Self { number, message, answer, asked_at_unix_ns, answered_at_unix_ns }
    }
}

impl From<TurnDocument> for Turn {
    fn from(document: TurnDocument) -> Self {
        let TurnDocument { number: _, message, answer, asked_at_unix_ns, answered_at_unix_ns } = document;
        Self { message, answer, asked_at_unix_ns, answered_at_unix_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_order_of_their_places() {
        let at = |created_at_unix_ns, id| Place { created_at_unix_ns, id };
        let mut places: Vec<_> = [i64::MIN, -1, 0, 1, 9, 10, i64::MAX]
            .into_iter()
            .flat_map(|time| [at(time, Uuid::nil()), at(time, Uuid::new_v4()), at(time, Uuid::max())])
            .collect();
        places.sort();
        let texts: Vec<_> = places.into_iter().map(place).collect();
        assert!(texts.is_sorted(), "{texts:?}");
    }
}
