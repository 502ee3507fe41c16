//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::decode_stop::{DecodeStop, FrameBytes, Layer, StopReason};

/// IPv6 extension headers walked in one packet. RFC 8200 names seven kinds, each once (destination options twice).
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// An IP address of either version, cheap to compare and to hash.
///
/// An IPv4 address occupies the last four bytes. The version is stored beside the bytes, so that an IPv6 packet from
/// `::ffff:10.0.0.1` does not belong to a flow of the IPv4 host 10.0.0.1.
// Words rather than bytes: building it byte by byte took half the time of decoding a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    high: u64,
    low: u64,
    version: u8,
}

impl Address {
    /// An IPv4 address.
    #[inline]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Address { high: 0, low: 0xffff_0000_0000 | u32::from_be_bytes(octets) as u64, version: 4 }
    }

    /// An IPv6 address.
    #[inline]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(octets);
        Address { high: (bits >> 64) as u64, low: bits as u64, version: 6 }
    }

    /// True for IPv4.
    #[inline]
    pub const fn is_v4(self) -> bool {
        self.version == 4
    }

    /// The 128 bits of the address; the version is [`Address::is_v4`].
    #[inline]
    pub(crate) const fn words(self) -> [u64; 2] {
        [self.high, self.low]
    }

    /// The inverse of [`Address::words`].
    #[inline]
    pub(crate) const fn from_words([high, low]: [u64; 2], is_v4: bool) -> Self {
        Address { high, low, version: if is_v4 { 4 } else { 6 } }
    }

    /// The standard library's form, for output.
    pub fn to_ip(self) -> IpAddr {
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::from(self.low as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from((u128::from(self.high) << 64) | u128::from(self.low)))
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => Address::v4(a.octets()),
            IpAddr::V6(a) => Address::v6(a.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        address.to_ip()
    }
}

impl Hash for Address {
    /// Two words; the version is left to `Eq`, equal bytes of different versions do not occur in honest traffic.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.high);
        state.write_u64(self.low);
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

/// The protocol that an IP packet carries (IANA protocol numbers).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP.
    pub const ICMP: Self = Protocol(1);
    /// TCP.
    pub const TCP: Self = Protocol(6);
    /// UDP.
    pub const UDP: Self = Protocol(17);
    /// ICMPv6.
    pub const ICMPV6: Self = Protocol(58);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.write_str("ICMP"),
            Self::TCP => f.write_str("TCP"),
            Self::UDP => f.write_str("UDP"),
            Self::ICMPV6 => f.write_str("ICMPv6"),
            _ => write!(f, "IP protocol {}", self.0),
        }
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol({}: {self})", self.0)
    }
}

/// Whether a packet is a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// A whole packet.
    No,
    /// The first fragment.
    First,
    /// A later fragment, whose bytes begin at `offset` in the packet's payload.
    Later {
        /// Offset in bytes.
        offset: u16,
    },
}

/// A decoded IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip {
    /// Sender.
    pub src: Address,
    /// Receiver.
    pub dst: Address,
    /// The protocol that the packet carries, after all extension headers; of a fragment, after those before its fragment
    /// header.
    pub protocol: Protocol,
    /// Whether it is a fragment.
    pub fragment: Fragment,
    /// Offset of the IP header in the frame.
    pub offset: u32,
    /// Offset of the payload in the frame.
    pub payload_offset: u32,
    /// Length of the payload by the header, or by the frame if the header has the length 0 (segmentation offload,
    /// jumbograms). Not all of it need be captured.
    pub payload_len: u32,
}

/// Fails if the header is missing or contradicts itself.
#[inline(always)]
pub(crate) fn decode_v4(view: FrameBytes<'_>, offset: usize) -> Result<Ip, DecodeStop> {
    const MIN: usize = 20;
    let header = view.chunk::<MIN>(Layer::Ip, offset)?;
    let [first, _, len_a, len_b, _, _, frag_a, frag_b, _, protocol, ..] = *header;
    let [.., s1, s2, s3, s4, d1, d2, d3, d4] = *header;
    if first >> 4 != 4 {
        return Err(view.stop(Layer::Ip, StopReason::WrongVersion, offset, 0));
    }
    let header_len = usize::from(first & 0x0f) * 4;
    if header_len < MIN {
        return Err(view.stop(Layer::Ip, StopReason::LengthBelowHeader, offset, MIN));
    }
    if header_len > MIN && view.bytes.len() < offset + header_len {
        return Err(view.short(Layer::Ip, offset, header_len));
    }
    let total = match usize::from(u16::from_be_bytes([len_a, len_b])) {
        // 0 in packets captured before hardware segments them; their length is the frame's.
        0 => view.wire_len - offset,
        total => total,
    };
    if total < header_len {
        return Err(view.stop(Layer::Ip, StopReason::LengthBelowHeader, offset, header_len));
    }
    let field = u16::from_be_bytes([frag_a, frag_b]);
    let more = field & 0x2000 != 0;
    let fragment = fragment((field & 0x1fff) << 3, more);
    Ok(Ip {
        src: Address::v4([s1, s2, s3, s4]),
        dst: Address::v4([d1, d2, d3, d4]),
        protocol: Protocol(protocol),
        fragment,
        offset: offset as u32,
        payload_offset: (offset + header_len) as u32,
        payload_len: (total - header_len) as u32,
    })
}

