//! HTTP/1.1 messages in a stream of bytes (RFC 9110, RFC 9112).
//!
//! [`Connection`] reads both directions of one connection, because the framing of an answer depends on the request
//! (RFC 9112 §6.3). Bytes are pushed in any division; bodies come back as slices of what was pushed, without their
//! chunk framing and still in their content coding ([`crate::content`] takes that off).
//!
//! Knows nothing about where its bytes come from: a TCP stream, or what was decrypted out of one.

use std::collections::VecDeque;

use crate::coding::Coding;
use crate::detection::Detection;
use crate::flow::Direction;

/// Longest start line and header section. Common servers accept 8 to 64 KiB; what is longer is not read as HTTP.
pub const MAX_HEAD: usize = 64 << 10;

/// Most header fields of one message; common servers stop at 100.
pub const MAX_HEADERS: usize = 128;

/// Longest chunk-size line with its extensions, and longest trailer section.
pub const MAX_CHUNK_LINE: usize = 16 << 10;

/// Most requests that wait for their answer on one connection (pipelining). Beyond it answers are framed as if they
/// belonged to a GET.
pub const MAX_OUTSTANDING: usize = 1024;

/// Whether `prefix` begins a request or an answer.
pub fn detect(direction: Direction, prefix: &[u8]) -> Detection {
    match direction {
        Direction::ClientToServer => detect_request(prefix),
        Direction::ServerToClient => {
            let common = prefix.len().min(RESPONSE_START.len());
            match prefix.get(..common) == RESPONSE_START.get(..common) {
                true if common == RESPONSE_START.len() => Detection::Match,
                true => Detection::NeedMore,
                false => Detection::NoMatch,
            }
        }
    }
}

const RESPONSE_START: &[u8] = b"HTTP/1.";

/// The longest registered method (UPDATEREDIRECTREF) has 17 letters (IANA HTTP method registry).
const MAX_METHOD: usize = 17;

fn detect_request(prefix: &[u8]) -> Detection {
    let method_len = prefix.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    match prefix.get(method_len) {
        None if method_len <= MAX_METHOD => Detection::NeedMore,
        Some(b' ') if (1..=MAX_METHOD).contains(&method_len) => {
            if prefix.starts_with(b"PRI ") {
                return Detection::NoMatch; // the connection preface of HTTP/2 (RFC 9113 §3.4)
            }
            if prefix.starts_with(b"CONNECT ") {
                return Detection::Match;
            }
            // origin-form, absolute-form and asterisk-form (RFC 9112 §3.2)
            match prefix.get(method_len + 1) {
                None => Detection::NeedMore,
                Some(b'/' | b'*') => Detection::Match,
                Some(byte) if byte.is_ascii_lowercase() => Detection::Match,
                Some(_) => Detection::NoMatch,
            }
        }
        _ => Detection::NoMatch,
    }
}

/// How the end of a body is told (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    Empty,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Everything until the connection closes.
    UntilClose,
}

/// The start line and the header fields that matter for reading on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Request method; empty in an answer.
    pub method: String,
    /// Request target; empty in an answer.
    pub target: String,
    /// `Host` of a request; empty if there is none.
    pub host: String,
    /// Status code of an answer; 0 in a request.
    pub status: u16,
    /// Reason phrase of an answer; empty if there is none, or if it is not ASCII.
    pub reason: String,
    /// `Content-Type`, as it stands; empty if there is none.
    pub content_type: String,
    /// Protocol that `Upgrade` names (RFC 9110 §7.8), as it stands; empty if there is none.
    pub upgrade: String,
    /// How the body ends.
    pub framing: Framing,
    /// Codings to take off the body, outermost first.
    pub codings: Vec<Coding>,
    /// Bytes of start line and header section.
    pub len: usize,
}

