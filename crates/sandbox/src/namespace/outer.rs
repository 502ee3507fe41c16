//! The helper: makes the namespaces and the root of a box, starts its first process, and watches it from outside until all
//! processes of the box have ended.
//!
//! It is a process of its own with one thread, because only a single-threaded process can enter a user namespace, and
//! cannot leave it. The helper ends with its host: however the host ends, the kernel then closes the socket between
//! them. The box ends with the helper: when the helper ends, the kernel kills the box's first process, and all others
//! with it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_gettime,
    timerfd_settime,
};

use super::protocol::{self, BoxSpec, Prelude, Report};
use super::{INIT_ROLE, mounts, network, watch};
use crate::error::At;
use crate::{Exit, InForce, Refusal, owner, sockets};

/// Runs the helper to its end.
///
/// The host may start it long before there is a job; it then prepares as much as possible. It makes one box.
pub(super) fn main() {
    close_inherited_descriptors();
    // When memory runs out, the kernel kills boxes before their host. A box cannot undo it: its `/proc` is read-only. Raising
    // needs no rights; a box reports the value in force.
    let _ = fs::write("/proc/self/oom_score_adj", KILLED_FIRST);
    let Ok(host) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else { return };
    let Ok(prelude) = protocol::receive::<Prelude>(&host) else { return };
    let prepared = match prepare(&prelude, &host) {
        Ok(prepared) => prepared,
        Err(refusal) => {
            let _ = protocol::send(&host, &Report::Refused(refusal));
            return;
        }
    };
    if protocol::send(&host, &Report::Prepared(prepared.init.id())).is_err() {
        return;
    }
    let (Ok(spec), Ok(stdin)) = (protocol::receive::<BoxSpec>(&host), protocol::receive_bytes(&host)) else {
        return;
    };
    let report = run(&host, prepared, &spec, &stdin).unwrap_or_else(Report::Refused);
    // If this fails, the host is gone and needs no report.
    let _ = protocol::send(&host, &report);
}

/// The highest value of `oom_score_adj` (proc_pid_oom_score_adj(5)).
const KILLED_FIRST: &str = "1000";

/// Closes the host's descriptors without close-on-exec flag, which the box would inherit.
fn close_inherited_descriptors() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The folder's own descriptor is closed already.
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        let _ = nix::unistd::close(descriptor);
    }
}

/// A first process that waits for its box's description, and the socket to it.
struct Prepared {
    init: Child,
    socket: UnixStream,
}

/// Makes the namespaces, the root, and a first process in them.
fn prepare(prelude: &Prelude, host: &UnixStream) -> Result<Prepared, Refusal> {
    let mut sources = None;
    join_network(prelude)?;
    if prelude.subordinate_users.is_some() {
        enter_users(host)?;
    }
    if geteuid().is_root() {
        // Files that only this user can read are opened first. Root of a user namespace has no rights over the existing
        // mounts, only over those of its own mount namespace.
        sources = match mounts::Sources::take(prelude) {
            Err(refusal) if refusal.errno == Some(libc::EPERM) => None,
            taken => Some(taken?),
        };
        become_unused_user(prelude)?;
    }
    enter_namespaces(prelude)?;
    limit_namespaces();
    if prelude.network.is_none() {
        network::bring_loopback_up().at("bringing the box's loopback up")?;
    }
    mounts::build(sources.map_or_else(|| mounts::Sources::take(prelude), Ok)?)?;
    let (socket, theirs) = UnixStream::pair().at("making a socket pair")?;
    Ok(Prepared { init: start_init(theirs)?, socket })
}

