//! The routes of the page's server.

use std::ops::ControlFlow;
use std::sync::Arc;

use analyze::input::capture::Progress;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use experiment::{Scheme, isolation};
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::client::Outgoing;
use crate::error::{ApiError, ProblemView};
use crate::exchanges::{About, Exchange, Kind};
use crate::guard;
use crate::opened::{CompanionKind, OpenRequest, OpenedView};
use crate::page;
use crate::state::{Demo, Page, Shared};
use crate::trial::EXPERIMENTS;

/// Longest body of a request to the API: a message of 64 KiB with every byte escaped.
const MAX_BODY: usize = 512 << 10;

/// Longest user id that is passed on; the gateway has rules of its own.
const MAX_USER: usize = 256;

/// Most frames on a page of a capture's list.
const MAX_ROWS: usize = 2000;

/// Bytes of a file that are sent at once.
const PIECE: usize = 64 << 10;

/// Requests that read a whole capture at a time. Others wait, and are given up when their tab goes away.
static READERS: Semaphore = Semaphore::const_new(2);

/// Most pieces of a connection at once.
const MAX_PIECES: usize = 500;

type Given<T> = Result<Json<T>, JsonRejection>;
type Asked<T> = Result<Query<T>, QueryRejection>;

/// All routes, behind the guard.
pub(crate) fn router(page: Arc<Page>) -> Router {
    let guard = Arc::clone(&page.guard);
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{*path}", get(page::asset))
        .route("/api/state", get(state))
        .route("/api/events", get(events))
        .route("/api/say", post(say))
        .route("/api/call", post(call))
        .route("/api/conversations", get(conversations))
        .route("/api/conversation/{id}", get(conversation).delete(delete_conversation))
        .route("/api/exchanges", get(exchanges))
        .route("/api/exchange/{id}", get(exchange))
        .route("/api/exchange/{id}/frame/{frame}", get(exchange_frame))
        .route("/api/wire/{name}", get(wire))
        .route("/api/experiment", get(trial).post(start_trial).delete(cancel_trial))
        .route("/api/experiment/{report}", get(report))
        .route("/api/boxes", get(boxes))
        .route("/api/captures", get(captures).post(upload).layer(DefaultBodyLimit::disable()))
        .route("/api/captures/{id}", get(opened).delete(close))
        .route("/api/captures/{id}/companion", post(companion).layer(DefaultBodyLimit::disable()))
        .route("/api/captures/{id}/open", post(open))
        .route("/api/captures/{id}/packets", get(packets))
        .route("/api/captures/{id}/frame/{frame}", get(capture_frame))
        .route("/api/captures/{id}/stream/{stream}", get(capture_stream))
        .fallback(guard::not_found)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(guard, guard::guard))
        .with_state(page)
}

/// Over what a message is sent.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Over {
    Http,
    Https,
    Both,
}

