//! The escape attempts of all sandboxes, and what the captures show of each.

use exposure_schema::{AttemptEntry, PhaseName};

use super::boxes::{AttemptName, Boxes};
use super::captures::{Captured, Sighting};
use super::doubt::IsolationDoubt;
use super::findings::Findings;
use super::leak::{Leak, WirePlace};
use crate::input::isolation_record::{Attempt, BoxRun, Experiment, READS};

/// Judges every attempt, in the order of the journals.
pub(super) fn judge(
    experiment: &Experiment,
    boxes: &[Boxes],
    captures: &[Captured],
) -> (Vec<AttemptEntry>, Findings) {
    let mut entries = Vec::new();
    let mut findings = Findings::default();
    for Boxes { phase, runs } in boxes {
        for run in runs {
            for attempt in run.attempts() {
                let name = AttemptName::new(run, &attempt);
                let entry = entry(experiment, *phase, run, attempt, captures);
                findings.append(of_attempt(name, &entry));
                entries.push(entry);
            }
        }
    }
    (entries, findings)
}

pub(super) fn is_isolated(attempt: &AttemptEntry) -> bool {
    attempt.phase == PhaseName::Isolated
}

fn entry(
    experiment: &Experiment,
    phase: PhaseName,
    run: &BoxRun,
    attempt: Attempt,
    captures: &[Captured],
) -> AttemptEntry {
    let Sighting { count, first } = seen(&attempt, phase, captures);
    let others = experiment.users.iter().filter(|user| run.user.as_deref() != Some(&user.id));
    let secrets = others.filter(|user| attempt.data.contains(&user.secret)).count() as u64;
    let Attempt { kind, target, canary, succeeded, outcome, .. } = attempt;
    let name = run.name.clone();
    AttemptEntry { phase, name, kind, target, canary, succeeded, outcome, secrets, seen: count, first }
}

/// Finds the canary in the captures of the attempt's phase. That of an attempt without network must be in no capture of
/// either phase.
fn seen(attempt: &Attempt, phase: PhaseName, captures: &[Captured]) -> Sighting {
    let nothing = Sighting { count: 0, first: None };
    let Some(canary) = &attempt.canary else { return nothing };
    let captures = captures.iter().filter(|capture| phase == PhaseName::Isolated || capture.phase == phase);
    let sightings = captures.filter_map(|capture| capture.sightings.get(canary));
    sightings.fold(nothing, |sum, more| Sighting {
        count: sum.count + more.count,
        first: sum.first.or_else(|| more.first.clone()),
    })
}

fn of_attempt(name: AttemptName, entry: &AttemptEntry) -> Findings {
    let mut findings = Findings::default();
    let reads = entry.kind == READS;
    if is_isolated(entry) && entry.seen > 0 {
        let first = entry.first.as_ref().map(|first| WirePlace {
            interface: first.interface.clone(),
            frames: first.location.frames.clone(),
        });
        findings.leaks.push(Leak::CanaryOnWire { attempt: name.clone(), first });
    }
    if is_isolated(entry) && reads && (entry.succeeded || entry.secrets > 0) {
        findings.leaks.push(Leak::ReadSucceeded(name.clone()));
    }
    // An escape that a sandbox reports and no capture shows: the captures are not complete.
    if !reads && entry.succeeded && entry.seen == 0 {
        findings.doubts.push(IsolationDoubt::SuccessNotCaptured(name));
    }
    findings
}
