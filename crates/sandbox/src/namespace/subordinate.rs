//! A user number of its own for each box of an ordinary user.
//!
//! The kernel counts epoll watches, pipe buffers and other things for each user of the machine. A box under its host's user number
//! could use up what the host needs. Where the administrator has given a user subordinate numbers (`/etc/subuid`, `/etc/subgid`), and
//! the programs `newuidmap` and `newgidmap` exist, each box gets one of them (subuid(5), newuidmap(1)).
//!
//! ```text
//!   in the user namespace     outside
//!   999                       the host's user: the helper
//!   1000                      a subordinate number: the box
//! ```

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::MAP_ROLE;

/// The subordinate numbers of a user: first, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ranges {
    users: (u32, u32),
    groups: (u32, u32),
}

/// The helper's user in its user namespace.
pub(super) const HELPER: u32 = 999;

/// Where the two programs are: helpers have no `PATH`.
const FOLDERS: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];

impl Ranges {
    /// Those of this process's user, if it has any and the programs to use them.
    pub(super) fn own() -> Option<Self> {
        let user = nix::unistd::geteuid();
        if user.is_root() || program("newuidmap").is_none() || program("newgidmap").is_none() {
            return None;
        }
        let name = login_name(user.as_raw());
        let range = |file| first_range(&fs::read_to_string(file).ok()?, user.as_raw(), name.as_deref());
        Some(Self { users: range("/etc/subuid")?, groups: range("/etc/subgid")? })
    }
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

/// A process that stays outside of the helper's new user namespace, and maps its users from there.
pub(super) struct Mapper {
    process: Child,
    go: Option<ChildStdin>,
}

impl Mapper {
    /// Starts it. `ranges` has one number for each process number, so that boxes at the same time have different ones.
    pub(super) fn start(ranges: &Ranges, inside: u32) -> io::Result<Self> {
        let helper = std::process::id();
        let one = |(first, count): (u32, u32)| first + helper % count;
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let mut process = Command::new("/proc/self/exe")
            .arg(MAP_ROLE)
            .args([helper, HELPER, user.as_raw(), group.as_raw(), inside].map(|number| number.to_string()))
            .args([one(ranges.users), one(ranges.groups)].map(|number| number.to_string()))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let go = process.stdin.take();
        Ok(Self { process, go })
    }

    /// Lets it map the users, after this process has entered its user namespace.
    pub(super) fn map(mut self) -> io::Result<()> {
        // Closing its input is the signal.
        drop(self.go.take());
        let output = self.process.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// The main function of the mapper. Its arguments are those of [`Mapper::start`].
pub(super) fn main(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<(), String> {
    let words: Vec<String> = arguments.filter_map(|word| word.into_string().ok()).collect();
    let [helper, inside_helper, user, group, inside, own_user, own_group] = words.as_slice() else {
        return Err("wrong arguments".into());
    };
    io::stdin().read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
    for (name, outside, own) in [("newuidmap", user, own_user), ("newgidmap", group, own_group)] {
        let program = program(name).ok_or_else(|| format!("no {name}"))?;
        let status = Command::new(program)
            .args([helper, inside_helper, outside, "1", inside, own, "1"])
            .status()
            .map_err(|error| format!("{name}: {error}"))?;
        if !status.success() {
            return Err(format!("{name}: {status}"));
        }
    }
    Ok(())
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
