//! Turns the frames of a capture into facts.
//!
//! It keeps the invariant on which the word "absent" depends: **every captured byte reaches the observer**. Payload
//! that joins its stream arrives in the sequence of that stream. Everything else (headers, trailers, retransmitted and
//! contradicting segments, frames other than TCP) arrives frame by frame.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use dissect::capture::{Record, SkippedBlocks};
use dissect::flow::{Arrival, Direction, FlowId, FlowSegment, FlowTable};
use dissect::fragment::Reassembler;
use dissect::frame::{self, Frame, Network, Transport};
use dissect::ip::{Fragment, Ip};
use dissect::keylog::KeyLog;
use dissect::link::LinkType;
use dissect::tcp::{Disposition, Segment};
use dissect::tls::{ServerKeys, Workspace};

use super::carve::carve;
use super::connection::{Connection, Shared};
use super::datagram::{self, Quic, QuicSessions};
use super::fact::{At, Fact, FrameBytes, Observer, SegmentFact, Unexplained, UnexplainedFact};
use super::protocol::{BodyNeeds, Decryption, Tools};
use super::provenance::Location;
use crate::arp;
use crate::input::capture::Sink;
use crate::tcp_options::UsualOptions;
use crate::trailer;

/// Bytes that may wait for missing bytes in all connections together. The connection that exceeds it abandons its first
/// gap.
pub(crate) const MAX_PENDING_TOTAL: usize = 8 << 20;

/// Bytes that all connections together keep until more come: unfinished heads, records and messages, tables of header
/// compression, unexplained bytes to carve, copies to compare with retransmissions. Ten thousand connections with half a TLS
/// record each have 80 MiB. Beyond it, the connection that has kept much for longest keeps nothing more.
pub(crate) const MAX_HELD_TOTAL: usize = 128 << 20;

/// A connection that keeps fewer bytes never has to give them up: each takes some kilobytes in any case.
const FEW_HELD: usize = 4 << 10;

/// Closed connections that still accept late segments. A later segment reaches the observer frame by frame.
pub(crate) const MAX_LINGERING: usize = 128;

/// Headers without options (RFC 791, RFC 8200, RFC 9293).
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;

/// The pipeline of one capture.
#[derive(Debug)]
pub(crate) struct Pipeline<O: Observer> {
    pub(super) observer: O,
    pub(super) tools: Tools,
    pub(super) keys: Option<Arc<KeyLog>>,
    workspace: Workspace,
    pub(super) fragments: Reassembler,
    pub(super) flows: FlowTable,
    pub(super) quic: QuicSessions<O>,
    /// By number of the flow; `None` for those that are over.
    connections: Vec<Option<Box<Connection<O>>>>,
    lingering: VecDeque<FlowId>,
    /// Connections that kept more than [`FEW_HELD`], in the order in which they began to.
    keepers: VecDeque<FlowId>,
    /// Bytes that all connections keep.
    held: usize,
    pending: usize,
    dropped: u64,
    snaplen: Option<u32>,
    skipped_blocks: SkippedBlocks,
}

/// The result of a pipeline.
#[derive(Debug)]
pub(crate) struct Finished<O> {
    /// The observer, which received the facts.
    pub observer: O,
    /// Whether there was a key log, beside the capture or in it, or a server key opened a handshake.
    pub has_keys: bool,
    /// The RSA keys of servers, with their use.
    pub server_keys: ServerKeys,
    /// Frames that the capture itself counts as dropped.
    pub dropped: u64,
    /// The most bytes that the capture's headers allow for a frame; `None` without a limit.
    pub snaplen: Option<u32>,
    /// Blocks of the capture that carry no frame.
    pub skipped_blocks: SkippedBlocks,
}

