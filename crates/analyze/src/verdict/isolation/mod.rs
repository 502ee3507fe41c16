//! The isolation experiment: did anything of a box without network reach a wire, or another user?
//!
//! ```text
//! isolation.json ──> phases: captures + boxes' journals
//!    journals ──> canaries of every attempt ─┐
//!    captures ──> each searched for all of them, and each frame told whose it is ──> verdict
//! ```
//! The same search that proves TLS captures sealed looks for the canaries, in every form. Beside it every frame is
//! counted that is not of the users' talk with the gateway: a box that reached a wire with something else than its
//! canary is seen by that.

mod cross_tenant;
pub(crate) mod frame_owner;
mod judge;
mod preconditions;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, bail};
use dissect::capture::Record;
use exposure_schema::{Identity, InterfaceEntry, Isolation, Occurrence, PhaseName};

use self::frame_owner::FrameOwnership;
use self::judge::{Boxes, Captured};
use crate::input::capture::{self, Ended, Sink};
use crate::input::discover::Input;
use crate::input::isolation_record::{self, Experiment, Phase};
use crate::observe::connections::Streams;
use crate::observe::evidence::Evidence;
use crate::observe::hits::NeedleHits;
use crate::output::location::location;
use crate::pipeline::frames::{Frames, Pipeline};
use crate::search::needles::KnownStrings;
use crate::verdict::integrity;

/// The name of the file that describes a run.
pub const FILE_NAME: &str = "isolation.json";

/// Shortest value that is looked for. Shorter ones are found by chance.
const MIN_VALUE: usize = 8;

/// The names of the captures that an isolation run speaks for.
///
/// # Errors
///
/// The file cannot be read, or is not what it should be.
pub fn captures_of(path: &Path) -> Result<Vec<String>> {
    Ok(Experiment::read(path)?.phases.into_iter().flat_map(|phase| phase.captures).collect())
}

/// Judges the run that the file describes.
///
/// # Errors
///
/// The file, a journal of its boxes or one of its captures cannot be read. Everything else is a doubt in the entry.
pub fn analyze(path: &Path) -> Result<Isolation> {
    let experiment = Experiment::read(path)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut doubts = Vec::new();
    let mut boxes = Vec::new();
    for phase in &experiment.phases {
        let journal = beside(directory, &phase.boxes).with_context(|| path.display().to_string())?;
        boxes.push(Boxes { phase: phase.name, runs: isolation_record::read_boxes(&journal)? });
    }
    let values = values(&experiment, &boxes, &mut doubts);
    // In the control there may be processes without any box, in a journal of their own.
    let isolated = experiment.phases.iter().filter(|phase| phase.name == PhaseName::Isolated).count();
    if isolated != 1 {
        doubts.push(format!("{isolated} parts of the run are called isolated, not one"));
    }

    let mut captures = Vec::new();
    let mut identity = None;
    for phase in &experiment.phases {
        for name in &phase.captures {
            let file = beside(directory, name).with_context(|| path.display().to_string())?;
            let read = Searched::read(&file, &experiment, &values)?;
            if phase.name == PhaseName::Isolated {
                identity = identity.or_else(|| read.identity(&experiment, &values));
            }
            captures.push(read.captured(phase, &experiment, &values));
        }
    }
    if experiment.replay.is_some() && !identity.as_ref().is_some_and(|identity: &Identity| identity.shown) {
        doubts.push("the claimed identity was not seen read and replayed".to_owned());
    }
    Ok(judge::judge(&experiment, path.display().to_string(), captures, &boxes, identity, doubts))
}

/// Only plain names: the file is input too, and says nothing about other places.
fn beside(directory: &Path, name: &str) -> Result<std::path::PathBuf> {
    if Path::new(name).file_name().is_none_or(|file| file != name) {
        bail!("it names {name:?}, which is no file beside it");
    }
    Ok(directory.join(name))
}

/// Everything that is looked for in every capture, each once.
fn values(experiment: &Experiment, boxes: &[Boxes], doubts: &mut Vec<String>) -> Vec<String> {
    let runs = boxes.iter().flat_map(|boxes| &boxes.runs);
    let canaries = runs.flat_map(isolation_record::BoxRun::attempts).filter_map(|attempt| attempt.canary);
    let told = experiment.users.iter().flat_map(|user| [user.id.clone(), user.secret.clone()]);
    let mut values: Vec<String> = canaries.chain(told).collect();
    let all = values.len();
    values.sort();
    values.dedup();
    if values.len() < all {
        doubts.push("two canaries are the same: nobody can tell whose it is".to_owned());
    }
    if let Some(short) = values.iter().find(|value| value.len() < MIN_VALUE) {
        doubts.push(format!("{short:?} is too short to be told from chance"));
    }
    values
}

/// One capture after its pass.
struct Searched {
    file: String,
    input: Input,
    sha256: String,
    tally: FrameOwnership,
    found: Vec<NeedleHits>,
    decoys: (u64, u64),
    frames: Frames,
    streams: Streams,
    unexplained: Option<String>,
    doubts: Vec<String>,
}

