//! Both directions of one HTTP/3 connection: the frames of its streams (RFC 9114 §6, §7).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::qpack::{Decoder, Error};
use crate::coding::Coding;
use crate::flow::{Direction, PerDirection};
use crate::http2::hpack::{Field, Origin};

/// Longest header block, or frame of settings, that is read. Servers accept 8 to 64 KiB of fields.
pub const MAX_BLOCK: usize = 64 << 10;

/// Bytes of streams that wait for entries of a dynamic table, in one direction of a connection.
pub const MAX_HELD: usize = 256 << 10;

/// Maximum number of unfinished streams that are followed in each direction; servers allow about 100 requests at a
/// time.
pub const MAX_STREAMS: usize = 1024;

/// What a stream counts in [`Connection::kept`].
const STREAM_OVERHEAD: usize = 256;

/// The types of frames (RFC 9114 §7.2).
const DATA: u64 = 0x00;
const HEADERS: u64 = 0x01;
const SETTINGS: u64 = 0x04;
const PUSH_PROMISE: u64 = 0x05;

/// The types of unidirectional streams (RFC 9114 §6.2, RFC 9204 §4.2).
const CONTROL_STREAM: u64 = 0x00;
const PUSH_STREAM: u64 = 0x01;
const ENCODER_STREAM: u64 = 0x02;

/// The setting for the size of the dynamic table (RFC 9204 §5).
const QPACK_MAX_TABLE_CAPACITY: u64 = 0x01;

/// What a header block begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// A request that the server promises an answer to, before the client asks (RFC 9114 §4.6).
    Promise,
    /// A final answer.
    Response,
    /// An interim answer.
    Interim,
    /// Trailers.
    Trailers,
}

/// A header block.
#[derive(Clone, Debug)]
pub struct Head {
    /// The stream.
    pub stream: u64,
    /// What it is.
    pub kind: Kind,
    /// Its fields, as far as they are read.
    pub fields: Vec<Field>,
    /// Offsets in the stream of its frame.
    pub range: Range<u64>,
    /// Fields above [`super::MAX_FIELDS`].
    pub left_out: usize,
    /// Why it is not read to its end, if it is not.
    pub error: Option<Error>,
}

impl Head {
    /// The first value of a field; pseudo-header fields have a colon in front.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.name.bytes() == name.as_bytes());
        field.map(|field| field.value.bytes())
    }

    /// The status code of an answer; 0 if there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        let value = self.value(":status").and_then(|value| std::str::from_utf8(value).ok());
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// The content codings of the body, in the order in which they are undone.
    #[must_use]
    pub fn codings(&self) -> Vec<Coding> {
        let fields = self.fields.iter().filter(|field| field.name.bytes() == b"content-encoding");
        let names = fields.flat_map(|field| field.value.bytes().split(|byte| *byte == b','));
        let names = names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
        let mut codings: Vec<Coding> = names.map(Coding::from_token).collect();
        codings.retain(|coding| *coding != Coding::Identity);
        codings.reverse();
        codings
    }
}

/// Something in a stream. Offsets are those of the stream.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A header block.
    Head(&'a Head),
    /// Bytes of a body.
    Data {
        /// The stream.
        stream: u64,
        /// Offset of the first byte.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes of a body are missing.
    Gap {
        /// The stream.
        stream: u64,
        /// How many.
        len: u64,
    },
    /// The end of a stream with messages.
    End {
        /// The stream.
        stream: u64,
        /// Offset of its end.
        offset: u64,
        /// Whether everything was read up to its end.
        is_complete: bool,
    },
    /// A string that an encoder stream inserts into the dynamic table.
    Inserted {
        /// The encoder stream.
        stream: u64,
        /// Offsets in it of the instruction.
        range: Range<u64>,
        /// The bytes.
        bytes: &'a [u8],
        /// Whether the stream has them in another form: Huffman-coded.
        is_coded: bool,
    },
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A unidirectional stream whose type is not there yet.
    Untyped,
    /// A push stream whose push ID is not there yet.
    Push,
    Messages,
    Control,
    Encoder,
    /// What is not read: the decoder stream, unknown types, what is behind missing bytes.
    Ignored,
}

/// One direction of a stream.
#[derive(Debug)]
struct Stream {
    role: Role,
    /// Offset of the next byte that is read.
    at: u64,
    /// The unfinished header of a frame, or its unfinished content.
    buffer: Vec<u8>,
    /// The current frame: where it begins, its type, and how many bytes of it are to come.
    frame: Option<(u64, u64, u64)>,
    has_head: bool,
    /// The header block that waits for entries.
    blocked: Option<Blocked>,
    /// What came behind it.
    held: Held,
    /// Whether the last byte has come.
    has_ended: bool,
}

/// Bytes of which the front is read piece by piece.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// How many of them were read.
    read: usize,
}

