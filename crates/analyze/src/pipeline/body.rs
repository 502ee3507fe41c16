//! Bodies of messages of any protocol: content codings, hash, search, JSON.
//!
//! ```text
//!   contiguous in the layer below       Carriage::AsIs       searched there
//!   cut into pieces by framing          Carriage::InPieces   searched again across the borders
//!   masked, or otherwise transformed    Carriage::Transformed  searched as it comes
//!   in a content coding                 any, with codings    kept until its end, decoded, searched
//! ```
//!
//! Bodies that consist of parts ([`super::parts`]) also report each part as soon as it ends.

use std::collections::VecDeque;
use std::iter;
use std::ops::Range;

use aws_lc_rs::digest;
use dissect::content::{Coding, Decoder, Outcome};
use dissect::flow::Direction;
use dissect::message_deflate::Window;

use super::budget::{FreeDecoded, Share};
use super::cut_json;
use super::fact::{Bytes, Fact, Observer, PartFact, PartPlace, Sequence, Unexplained};
use super::parts::{Content, Found, MAX_TEXT, Splitter};
use super::protocol::{Context, Tools, unexplained_at};
use super::provenance::{DecodeChain, HttpStream, Location, Provenance, Source, Whole, locate_all};

/// Longest coded body that is kept until its end to be decoded. A longer one is unexplained.
pub(crate) const MAX_CODED_BODY: usize = 16 << 20;

/// Longest body that is kept to be read as JSON.
pub(crate) const MAX_JSON_BODY: usize = 1 << 20;

/// Bytes that all unfinished bodies of a capture keep together: eight of the longest coded ones. The body that exceeds it is not
/// decoded, and its JSON and parts are not read.
pub(crate) const MAX_KEPT_TOTAL: usize = 128 << 20;

/// Maximum number of pieces of a body that are remembered, to name the frames of a string across their borders.
const MAX_PIECES: usize = 4096;

/// Maximum number of pieces of the body whose frames are named for one part; beyond it, those between the first and the last.
const MAX_PART_PIECES: usize = 256;

/// The name of the compression of WebSocket messages (RFC 7692) in decode chains.
const MESSAGE_DEFLATE: &str = "permessage-deflate";

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
    /// Whether bytes are missing behind those in `json`.
    json_is_cut: bool,
    is_json: bool,
    carriage: Carriage,
    pieces: Option<Box<Pieces<O>>>,
    coded: Option<Coded>,
    parts: Option<Box<Splitter>>,
    /// The stream of its message in HTTP/2 or HTTP/3.
    http_stream: Option<HttpStream>,
    /// What it keeps of what all bodies keep.
    share: Share,
}

/// A complete body.
pub(crate) struct FinishedBody {
    /// Its length in bytes after all codings are undone.
    pub len: u64,
    /// Its SHA-256, if an observer needs it and no byte is missing.
    pub sha256: Option<[u8; 32]>,
    /// Its text, if an observer needs it; of a body that is cut, JSON with the values before the cut.
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

/// A body in content codings, or a compressed WebSocket message: the coded bytes so far.
struct Coded {
    codings: Vec<Coding>,
    is_message_deflate: bool,
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
        content: Content,
        tools: &Tools,
    ) -> Self {
        let needs = &tools.needs;
        let coded = (!codings.is_empty()).then(|| Coded::new(codings));
        let (length, is_cut) = match carriage {
            Carriage::AsIs(length) => (length.filter(|_| coded.is_none()), false),
            Carriage::InPieces(_) | Carriage::Transformed(_) => (None, coded.is_none()),
        };
        Self {
            start,
            protocol,
            len: 0,
            digest: needs.hash(length).then(|| digest::Context::new(&digest::SHA256)),
            json: (needs.json && content.is_text()).then(Vec::new),
            json_is_cut: false,
            is_json: content == Content::Json,
            carriage,
            pieces: is_cut.then(|| Box::new(Pieces { memory: O::Memory::default(), known: VecDeque::new() })),
            coded,
            parts: Splitter::new(content, needs.json).map(Box::new),
            http_stream: None,
            share: tools.body_bytes.share(0),
        }
    }

    /// The body of a message on this stream.
    pub(crate) fn of_http_stream(self, stream: HttpStream) -> Self {
        Self { http_stream: Some(stream), ..self }
    }

