//! Reads the records and messages at a place of a stream.

use std::ops::Range;

use dissect::detection::Detection;
use dissect::fields::{self, Field, Kind, Value};
use dissect::flow::Direction;
use dissect::http1;
use dissect::tls::{Content, ContentType};

use super::content::{self, Part};
use super::{Explained, ExplainedField, Piece, Plaintext, plaintext};
use crate::pipeline::fact::{Fact, FactObserver, MessageFact, RecordFact};

/// Bytes kept before and behind the place: more than the longest record, head and handshake message that are read.
const REACH: u64 = 128 << 10;

/// Header of a handshake message: its type and its length (RFC 9846 §4).
const HANDSHAKE_HEADER: usize = 4;

/// A field by stream offsets.
#[derive(Debug)]
struct StreamField {
    kind: Kind,
    range: Range<u64>,
    value: Value,
    path: Option<String>,
    plaintext: Option<usize>,
}

/// The observer of one direction of a stream.
#[derive(Debug)]
pub(super) struct Collect {
    stream: u32,
    direction: Direction,
    /// The place.
    place: Range<u64>,
    /// The bytes from [`REACH`] before the place on, and the stream offset of the first.
    kept: Vec<u8>,
    kept_from: u64,
    /// Handshake bytes in the clear that are not yet a whole message, with their stream offsets.
    handshake: Vec<(u64, u8)>,
    fields: Vec<StreamField>,
    plaintexts: Vec<Plaintext>,
    /// The application data of the records from [`REACH`] before the place to [`REACH`] behind it.
    opened: Vec<Opened>,
    /// The records of the latest decrypted message that was read.
    read: Range<u64>,
}

/// The application data of a record.
#[derive(Debug)]
struct Opened {
    /// Stream offsets of the record.
    range: Range<u64>,
    bytes: Vec<u8>,
    /// Index of its plaintext, if a part of the record is at the place.
    plaintext: Option<usize>,
}

impl Collect {
    pub(super) fn of(stream: u32, direction: Direction, pieces: &[Piece]) -> Self {
        let start = pieces.iter().map(|piece| piece.range.start).min().unwrap_or(0);
        let end = pieces.iter().map(|piece| piece.range.end).max().unwrap_or(0);
        Self {
            stream,
            direction,
            place: start..end,
            kept: Vec::new(),
            kept_from: 0,
            handshake: Vec::new(),
            fields: Vec::new(),
            plaintexts: Vec::new(),
            opened: Vec::new(),
            read: 0..0,
        }
    }

    /// Replaces the payload of the frame by the fields that were found in it.
    pub(super) fn explain(mut self, pieces: &[Piece], explained: &mut Explained) {
        self.fields.sort_by_key(|field| (field.range.start, field.range.end));
        let payload = |field: &ExplainedField| field.kind == Kind::TcpPayload;
        let Some(index) = explained.fields.iter().position(payload) else { return };
        let whole = explained.fields.remove(index);
        let mut found: Vec<ExplainedField> = Vec::new();
        let mut at = whole.range.start;
        for piece in pieces {
            for field in &self.fields {
                let start = field.range.start.max(piece.range.start);
                let end = field.range.end.min(piece.range.end);
                let in_frame = |offset: u64| piece.at + (offset - piece.range.start) as usize;
                if start >= end {
                    continue;
                }
                let range = in_frame(start)..in_frame(end);
                // Fields of bits have the same range. What else overlaps an earlier field has been read twice.
                let beside = found.iter().rev().take_while(|before| before.range == range);
                let is_beside = |kinds: &[Kind]| !kinds.is_empty() && !kinds.contains(&field.kind);
                if range.start >= at || is_beside(&beside.map(|before| before.kind).collect::<Vec<_>>()) {
                    fill(&mut found, at..range.start);
                    at = in_frame(end);
                    found.push(ExplainedField {
                        kind: field.kind,
                        range: in_frame(start)..at,
                        value: field.value.clone(),
                        path: field.path.clone(),
                        begins_before: field.range.start < start,
                        goes_on: field.range.end > end,
                        plaintext: field.plaintext,
                    });
                }
            }
        }
        fill(&mut found, at..whole.range.end);
        explained.fields.splice(index..index, found);
        explained.plaintexts = self.plaintexts;
    }

