//! Runs one command in a disposable sandbox, a *box* in this crate's names, and returns its output, how it ended, what it
//! cost, and the limits that were in force, read back from the kernel.
//!
//! A box has no network, an empty read-only root, a small scratch folder at `/tmp`, no capabilities and no way to get any, and
//! bounds on memory, CPUs, processes, scratch, output and time. It serves one command and is then removed. Two backends
//! implement one trait, [`Sandbox`]:
//!
//! - `namespace`: Linux namespaces, seccomp and cgroups or rlimits; needs no root and no daemon. See [`namespace`].
//! - `docker`: a container through the Engine API; can run an image of your own. See [`docker`].
//!
//! **There is no unsandboxed fallback.** A limit without a mechanism on this machine fails with
//! [`Error::NoMechanism`] and is never dropped silently; [`Outcome::in_force`] names the mechanism and the value of each.
//!
//! Data flows one way: a [`Job`] goes in, an [`Outcome`] comes out. The crate knows nothing about what runs in the box, nor
//! about conversations, users, captures or verdicts. The crate `runner` describes the documents that the project's own program
//! reads and writes in a box.
//!
//! # Use
//!
//! ```no_run
//! use sandbox::{Backend, Command, Job, Limits, Options};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Before threads or a runtime exist: this program is also the helper that becomes the box.
//!     sandbox::enter_if_asked();
//!     tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//!         let opened = sandbox::open(Backend::Auto, Options::new("example")).await?;
//!         let job = Job {
//!             command: Command::program("/usr/local/bin/runner"),
//!             stdin: br#"{"schema":"plainsight.prompt/1","conversation":[],"prompt":"hello"}"#.to_vec(),
//!             limits: Limits::default(),
//!             stdout: None,
//!         };
//!         let outcome = opened.sandbox.run(job).await?;
//!         println!("{:?}: {}", outcome.exit, String::from_utf8_lossy(&outcome.stdout));
//!         Ok(())
//!     })
//! }
//! ```
//!
//! Any other program can run in a box, such as a coding agent from an image of your own:
//!
//! ```
//! use sandbox::Command;
//!
//! let command = Command {
//!     program: "/usr/local/bin/claude".into(),
//!     arguments: ["--print", "--output-format", "json"].map(String::from).into(),
//!     environment: vec![("HOME".into(), "/tmp".into()), ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
//!     image: Some("my-agent:1".into()),
//! };
//! # assert!(command.image.is_some());
//! ```
//!
//! The prompt goes in by stdin and never becomes part of a command line; no shell is involved. An agent that has to reach its
//! provider cannot: a box has no network.

mod calls;
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only the namespace backend makes groups"))]
mod cgroup;
pub mod docker;
mod elf;
mod error;
mod job;
#[cfg(target_os = "linux")]
pub mod namespace;
mod outcome;
mod output;
mod owner;
mod sockets;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

pub use elf::libraries_of;
pub use error::{Error, Refusal};
pub use job::{Command, Job, Limits};
pub use outcome::{Exit, InForce, Outcome};

/// The future that a method of [`Sandbox`] returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A backend that runs commands in boxes.
pub trait Sandbox: Send + Sync {
    /// `namespace` or `docker`.
    fn name(&self) -> &'static str;

    /// Runs one command in a box of its own and returns when all processes of the box have ended.
    ///
    /// Dropping the future ends the box: its processes run only until the kernel or the engine has killed them.
    ///
    /// # Errors
    /// When the box cannot be made as asked for, or its command cannot be started. An end by a limit is not an error; see
    /// [`Outcome::exit`].
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, Error>>;

    /// Removes leftover containers or cgroups of boxes with the same label whose owner is gone, and returns how many. [`open`]
    /// does this once.
    ///
    /// # Errors
    /// When they cannot be listed or removed.
    fn reap(&self) -> BoxFuture<'_, Result<usize, Error>>;
}

/// The backend to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The first that works on this machine: `namespace`, then `docker`.
    Auto,
    /// Containers through the Engine API.
    Docker,
    /// Linux namespaces.
    Namespace,
}

/// Options of a backend. None of them gives a box a network; only a separate constructor does, for the isolation
/// experiment's positive control ([`namespace::Namespace::open_with_network`], [`docker::Docker::open_with_network`]).
#[derive(Debug, Clone)]
pub struct Options {
    /// Marks the boxes of one program. [`Sandbox::reap`] removes only boxes of the same label whose owner is gone. Programs
    /// that use one engine from different containers cannot see each other's processes and need different labels. 1 to
    /// [`MAX_LABEL`] letters, digits, `-`, `_` or `.`.
    pub label: String,
    /// The program with which the namespace backend makes a box.
    pub helper: Helper,
    /// Files and folders of this machine that a box of the namespace backend sees, read-only, at the same path: the libraries
    /// of a program that is not statically linked ([`libraries_of`]), or other files that it needs. Symbolic links are followed.
    /// Not allowed below `/dev`, `/proc`, `/program` or `/tmp`, which belong to the box.
    pub read_only: Vec<PathBuf>,
    /// The engine's socket. `None`: `DOCKER_HOST` if that names a Unix socket, else `/var/run/docker.sock`.
    pub docker_socket: Option<PathBuf>,
    /// Whether the namespace backend uses cgroups where it can.
    pub cgroups: bool,
    /// Whether the namespace backend may run boxes whose memory no cgroup limits. It then watches their memory from outside,
    /// which a hostile program can walk around in part (docs/sandbox.md); [`Outcome::in_force`] calls the limit `weak`.
    /// Without this it fails with [`Error::NoMechanism`] where there is no memory cgroup.
    pub allow_weak_memory_limit: bool,
}