    /// The payload of a compressed WebSocket message (RFC 7692): [`Self::finish_message`] decompresses it.
    pub(crate) fn compressed(self) -> Self {
        let coded = Coded { is_message_deflate: true, ..Coded::new(&[]) };
        Self { coded: Some(coded), pieces: None, ..self }
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
        self.take(direction, input, bytes, new_piece, source, cx);
        self.share.set(self.kept());
        if self.share.total() > MAX_KEPT_TOTAL {
            self.keep_nothing();
            self.share.set(self.kept());
        }
    }

    fn take(
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
            let keep = self.parts.as_ref().map_or(u64::MAX, |parts| parts.pending_from());
            pieces.push(piece, new_piece, keep, cx.observer);
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
        if let Some(mut parts) = self.parts.take() {
            let mut report = self.part_report(direction, source, cx);
            parts.push(bytes, &mut |found, budget| report.part(found, budget));
            self.parts = Some(parts);
        }
    }

    /// Number of bytes kept until the end of the body, or of its current part.
    pub(crate) fn kept(&self) -> usize {
        let coded = self.coded.as_ref().map_or(0, |coded| coded.bytes.len());
        let part = self.parts.as_ref().map_or(0, |parts| parts.kept());
        coded + part + self.json.as_ref().map_or(0, Vec::len)
    }

    /// Keeps nothing any longer: a body in a content coding is not decoded, and neither JSON nor parts are read.
    pub(crate) fn keep_nothing(&mut self) {
        self.json = None;
        self.parts.take_if(|parts| !parts.keep_nothing());
        if let Some(coded) = &mut self.coded {
            coded.is_too_long = true;
            coded.bytes = Vec::new();
        }
    }

    /// Notes that `len` bytes of the body are missing.
    pub(crate) fn gap(&mut self, len: u64, observer: &mut O) {
        self.digest = None;
        // Behind missing bytes, a string could be continued that is another one.
        self.json_is_cut |= self.is_json;
        self.len += len;
        if let Some(parts) = &mut self.parts {
            parts.gap(len);
        }
        // What is before a gap and what is behind it must not be read as one text. One zero suffices for many gaps.
        if let Some(json) = self.json.as_mut().filter(|json| !self.is_json && json.len() < MAX_JSON_BODY)
            && json.last() != Some(&0)
        {
            json.push(0);
        }
        if let Some(pieces) = &mut self.pieces {
            observer.gap(&mut pieces.memory, len);
        }
        if let Some(coded) = &mut self.coded {
            coded.is_too_long = true;
        }
    }

    /// Ends the body at `end` of the input. `is_whole`: no byte of it is missing.
    pub(crate) fn finish(
        self,
        direction: Direction,
        end: u64,
        is_whole: bool,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> FinishedBody {
        self.finish_message(&mut Window::default(), direction, end, is_whole, source, cx)
    }

    /// Ends a body that may be a compressed WebSocket message, in a direction with this window.
    pub(crate) fn finish_message(
        mut self,
        window: &mut Window,
        direction: Direction,
        end: u64,
        is_whole: bool,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> FinishedBody {
        let mut chain = self.chain(source);
        let is_encoded = self.coded.is_some() || self.carriage.step().is_some();
        let mut unread = None;
        if let Some(coded) = self.coded.take() {
            chain = coded.chain(chain);
            let outcome = self.decode(&coded, window, direction, end, chain, source, cx);
            unread = coded.why_unread(outcome, is_whole).map(|why| (why, coded.bytes.len() as u64));
            if unread.is_some() {
                window.clear();
            }
        } else if let Some(mut parts) = self.parts.take() {
            let mut report = self.part_report(direction, source, cx);
            parts.finish(&mut |found, budget| report.part(found, budget));
        }
        let sha256 = self.digest.filter(|_| is_whole && unread.is_none()).map(|digest| {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(digest.finish().as_ref());
            bytes
        });
        let is_cut = self.json_is_cut || !is_whole || unread.is_some();
        let Self { len, mut json, is_json, start, .. } = self;
        if let Some(json) = json.as_mut().filter(|_| is_cut && is_json) {
            cut_json::close(json);
        }
        FinishedBody { len, sha256, json, start, is_encoded, unread, chain }
    }

    /// The decode chain that leads to its bytes, before content codings.
    fn chain(&self, source: &dyn Source) -> DecodeChain {
        let chain = source.chain().then(self.protocol);
        self.carriage.step().map_or(chain, |step| chain.then(step))
    }

    /// Reports parts of a body that is in no content coding.
    fn part_report<'c>(
        &'c self,
        direction: Direction,
        source: &'c dyn Source,
        cx: &'c mut Context<'_, O>,
    ) -> PartReport<'c, O> {
        let input = match &self.pieces {
            Some(pieces) => Input::Pieces(&pieces.known),
            None => Input::From(self.start),
        };
        let Tools { part_decoder, needs, free_decoded, .. } = &mut *cx.tools;
        PartReport {
            observer: cx.observer,
            decoder: part_decoder,
            free_decoded,
            needs_text: needs.json,
            stream: cx.stream,
            http_stream: self.http_stream,
            chain: self.chain(source),
            is_transformed: matches!(self.carriage, Carriage::Transformed(_)),
            input,
            source,
            direction,
        }
    }

