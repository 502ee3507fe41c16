//! The facts that the pipeline reports, and the interface of its observers.
//!
//! The pipeline owns this interface, and observers depend on it. Facts come in the order of the capture's frames. They
//! borrow their data: an observer copies what it keeps.

use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::ops::Range;

use dissect::capture::Record;
use dissect::decode_stop::DecodeStop;
use dissect::dns;
use dissect::flow::{Direction, Endpoints, PerDirection};
use dissect::frame::{Frame, UdpDatagram};
use dissect::http1::{Desync, Deviation};
use dissect::http2::{self, hpack};
use dissect::http3;
use dissect::ip::Protocol;
use dissect::link::EtherType;
use dissect::preamble;
use dissect::quic;
use dissect::tcp::{self, Chunk, Disposition};
use dissect::tls::{self, ContentType, Irregularity, ProtocolVersion};
use dissect::websocket;

use super::parts::PartKind;
use super::provenance::{DecodeChain, HttpStream, Location, Provenance};

/// An observer: receives facts.
pub(crate) trait Observer {
    /// The observer's memory of one sequence of bytes, from its first byte to its last. The pipeline keeps it beside
    /// the state of the layer that the bytes come from, and drops both together.
    type Memory: Default + Debug;

    /// Receives a fact.
    fn observe(&mut self, fact: &Fact<'_>);

    /// Receives the next bytes of a sequence. Each sequence delivers its bytes in order and once.
    fn bytes(&mut self, memory: &mut Self::Memory, bytes: &Bytes<'_>, provenance: &dyn Provenance);

    /// In a stream, the bytes in `authentic` belong to TLS records that authenticate, and all undecided bytes before them do
    /// not. The last call for a stream decides all of its bytes.
    fn decide(&mut self, memory: &mut Self::Memory, authentic: Range<u64>, provenance: &dyn Provenance);

    /// `len` bytes of a sequence are missing from the capture. No byte before them is undecided.
    fn gap(&mut self, memory: &mut Self::Memory, len: u64);

    /// The lowest offset of a sequence for which the observer may still ask the provenance.
    fn keep_from(&self, memory: &Self::Memory) -> u64;

    /// Receives the bytes of a frame that belong to no sequence.
    fn frame_bytes(&mut self, frame: &FrameBytes<'_>);
}

/// An observer that needs facts alone: it searches no bytes, and asks for no provenance.
pub(crate) trait FactObserver {
    /// Receives a fact.
    fn observe(&mut self, fact: &Fact<'_>);
}

impl<T: FactObserver> Observer for T {
    type Memory = ();

    #[inline]
    fn observe(&mut self, fact: &Fact<'_>) {
        FactObserver::observe(self, fact);
    }

    fn bytes(&mut self, (): &mut (), _bytes: &Bytes<'_>, _provenance: &dyn Provenance) {}

    fn decide(&mut self, (): &mut (), _authentic: Range<u64>, _provenance: &dyn Provenance) {}

    fn gap(&mut self, (): &mut (), _len: u64) {}

    fn keep_from(&self, (): &()) -> u64 {
        u64::MAX
    }

    fn frame_bytes(&mut self, _frame: &FrameBytes<'_>) {}
}

/// One fact.
pub(crate) enum Fact<'a> {
    /// A frame, decoded as far as possible. The first fact of each frame.
    Frame(&'a Record<'a>, &'a Frame<'a>),
    /// Number of bytes on the wire of a frame, or of a part of it, that no [`Fact::Segment`] will count.
    NoSegment(u64),
    /// Bytes of the file that are no part of a frame, and the offset of the first of them.
    BesideFrames(u64, &'a [u8]),
    /// The next bytes of one direction of a connection, and the frame that carries them.
    Chunk(u32, Direction, &'a Chunk<'a>),
    /// A TCP segment and what became of it. It follows the facts of what it carries.
    Segment(&'a SegmentFact<'a>),
    /// A message of an application protocol begins, in a TCP connection.
    MessageStart(&'a MessageStart<'a>),
    /// A request on this TCP connection names this host, in the clear.
    Asked(u32, &'a [u8]),
    /// The head of a message, or its trailers, if [`super::protocol::BodyNeeds`] asks for it.
    Head(&'a HeadFact<'a>),
    /// A message of an application protocol is complete.
    Message(&'a MessageFact<'a>),
    /// A part of a message's body is complete. It comes before the message.
    Part(&'a PartFact<'a>),
    /// A control frame of WebSocket.
    ControlFrame(&'a ControlFrame),
    /// A TLS record.
    TlsRecord(&'a RecordFact<'a>),
    /// A TLS handshake message.
    TlsHandshake(&'a HandshakeFact<'a>),
    /// A DNS message.
    Dns(&'a DnsFact<'a>),
    /// A datagram of QUIC, and then what is in it, with the same datagram.
    Quic(&'a QuicFact<'a>, Option<&'a quic::Event<'a>>),
    /// Bytes that no parser explains.
    Unexplained(&'a UnexplainedFact),
    /// A bound of the pipeline was reached: something may have been missed.
    BoundHit(Bound),
    /// A connection ended, or the capture ended before it.
    Closed(&'a ConnectionSummary),
}

/// Bytes of a sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a> {
    pub bytes: &'a [u8],
    /// How the sequence relates to the bytes on the wire.
    pub sequence: Sequence,
    /// The decode chain that leads to it.
    pub chain: DecodeChain,
    /// Whether reading it needs a secret.
    pub needs_secret: bool,
}

/// How a sequence of bytes relates to the layer below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// One direction of a TCP connection, as on the wire.
    Stream,
    /// The same behind a TLS record that authenticated: whether these bytes do is known with the end of their record. See
    /// [`Observer::decide`].
    UndecidedStream,
    /// The decrypted content of the layer below.
    Decrypted,
    /// Bytes of the layer below without the framing between them. The layer below has already delivered the bytes
    /// within each piece.
    Joined,
    /// The output of a decoder that needs no secret, applied to the layer below.
    Decoded,
    /// The output of a decoder applied to bytes that no parser explains.
    Carved,
}

/// A frame with bytes that belong to no sequence.
#[derive(Clone, Debug)]
pub(crate) struct FrameBytes<'a> {
    pub record: &'a Record<'a>,
    /// The stream that the frame belongs to.
    pub stream: Option<(u32, Direction)>,
    /// The part of the frame that the sequence of that stream delivers.
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
    /// Direction of the segment.
    pub direction: Direction,
    /// Its sequence number relative to that of the SYN; `None` if the SYN was not captured.
    pub relative_sequence: Option<u32>,
    /// Whether it is the first SYN of its direction.
    pub is_first_syn: bool,
    /// Length of the whole frame on the wire.
    pub wire_bytes: u64,
    /// Length of the TCP payload on the wire.
    pub wire_payload: u64,
    /// The captured part of the payload.
    pub payload: &'a [u8],
    /// What became of the payload; `None` for a segment that came long after the end of its connection.
    pub disposition: Option<Disposition>,
}

/// The beginning of a message of an application protocol.
pub(crate) struct MessageStart<'a> {
    /// Number of its connection.
    pub stream: u32,
    /// The frame in which it begins in the clear; `None` if it is encrypted, or if the frame is no longer known.
    pub visible_in: Option<u64>,
    /// The minor version in the start line of an HTTP/1 message.
    pub minor_version: Option<u8>,
    /// Its start line: method and target, or status and reason.
    pub start_line: &'a dyn fmt::Display,
    /// Whether it is the final answer to its request, not an interim one (RFC 9110 §15.2).
    pub is_final_answer: bool,
}

/// The head of a message of HTTP.
pub(crate) struct HeadFact<'a> {
    /// Its position.
    pub location: Location,
    /// Request target; empty in an answer and in trailers.
    pub target: &'a str,
    /// Names and values of its fields, as far as they are known.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// Whether one frame carries it.
    pub is_in_one_frame: bool,
    /// Whether the layer below contains it in another form than its own bytes.
    pub is_encoded: bool,
    /// Whether reading it needs a secret.
    pub needs_secret: bool,
    /// The decode chain that leads to it.
    pub chain: DecodeChain,
}

/// A message of an application protocol.
pub(crate) struct MessageFact<'a> {
    /// Position of head and body.
    pub location: Location,
    /// Its stream in HTTP/2 or HTTP/3.
    pub http_stream: Option<HttpStream>,
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
    /// Length of the body in bytes, after all codings are undone.
    pub body_bytes: u64,
    /// SHA-256 of the body, if no byte is missing and [`super::protocol::BodyNeeds`] asks for it.
    pub body_sha256: Option<[u8; 32]>,
    /// The body if it can be text, if [`super::protocol::BodyNeeds`] asks for it. A zero byte is where a part is missing.
    pub json: Option<&'a [u8]>,
    /// Whether head and body were captured completely.
    pub is_complete: bool,
    /// Whether one frame carries the whole body.
    pub is_in_one_frame: bool,
    /// Whether the layer below contains the body in another form than its own bytes.
    pub is_encoded: bool,
    /// Whether reading it needs a secret.
    pub needs_secret: bool,
    /// The decode chain that leads to it.
    pub chain: DecodeChain,
}

/// A part of a body: a server-sent event, a line of JSON, a message of gRPC.
pub(crate) struct PartFact<'a> {
    /// Number of its TCP connection; `None` in QUIC.
    pub stream: Option<u32>,
    pub direction: Direction,
    /// The stream of its message in HTTP/2 or HTTP/3.
    pub http_stream: Option<HttpStream>,
    pub kind: PartKind,
    /// The type of an event, `trailers` for those of gRPC-Web; empty for others.
    pub name: &'a [u8],
    /// Length of its content in bytes, after all codings are undone.
    pub bytes: u64,
    /// Its content, if [`super::protocol::BodyNeeds`] asks for JSON: the data of an event, a line, a message.
    pub text: Option<&'a [u8]>,
    /// Whether it was captured and read completely.
    pub is_complete: bool,
    /// Whether the layer below contains it in another form than its own bytes, or in several pieces.
    pub is_encoded: bool,
    /// Whether reading it needs a secret.
    pub needs_secret: bool,
    /// The decode chain that leads to it.
    pub chain: DecodeChain,
    /// Finds its place: many parts are counted only.
    pub place: &'a dyn Fn() -> PartPlace,
}

/// The place of a part.
pub(crate) struct PartPlace {
    /// Its bytes with their framing; those of the whole body if that is in a content coding.
    pub location: Location,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Whether one frame carries all of it.
    pub is_in_one_frame: bool,
}

/// A control frame of WebSocket (RFC 6455 §5.5).
pub(crate) struct ControlFrame {
    /// Number of its connection.
    pub stream: u32,
    pub direction: Direction,
    /// Its bytes, header included, by offsets in the input of the protocol: in the stream, if no secret is needed.
    pub range: Range<u64>,
    /// Whether reading it needs a secret.
    pub needs_secret: bool,
}

/// A TLS record.
pub(crate) struct RecordFact<'a> {
    /// Number of its connection.
    pub stream: u32,
    /// The frame in which it begins; `None` if that is no longer known.
    pub frame: Option<u64>,
    /// Whether only holders of the keys can read its body.
    pub is_protected: bool,
    pub record: &'a tls::Record<'a>,
}

/// A TLS handshake message.
pub(crate) struct HandshakeFact<'a> {
    /// Number of its connection.
    pub stream: u32,
    /// The frame in which its first record begins; `None` if that is no longer known.
    pub frame: Option<u64>,
    pub handshake: &'a tls::Handshake,
}

/// A DNS message.
#[derive(Clone, Copy)]
pub(crate) struct DnsFact<'a> {
    /// `dns`, `mdns` or `llmnr`.
    pub protocol: &'static str,
    /// The TCP connection that carries it, and its direction there; `None` in a datagram.
    pub stream: Option<(u32, Direction)>,
    /// Source and destination of the datagram that carries it; `None` in a TCP connection.
    pub ends: Option<[SocketAddr; 2]>,
    /// The frame of its last byte; 0 if that is no longer known.
    pub frame: u64,
    /// Whether reading it needs a secret: DNS over TLS.
    pub needs_secret: bool,
    pub message: &'a dns::Message,
    /// The message on the wire.
    pub bytes: &'a [u8],
}

