//! The signals that stop the lab. It waits for them instead of dying at once, so that it can clean up.

use std::io;

/// Receives SIGINT, SIGTERM and SIGHUP; on other systems than Unix, Ctrl-C.
pub(crate) struct Signals {
    #[cfg(unix)]
    streams: [(&'static str, tokio::signal::unix::Signal); 3],
}

impl Signals {
    /// Starts receiving: from here on these signals no longer end the process. Needs a running tokio runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                streams: [
                    ("SIGINT", signal(SignalKind::interrupt())?),
                    ("SIGTERM", signal(SignalKind::terminate())?),
                    ("SIGHUP", signal(SignalKind::hangup())?),
                ],
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for the next signal, and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        #[cfg(unix)]
        {
            let [(int, a), (term, b), (hup, c)] = &mut self.streams;
            tokio::select! {
                _ = a.recv() => int,
                _ = b.recv() => term,
                _ = c.recv() => hup,
            }
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
            "Ctrl-C"
        }
    }
}
