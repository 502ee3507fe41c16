//! The end of a capture: what is still on its way is waited for, but not forever.

use std::time::{Duration, Instant};

/// The longest a capture goes on after it was told to stop, however busy the wire is. Longer than any exchange of the
/// experiment takes, and shorter than the patience of whoever asked.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A capture that was told to stop and reads on until the wire is quiet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    quiet: Duration,
    quiet_at: Instant,
    deadline: Instant,
}

impl Drain {
    /// Told to stop `now`: the end comes when nothing is heard for `quiet`, at the latest after [`DRAIN_MAX`].
    pub(crate) fn begin(now: Instant, quiet: Duration) -> Self {
        Self { quiet, quiet_at: now + quiet, deadline: now + DRAIN_MAX.max(quiet) }
    }

    /// Something was heard `now`.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.quiet_at = now + self.quiet;
    }

    /// How long to listen on; `None` when it is over.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.quiet_at.min(self.deadline).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Whether it ended by the deadline and not by silence.
    pub(crate) fn cut_short(&self, now: Instant) -> bool {
        now >= self.deadline && now < self.quiet_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(300);

    #[test]
    fn silence_ends_it() {
        let start = Instant::now();
        let mut end = Drain::begin(start, QUIET);
        assert_eq!(end.left(start), Some(QUIET));
        end.heard(start + QUIET / 2);
        assert_eq!(end.left(start + QUIET), Some(QUIET / 2));
        assert_eq!(end.left(start + QUIET * 3 / 2), None);
        assert!(!end.cut_short(start + QUIET * 3 / 2));
    }

    #[test]
    fn endless_traffic_does_not_prevent_it() {
        let start = Instant::now();
        let mut end = Drain::begin(start, QUIET);
        end.heard(start + DRAIN_MAX - QUIET / 3);
        assert_eq!(end.left(start + DRAIN_MAX), None);
        assert!(end.cut_short(start + DRAIN_MAX));
    }

    #[test]
    fn a_long_quiet_time_is_kept() {
        let start = Instant::now();
        let end = Drain::begin(start, DRAIN_MAX * 2);
        assert!(end.left(start + DRAIN_MAX).is_some());
    }
}
