//! Lists the frames of a capture in a few bytes each, with the names of what begins in them.

use std::collections::HashMap;
use std::sync::Arc;

use dissect::capture::Record;
use dissect::flow::Direction;
use dissect::frame::{Frame, Transport};
use dissect::tcp::Flags;

use super::packet_list::{MAX_HOLD_CHARS, MAX_HOLDS, message_name, protocol, record_name};
use crate::pipeline::fact::{Fact, HandshakeFact, MessageStart, RecordFact, SegmentFact};
use crate::pipeline::frames::wire_len;

/// Maximum number of frames listed. They take 120 MB.
pub(crate) const MAX_ROWS: usize = 5_000_000;

/// Maximum number of different names: with [`MAX_HOLD_CHARS`] characters each, at most 130 MB.
const MAX_NAMES: usize = 1 << 18;

/// Maximum number of names of all frames, with 8 bytes each.
const MAX_NAMED: usize = 2 * MAX_ROWS;

/// The first [`MAX_ROWS`] frames.
#[derive(Debug, Default)]
pub(crate) struct PacketRows {
    rows: Vec<Row>,
    /// Number of frames that are not listed.
    pub left_out: u64,
    /// Whether a bound was reached, so that names are missing.
    pub lacks_names: bool,
    names: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, u32>,
    /// Indices of frames and of names; in the order of the frames after [`PacketRows::sort`].
    named: Vec<(u32, u32)>,
}

/// A frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// When it was captured, nanoseconds since the epoch.
    pub captured_at: u64,
    /// Its length on the wire.
    pub wire_len: u32,
    /// Length of its TCP payload on the wire.
    pub payload: u32,
    /// Number of its connection.
    pub stream: Option<u32>,
    /// Direction of its segment.
    pub direction: Option<Direction>,
    flags: Flags,
}

impl PacketRows {
    /// Takes a fact.
    #[inline]
    pub(crate) fn observe(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Frame(record, frame) => self.push(record, frame),
            Fact::Segment(segment) => self.segment(segment),
            Fact::MessageStart(start) => self.message_start(start),
            Fact::TlsRecord(record) => self.record(record),
            Fact::TlsHandshake(handshake) => self.handshake(handshake),
            _ => {}
        }
    }

    /// Adds the next frame.
    #[inline]
    fn push(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        if self.rows.len() == MAX_ROWS {
            self.left_out += 1;
            return;
        }
        let flags = match &frame.transport {
            Transport::Tcp(tcp) => tcp.flags,
            _ => Flags(0),
        };
        self.rows.push(Row {
            captured_at: record.captured_at,
            wire_len: u32::try_from(wire_len(record)).unwrap_or(u32::MAX),
            payload: 0,
            stream: None,
            direction: None,
            flags,
        });
        if frame.tcp().is_none() {
            self.begins(Some(record.frame), || Some(protocol(frame)));
        }
    }

    /// Notes the connection of a frame.
    #[inline]
    fn segment(&mut self, segment: &SegmentFact<'_>) {
        if let Some(row) = index(segment.frame).and_then(|index| self.rows.get_mut(index)) {
            row.stream = Some(segment.stream);
            row.direction = Some(segment.direction);
            row.payload = u32::try_from(segment.wire_payload).unwrap_or(u32::MAX);
        }
    }

    /// Notes the beginning of a message.
    fn message_start(&mut self, start: &MessageStart<'_>) {
        self.begins(start.visible_in, || Some(start.start_line.to_string()));
    }

    /// Notes a TLS record.
    #[inline]
    fn record(&mut self, fact: &RecordFact<'_>) {
        self.begins(fact.frame, || record_name(fact));
    }

    /// Notes a TLS handshake message.
    fn handshake(&mut self, fact: &HandshakeFact<'_>) {
        if !fact.handshake.was_encrypted {
            self.begins(fact.frame, || message_name(&fact.handshake.message));
        }
    }

    /// Brings the names into the order of the frames. Called once, at the end.
    pub(crate) fn sort(&mut self) {
        self.named.sort_by_key(|(frame, _)| *frame);
        self.by_name = HashMap::new();
    }

    /// The frames.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What a frame is: the names of what begins in it, or else the flags of a TCP segment without payload.
    pub(crate) fn what(&self, index: usize) -> Vec<String> {
        let start = self.named.partition_point(|(frame, _)| (*frame as usize) < index);
        let of_frame = self.named[start..].iter().take_while(|(frame, _)| *frame as usize == index);
        let mut what: Vec<String> =
            of_frame.take(MAX_HOLDS).map(|(_, name)| self.names[*name as usize].to_string()).collect();
        let flags = self.rows.get(index).filter(|row| row.payload == 0).map_or(Flags(0), |row| row.flags);
        if what.is_empty() && flags != Flags(0) {
            what.push(flags.names().collect::<Vec<_>>().join(", "));
        }
        what
    }

    /// Adds the name of something that begins in a frame. `frame` is `None` if that is no longer known; `name` is
    /// `None` if another entry names it.
    #[inline]
    fn begins(&mut self, frame: Option<u64>, name: impl FnOnce() -> Option<String>) {
        let Some(index) = frame.and_then(index).filter(|index| *index < self.rows.len()) else { return };
        let Some(name) = name() else { return };
        let name: Arc<str> = name.chars().take(MAX_HOLD_CHARS).collect::<String>().into();
        let known = self.by_name.get(&name).copied();
        if self.named.len() == MAX_NAMED || known.is_none() && self.names.len() == MAX_NAMES {
            self.lacks_names = true;
            return;
        }
        let number = known.unwrap_or_else(|| {
            let number = self.names.len() as u32;
            self.names.push(Arc::clone(&name));
            self.by_name.insert(name, number);
            number
        });
        self.named.push((index as u32, number));
    }
}

/// Index of a frame. Frames are numbered from 1 without gaps.
fn index(frame: u64) -> Option<usize> {
    usize::try_from(frame.checked_sub(1)?).ok()
}
