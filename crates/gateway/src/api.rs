//! The messages of the API, as `openapi.json` describes them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::store::{Place, Summary, Turn};

/// Longest message in bytes: some twenty pages.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Most bytes of a request body: a message with every byte escaped as `\u0000`, and room for the other fields.
pub const MAX_BODY: usize = 6 * MAX_MESSAGE + 1024;

/// Most conversations on a page of the list.
pub const MAX_PAGE: u32 = 100;

/// Conversations on a page by default.
pub const DEFAULT_PAGE: u32 = 20;

/// `POST /api/conversation`. Rejects unknown fields: with a misspelt `conversationID` it would begin a new
/// conversation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ask {
    /// The user's message.
    pub message: String,
    /// The conversation to continue; a new one without it.
    pub conversation_id: Option<String>,
}

/// The answer to [`Ask`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The conversation of the answer.
    pub conversation_id: Uuid,
    /// The sandbox's answer.
    pub text: String,
}

/// The first event of a streamed answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The conversation of the answer.
    pub conversation_id: Uuid,
}

/// A piece of a streamed answer.
#[derive(Debug, Serialize)]
pub struct Delta {
    /// The text that follows the earlier pieces.
    pub text: String,
}

/// Query of `GET /api/conversations`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Most conversations on the page.
    pub limit: Option<u32>,
    /// The cursor of the previous page.
    pub cursor: Option<String>,
}

/// Query of `GET /api/conversation/{id}`. Without any the answer has the whole conversation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnsQuery {
    /// Most turns on the page, two messages each.
    pub limit: Option<u32>,
    /// The cursor of the previous page.
    pub cursor: Option<String>,
}

/// `GET /api/conversations`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageView {
    conversations: Vec<SummaryView>,
    /// Cursor of the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A conversation without its text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SummaryView {
    conversation_id: Uuid,
    created_at: String,
    updated_at: String,
    turns: u32,
}

/// `GET /api/conversation/{id}`, if it is short. A long one has the same form, and is written piece by piece.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationView {
    #[serde(flatten)]
    summary: SummaryView,
    messages: Vec<MessageView>,
    /// Of a page: the cursor of the next one; null on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Option<String>>,
}

#[derive(Debug, Serialize)]
struct MessageView {
    role: &'static str,
    text: String,
    at: String,
}

/// `POST /api/conversation/{id}/cancel`.
#[derive(Debug, Serialize)]
pub struct Cancelled {
    /// Requests that were cancelled.
    pub cancelled: usize,
}

/// Whether the gateway can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    status: &'static str,
    store: &'static str,
    sandbox: &'static str,
}

impl Readiness {
    /// Ready if the store and the sandboxes work.
    pub fn new(store: bool, sandbox: bool) -> Self {
        let part = |works: bool| if works { "ok" } else { "failed" };
        let status = if store && sandbox { "ready" } else { "not ready" };
        Self { status, store: part(store), sandbox: part(sandbox) }
    }

    /// Whether everything works.
    pub fn is_ready(self) -> bool {
        self.status == "ready"
    }
}

/// The health of the gateway.
#[derive(Debug, Serialize)]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
    /// Requests in sandboxes.
    pub running: usize,
    /// Waiting requests.
    pub waiting: usize,
}

impl PageView {
    /// A page of the first `limit` of `summaries`, which contain one more if another page follows.
    pub fn new(mut summaries: Vec<Summary>, limit: u32) -> Self {
        let limit = limit as usize;
        let more = summaries.len() > limit;
        summaries.truncate(limit);
        let next_cursor = summaries.last().filter(|_| more).map(|last| cursor(last.place()));
        Self { conversations: summaries.iter().map(SummaryView::from).collect(), next_cursor }
    }
}

impl From<&Summary> for SummaryView {
    fn from(summary: &Summary) -> Self {
        Self {
            conversation_id: summary.id,
            created_at: rfc3339(summary.created_at_unix_ns),
            updated_at: rfc3339(summary.updated_at_unix_ns),
            turns: summary.turns,
        }
    }
}

impl ConversationView {
    /// The conversation with these turns; `next_cursor` if they are a page of it.
    pub fn new(summary: &Summary, turns: Vec<Turn>, next_cursor: Option<Option<String>>) -> Self {
        let mut messages = Vec::with_capacity(2 * turns.len());
        for turn in turns {
            let (asked, answered) = (rfc3339(turn.asked_at_unix_ns), rfc3339(turn.answered_at_unix_ns));
            messages.push(MessageView { role: "user", text: turn.message, at: asked });
            messages.push(MessageView { role: "assistant", text: turn.answer, at: answered });
        }
        Self { summary: SummaryView::from(summary), messages, next_cursor }
    }
}

/// Encodes the number of a page's last turn as an opaque cursor.
pub fn turn_cursor(number: u32) -> String {
    URL_SAFE_NO_PAD.encode(number.to_be_bytes())
}

/// The number of the turn that a cursor encodes; `None` for any other text.
pub fn turn_number(cursor: &str) -> Option<u32> {
    Some(u32::from_be_bytes(URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?))
}

/// Encodes `place` as an opaque cursor. It contains nothing that the page does not show.
fn cursor(place: Place) -> String {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&place.created_at_unix_ns.to_be_bytes());
    bytes[8..].copy_from_slice(place.id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that a cursor encodes; `None` for any other text.
pub fn place(cursor: &str) -> Option<Place> {
    let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
    let (at, id) = bytes.split_first_chunk::<8>()?;
    Some(Place { created_at_unix_ns: i64::from_be_bytes(*at), id: Uuid::from_slice(id).ok()? })
}

/// Parses a conversation's id: a UUID in the form of RFC 9562 §4, 36 characters with hyphens.
pub fn conversation_id(text: &str) -> Option<Uuid> {
    if text.len() == uuid::fmt::Hyphenated::LENGTH { Uuid::try_parse(text).ok() } else { None }
}

/// A time in the form of RFC 3339, in UTC.
pub fn rfc3339(at_unix_ns: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(at_unix_ns.into())
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_decodes_to_its_place() {
        let there = Place { created_at_unix_ns: 1_763_000_000_123_456_789, id: Uuid::new_v4() };
        assert_eq!(place(&cursor(there)), Some(there));
        for text in ["", "x", "AAAA", &"A".repeat(33), &"=".repeat(32), "../../etc"] {
            assert_eq!(place(text), None, "{text}");
        }
    }

    #[test]
    fn accepts_ids_in_one_form_only() {
        let id = Uuid::new_v4();
        assert_eq!(conversation_id(&id.to_string()), Some(id));
        assert_eq!(conversation_id(&id.to_string().to_uppercase()), Some(id));
        for text in [id.simple().to_string(), id.urn().to_string(), id.braced().to_string(), "x".repeat(36)] {
            assert_eq!(conversation_id(&text), None, "{text}");
        }
    }

    #[test]
    fn formats_the_whole_range_of_times() {
        assert_eq!(rfc3339(1_000_000_007), "1970-01-01T00:00:01.000000007Z");
        assert!(rfc3339(i64::MIN).starts_with("1677-"));
        assert!(rfc3339(i64::MAX).starts_with("2262-"));
    }
}
