//! Makes captured text safe to show. HTML and Markdown escape their own metacharacters; this module escapes what they
//! let through: characters that move, hide or reorder text.

use std::fmt::Write as _;

/// `text` in one line: control, invisible and direction-changing characters as `\n`, `\t` or `\u{202e}`.
#[must_use]
pub(crate) fn line(text: &str) -> String {
    shown(text, |_| false)
}

/// Like [`line()`], but keeps line ends and tabs: for blocks of code.
#[must_use]
pub(crate) fn block(text: &str) -> String {
    shown(text, |character| matches!(character, '\n' | '\t'))
}

/// At most `limit` characters of `text`, in one line, with an ellipsis where something was left out.
#[must_use]
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => line(text),
        Some((end, _)) => format!("{}…", line(&text[..end])),
    }
}

/// `text` with emoji, and what joins and varies them, as `\u{1f980}`.
#[must_use]
pub(crate) fn without_emoji(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}' => {
                out.extend(character.escape_unicode());
            }
            character => out.push(character),
        }
    }
    out
}

/// Whether this character is invisible, or changes where a reader sees others.
///
/// These are control characters, the "Trojan Source" set (CVE-2021-42574), zero-width characters, blank fillers, and
/// Unicode's tags. The zero-width joiner U+200D and variation selectors are not among them, because emoji need them.
#[must_use]
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

fn shown(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            character if stays(character) => out.push(character),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            character if is_hidden(character) => {
                write!(out, "\\u{{{:x}}}", u32::from(character)).expect("a string can be written");
            }
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_control_and_bidirectional_characters() {
        assert_eq!(line("a\u{1b}[31mb\r\n\u{202e}c\u{9b}"), "a\\u{1b}[31mb\\r\\n\\u{202e}c\\u{9b}");
        assert_eq!(line("\u{e0041}\u{3164}\u{200b}\u{feff}"), "\\u{e0041}\\u{3164}\\u{200b}\\u{feff}");
    }

    #[test]
    fn keeps_printable_text() {
        let text = "한국어 \"quoted\" 👩‍💻 \\ 'x' <b>";
        assert_eq!(line(text), text);
        assert_eq!(block("a\n\tb\r"), "a\n\tb\\r");
    }

    #[test]
    fn shortens_at_a_character_boundary() {
        assert_eq!(shortened("한국어", 3), "한국어");
        assert_eq!(shortened("한국어", 2), "한국…");
    }

    #[test]
    fn emoji_become_numbers() {
        assert_eq!(without_emoji("말 ✓ 🦀 👩\u{200d}🔬"), r"말 ✓ \u{1f980} \u{1f469}\u{200d}\u{1f52c}");
    }
}
