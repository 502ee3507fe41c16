//! One TCP connection of the capture: reassembly, and the protocols in its streams.

use dissect::flow::{Direction, Endpoints, FlowId, PerDirection};
use dissect::tcp::{Chunk, Disposition, Gap, Origin, Ready, Reassembler, SackBlock, Segment};

use super::carve::{Carver, carve};
use super::fact::{Bound, Bytes, ConnectionEnd, ConnectionSummary, Fact, Observer, Sequence, Spoken};
use super::protocol::{Context, Decryption, Reader, Tools};
use super::provenance::{DecodeChain, FrameMap, Provenance, StreamFrames};
use super::stack::Stack;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection<O: Observer> {
    flow: FlowId,
    syn_seen: PerDirection<bool>,
    end: Option<ConnectionEnd>,
    shutdown: Shutdown,
    reassemblers: PerDirection<Reassembler>,
    /// The streams; `None` until the first payload.
    content: Option<Box<Content<O>>>,
    /// What [`Connection::kept_bytes`] last returned to [`Connection::count`].
    counted: usize,
    /// Whether it is among the connections that keep much.
    pub(crate) is_keeper: bool,
}

/// The streams of a connection, and the protocols that read them.
#[derive(Debug)]
struct Content<O: Observer> {
    /// Frame of the first payload.
    first_frame: u64,
    wire_payload: PerDirection<u64>,
    /// The observer's memory of each direction, from its first byte on.
    memories: PerDirection<Option<Box<O::Memory>>>,
    frames: PerDirection<FrameMap>,
    /// Unexplained bytes; `None` until there are any.
    carvers: Option<Box<PerDirection<Carver>>>,
    stack: Stack<O>,
}

/// State that all connections use in turn, while they process a segment.
pub(crate) struct Shared<'s, O: Observer> {
    /// Receives the facts.
    pub observer: &'s mut O,
    pub tools: &'s mut Tools,
    /// The keys and buffers for TLS.
    pub decryption: Decryption<'s>,
}

impl<O: Observer> Connection<O> {
    pub(crate) fn new(flow: FlowId) -> Self {
        Self {
            flow,
            syn_seen: PerDirection::default(),
            end: None,
            shutdown: Shutdown::default(),
            reassemblers: PerDirection::default(),
            content: None,
            counted: 0,
            is_keeper: false,
        }
    }

    /// Its number in the flow table.
    pub(crate) fn flow(&self) -> FlowId {
        self.flow
    }

    /// Whether both sides have closed it, or one has reset it.
    pub(crate) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Whether a SYN of this direction was seen.
    pub(crate) fn has_syn(&self, direction: Direction) -> bool {
        self.syn_seen[direction]
    }

    /// A sequence number relative to that of the direction's SYN.
    pub(crate) fn relative_sequence(&self, direction: Direction, seq: u32) -> Option<u32> {
        let first_byte = self.reassemblers[direction].initial_sequence()?;
        Some(seq.wrapping_sub(first_byte).wrapping_add(1))
    }

    /// Whether a selective acknowledgment in a segment of this direction can be true, given what the other side sent.
    pub(crate) fn may_acknowledge(
        &self,
        direction: Direction,
        ack: u32,
        blocks: impl Iterator<Item = SackBlock>,
    ) -> bool {
        self.reassemblers[direction.opposite()].may_be_acknowledged(ack, blocks)
    }

