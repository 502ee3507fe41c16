//! The framing of TLS records in the bytes of one direction (RFC 9846 §5, RFC 5246 §6.2).
//!
//! ```text
//!   chunks, any splits       RecordDeframer                     framed records
//!   ─────────────────>  header(5) │ fragment ...  ───>  header, offsets, where the fragment is
//!                       whole in one chunk: stays there    (in the chunk, or in the caller's buffer)
//!                       split over chunks:  joined once
//! ```
//!
//! Each step has one of three outcomes: a record, not TLS, or more bytes needed. The first byte that no record header can
//! have shows that a stream is not TLS. A gap inside one record costs that record only; any other gap loses the framing.

use std::fmt;
use std::ops::Range;

use super::code::{ContentType, HandshakeType, ProtocolVersion};
use super::ssl2_hello;
use crate::detection::Detection;

/// Length of a record header: type, version, length.
pub const HEADER_LEN: usize = 5;

/// Longest plaintext fragment (RFC 9846 §5.1).
pub const MAX_PLAINTEXT: usize = 1 << 14;

/// Longest protected fragment of TLS 1.3 (RFC 9846 §5.2).
pub const MAX_CIPHERTEXT_TLS13: usize = MAX_PLAINTEXT + 256;

/// Longest protected fragment of TLS 1.2 (RFC 5246 §6.2.3); the bound until the version is known.
pub const MAX_CIPHERTEXT: usize = MAX_PLAINTEXT + 2048;

/// Whether a stream that begins with `prefix` is TLS. For text protocols, the first byte decides.
#[must_use]
pub fn detect(prefix: &[u8]) -> Detection {
    if prefix.first().is_some_and(|first| ssl2_hello::may_begin(*first)) {
        return ssl2_hello::detect(prefix);
    }
    let available = prefix.get(..HEADER_LEN).unwrap_or(prefix);
    match implausible(available, MAX_CIPHERTEXT) {
        Some(_) => Detection::NoMatch,
        None if available.len() < HEADER_LEN => Detection::NeedMore,
        None => Detection::Match,
    }
}

/// The five bytes in front of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Outer content type.
    pub content_type: ContentType,
    /// `legacy_record_version`.
    pub version: ProtocolVersion,
    /// Length of the fragment in bytes.
    pub length: u16,
}

impl Header {
    fn read(bytes: &[u8; HEADER_LEN]) -> Self {
        let [content_type, major, minor, high, low] = *bytes;
        if ssl2_hello::may_begin(content_type) {
            return Self::of_ssl2(bytes);
        }
        Self {
            content_type: ContentType(content_type),
            version: ProtocolVersion(u16::from_be_bytes([major, minor])),
            length: u16::from_be_bytes([high, low]),
        }
    }

    /// The bytes on the wire; for protected records also the additional data (RFC 9846 §5.2).
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        if self.content_type == ContentType::SSL2_CLIENT_HELLO {
            return self.to_ssl2_bytes();
        }
        let [major, minor] = self.version.0.to_be_bytes();
        let [high, low] = self.length.to_be_bytes();
        [self.content_type.0, major, minor, high, low]
    }
}

impl Header {
    /// The header of a ClientHello in the form of SSL 2.0.
    fn of_ssl2(&[high, low, _, major, minor]: &[u8; HEADER_LEN]) -> Self {
        let length = u16::from_be_bytes([high & 0x7f, low]);
        Self {
            content_type: ContentType::SSL2_CLIENT_HELLO,
            version: ProtocolVersion(u16::from_be_bytes([major, minor])),
            // Type and version are in the header.
            length: length.saturating_sub(3),
        }
    }

    /// The bytes of such a header on the wire.
    fn to_ssl2_bytes(self) -> [u8; HEADER_LEN] {
        let [high, low] = self.length.saturating_add(3).to_be_bytes();
        let [major, minor] = self.version.0.to_be_bytes();
        [high | ContentType::SSL2_CLIENT_HELLO.0, low, HandshakeType::CLIENT_HELLO.0, major, minor]
    }
}

