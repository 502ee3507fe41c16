//! The first exchange as it stands on the wire: the bytes of both sides in turn, and a frame with a string in it.
//!
//! Which bytes these are is known when the pass is over, and by then they are gone: so the file is read again, up to the
//! end of that exchange.

use std::fs::File;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dissect::capture::Record;
use dissect::flow::Direction;
use dissect::frame;
use dissect::tcp::{Chunk, Origin, Ready, Reassembler};
use exposure_schema::{Exhibit, ExhibitFrame, Level, Turn};

use crate::input::capture::{self, Sink};
use crate::observe::evidence::direction;
use crate::observe::packet_list::wire_len;
use crate::pipeline::connection::Endpoint;

/// Bytes of the file that are read again. The first exchange of a run stands at its beginning.
pub(crate) const MAX_REREAD: u64 = 64 << 20;

/// Bytes that are shown of each direction: a TLS handshake of 3 KiB, a request and its answer.
pub(crate) const MAX_SHOWN: u64 = 8 << 10;

/// Most turns that are shown. HTTP over TLS takes six; more than this is a feint of one-byte segments.
pub(crate) const MAX_TURNS: usize = 64;

/// Bytes of the frame that are shown: all of an ordinary one.
pub(crate) const MAX_FRAME: usize = 2048;

/// What is to be shown.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Id of the request.
    pub message_id: Option<String>,
    /// TCP stream.
    pub stream: u32,
    /// Its endpoints: client and server.
    pub endpoints: (Endpoint, Endpoint),
    /// Its first frame, and the last one of the answer.
    pub frames: (u64, u64),
    /// Stream offset behind the request, and behind the answer.
    pub ends: [u64; 2],
    /// A string of the exchange.
    pub string: Option<WireString>,
}

/// Where a string stands on the wire.
#[derive(Debug)]
pub(crate) struct WireString {
    /// Which one.
    pub path: String,
    /// Id of its message.
    pub message_id: Option<String>,
    /// What it takes to read it.
    pub level: Level,
    /// Who sent it.
    pub side: Direction,
    /// Stream offsets of the bytes that carry it.
    pub range: Range<u64>,
}

/// Reads the capture again. `None` if it cannot be read again as far as the plan wants.
pub(crate) fn read(path: &Path, plan: Plan) -> Option<Exhibit> {
    let mut stream = Stream::new(&plan);
    pass(path, &mut stream)?;
    if stream.frame < plan.frames.1 {
        return None;
    }
    let Stream { turns, string_at, .. } = stream;
    let frame = plan.string.zip(string_at).and_then(|(string, at)| {
        let mut one = OneFrame { at, string: Some(string), found: None };
        pass(path, &mut one)?;
        one.found
    });
    Some(Exhibit {
        message_id: plan.message_id,
        stream: plan.stream,
        bytes_shown: turns.iter().map(|turn| turn.bytes.len() as u64).sum(),
        turns: turns.into_iter().map(Shown::entry).collect(),
        client_bytes: plan.ends[Direction::ClientToServer as usize],
        server_bytes: plan.ends[Direction::ServerToClient as usize],
        frame,
    })
}

fn pass(path: &Path, sink: &mut impl Sink) -> Option<()> {
    let file = File::open(path).ok()?.take(MAX_REREAD);
    // A capture that ends in damage ended so in the pass as well.
    capture::read(file, sink, |_| {}).ok().map(drop)
}

/// Puts the stream together once more.
struct Stream<'p> {
    plan: &'p Plan,
    halves: [Reassembler; 2],
    /// The last frame that was seen.
    frame: u64,
    turns: Vec<Shown>,
    string_at: Option<StringAt>,
}

/// A turn under way.
struct Shown {
    side: Direction,
    stream_offset: u64,
    frames: Vec<u64>,
    bytes: Vec<u8>,
}

/// Where a string begins.
#[derive(Clone, Copy)]
struct StringAt {
    origin: Origin,
    /// Bytes of it in that frame.
    length: u64,
}

impl<'p> Stream<'p> {
    fn new(plan: &'p Plan) -> Self {
        Self { plan, halves: Default::default(), frame: 0, turns: Vec::new(), string_at: None }
    }

