//! Prints the measurements as a table.

use comfy_table::{CellAlignment, presets};

use crate::ground_truth::GroundTruth;
use crate::measure::Cost;

/// Goal for the analyzer's peak memory with 256 open connections, independent of the length of the capture.
const MEMORY_GOAL: u64 = 32 << 20;

/// The measurements on one capture.
pub(crate) struct Row {
    pub(crate) truth: GroundTruth,
    pub(crate) cat: Cost,
    pub(crate) tcpdump: Option<Cost>,
    pub(crate) analyze: Cost,
    /// An older analyzer, in the same rounds.
    pub(crate) baseline: Option<Cost>,
    pub(crate) rg: Option<Cost>,
    pub(crate) tshark: Option<Cost>,
    /// The errors in the analyzers' answers.
    pub(crate) differences: Vec<String>,
}

pub(crate) struct Table {
    table: comfy_table::Table,
    compares: bool,
    has_baseline: bool,
}

impl Table {
    pub(crate) fn new(compares: bool, has_baseline: bool) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        let mut header = vec![
            "capture",
            "frames",
            "strings",
            "messages",
            "analyze s",
            "MB/s",
            "CPU s",
            "cat s",
            "× cat",
            "tcpdump s",
            "× tcpdump",
            "goal, then",
            "peak MiB",
            "goal 32 MiB",
        ];
        if has_baseline {
            header.extend(["× baseline s", "× baseline CPU", "× baseline peak"]);
        }
        if compares {
            header.extend(["rg s", "tshark s", "× faster than tshark"]);
        }
        table.set_header(header);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        Self { table, compares, has_baseline }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        let (truth, own) = (&row.truth, &row.analyze);
        let seconds = |cost: &Cost| format!("{:.3}", cost.seconds);
        let ratio = |cost: &Cost| own.seconds / cost.seconds;
        let of = |cost: Option<&Cost>, show: &dyn Fn(&Cost) -> String| cost.map_or("-".to_owned(), show);
        let goals = truth.spec.shape.goals();
        let judged = |cost: &Cost| {
            goals
                .map(|goal| format!("{goal:.1} {}", if ratio(cost) <= goal { "met" } else { "not met" }))
                .join(", ")
        };
        let verdict = if row.differences.is_empty() { "all exact" } else { "WRONG" };
        let memory = if own.peak_bytes <= MEMORY_GOAL { "met" } else { "not met" };
        let mut cells = vec![
            truth.spec.name(),
            truth.frames.to_string(),
            format!("{}: {verdict}", truth.strings.len()),
            truth.messages.to_string(),
            seconds(own),
            format!("{:.0}", truth.bytes as f64 / 1e6 / own.seconds),
            format!("{:.2}", own.cpu_seconds),
            seconds(&row.cat),
            format!("{:.1}", ratio(&row.cat)),
            of(row.tcpdump.as_ref(), &seconds),
            of(row.tcpdump.as_ref(), &|cost| format!("{:.2}", ratio(cost))),
            of(row.tcpdump.as_ref(), &judged),
            format!("{:.1}", own.peak_bytes as f64 / f64::from(1 << 20)),
            memory.to_owned(),
        ];
        if self.has_baseline {
            let ratio = |show: &dyn Fn(&Cost) -> f64| {
                of(row.baseline.as_ref(), &|baseline| format!("{:.3}", show(own) / show(baseline)))
            };
            cells.push(ratio(&|cost| cost.seconds));
            cells.push(ratio(&|cost| cost.cpu_seconds));
            cells.push(ratio(&|cost| cost.peak_bytes as f64));
        }
        if self.compares {
            cells.push(of(row.rg.as_ref(), &seconds));
            cells.push(of(row.tshark.as_ref(), &seconds));
            cells.push(of(row.tshark.as_ref(), &|cost| format!("{:.0}", cost.seconds / own.seconds)));
        }
        self.table.add_row(cells);
    }

    /// The table, with a legend.
    pub(crate) fn finish(&self, has_tcpdump: bool) -> String {
        let mut text = format!("{}\n", self.table);
        text.push_str(
            "Fastest of three runs, warm cache, the programs in turn. CPU: user and system, all threads.\n",
        );
        text.push_str(
            "cat FILE >/dev/null; tcpdump -r FILE -w /dev/null.\n\
             goal, then: first and final goal for × tcpdump.\n",
        );
        if !has_tcpdump {
            text.push_str(
                "tcpdump is not installed, so the goals, which are ratios to its time, are not judged.\n",
            );
        }
        text
    }
}
