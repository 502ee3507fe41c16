//! What a box without network has of somebody else's: another user's secret, another box's canary, in every form that the
//! search knows.

use std::collections::HashMap;

use exposure_schema::{Level, PhaseName};

use super::judge::Boxes;
use crate::input::isolation_record::{BoxRun, Experiment};
use crate::observe::evidence::Evidence;
use crate::observe::hits::Place;
use crate::pipeline::carve::carve;
use crate::search::Scanner;
use crate::search::needles::KnownStrings;

/// Something of somebody else's in what a box said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crossing {
    /// The box that has it.
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) of: Owner,
}

/// Whose a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// What this user told, by id.
    User(String),
    /// What another box drew, by name.
    Box(String),
}

/// Looks through what the boxes without network said. Where the search could not follow everything, that is a doubt.
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
        let mut evidence = Evidence::new(&known, None);
        for said in said(run) {
            search(&mut evidence, said.as_bytes());
        }
        let mut bounds: Vec<_> = evidence.bounds_hit.iter().collect();
        bounds.sort_unstable();
        doubts.extend(bounds.into_iter().map(|bound| format!("what {} said: {bound}", run.name)));
        for (index, needle) in known.needles.iter().enumerate() {
            let value = std::str::from_utf8(&needle.bytes).unwrap_or_default();
            let Some(owner) = owners.get(value) else { continue };
            let is_its_own = match owner {
                Owner::User(id) => run.user.as_ref() == Some(id),
                Owner::Box(name) => *name == run.name,
            };
            if !is_its_own && evidence.findings.of(index as u32).total() > 0 {
                crossings.push(Crossing { name: run.name.clone(), of: owner.clone() });
            }
        }
    }
    crossings
}

/// As it was written, and without the JSON around it: a string can stand there with every letter escaped.
fn said(run: &BoxRun) -> Vec<String> {
    let mut said = vec![run.stdout.clone(), run.stderr.clone()];
    for line in run.stdout.lines().chain(run.stderr.lines()) {
        if let Ok(document) = serde_json::from_str(line) {
            texts(&document, &mut said);
        }
    }
    said
}

/// serde_json reads nothing that is nested more deeply than 128 levels.
fn texts(document: &serde_json::Value, said: &mut Vec<String>) {
    match document {
        serde_json::Value::String(text) => said.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, said)),
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                said.push(name.clone());
                texts(value, said);
            }
        }
        _ => {}
    }
}

fn search(evidence: &mut Evidence<'_>, bytes: &[u8]) {
    let plain = evidence.layers(&[]);
    let matches = evidence.search(&mut Scanner::default(), bytes);
    for found in &matches {
        evidence.hit(found.pattern, Level::Verbatim, &plain, || place(found.start));
    }
    evidence.matches = matches;
    evidence.matches.clear();
    carve(bytes, evidence, |from, _| place(from as u64));
}

/// There is no capture: where in a text something stands does not matter.
fn place(at: u64) -> Place {
    Place {
        frames: Vec::new(),
        file_offset: at,
        stream: None,
        side: None,
        stream_offset: None,
        wire_len: 0,
        ciphertext: None,
    }
}
