//! Finds long runs of the sources in contiguous bytes.
//!
//! The index contains the grams of a source in groups of as many consecutive places as there are bytes between two samples of
//! the text. Of each group the search samples exactly one gram, however source and text are aligned:
//!
//! ```text
//!   source    |gggggggg........|gggggggg........|gggggggg..     g: a gram of eight bytes begins here, and is in the index
//!   text           ^       ^       ^       ^       ^            ^: the text is sampled here
//! ```
//!
//! From the first sample that hits, so many bytes must be equal that the run is evidence.

use std::ops::Range;

use crate::order::{Block, BlockSort};

/// Length of a gram.
const GRAM: usize = 8;

/// How densely sources and text are sampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    /// Distance of two groups of grams in a source.
    pub group_every: usize,
    /// Fewest bytes that must be equal from a sample on.
    pub min_forward: usize,
    /// Fewest bytes of a run.
    pub min_run: usize,
}

impl Sampling {
    /// Length from which on every run is found, if the text is sampled at every `every` bytes.
    pub(super) const fn guaranteed(&self, every: usize) -> usize {
        self.group_every + every - 1 + self.min_forward
    }
}

/// Fewest distinct values among the bytes of a run. Almost equal bytes occur in every padding.
const MIN_BYTE_VALUES: usize = 4;

/// From this length on, almost equal bytes are evidence, too: no padding is so long.
const LONG_PADDING: usize = 256;

/// Bytes that order the places of one bucket. Places that agree in so many bytes are one place: whichever of them is found,
/// the run is long enough.
const MAX_ORDERED: usize = 64;

/// Distance of the bytes whose source is remembered: a few short sources begin between two of them.
const STRIDE: usize = 256;

/// Filter bits for each gram, which sets two of them in one word.
const BITS_PER_GRAM: usize = 16;

/// Places to expect in a bucket: the filter answers for most grams, so that few buckets are looked into.
const PLACES_PER_BUCKET: usize = 4;

/// Up to this many places of a bucket are compared one by one.
const FEW: usize = 8;

/// Samples that are tested together.
const BLOCK: usize = 8;

/// Offset of a byte in the joined sources.
type Place = u32;

/// No offset: the sources are shorter.
const NO_PLACE: Place = Place::MAX;

/// A run of a source in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Offset in the text of its first byte.
    pub at: usize,
    /// Its length in bytes.
    pub len: usize,
    /// The source, as numbered by [`SourceIndex::new`].
    pub source: u32,
    /// Offset of the first byte in the source.
    pub source_at: usize,
}

/// The sources, and some of their grams by their hash.
///
/// `EVERY` is the distance of two samples of the text, and the number of grams in a group.
#[derive(Debug)]
pub(super) struct SourceIndex<const EVERY: usize> {
    sampling: Sampling,
    /// All sources, one behind the other.
    bytes: Vec<u8>,
    /// For each source, the place of its first byte; one more entry than there are sources.
    starts: Vec<Place>,
    /// The source of every byte at a multiple of [`STRIDE`].
    sources: Vec<u32>,
    /// The grams of ASCII, and all others. Messages are mostly ASCII and ciphertext is not, so that a filter which is small
    /// answers for ciphertext.
    filters: [Filter; 2],
    /// For each bucket, the index in `places` at which it begins; one more entry than there are buckets.
    buckets: Vec<u32>,
    bucket_shift: u32,
    /// The places of the grams by their bucket; in a bucket by the bytes from there on.
    places: Vec<Place>,
}

impl<const EVERY: usize> SourceIndex<EVERY> {
    /// An index of these joined sources, each of at least `EVERY` − 1 bytes more than a run must have forward. `starts` has
    /// the offset of each source, and the length of all.
    pub(super) fn new(bytes: Vec<u8>, starts: Vec<Place>, sampling: Sampling) -> Self {
        let grams: usize = ranges(&starts).map(|source| Self::places_of(&source, sampling).count()).sum();
        let bucket_count = (grams / PLACES_PER_BUCKET).next_power_of_two().clamp(2, 1 << 20);
        let firsts = (0..bytes.len()).step_by(STRIDE);
        let mut source = 0;
        let sources = firsts.map(|first| {
            while starts[source + 1] as usize <= first {
                source += 1;
            }
            source as u32
        });
        let mut index = Self {
            sampling,
            sources: sources.collect(),
            filters: Default::default(),
            buckets: vec![0; bucket_count + 1],
            bucket_shift: 64 - bucket_count.ilog2(),
            places: vec![0; grams],
            bytes,
            starts,
        };
        index.fill();
        index.order();
        index
    }

