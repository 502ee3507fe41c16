//! The report in GitHub's Markdown, without HTML; figures are separate files.
//!
//! Captured text appears only in code spans and code blocks. Their delimiters are longer than any run of backticks
//! inside, so captured text cannot become markup.

use std::fmt::Write as _;

use crate::document::exhibit::{HexRow, HexView, Part, Piece, ROW, StreamView, printable};
use crate::document::line::{Inline, Line};
use crate::document::{Block, Document, Rank, Section, Table};
use crate::i18n::Lang;
use crate::visible;

/// The whole document. It refers to figures as `figures/NAME.svg`.
pub(crate) fn document(document: &Document) -> String {
    let lang = document.lang;
    let mut out = Writer { out: String::new() };
    out.paragraph(&format!("# {}", all_escaped(&document.title)));
    for (name, value) in &document.about {
        out.line(&format!("- {name}: {}", all_escaped(value)));
    }
    out.line("");
    out.line(&format!("> **{}: {}**", lang.result_at_a_glance(), escaped(document.headline)));
    for summary in &document.summary {
        out.line(">");
        out.line(&format!("> {}", line(summary)));
    }
    out.line("");
    out.paragraph(&format!("## {}", lang.contents()));
    for section in &document.sections {
        let indent = if section.rank == Rank::Part { "  " } else { "" };
        let heading = heading(section, lang);
        out.line(&format!("{indent}- [{}](#{})", all_escaped(&heading), slug(&heading)));
    }
    out.line("");
    for section in &document.sections {
        let level = if section.rank == Rank::Part { "###" } else { "##" };
        out.paragraph(&format!("{level} {}", all_escaped(&heading(section, lang))));
        for block in &section.blocks {
            out.block(block, lang);
        }
    }
    out.out.truncate(out.out.trim_end().len());
    out.out.push('\n');
    out.out
}

/// The heading with its number.
fn heading(section: &Section, lang: Lang) -> String {
    let (number, title) = (&section.number, &section.title);
    match section.rank {
        Rank::Chapter => format!("{number}. {title}"),
        Rank::Part => format!("{number} {title}"),
        Rank::Appendix => format!("{} {number}. {title}", lang.appendix()),
    }
}

/// GitHub's anchor for a heading: lower case, without punctuation, with hyphens for spaces.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|kept| kept.is_alphanumeric() || matches!(kept, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|kept| if kept == ' ' { '-' } else { kept }).collect()
}

struct Writer {
    out: String,
}