    fn chunk(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        if end + REACH < self.place.start || offset > self.place.end + REACH {
            return;
        }
        // Behind a gap, nothing before it belongs to what follows.
        if self.kept_from + self.kept.len() as u64 != offset {
            self.kept.clear();
            self.kept_from = offset;
        }
        self.kept.extend_from_slice(bytes);
    }

    fn kept(&self, range: &Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(range.start.checked_sub(self.kept_from)?).ok()?;
        let len = usize::try_from(range.end - range.start).ok()?;
        self.kept.get(start..)?.get(..len)
    }

    fn overlaps(&self, range: &Range<u64>) -> bool {
        range.start < self.place.end && self.place.start < range.end
    }

    fn add(&mut self, fields: Vec<Field>, first: u64, plaintext: Option<usize>) {
        for Field { kind, range, value } in fields {
            let range = first + range.start as u64..first + range.end as u64;
            let plaintext = plaintext.filter(|_| kind == Kind::TlsCiphertext);
            self.fields.push(StreamField { kind, range, value, path: None, plaintext });
        }
    }

    fn is_near(&self, range: &Range<u64>) -> bool {
        range.end.saturating_add(REACH) >= self.place.start
            && range.start <= self.place.end.saturating_add(REACH)
    }

    fn record(&mut self, fact: &RecordFact<'_>) {
        let record = fact.record;
        let range = record.range.clone();
        let application_data = match &record.content {
            Content::Decrypted(decrypted) if self.is_near(&range) => {
                Some(decrypted).filter(|decrypted| decrypted.content_type == ContentType::APPLICATION_DATA)
            }
            _ => None,
        };
        if let Some(decrypted) = application_data {
            let plaintext = self.overlaps(&range).then_some(self.plaintexts.len());
            let (range, bytes) = (range.clone(), decrypted.plaintext.to_vec());
            self.opened.push(Opened { range, bytes, plaintext });
        }
        // A ClientHello in the form of SSL 2.0 has no header of a message: it is explained as a record.
        let is_message = record.header.content_type == ContentType::HANDSHAKE;
        if let Content::Handshake(bytes) = record.content
            && is_message
        {
            let first = range.end - bytes.len() as u64;
            self.handshake.extend((first..).zip(bytes.iter().copied()));
            self.handshake_messages();
        }
        if !self.overlaps(&range) {
            return;
        }
        let plaintext = match &record.content {
            Content::Decrypted(decrypted) => {
                self.plaintexts.push(Plaintext {
                    content_type: decrypted.content_type.to_string(),
                    bytes: decrypted.plaintext.to_vec(),
                    fields: plaintext::fields_of(self.direction, decrypted.content_type, decrypted.plaintext),
                });
                Some(self.plaintexts.len() - 1)
            }
            _ => None,
        };
        if let Some(bytes) = self.kept(&range) {
            let mut fields = fields::of_record(bytes);
            fields.retain(|field| field.kind != Kind::TlsHandshakeData);
            self.add(fields, range.start, plaintext);
        }
    }

    fn handshake_messages(&mut self) {
        while let Some(header) = self.handshake.get(..HANDSHAKE_HEADER) {
            let len = header[1..].iter().fold(0, |len, (_, byte)| len << 8 | usize::from(*byte));
            let Some(message) = self.handshake.get(..HANDSHAKE_HEADER + len) else {
                // A message over the reach is not read.
                if len as u64 > REACH {
                    self.handshake.clear();
                }
                return;
            };
            let (offsets, bytes): (Vec<u64>, Vec<u8>) = message.iter().copied().unzip();
            for Field { kind, range, value } in fields::of_handshake(&bytes) {
                // A field that is divided by the header of a record has two ranges.
                let offsets = &offsets[range];
                for part in offsets.chunk_by(|one, other| one + 1 == *other) {
                    let range = part[0]..part[0] + part.len() as u64;
                    if self.place.start < range.end && range.start < self.place.end {
                        let value = value.clone();
                        self.fields.push(StreamField { kind, range, value, path: None, plaintext: None });
                    }
                }
            }
            self.handshake.drain(..HANDSHAKE_HEADER + len);
        }
    }

