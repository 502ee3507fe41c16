//! Two boxes that see the same inode are told of each other's accesses to it (inotify(7)).

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::Place;
use super::turn::turns;
use super::words::{DIGITS, Heard, bits, distinct, word};

/// Length and number of the turns. Speaking takes a millisecond; the rest is for a box that is late.
const TURN: Duration = Duration::from_millis(160);
const TURNS: u32 = 10;

/// A bit is an access to the file: opened and closed, and read between if the bit is set.
pub(crate) fn speak_and_listen(path: &str, place: Place, canary: &str) -> io::Result<Heard> {
    let bits = bits(canary)?;
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let watched = AddWatchFlags::IN_OPEN | AddWatchFlags::IN_ACCESS | AddWatchFlags::IN_CLOSE_NOWRITE;
    inotify.add_watch(path, watched)?;
    let mut words = Vec::new();
    for turn in turns(place, TURN, TURNS) {
        events(&inotify)?;
        if turn.is_own {
            turn.wait_for(1, 4);
            for bit in bits.clone() {
                let mut file = File::open(path)?;
                if bit {
                    file.read_exact(&mut [0])?;
                }
            }
        } else {
            turn.wait_for(15, 16);
            words.extend(decoded(&events(&inotify)?));
        }
    }
    distinct(words)
}

/// All events that wait.
fn events(inotify: &Inotify) -> io::Result<Vec<AddWatchFlags>> {
    let mut all = Vec::new();
    loop {
        match inotify.read_events() {
            Ok(events) => all.extend(events.into_iter().map(|event| event.mask)),
            Err(Errno::EAGAIN) => return Ok(all),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The canary of these events; `None` if they are anything else.
fn decoded(events: &[AddWatchFlags]) -> Option<String> {
    let accesses = events.split_inclusive(|event| event.contains(AddWatchFlags::IN_CLOSE_NOWRITE));
    let bits: Option<Vec<bool>> = accesses
        .map(|access| match access {
            [open, .., _] if !open.contains(AddWatchFlags::IN_OPEN) => None,
            [_, _close] => Some(false),
            [_, read, _close] => read.contains(AddWatchFlags::IN_ACCESS).then_some(true),
            _ => None,
        })
        .collect();
    word(&bits?, DIGITS)
}
