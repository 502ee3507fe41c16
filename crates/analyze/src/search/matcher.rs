//! All patterns at once, at memory speed, however many there are.
//!
//! A pattern of at least [`MIN_PATTERN`] bytes contains a window of `m` bytes. Sampling the text every `s = m - 3` bytes
//! reads exactly one four-byte gram that lies wholly inside any occurrence of the window:
//!
//! ```text
//!   window of a pattern (m = 8)      a b c d e f g h
//!   its grams                        abcd bcde cdef defg efgh          all s = 5 of them are in the filter
//!   sampled places of the text   .   .   .   .   .|   .   .   .   .|   every 5th: one of them always hits
//! ```
//!
//! A sample costs a load, a multiplication and one bit of a filter that stays in the nearest cache; no sample depends on
//! another. Only what passes the filter is looked up and compared. So the cost hardly grows with the number of patterns,
//! which an automaton's does: a run has thousands of them, each string in each of its encodings.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Shortest pattern. Below eight bytes a match in ciphertext is no evidence: 256^-7 times a gigabyte is no longer rare
/// enough, and common words appear in headers. Shorter strings are searched together with their JSON key.
pub(crate) const MIN_PATTERN: usize = 8;

/// The part of a pattern that is recognised at once; what is behind it is compared as it arrives. It bounds what must
/// be kept of a stream between two chunks.
pub(crate) const MAX_ANCHOR: usize = 32;

const GRAM: usize = 4;

/// Longest window. Longer ones would sample more sparsely still, but put more grams into the filter.
const MAX_WINDOW: usize = 16;

/// Filter bits for each gram: one sample in 32 that passes in vain is lost in the noise of the comparison.
const BITS_PER_GRAM: usize = 32;

/// Names a pattern: its index in the list given to [`Matcher::new`].
pub(crate) type PatternId = u32;

/// Finds the anchors of many patterns in contiguous bytes.
#[derive(Debug)]
pub(crate) struct Matcher {
    patterns: Vec<Box<[u8]>>,
    stride: usize,
    filter: Vec<u64>,
    /// `32 - log2(filter bits)`: the upper bits of the product are the well mixed ones.
    shift: u32,
    /// Gram to its range in `grams`.
    lookup: HashMap<u32, (u32, u32), FixedState>,
    grams: Vec<Gram>,
}

/// A four-byte gram inside a pattern.
#[derive(Clone, Copy, Debug)]
struct Gram {
    pattern: PatternId,
    /// Offset of the gram in the pattern.
    at: u32,
}

impl Matcher {
    /// A matcher for these patterns.
    ///
    /// # Panics
    ///
    /// If a pattern is shorter than [`MIN_PATTERN`]: the caller decides what to do with short strings.
    pub(crate) fn new(patterns: Vec<Box<[u8]>>) -> Self {
        let shortest = patterns.iter().map(|pattern| pattern.len()).min().unwrap_or(MIN_PATTERN);
        assert!(shortest >= MIN_PATTERN, "a pattern of {shortest} bytes is too short to be evidence");
        let window = shortest.min(MAX_WINDOW);
        let stride = window - GRAM + 1;

        let mut by_gram: Vec<(u32, Gram)> = Vec::with_capacity(patterns.len() * stride);
        for (id, pattern) in patterns.iter().enumerate() {
            let start = rarest_window(pattern, window);
            by_gram.extend((start..start + stride).map(|at| {
                let gram = gram_at(pattern, at).expect("the window lies inside its pattern");
                (gram, Gram { pattern: id as PatternId, at: at as u32 })
            }));
        }
        by_gram.sort_by_key(|(gram, entry)| (*gram, entry.pattern, entry.at));

        let bits = (by_gram.len() * BITS_PER_GRAM).next_power_of_two().clamp(1 << 15, 1 << 24);
        let mut filter = vec![0; bits / 64];
        let shift = 32 - bits.ilog2();
        let mut lookup = HashMap::with_capacity_and_hasher(by_gram.len(), FixedState::default());
        for (index, (gram, _)) in by_gram.iter().enumerate() {
            let bit = slot(*gram, shift);
            filter[bit / 64] |= 1 << (bit % 64);
            lookup.entry(*gram).or_insert((index as u32, 0)).1 = index as u32 + 1;
        }
        let grams = by_gram.into_iter().map(|(_, gram)| gram).collect();
        Self { patterns, stride, filter, shift, lookup, grams }
    }

    /// The bytes of a pattern.
    pub(crate) fn pattern(&self, id: PatternId) -> &[u8] {
        &self.patterns[id as usize]
    }

    /// How many bytes of a pattern [`Matcher::find`] recognises.
    pub(crate) fn anchor_len(&self, id: PatternId) -> usize {
        self.pattern(id).len().min(MAX_ANCHOR)
    }

