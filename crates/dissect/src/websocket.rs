//! WebSocket messages in a stream of bytes (RFC 6455).
//!
//! ```text
//!   frame   FIN RSV1-3 opcode │ MASK length │ [length: 2 or 8 bytes] │ [masking key: 4] │ payload
//!   message frame, continuation frame, …, the last one with FIN; control frames may come in between (§5.4)
//! ```
//!
//! [`Parser`] reads one direction. Input may be divided anywhere; payload is returned unmasked. Of the extensions it knows
//! permessage-deflate (RFC 7692), whose messages [`crate::message_deflate`] decompresses; a frame with another reserved bit set
//! ends the reading (§5.2).

use crate::flow::{Direction, PerDirection};

/// Longest payload of a control frame (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;

/// Longest frame header: two bytes, an eight-byte length, a masking key.
const MAX_HEADER: usize = 14;

/// The type of a frame (RFC 6455 §5.2, §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Continues the current message.
    Continuation,
    /// Begins a message of UTF-8 text.
    Text,
    /// Begins a message of bytes.
    Binary,
    /// Ends the connection.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping, or comes without one.
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether frames of this kind may come within a message (RFC 6455 §5.5).
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    /// Its name in RFC 6455.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Continuation => "continuation",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }
}

/// Reason why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Desync {
    /// A reserved bit is set: an extension was negotiated that is not supported here (RFC 6455 §5.2).
    #[error("a WebSocket extension")]
    Extension,
    /// An opcode that is not defined.
    #[error("an unknown WebSocket opcode")]
    Opcode,
    /// A client's frame without mask, or a server's with one (RFC 6455 §5.1).
    #[error("a WebSocket frame with the mask of the other side")]
    Mask,
    /// A control frame that is fragmented, or longer than [`MAX_CONTROL`].
    #[error("a malformed WebSocket control frame")]
    Control,
    /// A continuation without a message, or a new message within one (RFC 6455 §5.4).
    #[error("a WebSocket frame out of order")]
    OutOfTurn,
    /// A length that is not the shortest form, or has its highest bit set (RFC 6455 §5.2).
    #[error("a malformed WebSocket length")]
    Length,
    /// Bytes are missing from the capture where a frame header was, or a control frame.
    #[error("a gap in the capture where WebSocket framing was")]
    Gap,
}

/// The result of one step.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// All input was consumed; push more.
    NeedMore,
    /// A data frame begins.
    Frame(DataFrame),
    /// Payload of the current data frame, unmasked.
    Payload(&'a [u8]),
    /// The message is complete. `complete` is false if a gap cut it.
    End {
        /// Whether the whole message was seen.
        complete: bool,
    },
    /// A control frame, its payload unmasked.
    Control(Opcode, &'a [u8]),
    /// Input that is not read, with the reason. Nothing more is read in this direction.
    Opaque(&'a [u8], Desync),
}

/// The extensions that a server has accepted (RFC 6455 §9.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// permessage-deflate (RFC 7692): for each direction, whether its sender may refer to earlier messages; `None` if it was not
    /// accepted.
    pub deflate: Option<PerDirection<bool>>,
}

impl Extensions {
    /// Those in the `Sec-WebSocket-Extensions` of a response. Of several, the first permessage-deflate counts.
    #[must_use]
    pub fn accepted(value: &[u8]) -> Self {
        let mut extensions = value.split(|byte| *byte == b',').map(|extension| {
            let mut parts = extension.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            (parts.next().unwrap_or_default(), parts)
        });
        let deflate = extensions.find(|(name, _)| name.eq_ignore_ascii_case(b"permessage-deflate"));
        let deflate = deflate.map(|(_, parameters)| {
            let mut keeps = PerDirection { client_to_server: true, server_to_client: true };
            for parameter in parameters {
                keeps.client_to_server &= !parameter.eq_ignore_ascii_case(b"client_no_context_takeover");
                keeps.server_to_client &= !parameter.eq_ignore_ascii_case(b"server_no_context_takeover");
            }
            keeps
        });
        Self { deflate }
    }
}

/// The header of a data frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFrame {
    /// [`Opcode::Text`] or [`Opcode::Binary`] if the frame begins a message.
    pub opcode: Opcode,
    /// Whether it is the last frame of its message.
    pub is_final: bool,
    /// Whether its payload is masked.
    pub is_masked: bool,
    /// Whether it begins a compressed message (RFC 7692 §6).
    pub is_compressed: bool,
    /// Length of the payload in bytes.
    pub payload_len: u64,
}

/// The result of [`Parser::step`]: the number of bytes consumed, and their content.
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Number of bytes consumed.
    pub consumed: usize,
    /// The content of these bytes.
    pub event: Event<'a>,
}

