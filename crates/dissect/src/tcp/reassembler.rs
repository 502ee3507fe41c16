//! One direction of a TCP connection, from segments in capture order to a stream of bytes (RFC 9293 §3.4 to §3.10).
//!
//! ```text
//!   segments (any order)          Reassembler                            chunks, in stream order
//!   ───────────────────>  delivered │ next │ .. gap  .. │ pending  ───>  Chunk │ Gap │ Chunk
//!                          history: (offset, len, hash, bytes?)          offset 0 = first byte after the SYN
//! ```
//!
//! A segment that continues the stream comes back as a borrowed chunk at once, without copy or allocation. Only a
//! segment that arrives early is copied and waits. Missing bytes are reported as [`Ready::Gap`], never filled. Bytes
//! that repeat earlier ones are compared with them; the result is a [`Disposition`].
//!
//! Knows nothing about addresses, links, files or the meaning of the bytes.

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::num::NonZeroU64;
use std::ops::Range;

use foldhash::quality::RandomState;

use super::segment::{SackBlock, Segment};

/// Maximum number of bytes that wait behind missing ones in one direction. A sender may have one window in flight
/// behind a lost segment; Linux's default largest receive buffer is 6 MiB, of which half is window. Beyond it, the
/// missing bytes become a gap.
pub const MAX_PENDING_BYTES: usize = 4 << 20;

/// Maximum number of segments that wait behind missing bytes in one direction, so that one-byte segments cannot fill a
/// map with millions of entries. Beyond it, the missing bytes become a gap.
pub const MAX_PENDING_SEGMENTS: usize = 8192;

/// Number of delivered segments that can still be compared with a retransmission. A retransmission repeats bytes that
/// are in flight: 32 full segments are 46 KiB, and at 24 bytes for each the history of a direction stays below 1 KiB. A
/// retransmission of older segments is reported as unverified.
pub const HISTORY_SEGMENTS: usize = 32;

/// The history keeps the bytes of segments longer than this, not only their hash. Ethernet does not carry such
/// segments; captures on the sending host contain them because of segmentation offload. A retransmission repeats any of
/// the smaller segments that the network card cuts from them, and these have other borders.
const LONG_SEGMENT: usize = 1500;

/// Maximum number of bytes kept of long segments in one direction: two of the greatest length (64 KiB). Of older ones
/// only the hash is kept, and a partial retransmission of them is reported as unverified.
pub const HISTORY_BYTES: usize = 128 << 10;

/// A keep-alive probe repeats the last byte, or has "one garbage octet" in its place (RFC 9293 §3.8.4): Windows sends a zero.
/// Another byte would be the sender's choice.
const KEEP_ALIVE_GARBAGE: u8 = 0;

/// Greatest distance from the next expected byte at which a segment belongs to the stream: the largest window that
/// window scaling allows (RFC 7323 §2.3). A segment outside is reported as [`Disposition::OutOfWindow`].
pub const MAX_WINDOW: i64 = 1 << 30;

/// The position in the capture of a piece of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Frame number, from 1 as Wireshark counts.
    pub frame: u64,
    /// Offset in the capture file of the piece's first byte.
    pub file_offset: u64,
}

impl Origin {
    fn skip(self, bytes: usize) -> Self {
        Self { file_offset: self.file_offset + bytes as u64, ..self }
    }
}

/// Bytes of one direction, in stream order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Offset in the stream of `bytes[0]`; 0 is the first byte after the SYN.
    pub stream_offset: u64,
    /// The bytes, all from one frame.
    pub bytes: &'a [u8],
    /// Position of the first byte in the capture.
    pub origin: Origin,
}

/// Bytes that were sent and are missing from the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Offset in the stream of the first missing byte.
    pub stream_offset: u64,
    /// Number of missing bytes.
    pub len: u64,
}

/// Bytes that had waited for earlier ones, or a gap before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The next bytes of the stream.
    Bytes(ReadyBytes),
    /// The next bytes of the stream are missing.
    Gap(Gap),
}

impl Ready {
    /// The bytes as a chunk; `None` for a gap.
    pub fn chunk(&self) -> Option<Chunk<'_>> {
        match self {
            Self::Bytes(bytes) => Some(bytes.chunk()),
            Self::Gap(_) => None,
        }
    }
}

/// Bytes that had waited, owned because their frame is no longer in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyBytes {
    stream_offset: u64,
    bytes: Box<[u8]>,
    origin: Origin,
}

impl ReadyBytes {
    /// The bytes as a chunk.
    pub fn chunk(&self) -> Chunk<'_> {
        Chunk { stream_offset: self.stream_offset, bytes: &self.bytes, origin: self.origin }
    }
}

/// What became of the payload of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The segment had no payload.
    Empty,
    /// All of it continued the stream and was delivered.
    Delivered,
    /// Some or all of it arrived early and waits for missing bytes before it.
    Waiting,
    /// All or part of it repeated known bytes without a difference.
    Repeated,
    /// It overlapped known bytes with different ones: the stream has two versions.
    Conflict,
    /// It repeated bytes that are no longer remembered, so it could not be compared.
    Unverified,
    /// It lies outside any possible window, or before the first byte known of the stream.
    OutOfWindow,
}

impl Disposition {
    /// Whether each byte of the payload is or will be part of a chunk. If not, a caller that has to see every captured
    /// byte must read the segment on its own.
    pub fn is_in_stream(self) -> bool {
        matches!(self, Self::Empty | Self::Delivered | Self::Waiting)
    }
}

/// The result of [`Reassembler::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed<'a> {
    /// What became of the payload.
    pub disposition: Disposition,
    /// The part that continues the stream, if any.
    pub chunk: Option<Chunk<'a>>,
}

