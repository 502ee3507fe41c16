//! Decides which connection a segment belongs to, and which end sent it.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::Direction;
use super::tunnels::{Tunnel, Tunnels};
use crate::frame::Frame;
use crate::ip::Address;
use crate::tcp::Segment;

/// The number of a TCP connection: 0 for the first one of a capture, in the order of their first frames, as Wireshark's
/// `tcp.stream` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(u32);

impl FlowId {
    /// The number itself.
    #[inline]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number as an index into a `Vec` that holds one element for each flow.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// IP address.
    pub address: Address,
    /// TCP port.
    pub port: u16,
}

impl From<Endpoint> for SocketAddr {
    fn from(Endpoint { address, port }: Endpoint) -> Self {
        SocketAddr::new(address.to_ip(), port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// The end that opened the connection.
    pub client: Endpoint,
    /// The end that accepted it.
    pub server: Endpoint,
}

impl Endpoints {
    /// The end that sends in `direction`.
    pub fn sender(&self, direction: Direction) -> Endpoint {
        match direction {
            Direction::ClientToServer => self.client,
            Direction::ServerToClient => self.server,
        }
    }
}

/// A segment with the flow that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowSegment<'f, 'a> {
    /// The flow.
    pub flow: FlowId,
    /// Direction of the segment.
    pub direction: Direction,
    /// Whether the segment is the first one of its flow.
    pub arrival: Arrival,
    /// The segment.
    pub segment: &'f Segment<'a>,
}

/// How a segment relates to the flows before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It belongs to a flow that had segments before.
    Continues,
    /// It is the first segment between these endpoints.
    Opens,
    /// It opens a new flow between endpoints that had one before.
    Reopens {
        /// The latest flow between these endpoints. No further segment will belong to it.
        previous: FlowId,
    },
}

impl Arrival {
    /// Whether the segment is the first one of its flow.
    #[inline]
    pub const fn is_first(self) -> bool {
        !matches!(self, Self::Continues)
    }
}

/// The TCP connections of a capture, by their endpoints.
///
/// **Client.** The sender of a SYN, or the receiver of a SYN-ACK (RFC 9293 §3.5). A flow whose first segment has no SYN
/// began before the capture: its client is the end with the higher port, because servers listen on low ones.
///
/// **Reuse.** Endpoints may open another connection when the last one is over (RFC 9293 §3.6.1). A SYN opens a new flow
/// if it carries another initial sequence number than the flow's own SYN, if the flow already carried payload and its SYN
/// was not captured, or if the flow was [retired](Self::retire). Any other SYN is a retransmission.
///
/// **Tunnels.** Equal endpoints in different tunnels are different flows. A tunnel is known by its ends and identifiers; see
/// [`Tunnel`].
///
/// **Cost.** A segment costs one hash look-up and no allocation, except when the table grows. A flow costs
/// [`FlowTable::BYTES_PER_FLOW`] bytes and some 10 more in the index; it stays in the table until the table is dropped,
/// so that a segment that arrives after the end of its connection still finds its flow.
///
/// ```
/// use dissect::flow::{Direction, FlowTable};
/// use dissect::{frame, link::LinkType};
///
/// // A SYN from 10.0.0.1:40000 to 10.0.0.2:8000.
/// let bytes = b"\x45\0\0\x28\0\x01\0\0\x40\x06\0\0\x0a\0\0\x01\x0a\0\0\x02\
///               \x9c\x40\x1f\x40\0\0\0\x01\0\0\0\0\x50\x02\xff\xff\0\0\0\0";
/// let frame = frame::decode(LinkType::RAW, bytes, bytes.len() as u32);
///
/// let mut flows = FlowTable::default();
/// let syn = flows.segment(&frame).unwrap();
/// assert_eq!((syn.flow.number(), syn.direction), (0, Direction::ClientToServer));
/// assert_eq!(flows.endpoints(syn.flow).unwrap().server.to_string(), "10.0.0.2:8000");
/// ```
#[derive(Default)]
pub struct FlowTable {
    flows: Vec<Flow>,
    /// The latest flow between each pair of endpoints, as an index into `flows`. The hash is keyed at random, so that no
    /// capture can prepare collisions.
    latest: HashTable<u32>,
    hasher: RandomState,
    tunnels: Tunnels,
}

