//! The captures of a run: whether each can be relied on, and whether together they cover every interface and sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use exposure_schema::{Occurrence, PhaseName};

use super::boxes::Boxes;
use super::doubt::{CaptureDoubt, IsolationDoubt};
use super::findings::Findings;
use super::leak::Leak;
use super::user_traffic;
use super::value_hits::ValueHits;
use crate::input::discover::CompanionProblem;
use crate::input::isolation_record::{BoxRun, Carrier, Experiment};
use crate::observe::connections::Connections;
use crate::observe::frame_ownership::FrameOwnership;
use crate::observe::user_connections::{UserConnection, UserConnections};
use crate::verdict::doubt::Doubt;
use crate::verdict::report::CaptureReport;
use crate::verdict::{completeness, integrity};

/// One capture of the run, judged by itself.
#[derive(Debug)]
pub(crate) struct Captured {
    pub phase: PhaseName,
    pub file: String,
    pub sha256: String,
    pub interface: Option<String>,
    pub frames: u64,
    pub kernel_drops: Option<u64>,
    pub ownership: FrameOwnership,
    /// Secrets in the traffic of another user.
    pub leaks: Vec<Leak>,
    /// The reasons why it does not prove that something is absent.
    pub doubts: Vec<CaptureDoubt>,
    /// When it started and ended according to its manifest, nanoseconds since the epoch.
    pub window: Option<RangeInclusive<u64>>,
    /// The users' connections byte for byte; none in the control.
    pub user_connections: Vec<UserConnection>,
    /// The searched values that it contains.
    pub sightings: BTreeMap<String, Sighting>,
    pub decoys_searched: u64,
    pub decoys_found: u64,
}

/// The occurrences of one value in one capture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sighting {
    pub count: u64,
    /// The first of them; `None` if the search does not remember its location.
    pub first: Option<Occurrence>,
    /// Protocol and receiver of the frames outside of the users' traffic that carry it.
    pub carriers: Vec<(Carrier, SocketAddr)>,
}

/// Judges one capture. `render` turns an occurrence into its entry in the result.
pub(crate) fn judge(
    experiment: &Experiment,
    phase: PhaseName,
    file: String,
    report: &CaptureReport<'_>,
    companion_problems: &[CompanionProblem],
    (ownership, connections): (FrameOwnership, Option<UserConnections>),
    sightings: BTreeMap<String, Sighting>,
) -> Captured {
    let manifest = report.manifest;
    let interface = manifest.and_then(|manifest| manifest.interface.clone());
    let mut doubts: Vec<CaptureDoubt> =
        companion_problems.iter().cloned().map(|problem| Doubt::Companion(problem).into()).collect();
    doubts.extend(file_doubts(report));
    doubts.extend(manifest_doubts(experiment, report));
    if phase == PhaseName::Isolated {
        doubts.extend(traffic_doubts(report, &ownership));
    }
    let hits = ValueHits::new(report.known, &report.observed.hits);
    let leaks = user_traffic::judge(experiment, &hits, &ownership, interface.as_deref());
    if connections.as_ref().is_some_and(|connections| connections.is_cut) {
        doubts.push(CaptureDoubt::TrafficBytes);
    }

    let decoys = report.known.decoys();
    let found_decoys = decoys.filter(|(decoy, _)| report.observed.hits.of(*decoy).total() > 0).count();
    Captured {
        phase,
        file,
        sha256: report.file.sha256.clone(),
        interface,
        frames: report.observed.frames.total,
        kernel_drops: manifest.and_then(|manifest| manifest.capture.kernel_drops),
        ownership,
        leaks,
        doubts,
        window: manifest.and_then(|manifest| Some(manifest.started_at_unix_ns?..=manifest.ended_at_unix_ns?)),
        user_connections: connections.map(UserConnections::into_connections).unwrap_or_default(),
        sightings,
        decoys_searched: report.known.searched_decoys() as u64,
        decoys_found: found_decoys as u64,
    }
}

