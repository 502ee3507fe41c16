//! The escape attempts: every kind of connection out of a sandbox, files that it must not read, and what sandboxes of one
//! machine could share.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use experiment::isolation::{AttemptRecord, PORT};

/// The first of the ports on which the sandboxes listen for each other, one port each.
const FIRST_PORT: u16 = 7001;

/// The discard port (RFC 863). No program listens there, but the datagram is captured all the same.
const DISCARD: u16 = 9;

/// The DNS port. No server answers there.
const DNS: u16 = 53;

/// What the sandboxes of a machine would share if they were not isolated from each other: the program's file, and the number of
/// queued signals of their user.
const PROGRAM: &str = "/proc/self/exe";
const SIGNALS: &str = "/proc/self/status";

/// The interface by which sandboxes that share a network reach each other.
const LOOPBACK: &str = "lo";

/// The targets of one user's attempts.
pub(super) struct Targets<'a> {
    /// IPv4 address of agent-b.
    pub(super) outside: IpAddr,
    /// IPv6 address of agent-b.
    pub(super) outside_v6: IpAddr,
    /// The interface of the sandboxes' host that leads outside.
    pub(super) outside_interface: &'a str,
    /// Index of the user, from 0.
    pub(super) user: usize,
    /// Number of users.
    pub(super) of: usize,
    /// The file with all users' conversations.
    pub(super) store: &'a Path,
}

impl Targets<'_> {
    /// One attempt of every kind.
    pub(super) fn attempts(&self) -> Vec<AttemptRecord> {
        let other = SocketAddr::from((Ipv4Addr::LOCALHOST, port((self.user + 1) % self.of)));
        let outside = |port| SocketAddr::new(self.outside, port);
        let asked = |kind: &str, target: &dyn Display| AttemptRecord {
            kind: kind.to_owned(),
            target: target.to_string(),
            interface: match kind {
                "neighbour" => Some(LOOPBACK.to_owned()),
                "dns" | "tcp" | "udp" | "ipv6" | "raw" => Some(self.outside_interface.to_owned()),
                _ => None,
            },
        };
        let store = self.store.display();
        let place = format!("{}/{}", self.user, self.of);
        vec![
            asked("dns", &outside(DNS)),
            asked("tcp", &outside(PORT)),
            asked("udp", &outside(DISCARD)),
            asked("ipv6", &SocketAddr::new(self.outside_v6, DISCARD)),
            asked("neighbour", &other),
            asked("raw", &self.outside),
            // Recent messages are in the store's write-ahead log, and move to the store when it is closed
            // (https://www.sqlite.org/walformat.html).
            asked("file", &store),
            asked("file", &format!("{store}-wal")),
            asked("lock", &PROGRAM),
            asked("notify", &format!("{place} {PROGRAM}")),
            asked("counter", &format!("{place} {SIGNALS}")),
            asked("timing", &format!("{place} cpu")),
        ]
    }

    /// The address on which this user's sandbox listens for the others.
    pub(super) fn own(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port(self.user)).into()
    }
}

fn port(user: usize) -> u16 {
    FIRST_PORT + u16::try_from(user).unwrap_or_default()
}

/// Whether the control repeats the attempt outside any sandbox: a sandbox refuses it even with a network, or, for timing, only
/// that shows how much could pass.
pub(super) fn is_repeated_unboxed(attempt: &AttemptRecord) -> bool {
    matches!(attempt.kind.as_str(), "raw" | "file" | "lock" | "notify" | "counter" | "timing")
}

/// Whether an attempt of this kind succeeds when one process hears another.
pub(super) fn hears(kind: &str) -> bool {
    matches!(kind, "lock" | "notify" | "counter")
}

/// Whether the control repeats the attempt in a sandbox with a network. The others need seconds, and a network changes nothing
/// for them.
pub(super) fn is_repeated_with_network(attempt: &AttemptRecord) -> bool {
    !matches!(attempt.kind.as_str(), "counter" | "timing")
}

/// The message that asks the runner to make the attempts.
pub(super) fn message<'a>(
    listen: Option<SocketAddr>,
    attempts: impl IntoIterator<Item = &'a AttemptRecord>,
) -> String {
    let listen = listen.map(|own| format!("listen {own}\n"));
    let attempts =
        attempts.into_iter().map(|AttemptRecord { kind, target, .. }| format!("attempt {kind} {target}\n"));
    listen.into_iter().chain(attempts).collect()
}
