//! The headers of packets (RFC 9000 §17), as far as no key is needed, and the packets of one datagram (RFC 9000 §12.2).

use std::fmt;
use std::ops::Range;

use super::version::Version;

/// Longest connection ID of the versions that are read (RFC 9000 §17.2).
pub const MAX_CONNECTION_ID: usize = 20;

/// Maximum number of packets that are read of one datagram. An endpoint coalesces one of each kind: four.
pub const MAX_COALESCED: usize = 16;

/// The first bit: a long header (RFC 8999 §5.1).
const LONG: u8 = 0x80;

/// The second bit, which is set in every packet of versions 1 and 2 but version negotiation (RFC 9000 §17.2), unless the receiver
/// has said that it ignores it (RFC 9287 §3).
pub(super) const FIXED: u8 = 0x40;

/// Length of the tag at the end of a Retry packet (RFC 9001 §5.8).
const RETRY_TAG: usize = 16;

/// Shortest protected part: a packet number with the sample behind it (RFC 9001 §5.4.2).
const MIN_PROTECTED: usize = 4 + 16;

/// Kind of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Initial: the hellos, under keys that any observer can derive.
    Initial,
    /// 0-RTT: early data of the client.
    ZeroRtt,
    /// Handshake: the rest of the handshake.
    Handshake,
    /// Retry: the server asks for the client's address to be proven.
    Retry,
    /// Version negotiation: the server lists its versions.
    VersionNegotiation,
    /// 1-RTT: everything after the handshake. Its short header has no version and no length.
    OneRtt,
    /// A long header of a version that is not read.
    OtherVersion,
}

impl Kind {
    /// The name of the packet type in RFC 9000.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initial => "Initial",
            Self::ZeroRtt => "0-RTT",
            Self::Handshake => "Handshake",
            Self::Retry => "Retry",
            Self::VersionNegotiation => "Version Negotiation",
            Self::OneRtt => "1-RTT",
            Self::OtherVersion => "packet of an unknown version",
        }
    }
}

/// A packet that does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The field.
    pub field: &'static str,
    /// Where it is in the datagram.
    pub offset: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.field, self.offset)
    }
}

impl std::error::Error for Malformed {}

/// The visible part of a packet. All ranges are in the datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet<'a> {
    /// Kind.
    pub kind: Kind,
    /// Version; [`Version::NEGOTIATION`] where the header has none.
    pub version: Version,
    /// Connection ID of the receiver; empty in a short header, which does not say how long it is.
    pub destination_id: &'a [u8],
    /// Connection ID of the sender; empty in a short header.
    pub source_id: &'a [u8],
    /// The token of an Initial or Retry packet.
    pub token: Range<usize>,
    /// Where the packet number begins, which is protected; for kinds without one, where the rest of the packet begins.
    pub protected_at: usize,
    /// The whole packet.
    pub range: Range<usize>,
    /// Whether the capture lacks its end.
    pub is_cut: bool,
}

/// The versions that a version negotiation packet lists (RFC 9000 §17.2.1). `datagram` is the one that it is in.
pub fn supported_versions<'d>(
    packet: &Packet<'_>,
    datagram: &'d [u8],
) -> impl Iterator<Item = Version> + use<'d> {
    let list = match packet.kind {
        Kind::VersionNegotiation => packet.protected_at..packet.range.end,
        _ => 0..0,
    };
    let (versions, _) = datagram.get(list).unwrap_or_default().as_chunks::<4>();
    versions.iter().map(|version| Version(u32::from_be_bytes(*version)))
}

/// The packets of a datagram.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    datagram: &'a [u8],
    position: usize,
    is_truncated: bool,
    count: usize,
}

/// The packets of a datagram, of which `is_truncated` says whether the capture lacks its end. The first packet that does not
/// parse is the last item.
#[must_use]
pub fn packets(datagram: &[u8], is_truncated: bool) -> Packets<'_> {
    Packets { datagram, position: 0, is_truncated, count: 0 }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.datagram.len() {
            return None;
        }
        let mut reader = Reader { bytes: self.datagram, position: self.position };
        let read = if self.count < MAX_COALESCED {
            Packet::read(&mut reader, self.is_truncated)
        } else {
            Err(reader.wrong("more packets than are read"))
        };
        self.count += 1;
        self.position = read.as_ref().map_or(self.datagram.len(), |packet| packet.range.end);
        Some(read)
    }
}

