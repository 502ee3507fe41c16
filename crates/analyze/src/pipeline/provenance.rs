//! Maps bytes of any layer back to the frames that carry them.
//!
//! ```text
//!   plaintext, body, message      a range of offsets in that layer
//!        │ Source                 where the layer's bytes come from: TLS records, the stream itself
//!        v
//!   TCP stream                    stream offsets
//!        │ FrameMap
//!        v
//!   capture                       frame numbers, offset in the file
//! ```

use std::collections::VecDeque;
use std::ops::Range;

use dissect::capture::Record;
use dissect::flow::{Direction, PerDirection};
use dissect::tcp::{Chunk, Origin};

/// Maximum number of frames named for one location. A body of 1 MiB in segments of 1,448 bytes has 725.
pub(crate) const MAX_FRAMES: usize = 1024;

/// Maximum number of segments remembered for one direction. Only segments that a match, a message or a TLS record may
/// still refer to are kept; a body of 90 MiB fits. Beyond the limit, locations lack their first frames.
pub(crate) const MAX_SEGMENTS: usize = 65_536;

/// Maximum number of steps in a decode chain: TLS, a protocol, its framing, four content codings
/// (`dissect::content::MAX_STACK`), and room for a protocol inside a protocol.
const MAX_STEPS: usize = 10;

/// Position of bytes in the capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// All frames that contribute, in ascending order, at most [`MAX_FRAMES`].
    pub frames: Vec<u64>,
    /// Offset in the capture file of the first byte.
    pub file_offset: u64,
    /// The TCP stream, as Wireshark numbers it; `None` outside of any.
    pub stream: Option<u32>,
    pub direction: Option<Direction>,
    /// Offset in the stream of the first byte; `None` for bytes that did not join a stream.
    pub stream_offset: Option<u64>,
    /// Number of bytes on the wire that carry them.
    pub wire_len: u64,
    /// For whole TLS records, the stream offsets of exactly the ciphertext.
    pub ciphertext: Option<Range<u64>>,
}

impl Location {
    /// The location of bytes of a frame that are outside of its stream.
    pub(crate) fn in_frame(
        record: &Record<'_>,
        bytes: Range<usize>,
        stream: Option<(u32, Direction)>,
    ) -> Self {
        Self {
            frames: vec![record.frame],
            file_offset: record.file_offset + bytes.start as u64,
            stream: stream.map(|(stream, _)| stream),
            direction: stream.map(|(_, direction)| direction),
            stream_offset: None,
            wire_len: bytes.len() as u64,
            ciphertext: None,
        }
    }
}

/// The stream of a message within its connection: a request and its answer have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpStream {
    /// A stream of HTTP/2 (RFC 9113 §5.1.1), in a TCP connection.
    Http2(u32),
    /// A stream of HTTP/3 (RFC 9114 §6.1), in a QUIC session.
    Http3 {
        /// Number of the session, in the order of their first datagrams.
        session: u32,
        /// Number of the stream (RFC 9000 §2.1).
        stream: u64,
    },
}

/// The steps that lead from the wire to a sequence of bytes, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DecodeChain {
    steps: [&'static str; MAX_STEPS],
    len: usize,
}

impl DecodeChain {
    /// Adds a step. A full chain keeps its outer steps.
    pub(crate) fn then(mut self, step: &'static str) -> Self {
        if let Some(free) = self.steps.get_mut(self.len) {
            *free = step;
            self.len += 1;
        }
        self
    }

    /// The steps, outermost first.
    pub(crate) fn as_slice(&self) -> &[&'static str] {
        &self.steps[..self.len]
    }
}

/// Where the bytes of one sequence come from.
pub(crate) trait Provenance {
    /// The location on the wire of a range of the sequence.
    fn locate(&self, range: Range<u64>) -> Location;

    /// Whether the sequence below contains the same bytes contiguously.
    fn is_below(&self, _range: Range<u64>) -> bool {
        false
    }

    /// Whether one frame carries a range of the sequence unchanged.
    fn is_in_one_frame(&self, _range: Range<u64>) -> bool {
        false
    }
}

