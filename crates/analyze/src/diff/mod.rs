//! Compares two results: what became readable without a secret, and what ceased to be.
//!
//! A string is the same one in both if it has the same place in the message of the same id: canaries and times differ from run
//! to run. Where no message is known, it is the same if path and value are equal.

pub mod console;
mod lists;

use std::collections::HashMap;

use exposure_schema::{
    Capture, Conclusion, DoubtEntry, Exposure, Isolation, IsolationVerdict, Level, Location, Program, Verdict,
};
use serde::Serialize;

use crate::output::finding::{self, Finding, Kind};
use crate::verdict::conclusion::exit;

/// Name and version of the document.
pub const SCHEMA: &str = "plainsight.diff/1";

/// Maximum number of entries in one list; the others are counted.
const MAX_ITEMS: usize = 1_000;

/// The difference between two results.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// The schema's name and version: [`SCHEMA`].
    pub schema: &'static str,
    /// The program that compared them.
    pub program: Program,
    /// The older result, as it was named.
    pub old: String,
    /// The newer result, as it was named.
    pub new: String,
    /// The two conclusions.
    pub conclusion: Change<Option<Conclusion>>,
    /// Number of what became readable, in all captures.
    pub became_readable: u64,
    /// Number of what ceased to be readable, in all captures.
    pub ceased: u64,
    /// The captures that both have.
    pub captures: Vec<CaptureDiff>,
    /// The isolation runs that both have.
    pub isolation: Vec<RunDiff>,
    /// Captures and isolation runs that only the older result has.
    pub only_old: Vec<String>,
    /// Captures and isolation runs that only the newer result has.
    pub only_new: Vec<String>,
    /// Inputs that could not be analyzed, each with the reason.
    pub errors: Vec<String>,
}

/// A value in both results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Change<T> {
    /// In the older one.
    pub old: T,
    /// In the newer one.
    pub new: T,
}

/// The difference between two captures.
#[derive(Clone, Debug, Serialize)]
pub struct CaptureDiff {
    /// Name of the newer capture.
    pub name: String,
    /// Paths of the two captures.
    pub file: Change<String>,
    /// The two verdicts.
    pub verdict: Change<Option<Verdict>>,
    /// What can be read without a secret in the newer one and could not in the older one: the first 1,000.
    pub became_readable: Vec<Item>,
    /// Number of these.
    pub became_readable_total: u64,
    /// What could be read without a secret in the older one and cannot in the newer one: the first 1,000.
    pub ceased: Vec<Item>,
    /// Number of these.
    pub ceased_total: u64,
    /// Number of what can be read in both.
    pub still_readable: u64,
    /// Doubts whose code only the newer one has.
    pub new_doubts: Vec<DoubtEntry>,
    /// Doubts whose code only the older one has.
    pub gone_doubts: Vec<DoubtEntry>,
    /// Lists of the results that are cut, so that what is missing in them cannot be compared.
    pub cut_lists: Vec<&'static str>,
}

/// Something that changed.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Code of the exposure, as in the formats `jsonl`, `csv` and `sarif`.
    pub code: String,
    /// Id of the message.
    pub message_id: Option<String>,
    /// Position of the string in its message.
    pub path: Option<String>,
    /// The value where it is readable.
    pub value: Option<String>,
    /// The levels at which it was found; `null` where it is not there at all.
    pub level: Change<Option<Level>>,
    /// The exposure in a sentence.
    pub text: String,
    /// The first location where it is readable.
    pub location: Option<Location>,
}

/// The difference between two isolation runs.
#[derive(Clone, Debug, Serialize)]
pub struct RunDiff {
    /// Paths of the two records.
    pub file: Change<String>,
    /// The two verdicts.
    pub verdict: Change<IsolationVerdict>,
    /// Leaks and doubts whose code only the newer one has.
    pub new_findings: Vec<DoubtEntry>,
    /// Leaks and doubts whose code only the older one has.
    pub gone_findings: Vec<DoubtEntry>,
}

