//! Chapter 6.4: what TLS costs.

use super::Builder;
use crate::document::calls::{self, Call};
use crate::document::exhibit::is_encrypted;
use crate::document::line::{Line, line};
use crate::document::{Block, Section, Table, format};
use crate::figure;
use crate::model::Capture;

impl<'a> Builder<'a> {
    pub(super) fn costs(&self) -> Section {
        let lang = self.lang;
        let calls: Vec<Vec<Call<'_>>> = self.captures.iter().map(calls::of).collect();
        let latencies: Vec<Vec<u64>> = calls.iter().map(|calls| calls::latencies(calls)).collect();
        let costs: Vec<Cost> = vec![
            self.cost(lang.cost_frames(), Unit::Count, |_, capture| Some(capture.frames)),
            self.cost(lang.cost_wire_bytes(), Unit::Count, |_, capture| Some(capture.traffic.wire_bytes)),
            self.cost(lang.cost_payload(), Unit::Count, |_, capture| {
                let by = &capture.traffic.by_kind;
                Some(by.clear + by.tls_clear + by.ciphertext)
            }),
            self.cost(lang.cost_connections(), Unit::Count, |_, capture| Some(capture.connections_total)),
            self.cost(lang.cost_round_trips(), Unit::Count, |_, capture| {
                capture
                    .connections
                    .iter()
                    .find_map(|connection| connection.round_trips_before_first_answer.map(u64::from))
            }),
            self.cost(lang.cost_first_answer(), Unit::Time, |index, capture| {
                let answered = calls[index].first()?.answer?.last_at_unix_ns?;
                let stream = calls[index].first()?.request.stream?;
                let connection = capture.connections.iter().find(|connection| connection.stream == stream)?;
                answered.checked_sub(connection.first_frame_at_unix_ns)
            }),
            self.cost(lang.cost_median(), Unit::Time, |index, _| calls::median(&latencies[index])),
            self.cost(lang.cost_fastest(), Unit::Time, |index, _| latencies[index].first().copied()),
            self.cost(lang.cost_slowest(), Unit::Time, |index, _| latencies[index].last().copied()),
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
        let answered = latencies.iter().map(|latencies| latencies.len() as u64).max().unwrap_or(0);
        let note = (answered > 0).then(|| lang.costs_note(answered));
        let mut blocks = vec![
            Block::Paragraph(lang.costs_text(self.is_same_conversation())),
            Block::Table(Table { caption: lang.costs_table(), columns, rows, note }),
        ];
        let drawn: Vec<(&str, bool, &[Call<'_>])> = self
            .captures
            .iter()
            .zip(&calls)
            .map(|(capture, calls)| (capture.name.as_str(), is_encrypted(capture), calls.as_slice()))
            .collect();
        if let Some(latency) = figure::latency(lang, &drawn) {
            blocks.push(Block::Figures(vec![latency]));
        }
        self.part("costs", "6.4", lang.costs(), blocks)
    }

    fn cost(
        &self,
        title: &'static str,
        unit: Unit,
        value: impl Fn(usize, &'a Capture) -> Option<u64>,
    ) -> Cost {
        Cost { title, unit, values: self.numbered().map(|(index, capture)| value(index, capture)).collect() }
    }

    /// `compared` is the index of the plaintext capture if there are two captures to compare.
    fn cost_row(&self, cost: &Cost, compared: Option<usize>) -> Vec<Line> {
        let value = |value: &Option<u64>| match value {
            Some(value) => line![cost.unit.shown(*value)],
            None => line![self.lang.unknown()],
        };
        let mut row: Vec<Line> =
            std::iter::once(line![cost.title]).chain(cost.values.iter().map(value)).collect();
        if let Some(plain) = compared {
            row.push(match (cost.values[plain], cost.values[1 - plain]) {
                (Some(plain), Some(sealed)) => line![cost.unit.difference(plain, sealed)],
                _ => Line::new(),
            });
        }
        row
    }
}

/// A row of the table: one value for each capture.
struct Cost {
    title: &'static str,
    unit: Unit,
    values: Vec<Option<u64>>,
}

#[derive(Clone, Copy)]
enum Unit {
    Count,
    /// Nanoseconds.
    Time,
}

impl Unit {
    fn shown(self, value: u64) -> String {
        match self {
            Self::Count => format::count(value),
            Self::Time => format::milliseconds(value),
        }
    }

    /// The second value minus the first, and the same in percent of the first.
    fn difference(self, first: u64, second: u64) -> String {
        let sign = if second < first { "−" } else { "+" };
        let apart = second.abs_diff(first);
        if apart == 0 {
            return "0".to_owned();
        }
        format!("{sign}{} ({sign}{})", self.shown(apart), format::percent(apart, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_has_sign_and_percentage() {
        assert_eq!(Unit::Count.difference(100, 150), "+50 (+50.0 %)");
        assert_eq!(Unit::Count.difference(100, 100), "0");
        assert_eq!(Unit::Time.difference(2_000_000, 1_000_000), "−1.000 ms (−50.0 %)");
    }
}
