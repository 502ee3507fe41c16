//! The layouts of headers, and the fields that they make of bytes.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::options::Option as TcpOption;
use super::{Field, Kind, Value};
use crate::ip::{Ip, MAX_EXTENSION_HEADERS};
use crate::link::{EtherType, LinkType, MAX_VLAN_TAGS};
use crate::tcp::Flags;

/// A field of a header: its place, and how its bytes are read.
pub(super) struct Place {
    kind: Kind,
    /// Its bytes in the header.
    range: Range<usize>,
    format: Format,
}

#[derive(Clone, Copy)]
enum Format {
    Bytes,
    Number,
    Hex,
    /// So many bits of the bytes, behind which there are so many lower ones.
    Bits {
        count: u32,
        below: u32,
    },
    Flags,
    Hardware,
    V4,
    V6,
}

const fn field(kind: Kind, range: Range<usize>, format: Format) -> Place {
    Place { kind, range, format }
}

const fn bits(kind: Kind, range: Range<usize>, count: u32, below: u32) -> Place {
    Place { kind, range, format: Format::Bits { count, below } }
}

/// Ethernet (IEEE 802.3 §3.1.1).
const ETHERNET: &[Place] = &[
    field(Kind::EthernetDestination, 0..6, Format::Hardware),
    field(Kind::EthernetSource, 6..12, Format::Hardware),
    field(Kind::EtherType, 12..14, Format::Hex),
];

/// A VLAN tag, behind the EtherType that announces it (IEEE 802.1Q §9.6).
const VLAN: &[Place] = &[
    bits(Kind::VlanPriority, 0..2, 3, 13),
    bits(Kind::VlanDropEligible, 0..2, 1, 12),
    bits(Kind::VlanNumber, 0..2, 12, 0),
    field(Kind::VlanType, 2..4, Format::Hex),
];

/// LLC and SNAP (RFC 1042).
const SNAP: &[Place] = &[
    field(Kind::Llc, 0..3, Format::Hex),
    field(Kind::SnapOrganisation, 3..6, Format::Hex),
    field(Kind::SnapType, 6..8, Format::Hex),
];

/// <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>
const COOKED: &[Place] = &[
    field(Kind::CookedPacketType, 0..2, Format::Number),
    field(Kind::CookedDevice, 2..4, Format::Number),
    field(Kind::CookedAddressLength, 4..6, Format::Number),
    field(Kind::CookedAddress, 6..14, Format::Bytes),
    field(Kind::CookedProtocol, 14..16, Format::Hex),
];

/// <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html>
const COOKED_2: &[Place] = &[
    field(Kind::CookedProtocol, 0..2, Format::Hex),
    field(Kind::CookedReserved, 2..4, Format::Hex),
    field(Kind::CookedInterface, 4..8, Format::Number),
    field(Kind::CookedDevice, 8..10, Format::Number),
    field(Kind::CookedPacketType, 10..11, Format::Number),
    field(Kind::CookedAddressLength, 11..12, Format::Number),
    field(Kind::CookedAddress, 12..20, Format::Bytes),
];

/// <https://www.tcpdump.org/linktypes/LINKTYPE_NULL.html>
const LOOPBACK: &[Place] = &[field(Kind::LoopbackFamily, 0..4, Format::Hex)];

/// ARP for IPv4 over Ethernet (RFC 826).
pub(super) const ARP: &[Place] = &[
    field(Kind::ArpHardwareType, 0..2, Format::Number),
    field(Kind::ArpProtocolType, 2..4, Format::Hex),
    field(Kind::ArpHardwareSize, 4..5, Format::Number),
    field(Kind::ArpProtocolSize, 5..6, Format::Number),
    field(Kind::ArpOperation, 6..8, Format::Number),
    field(Kind::ArpSenderHardware, 8..14, Format::Hardware),
    field(Kind::ArpSender, 14..18, Format::V4),
    field(Kind::ArpTargetHardware, 18..24, Format::Hardware),
    field(Kind::ArpTarget, 24..28, Format::V4),
];

/// The first two bytes of a WebSocket frame (RFC 6455 §5.2).
pub(super) const WEBSOCKET: &[Place] = &[
    bits(Kind::WebSocketFin, 0..1, 1, 7),
    bits(Kind::WebSocketReserved, 0..1, 3, 4),
    bits(Kind::WebSocketOpcode, 0..1, 4, 0),
    bits(Kind::WebSocketMask, 1..2, 1, 7),
    bits(Kind::WebSocketLength, 1..2, 7, 0),
];

