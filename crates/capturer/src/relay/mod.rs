//! The vantage `relay`: a TCP relay between the agents that records what crosses it.
//!
//! It needs no privilege and runs everywhere. The frames are built, not seen: addresses are agent-a's and the relay's
//! own as agent-a sees them, times are when bytes were read, and every byte is in the file before it is sent on, so
//! nothing can cross unrecorded. What only a real wire knows (retransmissions, the true cut of segments, TTLs) is not
//! in them; the manifest says `vantage: relay`.

mod connection;
mod recorder;

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use experiment::Vantage;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

use self::recorder::Recorder;
use crate::cli::RelayArgs;
use crate::drain::Drain;
use crate::session::{Session, Start};

/// Connections carried at once, two descriptors and two read buffers each. Further ones wait in the listener's queue
/// until one of these ends.
const CONNECTIONS_MAX: usize = 256;

/// Pause after `accept` failed for want of something that only time brings back, such as descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Relays and records until it is told to stop.
pub(crate) fn run(args: &RelayArgs) -> anyhow::Result<()> {
    // One thread: what is recorded first has crossed first, without a lock.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    LocalSet::new().block_on(&runtime, serve(args))
}

async fn serve(args: &RelayArgs) -> anyhow::Result<()> {
    let mut stop = Stop::listen().context("listen for signals")?;
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("listen on {}", args.listen))?;
    let local = listener.local_addr().context("ask for the listening address")?;
    let session = Session::begin(
        &args.run,
        Start {
            backend: args.backend,
            vantage: Vantage::Relay,
            interface: None,
            link_type: craft::link_type::ETHERNET,
            filter: String::new(),
            port: args.run.port.filter(|&port| port != 0).unwrap_or(local.port()),
        },
    )?;
    session.ready(&json!({ "local": local.to_string() }))?;

    let recorder = Rc::new(Recorder::new(session));
    let mut connections = JoinSet::new();
    let mut ending: Option<Drain> = None;
    loop {
        let mut left = None;
        if let Some(ending) = &mut ending {
            ending.heard(recorder.last_heard());
            left = ending.left(Instant::now());
            if left.is_none() {
                break;
            }
        }
        tokio::select! {
            () = stop.told(), if ending.is_none() => {
                tracing::debug!("told to stop: relaying on until nothing crosses");
                ending = Some(Drain::begin(Instant::now(), args.run.quiet()));
            }
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((client, _)) => {
                    connections.spawn_local(carry(Rc::clone(&recorder), client, args.connect));
                }
                Err(error) => {
                    tracing::warn!("accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => ended.context("a connection's task")??,
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {}
        }
    }
    if ending.is_some_and(|ending| ending.cut_short(Instant::now())) {
        tracing::warn!("the relay never became quiet; the capture ends in the middle of traffic");
    }
    // What is still open has no end in the capture: the relay takes no part in it any more.
    connections.shutdown().await;
    let recorder = Rc::into_inner(recorder).context("a connection outlived its task")?;
    recorder.into_session().finish(None)
}

/// One connection from its first frame to its last. Fails only if it cannot be recorded.
async fn carry(
    recorder: Rc<Recorder>,
    client: TcpStream,
    server: std::net::SocketAddr,
) -> anyhow::Result<()> {
    let addresses = client.peer_addr().and_then(|peer| Ok((peer, client.local_addr()?)));
    let (from, to) = match addresses {
        Ok(addresses) => addresses,
        // Reset before it was accepted: nothing has crossed.
        Err(error) => {
            tracing::debug!("a connection was gone before it was accepted: {error}");
            return Ok(());
        }
    };
    connection::carry(&recorder, client, from, to, server).await
}

/// SIGTERM and SIGINT, or what the system has in their place.
struct Stop {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn told(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
