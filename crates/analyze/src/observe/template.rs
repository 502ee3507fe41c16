//! The frames of one real connection, for the control that plants strings in copies of them.

use std::collections::VecDeque;
use std::ops::Range;

use dissect::capture::Record;
use dissect::flow::Direction;
use dissect::frame::Frame;
use dissect::link::LinkType;

use crate::pipeline::fact::SegmentFact;

/// Maximum number of frames and of bytes that are kept of a connection: a handshake and some segments of either side.
const MAX_FRAMES: usize = 32;
const MAX_BYTES: usize = 64 << 10;

/// Maximum number of connections that are kept until one carries enough: a browser opens six at once.
const MAX_CANDIDATES: usize = 8;

/// Maximum number of connections that are looked at. Their frames are copied, which must not go on through a long capture of
/// connections that carry next to nothing.
const MAX_TRIED: u32 = 1000;

/// Fewest bytes of payload in a segment that strings can be planted in: the longest form of the longest string, each byte
/// percent-encoded, has 192.
pub(crate) const MIN_PAYLOAD: usize = 200;

/// A frame of the connection.
#[derive(Clone, Debug)]
pub(crate) struct TemplateFrame {
    /// The captured bytes.
    pub bytes: Vec<u8>,
    /// Its direction.
    pub direction: Direction,
    /// Offset of the TCP header.
    pub tcp_at: usize,
    /// The captured part of the TCP payload.
    pub payload: Range<usize>,
    /// Its sequence number.
    pub seq: u32,
}

/// The beginning of the first connection whose handshake was captured and which carries enough.
#[derive(Debug, Default)]
pub(crate) struct Template {
    candidates: VecDeque<Candidate>,
    tried: u32,
    /// Whether the only candidate left is the connection.
    is_chosen: bool,
    /// Where the TCP header of the latest frame is: a segment's fact follows its frame.
    latest: Option<Latest>,
}

#[derive(Debug)]
struct Candidate {
    link_type: LinkType,
    stream: u32,
    ports: [u16; 2],
    frames: Vec<TemplateFrame>,
    bytes: usize,
}

#[derive(Debug)]
struct Latest {
    link_type: LinkType,
    ports: [u16; 2],
    frame: TemplateFrame,
}

impl Template {
    /// The link type and the frames of the connection; `None` if no connection carries enough.
    pub(crate) fn connection(&self) -> Option<(LinkType, &[TemplateFrame])> {
        let chosen = self.candidates.front().filter(|_| self.is_chosen)?;
        Some((chosen.link_type, &chosen.frames))
    }

    /// Looks at a frame, and copies it if it can be one of the connection.
    pub(crate) fn frame(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        self.latest = None;
        let (Some(ip), Some(tcp)) = (frame.ip(), frame.tcp()) else { return };
        let ports = [tcp.src_port.min(tcp.dst_port), tcp.src_port.max(tcp.dst_port)];
        let is_new = tcp.flags.syn() && !self.is_chosen && self.tried < MAX_TRIED;
        let has_room = |candidate: &Candidate| candidate.ports == ports && candidate.has_room_for(record);
        if !is_new && !self.candidates.iter().any(has_room) {
            return;
        }
        let start = tcp.payload_offset as usize;
        let frame = TemplateFrame {
            bytes: record.bytes.to_vec(),
            direction: Direction::ClientToServer,
            tcp_at: ip.payload_offset as usize,
            payload: start..start + tcp.payload.len(),
            seq: tcp.seq,
        };
        self.latest = Some(Latest { link_type: record.link_type, ports, frame });
    }

    /// Takes the latest frame if it belongs to the connection.
    pub(crate) fn segment(&mut self, segment: &SegmentFact<'_>) {
        let Some(Latest { link_type, ports, mut frame }) = self.latest.take() else { return };
        if !self.is_chosen && segment.is_first_syn && segment.direction == Direction::ClientToServer {
            self.tried += 1;
            if self.candidates.len() == MAX_CANDIDATES {
                self.candidates.pop_front();
            }
            let stream = segment.stream;
            self.candidates.push_back(Candidate { link_type, stream, ports, frames: Vec::new(), bytes: 0 });
        }
        let is_own =
            |candidate: &Candidate| (candidate.stream, candidate.link_type) == (segment.stream, link_type);
        let Some(index) = self.candidates.iter().position(is_own) else { return };
        if segment.disposition.is_none_or(|disposition| !disposition.is_in_stream()) {
            return;
        }
        frame.direction = segment.direction;
        let candidate = &mut self.candidates[index];
        candidate.bytes += frame.bytes.len();
        candidate.frames.push(frame);
        if !self.is_chosen && candidate.carries_enough() {
            self.candidates.swap(0, index);
            self.candidates.truncate(1);
            self.is_chosen = true;
        }
    }
}

impl Candidate {
    fn has_room_for(&self, record: &Record<'_>) -> bool {
        self.frames.len() < MAX_FRAMES && self.bytes + record.bytes.len() <= MAX_BYTES
    }

    /// Whether the client has sent something, and a segment has room for a planted string.
    fn carries_enough(&self) -> bool {
        let is_of_client = |frame: &TemplateFrame| frame.direction == Direction::ClientToServer;
        let payload = |frame: &TemplateFrame| frame.payload.len();
        self.frames.iter().any(|frame| is_of_client(frame) && payload(frame) > 0)
            && self.frames.iter().any(|frame| payload(frame) >= MIN_PAYLOAD)
    }
}
