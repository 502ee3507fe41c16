//! The `namespace` backend: a box made of Linux namespaces, which need no root and no daemon.
//!
//! ```text
//!   host (any threads)                  knows the job, reads the output, holds the cgroups
//!    └─ helper (one thread)             becomes root of a user namespace of its own; mount, PID, network, IPC, UTS
//!        └─ first process (PID 1)       proc, pivot_root; drops all rights; rlimits, seccomp
//!            └─ the command             and whatever it starts
//! ```
//!
//! Helper and first process run this crate's code, each in a process of its own ([`crate::Helper`]). When the host dies, the
//! kernel closes its socket, the helper kills the first process, and the kernel kills everything else in that PID namespace.
//! Started by root, a box runs under an unused user number; started by an ordinary user, under a subordinate one where there
//! are any (`subordinate.rs`).
//!
//! Two helpers are started in advance, because starting a program and making namespaces takes most of the time of making a
//! box. They also prepare its root, with the program and the files that the last box had; if the next box needs others, or one
//! of them has changed, a new helper is started. Each helper becomes one box.
//!
//! Cgroups limit memory, processes and CPUs where this process can make some, if need be in a scope that the user's service
//! manager makes for it (`user_scope.rs`). Otherwise `RLIMIT_NPROC`, which counts per user namespace, limits processes;
//! affinity limits CPUs, to whole ones. For memory there is no other mechanism that holds: the backend refuses to start,
//! unless [`crate::Options::allow_weak_memory_limit`] is set. Then the helper watches the memory (see `watch.rs`), with
//! `RLIMIT_DATA` as a second bound for each process. [`crate::Outcome::in_force`] names the mechanism of each limit.

mod helper;
mod init;
mod mounts;
mod network;
mod outer;
mod pool;
mod protocol;
mod seccomp;
mod subordinate;
mod user_scope;
mod watch;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cgroup::{self, CgroupPaths, Controller, Group};
use crate::output::{self, Allowance};
use crate::{BoxFuture, Error, Exit, Helper, InForce, Job, Limits, Options, Outcome, Sandbox, elf, owner};
use helper::RunningHelper;
use pool::Pool;
use protocol::{BoxSpec, Prelude, Report};

pub(crate) const OUTER_ROLE: &str = "__sandbox-helper";
pub(crate) const INIT_ROLE: &str = "__sandbox-init";
pub(crate) const USERS_ROLE: &str = "__sandbox-users";

/// Runs boxes by Linux namespaces.
#[derive(Debug)]
pub struct Namespace {
    options: Options,
    helper: PathBuf,
    cgroups: CgroupPaths,
    network: Option<PathBuf>,
    pool: Pool<RunningHelper>,
    /// The subordinate users of which each box gets one.
    users: Option<subordinate::Users>,
}

/// Number of helpers that are started in advance: starting a program takes most of the time of making a box, and two
/// helpers suffice until the next one is ready. Each becomes one box and is never used again; before that it has no
/// user's data.
const POOLED_HELPERS: usize = 2;

/// Time beyond its wall clock in which a box must be made and removed. Only a defect takes longer.
const GRACE: Duration = Duration::from_secs(20);

/// Interval at which the host reads from a box's memory cgroup whether the kernel has killed a process.
const MEMORY_CHECK_INTERVAL: Duration = Duration::from_millis(20);

impl Namespace {
    /// Opens the backend. To test it, makes one box that runs nothing.
    ///
    /// # Errors
    /// When the backend does not work on this machine.
    pub async fn open(options: Options) -> Result<Self, Error> {
        Self::open_in(options, None).await
    }