impl Searched {
    fn read(path: &Path, experiment: &Experiment, values: &[String]) -> Result<Self> {
        let input = Input::file(path);
        let mut doubts = input.problems.clone();
        let decoys = input.manifest.as_ref().map_or(&[][..], |manifest| &manifest.decoys);
        let known = KnownStrings::values(values.iter().map(String::as_str), decoys);
        let mut sink = Both {
            pass: Pipeline::new(Evidence::new(&known, None), None),
            tally: FrameOwnership::default(),
            experiment,
        };
        let what = || format!("cannot read {}", path.display());
        let hash = capture::hash_file(path);
        let ended =
            capture::read(File::open(path).with_context(what)?, &mut sink, |_| {}).with_context(what)?;
        let sha256 = hash.join().map_err(|_| anyhow::anyhow!("hashing {} failed", path.display()))?;
        let sha256 = crate::hex(&sha256.with_context(what)?);
        match ended {
            None => {}
            Some(Ended::NotACapture(error)) => bail!("{}: {error}", path.display()),
            Some(Ended::TooShort(why)) => bail!("{}: {why}", path.display()),
            Some(Ended::Damaged(error)) => doubts.push(error.to_string()),
            Some(Ended::Truncated(why)) => doubts.push(why),
        }
        let Both { pass, tally, .. } = sink;
        let (evidence, frames, streams) = pass.finish();
        if frames.dropped > 0 {
            doubts.push(frames.told_drops());
        }
        if frames.truncated > 0 {
            doubts.push(format!("{} frame(s) are cut by the capture's snaplen", frames.truncated));
        }
        doubts.extend(evidence.bounds_hit.iter().cloned());
        let all = || known.needles.iter().enumerate();
        let of = |index: usize| evidence.findings.of(index as u32);
        let decoys_found = all().filter(|(index, needle)| needle.is_decoy && of(*index).total() > 0).count();
        let indices: HashMap<&[u8], usize> = all().map(|(index, needle)| (&*needle.bytes, index)).collect();
        let found = values.iter().map(|value| {
            indices.get(value.as_bytes()).map_or_else(NeedleHits::default, |index| of(*index).clone())
        });
        if known.short_decoys() > 0 {
            doubts.push("a decoy is too short to be told from chance".to_owned());
        }
        let unexplained = evidence.unexplained.first().map(|first| {
            format!("{} bytes that nobody can explain: {}", evidence.unexplained_bytes, first.reason)
        });
        Ok(Self {
            file: path.display().to_string(),
            sha256,
            tally,
            found: found.collect(),
            decoys: (known.decoys() as u64, decoys_found as u64),
            frames,
            streams,
            unexplained,
            doubts,
            input,
        })
    }

    fn interface(&self) -> Option<String> {
        self.input.manifest.as_ref()?.interface.clone()
    }

    /// The first place of a value that is wanted.
    fn first(&self, found: &NeedleHits, wanted: impl Fn(u64) -> bool) -> Option<(u64, Occurrence)> {
        let frame_of = |hit: &&crate::observe::hits::Hit| {
            hit.place.frames.first().copied().filter(|frame| wanted(*frame))
        };
        let hit = found.hits.iter().find(|hit| frame_of(hit).is_some())?;
        let sighting = Occurrence {
            file: self.file.clone(),
            interface: self.interface().unwrap_or_default(),
            location: location(&hit.place, &hit.layers),
        };
        Some((hit.place.frames.first().copied()?, sighting))
    }

    /// Whether this capture shows that a user id can be read, repeated, and opens what it names. `None` where nothing of
    /// it is to be seen.
    fn identity(&self, experiment: &Experiment, values: &[String]) -> Option<Identity> {
        let replay = experiment.replay.as_ref()?;
        let owner = experiment.users.iter().find(|user| user.id == replay.user)?;
        let of =
            |value: &str| values.iter().position(|known| known == value).and_then(|at| self.found.get(at));
        let ids = of(&owner.id)?;
        let sender = |frame| self.tally.ends(frame).map(|(from, _)| from);
        let asked = |client: IpAddr| {
            move |frame| {
                let ends = self.tally.ends(frame);
                ends.is_some_and(|(from, to)| from.ip() == client && to == experiment.talk.server)
            }
        };
        let own = self.first(ids, asked(owner.address))?;
        let replayed = self.first(ids, asked(replay.client));
        let answered = of(&owner.secret).and_then(|secrets| {
            self.first(secrets, |frame| {
                let ends = self.tally.ends(frame);
                ends.is_some_and(|(from, to)| from == experiment.talk.server && to.ip() == replay.client)
            })
        });
        let name = |frame| sender(frame).map(|from| from.to_string());
        Some(Identity {
            user: owner.id.clone(),
            shown: replayed.is_some() && answered.is_some(),
            read_from: name(own.0),
            read: Some(own.1),
            replayed_from: replayed.as_ref().and_then(|(frame, _)| name(*frame)),
            replayed: replayed.map(|(_, sighting)| sighting),
            answered: answered.map(|(_, sighting)| sighting),
        })
    }

