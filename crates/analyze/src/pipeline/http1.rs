//! HTTP/1.1 conversations: messages are counted and hashed, coded bodies are decoded and searched.

use std::collections::VecDeque;

use aws_lc_rs::digest;
use dissect::content::{Coding, Outcome};
use dissect::flow::Direction;
use dissect::http1::{Connection, Event, Framing};
use exposure_schema::Level;

use crate::observe::cleartext::MAX_JSON_BODY;
use crate::observe::evidence::{Evidence, WireMessage};
use crate::observe::hits::Place;
use crate::observe::packet_list::start_line;
use crate::search::Scanner;

/// Longest coded body that is kept whole until its end, and then decoded. Hitting it leaves the body unexplained.
pub(crate) const MAX_CODED_BODY: usize = 16 << 20;

/// Most pieces of a chunked body that are remembered, to name the frames of a string across a chunk border.
const MAX_PIECES: usize = 4096;

/// Where the bytes of a conversation come from.
pub(crate) trait Source {
    /// The place on the wire of a range of one side's bytes.
    fn place(&self, side: Direction, start: u64, end: u64) -> Place;
    /// The frame in which everybody sees the byte at `offset`; `None` where nobody does, or it is not remembered.
    fn visible_frame(&self, side: Direction, offset: u64) -> Option<u64>;
    /// The frame of the last byte before `end`.
    fn frame_before(&self, side: Direction, end: u64) -> u64;
    /// Whether a range of the wire stands in one frame.
    fn is_in_one_frame(&self, side: Direction, start: u64, end: u64) -> bool;
    /// What was undone to get these bytes.
    fn layers(&self) -> &'static [&'static str];
    /// Whether a secret was needed to get them.
    fn is_encrypted(&self) -> bool;
}

/// Both directions of one connection.
#[derive(Debug, Default)]
pub(crate) struct Http {
    connection: Connection,
    sides: [Reading; 2],
    is_answered: bool,
}

#[derive(Debug, Default)]
struct Reading {
    /// Offset of the first byte that was not yet given to the parser.
    next: u64,
    /// Offset at which the message under way begins.
    message_start: u64,
    /// Where bytes begin that could not be read as HTTP, until a message is read again.
    unread_from: Option<u64>,
    open: Option<Box<Open>>,
}

struct Open {
    body_start: u64,
    body_len: u64,
    digest: Option<digest::Context>,
    body: Body,
    /// The decoded text of a body that is to be read as JSON.
    json: Option<Vec<u8>>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open")
            .field("body_start", &self.body_start)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Body {
    /// It stands in the stream as it is, and was searched there.
    Identity,
    /// Cut by chunk framing.
    Chunked(Box<Chunked>),
    /// In a content coding; the coded bytes so far.
    Coded { codings: Vec<Coding>, bytes: Vec<u8>, too_long: bool },
}

#[derive(Debug, Default)]
struct Chunked {
    scanner: Scanner,
    pieces: VecDeque<Piece>,
}

/// A part of a body without chunk framing, and where it stands.
#[derive(Clone, Copy, Debug)]
struct Piece {
    body: u64,
    input: u64,
    len: u64,
}

impl Http {
    /// A conversation of which the beginning is missing on both sides.
    pub(crate) fn begun_earlier() -> Self {
        let mut http = Self::default();
        http.connection.gap(Direction::ClientToServer, 1);
        http.connection.gap(Direction::ServerToClient, 1);
        http
    }

    /// The lowest offset of a side whose place may still be asked for.
    pub(crate) fn keep_from(&self, side: Direction) -> u64 {
        self.sides[side as usize].message_start
    }

    /// Whether an answer has begun.
    pub(crate) fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// From where on the bytes of a side could not be read, if that is so now.
    pub(crate) fn unread_from(&self, side: Direction) -> Option<u64> {
        self.sides[side as usize].unread_from
    }

    /// Reads on.
    pub(crate) fn push(
        &mut self,
        side: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        evidence: &mut Evidence<'_>,
    ) {
        let mut rest = bytes;
        self.sides[side as usize].next = offset;
        loop {
            let before = self.sides[side as usize].next;
            let step = self.connection.step(side, rest);
            rest = rest.get(step.consumed..).unwrap_or_default();
            let reading = &mut self.sides[side as usize];
            reading.next += step.consumed as u64;
            match step.event {
                Event::NeedMore => {
                    // Between messages nothing needs to be remembered; inside a header section its start does.
                    if reading.open.is_none() && self.connection.held_back(side) == 0 {
                        reading.message_start = reading.next;
                    }
                    return;
                }
                Event::Head => self.head(side, source, evidence),
                Event::Body { bytes, new_chunk } => {
                    let at = before + step.consumed as u64 - bytes.len() as u64;
                    self.body(side, at, bytes, new_chunk, source, evidence);
                }
                Event::End { complete } => self.end(side, complete, source, evidence),
                Event::Opaque(bytes, lost) => {
                    reading.open = None;
                    reading.message_start = reading.next;
                    reading.unread_from.get_or_insert(before);
                    if !source.is_encrypted() {
                        let place = source.place(side, before, before);
                        let reason = format!("not read as HTTP: {lost}");
                        evidence.unexplained(
                            place.stream,
                            Some(side),
                            place.stream_offset.unwrap_or_default(),
                            bytes.len() as u64,
                            reason,
                        );
                    }
                    if rest.is_empty() {
                        return;
                    }
                }
            }
        }
    }

