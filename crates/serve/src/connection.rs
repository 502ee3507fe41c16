//! One TCP connection: counted, with TCP_NODELAY, with its addresses passed to the routes, and closed when the client
//! stops reading.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::{Accept, NoDelayAcceptor};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tower_layer::Layer;

/// The two ends of the TCP connection that carries a request.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionEnds {
    /// The address that the client connected to, also when the server listens on all addresses.
    pub local: SocketAddr,
    /// The client's address.
    pub remote: SocketAddr,
}

/// Accepts a connection: sets `TCP_NODELAY` before the first byte is written (otherwise delayed acknowledgements add 40 ms
/// to some answers, mostly over TLS), counts the connection, and adds its [`ConnectionEnds`] to each request.
#[derive(Clone, Debug)]
pub struct LimitedAcceptor {
    free: Arc<Semaphore>,
    stall_limit: Duration,
}

impl LimitedAcceptor {
    /// Accepts at most `connections` at one time, and fails a connection's write after `stall_limit` without progress.
    pub fn new(connections: usize, stall_limit: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(connections)), stall_limit }
    }

    fn admit<S>(
        &self,
        stream: TcpStream,
        service: S,
    ) -> io::Result<(Connection, AddExtension<S, ConnectionEnds>)> {
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            tracing::warn!("too many connections: closing a new one");
            io::Error::other("too many connections")
        })?;
        let (stream, service) = NoDelayAcceptor::new().accept(stream, service).into_inner()?;
        let ends = ConnectionEnds { local: stream.local_addr()?, remote: stream.peer_addr()? };
        tracing::debug!("connection {} -> {}", ends.remote, ends.local);
        let connection = Connection { stream, stall_limit: self.stall_limit, stalled: None, _permit: permit };
        Ok((connection, Extension(ends).layer(service)))
    }
}

impl<S> Accept<TcpStream, S> for LimitedAcceptor {
    type Stream = Connection;
    type Service = AddExtension<S, ConnectionEnds>;
    type Future = Ready<io::Result<(Connection, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.admit(stream, service))
    }
}

/// An accepted connection, which is counted until it is dropped.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    stall_limit: Duration,
    /// Runs while the client does not read.
    stalled: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// The socket, for its options.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Returns a write's outcome, or an error once the connection has stalled for `stall_limit`.
    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let limit = self.stall_limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    // Regression: Nagle's algorithm delays answers by 40 ms. Checks the socket's option instead of times.
    #[tokio::test]
    async fn sets_tcp_nodelay_on_an_accepted_connection() {
        let (client, server) = pair().await;
        assert!(!server.nodelay().unwrap(), "the system sets it by default, so the test proves nothing");
        let (connection, _) =
            LimitedAcceptor::new(1, Duration::from_secs(1)).accept(server, ()).await.unwrap();
        assert!(connection.socket().nodelay().unwrap());
        drop(client);
    }

    #[tokio::test]
    async fn closes_a_connection_above_the_limit_and_accepts_one_after_another_ends() {
        let acceptor = LimitedAcceptor::new(1, Duration::from_secs(1));
        let (_one, server) = pair().await;
        let (first, _) = acceptor.accept(server, ()).await.unwrap();
        let (mut two, server) = pair().await;
        assert!(acceptor.accept(server, ()).await.is_err());
        assert_eq!(two.read(&mut [0]).await.unwrap(), 0);
        drop(first);
        let (_three, server) = pair().await;
        assert!(acceptor.accept(server, ()).await.is_ok());
    }

    #[tokio::test]
    async fn a_write_fails_when_the_client_does_not_read() {
        let (client, server) = pair().await;
        let (mut connection, _) =
            LimitedAcceptor::new(1, Duration::from_millis(50)).accept(server, ()).await.unwrap();
        let error = loop {
            if let Err(error) = connection.write_all(&[0; 1 << 16]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
