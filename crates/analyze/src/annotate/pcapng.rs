//! Writes the copy (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>).
//!
//! Of a pcapng file every block is copied byte by byte, but that packet blocks get a comment in front of their other options, and
//! section headers no longer state the length of their section. Of a classic pcap file every packet becomes a block of one
//! interface, whose times have the file's resolution.

use std::io::{self, Write};

use dissect::capture::{MAX_BLOCK_LEN, MAX_SECRETS_LEN, Record, Step};

use super::comments::Comments;

const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const SECTION_HEADER_TYPE: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 0x0a;

/// Secrets type of a TLS key log (section 4.7 of the draft).
const TLS_KEY_LOG: u32 = 0x544c_534b;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USER_APPLICATION: u16 = 4;
const IF_TSRESOL: u16 = 9;

/// Type and length, before a block's body.
const HEAD: usize = 8;
/// The length again, behind a block's body.
const TAIL: usize = 4;
/// Offset in a section header of the length of the section, 8 bytes.
const SECTION_LENGTH: usize = 16;
/// Head and fixed fields of an enhanced or obsolete packet block.
const PACKET_HEAD: usize = HEAD + 20;

/// Offsets in the header of a classic pcap file.
const SNAPLEN: usize = 16;
const LINK_TYPE: usize = 20;

/// Longest key log that fits in a block that our own reader takes.
pub(super) const MAX_KEY_LOG: u32 = MAX_SECRETS_LEN - 64;

/// Longest text of an option.
const MAX_COMMENT: usize = 32_000;

/// A copy that is being written.
pub(super) struct Copying<'a, W> {
    out: W,
    comments: &'a Comments,
    /// The key log, until it is written.
    key_log: Option<Vec<u8>>,
    format: Format,
    /// Number of packets so far.
    pub(super) frames: u64,
    /// Number of packets with a comment.
    pub(super) commented: u64,
    /// Number of packets that should have one, and cannot.
    pub(super) without: u64,
    /// Number of bytes written.
    bytes: u64,
    /// Number of these that are whole blocks.
    pub(super) complete: u64,
}

/// The format of the capture.
enum Format {
    Unknown,
    /// Classic pcap, and the nanoseconds in the unit of its times.
    Pcap(u64),
    Pcapng {
        is_big_endian: bool,
        /// Bytes of the block that is being copied in pieces.
        left: u64,
    },
}

impl<'a, W: Write> Copying<'a, W> {
    pub(super) fn new(out: W, comments: &'a Comments, key_log: Option<Vec<u8>>) -> Self {
        let format = Format::Unknown;
        Self { out, comments, key_log, format, frames: 0, commented: 0, without: 0, bytes: 0, complete: 0 }
    }

    /// Copies one part of the capture: a packet, a block, a piece of one, or the file's header.
    pub(super) fn part(&mut self, at: u64, raw: &[u8], step: &Step<'_>) -> io::Result<()> {
        if at == 0 && !raw.starts_with(&SECTION_HEADER) {
            return self.begin(raw);
        }
        match (&self.format, step) {
            (Format::Pcap(unit), Step::Record { record, .. }) => self.packet(record, *unit),
            (Format::Pcap(_), _) => Ok(()),
            _ => self.block(raw, step),
        }
    }