    /// Bytes are missing.
    pub(crate) fn gap(&mut self, side: Direction, len: u64) {
        self.connection.gap(side, len);
        let reading = &mut self.sides[side as usize];
        reading.next += len;
        if let Some(open) = &mut reading.open {
            open.digest = None;
            open.body_len += len;
            match &mut open.body {
                Body::Identity => {}
                Body::Chunked(chunked) => chunked.scanner.gap(len),
                Body::Coded { too_long, .. } => *too_long = true,
            }
        }
    }

    /// A side is over.
    pub(crate) fn close(&mut self, side: Direction, source: &dyn Source, evidence: &mut Evidence<'_>) {
        if let Some(Event::End { complete }) = self.connection.close(side) {
            self.end(side, complete, source, evidence);
        }
    }

    fn head(&mut self, side: Direction, source: &dyn Source, evidence: &mut Evidence<'_>) {
        let head = self.connection.head(side);
        let frame = source.visible_frame(side, self.sides[side as usize].message_start);
        evidence.packets.begins(frame, || start_line(head));
        // After an interim answer the client still waits (RFC 9110 §15.2).
        self.is_answered |= head.status >= 200;
        let body = match (head.codings.as_slice(), head.framing) {
            ([], Framing::Chunked) => Body::Chunked(Box::default()),
            ([], _) => Body::Identity,
            (codings, _) => Body::Coded { codings: codings.to_vec(), bytes: Vec::new(), too_long: false },
        };
        let length = match (&body, head.framing) {
            (Body::Identity, Framing::Length(length)) => Some(length),
            (Body::Identity, Framing::Empty) => Some(0),
            _ => None,
        };
        let digest = evidence.wants_digest(length).then(|| digest::Context::new(&digest::SHA256));
        let json = (evidence.readable.is_some() && head.content_type.contains("json")).then(Vec::new);
        let reading = &mut self.sides[side as usize];
        let body_start = reading.next;
        reading.unread_from = None;
        reading.open = Some(Box::new(Open { body_start, body_len: 0, digest, body, json }));
    }

    fn body(
        &mut self,
        side: Direction,
        at: u64,
        bytes: &[u8],
        new_chunk: bool,
        source: &dyn Source,
        evidence: &mut Evidence<'_>,
    ) {
        let Some(open) = &mut self.sides[side as usize].open else { return };
        let Open { body_len, digest, body, json, .. } = &mut **open;
        if let Body::Coded { bytes: coded, too_long, .. } = body {
            if coded.len() + bytes.len() > MAX_CODED_BODY {
                *too_long = true;
            } else if !*too_long {
                coded.extend_from_slice(bytes);
            }
            return;
        }
        if let Some(digest) = digest {
            digest.update(bytes);
        }
        if let Some(json) = json
            && json.len() + bytes.len() <= MAX_JSON_BODY
        {
            json.extend_from_slice(bytes);
        }
        if let Body::Chunked(chunked) = body {
            chunked.push(Piece { body: *body_len, input: at, len: bytes.len() as u64 }, new_chunk);
            let mut matches = evidence.search(&mut chunked.scanner, bytes);
            for found in matches.drain(..) {
                let (start, end) = (chunked.input(found.start), chunked.input(found.end - 1) + 1);
                // What no chunk border cuts stands in the stream as it is, and was found there.
                if end - start > found.end - found.start {
                    let (level, layers) = read_from(source, &["http1", "chunked"], evidence);
                    evidence.hit(found.pattern, level, &layers, || source.place(side, start, end));
                }
            }
            evidence.matches = matches;
        }
        *body_len += bytes.len() as u64;
    }