/// Reason why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotTls {
    /// The first byte is not a content type.
    ContentType(u8),
    /// A byte of the version, which is not in 0x0300 to 0x0304.
    Version(u8),
    /// The length is over the bound, or zero in a record that cannot be empty.
    Length(u16),
}

impl fmt::Display for NotTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContentType(value) => write!(f, "0x{value:02x} is not a TLS content type"),
            Self::Version(value) => write!(f, "0x{value:02x} is not part of a TLS record version"),
            Self::Length(length) => write!(f, "no TLS record has a length of {length}"),
        }
    }
}

/// The first field in up to five header bytes with a value that no record has.
fn implausible(header: &[u8], max: usize) -> Option<NotTls> {
    let mut bytes = header.iter().copied();
    let content_type = bytes.next()?;
    if !(ContentType::CHANGE_CIPHER_SPEC.0..=ContentType::HEARTBEAT.0).contains(&content_type) {
        return Some(NotTls::ContentType(content_type));
    }
    if let Some(major) = bytes.next().filter(|major| *major != 3) {
        return Some(NotTls::Version(major));
    }
    if let Some(minor) = bytes.next().filter(|minor| !(0..=4).contains(minor)) {
        return Some(NotTls::Version(minor));
    }
    let length = u16::from_be_bytes([bytes.next()?, bytes.next()?]);
    // Zero-length fragments are for application data only (RFC 9846 §5.1).
    let zero = length == 0 && ContentType(content_type) != ContentType::APPLICATION_DATA;
    (zero || usize::from(length) > max).then_some(NotTls::Length(length))
}

/// Reserves room for `more` bytes of a record of `end` bytes: the capacity doubles, but never exceeds the record. A header
/// alone must not allocate the length that it announces.
fn reserve(partial: &mut Vec<u8>, more: usize, end: usize) {
    let wanted = partial.len() + more;
    if wanted > partial.capacity() {
        let room = wanted.max(partial.capacity() * 2).min(end.max(wanted));
        partial.reserve_exact(room - partial.len());
    }
}

/// The location of a record's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The fragment is in the input of this call.
    Input(Range<usize>),
    /// Header and fragment are in the buffer of this call.
    Assembled,
    /// Part of the record is missing from the capture.
    Damaged {
        /// Bytes of the record, header included, that were seen.
        seen: u64,
    },
}

/// A record that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framed {
    /// The five bytes in front of the fragment.
    pub header: Header,
    /// Stream offsets from the first byte of the header to the end of the fragment.
    pub range: Range<u64>,
    /// Location of header and fragment.
    pub place: Place,
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole record.
    Record(Framed),
    /// All input was consumed, and no record is complete.
    NeedMore,
    /// From this offset on, the stream is not TLS. No further input is consumed.
    NotTls {
        /// Stream offset at which a record header should be.
        stream_offset: u64,
        /// Why the bytes there are not one.
        why: NotTls,
    },
}

/// The effect of a gap on the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterGap {
    /// The gap is inside one record, which is lost; the position of the next header is known.
    InsideRecord,
    /// The position of the next header is unknown.
    Lost,
}

/// Splits one direction into records. Buffers at most one unfinished record.
#[derive(Debug, Default)]
pub struct RecordDeframer {
    /// Stream offset of the next byte to come.
    next_offset: u64,
    /// Stream offset of the current record's header.
    record_offset: u64,
    partial: Vec<u8>,
    /// A record with missing bytes. Few connections have any, so it has a box of its own.
    damaged: Option<Box<DamagedRecord>>,
    /// Whether the version is known to be TLS 1.3, whose records are shorter.
    is_tls13: bool,
    /// Whether a record was complete or lost, so that none in the form of SSL 2.0 may come.
    has_begun: bool,
}

