//! The files of a run, in memory.

use std::fs;
use std::path::Path;

use e2e::damage::{Record, sha256};
use serde_json::Value;

use crate::wire;

/// Names of the files in the folder of a run.
pub(crate) const CAPTURE: &str = "https.pcap";
const MANIFEST: &str = "https.manifest.json";
const JOURNALS: [&str; 2] = ["https.agent-a.jsonl", "https.agent-b.jsonl"];
const KEYS: &str = "https.keys";

/// The run of a TLS variant.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) capture: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
    /// Of agent-a and agent-b.
    pub(crate) journals: [Vec<u8>; 2],
    pub(crate) keys: Vec<u8>,
}

impl Run {
    /// Reads the files of a lab's captures folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let read = |name: &str| fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            capture: read(CAPTURE),
            manifest: read(MANIFEST),
            journals: JOURNALS.map(read),
            keys: read(KEYS),
        }
    }

    /// Writes the files into a folder.
    pub(crate) fn write(&self, folder: &Path) {
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.join(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        };
        write(CAPTURE, &self.capture);
        write(MANIFEST, &self.manifest);
        JOURNALS.iter().zip(&self.journals).for_each(|(name, journal)| write(name, journal));
        write(KEYS, &self.keys);
    }

    /// The frames; `None` if the file can no longer be read to its end.
    pub(crate) fn records(&self) -> Option<Vec<Record>> {
        let file = wire::read_file(&self.capture)?;
        (file.rest == 0).then_some(file.records)
    }

    /// Replaces the frames, and keeps the header of the file.
    pub(crate) fn set_records(&mut self, records: &[Record]) {
        let mut file = self.capture[..wire::FILE_HEADER].to_vec();
        for record in records {
            let (seconds, nanoseconds) = (record.at / 1_000_000_000, record.at % 1_000_000_000);
            let fields = [seconds as u32, nanoseconds as u32, record.bytes.len() as u32, record.original_len];
            fields.iter().for_each(|field| file.extend_from_slice(&field.to_le_bytes()));
            file.extend_from_slice(&record.bytes);
        }
        self.capture = file;
    }

    /// Updates the hash, the size and the number of frames in the manifest, if it is still one.
    pub(crate) fn vouch(&mut self) {
        let Ok(mut manifest) = serde_json::from_slice::<Value>(&self.manifest) else { return };
        let Some(capture) = manifest.get_mut("capture").and_then(Value::as_object_mut) else { return };
        let frames = wire::read_file(&self.capture).map_or(0, |file| file.records.len());
        let facts = [
            ("sha256", sha256(&self.capture).into()),
            ("bytes", self.capture.len().into()),
            ("frames", Value::from(frames)),
        ];
        for (key, fact) in facts {
            if let Some(value) = capture.get_mut(key) {
                *value = fact;
            }
        }
        self.manifest = manifest.to_string().into_bytes();
    }
}
