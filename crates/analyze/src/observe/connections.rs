//! The TCP connections of a capture: what they carried, what is missing in them, and what TLS shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dissect::encapsulation::Encapsulation;
use dissect::flow::{Direction, Endpoints, PerDirection};
use dissect::frame::Frame;
use dissect::link::VlanTags;
use dissect::tcp;
use dissect::tls::record::HEADER_LEN;
use dissect::tls::{
    Certificate, ClientHello, Finished, Handshake, KeyExchange, Message, NamedGroup, ProtocolVersion,
    RecordCounters, is_grease,
};

use super::round_trips::RoundTrips;
use crate::pipeline::fact::{
    ConnectionEnd, ConnectionSummary, HandshakeFact, MessageStart, RecordFact, SegmentFact, Spoken,
    TlsDirection,
};

/// Maximum number of connections described one by one, in each list: of all, of those with trouble, and of those with
/// TLS. The sums cover all connections.
pub(crate) const MAX_DESCRIBED: usize = 2_048;

/// All connections of a capture.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// Number of TCP connections.
    pub total: u64,
    /// Number of connections that carried payload.
    pub with_data: u64,
    /// Of those with payload, how many are complete.
    pub whole: u64,
    /// Of those with payload, how many carried HTTP/1 in the clear.
    pub cleartext: u64,
    /// Of those with payload, how many carried TLS.
    pub tls: u64,
    /// TLS connections in which no record of one side authenticates, so that the bytes of that side are unverified.
    pub tls_unopened: u64,
    /// Decrypted TLS connections with a Finished message that contradicts the captured handshake.
    pub tls_finished_differs: u64,
    /// Decrypted TLS connections whose Finished messages are not both verified.
    pub tls_finished_missing: u64,
    /// Connections whose end the capture does not show: something follows, or is not answered.
    pub unsettled: u64,
    /// The ports of the servers.
    pub server_ports: BTreeSet<u16>,
    /// TLS versions that clients offered, and that servers chose.
    pub tls_versions: [BTreeSet<ProtocolVersion>; 2],
    /// Sum of the reassembly counters of both directions of all connections.
    pub tcp: tcp::Counters,
    /// Sum of the TLS record counters.
    pub tls_records: TlsRecords,
    /// The first [`MAX_DESCRIBED`] connections.
    pub described: Vec<Described>,
    /// The first [`MAX_DESCRIBED`] connections that are not whole.
    pub troubled: Vec<Troubled>,
    /// The first [`MAX_DESCRIBED`] TLS connections, by their numbers.
    pub tls_connections: BTreeMap<u32, TlsConnection>,
    /// Of the frame that is being read.
    around: Option<Box<Around>>,
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub stream: u32,
    /// The client, which opened the connection, and the server.
    pub ends: Option<Endpoints>,
    /// Whether SYN and SYN-ACK were captured.
    pub handshake_seen: bool,
    /// Number and capture time of the first frame.
    pub first: (u64, u64),
    /// Number and capture time of the last frame.
    pub last: (u64, u64),
    /// Frames in both directions.
    pub frames: u64,
    /// Bytes of these frames on the wire.
    pub wire_bytes: u64,
    /// Bytes of TCP payload on the wire.
    pub payload: PerDirection<u64>,
    pub end: Option<ConnectionEnd>,
    /// Round trips for which the client waits.
    pub round_trips: RoundTrips,
    /// What was around the packets of the first frame; `None` if nothing was.
    pub around: Option<Box<Around>>,
}

/// What a frame has around its packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Around {
    /// Tunnels, MPLS, PPPoE, outermost first.
    pub encapsulations: Vec<Encapsulation>,
    pub vlan: VlanTags,
}

/// A connection with something missing or doubtful.
#[derive(Clone, Debug)]
pub(crate) struct Troubled {
    pub stream: u32,
    pub troubles: Vec<Trouble>,
}

/// A reason why a connection is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The SYN or the SYN-ACK was not captured.
    NoHandshake,
    /// Segments from this side that the snaplen cut.
    Truncated(Sender, u32),
    /// Segments from this side that contradict others.
    Conflicts(Sender, u32),
    /// Retransmitted segments from this side that could not be compared with the original.
    Unverified(Sender, u32),
    /// Segments from this side outside of any window.
    OutOfWindow(Sender, u32),
    /// Number of gaps in the stream from this side, and of the bytes missing in them.
    Gaps(Sender, u32, u64),
}

/// One end of a connection, by the name that texts use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}

