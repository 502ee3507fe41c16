//! Bodies of messages of any protocol: content codings, hash, search, JSON.
//!
//! ```text
//!   contiguous in the layer below       Carriage::AsIs       searched there
//!   cut into pieces by framing          Carriage::InPieces   searched again across the borders
//!   masked, or otherwise transformed    Carriage::Transformed  searched as it comes
//!   in a content coding                 any, with codings    kept until its end, decoded, searched
//! ```

use std::collections::VecDeque;
use std::ops::Range;

use aws_lc_rs::digest;
use dissect::content::{Coding, Outcome};
use dissect::flow::Direction;

use super::fact::{Bytes, Observer, Sequence, Unexplained};
use super::protocol::{BodyNeeds, Context};
use super::provenance::{DecodeChain, Location, Provenance, Source, Whole};

/// Longest coded body that is kept until its end to be decoded. A longer one is unexplained.
pub(crate) const MAX_CODED_BODY: usize = 16 << 20;

/// Longest body that is kept to be read as JSON.
pub(crate) const MAX_JSON_BODY: usize = 1 << 20;

/// Maximum number of pieces of a body that are remembered, to name the frames of a string across their borders.
const MAX_PIECES: usize = 4096;

/// How a body is stored in the layer below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carriage {
    /// Contiguous, with this length if the head states one.
    AsIs(Option<u64>),
    /// Divided into pieces by framing, which has this name in the decode chain.
    InPieces(&'static str),
    /// Transformed, by a step with this name in the decode chain: the layer below contains no piece of the body itself.
    Transformed(&'static str),
}

impl Carriage {
    fn step(self) -> Option<&'static str> {
        match self {
            Self::AsIs(_) => None,
            Self::InPieces(step) | Self::Transformed(step) => Some(step),
        }
    }
}

/// A body of which bytes are still to come.
pub(crate) struct Body<O: Observer> {
    /// Offset of its first byte in the input of its protocol.
    start: u64,
    /// The name of its protocol in the decode chain.
    protocol: &'static str,
    len: u64,
    digest: Option<digest::Context>,
    json: Option<Vec<u8>>,
    carriage: Carriage,
    pieces: Option<Box<Pieces<O>>>,
    coded: Option<Coded>,
}

/// A complete body.
pub(crate) struct FinishedBody {
    /// Its length in bytes after all codings are undone.
    pub len: u64,
    /// Its SHA-256, if an observer needs it and no byte is missing.
    pub sha256: Option<[u8; 32]>,
    /// Its text, if an observer needs it.
    pub json: Option<Vec<u8>>,
    /// Offset of its first byte in the input of its protocol.
    pub start: u64,
    /// Whether the layer below contains it in another form than its own bytes.
    pub is_encoded: bool,
    /// Why it could not be read, and the number of its bytes that were kept.
    pub unread: Option<(Unexplained, u64)>,
    /// The decode chain that leads to it, from the layer below on.
    pub chain: DecodeChain,
}

/// A body in content codings: the coded bytes so far.
struct Coded {
    codings: Vec<Coding>,
    bytes: Vec<u8>,
    is_too_long: bool,
}

/// The search across the borders of pieces.
struct Pieces<O: Observer> {
    memory: O::Memory,
    known: VecDeque<Piece>,
}

/// A contiguous part of a body, with its offset in the input.
#[derive(Clone, Copy, Debug)]
struct Piece {
    body: u64,
    input: u64,
    len: u64,
}

impl<O: Observer> std::fmt::Debug for Body<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("start", &self.start).field("len", &self.len).finish_non_exhaustive()
    }
}

impl<O: Observer> Body<O> {
    /// A body that begins at `start` of the input.
    pub(crate) fn new(
        start: u64,
        protocol: &'static str,
        carriage: Carriage,
        codings: &[Coding],
        is_json: bool,
        needs: &BodyNeeds,
    ) -> Self {
        let coded = (!codings.is_empty()).then(|| Coded {
            codings: codings.to_vec(),
            bytes: Vec::new(),
            is_too_long: false,
        });
        let (length, is_cut) = match carriage {
            Carriage::AsIs(length) => (length.filter(|_| coded.is_none()), false),
            Carriage::InPieces(_) | Carriage::Transformed(_) => (None, coded.is_none()),
        };
        Self {
            start,
            protocol,
            len: 0,
            digest: needs.hash(length).then(|| digest::Context::new(&digest::SHA256)),
            json: (needs.json && is_json).then(Vec::new),
            carriage,
            pieces: is_cut.then(|| Box::new(Pieces { memory: O::Memory::default(), known: VecDeque::new() })),
            coded,
        }
    }

    /// Adds the next bytes, of which the first is at `input` in the input of the protocol. `new_piece`: framing
    /// separates them from the bytes before.
    pub(crate) fn push(
        &mut self,
        direction: Direction,
        input: u64,
        bytes: &[u8],
        new_piece: bool,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        if let Some(coded) = &mut self.coded {
            coded.push(bytes);
            return;
        }
        self.take_text(bytes);
        if let (Some(pieces), Some(step)) = (&mut self.pieces, self.carriage.step()) {
            let piece = Piece { body: self.len, input, len: bytes.len() as u64 };
            pieces.push(piece, new_piece, cx.observer);
            let chain = source.chain().then(self.protocol).then(step);
            let needs_secret = source.needs_secret();
            let is_transformed = matches!(self.carriage, Carriage::Transformed(_));
            let sequence = if is_transformed { Sequence::Decoded } else { Sequence::Joined };
            let bytes = Bytes { bytes, sequence, chain, needs_secret };
            let Pieces { memory, known } = &mut **pieces;
            let provenance = AcrossPieces { known, is_transformed, source, direction };
            cx.observer.bytes(memory, &bytes, &provenance);
        }
        self.len += bytes.len() as u64;
    }

