//! The handshake messages that CRYPTO frames carry in any order (RFC 9000 §7.5, §19.6).

use std::ops::Range;

/// Bytes of a handshake that are kept beyond the messages that are complete. A ClientHello with a post-quantum key share has
/// two kilobytes; RFC 9000 §7.5 asks endpoints for 4,096 bytes.
pub const MAX_CRYPTO: usize = 16 << 10;

/// The same of the messages that only the key log shows: the longest message that is read in TLS, with what follows it.
pub const MAX_HANDSHAKE_CRYPTO: usize = 80 << 10;

/// Maximum number of separate pieces that wait for bytes before them. Chrome shuffles a ClientHello in some ten pieces.
pub const MAX_PIECES: usize = 64;

/// Type and length in front of a handshake message (RFC 9846 §4).
const MESSAGE_HEADER: usize = 4;

/// The handshake of one direction.
#[derive(Debug, Default)]
pub(super) struct CryptoStream {
    /// Offset of the first byte of the unfinished message.
    base: u64,
    /// The bytes from there on, with zeros where nothing came yet.
    bytes: Vec<u8>,
    /// What came, in order, without overlaps, and not adjacent: offsets in `bytes`.
    pieces: Vec<Range<usize>>,
    /// Whether something was left out because of a bound.
    pub(super) is_over_bound: bool,
    /// Whether two frames carried different bytes for one place.
    pub(super) is_contradicted: bool,
}

impl CryptoStream {
    /// Whether a message is unfinished.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Adds the bytes of a frame. Where bytes came before, the first ones stay. `max`: how many bytes may be kept.
    pub(super) fn push(&mut self, offset: u64, data: &[u8], max: usize) {
        let before = usize::try_from(self.base.saturating_sub(offset)).unwrap_or(usize::MAX);
        let data = data.get(before..).unwrap_or_default();
        if data.is_empty() {
            return;
        }
        let start = usize::try_from(offset.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let end = start.saturating_add(data.len());
        if end > max {
            self.is_over_bound = true;
            return;
        }
        let first = self.pieces.partition_point(|piece| piece.end < start);
        let behind = self.pieces.partition_point(|piece| piece.start <= end);
        if first == behind && self.pieces.len() >= MAX_PIECES {
            self.is_over_bound = true;
            return;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let mut joined = start..end;
        let mut position = start;
        for piece in self.pieces.get(first..behind).unwrap_or_default() {
            joined = joined.start.min(piece.start)..joined.end.max(piece.end);
            copy(&mut self.bytes, data, start, position..piece.start);
            let both = piece.start.max(start)..piece.end.min(end);
            let of_frame = data.get(both.start.saturating_sub(start)..both.end.saturating_sub(start));
            self.is_contradicted |= self.bytes.get(both) != of_frame;
            position = position.max(piece.end);
        }
        copy(&mut self.bytes, data, start, position..end);
        self.pieces.splice(first..behind, [joined]);
    }

    /// Takes the next message, if all of it came: its type and its body.
    pub(super) fn take_message(&mut self, max: usize) -> Option<(u8, Vec<u8>)> {
        let ready = self.pieces.first().filter(|piece| piece.start == 0)?.end;
        let (&[message_type, a, b, c], _) = self.bytes.split_first_chunk::<MESSAGE_HEADER>()?;
        if ready < MESSAGE_HEADER {
            return None;
        }
        let end = MESSAGE_HEADER + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c));
        if end > max {
            // Its end can never come.
            *self = Self { base: u64::MAX, is_over_bound: true, ..Self::default() };
            return None;
        }
        if ready < end {
            return None;
        }
        let body = self.bytes.get(MESSAGE_HEADER..end)?.to_vec();
        self.bytes.drain(..end);
        self.base += end as u64;
        for piece in &mut self.pieces {
            *piece = piece.start.saturating_sub(end)..piece.end.saturating_sub(end);
        }
        self.pieces.retain(|piece| !piece.is_empty());
        if self.pieces.is_empty() {
            self.bytes = Vec::new();
        }
        Some((message_type, body))
    }
}

