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
//! Traffic can contain many strings with one beginning. Patterns that a sample cannot distinguish are therefore sorted,
//! and the text is looked up among them instead of being compared with each.

use std::ops::Range;

/// Shortest pattern. Below eight bytes a match in ciphertext is no evidence: 256^-7 times a gigabyte is not rare
/// enough, and common words appear in headers. Shorter strings are searched together with their JSON key.
pub(crate) const MIN_PATTERN: usize = 8;

/// Longest part of a pattern that the matcher itself recognises; the scanner compares the bytes behind it as they
/// arrive. It limits how much of a stream must be kept between two chunks.
pub(crate) const MAX_ANCHOR: usize = 32;

/// Bytes of a gram. Shorter grams are common in any text and cost comparisons; longer ones require more samples.
const GRAM: usize = 5;

/// Bytes loaded for a gram; the upper ones are masked out.
const LOAD: usize = 8;
const GRAM_MASK: u64 = (1 << (8 * GRAM)) - 1;

/// Longest window. A longer one would need fewer samples still, but puts more grams into the filter.
const MAX_WINDOW: usize = 16;

/// Filter bits for each gram: the cost of one false positive in 32 samples is negligible beside the comparisons.
const BITS_PER_GRAM: usize = 32;

/// Samples whose loads and filter bits are computed together: they are independent, and the branch is rarely taken.
const BLOCK: usize = 4;

/// Names a pattern: its index in the list given to [`Matcher::new`].
pub(crate) type PatternId = u32;

/// Names an anchor: the beginning of one or several patterns.
pub(crate) type AnchorId = u32;

/// The position of a pattern in the sorted order.
type Rank = u32;

/// Stands for no rank, or for no member.
const NONE: u32 = u32::MAX;

/// Up to this many grams of a bucket are compared one by one, which is as fast as a binary search among them.
const FEW: usize = 16;

/// Finds the anchors of many patterns in contiguous bytes.
#[derive(Debug)]
pub(crate) struct Matcher {
    patterns: Vec<Box<[u8]>>,
    /// All patterns in the order of their bytes.
    sorted: Vec<PatternId>,
    /// For each rank, the longest other pattern that this one begins with. A pattern that occurs twice begins with its
    /// previous copy.
    begins_with: Vec<Rank>,
    /// The patterns that share an anchor, by their ranks; the anchors are in the order of their bytes.
    anchors: Vec<Range<Rank>>,
    stride: usize,
    index: GramIndex,
    classes: Classes,
}

/// The grams of all windows: a filter that most samples fail, and the grams by their hash.
#[derive(Debug)]
struct GramIndex {
    filter: Vec<u64>,
    /// Number of bits by which a hash is shifted to number a bit of the filter: its upper bits are well mixed.
    filter_shift: u32,
    /// For each bucket, the index in `grams` at which it begins; one more entry than there are buckets.
    buckets: Vec<u32>,
    bucket_shift: u32,
    /// Sorted by bucket; within a bucket by `in_word` and `word`.
    grams: Vec<Gram>,
}

/// The anchors by the words of their windows: a class holds all anchors with the same word at the same offset.
#[derive(Debug)]
struct Classes {
    /// For each class, the index in `members` at which its anchors begin; one more entry than there are classes.
    starts: Vec<u32>,
    members: Vec<Member>,
}

/// Eight bytes of an anchor's window. The order puts the words of a class together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    bytes: u64,
    /// Offset in the anchor.
    at: u8,
    /// Whether it is the last word of the window.
    is_last: bool,
    anchor: AnchorId,
}

/// A gram inside the window of the anchors of a class.
#[derive(Clone, Copy, Debug)]
struct Gram {
    /// Eight bytes of the window that hold the gram.
    word: u64,
    /// The class: the anchors that have this word at this offset.
    class: u32,
    /// Offset of the gram in the word.
    in_word: u8,
    /// Offset of the word in the anchor.
    word_at: u8,
}

/// An anchor of a class; the anchors of a class are sorted by their bytes.
#[derive(Clone, Copy, Debug)]
struct Member {
    anchor: AnchorId,
    /// The longest other anchor of the class that this one begins with, as an index of `members`.
    begins_with: u32,
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

