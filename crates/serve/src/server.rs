//! The listener, plain or TLS: both take the same code path, so that only the encryption differs.
//!
//! ```text
//!  accept ── a place ──> connection ── [TLS] ── framing ── hyper ── routes
//! ```

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::connection::{ClientCertificate, Connection, ConnectionEnds};
use crate::exchange::{Arriving, Leaving};
use crate::framing::Checked;
use crate::handle::{Handle, Stop};
use crate::places::{Full, Place, Places, Progress};
use crate::throttle::Throttle;

/// Most bytes that hyper reads ahead of a connection: also the longest head of a request.
pub const MAX_HEAD: usize = 64 * 1024;

/// Pause after an error of the listener. The usual one is that the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Interval of the log lines about connections, one of each kind.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A listening server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    limits: ConnectionLimits,
}

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Most connections at one time. A further one displaces one that waits for its client, or is closed at once.
    pub connections: usize,
    /// Most of them from one address.
    pub per_address: usize,
    /// Time limit for a TLS handshake, for the head of a request, and for a client to read a part of its answer.
    pub read_timeout: Duration,
    /// Bytes that the kernel keeps of what a client has not read yet (`SO_SNDBUF`, which Linux doubles). Without a value the
    /// kernel chooses, up to some megabytes a connection.
    pub send_buffer: Option<usize>,
}

/// Reason why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Serve(#[from] io::Error),
}

impl Server {
    /// Listens on `address`. Clients can connect once this function returns.
    ///
    /// # Errors
    /// When the server cannot listen on the address.
    pub fn listen(address: SocketAddr, limits: ConnectionLimits) -> Result<Self, ServerError> {
        let listen = || -> io::Result<Self> { Self::on(TcpListener::bind(address)?, limits) };
        listen().map_err(|source| ServerError::Listen { address, source })
    }

    /// Serves on a socket that listens already.
    ///
    /// # Errors
    /// When its options cannot be set.
    pub fn on(listener: TcpListener, limits: ConnectionLimits) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        if let Some(bytes) = limits.send_buffer {
            // Accepted connections inherit it (tcp(7)).
            SockRef::from(&listener).set_send_buffer_size(bytes)?;
        }
        let local = listener.local_addr()?;
        Ok(Self { listener, local, limits })
    }

    /// The listening address, with the port that the system chose for port 0.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Serves `routes` until `handle` ends it; over TLS when `tls` is given.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        routes: Router,
        tls: Option<ServerConfig>,
        handle: Handle,
    ) -> Result<(), ServerError> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let mut gate = Gate::new(self.limits);
        let tls = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        let mut stopping = handle.stopping();
        let mut connections = JoinSet::new();
        while *stopping.borrow() == Stop::No {
            tokio::select! {
                accepted = listener.accept() => {
                    let Some((stream, place)) = gate.admit(accepted).await else { continue };
                    let limit = self.limits.read_timeout;
                    let (routes, tls, handle) = (routes.clone(), tls.clone(), handle.clone());
                    connections.spawn(async move {
                        let _counted = handle.count();
                        if let Err(error) = converse(stream, place, limit, routes, tls, &handle).await {
                            tracing::debug!("a connection ended: {error}");
                        }
                    });
                }
                // Only a request to stop changes the value; an error means the same.
                _ = stopping.changed() => (),
                Some(_) = connections.join_next() => (),
            }
        }
        drop(listener);
        while !connections.is_empty() {
            let deadline = match *stopping.borrow_and_update() {
                Stop::By(deadline) => deadline,
                Stop::No => tokio::time::Instant::now(),
            };
            tokio::select! {
                _ = connections.join_next() => (),
                () = sleep_until(deadline) => break,
                _ = stopping.changed() => (),
            }
        }
        // Dropping the set ends what is left.
        Ok(())
    }
}

