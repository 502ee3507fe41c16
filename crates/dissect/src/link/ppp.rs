//! PPP (RFC 1661, RFC 1662) and Cisco HDLC (RFC 1547, section 4.3.1).

use super::{Link, tags};
use crate::decode_stop::{FrameBytes, Layer, StopReason};
use crate::link::EtherType;

/// Address and control of HDLC-like framing (RFC 1662 §3.1): all stations, unnumbered information.
const ALL_STATIONS: u8 = 0xff;
const UNNUMBERED: u8 = 0x03;
/// Cisco HDLC: an address (unicast, broadcast), a control byte, then an EtherType.
const CISCO_UNICAST: u8 = 0x0f;
const CISCO_BROADCAST: u8 = 0x8f;
const CISCO_LEN: usize = 4;

/// Protocol numbers of PPP (RFC 1332 §4, RFC 5072 §2, RFC 3032 §4.3).
const IPV4: u16 = 0x0021;
const IPV6: u16 = 0x0057;
const MPLS: u16 = 0x0281;
const MPLS_MULTICAST: u16 = 0x0283;

/// PPP at `offset`, with or without address and control, and with a protocol field of one or two bytes (RFC 1661 §6.5).
pub(super) fn decode(view: FrameBytes<'_>, offset: usize) -> Link {
    let start = match view.bytes.get(offset..) {
        // The first byte of both: no protocol has this number (RFC 1661 §2).
        Some([ALL_STATIONS]) => return Link::stopped(view.short(Layer::Link, offset, 2)),
        Some([ALL_STATIONS, UNNUMBERED, ..]) => offset + 2,
        _ => offset,
    };
    let first = match view.chunk::<1>(Layer::Link, start) {
        Ok([first]) => *first,
        Err(stop) => return Link::stopped(stop),
    };
    // The first byte of a field of two bytes is even, the last one of either form is odd (RFC 1661 §2).
    let (protocol, len) = if first & 1 == 1 {
        (u16::from(first), 1)
    } else {
        match view.chunk::<2>(Layer::Link, start) {
            Ok(both) => (u16::from_be_bytes(*both), 2),
            Err(stop) => return Link::stopped(stop),
        }
    };
    let ether_type = match protocol {
        IPV4 => EtherType::IPV4,
        IPV6 => EtherType::IPV6,
        MPLS => EtherType::MPLS,
        MPLS_MULTICAST => EtherType::MPLS_UPSTREAM,
        _ => EtherType::UNKNOWN,
    };
    Link::plain(ether_type, start + len)
}

/// PPP in HDLC-like framing, or Cisco HDLC, by the first byte.
pub(super) fn decode_hdlc(view: FrameBytes<'_>, offset: usize) -> Link {
    match view.chunk::<1>(Layer::Link, offset) {
        Ok([CISCO_UNICAST | CISCO_BROADCAST]) => decode_cisco_hdlc(view, offset),
        Ok(_) => decode(view, offset),
        Err(stop) => Link::stopped(stop),
    }
}

/// Cisco HDLC: the EtherType behind address and control.
pub(super) fn decode_cisco_hdlc(view: FrameBytes<'_>, offset: usize) -> Link {
    match view.chunk::<CISCO_LEN>(Layer::Link, offset) {
        Ok([CISCO_UNICAST | CISCO_BROADCAST, _, high, low]) => {
            tags(view, EtherType(u16::from_be_bytes([*high, *low])), offset + CISCO_LEN)
        }
        Ok(_) => Link::stopped(view.stop(Layer::Link, StopReason::UnsupportedForm, offset, 0)),
        Err(stop) => Link::stopped(stop),
    }
}
