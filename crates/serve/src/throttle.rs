//! Log lines limited in rate: what a client can cause a thousand times a second must not write a thousand lines.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets some lines of one kind through in each interval, and counts the others.
#[derive(Debug)]
pub struct Throttle {
    lines: u32,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    interval_began: Option<Instant>,
    passed: u32,
    left_out: u64,
}

impl Throttle {
    /// Lets `lines` through in each `interval`.
    pub const fn new(lines: u32, interval: Duration) -> Self {
        let state = State { interval_began: None, passed: 0, left_out: 0 };
        Self { lines, interval, state: Mutex::new(state) }
    }

    /// Whether a line may be written now. `Some` has the number of lines that were left out since the last one.
    pub fn pass(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_over = |began| now.duration_since(began) >= self.interval;
        if state.interval_began.is_none_or(is_over) {
            state.interval_began = Some(now);
            state.passed = 0;
        }
        if state.passed >= self.lines {
            state.left_out += 1;
            return None;
        }
        state.passed += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passes_some_lines_an_interval_and_counts_the_others() {
        let throttle = Throttle::new(2, Duration::from_secs(10));
        assert_eq!((throttle.pass(), throttle.pass()), (Some(0), Some(0)));
        for _ in 0..1000 {
            assert_eq!(throttle.pass(), None);
        }
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(throttle.pass(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((throttle.pass(), throttle.pass(), throttle.pass()), (Some(1001), Some(0), None));
    }
}