impl Over {
    fn schemes(self) -> &'static [Scheme] {
        match self {
            Self::Http => &[Scheme::Http],
            Self::Https => &[Scheme::Https],
            Self::Both => &[Scheme::Http, Scheme::Https],
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Say {
    user: String,
    scheme: Over,
    message: String,
    conversation: Option<String>,
    /// Whether to ask for the answer as a stream of events.
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    user: String,
    scheme: Over,
}

#[derive(Deserialize)]
struct OfUser {
    user: String,
    scheme: Option<Scheme>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct WithKeys {
    #[serde(default)]
    keys: u8,
}

#[derive(Serialize)]
struct Began {
    exchanges: Vec<u64>,
}

async fn state(State(page): Shared) -> Json<Value> {
    Json(page.state())
}

async fn events(State(page): Shared, query: Asked<OfUser>) -> Result<Response, ApiError> {
    let Query(OfUser { user, .. }) = query.map_err(|error| bad_query(&error))?;
    Ok(page.events.stream(user).into_response())
}

async fn say(State(page): Shared, given: Given<Say>) -> Result<Response, ApiError> {
    let Say { user, scheme, message, conversation, stream } = given.map_err(|error| bad_json(&error))?.0;
    let demo = page.demo()?;
    check_user(&user)?;
    let mut body = json!({"message": message});
    if let (Some(body), Some(conversation)) = (body.as_object_mut(), &conversation) {
        body.insert("conversationId".into(), conversation.clone().into());
    }
    let request = Outgoing {
        method: Method::POST,
        target: "/api/conversation".into(),
        body: Some(Bytes::from(body.to_string())),
        user: Some(user.clone()),
        is_stream: stream,
    };
    let about = About { kind: Kind::Say, user, pair: None, conversation, message: Some(message) };
    begin(demo, "gateway", scheme, &about, &request)
}

async fn call(State(page): Shared, given: Given<Call>) -> Result<Response, ApiError> {
    let Call { user, scheme } = given.map_err(|error| bad_json(&error))?.0;
    let demo = page.demo()?;
    check_user(&user)?;
    let message = Some(String::from_utf8_lossy(&demo.call).into_owned());
    let request = Outgoing {
        method: Method::POST,
        target: "/tool".into(),
        body: Some(demo.call.clone()),
        user: None,
        is_stream: false,
    };
    let about = About { kind: Kind::Call, user, pair: None, conversation: None, message };
    begin(demo, "agent-b", scheme, &about, &request)
}

/// Begins one exchange, or one over each scheme at the same time.
fn begin(
    demo: &Demo,
    service: &str,
    over: Over,
    about: &About,
    request: &Outgoing,
) -> Result<Response, ApiError> {
    let routes: Result<Vec<_>, _> =
        over.schemes().iter().map(|scheme| demo.route(service, *scheme)).collect();
    let routes = routes?;
    let pair = (routes.len() > 1).then(|| demo.exchanges.pair());
    let begin = |route| {
        let about = About { pair, ..about.clone() };
        demo.exchanges.begin(about, route, request.clone()).id
    };
    let exchanges = routes.into_iter().map(begin).collect();
    Ok((StatusCode::ACCEPTED, Json(Began { exchanges })).into_response())
}

async fn conversations(State(page): Shared, query: Asked<OfUser>) -> Result<Response, ApiError> {
    let Query(OfUser { user, scheme, cursor }) = query.map_err(|error| bad_query(&error))?;
    let target = match cursor {
        Some(cursor) => {
            check_plain(&cursor, "cursor")?;
            format!("/api/conversations?cursor={cursor}")
        }
        None => "/api/conversations".to_owned(),
    };
    pass_on(&page, Kind::List, Method::GET, target, user, scheme, None).await
}

async fn conversation(
    State(page): Shared,
    Path(id): Path<String>,
    query: Asked<OfUser>,
) -> Result<Response, ApiError> {
    let Query(OfUser { user, scheme, .. }) = query.map_err(|error| bad_query(&error))?;
    check_plain(&id, "conversation")?;
    pass_on(&page, Kind::Read, Method::GET, format!("/api/conversation/{id}"), user, scheme, Some(id)).await
}

async fn delete_conversation(
    State(page): Shared,
    Path(id): Path<String>,
    query: Asked<OfUser>,
) -> Result<Response, ApiError> {
    let Query(OfUser { user, scheme, .. }) = query.map_err(|error| bad_query(&error))?;
    check_plain(&id, "conversation")?;
    let target = format!("/api/conversation/{id}");
    pass_on(&page, Kind::Delete, Method::DELETE, target, user, scheme, Some(id)).await
}

/// Passes a request on to the gateway, and its answer back.
async fn pass_on(
    page: &Page,
    kind: Kind,
    method: Method,
    target: String,
    user: String,
    scheme: Option<Scheme>,
    conversation: Option<String>,
) -> Result<Response, ApiError> {
    let demo = page.demo()?;
    check_user(&user)?;
    let route = demo.route("gateway", scheme.unwrap_or(Scheme::Http))?;
    let request = Outgoing { method, target, body: None, user: Some(user.clone()), is_stream: false };
    let about = About { kind, user, pair: None, conversation, message: None };
    let answer = demo.exchanges.exchange(about, route, request).await;
    let answer = answer.map_err(|problem| ApiError::from((StatusCode::BAD_GATEWAY, problem)))?;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn exchanges(State(page): Shared, query: Asked<OfUser>) -> Result<Json<Value>, ApiError> {
    let Query(OfUser { user, .. }) = query.map_err(|error| bad_query(&error))?;
    Ok(Json(json!({"exchanges": page.demo()?.exchanges.of_user(&user)})))
}

fn find(page: &Page, id: u64) -> Result<Arc<Exchange>, ApiError> {
    page.demo()?.exchanges.get(id).ok_or_else(|| ApiError::not_found("exchange"))
}

async fn exchange(State(page): Shared, Path(id): Path<u64>) -> Result<Json<Value>, ApiError> {
    Ok(Json(find(&page, id)?.view(true)))
}

async fn exchange_frame(
    State(page): Shared,
    Path((id, frame)): Path<(u64, u64)>,
    query: Asked<WithKeys>,
) -> Result<Response, ApiError> {
    let Query(WithKeys { keys }) = query.map_err(|error| bad_query(&error))?;
    let exchange = find(&page, id)?;
    explained(blocking(move |_| exchange.explain(frame, keys != 0)).await?)
}

/// The capture as it is written so far, or the page's own key log and journal.
async fn wire(State(page): Shared, Path(name): Path<String>) -> Result<Response, ApiError> {
    let demo = page.demo()?;
    let path = match name.as_str() {
        "keys" => demo.folder.join(crate::exchanges::KEY_LOG),
        "journal" => demo.folder.join(crate::exchanges::JOURNAL),
        name => {
            let stem = name.strip_suffix(".pcap").unwrap_or(name);
            let wire = demo.wires.get(stem).ok_or_else(|| ApiError::not_found("capture"))?;
            wire.path().to_owned()
        }
    };
    let file = tokio::fs::File::open(&path).await.map_err(|error| ApiError::internal(&error.into()))?;
    let length = file.metadata().await.map_err(|error| ApiError::internal(&error.into()))?.len();
    // In pieces, up to its length now: it grows, and a slow reader must not hold a copy of it.
    let pieces = futures_util::stream::try_unfold(file.take(length), |mut rest| async move {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut rest).take(PIECE as u64).read_to_end(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then_some((Bytes::from(piece), rest)))
    });
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(pieces)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartTrial {
    experiments: Vec<String>,
    count: Option<u32>,
}

async fn trial(State(page): Shared) -> Result<Response, ApiError> {
    Ok(Json(page.demo()?.trials.current()).into_response())
}

async fn start_trial(State(page): Shared, given: Given<StartTrial>) -> Result<Response, ApiError> {
    let StartTrial { experiments, count } = given.map_err(|error| bad_json(&error))?.0;
    let demo = page.demo()?;
    if experiments.is_empty() || experiments.iter().any(|name| !EXPERIMENTS.contains(&name.as_str())) {
        return Err(ApiError::bad_request(format!("the experiments are {}", EXPERIMENTS.join(", "))));
    }
    if count == Some(0) {
        return Err(ApiError::bad_request("an experiment has at least one message"));
    }
    // It makes sandboxes, which the page's own container may not.
    if experiments.iter().any(|name| name == isolation::NAME) && demo.is_in_container() {
        let why = "the isolation experiment makes sandboxes, and the page's container may make none";
        return Err(ApiError::new(StatusCode::CONFLICT, "no_sandboxes_here", why)
            .with_remedy("run `make isolation` in a terminal: it does the same in containers of its own"));
    }
    match demo.trials.start(experiments, count) {
        Some(trial) => Ok((StatusCode::ACCEPTED, Json(trial)).into_response()),
        None => Err(ApiError::new(StatusCode::CONFLICT, "one_runs", "an experiment runs already")
            .with_remedy("wait until it ends, or cancel it")),
    }
}

async fn cancel_trial(State(page): Shared) -> Result<StatusCode, ApiError> {
    page.demo()?.trials.cancel();
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
struct ReportQuery {
    #[serde(default = "english")]
    lang: String,
}

fn english() -> String {
    "en".to_owned()
}

/// The report is a page of its own, with a policy in it for its styles and its script. Here it also gets an origin of its own,
/// so that it cannot use the API.
const REPORT_POLICY: &str = "frame-ancestors 'none'; sandbox allow-scripts";

async fn report(
    State(page): Shared,
    Path(name): Path<String>,
    query: Asked<ReportQuery>,
) -> Result<Response, ApiError> {
    let Query(ReportQuery { lang }) = query.map_err(|error| bad_query(&error))?;
    let form = name.strip_prefix("report.").ok_or_else(|| ApiError::not_found("report"))?;
    let path = page.demo()?.trials.report(&lang, form).ok_or_else(|| ApiError::not_found("report"))?;
    let bytes = tokio::fs::read(&path).await.map_err(|error| ApiError::internal(&error.into()))?;
    let (content_type, disposition) = match form {
        "html" => ("text/html; charset=utf-8", "inline"),
        "pdf" => ("application/pdf", "attachment; filename=report.pdf"),
        _ => ("text/markdown; charset=utf-8", "attachment; filename=report.md"),
    };
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_SECURITY_POLICY, REPORT_POLICY),
    ];
    Ok((headers, bytes).into_response())
}

async fn boxes(State(page): Shared, query: Asked<OfUser>) -> Result<Json<Value>, ApiError> {
    let Query(OfUser { user, .. }) = query.map_err(|error| bad_query(&error))?;
    Ok(Json(json!({"boxes": page.demo()?.boxes.of_user(&user)})))
}

async fn captures(State(page): Shared) -> Json<Value> {
    Json(json!({"captures": page.captures.list()}))
}

#[derive(Deserialize)]
struct Named {
    name: String,
    kind: Option<CompanionKind>,
}

async fn upload(State(page): Shared, query: Asked<Named>, body: Body) -> Result<Response, ApiError> {
    let Query(Named { name, .. }) = query.map_err(|error| bad_query(&error))?;
    let opened = page.captures.upload(&name, body.into_data_stream()).await;
    let opened = opened.map_err(|error| ApiError::internal(&error))?;
    Ok((StatusCode::CREATED, Json(opened)).into_response())
}

async fn companion(
    State(page): Shared,
    Path(id): Path<String>,
    query: Asked<Named>,
    body: Body,
) -> Result<Response, ApiError> {
    let Query(Named { name, kind }) = query.map_err(|error| bad_query(&error))?;
    let kind = kind.ok_or_else(|| ApiError::bad_request("kind is keys, strings, json or journal"))?;
    let taken = page.captures.companion(&id, kind, &name, body.into_data_stream()).await;
    let taken = taken.map_err(|error| ApiError::bad_request(format!("{error:#}")))?;
    Ok(Json(taken.ok_or_else(|| ApiError::not_found("capture"))?).into_response())
}

async fn open(
    State(page): Shared,
    Path(id): Path<String>,
    given: Given<OpenRequest>,
) -> Result<Response, ApiError> {
    let request = given.map_err(|error| bad_json(&error))?.0;
    let opened = page.captures.open(&id, &request);
    let opened = opened.map_err(|error| ApiError::bad_request(format!("{error:#}")))?;
    let opened = opened.ok_or_else(|| ApiError::not_found("capture"))?;
    Ok((StatusCode::ACCEPTED, Json(opened)).into_response())
}

async fn opened(State(page): Shared, Path(id): Path<String>) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Body<'a> {
        opened: &'a OpenedView,
        exposure: Option<&'a RawValue>,
    }
    let found = page.captures.result(&id).ok_or_else(|| ApiError::not_found("capture"))?;
    let exposure = found.exposure.as_deref().map(serde_json::from_str).transpose();
    let exposure = exposure.map_err(|error| ApiError::internal(&error.into()))?;
    Ok(Json(Body { opened: &found.opened, exposure }).into_response())
}

async fn close(State(page): Shared, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    if page.captures.close(&id) { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found("capture")) }
}