impl Held {
    fn unread(&self) -> &[u8] {
        self.bytes.get(self.read..).unwrap_or_default()
    }

    /// Keeps the last `len` bytes.
    fn keep(&mut self, len: usize) {
        self.read = self.bytes.len().saturating_sub(len);
    }

    fn extend(&mut self, bytes: &[u8]) {
        // Each byte moves a bounded number of times.
        if self.read > self.bytes.len() / 2 {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}

/// A header block that waits for entries.
#[derive(Debug)]
struct Blocked {
    block: Vec<u8>,
    /// Type and offsets of its frame.
    kind: u64,
    range: Range<u64>,
    /// The number of insertions that it waits for.
    required: u64,
}

impl Stream {
    fn new(role: Role) -> Self {
        Self {
            role,
            at: 0,
            buffer: Vec::new(),
            frame: None,
            has_head: false,
            blocked: None,
            held: Held::default(),
            has_ended: false,
        }
    }

    /// Bytes that wait for entries of the dynamic table.
    fn held(&self) -> usize {
        self.blocked.as_ref().map_or(0, |blocked| blocked.block.len() + self.held.unread().len())
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Side {
    streams: BTreeMap<u64, Stream>,
    /// Streams that wait for entries of the dynamic table, behind the number of insertions that each waits for.
    blocked: BTreeSet<(u64, u64)>,
    /// Bytes of those.
    held: usize,
    /// Bytes of unfinished frames.
    buffered: usize,
    decoder: Decoder,
    /// Whether there was a stream of instructions for the dynamic table.
    has_encoder: bool,
    /// Whether something was given up because of a bound.
    is_over_bound: bool,
}

/// One HTTP/3 connection.
#[derive(Debug, Default)]
pub struct Connection {
    sides: PerDirection<Side>,
}

impl Connection {
    /// Adds the next bytes of a stream. `is_last`: its end is behind them.
    pub fn push(
        &mut self,
        direction: Direction,
        stream: u64,
        bytes: &[u8],
        is_last: bool,
        mut each: impl FnMut(Event<'_>),
    ) {
        let side = &mut self.sides[direction];
        side.forget_oldest(stream, &mut each);
        let state = side.streams.entry(stream).or_insert_with(|| {
            // RFC 9000 §2.1: the second bit is that of unidirectional streams.
            Stream::new(if stream & 2 == 0 { Role::Messages } else { Role::Untyped })
        });
        state.has_ended |= is_last;
        if state.blocked.is_some() {
            side.hold(stream, bytes);
            while side.held > MAX_HELD && side.is_blocked(stream) {
                side.is_over_bound = true;
                side.give_up(direction, stream, &mut each);
            }
            return;
        }
        let Read { waiting, allowed } = side.read(direction, stream, bytes, &mut each);
        side.hold(stream, bytes.get(bytes.len() - waiting..).unwrap_or_default());
        if let Some(capacity) = allowed {
            self.sides[direction.opposite()].decoder.allow(capacity);
        }
    }

    /// `len` bytes of a stream are missing.
    pub fn gap(&mut self, direction: Direction, stream: u64, len: u64, mut each: impl FnMut(Event<'_>)) {
        let side = &mut self.sides[direction];
        while side.is_blocked(stream) {
            side.give_up(direction, stream, &mut each);
        }
        let Some(state) = side.streams.get_mut(&stream) else {
            side.forget_oldest(stream, &mut each);
            side.streams.insert(stream, Stream { at: len, ..Stream::new(Role::Ignored) });
            return;
        };
        let buffered = state.buffer.len();
        state.at += len;
        match (&mut state.frame, state.role) {
            (Some((_, DATA, rest)), Role::Messages) if *rest >= len => {
                *rest -= len;
                each(Event::Gap { stream, len });
            }
            (_, Role::Messages) => {
                each(Event::End { stream, offset: state.at - len, is_complete: false });
                side.buffered -= buffered;
                *state = Stream { at: state.at, ..Stream::new(Role::Ignored) };
            }
            (_, Role::Encoder) => {
                side.decoder.lose();
                side.unblock(direction, &mut each);
            }
            _ => {
                side.buffered -= buffered;
                *state = Stream { at: state.at, ..Stream::new(Role::Ignored) };
            }
        }
    }

    /// A stream ends without its rest.
    pub fn reset(&mut self, direction: Direction, stream: u64, mut each: impl FnMut(Event<'_>)) {
        let side = &mut self.sides[direction];
        side.give_up(direction, stream, &mut each);
        if let Some(state) = side.remove(stream)
            && state.role == Role::Messages
        {
            each(Event::End { stream, offset: state.at, is_complete: false });
        }
    }

    /// Ends both directions: what is unfinished is incomplete.
    pub fn finish(&mut self, direction: Direction, mut each: impl FnMut(Event<'_>)) {
        let side = &mut self.sides[direction];
        while let Some((_, stream)) = side.blocked.pop_first() {
            side.give_up(direction, stream, &mut each);
        }
        side.buffered = 0;
        for (stream, state) in std::mem::take(&mut side.streams) {
            if state.role == Role::Messages {
                each(Event::End { stream, offset: state.at, is_complete: false });
            }
        }
    }
}

impl Connection {
    /// Bytes of memory that are kept, with an estimate for the state of streams.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.sides.values().map(Side::kept).sum()
    }

    /// Offset of the first byte of a stream from which something is still to be read; `None` of an unknown stream.
    #[must_use]
    pub fn pending_from(&self, direction: Direction, stream: u64) -> Option<u64> {
        let side = &self.sides[direction];
        let state = side.streams.get(&stream)?;
        let unfinished = match state.role {
            Role::Encoder => side.decoder.unread(),
            _ => state.buffer.len(),
        };
        let block = state.blocked.as_ref().map(|blocked| blocked.range.start);
        let frame = state.frame.filter(|(_, kind, _)| *kind != DATA).map(|(start, ..)| start);
        Some(block.or(frame).unwrap_or(state.at.saturating_sub(unfinished as u64)))
    }

    /// Whether messages are missing, or heads lack fields, because of a bound.
    #[must_use]
    pub fn has_left_out(&self) -> bool {
        self.sides.values().any(|side| side.is_over_bound)
    }
}

/// What a piece of a stream gave.
#[derive(Clone, Copy, Debug)]
struct Read {
    /// How many bytes at its end wait behind a header block.
    waiting: usize,
    /// The size of the table that a peer allows, if a frame of settings says it.
    allowed: Option<u64>,
}

impl Side {
    fn kept(&self) -> usize {
        self.held + self.buffered + self.decoder.kept() + self.streams.len() * STREAM_OVERHEAD
    }

    /// Removes a stream, and what it counts.
    fn remove(&mut self, stream: u64) -> Option<Stream> {
        let state = self.streams.remove(&stream)?;
        self.held = self.held.saturating_sub(state.held());
        self.buffered = self.buffered.saturating_sub(state.buffer.len());
        if let Some(blocked) = &state.blocked {
            self.blocked.remove(&(blocked.required, stream));
        }
        Some(state)
    }

    /// Forgets the oldest stream of messages if another one would be too many.
    fn forget_oldest(&mut self, stream: u64, each: &mut impl FnMut(Event<'_>)) {
        if self.streams.len() < MAX_STREAMS || self.streams.contains_key(&stream) {
            return;
        }
        let is_message = |state: &Stream| !matches!(state.role, Role::Control | Role::Encoder);
        let oldest = self.streams.iter().find(|(_, state)| is_message(state)).map(|(stream, _)| *stream);
        let oldest = oldest.or_else(|| self.streams.keys().next().copied());
        if let Some(oldest) = oldest
            && let Some(state) = self.remove(oldest)
            && state.role == Role::Messages
        {
            self.is_over_bound = true;
            each(Event::End { stream: oldest, offset: state.at, is_complete: false });
        }
    }

    /// Whether a stream waits for entries of the dynamic table.
    fn is_blocked(&self, stream: u64) -> bool {
        self.streams.get(&stream).is_some_and(|state| state.blocked.is_some())
    }

    /// Keeps bytes of a stream that waits.
    fn hold(&mut self, stream: u64, bytes: &[u8]) {
        if let Some(state) = self.streams.get_mut(&stream).filter(|_| !bytes.is_empty()) {
            state.held.extend(bytes);
            self.held += bytes.len();
        }
    }

    /// Reads bytes of a stream that does not wait.
    fn read(
        &mut self,
        direction: Direction,
        stream: u64,
        bytes: &[u8],
        each: &mut impl FnMut(Event<'_>),
    ) -> Read {
        let buffered = |side: &Self| side.streams.get(&stream).map_or(0, |state| state.buffer.len());
        let before = buffered(self);
        let read = self.read_on(direction, stream, bytes, each);
        self.buffered = (self.buffered + buffered(self)).saturating_sub(before);
        read
    }

    fn read_on(
        &mut self,
        direction: Direction,
        stream: u64,
        bytes: &[u8],
        each: &mut impl FnMut(Event<'_>),
    ) -> Read {
        let mut rest = bytes;
        let mut allowed = None;
        while !rest.is_empty()
            && let Some(state) = self.streams.get_mut(&stream)
        {
            match state.role {
                Role::Ignored => {
                    state.at += rest.len() as u64;
                    break;
                }
                Role::Encoder => {
                    state.at += rest.len() as u64;
                    let end = state.at;
                    self.decoder.push(rest);
                    loop {
                        let start = end.saturating_sub(self.decoder.unread() as u64);
                        let has_read = self.decoder.step(|part, len| {
                            let is_coded = part.origin == Origin::Huffman;
                            let range = start..start + len as u64;
                            each(Event::Inserted { stream, range, bytes: part.bytes(), is_coded });
                        });
                        // What waits for these entries may not find them behind later ones.
                        self.unblock(direction, each);
                        if !has_read {
                            break;
                        }
                    }
                    break;
                }
                Role::Untyped | Role::Push => {
                    if let Some(kind) = state.number(&mut rest) {
                        state.role = match (state.role, kind) {
                            (Role::Push, _) => Role::Messages,
                            (_, CONTROL_STREAM) => Role::Control,
                            (_, PUSH_STREAM) => Role::Push,
                            // A second one is an error of the connection (RFC 9204 §4.2): its entries would be at
                            // indices that no peer knows.
                            (_, ENCODER_STREAM) if !std::mem::replace(&mut self.has_encoder, true) => {
                                Role::Encoder
                            }
                            _ => Role::Ignored,
                        };
                    }
                }
                Role::Messages | Role::Control => {
                    let Some((kind, content, range)) = state.frame(&mut rest, stream, each) else { continue };
                    if kind == SETTINGS {
                        allowed = table_capacity(&content).or(allowed);
                    } else if self.block(direction, stream, content, kind, range, each) {
                        // Everything behind it waits, too.
                        return Read { waiting: rest.len(), allowed };
                    }
                }
            }
        }
        self.end(stream, each);
        Read { waiting: 0, allowed }
    }

    /// Ends a stream whose last byte was read.
    fn end(&mut self, stream: u64, each: &mut impl FnMut(Event<'_>)) {
        let Some(state) = self.streams.get(&stream) else { return };
        if !state.has_ended || state.blocked.is_some() {
            return;
        }
        if state.role == Role::Messages {
            let is_complete = state.frame.is_none() && state.buffer.is_empty();
            each(Event::End { stream, offset: state.at, is_complete });
        }
        // What it has buffered is counted where it was read.
        self.streams.remove(&stream);
    }

    /// Reads a header block, or keeps it if it depends on entries that have not come. Returns whether it does.
    fn block(
        &mut self,
        direction: Direction,
        stream: u64,
        block: Vec<u8>,
        kind: u64,
        range: Range<u64>,
        each: &mut impl FnMut(Event<'_>),
    ) -> bool {
        let fields_at = if kind == PUSH_PROMISE { number_len(&block) } else { 0 };
        if let Some(required) = self.decoder.waits_for(block.get(fields_at..).unwrap_or_default())
            && let Some(state) = self.streams.get_mut(&stream)
        {
            if self.held + block.len() <= MAX_HELD {
                self.held += block.len();
                state.blocked = Some(Blocked { block, kind, range, required });
                self.blocked.insert((required, stream));
                return true;
            }
            self.is_over_bound = true;
        }
        self.head(direction, stream, block.get(fields_at..).unwrap_or_default(), kind, range, each);
        false
    }

    fn head(
        &mut self,
        direction: Direction,
        stream: u64,
        block: &[u8],
        frame: u64,
        range: Range<u64>,
        each: &mut impl FnMut(Event<'_>),
    ) {
        let mut head =
            Head { stream, kind: Kind::Trailers, fields: Vec::new(), range, left_out: 0, error: None };
        match self.decoder.decode(block, |field| head.fields.push(field)) {
            Ok(left_out) => head.left_out = left_out,
            Err(error) => head.error = Some(error),
        }
        let Some(state) = self.streams.get_mut(&stream) else { return };
        head.kind = match direction {
            _ if frame == PUSH_PROMISE => Kind::Promise,
            _ if state.has_head => Kind::Trailers,
            Direction::ClientToServer => Kind::Request,
            Direction::ServerToClient if matches!(head.status(), 100..200) => Kind::Interim,
            Direction::ServerToClient => Kind::Response,
        };
        state.has_head |= matches!(head.kind, Kind::Request | Kind::Response);
        each(Event::Head(&head));
    }

    /// Reads the streams whose entries have come.
    fn unblock(&mut self, direction: Direction, each: &mut impl FnMut(Event<'_>)) {
        let may_be_read =
            |side: &Self, required| required <= side.decoder.inserted() || side.decoder.is_lost();
        while self.blocked.first().is_some_and(|(required, _)| may_be_read(self, *required))
            && let Some((_, stream)) = self.blocked.pop_first()
        {
            self.give_up(direction, stream, each);
        }
    }

    /// Reads a stream that waits, as far as it can be read without what it waits for.
    fn give_up(&mut self, direction: Direction, stream: u64, each: &mut impl FnMut(Event<'_>)) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        let freed = state.held();
        let Some(Blocked { block, kind, range, required }) = state.blocked.take() else { return };
        let mut held = std::mem::take(&mut state.held);
        self.held = self.held.saturating_sub(freed);
        self.blocked.remove(&(required, stream));
        let fields_at = if kind == PUSH_PROMISE { number_len(&block) } else { 0 };
        self.head(direction, stream, block.get(fields_at..).unwrap_or_default(), kind, range, each);
        let Read { waiting, .. } = self.read(direction, stream, held.unread(), each);
        held.keep(waiting);
        if let Some(state) = self.streams.get_mut(&stream).filter(|_| waiting > 0) {
            state.held = held;
            self.held += waiting;
        }
    }
}

impl Stream {
    /// The next number (RFC 9000 §16); `None` while it is unfinished.
    fn number(&mut self, rest: &mut &[u8]) -> Option<u64> {
        while let Some((first, behind)) = rest.split_first() {
            self.buffer.push(*first);
            self.at += 1;
            *rest = behind;
            if self.buffer.len() >= number_len(&self.buffer) {
                return numbers(&std::mem::take(&mut self.buffer)).next();
            }
        }
        None
    }

    /// Reads up to the end of a frame. Returns one that is kept whole: its type, content and offsets.
    fn frame(
        &mut self,
        rest: &mut &[u8],
        stream: u64,
        each: &mut impl FnMut(Event<'_>),
    ) -> Option<(u64, Vec<u8>, Range<u64>)> {
        let Some((start, kind, missing)) = &mut self.frame else {
            let (first, behind) = rest.split_first()?;
            self.buffer.push(*first);
            self.at += 1;
            *rest = behind;
            let type_len = number_len(&self.buffer);
            let header_len =
                type_len + self.buffer.get(type_len..).filter(|len| !len.is_empty()).map_or(1, number_len);
            if self.buffer.len() < header_len {
                return None;
            }
            let header = std::mem::take(&mut self.buffer);
            let mut numbers = numbers(&header);
            let (kind, len) = (numbers.next()?, numbers.next()?);
            let start = self.at - header.len() as u64;
            if len > 0 {
                self.frame = Some((start, kind, len));
                return None;
            }
            return self.is_kept(kind).then(|| (kind, Vec::new(), start..self.at));
        };
        let (start, kind) = (*start, *kind);
        let len = usize::try_from(*missing).map_or(rest.len(), |missing| missing.min(rest.len()));
        let (bytes, behind) = rest.split_at_checked(len)?;
        *rest = behind;
        *missing -= len as u64;
        let is_over = *missing == 0;
        let offset = self.at;
        self.at += len as u64;
        if is_over {
            self.frame = None;
        }
        if kind == DATA && self.role == Role::Messages {
            each(Event::Data { stream, offset, bytes });
            return None;
        }
        if !self.is_kept(kind) {
            return None;
        }
        if self.buffer.len() + bytes.len() <= MAX_BLOCK {
            self.buffer.extend_from_slice(bytes);
        } else {
            // The beginning of a block that is too long is read; what is behind it is missing.
            let room = MAX_BLOCK - self.buffer.len();
            self.buffer.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
        is_over.then(|| (kind, std::mem::take(&mut self.buffer), start..self.at))
    }

    /// Whether a frame's content is kept whole.
    fn is_kept(&self, kind: u64) -> bool {
        match self.role {
            Role::Messages => kind == HEADERS || kind == PUSH_PROMISE,
            _ => kind == SETTINGS,
        }
    }
}

/// Length of the number at the front (RFC 9000 §16); 1 of nothing.
fn number_len(bytes: &[u8]) -> usize {
    bytes.first().map_or(1, |first| 1 << (first >> 6))
}

/// The numbers that bytes consist of.
fn numbers(mut bytes: &[u8]) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let (number, behind) = bytes.split_at_checked(number_len(bytes))?;
        bytes = behind;
        let value = number.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        // The two highest bits are the length.
        Some(value & (u64::MAX >> (66 - 8 * number.len())))
    })
}

/// The size of the dynamic table in a frame of settings (RFC 9114 §7.2.4).
fn table_capacity(content: &[u8]) -> Option<u64> {
    let mut numbers = numbers(content);
    while let (Some(setting), Some(value)) = (numbers.next(), numbers.next()) {
        if setting == QPACK_MAX_TABLE_CAPACITY {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: Direction = Direction::ClientToServer;
    const SERVER: Direction = Direction::ServerToClient;

    #[test]
    fn reads_numbers() {
        let bytes =
            [0x25, 0x7b, 0xbd, 0x9d, 0x7f, 0x3e, 0x7d, 0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c];
        let expected = [37, 15_293, 494_878_333, 151_288_809_941_952_652];
        assert_eq!(numbers(&bytes).collect::<Vec<_>>(), expected);
        assert_eq!(numbers(&[0x40]).next(), None);
    }

    fn text(event: &Event<'_>) -> String {
        match event {
            Event::Head(head) => {
                let fields = head.fields.iter().map(|field| {
                    format!("{}={}", field.name.bytes().escape_ascii(), field.value.bytes().escape_ascii())
                });
                let fields = fields.collect::<Vec<_>>().join(" ");
                format!("{} {:?} {fields} {:?}", head.stream, head.kind, head.error)
            }
            Event::Data { stream, offset, bytes } => format!("{stream} {offset} {}", bytes.escape_ascii()),
            other => format!("{other:?}"),
        }
    }

    /// The events of pieces of streams, of which adjacent bodies are joined.
    fn read(pieces: &[(Direction, u64, &[u8], bool)]) -> Vec<String> {
        let mut connection = Connection::default();
        let mut found: Vec<String> = Vec::new();
        for (direction, stream, bytes, is_last) in pieces {
            connection.push(*direction, *stream, bytes, *is_last, |event| found.push(text(&event)));
        }
        for direction in Direction::BOTH {
            connection.finish(direction, |event| found.push(text(&event)));
        }
        found
    }

    /// Settings with a table of 220 bytes, and the second example of RFC 9204 appendix B as a request.
    const SETTINGS_FRAME: &[u8] = b"\x00\x04\x03\x01\x40\xdc";
    const INSERTS: &[u8] = b"\x02\x3f\xbd\x01\xc0\x0fwww.example.com\xc1\x0c/sample/path";
    const REQUEST: &[u8] = b"\x01\x06\x03\x81\xd1\xd7\x10\x11\x00\x05hello\x21\x01x\x00\x01!";

    #[test]
    fn reads_a_request_whose_entries_come_late() {
        let head = "0 Request :method=GET :scheme=https :authority=www.example.com :path=/sample/path None";
        let body = ["0 10 hello", "0 20 !"];
        let end = "End { stream: 0, offset: 21, is_complete: true }";
        let inserted: Vec<_> = read(&[(SERVER, 3, SETTINGS_FRAME, false), (CLIENT, 2, INSERTS, false)]);
        assert_eq!(inserted.len(), 2);
        let early = read(&[
            (SERVER, 3, SETTINGS_FRAME, false),
            (CLIENT, 2, INSERTS, false),
            (CLIENT, 0, REQUEST, true),
        ]);
        assert_eq!(early[2..], [head, body[0], body[1], end]);
        let late = read(&[
            (SERVER, 3, SETTINGS_FRAME, false),
            (CLIENT, 0, REQUEST, true),
            (CLIENT, 2, INSERTS, false),
        ]);
        assert_eq!(late, early);
        let never = read(&[(SERVER, 3, SETTINGS_FRAME, false), (CLIENT, 0, REQUEST, true)]);
        assert_eq!(never, ["0 Request  Some(Missing)", body[0], body[1], end]);
    }

    #[test]
    fn reads_on_behind_missing_bytes_of_a_body() {
        let mut connection = Connection::default();
        let mut found = Vec::new();
        let answer = b"\x01\x03\0\0\xd9\x00\x0aabc";
        connection.push(SERVER, 0, answer, false, |event| found.push(text(&event)));
        connection.gap(SERVER, 0, 4, |event| found.push(text(&event)));
        connection.push(SERVER, 0, b"xyz\x01\x02\0\0", true, |event| found.push(text(&event)));
        assert_eq!(found[0], "0 Response :status=200 None");
        assert_eq!(found[1..3], ["0 7 abc", "Gap { stream: 0, len: 4 }"]);
        assert_eq!(found[3..5], ["0 14 xyz", "0 Trailers  None"]);
        assert_eq!(found[5], "End { stream: 0, offset: 21, is_complete: true }");
        // Between frames, nothing is certain behind missing bytes.
        let mut found = Vec::new();
        connection.push(SERVER, 4, &answer[..5], false, |_| {});
        connection.gap(SERVER, 4, 1, |event| found.push(text(&event)));
        connection.push(SERVER, 4, answer, true, |event| found.push(text(&event)));
        assert_eq!(found, ["End { stream: 4, offset: 5, is_complete: false }"]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut connection = Connection::default();
        connection.push(SERVER, 3, SETTINGS_FRAME, false, |_| {});
        for stream in 0..4000 {
            connection.push(CLIENT, stream * 4, &REQUEST[..8], false, |_| {});
            connection.push(CLIENT, stream * 4, &[0; 1000], false, |_| {});
        }
        let side = &connection.sides[CLIENT];
        assert!(side.held <= MAX_HELD + 1000 && side.streams.len() <= MAX_STREAMS, "{}", side.held);
        let held: usize = side.streams.values().map(Stream::held).sum();
        assert_eq!(held, side.held);
        assert!(connection.has_left_out());
        // Long blocks that wait, and long frames that do not end.
        let mut connection = Connection::default();
        connection.push(SERVER, 3, SETTINGS_FRAME, false, |_| {});
        let block = [&b"\x01\x80\x00\xff\x00\x03\x81"[..], &[0xd1; 0xfefe]].concat();
        for stream in 0..100 {
            connection.push(CLIENT, stream * 4, &block[..block.len() - stream as usize % 2], false, |_| {});
            let side = &connection.sides[CLIENT];
            let buffered: usize = side.streams.values().map(|stream| stream.buffer.len()).sum();
            assert_eq!(side.buffered, buffered);
            assert!(side.held <= MAX_HELD && connection.kept() >= side.held + buffered);
        }
        assert!(connection.has_left_out() && connection.sides[CLIENT].buffered == 50 * 0xfeff);
        let mut ends = 0;
        connection.finish(CLIENT, |event| ends += u32::from(matches!(event, Event::End { .. })));
        assert_eq!((ends, connection.sides[CLIENT].buffered, connection.sides[CLIENT].held), (100, 0, 0));
    }

    /// Header blocks without content but for the number of an insertion, each of which waits for it.
    fn waiting_blocks(count: usize) -> Vec<u8> {
        b"\x01\x02\x02\x00".repeat(count)
    }

    #[test]
    fn a_stream_of_blocks_that_wait_is_bounded() {
        let mut connection = Connection::default();
        connection.push(SERVER, 3, SETTINGS_FRAME, false, |_| {});
        let mut heads = 0;
        for _ in 0..40 {
            let blocks = waiting_blocks(2500);
            connection.push(CLIENT, 0, &blocks, false, |event| {
                heads += usize::from(matches!(event, Event::Head(_)));
            });
            let side = &connection.sides[CLIENT];
            assert!(side.held <= MAX_HELD && side.held == side.streams.values().map(Stream::held).sum());
        }
        assert!(connection.has_left_out() && heads > 0);
        connection.finish(CLIENT, |event| heads += usize::from(matches!(event, Event::Head(_))));
        assert_eq!(heads, 100_000);
    }

    #[test]
    fn a_gap_ends_all_that_waits() {
        let mut connection = Connection::default();
        connection.push(SERVER, 3, SETTINGS_FRAME, false, |_| {});
        connection.push(CLIENT, 0, &waiting_blocks(3), false, |_| {});
        let mut heads = 0;
        connection.gap(CLIENT, 0, 1, |event| heads += u32::from(matches!(event, Event::Head(_))));
        assert_eq!(heads, 3);
        assert!(connection.sides[CLIENT].blocked.is_empty() && connection.sides[CLIENT].held == 0);
        connection.finish(CLIENT, |event| panic!("{event:?}"));
    }

    proptest! {
        /// Any division of the streams gives the same heads and bodies.
        #[test]
        fn division_changes_nothing(size in 1_usize..30, noise in prop::collection::vec(any::<u8>(), 0..80)) {
            let streams: [(Direction, u64, &[u8]); 5] = [
                (SERVER, 3, SETTINGS_FRAME),
                (CLIENT, 0, REQUEST),
                (CLIENT, 2, INSERTS),
                (CLIENT, 4, &noise),
                (SERVER, 7, &noise),
            ];
            let join = |size: usize| {
                let pieces: Vec<_> = streams
                    .iter()
                    .flat_map(|(direction, stream, bytes)| {
                        let count = bytes.chunks(size).len();
                        let pieces = bytes.chunks(size).enumerate();
                        pieces.map(move |(at, piece)| (*direction, *stream, piece, at + 1 == count))
                    })
                    .collect();
                let mut bodies: BTreeMap<String, String> = BTreeMap::new();
                let mut rest = Vec::new();
                for found in read(&pieces) {
                    match found.splitn(3, ' ').collect::<Vec<_>>()[..] {
                        [stream, offset, data] if offset.parse::<u64>().is_ok() => {
                            bodies.entry(stream.to_owned()).or_default().push_str(data);
                        }
                        _ => rest.push(found),
                    }
                }
                (bodies, rest)
            };
            prop_assert_eq!(join(size), join(1000));
        }
    }
}
