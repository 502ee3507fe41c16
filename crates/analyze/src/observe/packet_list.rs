//! Lists the first frames, with the names of what begins in each.

use dissect::capture::Record;
use dissect::flow::Endpoint;
use dissect::frame::{Frame, Network, Transport};
use dissect::ip::Ip;
use dissect::quic::Event;
use dissect::tls::{Content, ContentType, Message};

use exposure_schema::{Name, PacketEntry};

use super::direction::direction;
use super::{dns, quic};
use crate::pipeline::fact::{DnsFact, HandshakeFact, MessageStart, QuicFact, RecordFact, SegmentFact};
use crate::pipeline::frames::{payload_on_wire, wire_len};
use crate::readable::redacted_target;

/// Maximum number of frames listed: enough for a hundred tool calls in plaintext, and more than a person scrolls
/// through.
pub(crate) const MAX_PACKETS: usize = 200;

/// Maximum number of names in one frame. A segment of 1,448 bytes can contain the beginnings of 241 one-byte TLS
/// records.
pub(crate) const MAX_HOLDS: usize = 16;

/// Maximum number of characters of one name: a request target can have kilobytes.
pub(crate) const MAX_HOLD_CHARS: usize = 128;

/// The first [`MAX_PACKETS`] frames.
#[derive(Debug, Default)]
pub(crate) struct PacketList {
    entries: Vec<PacketEntry>,
    /// Whether secrets are left out of start lines.
    pub hides_secrets: bool,
}

impl PacketList {
    /// Adds the next frame, unless the list is full.
    #[inline]
    pub(crate) fn push(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        if self.entries.len() < MAX_PACKETS {
            self.entries.push(entry(record, frame));
        }
    }

    /// Notes that the frame of a segment belongs to a stream.
    #[inline]
    pub(crate) fn segment(&mut self, segment: &SegmentFact<'_>) {
        if segment.disposition.is_some()
            && let Some(packet) = self.of(segment.frame)
        {
            packet.stream = Some(segment.stream);
            packet.direction = Some(direction(segment.direction));
            packet.sequence = segment.relative_sequence;
        }
    }

    /// Notes the beginning of a message.
    pub(crate) fn message_start(&mut self, start: &MessageStart<'_>) {
        let hides_secrets = self.hides_secrets;
        self.begins(start.visible_in, || {
            let line = start.start_line.to_string();
            Some(if hides_secrets { redacted_target(&line).into_owned() } else { line })
        });
    }

    /// Notes a TLS record.
    #[inline]
    pub(crate) fn record(&mut self, fact: &RecordFact<'_>) {
        self.begins(fact.frame, || record_name(fact));
    }

    /// Notes a TLS handshake message.
    pub(crate) fn handshake(&mut self, fact: &HandshakeFact<'_>) {
        if !fact.handshake.was_encrypted {
            self.begins(fact.frame, || message_name(&fact.handshake.message));
        }
    }

    /// Notes a DNS message.
    pub(crate) fn dns(&mut self, fact: &DnsFact<'_>) {
        if !fact.needs_secret {
            self.begins(Some(fact.frame), || Some(dns::summary(fact.protocol, fact.message)));
        }
    }

    /// Notes what is in a datagram of QUIC.
    pub(crate) fn quic(&mut self, fact: &QuicFact<'_>, event: Option<&Event<'_>>) {
        if let Some(event) = event {
            self.begins(Some(fact.frame), || quic::name(event));
        }
    }

    /// Adds the name of something that begins in a frame. `frame` is `None` if that is no longer known; `name` is
    /// `None` if another entry names it.
    #[inline]
    fn begins(&mut self, frame: Option<u64>, name: impl FnOnce() -> Option<String>) {
        if let Some(packet) = frame.and_then(|frame| self.of(frame))
            && packet.holds.len() < MAX_HOLDS
            && let Some(name) = name()
        {
            packet.holds.push(name.chars().take(MAX_HOLD_CHARS).collect());
        }
    }

    /// Returns the list.
    pub(crate) fn into_entries(self) -> Vec<PacketEntry> {
        self.entries
    }