fn run(host: &UnixStream, prepared: Prepared, spec: &BoxSpec, stdin: &[u8]) -> Result<Report, Refusal> {
    let Prepared { mut init, socket } = prepared;
    let outcome = supervise(host, &socket, spec, stdin);
    // If it has ended, this has no effect. `wait` returns after all other processes of the box have ended.
    let _ = init.kill();
    let status = init.wait().at("waiting for the box's first process")?;
    let (reported, peak) = outcome?;
    match reported {
        Some(Report::Ended { exit, .. }) => {
            Ok(Report::Ended { exit, cpu_ns: cpu_ns(), peak_memory_bytes: peak.max(max_rss()) })
        }
        Some(report) => Ok(report),
        // Killed without a report: by the kernel because of the memory. From the box's cgroup the host reads whether
        // the box's own limit was the reason.
        None => Ok(Report::Ended {
            exit: Exit::Signal(std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)),
            cpu_ns: cpu_ns(),
            peak_memory_bytes: peak.max(max_rss()),
        }),
    }
}

// --- Namespaces ----------------------------------------------------------------------------------------------------

fn join_network(prelude: &Prelude) -> Result<(), Refusal> {
    let Some(path) = &prelude.network else { return Ok(()) };
    let namespace = File::open(path).at("opening the network namespace")?;
    setns(namespace, CloneFlags::CLONE_NEWNET).at("entering the network namespace")
}

/// Enters the user namespace of the subordinate users, as its root, with a mount namespace to take mounts from.
fn enter_users(host: &UnixStream) -> Result<(), Refusal> {
    let step = "entering the user namespace of the subordinate users";
    let users = protocol::receive_descriptor(host).at(step)?;
    setns(users, CloneFlags::CLONE_NEWUSER).at(step)?;
    unshare(CloneFlags::CLONE_NEWNS).at(step)
}

/// Changes from root to a user without files on the host. Besides, the kernel does not apply `RLIMIT_NPROC` to root.
fn become_unused_user(prelude: &Prelude) -> Result<(), Refusal> {
    // Each box gets a user number of its own, so that the host can distinguish boxes.
    let numbers = prelude.subordinate_users.unwrap_or(owner::USERS);
    let own = owner::FIRST_USER + std::process::id() % numbers;
    for id in [own, owner::NOBODY] {
        let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
        // If a user namespace refuses this, it has no supplementary groups.
        let _ = setgroups(&[]);
        if setresgid(group, group, group).is_ok() {
            setresuid(user, user, user).at("becoming an ordinary user")?;
            // Otherwise this process's files in /proc belong to root from here on, and it cannot write the id maps.
            return rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
                .at("becoming an ordinary user");
        }
    }
    // Root of a user namespace without other users: acceptable if it maps to an ordinary user.
    let map = fs::read_to_string("/proc/self/uid_map").at("reading the user namespace")?;
    let is_real_root = map.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        fields.next() == Some("0") && fields.next() == Some("0")
    });
    if is_real_root && prelude.limit_processes {
        return Err(Refusal {
            step: "becoming an ordinary user".into(),
            errno: None,
            error: "this user namespace has only the user root, whose processes are not counted".into(),
            hint: "start as an ordinary user, or as root outside of a user namespace".into(),
        });
    }
    Ok(())
}

/// User and group of a box as seen from inside.
const INSIDE: u32 = 1000;