    fn chunk(&mut self, side: Direction, chunk: &Chunk<'_>) {
        if let Some(string) = &self.plan.string
            && string.side == side
            && self.string_at.is_none()
            && let Some(skipped) = string.range.start.checked_sub(chunk.stream_offset)
            && skipped < chunk.bytes.len() as u64
        {
            let origin = Origin { file_offset: chunk.origin.file_offset + skipped, ..chunk.origin };
            let length = (chunk.bytes.len() as u64 - skipped).min(string.range.end - string.range.start);
            self.string_at = Some(StringAt { origin, length });
        }
        let end = self.plan.ends[side as usize].min(MAX_SHOWN);
        let room = end.saturating_sub(chunk.stream_offset).min(chunk.bytes.len() as u64) as usize;
        if room > 0 {
            self.show(side, chunk, &chunk.bytes[..room]);
        }
    }

    fn show(&mut self, side: Direction, chunk: &Chunk<'_>, bytes: &[u8]) {
        let continues = |turn: &Shown| {
            turn.side == side && turn.stream_offset + turn.bytes.len() as u64 == chunk.stream_offset
        };
        if !self.turns.last().is_some_and(continues) {
            if self.turns.len() == MAX_TURNS {
                return;
            }
            let stream_offset = chunk.stream_offset;
            self.turns.push(Shown { side, stream_offset, frames: Vec::new(), bytes: Vec::new() });
        }
        if let Some(turn) = self.turns.last_mut() {
            turn.bytes.extend_from_slice(bytes);
            turn.frames.push(chunk.origin.frame);
            // A segment can come in two parts, around one that came early.
            turn.frames.dedup();
        }
    }
}

impl Sink for Stream<'_> {
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        let (first, last) = self.plan.frames;
        self.frame = record.frame;
        if record.frame < first {
            return ControlFlow::Continue(());
        }
        let frame = frame::decode(record.link_type, record.bytes, record.original_len);
        if let (Some(ip), Some(tcp)) = (frame.ip(), frame.tcp()) {
            let (from, to) = ((ip.src, tcp.src_port), (ip.dst, tcp.dst_port));
            let (client, server) = self.plan.endpoints;
            let side = match (from, to) {
                ends if ends == (client, server) => Some(Direction::ClientToServer),
                ends if ends == (server, client) => Some(Direction::ServerToClient),
                _ => None,
            };
            if let Some(side) = side {
                if let Some(chunk) =
                    self.halves[side as usize].push(tcp, record.origin(tcp.payload_offset)).chunk
                {
                    self.chunk(side, &chunk);
                }
                while let Some(ready) = self.halves[side as usize].pop() {
                    if let Ready::Bytes(bytes) = ready {
                        self.chunk(side, &bytes.chunk());
                    }
                }
            }
        }
        if record.frame < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

impl Shown {
    fn entry(self) -> Turn {
        Turn {
            direction: direction(self.side),
            stream_offset: self.stream_offset,
            frames: self.frames,
            bytes: STANDARD.encode(self.bytes),
        }
    }
}

/// Picks out one frame.
struct OneFrame {
    at: StringAt,
    string: Option<WireString>,
    found: Option<ExhibitFrame>,
}

impl Sink for OneFrame {
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        let StringAt { origin, length } = self.at;
        if record.frame < origin.frame {
            return ControlFlow::Continue(());
        }
        let frame = frame::decode(record.link_type, record.bytes, record.original_len);
        self.found = self.string.take().zip(frame.tcp()).map(|(string, tcp)| ExhibitFrame {
            frame: record.frame,
            file_offset: record.file_offset,
            wire_bytes: wire_len(record),
            bytes: STANDARD.encode(record.bytes.get(..MAX_FRAME).unwrap_or(record.bytes)),
            payload_offset: u64::from(tcp.payload_offset),
            path: string.path,
            message_id: string.message_id,
            level: string.level,
            offset: origin.file_offset.saturating_sub(record.file_offset),
            length,
        });
        ControlFlow::Break(())
    }
}
