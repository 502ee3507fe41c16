//! The first frames one by one, and what begins in each.

use dissect::capture::Record;
use dissect::frame::{Frame, Network, Transport};
use dissect::http1::Head;
use dissect::ip::Ip;
use dissect::tls::{self, Content, ContentType, Message, NotDecrypted};
use exposure_schema::{Direction, Name, PacketEntry};

use crate::pipeline::connection::{Endpoint, endpoint};

/// Most frames that are listed: a hundred tool-calls in plaintext, and all that a person scrolls through.
pub(crate) const MAX_PACKETS: usize = 200;

/// Most names of what begins in one frame. A segment of 1,448 bytes can begin 241 TLS records of one byte.
const MAX_HOLDS: usize = 16;

/// Characters of one such name: a request target can have kilobytes.
const MAX_HOLD_CHARS: usize = 128;

/// The first [`MAX_PACKETS`] frames.
#[derive(Debug, Default)]
pub(crate) struct Packets(Vec<PacketEntry>);

impl Packets {
    /// Adds the next frame, as long as there is room.
    #[inline]
    pub(crate) fn push(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        if self.0.len() < MAX_PACKETS {
            self.0.push(entry(record, frame));
        }
    }

    /// Says to which stream a frame belongs, and where its sequence number stands there.
    #[inline]
    pub(crate) fn belongs(&mut self, frame: u64, stream: u32, direction: Direction, sequence: Option<u32>) {
        if let Some(packet) = self.of(frame) {
            packet.stream = Some(stream);
            packet.direction = Some(direction);
            packet.sequence = sequence;
        }
    }

    /// Something begins in a frame. No frame: it is not known any more in which. No name: it goes by another one.
    #[inline]
    pub(crate) fn begins(&mut self, frame: Option<u64>, name: impl FnOnce() -> Option<String>) {
        if let Some(packet) = frame.and_then(|frame| self.of(frame))
            && packet.holds.len() < MAX_HOLDS
            && let Some(name) = name()
        {
            packet.holds.push(name.chars().take(MAX_HOLD_CHARS).collect());
        }
    }

    /// The list.
    pub(crate) fn into_entries(self) -> Vec<PacketEntry> {
        self.0
    }

    /// Frames are numbered from 1 without holes.
    fn of(&mut self, frame: u64) -> Option<&mut PacketEntry> {
        let index = usize::try_from(frame.checked_sub(1)?).ok()?;
        self.0.get_mut(index)
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
        source = endpoint(Endpoint::from((ip.src, ports[0])));
        destination = endpoint(Endpoint::from((ip.dst, ports[1])));
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

/// The innermost protocol that was decoded.
fn protocol(frame: &Frame<'_>) -> String {
    match (&frame.transport, &frame.network) {
        (Transport::Tcp(_), _) => "TCP".to_owned(),
        (Transport::Udp(_), _) => "UDP".to_owned(),
        (Transport::Icmp, _) => "ICMP".to_owned(),
        (Transport::Icmpv6, _) => "ICMPv6".to_owned(),
        (Transport::Other(protocol), _) => protocol.to_string(),
        (Transport::Absent, Network::Arp) => "ARP".to_owned(),
        (Transport::Absent, Network::Ip(Ip { src, .. })) if src.is_v4() => "IPv4".to_owned(),
        (Transport::Absent, Network::Ip(_)) => "IPv6".to_owned(),
        (Transport::Absent, Network::Other(ether_type)) => ether_type.to_string(),
        (Transport::Absent, Network::Absent) => "unknown".to_owned(),
    }
}

/// Bytes that a frame had on the wire. A record may claim fewer than it holds.
#[inline]
pub(crate) fn wire_len(record: &Record<'_>) -> u64 {
    u64::from(record.original_len).max(record.bytes.len() as u64)
}

/// Bytes of payload that a frame had on the wire. Its headers may claim more than there is room for.
#[inline]
pub(crate) fn payload_on_wire(record: &Record<'_>, payload_offset: u32, claimed: u32) -> u64 {
    u64::from(claimed).min(wire_len(record).saturating_sub(u64::from(payload_offset)))
}

/// An HTTP message by what tells it from others: method and target, or status and reason.
pub(crate) fn start_line(head: &Head) -> Option<String> {
    Some(match head.status {
        0 => format!("{} {}", head.method, head.target),
        status => format!("{status} {}", head.reason).trim_end().to_owned(),
    })
}

/// Whether the body of a record is protected, so that only who has the keys can read it.
pub(crate) fn is_protected(record: &tls::Record<'_>) -> bool {
    match &record.content {
        Content::Decrypted(_) | Content::NotAuthentic => true,
        // In TLS 1.2 all that follows change_cipher_spec is; in TLS 1.3 the outer type says so.
        Content::NotDecrypted(NotDecrypted::Version(_)) => true,
        Content::NotDecrypted(_) | Content::Damaged => {
            record.header.content_type == ContentType::APPLICATION_DATA
        }
        Content::Handshake(_)
        | Content::ChangeCipherSpec { .. }
        | Content::Alert(_)
        | Content::Unexpected(_) => false,
    }
}

/// A record by its visible type. `None` for handshake messages in the clear, which go by their own names.
pub(crate) fn record_name(record: &tls::Record<'_>) -> Option<String> {
    let kind = record.header.content_type;
    Some(match (&record.content, kind) {
        (Content::Handshake(_), _) => return None,
        (_, ContentType::APPLICATION_DATA) => "Application Data".to_owned(),
        (_, ContentType::HANDSHAKE) if is_protected(record) => "Encrypted Handshake Message".to_owned(),
        (_, ContentType::ALERT) if is_protected(record) => "Encrypted Alert".to_owned(),
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
