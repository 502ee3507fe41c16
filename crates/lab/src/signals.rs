//! The signals that ask the lab to stop. They are waited for, not obeyed on the spot, so that it can clean up.

use std::io;

/// Waits for SIGINT, SIGTERM or SIGHUP (elsewhere: Ctrl-C).
pub(crate) struct Signals {
    #[cfg(unix)]
    streams: [(&'static str, tokio::signal::unix::Signal); 3],
}

impl Signals {
    /// From here on these signals no longer end the process. Needs a running runtime.
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

    /// The name of the next one.
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
