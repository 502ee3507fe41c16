//! The outcome of a check: what a policy says of a result, as a document and as what other programs read.

pub mod console;
pub mod junit;
pub mod markdown;
pub mod sarif;

use exposure_schema::{Exposure, Program};
use policy::{Accepted, Judgement, Outcome, Violation};
use serde::Serialize;

use crate::verdict::conclusion::exit;

/// Name and version of the document.
pub const SCHEMA: &str = "plainsight.check/1";

/// The outcome of a check.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The schema's name and version: [`SCHEMA`].
    pub schema: &'static str,
    /// The program that checked.
    pub program: Program,
    /// Path of the policy.
    pub policy: String,
    /// Path of the baseline; `null` without one.
    pub baseline: Option<String>,
    /// `met`, `violated` or `undecided`.
    pub outcome: &'static str,
    /// The captures and isolation runs that were checked.
    pub checked: Vec<CheckedFile>,
    /// What violates a rule or a wish, or is undecided.
    pub violations: Vec<Violation>,
    /// Doubts that the policy accepts.
    pub accepted: Vec<Accepted>,
    /// Codes of accepted doubts that no capture has.
    pub unused: Vec<String>,
    /// Inputs that could not be analyzed, each with the reason.
    pub errors: Vec<String>,
}

/// A file that was checked.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedFile {
    /// Name of the capture; `isolation` of an isolation run.
    pub name: String,
    /// Its path.
    pub file: String,
    /// SHA-256 of a capture; `null` of the record of a run.
    pub sha256: Option<String>,
}

impl Checked {
    /// The outcome for this result. `policy` and `baseline` are paths.
    pub fn new(policy: String, baseline: Option<String>, exposure: &Exposure, judgement: Judgement) -> Self {
        let outcome = match judgement.outcome() {
            None => "met",
            Some(outcome) => outcome.name(),
        };
        let captures = exposure.captures.iter().map(|capture| CheckedFile {
            name: capture.name.clone(),
            file: capture.file.clone(),
            sha256: Some(capture.sha256.clone()),
        });
        let runs = exposure.isolation.iter().map(|run| CheckedFile {
            name: "isolation".to_owned(),
            file: run.file.clone(),
            sha256: None,
        });
        let Judgement { violations, accepted, unused } = judgement;
        Self {
            schema: SCHEMA,
            program: exposure.program.clone(),
            policy,
            baseline,
            outcome,
            checked: captures.chain(runs).collect(),
            violations,
            accepted,
            unused,
            errors: exposure.errors.clone(),
        }
    }

    /// The exit status: a violation outweighs an error, which outweighs what is undecided.
    pub fn exit_status(&self) -> u8 {
        match self.outcome {
            "violated" => exit::NOT_MET,
            _ if !self.errors.is_empty() || self.checked.is_empty() => exit::INPUT,
            "undecided" => exit::INCONCLUSIVE,
            _ => exit::MET,
        }
    }
}

/// What a violation is called: its outcome, unless the baseline has it.
fn word(violation: &Violation) -> &'static str {
    if violation.is_known { "known" } else { violation.outcome.name() }
}

/// How often each outcome is there that is not known from the baseline.
fn counts(checked: &Checked) -> [(Outcome, usize); 3] {
    [Outcome::Violated, Outcome::Undecided, Outcome::Wish].map(|outcome| {
        let new = checked.violations.iter().filter(|violation| !violation.is_known);
        (outcome, new.filter(|violation| violation.outcome == outcome).count())
    })
}