impl FlowTable {
    /// Memory of one flow, apart from the index.
    pub const BYTES_PER_FLOW: usize = size_of::<Flow>();

    /// The flow of the frame's TCP segment. `None` if the frame has no TCP header.
    #[inline]
    pub fn segment<'f, 'a>(&mut self, frame: &'f Frame<'a>) -> Option<FlowSegment<'f, 'a>> {
        self.segment_in(Tunnel::default(), frame)
    }

    /// The innermost tunnel of a frame that `outer` carries; `outer` itself if the frame has none.
    pub fn tunnel(&mut self, outer: Tunnel, frame: &Frame<'_>) -> Tunnel {
        self.tunnels.of(outer, &frame.encapsulations)
    }

    /// The flow of a TCP segment that `outer` carries, for a frame that was decoded apart from the tunnel around it.
    #[inline]
    pub fn segment_in<'f, 'a>(&mut self, outer: Tunnel, frame: &'f Frame<'a>) -> Option<FlowSegment<'f, 'a>> {
        let (ip, segment) = (frame.ip()?, frame.tcp()?);
        let sender = Endpoint { address: ip.src, port: segment.src_port };
        let receiver = Endpoint { address: ip.dst, port: segment.dst_port };
        let (mut pair, sender_end) = Pair::new(sender, receiver);
        if !(frame.encapsulations.is_empty() && outer == Tunnel::default()) {
            let tunnel = self.tunnels.of(outer, &frame.encapsulations);
            let ends = [pair.endpoint(End::Low), pair.endpoint(End::High)];
            pair.set_tunnel(self.tunnels.number(tunnel, ends, sender_end == End::Low));
        }
        let is_open_request = segment.flags.syn() && !segment.flags.ack();

        let flows = &self.flows;
        let hash = self.hasher.hash_one(&pair);
        let known = self.latest.entry(
            hash,
            |index| flows.get(*index as usize).is_some_and(|flow| flow.pair == pair),
            |index| flows.get(*index as usize).map_or(0, |flow| self.hasher.hash_one(&flow.pair)),
        );
        // 2^32 flows would take 200 GiB.
        let next = self.flows.len() as u32;
        let (id, arrival) = match known {
            Entry::Occupied(mut latest) => {
                let id = *latest.get();
                let flow = self.flows.get_mut(id as usize)?;
                if !(is_open_request && flow.is_reopened_by(segment.seq)) {
                    (id, Arrival::Continues)
                } else {
                    *latest.get_mut() = next;
                    (next, Arrival::Reopens { previous: FlowId(id) })
                }
            }
            Entry::Vacant(place) => {
                place.insert(next);
                (next, Arrival::Opens)
            }
        };
        if arrival.is_first() {
            // A host may connect a port to itself; then there is one direction only.
            let client = if sender == receiver { sender_end } else { client_end(segment, sender_end) };
            self.flows.push(Flow::new(pair, client));
        }
        let flow = self.flows.get_mut(id as usize)?;
        let direction = flow.direction(sender_end);
        flow.note(direction, segment);
        Some(FlowSegment { flow: FlowId(id), direction, arrival, segment })
    }

    /// The ends of a flow. `None` if the identifier belongs to another table.
    pub fn endpoints(&self, flow: FlowId) -> Option<Endpoints> {
        self.flows.get(flow.index()).map(Flow::endpoints)
    }

    /// Ends a flow whose connection is over and whose state the caller has dropped: from now on every SYN between its
    /// endpoints opens a new flow. Segments without SYN still belong to this one.
    pub fn retire(&mut self, flow: FlowId) {
        if let Some(flow) = self.flows.get_mut(flow.index()) {
            flow.retire();
        }
    }

