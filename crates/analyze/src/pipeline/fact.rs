//! What the pipeline reports, and the interface of its observers.
//!
//! The pipeline owns this interface; observers stand above it and depend on it. Facts come in the order of the frames of
//! the capture. They borrow: an observer copies what it keeps.

use std::fmt::{self, Debug};
use std::ops::Range;

use dissect::capture::Record;
use dissect::decode_stop::DecodeStop;
use dissect::flow::{Direction, Endpoints, PerDirection};
use dissect::frame::Frame;
use dissect::http1::Desync;
use dissect::ip::Protocol;
use dissect::link::EtherType;
use dissect::tcp::{self, Chunk, Disposition};
use dissect::tls::{self, ExtensionType};
use dissect::websocket;

use super::provenance::{DecodeChain, Location, Provenance};

/// What takes facts.
pub(crate) trait Observer {
    /// What the observer remembers of one sequence of bytes, from its first byte to its last. The pipeline keeps it
    /// beside the state of the layer that the bytes come from, and drops it with that.
    type Memory: Default + Debug;

    /// Takes a fact.
    fn observe(&mut self, fact: &Fact<'_>);

    /// Takes the next bytes of a sequence. Each sequence hands over its bytes in order and once.
    fn bytes(&mut self, memory: &mut Self::Memory, bytes: &Bytes<'_>, provenance: &dyn Provenance);

    /// `len` bytes of a sequence are missing from the capture.
    fn gap(&mut self, memory: &mut Self::Memory, len: u64);

    /// The lowest offset of a sequence that the observer may still ask its provenance for.
    fn keep_from(&self, memory: &Self::Memory) -> u64;

    /// Takes the bytes of a frame that come in no sequence.
    fn frame_bytes(&mut self, frame: &FrameBytes<'_>);
}

/// One fact.
pub(crate) enum Fact<'a> {
    /// A frame, decoded as far as possible. The first fact of each frame.
    Frame(&'a Record<'a>, &'a Frame<'a>),
    /// The next bytes of one direction of a connection, and the frame that carries them.
    Chunk(u32, Direction, &'a Chunk<'a>),
    /// A TCP segment and what became of it. It follows the facts of what it carries.
    Segment(&'a SegmentFact<'a>),
    /// A message of an application protocol begins.
    MessageStart(&'a MessageStart<'a>),
    /// A message of an application protocol is over.
    Message(&'a MessageFact<'a>),
    /// A TLS record.
    TlsRecord(&'a RecordFact<'a>),
    /// A TLS handshake message.
    TlsHandshake(&'a HandshakeFact<'a>),
    /// Bytes that no parser explains.
    Unexplained(&'a UnexplainedFact),
    /// A bound of the pipeline was hit: something may not have been seen.
    BoundHit(Bound),
    /// A connection is over, or the capture is.
    Closed(&'a ConnectionSummary),
}

/// Bytes of a sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// How the sequence relates to the bytes of the wire.
    pub sequence: Sequence,
    /// What was undone to get it.
    pub chain: DecodeChain,
    /// Whether a secret was needed to get it.
    pub needs_secret: bool,
}

/// How a sequence of bytes relates to the layer below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// One direction of a TCP connection, as it crossed the wire.
    Stream,
    /// What decryption made of the layer below.
    Decrypted,
    /// Bytes of the layer below without the framing between them: what lies within one piece was handed over there.
    Joined,
    /// What a decoder that needs no secret made of the layer below.
    Decoded,
    /// What a decoder made of bytes that no parser explains.
    Carved,
}

/// A frame whose bytes come in no sequence, or not all of them.
#[derive(Clone, Debug)]
pub(crate) struct FrameBytes<'a> {
    /// The frame.
    pub record: &'a Record<'a>,
    /// The stream that it belongs to.
    pub stream: Option<(u32, Direction)>,
    /// The part of it that comes in the sequence of that stream.
    pub in_stream: Option<Range<usize>>,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentFact<'a> {
    /// Its frame's number, from 1.
    pub frame: u64,
    /// When it was captured, nanoseconds since the epoch.
    pub captured_at: u64,
    /// Number of its connection, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// Which way it went.
    pub direction: Direction,
    /// Its sequence number counted from that of the SYN; `None` where the SYN was not captured.
    pub relative_sequence: Option<u32>,
    /// Whether it is the first SYN of its direction.
    pub is_first_syn: bool,
    /// Bytes of the frame on the wire.
    pub wire_bytes: u64,
    /// Bytes of TCP payload on the wire.
    pub wire_payload: u64,
    /// The payload as far as it was captured.
    pub payload: &'a [u8],
    /// What became of the payload; `None` for a connection that was over long before.
    pub disposition: Option<Disposition>,
}

/// The beginning of a message of an application protocol.
pub(crate) struct MessageStart<'a> {
    /// Number of its connection.
    pub stream: u32,
    /// The frame in which it begins in the clear; `None` where it does not, or where that is no longer known.
    pub visible_in: Option<u64>,
    /// What distinguishes it from others: method and target, or status and reason.
    pub start_line: &'a dyn fmt::Display,
    /// Whether it is the answer that its request waits for, not an interim one (RFC 9110 §15.2).
    pub is_final_answer: bool,
}

