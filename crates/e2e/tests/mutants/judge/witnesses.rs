//! Compares manifest, journals and key log of a mutant with those of the run.

use std::collections::{BTreeMap, BTreeSet};

use e2e::damage::sha256;
use serde_json::Value;

use super::stated::{SECOND, Stated};
use crate::run::Run;
use crate::wire;

pub(super) fn server_name(manifest: &[u8]) -> Option<Value> {
    let manifest: Value = serde_json::from_slice(manifest).ok()?;
    Some(manifest["variant"]["server_name"].clone())
}

/// Everything in which the witnesses of a mutant are not those of the run.
pub(super) fn objections(original: &Run, mutant: &Run) -> Vec<String> {
    let mut objections = of_manifest(original, mutant);
    objections.extend(of_journals(original, mutant));
    objections.extend(of_keys(original, mutant));
    objections
}

/// Names for people, and values that may be others (docs/formats.md, "What `analyze` checks").
const NAMES: [&str; 3] = ["/variant/name", "/program/name", "/program/version"];

/// How long a comparison may be silent before its first frame and after its last one (docs/formats.md).
const SILENCE: u64 = 300 * SECOND;

fn of_manifest(original: &Run, mutant: &Run) -> Vec<String> {
    let Ok(manifest) = serde_json::from_slice::<Value>(&mutant.manifest) else {
        return vec!["a manifest that is not JSON".to_owned()];
    };
    let before: Value = serde_json::from_slice(&original.manifest).expect("the lab writes JSON");
    let (mut fields, mut others) = (BTreeMap::new(), BTreeMap::new());
    leaves(&before, String::new(), &mut fields);
    leaves(&manifest, String::new(), &mut others);
    let file = wire::read_file(&mutant.capture);
    let times: Vec<u64> = file.iter().flat_map(|file| file.records.iter().map(|record| record.at)).collect();
    let mut objections = Vec::new();
    for (field, value) in &fields {
        let Some(other) = others.get(field) else {
            objections.push(format!("a manifest without {field}"));
            continue;
        };
        let agrees = match field.as_str() {
            "/capture/sha256" => other.as_str() == Some(sha256(&mutant.capture).as_str()),
            "/capture/bytes" => other.as_u64() == Some(mutant.capture.len() as u64),
            "/capture/frames" => {
                other.as_u64() == Some(file.as_ref().map_or(0, |file| file.records.len() as u64))
            }
            // Which interface it was is a name for people.
            "/interface" => value.is_string() == other.is_string() && value.is_null() == other.is_null(),
            // Which of these backends captured on an interface is a name for people.
            "/backend" => value == other || *value == "netns" && *other == "docker",
            "/decoys" => other.as_array().is_some_and(|decoys| are_decoys(decoys)),
            "/started_at_unix_ns" => other.as_u64().is_some_and(|at| {
                times
                    .iter()
                    .min()
                    .is_none_or(|first| at <= first + SECOND && first.saturating_sub(at) <= SILENCE)
            }),
            "/ended_at_unix_ns" => other.as_u64().is_some_and(|at| {
                times
                    .iter()
                    .max()
                    .is_none_or(|last| at + SECOND >= *last && at.saturating_sub(*last) <= SILENCE)
            }),
            name if NAMES.contains(&name) => other.is_string(),
            _ => value == other,
        };
        if !agrees {
            objections.push(format!("another {field} in the manifest"));
        }
    }
    objections
}

/// The fields of a document that are no objects.
fn leaves(value: &Value, at: String, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| leaves(value, format!("{at}/{key}"), found));
        }
        _ => drop(found.insert(at, value.clone())),
    }
}

/// Eight different values of 32 hex digits. Which they are does not matter.
fn are_decoys(decoys: &[Value]) -> bool {
    let is_decoy = |decoy: &&str| {
        decoy.len() == 32 && decoy.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let distinct: BTreeSet<_> = decoys.iter().filter_map(Value::as_str).filter(is_decoy).collect();
    distinct.len() == 8 && decoys.len() == 8
}

/// The fields of a journal's line that are facts, but its time.
const FACTS: [&str; 9] =
    ["schema", "run", "agent", "event", "message_id", "content_type", "body_sha256", "body", "body_base64"];

/// A line as one text, without its addresses and its time.
type Line = (Vec<String>, [Option<String>; 2]);

fn of_journals(original: &Run, mutant: &Run) -> Vec<String> {
    let Some(stated) = Stated::of(&mutant.manifest) else { return Vec::new() };
    let mut objections = Vec::new();
    for (before, after) in original.journals.iter().zip(&mutant.journals) {
        let Some(after) = lines(after) else {
            objections.push("a line of a journal that cannot be read".to_owned());
            continue;
        };
        let (mut known, _) = split(&lines(before).expect("the lab writes JSON"));
        let (mut found, times) = split(&after);
        let is_outside =
            |at: &Option<u64>| at.is_none_or(|at| at + SECOND < stated.started || at > stated.ended + SECOND);
        if times.iter().any(is_outside) {
            objections.push("a line of a journal outside of the time in the manifest".to_owned());
        }
        known.sort();
        found.sort();
        // An agent that is not certain of an address states none.
        let is_same = |(known, found): (&Line, &Line)| {
            let addresses = known.1.iter().zip(&found.1);
            known.0 == found.0
                && addresses.into_iter().all(|(known, found)| found.is_none() || known == found)
        };
        if known.len() != found.len() || !known.iter().zip(&found).all(is_same) {
            objections.push("other lines in a journal".to_owned());
        }
    }
    objections
}

fn split(lines: &[Value]) -> (Vec<Line>, Vec<Option<u64>>) {
    let times = lines.iter().map(|line| line["at_unix_ns"].as_u64()).collect();
    let text = |line: &Value| {
        let facts = FACTS.iter().map(|fact| line[fact].to_string()).collect();
        (facts, ["local", "remote"].map(|end| line[end].as_str().map(str::to_owned)))
    };
    (lines.iter().map(text).collect(), times)
}

fn lines(journal: &[u8]) -> Option<Vec<Value>> {
    let lines = journal.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.map(|line| serde_json::from_slice(line).ok().filter(Value::is_object)).collect()
}

/// The labels of the secrets that decrypt the lab's connections (RFC 9846 §7.1).
const NEEDED: [&str; 4] = [
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
];

fn of_keys(original: &Run, mutant: &Run) -> Vec<String> {
    let (needed, found) = (secrets(&original.keys), secrets(&mutant.keys));
    let is_lost = |secret: &&Vec<String>| NEEDED.contains(&secret[0].as_str()) && !found.contains(*secret);
    let lost = needed.iter().filter(is_lost).count();
    (lost > 0).then(|| "a secret that the key log lacks".to_owned()).into_iter().collect()
}

/// Label, client random and secret of each line, with the digits in lower case.
fn secrets(keys: &[u8]) -> BTreeSet<Vec<String>> {
    let lines = keys.split(|byte| matches!(byte, b'\n' | b'\r'));
    let words = |line: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(line);
        let mut words: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
        words.iter_mut().skip(1).for_each(|word| word.make_ascii_lowercase());
        words
    };
    lines.map(words).filter(|words| words.len() == 3).collect()
}
