//! The observer that collects the bytes of one connection.

use std::ops::Range;

use data_encoding::HEXLOWER;
use dissect::flow::{Direction, Endpoints};
use dissect::tls::{Content, ContentType};

use super::{Piece, Stream};
use crate::pipeline::fact::{Fact, FactObserver, RecordFact};

/// Longest piece in bytes: as much plaintext as a TLS record has (RFC 9846 §5.1).
const MAX_PIECE: usize = 16 << 10;

/// The observer.
#[derive(Debug)]
pub(super) struct Pieces {
    stream: u32,
    /// The ends, once the connection is over.
    ends: Option<Endpoints>,
    as_sent: Window,
    decrypted: Window,
}

/// The wanted ones of all pieces.
#[derive(Debug)]
struct Window {
    wanted: Range<usize>,
    total: usize,
    pieces: Vec<Piece>,
}

impl Pieces {
    pub(super) fn of(stream: u32, wanted: Range<usize>) -> Self {
        Self { stream, ends: None, as_sent: Window::of(wanted.clone()), decrypted: Window::of(wanted) }
    }

    /// The pieces; `None` if there is no such connection.
    pub(super) fn into_stream(self) -> Option<Stream> {
        let Endpoints { client, server } = self.ends?;
        let window = if self.decrypted.total > 0 { self.decrypted } else { self.as_sent };
        Some(Stream {
            total_pieces: window.total,
            client: client.to_string(),
            server: server.to_string(),
            pieces: window.pieces,
        })
    }

    fn record(&mut self, fact: &RecordFact<'_>) {
        if let Content::Decrypted(decrypted) = &fact.record.content
            && decrypted.content_type == ContentType::APPLICATION_DATA
        {
            let frame = fact.frame.unwrap_or(0);
            let (direction, offset) = (fact.record.direction, decrypted.application_offset);
            self.decrypted.add(direction, frame, offset, decrypted.plaintext, true);
        }
    }
}

impl Window {
    fn of(wanted: Range<usize>) -> Self {
        Self { wanted, total: 0, pieces: Vec::new() }
    }

    fn add(&mut self, direction: Direction, frame: u64, offset: u64, bytes: &[u8], decrypted: bool) {
        for (part, at) in bytes.chunks(MAX_PIECE).zip((offset..).step_by(MAX_PIECE)) {
            if self.wanted.contains(&self.total) {
                let bytes = HEXLOWER.encode(part);
                self.pieces.push(Piece { direction: direction.into(), frame, offset: at, bytes, decrypted });
            }
            self.total += 1;
        }
    }
}

impl FactObserver for Pieces {
    fn observe(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Chunk(stream, direction, chunk) if *stream == self.stream => {
                self.as_sent.add(*direction, chunk.origin.frame, chunk.stream_offset, chunk.bytes, false);
            }
            Fact::TlsRecord(record) if record.stream == self.stream => self.record(record),
            Fact::Closed(summary) if summary.stream == self.stream => self.ends = summary.ends,
            _ => {}
        }
    }
}
