//! The framing of handshake messages in the fragments that carry them (RFC 9846 §5.1).

use std::ops::Range;

use super::code::HandshakeType;

/// Longest message that is read: rustls and others accept no more, and certificate chains with post-quantum signatures
/// are shorter. A longer one is skipped and reported as too long.
pub const MAX_HANDSHAKE_MESSAGE: usize = 0xffff;

/// Type and length in front of a message.
const MESSAGE_HEADER: usize = 4;

/// A complete message.
pub(super) struct DeframedMessage<'a> {
    pub(super) message_type: HandshakeType,
    /// The body, or `None` for a message over the bound.
    pub(super) body: Option<&'a [u8]>,
    /// Length of the body that the message announces.
    pub(super) length: usize,
    /// Stream offsets of the records that carry it, from the first header to the end of the last.
    pub(super) range: Range<u64>,
    /// Whether it is a ClientHello in the form of SSL 2.0. Its body then begins with the version, which is not in `length`.
    pub(super) is_ssl2: bool,
}

impl DeframedMessage<'_> {
    /// Length on the wire, header included.
    pub(super) fn wire_length(&self) -> u64 {
        let header = if self.is_ssl2 { 0 } else { MESSAGE_HEADER };
        (header + self.length) as u64
    }
}

/// Joins the messages of one direction. Buffers at most one unfinished message.
#[derive(Debug, Default)]
pub(super) struct HandshakeDeframer {
    partial: Vec<u8>,
    /// A message over the bound, whose body is skipped.
    skipped: Option<SkippedMessage>,
    /// Stream offset of the record in which the unfinished message begins.
    from: u64,
}

#[derive(Clone, Copy, Debug)]
struct SkippedMessage {
    message_type: HandshakeType,
    length: u32,
    /// Bytes of the body still to come.
    missing: u32,
}

impl HandshakeDeframer {
    /// Bytes kept of an unfinished message.
    pub(super) fn kept_bytes(&self) -> usize {
        self.partial.capacity()
    }

    /// Whether a message is unfinished.
    pub(super) fn is_unfinished(&self) -> bool {
        self.skipped.is_some() || !self.partial.is_empty()
    }

    /// Adds the handshake bytes of one record, whose stream offsets are `record`, and calls `each` for every message
    /// that is complete with it.
    pub(super) fn push(
        &mut self,
        mut rest: &[u8],
        record: &Range<u64>,
        mut each: impl FnMut(DeframedMessage<'_>),
    ) {
        while !rest.is_empty() {
            if !self.is_unfinished() {
                self.from = record.start;
            }
            let range = self.from..record.end;
            if let Some(skipped) = &mut self.skipped {
                let taken = rest.len().min(skipped.missing as usize);
                rest = rest.get(taken..).unwrap_or_default();
                skipped.missing -= taken as u32;
                let SkippedMessage { message_type, length, missing } = *skipped;
                if missing == 0 {
                    self.skipped = None;
                    each(DeframedMessage {
                        message_type,
                        body: None,
                        length: length as usize,
                        range,
                        is_ssl2: false,
                    });
                }
                continue;
            }
            if self.partial.is_empty()
                && let Some((message_type, length, after)) = header(rest)
                && let Some((body, after)) = after.split_at_checked(length)
                && length <= MAX_HANDSHAKE_MESSAGE
            {
                rest = after;
                each(DeframedMessage { message_type, body: Some(body), length, range, is_ssl2: false });
                continue;
            }
            rest = self.join(rest, range, &mut each);
        }
        // An idle connection keeps no buffer.
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
    }

    /// Adds to the unfinished message and returns the bytes of the next one.
    fn join<'a>(
        &mut self,
        rest: &'a [u8],
        range: Range<u64>,
        each: &mut impl FnMut(DeframedMessage<'_>),
    ) -> &'a [u8] {
        let rest = self.take(rest, MESSAGE_HEADER);
        let Some((message_type, length, _)) = header(&self.partial) else { return rest };
        if length > MAX_HANDSHAKE_MESSAGE {
            self.partial.clear();
            // The length has 24 bits on the wire.
            let length = length as u32;
            self.skipped = Some(SkippedMessage { message_type, length, missing: length });
            return rest;
        }
        let rest = self.take(rest, MESSAGE_HEADER + length);
        if let Some((message_type, length, after)) = header(&self.partial)
            && let Some(body) = after.get(..length)
        {
            each(DeframedMessage { message_type, body: Some(body), length, range, is_ssl2: false });
            self.partial.clear();
        }
        rest
    }

    fn take<'a>(&mut self, rest: &'a [u8], want: usize) -> &'a [u8] {
        let more = want.saturating_sub(self.partial.len()).min(rest.len());
        let (taken, rest) = rest.split_at_checked(more).unwrap_or((rest, &[]));
        self.partial.extend_from_slice(taken);
        rest
    }
}

fn header(bytes: &[u8]) -> Option<(HandshakeType, usize, &[u8])> {
    let (&[message_type, a, b, c], after) = bytes.split_first_chunk::<MESSAGE_HEADER>()?;
    let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    Some((HandshakeType(message_type), length, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    type TypeAndBody = (u8, Result<Vec<u8>, usize>);

    /// Messages of the stream, cut into records of `size` bytes, as (type, body or length).
    fn join(stream: &[u8], size: usize) -> (Vec<TypeAndBody>, bool) {
        let mut deframer = HandshakeDeframer::default();
        let mut found = Vec::new();
        for (n, record) in stream.chunks(size).enumerate() {
            deframer.push(record, &(n as u64..n as u64 + 1), |m| {
                found.push((m.message_type.0, m.body.map(<[u8]>::to_vec).ok_or(m.length)));
            });
        }
        (found, deframer.is_unfinished())
    }

    #[test]
    fn finds_the_same_messages_in_every_fragmentation() {
        let long = [&[11, 2, 0, 0][..], &vec![5; 0x2_0000]].concat();
        let stream = [&[1, 0, 0, 2, 8, 9, 20, 0, 0, 0][..], &long, &[24, 0, 0, 1, 1, 1, 0]].concat();
        let expected = vec![(1, Ok(vec![8, 9])), (20, Ok(vec![])), (11, Err(0x2_0000)), (24, Ok(vec![1]))];
        for size in [1, 2, 3, 4, 5, 7, 100, 16384, stream.len()] {
            assert_eq!(join(&stream, size), (expected.clone(), true), "{size}");
        }
    }
}