/// RFC 791 §3.1, without options.
pub(super) const IPV4: &[Place] = &[
    bits(Kind::IpVersion, 0..1, 4, 4),
    bits(Kind::IpHeaderLength, 0..1, 4, 0),
    bits(Kind::IpDifferentiatedServices, 1..2, 6, 2),
    bits(Kind::IpCongestion, 1..2, 2, 0),
    field(Kind::IpLength, 2..4, Format::Number),
    field(Kind::IpIdentification, 4..6, Format::Hex),
    bits(Kind::IpReserved, 6..8, 1, 15),
    bits(Kind::IpDoNotFragment, 6..8, 1, 14),
    bits(Kind::IpMoreFragments, 6..8, 1, 13),
    bits(Kind::IpFragmentOffset, 6..8, 13, 0),
    field(Kind::IpTimeToLive, 8..9, Format::Number),
    field(Kind::IpProtocol, 9..10, Format::Number),
    field(Kind::IpChecksum, 10..12, Format::Hex),
    field(Kind::IpSource, 12..16, Format::V4),
    field(Kind::IpDestination, 16..20, Format::V4),
];

/// RFC 8200 §3.
pub(super) const IPV6: &[Place] = &[
    bits(Kind::Ipv6Version, 0..4, 4, 28),
    bits(Kind::Ipv6TrafficClass, 0..4, 8, 20),
    bits(Kind::Ipv6FlowLabel, 0..4, 20, 0),
    field(Kind::Ipv6Length, 4..6, Format::Number),
    field(Kind::Ipv6NextHeader, 6..7, Format::Number),
    field(Kind::Ipv6HopLimit, 7..8, Format::Number),
    field(Kind::Ipv6Source, 8..24, Format::V6),
    field(Kind::Ipv6Destination, 24..40, Format::V6),
];

/// The first four bytes of RFC 792 and of RFC 4443 §2.1.
pub(super) const ICMP: &[Place] = &[
    field(Kind::IcmpType, 0..1, Format::Number),
    field(Kind::IcmpCode, 1..2, Format::Number),
    field(Kind::IcmpChecksum, 2..4, Format::Hex),
];

/// RFC 768.
pub(super) const UDP: &[Place] = &[
    field(Kind::UdpSource, 0..2, Format::Number),
    field(Kind::UdpDestination, 2..4, Format::Number),
    field(Kind::UdpLength, 4..6, Format::Number),
    field(Kind::UdpChecksum, 6..8, Format::Hex),
];

/// RFC 9293 §3.1, without options.
pub(super) const TCP: &[Place] = &[
    field(Kind::TcpSource, 0..2, Format::Number),
    field(Kind::TcpDestination, 2..4, Format::Number),
    field(Kind::TcpSequence, 4..8, Format::Number),
    field(Kind::TcpAcknowledgment, 8..12, Format::Number),
    bits(Kind::TcpHeaderLength, 12..13, 4, 4),
    bits(Kind::TcpReserved, 12..13, 4, 0),
    field(Kind::TcpFlags, 13..14, Format::Flags),
    field(Kind::TcpWindow, 14..16, Format::Number),
    field(Kind::TcpChecksum, 16..18, Format::Hex),
    field(Kind::TcpUrgentPointer, 18..20, Format::Number),
];

/// Collects the fields of a frame. Each one begins where the last one ended, or shares its range.
pub(super) struct Fields<'b> {
    bytes: &'b [u8],
    fields: Vec<Field>,
    end: usize,
    /// The end of the structure that is being read.
    limit: usize,
}

impl<'b> Fields<'b> {
    pub(super) fn of(bytes: &'b [u8]) -> Self {
        Self { bytes, fields: Vec::new(), end: 0, limit: bytes.len() }
    }

