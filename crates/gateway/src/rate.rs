//! Requests of each user in a time: so many a second, and a burst of more.
//!
//! The generic cell rate algorithm (ITU-T I.371): for each user the time at which the next request would be due if all came
//! evenly. One number a user, and none for a user who has sent nothing for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::user::UserId;

/// Users after which the list is searched for those who have sent nothing for a while. A client can invent users where they are
/// not authenticated.
const CROWDED: usize = 4096;

/// Most users in the list. A further one waits until a place is free, at most the time of one burst.
const MAX_USERS: usize = 65_536;

/// The rate limit.
#[derive(Debug)]
pub struct Rate {
    /// Time between two requests at the full rate.
    interval: Duration,
    /// How far ahead of an even rate a user may be.
    burst: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next request of each user would be due.
    due: HashMap<UserId, Instant>,
    /// Number of users at which those who have sent nothing for a while are removed.
    crowded: usize,
}

impl Rate {
    /// Lets each user send `per_second` requests in the long run, and `burst` at once. `None` for a rate of 0: no limit.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(per_second)?;
        Some(Self { interval, burst: interval * burst.max(1), state: Mutex::new(State::default()) })
    }

    /// Counts a request of `user`.
    ///
    /// # Errors
    /// When the user has sent too many: the time after which one more is let through.
    pub fn count(&self, user: &UserId) -> Result<(), Duration> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.due.len() >= state.crowded {
            state.due.retain(|_, due| *due > now);
            // So that the search costs little for each request.
            state.crowded = (2 * state.due.len()).clamp(CROWDED, MAX_USERS);
            if state.due.len() >= MAX_USERS {
                return Err(self.burst);
            }
        }
        let due = state.due.get(user).map_or(now, |due| (*due).max(now)) + self.interval;
        let ahead = due - now;
        if ahead > self.burst {
            return Err(ahead - self.burst);
        }
        state.due.insert(user.clone(), due);
        Ok(())
    }
}

impl Default for State {
    fn default() -> Self {
        Self { due: HashMap::new(), crowded: CROWDED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn lets_a_burst_through_and_then_an_even_rate() {
        let rate = Rate::new(10, 5).unwrap();
        let (a, b) = (user("a"), user("b"));
        for _ in 0..5 {
            assert_eq!(rate.count(&a), Ok(()));
        }
        assert_eq!(rate.count(&a), Err(Duration::from_millis(100)));
        assert_eq!(rate.count(&b), Ok(()), "another user");
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(rate.count(&a), Ok(()));
        assert!(rate.count(&a).is_err());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((0..9).filter(|_| rate.count(&a).is_ok()).count(), 5, "unused requests are not saved up");
        assert!(Rate::new(0, 5).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn users_who_send_nothing_are_forgotten() {
        let rate = Rate::new(10, 5).unwrap();
        for number in 0..3 * CROWDED {
            assert_eq!(rate.count(&user(&format!("u{number}"))), Ok(()));
            if number % 1000 == 0 {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            assert!(rate.state.lock().unwrap().due.len() <= CROWDED);
        }
    }
}
