//! What verdicts on traffic without a manifest are about: a line of the summary, and a part of chapter 7.

use exposure_schema::{Scope, ScopeConnection};

use super::Builder;
use crate::document::line::{Inline, Line, captured, line};
use crate::document::{Block, Table};
use crate::model::Capture;

/// Connections in one table.
const CONNECTIONS_LISTED: usize = 50;

impl Builder<'_> {
    /// The scope of a verdict in a sentence.
    pub(super) fn scope_result(&self, capture: &Capture) -> Option<Line> {
        let scope = capture.scope.as_ref()?;
        let Scope { connections_total, outside, asked, .. } = scope;
        let asked = asked.join(", ");
        let (others, frames) = (outside.connections, outside.frames);
        Some(self.lang.scope_result(&capture.name, *connections_total, &asked, others, frames))
    }

    /// The scope of every verdict that has one.
    pub(super) fn scopes(&self) -> Vec<Block> {
        let scoped = self.captures.iter().filter_map(|capture| Some((capture, capture.scope.as_ref()?)));
        scoped.flat_map(|(capture, scope)| self.scope(capture, scope)).collect()
    }

    fn scope(&self, capture: &Capture, scope: &Scope) -> Vec<Block> {
        let lang = self.lang;
        let mut blocks = vec![Block::Table(self.scope_table(capture, scope))];
        if let Some(add) = &scope.add {
            blocks.push(Block::Paragraph(lang.scope_add(add)));
        }
        if !scope.outside.doubts.is_empty() {
            blocks.push(Block::Paragraph(lang.scope_outside(&capture.name)));
            let doubts = scope.outside.doubts.iter();
            let items = doubts.map(|doubt| line![Inline::Quoted(doubt.text.clone())]).collect();
            blocks.push(Block::List { ordered: false, items });
        }
        blocks.push(Block::Paragraph(lang.scope_unvouched(&capture.name)));
        let items = scope.unvouched.iter().map(|item| line![lang.unvouched(*item)]).collect();
        blocks.push(Block::List { ordered: false, items });
        blocks
    }

    fn scope_table(&self, capture: &Capture, scope: &Scope) -> Table {
        let lang = self.lang;
        let end = |end: &Option<String>| match end {
            Some(end) => line![captured(end)],
            None => line![lang.unknown()],
        };
        let row = |connection: &ScopeConnection| {
            vec![
                line![u64::from(connection.stream)],
                end(&connection.client),
                end(&connection.server),
                line![connection.strings_found],
                line![lang.connection_ended(connection.ended)],
            ]
        };
        let rows: Vec<_> = scope.connections.iter().take(CONNECTIONS_LISTED).map(row).collect();
        let (shown, all) = (rows.len() as u64, scope.connections_total);
        Table {
            caption: lang.scope_table(&capture.name),
            columns: vec![
                self.number_column(lang.scope_stream()),
                self.column(lang.scope_client()),
                self.column(lang.scope_server()),
                self.number_column(lang.scope_strings_found()),
                self.column(lang.scope_ended()),
            ],
            rows,
            note: (shown < all).then(|| lang.scope_note(shown, all)),
        }
    }
}
