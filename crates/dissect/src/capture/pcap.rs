//! Classic pcap (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>).

use pcap_parser::{parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

use super::{CaptureError, MAX_FRAME_LEN, Place, Record, Rule, Step};
use crate::link::LinkType;

pub(super) const FILE_HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;
/// Offset in a record header of the number of captured bytes.
const CAPTURED_LEN: usize = 8;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A pcap file whose header has been read.
#[derive(Debug, Clone)]
pub(super) struct Pcap {
    big_endian: bool,
    /// Nanoseconds in the unit of the fraction.
    unit: u64,
    link_type: LinkType,
    snaplen: u32,
}

impl Pcap {
    /// Reads the file header; `None` if the input ends inside it.
    pub(super) fn begin(input: &[u8]) -> Result<Option<Self>, CaptureError> {
        if let Some(magic) = input.first_chunk()
            && !matches!(u32::from_be_bytes(*magic), 0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1)
        {
            return Err(foreign(*magic));
        }
        let Some(input) = input.get(..FILE_HEADER_LEN) else { return Ok(None) };
        let Ok((_, header)) = parse_pcap_header(input) else { return Ok(None) };
        let (major, minor) = (header.version_major, header.version_minor);
        if (major, minor) != (2, 4) {
            return Err(CaptureError::UnsupportedVersion { format: "pcap", major, minor, offset: 4 });
        }
        Ok(Some(Pcap {
            big_endian: header.is_bigendian(),
            unit: if header.is_nanosecond_precision() { 1 } else { 1_000 },
            // The upper half describes the frame check sequence, which the IP length cuts off anyway.
            link_type: LinkType(header.network.0 as u16),
            snaplen: header.snaplen,
        }))
    }

    /// The snaplen of the file header; `None` for no limit.
    pub(super) fn snaplen(&self) -> Option<u32> {
        Some(self.snaplen).filter(|snaplen| *snaplen > 0)
    }

    #[inline]
    pub(super) fn step<'a>(&self, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        let parsed = if self.big_endian { parse_pcap_frame_be(input) } else { parse_pcap_frame(input) };
        let Ok((_, block)) = parsed else { return self.more(input, place) };
        if block.caplen > MAX_FRAME_LEN {
            return Err(too_long(block.caplen, place));
        }
        let record = Record {
            frame: place.frame,
            captured_at: u64::from(block.ts_sec) * NANOS_PER_SECOND + u64::from(block.ts_usec) * self.unit,
            link_type: self.link_type,
            interface: 0,
            original_len: block.origlen,
            bytes: block.data,
            file_offset: place.offset + RECORD_HEADER_LEN as u64,
        };
        Ok(Step::Record { consumed: RECORD_HEADER_LEN + block.data.len(), record })
    }

    /// Bytes of the record at the front of `rest`; `None` between records.
    pub(super) fn needed(&self, rest: &[u8]) -> Option<u64> {
        let captured = self.captured_len(rest).unwrap_or(0);
        (!rest.is_empty()).then_some(RECORD_HEADER_LEN as u64 + u64::from(captured))
    }

    /// Handles an input that ends inside the record: asks for the whole record, unless its length exceeds the bound.
    #[cold]
    fn more<'a>(&self, input: &[u8], place: Place) -> Result<Step<'a>, CaptureError> {
        let captured = self.captured_len(input).unwrap_or(0);
        if captured > MAX_FRAME_LEN {
            return Err(too_long(captured, place));
        }
        Ok(Step::NeedMore { at_least: RECORD_HEADER_LEN + captured as usize })
    }

    fn captured_len(&self, input: &[u8]) -> Option<u32> {
        let bytes = *input.get(CAPTURED_LEN..RECORD_HEADER_LEN)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

#[cold]
fn too_long(captured: u32, place: Place) -> CaptureError {
    CaptureError::Damaged {
        frame: place.frame,
        offset: place.offset,
        field: "the captured length",
        value: u64::from(captured),
        rule: Rule::AtMost(u64::from(MAX_FRAME_LEN)),
    }
}

/// The error for a file that is neither pcap nor pcapng. It names the format if it is a known one.
fn foreign(first: [u8; 4]) -> CaptureError {
    let compressed = |with, command| CaptureError::Compressed { with, command };
    let unsupported = |format| CaptureError::UnsupportedFormat { format };
    match first {
        [0x1f, 0x8b, ..] => compressed("gzip", "gzip -dc FILE"),
        [0x28, 0xb5, 0x2f, 0xfd] => compressed("zstd", "zstd -dc FILE"),
        [0x04, 0x22, 0x4d, 0x18] => compressed("lz4", "lz4 -dc FILE"),
        [0xfd, b'7', b'z', b'X'] => compressed("xz", "xz -dc FILE"),
        [b'B', b'Z', b'h', _] => compressed("bzip2", "bzip2 -dc FILE"),
        [b'P', b'K', 3, 4] => compressed("zip", "unzip -p FILE"),
        [0xa1, 0xb2, 0xcd, 0x34] | [0x34, 0xcd, 0xb2, 0xa1] => unsupported("modified pcap (Kuznetzov)"),
        [0x1c, 0x00, 0x01, 0xac | 0xab] | [0xac | 0xab, 0x01, 0x00, 0x1c] => unsupported("IXIA pcap"),
        [b's', b'n', b'o', b'o'] => unsupported("snoop"),
        _ => CaptureError::NotACapture { first },
    }
}
