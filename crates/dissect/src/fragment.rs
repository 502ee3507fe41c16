//! Puts the fragments of IP packets together (RFC 791 §3.2, RFC 815, RFC 8200 §4.5).
//!
//! [`Reassembler::push`] keeps whole frames. When the fragments of a packet are all there, it returns a [`Datagram`]: the
//! packet as its sender built it, where each part comes from, and the frames. A packet that cannot be completed is given up,
//! and [`Reassembler::pop`] returns its frames, so that no byte is lost.
//!
//! ```text
//! frame 7   | link | IP, more fragments | 0 ........ 1479 |
//! frame 8   | link | IP                 | 1480 ...... 2007 |
//! datagram         | IP                 | 0 .......................... 2007 |
//! parts                                 | frame 7         | frame 8         |
//! ```
//!
//! **Overlaps.** Fragments of one packet that contradict each other let two receivers read different packets. Nothing says
//! which one the receiver read, so there are two versions then: [`Datagram::packet`], in which the bytes that were captured
//! first count, and [`Datagram::other`], in which the last ones do.
//!
//! **Order.** The packet is the same for every order of its fragments, and for repeated ones.

use std::collections::VecDeque;
use std::hash::Hash;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::capture::Record;
use crate::ip::{Address, Fragment, Ip, Protocol};
use crate::link::LinkType;
use crate::tcp::Origin;

/// Packets in progress. A host sends few fragmented packets at a time; Linux keeps 4 MiB of them, that is some hundred.
pub const MAX_DATAGRAMS: usize = 1024;

/// Fragments of one packet: 64 KiB in fragments of 256 bytes. Every IPv6 link carries 1,280 bytes (RFC 8200 §5), and every
/// IPv4 host takes 576 (RFC 791 §3.1).
pub const MAX_FRAGMENTS: usize = 256;

/// Bytes of frames that are kept for packets in progress and for completed ones.
pub const MAX_BYTES: usize = 8 << 20;

/// Completed packets that still recognise repeated fragments: a capture on several interfaces shows each frame twice or
/// three times, soon after each other.
pub const MAX_COMPLETED: usize = 256;

/// Time after which a fragment belongs to another packet with the same identification (RFC 8200 §4.5).
pub const MAX_AGE_NS: u64 = 60_000_000_000;

/// Longest packet, its header included (RFC 791 §3.1). Fragments can claim places behind it.
pub const MAX_PACKET_LEN: usize = 65_535;

/// What became of a fragment.
#[derive(Debug)]
pub enum Pushed {
    /// It is kept until its packet is complete or given up.
    Held,
    /// It completes its packet.
    Complete(Box<Datagram>),
    /// It repeats a fragment of its packet, or of one that is complete already.
    Repeated,
    /// It cannot be a part of a packet: empty, cut by the capture, behind the longest packet, or not of a length that the next
    /// one can follow.
    Invalid,
}

/// A packet that was put together.
#[derive(Debug)]
pub struct Datagram {
    /// The packet. Where fragments contradict each other, the bytes that were captured first.
    pub packet: Packet,
    /// If fragments contradict each other: the packet of the bytes that were captured last.
    pub other: Option<Packet>,
    /// The frames, in the order in which they were captured.
    pub frames: Vec<HeldFrame>,
}

/// One version of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// An IP header without fragmentation, and the payload.
    pub bytes: Vec<u8>,
    /// [`LinkType::IPV4`] or [`LinkType::IPV6`].
    pub link_type: LinkType,
    /// The parts of `bytes`, in order and without gaps. The header belongs to the part of the first fragment.
    pub parts: Vec<Part>,
}

/// A part of a packet that one frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The part, by offsets in [`Packet::bytes`].
    pub range: Range<usize>,
    /// Index into [`Datagram::frames`].
    pub frame: usize,
    /// Offset in that frame of the part's first byte. For the header, that of the frame's IP header.
    pub frame_offset: usize,
}

/// A captured frame that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFrame {
    frame: u64,
    captured_at: u64,
    link_type: LinkType,
    interface: u32,
    original_len: u32,
    file_offset: u64,
    bytes: Box<[u8]>,
}

impl HeldFrame {
    fn new(record: &Record<'_>) -> Self {
        let Record { frame, captured_at, link_type, interface, original_len, bytes, file_offset } = *record;
        Self { frame, captured_at, link_type, interface, original_len, file_offset, bytes: bytes.into() }
    }

