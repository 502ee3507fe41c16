//! Control groups of both versions: finds where this process can make them, makes one for each box, and reads what the
//! kernel reports about them.
//!
//! Version 1 has a hierarchy for each controller, version 2 one for all; a machine can have both at once. So each
//! controller is found, tried and used separately. What has no controller must be limited by other means.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{InForce, Limits, owner};

/// A controller that limits boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Memory,
    Pids,
    Cpu,
}

const CONTROLLERS: [Controller; 3] = [Controller::Memory, Controller::Pids, Controller::Cpu];

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A directory of a cgroup file system that a controller governs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CgroupPath {
    version: Version,
    directory: PathBuf,
}

/// The directory of each controller, if there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CgroupPaths {
    memory: Option<CgroupPath>,
    pids: Option<CgroupPath>,
    cpu: Option<CgroupPath>,
    /// Only read; it limits nothing.
    cpu_time: Option<CgroupPath>,
}

/// The length of a period of CPU time in microseconds: the kernel's default, and what Docker uses.
const CPU_PERIOD_US: u64 = 100_000;

impl CgroupPaths {
    /// Where this process can make groups for boxes, found by making one. Empty where cgroups are not delegated.
    pub(crate) fn usable(label: &str) -> Self {
        let mut usable = Self::default();
        let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo").map(|text| mounts(&text)) else {
            return usable;
        };
        let Ok(membership) = fs::read_to_string("/proc/self/cgroup") else { return usable };
        for controller in CONTROLLERS {
            let candidates = candidates(&mounts, &membership, controller);
            *usable.get_mut(controller) =
                candidates.into_iter().find(|cgroup| prepare(cgroup) && try_out(cgroup, controller, label));
        }
        usable
    }

    /// The directories that a process is in, from its `/proc/PID/cgroup`. Empty if they are not visible here.
    pub(crate) fn of_membership(membership: &str) -> Self {
        let mut paths = Self::default();
        let Ok(text) = fs::read_to_string("/proc/self/mountinfo") else { return paths };
        let mounts = mounts(&text);
        for controller in CONTROLLERS {
            *paths.get_mut(controller) =
                own(&mounts, membership, controller.name()).filter(|cgroup| cgroup.directory.is_dir());
        }
        // Version 1 needs the controller cpuacct for it, version 2 always counts.
        paths.cpu_time = own(&mounts, membership, "cpuacct").or_else(|| paths.cpu.clone());
        paths
    }

    pub(crate) fn has(&self, controller: Controller) -> bool {
        self.get(controller).is_some()
    }

    fn get(&self, controller: Controller) -> Option<&CgroupPath> {
        match controller {
            Controller::Memory => self.memory.as_ref(),
            Controller::Pids => self.pids.as_ref(),
            Controller::Cpu => self.cpu.as_ref(),
        }
    }

    fn get_mut(&mut self, controller: Controller) -> &mut Option<CgroupPath> {
        match controller {
            Controller::Memory => &mut self.memory,
            Controller::Pids => &mut self.pids,
            Controller::Cpu => &mut self.cpu,
        }
    }

    /// The limits in force, read from the kernel.
    pub(crate) fn in_force(&self) -> Vec<InForce> {
        let mut list = Vec::new();
        let mut say = |name: &str, cgroup: &CgroupPath, file: &str| {
            if let Some(value) = read(cgroup, file) {
                list.push(InForce::new(name, mechanism(cgroup.version, file), value));
            }
        };
        if let Some(cgroup) = &self.memory {
            match cgroup.version {
                Version::One => {
                    say("memory_bytes", cgroup, "memory.limit_in_bytes");
                    if cgroup.directory.join("memory.memsw.limit_in_bytes").exists() {
                        say("memory_and_swap_bytes", cgroup, "memory.memsw.limit_in_bytes");
                    } else {
                        say("swappiness", cgroup, "memory.swappiness");
                    }
                    say("socket_bytes", cgroup, SOCKET_LIMIT);
                }
                Version::Two => {
                    say("memory_bytes", cgroup, "memory.max");
                    say("swap_bytes", cgroup, "memory.swap.max");
                }
            }
        }
        if let Some(cgroup) = &self.pids {
            say("processes", cgroup, "pids.max");
        }
        if let Some(cgroup) = &self.cpu {
            match cgroup.version {
                Version::One => {
                    if let (Some(quota), Some(period)) =
                        (number(cgroup, "cpu.cfs_quota_us"), number(cgroup, "cpu.cfs_period_us"))
                    {
                        list.push(InForce::new("cpus", "cgroup v1 cpu.cfs_quota_us", share(quota, period)));
                    }
                }
                Version::Two => {
                    if let Some(text) = read(cgroup, "cpu.max") {
                        let mut words = text.split(' ').map(str::parse);
                        if let (Some(Ok(quota)), Some(Ok(period))) = (words.next(), words.next()) {
                            list.push(InForce::new("cpus", "cgroup v2 cpu.max", share(quota, period)));
                        }
                    }
                }
            }
        }
        list
    }

    /// Limits the memory of TCP and UDP sockets of a group that the engine has made: the engine has no such option. Without the
    /// right to write there they stay without a limit; [`Self::in_force`] shows which.
    pub(crate) fn limit_sockets(&self, memory_bytes: u64) {
        if let Some(cgroup) = self.memory.as_ref().filter(|cgroup| cgroup.version == Version::One) {
            let _ = set_socket_limit(cgroup, memory_bytes);
        }
    }

    /// Peak of the charged memory in bytes.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let cgroup = self.memory.as_ref()?;
        number(
            cgroup,
            match cgroup.version {
                Version::One => "memory.max_usage_in_bytes",
                Version::Two => "memory.peak",
            },
        )
    }

    /// CPU time, user and system.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let cgroup = self.cpu_time.as_ref()?;
        match cgroup.version {
            Version::One => number(cgroup, "cpuacct.usage").map(Duration::from_nanos),
            Version::Two => {
                let text = read(cgroup, "cpu.stat")?;
                let value = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
                value.parse().ok().map(Duration::from_micros)
            }
        }
    }

    /// How many processes the kernel has killed because the memory was used up.
    pub(crate) fn oom_kills(&self) -> u64 {
        let count = |cgroup: &CgroupPath| {
            let text = read(
                cgroup,
                match cgroup.version {
                    Version::One => "memory.oom_control",
                    Version::Two => "memory.events",
                },
            )?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
        };
        self.memory.as_ref().and_then(count).unwrap_or(0)
    }

    fn distinct(&self) -> Vec<&CgroupPath> {
        let mut distinct: Vec<&CgroupPath> = Vec::new();
        for cgroup in [&self.memory, &self.pids, &self.cpu].into_iter().flatten() {
            if !distinct.contains(&cgroup) {
                distinct.push(cgroup);
            }
        }
        distinct
    }
}

