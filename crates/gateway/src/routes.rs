//! The routes. A message passes these steps in order: user, body, queue, sandbox, store, answer. If the client asks for a
//! stream, it gets pieces of the answer from the sandbox on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_core::journal::sha256_hex;
use agent_core::text::printable;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{MatchedPath, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serve::origin::{Foreign, Hosts};
use serve::{ConnectionEnds, body};
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::api::{self, Ask, ConversationView, DEFAULT_PAGE, Health, MAX_BODY, MAX_MESSAGE, MAX_PAGE};
use crate::api::{Answer, Cancelled, PageQuery, PageView, Readiness, TurnsQuery};
use crate::auth::{Auth, Caller};
use crate::boxes::{Answered, Boxes, Failure};
use crate::download::{self, Cut, PART_BYTES, Turns};
use crate::error::{ErrorCode, FailedAction, MAX_KEY, Refusal};
use crate::journal::Owner;
use crate::metrics::{self, Metrics};
use crate::openapi;
use crate::prompt::{History, MAX_HISTORY, Prompt};
use crate::queue::{Permit, Queue};
use crate::rate::Rate;
use crate::ready::Probe;
use crate::running::{self, KeyInUse, Running};
use crate::store::{Added, Part, RequestKey, Store, StoreError, To, Turn, now_unix_ns};
use crate::stream;
use crate::user::UserId;
use crate::workspace::{self, Prepared, Workspaces};

/// The header with the client's key of a request.
const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest part of a message in the log, in characters.
const LOGGED_CHARACTERS: usize = 400;

/// Shared by all routes.
pub struct Service {
    /// Finds the user of a request.
    pub auth: Auth,
    /// The names of this server, and the sites that may use it.
    pub hosts: Hosts,
    /// Bounds the requests of each user, if set.
    pub rate: Option<Rate>,
    /// Most bytes of one user in the store; 0 for any number.
    pub quota_bytes: u64,
    /// Stores the conversations.
    pub store: Arc<dyn Store>,
    /// Answers the messages.
    pub boxes: Boxes,
    /// Bounds the sandboxes that run at a time.
    pub queue: Queue,
    /// The requests that wait or run.
    pub running: Running,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
    /// Tries out whether the server can serve.
    pub probe: Probe,
    /// Longest time for a request body to arrive.
    pub read_timeout: Duration,
    /// Longest time in the queue.
    pub patience: Duration,
}

impl Service {
    /// The user of a request, which counts as one of the user's.
    fn user(&self, caller: &Caller) -> Result<UserId, Refusal> {
        let user = self.auth.user(caller)?;
        if let Some(rate) = &self.rate {
            rate.count(&user).map_err(Refusal::Rate)?;
        }
        Ok(user)
    }
}

impl Service {
    fn workspaces(&self) -> Option<&Arc<Workspaces>> {
        self.boxes.workspaces.as_ref()
    }

    fn remove_workspace(&self, user: &UserId, id: Uuid) {
        if let Some(workspaces) = self.workspaces() {
            workspaces.remove(user, id);
        }
    }
}

type Shared = State<Arc<Service>>;

/// The routes of `openapi.json`. Requests must carry the [`ConnectionEnds`].
pub fn router(service: Service) -> Router {
    let service = Arc::new(service);
    Router::new()
        .route("/api/conversation", post(ask))
        .route("/api/conversation/{id}", get(conversation).delete(delete))
        .route("/api/conversation/{id}/cancel", post(cancel))
        .route("/api/conversations", get(list))
        .route("/api/user/data", get(export).delete(forget))
        .route("/api/openapi.json", get(document))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async { refused(Refusal::NoSuchPath) })
        .method_not_allowed_fallback(|| async { refused(Refusal::Method) })
        .layer(from_fn_with_state(Arc::clone(&service), guard))
        .layer(from_fn_with_state(Arc::clone(&service), measure))
        .layer(map_response(never_stored))
        .with_state(service)
}

fn refused(refusal: Refusal) -> Refusal {
    refusal.log();
    refusal
}

