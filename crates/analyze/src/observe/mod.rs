//! Turns facts into results.
//!
//! Each observer owns one part of what is known about a capture, and knows nothing about the others.
//! [`CaptureObserver`] hands each fact to those that need it. No observer knows the state of a parser.

pub(crate) mod beside_frames;
pub(crate) mod byte_counts;
pub(crate) mod cleartext;
pub(crate) mod connections;
pub(crate) mod direction;
pub(crate) mod dns;
pub(crate) mod frame_counts;
pub(crate) mod frame_ownership;
pub(crate) mod frame_times;
pub(crate) mod hits;
pub(crate) mod ledger;
pub(crate) mod messages;
pub(crate) mod offloads;
pub(crate) mod opened_connections;
pub(crate) mod packet_list;
pub(crate) mod packet_rows;
pub(crate) mod parts;
pub(crate) mod peers;
pub(crate) mod quic;
pub(crate) mod readable;
pub(crate) mod round_trips;
pub(crate) mod template;
pub(crate) mod text_fields;
pub(crate) mod transcript;
pub(crate) mod unexplained;
pub(crate) mod user_connections;
pub(crate) mod wrong_keys;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use self::beside_frames::BesideFrames;
use self::byte_counts::ByteCounts;
use self::cleartext::Cleartext;
use self::connections::Connections;
use self::dns::DnsTable;
use self::frame_counts::FrameCounts;
use self::frame_ownership::FrameOwnership;
use self::frame_times::FrameTimes;
use self::hits::{Hits, SearchState};
use self::ledger::Ledger;
use self::messages::Messages;
use self::offloads::Offloads;
use self::opened_connections::OpenedConnections;
use self::packet_list::PacketList;
use self::parts::Parts;
use self::peers::{Carrier, Peers};
use self::quic::QuicTable;
use self::readable::Readable;
use self::template::Template;
use self::text_fields::TextFields;
use self::transcript::Transcripts;
use self::unexplained::UnexplainedBytes;
use self::user_connections::UserConnections;
use self::wrong_keys::WrongKeys;
use crate::needles::{KnownStrings, StringSearch};
use crate::pipeline::fact::{At, Bound, Bytes, Fact, FrameBytes, Observer, UnexplainedFact};
use crate::pipeline::protocol::BodyNeeds;
use crate::pipeline::provenance::Provenance;

/// All observers of one capture.
#[derive(Debug)]
pub(crate) struct CaptureObserver<'k> {
    /// Frames by kind.
    pub frames: FrameCounts,
    /// Capture times of the latest frames.
    pub times: FrameTimes,
    /// The first frames.
    pub packets: PacketList,
    /// Bytes by kind.
    pub byte_counts: ByteCounts,
    pub connections: Connections,
    /// The names that were asked for.
    pub dns: DnsTable,
    /// QUIC sessions.
    pub quic: QuicTable,
    /// The hosts that exchanged payload.
    pub peers: Peers,
    /// The wrong-key control.
    pub wrong_keys: WrongKeys,
    pub hits: Hits<'k>,
    pub messages: Messages<'k>,
    /// Parts of messages.
    pub parts: Parts,
    pub unexplained: UnexplainedBytes,
    /// What the network stack left to the network card; `None` if no manifest states it.
    pub offloads: Option<Offloads>,
    /// What the file contains beside its frames; `None` in an isolation run.
    pub beside_frames: Option<BesideFrames<'k>>,
    /// What the hellos say as text; `None` in an isolation run.
    pub text_fields: Option<TextFields>,
    /// Bounds of the pipeline that were reached.
    pub bounds: BTreeSet<Bound>,
    /// Readable JSON strings, in a capture without journals.
    pub cleartext: Option<Cleartext>,
    /// Credentials, personal data and messages of agents, in a capture without journals.
    pub readable: Option<Readable>,
    /// The beginnings of all connections up to the end of the first exchange; `None` where no first exchange is known.
    pub first_exchange: Option<FirstExchange>,
    /// The connections one by one; `None` where the verdict is about the whole capture.
    pub ledger: Option<Ledger>,
    /// Frames of a connection to plant strings in, where the planted control is run.
    pub template: Option<Template>,
    /// Frames by owner, in an isolation run.
    pub ownership: Option<FrameOwnership>,
    /// The users' connections byte for byte, in the isolated phase of an isolation run.
    pub user_connections: Option<UserConnections>,
    /// The TLS connections as the key log opens them, in the capture of a protection of an isolation run.
    pub opened_connections: Option<OpenedConnections>,
}