fn share(quota: u64, period: u64) -> String {
    // Both are microseconds far below 2^52.
    format!("{}", quota as f64 / period.max(1) as f64)
}

fn mechanism(version: Version, file: &str) -> String {
    match version {
        Version::One => format!("cgroup v1 {file}"),
        Version::Two => format!("cgroup v2 {file}"),
    }
}

/// The groups of one box. Dropping removes them once no process is in them.
#[derive(Debug)]
pub(crate) struct Group {
    paths: CgroupPaths,
}

impl Group {
    /// Makes a group in each hierarchy of `parents` and sets its limits.
    pub(crate) fn create(parents: &CgroupPaths, limits: &Limits, label: &str) -> io::Result<Self> {
        let name = owner::box_name(label);
        let mut paths = CgroupPaths::default();
        for controller in CONTROLLERS {
            if let Some(parent) = parents.get(controller) {
                let directory = parent.directory.join(&name);
                *paths.get_mut(controller) = Some(CgroupPath { version: parent.version, directory });
            }
        }
        let group = Self { paths };
        for cgroup in group.paths.distinct() {
            fs::create_dir(&cgroup.directory).map_err(|error| naming(&cgroup.directory, &error))?;
        }
        for controller in CONTROLLERS {
            if let Some(cgroup) = group.paths.get(controller) {
                set(cgroup, controller, limits)?;
            }
        }
        Ok(group)
    }

    /// The files that take the number of a process.
    fn member_files(&self) -> Vec<PathBuf> {
        self.paths.distinct().iter().map(|cgroup| cgroup.directory.join("cgroup.procs")).collect()
    }

