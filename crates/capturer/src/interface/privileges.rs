//! Dropping root once the packet socket is open, so that the files belong to the caller.

use std::str::FromStr;

use anyhow::{Context, ensure};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// A user and a group by number. Names would need a user database, which a scratch image does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    uid: Uid,
    gid: Gid,
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
        let (uid, gid) = numbers.ok_or_else(|| format!("{text:?} is not UID:GID (two numbers)"))?;
        Ok(Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) })
    }
}

/// Becomes `owner` permanently. The kernel drops all capabilities; the open socket stays usable.
pub(crate) fn become_owner(owner: Owner) -> anyhow::Result<()> {
    let Owner { uid, gid } = owner;
    setgroups(&[gid]).context("cannot drop the supplementary groups (needs CAP_SETGID)")?;
    setresgid(gid, gid, gid).with_context(|| format!("cannot become group {gid} (needs CAP_SETGID)"))?;
    setresuid(uid, uid, uid).with_context(|| format!("cannot become user {uid} (needs CAP_SETUID)"))?;
    ensure!(
        uid.is_root() || setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_err(),
        "dropped to user {uid}, but can still become root"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_numbers_only() {
        assert_eq!("1000:100".parse(), Ok(Owner { uid: Uid::from_raw(1000), gid: Gid::from_raw(100) }));
        for text in ["", "1000", "me:us", "1:2:3", "-1:0"] {
            assert!(text.parse::<Owner>().is_err(), "{text}");
        }
    }
}
