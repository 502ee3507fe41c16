//! The positive control: with a network, the same attempts are seen in captures of the same interfaces.

use std::collections::{BTreeMap, BTreeSet};

use exposure_schema::{AttemptEntry, KindEntry, PhaseName};

use super::attempts::is_isolated;
use super::boxes::{Boxes, UNBOXED};
use super::doubt::IsolationDoubt;
use crate::input::isolation_record::{KINDS, READS};

/// Kinds of attempts that a sandbox refuses even with a network: the control makes them outside any sandbox.
const NEEDS_NO_BOX: [&str; 2] = ["raw", "file"];

/// Lists every kind of attempt, and whether its control passed.
///
/// An attempt of the control is the same if kind and target are equal and its sandbox differs in having a network.
/// Attempts outside any sandbox count for [`NEEDS_NO_BOX`] only.
pub(super) fn judge(attempts: &[AttemptEntry], boxes: &[Boxes]) -> (Vec<KindEntry>, Vec<IsolationDoubt>) {
    let (mut kinds, targets) = count(attempts, boxes);
    let mut doubts = Vec::new();
    for kind in &mut kinds {
        let mut of_kind =
            targets.iter().filter(|((name, _), _)| *name == kind.kind).map(|(_, is_seen)| *is_seen);
        // The data of another user is in one of several places; for other kinds every target has to be seen.
        kind.control_passed = if kind.kind == READS {
            of_kind.any(|seen| seen)
        } else {
            kind.tried > 0 && of_kind.all(|seen| seen)
        };
        if kind.tried == 0 {
            doubts.push(IsolationDoubt::KindNotTried(kind.kind.clone()));
        } else if !kind.control_passed {
            let (tried, seen) = (kind.control_tried, kind.control_seen);
            doubts.push(IsolationDoubt::EscapeNotSeen { kind: kind.kind.clone(), tried, seen });
        }
    }
    (kinds, doubts)
}

/// Kind and target of each attempt without network, and whether the same attempt with a network is seen.
type SeenTargets<'a> = BTreeMap<(&'a str, &'a str), bool>;

fn count<'a>(attempts: &'a [AttemptEntry], boxes: &[Boxes]) -> (Vec<KindEntry>, SeenTargets<'a>) {
    let runs = boxes.iter().flat_map(|boxes| &boxes.runs);
    let unboxed: BTreeSet<&str> =
        runs.filter(|run| run.network == UNBOXED).map(|run| run.name.as_str()).collect();
    let mut kinds: BTreeMap<&str, KindEntry> =
        KINDS.into_iter().map(|kind| (kind, uncounted(kind))).collect();
    let isolated = attempts.iter().filter(|attempt| is_isolated(attempt));
    let mut targets: SeenTargets<'a> =
        isolated.map(|attempt| ((attempt.kind.as_str(), attempt.target.as_str()), false)).collect();
    for attempt in attempts {
        let entry = kinds.entry(&attempt.kind).or_insert_with(|| uncounted(&attempt.kind));
        let on_a_wire = attempt.seen > 0;
        // An attempt that reads is judged by the data that it got, not by packets: without network, any data is too
        // much; with one, only a user's secret shows that there was something to read.
        let reads = attempt.kind == READS;
        match attempt.phase {
            PhaseName::Isolated => {
                entry.tried += 1;
                entry.seen += u64::from(if reads { attempt.succeeded } else { on_a_wire });
            }
            PhaseName::Control => {
                if unboxed.contains(attempt.name.as_str()) && !NEEDS_NO_BOX.contains(&attempt.kind.as_str()) {
                    continue;
                }
                entry.control_tried += 1;
                let Some(target) = targets.get_mut(&(attempt.kind.as_str(), attempt.target.as_str())) else {
                    continue;
                };
                let is_seen = if reads { attempt.secrets > 0 } else { on_a_wire };
                entry.control_seen += u64::from(is_seen);
                *target |= is_seen;
            }
        }
    }
    (kinds.into_values().collect(), targets)
}

fn uncounted(kind: &str) -> KindEntry {
    let kind = kind.to_owned();
    KindEntry { kind, tried: 0, seen: 0, control_tried: 0, control_seen: 0, control_passed: false }
}
