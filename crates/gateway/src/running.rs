//! The requests that wait or run: for their cancellation, and so that a request with a key is not answered twice at a time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use crate::user::UserId;

/// The requests of a gateway. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    conversations: HashMap<(UserId, Uuid), Cancellation>,
    keys: HashSet<(UserId, String)>,
}

#[derive(Debug)]
struct Cancellation {
    /// Set when the requests of the conversation are cancelled.
    cancelled: watch::Sender<bool>,
    /// Requests that listen.
    requests: usize,
}

/// One request, until it is dropped.
#[derive(Debug)]
pub struct Request {
    running: Running,
    conversation: (UserId, Uuid),
    cancelled: watch::Receiver<bool>,
}

/// The right to answer the request with a key, until it is dropped.
#[derive(Debug)]
pub struct KeyInUse {
    running: Running,
    key: (UserId, String),
}

impl Running {
    /// Registers a request of a conversation.
    pub fn enter(&self, user: &UserId, conversation: Uuid) -> Request {
        let conversation = (user.clone(), conversation);
        let mut state = self.state();
        let new = || Cancellation { cancelled: watch::Sender::new(false), requests: 0 };
        let entry = state.conversations.entry(conversation.clone()).or_insert_with(new);
        entry.requests += 1;
        let cancelled = entry.cancelled.subscribe();
        Request { running: self.clone(), conversation, cancelled }
    }

    /// Cancels the requests of a conversation; returns how many.
    pub fn cancel(&self, user: &UserId, conversation: Uuid) -> usize {
        // Later requests of the conversation are not cancelled: they get an entry of their own.
        let mut state = self.state();
        let removed = state.conversations.remove(&(user.clone(), conversation));
        removed.map_or(0, |cancellation| {
            cancellation.cancelled.send_replace(true);
            cancellation.requests
        })
    }

    /// Registers the key of a request; `None` if a request with it is being answered.
    pub fn use_key(&self, user: &UserId, key: &str) -> Option<KeyInUse> {
        let key = (user.clone(), key.to_owned());
        self.state().keys.insert(key.clone()).then(|| KeyInUse { running: self.clone(), key })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    /// Ends when the request is cancelled.
    pub async fn cancelled(&self) {
        let mut cancelled = self.cancelled.clone();
        if cancelled.wait_for(|is_cancelled| *is_cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.running.state();
        // Its entry is gone; another one may have its place.
        if *self.cancelled.borrow() {
            return;
        }
        if let Some(entry) = state.conversations.get_mut(&self.conversation) {
            entry.requests -= 1;
            if entry.requests == 0 {
                state.conversations.remove(&self.conversation);
            }
        }
    }
}

impl Drop for KeyInUse {
    fn drop(&mut self) {
        self.running.state().keys.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    #[test]
    fn cancels_the_requests_of_one_conversation_and_no_later_ones() {
        let running = Running::default();
        let (a, id) = (user("a"), Uuid::new_v4());
        let is_cancelled = |request: &Request| request.cancelled().now_or_never().is_some();
        let (first, second) = (running.enter(&a, id), running.enter(&a, id));
        let other = running.enter(&a, Uuid::new_v4());
        let of_other_user = running.enter(&user("b"), id);
        assert_eq!(running.cancel(&user("c"), id), 0);
        assert_eq!(running.cancel(&a, id), 2);
        assert!(is_cancelled(&first) && is_cancelled(&second));
        assert!(!is_cancelled(&other) && !is_cancelled(&of_other_user));
        let later = running.enter(&a, id);
        drop((first, second));
        assert!(!is_cancelled(&later));
        assert_eq!(running.cancel(&a, id), 1);
        assert_eq!(running.cancel(&a, id), 0);
        drop((later, other, of_other_user));
        assert!(running.state().conversations.is_empty());
    }

    #[test]
    fn a_key_is_in_use_once() {
        let running = Running::default();
        let key = running.use_key(&user("a"), "k").unwrap();
        assert!(running.use_key(&user("a"), "k").is_none());
        assert!(running.use_key(&user("b"), "k").is_some());
        drop(key);
        assert!(running.use_key(&user("a"), "k").is_some());
        assert!(running.state().keys.is_empty());
    }
}
