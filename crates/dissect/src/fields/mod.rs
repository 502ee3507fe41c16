//! Every byte of a frame, by the field that it belongs to.
//!
//! [`of_frame`] names the fields of the headers in their order, down to the payload of TCP or UDP. Fields of bits share the
//! range of their bytes; all other ranges are disjoint, and together they are the whole captured frame. Identifiers are the
//! names of Wireshark's fields, so that they can be used in its filters.
//!
//! ```
//! use dissect::{fields, link::LinkType};
//!
//! let bytes = b"\x45\0\0\x2b\0\x01\0\0\x40\x06\0\0\x0a\0\0\x01\x0a\0\0\x02\
//!               \x9c\x40\x1f\x40\0\0\0\x01\0\0\0\x02\x50\x18\xff\xff\0\0\0\0abc";
//! let fields = fields::of_frame(LinkType::RAW, bytes, bytes.len() as u32);
//! let at_8: Vec<_> = fields.iter().filter(|field| field.range.contains(&8)).collect();
//! assert_eq!((at_8[0].kind.id(), at_8[0].value.to_string()), ("ip.ttl", "64".to_owned()));
//! ```

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use crate::frame::{self, Frame, Network, Transport};
use crate::link::LinkType;
use crate::tcp::Flags;

mod http;
mod json;
mod kind;
mod layout;
mod options;
#[cfg(feature = "tls")]
mod tls;
mod websocket;

pub use http::{of_chunked, of_head};
pub use json::of_json;
pub use kind::{Kind, Layer};
#[cfg(feature = "tls")]
pub use tls::{of_handshake, of_record};
pub use websocket::of_websocket;

use layout::{ARP, Fields, ICMP, IPV4, IPV6, TCP, UDP};

/// A field: consecutive bytes of a frame with one meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is.
    pub kind: Kind,
    /// Its bytes in the frame. Fields of bits in the same bytes have the same range.
    pub range: Range<usize>,
    /// Its value.
    pub value: Value,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The bytes themselves are all there is to say.
    Bytes,
    /// A number, written in decimal.
    Number(u64),
    /// A number of this many hexadecimal digits.
    Hex(u64, usize),
    /// An IP address.
    Address(IpAddr),
    /// A hardware address.
    Hardware([u8; 6]),
    /// A code with this number of hexadecimal digits, and its registered name.
    Code(u64, usize, Option<&'static str>),
    /// Text, as far as it is UTF-8.
    Text(String),
    /// The control bits of TCP.
    Flags(Flags),
    /// Both numbers of a TCP timestamp: the sender's clock, and the one that it repeats (RFC 7323 §3.2).
    Timestamps(u32, u32),
    /// The blocks of a selective acknowledgment, by their first byte and the one behind them (RFC 2018 §3).
    Blocks(Vec<(u32, u32)>),
}

impl Value {
    /// Text of which each byte that is not UTF-8 is replaced.
    fn text(bytes: &[u8]) -> Self {
        Self::Text(String::from_utf8_lossy(bytes).into_owned())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes => Ok(()),
            Self::Number(number) => number.fmt(f),
            Self::Hex(number, digits) => write!(f, "0x{number:0digits$x}"),
            Self::Code(number, digits, Some(name)) => write!(f, "{name} (0x{number:0digits$x})"),
            Self::Code(number, digits, None) => write!(f, "0x{number:0digits$x}"),
            Self::Text(text) => f.write_str(text),
            Self::Address(address) => address.fmt(f),
            Self::Hardware([a, b, c, d, e, g]) => {
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
            Self::Flags(flags) => write!(f, "{flags:?}"),
            Self::Timestamps(own, echo) => write!(f, "{own}, echo {echo}"),
            Self::Blocks(blocks) => {
                let mut blocks = blocks.iter();
                blocks.next().map_or(Ok(()), |(left, right)| write!(f, "{left}-{right}"))?;
                blocks.try_for_each(|(left, right)| write!(f, ", {left}-{right}"))
            }
        }
    }
}