    /// Undoes the content codings. Bytes that were decoded before an error are readable too.
    #[expect(clippy::too_many_arguments, reason = "where it is, and the tools to read it")]
    fn decode(
        &mut self,
        coded: &Coded,
        window: &mut Window,
        direction: Direction,
        end: u64,
        chain: DecodeChain,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Outcome {
        let whole = Whole { source, direction, range: self.start..end };
        let needs_secret = source.needs_secret();
        let mut memory = O::Memory::default();
        let Tools { decoder, inflater, part_decoder, needs, free_decoded, .. } = &mut *cx.tools;
        let (limit, before) = (free_decoded.limit(coded.bytes.len()), self.len);
        let mut parts = self.parts.take();
        let mut report = PartReport {
            observer: cx.observer,
            decoder: part_decoder,
            free_decoded,
            needs_text: needs.json,
            stream: cx.stream,
            http_stream: self.http_stream,
            chain,
            is_transformed: true,
            input: Input::Whole(self.start..end),
            source,
            direction,
        };
        let text = |text: &[u8]| {
            let bytes = Bytes { bytes: text, sequence: Sequence::Decoded, chain, needs_secret };
            report.observer.bytes(&mut memory, &bytes, &whole);
            self.take_text(text);
            self.len += text.len() as u64;
            if let Some(parts) = &mut parts {
                parts.push(text, &mut |found, budget| report.part(found, budget));
            }
        };
        let outcome = match coded.is_message_deflate {
            true if coded.is_too_long => Outcome::TooLarge,
            true => inflater.message_up_to(limit, window, &coded.bytes, text),
            false => decoder.decode_up_to(limit, &coded.codings, &coded.bytes, text),
        };
        report.free_decoded.take(coded.bytes.len(), self.len - before);
        if let Some(mut parts) = parts {
            parts.finish(&mut |found, budget| report.part(found, budget));
        }
        outcome
    }

    fn take_text(&mut self, text: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(text);
        }
        if let Some(json) = &mut self.json
            && !self.json_is_cut
        {
            let room = MAX_JSON_BODY.saturating_sub(json.len());
            json.extend_from_slice(text.get(..room.min(text.len())).unwrap_or_default());
            self.json_is_cut = room < text.len();
        }
    }
}

impl Coded {
    fn new(codings: &[Coding]) -> Self {
        let codings = codings.to_vec();
        Self { codings, is_message_deflate: false, bytes: Vec::new(), is_too_long: false }
    }

    /// The decode chain with its own steps.
    fn chain(&self, chain: DecodeChain) -> DecodeChain {
        let chain = self.codings.iter().fold(chain, |chain, coding| chain.then(coding.name()));
        if self.is_message_deflate { chain.then(MESSAGE_DEFLATE) } else { chain }
    }

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
    /// Adds a piece. Pieces before `keep` of the body may be forgotten.
    fn push(&mut self, piece: Piece, new_piece: bool, keep: u64, observer: &O) {
        // Bytes that continue the previous piece in the input belong to the same piece.
        match self.known.back_mut() {
            Some(last) if !new_piece && last.input + last.len == piece.input => last.len += piece.len,
            _ => self.known.push_back(piece),
        }
        let keep = keep.min(observer.keep_from(&self.memory));
        while self.known.len() > MAX_PIECES
            || self.known.len() > 1 && self.known.front().is_some_and(|first| first.body + first.len <= keep)
        {
            self.known.pop_front();
        }
    }
}

/// Reports the parts of one body.
struct PartReport<'a, O: Observer> {
    observer: &'a mut O,
    decoder: &'a mut Decoder,
    free_decoded: &'a mut FreeDecoded,
    /// Whether an observer needs the text of parts.
    needs_text: bool,
    stream: Option<u32>,
    http_stream: Option<HttpStream>,
    /// The decode chain that leads to the body.
    chain: DecodeChain,
    is_transformed: bool,
    input: Input<'a>,
    source: &'a dyn Source,
    direction: Direction,
}

