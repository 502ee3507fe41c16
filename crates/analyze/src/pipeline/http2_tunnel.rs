//! A connection inside of a stream of HTTP/2, which CONNECT opens (RFC 9113 §8.5, RFC 8441): maps its bytes back through DATA
//! frames.

use std::collections::VecDeque;
use std::ops::Range;

use dissect::flow::{Direction, PerDirection};
use dissect::websocket::{Desync, Extensions};

use super::budget::Share;
use super::fact::{Observer, Spoken, Unexplained};
use super::protocol::{Context, Handover, Reader};
use super::provenance::{DecodeChain, HttpStream, Location, Source, locate_all};
use super::websocket::WebSocket;

/// Maximum number of tunnels that are read at a time in one connection. Browsers open one for each tab; each costs a parser.
pub(crate) const MAX_TUNNELS: usize = 64;

/// Maximum number of pieces that are remembered of one direction of a tunnel, to name the frames of a message.
pub(crate) const MAX_PIECES: usize = 4096;

/// The name of HTTP/2 in decode chains.
pub(crate) const HTTP2: &str = "http2";

/// What a request asks a tunnel for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// RFC 8441.
    WebSocket,
    /// A connection to another server (RFC 9113 §8.5), or a protocol that is not known: its first bytes show which one.
    Any,
}

/// A connection on one stream. `R` reads what is inside of one that can be of any protocol.
#[derive(Debug)]
pub(crate) struct Tunnel<O: Observer, R> {
    stream: u32,
    within: Within<O, R>,
    ways: PerDirection<Way>,
    /// Its part of those of all connections.
    _share: Share,
}

/// The protocol inside of a tunnel.
#[derive(Debug)]
enum Within<O: Observer, R> {
    WebSocket(Box<WebSocket<O>>),
    Any(Box<R>),
}

/// The bytes of one direction of a tunnel.
#[derive(Debug, Default)]
struct Way {
    /// Number of bytes so far.
    len: u64,
    known: VecDeque<Piece>,
    /// Whether an unknown number of bytes is missing, so that nothing behind them is read.
    is_lost: bool,
    has_ended: bool,
}

/// A contiguous part of the tunnel, with its offset in the input of HTTP/2.
#[derive(Clone, Copy, Debug)]
struct Piece {
    at: u64,
    input: u64,
    len: u64,
}

impl<O: Observer, R: Reader<O> + Default> Tunnel<O, R> {
    /// A tunnel that a request on this stream asks for.
    pub(crate) fn new(stream: u32, purpose: Purpose, share: Share) -> Self {
        let within = match purpose {
            Purpose::WebSocket => Within::WebSocket(Box::new(WebSocket::new(Extensions::default()))),
            Purpose::Any => Within::Any(Box::default()),
        };
        Self { stream, within, ways: PerDirection::default(), _share: share }
    }

    /// The server has accepted the request, and these extensions of WebSocket.
    pub(crate) fn accept(&mut self, extensions: Extensions) {
        if let Within::WebSocket(websocket) = &mut self.within {
            websocket.accept(extensions);
        }
    }

    /// Reads the next bytes of a direction, which are at offset `input` of HTTP/2.
    pub(crate) fn push(
        &mut self,
        direction: Direction,
        input: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        let way = &mut self.ways[direction];
        let (at, len) = (way.len, bytes.len() as u64);
        way.push(Piece { at, input, len });
        if way.is_lost {
            cx.report(direction, input, len, self.within.why_lost(), source);
            return;
        }
        let source = TunnelSource { stream: self.stream, ways: &self.ways, source };
        self.within.push(direction, at, bytes, &source, &mut cx.within_stream());
        let keep = self.within.keep_from(direction, cx.observer);
        self.ways[direction].forget_before(keep);
    }

    /// `len` bytes of a direction are missing; 0 if their number is unknown.
    pub(crate) fn gap(
        &mut self,
        direction: Direction,
        len: u64,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        let at = self.ways[direction].len;
        self.ways[direction].len += len;
        self.ways[direction].is_lost |= len == 0;
        let source = TunnelSource { stream: self.stream, ways: &self.ways, source };
        if len > 0 {
            self.within.gap(direction, at, len, &source, &mut cx.within_stream());
        }
    }

    /// A direction has ended. Returns whether both have.
    pub(crate) fn end(&mut self, direction: Direction) -> bool {
        self.ways[direction].has_ended = true;
        self.ways.values().all(|way| way.has_ended)
    }

    /// Ends both directions.
    pub(crate) fn finish(self, source: &dyn Source, cx: &mut Context<'_, O>) {
        let Self { stream, within, ways, _share } = self;
        let source = TunnelSource { stream, ways: &ways, source };
        within.finish(&source, &mut cx.within_stream());
    }

