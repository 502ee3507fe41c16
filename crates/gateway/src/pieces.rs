//! Extracts pieces of the user's answer from a sandbox's stdout while the program writes it.
//!
//! Keeps at most the part of the output that does not make a piece yet: an incomplete character, a line end, or a line.

use serde_json::Value;

use crate::answer::{AnswerFormat, without_line_end};

/// Cuts one sandbox's stdout into pieces of the answer.
#[derive(Debug)]
pub enum Pieces {
    /// All of stdout is the answer.
    Text(TextPieces),
    /// The lines of stdout hold the pieces.
    Lines(LinePieces),
    /// The answer has no pieces: it is part of a document that is complete only at the end.
    None,
}

impl Pieces {
    /// The pieces of an answer in this format.
    pub fn of(format: &AnswerFormat) -> Self {
        match (&format.delta_pointer, &format.answer_pointer) {
            (Some(pointer), _) => Self::Lines(LinePieces { pointer: pointer.clone(), line: Vec::new() }),
            (None, None) => Self::Text(TextPieces::default()),
            (None, Some(_)) => Self::None,
        }
    }

    /// Takes the next bytes of stdout, and calls `each` with every piece that they complete. No piece is empty.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        let mut each = |piece: &str| {
            if !piece.is_empty() {
                each(piece);
            }
        };
        match self {
            Self::Text(text) => each(&text.push(bytes)),
            Self::Lines(lines) => lines.push(bytes, each),
            Self::None => (),
        }
    }
}

/// Pieces of plain text. All pieces together are the text that [`AnswerFormat::answer`] returns at the end.
#[derive(Debug, Default)]
pub struct TextPieces {
    /// The beginning of a character, or a line end, which is no part of the answer if nothing follows.
    held: Vec<u8>,
    /// The output is not UTF-8, so that there is no answer and no further piece.
    invalid: bool,
}

impl TextPieces {
    fn push(&mut self, bytes: &[u8]) -> String {
        if self.invalid {
            return String::new();
        }
        self.held.extend_from_slice(bytes);
        let text = match std::str::from_utf8(&self.held) {
            Ok(text) => without_line_end(text),
            Err(error) => {
                self.invalid = error.error_len().is_some();
                let valid = &self.held[..error.valid_up_to()];
                std::str::from_utf8(valid).unwrap_or_default()
            }
        };
        let text = text.to_owned();
        self.held.drain(..text.len());
        text
    }
}

/// Pieces in lines of JSON: the text at a pointer of each line.
#[derive(Debug)]
pub struct LinePieces {
    pointer: String,
    /// The beginning of a line.
    line: Vec<u8>,
}

