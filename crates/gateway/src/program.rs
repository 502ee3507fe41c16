//! Starts the gateway that the command line describes.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::audit::Audit;
use crate::auth::{Auth, AuthMode};
use crate::boxes::Boxes;
use crate::cli::{Cli, Command, MAX_CONNECTIONS, Runner, SEND_BUFFER, Serve, TokenAction};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::rate::Rate;
use crate::ready::Probe;
use crate::routes::{Service, router};
use crate::running::Running;
use crate::store::{self, Store};
use crate::tokens::{self, Tokens};
use crate::user::UserId;
use crate::workspace::Workspaces;
use crate::{certificate, logging, retention};
use agent_core::error_chain::error_chain;
use agent_core::{key_log, key_log::FileKeyLog, tls};
use anyhow::{Context, Result, ensure};
use sandbox::{Command as Program, Options, Sandbox};
use serve::origin::Hosts;
use serve::signal::stop_on_signal;
use serve::{ConnectionLimits, Handle, Server, ServerConfig, healthcheck, ready_file};

/// Bad flags, settings or files.
const EXIT_USAGE: u8 = 2;

/// The gateway cannot listen, or it failed.
const EXIT_BROKEN: u8 = 1;

/// Does what the command line asks for. The program that calls it must have called [`sandbox::enter_if_asked`] before it started a
/// thread, because it is also the helper that makes a sandbox.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    logging::init(cli.serve.log_format, cli.serve.verbose, cli.serve.quiet);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(EXIT_BROKEN, &format!("cannot start: {error}")),
    };
    let outcome = match cli.command {
        Some(Command::Healthcheck { url, ca }) => {
            runtime.block_on(healthcheck::run(&url, &ca)).map_err(|error| (EXIT_BROKEN, error))
        }
        Some(Command::Token { action, name, tokens }) => {
            token(action, name.as_ref(), &tokens).map_err(|error| (EXIT_BROKEN, error))
        }
        None => runtime.block_on(run(&cli.serve)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, error)) => failed(status, &error_chain(error.as_ref())),
    }
}

fn failed(status: u8, why: &str) -> ExitCode {
    eprintln!("gateway: {why}");
    ExitCode::from(status)
}

/// Makes, lists or revokes tokens.
fn token(action: TokenAction, name: Option<&UserId>, file: &Path) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match (action, name) {
        (TokenAction::Add, Some(name)) => {
            writeln!(out, "{}", tokens::add(file, name)?)?;
            eprintln!("gateway: this is the only copy of a token of {name}; {} has its hash", file.display());
        }
        (TokenAction::Revoke, Some(name)) => {
            let revoked = tokens::revoke(file, name)?;
            ensure!(revoked > 0, "{name} has no token in {}", file.display());
            writeln!(out, "{revoked}")?;
        }
        (_, name) => {
            let is_asked = |user: &str| name.is_none_or(|name| name.as_str() == user);
            for token in tokens::list(file)?.iter().filter(|token| is_asked(&token.user)) {
                let hash = token.sha256.get(..8).unwrap_or_default();
                writeln!(out, "{} {} {hash}", token.user, token.created_at)?;
            }
        }
    }
    Ok(())
}

async fn run(flags: &Serve) -> Result<(), (u8, anyhow::Error)> {
    let (service, tls) = prepare(flags).await.map_err(|error| (EXIT_USAGE, error))?;
    serve(flags, service, tls).await.map_err(|error| (serve::exit_status(error.as_ref()), error))
}

/// Opens and checks the files and programs that the flags name.
async fn prepare(flags: &Serve) -> Result<(Service, Option<ServerConfig>)> {
    flags.check_auth()?;
    let users = &flags.users;
    let mut hosts = Hosts::own();
    users.allow_host.iter().for_each(|name| hosts.allow_host(name));
    users.allow_origin.iter().for_each(|origin| hosts.allow_origin(origin));
    let tls = match flags.certificate()? {
        Some((cert, key)) => {
            certificate::names(cert)?.iter().for_each(|name| hosts.allow_host(name));
            let key_log = FileKeyLog::from_env().context(key_log::VARIABLE)?;
            let versions = &flags.tls_versions;
            Some(match (users.auth, &users.client_ca) {
                (AuthMode::Mtls, Some(ca)) => {
                    tls::server_config_asking_clients(cert, key, versions, key_log, ca)?
                }
                _ => tls::server_config(cert, key, versions, key_log)?,
            })
        }
        None => None,
    };
    let auth = match users.auth {
        AuthMode::Header => Auth::Header,
        AuthMode::Token => Auth::Token(Arc::new(Tokens::open(&users.tokens)?)),
        AuthMode::Mtls => Auth::Mtls,
    };
    let audit = match &flags.audit_log {
        Some(path) => Audit::append_to(path).context("the audit log")?,
        None => Audit::default(),
    };
    let metrics = Arc::new(Metrics::default());
    let program = flags.runner.program()?;
    // The store first: its lock makes this gateway the only one, so that leftover sandboxes are not another gateway's.
    let store = open_store(&flags.store).await?;
    let sandbox = open_sandbox(&flags.runner, &program).await?;
    let journal = match &flags.journal {
        Some(path) => {
            let journal = Journal::create(path, flags.run_id.clone());
            Some(Arc::new(
                journal.with_context(|| format!("the journal of the sandboxes {}", path.display()))?,
            ))
        }
        None => None,
    };
    let workspaces = match flags.runner.workspaces()? {
        Some((folder, bytes)) => {
            let workspaces = Workspaces::open(folder, bytes).context("the folder of the workspaces")?;
            workspaces.sweep_and_log(&*store).await;
            Some(Arc::new(workspaces))
        }
        None => None,
    };
    let boxes = Boxes {
        sandbox,
        command: program,
        limits: flags.limits.of_a_box(),
        prompt_format: flags.runner.prompt_format(),
        answer_format: flags.runner.answer_format(),
        stream_arguments: flags.runner.stream_arguments(),
        stream_format: flags.runner.stream_format(),
        workspaces,
        journal,
        audit: Arc::new(audit),
        metrics: Arc::clone(&metrics),
        last_start: Arc::default(),
    };
    let service = Service {
        auth,
        hosts,
        rate: Rate::new(users.rate, users.rate_burst),
        quota_bytes: users.quota << 20,
        running: Running::default(),
        metrics,
        probe: Probe::default(),
        store,
        boxes,
        queue: Queue::new(flags.queue.limits()),
        read_timeout: flags.read_timeout,
        patience: flags.queue.queue_wait,
    };
    Ok((service, tls))
}

