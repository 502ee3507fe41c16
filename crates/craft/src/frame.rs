//! Builds a frame (link layer, IP, TCP or UDP, payload) in the caller's buffer, with correct lengths and checksums.
//!
//! ```
//! use craft::frame::{self, Ip, Link, Tcp, flags};
//!
//! let ip = Ip::between("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()).unwrap();
//! let tcp = Tcp { source_port: 40000, destination_port: 8000, flags: flags::PSH | flags::ACK, ..Tcp::default() };
//! let mut out = Vec::new();
//! frame::tcp(&mut out, &Link::default(), &ip, &tcp, b"POST /tool HTTP/1.1\r\n");
//! assert_eq!(out.len(), 14 + 20 + 20 + 21);
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{checksum::Sum, link_type};

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of an 802.1Q tag.
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType of an 802.1ad (QinQ) outer tag.
pub const ETHERTYPE_QINQ: u16 = 0x88a8;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// IP protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;

/// TCP flag bits (RFC 9293 §3.1).
pub mod flags {
    /// The sender has no more data.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment field is valid.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is valid.
    pub const URG: u8 = 0x20;
}

/// The header before the IP header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Ethernet II with any number of VLAN tags.
    Ethernet(Ethernet),
    /// Linux cooked capture v1, as captured on the interface `any`.
    CookedV1(Cooked),
    /// Linux cooked capture v2.
    CookedV2(Cooked),
    /// BSD loopback, with the family in the given byte order.
    Null(crate::Endian),
    /// OpenBSD loopback, with the family in network byte order.
    Loop,
    /// None: the frame begins with the IP header.
    RawIp,
}

impl Default for Link {
    fn default() -> Self {
        Link::Ethernet(Ethernet::default())
    }
}

impl Link {
    /// The link type to declare in the capture file for frames of this kind.
    pub fn link_type(&self) -> u16 {
        match self {
            Link::Ethernet(_) => link_type::ETHERNET,
            Link::CookedV1(_) => link_type::LINUX_SLL,
            Link::CookedV2(_) => link_type::LINUX_SLL2,
            Link::Null(_) => link_type::NULL,
            Link::Loop => link_type::LOOP,
            Link::RawIp => link_type::RAW,
        }
    }
}

/// An Ethernet II header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ethernet {
    /// Sender's address.
    pub source: [u8; 6],
    /// Receiver's address.
    pub destination: [u8; 6],
    /// Tags, outermost first.
    pub vlan: Vec<Vlan>,
    /// Whether to pad the frame with zeros to 60 bytes, as network cards do.
    pub pad: bool,
}

impl Default for Ethernet {
    /// Two locally administered addresses, no tag, no padding.
    fn default() -> Self {
        Ethernet {
            source: [2, 0, 0, 0, 0, 0x0a],
            destination: [2, 0, 0, 0, 0, 0x0b],
            vlan: Vec::new(),
            pad: false,
        }
    }
}

/// One VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vlan {
    /// [`ETHERTYPE_VLAN`], [`ETHERTYPE_QINQ`] or another tag protocol.
    pub tag_protocol: u16,
    /// Priority (3 bits), drop eligibility (1 bit), VLAN number (12 bits).
    pub control: u16,
}

impl Vlan {
    /// An 802.1Q tag for VLAN `number`.
    pub fn tag(number: u16) -> Self {
        Vlan { tag_protocol: ETHERTYPE_VLAN, control: number & 0x0fff }
    }

    /// An 802.1ad service tag for VLAN `number`.
    pub fn service(number: u16) -> Self {
        Vlan { tag_protocol: ETHERTYPE_QINQ, control: number & 0x0fff }
    }
}

/// The fields of a Linux cooked header except the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cooked {
    /// 0 to this host, 1 broadcast, 2 multicast, 3 between other hosts, 4 from this host.
    pub packet_type: u16,
    /// Sender's address.
    pub source: [u8; 6],
    /// Interface number, v2 only.
    pub interface: u32,
}

/// An IP header of either version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ip {
    /// Version 4.
    V4(Ipv4),
    /// Version 6.
    V6(Ipv6),
}