    /// Calls `found` for every place where the anchor of a pattern stands wholly in `text`: once for each, with the
    /// offset of its first byte. The order is by neither offset nor pattern.
    pub(crate) fn find(&self, text: &[u8], mut found: impl FnMut(PatternId, usize)) {
        if self.patterns.is_empty() {
            return;
        }
        // Four samples at a time: their loads and filter bits are independent, and the branch is taken rarely.
        let stride = self.stride;
        let mut at = 0;
        while at + 3 * stride + GRAM <= text.len() {
            let block = &text[at..at + 3 * stride + GRAM];
            let passed = self.passes(block, 0)
                | self.passes(block, stride)
                | self.passes(block, 2 * stride)
                | self.passes(block, 3 * stride);
            if passed {
                for sample in 0..4 {
                    self.look(text, at + sample * stride, &mut found);
                }
            }
            at += 4 * stride;
        }
        while at + GRAM <= text.len() {
            self.look(text, at, &mut found);
            at += stride;
        }
    }

    #[inline(always)]
    fn passes(&self, block: &[u8], at: usize) -> bool {
        let gram = u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        let bit = slot(gram, self.shift);
        self.filter[bit / 64] >> (bit % 64) & 1 != 0
    }

    /// Compares the patterns that have the sampled gram in their window.
    fn look(&self, text: &[u8], at: usize, found: &mut impl FnMut(PatternId, usize)) {
        if !self.passes(text, at) {
            return;
        }
        let Some(gram) = gram_at(text, at) else { return };
        let Some(&(from, to)) = self.lookup.get(&gram) else { return };
        for entry in &self.grams[from as usize..to as usize] {
            let Some(start) = at.checked_sub(entry.at as usize) else { continue };
            let anchor = &self.patterns[entry.pattern as usize];
            let anchor = &anchor[..anchor.len().min(MAX_ANCHOR)];
            if text.get(start..start + anchor.len()) == Some(anchor) {
                found(entry.pattern, start);
            }
        }
    }
}

#[inline(always)]
fn slot(gram: u32, shift: u32) -> usize {
    // Fibonacci hashing: the golden ratio spreads neighbouring values.
    (gram.wrapping_mul(0x9e37_79b1) >> shift) as usize
}

fn gram_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Where in the anchor the window stands that ordinary traffic contains least often, by the frequency of its bytes in
/// JSON, headers and English.
fn rarest_window(pattern: &[u8], window: usize) -> usize {
    let anchor = &pattern[..pattern.len().min(MAX_ANCHOR)];
    let rarity: Vec<u32> = anchor.iter().map(|byte| rarity(*byte)).collect();
    let starts = 0..=anchor.len() - window;
    starts.max_by_key(|start| rarity[*start..start + window].iter().sum::<u32>()).unwrap_or(0)
}

fn rarity(byte: u8) -> u32 {
    match byte {
        b'"' | b' ' | b'e' | b't' | b'a' | b'o' | b'n' | b'i' | b's' | b'r' => 0,
        b'a'..=b'z' | b':' | b',' | b'_' => 1,
        b'0'..=b'9' | b'-' | b'.' | b'/' | b'{' | b'}' => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(patterns: &[&[u8]], text: &[u8]) -> Vec<(PatternId, usize)> {
        let matcher = Matcher::new(patterns.iter().map(|pattern| (*pattern).into()).collect());
        let mut found = Vec::new();
        matcher.find(text, |pattern, start| found.push((pattern, start)));
        found.sort_unstable();
        found
    }

    fn by_hand(patterns: &[&[u8]], text: &[u8]) -> Vec<(PatternId, usize)> {
        let mut found = Vec::new();
        for (id, pattern) in patterns.iter().enumerate() {
            let anchor = &pattern[..pattern.len().min(MAX_ANCHOR)];
            let places = text.windows(anchor.len()).enumerate().filter(|(_, window)| *window == anchor);
            found.extend(places.map(|(at, _)| (id as PatternId, at)));
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn every_alignment_is_found_once() {
        let pattern = b"analyze_dependency";
        for before in 0..40 {
            let text = [&vec![b'.'; before], &pattern[..], b"..."].concat();
            assert_eq!(matches(&[pattern], &text), [(0, before)]);
        }
    }

    #[test]
    fn only_the_anchor_of_a_long_pattern_is_compared() {
        let long = [b'x'; 100];
        assert_eq!(matches(&[&long], &long[..MAX_ANCHOR]), [(0, 0)]);
    }

    #[test]
    fn nothing_to_search_finds_nothing() {
        assert_eq!(matches(&[], b"some text that is long enough to be sampled"), []);
        assert_eq!(matches(&[b"12345678"], b""), []);
    }

    proptest! {
        /// A small alphabet makes overlaps, repetitions and near misses the rule.
        #[test]
        fn agrees_with_the_obvious_search(
            patterns in prop::collection::vec("[ab]{8,40}", 1..20),
            text in "[ab]{0,300}",
        ) {
            let patterns: Vec<&[u8]> = patterns.iter().map(String::as_bytes).collect();
            prop_assert_eq!(matches(&patterns, text.as_bytes()), by_hand(&patterns, text.as_bytes()));
        }
    }
}
