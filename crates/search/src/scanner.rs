//! Searches a stream that arrives in chunks.

use std::fmt;

use crate::matcher::{Begun, MAX_ANCHOR, Matcher};
use crate::patterns::PatternId;

/// Bytes kept of a stream so that a match across a chunk border is found: one byte less than an anchor.
const CARRY: usize = MAX_ANCHOR - 1;

/// Maximum number of places in one stream at which a long pattern began and its rest is still to arrive. Patterns with
/// one beginning are followed together, so only a pattern that overlaps itself opens many. Reaching the bound is
/// reported.
pub(crate) const MAX_OPEN: usize = 4096;

/// Maximum number of matches reported in one stream: so many in any stream, and so many more for each byte searched. A
/// pattern has at least eight bytes, so ordinary text stays far below one match a byte. Only strings that are prefixes
/// of each other, in text that repeats itself, come near. Further matches are left out until enough bytes have passed,
/// and this is reported.
const FREE_MATCHES: u64 = 4096;
const MATCHES_PER_BYTE: u64 = 4;

/// A bound of the search that was reached: matches may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overflow {
    /// More long patterns began in one stream than the search follows.
    LongStrings,
    /// More patterns were found in one stream than the search reports.
    Matches,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LongStrings => "more long strings begin in one stream than are followed",
            Self::Matches => "more overlapping matches in one stream than are reported",
        })
    }
}

/// Maximum number of matches reported in so many bytes.
fn allowed(bytes: u64) -> u64 {
    FREE_MATCHES + bytes * MATCHES_PER_BYTE
}

/// One occurrence of a pattern in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// Offset in the stream of its first byte.
    pub start: u64,
    /// Offset just behind its last byte.
    pub end: u64,
    /// What was found.
    pub pattern: PatternId,
}

/// Long patterns of which the same first bytes were seen.
#[derive(Clone, Debug)]
struct Open {
    begun: Begun,
    start: u64,
}

/// The state of the search in one stream.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    carry: [u8; CARRY],
    carry_len: u8,
    /// Offset of the next byte.
    offset: u64,
    open: Vec<Open>,
    /// Number of matches reported so far.
    reported: u64,
    overflow: Option<Overflow>,
}

impl Matcher {
    /// Searches contiguous bytes that are no part of a stream. Adds the matches to `found`; returns the bound that was
    /// reached.
    pub fn find(&self, bytes: &[u8], found: &mut Vec<Match>) -> Option<Overflow> {
        let mut scanner = Scanner::default();
        scanner.push(self, bytes, found);
        // What was not followed beyond these bytes is not in them.
        scanner.overflow.filter(|overflow| *overflow == Overflow::Matches)
    }
}

impl Scanner {
    /// Searches the next bytes of the stream. Adds the matches that end in them to `found`.
    pub fn push(&mut self, matcher: &Matcher, bytes: &[u8], found: &mut Vec<Match>) {
        if bytes.is_empty() {
            return;
        }
        let allowed = allowed(self.offset + bytes.len() as u64);
        if !self.open.is_empty() {
            self.go_on(matcher, bytes, allowed, found);
        }
        if self.carry_len > 0 {
            // Only anchors that cross the border; the others are found in the bytes themselves, or were found before.
            let border = usize::from(self.carry_len);
            let mut seam = [0; 2 * CARRY];
            let ahead = bytes.len().min(CARRY);
            seam[..border].copy_from_slice(&self.carry[..border]);
            seam[border..border + ahead].copy_from_slice(&bytes[..ahead]);
            let first = self.offset - border as u64;
            matcher.find_anchors(&seam[..border + ahead], |begun, start| {
                let end = start + begun.matched();
                if start < border && end > border {
                    self.open_up(
                        matcher,
                        begun,
                        first + start as u64,
                        &bytes[end - border..],
                        allowed,
                        found,
                    );
                }
            });
        }
        let first = self.offset;
        matcher.find_anchors(bytes, |begun, start| {
            let end = start + begun.matched();
            self.open_up(matcher, begun, first + start as u64, &bytes[end..], allowed, found);
        });
        self.offset += bytes.len() as u64;
        self.remember(bytes);
    }

    /// `len` bytes of the stream are missing, so no match can cross them.
    pub fn gap(&mut self, len: u64) {
        self.carry_len = 0;
        self.open.clear();
        self.offset += len;
    }

    /// The lowest offset at which a match that was not reported yet may begin. Nothing before it needs to be
    /// remembered.
    pub fn keep_from(&self) -> u64 {
        let carry = self.offset - u64::from(self.carry_len);
        self.open.iter().map(|open| open.start).fold(carry, u64::min)
    }

