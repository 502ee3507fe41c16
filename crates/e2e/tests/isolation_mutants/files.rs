//! The files of an isolation run, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use e2e::damage::{Record, sha256};
use e2e::lab::names;
use serde_json::Value;

pub(crate) const RECORD: &str = "isolation.json";
pub(crate) const PLAN: &str = "isolation.plan.json";
pub(crate) const ISOLATED: &str = "isolation.isolated.boxes.jsonl";
pub(crate) const CONTROL: &str = "isolation.control.boxes.jsonl";
pub(crate) const KEYS: [&str; 2] = ["isolation.token.keys", "isolation.mtls.keys"];

/// Bytes before the first record of a pcap file, and before the frame in a record.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// The files by name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files {
    pub(crate) fn read(folder: &Path) -> Self {
        let read = |name: String| {
            let bytes = fs::read(folder.join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, bytes)
        };
        Self(names(folder).into_iter().map(read).collect())
    }

    /// The same run, with every document written as alterations write it: what differs then is an alteration.
    pub(crate) fn normalized(mut self) -> Self {
        for name in self.captures() {
            let records = self.records(&name).expect("the lab writes whole captures");
            self.set_records(&name, &records);
        }
        for name in [ISOLATED, CONTROL] {
            let lines: Vec<Value> = self.lines(name).into_iter().flatten().collect();
            self.set_lines(name, &lines);
        }
        let record = self.json(RECORD);
        self.set_json(RECORD, &record);
        self
    }

    pub(crate) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder that can be created");
        for (name, bytes) in &self.0 {
            fs::write(folder.join(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    /// The names of the captures, without `.pcap`.
    pub(crate) fn captures(&self) -> Vec<String> {
        self.0.keys().filter_map(|name| name.strip_suffix(".pcap").map(str::to_owned)).collect()
    }

    pub(crate) fn bytes(&self, name: &str) -> &[u8] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// A document; `null` if there is none.
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(self.bytes(name)).unwrap_or_default()
    }

    pub(crate) fn set_json(&mut self, name: &str, document: &Value) {
        self.0.insert(name.to_owned(), document.to_string().into_bytes());
    }

    /// The lines of a journal; `None` for one that is no JSON.
    pub(crate) fn lines(&self, name: &str) -> Vec<Option<Value>> {
        let lines = self.bytes(name).split_inclusive(|byte| *byte == b'\n');
        lines.map(|line| serde_json::from_slice(line).ok()).collect()
    }

    pub(crate) fn set_lines(&mut self, name: &str, lines: &[Value]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.0.insert(name.to_owned(), text.into_bytes());
    }

    /// The frames of a capture; `None` if the file cannot be read to its end.
    pub(crate) fn records(&self, name: &str) -> Option<Vec<Record>> {
        let file = self.bytes(&format!("{name}.pcap"));
        let mut rest = file.get(FILE_HEADER..)?;
        let mut records = Vec::new();
        while !rest.is_empty() {
            let field = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
            let (seconds, nanos, len, original_len) = (field(0)?, field(4)?, field(8)?, field(12)?);
            let bytes = rest.get(RECORD_HEADER..RECORD_HEADER + len as usize)?.to_vec();
            let at = u64::from(seconds) * 1_000_000_000 + u64::from(nanos);
            rest = &rest[RECORD_HEADER + bytes.len()..];
            records.push(Record { at, original_len, bytes });
        }
        Some(records)
    }

    /// Replaces the frames of a capture, and updates its manifest.
    pub(crate) fn set_records(&mut self, name: &str, records: &[Record]) {
        let mut file = self.bytes(&format!("{name}.pcap"))[..FILE_HEADER].to_vec();
        for record in records {
            let (seconds, nanos) = (record.at / 1_000_000_000, record.at % 1_000_000_000);
            let fields = [seconds as u32, nanos as u32, record.bytes.len() as u32, record.original_len];
            fields.iter().for_each(|field| file.extend_from_slice(&field.to_le_bytes()));
            file.extend_from_slice(&record.bytes);
        }
        self.0.insert(format!("{name}.pcap"), file);
        self.vouch(name);
    }

    /// Updates hash, size and number of frames in a manifest.
    pub(crate) fn vouch(&mut self, name: &str) {
        let file = self.bytes(&format!("{name}.pcap")).to_vec();
        let frames = self.records(name).map_or(0, |records| records.len());
        let manifest = format!("{name}.manifest.json");
        let mut document = self.json(&manifest);
        if let Some(capture) = document.get_mut("capture").and_then(Value::as_object_mut) {
            capture.insert("sha256".to_owned(), sha256(&file).into());
            capture.insert("bytes".to_owned(), file.len().into());
            capture.insert("frames".to_owned(), frames.into());
            self.set_json(&manifest, &document);
        }
    }
}
