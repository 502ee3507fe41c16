//! The streams of a capture, put together whatever the order of its frames.

use std::collections::{BTreeMap, BTreeSet};

use e2e::damage::Record;

use crate::wire::{self, ACK, End, FIN, RST, SYN, Segment};

/// More than any stream of the lab has.
const MAX_STREAM: i64 = 1 << 24;

/// One direction of a TCP connection.
#[derive(Default)]
pub(crate) struct Stream {
    /// Sequence number of the first byte.
    pub(crate) first: u32,
    pub(crate) bytes: Vec<u8>,
    /// Offset behind the last byte, if a FIN is there.
    pub(crate) fin: Option<i64>,
    /// Whether the sender resets the connection.
    pub(crate) is_reset: bool,
    /// Highest offset that the other side acknowledges.
    pub(crate) acknowledged: i64,
    /// Everything that does not fit together.
    pub(crate) faults: BTreeSet<String>,
}

/// Sender and receiver of a stream.
pub(crate) type Way = (End, End);

/// All streams of a capture. A stream without SYN begins at 0.
pub(crate) fn streams(records: &[Record]) -> BTreeMap<Way, Stream> {
    let segments: Vec<(&Record, Segment)> =
        records.iter().filter_map(|record| Some((record, wire::segment(&record.bytes).ok()?))).collect();
    let mut streams: BTreeMap<Way, Stream> = BTreeMap::new();
    for (_, segment) in &segments {
        let stream = streams.entry((segment.from, segment.to)).or_default();
        let first = segment.sequence.wrapping_add(1);
        if segment.has(SYN) && stream.first == 0 {
            stream.first = first;
        } else if segment.has(SYN) && stream.first != first {
            stream.faults.insert("a second SYN with another number".to_owned());
        }
        stream.is_reset |= segment.has(RST);
    }
    let mut held: BTreeMap<Way, Vec<Option<u8>>> = BTreeMap::new();
    for (record, segment) in &segments {
        let way = (segment.from, segment.to);
        let stream = streams.get_mut(&way).expect("it was added above");
        let payload = &record.bytes[segment.payload.clone()];
        place(stream, held.entry(way).or_default(), segment, payload);
        if segment.has(ACK)
            && !segment.has(RST)
            && let Some(other) = streams.get_mut(&(segment.to, segment.from))
        {
            let offset = offset(segment.acknowledgment, other.first);
            other.acknowledged = other.acknowledged.max(offset);
            if offset < 0 {
                other.faults.insert("an acknowledgment of what was before the stream".to_owned());
            }
        }
    }
    for (way, bytes) in held {
        let stream = streams.get_mut(&way).expect("it was added above");
        if bytes.iter().any(Option::is_none) {
            stream.faults.insert("missing bytes".to_owned());
        }
        let len = bytes.len() as i64;
        if stream.fin.is_some_and(|fin| len != fin) {
            stream.faults.insert("a FIN that is not at the end".to_owned());
        }
        if stream.acknowledged > len + i64::from(stream.fin.is_some()) {
            stream.faults.insert("an acknowledgment of bytes that are not in the capture".to_owned());
        }
        stream.bytes = bytes.into_iter().flatten().collect();
    }
    streams
}

/// Puts the payload of a segment, and its FIN, into the stream.
fn place(stream: &mut Stream, held: &mut Vec<Option<u8>>, segment: &Segment, payload: &[u8]) {
    let at = offset(segment.sequence, stream.first) + i64::from(segment.has(SYN));
    let end = at + payload.len() as i64;
    if !payload.is_empty() {
        if at < 0 || end > MAX_STREAM {
            stream.faults.insert("bytes outside of the stream".to_owned());
            return;
        }
        if (held.len() as i64) < end {
            held.resize(end as usize, None);
        }
        for (slot, byte) in held[at as usize..].iter_mut().zip(payload) {
            if slot.is_some_and(|held| held != *byte) {
                stream.faults.insert("two versions of a byte".to_owned());
            }
            slot.get_or_insert(*byte);
        }
    }
    if segment.has(FIN) {
        if stream.fin.is_some_and(|fin| fin != end) {
            stream.faults.insert("two FINs at different places".to_owned());
        }
        stream.fin = Some(end);
    }
}

/// Offset in a stream of a sequence number.
fn offset(sequence: u32, first: u32) -> i64 {
    i64::from(sequence.wrapping_sub(first) as i32)
}