        let mut sorted: Vec<PatternId> = (0..patterns.len() as PatternId).collect();
        sorted.sort_by_key(|id| &patterns[*id as usize]);
        let bytes = |rank: usize| &patterns[sorted[rank] as usize][..];
        let begins_with = beginnings(sorted.len(), bytes);
        let anchors = group_by_anchor(sorted.len(), bytes);
        let anchor = |id: AnchorId| anchor_of(bytes(anchors[id as usize].start as usize));
        let (classes, grams) = Classes::new(words(anchors.len(), window, anchor), anchor);
        Self {
            begins_with,
            stride: window - GRAM + 1,
            index: GramIndex::new(grams),
            classes,
            anchors,
            sorted,
            patterns,
        }
    }

    /// The bytes of a pattern.
    pub(crate) fn pattern(&self, id: PatternId) -> &[u8] {
        &self.patterns[id as usize]
    }

    /// The bytes of an anchor.
    pub(crate) fn anchor(&self, id: AnchorId) -> &[u8] {
        anchor_of(self.at(self.anchors[id as usize].start))
    }

    /// The patterns that begin with an anchor.
    pub(crate) fn begun(&self, anchor: AnchorId) -> Begun {
        let ranks = self.anchors[anchor as usize].clone();
        Begun { matched: self.anchor(anchor).len(), ranks }
    }

    /// Continues the patterns whose beginning was seen with the bytes that follow. Calls `complete` for each pattern
    /// that ends in `more`; returns the patterns that continue beyond it.
    pub(crate) fn follow(&self, begun: Begun, more: &[u8], mut complete: impl FnMut(PatternId)) -> Begun {
        let Begun { matched, ranks } = begun;
        let tail = |id: PatternId| &self.patterns[id as usize][matched..];
        let sorted = &self.sorted[ranks.start as usize..ranks.end as usize];
        // A pattern that ends in `more` is a prefix of it, so it sorts before `more`, and so does every pattern that
        // begins with it.
        let before = sorted.partition_point(|id| tail(*id) <= more);
        if before > 0 {
            let common = common(tail(sorted[before - 1]), more);
            let mut rank = ranks.start + before as Rank - 1;
            loop {
                let id = self.sorted[rank as usize];
                if tail(id).len() <= common {
                    complete(id);
                }
                rank = self.begins_with[rank as usize];
                if rank == NONE || rank < ranks.start {
                    break;
                }
            }
        }
        let beyond = sorted[before..].partition_point(|id| tail(*id).starts_with(more));
        let first = ranks.start + before as Rank;
        Begun { matched: matched + more.len(), ranks: first..first + beyond as Rank }
    }

    fn at(&self, rank: Rank) -> &[u8] {
        &self.patterns[self.sorted[rank as usize] as usize]
    }

    /// Calls `found` once for every occurrence of a whole anchor in `text`, with the offset of its first byte, in no
    /// particular order.
    #[inline]
    pub(crate) fn find(&self, text: &[u8], mut found: impl FnMut(AnchorId, usize)) {
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
                passed |= self.index.passes(hash(gram & GRAM_MASK)) << sample;
            }
            while passed != 0 {
                self.look(text, at + passed.trailing_zeros() as usize * stride, &mut found);
                passed &= passed - 1;
            }
            at += BLOCK * stride;
        }
        while at + GRAM <= text.len() {
            if self.index.passes(hash(gram_at(text, at))) != 0 {
                self.look(text, at, &mut found);
            }
            at += stride;
        }
    }

    /// Compares the text with the anchors that have the sampled gram in their window.
    #[inline]
    fn look(&self, text: &[u8], at: usize, found: &mut impl FnMut(AnchorId, usize)) {
        let grams = self.index.bucket(hash(gram_at(text, at)));
        if grams.len() > FEW {
            return self.look_among(grams, text, at, found);
        }
        for gram in grams {
            let Some(word) = at.checked_sub(usize::from(gram.in_word)) else { continue };
            if load(text, word) == Some(gram.word) {
                self.compare(text, word, gram, found);
            }
        }
    }

    /// Does the same for a gram that many words share.
    #[cold]
    fn look_among(&self, grams: &[Gram], text: &[u8], at: usize, found: &mut impl FnMut(AnchorId, usize)) {
        for in_word in 0..=at.min(LOAD - GRAM) {
            let Some(word) = load(text, at - in_word) else { continue };
            let match_mode = (in_word as u8, word);
            let first = grams.partition_point(|gram| (gram.in_word, gram.word) < match_mode);
            for gram in grams[first..].iter().take_while(|gram| (gram.in_word, gram.word) == match_mode) {
                self.compare(text, at - in_word, gram, found);
            }
        }
    }

    fn compare(&self, text: &[u8], word: usize, gram: &Gram, found: &mut impl FnMut(AnchorId, usize)) {
        let Some(start) = word.checked_sub(usize::from(gram.word_at)) else { return };
        let text = &text[start..text.len().min(start + MAX_ANCHOR)];
        let first = self.classes.starts[gram.class as usize] as usize;
        let members = &self.classes.members[first..self.classes.starts[gram.class as usize + 1] as usize];
        // As in `follow`: the anchors at this place are prefixes of the last one that sorts before the text.
        if let [only] = members {
            if text.starts_with(self.anchor(only.anchor)) {
                found(only.anchor, start);
            }
            return;
        }
        let before = members.partition_point(|member| self.anchor(member.anchor) <= text);
        let Some(last) = before.checked_sub(1) else { return };
        let common = common(self.anchor(members[last].anchor), text);
        let mut member = (first + last) as u32;
        while member != NONE {
            let Member { anchor, begins_with } = self.classes.members[member as usize];
            if self.anchor(anchor).len() <= common {
                found(anchor, start);
            }
            member = begins_with;
        }
    }
}