    fn message(&mut self, message: &MessageFact<'_>) {
        let Some(start) = message.location.stream_offset else { return };
        let range = start..start + message.location.wire_len;
        if !self.overlaps(&range) {
            return;
        }
        if message.needs_secret {
            return self.decrypted_message(&range);
        }
        // Frames of other streams can come in between, and their fields are not laid out.
        if message.http_stream.is_some() {
            return;
        }
        let known = range.start..range.end.min(self.kept_from + self.kept.len() as u64);
        let Some(bytes) = self.kept(&known) else {
            // The head is far before the place.
            let (kind, value) = (Kind::HttpBody, Value::Bytes);
            self.fields.push(StreamField { kind, range, value, path: None, plaintext: None });
            return;
        };
        // Only messages of WebSocket have neither method nor status.
        let is_websocket = message.method.is_empty() && message.status == 0;
        let parts = if is_websocket { content::websocket(bytes) } else { content::http(bytes) };
        self.add_parts(parts, start);
    }

    /// An HTTP message in these records. A record alone does not show what its bytes are if the message began in an earlier
    /// one.
    fn decrypted_message(&mut self, records: &Range<u64>) {
        // Many small messages can share one record; it is read once.
        if records.start >= self.read.start && records.end <= self.read.end {
            return;
        }
        self.read = records.clone();
        let is_in = |opened: &&Opened| records.start <= opened.range.start && opened.range.end <= records.end;
        let opened: Vec<_> = self.opened.iter().filter(is_in).collect();
        let text: Vec<u8> = opened.iter().flat_map(|opened| &opened.bytes).copied().collect();
        let begins_here = opened.first().is_some_and(|first| first.range.start == records.start);
        if !begins_here || http1::detect(self.direction, &text) != Detection::Match {
            return;
        }
        let parts = content::http(&text);
        let mut at = 0;
        for Opened { bytes, plaintext, .. } in opened {
            let span = at..at + bytes.len();
            at = span.end;
            let Some(plaintext) = plaintext.and_then(|index| self.plaintexts.get_mut(index)) else {
                continue;
            };
            plaintext.fields = parts.iter().filter_map(|part| part.within(&span)).collect();
        }
    }

    /// A control frame of WebSocket.
    fn control_frame(&mut self, range: &Range<u64>) {
        if self.overlaps(range)
            && let Some(bytes) = self.kept(range)
        {
            let parts = content::websocket(bytes);
            self.add_parts(parts, range.start);
        }
    }

    /// Adds the parts of a message that begins at this stream offset.
    fn add_parts(&mut self, parts: Vec<Part>, first: u64) {
        for Part { kind, range, value, path } in parts {
            let range = first + range.start as u64..first + range.end as u64;
            self.fields.push(StreamField { kind, range, value, path, plaintext: None });
        }
    }

    fn is_of(&self, stream: Option<u32>, direction: Option<Direction>) -> bool {
        stream == Some(self.stream) && direction == Some(self.direction)
    }
}

/// Bytes of the payload that nothing explains.
fn fill(found: &mut Vec<ExplainedField>, range: Range<usize>) {
    if !range.is_empty() {
        found.push(ExplainedField {
            kind: Kind::TcpPayload,
            range,
            value: Value::Bytes,
            path: None,
            begins_before: false,
            goes_on: false,
            plaintext: None,
        });
    }
}

impl FactObserver for Collect {
    fn observe(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Chunk(stream, direction, chunk) if self.is_of(Some(*stream), Some(*direction)) => {
                self.chunk(chunk.stream_offset, chunk.bytes);
            }
            Fact::TlsRecord(record) if self.is_of(Some(record.stream), Some(record.record.direction)) => {
                self.record(record);
            }
            Fact::Message(message) if self.is_of(message.location.stream, message.location.direction) => {
                self.message(message);
            }
            Fact::ControlFrame(frame)
                if !frame.needs_secret && self.is_of(Some(frame.stream), Some(frame.direction)) =>
            {
                self.control_frame(&frame.range);
            }
            _ => {}
        }
    }
}