/// Refuses requests to other hosts, and those of other sites.
async fn guard(State(service): Shared, request: Request, next: Next) -> Response {
    let local = request.extensions().get::<ConnectionEnds>().map(|ends| ends.local.ip());
    let checked = match local {
        Some(local) => service.hosts.check(request.uri(), request.headers(), local),
        None => Err(Foreign::Host),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(foreign) => refused(Refusal::Foreign(foreign)).into_response(),
    }
}

/// Counts requests and refusals.
async fn measure(State(service): Shared, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let metrics = &service.metrics;
    metrics.answered(&method, route.as_ref().map(MatchedPath::as_str), response.status().as_u16());
    if let Some(ErrorCode(code)) = response.extensions().get() {
        metrics.refused(code);
    }
    if let Some(FailedAction(action)) = response.extensions().get() {
        metrics.store_failed(action);
    }
    response
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

async fn ready(State(service): Shared) -> (StatusCode, Json<Readiness>) {
    let readiness = service.probe.readiness(&*service.store, &service.boxes).await;
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn metrics(State(service): Shared) -> Response {
    let text = service.metrics.text(service.queue.load());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::DOCUMENT).into_response()
}

async fn ask(
    State(service): Shared,
    Extension(ends): Extension<ConnectionEnds>,
    request: Request,
) -> Result<Response, Refusal> {
    let arrived = Instant::now();
    let streamed = accepts_events(request.headers());
    let asked = validate(&service, request).await.inspect_err(Refusal::log)?;
    let (asked, keyed) = match keyed(&service, asked).await.inspect_err(Refusal::log)? {
        Keyed::New(asked, keyed) => (asked, keyed),
        Keyed::Answered(answer) if streamed => return Ok(stream::answered(answer)),
        Keyed::Answered(answer) => return Ok(Json(answer).into_response()),
    };
    let span = span("ask", &asked.user, asked.id);
    let request = service.running.enter(&asked.user, asked.id);
    let cancellable = Cancellable { request, _keyed: keyed };
    let admitted = async {
        tracing::info!(
            from = %ends.remote,
            new = asked.to == To::New,
            bytes = asked.message.len(),
            said = printable(&asked.message, LOGGED_CHARACTERS),
            streamed = streamed.then_some(true),
            "request"
        );
        let admitted =
            cancellable.unless_cancelled(admit(&service, asked)).await.inspect_err(Refusal::log)?;
        service.metrics.box_started(arrived.elapsed());
        Ok::<_, Refusal>(admitted)
    };
    if streamed {
        let admitted = unless_abandoned(admitted, span.clone()).await?;
        return Ok(stream(Arc::clone(&service), admitted, cancellable, span));
    }
    let answer = async {
        let admitted = admitted.await?;
        cancellable.unless_cancelled(converse(&service, admitted)).await.inspect_err(Refusal::log)
    };
    Ok(Json(unless_abandoned(answer, span).await?).into_response())
}

/// Answers by server-sent events. A task of its own attends to the sandbox, so that a client that reads slowly does not
/// hold it up. The task ends with the response.
fn stream(service: Arc<Service>, admitted: Admitted, cancellable: Cancellable, span: Span) -> Response {
    let id = admitted.asked.id;
    let (writer, reader) = stream::channel();
    let answer = async move {
        let piece = |piece: &str| writer.add(piece);
        let answer = cancellable.unless_cancelled(converse_in_pieces(&service, admitted, piece)).await;
        if let Err(refusal) = &answer {
            refusal.log();
            service.metrics.refused(refusal.status_and_code().1);
        }
        writer.end(answer);
    };
    stream::response(id, reader, tokio::spawn(unless_abandoned(answer, span)))
}

/// A request that can be cancelled, and whose key no other request can use meanwhile.
struct Cancellable {
    request: running::Request,
    _keyed: Option<KeyInUse>,
}

impl Cancellable {
    async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.request.cancelled() => Err(Refusal::Cancelled),
        }
    }
}