/// Checks whether every byte of the file was read and searched.
fn file_doubts(report: &CaptureReport<'_>) -> Vec<CaptureDoubt> {
    let mut doubts = report.input_doubts.clone();
    if report.dropped_frames > 0 {
        doubts.push(Doubt::DroppedFrames(report.dropped_frames));
    }
    if report.observed.frames.truncated > 0 {
        doubts.push(Doubt::FramesTruncated(report.observed.frames.truncated));
    }
    doubts.extend(completeness::bounds(report));
    let short_decoys = report.known.short_decoys();
    if short_decoys > 0 {
        doubts.push(Doubt::DecoysTooShort(short_decoys));
    }
    doubts.into_iter().map(CaptureDoubt::from).collect()
}

/// Checks whether the manifest describes this file, as one of this run that contains every frame of its interface.
fn manifest_doubts(experiment: &Experiment, report: &CaptureReport<'_>) -> Vec<CaptureDoubt> {
    let Some(manifest) = report.manifest else { return vec![Doubt::NoManifest.into()] };
    let mut doubts = Vec::new();
    if manifest.run_id != experiment.run_id {
        let (run, expected) = (manifest.run_id.clone(), experiment.run_id.clone());
        doubts.push(CaptureDoubt::OtherRun { run, expected });
    }
    let integrity = integrity::doubts(manifest, report);
    doubts.extend(integrity.into_iter().map(CaptureDoubt::from));
    if manifest.capture.kernel_drops.is_none() {
        doubts.push(Doubt::KernelNotAsked.into());
    }
    if manifest.capture.filter.as_deref() != Some("") {
        doubts.push(CaptureDoubt::Filtered);
    }
    if manifest.interface.is_none() {
        doubts.push(CaptureDoubt::NoInterface);
    }
    doubts
}

/// Checks whether the users' traffic was read to its last byte: a sandbox could hide in any part that was not.
fn traffic_doubts(report: &CaptureReport<'_>, ownership: &FrameOwnership) -> Vec<CaptureDoubt> {
    let Connections { with_data, cleartext, .. } = report.observed.connections;
    let mut doubts = stream_doubts(report, ownership);
    if cleartext < with_data {
        doubts.push(CaptureDoubt::NotHttp { count: with_data - cleartext, with_data });
    }
    doubts
}

/// Checks whether every stream is whole, and every byte explained.
pub(crate) fn stream_doubts(report: &CaptureReport<'_>, ownership: &FrameOwnership) -> Vec<CaptureDoubt> {
    let Connections { with_data, whole, ref troubled, .. } = report.observed.connections;
    let unexplained = &report.observed.unexplained;
    let mut doubts = Vec::new();
    if whole < with_data {
        let first = troubled.first().map(|connection| (connection.stream, connection.troubles.clone()));
        doubts.push(Doubt::StreamsNotWhole { count: with_data - whole, with_data, first }.into());
    }
    if unexplained.total > 0 {
        let first = unexplained.runs.first().map(|run| run.why.clone());
        doubts.push(Doubt::Unexplained { bytes: unexplained.total, first }.into());
    }
    if ownership.has_forgotten() {
        doubts.push(CaptureDoubt::TrafficFrames);
    }
    doubts
}

/// Judges the captures together: their content, their interfaces and their times.
pub(super) fn judge_all(experiment: &Experiment, captures: &[Captured], boxes: &[Boxes]) -> Findings {
    let mut findings = Findings::default();
    for capture in captures {
        findings.append(own_findings(capture));
    }
    for phase in [PhaseName::Isolated, PhaseName::Control] {
        findings.doubts.extend(phase_doubts(experiment, captures, phase));
    }
    findings.doubts.extend(pairing_doubts(captures));
    findings.doubts.extend(captures.iter().filter_map(|capture| time_doubt(capture, boxes)));
    let mut isolated = captures.iter().filter(|capture| capture.phase == PhaseName::Isolated).peekable();
    if isolated.peek().is_some() && isolated.all(|capture| capture.ownership.of_users == 0) {
        findings.doubts.push(IsolationDoubt::NoUserTraffic);
    }
    findings
}