    /// Number of bytes kept until the end of the body.
    pub(crate) fn kept(&self) -> usize {
        let coded = self.coded.as_ref().map_or(0, |coded| coded.bytes.len());
        coded + self.json.as_ref().map_or(0, Vec::len)
    }

    /// Keeps nothing any longer: a body in a content coding is not decoded, and JSON is not read.
    pub(crate) fn keep_nothing(&mut self) {
        self.json = None;
        if let Some(coded) = &mut self.coded {
            coded.is_too_long = true;
            coded.bytes = Vec::new();
        }
    }

    /// Notes that `len` bytes of the body are missing.
    pub(crate) fn gap(&mut self, len: u64, observer: &mut O) {
        self.digest = None;
        self.len += len;
        if let Some(pieces) = &mut self.pieces {
            observer.gap(&mut pieces.memory, len);
        }
        if let Some(coded) = &mut self.coded {
            coded.is_too_long = true;
        }
    }

    /// Ends the body at `end` of the input. `is_whole`: no byte of it is missing.
    pub(crate) fn finish(
        mut self,
        direction: Direction,
        end: u64,
        is_whole: bool,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> FinishedBody {
        let mut chain = source.chain().then(self.protocol);
        if let Some(step) = self.carriage.step() {
            chain = chain.then(step);
        }
        let is_encoded = self.coded.is_some() || self.carriage.step().is_some();
        let mut unread = None;
        if let Some(coded) = self.coded.take() {
            chain = coded.codings.iter().fold(chain, |chain, coding| chain.then(coding.name()));
            let outcome = self.decode(&coded, direction, end, chain, source, cx);
            unread = coded.why_unread(outcome, is_whole).map(|why| (why, coded.bytes.len() as u64));
        }
        let sha256 = self.digest.filter(|_| is_whole && unread.is_none()).map(|digest| {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(digest.finish().as_ref());
            bytes
        });
        let Self { len, json, start, .. } = self;
        FinishedBody { len, sha256, json, start, is_encoded, unread, chain }
    }

    /// Undoes the content codings. Bytes that were decoded before an error are readable too.
    fn decode(
        &mut self,
        coded: &Coded,
        direction: Direction,
        end: u64,
        chain: DecodeChain,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Outcome {
        let whole = Whole { source, direction, range: self.start..end };
        let needs_secret = source.needs_secret();
        let mut memory = O::Memory::default();
        let (observer, tools) = (&mut *cx.observer, &mut *cx.tools);
        tools.decoder.decode(&coded.codings, &coded.bytes, |text| {
            let bytes = Bytes { bytes: text, sequence: Sequence::Decoded, chain, needs_secret };
            observer.bytes(&mut memory, &bytes, &whole);
            self.take_text(text);
            self.len += text.len() as u64;
        })
    }

    fn take_text(&mut self, text: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(text);
        }
        if let Some(json) = &mut self.json
            && json.len() + text.len() <= MAX_JSON_BODY
        {
            json.extend_from_slice(text);
        }
    }
}

impl Coded {
    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > MAX_CODED_BODY {
            self.is_too_long = true;
        } else if !self.is_too_long {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn why_unread(&self, outcome: Outcome, is_whole: bool) -> Option<Unexplained> {
        match outcome {
            _ if self.is_too_long && is_whole => Some(Unexplained::CodedBodyTooLong),
            _ if self.is_too_long => Some(Unexplained::CodedBodyGap),
            Outcome::Complete => None,
            Outcome::Malformed(why) => Some(Unexplained::CodedBodyMalformed(why)),
            Outcome::TooLarge => Some(Unexplained::CodedBodyTooLarge),
            Outcome::Unsupported => Some(Unexplained::UnknownCoding),
        }
    }
}

impl<O: Observer> Pieces<O> {
    fn push(&mut self, piece: Piece, new_piece: bool, observer: &O) {
        // Bytes that continue the previous piece in the input belong to the same piece.
        match self.known.back_mut() {
            Some(last) if !new_piece && last.input + last.len == piece.input => last.len += piece.len,
            _ => self.known.push_back(piece),
        }
        let keep = observer.keep_from(&self.memory);
        while self.known.len() > MAX_PIECES
            || self.known.len() > 1 && self.known.front().is_some_and(|first| first.body + first.len <= keep)
        {
            self.known.pop_front();
        }
    }
}

/// Maps a body in pieces back to the input.
struct AcrossPieces<'a> {
    known: &'a VecDeque<Piece>,
    is_transformed: bool,
    source: &'a dyn Source,
    direction: Direction,
}

impl AcrossPieces<'_> {
    /// The range of the input from the first to the last byte of a range of the body.
    fn input(&self, body: Range<u64>) -> Range<u64> {
        let at = |offset: u64| {
            let piece = self.known.partition_point(|piece| piece.body + piece.len <= offset);
            self.known.get(piece).map_or(0, |piece| piece.input + offset.saturating_sub(piece.body))
        };
        at(body.start)..at(body.end - 1) + 1
    }
}

impl Provenance for AcrossPieces<'_> {
    fn locate(&self, range: Range<u64>) -> Location {
        self.source.locate(self.direction, self.input(range))
    }

    fn is_below(&self, range: Range<u64>) -> bool {
        let input = self.input(range.clone());
        !self.is_transformed && input.end.saturating_sub(input.start) <= range.end - range.start
    }
}
