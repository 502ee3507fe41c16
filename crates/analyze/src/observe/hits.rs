//! Which needles, and which parts of messages, occur in the bytes of a capture, and where.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use dissect::flow::Direction;
use exposure_schema::Level;
use search::fragments::{Fragment, FragmentScanner, GUARANTEED, MAX_FORM};
use search::{Encoding, MAX_ANCHOR, Match, NeedleId, Overflow, PatternId, Scanner};

use crate::needles::{KnownStrings, StringSearch};
use crate::pipeline::fact::{Bytes, FrameBytes, Sequence};
use crate::pipeline::provenance::{DecodeChain, Location, Provenance};

/// Maximum number of locations remembered for one needle; the others are counted. A location takes about a hundred
/// bytes, and the first one is proof enough for a string that occurs a thousand times.
pub(crate) const MAX_LOCATIONS_EACH: usize = 1024;

/// Maximum number of locations remembered in all, so that many frequent needles cannot use unbounded memory.
pub(crate) const MAX_LOCATIONS_TOTAL: usize = 100_000;

/// Maximum number of locations remembered for the parts of one source: a few prove that it can be read.
const MAX_FRAGMENTS_EACH: usize = 8;

/// One occurrence of a needle.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    /// The level at which it can be read.
    pub level: Level,
    pub location: Location,
    /// The decode chain that leads to it, outermost layer first.
    pub decode_chain: Arc<[&'static str]>,
}

/// All occurrences of one needle.
#[derive(Clone, Debug, Default)]
pub(crate) struct NeedleHits {
    /// Number of occurrences at each level; `absent` has none.
    pub counts: [u64; 4],
    /// The first [`MAX_LOCATIONS_EACH`] occurrences.
    pub hits: Vec<Hit>,
}

impl NeedleHits {
    /// The cheapest level at which the needle occurs.
    pub(crate) fn level(&self) -> Level {
        let first = self.counts.iter().position(|count| *count > 0);
        first.and_then(|index| Level::ALL.get(index)).copied().unwrap_or(Level::Absent)
    }

    /// Number of occurrences at all levels.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The readable parts of one fragment source.
#[derive(Clone, Debug, Default)]
pub(crate) struct FragmentHits {
    /// Number of parts at each level; `absent` has none.
    pub counts: [u64; 4],
    /// Length of the longest part in bytes.
    pub longest: u64,
    /// The first [`MAX_FRAGMENTS_EACH`] parts.
    pub hits: Vec<Hit>,
    /// How often each of the parts was found that are no longer than a name, if there are no other parts.
    names: Option<BTreeMap<Box<[u8]>, u64>>,
}

/// Length of Ethernet, IPv4 and TCP with timestamps. Such a header has no more than 20 bytes in a row with any value
/// (addresses, ports, numbers), fewer than any part that is found. IPv6 and other options have more.
const MAX_PLAIN_HEADER: usize = 14 + 20 + 32;

/// Longest name of a host in bytes (RFC 1035 §2.3.4).
const MAX_NAME: u64 = 255;

/// Maximum number of different parts that are counted one by one.
const MAX_NAMES: usize = 16;

/// Counts that show whether every captured byte was searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Bytes of frames that belong to no sequence, each searched with its frame.
    pub in_frames: u64,
    /// Bytes of frames that the sequence of their stream is to deliver.
    pub promised: u64,
    /// Bytes that the sequences of streams delivered, each searched there.
    pub in_streams: u64,
    /// Of these: bytes that were not searched for parts, because they authenticate.
    pub authentic: u64,
}

/// A needle in one direction of a stream.
pub(crate) type InStream = (NeedleId, Option<u32>, Option<Direction>);

/// Bytes behind one pointer instead of in three words: most of a hundred thousand open connections have none.
type Undecided = Option<Box<Vec<u8>>>;

/// The state of the search in one sequence of bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchState {
    strings: Scanner,
    fragments: FragmentScanner,
    /// The bytes that may belong to a TLS record that authenticates. Such a record needs no search for parts: whatever its
    /// ciphertext spells, every byte inside of it must be one that the journals or the protocols explain. What does not
    /// authenticate is searched.
    undecided: Undecided,
}

