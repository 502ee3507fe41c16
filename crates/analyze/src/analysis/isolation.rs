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

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use exposure_schema::{Identity, InterfaceEntry, Isolation, Occurrence, PhaseName};

use super::capture_pass;
use crate::input::discover::Input;
use crate::input::isolation_record::{self, Experiment, Phase};
use crate::observe::CaptureObserver;
use crate::observe::connections::Connections;
use crate::observe::frame_counts::FrameCounts;
use crate::observe::frame_ownership::FrameOwnership;
use crate::observe::hits::{Hit, NeedleHits};
use crate::output::location::location;
use crate::search::needles::KnownStrings;
use crate::verdict::completeness;
use crate::verdict::doubt::Doubt;
use crate::verdict::integrity;
use crate::verdict::isolation::judge::{self, Boxes, Captured};

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
    ownership: FrameOwnership,
    found: Vec<NeedleHits>,
    decoys: (u64, u64),
    frames: FrameCounts,
    connections: Connections,
    unexplained: Option<String>,
    doubts: Vec<String>,
}

impl Searched {
    fn read(path: &Path, experiment: &Experiment, values: &[String]) -> Result<Self> {
        let input = Input::file(path);
        let decoys = input.manifest.as_ref().map_or(&[][..], |manifest| &manifest.decoys);
        let known = KnownStrings::values(values.iter().map(String::as_str), decoys);
        let mut observer = CaptureObserver::new(&known);
        observer.ownership = Some(FrameOwnership::new(experiment.user_traffic.clone()));
        let (report, _) = capture_pass::run(&input, &known, None, observer, &mut |_| {})?;

        let mut doubts: Vec<String> = input.problems.iter().map(ToString::to_string).collect();
        doubts.extend(report.input_doubts.iter().map(ToString::to_string));
        if report.dropped_frames > 0 {
            doubts.push(Doubt::DroppedFrames(report.dropped_frames).to_string());
        }
        if report.observed.frames.truncated > 0 {
            doubts.push(Doubt::FramesTruncated(report.observed.frames.truncated).to_string());
        }
        doubts.extend(completeness::bounds(&report).map(|doubt| doubt.to_string()));
        if known.short_decoys() > 0 {
            doubts.push("a decoy is too short to be told from chance".to_owned());
        }
        let sha256 = report.sha256;
        let CaptureObserver { frames, connections, hits, unexplained, ownership, .. } = report.observed;
        let all = || known.needles.iter().enumerate();
        let of = |index: usize| hits.of(index as u32);
        let decoys_found = all().filter(|(index, needle)| needle.is_decoy && of(*index).total() > 0).count();
        let indices: HashMap<&[u8], usize> = all().map(|(index, needle)| (&*needle.bytes, index)).collect();
        let found = values.iter().map(|value| {
            indices.get(value.as_bytes()).map_or_else(NeedleHits::default, |index| of(*index).clone())
        });
        let unexplained_bytes = unexplained
            .runs
            .first()
            .map(|first| format!("{} bytes that no parser explains: {}", unexplained.total, first.why));
        let user_traffic = experiment.user_traffic.clone();
        Ok(Self {
            file: path.display().to_string(),
            sha256,
            ownership: ownership.unwrap_or_else(|| FrameOwnership::new(user_traffic)),
            found: found.collect(),
            decoys: (known.decoys() as u64, decoys_found as u64),
            frames,
            connections,
            unexplained: unexplained_bytes,
            doubts,
            input,
        })
    }

    fn interface(&self) -> Option<String> {
        self.input.manifest.as_ref()?.interface.clone()
    }

    /// The first place of a value that is wanted.
    fn first(&self, found: &NeedleHits, wanted: impl Fn(u64) -> bool) -> Option<(u64, Occurrence)> {
        let frame_of = |hit: &&Hit| hit.location.frames.first().copied().filter(|frame| wanted(*frame));
        let hit = found.hits.iter().find(|hit| frame_of(hit).is_some())?;
        let sighting = Occurrence {
            file: self.file.clone(),
            interface: self.interface().unwrap_or_default(),
            location: location(&hit.location, &hit.decode_chain),
        };
        Some((hit.location.frames.first().copied()?, sighting))
    }

    /// Whether this capture shows that a user id can be read, repeated, and opens what it names. `None` where nothing of
    /// it is to be seen.
    fn identity(&self, experiment: &Experiment, values: &[String]) -> Option<Identity> {
        let replay = experiment.replay.as_ref()?;
        let owner = experiment.users.iter().find(|user| user.id == replay.user)?;
        let of =
            |value: &str| values.iter().position(|known| known == value).and_then(|at| self.found.get(at));
        let ids = of(&owner.id)?;
        let sender = |frame| self.ownership.ends(frame).map(|(from, _)| from);
        let asked = |client: IpAddr| {
            move |frame| {
                let ends = self.ownership.ends(frame);
                ends.is_some_and(|(from, to)| from.ip() == client && to == experiment.user_traffic.server)
            }
        };
        let own = self.first(ids, asked(owner.address))?;
        let replayed = self.first(ids, asked(replay.client));
        let answered = of(&owner.secret).and_then(|secrets| {
            self.first(secrets, |frame| {
                let ends = self.ownership.ends(frame);
                ends.is_some_and(|(from, to)| {
                    from == experiment.user_traffic.server && to.ip() == replay.client
                })
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
                talk_frames: self.ownership.of_users,
                arp_frames: self.ownership.arp,
                box_frames: self.ownership.foreign,
                box_frames_listed: self.ownership.described.clone(),
                kernel_drops: self.input.manifest.as_ref().and_then(|manifest| manifest.capture.kernel_drops),
            },
            ownership: self.ownership,
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
        let Connections { with_data, whole, cleartext: http, .. } = self.connections;
        if whole < with_data {
            let why = self.connections.troubled.first().and_then(|connection| connection.troubles.first());
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            self.doubts.push(format!("{} of {with_data} TCP streams are not whole{why}", with_data - whole));
        }
        if http < with_data {
            self.doubts
                .push(format!("{} of {with_data} TCP streams are no HTTP in the clear", with_data - http));
        }
        self.doubts.extend(self.unexplained.take());
        if self.ownership.has_forgotten() {
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
            let server = experiment.user_traffic.server;
            let crosses = |frame| {
                let ends = self.ownership.ends(frame);
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
        let integrity = integrity::doubts(manifest, &self.sha256, &self.frames);
        doubts.extend(integrity.iter().map(ToString::to_string));
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
