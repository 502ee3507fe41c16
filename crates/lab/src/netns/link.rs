//! Links and addresses in the calling thread's namespace, over rtnetlink.
//!
//! ```text
//! payload about a link:      ifinfomsg (16) | attributes
//! payload about an address:  ifaddrmsg (8)  | attributes
//! ```

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::{AF_INET, AF_INET6, AF_UNSPEC, EAFNOSUPPORT};
use nix::sys::socket::SockProtocol;

use super::netlink::{NLM_F_CREATE, NLM_F_EXCL, Netlink, attribute, find_attribute, nested, text_attribute};

/// Maximum time for a link to come up. The kernel's link watch may take a second.
const UP_WAIT: Duration = Duration::from_secs(5);

/// Interval at which the link state is polled. A poll takes some ten microseconds.
const UP_POLL: Duration = Duration::from_millis(1);

// include/uapi/linux/rtnetlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const IFINFOMSG: usize = 16;

// include/uapi/linux/if.h
const IFF_UP: u32 = 1;
const IF_OPER_UP: u8 = 6;

// include/uapi/linux/if_link.h
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;

// include/uapi/linux/veth.h
const VETH_INFO_PEER: u16 = 1;

// include/uapi/linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 0x02;
const RT_SCOPE_UNIVERSE: u8 = 0;

/// Creates `here` in this namespace and its other end `there` in the namespace `peer`.
pub(super) fn create_pair(here: &str, there: &str, peer: &File) -> io::Result<()> {
    let pair = pair(here, there, peer.as_raw_fd());
    Netlink::open(SockProtocol::NetlinkRoute)?.ask(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &pair)?;
    Ok(())
}

/// An address and the length of its network's prefix.
pub(super) type Network = (IpAddr, u8);

/// Sets the interface's addresses and MTU, disables its IPv6 link-local address, and brings it and `lo` up.
pub(super) fn configure(interface: &str, addresses: &[Network], mtu: u32) -> io::Result<()> {
    let mut netlink = Netlink::open(SockProtocol::NetlinkRoute)?;
    let index = find(&mut netlink, interface)?.index;
    disable_link_local_address(&mut netlink, index)?;
    for &network in addresses {
        netlink.ask(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &address(index, network))?;
    }
    let up = ifinfomsg(index, IFF_UP);
    netlink.ask(RTM_SETLINK, 0, &[up, attribute(IFLA_MTU, &mtu.to_ne_bytes())].concat())?;
    let loopback = find(&mut netlink, "lo")?.index;
    netlink.ask(RTM_SETLINK, 0, &ifinfomsg(loopback, IFF_UP))?;
    Ok(())
}

/// Waits until the link is up. The kernel silently drops packets that are sent earlier, and TCP sends them again a second
/// later, which would distort the measured latency.
pub(super) fn wait_until_up(interface: &str) -> io::Result<()> {
    let mut netlink = Netlink::open(SockProtocol::NetlinkRoute)?;
    let state = until_up(UP_WAIT, || Ok(find(&mut netlink, interface)?.state))?;
    if state == State::Up {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{interface} is {state:?}, not up, after {} s", UP_WAIT.as_secs()),
    ))
}

/// Polls until the state is `Up` or the time is over; returns the last state.
fn until_up(wait: Duration, mut poll: impl FnMut() -> io::Result<State>) -> io::Result<State> {
    let started = Instant::now();
    loop {
        let state = poll()?;
        if state == State::Up || started.elapsed() > wait {
            return Ok(state);
        }
        thread::sleep(UP_POLL);
    }
}

/// Whether the link is up.
pub(super) fn is_up(interface: &str) -> io::Result<bool> {
    Ok(find(&mut Netlink::open(SockProtocol::NetlinkRoute)?, interface)?.state == State::Up)
}

