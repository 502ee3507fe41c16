//! Another tenant's data in a sandbox's output: another user's secret, another sandbox's canary, in every encoding that
//! the search knows.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use dissect::content::Decoder;
use exposure_schema::PhaseName;

use super::judge::Boxes;
use crate::input::isolation_record::{BoxRun, Experiment};
use crate::observe::CaptureObserver;
use crate::pipeline::carve::{CarveBudget, carve};
use crate::pipeline::fact::{Bytes, Observer, Sequence};
use crate::pipeline::provenance::{DecodeChain, LocateBy, Location};
use crate::search::Scanner;
use crate::search::needles::KnownStrings;

/// Another tenant's data in a sandbox's output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crossing {
    /// The sandbox that has it.
    pub(crate) name: String,
    /// The tenant that owns it.
    pub(crate) of: Owner,
}

/// The tenant that owns a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// What this user sent, by id.
    User(String),
    /// What another sandbox drew, by name.
    Box(String),
}

/// Searches the output of the sandboxes without network. Where the search could not follow everything, that is a doubt.
pub(crate) fn crossings(experiment: &Experiment, boxes: &[Boxes], doubts: &mut Vec<String>) -> Vec<Crossing> {
    let mut owners: HashMap<String, Owner> = HashMap::new();
    for run in boxes.iter().flat_map(|boxes| &boxes.runs) {
        for canary in run.attempts().into_iter().filter_map(|attempt| attempt.canary) {
            owners.insert(canary, Owner::Box(run.name.clone()));
        }
    }
    for user in &experiment.users {
        owners.insert(user.secret.clone(), Owner::User(user.id.clone()));
    }
    let known = KnownStrings::values(owners.keys().map(String::as_str), &[]);

    let mut crossings = Vec::new();
    let isolated = boxes.iter().filter(|boxes| boxes.phase == PhaseName::Isolated);
    for run in isolated.flat_map(|boxes| &boxes.runs) {
        let mut observer = CaptureObserver::new(&known);
        let (mut decoder, mut budget) = (Decoder::default(), CarveBudget::default());
        for text in texts_of(run) {
            search(&mut observer, &mut decoder, &mut budget, text.as_bytes());
        }
        let bounds = observer.bounds.iter().map(ToString::to_string);
        let overflows = observer.hits.overflows.iter().map(ToString::to_string);
        let bounds: BTreeSet<String> = bounds.chain(overflows).collect();
        doubts.extend(bounds.into_iter().map(|bound| format!("the output of {}: {bound}", run.name)));
        for (index, needle) in known.needles.iter().enumerate() {
            let value = std::str::from_utf8(&needle.bytes).unwrap_or_default();
            let Some(owner) = owners.get(value) else { continue };
            let is_its_own = match owner {
                Owner::User(id) => run.user.as_ref() == Some(id),
                Owner::Box(name) => *name == run.name,
            };
            if !is_its_own && observer.hits.of(index as u32).total() > 0 {
                crossings.push(Crossing { name: run.name.clone(), of: owner.clone() });
            }
        }
    }
    crossings
}

/// The output as it was written, and without the JSON around it: a string can have every letter escaped there.
fn texts_of(run: &BoxRun) -> Vec<String> {
    let mut texts = vec![run.stdout.clone(), run.stderr.clone()];
    for line in run.stdout.lines().chain(run.stderr.lines()) {
        if let Ok(document) = serde_json::from_str(line) {
            collect_strings(&document, &mut texts);
        }
    }
    texts
}

/// serde_json reads nothing that is nested more deeply than 128 levels.
fn collect_strings(document: &serde_json::Value, texts: &mut Vec<String>) {
    match document {
        serde_json::Value::String(text) => texts.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_strings(item, texts)),
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                texts.push(name.clone());
                collect_strings(value, texts);
            }
        }
        _ => {}
    }
}

fn search(observer: &mut CaptureObserver<'_>, decoder: &mut Decoder, budget: &mut CarveBudget, bytes: &[u8]) {
    let text =
        Bytes { bytes, sequence: Sequence::Stream, chain: DecodeChain::default(), needs_secret: false };
    observer.bytes(&mut Scanner::default(), &text, &LocateBy(|range: Range<u64>| in_text(range.start)));
    carve(bytes, observer, decoder, budget, |from, _| in_text(from as u64));
}

/// A location in a text that is in no capture.
fn in_text(at: u64) -> Location {
    Location {
        frames: Vec::new(),
        file_offset: at,
        stream: None,
        direction: None,
        stream_offset: None,
        wire_len: 0,
        ciphertext: None,
    }
}
