//! Searches a stream that arrives in chunks.

use std::ops::Range;

use super::forms;
use super::index::{Run, common};
use super::{Sources, Texts};
use crate::Encoding;

/// Bytes kept of a stream so that a run across a chunk border is found, if they may be text.
const TEXT_CARRY: usize = super::MAX_FORM;

/// Bytes kept if they are no text, which cannot be an encoded form: one byte less than a run of the guaranteed length.
const CARRY: usize = super::GUARANTEED - 1;

/// A readable run of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Offset in the stream of its first byte.
    pub start: u64,
    /// Offset just behind its last byte.
    pub end: u64,
    /// The source, in the order in which it was given.
    pub source: u32,
    /// The run: its source as the index numbers it, and its offset there.
    pub(super) place: (u32, usize),
    /// Whether it is a secret: these have an order of their own.
    pub is_secret: bool,
    /// Length of the run in the source: all of it so far, if it continues a run that was reported.
    pub len: u64,
    /// How the run is written.
    pub encoding: Encoding,
    /// Whether it continues a run that was reported.
    pub is_continued: bool,
}

/// The state of the search in one stream.
#[derive(Clone, Debug, Default)]
pub struct FragmentScanner {
    carry: Vec<u8>,
    /// Offset of the next byte.
    offset: u64,
    /// The run that reached the end of the last chunk.
    open: Option<Open>,
}

/// As small as it can be: there is one in every stream. No source is longer than [`MAX_SOURCE_BYTES`](super::MAX_SOURCE_BYTES).
#[derive(Clone, Copy, Debug)]
struct Open {
    source: u32,
    /// Offset in the source of the next byte.
    next: u32,
    len: u32,
}

impl FragmentScanner {
    /// Searches the next bytes of the stream. Adds the runs in them to `found`.
    pub(super) fn push(&mut self, sources: &Sources, bytes: &[u8], found: &mut Vec<Fragment>) {
        let index = &sources.texts;
        let mut free_from = self.go_on(index, bytes, found);
        if free_from == 0 && !self.carry.is_empty() {
            free_from = self.seam(sources, bytes, found);
        }
        let first = self.offset;
        sources.secrets.find(bytes, |run| {
            found.push(Fragment::of_secret(run, first));
            true
        });
        if self.open.is_none() {
            let first = self.offset + free_from as u64;
            index.find(&bytes[free_from..], |run| {
                self.take(index, run, first, bytes.len() - free_from, found);
                true
            });
        }
        decoded_runs(sources, bytes, |_| true, |fragment| found.push(fragment.moved(first)));
        self.offset += bytes.len() as u64;
        self.remember(bytes);
    }

    /// `len` bytes of the stream are missing, so no run can cross them.
    pub fn gap(&mut self, len: u64) {
        self.carry.clear();
        self.open = None;
        self.offset += len;
    }

    /// Offset of the next byte to search.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The lowest offset at which a run that was not reported yet may begin; `None` if nothing was searched since the
    /// last gap.
    pub fn keep_from(&self) -> Option<u64> {
        (!self.carry.is_empty()).then(|| self.offset - self.carry.len() as u64)
    }

    /// Continues the open run. Returns the number of bytes that belong to it.
    fn go_on(&mut self, index: &Texts, bytes: &[u8], found: &mut Vec<Fragment>) -> usize {
        let Some(mut open) = self.open.take() else { return 0 };
        let more = common(index.rest(open.source, open.next as usize), bytes);
        if more == 0 {
            return 0;
        }
        open.next += more as u32;
        open.len += more as u32;
        found.push(Fragment {
            start: self.offset,
            end: self.offset + more as u64,
            source: open.source,
            place: (open.source, (open.next - open.len) as usize),
            is_secret: false,
            len: u64::from(open.len),
            encoding: Encoding::Plain,
            is_continued: true,
        });
        self.open = (more == bytes.len()).then_some(open);
        more
    }

    /// Searches across the border between the last chunk and this one. Returns the number of bytes of this chunk that
    /// belong to a run.
    fn seam(&mut self, sources: &Sources, bytes: &[u8], found: &mut Vec<Fragment>) -> usize {
        let border = self.carry.len();
        // Text that is encoded cannot go on in what is no text.
        let is_text = bytes.iter().take(8).all(u8::is_ascii);
        let ahead = &bytes[..bytes.len().min(if is_text { TEXT_CARRY } else { CARRY })];
        let mut seam = [0; 2 * TEXT_CARRY];
        seam[..border].copy_from_slice(&self.carry);
        seam[border..border + ahead.len()].copy_from_slice(ahead);
        let seam = &seam[..border + ahead.len()];
        let first = self.offset - border as u64;
        let mut free_from = 0;
        let index = &sources.texts;
        // A run on one side must not hide a longer one that crosses the border.
        let crosses = |start: usize, end: usize| start < border && end > border;
        index.find(seam, |run| {
            let end = run.at + run.len;
            if !crosses(run.at, end) {
                return false;
            }
            // The seam may end before the run does.
            let source_end = run.source_at + run.len;
            let more = match end == seam.len() {
                true => common(index.rest(run.source, source_end), &bytes[ahead.len()..]),
                false => 0,
            };
            let run = Run { len: run.len + more, ..run };
            free_from = end + more - border;
            self.take(index, run, first, border + bytes.len(), found);
            true
        });
        sources.secrets.find(seam, |run| {
            let is_taken = crosses(run.at, run.at + run.len);
            if is_taken {
                found.push(Fragment::of_secret(run, first));
            }
            is_taken
        });
        decoded_runs(
            sources,
            seam,
            |written| crosses(written.start, written.end),
            |fragment| {
                found.push(fragment.moved(first));
            },
        );
        free_from
    }

