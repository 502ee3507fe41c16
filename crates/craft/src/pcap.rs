//! Writes classic pcap files (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>).

use std::io::{self, Write};

use crate::Endian;

/// The default snapshot length of tcpdump and Wireshark.
pub const FULL_SNAPLEN: u32 = 262_144;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Unit of the fraction of a second in a record's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolution {
    /// Magic 0xa1b2c3d4.
    Micros,
    /// Magic 0xa1b23c4d.
    #[default]
    Nanos,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Byte order of the headers.
    pub endian: Endian,
    /// Unit of the times.
    pub resolution: Resolution,
    /// Snapshot length: longer frames are cut to this many bytes.
    pub snaplen: u32,
    /// Link type of all frames; see [`crate::link_type`].
    pub link_type: u16,
}

impl Default for Format {
    /// Ethernet, little-endian, nanoseconds, [`FULL_SNAPLEN`].
    fn default() -> Self {
        Format {
            endian: Endian::Little,
            resolution: Resolution::Nanos,
            snaplen: FULL_SNAPLEN,
            link_type: crate::link_type::ETHERNET,
        }
    }
}

/// Writes a pcap file. Use a [`io::BufWriter`]: each record is two writes.
#[derive(Debug)]
pub struct Writer<W> {
    inner: W,
    format: Format,
}

impl<W: Write> Writer<W> {
    /// Writes the file header: little-endian, nanoseconds.
    pub fn new(inner: W, link_type: u16, snaplen: u32) -> io::Result<Self> {
        Self::with_format(inner, Format { link_type, snaplen, ..Format::default() })
    }

    /// Writes the file header of `format`.
    pub fn with_format(mut inner: W, format: Format) -> io::Result<Self> {
        let e = format.endian;
        let magic = match format.resolution {
            Resolution::Micros => 0xa1b2_c3d4,
            Resolution::Nanos => 0xa1b2_3c4d,
        };
        let mut header = [0; 24];
        header[0..4].copy_from_slice(&e.u32(magic));
        header[4..6].copy_from_slice(&e.u16(2));
        header[6..8].copy_from_slice(&e.u16(4));
        header[16..20].copy_from_slice(&e.u32(format.snaplen));
        header[20..24].copy_from_slice(&e.u32(u32::from(format.link_type)));
        inner.write_all(&header)?;
        Ok(Writer { inner, format })
    }

    /// Writes one frame captured at `ts_ns` (nanoseconds since the epoch) that was `original_len` bytes on the wire.
    ///
    /// Bytes beyond the snapshot length are left out. Fails with `InvalidInput` for a time after the year 2106, which the
    /// format cannot hold, and with the errors of the inner writer.
    pub fn write(&mut self, ts_ns: u64, original_len: u32, bytes: &[u8]) -> io::Result<()> {
        let seconds = u32::try_from(ts_ns / NANOS_PER_SECOND).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("pcap cannot hold the time {ts_ns} ns, which is after 2106"),
            )
        })?;
        let nanos = (ts_ns % NANOS_PER_SECOND) as u32;
        let fraction = match self.format.resolution {
            Resolution::Micros => nanos / 1000,
            Resolution::Nanos => nanos,
        };
        let bytes = &bytes[..bytes.len().min(self.format.snaplen as usize)];
        let e = self.format.endian;
        let mut header = [0; 16];
        header[0..4].copy_from_slice(&e.u32(seconds));
        header[4..8].copy_from_slice(&e.u32(fraction));
        header[8..12].copy_from_slice(&e.u32(bytes.len() as u32));
        header[12..16].copy_from_slice(&e.u32(original_len));
        self.inner.write_all(&header)?;
        self.inner.write_all(bytes)
    }

    /// Flushes the inner writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    /// The inner writer.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The inner writer, mutably.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Returns the inner writer without flushing it.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_documented_bytes_in_both_byte_orders() {
        let mut writer = Writer::new(Vec::new(), 1, 4).unwrap();
        writer.write(1_700_000_000_123_456_789, 6, b"abcdef").unwrap();
        let little = [
            &[0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0][..],
            &[0x00, 0xf1, 0x53, 0x65, 0x15, 0xcd, 0x5b, 0x07, 4, 0, 0, 0, 6, 0, 0, 0],
            b"abcd",
        ];
        assert_eq!(writer.into_inner(), little.concat());

        let format = Format { endian: Endian::Big, resolution: Resolution::Micros, snaplen: 4, link_type: 1 };
        let mut writer = Writer::with_format(Vec::new(), format).unwrap();
        writer.write(1_700_000_000_123_456_789, 6, b"abcdef").unwrap();
        let big = [
            &[0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1][..],
            &[0x65, 0x53, 0xf1, 0x00, 0x00, 0x01, 0xe2, 0x40, 0, 0, 0, 4, 0, 0, 0, 6],
            b"abcd",
        ];
        assert_eq!(writer.into_inner(), big.concat());
    }

    #[test]
    fn rejects_a_time_after_2106() {
        let mut writer = Writer::new(Vec::new(), 1, FULL_SNAPLEN).unwrap();
        assert_eq!(writer.write(u64::MAX, 0, b"").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