    /// Bytes that wait for missing bytes before them.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.reassemblers.values().map(Reassembler::pending_bytes).sum()
    }

    /// Bytes that it keeps of unfinished messages and records, to carve, and to compare with retransmissions.
    fn kept_bytes(&self) -> usize {
        let copies: usize = self.reassemblers.values().map(Reassembler::copied_bytes).sum();
        copies + self.content.as_ref().map_or(0, |content| content.kept_bytes())
    }

    /// Bytes that it keeps now, and those at the call before.
    #[inline]
    pub(crate) fn count(&mut self) -> (usize, usize) {
        let now = self.kept_bytes();
        (now, std::mem::replace(&mut self.counted, now))
    }

    /// Bytes that it kept at the last [`Connection::count`].
    pub(crate) fn counted(&self) -> usize {
        self.counted
    }

    /// Keeps less than `enough` bytes from here on. Unexplained bytes are carved now, and copies forgotten; if that does not
    /// suffice, its protocols end here, and what follows is unexplained.
    pub(crate) fn release(&mut self, enough: usize, shared: &mut Shared<'_, O>) {
        self.reassemblers.client_to_server.forget_copies();
        self.reassemblers.server_to_client.forget_copies();
        if let Some(content) = &mut self.content {
            content.release(self.flow.number(), enough, shared);
        }
    }

    /// Processes a segment with `wire_payload` bytes of payload on the wire, the first of them at `origin`, and returns
    /// what became of the payload.
    pub(crate) fn push(
        &mut self,
        direction: Direction,
        segment: &Segment<'_>,
        origin: Origin,
        wire_payload: u64,
        shared: &mut Shared<'_, O>,
    ) -> Disposition {
        self.syn_seen[direction] |= segment.flags.syn();
        // After a reset nothing is acknowledged any more, and its number may be any (RFC 9293 §3.5.2).
        if let Some(ack) = segment.acknowledgment().filter(|_| !segment.flags.rst()) {
            self.reassemblers[direction.opposite()].acknowledge(ack);
        }
        self.shutdown.segment(direction, segment);
        let pushed = self.reassemblers[direction].push(segment, origin);
        if self.end.is_none() && (segment.flags.rst() || segment.flags.fin()) {
            self.end = match self.reassemblers.values().all(Reassembler::is_closed) {
                true => Some(ConnectionEnd::Fin),
                false if segment.flags.rst() => Some(ConnectionEnd::Rst),
                false => None,
            };
        }
        if pushed.disposition != Disposition::Empty {
            let is_midstream = !self.syn_seen.client_to_server && !self.syn_seen.server_to_client;
            let content = self.content.get_or_insert_with(|| Box::new(Content::new(origin.frame)));
            content.wire_payload[direction] += wire_payload;
            if let Some(chunk) = pushed.chunk {
                content.chunk(self.flow.number(), is_midstream, direction, &chunk, shared);
            }
            self.drain(direction, shared);
        }
        pushed.disposition
    }

    /// Abandons the first gap of the direction with the most waiting bytes.
    pub(crate) fn abandon_gap(&mut self, shared: &mut Shared<'_, O>) {
        let most = Direction::BOTH.into_iter().max_by_key(|way| self.reassemblers[*way].pending_bytes());
        if let Some(direction) = most
            && let Some(gap) = self.reassemblers[direction].abandon_gap()
        {
            if let Some(content) = &mut self.content {
                content.gap(self.flow.number(), direction, gap, shared);
            }
            self.drain(direction, shared);
        }
    }

    /// Ends the connection at the end of the capture, or after its last segment.
    pub(crate) fn finish(mut self, ends: Option<Endpoints>, shared: &mut Shared<'_, O>) -> ConnectionSummary {
        for direction in Direction::BOTH {
            self.reassemblers[direction].finish();
            self.drain(direction, shared);
        }
        // Data that the other side acknowledged were sent, even if none of them was captured.
        let was_lost = |reassembler: &Reassembler| {
            let counters = reassembler.counters();
            counters.gap_bytes > 0 || counters.out_of_window > 0
        };
        let has_data = self.content.is_some() || self.reassemblers.values().any(was_lost);
        let wire_payload = self.content.as_ref().map(|content| content.wire_payload).unwrap_or_default();
        let first_payload = self.content.as_ref().map(|content| content.first_frame);
        let stream = self.flow.number();
        let spoken = self.content.map_or(Spoken::Unknown, |content| (*content).finish(stream, shared));
        ConnectionSummary {
            stream: self.flow.number(),
            ends,
            handshake_seen: self.syn_seen.client_to_server && self.syn_seen.server_to_client,
            has_data,
            end: self.end,
            is_settled: self.shutdown.is_settled(),
            wire_payload,
            first_payload,
            tcp: self.reassemblers.map(|reassembler| *reassembler.counters()),
            spoken,
        }
    }

    /// Takes everything that the reassembler has ready. Without content there can still be a gap: bytes that the other side
    /// acknowledged, none of which was captured.
    fn drain(&mut self, direction: Direction, shared: &mut Shared<'_, O>) {
        let is_midstream = !self.syn_seen.client_to_server && !self.syn_seen.server_to_client;
        let stream = self.flow.number();
        while let Some(ready) = self.reassemblers[direction].pop() {
            match (ready, &mut self.content) {
                (Ready::Bytes(bytes), Some(content)) => {
                    content.chunk(stream, is_midstream, direction, &bytes.chunk(), shared);
                }
                (Ready::Gap(gap), Some(content)) => content.gap(stream, direction, gap, shared),
                (_, None) => {}
            }
        }
    }
}