    /// Writes what is left. Behind a block that the capture does not have as a whole, nothing can follow.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.bytes == self.complete {
            self.secrets()?;
        }
        self.out.flush()
    }

    /// Begins the copy of a classic pcap file with its header.
    fn begin(&mut self, header: &[u8]) -> io::Result<()> {
        let order = header.first_chunk::<4>().copied().unwrap_or_default();
        let is_big_endian = matches!(order, [0xa1, 0xb2, ..]);
        let unit = if matches!(u32::from_be_bytes(order), 0xa1b2_3c4d | 0x4d3c_b2a1) { 1 } else { 1_000 };
        let field = |at: usize| number(header, at, is_big_endian);
        let (snaplen, link_type) = (field(SNAPLEN), field(LINK_TYPE));
        self.format = Format::Pcap(unit);

        let mut body = Vec::new();
        body.extend(BYTE_ORDER_MAGIC.to_le_bytes());
        body.extend([1, 0, 0, 0]); // version 1.0
        body.extend(u64::MAX.to_le_bytes()); // a section of unknown length
        option(
            &mut body,
            SHB_USER_APPLICATION,
            concat!("plainsight ", env!("CARGO_PKG_VERSION")).as_bytes(),
            false,
        );
        option(&mut body, OPT_END, &[], false);
        self.write_block(SECTION_HEADER_TYPE, &body, false)?;

        let mut body = Vec::new();
        // The upper half describes the frame check sequence.
        body.extend((link_type & 0xffff).to_le_bytes());
        body.extend(snaplen.to_le_bytes());
        option(&mut body, IF_TSRESOL, &[if unit == 1 { 9 } else { 6 }], false);
        option(&mut body, OPT_END, &[], false);
        self.write_block(INTERFACE_DESCRIPTION, &body, false)?;
        self.secrets()
    }

    /// Writes a packet of a classic pcap file.
    fn packet(&mut self, record: &Record<'_>, unit: u64) -> io::Result<()> {
        self.frames += 1;
        let time = record.captured_at / unit;
        let mut body = Vec::with_capacity(record.bytes.len() + 64);
        body.extend(0u32.to_le_bytes());
        body.extend(((time >> 32) as u32).to_le_bytes());
        body.extend((time as u32).to_le_bytes());
        body.extend((record.bytes.len() as u32).to_le_bytes());
        body.extend(record.original_len.to_le_bytes());
        body.extend(record.bytes);
        pad(&mut body);
        if let Some(comment) = self.comments.of_frame(record.frame) {
            option(&mut body, OPT_COMMENT, cut(&comment).as_bytes(), false);
            option(&mut body, OPT_END, &[], false);
            self.commented += 1;
        }
        self.write_block(ENHANCED_PACKET, &body, false)
    }

    /// Copies a block of a pcapng file, or a piece of one.
    fn block(&mut self, raw: &[u8], step: &Step<'_>) -> io::Result<()> {
        if let Format::Pcapng { left, .. } = &mut self.format
            && *left > 0
        {
            *left = left.saturating_sub(raw.len() as u64);
            let is_over = *left == 0;
            return self.write(raw, is_over);
        }
        if raw.starts_with(&SECTION_HEADER) {
            let is_big_endian = raw.get(HEAD..HEAD + 4) == Some(&BYTE_ORDER_MAGIC.to_be_bytes());
            self.format = Format::Pcapng { is_big_endian, left: 0 };
            let mut header = raw.to_vec();
            if let Some(length) = header.get_mut(SECTION_LENGTH..SECTION_LENGTH + 8) {
                length.fill(0xff);
            }
            return self.write(&header, true);
        }
        let Format::Pcapng { is_big_endian, left } = &mut self.format else { return Ok(()) };
        let is_big_endian = *is_big_endian;
        let length = u64::from(number(raw, 4, is_big_endian));
        *left = length.saturating_sub(raw.len() as u64);
        let is_over = *left == 0;
        let Step::Record { record, .. } = step else { return self.write(raw, is_over) };
        self.secrets()?;
        self.frames += 1;
        let Some(comment) = self.comments.of_frame(record.frame) else { return self.write(raw, true) };
        match with_comment(raw, record.bytes.len(), cut(&comment), is_big_endian) {
            Some(block) => {
                self.commented += 1;
                self.write(&block, true)
            }
            None => {
                self.without += 1;
                self.write(raw, true)
            }
        }
    }

    /// Writes the key log, if it was not written yet: in front of the first packet, so that a reader has it in time.
    fn secrets(&mut self) -> io::Result<()> {
        let is_big_endian = matches!(self.format, Format::Pcapng { is_big_endian: true, .. });
        if matches!(self.format, Format::Unknown) {
            return Ok(());
        }
        let Some(key_log) = self.key_log.take() else { return Ok(()) };
        let mut body = Vec::with_capacity(key_log.len() + 16);
        body.extend(bytes_of(TLS_KEY_LOG, is_big_endian));
        body.extend(bytes_of(key_log.len() as u32, is_big_endian));
        body.extend(key_log);
        pad(&mut body);
        self.write_block(DECRYPTION_SECRETS, &body, is_big_endian)
    }

    /// Writes a block of our own; `body` has a length that is a multiple of four.
    fn write_block(&mut self, kind: u32, body: &[u8], is_big_endian: bool) -> io::Result<()> {
        let length = bytes_of((HEAD + body.len() + TAIL) as u32, is_big_endian);
        self.write(&bytes_of(kind, is_big_endian), false)?;
        self.write(&length, false)?;
        self.write(body, false)?;
        self.write(&length, true)
    }

    fn write(&mut self, bytes: &[u8], is_end_of_block: bool) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        if is_end_of_block {
            self.complete = self.bytes;
        }
        Ok(())
    }
}

