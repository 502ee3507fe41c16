//! pcapng (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>).
//!
//! `pcap-parser` frames every block and every option. Its parsers for packets and statistics collect all options in a
//! `Vec`, one allocation for each packet. Here those blocks are framed as blocks of an unknown type, which needs none;
//! their fixed fields and the one option that matters are read from the body. `pcap-parser` parses the rarer blocks as
//! a whole. Other blocks are skipped in pieces, so their length needs no bound.

use pcap_parser::{
    BOM_MAGIC, DSB_MAGIC, EPB_MAGIC, IDB_MAGIC, ISB_MAGIC, InterfaceDescriptionBlock, OptionCode, SHB_MAGIC,
    SPB_MAGIC, SecretsType, parse_decryptionsecretsblock_be, parse_decryptionsecretsblock_le,
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le, parse_option_be, parse_option_le,
    parse_sectionheaderblock_be, parse_sectionheaderblock_le, parse_unknownblock_be, parse_unknownblock_le,
};

use super::{
    CaptureError, MAX_BLOCK_LEN, MAX_FRAME_LEN, MAX_INTERFACES, MAX_SECRETS_LEN, Place, Record, Rule,
    SkippedBlocks, Step, Unfinished,
};
use crate::link::LinkType;

/// The block type of a section header, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Type, length, byte-order magic, version, section length, length again.
pub(super) const SECTION_HEADER_MIN: usize = 28;

/// The packet block of older files (appendix A), which `pcap-parser` has no name for.
const OBSOLETE_PACKET: u32 = 2;

/// Name resolution (section 4.5), and the two custom blocks (section 4.7): to be copied with the rest of a file, or not.
const NAME_RESOLUTION: u32 = 4;
const CUSTOM: u32 = 0x0000_0bad;
const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;

/// Block type and total length, before every block's body.
const HEAD_LEN: usize = 8;
/// The total length again, behind every block's body.
const TAIL_LEN: usize = 4;
/// Fixed fields of an enhanced or obsolete packet block: interface, time, captured and original length.
const PACKET_FIELDS: usize = 20;
/// Fixed field of a simple packet block: the original length.
const SIMPLE_FIELDS: usize = 4;
/// Fixed fields of an interface statistics block: interface and time.
const STATISTICS_FIELDS: usize = 12;
/// Fixed fields of an interface description block.
const INTERFACE_FIELDS: usize = 8;
/// Fixed fields of a decryption secrets block.
const SECRETS_FIELDS: usize = 8;

/// epb_dropcount: packets lost between this one and the one before it on this interface (section 4.3).
const DROP_COUNT: OptionCode = OptionCode(4);
/// The same count in an obsolete packet block (appendix A); this value means that the count is unknown.
const DROPS_UNKNOWN: u16 = u16::MAX;

/// The decoder of a pcapng file. It has no section only before its first block.
#[derive(Debug, Clone, Default)]
pub(super) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    skip: Option<Skip>,
    /// Packets dropped in the sections before this one.
    dropped_before: u64,
    skipped: SkippedBlocks,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: LinkType,
    snaplen: u32,
    clock: Clock,
    /// Number of dropped packets, by the options of packets.
    drops_told: u64,
    /// Number of dropped packets, by the last statistics.
    drops_counted: u64,
}

impl Interface {
    /// The number of dropped packets: both sources count the same ones.
    fn dropped(&self) -> u64 {
        self.drops_told.max(self.drops_counted)
    }
}

/// A block that is being skipped.
#[derive(Debug, Clone, Copy)]
struct Skip {
    /// The length in its head.
    length: u32,
    /// Bytes left before its tail.
    body_left: u32,
}

/// The head of a block.
#[derive(Clone, Copy)]
struct Head {
    kind: u32,
    length: u32,
}