    /// Frames are numbered from 1 without gaps.
    fn of(&mut self, frame: u64) -> Option<&mut PacketEntry> {
        let index = usize::try_from(frame.checked_sub(1)?).ok()?;
        self.entries.get_mut(index)
    }
}

#[cold]
fn entry(record: &Record<'_>, frame: &Frame<'_>) -> PacketEntry {
    let mut entry = PacketEntry {
        frame: record.frame,
        at_unix_ns: record.captured_at,
        wire_bytes: wire_len(record),
        captured_bytes: record.bytes.len() as u64,
        stream: None,
        direction: None,
        source: None,
        destination: None,
        protocol: protocol(frame),
        flags: Vec::new(),
        sequence: None,
        payload_bytes: 0,
        holds: Vec::new(),
    };
    let Some(ip) = frame.ip() else { return entry };
    let (mut source, mut destination) = (ip.src.to_string(), ip.dst.to_string());
    let mut with_ports = |ports: [u16; 2], payload_offset: u32, payload_len: u32| {
        source = Endpoint { address: ip.src, port: ports[0] }.to_string();
        destination = Endpoint { address: ip.dst, port: ports[1] }.to_string();
        entry.payload_bytes = payload_on_wire(record, payload_offset, payload_len);
    };
    match &frame.transport {
        Transport::Tcp(tcp) => {
            with_ports([tcp.src_port, tcp.dst_port], tcp.payload_offset, tcp.wire_payload_len);
            entry.flags = tcp.flags.names().map(Name::from).collect();
        }
        Transport::Udp(udp) => {
            with_ports([udp.src_port, udp.dst_port], udp.payload_offset, udp.wire_payload_len);
        }
        _ => {}
    }
    (entry.source, entry.destination) = (Some(source), Some(destination));
    entry
}

/// The name of the innermost protocol that was decoded.
pub(crate) fn protocol(frame: &Frame<'_>) -> String {
    match (&frame.transport, &frame.network) {
        (Transport::Tcp(_), _) => "TCP".to_owned(),
        (Transport::Udp(_), _) => "UDP".to_owned(),
        (Transport::Icmp, _) => "ICMP".to_owned(),
        (Transport::Icmpv6, _) => "ICMPv6".to_owned(),
        (Transport::Other(protocol), _) => protocol.to_string(),
        (Transport::Absent, Network::Arp) => "ARP".to_owned(),
        (Transport::Absent, Network::Ip(Ip { src, .. })) if src.is_v4() => "IPv4".to_owned(),
        (Transport::Absent, Network::Ip(_)) => "IPv6".to_owned(),
        (Transport::Absent, Network::Aggregate(_)) => "A-MSDU".to_owned(),
        (Transport::Absent, Network::Other(ether_type)) => ether_type.to_string(),
        (Transport::Absent, Network::Absent) => "unknown".to_owned(),
    }
}

/// The name of a record, by its visible type. `None` for handshake messages in the clear, which have entries of their
/// own.
pub(crate) fn record_name(fact: &RecordFact<'_>) -> Option<String> {
    let kind = fact.record.header.content_type;
    Some(match (&fact.record.content, kind) {
        (Content::Handshake(_), _) => return None,
        (_, ContentType::APPLICATION_DATA) => "Application Data".to_owned(),
        (_, ContentType::HANDSHAKE) if fact.is_protected => "Encrypted Handshake Message".to_owned(),
        (_, ContentType::ALERT) if fact.is_protected => "Encrypted Alert".to_owned(),
        _ => kind.name().map_or_else(|| format!("record of type {kind}"), camel_case),
    })
}

/// A handshake message in the clear by the name that the RFCs give its struct.
pub(crate) fn message_name(message: &Message) -> Option<String> {
    let kind = message.message_type();
    Some(match message {
        Message::ServerHello(hello) if hello.is_hello_retry_request => "HelloRetryRequest".to_owned(),
        _ => kind.name().map_or_else(|| format!("handshake message {kind}"), camel_case),
    })
}

/// `change_cipher_spec` to `ChangeCipherSpec`.
fn camel_case(name: &str) -> String {
    name.split('_')
        .flat_map(|word| {
            let (first, rest) = word.split_at(1);
            [first.to_uppercase(), rest.to_owned()]
        })
        .collect()
}
