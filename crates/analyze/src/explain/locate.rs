//! Finds a frame, its connection, and the place of its payload in the stream.

use dissect::flow::Direction;
use dissect::link::LinkType;

use super::Piece;
use crate::pipeline::fact::{Fact, FactObserver};

/// The frame as it was captured.
#[derive(Debug)]
pub(super) struct Found {
    pub link_type: LinkType,
    pub captured_at: u64,
    pub original_len: u32,
    pub file_offset: u64,
    pub bytes: Vec<u8>,
}

/// The observer.
#[derive(Debug)]
pub(super) struct Locate {
    number: u64,
    /// Number of frames in the capture.
    pub frames: u64,
    pub frame: Option<Found>,
    pub stream: Option<(u32, Direction)>,
    /// The parts of the payload that joined the stream.
    pub pieces: Vec<Piece>,
}

impl Locate {
    pub(super) fn of(number: u64) -> Self {
        Self { number, frames: 0, frame: None, stream: None, pieces: Vec::new() }
    }
}

impl FactObserver for Locate {
    fn observe(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Frame(record, _) => {
                self.frames = record.frame;
                if record.frame == self.number {
                    self.frame = Some(Found {
                        link_type: record.link_type,
                        captured_at: record.captured_at,
                        original_len: record.original_len,
                        file_offset: record.file_offset,
                        bytes: record.bytes.to_vec(),
                    });
                }
            }
            Fact::Segment(segment) if segment.frame == self.number => {
                self.stream = Some((segment.stream, segment.direction));
            }
            Fact::Chunk(_, _, chunk) if chunk.origin.frame == self.number => {
                let start = self.frame.as_ref().map_or(0, |frame| frame.file_offset);
                let range = chunk.stream_offset..chunk.stream_offset + chunk.bytes.len() as u64;
                self.pieces.push(Piece { at: (chunk.origin.file_offset - start) as usize, range });
            }
            _ => {}
        }
    }
}
