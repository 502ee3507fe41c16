//! Captured text that is safe to show in any format.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Makes captured text safe to print: control characters, which a terminal would obey, and bidirectional overrides,
/// which would mislead the reader, become escapes.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_misleading(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether the character is a control character, changes the order of others, or is invisible.
pub(crate) fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns safe text, cut to so many columns.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    let text = safe(text);
    if text.width() <= columns {
        return text;
    }
    let mut width = 1;
    let fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width <= columns
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_hostile_text() {
        assert_eq!(safe("a\x1b[2Jb\u{202e}c\nd"), r"a\u{1b}[2Jb\u{202e}c\u{a}d");
        assert_eq!(safe("한글 🙂"), "한글 🙂");
    }

    #[test]
    fn counts_wide_characters_as_two_columns() {
        assert_eq!(shortened("한글한글", 5), "한글…");
        assert_eq!(shortened("abc", 5), "abc");
    }
}