impl Head {
    fn clear(&mut self) {
        self.method.clear();
        self.target.clear();
        self.host.clear();
        self.status = 0;
        self.reason.clear();
        self.content_type.clear();
        self.upgrade.clear();
        self.framing = Framing::Empty;
        self.codings.clear();
        self.len = 0;
    }
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Desync {
    /// The bytes at the start of a message are no start line.
    #[error("no HTTP/1 start line")]
    NotHttp,
    /// Start line and header section exceed [`MAX_HEAD`].
    #[error("a header section longer than {MAX_HEAD} bytes")]
    HeadTooLong,
    /// The header section is malformed.
    #[error("a malformed header section")]
    BadHead,
    /// `Content-Length` is no number, or appears with different values (RFC 9112 §6.3, a smuggling vector).
    #[error("a malformed or contradictory Content-Length")]
    BadLength,
    /// A chunk-size line, chunk end or trailer is malformed or longer than [`MAX_CHUNK_LINE`].
    #[error("malformed chunk framing")]
    BadChunk,
    /// Bytes are missing from the capture where framing stood.
    #[error("a gap in the capture where message framing stood")]
    Gap,
    /// The connection left HTTP (101, or 2xx to CONNECT; RFC 9110 §7.8, §9.3.6).
    #[error("the connection switched to another protocol")]
    Switched,
}

/// What one step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// All input was taken; push more.
    NeedMore,
    /// A header section is complete: see [`Connection::head`].
    Head,
    /// Bytes of the body, without chunk framing.
    Body {
        /// The bytes.
        bytes: &'a [u8],
        /// Whether a chunk border stands between these bytes and the ones before them.
        new_chunk: bool,
    },
    /// The message is over. `complete` is false where a gap or the end of the stream cut its body.
    End {
        /// Whether the whole body was seen.
        complete: bool,
    },
    /// Input that is not HTTP/1, with the reason why.
    Opaque(&'a [u8], Desync),
}

/// The answer of [`Connection::step`]: how much of the input was taken, and what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// What they were.
    pub event: Event<'a>,
}

/// Both directions of one HTTP/1.1 connection.
#[derive(Debug)]
pub struct Connection {
    request: Parser,
    response: Parser,
    outstanding: VecDeque<RequestKind>,
}

/// What the framing of an answer has to know of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestKind {
    Head,
    Connect,
    Other,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            request: Parser::new(Direction::ClientToServer),
            response: Parser::new(Direction::ServerToClient),
            outstanding: VecDeque::new(),
        }
    }
}