    /// Number of flows, retired ones included.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether the table has no flow.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}

impl fmt::Debug for FlowTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowTable").field("flows", &self.flows.len()).finish_non_exhaustive()
    }
}

/// The facts about a flow that decide on the segments to come.
#[derive(Clone, Debug)]
struct Flow {
    pair: Pair,
    /// Sequence number of the client's SYN, if `has_client_syn`.
    initial_sequence: u32,
    /// Which end of `pair` is the client.
    client: End,
    has_client_syn: bool,
    has_client_payload: bool,
    has_server_payload: bool,
}

/// 200,000 half-open connections take 10 MiB, the index apart.
const _: () = assert!(FlowTable::BYTES_PER_FLOW <= 48);

impl Flow {
    fn new(pair: Pair, client: End) -> Self {
        Self {
            pair,
            initial_sequence: 0,
            client,
            has_client_syn: false,
            has_client_payload: false,
            has_server_payload: false,
        }
    }

    /// Whether a SYN with this sequence number opens another connection between the same endpoints.
    fn is_reopened_by(&self, seq: u32) -> bool {
        match self.has_client_syn {
            true => self.initial_sequence != seq,
            false => self.has_client_payload || self.has_server_payload,
        }
    }

    /// From now on every SYN opens another connection, as after payload without a SYN.
    fn retire(&mut self) {
        self.has_client_syn = false;
        self.has_client_payload = true;
    }

    #[inline]
    fn note(&mut self, direction: Direction, segment: &Segment<'_>) {
        let has_payload = segment.wire_payload_len > 0;
        match direction {
            Direction::ServerToClient => self.has_server_payload |= has_payload,
            Direction::ClientToServer => {
                // After payload, a SYN does not begin the flow: the reassembler ignores it, too.
                if segment.flags.syn() && !self.has_client_syn && !self.has_client_payload {
                    (self.has_client_syn, self.initial_sequence) = (true, segment.seq);
                }
                self.has_client_payload |= has_payload;
            }
        }
    }

    #[inline]
    fn direction(&self, sender: End) -> Direction {
        if sender == self.client { Direction::ClientToServer } else { Direction::ServerToClient }
    }

    fn endpoints(&self) -> Endpoints {
        let (low, high) = (self.pair.endpoint(End::Low), self.pair.endpoint(End::High));
        match self.client {
            End::Low => Endpoints { client: low, server: high },
            End::High => Endpoints { client: high, server: low },
        }
    }
}

/// The end of the pair that is the client of a flow that begins with `segment`.
fn client_end(segment: &Segment<'_>, sender: End) -> End {
    let sender_is_client = match (segment.flags.syn(), segment.flags.ack()) {
        (true, false) => true,
        (true, true) => false,
        (false, _) => segment.src_port >= segment.dst_port,
    };
    if sender_is_client { sender } else { sender.other() }
}

/// An end of a [`Pair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Low,
    High,
}

impl End {
    fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// Two endpoints, the lower one first, so that both directions have the same pair. Packed, because each flow keeps one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    low: [u64; 2],
    high: [u64; 2],
    ports: [u16; 2],
    /// The number of the tunnel around them, 0 for none, and in the lowest bit whether they are of IPv4.
    tunnel_and_version: u32,
}

impl Pair {
    /// The pair, and which end of it is `sender`. Both addresses come from one IP header, so they are of one version.
    #[inline]
    fn new(sender: Endpoint, receiver: Endpoint) -> (Self, End) {
        let (low, high, end) =
            if sender <= receiver { (sender, receiver, End::Low) } else { (receiver, sender, End::High) };
        let pair = Self {
            low: low.address.words(),
            high: high.address.words(),
            ports: [low.port, high.port],
            tunnel_and_version: low.address.is_v4().into(),
        };
        (pair, end)
    }

    fn is_v4(&self) -> bool {
        self.tunnel_and_version & 1 == 1
    }

    /// 2^31 tunnels would take hundreds of gigabytes.
    fn set_tunnel(&mut self, number: u32) {
        self.tunnel_and_version = number << 1 | self.tunnel_and_version & 1;
    }

