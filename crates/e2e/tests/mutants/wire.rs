//! A small reading of pcap, Ethernet, IPv4, TCP and TLS records, for the mutants and for their judge. It shares no code with
//! the analyzer.

use std::ops::Range;

use e2e::damage::Record;

/// Length of the header of a pcap file, and of the header of a record.
pub(crate) const FILE_HEADER: usize = 24;
pub(crate) const RECORD_HEADER: usize = 16;

/// Length of an Ethernet header without tags.
pub(crate) const ETHERNET: usize = 14;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// A pcap file.
pub(crate) struct CaptureFile {
    pub(crate) records: Vec<Record>,
    /// Number of bytes after the last whole frame.
    pub(crate) rest: usize,
}

/// Reads a file in the form that the lab writes; `None` if it has another magic number.
pub(crate) fn read_file(file: &[u8]) -> Option<CaptureFile> {
    const NANOSECONDS: u32 = 0xa1b2_3c4d;
    let field = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    if field(0)? != NANOSECONDS || file.len() < FILE_HEADER {
        return None;
    }
    let mut at = FILE_HEADER;
    let mut records = Vec::new();
    while let (Some(seconds), Some(nanoseconds), Some(len), Some(original_len)) =
        (field(at), field(at + 4), field(at + 8), field(at + 12))
        && let Some(bytes) = file[at + RECORD_HEADER..].get(..len as usize)
    {
        let at_ns = u64::from(seconds) * 1_000_000_000 + u64::from(nanoseconds);
        records.push(Record { at: at_ns, original_len, bytes: bytes.to_vec() });
        at += RECORD_HEADER + len as usize;
    }
    Some(CaptureFile { records, rest: file.len() - at })
}

/// An address and a port.
pub(crate) type End = ([u8; 4], u16);

/// A TCP segment in a frame.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Offsets in the frame.
    pub(crate) ip: usize,
    pub(crate) tcp: usize,
    pub(crate) payload: Range<usize>,
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) flags: u8,
}

impl Segment {
    /// The two ends, in an order that does not depend on the direction.
    pub(crate) fn ends(&self) -> [End; 2] {
        [self.from.min(self.to), self.from.max(self.to)]
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads a frame.
///
/// # Errors
/// Why the frame is not a whole TCP segment over IPv4 over Ethernet.
pub(crate) fn segment(frame: &[u8]) -> Result<Segment, &'static str> {
    const MAX_TAGS: usize = 4;
    let mut ip = ETHERNET;
    let mut tags = 0;
    while frame.len() >= ip && matches!(u16_at(frame, ip - 2), 0x8100 | 0x88a8) {
        (ip, tags) = (ip + 4, tags + 1);
    }
    if frame.len() < ip + 20 || tags > MAX_TAGS || u16_at(frame, ip - 2) != 0x0800 || frame[ip] >> 4 != 4 {
        return Err("no IPv4");
    }
    let header = usize::from(frame[ip] & 15) * 4;
    let end = match u16_at(frame, ip + 2) {
        0 => frame.len(),
        total => ip + usize::from(total),
    };
    if header < 20 || end > frame.len() || end < ip + header + 20 {
        return Err("lengths of IP that do not fit");
    }
    if u16_at(frame, ip + 6) & 0x3fff != 0 {
        return Err("an IP fragment");
    }
    if frame[ip + 9] != 6 {
        return Err("no TCP");
    }
    let tcp = ip + header;
    let payload = tcp + usize::from(frame[tcp + 12] >> 4) * 4;
    if payload < tcp + 20 || payload > end {
        return Err("lengths of TCP that do not fit");
    }
    let address = |at: usize| [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
    Ok(Segment {
        ip,
        tcp,
        payload: payload..end,
        from: (address(ip + 12), u16_at(frame, tcp)),
        to: (address(ip + 16), u16_at(frame, tcp + 2)),
        sequence: u32_at(frame, tcp + 4),
        acknowledgment: u32_at(frame, tcp + 8),
        flags: frame[tcp + 13],
    })
}

/// The ones' complement sum of 16-bit words (RFC 1071).
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn tcp_sum(frame: &[u8], segment: &Segment) -> u16 {
    let bytes = &frame[segment.tcp..segment.payload.end];
    let rest = [0, 6, (bytes.len() >> 8) as u8, bytes.len() as u8];
    sum(&[&frame[segment.ip + 12..segment.ip + 20], &rest, bytes])
}

/// Whether the TCP checksum is right.
pub(crate) fn has_right_checksum(frame: &[u8], segment: &Segment) -> bool {
    tcp_sum(frame, segment) == 0xffff
}

/// Sets both checksums, if the frame is a TCP segment.
pub(crate) fn mend(frame: &mut [u8]) {
    let Ok(segment) = segment(frame) else { return };
    let (ip, tcp) = (segment.ip, segment.tcp);
    frame[ip + 10..ip + 12].fill(0);
    let of_header = !sum(&[&frame[ip..tcp]]);
    frame[ip + 10..ip + 12].copy_from_slice(&of_header.to_be_bytes());
    frame[tcp + 16..tcp + 18].fill(0);
    let of_segment = !tcp_sum(frame, &segment);
    frame[tcp + 16..tcp + 18].copy_from_slice(&of_segment.to_be_bytes());
}

/// A TLS record in a stream: its content type, and its bytes with the header.
pub(crate) struct TlsRecord {
    pub(crate) content_type: u8,
    pub(crate) range: Range<usize>,
}

/// The whole records at the start of a stream.
pub(crate) fn tls_records(stream: &[u8]) -> Vec<TlsRecord> {
    const HEADER: usize = 5;
    let mut records = Vec::new();
    let mut at = 0;
    while at + HEADER <= stream.len() {
        let end = at + HEADER + usize::from(u16_at(stream, at + 3));
        if end > stream.len() {
            break;
        }
        records.push(TlsRecord { content_type: stream[at], range: at..end });
        at = end;
    }
    records
}
