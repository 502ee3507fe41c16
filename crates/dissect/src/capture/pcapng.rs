//! pcapng (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>).
//!
//! Packet blocks and statistics are read here, and of their options only those that tell of dropped packets: all of them
//! would have to be allocated. The rarer blocks are left to `pcap-parser`. Blocks of no interest pass by in pieces,
//! however long they say they are.

use pcap_parser::{
    InterfaceDescriptionBlock, OptionCode, SecretsType, parse_decryptionsecretsblock_be,
    parse_decryptionsecretsblock_le, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_sectionheaderblock_be, parse_sectionheaderblock_le,
};

use super::{
    CaptureError, MAX_BLOCK_LEN, MAX_FRAME_LEN, MAX_INTERFACES, MAX_SECRETS_LEN, Place, Record, Rule, Step,
    Unfinished,
};
use crate::link::LinkType;

/// The block type of a section header, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Type, length, byte-order magic, version, section length, length again.
pub(super) const SECTION_HEADER_MIN: usize = 28;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Block type and total length, which stand before every block's body.
const HEAD_LEN: usize = 8;
/// The total length again, behind every block's body.
const TAIL_LEN: usize = 4;
/// Head and fixed fields of an enhanced or obsolete packet block.
const PACKET_START: usize = 28;
/// Head and fixed fields of an interface statistics block.
const STATISTICS_START: usize = 20;
/// epb_dropcount: packets lost between this one and the one before it on this interface (section 4.3).
const DROP_COUNT: u16 = 4;
/// isb_ifdrop, isb_osdrop: packets that the interface, and that the operating system dropped since the capture began
/// (section 4.6).
const INTERFACE_DROPS: u16 = 5;
const SYSTEM_DROPS: u16 = 7;
/// opt_endofopt.
const END_OF_OPTIONS: u16 = 0;
/// The same count in an obsolete packet block (appendix A): this value stands for an unknown number.
const DROPS_UNKNOWN: u16 = u16::MAX;
/// Head and fixed field of a simple packet block.
const SIMPLE_START: usize = 12;

/// A pcapng file; without a section only before its first block.
#[derive(Debug, Clone, Default)]
pub(super) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    skip: Option<Skip>,
    /// Packets dropped in the sections before this one.
    dropped_before: u64,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: LinkType,
    snaplen: u32,
    clock: Clock,
    /// Dropped packets, by the options of packets.
    drops_told: u64,
    /// Dropped packets, by the last statistics.
    drops_counted: u64,
}

impl Interface {
    /// Both ways of telling mean the same packets.
    fn dropped(&self) -> u64 {
        self.drops_told.max(self.drops_counted)
    }
}