async fn serve(flags: &Serve, service: Service, tls: Option<ServerConfig>) -> Result<()> {
    let limits = ConnectionLimits {
        connections: MAX_CONNECTIONS,
        per_address: flags.connections_per_address.into(),
        read_timeout: flags.read_timeout,
        send_buffer: Some(SEND_BUFFER),
    };
    let server = Server::listen(flags.listen, limits)?;
    let plain = flags.plain_listen.map(|address| Server::listen(address, limits)).transpose()?;
    let handle = Handle::new();
    stop_on_signal(handle.clone(), flags.grace()).context("cannot catch signals")?;
    let local = server.local();
    tracing::info!("listening on {local}, {}", if tls.is_some() { "TLS" } else { "plain" });
    let key_log = key_log::path_from_env();
    serve::warnings::at_start(local, tls.is_some(), key_log.as_deref());
    let local_plain = plain.as_ref().map(Server::local);
    if let Some(address) = local_plain {
        tracing::info!("listening on {address}, plain");
        serve::warnings::at_start(address, false, None);
    }
    if let Some(path) = &flags.ready_file {
        ready_file::write(path, local, local_plain)?;
    }
    if let Some(days) = flags.keep_days {
        tokio::spawn(retention::keep(Arc::clone(&service.store), service.boxes.workspaces.clone(), days));
    }
    let routes = router(service);
    match plain {
        // One handle ends both.
        Some(plain) => {
            tokio::try_join!(
                server.serve(routes.clone(), tls, handle.clone()),
                plain.serve(routes, None, handle)
            )?;
        }
        None => server.serve(routes, tls, handle).await?,
    }
    Ok(())
}

async fn open_sandbox(runner: &Runner, program: &Program) -> Result<Arc<dyn Sandbox>> {
    let mut options = Options::new(&runner.label);
    options.read_only.clone_from(&runner.read_only);
    options.allow_weak_memory_limit = runner.allow_weak_memory_limit;
    let mut libraries = Vec::new();
    if program.image.is_none() {
        libraries = sandbox::libraries_of(program.program.as_ref())
            .with_context(|| format!("the libraries of {}", program.program))?;
        options.read_only.extend_from_slice(&libraries);
    }
    let opened = sandbox::open(runner.backend()?, options).await.context("no sandboxes")?;
    let name = opened.sandbox.name();
    for (passed_over, why) in &opened.passed_over {
        tracing::warn!("no {passed_over} sandboxes: {}", error_chain(why));
    }
    if opened.weak_memory_limit {
        tracing::warn!(
            "no cgroup limits the memory of a sandbox: it is watched, and a hostile program can exceed it"
        );
    }
    ensure!(
        name != "docker" || libraries.is_empty(),
        "{} is not statically linked, and a docker sandbox holds only the program: build it statically or name an --image",
        program.program
    );
    tracing::info!(backend = name, program = program.program, reaped = opened.reaped, "sandboxes");
    Ok(opened.sandbox)
}

/// Opens the store `firestore:PROJECT`, or the SQLite file of that name.
async fn open_store(name: &str) -> Result<Arc<dyn Store>> {
    if let Some(project) = name.strip_prefix("firestore:") {
        return firestore(project).await;
    }
    Ok(Arc::new(store::sqlite::Sqlite::open(name.as_ref()).context("no store")?))
}

#[cfg(feature = "firestore")]
async fn firestore(project: &str) -> Result<Arc<dyn Store>> {
    ensure!(!project.is_empty(), "--store firestore: needs the name of a project behind it");
    let store = store::firestore::Firestore::open(project).await;
    Ok(Arc::new(store.with_context(|| format!("no store firestore:{project}"))?))
}

#[cfg(not(feature = "firestore"))]
async fn firestore(project: &str) -> Result<Arc<dyn Store>> {
    anyhow::bail!(
        "no store firestore:{project}: this gateway is built without Firestore; build it with `cargo build -p gateway --features firestore`"
    )
}
