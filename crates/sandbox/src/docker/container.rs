//! The life of one container.

use std::collections::HashMap;
use std::fs;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EventMessage, HostConfig, HostConfigLogConfig,
    ResourcesUlimits,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, EventsOptionsBuilder,
    InspectContainerOptions, StartContainerOptions,
};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::guard::{self, GUARD_LABEL, LABEL, OWNER_LABEL};
use super::profile::profile;
use super::{status, words};
use crate::cgroup::CgroupPaths;
use crate::output::Allowance;
use crate::owner::Owner;
use crate::{Error, Exit, InForce, Job, Outcome};

/// Where a box can send to.
#[derive(Debug, Clone)]
pub(super) enum Network {
    /// Nowhere.
    None,
    /// To whoever is in this network of the engine's; `container:NAME` is that container's own.
    Named(String),
}

impl Network {
    fn is_a_containers(&self) -> bool {
        matches!(self, Self::Named(name) if name.starts_with("container:"))
    }
}

/// Everything that is decided before the engine is asked.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) label: String,
    /// The guard's name.
    pub(super) guard: String,
    pub(super) image: String,
    pub(super) program: String,
    pub(super) network: Network,
    /// As many as asked for, but no more than there are: the engine refuses more.
    pub(super) cpus: f64,
    pub(super) job: Job,
}

/// Runs a container to its end.
///
/// In a task of its own, since a container that the engine was asked for comes into being whether or not somebody still
/// waits for the answer: the task waits, and removes it. Dropping this future tells the task so.
pub(super) async fn run(engine: &bollard::Docker, plan: Plan) -> Result<Outcome, Error> {
    let (wanted, unwanted) = oneshot::channel::<()>();
    let task = tokio::spawn(live(engine.clone(), plan, unwanted));
    let outcome =
        task.await.map_err(|error| Error::Broken(format!("the container's task ended early: {error}")))?;
    drop(wanted);
    outcome
}

