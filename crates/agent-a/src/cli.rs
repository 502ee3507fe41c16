//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Endpoint, Resolve};
use crate::run::{Plan, run};
use crate::script::{SCRIPT_LENGTH, Template};
use agent_core::hex128::Hex128;
use agent_core::http_version::HttpVersion;
use agent_core::journal::Journal;
use agent_core::key_log::{self, FileKeyLog};
use agent_core::logging;
use agent_core::tls::{self, TlsVersions};
use anyhow::{Context, Result};
use clap::Parser;

/// Exit status: an answer is wrong or missing.
const EXIT_WRONG: u8 = 1;

/// Exit status: invalid flags, settings or files.
const EXIT_USAGE: u8 = 2;

/// Posts tool calls to agent-b and checks every answer.
///
/// Prints the id, the status and the answer of each message. Exits with 1 if an answer is wrong or missing, and with 2 on
/// invalid flags or files. Never uses a proxy; over HTTPS it trusts only the given authority. Writes the TLS secrets to the
/// file named by SSLKEYLOGFILE, if it is set.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// URL to post to.
    #[arg(long, value_name = "URL", default_value = "http://agent-b:8000/tool", env = "SERVER_URL")]
    server_url: String,
    /// Certificate authority to trust (PEM), for https.
    #[arg(long, value_name = "FILE", default_value = "certs/ca.pem", env = "CA_CERT")]
    ca: PathBuf,
    /// Connect to this address instead of resolving the host; separate several by commas.
    #[arg(long, value_name = "HOST=IP[:PORT]", value_delimiter = ',', env = "RESOLVE")]
    resolve: Vec<Resolve>,
    /// The HTTP version to use; an answer in another version is wrong.
    #[arg(long, value_name = "VERSION", default_value_t, env = "HTTP_VERSION")]
    http_version: HttpVersion,
    /// TLS versions to offer: 1.3, 1.2 or 1.2,1.3.
    #[arg(long, value_name = "LIST", default_value_t, env = "TLS_VERSIONS")]
    tls_versions: TlsVersions,
    /// File with a message to send instead of the script.
    #[arg(long, value_name = "FILE", env = "MESSAGE")]
    message: Option<PathBuf>,
    /// Number of messages; without the flag, the script's 12, or 1 with --message.
    #[arg(long, value_name = "N", env = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: Option<u32>,
    /// Journal file for all messages.
    #[arg(long, value_name = "FILE", env = "JOURNAL")]
    journal: Option<PathBuf>,
    /// The run id, 32 hex digits; without the flag, a fresh one.
    #[arg(long, value_name = "HEX", env = "RUN_ID")]
    run_id: Option<Hex128>,
    /// Truncate the journal and the key log instead of appending to them.
    #[arg(long, env = "OVERWRITE")]
    overwrite: bool,
    /// How long to wait until the server accepts a connection.
    #[arg(long, value_name = "SECS", default_value_t = 30, env = "DEADLINE")]
    deadline: u32,
    /// Log more; twice for everything.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log only warnings and errors.
    #[arg(short, long)]
    quiet: bool,
}

/// Does what the command line asks for.
#[must_use]
pub fn main(args: &Cli) -> ExitCode {
    logging::init(args.verbose, args.quiet);
    let plan = match plan(args) {
        Ok(plan) => plan,
        Err(error) => return failed(EXIT_USAGE, &error),
    };
    // On several threads the client's pool sometimes opens a second connection for a sequence of requests.
    let tally = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
        .and_then(|runtime| runtime.block_on(run(&plan, &mut std::io::stdout())));
    match tally {
        Ok(tally) if tally.wrong == 0 => {
            tracing::info!("{} answers, all correct", tally.right);
            ExitCode::SUCCESS
        }
        Ok(tally) => {
            let (right, wrong) = (tally.right, tally.wrong);
            let why = format!("{right} answers correct, {wrong} wrong or missing, of {}", plan.count);
            failed(EXIT_WRONG, &anyhow::Error::msg(why))
        }
        Err(error) => failed(EXIT_WRONG, &error),
    }
}

fn failed(status: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("agent-a: {error:#}");
    ExitCode::from(status)
}

/// Builds the run's plan from the flags and the files that they name.
fn plan(args: &Cli) -> Result<Plan> {
    let endpoint = Endpoint::new(&args.server_url, &args.resolve)?;
    if args.overwrite {
        Journal::begin_anew(given(args.journal.as_ref()))?;
        FileKeyLog::begin_anew().context(key_log::VARIABLE)?;
    }
    let tls = if endpoint.is_https() {
        let key_log = FileKeyLog::from_env().context(key_log::VARIABLE)?;
        tls::client_config(&args.ca, &args.tls_versions, key_log)?
    } else {
        tls::client_config_without_trust()?
    };
    let template = given(args.message.as_ref()).map(read_template).transpose()?;
    let run = match &args.run_id {
        Some(run) => run.clone(),
        None => Hex128::fresh().context("cannot draw a run id")?,
    };
    let journal = Arc::new(Journal::open_if(given(args.journal.as_ref()), run, "agent-a")?);
    let count = args.count.map_or(if template.is_some() { 1 } else { SCRIPT_LENGTH }, |count| count as usize);
    Ok(Plan {
        endpoint,
        http_version: args.http_version,
        tls,
        journal,
        template,
        count,
        server_wait: Duration::from_secs(args.deadline.into()),
    })
}

fn read_template(path: &Path) -> Result<Template> {
    let named = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(named)?;
    Template::parse(&bytes).with_context(named)
}

/// The path, unless it is empty: Compose sets a variable without value to the empty string.
fn given(path: Option<&PathBuf>) -> Option<&Path> {
    path.map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty())
}
