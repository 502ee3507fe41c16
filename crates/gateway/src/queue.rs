//! The queue of requests: a limited number of sandboxes runs, the other requests wait, and users take turns.
//!
//! - Among users: round robin. A user with a hundred requests gets every second sandbox as soon as another user sends
//!   one.
//! - Within a user: in order of arrival. A request whose conversation already runs a sandbox waits for it, and requests
//!   of other conversations overtake it.
//! - The number of waiting requests is limited, for each user and in total. When the queue is full, the user with the
//!   most waiting requests loses the newest one to a user with fewer, so that no user can block others by filling the
//!   queue.
//! - A request whose client disconnects leaves the queue at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::user::UserId;

/// Longest `Retry-After` in seconds: with a longer one, sandboxes would stay idle.
const MAX_RETRY_AFTER_SECONDS: u64 = 60;

/// Limits of running and waiting requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sandboxes at a time.
    pub running: usize,
    /// Waiting requests of all users.
    pub waiting: usize,
    /// Waiting requests of one user.
    pub waiting_per_user: usize,
}

/// The queue. Clones share it.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

struct Shared {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Conversations with a request in a sandbox, one for each sandbox.
    running: HashSet<Uuid>,
    /// Users with waiting requests; the first has the next turn.
    turns: VecDeque<UserId>,
    /// The waiting requests of each user in `turns`, oldest first.
    lines: HashMap<UserId, VecDeque<Waiting>>,
    waiting: usize,
    next_ticket: u64,
    /// Moving average of the sandboxes' running times; a new one weighs a quarter.
    mean: Option<Duration>,
}

struct Waiting {
    ticket: u64,
    conversation: Uuid,
    /// Dropped when another user gets the place.
    admit: oneshot::Sender<Permit>,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// Estimated seconds until a place is free.
    pub retry_after_seconds: u64,
}

/// How full the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests in sandboxes.
    pub running: usize,
    /// Waiting requests.
    pub waiting: usize,
}

/// The right to run a sandbox for one conversation, until it is dropped.
pub struct Permit {
    /// `None` once the permit is given back. That must happen only once, because another permit may have the
    /// conversation right after.
    shared: Option<Arc<Shared>>,
    conversation: Uuid,
    since: Instant,
}

impl Queue {
    /// An empty queue. At least one request may run, whatever the limits say.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { running: limits.running.max(1), ..limits };
        Self(Arc::new(Shared { limits, state: Mutex::default() }))
    }

    /// Waits for the user's turn, at most `patience`. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// When the queue is full, the place goes to a user with fewer places, or `patience` is over.
    pub async fn enter(&self, user: &UserId, conversation: Uuid, patience: Duration) -> Result<Permit, Busy> {
        let (place, admitted) = self.line_up(user, conversation)?;
        match tokio::time::timeout(patience, admitted).await {
            Ok(Ok(permit)) => {
                place.admitted();
                Ok(permit)
            }
            Ok(Err(_)) | Err(_) => Err(self.busy()),
        }
    }

    /// The current load.
    pub fn load(&self) -> Load {
        let state = self.0.state();
        Load { running: state.running.len(), waiting: state.waiting }
    }

    fn line_up(
        &self,
        user: &UserId,
        conversation: Uuid,
    ) -> Result<(Place<'_>, oneshot::Receiver<Permit>), Busy> {
        let mut state = self.0.state();
        if !self.0.limits.has_room(&mut state, user, conversation) {
            drop(state);
            return Err(self.busy());
        }
        let (admit, admitted) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.push(user, Waiting { ticket, conversation, admit });
        drop(state);
        self.0.admit();
        Ok((Place { queue: self, user: user.clone(), ticket: Some(ticket) }, admitted))
    }

    fn busy(&self) -> Busy {
        let state = self.0.state();
        let mean = state.mean.unwrap_or(Duration::from_secs(1));
        let ahead = state.waiting + state.running.len();
        let seconds = mean.as_secs_f64() * ahead as f64 / self.0.limits.running as f64;
        Busy { retry_after_seconds: (seconds.ceil() as u64).clamp(1, MAX_RETRY_AFTER_SECONDS) }
    }
}

impl Limits {
    /// Whether one more request of `user` can wait. Removes another user's newest request for it if that user has more.
    fn has_room(&self, state: &mut State, user: &UserId, conversation: Uuid) -> bool {
        if state.running.len() < self.running && !state.running.contains(&conversation) {
            // While a sandbox is free, no request that could run is waiting: this one will run at once.
            return true;
        }
        let own = state.lines.get(user).map_or(0, VecDeque::len);
        if own >= self.waiting_per_user {
            return false;
        }
        if state.waiting < self.waiting {
            return true;
        }
        // Among users with equally many waiting requests, the one with the newest request loses it.
        let newest = |line: &VecDeque<Waiting>| line.back().map(|waiting| waiting.ticket);
        let longest = state.lines.iter().max_by_key(|(_, line)| (line.len(), newest(line)));
        match longest.map(|(user, line)| (user.clone(), line.len())) {
            Some((other, length)) if length > own + 1 => {
                state.pop_newest(&other);
                true
            }
            _ => false,
        }
    }
}

