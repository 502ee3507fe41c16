//! The rows as text.

use std::env;
use std::fmt::Write as _;

use textwrap::{Options, WordSplitter, wrap};

use super::{Row, State};

/// Columns of a terminal that does not say otherwise.
const COLUMNS: usize = 80;

/// Fewer columns would leave no room beside names and states.
const MIN_COLUMNS: usize = 50;

/// Width of the names; a longer one has a line of its own.
const NAME: usize = 13;

/// Width of the states.
const STATE: usize = 7;

/// The number of columns to use: the variable `COLUMNS`, or 80.
pub(super) fn columns() -> usize {
    env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(COLUMNS).max(MIN_COLUMNS)
}

/// The table, in at most `columns` columns, but for words that are longer.
pub(super) fn table(rows: &[Row], columns: usize) -> String {
    let indentation = " ".repeat(NAME + STATE + 4);
    let mut text = String::new();
    for row in rows {
        let state = match row.state {
            State::Fine => "ok",
            State::Refused => "refused",
            State::Missing => "missing",
            State::Note => "",
        };
        let mut name = row.what;
        if name.len() > NAME {
            let _ = writeln!(text, "{name}");
            name = "";
        }
        let first = format!("{name:<NAME$}  {state:<STATE$}  ");
        let remedies =
            row.remedy.iter().flat_map(|remedy| remedy.lines()).map(|line| format!("remedy: {line}"));
        let paragraphs = std::iter::once((first, row.detail.clone()))
            .chain(remedies.map(|remedy| (indentation.clone(), remedy)));
        for (first, paragraph) in paragraphs {
            let options = Options::new(columns)
                .break_words(false)
                .word_splitter(WordSplitter::NoHyphenation)
                .initial_indent(&first)
                .subsequent_indent(&indentation);
            for line in wrap(&paragraph, options) {
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
    }
    text
}