/// A packet block with a comment in front of its options; `None` if its kind has no options, or if it would be too long.
fn with_comment(block: &[u8], captured: usize, comment: &str, is_big_endian: bool) -> Option<Vec<u8>> {
    if number(block, 0, is_big_endian) == SIMPLE_PACKET {
        return None;
    }
    let options_at = PACKET_HEAD + captured.next_multiple_of(4);
    let options = block.get(options_at..block.len().checked_sub(TAIL)?)?;
    let mut new = block.get(..options_at)?.to_vec();
    option(&mut new, OPT_COMMENT, comment.as_bytes(), is_big_endian);
    match options.is_empty() {
        true => option(&mut new, OPT_END, &[], is_big_endian),
        false => new.extend(options),
    }
    let length = u32::try_from(new.len() + TAIL).ok().filter(|length| *length <= MAX_BLOCK_LEN)?;
    let length = bytes_of(length, is_big_endian);
    new.get_mut(4..8)?.copy_from_slice(&length);
    new.extend(length);
    Some(new)
}

/// Adds an option: code, length, value, padding.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8], is_big_endian: bool) {
    for field in [code, value.len() as u16] {
        out.extend(if is_big_endian { field.to_be_bytes() } else { field.to_le_bytes() });
    }
    out.extend(value);
    out.resize(out.len() + value.len().next_multiple_of(4) - value.len(), 0);
}

/// Fills a body up to a multiple of four bytes.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The text, cut so that it fits in an option.
fn cut(text: &str) -> &str {
    let end = (0..=MAX_COMMENT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

fn bytes_of(number: u32, is_big_endian: bool) -> [u8; 4] {
    if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
}

/// A number of four bytes; 0 where they are missing.
fn number(bytes: &[u8], at: usize, is_big_endian: bool) -> u32 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    if is_big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) }
}

#[cfg(test)]
mod tests {
    use craft::pcap::{Format as PcapFormat, Resolution};
    use craft::{Endian, link_type, pcap, pcapng};
    use dissect::capture::Decoder;
    use dissect::link::LinkType;

    use super::*;
    use crate::input::capture::each_step;

    /// What a copy must keep of a packet: time, link type, interface, original length, bytes.
    type Packet = (u64, LinkType, u32, u32, Vec<u8>);

    /// The packets and the key logs of a file, as far as it can be read.
    fn read(file: &[u8]) -> (Vec<Packet>, Vec<Vec<u8>>) {
        let (mut packets, mut secrets) = (Vec::new(), Vec::new());
        let ended = each_step(&mut Decoder::new(), file, |_| {}, &mut |_, _, step| {
            match step {
                Step::Record { record, .. } => packets.push((
                    record.captured_at,
                    record.link_type,
                    record.interface,
                    record.original_len,
                    record.bytes.to_vec(),
                )),
                Step::Secrets { key_log, .. } => secrets.push(key_log.to_vec()),
                _ => {}
            }
            Ok(())
        });
        ended.expect("a slice can be read");
        (packets, secrets)
    }

    fn copy(file: &[u8], key_log: Option<&[u8]>) -> Vec<u8> {
        let comments = Comments::of_frames(1..=8, "a comment of some length");
        let mut out = Vec::new();
        let mut copying = Copying::new(&mut out, &comments, key_log.map(<[u8]>::to_vec));
        let _ =
            each_step(&mut Decoder::new(), file, |_| {}, &mut |at, raw, step| copying.part(at, raw, step));
        copying.finish().expect("a vector");
        let complete = copying.complete;
        out.truncate(complete as usize);
        out
    }