/// Counters of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Payload bytes delivered in stream order.
    pub delivered_bytes: u64,
    /// Number of gaps.
    pub gaps: u32,
    /// Number of bytes missing in gaps.
    pub gap_bytes: u64,
    /// Segments that repeated known bytes without a difference.
    pub repeated: u32,
    /// Segments that contradicted known bytes, or a known end of the stream.
    pub conflicts: u32,
    /// Segments that repeated bytes that could no longer be compared.
    pub unverified: u32,
    /// Segments outside any possible window, and acknowledgments of bytes that cannot be in the stream.
    pub out_of_window: u32,
    /// Segments cut by the snaplen.
    pub truncated: u32,
    /// Segments that arrived early.
    pub early: u32,
}

#[derive(Debug)]
struct Waiting {
    bytes: Box<[u8]>,
    /// Bytes that the snaplen cut off behind `bytes`.
    missing: u32,
    origin: Origin,
}

#[derive(Debug)]
struct Seen {
    stream_offset: u64,
    len: u32,
    hash: u64,
    /// Kept for a segment longer than [`LONG_SEGMENT`], if there is room.
    bytes: Option<Box<[u8]>>,
}

impl Seen {
    fn end(&self) -> u64 {
        self.stream_offset + u64::from(self.len)
    }
}

/// One direction of a connection. It is small until it carries payload, because a capture can contain any number of
/// connections that were never answered.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// Sequence number of stream offset 0, once it is known.
    base: Option<u32>,
    syn_seen: bool,
    finished: bool,
    /// Next stream offset to deliver.
    next: u64,
    /// Stream offset just behind the FIN, which counts as one.
    fin_end: Option<NonZeroU64>,
    /// Largest stream offset that the other side has acknowledged.
    acknowledged: u64,
    /// The highest number that it acknowledged before `base` was known, as after reordering.
    early_acknowledgment: Option<u32>,
    /// State that payload and gaps need; `None` until there are any.
    data: Option<Box<Data>>,
}

/// State of a direction that carries payload.
#[derive(Debug, Default)]
struct Data {
    /// Number of bytes from `next` on that the snaplen cut: a gap that the next pop returns.
    cut_off: u32,
    /// Disjoint pieces beyond `next`, by stream offset.
    pending: BTreeMap<u64, Waiting>,
    pending_bytes: usize,
    /// The segments delivered last, oldest first. The hash is keyed at random, so that no capture can prepare a
    /// collision.
    history: VecDeque<Seen>,
    /// Number of bytes kept of long segments in `history`.
    history_bytes: usize,
    /// The byte before `next`, which a keep-alive probe repeats (RFC 9293 §3.8.4).
    last_byte: Option<u8>,
    hasher: RandomState,
    counters: Counters,
}

/// The counters of a direction without payload.
const NO_COUNTERS: &Counters = &Counters {
    delivered_bytes: 0,
    gaps: 0,
    gap_bytes: 0,
    repeated: 0,
    conflicts: 0,
    unverified: 0,
    out_of_window: 0,
    truncated: 0,
    early: 0,
};

