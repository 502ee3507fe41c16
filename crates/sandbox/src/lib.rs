//! Runs one command in a disposable box and gives back its output, how it ended, what it cost, and the limits that were
//! *really* in force, read back from the kernel.
//!
//! A box has no network, an empty read-only root, a small scratch folder at `/tmp`, no capabilities and no way to get any, and
//! bounds on memory, CPUs, processes, scratch, output and time. It is made for one command and is gone afterwards. Two
//! backends stand behind one trait, [`Sandbox`]:
//!
//! - `namespace`: Linux namespaces, seccomp and cgroups or rlimits; needs no root and no daemon. See [`namespace`].
//! - `docker`: a container through the Engine API, for those who have an image. See [`docker`].
//!
//! **There is no unsandboxed fallback.** A limit that has no mechanism on this machine is refused with
//! [`Error::NoMechanism`], never dropped silently; [`Outcome::in_force`] names the mechanism and the value of each.
//!
//! Data flows one way: a [`Job`] goes in, an [`Outcome`] comes out. The crate knows nothing about what runs in the box, nor
//! about conversations, users, captures or verdicts. The document that the project's own program for boxes reads, and the
//! one it answers with, are described in the crate `runner`.
//!
//! # Use
//!
//! ```no_run
//! use sandbox::{Backend, Command, Job, Limits, Options};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // First of all, before threads or a runtime: this program is also the helper that becomes the box.
//!     sandbox::enter_if_asked();
//!     tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//!         let opened = sandbox::open(Backend::Auto, Options::new("example")).await?;
//!         let job = Job {
//!             command: Command::program("/usr/local/bin/runner"),
//!             stdin: br#"{"schema":"plainsight.prompt/1","conversation":[],"prompt":"hello"}"#.to_vec(),
//!             limits: Limits::default(),
//!         };
//!         let outcome = opened.sandbox.run(job).await?;
//!         println!("{:?}: {}", outcome.exit, String::from_utf8_lossy(&outcome.stdout));
//!         Ok(())
//!     })
//! }
//! ```
//!
//! Another program than the project's own is configuration. A coding agent's command line from an image of your own:
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
//! The prompt goes in by stdin and never becomes part of a command line: no shell is involved anywhere. An agent that has to
//! reach its provider cannot do so from a box without network; that is what the box is for.

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

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

pub use elf::libraries_of;
pub use error::{Error, Refusal};
pub use job::{Command, Job, Limits};
pub use outcome::{Exit, InForce, Outcome};

/// A future of a trait method.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that runs commands in boxes.
pub trait Sandbox: Send + Sync {
    /// `namespace` or `docker`.
    fn name(&self) -> &'static str;

    /// Runs one command in a box of its own and returns when nothing of it runs any more.
    ///
    /// Dropping the future ends the box: nothing of it runs on for longer than the kernel or the engine takes to kill it.
    ///
    /// # Errors
    /// When the box could not be made as asked for, or its command could not be started. How a command ended, be it by a
    /// limit, is no error but [`Outcome::exit`].
    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, Error>>;

    /// Removes what boxes of the same label left behind whose owner is gone, and says how many pieces that were. [`open`]
    /// does this once.
    ///
    /// # Errors
    /// When what is there cannot be listed or removed.
    fn reap(&self) -> BoxFuture<'_, Result<usize, Error>>;
}

/// Which backend to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The first that works here: `namespace`, then `docker`.
    Auto,
    /// Containers through the Engine API.
    Docker,
    /// Linux namespaces.
    Namespace,
}

/// What a backend is opened with. It cannot give a box a network: that takes a constructor of its own, for the isolation
/// experiment's positive control ([`namespace::Namespace::open_with_network`], [`docker::Docker::open_with_network`]).
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose boxes these are. [`Sandbox::reap`] removes only boxes of the same label whose owner is gone. Two programs that
    /// use one engine from different containers cannot see each other's processes and need different labels. One to
    /// [`MAX_LABEL`] letters, digits, `-`, `_` or `.`.
    pub label: String,
    /// What the namespace backend becomes a box with.
    pub helper: Helper,
    /// Files and folders of this machine that a box of the namespace backend sees, read-only, at the same path: the libraries
    /// of a program that is not statically linked ([`libraries_of`]), or whatever else it needs. Symbolic links are followed.
    /// Nothing below `/dev`, `/proc`, `/program` or `/tmp`, which are the box's own.
    pub read_only: Vec<PathBuf>,
    /// The engine's socket. `None`: `DOCKER_HOST` if that names a Unix socket, else `/var/run/docker.sock`.
    pub docker_socket: Option<PathBuf>,
    /// cgroups are used where they can be; `false` makes the namespace backend do without them.
    pub cgroups: bool,
}

/// Longest [`Options::label`] in bytes: it becomes part of names of containers and cgroups.
pub const MAX_LABEL: usize = 40;

impl Options {
    /// With this label, no read-only files, this very program as its helper, the usual engine, and cgroups where possible.
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            helper: Helper::ThisProgram,
            read_only: Vec::new(),
            docker_socket: None,
            cgroups: true,
        }
    }
}

/// The program that prepares a box from inside and then waits in it as its first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Helper {
    /// The program that uses this crate, started once more. Its `main` must begin with [`enter_if_asked`].
    ThisProgram,
    /// The program `box-init` of this crate, for those who cannot change `main`, such as tests, or are so large that starting
    /// them once more takes long.
    At(PathBuf),
}

/// What [`open`] found.
pub struct Opened {
    /// The backend.
    pub sandbox: Arc<dyn Sandbox>,
    /// The ones that [`Backend::Auto`] would have taken first, and why they do not work here.
    pub passed_over: Vec<(&'static str, Error)>,
    /// How many pieces of boxes of an earlier life were removed.
    pub reaped: usize,
}

/// Opens a backend, tries it with a box that does nothing, and removes what an owner that is gone left behind.
///
/// # Errors
/// When the backend does not work here, and why; for [`Backend::Auto`], when none does.
pub async fn open(backend: Backend, options: Options) -> Result<Opened, Error> {
    owner::check_label(&options.label)?;
    let mut passed_over = Vec::new();
    if backend != Backend::Docker {
        match open_namespace(options.clone()).await {
            Ok(sandbox) => {
                let reaped = sandbox.reap().await?;
                return Ok(Opened { sandbox, passed_over, reaped });
            }
            Err(error) if backend == Backend::Namespace => return Err(error),
            Err(error) => passed_over.push(("namespace", error)),
        }
    }
    match docker::Docker::open(options).await {
        Ok(docker) => {
            let reaped = docker.reap().await?;
            Ok(Opened { sandbox: Arc::new(docker), passed_over, reaped })
        }
        Err(error) if backend == Backend::Docker => Err(error),
        Err(error) => {
            passed_over.push(("docker", error));
            let reasons: Vec<_> =
                passed_over.iter().map(|(name, error)| format!("{name}: {error}")).collect();
            Err(Error::Unavailable(format!("no backend works here: {}", reasons.join("; "))))
        }
    }
}

#[cfg(target_os = "linux")]
async fn open_namespace(options: Options) -> Result<Arc<dyn Sandbox>, Error> {
    Ok(Arc::new(namespace::Namespace::open(options).await?))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unused_async, reason = "the same shape as on Linux")]
async fn open_namespace(_: Options) -> Result<Arc<dyn Sandbox>, Error> {
    Err(Error::Unavailable("namespaces are a thing of Linux".into()))
}

/// Becomes the helper and never returns, if that is what this process was started for; otherwise does nothing.
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
    }
    if role == docker::GUARD_ROLE {
        docker::become_guard(arguments);
    }
}
