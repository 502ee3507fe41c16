//! Reads UDP datagrams: DNS, and QUIC with the HTTP/3 in it. Their bytes remain unexplained, because no rule says
//! which of their fields an honest sender can choose.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;

use dissect::capture::Record;
use dissect::flow::{Direction, PerDirection};
use dissect::frame::UdpDatagram;
use dissect::ip::Ip;
use dissect::keylog::KeyLog;
use dissect::quic::{self, Datagram, Event, Outcome, Place, StreamEvent};
use dissect::tls::Message;

use super::budget::Share;
use super::dns;
use super::fact::{Bound, Bytes, DnsFact, Fact, Observer, QuicFact, Sequence, Unexplained};
use super::http2::MAX_OPEN_TOTAL;
use super::http3::{Http3, MAX_KEPT_TOTAL, QUIC, is_http3};
use super::protocol::{Context, Tools};
use super::provenance::{DecodeChain, LocateBy, Location};

/// Maximum number of QUIC sessions whose keys and unfinished hellos are kept: some 3 KiB each, 48 KiB at most. Of the oldest
/// one, later datagrams are a session of their own, or UDP that is not read.
pub(crate) const MAX_SESSIONS: usize = 1024;

/// Maximum number of frames that are remembered of an unfinished hello, to name them.
const MAX_HELLO_FRAMES: usize = 64;

/// Shortest datagram with an Initial packet of a client (RFC 9000 §14.1). Servers discard shorter ones, so no keys are derived for
/// them.
const MIN_INITIAL_DATAGRAM: u32 = 1200;

/// The names in decode chains.
const INITIAL: &str = "initial";
const CRYPTO: &str = "crypto";

/// The QUIC sessions of a capture.
#[derive(Debug)]
pub(super) struct QuicSessions<O: Observer> {
    /// By both ends, the lower one first.
    open: HashMap<[SocketAddr; 2], Box<Session<O>>>,
    /// Sessions in the order of their beginning, with their number: one that was replaced has another one.
    order: VecDeque<([SocketAddr; 2], u32)>,
    count: u32,
}

impl<O: Observer> Default for QuicSessions<O> {
    fn default() -> Self {
        Self { open: HashMap::new(), order: VecDeque::new(), count: 0 }
    }
}

/// What QUIC is read with.
pub(super) struct Quic<'s, O: Observer> {
    /// The sessions so far.
    pub sessions: &'s mut QuicSessions<O>,
    /// The secrets that are known so far.
    pub keys: Option<&'s KeyLog>,
    pub tools: &'s mut Tools,
}

#[derive(Debug)]
struct Session<O: Observer> {
    number: u32,
    client: SocketAddr,
    connection: quic::Connection,
    /// Where the packets of an unfinished hello are.
    hello: PerDirection<Vec<Location>>,
    /// What its streams carry; `None` until something came in one.
    http3: Option<Box<Http3<O>>>,
    /// What its streams keep; `None` if they are not read.
    kept: Option<Share>,
}

impl<O: Observer> QuicSessions<O> {
    /// The session of a datagram; a new one if the datagram begins one or looks like a part of one. Ends those that
    /// are over with it.
    fn of(
        &mut self,
        [source, destination]: [SocketAddr; 2],
        udp: &UdpDatagram<'_>,
        is_cut: bool,
        observer: &mut O,
        tools: &mut Tools,
    ) -> Option<&mut Session<O>> {
        let key = if source < destination { [source, destination] } else { [destination, source] };
        let may_begin = udp.wire_payload_len >= MIN_INITIAL_DATAGRAM;
        let is_known = match self.open.get(&key) {
            // The ports are in use again.
            Some(session) => !may_begin || !session.connection.is_ended_by(udp.payload),
            None => false,
        };
        if !is_known {
            let begins = may_begin && quic::begins_connection(udp.payload);
            if !begins && !quic::is_plausible(udp.payload, is_cut) {
                return None;
            }
            // Of a session that was joined later, the lower port is the server's: it is the one that is registered.
            let client = if begins || source.port() >= destination.port() { source } else { destination };
            let mut connection = quic::Connection::default();
            // Until its hello shows that they carry another protocol: requests in 0-RTT packets come with the hello.
            connection.follow_streams();
            let session = Session {
                number: self.count,
                client,
                connection,
                hello: PerDirection::default(),
                http3: None,
                kept: Some(tools.quic_bytes.share(0)),
            };
            self.order.push_back((key, self.count));
            if let Some(previous) = self.open.insert(key, Box::new(session)) {
                previous.finish(observer, tools);
            }
            self.count += 1;
            while self.order.len() > MAX_SESSIONS {
                if self.end_oldest(observer, tools) {
                    observer.observe(&Fact::BoundHit(Bound::QuicSessions));
                }
            }
        }
        self.open.get_mut(&key).map(|session| &mut **session)
    }

