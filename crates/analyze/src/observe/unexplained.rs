//! The bytes that no parser explains.

use crate::pipeline::fact::{At, Unexplained, UnexplainedFact};

/// Most runs of unexplained bytes that are listed; all bytes are counted.
pub(crate) const MAX_UNEXPLAINED: usize = 64;

/// Unexplained bytes of one kind that follow each other in the order of the capture.
#[derive(Clone, Debug)]
pub(crate) struct UnexplainedRun {
    /// Where the first of them are.
    pub at: At,
    /// How many they are.
    pub bytes: u64,
    /// Why no parser explains them.
    pub why: Unexplained,
}

/// All unexplained bytes of a capture.
#[derive(Debug, Default)]
pub(crate) struct UnexplainedBytes {
    /// The first [`MAX_UNEXPLAINED`] runs.
    pub runs: Vec<UnexplainedRun>,
    /// All bytes.
    pub total: u64,
}

impl UnexplainedBytes {
    /// Takes a fact. What only holders of the keys see counts as explained: the record around it authenticated.
    pub(crate) fn take(&mut self, fact: &UnexplainedFact) {
        if fact.needs_secret {
            return;
        }
        self.total += fact.bytes;
        if let Some(last) = self.runs.last_mut()
            && is_same_stream(last.at, fact.at)
            && last.why.reads_like(&fact.why)
        {
            last.bytes += fact.bytes;
        } else if self.runs.len() < MAX_UNEXPLAINED {
            self.runs.push(UnexplainedRun { at: fact.at, bytes: fact.bytes, why: fact.why.clone() });
        }
    }
}

/// Whether both are in one direction of one stream, or both outside of any direction beside the same stream.
fn is_same_stream(one: At, other: At) -> bool {
    match (one, other) {
        (At::Stream { stream, direction, .. }, At::Stream { stream: other, direction: way, .. }) => {
            (stream, direction) == (other, way)
        }
        (At::Frame { stream, .. }, At::Frame { stream: other, .. }) => stream == other,
        _ => false,
    }
}