    /// Puts each place into its bucket, in two passes, so that no second copy of the places is needed.
    fn fill(&mut self) {
        let hash_at = |place: Place| hash(gram_at(&self.bytes, place as usize));
        let places = || ranges(&self.starts).flat_map(|source| Self::places_of(&source, self.sampling));
        let mut counts = [0; 2];
        for place in places() {
            counts[kind(gram_at(&self.bytes, place as usize))] += 1;
            self.buckets[(hash_at(place) >> self.bucket_shift) as usize] += 1;
        }
        self.filters = counts.map(Filter::for_grams);
        for place in places() {
            let gram = gram_at(&self.bytes, place as usize);
            self.filters[kind(gram)].insert(hash(gram));
        }
        let mut end = 0;
        for begin in &mut self.buckets {
            end += *begin;
            *begin = end;
        }
        for place in places() {
            let begin = &mut self.buckets[(hash_at(place) >> self.bucket_shift) as usize];
            *begin -= 1;
            self.places[*begin as usize] = place;
        }
    }

    /// Orders each bucket, and removes places that cannot be distinguished. Of these it keeps the one in the middle: long
    /// padding has as many bytes before it as behind it.
    fn order(&mut self) {
        let mut places = std::mem::take(&mut self.places);
        let mut sort = BlockSort::default();
        let mut kept = 0;
        for bucket in 0..self.buckets.len() - 1 {
            let range = self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize;
            self.buckets[bucket] = kept as u32;
            let block = |place: &Place, depth| Block::at(self.from(*place), depth);
            sort.sort(&mut places[range.clone()], MAX_ORDERED, block, |equal| {
                let middle = equal[equal.len() / 2];
                equal.fill(NO_PLACE);
                equal[0] = middle;
            });
            for at in range {
                if places[at] != NO_PLACE {
                    places[kept] = places[at];
                    kept += 1;
                }
            }
        }
        if let Some(last) = self.buckets.last_mut() {
            *last = kept as u32;
        }
        places.truncate(kept);
        places.shrink_to_fit();
        self.places = places;
    }

    /// Whether there is no source.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Length of a source.
    pub(super) fn len_of(&self, source: u32) -> usize {
        self.range(source).len()
    }

    /// The bytes of a source from an offset on.
    pub(super) fn rest(&self, source: u32, from: usize) -> &[u8] {
        &self.bytes[self.range(source)][from..]
    }

    /// Calls `take` for the runs in a text, in their order. It returns whether it has taken the run: what overlaps that is
    /// no longer searched for.
    #[inline]
    pub(super) fn find(&self, text: &[u8], mut take: impl FnMut(Run) -> bool) {
        if self.is_empty() {
            return;
        }
        let (mut at, mut free_from) = (0, 0);
        loop {
            at = self.skip(text, at);
            let Some(gram) = load(text, at) else { return };
            if self.passes(gram)
                && self.has(gram)
                && let Some(run) =
                    self.run_at(text, at, free_from).or_else(|| self.run_before_padding(text, at, free_from))
                && take(run)
            {
                at = run.at + run.len;
                free_from = at;
            } else {
                at += EVERY;
            }
        }
    }

    /// The first of the next samples that passes the filter, or one of the last [`BLOCK`]. The samples of a block are
    /// independent, so that their loads overlap.
    #[inline]
    fn skip(&self, text: &[u8], mut at: usize) -> usize {
        let is_ascii_only = self.filters[1].is_empty();
        while let Some(block) = text.get(at..at + BLOCK * EVERY) {
            let grams = block.as_chunks::<EVERY>().0.iter().map(|bytes| {
                let gram = bytes.first_chunk().expect("a gram is no longer than the distance of two samples");
                u64::from_le_bytes(*gram)
            });
            // In ciphertext, one gram of 256 is ASCII.
            let is_candidate = |gram: u64| !is_ascii_only || kind(gram) == 0;
            let mut candidates = 0_u32;
            for (sample, gram) in grams.clone().enumerate() {
                candidates |= u32::from(is_candidate(gram)) << sample;
            }
            if candidates != 0 {
                let mut passed = 0_u32;
                for (sample, gram) in grams.enumerate() {
                    passed |= u32::from(self.passes(gram)) << sample;
                }
                if passed != 0 {
                    return at + passed.trailing_zeros() as usize * EVERY;
                }
            }
            at += BLOCK * EVERY;
        }
        at
    }