/// Where both directions of a protocol's input come from.
pub(crate) trait Source {
    /// The location on the wire of a range of the input.
    fn locate(&self, direction: Direction, range: Range<u64>) -> Location;
    /// Offset in the TCP stream of a byte of the input, or of the record that carries it.
    fn stream_offset(&self, direction: Direction, offset: u64) -> u64;
    /// The frame that carries a byte of the input in the clear; `None` if it is encrypted, or if the frame is no longer
    /// known.
    fn visible_frame(&self, direction: Direction, offset: u64) -> Option<u64>;
    /// The frame of the last byte before `end`; 0 if it is no longer known.
    fn frame_before(&self, direction: Direction, end: u64) -> u64;
    /// Whether one frame carries a range of the input unchanged.
    fn is_in_one_frame(&self, direction: Direction, range: Range<u64>) -> bool;
    /// The decode chain that leads to the input.
    fn chain(&self) -> DecodeChain;
    /// Whether reading the input needs a secret.
    fn needs_secret(&self) -> bool;
    /// The stream of HTTP/2 that carries the input, if one does (RFC 8441).
    fn http_stream(&self) -> Option<HttpStream> {
        None
    }
}

/// The location of several ranges of an input together.
pub(crate) fn locate_all(ranges: &[Range<u64>], direction: Direction, source: &dyn Source) -> Location {
    let mut parts = ranges.iter().map(|range| source.locate(direction, range.clone()));
    let mut location = parts.next().unwrap_or_else(|| source.locate(direction, 0..0));
    for part in parts {
        location.frames.extend(part.frames);
        location.wire_len += part.wire_len;
        location.ciphertext = match (location.ciphertext, part.ciphertext) {
            (Some(all), Some(part)) => Some(all.start.min(part.start)..all.end.max(part.end)),
            (all, part) => all.or(part),
        };
    }
    location.frames.sort_unstable();
    location.frames.dedup();
    location.frames.truncate(MAX_FRAMES);
    location
}

/// One location for a whole sequence: the output that a decoder produced from one range of its input.
pub(crate) struct Whole<'a> {
    /// Where the input comes from.
    pub source: &'a dyn Source,
    pub direction: Direction,
    /// The range of the input.
    pub range: Range<u64>,
}

impl Provenance for Whole<'_> {
    fn locate(&self, _range: Range<u64>) -> Location {
        self.source.locate(self.direction, self.range.clone())
    }
}

/// Any function from a range to its location.
pub(crate) struct LocateBy<F>(pub F);

impl<F: Fn(Range<u64>) -> Location> Provenance for LocateBy<F> {
    fn locate(&self, range: Range<u64>) -> Location {
        (self.0)(range)
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    stream_offset: u64,
    len: u32,
    origin: Origin,
}

/// Maps ranges of one direction of a stream to the frames that carried them.
#[derive(Debug, Default)]
pub(crate) struct FrameMap {
    entries: VecDeque<Entry>,
}

impl FrameMap {
    /// Adds the frame of a chunk.
    #[inline]
    pub(crate) fn push(&mut self, chunk: &Chunk<'_>) {
        self.add(chunk.stream_offset, chunk.bytes.len(), chunk.origin);
    }

    /// Adds the frame of the next bytes, which are at this offset.
    #[inline]
    pub(crate) fn add(&mut self, stream_offset: u64, len: usize, origin: Origin) {
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(1); // many open connections have one segment in each direction
        }
        if self.entries.len() == MAX_SEGMENTS {
            self.entries.pop_front();
        }
        let len = len as u32; // a frame is far below 4 GiB
        self.entries.push_back(Entry { stream_offset, len, origin });
    }

    /// Forgets the segments that end at or before `stream_offset`.
    #[inline]
    pub(crate) fn forget_before(&mut self, stream_offset: u64) {
        while let Some(first) = self.entries.front()
            && first.stream_offset + u64::from(first.len) <= stream_offset
        {
            self.entries.pop_front();
        }
    }