impl<O: Observer> Pipeline<O> {
    /// A pipeline that reports to `observer` and decrypts with `keys`.
    pub(crate) fn new(observer: O, needs: BodyNeeds, keys: Option<Arc<KeyLog>>) -> Self {
        Self {
            observer,
            tools: Tools { needs, ..Tools::default() },
            keys,
            workspace: Workspace::new(),
            fragments: Reassembler::default(),
            flows: FlowTable::default(),
            quic: QuicSessions::default(),
            connections: Vec::new(),
            lingering: VecDeque::new(),
            keepers: VecDeque::new(),
            held: 0,
            pending: 0,
            dropped: 0,
            snaplen: None,
            skipped_blocks: SkippedBlocks::default(),
        }
    }

    /// Opens connections with the RSA keys of servers, too. To be called before the first frame.
    pub(crate) fn use_server_keys(&mut self, keys: ServerKeys) {
        self.workspace.use_server_keys(keys);
    }

    /// The observer, which has the facts of all frames so far.
    pub(crate) fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Ends the capture.
    pub(crate) fn finish(mut self) -> Finished<O> {
        self.finish_fragments();
        for connection in std::mem::take(&mut self.connections).into_iter().flatten() {
            self.close(*connection);
        }
        std::mem::take(&mut self.quic).finish(&mut self.observer, &mut self.tools);
        let server_keys = self.workspace.take_server_keys();
        Finished {
            observer: self.observer,
            has_keys: self.keys.is_some() || server_keys.iter().any(|(_, used)| used.opened > 0),
            server_keys,
            dropped: self.dropped,
            snaplen: self.snaplen,
            skipped_blocks: self.skipped_blocks,
        }
    }

    fn frame(&mut self, record: &Record<'_>) {
        let frame = frame::decode(record.link_type, record.bytes, record.original_len);
        self.observer.observe(&Fact::Frame(record, &frame));
        match frame.network {
            Network::Aggregate(offset) => self.aggregate(record, &frame, offset),
            _ => self.packet(record, &frame),
        }
    }

    fn packet(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        match (frame.ip(), self.flows.segment(frame)) {
            (Some(ip), Some(segment)) => {
                self.unexplained_headers(record, frame, ip, &segment);
                self.segment(record, &segment);
                self.unexplained_options(record, ip, &segment);
            }
            (Some(ip), None) if ip.fragment != Fragment::No => self.fragment(record, frame, ip),
            _ => self.other(record, frame),
        }
    }

    /// Several frames in one: each is read as a frame of its own, with the padding behind it.
    #[cold]
    fn aggregate(&mut self, record: &Record<'_>, frame: &Frame<'_>, offset: u32) {
        let mut starts: Vec<usize> =
            frame::aggregated(record.bytes, offset).map(|subframe| subframe.start).collect();
        let Some(first) = starts.first().copied() else { return self.other(record, frame) };
        let header = part_of(record, 0..first, record.link_type);
        self.observer.frame_bytes(&FrameBytes { record: &header, stream: None, in_stream: None });
        self.observer.observe(&Fact::NoSegment(first as u64));
        self.unexplained_frame(&header, None, Unexplained::Encapsulation);
        starts.push(record.bytes.len());
        for subframe in starts.windows(2) {
            let &[start, end] = subframe else { continue };
            let subframe = part_of(record, start..end, LinkType::ETHERNET);
            let decoded = frame::decode(subframe.link_type, subframe.bytes, subframe.original_len);
            self.packet(&subframe, &decoded);
        }
    }

