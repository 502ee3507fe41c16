//! Link layers: from the first byte of a frame to the first byte of the network layer.

use std::fmt;

use crate::decode_stop::{DecodeStop, FrameBytes, Layer, StopReason};

/// Maximum number of tags decoded in one frame. 802.1ad stacks two, some carriers three; more is a forgery or a loop.
pub const MAX_VLAN_TAGS: usize = 4;

/// The link type of a capture file
/// (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcaplinktype-04.html>).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: address family in the byte order of the capturing host.
    pub const NULL: Self = LinkType(0);
    /// Ethernet.
    pub const ETHERNET: Self = LinkType(1);
    /// Raw IP, by the number that some BSDs write to files.
    pub const RAW_BSD: Self = LinkType(12);
    /// Raw IP, by the number that OpenBSD writes to files.
    pub const RAW_OPENBSD: Self = LinkType(14);
    /// Raw IP.
    pub const RAW: Self = LinkType(101);
    /// OpenBSD loopback: address family in network order.
    pub const LOOP: Self = LinkType(108);
    /// Linux cooked capture v1.
    pub const LINUX_SLL: Self = LinkType(113);
    /// Raw IPv4.
    pub const IPV4: Self = LinkType(228);
    /// Raw IPv6.
    pub const IPV6: Self = LinkType(229);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: Self = LinkType(276);

    /// The name, if the link type is decoded.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NULL => "null",
            Self::ETHERNET => "Ethernet",
            Self::RAW_BSD | Self::RAW_OPENBSD | Self::RAW => "raw IP",
            Self::LOOP => "loopback",
            Self::LINUX_SLL => "Linux cooked v1",
            Self::IPV4 => "raw IPv4",
            Self::IPV6 => "raw IPv6",
            Self::LINUX_SLL2 => "Linux cooked v2",
            _ => return None,
        })
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "link type {}", self.0),
        }
    }
}

impl fmt::Debug for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkType({}: {self})", self.0)
    }
}

/// The protocol that the link layer carries (IEEE 802 EtherType).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = EtherType(0x0800);
    /// ARP.
    pub const ARP: Self = EtherType(0x0806);
    /// An 802.1Q tag.
    pub const VLAN: Self = EtherType(0x8100);
    /// IPv6.
    pub const IPV6: Self = EtherType(0x86dd);
    /// An 802.1ad service tag.
    pub const QINQ: Self = EtherType(0x88a8);
    /// A service tag, by the number that older equipment uses.
    pub const QINQ_OLD: Self = EtherType(0x9100);
    /// Unknown: the link header names no protocol, or contains a length instead (802.3 without SNAP).
    pub const UNKNOWN: Self = EtherType(0);

    #[inline]
    pub(crate) fn is_tag(self) -> bool {
        matches!(self, Self::VLAN | Self::QINQ | Self::QINQ_OLD)
    }

    /// Whether the field is a length (IEEE 802.3 §3.2.6).
    #[inline]
    pub(crate) fn is_length(self) -> bool {
        self.0 < 0x600
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => f.write_str("IPv4"),
            Self::ARP => f.write_str("ARP"),
            Self::IPV6 => f.write_str("IPv6"),
            _ => write!(f, "EtherType 0x{:04x}", self.0),
        }
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EtherType(0x{:04x})", self.0)
    }
}

/// The VLAN numbers of a frame, outermost first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VlanTags {
    numbers: [u16; MAX_VLAN_TAGS],
    count: u8,
}

impl VlanTags {
    /// The VLAN numbers (12 bits each), outermost first.
    pub fn numbers(&self) -> &[u16] {
        self.numbers.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// True if the frame carries no tag.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a tag. Returns false if there is no room left.
    fn push(&mut self, number: u16) -> bool {
        match self.numbers.get_mut(usize::from(self.count)) {
            Some(place) => {
                *place = number;
                self.count += 1;
                true
            }
            None => false,
        }
    }
}

impl fmt::Debug for VlanTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.numbers()).finish()
    }
}

/// A decoded link layer.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) vlan: VlanTags,
    pub(crate) ether_type: EtherType,
    /// Offset of the network layer.
    pub(crate) offset: usize,
    pub(crate) stop: Option<DecodeStop>,
}

impl Link {
    #[inline]
    fn plain(ether_type: EtherType, offset: usize) -> Self {
        Link { vlan: VlanTags::default(), ether_type, offset, stop: None }
    }

    #[cold]
    fn stopped(stop: DecodeStop) -> Self {
        Link {
            vlan: VlanTags::default(),
            ether_type: EtherType::UNKNOWN,
            offset: stop.offset as usize,
            stop: Some(stop),
        }
    }
}

