//! The listener, plain or TLS, and its end: on SIGTERM or SIGINT what is in flight is finished first.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use agent_core::tls::TlsError;
use axum::Router;
use axum::middleware::AddExtension;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::connection::{Ends, LabAcceptor, MAX_CONNECTIONS};

/// The configuration of a TLS server.
pub type ServerTls = rustls::ServerConfig;

/// A listening server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    read_timeout: Duration,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The certificate, the key or the versions are not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server broke down.
    #[error("the server broke down: {0}")]
    Serve(#[from] io::Error),
}

impl Server {
    /// Listens on `address`; from here on clients may connect. `read_timeout` is the time for a TLS handshake, for the
    /// head of a request, and for a client to take some of its answer.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn listen(address: SocketAddr, read_timeout: Duration) -> Result<Self, ServerError> {
        let listen = || -> io::Result<(TcpListener, SocketAddr)> {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let local = listener.local_addr()?;
            Ok((listener, local))
        };
        let (listener, local) = listen().map_err(|source| ServerError::Listen { address, source })?;
        Ok(Self { listener, local, read_timeout })
    }

    /// Where it listens.
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
        tls: Option<ServerTls>,
        handle: Handle<SocketAddr>,
    ) -> Result<(), ServerError> {
        let plain = LabAcceptor::new(MAX_CONNECTIONS, self.read_timeout);
        match tls {
            None => self.serve_on(routes, plain, handle).await,
            Some(tls) => {
                let encrypted = over_tls(plain, tls, self.read_timeout);
                self.serve_on(routes, encrypted, handle).await
            }
        }
    }

    async fn serve_on<A>(
        self,
        routes: Router,
        acceptor: A,
        handle: Handle<SocketAddr>,
    ) -> Result<(), ServerError>
    where
        A: Accept<TcpStream, Router, Service = AddExtension<Router, Ends>> + Clone + Send + Sync + 'static,
        A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
        A::Future: Send,
    {
        let mut server = axum_server::from_tcp(self.listener)?.acceptor(acceptor).http1_only().handle(handle);
        // The head of a request must be there in time; on a kept-alive connection the wait for it counts, too.
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(self.read_timeout);
        server.serve(routes.into_make_service()).await?;
        Ok(())
    }
}

fn over_tls(plain: LabAcceptor, tls: ServerTls, handshake_timeout: Duration) -> RustlsAcceptor<LabAcceptor> {
    let config = RustlsConfig::from_config(Arc::new(tls));
    RustlsAcceptor::new(config).handshake_timeout(handshake_timeout).acceptor(plain)
}

/// Ends `handle`'s server at the first SIGTERM or SIGINT, when what is in flight is done or `grace` is over, and at the
/// second one at once. To be called within a runtime; the signals are caught from the return on.
///
/// # Errors
/// When the signals cannot be caught.
pub fn stop_on_signal(handle: Handle<SocketAddr>, grace: Duration) -> io::Result<()> {
    let mut signals = Signals::catch()?;
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping: {} connections to finish", handle.connection_count());
        handle.graceful_shutdown(Some(grace));
        signals.next().await;
        handle.shutdown();
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