impl<'a> Packet<'a> {
    fn read(reader: &mut Reader<'a>, is_truncated: bool) -> Result<Self, Malformed> {
        let start = reader.position;
        let to_end = start..reader.bytes.len();
        let [first] = reader.array("first byte")?;
        let mut packet = Packet {
            kind: Kind::OneRtt,
            version: Version::NEGOTIATION,
            destination_id: &[],
            source_id: &[],
            token: 0..0,
            protected_at: start + 1,
            range: to_end,
            is_cut: is_truncated,
        };
        if first & LONG == 0 {
            // Some implementations fill a datagram with zeros behind its packets.
            let is_padding = first == 0
                && reader.bytes.get(start..).is_some_and(|rest| !rest.iter().any(|byte| *byte != 0));
            return if is_padding { Err(wrong("first byte", start)) } else { Ok(packet) };
        }
        packet.version = Version(reader.array("version").map(u32::from_be_bytes)?);
        packet.destination_id = reader.connection_id("destination connection ID")?;
        packet.source_id = reader.connection_id("source connection ID")?;
        packet.protected_at = reader.position;
        if packet.version == Version::NEGOTIATION {
            packet.kind = Kind::VersionNegotiation;
            return Ok(packet);
        }
        if !packet.version.is_read() {
            packet.kind = Kind::OtherVersion;
            return Ok(packet);
        }
        if packet.destination_id.len().max(packet.source_id.len()) > MAX_CONNECTION_ID {
            return Err(wrong("length of a connection ID", start));
        }
        packet.kind = kind(packet.version, first);
        if packet.kind == Kind::Retry {
            let tag_at = packet.range.end.checked_sub(RETRY_TAG).filter(|at| *at >= packet.protected_at);
            packet.token = packet.protected_at..tag_at.ok_or(reader.wrong("retry integrity tag"))?;
            return Ok(packet);
        }
        if packet.kind == Kind::Initial {
            let len = reader.number("token length")?;
            packet.token = reader.bytes(len, "token")?;
        }
        let len = reader.number("length")?;
        packet.protected_at = reader.position;
        let rest = reader.bytes.len() - reader.position;
        match usize::try_from(len) {
            Ok(len) if len < MIN_PROTECTED => return Err(reader.wrong("length")),
            Ok(len) if len <= rest => {
                packet.range.end = reader.position + len;
                packet.is_cut = false;
            }
            _ if is_truncated => {}
            _ => return Err(reader.wrong("length")),
        }
        Ok(packet)
    }
}

/// The type of a long header (RFC 9000 §17.2, RFC 9369 §3.2).
fn kind(version: Version, first: u8) -> Kind {
    let number = first >> 4 & 3;
    let of_v1 = if version.has_moved_types() { (number + 3) % 4 } else { number };
    match of_v1 {
        0 => Kind::Initial,
        1 => Kind::ZeroRtt,
        2 => Kind::Handshake,
        _ => Kind::Retry,
    }
}

fn wrong(field: &'static str, offset: usize) -> Malformed {
    Malformed { field, offset }
}

