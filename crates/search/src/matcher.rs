//! Searches for all patterns at once, at the speed of memory, however many there are.
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
//!
//! A pattern takes one entry of eight bytes: the hash of the first word of its window, and its number. Its bytes are written
//! again for a comparison. What passes the filter may lie at several places of a window, so each of them is looked up; a
//! small table limits them to those that occur, and a second filter to those whose word occurs.
//!
//! Traffic can contain many strings with one beginning. The entries of one word are therefore sorted by the bytes of their
//! patterns, and the text is looked up among them instead of being compared with each.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::encodings::{Form, MAX_ENCODED};
use crate::fragments::common;
use crate::order::{Block, BlockSort};
use crate::patterns::{MIN_PATTERN, PatternId, Patterns};

/// Longest part of a pattern that the matcher itself recognises; the scanner compares the bytes behind it as they
/// arrive. It limits how much of a stream must be kept between two chunks.
pub const MAX_ANCHOR: usize = 32;

/// Bytes of a gram. Shorter grams are common in any text and cost comparisons; longer ones require more samples.
const GRAM: usize = 5;

/// Bytes loaded for a gram; the upper ones are masked out.
const LOAD: usize = 8;
const GRAM_MASK: u64 = (1 << (8 * GRAM)) - 1;

/// Longest window. A longer one would need fewer samples still, but puts more grams into the filter.
const MAX_WINDOW: usize = 16;

/// Distance of two samples, for the shortest and the longest window.
const MIN_STRIDE: usize = MIN_PATTERN - GRAM + 1;
const MAX_STRIDE: usize = MAX_WINDOW - GRAM + 1;
const _: () = assert!(MIN_STRIDE == 4 && MAX_STRIDE == 12, "`find_anchors` has an arm for every stride");

/// Filter bits for each gram: the cost of one false positive in 32 samples is negligible beside the comparisons.
const BITS_PER_GRAM: usize = 32;

/// Most bits of the filter. Beyond half a million grams it passes more and more, so that the search gets slower instead of
/// larger.
const MAX_FILTER_BITS: usize = 1 << 24;

/// Places of a window that are remembered by gram: most of those that a false positive asks for are empty.
const SLOTS_PER_GRAM: usize = 8;
const MAX_SLOTS: usize = 1 << 20;

/// Bits for each pattern in the filter of words, which answers for most windows that a gram alone suggests.
const BITS_PER_WORD: usize = 16;

/// Most bits of that filter.
const MAX_WORD_BITS: usize = 1 << 24;

/// Bytes by which patterns are sorted block by block: those of most patterns that are written again. The others are compared.
const MAX_SORTED: usize = 6 * MAX_ENCODED;

/// Samples whose loads and filter bits are computed together: they are independent, and the branch is rarely taken.
const BLOCK: usize = 4;

/// Index of an entry.
type Rank = u32;

/// Finds many patterns in contiguous bytes.
#[derive(Debug)]
pub struct Matcher {
    pub(crate) patterns: Arc<Patterns>,
    window: usize,
    stride: usize,
    filter: Vec<u64>,
    /// Number of bits by which a hash is shifted to number a bit of the filter: its upper bits are well mixed.
    filter_shift: u32,
    /// By the hash of a gram, the set of the offsets at which it occurs in windows.
    offsets: Vec<u16>,
    offsets_shift: u32,
    /// One bit for the hash of the first word of each window.
    words: Vec<u64>,
    words_shift: u32,
    /// For each bucket, the first of its entries; one more than there are buckets.
    buckets: Vec<Rank>,
    bucket_shift: u32,
    /// By bucket; in a bucket by their keys, then by the bytes of their patterns.
    entries: Vec<Entry>,
}

/// A pattern, by the first word of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: Key,
    pattern: PatternId,
}

/// A part of the hash of a word, and the offset of the word in the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u32);

impl Key {
    /// Enough for any offset in an anchor.
    const OFFSET_BITS: u32 = MAX_ANCHOR.ilog2();

    fn new(hash: u64, offset: usize) -> Self {
        Self((hash as u32) << Self::OFFSET_BITS | offset as u32)
    }

    fn offset(self) -> usize {
        (self.0 & ((1 << Self::OFFSET_BITS) - 1)) as usize
    }

