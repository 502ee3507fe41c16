//! Reads both directions of one connection, message by message.
//!
//! ```text
//!   one direction
//!
//!            ┌──────────── next message ────────────┐
//!            v                                      │
//!   ──> Start ──> Head ──> Body ── last byte ──> Over
//!     ^   │         │        │                      │ 101, or 2xx to CONNECT
//!     │   └─────────┴────────┴──> Desync <──────────┘
//!     │      not HTTP, malformed, or a gap │
//!     └──────── the next start line ───────┘ unless the protocol was switched
//! ```
//!
//! Behind a gap or malformed bytes, a message may begin at any byte ([`search`]). The bytes of which that is not decided yet are
//! kept ([`Connection::held_back`]), so where the input is divided decides nothing.

use std::collections::VecDeque;

use super::body::{AfterGap, Body, Piece};
use super::detect::detect;
use super::head::{Head, MessageKind, RequestKind, head_end};
use super::search::{self, Found, MAX_LOOKAHEAD};
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
    /// Bytes of the body, without chunk framing. Like [`Event::Opaque`], they end before the bytes held back.
    Body {
        /// The bytes.
        bytes: &'a [u8],
        /// Whether these bytes begin a chunk, so that framing separates them from the bytes before.
        new_chunk: bool,
    },
    /// The message is complete, or its framing is lost.
    End {
        /// Whether the whole body was seen; false if a gap, malformed framing or the end of the stream cut it.
        complete: bool,
    },
    /// Input that is not read as HTTP/1, and the reason. These bytes end where those that [`Connection::held_back`] counts
    /// begin: some of them may be from earlier calls.
    Opaque(&'a [u8], Desync),
}

/// The result of [`Connection::step`]: the number of bytes consumed, and their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes to drop from the input.
    pub consumed: usize,
    /// What [`Connection::held_back`] returns behind this step.
    pub held_back: usize,
    /// The content of these bytes.
    pub event: Event<'a>,
}

/// Both directions of one HTTP/1.1 connection.
#[derive(Debug)]
pub struct Connection {
    parsers: PerDirection<Parser>,
    /// The requests that wait for their response, oldest first.
    outstanding: VecDeque<RequestKind>,
    /// Whether messages may be missing, so that the oldest request may not be the one that a response answers.
    is_unsure: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self { parsers: PerDirection::from_fn(Parser::new), outstanding: VecDeque::new(), is_unsure: false }
    }
}

impl Connection {
    /// Reads one direction. Call again with the rest of the input until the event is [`Event::NeedMore`].
    #[inline]
    pub fn step<'a>(&'a mut self, direction: Direction, input: &'a [u8]) -> Step<'a> {
        let request = self.answered();
        let parser = &mut self.parsers[direction];
        let (consumed, out) = parser.step(input, request);
        match (direction, out) {
            (Direction::ClientToServer, Out::Head) => {
                if self.outstanding.len() < MAX_OUTSTANDING {
                    self.outstanding.push_back(RequestKind::of(&parser.head.method));
                } else {
                    self.is_unsure = true;
                }
            }
            // An interim response does not answer its request (RFC 9110 §15.2).
            (Direction::ServerToClient, Out::End { .. }) if !(100..200).contains(&parser.head.status) => {
                self.outstanding.pop_front();
            }
            (_, Out::Opaque(_, why) | Out::KeptOpaque(why)) if why != Desync::Switched => {
                self.is_unsure = true;
            }
            _ => {}
        }
        if self.parsers[Direction::ServerToClient].state == State::Desync(Desync::Switched) {
            // From here on neither direction is HTTP.
            self.parsers[Direction::ClientToServer].switch();
        }
        let Parser { kept, held, .. } = &self.parsers[direction];
        let event = match out {
            Out::NeedMore => Event::NeedMore,
            Out::Head => Event::Head,
            Out::Body { bytes, new_chunk } => Event::Body { bytes, new_chunk },
            Out::KeptBody => Event::Body { bytes: kept, new_chunk: false },
            Out::End { complete } => Event::End { complete },
            Out::Opaque(bytes, why) => Event::Opaque(bytes, why),
            Out::KeptOpaque(why) => Event::Opaque(kept, why),
        };
        Step { consumed, held_back: held.len(), event }
    }

