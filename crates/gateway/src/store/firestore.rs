//! The store in Google's Firestore, or in its emulator at `FIRESTORE_EMULATOR_HOST`.
//!
//! ```text
//!  users/{user}/conversations/{id}                 summary, and the place in the list
//!  users/{user}/conversations/{id}/turns/{number}  a question and its answer, from 000001 on
//! ```
//!
//! A turn and the count of its conversation change in one transaction, so that readers see both or neither. The list is
//! ordered by one field, which Firestore indexes by default.

use std::time::Duration;

use firestore::errors::{BackoffError, FirestoreError};
use firestore::{
    FirestoreDb, FirestoreDbOptions, FirestoreQueryCursor, FirestoreResult, FirestoreTransaction,
    FirestoreWritePrecondition, ParentPathBuilder, path,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Added, Answer, Conversation, Place, Store, StoreError, Summary, To, Turn};
use crate::user::UserId;

const USERS: &str = "users";
const CONVERSATIONS: &str = "conversations";
const TURNS: &str = "turns";

/// Longest wait for one answer of Firestore.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Conversations in a project's default database.
#[derive(Clone)]
pub struct Firestore(FirestoreDb);

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
        connect.await.map(Self).map_err(|error| StoreError::new("connect to Firestore", error))
    }
}

impl Store for Firestore {
    fn conversation(&self, user: &UserId, id: Uuid) -> Answer<Option<Conversation>> {
        let (database, user) = (self.0.clone(), user.clone());
        answer("read a conversation", async move {
            let Some(head) = head(&database, &user, id).await? else { return Ok(None) };
            let mut turns = turns(&database, &user, id).await?;
            // Turns are only added, so the first `turns` of them are those at the time of the summary. If there are
            // fewer, the conversation was deleted in between.
            let there = head.turns as usize;
            if turns.len() < there {
                return Ok(None);
            }
            turns.truncate(there);
            let turns = turns.into_iter().map(Turn::from).collect();
            Ok(Some(Conversation { summary: head.summary(id), turns }))
        })
    }

    fn summary(&self, user: &UserId, id: Uuid) -> Answer<Option<Summary>> {
        let (database, user) = (self.0.clone(), user.clone());
        answer("look up a conversation", async move {
            Ok(head(&database, &user, id).await?.map(|head| head.summary(id)))
        })
    }

    fn list(&self, user: &UserId, after: Option<Place>, limit: u32) -> Answer<Vec<Summary>> {
        let (database, user) = (self.0.clone(), user.clone());
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

    fn add(&self, user: &UserId, id: Uuid, to: To, turn: Turn) -> Answer<Added> {
        let (database, user) = (self.0.clone(), user.clone());
        answer("keep an answer", async move {
            database
                .run_transaction(|database, transaction| {
                    let (user, turn) = (user.clone(), turn.clone());
                    within(async move { add(&database, transaction, &user, id, to, turn).await })
                })
                .await
        })
    }

    fn delete(&self, user: &UserId, id: Uuid) -> Answer<bool> {
        let (database, user) = (self.0.clone(), user.clone());
        answer("delete a conversation", async move {
            database
                .run_transaction(|database, transaction| {
                    let user = user.clone();
                    within(async move { delete(&database, transaction, &user, id).await })
                })
                .await
        })
    }
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
    user: &UserId,
    id: Uuid,
    to: To,
    turn: Turn,
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
    let conversation = fluent.delete().from(CONVERSATIONS).parent(&of_user).document_id(id.to_string());
    conversation.add_to_transaction(transaction)?;
    Ok(true)
}

async fn head(database: &FirestoreDb, user: &UserId, id: Uuid) -> FirestoreResult<Option<Head>> {
    let of_user = database.parent_path(USERS, user.as_str())?;
    database.fluent().select().by_id_in(CONVERSATIONS).parent(&of_user).obj().one(id.to_string()).await
}

async fn turns(database: &FirestoreDb, user: &UserId, id: Uuid) -> FirestoreResult<Vec<TurnDocument>> {
    let conversation = document_of(database, user, id)?;
    database
        .fluent()
        .select()
        .from(TURNS)
        .parent(&conversation)
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