/// One direction of a WebSocket connection, from the first byte behind the opening handshake on.
#[derive(Debug)]
pub struct Parser {
    direction: Direction,
    state: State,
    /// An incomplete header, or an incomplete control payload.
    held: Vec<u8>,
    /// Payload of a masked frame, unmasked.
    unmasked: Vec<u8>,
    in_message: bool,
    is_damaged: bool,
    /// Whether messages may be compressed.
    has_deflate: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Payload { left: u64, key: [u8; 4], at: usize, is_masked: bool, is_final: bool },
    Control { opcode: Opcode, len: usize, key: [u8; 4] },
    Desync(Desync),
}

/// A frame header.
struct Header {
    is_final: bool,
    opcode: Opcode,
    key: Option<[u8; 4]>,
    is_compressed: bool,
    payload_len: u64,
    len: usize,
}

impl Parser {
    /// A parser for this direction, at its beginning.
    #[must_use]
    pub fn new(direction: Direction) -> Self {
        Self {
            direction,
            state: State::Header,
            held: Vec::new(),
            unmasked: Vec::new(),
            in_message: false,
            is_damaged: false,
            has_deflate: false,
        }
    }

    /// The server has accepted these extensions.
    pub fn accept(&mut self, extensions: Extensions) {
        self.has_deflate = extensions.deflate.is_some();
    }

    /// Reads one direction. Call again with the rest of the input until it returns [`Event::NeedMore`].
    pub fn step<'a>(&'a mut self, input: &'a [u8]) -> Step<'a> {
        match self.state {
            State::Payload { left: 0, is_final, .. } => {
                self.state = State::Header;
                if !is_final {
                    return self.header(input);
                }
                self.in_message = false;
                let complete = !std::mem::take(&mut self.is_damaged);
                Step { consumed: 0, event: Event::End { complete } }
            }
            _ if input.is_empty() => Step { consumed: 0, event: Event::NeedMore },
            State::Header => self.header(input),
            State::Payload { left, key, at, is_masked, is_final } => {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let bytes = input.get(..len).unwrap_or_default();
                let (left, next) = (left - len as u64, (at + len) % 4);
                self.state = State::Payload { left, key, at: next, is_masked, is_final };
                let bytes = if is_masked { self.unmask(bytes, key, at) } else { bytes };
                Step { consumed: len, event: Event::Payload(bytes) }
            }
            State::Control { opcode, len, key } => self.control(input, opcode, len, key),
            State::Desync(why) => Step { consumed: input.len(), event: Event::Opaque(input, why) },
        }
    }

    /// `len` bytes are missing. Within the payload of a data frame, reading continues behind them; elsewhere it ends.
    pub fn gap(&mut self, len: u64) {
        match &mut self.state {
            State::Payload { left, at, .. } if len <= *left => {
                *left -= len;
                *at = (*at + (len % 4) as usize) % 4;
                self.is_damaged = true;
            }
            State::Desync(_) => {}
            _ => self.state = State::Desync(Desync::Gap),
        }
    }

    /// Whether a message is incomplete.
    #[must_use]
    pub fn in_message(&self) -> bool {
        self.in_message
    }

    /// Bytes held back until a header or a control frame is complete.
    #[must_use]
    pub fn held_back(&self) -> usize {
        self.held.len()
    }

    fn header<'a>(&'a mut self, input: &'a [u8]) -> Step<'a> {
        let before = self.held.len();
        let room = MAX_HEADER.saturating_sub(before).min(input.len());
        self.held.extend_from_slice(input.get(..room).unwrap_or_default());
        match self.parse_header() {
            Ok(None) => Step { consumed: input.len(), event: Event::NeedMore },
            Err(why) => {
                self.held.clear();
                self.state = State::Desync(why);
                Step { consumed: input.len(), event: Event::Opaque(input, why) }
            }
            Ok(Some(header)) => {
                let consumed = header.len - before;
                self.held.clear();
                let key = header.key.unwrap_or_default();
                if header.opcode.is_control() {
                    let len = header.payload_len as usize; // at most MAX_CONTROL
                    self.state = State::Control { opcode: header.opcode, len, key };
                    let rest = input.get(consumed..).unwrap_or_default();
                    let step = self.control(rest, header.opcode, len, key);
                    return Step { consumed: consumed + step.consumed, event: step.event };
                }
                self.in_message = true;
                let Header { is_final, opcode, is_compressed, payload_len, .. } = header;
                let is_masked = header.key.is_some();
                self.state = State::Payload { left: payload_len, key, at: 0, is_masked, is_final };
                let frame = DataFrame { opcode, is_final, is_masked, is_compressed, payload_len };
                Step { consumed, event: Event::Frame(frame) }
            }
        }
    }

