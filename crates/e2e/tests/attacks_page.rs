//! docs/attacks.md names the tests that try each kind: they exist, their numbers are right, and none is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../../docs/attacks.md");

/// A row of the page.
struct Row {
    kind: &'static str,
    tests: usize,
    /// The files and tests that it names: `FILE`, or `FILE::TEST`.
    named: Vec<(&'static str, Option<&'static str>)>,
}

fn rows() -> Vec<Row> {
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| kind ");
    let row = |line: &'static str| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [kind, tests, _, _, _, named] = cells[..] else { panic!("six cells: {line}") };
        let spans = named.split('`').skip(1).step_by(2);
        let named = spans.map(|span| match span.split_once("::") {
            Some((file, test)) => (file, Some(test)),
            None => (span, None),
        });
        Row { kind, tests: tests.parse().expect("a number"), named: named.collect() }
    };
    PAGE.lines().filter(is_row).map(row).collect()
}

/// The tests in a file: of this folder, or by its path below `crates`.
fn tests_in(file: &str) -> BTreeSet<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [here.join(format!("tests/{file}.rs")), here.join(format!("../{file}.rs"))];
    let text = places.iter().find_map(|path| fs::read_to_string(path).ok());
    let text = text.unwrap_or_else(|| panic!("{file} is no file of tests"));
    let name = |test: &str| test.split_once("fn ")?.1.split_once('(').map(|(name, _)| name.to_owned());
    text.split("#[test]").skip(1).filter_map(name).collect()
}

#[test]
fn every_row_names_tests_that_exist_and_every_test_has_one_row() {
    let rows = rows();
    assert!(rows.len() > 15, "{} rows", rows.len());
    let files: BTreeSet<_> = rows.iter().flat_map(|row| &row.named).map(|(file, _)| *file).collect();
    let mut left: BTreeMap<_, _> = files.into_iter().map(|file| (file, tests_in(file))).collect();
    let mut counts = vec![0; rows.len()];
    for (row, count) in rows.iter().zip(&mut counts) {
        for (file, test) in &row.named {
            let Some(test) = test else { continue };
            let found = left.get_mut(file).is_some_and(|tests| tests.remove(*test));
            assert!(found, "{}: {file}::{test} does not exist, or has two rows", row.kind);
            *count += 1;
        }
    }
    // A file without a test stands for all tests that no row names.
    let mut wholes = BTreeSet::new();
    for (row, count) in rows.iter().zip(&mut counts) {
        for (file, _) in row.named.iter().filter(|(_, test)| test.is_none()) {
            assert!(wholes.insert(*file), "{file} has two rows");
            *count += left.remove(file).expect("a file of the page").len();
        }
    }
    // Of other crates, only some tests are about attacks.
    left.retain(|file, tests| !file.contains("/tests/") && !tests.is_empty());
    assert!(left.is_empty(), "without a row: {left:?}");
    for (row, count) in rows.iter().zip(counts) {
        assert_eq!(row.tests, count, "docs/attacks.md states another number of tests: {}", row.kind);
    }
}