    fn has_hash_of(self, other: Self) -> bool {
        self.0 >> Self::OFFSET_BITS == other.0 >> Self::OFFSET_BITS
    }
}

impl Matcher {
    /// A matcher for all patterns of at least [`MIN_PATTERN`] bytes.
    pub fn new(patterns: Arc<Patterns>) -> Self {
        let count = patterns.count();
        let shortest = patterns.shortest().min(MAX_WINDOW);
        let stride = shortest - GRAM + 1;
        let grams = count * stride;
        let filter_bits = (grams * BITS_PER_GRAM).next_power_of_two().clamp(1 << 15, MAX_FILTER_BITS);
        let slots = (grams * SLOTS_PER_GRAM).next_power_of_two().clamp(1 << 10, MAX_SLOTS);
        let word_bits = (count * BITS_PER_WORD).next_power_of_two().clamp(1 << 10, MAX_WORD_BITS);
        let bucket_count = (count / 2).next_power_of_two().clamp(2, 1 << 20);
        let empty = Entry { key: Key(0), pattern: PatternId::new(0, Form::PLAIN) };
        let mut matcher = Self {
            patterns,
            window: shortest,
            stride,
            filter: vec![0; filter_bits / 64],
            filter_shift: 64 - filter_bits.ilog2(),
            offsets: vec![0; slots],
            offsets_shift: 64 - slots.ilog2(),
            words: vec![0; word_bits / 64],
            words_shift: 64 - word_bits.ilog2(),
            buckets: vec![0; bucket_count + 1],
            bucket_shift: 64 - bucket_count.ilog2(),
            entries: vec![empty; count],
        };
        matcher.fill();
        matcher.sort();
        matcher
    }

    /// Puts each pattern into its bucket, in two passes, so that no second copy of the entries is needed.
    fn fill(&mut self) {
        let Self { patterns, window, stride, filter, offsets, words, buckets, entries, .. } = self;
        let (filter_shift, offsets_shift, words_shift) =
            (self.filter_shift, self.offsets_shift, self.words_shift);
        let bucket_of = |hash: u64| (hash >> self.bucket_shift) as usize;
        patterns.for_each(|_, written| {
            let at = rarest_window(written, *window);
            let word = hash_word(word_at(written, at));
            buckets[bucket_of(word)] += 1;
            set_bit(words, word >> words_shift);
            for offset in 0..*stride {
                let gram = gram_at(written, at + offset);
                set_bit(filter, hash(gram) >> filter_shift);
                offsets[(hash_for_offsets(gram) >> offsets_shift) as usize] |= 1 << offset;
            }
        });
        let mut end = 0;
        for begin in buckets.iter_mut() {
            end += *begin;
            *begin = end;
        }
        patterns.for_each(|pattern, written| {
            let at = rarest_window(written, *window);
            let hash = hash_word(word_at(written, at));
            let begin = &mut buckets[bucket_of(hash)];
            *begin -= 1;
            entries[*begin as usize] = Entry { key: Key::new(hash, at), pattern };
        });
    }

    fn sort(&mut self) {
        let Self { patterns, buckets, entries, .. } = self;
        let (mut sort, mut scratch) = (BlockSort::default(), Vec::new());
        for range in buckets.windows(2).map(|pair| pair[0] as usize..pair[1] as usize) {
            let bucket = &mut entries[range];
            bucket.sort_unstable();
            for same in bucket.chunk_by_mut(|one, other| one.key == other.key) {
                let mut block = |entry: &Entry, depth| {
                    Block::at(patterns.written_into(entry.pattern, &mut scratch), depth)
                };
                sort.sort(same, MAX_SORTED, &mut block, |equal| {
                    let bytes = |entry: &Entry| patterns.written(entry.pattern);
                    equal.sort_by(|one, other| bytes(one).cmp(&bytes(other)));
                });
            }
        }
    }

