//! The report as one HTML page without external resources: its Content-Security-Policy forbids scripts, styles, fonts
//! and pictures from elsewhere. Templates escape all values, except those marked `safe`, which come from other
//! templates of this module or from [`crate::figure`].

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exposure_schema::{Direction, Level, Verdict};

use crate::document::exhibit::{HexRow, HexView, Mark, Part, Piece, ROW, printable};
use crate::document::line::{Inline, Line};
use crate::document::{Block, Document, Rank, Tone, format};
use crate::i18n::Lang;
use crate::render::html;
use crate::visible;

/// A table with more rows scrolls within a box of its own. The list of the project's parts does not.
pub(crate) const TALL: usize = 30;

/// A table of at most this many rows is not divided between two pages in print.
pub(crate) const SMALL: usize = 14;

/// Code of at most this many bytes is not broken across lines, so that paths and ids stay in one piece.
pub(crate) const SHORT: usize = 32;

const STYLE: &str =
    concat!(include_str!("../../templates/palette.css"), include_str!("../../templates/page.css"));
const FIGURES: &str = include_str!("../../templates/figure.css");
const SCRIPT: &str = include_str!("../../templates/page.js");

/// The page for a screen.
pub(crate) fn page(document: &Document) -> String {
    rendered(document, &[], SCRIPT)
}

/// The page for printing, without the script, so that the result does not depend on when it is printed. `pages` has the
/// page on which each section begins, by section id, if known. Emoji are numbers: few machines that print have a font for them.
pub(crate) fn print(document: &Document, pages: &[(String, usize)]) -> String {
    visible::without_emoji(&rendered(document, pages, ""))
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

/// The source expression that allows exactly this text (CSP Level 3, §2.3.1).
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[derive(Template)]
#[template(path = "report.html", whitespace = "minimize")]
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
#[template(path = "line.html", whitespace = "minimize")]
struct LinePart<'a> {
    line: &'a Line,
}

#[derive(Template)]
#[template(path = "block.html", whitespace = "minimize")]
struct BlockPart<'a> {
    block: &'a Block,
    lang: Lang,
}

#[derive(Template)]
#[template(path = "hex.html", whitespace = "minimize")]
struct HexPart {
    rows: Vec<HexLine>,
}

enum HexLine {
    Omitted(String),
    Bytes {
        offset: String,
        digits: Vec<(&'static str, String)>,
        padding: String,
        characters: Vec<(&'static str, String)>,
    },
}

/// Renders a line of text.
fn line(line: &Line) -> impl std::fmt::Display {
    LinePart { line }
}

/// Renders a block.
fn block(block: &Block, lang: Lang) -> impl std::fmt::Display {
    BlockPart { block, lang }
}

/// Renders the hex dump of a frame.
fn hex(view: &HexView, lang: Lang) -> impl std::fmt::Display {
    let class = |part: Part| match part {
        Part::Header => "h",
        Part::Payload => "p",
        Part::Marked => "m",
    };
    let line = |row: &HexRow| match row {
        HexRow::Omitted(bytes) => HexLine::Omitted(lang.bytes(*bytes)),
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
