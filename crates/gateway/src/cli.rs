//! The flags and their values.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_core::tls::TlsVersions;
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use experiment::Executables;
use experiment::RunId;
use sandbox::{Backend, Command as Program, Limits as BoxLimits};
use serve::flags::seconds;

use crate::answer::{self, AnswerFormat};
use crate::auth::AuthMode;
use crate::logging::LogFormat;
use crate::prompt::PromptFormat;
use crate::queue::Limits as QueueLimits;
use crate::user::UserId;

/// The project's own program for sandboxes, expected beside this program.
const OWN_RUNNER: &str = "runner";

/// The pointer to the answer of the project's own runner.
const OWN_ANSWER: &str = "/text";

/// The argument with which the project's own runner writes pieces of its answer, and the pointer to them.
const OWN_STREAM: &str = "--stream";
const OWN_DELTA: &str = "/delta";

/// Default of `--read-timeout` in seconds: for a handshake, the head and the body of a request each.
const READ_TIMEOUT: &str = "10";

/// Most connections at one time. Each needs a file descriptor, of which a process commonly has 1024; sandboxes and the
/// store need the others. A further connection displaces one that waits for its client, or is closed. The number is greater
/// than that of the requests that may run and wait, so that further clients get a 429.
pub const MAX_CONNECTIONS: usize = 640;

/// Bytes of an answer that the kernel keeps for a client that reads slowly; Linux doubles the number. As much as a client at a
/// distance of 100 ms reads in that time at 20 Mbit/s.
pub const SEND_BUFFER: usize = 256 * 1024;

/// Answers users in conversations, each request in a disposable sandbox without network.
///
/// Speaks TLS when given a certificate and a key, else plain HTTP/1.1. By default the header X-User-Id names the user without
/// proof, and the gateway listens on loopback addresses only; see --auth.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// A mode other than serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of the server.
    #[command(flatten)]
    pub serve: Serve,
}

/// Other modes of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Asks a running gateway for its health: exit 0 if it answers 200, else 1.
    Healthcheck {
        /// The URL to request.
        #[arg(default_value = "http://127.0.0.1:8000/healthz")]
        url: String,
        /// For https: the certificate authority to trust.
        #[arg(long, value_name = "FILE", default_value = "certs/ca.pem", env = "CA_CERT")]
        ca: PathBuf,
    },
    /// Makes, lists and revokes the bearer tokens of --auth token. A running gateway notices at once.
    Token {
        /// What to do.
        action: TokenAction,
        /// The user, for add and revoke.
        #[arg(value_parser = user, required_if_eq_any = [("action", "add"), ("action", "revoke")])]
        name: Option<UserId>,
        /// The file of the tokens' hashes.
        #[arg(long, value_name = "FILE", default_value = TOKENS, env = "TOKENS")]
        tokens: PathBuf,
    },
}

/// What to do with the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenAction {
    /// Print a new token of a user; only its hash is kept.
    Add,
    /// List the tokens, a line each: the user, when it was made, and the beginning of its hash.
    List,
    /// Revoke all tokens of a user; exit 1 if there are none.
    Revoke,
}

fn user(text: &str) -> Result<UserId, String> {
    UserId::parse(text).map_err(|_| {
        "a user is 1 to 320 of A-Z a-z 0-9 . _ - @ +, beginning with a letter or a digit".to_owned()
    })
}

/// Default of `--tokens`.
const TOKENS: &str = "tokens.json";