    /// Puts a process into the groups. The kernel can let a write wait for some milliseconds.
    pub(crate) async fn add(&self, process: u32) -> io::Result<()> {
        let files = self.member_files();
        if files.is_empty() {
            return Ok(());
        }
        let write = move || files.iter().try_for_each(|file| fs::write(file, process.to_string()));
        tokio::task::spawn_blocking(write).await?
    }

    pub(crate) fn paths(&self) -> &CgroupPaths {
        &self.paths
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut left: Vec<PathBuf> =
            self.paths.distinct().iter().map(|cgroup| cgroup.directory.clone()).collect();
        left.retain(|directory| !is_removed(directory));
        if left.is_empty() {
            return;
        }
        // A cancelled box may still be ending; dropping must not wait for that.
        let _ = std::thread::Builder::new().name("cgroup".into()).spawn(move || {
            for _ in 0..REMOVAL_TRIES {
                std::thread::sleep(REMOVAL_PAUSE);
                left.retain(|directory| !is_removed(directory));
                if left.is_empty() {
                    return;
                }
            }
            // The reaper of a later process removes them.
        });
    }
}

/// Number of attempts to remove the groups of an ending box, and the pause between two: ten seconds in all. A box ends
/// within milliseconds; only a stuck disk can delay that.
const REMOVAL_TRIES: u32 = 1000;
const REMOVAL_PAUSE: Duration = Duration::from_millis(10);

