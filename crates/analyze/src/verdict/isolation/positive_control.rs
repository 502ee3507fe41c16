//! The positive control: with a network, the same attempts are seen in captures of the same interfaces; and where there is no
//! sandbox, processes hear each other.

use std::collections::{BTreeMap, BTreeSet};

use exposure_schema::{AttemptEntry, KindEntry, PhaseName};

use super::attempts::is_isolated;
use super::boxes::{Boxes, MIN_VALUE, UNBOXED};
use super::doubt::IsolationDoubt;
use crate::input::isolation_record::{self, KINDS, Kind, Shown};

/// Lists every kind of attempt that is required or was made, and whether its control passed.
///
/// An attempt of the control is the same if kind and target are equal and its sandbox differs in having a network.
/// Attempts outside any sandbox count for kinds that need it only. Ways that no sandbox closes are not listed: they are
/// measured.
pub(super) fn judge(attempts: &[AttemptEntry], boxes: &[Boxes]) -> (Vec<KindEntry>, Vec<IsolationDoubt>) {
    let (mut kinds, targets) = count(attempts, boxes);
    let mut by_kind: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for ((kind, _), is_seen) in &targets {
        by_kind.entry(*kind).or_default().push(*is_seen);
    }
    let mut doubts = Vec::new();
    for kind in &mut kinds {
        let mut of_kind = by_kind.get(kind.kind.as_str()).into_iter().flatten();
        let shown = isolation_record::kind(&kind.kind).map(|kind| kind.shown);
        // The data of another user is in one of several places; for other kinds every target has to be seen.
        kind.control_passed = match shown {
            Some(Shown::Reads) => of_kind.any(|seen| *seen),
            Some(_) => kind.tried > 0 && of_kind.all(|seen| *seen),
            None => false,
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

/// The kinds that every run must have and that a sandbox closes.
fn listed() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(|kind| kind.is_required && kind.shown != Shown::Measured)
}

/// Kind and target of each attempt without network, and whether the same attempt with a network is seen.
type SeenTargets<'a> = BTreeMap<(&'a str, &'a str), bool>;

fn count<'a>(attempts: &'a [AttemptEntry], boxes: &[Boxes]) -> (Vec<KindEntry>, SeenTargets<'a>) {
    let runs = boxes.iter().flat_map(|boxes| &boxes.runs);
    let unboxed: BTreeSet<&str> =
        runs.filter(|run| run.network == UNBOXED).map(|run| run.name.as_str()).collect();
    let mut kinds: BTreeMap<&str, KindEntry> =
        listed().map(|kind| (kind.name, uncounted(kind.name))).collect();
    let heard = heard(boxes);
    let isolated = attempts.iter().filter(|attempt| is_isolated(attempt));
    let mut targets: SeenTargets<'a> =
        isolated.map(|attempt| ((attempt.kind.as_str(), attempt.target.as_str()), false)).collect();
    for attempt in attempts {
        let kind = isolation_record::kind(&attempt.kind);
        if kind.is_some_and(|kind| kind.shown == Shown::Measured) {
            continue;
        }
        let entry = kinds.entry(&attempt.kind).or_insert_with(|| uncounted(&attempt.kind));
        let on_a_wire = attempt.seen > 0;
        // An attempt that reads is judged by the data that it got, not by packets: without network, any data is too
        // much; with one, only a user's secret shows that there was something to read.
        let sends = kind.is_some_and(|kind| matches!(kind.shown, Shown::OnWire(_)));
        match attempt.phase {
            PhaseName::Isolated => {
                entry.tried += 1;
                entry.seen += u64::from(if sends { on_a_wire } else { attempt.succeeded });
            }
            PhaseName::Control => {
                if unboxed.contains(attempt.name.as_str()) && !kind.is_some_and(|kind| kind.needs_no_box) {
                    continue;
                }
                entry.control_tried += 1;
                let Some(target) = targets.get_mut(&(attempt.kind.as_str(), attempt.target.as_str())) else {
                    continue;
                };
                let is_seen = match kind.map(|kind| kind.shown) {
                    Some(Shown::OnWire(_)) => on_a_wire,
                    Some(Shown::Reads) => attempt.secrets > 0,
                    Some(Shown::Hears) => {
                        attempt.canary.as_ref().is_some_and(|own| heard.contains(own.as_str()))
                    }
                    Some(Shown::Measured) | None => false,
                };
                entry.control_seen += u64::from(is_seen);
                *target |= is_seen;
            }
        }
    }
    (kinds.into_values().collect(), targets)
}

/// The canaries of the control's attempts that heard the canary of another sandbox of the control, or the beginning of one.
fn heard(boxes: &[Boxes]) -> BTreeSet<&str> {
    let runs =
        || boxes.iter().filter(|boxes| boxes.phase == PhaseName::Control).flat_map(|boxes| &boxes.runs);
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for run in runs() {
        let canaries = run.attempts().iter().filter_map(|attempt| attempt.canary.as_deref());
        owners.extend(canaries.map(|canary| (canary, run.name.as_str())));
    }
    let mut heard = BTreeSet::new();
    for run in runs() {
        for attempt in run.attempts() {
            let is_of_another = |word: &str| {
                let mut begin_so = owners.range(word..).take_while(|(canary, _)| canary.starts_with(word));
                word.len() >= MIN_VALUE && begin_so.any(|(_, owner)| *owner != run.name)
            };
            let mut words = attempt.data.split(|letter: char| !letter.is_ascii_hexdigit());
            if let Some(own) = attempt.canary.as_deref()
                && attempt.succeeded
                && words.any(is_of_another)
            {
                heard.insert(own);
            }
        }
    }
    heard
}

fn uncounted(kind: &str) -> KindEntry {
    let kind = kind.to_owned();
    KindEntry { kind, tried: 0, seen: 0, control_tried: 0, control_seen: 0, control_passed: false }
}