    /// The record, as it was captured.
    pub fn record(&self) -> Record<'_> {
        Record {
            frame: self.frame,
            captured_at: self.captured_at,
            link_type: self.link_type,
            interface: self.interface,
            original_len: self.original_len,
            bytes: &self.bytes,
            file_offset: self.file_offset,
        }
    }
}

impl Datagram {
    /// The position in the capture of the first byte of a part.
    pub fn origin(&self, part: &Part) -> Option<Origin> {
        let frame = self.frames.get(part.frame)?;
        Some(frame.record().origin(part.frame_offset as u32))
    }
}

/// A packet that was not completed.
#[derive(Debug)]
pub struct Abandoned {
    /// Its frames, in the order in which they were captured.
    pub frames: Vec<HeldFrame>,
    /// Why it was given up.
    pub why: Abandonment,
}

/// Why a packet was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abandonment {
    /// The capture ends before its last fragment, or the packet's time is over.
    Incomplete,
    /// [`MAX_DATAGRAMS`], [`MAX_FRAGMENTS`] or [`MAX_BYTES`] is reached.
    Bound,
}

/// Identifies the packet of a fragment (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    src: Address,
    dst: Address,
    id: u32,
    /// Only in IPv4.
    protocol: u8,
    context: u32,
}

/// A fragment of a packet in progress.
#[derive(Debug)]
struct Held {
    frame: HeldFrame,
    /// Place in the packet's payload.
    range: Range<usize>,
    /// Offset of the payload in the frame.
    payload_offset: usize,
    ip_offset: usize,
    protocol: Protocol,
}

impl Held {
    fn payload(&self) -> &[u8] {
        let end = self.payload_offset + self.range.len();
        self.frame.bytes.get(self.payload_offset..end).unwrap_or_default()
    }

    /// The fragment's bytes at this place of the packet's payload.
    fn at(&self, range: &Range<usize>) -> &[u8] {
        let start = range.start.saturating_sub(self.range.start);
        self.payload().get(start..start + range.len()).unwrap_or_default()
    }
}

/// A packet in progress.
#[derive(Debug, Default)]
struct Progress {
    fragments: Vec<Held>,
    /// Length of the payload, once a last fragment is there.
    total: Option<usize>,
    /// Bytes of the payload that are there.
    covered: Cover,
    /// Whether fragments contradict each other.
    has_conflict: bool,
    /// When the latest fragment was captured.
    last_at: u64,
    /// Distinguishes packets with the same key in the queue of eviction.
    serial: u64,
}

/// The bytes of a packet's payload that are there, as ranges in order that do not touch.
#[derive(Debug, Default)]
struct Cover(Vec<Range<usize>>);

impl Cover {
    /// At most [`MAX_FRAGMENTS`] ranges are searched and moved.
    fn add(&mut self, added: &Range<usize>) {
        let from = self.0.partition_point(|range| range.end < added.start);
        let to = self.0.partition_point(|range| range.start <= added.end);
        let mut merged = added.clone();
        if let (true, Some(first)) = (from < to, self.0.get(from)) {
            merged.start = merged.start.min(first.start);
        }
        if let (true, Some(last)) = (from < to, to.checked_sub(1).and_then(|last| self.0.get(last))) {
            merged.end = merged.end.max(last.end);
        }
        self.0.splice(from..to, [merged]);
    }

    fn is_whole(&self, len: usize) -> bool {
        self.0.first().is_some_and(|first| first.start == 0 && first.end >= len)
    }

    fn touches(&self, other: &Range<usize>) -> bool {
        let next = self.0.partition_point(|range| range.end <= other.start);
        self.0.get(next).is_some_and(|range| range.start < other.end)
    }
}

/// A packet that is complete: its payload, to recognise repetitions.
#[derive(Debug)]
struct Completed {
    payload: Vec<u8>,
    at: u64,
    serial: u64,
}

/// Puts fragments together. See the [module](self).
#[derive(Debug, Default)]
pub struct Reassembler {
    progress: HashMap<Key, Progress, RandomState>,
    /// The packets in progress, the oldest first. Entries whose packet is complete are skipped.
    order: VecDeque<(Key, u64)>,
    completed: HashMap<Key, Completed, RandomState>,
    completed_order: VecDeque<(Key, u64)>,
    abandoned: VecDeque<Abandoned>,
    bytes: usize,
    completed_bytes: usize,
    serial: u64,
}