/// Longest [`Options::label`] in bytes: it becomes part of names of containers and cgroups.
pub const MAX_LABEL: usize = 40;

impl Options {
    /// This label, no read-only files, this program as its own helper, the default engine, cgroups where possible, and no
    /// weak memory limit.
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            helper: Helper::ThisProgram,
            read_only: Vec::new(),
            docker_socket: None,
            cgroups: true,
            allow_weak_memory_limit: false,
        }
    }
}

/// The program that prepares a box from inside and is its first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Helper {
    /// The program that uses this crate, started a second time. Its `main` must begin with [`enter_if_asked`].
    ThisProgram,
    /// The program `box-init` of this crate, for programs whose `main` cannot begin with [`enter_if_asked`], such as
    /// tests, or that are so large that starting them a second time is slow.
    At(PathBuf),
}

/// An opened backend.
pub struct Opened {
    /// The backend, ready to run boxes.
    pub sandbox: Arc<dyn Sandbox>,
    /// Backends that [`Backend::Auto`] tried before this one, and why they do not work on this machine.
    pub passed_over: Vec<(&'static str, Error)>,
    /// How many containers or cgroups of an earlier, ended process were removed; see [`Sandbox::reap`].
    pub reaped: usize,
    /// Whether the memory of boxes is only watched; see [`Options::allow_weak_memory_limit`].
    pub weak_memory_limit: bool,
}

/// Opens a backend, tries it with a box that runs nothing, and removes what an ended process left behind.
///
/// # Errors
/// When the backend does not work on this machine; for [`Backend::Auto`], when none does.
pub async fn open(backend: Backend, options: Options) -> Result<Opened, Error> {
    owner::check_label(&options.label)?;
    let mut passed_over = Vec::new();
    if backend != Backend::Docker {
        match open_namespace(options.clone()).await {
            Ok((sandbox, weak_memory_limit)) => {
                let reaped = sandbox.reap().await?;
                return Ok(Opened { sandbox, passed_over, reaped, weak_memory_limit });
            }
            Err(error) if backend == Backend::Namespace => return Err(error),
            Err(error) => passed_over.push(("namespace", error)),
        }
    }
    match docker::Docker::open(options).await {
        Ok(docker) => {
            let reaped = docker.reap().await?;
            Ok(Opened { sandbox: Arc::new(docker), passed_over, reaped, weak_memory_limit: false })
        }
        Err(error) if backend == Backend::Docker => Err(error),
        Err(error) => {
            passed_over.push(("docker", error));
            let reasons: Vec<_> =
                passed_over.iter().map(|(name, error)| format!("{name}: {error}")).collect();
            Err(Error::Unavailable(format!("no backend works on this machine: {}", reasons.join("; "))))
        }
    }
}

/// The backend, and whether it only watches the memory.
#[cfg(target_os = "linux")]
async fn open_namespace(options: Options) -> Result<(Arc<dyn Sandbox>, bool), Error> {
    let namespace = namespace::Namespace::open(options).await?;
    let weak = !namespace.cgroup_controllers().contains(&"memory");
    Ok((Arc::new(namespace), weak))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unused_async, reason = "the same shape as on Linux")]
async fn open_namespace(_: Options) -> Result<(Arc<dyn Sandbox>, bool), Error> {
    Err(Error::Unavailable("namespaces exist on Linux only".into()))
}

/// If this process was started as the helper or the guard, becomes it and never returns; otherwise does nothing.
///
/// Must be the first thing in `main`: the helper has to be single-threaded. Needed with [`Helper::ThisProgram`], and for the
/// guard of the docker backend, which removes containers when this process is killed.
pub fn enter_if_asked() {
    owner::note_hook();
    let mut arguments = std::env::args_os();
    let Some(role) = arguments.nth(1) else { return };
    #[cfg(target_os = "linux")]
    if role == namespace::OUTER_ROLE {
        namespace::become_outer();
    } else if role == namespace::INIT_ROLE {
        namespace::become_init();
    } else if role == namespace::USERS_ROLE {
        namespace::become_users();
    }
    if role == docker::GUARD_ROLE {
        docker::become_guard(arguments);
    }
}
