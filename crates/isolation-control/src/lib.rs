//! `isolation-control`: the positive control of the isolation experiment.
//!
//! It runs one program once for each user, all at the same time, in sandboxes that have a network. Standard input has a line
//! for each user, `{"user": "alice", "prompt": {…}}`; the program reads the prompt. When all have ended, standard output has a
//! line of `plainsight.box/1` for each. `lab` starts it; it knows nothing about attempts or captures.
//!
//! Exit status: 0 every program ended with status 0, 1 otherwise; stderr has the reason.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use clap::Parser;
use experiment::isolation::{BOX_SCHEMA, BoxRecord, LimitRecord, output};
use experiment::{RunId, unix_ns};
use futures_util::future::try_join_all;
use sandbox::docker::Docker;
use sandbox::{Command, Job, Limits, Options, Outcome, Sandbox};
use serde::Deserialize;

/// The label of the sandboxes, by which those of a killed control can be recognised.
const LABEL: &str = "isolation-control";

/// The `network` of the sandboxes in their records.
const HOST_NETWORK: &str = "the host's";

/// The attempts wait for answers that do not come, which takes some seconds.
const WALL: Duration = Duration::from_secs(60);

/// The gateway's default for the output of a sandbox: the control's sandboxes differ from the isolated ones in their network
/// alone, and the observer compares the limits of both.
const OUTPUT_BYTES: u64 = 256 << 10;

/// Runs a program in sandboxes that have a network: the positive control of the isolation experiment. Only `lab` and
/// `make isolation` have a use for it.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// Network namespace of the sandboxes.
    #[cfg(target_os = "linux")]
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with = "docker_network",
        required_unless_present = "docker_network"
    )]
    netns: Option<PathBuf>,

    /// Docker network of the sandboxes.
    #[arg(long, value_name = "NAME", required = cfg!(not(target_os = "linux")))]
    docker_network: Option<String>,

    /// Start although no cgroup can limit the memory of a sandbox, where it is only watched.
    #[arg(long)]
    allow_weak_memory_limit: bool,

    /// The run id, 32 hex digits.
    #[arg(long, env = "RUN_ID", value_name = "HEX")]
    run_id: RunId,

    /// The program to run in the sandboxes.
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,

    /// Its arguments.
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true)]
    arguments: Vec<String>,
}

/// One line of standard input.
#[derive(Deserialize)]
struct Request {
    user: String,
    prompt: serde_json::Value,
}

/// Does what the command line asks for. The program that calls it must have called [`sandbox::enter_if_asked`] before it started a
/// thread, because the sandboxes re-execute it.
#[must_use]
pub fn main(cli: &Cli) -> ExitCode {
    match control(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isolation-control: {error:#}");
            ExitCode::from(experiment::exit_status::of(error.as_ref()))
        }
    }
}

fn control(cli: &Cli) -> anyhow::Result<()> {
    let requests = requests()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let records = runtime.block_on(run_all(cli, requests))?;
    let mut out = io::stdout().lock();
    for record in records {
        ensure!(record.exit == "code 0", "{}: {}: {}", record.name, record.exit, record.stderr);
        let line = serde_json::to_string(&record).context("cannot encode a record")?;
        writeln!(out, "{line}").context("cannot write to stdout")?;
    }
    Ok(())
}

fn requests() -> anyhow::Result<Vec<Request>> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
    let line = |(index, line)| {
        serde_json::from_str(line).with_context(|| format!("stdin, line {}: not a request", index + 1))
    };
    text.lines().enumerate().map(line).collect()
}

async fn run_all(cli: &Cli, requests: Vec<Request>) -> anyhow::Result<Vec<BoxRecord>> {
    let sandbox = open(cli).await.context("cannot create a sandbox with a network")?;
    let runs = requests.into_iter().map(|request| run(cli, sandbox.as_ref(), request));
    try_join_all(runs).await
}

async fn open(cli: &Cli) -> anyhow::Result<Box<dyn Sandbox>> {
    #[cfg(target_os = "linux")]
    if let Some(path) = &cli.netns {
        let read_only =
            sandbox::libraries_of(&cli.program).context("cannot find the libraries of the program")?;
        let options = Options {
            read_only,
            allow_weak_memory_limit: cli.allow_weak_memory_limit,
            ..Options::new(LABEL)
        };
        let sandbox = sandbox::namespace::Namespace::open_with_network(options, path.clone()).await?;
        return Ok(Box::new(sandbox));
    }
    let network = cli.docker_network.clone().context("no network was given")?;
    Ok(Box::new(Docker::open_with_network(Options::new(LABEL), network).await?))
}

async fn run(cli: &Cli, sandbox: &dyn Sandbox, request: Request) -> anyhow::Result<BoxRecord> {
    let started = SystemTime::now();
    let job = Job {
        command: Command {
            arguments: cli.arguments.clone(),
            ..Command::program(cli.program.to_string_lossy())
        },
        stdin: request.prompt.to_string().into_bytes(),
        limits: Limits { wall: WALL, output_bytes: OUTPUT_BYTES, ..Limits::default() },
        stdout: None,
    };
    let outcome = sandbox.run(job).await.context("cannot run a sandbox with a network")?;
    Ok(record(cli, request.user, started, &outcome))
}

fn record(cli: &Cli, user: String, started: SystemTime, outcome: &Outcome) -> BoxRecord {
    let (stdout, stdout_base64) = output(&outcome.stdout);
    let (stderr, stderr_base64) = output(&outcome.stderr);
    let limits = outcome.in_force.iter().map(|limit| LimitRecord {
        name: limit.name.clone(),
        mechanism: limit.mechanism.clone(),
        value: limit.value.clone(),
    });
    BoxRecord {
        schema: BOX_SCHEMA,
        run: cli.run_id.as_str().to_owned(),
        name: format!("control box of {user}"),
        user: Some(user),
        conversation_id: None,
        network: HOST_NETWORK.to_owned(),
        started_at_unix_ns: unix_ns(started),
        ended_at_unix_ns: unix_ns(SystemTime::now()),
        exit: outcome.exit.to_string(),
        limits: limits.collect(),
        stdout,
        stdout_base64,
        stderr,
        stderr_base64,
    }
}