    /// Like [`Namespace::open`], but the boxes are **not** isolated: they join the network namespace at `path` (such as
    /// `/proc/PID/ns/net`). For the isolation experiment's positive control, in which the captures must show the attempts. The
    /// calling process needs CAP_SYS_ADMIN in the user namespace that owns the network namespace.
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
        let cgroups = cgroups(&options).await?;
        let users = subordinate::Users::make(&helper).await;
        let pool = Pool::new(POOLED_HELPERS);
        let mut this = Self { options, helper, cgroups, network, pool, users };
        let limits = Limits { wall: Duration::from_secs(10), ..Limits::default() };
        if this.users.is_some() && this.make(None, limits).await.is_ok() {
            return Ok(this);
        }
        // The kernel can refuse a namespace in a namespace. Then the box has its host's user number.
        this.users = None;
        this.make(None, limits).await?;
        Ok(this)
    }

    /// The cgroup controllers that this process can use; other limits have other mechanisms.
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
        self.make(Some(&job), job.limits).await
    }

    /// Rejects a program whose loader is not in the box, because the kernel's error for it would name no file.
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

    /// Makes a box, runs the job in it (or nothing, for a trial box), and removes it.
    async fn make(&self, job: Option<&Job>, limits: Limits) -> Result<Outcome, Error> {
        let started_at = Instant::now();
        let command = job.map(|job| &job.command);
        let spec = self.spec(command, &limits)?;
        let prelude = self.prelude(command);
        let group = Group::create(&self.cgroups, &limits, &self.options.label)
            .map_err(Error::io("making the box's cgroup"))?;
        let spec = BoxSpec { program: prelude.program_inside(), ..spec };
        let mut helper = self.helper(&prelude)?;
        let life = self.attend(&mut helper, &spec, job, &prelude, &limits, &group).await?;
        helper.has_ended().await?;
        let (exit, cpu_time, watched_bytes) = ending(life.report, command)?;
        let exit = if life.too_much_output {
            Exit::TooMuchOutput
        } else if life.out_of_memory || group.paths().oom_kills() > 0 {
            Exit::OutOfMemory
        } else {
            exit
        };
        let peak_memory_bytes = group.paths().peak_bytes().or((watched_bytes > 0).then_some(watched_bytes));
        let in_force = all_in_force(&group, life.in_force, &limits);
        drop(group);
        Ok(Outcome {
            stdout: life.stdout,
            stderr: life.stderr,
            truncated: life.too_much_output,
            exit,
            peak_memory_bytes,
            cpu_time: Some(cpu_time),
            duration: started_at.elapsed(),
            in_force,
        })
    }

    /// Sends the helper its box, reads the box's output, and enforces the limits that only the host can see, until the
    /// helper has reported the end and the streams are closed.
    async fn attend(
        &self,
        helper: &mut RunningHelper,
        spec: &BoxSpec,
        job: Option<&Job>,
        prelude: &Prelude,
        limits: &Limits,
        group: &Group,
    ) -> Result<Life, Error> {
        let (stdout_pipe, stderr_pipe, hang_up) = helper.take_streams()?;
        let stdin = job.map_or(&[][..], |job| &job.stdin);
        let live = job.and_then(|job| job.stdout.as_ref());
        let allowance = Allowance::new(limits.output_bytes);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (mut too_much_output, mut out_of_memory) = (false, false);
        let (in_force, report) = {
            let out = output::read(stdout_pipe, &allowance, &mut stdout, live);
            let err = output::read(stderr_pipe, &allowance, &mut stderr, None);
            let exchange = async {
                let first = helper.prepared().await?;
                group.add(first).await.map_err(Error::io("entering the box's cgroup"))?;
                helper.send(spec, stdin).await?;
                // In the meantime, refills the pool. If that fails, the next box starts its own helper, or reports why it cannot.
                if job.is_some() {
                    let _ = self.pool.fill(|| self.start_helper(prelude));
                }
                helper.receive_reports().await
            };
            let deadline = tokio::time::sleep(limits.wall + GRACE);
            let mut memory_checks = tokio::time::interval(MEMORY_CHECK_INTERVAL);
            tokio::pin!(out, err, exchange, deadline);
            let (mut out_open, mut err_open, mut last) = (true, true, None);
            // The helper reports and ends. It is the last process that holds the other ends of the pipes.
            while last.is_none() || ((out_open || err_open) && !too_much_output) {
                let over_output = tokio::select! {
                    reports = &mut exchange, if last.is_none() => {
                        last = Some(reports?);
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
                    // Under cgroups version 1 the kernel kills one process, but the limit is that of the whole box, so the whole box ends.
                    _ = memory_checks.tick(), if !out_of_memory => {
                        out_of_memory = group.paths().oom_kills() > 0;
                        if !out_of_memory {
                            continue;
                        }
                        false
                    }
                    () = &mut deadline => return Err(Error::Broken("it did not end in time".into())),
                };
                too_much_output |= over_output;
                if over_output || out_of_memory {
                    hang_up.hang_up()?;
                }
            }
            last.ok_or_else(|| Error::Broken("it ended without a report".into()))?
        };
        Ok(Life { stdout, stderr, too_much_output, out_of_memory, in_force, report })
    }

    /// A helper from the pool, or a new one.
    fn helper(&self, prelude: &Prelude) -> Result<RunningHelper, Error> {
        while let Some(mut helper) = self.pool.take() {
            if helper.can_become(prelude) {
                return Ok(helper);
            }
        }
        self.start_helper(prelude)
    }

    fn start_helper(&self, prelude: &Prelude) -> Result<RunningHelper, Error> {
        let users = self.users.as_ref().map(|users| users.namespace.as_fd());
        RunningHelper::start(&self.helper, prelude.clone(), users)
    }

    /// What a helper can prepare for this command.
    fn prelude(&self, command: Option<&crate::Command>) -> Prelude {
        Prelude {
            network: self.network.clone(),
            subordinate_users: self.users.as_ref().map(|users| users.count),
            program: command.map(|command| PathBuf::from(&command.program)),
            read_only: self.options.read_only.clone(),
            limit_processes: !self.cgroups.has(Controller::Pids),
            watch_memory: !self.cgroups.has(Controller::Memory),
        }
    }

    /// The description of the box for the helper, without its program and cgroups. Fails if a limit has no mechanism on this
    /// machine.
    fn spec(&self, command: Option<&crate::Command>, limits: &Limits) -> Result<BoxSpec, Error> {
        let pin_to_cpus = if self.cgroups.has(Controller::Cpu) {
            None
        } else if limits.cpus.fract() == 0.0 {
            // The job's check allows at most 1024.
            Some(limits.cpus as u64)
        } else {
            return Err(Error::NoMechanism {
                limit: "cpus",
                reason: format!(
                    "{} CPUs need the cgroup controller `cpu`, which is not delegated here; affinity limits whole CPUs only",
                    limits.cpus
                ),
            });
        };
        Ok(BoxSpec {
            program: None,
            arguments: command.map_or_else(Vec::new, |command| command.arguments.clone()),
            environment: command.map_or_else(Vec::new, |command| command.environment.clone()),
            memory_bytes: limits.memory_bytes,
            processes: limits.processes,
            scratch_bytes: limits.scratch_bytes,
            // The job's check allows at most a day.
            wall_ns: limits.wall.as_nanos() as u64,
            pin_to_cpus,
            limit_processes: !self.cgroups.has(Controller::Pids),
            watch_memory: !self.cgroups.has(Controller::Memory),
            host_user: nix::unistd::geteuid().as_raw(),
            has_network: self.network.is_some(),
        })
    }
}

