//! A user namespace of our own, in which an ordinary user may administer networks.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::{Refusal, Step};

/// Puts this process into a new user namespace as its root. Files still belong to the caller.
///
/// Must run before the process has a second thread: the kernel refuses it later (`EINVAL`).
/// Mapped to root, not to the same user: the capabilities then survive `exec`, and the capturer needs them to open its
/// packet socket.
pub(crate) fn become_root_of_own_user_namespace() -> Result<(), Refusal> {
    // Read before the change: inside, until the maps are written, both are the overflow ids.
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(io::Error::from).map_err(Refusal::at(Step::UserNamespace))?;
    // Without this the kernel refuses an unprivileged gid_map (user_namespaces(7), "Defining user and group ID mappings").
    fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {uid} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {gid} 1")))
        .map_err(Refusal::at(Step::IdMaps))
}