    /// Bytes that are kept until more come.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.within.kept_bytes()
    }
}

impl<O: Observer, R> Within<O, R> {
    /// Why nothing is read behind a gap of unknown length.
    fn why_lost(&self) -> Unexplained {
        match self {
            Self::WebSocket(_) => Unexplained::NotWebSocket(Desync::Gap),
            Self::Any(_) => Unexplained::UnknownProtocol,
        }
    }
}

impl<O: Observer, R: Reader<O>> Reader<O> for Within<O, R> {
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        match self {
            Self::WebSocket(websocket) => websocket.push(direction, offset, bytes, source, cx),
            Self::Any(reader) => reader.push(direction, offset, bytes, source, cx),
        }
    }

    fn gap(
        &mut self,
        direction: Direction,
        offset: u64,
        len: u64,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        match self {
            Self::WebSocket(websocket) => websocket.gap(direction, offset, len, source, cx),
            Self::Any(reader) => reader.gap(direction, offset, len, source, cx),
        }
    }

    fn finish(self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken {
        match self {
            Self::WebSocket(websocket) => websocket.finish(source, cx),
            Self::Any(reader) => reader.finish(source, cx),
        }
    }

    fn kept_bytes(&self) -> usize {
        match self {
            Self::WebSocket(websocket) => websocket.kept_bytes(),
            Self::Any(reader) => reader.kept_bytes(),
        }
    }

    fn keep_from(&self, direction: Direction, observer: &O) -> u64 {
        match self {
            Self::WebSocket(websocket) => websocket.keep_from(direction, observer),
            Self::Any(reader) => reader.keep_from(direction, observer),
        }
    }
}

impl Way {
    fn push(&mut self, piece: Piece) {
        self.len += piece.len;
        match self.known.back_mut() {
            Some(last) if last.at + last.len == piece.at && last.input + last.len == piece.input => {
                last.len += piece.len;
            }
            _ => self.known.push_back(piece),
        }
        if self.known.len() > MAX_PIECES {
            self.known.pop_front();
        }
    }

    fn forget_before(&mut self, keep: u64) {
        // The last piece stays: offsets at the end are looked up in it.
        while self.known.len() > 1 && self.known.front().is_some_and(|first| first.at + first.len <= keep) {
            self.known.pop_front();
        }
    }

    /// The ranges of the input of HTTP/2 that carry a range of the tunnel.
    fn ranges(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let first = self.known.partition_point(|piece| piece.at + piece.len <= range.start);
        let pieces = self.known.range(first..).take_while(|piece| piece.at < range.end);
        let ranges = pieces.map(|piece| {
            let from = piece.input + range.start.saturating_sub(piece.at);
            let to = piece.input + piece.len.min(range.end.saturating_sub(piece.at));
            from..to.max(from)
        });
        ranges.collect()
    }

    /// The offset in the input of HTTP/2 of a byte of the tunnel, or of the one behind its last.
    fn input(&self, at: u64) -> u64 {
        let number = self.known.partition_point(|piece| piece.at + piece.len <= at);
        let piece = self.known.get(number).or_else(|| self.known.back());
        piece.map_or(0, |piece| piece.input + at.saturating_sub(piece.at).min(piece.len))
    }
}

/// Where the bytes of a tunnel come from.
struct TunnelSource<'a> {
    stream: u32,
    ways: &'a PerDirection<Way>,
    source: &'a dyn Source,
}

impl Source for TunnelSource<'_> {
    fn locate(&self, direction: Direction, range: Range<u64>) -> Location {
        locate_all(&self.ways[direction].ranges(&range), direction, self.source)
    }

    fn stream_offset(&self, direction: Direction, offset: u64) -> u64 {
        self.source.stream_offset(direction, self.ways[direction].input(offset))
    }

    fn visible_frame(&self, direction: Direction, offset: u64) -> Option<u64> {
        self.source.visible_frame(direction, self.ways[direction].input(offset))
    }

    fn frame_before(&self, direction: Direction, end: u64) -> u64 {
        let last = self.ways[direction].input(end.saturating_sub(1));
        self.source.frame_before(direction, last + 1)
    }

    fn is_in_one_frame(&self, direction: Direction, range: Range<u64>) -> bool {
        match self.ways[direction].ranges(&range).as_slice() {
            [one] => self.source.is_in_one_frame(direction, one.clone()),
            _ => false,
        }
    }

    fn chain(&self) -> DecodeChain {
        self.source.chain().then(HTTP2)
    }

    fn needs_secret(&self) -> bool {
        self.source.needs_secret()
    }

    fn http_stream(&self) -> Option<HttpStream> {
        Some(HttpStream::Http2(self.stream))
    }
}
