//! Link layers: from the first byte of a frame to the first byte of the network layer.

mod ieee80211;
mod nflog;
mod ppp;

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
    /// PPP, with or without the address and control bytes of HDLC-like framing (RFC 1662 §3.1).
    pub const PPP: Self = LinkType(9);
    /// Raw IP, by the number that some BSDs write to files.
    pub const RAW_BSD: Self = LinkType(12);
    /// Raw IP, by the number that OpenBSD writes to files.
    pub const RAW_OPENBSD: Self = LinkType(14);
    /// PPP in HDLC-like framing (RFC 1662), or Cisco HDLC.
    pub const PPP_HDLC: Self = LinkType(50);
    /// PPPoE without the Ethernet header (RFC 2516).
    pub const PPP_ETHER: Self = LinkType(51);
    /// Raw IP.
    pub const RAW: Self = LinkType(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = LinkType(104);
    /// IEEE 802.11.
    pub const IEEE802_11: Self = LinkType(105);
    /// OpenBSD loopback: address family in network order.
    pub const LOOP: Self = LinkType(108);
    /// Linux cooked capture v1.
    pub const LINUX_SLL: Self = LinkType(113);
    /// IEEE 802.11 behind a radiotap header.
    pub const IEEE802_11_RADIOTAP: Self = LinkType(127);
    /// Any link type behind a per-packet information header.
    pub const PPI: Self = LinkType(192);
    /// PPP behind a byte that names the direction.
    pub const PPP_WITH_DIR: Self = LinkType(204);
    /// MPLS.
    pub const MPLS: Self = LinkType(219);
    /// Raw IPv4.
    pub const IPV4: Self = LinkType(228);
    /// Raw IPv6.
    pub const IPV6: Self = LinkType(229);
    /// Packets of Linux's netfilter log.
    pub const NFLOG: Self = LinkType(239);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: Self = LinkType(276);

    /// The name, if the link type is decoded.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NULL => "null",
            Self::ETHERNET => "Ethernet",
            Self::PPP | Self::PPP_WITH_DIR => "PPP",
            Self::PPP_HDLC => "PPP or Cisco HDLC",
            Self::PPP_ETHER => "PPPoE",
            Self::RAW_BSD | Self::RAW_OPENBSD | Self::RAW => "raw IP",
            Self::C_HDLC => "Cisco HDLC",
            Self::IEEE802_11 => "IEEE 802.11",
            Self::IEEE802_11_RADIOTAP => "IEEE 802.11 with radiotap",
            Self::PPI => "per-packet information",
            Self::MPLS => "MPLS",
            Self::NFLOG => "NFLOG",
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
    /// MPLS (RFC 3032 §5).
    pub const MPLS: Self = EtherType(0x8847);
    /// MPLS with an upstream-assigned label (RFC 5332 §3), or multicast.
    pub const MPLS_UPSTREAM: Self = EtherType(0x8848);
    /// The session stage of PPPoE (RFC 2516 §4).
    pub const PPPOE: Self = EtherType(0x8864);
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
            Self::MPLS | Self::MPLS_UPSTREAM => f.write_str("MPLS"),
            Self::PPPOE => f.write_str("PPPoE"),
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

    /// Adds the tags of a link layer inside of this one, as far as there is room.
    pub(crate) fn append(&mut self, inner: &Self) {
        inner.numbers().iter().for_each(|number| _ = self.push(*number));
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
    /// Whether several frames follow, each behind a header of its own (IEEE 802.11, A-MSDU).
    pub(crate) is_aggregate: bool,
}

impl Link {
    #[inline]
    fn plain(ether_type: EtherType, offset: usize) -> Self {
        Link { vlan: VlanTags::default(), ether_type, offset, stop: None, is_aggregate: false }
    }

    #[cold]
    fn stopped(stop: DecodeStop) -> Self {
        Link {
            vlan: VlanTags::default(),
            ether_type: EtherType::UNKNOWN,
            offset: stop.offset as usize,
            stop: Some(stop),
            is_aggregate: false,
        }
    }
}

/// What a header announces behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The protocol of this number.
    Type(EtherType),
    /// An Ethernet frame.
    Ethernet,
    /// PPP.
    Ppp,
    /// IP of either version, by its first four bits.
    RawIp,
}

/// The link layer that begins at `offset`.
pub(crate) fn inner(next: Next, view: FrameBytes<'_>, offset: usize) -> Link {
    match next {
        Next::Type(ether_type) => tags(view, ether_type, offset),
        Next::Ethernet => with_tags(view, offset, ETHERNET_TYPE),
        Next::Ppp => ppp::decode(view, offset),
        Next::RawIp => raw_ip(view, offset),
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
        LinkType::ETHERNET => with_tags(view, 0, ETHERNET_TYPE),
        _ => decode_other(link_type, view),
    }
}