impl Ip {
    /// A header with default fields from `source` to `destination`; `None` if their versions differ.
    pub fn between(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(s), IpAddr::V4(d)) => Some(Ip::V4(Ipv4::between(s, d))),
            (IpAddr::V6(s), IpAddr::V6(d)) => Some(Ip::V6(Ipv6::between(s, d))),
            _ => None,
        }
    }

    fn ethertype(&self) -> u16 {
        match self {
            Ip::V4(_) => ETHERTYPE_IPV4,
            Ip::V6(_) => ETHERTYPE_IPV6,
        }
    }

    /// Sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1).
    fn pseudo(&self, protocol: u8, length: usize) -> Sum {
        let sum = Sum::default().add_u32(u32::from(protocol)).add_u32(length as u32);
        match self {
            Ip::V4(ip) => sum.add(&ip.source.octets()).add(&ip.destination.octets()),
            Ip::V6(ip) => sum.add(&ip.source.octets()).add(&ip.destination.octets()),
        }
    }

    fn append(&self, out: &mut Vec<u8>, protocol: u8, length: usize) {
        match self {
            Ip::V4(ip) => ip.append(out, protocol, length),
            Ip::V6(ip) => ip.append(out, protocol, length),
        }
    }
}

/// An IPv4 header (RFC 791); length and checksum are computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv4 {
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver.
    pub destination: Ipv4Addr,
    /// Identification.
    pub id: u16,
    /// Don't Fragment.
    pub dont_fragment: bool,
    /// More Fragments.
    pub more_fragments: bool,
    /// Offset of this fragment in bytes, a multiple of 8.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// Type of service.
    pub tos: u8,
    /// Raw options; padded with zeros to a multiple of four, at most 40 bytes.
    pub options: Vec<u8>,
    /// A value to write instead of the correct total length, such as 0 for segmentation offload.
    pub total_length: Option<u16>,
}

impl Ipv4 {
    /// A header with DF set, TTL 64 and identification 0.
    pub fn between(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Ipv4 {
            source,
            destination,
            id: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            tos: 0,
            options: Vec::new(),
            total_length: None,
        }
    }

    fn append(&self, out: &mut Vec<u8>, protocol: u8, length: usize) {
        assert!(
            self.options.len() <= 40,
            "IPv4 options have {} bytes, but at most 40 fit",
            self.options.len()
        );
        let start = out.len();
        let header = 20 + self.options.len().next_multiple_of(4);
        // A length that does not fit is written as 0, as Linux does for packets that hardware segments.
        let total = self.total_length.unwrap_or_else(|| u16::try_from(header + length).unwrap_or(0));
        let fragment = (self.fragment_offset / 8)
            | (u16::from(self.dont_fragment) << 14)
            | (u16::from(self.more_fragments) << 13);
        out.extend_from_slice(&[0x40 | (header / 4) as u8, self.tos]);
        out.extend_from_slice(&total.to_be_bytes());
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&fragment.to_be_bytes());
        out.extend_from_slice(&[self.ttl, protocol, 0, 0]);
        out.extend_from_slice(&self.source.octets());
        out.extend_from_slice(&self.destination.octets());
        out.extend_from_slice(&self.options);
        out.resize(start + header, 0);
        let checksum = Sum::default().add(&out[start..]).complement();
        out[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// An IPv6 header (RFC 8200); the length is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv6 {
    /// Sender.
    pub source: Ipv6Addr,
    /// Receiver.
    pub destination: Ipv6Addr,
    /// Traffic class.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Hop limit.
    pub hop_limit: u8,
    /// Extension headers in order.
    pub extensions: Vec<Extension>,
}

/// An IPv6 extension header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The header's number: 0 hop-by-hop, 43 routing, 44 fragment, 60 destination options …
    pub kind: u8,
    /// The bytes after the next-header and length fields; together with them padded with zeros to a multiple of eight.
    pub body: Vec<u8>,
}

impl Extension {
    /// Hop-by-hop options with padding only.
    pub fn hop_by_hop() -> Self {
        Extension { kind: 0, body: vec![1, 4, 0, 0, 0, 0] }
    }

    /// Destination options with padding only.
    pub fn destination_options() -> Self {
        Extension { kind: 60, body: vec![1, 4, 0, 0, 0, 0] }
    }

