//! Another tenant's data in a sandbox's output: another user's secret, another sandbox's canary, in every encoding that
//! the search knows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use dissect::content::Decoder;

use super::boxes::{self, Boxes};
use super::doubt::IsolationDoubt;
use super::findings::Findings;
use super::leak::Leak;
use crate::input::isolation_record::{BoxRun, Experiment};
use crate::needles::{KnownStrings, StringSearch};
use crate::observe::CaptureObserver;
use crate::observe::hits::SearchState;
use crate::pipeline::carve::{CarveBudget, carve};
use crate::pipeline::fact::{Bytes, Observer, Sequence};
use crate::pipeline::provenance::{DecodeChain, LocateBy, Location};
use crate::verdict::doubt::Doubt;

/// The tenant that a value belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// The user with this id, whose secret the value is.
    User(String),
    /// The sandbox with this name, which generated the value as a canary.
    Sandbox(String),
}

/// Searches the output of the sandboxes without network. A search that reaches a bound is a doubt.
pub(super) fn judge(experiment: &Experiment, boxes: &[Boxes]) -> Findings {
    let owners = owners(experiment, boxes);
    let (known, search) = KnownStrings::values(owners.keys().map(String::as_str), &[]);
    let mut findings = Findings::default();
    for run in boxes::isolated(boxes) {
        findings.append(judge_output(run, &owners, &known, &search));
    }
    findings
}

/// The owner of every secret and canary, sorted by value: this order numbers the needles, and so orders all findings.
fn owners(experiment: &Experiment, boxes: &[Boxes]) -> BTreeMap<String, Owner> {
    let mut owners = BTreeMap::new();
    for run in boxes.iter().flat_map(|boxes| &boxes.runs) {
        for canary in run.attempts().into_iter().filter_map(|attempt| attempt.canary) {
            owners.insert(canary, Owner::Sandbox(run.name.clone()));
        }
    }
    for user in &experiment.users {
        owners.insert(user.secret.clone(), Owner::User(user.id.clone()));
    }
    owners
}

/// Searches one sandbox's output. Each other tenant of which it contains a value is a leak, sorted by name.
fn judge_output(
    run: &BoxRun,
    owners: &BTreeMap<String, Owner>,
    known: &KnownStrings,
    search_for: &Arc<StringSearch>,
) -> Findings {
    let mut observer = CaptureObserver::new(known, search_for);
    let (mut decoder, mut budget) = (Decoder::default(), CarveBudget::default());
    for text in texts_of(run) {
        search(&mut observer, &mut decoder, &mut budget, text.as_bytes());
    }
    let bounds = observer.bounds.iter().map(|bound| Doubt::Bound(*bound));
    let overflows = observer.hits.overflows.iter().map(|overflow| Doubt::Overflow(*overflow));
    let sandbox = || run.name.clone();
    let doubts = bounds.chain(overflows).map(|doubt| IsolationDoubt::Output { sandbox: sandbox(), doubt });

    let found = known.needles().filter(|(needle, _)| observer.hits.of(*needle).total() > 0);
    let values = found.filter_map(|(_, bytes)| std::str::from_utf8(bytes).ok());
    let is_own = |owner: &Owner| match owner {
        Owner::User(id) => run.user.as_ref() == Some(id),
        Owner::Sandbox(name) => *name == run.name,
    };
    let others: BTreeSet<&Owner> =
        values.filter_map(|value| owners.get(value)).filter(|owner| !is_own(owner)).collect();
    let leaks = others.into_iter().cloned().map(|owner| match owner {
        Owner::User(user) => Leak::SecretInOutput { sandbox: sandbox(), user },
        Owner::Sandbox(owner) => Leak::CanaryInOutput { sandbox: sandbox(), owner },
    });
    Findings { leaks: leaks.collect(), doubts: doubts.collect() }
}

/// The output as it was written, and its JSON strings with their escapes undone: any letter can be escaped there.
fn texts_of(run: &BoxRun) -> Vec<String> {
    let mut texts = vec![run.stdout.clone(), run.stderr.clone()];
    for line in run.stdout.lines().chain(run.stderr.lines()) {
        if let Ok(document) = serde_json::from_str(line) {
            collect_strings(&document, &mut texts);
        }
    }
    texts
}

/// serde_json reads no more than 128 levels of nesting.
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
    observer.bytes(&mut SearchState::default(), &text, &LocateBy(|range: Range<u64>| in_text(range.start)));
    carve(bytes, observer, decoder, budget, |from, _| in_text(from as u64));
}

/// The location of a match outside of any capture.
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