/// Whether a connection still owes something: a segment with content, SYN or FIN that the capture does not show answered.
#[derive(Clone, Copy, Debug, Default)]
struct Shutdown {
    /// The sequence number behind each side's FIN.
    fin_ends: PerDirection<Option<u32>>,
    /// Whether the other side has acknowledged it.
    fins_acknowledged: PerDirection<bool>,
    /// Whether a RST is behind the last segment with content, SYN or FIN.
    is_reset: bool,
    /// Whether each side has sent a RST without acknowledgment behind its FIN. Such a RST answers a segment of the other side
    /// that acknowledged just its number (RFC 9293 §3.5.2), and so the FIN. Its content is the reason: one that only
    /// acknowledges is expected there, unless the connection was already reset.
    resets_behind_fins: PerDirection<bool>,
    /// Whether each side has sent any other RST, behind which it answers every segment with a RST.
    other_resets: PerDirection<bool>,
    /// Whether the other side has sent content or its FIN with an acknowledgment of this side's FIN.
    content_behind_fins: PerDirection<bool>,
}

impl Shutdown {
    #[inline]
    fn segment(&mut self, direction: Direction, segment: &Segment<'_>) {
        let Segment { seq, flags, wire_payload_len, .. } = *segment;
        if flags.rst() {
            self.is_reset = true;
            let is_behind_fin = !flags.ack() && self.fin_ends[direction] == Some(seq);
            self.resets_behind_fins[direction] |= is_behind_fin;
            self.other_resets[direction] |= !is_behind_fin;
        } else if wire_payload_len > 0 || flags.syn() || flags.fin() {
            self.is_reset = false;
        }
        if flags.fin() {
            self.fin_ends[direction] = Some(seq.wrapping_add(wire_payload_len).wrapping_add(1));
        }
        if let (Some(ack), Some(end)) = (segment.acknowledgment(), self.fin_ends[direction.opposite()]) {
            let is_acknowledged = ack.wrapping_sub(end) as i32 >= 0;
            let has_content = wire_payload_len > 0 || flags.fin();
            self.fins_acknowledged[direction.opposite()] |= is_acknowledged;
            self.content_behind_fins[direction.opposite()] |= is_acknowledged && has_content;
        }
    }

    fn is_settled(&self) -> bool {
        let has_answered = |direction| {
            !self.resets_behind_fins[direction]
                || self.content_behind_fins[direction]
                || (self.other_resets[direction] && self.fins_acknowledged[direction])
        };
        (self.is_reset || self.fins_acknowledged.values().all(|acknowledged| *acknowledged))
            && Direction::BOTH.into_iter().all(has_answered)
    }
}

