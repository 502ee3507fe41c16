//! The matcher over a stream that arrives in chunks.

use super::matcher::{MAX_ANCHOR, Matcher, PatternId};

/// What must be kept of a stream so that a match across a chunk border is seen: one byte less than an anchor.
const CARRY: usize = MAX_ANCHOR - 1;

/// Most long patterns whose anchor was seen and whose rest is still to arrive, in one stream. Only as many patterns as
/// share their first [`MAX_ANCHOR`] bytes can be open at one place; when the bound is hit the stream says so.
pub(super) const MAX_OPEN: usize = 4096;

/// One occurrence of a pattern in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Match {
    /// Offset in the stream of its first byte.
    pub start: u64,
    /// Offset just behind its last byte.
    pub end: u64,
    /// Which pattern.
    pub pattern: PatternId,
}

/// A long pattern of which the first `matched` bytes were seen.
#[derive(Clone, Copy, Debug)]
struct Open {
    pattern: PatternId,
    start: u64,
    matched: usize,
}

/// The state of the search in one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanner {
    carry: [u8; CARRY],
    carry_len: usize,
    /// Offset of the next byte.
    offset: u64,
    open: Vec<Open>,
    overflowed: bool,
}

impl Scanner {
    /// Searches the next bytes of the stream. Matches that end in them are added to `found`.
    pub(crate) fn push(&mut self, matcher: &Matcher, bytes: &[u8], found: &mut Vec<Match>) {
        if bytes.is_empty() {
            return;
        }
        if !self.open.is_empty() {
            self.go_on(matcher, bytes, found);
        }
        if self.carry_len > 0 {
            // Only what crosses the border: the rest is found in the bytes themselves, or was found before.
            let border = self.carry_len;
            let mut seam = [0; 2 * CARRY];
            let ahead = bytes.len().min(CARRY);
            seam[..border].copy_from_slice(&self.carry[..border]);
            seam[border..border + ahead].copy_from_slice(&bytes[..ahead]);
            let first = self.offset - border as u64;
            matcher.find(&seam[..border + ahead], |pattern, start| {
                let end = start + matcher.anchor_len(pattern);
                if start < border && end > border {
                    self.open_up(matcher, pattern, first + start as u64, &bytes[end - border..], found);
                }
            });
        }
        let first = self.offset;
        matcher.find(bytes, |pattern, start| {
            let end = start + matcher.anchor_len(pattern);
            self.open_up(matcher, pattern, first + start as u64, &bytes[end..], found);
        });
        self.offset += bytes.len() as u64;
        self.remember(bytes);
    }

    /// `len` bytes of the stream are missing: nothing can stand across them.
    pub(crate) fn gap(&mut self, len: u64) {
        self.carry_len = 0;
        self.open.clear();
        self.offset += len;
    }

    /// The lowest offset at which a match may still begin that has not been told: what lies before it can be forgotten.
    pub(crate) fn keep_from(&self) -> u64 {
        let carry = self.offset - self.carry_len as u64;
        self.open.iter().map(|open| open.start).fold(carry, u64::min)
    }

    /// Whether [`MAX_OPEN`] was hit and a match may be missing.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// An anchor was seen; `rest` follows it.
    fn open_up(
        &mut self,
        matcher: &Matcher,
        pattern: PatternId,
        start: u64,
        rest: &[u8],
        found: &mut Vec<Match>,
    ) {
        let whole = matcher.pattern(pattern);
        let tail = &whole[matcher.anchor_len(pattern)..];
        let common = tail.len().min(rest.len());
        if tail[..common] != rest[..common] {
            return;
        }
        if common == tail.len() {
            found.push(Match { start, end: start + whole.len() as u64, pattern });
        } else if self.open.len() < MAX_OPEN {
            self.open.push(Open { pattern, start, matched: whole.len() - tail.len() + common });
        } else {
            self.overflowed = true;
        }
    }

    fn go_on(&mut self, matcher: &Matcher, bytes: &[u8], found: &mut Vec<Match>) {
        self.open.retain_mut(|open| {
            let whole = matcher.pattern(open.pattern);
            let tail = &whole[open.matched..];
            let common = tail.len().min(bytes.len());
            if tail[..common] != bytes[..common] {
                return false;
            }
            open.matched += common;
            if open.matched == whole.len() {
                let end = open.start + whole.len() as u64;
                found.push(Match { start: open.start, end, pattern: open.pattern });
                return false;
            }
            true
        });
    }

    fn remember(&mut self, bytes: &[u8]) {
        if bytes.len() >= CARRY {
            self.carry.copy_from_slice(&bytes[bytes.len() - CARRY..]);
            self.carry_len = CARRY;
            return;
        }
        let kept = self.carry_len.min(CARRY - bytes.len());
        self.carry.copy_within(self.carry_len - kept..self.carry_len, 0);
        self.carry[kept..kept + bytes.len()].copy_from_slice(bytes);
        self.carry_len = kept + bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(patterns: &[&[u8]], chunks: &[&[u8]]) -> Vec<Match> {
        let matcher = Matcher::new(patterns.iter().map(|pattern| (*pattern).into()).collect());
        let mut scanner = Scanner::default();
        let mut found = Vec::new();
        for chunk in chunks {
            scanner.push(&matcher, chunk, &mut found);
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn every_split_into_two_and_three_chunks() {
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
    fn nothing_stands_across_a_gap() {
        let matcher = Matcher::new(vec![b"demo-repo"[..].into()]);
        let mut scanner = Scanner::default();
        let mut found = Vec::new();
        scanner.push(&matcher, b"..demo", &mut found);
        scanner.gap(5);
        scanner.push(&matcher, b"-repo demo-repo", &mut found);
        assert_eq!(found, [Match { start: 17, end: 26, pattern: 0 }]);
    }

    #[test]
    fn what_may_be_forgotten_grows_with_the_stream() {
        let long = [b'x'; 200];
        let matcher = Matcher::new(vec![long[..].into()]);
        let mut scanner = Scanner::default();
        scanner.push(&matcher, &[b'.'; 1000], &mut Vec::new());
        assert_eq!(scanner.keep_from(), 1000 - CARRY as u64);
        scanner.push(&matcher, &long[..150], &mut Vec::new());
        assert_eq!(scanner.keep_from(), 1000, "the open match began there");
    }

    proptest! {
        #[test]
        fn chunk_borders_change_nothing(
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