    pub(super) fn segment(&mut self, record: &Record<'_>, flow_segment: &FlowSegment<'_, '_>) {
        let FlowSegment { flow, direction, arrival, segment } = *flow_segment;
        if let Arrival::Reopens { previous } = arrival {
            self.retire(previous);
        }
        if arrival.is_first() {
            self.connections.push(Some(Box::new(Connection::new(flow))));
        }
        let mut fact = SegmentFact {
            frame: record.frame,
            captured_at: record.captured_at,
            stream: flow.number(),
            direction,
            relative_sequence: None,
            is_first_syn: false,
            wire_bytes: wire_len(record),
            wire_payload: payload_on_wire(record, segment.payload_offset, segment.wire_payload_len),
            payload: segment.payload,
            disposition: None,
        };
        let Some(connection) = &mut self.connections[flow.index()] else {
            self.observer.observe(&Fact::Segment(&fact));
            self.late(record, flow, segment);
            return;
        };
        let waiting = connection.pending_bytes();
        let was_over = connection.is_over();
        let had_syn = connection.has_syn(direction);
        let mut shared = Shared {
            observer: &mut self.observer,
            tools: &mut self.tools,
            decryption: Decryption { keys: self.keys.as_ref(), workspace: &mut self.workspace },
        };
        let origin = record.origin(segment.payload_offset);
        let disposition = connection.push(direction, segment, origin, fact.wire_payload, &mut shared);
        self.pending = self.pending + connection.pending_bytes() - waiting;
        if self.pending > MAX_PENDING_TOTAL {
            let waiting = connection.pending_bytes();
            connection.abandon_gap(&mut shared);
            self.pending = self.pending + connection.pending_bytes() - waiting;
        }
        // What a connection keeps changes with its payload only, but for copies that an acknowledgment ends: they count up to
        // the next payload.
        if disposition != Disposition::Empty {
            let (held, before) = connection.count();
            self.held = self.held + held - before;
            if held > FEW_HELD && !connection.is_keeper {
                connection.is_keeper = true;
                self.keepers.push_back(flow);
            }
        }
        fact.relative_sequence = connection.relative_sequence(direction, segment.seq);
        fact.is_first_syn = segment.flags.syn() && !had_syn;
        fact.disposition = Some(disposition);
        let is_over = connection.is_over();
        self.observer.observe(&Fact::Segment(&fact));
        self.outside_of_stream(record, flow_segment, disposition);
        if !was_over && is_over {
            self.lingering.push_back(flow);
        }
        if self.lingering.len() > MAX_LINGERING
            && let Some(oldest) = self.lingering.pop_front()
        {
            self.retire(oldest);
        }
        while self.held > MAX_HELD_TOTAL
            && let Some(oldest) = self.keepers.pop_front()
        {
            self.release(oldest);
        }
    }

    /// A connection keeps no more than a few bytes from here on.
    #[cold]
    fn release(&mut self, flow: FlowId) {
        let Some(connection) = &mut self.connections[flow.index()] else { return };
        connection.is_keeper = false;
        if connection.counted() > FEW_HELD {
            let mut shared = Shared {
                observer: &mut self.observer,
                tools: &mut self.tools,
                decryption: Decryption { keys: self.keys.as_ref(), workspace: &mut self.workspace },
            };
            connection.release(FEW_HELD, &mut shared);
            let (held, before) = connection.count();
            self.held = self.held + held - before;
        }
    }

    /// Hands over the bytes of a segment's frame that did not join its stream.
    #[inline]
    fn outside_of_stream(
        &mut self,
        record: &Record<'_>,
        FlowSegment { flow, direction, segment, .. }: &FlowSegment<'_, '_>,
        disposition: Disposition,
    ) {
        let start = segment.payload_offset as usize;
        let payload = start..start + segment.payload.len();
        let stream = Some((flow.number(), *direction));
        let in_stream = disposition.is_in_stream().then_some(payload);
        self.observer.frame_bytes(&FrameBytes { record, stream, in_stream });
        if let Disposition::Conflict | Disposition::OutOfWindow = disposition {
            self.carve(record, start, segment.payload, stream);
        }
    }

    fn retire(&mut self, flow: FlowId) {
        self.flows.retire(flow);
        if let Some(connection) = self.connections[flow.index()].take() {
            self.pending -= connection.pending_bytes();
            self.held -= connection.counted();
            self.close(*connection);
        }
    }

    fn close(&mut self, connection: Connection<O>) {
        let ends = self.flows.endpoints(connection.flow());
        let summary = connection.finish(
            ends,
            &mut Shared {
                observer: &mut self.observer,
                tools: &mut self.tools,
                decryption: Decryption { keys: self.keys.as_ref(), workspace: &mut self.workspace },
            },
        );
        self.observer.observe(&Fact::Closed(&summary));
    }