    fn files() -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        for endian in [Endian::Little, Endian::Big] {
            for resolution in [Resolution::Micros, Resolution::Nanos] {
                let format = PcapFormat { endian, resolution, snaplen: 64, link_type: link_type::RAW };
                let mut writer = pcap::Writer::with_format(Vec::new(), format).expect("a vector");
                for at in 0..4u8 {
                    let bytes = vec![at; usize::from(at) + 1];
                    writer.write(1_000_000_000 * u64::from(at) + 123_456_789, 100, &bytes).expect("a vector");
                }
                files.push(writer.into_inner());
            }
            let mut writer = pcapng::Writer::new(Vec::new(), endian).expect("a vector");
            writer.interface(link_type::ETHERNET, 0, &[]).expect("a vector");
            writer.enhanced(0, 5, 9, b"abcde", &[]).expect("a vector");
            writer.block(0x0bad, &[0x0a, 0x0d, 0x0d, 0x0a, 1, 2, 3, 4]).expect("a vector");
            writer.enhanced(0, 6, 4, b"abcd", &[(pcapng::COMMENT, b"old"), (4, &[0; 8])]).expect("a vector");
            writer.obsolete(0, 1, 7, 3, b"abc").expect("a vector");
            writer.simple(2, b"ab").expect("a vector");
            writer.key_log(b"OLD KEYS").expect("a vector");
            writer.section(Endian::Big).expect("a vector");
            writer.interface(link_type::RAW, 0, &[(pcapng::IF_TSRESOL, &[9])]).expect("a vector");
            writer.enhanced(0, 8, 6, b"abcdef", &[]).expect("a vector");
            files.push(writer.into_inner());
        }
        files
    }

    #[test]
    fn copies_have_the_same_packets_and_the_keys_once() {
        for file in files() {
            let (packets, secrets) = read(&file);
            assert!(packets.len() >= 4);
            let (copied, keys) = read(&copy(&file, Some(b"NEW KEYS")));
            assert_eq!(copied, packets);
            assert_eq!(keys, [vec![b"NEW KEYS".to_vec()], secrets].concat());
            let text = String::from_utf8_lossy(&copy(&file, None)).into_owned();
            let simple = usize::from(packets.len() > 4);
            assert_eq!(text.matches("a comment of some length").count(), packets.len() - simple);
        }
    }

    #[test]
    fn what_can_be_read_of_a_damaged_file_is_in_its_copy() {
        for file in files() {
            for length in 0..file.len() {
                let cut = file.get(..length).expect("a part");
                assert_eq!(read(&copy(cut, None)).0, read(cut).0, "cut after {length} bytes");
                assert_eq!(
                    read(&copy(cut, Some(b"KEYS"))).0,
                    read(cut).0,
                    "cut after {length} bytes, with keys"
                );
            }
            for at in 0..file.len() {
                for bit in [0x01, 0x10, 0x80] {
                    let mut damaged = file.clone();
                    *damaged.get_mut(at).expect("a byte") ^= bit;
                    assert_eq!(read(&copy(&damaged, None)).0, read(&damaged).0, "bit {bit} of byte {at}");
                }
            }
        }
    }

    #[test]
    fn a_comment_that_makes_a_block_too_long_is_left_out() {
        let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).expect("a vector");
        writer.interface(link_type::ETHERNET, 0, &[]).expect("a vector");
        let old = vec![b'x'; 60_000];
        let options: Vec<_> = (0..8).map(|_| (pcapng::COMMENT, &*old)).collect();
        writer.enhanced(0, 5, 40_000, &vec![1; 44_200], &options).expect("a vector");
        let file = writer.into_inner();
        let comments = Comments::of_frames(1..=1, "a comment of some length");
        let mut out = Vec::new();
        let mut copying = Copying::new(&mut out, &comments, None);
        let step = &mut |at, raw: &[u8], step: &Step<'_>| copying.part(at, raw, step);
        each_step(&mut Decoder::new(), &*file, |_| {}, step).expect("a slice can be read");
        assert_eq!((copying.commented, copying.without), (0, 1));
        assert_eq!(read(&out).0, read(&file).0);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "한".repeat(MAX_COMMENT);
        let short = cut(&text);
        assert!(short.len() <= MAX_COMMENT && short.len() > MAX_COMMENT - 3 && text.starts_with(short));
        assert_eq!(cut("a"), "a");
    }
}