async fn live(
    engine: bollard::Docker,
    plan: Plan,
    unwanted: oneshot::Receiver<()>,
) -> Result<Outcome, Error> {
    let started_at = Instant::now();
    let created = create(&engine, &plan).await;
    let outcome = match created {
        Ok(()) => {
            let running = Box::pin(run_created(&engine, &plan, started_at));
            tokio::select! {
                outcome = running => outcome,
                // Nobody waits any more.
                _ = unwanted => Err(Error::Broken("it was given up".into())),
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

impl Plan {
    fn body(&self) -> ContainerCreateBody {
        let Job { command, limits, .. } = &self.job;
        let bytes = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let ulimit = |name: &str, value: u64| ResourcesUlimits {
            name: Some(name.into()),
            soft: Some(bytes(value)),
            hard: Some(bytes(value)),
        };
        let tmpfs = format!(
            "rw,exec,nosuid,nodev,mode=1777,size={},nr_inodes={}",
            limits.scratch_bytes,
            limits.scratch_bytes / 4096 + 64
        );
        let host = HostConfig {
            auto_remove: Some(true),
            memory: Some(bytes(limits.memory_bytes)),
            // Memory and swap together: none of the latter.
            memory_swap: Some(bytes(limits.memory_bytes)),
            nano_cpus: Some((self.cpus * 1e9).round() as i64),
            pids_limit: Some(bytes(limits.processes)),
            ulimits: Some(vec![
                ulimit("nofile", OPEN_FILES),
                ulimit("fsize", limits.scratch_bytes + 4096),
                ulimit("core", 0),
            ]),
            network_mode: Some(match &self.network {
                Network::None => "none".into(),
                Network::Named(name) => name.clone(),
            }),
            readonly_rootfs: Some(true),
            tmpfs: Some(HashMap::from([("/tmp".into(), tmpfs)])),
            // Without it there would be a second place to write, /dev/shm.
            ipc_mode: Some("none".into()),
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(vec!["no-new-privileges".into(), format!("seccomp={}", profile())]),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            ..HostConfig::default()
        };
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(vec![self.program.clone()]),
            cmd: Some(command.arguments.clone()),
            env: Some(command.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            // An image knows its user; a program of ours needs none.
            user: command.image.is_none().then(|| "65534:65534".into()),
            // "none" alone has the engine set up an empty namespace by its own means, for which the runtime starts the whole
            // engine program once more. With this it leaves the namespace to the runtime, which makes an empty one: no more
            // in it, and 0.1 s sooner.
            network_disabled: matches!(self.network, Network::None).then_some(true),
            // Of another container's network the name is that container's.
            hostname: (!self.network.is_a_containers()).then(|| "box".into()),
            working_dir: Some("/tmp".into()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            labels: Some(HashMap::from([
                (LABEL.into(), self.label.clone()),
                (OWNER_LABEL.into(), Owner::this().word()),
                (GUARD_LABEL.into(), self.guard.clone()),
            ])),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        }
    }
}

/// Open files of a process, as in the namespace backend.
const OPEN_FILES: u64 = 256;

/// How often the costs of a box are looked at while it runs.
const LOOK: Duration = Duration::from_millis(50);

/// How long the engine may take to tell of an end that it has brought about or that the streams have shown.
const NEWS: Duration = Duration::from_secs(20);

async fn run_created(engine: &bollard::Docker, plan: &Plan, started_at: Instant) -> Result<Outcome, Error> {
    let limits = &plan.job.limits;
    let mut events = events_of(engine, &plan.name);
    let attach =
        AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
    let AttachContainerResults { mut output, mut input } = engine
        .attach_container(&plan.name, Some(attach))
        .await
        .map_err(Error::engine("attaching to the container"))?;
    if let Err(error) = engine.start_container(&plan.name, None::<StartContainerOptions>).await {
        return Err(Error::CannotStart { program: plan.program.clone(), reason: words(&error) });
    }
    let deadline = tokio::time::sleep(limits.wall);
    tokio::pin!(deadline);
    // Before it gets its input, so that a program that waits for one cannot be gone already.
    let (cgroups, in_force) = read_back(engine, plan).await?;

    let allowance = Allowance::new(limits.output_bytes);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut costs = Costs::default();
    let mut looks = tokio::time::interval(LOOK);
    let mut killed = None;
    let mut told = None;
    {
        let feed = async {
            // One that does not read, or is gone, does without.
            if input.write_all(&plan.job.stdin).await.is_ok() {
                let _ = input.shutdown().await;
            }
        };
        tokio::pin!(feed);
        let mut fed = false;
        loop {
            tokio::select! {
                () = &mut feed, if !fed => fed = true,
                piece = output.next() => {
                    let Some(Ok(piece)) = piece else { break };
                    let (kept, bytes) = match piece {
                        LogOutput::StdErr { message } => (&mut stderr, message),
                        LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => (&mut stdout, message),
                    };
                    let granted = allowance.take(bytes.len());
                    kept.extend_from_slice(&bytes[..granted]);
                    if granted < bytes.len() {
                        killed = Some(Exit::TooMuchOutput);
                        break;
                    }
                }
                _ = looks.tick() => {
                    costs.look(&cgroups);
                    // The kernel kills one process. The box is what has reached its limit, and goes as a whole.
                    if costs.oom_kills > 0 {
                        killed = Some(Exit::OutOfMemory);
                        break;
                    }
                }
                news = next(&mut events), if told.is_none() => match news? {
                    News::OutOfMemory => {
                        killed = Some(Exit::OutOfMemory);
                        break;
                    }
                    // What it said last may still be on its way.
                    News::Ended(status) => told = Some(status),
                    News::Gone => return Err(Error::Broken("the container is gone without having ended".into())),
                },
                () = &mut deadline => {
                    killed = Some(Exit::TimedOut);
                    break;
                }
            }
        }
    }
    // The streams close with the last process, a moment before the engine takes the cgroup away.
    costs.look(&cgroups);
    // What still waits to be read would keep the engine from ending a container that is killed.
    drop((output, input));
    let mut out_of_memory = costs.oom_kills > 0;
    let ended = async {
        loop {
            if let Some(status) = told {
                return Ok(status);
            }
            if killed.is_some() {
                guard::remove(engine, &plan.name).await?;
            }
            tokio::select! {
                news = next(&mut events) => match news? {
                    News::OutOfMemory => out_of_memory = true,
                    News::Ended(status) => told = Some(status),
                    News::Gone => return Err(Error::Broken("the container is gone without having ended".into())),
                },
                // A command may close its streams and go on.
                () = &mut deadline, if killed.is_none() => killed = Some(Exit::TimedOut),
            }
        }
    };
    let status = tokio::time::timeout(limits.wall + NEWS, ended)
        .await
        .map_err(|_| Error::Broken("the engine does not tell how the container ended".into()))??;
    if status == KILLED && killed.is_none() && !out_of_memory {
        out_of_memory = tokio::time::timeout(NEWS, comes_out_of_memory(&mut events)).await.unwrap_or(false);
    }
    let exit = match killed {
        Some(exit) => exit,
        None if out_of_memory => Exit::OutOfMemory,
        // The engine adds 128 to a signal's number, as shells do; a status above that from the command reads the same.
        None if (129..=192).contains(&status) => Exit::Signal(status - 128),
        None => Exit::Code(status),
    };
    Ok(Outcome {
        stdout,
        stderr,
        truncated: exit == Exit::TooMuchOutput,
        exit,
        peak_memory_bytes: costs.peak_bytes,
        cpu_time: costs.cpu,
        duration: started_at.elapsed(),
        in_force,
    })
}

/// What a box has cost so far, as far as its cgroups can be read from here.
#[derive(Default)]
struct Costs {
    peak_bytes: Option<u64>,
    cpu: Option<Duration>,
    oom_kills: u64,
}

impl Costs {
    fn look(&mut self, cgroups: &CgroupPaths) {
        self.peak_bytes = self.peak_bytes.max(cgroups.peak_bytes());
        self.cpu = self.cpu.max(cgroups.cpu_time());
        self.oom_kills = self.oom_kills.max(cgroups.oom_kills());
    }
}

// --- How it ended --------------------------------------------------------------------------------------------------

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

/// The events of one container, from its beginning on, however late the question reaches the engine.
fn events_of(engine: &bollard::Docker, name: &str) -> Events {
    let filters = HashMap::from([
        ("container".to_owned(), vec![name.to_owned()]),
        ("event".to_owned(), ["die", "oom", "destroy"].map(String::from).into()),
    ]);
    // Second 1 of the epoch: all that the engine remembers. No other container has had this name, but some may have one that
    // begins with it, and the engine's filter lets them pass.
    let events = engine.events(Some(EventsOptionsBuilder::new().since("1").filters(&filters).build()));
    let name = name.to_owned();
    Box::pin(events.filter(move |event| {
        let attributes = event.as_ref().ok().and_then(|event| event.actor.as_ref()?.attributes.as_ref());
        std::future::ready(attributes.is_none_or(|attributes| attributes.get("name") == Some(&name)))
    }))
}

/// What the engine tells of a container.
enum News {
    /// The kernel killed a process of it, for want of memory.
    OutOfMemory,
    /// It ended with this status.
    Ended(i32),
    /// It is removed.
    Gone,
}

/// The status of what was killed by `SIGKILL`.
const KILLED: i32 = 128 + 9;

async fn next(events: &mut Events) -> Result<News, Error> {
    while let Some(event) = events.next().await {
        let event = event.map_err(Error::engine("listening to events"))?;
        match event.action.as_deref() {
            Some("oom") => return Ok(News::OutOfMemory),
            Some("destroy") => return Ok(News::Gone),
            Some("die") => {
                let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
                let status = attributes.get("exitCode").and_then(|code| code.parse().ok());
                return status
                    .map(News::Ended)
                    .ok_or_else(|| Error::Broken("the engine tells no exit status".into()));
            }
            _ => {}
        }
    }
    Err(Error::Broken("the engine stopped telling events".into()))
}

/// The news that it was the kernel, for want of memory, may come after the news of the end, but not after that of the
/// container's removal.
async fn comes_out_of_memory(events: &mut Events) -> bool {
    loop {
        match next(events).await {
            Ok(News::OutOfMemory) => return true,
            Ok(News::Ended(_)) => {}
            Ok(News::Gone) | Err(_) => return false,
        }
    }
}

// --- What is in force ----------------------------------------------------------------------------------------------

/// Asks the kernel of the engine's machine, if that is this one and the box is still there; else the engine.
async fn read_back(engine: &bollard::Docker, plan: &Plan) -> Result<(CgroupPaths, Vec<InForce>), Error> {
    let inspected = match engine.inspect_container(&plan.name, None::<InspectContainerOptions>).await {
        Ok(inspected) => inspected,
        // It was that short.
        Err(error) if status(&error) == Some(404) => ContainerInspectResponse::default(),
        Err(error) => return Err(Error::engine("looking at the container")(error)),
    };
    let id = inspected.id.clone().unwrap_or_default();
    let pid = inspected.state.as_ref().and_then(|state| state.pid).unwrap_or(0);
    let mut list = Vec::new();
    let mut cgroups = CgroupPaths::default();
    if let Some(groups) = groups(pid, &id) {
        cgroups = CgroupPaths::of_membership(&groups);
        list = cgroups.in_force();
        list.extend(of_process(pid));
    }
    // What nobody could read from the kernel is told by the engine: what it was asked for and accepted.
    for entry in told_by_engine(inspected.host_config.as_ref(), plan) {
        if !list.iter().any(|known: &InForce| known.name == entry.name) {
            list.push(entry);
        }
    }
    let limits = &plan.job.limits;
    list.push(InForce::new(
        "wall_ms",
        "timer of this process, then SIGKILL to all",
        limits.wall.as_millis().to_string(),
    ));
    list.push(InForce::new(
        "output_bytes",
        "counted while reading, then SIGKILL to all",
        limits.output_bytes.to_string(),
    ));
    Ok((cgroups, list))
}

/// The cgroups of a container's process, if it is one of this machine: the engine may run in a virtual machine and count
/// otherwise, and who has just ended is in no group of his any more.
fn groups(pid: i64, id: &str) -> Option<String> {
    if pid <= 0 || id.is_empty() {
        return None;
    }
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let in_charge = |line: &&str| {
        line.split(':').nth(1).is_some_and(|names| names.split(',').any(|name| name == "memory"))
    };
    let line =
        groups.lines().find(in_charge).or_else(|| groups.lines().find(|line| line.starts_with("0::")))?;
    line.contains(id).then_some(groups)
}

fn of_process(pid: i64) -> Vec<InForce> {
    let mut list = Vec::new();
    if let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        if let (Some(effective), Some(bounding)) = (field("CapEff"), field("CapBnd")) {
            list.push(InForce::new(
                "capabilities",
                "effective and bounding set",
                format!("{effective} {bounding}"),
            ));
        }
        if let Some(value) = field("NoNewPrivs") {
            list.push(InForce::new("no_new_privs", "prctl", value));
        }
        if let Some(mode) = field("Seccomp") {
            let filters = field("Seccomp_filters").unwrap_or("unknown");
            list.push(InForce::new(
                "seccomp",
                "filter of system calls (mode, filters)",
                format!("{mode} {filters}"),
            ));
        }
    }
    if let Ok(limits) = fs::read_to_string(format!("/proc/{pid}/limits")) {
        let hard = |name: &str| {
            limits.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().nth(1))
        };
        for (name, mechanism, line) in [
            ("file_bytes", "RLIMIT_FSIZE", "Max file size"),
            ("open_files_per_process", "RLIMIT_NOFILE", "Max open files"),
            ("core_bytes", "RLIMIT_CORE", "Max core file size"),
        ] {
            if let Some(value) = hard(line) {
                list.push(InForce::new(name, mechanism, value));
            }
        }
    }
    if let Ok(devices) = fs::read_to_string(format!("/proc/{pid}/net/dev")) {
        let interfaces: Vec<_> =
            devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        list.push(InForce::new(
            "network",
            "network namespace",
            format!("interfaces: {}", interfaces.join(", ")),
        ));
    }
    if let Ok(mounts) = fs::read_to_string(format!("/proc/{pid}/mountinfo")) {
        list.extend(mounts.lines().filter_map(of_mount));
    }
    list
}

/// The root's state and the size of the scratch folder, in a line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
fn of_mount(line: &str) -> Option<InForce> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(4);
    let (point, options) = (before.next()?, before.next()?);
    match point {
        "/" => {
            let state =
                if options.split(',').any(|option| option == "ro") { "read-only" } else { "writable" };
            Some(InForce::new("root", "the image's layer", state))
        }
        "/tmp" => {
            let size = after.split([' ', ',']).find_map(|option| option.strip_prefix("size="))?;
            let bytes = match size.strip_suffix('k') {
                Some(kilobytes) => kilobytes.parse::<u64>().ok()?.checked_mul(1024)?,
                None => size.parse().ok()?,
            };
            Some(InForce::new("scratch_bytes", "tmpfs size", bytes.to_string()))
        }
        _ => None,
    }
}

/// By the engine's own account, or, of a container that was gone before it could be asked, by what it accepted.
fn told_by_engine(told: Option<&HostConfig>, plan: &Plan) -> Vec<InForce> {
    let body = plan.body();
    let Some(asked) = body.host_config else { return Vec::new() };
    let (config, mechanism) = match told {
        Some(config) => (config, "by the engine's account"),
        None => (&asked, "accepted by the engine; the box ended before it could be asked"),
    };
    let mut list = Vec::new();
    let mut say = |name: &str, what: &str, value: Option<String>| {
        if let Some(value) = value {
            list.push(InForce::new(name, format!("{what}, {mechanism}"), value));
        }
    };
    say("memory_bytes", "Memory", config.memory.map(|value| value.to_string()));
    say("memory_and_swap_bytes", "MemorySwap", config.memory_swap.map(|value| value.to_string()));
    say("cpus", "NanoCpus", config.nano_cpus.map(|value| format!("{}", value as f64 / 1e9)));
    say("processes", "PidsLimit", config.pids_limit.map(|value| value.to_string()));
    say(
        "scratch_bytes",
        "Tmpfs",
        config.tmpfs.as_ref().and_then(|tmpfs| {
            tmpfs.get("/tmp")?.split(',').find_map(|option| option.strip_prefix("size=")).map(String::from)
        }),
    );
    say(
        "root",
        "ReadonlyRootfs",
        config.readonly_rootfs.map(|value| if value { "read-only" } else { "writable" }.into()),
    );
    say("network", "NetworkMode", config.network_mode.clone());
    say(
        "capabilities",
        "CapDrop",
        config.cap_drop.as_ref().map(|list| format!("dropped: {}", list.join(", "))),
    );
    say("no_new_privs", "SecurityOpt", config.security_opt.as_ref().map(|list| list.join(", ")));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_tell_of_root_and_scratch() {
        let root = "700 600 0:60 / / ro,relatime - overlay overlay rw,lowerdir=/a";
        let scratch =
            "701 700 0:61 / /tmp rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=65536k,nr_inodes=16448";
        assert_eq!(of_mount(root).unwrap().value, "read-only");
        assert_eq!(of_mount(scratch).unwrap().value, "67108864");
        assert_eq!(of_mount("702 700 0:62 / /proc rw - proc proc rw"), None);
        assert_eq!(of_mount("701 700 0:61 / /tmp rw - tmpfs tmpfs rw,size=99999999999999999999k"), None);
    }
}