impl Reassembler {
    /// Processes one segment of this direction, whose payload begins at `origin`. Call [`Reassembler::pop`] until it
    /// returns `None` before the next push.
    #[inline]
    pub fn push<'a>(&mut self, segment: &Segment<'a>, origin: Origin) -> Pushed<'a> {
        let first_byte = segment.seq.wrapping_add(u32::from(segment.flags.syn()));
        if segment.flags.syn() && !self.syn_seen && self.next == 0 && !self.has_pending() {
            self.base = Some(first_byte);
            self.syn_seen = true;
        }
        let base = *self.base.get_or_insert(first_byte);
        if let Some(ack) = self.early_acknowledgment.take() {
            self.acknowledge(ack);
        }
        if segment.flags.rst() {
            // Its number is SND.NXT (RFC 9293 §3.10.5) or what the other side acknowledged (§3.5.2): this side sent all
            // bytes before it.
            self.acknowledge(first_byte);
        }
        // Sequence numbers wrap, but the distance to the next expected byte does not: both lie within one window.
        let expected = base.wrapping_add(self.next as u32);
        let distance = i64::from(first_byte.wrapping_sub(expected) as i32);
        let offset = self.next.checked_add_signed(distance).filter(|_| distance.abs() <= MAX_WINDOW);
        let missing = segment.missing();
        let len = segment.payload.len() as u64 + u64::from(missing);
        if segment.flags.fin() {
            match offset {
                Some(offset) => self.note_fin(offset + len + 1),
                None => self.data().counters.conflicts += 1,
            }
        }
        if len == 0 {
            return Pushed { disposition: Disposition::Empty, chunk: None };
        }
        let has_pending = self.has_pending();
        let data = self.data();
        data.counters.truncated += u32::from(missing > 0);
        let Some(offset) = offset else {
            data.counters.out_of_window += 1;
            return Pushed { disposition: Disposition::OutOfWindow, chunk: None };
        };
        if distance == 0 && !has_pending {
            data.cut_off = missing;
            self.deliver(offset, segment.payload);
            let chunk = (!segment.payload.is_empty()).then_some(Chunk {
                stream_offset: offset,
                bytes: segment.payload,
                origin,
            });
            return Pushed { disposition: Disposition::Delivered, chunk };
        }
        self.insert_out_of_order(segment, offset, origin)
    }

    /// Notes the offset behind a FIN. One at another place than the first contradicts it: the stream has two ends.
    #[inline]
    fn note_fin(&mut self, end: u64) {
        if self.fin_end.is_some_and(|fin_end| fin_end.get() != end) {
            self.data().counters.conflicts += 1;
        }
        self.fin_end = self.fin_end.max(NonZeroU64::new(end));
    }

    /// Notes an acknowledgment number of the other direction, which acknowledges bytes of this one. One outside any window,
    /// or before the first byte, counts as [`Counters::out_of_window`]: if it were true, more is missing from the capture
    /// than a gap can describe.
    #[inline]
    pub fn acknowledge(&mut self, ack: u32) {
        let Some(base) = self.base else {
            let highest = self.early_acknowledgment.filter(|highest| ack.wrapping_sub(*highest) as i32 <= 0);
            self.early_acknowledgment = highest.or(Some(ack));
            return;
        };
        let distance = i64::from(ack.wrapping_sub(base.wrapping_add(self.next as u32)) as i32);
        let is_before = self.syn_seen && self.next.checked_add_signed(distance).is_none();
        if distance.abs() > MAX_WINDOW || is_before {
            self.acknowledged_out_of_window();
        } else if distance > 0 {
            self.acknowledged = self.acknowledged.max(self.next.saturating_add_signed(distance));
        }
    }

    #[cold]
    fn acknowledged_out_of_window(&mut self) {
        let counters = &mut self.data().counters;
        counters.out_of_window = counters.out_of_window.saturating_add(1);
    }

    /// Whether a selective acknowledgment that the other direction sent with this acknowledgment number can be true,
    /// given the captured part of this direction. Every block lies between the SYN and the last byte sent so far (its
    /// FIN counts as one) and is at most [`MAX_WINDOW`] long, because a receiver holds no more. The blocks do not touch
    /// and lie behind the acknowledged bytes (RFC 2018 §3 and §4). Only the first one may report a repeated segment,
    /// which lies below the acknowledged bytes or within the second block (RFC 2883 §4).
    pub fn may_be_acknowledged(&self, ack: u32, blocks: impl Iterator<Item = SackBlock>) -> bool {
        let Some(base) = self.base else { return false };
        let next = i64::try_from(self.next).unwrap_or(i64::MAX);
        let expected = base.wrapping_add(self.next as u32);
        // Both lie within one window of the next expected byte, as in `push`.
        let offset = |seq: u32| next.saturating_add(i64::from(seq.wrapping_sub(expected) as i32));
        let ack = offset(ack);
        let first = if self.syn_seen { -1 } else { i64::MIN };
        let end = i64::try_from(self.sent()).unwrap_or(i64::MAX);
        let mut known: Vec<(i64, i64)> = Vec::new();
        for (at, block) in blocks.enumerate() {
            let (left, right) = (offset(block.left), offset(block.right));
            let was_sent = first <= left && left < right && right <= end && right - left <= MAX_WINDOW;
            let is_behind = left > ack || at == 0 && right <= ack;
            let is_apart = known.iter().enumerate().all(|(other, (from, to))| {
                let is_repeated = (other, at) == (0, 1) && left <= *from && *to <= right;
                right <= *from || *to <= left || is_repeated
            });
            if !(was_sent && is_behind && is_apart) {
                return false;
            }
            known.push((left, right));
        }
        true
    }

    /// Stream offset behind the last byte that was sent, as far as the capture shows; a FIN counts as one.
    fn sent(&self) -> u64 {
        self.sent_bytes().max(self.fin_end.map_or(0, NonZeroU64::get))
    }

    /// The same without FIN.
    fn sent_bytes(&self) -> u64 {
        let (mut waiting, mut cut_off) = (0, 0);
        if let Some(data) = &self.data {
            let last = data.pending.last_key_value();
            waiting = last
                .map_or(0, |(offset, piece)| offset + piece.bytes.len() as u64 + u64::from(piece.missing));
            cut_off = data.cut_off;
        }
        let delivered = self.next + u64::from(cut_off);
        delivered.max(waiting)
    }

    /// Returns the next bytes that had waited, or a gap: where the snaplen cut, where too many bytes wait, and after
    /// [`Reassembler::finish`] wherever bytes are missing.
    pub fn pop(&mut self) -> Option<Ready> {
        let Some(data) = &mut self.data else { return self.tail() };
        if data.cut_off > 0 {
            let len = u64::from(std::mem::take(&mut data.cut_off));
            return Some(self.skip(len));
        }
        let Some((&offset, _)) = data.pending.first_key_value() else { return self.tail() };
        if offset > self.next {
            let full = data.pending_bytes > MAX_PENDING_BYTES || data.pending.len() > MAX_PENDING_SEGMENTS;
            return (full || self.finished).then(|| self.skip(offset - self.next));
        }
        let (offset, piece) = data.pending.pop_first()?;
        data.pending_bytes -= piece.bytes.len();
        // Bytes before `next` can only be those that the snaplen cut from one segment and another segment contained.
        let known = (self.next - offset).min(piece.bytes.len() as u64) as usize;
        let bytes: Box<[u8]> = if known == 0 { piece.bytes } else { piece.bytes.get(known..)?.into() };
        data.cut_off = piece.missing;
        if bytes.is_empty() {
            return self.pop();
        }
        let stream_offset = self.next;
        self.deliver(stream_offset, &bytes);
        Some(Ready::Bytes(ReadyBytes { stream_offset, bytes, origin: piece.origin.skip(known) }))
    }

    /// Ends the direction. From now on [`Reassembler::pop`] returns all missing bytes as gaps, including those at the
    /// end that only a FIN or the other side's acknowledgment reveals. Bytes behind the FIN contradict it, and nothing behind
    /// it can be acknowledged.
    pub fn finish(&mut self) {
        if let Some(end) = self.fin_end.map(NonZeroU64::get).filter(|_| !self.finished) {
            if self.sent_bytes() >= end {
                self.data().counters.conflicts += 1;
            }
            if self.acknowledged > end {
                self.acknowledged_out_of_window();
            }
        }
        self.finished = true;
    }

    /// Stops waiting for the first missing bytes, to free memory that is needed elsewhere.
    pub fn abandon_gap(&mut self) -> Option<Gap> {
        let (&offset, _) = self.data.as_ref()?.pending.first_key_value()?;
        match self.skip(offset.saturating_sub(self.next)) {
            Ready::Gap(gap) if gap.len > 0 => Some(gap),
            _ => None,
        }
    }

    /// Number of bytes that wait for missing ones.
    #[inline]
    pub fn pending_bytes(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.pending_bytes)
    }

    /// Bytes of delivered segments that are kept, to compare them with retransmissions: at most [`HISTORY_BYTES`].
    #[inline]
    pub fn copied_bytes(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.history_bytes)
    }

    /// Forgets these bytes. Of their segments only the hash is kept.
    pub fn forget_copies(&mut self) {
        if let Some(data) = &mut self.data {
            data.history.iter_mut().for_each(|seen| seen.bytes = None);
            data.history_bytes = 0;
        }
    }

    /// The next stream offset to be delivered.
    pub fn next_offset(&self) -> u64 {
        self.next
    }

    /// Sequence number of the first byte behind the SYN, if the SYN was captured.
    pub fn initial_sequence(&self) -> Option<u32> {
        self.base.filter(|_| self.syn_seen)
    }

    /// Whether a FIN has fixed the end of the stream.
    pub fn is_closed(&self) -> bool {
        self.fin_end.is_some()
    }

    /// The counters of this direction.
    pub fn counters(&self) -> &Counters {
        self.data.as_ref().map_or(NO_COUNTERS, |data| &data.counters)
    }

    #[inline]
    fn data(&mut self) -> &mut Data {
        self.data.get_or_insert_default()
    }

    #[inline]
    fn has_pending(&self) -> bool {
        self.data.as_ref().is_some_and(|data| !data.pending.is_empty())
    }

    /// Frees state that only an open connection needs.
    pub fn release(&mut self) {
        if let Some(data) = &mut self.data {
            data.history = VecDeque::new();
            data.history_bytes = 0;
        }
    }

    /// The gap at the end, behind which nothing was captured.
    fn tail(&mut self) -> Option<Ready> {
        if !self.finished {
            return None;
        }
        // The acknowledgment of a FIN counts one past the last byte (RFC 9293 §3.4).
        let fin = self.fin_end.map(|end| end.get() - 1);
        let acknowledged = fin.map_or(self.acknowledged, |fin| self.acknowledged.min(fin));
        let end = fin.unwrap_or(0).max(acknowledged);
        (end > self.next).then(|| self.skip(end - self.next))
    }

    fn skip(&mut self, len: u64) -> Ready {
        let gap = Gap { stream_offset: self.next, len };
        self.next += len;
        let data = self.data();
        data.last_byte = None;
        data.counters.gaps += u32::from(len > 0);
        data.counters.gap_bytes += len;
        Ready::Gap(gap)
    }

    #[inline]
    fn deliver(&mut self, offset: u64, bytes: &[u8]) {
        self.next = offset + bytes.len() as u64;
        self.data().remember(offset, bytes);
    }

    /// Slow path: compares overlapping bytes with known ones, then delivers or queues the new ones.
    #[cold]
    fn insert_out_of_order<'a>(&mut self, segment: &Segment<'a>, offset: u64, origin: Origin) -> Pushed<'a> {
        let payload = Payload { offset, bytes: segment.payload };
        let mut overlaps = Overlaps::default();
        if offset < self.next {
            overlaps.add(self.compare_delivered(offset, payload.part(offset..self.next.min(payload.end()))));
        }
        let first_new = self.next.clamp(offset, payload.end());
        let mut is_waiting = false;
        let mut chunk = None;
        for new in self.data().compare_pending(payload, first_new, &mut overlaps) {
            let bytes = payload.part(new.clone());
            let origin = origin.skip((new.start - offset) as usize);
            let missing = if new.end == payload.end() { segment.missing() } else { 0 };
            if new.start == self.next && self.data().cut_off == 0 {
                self.deliver(new.start, bytes);
                self.data().cut_off = missing;
                chunk = Some(Chunk { stream_offset: new.start, bytes, origin });
            } else {
                let data = self.data();
                data.pending_bytes += bytes.len();
                data.pending.insert(new.start, Waiting { bytes: bytes.into(), missing, origin });
                is_waiting = true;
            }
        }
        let counters = &mut self.data().counters;
        counters.early += u32::from(is_waiting);
        counters.repeated += u32::from(overlaps.same);
        counters.conflicts += u32::from(overlaps.conflict);
        counters.unverified += u32::from(overlaps.unverified);
        let disposition = match overlaps {
            Overlaps { conflict: true, .. } => Disposition::Conflict,
            Overlaps { unverified: true, .. } => Disposition::Unverified,
            Overlaps { same: true, .. } => Disposition::Repeated,
            _ if is_waiting => Disposition::Waiting,
            _ => Disposition::Delivered,
        };
        Pushed { disposition, chunk }
    }

    /// Compares bytes that begin at `offset` and end at or before `next` with what is remembered.
    fn compare_delivered(&self, offset: u64, bytes: &[u8]) -> Comparison {
        let Some(data) = &self.data else { return Comparison::Forgotten };
        let end = offset + bytes.len() as u64;
        if let ([byte], Some(last)) = (bytes, data.last_byte)
            && end == self.next
        {
            let is_probe = *byte == KEEP_ALIVE_GARBAGE;
            return if *byte == last || is_probe { Comparison::Same } else { Comparison::Different };
        }
        let mut covered = offset;
        let mut forgotten = false;
        for seen in data.history.iter().filter(|seen| seen.end() > offset) {
            if seen.stream_offset >= end {
                break;
            }
            let (from, to) = (seen.stream_offset.max(offset), seen.end().min(end));
            forgotten |= from != covered;
            let repeated = bytes.get((from - offset) as usize..(to - offset) as usize).unwrap_or_default();
            let known = (from - seen.stream_offset) as usize..(to - seen.stream_offset) as usize;
            match &seen.bytes {
                Some(kept) if kept.get(known) != Some(repeated) => return Comparison::Different,
                Some(_) => {}
                None if repeated.len() as u32 == seen.len => {
                    if data.hasher.hash_one(repeated) != seen.hash {
                        return Comparison::Different;
                    }
                }
                // A piece that sticks out on either side has a hash of other bytes than these.
                None => forgotten = true,
            }
            covered = to;
        }
        if covered == end && !forgotten { Comparison::Same } else { Comparison::Forgotten }
    }
}

