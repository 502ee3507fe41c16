//! Builds the headers of links and tunnels around a packet or a frame, and divides packets into fragments.
//!
//! Each function returns the header with `inner` behind it. A tunnel over IP is put into a packet with
//! [`crate::frame::ip`] or [`crate::frame::udp`].

use crate::Endian;
use crate::checksum::Sum;
use crate::frame::{Extension, Ip, Link, ip};

/// IP protocol numbers of tunnels.
pub mod protocol {
    /// IPv4 in IP (RFC 2003).
    pub const IPV4: u8 = 4;
    /// IPv6 in IP (RFC 4213).
    pub const IPV6: u8 = 41;
    /// GRE (RFC 2784).
    pub const GRE: u8 = 47;
    /// EtherIP (RFC 3378).
    pub const ETHER_IP: u8 = 97;
}

/// UDP ports of tunnels.
pub mod port {
    /// GTP-U.
    pub const GTP_U: u16 = 2152;
    /// VXLAN.
    pub const VXLAN: u16 = 4789;
    /// GENEVE.
    pub const GENEVE: u16 = 6081;
}

/// Protocol types of GRE and GENEVE beside EtherTypes.
pub mod carries {
    /// Ethernet (transparent bridging).
    pub const ETHERNET: u16 = 0x6558;
    /// PPP.
    pub const PPP: u16 = 0x880b;
    /// ERSPAN types I and II.
    pub const ERSPAN: u16 = 0x88be;
    /// ERSPAN type III.
    pub const ERSPAN_III: u16 = 0x22eb;
}

/// PPP protocol numbers.
pub mod ppp_protocol {
    /// IPv4.
    pub const IPV4: u16 = 0x0021;
    /// IPv6.
    pub const IPV6: u16 = 0x0057;
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// MPLS: one label after the other, the last one marked (RFC 3032 §2.1).
pub fn mpls(labels: &[u32], inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let last = u32::from(index + 1 == labels.len());
        out.extend_from_slice(&((label & 0xf_ffff) << 12 | last << 8 | 64).to_be_bytes());
    }
    out.extend_from_slice(inner);
    out
}

/// An Ethernet pseudowire's control word before its frame (RFC 4448 §4.6).
pub fn control_word(inner: &[u8]) -> Vec<u8> {
    joined(&[&[0, 0, 0, 7], inner])
}

/// The session stage of PPPoE, with PPP inside (RFC 2516 §4).
pub fn pppoe(session: u16, inner: &[u8]) -> Vec<u8> {
    joined(&[&[0x11, 0], &session.to_be_bytes(), &(inner.len() as u16).to_be_bytes(), inner])
}

/// PPP, with address and control if `framed`, and with a protocol field of one byte if `short` (RFC 1661 §6.5).
pub fn ppp(protocol: u16, framed: bool, short: bool, inner: &[u8]) -> Vec<u8> {
    let framing: &[u8] = if framed { &[0xff, 3] } else { &[] };
    let field = protocol.to_be_bytes();
    joined(&[framing, if short { &field[1..] } else { &field }, inner])
}

/// Cisco HDLC with a unicast address.
pub fn cisco_hdlc(ethertype: u16, inner: &[u8]) -> Vec<u8> {
    joined(&[&[0x0f, 0], &ethertype.to_be_bytes(), inner])
}

/// The optional fields of GRE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gre {
    /// Whether to write a checksum (RFC 2784 §2.1).
    pub checksum: bool,
    /// Key (RFC 2890 §2.1).
    pub key: Option<u32>,
    /// Sequence number (RFC 2890 §2.2).
    pub sequence: Option<u32>,
}

/// GRE, version 0.
pub fn gre(header: Gre, protocol: u16, inner: &[u8]) -> Vec<u8> {
    let bits = u16::from(header.checksum) << 15
        | u16::from(header.key.is_some()) << 13
        | u16::from(header.sequence.is_some()) << 12;
    let mut out = joined(&[&bits.to_be_bytes(), &protocol.to_be_bytes()]);
    if header.checksum {
        out.extend_from_slice(&[0; 4]);
    }
    for field in [header.key, header.sequence].into_iter().flatten() {
        out.extend_from_slice(&field.to_be_bytes());
    }
    out.extend_from_slice(inner);
    if header.checksum {
        let sum = Sum::default().add(&out).complement();
        out[4..6].copy_from_slice(&sum.to_be_bytes());
    }
    out
}

