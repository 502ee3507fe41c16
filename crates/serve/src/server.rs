//! The listener, plain or TLS: both take the same code path, so that only the encryption differs.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::AddExtension;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::connection::{ConnectionEnds, LimitedAcceptor};

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
    /// Maximum number of connections at one time. The server closes any further one as soon as it accepts it.
    pub connections: usize,
    /// Time limit for a TLS handshake, for the head of a request, and for a client to read a part of its answer.
    pub read_timeout: Duration,
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
        let listen = || -> io::Result<(TcpListener, SocketAddr)> {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let local = listener.local_addr()?;
            Ok((listener, local))
        };
        let (listener, local) = listen().map_err(|source| ServerError::Listen { address, source })?;
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
        handle: Handle<SocketAddr>,
    ) -> Result<(), ServerError> {
        let ConnectionLimits { connections, read_timeout } = self.limits;
        let plain = LimitedAcceptor::new(connections, read_timeout);
        match tls {
            None => self.serve_on(routes, plain, handle).await,
            Some(tls) => {
                let config = RustlsConfig::from_config(Arc::new(tls));
                let encrypted = RustlsAcceptor::new(config).handshake_timeout(read_timeout).acceptor(plain);
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
        A: Accept<TcpStream, Router, Service = AddExtension<Router, ConnectionEnds>>
            + Clone
            + Send
            + Sync
            + 'static,
        A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
        A::Future: Send,
    {
        let mut server = axum_server::from_tcp(self.listener)?.acceptor(acceptor).http1_only().handle(handle);
        // Bounds the time for the head of a request; on a kept-alive connection the wait for the next request counts too.
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(self.limits.read_timeout);
        server.serve(routes.into_make_service()).await?;
        Ok(())
    }
}
