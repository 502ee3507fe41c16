//! Reads UDP datagrams: DNS and QUIC. Their bytes remain unexplained, because no rule says which of their fields an honest sender
//! can choose.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;

use dissect::capture::Record;
use dissect::flow::{Direction, PerDirection};
use dissect::frame::UdpDatagram;
use dissect::ip::Ip;
use dissect::keylog::KeyLog;
use dissect::quic::{self, Datagram, Event, Outcome};

use super::dns;
use super::fact::{Bound, Bytes, DnsFact, Fact, Observer, QuicFact, Sequence, Unexplained};
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
const STEP: &str = "quic";
const INITIAL: &str = "initial";
const CRYPTO: &str = "crypto";

/// The QUIC sessions of a capture.
#[derive(Debug, Default)]
pub(super) struct QuicSessions {
    /// By both ends, the lower one first.
    open: HashMap<[SocketAddr; 2], Box<Session>>,
    /// Sessions in the order of their beginning, with their number: one that was replaced has another one.
    order: VecDeque<([SocketAddr; 2], u32)>,
    count: u32,
}

/// What QUIC is read with.
pub(super) struct Quic<'s> {
    /// The sessions so far.
    pub sessions: &'s mut QuicSessions,
    /// The secrets that are known so far.
    pub keys: Option<&'s KeyLog>,
}

#[derive(Debug)]
struct Session {
    number: u32,
    client: SocketAddr,
    connection: quic::Connection,
    /// Where the packets of an unfinished hello are.
    hello: PerDirection<Vec<Location>>,
}

impl QuicSessions {
    /// The session of a datagram; a new one if the datagram begins one or looks like a part of one.
    fn of(
        &mut self,
        [source, destination]: [SocketAddr; 2],
        udp: &UdpDatagram<'_>,
        is_cut: bool,
    ) -> Option<(&mut Session, bool)> {
        let key = if source < destination { [source, destination] } else { [destination, source] };
        let may_begin = udp.wire_payload_len >= MIN_INITIAL_DATAGRAM;
        let is_known = match self.open.get(&key) {
            // The ports are in use again.
            Some(session) => !may_begin || !session.connection.is_ended_by(udp.payload),
            None => false,
        };
        let mut is_over_bound = false;
        if !is_known {
            let begins = may_begin && quic::begins_connection(udp.payload);
            if !begins && !quic::is_plausible(udp.payload, is_cut) {
                return None;
            }
            // Of a session that was joined later, the lower port is the server's: it is the one that is registered.
            let client = if begins || source.port() >= destination.port() { source } else { destination };
            let session = Session {
                number: self.count,
                client,
                connection: quic::Connection::default(),
                hello: PerDirection::default(),
            };
            self.order.push_back((key, self.count));
            self.open.insert(key, Box::new(session));
            self.count += 1;
            is_over_bound = self.forget_oldest();
        }
        self.open.get_mut(&key).map(|session| (&mut **session, is_over_bound))
    }

    /// Removes the oldest session if there are too many.
    fn forget_oldest(&mut self) -> bool {
        let mut is_over_bound = false;
        while self.order.len() > MAX_SESSIONS
            && let Some((key, number)) = self.order.pop_front()
        {
            if self.open.get(&key).is_some_and(|session| session.number == number) {
                self.open.remove(&key);
                is_over_bound = true;
            }
        }
        is_over_bound
    }
}

/// Reads a datagram, and returns why its bytes are unexplained. `locate` gives the place of a range of its payload.
pub(super) fn read<O: Observer>(
    observer: &mut O,
    quic: Quic<'_>,
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
    quic: Quic<'_>,
    record: &Record<'_>,
    ends: [SocketAddr; 2],
    udp: &UdpDatagram<'_>,
    is_cut: bool,
    locate: &dyn Fn(&Range<usize>) -> Location,
) -> Option<Unexplained> {
    let Quic { sessions, keys } = quic;
    let (session, is_over_bound) = sessions.of(ends, udp, is_cut)?;
    if is_over_bound {
        observer.observe(&Fact::BoundHit(Bound::QuicSessions));
    }
    let Session { number, client, connection, hello } = session;
    let [source, destination] = ends;
    let (direction, server) = match source == *client {
        true => (Direction::ClientToServer, destination),
        false => (Direction::ServerToClient, source),
    };
    let hello = &mut hello[direction];
    let mut is_protected = false;
    let search = |observer: &mut O, bytes: &[u8], chain: DecodeChain, location: &Location| {
        let bytes = Bytes { bytes, sequence: Sequence::Decoded, chain, needs_secret: false };
        observer.bytes(&mut O::Memory::default(), &bytes, &LocateBy(|_| location.clone()));
    };
    let chain = DecodeChain::default().then(STEP).then(INITIAL);
    let mut latest = Location::in_frame(record, 0..0, None);
    let fact =
        QuicFact { session: *number, client: *client, server, direction, frame: record.frame, datagram: udp };
    observer.observe(&Fact::Quic(&fact, None));
    let datagram = Datagram { direction, payload: udp.payload, is_truncated: is_cut };
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
                is_protected = true;
                latest = locate(&packet.range);
                let chain = DecodeChain::default().then(STEP);
                search_secret(observer, payload, chain, &latest);
            }
            // The messages of one packet were searched with it; those of several come joined.
            Event::Handshake { body, .. } => {
                let chain = DecodeChain::default().then(STEP).then(CRYPTO);
                search_secret(observer, body, chain, &latest);
            }
            Event::ClientHello { body, .. } | Event::ServerHello { body, .. } => {
                // One packet holds the whole message, or all of them are its place.
                if hello.len() > 1 {
                    search(observer, body, chain.then(CRYPTO), &joined(hello));
                }
                hello.clear();
            }
            _ => is_protected = true,
        }
        observer.observe(&Fact::Quic(&fact, Some(&event)));
    });
    Some(if is_protected { Unexplained::QuicProtected } else { Unexplained::QuicInitial })
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
