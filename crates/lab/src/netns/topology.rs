//! The wires of the isolation experiment: a host that runs boxes, its users in front of it, the world behind it.
//!
//! ```text
//!   users                              host                             outside
//!   veth-users ============== veth-front  veth-back ============== veth-out
//!   10.78.0.2, .3, .4/24      10.78.0.1   10.79.0.1/30             10.79.0.2
//!                                         fd00:79::1/64            fd00:79::2
//! ```
//! A box that had a network would have the host's: what leaves it passes one of the host's three interfaces (`lo` is the
//! third), and on each of them a capture runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{Namespace, Refusal, join};

/// The host's side of the wire to its users.
pub(crate) const FRONT: &str = "veth-front";
/// The host's side of the wire to the world.
pub(crate) const BACK: &str = "veth-back";
/// The host's own.
pub(crate) const LOOPBACK: &str = "lo";

/// Every interface of the host.
pub(crate) const INTERFACES: [&str; 3] = [FRONT, BACK, LOOPBACK];

/// Where the gateway listens.
pub(crate) const HOST_FRONT: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
/// The host on the wire to the world.
pub(crate) const HOST_BACK: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 1);
/// The world.
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 2);
/// The world by IPv6.
pub(crate) const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x79, 0, 0, 0, 0, 0, 2);

const HOST_BACK_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x79, 0, 0, 0, 0, 0, 1);

/// Addresses of users, one each: the wire tells them apart by nothing else.
pub(crate) const USERS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 78, 0, 2), Ipv4Addr::new(10, 78, 0, 3), Ipv4Addr::new(10, 78, 0, 4)];

/// How long the kernel itself talks on a new link: it reports the groups that an IPv6 address listens to twice, each
/// time after at most a second (RFC 3810, 9.11 and 9.14). Nothing may be on the wire that no box could have sent.
pub(crate) const SETTLING: Duration = Duration::from_millis(2500);

/// Three namespaces and two wires. Gone when dropped, once the processes in them are.
pub(crate) struct IsolationTopology {
    pub(crate) users: Namespace,
    pub(crate) host: Namespace,
    pub(crate) outside: Namespace,
}

impl IsolationTopology {
    /// Builds one. Needs the right to administer the network of the user namespace the process is in.
    pub(crate) fn build() -> Result<Self, Refusal> {
        let topology =
            Self { users: Namespace::create()?, host: Namespace::create()?, outside: Namespace::create()? };
        let v4 = |address: Ipv4Addr, prefix| (IpAddr::V4(address), prefix);
        let users = USERS.map(|user| v4(user, 24));
        join(&topology.host, FRONT, &[v4(HOST_FRONT, 24)], &topology.users, "veth-users", &users)?;
        join(
            &topology.host,
            BACK,
            &[v4(HOST_BACK, 30), (HOST_BACK_V6.into(), 64)],
            &topology.outside,
            "veth-out",
            &[v4(OUTSIDE, 30), (OUTSIDE_V6.into(), 64)],
        )?;
        Ok(topology)
    }
}
