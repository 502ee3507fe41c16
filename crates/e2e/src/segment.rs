//! TCP segments taken out of captured frames, to be changed and put into frames again, with correct checksums.

use std::net::IpAddr;

use craft::frame::{Checksum, Ethernet, Ip, Ipv4, Ipv6, Link, Tcp};

use crate::capture::Record;

/// Length of an Ethernet header without tags.
pub const ETHERNET_HEADER: usize = 14;

/// Offset of the TCP header in a frame of Ethernet without tags.
#[must_use]
pub fn tcp_at(frame: &[u8]) -> usize {
    const IPV6_HEADER: usize = 40;
    match frame[ETHERNET_HEADER] >> 4 {
        4 => ETHERNET_HEADER + 4 * usize::from(frame[ETHERNET_HEADER] & 15),
        _ => ETHERNET_HEADER + IPV6_HEADER,
    }
}

/// Offset of the TCP payload in a frame of Ethernet without tags.
#[must_use]
pub fn payload_at(frame: &[u8]) -> usize {
    let tcp = tcp_at(frame);
    tcp + 4 * usize::from(frame[tcp + 12] >> 4)
}

/// Corrects the checksums of a frame of TCP over IPv4 over Ethernet whose headers were changed.
pub fn correct_checksums(frame: &mut [u8]) {
    let (ip, tcp) = (ETHERNET_HEADER, tcp_at(frame));
    let end = ip + usize::from(u16::from_be_bytes(array(frame, ip + 2)));
    frame[ip + 10..ip + 12].fill(0);
    let header = !folded(0, &frame[ip..tcp]);
    frame[ip + 10..ip + 12].copy_from_slice(&header.to_be_bytes());
    frame[tcp + 16..tcp + 18].fill(0);
    let pseudo = u32::from(folded(6 + (end - tcp) as u32, &frame[ip + 12..ip + 20]));
    let segment = !folded(pseudo, &frame[tcp..end]);
    frame[tcp + 16..tcp + 18].copy_from_slice(&segment.to_be_bytes());
}

/// The ones' complement sum of 16-bit words (RFC 1071), from a start on.
fn folded(start: u32, bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    let mut sum = bytes.chunks(2).fold(start, |sum, pair| sum + word(pair));
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// A TCP segment over IPv4 or IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Time of capture, ns since the Unix epoch.
    pub at: u64,
    /// The Ethernet header.
    pub ethernet: Ethernet,
    /// The IP header.
    pub ip: Ip,
    /// Ports of sender and receiver.
    pub ports: (u16, u16),
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// Bits of [`craft::frame::flags`].
    pub flags: u8,
    /// Window, unscaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Raw options.
    pub options: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Segment {
    /// Takes a segment out of an Ethernet frame.
    ///
    /// # Panics
    /// If the frame is not TCP over IP over Ethernet without tags and trailer.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let frame = &record.bytes;
        let ethernet =
            Ethernet { destination: array(frame, 0), source: array(frame, 6), ..Ethernet::default() };
        let (tcp, payload) = (tcp_at(frame), payload_at(frame));
        Self {
            at: record.at,
            ethernet,
            ip: ip(&frame[ETHERNET_HEADER..tcp]),
            ports: (u16::from_be_bytes(array(frame, tcp)), u16::from_be_bytes(array(frame, tcp + 2))),
            sequence: u32::from_be_bytes(array(frame, tcp + 4)),
            acknowledgment: u32::from_be_bytes(array(frame, tcp + 8)),
            flags: frame[tcp + 13],
            window: u16::from_be_bytes(array(frame, tcp + 14)),
            urgent: u16::from_be_bytes(array(frame, tcp + 18)),
            options: frame[tcp + 20..payload].to_vec(),
            payload: frame[payload..].to_vec(),
        }
    }

    /// The frame on its own Ethernet link.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        self.frame_on(&Link::Ethernet(self.ethernet.clone()), Checksum::True)
    }

    /// The frame on another link, or with another checksum.
    #[must_use]
    pub fn frame_on(&self, link: &Link, checksum: Checksum) -> Vec<u8> {
        let tcp = Tcp {
            source_port: self.ports.0,
            destination_port: self.ports.1,
            sequence: self.sequence,
            acknowledgment: self.acknowledgment,
            flags: self.flags,
            window: self.window,
            urgent: self.urgent,
            options: &self.options,
            checksum,
        };
        let mut bytes = Vec::new();
        craft::frame::tcp(&mut bytes, link, &self.ip, &tcp, &self.payload);
        bytes
    }

    /// The frame on its own Ethernet link, as a record of a capture.
    #[must_use]
    pub fn record(&self) -> Record {
        record(self.at, self.frame())
    }

    /// The sequence number behind the segment.
    #[must_use]
    pub fn end(&self) -> u32 {
        let flags = craft::frame::flags::SYN | craft::frame::flags::FIN;
        let phantom = (self.flags & flags).count_ones();
        self.sequence.wrapping_add(self.payload.len() as u32).wrapping_add(phantom)
    }

    /// Whether two segments have the same sender and receiver.
    #[must_use]
    pub fn is_of_direction(&self, other: &Self) -> bool {
        self.ports == other.ports && self.addresses() == other.addresses()
    }

    /// Sender and receiver.
    #[must_use]
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        match &self.ip {
            Ip::V4(ip) => (ip.source.into(), ip.destination.into()),
            Ip::V6(ip) => (ip.source.into(), ip.destination.into()),
        }
    }

    /// Two segments with this many bytes of payload in the first.
    ///
    /// # Panics
    /// If the payload is shorter.
    #[must_use]
    pub fn split(&self, at: usize) -> [Self; 2] {
        let (head, tail) = self.payload.split_at(at);
        let first = Self { payload: head.to_vec(), flags: self.flags & !LAST_ONLY, ..self.clone() };
        let second =
            Self { payload: tail.to_vec(), sequence: first.end(), flags: self.flags, ..self.clone() };
        [first, second]
    }
}

/// Flags that belong to the last segment of a write: FIN and PSH.
const LAST_ONLY: u8 = craft::frame::flags::FIN | craft::frame::flags::PSH;

/// A whole frame as a record of a capture.
#[must_use]
pub fn record(at: u64, bytes: Vec<u8>) -> Record {
    Record { at, original_len: bytes.len() as u32, bytes }
}

/// The segments of a capture.
#[must_use]
pub fn segments(records: &[Record]) -> Vec<Segment> {
    records.iter().map(Segment::of).collect()
}

/// The records of these segments.
#[must_use]
pub fn records(segments: &[Segment]) -> Vec<Record> {
    segments.iter().map(Segment::record).collect()
}

fn ip(header: &[u8]) -> Ip {
    if header[0] >> 4 == 6 {
        let (source, destination) = (array::<16>(header, 8), array::<16>(header, 24));
        return Ip::V6(Ipv6::between(source.into(), destination.into()));
    }
    let flags = header[6];
    Ip::V4(Ipv4 {
        id: u16::from_be_bytes(array(header, 4)),
        dont_fragment: flags & 0x40 != 0,
        ttl: header[8],
        tos: header[1],
        ..Ipv4::between(array::<4>(header, 12).into(), array::<4>(header, 16).into())
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("as many bytes")
}
