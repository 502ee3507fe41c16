//! Writes pcapng files (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>), as far as tests need them.
//!
//! The writer checks nothing: sections, interfaces and lengths may contradict each other, to test readers.

use std::io::{self, Write};

use crate::Endian;

/// Block type of a section header.
pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// Block type of an interface description.
pub const INTERFACE_DESCRIPTION: u32 = 1;
/// Block type of the obsolete packet block.
pub const OBSOLETE_PACKET: u32 = 2;
/// Block type of a simple packet.
pub const SIMPLE_PACKET: u32 = 3;
/// Block type of name resolution.
pub const NAME_RESOLUTION: u32 = 4;
/// Block type of interface statistics.
pub const INTERFACE_STATISTICS: u32 = 5;
/// Block type of an enhanced packet.
pub const ENHANCED_PACKET: u32 = 6;
/// Block type of decryption secrets.
pub const DECRYPTION_SECRETS: u32 = 0x0a;

/// Secrets type of a TLS key log.
pub const SECRETS_TLS_KEY_LOG: u32 = 0x544c_534b;

/// Option `if_tsresol`: one byte.
pub const IF_TSRESOL: u16 = 9;
/// Option `if_tsoffset`: eight bytes, seconds.
pub const IF_TSOFFSET: u16 = 14;
/// Option `opt_comment`: text.
pub const COMMENT: u16 = 1;

/// An option: code and value.
pub type BlockOption<'a> = (u16, &'a [u8]);

/// Writes pcapng blocks.
#[derive(Debug)]
pub struct Writer<W> {
    inner: W,
    endian: Endian,
    body: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Starts a file with a section header in the byte order `endian`.
    pub fn new(inner: W, endian: Endian) -> io::Result<Self> {
        let mut writer = Writer { inner, endian, body: Vec::new() };
        writer.section(endian)?;
        Ok(writer)
    }

    /// Starts another section; its interfaces are numbered from 0.
    pub fn section(&mut self, endian: Endian) -> io::Result<()> {
        self.endian = endian;
        self.u32(0x1a2b_3c4d);
        self.u16(1);
        self.u16(0);
        self.body.extend_from_slice(&[0xff; 8]);
        self.end(SECTION_HEADER)
    }

    /// Writes the description of the section's next interface.
    pub fn interface(&mut self, link_type: u16, snaplen: u32, options: &[BlockOption<'_>]) -> io::Result<()> {
        self.u16(link_type);
        self.u16(0);
        self.u32(snaplen);
        self.options(options);
        self.end(INTERFACE_DESCRIPTION)
    }

    /// The value of [`IF_TSOFFSET`] in this section's byte order.
    pub fn tsoffset(&self, seconds: i64) -> [u8; 8] {
        match self.endian {
            Endian::Little => seconds.to_le_bytes(),
            Endian::Big => seconds.to_be_bytes(),
        }
    }

    /// Writes an enhanced packet block; `time` is in units of its interface.
    pub fn enhanced(
        &mut self,
        interface: u32,
        time: u64,
        original_len: u32,
        bytes: &[u8],
        options: &[BlockOption<'_>],
    ) -> io::Result<()> {
        self.u32(interface);
        self.u32((time >> 32) as u32);
        self.u32(time as u32);
        self.u32(bytes.len() as u32);
        self.u32(original_len);
        self.padded(bytes);
        self.options(options);
        self.end(ENHANCED_PACKET)
    }

    /// Writes an obsolete packet block; `time` is in units of its interface.
    pub fn obsolete(
        &mut self,
        interface: u16,
        drops: u16,
        time: u64,
        original_len: u32,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.u16(interface);
        self.u16(drops);
        self.u32((time >> 32) as u32);
        self.u32(time as u32);
        self.u32(bytes.len() as u32);
        self.u32(original_len);
        self.padded(bytes);
        self.end(OBSOLETE_PACKET)
    }

    /// Writes a simple packet block: no time, interface 0; the caller cuts `bytes` to that interface's snapshot length.
    pub fn simple(&mut self, original_len: u32, bytes: &[u8]) -> io::Result<()> {
        self.u32(original_len);
        self.padded(bytes);
        self.end(SIMPLE_PACKET)
    }

    /// Writes decryption secrets of any type.
    pub fn secrets(&mut self, secrets_type: u32, data: &[u8]) -> io::Result<()> {
        self.u32(secrets_type);
        self.u32(data.len() as u32);
        self.padded(data);
        self.end(DECRYPTION_SECRETS)
    }

    /// Writes an NSS key log as decryption secrets.
    pub fn key_log(&mut self, text: &[u8]) -> io::Result<()> {
        self.secrets(SECRETS_TLS_KEY_LOG, text)
    }

    /// Writes a name resolution block with one IPv4 record.
    pub fn name(&mut self, address: [u8; 4], name: &str) -> io::Result<()> {
        self.u16(1);
        self.u16(4 + name.len() as u16 + 1);
        self.body.extend_from_slice(&address);
        self.body.extend_from_slice(name.as_bytes());
        self.body.push(0);
        self.pad();
        self.u16(0);
        self.u16(0);
        self.end(NAME_RESOLUTION)
    }

    /// Writes a block of any type; `body` is padded to a multiple of four bytes.
    pub fn block(&mut self, block_type: u32, body: &[u8]) -> io::Result<()> {
        self.padded(body);
        self.end(block_type)
    }

    /// Flushes the inner writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    /// The inner writer.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Returns the inner writer without flushing it.
    pub fn into_inner(self) -> W {
        self.inner
    }

    fn u16(&mut self, value: u16) {
        self.body.extend_from_slice(&self.endian.u16(value));
    }

    fn u32(&mut self, value: u32) {
        self.body.extend_from_slice(&self.endian.u32(value));
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.body.resize(self.body.len().next_multiple_of(4), 0);
    }

    fn options(&mut self, options: &[BlockOption<'_>]) {
        for (code, value) in options {
            self.u16(*code);
            self.u16(value.len() as u16);
            self.padded(value);
        }
        if !options.is_empty() {
            self.u32(0);
        }
    }

    fn end(&mut self, block_type: u32) -> io::Result<()> {
        let length = self.endian.u32(self.body.len() as u32 + 12);
        self.inner.write_all(&self.endian.u32(block_type))?;
        self.inner.write_all(&length)?;
        self.inner.write_all(&self.body)?;
        self.inner.write_all(&length)?;
        self.body.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_documented_bytes_of_a_section_and_a_packet() {
        let mut writer = Writer::new(Vec::new(), Endian::Big).unwrap();
        writer.enhanced(1, 0x0001_0002_0003_0004, 9, b"abc", &[(COMMENT, b"hi")]).unwrap();
        let expected = [
            &[0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 28, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0][..],
            &[0xff; 8],
            &[0, 0, 0, 28],
            &[0, 0, 0, 6, 0, 0, 0, 48, 0, 0, 0, 1, 0, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 3, 0, 0, 0, 9],
            b"abc\0",
            &[0, 1, 0, 2, b'h', b'i', 0, 0, 0, 0, 0, 0, 0, 0, 0, 48],
        ];
        assert_eq!(writer.into_inner(), expected.concat());
    }
}
