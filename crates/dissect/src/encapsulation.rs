//! Tunnels, MPLS and PPPoE: headers that carry a packet or a frame inside of a frame.
//!
//! [`crate::frame::decode`] follows them inwards, so the network and transport layers of a [`crate::frame::Frame`] are
//! the innermost ones. [`Encapsulations`] lists what is around them:
//!
//! ```text
//! Ethernet | IPv4 | UDP 4789 | VXLAN 7 | Ethernet | IPv4 | TCP | payload
//!           ^ outer ends       ^ identifier         ^ Frame::network
//! ```
//!
//! UDP ports only suggest a tunnel: a datagram whose header or contents do not fit remains a UDP datagram.

use std::fmt;

use crate::decode_stop::{DecodeStop, FrameBytes, Layer, StopReason};
use crate::ip::{Address, Ip, Protocol};
use crate::link::{EtherType, Next};

/// Maximum number of encapsulations decoded in one frame: PPPoE, MPLS, a tunnel and another one inside of it. More is a
/// loop or an attempt to make decoding expensive.
pub const MAX_ENCAPSULATIONS: usize = 4;

/// Maximum number of labels of one MPLS stack. Networks use two to five; routers read at most some ten.
pub const MAX_MPLS_LABELS: usize = 16;

/// Maximum number of extension headers of one GTP-U header. 3GPP TS 29.281 §5.2 defines ten kinds, of which a packet has
/// one or two.
pub const MAX_GTP_EXTENSIONS: usize = 8;

/// The kind of an encapsulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Kind {
    /// MPLS (RFC 3032); the identifier is the last label. An Ethernet frame inside is a pseudowire (RFC 4448).
    #[default]
    Mpls,
    /// PPPoE (RFC 2516); the identifier is the session.
    Pppoe,
    /// IP directly inside of IP: IPv4 (RFC 2003) or IPv6 (RFC 2473, RFC 4213), without an identifier.
    Ip,
    /// GRE (RFC 2784); the identifier is the key (RFC 2890), or 0.
    Gre,
    /// GRE as PPTP uses it (RFC 2637 §4.1); the identifier is the receiver's call.
    Pptp,
    /// ERSPAN type I, without a header.
    ErspanI,
    /// ERSPAN type II; the identifier is the session.
    ErspanII,
    /// ERSPAN type III; the identifier is the session.
    ErspanIII,
    /// EtherIP (RFC 3378), without an identifier.
    EtherIp,
    /// VXLAN (RFC 7348); the identifier is the network (VNI).
    Vxlan,
    /// GENEVE (RFC 8926); the identifier is the network (VNI).
    Geneve,
    /// GTP-U (3GPP TS 29.281); the identifier is the receiver's tunnel endpoint (TEID).
    GtpU,
}

impl Kind {
    /// Whether each direction has an identifier of its own, which its receiver chose.
    pub const fn has_directional_ids(self) -> bool {
        matches!(self, Self::Pptp | Self::GtpU)
    }

    /// Whether the identifier is the same for all packets of a tunnel. The labels of MPLS differ by direction and change
    /// on the way, like VLAN tags: they identify no tunnel.
    pub const fn identifies_tunnel(self) -> bool {
        !matches!(self, Self::Mpls)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mpls => "MPLS",
            Self::Pppoe => "PPPoE",
            Self::Ip => "IP in IP",
            Self::Gre => "GRE",
            Self::Pptp => "PPTP",
            Self::ErspanI => "ERSPAN I",
            Self::ErspanII => "ERSPAN II",
            Self::ErspanIII => "ERSPAN III",
            Self::EtherIp => "EtherIP",
            Self::Vxlan => "VXLAN",
            Self::Geneve => "GENEVE",
            Self::GtpU => "GTP-U",
        })
    }
}

/// One encapsulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encapsulation {
    /// Its kind.
    pub kind: Kind,
    /// Its identifier, by its kind; 0 if it has none.
    pub id: u32,
    /// Sender and receiver of the IP packet that is the tunnel; `None` for MPLS and PPPoE.
    pub ends: Option<(Address, Address)>,
    /// Offset in the frame of its first header: that of the outer IP packet, or of MPLS or PPPoE.
    pub offset: u32,
}

/// The encapsulations of a frame, outermost first.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Encapsulations<'a> {
    frame: &'a [u8],
    places: [Place; MAX_ENCAPSULATIONS],
    count: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    kind: Kind,
    id: u32,
    offset: u32,
}