impl<O: Observer> Content<O> {
    fn new(first_frame: u64) -> Self {
        Self {
            first_frame,
            wire_payload: PerDirection::default(),
            memories: PerDirection::default(),
            frames: PerDirection::default(),
            carvers: None,
            stack: Stack::default(),
        }
    }

    fn chunk(
        &mut self,
        stream: u32,
        is_midstream: bool,
        direction: Direction,
        chunk: &Chunk<'_>,
        shared: &mut Shared<'_, O>,
    ) {
        self.frames[direction].push(chunk);
        shared.observer.observe(&Fact::Chunk(stream, direction, chunk));
        let is_undecided = self.stack.is_protected(direction);
        let bytes = Bytes {
            bytes: chunk.bytes,
            sequence: if is_undecided { Sequence::UndecidedStream } else { Sequence::Stream },
            chain: DecodeChain::default(),
            needs_secret: false,
        };
        let memory = self.memories[direction].get_or_insert_default();
        let frames = StreamFrames { stream, maps: &self.frames };
        shared.observer.bytes(memory, &bytes, &frames.of(direction));
        let mut cx = Self::context(stream, is_midstream, &mut self.carvers, shared);
        self.stack.push(direction, chunk.stream_offset, chunk.bytes, &frames, &mut cx);
        let memory = self.memories[direction].get_or_insert_default();
        if is_undecided {
            let decided = self.stack.decided(direction);
            decided.for_each(|authentic| shared.observer.decide(memory, authentic, &frames.of(direction)));
        }
        let mut keep = shared.observer.keep_from(memory);
        keep = keep.min(self.stack.keep_from(direction, shared.observer));
        if let Some(carvers) = &self.carvers
            && let Some(carved) = carvers[direction].keep_from()
        {
            keep = keep.min(carved);
        }
        self.frames[direction].forget_before(keep);
    }

    fn gap(&mut self, stream: u32, direction: Direction, gap: Gap, shared: &mut Shared<'_, O>) {
        self.decide_all(stream, direction, shared);
        shared.observer.gap(self.memories[direction].get_or_insert_default(), gap.len);
        let mut cx = Self::context(stream, false, &mut self.carvers, shared);
        let frames = StreamFrames { stream, maps: &self.frames };
        self.stack.gap(direction, gap.stream_offset, gap.len, &frames, &mut cx);
    }

    /// An unfinished record authenticates nothing.
    fn decide_all(&mut self, stream: u32, direction: Direction, shared: &mut Shared<'_, O>) {
        if let Some(memory) = &mut self.memories[direction] {
            let frames = StreamFrames { stream, maps: &self.frames };
            shared.observer.decide(memory, u64::MAX..u64::MAX, &frames.of(direction));
        }
    }

    fn kept_bytes(&self) -> usize {
        let carved = |carvers: &PerDirection<Carver>| carvers.values().map(Carver::kept_bytes).sum();
        self.stack.kept_bytes() + self.carvers.as_ref().map_or(0, |carvers| carved(carvers))
    }

    fn release(&mut self, stream: u32, enough: usize, shared: &mut Shared<'_, O>) {
        if self.stack.kept_bytes() >= enough {
            shared.observer.observe(&Fact::BoundHit(Bound::HeldBytes));
            Direction::BOTH.into_iter().for_each(|direction| self.decide_all(stream, direction, shared));
            let mut cx = Self::context(stream, false, &mut self.carvers, shared);
            let frames = StreamFrames { stream, maps: &self.frames };
            self.stack.give_up(&frames, &mut cx);
        }
        self.carve(stream, shared);
    }