    fn endpoint(&self, end: End) -> Endpoint {
        let [low_port, high_port] = self.ports;
        let (words, port) = match end {
            End::Low => (self.low, low_port),
            End::High => (self.high, high_port),
        };
        Endpoint { address: Address::from_words(words, self.is_v4()), port }
    }
}

impl Hash for Pair {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ([low_prefix, low], [high_prefix, high]) = (self.low, self.high);
        let [low_port, high_port] = self.ports;
        if self.is_v4() {
            state.write_u64(low << 32 | high & 0xffff_ffff);
        } else {
            for word in [low_prefix, low, high_prefix, high] {
                state.write_u64(word);
            }
        }
        let ports = u32::from(low_port) << 16 | u32::from(high_port);
        state.write_u64(u64::from(self.tunnel_and_version) << 32 | u64::from(ports));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::HashMap;

    use super::*;
    use crate::decode_stop::DecodeStop;
    use crate::encapsulation::Encapsulations;
    use crate::frame::{Network, Transport};
    use crate::ip::{Fragment, Ip, Protocol};
    use crate::link::VlanTags;
    use crate::tcp::Flags;

    const SYN: Flags = Flags::SYN;
    const ACK: Flags = Flags::ACK;
    const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);

    const CLIENT: &str = "10.0.0.1:40000";
    const SERVER: &str = "10.0.0.2:8000";

    fn end(text: &str) -> Endpoint {
        let socket: SocketAddr = text.parse().unwrap();
        Endpoint { address: socket.ip().into(), port: socket.port() }
    }

    fn frame(from: Endpoint, to: Endpoint, flags: Flags, seq: u32, payload: &'static [u8]) -> Frame<'static> {
        let ip = Ip {
            src: from.address,
            dst: to.address,
            protocol: Protocol::TCP,
            fragment: Fragment::No,
            offset: 0,
            payload_offset: 20,
            payload_len: 20 + payload.len() as u32,
        };
        let segment = Segment {
            src_port: from.port,
            dst_port: to.port,
            seq,
            flags,
            payload,
            wire_payload_len: payload.len() as u32,
            ..Segment::default()
        };
        let (network, transport) = (Network::Ip(ip), Transport::Tcp(segment));
        let (vlan, encapsulations) = (VlanTags::default(), Encapsulations::default());
        Frame { vlan, encapsulations, network, transport, stop: None::<DecodeStop> }
    }

    /// Pushes a segment. Returns flow number, direction and arrival.
    fn push(
        table: &mut FlowTable,
        (from, to): (&str, &str),
        flags: Flags,
        seq: u32,
        payload: &'static [u8],
    ) -> (u32, Direction, Arrival) {
        let frame = frame(end(from), end(to), flags, seq, payload);
        let found = table.segment(&frame).unwrap();
        (found.flow.number(), found.direction, found.arrival)
    }

    const OUT: (&str, &str) = (CLIENT, SERVER);
    const BACK: (&str, &str) = (SERVER, CLIENT);
    const UP: Direction = Direction::ClientToServer;
    const DOWN: Direction = Direction::ServerToClient;

    #[test]
    fn both_directions_belong_to_one_flow() {
        let mut table = FlowTable::default();
        assert_eq!(push(&mut table, OUT, SYN, 7, b""), (0, UP, Arrival::Opens));
        assert_eq!(push(&mut table, BACK, SYN_ACK, 9, b""), (0, DOWN, Arrival::Continues));
        assert_eq!(push(&mut table, OUT, ACK, 8, b"hello"), (0, UP, Arrival::Continues));
        assert_eq!(table.len(), 1);
        let ends = table.endpoints(FlowId(0)).unwrap();
        assert_eq!((ends.client, ends.server), (end(CLIENT), end(SERVER)));
        assert_eq!((ends.sender(UP), ends.sender(DOWN)), (end(CLIENT), end(SERVER)));
    }

    #[test]
    fn determines_the_client_by_the_syn_or_else_by_the_ports() {
        // Sender, receiver, flags, direction of the segment.
        let (high, low) = ("10.0.0.9:50000", "10.0.0.1:443");
        for (from, to, flags, expected) in [
            (high, low, SYN, UP),
            (low, high, SYN, UP),
            (high, low, SYN_ACK, DOWN),
            (low, high, SYN_ACK, DOWN),
            (high, low, ACK, UP),
            (low, high, ACK, DOWN),
            (low, high, Flags(0), DOWN),
            ("10.0.0.1:7", "10.0.0.2:7", ACK, UP),
        ] {
            let mut table = FlowTable::default();
            let (_, direction, _) = push(&mut table, (from, to), flags, 1, b"");
            assert_eq!(direction, expected, "{from} to {to} {flags:?}");
            assert_eq!(push(&mut table, (to, from), ACK, 1, b"").1, expected.opposite());
        }
    }

    #[test]
    fn other_ports_and_addresses_are_other_flows() {
        let mut table = FlowTable::default();
        for (number, (from, to)) in (0..).zip([
            (CLIENT, SERVER),
            ("10.0.0.1:40001", SERVER),
            (CLIENT, "10.0.0.2:8001"),
            ("10.0.0.3:40000", SERVER),
            // The IPv6 form of an IPv4 address is another host.
            ("[::ffff:10.0.0.1]:40000", "[::ffff:10.0.0.2]:8000"),
            ("[2001:db8::1]:40000", "[2001:db8::2]:8000"),
            // The same ports with the addresses exchanged.
            ("10.0.0.2:40000", "10.0.0.1:8000"),
        ]) {
            assert_eq!(push(&mut table, (from, to), SYN, 1, b""), (number, UP, Arrival::Opens), "{from}");
            let ends = table.endpoints(FlowId(number)).unwrap();
            assert_eq!((ends.client.to_string(), ends.server.to_string()), (from.into(), to.into()));
        }
    }

    #[test]
    fn a_repeated_syn_continues_its_flow() {
        let mut table = FlowTable::default();
        push(&mut table, OUT, SYN, 7, b"");
        push(&mut table, OUT, ACK, 8, b"hello");
        assert_eq!(push(&mut table, OUT, SYN, 7, b""), (0, UP, Arrival::Continues));
        // The capture shows the SYN-ACK first.
        let mut table = FlowTable::default();
        push(&mut table, BACK, SYN_ACK, 9, b"");
        assert_eq!(push(&mut table, OUT, SYN, 7, b""), (0, UP, Arrival::Continues));
        assert_eq!(push(&mut table, OUT, SYN, 7, b""), (0, UP, Arrival::Continues));
    }

    #[test]
    fn a_syn_with_another_sequence_number_reopens() {
        let mut table = FlowTable::default();
        push(&mut table, OUT, SYN, 7, b"");
        let reopened = Arrival::Reopens { previous: FlowId(0) };
        assert_eq!(push(&mut table, OUT, SYN, 1007, b""), (1, UP, reopened));
        assert_eq!(push(&mut table, OUT, ACK, 8, b"late"), (1, UP, Arrival::Continues));
        // The server may be the client of the next connection.
        let reopened = Arrival::Reopens { previous: FlowId(1) };
        assert_eq!(push(&mut table, BACK, SYN, 5, b""), (2, UP, reopened));
        assert_eq!(table.endpoints(FlowId(2)).unwrap().client, end(SERVER));
        assert_eq!(table.endpoints(FlowId(0)).unwrap().client, end(CLIENT));
    }

    #[test]
    fn a_syn_behind_payload_reopens_a_flow_that_began_before_the_capture() {
        for first in [OUT, BACK] {
            let mut table = FlowTable::default();
            push(&mut table, first, ACK, 7, b"middle");
            let (flow, _, arrival) = push(&mut table, OUT, SYN, 9, b"");
            assert_eq!((flow, arrival), (1, Arrival::Reopens { previous: FlowId(0) }));
        }
        let mut table = FlowTable::default();
        push(&mut table, OUT, ACK, 7, b"");
        assert_eq!(push(&mut table, OUT, SYN, 9, b"").2, Arrival::Continues, "no payload yet");
    }

    #[test]
    fn a_syn_ack_never_reopens() {
        let mut table = FlowTable::default();
        push(&mut table, OUT, SYN, 7, b"");
        push(&mut table, OUT, ACK, 8, b"hello");
        assert_eq!(push(&mut table, BACK, SYN_ACK, 1, b"").2, Arrival::Continues);
        assert_eq!(push(&mut table, OUT, SYN_ACK, 99, b"").2, Arrival::Continues);
    }

    #[test]
    fn only_a_syn_reopens_a_retired_flow() {
        let mut table = FlowTable::default();
        push(&mut table, OUT, SYN, 7, b"");
        table.retire(FlowId(0));
        table.retire(FlowId(77));
        assert_eq!(push(&mut table, OUT, ACK, 8, b"late"), (0, UP, Arrival::Continues));
        assert_eq!(push(&mut table, BACK, SYN_ACK, 8, b""), (0, DOWN, Arrival::Continues));
        let reopened = Arrival::Reopens { previous: FlowId(0) };
        assert_eq!(push(&mut table, OUT, SYN, 7, b""), (1, UP, reopened));
        table.retire(FlowId(0));
        assert_eq!(push(&mut table, OUT, SYN, 7, b"").2, Arrival::Continues, "flow 1 is not retired");
    }

    #[test]
    fn frames_without_tcp_have_no_flow() {
        let mut table = FlowTable::default();
        let tcp = frame(end(CLIENT), end(SERVER), SYN, 1, b"");
        assert_eq!(table.segment(&Frame { transport: Transport::Icmp, ..tcp }), None);
        assert_eq!(table.segment(&Frame { network: Network::Absent, ..tcp }), None);
        assert!(table.is_empty());
        assert_eq!(table.endpoints(FlowId(0)), None);
    }

    proptest! {
        /// A map by the endpoints in order, as it would be written without regard to speed.
        #[test]
        fn agrees_with_a_plain_map(
            segments in prop::collection::vec((0u16..4, 0u16..4, 0usize..4, 0u32..3, any::<bool>()), 1..200),
        ) {
            #[derive(Clone)]
            struct Known { flow: u32, client: Endpoint, syn: Option<u32>, up: bool, down: bool }
            let mut table = FlowTable::default();
            let mut map: HashMap<(Endpoint, Endpoint), Known> = HashMap::new();
            let mut flows = 0;
            for (src, dst, kind, seq, has_payload) in segments {
                let at = |number: u16| end(&format!("10.0.0.{}:{}", number % 2, 1000 + number));
                let (from, to) = (at(src), at(dst));
                let flags = [SYN, SYN_ACK, ACK, Flags(0)][kind];
                let payload: &[u8] = if has_payload { b"x" } else { b"" };
                let key = if from <= to { (from, to) } else { (to, from) };
                let reopens = flags == SYN && map.get(&key).is_some_and(|known| match known.syn {
                    Some(syn) => syn != seq,
                    None => known.up || known.down,
                });
                if reopens || !map.contains_key(&key) {
                    let from_client = match kind { 0 => true, 1 => false, _ => from.port >= to.port };
                    let client = if from_client { from } else { to };
                    map.insert(key, Known { flow: flows, client, syn: None, up: false, down: false });
                    flows += 1;
                }
                let known = map.get_mut(&key).unwrap();
                let is_up = known.client == from;
                if is_up && flags.syn() && !known.up {
                    known.syn.get_or_insert(seq);
                }
                *if is_up { &mut known.up } else { &mut known.down } |= has_payload;

                let frame = frame(from, to, flags, seq, payload);
                let found = table.segment(&frame).unwrap();
                prop_assert_eq!(found.flow.number(), known.flow);
                prop_assert_eq!(found.direction == Direction::ClientToServer, is_up);
            }
            prop_assert_eq!(table.len(), flows as usize);
        }
    }
}
