//! One pass over the frames of a capture.
//!
//! The invariant that the word "absent" rests on: **every captured byte is searched**. The payload of a segment that
//! joins its stream is searched there; everything else (headers, trailers, repeated and contradicting segments, frames
//! that are not TCP) is searched frame by frame.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use dissect::arp::Arp;
use dissect::capture::Record;
use dissect::decode_stop::StopReason;
use dissect::flow::Direction;
use dissect::frame::{self, Frame, Network, Transport, UsualOptions};
use dissect::ip::Ip;
use dissect::keylog::KeyLog;
use dissect::link::LinkType;
use dissect::tcp::{Disposition, Segment};
use dissect::tls::Workspace;
use exposure_schema::Level;
use foldhash::fast::FixedState;

use crate::input::capture::Sink;
use crate::observe::connection_stats::FrameMeta;
use crate::observe::connections::Streams;
use crate::observe::evidence::{Evidence, direction};
use crate::observe::hits::Place;
use crate::observe::packet_list::{payload_on_wire, wire_len};
use crate::pipeline::carve::carve;
use crate::pipeline::connection::{Connection, Endpoint, Shared, Summary};
use crate::search::{MAX_ANCHOR, TOO_MANY_MATCHES, allowed};

/// Bytes that may wait behind holes in all connections together. Beyond it the connection that pushed gives up on its
/// hole, and the gap is reported.
pub(crate) const MAX_PENDING_TOTAL: usize = 8 << 20;

/// Closed connections that are still listened to for late segments. Later ones are searched on their own.
pub(crate) const MAX_LINGERING: usize = 128;

/// Headers without options (RFC 791, RFC 8200, RFC 9293).
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;

/// Counts of frames by what they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frames {
    /// All of them.
    pub total: u64,
    /// Bytes captured.
    pub bytes: u64,
    /// Cut by the capture's snaplen.
    pub truncated: u64,
    /// Dropped, as the capture itself says.
    pub dropped: u64,
    /// TCP segments.
    pub tcp: u64,
    /// ARP.
    pub control: u64,
    /// UDP, ICMP and other protocols, which are searched but not read.
    pub other: u64,
    /// Not decoded to a transport header: fragments, malformed or unknown headers.
    pub undecoded: u64,
    /// Time of the first frame, nanoseconds since the epoch.
    pub first_at: Option<u64>,
    /// Time of the last frame.
    pub last_at: Option<u64>,
    /// The lowest time of a frame: a file need not be in the order of time.
    pub earliest_at: Option<u64>,
    /// The highest.
    pub latest_at: Option<u64>,
    /// Link type of the first frame, and the first other one.
    pub link_types: [Option<LinkType>; 2],
}

impl Frames {
    /// What the capture itself says of dropped frames, as a doubt.
    pub(crate) fn told_drops(&self) -> String {
        format!("the capture itself says that {} frame(s) were dropped", self.dropped)
    }
}

/// The pass.
#[derive(Debug)]
pub(crate) struct Pipeline<'k> {
    shared: Shared<'k>,
    by_endpoints: HashMap<(Endpoint, Endpoint), u32, FixedState>,
    connections: Vec<Option<Box<Connection>>>,
    lingering: VecDeque<u32>,
    pending: usize,
    frames: Frames,
    streams: Streams,
}

impl<'k> Pipeline<'k> {
    /// A pass that collects into `evidence` and decrypts with `keys`.
    pub(crate) fn new(evidence: Evidence<'k>, keys: Option<Arc<KeyLog>>) -> Self {
        Self {
            shared: Shared { evidence, keys, workspace: Workspace::new() },
            by_endpoints: HashMap::default(),
            connections: Vec::new(),
            lingering: VecDeque::new(),
            pending: 0,
            frames: Frames::default(),
            streams: Streams::default(),
        }
    }

    /// Whether there is a key log, given or in the capture itself.
    pub(crate) fn has_keys(&self) -> bool {
        self.shared.keys.is_some()
    }

