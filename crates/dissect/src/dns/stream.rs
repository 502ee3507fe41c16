//! Messages over TCP: each has its length in two bytes before it (RFC 1035 §4.2.2, RFC 7766 §8).

use super::message::{HEADER_LEN, Message, is_plausible};
use crate::detection::Detection;

/// Length of the prefix.
const PREFIX: usize = 2;

/// Longest message by which a stream is recognised. A query has some hundred bytes, an answer some hundred more.
pub const MAX_DETECTED: usize = 4096;

/// The next thing in one direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The input is used up.
    NeedMore,
    /// The bytes of a message, without its length. They end at the last byte consumed. Valid until the next call.
    Message(&'a [u8]),
    /// The rest of a message of which a part is missing.
    Damaged,
    /// Bytes behind a gap: where the next message begins is unknown, up to the end of the stream.
    Lost(&'a [u8]),
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes of the input that are used up.
    pub consumed: usize,
    /// What they complete.
    pub event: Event<'a>,
}

/// One direction of a stream. It holds at most one message: 65,535 bytes and two.
#[derive(Debug, Default)]
pub struct Parser {
    /// The beginning of a message, with its length, that came with earlier input.
    partial: Vec<u8>,
    /// Bytes still to come of a message of which a part is missing.
    skip: usize,
    is_delivered: bool,
    is_lost: bool,
}

impl Parser {
    /// Reads the front of the input.
    pub fn step<'a>(&'a mut self, input: &'a [u8]) -> Step<'a> {
        if std::mem::take(&mut self.is_delivered) {
            // An idle connection keeps no buffer.
            self.partial = Vec::new();
        }
        if input.is_empty() {
            return Step { consumed: 0, event: Event::NeedMore };
        }
        if self.is_lost {
            return Step { consumed: input.len(), event: Event::Lost(input) };
        }
        if self.skip > 0 {
            let consumed = self.skip.min(input.len());
            self.skip -= consumed;
            let event = if self.skip == 0 { Event::Damaged } else { Event::NeedMore };
            return Step { consumed, event };
        }
        if self.partial.is_empty()
            && let Some((prefix, after)) = input.split_first_chunk::<PREFIX>()
            && let Some(message) = after.get(..usize::from(u16::from_be_bytes(*prefix)))
        {
            return Step { consumed: PREFIX + message.len(), event: Event::Message(message) };
        }
        let mut consumed = self.take(input, PREFIX);
        if let Some(prefix) = self.partial.first_chunk::<PREFIX>() {
            let end = PREFIX + usize::from(u16::from_be_bytes(*prefix));
            consumed += self.take(input.get(consumed..).unwrap_or_default(), end);
            if self.partial.len() == end {
                self.is_delivered = true;
                let message = self.partial.get(PREFIX..).unwrap_or_default();
                return Step { consumed, event: Event::Message(message) };
            }
        }
        Step { consumed, event: Event::NeedMore }
    }

    fn take(&mut self, input: &[u8], want: usize) -> usize {
        let more = want.saturating_sub(self.partial.len()).min(input.len());
        self.partial.extend_from_slice(input.get(..more).unwrap_or_default());
        more
    }

    /// `len` bytes are missing. If they are within one message, the next one is found behind it.
    pub fn gap(&mut self, len: u64) {
        if std::mem::take(&mut self.is_delivered) {
            self.partial = Vec::new();
        }
        let Ok(len) = usize::try_from(len) else { return self.lose() };
        let missing = match self.partial.first_chunk::<PREFIX>() {
            Some(prefix) => PREFIX + usize::from(u16::from_be_bytes(*prefix)) - self.partial.len(),
            None => self.skip,
        };
        if missing <= len && len > 0 {
            // Also where the message ends with the gap: the next length may be anywhere behind it.
            return self.lose();
        }
        self.partial = Vec::new();
        self.skip = missing - len;
    }

    fn lose(&mut self) {
        self.partial = Vec::new();
        (self.skip, self.is_lost) = (0, true);
    }

    /// Number of bytes of a message that is not complete.
    #[must_use]
    pub fn held_back(&self) -> usize {
        if self.is_delivered { 0 } else { self.partial.len() }
    }
}

/// Whether the first bytes of a direction are a message with its length before it. Ports need not be known: a whole message
/// has to be plausible to its last byte, and its second field of 16 bits is enough to exclude most other protocols.
#[must_use]
pub fn detect(bytes: &[u8]) -> Detection {
    let Some((prefix, after)) = bytes.split_first_chunk::<PREFIX>() else {
        return if bytes.is_empty() { Detection::NeedMore } else { may_begin(bytes) };
    };
    let len = usize::from(u16::from_be_bytes(*prefix));
    if len <= HEADER_LEN || len > MAX_DETECTED {
        return Detection::NoMatch;
    }
    if let Some(message) = after.get(..len) {
        let is_message = Message::parse(message).is_ok_and(|parsed| is_plausible(&parsed, message));
        return if is_message { Detection::Match } else { Detection::NoMatch };
    }
    // Id, flags, and the number of questions: 0 or 1.
    match after.get(2..6) {
        Some([flags, more, 0, 0 | 1]) if flags & 0x78 <= 0x30 && more & 0x40 == 0 => Detection::NeedMore,
        Some(_) => Detection::NoMatch,
        None => Detection::NeedMore,
    }
}

fn may_begin(bytes: &[u8]) -> Detection {
    match bytes.first() {
        Some(first) if usize::from(*first) << 8 <= MAX_DETECTED => Detection::NeedMore,
        _ => Detection::NoMatch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x03com\0\0\x01\0\x01";
        let mut stream = Vec::new();
        for message in [&query[..], b"", &[7; 300]] {
            stream.extend((message.len() as u16).to_be_bytes());
            stream.extend(message);
        }
        stream
    }

    fn read(parser: &mut Parser, mut rest: &[u8], messages: &mut Vec<Vec<u8>>) -> usize {
        let mut lost = 0;
        loop {
            let Step { consumed, event } = parser.step(rest);
            match event {
                Event::NeedMore if consumed == rest.len() => return lost,
                Event::Message(bytes) => messages.push(bytes.to_vec()),
                Event::Lost(bytes) => lost += bytes.len(),
                Event::NeedMore | Event::Damaged => {}
            }
            rest = &rest[consumed..];
        }
    }

    #[test]
    fn every_division_gives_the_same_messages() {
        let stream = stream();
        let mut whole = Vec::new();
        read(&mut Parser::default(), &stream, &mut whole);
        assert_eq!(whole.iter().map(Vec::len).collect::<Vec<_>>(), [23, 0, 300]);
        for size in 1..stream.len() {
            let (mut parser, mut messages) = (Parser::default(), Vec::new());
            stream.chunks(size).for_each(|piece| {
                read(&mut parser, piece, &mut messages);
            });
            assert_eq!(messages, whole, "{size}");
            assert_eq!(parser.held_back(), 0);
        }
    }

    #[test]
    fn goes_on_behind_a_gap_within_a_message() {
        let stream = stream();
        let (mut parser, mut messages) = (Parser::default(), Vec::new());
        read(&mut parser, &stream[..10], &mut messages);
        parser.gap(5);
        read(&mut parser, &stream[15..], &mut messages);
        assert_eq!(messages.iter().map(Vec::len).collect::<Vec<_>>(), [0, 300]);
        let (mut parser, mut messages) = (Parser::default(), Vec::new());
        read(&mut parser, &stream[..10], &mut messages);
        parser.gap(20);
        assert_eq!(read(&mut parser, &stream[30..], &mut messages), stream.len() - 30);
        assert!(messages.is_empty());
    }

    #[test]
    fn detects_a_message_and_nothing_else() {
        let stream = stream();
        for len in 0..25 {
            assert_eq!(detect(&stream[..len]), Detection::NeedMore, "{len}");
        }
        assert_eq!(detect(&stream), Detection::Match);
        for other in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
            b"PRI * HTTP/2.0",
            b"\0\x05abcde",
        ] {
            assert_eq!(detect(other), Detection::NoMatch, "{other:?}");
        }
    }
}