/// The cgroups that this process can make. Where it can make none for memory, it asks the user's service manager for a group
/// of its own.
async fn cgroups(options: &Options) -> Result<CgroupPaths, Error> {
    let usable = |label: &str| CgroupPaths::usable(label);
    let mut cgroups = if options.cgroups { usable(&options.label) } else { CgroupPaths::default() };
    let mut asked = "cgroups are switched off".to_owned();
    if options.cgroups && !cgroups.has(Controller::Memory) {
        match user_scope::enter().await {
            Ok(()) => {
                cgroups = usable(&options.label);
                "its user's service manager gave it a group without the memory controller"
                    .clone_into(&mut asked);
            }
            Err(reason) => asked = reason,
        }
    }
    if cgroups.has(Controller::Memory) || options.allow_weak_memory_limit {
        return Ok(cgroups);
    }
    Err(Error::NoMechanism {
        limit: "memory_bytes",
        reason: format!("no memory cgroup can be made here ({asked}); {REMEDY}"),
    })
}

/// What to do where no cgroup limits memory.
const REMEDY: &str = "start it as a service with `Delegate=yes` (docs/plainsight-gateway.service), by \
                      `systemd-run --user --scope -p Delegate=yes`, or as root; use the docker backend; or accept a limit that \
                      a hostile program can walk around in part with --allow-weak-memory-limit";

