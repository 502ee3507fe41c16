//! The exchanges between the page's server and the servers that are studied: what was said, and what the packets show.
//!
//! ```text
//! client   writes the journal line, connects, sends, receives      what was said
//! wire     hands over the frames of the connection                 what crossed
//! analyze  searches the frames for the strings of the journal      what is readable
//! ```
//! The last part knows the first only as the text of messages, as in a journal.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use agent_core::journal::{Event, Journal, Message};
use agent_core::key_log::FileKeyLog;
use analyze::exchange::{self, Said};
use analyze::explain::{self, Explained};
use analyze::follow::Frame;
use anyhow::{Context, Result};
use bytes::Bytes;
use experiment::Scheme;
use exposure_schema::Direction;
use rustls::{ClientConfig, KeyLog};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::{Answer, Dialling, EVENT_STREAM, NoAnswer, Outgoing};
use crate::error::ProblemView;
use crate::event_lines::EventLines;
use crate::events::Events;
use crate::wire::{Frames, Wire, Wires};

/// Exchanges that are kept. Older ones are still in the capture.
const MAX_KEPT: usize = 200;

/// Bytes of frames kept for one exchange: a conversation of some megabytes. Longer ones are shown up to here.
const MAX_FRAME_BYTES: usize = 4 << 20;

/// Bytes of frames kept for all exchanges. The oldest give theirs up.
const MAX_FRAME_BYTES_TOTAL: usize = 64 << 20;

/// Longest message whose strings are searched for: several times the longest answer of a sandbox. Conversations of many turns
/// are longer.
const MAX_SAID: usize = 1 << 20;

/// Pieces of a streamed answer that are searched for one by one. The whole answer is searched for in any case.
const MAX_PIECES: usize = 200;

/// Shortest time between two events about one exchange.
const EVENT_INTERVAL: Duration = Duration::from_millis(50);

/// How long an exchange waits for the end of its connection in the capture, and how often it looks. The capturer writes every 20
/// ms at most, on a busy machine later.
const LAST_FRAMES: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// How long the last acknowledgments may come behind the end.
const LINGER: Duration = Duration::from_millis(60);

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A message to the gateway.
    Say,
    /// A tool call to agent-b.
    Call,
    /// The list of conversations.
    List,
    /// A conversation.
    Read,
    /// Deletes a conversation.
    Delete,
}

/// Where an exchange goes.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) scheme: Scheme,
    /// `HOST:PORT`.
    pub(crate) server: String,
    pub(crate) server_name: String,
    pub(crate) capture: String,
}

/// What an exchange is.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) kind: Kind,
    pub(crate) user: String,
    pub(crate) pair: Option<u64>,
    pub(crate) conversation: Option<String>,
    /// The words of the user.
    pub(crate) message: Option<String>,
}

/// All exchanges.
pub(crate) struct Exchanges {
    kept: Mutex<Kept>,
    events: Events,
    wires: Wires,
    journal: Journal,
    /// `None` where no service has TLS.
    tls: Option<ClientConfig>,
    key_log: Arc<FileKeyLog>,
    changed: UnboundedSender<Arc<Exchange>>,
}

#[derive(Default)]
struct Kept {
    next: u64,
    exchanges: VecDeque<Arc<Exchange>>,
}

/// One exchange.
pub(crate) struct Exchange {
    pub(crate) id: u64,
    about: About,
    route: Route,
    began: SystemTime,
    state: Mutex<State>,
    /// Frames that are read, and what was found in them. Locked while they are searched.
    read: Mutex<Read>,
    changed: UnboundedSender<Arc<Exchange>>,
    /// This exchange, to hand on.
    this: std::sync::Weak<Exchange>,
}