/// Compares two results, named as the caller knows them.
pub fn compare(old: (&str, &Exposure), new: (&str, &Exposure)) -> Diff {
    let ((old_name, old), (new_name, new)) = (old, new);
    let pairs = pairs(&old.captures, &new.captures, |capture| &capture.name);
    let runs = self::pairs(&old.isolation, &new.isolation, |_| "isolation");
    let captures: Vec<_> = pairs.both.iter().map(|(old, new)| captures(old, new)).collect();
    let isolation: Vec<_> = runs.both.iter().map(|(old, new)| isolation_runs(old, new)).collect();
    let files = |captures: &[&Capture], runs: &[&Isolation]| {
        let captures = captures.iter().map(|capture| capture.file.clone());
        captures.chain(runs.iter().map(|run| run.file.clone())).collect()
    };
    Diff {
        schema: SCHEMA,
        program: new.program.clone(),
        old: old_name.to_owned(),
        new: new_name.to_owned(),
        conclusion: Change { old: old.conclusion, new: new.conclusion },
        became_readable: captures.iter().map(|capture| capture.became_readable_total).sum(),
        ceased: captures.iter().map(|capture| capture.ceased_total).sum(),
        only_old: files(&pairs.only_old, &runs.only_old),
        only_new: files(&pairs.only_new, &runs.only_new),
        captures,
        isolation,
        errors: old.errors.iter().chain(&new.errors).cloned().collect(),
    }
}

/// The exit status: 1 if something became readable or left a sandbox, 2 for errors, 3 if the results cannot be compared in
/// full or the newer one is in doubt where the older one was not.
pub fn exit_status(diff: &Diff) -> u8 {
    let is_worse = diff.became_readable > 0
        || diff.captures.iter().any(|capture| capture.verdict.turned(&Some(Verdict::Exposed)))
        || diff.isolation.iter().any(|run| run.verdict.turned(&IsolationVerdict::Leaked));
    let is_unsure = !(diff.only_old.is_empty() && diff.only_new.is_empty())
        || diff.captures.iter().any(|capture| !capture.cut_lists.is_empty())
        || diff.captures.iter().any(|capture| capture.verdict.old.is_some() && capture.verdict.turned(&None))
        || diff.captures.iter().any(|capture| capture.verdict.turned(&Some(Verdict::Inconclusive)))
        || diff.isolation.iter().any(|run| run.verdict.turned(&IsolationVerdict::Inconclusive));
    match (is_worse, diff.errors.is_empty(), is_unsure) {
        (true, _, _) => exit::NOT_MET,
        (false, false, _) => exit::INPUT,
        (false, true, true) => exit::INCONCLUSIVE,
        (false, true, false) => exit::MET,
    }
}

impl<T: PartialEq> Change<T> {
    /// Whether only the newer one is this.
    fn turned(&self, into: &T) -> bool {
        self.new == *into && self.old != *into
    }
}

/// What two lists have in common.
struct Pairs<'a, T> {
    both: Vec<(&'a T, &'a T)>,
    only_old: Vec<&'a T>,
    only_new: Vec<&'a T>,
}

/// Pairs the entries of equal names in their order. Where each list has one entry, these are compared whatever their names.
fn pairs<'a, T>(old: &'a [T], new: &'a [T], name: impl Fn(&T) -> &str) -> Pairs<'a, T> {
    if let ([old], [new]) = (old, new) {
        return Pairs { both: vec![(old, new)], only_old: Vec::new(), only_new: Vec::new() };
    }
    let mut by_name: HashMap<&str, std::collections::VecDeque<usize>> = HashMap::new();
    for (index, entry) in old.iter().enumerate() {
        by_name.entry(name(entry)).or_default().push_back(index);
    }
    let mut is_paired = vec![false; old.len()];
    let mut pairs = Pairs { both: Vec::new(), only_old: Vec::new(), only_new: Vec::new() };
    for entry in new {
        match by_name.get_mut(name(entry)).and_then(std::collections::VecDeque::pop_front) {
            Some(index) => {
                is_paired[index] = true;
                pairs.both.push((&old[index], entry));
            }
            None => pairs.only_new.push(entry),
        }
    }
    pairs.only_old =
        old.iter().zip(is_paired).filter(|(_, paired)| !paired).map(|(entry, _)| entry).collect();
    pairs
}

