//! One frame, from the link layer down to the TCP or UDP payload.
//!
//! [`decode`] decodes as many layers as it can. Where it stops early, [`Frame::stop`] names the byte, the reason, and
//! the party at fault: the capture, the sender or this crate. The layers before the stop stay in the frame. Nothing is
//! copied: payloads are slices of the captured bytes. Tunnels, MPLS and PPPoE are followed inwards
//! ([`crate::encapsulation`]). IP fragments are recognised; [`crate::fragment`] puts them together.
//!
//! ```
//! use dissect::{frame, link::LinkType};
//!
//! let bytes = b"\x45\0\0\x2b\0\x01\0\0\x40\x06\0\0\x0a\0\0\x01\x0a\0\0\x02\
//!               \x9c\x40\x1f\x40\0\0\0\x01\0\0\0\x02\x50\x18\xff\xff\0\0\0\0abc";
//! let frame = frame::decode(LinkType::RAW, bytes, bytes.len() as u32);
//! let tcp = frame.tcp().unwrap();
//! assert_eq!((tcp.src_port, tcp.dst_port, tcp.payload), (40000, 8000, &b"abc"[..]));
//! assert_eq!(frame.stop, None);
//! ```

use std::ops::Range;

use crate::decode_stop::{DecodeStop, FrameBytes, Layer, StopReason};
use crate::encapsulation::{self, Encapsulations, Inner, NotEntered};
use crate::ip::{self, Fragment, Ip, Protocol};
use crate::link::{self, EtherType, Link, LinkType, VlanTags};
use crate::tcp::{Flags, Segment};

/// A decoded frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// VLAN numbers, outermost first, with those inside of tunnels.
    pub vlan: VlanTags,
    /// What is around the network layer: tunnels, MPLS, PPPoE.
    pub encapsulations: Encapsulations<'a>,
    /// The network layer, the innermost one if there are tunnels.
    pub network: Network,
    /// The transport layer; absent in fragments.
    pub transport: Transport<'a>,
    /// Where and why decoding ended early, if it did.
    pub stop: Option<DecodeStop>,
}

impl<'a> Frame<'a> {
    /// A frame without a transport layer.
    #[inline]
    fn ending(vlan: VlanTags, network: Network, stop: Option<DecodeStop>) -> Self {
        let encapsulations = Encapsulations::default();
        Frame { vlan, encapsulations, network, transport: Transport::Absent, stop }
    }

    /// The IP header, if there is one.
    #[inline]
    pub fn ip(&self) -> Option<&Ip> {
        match &self.network {
            Network::Ip(ip) => Some(ip),
            _ => None,
        }
    }

    /// The TCP segment, if there is one.
    #[inline]
    pub fn tcp(&self) -> Option<&Segment<'a>> {
        match &self.transport {
            Transport::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }
}

/// The network layer of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The frame ends before it, or the link layer could not be decoded.
    Absent,
    /// IPv4 or IPv6.
    Ip(Ip),
    /// ARP.
    Arp,
    /// Several Ethernet frames (IEEE 802.11, A-MSDU), from this offset of the frame on: see [`aggregated`].
    Aggregate(u32),
    /// Something else.
    Other(EtherType),
}

/// The transport layer of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport<'a> {
    /// None, or it could not be decoded: see [`Frame::stop`].
    Absent,
    /// TCP.
    Tcp(Segment<'a>),
    /// UDP.
    Udp(UdpDatagram<'a>),
    /// ICMP.
    Icmp,
    /// ICMPv6.
    Icmpv6,
    /// Another IP protocol.
    Other(Protocol),
}

/// A UDP datagram (RFC 768).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
    /// The captured part of the payload.
    pub payload: &'a [u8],
    /// Offset of the payload in the frame.
    pub payload_offset: u32,
    /// Length of the payload on the wire.
    pub wire_payload_len: u32,
}

/// Decodes a captured frame that was `original_len` bytes on the wire.
#[inline]
pub fn decode(link_type: LinkType, bytes: &[u8], original_len: u32) -> Frame<'_> {
    let view = FrameBytes { bytes, wire_len: bytes.len().max(original_len as usize) };
    let link = link::decode(link_type, view);
    // The most common kind of frame has a path of its own, so that the values stay in registers.
    if link.ether_type == EtherType::IPV4
        && link.stop.is_none()
        && let Ok(ip) = ip::decode_v4(view, link.offset)
        && !encapsulation::may_be_tunnel(ip.protocol)
    {
        return carrying(view, link.vlan, ip);
    }
    decode_other(view, link)
}

