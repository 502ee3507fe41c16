//! Posts messages one at a time, and waits for a server that does not accept connections yet.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_core::journal::{Event, Journal, Message};
use agent_core::message::{CONTENT_TYPE, message_id};
use agent_core::transport;
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, HOST};
use rustls::ClientConfig;

use crate::endpoint::{Endpoint, NameNotFound};
use crate::observe::{Ends, Opened, Watch};
use crate::recorded_body::RecordedBody;

/// Maximum length of an answer. The script's largest has about 200 KiB: a request of 64 KiB, repeated and transformed.
pub const ANSWER_LIMIT: usize = 1024 * 1024;

/// Maximum pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// First pause between attempts to connect; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// A client of one server that records its messages in a journal.
#[derive(Debug)]
pub struct Session {
    client: reqwest::Client,
    endpoint: Endpoint,
    opened: Opened,
    journal: Arc<Journal>,
}

/// Whether connections are reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// One connection for all messages.
    KeptAlive,
    /// Each message on a connection of its own, closed after the answer.
    Fresh,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP version of the answer.
    pub version: http::Version,
    /// The status code.
    pub status: StatusCode,
    /// The value of `Content-Type`.
    pub content_type: Option<String>,
    /// The whole body.
    pub body: Bytes,
}

/// Why a message has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The connection to the server failed.
    #[error("{}", agent_core::error_chain::error_chain(.0))]
    Transport(#[from] reqwest::Error),
    /// The answer is longer than [`ANSWER_LIMIT`].
    #[error("the answer has more than {ANSWER_LIMIT} bytes")]
    TooLong,
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] std::io::Error),
}

impl Session {
    /// Creates a client of `endpoint` with the settings `tls`. Opens no connection yet.
    ///
    /// # Errors
    /// If the HTTP library refuses the settings.
    pub fn new(
        endpoint: &Endpoint,
        tls: &ClientConfig,
        connections: Connections,
        journal: &Arc<Journal>,
    ) -> Result<Self, PostError> {
        let watch = Watch::default();
        let idle = match connections {
            Connections::KeptAlive => 1,
            Connections::Fresh => 0,
        };
        let client = transport::client_builder(tls.clone())
            .pool_max_idle_per_host(idle)
            .dns_resolver(endpoint.resolver.shared())
            .connector_layer(watch.clone())
            .build()?;
        Ok(Self { client, endpoint: endpoint.clone(), opened: watch.opened, journal: Arc::clone(journal) })
    }

    /// Number of connections that this session has opened.
    pub fn connections_opened(&self) -> usize {
        self.opened.count()
    }

    /// Posts `body` and reads the answer. Records `body` in the journal before it is sent, and the answer once it is read.
    ///
    /// # Errors
    /// If the answer is incomplete or too long, or the journal cannot be written.
    pub async fn post(&self, body: Bytes) -> Result<Reply, PostError> {
        let id = message_id(&body);
        let recorded = RecordedBody::new(body, id, Arc::clone(&self.journal), self.opened.clone());
        let request = self
            .client
            .post(self.endpoint.url.clone())
            .header(HOST, &self.endpoint.host_header)
            .header(CONTENT_TYPE_HEADER, CONTENT_TYPE)
            .body(reqwest::Body::wrap(recorded));
        let mut response = request.send().await?;
        let ends = Ends::of(&response);
        let (version, status) = (response.version(), response.status());
        let content_type = response
            .headers()
            .get(CONTENT_TYPE_HEADER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(PostError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        self.journal.record(&Message {
            event: Event::Received,
            id: message_id(&body).as_deref(),
            local: ends.map(|ends| ends.local),
            remote: ends.map(|ends| ends.remote),
            content_type: content_type.as_deref(),
            body: &body,
        })?;
        Ok(Reply { version, status, content_type, body: body.into() })
    }

    /// Like [`Session::post`], but waits until `deadline` for a server that does not accept connections yet.
    ///
    /// It repeats the request itself, and only while no connection was established, so nothing of the message has been sent.
    /// It sends no probes, so that the capture holds only the experiment; of a failed attempt it shows at most a SYN and its
    /// refusal.
    ///
    /// # Errors
    /// As [`Session::post`].
    pub async fn post_when_reachable(&self, body: Bytes, deadline: Instant) -> Result<Reply, PostError> {
        let mut pause = FIRST_PAUSE;
        let mut is_first_attempt = true;
        loop {
            match self.post(body.clone()).await {
                Err(PostError::Transport(error))
                    if is_unreachable(&error)
                        && self.opened.count() == 0
                        && Instant::now() + pause < deadline =>
                {
                    let why = agent_core::error_chain::error_chain(&error);
                    if std::mem::take(&mut is_first_attempt) {
                        let seconds = deadline.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
                        tracing::warn!(
                            "no server at {} yet, trying for {seconds} s. Start one (agent-b --listen 127.0.0.1:8000), or name \
                             another (--server-url http://127.0.0.1:8000/tool): {why}",
                            self.endpoint.url
                        );
                    } else {
                        tracing::debug!("not reachable yet: {why}");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    /// Closes the session's connections, and returns once close_notify and FIN are sent.
    pub async fn close(self) {
        drop(self.client);
        wait_for_tasks().await;
    }
}

/// Maximum wait for connections to close, which takes milliseconds.
const CLOSING_LIMIT: Duration = Duration::from_secs(2);

/// Waits until the runtime has no tasks: each connection is a task that ends when the connection is closed.
async fn wait_for_tasks() {
    let runtime = tokio::runtime::Handle::current();
    let limit = Instant::now() + CLOSING_LIMIT;
    while runtime.metrics().num_alive_tasks() > 0 && Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Whether the server's name does not resolve or its port does not accept connections (yet). Errors after the TCP connection,
/// such as an untrusted certificate, do not go away by waiting.
fn is_unreachable(error: &reqwest::Error) -> bool {
    if !error.is_connect() {
        return false;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<NameNotFound>() {
            return true;
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::NetworkDown
                    | ErrorKind::TimedOut
            );
        }
        cause = error.source();
    }
    error.is_timeout()
}
