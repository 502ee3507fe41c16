//! The routes: `POST /tool`, `GET /healthz`, and a JSON error for everything else.

use std::sync::Arc;
use std::time::Duration;

use agent_core::hex128::Hex128;
use agent_core::journal::{Event, Journal, Message};
use agent_core::message::{CONTENT_TYPE, ToolCall, ToolResult, message_id};
use agent_core::text::{printable, printable_bytes};
use agent_core::tools;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serve::{ConnectionEnds, body};

use crate::answer::{Answer, Refusal};

/// Longest part of a body in the log, in characters. The journal has the whole body.
const LOGGED_CHARACTERS: usize = 400;

/// Limits of a request, and the journal.
#[derive(Debug)]
pub struct Service {
    /// Maximum length of a request body in bytes.
    pub body_limit: usize,
    /// Longest time for a request body to arrive.
    pub read_timeout: Duration,
    /// Records all messages.
    pub journal: Journal,
}

/// The routes. Requests must carry their [`ConnectionEnds`], which [`serve::Server`] adds.
pub fn router(service: Service) -> Router {
    Router::new()
        .route("/tool", post(tool))
        .route("/healthz", get(health))
        .fallback(|| async { Refusal::NoSuchPath })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .with_state(Arc::new(service))
}

async fn health() -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], "{\"status\":\"ok\"}").into_response()
}

async fn tool(
    State(service): State<Arc<Service>>,
    Extension(ends): Extension<ConnectionEnds>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let mut id = None;
    let answer = match body::read(&head.headers, body, service.body_limit, service.read_timeout).await {
        Ok(body) => {
            id = message_id(&body);
            let content_type = content_type(&head.headers);
            tracing::info!(
                "request {} from {}: {} bytes {}",
                shown(id.as_deref()),
                ends.remote,
                body.len(),
                printable_bytes(&body, LOGGED_CHARACTERS)
            );
            let received = message(Event::Received, id.as_deref(), ends, content_type, &body);
            match service.journal.record(&received) {
                Ok(()) => answer(&head.headers, &body),
                Err(error) => Err(cannot_journal(&error)),
            }
            .unwrap_or_else(|refusal| refusal.answer())
        }
        Err(error) => Refusal::from(error).answer(),
    };
    tracing::info!(
        "answer {} to {}: {} {} bytes {}",
        shown(id.as_deref()),
        ends.remote,
        answer.status.as_u16(),
        answer.body.len(),
        printable_bytes(&answer.body, LOGGED_CHARACTERS)
    );
    // Recorded before it can reach the wire. If that fails, agent-b sends only an error answer.
    let sent = message(Event::Sent, id.as_deref(), ends, Some(CONTENT_TYPE), &answer.body);
    match service.journal.record(&sent) {
        Ok(()) => answer.into_response(),
        Err(error) => cannot_journal(&error).into_response(),
    }
}

/// Runs the tool that `body` calls.
fn answer(headers: &HeaderMap, body: &[u8]) -> Result<Answer, Refusal> {
    if !is_json(headers) {
        return Err(Refusal::ContentType);
    }
    let call = ToolCall::parse(body)?;
    let result = tools::run(&call.tool_name, &call.arguments)?;
    let canary = Hex128::fresh().map_err(|error| {
        tracing::error!("cannot draw a canary: {error}");
        Refusal::Internal
    })?;
    let body = serde_json::to_vec(&ToolResult::ok(&call, &result, &canary)).map_err(|error| {
        tracing::error!("the answer cannot be written as JSON: {error}");
        Refusal::Internal
    })?;
    Ok(Answer { status: StatusCode::OK, body: body.into(), close: false })
}

/// Whether the Content-Type is `application/json`, whatever its parameters (RFC 9110 §8.3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let media_type = content_type(headers).and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(CONTENT_TYPE))
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

fn message<'a>(
    event: Event,
    id: Option<&'a str>,
    ends: ConnectionEnds,
    content_type: Option<&'a str>,
    body: &'a [u8],
) -> Message<'a> {
    Message { event, id, local: Some(ends.local), remote: Some(ends.remote), content_type, body }
}

fn cannot_journal(error: &std::io::Error) -> Refusal {
    tracing::error!("{error}");
    Refusal::Internal
}

fn shown(id: Option<&str>) -> String {
    id.map_or_else(|| "(no id)".to_owned(), |id| printable(id, 64))
}
