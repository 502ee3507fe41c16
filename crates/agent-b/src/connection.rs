//! One TCP connection: counted, without delay, its addresses known to what runs on it, and ended when the client no
//! longer takes what it is sent.

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

/// Most connections at one time. A run has at most a handful; each costs a file descriptor, of which a process
/// commonly has 1024, and up to one body. One more is closed as soon as it is accepted.
pub const MAX_CONNECTIONS: usize = 256;

/// The two ends of the TCP connection that carries a request.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// This side: the very address the client connected to, also when the server listens on all.
    pub local: SocketAddr,
    /// The client.
    pub remote: SocketAddr,
}

/// Takes a connection in: sets `TCP_NODELAY` before a byte is written (else a delayed acknowledgement of 40 ms falls into
/// some answers, mostly into TLS ones), counts it, and notes its ends.
#[derive(Clone, Debug)]
pub struct LabAcceptor {
    free: Arc<Semaphore>,
    stall_limit: Duration,
}

impl LabAcceptor {
    /// For at most `connections` at one time, each given up when nothing could be written for `stall_limit`.
    pub fn new(connections: usize, stall_limit: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(connections)), stall_limit }
    }

    fn admit<S>(&self, stream: TcpStream, service: S) -> io::Result<(Admitted, AddExtension<S, Ends>)> {
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            tracing::warn!("too many connections: one more is closed");
            io::Error::other("too many connections")
        })?;
        let (stream, service) = NoDelayAcceptor::new().accept(stream, service).into_inner()?;
        let ends = Ends { local: stream.local_addr()?, remote: stream.peer_addr()? };
        tracing::debug!("connection {} -> {}", ends.remote, ends.local);
        let admitted = Admitted { stream, stall_limit: self.stall_limit, stalled: None, _permit: permit };
        Ok((admitted, Extension(ends).layer(service)))
    }
}

impl<S> Accept<TcpStream, S> for LabAcceptor {
    type Stream = Admitted;
    type Service = AddExtension<S, Ends>;
    type Future = Ready<io::Result<(Admitted, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.admit(stream, service))
    }
}

/// A connection that was taken in; its place is free again when it is dropped.
#[derive(Debug)]
pub struct Admitted {
    stream: TcpStream,
    stall_limit: Duration,
    /// Runs while the client does not take what is sent.
    stalled: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Admitted {
    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Passes a write's outcome on, unless the connection has stalled for too long.
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

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Admitted {
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

    // Artefact 1 of the measurements, seen in the structure and not in times: the socket every request runs on.
    #[tokio::test]
    async fn a_connection_taken_in_is_without_delay() {
        let (client, server) = pair().await;
        assert!(!server.nodelay().unwrap(), "the system's default hides what is tested");
        let (admitted, _) = LabAcceptor::new(1, Duration::from_secs(1)).accept(server, ()).await.unwrap();
        assert!(admitted.socket().nodelay().unwrap());
        drop(client);
    }

    #[tokio::test]
    async fn one_too_many_is_closed_and_a_free_place_is_taken() {
        let acceptor = LabAcceptor::new(1, Duration::from_secs(1));
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
    async fn a_client_that_takes_nothing_is_given_up() {
        let (client, server) = pair().await;
        let (mut admitted, _) =
            LabAcceptor::new(1, Duration::from_millis(50)).accept(server, ()).await.unwrap();
        let error = loop {
            if let Err(error) = admitted.write_all(&[0; 1 << 16]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