fn captures(old: &Capture, new: &Capture) -> CaptureDiff {
    let (before, after) = (strings(old), strings(new));
    let mut diff = CaptureDiff {
        name: new.name.clone(),
        file: Change { old: old.file.clone(), new: new.file.clone() },
        verdict: Change { old: old.verdict, new: new.verdict },
        became_readable: Vec::new(),
        became_readable_total: 0,
        ceased: Vec::new(),
        ceased_total: 0,
        still_readable: 0,
        new_doubts: without(&new.doubts, &old.doubts),
        gone_doubts: without(&old.doubts, &new.doubts),
        cut_lists: lists::cut(old, new),
    };
    let by_key: HashMap<_, _> = before.iter().map(|(key, finding)| (key, finding)).collect();
    for (key, finding) in &after {
        let earlier = by_key.get(key);
        match (is_readable(finding), earlier.is_some_and(|earlier| is_readable(earlier))) {
            (true, true) => diff.still_readable += 1,
            (true, false) => {
                diff.became_readable_total += 1;
                let old = earlier.and_then(|earlier| earlier.level);
                add(&mut diff.became_readable, finding, Change { old, new: finding.level });
            }
            (false, _) => {}
        }
    }
    let by_key: HashMap<_, _> = after.iter().map(|(key, finding)| (key, finding)).collect();
    for (key, finding) in before.iter().filter(|(_, finding)| is_readable(finding)) {
        let later = by_key.get(key);
        if !later.is_some_and(|later| is_readable(later)) {
            diff.ceased_total += 1;
            let new = later.and_then(|later| later.level);
            add(&mut diff.ceased, finding, Change { old: finding.level, new });
        }
    }
    diff
}

fn isolation_runs(old: &Isolation, new: &Isolation) -> RunDiff {
    let all = |run: &Isolation| run.leaks.iter().chain(&run.doubts).cloned().collect::<Vec<_>>();
    let (before, after) = (all(old), all(new));
    RunDiff {
        file: Change { old: old.file.clone(), new: new.file.clone() },
        verdict: Change { old: old.verdict, new: new.verdict },
        new_findings: without(&after, &before),
        gone_findings: without(&before, &after),
    }
}

/// The entries whose code the other list lacks.
fn without(entries: &[DoubtEntry], others: &[DoubtEntry]) -> Vec<DoubtEntry> {
    let is_new = |entry: &&DoubtEntry| others.iter().all(|other| other.code != entry.code);
    entries.iter().filter(is_new).cloned().collect()
}

fn is_readable(finding: &Finding<'_>) -> bool {
    finding.kind == Kind::Exposure
}

fn add(items: &mut Vec<Item>, finding: &Finding<'_>, level: Change<Option<Level>>) {
    if items.len() >= MAX_ITEMS {
        return;
    }
    items.push(Item {
        code: finding.code.to_string(),
        message_id: finding.message_id.map(str::to_owned),
        path: finding.path.map(str::to_owned),
        value: finding.value.map(str::to_owned),
        level,
        text: finding.text.clone(),
        location: finding.locations.first().cloned(),
    });
}

/// What makes a string the same one in two results.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key<'a> {
    class: Class,
    message_id: Option<&'a str>,
    direction: Option<&'static str>,
    path: Option<&'a str>,
    /// Where no message is known.
    value: Option<&'a str>,
    /// Number among those that are otherwise equal.
    ordinal: u32,
}

/// Findings that can be the same thing at another level.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Class {
    String,
    Part,
    Word,
    Content,
}

/// Everything in the messages of a capture that was searched for or found, with what it is recognised by.
fn strings(capture: &Capture) -> Vec<(Key<'_>, Finding<'_>)> {
    let mut strings = Vec::new();
    let mut times: HashMap<Key<'_>, u32> = HashMap::new();
    let _ = finding::of_capture(capture, &mut |finding| {
        let class = match (finding.kind, &*finding.code) {
            (Kind::Exposure, "exposure.part") => Class::Part,
            (Kind::Exposure, "exposure.handshake-word") => Class::Word,
            (
                _,
                "exposure.credential"
                | "exposure.personal-data"
                | "exposure.agent-message"
                | "opened.content",
            ) => Class::Content,
            (Kind::Exposure | Kind::Opened | Kind::Absent, _) => Class::String,
            _ => return Ok::<_, std::convert::Infallible>(()),
        };
        let mut key = Key {
            class,
            message_id: finding.message_id,
            direction: finding.direction.map(finding::direction_name),
            path: finding.path,
            value: if finding.message_id.is_none() { finding.value } else { None },
            ordinal: 0,
        };
        let times = times.entry(key.clone()).or_default();
        key.ordinal = *times;
        *times += 1;
        strings.push((key, finding));
        Ok(())
    });
    strings
}