impl GramIndex {
    /// `grams` come with their hashes.
    fn new(mut grams: Vec<(u64, Gram)>) -> Self {
        let bits = (grams.len() * BITS_PER_GRAM).next_power_of_two().clamp(1 << 15, 1 << 24);
        let filter_shift = 64 - bits.ilog2();
        let mut filter = vec![0; bits / 64];
        let bucket_count = (grams.len() * 2).next_power_of_two().clamp(2, 1 << 22);
        let bucket_shift = 64 - bucket_count.ilog2();
        grams.sort_by_key(|(hash, gram)| (hash >> bucket_shift, gram.in_word, gram.word, gram.word_at));
        let mut buckets = vec![0; bucket_count + 1];
        for (hash, _) in &grams {
            let bit = (hash >> filter_shift) as usize;
            filter[bit / 64] |= 1 << (bit % 64);
            buckets[(hash >> bucket_shift) as usize + 1] += 1;
        }
        let mut total = 0;
        for begin in &mut buckets {
            total += *begin;
            *begin = total;
        }
        let grams = grams.into_iter().map(|(_, gram)| gram).collect();
        Self { filter, filter_shift, buckets, bucket_shift, grams }
    }

    /// 1 if a gram with this hash may be in the index, otherwise 0.
    #[inline(always)]
    fn passes(&self, hash: u64) -> u64 {
        let bit = (hash >> self.filter_shift) as usize;
        self.filter[bit / 64] >> (bit % 64) & 1
    }

    /// The grams of the bucket for this hash.
    #[inline(always)]
    fn bucket(&self, hash: u64) -> &[Gram] {
        let bucket = (hash >> self.bucket_shift) as usize;
        &self.grams[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize]
    }
}

