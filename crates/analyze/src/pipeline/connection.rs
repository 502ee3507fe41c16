//! One TCP connection of the capture: reassembled, searched, and read as what it speaks.

use std::net::SocketAddr;
use std::sync::Arc;

use dissect::flow::Direction;
use dissect::ip::Address;
use dissect::keylog::KeyLog;
use dissect::tcp::{self, Chunk, Disposition, Gap, Origin, Ready, Reassembler, SackBlock, Segment};
use dissect::tls::Workspace;
use exposure_schema::{Ended, Level};

use crate::observe::connection_stats::{ConnectionStats, FrameMeta};
use crate::observe::evidence::Evidence;
use crate::observe::hits::Place;
use crate::pipeline::carve::Carver;
use crate::pipeline::detect::{Detector, Protocol};
use crate::pipeline::http1::{Http, Source};
use crate::pipeline::provenance::FrameMap;
use crate::pipeline::tls::Tls;
use crate::search::Scanner;

/// What there is of each side, with the side.
fn by_side<T>(both: [T; 2]) -> impl Iterator<Item = (Direction, T)> {
    Direction::BOTH.into_iter().zip(both)
}

/// Address and port.
pub(crate) type Endpoint = (Address, u16);

/// An endpoint as it enters the result.
pub(crate) fn endpoint((address, port): Endpoint) -> String {
    SocketAddr::new(address.to_ip(), port).to_string()
}

/// What all connections of a capture share.
#[derive(Debug)]
pub(crate) struct Shared<'k> {
    /// What is collected.
    pub evidence: Evidence<'k>,
    /// The key log, if there is one.
    pub keys: Option<Arc<KeyLog>>,
    /// Buffers for the TLS sessions.
    pub workspace: Workspace,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its number, as Wireshark's `tcp.stream`.
    pub index: u32,
    /// Who opened it.
    pub client: Endpoint,
    /// Who accepted it.
    pub server: Endpoint,
    /// Whether SYN and SYN-ACK were captured.
    handshake: [bool; 2],
    course: ConnectionStats,
    halves: [Reassembler; 2],
    scanners: [Scanner; 2],
    frames: [FrameMap; 2],
    carvers: [Carver; 2],
    app: App,
    has_data: bool,
}

#[derive(Debug)]
enum App {
    Undecided(Detector),
    Http(Box<Http>),
    Tls(Box<Tls>),
    Unknown,
    Finished,
}

/// A connection that is over, or the capture is.
#[derive(Debug)]
pub(crate) struct Summary {
    /// Its number.
    pub index: u32,
    /// Who opened it.
    pub client: Endpoint,
    /// Who accepted it.
    pub server: Endpoint,
    /// Whether SYN and SYN-ACK were captured.
    pub handshake_seen: bool,
    /// Whether any payload crossed.
    pub has_data: bool,
    /// Its frames, and what they show.
    pub course: ConnectionStats,
    /// The account of each side.
    pub accounts: [tcp::Counters; 2],
    /// What it spoke.
    pub protocol: Protocol,
    /// The TLS connection.
    pub tls: Option<Box<Tls>>,
}

/// The bytes of a connection, as they crossed the wire.
struct Wire<'a>(&'a [FrameMap; 2]);

impl Source for Wire<'_> {
    fn place(&self, side: Direction, start: u64, end: u64) -> Place {
        self.0[side as usize].place(start, end)
    }

    fn visible_frame(&self, side: Direction, offset: u64) -> Option<u64> {
        self.0[side as usize].frame_at(offset)
    }

    fn frame_before(&self, side: Direction, end: u64) -> u64 {
        self.0[side as usize].frame_before(end)
    }

    fn is_in_one_frame(&self, side: Direction, start: u64, end: u64) -> bool {
        self.0[side as usize].is_in_one_frame(start, end)
    }

    fn layers(&self) -> &'static [&'static str] {
        &[]
    }

    fn is_encrypted(&self) -> bool {
        false
    }
}

