//! The life of one container: create, attach, start, watch, and wait for its end.

use std::time::{Duration, Instant};

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, StartContainerOptions,
};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout};

use super::events::{Event, Events};
use super::in_force::{Seen, read_back};
use super::plan::Plan;
use super::{guard, status, words};
use crate::cgroup::CgroupPaths;
use crate::output::{self, Allowance};
use crate::{Error, Exit, Outcome, sockets};

/// Runs a container to its end.
///
/// A task of its own does the work. The engine finishes creating a container even if the caller has dropped this
/// future, so the task waits for the container and removes it. Dropping this future cancels the task's box.
pub(super) async fn run(engine: &bollard::Docker, plan: Plan) -> Result<Outcome, Error> {
    let (caller, caller_gone) = oneshot::channel::<()>();
    let task = tokio::spawn(live(engine.clone(), plan, caller_gone));
    let outcome =
        task.await.map_err(|error| Error::Broken(format!("the container's task ended early: {error}")))?;
    drop(caller);
    outcome
}

async fn live(
    engine: bollard::Docker,
    plan: Plan,
    caller_gone: oneshot::Receiver<()>,
) -> Result<Outcome, Error> {
    let started_at = Instant::now();
    let created = create(&engine, &plan).await;
    let outcome = match created {
        Ok(()) => {
            let running = Box::pin(run_created(&engine, &plan, started_at));
            tokio::select! {
                outcome = running => outcome,
                _ = caller_gone => Err(Error::Broken("the caller cancelled it".into())),
            }
        }
        Err(error) => Err(error),
    };
    if !matches!(outcome, Ok(Outcome { exit: Exit::Code(_) | Exit::Signal(_), .. })) {
        guard::remove(&engine, &plan.name).await?;
    }
    outcome
}

async fn create(engine: &bollard::Docker, plan: &Plan) -> Result<(), Error> {
    let options = CreateContainerOptionsBuilder::new().name(&plan.name).build();
    match engine.create_container(Some(options), plan.body()).await {
        Ok(_) => Ok(()),
        Err(error) if status(&error) == Some(404) => Err(Error::CannotStart {
            program: plan.program.clone(),
            reason: format!("{}; images are not pulled", words(&error)),
        }),
        Err(error) => Err(Error::engine("making the container")(error)),
    }
}

/// Interval at which the costs of a box are read while it runs.
const COSTS_INTERVAL: Duration = Duration::from_millis(50);

/// Deadline for the engine's report of an end that it has caused, or that the closed streams have shown.
const EVENT_TIMEOUT: Duration = Duration::from_secs(20);

async fn run_created(engine: &bollard::Docker, plan: &Plan, started_at: Instant) -> Result<Outcome, Error> {
    let mut events = Events::of(engine, &plan.name);
    let streams = attach(engine, plan).await?;
    start(engine, plan).await?;
    let deadline = tokio::time::Instant::now() + plan.job.limits.wall;
    // Before the box gets its input: a program that waits for input cannot have ended yet.
    let (seen, in_force) = read_back(engine, plan).await?;
    let watched = watch(streams, plan, &mut events, &seen, deadline).await?;
    let exit = wait_for_end(engine, plan, &mut events, &watched, deadline).await?;
    Ok(Outcome {
        stdout: watched.stdout,
        stderr: watched.stderr,
        truncated: exit == Exit::TooMuchOutput,
        exit,
        peak_memory_bytes: watched.costs.peak_bytes,
        cpu_time: watched.costs.cpu,
        duration: started_at.elapsed(),
        in_force,
    })
}

async fn attach(engine: &bollard::Docker, plan: &Plan) -> Result<AttachContainerResults, Error> {
    let options =
        AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
    engine
        .attach_container(&plan.name, Some(options))
        .await
        .map_err(Error::engine("attaching to the container"))
}

async fn start(engine: &bollard::Docker, plan: &Plan) -> Result<(), Error> {
    engine
        .start_container(&plan.name, None::<StartContainerOptions>)
        .await
        .map_err(|error| Error::CannotStart { program: plan.program.clone(), reason: words(&error) })
}

/// The observations of a container until its streams closed or it reached a limit.
#[derive(Default)]
struct Watched {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    costs: Costs,
    /// The limit that it reached, for which it must be killed.
    limit_reached: Option<Exit>,
    /// Its exit status, if the engine has reported it already.
    status: Option<i32>,
}