impl<'a> Encapsulations<'a> {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The encapsulations, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = Encapsulation> + use<'a> {
        let Self { frame, places, count } = *self;
        places.into_iter().take(usize::from(count)).map(move |Place { kind, id, offset }| {
            let has_ends = !matches!(kind, Kind::Mpls | Kind::Pppoe);
            let ends = has_ends.then(|| ends(frame, offset as usize)).flatten();
            Encapsulation { kind, id, ends, offset }
        })
    }

    pub(crate) fn in_frame(frame: &'a [u8]) -> Self {
        Self { frame, ..Self::default() }
    }

    /// Adds the next one inwards. Returns false if there is no room left.
    fn push(&mut self, kind: Kind, id: u32, offset: usize) -> bool {
        match self.places.get_mut(usize::from(self.count)) {
            Some(place) => {
                *place = Place { kind, id, offset: offset as u32 };
                self.count += 1;
                true
            }
            None => false,
        }
    }
}

impl fmt::Debug for Encapsulations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The addresses of an IP header that was decoded before.
fn ends(frame: &[u8], offset: usize) -> Option<(Address, Address)> {
    let header = frame.get(offset..)?;
    if header.first()? >> 4 == 4 {
        let [.., s1, s2, s3, s4, d1, d2, d3, d4] = *header.first_chunk::<20>()?;
        return Some((Address::v4([s1, s2, s3, s4]), Address::v4([d1, d2, d3, d4])));
    }
    let addresses = header.get(8..)?;
    Some((Address::v6(*addresses.first_chunk()?), Address::v6(*addresses.get(16..)?.first_chunk()?)))
}

/// An encapsulation that was entered.
pub(crate) struct Inner {
    /// What it carries.
    pub(crate) next: Next,
    /// Offset of what it carries.
    pub(crate) offset: usize,
    /// Offset of the first byte behind it, if its header states a length.
    pub(crate) end: usize,
}

/// Why an encapsulation is not followed.
pub(crate) enum NotEntered {
    /// The packet is none, or carries none.
    NotMine,
    /// It could not be decoded.
    Stopped(DecodeStop),
}

impl From<DecodeStop> for NotEntered {
    fn from(stop: DecodeStop) -> Self {
        Self::Stopped(stop)
    }
}

type Entered = Result<Inner, NotEntered>;

/// A decoded header: what it is, and what is behind it.
struct Header {
    kind: Kind,
    id: u32,
    inner: Inner,
}

const GRE: Protocol = Protocol(47);
const IPV4_IN_IP: Protocol = Protocol(4);
const IPV6_IN_IP: Protocol = Protocol(41);
const ETHER_IP: Protocol = Protocol(97);
const MPLS_IN_IP: Protocol = Protocol(137);

const VXLAN_PORT: u16 = 4789;
/// The port of Linux before IANA assigned one.
const VXLAN_PORT_OF_LINUX: u16 = 8472;
const GENEVE_PORT: u16 = 6081;
const GTP_U_PORT: u16 = 2152;

const UDP_LEN: usize = 8;

/// Whether a packet of this protocol may be a tunnel.
#[inline]
pub(crate) fn may_be_tunnel(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::UDP | GRE | IPV4_IN_IP | IPV6_IN_IP | ETHER_IP | MPLS_IN_IP)
}

/// Enters the tunnel that an IP packet is. `view` ends with the packet.
pub(crate) fn enter_ip<'a>(view: FrameBytes<'a>, ip: &Ip, path: &mut Encapsulations<'a>) -> Entered {
    let offset = ip.payload_offset as usize;
    let inside = |next| Inner { next, offset, end: view.wire_len };
    let header = match ip.protocol {
        IPV4_IN_IP => Header { kind: Kind::Ip, id: 0, inner: inside(Next::Type(EtherType::IPV4)) },
        IPV6_IN_IP => Header { kind: Kind::Ip, id: 0, inner: inside(Next::Type(EtherType::IPV6)) },
        MPLS_IN_IP => Header { kind: Kind::Ip, id: 0, inner: inside(Next::Type(EtherType::MPLS)) },
        ETHER_IP => ether_ip(view, offset)?,
        GRE => gre(view, offset)?,
        Protocol::UDP => {
            let [_, _, d1, d2, ..] = *view.chunk::<UDP_LEN>(Layer::Udp, offset)?;
            match u16::from_be_bytes([d1, d2]) {
                VXLAN_PORT | VXLAN_PORT_OF_LINUX => vxlan(view, offset + UDP_LEN)?,
                GENEVE_PORT => geneve(view, offset + UDP_LEN)?,
                GTP_U_PORT => gtp_u(view, offset + UDP_LEN)?,
                _ => return Err(NotEntered::NotMine),
            }
        }
        _ => return Err(NotEntered::NotMine),
    };
    enter(view, path, header, ip.offset as usize)
}

