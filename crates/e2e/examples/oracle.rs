//! Prints how many of tshark's facts the analyzer states, by field, for the captures of a folder.
//!
//! ```console
//! $ cargo run -p e2e --example oracle -- FOLDER [--each]
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use e2e::oracle::{Count, FIELDS, by_analyzer, by_tshark, captures, compare};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder with captures");
    let each = arguments.next().is_some();
    let mut sums: BTreeMap<&str, Count> = BTreeMap::new();
    let captures = captures(Path::new(&folder));
    for capture in &captures {
        let (tshark, analyzer) = (by_tshark(capture), by_analyzer(capture));
        for field in FIELDS {
            let count = compare(&tshark, &analyzer, field);
            let sum = sums.entry(field).or_default();
            sum.expected += count.expected;
            sum.found += count.found;
            sum.extra += count.extra;
            if each && !count.is_equal() {
                println!("{}: {field}: {count:?}", capture.display());
                println!("  lacks {:?}", tshark.without(&analyzer, field));
                println!("  alone {:?}", analyzer.without(&tshark, field));
            }
        }
    }
    println!("{} captures", captures.len());
    for field in FIELDS {
        let Count { expected, found, extra } = sums[field];
        println!("{field:18} {found:5} of {expected:5}, {extra:4} by the analyzer alone");
    }
}