/// The flags of the server.
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on; port 0 means any free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8000", env = "LISTEN")]
    pub listen: SocketAddr,
    /// The certificate chain, leaf first (PEM).
    #[arg(long, value_name = "FILE", env = "TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM).
    #[arg(long, value_name = "FILE", env = "TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// With a certificate: also serve plain HTTP on this address, with the same store and queue. For comparisons.
    #[arg(long, value_name = "IP:PORT", requires = "tls_cert")]
    pub plain_listen: Option<SocketAddr>,
    /// TLS versions to speak: 1.3, 1.2 or 1.2,1.3.
    #[arg(long, value_name = "LIST", default_value_t, env = "TLS_VERSIONS")]
    pub tls_versions: TlsVersions,
    /// The store of the conversations: a file, or firestore:PROJECT in a gateway built with that feature.
    #[arg(long, value_name = "FILE", default_value = "conversations.sqlite", env = "STORE")]
    pub store: String,
    /// Time for a handshake, the head and the body of a request each.
    #[arg(long, value_name = "SECS", default_value = READ_TIMEOUT, value_parser = seconds)]
    pub read_timeout: Duration,
    /// Most connections from one address at a time. The default leaves a quarter to others; a proxy in front of the gateway
    /// may need all 640.
    #[arg(long, value_name = "N", default_value_t = 480, value_parser = clap::value_parser!(u16).range(1..=MAX_CONNECTIONS as i64))]
    pub connections_per_address: u16,
    /// Delete conversations without a message for so many days; without it they stay.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub keep_days: Option<u32>,
    /// Append a line of JSON for each sandbox to this file: user, conversation, limits, outcome and sizes, and no text. The
    /// same is in the log.
    #[arg(long, value_name = "FILE", env = "AUDIT_LOG")]
    pub audit_log: Option<PathBuf>,
    /// Record every sandbox in this file, a line of JSON each (plainsight.box/1): its output, exit and limits. For
    /// experiments: it holds users' messages and grows without limit. Replaces an existing file.
    #[arg(long, value_name = "FILE", env = "BOX_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// 32 hex digits in every line of the journal [default: random].
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
    /// Who may use the gateway.
    #[command(flatten, next_help_heading = "Users")]
    pub users: Users,
    /// The program in a sandbox.
    #[command(flatten, next_help_heading = "The program in a sandbox")]
    pub runner: Runner,
    /// Limits of a sandbox.
    #[command(flatten, next_help_heading = "Limits of a sandbox (it never has a network)")]
    pub limits: Limits,
    /// The queue.
    #[command(flatten, next_help_heading = "Queue")]
    pub queue: QueueFlags,
}

/// Who may use the gateway, and how much of it.
#[derive(Debug, Args)]
pub struct Users {
    /// What names the user of a request.
    #[arg(long, value_name = "MODE", default_value = "header", env = "AUTH")]
    pub auth: AuthMode,
    /// With --auth header: listen on other than loopback addresses too, where any client can be any user.
    #[arg(long, env = "INSECURE_HEADER_AUTH")]
    pub insecure_header_auth: bool,
    /// With --auth token: accept tokens over plain HTTP on other than loopback addresses, where they can be read and replayed.
    #[arg(long, env = "INSECURE_TOKEN_AUTH")]
    pub insecure_token_auth: bool,
    /// With --auth token: the file of the tokens' hashes; see gateway token.
    #[arg(long, value_name = "FILE", default_value = TOKENS, env = "TOKENS")]
    pub tokens: PathBuf,
    /// With --auth mtls: the authority that signs the clients' certificates (PEM); certgen --client makes such certificates.
    #[arg(long, value_name = "FILE", env = "CLIENT_CA")]
    pub client_ca: Option<PathBuf>,
    /// A further name or address of this server, without port. Its own names are the address that a client connects to,
    /// localhost, the host name, and the names in its certificate; may be repeated.
    #[arg(long, value_name = "NAME", env = "ALLOW_HOST", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// A site whose pages may use this server, such as `https://chat.example`; may be repeated.
    #[arg(long, value_name = "ORIGIN", env = "ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// Requests of one user in a second, in the long run; 0 for any number.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub rate: u32,
    /// Requests of one user that may come at once.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_burst: u32,
    /// MiB that one user's conversations may take in the store; 0 for any number.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(..=1 << 20))]
    pub quota: u64,
}

