//! What the report keeps of `plainsight.exposure/1`.
//!
//! The document is read to its end and checked, but a long run has millions of strings: of these only those are kept
//! that the report may show. The other lists end at a thousand entries, also in a document that no analyzer wrote.

use std::collections::BTreeMap;
use std::fmt;

use exposure_schema::{Level, StringEntry};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// Strings that are kept of a capture, from the first: the first exchange has some sixty.
const STRINGS_KEPT: usize = 512;

/// Strings that are kept of each level beyond those: the proof that the level occurs.
const STRINGS_KEPT_BY_LEVEL: usize = 8;

/// Entries that are kept of any other list: the analyzer's own lists end at a thousand.
const ENTRIES_KEPT: usize = 1_000;

/// The document, with the strings that the report may show.
pub(crate) type Exposure = exposure_schema::Exposure<Strings>;

/// A capture of it.
pub(crate) type Capture = exposure_schema::Capture<Strings>;

/// The strings of a capture: the first, and the first of each level.
#[derive(Debug)]
pub(crate) struct Strings {
    kept: Vec<StringEntry>,
}

impl std::ops::Deref for Strings {
    type Target = [StringEntry];

    fn deref(&self) -> &[StringEntry] {
        &self.kept
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Sample)
    }
}

/// Keeps strings as they are read.
struct Sample;

impl<'de> Visitor<'de> for Sample {
    type Value = Strings;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut strings: A) -> Result<Strings, A::Error> {
        let mut kept = Vec::new();
        let mut beyond: BTreeMap<Level, usize> = BTreeMap::new();
        while let Some(string) = strings.next_element::<StringEntry>()? {
            let beyond = beyond.entry(string.level).or_default();
            if kept.len() < STRINGS_KEPT {
                kept.push(string);
            } else if *beyond < STRINGS_KEPT_BY_LEVEL {
                *beyond += 1;
                kept.push(string);
            }
        }
        Ok(Strings { kept })
    }
}

/// Cuts the lists of a document to [`ENTRIES_KEPT`].
pub(crate) fn cut_lists(exposure: &mut Exposure) {
    exposure.reasons.truncate(ENTRIES_KEPT);
    exposure.errors.truncate(ENTRIES_KEPT);
    exposure.isolation.truncate(ENTRIES_KEPT);
    for run in &mut exposure.isolation {
        run.reasons.truncate(ENTRIES_KEPT);
        run.kinds.truncate(ENTRIES_KEPT);
        run.interfaces.truncate(ENTRIES_KEPT);
        run.boxes.truncate(ENTRIES_KEPT);
        for one in &mut run.boxes {
            one.limits.truncate(ENTRIES_KEPT);
        }
    }
    for capture in &mut exposure.captures {
        capture.reasons.truncate(ENTRIES_KEPT);
        capture.http.truncate(ENTRIES_KEPT);
        capture.readable.truncate(ENTRIES_KEPT);
        capture.journal.truncate(ENTRIES_KEPT);
        capture.connections.truncate(ENTRIES_KEPT);
        capture.packets.truncate(ENTRIES_KEPT);
        if let Some(tls) = &mut capture.tls {
            tls.sessions.truncate(ENTRIES_KEPT);
        }
    }
}