    /// A segment of a connection that ended long before.
    fn late(&mut self, record: &Record<'_>, flow: FlowId, tcp: &Segment<'_>) {
        self.observer.frame_bytes(&FrameBytes { record, stream: None, in_stream: None });
        if !tcp.payload.is_empty() {
            self.observer.observe(&Fact::Unexplained(&UnexplainedFact {
                at: At::Frame { frame: record.frame, stream: Some(flow.number()) },
                bytes: tcp.payload.len() as u64,
                why: Unexplained::LateData,
            }));
            self.carve(record, tcp.payload_offset as usize, tcp.payload, None);
        }
    }

    /// A frame without a TCP header.
    fn other(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        self.whole_frame(record);
        let why = match (&frame.transport, &frame.network) {
            (Transport::Absent, Network::Arp) => match arp::bare_packet(record.link_type, record.bytes) {
                Some(_) => return,
                None => Unexplained::Arp,
            },
            (Transport::Icmp, _) => Unexplained::Icmp,
            (Transport::Icmpv6, _) => Unexplained::Icmpv6,
            (Transport::Udp(udp), Network::Ip(ip)) => {
                let start = udp.payload_offset as usize;
                let keys = self.keys.as_deref();
                let quic = Quic { sessions: &mut self.quic, keys, tools: &mut self.tools };
                datagram::read(&mut self.observer, quic, record, ip, udp, &|range| {
                    Location::in_frame(record, start + range.start..start + range.end, None)
                })
            }
            (Transport::Udp(_), _) => Unexplained::Udp,
            (Transport::Other(protocol), _) => Unexplained::IpProtocol(*protocol),
            (Transport::Absent, Network::Other(ether_type)) => Unexplained::EtherType(*ether_type),
            _ => Unexplained::Undecoded(frame.stop),
        };
        self.unexplained_frame(record, None, why);
    }

    /// Hands over a frame that no stream carries.
    pub(super) fn whole_frame(&mut self, record: &Record<'_>) {
        self.observer.observe(&Fact::NoSegment(wire_len(record)));
        self.observer.frame_bytes(&FrameBytes { record, stream: None, in_stream: None });
        self.carve(record, 0, record.bytes, None);
    }

    /// Options and trailers can contain anything, including forms that no search for a string finds.
    #[inline]
    fn unexplained_headers(
        &mut self,
        record: &Record<'_>,
        frame: &Frame<'_>,
        ip: &Ip,
        segment: &FlowSegment<'_, '_>,
    ) {
        let (tcp, stream) = (segment.segment, segment.flow.number());
        let (ip_at, tcp_at) = (ip.offset as usize, ip.payload_offset as usize);
        if !frame.encapsulations.is_empty() || !has_plain_header(record.link_type) {
            self.unexplained_part(record, stream, 0..ip_at, Unexplained::Encapsulation);
        }
        let end = tcp.payload_offset as usize + tcp.payload.len();
        let options_at = ip_at + if ip.src.is_v4() { IPV4_HEADER } else { IPV6_HEADER };
        if tcp_at > options_at {
            self.unexplained_part(record, stream, options_at..tcp_at, Unexplained::IpOptions);
        }
        if !trailer::is_empty(record.link_type, record.bytes, end) {
            self.unexplained_part(record, stream, end..record.bytes.len(), Unexplained::Trailer);
        }
    }

    /// Checks the options of a segment that its connection has processed.
    #[inline]
    fn unexplained_options(&mut self, record: &Record<'_>, ip: &Ip, segment: &FlowSegment<'_, '_>) {
        let tcp = segment.segment;
        let part = ip.payload_offset as usize + TCP_HEADER..tcp.payload_offset as usize;
        let options = record.bytes.get(part.clone()).unwrap_or_default();
        let why = match UsualOptions::read(options, tcp.flags) {
            None => Unexplained::TcpOptions,
            Some(usual) if usual.has_no_sack() || self.acknowledges_what_was_sent(segment, usual) => return,
            Some(_) => Unexplained::FalseSack,
        };
        self.unexplained_part(record, segment.flow.number(), part, why);
    }

