//! The routes. A message passes these steps in order: user, body, queue, sandbox, store, answer. If the client asks for a
//! stream, it gets pieces of the answer from the sandbox on.

use std::sync::Arc;
use std::time::Duration;

use agent_core::text::printable;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serve::{ConnectionEnds, body};
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::api::{self, Ask, ConversationView, DEFAULT_PAGE, Health, MAX_BODY, MAX_MESSAGE, MAX_PAGE};
use crate::api::{Answer, PageQuery, PageView};
use crate::boxes::{Boxes, Failure};
use crate::error::Refusal;
use crate::journal::Owner;
use crate::openapi;
use crate::queue::{Permit, Queue};
use crate::store::{Added, Store, To, Turn, now_unix_ns};
use crate::stream;
use crate::user::UserId;

/// Longest part of a message in the log, in characters.
const LOGGED_CHARACTERS: usize = 400;

/// Shared by all routes.
pub struct Service {
    /// Stores the conversations.
    pub store: Arc<dyn Store>,
    /// Answers the messages.
    pub boxes: Boxes,
    /// Bounds the sandboxes that run at a time.
    pub queue: Queue,
    /// Longest time for a request body to arrive.
    pub read_timeout: Duration,
    /// Longest time in the queue.
    pub patience: Duration,
}

type Shared = State<Arc<Service>>;

/// The routes of `openapi.json`. Requests must carry the [`ConnectionEnds`].
pub fn router(service: Service) -> Router {
    Router::new()
        .route("/api/conversation", post(ask))
        .route("/api/conversation/{id}", get(conversation).delete(delete))
        .route("/api/conversations", get(list))
        .route("/api/openapi.json", get(document))
        .route("/healthz", get(health))
        .fallback(|| async { refused(Refusal::NoSuchPath) })
        .method_not_allowed_fallback(|| async { refused(Refusal::Method) })
        .layer(map_response(never_stored))
        .with_state(Arc::new(service))
}

fn refused(refusal: Refusal) -> Refusal {
    refusal.log();
    refusal
}

/// Caches must not serve one user's answers to another user.
async fn never_stored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn health(State(service): Shared) -> Json<Health> {
    let load = service.queue.load();
    Json(Health { status: "ok", running: load.running, waiting: load.waiting })
}

async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::DOCUMENT).into_response()
}

async fn ask(
    State(service): Shared,
    Extension(ends): Extension<ConnectionEnds>,
    request: Request,
) -> Result<Response, Refusal> {
    let streamed = accepts_events(request.headers());
    let asked = validate(&service, request).await.inspect_err(Refusal::log)?;
    let span = span("ask", &asked.user, asked.id);
    let admitted = async {
        tracing::info!(
            from = %ends.remote,
            new = asked.to == To::New,
            bytes = asked.message.len(),
            said = printable(&asked.message, LOGGED_CHARACTERS),
            streamed = streamed.then_some(true),
            "request"
        );
        admit(&service, asked).await.inspect_err(Refusal::log)
    };
    if streamed {
        let admitted = unless_abandoned(admitted, span.clone()).await?;
        return Ok(stream(service, admitted, span));
    }
    let answer = async { converse(&service, admitted.await?).await.inspect_err(Refusal::log) };
    Ok(Json(unless_abandoned(answer, span).await?).into_response())
}

/// Answers by server-sent events. A task of its own attends to the sandbox, so that a client that reads slowly does not
/// hold it up. The task ends with the response.
fn stream(service: Arc<Service>, admitted: Admitted, span: Span) -> Response {
    let id = admitted.asked.id;
    let (writer, reader) = stream::channel();
    let answer = async move {
        let piece = |piece: &str| writer.add(piece);
        let answer = converse_in_pieces(&service, admitted, piece).await.inspect_err(Refusal::log);
        writer.end(answer);
    };
    stream::response(id, reader, tokio::spawn(unless_abandoned(answer, span)))
}

/// A validated message.
struct Asked {
    user: UserId,
    id: Uuid,
    to: To,
    message: String,
    at_unix_ns: i64,
}

