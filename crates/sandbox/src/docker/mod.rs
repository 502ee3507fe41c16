//! The `docker` backend: a box is a container, made through the Engine API.
//!
//! A program of this machine becomes an image of its own, `FROM scratch`: one layer with one file. The tag is a hash of the
//! content, so that the image is made once. Images are never pulled. The container has no network, a read-only root, a limited
//! tmpfs at `/tmp`, no capabilities, `no-new-privileges`, the same allow-list of system calls as the other backend, and limits
//! on memory (no swap), CPUs, processes and open files. It keeps no log: the backend reads and counts the command's output from
//! the attached streams.
//!
//! The engine removes a container when it ends (`AutoRemove`). The engine's events report how it ended; the engine
//! keeps them for a while, so that the backend sees the end of the shortest container, too. If this process is killed,
//! its guard removes the containers: the guard is a second process of this program, which sees the pipe to this process
//! close. If the guard is killed too, the next start removes the containers by label.
//!
//! Docker adds `PATH`, `HOSTNAME` and the variables of the image to an environment.

mod container;
mod events;
mod guard;
mod image;
mod in_force;
mod plan;
mod profile;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::API_DEFAULT_VERSION;
use bollard::models::SystemInfo;
use tokio::process::{Child, Command};

use crate::{BoxFuture, Error, Helper, Job, Limits, Options, Outcome, Sandbox, owner};
use plan::{Network, Plan};

pub(crate) const GUARD_ROLE: &str = "__sandbox-guard";
pub(crate) use guard::become_guard;

/// Deadline for an answer of the engine, in seconds. Making a container takes milliseconds, under load some hundred.
const ANSWER_SECONDS: u64 = 60;

/// The engine's socket if neither options nor environment name one.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Runs boxes as containers.
#[derive(Debug)]
pub struct Docker {
    engine: bollard::Docker,
    options: Options,
    info: SystemInfo,
    images: image::Images,
    network: Network,
    guard_name: String,
    /// Its standard input is a pipe that closes when this process ends.
    _guard: Child,
}

impl Docker {
    /// Connects to the engine and starts the guard.
    ///
    /// # Errors
    /// When no engine answers.
    pub async fn open(options: Options) -> Result<Self, Error> {
        Self::open_in(options, Network::None).await
    }

    /// Like [`Docker::open`], but the boxes are **not** isolated: they join this network of the engine. For the isolation
    /// experiment's positive control, in which the captures must show the attempts.
    ///
    /// # Errors
    /// As for [`Docker::open`].
    pub async fn open_with_network(options: Options, network: String) -> Result<Self, Error> {
        Self::open_in(options, Network::Named(network)).await
    }

    async fn open_in(options: Options, network: Network) -> Result<Self, Error> {
        owner::check_label(&options.label)?;
        let socket = socket(&options);
        let engine = connect(&socket).await?;
        let info = engine.info().await.map_err(Error::engine("asking for the engine's properties"))?;
        let guard_name = owner::unique();
        let guard = start_guard(&options, &socket, &guard_name)?;
        Ok(Self {
            engine,
            options,
            info,
            images: image::Images::default(),
            network,
            guard_name,
            _guard: guard,
        })
    }

    async fn run_job(&self, job: Job) -> Result<Outcome, Error> {
        job.check().map_err(Error::BadJob)?;
        self.check_limits(&job.limits)?;
        let (image, program) = match &job.command.image {
            Some(image) => (image.clone(), job.command.program.clone()),
            None => self.images.of_program(&self.engine, &job.command.program).await?,
        };
        container::run(
            &self.engine,
            Plan {
                name: owner::box_name(&self.options.label),
                label: self.options.label.clone(),
                guard: self.guard_name.clone(),
                image,
                program,
                network: self.network.clone(),
                user: self.user(),
                cpus: job.limits.cpus.min(self.info.ncpu.unwrap_or(1).max(1) as f64),
                job,
            },
        )
        .await
    }