/// Without a link-local address the kernel sends no duplicate address detection, router solicitations or multicast listener
/// reports, so all frames are the experiment's. Uses netlink because `/proc/sys` is often read-only.
fn disable_link_local_address(netlink: &mut Netlink, index: u32) -> io::Result<()> {
    let none = attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
    let quiet = nested(IFLA_AF_SPEC, &[nested(AF_INET6 as u16, &[none])]);
    match netlink.ask(RTM_SETLINK, 0, &[ifinfomsg(index, 0), quiet].concat()) {
        // A kernel without IPv6 sends no such frames.
        Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => Ok(()),
        other => other.map(|_| ()),
    }
}

fn find(netlink: &mut Netlink, interface: &str) -> io::Result<Link> {
    let request = [ifinfomsg(0, 0), text_attribute(IFLA_IFNAME, interface)].concat();
    netlink
        .ask(RTM_GETLINK, 0, &request)?
        .and_then(|answer| Link::parse(&answer))
        .ok_or_else(|| io::Error::other(format!("netlink: no answer about the link {interface}")))
}

/// What the kernel answers about a link.
#[derive(Debug, PartialEq)]
struct Link {
    index: u32,
    state: State,
}

impl Link {
    fn parse(answer: &[u8]) -> Option<Self> {
        let (header, attributes) = answer.split_at_checked(IFINFOMSG)?;
        let index = u32::from_ne_bytes(*header.get(4..)?.first_chunk()?);
        let state = find_attribute(attributes, IFLA_OPERSTATE).and_then(|value| value.first());
        Some(Self { index, state: state.map_or(State::Unknown, |&code| State::of(code)) })
    }
}

/// Operational state of a link (RFC 2863 §3.1.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    NotPresent,
    Down,
    LowerLayerDown,
    Testing,
    Dormant,
    Up,
    Other(u8),
}

impl State {
    /// The state with this `IF_OPER_…` code.
    fn of(code: u8) -> Self {
        match code {
            0 => Self::Unknown,
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            IF_OPER_UP => Self::Up,
            other => Self::Other(other),
        }
    }
}

/// `struct ifinfomsg`: family, padding, type, index, the flags to set, and which flags change.
fn ifinfomsg(index: u32, flags: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(IFINFOMSG);
    bytes.extend([AF_UNSPEC as u8, 0]);
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend(index.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes
}

fn pair(here: &str, there: &str, peer: i32) -> Vec<u8> {
    let other =
        [ifinfomsg(0, 0), text_attribute(IFLA_IFNAME, there), attribute(IFLA_NET_NS_FD, &peer.to_ne_bytes())];
    let data = nested(IFLA_INFO_DATA, &[nested(VETH_INFO_PEER, &other)]);
    let info = nested(IFLA_LINKINFO, &[text_attribute(IFLA_INFO_KIND, "veth"), data]);
    [ifinfomsg(0, 0), text_attribute(IFLA_IFNAME, here), info].concat()
}

/// `struct ifaddrmsg` (family, prefix length, flags, scope, index) and its attributes. The address is usable at once: it
/// waits for no duplicate address detection (RFC 4862 §5.4).
fn address(index: u32, (address, prefix_len): Network) -> Vec<u8> {
    let (family, bytes, broadcast) = match address {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec(), broadcast(address, prefix_len)),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec(), None),
    };
    let mut message = vec![family as u8, prefix_len, 0, RT_SCOPE_UNIVERSE];
    message.extend(index.to_ne_bytes());
    message.extend(attribute(IFA_ADDRESS, &bytes));
    message.extend(attribute(IFA_LOCAL, &bytes));
    if let Some(broadcast) = broadcast {
        message.extend(attribute(IFA_BROADCAST, &broadcast.octets()));
    }
    message.extend(attribute(IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes()));
    message
}