async fn validate(service: &Service, request: Request) -> Result<Asked, Refusal> {
    let (head, body) = request.into_parts();
    // Reads the body even if the head is invalid: closing with unread bytes would lose the refusal (RFC 9112 §9.6).
    let body = body::read(&head.headers, body, MAX_BODY, service.read_timeout).await;
    let user = UserId::of(&head.headers)?;
    if !is_json(&head.headers) {
        return Err(Refusal::ContentType);
    }
    let Ask { message, conversation_id } = parse(&body?)?;
    let (id, to) = match conversation_id {
        Some(text) => (api::conversation_id(&text).ok_or(Refusal::ConversationId)?, To::Existing),
        None => (Uuid::new_v4(), To::New),
    };
    if message.trim().is_empty() {
        return Err(Refusal::EmptyMessage);
    }
    if message.len() > MAX_MESSAGE {
        return Err(Refusal::MessageTooLarge);
    }
    Ok(Asked { user, id, to, message, at_unix_ns: now_unix_ns() })
}

/// A message that may have a sandbox now.
struct Admitted {
    asked: Asked,
    /// The earlier turns of its conversation.
    turns: Vec<Turn>,
    permit: Permit,
}

impl Admitted {
    fn owner(&self) -> Owner<'_> {
        Owner { user: self.asked.user.as_str(), conversation: self.asked.id }
    }
}

/// Waits for the message's turn.
async fn admit(service: &Service, asked: Asked) -> Result<Admitted, Refusal> {
    let Asked { user, id, to, .. } = &asked;
    let (id, to) = (*id, *to);
    if to == To::Existing {
        // Checked before the request enters the queue.
        let summary = service.store.summary(user, id).await?.ok_or(Refusal::NoSuchConversation)?;
        if summary.is_full() {
            return Err(Refusal::ConversationFull);
        }
    }
    let permit = service.queue.enter(user, id, service.patience).await.map_err(Refusal::Busy)?;
    let turns = match to {
        To::New => Vec::new(),
        To::Existing => {
            // The permit keeps other requests from adding turns.
            let all = service.store.conversation(user, id).await?.ok_or(Refusal::NoSuchConversation)?;
            if all.summary.is_full() {
                return Err(Refusal::ConversationFull);
            }
            all.turns
        }
    };
    Ok(Admitted { asked, turns, permit })
}

async fn converse(service: &Service, admitted: Admitted) -> Result<Answer, Refusal> {
    let answer = service.boxes.answer(admitted.owner(), &admitted.turns, &admitted.asked.message).await;
    finish(service, admitted, answer).await
}

async fn converse_in_pieces(
    service: &Service,
    admitted: Admitted,
    piece: impl FnMut(&str),
) -> Result<Answer, Refusal> {
    let (owner, message) = (admitted.owner(), &admitted.asked.message);
    let answer = service.boxes.stream(owner, &admitted.turns, message, piece).await;
    finish(service, admitted, answer).await
}

/// Stores the sandbox's answer.
async fn finish(
    service: &Service,
    admitted: Admitted,
    answer: Result<String, Failure>,
) -> Result<Answer, Refusal> {
    let Admitted { asked: Asked { user, id, to, message, at_unix_ns }, permit, .. } = admitted;
    let answer = answer.map_err(|failure| match failure {
        Failure::TimedOut(limit) => Refusal::BoxTimedOut(limit),
        other => Refusal::Box(other),
    })?;
    let turn = Turn {
        message,
        answer: answer.clone(),
        asked_at_unix_ns: at_unix_ns,
        answered_at_unix_ns: now_unix_ns(),
    };
    keep(service, permit, &user, id, to, turn).await?;
    tracing::info!(bytes = answer.len(), "done");
    Ok(Answer { conversation_id: id, text: answer })
}

/// Stores the turn, before its whole answer is sent. A task of its own holds the permit until the turn is stored: if the client
/// disconnects, the conversation must not be free for the next request while the turn is being written.
async fn keep(
    service: &Service,
    permit: Permit,
    user: &UserId,
    id: Uuid,
    to: To,
    turn: Turn,
) -> Result<(), Refusal> {
    let adding = service.store.add(user, id, to, turn);
    let kept = tokio::spawn(async move {
        let added = adding.await;
        drop(permit);
        added
    });
    match kept.await {
        Ok(Ok(Added::Kept)) => Ok(()),
        Ok(Ok(Added::Gone)) => Err(Refusal::NoSuchConversation),
        Ok(Err(error)) => Err(error.into()),
        Err(error) => {
            tracing::error!(%error, "storing the answer failed");
            Err(Refusal::Internal)
        }
    }
}

