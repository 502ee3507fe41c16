//! What a capture file contains beside its frames: comments, names, statistics, secrets, unknown blocks.
//!
//! None of it was on the wire, so nothing in it is a leak, and its bytes do not count as searched ones. It is searched all the
//! same: who gets the file can read it.

use std::ops::Range;
use std::sync::Arc;

use super::hits::{Hits, SearchState};
use crate::needles::{KnownStrings, StringSearch};
use crate::pipeline::fact::{Bytes, Sequence};
use crate::pipeline::provenance::{DecodeChain, Location, Provenance};

/// The bytes of a file that are no part of a frame.
#[derive(Debug)]
pub(crate) struct BesideFrames<'k> {
    known: &'k KnownStrings,
    /// `None` after the search.
    search_for: Option<Arc<StringSearch>>,
    search: Option<Box<Search<'k>>>,
}

/// The search in these bytes: one sequence, with gaps where the frames are.
#[derive(Debug)]
pub(crate) struct Search<'k> {
    /// What was found. Each level is that of a frame with the same bytes.
    pub hits: Hits<'k>,
    /// Number of bytes searched.
    pub bytes: u64,
    state: SearchState,
    /// File offset of the first byte.
    first: u64,
    /// File offset behind the last one.
    end: u64,
}

impl<'k> BesideFrames<'k> {
    pub(crate) fn new(known: &'k KnownStrings, search_for: &Arc<StringSearch>) -> Self {
        Self { known, search_for: Some(Arc::clone(search_for)), search: None }
    }

    /// Ends the search: from now on nothing is found.
    pub(crate) fn end_search(&mut self) {
        self.search_for = None;
        if let Some(search) = &mut self.search {
            search.hits.end_search();
        }
    }

    /// Searches the next bytes, which begin at `file_offset`.
    pub(crate) fn take(&mut self, file_offset: u64, bytes: &[u8]) {
        let Some(search_for) = &self.search_for else { return };
        let search = self.search.get_or_insert_with(|| {
            Box::new(Search {
                hits: Hits::new(self.known, search_for),
                bytes: 0,
                state: SearchState::default(),
                first: file_offset,
                end: file_offset,
            })
        });
        let frames = file_offset.saturating_sub(search.end);
        if frames > 0 {
            search.state.gap(frames);
        }
        search.end = file_offset + bytes.len() as u64;
        search.bytes += bytes.len() as u64;
        let fact =
            Bytes { bytes, sequence: Sequence::Stream, chain: DecodeChain::default(), needs_secret: false };
        search.hits.bytes(&mut search.state, &fact, &InFile { first: search.first });
    }

    /// The search; `None` if the file contains nothing but frames.
    pub(crate) fn search(&self) -> Option<&Search<'k>> {
        self.search.as_deref()
    }
}

/// Maps offsets to those in the file.
struct InFile {
    first: u64,
}

impl Provenance for InFile {
    fn locate(&self, range: Range<u64>) -> Location {
        Location {
            frames: Vec::new(),
            file_offset: self.first + range.start,
            stream: None,
            direction: None,
            stream_offset: None,
            wire_len: 0,
            ciphertext: None,
        }
    }

    fn is_in_one_frame(&self, _range: Range<u64>) -> bool {
        true
    }
}