/// What a request with or without a key is.
enum Keyed {
    /// To be answered.
    New(Asked, Option<KeyInUse>),
    /// A repetition of a request that has its answer.
    Answered(Answer),
}

/// Looks for the answer to an earlier request with the same key.
async fn keyed(service: &Service, asked: Asked) -> Result<Keyed, Refusal> {
    let Some(key) = &asked.key else { return Ok(Keyed::New(asked, None)) };
    let in_use = service.running.use_key(&asked.user, &key.key).ok_or(Refusal::KeyInUse)?;
    match service.store.kept_answer(&asked.user, &key.key).await? {
        None => Ok(Keyed::New(asked, Some(in_use))),
        Some(kept) if kept.fingerprint != key.fingerprint => Err(Refusal::KeyReused),
        Some(kept) => {
            tracing::info!(user = %asked.user, conversation = %kept.conversation, "repeated: the answer is in the store");
            Ok(Keyed::Answered(Answer { conversation_id: kept.conversation, text: kept.answer }))
        }
    }
}

/// A validated message.
struct Asked {
    user: UserId,
    id: Uuid,
    to: To,
    message: String,
    key: Option<RequestKey>,
    at_unix_ns: i64,
}

async fn validate(service: &Service, request: Request) -> Result<Asked, Refusal> {
    let (head, body) = request.into_parts();
    // Reads the body even if the head is invalid: closing with unread bytes would lose the refusal (RFC 9112 §9.6).
    let body = body::read(&head.headers, body, MAX_BODY, service.read_timeout).await;
    let user = service.user(&Caller::of(&head))?;
    if !is_json(&head.headers) {
        return Err(Refusal::ContentType);
    }
    let key = request_key(&head.headers)?;
    let Ask { message, conversation_id } = parse(&body?)?;
    let key =
        key.map(|key| RequestKey { key, fingerprint: fingerprint(conversation_id.as_deref(), &message) });
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
    Ok(Asked { user, id, to, message, key, at_unix_ns: now_unix_ns() })
}

/// A message that may have a sandbox now.
struct Admitted {
    asked: Asked,
    /// The earlier turns of its conversation.
    history: History,
    /// The conversation's workspace, for a gateway with workspaces.
    workspace: Option<Vec<u8>>,
    permit: Permit,
}

impl Admitted {
    fn owner(&self) -> Owner<'_> {
        Owner { user: self.asked.user.as_str(), conversation: self.asked.id }
    }

    fn prompt(&self) -> Prompt<'_> {
        Prompt { history: &self.history, message: &self.asked.message, workspace: self.workspace.as_deref() }
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
    if service.quota_bytes > 0 {
        let kept = service.workspaces().map_or(0, |workspaces| workspaces.usage(user));
        let used = service.store.usage(user).await?.counted_bytes().saturating_add(kept);
        if used >= service.quota_bytes {
            return Err(Refusal::Quota { used, quota: service.quota_bytes });
        }
    }
    let permit = service.queue.enter(user, id, service.patience).await.map_err(Refusal::Busy)?;
    let history = match to {
        To::New => History::default(),
        To::Existing => {
            // The permit keeps other requests from adding turns.
            let latest = service.store.latest(user, id, MAX_HISTORY).await?;
            let (summary, turns) = latest.ok_or(Refusal::NoSuchConversation)?;
            if summary.is_full() {
                return Err(Refusal::ConversationFull);
            }
            History { omitted: summary.turns.saturating_sub(turns.len() as u32), turns }
        }
    };
    let workspace = match (service.workspaces().cloned(), to) {
        (None, _) => None,
        (Some(_), To::New) => Some(Vec::new()),
        (Some(workspaces), To::Existing) => {
            let user = user.clone();
            Some(on_disk("read", move || workspaces.load(&user, id)).await?)
        }
    };
    Ok(Admitted { asked, history, workspace, permit })
}

async fn converse(service: &Service, admitted: Admitted) -> Result<Answer, Refusal> {
    let answer = service.boxes.answer(admitted.owner(), admitted.prompt()).await;
    finish(service, admitted, answer).await
}