impl Reassembler {
    /// Takes the fragment that `ip` describes, of the frame `record`. `context` separates packets with equal addresses,
    /// such as those of different tunnels.
    pub fn push(&mut self, record: &Record<'_>, ip: &Ip, context: u32) -> Pushed {
        let Some((key, held, is_last)) = read(record, ip, context) else { return Pushed::Invalid };
        if let Some(completed) = self.completed.get(&key)
            && record.captured_at.saturating_sub(completed.at) <= MAX_AGE_NS
            && completed.payload.get(held.range.clone()) == Some(held.payload())
            && (held.range.end == completed.payload.len()) == is_last
        {
            return Pushed::Repeated;
        }
        let is_too_old =
            |progress: &Progress| held.frame.captured_at.saturating_sub(progress.last_at) > MAX_AGE_NS;
        if self.progress.get(&key).is_some_and(is_too_old) {
            self.abandon(&key, Abandonment::Incomplete);
        }
        if self.progress.get(&key).is_some_and(|progress| progress.fragments.len() >= MAX_FRAGMENTS) {
            self.abandon(&key, Abandonment::Bound);
        }
        if self.progress.get(&key).is_some_and(|progress| progress.repeats(&held, is_last)) {
            return Pushed::Repeated;
        }
        if !self.progress.contains_key(&key) {
            while self.progress.len() >= MAX_DATAGRAMS && self.abandon_oldest() {}
            self.serial += 1;
            self.order.push_back((key, self.serial));
            let progress = Progress { serial: self.serial, ..Progress::default() };
            self.progress.insert(key, progress);
        }
        self.bytes += held.frame.bytes.len();
        let Some(progress) = self.progress.get_mut(&key) else { return Pushed::Held };
        progress.add(held, is_last);
        if progress.is_complete()
            && let Some(datagram) = self.complete(&key, record.captured_at)
        {
            return Pushed::Complete(datagram);
        }
        while self.bytes > MAX_BYTES && (self.forget_oldest_completed() || self.abandon_oldest()) {}
        Pushed::Held
    }

    /// The next packet that was given up.
    pub fn pop(&mut self) -> Option<Abandoned> {
        self.abandoned.pop_front()
    }

    /// Gives up every packet in progress: the capture ends.
    pub fn finish(&mut self) {
        while let Some((key, serial)) = self.order.pop_front() {
            if self.progress.get(&key).is_some_and(|progress| progress.serial == serial) {
                self.abandon(&key, Abandonment::Incomplete);
            }
        }
    }

    fn complete(&mut self, key: &Key, at: u64) -> Option<Box<Datagram>> {
        let progress = self.progress.remove(key)?;
        self.bytes -= progress.bytes();
        self.drop_stale_order();
        let datagram = match progress.into_datagram() {
            Ok(datagram) => datagram,
            Err(frames) => {
                self.abandoned.push_back(Abandoned { frames, why: Abandonment::Incomplete });
                return None;
            }
        };
        let header = datagram.packet.header_len();
        let payload = datagram.packet.bytes.get(header..).unwrap_or_default().to_vec();
        self.serial += 1;
        self.bytes += payload.len();
        self.completed_bytes += payload.len();
        let completed = Completed { payload, at, serial: self.serial };
        if let Some(previous) = self.completed.insert(*key, completed) {
            self.bytes -= previous.payload.len();
            self.completed_bytes -= previous.payload.len();
        }
        self.completed_order.push_back((*key, self.serial));
        while self.completed_order.len() > MAX_COMPLETED && self.forget_oldest_completed() {}
        Some(Box::new(datagram))
    }

    /// Returns false if there was nothing to forget.
    fn forget_oldest_completed(&mut self) -> bool {
        let Some((key, serial)) = self.completed_order.pop_front() else { return false };
        if self.completed.get(&key).is_some_and(|completed| completed.serial == serial)
            && let Some(completed) = self.completed.remove(&key)
        {
            self.bytes -= completed.payload.len();
            self.completed_bytes -= completed.payload.len();
        }
        true
    }

    /// Entries of packets that are complete would otherwise stay behind one that is not.
    fn drop_stale_order(&mut self) {
        if self.order.len() > 2 * MAX_DATAGRAMS {
            let progress = &self.progress;
            self.order.retain(|(key, serial)| progress.get(key).is_some_and(|found| found.serial == *serial));
        }
    }