#[derive(Default)]
struct State {
    answered: Option<Answered>,
    streamed: Streamed,
    failed: Option<ProblemView>,
    /// Number of the connection in the capture.
    stream: Option<u32>,
    server_port: u16,
    /// The messages as the journal has them.
    said: Vec<(Direction, Bytes)>,
    /// The text of the connection's key log.
    keys: Vec<u8>,
    /// Frames that are not read yet.
    incoming: Vec<Frame>,
    bytes: usize,
    /// Whether frames were left out because there were too many.
    is_cut: bool,
    /// What the frames show of the connection's end.
    end: ConnectionEnd,
    /// Whether no more frames are waited for.
    is_over: bool,
    /// Whether a search since then has read all frames.
    is_complete: bool,
    is_queued: bool,
}

/// The end of a connection, as its frames show it.
#[derive(Default)]
struct ConnectionEnd {
    /// Whether each side has sent a FIN: the client, the server.
    fins: [bool; 2],
    is_reset: bool,
    /// When the last frame arrived here.
    last: Option<Instant>,
}

struct Answered {
    status: u16,
    text: Option<String>,
    conversation: Option<String>,
    error: Option<ProblemView>,
}

/// An answer that arrives as a stream of events.
#[derive(Default)]
struct Streamed {
    events: EventLines,
    /// The text so far.
    text: String,
    conversation: Option<String>,
    /// The data of the last event: of `done`, or of `error`.
    last: Option<(String, Value)>,
    /// Pieces, and the bytes of all events.
    pieces: usize,
    bytes: usize,
}

#[derive(Default)]
struct Read {
    frames: Vec<Frame>,
    found: Option<Value>,
    given_up: bool,
}

impl Exchanges {
    /// An empty list. Reads frames for as long as the runtime runs.
    pub(crate) fn new(
        events: Events,
        wires: Wires,
        journal: Journal,
        tls: Option<ClientConfig>,
        key_log: Arc<FileKeyLog>,
    ) -> Arc<Self> {
        let (changed, changes) = unbounded_channel();
        let all = Arc::new(Self {
            kept: Mutex::default(),
            events: events.clone(),
            wires,
            journal,
            tls,
            key_log,
            changed,
        });
        tokio::spawn(read_changes(changes, events));
        all
    }

    /// An id for the two exchanges of a pair, which no exchange has.
    pub(crate) fn pair(&self) -> u64 {
        let mut kept = self.lock();
        kept.next += 1;
        kept.next
    }

    /// Begins an exchange, which goes on by itself.
    pub(crate) fn begin(self: &Arc<Self>, about: About, route: Route, request: Outgoing) -> Arc<Exchange> {
        let exchange = self.add(about, route);
        let (all, one) = (Arc::clone(self), Arc::clone(&exchange));
        tokio::spawn(async move { drop(all.run(&one, request).await) });
        exchange
    }

