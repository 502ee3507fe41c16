//! One relayed connection: bytes are recorded first, then sent on.
//!
//! ```text
//! agent-a ── client socket ── relay ── server socket ── agent-b
//!            in the capture               not in the capture
//! ```
//! Each direction ends on its own: a FIN on one socket becomes a FIN on the other. A reset of one socket is recorded as an
//! RST of that side and becomes a reset of the other.

use std::net::SocketAddr;
use std::time::Duration;

use craft::conversation::Side;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::recorder::{RecordedConnection, Recorder};

/// Deadline for the connection to agent-b, which is on this host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of bytes read, recorded and sent on at a time: the largest message of the experiment.
const READ_BYTES: usize = 64 * 1024;

/// Why a connection ended before both sides closed it.
enum Aborted {
    /// The side reset the connection.
    By(Side),
    /// The connection cannot be recorded, so it must end.
    Unrecorded(anyhow::Error),
}

impl From<anyhow::Error> for Aborted {
    fn from(error: anyhow::Error) -> Self {
        Self::Unrecorded(error)
    }
}

/// Relays `client`, a connection from `from` to the relay's address `to`, to agent-b at `connect`.
pub(super) async fn relay(
    recorder: &Recorder,
    mut client: TcpStream,
    from: SocketAddr,
    to: SocketAddr,
    connect: SocketAddr,
) -> anyhow::Result<()> {
    let recorded = recorder.open(from, to)?;
    let mut server = match timeout(CONNECT_TIMEOUT, TcpStream::connect(connect)).await {
        Ok(Ok(server)) => server,
        refused => {
            let why = refused.map_or_else(
                |late| late.to_string(),
                |r| r.err().map_or_else(String::new, |e| e.to_string()),
            );
            tracing::warn!("{}: cannot connect to agent-b at {connect}: {why}", recorded.name());
            recorded.reset(Side::Server)?;
            abort(client);
            return Ok(());
        }
    };
    // Nagle's algorithm would add delays of 40 ms that neither agent caused.
    for socket in [&client, &server] {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!("{}: cannot set TCP_NODELAY: {error}", recorded.name());
        }
    }

    let ended = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        tokio::try_join!(
            relay_direction(&recorded, Side::Client, client_read, server_write),
            relay_direction(&recorded, Side::Server, server_read, client_write),
        )
    };
    match ended {
        Ok(((), ())) => Ok(()),
        Err(Aborted::Unrecorded(error)) => {
            abort(client);
            abort(server);
            Err(error)
        }
        Err(Aborted::By(side)) => {
            tracing::debug!("{}: reset by the {side:?}", recorded.name());
            recorded.reset(side)?;
            abort(match side {
                Side::Client => server,
                Side::Server => client,
            });
            Ok(())
        }
    }
}

/// Relays one direction until `side` closes it.
async fn relay_direction(
    recorded: &RecordedConnection<'_>,
    side: Side,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
) -> Result<(), Aborted> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) => {
                recorded.close(side)?;
                // Fails if the other side has closed its socket, which the other direction handles.
                let _ = to.shutdown().await;
                return Ok(());
            }
            Ok(len) => {
                recorded.send(side, &buffer[..len])?;
                to.write_all(&buffer[..len]).await.map_err(|_| Aborted::By(side.other()))?;
            }
            Err(_) => return Err(Aborted::By(side)),
        }
    }
}

/// Closes the socket with RST instead of FIN.
fn abort(socket: TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::debug!("cannot reset a connection: {error}");
    }
    drop(socket);
}