    /// Returns false if nothing is in progress.
    fn abandon_oldest(&mut self) -> bool {
        while let Some((key, serial)) = self.order.pop_front() {
            if self.progress.get(&key).is_some_and(|progress| progress.serial == serial) {
                self.abandon(&key, Abandonment::Bound);
                return true;
            }
        }
        false
    }

    fn abandon(&mut self, key: &Key, why: Abandonment) {
        let Some(progress) = self.progress.remove(key) else { return };
        self.bytes -= progress.bytes();
        let frames = progress.fragments.into_iter().map(|held| held.frame).collect();
        self.abandoned.push_back(Abandoned { frames, why });
    }
}

impl Progress {
    fn bytes(&self) -> usize {
        self.fragments.iter().map(|held| held.frame.bytes.len()).sum()
    }

    fn add(&mut self, held: Held, is_last: bool) {
        self.last_at = self.last_at.max(held.frame.captured_at);
        if is_last {
            let end = held.range.end;
            self.has_conflict |= self.total.is_some_and(|total| total != end);
            self.total.get_or_insert(end);
        }
        if self.covered.touches(&held.range) {
            let contradicts = |other: &Held| {
                let start = other.range.start.max(held.range.start);
                let shared = start..other.range.end.min(held.range.end).max(start);
                other.at(&shared) != held.at(&shared)
            };
            self.has_conflict |= self.fragments.iter().any(contradicts);
        }
        self.covered.add(&held.range);
        self.fragments.push(held);
    }

    fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.covered.is_whole(total))
    }

    /// Whether the fragment says nothing new.
    fn repeats(&self, held: &Held, is_last: bool) -> bool {
        let is_same = |other: &Held| other.range == held.range && other.payload() == held.payload();
        (!is_last || self.total == Some(held.range.end)) && self.fragments.iter().any(is_same)
    }

    /// The frames alone if the first fragment's header does not fit a whole packet.
    fn into_datagram(self) -> Result<Datagram, Vec<HeldFrame>> {
        let total = self.total.unwrap_or_default();
        let reaches_behind = self.fragments.iter().any(|held| held.range.end > total);
        let packet = self.packet(total, false);
        let other = if self.has_conflict || reaches_behind { self.packet(total, true) } else { None };
        let frames = self.fragments.into_iter().map(|held| held.frame).collect();
        match packet {
            Some(packet) => Ok(Datagram { packet, other, frames }),
            None => Err(frames),
        }
    }

    /// The packet in which the first captured bytes count, or the last ones.
    fn packet(&self, total: usize, last_counts: bool) -> Option<Packet> {
        let is_first = |held: &&Held| held.range.start == 0;
        let first = match last_counts {
            false => self.fragments.iter().find(is_first),
            true => self.fragments.iter().rfind(is_first),
        }?;
        let (mut bytes, link_type) = whole_header(first, total)?;
        let header = bytes.len();
        let mut parts = Vec::new();
        let mut at = 0;
        // The ends of fragments divide the payload into at most 2 * MAX_FRAGMENTS pieces, each of which one fragment gives.
        let mut edges: Vec<usize> =
            self.fragments.iter().flat_map(|held| [held.range.start, held.range.end]).collect();
        edges.sort_unstable();
        for edge in edges.into_iter().map(|edge| edge.min(total)) {
            if edge <= at {
                continue;
            }
            let piece = at..edge;
            let has_piece =
                |(_, held): &(usize, &Held)| held.range.start <= piece.start && piece.end <= held.range.end;
            let mut candidates = self.fragments.iter().enumerate();
            let (frame, held) =
                if last_counts { candidates.rfind(has_piece) } else { candidates.find(has_piece) }?;
            bytes.extend_from_slice(held.at(&piece));
            let frame_offset = held.payload_offset + (piece.start - held.range.start);
            parts.push(Part { range: header + piece.start..header + piece.end, frame, frame_offset });
            at = edge;
        }
        merge(&mut parts);
        let frame = self.fragments.iter().position(|held| std::ptr::eq(held, first))?;
        parts.insert(0, Part { range: 0..header, frame, frame_offset: first.ip_offset });
        (bytes.len() == header + total).then_some(Packet { bytes, link_type, parts })
    }
}

/// Joins parts that one frame carries in one piece.
fn merge(parts: &mut Vec<Part>) {
    parts.dedup_by(|next, part| {
        let continues = next.frame == part.frame
            && next.range.start == part.range.end
            && next.frame_offset == part.frame_offset + part.range.len();
        if continues {
            part.range.end = next.range.end;
        }
        continues
    });
}