/// GRE as PPTP uses it, with PPP inside (RFC 2637 §4.1).
pub fn pptp(call: u16, acknowledgment: Option<u32>, inner: &[u8]) -> Vec<u8> {
    let bits = 0x3001 | u16::from(acknowledgment.is_some()) << 7;
    let mut out = joined(&[
        &bits.to_be_bytes(),
        &carries::PPP.to_be_bytes(),
        &(inner.len() as u16).to_be_bytes(),
        &call.to_be_bytes(),
        &[0, 0, 0, 1],
    ]);
    out.extend(acknowledgment.into_iter().flat_map(u32::to_be_bytes));
    out.extend_from_slice(inner);
    out
}

/// ERSPAN type II with an Ethernet frame, for GRE with a sequence number.
pub fn erspan_ii(session: u16, inner: &[u8]) -> Vec<u8> {
    joined(&[&[0x10, 7], &(session & 0x3ff).to_be_bytes(), &[0, 0, 0, 9], inner])
}

/// ERSPAN type III with an Ethernet frame.
pub fn erspan_iii(session: u16, platform: bool, inner: &[u8]) -> Vec<u8> {
    let subheader: &[u8] = if platform { &[0; 8] } else { &[] };
    let fields = [0, 0, 0, 1, 0, 0, 0, u8::from(platform)];
    joined(&[&[0x20, 7], &(session & 0x3ff).to_be_bytes(), &fields, subheader, inner])
}

/// VXLAN with an Ethernet frame (RFC 7348 §5).
pub fn vxlan(network: u32, inner: &[u8]) -> Vec<u8> {
    joined(&[&[8, 0, 0, 0], &(network << 8).to_be_bytes(), inner])
}

/// GENEVE with options, whose length is a multiple of four (RFC 8926 §3.4).
pub fn geneve(network: u32, protocol: u16, options: &[u8], inner: &[u8]) -> Vec<u8> {
    let words = (options.len() / 4) as u8;
    joined(&[&[words, 0], &protocol.to_be_bytes(), &(network << 8).to_be_bytes(), options, inner])
}

/// GTP-U with a user's packet, an optional sequence number, and extension headers: type and contents, of four bytes less
/// two each (3GPP TS 29.281 §5).
pub fn gtp_u(endpoint: u32, sequence: Option<u16>, extensions: &[(u8, &[u8])], inner: &[u8]) -> Vec<u8> {
    let has_optional = sequence.is_some() || !extensions.is_empty();
    let mut body = Vec::new();
    if has_optional {
        body.extend_from_slice(&sequence.unwrap_or_default().to_be_bytes());
        body.extend_from_slice(&[0, extensions.first().map_or(0, |(kind, _)| *kind)]);
    }
    for (index, (_, contents)) in extensions.iter().enumerate() {
        assert!((contents.len() + 2).is_multiple_of(4), "an extension header of {} bytes", contents.len());
        body.push(((contents.len() + 2) / 4) as u8);
        body.extend_from_slice(contents);
        body.push(extensions.get(index + 1).map_or(0, |(kind, _)| *kind));
    }
    body.extend_from_slice(inner);
    let bits = 0x30 | u8::from(!extensions.is_empty()) << 2 | u8::from(sequence.is_some()) << 1;
    joined(&[&[bits, 255], &(body.len() as u16).to_be_bytes(), &endpoint.to_be_bytes(), &body])
}

