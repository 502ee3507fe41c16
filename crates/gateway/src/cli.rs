//! The flags, and what they come to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_core::tls::TlsVersions;
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use experiment::RunId;
use sandbox::{Backend, Command as Program, Limits as BoxLimits};
use serve::flags::seconds;

use crate::answer::{self, AnswerFormat};
use crate::logging::LogFormat;
use crate::prompt::PromptFormat;
use crate::queue::Limits as QueueLimits;

/// The project's own program for boxes, looked for beside this one.
const OWN_RUNNER: &str = "runner";

/// Where the project's own runner puts its answer.
const OWN_ANSWER: &str = "/text";

/// Seconds a client may take for a handshake, the head or the body of a request, unless `--read-timeout` says otherwise.
const READ_TIMEOUT: &str = "10";

/// Most connections at one time, each a file descriptor, of which a process commonly has 1024; the rest is for sandboxes and
/// the store. The gateway closes one more as soon as it accepts it. More than may run and wait, so that further clients get
/// a 429.
pub const MAX_CONNECTIONS: usize = 640;

/// Answers users in conversations, each request in a disposable box without network.
///
/// Speaks TLS when given a certificate and a key, else plain HTTP/1.1. Who a user is, is what the header X-User-Id claims:
/// put something that checks it in front of this program, and TLS in front of that.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Asks a running gateway how it is: exit 0 when well, 1 when not.
    Healthcheck {
        /// What to ask.
        #[arg(default_value = "http://127.0.0.1:8000/healthz")]
        url: String,
        /// For https: the certificate authority to trust.
        #[arg(long, value_name = "FILE", default_value = "certs/ca.pem", env = "CA_CERT")]
        ca: PathBuf,
    },
}

/// The flags of the server.
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on; port 0 takes any free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8000", env = "LISTEN")]
    pub listen: SocketAddr,
    /// The certificate chain to show, leaf first (PEM).
    #[arg(long, value_name = "FILE", env = "TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM).
    #[arg(long, value_name = "FILE", env = "TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// TLS versions to speak: 1.3, 1.2 or 1.2,1.3.
    #[arg(long, value_name = "LIST", default_value_t, env = "TLS_VERSIONS")]
    pub tls_versions: TlsVersions,
    /// Where conversations are kept: a file, or firestore:PROJECT in a gateway built with that feature.
    #[arg(long, value_name = "FILE", default_value = "conversations.sqlite", env = "STORE")]
    pub store: String,
    /// Time for a handshake, the head and the body of a request each.
    #[arg(long, value_name = "SECS", default_value = READ_TIMEOUT, value_parser = seconds)]
    pub read_timeout: Duration,
    /// Write down every box: what it said, how it ended and what bounded it, a line of JSON each (plainsight.box/1). For
    /// experiments: it holds what users said, and grows without end. What stands there already is replaced.
    #[arg(long, value_name = "FILE", env = "BOX_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// 32 hex digits that every line of the journal carries [default: fresh].
    #[arg(long, value_name = "HEX", env = "RUN_ID", requires = "journal")]
    pub run_id: Option<RunId>,
    /// Write {"local":"ip:port"} to this file once listening.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// The form of the log.
    #[arg(long, value_name = "FORM", default_value = "human", env = "LOG_FORMAT")]
    pub log_format: LogFormat,
    /// Log more; twice for everything.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log warnings only.
    #[arg(short, long)]
    pub quiet: bool,
    /// What runs in a box.
    #[command(flatten, next_help_heading = "What runs in a box")]
    pub runner: Runner,
    /// What a box may use.
    #[command(flatten, next_help_heading = "What a box may use (a network is not among it)")]
    pub limits: Limits,
    /// Whose turn it is.
    #[command(flatten, next_help_heading = "How many at once")]
    pub queue: QueueFlags,
}

/// What runs in a box.
#[derive(Debug, Args)]
pub struct Runner {
    /// What makes the boxes; auto takes the first that works here and says which.
    #[arg(long, value_name = "NAME", default_value = "auto", env = "BACKEND")]
    pub backend: BackendName,
    /// The program, by absolute path: of this machine, or of the image. Without it the project's own, `runner`, beside
    /// this program.
    #[arg(long, value_name = "PROGRAM", env = "RUNNER")]
    pub runner: Option<String>,
    /// An argument of the program; once for each.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, requires = "runner")]
    pub runner_arg: Vec<String>,
    /// A variable of the program's environment, which is empty otherwise: NAME=VALUE, or NAME alone to pass this
    /// program's own on. Once for each.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable)]
    pub runner_env: Vec<(String, String)>,
    /// The container image that the program is in (docker only; never pulled).
    #[arg(long, value_name = "IMAGE", requires = "runner")]
    pub image: Option<String>,
    /// A file or folder of this machine that the box sees, read-only, at the same path (namespace only). The libraries
    /// of the program are found without it. Once for each.
    #[arg(long, value_name = "PATH")]
    pub read_only: Vec<PathBuf>,
    /// How the conversation stands on the program's stdin: json for the project's own, else text.
    #[arg(long, value_name = "FORM")]
    pub prompt_format: Option<PromptFormat>,
    /// The program's stdout is JSON, and this JSON pointer leads to the answer. Without it all of stdout is the answer.
    #[arg(long, value_name = "POINTER", value_parser = answer::pointer)]
    pub answer_pointer: Option<String>,
    /// The program's stdout is JSON, and `true` where this JSON pointer leads to means that there is no answer.
    #[arg(long, value_name = "POINTER", value_parser = answer::pointer)]
    pub failure_pointer: Option<String>,
    /// Names the boxes of this gateway, so that only those are cleared away that an earlier life of it left behind.
    #[arg(long, value_name = "TEXT", default_value = "gateway", env = "BOX_LABEL")]
    pub label: String,
}

