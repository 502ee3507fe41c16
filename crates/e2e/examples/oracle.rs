//! Compares the analyzer with tshark on any captures: how many of tshark's facts the analyzer states, by field, and which captures
//! differ.
//!
//! `cargo run -p e2e --example oracle -- FOLDER…`; both take the key log beside a capture (`NAME.keys`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use e2e::oracle::{Count, FIELDS, captures, compare, read_by_both};

/// How many facts of a field and a capture are printed.
const MAX_FACTS: usize = 4;

fn main() {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let captures: Vec<_> = folders.iter().flat_map(|folder| captures(folder)).collect();
    let mut totals: BTreeMap<&str, (Count, u64, f64)> = BTreeMap::new();
    for (name, tshark, analyzer) in read_by_both(&captures) {
        let (Some(tshark), Some(analyzer)) = (tshark, analyzer) else {
            println!("{name}\tnot compared");
            continue;
        };
        for field in FIELDS {
            let count = compare(&tshark, &analyzer, field);
            let (total, captures, mean) = totals.entry(field).or_default();
            total.expected += count.expected;
            total.found += count.found;
            total.extra += count.extra;
            if count.expected > 0 {
                *captures += 1;
                *mean += count.found as f64 / count.expected as f64;
            }
            if !count.is_equal() {
                println!("{name}\t{field}\t{}\t{}\t{}", count.expected, count.found, count.extra);
                for (side, facts) in [
                    ("tshark", tshark.without(&analyzer, field)),
                    ("analyze", analyzer.without(&tshark, field)),
                ] {
                    facts.iter().take(MAX_FACTS).for_each(|fact| println!("\t{side} alone: {fact}"));
                }
            }
        }
    }
    println!("field\texpected\tfound\textra\trecall\tmean of {{captures}}");
    for (field, (total, captures, mean)) in totals {
        let recall = 100.0 * total.found as f64 / total.expected.max(1) as f64;
        let mean = 100.0 * mean / captures.max(1) as f64;
        println!(
            "{field}\t{}\t{}\t{}\t{recall:.2} %\t{mean:.2} % of {captures}",
            total.expected, total.found, total.extra
        );
    }
}