impl Connection {
    /// A connection of which nothing was seen yet.
    pub(crate) fn new(index: u32, client: Endpoint, server: Endpoint) -> Self {
        Self {
            index,
            client,
            server,
            handshake: [false; 2],
            course: ConnectionStats::default(),
            halves: Default::default(),
            scanners: Default::default(),
            frames: Direction::BOTH.map(|side| FrameMap::new(index, side)),
            carvers: Default::default(),
            app: App::Undecided(Detector::default()),
            has_data: false,
        }
    }

    /// Whether a SYN of the client with this sequence number opens another connection between the same endpoints.
    pub(crate) fn is_reopened_by(&self, seq: u32) -> bool {
        let known = self.halves[Direction::ClientToServer as usize].initial_sequence();
        known.is_some_and(|known| known != seq.wrapping_add(1)) || known.is_none() && self.has_data
    }

    /// Which side an endpoint of it is.
    pub(crate) fn side_of(&self, end: Endpoint) -> Direction {
        if self.client == end { Direction::ClientToServer } else { Direction::ServerToClient }
    }

    /// Whether both sides have closed, or one has reset it.
    pub(crate) fn is_over(&self) -> bool {
        self.course.ended != Ended::Open
    }

    /// A sequence number of a side, counted from that of its SYN.
    pub(crate) fn relative_sequence(&self, side: Direction, seq: u32) -> Option<u32> {
        let first_byte = self.halves[side as usize].initial_sequence()?;
        Some(seq.wrapping_sub(first_byte).wrapping_add(1))
    }

    /// Whether a selective acknowledgment of a side can be true of what the other one has sent.
    pub(crate) fn may_acknowledge(
        &self,
        side: Direction,
        ack: u32,
        blocks: impl Iterator<Item = SackBlock>,
    ) -> bool {
        self.halves[side.opposite() as usize].may_be_acknowledged(ack, blocks)
    }

