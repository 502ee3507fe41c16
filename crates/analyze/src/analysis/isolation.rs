//! The isolation experiment: reads the record of a run and its captures, and has them judged.
//!
//! ```text
//! isolation.json ──> phases: captures and sandboxes' journals
//!    journals ──> canaries of every attempt ─┐
//!    captures ──> each searched for all of them, each frame assigned to an owner ──> verdict::isolation
//! ```
//! The captures of the protections, where users are authenticated over TLS, are read twice: once to open their connections with
//! the key log, once to search for what the intruder must not read, the token among it.
//!
//! The same search that proves TLS captures sealed looks for the canaries here, in every encoding. In addition, every
//! frame other than the users' traffic with the gateway counts as a sandbox's: this finds data that a sandbox sent in
//! any other form.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use exposure_schema::{Identity, Isolation, Level, PhaseName};

use super::capture_pass;
use crate::input::capture;
use crate::input::discover::Input;
use crate::input::isolation_record::{self, Experiment, Plan, Protection, UserTraffic};
use crate::needles::KnownStrings;
use crate::observe::CaptureObserver;
use crate::observe::frame_ownership::FrameOwnership;
use crate::observe::hits::NeedleHits;
use crate::observe::opened_connections::OpenedConnections;
use crate::observe::user_connections::UserConnections;
use crate::output::isolation::{answers, entry, identity, occurrence};
use crate::verdict::controls;
use crate::verdict::doubt::Doubt;
use crate::verdict::isolation::boxes::{self, Boxes};
use crate::verdict::isolation::captures::{self, Captured, Sighting};
use crate::verdict::isolation::doubt::CaptureDoubt;
use crate::verdict::isolation::identity::replayed;
use crate::verdict::isolation::judge;
use crate::verdict::isolation::protections::{Protected, SearchedValue, hidden_values};
use crate::verdict::isolation::value_hits::ValueHits;
use crate::verdict::report::CaptureReport;

/// Maximum number of frames that are looked at for the way of one canary.
const MAX_CARRIERS: usize = 64;

/// Judges the run that the file describes.
///
/// # Errors
///
/// The file, a journal of its sandboxes or one of its captures cannot be read. Everything else is a doubt in the entry.
pub fn analyze(path: &Path) -> Result<Isolation> {
    let experiment = Experiment::read(path)?;
    let named = |name: &str| beside(path, name).with_context(|| path.display().to_string());
    let plan = experiment.plan.as_ref().map(|plan| Plan::read(&named(&plan.file)?, path)).transpose()?;
    let mut boxes = Vec::new();
    for phase in &experiment.phases {
        let runs = isolation_record::read_boxes(&named(&phase.boxes)?)?;
        boxes.push(Boxes { phase: phase.name, runs });
    }
    let mut values = boxes::searched_values(&experiment, &boxes);
    values.dedup();

    let mut captures = Vec::new();
    let mut identity = None;
    for phase in &experiment.phases {
        for name in &phase.captures {
            let (capture, shown) =
                read_capture(&named(name)?, &experiment, plan.as_ref(), phase.name, &values)?;
            captures.push(capture);
            if phase.name == PhaseName::Isolated {
                identity = identity.or(shown);
            }
        }
    }
    let mut protected = Vec::new();
    for protection in &experiment.protections {
        let file = named(&protection.capture)?;
        let exists = file.try_exists().with_context(|| format!("cannot read {}", file.display()))?;
        let read = || read_protection(&file, &experiment, plan.as_ref(), protection, &values);
        protected.push(exists.then(read).transpose()?);
    }
    let identity_shown = identity.as_ref().is_some_and(|identity: &Identity| identity.shown);
    let judgement = judge::judge(&experiment, plan.as_ref(), &boxes, &captures, &protected, identity_shown);
    Ok(entry(path.display().to_string(), &experiment, &boxes, captures, identity, judgement))
}

/// Accepts plain file names only: the record is input too, and must not lead to other directories.
fn beside(record: &Path, name: &str) -> Result<PathBuf> {
    if Path::new(name).file_name().is_none_or(|file| file != name) {
        bail!("it names {name:?}, which is not the name of a file beside it");
    }
    Ok(record.parent().unwrap_or(Path::new("")).join(name))
}

