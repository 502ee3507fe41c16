//! The occurrences of the searched values in one capture, by value.

use std::collections::BTreeMap;

use crate::needles::KnownStrings;
use crate::observe::hits::{Hit, Hits, NeedleHits};

/// Finds the occurrences of a value by its bytes.
pub(crate) struct ValueHits<'r>(BTreeMap<&'r [u8], &'r NeedleHits>);

impl<'r> ValueHits<'r> {
    pub(crate) fn new(known: &'r KnownStrings, hits: &'r Hits<'r>) -> Self {
        Self(known.needles().map(|(needle, bytes)| (bytes, hits.of(needle))).collect())
    }

    pub(crate) fn of(&self, value: &str) -> Option<&'r NeedleHits> {
        self.0.get(value.as_bytes()).copied()
    }

    /// The first occurrence that begins in a frame for which `wanted` returns true.
    pub(crate) fn first(&self, value: &str, wanted: impl Fn(u64) -> bool) -> Option<(u64, &'r Hit)> {
        let framed = self.of(value)?.hits.iter().filter_map(|hit| Some((*hit.location.frames.first()?, hit)));
        framed.into_iter().find(|(frame, _)| wanted(*frame))
    }
}