impl Writer {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        self.line(text);
        self.line("");
    }

    fn block(&mut self, block: &Block, lang: Lang) {
        match block {
            Block::Paragraph(text) => self.paragraph(&line(text)),
            Block::List { ordered, items } => {
                for (index, item) in items.iter().enumerate() {
                    let bullet = if *ordered { format!("{}.", index + 1) } else { "-".to_owned() };
                    self.line(&format!("{bullet} {}", line(item)));
                }
                self.line("");
            }
            Block::Table(table) => self.table(table),
            Block::Code(code) => {
                if !code.source.0.is_empty() {
                    self.paragraph(&format!("{}:", line(&code.source)));
                }
                self.fenced(code.language, &code.text);
            }
            Block::Figures(figures) => {
                for figure in figures {
                    let alt = all_escaped(&figure.alt);
                    self.paragraph(&format!("![{alt}](figures/{}.svg)", figure.name));
                    self.paragraph(&format!("↑ {}", line(&figure.caption)));
                }
            }
            Block::Callout { title, lines, .. } => {
                self.line(&format!("> **{}**", escaped(title)));
                for text in lines {
                    self.line(">");
                    self.line(&format!("> {}", line(text)));
                }
                self.line("");
            }
            Block::Streams(views) => views.iter().for_each(|view| self.stream(view, lang)),
            Block::Hex(views) => views.iter().for_each(|view| self.hex(view, lang)),
            Block::Entries(entries) => {
                for entry in entries {
                    // A heading, because only headings can be targets of links.
                    self.paragraph(&format!("#### {}", entry.id));
                    let facts = entry.facts.iter().filter(|(_, fact)| !fact.0.is_empty());
                    let facts: Vec<String> =
                        facts.map(|(name, fact)| format!("{name}: {}", line(fact))).collect();
                    self.paragraph(&facts.join(" · "));
                }
            }
        }
    }

    fn table(&mut self, table: &Table) {
        self.paragraph(&line(&table.caption));
        let cells = |cells: &mut dyn Iterator<Item = &Line>| {
            // A bar ends a cell even within code, so it is escaped there as well.
            let cells: Vec<String> = cells.map(|cell| bars_escaped(&line(cell))).collect();
            format!("| {} |", cells.join(" | "))
        };
        self.line(&cells(&mut table.columns.iter().map(|column| &column.title)));
        let rules = table.columns.iter().map(|column| if column.is_number { "---:" } else { "---" });
        self.line(&format!("| {} |", rules.collect::<Vec<_>>().join(" | ")));
        for row in &table.rows {
            self.line(&cells(&mut row.iter()));
        }
        self.line("");
        if let Some(note) = &table.note {
            self.paragraph(&line(note));
        }
    }

    fn stream(&mut self, view: &StreamView, lang: Lang) {
        let readable = if view.is_encrypted { lang.needs_key() } else { lang.readable_without_key() };
        self.paragraph(&format!(
            "{}: {} {}, {readable}",
            code_span(&view.capture),
            lang.follow_stream(),
            view.stream
        ));
        for turn in &view.turns {
            let direction = lang.direction(turn.direction);
            self.paragraph(&format!(
                "{direction}, {}, {} {}:",
                lang.bytes(turn.bytes),
                lang.in_frames(turn.frame_count),
                line(&turn.frames)
            ));
            let text: String = turn
                .pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) | Piece::Marked(text, _) => text.clone(),
                    Piece::Omitted(bytes) => format!("\n… {} …\n", lang.bytes(*bytes)),
                })
                .collect();
            self.fenced("", &folded(&text));
            if let Some(opened) = &turn.opened {
                self.paragraph(&format!("{}:", lang.opened_record(opened.wire_bytes)));
                self.fenced("", &folded(&opened.text));
            }
        }
        let note = if view.is_encrypted { format!(" {}.", lang.captured_text_note()) } else { String::new() };
        self.paragraph(&format!("{}{note}", line(&view.note)));
    }

    fn hex(&mut self, view: &HexView, lang: Lang) {
        self.paragraph(&format!("{}: {}", code_span(&view.capture), line(&view.title)));
        let mut text = String::new();
        for row in &view.rows {
            match row {
                HexRow::Omitted(bytes) => writeln!(text, "      … {} …", lang.bytes(*bytes)),
                HexRow::Bytes { offset, bytes } => writeln!(text, "{offset:04x}  {}", hex_row(bytes)),
            }
            .expect("a string can be written");
        }
        self.fenced("", text.trim_end());
    }

    fn fenced(&mut self, language: &str, text: &str) {
        let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
        self.line(&format!("{fence}{language}"));
        self.line(&visible::block(text));
        self.paragraph(&fence);
    }
}

/// A row of a hex dump: bytes, with marked ones in brackets, and characters.
fn hex_row(bytes: &[(u8, Part)]) -> String {
    let mut digits = String::new();
    let mut before = Part::Payload;
    for (index, (byte, part)) in bytes.iter().enumerate() {
        let begins = *part == Part::Marked && (index == 0 || before != Part::Marked);
        let ended = *part != Part::Marked && before == Part::Marked && index > 0;
        digits.push(if begins {
            '['
        } else if ended {
            ']'
        } else {
            ' '
        });
        write!(digits, "{byte:02x}").expect("a string can be written");
        before = *part;
    }
    digits.push(if before == Part::Marked { ']' } else { ' ' });
    let characters: String = bytes.iter().map(|(byte, _)| printable(*byte)).collect();
    format!("{digits:<width$}  {characters}", width = 3 * ROW + 1)
}

/// Breaks long lines of a stream, so that they fit on a page.
fn folded(text: &str) -> String {
    const WIDTH: usize = 100;
    let mut out = String::with_capacity(text.len() + text.len() / WIDTH);
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        for (index, character) in line.chars().enumerate() {
            if index > 0 && index % WIDTH == 0 {
                out.push('\n');
            }
            out.push(character);
        }
    }
    out
}