fn enter_namespaces(prelude: &Prelude) -> Result<(), Refusal> {
    // Read before `unshare`: until the maps are written, both are the overflow ids.
    let (user, group) = (geteuid(), getegid());
    let mut flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if prelude.network.is_none() {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags)
        .at("making namespaces")
        .map_err(|refusal| Refusal { hint: hint(refusal.errno), ..refusal })?;
    // Without this the kernel refuses an unprivileged gid_map (user_namespaces(7), "Defining user and group ID mappings").
    fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("{INSIDE} {user} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("{INSIDE} {group} 1")))
        .at("mapping user and group into the user namespace")
}

/// Quotas in the box's own user namespace (namespaces(7), "The /proc/sys/user directory"), and what a TCP connection over its
/// loopback may hold. A second bound: the filter of system calls refuses what the first ones count. Where `/proc/sys` is
/// read-only, as in a container, they keep their values.
fn limit_namespaces() {
    for (file, value) in [
        ("user/max_user_namespaces", "0"),
        ("user/max_inotify_instances", "0"),
        ("user/max_inotify_watches", "0"),
        ("user/max_fanotify_groups", "0"),
        ("user/max_fanotify_marks", "0"),
        ("net/ipv4/tcp_rmem", "4096 16384 65536"),
        ("net/ipv4/tcp_wmem", "4096 16384 65536"),
        ("net/core/somaxconn", "16"),
    ] {
        let _ = fs::write(format!("/proc/sys/{file}"), value);
    }
}

/// The usual cause of a refusal to make namespaces.
fn hint(errno: Option<i32>) -> String {
    let sysctl = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    if errno == Some(libc::ENOSPC) || sysctl("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return "user.max_user_namespaces is 0 or used up".into();
    }
    if sysctl("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return "sysctl kernel.unprivileged_userns_clone=1 allows them".into();
    }
    if sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return "AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns)".into();
    }
    if errno == Some(libc::EPERM) {
        return "a container's seccomp profile or a chroot may forbid user namespaces".into();
    }
    String::new()
}

// --- The first process ---------------------------------------------------------------------------------------------

/// Capabilities with which the first process mounts `/proc`, changes the root and drops its rights. Ambient, because it is not
/// root in its namespace.
const CAPABILITIES: [CapabilitySet; 2] = [CapabilitySet::SYS_ADMIN, CapabilitySet::SETPCAP];

fn start_init(socket: UnixStream) -> Result<Child, Refusal> {
    let step = "passing capabilities on";
    let mut sets = capabilities(None).at(step)?;
    sets.inheritable = sets.permitted;
    set_capabilities(None, sets).at(step)?;
    for capability in CAPABILITIES {
        configure_capability_in_ambient_set(capability, true).at(step)?;
    }
    // It inherits standard output and error for the command.
    Command::new("/proc/self/exe")
        .arg(INIT_ROLE)
        .env_clear()
        .stdin(OwnedFd::from(socket))
        .spawn()
        .at("starting the box's first process")
}

// --- While it runs -------------------------------------------------------------------------------------------------

/// Sends the first process its box, and waits until it ends, reaches a limit, or the host closes the socket. Returns
/// its last report, if there is one, and the peak of the measured memory in bytes.
fn supervise(
    host: &UnixStream,
    box_end: &UnixStream,
    spec: &BoxSpec,
    stdin: &[u8],
) -> Result<(Option<Report>, u64), Refusal> {
    // If it has ended already, its last report can still be read.
    let _ = protocol::send(box_end, spec).and_then(|()| protocol::send_bytes(box_end, stdin));
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).at("making a timer")?;
    let mut watch = Watch::new(spec);
    loop {
        let mut events = [
            PollFd::new(host, PollFlags::IN),
            PollFd::new(box_end, PollFlags::IN),
            PollFd::new(&timer, PollFlags::IN),
        ];
        match poll(&mut events, Some(&watch.patience())) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).at("waiting for the box"),
        }
        let [from_host, from_box, from_timer] = events.map(|event| !event.revents().is_empty());
        let peak = watch.peak;
        if from_box {
            match protocol::receive(box_end) {
                Ok(Report::Ready(mut in_force)) => {
                    in_force.push(start_timer(&timer, spec.wall_ns)?);
                    watch.start(spec.has_network);
                    in_force.push(watch.in_force());
                    if protocol::send(host, &Report::Ready(in_force)).is_err() {
                        return Ok((None, peak));
                    }
                }
                Ok(report) => {
                    return Ok((Some(report), peak));
                }
                Err(_) => return Ok((None, peak)),
            }
        } else if from_host {
            // The host closed the socket or ended.
            return Ok((None, peak));
        } else if from_timer {
            return Ok((Some(ended(Exit::TimedOut)), peak));
        } else if watch.look().at("counting the box's memory")? {
            return Ok((Some(ended(Exit::OutOfMemory)), watch.peak));
        }
    }
}

