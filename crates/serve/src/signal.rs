//! The end of a server: SIGTERM or SIGINT lets the requests in flight finish.

use std::io;
use std::time::Duration;

use crate::handle::Handle;

/// Ends `handle`'s server: at the first SIGTERM or SIGINT when the requests in flight are done or `grace` is over, at
/// the second one at once. Must be called within a runtime. The signals are caught once this function returns.
///
/// # Errors
/// When the process cannot catch the signals.
pub fn stop_on_signal(handle: Handle, grace: Duration) -> io::Result<()> {
    let mut signals = Signals::catch()?;
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping: {} connections to finish", handle.connection_count());
        handle.graceful_shutdown(grace);
        signals.next().await;
        handle.shutdown();
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
