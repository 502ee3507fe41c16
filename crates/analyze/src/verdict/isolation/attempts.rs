//! The escape attempts of all sandboxes, and what the captures show of each.

use std::net::SocketAddr;

use exposure_schema::{AttemptEntry, PhaseName};

use super::boxes::{AttemptName, Boxes};
use super::captures::{Captured, Sighting};
use super::doubt::IsolationDoubt;
use super::findings::Findings;
use super::leak::{Leak, WirePlace};
use crate::input::isolation_record::{self, Attempt, BoxRun, Carrier, Experiment, Shown};

/// Judges every attempt, in the order of the journals. `later`: the captures of the protections.
pub(super) fn judge(
    experiment: &Experiment,
    boxes: &[Boxes],
    captures: &[Captured],
    later: &[&Captured],
) -> (Vec<AttemptEntry>, Findings) {
    let mut entries = Vec::new();
    let mut findings = Findings::default();
    for Boxes { phase, runs } in boxes {
        for run in runs {
            for attempt in run.attempts() {
                let name = AttemptName::new(run, attempt);
                let has_data = !attempt.data.is_empty();
                let entry = entry(experiment, *phase, run, attempt, (captures, later));
                findings.append(of_attempt(name, &entry, has_data));
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
    attempt: &Attempt,
    (captures, later): (&[Captured], &[&Captured]),
) -> AttemptEntry {
    let Sighting { count, first, .. } = match phase {
        PhaseName::Isolated => seen(attempt, captures.iter().chain(later.iter().copied())),
        PhaseName::Control => seen_on_the_way(experiment, attempt, captures),
    };
    let others = experiment.users.iter().filter(|user| run.user.as_deref() != Some(&user.id));
    let secrets = others.filter(|user| attempt.data.contains(&user.secret)).count() as u64;
    let Attempt { kind, target, canary, succeeded, outcome, .. } = attempt.clone();
    let name = run.name.clone();
    AttemptEntry { phase, name, kind, target, canary, succeeded, outcome, secrets, seen: count, first }
}

/// Finds the canary of an attempt without network: it must be in no capture of the run.
fn seen<'c>(attempt: &Attempt, captures: impl Iterator<Item = &'c Captured>) -> Sighting {
    let Some(canary) = &attempt.canary else { return Sighting::default() };
    let sightings = captures.filter_map(|capture| capture.sightings.get(canary));
    sightings.fold(Sighting::default(), |sum, more| Sighting {
        count: sum.count + more.count,
        first: sum.first.or_else(|| more.first.clone()),
        carriers: Vec::new(),
    })
}

/// Finds the canary of an attempt of the control on its way: in frames to its target, of its protocol, on the interface that
/// the plan has for it. In any other frame it shows nothing about these captures.
fn seen_on_the_way(experiment: &Experiment, attempt: &Attempt, captures: &[Captured]) -> Sighting {
    let nothing = Sighting::default();
    let Some(canary) = &attempt.canary else { return nothing };
    let Some(Shown::OnWire(carrier)) = isolation_record::kind(&attempt.kind).map(|kind| kind.shown) else {
        return nothing;
    };
    let asked = experiment.users.iter().flat_map(|user| &user.attempts);
    let mut planned = asked.filter(|asked| asked.kind == attempt.kind && asked.target == attempt.target);
    let Some(interface) = planned.find_map(|asked| asked.interface.as_deref()) else { return nothing };
    let Some(target) = address(&attempt.target, carrier) else { return nothing };
    let on_interface = captures.iter().filter(|capture| {
        capture.phase == PhaseName::Control && capture.interface.as_deref() == Some(interface)
    });
    let sightings = on_interface.filter_map(|capture| capture.sightings.get(canary));
    let reaching = sightings.filter(|sighting| sighting.carriers.contains(&(carrier, target)));
    reaching.fold(nothing, |sum, more| Sighting {
        count: sum.count
            + more.carriers.iter().filter(|carried| **carried == (carrier, target)).count() as u64,
        first: sum.first.or_else(|| more.first.clone()),
        carriers: Vec::new(),
    })
}

/// The address that frames to the target have. Raw packets have no port.
fn address(target: &str, carrier: Carrier) -> Option<SocketAddr> {
    match carrier {
        Carrier::Raw => Some(SocketAddr::new(target.parse().ok()?, 0)),
        Carrier::Tcp | Carrier::Udp => target.parse().ok(),
    }
}

/// `has_data`: the attempt read or heard something.
fn of_attempt(name: AttemptName, entry: &AttemptEntry, has_data: bool) -> Findings {
    let mut findings = Findings::default();
    let Some(kind) = isolation_record::kind(&entry.kind) else {
        findings.doubts.push(IsolationDoubt::KindUnknown(name));
        return findings;
    };
    let sends = matches!(kind.shown, Shown::OnWire(_));
    let reads = matches!(kind.shown, Shown::Reads | Shown::Hears);
    if is_isolated(entry) && entry.seen > 0 {
        let first = entry.first.as_ref().map(|first| WirePlace {
            interface: first.interface.clone(),
            frames: first.location.frames.clone(),
        });
        findings.leaks.push(Leak::CanaryOnWire { attempt: name.clone(), first });
    }
    if is_isolated(entry) && (reads && (entry.succeeded || has_data) || entry.secrets > 0) {
        findings.leaks.push(Leak::ReadSucceeded(name.clone()));
    }
    // An escape that a sandbox reports and no capture shows: the captures are not complete.
    if sends && entry.succeeded && entry.seen == 0 {
        findings.doubts.push(IsolationDoubt::SuccessNotCaptured(name.clone()));
    }
    if sends && !is_isolated(entry) && !entry.succeeded && entry.seen > 0 {
        findings.doubts.push(IsolationDoubt::FailureCaptured(name));
    }
    findings
}