    fn frame(&mut self, record: &Record<'_>) {
        self.frames.total += 1;
        self.frames.bytes += record.bytes.len() as u64;
        self.frames.truncated += u64::from(record.is_truncated());
        self.frames.first_at.get_or_insert(record.captured_at);
        self.frames.last_at = Some(record.captured_at);
        let at = record.captured_at;
        self.frames.earliest_at = Some(self.frames.earliest_at.map_or(at, |earliest| earliest.min(at)));
        self.frames.latest_at = Some(self.frames.latest_at.map_or(at, |latest| latest.max(at)));
        let [first, other] = &mut self.frames.link_types;
        if *first.get_or_insert(record.link_type) != record.link_type {
            other.get_or_insert(record.link_type);
        }
        let frame = frame::decode(record.link_type, record.bytes, record.original_len);
        self.shared.evidence.times.push(record.captured_at);
        self.shared.evidence.packets.push(record, &frame);
        match (frame.ip(), &frame.transport) {
            (Some(ip), Transport::Tcp(tcp)) => {
                self.frames.tcp += 1;
                if let Some(stop) = frame.stop
                    && stop.reason == StopReason::Fragment
                {
                    self.undecoded(record, &stop.to_string());
                }
                self.doubt_headers(record, ip, tcp);
                self.segment(record, (ip.src, tcp.src_port), (ip.dst, tcp.dst_port), tcp);
                self.doubt_options(record, ip, tcp);
            }
            _ => self.other(record, &frame),
        }
    }

    /// The capture is over.
    pub(crate) fn finish(mut self) -> (Evidence<'k>, Frames, Streams) {
        for connection in std::mem::take(&mut self.connections).into_iter().flatten() {
            let summary = connection.finish(&mut self.shared);
            self.streams.add(summary);
        }
        self.streams.sort();
        (self.shared.evidence, self.frames, self.streams)
    }

    fn segment(&mut self, record: &Record<'_>, src: Endpoint, dst: Endpoint, tcp: &Segment<'_>) {
        let index = self.stream(src, dst, tcp);
        let payload_offset = tcp.payload_offset as usize;
        let passing = FrameMeta {
            frame: record.frame,
            at: record.captured_at,
            wire_bytes: wire_len(record),
            payload: payload_on_wire(record, tcp.payload_offset, tcp.wire_payload_len),
        };
        self.shared.evidence.traffic.tcp(passing.wire_bytes, passing.payload, tcp.payload);
        let Some(connection) = &mut self.connections[index as usize] else {
            self.shared.evidence.traffic.clear(passing.payload);
            self.late(record, index, tcp);
            return;
        };
        let side = connection.side_of(src);
        let waiting = connection.pending_bytes();
        let was_over = connection.is_over();
        let disposition =
            connection.push(side, tcp, record.origin(tcp.payload_offset), &passing, &mut self.shared);
        let sequence = connection.relative_sequence(side, tcp.seq);
        self.shared.evidence.packets.belongs(record.frame, index, direction(side), sequence);
        self.pending = self.pending + connection.pending_bytes() - waiting;
        if self.pending > MAX_PENDING_TOTAL {
            let waiting = connection.pending_bytes();
            connection.abandon_gap(&mut self.shared);
            self.pending = self.pending + connection.pending_bytes() - waiting;
        }
        if !was_over && connection.is_over() {
            self.lingering.push_back(index);
        }
        let payload = payload_offset..payload_offset + tcp.payload.len();
        if disposition.is_in_stream() {
            self.search_around(record, payload, Some((index, side)));
        } else {
            self.search_frame(record, Some((index, side)));
            if let Disposition::Conflict | Disposition::OutOfWindow = disposition {
                self.carve(record, payload.start, tcp.payload, Some((index, side)));
            }
        }
        if self.lingering.len() > MAX_LINGERING
            && let Some(oldest) = self.lingering.pop_front()
        {
            self.retire(oldest);
        }
    }

    /// The number of the connection that a segment belongs to.
    fn stream(&mut self, src: Endpoint, dst: Endpoint, tcp: &Segment<'_>) -> u32 {
        let opens = tcp.flags.syn() && !tcp.flags.ack();
        let key = between(src, dst);
        if let Some(&index) = self.by_endpoints.get(&key) {
            let is_new = opens
                && match &self.connections[index as usize] {
                    Some(known) => known.is_reopened_by(tcp.seq),
                    None => true,
                };
            if !is_new {
                return index;
            }
            self.retire(index);
        }
        let index = self.connections.len() as u32;
        // Without a SYN nobody says who is the client; servers listen on the lower port.
        let src_is_client = match (tcp.flags.syn(), tcp.flags.ack()) {
            (true, false) => true,
            (true, true) => false,
            _ => src.1 >= dst.1,
        };
        let (client, server) = if src_is_client { (src, dst) } else { (dst, src) };
        self.connections.push(Some(Box::new(Connection::new(index, client, server))));
        self.by_endpoints.insert(key, index);
        index
    }

