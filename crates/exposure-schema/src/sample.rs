//! A sample of a capture's strings, for readers that show a few of millions.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use crate::{Level, StringEntry};

/// The first strings of a capture that a sample keeps. The lab's first exchange has some sixty.
pub const FIRST_STRINGS: usize = 512;

/// Strings of each level that a sample keeps beyond those, as evidence that the level occurs.
pub const STRINGS_PER_LEVEL: usize = 8;

/// The first [`FIRST_STRINGS`] strings of a capture, and of the others the first [`STRINGS_PER_LEVEL`] of each level.
#[derive(Debug)]
pub struct Sample(Vec<StringEntry>);

impl std::ops::Deref for Sample {
    type Target = [StringEntry];

    fn deref(&self) -> &[StringEntry] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Sampling)
    }
}

struct Sampling;

impl<'de> Visitor<'de> for Sampling {
    type Value = Sample;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut strings: A) -> Result<Sample, A::Error> {
        let mut kept = Vec::new();
        let mut beyond: BTreeMap<Level, usize> = BTreeMap::new();
        while let Some(string) = strings.next_element::<StringEntry>()? {
            let beyond = beyond.entry(string.level).or_default();
            if kept.len() < FIRST_STRINGS {
                kept.push(string);
            } else if *beyond < STRINGS_PER_LEVEL {
                *beyond += 1;
                kept.push(string);
            }
        }
        Ok(Sample(kept))
    }
}