    /// Makes an exchange, and waits for its answer.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        about: About,
        route: Route,
        request: Outgoing,
    ) -> Result<Answer, ProblemView> {
        let exchange = self.add(about, route);
        self.run(&exchange, request).await
    }

    /// The exchange of this id.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Exchange>> {
        self.lock().exchanges.iter().find(|exchange| exchange.id == id).cloned()
    }

    /// The exchanges of a user, without packets.
    pub(crate) fn of_user(&self, user: &str) -> Vec<Value> {
        let of_user: Vec<_> =
            self.lock().exchanges.iter().filter(|one| one.about.user == user).cloned().collect();
        of_user.iter().map(|exchange| exchange.view(false)).collect()
    }

    fn add(&self, about: About, route: Route) -> Arc<Exchange> {
        let mut kept = self.lock();
        kept.next += 1;
        let exchange = Arc::new_cyclic(|this| Exchange {
            id: kept.next,
            about,
            route,
            began: SystemTime::now(),
            state: Mutex::default(),
            read: Mutex::default(),
            changed: self.changed.clone(),
            this: this.clone(),
        });
        kept.exchanges.push_back(Arc::clone(&exchange));
        if kept.exchanges.len() > MAX_KEPT {
            kept.exchanges.pop_front();
        }
        let mut bytes = 0;
        for one in kept.exchanges.iter().rev() {
            bytes += one.lock().bytes;
            if bytes > MAX_FRAME_BYTES_TOTAL {
                one.give_up_frames();
            }
        }
        drop(kept);
        self.events.send_to(Some(&exchange.about.user), "exchange", &exchange.view(true));
        exchange
    }

    async fn run(&self, exchange: &Arc<Exchange>, request: Outgoing) -> Result<Answer, ProblemView> {
        let mut expected = None;
        let result = self.converse(exchange, request, &mut expected).await;
        {
            let mut state = exchange.lock();
            match &result {
                Ok(answer) => {
                    let answered = Answered::of(answer, &state.streamed, exchange.about.kind);
                    state.answered = Some(answered);
                }
                Err(problem) => state.failed = Some(problem.clone()),
            }
        }
        exchange.change();
        let late = Arc::clone(exchange);
        tokio::spawn(async move {
            late.wait_for_end(expected.as_ref()).await;
            late.lock().is_over = true;
            late.change();
            if let Some(Expected { wire, port, peer }) = expected {
                wire.forget(port, peer);
            }
        });
        result
    }

    async fn converse(
        &self,
        exchange: &Arc<Exchange>,
        request: Outgoing,
        expected: &mut Option<Expected>,
    ) -> Result<Answer, ProblemView> {
        let Route { server, server_name, capture, .. } = &exchange.route;
        let dialling = Dialling::to(server).await.map_err(|error| problem_of(&error))?;
        let (port, peer) = (dialling.port(), dialling.peer());
        if let Some(wire) = self.wires.get(capture) {
            let frames: Arc<dyn Frames> = exchange.clone();
            exchange.lock().server_port = peer.port();
            wire.expect(port, peer, &frames);
            *expected = Some(Expected { wire, port, peer });
        }
        // A journal contains every message that is on the network, so it has the line first.
        if let Some(body) = &request.body {
            self.note_sent(exchange, body)?;
        }
        let tls = match exchange.route.scheme {
            Scheme::Http => None,
            Scheme::Https => Some((self.tls_of(exchange)?, server_name.as_str())),
        };
        let mut each = |piece: &[u8]| exchange.streamed(piece);
        let answer = dialling.send(tls, request, &mut each).await.map_err(|error| problem_of(&error))?;
        if !answer.body.is_empty() {
            self.note_received(exchange, &answer)?;
        }
        Ok(answer)
    }

    /// Writes a request into the journal, from which the search takes its strings.
    fn note_sent(&self, exchange: &Exchange, body: &Bytes) -> Result<(), ProblemView> {
        self.record(Event::Sent, agent_core::message::CONTENT_TYPE, body)?;
        exchange.say(Direction::ClientToServer, body.clone());
        Ok(())
    }

    /// The same for an answer. The events of a stream are searched for as they arrive.
    fn note_received(&self, exchange: &Exchange, answer: &Answer) -> Result<(), ProblemView> {
        let is_stream = answer.is_stream();
        let content_type = if is_stream { EVENT_STREAM } else { agent_core::message::CONTENT_TYPE };
        self.record(Event::Received, content_type, &answer.body)?;
        if !is_stream {
            exchange.say(Direction::ServerToClient, answer.body.clone());
        }
        Ok(())
    }

    fn record(&self, event: Event, content_type: &str, body: &[u8]) -> Result<(), ProblemView> {
        let content_type = Some(content_type);
        let message = Message { event, id: None, local: None, remote: None, content_type, body };
        self.journal.record(&message).map_err(|error| ProblemView {
            code: "no_journal".into(),
            message: format!("the journal cannot be written, so nothing is sent: {error}"),
            remedy: Some("free space on the disk".into()),
        })
    }

    /// A configuration that notes the secrets of this exchange's connection.
    fn tls_of(&self, exchange: &Arc<Exchange>) -> Result<Arc<ClientConfig>, ProblemView> {
        let Some(tls) = &self.tls else {
            return Err(ProblemView {
                code: "no_certificates".into(),
                message: "there is no certificate authority to trust".into(),
                remedy: Some("make certs".into()),
            });
        };
        let mut config = tls.clone();
        config.key_log =
            Arc::new(ExchangeKeys { file: Arc::clone(&self.key_log), exchange: Arc::clone(exchange) });
        Ok(Arc::new(config))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Searches the frames of the exchanges that changed, one exchange after the other, and sends what was found.
async fn read_changes(mut changes: UnboundedReceiver<Arc<Exchange>>, events: Events) {
    while let Some(exchange) = changes.recv().await {
        let one = Arc::clone(&exchange);
        exchange.lock().is_queued = false;
        let began = Instant::now();
        let read = tokio::task::spawn_blocking(move || one.search()).await;
        if let Err(error) = read {
            tracing::error!(%error, "the frames of an exchange cannot be searched");
        }
        events.send_to(Some(&exchange.about.user), "exchange", &exchange.view(true));
        // A long answer arrives in many pieces; each search reads all of them.
        let pause = began.elapsed().min(EVENT_INTERVAL);
        tokio::time::sleep(pause).await;
    }
}

/// The connection whose frames are expected.
struct Expected {
    wire: Arc<Wire>,
    port: u16,
    peer: SocketAddr,
}

impl Exchange {
    /// Waits until the capture has the end of the connection, or can no longer have it.
    async fn wait_for_end(&self, expected: Option<&Expected>) {
        let Some(Expected { wire, .. }) = expected else { return };
        let started = Instant::now();
        let has_ended = || {
            let state = self.lock();
            state.end.is_over() && state.end.last.is_none_or(|last| last.elapsed() > LINGER)
        };
        while !has_ended() && wire.failed().is_none() && started.elapsed() < LAST_FRAMES {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The exchange as the API gives it.
    pub(crate) fn view(&self, with_packets: bool) -> Value {
        let Self { id, about, route, began, .. } = self;
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wire = read.found.clone().unwrap_or_else(|| {
            serde_json::json!({
                "stream": null, "readable": 0, "with_keys": 0, "total": 0, "bytes": 0, "tls": null,
                "packets": [], "strings": [],
            })
        });
        let has_frames = !read.frames.is_empty();
        let given_up = read.given_up;
        drop(read);
        let state = self.lock();
        let (name, why, remedy) = match (state.is_complete, has_frames || given_up) {
            (true, false) => (
                "unavailable",
                Some("no frame of this exchange was captured"),
                Some("see what the page says about its captures; run `lab doctor`"),
            ),
            (true, true) if given_up => {
                ("complete", Some("its frames are no longer kept here; they are in the capture"), None)
            }
            (true, true) if !state.end.is_over() => (
                "complete",
                Some("its last frames were not captured in time: what is shown is not all of it"),
                Some("the capture has them; open it when the machine is less busy"),
            ),
            (true, true) if state.is_cut => ("complete", Some("it is too long to be shown as a whole"), None),
            (true, true) => ("complete", None, None),
            (false, true) => ("live", None, None),
            (false, false) => ("waiting", None, None),
        };
        if let Some(wire) = wire.as_object_mut() {
            wire.insert("state".into(), name.into());
            wire.insert("why".into(), why.into());
            wire.insert("remedy".into(), remedy.into());
            wire.insert("capture".into(), route.capture.clone().into());
            wire.insert("stream".into(), state.stream.into());
            if !with_packets {
                wire.remove("packets");
                wire.remove("strings");
            }
        }
        let answered = state.answered.as_ref();
        let conversation = answered.and_then(|answered| answered.conversation.as_ref());
        let conversation = conversation.or(state.streamed.conversation.as_ref());
        let so_far = Some(&state.streamed.text).filter(|text| !text.is_empty());
        let answer = answered.map_or(so_far, |answered| answered.text.as_ref());
        serde_json::json!({
            "id": id,
            "pair": about.pair,
            "user": about.user,
            "conversation": conversation.or(about.conversation.as_ref()),
            "kind": about.kind,
            "scheme": route.scheme,
            "at_unix_ms": experiment::unix_ns(*began) as f64 / 1e6,
            "state": match (&state.answered, &state.failed) {
                (_, Some(_)) => "failed",
                (Some(answered), None) if answered.error.is_some() => "failed",
                (Some(_), None) => "answered",
                (None, None) => "sending",
            },
            "message": about.message,
            "answer": answer,
            "status": answered.map(|answered| answered.status),
            "error": state.failed.as_ref().or_else(|| answered?.error.as_ref()),
            "server": route.server,
            "server_name": (route.scheme == Scheme::Https).then_some(&route.server_name),
            "wire": wire,
        })
    }

    /// Explains a frame of the exchange, with its keys or without.
    pub(crate) fn explain(&self, number: u64, with_keys: bool) -> Result<Explained> {
        let keys = with_keys.then(|| self.lock().keys.clone());
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut explained = explain::kept(&read.frames, number, keys.as_deref())?;
        explained.stream = self.lock().stream;
        Ok(explained)
    }

    fn search(&self) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, keys, is_last) = {
            let mut state = self.lock();
            read.frames.append(&mut state.incoming);
            (state.said.clone(), state.keys.clone(), state.is_over)
        };
        if read.given_up {
            self.lock().is_complete |= is_last;
            return;
        }
        let said: Vec<_> =
            said.iter().map(|(direction, body)| Said { direction: *direction, body }).collect();
        let found = exchange::read(&read.frames, &said, Some(&keys));
        match serde_json::to_value(&found) {
            Ok(value) => read.found = Some(value),
            Err(error) => tracing::error!(%error, "what was found cannot be written"),
        }
        self.lock().is_complete |= is_last;
    }

    fn give_up_frames(&self) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        read.frames = Vec::new();
        read.given_up = true;
        state.incoming = Vec::new();
        state.bytes = 0;
    }

    /// Adds a message to those whose strings are searched for.
    fn say(&self, direction: Direction, body: Bytes) {
        let mut state = self.lock();
        if body.len() <= MAX_SAID {
            state.said.push((direction, body));
        } else {
            state.is_cut = true;
        }
    }

    /// Takes a piece of a stream of events.
    fn streamed(&self, piece: &[u8]) {
        let mut state = self.lock();
        let State { streamed, said, .. } = &mut *state;
        for (name, data) in streamed.events.push(piece) {
            let Ok(value) = serde_json::from_str::<Value>(&data) else { continue };
            let text = |name: &str| value.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
            if name == "delta" {
                streamed.text.push_str(&text("text").unwrap_or_default());
                streamed.pieces += 1;
            } else if let Some(conversation) = text("conversationId") {
                streamed.conversation = Some(conversation);
            }
            streamed.bytes += data.len();
            if streamed.bytes <= MAX_SAID && (name != "delta" || streamed.pieces <= MAX_PIECES) {
                said.push((Direction::ServerToClient, data.into()));
            }
            streamed.last = Some((name, value));
        }
        drop(state);
        self.change();
    }

    /// Has the exchange searched again.
    fn change(&self) {
        let was_queued = std::mem::replace(&mut self.lock().is_queued, true);
        if !was_queued && let Some(this) = self.this.upgrade() {
            // Without a receiver the runtime is ending.
            let _ = self.changed.send(this);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionEnd {
    fn take(&mut self, frame: &Frame, server_port: u16) {
        self.last = Some(Instant::now());
        let decoded = dissect::frame::decode(frame.link_type, &frame.bytes, frame.original_len);
        if let Some(segment) = decoded.tcp() {
            self.is_reset |= segment.flags.rst();
            self.fins[usize::from(segment.src_port == server_port)] |= segment.flags.fin();
        }
    }

    fn is_over(&self) -> bool {
        self.is_reset || self.fins == [true; 2]
    }
}

impl Frames for Exchange {
    fn frame(&self, frame: Frame, stream: Option<u32>) {
        let mut state = self.lock();
        state.stream = stream;
        let server_port = state.server_port;
        state.end.take(&frame, server_port);
        if state.bytes + frame.bytes.len() > MAX_FRAME_BYTES {
            state.is_cut = true;
            return;
        }
        state.bytes += frame.bytes.len();
        state.incoming.push(frame);
    }

    fn written(&self) {
        self.change();
    }
}

impl Answered {
    fn of(answer: &Answer, streamed: &Streamed, kind: Kind) -> Self {
        if answer.is_stream() {
            return Self::of_stream(answer.status.as_u16(), streamed);
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
        let error = (!answer.status.is_success()).then(|| ProblemView {
            code: text("/error/code").unwrap_or_else(|| answer.status.as_str().to_owned()),
            message: text("/error/message").or_else(|| text("/error")).unwrap_or_else(|| {
                answer.status.canonical_reason().unwrap_or("the server refused the request").to_owned()
            }),
            remedy: answer
                .headers
                .get("retry-after")
                .and_then(|seconds| seconds.to_str().ok())
                .map(|seconds| format!("try again after {seconds} s")),
        });
        // agent-b answers with a tool result, of which all is shown.
        let whole = || String::from_utf8(answer.body.to_vec()).ok().filter(|text| !text.is_empty());
        Self {
            status: answer.status.as_u16(),
            // Of lists and conversations the page shows no text here.
            text: matches!(kind, Kind::Say | Kind::Call)
                .then(|| text("/text").or_else(whole))
                .flatten()
                .filter(|text| error.is_none() && text.len() <= MAX_SAID),
            conversation: text("/conversationId"),
            error,
        }
    }

    fn of_stream(status: u16, streamed: &Streamed) -> Self {
        let problem = |code: &str, message: &str| ProblemView {
            code: code.to_owned(),
            message: message.to_owned(),
            remedy: None,
        };
        let error = match &streamed.last {
            Some((name, _)) if name == "done" => None,
            Some((name, data)) if name == "error" => {
                let text = |pointer: &str| data.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                Some(problem(text("/error/code"), text("/error/message")))
            }
            _ => Some(problem("unfinished", "the stream ended before the answer was complete")),
        };
        let whole = streamed.last.as_ref().filter(|(name, _)| name == "done");
        let whole = whole.and_then(|(_, data)| data.get("text")?.as_str());
        Self {
            status,
            text: Some(whole.unwrap_or(&streamed.text).to_owned()),
            conversation: streamed.conversation.clone(),
            error,
        }
    }
}

fn problem_of(error: &NoAnswer) -> ProblemView {
    let code = match error {
        NoAnswer::Connect { .. } => "server_unreachable",
        NoAnswer::Tls { .. } => "no_tls",
        NoAnswer::Broken { .. } => "connection_failed",
        NoAnswer::TooSlow { .. } => "no_answer_in_time",
        NoAnswer::TooLong { .. } => "answer_too_long",
    };
    let remedy = match error {
        NoAnswer::Connect { .. } | NoAnswer::Broken { .. } => {
            Some("end the demo with Ctrl-C, and start it again")
        }
        NoAnswer::Tls { .. } => Some("make certs, and start the demo again"),
        _ => None,
    };
    ProblemView { code: code.into(), message: error.to_string(), remedy: remedy.map(ToOwned::to_owned) }
}

/// The secrets of one connection: in the demo's key log, and with the exchange.
#[derive(Debug)]
struct ExchangeKeys {
    file: Arc<FileKeyLog>,
    exchange: Arc<Exchange>,
}

impl KeyLog for ExchangeKeys {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        self.file.log(label, client_random, secret);
        let line = agent_core::key_log::line(label, client_random, secret);
        self.exchange.lock().keys.extend_from_slice(line.as_bytes());
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Opens the journal and the key log of a demo in its folder.
///
/// # Errors
///
/// A file cannot be made.
pub(crate) fn open_records(folder: &std::path::Path) -> Result<(Journal, Arc<FileKeyLog>)> {
    let run = agent_core::hex128::Hex128::fresh().context("cannot draw a run id")?;
    let journal = Journal::open(&folder.join(JOURNAL), run, "page").context("the page's journal")?;
    let key_log = FileKeyLog::append_to(&folder.join(KEY_LOG)).context("the page's key log")?;
    Ok((journal, Arc::new(key_log)))
}

/// File names in the folder of a demo.
pub(crate) const JOURNAL: &str = "page.jsonl";
pub(crate) const KEY_LOG: &str = "page.keys";