/// Next-header numbers that are extension headers (RFC 8200, section 4; RFC 4302; RFC 6275; RFC 7401; RFC 5533).
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

/// Fails if the header is missing or contradicts itself. A stop beside the [`Ip`] means that extension headers hide the
/// protocol that the packet carries.
#[inline]
pub(crate) fn decode_v6(view: FrameBytes<'_>, offset: usize) -> Result<(Ip, Option<DecodeStop>), DecodeStop> {
    const LEN: usize = 40;
    let header = view.chunk::<LEN>(Layer::Ip, offset)?;
    let [first, _, _, _, len_a, len_b, next, _, addresses @ ..] = header;
    if first >> 4 != 6 {
        return Err(view.stop(Layer::Ip, StopReason::WrongVersion, offset, 0));
    }
    let start = offset + LEN;
    let payload_len = match usize::from(u16::from_be_bytes([*len_a, *len_b])) {
        // A jumbogram (RFC 2675) or a packet captured before hardware segments it: the frame's length counts.
        0 => view.wire_len - start,
        length => length,
    };
    let (src, dst) = halves(addresses);
    let ip = Ip {
        src: Address::v6(src),
        dst: Address::v6(dst),
        protocol: Protocol(*next),
        fragment: Fragment::No,
        offset: offset as u32,
        payload_offset: start as u32,
        payload_len: payload_len as u32,
    };
    // Checked first: nearly every packet has no extension header.
    if ip.protocol == Protocol::TCP { Ok((ip, None)) } else { Ok(walk_extensions(view, ip)) }
}

fn halves(addresses: &[u8; 32]) -> ([u8; 16], [u8; 16]) {
    let (mut src, mut dst) = ([0; 16], [0; 16]);
    let (a, b) = addresses.split_at(16);
    src.copy_from_slice(a);
    dst.copy_from_slice(b);
    (src, dst)
}

/// Follows the chain of extension headers to the protocol that the packet carries.
fn walk_extensions(view: FrameBytes<'_>, mut ip: Ip) -> (Ip, Option<DecodeStop>) {
    let end = ip.payload_offset as usize + ip.payload_len as usize;
    for walked in 0.. {
        let at = ip.payload_offset as usize;
        let kind = ip.protocol.0;
        if !matches!(kind, 0 | 43 | FRAGMENT | AUTHENTICATION | 60 | 135 | 139 | 140) {
            break;
        }
        if walked == MAX_EXTENSION_HEADERS {
            return (ip, Some(view.stop(Layer::Ipv6Extension, StopReason::TooManyExtensions, at, 0)));
        }
        let [next, length, a, b, ..] = match view.chunk::<8>(Layer::Ipv6Extension, at) {
            Ok(header) => *header,
            Err(stop) => return (ip, Some(stop)),
        };
        let length = match kind {
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        if at + length > end {
            return (ip, Some(view.stop(Layer::Ipv6Extension, StopReason::LengthBeyondFrame, at, length)));
        }
        if at + length > view.bytes.len() {
            return (ip, Some(view.short(Layer::Ipv6Extension, at, length)));
        }
        if kind == FRAGMENT {
            let field = u16::from_be_bytes([a, b]);
            ip.fragment = fragment(field & 0xfff8, field & 1 != 0);
        }
        ip.protocol = Protocol(next);
        ip.payload_offset = (at + length) as u32;
        ip.payload_len = (end - at - length) as u32;
        // What follows is a part of the packet: further extension headers need not be whole (RFC 8200 §4.5).
        if ip.fragment != Fragment::No {
            break;
        }
    }
    (ip, None)
}

#[inline]
fn fragment(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        // An IPv6 "atomic" fragment (RFC 6946) is a whole packet too.
        (0, false) => Fragment::No,
        (0, true) => Fragment::First,
        (offset, _) => Fragment::Later { offset },
    }
}