fn decode_other(view: FrameBytes<'_>, link: Link) -> Frame<'_> {
    let mut path = Encapsulations::in_frame(view.bytes);
    let mut frame = walk(view, link, &mut path);
    frame.encapsulations = path;
    frame
}

/// Follows the frame inwards through its encapsulations.
fn walk<'a>(mut view: FrameBytes<'a>, mut link: Link, path: &mut Encapsulations<'a>) -> Frame<'a> {
    let mut vlan = VlanTags::default();
    // The packet around the current layer: the result if that layer cannot be decoded.
    let mut outer: Option<Frame<'a>> = None;
    let stopped = |outer: Option<Frame<'a>>, vlan, stop| match outer {
        Some(packet) => Frame { vlan, stop, ..packet },
        None => Frame::ending(vlan, Network::Absent, stop),
    };
    loop {
        vlan.append(&link.vlan);
        if link.stop.is_some() {
            return stopped(outer, vlan, link.stop);
        }
        let offset = link.offset;
        let decoded = match link.ether_type {
            EtherType::IPV4 => Some(ip::decode_v4(view, offset).map(|ip| (ip, None))),
            EtherType::IPV6 => Some(ip::decode_v6(view, offset)),
            _ => None,
        };
        let entered = match decoded {
            Some(Err(stop)) => return stopped(outer, vlan, Some(stop)),
            Some(Ok((ip, Some(stop)))) => return Frame::ending(vlan, Network::Ip(ip), Some(stop)),
            Some(Ok((ip, None))) => {
                let packet = Packet::new(view, &ip);
                let frame = carrying(view, vlan, ip);
                if ip.fragment != Fragment::No || !encapsulation::may_be_tunnel(ip.protocol) {
                    return frame;
                }
                outer = Some(frame);
                view = packet.view;
                encapsulation::enter_ip(view, &ip, path)
            }
            None => encapsulation::enter_link(view, link.ether_type, offset, path),
        };
        let Inner { next, offset, end } = match entered {
            Ok(inner) => inner,
            Err(NotEntered::Stopped(stop)) => return stopped(outer, vlan, Some(stop)),
            Err(NotEntered::NotMine) => {
                return match (link.ether_type, outer) {
                    (EtherType::IPV4 | EtherType::IPV6, Some(packet)) => packet,
                    (EtherType::ARP, _) => Frame::ending(vlan, Network::Arp, None),
                    (_, _) if link.is_aggregate => {
                        Frame::ending(vlan, Network::Aggregate(offset as u32), None)
                    }
                    (other, _) => Frame::ending(vlan, Network::Other(other), None),
                };
            }
        };
        view = FrameBytes {
            bytes: view.bytes.get(..end).unwrap_or(view.bytes),
            wire_len: view.wire_len.min(end),
        };
        link = link::inner(next, view, offset);
    }
}

/// The Ethernet frames of an aggregate (IEEE 802.11-2020 §9.3.2.2.2) from `offset` on: the range in `bytes` of each. A
/// subframe has two addresses and a length, as a frame of IEEE 802.3 has, and all but the last are padded to a multiple of
/// four bytes. The last range ends early if the frame was cut.
pub fn aggregated(bytes: &[u8], offset: u32) -> impl Iterator<Item = Range<usize>> + use<'_> {
    const HEADER: usize = 14;
    let mut start = offset as usize;
    std::iter::from_fn(move || {
        let [.., high, low] = *bytes.get(start..)?.first_chunk::<HEADER>()?;
        let len = HEADER + usize::from(u16::from_be_bytes([high, low]));
        let range = start..(start + len).min(bytes.len());
        start += len.next_multiple_of(4);
        Some(range)
    })
}

/// The frame around an IP packet.
#[inline(always)]
fn carrying(view: FrameBytes<'_>, vlan: VlanTags, ip: Ip) -> Frame<'_> {
    let packet = Packet::new(view, &ip);
    // A whole segment has a path of its own, for the same reason as above.
    if ip.protocol == Protocol::TCP
        && ip.fragment == Fragment::No
        && packet.cut(packet.start).is_none()
        && let Ok(segment) = packet.tcp()
    {
        let (network, transport) = (Network::Ip(ip), Transport::Tcp(segment));
        return Frame { vlan, encapsulations: Encapsulations::default(), network, transport, stop: None };
    }
    carrying_other(&packet, vlan, ip)
}

fn carrying_other<'a>(packet: &Packet<'a>, vlan: VlanTags, ip: Ip) -> Frame<'a> {
    let network = Network::Ip(ip);
    if ip.fragment != Fragment::No {
        let stop = packet.frame.stop(Layer::Ip, StopReason::Fragment, ip.offset as usize, 0);
        return Frame::ending(vlan, network, Some(stop));
    }
    let decoded = match ip.protocol {
        Protocol::TCP => {
            packet.tcp().map(|tcp| (Transport::Tcp(tcp), packet.cut(tcp.payload_offset as usize)))
        }
        Protocol::UDP => packet.udp().map(|(udp, stop)| (Transport::Udp(udp), stop)),
        Protocol::ICMP => Ok((Transport::Icmp, None)),
        Protocol::ICMPV6 => Ok((Transport::Icmpv6, None)),
        other => Ok((Transport::Other(other), None)),
    };
    match decoded {
        Ok((transport, stop)) => {
            Frame { vlan, encapsulations: Encapsulations::default(), network, transport, stop }
        }
        Err(stop) => Frame::ending(vlan, network, Some(stop)),
    }
}