    /// Calls `found` once for every occurrence of a whole anchor in `text`, with the patterns that begin with it, and the
    /// offset of its first byte, in no particular order.
    #[inline]
    pub(crate) fn find_anchors(&self, text: &[u8], mut found: impl FnMut(Begun, usize)) {
        if self.entries.is_empty() {
            return;
        }
        // A constant stride spares every sample its bounds check.
        let mut at = match self.stride {
            MIN_STRIDE => self.find_in_blocks::<MIN_STRIDE>(text, &mut found),
            5 => self.find_in_blocks::<5>(text, &mut found),
            6 => self.find_in_blocks::<6>(text, &mut found),
            7 => self.find_in_blocks::<7>(text, &mut found),
            8 => self.find_in_blocks::<8>(text, &mut found),
            9 => self.find_in_blocks::<9>(text, &mut found),
            10 => self.find_in_blocks::<10>(text, &mut found),
            11 => self.find_in_blocks::<11>(text, &mut found),
            _ => self.find_in_blocks::<MAX_STRIDE>(text, &mut found),
        };
        while at + GRAM <= text.len() {
            if self.passes(gram_at(text, at)) != 0 {
                self.look(text, at, &mut found);
            }
            at += self.stride;
        }
    }

    /// Searches whole blocks of samples. Returns the offset of the first sample behind them.
    #[inline]
    fn find_in_blocks<const STRIDE: usize>(
        &self,
        text: &[u8],
        found: &mut impl FnMut(Begun, usize),
    ) -> usize {
        let mut at = 0;
        while let Some(block) = text.get(at..at + (BLOCK - 1) * STRIDE + LOAD) {
            let mut passed = 0;
            for sample in 0..BLOCK {
                let gram = u64::from_le_bytes(
                    block[sample * STRIDE..sample * STRIDE + LOAD].try_into().expect("eight bytes are eight"),
                );
                passed |= self.passes(gram & GRAM_MASK) << sample;
            }
            while passed != 0 {
                self.look(text, at + passed.trailing_zeros() as usize * STRIDE, found);
                passed &= passed - 1;
            }
            at += BLOCK * STRIDE;
        }
        at
    }

    /// 1 if a window may have this gram, otherwise 0.
    #[inline(always)]
    fn passes(&self, gram: u64) -> u64 {
        bit(&self.filter, hash(gram) >> self.filter_shift)
    }

    /// Looks for the windows that have the sampled gram.
    #[inline]
    fn look(&self, text: &[u8], at: usize, found: &mut impl FnMut(Begun, usize)) {
        let gram = gram_at(text, at);
        let mut offsets = self.offsets[(hash_for_offsets(gram) >> self.offsets_shift) as usize];
        while offsets != 0 {
            let offset = offsets.trailing_zeros() as usize;
            offsets &= offsets - 1;
            if let Some(window) = at.checked_sub(offset)
                && let Some(word) = load(text, window)
            {
                let hash = hash_word(word);
                if bit(&self.words, hash >> self.words_shift) != 0 {
                    self.look_up(text, window, hash, found);
                }
            }
        }
    }

    /// Compares the text with the patterns whose window begins with the word at `window`.
    #[inline]
    fn look_up(&self, text: &[u8], window: usize, hash: u64, found: &mut impl FnMut(Begun, usize)) {
        let bucket = (hash >> self.bucket_shift) as usize;
        let (mut first, end) = (self.buckets[bucket], self.buckets[bucket + 1]);
        let key = Key::new(hash, 0);
        let entries = |from: Rank| &self.entries[from as usize..end as usize];
        first += entries(first).iter().take_while(|entry| entry.key < key).count() as Rank;
        while let Some(entry) = entries(first).first().filter(|entry| entry.key.has_hash_of(key)) {
            let behind = first + entries(first).partition_point(|other| other.key <= entry.key) as Rank;
            if let Some(start) = window.checked_sub(entry.key.offset()) {
                self.compare(text, start, first..behind, found);
            }
            first = behind;
        }
    }

    /// Compares the text at `start` with the anchors of these entries.
    fn compare(&self, text: &[u8], start: usize, ranks: Range<Rank>, found: &mut impl FnMut(Begun, usize)) {
        let ahead = &text[start..text.len().min(start + MAX_ANCHOR)];
        if ranks.len() == 1 {
            let written = self.written(ranks.start);
            let anchor = anchor_of(&written);
            if ahead.starts_with(anchor) {
                found(Begun { matched: anchor.len(), ranks }, start);
            }
            return;
        }
        let entries = &self.entries[ranks.start as usize..ranks.end as usize];
        let anchor = |entry: &Entry| cut(self.patterns.written(entry.pattern), MAX_ANCHOR);
        prefixes(entries, ahead, anchor, |range, matched| {
            let ranks = ranks.start + range.start as Rank..ranks.start + range.end as Rank;
            found(Begun { matched, ranks }, start);
        });
    }