/// Decides which connections get a place, and logs what it refuses.
struct Gate {
    places: Places,
    limits: ConnectionLimits,
    refusals: Throttle,
    displacements: Throttle,
    errors: Throttle,
}

impl Gate {
    fn new(limits: ConnectionLimits) -> Self {
        let throttle = || Throttle::new(1, LOG_INTERVAL);
        Self {
            places: Places::new(limits.connections, limits.per_address),
            limits,
            refusals: throttle(),
            displacements: throttle(),
            errors: throttle(),
        }
    }

    async fn admit(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<(TcpStream, Place)> {
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            // The connection ended before it was accepted (accept(2)).
            Err(error) if is_of_one_connection(&error) => return None,
            Err(error) => {
                if let Some(left_out) = self.errors.pass() {
                    tracing::error!(left_out, "cannot accept connections: {error}");
                }
                sleep(ACCEPT_PAUSE).await;
                return None;
            }
        };
        match self.places.enter(remote.ip()) {
            Ok(place) => {
                if place.displaced_another
                    && let Some(left_out) = self.displacements.pass()
                {
                    tracing::warn!(left_out, from = %remote.ip(), "many connections: one that waited for its client gave way");
                }
                Some((stream, place))
            }
            Err(full) => {
                if let Some(left_out) = self.refusals.pass() {
                    let ConnectionLimits { connections, per_address, .. } = self.limits;
                    let limit = match full {
                        Full::Address => format!("{per_address} of one address"),
                        Full::Total => format!("{connections}"),
                    };
                    tracing::warn!(left_out, from = %remote.ip(), "too many connections ({limit}): closing a new one");
                }
                None
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Answers the requests of one connection.
async fn converse(
    stream: TcpStream,
    place: Place,
    limit: Duration,
    routes: Router,
    tls: Option<TlsAcceptor>,
    handle: &Handle,
) -> io::Result<()> {
    let progress = place.progress();
    let connection = Connection::new(stream, Arc::clone(progress), limit)?;
    let ends = connection.ends()?;
    tracing::debug!("connection {} -> {}", ends.remote, ends.local);
    let hang_up = connection.hang_up();
    let conversation = async {
        match tls {
            None => requests(connection, progress, limit, routes, (ends, None), handle).await,
            Some(tls) => {
                let stream = timeout(limit, tls.accept(connection)).await??;
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate =
                    certificate.map(|leaf| ClientCertificate(Arc::new(leaf.clone().into_owned())));
                requests(stream, progress, limit, routes, (ends, certificate), handle).await
            }
        }
    };
    tokio::select! {
        biased;
        ended = conversation => ended,
        () = progress.displaced() => Err(io::Error::other("its place went to another connection")),
        () = hang_up => Err(io::Error::other("the client hung up")),
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    progress: &Arc<Progress>,
    limit: Duration,
    routes: Router,
    (ends, certificate): (ConnectionEnds, Option<ClientCertificate>),
    handle: &Handle,
) -> io::Result<()> {
    let answer = |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Arriving::new(body, Arc::clone(progress))));
        request.extensions_mut().insert(ends);
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        // A router is always ready.
        let answering = routes.clone().call(request);
        let progress = Arc::clone(progress);
        async move {
            let response: Result<Response, Infallible> = answering.await;
            response.map(|response| response.map(|body| Leaving::new(body, progress)))
        }
    };
    let mut http = http1::Builder::new();
    // Bounds the time for the head of a request; on a kept-alive connection the wait for the next request counts too.
    http.timer(TokioTimer::new()).header_read_timeout(limit).max_buf_size(MAX_HEAD);
    let mut conversation =
        pin!(http.serve_connection(TokioIo::new(Checked::new(stream)), service_fn(answer)));
    let mut stopping = handle.stopping();
    let stop = async { drop(stopping.wait_for(|stop| *stop != Stop::No).await) };
    let ended = tokio::select! {
        ended = conversation.as_mut() => Some(ended),
        () = stop => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    ended.map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
