//! JSON whose text cannot mislead a terminal or a program that divides it into lines.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::safe_text::is_misleading;

/// Writes a value in one line. In strings, characters that a terminal would obey, that change the order of others or are
/// invisible, or that some programs take for the end of a line, are written as `\uNNNN`: for a reader of JSON the same text.
///
/// # Errors
///
/// `out` fails.
pub(crate) fn write(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Escaping)).map_err(io::Error::from)
}

struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| is_misleading(*c)) {
            let (before, after) = rest.split_at(at);
            out.write_all(before.as_bytes())?;
            for unit in found.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = after.strip_prefix(found).unwrap_or_default();
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misleading_characters_are_escapes_and_the_same_text() {
        let text = "a\u{9b}2J\u{202e}b\u{2028}\u{7f}\n\u{1b}[0m\"한글\\ 🙂\u{feff}";
        let mut out = Vec::new();
        write(&text, &mut out).expect("a vector");
        let json = String::from_utf8(out).expect("text");
        assert!(!json.contains(is_misleading), "{json}");
        assert!(json.contains("한글"));
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
    }
}
