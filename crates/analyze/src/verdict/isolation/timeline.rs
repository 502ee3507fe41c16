//! Checks whether plan, phases, captures, sandboxes and beacons follow each other in time.

use std::ops::RangeInclusive;

use exposure_schema::PhaseName;

use super::boxes::Boxes;
use super::captures::Captured;
use super::doubt::{CaptureDoubt, IsolationDoubt};
use super::times::SECOND;
use crate::input::isolation_record::{BoxRun, Experiment, Plan};

/// Longest time between the captures of the two phases: the lab starts the control as soon as the first phase is over.
const LONGEST_PAUSE_NS: u64 = 300 * SECOND;

/// Every contradiction of times.
pub(super) fn doubts(
    experiment: &Experiment,
    plan: Option<&Plan>,
    boxes: &[Boxes],
    captures: &[Captured],
) -> Vec<IsolationDoubt> {
    let mut doubts = plan_doubts(experiment, plan, captures);
    doubts.extend(phase_doubts(experiment, boxes, captures));
    for capture in captures {
        let of_capture = |doubt| IsolationDoubt::Capture { file: capture.file.clone(), doubt };
        doubts.extend(beacon_doubts(capture, boxes).into_iter().map(of_capture));
    }
    doubts
}

fn plan_doubts(experiment: &Experiment, plan: Option<&Plan>, captures: &[Captured]) -> Vec<IsolationDoubt> {
    let mut doubts = Vec::new();
    let (Some(plan), Some(named)) = (plan, &experiment.plan) else { return vec![IsolationDoubt::NoPlan] };
    let mut differing = plan.differing.clone();
    if plan.sha256 != named.sha256 {
        differing.push("sha256");
    }
    if !differing.is_empty() {
        doubts.push(IsolationDoubt::PlanDiffers(differing));
    }
    let first = captures.iter().filter_map(|capture| Some(*capture.window.as_ref()?.start())).min();
    let is_in_time = experiment.started_at_unix_ns <= plan.written_at_unix_ns
        && first.is_none_or(|first| plan.written_at_unix_ns <= first);
    if !is_in_time {
        doubts.push(IsolationDoubt::PlanLate);
    }
    for user in &experiment.users {
        let asked = user.messages.iter().flat_map(|message| message.lines());
        let asked = asked.filter_map(|line| line.strip_prefix("attempt "));
        let planned = user.attempts.iter().map(|attempt| format!("{} {}", attempt.kind, attempt.target));
        if !asked.eq(planned) {
            doubts.push(IsolationDoubt::PlanInconsistent { user: user.id.clone() });
        }
    }
    doubts
}

/// The isolated phase, then the control, both within the run and each with its sandboxes.
fn phase_doubts(experiment: &Experiment, boxes: &[Boxes], captures: &[Captured]) -> Option<IsolationDoubt> {
    let run = experiment.started_at_unix_ns..=experiment.ended_at_unix_ns;
    let span = |phase| -> Option<RangeInclusive<u64>> {
        let windows = || captures.iter().filter(|c| c.phase == phase).filter_map(|c| c.window.as_ref());
        Some(*windows().map(RangeInclusive::start).min()?..=*windows().map(RangeInclusive::end).max()?)
    };
    let is_within = |inner: &RangeInclusive<u64>| run.contains(inner.start()) && run.contains(inner.end());
    let (isolated, control) = (span(PhaseName::Isolated), span(PhaseName::Control));
    let are_within = isolated.iter().chain(&control).all(is_within);
    let are_in_order = match (&isolated, &control) {
        (Some(isolated), Some(control)) => {
            isolated.end() <= control.start() && control.start() - isolated.end() <= LONGEST_PAUSE_NS
        }
        // A missing phase is a doubt elsewhere.
        _ => true,
    };
    let lives = boxes.iter().flat_map(|boxes| &boxes.runs).map(life);
    let are_lives_within = lives.into_iter().all(|life| is_within(&life));
    let is_right = are_within && are_in_order && are_lives_within;
    (!is_right).then_some(IsolationDoubt::PhasesOutOfOrder)
}

fn life(run: &BoxRun) -> RangeInclusive<u64> {
    run.started_at_unix_ns..=run.ended_at_unix_ns
}

/// A capture is known to be alive from its first beacon to its last.
pub(super) fn beacon_doubts(capture: &Captured, boxes: &[Boxes]) -> Vec<CaptureDoubt> {
    let beacons = &capture.ownership.beacons;
    let moments = ["start", "end"].into_iter().zip(beacons.at);
    let missing =
        moments.filter(|(_, at)| at.is_none()).map(|(moment, _)| CaptureDoubt::BeaconMissing { moment });
    let mut doubts: Vec<CaptureDoubt> = missing.collect();
    if beacons.misplaced > 0 {
        doubts.push(CaptureDoubt::BeaconMisplaced(beacons.misplaced));
    }
    let [Some(start), Some(end)] = beacons.at else { return doubts };
    if beacons.outside > 0 {
        doubts.push(CaptureDoubt::FramesOutsideBeacons(beacons.outside));
    }
    let of_phase = boxes.iter().filter(|boxes| boxes.phase == capture.phase);
    let is_outside = |run: &&BoxRun| run.started_at_unix_ns < start || run.ended_at_unix_ns > end;
    if let Some(run) = of_phase.flat_map(|boxes| &boxes.runs).find(is_outside) {
        doubts.push(CaptureDoubt::BeaconOrder { sandbox: run.name.clone() });
    }
    doubts
}
