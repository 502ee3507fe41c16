//! The first process of a box: completes the box from inside, drops all rights, starts the command, and waits for its end.
//!
//! It is process 1 of its PID namespace: when it ends, the kernel kills all others there. Processes of the box can neither
//! signal nor trace it.

use std::fs;
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::wait::{WaitStatus, waitpid};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, CpuSet, clear_ambient_capability_set, remove_capability_from_bounding_set,
    sched_getaffinity, sched_setaffinity, set_capabilities, set_no_new_privs,
};

use super::protocol::{self, BoxSpec, Report};
use super::{mounts, seccomp};
use crate::error::At;
use crate::{Exit, InForce, Refusal};

/// Runs the first process. Its end is the end of the box.
pub(super) fn main() {
    let Ok(helper) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else { return };
    // Before the first read: if the helper has died before this call, the read fails.
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        return;
    }
    // Done in advance: everything that does not depend on the box's description.
    let prepared = prepare();
    let (Ok(spec), Ok(stdin)) = (protocol::receive::<BoxSpec>(&helper), protocol::receive_bytes(&helper))
    else {
        return;
    };
    let report =
        prepared.and_then(|filters| run(&helper, &filters, &spec, &stdin)).unwrap_or_else(Report::Refused);
    let _ = protocol::send(&helper, &report);
}

fn prepare() -> Result<seccomp::Filters, Refusal> {
    let _ = nix::unistd::setsid();
    nix::unistd::sethostname("box").at("naming the box")?;
    empty_bounding_set()?;
    mounts::mount_proc(Path::new(mounts::ROOT))?;
    mounts::enter(Path::new(mounts::ROOT))?;
    seccomp::compile()
}

fn run(
    helper: &UnixStream,
    filters: &seccomp::Filters,
    spec: &BoxSpec,
    stdin: &[u8],
) -> Result<Report, Refusal> {
    mounts::mount_scratch(spec.scratch_bytes)?;
    // The box sees its own groups as the root of the cgroups. Old kernels may lack this namespace.
    let _ = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP);
    let stdin = sealed(stdin).at("keeping the standard input")?;
    let pinned = spec.pin_to_cpus.map(pin).transpose()?;
    give_up_rights()?;
    limit(spec)?;
    filters.apply(spec.watch_memory)?;

    let mut in_force = read_back(spec)?;
    in_force.extend(pinned);
    let ready = || protocol::send(helper, &Report::Ready(in_force.clone())).at("reporting to the helper");
    let Some(program) = &spec.program else {
        ready()?;
        return Ok(Report::Ended { exit: Exit::Code(0), cpu_ns: 0, peak_memory_bytes: 0 });
    };
    ready()?;
    let started = Command::new(program)
        .args(&spec.arguments)
        .env_clear()
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(stdin))
        .spawn();
    let command = match started {
        Ok(child) => child.id().cast_signed(),
        Err(error) => return Ok(Report::CannotStart(error.to_string())),
    };
    // Orphans of the box become children of this process.
    loop {
        let exit = match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == command => Exit::Code(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == command => {
                Exit::Signal(signal as i32)
            }
            Ok(_) | Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error).at("waiting for the command"),
        };
        return Ok(Report::Ended { exit, cpu_ns: 0, peak_memory_bytes: 0 });
    }
}

/// The command's standard input as a sealed file in memory: no process has to feed a pipe.
fn sealed(bytes: &[u8]) -> io::Result<fs::File> {
    let mut file = fs::File::from(memfd_create("stdin", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(bytes)?;
    file.rewind()?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// Pins the box to `cpus` of the CPUs that it may use, starting with the current one, so that boxes are spread as the
/// scheduler spreads them. The filter of system calls keeps the box from undoing this.
fn pin(cpus: u64) -> Result<InForce, Refusal> {
    let step = "pinning the box to its CPUs";
    let all = sched_getaffinity(None).at(step)?;
    let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
    let wanted = usize::try_from(cpus).unwrap_or(usize::MAX).min(allowed.len());
    let first = first_cpu();
    let mut chosen = CpuSet::new();
    for step in 0..wanted {
        chosen.set(allowed[(first + step) % allowed.len()]);
    }
    sched_setaffinity(None, &chosen).at(step)?;
    let now = sched_getaffinity(None).at(step)?;
    Ok(InForce::new("cpus", "sched_setaffinity, which the box may not call", now.count().to_string()))
}

/// Returns the current CPU, because the scheduler chooses an idle one if there is one.
fn first_cpu() -> usize {
    rustix::thread::sched_getcpu()
}

/// From here on, executed programs get no capabilities other than ambient ones.
fn empty_bounding_set() -> Result<(), Refusal> {
    let step = "giving up capabilities";
    for capability in CapabilitySet::all().iter() {
        // The kernel does not know this capability.
        match remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).at(step),
        }
    }
    Ok(())
}

/// Drops all capabilities permanently, and keeps other processes from tracing this one.
fn give_up_rights() -> Result<(), Refusal> {
    let step = "giving up capabilities";
    clear_ambient_capability_set().at(step)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .at(step)?;
    set_no_new_privs(true).at("setting no_new_privs")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at("hiding the first process")
}

/// Maximum number of open files of a process: enough for programs that keep many, few enough to limit the kernel's
/// memory for them.
const OPEN_FILES: u64 = 256;

/// Bytes that a process may lock into memory: the kernel's old default.
const LOCKED_BYTES: u64 = 64 << 10;

/// Signals that may wait for all processes of the box, timers included. The kernel counts them in the box's user namespace,
/// so that a box cannot use up the quota of its user's other processes.
const PENDING_SIGNALS: u64 = 256;

/// Bytes of private writable memory that one process may have beyond the box's limit. `RLIMIT_DATA` is a second bound
/// behind the watchdog, not the limit itself: without this slack an allocation could fail before the watchdog acts, and
/// the outcome would not be [`Exit::OutOfMemory`].
const DATA_SLACK: u64 = 64 << 20;

/// Processes besides the command's that `RLIMIT_NPROC` counts: the helper and the first process.
const OWN_PROCESSES: u64 = 2;

fn limit(spec: &BoxSpec) -> Result<(), Refusal> {
    let seconds = spec.wall_ns.div_ceil(1_000_000_000);
    let mut limits = vec![
        (Resource::Core, 0),
        // Files can grow only in the scratch folder. The limit is one page larger, so that ENOSPC comes before SIGXFSZ.
        (Resource::Fsize, spec.scratch_bytes + 4096),
        (Resource::Memlock, LOCKED_BYTES),
        (Resource::Msgqueue, 0),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Sigpending, PENDING_SIGNALS),
        // CPU time of one process with a thread on each of its CPUs: a second bound behind the timer.
        (Resource::Cpu, (seconds + 1).saturating_mul(spec.pin_to_cpus.unwrap_or(1024))),
    ];
    if spec.watch_memory {
        limits.push((Resource::Data, spec.memory_bytes.saturating_add(DATA_SLACK)));
    }
    if spec.limit_processes {
        limits.push((Resource::Nproc, spec.processes + OWN_PROCESSES));
    }
    for (resource, value) in limits {
        // A hard limit can only be lowered.
        let value = getrlimit(resource).maximum.map_or(value, |most| most.min(value));
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
            .at(&format!("setting the limit {resource:?}"))?;
    }
    Ok(())
}