    /// The header in `held`; `None` if it is incomplete.
    fn parse_header(&self) -> Result<Option<Header>, Desync> {
        let [first, second, rest @ ..] = self.held.as_slice() else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Desync::Opcode);
        // The first reserved bit is set in the first frame of a compressed message, and in no other (RFC 7692 §6).
        let begins_message = matches!(opcode, Ok(Opcode::Text | Opcode::Binary));
        let is_compressed = first & 0x40 != 0;
        if first & 0x30 != 0 || is_compressed && !(self.has_deflate && begins_message) {
            return Err(Desync::Extension);
        }
        let opcode = opcode?;
        let is_final = first & 0x80 != 0;
        let is_masked = second & 0x80 != 0;
        if is_masked != (self.direction == Direction::ClientToServer) {
            return Err(Desync::Mask);
        }
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((length, rest)) = rest.split_at_checked(length_bytes) else { return Ok(None) };
        let long = length.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let payload_len = if length_bytes == 0 { u64::from(second & 0x7f) } else { long };
        let shortest = match length_bytes {
            2 => 126,
            8 => 0x1_0000,
            _ => 0,
        };
        if payload_len < shortest || payload_len >> 63 != 0 {
            return Err(Desync::Length);
        }
        if opcode.is_control() && (!is_final || payload_len > MAX_CONTROL as u64) {
            return Err(Desync::Control);
        }
        if !opcode.is_control() && (opcode == Opcode::Continuation) != self.in_message {
            return Err(Desync::OutOfTurn);
        }
        let mut len = 2 + length_bytes;
        let mut key = None;
        if is_masked {
            let Some(bytes) = rest.first_chunk::<4>() else { return Ok(None) };
            key = Some(*bytes);
            len += 4;
        }
        Ok(Some(Header { is_final, opcode, key, is_compressed, payload_len, len }))
    }

    fn control<'a>(&'a mut self, input: &'a [u8], opcode: Opcode, len: usize, key: [u8; 4]) -> Step<'a> {
        let take = len.saturating_sub(self.held.len()).min(input.len());
        self.held.extend_from_slice(input.get(..take).unwrap_or_default());
        if self.held.len() < len {
            return Step { consumed: take, event: Event::NeedMore };
        }
        self.state = State::Header;
        let payload = std::mem::take(&mut self.held);
        // The key of an unmasked frame is zero.
        self.unmask(&payload, key, 0);
        Step { consumed: take, event: Event::Control(opcode, &self.unmasked) }
    }

    /// Undoes the mask (RFC 6455 §5.3). `at` is the offset in the payload of the first byte, modulo 4.
    fn unmask(&mut self, bytes: &[u8], key: [u8; 4], at: usize) -> &[u8] {
        let keys = key.iter().cycle().skip(at);
        self.unmasked.clear();
        self.unmasked.extend(bytes.iter().zip(keys).map(|(byte, key)| byte ^ key));
        &self.unmasked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Direction = Direction::ClientToServer;
    const SERVER: Direction = Direction::ServerToClient;

    /// The events of a direction as text: payloads of one message joined.
    fn read(direction: Direction, pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::new(direction);
        let (mut seen, mut message) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let step = parser.step(rest);
                match step.event {
                    Event::NeedMore => break,
                    Event::Frame(frame) => {
                        if frame.opcode != Opcode::Continuation {
                            message = format!("{}:", frame.opcode.name()).into_bytes();
                        }
                    }
                    Event::Payload(bytes) => message.extend_from_slice(bytes),
                    Event::End { complete } => {
                        seen.push(format!("{} {complete}", String::from_utf8_lossy(&message)));
                    }
                    Event::Control(opcode, bytes) => {
                        seen.push(format!("{} {}", opcode.name(), String::from_utf8_lossy(bytes)));
                    }
                    Event::Opaque(bytes, why) => seen.push(format!("{} bytes: {why}", bytes.len())),
                }
                rest = &rest[step.consumed..];
            }
        }
        seen
    }

    /// RFC 6455 §5.7.
    const HELLO: &[u8] = b"\x81\x05Hello";
    const MASKED_HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";

    #[test]
    fn reads_the_examples_of_the_rfc() {
        assert_eq!(read(SERVER, &[HELLO]), ["text:Hello true"]);
        assert_eq!(read(CLIENT, &[MASKED_HELLO]), ["text:Hello true"]);
        assert_eq!(read(SERVER, &[b"\x01\x03Hel\x80\x02lo"]), ["text:Hello true"]);
        assert_eq!(read(SERVER, &[b"\x89\x05Hello"]), ["ping Hello"]);
        assert_eq!(read(CLIENT, &[b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"]), ["pong Hello"]);
        let long = [b"\x82\x7e\x01\x00".as_slice(), &[b'x'; 256]].concat();
        assert_eq!(read(SERVER, &[&long]), [format!("binary:{} true", "x".repeat(256))]);
        let longer = [b"\x82\x7f\0\0\0\0\0\x01\0\0".as_slice(), &[b'x'; 65536]].concat();
        assert_eq!(read(SERVER, &[&longer])[0].len(), "binary: true".len() + 65536);
    }

    #[test]
    fn control_frames_may_come_within_a_message() {
        assert_eq!(
            read(SERVER, &[b"\x01\x03Hel\x89\x02hi\x80\x02lo\x88\0"]),
            ["ping hi", "text:Hello true", "close "]
        );
        assert_eq!(read(SERVER, &[b"\x81\0\x81\x01a"]), ["text: true", "text:a true"], "an empty message");
    }

    #[test]
    fn any_division_gives_the_same_result() {
        let text = [MASKED_HELLO, b"\x01\x83\x01\x02\x03\x04IgoHel"].concat();
        let text = [&text[..MASKED_HELLO.len() + 9], b"\x8a\x80abcd\x80\x80abcd"].concat();
        let whole = read(CLIENT, &[&text]);
        assert_eq!(whole, ["text:Hello true", "pong ", "text:Hel true"]);
        for first in 0..=text.len() {
            let (head, tail) = text.split_at(first);
            assert_eq!(read(CLIENT, &[head, tail]), whole, "split at {first}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(CLIENT, &bytes), whole, "byte by byte");
        for end in 0..text.len() {
            read(CLIENT, &[&text[..end]]);
        }
    }

    #[test]
    fn rejects_frames_that_the_rfc_forbids() {
        let refused = |direction, bytes: &[u8]| read(direction, &[bytes]).pop().unwrap_or_default();
        assert!(refused(SERVER, b"\xc1\x05Hello").ends_with("a WebSocket extension"));
        assert!(refused(SERVER, b"\x83\x05Hello").ends_with("an unknown WebSocket opcode"));
        assert!(refused(CLIENT, HELLO).ends_with("the mask of the other side"));
        assert!(refused(SERVER, MASKED_HELLO).ends_with("the mask of the other side"));
        assert!(refused(SERVER, b"\x09\x00").ends_with("a malformed WebSocket control frame"));
        assert!(refused(SERVER, b"\x89\x7e\x00\x7e").ends_with("a malformed WebSocket control frame"));
        assert!(refused(SERVER, b"\x80\x01a").ends_with("out of order"));
        assert!(refused(SERVER, b"\x01\x01a\x01\x01b").ends_with("out of order"));
        assert!(refused(SERVER, b"\x81\x7e\x00\x01a").ends_with("a malformed WebSocket length"));
        assert!(refused(SERVER, b"\x81\x7f\xff\0\0\0\0\0\0\0").ends_with("a malformed WebSocket length"));
    }

    #[test]
    fn compressed_messages_need_the_extension_that_was_accepted() {
        let both = PerDirection { client_to_server: true, server_to_client: true };
        let deflate = |value: &str| Extensions::accepted(value.as_bytes()).deflate;
        assert_eq!(deflate(""), None);
        assert_eq!(deflate("x-webkit-deflate-frame"), None);
        assert_eq!(deflate("permessage-deflate"), Some(both));
        assert_eq!(deflate("foo, Permessage-Deflate ;client_max_window_bits=15"), Some(both));
        assert_eq!(
            deflate("permessage-deflate; server_no_context_takeover"),
            Some(PerDirection { server_to_client: false, ..both })
        );
        assert_eq!(
            deflate("permessage-deflate;client_no_context_takeover;server_no_context_takeover"),
            Some(PerDirection::default())
        );
        let compressed = |bytes: &'static [u8]| {
            let mut parser = Parser::new(SERVER);
            parser.accept(Extensions { deflate: Some(both) });
            match parser.step(bytes).event {
                Event::Frame(frame) => frame.is_compressed,
                Event::Opaque(_, Desync::Extension) => false,
                event => panic!("{event:?}"),
            }
        };
        assert!(compressed(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"));
        assert!(!compressed(b"\x81\x05Hello"));
        assert!(!compressed(b"\xc9\x05Hello"), "a control frame");
        assert!(!compressed(b"\xa1\x05Hello"), "another reserved bit");
        assert_eq!(read(SERVER, &[b"\xc1\x01a"]), ["3 bytes: a WebSocket extension"]);
    }

    #[test]
    fn continues_behind_a_gap_within_a_message_only() {
        let mut parser = Parser::new(CLIENT);
        let step = parser.step(MASKED_HELLO);
        assert_eq!(step.consumed, 6);
        parser.gap(3);
        assert_eq!(parser.step(b"\x51\x58").event, Event::Payload(b"lo".as_slice()));
        assert_eq!(parser.step(b"").event, Event::End { complete: false });
        parser.gap(1);
        assert!(matches!(parser.step(b"ab").event, Event::Opaque(b"ab", Desync::Gap)));
    }
}