#[derive(Clone, Copy)]
enum Comparison {
    Same,
    Different,
    Forgotten,
}

/// The payload of a segment, at its place in the stream.
#[derive(Clone, Copy)]
struct Payload<'a> {
    offset: u64,
    bytes: &'a [u8],
}

impl<'a> Payload<'a> {
    fn end(self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    fn part(self, range: Range<u64>) -> &'a [u8] {
        let range = (range.start - self.offset) as usize..(range.end - self.offset) as usize;
        self.bytes.get(range).unwrap_or_default()
    }
}

/// The results of comparing a segment with all known bytes that it overlaps.
#[derive(Default)]
struct Overlaps {
    same: bool,
    conflict: bool,
    unverified: bool,
}

impl Overlaps {
    fn add(&mut self, comparison: Comparison) {
        match comparison {
            Comparison::Same => self.same = true,
            Comparison::Different => self.conflict = true,
            Comparison::Forgotten => self.unverified = true,
        }
    }
}

impl Data {
    /// Compares the payload from `at` on with the pending pieces that it overlaps. Returns the ranges between these
    /// disjoint pieces, which are new.
    fn compare_pending(&self, payload: Payload<'_>, mut at: u64, overlaps: &mut Overlaps) -> Vec<Range<u64>> {
        let end = payload.end();
        let mut new = Vec::new();
        let start = self.pending.range(..=at).next_back().map_or(at, |(&offset, _)| offset);
        for (&piece_offset, piece) in self.pending.range(start..end.max(start)) {
            let piece = Payload { offset: piece_offset, bytes: &piece.bytes };
            if piece.end() <= at || at >= end {
                continue;
            }
            if piece.offset > at {
                new.push(at..piece.offset.min(end));
                at = piece.offset.min(end);
            }
            let common = at..piece.end().min(end);
            if !common.is_empty() {
                overlaps.add(match piece.part(common.clone()) == payload.part(common.clone()) {
                    true => Comparison::Same,
                    false => Comparison::Different,
                });
                at = common.end;
            }
        }
        if at < end {
            new.push(at..end);
        }
        new
    }

