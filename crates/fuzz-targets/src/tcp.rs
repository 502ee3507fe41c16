use std::collections::HashMap;

use dissect::flow::{Arrival, Direction, Endpoint, FlowTable};
use dissect::frame;
use dissect::tcp::{Chunk, Disposition, Flags, MAX_PENDING_BYTES, Origin, Ready, Reassembler, Segment};

use crate::capture::each_record;

/// Bytes of one operation of [`tcp`].
const OPERATION: usize = 6;

/// The bits of an operation's first byte.
const SYN: u8 = 1;
const FIN: u8 = 2;
const FORGED: u8 = 4;
const FAR: u8 = 8;
const ACKNOWLEDGE: u8 = 16;
const ABANDON: u8 = 32;

/// Reassembly of one direction. Each operation is six bytes: flags, offset (2), length, bytes cut by the snaplen, offset
/// of an acknowledgment. The stream's bytes follow from their sequence numbers, so that each chunk can be checked.
pub fn tcp(data: &[u8]) {
    let mut stream = Stream::default();
    let mut is_forged = false;
    let mut payload = Vec::new();
    for operation in data.chunks_exact(OPERATION) {
        let [bits, high, low, len, missing, ack] = *operation else { unreachable!("six bytes") };
        is_forged |= bits & FORGED != 0;
        let mut seq = (u32::MAX - 300).wrapping_add(u32::from(u16::from_be_bytes([high, low])));
        if bits & FAR != 0 {
            seq = seq.wrapping_mul(0x0100_0193);
        }
        let has_syn = bits & SYN != 0;
        let first_byte = seq.wrapping_add(u32::from(has_syn));
        payload.clear();
        payload.extend((0..u32::from(len)).map(|at| byte_at(first_byte.wrapping_add(at))));
        if bits & FORGED != 0
            && let Some(byte) = payload.first_mut()
        {
            *byte ^= 0x80;
        }
        let mut flags = Flags::default();
        flags.0 |= if has_syn { Flags::SYN.0 } else { 0 } | if bits & FIN != 0 { Flags::FIN.0 } else { 0 };
        let segment = Segment {
            seq,
            flags,
            payload: &payload,
            wire_payload_len: u32::from(len) + u32::from(missing),
            ..Segment::default()
        };
        let disposition = stream.push(&segment, first_byte, is_forged);
        if !is_forged {
            assert_ne!(disposition, Disposition::Conflict);
        }
        if bits & ACKNOWLEDGE != 0 {
            stream.reassembler.acknowledge(seq.wrapping_add(u32::from(ack)));
        }
        if bits & ABANDON != 0 {
            if let Some(gap) = stream.reassembler.abandon_gap() {
                stream.skip(gap.stream_offset, gap.len);
            }
            stream.drain(is_forged);
        }
        assert!(stream.reassembler.pending_bytes() <= MAX_PENDING_BYTES);
    }
    stream.reassembler.finish();
    stream.drain(is_forged);
    assert_eq!(stream.reassembler.pending_bytes(), 0);
    let counters = stream.reassembler.counters();
    assert_eq!(counters.delivered_bytes + counters.gap_bytes, stream.next);
}

/// The byte of the stream with this sequence number.
fn byte_at(seq: u32) -> u8 {
    (seq.wrapping_mul(0x9e37_79b1) >> 25) as u8
}

#[derive(Default)]
struct Stream {
    reassembler: Reassembler,
    next: u64,
}

impl Stream {
    fn push(&mut self, segment: &Segment<'_>, first_byte: u32, is_forged: bool) -> Disposition {
        // The origin carries the sequence number, from which the bytes follow.
        let origin = Origin { frame: 1, file_offset: u64::from(first_byte) };
        let pushed = self.reassembler.push(segment, origin);
        if let Some(chunk) = pushed.chunk {
            self.take(&chunk, is_forged);
        }
        self.drain(is_forged);
        pushed.disposition
    }

    fn drain(&mut self, is_forged: bool) {
        while let Some(ready) = self.reassembler.pop() {
            match ready {
                Ready::Bytes(bytes) => self.take(&bytes.chunk(), is_forged),
                Ready::Gap(gap) => self.skip(gap.stream_offset, gap.len),
            }
        }
    }

    fn take(&mut self, chunk: &Chunk<'_>, is_forged: bool) {
        assert_eq!(chunk.stream_offset, self.next);
        self.next += chunk.bytes.len() as u64;
        if !is_forged {
            let first = chunk.origin.file_offset as u32;
            let expected = (0..).map(|at| byte_at(first.wrapping_add(at)));
            assert!(chunk.bytes.iter().copied().eq(expected.take(chunk.bytes.len())));
        }
    }

    fn skip(&mut self, stream_offset: u64, len: u64) {
        assert_eq!(stream_offset, self.next);
        self.next += len;
    }
}

/// The flow table over the frames of a capture: a frame and its answer belong to one flow in opposite directions, flow
/// numbers increase, and only a SYN opens a second flow between the same endpoints. In tunnels, endpoints are the same if the
/// tunnels are.
pub fn flow(data: &[u8]) {
    let mut table = FlowTable::default();
    let mut latest = HashMap::new();
    each_record(data, |record| {
        let frame = frame::decode(record.link_type, record.bytes, record.original_len);
        let known = table.len();
        let Some(found) = table.segment(&frame) else {
            assert!(frame.tcp().is_none() || frame.ip().is_none());
            return;
        };
        let (Some(ip), Some(tcp)) = (frame.ip(), frame.tcp()) else { panic!("a flow of no segment") };
        let sender = Endpoint { address: ip.src, port: tcp.src_port };
        let receiver = Endpoint { address: ip.dst, port: tcp.dst_port };
        let pair = if sender <= receiver { (sender, receiver) } else { (receiver, sender) };
        // Which directions with identifiers of their own belong together depends on the frames before.
        if frame.encapsulations.iter().any(|layer| layer.kind.has_directional_ids()) {
            return;
        }
        let tunnels: Vec<_> = frame
            .encapsulations
            .iter()
            .filter(|layer| layer.kind.identifies_tunnel())
            .map(|layer| (layer.kind, layer.id, layer.ends.map(|(src, dst)| (src.min(dst), src.max(dst)))))
            .collect();
        let previous = latest.insert((pair, tunnels), found.flow);
        match found.arrival {
            Arrival::Continues => assert_eq!(previous, Some(found.flow)),
            Arrival::Opens => assert_eq!(previous, None),
            Arrival::Reopens { previous: replaced } => {
                assert_eq!(previous, Some(replaced));
                assert!(tcp.flags.syn() && !tcp.flags.ack());
            }
        }
        assert_eq!(table.len(), known + usize::from(found.arrival.is_first()));
        if found.arrival.is_first() {
            assert_eq!(found.flow.index(), known);
        }
        let ends = table.endpoints(found.flow).expect("a flow of this table");
        // Between an endpoint and itself there is only one direction.
        if sender != receiver {
            assert_eq!(ends.sender(found.direction), sender);
            assert_eq!(ends.sender(found.direction.opposite()), receiver);
        }
        if tcp.flags.syn()
            && tcp.payload.len().is_multiple_of(7)
            && found.direction == Direction::ClientToServer
        {
            table.retire(found.flow);
        }
    });
}
