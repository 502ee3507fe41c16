//! The vantage `relay`: a TCP relay between the agents that records what passes through it.
//!
//! It needs no privilege and runs on any system. It builds the frames: the addresses are agent-a's and the relay's as agent-a
//! sees them, the times are those of the reads, and every byte is in the file before it is sent on, so no byte passes
//! unrecorded. Retransmissions, the sizes of real segments and TTLs are not in the frames; the manifest states
//! `vantage: relay`.

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

/// Maximum number of connections at a time, with two descriptors and two read buffers each. Further ones wait in the
/// listener's queue.
const CONNECTIONS_MAX: usize = 256;

/// Pause after `accept` failed for lack of a resource, such as descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Relays and records until a stop signal.
pub(crate) fn run(args: &RelayArgs) -> anyhow::Result<()> {
    // On one thread, bytes are recorded in the order in which they pass, without a lock.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    LocalSet::new().block_on(&runtime, serve(args))
}

async fn serve(args: &RelayArgs) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen().context("cannot listen for signals")?;
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let local = listener.local_addr().context("cannot read the listening address")?;
    let session = Session::begin(
        &args.run,
        Start {
            backend: Some(args.backend),
            vantage: Vantage::Relay,
            interface: None,
            link_type: craft::link_type::ETHERNET,
            filter: String::new(),
            port: args.run.port.filter(|&port| port != 0).unwrap_or(local.port()),
        },
    )?;
    session.ready(&json!({ "local": local.to_string() }))?;

    let recorder = Rc::new(Recorder::new(session));
    let drained = relay_until_drained(args, &listener, &mut stop, &recorder).await?;
    let recorder = Rc::into_inner(recorder).context("a connection outlived its task")?;
    recorder.into_session().finish(None, drained)
}

/// Accepts and relays connections until a stop signal, and then until no bytes pass for a while. Returns whether silence ended
/// it.
async fn relay_until_drained(
    args: &RelayArgs,
    listener: &TcpListener,
    stop: &mut StopSignal,
    recorder: &Rc<Recorder>,
) -> anyhow::Result<bool> {
    let mut connections = JoinSet::new();
    let mut draining: Option<Drain> = None;
    loop {
        let mut left = None;
        if let Some(drain) = &mut draining {
            drain.frame_arrived(recorder.last_frame_at());
            left = drain.left(Instant::now());
            if left.is_none() {
                break;
            }
        }
        tokio::select! {
            () = stop.received(), if draining.is_none() => {
                tracing::debug!("stop signal: relaying until no bytes pass");
                draining = Some(Drain::begin(Instant::now(), args.run.quiet()));
            }
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((client, _)) => {
                    connections.spawn_local(relay(Rc::clone(recorder), client, args.connect));
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => ended.context("the task of a connection panicked")??,
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {}
        }
    }
    let cut_short = draining.is_some_and(|drain| drain.cut_short(Instant::now()));
    if cut_short {
        tracing::warn!("bytes still pass at the end of the drain; the capture ends in the middle of traffic");
    }
    // Connections that are still open have no end in the capture.
    connections.shutdown().await;
    Ok(!cut_short)
}

/// Relays one connection. Fails only if it cannot be recorded.
async fn relay(
    recorder: Rc<Recorder>,
    client: TcpStream,
    server: std::net::SocketAddr,
) -> anyhow::Result<()> {
    let addresses = client.peer_addr().and_then(|peer| Ok((peer, client.local_addr()?)));
    let (from, to) = match addresses {
        Ok(addresses) => addresses,
        // Reset before it was accepted: no bytes have passed.
        Err(error) => {
            tracing::debug!("a connection was reset before it was accepted: {error}");
            return Ok(());
        }
    };
    connection::relay(&recorder, client, from, to, server).await
}

/// SIGTERM and SIGINT; on other systems than Unix, Ctrl-C.
struct StopSignal {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignal {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    async fn received(&mut self) {
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
    async fn received(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
