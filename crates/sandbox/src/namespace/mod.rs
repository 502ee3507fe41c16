//! The `namespace` backend: a box made of what the kernel gives to everybody.
//!
//! ```text
//!   host (any threads)                  knows the job, reads the output, holds the cgroups
//!    └─ helper (one thread)             becomes root of a user namespace of its own; mount, PID, network, IPC, UTS
//!        └─ first process (PID 1)       proc, pivot_root; gives up all; rlimits, seccomp
//!            └─ the command             and whatever it starts
//! ```
//!
//! Each of the two in the middle is this crate's code in a process of its own ([`crate::Helper`]); they are tied together
//! from both ends. A host that dies closes its socket, the helper kills the first process, and the kernel kills whatever
//! else is in that PID namespace. Started by root, the box does not run as root but as a user number that nobody has.
//!
//! Two helpers wait in advance, since starting a program is what takes longest. For an ordinary user their namespaces and
//! first processes are made by then; started by root they wait for the order, since what the box will see has to be taken
//! while they are still root. Each becomes one box.
//!
//! Memory, processes and CPUs are limited by cgroups where this process may make some, otherwise by other means: processes by
//! `RLIMIT_NPROC`, which counts per user namespace; CPUs by affinity, so only whole ones; memory by watching (see `watch.rs`)
//! with `RLIMIT_DATA` behind it for each process. Which it was stands in [`crate::Outcome::in_force`].

mod init;
mod mounts;
mod outer;
mod pool;
mod protocol;
mod seccomp;
mod watch;

use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::cgroup::{self, CgroupPaths, Controller, Group};
use crate::output::{self, Allowance};
use crate::{BoxFuture, Error, Exit, Helper, InForce, Job, Limits, Options, Outcome, Sandbox, elf, owner};
use pool::Pool;
use protocol::{BoxSpec, Prelude, Report};

pub(crate) const OUTER_ROLE: &str = "__sandbox-helper";
pub(crate) const INIT_ROLE: &str = "__sandbox-init";

/// Runs boxes by Linux namespaces.
#[derive(Debug)]
pub struct Namespace {
    options: Options,
    helper: PathBuf,
    cgroups: CgroupPaths,
    network: Option<PathBuf>,
    pool: Pool<Running>,
}

/// Helpers that are started before they are needed. Starting a program is what a box takes longest for; two bridge the time
/// that the next one takes. Each becomes one box and is never used again; until then it has seen nothing of anybody's.
const POOLED_HELPERS: usize = 2;

/// How much longer than its wall clock a box may take to be made and to be taken apart before something is broken.
const GRACE: Duration = Duration::from_secs(20);

/// How often a box's memory cgroup is asked whether the kernel had to kill somebody.
const LOOK: Duration = Duration::from_millis(20);

impl Namespace {
    /// Opens the backend and makes one box that runs nothing, to see that it works here.
    ///
    /// # Errors
    /// When it does not, and why.
    pub async fn open(options: Options) -> Result<Self, Error> {
        Self::open_in(options, None).await
    }

    /// The same, with boxes that are **not** cut off: they join the network namespace that `path` names (such as
    /// `/proc/PID/ns/net`). For the positive control of the isolation experiment, in which an attempt has to be seen. The
    /// calling process needs CAP_SYS_ADMIN in the user namespace that the network namespace belongs to.
    ///
    /// # Errors
    /// As for [`Namespace::open`].
    pub async fn open_with_network(options: Options, path: PathBuf) -> Result<Self, Error> {
        Self::open_in(options, Some(path)).await
    }

    async fn open_in(options: Options, network: Option<PathBuf>) -> Result<Self, Error> {
        owner::check_label(&options.label)?;
        mounts::check_read_only(&options.read_only).map_err(Error::BadJob)?;
        let helper = match &options.helper {
            Helper::At(path) => path.clone(),
            Helper::ThisProgram if owner::is_hooked() => PathBuf::from("/proc/self/exe"),
            Helper::ThisProgram => {
                return Err(Error::Unavailable("main does not begin with sandbox::enter_if_asked()".into()));
            }
        };
        let cgroups =
            if options.cgroups { CgroupPaths::usable(&options.label) } else { CgroupPaths::default() };
        let this = Self { options, helper, cgroups, network, pool: Pool::new(POOLED_HELPERS) };
        this.make(None, &[], Limits { wall: Duration::from_secs(10), ..Limits::default() }).await?;
        Ok(this)
    }

