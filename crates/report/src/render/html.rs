//! One page of HTML that needs nothing but itself: no script, style, font or picture from elsewhere, which its
//! Content-Security-Policy makes certain. Templates escape whatever they are given; what is marked as safe in them was
//! made here, by other templates or by [`crate::figure`].

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exposure_schema::{Direction, Level, Verdict};
use sha2::{Digest as _, Sha256};

use crate::document::exhibit::{HexRow, HexView, Mark, Part, ROW, printable};
use crate::document::line::{Inline, Line};
use crate::document::{Block, Document, Section, Tone, format};
use crate::i18n::Lang;
use crate::render::html;
use crate::visible;

/// Rows from which on a table scrolls within a box of its own.
pub(crate) const TALL: usize = 24;

/// Rows up to which a table is not divided between two pages in print.
pub(crate) const SMALL: usize = 14;

/// Bytes of code that a table does not break: a path or an id is read as one.
pub(crate) const SHORT: usize = 32;

const STYLE: &str =
    concat!(include_str!("../../templates/palette.css"), include_str!("../../templates/page.css"));
const FIGURES: &str = include_str!("../../templates/figure.css");
const SCRIPT: &str = include_str!("../../templates/page.js");

/// The whole page, for a screen.
pub(crate) fn page(document: &Document) -> String {
    rendered(document, &[], SCRIPT)
}

/// The whole page, to be printed: nothing in it runs, so that nothing in it depends on when it was printed. `pages` are
/// the pages on which sections begin, by their ids, where they are known.
pub(crate) fn print(document: &Document, pages: &[(String, usize)]) -> String {
    rendered(document, pages, "")
}

fn rendered(document: &Document, pages: &[(String, usize)], script: &str) -> String {
    let style = format!("\n{STYLE}{FIGURES}");
    let script = format!("\n{script}");
    let page = Page {
        style_hash: &hash(&style),
        script_hash: &hash(&script),
        style: &style,
        script: &script,
        lang: document.lang,
        document,
        pages,
    };
    page.render().expect("a string can be written")
}

/// The source expression that allows exactly this text (CSP 3, §2.3.1).
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    style_hash: &'a str,
    script_hash: &'a str,
    style: &'a str,
    script: &'a str,
    lang: Lang,
    document: &'a Document,
    pages: &'a [(String, usize)],
}

#[derive(Template)]
#[template(path = "line.html")]
struct LinePart<'a> {
    line: &'a Line,
}

#[derive(Template)]
#[template(path = "block.html")]
struct BlockPart<'a> {
    block: &'a Block,
    lang: Lang,
}

#[derive(Template)]
#[template(path = "hex.html")]
struct HexPart {
    rows: Vec<HexLine>,
}

enum HexLine {
    Left(String),
    Bytes {
        offset: String,
        digits: Vec<(&'static str, String)>,
        padding: String,
        characters: Vec<(&'static str, String)>,
    },
}

/// A line of text, escaped.
fn line(line: &Line) -> impl std::fmt::Display {
    LinePart { line }
}

/// A block, escaped.
fn block(block: &Block, lang: Lang) -> impl std::fmt::Display {
    BlockPart { block, lang }
}

/// The rows of a frame, escaped.
fn hex(view: &HexView, lang: Lang) -> impl std::fmt::Display {
    let class = |part: Part| match part {
        Part::Header => "h",
        Part::Payload => "p",
        Part::Marked => "m",
    };
    let line = |row: &HexRow| match row {
        HexRow::Left(bytes) => HexLine::Left(lang.bytes(*bytes)),
        HexRow::Bytes { offset, bytes } => {
            let runs = HexRow::runs(bytes);
            let digits = |bytes: &[u8]| {
                let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                digits.join(" ")
            };
            HexLine::Bytes {
                offset: format!("{offset:04x}"),
                digits: runs.iter().map(|(part, bytes)| (class(*part), digits(bytes))).collect(),
                padding: "   ".repeat(ROW - bytes.len()),
                characters: runs
                    .iter()
                    .map(|(part, bytes)| (class(*part), bytes.iter().copied().map(printable).collect()))
                    .collect(),
            }
        }
    };
    HexPart { rows: view.rows.iter().map(line).collect() }
}

fn level_class(level: Level) -> &'static str {
    match level {
        level if level.is_keyless() => "readable",
        Level::Decrypted => "sealed",
        _ => "absent",
    }
}

fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Exposed => "readable",
        Verdict::Sealed => "sealed",
        Verdict::Inconclusive => "doubt",
    }
}

/// Appendices bear their letter in their title.
fn shows_number(section: &Section) -> bool {
    section.number.starts_with(|first: char| first.is_ascii_digit())
}

fn page_of(pages: &[(String, usize)], id: &str) -> Option<usize> {
    pages.iter().find(|(section, _)| section == id).map(|(_, page)| *page)
}

fn places(mark: &Mark, lang: Lang) -> String {
    let mut places = visible::line(&mark.places.join(", "));
    if mark.places_more > 0 {
        places += &format!(" {}", lang.and_more(mark.places_more));
    }
    places
}

fn frames(mark: &Mark) -> String {
    match mark.frames.as_slice() {
        [] => String::new(),
        [frame] => frame.to_string(),
        [first, .., last] => format!("{first}–{last}"),
    }
}

fn offset(mark: &Mark) -> String {
    mark.file_offset.map(format::count).unwrap_or_default()
}