async fn converse_in_pieces(
    service: &Service,
    admitted: Admitted,
    piece: impl FnMut(&str),
) -> Result<Answer, Refusal> {
    let answer = service.boxes.stream(admitted.owner(), admitted.prompt(), piece).await;
    finish(service, admitted, answer).await
}

/// Stores the sandbox's answer.
async fn finish(
    service: &Service,
    admitted: Admitted,
    answer: Result<Answered, Failure>,
) -> Result<Answer, Refusal> {
    let Admitted { asked: Asked { user, id, to, message, key, at_unix_ns }, permit, .. } = admitted;
    let Answered { text: answer, workspace } = answer.map_err(|failure| match failure {
        Failure::TimedOut(limit) => Refusal::BoxTimedOut(limit),
        other => Refusal::Box(other),
    })?;
    let turn = Turn {
        message,
        answer: answer.clone(),
        asked_at_unix_ns: at_unix_ns,
        answered_at_unix_ns: now_unix_ns(),
    };
    let prepared = match (service.workspaces().cloned(), workspace) {
        (Some(workspaces), Some(archive)) => {
            let user = user.clone();
            Some(on_disk("write", move || workspaces.prepare(&user, id, &archive)).await?)
        }
        _ => None,
    };
    keep(service, permit, (&user, id, to), turn, key, prepared).await?;
    tracing::info!(bytes = answer.len(), "done");
    Ok(Answer { conversation_id: id, text: answer })
}

/// Reads or writes a workspace, on a thread that may wait for the disk.
async fn on_disk<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other);
    done.flatten().map_err(|error| {
        tracing::error!("cannot {action} a workspace: {error}");
        Refusal::Internal
    })
}