/// Where a body is in the input of its protocol.
#[derive(Clone)]
enum Input<'a> {
    /// Contiguous, from this offset on.
    From(u64),
    Pieces(&'a VecDeque<Piece>),
    /// Somewhere in this range: it was decoded.
    Whole(Range<u64>),
}

impl Input<'_> {
    /// The ranges of the input that carry a range of the body.
    fn ranges(&self, body: &Range<u64>) -> Vec<Range<u64>> {
        match self {
            Self::From(start) => iter::once(start + body.start..start + body.end).collect(),
            Self::Whole(range) => vec![range.clone()],
            Self::Pieces(known) => {
                let first = known.partition_point(|piece| piece.body + piece.len <= body.start);
                let pieces = known.range(first..).take_while(|piece| piece.body < body.end);
                let mut ranges: Vec<_> = pieces
                    .map(|piece| {
                        let from = piece.input + body.start.saturating_sub(piece.body);
                        let to = piece.input + piece.len.min(body.end.saturating_sub(piece.body));
                        from..to.max(from)
                    })
                    .collect();
                if ranges.len() > MAX_PART_PIECES
                    && let (Some(first), Some(last)) = (ranges.first(), ranges.last())
                {
                    let all = first.start..last.end;
                    ranges.clear();
                    ranges.push(all);
                }
                ranges
            }
        }
    }
}

impl<O: Observer> PartReport<'_, O> {
    /// Reports a part. `budget`: the bytes that compressed messages may still give.
    fn part(&mut self, found: &Found<'_>, budget: &mut u64) {
        let (source, direction) = (self.source, self.direction);
        let needs_secret = source.needs_secret();
        let mut chain = self.chain.then(found.kind.step());
        let ranges = self.input.ranges(&found.range);
        let mut decoded = Vec::new();
        let mut part = (found.content, found.len, found.is_complete);
        if let Some(coding) = found.coding {
            chain = chain.then(coding.name());
            let (first, last) = (ranges.first(), ranges.last());
            let range = first.map_or(0, |first| first.start)..last.map_or(0, |last| last.end);
            let whole = Whole { source, direction, range: range.clone() };
            let mut memory = O::Memory::default();
            let (observer, needs_text) = (&mut *self.observer, self.needs_text);
            let mut len = 0;
            let limit = self.free_decoded.limit(found.content.len()).min(*budget);
            let outcome = self.decoder.decode_up_to(limit, &[coding], found.content, |text| {
                let bytes = Bytes { bytes: text, sequence: Sequence::Decoded, chain, needs_secret };
                observer.bytes(&mut memory, &bytes, &whole);
                len += text.len() as u64;
                if needs_text && decoded.len() + text.len() <= MAX_TEXT {
                    decoded.extend_from_slice(text);
                }
            });
            *budget = budget.saturating_sub(len);
            self.free_decoded.take(found.content.len(), len);
            let why = match outcome {
                _ if found.content.len() as u64 != found.len && found.is_complete => {
                    Some(Unexplained::CodedBodyTooLong)
                }
                _ if !found.is_complete => Some(Unexplained::CodedBodyGap),
                Outcome::Complete => None,
                Outcome::Malformed(why) => Some(Unexplained::CodedBodyMalformed(why)),
                Outcome::TooLarge => Some(Unexplained::CodedBodyTooLarge),
                Outcome::Unsupported => Some(Unexplained::UnknownCoding),
            };
            part = (&decoded, len, why.is_none());
            if let Some(why) = why {
                let fact = unexplained_at(self.stream, direction, range.start, found.len, why, source);
                self.observer.observe(&Fact::Unexplained(&fact));
            }
        }
        let (text, bytes, is_complete) = part;
        let is_encoded = self.is_transformed || found.coding.is_some() || ranges.len() > 1;
        let place = || {
            let all = ranges.first().map_or(0, |first| first.start)..ranges.last().map_or(0, |last| last.end);
            PartPlace {
                location: locate_all(&ranges, direction, source),
                last_frame: source.frame_before(direction, all.end),
                is_in_one_frame: source.is_in_one_frame(direction, all),
            }
        };
        self.observer.observe(&Fact::Part(&PartFact {
            stream: self.stream,
            direction,
            http_stream: self.http_stream,
            kind: found.kind,
            name: found.name,
            bytes,
            text: self.needs_text.then_some(text),
            is_complete,
            is_encoded,
            needs_secret,
            chain,
            place: &place,
        }));
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