/// Feeds the container its input and reads its output until its streams close or it reaches a limit.
async fn watch(
    streams: AttachContainerResults,
    plan: &Plan,
    events: &mut Events,
    seen: &Seen,
    deadline: tokio::time::Instant,
) -> Result<Watched, Error> {
    // Dropped at the end: unread output would keep the engine from ending a container that is killed.
    let AttachContainerResults { mut output, mut input } = streams;
    let allowance = Allowance::new(plan.job.limits.output_bytes);
    let mut watched = Watched::default();
    let mut costs_interval = tokio::time::interval(COSTS_INTERVAL);
    let feed = async {
        // A program may leave its input unread, or end before all of it is written.
        if input.write_all(&plan.job.stdin).await.is_ok() {
            let _ = input.shutdown().await;
        }
    };
    tokio::pin!(feed);
    let mut fed = false;
    while watched.limit_reached.is_none() {
        tokio::select! {
            () = &mut feed, if !fed => fed = true,
            piece = output.next() => {
                let Some(Ok(piece)) = piece else { break };
                watched.keep(piece, &allowance, plan.job.stdout.as_ref());
            }
            _ = costs_interval.tick() => {
                watched.costs.update(&seen.cgroups);
                let beside = seen.pid.map_or(0, sockets::uncounted_bytes);
                // The kernel kills one process, but the limit is that of the whole box, so the whole box ends.
                if watched.costs.oom_kills > 0
                    || beside > sockets::limit_beside(plan.job.limits.memory_bytes)
                {
                    watched.limit_reached = Some(Exit::OutOfMemory);
                }
            }
            event = events.next(), if watched.status.is_none() => match event? {
                Event::OutOfMemory => watched.limit_reached = Some(Exit::OutOfMemory),
                // Its last output may not have arrived yet.
                Event::Ended(status) => watched.status = Some(status),
                Event::Removed => return Err(removed_without_end()),
            },
            () = sleep_until(deadline) => watched.limit_reached = Some(Exit::TimedOut),
        }
    }
    // The streams close with the last process, a moment before the engine removes the cgroup.
    watched.costs.update(&seen.cgroups);
    Ok(watched)
}

impl Watched {
    fn keep(&mut self, piece: LogOutput, allowance: &Allowance, live: Option<&UnboundedSender<Vec<u8>>>) {
        let (kept, live, bytes) = match piece {
            LogOutput::StdErr { message } => (&mut self.stderr, None, message),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                (&mut self.stdout, live, message)
            }
        };
        if !output::keep(&bytes, allowance, kept, live) {
            self.limit_reached = Some(Exit::TooMuchOutput);
        }
    }
}

/// Costs of a box so far, as far as its cgroups can be read from here.
#[derive(Default)]
struct Costs {
    peak_bytes: Option<u64>,
    cpu: Option<Duration>,
    oom_kills: u64,
}

impl Costs {
    fn update(&mut self, cgroups: &CgroupPaths) {
        self.peak_bytes = self.peak_bytes.max(cgroups.peak_bytes());
        self.cpu = self.cpu.max(cgroups.cpu_time());
        self.oom_kills = self.oom_kills.max(cgroups.oom_kills());
    }
}

/// The status of a process that `SIGKILL` ended: the engine adds 128 to a signal's number, as shells do.
const KILLED: i32 = 128 + 9;

/// Waits until the engine reports the end, and kills a container that has reached a limit.
async fn wait_for_end(
    engine: &bollard::Docker,
    plan: &Plan,
    events: &mut Events,
    watched: &Watched,
    deadline: tokio::time::Instant,
) -> Result<Exit, Error> {
    let mut limit_reached = watched.limit_reached;
    let mut out_of_memory = watched.costs.oom_kills > 0;
    let ended = async {
        let mut reported = watched.status;
        loop {
            if let Some(status) = reported {
                return Ok(status);
            }
            if limit_reached.is_some() {
                guard::remove(engine, &plan.name).await?;
            }
            tokio::select! {
                event = events.next() => match event? {
                    Event::OutOfMemory => out_of_memory = true,
                    Event::Ended(status) => reported = Some(status),
                    Event::Removed => return Err(removed_without_end()),
                },
                // A command can close its streams and keep running.
                () = sleep_until(deadline), if limit_reached.is_none() => limit_reached = Some(Exit::TimedOut),
            }
        }
    };
    let status = timeout(plan.job.limits.wall + EVENT_TIMEOUT, ended)
        .await
        .map_err(|_| Error::Broken("the engine did not report how the container ended".into()))??;
    if status == KILLED && limit_reached.is_none() && !out_of_memory {
        out_of_memory = timeout(EVENT_TIMEOUT, events.include_out_of_memory()).await.unwrap_or(false);
    }
    Ok(match limit_reached {
        Some(exit) => exit,
        None if out_of_memory => Exit::OutOfMemory,
        // A command that exits with such a status by itself cannot be distinguished.
        None if (129..=192).contains(&status) => Exit::Signal(status - 128),
        None => Exit::Code(status),
    })
}

fn removed_without_end() -> Error {
    Error::Broken("the engine removed the container without reporting its end".into())
}