fn decode_other(link_type: LinkType, view: FrameBytes<'_>) -> Link {
    match link_type {
        LinkType::LINUX_SLL => with_tags(view, 0, SLL_PROTOCOL),
        LinkType::LINUX_SLL2 => match view.chunk::<SLL2_LEN>(Layer::Link, 0) {
            Ok([high, low, ..]) => tags(view, EtherType(u16::from_be_bytes([*high, *low])), SLL2_LEN),
            Err(stop) => Link::stopped(stop),
        },
        LinkType::NULL | LinkType::LOOP => match view.chunk::<FAMILY_LEN>(Layer::Link, 0) {
            Ok(family) => Link::plain(family_ether_type(*family), FAMILY_LEN),
            Err(stop) => Link::stopped(stop),
        },
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => raw_ip(view, 0),
        LinkType::IPV4 => Link::plain(EtherType::IPV4, 0),
        LinkType::IPV6 => Link::plain(EtherType::IPV6, 0),
        LinkType::PPI => ppi(view),
        LinkType::NFLOG => nflog::decode(view),
        _ => within_ppi(link_type, view, 0),
    }
}

/// The link types that may also follow a per-packet information header.
fn within_ppi(link_type: LinkType, view: FrameBytes<'_>, offset: usize) -> Link {
    match link_type {
        LinkType::ETHERNET => with_tags(view, offset, ETHERNET_TYPE),
        LinkType::PPP => ppp::decode(view, offset),
        LinkType::PPP_HDLC => ppp::decode_hdlc(view, offset),
        LinkType::PPP_WITH_DIR => match view.chunk::<1>(Layer::Link, offset) {
            Ok(_) => ppp::decode(view, offset + 1),
            Err(stop) => Link::stopped(stop),
        },
        LinkType::PPP_ETHER => Link::plain(EtherType::PPPOE, offset),
        LinkType::C_HDLC => ppp::decode_cisco_hdlc(view, offset),
        LinkType::MPLS => Link::plain(EtherType::MPLS, offset),
        LinkType::IEEE802_11 => ieee80211::decode(view, offset, ieee80211::Padding::No),
        LinkType::IEEE802_11_RADIOTAP => ieee80211::decode_radiotap(view, offset),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => raw_ip(view, offset),
        _ => Link::stopped(view.stop(Layer::Link, StopReason::UnknownLinkType, offset, 0)),
    }
}

/// A per-packet information header: version, flags, length and link type in little-endian order, then fields that are
/// skipped (PPI Packet Header format 1.0).
fn ppi(view: FrameBytes<'_>) -> Link {
    const LEN: usize = 8;
    let [_, _, l1, l2, t1, t2, t3, t4] = match view.chunk::<LEN>(Layer::Link, 0) {
        Ok(header) => *header,
        Err(stop) => return Link::stopped(stop),
    };
    let length = usize::from(u16::from_le_bytes([l1, l2]));
    if length < LEN {
        return Link::stopped(view.stop(Layer::Link, StopReason::LengthBelowHeader, 0, LEN));
    }
    if length > view.bytes.len() {
        return Link::stopped(view.short(Layer::Link, 0, length));
    }
    let number = u16::try_from(u32::from_le_bytes([t1, t2, t3, t4])).unwrap_or(u16::MAX);
    within_ppi(LinkType(number), view, length)
}

/// IP of either version, by its first four bits.
fn raw_ip(view: FrameBytes<'_>, offset: usize) -> Link {
    match view.chunk::<1>(Layer::Ip, offset) {
        Ok([first]) => Link::plain(
            match first >> 4 {
                4 => EtherType::IPV4,
                6 => EtherType::IPV6,
                _ => EtherType::UNKNOWN,
            },
            offset,
        ),
        Err(stop) => Link::stopped(stop),
    }
}

/// A link header at `start` whose last two bytes, at `type_offset` of it, are an EtherType.
#[inline]
fn with_tags(view: FrameBytes<'_>, start: usize, type_offset: usize) -> Link {
    let type_offset = start + type_offset;
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
        Err(_) => Link::stopped(view.short(Layer::Link, start, type_offset + 2 - start)),
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
        return Link { vlan, ether_type, offset, stop: Some(stop), is_aggregate: false };
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
    Link { vlan, ether_type, offset, stop: None, is_aggregate: false }
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