/// A data frame of IEEE 802.11.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wireless {
    /// Whether it goes from one access point to another: a fourth address.
    pub between_access_points: bool,
    /// Whether it has a QoS field.
    pub qos: bool,
    /// Whether it has an HT field behind that.
    pub ht: bool,
    /// Whether it is an aggregate: `inner` is what [`subframe`] made.
    pub aggregate: bool,
    /// Whether it is encrypted.
    pub protected: bool,
    /// Whether the header is padded to a multiple of four bytes.
    pub padded: bool,
}

/// A data frame of IEEE 802.11 around LLC or subframes.
pub fn ieee80211(frame: Wireless, inner: &[u8]) -> Vec<u8> {
    let control = 0x08 | u8::from(frame.qos) << 7;
    let ways = if frame.between_access_points { 3 } else { 1 };
    let flags = ways | u8::from(frame.protected) << 6 | u8::from(frame.ht) << 7;
    let mut out = vec![control, flags, 0, 0];
    out.extend_from_slice(&[2; 18]);
    out.extend_from_slice(&[0x10, 0]);
    if frame.between_access_points {
        out.extend_from_slice(&[2; 6]);
    }
    if frame.qos {
        out.extend_from_slice(&[u8::from(frame.aggregate) << 7, 0]);
        out.extend_from_slice(if frame.ht { &[0; 4] } else { &[] });
    }
    if frame.padded {
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out.extend_from_slice(inner);
    out
}

/// LLC and SNAP with an EtherType (RFC 1042).
pub fn snap(ethertype: u16, inner: &[u8]) -> Vec<u8> {
    joined(&[&[0xaa, 0xaa, 3, 0, 0, 0], &ethertype.to_be_bytes(), inner])
}

/// A subframe of an aggregate, around LLC.
pub fn subframe(is_last: bool, inner: &[u8]) -> Vec<u8> {
    let mut out = joined(&[&[4; 6], &[6; 6], &(inner.len() as u16).to_be_bytes(), inner]);
    if !is_last {
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// A radiotap header with the given flags behind a time, or without either.
pub fn radiotap(flags: Option<u8>, inner: &[u8]) -> Vec<u8> {
    let Some(flags) = flags else { return joined(&[&[0, 0, 8, 0, 0, 0, 0, 0], inner]) };
    // A second bitmap, so that the time has to be aligned.
    joined(&[&[0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0], &[1; 8], &[flags], inner])
}

/// A per-packet information header with one field.
pub fn ppi(link_type: u16, inner: &[u8]) -> Vec<u8> {
    joined(&[&[0, 0, 16, 0], &u32::from(link_type).to_le_bytes(), &[1, 0, 4, 0, 9, 9, 9, 9], inner])
}

/// An entry of Linux's netfilter log with an attribute before the packet.
pub fn nflog(endian: Endian, family: u8, packet: &[u8]) -> Vec<u8> {
    let attribute = |kind, value: &[u8]| {
        let mut out = joined(&[&endian.u16(4 + value.len() as u16), &endian.u16(kind), value]);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    };
    joined(&[&[family, 0, 0, 5], &attribute(10, b"in\0"), &attribute(9, packet)])
}

/// Divides the payload of an IP packet: the packet of each fragment of at most `size` bytes, a multiple of eight.
pub fn fragments(header: &Ip, protocol: u8, id: u32, size: usize, payload: &[u8]) -> Vec<Vec<u8>> {
    let starts = (0..payload.len()).step_by(size);
    starts
        .map(|start| {
            let end = payload.len().min(start + size);
            fragment(header, protocol, id, start, end < payload.len(), &payload[start..end])
        })
        .collect()
}

/// One fragment of an IP packet.
pub fn fragment(header: &Ip, protocol: u8, id: u32, offset: usize, more: bool, bytes: &[u8]) -> Vec<u8> {
    let mut header = header.clone();
    match &mut header {
        Ip::V4(v4) => {
            (v4.id, v4.dont_fragment, v4.more_fragments) = (id as u16, false, more);
            v4.fragment_offset = offset as u16;
        }
        Ip::V6(v6) => v6.extensions.push(Extension::fragment(offset as u16, more, id)),
    }
    let mut out = Vec::new();
    ip(&mut out, &Link::RawIp, &header, protocol, bytes);
    out
}
