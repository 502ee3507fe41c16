//! Both directions of one QUIC connection.

use std::collections::BTreeSet;
use std::ops::Range;

use super::crypto_stream::{CryptoStream, MAX_CRYPTO, MAX_HANDSHAKE_CRYPTO};
use super::frame::{Frame, Frames};
use super::keys::{OneRttKeys, Opened, PacketKeys, Suite, TAG_LEN};
use super::packet::{FIXED, Kind, Malformed, Packet, packets};
use super::streams::{Place, StreamEvent, Streams};
use super::version::Version;
use crate::flow::{Direction, PerDirection};
use crate::keylog::{ClientSecrets, KeyLog, Label, Secret};
use crate::tls::{ClientHello, HandshakeType, Malformed as MalformedHello, Message, ServerHello};

/// Maximum number of pairs of Initial keys of one connection: a client chooses another connection ID after a Retry, and another
/// version after a negotiation (RFC 9000 §7.2, RFC 9368). Later ones replace the last.
pub const MAX_KEYS: usize = 4;

/// The payload of a UDP datagram, as far as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub direction: Direction,
    /// The captured bytes.
    pub payload: &'a [u8],
    /// Whether the capture lacks its end.
    pub is_truncated: bool,
    /// Where it is in the capture.
    pub place: Place,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// An Initial packet that authenticates.
    Opened {
        /// Packet number.
        number: u64,
        /// Its frames.
        payload: &'a [u8],
        /// Why the frames are not read to their end, if they are not.
        stop: Option<Malformed>,
    },
    /// A packet that authenticates under a secret of the key log.
    Decrypted {
        /// Packet number.
        number: u64,
        /// Its frames.
        payload: &'a [u8],
        /// Why the frames are not read to their end, if they are not.
        stop: Option<Malformed>,
    },
    /// An Initial packet that does not authenticate: the client's first packet was not captured, or a part of this one.
    NotOpened,
    /// A packet in the clear: Retry, version negotiation.
    Clear,
    /// A packet under keys that only the endpoints have, or of a version that is not read.
    Closed,
}

/// Something in a datagram.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A packet.
    Packet {
        /// Its visible part.
        packet: &'a Packet<'a>,
        /// What became of it.
        outcome: Outcome<'a>,
    },
    /// The rest of the datagram, which is no packet.
    Rest(Range<usize>, Malformed),
    /// A ClientHello, which is complete with the packet before.
    ClientHello {
        /// The body of the message, from which fingerprints are made.
        body: &'a [u8],
        /// Its fields.
        hello: Result<ClientHello, MalformedHello>,
    },
    /// A ServerHello or HelloRetryRequest, which is complete with the packet before.
    ServerHello {
        /// The body of the message.
        body: &'a [u8],
        /// Its fields.
        hello: Result<ServerHello, MalformedHello>,
    },
    /// A handshake message that only the key log shows, which is complete with the packet before.
    Handshake {
        /// The body of the message.
        body: &'a [u8],
        /// Its fields.
        message: Message,
    },
    /// Something in a stream of a direction, which only the key log shows.
    Stream(Direction, u64, StreamEvent<'a>),
}

/// The keys of Initial packets.
#[derive(Debug)]
struct InitialKeys {
    version: Version,
    /// The connection ID that they follow from.
    id: Vec<u8>,
    keys: PerDirection<PacketKeys>,
    largest: PerDirection<Option<u64>>,
}

impl InitialKeys {
    /// The keys that open this packet, and the packet; `None` if there are none.
    fn opening(
        direction: Direction,
        packet: &Packet<'_>,
        datagram: &[u8],
        id: &[u8],
    ) -> Option<(Self, Opened)> {
        packet.version.salts().iter().find_map(|salt| {
            let keys = PacketKeys::initial(packet.version, salt, id)?;
            let mut keys =
                Self { version: packet.version, id: id.to_vec(), keys, largest: PerDirection::default() };
            let opened = keys.open(direction, packet, datagram)?;
            Some((keys, opened))
        })
    }

    fn open(&mut self, direction: Direction, packet: &Packet<'_>, datagram: &[u8]) -> Option<Opened> {
        let largest = &mut self.largest[direction];
        let opened = self.keys[direction].open(packet, datagram, *largest)?;
        *largest = (*largest).max(Some(opened.number));
        Some(opened)
    }
}

/// What the key log opens of one direction.
#[derive(Debug, Default)]
struct Secrets {
    handshake: Option<PacketKeys>,
    one_rtt: Option<OneRttKeys>,
    largest_handshake: Option<u64>,
    largest_one_rtt: Option<u64>,
}