/// The limits in force, read back from the kernel. The command inherits all of them.
fn read_back(spec: &BoxSpec) -> Result<Vec<InForce>, Refusal> {
    let mut list = rlimits(spec);
    list.extend(file_system()?);
    list.extend(rights()?);
    let map = fs::read_to_string("/proc/self/uid_map").at("reading the user namespace")?;
    let outside = map.split_ascii_whitespace().nth(1).and_then(|number| number.parse().ok());
    let whose = if outside == Some(spec.host_user) { "its host's" } else { "its own" };
    list.push(InForce::new(
        "user",
        "user number outside of the user namespace, for the kernel's quotas",
        whose,
    ));
    let adjustment =
        fs::read_to_string("/proc/self/oom_score_adj").at("reading the order of the OOM killer")?;
    list.push(InForce::new("killed_first", "oom_score_adj", adjustment.trim()));
    list.push(network(spec)?);
    Ok(list)
}

fn rlimits(spec: &BoxSpec) -> Vec<InForce> {
    let hard =
        |resource| getrlimit(resource).maximum.map_or("unlimited".to_owned(), |value| value.to_string());
    let mut list = Vec::new();
    if spec.limit_processes {
        let value =
            getrlimit(Resource::Nproc).maximum.map_or(u64::MAX, |value| value.saturating_sub(OWN_PROCESSES));
        let mechanism =
            format!("RLIMIT_NPROC in the box's user namespace ({OWN_PROCESSES} more are the box's own)");
        list.push(InForce::new("processes", mechanism, value.to_string()));
    }
    if spec.watch_memory {
        list.push(InForce::new("memory_bytes_per_process", "RLIMIT_DATA", hard(Resource::Data)));
    }
    list.push(InForce::new("file_bytes", "RLIMIT_FSIZE", hard(Resource::Fsize)));
    list.push(InForce::new("open_files_per_process", "RLIMIT_NOFILE", hard(Resource::Nofile)));
    list.push(InForce::new(
        "pending_signals",
        "RLIMIT_SIGPENDING in the box's user namespace",
        hard(Resource::Sigpending),
    ));
    list.push(InForce::new("cpu_seconds_per_process", "RLIMIT_CPU", hard(Resource::Cpu)));
    list.push(InForce::new("core_bytes", "RLIMIT_CORE", hard(Resource::Core)));
    list
}

fn file_system() -> Result<[InForce; 3], Refusal> {
    let scratch = rustix::fs::statvfs("/tmp").at("reading the size of /tmp")?;
    let root = rustix::fs::statvfs("/").at("reading the state of the root")?;
    let state =
        if root.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) { "read-only" } else { "writable" };
    Ok([
        InForce::new("scratch_bytes", "tmpfs size", (scratch.f_blocks * scratch.f_frsize).to_string()),
        InForce::new("scratch_files", "tmpfs nr_inodes", scratch.f_files.to_string()),
        InForce::new("root", "tmpfs of the box's own", state),
    ])
}

fn rights() -> Result<[InForce; 3], Refusal> {
    let status = fs::read_to_string("/proc/self/status").at("reading the state of the process")?;
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map_or("unknown".to_owned(), |value| value.trim().to_owned())
    };
    let capabilities = format!("{} {}", field("CapEff"), field("CapBnd"));
    let seccomp = format!("{} {}", field("Seccomp"), field("Seccomp_filters"));
    Ok([
        InForce::new("capabilities", "effective and bounding set", capabilities),
        InForce::new("no_new_privs", "prctl", field("NoNewPrivs")),
        InForce::new("seccomp", "filter of system calls (mode, filters)", seccomp),
    ])
}

fn network(spec: &BoxSpec) -> Result<InForce, Refusal> {
    let devices = fs::read_to_string("/proc/self/net/dev").at("reading the box's interfaces")?;
    let interfaces: Vec<_> =
        devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    let mechanism =
        if spec.has_network { "network namespace that was given" } else { "network namespace of its own" };
    Ok(InForce::new("network", mechanism, format!("interfaces: {}", interfaces.join(", "))))
}
