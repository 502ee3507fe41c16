//! Random alterations of an isolation run: none may be called "isolated" that must not be, and none may crash the analyzer.
//!
//! A seed makes one mutant of the files of a run. A judge that shares no code with the analyzer decides whether it may be
//! called "isolated". Environment variables:
//!
//! - `PLAINSIGHT_ISOLATION_MUTANTS`: number of mutants, instead of [`MUTANTS`];
//! - `PLAINSIGHT_ISOLATION_MUTANTS_SEED`: the first seed, instead of [`FIRST_SEED`]; each mutant has the next one.
//!
//! A failure keeps the files of the mutant, and names their folder. Canaries and secrets differ from run to run, so a seed makes
//! the same alteration, not the same bytes.

mod files;
mod judge;
mod operations;
#[path = "../mutants/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use e2e::damage::{Judged, analyze_command};
use e2e::lab::outcome;
use e2e::{Lab, has_netns, programs, skip};

use self::files::Files;
use self::random::Random;

/// Takes some ten seconds on two cores; `make isolation-mutants` judges 2,000.
const MUTANTS: u64 = 60;

/// The first of the seeds that the project is checked with: 1 to 2,000.
const FIRST_SEED: u64 = 1;

#[test]
fn no_mutant_is_isolated_that_must_not_be() {
    if let Err(reason) = has_netns() {
        return skip(&reason);
    }
    let count = number("PLAINSIGHT_ISOLATION_MUTANTS", MUTANTS);
    let first = number("PLAINSIGHT_ISOLATION_MUTANTS_SEED", FIRST_SEED);
    let lab = Lab::new();
    let output = lab.run(&["isolation", "--backend", "netns"]);
    assert!(output.status.success(), "{}", outcome(&output));
    let original = Files::read(&lab.captures()).normalized();
    assert_eq!(judge::objections(&original, &original), Vec::<String>::new());
    assert_eq!(verdict_on(&original), Ok("isolated".to_owned()));

    let next = AtomicU64::new(0);
    let table = Mutex::new(Table::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        break;
                    }
                    let tried = Tried::new(&original, first + at);
                    table.lock().expect("no thread panics with the table").add(tried);
                }
            });
        }
    });
    let Table { rows, wrong } = table.into_inner().expect("no thread panicked");
    for (operation, verdicts) in &rows {
        println!("{operation:<45} {verdicts:?}");
    }
    let total = |verdict| rows.values().filter_map(|row| row.get(verdict)).sum::<u64>();
    println!(
        "{count} mutants from seed {first} on: {} isolated, {} inconclusive, {} leaked, {} refused",
        total("isolated"),
        total("inconclusive"),
        total("leaked"),
        total("refused")
    );
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    if count >= 100 {
        // Otherwise the mutants would show nothing.
        assert!(total("leaked") >= count / 20 && total("inconclusive") >= count / 20);
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number"))
}

/// A mutant, and what the analyzer made of it.
struct Tried {
    operation: &'static str,
    verdict: String,
    wrong: Option<String>,
}

impl Tried {
    fn new(original: &Files, seed: u64) -> Self {
        let mut mutant = original.clone();
        let operation = operations::apply(&mut mutant, original, &mut Random::new(seed));
        let objections = judge::objections(original, &mutant);
        let (verdict, wrong) = match verdict_on(&mutant) {
            Ok(verdict) if verdict == "isolated" && !objections.is_empty() => {
                let why = format!("isolated, but {}", objections.join("; "));
                (verdict, Some(why))
            }
            Ok(verdict) => (verdict, None),
            Err(crash) => ("crash".to_owned(), Some(crash)),
        };
        let wrong = wrong.map(|why| {
            let folder = programs::folder().join("isolation-mutants").join(seed.to_string());
            mutant.write(&folder);
            format!("seed {seed} ({operation}): {why}\n  cargo run -p analyze -- {}", folder.display())
        });
        Self { operation, verdict, wrong }
    }
}

/// The verdict on a run, "refused" if there is none; an error if the analyzer crashes, or its exit status contradicts the
/// verdict.
fn verdict_on(files: &Files) -> Result<String, String> {
    let folder = tempfile::Builder::new().prefix("plainsight-mutant-").tempdir().expect("a folder");
    files.write(folder.path());
    let output = analyze_command()
        .args(["--format", "json", "--no-output"])
        .arg(folder.path().join("isolation.json"))
        .output()
        .expect("analyze starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    if !code.is_some_and(|code| (0..=3).contains(&code)) || stderr.contains("panicked") {
        return Err(format!("{}: {stderr}", output.status));
    }
    let judged = Judged::of(&output);
    let verdict = judged.document["isolation"][0]["verdict"].as_str().unwrap_or("refused").to_owned();
    let expected = match verdict.as_str() {
        "isolated" => 0,
        "leaked" => 1,
        "refused" => 2,
        _ => 3,
    };
    if code == Some(expected) { Ok(verdict) } else { Err(format!("exit status {code:?} for {verdict}")) }
}

/// Counts of verdicts by operation.
#[derive(Default)]
struct Table {
    rows: BTreeMap<&'static str, BTreeMap<String, u64>>,
    wrong: Vec<String>,
}

impl Table {
    fn add(&mut self, tried: Tried) {
        *self.rows.entry(tried.operation).or_default().entry(tried.verdict).or_default() += 1;
        self.wrong.extend(tried.wrong);
    }
}