    /// Tries to decompress the unexplained bytes that are kept.
    fn carve(&mut self, stream: u32, shared: &mut Shared<'_, O>) {
        let frames = StreamFrames { stream, maps: &self.frames };
        for (direction, carver) in self.carvers.iter_mut().flat_map(|carvers| carvers.iter_mut()) {
            let (from, bytes) = carver.take();
            let Tools { decoder, carve_budget, .. } = &mut *shared.tools;
            carve(&bytes, shared.observer, decoder, carve_budget, |start, end| {
                frames.of(direction).locate(from + start as u64..from + end as u64)
            });
        }
    }

    fn finish(mut self, stream: u32, shared: &mut Shared<'_, O>) -> Spoken {
        Direction::BOTH.into_iter().for_each(|direction| self.decide_all(stream, direction, shared));
        let mut cx = Self::context(stream, false, &mut self.carvers, shared);
        let frames = StreamFrames { stream, maps: &self.frames };
        let stack = std::mem::take(&mut self.stack);
        let spoken = stack.finish(&frames, &mut cx);
        self.carve(stream, shared);
        spoken
    }

    fn context<'c>(
        stream: u32,
        is_midstream: bool,
        carvers: &'c mut Option<Box<PerDirection<Carver>>>,
        shared: &'c mut Shared<'_, O>,
    ) -> Context<'c, O> {
        let Shared { observer, tools, decryption: Decryption { keys, workspace } } = shared;
        let decryption = Some(Decryption { keys: *keys, workspace });
        Context {
            observer,
            tools,
            stream: Some(stream),
            is_midstream,
            carvers: Some(carvers),
            decryption,
            is_within_stream: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use dissect::tcp::Flags;

    use super::*;

    const CLIENT: Direction = Direction::ClientToServer;
    const SERVER: Direction = Direction::ServerToClient;

    fn segment(seq: u32, ack: u32, flags: u8, wire_payload_len: u32) -> Segment<'static> {
        Segment { seq, ack, flags: Flags(flags), wire_payload_len, ..Segment::default() }
    }

    const RST: u8 = Flags::RST.0;
    const ACK: u8 = Flags::ACK.0;

    fn is_settled(segments: &[(Direction, Segment<'_>)]) -> bool {
        let mut shutdown = Shutdown::default();
        segments.iter().for_each(|(direction, segment)| shutdown.segment(*direction, segment));
        shutdown.is_settled()
    }

    #[test]
    fn a_reset_without_acknowledgment_answers_a_captured_segment() {
        let fin = (CLIENT, segment(100, 500, Flags::FIN.0 | ACK, 0));
        let alert = (SERVER, segment(500, 101, ACK, 24));
        let reset = (CLIENT, segment(101, 0, RST, 0));
        assert!(is_settled(&[fin, alert, reset]));
        assert!(is_settled(&[fin, (SERVER, segment(500, 101, Flags::FIN.0 | ACK, 0)), reset]));
        assert!(!is_settled(&[fin, reset]), "what the reset answers is missing");
        let acknowledged = (SERVER, segment(500, 101, ACK, 0));
        assert!(is_settled(&[fin, acknowledged, alert, reset]));
        assert!(!is_settled(&[fin, acknowledged, reset]), "an acknowledgment alone is no reason to reset");
        assert!(!is_settled(&[(SERVER, segment(400, 100, ACK, 100)), fin, reset]));
        assert!(is_settled(&[(SERVER, segment(400, 100, ACK, 100)), (CLIENT, segment(100, 0, RST, 0))]));
        // The connection is reset already, and what acknowledges the FIN crosses that RST.
        let first = (CLIENT, segment(101, 500, RST | ACK, 0));
        assert!(is_settled(&[fin, first, acknowledged, reset]));
        assert!(is_settled(&[fin, acknowledged, first, reset]), "packets are handled on several CPUs");
        assert!(!is_settled(&[fin, first, reset]), "what the second reset answers is missing");
        // Sent without being asked (RFC 9293 §3.10.5).
        assert!(is_settled(&[fin, (CLIENT, segment(101, 500, RST | ACK, 0))]));
    }
}