impl Classes {
    /// Also returns the grams of all classes, with their hashes.
    fn new<'b>(mut words: Vec<Word>, anchor: impl Fn(AnchorId) -> &'b [u8]) -> (Self, Vec<(u64, Gram)>) {
        words.sort_unstable();
        let mut grams: Vec<(u64, Gram)> = Vec::new();
        let mut starts: Vec<u32> = Vec::new();
        let mut members: Vec<Member> = Vec::with_capacity(words.len());
        for class in words
            .chunk_by(|one, other| (one.bytes, one.at, one.is_last) == (other.bytes, other.at, other.is_last))
        {
            let first = members.len() as u32;
            let begins_with = beginnings(class.len(), |at| anchor(class[at].anchor));
            members.extend(class.iter().zip(begins_with).map(|(word, within)| Member {
                anchor: word.anchor,
                begins_with: if within == NONE { NONE } else { first + within },
            }));
            // Each word has the gram that it begins with, the last one also those behind, so each gram is there once.
            let Word { bytes: word, at: word_at, is_last, .. } = class[0];
            for in_word in 0..=if is_last { LOAD - GRAM } else { 0 } {
                let gram = word >> (8 * in_word) & GRAM_MASK;
                let class = starts.len() as u32;
                grams.push((hash(gram), Gram { word, class, in_word: in_word as u8, word_at }));
            }
            starts.push(first);
        }
        starts.push(members.len() as u32);
        (Self { starts, members }, grams)
    }
}

/// The words of the rarest window of each anchor.
fn words<'b>(anchors: usize, window: usize, anchor: impl Fn(AnchorId) -> &'b [u8]) -> Vec<Word> {
    let mut words = Vec::with_capacity(anchors * (window - LOAD + 1));
    for id in 0..anchors as AnchorId {
        let first = rarest_window(anchor(id), window);
        let last = first + window - LOAD;
        for at in first..=last {
            let bytes = load(anchor(id), at).expect("a window has at least eight bytes");
            words.push(Word { bytes, at: at as u8, is_last: at == last, anchor: id });
        }
    }
    words
}

/// The ranks of the patterns that share an anchor, for each anchor in the order of its bytes.
fn group_by_anchor<'b>(count: usize, bytes: impl Fn(usize) -> &'b [u8]) -> Vec<Range<Rank>> {
    let mut anchors: Vec<Range<Rank>> = Vec::new();
    for rank in 0..count {
        match anchors.last_mut() {
            Some(last) if anchor_of(bytes(last.start as usize)) == anchor_of(bytes(rank)) => {
                last.end += 1;
            }
            _ => anchors.push(rank as Rank..rank as Rank + 1),
        }
    }
    anchors
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
}

/// Returns, for each of `count` sorted byte strings, the longest other one that it begins with.
fn beginnings<'b>(count: usize, bytes: impl Fn(usize) -> &'b [u8]) -> Vec<u32> {
    let mut result: Vec<u32> = Vec::with_capacity(count);
    for at in 0..count {
        // Of the prefixes of the string before, this one can only begin with the shorter ones.
        let mut other = (at as u32).checked_sub(1).unwrap_or(NONE);
        while other != NONE && !bytes(at).starts_with(bytes(other as usize)) {
            other = result[other as usize];
        }
        result.push(other);
    }
    result
}

/// Length of the longest common prefix of two byte strings.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn anchor_of(pattern: &[u8]) -> &[u8] {
    &pattern[..pattern.len().min(MAX_ANCHOR)]
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
        matcher.find(text, |anchor, start| {
            let begun = matcher.anchors[anchor as usize].clone();
            found.extend(begun.map(|rank| (matcher.sorted[rank as usize], start)));
        });
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
    fn finds_every_alignment_once() {
        let pattern = b"analyze_dependency";
        for before in 0..40 {
            let text = [&vec![b'.'; before], &pattern[..], b"..."].concat();
            assert_eq!(matches(&[pattern], &text), [(0, before)]);
        }
    }

    #[test]
    fn compares_only_the_anchor_of_a_long_pattern() {
        let long = [b'x'; 100];
        assert_eq!(matches(&[&long], &long[..MAX_ANCHOR]), [(0, 0)]);
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
            patterns in prop::collection::vec("[ab]{8,40}", 1..20),
            text in "[ab]{0,300}",
        ) {
            let patterns: Vec<&[u8]> = patterns.iter().map(String::as_bytes).collect();
            prop_assert_eq!(matches(&patterns, text.as_bytes()), by_hand(&patterns, text.as_bytes()));
        }
    }
}