/// 0-RTT packets of the client. Its ClientHello offers suites, and the server may choose only the one of the session that it
/// resumes (RFC 9846 §4.2.10), so that the first packet shows which one it is.
#[derive(Debug, Default)]
struct EarlyData {
    suites: Vec<Suite>,
    /// The keys that may fit; only the right ones, once a packet was opened.
    keys: Vec<PacketKeys>,
    largest: Option<u64>,
}

impl EarlyData {
    /// `None` unless the client offers 0-RTT data.
    fn of(hello: &ClientHello) -> Option<Box<Self>> {
        let mut suites = Vec::new();
        // A suite that is repeated opens nothing more.
        for suite in hello.cipher_suites.iter().copied().collect::<BTreeSet<_>>() {
            suites.extend(Suite::of(suite));
        }
        hello.offers_early_data.then(|| Box::new(Self { suites, ..Self::default() }))
    }

    fn open(&mut self, packet: &Packet<'_>, datagram: &[u8], secret: &Secret) -> Option<Opened> {
        if self.keys.is_empty() {
            let of = |suite: &Suite| PacketKeys::of_secret(packet.version, *suite, secret);
            self.keys = self.suites.iter().filter_map(of).collect();
        }
        let open = |keys: &PacketKeys| keys.open(packet, datagram, self.largest);
        let (at, opened) = self.keys.iter().enumerate().find_map(|(at, keys)| Some((at, open(keys)?)))?;
        self.keys.swap(0, at);
        self.keys.truncate(1);
        self.largest = self.largest.max(Some(opened.number));
        Some(opened)
    }
}

/// One connection. It receives the payloads of UDP datagrams between two endpoints in the order of the capture.
#[derive(Debug, Default)]
pub struct Connection {
    keys: Vec<InitialKeys>,
    crypto: PerDirection<CryptoStream>,
    client_random: Option<[u8; 32]>,
    /// `None` unless the client offers 0-RTT data.
    early: Option<Box<EarlyData>>,
    is_answered: bool,
    /// What the ServerHello chose, if it is read.
    chosen: Option<(Version, Suite)>,
    /// `None` without secrets.
    secrets: Option<Box<PerDirection<Secrets>>>,
    /// The handshake messages in Handshake and in 1-RTT packets.
    hidden: Option<Box<PerDirection<[CryptoStream; 2]>>>,
    /// The streams of each direction, if they are followed.
    streams: Option<Box<PerDirection<Streams>>>,
    /// Length of the connection IDs that each direction sends to: short headers do not state it.
    id_len: PerDirection<Option<usize>>,
}

impl Connection {
    /// Reads a datagram, and calls `each` for what is in it. `key_log`: the secrets that are known so far.
    pub fn push(
        &mut self,
        datagram: &Datagram<'_>,
        key_log: Option<&KeyLog>,
        mut each: impl FnMut(Event<'_>),
    ) {
        let Datagram { direction, payload: datagram, is_truncated, place } = *datagram;
        let mut first_id = None;
        let mut end = 0;
        for packet in packets(datagram, is_truncated) {
            let packet = match packet {
                Ok(packet) => packet,
                Err(malformed) => {
                    each(Event::Rest(end..datagram.len(), malformed));
                    return;
                }
            };
            end = packet.range.end;
            // All packets of a datagram are for one receiver (RFC 9000 §12.2), so keys are derived once for a datagram.
            let is_first = first_id.is_none();
            let is_for_first = *first_id.get_or_insert(packet.destination_id) == packet.destination_id;
            match packet.kind {
                Kind::Initial if is_for_first => {
                    self.initial(direction, &packet, datagram, is_first, &mut each);
                }
                Kind::Initial => each(Event::Packet { packet: &packet, outcome: Outcome::NotOpened }),
                Kind::Retry | Kind::VersionNegotiation => {
                    each(Event::Packet { packet: &packet, outcome: Outcome::Clear });
                }
                Kind::Handshake | Kind::OneRtt => {
                    if self.secrets.is_none() {
                        self.find_secrets(key_log);
                    }
                    self.protected(direction, &packet, datagram, place, &mut each);
                }
                Kind::ZeroRtt if direction == Direction::ClientToServer => {
                    self.early_data(&packet, datagram, place, key_log, &mut each);
                }
                _ => each(Event::Packet { packet: &packet, outcome: Outcome::Closed }),
            }
        }
    }

    /// From here on, 1-RTT packets give the bytes of streams, too. Up to twice [`super::MAX_WAITING`] bytes wait in a
    /// connection that has secrets: a caller with many connections bounds the sum of [`Self::kept`].
    pub fn follow_streams(&mut self) {
        self.streams.get_or_insert_default();
    }

    /// From here on, 1-RTT packets give no bytes of streams, and none wait.
    pub fn leave_streams(&mut self) {
        self.streams = None;
    }

    /// Bytes of memory that the streams keep, with an estimate for their state.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.streams.iter().flat_map(|streams| streams.values()).map(Streams::kept).sum()
    }

