//! Reads both directions of one connection.

use std::ops::Range;

use data_encoding::BASE64URL_NOPAD;

use super::detect::{SEARCH_WINDOW, detect_within};
use super::frame::{Control, Frame, SettingId, settings};
use super::message::{Head, Outcome};
use super::parser::{Content, Parser, State};
use super::{DEFAULT_MAX_FRAME, Desync, Ignored, LARGEST_MAX_FRAME};
use crate::detection::Detection;
use crate::flow::{Direction, PerDirection};

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The input is consumed: push more.
    NeedMore,
    /// A frame begins: its header. What it contains follows.
    Frame(Frame),
    /// A frame that carries no message is complete.
    Control(Frame, Control<'a>),
    /// A header section is complete: see [`Connection::head`].
    Head,
    /// A body continues whose head was not captured: a message of [`super::MessageKind::Headless`] begins.
    Headless {
        /// Its stream.
        stream: u32,
    },
    /// Bytes of the body of the open message on a stream, without padding.
    Data {
        /// The stream.
        stream: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The message on a stream is over.
    End {
        /// The stream.
        stream: u32,
        /// How it ended.
        outcome: Outcome,
    },
    /// Bytes of a valid frame that are of no interest to its receiver, or that are not read.
    Ignored(&'a [u8], Ignored),
    /// Input that is not read as HTTP/2, and the reason.
    Opaque(&'a [u8], Desync),
}

/// The result of [`Connection::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes to drop from the input.
    pub consumed: usize,
    /// Offset in its direction of the first byte of `event`, if it contains bytes of the input; otherwise that behind the
    /// last byte that it is made of. Events can be about bytes of earlier inputs.
    pub offset: u64,
    /// The event.
    pub event: Event<'a>,
}

/// Both directions of one HTTP/2 connection.
#[derive(Debug)]
pub struct Connection {
    sides: PerDirection<Side>,
}

#[derive(Debug)]
struct Side {
    direction: Direction,
    parser: Parser,
    /// Bytes that are searched for a frame, and what follows the frame that was found.
    kept: Vec<u8>,
    /// Number of these that were read.
    read: usize,
    /// Number of these before a gap, in which no frame was found.
    before_gap: usize,
    /// Number of bytes missing behind them.
    gap: u64,
    is_finished: bool,
    /// A header section waits until the end of the message before it is reported.
    head_waits: bool,
}

impl Connection {
    /// A connection from its beginning: the client's next byte begins the preface, the server's a frame. Both directions
    /// count their offsets from these bytes' offsets.
    ///
    /// Behind a switch from HTTP/1.1 with `Upgrade: h2c` (RFC 7540 §3.2), the first response is on stream 1, and its request
    /// came before; [`Self::accept`] takes the settings of the `HTTP2-Settings` field.
    #[must_use]
    pub fn new(start: PerDirection<u64>) -> Self {
        Self { sides: PerDirection::from_fn(|direction| Side::new(direction, start[direction])) }
    }

    /// A connection that the capture joined in the middle. A frame begins where three plausible frame headers follow each
    /// other; bytes before that are [`Event::Opaque`]. Fields that refer to entries of tables from before are unknown
    /// ([`super::hpack`]).
    #[must_use]
    pub fn joined(start: PerDirection<u64>) -> Self {
        let mut connection = Self::new(start);
        for direction in Direction::BOTH {
            let parser = &mut connection.sides[direction].parser;
            parser.lose();
            // The other side may have allowed longer ones before.
            parser.accept_frames(LARGEST_MAX_FRAME);
        }
        connection
    }

    /// Bytes that both directions keep: tables of header compression, an unfinished header block or frame, and bytes in
    /// which a frame is searched for.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.sides.values().map(|side| side.kept.capacity() + side.parser.kept_bytes()).sum()
    }

    /// The next byte of a direction is at `offset`. For a direction of which nothing was read yet.
    pub fn begin_at(&mut self, direction: Direction, offset: u64) {
        self.sides[direction].parser.position = offset;
    }

    /// Reads one direction. Call again with the rest of the input until the event is [`Event::NeedMore`].
    pub fn step<'a>(&'a mut self, direction: Direction, input: &'a [u8]) -> Step<'a> {
        let (consumed, found) = self.sides[direction].step(input);
        if let Found::Control { frame, .. } = found {
            self.control(direction, &frame);
        }
        let side = &self.sides[direction];
        let bytes = |place: &Place| match place {
            Place::Kept(range) => side.kept.get(range.clone()).unwrap_or_default(),
            Place::Input(range) => input.get(range.clone()).unwrap_or_default(),
        };
        let mut offset = side.parser.position;
        let event = match &found {
            Found::NeedMore => Event::NeedMore,
            Found::Frame => {
                offset = side.parser.frame.at;
                Event::Frame(side.parser.frame)
            }
            Found::Control { frame } => match Control::read(frame, &side.parser.payload) {
                Some(control) => Event::Control(*frame, control),
                None => Event::Ignored(&[], Ignored::Payload),
            },
            Found::Head => Event::Head,
            Found::Headless(stream) => Event::Headless { stream: *stream },
            Found::Data(stream, place) => Event::Data { stream: *stream, bytes: bytes(place) },
            Found::End(stream, outcome) => Event::End { stream: *stream, outcome: *outcome },
            Found::Ignored(why, place) => Event::Ignored(bytes(place), *why),
            Found::Opaque(why, place) => Event::Opaque(bytes(place), *why),
        };
        if let Event::Data { bytes, .. } | Event::Ignored(bytes, _) | Event::Opaque(bytes, _) = &event {
            offset -= bytes.len() as u64;
        }
        Step { consumed, offset, event }
    }

    /// The header section that [`Event::Head`] announced, valid until the next one in this direction.
    #[must_use]
    pub fn head(&self, direction: Direction) -> &Head {
        &self.sides[direction].parser.head
    }

    /// `len` bytes of this direction are missing; 0 if their number is unknown, and offsets do not count them. Within a body
    /// reading continues behind the gap. Elsewhere the next frame has to be found.
    pub fn gap(&mut self, direction: Direction, len: u64) {
        self.sides[direction].gap(len);
    }

    /// No input follows in this direction. Call [`Self::step`] with empty input until the event is [`Event::NeedMore`].
    pub fn finish(&mut self, direction: Direction) {
        let side = &mut self.sides[direction];
        side.is_finished = true;
        if side.parser.state != State::Search {
            side.parser.finish();
        }
    }

    /// The settings of one side, as in the payload of a SETTINGS frame (RFC 9113 §6.5.1).
    pub fn accept(&mut self, by: Direction, payload: &[u8]) {
        self.accept_frames(by, max_frame(payload));
    }

    /// One side accepts frames whose payload has up to this length.
    pub fn accept_frames(&mut self, by: Direction, max_len: u32) {
        self.sides[by.opposite()].parser.accept_frames(max_len);
    }

    /// Number of bytes kept of an incomplete preface, frame header, control frame or header block.
    #[must_use]
    pub fn held_back(&self, direction: Direction) -> usize {
        self.sides[direction].parser.held_back()
    }

    /// Number of bytes kept in which a frame has to be found.
    #[must_use]
    pub fn kept(&self, direction: Direction) -> usize {
        self.sides[direction].kept.len()
    }

    /// Whether the place in the stream is unknown, so that the next frame has to be found.
    #[must_use]
    pub fn is_searching(&self, direction: Direction) -> bool {
        self.sides[direction].parser.state == State::Search
    }

    /// Number of messages that have begun and not ended, at most [`super::MAX_OPEN`] and one.
    #[must_use]
    pub fn open_messages(&self, direction: Direction) -> usize {
        self.sides[direction].parser.open_messages()
    }

    /// Ends the oldest open message of a direction as unfinished, if there is one on another stream than this one: for a
    /// reader of many connections that bounds their messages together. The next step reports it.
    pub fn end_oldest(&mut self, direction: Direction, stream: u32) {
        self.sides[direction].parser.end_oldest(stream);
    }

    /// The lowest offset of a direction whose bytes are not reported yet.
    #[must_use]
    pub fn pending_from(&self, direction: Direction) -> u64 {
        let side = &self.sides[direction];
        side.parser.pending_from()
    }

    /// Applies what one side says to the other direction.
    fn control(&mut self, direction: Direction, frame: &Frame) {
        let payload = std::mem::take(&mut self.sides[direction].parser.payload);
        match Control::read(frame, &payload) {
            Some(Control::Settings(payload)) => self.accept(direction, payload),
            Some(Control::ResetStream(code)) => {
                self.sides[direction.opposite()].parser.reset_by_peer(frame.stream, code.0);
            }
            _ => {}
        }
        self.sides[direction].parser.payload = payload;
    }
}

/// The longest frame that settings allow.
fn max_frame(payload: &[u8]) -> u32 {
    let lengths = settings(payload).filter(|(id, _)| *id == SettingId::MAX_FRAME_SIZE);
    let longest = lengths.map(|(_, value)| value).max();
    longest.unwrap_or_default().clamp(DEFAULT_MAX_FRAME, LARGEST_MAX_FRAME)
}

/// The longest frame that the `HTTP2-Settings` of a request to upgrade allows (RFC 7540 §3.2.1): settings in base64url. Those
/// that are malformed allow the default.
#[must_use]
pub fn max_frame_of_upgrade(value: &[u8]) -> u32 {
    max_frame(&BASE64URL_NOPAD.decode(value).unwrap_or_default())
}

/// What a step found. Bytes are named by their place.
enum Found {
    NeedMore,
    Frame,
    Control { frame: Frame },
    Head,
    Headless(u32),
    Data(u32, Place),
    End(u32, Outcome),
    Ignored(Ignored, Place),
    Opaque(Desync, Place),
}

enum Place {
    Kept(Range<usize>),
    Input(Range<usize>),
}

impl Side {
    fn new(direction: Direction, start: u64) -> Self {
        let parser = Parser::new(direction, start);
        Self {
            direction,
            parser,
            kept: Vec::new(),
            read: 0,
            before_gap: 0,
            gap: 0,
            is_finished: false,
            head_waits: false,
        }
    }

    /// One step: the number of bytes consumed of the input, and what was found.
    fn step(&mut self, input: &[u8]) -> (usize, Found) {
        if std::mem::take(&mut self.head_waits) {
            return (0, Found::Head);
        }
        let mut consumed = 0;
        loop {
            if let Some((stream, outcome)) = self.parser.ended.pop_front() {
                return (consumed, Found::End(stream, outcome));
            }
            if self.read < self.before_gap {
                let range = self.read..self.before_gap;
                self.read = self.before_gap;
                self.parser.position += range.len() as u64;
                return (consumed, Found::Opaque(self.parser.why, Place::Kept(range)));
            }
            self.parser.position += std::mem::take(&mut self.gap);
            if self.parser.state == State::Search {
                consumed += self.keep(input.get(consumed..).unwrap_or_default());
                let from = self.read;
                let is_found = self.search();
                if is_found {
                    self.parser.found();
                }
                if self.read > from {
                    self.parser.position += (self.read - from) as u64;
                    return (consumed, Found::Opaque(self.parser.why, Place::Kept(from..self.read)));
                }
                if is_found {
                    continue;
                }
                if self.is_finished {
                    self.parser.finish();
                    if !self.parser.ended.is_empty() {
                        continue;
                    }
                }
                return (consumed, Found::NeedMore);
            }
            let is_kept = self.read < self.kept.len();
            let from = if is_kept { self.read } else { consumed };
            let rest = if is_kept { &self.kept } else { input }.get(from..).unwrap_or_default();
            let advance = self.parser.advance(rest);
            let end = from + advance.consumed;
            let range = end - advance.len.min(end)..end;
            if is_kept {
                self.read = end;
            } else {
                consumed = end;
            }
            let place = if is_kept { Place::Kept(range) } else { Place::Input(range) };
            let found = match advance.content {
                Some(Content::Frame) => Found::Frame,
                Some(Content::Control) => Found::Control { frame: self.parser.frame },
                Some(Content::Head) => match self.parser.superseded.take() {
                    Some((stream, outcome)) => {
                        self.head_waits = true;
                        Found::End(stream, outcome)
                    }
                    None => Found::Head,
                },
                Some(Content::Headless(stream)) => Found::Headless(stream),
                Some(Content::Data(stream)) => Found::Data(stream, place),
                Some(Content::Ignored(why)) => Found::Ignored(why, place),
                Some(Content::Lost) => {
                    self.put_back();
                    continue;
                }
                None if is_kept || !self.parser.ended.is_empty() => continue,
                None if self.is_finished => {
                    self.parser.finish();
                    match self.parser.ended.is_empty() {
                        true => Found::NeedMore,
                        false => continue,
                    }
                }
                None => Found::NeedMore,
            };
            return (consumed, found);
        }
    }

    /// Returns the bytes of a preface or frame header that was not valid to those that are searched.
    fn put_back(&mut self) {
        let held = std::mem::take(&mut self.parser.held);
        self.parser.position -= held.len() as u64;
        match self.read.checked_sub(held.len()).filter(|_| !self.kept.is_empty()) {
            // They come from there: reading behind a found frame began at a header.
            Some(read) if self.kept.get(read..self.read) == Some(held.as_slice()) => self.read = read,
            _ => {
                let rest = self.kept.split_off(self.read.min(self.kept.len()));
                self.kept = held;
                self.kept.extend(rest);
                (self.read, self.before_gap) = (0, 0);
            }
        }
    }

    /// Keeps input to be searched: the number of bytes.
    fn keep(&mut self, input: &[u8]) -> usize {
        // Rarely, so that each byte is moved once.
        if self.read == self.kept.len() || self.read > SEARCH_WINDOW {
            self.kept.drain(..self.read);
            (self.read, self.before_gap) = (0, 0);
        }
        let room = SEARCH_WINDOW.saturating_sub(self.kept.len() - self.read).min(input.len());
        self.kept.extend_from_slice(input.get(..room).unwrap_or_default());
        room
    }

    /// Searches the kept bytes for a frame, and skips those before it.
    fn search(&mut self) -> bool {
        while let Some(rest) = self.kept.get(self.read..).filter(|rest| !rest.is_empty()) {
            match detect_within(self.direction, rest, self.is_finished) {
                Detection::Match => return true,
                Detection::NeedMore => return false,
                Detection::NoMatch => self.read += 1,
            }
        }
        false
    }

    fn gap(&mut self, len: u64) {
        if self.parser.state != State::Search {
            if self.parser.gap_in_payload(len) {
                return;
            }
            self.parser.why = Desync::Gap;
            self.parser.lose();
            self.put_back();
        }
        self.before_gap = self.kept.len();
        self.gap += len;
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Flags, FrameType};
    use super::super::huffman::tests::encode;
    use super::super::message::MessageKind;
    use super::super::{MAX_FRAGMENTS, MAX_OPEN, PREFACE};
    use super::*;
    use proptest::prelude::*;

    const CLIENT: Direction = Direction::ClientToServer;
    const SERVER: Direction = Direction::ServerToClient;
    const END_STREAM: u8 = Flags::END_STREAM.0;
    const END_HEADERS: u8 = Flags::END_HEADERS.0;

    fn frame(frame_type: FrameType, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
        [&[a, b, c, frame_type.0, flags][..], &stream.to_be_bytes(), payload].concat()
    }

    fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
        frame(FrameType::HEADERS, flags | END_HEADERS, stream, block)
    }

    fn data(flags: u8, stream: u32, bytes: &[u8]) -> Vec<u8> {
        frame(FrameType::DATA, flags, stream, bytes)
    }

    fn settings_frame() -> Vec<u8> {
        frame(FrameType::SETTINGS, 0, 0, &[])
    }

    /// A literal that is inserted, with its value in Huffman code.
    fn literal(name: &str, value: &str) -> Vec<u8> {
        let coded = encode(value.as_bytes());
        [&[0x40, name.len() as u8], name.as_bytes(), &[0x80 | coded.len() as u8], &coded].concat()
    }

    /// What a connection contains, as text: events in their order, bytes of one body that follow each other joined.
    #[derive(Default)]
    struct Seen {
        events: Vec<String>,
        /// Stream and offset of the last piece of a body, and of what follows it.
        body: Option<(u32, u64)>,
    }

    impl Seen {
        fn take(&mut self, connection: &Connection, direction: Direction, step: &OwnedStep) {
            let line = match &step.event {
                OwnedEvent::Data(stream, bytes) => {
                    let text = bytes.escape_ascii().to_string();
                    if self.body == Some((*stream, step.offset)) {
                        self.events.last_mut().expect("a piece before").push_str(&text);
                    } else {
                        self.events.push(format!("{stream} @{} {text}", step.offset));
                    }
                    self.body = Some((*stream, step.offset + bytes.len() as u64));
                    return;
                }
                OwnedEvent::Bytes(bytes, why) => {
                    match self
                        .events
                        .last_mut()
                        .and_then(|last| last.strip_suffix(why).map(str::len).zip(Some(last)))
                    {
                        Some((len, last)) => {
                            last.truncate(len);
                            *last = format!("{last}{}{why}", bytes.escape_ascii());
                        }
                        None => self.events.push(format!("{}{why}", bytes.escape_ascii())),
                    }
                    return;
                }
                OwnedEvent::Head => {
                    let head = connection.head(direction);
                    let fields: Vec<String> = head
                        .fields
                        .iter()
                        .map(|field| {
                            let text = |part: &super::super::hpack::Part| match &part.octets {
                                Some(octets) => octets.escape_ascii().to_string(),
                                None => "?".to_owned(),
                            };
                            format!("{}={}", text(&field.name), text(&field.value))
                        })
                        .collect();
                    let error = head.decoded.error.map_or(String::new(), |(why, _)| format!(" ({why})"));
                    format!("{} {:?} {}{error}", head.stream, head.kind, fields.join(" "))
                }
                OwnedEvent::Other(text) => text.clone(),
            };
            self.body = None;
            self.events.push(line);
        }
    }

    struct OwnedStep {
        consumed: usize,
        offset: u64,
        event: OwnedEvent,
        is_last: bool,
    }

    enum OwnedEvent {
        Data(u32, Vec<u8>),
        Bytes(Vec<u8>, String),
        Head,
        Other(String),
    }

    fn step(connection: &mut Connection, direction: Direction, input: &[u8]) -> Option<OwnedStep> {
        let Step { consumed, offset, event } = connection.step(direction, input);
        let is_last = event == Event::NeedMore;
        let event = match event {
            Event::NeedMore | Event::Frame(_) => OwnedEvent::Other(String::new()),
            Event::Data { stream, bytes } => OwnedEvent::Data(stream, bytes.to_vec()),
            Event::Opaque(bytes, why) => OwnedEvent::Bytes(bytes.to_vec(), format!(" opaque: {why}")),
            Event::Ignored(bytes, why) => OwnedEvent::Bytes(bytes.to_vec(), format!(" ignored: {why}")),
            Event::Head => OwnedEvent::Head,
            Event::Headless { stream } => OwnedEvent::Other(format!("{stream} Headless")),
            Event::End { stream, outcome } => OwnedEvent::Other(format!("{stream} {outcome:?}")),
            Event::Control(_, control) => OwnedEvent::Other(format!("{control:?}")),
        };
        Some(OwnedStep { consumed, offset, event, is_last })
    }

    /// One direction, in pieces; a piece that is `None` is a gap of so many bytes.
    fn feed(connection: &mut Connection, direction: Direction, pieces: &[&[u8]], seen: &mut Seen) {
        for piece in pieces {
            let mut rest = *piece;
            let mut steps = 0;
            while let Some(step) = step(connection, direction, rest) {
                rest = &rest[step.consumed..];
                assert!(connection.kept(direction) <= 2 * SEARCH_WINDOW);
                assert!(connection.open_messages(direction) <= MAX_OPEN + 1);
                steps += 1;
                assert!(steps <= 4 * piece.len() + 2 * MAX_OPEN + 200_000, "reading makes no progress");
                if step.is_last {
                    assert!(rest.is_empty(), "everything is consumed");
                    break;
                }
                if !matches!(&step.event, OwnedEvent::Other(text) if text.is_empty()) {
                    seen.take(connection, direction, &step);
                }
            }
        }
    }

    fn read_from(mut connection: Connection, direction: Direction, pieces: &[&[u8]]) -> Vec<String> {
        let mut seen = Seen::default();
        feed(&mut connection, direction, pieces, &mut seen);
        connection.finish(direction);
        feed(&mut connection, direction, &[&[]], &mut seen);
        seen.events
    }

    fn read(direction: Direction, pieces: &[&[u8]]) -> Vec<String> {
        read_from(Connection::new(PerDirection::default()), direction, pieces)
    }

    fn joined(direction: Direction, pieces: &[&[u8]]) -> Vec<String> {
        read_from(Connection::joined(PerDirection::default()), direction, pieces)
    }

    /// Two requests, one of them with a body in padded and interleaved frames, and trailers.
    fn requests() -> Vec<u8> {
        let block = [&b"\x83\x86\x84"[..], &literal("x-a", "one")].concat();
        [
            PREFACE,
            &frame(FrameType::SETTINGS, 0, 0, b"\0\x04\0\0\xff\xff"),
            &frame(FrameType::HEADERS, 0, 1, &block[..6]),
            &frame(FrameType::CONTINUATION, 0, 1, &block[6..7]),
            &frame(FrameType::CONTINUATION, END_HEADERS, 1, &block[7..]),
            &data(0, 1, b"first "),
            &headers(END_STREAM | Flags::PRIORITY.0, 3, b"\0\0\0\0\x0f\x82\x87\x85\xbe"),
            &data(Flags::PADDED.0, 1, b"\x03second\0\0\0"),
            &frame(FrameType::PING, 0, 0, b"12345678"),
            &data(0, 1, b""),
            &headers(END_STREAM, 1, b"\0\x01t\x01v"),
            &frame(FrameType::GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\x02bye"),
        ]
        .concat()
    }

    #[test]
    fn reads_interleaved_requests_in_any_division() {
        let bytes = requests();
        let whole = read(CLIENT, &[&bytes]);
        assert_eq!(
            whole,
            [
                "Settings([0, 4, 0, 0, 255, 255])",
                "1 Request :method=POST :scheme=http :path=/ x-a=one",
                "1 @86 first ",
                "3 Request :method=GET :scheme=https :path=/index.html x-a=one",
                "3 Complete",
                "1 @120 second",
                "Ping { ack: false, data: [49, 50, 51, 52, 53, 54, 55, 56] }",
                "1 Trailers t=v",
                "1 Complete",
                "GoAway { last_stream: 0, code: ErrorCode(2), debug: [98, 121, 101] }",
            ]
        );
        assert_eq!(&bytes[86..92], b"first ");
        assert_eq!(&bytes[120..126], b"second");
        for end in 0..bytes.len() {
            let (head, tail) = bytes.split_at(end);
            assert_eq!(read(CLIENT, &[head, tail]), whole, "split at {end}");
            read(CLIENT, &[head]);
        }
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(CLIENT, &each), whole, "byte by byte");
    }

    #[test]
    fn reads_interim_and_pushed_messages_trailers_and_resets() {
        let promise = [&[0, 0, 0, 2][..], b"\x82\x86\x84"].concat();
        let bytes = [
            settings_frame(),
            headers(0, 1, b"\x08\x03103"),
            headers(0, 1, b"\x88"),
            frame(FrameType::PUSH_PROMISE, END_HEADERS, 1, &promise),
            data(0, 1, b"page"),
            headers(0, 2, b"\x89"),
            headers(END_STREAM, 1, b"\0\x0bgrpc-status\x010"),
            frame(FrameType::RST_STREAM, 0, 2, &[0, 0, 0, 8]),
            headers(0, 3, b"\x8d"),
        ]
        .concat();
        assert_eq!(
            read(SERVER, &[&bytes]),
            [
                "Settings([])",
                "1 Interim :status=103",
                "1 Complete",
                "1 Response :status=200",
                "2 Pushed :method=GET :scheme=http :path=/",
                "2 Complete",
                "1 @58 page",
                "2 Response :status=204",
                "1 Trailers grpc-status=0",
                "1 Complete",
                "ResetStream(ErrorCode(8))",
                "2 Reset(8)",
                "3 Response :status=404",
                "3 Unfinished",
            ]
        );
    }

    #[test]
    fn a_body_goes_on_after_the_other_side_has_reset_it() {
        let mut connection = Connection::new(PerDirection::default());
        let mut seen = Seen::default();
        feed(&mut connection, SERVER, &[&settings_frame(), &headers(0, 1, b"\x88")], &mut seen);
        let cancel =
            [PREFACE, &settings_frame(), &frame(FrameType::RST_STREAM, 0, 1, &[0, 0, 0, 8])].concat();
        feed(&mut connection, CLIENT, &[&cancel], &mut Seen::default());
        feed(&mut connection, SERVER, &[&data(0, 1, b"late")], &mut seen);
        connection.finish(SERVER);
        feed(&mut connection, SERVER, &[&[]], &mut seen);
        assert_eq!(seen.events, ["Settings([])", "1 Response :status=200", "1 @28 late", "1 Reset(8)"]);
    }

    #[test]
    fn gives_the_bytes_that_carry_each_field() {
        let bytes = requests();
        let mut connection = Connection::new(PerDirection { client_to_server: 1000, server_to_client: 0 });
        let mut rest = &bytes[..];
        let mut heads = Vec::new();
        loop {
            let step = connection.step(CLIENT, rest);
            rest = &rest[step.consumed..];
            match step.event {
                Event::NeedMore => break,
                Event::Head => heads.push(connection.head(CLIENT).clone()),
                _ => {}
            }
        }
        let field = &heads[0].fields[3];
        let (range, is_contiguous) = heads[0].locate(&field.name);
        // Two frame headers separate its three bytes.
        assert!(!is_contiguous);
        let name = &bytes[range.start as usize - 1000..range.end as usize - 1000];
        assert_eq!(
            (name.len(), name.first(), name.get(10), name.last()),
            (21, Some(&b'x'), Some(&b'-'), Some(&b'a'))
        );
        let (range, is_contiguous) = heads[0].locate(&field.value);
        assert!(is_contiguous);
        assert_eq!(bytes[range.start as usize - 1000..range.end as usize - 1000], encode(b"one"));
        assert_eq!(heads[0].frames.start, 1000 + 24 + 15);
        assert_eq!(heads[1].value(":path"), Some(&b"/index.html"[..]));
    }

    #[test]
    fn joins_in_the_middle_and_knows_what_was_inserted_since() {
        let before = data(0, 5, b"the rest of a body");
        let bytes = [
            &before[14..],
            &data(END_STREAM, 5, b"end"),
            &headers(0, 7, b"\x88\xc0"),
            &data(END_STREAM, 7, b"body"),
            &headers(END_STREAM, 9, &[&b"\x88"[..], &literal("n", "v")].concat()),
            &headers(END_STREAM, 11, b"\x88\xbe"),
        ]
        .concat();
        let expected = [
            "rest of a body opaque: a gap in the capture where HTTP/2 framing was",
            "5 Headless",
            "5 @22 end",
            "5 Damaged",
            "7 Response :status=200 ?=?",
            "7 @45 body",
            "7 Complete",
            "9 Response :status=200 n=v",
            "9 Complete",
            "11 Response :status=200 n=v",
            "11 Complete",
        ];
        // The first bytes of the body have been lost: "the r" and "est of a body" depend on where it joined.
        let whole = joined(SERVER, &[&bytes]);
        assert_eq!(whole[1..], expected[1..]);
        assert!(whole[0].ends_with("where HTTP/2 framing was"), "{}", whole[0]);
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(joined(SERVER, &each), whole);
    }

    #[test]
    fn reads_on_behind_a_gap() {
        let mut connection = Connection::new(PerDirection::default());
        let mut seen = Seen::default();
        feed(&mut connection, SERVER, &[&settings_frame(), &headers(0, 1, &literal("n", "v"))], &mut seen);
        // Within a body: the length of the frame is known.
        let body = data(0, 1, b"0123456789");
        feed(&mut connection, SERVER, &[&body[..12]], &mut seen);
        connection.gap(SERVER, 4);
        feed(&mut connection, SERVER, &[&body[16..], &data(END_STREAM, 1, b"end")], &mut seen);
        assert_eq!(
            seen.events[2..],
            ["1 @32 012", "1 @39 789", "1 @51 end", "1 Damaged"],
            "{:?}",
            seen.events
        );
        // Over a frame header: the table is unknown.
        let mut seen = Seen::default();
        connection.gap(SERVER, 100);
        let more = [headers(0, 3, b"\x88\xbe"), data(0, 3, b"a"), data(END_STREAM, 3, b"b")].concat();
        feed(&mut connection, SERVER, &[b"xx", &more], &mut seen);
        assert_eq!(
            seen.events,
            [
                "xx opaque: a gap in the capture where HTTP/2 framing was",
                "3 Response :status=200 ?=?",
                "3 @176 a",
                "3 @186 b",
                "3 Complete"
            ]
        );
    }

    #[test]
    fn a_damaged_header_block_costs_no_other_message() {
        let bytes = [
            settings_frame(),
            headers(END_STREAM, 1, b"\x88\xff\xff\xff\xff\xff\xff"),
            headers(END_STREAM, 3, b"\x88\x40\x01a\x01b"),
            headers(END_STREAM, 5, b"\xbe\xbf"),
        ]
        .concat();
        assert_eq!(
            read(SERVER, &[&bytes])[1..],
            [
                "1 Response :status=200 (an integer too large in a header block)",
                "1 Damaged",
                "3 Response :status=200 a=b",
                "3 Complete",
                "5 Trailers a=b ?=?",
                "5 Damaged",
            ]
        );
    }

    #[test]
    fn finds_its_way_back_from_frames_that_the_rfc_forbids() {
        let good = [headers(END_STREAM, 3, b"\x88"), settings_frame(), settings_frame()].concat();
        for (bad, why) in [
            (data(0, 0, b"x"), "malformed HTTP/2 frame"),
            (frame(FrameType::PING, 0, 0, b"short"), "malformed HTTP/2 frame"),
            (data(Flags::PADDED.0, 0x0101_0101, b""), "malformed HTTP/2 frame"),
            (frame(FrameType::HEADERS, 0, 1, b"\x88"), "HTTP/2 frame out of order"),
            (frame(FrameType::CONTINUATION, 0, 1, b"\x88"), "HTTP/2 frame out of order"),
        ] {
            let mut bytes = [settings_frame(), bad, good.clone()].concat();
            let seen = read(SERVER, &[&bytes]);
            assert!(
                seen.ends_with(&[
                    "3 Response :status=200".into(),
                    "3 Complete".into(),
                    "Settings([])".into(),
                    "Settings([])".into()
                ]),
                "{why}: {seen:?}"
            );
            let opaque = seen.iter().any(|line| line.ends_with(why));
            // A frame that is out of order is read, because it looks like the beginning of one.
            assert!(opaque || why.ends_with("order"), "{why}: {seen:?}");
            let each: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read(SERVER, &each), seen);
            bytes.truncate(20);
            read(SERVER, &[&bytes]);
        }
    }

    #[test]
    fn names_what_a_receiver_ignores() {
        let bytes = [
            settings_frame(),
            headers(0, 1, b"\x88"),
            data(Flags::PADDED.0, 1, b"\x06body hidden"),
            data(Flags::PADDED.0, 1, b"\x07tolong"),
            frame(FrameType(0xfa), 0, 0, b"grease"),
            frame(FrameType::ALTSVC, 0, 1, b"\0\0h3=\":443\""),
            data(END_STREAM, 1, b""),
        ]
        .concat();
        assert_eq!(
            read(SERVER, &[&bytes])[2..],
            [
                "1 @29 body ",
                "hidden ignored: HTTP/2 padding other than zeros",
                "tolonggrease ignored: the payload of an HTTP/2 frame that is not read",
                "Extension([0, 0, 104, 51, 61, 34, 58, 52, 52, 51, 34])",
                "1 Damaged",
            ]
        );
    }

    #[test]
    fn frames_are_as_long_as_their_receiver_allows() {
        let long = [settings_frame(), data(END_STREAM, 1, &[b'x'; 20_000])].concat();
        let mut connection = Connection::new(PerDirection::default());
        connection.accept(CLIENT, &[]);
        assert!(read_from(connection, SERVER, &[&long])[1].ends_with("longer than its receiver allows"));
        let mut connection = Connection::new(PerDirection::default());
        connection.accept(CLIENT, b"\0\x05\0\0\x80\0");
        assert_eq!(read_from(connection, SERVER, &[&long]).last().map(String::as_str), Some("1 Damaged"));
    }

    #[test]
    fn floods_reach_bounds() {
        // CONTINUATION: the block is given up, and its fields with it.
        let mut flood = [settings_frame(), frame(FrameType::HEADERS, 0, 1, b"\x88")].concat();
        (0..MAX_FRAGMENTS + 5).for_each(|_| flood.extend(frame(FrameType::CONTINUATION, 0, 1, b"\x82")));
        flood.extend(frame(FrameType::CONTINUATION, END_HEADERS, 1, b"\x82"));
        flood.extend(headers(END_STREAM, 3, b"\x88"));
        let seen = read(SERVER, &[&flood]);
        assert!(seen[1].ends_with("an HTTP/2 header block that is not read") || seen[1].contains("Headless"));
        assert!(seen.contains(&"3 Complete".to_owned()), "{seen:?}");
        // Open streams: the oldest messages are ended.
        let mut flood = settings_frame();
        (0..MAX_OPEN as u32 + 10).for_each(|stream| flood.extend(headers(0, 2 * stream + 1, b"\x88")));
        let seen = read(SERVER, &[&flood]);
        assert_eq!(seen.iter().filter(|line| line.ends_with("Unfinished")).count(), MAX_OPEN + 10);
        // Rapid reset: nothing stays open.
        let mut connection = Connection::new(PerDirection::default());
        let mut flood = [PREFACE, &settings_frame()].concat();
        for stream in 0..5000u32 {
            flood.extend(headers(END_STREAM, 2 * stream + 1, b"\x82\x86\x84"));
            flood.extend(frame(FrameType::RST_STREAM, 0, 2 * stream + 1, &[0, 0, 0, 8]));
        }
        feed(&mut connection, CLIENT, &[&flood], &mut Seen::default());
        assert_eq!(connection.open_messages(CLIENT), 0);
    }

    /// The number of steps and of positions that are searched grows with the input alone.
    #[test]
    fn work_grows_with_the_input() {
        let steps = |bytes: &[u8], size: usize, mut connection: Connection| {
            let mut steps = 0u64;
            for piece in bytes.chunks(size) {
                let mut rest = piece;
                loop {
                    let step = connection.step(SERVER, rest);
                    rest = &rest[step.consumed..];
                    steps += 1;
                    if step.event == Event::NeedMore {
                        break;
                    }
                }
            }
            steps
        };
        // Frame headers that look valid, then one that is not: every place is searched.
        let lure = [data(0, 1, b""), data(0, 1, b""), data(0, 1, b""), data(0, 0, b"")].concat();
        for unit in [lure, data(0, 1, b""), headers(0, 1, b"\x88\xbe"), vec![0], vec![0, 0, 9]] {
            let bytes = unit.repeat(40_000 / unit.len());
            for size in [1, 1000, usize::MAX] {
                let small = steps(&bytes, size, Connection::joined(PerDirection::default()));
                let large = steps(&bytes.repeat(4), size, Connection::joined(PerDirection::default()));
                assert!(large < 5 * small.max(100), "{small} steps, then {large}");
                assert!(large <= 4 * 4 * bytes.len() as u64);
            }
        }
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let flags = prop_oneof![Just(0u8), Just(END_HEADERS), Just(END_HEADERS | END_STREAM), any::<u8>()];
        let payload = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..30),
            Just(b"\x88\x40\x01a\x01b\xbe".to_vec()),
            Just(b"\x82\x86\x84".to_vec()),
            Just(vec![0; 8]),
        ];
        (0u8..12, flags, 0u32..6, payload).prop_map(|(frame_type, flags, stream, payload)| {
            frame(FrameType(frame_type), flags, stream, &payload)
        })
    }

    proptest! {
        #[test]
        fn any_division_of_any_frames_gives_the_same_result(
            frames in prop::collection::vec(any_frame(), 0..20),
            noise in prop::collection::vec(any::<u8>(), 0..20),
            at in any::<prop::sample::Index>(),
            sizes in prop::collection::vec(1usize..40, 1..8),
            is_joined in any::<bool>(),
        ) {
            let mut bytes = frames.concat();
            let at = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
            bytes.splice(at..at, noise);
            for direction in Direction::BOTH {
                let connection = || match is_joined {
                    true => Connection::joined(PerDirection::default()),
                    false => Connection::new(PerDirection::default()),
                };
                let all = match (direction, is_joined) {
                    (CLIENT, false) => [PREFACE, &bytes].concat(),
                    _ => bytes.clone(),
                };
                let whole = read_from(connection(), direction, &[&all]);
                let mut rest = &all[..];
                let mut pieces = Vec::new();
                for size in sizes.iter().cycle() {
                    if rest.is_empty() { break; }
                    let (piece, tail) = rest.split_at((*size).min(rest.len()));
                    pieces.push(piece);
                    rest = tail;
                }
                prop_assert_eq!(read_from(connection(), direction, &pieces), whole);
            }
        }

        #[test]
        fn consumes_any_bytes_with_gaps(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..60), 0u64..40), 0..10),
            frames in prop::collection::vec(any_frame(), 0..4),
        ) {
            let mut connection = Connection::new(PerDirection::default());
            let mut seen = Seen::default();
            for (bytes, gap) in &pieces {
                feed(&mut connection, SERVER, &[&frames.concat(), bytes], &mut seen);
                connection.gap(SERVER, *gap);
            }
            connection.finish(SERVER);
            feed(&mut connection, SERVER, &[&[]], &mut seen);
            prop_assert_eq!(connection.open_messages(SERVER), 0);
        }
    }

    #[test]
    fn settings_of_an_upgrade_are_read() {
        // MAX_FRAME_SIZE 65536, and what curl sends.
        assert_eq!(max_frame_of_upgrade(b"AAUAAQAA"), 65_536);
        assert_eq!(max_frame_of_upgrade(b"AAMAAABkAAQAoAAAAAIAAAAA"), DEFAULT_MAX_FRAME);
        assert_eq!(max_frame_of_upgrade(b"no settings!"), DEFAULT_MAX_FRAME);
        let mut connection = Connection::new(PerDirection::default());
        connection.accept_frames(CLIENT, 65_536);
        let long = frame(FrameType::DATA, END_STREAM, 1, &[b'x'; 20_000]);
        let mut seen = Seen::default();
        feed(&mut connection, SERVER, &[&settings_frame(), &headers(0, 1, b"\x88"), &long], &mut seen);
        assert_eq!(connection.open_messages(SERVER), 0, "read to its end");
    }

    #[test]
    fn kinds_of_header_sections_are_known() {
        let mut connection = Connection::new(PerDirection::default());
        feed(&mut connection, SERVER, &[&settings_frame(), &headers(0, 1, b"\x88")], &mut Seen::default());
        assert_eq!(connection.head(SERVER).kind, MessageKind::Response);
        assert_eq!(connection.head(SERVER).status(), 200);
    }
}
