//! Random mutants of TLS runs: none may be called "sealed" that must not be, and none may crash the analyzer.
//!
//! A seed makes one mutant of the files of a run. A judge that shares no code with the analyzer decides which verdicts it may
//! get. Environment variables:
//!
//! - `PLAINSIGHT_MUTANTS`: number of mutants, instead of [`MUTANTS`];
//! - `PLAINSIGHT_MUTANTS_SEED`: the first seed, instead of [`FIRST_SEED`]; each mutant has the next one.
//!
//! Seeds give the same mutant of the same run. A failure therefore keeps the files of the run and of the mutant, and names
//! their folder.

mod judge;
mod operations;
mod random;
mod run;
mod streams;
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use e2e::damage::analyze_command;
use e2e::{Lab, has_netns, programs, run_lab, skip};
use serde_json::Value;

use self::judge::{Permitted, judge};
use self::operations::{Mutant, mutant};
use self::run::{CAPTURE, Run};

/// Takes half a minute on two cores.
const MUTANTS: u64 = 300;

const FIRST_SEED: u64 = 1;

/// A mutant of a run takes less than a second. On a machine under load it may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// One mutant in so many is of a whole run of the lab, with several connections. The others are of a short run, which is
/// analyzed ten times as fast.
const WHOLE_RUN_ONCE_IN: u64 = 16;

/// Number of messages in a short run.
const SHORT: &str = "4";

#[test]
fn no_mutant_is_sealed_that_must_not_be() {
    let count = number("PLAINSIGHT_MUTANTS", MUTANTS);
    let first = number("PLAINSIGHT_MUTANTS_SEED", FIRST_SEED);
    let runs = Runs::new();
    let next = AtomicU64::new(0);
    let table = Mutex::new(Table::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        break;
                    }
                    let seed = first + at;
                    let original = runs.of(seed);
                    let tried = Tried::new(original, seed);
                    table.lock().expect("no thread panics with the table").add(&tried);
                }
            });
        }
    });
    let table = table.into_inner().expect("no thread panicked");
    println!("{} mutants from seed {first} on, {} s\n{table}", count, began.elapsed().as_secs());
    assert!(table.wrong.is_empty(), "{} wrong:\n{}", table.wrong.len(), table.wrong.join("\n"));
    if count >= 100 {
        // Otherwise the mutants would show nothing: most changes matter, and some do not.
        let least = count / 20;
        assert!(table.total("sealed") >= least && table.total("exposed") >= least, "{table}");
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number"))
}

/// The runs that are changed.
struct Runs {
    short: Vec<Run>,
    whole: Vec<Run>,
}

impl Runs {
    fn new() -> Self {
        let mut backends = vec!["relay"];
        match has_netns() {
            Ok(()) => backends.push("netns"),
            Err(reason) => skip(&reason),
        }
        let short = |backend: &&str| {
            let lab = Lab::new();
            let output = lab.run(&["https", "--count", SHORT, "--backend", backend]);
            assert!(output.status.success(), "{}", e2e::lab::outcome(&output));
            Run::read(&lab.captures())
        };
        Self {
            short: backends.iter().map(short).collect(),
            whole: backends.iter().map(|backend| Run::read(&run_lab(backend).captures())).collect(),
        }
    }

    fn of(&self, seed: u64) -> &Run {
        let backend = seed as usize % self.short.len();
        if (seed / 2).is_multiple_of(WHOLE_RUN_ONCE_IN) { &self.whole[backend] } else { &self.short[backend] }
    }
}

/// A mutant, and what the analyzer made of it.
struct Tried {
    operation: &'static str,
    verdict: String,
    wrong: Option<String>,
}

impl Tried {
    fn new(original: &Run, seed: u64) -> Self {
        let mutant = mutant(original, seed);
        let permitted = judge(original, &mutant);
        let folder = tempfile::Builder::new().prefix("plainsight-mutant-").tempdir().expect("a folder");
        mutant.run.write(folder.path());
        let outcome = Outcome::of(folder.path());
        let wrong = outcome.wrong(&permitted).map(|what| {
            let kept = keep(original, &mutant, seed);
            let Mutant { steps, .. } = &mutant;
            format!(
                "seed {seed} ({} operations: {}): {what}\n  objections: {:?}\n  {}\n  to see it again: cargo run -p analyze -- {}",
                steps.len(),
                mutant.description(),
                permitted.objections,
                outcome.reasons.join("; "),
                kept.join(CAPTURE).display(),
            )
        });
        Self { operation: mutant.name(), verdict: outcome.verdict, wrong }
    }
}

