//! The process that a box belongs to, so that the reaper recognises boxes whose process has ended.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Error, MAX_LABEL};

/// The first of [`USERS`] user numbers for boxes started by root: above those that systemd and container engines assign
/// (systemd's UIDS-GIDS), below those that some programs read as negative.
#[cfg(target_os = "linux")]
pub(crate) const FIRST_USER: u32 = 0x7000_0000;

/// The number of these numbers.
#[cfg(target_os = "linux")]
pub(crate) const USERS: u32 = 0x1_0000;

/// The first of as many user numbers for containers.
pub(crate) const FIRST_CONTAINER_USER: u32 = 0x7001_0000;

/// The user `nobody`, for user namespaces that do not map the numbers above.
pub(crate) const NOBODY: u32 = 65_534;

/// A process, identified so that a later process with the same number is not mistaken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks since boot. 0 where there is no `/proc`.
    started: u64,
    /// The PID namespace that `pid` counts in, by inode; 0 where there is no `/proc`.
    namespace: u64,
}

impl Owner {
    pub(crate) fn this() -> Self {
        let pid = std::process::id();
        Self { pid, started: started(pid).unwrap_or(0), namespace: pid_namespace() }
    }

    /// The owner as one word of digits and `-`, for names of cgroups and labels of containers.
    pub(crate) fn word(&self) -> String {
        format!("{}-{}-{}", self.namespace, self.pid, self.started)
    }

    /// Parses what [`Owner::word`] wrote.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let mut parts = word.split('-');
        let (namespace, pid, started) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
            namespace: namespace.parse().ok()?,
        })
    }

    /// Whether the process has ended. A process in another PID namespace cannot be seen. It counts as ended: its boxes
    /// have this program's label, so it was an earlier container of this program.
    pub(crate) fn is_gone(&self) -> bool {
        self.namespace != pid_namespace() || started(self.pid).unwrap_or(0) != self.started
    }
}

fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, and may hold any character.
    let (_, fields) = stat.rsplit_once(')')?;
    // Field 3, the state, comes first here. A zombie has ended.
    let mut fields = fields.split_ascii_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn pid_namespace() -> u64 {
    fs::read_link("/proc/self/ns/pid")
        .ok()
        .and_then(|link| link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok())
        .unwrap_or(0)
}

/// A unique name for a box: label, owner and a number.
pub(crate) fn box_name(label: &str) -> String {
    format!("{}{}", name_prefix(label), unique())
}

/// A unique word: this process and a number.
pub(crate) fn unique() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{}.{}", Owner::this().word(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The prefix of all names of boxes with this label.
fn name_prefix(label: &str) -> String {
    format!("plainsight-box.{label}.")
}

/// The owner in the name of a box with this label; `None` for any other name.
pub(crate) fn owner_of(name: &str, label: &str) -> Option<Owner> {
    let (owner, _) = name.strip_prefix(&name_prefix(label))?.split_once('.')?;
    Owner::parse(owner)
}

/// Rejects labels that cannot be part of a name of a container or cgroup.
pub(crate) fn check_label(label: &str) -> Result<(), Error> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if label.is_empty() || label.len() > MAX_LABEL || !label.bytes().all(fits) {
        return Err(Error::BadJob(format!(
            "the label {label:?} is not 1 to {MAX_LABEL} letters, digits, `-`, `_` or `.`"
        )));
    }
    Ok(())
}

static HOOKED: AtomicBool = AtomicBool::new(false);

/// `main` begins with [`crate::enter_if_asked`].
pub(crate) fn note_hook() {
    HOOKED.store(true, Ordering::Relaxed);
}

pub(crate) fn is_hooked() -> bool {
    HOOKED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_gone_if_start_time_or_namespace_differ() {
        let this = Owner::this();
        assert!(!this.is_gone());
        assert_eq!(Owner::parse(&this.word()), Some(this.clone()));
        assert!(Owner { started: this.started + 1, ..this.clone() }.is_gone());
        assert!(Owner { namespace: this.namespace + 1, ..this }.is_gone());
        for word in ["", "1", "1-2", "1-2-3-4", "a-b-c", "-1-2"] {
            assert_eq!(Owner::parse(word), None, "{word}");
        }
    }

    #[test]
    fn names_contain_label_and_owner() {
        let name = box_name("a.b");
        assert_ne!(name, box_name("a.b"));
        assert_eq!(owner_of(&name, "a.b"), Some(Owner::this()));
        assert_eq!(owner_of(&name, "a"), None);
        assert_eq!(owner_of("something else", "a.b"), None);
        assert!(
            check_label("").is_err() && check_label("a/b").is_err() && check_label(&"x".repeat(41)).is_err()
        );
        assert!(check_label("gateway-8000").is_ok());
    }
}