/// A datagram of QUIC.
pub(crate) struct QuicFact<'a> {
    /// Number of the session, from 0 in the order of their first datagrams.
    pub session: u32,
    /// Address and port of the end that sends the ClientHello.
    pub client: SocketAddr,
    /// Address and port of the other end.
    pub server: SocketAddr,
    pub direction: Direction,
    /// The frame; of fragments, the last one.
    pub frame: u64,
    pub datagram: &'a UdpDatagram<'a>,
}

/// Position of unexplained bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// In a stream, from this offset on.
    Stream {
        /// Number of the connection.
        stream: u32,
        /// Direction of the bytes.
        direction: Direction,
        /// Stream offset of the first byte.
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
    pub at: At,
    /// Number of bytes.
    pub bytes: u64,
    pub why: Unexplained,
}

/// Reason why bytes are unexplained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unexplained {
    /// ICMP, which is searched but not decoded.
    Icmp,
    /// ICMPv6, which is searched but not decoded.
    Icmpv6,
    /// UDP, which is searched but not decoded.
    Udp,
    /// A datagram with a DNS message: no rule says which of its fields an honest sender can choose.
    Dns,
    /// DNS messages in a TCP connection.
    DnsStream,
    /// A datagram of QUIC whose packets are all readable without a secret.
    QuicInitial,
    /// A datagram of QUIC with a packet that stays closed.
    QuicProtected,
    /// A datagram of QUIC with packets that the key log opens, and none that stays closed: no rule says which of
    /// their fields an honest sender can choose.
    QuicDecrypted,
    /// Another IP protocol, which is searched but not decoded.
    IpProtocol(Protocol),
    /// Another EtherType, which is searched but not decoded.
    EtherType(EtherType),
    /// An ARP packet that contains more than the addresses of a request or reply.
    Arp,
    /// A frame without a decoded transport header.
    Undecoded(Option<DecodeStop>),
    /// A fragment of an IP packet: its header can contain anything, whether or not the packet can be put together.
    Fragment,
    /// A fragment that cannot be a part of any packet, or of which the capture lacks a part.
    InvalidFragment,
    /// Fragments of a packet of which not all were captured.
    IncompletePacket,
    /// Fragments of a packet that were given up, because more packets were in progress than are kept.
    TooManyFragments,
    /// Fragments of one packet that contradict each other: both versions are searched, but nothing says which one counts.
    OverlappingFragments,
    /// Headers of a tunnel, of MPLS, of PPPoE, or of a link whose headers can contain anything.
    Encapsulation,
    /// IP options or extension headers, which can contain anything.
    IpOptions,
    /// A frame that is longer than its IP packet, with bytes other than zeros behind it.
    Trailer,
    /// A TCP option that ordinary stacks do not send, or not in this form.
    TcpOptions,
    /// A selective acknowledgment of bytes that the other side did not send.
    FalseSack,
    /// Payload that came after the end of its connection.
    LateData,
    /// A stream of no known protocol.
    UnknownProtocol,
    /// A stream that is not valid HTTP/1.
    NotHttp(Desync),
    /// A header section of HTTP/1 that deviates from RFC 9112, so that its receiver may read it in another way.
    LenientHttp(Deviation),
    /// A tunnel through a proxy (CONNECT): the messages before it were in the clear.
    Tunnelled,
    /// A stream of a protocol of which only the way to another one inside of it is read.
    Preamble(preamble::Kind),
    /// An answer of HTTP/1 to a request that was not captured: that it has no body follows from what is behind it.
    UnseenRequest,
    /// A stream that is not valid HTTP/2.
    NotHttp2(http2::Desync),
    /// Bytes of HTTP/2 that its receiver ignores, or that are not read.
    IgnoredByHttp2(http2::Ignored),
    /// A header block of HTTP/2 that is not read to its end.
    HeaderBlock(hpack::Error),
    /// A header block of HTTP/3 that is not read to its end.
    Http3HeaderBlock(http3::Error),
    /// A header block of HTTP/2 or HTTP/3 with more fields than are read.
    HeaderFields,
    /// A header block of HTTP/2 that refers to fields of blocks that were not captured.
    UnseenFields,
    /// Frames of HTTP/2 that were read: no rule says which of their fields an honest sender can choose.
    Http2Framing,
    /// More connections inside of HTTP/2 streams than are read at a time.
    TooManyTunnels,
    /// A stream that is not valid WebSocket.
    NotWebSocket(websocket::Desync),
    /// Compressed messages of WebSocket that were read: their sender chooses how they are compressed.
    CompressedWebSocket,
    /// The beginning of a message's head or of a frame, of which no more came.
    Unfinished,
    /// A body in a content coding that is longer than is kept.
    CodedBodyTooLong,
    /// A body in a content coding with a gap in it.
    CodedBodyGap,
    /// A body in a content coding that does not decode.
    CodedBodyMalformed(String),
    /// A body in a content coding that decodes to more than is read.
    CodedBodyTooLarge,
    /// A body in a content coding that this program cannot decode.
    UnknownCoding,
    /// Bytes that TLS does not explain.
    Tls(tls::Reason),
    /// More alerts in the clear than are needed to end a connection.
    RepeatedAlert,
    /// A protected record with this inner content type, or with contents that the type does not allow.
    InnerRecord(ContentType),
    /// A hello with something in it that no rule foresees.
    Hello(Irregularity),
    /// A version before TLS 1.3 that was decrypted: no rule says which fields of its handshake, of its nonces and of its
    /// padding an honest sender can choose.
    OlderTls(ProtocolVersion),
}