impl Pcapng {
    #[inline]
    pub(super) fn step<'a>(&mut self, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        if self.skip.is_some() {
            return self.skip(input, place);
        }
        let Some(head) = self.head(input) else { return Ok(Step::NeedMore { at_least: HEAD_LEN }) };
        match head.kind {
            EPB_MAGIC | OBSOLETE_PACKET => self.packet(head, input, place),
            SPB_MAGIC => self.simple(head, input, place),
            SHB_MAGIC => self.section(input, place),
            IDB_MAGIC => self.interface(head, input, place),
            DSB_MAGIC => self.secrets(head, input, place),
            ISB_MAGIC => self.statistics(head, input, place),
            kind => {
                check_length(head.length, (HEAD_LEN + TAIL_LEN) as u32, u32::MAX, place)?;
                match kind {
                    NAME_RESOLUTION => self.skipped.name_resolution += 1,
                    CUSTOM | CUSTOM_NOT_COPIED => self.skipped.custom += 1,
                    _ => self.skipped.unknown += 1,
                }
                self.skip = Some(Skip { length: head.length, body_left: head.length - TAIL_LEN as u32 });
                self.skip(input, place)
            }
        }
    }

    /// The largest snaplen of the interfaces of this section; `None` if one of them has no limit, or if there are none.
    pub(super) fn snaplen(&self) -> Option<u32> {
        let is_limited = self.interfaces.iter().all(|interface| interface.snaplen > 0);
        self.interfaces.iter().map(|interface| interface.snaplen).max().filter(|_| is_limited)
    }

    /// Packets that the file itself reports as dropped.
    pub(super) fn dropped(&self) -> u64 {
        let here = self.interfaces.iter().map(Interface::dropped);
        here.fold(self.dropped_before, u64::saturating_add)
    }

    /// Blocks without a frame so far.
    pub(super) fn skipped(&self) -> SkippedBlocks {
        self.skipped
    }

    /// The block at the front of `rest`, and the number of its bytes; `None` between blocks.
    pub(super) fn unfinished(&self, rest: &[u8], next_frame: u64) -> Option<(Unfinished, u64)> {
        if let Some(skip) = self.skip {
            return Some((Unfinished::Block, u64::from(skip.body_left) + TAIL_LEN as u64));
        }
        match self.head(rest) {
            Some(Head { kind: EPB_MAGIC | OBSOLETE_PACKET | SPB_MAGIC, length }) => {
                Some((Unfinished::Frame(next_frame), length.into()))
            }
            Some(Head { kind: SHB_MAGIC, .. }) => Some((Unfinished::Block, section_header_needed(rest))),
            Some(Head { length, .. }) => Some((Unfinished::Block, length.into())),
            None if rest.is_empty() => None,
            None => Some((Unfinished::Block, (HEAD_LEN + TAIL_LEN) as u64)),
        }
    }

    /// Reads an enhanced packet block, or the obsolete one, whose first word is split in two.
    #[inline]
    fn packet<'a>(&mut self, head: Head, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        let Some(body) = self.body(head, PACKET_FIELDS, MAX_BLOCK_LEN, input, place)? else {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        };
        let Some([i1, i2, i3, i4, fields @ ..]) = body.first_chunk::<PACKET_FIELDS>() else {
            return Err(unparsable(head, place));
        };
        let interface = if head.kind == EPB_MAGIC {
            self.u32([*i1, *i2, *i3, *i4])
        } else {
            u32::from(self.u16([*i1, *i2]))
        };
        let [t1, t2, t3, t4, t5, t6, t7, t8, c1, c2, c3, c4, o1, o2, o3, o4] = *fields;
        let time = u64::from(self.u32([t1, t2, t3, t4])) << 32 | u64::from(self.u32([t5, t6, t7, t8]));
        let captured = self.u32([c1, c2, c3, c4]);
        let Some(described) = self.interfaces.get(interface as usize) else {
            return Err(self.unknown_interface(interface, place));
        };
        let bytes = frame_bytes(body, PACKET_FIELDS, captured, place)?;
        let drops = if head.kind == EPB_MAGIC {
            let options = body.get(PACKET_FIELDS + bytes.len().next_multiple_of(4)..).unwrap_or_default();
            self.numbers(options).filter(|(code, _)| *code == DROP_COUNT).map(|(_, count)| count).max()
        } else {
            let count = self.u16([*i3, *i4]);
            (count != DROPS_UNKNOWN).then_some(u64::from(count))
        };
        let record = Record {
            frame: place.frame,
            captured_at: described.clock.nanos(time),
            link_type: described.link_type,
            interface,
            original_len: self.u32([o1, o2, o3, o4]),
            bytes,
            file_offset: place.offset + (HEAD_LEN + PACKET_FIELDS) as u64,
        };
        if let Some(drops @ 1..) = drops
            && let Some(described) = self.interfaces.get_mut(interface as usize)
        {
            described.drops_told = described.drops_told.saturating_add(drops);
        }
        Ok(Step::Record { consumed: head.length as usize, record })
    }

    /// Reads a simple packet block, which has no time, belongs to the first interface, and is as long as the snapshot
    /// length of that interface allows.
    fn simple<'a>(&self, head: Head, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        let Some(body) = self.body(head, SIMPLE_FIELDS, MAX_BLOCK_LEN, input, place)? else {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        };
        let Some(described) = self.interfaces.first() else { return Err(self.unknown_interface(0, place)) };
        let Some(original_len) = body.first_chunk().map(|b| self.u32(*b)) else {
            return Err(unparsable(head, place));
        };
        let captured = match described.snaplen {
            0 => original_len,
            limit => original_len.min(limit),
        };
        let bytes = frame_bytes(body, SIMPLE_FIELDS, captured, place)?;
        let record = Record {
            frame: place.frame,
            captured_at: 0,
            link_type: described.link_type,
            interface: 0,
            original_len,
            bytes,
            file_offset: place.offset + (HEAD_LEN + SIMPLE_FIELDS) as u64,
        };
        Ok(Step::Record { consumed: head.length as usize, record })
    }

    /// Reads a section header. It sets the byte order, also for its own length, and ends the list of interfaces.
    fn section<'a>(&mut self, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        let Some([_, _, _, _, l1, l2, l3, l4, order @ ..]) = input.first_chunk::<12>() else {
            return Ok(Step::NeedMore { at_least: SECTION_HEADER_MIN });
        };
        self.big_endian = match u32::from_be_bytes(*order) {
            BOM_MAGIC => true,
            other if other.swap_bytes() == BOM_MAGIC => false,
            other => {
                return Err(damaged(
                    place,
                    "the byte-order magic",
                    other.into(),
                    Rule::Equal(BOM_MAGIC.into()),
                ));
            }
        };
        let head = Head { kind: SHB_MAGIC, length: self.u32([*l1, *l2, *l3, *l4]) };
        if self.body(head, SECTION_HEADER_MIN - HEAD_LEN - TAIL_LEN, MAX_BLOCK_LEN, input, place)?.is_none() {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        }
        let parse = if self.big_endian { parse_sectionheaderblock_be } else { parse_sectionheaderblock_le };
        let Ok((_, section)) = parse(input) else { return Err(unparsable(head, place)) };
        // Some programs wrote minor version 2 by mistake; it means 0 (section 4.1).
        if section.major_version != 1 || !matches!(section.minor_version, 0 | 2) {
            return Err(CaptureError::UnsupportedVersion {
                format: "pcapng",
                major: section.major_version,
                minor: section.minor_version,
                offset: place.offset,
            });
        }
        self.dropped_before = self.dropped();
        self.interfaces.clear();
        Ok(Step::Skipped { consumed: head.length as usize })
    }

    fn interface<'a>(&mut self, head: Head, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        if self.body(head, INTERFACE_FIELDS, MAX_BLOCK_LEN, input, place)?.is_none() {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            let count = self.interfaces.len() as u64 + 1;
            return Err(damaged(
                place,
                "the number of interfaces",
                count,
                Rule::AtMost(MAX_INTERFACES as u64),
            ));
        }
        let parse = if self.big_endian {
            parse_interfacedescriptionblock_be
        } else {
            parse_interfacedescriptionblock_le
        };
        let Ok((_, description)) = parse(input) else { return Err(unparsable(head, place)) };
        self.interfaces.push(Interface {
            link_type: LinkType(description.linktype.0 as u16),
            snaplen: description.snaplen,
            clock: Clock::new(description.if_tsresol, self.time_offset(&description)),
            drops_told: 0,
            drops_counted: 0,
        });
        Ok(Step::Skipped { consumed: head.length as usize })
    }

    /// Seconds to add to each time of an interface. `pcap-parser` reads the option as little-endian in any section.
    fn time_offset(&self, description: &InterfaceDescriptionBlock<'_>) -> i64 {
        let option = description.options.iter().find(|option| option.code == OptionCode::IfTsoffset);
        let bytes = option.and_then(|option| option.value.first_chunk().copied());
        bytes.map_or(0, |b| if self.big_endian { i64::from_be_bytes(b) } else { i64::from_le_bytes(b) })
    }

    fn secrets<'a>(&mut self, head: Head, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        if self.body(head, SECRETS_FIELDS, MAX_SECRETS_LEN, input, place)?.is_none() {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        }
        let parse =
            if self.big_endian { parse_decryptionsecretsblock_be } else { parse_decryptionsecretsblock_le };
        let Ok((_, secrets)) = parse(input) else { return Err(unparsable(head, place)) };
        let consumed = head.length as usize;
        if secrets.secrets_type != SecretsType::TlsKeyLog {
            self.skipped.other_secrets += 1;
            return Ok(Step::Skipped { consumed });
        }
        // The parser does not remove the padding.
        let key_log = secrets.data.get(..secrets.secrets_len as usize).unwrap_or(secrets.data);
        Ok(Step::Secrets { consumed, key_log })
    }

    /// Reads the statistics of one interface. They count from the beginning of the capture, so the highest count is the
    /// last.
    fn statistics<'a>(
        &mut self,
        head: Head,
        input: &'a [u8],
        place: Place,
    ) -> Result<Step<'a>, CaptureError> {
        let Some(body) = self.body(head, STATISTICS_FIELDS, MAX_BLOCK_LEN, input, place)? else {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        };
        let Some(interface) = body.first_chunk().map(|b| self.u32(*b)) else {
            return Err(unparsable(head, place));
        };
        let drops = self
            .numbers(body.get(STATISTICS_FIELDS..).unwrap_or_default())
            .filter(|(code, _)| matches!(*code, OptionCode::IsbIfDrop | OptionCode::IsbOsDrop))
            .fold(0, |sum: u64, (_, count)| sum.saturating_add(count));
        let Some(described) = self.interfaces.get_mut(interface as usize) else {
            return Err(self.unknown_interface(interface, place));
        };
        described.drops_counted = described.drops_counted.max(drops);
        self.skipped.statistics += 1;
        Ok(Step::Skipped { consumed: head.length as usize })
    }

    /// The options of 8 bytes in `options`, with their codes (section 3.5). Stops at an option that is cut.
    #[inline]
    fn numbers<'a>(&self, mut options: &'a [u8]) -> impl Iterator<Item = (OptionCode, u64)> + use<'a> {
        let big_endian = self.big_endian;
        std::iter::from_fn(move || {
            loop {
                let parsed =
                    if big_endian { parse_option_be::<()>(options) } else { parse_option_le(options) };
                let (rest, option) = parsed.ok()?;
                if option.code == OptionCode::EndOfOpt {
                    return None;
                }
                options = rest;
                if let Ok(Ok(value)) = option.as_bytes().map(<[u8; 8]>::try_from) {
                    let number =
                        if big_endian { u64::from_be_bytes(value) } else { u64::from_le_bytes(value) };
                    return Some((option.code, number));
                }
            }
        })
    }

    /// Skips a block in as many pieces as it arrives in.
    #[cold]
    fn skip<'a>(&mut self, input: &[u8], place: Place) -> Result<Step<'a>, CaptureError> {
        let Some(skip) = &mut self.skip else { return Ok(Step::NeedMore { at_least: HEAD_LEN }) };
        if skip.body_left > 0 {
            if input.is_empty() {
                return Ok(Step::NeedMore { at_least: 1 });
            }
            let consumed = input.len().min(skip.body_left as usize);
            skip.body_left -= consumed as u32;
            return Ok(Step::Skipped { consumed });
        }
        let length = skip.length;
        let Some(tail) = input.first_chunk::<TAIL_LEN>() else {
            return Ok(Step::NeedMore { at_least: TAIL_LEN });
        };
        check_repeated(self.u32(*tail), length, place)?;
        self.skip = None;
        Ok(Step::Skipped { consumed: TAIL_LEN })
    }

    /// The body of the block at the front of `input`, after checking its two lengths; `None` if the input ends inside
    /// it. The body has at least the `fields` bytes of fixed fields that its type requires.
    #[inline]
    fn body<'a>(
        &self,
        head: Head,
        fields: usize,
        most: u32,
        input: &'a [u8],
        place: Place,
    ) -> Result<Option<&'a [u8]>, CaptureError> {
        check_length(head.length, (HEAD_LEN + fields + TAIL_LEN) as u32, most, place)?;
        let parsed =
            if self.big_endian { parse_unknownblock_be(input) } else { parse_unknownblock_le(input) };
        // A length that is too short was rejected above, so the input ends inside the block.
        let Ok((_, block)) = parsed else { return Ok(None) };
        check_repeated(block.block_len2, head.length, place)?;
        Ok(Some(block.data))
    }

    #[inline]
    fn head(&self, input: &[u8]) -> Option<Head> {
        let [k1, k2, k3, k4, l1, l2, l3, l4] = *input.first_chunk::<HEAD_LEN>()?;
        Some(Head { kind: self.u32([k1, k2, k3, k4]), length: self.u32([l1, l2, l3, l4]) })
    }

    #[inline]
    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    #[inline]
    fn u16(&self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    #[cold]
    fn unknown_interface(&self, interface: u32, place: Place) -> CaptureError {
        let described = self.interfaces.len() as u64;
        damaged(place, "the interface number", interface.into(), Rule::BelowInterfaces(described))
    }
}