    /// Whether a source has this gram, or its bucket has too many places to compare them all.
    fn has(&self, gram: u64) -> bool {
        let bucket = (hash(gram) >> self.bucket_shift) as usize;
        let places = &self.places[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize];
        places.len() > FEW || places.iter().any(|place| load(&self.bytes, *place as usize) == Some(gram))
    }

    /// The longest run that covers the sample at `at`, extended to the left, but not before `free_from`.
    #[cold]
    fn run_at(&self, text: &[u8], at: usize, free_from: usize) -> Option<Run> {
        let bucket = (hash(gram_at(text, at)) >> self.bucket_shift) as usize;
        let places = &self.places[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize];
        let ahead = &text[at..text.len().min(at + MAX_ORDERED)];
        // What agrees in most bytes with the text is next to where the text would be.
        let behind = places.partition_point(|place| self.ordered_by(*place) <= ahead);
        let neighbours = places[behind.saturating_sub(1)..places.len().min(behind + 1)].iter();
        let (forward, place) =
            neighbours.map(|place| (common(self.from(*place), &text[at..]), *place)).max()?;
        if forward < self.sampling.min_forward {
            return None;
        }
        let source = self.source_of(place);
        let source_at = (place - self.starts[source as usize]) as usize;
        let before = self.bytes[..place as usize].iter().rev().take(source_at);
        let back =
            before.zip(text[free_from..at].iter().rev()).take_while(|(known, seen)| known == seen).count();
        let run = at - back..at + forward;
        let is_run = run.len() >= self.sampling.min_run && is_evidence(&text[run.clone()]);
        is_run.then(|| Run { at: run.start, len: run.len(), source, source_at: source_at - back })
    }

    /// A run that begins before the padding in which the sample at `at` is the first one. All places in padding are alike, so
    /// that the one that was found is not where the run is; but of the places in front of it, one is.
    #[cold]
    fn run_before_padding(&self, text: &[u8], at: usize, free_from: usize) -> Option<Run> {
        let values = &text[at..at + GRAM];
        let len =
            text[free_from..at].iter().rev().take(EVERY).take_while(|byte| values.contains(byte)).count();
        if byte_values(values) >= MIN_BYTE_VALUES || len == EVERY {
            return None;
        }
        let padding_at = at - len;
        // Every other group of `EVERY` places of a text is in the index: of so many in a row, all but one of a group are.
        let places = padding_at.saturating_sub(2 * EVERY - 1).max(free_from)..padding_at;
        places.rev().find_map(|at| {
            let gram = gram_at(text, at);
            (self.passes(gram) && self.has(gram)).then(|| self.run_at(text, at, free_from)).flatten()
        })
    }

    #[inline(always)]
    fn passes(&self, gram: u64) -> bool {
        self.filters[kind(gram)].passes(hash(gram))
    }

    /// The places of a source at which a gram of the index begins.
    fn places_of(source: &Range<Place>, sampling: Sampling) -> impl Iterator<Item = Place> + use<EVERY> {
        let last = source.end - sampling.min_forward as Place;
        (source.start..=last)
            .step_by(sampling.group_every)
            .flat_map(move |group| group..=last.min(group + EVERY as Place - 1))
    }

    fn source_of(&self, place: Place) -> u32 {
        let first = self.sources[place as usize / STRIDE];
        let behind = &self.starts[first as usize + 1..];
        first + behind.iter().take_while(|start| **start <= place).count() as u32
    }

    fn range(&self, source: u32) -> Range<usize> {
        self.starts[source as usize] as usize..self.starts[source as usize + 1] as usize
    }

    /// The bytes of the source from this place on.
    fn from(&self, place: Place) -> &[u8] {
        &self.bytes[place as usize..self.range(self.source_of(place)).end]
    }

