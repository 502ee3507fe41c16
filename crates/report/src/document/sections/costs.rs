//! Chapter 6.4: what TLS costs.

use super::Builder;
use crate::document::exhibit::is_encrypted;
use crate::document::line::{Line, line};
use crate::document::{Block, Rank, Section, Table, format};
use crate::model::Capture;

impl<'a> Builder<'a> {
    pub(super) fn costs(&self) -> Section {
        let lang = self.lang;
        let costs: Vec<Cost> = vec![
            self.cost(lang.cost_frames(), |_, capture| Some(capture.frames)),
            self.cost(lang.cost_wire_bytes(), |_, capture| Some(capture.traffic.wire_bytes)),
            self.cost(lang.cost_payload(), |_, capture| {
                let by = &capture.traffic.by_kind;
                Some(by.clear + by.tls_clear + by.ciphertext)
            }),
            self.cost(lang.cost_connections(), |_, capture| Some(capture.connections_total)),
            self.cost(lang.cost_round_trips(), |_, capture| {
                capture
                    .connections
                    .iter()
                    .find_map(|connection| connection.round_trips_before_first_answer.map(u64::from))
            }),
        ];
        // Only one plaintext capture and one TLS capture can be compared.
        let compared = match self.captures {
            [one, other] if is_encrypted(one) != is_encrypted(other) => Some(usize::from(is_encrypted(one))),
            _ => None,
        };
        let mut columns = self.columns_of_captures(lang.measure(), true);
        if compared.is_some() {
            columns.push(self.number_column(lang.difference()));
        }
        let rows = costs.into_iter().map(|cost| self.cost_row(&cost, compared)).collect();
        let blocks = vec![
            Block::Paragraph(lang.costs_text(self.is_same_conversation())),
            Block::Table(Table { caption: lang.costs_table(), columns, rows, note: None }),
        ];
        self.part("costs", Rank::Part, lang.costs(), blocks)
    }

    fn cost(&self, title: &'static str, value: impl Fn(usize, &'a Capture) -> Option<u64>) -> Cost {
        Cost { title, values: self.numbered().map(|(index, capture)| value(index, capture)).collect() }
    }

    /// `compared` is the index of the plaintext capture if there are two captures to compare.
    fn cost_row(&self, cost: &Cost, compared: Option<usize>) -> Vec<Line> {
        let value = |value: &Option<u64>| match value {
            Some(value) => line![*value],
            None => line![self.lang.unknown()],
        };
        let mut row: Vec<Line> =
            std::iter::once(line![cost.title]).chain(cost.values.iter().map(value)).collect();
        if let Some(plain) = compared {
            row.push(match (cost.values[plain], cost.values[1 - plain]) {
                (Some(plain), Some(sealed)) => line![difference(plain, sealed)],
                _ => Line::new(),
            });
        }
        row
    }
}

/// A row of the table: one value for each capture.
struct Cost {
    title: &'static str,
    values: Vec<Option<u64>>,
}

/// The second value minus the first, and the same in percent of the first.
fn difference(first: u64, second: u64) -> String {
    let sign = if second < first { "−" } else { "+" };
    let apart = second.abs_diff(first);
    if apart == 0 {
        return "0".to_owned();
    }
    format!("{sign}{} ({sign}{})", format::count(apart), format::percent(apart, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_has_sign_and_percentage() {
        assert_eq!(difference(100, 150), "+50 (+50.0 %)");
        assert_eq!(difference(100, 100), "0");
        assert_eq!(difference(2_000, 1_000), "−1,000 (−50.0 %)");
    }
}
