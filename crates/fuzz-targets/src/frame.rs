use dissect::arp::{self, Arp};
use dissect::checksum;
use dissect::frame::{self, Frame, Transport};
use dissect::link::LinkType;

/// One frame: two bytes of link type in network order, then the frame. Payloads are at their stated place in the frame,
/// and a frame that the capture cut anywhere decodes to a prefix of the same values.
pub fn frame(data: &[u8]) {
    let Some(([high, low], bytes)) = data.split_first_chunk() else { return };
    let link_type = LinkType(u16::from_be_bytes([*high, *low]));
    let whole = decode(link_type, bytes, bytes.len());
    let cut_at = crate::piece_size(data, bytes.len().max(1)) - 1;
    let cut = decode(link_type, &bytes[..cut_at.min(bytes.len())], bytes.len());
    if let (Some(whole), Some(cut)) = (whole.tcp(), cut.tcp()) {
        assert_eq!((whole.seq, whole.wire_payload_len), (cut.seq, cut.wire_payload_len));
        assert!(whole.payload.starts_with(cut.payload));
    }
}

fn decode(link_type: LinkType, bytes: &[u8], original_len: usize) -> Frame<'_> {
    let frame = frame::decode(link_type, bytes, original_len as u32);
    let payload = match &frame.transport {
        Transport::Tcp(tcp) => Some((tcp.payload, tcp.payload_offset, tcp.wire_payload_len)),
        Transport::Udp(udp) => Some((udp.payload, udp.payload_offset, udp.wire_payload_len)),
        _ => None,
    };
    if let Some((payload, offset, wire_len)) = payload {
        assert_eq!(bytes.get(offset as usize..offset as usize + payload.len()), Some(payload));
        assert!(payload.len() <= wire_len as usize);
    }
    let _ = checksum::verify(&frame, bytes);
    frame
}

/// ARP at every place of a frame: only a whole packet is read.
pub fn arp(data: &[u8]) {
    for offset in 0..=data.len() {
        if Arp::parse(data, offset).is_some() {
            assert!(offset + arp::LEN <= data.len());
        }
    }
}
