//! Which limits are in force in a container: by the kernel if its process can be seen from here, else by the engine.

use std::fs;

use bollard::models::{ContainerInspectResponse, HostConfig};
use bollard::query_parameters::InspectContainerOptions;

use super::plan::Plan;
use super::status;
use crate::cgroup::CgroupPaths;
use crate::{Error, InForce, sockets};

/// What the kernel of this machine shows of a container; nothing if the engine runs elsewhere.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) cgroups: CgroupPaths,
    /// Its first process.
    pub(super) pid: Option<i64>,
}

/// Reads the limits from the kernel, if the engine runs on this machine and the box still runs; else from the engine.
pub(super) async fn read_back(engine: &bollard::Docker, plan: &Plan) -> Result<(Seen, Vec<InForce>), Error> {
    let inspected = match engine.inspect_container(&plan.name, None::<InspectContainerOptions>).await {
        Ok(inspected) => inspected,
        // The container is gone already.
        Err(error) if status(&error) == Some(404) => ContainerInspectResponse::default(),
        Err(error) => return Err(Error::engine("looking at the container")(error)),
    };
    let id = inspected.id.clone().unwrap_or_default();
    let pid = inspected.state.as_ref().and_then(|state| state.pid).unwrap_or(0);
    let mut list = Vec::new();
    let mut seen = Seen::default();
    if let Some(groups) = groups(pid, &id) {
        seen = Seen { cgroups: CgroupPaths::of_membership(&groups), pid: Some(pid) };
        seen.cgroups.limit_sockets(plan.job.limits.memory_bytes);
        list = seen.cgroups.in_force();
        list.push(InForce::new(
            "loopback_bytes",
            "watched from outside: number of Internet sockets, then SIGKILL to all",
            sockets::limit_beside(plan.job.limits.memory_bytes).to_string(),
        ));
        list.extend(of_process(pid));
    }
    // The engine fills in what the kernel did not show.
    for entry in of_engine(inspected.host_config.as_ref(), plan) {
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
    Ok((seen, list))
}

/// The cgroups of a container's process, as `/proc/PID/cgroup` lists them. `None` if the process is not on this machine (the
/// engine may run in a virtual machine with its own process numbers) or has left its groups by ending.
fn groups(pid: i64, id: &str) -> Option<String> {
    if pid <= 0 || id.is_empty() {
        return None;
    }
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let has_memory = |line: &&str| {
        line.split(':').nth(1).is_some_and(|names| names.split(',').any(|name| name == "memory"))
    };
    let line =
        groups.lines().find(has_memory).or_else(|| groups.lines().find(|line| line.starts_with("0::")))?;
    line.contains(id).then_some(groups)
}

fn of_process(pid: i64) -> Vec<InForce> {
    let mut list = rights(pid);
    list.extend(rlimits(pid));
    list.extend(network(pid));
    if let Ok(mounts) = fs::read_to_string(format!("/proc/{pid}/mountinfo")) {
        list.extend(mounts.lines().filter_map(of_mount));
    }
    list
}

/// Capabilities, `no_new_privs` and seccomp of a process.
fn rights(pid: i64) -> Vec<InForce> {
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
    list
}

/// The hard limits of a process.
fn rlimits(pid: i64) -> Vec<InForce> {
    let mut list = Vec::new();
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
    list
}

fn network(pid: i64) -> Option<InForce> {
    let devices = fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?;
    let interfaces: Vec<_> =
        devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    Some(InForce::new("network", "network namespace", format!("interfaces: {}", interfaces.join(", "))))
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

/// What the engine reports of the container; for one that ended before it could be inspected, what the engine accepted.
fn of_engine(reported: Option<&HostConfig>, plan: &Plan) -> Vec<InForce> {
    let body = plan.body();
    let Some(asked) = body.host_config else { return Vec::new() };
    let (config, mechanism) = match reported {
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
    fn reads_root_state_and_scratch_size_from_mounts() {
        let root = "700 600 0:60 / / ro,relatime - overlay overlay rw,lowerdir=/a";
        let scratch =
            "701 700 0:61 / /tmp rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=65536k,nr_inodes=16448";
        assert_eq!(of_mount(root).unwrap().value, "read-only");
        assert_eq!(of_mount(scratch).unwrap().value, "67108864");
        assert_eq!(of_mount("702 700 0:62 / /proc rw - proc proc rw"), None);
        assert_eq!(of_mount("701 700 0:61 / /tmp rw - tmpfs tmpfs rw,size=99999999999999999999k"), None);
    }
}
