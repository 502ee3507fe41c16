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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use exposure_schema::{Identity, Isolation, PhaseName};

use super::capture_pass;
use crate::input::capture;
use crate::input::discover::Input;
use crate::input::isolation_record::{self, Experiment};
use crate::needles::KnownStrings;
use crate::observe::CaptureObserver;
use crate::observe::frame_ownership::FrameOwnership;
use crate::observe::hits::NeedleHits;
use crate::output::isolation::{entry, identity, occurrence};
use crate::verdict::isolation::boxes::{self, Boxes};
use crate::verdict::isolation::captures::{self, Captured, Sighting};
use crate::verdict::isolation::identity::replayed;
use crate::verdict::isolation::judge;
use crate::verdict::isolation::value_hits::ValueHits;

/// Judges the run that the file describes.
///
/// # Errors
///
/// The file, a journal of its sandboxes or one of its captures cannot be read. Everything else is a doubt in the entry.
pub fn analyze(path: &Path) -> Result<Isolation> {
    let experiment = Experiment::read(path)?;
    let named = |name: &str| beside(path, name).with_context(|| path.display().to_string());
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
            let (capture, shown) = read_capture(&named(name)?, &experiment, phase.name, &values)?;
            captures.push(capture);
            if phase.name == PhaseName::Isolated {
                identity = identity.or(shown);
            }
        }
    }
    let identity_shown = identity.as_ref().is_some_and(|identity: &Identity| identity.shown);
    let judgement = judge::judge(&experiment, &boxes, &captures, identity_shown);
    Ok(entry(path.display().to_string(), &experiment, &boxes, captures, identity, judgement))
}

/// Accepts plain file names only: the record is input too, and must not lead to other directories.
fn beside(record: &Path, name: &str) -> Result<PathBuf> {
    if Path::new(name).file_name().is_none_or(|file| file != name) {
        bail!("it names {name:?}, which is not the name of a file beside it");
    }
    Ok(record.parent().unwrap_or(Path::new("")).join(name))
}

/// Passes one capture through the pipeline and judges it. Also returns what it shows of a replayed user id.
fn read_capture(
    path: &Path,
    experiment: &Experiment,
    phase: PhaseName,
    values: &[String],
) -> Result<(Captured, Option<Identity>)> {
    let input = Input::file(path);
    let decoys = input.manifest.as_ref().map_or(&[][..], |manifest| &manifest.decoys);
    let (known, search) = KnownStrings::values(values.iter().map(String::as_str), decoys);
    let mut observer = CaptureObserver::new(&known, &search);
    observer.ownership = Some(FrameOwnership::new(experiment.user_traffic.clone()));
    let mut report = capture_pass::run(&input, &known, None, observer, &mut capture::whole)?;
    let ownership = report.observed.ownership.take().context("the frames have no owners")?;

    let file = path.display().to_string();
    let interface = input.manifest.as_ref().and_then(|manifest| manifest.interface.as_deref());
    let hits = ValueHits::new(&known, &report.observed.hits);
    let identity =
        replayed(experiment, &hits, &ownership).map(|replayed| identity(replayed, &file, interface));
    let sightings: BTreeMap<_, _> = values
        .iter()
        .filter_map(|value| {
            let count = hits.of(value).map(NeedleHits::total).filter(|count| *count > 0)?;
            let first = hits.first(value, |_| true).map(|(_, hit)| occurrence(hit, &file, interface));
            Some((value.clone(), Sighting { count, first }))
        })
        .collect();
    let captured = captures::judge(experiment, phase, file, &report, &input.problems, ownership, sightings);
    Ok((captured, identity))
}
