//! The links of the isolation experiment: a host that runs sandboxes, between its users and the outside.
//!
//! ```text
//!   users                              host                             outside
//!   veth-users ============== veth-front  veth-back ============== veth-out
//!   10.78.0.2, .3, .4/24      10.78.0.1   10.79.0.1/30             10.79.0.2
//!                                         fd00:79::1/64            fd00:79::2
//! ```
//! A sandbox with a network has the host's: its traffic passes one of the host's three interfaces (the third is `lo`), and
//! all of them are captured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Namespace, Refusal, join};

/// The host's interface to its users.
pub(crate) const FRONT: &str = "veth-front";
/// The host's interface to the outside.
pub(crate) const BACK: &str = "veth-back";
/// The host's loopback interface.
pub(crate) const LOOPBACK: &str = "lo";

/// All interfaces of the host.
pub(crate) const INTERFACES: [&str; 3] = [FRONT, BACK, LOOPBACK];

/// The host's address towards its users, on which the gateway listens.
pub(crate) const HOST_FRONT: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
/// The host's address towards the outside.
pub(crate) const HOST_BACK: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 1);
/// The outside's IPv4 address.
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 2);
/// The outside's IPv6 address.
pub(crate) const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x79, 0, 0, 0, 0, 0, 2);

const HOST_BACK_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x79, 0, 0, 0, 0, 0, 1);

/// The users' addresses. In the captures, users differ in nothing else.
pub(crate) const USERS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 78, 0, 2), Ipv4Addr::new(10, 78, 0, 3), Ipv4Addr::new(10, 78, 0, 4)];

/// Three namespaces and two veth pairs. They end when this is dropped and their processes have exited.
pub(crate) struct IsolationTopology {
    pub(crate) users: Namespace,
    pub(crate) host: Namespace,
    pub(crate) outside: Namespace,
}

impl IsolationTopology {
    /// Creates the namespaces and the pairs. Needs `CAP_NET_ADMIN` in the process's user namespace.
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
