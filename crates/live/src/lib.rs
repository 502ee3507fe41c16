//! `live`: serves a page that shows a conversation on the left, its packets on the right, and the verdict as it grows.
//!
//! ```text
//! browser ── 127.0.0.1 ── live ── the hop that is captured ── gateway, agent-b
//!                          │ what was said, as a journal       │ frames
//!                          └────────────> analyze <────────────┘
//! ```
//! The page shows what the API answers and what the analyzer finds in captured frames, and nothing that it knows from sending.
//! The one thing that both sides share is the text of the messages, in a journal.
#![forbid(unsafe_code)]

mod boxes;
mod cli;
mod client;
mod error;
mod event_lines;
mod events;
mod exchanges;
mod guard;
mod opened;
mod page;
mod programs;
mod routes;
mod state;
mod trial;
mod wait;
mod wire;

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_core::tls::{self, TlsVersions};
use anyhow::{Context, Result, ensure};
use experiment::demo::{self, Setup};
use serve::{ConnectionLimits, Handle, Server};

use crate::boxes::Boxes;
pub use crate::cli::Cli;
use crate::events::Events;
use crate::exchanges::{Exchanges, open_records};
use crate::guard::Guard;
use crate::opened::Captures;
use crate::routes::router;
use crate::state::{Demo, Page};
use crate::trial::Trials;
use crate::wire::Wires;

/// Interval at which the setup is read again: `lab demo` notes in it what has ended.
const SETUP_INTERVAL: Duration = Duration::from_secs(1);

/// How long open connections may go on after a signal. Event streams never end by themselves.
const GRACE: Duration = Duration::from_millis(300);

/// A browser opens six connections to a server, some of them for as long as the page is open. The deadline is the one for the
/// head of a request and for the browser to read a part of an answer; on a kept-alive connection the wait for the next request
/// counts too.
const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 256,
    per_address: 256,
    read_timeout: Duration::from_secs(30),
    send_buffer: None,
};

/// Does what the command line asks for.
#[must_use]
pub fn main(cli: &Cli) -> ExitCode {
    agent_core::logging::init(cli.verbose, false);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "live: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let listener = if cli.listener_is_stdin { inherited()? } else { demo::listen(cli.listen)? };
    let server = Server::on(listener, LIMITS).context("this is not a listening socket")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(serve(cli, server))?;
    // Threads that read captures have nothing to finish.
    runtime.shutdown_background();
    Ok(())
}

async fn serve(cli: &Cli, server: Server) -> Result<()> {
    let local = server.local();
    let setup = match &cli.demo {
        Some(path) => {
            wait::for_file(path, "`lab demo`", wait::PATIENCE).await?;
            let setup = read_setup(path)?;
            wait::for_all_of(&setup, wait::PATIENCE).await?;
            Some(setup)
        }
        None => None,
    };
    let token = setup.as_ref().and_then(|setup| setup.token.clone());
    let guard = Arc::new(Guard::new(local, token).context("cannot draw a token")?);
    let events = Events::new();
    let folder = setup.as_ref().map(|setup| setup.folder.as_path());
    let captures = Captures::new(&cli.captures, folder, events.clone())?;
    let demo = setup.map(|setup| join(setup, &events)).transpose()?;
    let page = Arc::new(Page { guard: Arc::clone(&guard), events, captures, demo });
    if let Some(path) = &cli.demo {
        tokio::spawn(watch_setup(Arc::clone(&page), path.clone()));
    }
    if !cli.listener_is_stdin {
        writeln!(io::stdout(), "{}", guard.url()).context("cannot write to stdout")?;
    }
    if let Some(path) = &cli.ready_file {
        let ready = serde_json::json!({"local": local.to_string()}).to_string();
        experiment::files::write_private(path, ready.as_bytes())?;
    }
    if cli.open {
        let url = guard.url();
        if let Err(error) = demo::open_browser(&url) {
            tracing::warn!("{error}");
        }
    }
    let handle = Handle::new();
    serve::signal::stop_on_signal(handle.clone(), GRACE).context("cannot catch signals")?;
    let served = server.serve(router(Arc::clone(&page)), None, handle).await;
    if let Some(demo) = &page.demo {
        demo.trials.stop().await;
    }
    page.captures.remove_uploads();
    served.context("the page's server failed")
}

/// The listening socket that `lab demo` opened in the network of the caller's browser.
fn inherited() -> Result<TcpListener> {
    use std::os::fd::AsFd as _;
    let socket = io::stdin().as_fd().try_clone_to_owned().context("stdin is closed")?;
    Ok(TcpListener::from(socket))
}

fn read_setup(path: &Path) -> Result<Setup> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let setup: Setup =
        serde_json::from_slice(&text).with_context(|| format!("{} is no setup of a demo", path.display()))?;
    ensure!(setup.schema == demo::SCHEMA, "{} is not {}", path.display(), demo::SCHEMA);
    Ok(setup)
}

/// Begins to read what the demo records.
fn join(setup: Setup, events: &Events) -> Result<Demo> {
    let folder = setup.folder.clone();
    let wires = Wires::new(setup.host_captures.clone());
    // A name can have several addresses.
    let addresses =
        setup.services.iter().filter_map(|service| service.address.as_ref()?.to_socket_addrs().ok());
    let servers: Arc<[SocketAddr]> = addresses.flatten().collect();
    for capture in &setup.captures {
        wires.add(&capture.name, &capture.path, Arc::clone(&servers));
    }
    let (journal, key_log) = open_records(&folder)?;
    let tls = tls::client_config(&setup.ca, &TlsVersions::default(), None);
    let tls = tls.inspect_err(|error| tracing::warn!("no TLS: {error}")).ok();
    let exchanges = Exchanges::new(events.clone(), wires.clone(), journal, tls, key_log);
    let boxes = Arc::new(Boxes::default());
    if let Some(journal) = setup.boxes.clone() {
        let (boxes, wires, events) = (Arc::clone(&boxes), wires.clone(), events.clone());
        std::thread::Builder::new()
            .name("boxes".to_owned())
            .spawn(move || boxes.follow(&journal, &wires, &events))
            .context("cannot start a thread")?;
    }
    let trials = Trials::new(folder.join("experiment"), setup.certs.clone(), events.clone());
    let call = agent_a::script::scripted(0)?.body;
    Ok(Demo { setup: Mutex::new(setup), exchanges, wires, boxes, trials, call, folder })
}

/// Reads the setup again and again, and reports what changed.
async fn watch_setup(page: Arc<Page>, path: std::path::PathBuf) {
    loop {
        tokio::time::sleep(SETUP_INTERVAL).await;
        let Some(demo) = &page.demo else { return };
        // Between two versions of the file there is always one of them.
        let Ok(new) = read_setup(&path) else { continue };
        let changed = {
            let mut known = demo.setup.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = *known != new;
            *known = new;
            changed
        };
        if changed {
            let setup = demo.setup.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let running: Vec<&str> = setup.captures.iter().map(|capture| capture.name.as_str()).collect();
            demo.wires.only(&running);
            page.events.send("state", &page.state());
        }
    }
}