/// Counters of TLS records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TlsRecords {
    pub total: u64,
    /// Records with the outer type `application_data`.
    pub application_data: u64,
    /// Records that the key log decrypts.
    pub authenticated: u64,
    /// Bytes of these, with their headers.
    pub authenticated_bytes: u64,
    /// Records that the key log does not decrypt although it contains the connection.
    pub failed: u64,
    /// Records for which decryption could not be tried.
    pub not_decrypted: u64,
}

/// One TLS connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsConnection {
    /// Number of the TCP connection.
    pub stream: u32,
    /// The client, which opened the connection, and the server.
    pub ends: Option<Endpoints>,
    /// The parameters in the handshake.
    pub handshake: TlsHandshake,
    /// Records from the client and from the server.
    pub records: [u64; 2],
    /// Stream bytes from the client and from the server.
    pub stream_bytes: [u64; 2],
}

/// The certificates of one side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    /// Leaf first.
    pub chain: Vec<Arc<Certificate>>,
    /// Whether they are readable without keys, as up to TLS 1.2.
    pub are_visible: bool,
}

/// The parameters that the handshake of a connection shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsHandshake {
    /// Versions that the client offers.
    pub versions_offered: Vec<String>,
    /// Server name that the client asks for (RFC 6066 §3).
    pub server_name: Option<String>,
    /// Application protocols that the client offers (RFC 7301).
    pub alpn_offered: Vec<String>,
    /// Version that the server chooses.
    pub version: Option<String>,
    /// Cipher suite that the server chooses.
    pub cipher_suite: Option<String>,
    /// Group of the key exchange.
    pub named_group: Option<String>,
    /// Whether that group combines a classical and a post-quantum key exchange.
    pub post_quantum_hybrid: Option<bool>,
    /// How the keys are agreed on; `None` until the ServerHello, or for an unknown suite.
    pub key_exchange: Option<KeyExchange>,
    /// Fingerprints of the first ClientHello and of the ServerHello.
    pub ja3: Option<String>,
    pub ja3s: Option<String>,
    pub ja4: Option<String>,
    /// Application protocol that the server chooses; encrypted in TLS 1.3.
    pub alpn: Option<String>,
    /// Whether `alpn` is readable without keys.
    pub alpn_visible: bool,
    /// Certificates of the server, and of a client that the server asked for them.
    pub certificates: Certificates,
    pub client_certificates: Certificates,
    /// The direction of the ClientHello.
    client: Option<Direction>,
}

