//! Collects the bytes that no parser explains.

use crate::pipeline::fact::{At, Unexplained, UnexplainedFact};

/// Maximum number of runs of unexplained bytes listed; all bytes are counted.
pub(crate) const MAX_UNEXPLAINED: usize = 64;

/// Consecutive unexplained bytes with one reason, in the order of the capture.
#[derive(Clone, Debug)]
pub(crate) struct UnexplainedRun {
    /// Position of the first byte.
    pub at: At,
    /// Number of bytes.
    pub bytes: u64,
    /// Why no parser explains them.
    pub why: Unexplained,
}

/// All unexplained bytes of a capture.
#[derive(Debug, Default)]
pub(crate) struct UnexplainedBytes {
    /// The first [`MAX_UNEXPLAINED`] runs.
    pub runs: Vec<UnexplainedRun>,
    /// Number of all unexplained bytes.
    pub total: u64,
}

impl UnexplainedBytes {
    /// Adds unexplained bytes. Those inside of TLS count too: who knows the keystream can choose a plaintext whose
    /// ciphertext spells something, and the record authenticates.
    pub(crate) fn take(&mut self, fact: &UnexplainedFact) {
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

/// Whether both places are in one direction of one stream, or both in frames outside of any direction of the same
/// stream.
fn is_same_stream(one: At, other: At) -> bool {
    match (one, other) {
        (At::Stream { stream, direction, .. }, At::Stream { stream: other, direction: way, .. }) => {
            (stream, direction) == (other, way)
        }
        (At::Frame { stream, .. }, At::Frame { stream: other, .. }) => stream == other,
        _ => false,
    }
}
