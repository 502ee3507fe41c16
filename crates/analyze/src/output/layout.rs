//! Fits text into the columns of a terminal.

use std::env;

use textwrap::core::display_width;
use textwrap::{Options, WordSplitter, wrap};
use unicode_width::UnicodeWidthChar;

/// Columns of a terminal that does not say otherwise.
pub(crate) const COLUMNS: usize = 80;

/// Fewer columns would leave no room beside names and marks.
const MIN_COLUMNS: usize = 60;

/// Columns by which a continued line is further indented, if no tab says where it begins.
const HANG: usize = 2;

/// The number of columns to use: the variable `COLUMNS`, or 80.
pub(crate) fn columns() -> usize {
    env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(COLUMNS).max(MIN_COLUMNS)
}

/// Breaks the lines that are longer than so many columns. A tab in a line, which is removed, is where its continuation begins.
/// Terminal styles have no width.
pub(crate) fn fold(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let (head, rest) = line.split_once('\t').unwrap_or_else(|| {
            let (spaces, rest) = line.split_at(line.len() - line.trim_start_matches(' ').len());
            (spaces, rest)
        });
        let has_mark = line.contains('\t');
        if display_width(head) + display_width(rest) <= columns {
            out.extend([head, rest, "\n"]);
            continue;
        }
        let indentation = " ".repeat(display_width(head) + if has_mark { 0 } else { HANG });
        let options = Options::new(columns)
            .word_splitter(WordSplitter::NoHyphenation)
            .initial_indent(head)
            .subsequent_indent(&indentation);
        for line in wrap(rest, options) {
            out.extend([line.trim_end(), "\n"]);
        }
    }
    out
}

/// Cuts text in the middle to so many columns: both ends of a path say what it is.
pub(crate) fn middle(text: &str, columns: usize) -> String {
    if display_width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let start = taken(text.chars(), room / 3);
    let end = taken(text.chars().rev(), room - display_width(&start));
    start + "…" + &end.chars().rev().collect::<String>()
}

/// As many characters as fit into so many columns.
fn taken(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut width = 0;
    characters
        .take_while(|c| {
            width += c.width().unwrap_or(0);
            width <= columns
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continues_a_line_where_its_tab_says() {
        assert_eq!(fold("  a  \tone two three\n", 11), "  a  one\n     two\n     three\n");
        assert_eq!(fold("  one two three\n", 11), "  one two\n    three\n");
        assert_eq!(fold("  a  \tone two\nb\n", 80), "  a  one two\nb\n");
    }

    #[test]
    fn styles_have_no_width_and_wide_characters_have_two() {
        assert_eq!(fold("\u{1b}[1mone\u{1b}[0m two", 7), "\u{1b}[1mone\u{1b}[0m two\n");
        assert_eq!(fold("한글 한글 한글", 9), "한글 한글\n  한글\n");
        assert!(fold(&"x".repeat(200), 80).lines().all(|line| display_width(line) <= 80));
    }

    #[test]
    fn a_path_keeps_both_ends() {
        assert_eq!(middle("/home/somewhere/far/http.pcap", 16), "/home…/http.pcap");
        assert_eq!(middle("http.pcap", 16), "http.pcap");
        assert_eq!(display_width(&middle("한글한글한글한글", 8)), 7);
    }
}