    /// The request that the next response answers. If messages may be missing, only what all requests have in common is
    /// known.
    fn answered(&self) -> RequestKind {
        let oldest = self.outstanding.front().copied();
        match oldest {
            Some(kind) if !self.is_unsure => kind,
            // The last request of a connection, or the client would not wait for its answer.
            _ if self.outstanding.back() == Some(&RequestKind::Connect) => RequestKind::Connect,
            _ => RequestKind::Unknown,
        }
    }

    /// The header section that [`Event::Head`] announced, valid until the next one in this direction.
    pub fn head(&self, direction: Direction) -> &Head {
        &self.parsers[direction].head
    }

    /// `len` bytes of this direction are missing. If the framing of a body is intact, reading continues behind the gap.
    /// Elsewhere the input is [`Event::Opaque`] until a message begins. Call [`Connection::step`] without input until
    /// [`Event::NeedMore`] to receive what the gap ended, before the gap counts in any offset.
    pub fn gap(&mut self, direction: Direction, len: u64) {
        self.is_unsure = true;
        self.parsers[direction].gap(len);
    }

    /// Whether the framing of a direction is lost, so that the next message is searched for.
    pub fn is_searching(&self, direction: Direction) -> bool {
        matches!(self.parsers[direction].state, State::Desync(why) if why != Desync::Switched)
    }

    /// Whether a response has ended HTTP in both directions (101, or 2xx to CONNECT). It may not have ended itself.
    pub fn has_switched(&self) -> bool {
        matches!(
            self.parsers[Direction::ServerToClient].state,
            State::Over(Then::Switch) | State::Desync(Desync::Switched)
        )
    }

    /// Ends the direction. Returns [`Event::End`] if a message was incomplete.
    pub fn finish(&mut self, direction: Direction) -> Option<Event<'static>> {
        let answers_head = self.outstanding.front() == Some(&RequestKind::Head);
        self.parsers[direction].finish(answers_head)
    }

    /// Bytes that both directions keep: what [`Self::held_back`] counts, and the last header section.
    pub fn kept_bytes(&self) -> usize {
        let of = |parser: &Parser| parser.held.capacity() + parser.kept.capacity() + parser.head.len;
        self.parsers.values().map(of).sum()
    }

    /// Number of bytes kept of an incomplete header section, or of bytes that may begin one.
    pub fn held_back(&self, direction: Direction) -> usize {
        self.parsers[direction].held.len()
    }
}

/// The result of a step of a parser. It borrows no kept bytes, which [`Connection::step`] adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out<'a> {
    NeedMore,
    Head,
    Body {
        bytes: &'a [u8],
        new_chunk: bool,
    },
    /// The bytes in [`Parser::kept`] are of the body.
    KeptBody,
    End {
        complete: bool,
    },
    Opaque(&'a [u8], Desync),
    /// The bytes in [`Parser::kept`] are not HTTP.
    KeptOpaque(Desync),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a message.
    Start,
    /// At a start line that the search has found.
    Found,
    /// In a header section, whose beginning is in [`Parser::held`]. `is_found`: the search has found it.
    Head {
        is_found: bool,
    },
    /// Behind the head of a response to an unknown request: a status line here means that the request was HEAD. The
    /// beginning of a possible one is in [`Parser::held`].
    MaybeBody(Body),
    Body(Body),
    /// Behind the last byte of a message.
    Over(Then),
    Desync(Desync),
}

/// What follows a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Message,
    /// The message was the last one in HTTP.
    Switch,
    /// Bytes whose framing is lost.
    Lost(Desync),
}

#[derive(Debug)]
struct Parser {
    direction: Direction,
    state: State,
    /// The beginning of an incomplete header section, or of what may be one.
    held: Vec<u8>,
    /// Bytes that were held back, of which the last event reported what they are.
    kept: Vec<u8>,
    /// Why the bytes in `kept` are not HTTP, until that is reported.
    unreported: Option<Desync>,
    head: Head,
    /// Whether a part of the current body is missing.
    is_incomplete: bool,
}

impl Parser {
    fn new(direction: Direction) -> Self {
        Self {
            direction,
            state: State::Start,
            held: Vec::new(),
            kept: Vec::new(),
            unreported: None,
            head: Head::default(),
            is_incomplete: false,
        }
    }

