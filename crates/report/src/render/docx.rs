//! The report as a document of Word (ISO/IEC 29500): headings, tables and text that can be edited, figures as pictures.

use std::collections::HashMap;
use std::io::{Cursor, Error};

use docx_rs::{
    AbstractNumbering, AlignmentType, BorderType, BreakType, Docx, Footer, IndentLevel, Level as ListLevel,
    LevelJc, LevelText, LineSpacing, NumPages, NumberFormat, Numbering, NumberingId, PageMargin, PageNum,
    Paragraph, Pic, Run, RunFonts, Shading, SpecialIndentType, Start, Style, StyleType, Table as Grid,
    TableBorder, TableBorderPosition, TableBorders, TableCell, TableCellBorder, TableCellBorderPosition,
    TableCellBorders, TableCellMargins, TableLayoutType, TableRow, WidthType,
};
use exposure_schema::{Level, Verdict};

use crate::document::exhibit::{HexRow, HexView, Part, Piece, ROW, StreamView, printable};
use crate::document::line::{Inline, Line};
use crate::document::{Block, Document, Entry, Rank, Section, Table, Tone};
use crate::i18n::Lang;
use crate::visible;

/// A4 with the margins of the printed page, in twentieths of a point.
const PAGE: (u32, u32) = (11_906, 16_838);
const MARGIN: i32 = 1_020;
const TEXT_WIDTH: usize = 11_906 - 2 * 1_020;

/// Width of the text in EMU, of which an inch has 914,400 and a twentieth of a point 635.
const TEXT_EMU: u32 = TEXT_WIDTH as u32 * 635;

/// Sizes of text in half points.
const BODY: usize = 20;
const SMALL: usize = 16;
const CODE: usize = 15;

/// The colours of the page in light mode.
mod colour {
    pub(super) const SOFT: &str = "54606C";
    pub(super) const LINE: &str = "D5D9D6";
    pub(super) const ZONE: &str = "F3F4F1";
    pub(super) const READABLE: &str = "8A3C04";
    pub(super) const READABLE_WASH: &str = "FDEEDA";
    pub(super) const SEALED: &str = "0A5750";
    pub(super) const SEALED_WASH: &str = "DFF1EE";
    pub(super) const BAD: &str = "9B1C1C";
    pub(super) const BAD_WASH: &str = "FBE6E4";
}

/// The list with bullets; the first number is that of a list that `docx-rs` brings.
const BULLETS: usize = 2;

/// A figure as a picture.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// In PNG.
    pub(crate) bytes: Vec<u8>,
    /// Height divided by width.
    pub(crate) ratio: f64,
    /// Whether it takes the whole width of the text.
    pub(crate) is_wide: bool,
}

/// The document. `pictures` has each figure by its name.
///
/// # Errors
/// When a file of the archive cannot be written.
pub(crate) fn document(document: &Document, pictures: &HashMap<String, Picture>) -> Result<Vec<u8>, Error> {
    let lang = document.lang;
    let mut writer = Writer { lang, pictures, docx: styled(), lists: BULLETS };
    writer.paragraph(Paragraph::new().style("Title").add_run(plain(&document.title)));
    for (name, value) in &document.about {
        let text = format!("{name}: {}", visible::line(value));
        writer.paragraph(Paragraph::new().add_run(plain(&text).color(colour::SOFT)));
    }
    let title = format!("{}: {}", lang.result_at_a_glance(), document.headline);
    writer.callout(Tone::of(document.conclusion), &title, &document.summary);
    writer.paragraph(Paragraph::new().style("Subtitle").add_run(plain(lang.contents())));
    for section in &document.sections {
        let level = if section.rank == Rank::Part { 360 } else { 0 };
        let entry = Paragraph::new().indent(Some(level), None, None, None).line_spacing(spaced(0, 20));
        writer.paragraph(entry.add_run(plain(&heading(section, lang))));
    }
    for section in &document.sections {
        let style = if section.rank == Rank::Part { "Heading2" } else { "Heading1" };
        writer
            .paragraph(Paragraph::new().style(style).keep_next(true).add_run(plain(&heading(section, lang))));
        section.blocks.iter().for_each(|block| writer.block(block));
    }
    let mut bytes = Cursor::new(Vec::new());
    writer.docx.pack(&mut bytes).map_err(Error::other)?;
    Ok(bytes.into_inner())
}