/// The texts of the beacons that the host sends on an interface at the start and the end of its capture.
fn beacons_of(experiment: &Experiment, plan: &Plan, phase: &str, interface: &str) -> [String; 2] {
    let (run, plan) = (&experiment.run_id, &plan.sha256);
    ["start", "end"].map(|moment| format!("plainsight.beacon/1 {run} {phase} {interface} {moment} {plan}"))
}

/// The phase in beacons.
fn phase_name(phase: PhaseName) -> &'static str {
    match phase {
        PhaseName::Isolated => "isolated",
        PhaseName::Control => "control",
    }
}

/// The owners of the frames of one capture, in which this is the expected traffic.
fn owners(
    experiment: &Experiment,
    plan: Option<&Plan>,
    phase: &str,
    interface: Option<&str>,
    traffic: UserTraffic,
) -> FrameOwnership {
    let of_capture =
        plan.zip(interface).map(|(plan, interface)| beacons_of(experiment, plan, phase, interface));
    let phases = [PhaseName::Isolated, PhaseName::Control].map(phase_name);
    let of_phases = experiment.interfaces.iter().flat_map(|name| phases.map(|phase| (phase, name.as_str())));
    let of_protections = experiment.protections.iter();
    let of_protections = of_protections.map(|protection| (&*protection.auth, &*protection.interface));
    let all = of_phases.chain(of_protections);
    let of_run = plan.into_iter().flat_map(|plan| {
        all.clone().flat_map(move |(phase, name)| beacons_of(experiment, plan, phase, name))
    });
    FrameOwnership::new(traffic, of_capture, of_run.collect())
}

/// Passes one capture through the pipeline and judges it. Also returns what it shows of a replayed user id.
fn read_capture(
    path: &Path,
    experiment: &Experiment,
    plan: Option<&Plan>,
    phase: PhaseName,
    values: &[String],
) -> Result<(Captured, Option<Identity>)> {
    let input = Input::file(path);
    let decoys = input.manifest.as_ref().map_or(&[][..], |manifest| &manifest.decoys);
    let (known, search) = KnownStrings::values(values.iter().map(String::as_str), decoys);
    let mut observer = CaptureObserver::new(&known, &search);
    let interface = input.manifest.as_ref().and_then(|manifest| manifest.interface.as_deref());
    let traffic = experiment.user_traffic.clone();
    observer.ownership = Some(owners(experiment, plan, phase_name(phase), interface, traffic));
    observer.hits.streams = Some(HashSet::new());
    observer.user_connections = (phase == PhaseName::Isolated).then(UserConnections::default);
    let mut report = capture_pass::run(&input, &known, None, observer, &mut capture::whole)?;
    let mut ownership = report.observed.ownership.take().context("the frames have no owners")?;
    ownership.settle();
    let connections = report.observed.user_connections.take();

    let file = path.display().to_string();
    let hits = ValueHits::new(&known, &report.observed.hits);
    let identity =
        replayed(experiment, &hits, &ownership).map(|replayed| identity(replayed, &file, interface));
    let sightings = sightings(values, &hits, &ownership, &file, interface);
    let captured = captures::judge(
        experiment,
        phase,
        file,
        &report,
        &input.problems,
        (ownership, connections),
        sightings,
    );
    Ok((captured, identity))
}

/// The occurrences of each value.
fn sightings(
    values: &[String],
    hits: &ValueHits<'_>,
    ownership: &FrameOwnership,
    file: &str,
    interface: Option<&str>,
) -> BTreeMap<String, Sighting> {
    let sighting = |value: &String| {
        let count = hits.of(value).map(NeedleHits::total).filter(|count| *count > 0)?;
        let first = hits.first(value, |_| true).map(|(_, hit)| occurrence(hit, file, interface));
        let frames = hits.of(value).into_iter().flat_map(|found| &found.hits);
        let frames = frames.flat_map(|hit| &hit.location.frames).take(MAX_CARRIERS);
        let carriers = frames.filter_map(|frame| ownership.carrier(*frame)).collect();
        Some((value.clone(), Sighting { count, first, carriers }))
    };
    values.iter().filter_map(sighting).collect()
}