impl State {
    fn push(&mut self, user: &UserId, waiting: Waiting) {
        let line = self.lines.entry(user.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(user.clone());
        }
        line.push_back(waiting);
        self.waiting += 1;
    }

    fn pop_newest(&mut self, user: &UserId) {
        if let Some(last) = self.lines.get(user).and_then(|line| line.len().checked_sub(1)) {
            self.remove(user, last);
        }
    }

    /// Removes the request at `index` from the user's requests.
    fn remove(&mut self, user: &UserId, index: usize) -> Option<Waiting> {
        let line = self.lines.get_mut(user)?;
        let waiting = line.remove(index)?;
        if line.is_empty() {
            self.lines.remove(user);
            self.turns.retain(|other| other != user);
        }
        self.waiting -= 1;
        Some(waiting)
    }

    fn note(&mut self, ran_for: Duration) {
        self.mean = Some(self.mean.map_or(ran_for, |mean| (mean * 3 + ran_for) / 4));
    }

    /// Removes the request with the next turn; its user moves to the end of the round.
    fn next(&mut self) -> Option<Waiting> {
        let (user, index) = self.turns.iter().find_map(|user| {
            let line = self.lines.get(user)?;
            let index = line.iter().position(|waiting| !self.running.contains(&waiting.conversation))?;
            Some((user.clone(), index))
        })?;
        let waiting = self.remove(&user, index)?;
        if let Some(position) = self.turns.iter().position(|other| *other == user)
            && let Some(user) = self.turns.remove(position)
        {
            self.turns.push_back(user);
        }
        Some(waiting)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits requests while sandboxes are free.
    fn admit(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.running.len() >= self.limits.running {
                return;
            }
            let Some(waiting) = state.next() else { return };
            state.running.insert(waiting.conversation);
            drop(state);
            let permit = Permit {
                shared: Some(Arc::clone(self)),
                conversation: waiting.conversation,
                since: Instant::now(),
            };
            if let Err(mut unwanted) = waiting.admit.send(permit) {
                // The receiver is gone. The place is given back here, because dropping the permit would lock the queue
                // again.
                unwanted.give_back();
            }
        }
    }
}

impl Permit {
    fn give_back(&mut self) -> Option<Arc<Shared>> {
        let shared = self.shared.take()?;
        shared.state().running.remove(&self.conversation);
        Some(shared)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(shared) = self.give_back() {
            shared.state().note(self.since.elapsed());
            shared.admit();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Permit").field("conversation", &self.conversation).finish_non_exhaustive()
    }
}

/// A place in the queue. Dropping it before admission gives it up.
struct Place<'a> {
    queue: &'a Queue,
    user: UserId,
    ticket: Option<u64>,
}

