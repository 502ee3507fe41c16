//! Reads both directions of one connection, message by message.
//!
//! ```text
//!   one direction
//!
//!            ┌──────────── next message ────────────┐
//!            v                                      │
//!   ──> Start ──> Head ──> Body ── last byte ──> Over
//!         │         │        │                      │ 101, or 2xx to CONNECT
//!         └─────────┴────────┴──> Desync <──────────┘
//!              not HTTP, malformed, or a gap; behind a gap a start line leads back to Start
//! ```

use std::collections::VecDeque;

use super::body::{AfterGap, Body, Piece};
use super::detect::detect;
use super::head::{Head, RequestKind, head_end};
use super::{Desync, MAX_HEAD, MAX_OUTSTANDING};
use crate::detection::Detection;
use crate::flow::{Direction, PerDirection};

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The input is consumed: push more.
    NeedMore,
    /// A header section is complete: see [`Connection::head`].
    Head,
    /// Bytes of the body, without chunk framing.
    Body {
        /// The bytes.
        bytes: &'a [u8],
        /// Whether these bytes begin a chunk, so that framing separates them from the bytes before.
        new_chunk: bool,
    },
    /// The message is complete. A message whose framing is lost in a gap or malformed bytes has no end:
    /// [`Event::Opaque`] or the next [`Event::Head`] follows.
    End {
        /// Whether the whole body was seen; false if a gap or the end of the stream cut it.
        complete: bool,
    },
    /// Input that is not read as HTTP/1, and the reason.
    Opaque(&'a [u8], Desync),
}

/// The result of [`Connection::step`]: the number of bytes consumed, and their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes to drop from the input.
    pub consumed: usize,
    /// The content of these bytes.
    pub event: Event<'a>,
}

/// Both directions of one HTTP/1.1 connection.
#[derive(Debug)]
pub struct Connection {
    parsers: PerDirection<Parser>,
    /// The requests that wait for their response, oldest first.
    outstanding: VecDeque<RequestKind>,
}

impl Default for Connection {
    fn default() -> Self {
        Self { parsers: PerDirection::from_fn(Parser::new), outstanding: VecDeque::new() }
    }
}

impl Connection {
    /// Reads one direction. Call again with the rest of the input until the event is [`Event::NeedMore`].
    #[inline]
    pub fn step<'a>(&mut self, direction: Direction, input: &'a [u8]) -> Step<'a> {
        let request = self.outstanding.front().copied().unwrap_or(RequestKind::Other);
        let parser = &mut self.parsers[direction];
        let step = parser.step(input, request);
        match (direction, step.event) {
            (Direction::ClientToServer, Event::Head) if self.outstanding.len() < MAX_OUTSTANDING => {
                self.outstanding.push_back(RequestKind::of(&parser.head.method));
            }
            // An interim response does not answer its request (RFC 9110 §15.2).
            (Direction::ServerToClient, Event::End { .. }) if !(100..200).contains(&parser.head.status) => {
                self.outstanding.pop_front();
            }
            _ => {}
        }
        if self.parsers[Direction::ServerToClient].state == State::Desync(Desync::Switched) {
            // From here on neither direction is HTTP.
            self.parsers[Direction::ClientToServer].state = State::Desync(Desync::Switched);
        }
        step
    }

    /// The header section that [`Event::Head`] announced, valid until the next one in this direction.
    pub fn head(&self, direction: Direction) -> &Head {
        &self.parsers[direction].head
    }

    /// `len` bytes of this direction are missing. If the framing of a body is intact, reading continues behind the gap.
    /// Elsewhere the input is [`Event::Opaque`] until a push begins with a start line.
    pub fn gap(&mut self, direction: Direction, len: u64) {
        self.parsers[direction].gap(len);
    }

    /// Ends the direction. Returns [`Event::End`] if a message was incomplete.
    pub fn finish(&mut self, direction: Direction) -> Option<Event<'static>> {
        self.parsers[direction].finish()
    }

    /// Number of bytes kept of an incomplete header section.
    pub fn held_back(&self, direction: Direction) -> usize {
        self.parsers[direction].held.len()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a message.
    Start,
    /// In a header section, whose beginning is in [`Parser::held`].
    Head,
    Body(Body),
    /// Behind the last byte of a message.
    Over {
        /// This message was the last one in HTTP.
        switches: bool,
    },
    Desync(Desync),
}

#[derive(Debug)]
struct Parser {
    direction: Direction,
    state: State,
    /// The beginning of an incomplete header section.
    held: Vec<u8>,
    head: Head,
    /// Whether a gap removed a part of the current body.
    is_incomplete: bool,
}