impl Unexplained {
    /// Whether both have the same text. Reasons why decoding stopped may differ in details that the text leaves out.
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
            Self::Dns => f.write_str("DNS is read, but its fields are not checked one by one"),
            Self::DnsStream => f.write_str("DNS over TCP is read, but its fields are not checked one by one"),
            Self::QuicInitial => f.write_str(
                "QUIC packets that hide nothing are read, but their fields are not checked one by one",
            ),
            Self::QuicProtected => f.write_str("QUIC packets under keys that are not known"),
            Self::QuicDecrypted => f.write_str(
                "QUIC packets that keys open are read, but their fields are not checked one by one",
            ),
            Self::IpProtocol(protocol) => write!(f, "IP protocol {protocol} is searched, but not read"),
            Self::EtherType(ether_type) => write!(f, "EtherType {ether_type} is searched, but not read"),
            Self::Arp => f.write_str("an ARP packet that contains more than addresses"),
            Self::Undecoded(Some(stop)) => write!(f, "a frame that cannot be decoded: {stop}"),
            Self::Undecoded(None) => f.write_str("a frame that cannot be decoded: no transport header"),
            Self::Fragment => f.write_str("an IP fragment"),
            Self::InvalidFragment => f.write_str("an IP fragment that fits no packet"),
            Self::IncompletePacket => {
                f.write_str("IP fragments of a packet that was not captured completely")
            }
            Self::TooManyFragments => f.write_str("IP fragments beyond the number that is kept"),
            Self::OverlappingFragments => f.write_str("IP fragments that contradict each other"),
            Self::Encapsulation => f.write_str("headers of a tunnel or of a link that can contain anything"),
            Self::IpOptions => f.write_str("IP options or extension headers"),
            Self::Trailer => f.write_str("a trailer that is neither zeros nor a check sequence"),
            Self::TcpOptions => f.write_str("unusual TCP options"),
            Self::FalseSack => f.write_str("a selective acknowledgment of bytes that were not sent"),
            Self::LateData => f.write_str("data after the connection had ended"),
            Self::UnknownProtocol => f.write_str("an unknown protocol"),
            Self::NotHttp(why) => write!(f, "not read as HTTP: {why}"),
            Self::LenientHttp(what) => write!(f, "HTTP read leniently: {what}"),
            Self::Tunnelled => f.write_str("a tunnel through a proxy, which begins in the clear"),
            Self::Preamble(kind) => {
                write!(f, "{kind}, of which only the way to TLS or into a tunnel is read")
            }
            Self::UnseenRequest => {
                f.write_str("an HTTP answer without body to a request that was not captured")
            }
            Self::NotHttp2(why) => write!(f, "not read as HTTP/2: {why}"),
            Self::IgnoredByHttp2(what) => write!(f, "{what}"),
            Self::HeaderBlock(why) => write!(f, "not read as HTTP/2: {why}"),
            Self::Http3HeaderBlock(why) => write!(f, "not read as HTTP/3: {why}"),
            Self::HeaderFields => f.write_str("a header block with more fields than are read"),
            Self::UnseenFields => f.write_str("a header block that refers to fields that were not captured"),
            Self::Http2Framing => {
                f.write_str("HTTP/2 is read, but the fields of its frames are not checked one by one")
            }
            Self::TooManyTunnels => f.write_str("more connections inside of HTTP/2 than are read at a time"),
            Self::NotWebSocket(why) => write!(f, "not read as WebSocket: {why}"),
            Self::CompressedWebSocket => {
                f.write_str("a compressed WebSocket message is read, but not how its sender compresses it")
            }
            Self::Unfinished => f.write_str("the beginning of a message that does not go on"),
            Self::CodedBodyTooLong => f.write_str("a coded body longer than is kept"),
            Self::CodedBodyGap => f.write_str("a coded body with a gap in it"),
            Self::CodedBodyMalformed(why) => write!(f, "a coded body that does not decode: {why}"),
            Self::CodedBodyTooLarge => f.write_str("a coded body that decodes to more than is read"),
            Self::UnknownCoding => f.write_str("a body in an unknown content coding"),
            Self::Tls(reason) => write!(f, "{reason}"),
            Self::RepeatedAlert => f.write_str("more alerts in the clear than end a connection"),
            Self::InnerRecord(content_type) => {
                write!(f, "a protected record that contains no valid {content_type}")
            }
            Self::OlderTls(version) => {
                write!(f, "{version} is read, but the fields of its handshake are not checked one by one")
            }
            Self::Hello(irregularity) => write!(f, "a hello with {irregularity}"),
        }
    }
}