impl Sandbox for Namespace {
    fn name(&self) -> &'static str {
        "namespace"
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Result<Outcome, Error>> {
        Box::pin(self.run_job(job))
    }

    /// Boxes end with their host in any case; only their empty cgroups can remain.
    fn reap(&self) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(async {
            cgroup::reap(&self.cgroups, &self.options.label).map_err(Error::io("removing leftover cgroups"))
        })
    }
}

/// The host's observations of a box.
struct Life {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    too_much_output: bool,
    /// The box's memory cgroup has killed a process.
    out_of_memory: bool,
    /// The limits that helper and first process read back.
    in_force: Vec<InForce>,
    /// The helper's last report.
    report: Report,
}

/// How the command ended, by the helper's last report: exit, CPU time, and the peak memory in bytes that the helper
/// measured (0 if it did not watch the memory).
fn ending(report: Report, command: Option<&crate::Command>) -> Result<(Exit, Duration, u64), Error> {
    match report {
        Report::Ended { exit, cpu_ns, peak_memory_bytes } => {
            Ok((exit, Duration::from_nanos(cpu_ns), peak_memory_bytes))
        }
        Report::CannotStart(reason) => Err(Error::CannotStart {
            program: command.map_or_else(String::new, |command| command.program.clone()),
            reason: explained(reason),
        }),
        Report::Refused(refusal) => Err(refusal.into()),
        Report::Ready(_) | Report::Prepared(_) => {
            Err(Error::Broken("the helper reported twice that it was ready".into()))
        }
    }
}

/// All limits that were in force: the host's, then those that the helper and the first process read back.
fn all_in_force(group: &Group, reported: Vec<InForce>, limits: &Limits) -> Vec<InForce> {
    let mut all = group.paths().in_force();
    for entry in &mut all {
        // The box's first process is in the group too.
        if entry.name == "processes"
            && let Ok(value) = entry.value.parse::<u64>()
        {
            entry.value = value.saturating_sub(1).to_string();
            entry.mechanism += " (1 more is the box's own)";
        }
    }
    all.extend(reported);
    all.push(InForce::new(
        "output_bytes",
        "counted while reading, then SIGKILL to all",
        limits.output_bytes.to_string(),
    ));
    all
}

/// Adds the usual cause to an error of the kernel.
fn explained(reason: String) -> String {
    if reason.contains("Permission denied") {
        return format!(
            "{reason}; it must be executable by other users, because the box runs under an unused user number"
        );
    }
    reason
}

/// The main function of the helper.
pub(crate) fn become_outer() -> ! {
    outer::main();
    std::process::exit(0)
}

/// The main function of the process that makes a user namespace with subordinate users.
pub(crate) fn become_users() -> ! {
    std::process::exit(i32::from(subordinate::main().is_err()))
}

/// The main function of a box's first process.
pub(crate) fn become_init() -> ! {
    init::main();
    std::process::exit(0)
}