    /// Continues the patterns whose beginning was seen with the bytes that follow. Calls `complete` for each pattern
    /// that ends in `more`, with its length; returns the patterns that continue beyond it.
    pub(crate) fn follow(
        &self,
        begun: Begun,
        more: &[u8],
        mut complete: impl FnMut(PatternId, usize),
    ) -> Begun {
        let Begun { matched, ranks } = begun;
        let entries = &self.entries[ranks.start as usize..ranks.end as usize];
        let tail = |entry: &Entry| skip(self.patterns.written(entry.pattern), matched);
        let before = prefixes(entries, more, tail, |range, len| {
            entries[range].iter().for_each(|entry| complete(entry.pattern, matched + len));
        });
        let beyond = entries[before..].partition_point(|entry| tail(entry).starts_with(more));
        let first = ranks.start + before as Rank;
        Begun { matched: matched + more.len(), ranks: first..first + beyond as Rank }
    }

    fn written(&self, rank: Rank) -> Cow<'_, [u8]> {
        self.patterns.written(self.entries[rank as usize].pattern)
    }
}

/// Calls `each` for the sorted entries whose bytes `text` begins with, from the longest to the shortest: entries with equal
/// bytes together, with the length of their bytes. Returns the number of entries that do not sort behind the text.
fn prefixes<'b>(
    entries: &[Entry],
    text: &[u8],
    bytes: impl Fn(&Entry) -> Cow<'b, [u8]>,
    mut each: impl FnMut(Range<usize>, usize),
) -> usize {
    let not_behind = |entries: &[Entry], text: &[u8]| entries.partition_point(|entry| *bytes(entry) <= *text);
    let before = not_behind(entries, text);
    let (mut rest, mut text) = (&entries[..before], text);
    // What the text begins with sorts before it, and so does everything between the two, which begins with it as well.
    while let Some((last, others)) = rest.split_last() {
        let longest = bytes(last);
        let shared = common(&longest, text);
        if shared < longest.len() {
            text = &text[..shared];
            rest = &rest[..not_behind(others, text)];
            continue;
        }
        let equal = others.iter().rev().take_while(|entry| bytes(entry) == longest).count();
        let first = others.len() - equal;
        each(first..rest.len(), shared);
        rest = &rest[..first];
    }
    before
}

/// Patterns of which the same beginning was seen.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    /// Number of bytes seen of each.
    matched: usize,
    ranks: Range<Rank>,
}

impl Begun {
    pub(crate) fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    /// Number of bytes seen of each pattern.
    pub(crate) fn matched(&self) -> usize {
        self.matched
    }
}

fn anchor_of(pattern: &[u8]) -> &[u8] {
    &pattern[..pattern.len().min(MAX_ANCHOR)]
}

/// The first bytes, at most `len` of them.
fn cut(bytes: Cow<'_, [u8]>, len: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => bytes[..bytes.len().min(len)].into(),
        Cow::Owned(mut bytes) => {
            bytes.truncate(len);
            bytes.into()
        }
    }
}

/// The bytes behind the first `len`.
fn skip(bytes: Cow<'_, [u8]>, len: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => bytes[len..].into(),
        Cow::Owned(mut bytes) => bytes.split_off(len).into(),
    }
}

#[inline(always)]
fn hash(gram: u64) -> u64 {
    // Fibonacci hashing: the golden ratio spreads neighbouring values over the upper bits.
    gram.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(always)]
fn bit(bits: &[u64], index: u64) -> u64 {
    bits[index as usize / 64] >> (index % 64) & 1
}

fn set_bit(bits: &mut [u64], index: u64) {
    bits[index as usize / 64] |= 1 << (index % 64);
}

/// Another hash of a gram, so that its offsets do not depend on what made it pass the filter.
#[inline(always)]
fn hash_for_offsets(gram: u64) -> u64 {
    gram.wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
}