/// Enters the encapsulation that an EtherType announces.
pub(crate) fn enter_link<'a>(
    view: FrameBytes<'a>,
    ether_type: EtherType,
    offset: usize,
    path: &mut Encapsulations<'a>,
) -> Entered {
    let header = match ether_type {
        EtherType::MPLS | EtherType::MPLS_UPSTREAM => mpls(view, offset)?,
        EtherType::PPPOE => pppoe(view, offset)?,
        _ => return Err(NotEntered::NotMine),
    };
    enter(view, path, header, offset)
}

fn enter<'a>(view: FrameBytes<'a>, path: &mut Encapsulations<'a>, header: Header, offset: usize) -> Entered {
    let Header { kind, id, inner } = header;
    if !path.push(kind, id, offset) {
        return Err(view.stop(Layer::Encapsulation, StopReason::TooManyEncapsulations, offset, 0).into());
    }
    Ok(inner)
}

/// A stack of labels, each with a bit that marks the last one (RFC 3032 §2.1). Nothing names what follows: IP begins with
/// its version, a pseudowire with a control word of zero bits first (RFC 4385 §3) or at once with the Ethernet frame.
fn mpls(view: FrameBytes<'_>, start: usize) -> Result<Header, NotEntered> {
    let mut offset = start;
    for _ in 0..MAX_MPLS_LABELS {
        let [a, b, c, _] = *view.chunk::<4>(Layer::Encapsulation, offset)?;
        offset += 4;
        if c & 1 == 0 {
            continue;
        }
        let id = u32::from_be_bytes([0, a, b, c]) >> 4;
        let [first] = *view.chunk::<1>(Layer::Encapsulation, offset)?;
        let (next, offset) = match first >> 4 {
            4 => (Next::Type(EtherType::IPV4), offset),
            6 => (Next::Type(EtherType::IPV6), offset),
            0 if !is_ethernet(view, offset) || is_ethernet(view, offset + CONTROL_WORD) => {
                (Next::Ethernet, offset + CONTROL_WORD)
            }
            // The associated channel of a pseudowire (RFC 5586): no user data.
            1 if !is_ethernet(view, offset) => (Next::Type(EtherType::UNKNOWN), offset),
            _ => (Next::Ethernet, offset),
        };
        return Ok(Header { kind: Kind::Mpls, id, inner: Inner { next, offset, end: view.wire_len } });
    }
    Err(view.stop(Layer::Encapsulation, StopReason::TooManyLabels, start, 0).into())
}

const CONTROL_WORD: usize = 4;

/// Whether an Ethernet header that names a known protocol may begin here.
fn is_ethernet(view: FrameBytes<'_>, offset: usize) -> bool {
    const ADDRESSES: usize = 12;
    let field = view.bytes.get(offset + ADDRESSES..).and_then(<[u8]>::first_chunk);
    field.is_some_and(|field| {
        let ether_type = EtherType(u16::from_be_bytes(*field));
        ether_type.is_tag() || matches!(ether_type, EtherType::IPV4 | EtherType::IPV6 | EtherType::ARP)
    })
}

/// Version 1, type 1, code 0, session, length (RFC 2516 §4).
fn pppoe(view: FrameBytes<'_>, offset: usize) -> Result<Header, NotEntered> {
    const LEN: usize = 6;
    let [version_and_type, code, s1, s2, l1, l2] = *view.chunk::<LEN>(Layer::Encapsulation, offset)?;
    if version_and_type != 0x11 || code != 0 {
        return Err(view.stop(Layer::Encapsulation, StopReason::UnsupportedForm, offset, 0).into());
    }
    let start = offset + LEN;
    let end = start + usize::from(u16::from_be_bytes([l1, l2]));
    let id = u16::from_be_bytes([s1, s2]).into();
    Ok(Header { kind: Kind::Pppoe, id, inner: Inner { next: Next::Ppp, offset: start, end } })
}

