//! The turns of boxes, by the clock that all boxes of a machine share.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Place;

/// A turn of one box.
pub(super) struct Turn {
    /// Its beginning, since the epoch.
    begin: Duration,
    length: Duration,
    /// Whether it is this box's turn to speak.
    pub(super) is_own: bool,
}

impl Turn {
    /// Sleeps until this part of the turn begins, of so many equal parts.
    pub(super) fn wait_for(&self, part: u32, of: u32) {
        sleep_until(self.begin_of(part, of));
    }

    /// When this part of the turn begins, since the epoch.
    pub(super) fn begin_of(&self, part: u32, of: u32) -> Duration {
        self.begin + self.length * part / of
    }

    /// Whether what has begun in this turn must end, so that nothing of it is in the next one.
    pub(super) fn is_ending(&self) -> bool {
        now() >= self.begin_of(15, 16)
    }
}

/// The next turns, each of this length. Waits for the beginning of each.
pub(super) fn turns(place: Place, length: Duration, number: u32) -> impl Iterator<Item = Turn> {
    let first = now().as_nanos() / length.as_nanos() + 1;
    (0..number).map(move |index| {
        let count = first + u128::from(index);
        let begin = u64::try_from(count * length.as_nanos()).unwrap_or(u64::MAX);
        let is_own = count % u128::from(place.of) == u128::from(place.index);
        let turn = Turn { begin: Duration::from_nanos(begin), length, is_own };
        turn.wait_for(0, 1);
        turn
    })
}

/// The time since the epoch.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn sleep_until(time: Duration) {
    thread::sleep(time.saturating_sub(now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_take_turns() {
        let length = Duration::from_millis(5);
        for index in 0..2 {
            let own: Vec<bool> = turns(Place { index, of: 2 }, length, 4).map(|turn| turn.is_own).collect();
            assert!(own == [true, false, true, false] || own == [false, true, false, true], "{own:?}");
        }
    }
}