fn ended(exit: Exit) -> Report {
    Report::Ended { exit, cpu_ns: 0, peak_memory_bytes: 0 }
}

/// Starts the timer of the wall clock, and reads it back.
fn start_timer(timer: &OwnedFd, wall_ns: u64) -> Result<InForce, Refusal> {
    let time =
        |ns: u64| Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 };
    let once = Itimerspec { it_interval: time(0), it_value: time(wall_ns) };
    let began = Instant::now();
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once).at("starting the timer")?;
    let left = timerfd_gettime(timer).at("reading the timer")?.it_value;
    let left_ns = left.tv_sec as u64 * 1_000_000_000 + left.tv_nsec as u64;
    // Some time has passed already, on a busy machine milliseconds: at most this much.
    let passed_ns = began.elapsed().as_nanos() as u64;
    let is_as_set = (left_ns..=left_ns.saturating_add(passed_ns)).contains(&wall_ns);
    let milliseconds = if is_as_set { wall_ns } else { left_ns } / 1_000_000;
    Ok(InForce::new("wall_ms", "timerfd, then SIGKILL to all", milliseconds.to_string()))
}

/// Watches the memory of a box: all of it without a memory cgroup, else only what no cgroup counts.
struct Watch {
    limit: u64,
    /// Whether no cgroup limits the memory.
    is_weak: bool,
    /// What sockets could hold at the start: in a network that was given there are others' sockets.
    of_others: u64,
    peak: u64,
    started: bool,
    due: Instant,
}

impl Watch {
    fn new(spec: &BoxSpec) -> Self {
        let is_weak = spec.watch_memory;
        let limit = if is_weak { spec.memory_bytes } else { sockets::limit_beside(spec.memory_bytes) };
        let first = if is_weak { watch::next_look(0, limit) } else { watch::LONGEST };
        Self { limit, is_weak, of_others: 0, peak: 0, started: false, due: Instant::now() + first }
    }

    /// Begins to measure a box that is made.
    fn start(&mut self, has_network: bool) {
        self.started = true;
        if has_network {
            self.of_others = if self.is_weak { watch::socket_bytes() } else { sockets::uncounted_bytes(1) };
        }
    }

    fn patience(&self) -> Timespec {
        let left = self.due.saturating_duration_since(Instant::now());
        let left = if self.started { left } else { left.max(Duration::from_millis(1)) };
        // At most `watch::LONGEST`, 50 ms.
        Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) }
    }

    /// Measures the memory if a measurement is due; true if it is above the limit.
    fn look(&mut self) -> io::Result<bool> {
        if !self.started || Instant::now() < self.due {
            return Ok(false);
        }
        if !self.is_weak {
            self.due = Instant::now() + watch::LONGEST;
            return Ok(sockets::uncounted_bytes(1).saturating_sub(self.of_others) > self.limit);
        }
        let used = watch::used_bytes()?.saturating_sub(self.of_others);
        self.peak = self.peak.max(used);
        self.due = Instant::now() + watch::next_look(used, self.limit);
        Ok(used > self.limit)
    }

    fn in_force(&self) -> InForce {
        if !self.is_weak {
            let mechanism = "watched from outside: number of Internet sockets, then SIGKILL to all";
            return InForce::new("loopback_bytes", mechanism, self.limit.to_string());
        }
        let mechanism = "weak (allow_weak_memory_limit): watched from outside: sum of RssAnon, VmPTE and VmSwap of all \
                         processes, scratch and sockets, then SIGKILL to all";
        InForce::new("memory_bytes", mechanism, self.limit.to_string())
    }
}

fn cpu_ns() -> u64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| {
        let time = |value: nix::sys::time::TimeVal| {
            u64::try_from(value.tv_sec()).unwrap_or(0) * 1_000_000_000
                + u64::try_from(value.tv_usec()).unwrap_or(0) * 1000
        };
        time(usage.user_time()) + time(usage.system_time())
    })
}

/// Peak memory of the largest process of the box, in bytes.
fn max_rss() -> u64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0) * 1024)
}