impl Packet {
    fn header_len(&self) -> usize {
        self.parts.first().map_or(0, |part| part.range.len())
    }
}

/// Offsets in the headers of IPv4 and IPv6.
const V4_LENGTH: Range<usize> = 2..4;
const V4_ID: usize = 4;
const V4_FRAGMENT: Range<usize> = 6..8;
const V4_CHECKSUM: Range<usize> = 10..12;
const V6_LENGTH: Range<usize> = 4..6;
const V6_NEXT: usize = 6;
const V6_HEADER: usize = 40;
/// The fragment header: next header, reserved, offset and flag, identification (RFC 8200 §4.5).
const FRAGMENT_HEADER: usize = 8;
const FRAGMENT_KIND: u8 = 44;
/// Its length is in other units than that of other extension headers (RFC 4302 §2.2).
const AUTHENTICATION: u8 = 51;

/// The fragment in a frame, and whether it is the last of its packet.
fn read(record: &Record<'_>, ip: &Ip, context: u32) -> Option<(Key, Held, bool)> {
    let (ip_offset, payload_offset) = (ip.offset as usize, ip.payload_offset as usize);
    let len = ip.payload_len as usize;
    let start = match ip.fragment {
        Fragment::No => return None,
        Fragment::First => 0,
        Fragment::Later { offset } => usize::from(offset),
    };
    record.bytes.get(payload_offset..payload_offset.checked_add(len)?)?;
    let (id, protocol, has_more) = if ip.src.is_v4() {
        let header = record.bytes.get(ip_offset..)?;
        let id = u16::from_be_bytes(*header.get(V4_ID..)?.first_chunk()?);
        (id.into(), ip.protocol.0, header.get(V4_FRAGMENT.start)? & 0x20 != 0)
    } else {
        let header = record.bytes.get(payload_offset.checked_sub(FRAGMENT_HEADER)?..)?;
        let [_, _, _, flags, id @ ..] = *header.first_chunk::<FRAGMENT_HEADER>()?;
        (u32::from_be_bytes(id), 0, flags & 1 != 0)
    };
    let header_len = payload_offset - ip_offset;
    let is_possible =
        len > 0 && (!has_more || len.is_multiple_of(8)) && header_len + start + len <= MAX_PACKET_LEN;
    let held = Held {
        frame: HeldFrame::new(record),
        range: start..start + len,
        payload_offset,
        ip_offset,
        protocol: ip.protocol,
    };
    is_possible.then_some((Key { src: ip.src, dst: ip.dst, id, protocol, context }, held, !has_more))
}

/// The header of the packet whose first fragment is `first`: that of the fragment without the fragmentation.
fn whole_header(first: &Held, total: usize) -> Option<(Vec<u8>, LinkType)> {
    let header = first.frame.bytes.get(first.ip_offset..first.payload_offset)?;
    if header.first()? >> 4 == 4 {
        let mut bytes = header.to_vec();
        let length = u16::try_from(bytes.len() + total).ok()?;
        bytes.get_mut(V4_LENGTH)?.copy_from_slice(&length.to_be_bytes());
        bytes.get_mut(V4_FRAGMENT)?.fill(0);
        bytes.get_mut(V4_CHECKSUM)?.fill(0);
        let checksum = crate::checksum::of_header(&bytes);
        bytes.get_mut(V4_CHECKSUM)?.copy_from_slice(&checksum.to_be_bytes());
        return Some((bytes, LinkType::IPV4));
    }
    // The fragment header is the last one; the field before it that names it now names what follows it.
    let mut bytes = header.get(..header.len().checked_sub(FRAGMENT_HEADER)?)?.to_vec();
    let mut next = V6_NEXT;
    let mut at = V6_HEADER;
    loop {
        let units = match *bytes.get(next)? {
            FRAGMENT_KIND => break,
            kind => (kind, usize::from(*bytes.get(at + 1)?)),
        };
        next = at;
        at += match units {
            (AUTHENTICATION, units) => (units + 2) * 4,
            (_, units) => (units + 1) * 8,
        };
    }
    *bytes.get_mut(next)? = first.protocol.0;
    let length = u16::try_from(bytes.len() - V6_HEADER + total).ok()?;
    bytes.get_mut(V6_LENGTH)?.copy_from_slice(&length.to_be_bytes());
    Some((bytes, LinkType::IPV6))
}
