//! Judges a result by a policy.

use std::collections::BTreeSet;

use exposure_schema::{Capture, Expected, Exposure, Isolation, IsolationVerdict};
use time::Date;

use crate::file::Policy;
use crate::judgement::{Found, Judgement, Outcome};
use crate::{cleartext, doubts, sealed, tls};

/// Judges a result on this day.
#[must_use]
pub fn judge(policy: &Policy, exposure: &Exposure, today: Date) -> Judgement {
    let mut judgement = Judgement::default();
    let mut used = BTreeSet::new();
    for error in &exposure.errors {
        let mut found = Found { capture: "", file: "", violations: Vec::new() };
        found.add("input", Outcome::Undecided, error, format!("not analyzed: {error}"), Vec::new());
        judgement.violations.append(&mut found.violations);
    }
    for capture in &exposure.captures {
        let mut found = Found { capture: &capture.name, file: &capture.file, violations: Vec::new() };
        of_capture(policy, capture, &mut found);
        doubts::judge(policy, &capture.doubts, today, &mut found, &mut judgement.accepted, &mut used);
        judgement.violations.append(&mut found.violations);
    }
    for run in &exposure.isolation {
        let mut found = Found { capture: "isolation", file: &run.file, violations: Vec::new() };
        of_run(policy, run, &mut found);
        doubts::judge(policy, &run.doubts, today, &mut found, &mut judgement.accepted, &mut used);
        judgement.violations.append(&mut found.violations);
    }
    let unused = policy.allow.iter().enumerate().filter(|(index, _)| !used.contains(index));
    judgement.unused = unused.map(|(_, allow)| allow.doubt.clone()).collect();
    judgement
}

fn of_capture(policy: &Policy, capture: &Capture, found: &mut Found<'_>) {
    // A rule about traffic says nothing of a capture that has none: the capturer may have seen nothing.
    // In an isolation run that is what it shows.
    let is_isolated = capture.expected_verdict == Some(Expected::Isolated);
    if capture.peers.is_empty() && !is_isolated {
        let text = "no payload was captured, so no rule is judged by anything";
        found.add("traffic", Outcome::Undecided, "traffic", text, Vec::new());
    }
    tls::judge(&policy.tls, capture, found);
    cleartext::judge(&policy.cleartext, capture, found);
    sealed::judge(&policy.sealed, capture, found);
}

fn of_run(policy: &Policy, run: &Isolation, found: &mut Found<'_>) {
    if policy.sealed.verdict && run.verdict == IsolationVerdict::Leaked {
        let leak = run.leaks.first().map(|leak| format!(": {}", leak.text)).unwrap_or_default();
        found.add(
            "sealed.verdict",
            Outcome::Violated,
            "leaked",
            format!("the run is leaked{leak}"),
            Vec::new(),
        );
    }
}