    /// Removes the oldest session. Returns whether it was not over.
    fn end_oldest(&mut self, observer: &mut O, tools: &mut Tools) -> bool {
        let Some((key, number)) = self.order.pop_front() else { return false };
        if self.open.get(&key).is_none_or(|session| session.number != number) {
            return false;
        }
        if let Some(session) = self.open.remove(&key) {
            session.finish(observer, tools);
        }
        true
    }

    /// Ends the capture.
    pub(super) fn finish(mut self, observer: &mut O, tools: &mut Tools) {
        while !self.order.is_empty() {
            self.end_oldest(observer, tools);
        }
    }
}

impl<O: Observer> Session<O> {
    /// Ends what its streams carry.
    fn finish(mut self, observer: &mut O, tools: &mut Tools) {
        let Self { number, connection, http3, .. } = &mut self;
        let has_left_out = connection.has_left_out();
        connection.finish(|event| {
            if let Event::Stream(direction, stream, event) = event {
                read_stream(http3, *number, (direction, stream, event), observer, tools);
            }
        });
        if has_left_out || http3.as_ref().is_some_and(|http3| http3.has_left_out()) {
            observer.observe(&Fact::BoundHit(Bound::QuicStreams));
        }
        self.leave_streams(observer, tools);
    }

    /// Reads the streams no longer.
    fn leave_streams(&mut self, observer: &mut O, tools: &mut Tools) {
        self.kept = None;
        self.connection.leave_streams();
        if let Some(http3) = self.http3.take() {
            http3.finish(&mut context(observer, tools));
        }
    }

    /// Counts what the streams keep, and reads them no longer if that is too much.
    fn bound(&mut self, observer: &mut O, tools: &mut Tools) {
        let Some(kept) = &mut self.kept else { return };
        kept.set(self.connection.kept() + self.http3.as_ref().map_or(0, |http3| http3.kept()));
        if kept.total() > MAX_KEPT_TOTAL
            || self.http3.is_some() && tools.http_messages.total() > MAX_OPEN_TOTAL
        {
            observer.observe(&Fact::BoundHit(Bound::QuicStreams));
            self.leave_streams(observer, tools);
        }
    }
}