async fn conversation(
    State(service): Shared,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<ConversationView>, Refusal> {
    let (user, id) = named(&headers, id).inspect_err(Refusal::log)?;
    let span = span("read", &user, id);
    let read = async {
        match service.store.conversation(&user, id).await {
            Ok(Some(all)) => {
                tracing::info!(turns = all.turns.len(), "read");
                Ok(Json(ConversationView::from(all)))
            }
            Ok(None) => Err(Refusal::NoSuchConversation),
            Err(error) => Err(Refusal::Store(error)),
        }
        .inspect_err(Refusal::log)
    };
    read.instrument(span).await
}

async fn delete(
    State(service): Shared,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let (user, id) = named(&headers, id).inspect_err(Refusal::log)?;
    let span = span("delete", &user, id);
    let deleted = async {
        match service.store.delete(&user, id).await {
            Ok(true) => {
                tracing::info!("deleted");
                Ok(StatusCode::NO_CONTENT)
            }
            Ok(false) => Err(Refusal::NoSuchConversation),
            Err(error) => Err(Refusal::Store(error)),
        }
        .inspect_err(Refusal::log)
    };
    deleted.instrument(span).await
}

async fn list(
    State(service): Shared,
    query: Result<Query<PageQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<PageView>, Refusal> {
    let page = async {
        let user = UserId::of(&headers)?;
        let Query(query) = query.map_err(|_| Refusal::Query)?;
        let limit = query.limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Refusal::Query);
        }
        let after = match query.cursor {
            Some(cursor) => Some(api::place(&cursor).ok_or(Refusal::Query)?),
            None => None,
        };
        // One more than fits on the page, to see whether another page follows.
        let summaries = service.store.list(&user, after, limit + 1).await?;
        Ok(Json(PageView::new(summaries, limit)))
    };
    page.await.inspect_err(Refusal::log)
}

/// The user and the conversation that a request names.
fn named(headers: &HeaderMap, id: Result<Path<String>, PathRejection>) -> Result<(UserId, Uuid), Refusal> {
    let user = UserId::of(headers)?;
    let Path(id) = id.map_err(|_| Refusal::ConversationId)?;
    Ok((user, api::conversation_id(&id).ok_or(Refusal::ConversationId)?))
}

fn parse(body: &[u8]) -> Result<Ask, Refusal> {
    use serde_json::error::Category;
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        // The error's message quotes the body.
        Category::Data => Refusal::WrongShape(printable(&error.to_string(), LOGGED_CHARACTERS)),
        Category::Io | Category::Syntax | Category::Eof => Refusal::NotJson(error.to_string()),
    })
}

/// Whether the Content-Type is `application/json`, whatever its parameters (RFC 9110 §8.3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether the client asks for server-sent events: `text/event-stream` is among the media ranges of `Accept`, and not with
/// weight 0 (RFC 9110 §12.5.1). `*/*` is no such request.
fn accepts_events(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/event-stream"));
        is_named && !parts.any(is_weight_zero)
    })
}

/// Whether the parameter is `q=0`, `q=0.0` and so on.
fn is_weight_zero(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    name.eq_ignore_ascii_case("q") && value.parse() == Ok(0.0_f32)
}

/// The span of all log lines of a request.
fn span(what: &'static str, user: &UserId, conversation: Uuid) -> Span {
    tracing::info_span!("request", what, %conversation, %user)
}