    /// Bytes of memory that it takes.
    pub(crate) fn kept(&self) -> usize {
        self.entries.len() * size_of::<Entry>()
    }

    /// The location of a range of the stream: of this TCP connection, or of a QUIC session.
    fn location(&self, stream: Option<u32>, direction: Direction, range: Range<u64>) -> Location {
        let Range { start, end } = range;
        let mut location = Location {
            frames: Vec::new(),
            file_offset: 0,
            stream,
            direction: Some(direction),
            stream_offset: stream.map(|_| start),
            wire_len: end.saturating_sub(start),
            ciphertext: None,
        };
        let first = self.index(start);
        for entry in self.entries.range(first..).take_while(|entry| entry.stream_offset < end) {
            if location.frames.is_empty() {
                location.file_offset = entry.origin.file_offset + start.saturating_sub(entry.stream_offset);
            }
            if location.frames.len() < MAX_FRAMES {
                location.frames.push(entry.origin.frame);
            }
        }
        location.frames.sort_unstable();
        location.frames.dedup();
        location
    }

    /// The frame of the byte at an offset; `None` if that is no longer known.
    pub(crate) fn frame_at(&self, offset: u64) -> Option<u64> {
        let entry = self.entries.get(self.index(offset))?;
        (entry.stream_offset <= offset).then_some(entry.origin.frame)
    }

    /// The frame of the last byte before `end`; 0 if that is no longer known.
    pub(crate) fn frame_before(&self, end: u64) -> u64 {
        let last = self.entries.iter().rev().find(|entry| entry.stream_offset < end);
        last.map_or(0, |entry| entry.origin.frame)
    }

    /// Index of the first entry that ends behind an offset.
    fn index(&self, offset: u64) -> usize {
        self.entries.partition_point(|entry| entry.stream_offset + u64::from(entry.len) <= offset)
    }
}

/// One direction of a TCP connection, as on the wire, or of a stream in a QUIC session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectionFrames<'a> {
    stream: Option<u32>,
    direction: Direction,
    map: &'a FrameMap,
}

impl<'a> DirectionFrames<'a> {
    /// One direction of a stream in a QUIC session.
    pub(crate) fn in_quic(direction: Direction, map: &'a FrameMap) -> Self {
        Self { stream: None, direction, map }
    }
}

impl Provenance for DirectionFrames<'_> {
    fn locate(&self, range: Range<u64>) -> Location {
        self.map.location(self.stream, self.direction, range)
    }

    fn is_in_one_frame(&self, range: Range<u64>) -> bool {
        self.map.entries.get(self.map.index(range.start)).is_some_and(|entry| {
            entry.stream_offset <= range.start && entry.stream_offset + u64::from(entry.len) >= range.end
        })
    }
}

/// Both directions of a TCP connection, as on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamFrames<'a> {
    /// Number of the connection.
    pub stream: u32,
    /// The frames of each direction.
    pub maps: &'a PerDirection<FrameMap>,
}

impl<'a> StreamFrames<'a> {
    pub(crate) fn of(&self, direction: Direction) -> DirectionFrames<'a> {
        DirectionFrames { stream: Some(self.stream), direction, map: &self.maps[direction] }
    }
}

impl Source for StreamFrames<'_> {
    fn locate(&self, direction: Direction, range: Range<u64>) -> Location {
        self.of(direction).locate(range)
    }

    fn stream_offset(&self, _direction: Direction, offset: u64) -> u64 {
        offset
    }

    fn visible_frame(&self, direction: Direction, offset: u64) -> Option<u64> {
        self.maps[direction].frame_at(offset)
    }

    fn frame_before(&self, direction: Direction, end: u64) -> u64 {
        self.maps[direction].frame_before(end)
    }

    fn is_in_one_frame(&self, direction: Direction, range: Range<u64>) -> bool {
        self.of(direction).is_in_one_frame(range)
    }

    fn chain(&self) -> DecodeChain {
        DecodeChain::default()
    }

    fn needs_secret(&self) -> bool {
        false
    }
}