impl SearchState {
    /// `len` bytes of the sequence are missing, so nothing found can cross them.
    pub(crate) fn gap(&mut self, len: u64) {
        self.strings.gap(len);
        self.fragments.gap(len);
    }

    /// The lowest offset at which something that was not reported yet may begin.
    pub(crate) fn keep_from(&self) -> u64 {
        let strings = self.strings.keep_from();
        let fragments = self.fragments.keep_from();
        let undecided =
            self.undecided.as_ref().filter(|held| !held.is_empty()).map(|_| self.fragments.offset());
        [fragments, undecided].into_iter().flatten().fold(strings, u64::min)
    }
}

/// The search for all needles in one capture.
#[derive(Debug)]
pub(crate) struct Hits<'k> {
    known: &'k KnownStrings,
    /// `None` after the search.
    search: Option<Arc<StringSearch>>,
    /// For each needle, the index of its occurrences in `found`: 0 if it has none.
    indices: Vec<u32>,
    /// The needles that occur. The first one has no occurrences.
    found: Vec<NeedleHits>,
    /// The readable parts of each fragment source, until a whole message was readable.
    pub fragments: BTreeMap<u32, FragmentHits>,
    /// Whether a whole message is readable without a secret.
    is_exposed: bool,
    locations: usize,
    /// The directions of streams in which each needle was found, where the first location in each is to be remembered
    /// however many there are.
    pub streams: Option<HashSet<InStream>>,
    /// Where the captured bytes were searched.
    pub coverage: Coverage,
    /// Bytes searched without a secret: streams, frames outside of them, decoded bodies.
    pub searched_bytes: u64,
    /// Decrypted bytes searched.
    pub decrypted_bytes: u64,
    /// The connections in which strings, but no decoys, were found under the keys, by number: how many times. Each takes at
    /// least one frame of the capture.
    pub carriers: BTreeMap<u32, u64>,
    /// How many times strings, but no decoys, were found under the keys outside of any TCP connection: in QUIC.
    pub carried_in_quic: u64,
    /// Bounds of the search that were reached: matches may be missing.
    pub overflows: BTreeSet<Overflow>,
    chains: Vec<Arc<[&'static str]>>,
    /// Reused buffers for the matches of one call.
    matches: Vec<Match>,
    parts: Vec<Fragment>,
    /// A buffer for undecided bytes. Connections without such bytes have none.
    spare: Undecided,
}

impl<'k> Hits<'k> {
    pub(crate) fn new(known: &'k KnownStrings, search: &Arc<StringSearch>) -> Self {
        Self {
            known,
            search: Some(Arc::clone(search)),
            indices: vec![0; known.needle_count()],
            found: vec![NeedleHits::default()],
            fragments: BTreeMap::new(),
            is_exposed: false,
            coverage: Coverage::default(),
            locations: 0,
            streams: None,
            searched_bytes: 0,
            decrypted_bytes: 0,
            carriers: BTreeMap::new(),
            carried_in_quic: 0,
            overflows: BTreeSet::new(),
            chains: Vec::new(),
            matches: Vec::new(),
            parts: Vec::new(),
            spare: None,
        }
    }

    /// Ends the search: from now on nothing is found.
    pub(crate) fn end_search(&mut self) {
        self.search = None;
    }

    /// The occurrences of a needle.
    pub(crate) fn of(&self, needle: NeedleId) -> &NeedleHits {
        &self.found[self.indices[needle as usize] as usize]
    }

    /// Leaves out the occurrences without a key of each needle that has no more of them than `expected` of its bytes.
    pub(crate) fn leave_out(&mut self, expected: impl Fn(&[u8]) -> u64) {
        let keyless = Level::ALL.iter().take_while(|level| level.is_keyless()).count();
        for ((needle, bytes), index) in self.known.needles().zip(&self.indices) {
            let found = &mut self.found[*index as usize];
            let occurrences: u64 = found.counts[..keyless].iter().sum();
            if occurrences > 0 && !self.known.is_decoy(needle) && occurrences <= expected(bytes) {
                found.counts[..keyless].fill(0);
                found.hits.retain(|hit| !hit.level.is_keyless());
            }
        }
        // A long name that a message mentions is a part of that message.
        let is_expected = |found: &FragmentHits| {
            let mut names = found.names.iter().flatten();
            found.names.is_some() && names.all(|(name, times)| *times <= expected(name))
        };
        self.fragments.retain(|_, found| !is_expected(found));
    }

