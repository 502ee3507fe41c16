//! Carrying one connection: record first, then send on.
//!
//! ```text
//! agent-a ── client socket ── relay ── server socket ── agent-b
//!            the frames tell              invisible
//!            this connection
//! ```
//! Each direction ends on its own (a FIN one way is a shutdown the other way); a reset of one socket is recorded as
//! that side's RST and passed on as a reset of the other.

use std::net::SocketAddr;
use std::time::Duration;

use craft::conversation::Side;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::recorder::{Recorded, Recorder};

/// How long agent-b may take to accept. It is on this host; longer than this is never.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is read, recorded and sent on at a time: the largest message of the experiment in one piece.
const READ_BYTES: usize = 64 * 1024;

/// Why a connection ended before both sides had finished.
enum Torn {
    /// That side reset it.
    By(Side),
    /// It cannot be recorded, so it must not go on.
    Unrecorded(anyhow::Error),
}

impl From<anyhow::Error> for Torn {
    fn from(error: anyhow::Error) -> Self {
        Self::Unrecorded(error)
    }
}

/// Carries `client`, which came from `from` to our address `to`, to agent-b at `connect`.
pub(super) async fn carry(
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
            tracing::warn!("{}: agent-b at {connect} cannot be reached: {why}", recorded.name());
            recorded.reset(Side::Server)?;
            abort(client);
            return Ok(());
        }
    };
    // Held-back segments would show in the timing as 40 ms that neither agent caused.
    for socket in [&client, &server] {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!("{}: no TCP_NODELAY: {error}", recorded.name());
        }
    }

    let ended = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        tokio::try_join!(
            pass_on(&recorded, Side::Client, client_read, server_write),
            pass_on(&recorded, Side::Server, server_read, client_write),
        )
    };
    match ended {
        Ok(((), ())) => Ok(()),
        Err(Torn::Unrecorded(error)) => {
            abort(client);
            abort(server);
            Err(error)
        }
        Err(Torn::By(side)) => {
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

/// One direction, until `side` has nothing more to send.
async fn pass_on(
    recorded: &Recorded<'_>,
    side: Side,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
) -> Result<(), Torn> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) => {
                recorded.close(side)?;
                // Fails if the other side is gone already, and then the other direction has seen or will see it.
                let _ = to.shutdown().await;
                return Ok(());
            }
            Ok(len) => {
                recorded.send(side, &buffer[..len])?;
                to.write_all(&buffer[..len]).await.map_err(|_| Torn::By(side.other()))?;
            }
            Err(_) => return Err(Torn::By(side)),
        }
    }
}

/// Closes with RST instead of FIN.
fn abort(socket: TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::debug!("a reset could not be passed on: {error}");
    }
    drop(socket);
}
