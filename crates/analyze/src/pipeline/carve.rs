//! Finds compressed data in bytes that no protocol explains.
//!
//! A string that was compressed and sent over a protocol that is not decoded here would be missed by every search for
//! its bytes. Unexplained bytes are therefore kept up to a bound, and decompression is tried wherever the magic number
//! of a compression format occurs in them.

use dissect::content::{Coding, Decoder};

use super::fact::{Bound, Bytes, Fact, Observer, Sequence};
use super::provenance::{DecodeChain, LocateBy, Location};

/// Bytes kept of each direction of a connection, from its first unexplained byte on.
pub(crate) const MAX_CARVED: usize = 64 << 10;

/// Attempts in one buffer. A two-byte zlib header occurs once in 16,384 bytes of noise; hundreds occur only in
/// artificial data.
pub(crate) const MAX_ATTEMPTS: usize = 256;

/// Bytes that all attempts on one capture may decode, so that a capture full of magic numbers costs no more time than
/// others.
pub(crate) const MAX_CARVED_DECODED: u64 = 256 << 20;

/// State that all attempts on one capture share.
#[derive(Debug, Default)]
pub(crate) struct CarveBudget {
    decoded: u64,
}

/// Unexplained bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct Carver {
    start: u64,
    bytes: Vec<u8>,
    /// Whether no more bytes are kept.
    is_closed: bool,
}

impl Carver {
    /// Keeps bytes. They need not be consecutive: bytes between them were explained.
    pub(crate) fn push(&mut self, stream_offset: u64, bytes: &[u8]) {
        if self.is_closed {
            return;
        }
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

    /// Number of bytes that it takes.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The kept bytes, and the stream offset of the first. Later ones are not kept.
    pub(crate) fn take(&mut self) -> (u64, Vec<u8>) {
        self.is_closed = true;
        (self.start, std::mem::take(&mut self.bytes))
    }
}

/// Tries decompression wherever a magic number occurs. `locate` maps ranges of `bytes`.
pub(crate) fn carve<O: Observer>(
    bytes: &[u8],
    observer: &mut O,
    decoder: &mut Decoder,
    budget: &mut CarveBudget,
    locate: impl Fn(usize, usize) -> Location,
) {
    let mut attempts = 0;
    let [gzip, zlib, zstd] = FIRST_BYTES;
    for at in memchr::memchr3_iter(gzip, zlib, zstd, bytes) {
        let Some(coding) = magic(&bytes[at..]) else { continue };
        attempts += 1;
        if attempts > MAX_ATTEMPTS || budget.decoded > MAX_CARVED_DECODED {
            observer.observe(&Fact::BoundHit(Bound::CarveAttempts));
            return;
        }
        let chain = DecodeChain::default().then("carved").then(coding.name());
        let provenance = LocateBy(|_| locate(at, bytes.len()));
        let mut memory = O::Memory::default();
        // The result does not matter: bytes that were decoded before an error are readable too.
        decoder.decode(&[coding], &bytes[at..], |text| {
            let bytes = Bytes { bytes: text, sequence: Sequence::Carved, chain, needs_secret: false };
            observer.bytes(&mut memory, &bytes, &provenance);
            budget.decoded += text.len() as u64;
        });
    }
}

/// The first bytes of what [`magic`] recognises.
const FIRST_BYTES: [u8; 3] = [0x1f, 0x78, 0x28];

/// Recognises gzip and zstd by their magic numbers, and zlib by its header (RFC 1950 §2.2) with the window that all
/// encoders use.
fn magic(bytes: &[u8]) -> Option<Coding> {
    match bytes {
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(Coding::Deflate),
        _ => Coding::from_magic(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recognised_begins_with_one_of_the_first_bytes() {
        let mut recognised = Vec::new();
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                for rest in [[0x08, 0], [0x2f, 0xfd]] {
                    recognised.extend(magic(&[first, second, rest[0], rest[1]]).map(|_| first));
                }
            }
        }
        recognised.dedup();
        assert_eq!(recognised, [0x1f, 0x28, 0x78]);
    }
}
