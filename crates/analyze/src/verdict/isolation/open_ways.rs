//! The ways between sandboxes that none of them closes: how much of what was sent by each arrived.

use exposure_schema::{MeasuredEntry, PhaseName};

use super::boxes::{Boxes, UNBOXED};
use crate::input::isolation_record::{BoxRun, KINDS, Shown};

/// Bits of a hexadecimal digit.
const DIGIT: u32 = 4;

/// Counts, for each such way, the bits that sandboxes without network heard of each other, and processes outside any sandbox.
pub(super) fn measure(boxes: &[Boxes]) -> Vec<MeasuredEntry> {
    let measured = KINDS.iter().filter(|kind| kind.shown == Shown::Measured).map(|kind| {
        let of = |phase, is_unboxed| {
            let phase = boxes.iter().filter(move |boxes| boxes.phase == phase).flat_map(|boxes| &boxes.runs);
            heard(kind.name, &phase.filter(|run| (run.network == UNBOXED) == is_unboxed).collect::<Vec<_>>())
        };
        let (isolated, control) = (of(PhaseName::Isolated, false), of(PhaseName::Control, true));
        MeasuredEntry {
            kind: kind.name.to_owned(),
            bits: isolated.bits,
            right: isolated.right,
            control_bits: control.bits,
            control_right: control.right,
        }
    });
    measured.filter(|entry| entry.bits + entry.control_bits > 0).collect()
}

/// Bits that were heard, and how many of them are those that were sent.
#[derive(Clone, Copy, Default)]
struct Count {
    bits: u64,
    right: u64,
}

/// Compares each word that a sandbox heard with the beginning of the canary of another one, the most similar if there are
/// several.
fn heard(kind: &str, runs: &[&BoxRun]) -> Count {
    let mut count = Count::default();
    for run in runs {
        let others = runs.iter().filter(|other| other.name != run.name).flat_map(|other| other.attempts());
        let canaries: Vec<&str> = others
            .filter(|attempt| attempt.kind == kind)
            .filter_map(|attempt| attempt.canary.as_deref())
            .collect();
        for attempt in run.attempts().iter().filter(|attempt| attempt.kind == kind) {
            for word in attempt.data.split_whitespace() {
                let bits = word.len() as u64 * u64::from(DIGIT);
                let right =
                    canaries.iter().filter_map(|canary| equal_bits(word, canary.get(..word.len())?)).max();
                if let Some(right) = right {
                    count = Count { bits: count.bits + bits, right: count.right + right };
                }
            }
        }
    }
    count
}

/// Number of equal bits of two words of the same number of hexadecimal digits; `None` for anything else.
fn equal_bits(one: &str, other: &str) -> Option<u64> {
    let digits = one.chars().zip(other.chars());
    digits
        .map(|(one, other)| Some(u64::from(DIGIT - (one.to_digit(16)? ^ other.to_digit(16)?).count_ones())))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_compared_digit_by_digit() {
        assert_eq!(equal_bits("f0a1", "f0a1"), Some(16));
        assert_eq!(equal_bits("f0a1", "f0a0"), Some(15));
        assert_eq!(equal_bits("0000", "ffff"), Some(0));
        assert_eq!(equal_bits("x", "f"), None);
    }
}
