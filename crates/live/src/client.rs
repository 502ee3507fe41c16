//! One request on a connection of its own, over HTTP or HTTPS: the hop that is captured.
//!
//! Each request opens a connection and closes it, so that the frames of the connection are the frames of the exchange. The
//! connection's port is known before the first frame, by which the frames are recognised.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use agent_core::error_chain::error_chain;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Deadline of a connection, and of its TLS handshake.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Deadline of an answer: a request waits up to a minute in the gateway's queue, and its sandbox runs up to another.
const ANSWER_DEADLINE: Duration = Duration::from_secs(150);

/// Longest answer. The largest are whole conversations.
const MAX_ANSWER: usize = 32 << 20;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    /// Body of type `application/json`; `None` for a request without.
    pub(crate) body: Option<Bytes>,
    /// `X-User-Id`, if the server asks for one.
    pub(crate) user: Option<String>,
    /// Whether to ask for the answer as a stream of events.
    pub(crate) is_stream: bool,
}

/// The media type of a stream of events.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Whether it is a stream of events.
    pub(crate) fn is_stream(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(|content_type| content_type.starts_with(EVENT_STREAM))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("cannot connect to {server}: {why}")]
    Connect { server: String, why: String },
    #[error("no TLS with {server}: {why}")]
    Tls { server: String, why: String },
    #[error("the connection to {server} failed: {why}")]
    Broken { server: String, why: String },
    #[error("{server} did not answer within {} s", ANSWER_DEADLINE.as_secs())]
    TooSlow { server: String },
    #[error("the answer of {server} is longer than {} MiB", MAX_ANSWER >> 20)]
    TooLong { server: String },
}

/// A socket whose port is known, and that is not connected yet.
#[derive(Debug)]
pub(crate) struct Dialling {
    socket: TcpSocket,
    server: String,
    to: SocketAddr,
    port: u16,
}

impl Dialling {
    /// Prepares a connection to `server`, `HOST:PORT`.
    pub(crate) async fn to(server: &str) -> Result<Self, NoAnswer> {
        let failed = |why: String| NoAnswer::Connect { server: server.to_owned(), why };
        let to = lookup_host(server).await.map_err(|error| failed(error.to_string()))?.next();
        let to = to.ok_or_else(|| failed("the name has no address".to_owned()))?;
        let bind = || -> std::io::Result<(TcpSocket, u16)> {
            let (socket, any) = if to.is_ipv4() {
                (TcpSocket::new_v4()?, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
            } else {
                (TcpSocket::new_v6()?, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))
            };
            socket.bind(any)?;
            let port = socket.local_addr()?.port();
            Ok((socket, port))
        };
        let (socket, port) = bind().map_err(|error| failed(error.to_string()))?;
        Ok(Self { socket, server: server.to_owned(), to, port })
    }

    /// The port of this end of the connection.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of the other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.to
    }

    /// Connects, sends the request and reads the answer; over TLS with a configuration and a server name. Hands over each piece
    /// of a stream of events as it arrives.
    pub(crate) async fn send(
        self,
        tls: Option<(Arc<ClientConfig>, &str)>,
        request: Outgoing,
        each: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Answer, NoAnswer> {
        let Self { socket, server, to, .. } = self;
        let failed = |why: String| NoAnswer::Connect { server: server.clone(), why };
        let stream =
            timeout(CONNECT_DEADLINE, socket.connect(to)).await.map_err(|late| failed(late.to_string()))?;
        let stream = stream.map_err(|error| failed(error.to_string()))?;
        // Nagle's algorithm would delay the body behind the head.
        stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
        let host = tls.as_ref().map_or(server.as_str(), |(_, name)| name).to_owned();
        let request = request.into_http(&host);
        let exchange = async {
            match tls {
                None => exchange(&server, stream, request, each).await,
                Some((config, name)) => {
                    let encrypted = encrypt(&server, stream, config, name).await?;
                    exchange(&server, encrypted, request, each).await
                }
            }
        };
        let server = server.clone();
        timeout(ANSWER_DEADLINE, exchange).await.unwrap_or(Err(NoAnswer::TooSlow { server }))
    }
}

impl Outgoing {
    fn into_http(self, host: &str) -> Request<Full<Bytes>> {
        let Self { method, target, body, user, is_stream } = self;
        let mut request = Request::new(Full::new(body.clone().unwrap_or_default()));
        *request.method_mut() = method;
        // Targets are made here, of an id or of text in percent-encoding.
        *request.uri_mut() = target.parse().unwrap_or_default();
        let headers = request.headers_mut();
        let mut set = |name: header::HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(header::HOST, host);
        if body.is_some() {
            set(header::CONTENT_TYPE, agent_core::message::CONTENT_TYPE);
        }
        if let Some(user) = &user {
            set(header::HeaderName::from_static("x-user-id"), user);
        }
        if is_stream {
            set(header::ACCEPT, EVENT_STREAM);
        }
        set(header::CONNECTION, "close");
        request
    }
}

async fn encrypt(
    server: &str,
    stream: TcpStream,
    config: Arc<ClientConfig>,
    name: &str,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, NoAnswer> {
    let failed = |why: String| NoAnswer::Tls { server: server.to_owned(), why };
    let name = ServerName::try_from(name.to_owned()).map_err(|error| failed(error.to_string()))?;
    let handshake = timeout(CONNECT_DEADLINE, TlsConnector::from(config).connect(name, stream)).await;
    handshake.map_err(|late| failed(late.to_string()))?.map_err(|error| failed(error.to_string()))
}

async fn exchange(
    server: &str,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    each: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<Answer, NoAnswer> {
    let broken = |error: &(dyn std::error::Error + 'static)| NoAnswer::Broken {
        server: server.to_owned(),
        why: error_chain(error),
    };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        let mut body = Limited::new(body, MAX_ANSWER);
        let mut whole = BytesMut::new();
        let answer = Answer { status: head.status, headers: head.headers, body: Bytes::new() };
        let is_stream = answer.is_stream();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    NoAnswer::TooLong { server: server.to_owned() }
                } else {
                    broken(error.as_ref())
                }
            })?;
            let Some(piece) = frame.data_ref() else { continue };
            whole.extend_from_slice(piece);
            if is_stream {
                each(piece);
            }
        }
        Ok(Answer { body: whole.freeze(), ..answer })
    };
    // The connection does the work of both, and closes its socket when it ends.
    let (connection, answer) = tokio::join!(connection, answered);
    if let Err(error) = connection {
        tracing::debug!("the connection to {server} ended: {error}");
    }
    answer
}
