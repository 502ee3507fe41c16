//! Counts the bytes of a capture by kind, and measures how random they look.

use exposure_schema::{ByKind, Traffic};

use crate::pipeline::fact::{ConnectionSummary, SegmentFact, Spoken, TlsDirection};

/// Bytes of payload sampled for the entropy. The counts of the 256 byte values settle long before this, and a larger
/// sample would slow down the analysis of large captures.
pub(crate) const MAX_SAMPLE: usize = 16 << 20;

/// Parallel count tables: with a single one, each of several equal bytes in a row would wait for the addition before
/// it.
const LANES: usize = 4;

/// The bytes of a capture by kind.
#[derive(Debug, Default)]
pub(crate) struct ByteCounts {
    wire_bytes: u64,
    kinds: ByKind,
    sample: Sample,
}

impl ByteCounts {
    /// Counts a frame without TCP.
    #[inline]
    pub(crate) fn other(&mut self, wire_bytes: u64) {
        self.wire_bytes += wire_bytes;
        self.kinds.other += wire_bytes;
    }

    /// Counts a segment. The kind of its payload is known only when its connection is closed.
    #[inline]
    pub(crate) fn segment(&mut self, segment: &SegmentFact<'_>) {
        self.headers(segment.wire_bytes, segment.wire_payload, segment.payload);
        if segment.disposition.is_none() {
            self.kinds.clear += segment.wire_payload; // its connection is closed already
        }
    }

    #[inline]
    fn headers(&mut self, wire_bytes: u64, wire_payload: u64, payload: &[u8]) {
        self.wire_bytes += wire_bytes;
        self.kinds.headers += wire_bytes - wire_payload;
        self.sample.push(payload);
    }

    /// Counts the payload of a closed connection.
    pub(crate) fn closed(&mut self, summary: &ConnectionSummary) {
        let kinds = kinds(summary);
        self.kinds.clear += kinds.clear;
        self.kinds.tls_clear += kinds.tls_clear;
        self.kinds.ciphertext += kinds.ciphertext;
    }

    /// The counts as they enter the result.
    pub(crate) fn entry(&self) -> Traffic {
        let counts = self.sample.counts();
        Traffic {
            wire_bytes: self.wire_bytes,
            by_kind: self.kinds,
            payload_bytes_sampled: self.sample.taken as u64,
            payload_entropy_bits_per_byte: entropy(&counts),
            payload_printable_bytes: (0..=u8::MAX)
                .zip(&counts)
                .filter(|(byte, _)| is_printable(*byte))
                .map(|(_, n)| n)
                .sum(),
        }
    }
}

/// The payload of a closed connection by kind.
pub(super) fn kinds(summary: &ConnectionSummary) -> ByKind {
    let mut kinds = ByKind::default();
    for (direction, wire_payload) in summary.wire_payload {
        match &summary.spoken {
            Spoken::Tls(tls) => {
                add_tls(&mut kinds, wire_payload, &tls[direction]);
            }
            Spoken::Messages | Spoken::Unknown => kinds.clear += wire_payload,
        }
    }
    kinds
}

/// Counts all payload that one side of a TLS connection sent.
fn add_tls(kinds: &mut ByKind, wire_payload: u64, sent: &TlsDirection) {
    let TlsDirection { begins, bytes, is_dead, .. } = sent;
    let clear = bytes.clear.min(wire_payload);
    let protected = bytes.protected.min(wire_payload - clear);
    kinds.tls_clear += clear;
    kinds.ciphertext += protected;
    let before = (*begins).min(wire_payload - clear - protected);
    kinds.clear += before;
    // Retransmitted segments, cut or lost bytes, and any bytes behind the last record.
    let rest = wire_payload - clear - protected - before;
    let kind = match () {
        () if *is_dead => &mut kinds.clear,
        () if protected > 0 => &mut kinds.ciphertext,
        () => &mut kinds.tls_clear,
    };
    *kind += rest;
}

/// How often each value of a byte occurs in the first [`MAX_SAMPLE`] bytes.
#[derive(Debug)]
struct Sample {
    lanes: Box<[[u32; 256]; LANES]>,
    taken: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Self { lanes: Box::new([[0; 256]; LANES]), taken: 0 }
    }
}