    /// The bytes of the structure that no field has yet.
    pub(super) fn remaining(&self) -> &'b [u8] {
        self.bytes.get(self.end..self.limit).unwrap_or_default()
    }

    /// The next `len` bytes as a field. `None` if the structure ends before.
    pub(super) fn next(
        &mut self,
        kind: Kind,
        len: usize,
        value: impl FnOnce(&'b [u8]) -> Value,
    ) -> Option<()> {
        let bytes = self.remaining().get(..len)?;
        if len > 0 {
            self.push(kind, self.end..self.end + len, value(bytes));
        }
        Some(())
    }

    /// The next `len` bytes as a field with a number, which it returns.
    pub(super) fn number(&mut self, kind: Kind, len: usize) -> Option<usize> {
        let number = big_endian(self.remaining().get(..len)?);
        self.next(kind, len, |_| Value::Number(number))?;
        usize::try_from(number).ok()
    }

    /// Reads the next `len` bytes as a structure of its own, then what it leaves as `rest`. `None` if there are fewer.
    pub(super) fn within(
        &mut self,
        len: usize,
        rest: Kind,
        read: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let end = self.end.checked_add(len).filter(|end| *end <= self.limit)?;
        let outer = std::mem::replace(&mut self.limit, end);
        // What cannot be read is the rest.
        let _ = read(self);
        self.limit = outer;
        self.up_to(end, rest);
        Some(())
    }

    /// Offset behind the last field.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    pub(super) fn into_vec(self) -> Vec<Field> {
        self.fields
    }

    fn push(&mut self, kind: Kind, range: Range<usize>, value: Value) {
        self.end = range.end;
        self.fields.push(Field { kind, range, value });
    }

    /// The fields of a header at `at`, as far as they were captured completely.
    pub(super) fn layout(&mut self, at: usize, places: &[Place]) {
        for place in places {
            let range = at + place.range.start..at + place.range.end;
            let Some(bytes) = self.bytes.get(range.clone()) else { return };
            let value = place.format.read(bytes);
            self.push(place.kind, range, value);
        }
    }

    /// The bytes up to `end`, if there are any, as one field.
    pub(super) fn up_to(&mut self, end: usize, kind: Kind) {
        let end = end.min(self.bytes.len());
        if self.end < end {
            self.push(kind, self.end..end, Value::Bytes);
        }
    }

    /// The bytes behind the last field, if there are any.
    pub(super) fn rest(&mut self, kind: Kind) {
        self.up_to(self.bytes.len(), kind);
    }

    pub(super) fn link(&mut self, link_type: LinkType) {
        match link_type {
            LinkType::ETHERNET => {
                self.layout(0, ETHERNET);
                self.behind(self.type_before(self.end));
            }
            LinkType::LINUX_SLL => {
                self.layout(0, COOKED);
                self.behind(self.type_before(self.end));
            }
            LinkType::LINUX_SLL2 => {
                self.layout(0, COOKED_2);
                self.behind(self.type_before(2));
            }
            LinkType::NULL | LinkType::LOOP => self.layout(0, LOOPBACK),
            _ => {}
        }
    }

    /// VLAN tags behind a header with this EtherType, and the LLC header of a frame whose type is a length.
    fn behind(&mut self, mut ether_type: Option<EtherType>) {
        for _ in 0..MAX_VLAN_TAGS {
            if !ether_type.is_some_and(EtherType::is_tag) {
                break;
            }
            self.layout(self.end, VLAN);
            ether_type = self.type_before(self.end);
        }
        let is_snap = |rest: &[u8]| rest.starts_with(&crate::link::SNAP);
        if ether_type.is_some_and(EtherType::is_length) && self.bytes.get(self.end..).is_some_and(is_snap) {
            self.layout(self.end, SNAP);
        }
    }

    /// The EtherType that ends at `end`.
    fn type_before(&self, end: usize) -> Option<EtherType> {
        let bytes = self.bytes.get(end.checked_sub(2)?..end)?;
        Some(EtherType(u16::from_be_bytes(*bytes.first_chunk()?)))
    }

    /// The extension headers of IPv6, up to the payload.
    pub(super) fn extension_headers(&mut self, ip: &Ip) {
        const FRAGMENT: u8 = 44;
        const AUTHENTICATION: u8 = 51;
        let mut kind = self.bytes.get(ip.offset as usize + 6).copied();
        for _ in 0..MAX_EXTENSION_HEADERS {
            let at = self.end;
            if at >= ip.payload_offset as usize {
                break;
            }
            let Some([next, length]) = self.bytes.get(at..).and_then(<[u8]>::first_chunk) else { break };
            let len = match kind {
                Some(FRAGMENT) => 8,
                Some(AUTHENTICATION) => (usize::from(*length) + 2) * 4,
                _ => (usize::from(*length) + 1) * 8,
            };
            self.up_to((at + len).min(ip.payload_offset as usize), Kind::Ipv6Extension);
            kind = Some(*next);
        }
        self.up_to(ip.payload_offset as usize, Kind::Ipv6Extension);
    }

    /// The options of TCP, up to its payload.
    pub(super) fn tcp_options(&mut self, end: usize) {
        while self.end < end {
            let Some(rest) = self.bytes.get(self.end..end.min(self.bytes.len())) else { return };
            let Some(option) = TcpOption::first(rest) else { return };
            self.push(option.kind, self.end..self.end + option.len, option.value);
        }
    }
}

/// The number that at most eight bytes are.
pub(super) fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().take(size_of::<u64>()).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Format {
    fn read(self, bytes: &[u8]) -> Value {
        let number = big_endian(bytes);
        match self {
            Self::Bytes => Value::Bytes,
            Self::Number => Value::Number(number),
            Self::Hex => Value::Hex(number, 2 * bytes.len()),
            Self::Bits { count, below } => Value::Number(number >> below & ((1 << count) - 1)),
            Self::Flags => Value::Flags(Flags(number as u8)),
            Self::Hardware => bytes.first_chunk().map_or(Value::Bytes, |address| Value::Hardware(*address)),
            Self::V4 => bytes
                .first_chunk::<4>()
                .map_or(Value::Bytes, |address| Value::Address(Ipv4Addr::from(*address).into())),
            Self::V6 => bytes
                .first_chunk::<16>()
                .map_or(Value::Bytes, |address| Value::Address(Ipv6Addr::from(*address).into())),
        }
    }
}