/// Reads the capture of one protection: opens its connections with the key log, then searches for what they carried.
fn read_protection(
    path: &Path,
    experiment: &Experiment,
    plan: Option<&Plan>,
    protection: &Protection,
    values: &[String],
) -> Result<Protected> {
    let input = Input::file(path);
    let (keys, key_log_doubts) = super::read_keys(&input)?;
    let (nothing, search) = KnownStrings::values([], &[]);
    let mut observer = CaptureObserver::new(&nothing, &search);
    observer.opened_connections = Some(OpenedConnections::default());
    let report = capture_pass::run(&input, &nothing, keys.clone(), observer, &mut capture::whole)?;
    let opened = report.observed.opened_connections.context("the connections are not opened")?;
    let is_cut = opened.is_cut;
    let connections = opened.into_connections();

    let hidden = hidden_values(protection, &connections);
    let mut all: Vec<&str> = values.iter().map(String::as_str).collect();
    all.extend(hidden.iter().map(|(_, value)| value.as_str()));
    all.sort_unstable();
    all.dedup();
    let decoys = input.manifest.as_ref().map_or(&[][..], |manifest| &manifest.decoys);
    let (known, search) = KnownStrings::values(all.iter().copied(), decoys);
    let mut observer = CaptureObserver::new(&known, &search);
    let interface = input.manifest.as_ref().and_then(|manifest| manifest.interface.as_deref());
    let (server, clients) = (protection.server, vec![protection.owner, protection.intruder]);
    let traffic = UserTraffic { server, clients };
    observer.ownership = Some(owners(experiment, plan, &protection.auth, interface, traffic));
    observer.hits.streams = Some(HashSet::new());
    let mut report = capture_pass::run(&input, &known, keys, observer, &mut capture::whole)?;
    let mut ownership = report.observed.ownership.take().context("the frames have no owners")?;
    ownership.settle();

    let file = path.display().to_string();
    let hits = ValueHits::new(&known, &report.observed.hits);
    let to_intruder = |frame| {
        let ends = ownership.ends(frame);
        ends.is_some_and(|(from, to)| from == protection.server && to.ip() == protection.intruder)
    };
    let told_intruder = hits.first(&protection.secret, to_intruder).map(|(frame, _)| frame);
    let found = hidden.iter().map(|(what, value)| searched(what, hits.of(value))).collect();
    let sightings = sightings(values, &hits, &ownership, &file, interface);
    let mut of_tls: Vec<_> = key_log_doubts.into_iter().map(CaptureDoubt::from).collect();
    of_tls.extend(controls::of_tls(&report).into_iter().map(CaptureDoubt::from));
    of_tls.extend(captures::stream_doubts(&report, &ownership));
    if is_cut {
        of_tls.push(CaptureDoubt::TrafficBytes);
    }
    let unsettled = report.observed.connections.unsettled;
    if unsettled > 0 {
        of_tls.push(Doubt::ConnectionsNotEnded(unsettled).into());
    }
    let CaptureReport { observed, .. } = &report;
    let (with_data, tls) = (observed.connections.with_data, observed.connections.tls);
    let unopened_records =
        observed.connections.tls_records.failed + observed.connections.tls_records.not_decrypted;
    let answers = answers(&observed.messages, &file, interface);
    // Not a phase of sandboxes: only what holds for any capture is judged here.
    let phase = PhaseName::Control;
    let captured =
        captures::judge(experiment, phase, file, &report, &input.problems, (ownership, None), sightings);
    Ok(Protected {
        captured,
        of_tls,
        with_data,
        tls,
        unopened_records,
        connections,
        answers,
        values: found,
        told_intruder,
    })
}

fn searched(what: &'static str, found: Option<&NeedleHits>) -> SearchedValue {
    let counts = || found.iter().flat_map(|found| Level::ALL.into_iter().zip(found.counts));
    let sum = |is_keyless: bool| {
        let of_kind = counts().filter(|(level, _)| level.is_keyless() == is_keyless);
        of_kind.map(|(_, count)| count).sum()
    };
    SearchedValue { what, clear: sum(true), opened: sum(false) }
}