    /// A fragment header; `offset` in bytes, a multiple of 8.
    pub fn fragment(offset: u16, more: bool, id: u32) -> Self {
        let field = (offset & 0xfff8) | u16::from(more);
        let mut body = field.to_be_bytes().to_vec();
        body.extend_from_slice(&id.to_be_bytes());
        Extension { kind: 44, body }
    }

    fn length(&self) -> usize {
        (2 + self.body.len()).next_multiple_of(8)
    }
}

impl Ipv6 {
    /// A header with hop limit 64 and no extension headers.
    pub fn between(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Ipv6 { source, destination, traffic_class: 0, flow_label: 0, hop_limit: 64, extensions: Vec::new() }
    }

    fn append(&self, out: &mut Vec<u8>, protocol: u8, length: usize) {
        let total = length + self.extensions.iter().map(Extension::length).sum::<usize>();
        let first = (6 << 28) | (u32::from(self.traffic_class) << 20) | (self.flow_label & 0x000f_ffff);
        out.extend_from_slice(&first.to_be_bytes());
        // A length that does not fit is written as 0, as Linux does for packets that hardware segments.
        out.extend_from_slice(&u16::try_from(total).unwrap_or(0).to_be_bytes());
        out.push(self.extensions.first().map_or(protocol, |e| e.kind));
        out.push(self.hop_limit);
        out.extend_from_slice(&self.source.octets());
        out.extend_from_slice(&self.destination.octets());
        for (i, extension) in self.extensions.iter().enumerate() {
            let start = out.len();
            let length = extension.length();
            out.push(self.extensions.get(i + 1).map_or(protocol, |e| e.kind));
            // The fragment header has a fixed length, and a reserved byte in this place (RFC 8200 §4.5).
            out.push(if extension.kind == 44 { 0 } else { (length / 8 - 1) as u8 });
            out.extend_from_slice(&extension.body);
            out.resize(start + length, 0);
        }
    }
}

/// The value of a transport checksum field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// The correct checksum.
    #[default]
    True,
    /// The sum of the pseudo header only, which a network stack writes for hardware to complete.
    Unfinished,
    /// This value.
    Raw(u16),
}

/// A TCP header (RFC 9293 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// Sender's port.
    pub source_port: u16,
    /// Receiver's port.
    pub destination_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// Bits of [`flags`].
    pub flags: u8,
    /// Window, unscaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Raw options; padded with zeros to a multiple of four, at most 40 bytes.
    pub options: &'a [u8],
    /// The checksum field.
    pub checksum: Checksum,
}

impl Default for Tcp<'_> {
    fn default() -> Self {
        Tcp {
            source_port: 0,
            destination_port: 0,
            sequence: 0,
            acknowledgment: 0,
            flags: flags::ACK,
            window: 64240,
            urgent: 0,
            options: &[],
            checksum: Checksum::True,
        }
    }
}

/// A UDP header (RFC 768).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Udp {
    /// Sender's port.
    pub source_port: u16,
    /// Receiver's port.
    pub destination_port: u16,
    /// The checksum field.
    pub checksum: Checksum,
}

/// Appends a frame with a TCP segment.
pub fn tcp(out: &mut Vec<u8>, link: &Link, ip: &Ip, tcp: &Tcp<'_>, payload: &[u8]) {
    assert!(tcp.options.len() <= 40, "TCP options have {} bytes, but at most 40 fit", tcp.options.len());
    let header = 20 + tcp.options.len().next_multiple_of(4);
    let length = header + payload.len();
    framed(out, link, ip.ethertype(), |out| {
        ip.append(out, PROTOCOL_TCP, length);
        let start = out.len();
        out.extend_from_slice(&tcp.source_port.to_be_bytes());
        out.extend_from_slice(&tcp.destination_port.to_be_bytes());
        out.extend_from_slice(&tcp.sequence.to_be_bytes());
        out.extend_from_slice(&tcp.acknowledgment.to_be_bytes());
        out.extend_from_slice(&[((header / 4) << 4) as u8, tcp.flags]);
        out.extend_from_slice(&tcp.window.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&tcp.urgent.to_be_bytes());
        out.extend_from_slice(tcp.options);
        out.resize(start + header, 0);
        out.extend_from_slice(payload);
        let pseudo = ip.pseudo(PROTOCOL_TCP, length);
        let checksum = match tcp.checksum {
            Checksum::True => pseudo.add(&out[start..]).complement(),
            Checksum::Unfinished => pseudo.folded(),
            Checksum::Raw(value) => value,
        };
        out[start + 16..start + 18].copy_from_slice(&checksum.to_be_bytes());
    });
}