    /// Reports a run of a text that begins at `first` in the stream and has `len` bytes.
    fn take(&mut self, index: &Texts, run: Run, first: u64, len: usize, found: &mut Vec<Fragment>) {
        found.push(Fragment::of(run, first));
        let next = run.source_at + run.len;
        if run.at + run.len == len && next < index.len_of(run.source) {
            self.open = Some(Open { source: run.source, next: next as u32, len: run.len as u32 });
        }
    }

    fn remember(&mut self, bytes: &[u8]) {
        let is_text = |byte: &u8| *byte >= b' ' || matches!(byte, 0 | b'\t' | b'\n' | b'\r');
        let tail = &bytes[bytes.len().saturating_sub(TEXT_CARRY)..];
        let text = tail.iter().rev().take_while(|byte| is_text(byte)).count();
        if text < tail.len() || tail.len() == TEXT_CARRY {
            let kept = text.max(CARRY).min(tail.len());
            let missing = CARRY.saturating_sub(kept).min(self.carry.len());
            self.carry.drain(..self.carry.len() - missing);
            self.carry.reserve_exact(kept);
            self.carry.extend_from_slice(&tail[tail.len() - kept..]);
            return;
        }
        // All of a short chunk is text: what was kept before it may belong to it.
        let before = (TEXT_CARRY - tail.len()).min(self.carry.len());
        self.carry.drain(..self.carry.len() - before);
        self.carry.reserve_exact(tail.len());
        self.carry.extend_from_slice(tail);
    }
}

impl Fragment {
    /// A run of a text that begins at `first`, as it is.
    fn of(run: Run, first: u64) -> Self {
        let start = first + run.at as u64;
        Self {
            start,
            end: start + run.len as u64,
            source: run.source,
            place: (run.source, run.source_at),
            is_secret: false,
            len: run.len as u64,
            encoding: Encoding::Plain,
            is_continued: false,
        }
    }

    /// The same of a secret.
    fn of_secret(run: Run, first: u64) -> Self {
        Self { is_secret: true, ..Self::of(run, first) }
    }

    fn moved(self, by: u64) -> Self {
        Self { start: self.start + by, end: self.end + by, ..self }
    }
}

/// Calls `found` for the runs in decoded texts whose written form, a range of `bytes`, is wanted.
fn decoded_runs(
    sources: &Sources,
    bytes: &[u8],
    is_wanted: impl Fn(&Range<usize>) -> bool,
    mut found: impl FnMut(Fragment),
) {
    let Sources { texts, secrets } = sources;
    forms::decode_all(bytes, |encoding, decoded| {
        let mut take = |fragment: Fragment| {
            let run = fragment.start as usize..fragment.end as usize;
            let written = decoded.written(run.clone());
            if !is_wanted(&written) {
                return false;
            }
            // Text without any escape decodes to itself. It is found as it is if it is long enough; if not, it must not hide a
            // longer run that an escape is in.
            let is_encoded = bytes[written.clone()] != decoded.bytes[run];
            if is_encoded {
                let (start, end) = (written.start as u64, written.end as u64);
                found(Fragment { start, end, encoding, ..fragment });
            }
            is_encoded
        };
        texts.find(&decoded.bytes, |run| take(Fragment::of(run, 0)));
        secrets.find(&decoded.bytes, |run| take(Fragment::of_secret(run, 0)));
    });
}

/// Searches contiguous bytes that are no part of a stream for the runs whose range is wanted.
pub(super) fn find_all(
    sources: &Sources,
    bytes: &[u8],
    is_wanted: &dyn Fn(&Range<usize>) -> bool,
    found: &mut Vec<Fragment>,
) {
    let mut take = |fragment: Fragment| {
        let is_taken = is_wanted(&(fragment.start as usize..fragment.end as usize));
        if is_taken {
            found.push(fragment);
        }
        is_taken
    };
    sources.texts.find(bytes, |run| take(Fragment::of(run, 0)));
    sources.secrets.find(bytes, |run| take(Fragment::of_secret(run, 0)));
    decoded_runs(sources, bytes, is_wanted, |fragment| found.push(fragment));
}