    /// Whether the selective acknowledgment can be true, given what the capture shows of the other side.
    #[cold]
    fn acknowledges_what_was_sent(&self, segment: &FlowSegment<'_, '_>, usual: UsualOptions<'_>) -> bool {
        self.connections[segment.flow.index()].as_ref().is_some_and(|connection| {
            connection.may_acknowledge(segment.direction, segment.segment.ack, usual.sack_blocks())
        })
    }

    #[cold]
    fn unexplained_part(&mut self, record: &Record<'_>, stream: u32, part: Range<usize>, why: Unexplained) {
        let Some(bytes) = record.bytes.get(part.clone()) else { return };
        self.observer.observe(&Fact::Unexplained(&UnexplainedFact {
            at: At::Frame { frame: record.frame, stream: Some(stream) },
            bytes: bytes.len() as u64,
            why,
        }));
        self.carve(record, part.start, bytes, None);
    }

    /// Reports a frame that no parser explains. Its bytes were already handed over; they are carved unless they belong
    /// to TCP.
    pub(super) fn unexplained_frame(&mut self, record: &Record<'_>, stream: Option<u32>, why: Unexplained) {
        self.observer.observe(&Fact::Unexplained(&UnexplainedFact {
            at: At::Frame { frame: record.frame, stream },
            bytes: record.bytes.len() as u64,
            why,
        }));
    }

    /// The means to decompress what no protocol explains.
    pub(super) fn tools(&mut self) -> (&mut O, &mut Tools) {
        (&mut self.observer, &mut self.tools)
    }

    fn carve(&mut self, record: &Record<'_>, offset: usize, bytes: &[u8], stream: Option<(u32, Direction)>) {
        let Tools { decoder, carve_budget, .. } = &mut self.tools;
        carve(bytes, &mut self.observer, decoder, carve_budget, |from, to| {
            Location::in_frame(record, offset + from..offset + to, stream)
        });
    }
}

impl<O: Observer> Sink for Pipeline<O> {
    #[inline]
    fn record(&mut self, record: &Record<'_>) {
        self.frame(record);
    }

    fn beside_frames(&mut self, file_offset: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.observer.observe(&Fact::BesideFrames(file_offset, bytes));
        }
    }

    fn dropped(&mut self, frames: u64) {
        self.dropped = frames;
    }

    fn snaplen(&mut self, snaplen: Option<u32>) {
        self.snaplen = snaplen;
    }

    fn skipped_blocks(&mut self, blocks: SkippedBlocks) {
        self.skipped_blocks = blocks;
    }

    fn secrets(&mut self, key_log: &[u8]) {
        // Copied at most once, when the caller keeps the key log, too.
        Arc::make_mut(self.keys.get_or_insert_default()).extend(key_log);
    }
}

/// Whether the link's header has only fields that are described as exceptions, such as addresses.
#[inline]
fn has_plain_header(link_type: LinkType) -> bool {
    matches!(
        link_type,
        LinkType::ETHERNET
            | LinkType::LINUX_SLL
            | LinkType::LINUX_SLL2
            | LinkType::NULL
            | LinkType::LOOP
            | LinkType::RAW
            | LinkType::RAW_BSD
            | LinkType::RAW_OPENBSD
            | LinkType::IPV4
            | LinkType::IPV6
    )
}

/// A part of a frame as a record of its own. The last part has what the capture lacks of the frame.
fn part_of<'a>(record: &Record<'a>, range: Range<usize>, link_type: LinkType) -> Record<'a> {
    let bytes = record.bytes.get(range.clone()).unwrap_or_default();
    let lacks = match range.end == record.bytes.len() {
        true => record.original_len.saturating_sub(record.bytes.len() as u32),
        false => 0,
    };
    let file_offset = record.file_offset + range.start as u64;
    Record { link_type, bytes, original_len: bytes.len() as u32 + lacks, file_offset, ..*record }
}

/// Length of a frame on the wire. A record may claim fewer bytes than it contains.
#[inline]
pub(crate) fn wire_len(record: &Record<'_>) -> u64 {
    u64::from(record.original_len).max(record.bytes.len() as u64)
}