/// The first exchange of the run: a request and its answer.
#[derive(Debug)]
pub(crate) struct FirstExchange {
    /// Index of the request and of the answer among the known messages.
    pub messages: [usize; 2],
    /// The beginnings of the connections, until the exchange is over.
    pub transcripts: Transcripts,
}

impl<'k> CaptureObserver<'k> {
    pub(crate) fn new(known: &'k KnownStrings, search: &Arc<StringSearch>) -> Self {
        Self {
            frames: FrameCounts::default(),
            times: FrameTimes::default(),
            packets: PacketList::default(),
            byte_counts: ByteCounts::default(),
            connections: Connections::default(),
            dns: DnsTable::default(),
            quic: QuicTable::default(),
            peers: Peers::default(),
            wrong_keys: WrongKeys::default(),
            hits: Hits::new(known, search),
            messages: Messages::new(known),
            parts: Parts::default(),
            unexplained: UnexplainedBytes::default(),
            offloads: None,
            beside_frames: None,
            text_fields: None,
            bounds: BTreeSet::new(),
            cleartext: None,
            readable: None,
            first_exchange: None,
            ledger: None,
            template: None,
            ownership: None,
            user_connections: None,
            opened_connections: None,
        }
    }

    /// Ends the search for strings.
    pub(crate) fn end_search(&mut self) {
        self.hits.end_search();
        if let Some(beside_frames) = &mut self.beside_frames {
            beside_frames.end_search();
        }
    }

    /// The properties of bodies that the observers need.
    pub(crate) fn needs(&self, known: &KnownStrings) -> BodyNeeds {
        BodyNeeds {
            hash_lengths: known.messages.iter().map(|message| message.body_len).collect(),
            json: self.cleartext.is_some() || self.readable.is_some(),
        }
    }

    /// Gives the servers the names that handshakes and lookups say. Called once, at the end.
    pub(crate) fn name_peers(&mut self) {
        let peers = &mut self.peers;
        for connection in self.connections.tls_connections.values() {
            if let (Some(ends), Some(name)) = (connection.ends, &connection.handshake.server_name) {
                let carrier = Carrier::Tcp(ends.server.port);
                peers.name(ends.client.address.to_ip(), ends.server.address.to_ip(), carrier, name);
            }
        }
        for session in &self.quic.sessions {
            if let Some(name) = &session.server_name {
                let carrier = Carrier::Udp(session.server.port());
                peers.name(session.client.ip(), session.server.ip(), carrier, name);
            }
        }
        peers.name_by_address(&self.dns.names());
    }

    /// Leaves out the occurrences of strings that are known from the handshake itself. Called once, at the end.
    pub(crate) fn leave_out_known_from_handshake(&mut self) {
        if let Some(fields) = &self.text_fields {
            self.hits.leave_out(|bytes| fields.expected(bytes));
        }
    }

    /// Whether the bytes are those of a beacon, which the run explains.
    fn is_of_beacon(&self, fact: &UnexplainedFact) -> bool {
        let ownership = self.ownership.as_ref();
        matches!(fact.at, At::Frame { frame, .. } if ownership.is_some_and(|owned| owned.is_beacon(frame)))
    }

    /// Keeps the transcript of one connection only, once both messages of the first exchange were seen.
    fn settle_transcripts(&mut self) {
        let Some(FirstExchange { messages, transcripts }) = &mut self.first_exchange else { return };
        let stream_of = |index: usize| Some(self.messages.occurrences[index].first.as_ref()?.location.stream);
        if let [Some(request), Some(answer)] = messages.map(stream_of) {
            transcripts.settle(request.filter(|_| request == answer));
        }
    }
}