/// Length of the section header at the front of `input`, which states its own byte order.
pub(super) fn section_header_needed(input: &[u8]) -> u64 {
    let length = match input.first_chunk::<12>() {
        Some([_, _, _, _, length @ .., 0x1a, 0x2b, 0x3c, 0x4d]) => u32::from_be_bytes(*length),
        Some([_, _, _, _, length @ .., 0x4d, 0x3c, 0x2b, 0x1a]) => u32::from_le_bytes(*length),
        _ => 0,
    };
    u64::from(length).max(SECTION_HEADER_MIN as u64)
}

/// Returns `captured` bytes of a body, behind its fixed fields.
#[inline]
fn frame_bytes(body: &[u8], fields: usize, captured: u32, place: Place) -> Result<&[u8], CaptureError> {
    let room = body.len().saturating_sub(fields).min(MAX_FRAME_LEN as usize);
    match body.get(fields..fields.saturating_add(captured as usize)) {
        Some(bytes) if bytes.len() <= room => Ok(bytes),
        _ => Err(damaged(place, "the captured length", captured.into(), Rule::AtMost(room as u64))),
    }
}

#[inline]
fn check_length(length: u32, least: u32, most: u32, place: Place) -> Result<(), CaptureError> {
    let rule = if length < least {
        Rule::AtLeast(least.into())
    } else if length > most {
        Rule::AtMost(most.into())
    } else if !length.is_multiple_of(4) {
        Rule::MultipleOf(4)
    } else {
        return Ok(());
    };
    Err(damaged(place, "the block length", length.into(), rule))
}

