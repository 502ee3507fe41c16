//! Changes inside of frames and streams that keep everything else consistent.

use e2e::damage::Record;

use crate::random::Random;
use crate::streams::{Way, streams};
use crate::wire::{self, ACK, Segment};

/// Replaces `removed` bytes of a stream from this offset on by `inserted`. The numbers of all later segments and of their
/// acknowledgments follow. `None` if the bytes are not in one segment.
pub(super) fn edit_stream(
    records: &mut [Record],
    way: Way,
    offset: usize,
    removed: usize,
    inserted: &[u8],
) -> Option<()> {
    let first = streams(records).get(&way)?.first;
    let back = (way.1, way.0);
    let grown = (inserted.len() as u32).wrapping_sub(removed as u32);
    let mut is_done = false;
    for record in records {
        let Ok(segment) = wire::segment(&record.bytes) else { continue };
        let (tcp, len) = (segment.tcp, segment.payload.len());
        if (segment.from, segment.to) == way {
            let at = i64::from(segment.sequence.wrapping_sub(first) as i32);
            let (from, end) = (offset as i64, (offset + removed) as i64);
            if !is_done && len > 0 && at <= from && end <= at + len as i64 {
                let at = segment.payload.start + (from - at) as usize;
                splice(&mut record.bytes, &segment, at, removed, inserted)?;
                is_done = true;
            } else if at >= end && at > 0 {
                let number = segment.sequence.wrapping_add(grown);
                record.bytes[tcp + 4..tcp + 8].copy_from_slice(&number.to_be_bytes());
            }
        } else if (segment.from, segment.to) == back && segment.has(ACK) {
            let at = i64::from(segment.acknowledgment.wrapping_sub(first) as i32);
            if at > offset as i64 {
                let number = segment.acknowledgment.wrapping_add(grown);
                record.bytes[tcp + 8..tcp + 12].copy_from_slice(&number.to_be_bytes());
            }
        }
        settle(record);
    }
    is_done.then_some(())
}

/// Replaces bytes of a frame from the offset `at` on, and the length in its IP header.
pub(super) fn splice(
    bytes: &mut Vec<u8>,
    segment: &Segment,
    at: usize,
    removed: usize,
    inserted: &[u8],
) -> Option<()> {
    let total = segment.payload.end - segment.ip + inserted.len() - removed;
    bytes.splice(at..at + removed, inserted.iter().copied());
    let total = u16::try_from(total).ok()?;
    bytes[segment.ip + 2..segment.ip + 4].copy_from_slice(&total.to_be_bytes());
    Some(())
}

/// Mends checksums and the length of the record.
pub(super) fn settle(record: &mut Record) {
    wire::mend(&mut record.bytes);
    record.original_len = record.bytes.len() as u32;
}

/// A new frame at a random place, with the time of the frame that is there.
pub(super) fn insert(records: &mut Vec<Record>, random: &mut Random, bytes: Vec<u8>) -> usize {
    let at = random.below(records.len());
    let record = Record { at: records[at].at, original_len: bytes.len() as u32, bytes };
    records.insert(at, record);
    at
}

/// The streams with bytes.
pub(super) fn ways(records: &[Record]) -> Vec<Way> {
    streams(records).into_iter().filter(|(_, stream)| !stream.bytes.is_empty()).map(|(way, _)| way).collect()
}

/// A random stream, and its bytes.
pub(super) fn stream(records: &[Record], random: &mut Random) -> Option<(Way, Vec<u8>)> {
    let way = *random.pick(&ways(records))?;
    Some((way, streams(records).remove(&way)?.bytes))
}