    /// A whole message is readable without a secret, and its strings with it. Parts of it or of others show nothing more.
    pub(crate) fn message_is_exposed(&mut self) {
        self.is_exposed = true;
    }

    /// Searches the next bytes of a sequence.
    #[inline]
    pub(crate) fn bytes(&mut self, state: &mut SearchState, bytes: &Bytes<'_>, provenance: &dyn Provenance) {
        let len = bytes.bytes.len() as u64;
        if matches!(bytes.sequence, Sequence::Stream | Sequence::UndecidedStream) {
            self.coverage.in_streams += len;
        }
        match bytes.sequence {
            Sequence::Decrypted => self.decrypted_bytes += len,
            Sequence::Stream | Sequence::UndecidedStream | Sequence::Decoded if !bytes.needs_secret => {
                self.searched_bytes += len;
            }
            // Joined bytes were already searched in their pieces, and carved bytes may be arbitrary.
            _ => {}
        }
        let Some(search) = &self.search else { return };
        state.strings.push(&search.matcher, bytes.bytes, &mut self.matches);
        let has_parts = !search.fragments.is_empty();
        self.overflows.extend(state.strings.overflow());
        if !self.matches.is_empty() {
            self.take_matches(bytes, provenance);
        }
        // A part that needs a secret shows nothing that the whole strings do not.
        if !bytes.needs_secret && !self.is_exposed && has_parts {
            match bytes.sequence {
                Sequence::UndecidedStream => {
                    let held = state.undecided.get_or_insert_with(|| self.spare.take().unwrap_or_default());
                    held.extend_from_slice(bytes.bytes);
                }
                _ => self.search_for_parts(&mut state.fragments, bytes, provenance),
            }
        }
    }

    /// The bytes in `authentic` belong to TLS records that authenticate, and the undecided ones before them do not.
    pub(crate) fn decide(
        &mut self,
        state: &mut SearchState,
        authentic: Range<u64>,
        provenance: &dyn Provenance,
    ) {
        let SearchState { fragments, undecided, .. } = state;
        let Some(held) = undecided.as_mut().filter(|held| !held.is_empty()) else { return };
        // The beginning of the first record may have been searched before it was undecided.
        let index = |offset: u64| offset.saturating_sub(fragments.offset()).min(held.len() as u64) as usize;
        let (start, end) = (index(authentic.start), index(authentic.end));
        let bytes = Bytes {
            bytes: &held[..start],
            sequence: Sequence::Stream,
            chain: DecodeChain::default(),
            needs_secret: false,
        };
        self.search_for_parts(fragments, &bytes, provenance);
        if end > start {
            fragments.gap((end - start) as u64);
            self.coverage.authentic += (end - start) as u64;
        }
        held.drain(..end);
        if held.is_empty() {
            self.spare = undecided.take();
        }
    }

    #[inline]
    fn search_for_parts(
        &mut self,
        fragments: &mut FragmentScanner,
        bytes: &Bytes<'_>,
        provenance: &dyn Provenance,
    ) {
        let Some(search) = &self.search else { return };
        search.fragments.push(fragments, bytes.bytes, &mut self.parts);
        if !self.parts.is_empty() {
            self.take_parts(bytes, provenance);
        }
    }

    #[cold]
    fn take_matches(&mut self, bytes: &Bytes<'_>, provenance: &dyn Provenance) {
        let chain = self.shared_chain(&bytes.chain);
        let mut matches = std::mem::take(&mut self.matches);
        if bytes.needs_secret {
            self.take_carrier(&matches, provenance);
        }
        for found in matches.drain(..) {
            let range = found.start..found.end;
            if provenance.is_below(range.clone()) {
                continue; // found in the layer below
            }
            let level = level(bytes, &range, provenance);
            self.hit(found.pattern, level, &chain, || provenance.locate(range.clone()));
        }
        self.matches = matches;
    }