impl Sample {
    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        let room = MAX_SAMPLE - self.taken;
        if room == 0 || bytes.is_empty() {
            return;
        }
        let bytes = &bytes[..bytes.len().min(room)];
        self.taken += bytes.len();
        let (groups, rest) = bytes.as_chunks::<LANES>();
        for group in groups {
            for (lane, byte) in self.lanes.iter_mut().zip(group) {
                lane[usize::from(*byte)] += 1; // at most MAX_SAMPLE in all
            }
        }
        for byte in rest {
            self.lanes[0][usize::from(*byte)] += 1;
        }
    }

    fn counts(&self) -> [u64; 256] {
        std::array::from_fn(|value| self.lanes.iter().map(|lane| u64::from(lane[value])).sum())
    }
}

/// Shannon entropy of order 0 in bits a byte, rounded to four decimal places: further digits depend on the order of the
/// additions.
fn entropy(counts: &[u64; 256]) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    let of = |count: u64| {
        let share = count as f64 / total as f64;
        -share * share.log2()
    };
    let bits: f64 = counts.iter().filter(|count| **count > 0).map(|count| of(*count)).sum();
    // `abs`: the entropy of one value is zero, not minus zero.
    (total > 0).then(|| ((bits * 1e4).round() / 1e4).abs())
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::fact::RecordBytes;

    fn sampled(pieces: &[&[u8]]) -> Traffic {
        let mut counts = ByteCounts::default();
        pieces.iter().for_each(|piece| counts.headers(piece.len() as u64 + 54, piece.len() as u64, piece));
        counts.entry()
    }

    #[test]
    fn entropy_of_known_distributions() {
        let bits = |bytes: &[u8]| sampled(&[bytes]).payload_entropy_bits_per_byte;
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bits(&[]), None);
        assert_eq!(bits(b"aaaa"), Some(0.0));
        assert_eq!(bits(b"abab"), Some(1.0));
        assert_eq!(bits(&all), Some(8.0));
        // -(3/4 log2 3/4 + 1/4 log2 1/4)
        assert_eq!(bits(b"aaab"), Some(0.8113));
    }

    #[test]
    fn counts_the_same_in_every_division_into_segments() {
        let text = b"POST /tool HTTP/1.1\r\n\r\n\x00\xffabc\t";
        let whole = sampled(&[text]);
        assert_eq!((whole.payload_bytes_sampled, whole.payload_printable_bytes), (29, 27));
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        let byte_by_byte = sampled(&bytes);
        assert_eq!(byte_by_byte.payload_entropy_bits_per_byte, whole.payload_entropy_bits_per_byte);
        assert_eq!(byte_by_byte.payload_printable_bytes, 27);
    }

    #[test]
    fn samples_up_to_the_bound() {
        let piece = vec![b'x'; MAX_SAMPLE - 1];
        let entry = sampled(&[&piece, b"yyyy"]);
        assert_eq!(entry.payload_bytes_sampled, MAX_SAMPLE as u64);
        assert_eq!(entry.payload_printable_bytes, MAX_SAMPLE as u64);
    }

    #[test]
    fn kinds_of_a_tls_direction_add_up_to_its_payload() {
        for (on_wire, begins, open, sealed, is_dead) in [
            (100, 0, 30, 70, false),
            (100, 0, 30, 50, false),
            (100, 0, 0, 0, false),
            (100, 0, 30, 50, true),
            (10, 0, 30, 50, false),
            (100, 20, 30, 50, false),
            (90, 20, 30, 50, false),
        ] {
            let mut kinds = ByKind::default();
            let bytes = RecordBytes { clear: open, protected: sealed };
            let (counters, finished) = Default::default();
            add_tls(&mut kinds, on_wire, &TlsDirection { begins, counters, bytes, is_dead, finished });
            let ByKind { clear, tls_clear, ciphertext, .. } = kinds;
            assert_eq!(clear + tls_clear + ciphertext, on_wire);
            assert_eq!(clear > 0, is_dead || begins > 0);
        }
    }
}
