//! Where the needles stand.

use std::ops::Range;
use std::sync::Arc;

use dissect::flow::Direction;
use exposure_schema::Level;

use crate::search::Encoding;
use crate::search::needles::{KnownStrings, NeedleId};

/// Most places remembered for one needle; the others are counted. A place takes about a hundred bytes, and a string
/// that stands in a thousand places is proved by the first of them.
pub(crate) const MAX_PLACES: usize = 1024;

/// Most places remembered in all, so that many frequent needles cannot add up to unbounded memory.
pub(crate) const MAX_PLACES_TOTAL: usize = 100_000;

/// Most frames named for one place. A body of 1 MiB in segments of 1,448 bytes has 725.
pub(crate) const MAX_FRAMES: usize = 1024;

/// Where bytes stand in the capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// All frames that contribute, ascending, at most [`MAX_FRAMES`].
    pub frames: Vec<u64>,
    /// Offset in the capture file of the first byte.
    pub file_offset: u64,
    /// The TCP stream, as Wireshark numbers it; `None` outside of any stream.
    pub stream: Option<u32>,
    /// Who sent it.
    pub side: Option<Direction>,
    /// Offset in the stream of the first byte; `None` for bytes that did not join a stream.
    pub stream_offset: Option<u64>,
    /// Bytes on the wire that carry it.
    pub wire_len: u64,
    /// Where the place is of whole records: stream offsets of exactly the ciphertext.
    pub ciphertext: Option<Range<u64>>,
}

/// A needle in its place.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    /// What it takes to read it.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// What has to be undone, outermost first.
    pub layers: Arc<[&'static str]>,
}

/// All that was found of one needle.
#[derive(Clone, Debug, Default)]
pub(crate) struct NeedleHits {
    /// Number of places by level, `absent` excluded.
    pub counts: [u64; 4],
    /// The first [`MAX_PLACES`] of them.
    pub hits: Vec<Hit>,
}

impl NeedleHits {
    /// The cheapest level at which the needle stands.
    pub(crate) fn level(&self) -> Level {
        let first = self.counts.iter().position(|count| *count > 0);
        first.and_then(|index| Level::ALL.get(index)).copied().unwrap_or(Level::Absent)
    }

    /// Number of places at all levels.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The findings of one capture.
#[derive(Debug)]
pub(crate) struct Findings {
    found: Vec<NeedleHits>,
    kept: usize,
}

impl Findings {
    /// Nothing found yet.
    pub(crate) fn new(known: &KnownStrings) -> Self {
        Self { found: vec![NeedleHits::default(); known.needles.len()], kept: 0 }
    }

    /// What was found of a needle.
    pub(crate) fn of(&self, needle: NeedleId) -> &NeedleHits {
        &self.found[needle as usize]
    }

    /// Adds a place. `place` is called only if the place is still to be remembered.
    pub(crate) fn add(
        &mut self,
        needle: NeedleId,
        level: Level,
        layers: &Arc<[&'static str]>,
        form: Encoding,
        place: impl FnOnce() -> Place,
    ) {
        let level = if form == Encoding::Plain { level } else { level.max(Level::Decoded) };
        let found = &mut self.found[needle as usize];
        if found.hits.len() >= MAX_PLACES || self.kept >= MAX_PLACES_TOTAL && !found.hits.is_empty() {
            found.counts[level as usize] += 1;
            return;
        }
        let place = place();
        // A segment that is searched as a part of its stream and again on its own is still one place.
        let known = |hit: &Hit| hit.place.file_offset == place.file_offset && hit.level <= level;
        if found.hits.iter().rev().take(8).any(known) {
            return;
        }
        found.counts[level as usize] += 1;
        let layers = match form.layer() {
            None => Arc::clone(layers),
            Some(form) => layers.iter().copied().chain([form]).collect(),
        };
        found.hits.push(Hit { level, place, layers });
        self.kept += 1;
    }
}
