use std::collections::BTreeSet;

use dissect::capture::Record;
use dissect::fragment::{Datagram, MAX_BYTES, MAX_DATAGRAMS, Packet, Pushed, Reassembler};
use dissect::frame;
use dissect::link::LinkType;

/// Bytes of each operation.
const OPERATION: usize = 5;

/// IPv4 and IPv6 headers before the fragments; the checksum of IPv4 is not verified here.
const V4: [u8; 20] = *b"\x45\0\0\0\0\0\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02";
const V6: [u8; 40] =
    *b"\x60\0\0\0\0\0\x2c\x40\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02";

/// Fragments, five bytes each: place in units of eight bytes, length in bytes, flags, contents, seconds since the one
/// before. Flags: more fragments (bit 0), IPv6 (bit 1), one of four packets (bits 2 and 3), cut by the capture (bit 4), far
/// behind (bit 5). Every frame comes back exactly once; a packet has the bytes that its parts say; what is kept is bounded.
pub fn fragments(data: &[u8]) {
    let mut reassembler = Reassembler::default();
    let mut back = BTreeSet::new();
    let mut give = |frame: u64| assert!(back.insert(frame), "frame {frame} came back twice");
    let (mut now, mut pushed) = (0, 0);
    let (operations, _) = data.as_chunks::<OPERATION>();
    for operation in operations {
        let [place, len, flags, fill, seconds] = *operation;
        now += u64::from(seconds) * 1_000_000_000;
        let packet = packet(place, len, flags, fill);
        let captured = if flags & 0x10 != 0 { packet.len() - packet.len() / 3 } else { packet.len() };
        let record = Record {
            frame: pushed + 1,
            captured_at: now,
            link_type: LinkType::RAW,
            interface: 0,
            original_len: packet.len() as u32,
            bytes: &packet[..captured],
            file_offset: pushed * 1_000,
        };
        pushed += 1;
        let decoded = frame::decode(record.link_type, record.bytes, record.original_len);
        let Some(ip) = decoded.ip() else {
            give(record.frame);
            continue;
        };
        match reassembler.push(&record, ip, 0) {
            Pushed::Held => {}
            Pushed::Repeated | Pushed::Invalid => give(record.frame),
            Pushed::Complete(datagram) => {
                check(&datagram, &datagram.packet);
                datagram.other.iter().for_each(|other| check(&datagram, other));
                datagram.frames.iter().for_each(|frame| give(frame.record().frame));
            }
        }
        while let Some(abandoned) = reassembler.pop() {
            abandoned.frames.iter().for_each(|frame| give(frame.record().frame));
        }
    }
    reassembler.finish();
    let (mut packets, mut bytes) = (0, 0);
    while let Some(abandoned) = reassembler.pop() {
        packets += 1;
        for frame in &abandoned.frames {
            bytes += frame.record().bytes.len();
            give(frame.record().frame);
        }
    }
    assert!(packets <= MAX_DATAGRAMS && bytes <= MAX_BYTES);
    assert_eq!(back.len() as u64, pushed, "a frame is lost");
}

fn packet(place: u8, len: u8, flags: u8, fill: u8) -> Vec<u8> {
    let far = if flags & 0x20 != 0 { 8_000 } else { 0 };
    let (units, more, id) = (u16::from(place) + far, flags & 1, flags >> 2 & 3);
    let mut packet = if flags & 2 == 0 {
        let mut header = V4.to_vec();
        let field = units | u16::from(more) << 13;
        header[2..4].copy_from_slice(&(V4.len() as u16 + u16::from(len)).to_be_bytes());
        header[5] = id;
        header[6..8].copy_from_slice(&field.to_be_bytes());
        header
    } else {
        let mut header = V6.to_vec();
        header[4..6].copy_from_slice(&(8 + u16::from(len)).to_be_bytes());
        let [high, low] = (units << 3 | u16::from(more)).to_be_bytes();
        header.extend_from_slice(&[17, 0, high, low, 0, 0, 0, id]);
        header
    };
    // Neighbouring bytes differ, so that a wrong place shows.
    packet.extend((0..len).map(|index| fill.wrapping_add(index & 7)));
    packet
}

/// Each part of the packet is where it says, and the packet decodes as a whole one.
fn check(datagram: &Datagram, packet: &Packet) {
    let mut end = 0;
    for (index, part) in packet.parts.iter().enumerate() {
        assert_eq!(part.range.start, end);
        end = part.range.end;
        let record = datagram.frames[part.frame].record();
        let there = &record.bytes[part.frame_offset..][..part.range.len()];
        assert!(index == 0 || there == &packet.bytes[part.range.clone()]);
        let origin = datagram.origin(part).expect("a frame of the packet");
        assert_eq!(origin.file_offset, record.file_offset + part.frame_offset as u64);
    }
    assert_eq!(end, packet.bytes.len());
    let decoded = frame::decode(packet.link_type, &packet.bytes, packet.bytes.len() as u32);
    let ip = decoded.ip().expect("an IP packet");
    assert_eq!(ip.fragment, dissect::ip::Fragment::No);
    assert_eq!(ip.payload_offset as usize + ip.payload_len as usize, packet.bytes.len());
}
