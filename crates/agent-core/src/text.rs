//! Escapes untrusted text for terminals and logs.

/// Escapes control characters and invisible or direction-changing ones as `\u{…}`. Shows at most `limit` characters of the
/// original, and adds its length in bytes if it is longer.
pub fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(limit) + 32);
    for (count, character) in text.chars().enumerate() {
        if count == limit {
            shown.push_str(&format!("… ({} bytes)", text.len()));
            break;
        }
        if character.is_control() || is_invisible(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Like [`printable`], for bytes that may not be UTF-8.
pub fn printable_bytes(bytes: &[u8], limit: usize) -> String {
    printable(&String::from_utf8_lossy(bytes), limit)
}

/// Characters that hide text or turn its direction (the "Trojan Source" set, and the zero-width ones). The zero-width
/// joiner U+200D is allowed: emoji contain it.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{061c}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_terminal_control_sequences() {
        assert_eq!(printable("a\u{1b}[31mb\r\n\u{202e}c\u{9b}", 99), "a\\u{1b}[31mb\\r\\n\\u{202e}c\\u{9b}");
    }

    #[test]
    fn leaves_readable_text_unchanged() {
        let text = "한국어 \"quoted\" 👩‍💻 \\ 'x'";
        assert_eq!(printable(text, 99), text);
    }

    #[test]
    fn cuts_long_text_at_a_character() {
        assert_eq!(printable("한국어", 3), "한국어");
        assert_eq!(printable("한국어", 2), "한국… (9 bytes)");
    }
}