/// Length of the payload on the wire. The headers may claim more than the frame has room for.
#[inline]
pub(crate) fn payload_on_wire(record: &Record<'_>, payload_offset: u32, claimed: u32) -> u64 {
    u64::from(claimed).min(wire_len(record).saturating_sub(u64::from(payload_offset)))
}

#[cfg(test)]
mod tests {
    use craft::conversation::{Connection as Conversation, Frames, Settings, Side};

    use super::super::fact::{Bound, FactObserver};
    use super::*;

    #[derive(Debug, Default)]
    struct Facts {
        bounds: Vec<Bound>,
        unexplained: u64,
        messages: usize,
    }

    impl FactObserver for Facts {
        fn observe(&mut self, fact: &Fact<'_>) {
            match fact {
                Fact::BoundHit(bound) => self.bounds.push(*bound),
                Fact::Unexplained(fact) => self.unexplained += fact.bytes,
                Fact::Message(_) => self.messages += 1,
                _ => {}
            }
        }
    }

    /// Sends `first`, gives up what the connection keeps, and sends `rest`. Returns the facts, and the bytes kept before and
    /// after.
    fn released(first: &[u8], rest: &[u8]) -> (Facts, usize, usize) {
        let settings = Settings::new(
            "10.0.0.1:40000".parse().expect("an address"),
            "10.0.0.2:80".parse().expect("an address"),
        );
        let mut conversation = Conversation::new(settings).expect("one IP version");
        let mut pipeline = Pipeline::new(Facts::default(), BodyNeeds::default(), None);
        let mut number = 0;
        let mut send = |bytes: Option<&[u8]>, pipeline: &mut Pipeline<Facts>| {
            let mut frames = Frames::default();
            match bytes {
                None => conversation.open(0, &mut frames).expect("a fresh connection"),
                Some(bytes) => conversation.send(Side::Client, bytes, 0, &mut frames).expect("it is open"),
            }
            for frame in frames.iter() {
                number += 1;
                let original_len = frame.bytes.len() as u32;
                let link_type = LinkType::ETHERNET;
                let at = Record { frame: number, link_type, original_len, bytes: frame.bytes, ..RECORD };
                pipeline.frame(&at);
            }
        };
        send(None, &mut pipeline);
        send(Some(first), &mut pipeline);
        let before = pipeline.held;
        let flow = pipeline.keepers.pop_front().expect("a connection that keeps much");
        pipeline.release(flow);
        let after = pipeline.held;
        send(Some(rest), &mut pipeline);
        assert!(pipeline.held <= FEW_HELD, "{} bytes are kept later", pipeline.held);
        (pipeline.finish().observer, before, after)
    }

    const RECORD: Record<'static> = Record {
        frame: 0,
        captured_at: 0,
        interface: 0,
        link_type: LinkType::ETHERNET,
        original_len: 0,
        file_offset: 0,
        bytes: &[],
    };

    #[test]
    fn a_connection_that_gives_up_an_unfinished_message_has_a_doubt_and_no_message() {
        let first = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'a'; 20_000]].concat();
        let rest = b"\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        let (facts, before, after) = released(&first, rest);
        assert!(before >= first.len() && after <= FEW_HELD, "{before}, then {after}");
        assert_eq!((&facts.bounds[..], facts.messages), (&[Bound::HeldBytes][..], 0));
        assert_eq!(facts.unexplained, (first.len() + rest.len()) as u64);
    }

    #[test]
    fn unexplained_bytes_are_carved_early_and_nothing_is_lost() {
        let (first, rest) = (vec![1; 20_000], vec![1; 20_000]);
        let (facts, before, after) = released(&first, &rest);
        assert!(before >= first.len() && after <= FEW_HELD, "{before}, then {after}");
        assert_eq!((&facts.bounds[..], facts.messages), (&[][..], 0));
        assert_eq!(facts.unexplained, (first.len() + rest.len()) as u64);
    }
}
