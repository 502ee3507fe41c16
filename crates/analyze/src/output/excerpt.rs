//! A few bytes of the capture file, for people.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::output::console;

/// Strings whose first place is read again from the file for an excerpt.
pub(crate) const MAX_EXCERPTS: usize = 2000;

/// Bytes of an excerpt.
const EXCERPT: u64 = 64;

/// Reads wire bytes again, for people.
#[derive(Debug)]
pub(crate) struct Excerpts {
    file: Option<File>,
    left: usize,
}

impl Excerpts {
    /// Excerpts of this file; of standard input there are none.
    pub(crate) fn open(path: Option<&Path>) -> Self {
        Self { file: path.and_then(|path| File::open(path).ok()), left: MAX_EXCERPTS }
    }

    /// The bytes at an offset; what is not printable ASCII as `\xNN`.
    pub(crate) fn read(&mut self, offset: u64) -> Option<String> {
        let file = self.file.as_mut().filter(|_| self.left > 0)?;
        self.left -= 1;
        file.seek(SeekFrom::Start(offset)).ok()?;
        let mut bytes = Vec::new();
        file.take(EXCERPT).read_to_end(&mut bytes).ok()?;
        Some(escape(&bytes))
    }
}

/// Text where the bytes are text, apart from a character that the end cuts; else byte by byte.
fn escape(bytes: &[u8]) -> String {
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
        if c.is_ascii() || console::is_misleading(c) {
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
    fn excerpts_show_nothing_hostile() {
        assert_eq!(escape(b"a\x1b[31m\"\\\xec-"), r#"a\x1b[31m"\\\xec-"#);
        assert_eq!(escape("평문\u{202e}\u{1b}평".as_bytes()), r"평문\xe2\x80\xae\x1b평");
        assert_eq!(escape(&"평문".as_bytes()[..4]), "평", "the end cuts a character");
    }
}