/// A hash of a word of which all bits are mixed: the upper ones number a bucket, the lower ones are in the key.
#[inline(always)]
fn hash_word(word: u64) -> u64 {
    let mixed = hash(word);
    hash(mixed ^ mixed >> 32) ^ mixed >> 32
}

fn word_at(bytes: &[u8], at: usize) -> u64 {
    load(bytes, at).expect("a window has at least eight bytes")
}

#[inline(always)]
fn load(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The gram at an offset with at least [`GRAM`] bytes behind it.
#[inline(always)]
fn gram_at(bytes: &[u8], at: usize) -> u64 {
    if let Some(loaded) = load(bytes, at) {
        return loaded & GRAM_MASK;
    }
    let mut last = [0; LOAD];
    last[..GRAM].copy_from_slice(&bytes[at..at + GRAM]);
    u64::from_le_bytes(last)
}

/// Offset of the window in the anchor that is rarest in ordinary traffic, by the frequency of its bytes in JSON,
/// headers and English.
fn rarest_window(pattern: &[u8], window: usize) -> usize {
    let anchor = anchor_of(pattern);
    let rarity = |at: usize| RARITY[usize::from(anchor[at])];
    let mut sum: u32 = (0..window).map(rarity).sum();
    let (mut rarest, mut most) = (0, sum);
    for start in 1..=anchor.len() - window {
        sum = sum + rarity(start + window - 1) - rarity(start - 1);
        if sum >= most {
            (rarest, most) = (start, sum);
        }
    }
    rarest
}

static RARITY: [u32; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = rarity(byte as u8);
        byte += 1;
    }
    all
};

const fn rarity(byte: u8) -> u32 {
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
    use crate::Encoding;
    use proptest::prelude::*;

    /// The anchors in a text that are not encoded.
    fn matches(patterns: &[&[u8]], text: &[u8]) -> Vec<(PatternId, usize)> {
        let matcher = Matcher::new(Arc::new(patterns.iter().map(|pattern| pattern.to_vec()).collect()));
        let mut found = Vec::new();
        matcher.find_anchors(text, |begun, start| {
            let entries = &matcher.entries[begun.ranks.start as usize..begun.ranks.end as usize];
            found.extend(entries.iter().map(|entry| (entry.pattern, start)));
        });
        found.retain(|(pattern, _)| pattern.encoding() == Encoding::Plain);
        found.sort_unstable();
        found
    }

    fn plain(needle: usize) -> PatternId {
        PatternId::new(needle as u32, Form::PLAIN)
    }

    fn by_hand(patterns: &[&[u8]], text: &[u8]) -> Vec<(PatternId, usize)> {
        let mut found = Vec::new();
        for (id, pattern) in patterns.iter().enumerate() {
            let anchor = &pattern[..pattern.len().min(MAX_ANCHOR)];
            let places = text.windows(anchor.len()).enumerate().filter(|(_, window)| *window == anchor);
            found.extend(places.map(|(at, _)| (plain(id), at)));
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn finds_every_alignment_once() {
        let pattern = b"analyze_dependency";
        for before in 0..40 {
            let text = [&vec![b'.'; before], &pattern[..], b"..."].concat();
            assert_eq!(matches(&[pattern], &text), [(plain(0), before)]);
        }
    }

    #[test]
    fn compares_only_the_anchor_of_a_long_pattern() {
        let long = [b'x'; 100];
        assert_eq!(matches(&[&long], &long[..MAX_ANCHOR]), [(plain(0), 0)]);
    }

    #[test]
    fn finds_nothing_without_patterns() {
        assert_eq!(matches(&[], b"some text that is long enough to be sampled"), []);
        assert_eq!(matches(&[b"12345678"], b""), []);
    }

    proptest! {
        /// A small alphabet makes overlaps, repetitions and near misses frequent.
        #[test]
        fn agrees_with_a_naive_search(
            patterns in prop::collection::hash_set("[ab]{8,40}", 1..20),
            text in "[ab]{0,300}",
        ) {
            let patterns: Vec<&[u8]> = patterns.iter().map(String::as_bytes).collect();
            prop_assert_eq!(matches(&patterns, text.as_bytes()), by_hand(&patterns, text.as_bytes()));
        }
    }
}