/// What a box may use.
#[derive(Debug, Args)]
pub struct Limits {
    /// Seconds until it is killed.
    #[arg(long, value_name = "SECS", default_value = "60", value_parser = seconds)]
    pub box_seconds: Duration,
    /// MiB of memory.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(8..=1 << 20))]
    pub box_memory: u64,
    /// CPUs at a time.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub box_cpus: f64,
    /// Processes and threads at a time.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub box_processes: u64,
    /// MiB in /tmp, the only place that can be written.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub box_scratch: u64,
    /// KiB on stdout and stderr together.
    #[arg(long, value_name = "KIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=MAX_OUTPUT_KIB))]
    pub box_output: u64,
}

/// Most output of a box: an answer has to fit into a document of Firestore (1 MiB) together with its question.
const MAX_OUTPUT_KIB: u64 = 768;

/// How many at once.
#[derive(Debug, Args)]
pub struct QueueFlags {
    /// Boxes at a time; as many as this machine has CPUs by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=128))]
    pub boxes: Option<u16>,
    /// Requests that may wait.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(..=MAX_QUEUE))]
    pub queue: u16,
    /// Requests of one user that may wait.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(..=MAX_QUEUE))]
    pub queue_per_user: u16,
    /// Seconds that a request waits.
    #[arg(long, value_name = "SECS", default_value = "60", value_parser = seconds)]
    pub queue_wait: Duration,
}

/// Longest queue: with the most boxes it leaves connections for those who are told that it is full.
const MAX_QUEUE: i64 = MAX_CONNECTIONS as i64 - 128 - 64;

/// What makes the boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendName {
    /// The first that works: namespace, then docker; docker with an image.
    Auto,
    /// Linux namespaces: no root, no daemon.
    Namespace,
    /// Containers of a Docker engine.
    Docker,
}

impl Serve {
    /// The files of `--tls-cert` and `--tls-key`: both, or `None` for a gateway without TLS.
    ///
    /// # Errors
    /// When one is given without the other.
    pub fn certificate(&self) -> Result<Option<(&Path, &Path)>> {
        serve::flags::certificate_and_key(self.tls_cert.as_ref(), self.tls_key.as_ref())
    }

    /// Longest time that a request in flight may still take: to arrive, to wait, in its box, and to be taken.
    pub fn grace(&self) -> Duration {
        2 * self.read_timeout + self.queue.queue_wait + self.limits.box_seconds
    }
}

impl Runner {
    /// The backend to open. An image can only be had from Docker.
    ///
    /// # Errors
    /// When an image is asked of namespaces.
    pub fn backend(&self) -> Result<Backend> {
        match (self.backend, &self.image) {
            (BackendName::Namespace, Some(_)) => bail!("an image needs --backend docker"),
            (BackendName::Namespace, None) => Ok(Backend::Namespace),
            (BackendName::Docker, _) | (BackendName::Auto, Some(_)) => Ok(Backend::Docker),
            (BackendName::Auto, None) => Ok(Backend::Auto),
        }
    }

    /// The program with its arguments and environment.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn program(&self) -> Result<Program> {
        let program = match &self.runner {
            Some(program) => program.clone(),
            None => own_runner()?,
        };
        ensure!(program.starts_with('/'), "--runner {program} is not an absolute path");
        if self.image.is_none() {
            let there = std::fs::metadata(&program).with_context(|| format!("no runner at {program}"))?;
            ensure!(there.is_file(), "the runner {program} is not a file");
        }
        Ok(Program {
            program,
            arguments: self.runner_arg.clone(),
            environment: self.runner_env.clone(),
            image: self.image.clone(),
        })
    }

    /// How the conversation is written down for the program.
    pub fn prompt_format(&self) -> PromptFormat {
        let usual = if self.runner.is_none() { PromptFormat::Json } else { PromptFormat::Text };
        self.prompt_format.unwrap_or(usual)
    }

    /// Where the answer stands in what the program writes.
    pub fn answer_format(&self) -> AnswerFormat {
        let usual = self.runner.is_none().then(|| OWN_ANSWER.to_owned());
        AnswerFormat {
            answer_pointer: self.answer_pointer.clone().or(usual),
            failure_pointer: self.failure_pointer.clone(),
        }
    }
}

impl Limits {
    /// In the sandbox's units.
    pub fn of_a_box(&self) -> BoxLimits {
        BoxLimits {
            memory_bytes: self.box_memory << 20,
            cpus: self.box_cpus,
            processes: self.box_processes,
            scratch_bytes: self.box_scratch << 20,
            output_bytes: self.box_output << 10,
            wall: self.box_seconds,
        }
    }
}

impl QueueFlags {
    /// For the queue.
    pub fn limits(&self) -> QueueLimits {
        let cpus = || std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(128));
        QueueLimits {
            running: self.boxes.map_or_else(cpus, usize::from),
            waiting: self.queue.into(),
            waiting_per_user: self.queue_per_user.into(),
        }
    }
}

fn own_runner() -> Result<String> {
    let this = std::env::current_exe().context("where is this program?")?;
    let runner = this.with_file_name(OWN_RUNNER);
    ensure!(
        runner.is_file(),
        "{} is not there: build it (cargo build --bin {OWN_RUNNER}), or name another program with --runner",
        runner.display()
    );
    runner
        .into_os_string()
        .into_string()
        .map_err(|path| anyhow::anyhow!("the path of the runner is not UTF-8: {}", path.to_string_lossy()))
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => (text, std::env::var(text).map_err(|error| format!("{text}: {error}"))?),
    };
    if name.is_empty() { Err("a variable needs a name".into()) } else { Ok((name.to_owned(), value)) }
}
