//! Another tenant's data in a sandbox's output: another user's secret, another sandbox's canary, in every encoding that
//! the search knows.

use std::borrow::Cow;
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

/// Number of sandboxes that are searched at a time: each search looks at every value once.
const AT_A_TIME: usize = 64;

/// Searches the output of the sandboxes without network. A search that reaches a bound is a doubt.
pub(super) fn judge(experiment: &Experiment, boxes: &[Boxes]) -> Findings {
    let owners = owners(experiment, boxes);
    let (known, search) = KnownStrings::values(owners.keys().map(String::as_str), &[]);
    let runs: Vec<&BoxRun> = boxes::isolated(boxes).collect();
    let mut findings = Findings::default();
    for runs in runs.chunks(AT_A_TIME) {
        match judge_outputs(runs, &owners, &known, &search) {
            Some(found) => findings.append(found),
            // A value occurs more often than is remembered, perhaps all in one output.
            None => {
                for run in runs {
                    let found = judge_outputs(&[*run], &owners, &known, &search);
                    findings.append(found.unwrap_or_default());
                }
            }
        }
    }
    findings
}

/// The owner of every secret and canary, sorted by value: this order numbers the needles, and so orders all findings.
fn owners(experiment: &Experiment, boxes: &[Boxes]) -> BTreeMap<String, Owner> {
    let mut owners = BTreeMap::new();
    for run in boxes.iter().flat_map(|boxes| &boxes.runs) {
        for canary in run.attempts().iter().filter_map(|attempt| attempt.canary.clone()) {
            owners.insert(canary, Owner::Sandbox(run.name.clone()));
        }
    }
    for user in &experiment.users {
        owners.insert(user.secret.clone(), Owner::User(user.id.clone()));
    }
    owners
}

/// Searches the outputs of some sandboxes. Each other tenant of which one contains a value is a leak, sorted by name. `None`
/// if there are several and a value occurs in more locations than are remembered.
fn judge_outputs(
    runs: &[&BoxRun],
    owners: &BTreeMap<String, Owner>,
    known: &KnownStrings,
    search_for: &Arc<StringSearch>,
) -> Option<Findings> {
    let mut observer = CaptureObserver::new(known, search_for);
    let mut findings = Findings::default();
    for (number, run) in (0..).zip(runs) {
        let before = (observer.bounds.len(), observer.hits.overflows.len());
        let (mut decoder, mut budget) = (Decoder::default(), CarveBudget::default());
        for text in texts_of(run) {
            search(&mut observer, &mut decoder, &mut budget, number, &text);
        }
        if before != (observer.bounds.len(), observer.hits.overflows.len()) && runs.len() > 1 {
            return None;
        }
        let bounds = observer.bounds.iter().map(|bound| Doubt::Bound(*bound));
        let overflows = observer.hits.overflows.iter().map(|overflow| Doubt::Overflow(*overflow));
        let sandbox = || run.name.clone();
        let doubts =
            bounds.chain(overflows).map(|doubt| IsolationDoubt::Output { sandbox: sandbox(), doubt });
        findings.doubts.extend(doubts);
    }
    let mut others: BTreeSet<(u32, &Owner)> = BTreeSet::new();
    for (needle, bytes) in known.needles() {
        let found = observer.hits.of(needle);
        if found.total() > found.hits.len() as u64 && runs.len() > 1 {
            return None;
        }
        let Some(owner) = std::str::from_utf8(bytes).ok().and_then(|value| owners.get(value)) else {
            continue;
        };
        for number in found.hits.iter().filter_map(|hit| hit.location.stream) {
            let is_own = runs.get(number as usize).is_some_and(|run| match owner {
                Owner::User(id) => run.user.as_ref() == Some(id),
                Owner::Sandbox(name) => *name == run.name,
            });
            if !is_own {
                others.insert((number, owner));
            }
        }
    }
    for (number, owner) in others {
        let sandbox = runs.get(number as usize).map(|run| run.name.clone()).unwrap_or_default();
        findings.leaks.push(match owner.clone() {
            Owner::User(user) => Leak::SecretInOutput { sandbox, user },
            Owner::Sandbox(owner) => Leak::CanaryInOutput { sandbox, owner },
        });
    }
    Some(findings)
}

/// The output as it was written, the same backwards, and its JSON strings with their escapes undone: any letter can be
/// escaped there.
fn texts_of(run: &BoxRun) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for (bytes, text) in run.output().into_iter().zip([&run.stdout, &run.stderr]) {
        // Text and bytes that contradict each other are a doubt elsewhere. Both are searched.
        texts.extend(bytes.map(Cow::into_owned));
        texts.push(text.clone().into_bytes());
    }
    texts.dedup();
    for line in run.stdout.lines().chain(run.stderr.lines()) {
        if let Ok(document) = serde_json::from_str(line) {
            collect_strings(&document, &mut texts);
        }
    }
    let backwards: Vec<Vec<u8>> = texts.iter().map(|text| text.iter().rev().copied().collect()).collect();
    texts.extend(backwards);
    texts
}

/// serde_json reads no more than 128 levels of nesting.
fn collect_strings(document: &serde_json::Value, texts: &mut Vec<Vec<u8>>) {
    match document {
        serde_json::Value::String(text) => texts.push(text.clone().into_bytes()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_strings(item, texts)),
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                texts.push(name.clone().into_bytes());
                collect_strings(value, texts);
            }
        }
        _ => {}
    }
}

/// Searches bytes outside of any capture. Matches are located in the stream `number`.
pub(super) fn search(
    observer: &mut CaptureObserver<'_>,
    decoder: &mut Decoder,
    budget: &mut CarveBudget,
    number: u32,
    bytes: &[u8],
) {
    let text =
        Bytes { bytes, sequence: Sequence::Stream, chain: DecodeChain::default(), needs_secret: false };
    let locate = |range: Range<u64>| in_text(number, range.start);
    observer.bytes(&mut SearchState::default(), &text, &LocateBy(locate));
    carve(bytes, observer, decoder, budget, |from, _| in_text(number, from as u64));
}

/// The location of a match outside of any capture.
fn in_text(number: u32, at: u64) -> Location {
    Location {
        frames: Vec::new(),
        // Two outputs have no location in common.
        file_offset: (u64::from(number) << 40) | at,
        stream: Some(number),
        direction: None,
        stream_offset: None,
        wire_len: 0,
        ciphertext: None,
    }
}
