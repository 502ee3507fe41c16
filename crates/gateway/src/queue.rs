//! Who may start a box, and when: a limited number runs, the others wait, and users take turns.
//!
//! - Among users: round robin. Who asks a hundred times gets every second place as soon as somebody else asks once.
//! - Within a user: the order of asking, but for requests whose conversation has one running. Those wait for it, and are
//!   passed by requests of other conversations.
//! - The room to wait in is limited, for each user and for all. When it is full, whoever has the most in it gives up the
//!   newest place to a user who has fewer, so that nobody can keep others out by filling it.
//! - A request that goes away leaves its place at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::user::UserId;

/// Longest advice to a client when to ask again: who stays away for longer leaves free boxes unused.
const MAX_RETRY_AFTER_SECONDS: u64 = 60;

/// How many requests may run and wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Boxes at one time.
    pub running: usize,
    /// Requests waiting, of all users.
    pub waiting: usize,
    /// Requests waiting, of one user.
    pub waiting_per_user: usize,
}

/// The queue; clones are the same queue.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

struct Shared {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Conversations with a request in a box; there are as many boxes.
    running: HashSet<Uuid>,
    /// Users with waiting requests, the one whose turn it is first.
    turns: VecDeque<UserId>,
    /// Their requests, oldest first. As many entries as `turns`.
    lines: HashMap<UserId, VecDeque<Waiting>>,
    waiting: usize,
    next_ticket: u64,
    /// How long boxes ran lately: each new one counts a quarter.
    mean: Option<Duration>,
}

struct Waiting {
    ticket: u64,
    conversation: Uuid,
    /// Dropped without a word when the place is given to somebody else.
    admit: oneshot::Sender<Permit>,
}

/// There is no room to wait in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// When it may be worth asking again.
    pub retry_after_seconds: u64,
}

/// How full the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests in a box.
    pub running: usize,
    /// Requests waiting for one.
    pub waiting: usize,
}

/// The right to run a box for one conversation, until it is dropped.
pub struct Permit {
    /// Until it is given back, which must happen once: the conversation may be another permit's right after.
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

    /// Waits for the user's turn, at most `patience`. Dropping the future gives the place up.
    ///
    /// # Errors
    /// When there is no room to wait, the place was given to somebody with fewer of them, or patience is over.
    pub async fn enter(&self, user: &UserId, conversation: Uuid, patience: Duration) -> Result<Permit, Busy> {
        let (place, admitted) = self.line_up(user, conversation)?;
        match tokio::time::timeout(patience, admitted).await {
            Ok(Ok(permit)) => {
                place.taken();
                Ok(permit)
            }
            Ok(Err(_)) | Err(_) => Err(self.busy()),
        }
    }

    /// How full it is.
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
    /// Whether one more of `user` can be taken in; makes room for it where it has a better right to it.
    fn has_room(&self, state: &mut State, user: &UserId, conversation: Uuid) -> bool {
        if state.running.len() < self.running && !state.running.contains(&conversation) {
            // Nobody who could run is waiting while there is a free box: this one will not wait either.
            return true;
        }
        let own = state.lines.get(user).map_or(0, VecDeque::len);
        if own >= self.waiting_per_user {
            return false;
        }
        if state.waiting < self.waiting {
            return true;
        }
        // Among equals it is the newest place.
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

    /// Takes the request at `index` out of the user's line.
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

    /// The request whose turn it is; its user goes to the end of the round.
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

    /// Starts whoever may start.
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
                // Whoever waited has just gone. It is given back here, and not by its drop, which would come back in.
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

/// A place in the line, given up when dropped before it was taken.
struct Place<'a> {
    queue: &'a Queue,
    user: UserId,
    ticket: Option<u64>,
}

impl Place<'_> {
    fn taken(mut self) {
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

    /// Someone who entered, and is polled by hand: nothing here depends on a clock or a scheduler.
    type Entering<'a> = Pin<Box<dyn Future<Output = Result<Permit, Busy>> + 'a>>;

    fn enter<'a>(queue: &'a Queue, user: &'a UserId, conversation: Uuid) -> Entering<'a> {
        let mut entering: Entering<'a> = Box::pin(queue.enter(user, conversation, LONG));
        // The first poll lines up; what it would give is kept for the next one.
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

    /// Lets one box run and end after the other, and says whose they were.
    fn order(entering: &mut Vec<(&'static str, Entering<'_>)>, mut current: Permit) -> Vec<&'static str> {
        let mut order = Vec::new();
        while !entering.is_empty() {
            drop(current);
            let ready =
                entering.iter_mut().enumerate().find_map(|(index, (_, entering))| match poll(entering) {
                    Poll::Ready(Ok(permit)) => Some((index, permit)),
                    _ => None,
                });
            let (index, permit) = ready.expect("somebody is admitted");
            order.push(entering.remove(index).0);
            current = permit;
        }
        order
    }

    #[tokio::test(start_paused = true)]
    async fn users_take_turns_and_within_one_the_order_stays() {
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
    async fn a_conversation_runs_one_request_at_a_time_and_others_pass_it() {
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
    async fn who_goes_away_leaves_the_place() {
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
    async fn who_goes_away_when_admitted_gives_the_box_to_the_next() {
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
    async fn one_user_cannot_fill_the_room() {
        let queue = queue(1, 4, 4);
        let (a, b, c) = (user("a"), user("b"), user("c"));
        let running = permit(&mut enter(&queue, &a, Uuid::new_v4()));
        let mut of_a: Vec<_> = (0..4).map(|_| enter(&queue, &a, Uuid::new_v4())).collect();
        assert!(matches!(poll(&mut enter(&queue, &a, Uuid::new_v4())), Poll::Ready(Err(_))));
        let mut b1 = enter(&queue, &b, Uuid::new_v4());
        let mut b2 = enter(&queue, &b, Uuid::new_v4());
        // a, who had four, has given up the two newest; two and two is fair.
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
    async fn patience_ends_and_the_place_is_free() {
        let queue = queue(1, 10, 10);
        let a = user("a");
        let running = permit(&mut enter(&queue, &a, Uuid::new_v4()));
        let refused = queue.enter(&a, Uuid::new_v4(), Duration::from_secs(5)).await.unwrap_err();
        assert!((1..=MAX_RETRY_AFTER_SECONDS).contains(&refused.retry_after_seconds));
        assert_eq!(load(&queue), (1, 0));
        drop(running);
    }

    #[tokio::test]
    async fn ten_thousand_requests_of_many_users_all_end() {
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
