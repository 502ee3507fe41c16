//! What the connections of a relay share: one capture, one clock.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context;
use craft::conversation::{Connection, ConversationError, ETHERNET_MSS, Frames, Settings, Side};
use experiment::random;

use crate::session::{Session, unix_ns};

/// Headers that IPv6 has and IPv4 has not leave this much less of Ethernet's 1500 bytes to the payload.
const IPV6_EXTRA: u16 = 20;

/// Writes the frames of all connections to one capture, in the order in which things happened.
pub(super) struct Recorder {
    shared: RefCell<Shared>,
}

struct Shared {
    session: Session,
    frames: Frames,
    /// Time of the latest frame, ns since the Unix epoch.
    last: u64,
    last_heard: Instant,
}

impl Recorder {
    pub(super) fn new(session: Session) -> Self {
        let shared = Shared { session, frames: Frames::default(), last: 0, last_heard: Instant::now() };
        Self { shared: RefCell::new(shared) }
    }

    /// When something was last recorded.
    pub(super) fn last_heard(&self) -> Instant {
        self.shared.borrow().last_heard
    }

    /// The capture, at the end.
    pub(super) fn into_session(self) -> Session {
        self.shared.into_inner().session
    }

    /// Records the handshake of a new connection. Initial sequence numbers are fresh, as a stack's are.
    pub(super) fn open(&self, client: SocketAddr, server: SocketAddr) -> anyhow::Result<Recorded<'_>> {
        let (client, server) = (canonical(client), canonical(server));
        let mut settings = Settings::new(client, server);
        settings.client_isn = u32::from_ne_bytes(random::bytes()?);
        settings.server_isn = u32::from_ne_bytes(random::bytes()?);
        settings.mss = if client.is_ipv4() { ETHERNET_MSS } else { ETHERNET_MSS - IPV6_EXTRA };
        // Nothing is in the frames that nobody said: no timestamps option, and one acknowledgement for each read.
        settings.timestamps = false;
        settings.ack_every = u32::MAX;
        let connection = RefCell::new(Connection::new(settings)?);
        let recorded = Recorded { recorder: self, connection, name: format!("{client} to {server}") };
        recorded.tell(Connection::open)?;
        Ok(recorded)
    }
}

/// One connection in the capture. What is told here is in the file when the call returns.
pub(super) struct Recorded<'r> {
    recorder: &'r Recorder,
    connection: RefCell<Connection>,
    name: String,
}

impl Recorded<'_> {
    /// `side` sent `bytes`.
    pub(super) fn send(&self, side: Side, bytes: &[u8]) -> anyhow::Result<()> {
        self.tell(|connection, at, frames| connection.send(side, bytes, at, frames))
    }

    /// `side` has nothing more to send.
    pub(super) fn close(&self, side: Side) -> anyhow::Result<()> {
        self.tell(|connection, at, frames| connection.close(side, at, frames))
    }

    /// `side` tore the connection down.
    pub(super) fn reset(&self, side: Side) -> anyhow::Result<()> {
        if self.connection.borrow().is_over() {
            return Ok(());
        }
        self.tell(|connection, at, frames| connection.reset(side, at, frames))
    }

    /// The addresses, for people.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn tell(
        &self,
        event: impl FnOnce(&mut Connection, u64, &mut Frames) -> Result<(), ConversationError>,
    ) -> anyhow::Result<()> {
        let shared = &mut *self.recorder.shared.borrow_mut();
        // A clock that is set back must not reorder the capture.
        shared.last = shared.last.max(unix_ns());
        shared.last_heard = Instant::now();
        shared.frames.clear();
        event(&mut self.connection.borrow_mut(), shared.last, &mut shared.frames)
            .with_context(|| format!("record {}", self.name))?;
        for frame in shared.frames.iter() {
            shared.session.record(frame.at_ns, frame.bytes.len() as u32, frame.bytes)?;
        }
        shared.session.flush()
    }
}

/// A listener on `::` tells IPv4 peers as mapped addresses (RFC 4291, 2.5.5.2); agent-a knows them as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_told_as_ipv4() {
        assert_eq!(canonical("[::ffff:127.0.0.1]:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        assert_eq!(canonical("[::1]:80".parse().unwrap()), "[::1]:80".parse().unwrap());
    }
}