/// The fields of a captured frame that was `original_len` bytes on the wire, in the order of their bytes.
#[must_use]
pub fn of_frame(link_type: LinkType, bytes: &[u8], original_len: u32) -> Vec<Field> {
    let frame = frame::decode(link_type, bytes, original_len);
    let mut fields = Fields::of(bytes);
    fields.link(link_type);
    // What is between the link and the innermost packet: tunnels, and links whose headers are not laid out.
    if let Some(ip) = frame.ip() {
        fields.up_to(ip.offset as usize, Kind::Data);
    }
    match &frame.network {
        Network::Ip(ip) if ip.src.is_v4() => fields.layout(ip.offset as usize, IPV4),
        Network::Ip(ip) => {
            fields.layout(ip.offset as usize, IPV6);
            fields.extension_headers(ip);
        }
        Network::Arp if frame.encapsulations.is_empty() && fields.end() > 0 => {
            let at = fields.end();
            fields.layout(at, ARP);
        }
        Network::Arp | Network::Absent | Network::Aggregate(_) | Network::Other(_) => {}
    }
    if let Some(ip) = frame.ip() {
        fields.up_to(ip.payload_offset as usize, Kind::IpOptions);
    }
    transport(&mut fields, &frame);
    fields.rest(rest_of(&frame));
    fields.into_vec()
}

fn transport(fields: &mut Fields<'_>, frame: &Frame<'_>) {
    let at = fields.end();
    match &frame.transport {
        Transport::Tcp(tcp) => {
            fields.layout(at, TCP);
            fields.tcp_options(tcp.payload_offset as usize);
            fields.up_to(tcp.payload_offset as usize + tcp.payload.len(), Kind::TcpPayload);
        }
        Transport::Udp(udp) => {
            fields.layout(at, UDP);
            fields.up_to(udp.payload_offset as usize + udp.payload.len(), Kind::UdpPayload);
        }
        Transport::Icmp | Transport::Icmpv6 => fields.layout(at, ICMP),
        Transport::Other(_) | Transport::Absent => {}
    }
}

/// What the bytes behind the last field are.
fn rest_of(frame: &Frame<'_>) -> Kind {
    match (&frame.network, &frame.transport) {
        (_, Transport::Tcp(_) | Transport::Udp(_)) | (Network::Arp, _) => Kind::Trailer,
        (_, Transport::Icmp | Transport::Icmpv6) => Kind::IcmpData,
        _ => Kind::Data,
    }
}

#[cfg(test)]
mod tests {
    use craft::Endian;
    use craft::frame::{Cooked, ETHERTYPE_VLAN, Ethernet, Ip, Link, Tcp, Vlan, flags, tcp};
    use proptest::prelude::*;

    use super::*;

    fn made(link: &Link, ip: &Ip, header: &Tcp, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        tcp(&mut frame, link, ip, header, payload);
        frame
    }

    fn v4() -> Ip {
        Ip::between("10.0.0.1".parse().expect("an address"), "10.0.0.2".parse().expect("an address"))
            .expect("one version")
    }

    fn v6() -> Ip {
        Ip::between("fd00::1".parse().expect("an address"), "fd00::2".parse().expect("an address"))
            .expect("one version")
    }

    fn values(link_type: LinkType, bytes: &[u8]) -> Vec<(&'static str, Range<usize>, String)> {
        let fields = of_frame(link_type, bytes, bytes.len() as u32);
        fields.into_iter().map(|field| (field.kind.id(), field.range, field.value.to_string())).collect()
    }

    #[test]
    fn names_every_field_of_a_segment() {
        let link = Link::default();
        let header = Tcp {
            source_port: 40_000,
            destination_port: 8443,
            sequence: 7,
            acknowledgment: 9,
            flags: flags::PSH | flags::ACK,
            ..Tcp::default()
        };
        let frame = made(&link, &v4(), &header, b"payload");
        let found = values(LinkType::ETHERNET, &frame);
        let value_of = |id: &str| {
            let field = found.iter().find(|(found, ..)| *found == id);
            field.map(|(_, range, value)| (range.clone(), value.as_str()))
        };
        assert_eq!(value_of("eth.type"), Some((12..14, "0x0800")));
        assert_eq!(value_of("ip.version"), Some((14..15, "4")));
        assert_eq!(value_of("ip.hdr_len"), Some((14..15, "5")));
        assert_eq!(value_of("ip.len"), Some((16..18, "47")));
        assert_eq!(value_of("ip.src"), Some((26..30, "10.0.0.1")));
        assert_eq!(value_of("tcp.srcport"), Some((34..36, "40000")));
        assert_eq!(value_of("tcp.seq_raw"), Some((38..42, "7")));
        assert_eq!(value_of("tcp.flags"), Some((47..48, "PSH|ACK")));
        assert_eq!(value_of("tcp.payload"), Some((54..61, "")));
    }