    fn ordered_by(&self, place: Place) -> &[u8] {
        let from = self.from(place);
        &from[..from.len().min(MAX_ORDERED)]
    }
}

/// Whether such a run cannot be padding.
fn is_evidence(run: &[u8]) -> bool {
    run.len() >= LONG_PADDING || byte_values(run) >= MIN_BYTE_VALUES
}

/// Number of distinct values among these bytes.
fn byte_values(bytes: &[u8]) -> usize {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count()
}

fn ranges(starts: &[Place]) -> impl Iterator<Item = Range<Place>> {
    starts.windows(2).map(|pair| pair[0]..pair[1])
}

/// Length of the longest common prefix of two byte strings.
pub(crate) fn common(one: &[u8], other: &[u8]) -> usize {
    const STEP: usize = 32;
    let whole =
        one.chunks_exact(STEP).zip(other.chunks_exact(STEP)).take_while(|(one, other)| one == other).count();
    let rest = one[whole * STEP..].iter().zip(&other[whole * STEP..]);
    whole * STEP + rest.take_while(|(one, other)| one == other).count()
}

/// A set of grams. It may contain more grams than were inserted.
#[derive(Debug, Default)]
struct Filter {
    words: Vec<u64>,
    /// Number of bits by which a hash is shifted to number a word.
    shift: u32,
    /// Number of grams that are inserted.
    count: usize,
}

impl Filter {
    fn for_grams(count: usize) -> Self {
        let words = (count * BITS_PER_GRAM / 64).next_power_of_two().clamp(1 << 4, 1 << 18);
        Self { words: vec![0; words], shift: 64 - words.ilog2(), count }
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn insert(&mut self, hash: u64) {
        self.words[(hash >> self.shift) as usize] |= self.bits(hash);
    }

    #[inline(always)]
    fn passes(&self, hash: u64) -> bool {
        let bits = self.bits(hash);
        self.words[(hash >> self.shift) as usize] & bits == bits
    }

    /// The two bits of a gram in its word: numbered by the bits of the hash below those that number the word.
    #[inline(always)]
    fn bits(&self, hash: u64) -> u64 {
        let below = hash >> (self.shift - 12);
        1 << (below & 63) | 1 << (below >> 6 & 63)
    }
}

/// The filter for a gram: 0 for ASCII.
#[inline(always)]
fn kind(gram: u64) -> usize {
    usize::from(gram & 0x8080_8080_8080_8080 != 0)
}

#[inline(always)]
fn hash(gram: u64) -> u64 {
    gram.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(always)]
fn load(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<GRAM>()?))
}