/// A block of no interest that is passing by.
#[derive(Debug, Clone, Copy)]
struct Skip {
    /// The length its head gave.
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
            ENHANCED_PACKET | OBSOLETE_PACKET => self.packet(head, input, place),
            SIMPLE_PACKET => self.simple(head, input, place),
            SECTION_HEADER => self.section(input, place),
            INTERFACE_DESCRIPTION => self.interface(head, input, place),
            DECRYPTION_SECRETS => self.secrets(head, input, place),
            INTERFACE_STATISTICS => self.statistics(head, input, place),
            _ => {
                check_length(head.length, (HEAD_LEN + TAIL_LEN) as u32, u32::MAX, place)?;
                self.skip = Some(Skip { length: head.length, body_left: head.length - TAIL_LEN as u32 });
                self.skip(input, place)
            }
        }
    }

    /// Packets that were dropped, as the file itself says.
    pub(super) fn dropped(&self) -> u64 {
        let here = self.interfaces.iter().map(Interface::dropped);
        here.fold(self.dropped_before, u64::saturating_add)
    }

    /// The block at the front of `rest` and the bytes it takes; `None` between blocks.
    pub(super) fn unfinished(&self, rest: &[u8], next_frame: u64) -> Option<(Unfinished, u64)> {
        if let Some(skip) = self.skip {
            return Some((Unfinished::Block, u64::from(skip.body_left) + TAIL_LEN as u64));
        }
        match self.head(rest) {
            Some(Head { kind: ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET, length }) => {
                Some((Unfinished::Frame(next_frame), length.into()))
            }
            Some(Head { kind: SECTION_HEADER, .. }) => Some((Unfinished::Block, section_header_needed(rest))),
            Some(Head { length, .. }) => Some((Unfinished::Block, length.into())),
            None if rest.is_empty() => None,
            None => Some((Unfinished::Block, (HEAD_LEN + TAIL_LEN) as u64)),
        }
    }

    /// An enhanced packet block, or the obsolete one whose first word is split in two.
    #[inline]
    fn packet<'a>(&mut self, head: Head, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        let Some(block) = self.whole(head, PACKET_START, MAX_BLOCK_LEN, input, place)? else {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        };
        let Some([_, _, _, _, _, _, _, _, i1, i2, i3, i4, fields @ ..]) = block.first_chunk::<PACKET_START>()
        else {
            return Err(unparsable(head, place));
        };
        let interface = if head.kind == ENHANCED_PACKET {
            self.u32([*i1, *i2, *i3, *i4])
        } else if self.big_endian {
            u32::from(u16::from_be_bytes([*i1, *i2]))
        } else {
            u32::from(u16::from_le_bytes([*i1, *i2]))
        };
        let [t1, t2, t3, t4, t5, t6, t7, t8, c1, c2, c3, c4, o1, o2, o3, o4] = *fields;
        let time = u64::from(self.u32([t1, t2, t3, t4])) << 32 | u64::from(self.u32([t5, t6, t7, t8]));
        let captured = self.u32([c1, c2, c3, c4]);
        let Some(described) = self.interfaces.get(interface as usize) else {
            return Err(self.unknown_interface(interface, place));
        };
        let bytes = self.frame_bytes(block, PACKET_START, captured, place)?;
        let drops = if head.kind == ENHANCED_PACKET {
            let options = PACKET_START + bytes.len().next_multiple_of(4);
            self.numbers(block, options).filter(|(code, _)| *code == DROP_COUNT).map(|(_, count)| count).max()
        } else {
            let count =
                if self.big_endian { u16::from_be_bytes([*i3, *i4]) } else { u16::from_le_bytes([*i3, *i4]) };
            (count != DROPS_UNKNOWN).then_some(u64::from(count))
        };
        let record = Record {
            frame: place.frame,
            captured_at: described.clock.nanos(time),
            link_type: described.link_type,
            interface,
            original_len: self.u32([o1, o2, o3, o4]),
            bytes,
            file_offset: place.offset + PACKET_START as u64,
        };
        if let Some(drops @ 1..) = drops
            && let Some(described) = self.interfaces.get_mut(interface as usize)
        {
            described.drops_told = described.drops_told.saturating_add(drops);
        }
        Ok(Step::Record { consumed: block.len(), record })
    }

    /// A simple packet block: no time, the first interface, as long as that one's snapshot length lets it be.
    fn simple<'a>(&self, head: Head, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        let Some(block) = self.whole(head, SIMPLE_START, MAX_BLOCK_LEN, input, place)? else {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        };
        let Some(described) = self.interfaces.first() else { return Err(self.unknown_interface(0, place)) };
        let Some(original_len) = block.get(HEAD_LEN..).and_then(<[u8]>::first_chunk).map(|b| self.u32(*b))
        else {
            return Err(unparsable(head, place));
        };
        let captured = match described.snaplen {
            0 => original_len,
            limit => original_len.min(limit),
        };
        let bytes = self.frame_bytes(block, SIMPLE_START, captured, place)?;
        let record = Record {
            frame: place.frame,
            captured_at: 0,
            link_type: described.link_type,
            interface: 0,
            original_len,
            bytes,
            file_offset: place.offset + SIMPLE_START as u64,
        };
        Ok(Step::Record { consumed: block.len(), record })
    }

    /// A section header: it sets the byte order, by which its own length is to be read, and forgets all interfaces.
    fn section<'a>(&mut self, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        let Some([_, _, _, _, l1, l2, l3, l4, order @ ..]) = input.first_chunk::<12>() else {
            return Ok(Step::NeedMore { at_least: SECTION_HEADER_MIN });
        };
        self.big_endian = match u32::from_be_bytes(*order) {
            BYTE_ORDER_MAGIC => true,
            other if other.swap_bytes() == BYTE_ORDER_MAGIC => false,
            other => {
                return Err(damaged(
                    place,
                    "the byte-order magic",
                    other.into(),
                    Rule::Equal(BYTE_ORDER_MAGIC.into()),
                ));
            }
        };
        let head = Head { kind: SECTION_HEADER, length: self.u32([*l1, *l2, *l3, *l4]) };
        let Some(block) = self.whole(head, SECTION_HEADER_MIN - TAIL_LEN, MAX_BLOCK_LEN, input, place)?
        else {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        };
        let parse = if self.big_endian { parse_sectionheaderblock_be } else { parse_sectionheaderblock_le };
        let Ok((_, section)) = parse(block) else { return Err(unparsable(head, place)) };
        // Minor 2 was written by mistake for 0 and is to be read as such (section 4.1).
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
        Ok(Step::Skipped { consumed: block.len() })
    }

    fn interface<'a>(&mut self, head: Head, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        const MIN: usize = 16;
        let Some(block) = self.whole(head, MIN, MAX_BLOCK_LEN, input, place)? else {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        };
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
        let Ok((_, description)) = parse(block) else { return Err(unparsable(head, place)) };
        self.interfaces.push(Interface {
            link_type: LinkType(description.linktype.0 as u16),
            snaplen: description.snaplen,
            clock: Clock::new(description.if_tsresol, self.time_offset(&description)),
            drops_told: 0,
            drops_counted: 0,
        });
        Ok(Step::Skipped { consumed: block.len() })
    }

    /// Seconds to add to each time of an interface. `pcap-parser` reads the option as little-endian in any section.
    fn time_offset(&self, description: &InterfaceDescriptionBlock<'_>) -> i64 {
        let option = description.options.iter().find(|option| option.code == OptionCode::IfTsoffset);
        let bytes = option.and_then(|option| option.value.first_chunk().copied());
        bytes.map_or(0, |b| if self.big_endian { i64::from_be_bytes(b) } else { i64::from_le_bytes(b) })
    }

    fn secrets<'a>(&self, head: Head, input: &'a [u8], place: Place) -> Result<Step<'a>, CaptureError> {
        const MIN: usize = 16;
        let Some(block) = self.whole(head, MIN, MAX_SECRETS_LEN, input, place)? else {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        };
        let parse =
            if self.big_endian { parse_decryptionsecretsblock_be } else { parse_decryptionsecretsblock_le };
        let Ok((_, secrets)) = parse(block) else { return Err(unparsable(head, place)) };
        let consumed = block.len();
        if secrets.secrets_type != SecretsType::TlsKeyLog {
            return Ok(Step::Skipped { consumed });
        }
        // The parser leaves the padding on.
        let key_log = secrets.data.get(..secrets.secrets_len as usize).unwrap_or(secrets.data);
        Ok(Step::Secrets { consumed, key_log })
    }

    /// Statistics of one interface: counted since the capture began, so that the highest count is the last.
    fn statistics<'a>(
        &mut self,
        head: Head,
        input: &'a [u8],
        place: Place,
    ) -> Result<Step<'a>, CaptureError> {
        let Some(block) = self.whole(head, STATISTICS_START, MAX_BLOCK_LEN, input, place)? else {
            return Ok(Step::NeedMore { at_least: head.length as usize });
        };
        let Some(interface) = block.get(HEAD_LEN..).and_then(<[u8]>::first_chunk).map(|b| self.u32(*b))
        else {
            return Err(unparsable(head, place));
        };
        let drops = self
            .numbers(block, STATISTICS_START)
            .filter(|(code, _)| matches!(*code, INTERFACE_DROPS | SYSTEM_DROPS))
            .fold(0, |sum: u64, (_, count)| sum.saturating_add(count));
        let Some(described) = self.interfaces.get_mut(interface as usize) else {
            return Err(self.unknown_interface(interface, place));
        };
        described.drops_counted = described.drops_counted.max(drops);
        Ok(Step::Skipped { consumed: block.len() })
    }

    /// The options of 8 bytes among those that begin at `start` of a whole block, with their codes (section 3.5). What
    /// is cut or runs over the block's end is where the list ends.
    #[inline]
    fn numbers(&self, block: &[u8], start: usize) -> impl Iterator<Item = (u16, u64)> {
        let mut rest = block.get(start..block.len().saturating_sub(TAIL_LEN)).unwrap_or_default();
        let big_endian = self.big_endian;
        std::iter::from_fn(move || {
            loop {
                let ([c1, c2, l1, l2], behind) = rest.split_first_chunk()?;
                let u16_of = if big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
                let (code, length) = (u16_of([*c1, *c2]), usize::from(u16_of([*l1, *l2])));
                if code == END_OF_OPTIONS {
                    return None;
                }
                let value = behind.get(..length)?;
                rest = behind.get(length.next_multiple_of(4)..).unwrap_or_default();
                if let Ok(value) = value.try_into() {
                    let number =
                        if big_endian { u64::from_be_bytes(value) } else { u64::from_le_bytes(value) };
                    return Some((code, number));
                }
            }
        })
    }

    /// Lets a block of no interest pass, in as many pieces as it comes.
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
        self.check_tail(length, *tail, place)?;
        self.skip = None;
        Ok(Step::Skipped { consumed: TAIL_LEN })
    }

    /// The block at the front of `input`, its two lengths checked; `None` if it is not there as a whole.
    /// `start` bytes of head and fixed fields must be in it.
    #[inline]
    fn whole<'a>(
        &self,
        head: Head,
        start: usize,
        most: u32,
        input: &'a [u8],
        place: Place,
    ) -> Result<Option<&'a [u8]>, CaptureError> {
        check_length(head.length, (start + TAIL_LEN) as u32, most, place)?;
        let Some(block) = input.get(..head.length as usize) else { return Ok(None) };
        if let Some(tail) = block.last_chunk() {
            self.check_tail(head.length, *tail, place)?;
        }
        Ok(Some(block))
    }

    #[inline]
    fn check_tail(&self, length: u32, tail: [u8; TAIL_LEN], place: Place) -> Result<(), CaptureError> {
        let again = self.u32(tail);
        if again == length {
            return Ok(());
        }
        Err(damaged(place, "the block length repeated at the end", again.into(), Rule::Equal(length.into())))
    }

    /// `captured` bytes of a block from `start` on.
    #[inline]
    fn frame_bytes<'a>(
        &self,
        block: &'a [u8],
        start: usize,
        captured: u32,
        place: Place,
    ) -> Result<&'a [u8], CaptureError> {
        let room = block.len().saturating_sub(start + TAIL_LEN).min(MAX_FRAME_LEN as usize);
        match block.get(start..start.saturating_add(captured as usize)) {
            Some(bytes) if bytes.len() <= room => Ok(bytes),
            _ => Err(damaged(place, "the captured length", captured.into(), Rule::AtMost(room as u64))),
        }
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

    #[cold]
    fn unknown_interface(&self, interface: u32, place: Place) -> CaptureError {
        let described = self.interfaces.len() as u64;
        damaged(place, "the interface number", interface.into(), Rule::BelowInterfaces(described))
    }
}

/// Bytes of the section header at the front of `input`, which carries its own byte order.
pub(super) fn section_header_needed(input: &[u8]) -> u64 {
    let length = match input.first_chunk::<12>() {
        Some([_, _, _, _, length @ .., 0x1a, 0x2b, 0x3c, 0x4d]) => u32::from_be_bytes(*length),
        Some([_, _, _, _, length @ .., 0x4d, 0x3c, 0x2b, 0x1a]) => u32::from_le_bytes(*length),
        _ => 0,
    };
    u64::from(length).max(SECTION_HEADER_MIN as u64)
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
    /// So many nanoseconds each.
    Nanos(u64),
    /// So many to a nanosecond; 0 stands for more than 64 bits can hold.
    PerNano(u64),
    /// Two to this power to a second.
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
