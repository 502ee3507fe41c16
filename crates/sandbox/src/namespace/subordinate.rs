//! A user number of its own for each box of an ordinary user.
//!
//! The kernel counts epoll watches, pipe buffers and other things for each user of the machine. A box under its host's user number
//! could use up what the host needs. Where the administrator has given a user subordinate numbers (`/etc/subuid`, `/etc/subgid`), and
//! the programs `newuidmap` and `newgidmap` exist, each box gets one of them (subuid(5), newuidmap(1)).
//!
//! The two programs run once, when the backend is opened: they map the numbers into a user namespace, which has no process but
//! stays open. Each helper enters it, and takes a number there as root does outside (`outer.rs`).
//!
//! ```text
//!   in this user namespace     outside
//!   0                          the host's user
//!   FIRST_USER ...             the subordinate numbers
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sched::{CloneFlags, unshare};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::USERS_ROLE;
use crate::owner::{FIRST_USER, USERS};

/// A user namespace with subordinate numbers.
#[derive(Debug)]
pub(super) struct Users {
    pub(super) namespace: OwnedFd,
    /// How many there are, from [`FIRST_USER`] on.
    pub(super) count: u32,
}

/// Where the two programs are: like helpers, they are found without `PATH`.
const FOLDERS: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];

impl Users {
    /// Makes the user namespace. `None` if this process's user has no subordinate numbers, or no program to use them; both
    /// can also be denied, for example where programs may not gain rights.
    pub(super) async fn make(helper: &Path) -> Option<Self> {
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        if user.is_root() {
            return None;
        }
        let programs = [program("newuidmap")?, program("newgidmap")?];
        let name = login_name(user.as_raw());
        let range = |file| first_range(&fs::read_to_string(file).ok()?, user.as_raw(), name.as_deref());
        let (users, groups) = (range("/etc/subuid")?, range("/etc/subgid")?);
        let count = users.1.min(groups.1).min(USERS);
        // Killed when it is dropped; the namespace then lives by its descriptor.
        let child = in_new_namespace(helper).await.ok()?;
        let process = child.id()?.to_string();
        for (program, outside, first) in
            [(&programs[0], user.as_raw(), users.0), (&programs[1], group.as_raw(), groups.0)]
        {
            let numbers = [0, outside, 1, FIRST_USER, first, count].map(|number| number.to_string());
            let output = Command::new(program).arg(&process).args(numbers).output().await.ok()?;
            if !output.status.success() {
                return None;
            }
        }
        let namespace = File::open(format!("/proc/{process}/ns/user")).ok()?.into();
        Some(Self { namespace, count })
    }
}

/// A process in a new user namespace, which waits.
async fn in_new_namespace(helper: &Path) -> io::Result<Child> {
    let mut child = Command::new(helper)
        .arg(USERS_ROLE)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    stdout.read_exact(&mut [0]).await?;
    Ok(child)
}

/// The main function of this process: reports that it has made the namespace, and waits for the end of its input.
pub(super) fn main() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER)?;
    io::stdout().write_all(b"\n")?;
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

fn program(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// The name of a user in `/etc/passwd` (passwd(5)).
fn login_name(user: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(user)).then(|| name.to_owned())
    })
}

/// The first range of a user in a `/etc/subuid` or `/etc/subgid`: `NAME-OR-NUMBER:FIRST:COUNT`.
fn first_range(text: &str, user: u32, name: Option<&str>) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let who = fields.next()?;
        if Some(who) != name && who.parse() != Ok(user) {
            return None;
        }
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
        (count > 0).then_some((first, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_range_of_a_user_by_name_or_number() {
        let text = "other:100000:65536\nme:165536:65536\n1001:231072:10\nempty:1:0\n";
        assert_eq!(first_range(text, 1000, Some("me")), Some((165_536, 65_536)));
        assert_eq!(first_range(text, 1001, None), Some((231_072, 10)));
        assert_eq!(first_range(text, 7, Some("empty")), None);
        assert_eq!(first_range(text, 7, None), None);
    }
}