/// Copies the part of `data`, whose first byte belongs at `start`, that belongs to `range`.
fn copy(bytes: &mut [u8], data: &[u8], start: usize, range: Range<usize>) {
    if range.start < range.end
        && let Some(from) = data.get(range.start - start..range.end - start)
        && let Some(to) = bytes.get_mut(range)
    {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages(stream: &mut CryptoStream) -> Vec<(u8, Vec<u8>)> {
        std::iter::from_fn(|| stream.take_message(MAX_CRYPTO)).collect()
    }

    #[test]
    fn puts_pieces_together_in_any_order() {
        let bytes = b"\x01\0\0\x05hello\x02\0\0\0\x0b\0\0\x02";
        let mut stream = CryptoStream::default();
        stream.push(6, &bytes[6..11], MAX_CRYPTO);
        stream.push(0, &bytes[..2], MAX_CRYPTO);
        assert!(messages(&mut stream).is_empty());
        stream.push(1, &bytes[1..8], MAX_CRYPTO);
        assert_eq!(messages(&mut stream), [(1, b"hello".to_vec())]);
        stream.push(0, bytes, MAX_CRYPTO);
        assert_eq!(messages(&mut stream), [(2, vec![])]);
        assert!(stream.is_unfinished() && !stream.is_contradicted && !stream.is_over_bound);
    }

    #[test]
    fn the_first_bytes_stay() {
        let mut stream = CryptoStream::default();
        stream.push(5, b"b", MAX_CRYPTO);
        stream.push(0, b"\x01\0\0\x03axc", MAX_CRYPTO);
        assert!(stream.is_contradicted);
        assert_eq!(messages(&mut stream), [(1, b"abc".to_vec())]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut stream = CryptoStream::default();
        stream.push(u64::MAX, b"a", MAX_CRYPTO);
        stream.push(MAX_CRYPTO as u64, b"a", MAX_CRYPTO);
        assert!(stream.is_over_bound && stream.bytes.is_empty());
        for at in 0..1000 {
            stream.push(4 + at * 2, b"a", MAX_CRYPTO);
        }
        assert_eq!(stream.pieces.len(), MAX_PIECES);
        let mut stream = CryptoStream::default();
        stream.push(0, b"\x01\xff\xff\xff", MAX_CRYPTO);
        assert_eq!(stream.take_message(MAX_CRYPTO), None);
        stream.push(4, b"abc", MAX_CRYPTO);
        assert!(stream.is_over_bound && stream.bytes.is_empty());
    }

    proptest! {
        /// Any pieces that cover the messages, in any order and with any overlaps, give the same messages.
        #[test]
        fn order_and_overlaps_change_nothing(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4),
            cuts in prop::collection::vec((0_usize..700, 1_usize..60), 0..30),
            shuffled in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            for body in &bodies {
                bytes.extend([1, 0, 0, body.len() as u8]);
                bytes.extend(body);
            }
            let mut pieces: Vec<Range<usize>> =
                cuts.into_iter().map(|(at, len)| at.min(bytes.len())..(at + len).min(bytes.len())).collect();
            pieces.extend((0..bytes.len()).step_by(50).map(|at| at..(at + 50).min(bytes.len())));
            let middle = shuffled.index(pieces.len());
            pieces.rotate_left(middle);
            let mut stream = CryptoStream::default();
            let mut found = Vec::new();
            for piece in pieces {
                stream.push(piece.start as u64, &bytes[piece], MAX_CRYPTO);
                found.extend(messages(&mut stream).into_iter().map(|(_, body)| body));
            }
            prop_assert_eq!(found, bodies);
            prop_assert!(!stream.is_contradicted && !stream.is_unfinished());
        }
    }
}