impl Connection {
    /// Reads on in one direction. Call again with the rest of the input until it answers [`Event::NeedMore`].
    #[inline]
    pub fn step<'a>(&mut self, direction: Direction, input: &'a [u8]) -> Step<'a> {
        let step = match direction {
            Direction::ClientToServer => self.request.step(input, RequestKind::Other),
            Direction::ServerToClient => {
                let request_kind = self.outstanding.front().copied().unwrap_or(RequestKind::Other);
                self.response.step(input, request_kind)
            }
        };
        match (direction, step.event) {
            (Direction::ClientToServer, Event::Head) if self.outstanding.len() < MAX_OUTSTANDING => {
                self.outstanding.push_back(match self.request.head.method.as_str() {
                    "HEAD" => RequestKind::Head,
                    "CONNECT" => RequestKind::Connect,
                    _ => RequestKind::Other,
                });
            }
            // An interim answer leaves its request open (RFC 9110 §15.2).
            (Direction::ServerToClient, Event::End { .. })
                if !(100..200).contains(&self.response.head.status) =>
            {
                self.outstanding.pop_front();
            }
            _ => {}
        }
        if self.response.state == State::Desync(Desync::Switched) {
            // From here on neither side speaks HTTP.
            self.request.state = State::Desync(Desync::Switched);
        }
        step
    }

    /// The header section that [`Event::Head`] announced; valid until the next one of this direction.
    pub fn head(&self, direction: Direction) -> &Head {
        match direction {
            Direction::ClientToServer => &self.request.head,
            Direction::ServerToClient => &self.response.head,
        }
    }

    /// `len` bytes of this direction are missing. Inside a body of known length reading goes on behind them; elsewhere
    /// the parser is lost until a segment begins with a start line again.
    pub fn gap(&mut self, direction: Direction, len: u64) {
        match direction {
            Direction::ClientToServer => self.request.gap(len),
            Direction::ServerToClient => self.response.gap(len),
        }
    }

    /// The direction has ended. Answers whether a message was open, and if so whether it is complete now.
    pub fn close(&mut self, direction: Direction) -> Option<Event<'static>> {
        match direction {
            Direction::ClientToServer => self.request.close(),
            Direction::ServerToClient => self.response.close(),
        }
    }

    /// Bytes held back until a header section is complete.
    pub fn held_back(&self, direction: Direction) -> usize {
        match direction {
            Direction::ClientToServer => self.request.held.len(),
            Direction::ServerToClient => self.response.held.len(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    HeadPart,
    Length(u64),
    UntilClose,
    ChunkSize {
        size: u64,
        digits: u8,
        extension: bool,
        len: usize,
    },
    ChunkData {
        left: u64,
        first: bool,
    },
    ChunkEnd {
        cr: bool,
    },
    Trailer {
        line: usize,
        total: usize,
    },
    Over,
    /// The last message of this protocol is over.
    SwitchedOver,
    Desync(Desync),
}

#[derive(Debug)]
struct Parser {
    direction: Direction,
    state: State,
    /// The beginning of a header section whose end has not arrived.
    held: Vec<u8>,
    head: Head,
    incomplete: bool,
}

impl Parser {
    fn new(direction: Direction) -> Self {
        Self { direction, state: State::Start, held: Vec::new(), head: Head::default(), incomplete: false }
    }

    fn step<'a>(&mut self, input: &'a [u8], request_kind: RequestKind) -> Step<'a> {
        let mut at = 0;
        loop {
            if self.state == State::Over {
                self.state = State::Start;
                return Step { consumed: at, event: Event::End { complete: !self.incomplete } };
            }
            if self.state == State::SwitchedOver {
                self.state = State::Desync(Desync::Switched);
                return Step { consumed: at, event: Event::End { complete: true } };
            }
            let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) else {
                return Step { consumed: at, event: Event::NeedMore };
            };
            match self.state {
                State::Over | State::SwitchedOver => {}
                State::Start => {
                    // Empty lines before a start line are ignored (RFC 9112 §2.2).
                    if let Some(b'\r' | b'\n') = rest.first() {
                        at += 1;
                        continue;
                    }
                    self.incomplete = false;
                    if detect(self.direction, rest) == Detection::NoMatch {
                        self.state = State::Desync(Desync::NotHttp);
                        continue;
                    }
                    if let Some(end) = head_end(rest, 0) {
                        let head = rest.get(..end).unwrap_or_default();
                        return self.take_head(head, input, at, end, request_kind);
                    }
                    self.state = State::HeadPart;
                }
                State::HeadPart => {
                    let searched = self.held.len().saturating_sub(2);
                    let before = self.held.len();
                    let room = MAX_HEAD.saturating_sub(before).min(rest.len());
                    self.held.extend_from_slice(rest.get(..room).unwrap_or_default());
                    if let Some(end) = head_end(&self.held, searched) {
                        let held = std::mem::take(&mut self.held);
                        let head = held.get(..end).unwrap_or_default();
                        let step = self.take_head(head, input, at, end - before, request_kind);
                        self.held = held;
                        self.held.clear();
                        return step;
                    }
                    if self.held.len() >= MAX_HEAD {
                        self.lose(Desync::HeadTooLong);
                        continue;
                    }
                    if detect(self.direction, &self.held) == Detection::NoMatch {
                        self.lose(Desync::NotHttp);
                        continue;
                    }
                    return Step { consumed: input.len(), event: Event::NeedMore };
                }
                State::Length(left) => {
                    let take = (rest.len() as u64).min(left) as usize;
                    let bytes = rest.get(..take).unwrap_or_default();
                    self.state =
                        if take as u64 == left { State::Over } else { State::Length(left - take as u64) };
                    return Step { consumed: at + take, event: Event::Body { bytes, new_chunk: false } };
                }
                State::UntilClose => {
                    let event = Event::Body { bytes: rest, new_chunk: false };
                    return Step { consumed: input.len(), event };
                }
                State::ChunkSize { size, digits, extension, len } => {
                    let Some(&byte) = rest.first() else { continue };
                    at += 1;
                    let len = len + 1;
                    let digit = char::from(byte).to_digit(16);
                    self.state = match (byte, digit) {
                        _ if len > MAX_CHUNK_LINE => State::Desync(Desync::BadChunk),
                        (b'\n', _) if digits == 0 => State::Desync(Desync::BadChunk),
                        (b'\n', _) if size == 0 => State::Trailer { line: 0, total: 0 },
                        (b'\n', _) => State::ChunkData { left: size, first: true },
                        (_, Some(digit)) if !extension && digits < 16 => State::ChunkSize {
                            size: size << 4 | u64::from(digit),
                            digits: digits + 1,
                            extension,
                            len,
                        },
                        (b'\r' | b';' | b' ' | b'\t', _) if digits > 0 => {
                            State::ChunkSize { size, digits, extension: true, len }
                        }
                        _ if extension => State::ChunkSize { size, digits, extension, len },
                        _ => State::Desync(Desync::BadChunk),
                    };
                }
                State::ChunkData { left, first } => {
                    let take = (rest.len() as u64).min(left) as usize;
                    let bytes = rest.get(..take).unwrap_or_default();
                    self.state = if take as u64 == left {
                        State::ChunkEnd { cr: false }
                    } else {
                        State::ChunkData { left: left - take as u64, first: false }
                    };
                    return Step { consumed: at + take, event: Event::Body { bytes, new_chunk: first } };
                }
                State::ChunkEnd { cr } => {
                    at += 1;
                    self.state = match rest.first() {
                        Some(b'\r') if !cr => State::ChunkEnd { cr: true },
                        Some(b'\n') => State::ChunkSize { size: 0, digits: 0, extension: false, len: 0 },
                        _ => {
                            at -= 1;
                            State::Desync(Desync::BadChunk)
                        }
                    };
                }
                State::Trailer { line, total } => {
                    at += 1;
                    self.state = match rest.first() {
                        _ if total > MAX_CHUNK_LINE => State::Desync(Desync::BadChunk),
                        Some(b'\n') if line == 0 => State::Over,
                        Some(b'\n') => State::Trailer { line: 0, total: total + 1 },
                        Some(b'\r') => State::Trailer { line, total: total + 1 },
                        _ => State::Trailer { line: line + 1, total: total + 1 },
                    };
                }
                State::Desync(why) => {
                    // A start line at the beginning of a segment is where a lost reader finds its way back.
                    let back = why != Desync::Switched
                        && at == 0
                        && detect(self.direction, rest) == Detection::Match;
                    if back && why == Desync::Gap {
                        self.state = State::Start;
                        continue;
                    }
                    return Step { consumed: input.len(), event: Event::Opaque(rest, why) };
                }
            }
        }
    }

    fn lose(&mut self, why: Desync) {
        self.held.clear();
        self.state = State::Desync(why);
    }

    /// `at + taken` bytes of the input end the header section `head`.
    fn take_head<'a>(
        &mut self,
        head: &[u8],
        input: &'a [u8],
        at: usize,
        taken: usize,
        request_kind: RequestKind,
    ) -> Step<'a> {
        let consumed = at + taken;
        match self.read_head(head, request_kind) {
            Ok(state) => {
                self.state = state;
                Step { consumed, event: Event::Head }
            }
            Err(why) => {
                self.state = State::Desync(why);
                let opaque = input.get(at..consumed).unwrap_or_default();
                Step { consumed, event: Event::Opaque(opaque, why) }
            }
        }
    }

    fn read_head(&mut self, bytes: &[u8], request_kind: RequestKind) -> Result<State, Desync> {
        let head = &mut self.head;
        head.clear();
        head.len = bytes.len();
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let fields = match self.direction {
            Direction::ClientToServer => {
                let mut request = httparse::Request::new(&mut fields);
                match request.parse(bytes) {
                    Ok(httparse::Status::Complete(_)) => {}
                    _ => return Err(Desync::BadHead),
                }
                head.method.push_str(request.method.unwrap_or_default());
                head.target.push_str(request.path.unwrap_or_default());
                request.headers
            }
            Direction::ServerToClient => {
                let mut response = httparse::Response::new(&mut fields);
                match response.parse(bytes) {
                    Ok(httparse::Status::Complete(_)) => {}
                    _ => return Err(Desync::BadHead),
                }
                head.status = response.code.unwrap_or_default();
                head.reason.push_str(response.reason.unwrap_or_default());
                response.headers
            }
        };
        let mut length: Option<u64> = None;
        let mut transfer_coded = false;
        let mut chunked = false;
        let mut content_codings = Vec::new();
        for field in fields.iter() {
            let value = field.value.trim_ascii();
            if field.name.eq_ignore_ascii_case("content-length") {
                for part in value.split(|byte| *byte == b',') {
                    let part = std::str::from_utf8(part.trim_ascii()).map_err(|_| Desync::BadLength)?;
                    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                        return Err(Desync::BadLength);
                    }
                    let value = part.parse().map_err(|_| Desync::BadLength)?;
                    if length.is_some_and(|known| known != value) {
                        return Err(Desync::BadLength);
                    }
                    length = Some(value);
                }
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                transfer_coded = true;
                for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    chunked = name.eq_ignore_ascii_case(b"chunked");
                    if !chunked {
                        head.codings.push(Coding::from_token(name));
                    }
                }
            } else if field.name.eq_ignore_ascii_case("content-encoding") {
                let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                content_codings.extend(names.filter(|name| !name.is_empty()).map(Coding::from_token));
            } else if field.name.eq_ignore_ascii_case("content-type") {
                head.content_type.push_str(&String::from_utf8_lossy(value));
            } else if field.name.eq_ignore_ascii_case("upgrade") {
                head.upgrade.push_str(&String::from_utf8_lossy(value));
            } else if field.name.eq_ignore_ascii_case("host") {
                head.host.push_str(&String::from_utf8_lossy(value));
            }
        }
        // Codings are listed in the order they were applied; they come off the other way round.
        head.codings.reverse();
        head.codings.extend(content_codings.into_iter().rev());
        head.codings.retain(|coding| *coding != Coding::Identity);

        let no_body = self.direction == Direction::ServerToClient
            && ((100..200).contains(&head.status)
                || matches!(head.status, 204 | 304)
                || request_kind == RequestKind::Head);
        let switched = self.direction == Direction::ServerToClient
            && (head.status == 101
                || request_kind == RequestKind::Connect && (200..300).contains(&head.status));
        if switched {
            head.framing = Framing::Empty;
            return Ok(State::SwitchedOver);
        }
        head.framing = if no_body {
            Framing::Empty
        } else if transfer_coded && chunked {
            Framing::Chunked
        } else if transfer_coded && self.direction == Direction::ClientToServer {
            return Err(Desync::BadLength); // RFC 9112 §6.3 rule 4: such a request cannot be framed
        } else if transfer_coded {
            Framing::UntilClose
        } else if let Some(length) = length {
            if length == 0 { Framing::Empty } else { Framing::Length(length) }
        } else if self.direction == Direction::ClientToServer {
            Framing::Empty
        } else {
            Framing::UntilClose
        };
        Ok(match head.framing {
            Framing::Empty => State::Over,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize { size: 0, digits: 0, extension: false, len: 0 },
            Framing::UntilClose => State::UntilClose,
        })
    }

    fn gap(&mut self, len: u64) {
        match self.state {
            State::Length(left) if len <= left => {
                self.incomplete = true;
                self.state = if len == left { State::Over } else { State::Length(left - len) };
            }
            State::UntilClose => self.incomplete = true,
            State::ChunkData { left, .. } if len < left => {
                self.incomplete = true;
                self.state = State::ChunkData { left: left - len, first: true };
            }
            State::Desync(_) => {}
            _ => self.lose(Desync::Gap),
        }
    }

    fn close(&mut self) -> Option<Event<'static>> {
        let complete = match self.state {
            State::Over | State::SwitchedOver | State::UntilClose => !self.incomplete,
            State::Length(_)
            | State::ChunkSize { .. }
            | State::ChunkData { .. }
            | State::ChunkEnd { .. }
            | State::Trailer { .. } => false,
            State::Start | State::HeadPart | State::Desync(_) => return None,
        };
        self.state = State::Start;
        Some(Event::End { complete })
    }
}

