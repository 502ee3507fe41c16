//! Server-sent events in a body of `text/event-stream` (WHATWG HTML §9.2).
//!
//! Input may be divided anywhere. Each event carries its range in the body. [`Parser::finish`] returns an event that no empty
//! line ends: browsers drop it, but it can be read on the wire.

use std::ops::Range;

/// Longest line that is read, and most data of one event, in bytes; the longest JSON body that is read. The rest is left out.
pub const MAX_EVENT: usize = 1 << 20;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The bytes of the body, from its first line to the empty line that ends it.
    pub range: Range<u64>,
    /// Its type; empty if the stream names none.
    pub event: Vec<u8>,
    /// The lines of its data, with line feeds between them.
    pub data: Vec<u8>,
    /// Its id; `None` if the stream names none.
    pub id: Option<Vec<u8>>,
    /// Whether an empty line ends it.
    pub is_complete: bool,
    /// Whether it is longer than [`MAX_EVENT`], or a gap removed a part of it.
    pub is_cut: bool,
}

/// One body.
#[derive(Debug, Default)]
pub struct Parser {
    /// Offset of the next byte.
    position: u64,
    line: Vec<u8>,
    /// Where the current event begins.
    start: Option<u64>,
    message: Message,
    has_data: bool,
    /// Whether the last byte was a carriage return, so that a line feed belongs to it.
    after_return: bool,
    has_line: bool,
}

impl Parser {
    /// Reads input up to the end of the next event: number of bytes consumed, and the event. Call again with the rest until
    /// there is none.
    pub fn step(&mut self, input: &[u8]) -> (usize, Option<Message>) {
        let mut consumed = 0;
        while let Some(rest) = input.get(consumed..).filter(|rest| !rest.is_empty()) {
            if std::mem::take(&mut self.after_return) && rest.first() == Some(&b'\n') {
                self.position += 1;
                consumed += 1;
                continue;
            }
            self.start.get_or_insert(self.position);
            let end = memchr::memchr2(b'\r', b'\n', rest);
            self.extend(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
            let taken = end.map_or(rest.len(), |end| end + 1);
            consumed += taken;
            self.position += taken as u64;
            if let Some(end) = end {
                self.after_return = rest.get(end) == Some(&b'\r');
                if let Some(message) = self.end_line() {
                    return (consumed, Some(message));
                }
            }
        }
        (consumed, None)
    }

    /// `len` bytes of the body are missing.
    pub fn gap(&mut self, len: u64) {
        self.position += len;
        self.message.is_cut = true;
        self.after_return = false;
    }

    /// Ends the body: the event that no empty line ends, if there is one.
    pub fn finish(&mut self) -> Option<Message> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.dispatch(false)
    }

    /// Offset of the first byte of the current event, or of the next byte between events.
    #[must_use]
    pub fn pending_from(&self) -> u64 {
        self.start.unwrap_or(self.position)
    }

    /// Number of bytes kept of the current event.
    #[must_use]
    pub fn kept(&self) -> usize {
        let Message { event, data, id, .. } = &self.message;
        self.line.len() + event.len() + data.len() + id.as_ref().map_or(0, Vec::len)
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = MAX_EVENT.saturating_sub(self.line.len()).min(bytes.len());
        self.message.is_cut |= room < bytes.len();
        self.line.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    fn end_line(&mut self) -> Option<Message> {
        let mut line = std::mem::take(&mut self.line);
        // A byte order mark at the beginning of the stream is ignored.
        let bom = if self.has_line { &[][..] } else { b"\xef\xbb\xbf" };
        self.has_line = true;
        let text = line.strip_prefix(bom).unwrap_or(&line);
        if text.is_empty() {
            return self.dispatch(true);
        }
        let colon = memchr::memchr(b':', text).unwrap_or(text.len());
        let (name, value) = text.split_at_checked(colon).unwrap_or((text, &[]));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => self.message.event = value.to_vec(),
            b"id" if !value.contains(&0) => self.message.id = Some(value.to_vec()),
            b"data" => {
                let room = MAX_EVENT.saturating_sub(self.message.data.len() + 1);
                if std::mem::replace(&mut self.has_data, true) && room > 0 {
                    self.message.data.push(b'\n');
                }
                self.message.is_cut |= value.len() > room;
                self.message.data.extend_from_slice(value.get(..room).unwrap_or(value));
            }
            // A comment, the time to reconnect, or an unknown field.
            _ => {}
        }
        line.clear();
        self.line = line;
        None
    }

    /// Ends the current event. Without data there is none.
    fn dispatch(&mut self, is_complete: bool) -> Option<Message> {
        let start = self.start.take().unwrap_or(self.position);
        let message = std::mem::take(&mut self.message);
        let has_data = std::mem::take(&mut self.has_data);
        has_data.then_some(Message { range: start..self.position, is_complete, ..message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Vec<Message> {
        let mut parser = Parser::default();
        let mut seen = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (consumed, message) = parser.step(rest);
                rest = &rest[consumed..];
                seen.extend(message);
            }
        }
        seen.extend(parser.finish());
        seen
    }

    fn texts(body: &str) -> Vec<String> {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let line = |message: &Message| {
            let Range { start, end } = message.range;
            format!("{start}..{end} {}={}", text(&message.event), text(&message.data))
        };
        read(&[body.as_bytes()]).iter().map(line).collect()
    }

    /// The examples of WHATWG HTML §9.2.6.
    #[test]
    fn reads_the_examples_of_the_standard() {
        assert_eq!(texts("data: YHOO\ndata: +2\ndata: 10\n\n"), ["0..30 =YHOO\\n+2\\n10"]);
        assert_eq!(
            texts(
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n"
            ),
            ["15..40 =first event", "40..62 =second event", "62..81 = third event"]
        );
        assert_eq!(texts("data\n\ndata\ndata\n\ndata:"), ["0..6 =", "6..17 =\\n", "17..22 ="]);
        assert_eq!(texts("data:test\n\ndata: test\n\n"), ["0..11 =test", "11..23 =test"]);
    }

    #[test]
    fn reads_types_and_every_end_of_line() {
        assert_eq!(texts("\u{feff}event: message\r\ndata: {}\r\n\r\n"), ["0..30 message={}"]);
        assert_eq!(texts("event: a\rdata: 1\r\rdata: 2\n\n"), ["0..18 a=1", "18..27 =2"]);
        assert_eq!(texts("event: no data\n\ndata: x\n\n"), ["16..25 =x"]);
    }

    #[test]
    fn bounds_an_event() {
        let body = [b"data: ".as_slice(), &vec![b'x'; 2 * MAX_EVENT], b"\n\ndata: next\n\n"].concat();
        let seen = read(&[&body]);
        assert!(seen[0].is_cut && seen[0].data.len() <= MAX_EVENT);
        assert_eq!((seen[1].data.as_slice(), seen[1].is_cut), (&b"next"[..], false));
        let many = b"data: 0123456789\n".repeat(MAX_EVENT / 8);
        assert!(read(&[&many])[0].data.len() <= MAX_EVENT);
    }

    proptest! {
        #[test]
        fn any_division_gives_the_same_events(
            body in "(data: [a-c]{0,3}|event: x|id: 1|: c|){0,1}((\n|\r|\r\n)(data: [a-c]{0,3}|event: x|)){0,12}",
            size in 1usize..9,
        ) {
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            prop_assert_eq!(read(&pieces), read(&[body.as_bytes()]));
        }
    }
}