fn styled() -> Docx {
    let heading = |id: &str, name: &str, size: usize| {
        Style::new(id, StyleType::Paragraph).name(name).size(size).bold().line_spacing(spaced(320, 100))
    };
    let bullets = AbstractNumbering::new(BULLETS).add_level(
        ListLevel::new(
            0,
            Start::new(1),
            NumberFormat::new("bullet"),
            LevelText::new("•"),
            LevelJc::new("left"),
        )
        .indent(Some(360), Some(SpecialIndentType::Hanging(260)), None, None),
    );
    let page = Paragraph::new()
        .align(AlignmentType::Center)
        .add_page_num(PageNum::new())
        .add_run(Run::new().add_text(" / "))
        .add_num_pages(NumPages::new());
    Docx::new()
        .page_size(PAGE.0, PAGE.1)
        .page_margin(PageMargin {
            top: MARGIN,
            left: MARGIN,
            bottom: MARGIN,
            right: MARGIN,
            header: 500,
            footer: 500,
            gutter: 0,
        })
        .default_size(BODY)
        .default_fonts(
            RunFonts::new().ascii("Calibri").hi_ansi("Calibri").cs("Calibri").east_asia("Malgun Gothic"),
        )
        .add_style(heading("Title", "Title", 40))
        .add_style(heading("Subtitle", "Subtitle", 24))
        .add_style(heading("Heading1", "heading 1", 30).outline_lvl(0))
        .add_style(heading("Heading2", "heading 2", 25).outline_lvl(1))
        .add_abstract_numbering(bullets)
        .add_numbering(Numbering::new(BULLETS, BULLETS))
        .footer(Footer::new().add_paragraph(page))
}

/// The heading with its number.
fn heading(section: &Section, lang: Lang) -> String {
    let (number, title) = (&section.number, visible::line(&section.title));
    match section.rank {
        Rank::Chapter | Rank::Part => format!("{number}  {title}"),
        Rank::Appendix => format!("{} {number}  {title}", lang.appendix()),
    }
}

struct Writer<'a> {
    lang: Lang,
    pictures: &'a HashMap<String, Picture>,
    docx: Docx,
    /// Number of the last list.
    lists: usize,
}