/// A message of an application protocol.
pub(crate) struct MessageFact<'a> {
    /// Where head and body stand.
    pub location: Location,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Request method; empty in an answer.
    pub method: &'a str,
    /// Request target; empty in an answer.
    pub target: &'a str,
    /// Status code; 0 in a request.
    pub status: u16,
    /// `Content-Type`; empty if there is none.
    pub content_type: &'a str,
    /// Bytes of the body, all codings undone.
    pub body_bytes: u64,
    /// SHA-256 of the body, where it is whole and [`super::protocol::BodyNeeds`] asked for it.
    pub body_sha256: Option<[u8; 32]>,
    /// Text of a JSON body, where [`super::protocol::BodyNeeds`] asked for it.
    pub json: Option<&'a [u8]>,
    /// Whether head and body were seen whole.
    pub is_complete: bool,
    /// Whether one frame carries all of the body.
    pub is_in_one_frame: bool,
    /// Whether the body crossed in another form than its own bytes.
    pub is_encoded: bool,
    /// Whether a secret is needed to read it.
    pub needs_secret: bool,
    /// What has to be undone to read it.
    pub chain: DecodeChain,
}

/// A TLS record.
pub(crate) struct RecordFact<'a> {
    /// Number of its connection.
    pub stream: u32,
    /// The frame in which it begins; `None` where that is no longer known.
    pub frame: Option<u64>,
    /// Whether its body can be read by holders of the keys only.
    pub is_protected: bool,
    /// The record.
    pub record: &'a tls::Record<'a>,
}

/// A TLS handshake message.
pub(crate) struct HandshakeFact<'a> {
    /// Number of its connection.
    pub stream: u32,
    /// The frame in which its first record begins; `None` where that is no longer known.
    pub frame: Option<u64>,
    /// The message.
    pub handshake: &'a tls::Handshake,
}

/// Where unexplained bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// In a stream, from this offset on.
    Stream {
        /// Number of the connection.
        stream: u32,
        /// Which way they went.
        direction: Direction,
        /// Stream offset of the first of them.
        offset: u64,
    },
    /// In a frame.
    Frame {
        /// Its number.
        frame: u64,
        /// The connection that the frame belongs to.
        stream: Option<u32>,
    },
}

/// Bytes that no parser explains.
#[derive(Clone, Debug)]
pub(crate) struct UnexplainedFact {
    /// Where they are.
    pub at: At,
    /// How many.
    pub bytes: u64,
    /// Why no parser explains them.
    pub why: Unexplained,
    /// Whether a secret was needed to get at them.
    pub needs_secret: bool,
}

/// Why bytes are unexplained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unexplained {
    /// ICMP is searched, not read.
    Icmp,
    /// ICMPv6 is searched, not read.
    Icmpv6,
    /// UDP is searched, not read.
    Udp,
    /// This IP protocol is searched, not read.
    IpProtocol(Protocol),
    /// This EtherType is searched, not read.
    EtherType(EtherType),
    /// An ARP packet holds more than the addresses that it asks or answers for.
    Arp,
    /// The frame cannot be decoded down to a transport header.
    Undecoded(Option<DecodeStop>),
    /// IP options or extension headers can hold anything.
    IpOptions,
    /// The frame is longer than its IP packet, and not by zeros.
    Trailer,
    /// A TCP option that ordinary stacks do not send, or not so.
    TcpOptions,
    /// A selective acknowledgment of bytes that the other side did not send.
    FalseSack,
    /// Payload of a connection that had ended.
    LateData,
    /// No known protocol.
    UnknownProtocol,
    /// Not HTTP/1.
    NotHttp(Desync),
    /// Not WebSocket.
    NotWebSocket(websocket::Desync),
    /// A body in a content coding longer than is kept.
    CodedBodyTooLong,
    /// A body in a content coding with a gap in it.
    CodedBodyGap,
    /// A body in a content coding that does not decode.
    CodedBodyMalformed(String),
    /// A body in a content coding that decodes to more than is read.
    CodedBodyTooLarge,
    /// A body in a content coding that has no decoder here.
    UnknownCoding,
    /// Not explained by TLS.
    Tls(tls::Reason),
    /// More alerts in the clear than end a connection.
    RepeatedAlert,
    /// A hello with an extension that has no name here and is not reserved for GREASE (RFC 8701).
    UnknownExtension(ExtensionType),
}

