//! The capture that all connections of a relay share, with one clock.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context;
use craft::conversation::{Connection, ConversationError, ETHERNET_MSS, Frames, Settings, Side};
use experiment::random;

use crate::session::{Session, unix_ns};

/// The header of IPv6 is this much longer than IPv4's, and the payload of a frame that much shorter.
const IPV6_EXTRA: u16 = 20;

/// Writes the frames of all connections to one capture, in the order of events.
pub(super) struct Recorder {
    shared: RefCell<Shared>,
}

struct Shared {
    session: Session,
    frames: Frames,
    /// Capture time of the latest frame, ns since the Unix epoch.
    last_captured_at: u64,
    last_frame_at: Instant,
}

impl Recorder {
    pub(super) fn new(session: Session) -> Self {
        let shared =
            Shared { session, frames: Frames::default(), last_captured_at: 0, last_frame_at: Instant::now() };
        Self { shared: RefCell::new(shared) }
    }

    /// When the last frame was recorded.
    pub(super) fn last_frame_at(&self) -> Instant {
        self.shared.borrow().last_frame_at
    }

    /// Returns the capture.
    pub(super) fn into_session(self) -> Session {
        self.shared.into_inner().session
    }

    /// Records the handshake of a new connection, with random initial sequence numbers.
    pub(super) fn open(
        &self,
        client: SocketAddr,
        server: SocketAddr,
    ) -> anyhow::Result<RecordedConnection<'_>> {
        let (client, server) = (canonical(client), canonical(server));
        let mut settings = Settings::new(client, server);
        settings.client_isn = u32::from_ne_bytes(random::bytes()?);
        settings.server_isn = u32::from_ne_bytes(random::bytes()?);
        settings.mss = if client.is_ipv4() { ETHERNET_MSS } else { ETHERNET_MSS - IPV6_EXTRA };
        // The frames hold no values that the relay would have to invent: no timestamps, one acknowledgement for each read.
        settings.timestamps = false;
        settings.ack_every = u32::MAX;
        let connection = RefCell::new(Connection::new(settings)?);
        let recorded =
            RecordedConnection { recorder: self, connection, name: format!("{client} to {server}") };
        recorded.record(Connection::open)?;
        Ok(recorded)
    }
}

/// One connection in the capture. Every method has written its frames to the file when it returns.
pub(super) struct RecordedConnection<'r> {
    recorder: &'r Recorder,
    connection: RefCell<Connection>,
    name: String,
}

impl RecordedConnection<'_> {
    /// Records that `side` sent `bytes`.
    pub(super) fn send(&self, side: Side, bytes: &[u8]) -> anyhow::Result<()> {
        self.record(|connection, at, frames| connection.send(side, bytes, at, frames))
    }

    /// Records that `side` closed its direction.
    pub(super) fn close(&self, side: Side) -> anyhow::Result<()> {
        self.record(|connection, at, frames| connection.close(side, at, frames))
    }

    /// Records that `side` reset the connection.
    pub(super) fn reset(&self, side: Side) -> anyhow::Result<()> {
        if self.connection.borrow().is_over() {
            return Ok(());
        }
        self.record(|connection, at, frames| connection.reset(side, at, frames))
    }

    /// The addresses, for log messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn record(
        &self,
        event: impl FnOnce(&mut Connection, u64, &mut Frames) -> Result<(), ConversationError>,
    ) -> anyhow::Result<()> {
        let shared = &mut *self.recorder.shared.borrow_mut();
        // A clock that is set back must not reorder the capture.
        shared.last_captured_at = shared.last_captured_at.max(unix_ns());
        shared.last_frame_at = Instant::now();
        shared.frames.clear();
        event(&mut self.connection.borrow_mut(), shared.last_captured_at, &mut shared.frames)
            .with_context(|| format!("cannot record {}", self.name))?;
        for frame in shared.frames.iter() {
            shared.session.record(frame.at_ns, frame.bytes.len() as u32, frame.bytes)?;
        }
        shared.session.flush()
    }
}

/// A listener on `::` reports IPv4 peers as mapped addresses (RFC 4291 §2.5.5.2); agent-a uses IPv4 addresses.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_become_ipv4() {
        assert_eq!(canonical("[::ffff:127.0.0.1]:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        assert_eq!(canonical("[::1]:80".parse().unwrap()), "[::1]:80".parse().unwrap());
    }
}