/// The program in a sandbox.
#[derive(Debug, Args)]
pub struct Runner {
    /// What makes the sandboxes; auto uses the first that works on this machine, and logs which.
    #[arg(long, value_name = "NAME", default_value = "auto", env = "BACKEND")]
    pub backend: BackendName,
    /// The program's absolute path on this machine or in the image [default: `runner` beside this program].
    #[arg(long, value_name = "PROGRAM", env = "RUNNER")]
    pub runner: Option<String>,
    /// An argument of the program; may be repeated.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, requires = "runner")]
    pub runner_arg: Vec<String>,
    /// A variable of the program's otherwise empty environment: NAME=VALUE, or NAME to pass on the gateway's own; may
    /// be repeated.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable)]
    pub runner_env: Vec<(String, String)>,
    /// The container image that holds the program (docker only; never pulled).
    #[arg(long, value_name = "IMAGE", requires = "runner")]
    pub image: Option<String>,
    /// A file or folder of this machine that the sandbox gets read-only at the same path (namespace only); may be
    /// repeated. The gateway adds the program's libraries itself.
    #[arg(long, value_name = "PATH")]
    pub read_only: Vec<PathBuf>,
    /// Start although no cgroup can limit the memory of a sandbox, where it is only watched (namespace only).
    #[arg(long, env = "ALLOW_WEAK_MEMORY_LIMIT")]
    pub allow_weak_memory_limit: bool,
    /// The form of the conversation on the program's stdin [default: json for the project's own program, else text].
    #[arg(long, value_name = "FORM")]
    pub prompt_format: Option<PromptFormat>,
    /// JSON pointer to the answer in the program's stdout. Without it all of stdout is the answer.
    #[arg(long, value_name = "POINTER", value_parser = answer::pointer)]
    pub answer_pointer: Option<String>,
    /// JSON pointer into the program's stdout: `true` there means that there is no answer.
    #[arg(long, value_name = "POINTER", value_parser = answer::pointer)]
    pub failure_pointer: Option<String>,
    /// The program's stdout is lines of JSON: the JSON pointer to a piece of the answer in each, for streamed answers.
    /// The other pointers then apply to the last line.
    #[arg(long, value_name = "POINTER", value_parser = answer::pointer, requires = "runner", requires = "answer_pointer")]
    pub delta_pointer: Option<String>,
    /// Keep the files of each conversation in this folder: its sandboxes get them as an archive in the prompt, which therefore has
    /// to be json, and may give them back.
    #[arg(long, value_name = "DIR", env = "WORKSPACES")]
    pub workspaces: Option<PathBuf>,
    /// KiB of one conversation's files, as an archive.
    #[arg(long, value_name = "KIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=MAX_WORKSPACE_KIB), requires = "workspaces")]
    pub workspace_size: u64,
    /// Marks the sandboxes of this gateway, so that its next start removes only its own leftovers.
    #[arg(long, value_name = "TEXT", default_value = "gateway", env = "BOX_LABEL")]
    pub label: String,
}

/// Limits of a sandbox.
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
    /// MiB in /tmp, the only writable folder.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub box_scratch: u64,
    /// KiB on stdout and stderr together.
    #[arg(long, value_name = "KIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=MAX_OUTPUT_KIB))]
    pub box_output: u64,
}

/// Most output of a sandbox: a document of Firestore (1 MiB) has to hold the answer together with its question.
const MAX_OUTPUT_KIB: u64 = 768;

/// Largest workspace: in base64 it has to fit into the stdin of a sandbox together with the conversation.
const MAX_WORKSPACE_KIB: u64 = 8 << 10;

/// The queue.
#[derive(Debug, Args)]
pub struct QueueFlags {
    /// Sandboxes at a time [default: as many as this machine has CPUs].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=128))]
    pub boxes: Option<u16>,
    /// Most waiting requests.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(..=MAX_QUEUE))]
    pub queue: u16,
    /// Most waiting requests of one user.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(..=MAX_QUEUE))]
    pub queue_per_user: u16,
    /// Most seconds that a request waits.
    #[arg(long, value_name = "SECS", default_value = "60", value_parser = seconds)]
    pub queue_wait: Duration,
}

/// Greatest length of the queue. It leaves connections for clients that get a 429.
const MAX_QUEUE: i64 = MAX_CONNECTIONS as i64 - 128 - 64;

/// What makes the sandboxes.
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

    /// Checks that the way to authenticate users fits the addresses and files.
    ///
    /// # Errors
    /// When it would let clients be users that they are not, with the remedy.
    pub fn check_auth(&self) -> Result<()> {
        let users = &self.users;
        let is_tls = self.certificate()?.is_some();
        let listeners = [(Some(self.listen), is_tls), (self.plain_listen, false)];
        let open: Vec<_> = listeners
            .into_iter()
            .filter_map(|(address, is_tls)| Some((address?, is_tls)))
            .filter(|(address, _)| !address.ip().is_loopback())
            .collect();
        match users.auth {
            AuthMode::Header => {
                if let Some((address, _)) = open.first()
                    && !users.insecure_header_auth
                {
                    bail!(
                        "--auth header on {address}: every client there could be any user. Listen on a loopback address behind \
                         a proxy that authenticates users, use --auth token or --auth mtls, or accept it with \
                         --insecure-header-auth"
                    );
                }
            }
            AuthMode::Token => {
                if let Some((address, _)) = open.iter().find(|(_, is_tls)| !is_tls)
                    && !users.insecure_token_auth
                {
                    bail!(
                        "--auth token over plain HTTP on {address}: a token that is read on the way can be replayed. Give \
                         --tls-cert and --tls-key, listen on a loopback address, or accept it with --insecure-token-auth"
                    );
                }
            }
            AuthMode::Mtls => {
                ensure!(
                    is_tls && users.client_ca.is_some(),
                    "--auth mtls needs --tls-cert and --tls-key, and the authority of the clients' certificates: --client-ca"
                );
            }
        }
        Ok(())
    }

    /// Longest time of a request in flight: to arrive, to wait, to run, and to be read.
    pub fn grace(&self) -> Duration {
        2 * self.read_timeout + self.queue.queue_wait + self.limits.box_seconds
    }
}