impl Unexplained {
    /// Whether both have the same text. Where decoding stopped, they may differ in more than that.
    pub(crate) fn reads_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Undecoded(_), Self::Undecoded(_)) => self.to_string() == other.to_string(),
            _ => self == other,
        }
    }
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icmp => f.write_str("ICMP is searched, but not read"),
            Self::Icmpv6 => f.write_str("ICMPv6 is searched, but not read"),
            Self::Udp => f.write_str("UDP is searched, but not read"),
            Self::IpProtocol(protocol) => write!(f, "IP protocol {protocol} is searched, but not read"),
            Self::EtherType(ether_type) => write!(f, "EtherType {ether_type} is searched, but not read"),
            Self::Arp => f.write_str("ARP that says more than addresses"),
            Self::Undecoded(Some(stop)) => write!(f, "a frame that cannot be decoded: {stop}"),
            Self::Undecoded(None) => f.write_str("a frame that cannot be decoded: no transport header"),
            Self::IpOptions => f.write_str("IP options or extension headers"),
            Self::Trailer => f.write_str("a trailer that is not zero"),
            Self::TcpOptions => f.write_str("unusual TCP options"),
            Self::FalseSack => f.write_str("a selective acknowledgment of what was not sent"),
            Self::LateData => f.write_str("data after the connection had ended"),
            Self::UnknownProtocol => f.write_str("an unknown protocol"),
            Self::NotHttp(why) => write!(f, "not read as HTTP: {why}"),
            Self::NotWebSocket(why) => write!(f, "not read as WebSocket: {why}"),
            Self::CodedBodyTooLong => f.write_str("a coded body longer than is kept"),
            Self::CodedBodyGap => f.write_str("a coded body with a gap in it"),
            Self::CodedBodyMalformed(why) => write!(f, "a coded body that does not decode: {why}"),
            Self::CodedBodyTooLarge => f.write_str("a coded body that decodes to more than is read"),
            Self::UnknownCoding => f.write_str("a body in an unknown content coding"),
            Self::Tls(reason) => write!(f, "{reason}"),
            Self::RepeatedAlert => f.write_str("one alert after the other"),
            Self::UnknownExtension(extension) => {
                write!(f, "a hello with an extension that is not known here: {extension}")
            }
        }
    }
}

/// A bound of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    /// [`super::tls::MAX_CLEAR_RECORDS`]
    HandshakeRecords,
    /// [`super::carve::MAX_ATTEMPTS`] or [`super::carve::MAX_CARVED_DECODED`]
    CarveAttempts,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HandshakeRecords => "more handshake records in the clear than are remembered",
            Self::CarveAttempts => {
                "more magic numbers of compression formats in unexplained bytes than are tried"
            }
        })
    }
}

/// A connection that is over.
#[derive(Debug)]
pub(crate) struct ConnectionSummary {
    /// Its number.
    pub stream: u32,
    /// Its ends; every connection has them.
    pub ends: Option<Endpoints>,
    /// Whether SYN and SYN-ACK were captured.
    pub handshake_seen: bool,
    /// Whether any payload crossed.
    pub has_data: bool,
    /// How it ended; `None` where the capture does not show an end.
    pub end: Option<ConnectionEnd>,
    /// Bytes of TCP payload on the wire, repeats included.
    pub wire_payload: PerDirection<u64>,
    /// What reassembly counted.
    pub tcp: PerDirection<tcp::Counters>,
    /// What it spoke.
    pub spoken: Spoken,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// Both sides closed their direction.
    Fin,
    /// One side reset it.
    Rst,
}

/// What a connection spoke.
#[derive(Debug)]
pub(crate) enum Spoken {
    /// Messages of an application protocol in the clear.
    Messages,
    /// TLS.
    Tls(Box<PerDirection<TlsDirection>>),
    /// Nothing that is read here.
    Unknown,
}

/// One direction of a TLS connection.
#[derive(Debug)]
pub(crate) struct TlsDirection {
    /// What the session counted.
    pub counters: tls::RecordCounters,
    /// Bytes by the visibility of their records.
    pub bytes: RecordBytes,
    /// Whether it stopped being TLS.
    pub is_dead: bool,
}

/// Bytes of one TLS direction by the visibility of their records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RecordBytes {
    /// Record headers, and records in the clear.
    pub clear: u64,
    /// Bodies of protected records.
    pub protected: u64,
}
