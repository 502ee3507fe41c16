//! A user namespace, in which an ordinary user may administer networks.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::{Refusal, Step};

/// Moves this process into a new user namespace as its root. Files that it creates still belong to the caller.
///
/// Call it before the process has a second thread: the kernel then refuses it (`EINVAL`). The caller is mapped to root and
/// not to itself, so that the capabilities survive `exec`: the capturer needs them to open its packet socket.
pub(crate) fn become_root_of_own_user_namespace() -> Result<(), Refusal> {
    // Read before the change: inside, until the maps are written, both ids are the overflow id.
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(io::Error::from).map_err(Refusal::at(Step::UserNamespace))?;
    // Otherwise the kernel refuses an unprivileged gid_map (user_namespaces(7), "Defining user and group ID mappings").
    fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {uid} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {gid} 1")))
        .map_err(Refusal::at(Step::IdMaps))
}