    fn retire(&mut self, index: u32) {
        if let Some(connection) = self.connections[index as usize].take() {
            self.pending -= connection.pending_bytes();
            let summary: Summary = connection.finish(&mut self.shared);
            self.streams.add(summary);
        }
    }

    /// A segment of a connection that was over long ago.
    fn late(&mut self, record: &Record<'_>, index: u32, tcp: &Segment<'_>) {
        self.search_frame(record, None);
        if !tcp.payload.is_empty() {
            let bytes = tcp.payload.len() as u64;
            let evidence = &mut self.shared.evidence;
            evidence.unexplained(
                Some(index),
                None,
                record.frame,
                bytes,
                "data after the connection had ended",
            );
            self.carve(record, tcp.payload_offset as usize, tcp.payload, None);
        }
    }

    /// A frame without a TCP header.
    fn other(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        self.search_frame(record, None);
        self.carve(record, 0, record.bytes, None);
        let evidence = &mut self.shared.evidence;
        evidence.traffic.other(wire_len(record));
        let mut unread = |what: String| {
            self.frames.other += 1;
            let (bytes, reason) = (record.bytes.len() as u64, format!("{what} is searched, but not read"));
            evidence.unexplained(None, None, record.frame, bytes, reason);
        };
        match (&frame.transport, &frame.network) {
            (Transport::Absent, Network::Arp) => {
                self.frames.control += 1;
                if Arp::alone_in(record.link_type, record.bytes).is_none() {
                    let (bytes, reason) = (record.bytes.len() as u64, "ARP that says more than addresses");
                    evidence.unexplained(None, None, record.frame, bytes, reason);
                }
            }
            (Transport::Icmp, _) => unread("ICMP".to_owned()),
            (Transport::Icmpv6, _) => unread("ICMPv6".to_owned()),
            (Transport::Udp(_), _) => unread("UDP".to_owned()),
            (Transport::Other(protocol), _) => unread(format!("IP protocol {protocol}")),
            (Transport::Absent, Network::Other(ether_type)) => unread(format!("EtherType {ether_type}")),
            _ => {
                let why =
                    frame.stop.map_or_else(|| "no transport header".to_owned(), |stop| stop.to_string());
                self.undecoded(record, &why);
            }
        }
    }

    /// Options and trailers can hold anything, also what no search for a string's own bytes would find.
    #[inline]
    fn doubt_headers(&mut self, record: &Record<'_>, ip: &Ip, tcp: &Segment<'_>) {
        let (ip_at, tcp_at) = (ip.offset as usize, ip.payload_offset as usize);
        let end = tcp.payload_offset as usize + tcp.payload.len();
        let options_at = ip_at + if ip.src.is_v4() { IPV4_HEADER } else { IPV6_HEADER };
        if tcp_at > options_at {
            self.unexplained_part(record, options_at..tcp_at, "IP options or extension headers");
        }
        if has_content(record.bytes.get(end..)) {
            self.unexplained_part(record, end..record.bytes.len(), "a trailer that is not zero");
        }
    }

    /// The same for the options of a segment that its connection has taken.
    #[inline]
    fn doubt_options(&mut self, record: &Record<'_>, ip: &Ip, tcp: &Segment<'_>) {
        let place = ip.payload_offset as usize + TCP_HEADER..tcp.payload_offset as usize;
        let options = record.bytes.get(place.clone()).unwrap_or_default();
        let reason = match UsualOptions::read(options, tcp.flags) {
            None => "unusual TCP options",
            Some(usual) if usual.has_no_sack() || self.acknowledges_what_was_sent(ip, tcp, usual) => return,
            Some(_) => "a selective acknowledgment of what was not sent",
        };
        self.unexplained_part(record, place, reason);
    }

    /// Whether the selective acknowledgment can be true of what the capture shows of the other side.
    #[cold]
    fn acknowledges_what_was_sent(&self, ip: &Ip, tcp: &Segment<'_>, usual: UsualOptions<'_>) -> bool {
        let (src, dst) = ((ip.src, tcp.src_port), (ip.dst, tcp.dst_port));
        let Some(&index) = self.by_endpoints.get(&between(src, dst)) else { return false };
        let Some(connection) = &self.connections[index as usize] else { return false };
        connection.may_acknowledge(connection.side_of(src), tcp.ack, usual.sack_blocks())
    }

