//! The TCP connections of a capture: what they carried, what is missing of them, what TLS shows of itself.

use std::sync::Arc;

use dissect::flow::{Endpoints, PerDirection};
use dissect::tcp;
use dissect::tls::{Certificate, Handshake, Message, NamedGroup, RecordCounters};

use super::round_trips::RoundTrips;
use crate::pipeline::fact::{
    ConnectionEnd, ConnectionSummary, HandshakeFact, MessageStart, RecordFact, SegmentFact, Spoken,
    TlsDirection,
};

/// Most connections that are described one by one: the first of all, of those with trouble, and of those that speak TLS.
/// The sums hold all.
pub(crate) const MAX_DESCRIBED: usize = 256;

/// All connections of a capture.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// TCP connections.
    pub total: u64,
    /// Those that carried payload.
    pub with_data: u64,
    /// Those of them of which nothing is missing or doubtful.
    pub whole: u64,
    /// Those of them that spoke HTTP/1 in the clear.
    pub cleartext: u64,
    /// Those of them that spoke TLS.
    pub tls: u64,
    /// TLS connections of which one side sent no record that authenticates: nothing vouches for what it sent.
    pub tls_unopened: u64,
    /// What reassembly counted, both directions of all connections added up.
    pub tcp: tcp::Counters,
    /// TLS records, added up.
    pub tls_records: TlsRecords,
    /// The first [`MAX_DESCRIBED`] connections.
    pub described: Vec<Described>,
    /// The first [`MAX_DESCRIBED`] connections that are not whole.
    pub troubled: Vec<Troubled>,
    /// The first [`MAX_DESCRIBED`] TLS connections.
    pub tls_connections: Vec<TlsConnection>,
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    /// Its number.
    pub stream: u32,
    /// The end that opened it, and the end that accepted it.
    pub ends: Option<Endpoints>,
    /// Whether SYN and SYN-ACK were captured.
    pub handshake_seen: bool,
    /// Number and time of the first frame.
    pub first: (u64, u64),
    /// Number and time of the last frame.
    pub last: (u64, u64),
    /// Frames of both directions.
    pub frames: u64,
    /// Bytes of these frames on the wire.
    pub wire_bytes: u64,
    /// TCP payload on the wire.
    pub payload: PerDirection<u64>,
    /// How it ended.
    pub end: Option<ConnectionEnd>,
    /// How long the client waits.
    pub round_trips: RoundTrips,
}

/// A connection of which something is missing or doubtful.
#[derive(Clone, Debug)]
pub(crate) struct Troubled {
    /// Its number.
    pub stream: u32,
    /// What is missing or doubtful.
    pub troubles: Vec<Trouble>,
}

/// What is missing or doubtful of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Its SYN or SYN-ACK was not captured.
    NoHandshake,
    /// Segments of one side that the snaplen cut.
    Truncated(Sender, u32),
    /// Segments of one side that contradict others.
    Conflicts(Sender, u32),
    /// Repeated segments of one side that could not be compared.
    Unverified(Sender, u32),
    /// Segments of one side outside of any window.
    OutOfWindow(Sender, u32),
    /// Gaps in what one side sent, and the bytes in them.
    Gaps(Sender, u32, u64),
}

/// One end of a connection, as texts name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The end that opened it.
    Client,
    /// The end that accepted it.
    Server,
}

/// TLS records, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TlsRecords {
    /// All records.
    pub total: u64,
    /// Records of the outer type `application_data`.
    pub application_data: u64,
    /// Records that the key log opened.
    pub authenticated: u64,
    /// Records that it did not open although it names the connection.
    pub failed: u64,
    /// Records that could not be tried.
    pub not_decrypted: u64,
}

/// One TLS connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsConnection {
    /// Number of its TCP connection.
    pub stream: u32,
    /// The end that opened it, and the end that accepted it.
    pub ends: Option<Endpoints>,
    /// What its handshake shows.
    pub handshake: TlsHandshake,
    /// Records of the client and of the server.
    pub records: [u64; 2],
    /// Bytes of the stream that the client and the server sent.
    pub stream_bytes: [u64; 2],
}