/// The broadcast address of a network of more than two addresses.
fn broadcast(address: Ipv4Addr, prefix_len: u8) -> Option<Ipv4Addr> {
    (prefix_len < 31).then(|| Ipv4Addr::from(u32::from(address) | (u32::MAX >> prefix_len)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    /// A link without link watch reports `Unknown`, which does not mean that it is up.
    #[test]
    fn waits_through_every_state_but_up() {
        let mut states = vec![State::Up, State::Unknown, State::LowerLayerDown, State::Down];
        assert_eq!(until_up(UP_WAIT, || Ok(states.pop().unwrap())).unwrap(), State::Up);
        assert!(states.is_empty());
    }

    #[test]
    fn stops_waiting_for_a_link_that_stays_down() {
        let never = || Ok(State::LowerLayerDown);
        assert_eq!(until_up(Duration::from_millis(5), never).unwrap(), State::LowerLayerDown);
    }

    #[test]
    fn a_pair_names_both_ends_and_the_namespace_of_the_other() {
        let request = pair("veth-b", "veth-a", 9);
        let attributes = &request[IFINFOMSG..];
        assert_eq!(find_attribute(attributes, IFLA_IFNAME), Some(&b"veth-b\0"[..]));
        let info = find_attribute(attributes, IFLA_LINKINFO).unwrap();
        assert_eq!(find_attribute(info, IFLA_INFO_KIND), Some(&b"veth\0"[..]));
        let data = find_attribute(info, IFLA_INFO_DATA).unwrap();
        let other = &find_attribute(data, VETH_INFO_PEER).unwrap()[IFINFOMSG..];
        assert_eq!(find_attribute(other, IFLA_IFNAME), Some(&b"veth-a\0"[..]));
        assert_eq!(find_attribute(other, IFLA_NET_NS_FD), Some(&9_i32.to_ne_bytes()[..]));
    }

    #[test]
    fn an_address_has_its_broadcast_address_and_no_duplicate_address_detection() {
        let v4 = address(3, (Ipv4Addr::new(10, 77, 0, 1).into(), 30));
        assert_eq!(v4[..4], [AF_INET as u8, 30, 0, 0]);
        assert_eq!(v4[4..8], 3_u32.to_ne_bytes());
        assert_eq!(find_attribute(&v4[8..], IFA_LOCAL), Some(&[10, 77, 0, 1][..]));
        assert_eq!(find_attribute(&v4[8..], IFA_BROADCAST), Some(&[10, 77, 0, 3][..]));
        assert_eq!(find_attribute(&v4[8..], IFA_FLAGS), Some(&2_u32.to_ne_bytes()[..]));

        let v6 = address(3, (Ipv6Addr::LOCALHOST.into(), 64));
        assert_eq!(v6[..4], [AF_INET6 as u8, 64, 0, 0]);
        assert_eq!(find_attribute(&v6[8..], IFA_ADDRESS), Some(&Ipv6Addr::LOCALHOST.octets()[..]));
        assert_eq!(find_attribute(&v6[8..], IFA_BROADCAST), None);

        assert_eq!(broadcast(Ipv4Addr::new(10, 78, 0, 2), 24), Some(Ipv4Addr::new(10, 78, 0, 255)));
        assert_eq!(broadcast(Ipv4Addr::new(10, 78, 0, 2), 0), Some(Ipv4Addr::BROADCAST));
        assert_eq!(broadcast(Ipv4Addr::new(10, 78, 0, 2), 31), None);
    }

    #[test]
    fn a_link_without_operational_state_is_not_up() {
        let with = |state: &[u8]| Link::parse(&[ifinfomsg(7, IFF_UP), state.to_vec()].concat());
        assert_eq!(
            with(&attribute(IFLA_OPERSTATE, &[IF_OPER_UP])),
            Some(Link { index: 7, state: State::Up })
        );
        assert_eq!(with(&attribute(IFLA_OPERSTATE, &[2])).unwrap().state, State::Down);
        assert_eq!(with(&attribute(IFLA_OPERSTATE, &[9])).unwrap().state, State::Other(9));
        assert_eq!(with(&attribute(IFLA_OPERSTATE, &[])).unwrap().state, State::Unknown);
        assert_eq!(with(&[]).unwrap().state, State::Unknown);
        assert_eq!(Link::parse(&ifinfomsg(7, IFF_UP)[..15]), None);
    }

    #[test]
    fn a_link_that_does_not_exist_has_the_kernels_errno() {
        assert_eq!(is_up("none-such").unwrap_err().raw_os_error(), Some(nix::libc::ENODEV));
    }
}