fn is_removed(directory: &Path) -> bool {
    match fs::remove_dir(directory) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Removes groups of this label whose owner is gone. They are empty, because a box ends with its owner.
pub(crate) fn reap(parents: &CgroupPaths, label: &str) -> io::Result<usize> {
    let mut reaped = 0;
    for parent in parents.distinct() {
        for entry in fs::read_dir(&parent.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let orphan = name
                .to_str()
                .and_then(|name| owner::owner_of(name, label))
                .is_some_and(|owner| owner.is_gone());
            if orphan && fs::remove_dir(entry.path()).is_ok() {
                reaped += 1;
            }
        }
    }
    Ok(reaped)
}

/// Limit on the memory of TCP and UDP sockets in version 1, beside `memory.limit_in_bytes`.
const SOCKET_LIMIT: &str = "memory.kmem.tcp.limit_in_bytes";

/// Most bytes for it: boxes have no network, and need little for their own loopback.
const MAX_SOCKET_BYTES: u64 = 16 << 20;

/// Version 1 counts what TCP and UDP sockets hold only if it has a limit of its own.
fn set_socket_limit(cgroup: &CgroupPath, memory_bytes: u64) -> io::Result<()> {
    if cgroup.directory.join(SOCKET_LIMIT).exists() {
        write(cgroup, SOCKET_LIMIT, &memory_bytes.min(MAX_SOCKET_BYTES).to_string())?;
    }
    Ok(())
}

fn set(cgroup: &CgroupPath, controller: Controller, limits: &Limits) -> io::Result<()> {
    let bytes = limits.memory_bytes.to_string();
    // Microseconds of CPU time in a period; at least 1 ms, the kernel's minimum.
    let quota = ((limits.cpus * CPU_PERIOD_US as f64).round() as u64).max(1000);
    match (controller, cgroup.version) {
        (Controller::Memory, Version::One) => {
            write(cgroup, "memory.limit_in_bytes", &bytes)?;
            // Without swap accounting there is no such file. Then the kernel must not swap pages of this group.
            if write(cgroup, "memory.memsw.limit_in_bytes", &bytes).is_err() {
                write(cgroup, "memory.swappiness", "0")?;
            }
            set_socket_limit(cgroup, limits.memory_bytes)
        }
        (Controller::Memory, Version::Two) => {
            write(cgroup, "memory.max", &bytes)?;
            if cgroup.directory.join("memory.swap.max").exists() {
                write(cgroup, "memory.swap.max", "0")?;
            }
            write(cgroup, "memory.oom.group", "1")
        }
        // The box's first process counts too.
        (Controller::Pids, _) => write(cgroup, "pids.max", &(limits.processes + 1).to_string()),
        (Controller::Cpu, Version::One) => {
            write(cgroup, "cpu.cfs_period_us", &CPU_PERIOD_US.to_string())?;
            write(cgroup, "cpu.cfs_quota_us", &quota.to_string())
        }
        (Controller::Cpu, Version::Two) => write(cgroup, "cpu.max", &format!("{quota} {CPU_PERIOD_US}")),
    }
}

/// Whether this process can make, limit and enter a group there.
fn try_out(cgroup: &CgroupPath, controller: Controller, label: &str) -> bool {
    let parents = {
        let mut paths = CgroupPaths::default();
        *paths.get_mut(controller) = Some(cgroup.clone());
        paths
    };
    let Ok(group) = Group::create(&parents, &Limits::default(), label) else { return false };
    group.member_files().iter().all(|file| fs::OpenOptions::new().write(true).open(file).is_ok())
}

/// The group that this process moves into where version 2 requires its own to be empty.
const HOST_GROUP: &str = "plainsight-host";

/// Version 2 passes controllers to child groups only if no process is in the parent ("no internal processes"). A service
/// with delegation is alone in its group and can move into a child group.
fn prepare(cgroup: &CgroupPath) -> bool {
    if cgroup.version == Version::One {
        return true;
    }
    let wanted = CONTROLLERS.map(Controller::name);
    let enabled = |file| {
        read(cgroup, file)
            .is_some_and(|text| wanted.iter().any(|name| text.split(' ').any(|word| word == *name)))
    };
    if enabled("cgroup.subtree_control") {
        return true;
    }
    if !enabled("cgroup.controllers") {
        return false;
    }
    let alone =
        read(cgroup, "cgroup.procs").is_some_and(|text| text.trim() == std::process::id().to_string());
    if alone {
        let below = CgroupPath { version: Version::Two, directory: cgroup.directory.join(HOST_GROUP) };
        if fs::create_dir(&below.directory).is_err() && !below.directory.is_dir() {
            return false;
        }
        if write(&below, "cgroup.procs", "0").is_err() {
            return false;
        }
    }
    let mut any = false;
    for name in wanted {
        any |= write(cgroup, "cgroup.subtree_control", &format!("+{name}")).is_ok();
    }
    any
}

/// Where groups for boxes could be made, best first: below the own group, or at the top, where only root can.
fn candidates(mounts: &[Mount], membership: &str, controller: Controller) -> Vec<CgroupPath> {
    let Some(mut own) = own(mounts, membership, controller.name()) else { return Vec::new() };
    if own.directory.ends_with(HOST_GROUP) {
        own.directory.pop();
    }
    let top = mounts
        .iter()
        .find(|mount| own.directory.starts_with(&mount.point))
        .map(|mount| CgroupPath { version: own.version, directory: mount.point.clone() });
    let mut candidates = vec![own];
    candidates.extend(top.filter(|top| *top != candidates[0]));
    candidates
}

/// The directory of a controller for a process, from its `/proc/PID/cgroup`.
fn own(mounts: &[Mount], membership: &str, controller: &str) -> Option<CgroupPath> {
    let mut unified = None;
    for line in membership.lines() {
        // "4:memory:/path", "0::/path" (cgroups(7)).
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if controllers.is_empty() {
            unified = Some(path);
        } else if controllers.split(',').any(|name| name == controller) {
            let mount = mounts.iter().find(|mount| {
                mount.version == Version::One && mount.controllers.iter().any(|name| name == controller)
            })?;
            return Some(CgroupPath { version: Version::One, directory: mount.directory(path) });
        }
    }
    let mount = mounts.iter().find(|mount| mount.version == Version::Two)?;
    let cgroup = CgroupPath { version: Version::Two, directory: mount.directory(unified?) };
    // The group's own file lists the controllers available to it; the top has the file too.
    read(&cgroup, "cgroup.controllers")?.split(' ').any(|name| name == controller).then_some(cgroup)
}

/// A mounted cgroup file system.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// The part of the hierarchy that is mounted.
    root: String,
    point: PathBuf,
    controllers: Vec<String>,
}

impl Mount {
    fn directory(&self, path: &str) -> PathBuf {
        let below = path.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(path);
        self.point.join(below.trim_start_matches('/'))
    }
}

