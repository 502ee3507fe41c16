//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agent_core::error_chain::error_chain;
use agent_core::hex128::Hex128;
use agent_core::http_version::HttpVersion;
use agent_core::journal::Journal;
use agent_core::key_log::FileKeyLog;
use agent_core::logging;
use agent_core::tls::{self, TlsVersions};
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use serve::flags::{certificate_and_key, given, seconds};
use serve::signal::stop_on_signal;
use serve::{ConnectionLimits, Handle, Server, ServerConfig, healthcheck, ready_file};

use crate::routes::{Service, router};
use crate::{MAX_CONNECTIONS, MAX_PER_ADDRESS};

/// Default of `--body-limit` in bytes: four times the largest message of agent-a.
const BODY_LIMIT: usize = 256 * 1024;

/// Default of `--read-timeout` in seconds: the time limit for a handshake, for the head and for the body of a request.
const READ_TIMEOUT: &str = "10";

/// Exit status: invalid flags, settings or files.
const EXIT_USAGE: u8 = 2;

/// Runs a tool for each tool call posted to /tool.
///
/// Speaks TLS when given a certificate and a key, else plain HTTP/1.1. Writes the TLS secrets to the file that SSLKEYLOGFILE
/// names, if it is set.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Asks a running agent-b for its health: exit 0 if it answers 200, else 1.
    Healthcheck {
        /// The URL to request.
        #[arg(default_value = "http://127.0.0.1:8000/healthz")]
        url: String,
        /// For https: the certificate authority to trust.
        #[arg(long, value_name = "FILE", default_value = "certs/ca.pem", env = "CA_CERT")]
        ca: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// The address to listen on; port 0 takes any free one.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:8000", env = "LISTEN")]
    listen: SocketAddr,
    /// The certificate chain, leaf first (PEM).
    #[arg(long, value_name = "FILE", env = "TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM).
    #[arg(long, value_name = "FILE", env = "TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// TLS versions to accept: 1.3, 1.2 or 1.2,1.3.
    #[arg(long, value_name = "LIST", default_value_t, env = "TLS_VERSIONS")]
    tls_versions: TlsVersions,
    /// HTTP version to use; only 1.1 is supported.
    #[arg(long, value_name = "VERSION", default_value_t, env = "HTTP_VERSION")]
    http_version: HttpVersion,
    /// Record every message in this file.
    #[arg(long, value_name = "FILE", env = "JOURNAL")]
    journal: Option<PathBuf>,
    /// The run of the messages, 32 hex digits [default: random].
    #[arg(long, value_name = "HEX", env = "RUN_ID")]
    run_id: Option<Hex128>,
    /// Replace an existing journal and key log instead of appending to them.
    #[arg(long, env = "OVERWRITE")]
    overwrite: bool,
    /// Write {"local":"ip:port"} to this file once listening.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Maximum length of a request body in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = BODY_LIMIT)]
    body_limit: usize,
    /// Time for a handshake, the head and the body of a request each.
    #[arg(long, value_name = "SECS", default_value = READ_TIMEOUT, value_parser = seconds)]
    read_timeout: Duration,
    /// Log more; twice for everything.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log warnings only.
    #[arg(short, long)]
    quiet: bool,
}

/// Does what the command line asks for.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    logging::init(cli.serve.verbose, cli.serve.quiet);
    // One thread suffices for tools that take microseconds, and leaves the other core to the measured programs.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(1, &format!("cannot start: {error}")),
    };
    match cli.command {
        Some(Command::Healthcheck { url, ca }) => match runtime.block_on(healthcheck::run(&url, &ca)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(1, &error_chain(error.as_ref())),
        },
        None => {
            let prepared = match prepare(&cli.serve) {
                Ok(prepared) => prepared,
                Err(error) => return failed(EXIT_USAGE, &error_chain(error.as_ref())),
            };
            match runtime.block_on(serve(&cli.serve, prepared)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(serve::exit_status(error.as_ref()), &error_chain(error.as_ref())),
            }
        }
    }
}

fn failed(status: u8, why: &str) -> ExitCode {
    eprintln!("agent-b: {why}");
    ExitCode::from(status)
}

/// The service and the TLS settings that the flags and their files describe.
struct Prepared {
    service: Service,
    tls: Option<ServerConfig>,
}

fn prepare(flags: &Serve) -> Result<Prepared> {
    let run = match &flags.run_id {
        Some(run) => run.clone(),
        None => Hex128::fresh().context("cannot draw a run id")?,
    };
    if flags.overwrite {
        Journal::begin_anew(given(flags.journal.as_ref()))?;
        FileKeyLog::begin_anew().context(agent_core::key_log::VARIABLE)?;
    }
    let journal = Journal::open_if(given(flags.journal.as_ref()), run, "agent-b")?;
    let tls = match certificate_and_key(flags.tls_cert.as_ref(), flags.tls_key.as_ref())? {
        Some((cert, key)) => {
            let key_log = FileKeyLog::from_env().context(agent_core::key_log::VARIABLE)?;
            Some(tls::server_config(cert, key, &flags.tls_versions, key_log)?)
        }
        None => None,
    };
    let service = Service { body_limit: flags.body_limit, read_timeout: flags.read_timeout, journal };
    Ok(Prepared { service, tls })
}

async fn serve(flags: &Serve, prepared: Prepared) -> Result<()> {
    let limits = ConnectionLimits {
        connections: MAX_CONNECTIONS,
        per_address: MAX_PER_ADDRESS,
        read_timeout: flags.read_timeout,
        send_buffer: None,
    };
    let server = Server::listen(flags.listen, limits)?;
    let handle = Handle::new();
    // A request in flight may need the whole timeout to arrive, and the client as long again to read the answer.
    stop_on_signal(handle.clone(), 2 * flags.read_timeout).context("cannot catch signals")?;
    let local = server.local();
    let transport = if prepared.tls.is_some() { "TLS" } else { "plain" };
    tracing::info!("listening on {local}, {transport}, HTTP/{}", flags.http_version);
    serve::warnings::at_start(local, prepared.tls.is_some(), agent_core::key_log::path_from_env().as_deref());
    if let Some(path) = &flags.ready_file {
        ready_file::write(path, local, None)?;
    }
    server.serve(router(prepared.service), prepared.tls, handle).await?;
    Ok(())
}