/// A bound of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    /// [`super::tls::MAX_CLEAR_RECORDS`]
    HandshakeRecords,
    /// [`super::datagram::MAX_SESSIONS`]
    QuicSessions,
    /// [`super::http3::MAX_KEPT_TOTAL`], or a bound of one session's streams.
    QuicStreams,
    /// [`super::carve::MAX_ATTEMPTS`] or [`super::carve::MAX_CARVED_DECODED`]
    CarveAttempts,
    /// [`super::frames::MAX_HELD_TOTAL`]
    HeldBytes,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HandshakeRecords => "more handshake records in the clear than are remembered",
            Self::QuicSessions => "more QUIC sessions at a time than are remembered",
            Self::QuicStreams => "more in the streams of QUIC sessions at a time than is kept",
            Self::CarveAttempts => {
                "more magic numbers of compression formats in unexplained bytes than are tried"
            }
            Self::HeldBytes => "more bytes of unfinished messages in all connections than are kept",
        })
    }
}

/// A connection that ended.
#[derive(Debug)]
pub(crate) struct ConnectionSummary {
    /// Its number.
    pub stream: u32,
    /// Its ends; every connection has them.
    pub ends: Option<Endpoints>,
    /// Whether SYN and SYN-ACK were captured.
    pub handshake_seen: bool,
    /// Whether it carried payload.
    pub has_data: bool,
    /// How it ended; `None` if the capture does not show its end.
    pub end: Option<ConnectionEnd>,
    /// Whether the capture shows that nothing follows: each side's FIN is acknowledged, or a RST is behind the last segment
    /// with content, SYN or FIN.
    pub is_settled: bool,
    /// Bytes of TCP payload on the wire, including retransmissions.
    pub wire_payload: PerDirection<u64>,
    /// Frame of the first payload; `None` if none was captured.
    pub first_payload: Option<u64>,
    /// The counters of reassembly.
    pub tcp: PerDirection<tcp::Counters>,
    /// The protocol that it carried.
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

/// The kind of protocol that a connection carried.
#[derive(Debug)]
pub(crate) enum Spoken {
    /// An application protocol in the clear.
    Messages,
    /// TLS.
    Tls(Box<PerDirection<TlsDirection>>),
    /// A protocol that is not decoded here, or not messages of agents: DNS.
    Unknown,
}

/// One direction of a TLS connection.
#[derive(Debug)]
pub(crate) struct TlsDirection {
    /// Stream offset of the first record: what is before was sent in the clear, as in STARTTLS.
    pub begins: u64,
    /// The counters of the TLS session.
    pub counters: tls::RecordCounters,
    /// Bytes by the visibility of their records.
    pub bytes: RecordBytes,
    /// Whether it stopped being valid TLS.
    pub is_dead: bool,
    /// Whether its Finished message confirms the handshake.
    pub finished: tls::Finished,
}

/// Bytes of one TLS direction by the visibility of their records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RecordBytes {
    /// Record headers, and records in the clear.
    pub clear: u64,
    /// Bodies of protected records.
    pub protected: u64,
}
