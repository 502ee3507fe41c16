//! Tests that compare the types with the committed JSON Schema, `docs/exposure.schema.json`, and with the field tables
//! of `docs/exposure.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::Exposure;

/// If this environment variable is set, the test rewrites the committed schema.
const UPDATE: &str = "UPDATE_SCHEMA";

/// The types whose fields have a table in `docs/exposure.md`: heading or first cell of the table, name of the type.
const TABLES: [(&str, &str); 53] = [
    ("field of `compared[]`", "Pair"),
    ("The document", "Exposure"),
    ("Capture", "Capture"),
    ("Doubt", "DoubtEntry"),
    ("Scope", "Scope"),
    ("field of `scope.connections[]`", "ScopeConnection"),
    ("field of `outside`", "Outside"),
    ("Completeness", "Completeness"),
    ("field of `unexplained[]`", "UnexplainedEntry"),
    ("Controls", "Controls"),
    ("String", "StringEntry"),
    ("Fragment", "FragmentEntry"),
    ("Beside the frames", "BesideFrames"),
    ("field of `found[]`", "BesideFramesEntry"),
    ("Location", "Location"),
    ("Summary", "Summary"),
    ("field of `server_keys[]`", "ServerKeyEntry"),
    ("TLS", "Tls"),
    ("field of `known_from_handshake[]`", "HandshakeText"),
    ("field of `words_in_handshake[]`", "HandshakeWord"),
    ("field of `sessions[]`", "TlsSession"),
    ("field of a certificate", "CertificateEntry"),
    ("field of `peers[]`", "PeerEntry"),
    ("DNS", "Dns"),
    ("field of `lookups[]`", "DnsLookup"),
    ("field of `answers[]`", "DnsAnswer"),
    ("QUIC", "Quic"),
    ("field of a QUIC session", "QuicSession"),
    ("HTTP message", "HttpMessage"),
    ("Message part", "MessagePart"),
    ("Readable string", "ReadableEntry"),
    ("Contents", "Readable"),
    ("field of `credentials[]` and `personal[]`", "FindingEntry"),
    ("field of `agents[]`", "AgentEntry"),
    ("Manifest", "ManifestEntry"),
    ("Journal line", "JournalEntry"),
    ("Connection", "ConnectionEntry"),
    ("field of `encapsulations[]`", "EncapsulationEntry"),
    ("field of `skipped_blocks`", "SkippedBlocks"),
    ("Packet", "PacketEntry"),
    ("Traffic", "Traffic"),
    ("Exhibit", "Exhibit"),
    ("field of `turns[]`", "Turn"),
    ("field of `opened[]`", "OpenedRecord"),
    ("field of `frame`", "ExhibitFrame"),
    ("Isolation run", "Isolation"),
    ("field of `kinds[]`", "KindEntry"),
    ("field of `measured[]`", "MeasuredEntry"),
    ("field of `interfaces[]`", "InterfaceEntry"),
    ("field of `boxes[]`", "BoxEntry"),
    ("field of `attempts[]`", "AttemptEntry"),
    ("field of `protections[]`", "ProtectionEntry"),
    ("field of `replays[]`", "ProtectedAnswer"),
];

/// The table for the fields of `identity`, which a row of another table describes as a whole: heading and type.
const IDENTITY: (&str, &str) = ("field of `identity`", "Identity");

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn generated() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Exposure>().to_value();
    schema["title"] = "plainsight.exposure/1".into();
    schema
}

#[test]
fn committed_schema_equals_the_generated_one() {
    let text = serde_json::to_string_pretty(&generated()).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        fs::write(docs("exposure.schema.json"), &text).unwrap();
    }
    let committed = fs::read_to_string(docs("exposure.schema.json")).unwrap_or_default();
    assert!(
        committed == text,
        "docs/exposure.schema.json differs from the schema of the types: run `{UPDATE}=1 cargo test -p exposure-schema`"
    );
}

#[test]
fn schema_requires_every_field() {
    for (name, fields) in types(&generated()) {
        assert!(fields.iter().all(|(_, field)| field.is_required), "{name} has a field that may be missing");
    }
}

