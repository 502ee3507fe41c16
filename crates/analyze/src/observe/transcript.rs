//! What crossed on each connection until the first exchange of the run was seen, for people to look at.
//!
//! Which connection carries that exchange is known when its answer is over. Until then the beginning of every connection
//! is kept, within bounds; afterwards only the one.

use std::collections::{BTreeMap, VecDeque};

use dissect::capture::Record;
use dissect::flow::{Direction, PerDirection};
use dissect::frame::Frame;
use dissect::tcp::{Chunk, Origin};

use crate::pipeline::frames::wire_len;

/// Bytes kept of each direction of a connection: a TLS handshake of 3 KiB, a request and its answer.
pub(crate) const MAX_SHOWN: u64 = 8 << 10;

/// Bytes kept of a frame: all of an ordinary one.
pub(crate) const MAX_FRAME: usize = 2048;

/// Bytes kept of all connections together. The first exchange of a run comes early; where many connections were open
/// before it, it is not shown.
pub(crate) const MAX_KEPT: usize = 2 << 20;

/// Frames with payload that are kept until their stream has taken them: one window of segments behind a lost one.
const MAX_RECENT: usize = 64;

/// Pieces kept of one connection. The first exchange takes a handful; one-byte segments are made up.
const MAX_PIECES: usize = 4096;

/// The transcripts of the connections.
#[derive(Debug)]
pub(crate) struct Transcripts {
    by_stream: BTreeMap<u32, Transcript>,
    recent: VecDeque<KeptFrame>,
    kept: usize,
    is_settled: bool,
}

/// The beginning of one connection.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// What each segment added, in the order in which both streams grew.
    pub pieces: Vec<Piece>,
    /// The frames of the pieces.
    pub frames: BTreeMap<u64, KeptFrame>,
    shown: PerDirection<u64>,
    kept: usize,
}

/// What one segment added to its stream.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Which way it went.
    pub direction: Direction,
    /// Stream offset of its first byte.
    pub stream_offset: u64,
    /// Bytes of it.
    pub len: u64,
    /// Where in the capture it is.
    pub origin: Origin,
    /// Its first bytes, as far as they are among the first [`MAX_SHOWN`] of the direction.
    pub bytes: Box<[u8]>,
}

/// The beginning of a frame.
#[derive(Debug)]
pub(crate) struct KeptFrame {
    /// Its number.
    pub frame: u64,
    /// Offset in the capture file of its first byte.
    pub file_offset: u64,
    /// Bytes it had on the wire.
    pub wire_bytes: u64,
    /// Where in the frame its TCP payload begins.
    pub payload_offset: u32,
    /// Its first [`MAX_FRAME`] bytes.
    pub bytes: Box<[u8]>,
}

impl Transcripts {
    /// Nothing seen yet.
    pub(crate) fn new() -> Self {
        Self { by_stream: BTreeMap::new(), recent: VecDeque::new(), kept: 0, is_settled: false }
    }

    /// Takes a frame.
    #[inline]
    pub(crate) fn frame(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        if self.is_settled {
            return;
        }
        if let Some(tcp) = frame.tcp()
            && !tcp.payload.is_empty()
        {
            if self.recent.len() == MAX_RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(KeptFrame {
                frame: record.frame,
                file_offset: record.file_offset,
                wire_bytes: wire_len(record),
                payload_offset: tcp.payload_offset,
                bytes: record.bytes.get(..MAX_FRAME).unwrap_or(record.bytes).into(),
            });
        }
    }

    /// Takes the next bytes of a stream.
    #[inline]
    pub(crate) fn chunk(&mut self, stream: u32, direction: Direction, chunk: &Chunk<'_>) {
        if !self.is_settled && self.kept < MAX_KEPT {
            self.keep(stream, direction, chunk);
        }
    }

    fn keep(&mut self, stream: u32, direction: Direction, chunk: &Chunk<'_>) {
        let transcript = self.by_stream.entry(stream).or_default();
        if transcript.pieces.len() == MAX_PIECES {
            return;
        }
        let before = transcript.kept;
        let room = MAX_SHOWN.saturating_sub(transcript.shown[direction]).min(chunk.bytes.len() as u64);
        transcript.shown[direction] += room;
        transcript.pieces.push(Piece {
            direction,
            stream_offset: chunk.stream_offset,
            len: chunk.bytes.len() as u64,
            origin: chunk.origin,
            bytes: chunk.bytes[..room as usize].into(),
        });
        transcript.kept += size_of::<Piece>() + room as usize;
        if let Some(at) = self.recent.iter().rposition(|kept| kept.frame == chunk.origin.frame)
            && let Some(frame) = self.recent.remove(at)
        {
            transcript.kept += size_of::<KeptFrame>() + frame.bytes.len();
            transcript.frames.insert(frame.frame, frame);
        }
        self.kept += transcript.kept - before;
    }

    /// A connection is over without the exchange.
    pub(crate) fn closed(&mut self, stream: u32) {
        if !self.is_settled
            && let Some(transcript) = self.by_stream.remove(&stream)
        {
            self.kept -= transcript.kept;
        }
    }

    /// The exchange is over: on this connection, or, if `None`, on more than one.
    pub(crate) fn settle(&mut self, stream: Option<u32>) {
        if !self.is_settled {
            self.is_settled = true;
            self.recent.clear();
            self.by_stream.retain(|known, _| Some(*known) == stream);
        }
    }

    /// The transcript of a connection.
    pub(crate) fn of(&self, stream: u32) -> Option<&Transcript> {
        self.by_stream.get(&stream)
    }
}
