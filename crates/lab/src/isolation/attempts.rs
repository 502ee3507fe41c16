//! What a box is asked to try: every way out of it, and what it must not read.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use experiment::ISOLATION;

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
    /// The message that asks for all of them, as the project's runner understands it.
    pub(super) fn attempts(&self) -> String {
        let port = |user: usize| FIRST_PORT + u16::try_from(user).unwrap_or_default();
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, port(self.user)));
        let other = SocketAddr::from((Ipv4Addr::LOCALHOST, port((self.user + 1) % self.of)));
        let outside = |port| SocketAddr::new(self.outside, port);
        let outside_v6 = SocketAddr::new(self.outside_v6, DISCARD);
        let mut message = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(message, "listen {own}");
        let _ = writeln!(message, "attempt dns {}", outside(DNS));
        let _ = writeln!(message, "attempt tcp {}", outside(ISOLATION.port));
        let _ = writeln!(message, "attempt udp {}", outside(DISCARD));
        let _ = writeln!(message, "attempt ipv6 {outside_v6}");
        let _ = writeln!(message, "attempt neighbour {other}");
        message + &self.not_for_the_network_alone()
    }

    /// Those that a box refuses for other reasons than its network: they have to be shown without any box.
    pub(super) fn not_for_the_network_alone(&self) -> String {
        let store = self.store.display();
        // What was said a moment ago is in the store's write-ahead log, and in the store itself when that is closed
        // (https://www.sqlite.org/walformat.html).
        format!("attempt raw {}\nattempt file {store}\nattempt file {store}-wal\n", self.outside)
    }
}