    #[test]
    fn names_the_options_of_a_syn() {
        let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        let header = Tcp { flags: flags::SYN, options: &options, ..Tcp::default() };
        let frame = made(&Link::default(), &v6(), &header, b"");
        let found: Vec<_> = values(LinkType::ETHERNET, &frame)
            .into_iter()
            .filter(|(id, ..)| id.starts_with("tcp.options"))
            .map(|(id, range, value)| (id, range.len(), value))
            .collect();
        let expected = [
            ("tcp.options.mss", 4, "1460"),
            ("tcp.options.sack_perm", 2, ""),
            ("tcp.options.timestamp", 10, "1, echo 0"),
            ("tcp.options.nop", 1, ""),
            ("tcp.options.wscale", 3, "7"),
        ];
        assert_eq!(found, expected.map(|(id, len, value)| (id, len, value.to_owned())));
    }

    #[test]
    fn kinds_have_different_names() {
        let names: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.id()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
    }

    /// Every byte is in the fields, and in those of one range only.
    fn assert_covered(link_type: LinkType, bytes: &[u8], original_len: u32) {
        let fields = of_frame(link_type, bytes, original_len);
        let mut last = 0..0;
        for field in &fields {
            assert!(field.range == last || field.range.start == last.end, "{field:?} behind {last:?}");
            assert!(!field.range.is_empty(), "{field:?}");
            last = field.range.clone();
        }
        assert_eq!(last.end, bytes.len(), "{fields:?}");
    }

    fn links() -> Vec<Link> {
        let tag = Vlan { tag_protocol: ETHERTYPE_VLAN, control: 0xa007 };
        let tagged = Ethernet { vlan: vec![tag, tag], pad: true, ..Ethernet::default() };
        let cooked = Cooked { packet_type: 4, source: [2; 6], interface: 3 };
        vec![
            Link::default(),
            Link::Ethernet(tagged),
            Link::CookedV1(cooked),
            Link::CookedV2(cooked),
            Link::Null(Endian::Big),
            Link::Loop,
            Link::RawIp,
        ]
    }

    const LINK_TYPES: [LinkType; 14] = [
        LinkType::ETHERNET,
        LinkType::NULL,
        LinkType::LOOP,
        LinkType::RAW,
        LinkType::IPV4,
        LinkType::IPV6,
        LinkType::LINUX_SLL,
        LinkType::LINUX_SLL2,
        LinkType::PPP,
        LinkType::IEEE802_11,
        LinkType::IEEE802_11_RADIOTAP,
        LinkType::MPLS,
        LinkType::NFLOG,
        LinkType(147),
    ];

    proptest! {
        #[test]
        fn arbitrary_bytes_are_covered(
            link_type in prop::sample::select(&LINK_TYPES[..]),
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            cut in 0_u32..100,
        ) {
            assert_covered(link_type, &bytes, bytes.len() as u32 + cut);
        }

        /// Frames of every kind with a few changed bytes, cut anywhere.
        #[test]
        fn damaged_frames_are_covered(
            link in prop::sample::select(links()),
            is_v4 in any::<bool>(),
            words in 0_usize..=10,
            options in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 3, 4, 5, 8, 10, 30, 34, 255]), 40),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            end in any::<prop::sample::Index>(),
        ) {
            let ip = if is_v4 { v4() } else { v6() };
            let header = Tcp { options: &options[..4 * words], ..Tcp::default() };
            let mut frame = made(&link, &ip, &header, b"some payload");
            for (at, value) in changes {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            let len = end.index(frame.len() + 1);
            assert_covered(LinkType(link.link_type()), &frame[..len], frame.len() as u32);
        }
    }
}