    /// The bound that was reached, so that matches may be missing.
    pub fn overflow(&self) -> Option<Overflow> {
        self.overflow
    }

    /// Follows the patterns whose anchor was seen; `rest` is behind it.
    fn open_up(
        &mut self,
        matcher: &Matcher,
        begun: Begun,
        start: u64,
        rest: &[u8],
        allowed: u64,
        found: &mut Vec<Match>,
    ) {
        if let Some(begun) = self.follow(matcher, begun, start, rest, allowed, found) {
            if self.open.len() < MAX_OPEN {
                self.open.push(Open { begun, start });
            } else {
                self.overflow = Some(Overflow::LongStrings);
            }
        }
    }

    fn go_on(&mut self, matcher: &Matcher, bytes: &[u8], allowed: u64, found: &mut Vec<Match>) {
        let mut open = std::mem::take(&mut self.open);
        open.retain_mut(|open| {
            let begun = self.follow(matcher, open.begun.clone(), open.start, bytes, allowed, found);
            begun.map(|begun| open.begun = begun).is_some()
        });
        self.open = open;
    }

    /// Reports the patterns that end in `more`; returns `None` if no pattern continues beyond it.
    fn follow(
        &mut self,
        matcher: &Matcher,
        begun: Begun,
        start: u64,
        more: &[u8],
        allowed: u64,
        found: &mut Vec<Match>,
    ) -> Option<Begun> {
        if self.reported >= allowed {
            self.overflow = Some(Overflow::Matches);
            return None;
        }
        let before = found.len();
        let begun = matcher.follow(begun, more, |pattern, len| {
            found.push(Match { start, end: start + len as u64, pattern });
        });
        self.reported += (found.len() - before) as u64;
        (!begun.is_empty()).then_some(begun)
    }