    /// Ends the capture, and calls `each` for the parts of streams that are behind missing bytes.
    pub fn finish(&mut self, mut each: impl FnMut(Event<'_>)) {
        for (direction, streams) in self.streams.iter_mut().flat_map(|streams| streams.iter_mut()) {
            streams.finish(&mut |id, event| each(Event::Stream(direction, id, event)));
        }
    }

    /// Whether bytes of streams were left out because of a bound.
    #[must_use]
    pub fn has_left_out(&self) -> bool {
        self.streams.iter().any(|streams| streams.values().any(|streams| streams.is_over_bound))
    }

    /// Whether a datagram begins another connection for certain, between the same endpoints. A client may repeat its first
    /// packets, under the same connection ID, when it has the answer.
    #[must_use]
    pub fn is_ended_by(&self, datagram: &[u8]) -> bool {
        let Some(Ok(packet)) = packets(datagram, false).next() else { return false };
        let is_known = self.keys.iter().any(|keys| keys.id == packet.destination_id);
        self.is_answered && !is_known && begins_connection(datagram)
    }

    /// Whether the key log has secrets of the connection that fit its cipher suite.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        self.secrets.is_some()
    }

    /// Whether CRYPTO frames contradict each other, or exceed a bound, so that a hello may not be what its receiver read.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.crypto.values().any(|crypto| crypto.is_contradicted || crypto.is_over_bound)
    }

    /// Whether a hello is incomplete.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.crypto.values().any(CryptoStream::is_unfinished)
    }

    fn initial(
        &mut self,
        direction: Direction,
        packet: &Packet<'_>,
        datagram: &[u8],
        may_derive: bool,
        each: &mut impl FnMut(Event<'_>),
    ) {
        let Some(opened) = self.open(direction, packet, datagram, may_derive) else {
            return each(Event::Packet { packet, outcome: Outcome::NotOpened });
        };
        self.learn_id(direction, packet);
        let stop = take_crypto(
            packet.kind,
            packet.version,
            &opened.payload,
            &mut self.crypto[direction],
            MAX_CRYPTO,
        );
        let outcome = Outcome::Opened { number: opened.number, payload: &opened.payload, stop };
        each(Event::Packet { packet, outcome });
        while let Some((kind, body)) = self.crypto[direction].take_message(MAX_CRYPTO) {
            match (HandshakeType(kind), direction) {
                (HandshakeType::CLIENT_HELLO, Direction::ClientToServer) => {
                    let hello = ClientHello::parse(&body);
                    self.client_random = hello.as_ref().ok().map(|hello| hello.random);
                    self.early = hello.as_ref().ok().and_then(EarlyData::of);
                    each(Event::ClientHello { body: &body, hello });
                }
                (HandshakeType::SERVER_HELLO, Direction::ServerToClient) => {
                    let hello = ServerHello::parse(&body);
                    if let Ok(hello) = hello.as_ref().map_err(drop)
                        && !hello.is_hello_retry_request
                    {
                        self.is_answered = true;
                        self.secrets = None;
                        self.chosen = Suite::of(hello.cipher_suite).map(|suite| (packet.version, suite));
                    }
                    each(Event::ServerHello { body: &body, hello });
                }
                _ => {}
            }
        }
    }

    /// The receiver of a direction chose the connection ID that it is the source of.
    fn learn_id(&mut self, direction: Direction, packet: &Packet<'_>) {
        self.id_len[direction.opposite()] = Some(packet.source_id.len());
    }

    /// Looks up the secrets. A capture may have them behind the packets that they open.
    fn find_secrets(&mut self, key_log: Option<&KeyLog>) {
        let random = self.client_random.as_ref();
        let secrets = random.and_then(|random| key_log?.client(random));
        let (Some(secrets), Some((version, suite))) = (secrets, self.chosen) else { return };
        let of = |labels: [Label; 2]| Secrets::of(version, suite, secrets, labels);
        let found = PerDirection {
            client_to_server: of([Label::ClientHandshakeTrafficSecret, Label::ClientTrafficSecret0]),
            server_to_client: of([Label::ServerHandshakeTrafficSecret, Label::ServerTrafficSecret0]),
        };
        if found.values().any(|side| side.handshake.is_some() || side.one_rtt.is_some()) {
            self.secrets = Some(Box::new(found));
            self.hidden = None;
        }
    }

    /// A 0-RTT packet.
    fn early_data(
        &mut self,
        packet: &Packet<'_>,
        datagram: &[u8],
        place: Place,
        key_log: Option<&KeyLog>,
        each: &mut impl FnMut(Event<'_>),
    ) {
        let random = self.client_random.as_ref();
        let secrets = random.and_then(|random| key_log?.client(random));
        let secret = secrets.and_then(|secrets| secrets.secret(Label::ClientEarlyTrafficSecret));
        let opened =
            secret.zip(self.early.as_mut()).and_then(|(secret, early)| early.open(packet, datagram, secret));
        let Some(opened) = opened else {
            return each(Event::Packet { packet, outcome: Outcome::Closed });
        };
        let stop = Frames::of(packet.kind, packet.version, &opened.payload).find_map(|frame| match frame {
            // They have no place in 0-RTT packets (RFC 9000 §12.4).
            Ok(Frame::Crypto { .. } | Frame::Other { .. }) => {
                Some(Malformed { field: "frame type", offset: 0 })
            }
            Ok(_) => None,
            Err(malformed) => Some(malformed),
        });
        each(Event::Packet {
            packet,
            outcome: Outcome::Decrypted { number: opened.number, payload: &opened.payload, stop },
        });
        let of = (packet, packet.version);
        self.take_streams(Direction::ClientToServer, of, &opened.payload, place, each);
    }

    /// A packet that only the key log opens.
    fn protected(
        &mut self,
        direction: Direction,
        packet: &Packet<'_>,
        datagram: &[u8],
        place: Place,
        each: &mut impl FnMut(Event<'_>),
    ) {
        let id_len = self.id_len[direction];
        let secrets = self.secrets.as_mut().map(|secrets| &mut secrets[direction]);
        let opened = secrets.and_then(|secrets| secrets.open(packet, datagram, id_len));
        let Some(opened) = opened else {
            return each(Event::Packet { packet, outcome: Outcome::Closed });
        };
        let is_handshake = packet.kind == Kind::Handshake;
        if is_handshake {
            self.learn_id(direction, packet);
        }
        let hidden = &mut self.hidden.get_or_insert_default()[direction];
        let [handshake, one_rtt] = hidden;
        let crypto = if is_handshake { handshake } else { one_rtt };
        let version = self.chosen.map_or(packet.version, |(version, _)| version);
        let stop = take_crypto(packet.kind, version, &opened.payload, crypto, MAX_HANDSHAKE_CRYPTO);
        let outcome = Outcome::Decrypted { number: opened.number, payload: &opened.payload, stop };
        each(Event::Packet { packet, outcome });
        while let Some((kind, body)) = crypto.take_message(MAX_HANDSHAKE_CRYPTO) {
            let message = Message::of_quic(HandshakeType(kind), &body);
            each(Event::Handshake { body: &body, message });
        }
        if !is_handshake {
            self.take_streams(direction, (packet, version), &opened.payload, place, each);
        }
    }

    /// Takes what the frames of an opened packet carry of streams.
    fn take_streams(
        &mut self,
        direction: Direction,
        (packet, version): (&Packet<'_>, Version),
        payload: &[u8],
        place: Place,
        each: &mut impl FnMut(Event<'_>),
    ) {
        let Some(streams) = &mut self.streams else { return };
        let streams = &mut streams[direction];
        let place = place.skip(packet.range.end.saturating_sub(TAG_LEN + payload.len()));
        let mut each = |id, event: StreamEvent<'_>| each(Event::Stream(direction, id, event));
        for frame in Frames::of(packet.kind, version, payload).flatten() {
            match frame {
                Frame::Stream { id, offset, data, is_last } => {
                    let place = place.skip(data.start);
                    let data = payload.get(data).unwrap_or_default();
                    streams.push(id, offset, data, is_last, place, &mut each);
                }
                Frame::ResetStream { id, .. } => streams.reset(id, &mut each),
                _ => {}
            }
        }
    }

    fn open(
        &mut self,
        direction: Direction,
        packet: &Packet<'_>,
        datagram: &[u8],
        may_derive: bool,
    ) -> Option<Opened> {
        let of_version = self.keys.iter_mut().rev().filter(|keys| keys.version == packet.version);
        for keys in of_version {
            if let Some(opened) = keys.open(direction, packet, datagram) {
                return Some(opened);
            }
        }
        if !may_derive {
            return None;
        }
        if direction == Direction::ClientToServer {
            return self.derive(direction, packet, datagram, packet.destination_id);
        }
        // A server may answer in another version than the client's, under keys from the same connection ID (RFC 9369 §4.1).
        let id = self.keys.last().filter(|keys| keys.version != packet.version)?.id.clone();
        self.derive(direction, packet, datagram, &id)
    }

    fn derive(
        &mut self,
        direction: Direction,
        packet: &Packet<'_>,
        datagram: &[u8],
        id: &[u8],
    ) -> Option<Opened> {
        let (keys, opened) = InitialKeys::opening(direction, packet, datagram, id)?;
        // After a Retry or a version negotiation the client begins its handshake again.
        if direction == Direction::ClientToServer && !self.is_answered {
            self.crypto[direction] = CryptoStream::default();
        }
        self.keys.truncate(MAX_KEYS - 1);
        self.keys.push(keys);
        Some(opened)
    }
}

impl Secrets {
    fn of(version: Version, suite: Suite, secrets: &ClientSecrets, [handshake, one_rtt]: [Label; 2]) -> Self {
        let handshake = secrets.secret(handshake);
        let one_rtt = secrets.secret(one_rtt);
        Self {
            handshake: handshake.and_then(|secret| PacketKeys::of_secret(version, suite, secret)),
            one_rtt: one_rtt.and_then(|secret| OneRttKeys::of_secret(version, suite, secret)),
            ..Self::default()
        }
    }

    fn open(&mut self, packet: &Packet<'_>, datagram: &[u8], id_len: Option<usize>) -> Option<Opened> {
        if packet.kind == Kind::Handshake {
            let opened = self.handshake.as_ref()?.open(packet, datagram, self.largest_handshake)?;
            self.largest_handshake = self.largest_handshake.max(Some(opened.number));
            return Some(opened);
        }
        let number_at = packet.protected_at.checked_add(id_len?)?;
        let opened = self.one_rtt.as_mut()?.open(packet, datagram, number_at, self.largest_one_rtt)?;
        self.largest_one_rtt = self.largest_one_rtt.max(Some(opened.number));
        Some(opened)
    }
}

/// Adds the CRYPTO frames of a payload to a stream, and returns why the frames are not read to their end.
fn take_crypto(
    kind: Kind,
    version: Version,
    payload: &[u8],
    crypto: &mut CryptoStream,
    max: usize,
) -> Option<Malformed> {
    let mut stop = None;
    for frame in Frames::of(kind, version, payload) {
        match frame {
            Ok(Frame::Crypto { offset, data }) => {
                crypto.push(offset, payload.get(data).unwrap_or_default(), max);
            }
            Ok(Frame::Other { .. }) => stop = Some(Malformed { field: "frame type", offset: 0 }),
            Ok(_) => {}
            Err(malformed) => stop = Some(malformed),
        }
    }
    stop
}

/// Whether a datagram begins a connection for certain: its first packet opens under keys from its own connection ID.
#[must_use]
pub fn begins_connection(datagram: &[u8]) -> bool {
    let Some(Ok(packet)) = packets(datagram, false).next() else { return false };
    packet.kind == Kind::Initial
        && InitialKeys::opening(Direction::ClientToServer, &packet, datagram, packet.destination_id).is_some()
}

/// Whether a datagram between unknown endpoints looks like a part of a connection: a long header with a version of known layout,
/// and lengths that fill the datagram.
#[must_use]
pub fn is_plausible(datagram: &[u8], is_truncated: bool) -> bool {
    let mut is_first = true;
    for packet in packets(datagram, is_truncated) {
        let is_known = match packet {
            Ok(packet) if is_first => {
                let is_long =
                    matches!(packet.kind, Kind::Initial | Kind::ZeroRtt | Kind::Handshake | Kind::Retry);
                // 65,536 numbers are reserved: too many to be a sign. The fixed bit is 1 at the beginning (RFC 9287 §3).
                let has_fixed_bit = datagram.first().is_some_and(|first| first & FIXED != 0);
                is_long && has_fixed_bit && !packet.version.is_reserved()
            }
            // Some implementations fill a datagram with zeros behind its packets.
            Err(_) | Ok(_) if is_first => false,
            _ => true,
        };
        if !is_known {
            return false;
        }
        is_first = false;
    }
    !is_first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http3;
    use crate::quic::supported_versions;

    fn datagrams(mut rest: &[u8]) -> Vec<(Direction, &[u8])> {
        let mut datagrams = Vec::new();
        while let Some((&[direction, high, low], after)) = rest.split_first_chunk() {
            let (payload, behind) = after.split_at(usize::from(u16::from_be_bytes([high, low])));
            datagrams.push((Direction::BOTH[usize::from(direction)], payload));
            rest = behind;
        }
        datagrams
    }

    /// What is in the datagrams, as text.
    fn read(datagrams: &[(Direction, &[u8])]) -> Vec<String> {
        let mut connection = Connection::default();
        let mut found = Vec::new();
        for (direction, datagram) in datagrams {
            let payload = *datagram;
            let datagram =
                Datagram { direction: *direction, payload, is_truncated: false, place: Place::default() };
            connection.push(&datagram, None, |event| {
                found.push(match event {
                    Event::Packet { packet, outcome } => {
                        let versions: Vec<_> = supported_versions(packet, payload).collect();
                        let outcome = match outcome {
                            Outcome::Opened { stop: None, .. } => "opened".to_owned(),
                            Outcome::Clear if versions.contains(&Version::V2) => "version 2".to_owned(),
                            other => format!("{other:?}"),
                        };
                        format!("{} {outcome}", packet.kind.name())
                    }
                    // The zeros that fill the datagram.
                    Event::Rest(range, _)
                        if payload[range.start..range.end].iter().all(|byte| *byte == 0) =>
                    {
                        return;
                    }
                    Event::Rest(range, why) => format!("{why} to {}", range.end),
                    Event::ClientHello { hello, .. } => {
                        let hello = hello.unwrap();
                        format!("{} {}", hello.server_name.unwrap(), hello.alpn.join(","))
                    }
                    Event::ServerHello { hello, .. } => hello.unwrap().cipher_suite.to_string(),
                    other => format!("{other:?}"),
                });
            });
        }
        assert!(!connection.is_doubtful());
        found
    }

    #[test]
    fn opens_the_hellos_of_both_versions() {
        let files: [&[u8]; 2] = [
            include_bytes!("../../../../corpus/quic/version-1.bin"),
            include_bytes!("../../../../corpus/quic/version-2.bin"),
        ];
        for file in files {
            let datagrams = datagrams(file);
            let found = read(&datagrams);
            let expected = ["Initial opened", "quic0.example h3", "Initial opened", "TLS_AES_256_GCM_SHA384"];
            assert_eq!(found[..4], expected, "{found:?}");
            assert!(found[4..].iter().all(|found| !found.contains("NotOpened")), "{found:?}");
            assert!(
                found.contains(&"Handshake Closed".to_owned()) && found.contains(&"1-RTT Closed".to_owned())
            );
            assert!(begins_connection(datagrams[0].1) && !begins_connection(datagrams[1].1));
            assert!(datagrams[..2].iter().all(|(_, datagram)| is_plausible(datagram, false)));
            // Without the client's first datagram nothing opens, but the packets are named.
            let later = read(&datagrams[1..]);
            assert_eq!(later[0], "Initial NotOpened");
            assert!(!later.iter().any(|found| found.ends_with("opened")));
        }
    }

    #[test]
    fn follows_a_retry_and_a_version_negotiation() {
        let retry = datagrams(include_bytes!("../../../../corpus/quic/retry.bin"));
        let found = read(&retry);
        let hello = ["Initial opened", "quic0.example h3"];
        assert_eq!(found[..2], hello, "{found:?}");
        assert_eq!(found[2], "Retry Clear");
        assert_eq!(found[3..5], hello, "{found:?}");
        assert_eq!(found[5..7], ["Initial opened", "TLS_AES_256_GCM_SHA384"], "{found:?}");
        let negotiation = datagrams(include_bytes!("../../../../corpus/quic/version-negotiation.bin"));
        let found = read(&negotiation);
        assert_eq!(found[..2], hello, "{found:?}");
        assert_eq!(found[2], "Version Negotiation version 2");
        assert_eq!(found[3..5], hello, "{found:?}");
        assert!(found.contains(&"TLS_AES_256_GCM_SHA384".to_owned()), "{found:?}");
    }

    const WITH_KEYS: [&[u8]; 3] = [
        include_bytes!("../../../../corpus/quic/with-keys-aes128.bin"),
        include_bytes!("../../../../corpus/quic/with-keys-key-update.bin"),
        include_bytes!("../../../../corpus/quic/with-keys-chacha20.bin"),
    ];

    /// The key log at the beginning of a file, and the datagrams behind it.
    fn with_keys(file: &[u8]) -> (KeyLog, Vec<(Direction, &[u8])>) {
        let (&[kind, high, low], rest) = file.split_first_chunk().unwrap();
        assert_eq!(kind, 2);
        let (text, rest) = rest.split_at(usize::from(u16::from_be_bytes([high, low])));
        (KeyLog::parse(text), datagrams(rest))
    }

    /// Handshake messages, and numbers of packets by what became of them.
    fn opened(connection: &mut Connection, all: &[(Direction, &[u8])], keys: Option<&KeyLog>) -> [usize; 3] {
        let [mut messages, mut decrypted, mut closed] = [0; 3];
        for (direction, payload) in all {
            let datagram =
                Datagram { direction: *direction, payload, is_truncated: false, place: Place::default() };
            connection.push(&datagram, keys, |event| match event {
                Event::Packet { outcome: Outcome::Decrypted { stop, .. }, .. } => {
                    assert_eq!(stop, None);
                    decrypted += 1;
                }
                Event::Packet { outcome: Outcome::Closed, .. } => closed += 1,
                Event::Handshake { message: Message::EncryptedExtensions(extensions), .. } => {
                    assert_eq!(
                        (extensions.alpn.as_deref(), direction),
                        (Some("h3"), &Direction::ServerToClient)
                    );
                    messages += 1;
                }
                Event::Handshake { message: Message::Certificate(chain), .. } => {
                    assert_eq!(chain.certificates.len(), 1);
                    messages += 1;
                }
                Event::Handshake { message: Message::Finished, .. } => messages += 1,
                _ => {}
            });
        }
        [messages, decrypted, closed]
    }

    #[test]
    fn a_key_log_opens_all_packets() {
        for file in WITH_KEYS {
            let (keys, datagrams) = with_keys(file);
            let [messages, decrypted, closed] = opened(&mut Connection::default(), &datagrams, Some(&keys));
            assert_eq!((messages, closed), (4, 0));
            let none = opened(&mut Connection::default(), &datagrams, None);
            assert_eq!(none, [0, 0, decrypted]);
            let other = KeyLog::parse(b"# of another connection");
            assert_eq!(opened(&mut Connection::default(), &datagrams, Some(&other)), none);
            // The secrets come late: what was closed by then stays closed.
            let mut connection = Connection::default();
            let [_, _, before] = opened(&mut connection, &datagrams[..8], None);
            let [_, after, closed] = opened(&mut connection, &datagrams[8..], Some(&keys));
            assert_eq!((before + after, closed), (decrypted, 0));
        }
    }

    /// The requests, answers and bodies of the recorded sessions, put together from their packets.
    #[test]
    fn the_streams_carry_http3() {
        for file in WITH_KEYS {
            let (keys, datagrams) = with_keys(file);
            let mut connection = Connection::default();
            connection.follow_streams();
            let mut http3 = http3::Connection::default();
            let (mut heads, mut bodies, mut ends) = (Vec::new(), Vec::new(), 0);
            for (direction, payload) in &datagrams {
                let place = Place { frame: 7, file_offset: 9 };
                let datagram = Datagram { direction: *direction, payload, is_truncated: false, place };
                connection.push(&datagram, Some(&keys), |event| {
                    let Event::Stream(direction, stream, event) = event else { return };
                    let each = |event: http3::Event<'_>| match event {
                        http3::Event::Head(head) => {
                            assert_eq!(head.error, None);
                            let text = |name| String::from_utf8_lossy(head.value(name).unwrap_or_default());
                            heads.push(match head.kind {
                                http3::Kind::Request => format!("{} {}", text(":method"), text(":path")),
                                kind => format!("{kind:?} {} {}", head.status(), text("x-token")),
                            });
                        }
                        http3::Event::Data { bytes, .. } => bodies.extend_from_slice(bytes),
                        http3::Event::End { is_complete, .. } => ends += u32::from(is_complete),
                        _ => {}
                    };
                    match event {
                        StreamEvent::Data { bytes, place: at } => {
                            assert_eq!(at.frame, place.frame);
                            let behind = (at.file_offset - place.file_offset) as usize + bytes.len();
                            assert!(behind > bytes.len() && behind + TAG_LEN <= payload.len());
                            http3.push(direction, stream, bytes, false, each);
                        }
                        StreamEvent::End => http3.push(direction, stream, &[], true, each),
                        other => panic!("{other:?}"),
                    }
                });
            }
            let count = |text: &str| heads.iter().filter(|head| *head == text).count();
            let requests = ["GET /index.html", "POST /tool", "GET /again", "POST /one", "POST /two"];
            assert!(requests.iter().all(|request| count(request) == 1), "{heads:?}");
            assert_eq!((count("Response 200 answer-secret-0001"), heads.len(), ends), (5, 10, 10));
            let bodies = String::from_utf8(bodies).unwrap();
            assert_eq!(bodies.matches("sk-lab-000111222333").count(), 2, "sent, and returned");
            assert_eq!(bodies.matches("word ").count(), 1000);
            assert!(!connection.has_left_out() && connection.kept() > 0);
            connection.leave_streams();
            assert_eq!(connection.kept(), 0);
        }
    }

    /// The client resumes a session, and sends its request with its hello.
    #[test]
    fn a_key_log_opens_0_rtt_packets() {
        let (keys, datagrams) = with_keys(include_bytes!("../../../../corpus/quic/early-data.bin"));
        let early = |keys: Option<&KeyLog>| {
            let mut connection = Connection::default();
            connection.follow_streams();
            let (mut opened, mut closed, mut sent) = (Vec::new(), Vec::new(), Vec::new());
            for (direction, payload) in &datagrams {
                let datagram =
                    Datagram { direction: *direction, payload, is_truncated: false, place: Place::default() };
                connection.push(&datagram, keys, |event| match event {
                    Event::Packet { packet, outcome } if packet.kind == Kind::ZeroRtt => match outcome {
                        Outcome::Decrypted { payload, stop: None, .. } => opened.extend_from_slice(payload),
                        outcome => closed.push(outcome == Outcome::Closed),
                    },
                    Event::Stream(Direction::ClientToServer, _, StreamEvent::Data { bytes, .. }) => {
                        sent.extend_from_slice(bytes);
                    }
                    _ => {}
                });
            }
            (opened, closed, sent)
        };
        let (opened, closed, sent) = early(Some(&keys));
        let text = b"early data of the client";
        for bytes in [&opened, &sent] {
            assert!(bytes.windows(text.len()).any(|window| window == text));
        }
        assert!(closed.is_empty());
        let (opened, closed, sent) = early(None);
        assert!(
            opened.is_empty()
                && sent.is_empty()
                && !closed.is_empty()
                && closed.iter().all(|is_closed| *is_closed)
        );
        // A server has no 0-RTT data.
        let mut connection = Connection::default();
        let from_server: Vec<_> =
            datagrams.iter().map(|(_, payload)| (Direction::ServerToClient, *payload)).collect();
        self::opened(&mut connection, &from_server, Some(&keys));
        assert!(connection.early.is_none());
    }

    #[test]
    fn follows_key_updates() {
        let updates = WITH_KEYS.map(|file| {
            let (keys, datagrams) = with_keys(file);
            let mut connection = Connection::default();
            opened(&mut connection, &datagrams, Some(&keys));
            let secrets = connection.secrets.unwrap();
            PerDirection::as_ref(&secrets).map(|side| side.one_rtt.as_ref().unwrap().updates).into_array()
        });
        assert_eq!(updates, [[0, 0], [1, 1], [0, 0]]);
    }

    proptest! {
        /// A datagram that comes later, as far as it is behind the hellos, is opened all the same.
        #[test]
        fn order_behind_the_hellos_changes_nothing(file in 0_usize..3, from in 3_usize..20, by in 1_usize..4) {
            let (keys, mut datagrams) = with_keys(WITH_KEYS[file]);
            let whole = opened(&mut Connection::default(), &datagrams, Some(&keys));
            let datagram = datagrams.remove(from);
            datagrams.insert(from + by, datagram);
            prop_assert_eq!(opened(&mut Connection::default(), &datagrams, Some(&keys)), whole);
        }
    }

    /// A datagram of the client that is captured twice, in either order with the next, changes nothing.
    #[test]
    fn repeated_datagrams_change_nothing() {
        let file = include_bytes!("../../../../corpus/quic/version-1.bin");
        let mut datagrams = datagrams(file);
        datagrams.insert(1, datagrams[0]);
        let hellos = read(&datagrams).iter().filter(|found| found.contains("h3")).count();
        assert_eq!(hellos, 1);
    }
}