/// Appends a frame with a UDP datagram.
pub fn udp(out: &mut Vec<u8>, link: &Link, ip: &Ip, udp: &Udp, payload: &[u8]) {
    let length = 8 + payload.len();
    framed(out, link, ip.ethertype(), |out| {
        ip.append(out, PROTOCOL_UDP, length);
        let start = out.len();
        out.extend_from_slice(&udp.source_port.to_be_bytes());
        out.extend_from_slice(&udp.destination_port.to_be_bytes());
        out.extend_from_slice(&u16::try_from(length).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(payload);
        let pseudo = ip.pseudo(PROTOCOL_UDP, length);
        let checksum = match udp.checksum {
            // A checksum of zero is sent as all ones, because zero means that none was computed (RFC 768).
            Checksum::True => {
                Some(pseudo.add(&out[start..]).complement()).filter(|c| *c != 0).unwrap_or(0xffff)
            }
            Checksum::Unfinished => pseudo.folded(),
            Checksum::Raw(value) => value,
        };
        out[start + 6..start + 8].copy_from_slice(&checksum.to_be_bytes());
    });
}

/// Appends a frame with any IP payload: ICMP, a later fragment, an unknown protocol, a damaged header.
pub fn ip(out: &mut Vec<u8>, link: &Link, ip: &Ip, protocol: u8, payload: &[u8]) {
    framed(out, link, ip.ethertype(), |out| {
        ip.append(out, protocol, payload.len());
        out.extend_from_slice(payload);
    });
}

/// Appends an ARP request for `target` (RFC 826).
pub fn arp(out: &mut Vec<u8>, link: &Link, sender_mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) {
    framed(out, link, ETHERTYPE_ARP, |out| {
        out.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        out.extend_from_slice(&sender_mac);
        out.extend_from_slice(&sender.octets());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&target.octets());
    });
}