fn gram_at(bytes: &[u8], at: usize) -> u64 {
    load(bytes, at).expect("a gram has eight bytes behind it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLING: Sampling = Sampling { group_every: 16, min_forward: 24, min_run: 24 };
    const EVERY: usize = 8;
    const GUARANTEED: usize = SAMPLING.guaranteed(EVERY);
    const MIN_SOURCE: usize = EVERY - 1 + SAMPLING.min_forward;

    fn index(sources: &[&[u8]]) -> SourceIndex<EVERY> {
        let mut starts = vec![0];
        let mut bytes = Vec::new();
        for source in sources {
            bytes.extend_from_slice(source);
            starts.push(bytes.len() as Place);
        }
        SourceIndex::new(bytes, starts, SAMPLING)
    }

    fn runs(index: &SourceIndex<EVERY>, text: &[u8]) -> Vec<Run> {
        let mut found = Vec::new();
        index.find(text, |run| {
            found.push(run);
            true
        });
        found
    }

    #[test]
    fn finds_a_whole_source_of_the_shortest_length_at_every_alignment() {
        let source: Vec<u8> = (0..MIN_SOURCE as u8).collect();
        let index = index(&[&source]);
        for before in 0..40 {
            let text = [&vec![200; before][..], &source, &[201; 9]].concat();
            let expected = Run { at: before, len: MIN_SOURCE, source: 0, source_at: 0 };
            assert_eq!(runs(&index, &text), [expected]);
        }
    }

    #[test]
    fn reports_the_source_that_agrees_longest() {
        let shared = b"the same forty-eight bytes at the start of both ";
        let one = [&shared[..], b"then one way of going on"].concat();
        let other = [&shared[..], b"then another way of going"].concat();
        let index = index(&[&one, &other]);
        assert_eq!(runs(&index, &other), [Run { at: 0, len: other.len(), source: 1, source_at: 0 }]);
        assert_eq!(runs(&index, &one), [Run { at: 0, len: one.len(), source: 0, source_at: 0 }]);
    }

    #[test]
    fn a_run_ends_with_its_source() {
        let (one, other): (Vec<u8>, Vec<u8>) = ((0..60).collect(), (60..120).collect());
        let index = index(&[&one, &other]);
        let text = [&one[..], &other, &[200]].concat();
        let found: Vec<_> = runs(&index, &text).iter().map(|run| (run.at, run.len, run.source)).collect();
        assert_eq!(found, [(0, 60, 0), (60, 60, 1)]);
    }

    #[test]
    fn padding_is_no_evidence_unless_it_is_long() {
        let padding = [b'.'; 3 * LONG_PADDING];
        let index = index(&[&padding]);
        for (len, expected) in [(LONG_PADDING - 1, None), (LONG_PADDING, Some(LONG_PADDING))] {
            let text = [b"<", &padding[..len], b">"].concat();
            assert_eq!(runs(&index, &text).first().map(|run| run.len), expected);
        }
        let mixed = [&padding[..40], b"abc"].concat();
        assert_eq!(runs(&super::tests::index(&[&mixed]), &mixed).len(), 1);
    }

    proptest! {
        /// The padding alone is no evidence, and everything in it looks the same.
        #[test]
        fn finds_a_run_that_ends_in_padding(
            before in "[0-9]{40}",
            head in "[a-z]{9,23}",
            padding in "[.]|[-=]{2}|[*+_]{3}",
            times in GUARANTEED..300,
            after in "[A-Z]{0,40}",
            offset in 0_usize..40,
        ) {
            prop_assume!(byte_values(head.as_bytes()) >= MIN_BYTE_VALUES);
            let source = format!("{before}{head}{}{after}", padding.repeat(times));
            let index = index(&[source.as_bytes(), padding.repeat(400).as_bytes()]);
            let run = &source[before.len()..][..GUARANTEED];
            let text = [&vec![b'#'; offset][..], run.as_bytes(), b"########"].concat();
            let found: Vec<_> = runs(&index, &text).iter().map(|run| (run.at, run.len)).collect();
            prop_assert_eq!(found, [(offset, GUARANTEED)]);
        }
    }

    #[test]
    fn repeated_text_in_many_sources_needs_one_place_each() {
        let sources: Vec<Vec<u8>> = (0..500)
            .map(|number| format!("{{\"id\":\"call-{number:04}\",\"type\":\"tool_call\",\"arguments\":{{\"repo\":\"demo-repo\",\"target\":\"libssl\",\"depth\":2,\"more\":\"of the same in every message\"}}}}").into_bytes())
            .collect();
        let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        let one = index(&sources[..1]).places.len();
        let all = index(&sources).places.len();
        assert!(all < one * 500 / 2, "{all} places of {one} each");
    }

    proptest! {
        /// The guarantee that the documentation gives. A small alphabet makes near misses frequent.
        #[test]
        fn finds_every_run_of_the_guaranteed_length(
            sources in prop::collection::vec("[a-d]{31,200}", 1..8),
            which in any::<prop::sample::Index>(),
            from in any::<prop::sample::Index>(),
            before in "[xy]{0,50}",
            after in "[xy]{0,50}",
        ) {
            let source = which.get(&sources).as_bytes();
            let len = GUARANTEED.min(source.len());
            let from = from.index(source.len() - len + 1);
            let text = [before.as_bytes(), &source[from..from + len], after.as_bytes()].concat();
            let sources: Vec<&[u8]> = sources.iter().map(String::as_bytes).collect();
            prop_assume!(len == GUARANTEED || from == 0);
            prop_assume!(is_evidence(&source[from..from + len]));
            let index = index(&sources);
            let found = runs(&index, &text);
            prop_assert!(!found.is_empty());
            for run in found {
                prop_assert!(run.len >= SAMPLING.min_run);
                prop_assert_eq!(&text[run.at..run.at + run.len], &index.rest(run.source, run.source_at)[..run.len]);
            }
        }
    }
}
