//! What changed, for every open tab: server-sent events (WHATWG HTML §9.2).
//!
//! A tab that does not read as fast as events arrive loses the oldest ones, and is asked to fetch everything again. So a slow
//! or closed browser costs a bounded amount of memory, and never holds up the run.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

/// Events that wait for a slow tab. An exchange has some ten to a hundred kilobytes, shared by all tabs.
const WAITING: usize = 128;

/// Interval of comments that keep an idle connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The channel to all tabs.
#[derive(Clone, Debug)]
pub(crate) struct Events(Sender<Arc<Message>>);

#[derive(Debug)]
struct Message {
    name: &'static str,
    /// The only user whose tabs receive it; `None` for all.
    user: Option<String>,
    data: String,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self(channel(WAITING).0)
    }

    /// Sends an event to all tabs.
    pub(crate) fn send(&self, name: &'static str, data: &impl Serialize) {
        self.send_to(None, name, data);
    }

    /// Sends an event to the tabs of a user.
    pub(crate) fn send_to(&self, user: Option<&str>, name: &'static str, data: &impl Serialize) {
        // Without a tab the event has no receiver.
        if self.0.receiver_count() == 0 {
            return;
        }
        match serde_json::to_string(data) {
            Ok(data) => {
                let message = Message { name, user: user.map(ToOwned::to_owned), data };
                // Fails if the last tab was closed meanwhile.
                let _ = self.0.send(Arc::new(message));
            }
            Err(error) => tracing::error!(%error, name, "an event cannot be written"),
        }
    }

    /// The events for a tab of `user`, from now on.
    pub(crate) fn stream(&self, user: String) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        let stream = unfold((self.0.subscribe(), user), |(mut events, user)| async move {
            next(&mut events, &user).await.map(|event| (Ok(event), (events, user)))
        });
        Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
    }
}

async fn next(events: &mut Receiver<Arc<Message>>, user: &str) -> Option<Event> {
    loop {
        match events.recv().await {
            Ok(message) if message.user.as_deref().is_none_or(|of| of == user) => {
                return Some(Event::default().event(message.name).data(&message.data));
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return Some(Event::default().event("resync").data("{}")),
            Err(RecvError::Closed) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_slow_tab_is_asked_to_fetch_everything_again() {
        let events = Events::new();
        let mut slow = events.0.subscribe();
        for number in 0..2 * WAITING {
            events.send("run", &number);
        }
        let first = format!("{:?}", next(&mut slow, "alice").await.unwrap());
        assert!(first.contains("resync"), "{first}");
        let second = format!("{:?}", next(&mut slow, "alice").await.unwrap());
        assert!(second.contains(&WAITING.to_string()), "{second}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_tab_receives_nothing_of_another_user() {
        let events = Events::new();
        let mut tab = events.0.subscribe();
        events.send_to(Some("bob"), "exchange", &"of bob");
        events.send_to(Some("alice"), "exchange", &"of alice");
        let received = format!("{:?}", next(&mut tab, "alice").await.unwrap());
        assert!(received.contains("of alice") && !received.contains("of bob"), "{received}");
    }
}