    #[cold]
    fn take_parts(&mut self, bytes: &Bytes<'_>, provenance: &dyn Provenance) {
        let chain = self.shared_chain(&bytes.chain);
        let mut parts = std::mem::take(&mut self.parts);
        for part in parts.drain(..) {
            let range = part.start..part.end;
            if !provenance.is_below(range.clone()) {
                let level = level(bytes, &range, provenance);
                self.part(&part, level, &chain, || provenance.locate(range.clone()));
            }
        }
        self.parts = parts;
    }

    /// Adds a readable part of a source.
    fn part(
        &mut self,
        part: &Fragment,
        level: Level,
        chain: &Arc<[&'static str]>,
        locate: impl FnOnce() -> Location,
    ) {
        let level = if part.encoding == Encoding::Plain { level } else { level.max(Level::Decoded) };
        let is_name = part.encoding == Encoding::Plain && part.len <= MAX_NAME;
        let search = self.search.as_ref().filter(|_| is_name);
        let name = search.and_then(|search| search.fragments.text_of(part));
        let found = self
            .fragments
            .entry(part.source)
            .or_insert_with(|| FragmentHits { names: Some(BTreeMap::new()), ..FragmentHits::default() });
        match (&mut found.names, name) {
            (Some(names), Some(name)) if names.len() < MAX_NAMES => {
                *names.entry(name.into()).or_default() += 1;
            }
            (names, _) => *names = None,
        }
        found.longest = found.longest.max(part.len);
        if part.is_continued && !found.hits.is_empty() {
            return;
        }
        found.counts[level as usize] += 1;
        if found.hits.len() < MAX_FRAGMENTS_EACH {
            let decode_chain = with_step(chain, part.encoding);
            found.hits.push(Hit { level, location: locate(), decode_chain });
        }
    }

    /// Counts the strings that a connection carries under the keys.
    fn take_carrier(&mut self, matches: &[Match], provenance: &dyn Provenance) {
        let is_string = |found: &&Match| !self.known.is_decoy(found.pattern.needle());
        let mut strings =
            matches.iter().filter(is_string).filter(|found| !provenance.is_below(found.start..found.end));
        // All bytes of a sequence are of one connection.
        if let Some(first) = strings.next() {
            let times = match provenance.locate(first.start..first.end).stream {
                Some(stream) => self.carriers.entry(stream).or_default(),
                None => &mut self.carried_in_quic,
            };
            *times += 1 + strings.count() as u64;
        }
    }

    /// Searches the bytes of a frame that belong to no sequence.
    pub(crate) fn frame_bytes(&mut self, frame: &FrameBytes<'_>) {
        let all = 0..frame.record.bytes.len();
        let in_stream = frame.in_stream.as_ref().map_or(0, ExactSizeIterator::len);
        self.coverage.promised += in_stream as u64;
        self.coverage.in_frames += (all.len() - in_stream) as u64;
        let Some(payload) = &frame.in_stream else {
            self.search_frame(frame, all.clone(), |_, _| true);
            self.search_frame_for_parts(frame, all, |_, _| true);
            return;
        };
        // Continues into the payload as far as needed to recognise what begins in the header.
        let head = |more: usize| 0..(payload.start + more).min(all.end);
        let in_header = |start: usize, _: usize| start < payload.start;
        self.search_frame(frame, head(MAX_ANCHOR), in_header);
        if payload.start > MAX_PLAIN_HEADER {
            self.search_frame_for_parts(frame, head(GUARANTEED), in_header);
        }
        let trailer = frame.record.bytes.get(payload.end..).unwrap_or_default();
        if trailer.iter().any(|byte| *byte != 0) {
            let in_trailer = |start: usize, end: usize| start >= payload.start && end > payload.end;
            self.search_frame(frame, all.clone(), in_trailer);
            self.search_frame_for_parts(frame, payload.end.saturating_sub(MAX_FORM)..all.end, in_trailer);
        }
    }

    fn search_frame_for_parts(
        &mut self,
        frame: &FrameBytes<'_>,
        region: Range<usize>,
        wanted: impl Fn(usize, usize) -> bool,
    ) {
        let Some(search) = self.search.as_ref().filter(|_| !self.is_exposed) else { return };
        let mut parts = std::mem::take(&mut self.parts);
        let from = region.start;
        let is_wanted = |run: &Range<usize>| wanted(from + run.start, from + run.end);
        search.fragments.find(&frame.record.bytes[region], &is_wanted, &mut parts);
        for part in parts.drain(..) {
            let bytes = from + part.start as usize..from + part.end as usize;
            let chain = self.shared_chain(&DecodeChain::default());
            self.part(&part, Level::Verbatim, &chain, || {
                Location::in_frame(frame.record, bytes, frame.stream)
            });
        }
        self.parts = parts;
    }

    fn search_frame(
        &mut self,
        frame: &FrameBytes<'_>,
        region: Range<usize>,
        wanted: impl Fn(usize, usize) -> bool,
    ) {
        let record = frame.record;
        let Some(StringSearch { matcher, .. }) = self.search.as_deref() else { return };
        let mut found = std::mem::take(&mut self.matches);
        self.overflows.extend(matcher.find(&record.bytes[region.clone()], &mut found));
        self.searched_bytes += region.len() as u64;
        for hit in found.drain(..) {
            let bytes = region.start + hit.start as usize..region.start + hit.end as usize;
            if wanted(bytes.start, bytes.end) {
                let chain = self.shared_chain(&DecodeChain::default());
                let locate = || Location::in_frame(record, bytes, frame.stream);
                self.hit(hit.pattern, Level::Verbatim, &chain, locate);
            }
        }
        self.matches = found;
    }

    fn hit(
        &mut self,
        pattern: PatternId,
        level: Level,
        chain: &Arc<[&'static str]>,
        locate: impl FnOnce() -> Location,
    ) {
        let encoding = pattern.encoding();
        let level = if encoding == Encoding::Plain { level } else { level.max(Level::Decoded) };
        self.add(pattern.needle(), encoding, level, chain, locate);
    }

    /// Adds an occurrence. Calls `locate` only if the location will be remembered.
    fn add(
        &mut self,
        needle: NeedleId,
        encoding: Encoding,
        level: Level,
        chain: &Arc<[&'static str]>,
        locate: impl FnOnce() -> Location,
    ) {
        let index = &mut self.indices[needle as usize];
        if *index == 0 {
            *index = self.found.len() as u32;
            self.found.push(NeedleHits::default());
        }
        let found = &mut self.found[*index as usize];
        let is_full = found.hits.len() >= MAX_LOCATIONS_EACH
            || self.locations >= MAX_LOCATIONS_TOTAL && !found.hits.is_empty();
        if is_full {
            found.counts[level as usize] += 1;
            let Some(streams) = self.streams.as_mut().filter(|seen| seen.len() < MAX_LOCATIONS_TOTAL) else {
                return;
            };
            let location = locate();
            if streams.insert((needle, location.stream, location.direction)) {
                found.hits.push(Hit { level, location, decode_chain: with_step(chain, encoding) });
            }
            return;
        }
        let location = locate();
        // A segment is searched in its stream and may be searched again on its own; that is still one occurrence.
        let known = |hit: &Hit| hit.location.file_offset == location.file_offset && hit.level <= level;
        if found.hits.iter().rev().take(8).any(known) {
            return;
        }
        found.counts[level as usize] += 1;
        if let Some(streams) = &mut self.streams {
            streams.insert((needle, location.stream, location.direction));
        }
        found.hits.push(Hit { level, location, decode_chain: with_step(chain, encoding) });
        self.locations += 1;
    }

    /// Returns the shared copy of a decode chain.
    fn shared_chain(&mut self, chain: &DecodeChain) -> Arc<[&'static str]> {
        if let Some(known) = self.chains.iter().find(|known| known[..] == *chain.as_slice()) {
            return Arc::clone(known);
        }
        let shared: Arc<[&'static str]> = chain.as_slice().into();
        self.chains.push(Arc::clone(&shared));
        shared
    }
}

/// The level of what was found in these bytes of a sequence, as it is.
fn level(bytes: &Bytes<'_>, range: &Range<u64>, provenance: &dyn Provenance) -> Level {
    match bytes.sequence {
        _ if bytes.needs_secret => Level::Decrypted,
        Sequence::Stream | Sequence::UndecidedStream if provenance.is_in_one_frame(range.clone()) => {
            Level::Verbatim
        }
        Sequence::Stream | Sequence::UndecidedStream => Level::Reassembled,
        _ => Level::Decoded,
    }
}

/// A decode chain with an encoding as its last step.
fn with_step(chain: &Arc<[&'static str]>, encoding: Encoding) -> Arc<[&'static str]> {
    match encoding.layer() {
        None => Arc::clone(chain),
        Some(step) => chain.iter().copied().chain([step]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use dissect::flow::{self, PerDirection};
    use exposure_schema::{Direction, Event};

    use super::*;
    use crate::input::journal::Message;
    use crate::pipeline::provenance::{FrameMap, StreamFrames};

    /// Length of a string that overlaps itself at every byte and can just be followed at all of them: `MAX_OPEN`
    /// anchors.
    const FITS: usize = 4096 + 31;

    fn known(body: String) -> (KnownStrings, Arc<StringSearch>) {
        let message = Message {
            agent: "agent-a".to_owned(),
            event: Event::Sent,
            message_id: None,
            direction: Direction::ClientToServer,
            at_unix_ns: None,
            local: None,
            remote: None,
            content_type: None,
            body: body.into_bytes(),
            body_sha256: [0; 32],
        };
        KnownStrings::new(&[message], &[], None)
    }

    fn long_string() -> (KnownStrings, Arc<StringSearch>) {
        known(format!("\"{}\"", "a".repeat(2 * FITS)))
    }

    /// Searches the bytes of a stream.
    fn search(hits: &mut Hits<'_>, stream: &str) {
        let maps = PerDirection::<FrameMap>::default();
        let frames = StreamFrames { stream: 0, maps: &maps }.of(flow::Direction::ClientToServer);
        let bytes = Bytes {
            bytes: stream.as_bytes(),
            sequence: Sequence::Stream,
            chain: DecodeChain::default(),
            needs_secret: false,
        };
        hits.bytes(&mut SearchState::default(), &bytes, &frames);
    }

    #[test]
    fn a_long_name_that_a_message_mentions_may_be_in_the_hello_and_nowhere_else() {
        let name = "a-long-name.of-a-server.in-the.example.org";
        let (known, search_for) =
            known(format!(r#"{{"text":"ask {name} about it, and then go on with something else"}}"#));
        let expected =
            |bytes: &[u8]| u64::from(name.as_bytes().windows(bytes.len()).any(|part| part == bytes));
        for (stream, is_left_out) in [
            (format!("\0{name}\0"), true),
            (format!("\0{name}\0{name}\0"), false),
            (format!("\0{name} about it, and\0"), false),
            (format!("\0{name}\0 about it, and then go on with something else\0"), false),
        ] {
            let mut hits = Hits::new(&known, &search_for);
            search(&mut hits, &stream);
            assert!(!hits.fragments.is_empty(), "{stream:?}");
            hits.leave_out(expected);
            assert_eq!(hits.fragments.is_empty(), is_left_out, "{stream:?}");
        }
    }

    /// Whether a search of these decrypted records reaches a bound.
    fn overflows((known, search): &(KnownStrings, Arc<StringSearch>), records: &[&str]) -> bool {
        let (mut hits, mut state) = (Hits::new(known, search), SearchState::default());
        let maps = PerDirection::<FrameMap>::default();
        let frames = StreamFrames { stream: 0, maps: &maps }.of(flow::Direction::ClientToServer);
        for record in records {
            let bytes = Bytes {
                bytes: record.as_bytes(),
                sequence: Sequence::Decrypted,
                chain: DecodeChain::default(),
                needs_secret: true,
            };
            hits.bytes(&mut state, &bytes, &frames);
        }
        !hits.overflows.is_empty()
    }

    #[test]
    fn following_too_many_partial_strings_at_the_end_of_a_record_is_an_overflow() {
        let known = long_string();
        let text = "a".repeat(FITS + 1);
        assert!(overflows(&known, &[&text, "."]));
        assert!(!overflows(&known, &[&text[1..], "."]));
        assert!(!overflows(&known, &[&(text + ".")]), "the rest of the string is in the same record");
    }
}