/// The payload of an IP packet.
///
/// ```text
/// frame  |-- link --|-- IP --|-- TCP --|-- payload --|-- padding --|
///                            ^ start                 ^ end         ^ wire_len
/// ```
///
/// The capture may end anywhere. `end` is greater than `wire_len` if the length in the IP header is wrong.
struct Packet<'a> {
    /// Drops the bytes behind the packet, such as Ethernet padding.
    view: FrameBytes<'a>,
    frame: FrameBytes<'a>,
    start: usize,
    end: usize,
}

impl<'a> Packet<'a> {
    #[inline]
    fn new(frame: FrameBytes<'a>, ip: &Ip) -> Self {
        let start = ip.payload_offset as usize;
        let end = start + ip.payload_len as usize;
        let view = FrameBytes {
            bytes: frame.bytes.get(..end).unwrap_or(frame.bytes),
            wire_len: frame.wire_len.min(end),
        };
        Packet { view, frame, start, end }
    }

    #[inline]
    fn tcp(&self) -> Result<Segment<'a>, DecodeStop> {
        const MIN: usize = 20;
        let header = self.view.chunk::<MIN>(Layer::Tcp, self.start)?;
        let [s1, s2, d1, d2, q1, q2, q3, q4, a1, a2, a3, a4, offset, flags, w1, w2, ..] = *header;
        let header_len = usize::from(offset >> 4) * 4;
        if header_len < MIN {
            return Err(self.view.stop(Layer::Tcp, StopReason::LengthBelowHeader, self.start, MIN));
        }
        let payload_offset = self.start + header_len;
        let Some(payload) = self.view.bytes.get(payload_offset..) else {
            return Err(self.view.short(Layer::Tcp, self.start, header_len));
        };
        Ok(Segment {
            src_port: u16::from_be_bytes([s1, s2]),
            dst_port: u16::from_be_bytes([d1, d2]),
            seq: u32::from_be_bytes([q1, q2, q3, q4]),
            ack: u32::from_be_bytes([a1, a2, a3, a4]),
            flags: Flags(flags),
            window: u16::from_be_bytes([w1, w2]),
            payload,
            payload_offset: payload_offset as u32,
            wire_payload_len: (self.end - payload_offset) as u32,
        })
    }

    fn udp(&self) -> Result<(UdpDatagram<'a>, Option<DecodeStop>), DecodeStop> {
        const LEN: usize = 8;
        let [s1, s2, d1, d2, l1, l2, ..] = *self.view.chunk::<LEN>(Layer::Udp, self.start)?;
        let end = match usize::from(u16::from_be_bytes([l1, l2])) {
            // A jumbogram (RFC 2675, section 4), or segmentation offload.
            0 => self.end,
            length if length < LEN => {
                return Err(self.view.stop(Layer::Udp, StopReason::LengthBelowHeader, self.start, LEN));
            }
            length => self.start + length,
        };
        let payload_offset = self.start + LEN;
        // The length of the datagram may be greater than that of its packet, or smaller.
        let bytes = self.view.bytes;
        let payload = bytes.get(payload_offset..end).or(bytes.get(payload_offset..)).unwrap_or_default();
        let datagram = UdpDatagram {
            src_port: u16::from_be_bytes([s1, s2]),
            dst_port: u16::from_be_bytes([d1, d2]),
            payload,
            payload_offset: payload_offset as u32,
            wire_payload_len: (end - payload_offset) as u32,
        };
        let stop = if end > self.end {
            Some(self.view.stop(Layer::Udp, StopReason::LengthBeyondFrame, self.start, end - self.start))
        } else if payload.len() < end - payload_offset {
            self.cut(payload_offset)
        } else {
            None
        };
        Ok((datagram, stop))
    }

    /// A stop if the packet's bytes from `offset` on were not captured completely.
    #[inline]
    fn cut(&self, offset: usize) -> Option<DecodeStop> {
        if self.end <= self.frame.bytes.len() {
            return None;
        }
        let why = if self.end <= self.frame.wire_len {
            StopReason::CutByCapture
        } else {
            StopReason::LengthBeyondFrame
        };
        Some(self.frame.stop(Layer::Payload, why, offset, self.end - offset))
    }
}
