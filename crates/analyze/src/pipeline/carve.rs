//! Compressed data in bytes that no protocol explains.
//!
//! A string that was compressed by itself and sent over a protocol that is not read here would be missed by every search
//! for its bytes. So unexplained bytes are kept up to a bound, and wherever the magic number of a compression format
//! stands in them, decompression is tried.

use dissect::content::Coding;
use exposure_schema::Level;

use crate::observe::evidence::Evidence;
use crate::observe::hits::Place;
use crate::search::Scanner;

/// Bytes kept of one side of a connection, from its first unexplained byte on.
pub(crate) const MAX_CARVED: usize = 64 << 10;

/// Places tried in one buffer. Two-byte zlib headers stand once in 16,384 bytes of noise; a thousand is a feint.
const MAX_ATTEMPTS: usize = 256;

/// Bytes that all attempts on one capture may decode, so that a capture made of magic numbers costs no more time than
/// others.
pub(crate) const MAX_CARVED_DECODED: u64 = 256 << 20;

/// Unexplained bytes of one side.
#[derive(Debug, Default)]
pub(crate) struct Carver {
    start: u64,
    bytes: Vec<u8>,
}

impl Carver {
    /// Keeps bytes. They need not follow each other: what lies between was explained.
    pub(crate) fn push(&mut self, stream_offset: u64, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.start = stream_offset;
        }
        let room = MAX_CARVED.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
    }

    /// The stream offset of the first byte that is kept.
    pub(crate) fn keep_from(&self) -> Option<u64> {
        (!self.bytes.is_empty()).then_some(self.start)
    }

    /// Tries everything that was kept.
    pub(crate) fn finish(&mut self, evidence: &mut Evidence<'_>, place: impl Fn(u64, u64) -> Place) {
        let bytes = std::mem::take(&mut self.bytes);
        let start = self.start;
        carve(&bytes, evidence, |from, to| place(start + from as u64, start + to as u64));
    }
}

/// Tries decompression wherever a magic number stands. `place` is asked for ranges of `bytes`.
pub(crate) fn carve(bytes: &[u8], evidence: &mut Evidence<'_>, place: impl Fn(usize, usize) -> Place) {
    let mut attempts = 0;
    for at in 0..bytes.len().saturating_sub(1) {
        let Some(coding) = magic(&bytes[at..]) else { continue };
        attempts += 1;
        if attempts > MAX_ATTEMPTS || evidence.carved_bytes > MAX_CARVED_DECODED {
            evidence
                .bound_hit("more magic numbers of compression formats in unexplained bytes than are tried");
            return;
        }
        let mut scanner = Scanner::default();
        let mut matches = std::mem::take(&mut evidence.matches);
        let matcher = &evidence.known.matcher;
        // The outcome does not matter: what was decoded before an error was readable too.
        let mut decoded = 0;
        evidence.decoder.decode(&[coding], &bytes[at..], |text| {
            scanner.push(matcher, text, &mut matches);
            decoded += text.len() as u64;
        });
        evidence.carved_bytes += decoded;
        evidence.doubt_overflow(&scanner);
        let layers = evidence.layers(&["carved", coding.name()]);
        for found in matches.drain(..) {
            evidence.hit(found.pattern, Level::Decoded, &layers, || place(at, bytes.len()));
        }
        evidence.matches = matches;
    }
}

/// gzip and zstd by their magic numbers, zlib by its header (RFC 1950 §2.2) with the window that everybody uses.
fn magic(bytes: &[u8]) -> Option<Coding> {
    match bytes {
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(Coding::Deflate),
        _ => Coding::from_magic(bytes),
    }
}
