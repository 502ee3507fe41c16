//! All patterns at once, at memory speed, however many there are.
//!
//! A pattern of at least [`MIN_PATTERN`] bytes contains a window of `m` bytes. Sampling the text every `s = m - 4` bytes
//! reads exactly one five-byte gram that lies wholly inside any occurrence of the window:
//!
//! ```text
//!   window of a pattern (m = 8)      a b c d e f g h
//!   its grams                        abcde bcdef cdefg defgh           all s = 4 of them are in the filter
//!   sampled places of the text   .   .   .   .|   .   .   .   .   .|   every 4th: one of them always hits
//! ```
//!
//! A sample costs a load, a multiplication and one bit of a filter that stays in the nearest caches; no sample depends on
//! another. Only what passes the filter is looked up and compared. So the cost hardly grows with the number of patterns,
//! which an automaton's does: a run has thousands of them, each string in each of its encodings.

/// Shortest pattern. Below eight bytes a match in ciphertext is no evidence: 256^-7 times a gigabyte is no longer rare
/// enough, and common words appear in headers. Shorter strings are searched together with their JSON key.
pub(crate) const MIN_PATTERN: usize = 8;

/// The part of a pattern that is recognised at once; what is behind it is compared as it arrives. It bounds what must
/// be kept of a stream between two chunks.
pub(crate) const MAX_ANCHOR: usize = 32;

/// Shorter grams are common in any text and cost comparisons; longer ones cost samples.
const GRAM: usize = 5;

/// A gram is loaded as eight bytes, of which the upper ones are not looked at.
const LOAD: usize = 8;
const GRAM_MASK: u64 = (1 << (8 * GRAM)) - 1;

/// Longest window. Longer ones would sample more sparsely still, but put more grams into the filter.
const MAX_WINDOW: usize = 16;

/// Filter bits for each gram: one sample in 32 that passes in vain is lost in the noise of the comparison.
const BITS_PER_GRAM: usize = 32;

/// Samples whose loads and filter bits are taken together: they are independent, and the branch is rarely taken.
const BLOCK: usize = 4;

/// Names a pattern: its index in the list given to [`Matcher::new`].
pub(crate) type PatternId = u32;

/// Finds the anchors of many patterns in contiguous bytes.
#[derive(Debug)]
pub(crate) struct Matcher {
    patterns: Vec<Box<[u8]>>,
    stride: usize,
    filter: Vec<u64>,
    /// What a hash is shifted by to number a bit of the filter: its upper bits are the well mixed ones.
    filter_shift: u32,
    /// Where in `grams` each bucket begins; one more than there are buckets.
    buckets: Vec<u32>,
    bucket_shift: u32,
    grams: Vec<Gram>,
}

/// A gram inside the window of a pattern.
#[derive(Clone, Copy, Debug)]
struct Gram {
    /// The first eight bytes of the window.
    window: u64,
    pattern: PatternId,
    /// Offset of the gram in the window.
    in_window: u8,
    /// Offset of the window in the pattern.
    window_at: u8,
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

        let mut hashed: Vec<(u64, Gram)> = Vec::with_capacity(patterns.len() * stride);
        for (id, pattern) in patterns.iter().enumerate() {
            let window_at = rarest_window(pattern, window);
            let first = load(pattern, window_at).expect("a window has at least eight bytes");
            hashed.extend((0..stride).map(|in_window| {
                let gram = Gram {
                    window: first,
                    pattern: id as PatternId,
                    in_window: in_window as u8,
                    window_at: window_at as u8,
                };
                (hash(gram_at(pattern, window_at + in_window)), gram)
            }));
        }
        hashed.sort_by_key(|(hash, gram)| (*hash, gram.pattern, gram.in_window));

        let bits = (hashed.len() * BITS_PER_GRAM).next_power_of_two().clamp(1 << 15, 1 << 24);
        let filter_shift = 64 - bits.ilog2();
        let mut filter = vec![0; bits / 64];
        let bucket_count = (hashed.len() * 2).next_power_of_two().clamp(2, 1 << 22);
        let bucket_shift = 64 - bucket_count.ilog2();
        let mut buckets = vec![0; bucket_count + 1];
        for (hash, _) in &hashed {
            let bit = (hash >> filter_shift) as usize;
            filter[bit / 64] |= 1 << (bit % 64);
            buckets[(hash >> bucket_shift) as usize + 1] += 1;
        }
        let mut total = 0;
        for begin in &mut buckets {
            total += *begin;
            *begin = total;
        }
        let grams = hashed.into_iter().map(|(_, gram)| gram).collect();
        Self { patterns, stride, filter, filter_shift, buckets, bucket_shift, grams }
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
    #[inline]
    pub(crate) fn find(&self, text: &[u8], mut found: impl FnMut(PatternId, usize)) {
        if self.patterns.is_empty() {
            return;
        }
        let stride = self.stride;
        let span = (BLOCK - 1) * stride + LOAD;
        let mut at = 0;
        while let Some(block) = text.get(at..at + span) {
            let mut passed = 0;
            for sample in 0..BLOCK {
                let gram = u64::from_le_bytes(
                    block[sample * stride..sample * stride + LOAD].try_into().expect("eight bytes are eight"),
                );
                passed |= self.passes(hash(gram & GRAM_MASK)) << sample;
            }
            while passed != 0 {
                self.look(text, at + passed.trailing_zeros() as usize * stride, &mut found);
                passed &= passed - 1;
            }
            at += BLOCK * stride;
        }
        while at + GRAM <= text.len() {
            if self.passes(hash(gram_at(text, at))) != 0 {
                self.look(text, at, &mut found);
            }
            at += stride;
        }
    }

    #[inline(always)]
    fn passes(&self, hash: u64) -> u64 {
        let bit = (hash >> self.filter_shift) as usize;
        self.filter[bit / 64] >> (bit % 64) & 1
    }

    /// Compares the patterns that have the sampled gram in their window.
    #[inline]
    fn look(&self, text: &[u8], at: usize, found: &mut impl FnMut(PatternId, usize)) {
        let bucket = (hash(gram_at(text, at)) >> self.bucket_shift) as usize;
        let range = self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize;
        for gram in &self.grams[range] {
            let Some(window) = at.checked_sub(usize::from(gram.in_window)) else { continue };
            if load(text, window) == Some(gram.window) {
                self.compare(text, window, gram, found);
            }
        }
    }

    fn compare(&self, text: &[u8], window: usize, gram: &Gram, found: &mut impl FnMut(PatternId, usize)) {
        let Some(start) = window.checked_sub(usize::from(gram.window_at)) else { return };
        let anchor = &self.patterns[gram.pattern as usize];
        let anchor = &anchor[..anchor.len().min(MAX_ANCHOR)];
        if text.get(start..start + anchor.len()) == Some(anchor) {
            found(gram.pattern, start);
        }
    }
}

#[inline(always)]
fn hash(gram: u64) -> u64 {
    // Fibonacci hashing: the golden ratio spreads neighbouring values over the upper bits.
    gram.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(always)]
fn load(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The gram at a place with at least [`GRAM`] bytes.
#[inline(always)]
fn gram_at(bytes: &[u8], at: usize) -> u64 {
    if let Some(loaded) = load(bytes, at) {
        return loaded & GRAM_MASK;
    }
    let mut last = [0; LOAD];
    last[..GRAM].copy_from_slice(&bytes[at..at + GRAM]);
    u64::from_le_bytes(last)
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