    #[cold]
    fn unexplained_part(&mut self, record: &Record<'_>, part: std::ops::Range<usize>, reason: &str) {
        let Some(bytes) = record.bytes.get(part.clone()) else { return };
        self.shared.evidence.unexplained(None, None, record.frame, bytes.len() as u64, reason);
        self.carve(record, part.start, bytes, None);
    }

    fn undecoded(&mut self, record: &Record<'_>, why: &str) {
        self.frames.undecoded += 1;
        let reason = format!("a frame that cannot be decoded: {why}");
        self.shared.evidence.unexplained(None, None, record.frame, record.bytes.len() as u64, reason);
    }

    /// Searches what surrounds a payload that was searched in its stream.
    fn search_around(
        &mut self,
        record: &Record<'_>,
        payload: std::ops::Range<usize>,
        stream: Option<(u32, Direction)>,
    ) {
        // As far into the payload as a string that begins in the header can be recognised.
        let head = (payload.start + MAX_ANCHOR).min(record.bytes.len());
        self.search(record, 0..head, stream, |start, _| start < payload.start);
        if has_content(record.bytes.get(payload.end..)) {
            self.search(record, 0..record.bytes.len(), stream, |start, end| {
                start >= payload.start && end > payload.end
            });
        }
    }

    /// Searches a whole frame on its own.
    fn search_frame(&mut self, record: &Record<'_>, stream: Option<(u32, Direction)>) {
        self.search(record, 0..record.bytes.len(), stream, |_, _| true);
    }

    fn search(
        &mut self,
        record: &Record<'_>,
        region: std::ops::Range<usize>,
        stream: Option<(u32, Direction)>,
        wanted: impl Fn(usize, usize) -> bool,
    ) {
        let evidence = &mut self.shared.evidence;
        let matcher = &evidence.known.matcher;
        let mut found = Vec::new(); // allocates only if something is found
        let searched = &record.bytes[region.clone()];
        let allowed = allowed(searched.len() as u64) as usize;
        let mut is_over = false;
        matcher.find(searched, |anchor, at| {
            is_over |= found.len() >= allowed;
            if is_over {
                return;
            }
            let start = region.start + at;
            let rest = &record.bytes[start + matcher.anchor(anchor).len()..];
            matcher.follow(matcher.begun(anchor), rest, |pattern| {
                let len = matcher.pattern(pattern).len();
                if wanted(start, start + len) {
                    found.push((pattern, start, len));
                }
            });
        });
        evidence.searched_bytes += searched.len() as u64;
        if is_over {
            evidence.bound_hit(TOO_MANY_MATCHES);
        }
        if found.is_empty() {
            return;
        }
        let layers = evidence.layers(&[]);
        for (pattern, start, len) in found {
            evidence.hit(pattern, Level::Verbatim, &layers, || in_frame(record, start, len, stream));
        }
    }

    fn carve(&mut self, record: &Record<'_>, offset: usize, bytes: &[u8], stream: Option<(u32, Direction)>) {
        carve(bytes, &mut self.shared.evidence, |from, to| {
            in_frame(record, offset + from, to - from, stream)
        });
    }
}

impl Sink for Pipeline<'_> {
    #[inline]
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        self.frame(record);
        ControlFlow::Continue(())
    }

    fn dropped(&mut self, frames: u64) {
        self.frames.dropped = frames;
    }

    fn secrets(&mut self, key_log: &[u8]) {
        let mut keys = self.shared.keys.as_deref().cloned().unwrap_or_default();
        keys.extend(key_log);
        self.shared.keys = Some(Arc::new(keys));
    }
}

/// The key of a connection: its two ends, whoever sends.
fn between(one: Endpoint, other: Endpoint) -> (Endpoint, Endpoint) {
    if one <= other { (one, other) } else { (other, one) }
}

/// Whether something stands there: padding is zeros.
fn has_content(bytes: Option<&[u8]>) -> bool {
    bytes.is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0))
}

/// A place in a frame, outside of its stream.
fn in_frame(record: &Record<'_>, start: usize, len: usize, stream: Option<(u32, Direction)>) -> Place {
    Place {
        frames: vec![record.frame],
        file_offset: record.file_offset + start as u64,
        stream: stream.map(|(index, _)| index),
        side: stream.map(|(_, side)| side),
        stream_offset: None,
        wire_len: len as u64,
        ciphertext: None,
    }
}