impl Place<'_> {
    /// Marks the request as admitted, so that dropping the place removes nothing from the queue.
    fn admitted(mut self) {
        self.ticket = None;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.queue.0.state();
        let position = state
            .lines
            .get(&self.user)
            .and_then(|line| line.iter().position(|waiting| waiting.ticket == ticket));
        if let Some(index) = position {
            state.remove(&self.user, index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// A request in the queue that the test polls by hand, so that no clock or scheduler decides.
    type Entering<'a> = Pin<Box<dyn Future<Output = Result<Permit, Busy>> + 'a>>;

    fn enter<'a>(queue: &'a Queue, user: &'a UserId, conversation: Uuid) -> Entering<'a> {
        let mut entering: Entering<'a> = Box::pin(queue.enter(user, conversation, LONG));
        // The first poll enters the queue; its result is kept for the next one.
        if let Poll::Ready(result) = poll(&mut entering) {
            entering = Box::pin(std::future::ready(result));
        }
        entering
    }

    fn poll(entering: &mut Entering<'_>) -> Poll<Result<Permit, Busy>> {
        entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn permit(entering: &mut Entering<'_>) -> Permit {
        match poll(entering) {
            Poll::Ready(Ok(permit)) => permit,
            other => panic!("not admitted: {other:?}"),
        }
    }

    fn queue(running: usize, waiting: usize, waiting_per_user: usize) -> Queue {
        Queue::new(Limits { running, waiting, waiting_per_user })
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn load(queue: &Queue) -> (usize, usize) {
        let Load { running, waiting } = queue.load();
        (running, waiting)
    }

    /// Runs one sandbox after the other, and returns their users.
    fn order(entering: &mut Vec<(&'static str, Entering<'_>)>, mut current: Permit) -> Vec<&'static str> {
        let mut order = Vec::new();
        while !entering.is_empty() {
            drop(current);
            let ready =
                entering.iter_mut().enumerate().find_map(|(index, (_, entering))| match poll(entering) {
                    Poll::Ready(Ok(permit)) => Some((index, permit)),
                    _ => None,
                });
            let (index, permit) = ready.expect("a request is admitted");
            order.push(entering.remove(index).0);
            current = permit;
        }
        order
    }

    #[tokio::test(start_paused = true)]
    async fn users_take_turns_and_each_keeps_the_order_of_arrival() {
        let queue = queue(1, 100, 100);
        let (a, b, c) = (user("a"), user("b"), user("c"));
        let first = permit(&mut enter(&queue, &a, Uuid::new_v4()));
        let mut entering = Vec::new();
        for name in ["a1", "a2", "a3", "a4", "b1", "b2", "c1"] {
            let who = [("a", &a), ("b", &b), ("c", &c)].iter().find(|(n, _)| name.starts_with(n)).unwrap().1;
            entering.push((name, enter(&queue, who, Uuid::new_v4())));
        }
        assert_eq!(load(&queue), (1, 7));
        assert_eq!(order(&mut entering, first), ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
        assert_eq!(load(&queue), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn conversation_runs_one_request_at_a_time_and_others_overtake_it() {
        let queue = queue(2, 100, 100);
        let a = user("a");
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        let first = permit(&mut enter(&queue, &a, one));
        let mut second = enter(&queue, &a, one);
        let mut third = enter(&queue, &a, one);
        assert!(poll(&mut second).is_pending());
        let other = permit(&mut enter(&queue, &a, two));
        assert_eq!(load(&queue), (2, 2));
        drop(other);
        assert!(poll(&mut second).is_pending(), "a place is free, but its conversation is not");
        drop(first);
        assert!(poll(&mut third).is_pending());
        drop(permit(&mut second));
        drop(permit(&mut third));
        assert_eq!(load(&queue), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_request_leaves_the_queue() {
        let queue = queue(1, 1, 1);
        let (a, b) = (user("a"), user("b"));
        let running = permit(&mut enter(&queue, &a, Uuid::new_v4()));
        let waiting = enter(&queue, &a, Uuid::new_v4());
        let mut refused = enter(&queue, &b, Uuid::new_v4());
        assert!(matches!(poll(&mut refused), Poll::Ready(Err(_))));
        drop(waiting);
        assert_eq!(load(&queue), (1, 0));
        let mut taken = enter(&queue, &b, Uuid::new_v4());
        drop(running);
        drop(permit(&mut taken));
        assert_eq!(load(&queue), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn request_dropped_on_admission_passes_the_box_on() {
        let queue = queue(1, 10, 10);
        let a = user("a");
        let running = permit(&mut enter(&queue, &a, Uuid::new_v4()));
        let admitted = enter(&queue, &a, Uuid::new_v4());
        let mut next = enter(&queue, &a, Uuid::new_v4());
        drop(running);
        assert_eq!(load(&queue), (1, 1));
        drop(admitted);
        drop(permit(&mut next));
        assert_eq!(load(&queue), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_user_cannot_fill_the_queue() {
        let queue = queue(1, 4, 4);
        let (a, b, c) = (user("a"), user("b"), user("c"));
        let running = permit(&mut enter(&queue, &a, Uuid::new_v4()));
        let mut of_a: Vec<_> = (0..4).map(|_| enter(&queue, &a, Uuid::new_v4())).collect();
        assert!(matches!(poll(&mut enter(&queue, &a, Uuid::new_v4())), Poll::Ready(Err(_))));
        let mut b1 = enter(&queue, &b, Uuid::new_v4());
        let mut b2 = enter(&queue, &b, Uuid::new_v4());
        // User a had four places and has given up the two newest: now two each.
        assert!(matches!(poll(&mut of_a[3]), Poll::Ready(Err(_))));
        assert!(matches!(poll(&mut of_a[2]), Poll::Ready(Err(_))));
        assert!(matches!(poll(&mut enter(&queue, &b, Uuid::new_v4())), Poll::Ready(Err(_))));
        let mut c1 = enter(&queue, &c, Uuid::new_v4());
        assert!(matches!(poll(&mut b2), Poll::Ready(Err(_))), "of the two longest lines the newest place");
        assert_eq!(load(&queue), (1, 4));
        drop(running);
        drop(permit(&mut of_a[0]));
        drop(permit(&mut b1));
        drop(permit(&mut c1));
        drop(permit(&mut of_a[1]));
        assert_eq!(load(&queue), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn request_that_waited_too_long_frees_its_place() {
        let queue = queue(1, 10, 10);
        let a = user("a");
        let running = permit(&mut enter(&queue, &a, Uuid::new_v4()));
        let refused = queue.enter(&a, Uuid::new_v4(), Duration::from_secs(5)).await.unwrap_err();
        assert!((1..=MAX_RETRY_AFTER_SECONDS).contains(&refused.retry_after_seconds));
        assert_eq!(load(&queue), (1, 0));
        drop(running);
    }

    #[tokio::test]
    async fn ten_thousand_requests_of_many_users_all_complete() {
        let queue = queue(3, 20_000, 20_000);
        let tasks: Vec<_> = (0..10_000_u64)
            .map(|number| {
                let queue = queue.clone();
                let user = user(&format!("u{}", number % 17));
                tokio::spawn(async move {
                    let conversation = Uuid::from_u128(u128::from(number % 101));
                    let permit = queue.enter(&user, conversation, LONG).await.unwrap();
                    assert!(queue.load().running <= 3);
                    tokio::task::yield_now().await;
                    drop(permit);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(load(&queue), (0, 0));
    }
}
