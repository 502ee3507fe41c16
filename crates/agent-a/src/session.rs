//! Posting messages, one at a time, and waiting for a server that is not there yet.

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

/// Most bytes of an answer. The largest of the script has about 200 KiB: a request of 64 KiB, repeated and transformed.
pub const ANSWER_LIMIT: usize = 1024 * 1024;

/// Longest pause between two attempts to reach a server that is not there yet.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// First pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// A client of one server, and where its messages are written down.
#[derive(Debug)]
pub struct Session {
    client: reqwest::Client,
    endpoint: Endpoint,
    opened: Opened,
    journal: Arc<Journal>,
}

/// Whether connections are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// One connection for all messages.
    KeptAlive,
    /// Each message on a connection of its own, closed after the answer.
    Fresh,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP version of the answer.
    pub version: http::Version,
    /// The status.
    pub status: StatusCode,
    /// The Content-Type.
    pub content_type: Option<String>,
    /// The body, whole.
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The server could not be reached, or broke off.
    #[error("{}", agent_core::error_chain::error_chain(.0))]
    Transport(#[from] reqwest::Error),
    /// The answer does not end.
    #[error("the answer has more than {ANSWER_LIMIT} bytes")]
    TooLong,
    /// The answer cannot be written down.
    #[error(transparent)]
    Journal(#[from] std::io::Error),
}

impl Session {
    /// A client of `endpoint` that trusts what `tls` trusts. Opens no connection yet.
    ///
    /// # Errors
    /// When the settings do not make a client.
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

    /// How many connections this session has opened.
    pub fn connections_opened(&self) -> usize {
        self.opened.count()
    }

    /// Posts `body` and reads the answer. It is in the journal before it is on the wire, the answer when it is read whole.
    ///
    /// # Errors
    /// When there is no whole answer, or it cannot be written down.
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

    /// As [`Session::post`], but waits until `deadline` for a server that cannot be connected to yet.
    ///
    /// The message itself is what is tried again, and only as long as no connection came about: then nothing of it was
    /// sent. No probe ever runs, so that the capture holds the experiment and nothing else; of a failed attempt it shows at
    /// most a SYN and its refusal.
    ///
    /// # Errors
    /// As [`Session::post`].
    pub async fn post_when_there(&self, body: Bytes, deadline: Instant) -> Result<Reply, PostError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.post(body.clone()).await {
                Err(PostError::Transport(error))
                    if is_not_there_yet(&error)
                        && self.opened.count() == 0
                        && Instant::now() + pause < deadline =>
                {
                    tracing::debug!("not there yet: {}", agent_core::error_chain::error_chain(&error));
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    /// Closes the session's connections, and returns when that is done: TLS has said close_notify and TCP its FIN.
    pub async fn close(self) {
        drop(self.client);
        settle().await;
    }
}

/// Longest wait for connections to close. It takes a round trip of the runtime; this only ends what hangs.
const CLOSING_LIMIT: Duration = Duration::from_secs(2);

/// Waits until no task of the runtime is left: a connection is one, and ends when it is closed.
async fn settle() {
    let runtime = tokio::runtime::Handle::current();
    let limit = Instant::now() + CLOSING_LIMIT;
    while runtime.metrics().num_alive_tasks() > 0 && Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Whether the server's name, host or port is not there (yet). What goes wrong after TCP is connected, a certificate that
/// is not trusted above all, does not get better by waiting.
fn is_not_there_yet(error: &reqwest::Error) -> bool {
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
