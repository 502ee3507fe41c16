//! Chapter 6.1: what the agents' journals contain.

use exposure_schema::HttpMessage;

use super::Builder;
use crate::document::calls::{self, Call};
use crate::document::exhibit::is_encrypted;
use crate::document::line::{Inline, Line, captured, line};
use crate::document::{Block, Column, Rank, Section, Table, format};
use crate::model::Capture;

/// Calls in one table. The script makes a dozen; the table states how many there are.
const CALLS_LISTED: usize = 16;

impl Builder<'_> {
    pub(super) fn logged(&self) -> Section {
        let lang = self.lang;
        let lines = self.captures.iter().map(|capture| capture.journal_total).sum();
        let strings = self.captures.iter().map(|capture| capture.summary.total).sum();
        let mut blocks = vec![Block::Paragraph(lang.logged_text(lines, strings))];
        let calls: Vec<Vec<Call<'_>>> = self.captures.iter().map(calls::of).collect();
        let is_one_table = self.is_same_conversation() && have_the_same_ids(&calls);
        if is_one_table && !calls[0].is_empty() {
            blocks.push(Block::Table(self.calls_side_by_side(&calls)));
        } else {
            let tables = self.numbered().zip(&calls).filter(|(_, calls)| !calls.is_empty());
            blocks.extend(
                tables.map(|((index, capture), calls)| Block::Table(self.calls(index, capture, calls))),
            );
        }
        self.part("logged", Rank::Part, lang.logged(), blocks)
    }

    /// The calls of a comparison: a row for each, with the frames of every capture.
    fn calls_side_by_side(&self, calls: &[Vec<Call<'_>>]) -> Table {
        let lang = self.lang;
        let mut columns = vec![
            self.column(lang.call()),
            self.number_column(lang.request()),
            self.number_column(lang.answer()),
            self.number_column(lang.status()),
        ];
        for capture in self.captures {
            columns.push(Column { title: lang.frames_of(&capture.name), is_number: true });
            columns.push(Column { title: lang.message_level_in(&capture.name), is_number: false });
        }
        let listed = calls[0].len().min(CALLS_LISTED);
        let row = |number: usize| {
            let Call { id, request, answer } = calls[0][number];
            let status = answer.and_then(|answer| answer.status);
            let mut row = vec![
                line![captured(id)],
                line![request.body_bytes],
                self.bytes_of(answer),
                line![status.map_or_else(|| lang.none().to_owned(), |status| status.to_string())],
            ];
            for (index, calls) in calls.iter().enumerate() {
                let call = &calls[number];
                let answered = call.answer.map(|answer| line![", ", self.begins(index, answer)]);
                row.push(line![self.begins(index, call.request), answered]);
                row.push(line![self.level(call.request.level)]);
            }
            row
        };
        let total =
            self.captures.first().map_or(0, |capture| capture.http_total / 2).max(calls[0].len() as u64);
        let shown = (total > listed as u64).then(|| line![lang.calls_shown(listed as u64, total), " "]);
        Table {
            caption: lang.calls_table(),
            columns,
            rows: (0..listed).map(row).collect(),
            note: Some(line![shown, lang.calls_status_note()]),
        }
    }

    fn begins(&self, index: usize, message: &HttpMessage) -> Inline {
        self.evidence.number(index, message.first_frame.unwrap_or(message.last_frame))
    }

    fn bytes_of(&self, answer: Option<&HttpMessage>) -> Line {
        answer.map_or_else(|| line![self.lang.none()], |answer| line![answer.body_bytes])
    }

    fn calls(&self, index: usize, capture: &Capture, calls: &[Call<'_>]) -> Table {
        let lang = self.lang;
        let start = capture.first_frame_at_unix_ns.unwrap_or(0);
        let row = |call: &Call<'_>| {
            let after =
                call.request.first_at_unix_ns.map(|at| format::milliseconds(at.saturating_sub(start)));
            let status = call.answer.and_then(|answer| answer.status);
            vec![
                line![captured(call.id)],
                line![after.unwrap_or_else(|| lang.unknown().to_owned())],
                line![call.request.body_bytes],
                line![self.begins(index, call.request)],
                self.bytes_of(call.answer),
                call.answer.map_or_else(|| line![lang.none()], |answer| line![self.begins(index, answer)]),
                line![status.map_or_else(|| lang.none().to_owned(), |status| status.to_string())],
                line![self.level(call.request.level)],
            ]
        };
        let columns = vec![
            self.column(lang.call()),
            self.number_column(lang.time_since_start()),
            self.number_column(lang.request()),
            self.number_column(lang.frame_column()),
            self.number_column(lang.answer()),
            self.number_column(lang.frame_column()),
            self.number_column(lang.status()),
            self.column(lang.message_level()),
        ];
        let listed = calls.len().min(CALLS_LISTED);
        // Of each call two messages; the analyzer lists the first of them only.
        let total = (capture.http_total / 2).max(calls.len() as u64);
        let mut note = Line::new();
        if total > listed as u64 {
            note = note.add(lang.calls_shown(listed as u64, total)).add(" ");
        }
        if is_encrypted(capture) {
            note = note.add(lang.calls_status_note());
        }
        Table {
            caption: line![captured(&capture.name), ". ", lang.calls_table()],
            columns,
            rows: calls[..listed].iter().map(row).collect(),
            note: Some(note).filter(|note| !note.0.is_empty()),
        }
    }
}

/// Whether all captures have calls of the same ids in the same order.
fn have_the_same_ids(calls: &[Vec<Call<'_>>]) -> bool {
    let ids = |number: usize| calls[number].iter().map(|call| call.id);
    (1..calls.len()).all(|number| ids(number - 1).eq(ids(number)))
}
