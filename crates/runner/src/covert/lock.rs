//! Two boxes that can lock bytes of the same file see each other's locks (fcntl(2), "Advisory record locking"), also without
//! a right to write it.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};

use super::words::{DIGITS, Heard, bits, distinct, word};

/// How long locks are held, and those of another box are waited for.
const LOCKED: Duration = Duration::from_millis(1500);

/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(50);

/// Number of places in a file for the locks of one box each, chosen by the first three digits of its canary.
const PLACES: i64 = 0x1000;

/// Bytes of a place: one for each bit of a canary, locked if the bit is set, and one that is locked last.
const PLACE_BYTES: i64 = COMPLETE + 1;
const COMPLETE: i64 = 128;

pub(crate) fn speak_and_listen(path: &str, canary: &str) -> io::Result<Heard> {
    let own = i64::from_str_radix(canary.get(..3).unwrap_or_default(), 16).map_err(io::Error::other)?;
    // Closing any descriptor of the file would give up the locks; they last as long as this process.
    let file = ManuallyDrop::new(File::open(path)?);
    let lock = |at: i64| fcntl(&*file, FcntlArg::F_SETLK(&byte(libc::F_RDLCK, at)));
    let is_locked = |at: i64| -> io::Result<bool> {
        // A lock to write would conflict with another process's lock to read.
        let mut seen = byte(libc::F_WRLCK, at);
        fcntl(&*file, FcntlArg::F_GETLK(&mut seen))?;
        Ok(i32::from(seen.l_type) != libc::F_UNLCK)
    };
    for (at, _) in (own * PLACE_BYTES..).zip(bits(canary)?).filter(|(_, bit)| *bit) {
        lock(at)?;
    }
    lock(own * PLACE_BYTES + COMPLETE)?;
    let began = Instant::now();
    let mut words = Vec::new();
    while began.elapsed() < LOCKED {
        for other in (0..PLACES).filter(|other| *other != own) {
            let first = other * PLACE_BYTES;
            if words.is_empty() && is_locked(first + COMPLETE)? {
                let bits: io::Result<Vec<bool>> = (first..first + COMPLETE).map(is_locked).collect();
                words.extend(word(&bits?, DIGITS));
            }
        }
        thread::sleep(AGAIN);
    }
    distinct(words)
}

/// One byte of a file, in the form of fcntl(2).
fn byte(kind: i32, at: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: at,
        l_len: 1,
        l_pid: 0,
    }
}