/// Checks that the length behind a block's body repeats the one before it (section 3.1).
#[inline]
fn check_repeated(repeated: u32, length: u32, place: Place) -> Result<(), CaptureError> {
    if repeated == length {
        return Ok(());
    }
    Err(damaged(place, "the block length repeated at the end", repeated.into(), Rule::Equal(length.into())))
}

#[cold]
fn damaged(place: Place, field: &'static str, value: u64, rule: Rule) -> CaptureError {
    CaptureError::Damaged { frame: place.frame, offset: place.offset, field, value, rule }
}

#[cold]
fn unparsable(head: Head, place: Place) -> CaptureError {
    damaged(place, "the block type", head.kind.into(), Rule::Parsable)
}

/// The unit and zero of an interface's times.
#[derive(Debug, Clone, Copy)]
struct Clock {
    unit: Unit,
    /// Nanoseconds to add.
    offset: i128,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    /// Nanoseconds in each unit.
    Nanos(u64),
    /// Units in each nanosecond; 0 means more than 64 bits can hold.
    PerNano(u64),
    /// Units in each second, as a power of two.
    Binary(u32),
}

impl Clock {
    /// `resolution` as in option if_tsresol (section 4.2): a power of ten, or of two if the top bit is set.
    fn new(resolution: u8, offset_seconds: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let unit = if resolution & 0x80 != 0 {
            Unit::Binary(exponent)
        } else if exponent <= 9 {
            Unit::Nanos(10u64.pow(9 - exponent))
        } else {
            Unit::PerNano(10u64.checked_pow(exponent - 9).unwrap_or(0))
        };
        Clock { unit, offset: i128::from(offset_seconds) * 1_000_000_000 }
    }

    #[inline]
    fn nanos(&self, time: u64) -> u64 {
        let nanos = match self.unit {
            Unit::Nanos(each) => time.saturating_mul(each),
            Unit::PerNano(count) => time.checked_div(count).unwrap_or(0),
            // 64 bits of time and 30 of the factor stay below 128.
            Unit::Binary(power) => {
                u64::try_from((u128::from(time) * 1_000_000_000) >> power).unwrap_or(u64::MAX)
            }
        };
        if self.offset == 0 { nanos } else { shifted(nanos, self.offset) }
    }
}

#[cold]
fn shifted(nanos: u64, offset: i128) -> u64 {
    (i128::from(nanos) + offset).clamp(0, i128::from(u64::MAX)) as u64
}
