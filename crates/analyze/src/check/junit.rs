//! JUnit XML: a suite for each file, and a case for each rule that it violates; a file without violation has one that passes.

use std::io::{self, Write};

use policy::{Outcome as Of, Violation};

use super::Checked;
use super::console::described;
use crate::output::junit::{Case, Outcome, Suite, write_suites};

/// Writes the outcome.
///
/// # Errors
///
/// `out` fails.
pub fn write(checked: &Checked, out: &mut dyn Write) -> io::Result<()> {
    let mut suites: Vec<_> = checked
        .checked
        .iter()
        .map(|file| {
            let violations = checked.violations.iter().filter(|violation| violation.file == file.file);
            let mut cases: Vec<_> = violations.map(case).collect();
            if cases.is_empty() {
                let name = "every rule is met".to_owned();
                let about = file.file.clone();
                cases.push(Case { name, about, outcome: Outcome::Passed, details: Vec::new() });
            }
            Suite { name: file.name.clone(), properties: vec![("file", file.file.clone())], cases }
        })
        .collect();
    let errors = checked.violations.iter().filter(|violation| violation.file.is_empty());
    let cases: Vec<_> = errors.map(case).collect();
    if !cases.is_empty() {
        suites.push(Suite { name: "inputs".to_owned(), properties: Vec::new(), cases });
    }
    write_suites(&suites, out)
}

fn case(violation: &Violation) -> Case {
    let text = violation.text.clone();
    let outcome = match violation.outcome {
        _ if violation.is_known => Outcome::Skipped(format!("known from the baseline: {text}")),
        Of::Violated => Outcome::Failure(text),
        Of::Undecided => Outcome::Error(text),
        Of::Wish => Outcome::Skipped(text),
    };
    Case {
        name: format!("{}: {}", violation.rule, violation.subject),
        about: violation.file.clone(),
        outcome,
        details: violation.places.iter().map(described).collect(),
    }
}