/// Stores the turn, and the workspace behind it, before its whole answer is sent. A task of its own holds the permit until they are
/// stored: if the client disconnects, the conversation must not be free for the next request while the turn is being written.
async fn keep(
    service: &Service,
    permit: Permit,
    (user, id, to): (&UserId, Uuid, To),
    turn: Turn,
    key: Option<RequestKey>,
    workspace: Option<Prepared>,
) -> Result<(), Refusal> {
    let adding = service.store.add(user, id, to, turn, key);
    let kept = tokio::spawn(async move {
        let added = adding.await;
        if let (Ok(Added::Kept), Some(workspace)) = (&added, workspace)
            && let Err(error) = workspace.commit()
        {
            tracing::error!("a turn is stored without its workspace: {error}");
        }
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
    query: Result<Query<TurnsQuery>, QueryRejection>,
    caller: Caller,
) -> Result<Response, Refusal> {
    let (user, id) = named(&service, &caller, id).inspect_err(Refusal::log)?;
    let span = span("read", &user, id);
    let read = async { read(&service, user, id, query).await.inspect_err(Refusal::log) };
    read.instrument(span).await
}

/// A conversation, or a page of it: at once if it is short, else piece by piece while the client reads.
async fn read(
    service: &Service,
    user: UserId,
    id: Uuid,
    query: Result<Query<TurnsQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(TurnsQuery { limit, cursor }) = query.map_err(|_| Refusal::Query)?;
    if limit.is_some_and(|limit| !(1..=MAX_PAGE).contains(&limit)) {
        return Err(Refusal::Query);
    }
    let after = cursor.as_deref().map(|cursor| api::turn_number(cursor).ok_or(Refusal::Query)).transpose()?;
    let is_page = limit.is_some() || after.is_some();
    let summary = service.store.summary(&user, id).await?.ok_or(Refusal::NoSuchConversation)?;
    let after = after.unwrap_or_default().min(summary.turns);
    let through = limit.map_or(summary.turns, |limit| summary.turns.min(after.saturating_add(limit)));
    let next_cursor = is_page.then(|| (through < summary.turns).then(|| api::turn_cursor(through)));
    tracing::info!(turns = through - after, "read");
    if summary.bytes <= PART_BYTES {
        let part = Part { after, through, bytes: u64::MAX };
        let turns = service.store.turns(&user, id, part).await?.ok_or(Refusal::NoSuchConversation)?;
        return Ok(Json(ConversationView::new(&summary, turns, next_cursor)).into_response());
    }
    // The same form as that of a short one, with the messages put in between.
    let whole = ConversationView::new(&summary, Vec::new(), next_cursor);
    let whole =
        serde_json::to_string(&whole).map_err(|error| StoreError::new("write a conversation", error))?;
    let (head, tail) = whole.split_once(MESSAGES).ok_or(Refusal::Internal)?;
    let (head, tail) = (format!("{head}{MESSAGES_BEGIN}"), format!("]{tail}"));
    let store = Arc::clone(&service.store);
    let body = download::body(|mut writer| async move {
        writer.raw(head.as_bytes()).await?;
        let mut turns = Turns::new(&*store, &user, id, after, through);
        let mut separator = &b""[..];
        loop {
            let part = turns.next().await?;
            if part.is_empty() {
                break;
            }
            for turn in part {
                writer.raw(separator).await?;
                message(&mut writer, "", "user", &turn.message, turn.asked_at_unix_ns).await?;
                writer.raw(b",").await?;
                message(&mut writer, "", "assistant", &turn.answer, turn.answered_at_unix_ns).await?;
                separator = b",";
            }
        }
        writer.raw(tail.as_bytes()).await?;
        Ok(writer)
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The messages of a conversation without any.
const MESSAGES: &str = "\"messages\":[]";
const MESSAGES_BEGIN: &str = "\"messages\":[";

/// Writes a message as a JSON object, whose members begin with `first`.
async fn message(
    writer: &mut download::Writer,
    first: &str,
    role: &str,
    text: &str,
    at_unix_ns: i64,
) -> Result<(), Cut> {
    writer.raw(format!("{{{first}\"role\":\"{role}\",\"text\":").as_bytes()).await?;
    writer.string(text).await?;
    writer.raw(format!(",\"at\":\"{}\"}}", api::rfc3339(at_unix_ns)).as_bytes()).await
}

/// All messages of the user, a line of JSON each: conversation by conversation, the newest first.
async fn export(State(service): Shared, caller: Caller) -> Result<Response, Refusal> {
    let user = service.user(&caller).inspect_err(Refusal::log)?;
    tracing::info!(%user, "export");
    let store = Arc::clone(&service.store);
    let workspaces = service.workspaces().cloned();
    // The first page before the status, so that a store that fails is no success.
    let listed = store.list(&user, None, MAX_PAGE).await.map_err(|error| refused(Refusal::Store(error)))?;
    let body = download::body(|mut writer| async move {
        let mut page = listed;
        loop {
            let Some(last) = page.last() else { return Ok(writer) };
            let after = last.place();
            for summary in page {
                let id = format!("\"conversationId\":\"{}\",", summary.id);
                let mut turns = Turns::new(&*store, &user, summary.id, 0, summary.turns);
                loop {
                    let part = match turns.next().await {
                        // It is no part of the user's data any more.
                        Err(Cut::Deleted) => break,
                        part => part?,
                    };
                    if part.is_empty() {
                        break;
                    }
                    for turn in part {
                        message(&mut writer, &id, "user", &turn.message, turn.asked_at_unix_ns).await?;
                        writer.raw(b"\n").await?;
                        message(&mut writer, &id, "assistant", &turn.answer, turn.answered_at_unix_ns)
                            .await?;
                        writer.raw(b"\n").await?;
                    }
                }
                if let Some(workspaces) = workspaces.clone() {
                    let (user, conversation) = (user.clone(), summary.id);
                    let archive =
                        tokio::task::spawn_blocking(move || workspaces.load(&user, conversation)).await;
                    let archive = archive.map_err(std::io::Error::other).flatten();
                    let archive = archive.map_err(|error| StoreError::new("read a workspace", error))?;
                    if !archive.is_empty() {
                        let archive = workspace::as_text(&archive);
                        writer.raw(format!("{{{id}\"workspace\":\"{archive}\"}}\n").as_bytes()).await?;
                    }
                }
            }
            page = store.list(&user, Some(after), MAX_PAGE).await?;
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Deletes everything of the user.
async fn forget(State(service): Shared, caller: Caller) -> Result<StatusCode, Refusal> {
    let forgotten = async {
        let user = service.user(&caller)?;
        let mut deleted = 0;
        loop {
            let page = service.store.list(&user, None, MAX_PAGE).await?;
            if page.is_empty() {
                tracing::info!(%user, conversations = deleted, "deleted all of the user's data");
                return Ok(StatusCode::NO_CONTENT);
            }
            for summary in page {
                service.running.cancel(&user, summary.id);
                deleted += u32::from(service.store.delete(&user, summary.id).await?);
                service.remove_workspace(&user, summary.id);
            }
        }
    };
    forgotten.await.inspect_err(Refusal::log)
}

/// Cancels the requests of a conversation that wait or run.
async fn cancel(
    State(service): Shared,
    id: Result<Path<String>, PathRejection>,
    caller: Caller,
) -> Result<Json<Cancelled>, Refusal> {
    let (user, id) = named(&service, &caller, id).inspect_err(Refusal::log)?;
    let cancelled = service.running.cancel(&user, id);
    span("cancel", &user, id).in_scope(|| match cancelled {
        0 => Err(refused(Refusal::NothingToCancel)),
        _ => {
            tracing::info!(cancelled, "cancelled");
            Ok(Json(Cancelled { cancelled }))
        }
    })
}

async fn delete(
    State(service): Shared,
    id: Result<Path<String>, PathRejection>,
    caller: Caller,
) -> Result<StatusCode, Refusal> {
    let (user, id) = named(&service, &caller, id).inspect_err(Refusal::log)?;
    let span = span("delete", &user, id);
    let deleted = async {
        match service.store.delete(&user, id).await {
            Ok(true) => {
                service.remove_workspace(&user, id);
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
    caller: Caller,
) -> Result<Json<PageView>, Refusal> {
    let page = async {
        let user = service.user(&caller)?;
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
fn named(
    service: &Service,
    caller: &Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<(UserId, Uuid), Refusal> {
    let user = service.user(caller)?;
    let Path(id) = id.map_err(|_| Refusal::ConversationId)?;
    Ok((user, api::conversation_id(&id).ok_or(Refusal::ConversationId)?))
}

fn parse(body: &[u8]) -> Result<Ask, Refusal> {
    use serde_json::error::Category;
    serde_json::from_slice(body)
        .map_err(|error| match error.classify() {
            // The error's message quotes the body.
            Category::Data => Refusal::WrongShape(printable(&error.to_string(), LOGGED_CHARACTERS)),
            Category::Io | Category::Syntax | Category::Eof => Refusal::NotJson(error.to_string()),
        })
        .and_then(|ask| match body.trim_ascii_start().first() {
            Some(b'{') => Ok(ask),
            // serde would accept an array for a struct.
            _ => Err(Refusal::WrongShape("it is not an object".to_owned())),
        })
}

/// The client's key of the request (draft-ietf-httpapi-idempotency-key-header), quoted or not.
fn request_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Refusal::Key)?;
    let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let is_plain = !key.is_empty() && key.len() <= MAX_KEY && key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain && values.next().is_none() { Ok(Some(key.to_owned())) } else { Err(Refusal::Key) }
}

/// Distinguishes messages: a hash of the conversation and the text.
fn fingerprint(conversation: Option<&str>, message: &str) -> String {
    sha256_hex(format!("{}\n{message}", conversation.unwrap_or_default()).as_bytes())
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
            workspaces: None,
            journal: None,
            audit: Arc::default(),
            metrics: Arc::default(),
            last_start: Arc::default(),
        };
        Arc::new(Service {
            auth: Auth::Header,
            hosts: Hosts::own(),
            rate: None,
            quota_bytes: 0,
            running: Running::default(),
            metrics: Arc::default(),
            probe: Probe::default(),
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
