//! Compares the analyzer with tshark on any captures, by field: how many of tshark's facts the analyzer states, and how many of the
//! analyzer's facts tshark states, if need be with help. Prints which captures differ.
//!
//! `cargo run -p e2e --example oracle -- FOLDER…`; both take the key log beside a capture (`NAME.keys`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use e2e::oracle::{Count, FIELDS, Facts, by_tshark_with_help, captures, compare, read_by_both};

/// How many facts of a field and a capture are printed.
const MAX_FACTS: usize = 4;

fn main() {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let captures: Vec<_> = folders.iter().flat_map(|folder| captures(folder)).collect();
    let mut totals: BTreeMap<&str, Total> = BTreeMap::new();
    let paths: BTreeMap<_, _> =
        captures.iter().map(|path| (path.file_stem().map(ToOwned::to_owned), path)).collect();
    for (name, tshark, analyzer) in read_by_both(&captures) {
        let (Some(tshark), Some(analyzer)) = (tshark, analyzer) else {
            println!("{name}\tnot compared");
            continue;
        };
        let counts = FIELDS.map(|field| (field, compare(&tshark, &analyzer, field)));
        let helped = match paths.get(&Some(name.clone().into())) {
            Some(path) if counts.iter().any(|(_, count)| count.extra > 0) => {
                std::panic::catch_unwind(|| by_tshark_with_help(path, &tshark, &analyzer)).unwrap_or_default()
            }
            _ => Facts::default(),
        };
        let helped = helped.either(&tshark);
        for (field, count) in counts {
            let alone = compare(&helped, &analyzer, field).extra;
            totals.entry(field).or_default().add(count, alone);
            if !count.is_equal() {
                println!("{name}\t{field}\t{}\t{}\t{}\t{alone}", count.expected, count.found, count.extra);
                for (side, facts) in [
                    ("tshark", tshark.without(&analyzer, field)),
                    ("analyze", analyzer.without(&helped, field)),
                ] {
                    facts.iter().take(MAX_FACTS).for_each(|fact| println!("\t{side} alone: {fact}"));
                }
            }
        }
    }
    println!("field\texpected\tfound\textra\talone\trecall\tprecision\tmean recall of {{captures}}");
    for (field, total) in totals {
        println!("{field}\t{total}");
    }
}

/// One field in all captures.
#[derive(Default)]
struct Total {
    count: Count,
    /// Facts that the analyzer states and tshark does not, even with help.
    alone: u64,
    captures: u64,
    /// Sum of the captures' recalls.
    recalls: f64,
}

impl Total {
    fn add(&mut self, count: Count, alone: u64) {
        self.count.expected += count.expected;
        self.count.found += count.found;
        self.count.extra += count.extra;
        self.alone += alone;
        if count.expected > 0 {
            self.captures += 1;
            self.recalls += count.found as f64 / count.expected as f64;
        }
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, alone, captures, recalls } = self;
        let Count { expected, found, extra } = count;
        let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        let (recall, precision) = (percent(*found, *expected), percent(found + extra - alone, found + extra));
        let mean = 100.0 * recalls / (*captures).max(1) as f64;
        write!(
            f,
            "{expected}\t{found}\t{extra}\t{alone}\t{recall:.2} %\t{precision:.2} %\t{mean:.2} % of {captures}"
        )
    }
}
