//! The netfilter log of Linux (<https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html>).
//!
//! ```text
//! address family 1 | version 0 1 | resource 2 | (length 2 | type 2 | value | padding to 4) ...
//! ```
//!
//! Lengths and types of the attributes are in the byte order of the capturing host.

use super::{Link, raw_ip};
use crate::decode_stop::{FrameBytes, Layer, StopReason};

const HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;
/// The attribute that contains the packet.
const PAYLOAD: u16 = 9;
/// Types of attributes end far below this; in the other byte order they are multiples of 256.
const MAX_TYPE: u16 = 0xff;

pub(super) fn decode(view: FrameBytes<'_>) -> Link {
    match view.chunk::<2>(Layer::Link, 0) {
        Ok([_, 0]) => {}
        Ok(_) => return Link::stopped(view.stop(Layer::Link, StopReason::UnsupportedForm, 0, 0)),
        Err(stop) => return Link::stopped(stop),
    }
    let mut offset = HEADER;
    // Each attribute has at least four bytes, so the frame's length bounds their number.
    loop {
        let [l1, l2, t1, t2] = match view.chunk::<ATTRIBUTE_HEADER>(Layer::Link, offset) {
            Ok(header) => *header,
            Err(stop) => return Link::stopped(stop),
        };
        let little = u16::from_le_bytes([t1, t2]) <= MAX_TYPE;
        let number = |pair| if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) };
        let length = usize::from(number([l1, l2]));
        if length < ATTRIBUTE_HEADER {
            let reason = StopReason::LengthBelowHeader;
            return Link::stopped(view.stop(Layer::Link, reason, offset, ATTRIBUTE_HEADER));
        }
        if number([t1, t2]) == PAYLOAD {
            return raw_ip(view, offset + ATTRIBUTE_HEADER);
        }
        if view.bytes.len() < offset + length {
            return Link::stopped(view.short(Layer::Link, offset, length));
        }
        offset += length.next_multiple_of(4).min(view.bytes.len() - offset);
    }
}
