//! The messages of gRPC in the body of an HTTP message ("gRPC over HTTP2", Length-Prefixed-Message).
//!
//! ```text
//!   flags: 1 │ length: 4 │ message │ flags │ length │ …
//! ```
//!
//! Input may be divided anywhere; messages are slices of it, still compressed as `grpc-encoding` names it. gRPC-Web sends its
//! trailers as one more message with a flag.

/// Length of what precedes each message.
const PREFIX: usize = 5;

/// The message is compressed.
const COMPRESSED: u8 = 0x01;

/// The message consists of trailers (gRPC-Web).
const TRAILERS: u8 = 0x80;

/// A message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Offset in the body of the first byte of the prefix. The message follows it by five bytes.
    pub at: u64,
    /// Whether the message is compressed.
    pub is_compressed: bool,
    /// Whether it consists of trailers (gRPC-Web).
    pub is_trailers: bool,
    /// Its length in bytes.
    pub len: u32,
}

/// The content at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// All input was consumed; push more.
    NeedMore,
    /// A message begins.
    Begin(Prefix),
    /// Bytes of the message.
    Bytes(&'a [u8]),
    /// The message is over. `complete` is false if a gap cut it.
    End {
        /// Whether the whole message was seen.
        complete: bool,
    },
    /// Bytes that are no message, from here to the end: flags that are not defined, or bytes behind a gap over a prefix.
    Opaque(&'a [u8]),
}

/// The result of [`Parser::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Number of bytes consumed.
    pub consumed: usize,
    /// Their content.
    pub event: Event<'a>,
}

/// One body.
#[derive(Debug, Default)]
pub struct Parser {
    /// Offset of the next byte.
    position: u64,
    state: State,
    /// The beginning of a prefix.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Prefix,
    Message {
        left: u32,
        is_damaged: bool,
    },
    Opaque,
}

impl Parser {
    /// Reads the front of the input. Call again with the rest until the event is [`Event::NeedMore`].
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let (consumed, event) = match self.state {
            State::Message { left: 0, is_damaged } => {
                self.state = State::Prefix;
                (0, Event::End { complete: !is_damaged })
            }
            _ if input.is_empty() => (0, Event::NeedMore),
            State::Message { left, is_damaged } => {
                let take = input.len().min(left as usize);
                self.state = State::Message { left: left - take as u32, is_damaged };
                (take, Event::Bytes(input.get(..take).unwrap_or_default()))
            }
            State::Prefix => self.prefix(input),
            State::Opaque => (input.len(), Event::Opaque(input)),
        };
        self.position += consumed as u64;
        Step { consumed, event }
    }

    /// `len` bytes of the body are missing. Within a message, reading continues behind them.
    pub fn gap(&mut self, len: u64) {
        self.position += len;
        self.state = match self.state {
            State::Message { left, .. } if len <= u64::from(left) => {
                State::Message { left: left - len as u32, is_damaged: true }
            }
            _ => {
                self.held.clear();
                State::Opaque
            }
        };
    }

    /// An unknown number of bytes is missing: no message is found behind them.
    pub fn lose(&mut self) {
        self.held.clear();
        self.state = State::Opaque;
    }

    /// Whether a message or its prefix is incomplete.
    #[must_use]
    pub fn is_within(&self) -> bool {
        !self.held.is_empty() || matches!(self.state, State::Message { .. })
    }

    fn prefix<'a>(&mut self, input: &'a [u8]) -> (usize, Event<'a>) {
        let take = PREFIX.saturating_sub(self.held.len()).min(input.len());
        self.held.extend_from_slice(input.get(..take).unwrap_or_default());
        let Some([flags, len @ ..]) = self.held.first_chunk::<PREFIX>().copied() else {
            return (take, Event::NeedMore);
        };
        self.held.clear();
        if flags & !(COMPRESSED | TRAILERS) != 0 {
            self.state = State::Opaque;
            return (take, Event::Opaque(input.get(..take).unwrap_or_default()));
        }
        let len = u32::from_be_bytes(len);
        self.state = State::Message { left: len, is_damaged: false };
        let prefix = Prefix {
            at: self.position + take as u64 - PREFIX as u64,
            is_compressed: flags & COMPRESSED != 0,
            is_trailers: flags & TRAILERS != 0,
            len,
        };
        (take, Event::Begin(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parser: &mut Parser, pieces: &[&[u8]]) -> Vec<String> {
        let (mut seen, mut message) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let step = parser.step(rest);
                rest = &rest[step.consumed..];
                match step.event {
                    Event::NeedMore => break,
                    Event::Begin(prefix) => {
                        message.clear();
                        seen.push(format!("{} {} {}", prefix.at, prefix.len, prefix.is_compressed));
                    }
                    Event::Bytes(bytes) => message.extend_from_slice(bytes),
                    Event::End { complete } => {
                        seen.push(format!("{} {complete}", String::from_utf8_lossy(&message)));
                    }
                    Event::Opaque(_) => seen.push("opaque".into()),
                }
            }
        }
        seen
    }

    #[test]
    fn reads_messages_in_any_division() {
        let body = b"\0\0\0\0\x02hi\x01\0\0\0\x03abc\0\0\0\0\0";
        let whole = read(&mut Parser::default(), &[body, b""]);
        assert_eq!(whole, ["0 2 false", "hi true", "7 3 true", "abc true", "15 0 false", " true"]);
        for at in 0..body.len() {
            let (head, tail) = body.split_at(at);
            assert_eq!(read(&mut Parser::default(), &[head, tail, b""]), whole, "split at {at}");
        }
    }

    #[test]
    fn reads_on_behind_a_gap_within_a_message_only() {
        let mut parser = Parser::default();
        read(&mut parser, &[b"\0\0\0\0\x04a"]);
        parser.gap(2);
        assert!(parser.is_within());
        assert_eq!(read(&mut parser, &[b"d\0\0\0\0\x01e"]), ["d false", "9 1 false", "e true"]);
        parser.gap(1);
        assert_eq!(read(&mut parser, &[b"\0\0\0\0\x04a"]), ["opaque"]);
        assert_eq!(read(&mut Parser::default(), &[b"{\"a\":1}"]), ["opaque", "opaque"]);
    }
}
