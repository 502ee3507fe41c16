//! The frames of one real connection, for the control that plants strings in copies of them.

use std::ops::Range;

use dissect::capture::Record;
use dissect::flow::Direction;
use dissect::frame::Frame;
use dissect::link::LinkType;

use crate::pipeline::fact::SegmentFact;

/// Maximum number of frames and of bytes that are kept: a handshake and some segments of either side.
const MAX_FRAMES: usize = 32;
const MAX_BYTES: usize = 64 << 10;

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

/// The beginning of the first connection whose handshake was captured and which carries data.
#[derive(Debug, Default)]
pub(crate) struct Template {
    /// The link type of its frames.
    pub link_type: Option<LinkType>,
    /// Its frames.
    pub frames: Vec<TemplateFrame>,
    stream: Option<u32>,
    /// The latest frame: a segment's fact follows it.
    latest: Option<(LinkType, TemplateFrame)>,
    bytes: usize,
    is_full: bool,
}

impl Template {
    /// Looks at a frame.
    pub(crate) fn frame(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        self.latest = None;
        let (Some(ip), Some(tcp)) = (frame.ip(), frame.tcp()) else { return };
        if self.is_full {
            return;
        }
        let start = tcp.payload_offset as usize;
        let template = TemplateFrame {
            bytes: record.bytes.to_vec(),
            direction: Direction::ClientToServer,
            tcp_at: ip.payload_offset as usize,
            payload: start..start + tcp.payload.len(),
            seq: tcp.seq,
        };
        self.latest = Some((record.link_type, template));
    }

    /// Takes the latest frame if it belongs to the connection.
    pub(crate) fn segment(&mut self, segment: &SegmentFact<'_>) {
        let Some((link_type, mut frame)) = self.latest.take() else { return };
        if self.stream.is_none() && segment.is_first_syn && segment.direction == Direction::ClientToServer {
            self.stream = Some(segment.stream);
            self.link_type = Some(link_type);
        }
        let is_of_connection = self.stream == Some(segment.stream) && self.link_type == Some(link_type);
        if !is_of_connection || segment.disposition.is_none_or(|disposition| !disposition.is_in_stream()) {
            return;
        }
        self.is_full = self.frames.len() >= MAX_FRAMES || self.bytes + frame.bytes.len() > MAX_BYTES;
        if !self.is_full {
            frame.direction = segment.direction;
            self.bytes += frame.bytes.len();
            self.frames.push(frame);
        }
    }
}
