//! The observer of an exchange: all that an analysis observes, and which frame carries which bytes of a stream.

use std::collections::HashMap;
use std::ops::Range;

use dissect::flow::Direction;
use dissect::tcp::Chunk;

use crate::observe::CaptureObserver;
use crate::observe::hits::SearchState;
use crate::observe::packet_rows::PacketRows;
use crate::pipeline::fact::{Bytes, Fact, FrameBytes, Observer};
use crate::pipeline::provenance::{Location, Provenance};

/// The observer.
#[derive(Debug)]
pub(super) struct ExchangeObserver<'k> {
    pub capture: CaptureObserver<'k>,
    pub rows: PacketRows,
    pub carriers: Carriers,
}

/// Which frame carries which bytes.
#[derive(Debug, Default)]
pub(super) struct Carriers {
    /// File offset of each frame, in ascending order.
    frames: Vec<u64>,
    /// The segments of each direction of each connection, in the order of the stream.
    streams: HashMap<(u32, Direction), Vec<Carrier>>,
}

/// A segment that joined its stream.
#[derive(Clone, Debug)]
struct Carrier {
    /// Stream offsets.
    range: Range<u64>,
    /// Index of the frame.
    frame: usize,
    /// Offset in the frame of the first byte.
    at: usize,
}

/// Bytes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    /// Index of the frame.
    pub frame: usize,
    /// Offsets in the frame.
    pub range: Range<usize>,
}

impl<'k> ExchangeObserver<'k> {
    pub(super) fn new(capture: CaptureObserver<'k>) -> Self {
        Self { capture, rows: PacketRows::default(), carriers: Carriers::default() }
    }
}

impl Carriers {
    fn chunk(&mut self, stream: u32, direction: Direction, chunk: &Chunk<'_>) {
        let Some(frame) = (chunk.origin.frame as usize).checked_sub(1) else { return };
        let Some(start) = self.frames.get(frame) else { return };
        let at = (chunk.origin.file_offset - start) as usize;
        let range = chunk.stream_offset..chunk.stream_offset + chunk.bytes.len() as u64;
        self.streams.entry((stream, direction)).or_default().push(Carrier { range, frame, at });
    }

    /// The bytes of frames that a location names, in the order of the stream.
    pub(super) fn of<'c>(&'c self, location: &Location) -> impl Iterator<Item = Carried> + use<'c> {
        let in_stream = location.stream_offset.zip(location.stream).zip(location.direction);
        let stream = in_stream.and_then(|((start, stream), direction)| {
            let range = start..start.saturating_add(location.wire_len);
            Some((range, self.streams.get(&(stream, direction))?))
        });
        let single = if in_stream.is_none() { self.in_frame(location) } else { None };
        let (range, carriers) = stream.map_or((0..0, &[][..]), |(range, carriers)| (range, &carriers[..]));
        let first = carriers.partition_point(|carrier| carrier.range.end <= range.start);
        let end = range.end;
        let several = carriers[first..]
            .iter()
            .take_while(move |carrier| carrier.range.start < end)
            .map(move |carrier| carrier.part(&range));
        single.into_iter().chain(several)
    }

    fn in_frame(&self, location: &Location) -> Option<Carried> {
        let frame = (*location.frames.first()? as usize).checked_sub(1)?;
        let start = location.file_offset.checked_sub(*self.frames.get(frame)?)? as usize;
        Some(Carried { frame, range: start..start + location.wire_len as usize })
    }
}

impl Carrier {
    /// The part of the segment that belongs to these stream offsets.
    fn part(&self, range: &Range<u64>) -> Carried {
        let in_frame = |offset: u64| self.at + (offset - self.range.start) as usize;
        let start = in_frame(range.start.max(self.range.start));
        let end = in_frame(range.end.min(self.range.end));
        Carried { frame: self.frame, range: start..end }
    }
}

impl Observer for ExchangeObserver<'_> {
    type Memory = SearchState;

    fn observe(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Frame(record, _) => self.carriers.frames.push(record.file_offset),
            Fact::Chunk(stream, direction, chunk) => self.carriers.chunk(*stream, *direction, chunk),
            _ => {}
        }
        self.rows.observe(fact);
        self.capture.observe(fact);
    }

    fn bytes(&mut self, state: &mut SearchState, bytes: &Bytes<'_>, provenance: &dyn Provenance) {
        self.capture.bytes(state, bytes, provenance);
    }

    fn decide(&mut self, state: &mut SearchState, authentic: Range<u64>, provenance: &dyn Provenance) {
        self.capture.decide(state, authentic, provenance);
    }

    fn gap(&mut self, state: &mut SearchState, len: u64) {
        self.capture.gap(state, len);
    }

    fn keep_from(&self, state: &SearchState) -> u64 {
        self.capture.keep_from(state)
    }

    fn frame_bytes(&mut self, frame: &FrameBytes<'_>) {
        self.capture.frame_bytes(frame);
    }
}