/// Keeps the files of a mutant that was judged wrongly, and those of its run.
fn keep(original: &Run, mutant: &Mutant, seed: u64) -> PathBuf {
    let folder = programs::folder().join("mutants").join(seed.to_string());
    let run = folder.join("run");
    fs::create_dir_all(&run).expect("the target folder is writable");
    original.write(&run);
    mutant.run.write(&folder);
    folder
}

/// What the analyzer makes of a mutant.
struct Outcome {
    /// `None` if the analyzer did not end in time.
    status: Option<ExitStatus>,
    /// The verdict; "none" without one, "refused" without a document or an entry.
    verdict: String,
    reasons: Vec<String>,
    stderr: String,
}

impl Outcome {
    fn of(folder: &Path) -> Self {
        let file = |name: &str| File::create(folder.join(name)).expect("a new file");
        let mut command = analyze_command();
        command.args(["--format", "json", "--no-output"]).arg(folder.join(CAPTURE));
        command.stdout(file("stdout")).stderr(file("stderr"));
        let mut child = command.spawn().expect("analyze starts");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().expect("a child can be asked") {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => {
                    child.kill().expect("a child can be killed");
                    child.wait().expect("a child can be waited for");
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let text = |name: &str| fs::read(folder.join(name)).expect("a file that was created");
        let document: Value = serde_json::from_slice(&text("stdout")).unwrap_or_default();
        let capture = &document["captures"][0];
        let verdict = match &capture["verdict"] {
            Value::String(verdict) => verdict.clone(),
            _ if capture.is_object() => "none".to_owned(),
            _ => "refused".to_owned(),
        };
        let reasons = capture["reasons"].as_array().into_iter().flatten();
        let reasons = reasons.filter_map(Value::as_str).map(str::to_owned).collect();
        Self { status, verdict, reasons, stderr: String::from_utf8_lossy(&text("stderr")).into_owned() }
    }

    /// What must not be: a crash, a verdict that is not permitted, or an exit status that contradicts the verdict.
    fn wrong(&self, permitted: &Permitted) -> Option<String> {
        let Some(status) = self.status else { return Some("it does not end".to_owned()) };
        let Some(code) = status.code().filter(|code| (0..=3).contains(code)) else {
            return Some(format!("{status}: {}", self.stderr));
        };
        if self.stderr.contains("panicked") {
            return Some(format!("a panic: {}", self.stderr));
        }
        let is_exposed = self.verdict == "exposed";
        if self.verdict == "sealed" && !permitted.objections.is_empty() {
            return Some("sealed".to_owned());
        }
        if is_exposed && !permitted.may_be_exposed {
            return Some("exposed, but nothing was planted".to_owned());
        }
        if !is_exposed && permitted.must_be_exposed {
            return Some(format!("{}, not exposed", self.verdict));
        }
        // docs/programs/analyze.md; another expected verdict in the manifest contradicts a field, and is a doubt.
        let expected: &[i32] = match self.verdict.as_str() {
            "sealed" if self.reasons.is_empty() => &[0],
            "exposed" => &[1, 3],
            "refused" => &[2],
            _ => &[3],
        };
        (!expected.contains(&code))
            .then(|| format!("exit status {code} for {}: {}", self.verdict, self.stderr))
    }
}

/// Counts of verdicts by operation.
#[derive(Default)]
struct Table {
    rows: BTreeMap<&'static str, BTreeMap<String, u64>>,
    wrong: Vec<String>,
}

impl Table {
    fn add(&mut self, tried: &Tried) {
        *self.rows.entry(tried.operation).or_default().entry(tried.verdict.clone()).or_default() += 1;
        self.wrong.extend(tried.wrong.clone());
    }

    fn total(&self, verdict: &str) -> u64 {
        self.rows.values().filter_map(|row| row.get(verdict)).sum()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const VERDICTS: [&str; 5] = ["exposed", "inconclusive", "sealed", "none", "refused"];
        let row = |name: &str, count: &dyn Fn(&str) -> String| {
            let mut text = format!("{name:<45}");
            for verdict in VERDICTS {
                let _ = write!(text, "{:>14}", count(verdict));
            }
            text
        };
        writeln!(f, "{}", row("operation", &|verdict| verdict.to_owned()))?;
        for (name, counts) in &self.rows {
            let count = |verdict: &str| counts.get(verdict).copied().unwrap_or(0).to_string();
            writeln!(f, "{}", row(name, &count))?;
        }
        writeln!(f, "{}", row("all", &|verdict| self.total(verdict).to_string()))
    }
}
