//! A user namespace, in which an ordinary user may administer networks.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::{Refusal, Step};

/// Maximum time for a thread that was joined to leave the process. It takes some microseconds, more on a busy machine.
const THREAD_END_WAIT: Duration = Duration::from_secs(2);

/// Interval at which the kernel is asked again.
const THREAD_END_POLL: Duration = Duration::from_millis(1);

/// Moves this process into a new user namespace as its root. Files that it creates still belong to the caller.
///
/// Call it before the process has a second thread: the kernel then refuses it (`EINVAL`). The caller is mapped to root and
/// not to itself, so that the capabilities survive `exec`: the capturer needs them to open its packet socket.
pub(crate) fn become_root_of_own_user_namespace() -> Result<(), Refusal> {
    // Read before the change: inside, until the maps are written, both ids are the overflow id.
    let (uid, gid) = (geteuid(), getegid());
    enter().map_err(io::Error::from).map_err(Refusal::at(Step::UserNamespace))?;
    // Otherwise the kernel refuses an unprivileged gid_map (user_namespaces(7), "Defining user and group ID mappings").
    fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {uid} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {gid} 1")))
        .map_err(Refusal::at(Step::IdMaps))
}

/// Enters the namespace. A thread that was joined counts until the kernel has removed it, which is a moment after the join.
fn enter() -> nix::Result<()> {
    let deadline = Instant::now() + THREAD_END_WAIT;
    loop {
        match unshare(CloneFlags::CLONE_NEWUSER) {
            Err(Errno::EINVAL) if Instant::now() < deadline => thread::sleep(THREAD_END_POLL),
            result => return result,
        }
    }
}