/// Collects the leaks and doubts of one capture. Its decoys show that the search finds only values that are there.
pub(super) fn own_findings(capture: &Captured) -> Findings {
    let mut leaks = capture.leaks.clone();
    let ownership = &capture.ownership;
    if capture.phase == PhaseName::Isolated && ownership.foreign > 0 {
        leaks.push(Leak::ForeignFrames {
            interface: capture.interface.clone(),
            count: ownership.foreign,
            first: ownership.described.first().cloned(),
        });
    }
    let mut own = capture.doubts.clone();
    if capture.decoys_searched == 0 {
        own.push(Doubt::NoDecoys.into());
    }
    if capture.decoys_found > 0 {
        own.push(Doubt::DecoysFound(capture.decoys_found).into());
    }
    let with_file = |doubt| IsolationDoubt::Capture { file: capture.file.clone(), doubt };
    Findings { leaks, doubts: own.into_iter().map(with_file).collect() }
}

/// Checks whether the captures of one phase are of distinct interfaces, and of all that the run names.
fn phase_doubts(experiment: &Experiment, captures: &[Captured], phase: PhaseName) -> Vec<IsolationDoubt> {
    let mut doubts = Vec::new();
    let mut seen = BTreeSet::new();
    let of_phase = || captures.iter().filter(move |capture| capture.phase == phase);
    for interface in of_phase().filter_map(|capture| capture.interface.as_deref()) {
        if !seen.insert(interface) {
            doubts.push(IsolationDoubt::InterfaceTwice { interface: interface.to_owned() });
        }
    }
    for interface in experiment.interfaces.iter().filter(|name| !seen.contains(name.as_str())) {
        doubts.push(IsolationDoubt::InterfaceMissing { interface: interface.clone() });
    }
    let carrying: Vec<_> = of_phase().filter(|capture| capture.ownership.of_users > 0).collect();
    if let [first, second, ..] = carrying.as_slice() {
        let interfaces = [first, second].map(|capture| capture.interface.clone().unwrap_or_default());
        doubts.push(IsolationDoubt::TrafficOnTwoInterfaces { interfaces });
    }
    doubts
}

/// Checks whether both phases were captured on the same interfaces.
fn pairing_doubts(captures: &[Captured]) -> Vec<IsolationDoubt> {
    let interfaces = |phase| -> BTreeSet<&str> {
        let of_phase = captures.iter().filter(move |capture| capture.phase == phase);
        of_phase.filter_map(|capture| capture.interface.as_deref()).collect()
    };
    let (isolated, control) = (interfaces(PhaseName::Isolated), interfaces(PhaseName::Control));
    let mut doubts = Vec::new();
    if isolated.is_empty() {
        doubts.push(IsolationDoubt::NothingCaptured);
    }
    let owned = |name: &&str| (*name).to_owned();
    doubts.extend(control.difference(&isolated).map(|name| {
        let interface = owned(name);
        IsolationDoubt::InterfaceOnlyInControl { interface }
    }));
    doubts.extend(isolated.difference(&control).map(|name| {
        let interface = owned(name);
        IsolationDoubt::InterfaceOnlyIsolated { interface }
    }));
    doubts
}

/// A capture proves silence only if it covers the whole lifetime of every sandbox of its phase.
fn time_doubt(capture: &Captured, boxes: &[Boxes]) -> Option<IsolationDoubt> {
    let doubt = match &capture.window {
        None => CaptureDoubt::NoTimes,
        Some(window) => {
            let is_covered = |run: &&BoxRun| {
                window.contains(&run.started_at_unix_ns) && window.contains(&run.ended_at_unix_ns)
            };
            let of_phase = boxes.iter().filter(|boxes| boxes.phase == capture.phase);
            let run = of_phase.flat_map(|boxes| &boxes.runs).find(|run| !is_covered(run))?;
            CaptureDoubt::LifetimeNotCovered { sandbox: run.name.clone() }
        }
    };
    Some(IsolationDoubt::Capture { file: capture.file.clone(), doubt })
}