impl LinePieces {
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                if let Some(piece) = self.piece() {
                    each(&piece);
                }
                self.line.clear();
            }
        }
    }

    /// The text at the pointer; `None` for a line that is not JSON or has no text there.
    fn piece(&self) -> Option<String> {
        let mut line: Value = serde_json::from_slice(&self.line).ok()?;
        match line.pointer_mut(&self.pointer)?.take() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Pieces {
        Pieces::of(&AnswerFormat::default())
    }

    fn lines() -> Pieces {
        Pieces::of(&AnswerFormat { delta_pointer: Some("/delta".into()), ..AnswerFormat::default() })
    }

    /// The pieces of `output` when it arrives in parts of `size` bytes.
    fn in_parts(mut pieces: Pieces, output: &[u8], size: usize) -> Vec<String> {
        output.chunks(size).flat_map(|part| push(&mut pieces, part)).collect()
    }

    fn push(pieces: &mut Pieces, bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        pieces.push(bytes, |piece| all.push(piece.to_owned()));
        assert!(all.iter().all(|piece| !piece.is_empty()));
        all
    }

    #[test]
    fn text_pieces_are_the_answer_however_it_is_cut() {
        let format = AnswerFormat::default();
        for output in [
            "hello",
            "안녕, 세계 🌍\n",
            "a\nb\r\nc\r\n",
            "a\r\r\n",
            "a\r",
            "\n\n\n",
            "\r\n",
            "",
            "e\u{301}\n ",
            "\u{0}\n\u{1b}[2J",
        ] {
            for size in 1..=output.len().max(1) {
                let all = in_parts(text(), output.as_bytes(), size).concat();
                assert_eq!(all, format.answer(output.as_bytes()).unwrap(), "{output:?} in parts of {size}");
            }
        }
    }

    #[test]
    fn a_piece_ends_at_a_character() {
        assert_eq!(in_parts(text(), "é안".as_bytes(), 1), ["é", "안"]);
        let mut pieces = text();
        assert_eq!(push(&mut pieces, b"a\xec\x95"), ["a"]);
        assert_eq!(push(&mut pieces, b"\x88b\n"), ["안b"]);
        assert_eq!(push(&mut pieces, b"c"), ["\nc"]);
    }

    #[test]
    fn no_piece_follows_invalid_text() {
        for size in 1..8 {
            assert_eq!(in_parts(text(), b"ab\xffcd\n", size).concat(), "ab", "in parts of {size}");
        }
        // A surrogate, an overlong form, and a character that ends too early.
        for output in [&b"a\xed\xa0\x80b"[..], b"a\xc0\x80b", b"a\xf0\x9f\x8cb"] {
            for size in 1..output.len() {
                assert_eq!(in_parts(text(), output, size).concat(), "a", "{output:?} in parts of {size}");
            }
        }
    }

    #[test]
    fn plain_text_is_held_for_three_bytes_at_most() {
        let mut pieces = text();
        for byte in "\r\n안🌍\r\n\r\n\u{10ffff}".repeat(100).into_bytes() {
            push(&mut pieces, &[byte]);
            let Pieces::Text(text) = &pieces else { unreachable!() };
            assert!(text.held.len() <= 3, "{:?}", text.held);
        }
    }

    #[test]
    fn a_line_has_its_piece_at_the_pointer() {
        let output = "{\"delta\":\"안\"}\n{\"delta\":\"\\n녕\"}\r\n{\"text\":\"안\\n녕\"}\n";
        for size in 1..=output.len() {
            assert_eq!(in_parts(lines(), output.as_bytes(), size).concat(), "안\n녕", "in parts of {size}");
        }
        for size in [1, output.len()] {
            assert_eq!(in_parts(lines(), output.as_bytes(), size), ["안", "\n녕"]);
        }
    }

    #[test]
    fn a_line_without_a_piece_is_passed_over() {
        let hostile = [
            b"Killed\n\n{}\n[\"delta\"]\n{\"delta\":1}\n{\"delta\":null}\n{\"delta\":{\"delta\":\"x\"}}\n"
                .to_vec(),
            b"{\"delta\":\"x\n\xff\n{\"delta\":\"\xff\"}\n{\"delta\":\"\\ud800\"}\n\0\n".to_vec(),
            [vec![b'['; 200_000], vec![b'\n']].concat(),
            [vec![b'\n'; 200_000]].concat(),
            [b"{\"delta\":\"x\"} ".to_vec(), vec![b'x'; 200_000], vec![b'\n']].concat(),
        ];
        for output in hostile {
            for size in [1, 7, 65_536] {
                let mut pieces = lines();
                let before: Vec<_> = output.chunks(size).flat_map(|part| push(&mut pieces, part)).collect();
                assert_eq!(before, [""; 0], "{:?}", &output[..output.len().min(80)]);
                assert_eq!(push(&mut pieces, b"{\"delta\":\"after\"}\n"), ["after"]);
            }
        }
    }

    #[test]
    fn a_line_without_end_is_no_piece() {
        let mut pieces = lines();
        assert_eq!(push(&mut pieces, b"{\"delta\":\"a\"}"), [""; 0]);
        assert_eq!(push(&mut pieces, b"\n{\"delta\":\"\"}\n"), ["a"]);
        assert_eq!(push(&mut pieces, b"{\"del"), [""; 0]);
    }

    #[test]
    fn long_lines_are_read_in_linear_time() {
        let long = "x".repeat(700_000);
        let output = format!("{{\"delta\":\"{long}\"}}\n");
        assert_eq!(in_parts(lines(), output.as_bytes(), 1), [long]);
    }

    #[test]
    fn a_document_has_no_pieces() {
        let format = AnswerFormat { answer_pointer: Some("/text".into()), ..AnswerFormat::default() };
        assert_eq!(in_parts(Pieces::of(&format), b"{\"text\":\"a\"}\n", 1), [""; 0]);
    }
}
