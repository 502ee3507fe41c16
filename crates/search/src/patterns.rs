//! The byte strings that are searched: each needle in each of its written forms.
//!
//! A string has some twenty forms. Only the needles themselves are stored; a form is written again whenever the search has
//! to compare it, which is rare.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::encodings::{Encoder, Encoding, Form, FormSet, MAX_ENCODED};

/// Shortest pattern. Below eight bytes a match in ciphertext is no evidence: 256^-7 times a gigabyte is not rare
/// enough, and common words appear in headers. Shorter strings are searched together with their JSON key.
pub const MIN_PATTERN: usize = 8;

/// Number of a needle.
pub type NeedleId = u32;

/// Maximum number of needles: a pattern is named by the numbers of its needle and its form.
pub const MAX_NEEDLES: usize = 1 << (u32::BITS - Form::BITS);

/// Names a pattern.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatternId(u32);

impl PatternId {
    /// A needle in one of its forms.
    pub fn new(needle: NeedleId, form: Form) -> Self {
        Self(needle << Form::BITS | u32::from(form.number()))
    }

    /// The needle that it is a form of.
    pub fn needle(self) -> NeedleId {
        self.0 >> Form::BITS
    }

    /// The encoding that it is written in.
    pub fn encoding(self) -> Encoding {
        self.form().encoding()
    }

    fn form(self) -> Form {
        Form::numbered((self.0 & ((1 << Form::BITS) - 1)) as u8)
    }
}

impl fmt::Debug for PatternId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.needle(), self.form().number())
    }
}

/// All needles, and their forms.
#[derive(Debug, Default)]
pub struct Patterns {
    /// The needles, one behind the other.
    bytes: Vec<u8>,
    /// Where each needle ends.
    ends: Vec<usize>,
    /// For each needle, the forms in which it is searched.
    forms: Vec<FormSet>,
    /// The forms that are as long as their needle, where that is long: to write them again and again would take time.
    long: HashMap<PatternId, Box<[u8]>>,
    /// Number of patterns.
    count: usize,
    /// Length of the shortest pattern.
    shortest: usize,
}

impl Patterns {
    /// The bytes of a needle.
    pub fn needle(&self, id: NeedleId) -> &[u8] {
        let id = id as usize;
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[id]]
    }

    /// The needles, in the order of their numbers.
    pub fn needles(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as NeedleId).map(|id| self.needle(id))
    }

    /// The bytes of a pattern.
    pub(crate) fn written(&self, id: PatternId) -> Cow<'_, [u8]> {
        if let Some(stored) = self.stored(id) {
            return stored.into();
        }
        let mut written = Vec::with_capacity(4 * MAX_ENCODED);
        id.form().write(self.needle(id.needle()), &mut written);
        written.into()
    }

    /// The bytes of a pattern, which are written into `scratch` if they are not stored.
    pub(crate) fn written_into<'s>(&'s self, id: PatternId, scratch: &'s mut Vec<u8>) -> &'s [u8] {
        if let Some(stored) = self.stored(id) {
            return stored;
        }
        scratch.clear();
        id.form().write(self.needle(id.needle()), scratch);
        scratch
    }

    /// The bytes of a pattern that need not be written.
    fn stored(&self, id: PatternId) -> Option<&[u8]> {
        let needle = self.needle(id.needle());
        match id.form() {
            Form::PLAIN => Some(needle),
            form if is_long(needle, form) => self.long.get(&id).map(|written| &**written),
            _ => None,
        }
    }

    /// The patterns of a needle that are long enough to be searched.
    fn of(&self, needle: NeedleId) -> impl Iterator<Item = PatternId> + use<> {
        self.forms[needle as usize].iter().map(move |form| PatternId::new(needle, form))
    }

    /// Number of patterns.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Length of the shortest pattern; [`usize::MAX`] if there is none.
    pub(crate) fn shortest(&self) -> usize {
        self.shortest
    }

    /// Length of the shortest pattern of a needle, which is the most likely one to occur by chance; that of the needle, if it
    /// has none.
    pub fn shortest_of(&self, needle: NeedleId) -> usize {
        let lengths = self.of(needle).map(|pattern| self.written(pattern).len());
        lengths.fold(self.needle(needle).len(), usize::min)
    }

    /// Calls `each` with every pattern that is long enough to be searched, and its bytes.
    pub(crate) fn for_each(&self, mut each: impl FnMut(PatternId, &[u8])) {
        let mut scratch = Vec::new();
        for pattern in (0..self.forms.len() as NeedleId).flat_map(|needle| self.of(needle)) {
            each(pattern, self.written_into(pattern, &mut scratch));
        }
    }
}