impl Connections {
    /// Notes what is around the packet of a frame. The facts of its segment come behind it.
    #[inline]
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) {
        let is_plain = frame.vlan.is_empty() && frame.encapsulations.is_empty();
        self.around = match is_plain || self.described.len() >= MAX_DESCRIBED {
            true => None,
            false => {
                let encapsulations = frame.encapsulations.iter().collect();
                Some(Box::new(Around { encapsulations, vlan: frame.vlan }))
            }
        };
    }

    /// Adds a segment. The facts of its content come before it.
    #[inline]
    pub(crate) fn segment(&mut self, segment: &SegmentFact<'_>) {
        if segment.disposition.is_none() {
            return; // the connection is closed and summed up already
        }
        let around = self.around.take();
        if let Some(described) = self.described(segment.stream) {
            let moment = (segment.frame, segment.captured_at);
            if described.frames == 0 {
                described.first = moment;
                described.around = around;
            }
            described.last = moment;
            described.frames += 1;
            described.wire_bytes += segment.wire_bytes;
            described.payload[segment.direction] += segment.wire_payload;
            described.round_trips.segment(segment);
        }
    }

    /// Notes the beginning of a message.
    pub(crate) fn message_start(&mut self, start: &MessageStart<'_>) {
        if start.is_final_answer
            && let Some(described) = self.described(start.stream)
        {
            described.round_trips.answer();
        }
    }

    /// Adds a TLS record.
    pub(crate) fn record(&mut self, fact: &RecordFact<'_>) {
        if let Some(described) = self.described(fact.stream) {
            described.round_trips.record(fact.record);
        }
    }

    /// Adds a TLS handshake message.
    pub(crate) fn handshake(&mut self, fact: &HandshakeFact<'_>) {
        let [offered, chosen] = &mut self.tls_versions;
        match &fact.handshake.message {
            Message::ClientHello(hello) => offered.extend(versions_offered(hello)),
            Message::ServerHello(hello) => drop(chosen.insert(hello.version)),
            _ => {}
        }
        if let Some(connection) = self.tls_connection(fact.stream) {
            connection.handshake.take(fact.handshake);
        }
    }

    /// Adds a connection that is closed.
    pub(crate) fn closed(&mut self, summary: &ConnectionSummary) {
        self.total += 1;
        self.unsettled += u64::from(!summary.is_settled);
        self.server_ports.extend(summary.ends.map(|ends| ends.server.port));
        for counters in summary.tcp.values() {
            add(&mut self.tcp, counters);
        }
        let ends = summary.ends;
        if let Some(described) = self.described(summary.stream) {
            described.ends = ends;
            described.handshake_seen = summary.handshake_seen;
            described.end = summary.end;
        }
        if !summary.has_data {
            return;
        }
        self.with_data += 1;
        let troubles = troubles(summary);
        if troubles.is_empty() {
            self.whole += 1;
        } else if self.troubled.len() < MAX_DESCRIBED {
            self.troubled.push(Troubled { stream: summary.stream, troubles });
        }
        match &summary.spoken {
            Spoken::Messages => self.cleartext += 1,
            Spoken::Unknown => {}
            Spoken::Tls(tls) => {
                self.tls += 1;
                self.tls_unopened += u64::from(tls.values().any(|side| side.counters.authenticated == 0));
                self.count_finished(tls);
                tls.values().for_each(|side| self.tls_records.add(&side.counters));
                let of = |count: fn(&RecordCounters) -> u64| {
                    tls.values().map(|TlsDirection { counters, .. }| count(counters)).collect::<Vec<_>>()
                };
                let (records, bytes) = (of(|counters| counters.records), of(|counters| counters.bytes));
                if let Some(connection) = self.tls_connection(summary.stream) {
                    connection.ends = ends;
                    connection.records = [records[0], records[1]];
                    connection.stream_bytes = [bytes[0], bytes[1]];
                }
            }
        }
    }

    /// Counts a connection whose handshake is not confirmed by both sides, although the key log decrypts it.
    fn count_finished(&mut self, tls: &PerDirection<TlsDirection>) {
        if tls.values().all(|side| side.counters.authenticated == 0) {
            return;
        }
        if tls.values().any(|side| side.finished == Finished::Differs) {
            self.tls_finished_differs += 1;
        } else if tls.values().any(|side| side.finished != Finished::Verified) {
            self.tls_finished_missing += 1;
        }
    }

    /// Sorts the connections with trouble into the order of the capture, because they are added as they end.
    pub(crate) fn sort(&mut self) {
        self.troubled.sort_by_key(|connection| connection.stream);
    }

    /// The description of a connection, if it is among the first [`MAX_DESCRIBED`]. Connections are numbered in the
    /// order of their first segments.
    fn described(&mut self, stream: u32) -> Option<&mut Described> {
        let index = stream as usize;
        if index >= MAX_DESCRIBED {
            return None;
        }
        while self.described.len() <= index {
            self.described.push(Described::new(self.described.len() as u32));
        }
        self.described.get_mut(index)
    }

    /// The TLS connection of this number, if it is among the first that sent a handshake message or ended.
    fn tls_connection(&mut self, stream: u32) -> Option<&mut TlsConnection> {
        if self.tls_connections.len() >= MAX_DESCRIBED {
            return self.tls_connections.get_mut(&stream);
        }
        let new = || TlsConnection { stream, ..TlsConnection::default() };
        Some(self.tls_connections.entry(stream).or_insert_with(new))
    }
}

impl Described {
    fn new(stream: u32) -> Self {
        Self {
            stream,
            ends: None,
            handshake_seen: false,
            first: (0, 0),
            last: (0, 0),
            frames: 0,
            wire_bytes: 0,
            payload: PerDirection::default(),
            end: None,
            round_trips: RoundTrips::default(),
            around: None,
        }
    }
}

impl TlsRecords {
    fn add(&mut self, counters: &RecordCounters) {
        self.total += counters.records;
        self.application_data += counters.application_data_records;
        self.authenticated += counters.authenticated;
        self.authenticated_bytes += counters.authenticated_bytes + counters.authenticated * HEADER_LEN as u64;
        self.failed += counters.failed;
        self.not_decrypted += counters.not_decrypted;
    }
}