#[test]
fn schema_is_valid() {
    assert!(jsonschema::meta::is_valid(&generated()));
    jsonschema::validator_for(&generated()).unwrap();
}

/// A field of a type in the schema.
struct Field {
    is_required: bool,
    /// Type of the field's object or of its array's elements, also where the field may be `null`.
    of: Option<String>,
}

/// Every type with fields in the schema, by name.
fn types(schema: &Value) -> BTreeMap<String, BTreeMap<String, Field>> {
    let definitions = schema["$defs"].as_object().unwrap();
    let root = [("Exposure".to_owned(), schema)].into_iter();
    let all = root.chain(definitions.iter().map(|(name, schema)| (name.clone(), schema)));
    all.filter_map(|(name, schema)| {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let fields = schema["properties"].as_object()?.iter().map(|(field, schema)| {
            let is_required = required.contains(&field.as_str());
            (field.clone(), Field { is_required, of: reference(schema) })
        });
        Some((name, fields.collect()))
    })
    .collect()
}

fn reference(schema: &Value) -> Option<String> {
    if let Some(path) = schema["$ref"].as_str() {
        return path.strip_prefix("#/$defs/").map(str::to_owned);
    }
    let either = schema["anyOf"].as_array().into_iter().flatten();
    either.chain(schema.get("items")).find_map(reference)
}

/// A table of `docs/exposure.md` that lists fields.
struct Table {
    /// The first cell if it names the fields' owner, otherwise the heading above the table.
    title: String,
    /// For each row the names in the first cell, and the other cells.
    rows: Vec<(Vec<String>, String)>,
}

fn tables(text: &str) -> Vec<Table> {
    let mut heading = "";
    let mut tables: Vec<Table> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title;
        }
        let Some(cells) = line.strip_prefix("| ") else {
            is_open &= line.starts_with("|-");
            continue;
        };
        let (first, rest) = cells.split_once(" | ").unwrap();
        if first.starts_with("field") && rest.starts_with("type") {
            is_open = true;
            let title = if first == "field" { heading } else { first };
            tables.push(Table { title: title.to_owned(), rows: Vec::new() });
        } else if is_open {
            tables.last_mut().unwrap().rows.push((quoted(first), rest.to_owned()));
        }
    }
    tables
}

/// The texts between backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Follows each name in the first cells, such as `records.total`, from type to type, so that an unknown field fails.
#[test]
fn documentation_lists_every_field_and_no_other() {
    let types = types(&generated());
    let mut documented: BTreeSet<(String, String)> = BTreeSet::new();
    for table in tables(&fs::read_to_string(docs("exposure.md")).unwrap()) {
        let known = TABLES.iter().chain([&IDENTITY]).find(|(title, _)| *title == table.title);
        let (_, root) = known.unwrap_or_else(|| panic!("a table of an unknown type: {}", table.title));
        for (names, rest) in table.rows {
            for name in names {
                let mut owner = (*root).to_owned();
                let mut parts = name.split('.').peekable();
                while let Some(part) = parts.next() {
                    let field = types[&owner].get(part);
                    let field =
                        field.unwrap_or_else(|| panic!("{}: {owner} has no field {part}", table.title));
                    documented.insert((owner.clone(), part.to_owned()));
                    match (&field.of, parts.peek()) {
                        (Some(of), _) => owner.clone_from(of),
                        (None, None) => {}
                        (None, Some(inner)) => panic!("{}: {part} has no field {inner}", table.title),
                    }
                }
                // The fields of an object without a table of its own are named in its description.
                for inner in quoted(&rest) {
                    if types.get(&owner).is_some_and(|fields| owner != *root && fields.contains_key(&inner)) {
                        documented.insert((owner.clone(), inner));
                    }
                }
            }
        }
    }
    let all =
        types.iter().flat_map(|(name, fields)| fields.keys().map(|field| (name.clone(), field.clone())));
    let missing: Vec<_> = all.filter(|field| !documented.contains(field)).collect();
    assert!(missing.is_empty(), "docs/exposure.md does not name {missing:?}");
}
