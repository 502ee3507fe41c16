//! Searches a stream that arrives in chunks.

use super::forms;
use super::index::{Run, SourceIndex, common};
use crate::search::Encoding;

/// Bytes kept of a stream so that a run across a chunk border is found, if they may be text: the longest form of a run of the
/// guaranteed length has six for each, `\u0061`.
const TEXT_CARRY: usize = 6 * super::GUARANTEED;

/// Bytes kept if they are no text, which cannot be an encoded form: one byte less than a run of the guaranteed length.
const CARRY: usize = super::GUARANTEED - 1;

/// A readable run of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Offset in the stream of its first byte.
    pub start: u64,
    /// Offset just behind its last byte.
    pub end: u64,
    /// The source, in the order in which it was given.
    pub source: u32,
    /// Length of the run in the source: all of it so far, if it continues a run that was reported.
    pub len: u64,
    pub encoding: Encoding,
    /// Whether it continues a run that was reported.
    pub is_continued: bool,
}

/// The state of the search in one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct FragmentScanner {
    carry: Vec<u8>,
    /// Offset of the next byte.
    offset: u64,
    /// The run that reached the end of the last chunk.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    source: u32,
    /// Offset in the source of the next byte.
    next: usize,
    len: u64,
}

impl FragmentScanner {
    /// Searches the next bytes of the stream. Adds the runs in them to `found`.
    pub(super) fn push(&mut self, index: &SourceIndex, bytes: &[u8], found: &mut Vec<Fragment>) {
        let mut free_from = self.go_on(index, bytes, found);
        if free_from == 0 && !self.carry.is_empty() {
            free_from = self.seam(index, bytes, found);
        }
        if self.open.is_none() {
            let first = self.offset + free_from as u64;
            index.find(&bytes[free_from..], |run| {
                self.take(index, run, first, bytes.len() - free_from, found);
            });
        }
        let first = self.offset;
        decoded_runs(index, bytes, |fragment| found.push(fragment.moved(first)));
        self.offset += bytes.len() as u64;
        self.remember(bytes);
    }

    /// `len` bytes of the stream are missing, so no run can cross them.
    pub(crate) fn gap(&mut self, len: u64) {
        self.carry.clear();
        self.open = None;
        self.offset += len;
    }

    /// The lowest offset at which a run that was not reported yet may begin; `None` if nothing was searched since the
    /// last gap.
    pub(crate) fn keep_from(&self) -> Option<u64> {
        (!self.carry.is_empty()).then(|| self.offset - self.carry.len() as u64)
    }

    /// Continues the open run. Returns the number of bytes that belong to it.
    fn go_on(&mut self, index: &SourceIndex, bytes: &[u8], found: &mut Vec<Fragment>) -> usize {
        let Some(mut open) = self.open.take() else { return 0 };
        let more = common(index.rest(open.source, open.next), bytes);
        if more == 0 {
            return 0;
        }
        open.next += more;
        open.len += more as u64;
        found.push(Fragment {
            start: self.offset,
            end: self.offset + more as u64,
            source: open.source,
            len: open.len,
            encoding: Encoding::Plain,
            is_continued: true,
        });
        self.open = (more == bytes.len()).then_some(open);
        more
    }

    /// Searches across the border between the last chunk and this one. Returns the number of bytes of this chunk that
    /// belong to a run.
    fn seam(&mut self, index: &SourceIndex, bytes: &[u8], found: &mut Vec<Fragment>) -> usize {
        let border = self.carry.len();
        let ahead = &bytes[..bytes.len().min(TEXT_CARRY)];
        let seam = [&self.carry, ahead].concat();
        let first = self.offset - border as u64;
        let mut free_from = 0;
        index.find(&seam, |run| {
            let end = run.at + run.len;
            if run.at < border && end > border {
                // The seam ends before the run does.
                let source_end = run.source_at + run.len;
                let more = match end == seam.len() {
                    true => common(index.rest(run.source, source_end), &bytes[ahead.len()..]),
                    false => 0,
                };
                let run = Run { len: run.len + more, ..run };
                free_from = end + more - border;
                self.take(index, run, first, border + bytes.len(), found);
            }
        });
        let crosses = |fragment: &Fragment| fragment.start < border as u64 && fragment.end > border as u64;
        decoded_runs(index, &seam, |fragment| {
            if crosses(&fragment) {
                found.push(fragment.moved(first));
            }
        });
        free_from
    }

    /// Reports a run of a text that begins at `first` in the stream and has `len` bytes.
    fn take(&mut self, index: &SourceIndex, run: Run, first: u64, len: usize, found: &mut Vec<Fragment>) {
        let start = first + run.at as u64;
        found.push(Fragment {
            start,
            end: start + run.len as u64,
            source: run.source,
            len: run.len as u64,
            encoding: Encoding::Plain,
            is_continued: false,
        });
        let next = run.source_at + run.len;
        if run.at + run.len == len && next < index.len_of(run.source) {
            self.open = Some(Open { source: run.source, next, len: run.len as u64 });
        }
    }

    fn remember(&mut self, bytes: &[u8]) {
        let from_carry = TEXT_CARRY.saturating_sub(bytes.len()).min(self.carry.len());
        self.carry.drain(..self.carry.len() - from_carry);
        self.carry.extend_from_slice(&bytes[bytes.len().saturating_sub(TEXT_CARRY)..]);
        let is_binary = |byte: &u8| *byte < b' ' && !matches!(byte, 0 | b'\t' | b'\n' | b'\r');
        let text = self.carry.iter().rev().take_while(|byte| !is_binary(byte)).count();
        self.carry.drain(..self.carry.len() - text.max(CARRY).min(self.carry.len()));
        // Most connections at once carry ciphertext: what they do not need is given back.
        self.carry.shrink_to(TEXT_CARRY.min(2 * self.carry.len()));
    }
}

impl Fragment {
    fn moved(self, by: u64) -> Self {
        Self { start: self.start + by, end: self.end + by, ..self }
    }
}

/// Calls `found` for the runs in decoded texts.
fn decoded_runs(index: &SourceIndex, bytes: &[u8], mut found: impl FnMut(Fragment)) {
    if index.is_empty() {
        return;
    }
    forms::decode_all(bytes, |encoding, decoded| {
        index.find(&decoded.bytes, |run| {
            let written = decoded.written(run.at..run.at + run.len);
            // Text without any escape decodes to itself, and is found as it is.
            if written.len() > run.len {
                found(Fragment {
                    start: written.start as u64,
                    end: written.end as u64,
                    source: run.source,
                    len: run.len as u64,
                    encoding,
                    is_continued: false,
                });
            }
        });
    });
}

/// Searches contiguous bytes that are no part of a stream.
pub(super) fn find_all(index: &SourceIndex, bytes: &[u8], found: &mut Vec<Fragment>) {
    FragmentScanner::default().push(index, bytes, found);
}