/// The cgroup file systems in a `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(3);
            let (root, point) = (before.next()?, before.next()?);
            let mut after = after.split(' ');
            let (kind, options) = (after.next()?, after.nth(1)?);
            let version = match kind {
                "cgroup" => Version::One,
                "cgroup2" => Version::Two,
                _ => return None,
            };
            let controllers = options.split(',').map(String::from).collect();
            Some(Mount { version, root: root.into(), point: point.into(), controllers })
        })
        .collect()
}

fn read(cgroup: &CgroupPath, file: &str) -> Option<String> {
    fs::read_to_string(cgroup.directory.join(file)).ok().map(|text| text.trim().to_owned())
}

fn number(cgroup: &CgroupPath, file: &str) -> Option<u64> {
    read(cgroup, file)?.parse().ok()
}

fn write(cgroup: &CgroupPath, file: &str, value: &str) -> io::Result<()> {
    let path = cgroup.directory.join(file);
    // Never creates a file: only the kernel's own files set limits.
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
        .map_err(|error| naming(&path, &error))
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
25 30 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
27 25 0:25 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
28 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn finds_each_controller_separately() {
        let mounts = mounts(MOUNTINFO);
        assert_eq!(mounts.len(), 3);
        let membership = "4:memory:/user/me\n3:cpu,cpuacct:/docker/abc/x\n0::/user.slice\n";
        let directory = |controller: Controller| {
            own(&mounts, membership, controller.name()).map(|cgroup| cgroup.directory)
        };
        assert_eq!(directory(Controller::Memory), Some("/sys/fs/cgroup/memory/user/me".into()));
        assert_eq!(directory(Controller::Cpu), Some("/sys/fs/cgroup/cpu,cpuacct/x".into()));
        assert_eq!(directory(Controller::Pids), None);
        let candidates: Vec<_> = candidates(&mounts, membership, Controller::Memory)
            .into_iter()
            .map(|cgroup| cgroup.directory)
            .collect();
        assert_eq!(
            candidates,
            [PathBuf::from("/sys/fs/cgroup/memory/user/me"), "/sys/fs/cgroup/memory".into()]
        );
    }

    /// Uses an ordinary folder with the files of version 2.
    #[test]
    fn sets_and_reads_back_limits_of_version_2() {
        let folder = tempfile::tempdir().unwrap();
        let cgroup = CgroupPath { version: Version::Two, directory: folder.path().into() };
        let paths = CgroupPaths {
            memory: Some(cgroup.clone()),
            pids: Some(cgroup.clone()),
            cpu: Some(cgroup.clone()),
            cpu_time: None,
        };
        let files = ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max"];
        let limits = Limits { cpus: 1.5, ..Limits::default() };
        for controller in CONTROLLERS {
            assert!(set(&cgroup, controller, &limits).is_err(), "there is no file yet");
        }
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        for controller in CONTROLLERS {
            set(&cgroup, controller, &limits).unwrap();
        }
        let values: Vec<_> = paths.in_force().into_iter().map(|entry| (entry.name, entry.value)).collect();
        let expected =
            [("memory_bytes", "1073741824"), ("swap_bytes", "0"), ("processes", "65"), ("cpus", "1.5")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(values, expected);
        assert_eq!(read(&cgroup, "memory.oom.group").unwrap(), "1");
        fs::write(folder.path().join("memory.events"), "low 0\noom 2\noom_kill 3\noom_group_kill 1\n")
            .unwrap();
        fs::write(folder.path().join("memory.peak"), "4096\n").unwrap();
        assert_eq!((paths.oom_kills(), paths.peak_bytes()), (3, Some(4096)));
    }

    #[test]
    fn moves_out_of_a_group_of_version_2_only_if_alone_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let cgroup = CgroupPath { version: Version::Two, directory: folder.path().into() };
        assert!(!prepare(&cgroup));
        fs::write(folder.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        fs::write(folder.path().join("cgroup.procs"), "1\n2\n").unwrap();
        assert!(!prepare(&cgroup));
        fs::write(folder.path().join("cgroup.subtree_control"), "memory pids\n").unwrap();
        assert!(prepare(&cgroup));
    }
}