/// Offset just behind the empty line that ends a header section. Bare line feeds count, as lenient servers have it
/// (RFC 9112 §2.2).
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes.get(from..)?).find_map(|at| {
        let next = from + at + 1;
        match (bytes.get(next), bytes.get(next + 1)) {
            (Some(b'\n'), _) => Some(next + 1),
            (Some(b'\r'), Some(b'\n')) => Some(next + 2),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
        if let Some(event) = connection.close(direction) {
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
    fn reasons_are_what_stands_there() {
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
    fn length_chunks_and_no_body_on_one_connection() {
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
    fn answers_are_framed_by_their_requests() {
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
    fn a_switch_of_protocols_ends_the_last_message() {
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
    fn a_gap_inside_a_body_keeps_the_framing() {
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
    fn a_gap_in_the_framing_is_survived_at_the_next_start_line() {
        let mut connection = Connection::default();
        connection.step(Direction::ClientToServer, b"POST /t HTTP/1.1\r\nContent-Le");
        connection.gap(Direction::ClientToServer, 30);
        let step = connection.step(Direction::ClientToServer, b"rest of a body");
        assert_eq!(step.event, Event::Opaque(b"rest of a body", Desync::Gap));
        let step = connection.step(Direction::ClientToServer, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(step.event, Event::Head);
    }

    #[test]
    fn contradictions_and_foreign_bytes_are_not_http() {
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
    fn a_header_section_without_end_is_bounded() {
        let mut connection = Connection::default();
        connection.step(Direction::ClientToServer, b"GET / HTTP/1.1\r\n");
        let line = [b'x'; 1000];
        for _ in 0..2 * MAX_HEAD / line.len() {
            connection.step(Direction::ClientToServer, &line);
            assert!(connection.held_back(Direction::ClientToServer) <= MAX_HEAD);
        }
    }

    #[test]
    fn codings_come_off_in_reverse_order() {
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
        fn hostile_bytes_are_survived_in_any_division(
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
                connection.close(direction);
            }
        }
    }
}