/// Reads fields from front to back.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn wrong(&self, field: &'static str) -> Malformed {
        wrong(field, self.position)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let array = *rest.first_chunk().ok_or(self.wrong(field))?;
        self.position += N;
        Ok(array)
    }

    pub(super) fn bytes(&mut self, len: u64, field: &'static str) -> Result<Range<usize>, Malformed> {
        let rest = self.bytes.len().saturating_sub(self.position);
        let len = usize::try_from(len).ok().filter(|len| *len <= rest).ok_or(self.wrong(field))?;
        let range = self.position..self.position + len;
        self.position = range.end;
        Ok(range)
    }

    /// Number of bytes that are left.
    pub(super) fn rest(&self) -> u64 {
        self.bytes.len().saturating_sub(self.position) as u64
    }

    fn connection_id(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let [len] = self.array(field)?;
        let range = self.bytes(len.into(), field)?;
        Ok(self.bytes.get(range).unwrap_or_default())
    }

    /// A number of one, two, four or eight bytes (RFC 9000 §16).
    pub(super) fn number(&mut self, field: &'static str) -> Result<u64, Malformed> {
        let [first] = self.array(field)?;
        let mut number = u64::from(first & 0x3f);
        let range = self.bytes((1 << (first >> 6)) - 1, field)?;
        for byte in self.bytes.get(range).unwrap_or_default() {
            number = number << 8 | u64::from(*byte);
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_numbers_of_rfc_9000() {
        // RFC 9000 §A.1.
        let samples: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, number) in samples {
            let mut reader = Reader { bytes, position: 0 };
            assert_eq!(reader.number("number"), Ok(number));
            assert_eq!(reader.position, bytes.len());
            assert!(Reader { bytes: &bytes[1..], position: bytes.len() }.number("number").is_err());
        }
    }

    fn long(first: u8, version: u32, rest: &[u8]) -> Vec<u8> {
        [&[first][..], &version.to_be_bytes(), &[2, 1, 2, 1, 9], rest].concat()
    }

    #[test]
    fn divides_a_datagram_into_packets() {
        let protected = [&[20][..], &[7; 20]].concat();
        let initial = long(0xc0, 1, &[&[3, b't', b'o', b'k'][..], &protected].concat());
        let handshake = long(0xe0, 1, &protected);
        let datagram = [&initial[..], &handshake, &[0x41, 5, 5]].concat();
        let found: Vec<_> = packets(&datagram, false).map(Result::unwrap).collect();
        let kinds: Vec<_> = found.iter().map(|packet| packet.kind).collect();
        assert_eq!(kinds, [Kind::Initial, Kind::Handshake, Kind::OneRtt]);
        assert_eq!(&datagram[found[0].token.clone()], b"tok");
        assert_eq!((found[0].destination_id, found[0].source_id), (&[1, 2][..], &[9][..]));
        assert_eq!(found[0].protected_at, initial.len() - 20);
        assert_eq!(found[1].range, initial.len()..initial.len() + handshake.len());
        assert_eq!(found[2].range.end, datagram.len());
        // Of version 2 the types have other numbers.
        let datagram = long(0xd0, Version::V2.0, &[&[0][..], &protected].concat());
        assert_eq!(packets(&datagram, false).next().unwrap().unwrap().kind, Kind::Initial);
        // A cut packet counts in a truncated datagram only.
        let cut = &handshake[..handshake.len() - 1];
        assert!(packets(cut, false).next().unwrap().is_err());
        assert!(packets(cut, true).next().unwrap().unwrap().is_cut);
    }

    #[test]
    fn names_retry_and_version_negotiation() {
        let datagram = long(0xff, 1, &[&b"token"[..], &[0; 16]].concat());
        let packet = packets(&datagram, false).next().unwrap().unwrap();
        assert_eq!((packet.kind, &datagram[packet.token]), (Kind::Retry, &b"token"[..]));
        let datagram = long(0x80, 0, &[0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf, 0x1a, 0x2a, 0x3a, 0x4a]);
        let packet = packets(&datagram, false).next().unwrap().unwrap();
        assert_eq!(packet.kind, Kind::VersionNegotiation);
        let versions: Vec<_> = supported_versions(&packet, &datagram).collect();
        assert_eq!(versions[..2], [Version::V1, Version::V2]);
        assert!(versions[2].is_reserved());
        let datagram = long(0xc0, 0x5130_3436, &[1, 2, 3]);
        assert_eq!(packets(&datagram, false).next().unwrap().unwrap().kind, Kind::OtherVersion);
    }

    #[test]
    fn bounds_the_packets_of_a_datagram() {
        let one = long(0xe0, 1, &[&[20][..], &[7; 20]].concat());
        let datagram = one.repeat(40);
        let found = packets(&datagram, false).collect::<Vec<_>>();
        assert_eq!(found.len(), MAX_COALESCED + 1);
        assert!(found.last().unwrap().is_err());
        assert!(packets(&[0; 50], false).next().unwrap().is_err());
        assert!(packets(&[], false).next().is_none());
    }
}
