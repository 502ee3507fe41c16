//! The isolation experiment: reads the record of a run and its captures, and has them judged.
//!
//! ```text
//! isolation.json ──> phases: captures and sandboxes' journals
//!    journals ──> canaries of every attempt ─┐
//!    captures ──> each searched for all of them, each frame assigned to an owner ──> verdict::isolation
//! ```
//! The same search that proves TLS captures sealed looks for the canaries here, in every encoding. In addition, every
//! frame other than the users' traffic with the gateway counts as a sandbox's: this finds data that a sandbox sent in
//! any other form.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use exposure_schema::{Identity, Isolation, PhaseName};

use super::capture_pass;
use crate::input::capture;
use crate::input::discover::Input;
use crate::input::isolation_record::{self, Experiment, Plan};
use crate::needles::KnownStrings;
use crate::observe::CaptureObserver;
use crate::observe::frame_ownership::FrameOwnership;
use crate::observe::hits::NeedleHits;
use crate::observe::user_connections::UserConnections;
use crate::output::isolation::{entry, identity, occurrence};
use crate::verdict::isolation::boxes::{self, Boxes};
use crate::verdict::isolation::captures::{self, Captured, Sighting};
use crate::verdict::isolation::identity::replayed;
use crate::verdict::isolation::judge;
use crate::verdict::isolation::value_hits::ValueHits;

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
    let identity_shown = identity.as_ref().is_some_and(|identity: &Identity| identity.shown);
    let judgement = judge::judge(&experiment, plan.as_ref(), &boxes, &captures, identity_shown);
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
fn beacons_of(experiment: &Experiment, plan: &Plan, phase: PhaseName, interface: &str) -> [String; 2] {
    let phase = match phase {
        PhaseName::Isolated => "isolated",
        PhaseName::Control => "control",
    };
    let (run, plan) = (&experiment.run_id, &plan.sha256);
    ["start", "end"].map(|moment| format!("plainsight.beacon/1 {run} {phase} {interface} {moment} {plan}"))
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
    let beacons = plan.zip(interface).map(|(plan, interface)| beacons_of(experiment, plan, phase, interface));
    let phases = [PhaseName::Isolated, PhaseName::Control];
    let interfaces = experiment.interfaces.iter().flat_map(|name| phases.map(|phase| (phase, name)));
    let of_run = plan.into_iter().flat_map(|plan| {
        interfaces.clone().flat_map(move |(phase, name)| beacons_of(experiment, plan, phase, name))
    });
    let of_run = of_run.collect();
    observer.ownership = Some(FrameOwnership::new(experiment.user_traffic.clone(), beacons, of_run));
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
    let sightings: BTreeMap<_, _> = values
        .iter()
        .filter_map(|value| {
            let count = hits.of(value).map(NeedleHits::total).filter(|count| *count > 0)?;
            let first = hits.first(value, |_| true).map(|(_, hit)| occurrence(hit, &file, interface));
            let frames = hits.of(value).into_iter().flat_map(|found| &found.hits);
            let frames = frames.flat_map(|hit| &hit.location.frames).take(MAX_CARRIERS);
            let carriers = frames.filter_map(|frame| ownership.carrier(*frame)).collect();
            Some((value.clone(), Sighting { count, first, carriers }))
        })
        .collect();
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