    #[inline]
    fn remember(&mut self, offset: u64, bytes: &[u8]) {
        self.counters.delivered_bytes += bytes.len() as u64;
        if self.history.len() == HISTORY_SEGMENTS
            && let Some(Seen { bytes: Some(bytes), .. }) = self.history.pop_front()
        {
            self.history_bytes -= bytes.len();
        }
        if self.history.capacity() == 0 {
            self.history.reserve_exact(1); // many connections send one segment each way, and stay open
        }
        let hash = self.hasher.hash_one(bytes);
        let kept = if bytes.len() > LONG_SEGMENT { self.keep(bytes) } else { None };
        self.history.push_back(Seen { stream_offset: offset, len: bytes.len() as u32, hash, bytes: kept });
        self.last_byte = bytes.last().copied();
    }

    /// A copy of a long segment, for which older ones make room.
    #[cold]
    fn keep(&mut self, bytes: &[u8]) -> Option<Box<[u8]>> {
        for old in &mut self.history {
            if self.history_bytes + bytes.len() <= HISTORY_BYTES {
                break;
            }
            self.history_bytes -= old.bytes.take().map_or(0, |bytes| bytes.len());
        }
        (self.history_bytes + bytes.len() <= HISTORY_BYTES).then(|| {
            self.history_bytes += bytes.len();
            bytes.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::Flags;
    use proptest::prelude::*;

    const ISN: u32 = u32::MAX - 5;

    /// A segment whose first byte is at `offset` of the stream. With this ISN the sequence numbers wrap early.
    fn seg(offset: u32, payload: &[u8]) -> Segment<'_> {
        Segment {
            seq: ISN.wrapping_add(1).wrapping_add(offset),
            payload,
            wire_payload_len: payload.len() as u32,
            ..Segment::default()
        }
    }

    fn syn() -> Segment<'static> {
        Segment { seq: ISN, flags: Flags::SYN, ..seg(0, b"") }
    }

    /// The same segment, without its last `missing` bytes in the capture.
    fn cut(missing: u32, segment: Segment<'_>) -> Segment<'_> {
        Segment { wire_payload_len: segment.payload.len() as u32 + missing, ..segment }
    }

    fn at(frame: u64) -> Origin {
        Origin { frame, file_offset: frame * 100 }
    }

    #[derive(Default)]
    struct Harness {
        reassembler: Reassembler,
        frame: u64,
        bytes: Vec<u8>,
        gaps: Vec<(u64, u64)>,
        last: Option<Disposition>,
    }

    impl Harness {
        fn opened() -> Self {
            let mut harness = Self::default();
            harness.push(&syn());
            harness
        }

        fn push(&mut self, segment: &Segment<'_>) -> &mut Self {
            self.frame += 1;
            let pushed = self.reassembler.push(segment, at(self.frame));
            self.last = Some(pushed.disposition);
            if let Some(chunk) = pushed.chunk {
                self.take(chunk);
            }
            self.drain();
            self
        }

        fn drain(&mut self) {
            while let Some(ready) = self.reassembler.pop() {
                match ready {
                    Ready::Bytes(bytes) => self.take(bytes.chunk()),
                    Ready::Gap(gap) => {
                        self.gaps.push((gap.stream_offset, gap.len));
                        self.bytes.resize((gap.stream_offset + gap.len) as usize, b'.');
                    }
                }
            }
        }

        fn take(&mut self, chunk: Chunk<'_>) {
            assert_eq!(chunk.stream_offset, self.bytes.len() as u64, "chunks continue each other");
            self.bytes.extend_from_slice(chunk.bytes);
        }

        fn finish(mut self) -> (String, Vec<(u64, u64)>, Counters) {
            self.reassembler.finish();
            self.drain();
            (String::from_utf8(self.bytes).expect("tests send text"), self.gaps, *self.reassembler.counters())
        }
    }

    #[test]
    fn delivers_in_order_across_the_sequence_wrap() {
        let mut harness = Harness::opened();
        harness.push(&seg(0, b"hello ")).push(&seg(6, b"world"));
        assert_eq!(harness.last, Some(Disposition::Delivered));
        assert_eq!(harness.finish().0, "hello world");
    }

    #[test]
    fn early_segments_wait_and_keep_their_origin() {
        let mut reassembler = Reassembler::default();
        reassembler.push(&syn(), at(0));
        assert_eq!(reassembler.push(&seg(3, b"def"), at(7)).disposition, Disposition::Waiting);
        assert_eq!(reassembler.pop(), None);
        let pushed = reassembler.push(&seg(0, b"abc"), at(8));
        assert_eq!(pushed.chunk.map(|chunk| chunk.bytes), Some(&b"abc"[..]));
        let Some(Ready::Bytes(ready)) = reassembler.pop() else { panic!("the waiting segment is next") };
        assert_eq!(ready.chunk().origin, Origin { frame: 7, file_offset: 700 });
        assert_eq!(ready.chunk().stream_offset, 3);
    }

    /// Blocks by stream offset, at an acknowledgment of offset 10. Of the stream 0 to 30 and 40 to 50 were captured.
    #[test]
    fn rejects_selective_acknowledgments_of_unsent_bytes() {
        let mut reassembler = Reassembler::default();
        let number = |offset: i64| ISN.wrapping_add(1).wrapping_add(offset as u32);
        let may = |reassembler: &Reassembler, blocks: &[(i64, i64)]| {
            let blocks =
                blocks.iter().map(|(left, right)| SackBlock { left: number(*left), right: number(*right) });
            reassembler.may_be_acknowledged(number(10), blocks)
        };
        assert!(!may(&reassembler, &[(20, 30)]), "nothing was captured");
        reassembler.push(&syn(), at(0));
        reassembler.push(&seg(0, &[b'.'; 30]), at(1));
        reassembler.push(&seg(40, &[b'.'; 10]), at(2));
        let is_true: [&[(i64, i64)]; 10] = [
            &[],
            &[(20, 30)],
            &[(40, 50), (20, 30)],
            &[(11, 12), (49, 50), (13, 14), (15, 16)],
            &[(30, 40)],
            &[(0, 10)], // repeated and acknowledged
            &[(-1, 0)], // the SYN, repeated
            &[(5, 6), (20, 30)],
            &[(22, 25), (20, 30)], // repeated and not yet acknowledged
            &[(20, 30), (20, 30)],
        ];
        for blocks in is_true {
            assert!(may(&reassembler, blocks), "{blocks:?}");
        }
        let is_not: [&[(i64, i64)]; 12] = [
            &[(20, 20)],
            &[(30, 20)],
            &[(20, 51)],
            &[(50, 60)],
            &[(-2, 0)],
            &[(10, 20)], // not behind the acknowledgment, which counts it already
            &[(5, 15)],
            &[(20, 30), (5, 6)], // repeated, and not the first
            &[(20, 30), (29, 45)],
            &[(20, 30), (40, 45), (44, 46)],
            &[(20, 30), (40, 50), (21, 22)],
            &[(0x6573_6372, 0x6574_0000)],
        ];
        for blocks in is_not {
            assert!(!may(&reassembler, blocks), "{blocks:?}");
        }
        reassembler.push(&Segment { flags: Flags::FIN, ..seg(50, b"") }, at(3));
        assert!(may(&reassembler, &[(40, 51)]) && !may(&reassembler, &[(40, 52)]), "the FIN counts as one");
    }

    #[test]
    fn distinguishes_retransmissions_from_conflicts() {
        let mut harness = Harness::opened();
        harness.push(&seg(0, b"abc")).push(&seg(3, b"def"));
        harness.push(&seg(0, b"abcdef"));
        assert_eq!(harness.last, Some(Disposition::Repeated), "two segments sent again as one");
        harness.push(&seg(0, b"abcdeX"));
        assert_eq!(harness.last, Some(Disposition::Conflict));
        harness.push(&seg(1, b"bc"));
        assert_eq!(
            harness.last,
            Some(Disposition::Unverified),
            "segments with other borders cannot be compared"
        );
        let (text, gaps, counters) = harness.finish();
        assert_eq!((text.as_str(), gaps.len()), ("abcdef", 0));
        assert_eq!((counters.repeated, counters.conflicts, counters.unverified), (1, 1, 1));
    }

    /// A retransmission of parts of a segment that the network card cut: none of the borders is the same.
    #[test]
    fn a_part_of_a_long_segment_is_compared_with_its_bytes() {
        let long: Vec<u8> = (0..60_000u32).map(|i| b'a' + (i % 23) as u8).collect();
        let mut harness = Harness::opened();
        harness.push(&seg(0, &long)).push(&seg(60_000, b"xyz"));
        harness.push(&seg(1448, &long[1448..2896]));
        assert_eq!(harness.last, Some(Disposition::Repeated), "from its middle");
        let across = [&long[58_000..], b"xyz"].concat();
        harness.push(&seg(58_000, &across));
        assert_eq!(harness.last, Some(Disposition::Repeated), "its end and the next segment");
        let mut forged = long[1448..2896].to_vec();
        forged[1000] ^= 1;
        harness.push(&seg(1448, &forged));
        assert_eq!(harness.last, Some(Disposition::Conflict));
    }

    #[test]
    fn forgets_the_bytes_of_the_oldest_long_segments() {
        let long = vec![b'x'; 60_000];
        let mut harness = Harness::opened();
        for i in 0..4u32 {
            harness.push(&seg(i * 60_000, &long));
            assert!(harness.reassembler.data().history_bytes <= HISTORY_BYTES);
        }
        harness.push(&seg(10, &long[10..20]));
        assert_eq!(harness.last, Some(Disposition::Unverified), "only its hash is left");
        harness.push(&seg(0, &long));
        assert_eq!(harness.last, Some(Disposition::Repeated), "the hash covers the whole segment");
        harness.push(&seg(3 * 60_000 + 10, &long[10..20]));
        assert_eq!(harness.last, Some(Disposition::Repeated));
        for i in 0..HISTORY_SEGMENTS as u32 {
            harness.push(&seg(240_000 + i, b"y"));
        }
        assert_eq!(harness.reassembler.data().history_bytes, 0, "forgotten bytes are freed");
    }

    #[test]
    fn a_keep_alive_probe_repeats_the_last_byte_or_has_a_zero() {
        let mut harness = Harness::opened();
        harness.push(&seg(0, b"abc")).push(&seg(2, b"c"));
        assert_eq!(harness.last, Some(Disposition::Repeated));
        harness.push(&seg(2, b"\0"));
        assert_eq!(harness.last, Some(Disposition::Repeated));
        harness.push(&seg(1, b"\0"));
        assert_ne!(harness.last, Some(Disposition::Repeated), "not the last byte");
        harness.push(&seg(2, b"X"));
        assert_eq!(harness.last, Some(Disposition::Conflict));
    }

    #[test]
    fn a_conflict_among_waiting_bytes_keeps_the_first_version() {
        let mut harness = Harness::opened();
        harness.push(&seg(2, b"cd")).push(&seg(1, b"bXde"));
        assert_eq!(harness.last, Some(Disposition::Conflict));
        harness.push(&seg(0, b"a"));
        assert_eq!(harness.finish().0, "abcde");
    }

    #[test]
    fn reports_missing_bytes_as_gaps_at_the_end() {
        let mut harness = Harness::opened();
        harness.push(&seg(0, b"ab")).push(&seg(5, b"fg"));
        let (text, gaps, counters) = harness.finish();
        assert_eq!(text, "ab...fg");
        assert_eq!(gaps, [(2, 3)]);
        assert_eq!((counters.gaps, counters.gap_bytes), (1, 3));
    }

    #[test]
    fn a_fin_at_another_place_is_a_conflict() {
        let fin = |offset| Segment { flags: Flags::FIN, ..seg(offset, b"") };
        let mut honest = Harness::opened();
        honest.push(&seg(0, b"abc")).push(&fin(3)).push(&fin(3));
        assert_eq!(honest.finish().2.conflicts, 0);
        let mut before = Harness::opened();
        before.push(&seg(0, b"abc")).push(&fin(2)).push(&fin(3));
        assert_eq!(before.finish().2.conflicts, 1);
        let mut inside = Harness::opened();
        inside.push(&seg(0, b"abc")).push(&fin(2));
        assert_eq!(inside.finish().2.conflicts, 1, "a byte is behind the only FIN");
        let mut outside = Harness::opened();
        outside.push(&seg(0, b"abc")).push(&fin(0_u32.wrapping_sub(1 << 25))).push(&fin(3));
        assert_eq!(outside.finish().2.conflicts, 1, "before the SYN");
        let mut waiting = Harness::opened();
        waiting.push(&fin(0)).push(&seg(1, b"b"));
        assert_eq!(waiting.finish().2.conflicts, 1);
    }

    #[test]
    fn an_acknowledgment_of_what_cannot_be_in_the_stream_is_counted() {
        let outside = |fin: bool, ack: u32| {
            let mut harness = Harness::opened();
            harness.push(&seg(0, b"abc"));
            if fin {
                harness.push(&Segment { flags: Flags::FIN, ..seg(3, b"") });
            }
            harness.reassembler.acknowledge(ISN.wrapping_add(1).wrapping_add(ack));
            harness.finish().2.out_of_window
        };
        assert_eq!([0, 1, 3, 4].map(|ack| outside(true, ack)), [0; 4]);
        assert_eq!([5, 1 << 24].map(|ack| outside(true, ack)), [1; 2], "behind the FIN");
        assert_eq!(
            [1, 2, 1 << 24].map(|back| outside(false, 0_u32.wrapping_sub(back))),
            [1; 3],
            "before the SYN"
        );
        assert_eq!(outside(false, 1 << 24), 0, "the bytes are a gap");
    }

    #[test]
    fn an_acknowledgment_before_the_first_segment_counts() {
        for (ack, missing) in [(1, 0), (3, 0), (9, 6)] {
            let mut harness = Harness::default();
            harness.reassembler.acknowledge(ISN.wrapping_add(1).wrapping_add(ack));
            harness.reassembler.acknowledge(ISN.wrapping_add(1));
            harness.push(&syn()).push(&seg(0, b"abc"));
            assert_eq!(harness.finish().2.gap_bytes, missing, "{ack}");
        }
    }

    #[test]
    fn reports_a_lost_tail_by_fin_or_acknowledgment() {
        let mut harness = Harness::opened();
        harness.push(&seg(0, b"ab"));
        harness.reassembler.acknowledge(ISN.wrapping_add(1).wrapping_add(6));
        assert_eq!(harness.finish().1, [(2, 4)]);

        let mut harness = Harness::opened();
        harness.push(&seg(0, b"ab")).push(&Segment { flags: Flags::FIN, ..seg(4, b"") });
        harness.reassembler.acknowledge(ISN.wrapping_add(1).wrapping_add(5));
        assert_eq!(harness.finish().1, [(2, 2)], "the acknowledged FIN is not a byte");
    }

    #[test]
    fn reports_a_lost_tail_by_the_number_of_a_reset() {
        let reset = |seq| Segment { flags: Flags::RST, ..seg(seq, b"") };
        for (seq, gaps) in [(6, vec![(2, 4)]), (2, vec![]), (1, vec![])] {
            let mut harness = Harness::opened();
            harness.push(&seg(0, b"ab")).push(&reset(seq));
            assert_eq!(harness.finish().1, gaps, "{seq}");
        }
        let mut refused = Harness::default();
        refused.push(&reset(0));
        assert_eq!((refused.reassembler.counters().out_of_window, refused.finish().1), (0, vec![]));
    }

    #[test]
    fn reports_bytes_cut_by_the_snaplen_as_a_gap() {
        let mut harness = Harness::opened();
        harness.push(&cut(3, seg(0, b"ab"))).push(&seg(5, b"fg"));
        let (text, gaps, counters) = harness.finish();
        assert_eq!((text.as_str(), gaps), ("ab...fg", vec![(2, 3)]));
        assert_eq!(counters.truncated, 1);
    }

    #[test]
    fn a_capture_that_begins_in_the_middle_starts_at_its_first_byte() {
        let mut harness = Harness::default();
        harness.push(&seg(1000, b"abc")).push(&seg(900, b"zzz"));
        assert_eq!(harness.last, Some(Disposition::OutOfWindow), "before the first known byte");
        assert_eq!(harness.reassembler.initial_sequence(), None);
        assert_eq!(harness.finish().0, "abc");
    }

    #[test]
    fn missing_bytes_become_a_gap_at_the_bound() {
        let mut harness = Harness::opened();
        let block = vec![b'x'; 60_000];
        let mut offset = 10;
        while harness.gaps.is_empty() {
            harness.push(&seg(offset, &block));
            offset += block.len() as u32;
            assert!(offset as usize <= MAX_PENDING_BYTES + 2 * block.len(), "the bound holds");
        }
        assert_eq!(harness.gaps, [(0, 10)]);
    }

    proptest! {
        /// The stream is the one that was sent, for any order, duplication and re-segmentation.
        #[test]
        fn any_order_gives_the_same_stream(
            text in "[a-z]{1,200}",
            cuts in prop::collection::vec((0usize..200, 1usize..40), 1..40),
        ) {
            let bytes = text.as_bytes();
            let mut harness = Harness::opened();
            let everything = (0..bytes.len()).step_by(7).map(|start| (start, 7));
            for (start, len) in cuts.into_iter().chain(everything) {
                let start = start.min(bytes.len());
                let end = (start + len).min(bytes.len());
                harness.push(&seg(start as u32, &bytes[start..end]));
                prop_assert_ne!(harness.last, Some(Disposition::Conflict));
            }
            let (stream, gaps, counters) = harness.finish();
            prop_assert_eq!(stream, text);
            prop_assert!(gaps.is_empty());
            prop_assert_eq!(counters.conflicts, 0);
        }

        /// Hostile sequence numbers cause no panic, and the pending pieces stay within their bounds.
        #[test]
        fn any_segments_leave_nothing_pending_at_the_end(
            segments in prop::collection::vec((any::<u32>(), 0usize..50, any::<[bool; 3]>(), 0u32..9), 1..80),
        ) {
            let payload = [7u8; 50];
            let mut reassembler = Reassembler::default();
            for (seq, len, [syn, fin, rst], missing) in segments {
                let flag = |is_set, flag: Flags| if is_set { flag.0 } else { 0 };
                let flags = Flags(flag(syn, Flags::SYN) | flag(fin, Flags::FIN) | flag(rst, Flags::RST));
                let segment = cut(missing, Segment { seq, flags, ..seg(0, &payload[..len]) });
                reassembler.push(&segment, at(1));
                reassembler.acknowledge(seq.wrapping_mul(3));
                while reassembler.pop().is_some() {}
            }
            reassembler.finish();
            while reassembler.pop().is_some() {}
            prop_assert_eq!(reassembler.pending_bytes(), 0);
        }
    }
}
