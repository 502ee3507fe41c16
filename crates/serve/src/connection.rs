//! One TCP connection: with TCP_NODELAY, closed when the client stops reading, and watched for a client that hangs up.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use rustls::pki_types::CertificateDer;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::places::Progress;

/// Interval at which the server looks whether the client of a request in flight has hung up.
const LOOK_FOR_HANG_UP: Duration = Duration::from_millis(250);

/// The two ends of the TCP connection that carries a request.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionEnds {
    /// The address that the client connected to, also when the server listens on all addresses.
    pub local: SocketAddr,
    /// The client's address.
    pub remote: SocketAddr,
}

/// The certificate of the client, which the TLS configuration has verified. Part of each request of a connection whose client
/// has shown one.
#[derive(Clone, Debug)]
pub struct ClientCertificate(pub Arc<CertificateDer<'static>>);

/// An accepted connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Arc<TcpStream>,
    progress: Arc<Progress>,
    stall_limit: Duration,
    /// Runs while the client does not read.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// Sets `TCP_NODELAY` before the first byte is written (otherwise delayed acknowledgements add 40 ms to some answers,
    /// mostly over TLS). A write fails after `stall_limit` without progress.
    ///
    /// # Errors
    /// When the connection has ended already.
    pub(crate) fn new(stream: TcpStream, progress: Arc<Progress>, stall_limit: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream: Arc::new(stream), progress, stall_limit, stalled: None })
    }

    /// The addresses of both ends.
    ///
    /// # Errors
    /// When the connection has ended already.
    pub(crate) fn ends(&self) -> io::Result<ConnectionEnds> {
        Ok(ConnectionEnds { local: self.stream.local_addr()?, remote: self.stream.peer_addr()? })
    }

    /// Ends when the client has hung up while its request is being answered. hyper sees the end only if it follows the request
    /// at once: behind a byte of a next request it reads no further, so that the request's sandbox would go on for nobody.
    pub(crate) fn hang_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let (stream, progress) = (Arc::clone(&self.stream), Arc::clone(&self.progress));
        async move {
            loop {
                tokio::time::sleep(LOOK_FOR_HANG_UP).await;
                let ready = stream.ready(Interest::READABLE).now_or_never();
                if progress.is_answering()
                    && ready.is_some_and(|ready| ready.is_ok_and(Ready::is_read_closed))
                {
                    return;
                }
            }
        }
    }

    /// Returns a write's outcome, or an error once the connection has stalled for `stall_limit`.
    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.stalled.take().is_some() {
                self.progress.stalled(false);
            }
            return outcome;
        }
        if self.stalled.is_none() {
            self.progress.stalled(true);
        }
        let limit = self.stall_limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn write(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                outcome => return Poll::Ready(outcome.map(|read| buffer.advance(read))),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.write(context, |stream| stream.try_write(bytes));
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.write(context, |stream| stream.try_write_vectored(slices));
        self.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The kernel has no buffer that waits for more.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Places;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    fn accepted(server: TcpStream, stall_limit: Duration) -> Connection {
        let place = Places::new(1, 1).enter([127, 0, 0, 1].into()).unwrap();
        Connection::new(server, Arc::clone(place.progress()), stall_limit).unwrap()
    }

    // Regression: Nagle's algorithm delays answers by 40 ms. Checks the socket's option instead of times.
    #[tokio::test]
    async fn sets_tcp_nodelay_on_an_accepted_connection() {
        let (client, server) = pair().await;
        assert!(!server.nodelay().unwrap(), "the system sets it by default, so the test proves nothing");
        assert!(accepted(server, Duration::from_secs(1)).stream.nodelay().unwrap());
        drop(client);
    }

    #[tokio::test]
    async fn a_write_fails_when_the_client_does_not_read() {
        let (client, server) = pair().await;
        let mut connection = accepted(server, Duration::from_millis(50));
        let error = loop {
            if let Err(error) = connection.write_all(&[0; 1 << 16]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }

    #[tokio::test]
    async fn notices_a_hang_up_behind_unread_bytes_while_it_answers() {
        let (mut client, server) = pair().await;
        let connection = accepted(server, Duration::from_secs(1));
        client.write_all(b"G").await.unwrap();
        let hang_up = connection.hang_up();
        tokio::pin!(hang_up);
        connection.progress.answering();
        let still = tokio::time::timeout(4 * LOOK_FOR_HANG_UP, &mut hang_up).await;
        assert!(still.is_err(), "the client is there");
        drop(client);
        hang_up.await;
    }
}
