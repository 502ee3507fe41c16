//! The streams of one direction, put together from STREAM frames in any order (RFC 9000 §2.2).

use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of streams whose state is kept in one direction. A repeated frame of an older one is left out.
pub const MAX_STREAMS: usize = 4096;

/// Bytes that may wait for missing bytes, in one direction of a connection: twice the window that servers usually give.
pub const MAX_WAITING: usize = 1 << 20;

/// What a waiting piece counts beside its bytes.
const PIECE_OVERHEAD: usize = 64;

/// What a stream counts in [`Streams::kept`].
const STREAM_OVERHEAD: usize = 128;

/// The kinds of streams, by the two lowest bits of their number (RFC 9000 §2.1).
const KINDS: usize = 4;

/// Where bytes are in the capture. Those of a stream are where the ciphertext is that they come from, which is as long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the frame.
    pub frame: u64,
    /// Offset in the file of the first byte.
    pub file_offset: u64,
}

impl Place {
    /// The place of a byte behind the first one.
    pub(super) fn skip(self, bytes: usize) -> Self {
        Self { file_offset: self.file_offset.saturating_add(bytes as u64), ..self }
    }
}

/// Something in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent<'a> {
    /// Its next bytes.
    Data {
        /// The bytes, all from one packet.
        bytes: &'a [u8],
        /// Where they are.
        place: Place,
    },
    /// So many of its next bytes are missing.
    Gap(u64),
    /// It ends behind what came before.
    End,
    /// Its sender gives it up.
    Reset,
}

/// The streams of one direction.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: BTreeMap<u64, Stream>,
    /// Those with pieces that wait.
    with_pieces: BTreeSet<u64>,
    /// The highest number, of each kind, of a stream whose state is no longer kept.
    forgotten: [Option<u64>; KINDS],
    waiting: usize,
    /// Whether bytes were left out because of a bound.
    pub(super) is_over_bound: bool,
}

#[derive(Debug, Default)]
struct Stream {
    /// Offset of the next byte.
    next: u64,
    /// What came behind missing bytes, by its offset.
    pieces: BTreeMap<u64, (Vec<u8>, Place)>,
    /// Its length, if it is known.
    len: Option<u64>,
    is_over: bool,
}