/// What the handshake of a connection shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsHandshake {
    /// Versions that the client offered.
    pub versions_offered: Vec<String>,
    /// Server name that the client asked for (RFC 6066 §3).
    pub server_name: Option<String>,
    /// Application protocols that the client offered (RFC 7301).
    pub alpn_offered: Vec<String>,
    /// Version that the server chose.
    pub version: Option<String>,
    /// Cipher suite that the server chose.
    pub cipher_suite: Option<String>,
    /// Group of the key exchange.
    pub named_group: Option<String>,
    /// Whether that group combines a classical and a post-quantum exchange.
    pub post_quantum_hybrid: Option<bool>,
    /// Application protocol that the server chose; encrypted in TLS 1.3.
    pub alpn: Option<String>,
    /// Whether `alpn` was readable without keys.
    pub alpn_visible: bool,
    /// Certificates of the server, leaf first.
    pub certificates: Vec<Arc<Certificate>>,
    /// Whether they were readable without keys, as up to TLS 1.2.
    pub certificates_visible: bool,
}

impl Connections {
    /// Takes a segment. What it holds was taken before.
    #[inline]
    pub(crate) fn segment(&mut self, segment: &SegmentFact<'_>) {
        if segment.disposition.is_none() {
            return; // it came too late to count among the connection's
        }
        if let Some(described) = self.described(segment.stream) {
            let moment = (segment.frame, segment.captured_at);
            if described.frames == 0 {
                described.first = moment;
            }
            described.last = moment;
            described.frames += 1;
            described.wire_bytes += segment.wire_bytes;
            described.payload[segment.direction] += segment.wire_payload;
            described.round_trips.segment(segment);
        }
    }

    /// Takes the beginning of a message.
    pub(crate) fn message_start(&mut self, start: &MessageStart<'_>) {
        if start.is_final_answer
            && let Some(described) = self.described(start.stream)
        {
            described.round_trips.answer();
        }
    }

    /// Takes a TLS record.
    pub(crate) fn record(&mut self, fact: &RecordFact<'_>) {
        if let Some(described) = self.described(fact.stream) {
            described.round_trips.record(fact.record);
        }
    }

    /// Takes a TLS handshake message.
    pub(crate) fn handshake(&mut self, fact: &HandshakeFact<'_>) {
        if let Some(connection) = self.tls_connection(fact.stream) {
            connection.handshake.take(fact.handshake);
        }
    }

    /// Takes a connection that is over.
    pub(crate) fn closed(&mut self, summary: &ConnectionSummary) {
        self.total += 1;
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

    /// Brings the lists into the order of the capture: connections are added as they end.
    pub(crate) fn sort(&mut self) {
        self.troubled.sort_by_key(|connection| connection.stream);
        self.tls_connections.sort_by_key(|connection| connection.stream);
    }

    /// The description of a connection, if it is among the first. Connections are numbered in the order in which their
    /// first segments come.
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
        let known = self.tls_connections.iter().position(|connection| connection.stream == stream);
        if known.is_none() && self.tls_connections.len() < MAX_DESCRIBED {
            self.tls_connections.push(TlsConnection { stream, ..TlsConnection::default() });
            return self.tls_connections.last_mut();
        }
        self.tls_connections.get_mut(known?)
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
        }
    }
}

impl TlsRecords {
    fn add(&mut self, counters: &RecordCounters) {
        self.total += counters.records;
        self.application_data += counters.application_data_records;
        self.authenticated += counters.authenticated;
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
                self.server_name.clone_from(&hello.server_name);
                self.alpn_offered.clone_from(&hello.alpn);
            }
            Message::ServerHello(hello) if !hello.is_hello_retry_request => {
                self.version = Some(hello.version.to_string());
                self.cipher_suite = Some(hello.cipher_suite.to_string());
                self.named_group = hello.key_share_group.map(|group| group.to_string());
                self.post_quantum_hybrid = hello.key_share_group.map(NamedGroup::is_post_quantum_hybrid);
                if let Some(alpn) = &hello.alpn {
                    self.alpn = Some(alpn.clone());
                    self.alpn_visible = true;
                }
            }
            Message::EncryptedExtensions(extensions) => self.alpn.clone_from(&extensions.alpn),
            Message::Certificate(chain) if self.certificates.is_empty() => {
                self.certificates.clone_from(&chain.certificates);
                self.certificates_visible = !handshake.was_encrypted;
            }
            _ => {}
        }
    }
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

/// What is missing or doubtful of a connection.
fn troubles(summary: &ConnectionSummary) -> Vec<Trouble> {
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