    fn end(&mut self, side: Direction, complete: bool, source: &dyn Source, evidence: &mut Evidence<'_>) {
        let head = self.connection.head(side);
        let reading = &mut self.sides[side as usize];
        let start = reading.message_start;
        let end = reading.next;
        reading.message_start = end;
        let Some(open) = reading.open.take() else { return };
        let Open { body_start, mut body_len, mut digest, body, mut json } = *open;
        let mut complete = complete;
        let mut layers = vec!["http1"];
        let mut level = Level::Reassembled;
        match body {
            Body::Identity
                if source.is_in_one_frame(side, if body_len == 0 { start } else { body_start }, end) =>
            {
                level = Level::Verbatim;
            }
            Body::Identity => {}
            Body::Chunked(_) => {
                layers.push("chunked");
                level = Level::Decoded;
            }
            Body::Coded { codings, bytes, too_long } => {
                if head.framing == Framing::Chunked {
                    layers.push("chunked");
                }
                layers.extend(codings.iter().map(|coding| coding.name()));
                level = Level::Decoded;
                let (found_level, found_layers) = read_from(source, &layers, evidence);
                let mut scanner = Scanner::default();
                let mut matches = std::mem::take(&mut evidence.matches);
                let matcher = &evidence.known.matcher;
                let outcome = evidence.decoder.decode(&codings, &bytes, |text| {
                    scanner.push(matcher, text, &mut matches);
                    if let Some(digest) = &mut digest {
                        digest.update(text);
                    }
                    if let Some(json) = &mut json
                        && json.len() + text.len() <= MAX_JSON_BODY
                    {
                        json.extend_from_slice(text);
                    }
                    body_len += text.len() as u64;
                });
                evidence.doubt_overflow(&scanner);
                for found in matches.drain(..) {
                    evidence.hit(found.pattern, found_level, &found_layers, || {
                        source.place(side, body_start, end)
                    });
                }
                evidence.matches = matches;
                let why = match outcome {
                    _ if too_long && complete => Some("a coded body longer than is kept".to_owned()),
                    _ if too_long => Some("a coded body with a gap in it".to_owned()),
                    Outcome::Complete => None,
                    Outcome::Malformed(why) => Some(format!("a coded body that does not decode: {why}")),
                    Outcome::TooLarge => Some("a coded body that decodes to more than is read".to_owned()),
                    Outcome::Unsupported => Some("a body in an unknown content coding".to_owned()),
                };
                if let Some(why) = why {
                    complete = false;
                    if !source.is_encrypted() {
                        let place = source.place(side, body_start, end);
                        evidence.unexplained(
                            place.stream,
                            Some(side),
                            place.stream_offset.unwrap_or_default(),
                            bytes.len() as u64,
                            why,
                        );
                    }
                }
                if !source.is_encrypted() {
                    evidence.searched_bytes += body_len;
                }
            }
        }
        let (level, layers) = match source.is_encrypted() {
            false => (level, read_from(source, &layers, evidence).1),
            true => read_from(source, &layers, evidence),
        };
        let place = source.place(side, start, end);
        if let (Some(json), Some(readable)) = (json, &mut evidence.readable)
            && !source.is_encrypted()
        {
            readable.read(&json, &place);
        }
        let digest = digest.filter(|_| complete).map(|digest| {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(digest.finish().as_ref());
            bytes
        });
        let head = self.connection.head(side);
        evidence.message(WireMessage {
            last_frame: source.frame_before(side, end),
            place,
            method: head.method.clone(),
            target: head.target.clone(),
            status: head.status,
            content_type: head.content_type.clone(),
            body_len,
            digest,
            complete,
            level,
            layers,
        });
    }
}

/// The level and the decode chain of what was read out of `source` by undoing `layers`.
fn read_from(
    source: &dyn Source,
    layers: &[&'static str],
    evidence: &mut Evidence<'_>,
) -> (Level, std::sync::Arc<[&'static str]>) {
    let level = if source.is_encrypted() { Level::Decrypted } else { Level::Decoded };
    let all: Vec<_> = source.layers().iter().chain(layers).copied().collect();
    (level, evidence.layers(&all))
}

impl Chunked {
    fn push(&mut self, piece: Piece, new_chunk: bool) {
        // What continues the piece before it on the wire is the same piece.
        match self.pieces.back_mut() {
            Some(last) if !new_chunk && last.input + last.len == piece.input => last.len += piece.len,
            _ => self.pieces.push_back(piece),
        }
        let keep = self.scanner.keep_from();
        while self.pieces.len() > MAX_PIECES
            || self.pieces.len() > 1
                && self.pieces.front().is_some_and(|first| first.body + first.len <= keep)
        {
            self.pieces.pop_front();
        }
    }

    /// Where a byte of the body stands in the input.
    fn input(&self, body: u64) -> u64 {
        let at = self.pieces.partition_point(|piece| piece.body + piece.len <= body);
        self.pieces.get(at).map_or(0, |piece| piece.input + body.saturating_sub(piece.body))
    }
}
