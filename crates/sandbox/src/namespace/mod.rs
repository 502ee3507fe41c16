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
//! Started by root, a box runs under an unused user number.
//!
//! Two helpers are started in advance, because starting a program takes most of the time of making a box. For an
//! ordinary user they also make their namespaces and first processes in advance. Started by root they first wait for
//! the box's description, because they must open the box's files while they are still root. Each helper becomes one
//! box.
//!
//! Cgroups limit memory, processes and CPUs where this process can make some. Otherwise `RLIMIT_NPROC`, which counts per user
//! namespace, limits processes; affinity limits CPUs, to whole ones; and the helper watches the memory (see `watch.rs`), with
//! `RLIMIT_DATA` as a second bound for each process. [`crate::Outcome::in_force`] names the mechanism of each limit.

mod helper;
mod init;
mod mounts;
mod outer;
mod pool;
mod protocol;
mod seccomp;
mod watch;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cgroup::{self, CgroupPaths, Controller, Group};
use crate::output::{self, Allowance};
use crate::{BoxFuture, Error, Exit, Helper, InForce, Job, Limits, Options, Outcome, Sandbox, elf, owner};
use helper::RunningHelper;
use pool::Pool;
use protocol::{BoxSpec, Report};

pub(crate) const OUTER_ROLE: &str = "__sandbox-helper";
pub(crate) const INIT_ROLE: &str = "__sandbox-init";

/// Runs boxes by Linux namespaces.
#[derive(Debug)]
pub struct Namespace {
    options: Options,
    helper: PathBuf,
    cgroups: CgroupPaths,
    network: Option<PathBuf>,
    pool: Pool<RunningHelper>,
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
        let cgroups =
            if options.cgroups { CgroupPaths::usable(&options.label) } else { CgroupPaths::default() };
        let this = Self { options, helper, cgroups, network, pool: Pool::new(POOLED_HELPERS) };
        this.make(None, Limits { wall: Duration::from_secs(10), ..Limits::default() }).await?;
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
        let group = Group::create(&self.cgroups, &limits, &self.options.label)
            .map_err(Error::io("making the box's cgroup"))?;
        let spec = BoxSpec { member_files: group.member_files(), ..spec };
        let mut helper = self.helper()?;
        let life = self.attend(&mut helper, &spec, job, &limits, &group).await?;
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
                helper.send(spec, stdin).await?;
                // In the meantime, refills the pool. If that fails, the next box starts its own helper, or reports why it cannot.
                let _ = self.pool.fill(|| self.start_helper());
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
    fn helper(&self) -> Result<RunningHelper, Error> {
        while let Some(mut helper) = self.pool.take() {
            if helper.is_running() {
                return Ok(helper);
            }
        }
        self.start_helper()
    }

    fn start_helper(&self) -> Result<RunningHelper, Error> {
        RunningHelper::start(&self.helper, self.network.clone())
    }

    /// The description of the box for the helper, without its cgroups. Fails if a limit has no mechanism on this
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
            program: command.map(|command| PathBuf::from(&command.program)),
            arguments: command.map_or_else(Vec::new, |command| command.arguments.clone()),
            environment: command.map_or_else(Vec::new, |command| command.environment.clone()),
            read_only: self.options.read_only.clone(),
            memory_bytes: limits.memory_bytes,
            processes: limits.processes,
            scratch_bytes: limits.scratch_bytes,
            // The job's check allows at most a day.
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
        Report::Ready(_) => Err(Error::Broken("the helper reported twice that it was ready".into())),
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

/// The main function of a box's first process.
pub(crate) fn become_init() -> ! {
    init::main();
    std::process::exit(0)
}