impl TlsHandshake {
    fn take(&mut self, handshake: &Handshake) {
        match &handshake.message {
            Message::ClientHello(hello) if self.versions_offered.is_empty() => {
                self.versions_offered = if hello.supported_versions.is_empty() {
                    vec![hello.legacy_version.to_string()]
                } else {
                    hello.supported_versions.iter().map(ToString::to_string).collect()
                };
                self.client = Some(handshake.direction);
                self.server_name.clone_from(&hello.server_name);
                self.alpn_offered.clone_from(&hello.alpn);
                self.ja3 = Some(hello.ja3());
                self.ja4 = Some(hello.ja4());
            }
            // It announces what the ServerHello has to choose (RFC 9846 §4.1.4), which may never come.
            Message::ServerHello(hello) if hello.is_hello_retry_request => {
                self.version.get_or_insert_with(|| hello.version.to_string());
                self.cipher_suite.get_or_insert_with(|| hello.cipher_suite.to_string());
            }
            Message::ServerHello(hello) => {
                self.version = Some(hello.version.to_string());
                self.cipher_suite = Some(hello.cipher_suite.to_string());
                self.named_group = hello.key_share_group.map(|group| group.to_string());
                self.key_exchange = KeyExchange::of(hello);
                self.ja3s = Some(hello.ja3s());
                self.post_quantum_hybrid = hello.key_share_group.map(NamedGroup::is_post_quantum_hybrid);
                if let Some(alpn) = &hello.alpn {
                    self.alpn = Some(alpn.clone());
                    self.alpn_visible = true;
                }
            }
            Message::EncryptedExtensions(extensions) => self.alpn.clone_from(&extensions.alpn),
            Message::Certificate(chain) => {
                let is_client = handshake.direction == self.client.unwrap_or(Direction::ClientToServer);
                let side = if is_client { &mut self.client_certificates } else { &mut self.certificates };
                if side.chain.is_empty() {
                    side.chain.clone_from(&chain.certificates);
                    side.are_visible = !handshake.was_encrypted;
                }
            }
            _ => {}
        }
    }
}

/// The versions in `supported_versions`, without reserved ones (RFC 8701); without the extension the older field.
fn versions_offered(hello: &ClientHello) -> impl Iterator<Item = ProtocolVersion> {
    let legacy = hello.supported_versions.is_empty().then_some(hello.legacy_version);
    hello.supported_versions.iter().copied().filter(|version| !is_grease(version.0)).chain(legacy)
}

fn add(sum: &mut tcp::Counters, one: &tcp::Counters) {
    sum.delivered_bytes += one.delivered_bytes;
    sum.gaps = sum.gaps.saturating_add(one.gaps);
    sum.gap_bytes += one.gap_bytes;
    sum.repeated = sum.repeated.saturating_add(one.repeated);
    sum.conflicts = sum.conflicts.saturating_add(one.conflicts);
    sum.unverified = sum.unverified.saturating_add(one.unverified);
    sum.out_of_window = sum.out_of_window.saturating_add(one.out_of_window);
    sum.truncated = sum.truncated.saturating_add(one.truncated);
    sum.early = sum.early.saturating_add(one.early);
}

/// The reasons why a connection is not whole.
pub(crate) fn troubles(summary: &ConnectionSummary) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if !summary.handshake_seen {
        troubles.push(Trouble::NoHandshake);
    }
    for (counters, sender) in summary.tcp.values().zip([Sender::Client, Sender::Server]) {
        let counted = [
            (counters.truncated, Trouble::Truncated(sender, counters.truncated)),
            (counters.conflicts, Trouble::Conflicts(sender, counters.conflicts)),
            (counters.unverified, Trouble::Unverified(sender, counters.unverified)),
            (counters.out_of_window, Trouble::OutOfWindow(sender, counters.out_of_window)),
            (counters.gaps, Trouble::Gaps(sender, counters.gaps, counters.gap_bytes)),
        ];
        troubles.extend(counted.into_iter().filter(|(count, _)| *count > 0).map(|(_, trouble)| trouble));
    }
    troubles
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoHandshake => f.write_str("its handshake was not captured"),
            Self::Truncated(who, count) => write!(f, "{count} segment(s) cut by the snaplen of the {who}"),
            Self::Conflicts(who, count) => write!(f, "{count} segment(s) contradicting others of the {who}"),
            Self::Unverified(who, count) => {
                write!(f, "{count} repeated segment(s) that could not be compared of the {who}")
            }
            Self::OutOfWindow(who, count) => write!(f, "{count} segment(s) outside any window of the {who}"),
            Self::Gaps(who, gaps, bytes) => {
                write!(f, "{gaps} gap(s) of {bytes} bytes in what the {who} sent")
            }
        }
    }
}

impl std::fmt::Display for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}
