//! Chapter 6.2: what the captures show of the messages, and at which level.

use exposure_schema::{Level, ReadableEntry};

use super::{Builder, VALUE_SHOWN, first_proof};
use crate::document::exhibit::{self, is_encrypted};
use crate::document::line::{Line, captured, line, strong};
use crate::document::{Block, Column, Rank, Section, Table, format};
use crate::figure;
use crate::i18n::Lang;
use crate::model::Capture;
use crate::visible;

/// Marks in one table; the stream itself shows all of them.
const MARKS_LISTED: usize = 8;

/// Readable strings that are listed for a capture without journals.
const READABLE_LISTED: usize = 60;

/// Strings of bodies, and how many there are of them.
#[derive(Clone, Copy)]
struct Listed<'a> {
    entries: &'a [ReadableEntry],
    total: u64,
}

impl Builder<'_> {
    pub(super) fn on_the_wire(&self) -> Section {
        let lang = self.lang;
        let mut blocks = Vec::new();
        let indexes = || 0..self.captures.len();
        let streams: Vec<_> =
            indexes().filter_map(|index| exhibit::stream(lang, &self.evidence, index)).collect();
        if streams.is_empty() {
            blocks.push(Block::Paragraph(lang.wire_none()));
        } else {
            let is_pair =
                streams.iter().any(|view| view.is_encrypted) && streams.iter().any(|view| !view.is_encrypted);
            let id = self.captures.iter().find_map(|capture| capture.exhibit.as_ref()?.message_id.as_deref());
            blocks.push(Block::Paragraph(lang.wire_text(id.unwrap_or("?"), is_pair)));
            let marks: Vec<Table> =
                streams.iter().filter(|view| !view.marks.is_empty()).map(|view| self.marks(view)).collect();
            blocks.push(Block::Streams(streams));
            blocks.extend(marks.into_iter().map(Block::Table));
        }
        let window = |(index, capture)| {
            figure::window(lang, capture, is_encrypted(capture), self.evidence.slug(index))
        };
        let windows: Vec<_> = self.numbered().filter_map(window).collect();
        if !windows.is_empty() {
            blocks.push(Block::Paragraph(lang.window_text()));
            blocks.extend(windows.into_iter().map(|window| Block::Figures(vec![window])));
        }
        let hex: Vec<_> = indexes().filter_map(|index| exhibit::hex(lang, &self.evidence, index)).collect();
        if !hex.is_empty() {
            blocks.push(Block::Paragraph(lang.hex_text()));
            blocks.push(Block::Hex(hex));
        }
        let all: Vec<&Capture> = self.captures.iter().collect();
        if let Some(levels) = figure::levels(lang, &all) {
            blocks.push(Block::Paragraph(lang.levels_text()));
            blocks.push(Block::Figures(vec![levels]));
            blocks.push(Block::Table(self.levels()));
        }
        for (index, capture) in self.numbered() {
            if !capture.readable.is_empty() {
                blocks.push(Block::Paragraph(lang.readable_text(capture.readable_total)));
                let listed = Listed { entries: &capture.readable, total: capture.readable_total };
                blocks.push(Block::Table(self.body_strings(index, listed, Lang::readable_table)));
            }
            if !capture.opened.is_empty() {
                blocks.push(Block::Paragraph(lang.opened_text(capture.opened_total)));
                let listed = Listed { entries: &capture.opened, total: capture.opened_total };
                blocks.push(Block::Table(self.body_strings(index, listed, Lang::opened_table)));
            }
        }
        if let Some(bytes) = figure::bytes(lang, &all) {
            blocks.push(Block::Paragraph(lang.bytes_text()));
            blocks.push(Block::Figures(vec![bytes]));
            let parts = self.captures.iter().map(|capture| {
                let traffic = &capture.traffic;
                let share = format::percent(traffic.payload_printable_bytes, traffic.payload_bytes_sampled);
                line![captured(&capture.name), " ", share]
            });
            blocks.push(Block::Paragraph(lang.printable_note(Line::joined(parts, ", "))));
        }
        self.part("wire", Rank::Part, lang.on_the_wire(), blocks)
    }

    fn marks(&self, view: &exhibit::StreamView) -> Table {
        let lang = self.lang;
        let index = self.captures.iter().position(|capture| capture.name == view.capture).unwrap_or(0);
        let row = |mark: &exhibit::Mark| {
            let mut places = Line::joined(mark.places.iter().map(captured), ", ");
            if mark.places_more > 0 {
                places = places.add(" ").add(lang.and_more(mark.places_more));
            }
            vec![
                line![captured(&mark.title)],
                places,
                line![self.level(mark.level)],
                self.evidence.frames(index, &mark.frames),
                mark.file_offset.map_or_else(Line::new, |offset| line![offset]),
            ]
        };
        let listed = view.marks.len().min(MARKS_LISTED);
        let more = view.marks.len() > listed;
        Table {
            caption: lang.marks_table(&view.capture),
            columns: vec![
                self.column(lang.string()),
                self.column(lang.json_path()),
                self.column(lang.level()),
                self.number_column(lang.frame_column()),
                self.number_column(lang.file_offset()),
            ],
            rows: view.marks[..listed].iter().map(row).collect(),
            note: more.then(|| lang.marks_shown(listed as u64, view.marks.len() as u64)),
        }
    }

    fn levels(&self) -> Table {
        let lang = self.lang;
        let mut columns = vec![self.column(lang.level()), self.column(lang.level_requires())];
        columns.extend(
            self.captures
                .iter()
                .map(|capture| Column { title: line![captured(&capture.name)], is_number: true }),
        );
        let mut rows: Vec<Vec<Line>> = Level::ALL
            .into_iter()
            .map(|level| {
                let counts = self.numbered().map(|(index, capture)| {
                    let count = line![capture.summary.of(level)];
                    match first_proof(capture, level) {
                        Some(location) => {
                            count.add(" (").add(self.evidence.short(index, location.frames[0])).add(")")
                        }
                        None => count,
                    }
                });
                [line![self.level(level)], line![lang.level_requirement(level)]]
                    .into_iter()
                    .chain(counts)
                    .collect()
            })
            .collect();
        let totals = self.captures.iter().map(|capture| line![strong(format::count(capture.summary.total))]);
        rows.push([line![strong(lang.total())], Line::new()].into_iter().chain(totals).collect());
        Table { caption: lang.levels_table(), columns, rows, note: None }
    }

    fn body_strings(
        &self,
        index: usize,
        listed: Listed<'_>,
        caption: impl FnOnce(Lang, u64, u64) -> Line,
    ) -> Table {
        let (lang, name) = (self.lang, &self.captures[index].name);
        let row = |readable: &ReadableEntry| {
            vec![
                match &readable.value {
                    Some(value) => line![captured(visible::shortened(value, VALUE_SHOWN))],
                    None => lang.withheld(),
                },
                line![captured(&readable.path)],
                self.evidence.frames(index, &readable.location.frames),
                line![readable.location.file_offset],
            ]
        };
        let Listed { entries, total } = listed;
        let shown = entries.len().min(READABLE_LISTED);
        let caption = line![captured(name), ". ", caption(lang, shown as u64, total)];
        Table {
            caption,
            columns: vec![
                self.column(lang.string()),
                self.column(lang.json_path()),
                self.number_column(lang.frame_column()),
                self.number_column(lang.file_offset()),
            ],
            rows: entries[..shown].iter().map(row).collect(),
            note: None,
        }
    }
}