/// Version 3 and reserved bits (RFC 3378 §3).
fn ether_ip(view: FrameBytes<'_>, offset: usize) -> Result<Header, NotEntered> {
    const LEN: usize = 2;
    let [version, _] = *view.chunk::<LEN>(Layer::Encapsulation, offset)?;
    if version >> 4 != 3 {
        return Err(view.stop(Layer::Encapsulation, StopReason::UnsupportedForm, offset, 0).into());
    }
    let inner = Inner { next: Next::Ethernet, offset: offset + LEN, end: view.wire_len };
    Ok(Header { kind: Kind::EtherIp, id: 0, inner })
}

/// Bits of the first two bytes of GRE (RFC 2784 §2.1, RFC 2890 §2, RFC 1701, RFC 2637 §4.1).
const GRE_CHECKSUM: u16 = 0x8000;
const GRE_ROUTING: u16 = 0x4000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
const GRE_ACKNOWLEDGMENT: u16 = 0x0080;
const GRE_VERSION: u16 = 0x0007;

/// Protocol types of GRE that are no EtherTypes of an Ethernet frame.
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const PPP: u16 = 0x880b;
const ERSPAN_I_AND_II: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

/// The optional fields follow each other, four bytes each: checksum, key, sequence number, acknowledgment number.
fn gre(view: FrameBytes<'_>, start: usize) -> Result<Header, NotEntered> {
    let [f1, f2, t1, t2] = *view.chunk::<4>(Layer::Encapsulation, start)?;
    let (bits, protocol) = (u16::from_be_bytes([f1, f2]), u16::from_be_bytes([t1, t2]));
    let version = bits & GRE_VERSION;
    if bits & GRE_ROUTING != 0 || version > 1 {
        return Err(view.stop(Layer::Encapsulation, StopReason::UnsupportedForm, start, 0).into());
    }
    let mut offset = start + 4;
    if bits & GRE_CHECKSUM != 0 {
        view.chunk::<4>(Layer::Encapsulation, offset)?;
        offset += 4;
    }
    let mut key = [0; 4];
    if bits & GRE_KEY != 0 {
        key = *view.chunk::<4>(Layer::Encapsulation, offset)?;
        offset += 4;
    }
    if bits & GRE_SEQUENCE != 0 {
        view.chunk::<4>(Layer::Encapsulation, offset)?;
        offset += 4;
    }
    if version == 1 {
        if bits & GRE_ACKNOWLEDGMENT != 0 {
            view.chunk::<4>(Layer::Encapsulation, offset)?;
            offset += 4;
        }
        // The key is the length of the payload and the receiver's call. Without payload it is an acknowledgment.
        let [l1, l2, c1, c2] = key;
        let length = usize::from(u16::from_be_bytes([l1, l2]));
        if protocol != PPP || length == 0 {
            return Err(NotEntered::NotMine);
        }
        let id = u16::from_be_bytes([c1, c2]).into();
        let inner = Inner { next: Next::Ppp, offset, end: offset + length };
        return Ok(Header { kind: Kind::Pptp, id, inner });
    }
    let end = view.wire_len;
    match protocol {
        // Only type I has no sequence number.
        ERSPAN_I_AND_II if bits & GRE_SEQUENCE == 0 => {
            Ok(Header { kind: Kind::ErspanI, id: 0, inner: Inner { next: Next::Ethernet, offset, end } })
        }
        ERSPAN_I_AND_II | ERSPAN_III => erspan(view, offset),
        _ => {
            let next = match protocol {
                TRANSPARENT_ETHERNET => Next::Ethernet,
                PPP => Next::Ppp,
                other => Next::Type(EtherType(other)),
            };
            let id = u32::from_be_bytes(key);
            Ok(Header { kind: Kind::Gre, id, inner: Inner { next, offset, end } })
        }
    }
}

/// ERSPAN types II and III, by the version in the first four bits
/// (<https://datatracker.ietf.org/doc/html/draft-foschiano-erspan-03>, sections 4.2 and 4.3).
fn erspan(view: FrameBytes<'_>, start: usize) -> Result<Header, NotEntered> {
    const TYPE_II_LEN: usize = 8;
    const TYPE_III_LEN: usize = 12;
    /// Type III: a field of the platform follows.
    const PLATFORM: u8 = 1;
    const PLATFORM_LEN: usize = 8;
    let header = view.chunk::<TYPE_II_LEN>(Layer::Encapsulation, start)?;
    let [version, _, s1, s2, ..] = *header;
    let id = u32::from(u16::from_be_bytes([s1, s2]) & 0x03ff);
    let (kind, offset) = match version >> 4 {
        1 => (Kind::ErspanII, start + TYPE_II_LEN),
        2 => {
            let header = view.chunk::<TYPE_III_LEN>(Layer::Encapsulation, start)?;
            let platform =
                if header.last().is_some_and(|last| last & PLATFORM != 0) { PLATFORM_LEN } else { 0 };
            (Kind::ErspanIII, start + TYPE_III_LEN + platform)
        }
        _ => return Err(view.stop(Layer::Encapsulation, StopReason::UnsupportedForm, start, 0).into()),
    };
    Ok(Header { kind, id, inner: Inner { next: Next::Ethernet, offset, end: view.wire_len } })
}