#[derive(Deserialize)]
struct PacketsQuery {
    #[serde(default = "first")]
    from: u64,
    count: Option<usize>,
    stream: Option<u32>,
}

fn first() -> u64 {
    1
}

async fn packets(
    State(page): Shared,
    Path(id): Path<String>,
    query: Asked<PacketsQuery>,
) -> Result<Response, ApiError> {
    let Query(PacketsQuery { from, count, stream }) = query.map_err(|error| bad_query(&error))?;
    let count = count.unwrap_or(MAX_ROWS).min(MAX_ROWS);
    let rows = page.captures.packets(&id, from, count, stream);
    Ok(Json(rows.ok_or_else(|| ApiError::not_found("capture that was read"))?).into_response())
}

async fn capture_frame(
    State(page): Shared,
    Path((id, frame)): Path<(String, u64)>,
    query: Asked<WithKeys>,
) -> Result<Response, ApiError> {
    let Query(WithKeys { keys }) = query.map_err(|error| bad_query(&error))?;
    let page = Arc::clone(&page);
    let found = blocking(move |tab| Ok(page.captures.explain(&id, frame, keys != 0, tab))).await?;
    explained(
        found.map_err(|error| ApiError::internal(&error))?.ok_or_else(|| ApiError::not_found("capture"))?,
    )
}

