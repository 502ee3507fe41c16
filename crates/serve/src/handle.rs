//! The handle that ends servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Ends the servers that were given a clone of it.
#[derive(Clone, Debug)]
pub struct Handle {
    stop: Arc<watch::Sender<Stop>>,
    connections: Arc<AtomicUsize>,
}

/// Whether to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    /// Answer the requests in flight, until then at the latest.
    By(Instant),
}

impl Default for Handle {
    fn default() -> Self {
        Self { stop: Arc::new(watch::Sender::new(Stop::No)), connections: Arc::default() }
    }
}

impl Handle {
    /// A handle of servers that go on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the servers: none accepts a connection, and each ends when its requests in flight are answered, or after `grace`.
    pub fn graceful_shutdown(&self, grace: Duration) {
        self.stop.send_replace(Stop::By(Instant::now() + grace));
    }

    /// Ends the servers with all connections at once.
    pub fn shutdown(&self) {
        self.graceful_shutdown(Duration::ZERO);
    }

    /// Open connections.
    pub fn connection_count(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<Stop> {
        self.stop.subscribe()
    }

    /// Counts a connection until the value is dropped.
    pub(crate) fn count(&self) -> Counted {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&self.connections))
    }
}

pub(crate) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