/// A flag that the network's number is valid, the number, reserved bits (RFC 7348 §5).
fn vxlan(view: FrameBytes<'_>, start: usize) -> Result<Header, NotEntered> {
    const LEN: usize = 8;
    const HAS_NETWORK: u8 = 0x08;
    let [flags, _, _, _, n1, n2, n3, reserved] = *view.chunk::<LEN>(Layer::Encapsulation, start)?;
    if flags & HAS_NETWORK == 0 || reserved != 0 {
        return Err(NotEntered::NotMine);
    }
    let inner = Inner { next: Next::Ethernet, offset: start + LEN, end: view.wire_len };
    Ok(Header { kind: Kind::Vxlan, id: u32::from_be_bytes([0, n1, n2, n3]), inner })
}

/// Version 0, length of the options, protocol, network (RFC 8926 §3.4).
fn geneve(view: FrameBytes<'_>, start: usize) -> Result<Header, NotEntered> {
    const LEN: usize = 8;
    let [first, _, t1, t2, n1, n2, n3, _] = *view.chunk::<LEN>(Layer::Encapsulation, start)?;
    if first >> 6 != 0 {
        return Err(NotEntered::NotMine);
    }
    let offset = start + LEN + usize::from(first & 0x3f) * 4;
    let next = match u16::from_be_bytes([t1, t2]) {
        TRANSPARENT_ETHERNET => Next::Ethernet,
        other => Next::Type(EtherType(other)),
    };
    let inner = Inner { next, offset, end: view.wire_len };
    Ok(Header { kind: Kind::Geneve, id: u32::from_be_bytes([0, n1, n2, n3]), inner })
}

/// Bits of the first byte of GTP-U: version, protocol type, and whether extension headers, a sequence number or an N-PDU
/// number follow (3GPP TS 29.281 §5.1). If any is set, the fields of all three are there.
const GTP_VERSION_AND_TYPE: u8 = 0xf0;
const GTP_V1: u8 = 0x30;
const GTP_OPTIONAL: u8 = 0x07;
const GTP_EXTENSION: u8 = 0x04;
/// The message that carries a user's packet.
const G_PDU: u8 = 255;

fn gtp_u(view: FrameBytes<'_>, start: usize) -> Result<Header, NotEntered> {
    const LEN: usize = 8;
    const OPTIONAL_LEN: usize = 4;
    let [first, message, l1, l2, id @ ..] = *view.chunk::<LEN>(Layer::Encapsulation, start)?;
    if first & GTP_VERSION_AND_TYPE != GTP_V1 || message != G_PDU {
        return Err(NotEntered::NotMine);
    }
    let mut offset = start + LEN;
    let end = offset + usize::from(u16::from_be_bytes([l1, l2]));
    if first & GTP_OPTIONAL != 0 {
        let [.., mut next] = *view.chunk::<OPTIONAL_LEN>(Layer::Encapsulation, offset)?;
        offset += OPTIONAL_LEN;
        if first & GTP_EXTENSION == 0 {
            next = 0;
        }
        let mut walked = 0;
        // Length in units of four bytes first, the type of the next extension header last (§5.2.1).
        while next != 0 {
            let [units] = *view.chunk::<1>(Layer::Encapsulation, offset)?;
            let length = usize::from(units) * 4;
            if length == 0 || walked == MAX_GTP_EXTENSIONS {
                return Err(view.stop(Layer::Encapsulation, StopReason::UnsupportedForm, offset, 0).into());
            }
            let [last] = *view.chunk::<1>(Layer::Encapsulation, offset + length - 1)?;
            next = last;
            offset += length;
            walked += 1;
        }
    }
    let inner = Inner { next: Next::RawIp, offset, end };
    Ok(Header { kind: Kind::GtpU, id: u32::from_be_bytes(id), inner })
}
