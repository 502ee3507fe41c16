//! The lines of newline-delimited JSON in a body (`application/x-ndjson`, `application/jsonl`).
//!
//! Input may be divided anywhere. Each line carries its range in the body. Whether a line is JSON is the caller's question.

use std::ops::Range;

/// Longest line that is kept, in bytes: the longest JSON body that is read. The rest of a longer one is left out.
pub const MAX_LINE: usize = 1 << 20;

/// A line with something in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The bytes of the body, without the end of the line.
    pub range: Range<u64>,
    /// Its text, without white space around it.
    pub text: Vec<u8>,
    /// Whether it is longer than [`MAX_LINE`], or a gap removed a part of it.
    pub is_cut: bool,
}

/// One body.
#[derive(Debug, Default)]
pub struct Parser {
    /// Offset of the next byte.
    position: u64,
    line: Line,
}

impl Parser {
    /// Reads input up to the end of the next line that is not blank: number of bytes consumed, and the line. Call again with
    /// the rest until there is none.
    pub fn step(&mut self, input: &[u8]) -> (usize, Option<Line>) {
        let mut consumed = 0;
        while let Some(rest) = input.get(consumed..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest);
            let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let room = MAX_LINE.saturating_sub(self.line.text.len()).min(text.len());
            self.line.is_cut |= room < text.len();
            self.line.text.extend_from_slice(text.get(..room).unwrap_or_default());
            self.position += text.len() as u64;
            consumed += text.len();
            if end.is_some() {
                let line = self.end_line();
                consumed += 1;
                self.position += 1;
                self.line.range.start = self.position;
                if line.is_some() {
                    return (consumed, line);
                }
            }
        }
        (consumed, None)
    }

    /// `len` bytes of the body are missing.
    pub fn gap(&mut self, len: u64) {
        self.position += len;
        self.line.is_cut = true;
    }

    /// Ends the body: the line that no line feed ends, if there is one.
    pub fn finish(&mut self) -> Option<Line> {
        self.end_line()
    }

    /// Offset of the first byte of the current line.
    #[must_use]
    pub fn pending_from(&self) -> u64 {
        self.line.range.start
    }

    /// Number of bytes kept of the current line.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.line.text.len()
    }

    fn end_line(&mut self) -> Option<Line> {
        let mut line = std::mem::take(&mut self.line);
        line.range.end = self.position;
        let text = line.text.trim_ascii();
        if text.is_empty() {
            return None;
        }
        if text.len() < line.text.len() {
            line.text = text.to_vec();
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<Line> {
        let mut parser = Parser::default();
        let mut seen = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (consumed, line) = parser.step(rest);
                rest = &rest[consumed..];
                seen.extend(line);
            }
        }
        seen.extend(parser.finish());
        seen
    }

    #[test]
    fn reads_lines_in_any_division() {
        let body = b"{\"a\":1}\r\n\n  {\"b\":2}\n{\"c\":3}";
        let whole = read(&[body]);
        let seen: Vec<_> = whole
            .iter()
            .map(|line| (line.range.clone(), String::from_utf8_lossy(&line.text).into_owned()))
            .collect();
        assert_eq!(
            seen,
            [(0..8, "{\"a\":1}".into()), (10..19, "{\"b\":2}".into()), (20..27, "{\"c\":3}".to_owned())]
        );
        for at in 0..body.len() {
            let (head, tail) = body.split_at(at);
            assert_eq!(read(&[head, tail]), whole, "split at {at}");
        }
    }

    #[test]
    fn bounds_a_line() {
        let seen = read(&[&vec![b'x'; MAX_LINE + 1], b"\nnext"]);
        assert!(seen[0].is_cut && seen[0].text.len() == MAX_LINE);
        assert!(!seen[1].is_cut);
    }
}