impl Writer<'_> {
    fn add(&mut self, change: impl FnOnce(Docx) -> Docx) {
        self.docx = change(std::mem::take(&mut self.docx));
    }

    fn paragraph(&mut self, paragraph: Paragraph) {
        self.add(|docx| docx.add_paragraph(paragraph));
    }

    fn text(&mut self, line: &Line) {
        self.paragraph(with(Paragraph::new().line_spacing(spaced(0, 120)), line, BODY));
    }

    fn caption(&mut self, line: &Line) {
        let paragraph = Paragraph::new().line_spacing(spaced(60, 60)).keep_next(true);
        self.paragraph(coloured(paragraph, line, SMALL + 2, colour::SOFT));
    }

    /// What is below a table or a figure.
    fn note(&mut self, line: &Line) {
        self.paragraph(coloured(
            Paragraph::new().line_spacing(spaced(40, 180)),
            line,
            SMALL + 2,
            colour::SOFT,
        ));
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Paragraph(text) => self.text(text),
            Block::List { ordered, items } => self.list(*ordered, items),
            Block::Table(table) => self.table(table),
            Block::Code(code) => {
                if !code.source.0.is_empty() {
                    self.caption(&code.source);
                }
                self.boxed(vec![monospaced(&code.text)], colour::ZONE);
            }
            Block::Figures(figures) => {
                for figure in figures {
                    if let Some(picture) = self.pictures.get(&figure.name) {
                        let wide = if picture.is_wide { TEXT_EMU } else { TEXT_EMU / 3 * 2 };
                        let high = (f64::from(wide) * picture.ratio) as u32;
                        let shown = Pic::new_with_dimensions(picture.bytes.clone(), 1, 1).size(wide, high);
                        let run = Run::new().add_image(shown);
                        self.paragraph(Paragraph::new().keep_next(true).add_run(run));
                    }
                    self.note(&figure.caption);
                }
            }
            Block::Callout { tone, title, lines } => self.callout(*tone, title, lines),
            Block::Streams(views) => views.iter().for_each(|view| self.stream(view)),
            Block::Hex(views) => views.iter().for_each(|view| self.hex(view)),
            Block::Entries(entries) => self.entries(entries),
        }
    }

    fn list(&mut self, is_ordered: bool, items: &[Line]) {
        let id = if is_ordered {
            // A list of its own, so that it counts from 1.
            self.lists += 1;
            let id = self.lists;
            let numbers = ListLevel::new(
                0,
                Start::new(1),
                NumberFormat::new("decimal"),
                LevelText::new("%1."),
                LevelJc::new("left"),
            );
            let numbers = numbers.indent(Some(360), Some(SpecialIndentType::Hanging(360)), None, None);
            self.add(|docx| {
                docx.add_abstract_numbering(AbstractNumbering::new(id).add_level(numbers))
                    .add_numbering(Numbering::new(id, id))
            });
            id
        } else {
            BULLETS
        };
        for item in items {
            let paragraph = Paragraph::new().numbering(NumberingId::new(id), IndentLevel::new(0));
            self.paragraph(with(paragraph.line_spacing(spaced(0, 80)), item, BODY));
        }
    }

    fn table(&mut self, table: &Table) {
        self.caption(&table.caption);
        let titles: Vec<&Line> = table.columns.iter().map(|column| &column.title).collect();
        let is_number: Vec<bool> = table.columns.iter().map(|column| column.is_number).collect();
        let rows: Vec<Vec<&Line>> = table.rows.iter().map(|row| row.iter().collect()).collect();
        self.grid(&titles, &is_number, &rows);
        match &table.note {
            Some(note) => self.note(note),
            None => self.space(),
        }
    }

    fn entries(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        let titles: Vec<Line> = first.facts.iter().map(|(name, _)| Line::new().add(*name)).collect();
        let rows: Vec<Vec<&Line>> =
            entries.iter().map(|entry| entry.facts.iter().map(|(_, fact)| fact).collect()).collect();
        self.grid(&titles.iter().collect::<Vec<_>>(), &vec![false; titles.len()], &rows);
        self.space();
    }

    fn grid(&mut self, titles: &[&Line], is_number: &[bool], rows: &[Vec<&Line>]) {
        let widths = widths(titles, rows);
        let cell = |line: &Line, column: usize, is_title: bool| {
            let aligned = if is_number[column] { AlignmentType::Right } else { AlignmentType::Left };
            let paragraph = Paragraph::new().align(aligned).line_spacing(spaced(20, 20)).keep_next(is_title);
            let paragraph = if is_title {
                coloured(paragraph, line, SMALL, colour::SOFT)
            } else {
                with(paragraph, line, SMALL)
            };
            TableCell::new()
                .width(widths[column], WidthType::Dxa)
                .set_borders(
                    TableCellBorders::with_empty().set(
                        TableCellBorder::new(TableCellBorderPosition::Bottom)
                            .border_type(BorderType::Single)
                            .size(if is_title { 8 } else { 4 })
                            .color(colour::LINE),
                    ),
                )
                .add_paragraph(paragraph)
        };
        let row = |lines: &[&Line], is_title: bool| {
            let cells = lines.iter().enumerate().map(|(column, line)| cell(line, column, is_title)).collect();
            TableRow::new(cells).cant_split()
        };
        let rows =
            std::iter::once(row(titles, true)).chain(rows.iter().map(|lines| row(lines, false))).collect();
        let grid = Grid::without_borders(rows)
            .set_grid(widths.clone())
            .width(widths.iter().sum(), WidthType::Dxa)
            .layout(TableLayoutType::Fixed)
            .margins(TableCellMargins::new().margin(20, 80, 20, 0));
        self.add(|docx| docx.add_table(grid));
    }

    /// Paragraphs in a box with this colour.
    fn boxed(&mut self, paragraphs: Vec<Paragraph>, fill: &str) {
        let shading = Shading::new().fill(fill);
        let cell = TableCell::new().width(TEXT_WIDTH, WidthType::Dxa).shading(shading);
        let cell = paragraphs.into_iter().fold(cell, TableCell::add_paragraph);
        let grid = Grid::new(vec![TableRow::new(vec![cell])])
            .set_grid(vec![TEXT_WIDTH])
            .width(TEXT_WIDTH, WidthType::Dxa)
            .layout(TableLayoutType::Fixed)
            .margins(TableCellMargins::new().margin(100, 160, 100, 160))
            .set_borders(outline());
        self.add(|docx| docx.add_table(grid));
        self.space();
    }

    fn space(&mut self) {
        self.paragraph(Paragraph::new().line_spacing(spaced(0, 60)).size(12));
    }

    fn callout(&mut self, tone: Tone, title: &str, lines: &[Line]) {
        let ink = match tone {
            Tone::Good => colour::SEALED,
            Tone::Bad => colour::BAD,
            Tone::Doubt => colour::READABLE,
            Tone::Neutral => colour::SOFT,
        };
        let title = plain(title).bold().size(BODY + 4).color(ink);
        let title = Paragraph::new().line_spacing(spaced(0, 80)).add_run(title);
        let lines = lines.iter().map(|line| with(Paragraph::new().line_spacing(spaced(0, 60)), line, BODY));
        self.boxed(std::iter::once(title).chain(lines).collect(), "FFFFFF");
    }

    fn stream(&mut self, view: &StreamView) {
        let lang = self.lang;
        let ink = if view.is_encrypted { colour::SEALED } else { colour::READABLE };
        let readable = if view.is_encrypted { lang.needs_key() } else { lang.readable_without_key() };
        let what = format!(
            "{} · {} {} · {readable}",
            visible::line(&view.capture),
            lang.follow_stream(),
            view.stream
        );
        let mut paragraphs = vec![Paragraph::new().keep_next(true).add_run(plain(&what).bold().color(ink))];
        for turn in &view.turns {
            let who = Line::new()
                .add(format!("{} · {} · ", lang.direction(turn.direction), lang.bytes(turn.bytes)))
                .add(format!("{} ", lang.in_frames(turn.frame_count)))
                .add(turn.frames.clone());
            paragraphs.push(coloured(
                Paragraph::new().line_spacing(spaced(80, 20)),
                &who,
                SMALL,
                colour::SOFT,
            ));
            let mut code = Paragraph::new();
            for piece in &turn.pieces {
                code = code.add_run(match piece {
                    Piece::Text(text) => in_code(text),
                    Piece::Marked(text, mark) => {
                        let (ink, wash) = of_level(view.marks[*mark].level);
                        in_code(text).color(ink).shading(Shading::new().fill(wash))
                    }
                    Piece::Omitted(bytes) => {
                        in_code(&format!("\n… {} …\n", lang.bytes(*bytes))).italic().color(colour::SOFT)
                    }
                });
            }
            paragraphs.push(code);
            if let Some(opened) = &turn.opened {
                let title = plain(&lang.opened_record(opened.wire_bytes)).size(SMALL).color(colour::SEALED);
                paragraphs.push(Paragraph::new().line_spacing(spaced(80, 20)).add_run(title));
                let opened = in_code(&opened.text).shading(Shading::new().fill(colour::SEALED_WASH));
                paragraphs.push(Paragraph::new().add_run(opened));
            }
        }
        let note = if view.is_encrypted { format!(" {}.", lang.captured_text_note()) } else { String::new() };
        let note = view.note.clone().add(note);
        paragraphs.push(coloured(Paragraph::new().line_spacing(spaced(80, 0)), &note, SMALL, colour::SOFT));
        self.boxed(paragraphs, "FFFFFF");
    }

    fn hex(&mut self, view: &HexView) {
        let title = Line::new().add(format!("{} · ", visible::line(&view.capture))).add(view.title.clone());
        self.caption(&title);
        let (ink, wash) = if view.is_encrypted {
            (colour::SEALED, colour::SEALED_WASH)
        } else {
            (colour::READABLE, colour::READABLE_WASH)
        };
        let shown = |text: &str, part: Part| match part {
            Part::Header => in_code(text).color(colour::SOFT),
            Part::Payload => in_code(text),
            Part::Marked => in_code(text).color(ink).shading(Shading::new().fill(wash)),
        };
        let rows = view.rows.iter().map(|row| match row {
            HexRow::Omitted(bytes) => Paragraph::new()
                .add_run(in_code(&format!("      … {} …", self.lang.bytes(*bytes))).color(colour::SOFT)),
            HexRow::Bytes { offset, bytes } => {
                let runs = HexRow::runs(bytes);
                let mut row =
                    Paragraph::new().add_run(in_code(&format!("{offset:04x}  ")).color(colour::SOFT));
                for (part, bytes) in &runs {
                    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    row = row.add_run(shown(&digits.join(" "), *part)).add_run(in_code(" "));
                }
                row = row.add_run(in_code(&format!(" {}", "   ".repeat(ROW - bytes.len()))));
                for (part, bytes) in &runs {
                    let characters: String = bytes.iter().copied().map(printable).collect();
                    row = row.add_run(shown(&characters, *part));
                }
                row
            }
        });
        self.boxed(rows.map(|row| row.line_spacing(spaced(0, 0))).collect(), "FFFFFF");
    }
}