fn line(line: &Line) -> String {
    let mut out = String::new();
    for piece in &line.0 {
        match piece {
            Inline::Text(text) => out += &escaped(text),
            Inline::Strong(text) => write!(out, "**{}**", escaped(text)).expect("a string can be written"),
            Inline::Code(text) | Inline::Captured(text) | Inline::Quoted(text) => out += &code_span(text),
            // A text by now.
            Inline::Section(_) => {}
            Inline::Link { text, to } => {
                write!(out, "[{}](#{to})", escaped(text)).expect("a string can be written");
            }
            Inline::Level { text, .. } => out += &escaped(text),
            Inline::Verdict { text, .. } => {
                write!(out, "**{}**", escaped(text)).expect("a string can be written");
            }
            Inline::Passed { passed, text } => {
                let sign = if *passed { '✓' } else { '✗' };
                write!(out, "{sign} {}", escaped(text)).expect("a string can be written");
            }
        }
    }
    out
}

/// Any text as a code span, delimited by more backticks than the text has in a row (CommonMark §6.1).
fn code_span(text: &str) -> String {
    let text = visible::line(text);
    if text.trim().is_empty() {
        return format!("`\"{text}\"`");
    }
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    let is_touching =
        text.starts_with('`') || text.ends_with('`') || (text.starts_with(' ') && text.ends_with(' '));
    let space = if is_touching { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Escapes the characters that are markup within a line: for the report's own words.
fn escaped(text: &str) -> String {
    with_backslashes(text, |character| {
        matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '$' | '|')
    })
}

/// Like [`escaped`], and also escapes `#` and `!`: for text from outside.
fn all_escaped(text: &str) -> String {
    let text = escaped(text);
    text.replace('#', "\\#").replace('!', "\\!")
}

fn with_backslashes(text: &str, is_markup: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in visible::line(text).chars() {
        if is_markup(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// Escapes the bars that are not yet escaped, for a cell of a table (GFM §4.10).
fn bars_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for character in text.chars() {
        if character == '|' && before != '\\' {
            out.push('\\');
        }
        out.push(character);
        before = character;
    }
    out
}

fn longest_run(text: &str, wanted: char) -> usize {
    text.split(|character| character != wanted).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::line::{captured, line as text};

    #[test]
    fn captured_text_cannot_leave_its_code_span() {
        let span = |text: &str| line(&text![captured(text)]);
        assert_eq!(span("<script>alert(1)</script>"), "`<script>alert(1)</script>`");
        assert_eq!(span("a`b"), "``a`b``");
        assert_eq!(span("`a``"), "``` `a`` ```");
        assert_eq!(span("x\u{202e}y\u{1b}[31m\n# z"), "`x\\u{202e}y\\u{1b}[31m\\n# z`");
        assert_eq!(span(" a "), "`  a  `");
        assert_eq!([span(""), span(" ")], ["`\"\"`", "`\" \"`"]);
    }

    #[test]
    fn own_words_are_escaped() {
        assert_eq!(line(&text!["a*b_c <d> [e](f) & g|h"]), "a\\*b\\_c \\<d\\> \\[e\\](f) \\& g\\|h");
        assert_eq!(all_escaped("# 1. <b>@x</b>"), "\\# 1. \\<b\\>@x\\</b\\>");
    }

    #[test]
    fn bars_in_cells_are_escaped_once() {
        assert_eq!(bars_escaped("a|b `c|d` e\\|f"), "a\\|b `c\\|d` e\\|f");
    }

    #[test]
    fn fence_is_longer_than_any_run_of_backticks_inside() {
        let mut document = Writer { out: String::new() };
        document.fenced("json", "a\n````\nb\u{1b}");
        assert_eq!(document.out, "`````json\na\n````\nb\\u{1b}\n`````\n\n");
    }

    #[test]
    fn anchors_are_those_of_github() {
        assert_eq!(slug("6.3 What TLS still shows"), "63-what-tls-still-shows");
        assert_eq!(slug("1. 실습 목표"), "1-실습-목표");
        assert_eq!(slug("Appendix B. Checking it by hand"), "appendix-b-checking-it-by-hand");
    }

    #[test]
    fn marked_bytes_are_in_brackets() {
        let bytes = [(b'a', Part::Header), (b'b', Part::Marked), (b'c', Part::Marked), (0, Part::Payload)];
        assert_eq!(hex_row(&bytes).trim_start(), format!("61[62 63]00{}  abc·", " ".repeat(37)).as_str());
    }
}
