//! Snapshots of the output for a real run: the console view, and the structure of the JSON.
//!
//! Values that differ between runs are redacted, in columns at the same width.

use std::collections::{BTreeMap, BTreeSet};

use e2e::damage::{Copied, analyze_command};
use e2e::run_lab;
use serde_json::Value;

/// What `analyze` prints for a folder, without that folder's path.
fn shown(copied: &Copied) -> String {
    // The folder has a longer path on some machines, so that lines would break elsewhere.
    let text = printed(copied, "300");
    redacted(&text.replace(&copied.folder().display().to_string(), "FOLDER"))
}

/// What `analyze` prints on a terminal with so many columns.
fn printed(copied: &Copied, columns: &str) -> String {
    let mut command = analyze_command();
    let output = command.args(["--no-output"]).arg(copied.folder()).env("COLUMNS", columns).output();
    String::from_utf8(output.expect("analyze starts").stdout).expect("text")
}

#[test]
fn no_line_is_longer_than_the_terminal() {
    let copied = Copied::of(run_lab("relay"));
    for (columns, longest) in [("", 80), ("80", 80), ("60", 74), ("120", 120)] {
        let text = printed(&copied, columns);
        let line = text.lines().max_by_key(|line| line.chars().count()).expect("lines");
        assert!(line.chars().count() <= longest, "{columns}: {line}");
        assert!(text.starts_with("proven: "), "the verdict comes first: {text}");
    }
}

fn redacted(text: &str) -> String {
    let mut out = String::new();
    let (mut is_excerpt, mut is_reassembled) = (false, false);
    for line in text.lines() {
        let line = if is_excerpt {
            // The excerpt; for TLS it is ciphertext.
            let indent = line.len() - line.trim_start().len();
            format!("{}WIRE BYTES", &line[..indent])
        } else if let Some((before, _)) = line.split_once("Wireshark: ") {
            format!("{before}Wireshark: FILTER")
        } else if line.starts_with("    reassembled  ") {
            // Which strings are split over segments depends on timing.
            is_reassembled = true;
            "    reassembled  \"VALUE\"  PATH".to_owned()
        } else if std::mem::take(&mut is_reassembled) {
            numbers(line.split_once("  through ").map_or(line, |(before, _)| before))
        } else {
            numbers(line)
        };
        is_excerpt = line.trim_start().starts_with("frame") && line.contains("file offset");
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// Replaces each number by `#`, padded to its width in the table. One frame and several frames give the same text.
fn numbers(line: &str) -> String {
    let is_row = line.starts_with("http");
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[start..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |len| start + len);
        let (before, digits) = (&rest[..start], end - start);
        let in_column = is_row && before.ends_with("  ");
        out += before;
        out += &" ".repeat(if in_column { digits - 1 } else { 0 });
        out.push('#');
        rest = &rest[end..];
    }
    (out + rest).replace("frames #–#", "frame #").replace("frames #, #", "frame #")
}

#[test]
fn a_proven_pair() {
    insta::assert_snapshot!(shown(&Copied::of(run_lab("relay"))));
}

#[test]
fn a_pair_in_doubt() {
    let copied = Copied::of(run_lab("relay"));
    copied.remove("https.keys");
    insta::assert_snapshot!(shown(&copied));
}

/// Documents that together contain every field.
fn documents() -> [Value; 3] {
    let run = Copied::of(run_lab("relay"));
    let foreign = Copied::empty();
    foreign.write("foreign.pcap", run.read("http.pcap"));
    let damaged = Copied::of(run_lab("relay"));
    damaged.remove("https.keys");
    damaged.write_records("http", craft::link_type::ETHERNET, &damaged.records("http")[10..]);
    [&run, &foreign, &damaged].map(|copied| copied.analyze().document)
}

/// The snapshot has the type of each field: `"string"`, `"null | number"`, or the fields inside.
#[test]
fn the_json() {
    let documents = documents();
    let shape = documents.iter().map(shape).reduce(merged).expect("several documents");
    let shape = serde_json::to_string_pretty(&shape).expect("a shape is JSON");
    insta::assert_snapshot!(shape);
}

/// Each field is in a table of docs/exposure.md, by its name, or in a path of names joined by dots.
#[test]
fn every_field_is_documented() {
    let docs = include_str!("../../../docs/exposure.md");
    let documented: BTreeSet<&str> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .flat_map(|(name, _)| name.split('.'))
        .collect();
    let mut names = BTreeSet::new();
    documents().iter().for_each(|document| collect_names(document, &mut names));
    let missing: Vec<_> = names.iter().filter(|name| !documented.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/exposure.md does not name {missing:?}");
    assert!(names.len() > 150, "{} names", names.len());
}

fn collect_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| collect_names(element, names)),
        Value::Object(members) => {
            for (name, value) in members {
                names.insert(name.clone());
                collect_names(value, names);
            }
        }
        _ => {}
    }
}

fn shape(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(elements) => {
            Value::Array(elements.iter().map(shape).reduce(merged).into_iter().collect())
        }
        // Sorted by name, so that the order of the documents does not matter.
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.iter().map(|(name, value)| (name, shape(value))).collect();
            members.into_iter().map(|(name, shape)| (name.clone(), shape)).collect()
        }
    }
}

fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            for (name, value) in other {
                let known = one.get_mut(&name).map(Value::take);
                one.insert(name, known.map_or_else(|| value.clone(), |known| merged(known, value.clone())));
            }
            one.into()
        }
        (Value::Array(one), Value::Array(other)) => {
            Value::Array(one.into_iter().chain(other).reduce(merged).into_iter().collect())
        }
        (one, other) if one == other => one,
        (Value::String(one), Value::String(other)) => {
            let mut types: Vec<&str> = one.split(" | ").chain(other.split(" | ")).collect();
            types.sort_unstable();
            types.dedup();
            types.join(" | ").into()
        }
        // If a value can be `null` or have parts, the parts are shown.
        (Value::String(_), parts) | (parts, _) => parts,
    }
}