/// Reads what came in a stream.
fn read_stream<O: Observer>(
    http3: &mut Option<Box<Http3<O>>>,
    session: u32,
    (direction, stream, event): (Direction, u64, StreamEvent<'_>),
    observer: &mut O,
    tools: &mut Tools,
) {
    let http3 = http3.get_or_insert_with(|| Box::new(Http3::new(session)));
    http3.push(direction, stream, event, &mut context(observer, tools));
}

/// The context in a QUIC session.
fn context<'c, O: Observer>(observer: &'c mut O, tools: &'c mut Tools) -> Context<'c, O> {
    Context {
        observer,
        tools,
        stream: None,
        is_midstream: false,
        carvers: None,
        decryption: None,
        is_within_stream: false,
    }
}

/// Reads a datagram, and returns why its bytes are unexplained. `locate` gives the place of a range of its payload.
pub(super) fn read<O: Observer>(
    observer: &mut O,
    quic: Quic<'_, O>,
    record: &Record<'_>,
    ip: &Ip,
    udp: &UdpDatagram<'_>,
    locate: &dyn Fn(&Range<usize>) -> Location,
) -> Unexplained {
    let ends = [(ip.src, udp.src_port), (ip.dst, udp.dst_port)]
        .map(|(address, port)| SocketAddr::new(address.to_ip(), port));
    let is_cut = (udp.payload.len() as u64) < u64::from(udp.wire_payload_len);
    if let Some((protocol, message)) = dns::of_datagram(ends.map(|end| end.port()), udp.payload) {
        let fact = DnsFact {
            protocol,
            stream: None,
            ends: Some(ends),
            frame: record.frame,
            needs_secret: false,
            message: &message,
            bytes: udp.payload,
        };
        dns::report(observer, &fact, DecodeChain::default(), locate);
        return Unexplained::Dns;
    }
    read_quic(observer, quic, record, ends, udp, is_cut, locate).unwrap_or(Unexplained::Udp)
}

fn read_quic<O: Observer>(
    observer: &mut O,
    quic: Quic<'_, O>,
    record: &Record<'_>,
    ends: [SocketAddr; 2],
    udp: &UdpDatagram<'_>,
    is_cut: bool,
    locate: &dyn Fn(&Range<usize>) -> Location,
) -> Option<Unexplained> {
    let Quic { sessions, keys, tools } = quic;
    let session = sessions.of(ends, udp, is_cut, observer, tools)?;
    let Session { number, client, connection, hello, http3, .. } = session;
    let [source, destination] = ends;
    let (direction, server) = match source == *client {
        true => (Direction::ClientToServer, destination),
        false => (Direction::ServerToClient, source),
    };
    let hello = &mut hello[direction];
    let mut why = Unexplained::QuicInitial;
    // Whether the streams carry another protocol: what the client offers, and what the server chose.
    let mut is_other = false;
    let search = |observer: &mut O, bytes: &[u8], chain: DecodeChain, location: &Location| {
        let bytes = Bytes { bytes, sequence: Sequence::Decoded, chain, needs_secret: false };
        observer.bytes(&mut O::Memory::default(), &bytes, &LocateBy(|_| location.clone()));
    };
    let chain = DecodeChain::default().then(QUIC).then(INITIAL);
    let mut latest = Location::in_frame(record, 0..0, None);
    let fact =
        QuicFact { session: *number, client: *client, server, direction, frame: record.frame, datagram: udp };
    observer.observe(&Fact::Quic(&fact, None));
    // Of fragments, the last frame: QUIC's packets are not to be fragmented (RFC 9000 §14).
    let place = Place { frame: record.frame, file_offset: locate(&(0..udp.payload.len())).file_offset };
    let datagram = Datagram { direction, payload: udp.payload, is_truncated: is_cut, place };
    connection.push(&datagram, keys, |event| {
        match &event {
            Event::Packet { packet, outcome: Outcome::Opened { payload, .. } } => {
                let location = locate(&packet.range);
                search(observer, payload, chain, &location);
                if hello.len() < MAX_HELLO_FRAMES {
                    hello.push(location);
                }
            }
            Event::Packet { outcome: Outcome::Clear, .. } => {}
            Event::Packet { packet, outcome: Outcome::Decrypted { payload, .. } } => {
                if why == Unexplained::QuicInitial {
                    why = Unexplained::QuicDecrypted;
                }
                latest = locate(&packet.range);
                let chain = DecodeChain::default().then(QUIC);
                search_secret(observer, payload, chain, &latest);
            }
            // The messages of one packet were searched with it; those of several come joined.
            Event::Handshake { body, message } => {
                let chain = DecodeChain::default().then(QUIC).then(CRYPTO);
                search_secret(observer, body, chain, &latest);
                if let Message::EncryptedExtensions(extensions) = message {
                    is_other |= !extensions.alpn.as_deref().is_some_and(is_http3);
                }
            }
            Event::Stream(direction, stream, event) => {
                if !is_other {
                    read_stream(http3, *number, (*direction, *stream, *event), observer, tools);
                }
            }
            Event::ClientHello { body, .. } | Event::ServerHello { body, .. } => {
                // One packet holds the whole message, or all of them are its place.
                if hello.len() > 1 {
                    search(observer, body, chain.then(CRYPTO), &joined(hello));
                }
                hello.clear();
                if let Event::ClientHello { hello: Ok(hello), .. } = &event {
                    is_other |= !hello.alpn.iter().any(|alpn| is_http3(alpn));
                }
            }
            // Some implementations fill a datagram with zeros behind its packets.
            Event::Rest(range, _)
                if udp.payload.get(range.clone()).unwrap_or_default().iter().all(|byte| *byte == 0) => {}
            _ => why = Unexplained::QuicProtected,
        }
        observer.observe(&Fact::Quic(&fact, Some(&event)));
    });
    if is_other {
        session.leave_streams(observer, tools);
    }
    session.bound(observer, tools);
    Some(why)
}

/// Searches what only the key log shows of a packet.
fn search_secret<O: Observer>(observer: &mut O, bytes: &[u8], chain: DecodeChain, location: &Location) {
    let bytes = Bytes { bytes, sequence: Sequence::Decoded, chain, needs_secret: true };
    observer.bytes(&mut O::Memory::default(), &bytes, &LocateBy(|_| location.clone()));
}

/// One place for several packets.
fn joined(locations: &[Location]) -> Location {
    let mut frames: Vec<u64> =
        locations.iter().flat_map(|location| location.frames.iter().copied()).collect();
    frames.sort_unstable();
    frames.dedup();
    Location {
        frames,
        file_offset: locations.first().map_or(0, |location| location.file_offset),
        stream: None,
        direction: None,
        stream_offset: None,
        wire_len: locations.iter().map(|location| location.wire_len).sum(),
        ciphertext: None,
    }
}