    /// Bytes that wait behind holes.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.halves.iter().map(Reassembler::pending_bytes).sum()
    }

    /// Takes a segment of one side, and says what became of its payload.
    pub(crate) fn push(
        &mut self,
        side: Direction,
        segment: &Segment<'_>,
        origin: Origin,
        passing: &FrameMeta,
        shared: &mut Shared<'_>,
    ) -> Disposition {
        self.course.pass(side, passing);
        if segment.flags.syn() && !std::mem::replace(&mut self.handshake[side as usize], true) {
            self.course.waiting.speaks(side);
        }
        if let Some(ack) = segment.acknowledgment() {
            self.halves[side.opposite() as usize].acknowledge(ack);
        }
        let pushed = self.halves[side as usize].push(segment, origin);
        if self.course.ended == Ended::Open && (segment.flags.rst() || segment.flags.fin()) {
            self.course.ended = match self.halves.iter().all(Reassembler::is_closed) {
                true => Ended::Fin,
                false if segment.flags.rst() => Ended::Rst,
                false => Ended::Open,
            };
        }
        if pushed.disposition == Disposition::Empty {
            return pushed.disposition;
        }
        self.has_data = true;
        let awaited = self.awaited(side);
        if let Some(chunk) = pushed.chunk {
            self.chunk(side, &chunk, shared);
        }
        self.drain(side, shared);
        if self.course.waiting.is_open() && pushed.disposition.is_in_stream() {
            self.note_waiting(side, awaited);
        }
        pushed.disposition
    }

    /// Payload came that has not been there before. `awaited` is what [`Connection::awaited`] said before.
    fn note_waiting(&mut self, side: Direction, awaited: Option<u64>) {
        if awaited.is_none() || self.awaited(side) != awaited {
            self.course.waiting.speaks(side);
        }
        let is_answered = match &self.app {
            App::Http(http) => http.is_answered(),
            App::Tls(tls) => tls.is_answered(),
            App::Undecided(_) | App::Unknown | App::Finished => false,
        };
        if is_answered {
            self.course.waiting.answered();
        }
    }

    /// Number of things that a side has said for the other to wait for; `None` where everything is.
    fn awaited(&self, side: Direction) -> Option<u64> {
        match &self.app {
            App::Tls(tls) if side == Direction::ServerToClient => Some(tls.awaited_records()),
            _ => None,
        }
    }

    /// Gives up on the first hole of the side that holds back most.
    pub(crate) fn abandon_gap(&mut self, shared: &mut Shared<'_>) {
        let side = Direction::BOTH.into_iter().max_by_key(|side| self.halves[*side as usize].pending_bytes());
        if let Some(side) = side
            && let Some(gap) = self.halves[side as usize].abandon_gap()
        {
            self.gap(side, gap, shared);
            self.drain(side, shared);
        }
    }

    /// Nothing more will come.
    pub(crate) fn finish(mut self, shared: &mut Shared<'_>) -> Summary {
        for side in Direction::BOTH {
            self.halves[side as usize].finish();
            self.drain(side, shared);
        }
        let evidence = &mut shared.evidence;
        let (mut protocol, mut tls) = (Protocol::Unknown, None);
        match std::mem::replace(&mut self.app, App::Finished) {
            App::Undecided(detector) => {
                for (side, first) in by_side(detector.into_first()) {
                    self.unexplained(side, first.offset, &first.bytes, "an unknown protocol", evidence);
                }
            }
            App::Http(mut http) => {
                protocol = Protocol::Http1;
                for side in Direction::BOTH {
                    http.close(side, &Wire(&self.frames), evidence);
                }
            }
            App::Tls(mut open) => {
                protocol = Protocol::Tls;
                open.finish(&self.frames, &mut shared.workspace, evidence);
                for side in Direction::BOTH {
                    let account = open.session().counters(side);
                    if let Some(first) = account.first_unexplained {
                        let bytes = account.unexplained_bytes;
                        let (index, at) = (Some(self.index), first.stream_offset);
                        evidence.unexplained(index, Some(side), at, bytes, first.reason.to_string());
                    }
                }
                tls = Some(open);
            }
            App::Unknown | App::Finished => {}
        }
        for (side, payload) in by_side(self.course.payload) {
            match &tls {
                Some(tls) => evidence.traffic.tls(payload, tls.bytes(side), tls.dead_from(side).is_some()),
                None => evidence.traffic.clear(payload),
            }
        }
        for side in Direction::BOTH {
            let frames = &self.frames[side as usize];
            self.carvers[side as usize].finish(evidence, |start, end| frames.place(start, end));
        }
        Summary {
            index: self.index,
            client: self.client,
            server: self.server,
            handshake_seen: self.handshake == [true; 2],
            has_data: self.has_data,
            course: self.course,
            accounts: [*self.halves[0].counters(), *self.halves[1].counters()],
            protocol,
            tls,
        }
    }

    fn drain(&mut self, side: Direction, shared: &mut Shared<'_>) {
        while let Some(ready) = self.halves[side as usize].pop() {
            match ready {
                Ready::Bytes(bytes) => self.chunk(side, &bytes.chunk(), shared),
                Ready::Gap(gap) => self.gap(side, gap, shared),
            }
        }
    }

    fn chunk(&mut self, side: Direction, chunk: &Chunk<'_>, shared: &mut Shared<'_>) {
        self.frames[side as usize].push(chunk);
        self.search(side, chunk, &mut shared.evidence);
        self.read(side, chunk.stream_offset, chunk.bytes, shared);
        let keep = self.keep_from(side);
        self.frames[side as usize].forget_before(keep);
    }

    /// The search that needs nothing but reassembly.
    fn search(&mut self, side: Direction, chunk: &Chunk<'_>, evidence: &mut Evidence<'_>) {
        evidence.searched_bytes += chunk.bytes.len() as u64;
        let mut matches = evidence.search(&mut self.scanners[side as usize], chunk.bytes);
        if !matches.is_empty() {
            let layers = evidence.layers(&[]);
            let frames = &self.frames[side as usize];
            for found in matches.drain(..) {
                let level = match frames.is_in_one_frame(found.start, found.end) {
                    true => Level::Verbatim,
                    false => Level::Reassembled,
                };
                evidence.hit(found.pattern, level, &layers, || frames.place(found.start, found.end));
            }
        }
        evidence.matches = matches;
    }

    fn read(&mut self, side: Direction, offset: u64, bytes: &[u8], shared: &mut Shared<'_>) {
        let Shared { evidence, keys, workspace } = shared;
        match &mut self.app {
            App::Http(http) => {
                http.push(side, offset, bytes, &Wire(&self.frames), evidence);
                let from = http.unread_from(side);
                self.carve_from(from, side, offset, bytes);
            }
            App::Tls(tls) => {
                tls.push(side, offset, bytes, &self.frames, workspace, evidence);
                let from = tls.dead_from(side);
                self.carve_from(from, side, offset, bytes);
            }
            App::Unknown => self.unexplained(side, offset, bytes, "an unknown protocol", evidence),
            App::Undecided(detector) => {
                let Some(protocol) = detector.push(side, offset, bytes) else { return };
                let first = std::mem::take(detector).into_first();
                self.app = match protocol {
                    // The framing of a conversation that began earlier is not known until a message begins.
                    Protocol::Http1 if self.handshake == [false; 2] => {
                        App::Http(Box::new(Http::begun_earlier()))
                    }
                    Protocol::Http1 => App::Http(Box::default()),
                    Protocol::Tls => App::Tls(Box::new(Tls::new(keys.as_ref()))),
                    Protocol::Unknown => App::Unknown,
                };
                for (side, first) in by_side(first) {
                    if !first.bytes.is_empty() {
                        self.read(side, first.offset, &first.bytes, shared);
                    }
                }
            }
            App::Finished => {}
        }
    }

    /// Keeps what stands at or behind `from`, which the protocol did not explain.
    fn carve_from(&mut self, from: Option<u64>, side: Direction, offset: u64, bytes: &[u8]) {
        if let Some(from) = from {
            let skipped = from.saturating_sub(offset).min(bytes.len() as u64) as usize;
            self.carvers[side as usize].push(offset + skipped as u64, &bytes[skipped..]);
        }
    }

    fn unexplained(
        &mut self,
        side: Direction,
        offset: u64,
        bytes: &[u8],
        reason: &'static str,
        evidence: &mut Evidence<'_>,
    ) {
        if !bytes.is_empty() {
            evidence.unexplained(Some(self.index), Some(side), offset, bytes.len() as u64, reason);
            self.carvers[side as usize].push(offset, bytes);
        }
    }

    fn gap(&mut self, side: Direction, gap: Gap, shared: &mut Shared<'_>) {
        self.scanners[side as usize].gap(gap.len);
        let Shared { evidence, workspace, .. } = shared;
        match &mut self.app {
            App::Http(http) => http.gap(side, gap.len),
            App::Tls(tls) => tls.gap(side, gap.stream_offset, gap.len, &self.frames, workspace, evidence),
            App::Undecided(_) | App::Unknown | App::Finished => {}
        }
    }

    fn keep_from(&self, side: Direction) -> u64 {
        let mut keep = self.scanners[side as usize].keep_from();
        if let Some(carved) = self.carvers[side as usize].keep_from() {
            keep = keep.min(carved);
        }
        match &self.app {
            App::Http(http) => keep.min(http.keep_from(side)),
            App::Tls(tls) => keep.min(tls.keep_from(side)),
            App::Undecided(detector) => detector.keep_from(side).unwrap_or(keep).min(keep),
            App::Unknown | App::Finished => keep,
        }
    }
}
