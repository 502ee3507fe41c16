//! The listener, plain or TLS: the same code path, and `TCP_NODELAY` on both. Connections are agent-b's
//! ([`agent_b::connection`]); there may be more of them, for requests wait here.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use agent_b::connection::{Ends, LabAcceptor};
use axum::Router;
use axum::middleware::AddExtension;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Most connections at one time, each a file descriptor, of which a process commonly has 1024; the rest is for boxes and
/// the store. One more is closed as soon as it is accepted. More than may run and wait, so that the others can be told
/// so with 429.
pub const MAX_CONNECTIONS: usize = 640;

/// A listening server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    read_timeout: Duration,
}

impl Server {
    /// Listens on `address`; from here on clients may connect. `read_timeout` is the time for a TLS handshake, for the
    /// head of a request, and for a client to take some of its answer.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn listen(address: SocketAddr, read_timeout: Duration) -> io::Result<Self> {
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let local = listener.local_addr()?;
            Ok(Self { listener, local, read_timeout })
        };
        listen().map_err(|error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })
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
        tls: Option<rustls::ServerConfig>,
        handle: Handle<SocketAddr>,
    ) -> io::Result<()> {
        let plain = LabAcceptor::new(MAX_CONNECTIONS, self.read_timeout);
        match tls {
            None => self.serve_on(routes, plain, handle).await,
            Some(tls) => {
                let config = RustlsConfig::from_config(Arc::new(tls));
                let encrypted =
                    RustlsAcceptor::new(config).handshake_timeout(self.read_timeout).acceptor(plain);
                self.serve_on(routes, encrypted, handle).await
            }
        }
    }

    async fn serve_on<A>(self, routes: Router, acceptor: A, handle: Handle<SocketAddr>) -> io::Result<()>
    where
        A: Accept<TcpStream, Router, Service = AddExtension<Router, Ends>> + Clone + Send + Sync + 'static,
        A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
        A::Future: Send,
    {
        let mut server = axum_server::from_tcp(self.listener)?.acceptor(acceptor).http1_only().handle(handle);
        // The head of a request must be there in time; on a kept-alive connection the wait for it counts, too.
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(self.read_timeout);
        server.serve(routes.into_make_service()).await
    }
}