/// Ethernet: two addresses, then the EtherType.
const ETHERNET_TYPE: usize = 12;
/// Linux cooked v1: packet type, ARPHRD type, address length, address, protocol.
const SLL_PROTOCOL: usize = 14;
/// Linux cooked v2: begins with the protocol; this is its length.
const SLL2_LEN: usize = 20;
/// LLC and SNAP header of a frame that carries an EtherType behind it (RFC 1042).
pub(crate) const SNAP: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0];
/// Null and loopback: an address family.
const FAMILY_LEN: usize = 4;

#[inline]
pub(crate) fn decode(link_type: LinkType, view: FrameBytes<'_>) -> Link {
    match link_type {
        LinkType::ETHERNET => with_tags(view, ETHERNET_TYPE),
        _ => decode_other(link_type, view),
    }
}

fn decode_other(link_type: LinkType, view: FrameBytes<'_>) -> Link {
    match link_type {
        LinkType::LINUX_SLL => with_tags(view, SLL_PROTOCOL),
        LinkType::LINUX_SLL2 => match view.chunk::<SLL2_LEN>(Layer::Link, 0) {
            Ok([high, low, ..]) => tags(view, EtherType(u16::from_be_bytes([*high, *low])), SLL2_LEN),
            Err(stop) => Link::stopped(stop),
        },
        LinkType::NULL | LinkType::LOOP => match view.chunk::<FAMILY_LEN>(Layer::Link, 0) {
            Ok(family) => Link::plain(family_ether_type(*family), FAMILY_LEN),
            Err(stop) => Link::stopped(stop),
        },
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => match view.chunk::<1>(Layer::Ip, 0) {
            Ok([first]) => Link::plain(
                match first >> 4 {
                    4 => EtherType::IPV4,
                    6 => EtherType::IPV6,
                    _ => EtherType::UNKNOWN,
                },
                0,
            ),
            Err(stop) => Link::stopped(stop),
        },
        LinkType::IPV4 => Link::plain(EtherType::IPV4, 0),
        LinkType::IPV6 => Link::plain(EtherType::IPV6, 0),
        _ => Link::stopped(view.stop(Layer::Link, StopReason::UnknownLinkType, 0, 0)),
    }
}

/// A link header whose last two bytes, at `type_offset`, are an EtherType.
#[inline]
fn with_tags(view: FrameBytes<'_>, type_offset: usize) -> Link {
    match view.chunk::<2>(Layer::Link, type_offset) {
        Ok(bytes) => {
            let ether_type = EtherType(u16::from_be_bytes(*bytes));
            let offset = type_offset + 2;
            if matches!(ether_type, EtherType::IPV4 | EtherType::IPV6) {
                return Link::plain(ether_type, offset);
            }
            tags(view, ether_type, offset)
        }
        // The whole header is missing, not only its last field.
        Err(_) => Link::stopped(view.short(Layer::Link, 0, type_offset + 2)),
    }
}

/// Tags (IEEE 802.1Q, section 9): two bytes of priority and VLAN number, then the next EtherType.
fn tags(view: FrameBytes<'_>, mut ether_type: EtherType, mut offset: usize) -> Link {
    let mut vlan = VlanTags::default();
    while ether_type.is_tag() {
        let stop = match view.chunk::<4>(Layer::Vlan, offset) {
            Ok([a, b, c, d]) => {
                if vlan.push(u16::from_be_bytes([*a, *b]) & 0x0fff) {
                    ether_type = EtherType(u16::from_be_bytes([*c, *d]));
                    offset += 4;
                    continue;
                }
                view.stop(Layer::Vlan, StopReason::TooManyTags, offset, 0)
            }
            Err(stop) => stop,
        };
        return Link { vlan, ether_type, offset, stop: Some(stop) };
    }
    // SNAP may add an EtherType.
    if ether_type.is_length() {
        ether_type = EtherType::UNKNOWN;
        if let Ok(header) = view.chunk::<8>(Layer::Link, offset)
            && let Some([a, b]) = header.strip_prefix(&SNAP)
        {
            ether_type = EtherType(u16::from_be_bytes([*a, *b]));
            offset += 8;
        }
    }
    Link { vlan, ether_type, offset, stop: None }
}

/// The address families that systems use for IP, in the byte order that gives the smaller number.
fn family_ether_type(family: [u8; FAMILY_LEN]) -> EtherType {
    let little = u32::from_le_bytes(family);
    match little.min(little.swap_bytes()) {
        2 => EtherType::IPV4,
        // AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, macOS.
        10 | 23 | 24 | 28 | 30 => EtherType::IPV6,
        _ => EtherType::UNKNOWN,
    }
}