    fn remember(&mut self, bytes: &[u8]) {
        if bytes.len() >= CARRY {
            self.carry.copy_from_slice(&bytes[bytes.len() - CARRY..]);
            self.carry_len = CARRY as u8;
            return;
        }
        let carried = usize::from(self.carry_len);
        let kept = carried.min(CARRY - bytes.len());
        self.carry.copy_within(carried - kept..carried, 0);
        self.carry[kept..kept + bytes.len()].copy_from_slice(bytes);
        self.carry_len = (kept + bytes.len()) as u8; // at most CARRY
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Encoding;
    use crate::encodings::Form;
    use proptest::prelude::*;

    fn plain(needle: usize) -> PatternId {
        PatternId::new(needle as u32, Form::PLAIN)
    }

    /// What is found in a text that is not encoded.
    fn scan(patterns: &[&[u8]], chunks: &[&[u8]]) -> Vec<Match> {
        let matcher = Matcher::new(Arc::new(patterns.iter().map(|pattern| pattern.to_vec()).collect()));
        let mut scanner = Scanner::default();
        let mut found = Vec::new();
        for chunk in chunks {
            scanner.push(&matcher, chunk, &mut found);
        }
        found.retain(|found| found.pattern.encoding() == Encoding::Plain);
        found.sort_unstable();
        found
    }

    #[test]
    fn finds_the_same_in_every_split_into_two_or_three_chunks() {
        let long = b"a string that is longer than any anchor, so that its rest is compared as it arrives";
        let patterns: [&[u8]; 3] = [b"demo-repo", b"0123456789abcdef0123456789abcdef", long];
        let text = [b"..", patterns[0], b"..", patterns[1], patterns[2], b".."].concat();
        let whole = scan(&patterns, &[&text]);
        assert_eq!(whole.len(), 3);
        for first in 0..=text.len() {
            let (head, tail) = text.split_at(first);
            assert_eq!(scan(&patterns, &[head, tail]), whole, "split at {first}");
            for second in (0..tail.len()).step_by(3) {
                let (middle, end) = tail.split_at(second);
                assert_eq!(scan(&patterns, &[head, middle, end]), whole, "split at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(scan(&patterns, &bytes), whole, "byte by byte");
    }

    #[test]
    fn finds_nothing_across_a_gap() {
        let matcher = Matcher::new(Arc::new([b"demo-repo".to_vec()].into_iter().collect()));
        let mut scanner = Scanner::default();
        let mut found = Vec::new();
        scanner.push(&matcher, b"..demo", &mut found);
        scanner.gap(5);
        scanner.push(&matcher, b"-repo demo-repo", &mut found);
        assert_eq!(found, [Match { start: 17, end: 26, pattern: plain(0) }]);
    }

    #[test]
    fn keep_from_advances_unless_a_match_is_open() {
        let long = [b'x'; 200];
        let matcher = Matcher::new(Arc::new([long.to_vec()].into_iter().collect()));
        let mut scanner = Scanner::default();
        scanner.push(&matcher, &[b'.'; 1000], &mut Vec::new());
        assert_eq!(scanner.keep_from(), 1000 - CARRY as u64);
        scanner.push(&matcher, &long[..150], &mut Vec::new());
        assert_eq!(scanner.keep_from(), 1000, "the open match began there");
    }

    /// 500 strings that are prefixes of each other match at every byte of a run of one letter.
    #[test]
    fn bounds_the_matches_and_continues_the_search() {
        let long = (40..540).map(|length| vec![b'a'; length]);
        let matcher = Matcher::new(Arc::new(long.chain([b"demo-repo".to_vec()]).collect()));
        let (mut scanner, mut found) = (Scanner::default(), Vec::new());
        scanner.push(&matcher, &[b'a'; 64], &mut found);
        assert_eq!((found.len(), scanner.overflow()), ((1..=25).sum(), None), "few matches are all reported");
        for _ in 0..64 {
            scanner.push(&matcher, &[b'a'; 1024], &mut found);
        }
        assert_eq!(scanner.overflow(), Some(Overflow::Matches));
        assert!((found.len() as u64) < allowed(64 + (64 << 10)) + 1000, "{}", found.len());
        scanner.push(&matcher, &[b'.'; 1024], &mut found);
        found.clear();
        scanner.push(&matcher, b"demo-repo", &mut found);
        assert_eq!(found.len(), 1);
    }

    proptest! {
        /// Compares the text with every pattern at every offset; a small alphabet makes patterns prefixes of each
        /// other.
        #[test]
        fn agrees_with_a_naive_search(
            patterns in prop::collection::hash_set("a{30,40}[ab]{0,9}|[ab]{8,50}", 1..20),
            text in "a{0,60}[ab]{0,200}",
        ) {
            let patterns: Vec<&[u8]> = patterns.iter().map(String::as_bytes).collect();
            let text = text.as_bytes();
            let mut expected = Vec::new();
            for (id, pattern) in patterns.iter().enumerate() {
                let places = text.windows(pattern.len()).enumerate().filter(|(_, window)| window == pattern);
                expected.extend(places.map(|(at, _)| Match {
                    start: at as u64,
                    end: (at + pattern.len()) as u64,
                    pattern: plain(id),
                }));
            }
            expected.sort_unstable();
            prop_assert_eq!(scan(&patterns, &[text]), expected);
        }

        /// The same with all forms of strings that share their beginnings, each of them somewhere in the text.
        #[test]
        fn agrees_with_a_naive_search_in_every_form(
            needles in prop::collection::hash_set("(call-00|[0-9a-f]{20}|한글 \"a)[a-z0-9/+ \n]{4,90}", 1..6),
            chosen in prop::collection::vec((any::<prop::sample::Index>(), "[ -~]{0,3}"), 1..12),
            size in 1_usize..200,
        ) {
            let matcher = Matcher::new(Arc::new(needles.iter().map(|needle| needle.clone().into_bytes()).collect()));
            let mut forms = Vec::new();
            matcher.patterns.for_each(|pattern, written| forms.push((pattern, written.to_vec())));
            let parts = chosen.iter().flat_map(|(which, between)| [&which.get(&forms).1[..], between.as_bytes()]);
            let text = parts.collect::<Vec<_>>().concat();
            let mut expected = Vec::new();
            for (pattern, written) in &forms {
                let places = text.windows(written.len()).enumerate().filter(|(_, window)| window == written);
                expected.extend(places.map(|(at, _)| Match {
                    start: at as u64,
                    end: (at + written.len()) as u64,
                    pattern: *pattern,
                }));
            }
            expected.sort_unstable();
            let (mut scanner, mut found) = (Scanner::default(), Vec::new());
            text.chunks(size).for_each(|chunk| scanner.push(&matcher, chunk, &mut found));
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn finds_the_same_with_any_chunk_borders(
            patterns in prop::collection::vec("[ab]{8,80}", 1..12),
            text in "[ab]{0,400}",
            sizes in prop::collection::vec(1usize..60, 1..40),
        ) {
            let patterns: Vec<&[u8]> = patterns.iter().map(String::as_bytes).collect();
            let mut rest = text.as_bytes();
            let mut chunks = Vec::new();
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, after) = rest.split_at((*size).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            prop_assert_eq!(scan(&patterns, &chunks), scan(&patterns, &[text.as_bytes()]));
        }
    }
}
