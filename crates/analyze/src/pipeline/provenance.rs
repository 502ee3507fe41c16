//! From a range of a TCP stream back to the frames that carry it.

use std::collections::VecDeque;

use dissect::flow::Direction;
use dissect::tcp::{Chunk, Origin};

use crate::observe::hits::{MAX_FRAMES, Place};

/// Most segments remembered for one direction. Only what a match, a message or a TLS record may still refer to is kept;
/// a body of 90 MiB fits. Beyond it the first frames of what is found are not named.
pub(crate) const MAX_SEGMENTS: usize = 65_536;

#[derive(Clone, Copy, Debug)]
struct Entry {
    stream_offset: u64,
    len: u32,
    origin: Origin,
}

/// Which frame carried which part of one direction.
#[derive(Debug)]
pub(crate) struct FrameMap {
    stream: u32,
    side: Direction,
    entries: VecDeque<Entry>,
}

impl FrameMap {
    /// The empty map of one direction of a stream.
    pub(crate) fn new(stream: u32, side: Direction) -> Self {
        Self { stream, side, entries: VecDeque::new() }
    }

    /// The number of the stream.
    pub(crate) fn stream(&self) -> u32 {
        self.stream
    }

    /// Notes the frame of a chunk.
    pub(crate) fn push(&mut self, chunk: &Chunk<'_>) {
        if self.entries.len() == MAX_SEGMENTS {
            self.entries.pop_front();
        }
        let len = chunk.bytes.len() as u32; // a frame is far below 4 GiB
        self.entries.push_back(Entry { stream_offset: chunk.stream_offset, len, origin: chunk.origin });
    }

    /// Forgets what lies wholly before `stream_offset`.
    pub(crate) fn forget_before(&mut self, stream_offset: u64) {
        while let Some(first) = self.entries.front()
            && first.stream_offset + u64::from(first.len) <= stream_offset
        {
            self.entries.pop_front();
        }
    }

    /// The place of a range of the stream.
    pub(crate) fn place(&self, start: u64, end: u64) -> Place {
        let mut place = Place {
            frames: Vec::new(),
            file_offset: 0,
            stream: Some(self.stream),
            side: Some(self.side),
            stream_offset: Some(start),
            wire_len: end.saturating_sub(start),
            ciphertext: None,
        };
        let first = self.index(start);
        for entry in self.entries.range(first..).take_while(|entry| entry.stream_offset < end) {
            if place.frames.is_empty() {
                place.file_offset = entry.origin.file_offset + start.saturating_sub(entry.stream_offset);
            }
            if place.frames.len() < MAX_FRAMES {
                place.frames.push(entry.origin.frame);
            }
        }
        place.frames.sort_unstable();
        place.frames.dedup();
        place
    }

    /// Whether one frame carries the whole range.
    pub(crate) fn is_in_one_frame(&self, start: u64, end: u64) -> bool {
        self.entries.get(self.index(start)).is_some_and(|entry| {
            entry.stream_offset <= start && entry.stream_offset + u64::from(entry.len) >= end
        })
    }

    /// Frame of the byte at an offset; `None` where that is not remembered.
    pub(crate) fn frame_at(&self, offset: u64) -> Option<u64> {
        let entry = self.entries.get(self.index(offset))?;
        (entry.stream_offset <= offset).then_some(entry.origin.frame)
    }

    /// The first entry that ends behind an offset.
    fn index(&self, offset: u64) -> usize {
        self.entries.partition_point(|entry| entry.stream_offset + u64::from(entry.len) <= offset)
    }

    /// Frame of the last byte before `end`.
    pub(crate) fn frame_before(&self, end: u64) -> u64 {
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.stream_offset < end)
            .map_or(0, |entry| entry.origin.frame)
    }
}