    /// `request` is the request that a response would answer.
    fn step<'a>(&mut self, input: &'a [u8], request: RequestKind) -> (usize, Out<'a>) {
        // What a message loses comes behind its end.
        if !matches!(self.state, State::Over(_))
            && let Some(why) = self.unreported.take()
        {
            return (0, Out::KeptOpaque(why));
        }
        let mut consumed = 0;
        loop {
            if let State::Over(then) = self.state {
                self.state = match then {
                    Then::Message => State::Start,
                    Then::Switch => State::Desync(Desync::Switched),
                    Then::Lost(why) => State::Desync(why),
                };
                return (consumed, Out::End { complete: !self.is_incomplete });
            }
            let rest = input.get(consumed..).unwrap_or_default();
            if rest.is_empty() {
                return (consumed, Out::NeedMore);
            }
            let (taken, out) = match self.state {
                State::Over(_) => (0, None),
                State::Start => self.start(rest, false, request),
                State::Found => self.start(rest, true, request),
                State::Head { is_found } => self.continue_head(rest, is_found, request),
                State::MaybeBody(body) => self.maybe_body(body, rest),
                State::Body(body) => self.body(body, rest),
                State::Desync(Desync::Switched) => (rest.len(), Some(Out::Opaque(rest, Desync::Switched))),
                State::Desync(why) => self.search(why, rest),
            };
            consumed += taken;
            if let Some(out) = out {
                return (consumed, out);
            }
        }
    }

    fn start<'a>(
        &mut self,
        rest: &'a [u8],
        is_found: bool,
        request: RequestKind,
    ) -> (usize, Option<Out<'a>>) {
        // A server ignores empty lines before a start line (RFC 9112 §2.2).
        if let Some(b'\r' | b'\n') = rest.first() {
            return (1, None);
        }
        self.is_incomplete = false;
        if !is_found && detect(self.direction, rest) == Detection::NoMatch {
            self.state = State::Desync(Desync::NotHttp);
            return (0, None);
        }
        match head_end(rest, 0).and_then(|end| rest.get(..end)) {
            Some(head) if head.len() > MAX_HEAD => {
                self.state = State::Desync(Desync::HeadTooLong);
                (MAX_HEAD, rest.get(..MAX_HEAD).map(|bytes| Out::Opaque(bytes, Desync::HeadTooLong)))
            }
            Some(head) => {
                let out = match self.take_head(head, request) {
                    Ok(()) => Out::Head,
                    Err(why) => Out::Opaque(head, why),
                };
                (head.len(), Some(out))
            }
            None => {
                self.state = State::Head { is_found };
                (0, None)
            }
        }
    }

    fn continue_head<'a>(
        &mut self,
        rest: &'a [u8],
        is_found: bool,
        request: RequestKind,
    ) -> (usize, Option<Out<'a>>) {
        let known = self.held.len();
        let room = MAX_HEAD.saturating_sub(known).min(rest.len());
        self.held.extend_from_slice(rest.get(..room).unwrap_or_default());
        // First of all, as in `start`: where the input is divided must not decide what is a message.
        if !is_found && detect(self.direction, &self.held) == Detection::NoMatch {
            self.held.truncate(known);
            self.state = State::Desync(Desync::NotHttp);
            return (0, None);
        }
        // The empty line may have begun in the previous input.
        if let Some(end) = head_end(&self.held, known.saturating_sub(2)) {
            let mut held = std::mem::take(&mut self.held);
            held.truncate(end);
            let taken = end.saturating_sub(known);
            return match self.take_head(&held, request) {
                Ok(()) => {
                    held.clear();
                    self.held = held;
                    (taken, Some(Out::Head))
                }
                Err(why) => {
                    self.kept = held;
                    (taken, Some(Out::KeptOpaque(why)))
                }
            };
        }
        if self.held.len() >= MAX_HEAD {
            self.kept = std::mem::take(&mut self.held);
            self.state = State::Desync(Desync::HeadTooLong);
            return (room, Some(Out::KeptOpaque(Desync::HeadTooLong)));
        }
        (rest.len(), Some(Out::NeedMore))
    }

    /// Reads a whole header section.
    fn take_head(&mut self, head: &[u8], request: RequestKind) -> Result<(), Desync> {
        match self.head.read(self.direction, head, request) {
            Ok(message) => {
                let then = if message.switches_protocol() { Then::Switch } else { Then::Message };
                self.state = match (Body::new(self.head.framing), message) {
                    (None, _) => State::Over(then),
                    (Some(body), MessageKind::Response { request: RequestKind::Unknown, .. }) => {
                        State::MaybeBody(body)
                    }
                    (Some(body), _) => State::Body(body),
                };
                Ok(())
            }
            Err(why) => {
                self.state = State::Desync(why);
                Err(why)
            }
        }
    }

    fn maybe_body<'a>(&mut self, body: Body, rest: &'a [u8]) -> (usize, Option<Out<'a>>) {
        let known = self.held.len();
        // No more than the longest version and status code, with the byte behind them.
        let needed = rest.get(..rest.len().min(16)).unwrap_or_default();
        self.held.extend_from_slice(needed);
        match search::status_beginning(&self.held) {
            Detection::NeedMore => (needed.len(), (needed.len() == rest.len()).then_some(Out::NeedMore)),
            Detection::Match => {
                self.held.truncate(known);
                self.head.answers_head = true;
                self.state = match known {
                    0 => State::Start,
                    // The next head begins in the bytes held back.
                    _ => State::Head { is_found: false },
                };
                (0, Some(Out::End { complete: true }))
            }
            Detection::NoMatch => {
                self.held.truncate(known);
                self.state = State::Body(body);
                if known == 0 {
                    return (0, None);
                }
                self.held_body(body)
            }
        }
    }

    /// The bytes held back are of a body after all.
    fn held_body<'a>(&mut self, mut body: Body) -> (usize, Option<Out<'a>>) {
        self.kept = std::mem::take(&mut self.held);
        match body.step(&self.kept) {
            (taken, Piece::Data { .. }) => {
                self.held = self.kept.split_off(taken);
                self.state = match (body.is_over(), self.held.is_empty()) {
                    (false, _) => State::Body(body),
                    (true, true) => State::Over(Then::Message),
                    // A body shorter than a part of a status line: what is behind it begins no message.
                    (true, false) => State::Over(Then::Lost(Desync::NotHttp)),
                };
                (0, Some(Out::KeptBody))
            }
            _ => {
                self.is_incomplete = true;
                self.state = State::Over(Then::Lost(Desync::BadChunk));
                self.unreported = Some(Desync::BadChunk);
                (0, None)
            }
        }
    }

    fn body<'a>(&mut self, mut body: Body, rest: &'a [u8]) -> (usize, Option<Out<'a>>) {
        let (taken, piece) = body.step(rest);
        self.state = match piece {
            Piece::Malformed => {
                self.is_incomplete = true;
                State::Over(Then::Lost(Desync::BadChunk))
            }
            Piece::End => State::Over(Then::Message),
            _ if body.is_over() => State::Over(Then::Message),
            _ => State::Body(body),
        };
        match piece {
            Piece::Data { bytes, new_chunk } => (taken, Some(Out::Body { bytes, new_chunk })),
            Piece::Framing | Piece::End | Piece::Malformed => (taken, None),
        }
    }

    /// Searches for the next message.
    fn search<'a>(&mut self, why: Desync, rest: &'a [u8]) -> (usize, Option<Out<'a>>) {
        let known = self.held.len();
        if known == 0 {
            return match search::find(self.direction, rest) {
                Found::Start(0) => {
                    self.state = State::Found;
                    (0, None)
                }
                Found::Undecided(0) => {
                    self.held.extend_from_slice(rest);
                    (rest.len(), Some(Out::NeedMore))
                }
                Found::Start(at) | Found::Undecided(at) => {
                    (at, rest.get(..at).map(|bytes| Out::Opaque(bytes, why)))
                }
            };
        }
        let more = rest.get(..rest.len().min(MAX_LOOKAHEAD)).unwrap_or_default();
        self.held.extend_from_slice(more);
        match search::find(self.direction, &self.held) {
            Found::Start(0) => {
                self.held.truncate(known);
                self.is_incomplete = false;
                self.state = State::Head { is_found: true };
                (0, None)
            }
            Found::Undecided(0) => (more.len(), None),
            Found::Start(at) | Found::Undecided(at) => {
                // The bytes of the present input are tried again, in their place.
                self.held.truncate(known);
                let behind = self.held.split_off(at.min(known));
                self.kept = std::mem::replace(&mut self.held, behind);
                (0, Some(Out::KeptOpaque(why)))
            }
        }
    }

    fn gap(&mut self, len: u64) {
        match &mut self.state {
            State::Over(then) => *then = Then::Lost(Desync::Gap),
            State::Body(body) | State::MaybeBody(body) if self.held.is_empty() => match body.gap(len) {
                AfterGap::Continues => self.is_incomplete = true,
                AfterGap::Ends => {
                    self.is_incomplete = true;
                    self.state = State::Over(Then::Message);
                }
                AfterGap::Lost => {
                    self.is_incomplete = true;
                    self.state = State::Over(Then::Lost(Desync::Gap));
                }
            },
            State::Body(_) | State::MaybeBody(_) => {
                self.is_incomplete = true;
                self.lose_held(Desync::Gap);
                self.state = State::Over(Then::Lost(Desync::Gap));
            }
            State::Desync(Desync::Switched) => {}
            State::Start | State::Found | State::Head { .. } | State::Desync(_) => {
                self.lose_held(Desync::Gap);
                self.state = State::Desync(Desync::Gap);
            }
        }
    }

    /// The other direction left HTTP, and so does this one.
    fn switch(&mut self) {
        if self.state != State::Desync(Desync::Switched) {
            self.lose_held(Desync::Switched);
            self.state = State::Desync(Desync::Switched);
        }
    }

    /// The bytes held back are not HTTP.
    fn lose_held(&mut self, why: Desync) {
        if !self.held.is_empty() {
            self.kept.clear();
            self.kept.append(&mut self.held);
            self.unreported = Some(why);
        }
    }

    fn finish(&mut self, answers_head: bool) -> Option<Event<'static>> {
        let held = std::mem::take(&mut self.held);
        let complete = match std::mem::replace(&mut self.state, State::Start) {
            State::MaybeBody(_) if answers_head && held.is_empty() => !self.is_incomplete,
            State::Over(_) | State::Body(Body::UntilClose) => !self.is_incomplete,
            State::MaybeBody(Body::UntilClose) => !self.is_incomplete && held.is_empty(),
            State::MaybeBody(_) | State::Body(_) => false,
            State::Start | State::Found | State::Head { .. } | State::Desync(_) => return None,
        };
        Some(Event::End { complete })
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
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let step = connection.step(direction, rest);
                rest = &rest[step.consumed..];
                match step.event {
                    Event::NeedMore => break,
                    Event::Head => {
                        let head = connection.head(direction);
                        let what = match direction {
                            Direction::ClientToServer => format!("{} {}", head.method, head.target),
                            Direction::ServerToClient => head.status.to_string(),
                        };
                        seen.push(Seen { what, body: String::new(), complete: false });
                        assert!(!std::mem::replace(&mut open, true), "a head follows an end");
                    }
                    Event::Body { bytes, .. } => {
                        let message = seen.last_mut().expect("a body follows its head");
                        message.body.push_str(std::str::from_utf8(bytes).expect("tests send text"));
                    }
                    Event::End { complete } => {
                        assert!(std::mem::take(&mut open), "an end follows its head");
                        seen.last_mut().expect("an end follows its head").complete = complete;
                    }
                    Event::Opaque(bytes, _) => {
                        assert!(!open, "an end follows its head");
                        opaque.extend_from_slice(bytes);
                    }
                }
            }
        }
        if let Some(Event::End { complete }) = connection.finish(direction) {
            seen.last_mut().expect("an end follows its head").complete = complete;
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
        let consumed = head.consumed;
        connection.step(Direction::ClientToServer, &bytes[consumed..]);
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
        let client = Direction::ClientToServer;
        let kept = connection.step(client, b"").event;
        assert_eq!(kept, Event::Opaque(b"POST /t HTTP/1.1\r\nContent-Le", Desync::Gap));
        let step = connection.step(client, b"rest of a body");
        assert_eq!(step.event, Event::Opaque(b"rest of a body", Desync::Gap));
        let step = connection.step(client, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(step.event, Event::Head);
    }

    /// Behind lost framing, the next message is found in any division of the bytes.
    #[test]
    fn finds_the_next_message_anywhere_behind_a_gap_or_malformed_bytes() {
        const LOST: &[u8] = b"the end of GET a body HTTP/1.HTTP/1.1 2";
        const FOUND: &[u8] =
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n";
        let server = Direction::ServerToClient;
        let input = [LOST, FOUND, b"not HTTP ", FOUND].concat();
        let answers = [message("200", "ok", true), message("404", "", true)];
        for size in 1..input.len() {
            let mut connection = Connection::default();
            connection.gap(server, 1);
            let (seen, opaque) = read(&mut connection, server, &input.chunks(size).collect::<Vec<_>>());
            assert_eq!(seen, [&answers[..], &answers].concat(), "pieces of {size}");
            assert_eq!(opaque, [LOST, b"not HTTP "].concat(), "pieces of {size}");
        }
    }

    #[test]
    fn a_body_that_is_cut_keeps_what_there_is() {
        let server = Direction::ServerToClient;
        let mut connection = Connection::default();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe beginning";
        let mut rest = &answer[..];
        let mut body = Vec::new();
        while !rest.is_empty() {
            let step = connection.step(server, rest);
            rest = &rest[step.consumed..];
            if let Event::Body { bytes, .. } = step.event {
                body.extend_from_slice(bytes);
            }
        }
        assert_eq!(body, b"the beginning");
        connection.gap(server, 1000);
        assert_eq!(connection.step(server, b"").event, Event::End { complete: false });
        let (seen, opaque) = read(&mut connection, server, &[b"xyzHTTP/1.1 204 \r\n\r\n"]);
        assert_eq!((seen, opaque), (vec![message("204", "", true)], b"xyz".to_vec()));
    }

    /// Chunks that begin like a status line: the first byte shows that they are none.
    #[test]
    fn a_body_that_begins_like_a_status_line_is_read_in_every_division() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 10\r\n";
        for size in 1..bytes.len() {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let (seen, opaque) = read(&mut Connection::default(), Direction::ServerToClient, &pieces);
            assert_eq!(seen, [message("200", "", false)], "pieces of {size}");
            assert_eq!(opaque, b"HTTP/1.1 10\r\n", "pieces of {size}");
        }
    }

    /// Without its request, a response may answer HEAD: then another one follows its head.
    #[test]
    fn a_response_without_its_request_may_have_no_body() {
        let server = Direction::ServerToClient;
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP!\
            HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHT\
            HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nHTTP/1.1 2\0\
            HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n\
            HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
        let expected = [
            message("200", "", true),
            message("200", "HTTP!", true),
            message("200", "HT", true),
            message("200", "H", true),
            message("204", "", true),
            message("304", "", true),
        ];
        for size in 1..bytes.len() {
            let mut connection = Connection::default();
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let (seen, opaque) = read(&mut connection, server, &pieces);
            assert_eq!(seen, expected, "pieces of {size}");
            assert_eq!(opaque, b"TTP/1.1 2\0", "pieces of {size}");
        }
    }

    #[test]
    fn a_message_that_is_not_read_is_reported_whole() {
        let client = Direction::ClientToServer;
        let bytes =
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n";
        for size in 1..bytes.len() {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let (seen, opaque) = read(&mut Connection::default(), client, &pieces);
            assert_eq!(seen, [message("GET /", "", true)], "pieces of {size}");
            assert_eq!(opaque, bytes[..bytes.len() - 18], "pieces of {size}");
        }
    }

    #[test]
    fn every_division_behind_malformed_chunks_finds_a_complete_message() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n\
            HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nyes";
        let expected = [message("200", "ok", false), message("201", "yes", true)];
        for size in 1..=bytes.len() {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let (seen, opaque) = read(&mut Connection::default(), Direction::ServerToClient, &pieces);
            assert_eq!((&seen[..], &opaque[..]), (&expected[..], &b""[..]), "pieces of {size}");
        }
    }

    #[test]
    fn rejects_contradictory_framing_and_other_protocols() {
        for (bytes, why) in [
            (&b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"[..], Desync::BadLength),
            (b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", Desync::BadLength),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", Desync::BadLength),
            (b"POST / HTTP/1.7\r\n\r\n", Desync::BadHead),
            (b"\x16\x03\x01\x02\x00\x01", Desync::NotHttp),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Desync::NotHttp),
        ] {
            let mut connection = Connection::default();
            let mut step = connection.step(Direction::ClientToServer, bytes);
            if step.event == Event::NeedMore {
                connection.gap(Direction::ClientToServer, 1);
                step = connection.step(Direction::ClientToServer, b"");
            }
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
