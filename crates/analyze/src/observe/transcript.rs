//! Keeps what crossed on each connection up to the end of the first exchange of the run, to be shown to people.
//!
//! The connection of that exchange is only known when the answer is complete. Until then the beginning of every
//! connection is kept, within bounds; afterwards only that of the one.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use dissect::capture::Record;
use dissect::flow::{Direction, PerDirection};
use dissect::frame::Frame;
use dissect::tcp::{Chunk, Origin};
use dissect::tls::{Content, ContentType, Record as TlsRecord};

use crate::pipeline::frames::wire_len;

/// Bytes kept of each direction of a connection: enough for a TLS handshake of 3 KiB, a request and its answer.
pub(crate) const MAX_SHOWN: u64 = 8 << 10;

/// Bytes kept of a frame: an ordinary frame is kept whole.
pub(crate) const MAX_FRAME: usize = 2048;

/// Bytes kept of all connections together. The first exchange of a run comes early. If many connections were opened
/// before it, it is not shown.
pub(crate) const MAX_KEPT: usize = 2 << 20;

/// Frames with payload that are kept until reassembly has delivered their bytes: one window of segments behind a lost
/// one.
const MAX_RECENT: usize = 64;

/// Pieces kept of one connection. The first exchange needs a handful; only artificial one-byte segments need thousands.
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
    /// The parts that each segment added, in the order in which both streams grew.
    pub pieces: Vec<Piece>,
    /// The frames of the pieces.
    pub frames: BTreeMap<u64, KeptFrame>,
    /// The application data of its TLS records.
    pub opened: Vec<Opened>,
    shown: PerDirection<u64>,
    opened_bytes: PerDirection<u64>,
    kept: usize,
}

/// Application data of a TLS record.
#[derive(Debug)]
pub(crate) struct Opened {
    pub direction: Direction,
    /// Stream offsets of the record.
    pub range: Range<u64>,
    /// Its first bytes, as far as they are among the first [`MAX_SHOWN`] of the direction.
    pub bytes: Box<[u8]>,
}

/// The part of a segment that extended its stream.
#[derive(Debug)]
pub(crate) struct Piece {
    pub direction: Direction,
    pub stream_offset: u64,
    pub len: u64,
    /// Position of its first byte in the capture.
    pub origin: Origin,
    /// Its first bytes, as far as they are among the first [`MAX_SHOWN`] of the direction.
    pub bytes: Box<[u8]>,
}

/// The beginning of a frame.
#[derive(Debug)]
pub(crate) struct KeptFrame {
    pub frame: u64,
    /// Offset in the capture file of its first byte.
    pub file_offset: u64,
    /// Length of the whole frame on the wire.
    pub wire_bytes: u64,
    /// Offset of the TCP payload in the frame.
    pub payload_offset: u32,
    /// The first [`MAX_FRAME`] bytes of the frame.
    pub bytes: Box<[u8]>,
}

impl Transcripts {
    pub(crate) fn new() -> Self {
        Self { by_stream: BTreeMap::new(), recent: VecDeque::new(), kept: 0, is_settled: false }
    }

    /// Keeps a frame until its stream delivers its bytes.
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

    /// Adds the next bytes of a stream.
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

    /// Adds what a TLS record contains, if it is application data.
    pub(crate) fn record(&mut self, stream: u32, record: &TlsRecord<'_>) {
        let Content::Decrypted(decrypted) = &record.content else { return };
        if self.is_settled || self.kept >= MAX_KEPT || decrypted.content_type != ContentType::APPLICATION_DATA
        {
            return;
        }
        let Some(transcript) = self.by_stream.get_mut(&stream) else { return };
        let opened = &mut transcript.opened_bytes[record.direction];
        let room = MAX_SHOWN.saturating_sub(*opened).min(decrypted.plaintext.len() as u64);
        if room == 0 || transcript.opened.len() == MAX_PIECES {
            return;
        }
        *opened += room;
        transcript.opened.push(Opened {
            direction: record.direction,
            range: record.range.clone(),
            bytes: decrypted.plaintext[..room as usize].into(),
        });
        let kept = size_of::<Opened>() + room as usize;
        transcript.kept += kept;
        self.kept += kept;
    }

    /// Drops a connection that ended without the exchange.
    pub(crate) fn closed(&mut self, stream: u32) {
        if !self.is_settled
            && let Some(transcript) = self.by_stream.remove(&stream)
        {
            self.kept -= transcript.kept;
        }
    }

    /// Keeps only the connection that carried the exchange; none if the exchange was spread over several.
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
