//! What a box is asked to try: every way out of it, and what it must not read.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use experiment::isolation::{AttemptRecord, PORT};

/// Where the boxes listen for each other, one port each.
const FIRST_PORT: u16 = 7001;

/// Nobody listens there (RFC 863): a datagram is on the wire all the same.
const DISCARD: u16 = 9;

/// Nobody answers there either.
const DNS: u16 = 53;

/// Whose attempts, and on whom.
pub(super) struct Targets<'a> {
    /// The other agent.
    pub(super) outside: IpAddr,
    /// The same by IPv6.
    pub(super) outside_v6: IpAddr,
    /// Which user, from 0.
    pub(super) user: usize,
    /// How many there are.
    pub(super) of: usize,
    /// The file with everybody's conversations.
    pub(super) store: &'a Path,
}

impl Targets<'_> {
    /// Every way out.
    pub(super) fn attempts(&self) -> Vec<AttemptRecord> {
        let other = SocketAddr::from((Ipv4Addr::LOCALHOST, port((self.user + 1) % self.of)));
        let outside = |port| SocketAddr::new(self.outside, port);
        let asked = |kind: &str, target: &dyn Display| AttemptRecord {
            kind: kind.to_owned(),
            target: target.to_string(),
        };
        let store = self.store.display();
        vec![
            asked("dns", &outside(DNS)),
            asked("tcp", &outside(PORT)),
            asked("udp", &outside(DISCARD)),
            asked("ipv6", &SocketAddr::new(self.outside_v6, DISCARD)),
            asked("neighbour", &other),
            asked("raw", &self.outside),
            // What was said a moment ago is in the store's write-ahead log, and in the store itself when that is closed
            // (https://www.sqlite.org/walformat.html).
            asked("file", &store),
            asked("file", &format!("{store}-wal")),
        ]
    }

    /// Where this user's box listens for the others.
    pub(super) fn own(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port(self.user)).into()
    }
}

fn port(user: usize) -> u16 {
    FIRST_PORT + u16::try_from(user).unwrap_or_default()
}

/// Those that a box refuses for other reasons than its network: they have to be shown without any box.
pub(super) fn is_not_for_the_network_alone(attempt: &AttemptRecord) -> bool {
    matches!(attempt.kind.as_str(), "raw" | "file")
}

/// The message that asks for them, as the project's runner understands it.
pub(super) fn message<'a>(
    listen: Option<SocketAddr>,
    attempts: impl IntoIterator<Item = &'a AttemptRecord>,
) -> String {
    let listen = listen.map(|own| format!("listen {own}\n"));
    let attempts =
        attempts.into_iter().map(|AttemptRecord { kind, target }| format!("attempt {kind} {target}\n"));
    listen.into_iter().chain(attempts).collect()
}
