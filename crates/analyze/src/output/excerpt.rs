//! Reads a few bytes of the capture file again, to be shown to people.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::safe_text::is_misleading;

/// Maximum number of excerpts: each reads the file again.
pub(crate) const MAX_EXCERPTS: usize = 2000;

/// Bytes in an excerpt.
pub(super) const EXCERPT: u64 = 64;

/// Reads excerpts of a capture file.
#[derive(Debug)]
pub(crate) struct Excerpts {
    file: Option<File>,
    left: usize,
}

impl Excerpts {
    /// Reads excerpts of this file. Standard input cannot be read again and has none, and in a compressed file the
    /// offsets are those of its contents.
    pub(crate) fn open(path: Option<&Path>) -> Self {
        Self { file: path.and_then(|path| File::open(path).ok()), left: MAX_EXCERPTS }
    }

    /// Returns the bytes at an offset as text where they are UTF-8, otherwise as `\xNN`.
    pub(crate) fn read(&mut self, offset: u64) -> Option<String> {
        let file = self.file.as_mut().filter(|_| self.left > 0)?;
        self.left -= 1;
        file.seek(SeekFrom::Start(offset)).ok()?;
        let mut bytes = Vec::new();
        file.take(EXCERPT).read_to_end(&mut bytes).ok()?;
        Some(escape(&bytes))
    }
}

/// Shows UTF-8 as text, even if the end cuts a character; shows other bytes one by one.
pub(super) fn escape(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    let mut out = String::with_capacity(bytes.len());
    let Some(text) = text else {
        bytes.iter().for_each(|byte| escape_byte(*byte, &mut out));
        return out;
    };
    for c in text.chars() {
        if c.is_ascii() || is_misleading(c) {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape_byte(byte, &mut out));
        } else {
            out.push(c);
        }
    }
    out
}

fn escape_byte(byte: u8, out: &mut String) {
    match byte {
        b'\\' => out.push_str("\\\\"),
        b' '..=b'~' => out.push(char::from(byte)),
        byte => out.push_str(&format!("\\x{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_control_characters_and_bytes_that_are_not_text() {
        assert_eq!(escape(b"a\x1b[31m\"\\\xec-"), r#"a\x1b[31m"\\\xec-"#);
        assert_eq!(escape("평문\u{202e}\u{1b}평".as_bytes()), r"평문\xe2\x80\xae\x1b평");
        assert_eq!(escape(&"평문".as_bytes()[..4]), "평", "the end cuts a character");
    }
}