/// Whether a form of a needle is stored.
fn is_long(needle: &[u8], form: Form) -> bool {
    needle.len() > MAX_ENCODED && form != Form::PLAIN && !form.is_cut()
}

/// Collects needles.
#[derive(Debug, Default)]
pub struct PatternsBuilder {
    patterns: Patterns,
    numbers: HashTable<NeedleId>,
    hasher: RandomState,
}

impl PatternsBuilder {
    /// Makes room for so many more needles with so many bytes in all.
    pub fn reserve(&mut self, needles: usize, bytes: usize) {
        let Self { patterns, numbers, hasher } = self;
        patterns.ends.reserve_exact(needles);
        patterns.bytes.reserve_exact(bytes);
        numbers.reserve(needles, |id| hasher.hash_one(patterns.needle(*id)));
    }

    /// The number of the needle with these bytes, and whether it is new; `None` if it would exceed [`MAX_NEEDLES`].
    pub fn add(&mut self, bytes: &[u8]) -> Option<(NeedleId, bool)> {
        let Self { patterns, numbers, hasher } = self;
        let is_equal = |id: &NeedleId| patterns.needle(*id) == bytes;
        let hash_of = |id: &NeedleId| hasher.hash_one(patterns.needle(*id));
        let slot = match numbers.entry(hasher.hash_one(bytes), is_equal, hash_of) {
            Entry::Occupied(known) => return Some((*known.get(), false)),
            Entry::Vacant(slot) => slot,
        };
        let id = patterns.ends.len();
        if id == MAX_NEEDLES {
            return None;
        }
        slot.insert(id as NeedleId);
        patterns.bytes.extend_from_slice(bytes);
        patterns.ends.push(patterns.bytes.len());
        Some((id as NeedleId, true))
    }

    /// All needles that were added.
    pub fn build(self) -> Patterns {
        let mut patterns = self.patterns;
        drop(self.numbers);
        patterns.bytes.shrink_to_fit();
        patterns.ends.shrink_to_fit();
        let mut forms = Vec::with_capacity(patterns.ends.len());
        let mut long = HashMap::new();
        let (mut count, mut shortest) = (0, usize::MAX);
        let mut encoder = Encoder::default();
        for (id, needle) in (0..).zip(patterns.needles()) {
            encoder.encode(needle, MIN_PATTERN);
            let mut set = FormSet::default();
            for (form, written) in encoder.forms() {
                set.insert(form);
                count += 1;
                shortest = shortest.min(written.len());
                if is_long(needle, form) {
                    long.insert(PatternId::new(id, form), written.into());
                }
            }
            forms.push(set);
        }
        Patterns { forms, long, count, shortest, ..patterns }
    }
}

#[cfg(test)]
impl FromIterator<Vec<u8>> for Patterns {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(needles: I) -> Self {
        let mut builder = PatternsBuilder::default();
        for needle in needles {
            builder.add(&needle);
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_is_written_again_is_the_same() {
        let long = "line\n\"quoted\" /path <tag> é ".repeat(40);
        let patterns: Patterns =
            ["demo-repo", "한글과 \"인용\"", "819532f4e8ad66650123456789abcdef", &long, "demo-repo"]
                .map(|needle| needle.as_bytes().to_vec())
                .into_iter()
                .collect();
        assert_eq!(patterns.needles().count(), 4, "equal needles are one");
        let mut forms = 0;
        patterns.for_each(|id, written| {
            assert_eq!(patterns.written(id), written, "{id:?}");
            forms += 1;
        });
        assert!(forms > 4 * 17, "{forms} forms");
        assert!(patterns.long.values().all(|written| written.len() > long.len()));
        assert!(!patterns.long.is_empty());
    }
}