    /// An unused user number for each box, because the kernel counts watches, pipes and other things for each user. An engine
    /// in a user namespace may have no such number: then `nobody`.
    fn user(&self) -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let options = self.info.security_options.iter().flatten();
        let is_mapped = |option: &String| option.contains("name=userns") || option.contains("name=rootless");
        if options.into_iter().any(is_mapped) {
            return owner::NOBODY;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id());
        owner::FIRST_CONTAINER_USER + (number & 0xffff)
    }

    /// Rejects limits that the engine's kernel cannot enforce. The engine itself would only warn and drop them.
    fn check_limits(&self, limits: &Limits) -> Result<(), Error> {
        let cannot = |limit, what: &str| Error::NoMechanism {
            limit,
            reason: format!("the engine's kernel cannot limit {what}"),
        };
        let Limits { memory_bytes: _, cpus: _, processes: _, scratch_bytes: _, output_bytes: _, wall: _ } =
            limits;
        let info = &self.info;
        if info.memory_limit != Some(true) {
            return Err(cannot("memory_bytes", "memory"));
        }
        if info.swap_limit != Some(true) && !machine_has_no_swap() {
            return Err(cannot("memory_bytes", "swap"));
        }
        if info.cpu_cfs_quota != Some(true) || info.cpu_cfs_period != Some(true) {
            return Err(cannot("cpus", "CPU time"));
        }
        if info.pids_limit != Some(true) {
            return Err(cannot("processes", "processes"));
        }
        Ok(())
    }
}

impl Sandbox for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, Error>> {
        Box::pin(self.run_job(job))
    }

    fn reap(&self) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(guard::remove_boxes(&self.engine, guard::LABEL, &self.options.label, owner::Owner::is_gone))
    }
}

fn socket(options: &Options) -> PathBuf {
    let named = || std::env::var("DOCKER_HOST").ok()?.strip_prefix("unix://").map(PathBuf::from);
    options.docker_socket.clone().or_else(named).unwrap_or_else(|| DEFAULT_SOCKET.into())
}

async fn connect(socket: &std::path::Path) -> Result<bollard::Docker, Error> {
    let unavailable = |error: bollard::errors::Error| {
        // The client's error does not name the system's reason.
        let why = match std::os::unix::net::UnixStream::connect(socket) {
            Ok(_) => error.to_string(),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                format!("{error}; this user needs the group that owns the socket")
            }
            Err(error) => error.to_string(),
        };
        Error::Unavailable(format!("no Docker engine at {}: {why}", socket.display()))
    };
    bollard::Docker::connect_with_unix(&socket.to_string_lossy(), ANSWER_SECONDS, API_DEFAULT_VERSION)
        .map_err(unavailable)?
        .negotiate_version()
        .await
        .map_err(unavailable)
}

fn start_guard(options: &Options, socket: &std::path::Path, name: &str) -> Result<Child, Error> {
    let program = match &options.helper {
        Helper::At(path) => path.clone(),
        Helper::ThisProgram if owner::is_hooked() => "/proc/self/exe".into(),
        Helper::ThisProgram => {
            return Err(Error::Unavailable("main does not begin with sandbox::enter_if_asked()".into()));
        }
    };
    Command::new(&program)
        .arg(GUARD_ROLE)
        .arg(socket)
        .arg(name)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C must not reach the guard: it has to outlive this process.
        .process_group(0)
        .spawn()
        .map_err(Error::io(format!("starting the guard {}", program.display())))
}

/// Whether `/proc/swaps` can be read and has only its heading.
fn machine_has_no_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() <= 1)
}

impl Error {
    pub(crate) fn engine(step: &'static str) -> impl FnOnce(bollard::errors::Error) -> Self {
        move |error| Self::Engine { step, error: words(&error) }
    }
}

/// The engine's message, without the client library's text around it.
fn words(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// The status code of the engine's answer, if there was an answer.
fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
