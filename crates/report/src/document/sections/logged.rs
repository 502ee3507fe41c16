//! Chapter 6.1: what the agents' journals contain.

use exposure_schema::{Event, HttpMessage};

use super::Builder;
use crate::document::calls::{self, Call};
use crate::document::exhibit::is_encrypted;
use crate::document::line::{Line, captured, line, strong};
use crate::document::{Block, Code, Section, Table, format};
use crate::model::Capture;

/// Calls in one table. The script makes a dozen; the table states how many there are.
const CALLS_LISTED: usize = 50;

/// Bytes of a body from a journal that the report shows.
const BODY_SHOWN: usize = 2_000;

impl Builder<'_> {
    pub(super) fn logged(&self) -> Section {
        let lang = self.lang;
        let lines = self.captures.iter().map(|capture| capture.journal_total).sum();
        let strings = self.captures.iter().map(|capture| capture.summary.total).sum();
        let mut blocks = vec![Block::Paragraph(lang.logged_text(lines, strings))];
        if let Some(capture) =
            self.captures.iter().find(|capture| capture.journal.iter().any(|line| line.body.is_some()))
        {
            blocks.extend(self.first_call(capture));
        }
        for (index, capture) in self.numbered() {
            let calls = calls::of(capture);
            if !calls.is_empty() {
                blocks.push(Block::Table(self.calls(index, capture, &calls)));
            }
        }
        self.part("logged", "6.1", lang.logged(), blocks)
    }

    fn first_call(&self, capture: &Capture) -> Vec<Block> {
        let lang = self.lang;
        let Some(first) = capture.journal.iter().find(|line| line.body.is_some()) else { return Vec::new() };
        let id = first.message_id.as_deref().unwrap_or("?");
        let mut blocks = vec![Block::Paragraph(lang.first_call(&capture.name, id))];
        let same_agent = capture.journal.iter().filter(|line| line.agent == first.agent);
        for logged in same_agent.filter(|line| line.body.is_some()).take(2) {
            let body = logged.body.as_deref().unwrap_or_default();
            let event = match logged.event {
                Event::Sent => strong(lang.event_sent()),
                Event::Received => strong(lang.event_received()),
            };
            let bytes = line![lang.bytes(logged.body_bytes)];
            let at = logged.at_unix_ns.map_or_else(|| lang.unknown().to_owned(), format::date_time);
            let mut source = lang.logged_line(&logged.agent, event, bytes, &at, &logged.body_sha256);
            let shown = up_to(body, BODY_SHOWN);
            if shown.len() < body.len() {
                source = source.add(". ").add(lang.shortened_note(shown.len() as u64, logged.body_bytes));
            }
            blocks.push(Block::Code(Code { source, language: "json", text: shown.to_owned() }));
        }
        blocks
    }

    fn calls(&self, index: usize, capture: &Capture, calls: &[Call<'_>]) -> Table {
        let lang = self.lang;
        let start = capture.first_frame_at_unix_ns.unwrap_or(0);
        let begins = |message: &HttpMessage| {
            self.evidence.number(index, message.first_frame.unwrap_or(message.last_frame))
        };
        let row = |call: &Call<'_>| {
            let after =
                call.request.first_at_unix_ns.map(|at| format::milliseconds(at.saturating_sub(start)));
            let status = call.answer.and_then(|answer| answer.status);
            vec![
                line![captured(call.id)],
                line![after.unwrap_or_else(|| lang.unknown().to_owned())],
                line![call.request.body_bytes],
                line![begins(call.request)],
                call.answer.map_or_else(|| line![lang.none()], |answer| line![answer.body_bytes]),
                call.answer.map_or_else(|| line![lang.none()], |answer| line![begins(answer)]),
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

/// The longest prefix of `text` of at most this many bytes that ends between two characters.
fn up_to(text: &str, bytes: usize) -> &str {
    match text
        .char_indices()
        .map(|(at, character)| at + character.len_utf8())
        .take_while(|end| *end <= bytes)
        .last()
    {
        Some(end) if end < text.len() => &text[..end],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!([up_to("한국어", 7), up_to("한국어", 9), up_to("ab", 9)], ["한국", "한국어", "ab"]);
    }
}