    /// What this process may use cgroups for here; the rest is limited by other means.
    pub fn cgroup_controllers(&self) -> Vec<&'static str> {
        [(Controller::Memory, "memory"), (Controller::Pids, "pids"), (Controller::Cpu, "cpu")]
            .into_iter()
            .filter_map(|(controller, name)| self.cgroups.has(controller).then_some(name))
            .collect()
    }

    async fn run_job(&self, job: Job) -> Result<Outcome, Error> {
        job.check().map_err(Error::BadJob)?;
        if let Some(image) = &job.command.image {
            return Err(Error::BadJob(format!("the image {image:?} needs the docker backend")));
        }
        self.check_program(Path::new(&job.command.program))?;
        self.make(Some(&job.command), &job.stdin, job.limits).await
    }

    /// What would otherwise end in an error that tells nobody anything: a program whose loader is not in the box.
    fn check_program(&self, program: &Path) -> Result<(), Error> {
        let cannot = |reason: String| Error::CannotStart { program: program.display().to_string(), reason };
        if let elf::Kind::Dynamic(interpreter) =
            elf::kind(program).map_err(|error| cannot(error.to_string()))?
        {
            let shown = |path: &PathBuf| interpreter.starts_with(path);
            if !self.options.read_only.iter().any(shown) {
                return Err(cannot(format!(
                    "it is not statically linked and needs {}, which the box does not have; name it and the libraries in \
                     `read_only` (libraries_of)",
                    interpreter.display()
                )));
            }
        }
        Ok(())
    }

    async fn make(
        &self,
        command: Option<&crate::Command>,
        stdin: &[u8],
        limits: Limits,
    ) -> Result<Outcome, Error> {
        let started_at = Instant::now();
        let spec = self.spec(command, &limits)?;
        let group = Group::create(&self.cgroups, &limits, &self.options.label)
            .map_err(Error::io("making the box's cgroup"))?;
        let spec = BoxSpec { member_files: group.member_files(), ..spec };
        let mut running = self.helper()?;
        let (stdout_pipe, stderr_pipe) = (running.child.stdout.take(), running.child.stderr.take());
        let (Some(stdout_pipe), Some(stderr_pipe)) = (stdout_pipe, stderr_pipe) else {
            return Err(Error::Broken("the helper has no standard output".into()));
        };

        let allowance = Allowance::new(limits.output_bytes);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (mut truncated, mut out_of_memory) = (false, false);
        let (in_force, last) = {
            let hang_up = running.line_to_hang_up.take();
            let out = output::read(stdout_pipe, &allowance, &mut stdout);
            let err = output::read(stderr_pipe, &allowance, &mut stderr);
            let talk = async {
                running.tell(&spec, stdin).await?;
                // While this box is made. If it fails, the box that would have needed it starts its own, or says why not.
                let _ = self.pool.fill(|| Running::start(&self.helper, self.network.clone()));
                running.hear().await
            };
            let deadline = tokio::time::sleep(limits.wall + GRACE);
            let mut looks = tokio::time::interval(LOOK);
            tokio::pin!(out, err, talk, deadline);
            let (mut out_open, mut err_open, mut last) = (true, true, None);
            // The helper reports, then it ends, and with it the last that holds the other ends of the pipes.
            while last.is_none() || ((out_open || err_open) && !truncated) {
                let too_much = tokio::select! {
                    told = &mut talk, if last.is_none() => {
                        last = Some(told?);
                        continue;
                    }
                    end = &mut out, if out_open => {
                        out_open = false;
                        end == output::End::TooMuch
                    }
                    end = &mut err, if err_open => {
                        err_open = false;
                        end == output::End::TooMuch
                    }
                    // Version 1 of cgroups kills one process. The box is what has reached its limit, and goes as a whole.
                    _ = looks.tick(), if !out_of_memory => {
                        out_of_memory = group.paths().oom_kills() > 0;
                        if !out_of_memory {
                            continue;
                        }
                        false
                    }
                    () = &mut deadline => return Err(Error::Broken("it did not end when it should have".into())),
                };
                truncated |= too_much;
                // The helper ends the box and reports; for that, its own direction stays open.
                if let Some(line) = hang_up.as_ref().filter(|_| too_much || out_of_memory) {
                    line.shutdown(Shutdown::Write).map_err(Error::io("hanging up on the helper"))?;
                }
            }
            last.ok_or_else(|| Error::Broken("it ended without a report".into()))?
        };
        running.child.wait().await.map_err(Error::io("waiting for the helper"))?;

        let (exit, cpu_ns, watched) = match last {
            Report::Ended { exit, cpu_ns, peak_memory_bytes } => (exit, cpu_ns, peak_memory_bytes),
            Report::CannotStart(reason) => {
                return Err(Error::CannotStart {
                    program: command.map_or_else(String::new, |command| command.program.clone()),
                    reason: explained(reason),
                });
            }
            Report::Refused(refusal) => return Err(refusal.into()),
            Report::Ready(_) => return Err(Error::Broken("it was ready twice".into())),
        };
        let exit = if truncated {
            Exit::TooMuchOutput
        } else if out_of_memory || group.paths().oom_kills() > 0 {
            Exit::OutOfMemory
        } else {
            exit
        };
        let mut all_in_force = group.paths().in_force();
        for entry in &mut all_in_force {
            // The box's first process is in the group too.
            if entry.name == "processes"
                && let Ok(value) = entry.value.parse::<u64>()
            {
                entry.value = value.saturating_sub(1).to_string();
                entry.mechanism += " (1 more is the box's own)";
            }
        }
        all_in_force.extend(in_force);
        all_in_force.push(InForce::new(
            "output_bytes",
            "counted while reading, then SIGKILL to all",
            limits.output_bytes.to_string(),
        ));
        let peak_memory_bytes = group.paths().peak_bytes().or((watched > 0).then_some(watched));
        drop(group);
        Ok(Outcome {
            stdout,
            stderr,
            truncated,
            exit,
            peak_memory_bytes,
            cpu_time: Some(Duration::from_nanos(cpu_ns)),
            duration: started_at.elapsed(),
            in_force: all_in_force,
        })
    }

    /// A helper that waits for an order, or a new one.
    fn helper(&self) -> Result<Running, Error> {
        while let Some(mut running) = self.pool.take() {
            // Somebody may have killed it.
            if matches!(running.child.try_wait(), Ok(None)) {
                return Ok(running);
            }
        }
        Running::start(&self.helper, self.network.clone())
    }

    /// The order for a box, but for its cgroups; refused if a limit has no mechanism here.
    fn spec(&self, command: Option<&crate::Command>, limits: &Limits) -> Result<BoxSpec, Error> {
        let pin_to_cpus = if self.cgroups.has(Controller::Cpu) {
            None
        } else if limits.cpus.fract() == 0.0 {
            // Up to 1024, by the job's own check.
            Some(limits.cpus as u64)
        } else {
            return Err(Error::NoMechanism {
                limit: "cpus",
                reason: format!(
                    "{} CPUs need the cgroup controller `cpu`, which is not delegated here; affinity knows whole ones only",
                    limits.cpus
                ),
            });
        };
        Ok(BoxSpec {
            program: command.map(|command| PathBuf::from(&command.program)),
            arguments: command.map_or_else(Vec::new, |command| command.arguments.clone()),
            environment: command.map_or_else(Vec::new, |command| command.environment.clone()),
            read_only: self.options.read_only.clone(),
            memory_bytes: limits.memory_bytes,
            processes: limits.processes,
            scratch_bytes: limits.scratch_bytes,
            // Up to a day, by the job's own check.
            wall_ns: limits.wall.as_nanos() as u64,
            pin_to_cpus,
            limit_processes: !self.cgroups.has(Controller::Pids),
            watch_memory: !self.cgroups.has(Controller::Memory),
            member_files: Vec::new(),
            has_network: self.network.is_some(),
        })
    }
}