fn outline() -> TableBorders {
    let border =
        |position| TableBorder::new(position).border_type(BorderType::Single).size(4).color(colour::LINE);
    TableBorders::with_empty()
        .set(border(TableBorderPosition::Top))
        .set(border(TableBorderPosition::Left))
        .set(border(TableBorderPosition::Bottom))
        .set(border(TableBorderPosition::Right))
}

fn spaced(before: u32, after: u32) -> LineSpacing {
    LineSpacing::new().before(before).after(after)
}

fn plain(text: &str) -> Run {
    Run::new().add_text(in_xml(&visible::line(text)))
}

/// Lines of code.
fn in_code(text: &str) -> Run {
    let mut run = Run::new().fonts(code_fonts()).size(CODE);
    for (number, line) in visible::block(text).split('\n').enumerate() {
        if number > 0 {
            run = run.add_break(BreakType::TextWrapping);
        }
        run = run.add_text(in_xml(line));
    }
    run
}

fn monospaced(text: &str) -> Paragraph {
    Paragraph::new().add_run(in_code(text.trim_end()))
}

fn code_fonts() -> RunFonts {
    RunFonts::new().ascii("Consolas").hi_ansi("Consolas").cs("Consolas").east_asia("Malgun Gothic")
}

/// Replaces what is no character in XML 1.0 (§2.2); control characters are visible by now.
fn in_xml(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// Ink and background of a level.
fn of_level(level: Level) -> (&'static str, &'static str) {
    match level {
        level if level.is_keyless() => (colour::READABLE, colour::READABLE_WASH),
        Level::Decrypted => (colour::SEALED, colour::SEALED_WASH),
        _ => (colour::SOFT, colour::ZONE),
    }
}

/// Adds the pieces of a line to a paragraph.
fn with(paragraph: Paragraph, line: &Line, size: usize) -> Paragraph {
    runs(line, size).into_iter().fold(paragraph, Paragraph::add_run)
}

/// The same in this colour, except for pieces that have their own.
fn coloured(paragraph: Paragraph, line: &Line, size: usize, colour: &str) -> Paragraph {
    let has_colour = |piece: &&Inline| {
        matches!(piece, Inline::Level { .. } | Inline::Verdict { .. } | Inline::Passed { .. })
    };
    line.0.iter().fold(paragraph, |paragraph, piece| {
        let run = run(piece, size);
        paragraph.add_run(if has_colour(&piece) { run } else { run.color(colour) })
    })
}

fn runs(line: &Line, size: usize) -> Vec<Run> {
    line.0.iter().map(|piece| run(piece, size)).collect()
}

fn run(piece: &Inline, size: usize) -> Run {
    let badge = |text: &str, (ink, wash): (&str, &str)| {
        plain(text).size(size).bold().color(ink).shading(Shading::new().fill(wash))
    };
    match piece {
        Inline::Text(text) => plain(text).size(size),
        Inline::Strong(text) => plain(text).size(size).bold(),
        Inline::Code(text) | Inline::Captured(text) | Inline::Quoted(text) => {
            plain(text).fonts(code_fonts()).size(size - 2)
        }
        Inline::Link { text, .. } => plain(text).size(size),
        // A text by now.
        Inline::Section(_) => Run::new(),
        Inline::Level { level, text } => badge(text, of_level(*level)),
        Inline::Verdict { verdict, text } => {
            let of = match verdict {
                Verdict::Exposed => (colour::READABLE, colour::READABLE_WASH),
                Verdict::Sealed => (colour::SEALED, colour::SEALED_WASH),
                Verdict::Inconclusive => (colour::SOFT, colour::ZONE),
            };
            badge(text, of)
        }
        Inline::Passed { passed: true, text } => {
            badge(&format!("✓ {text}"), (colour::SEALED, colour::SEALED_WASH))
        }
        Inline::Passed { passed: false, text } => {
            badge(&format!("✗ {text}"), (colour::BAD, colour::BAD_WASH))
        }
    }
}

/// Widths of the columns: room for the longest word of each, and the rest of the page's width by the length of their text.
fn widths(titles: &[&Line], rows: &[Vec<&Line>]) -> Vec<usize> {
    /// Width of a character of a table's text, and the space between two columns.
    const CHARACTER: usize = 92;
    const SPACE: usize = 170;
    /// Characters of a text or of a word beyond which a column gets no wider.
    const LONGEST_TEXT: usize = 70;
    const LONGEST_WORD: usize = 34;
    let columns: Vec<(usize, usize)> = (0..titles.len())
        .map(|column| {
            let cells = || rows.iter().filter_map(|row| row.get(column)).chain([&titles[column]]);
            let text = cells().map(|cell| length(&text(cell))).max().unwrap_or(0).min(LONGEST_TEXT);
            let word = |cell: &&Line| text_words(cell).map(|word| length(&word)).max().unwrap_or(0);
            let word = cells().map(word).max().unwrap_or(0).min(LONGEST_WORD);
            (word * CHARACTER + SPACE, text.saturating_sub(word) * CHARACTER)
        })
        .collect();
    let least: usize = columns.iter().map(|(least, _)| least).sum();
    let wished: usize = columns.iter().map(|(_, more)| more).sum::<usize>().max(1);
    let room = TEXT_WIDTH.saturating_sub(least).min(wished);
    let widths = columns.iter().map(|(least, more)| least + room * more / wished);
    // Many long words have no room at all.
    widths.map(|width| width * TEXT_WIDTH / least.max(TEXT_WIDTH)).collect()
}

/// The text of a line without its marks.
fn text(line: &Line) -> String {
    let of = |piece: &Inline| match piece {
        Inline::Text(text)
        | Inline::Strong(text)
        | Inline::Code(text)
        | Inline::Captured(text)
        | Inline::Quoted(text)
        | Inline::Link { text, .. }
        | Inline::Level { text, .. }
        | Inline::Verdict { text, .. }
        | Inline::Passed { text, .. } => visible::line(text),
        Inline::Section(_) => String::new(),
    };
    line.0.iter().map(of).collect()
}

fn text_words(line: &Line) -> impl Iterator<Item = String> {
    text(line).split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Number of characters; wide ones count twice.
fn length(text: &str) -> usize {
    text.chars().map(|character| 1 + usize::from(character >= '\u{1100}')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_share_the_width_of_the_text() {
        let [short, long] = ["Frame", "a long sentence about what this control asks of the capture"]
            .map(|text| Line::new().add(text));
        let found = widths(&[&short, &long], &[vec![&short, &long]]);
        assert!(found.iter().sum::<usize>() <= TEXT_WIDTH && found[0] < found[1], "{found:?}");
        let words = Line::new().add("x".repeat(200));
        let found = widths(&[&words; 4], &[]);
        assert!(found.iter().sum::<usize>() <= TEXT_WIDTH, "{found:?}");
    }

    #[test]
    fn colours_are_those_of_the_page() {
        let palette = include_str!("../../templates/palette.css").to_uppercase();
        use colour::*;
        for colour in [SOFT, LINE, ZONE, READABLE, READABLE_WASH, SEALED, SEALED_WASH, BAD, BAD_WASH] {
            assert!(palette.contains(&format!("#{colour};")), "{colour}");
        }
    }

    #[test]
    fn what_is_no_character_of_xml_is_replaced() {
        assert_eq!(in_xml("a\u{fffe}b\u{ffff}"), "a\u{fffd}b\u{fffd}");
    }
}