#[derive(Deserialize)]
struct StreamQuery {
    #[serde(default)]
    keys: u8,
    #[serde(default)]
    from: usize,
    count: Option<usize>,
}

async fn capture_stream(
    State(page): Shared,
    Path((id, stream)): Path<(String, u32)>,
    query: Asked<StreamQuery>,
) -> Result<Response, ApiError> {
    let Query(StreamQuery { keys, from, count }) = query.map_err(|error| bad_query(&error))?;
    let wanted = from..from.saturating_add(count.unwrap_or(MAX_PIECES).min(MAX_PIECES));
    let page = Arc::clone(&page);
    let found = blocking(move |tab| Ok(page.captures.stream(&id, stream, keys != 0, wanted, tab))).await?;
    let found =
        found.map_err(|error| ApiError::internal(&error))?.ok_or_else(|| ApiError::not_found("capture"))?;
    Ok(Json(found.map_err(|error| ApiError::bad_request(format!("{error:#}")))?).into_response())
}

/// Work that reads files or many frames, on a thread of its own. What it is given ends the reading when the tab that asked has
/// gone away.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(Progress<'_>) -> anyhow::Result<T> + Send + 'static,
) -> Result<anyhow::Result<T>, ApiError> {
    let turn = READERS.acquire().await;
    let gone = CancellationToken::new();
    let _guard = gone.clone().drop_guard();
    let work = move || {
        // The thread goes on for a moment when this request is dropped.
        let _turn = turn;
        work(&mut |_| if gone.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(&error.into()))
}

fn explained(found: anyhow::Result<analyze::explain::Explained>) -> Result<Response, ApiError> {
    let found =
        found.map_err(|error| ApiError::new(StatusCode::NOT_FOUND, "not_found", format!("{error:#}")))?;
    Ok(Json(analyze::explain::document::Document::from(&found)).into_response())
}

fn check_user(user: &str) -> Result<(), ApiError> {
    if user.len() > MAX_USER || HeaderValue::from_str(user).is_err() {
        return Err(ApiError::bad_request("a user id is a header value of at most 256 bytes"));
    }
    Ok(())
}

/// Whether a text can be a part of a URL as it is.
fn check_plain(text: &str, what: &str) -> Result<(), ApiError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if text.is_empty() || text.len() > MAX_USER || !text.bytes().all(is_plain) {
        return Err(ApiError::bad_request(format!("this is no {what}")));
    }
    Ok(())
}

fn bad_json(error: &JsonRejection) -> ApiError {
    let problem = ProblemView { code: "bad_request".into(), message: error.body_text(), remedy: None };
    ApiError::from((error.status(), problem))
}

fn bad_query(error: &QueryRejection) -> ApiError {
    ApiError::bad_request(error.body_text())
}