impl Parser {
    fn new(direction: Direction) -> Self {
        Self { direction, state: State::Start, held: Vec::new(), head: Head::default(), is_incomplete: false }
    }

    /// `request` is the request that a response would answer.
    fn step<'a>(&mut self, input: &'a [u8], request: RequestKind) -> Step<'a> {
        let mut consumed = 0;
        loop {
            if let State::Over { switches } = self.state {
                self.state = if switches { State::Desync(Desync::Switched) } else { State::Start };
                return Step { consumed, event: Event::End { complete: !self.is_incomplete } };
            }
            let rest = input.get(consumed..).unwrap_or_default();
            if rest.is_empty() {
                return Step { consumed, event: Event::NeedMore };
            }
            let (taken, event) = match self.state {
                State::Over { .. } => (0, None),
                State::Start => self.start(rest, request),
                State::Head => self.continue_head(rest, request),
                State::Body(body) => self.body(body, rest),
                State::Desync(why) => self.resync(why, rest, consumed == 0),
            };
            consumed += taken;
            if let Some(event) = event {
                return Step { consumed, event };
            }
        }
    }

    fn start<'a>(&mut self, rest: &'a [u8], request: RequestKind) -> (usize, Option<Event<'a>>) {
        // A server ignores empty lines before a start line (RFC 9112 §2.2).
        if let Some(b'\r' | b'\n') = rest.first() {
            return (1, None);
        }
        self.is_incomplete = false;
        if detect(self.direction, rest) == Detection::NoMatch {
            self.state = State::Desync(Desync::NotHttp);
            return (0, None);
        }
        match head_end(rest, 0).and_then(|end| rest.get(..end)) {
            Some(head) if head.len() > MAX_HEAD => {
                self.state = State::Desync(Desync::HeadTooLong);
                (0, None)
            }
            Some(head) => (head.len(), Some(self.take_head(head, head, request))),
            None => {
                self.state = State::Head;
                (0, None)
            }
        }
    }

    fn continue_head<'a>(&mut self, rest: &'a [u8], request: RequestKind) -> (usize, Option<Event<'a>>) {
        let known = self.held.len();
        let room = MAX_HEAD.saturating_sub(known).min(rest.len());
        self.held.extend_from_slice(rest.get(..room).unwrap_or_default());
        // First of all, as in `start`: where the input is divided must not decide what is a message.
        if detect(self.direction, &self.held) == Detection::NoMatch {
            self.desync(Desync::NotHttp);
            return (0, None);
        }
        // The empty line may have begun in the previous input.
        if let Some(end) = head_end(&self.held, known.saturating_sub(2)) {
            let mut held = std::mem::take(&mut self.held);
            let taken = end - known;
            let event = self.take_head(
                held.get(..end).unwrap_or_default(),
                rest.get(..taken).unwrap_or_default(),
                request,
            );
            held.clear();
            self.held = held;
            return (taken, Some(event));
        }
        if self.held.len() >= MAX_HEAD {
            self.desync(Desync::HeadTooLong);
            return (0, None);
        }
        (rest.len(), Some(Event::NeedMore))
    }

    /// Reads a whole header section, of which `input` is the part in the present input.
    fn take_head<'a>(&mut self, head: &[u8], input: &'a [u8], request: RequestKind) -> Event<'a> {
        match self.head.read(self.direction, head, request) {
            Ok(message) => {
                let over = State::Over { switches: message.switches_protocol() };
                self.state = Body::new(self.head.framing).map_or(over, State::Body);
                Event::Head
            }
            Err(why) => {
                self.state = State::Desync(why);
                Event::Opaque(input, why)
            }
        }
    }

    fn body<'a>(&mut self, mut body: Body, rest: &'a [u8]) -> (usize, Option<Event<'a>>) {
        let (taken, piece) = body.step(rest);
        self.state = match piece {
            Piece::Malformed => State::Desync(Desync::BadChunk),
            Piece::End => State::Over { switches: false },
            _ if body.is_over() => State::Over { switches: false },
            _ => State::Body(body),
        };
        match piece {
            Piece::Data { bytes, new_chunk } => (taken, Some(Event::Body { bytes, new_chunk })),
            Piece::Framing | Piece::End | Piece::Malformed => (taken, None),
        }
    }

    /// After a gap, reading continues at a start line if one is at the beginning of the input.
    fn resync<'a>(&mut self, why: Desync, rest: &'a [u8], is_beginning: bool) -> (usize, Option<Event<'a>>) {
        if why == Desync::Gap && is_beginning && detect(self.direction, rest) == Detection::Match {
            self.state = State::Start;
            return (0, None);
        }
        (rest.len(), Some(Event::Opaque(rest, why)))
    }

    fn gap(&mut self, len: u64) {
        match &mut self.state {
            State::Desync(_) => {}
            State::Body(body) => match body.gap(len) {
                AfterGap::Continues => self.is_incomplete = true,
                AfterGap::Ends => {
                    self.is_incomplete = true;
                    self.state = State::Over { switches: false };
                }
                AfterGap::Lost => self.desync(Desync::Gap),
            },
            State::Start | State::Head | State::Over { .. } => self.desync(Desync::Gap),
        }
    }

    fn finish(&mut self) -> Option<Event<'static>> {
        self.held.clear();
        let complete = match std::mem::replace(&mut self.state, State::Start) {
            State::Over { .. } | State::Body(Body::UntilClose) => !self.is_incomplete,
            State::Body(_) => false,
            State::Start | State::Head | State::Desync(_) => return None,
        };
        Some(Event::End { complete })
    }

    fn desync(&mut self, why: Desync) {
        self.held.clear();
        self.state = State::Desync(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coding::Coding;
    use proptest::prelude::*;

    /// A message as the tests see it: start line facts, body, completeness.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Seen {
        what: String,
        body: String,
        complete: bool,
    }

    fn read(connection: &mut Connection, direction: Direction, pieces: &[&[u8]]) -> (Vec<Seen>, Vec<u8>) {
        let mut seen: Vec<Seen> = Vec::new();
        let mut opaque = Vec::new();
        let mut open = false;
        let mut on_event = |connection: &Connection, event: Event<'_>| match event {
            Event::NeedMore => {}
            Event::Head => {
                let head = connection.head(direction);
                let what = match direction {
                    Direction::ClientToServer => format!("{} {}", head.method, head.target),
                    Direction::ServerToClient => head.status.to_string(),
                };
                seen.push(Seen { what, body: String::new(), complete: false });
                open = true;
            }
            Event::Body { bytes, .. } => {
                let message = seen.last_mut().expect("a body follows its head");
                message.body.push_str(std::str::from_utf8(bytes).expect("tests send text"));
            }
            Event::End { complete } => {
                assert!(std::mem::take(&mut open), "an end follows its head");
                seen.last_mut().expect("an end follows its head").complete = complete;
            }
            Event::Opaque(bytes, _) => opaque.extend_from_slice(bytes),
        };
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let step = connection.step(direction, rest);
                rest = &rest[step.consumed..];
                on_event(connection, step.event);
                if step.event == Event::NeedMore || rest.is_empty() && matches!(step.event, Event::Opaque(..))
                {
                    break;
                }
            }
        }
        if let Some(event) = connection.finish(direction) {
            on_event(connection, event);
        }
        (seen, opaque)
    }

    fn requests(pieces: &[&[u8]]) -> Vec<Seen> {
        read(&mut Connection::default(), Direction::ClientToServer, pieces).0
    }

    fn message(what: &str, body: &str, complete: bool) -> Seen {
        Seen { what: what.into(), body: body.into(), complete }
    }

    const TWO: &[u8] = b"POST /tool HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\nhello\
        POST /tool HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n\
        GET /healthz HTTP/1.1\n\n";

    #[test]
    fn reads_status_and_reason() {
        for (line, status, reason) in [
            (&b"HTTP/1.1 200 OK"[..], 200, "OK"),
            (b"HTTP/1.1 415 Not that type", 415, "Not that type"),
            (b"HTTP/1.1 204 ", 204, ""),
            (b"HTTP/1.1 204", 204, ""),
            (b"HTTP/1.1 200 na\xefve", 200, ""),
        ] {
            let mut connection = Connection::default();
            read(&mut connection, Direction::ServerToClient, &[line, b"\r\nContent-Length: 0\r\n\r\n"]);
            let head = connection.head(Direction::ServerToClient);
            assert_eq!((head.status, head.reason.as_str()), (status, reason), "{line:?}");
        }
    }

    #[test]
    fn reads_every_framing_on_one_connection_in_any_division() {
        let expected = [
            message("POST /tool", "hello", true),
            message("POST /tool", "abc0123456789", true),
            message("GET /healthz", "", true),
        ];
        assert_eq!(requests(&[TWO]), expected);
        let bytes: Vec<&[u8]> = TWO.chunks(1).collect();
        assert_eq!(requests(&bytes), expected, "byte by byte");
        for split in 0..TWO.len() {
            assert_eq!(requests(&[&TWO[..split], &TWO[split..]]), expected, "split at {split}");
        }
    }

    #[test]
    fn frames_responses_by_their_requests() {
        let mut connection = Connection::default();
        let asked = b"HEAD /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n";
        read(&mut connection, Direction::ClientToServer, &[asked]);
        let answers = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n\
            HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\
            HTTP/1.0 200 OK\r\n\r\nuntil the end";
        let (seen, opaque) = read(&mut connection, Direction::ServerToClient, &[answers]);
        let expected = [
            message("200", "", true),
            message("100", "", true),
            message("200", "ok", true),
            message("200", "until the end", true),
        ];
        assert_eq!(seen, expected);
        assert!(opaque.is_empty());
    }

    #[test]
    fn input_behind_a_switch_of_protocols_is_opaque() {
        let mut connection = Connection::default();
        read(
            &mut connection,
            Direction::ClientToServer,
            &[b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"],
        );
        let answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi";
        let (seen, opaque) = read(&mut connection, Direction::ServerToClient, &[answer]);
        assert_eq!(seen, [message("101", "", true)]);
        assert_eq!(opaque, b"\x81\x02hi");
    }

    #[test]
    fn continues_behind_a_gap_inside_a_body() {
        let mut connection = Connection::default();
        let bytes = b"POST /t HTTP/1.1\r\nContent-Length: 10\r\n\r\nab";
        let head = connection.step(Direction::ClientToServer, bytes);
        assert_eq!(head.event, Event::Head);
        connection.step(Direction::ClientToServer, &bytes[head.consumed..]);
        connection.gap(Direction::ClientToServer, 8);
        let step = connection.step(Direction::ClientToServer, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(step.event, Event::End { complete: false });
        let step = connection.step(Direction::ClientToServer, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(step.event, Event::Head);
    }

    #[test]
    fn continues_at_a_start_line_behind_a_gap_in_the_framing() {
        let mut connection = Connection::default();
        connection.step(Direction::ClientToServer, b"POST /t HTTP/1.1\r\nContent-Le");
        connection.gap(Direction::ClientToServer, 30);
        let step = connection.step(Direction::ClientToServer, b"rest of a body");
        assert_eq!(step.event, Event::Opaque(b"rest of a body", Desync::Gap));
        let step = connection.step(Direction::ClientToServer, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(step.event, Event::Head);
    }

    #[test]
    fn rejects_contradictory_framing_and_other_protocols() {
        for (bytes, why) in [
            (&b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"[..], Desync::BadLength),
            (b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", Desync::BadLength),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", Desync::BadLength),
            (b"POST / HTTP/1.1\r\nno colon\r\n\r\n", Desync::BadHead),
            (b"\x16\x03\x01\x02\x00\x01", Desync::NotHttp),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Desync::NotHttp),
        ] {
            let step = Connection::default().step(Direction::ClientToServer, bytes);
            assert!(matches!(step.event, Event::Opaque(_, lost) if lost == why), "{step:?}");
        }
    }

    #[test]
    fn holds_back_no_more_than_the_longest_header_section() {
        let mut connection = Connection::default();
        connection.step(Direction::ClientToServer, b"GET / HTTP/1.1\r\n");
        let line = [b'x'; 1000];
        for _ in 0..2 * MAX_HEAD / line.len() {
            connection.step(Direction::ClientToServer, &line);
            assert!(connection.held_back(Direction::ClientToServer) <= MAX_HEAD);
        }
    }

    #[test]
    fn lists_codings_outermost_first() {
        let mut connection = Connection::default();
        let head =
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\nContent-Encoding: deflate, br\r\n\r\n";
        connection.step(Direction::ClientToServer, head);
        assert_eq!(
            connection.head(Direction::ClientToServer).codings,
            [Coding::Gzip, Coding::Brotli, Coding::Deflate]
        );
    }

    proptest! {
        #[test]
        fn consumes_any_bytes_in_any_division(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            start in prop::sample::select(vec![&b""[..], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
            size in 1usize..50,
        ) {
            let mut all = start.to_vec();
            all.extend(bytes);
            for direction in [Direction::ClientToServer, Direction::ServerToClient] {
                let mut connection = Connection::default();
                for piece in all.chunks(size) {
                    let mut rest = piece;
                    for _ in 0..1000 {
                        let step = connection.step(direction, rest);
                        rest = &rest[step.consumed..];
                        if step.event == Event::NeedMore { break; }
                    }
                    prop_assert!(rest.is_empty());
                }
                connection.finish(direction);
            }
        }
    }
}