/// Runs `future` within `span`, and logs if it is dropped because the client disconnected, also before it began.
fn unless_abandoned<T>(future: impl Future<Output = T>, span: Span) -> impl Future<Output = T> {
    struct Abandoned(Option<Span>);
    impl Drop for Abandoned {
        fn drop(&mut self) {
            if let Some(span) = &self.0 {
                span.in_scope(|| tracing::info!("abandoned: the client disconnected"));
            }
        }
    }
    let abandoned = Abandoned(Some(span.clone()));
    async move {
        let mut abandoned = abandoned;
        let output = future.instrument(span).await;
        abandoned.0 = None;
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::AnswerFormat;
    use crate::prompt::PromptFormat;
    use crate::queue::Limits;
    use crate::store::sqlite::Sqlite;
    use axum::body::{Body, to_bytes};
    use sandbox::{BoxFuture, Exit, Job, Outcome, Sandbox};

    /// Writes a thousand pieces of one byte each, if anything receives them.
    struct Talkative;

    impl Sandbox for Talkative {
        fn name(&self) -> &'static str {
            "talkative"
        }

        fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, sandbox::Error>> {
            Box::pin(async move {
                let stdout = vec![b'x'; 1000];
                for piece in stdout.chunks(1) {
                    if let Some(live) = &job.stdout {
                        live.send(piece.to_vec()).unwrap();
                        tokio::task::yield_now().await;
                    }
                }
                Ok(Outcome {
                    stdout,
                    stderr: Vec::new(),
                    truncated: false,
                    exit: Exit::Code(0),
                    peak_memory_bytes: None,
                    cpu_time: None,
                    duration: Duration::ZERO,
                    in_force: Vec::new(),
                })
            })
        }

        fn reap(&self) -> BoxFuture<'_, Result<usize, sandbox::Error>> {
            Box::pin(async { Ok(0) })
        }
    }

    fn service(folder: &std::path::Path) -> Arc<Service> {
        let boxes = Boxes {
            sandbox: Arc::new(Talkative),
            command: sandbox::Command::program("/program"),
            limits: sandbox::Limits::default(),
            prompt_format: PromptFormat::Json,
            answer_format: AnswerFormat::default(),
            stream_arguments: Vec::new(),
            stream_format: AnswerFormat::default(),
            journal: None,
        };
        Arc::new(Service {
            store: Arc::new(Sqlite::open(&folder.join("store.sqlite")).unwrap()),
            boxes,
            queue: Queue::new(Limits { running: 1, waiting: 1, waiting_per_user: 1 }),
            read_timeout: Duration::from_secs(60),
            patience: Duration::from_secs(60),
        })
    }

    #[tokio::test]
    async fn stream_is_stored_while_its_client_does_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let service = service(folder.path());
        let request = Request::post("/api/conversation")
            .header("X-User-Id", "alice")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream")
            .body(Body::from("{\"message\":\"hello\"}"))
            .unwrap();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let ends = Extension(ConnectionEnds { local: address, remote: address });
        let response = ask(State(Arc::clone(&service)), ends, request).await.unwrap();
        // The permit for the only sandbox is free once the turn is stored.
        let alice = UserId::of(&HeaderMap::from_iter([(
            header::HeaderName::from_static("x-user-id"),
            HeaderValue::from_static("alice"),
        )]))
        .unwrap();
        drop(service.queue.enter(&alice, Uuid::new_v4(), service.patience).await.unwrap());
        assert_eq!(service.store.list(&alice, None, 2).await.unwrap().len(), 1);

        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let mut names: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        names.dedup();
        assert_eq!(names, ["started", "delta", "done"]);
        let pieces =
            body.lines().filter_map(|line| line.strip_prefix("data: {\"text\":\"")?.strip_suffix("\"}"));
        assert_eq!(pieces.collect::<String>(), "x".repeat(1000));
        assert!(body.matches("event: delta").count() < 1000, "unread pieces join");
    }

    #[test]
    fn only_a_named_event_stream_is_streamed() {
        let accepts = |values: &[&'static str]| {
            let headers = values.iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value)));
            accepts_events(&headers.collect())
        };
        for streamed in [
            &["text/event-stream"][..],
            &["Text/Event-Stream ; charset=utf-8"],
            &["application/json, text/event-stream"],
            &["application/json", "text/event-stream;q=0.001"],
        ] {
            assert!(accepts(streamed), "{streamed:?}");
        }
        for whole in [
            &[][..],
            &["*/*"],
            &["text/*"],
            &["application/json"],
            &["text/event-streams"],
            &["text/event-stream;q=0"],
            &["text/event-stream; Q=0.000"],
            &["x/y;z=text/event-stream"],
        ] {
            assert!(!accepts(whole), "{whole:?}");
        }
    }
}