/// Appends the link header, the bytes that `body` writes, and padding.
///
/// For payloads that the other functions do not build: `ethertype` may be any number. Null and loopback links have address
/// families instead, and write 0 unless it is IP.
pub fn framed(out: &mut Vec<u8>, link: &Link, ethertype: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    let family: u32 = match ethertype {
        ETHERTYPE_IPV4 => 2,
        // AF_INET6 of macOS, which writes such captures.
        ETHERTYPE_IPV6 => 30,
        _ => 0,
    };
    match link {
        Link::Ethernet(ethernet) => {
            out.extend_from_slice(&ethernet.destination);
            out.extend_from_slice(&ethernet.source);
            for tag in &ethernet.vlan {
                out.extend_from_slice(&tag.tag_protocol.to_be_bytes());
                out.extend_from_slice(&tag.control.to_be_bytes());
            }
            out.extend_from_slice(&ethertype.to_be_bytes());
        }
        Link::CookedV1(cooked) => {
            out.extend_from_slice(&cooked.packet_type.to_be_bytes());
            // ARPHRD_ETHER, an address of six bytes, padded to eight.
            out.extend_from_slice(&[0, 1, 0, 6]);
            out.extend_from_slice(&cooked.source);
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&ethertype.to_be_bytes());
        }
        Link::CookedV2(cooked) => {
            out.extend_from_slice(&ethertype.to_be_bytes());
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&cooked.interface.to_be_bytes());
            out.extend_from_slice(&[0, 1, cooked.packet_type as u8, 6]);
            out.extend_from_slice(&cooked.source);
            out.extend_from_slice(&[0, 0]);
        }
        Link::Null(endian) => out.extend_from_slice(&endian.u32(family)),
        Link::Loop => out.extend_from_slice(&family.to_be_bytes()),
        Link::RawIp => {}
    }
    body(out);
    if let Link::Ethernet(Ethernet { pad: true, .. }) = link
        && out.len() < start + 60
    {
        out.resize(start + 60, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    fn v4() -> Ip {
        Ip::between([192, 0, 2, 1].into(), [198, 51, 100, 7].into()).unwrap()
    }

    fn v6() -> Ip {
        Ip::between("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()).unwrap()
    }

    #[test]
    fn checksums_agree_with_another_implementation() {
        for ip in [v4(), v6()] {
            for length in [0usize, 1, 2, 3, 4, 5, 1000, 1001] {
                let payload: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
                let mut out = Vec::new();
                let options = [2, 4, 5, 0xb4];
                let header = Tcp {
                    source_port: 40000,
                    destination_port: 8000,
                    sequence: 0xdead_beef,
                    options: &options,
                    ..Tcp::default()
                };
                tcp(&mut out, &Link::default(), &ip, &header, &payload);
                let sliced = SlicedPacket::from_ethernet(&out).unwrap();
                let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { panic!("no TCP") };
                assert_eq!(tcp.payload(), payload);
                match sliced.net.unwrap() {
                    NetSlice::Ipv4(net) => {
                        let header = net.header().to_header();
                        assert_eq!(header.header_checksum, header.calc_header_checksum());
                        assert_eq!(
                            tcp.checksum(),
                            tcp.calc_checksum_ipv4(net.header().source(), net.header().destination())
                                .unwrap()
                        );
                    }
                    NetSlice::Ipv6(net) => {
                        assert_eq!(
                            tcp.checksum(),
                            tcp.calc_checksum_ipv6(net.header().source(), net.header().destination())
                                .unwrap()
                        );
                    }
                    NetSlice::Arp(_) => panic!("not ARP"),
                }

                let mut out = Vec::new();
                let header = Udp { source_port: 53, destination_port: 5353, ..Udp::default() };
                udp(&mut out, &Link::default(), &ip, &header, &payload);
                let sliced = SlicedPacket::from_ethernet(&out).unwrap();
                let Some(TransportSlice::Udp(udp)) = &sliced.transport else { panic!("no UDP") };
                let header = udp.to_header();
                let expected = match sliced.net.unwrap() {
                    NetSlice::Ipv4(net) => {
                        header.calc_checksum_ipv4(&net.header().to_header(), &payload).unwrap()
                    }
                    NetSlice::Ipv6(net) => {
                        header.calc_checksum_ipv6(&net.header().to_header(), &payload).unwrap()
                    }
                    NetSlice::Arp(_) => panic!("not ARP"),
                };
                assert_eq!(header.checksum, expected);
            }
        }
    }

    #[test]
    fn another_implementation_parses_tags_and_extension_headers() {
        let Ip::V6(mut ip) = v6() else { unreachable!() };
        ip.extensions = vec![Extension::hop_by_hop(), Extension::destination_options()];
        let link =
            Link::Ethernet(Ethernet { vlan: vec![Vlan::service(100), Vlan::tag(7)], ..Ethernet::default() });
        let mut out = Vec::new();
        tcp(&mut out, &link, &Ip::V6(ip), &Tcp::default(), b"abc");
        let sliced = SlicedPacket::from_ethernet(&out).unwrap();
        assert_eq!(sliced.vlan_ids().iter().map(|id| id.value()).collect::<Vec<_>>(), [100, 7]);
        assert!(matches!(sliced.transport, Some(TransportSlice::Tcp(tcp)) if tcp.payload() == b"abc"));
    }

    #[test]
    fn cooked_and_padded_frames_have_the_documented_sizes() {
        let mut out = Vec::new();
        tcp(&mut out, &Link::CookedV1(Cooked::default()), &v4(), &Tcp::default(), b"");
        assert_eq!((out.len(), &out[14..16]), (16 + 40, &[8, 0][..]));
        out.clear();
        tcp(&mut out, &Link::CookedV2(Cooked::default()), &v4(), &Tcp::default(), b"");
        assert_eq!((out.len(), &out[..2]), (20 + 40, &[8, 0][..]));
        out.clear();
        let link = Link::Ethernet(Ethernet { pad: true, ..Ethernet::default() });
        tcp(&mut out, &link, &v4(), &Tcp::default(), b"");
        assert_eq!(out.len(), 60);
    }
}
