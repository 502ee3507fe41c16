//! Compares the analyzer with tshark, field by field, on captures of other projects' programs (corpus/oracle).
//!
//! corpus/oracle/differences.tsv lists every difference with its reason. A difference that is not in the table fails the test, and
//! so does a row of the table that is no longer a difference, so that the table stays true.
//! `UPDATE_ORACLE=1` writes the table anew and keeps the reasons.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use e2e::oracle::{Count, FIELDS, captures, compare, has_tshark, read_by_both};
use e2e::skip;

/// The columns of the table.
const HEADER: &str = "capture\tfield\texpected\tfound\textra\treason";

/// How a reason begins: a difference that the analyzer has yet to lose, or one that tshark's reading explains.
const REASONS: [&str; 2] = ["open: ", "tshark: "];

/// The reason that a new row gets, which is none.
const NO_REASON: &str = "unexplained";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/oracle")
}

type Rows = BTreeMap<(String, String), (Count, String)>;

fn table() -> Rows {
    let path = folder().join("differences.tsv");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| HEADER.to_owned());
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER), "{}", path.display());
    let row = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        let [capture, field, expected, found, extra, reason] = columns[..] else {
            panic!("six columns: {line}")
        };
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("a number: {line}"));
        let count = Count { expected: number(expected), found: number(found), extra: number(extra) };
        ((capture.to_owned(), field.to_owned()), (count, reason.to_owned()))
    };
    lines.map(row).collect()
}

fn write(rows: &Rows) {
    let mut text = HEADER.to_owned() + "\n";
    for ((capture, field), (Count { expected, found, extra }, reason)) in rows {
        writeln!(text, "{capture}\t{field}\t{expected}\t{found}\t{extra}\t{reason}").expect("a string grows");
    }
    std::fs::write(folder().join("differences.tsv"), text).expect("the table can be written");
}

#[test]
fn the_analyzer_states_what_tshark_states() {
    if !has_tshark() {
        return skip("there is no tshark");
    }
    let known = table();
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    let mut differences = Rows::new();
    let mut wrong = String::new();
    for (name, tshark, analyzer) in read_by_both(&captures(&folder().join("captures"))) {
        let [tshark, analyzer] =
            [tshark, analyzer].map(|facts| facts.expect("both programs read the capture"));
        for field in FIELDS {
            let count = compare(&tshark, &analyzer, field);
            *expected.entry(field).or_default() += count.expected;
            let key = (name.clone(), field.to_owned());
            let row = known.get(&key);
            if !count.is_equal() {
                let reason = row.map_or(NO_REASON, |(_, reason)| reason).to_owned();
                differences.insert(key, (count, reason));
            }
            if row.map(|(count, _)| *count).unwrap_or(Count { found: count.expected, extra: 0, ..count })
                != count
            {
                writeln!(
                    wrong,
                    "{name}: {field}: {count:?}, the table says {:?}\n  tshark alone: {:?}\n  analyze alone: {:?}",
                    row.map(|(count, _)| count),
                    tshark.without(&analyzer, field),
                    analyzer.without(&tshark, field),
                )
                .expect("a string grows");
            }
        }
    }
    if std::env::var_os("UPDATE_ORACLE").is_some() {
        return write(&differences);
    }
    let gone: Vec<_> = known.keys().filter(|key| !differences.contains_key(*key)).collect();
    assert!(gone.is_empty(), "remove these rows, they are no differences any more: {gone:?}");
    assert!(wrong.is_empty(), "{wrong}");
    for field in FIELDS {
        assert!(expected.get(field).is_some_and(|count| *count > 0), "no capture has {field}");
    }
}

#[test]
fn every_difference_has_a_reason() {
    for ((capture, field), (_, reason)) in table() {
        let is_given =
            REASONS.iter().any(|start| reason.strip_prefix(start).is_some_and(|text| text.len() > 10));
        assert!(is_given, "{capture}: {field}: {reason}");
        assert!(FIELDS.contains(&field.as_str()), "{capture}: {field} is compared");
    }
}

#[test]
fn the_corpus_is_small() {
    let sizes: Vec<u64> = captures(&folder().join("captures"))
        .iter()
        .map(|path| path.metadata().expect("a file").len())
        .collect();
    assert!(sizes.len() >= 30, "{} captures", sizes.len());
    assert!(sizes.iter().sum::<u64>() <= 3 << 20, "{} bytes", sizes.iter().sum::<u64>());
}
