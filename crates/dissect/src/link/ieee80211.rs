//! Data frames of IEEE 802.11, and the radiotap header before them (<https://www.radiotap.org>).
//!
//! ```text
//! control 2 | duration 2 | addresses 18 | sequence 2 | address 6 | QoS 2 | HT 4 | LLC and SNAP 8 | packet
//!                                                      between APs  by subtype
//! ```
//!
//! A frame that is encrypted on the link ends behind its header, as does a fragment of one. An aggregate (A-MSDU) carries
//! several frames; [`crate::frame::aggregated`] finds them.

use super::{EtherType, Link, SNAP};
use crate::decode_stop::{FrameBytes, Layer, StopReason};

/// Frame control: version (bits 0 and 1), type (2 and 3), subtype (4 to 7).
const VERSION: u8 = 0x03;
const TYPE: u8 = 0x0c;
const DATA: u8 = 0x08;
/// Subtypes of data frames: one that carries no data, and one with a QoS field.
const NO_DATA: u8 = 0x40;
const QOS: u8 = 0x80;
/// Second byte of frame control.
const TO_AND_FROM_DS: u8 = 0x03;
const MORE_FRAGMENTS: u8 = 0x04;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;

const HEADER: usize = 24;
const FOURTH_ADDRESS: usize = 6;
const QOS_LEN: usize = 2;
const HT_LEN: usize = 4;
/// In the QoS field: the frame carries an aggregate.
const AGGREGATE: u8 = 0x80;

/// LLC and SNAP of a bridge tunnel (IEEE 802.1H), beside that of RFC 1042.
const BRIDGE_TUNNEL: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0xf8];
const LLC_SNAP_LEN: usize = 8;

/// Whether the receiver padded the header to a multiple of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    No,
    ToFour,
}

/// A frame of IEEE 802.11 at `start` (IEEE 802.11-2020 §9.2.3, §9.3.2.1).
pub(super) fn decode(view: FrameBytes<'_>, start: usize, padding: Padding) -> Link {
    let [control, flags] = match view.chunk::<2>(Layer::Link, start) {
        Ok(control) => *control,
        Err(stop) => return Link::stopped(stop),
    };
    if control & (VERSION | TYPE) != DATA || control & NO_DATA != 0 {
        return Link::plain(EtherType::UNKNOWN, start);
    }
    let has_qos = control & QOS != 0;
    let mut length = HEADER;
    if flags & TO_AND_FROM_DS == TO_AND_FROM_DS {
        length += FOURTH_ADDRESS;
    }
    let qos_offset = start + length;
    if has_qos {
        length += QOS_LEN + if flags & ORDER != 0 { HT_LEN } else { 0 };
    }
    if padding == Padding::ToFour {
        length = length.next_multiple_of(4);
    }
    let offset = start + length;
    if view.bytes.len() < offset {
        return Link::stopped(view.short(Layer::Link, start, length));
    }
    if flags & PROTECTED != 0 {
        return Link::stopped(view.stop(Layer::Link, StopReason::Encrypted, offset, 0));
    }
    // Sequence control: the fragment number is in the low four bits.
    let sequence = view.bytes.get(start + HEADER - 2).copied().unwrap_or_default();
    if flags & MORE_FRAGMENTS != 0 || sequence & 0x0f != 0 {
        return Link::stopped(view.stop(Layer::Link, StopReason::Fragment, offset, 0));
    }
    let qos = view.bytes.get(qos_offset).copied().unwrap_or_default();
    if has_qos && qos & AGGREGATE != 0 {
        return Link { is_aggregate: true, ..Link::plain(EtherType::UNKNOWN, offset) };
    }
    match view.chunk::<LLC_SNAP_LEN>(Layer::Link, offset) {
        Ok(header) => {
            let [.., high, low] = *header;
            if header.starts_with(&SNAP) || header.starts_with(&BRIDGE_TUNNEL) {
                super::tags(view, EtherType(u16::from_be_bytes([high, low])), offset + LLC_SNAP_LEN)
            } else {
                Link::plain(EtherType::UNKNOWN, offset)
            }
        }
        Err(stop) => Link::stopped(stop),
    }
}

/// Radiotap: version 0, padding, length and bitmap in little-endian order.
const RADIOTAP_LEN: usize = 8;
/// Bits of the bitmap: a time of eight bytes, the flags, another bitmap.
const TIME: u32 = 1;
const FLAGS: u32 = 1 << 1;
const ANOTHER: u32 = 1 << 31;
/// In the flags: the receiver padded the 802.11 header to a multiple of four bytes.
const DATA_PAD: u8 = 0x20;

pub(super) fn decode_radiotap(view: FrameBytes<'_>, start: usize) -> Link {
    let [version, _, l1, l2, p1, p2, p3, p4] = match view.chunk::<RADIOTAP_LEN>(Layer::Link, start) {
        Ok(header) => *header,
        Err(stop) => return Link::stopped(stop),
    };
    let length = usize::from(u16::from_le_bytes([l1, l2]));
    if version != 0 {
        return Link::stopped(view.stop(Layer::Link, StopReason::UnsupportedForm, start, 0));
    }
    if length < RADIOTAP_LEN {
        return Link::stopped(view.stop(Layer::Link, StopReason::LengthBelowHeader, start, RADIOTAP_LEN));
    }
    let Some(header) = view.bytes.get(start..start + length) else {
        return Link::stopped(view.short(Layer::Link, start, length));
    };
    let present = u32::from_le_bytes([p1, p2, p3, p4]);
    let is_padded = present & FLAGS != 0 && flags(header, present).is_some_and(|flags| flags & DATA_PAD != 0);
    decode(view, start + length, if is_padded { Padding::ToFour } else { Padding::No })
}

/// The flags of a radiotap header. They follow the bitmaps, and the time if there is one, which is aligned to its size.
fn flags(header: &[u8], present: u32) -> Option<u8> {
    let (mut offset, mut bitmap) = (RADIOTAP_LEN, present);
    while bitmap & ANOTHER != 0 {
        bitmap = u32::from_le_bytes(*header.get(offset..)?.first_chunk()?);
        offset += 4;
    }
    if present & TIME != 0 {
        offset = offset.next_multiple_of(8) + 8;
    }
    header.get(offset).copied()
}