impl Sandbox for Namespace {
    fn name(&self) -> &'static str {
        "namespace"
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, Error>> {
        Box::pin(self.run_job(job))
    }

    /// Boxes end with their host, whatever ends it; only cgroups can be left, and they are empty.
    fn reap(&self) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(async {
            cgroup::reap(&self.cgroups, &self.options.label)
                .map_err(Error::io("removing cgroups that were left"))
        })
    }
}

/// A helper that runs. Dropped, it is killed, and its box with it.
#[derive(Debug)]
struct Running {
    child: Child,
    socket: UnixStream,
    /// The same socket, to be shut down while the other one is being read.
    line_to_hang_up: Option<StdUnixStream>,
}

impl Running {
    fn start(helper: &Path, network: Option<PathBuf>) -> Result<Self, Error> {
        let step = || Error::io(format!("starting the helper {}", helper.display()));
        let (ours, theirs) = StdUnixStream::pair().map_err(step())?;
        // A few bytes, which the socket takes at once.
        protocol::send(&ours, &Prelude { network }).map_err(step())?;
        ours.set_nonblocking(true).map_err(step())?;
        let line_to_hang_up = Some(ours.try_clone().map_err(step())?);
        let child = Command::new(helper)
            .arg(OUTER_ROLE)
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is the host's to handle.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(step())?;
        Ok(Self { child, socket: UnixStream::from_std(ours).map_err(step())?, line_to_hang_up })
    }

    async fn tell(&mut self, spec: &BoxSpec, stdin: &[u8]) -> Result<(), Error> {
        let broken = |error| Error::Broken(format!("the helper took no orders: {error}"));
        protocol::send_async(&mut self.socket, spec).await.map_err(broken)?;
        protocol::send_bytes_async(&mut self.socket, stdin).await.map_err(broken)
    }

    /// Listens until the end.
    async fn hear(&mut self) -> Result<(Vec<InForce>, Report), Error> {
        let mut in_force = Vec::new();
        loop {
            match protocol::recv_async(&mut self.socket).await {
                Ok(Report::Ready(list)) => in_force = list,
                Ok(report) => return Ok((in_force, report)),
                Err(error) => return Err(Error::Broken(format!("the helper died: {error}"))),
            }
        }
    }
}

/// Some refusals have the same reason nearly always.
fn explained(reason: String) -> String {
    if reason.contains("Permission denied") {
        return format!(
            "{reason}; it has to be executable by others, since the box runs as nobody in particular"
        );
    }
    reason
}

/// The helper's whole life, if this process was started to be one.
pub(crate) fn become_outer() -> ! {
    outer::main();
    std::process::exit(0)
}

/// The first process's whole life.
pub(crate) fn become_init() -> ! {
    init::main();
    std::process::exit(0)
}
