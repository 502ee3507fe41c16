//! The end of a capture: it continues until no frame arrives for a while, within a time limit.

use std::time::{Duration, Instant};

/// Maximum duration of a drain. Longer than any exchange of the experiment, and shorter than the deadlines of the lab and of
/// `docker/run.sh`.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A capture that has received its stop signal and continues until no frame arrives for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    quiet: Duration,
    quiet_at: Instant,
    deadline: Instant,
}

impl Drain {
    /// Starts a drain `now`. It ends when no frame arrives for `quiet`, at the latest after [`DRAIN_MAX`].
    pub(crate) fn begin(now: Instant, quiet: Duration) -> Self {
        Self { quiet, quiet_at: now + quiet, deadline: now + DRAIN_MAX.max(quiet) }
    }

    /// Records that a frame arrived `now`.
    pub(crate) fn frame_arrived(&mut self, now: Instant) {
        self.quiet_at = now + self.quiet;
    }

    /// Time until the drain ends unless a frame arrives; `None` once it has ended.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.quiet_at.min(self.deadline).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Whether the deadline and not silence ended the drain.
    pub(crate) fn cut_short(&self, now: Instant) -> bool {
        now >= self.deadline && now < self.quiet_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(300);

    #[test]
    fn silence_ends_the_drain() {
        let start = Instant::now();
        let mut drain = Drain::begin(start, QUIET);
        assert_eq!(drain.left(start), Some(QUIET));
        drain.frame_arrived(start + QUIET / 2);
        assert_eq!(drain.left(start + QUIET), Some(QUIET / 2));
        assert_eq!(drain.left(start + QUIET * 3 / 2), None);
        assert!(!drain.cut_short(start + QUIET * 3 / 2));
    }

    #[test]
    fn the_deadline_ends_the_drain_despite_traffic() {
        let start = Instant::now();
        let mut drain = Drain::begin(start, QUIET);
        drain.frame_arrived(start + DRAIN_MAX - QUIET / 3);
        assert_eq!(drain.left(start + DRAIN_MAX), None);
        assert!(drain.cut_short(start + DRAIN_MAX));
    }

    #[test]
    fn a_quiet_time_beyond_the_deadline_extends_it() {
        let start = Instant::now();
        let drain = Drain::begin(start, DRAIN_MAX * 2);
        assert!(drain.left(start + DRAIN_MAX).is_some());
    }
}