/// A record with missing bytes. Both counts include the header.
#[derive(Clone, Copy, Debug)]
struct DamagedRecord {
    header: Header,
    /// Bytes still to come.
    missing: u32,
    /// Bytes seen.
    seen: u32,
}

impl RecordDeframer {
    /// The first record begins at this stream offset.
    pub(super) fn begin_at(&mut self, stream_offset: u64) {
        self.next_offset = stream_offset;
        self.record_offset = stream_offset;
    }

    /// Bytes kept of an unfinished record.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.partial.capacity()
    }

    /// Stream offset of the next byte that the deframer wants.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// The unfinished record, if there is one: `(stream offset of its header, bytes seen)`.
    #[must_use]
    pub fn unfinished(&self) -> Option<(u64, u64)> {
        match &self.damaged {
            Some(damaged) => Some((self.record_offset, u64::from(damaged.seen))),
            None => (!self.partial.is_empty()).then_some((self.record_offset, self.partial.len() as u64)),
        }
    }

    /// Lowers the bound on the length of records to that of TLS 1.3.
    pub fn set_tls13(&mut self) {
        self.is_tls13 = true;
    }

    fn max(&self) -> usize {
        if self.is_tls13 { MAX_CIPHERTEXT_TLS13 } else { MAX_CIPHERTEXT }
    }

    /// Consumes `input` up to the end of one record. Returns the number of bytes consumed and the result. A record that
    /// was split over calls is swapped into `assembled`, whose old buffer then receives the next one.
    pub fn step(&mut self, input: &[u8], assembled: &mut Vec<u8>) -> (usize, Step) {
        if let Some(damaged) = self.damaged.take() {
            return self.skip(damaged, input.len());
        }
        if self.partial.is_empty() {
            self.record_offset = self.next_offset;
            match input.first_chunk::<HEADER_LEN>() {
                Some(header) => {
                    if let Some(not_tls) = self.check(header) {
                        return (0, not_tls);
                    }
                    let header = Header::read(header);
                    let end = HEADER_LEN + usize::from(header.length);
                    if end <= input.len() {
                        let place = Place::Input(HEADER_LEN..end);
                        return (end, self.complete(header, end as u64, place));
                    }
                }
                None => {
                    if let Some(not_tls) = self.check(input) {
                        return (0, not_tls);
                    }
                }
            }
        }
        self.join(input, assembled)
    }

    /// Adds to the unfinished record.
    fn join(&mut self, input: &[u8], assembled: &mut Vec<u8>) -> (usize, Step) {
        let mut taken = 0;
        let mut take = |partial: &mut Vec<u8>, want: usize| {
            let rest = input.get(taken..).unwrap_or_default();
            let more = want.saturating_sub(partial.len());
            let part = rest.get(..more).unwrap_or(rest);
            reserve(partial, part.len(), want);
            partial.extend_from_slice(part);
            taken += part.len();
        };
        take(&mut self.partial, HEADER_LEN);
        if let Some(not_tls) = self.check(&self.partial) {
            // Header bytes from earlier calls are not TLS either and stay consumed; those of this call are returned.
            self.partial.truncate(self.partial.len() - taken);
            return (0, not_tls);
        }
        let Some(header) = self.partial.first_chunk().map(Header::read) else {
            self.next_offset += taken as u64;
            return (taken, Step::NeedMore);
        };
        let end = HEADER_LEN + usize::from(header.length);
        take(&mut self.partial, end);
        if self.partial.len() < end {
            self.next_offset += taken as u64;
            return (taken, Step::NeedMore);
        }
        std::mem::swap(&mut self.partial, assembled);
        self.partial.clear();
        (taken, self.complete(header, taken as u64, Place::Assembled))
    }

    fn check(&self, header: &[u8]) -> Option<Step> {
        let header = header.get(..HEADER_LEN).unwrap_or(header);
        let is_ssl2 = header.first().is_some_and(|first| ssl2_hello::may_begin(*first));
        if is_ssl2 && !self.has_begun && ssl2_hello::is_plausible(header) {
            return None;
        }
        implausible(header, self.max()).map(|why| Step::NotTls { stream_offset: self.record_offset, why })
    }

    fn complete(&mut self, header: Header, taken: u64, place: Place) -> Step {
        self.next_offset += taken;
        self.has_begun = true;
        Step::Record(Framed { header, range: self.record_offset..self.next_offset, place })
    }

    /// Skips the rest of a damaged record.
    fn skip(&mut self, mut damaged: Box<DamagedRecord>, available: usize) -> (usize, Step) {
        let taken =
            u32::try_from(available).map_or(damaged.missing, |available| available.min(damaged.missing));
        damaged.missing -= taken;
        damaged.seen += taken;
        let consumed = taken as usize;
        if damaged.missing == 0 {
            let place = Place::Damaged { seen: damaged.seen.into() };
            return (consumed, self.complete(damaged.header, taken.into(), place));
        }
        self.damaged = Some(damaged);
        self.next_offset += u64::from(taken);
        (consumed, Step::NeedMore)
    }

    /// Skips `length` bytes that are missing from the capture.
    pub fn gap(&mut self, length: u64) -> AfterGap {
        let known = self.damaged.as_deref().copied().or_else(|| {
            let header = self.partial.first_chunk().map(Header::read)?;
            // The buffer holds less than a record: a complete one leaves it at once.
            let seen = self.partial.len() as u32;
            Some(DamagedRecord { header, missing: HEADER_LEN as u32 + u32::from(header.length) - seen, seen })
        });
        let Some(damaged) = known else { return AfterGap::Lost };
        // A gap that ends with the record counts as inside it; the next header shows whether that is right.
        let missing = u32::try_from(length).ok().and_then(|length| damaged.missing.checked_sub(length));
        let Some(missing) = missing else { return AfterGap::Lost };
        self.partial.clear();
        self.damaged = Some(Box::new(DamagedRecord { missing, ..damaged }));
        self.next_offset += length;
        AfterGap::InsideRecord
    }

    /// Uses a spare buffer for the next record, so that none is allocated.
    pub(super) fn lend(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.partial.capacity() == 0
            && let Some(buffer) = spare.pop()
        {
            self.partial = buffer;
        }
    }

    /// Returns the buffer while no record is unfinished, so that an idle connection keeps none.
    pub(super) fn give_back(&mut self, spare: &mut Vec<Vec<u8>>, most: usize) {
        if self.partial.is_empty() && self.partial.capacity() > 0 {
            let buffer = std::mem::take(&mut self.partial);
            if spare.len() < most {
                spare.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: [u8; 9] = [22, 3, 1, 0, 4, 1, 0, 0, 0];
    const DATA: [u8; 8] = [23, 3, 3, 0, 3, 7, 8, 9];

    type Found = (Header, Range<u64>, Vec<u8>);

    /// All records of the pieces with their fragments, and the last step.
    fn read(pieces: &[&[u8]]) -> (Vec<Found>, Step) {
        let mut deframer = RecordDeframer::default();
        let mut assembled = Vec::new();
        let mut found = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let (taken, step) = deframer.step(rest, &mut assembled);
                match step {
                    Step::Record(framed) => {
                        let fragment = match framed.place {
                            Place::Input(range) => rest[range].to_vec(),
                            Place::Assembled => assembled[HEADER_LEN..].to_vec(),
                            Place::Damaged { .. } => unreachable!(),
                        };
                        found.push((framed.header, framed.range, fragment));
                        rest = &rest[taken..];
                        if rest.is_empty() {
                            break;
                        }
                    }
                    Step::NeedMore => break,
                    not_tls @ Step::NotTls { .. } => return (found, not_tls),
                }
            }
        }
        (found, Step::NeedMore)
    }

    #[test]
    fn finds_the_same_records_in_every_split() {
        let stream = [&HELLO[..], &DATA, &[23, 3, 3, 0, 0], &DATA].concat();
        let (whole, _) = read(&[&stream]);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[1].1, 9..17);
        assert_eq!(whole[1].2, [7, 8, 9]);
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(read(&[head, tail]).0, whole, "{cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&bytes).0, whole);
    }

    /// A capture may contain many thousand connections that send a header and nothing else.
    #[test]
    fn grows_the_buffer_with_the_record_and_not_with_its_header() {
        let record = [&[22, 3, 1, 0x40, 0][..], &[7; 0x4000]].concat();
        for piece in [1, 6, 1400, record.len() - 1] {
            let mut deframer = RecordDeframer::default();
            let mut seen = 0;
            for bytes in record[..record.len() - 1].chunks(piece) {
                assert_eq!(deframer.step(bytes, &mut Vec::new()), (bytes.len(), Step::NeedMore));
                seen += bytes.len();
                let room = deframer.partial.capacity();
                assert!(
                    (seen..=2 * seen.max(8)).contains(&room) && room <= record.len(),
                    "{room} for {seen}"
                );
            }
        }
    }

    #[test]
    fn a_hello_of_ssl_2_keeps_its_first_bytes() {
        let first = [0x80, 0x2f, 1, 3, 1];
        let header = Header::read(&first);
        assert_eq!(header.content_type, ContentType::SSL2_CLIENT_HELLO);
        assert_eq!((header.version, header.length), (ProtocolVersion::TLS_1_0, 0x2f - 3));
        assert_eq!(header.to_bytes(), first);
    }

    #[test]
    fn rejects_other_protocols_at_their_first_byte() {
        for text in ["GET / HTTP/1.1\r\n", "SSH-2.0", "\x00\x01", "\x19\x03"] {
            assert_eq!(detect(text.as_bytes()), Detection::NoMatch);
            assert!(matches!(read(&[&text.as_bytes()[..1]]).1, Step::NotTls { stream_offset: 0, .. }));
        }
        for prefix in 0..HEADER_LEN {
            assert_eq!(detect(&HELLO[..prefix]), Detection::NeedMore);
        }
        assert_eq!(detect(&HELLO), Detection::Match);
        for bad in [[22, 2, 1, 0, 4], [22, 3, 5, 0, 4], [22, 3, 3, 0, 0], [23, 3, 3, 0x48, 1]] {
            assert_eq!(detect(&bad), Detection::NoMatch, "{bad:?}");
        }
        let late = [&DATA[..], b"plain"].concat();
        let (found, end) = read(&[&late]);
        assert_eq!(found.len(), 1);
        assert_eq!(end, Step::NotTls { stream_offset: 8, why: NotTls::ContentType(b'p') });
    }

    #[test]
    fn loses_only_the_record_with_the_gap() {
        for (seen, missing) in [(5, 1), (5, 3), (6, 2), (7, 1)] {
            let mut deframer = RecordDeframer::default();
            let mut assembled = Vec::new();
            assert_eq!(deframer.step(&DATA[..seen], &mut assembled).1, Step::NeedMore);
            assert_eq!(deframer.gap(missing), AfterGap::InsideRecord);
            let rest = [&DATA[seen + missing as usize..], &HELLO].concat();
            let (taken, step) = deframer.step(&rest, &mut assembled);
            let Step::Record(framed) = step else { panic!("{step:?}") };
            assert_eq!(framed.place, Place::Damaged { seen: 8 - missing });
            assert_eq!(framed.range, 0..8);
            let (_, step) = deframer.step(&rest[taken..], &mut assembled);
            assert!(matches!(step, Step::Record(Framed { range: Range { start: 8, end: 17 }, .. })));
        }
        let mut deframer = RecordDeframer::default();
        let mut assembled = Vec::new();
        assert_eq!(deframer.gap(1), AfterGap::Lost);
        deframer.step(&DATA[..4], &mut assembled);
        assert_eq!(deframer.gap(1), AfterGap::Lost);
        deframer.step(&DATA[4..6], &mut assembled);
        assert_eq!(deframer.gap(3), AfterGap::Lost);
    }
}