    fn captured(mut self, phase: &Phase, experiment: &Experiment, values: &[String]) -> Captured {
        self.doubt_manifest(experiment);
        if phase.name == PhaseName::Isolated {
            self.doubt_talk();
        }
        let leaks = self.told_to_others(experiment, values);
        let sightings: BTreeMap<_, _> = values
            .iter()
            .zip(&self.found)
            .filter_map(|(value, found)| {
                let (_, first) = self.first(found, |_| true)?;
                Some((value.clone(), (found.total(), first)))
            })
            .collect();
        Captured {
            phase: phase.name,
            entry: InterfaceEntry {
                phase: phase.name,
                interface: self.interface(),
                file: self.file,
                sha256: self.sha256,
                frames: self.frames.total,
                talk_frames: self.tally.talk,
                arp_frames: self.tally.arp,
                box_frames: self.tally.foreign,
                box_frames_listed: self.tally.described.clone(),
                kernel_drops: self.input.manifest.as_ref().and_then(|manifest| manifest.capture.kernel_drops),
            },
            tally: self.tally,
            window: self
                .input
                .manifest
                .as_ref()
                .and_then(|manifest| Some(manifest.started_at_unix_ns?..=manifest.ended_at_unix_ns?)),
            leaks,
            doubts: self.doubts,
            sightings,
            decoys: self.decoys,
        }
    }

    /// A box could have hidden behind the users' talk as far as that was not read to its last byte.
    fn doubt_talk(&mut self) {
        let Streams { with_data, whole, http, .. } = self.streams;
        if whole < with_data {
            let why = self.streams.troubled.first().and_then(|stream| stream.reasons.first());
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            self.doubts.push(format!("{} of {with_data} TCP streams are not whole{why}", with_data - whole));
        }
        if http < with_data {
            self.doubts
                .push(format!("{} of {with_data} TCP streams are no HTTP in the clear", with_data - http));
        }
        self.doubts.extend(self.unexplained.take());
        if self.tally.has_forgotten() {
            self.doubts.push("the users' talk is longer than what can be told of it".to_owned());
        }
    }

    /// Whoever talks to the gateway hears what he told himself. The replay is the one exception, and the lesson.
    fn told_to_others(&mut self, experiment: &Experiment, values: &[String]) -> Vec<String> {
        let mut leaks = Vec::new();
        for owner in &experiment.users {
            let Some(found) =
                values.iter().position(|value| *value == owner.secret).and_then(|at| self.found.get(at))
            else {
                continue;
            };
            let replay = experiment.replay.as_ref().filter(|replay| replay.user == owner.id);
            let is_his = |ip: IpAddr| ip == owner.address || replay.is_some_and(|replay| ip == replay.client);
            let server = experiment.talk.server;
            let crosses = |frame| {
                let ends = self.tally.ends(frame);
                ends.is_some_and(|(from, to)| !is_his(if from == server { to.ip() } else { from.ip() }))
            };
            if let Some((frame, sighting)) = self.first(found, crosses) {
                leaks.push(format!(
                    "what only user {} told is on {}, frame {frame}, for somebody else",
                    owner.id, sighting.interface
                ));
            }
            if found.total() > found.hits.len() as u64 {
                self.doubts
                    .push(format!("what user {} told stands in more places than are looked at", owner.id));
            }
        }
        leaks
    }

    /// A capture proves that something is absent only as far as its manifest vouches for it.
    fn doubt_manifest(&mut self, experiment: &Experiment) {
        let doubts = &mut self.doubts;
        let Some(manifest) = &self.input.manifest else {
            doubts.push("there is no manifest: nobody vouches for this file".to_owned());
            return;
        };
        if manifest.run_id != experiment.run_id {
            doubts.push(format!("it is of run {}, not of {}", manifest.run_id, experiment.run_id));
        }
        doubts.extend(integrity::doubts(manifest, &self.sha256, &self.frames));
        if manifest.capture.kernel_drops.is_none() {
            doubts.push("the capturer did not ask the kernel for dropped frames".to_owned());
        }
        if manifest.capture.filter.as_deref() != Some("") {
            doubts.push("it was filtered: not every frame is in it".to_owned());
        }
        if manifest.interface.is_none() {
            doubts.push("its manifest names no interface".to_owned());
        }
    }
}

/// The search and the tally, over the same frames.
struct Both<'k> {
    pass: Pipeline<'k>,
    tally: FrameOwnership,
    experiment: &'k Experiment,
}

impl Sink for Both<'_> {
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        self.tally.record(record, &self.experiment.talk);
        self.pass.record(record)
    }

    fn secrets(&mut self, key_log: &[u8]) {
        self.pass.secrets(key_log);
    }

    fn dropped(&mut self, frames: u64) {
        self.pass.dropped(frames);
    }
}