impl Runner {
    /// The backend to open. Only Docker has images.
    ///
    /// # Errors
    /// When an image is given for namespaces.
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
    /// When the program does not exist.
    pub fn program(&self) -> Result<Program> {
        let (program, mut arguments) = match &self.runner {
            Some(program) => (program.clone(), Vec::new()),
            None => own_runner()?,
        };
        arguments.extend_from_slice(&self.runner_arg);
        ensure!(program.starts_with('/'), "--runner {program} is not an absolute path");
        if self.image.is_none() {
            let there = std::fs::metadata(&program).with_context(|| format!("no runner at {program}"))?;
            ensure!(there.is_file(), "the runner {program} is not a file");
        }
        Ok(Program { program, arguments, environment: self.runner_env.clone(), image: self.image.clone() })
    }

    /// The form of the conversation on the program's stdin.
    pub fn prompt_format(&self) -> PromptFormat {
        let usual = if self.runner.is_none() { PromptFormat::Json } else { PromptFormat::Text };
        self.prompt_format.unwrap_or(usual)
    }

    /// Where the program's stdout holds the answer.
    pub fn answer_format(&self) -> AnswerFormat {
        let usual = self.runner.is_none().then(|| OWN_ANSWER.to_owned());
        AnswerFormat {
            answer_pointer: self.answer_pointer.clone().or(usual),
            failure_pointer: self.failure_pointer.clone(),
            delta_pointer: self.delta_pointer.clone(),
        }
    }

    /// The folder of the workspaces, and the most bytes of one.
    ///
    /// # Errors
    /// When the program gets the conversation as text.
    pub fn workspaces(&self) -> Result<Option<(&Path, u64)>> {
        let Some(folder) = &self.workspaces else { return Ok(None) };
        ensure!(
            self.prompt_format() == PromptFormat::Json,
            "--workspaces needs --prompt-format json: text holds no files"
        );
        Ok(Some((folder, self.workspace_size << 10)))
    }

    /// Further arguments of the program when its answer is streamed.
    pub fn stream_arguments(&self) -> Vec<String> {
        self.runner.is_none().then(|| OWN_STREAM.to_owned()).into_iter().collect()
    }

    /// Where the program's stdout holds the pieces and the answer when it is streamed.
    pub fn stream_format(&self) -> AnswerFormat {
        let usual = self.runner.is_none().then(|| OWN_DELTA.to_owned());
        let format = self.answer_format();
        AnswerFormat { delta_pointer: format.delta_pointer.or(usual), ..format }
    }
}

impl Limits {
    /// The limits in the units of `sandbox`.
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
    /// The limits of the queue.
    pub fn limits(&self) -> QueueLimits {
        let cpus = || std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(128));
        QueueLimits {
            running: self.boxes.map_or_else(cpus, usize::from),
            waiting: self.queue.into(),
            waiting_per_user: self.queue_per_user.into(),
        }
    }
}

/// The project's own runner: the path of its executable, and the arguments in front of others.
fn own_runner() -> Result<(String, Vec<String>)> {
    let executables = Executables::of_this().context("the path of this program is unknown")?;
    let runner = executables.file(OWN_RUNNER);
    let arguments = executables.arguments(OWN_RUNNER).into_iter().filter_map(|word| word.into_string().ok());
    ensure!(
        runner.is_file(),
        "{} does not exist: build it (cargo build --bin {OWN_RUNNER}), or name another program with --runner",
        runner.display()
    );
    let path = runner.into_os_string().into_string();
    let path = path
        .map_err(|path| anyhow::anyhow!("the path of the runner is not UTF-8: {}", path.to_string_lossy()))?;
    Ok((path, arguments.collect()))
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => (text, std::env::var(text).map_err(|error| format!("{text}: {error}"))?),
    };
    if name.is_empty() { Err("a variable needs a name".into()) } else { Ok((name.to_owned(), value)) }
}