impl Observer for CaptureObserver<'_> {
    type Memory = SearchState;

    #[inline]
    fn observe(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Frame(record, frame) => {
                self.frames.take(record, frame);
                self.times.push(record.captured_at);
                self.packets.push(record, frame);
                self.dns.frame(record.frame, frame);
                self.peers.frame(record.frame, frame);
                self.connections.frame(frame);
                if let Some(offloads) = &mut self.offloads {
                    offloads.take(record, frame);
                }
                if let Some(first) = &mut self.first_exchange {
                    first.transcripts.frame(record, frame);
                }
                if let Some(ownership) = &mut self.ownership {
                    ownership.take(record, frame);
                }
                if let Some(connections) = &mut self.user_connections {
                    connections.frame(record);
                }
                if let Some(template) = &mut self.template {
                    template.frame(record, frame);
                }
            }
            Fact::NoSegment(wire_bytes) => self.byte_counts.other(*wire_bytes),
            Fact::BesideFrames(file_offset, bytes) => {
                if let Some(beside) = &mut self.beside_frames {
                    beside.take(*file_offset, bytes);
                }
            }
            Fact::Chunk(stream, direction, chunk) => {
                if let Some(connections) = &mut self.user_connections {
                    connections.chunk(*stream, *direction, chunk);
                }
                if let Some(first) = &mut self.first_exchange {
                    first.transcripts.chunk(*stream, *direction, chunk);
                }
            }
            Fact::Segment(segment) => {
                self.byte_counts.segment(segment);
                self.packets.segment(segment);
                self.connections.segment(segment);
                self.dns.segment(segment);
                if let Some(fields) = &mut self.text_fields {
                    fields.segment(segment);
                }
                if let Some(template) = &mut self.template {
                    template.segment(segment);
                }
            }
            Fact::MessageStart(start) => {
                self.packets.message_start(start);
                self.connections.message_start(start);
                self.messages.start(start);
            }
            Fact::Asked(stream, host) => self.peers.asked(*stream, host),
            Fact::Head(head) => {
                if let Some(readable) = &mut self.readable {
                    readable.head(head);
                }
            }
            Fact::Message(message) => {
                if let Some(readable) = &mut self.readable {
                    readable.message(message);
                }
                if let Some(cleartext) = &mut self.cleartext {
                    cleartext.take(message);
                }
                if self.messages.take(message, &self.times) && !message.needs_secret {
                    self.hits.message_is_exposed();
                }
                self.settle_transcripts();
            }
            Fact::Part(part) => {
                if let Some(cleartext) = &mut self.cleartext {
                    cleartext.take_part(part);
                }
                self.parts.take(part);
            }
            Fact::ControlFrame(_) => {}
            Fact::TlsRecord(record) => {
                if let Some(first) = &mut self.first_exchange {
                    first.transcripts.record(record.stream, record.record);
                }
                self.packets.record(record);
                self.connections.record(record);
                self.wrong_keys.record(record);
                if let Some(connections) = &mut self.opened_connections {
                    connections.record(record);
                }
            }
            Fact::TlsHandshake(handshake) => {
                self.packets.handshake(handshake);
                self.connections.handshake(handshake);
                if let Some(fields) = &mut self.text_fields {
                    fields.handshake(handshake);
                }
                if let Some(connections) = &mut self.opened_connections {
                    connections.handshake(handshake);
                }
            }
            Fact::Dns(message) => {
                self.packets.dns(message);
                self.dns.take(message);
            }
            Fact::Quic(fact, event) => {
                self.packets.quic(fact, *event);
                self.peers.quic(fact);
                let dns = &self.dns;
                self.quic.take(fact, *event, |client, server| {
                    dns.name_of(client.ip(), server.ip()).map(str::to_owned)
                });
            }
            Fact::Unexplained(fact) if self.is_of_beacon(fact) => {}
            Fact::Unexplained(fact) => {
                self.unexplained.take(fact);
                self.frames.unexplained(&fact.why);
                if let Some(ledger) = &mut self.ledger {
                    ledger.unexplained(fact);
                }
            }
            Fact::BoundHit(bound) => {
                self.bounds.insert(*bound);
            }
            Fact::Closed(summary) => {
                self.byte_counts.closed(summary);
                self.peers.closed(summary);
                self.connections.closed(summary);
                self.messages.closed(summary);
                if let Some(ledger) = &mut self.ledger {
                    ledger.closed(summary);
                }
                if let Some(first) = &mut self.first_exchange {
                    first.transcripts.closed(summary.stream);
                }
                if let Some(connections) = &mut self.user_connections {
                    connections.closed(summary);
                }
                if let Some(connections) = &mut self.opened_connections {
                    connections.closed(summary);
                }
            }
        }
    }

    #[inline]
    fn bytes(&mut self, state: &mut SearchState, bytes: &Bytes<'_>, provenance: &dyn Provenance) {
        self.hits.bytes(state, bytes, provenance);
    }

    #[inline]
    fn decide(&mut self, state: &mut SearchState, authentic: Range<u64>, provenance: &dyn Provenance) {
        self.hits.decide(state, authentic, provenance);
    }

    fn gap(&mut self, state: &mut SearchState, len: u64) {
        state.gap(len);
    }

    #[inline]
    fn keep_from(&self, state: &SearchState) -> u64 {
        state.keep_from()
    }

    #[inline]
    fn frame_bytes(&mut self, frame: &FrameBytes<'_>) {
        self.hits.frame_bytes(frame);
    }
}