impl Streams {
    /// Adds the bytes of a frame, and calls `each` for what is complete with it. Where bytes came before, the first
    /// ones stay.
    pub(super) fn push(
        &mut self,
        id: u64,
        offset: u64,
        data: &[u8],
        is_last: bool,
        place: Place,
        each: &mut impl FnMut(u64, StreamEvent<'_>),
    ) {
        let Some(end) = offset.checked_add(data.len() as u64) else { return };
        let Some(stream) = self.state(id) else { return };
        if is_last {
            stream.len = Some(end);
        }
        if end > stream.next && offset > stream.next {
            let known = stream.pieces.get(&offset).map_or(0, |(bytes, _)| bytes.len());
            if known < data.len() {
                stream.pieces.insert(offset, (data.to_vec(), place));
                self.with_pieces.insert(id);
                let (before, after) = (piece_size(known), piece_size(data.len()));
                self.waiting = (self.waiting + after).saturating_sub(before);
            }
        } else {
            stream.deliver(id, offset, data, place, each);
        }
        self.deliver_ready(id, each);
        while self.waiting > MAX_WAITING
            && let Some(id) = self.with_pieces.first().copied()
        {
            self.is_over_bound = true;
            self.abandon_gap(id, each);
        }
    }

    /// Bytes of memory that are kept, with an estimate for the state of streams.
    pub(super) fn kept(&self) -> usize {
        self.waiting + self.streams.len() * STREAM_OVERHEAD
    }

    /// The sender gives a stream up.
    pub(super) fn reset(&mut self, id: u64, each: &mut impl FnMut(u64, StreamEvent<'_>)) {
        if let Some(stream) = self.state(id)
            && !stream.is_over
        {
            stream.is_over = true;
            let freed = stream.drop_pieces();
            self.waiting = self.waiting.saturating_sub(freed);
            self.with_pieces.remove(&id);
            each(id, StreamEvent::Reset);
        }
    }

    /// Ends the capture: what waits is behind bytes that never come.
    pub(super) fn finish(&mut self, each: &mut impl FnMut(u64, StreamEvent<'_>)) {
        while let Some(id) = self.with_pieces.first().copied() {
            self.abandon_gap(id, each);
        }
    }

    /// The state of a stream, if it is kept.
    fn state(&mut self, id: u64) -> Option<&mut Stream> {
        if !self.streams.contains_key(&id) {
            let forgotten = *self.forgotten.get((id % KINDS as u64) as usize)?;
            if forgotten.is_some_and(|forgotten| id <= forgotten) {
                return None;
            }
            if self.streams.len() >= MAX_STREAMS
                && let Some((oldest, mut stream)) = self.streams.pop_first()
            {
                self.is_over_bound |= !stream.is_over;
                self.waiting = self.waiting.saturating_sub(stream.drop_pieces());
                self.with_pieces.remove(&oldest);
                let forgotten = self.forgotten.get_mut((oldest % KINDS as u64) as usize)?;
                *forgotten = (*forgotten).max(Some(oldest));
            }
        }
        Some(self.streams.entry(id).or_default())
    }

    /// Gives up the missing bytes in front of a stream's first waiting piece.
    fn abandon_gap(&mut self, id: u64, each: &mut impl FnMut(u64, StreamEvent<'_>)) {
        if let Some(stream) = self.streams.get_mut(&id)
            && let Some(offset) = stream.pieces.keys().next().copied()
        {
            each(id, StreamEvent::Gap(offset.saturating_sub(stream.next)));
            stream.next = offset;
        }
        self.deliver_ready(id, each);
    }

    /// Delivers the pieces of a stream that wait for nothing, and its end.
    fn deliver_ready(&mut self, id: u64, each: &mut impl FnMut(u64, StreamEvent<'_>)) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let mut freed = 0;
        while let Some(first) = stream.pieces.first_entry().filter(|first| *first.key() <= stream.next) {
            let (offset, (bytes, place)) = first.remove_entry();
            freed += piece_size(bytes.len());
            stream.deliver(id, offset, &bytes, place, each);
        }
        if stream.len.is_some_and(|len| stream.next >= len) && !stream.is_over {
            stream.is_over = true;
            freed += stream.drop_pieces();
            each(id, StreamEvent::End);
        }
        if stream.pieces.is_empty() {
            self.with_pieces.remove(&id);
        }
        self.waiting = self.waiting.saturating_sub(freed);
    }
}

/// What a piece with so many bytes counts.
fn piece_size(len: usize) -> usize {
    if len > 0 { len + PIECE_OVERHEAD } else { 0 }
}

impl Stream {
    /// Drops what waits. Returns what it counted.
    fn drop_pieces(&mut self) -> usize {
        std::mem::take(&mut self.pieces).values().map(|(bytes, _)| piece_size(bytes.len())).sum()
    }

    /// Delivers the bytes that are new of a piece that begins at or before the next one.
    fn deliver(
        &mut self,
        id: u64,
        offset: u64,
        data: &[u8],
        place: Place,
        each: &mut impl FnMut(u64, StreamEvent<'_>),
    ) {
        let before = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = data.get(before..).unwrap_or_default();
        if !bytes.is_empty() && !self.is_over {
            self.next += bytes.len() as u64;
            each(id, StreamEvent::Data { bytes, place: place.skip(before) });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place = Place { frame: 1, file_offset: 0 };

    fn joined(found: &mut (Vec<u8>, u64, u32), event: StreamEvent<'_>) {
        match event {
            StreamEvent::Data { bytes, .. } => found.0.extend(bytes),
            StreamEvent::Gap(len) => found.1 += len,
            StreamEvent::End => found.2 += 1,
            StreamEvent::Reset => found.2 += 100,
        }
    }

    #[test]
    fn gives_up_missing_bytes_at_the_end_and_at_the_bound() {
        let mut streams = Streams::default();
        let mut found = (Vec::new(), 0, 0);
        streams.push(0, 5, b"late", true, PLACE, &mut |_, event| joined(&mut found, event));
        streams.push(0, 0, b"ab", false, PLACE, &mut |_, event| joined(&mut found, event));
        assert_eq!(found, (b"ab".to_vec(), 0, 0));
        streams.finish(&mut |_, event| joined(&mut found, event));
        assert_eq!((found, streams.waiting), ((b"ablate".to_vec(), 3, 1), 0));
        assert!(streams.with_pieces.is_empty());
        let mut streams = Streams::default();
        let mut gaps = 0;
        for at in 0..3000_u64 {
            streams.push(at % 7 * 4, 10 + at * 2000, &[1; 1000], false, PLACE, &mut |_, event| {
                gaps += u64::from(matches!(event, StreamEvent::Gap(_)));
            });
            assert!(streams.waiting <= MAX_WAITING);
        }
        assert!(gaps > 1500 && streams.is_over_bound);
    }

    #[test]
    fn remembers_which_streams_are_over() {
        let mut streams = Streams::default();
        let mut data = 0;
        for id in 0..2 * MAX_STREAMS as u64 {
            for _ in 0..2 {
                streams.push(id * 4, 0, b"x", true, PLACE, &mut |_, event| {
                    data += u64::from(matches!(event, StreamEvent::Data { .. }));
                });
            }
        }
        streams.push(0, 0, b"x", true, PLACE, &mut |_, _| panic!("the first stream is over"));
        assert_eq!((data, streams.streams.len()), (2 * MAX_STREAMS as u64, MAX_STREAMS));
        assert!(!streams.is_over_bound);
        let mut found = (Vec::new(), 0, 0);
        streams.push(1, 3, b"x", false, PLACE, &mut |_, event| joined(&mut found, event));
        streams.reset(1, &mut |_, event| joined(&mut found, event));
        streams.reset(1, &mut |_, event| joined(&mut found, event));
        assert_eq!((found, streams.waiting), ((vec![], 0, 100), 0));
    }

    proptest! {
        /// Any pieces that cover a stream, in any order and with any overlaps, give the same bytes.
        #[test]
        fn order_and_overlaps_change_nothing(
            bytes in prop::collection::vec(any::<u8>(), 1..400),
            cuts in prop::collection::vec((0_usize..400, 1_usize..60), 0..30),
            order in any::<prop::sample::Index>(),
        ) {
            let mut pieces: Vec<_> =
                cuts.into_iter().map(|(at, len)| at.min(bytes.len())..(at + len).min(bytes.len())).collect();
            pieces.extend((0..bytes.len()).step_by(37).map(|at| at..(at + 37).min(bytes.len())));
            let middle = order.index(pieces.len());
            pieces.rotate_left(middle);
            let mut streams = Streams::default();
            let mut found = (Vec::new(), 0, 0);
            for piece in pieces {
                let is_last = piece.end == bytes.len();
                let offset = piece.start as u64;
                streams.push(8, offset, &bytes[piece], is_last, PLACE, &mut |_, event| joined(&mut found, event));
            }
            prop_assert_eq!(found, (bytes, 0, 1));
            prop_assert_eq!(streams.waiting, 0);
        }
    }
}
