//! Both directions of one QUIC connection.

use std::ops::Range;

use super::crypto_stream::CryptoStream;
use super::frame::{Frame, Frames};
use super::keys::{CLIENT, Opened, PacketKeys};
use super::packet::{Kind, Malformed, Packet, Version, packets};
use crate::flow::{Direction, PerDirection};
use crate::tls::{ClientHello, Malformed as MalformedHello, ServerHello};

/// Maximum number of pairs of Initial keys of one connection: a client chooses another connection ID after a Retry, and another
/// version after a negotiation (RFC 9000 §7.2, RFC 9368). Later ones replace the last.
pub const MAX_KEYS: usize = 4;

/// Types of handshake messages (RFC 9846 §4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

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
    fn new(version: Version, id: &[u8]) -> Option<Self> {
        let keys = PacketKeys::initial(version, id)?;
        Some(Self { version, id: id.to_vec(), keys, largest: PerDirection::default() })
    }

    fn open(&mut self, direction: Direction, packet: &Packet<'_>, datagram: &[u8]) -> Option<Opened> {
        let largest = self.largest[direction];
        let opened = self.keys[direction].open(packet, datagram, largest)?;
        self.largest[direction] = Some(largest.map_or(opened.number, |largest| largest.max(opened.number)));
        Some(opened)
    }
}

/// One connection. It receives the payloads of UDP datagrams between two endpoints in the order of the capture.
#[derive(Debug, Default)]
pub struct Connection {
    keys: Vec<InitialKeys>,
    crypto: PerDirection<CryptoStream>,
    is_answered: bool,
}

impl Connection {
    /// Reads a datagram, and calls `each` for what is in it. `is_truncated`: whether the capture lacks its end.
    pub fn push(
        &mut self,
        direction: Direction,
        datagram: &[u8],
        is_truncated: bool,
        mut each: impl FnMut(Event<'_>),
    ) {
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
                Kind::Initial if packet.version.is_read() && is_for_first => {
                    self.initial(direction, &packet, datagram, is_first, &mut each);
                }
                Kind::Initial if packet.version.is_read() => {
                    each(Event::Packet { packet: &packet, outcome: Outcome::NotOpened });
                }
                Kind::Retry | Kind::VersionNegotiation => {
                    each(Event::Packet { packet: &packet, outcome: Outcome::Clear });
                }
                _ => each(Event::Packet { packet: &packet, outcome: Outcome::Closed }),
            }
        }
    }

    /// Whether the server's hello was seen. Another connection of the same endpoints may follow.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.is_answered
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
        let mut stop = None;
        for frame in Frames::new(&opened.payload) {
            match frame {
                Ok(Frame::Crypto { offset, data }) => {
                    let data = opened.payload.get(data).unwrap_or_default();
                    self.crypto[direction].push(offset, data);
                }
                Ok(Frame::Other { .. }) => stop = Some(Malformed { field: "frame type", offset: 0 }),
                Ok(_) => {}
                Err(malformed) => stop = Some(malformed),
            }
        }
        let outcome = Outcome::Opened { number: opened.number, payload: &opened.payload, stop };
        each(Event::Packet { packet, outcome });
        while let Some((kind, body)) = self.crypto[direction].take_message() {
            match (kind, direction == CLIENT) {
                (CLIENT_HELLO, true) => {
                    each(Event::ClientHello { body: &body, hello: ClientHello::parse(&body) });
                }
                (SERVER_HELLO, false) => {
                    self.is_answered = true;
                    each(Event::ServerHello { body: &body, hello: ServerHello::parse(&body) });
                }
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
        if direction == CLIENT {
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
        let mut keys = InitialKeys::new(packet.version, id)?;
        let opened = keys.open(direction, packet, datagram)?;
        // After a Retry or a version negotiation the client begins its handshake again.
        if direction == CLIENT && !self.is_answered {
            self.crypto[CLIENT] = CryptoStream::default();
        }
        self.keys.truncate(MAX_KEYS - 1);
        self.keys.push(keys);
        Some(opened)
    }
}

/// Whether a datagram begins a connection for certain: its first packet opens under keys from its own connection ID.
#[must_use]
pub fn begins_connection(datagram: &[u8]) -> bool {
    let Some(Ok(packet)) = packets(datagram, false).next() else { return false };
    packet.kind == Kind::Initial
        && InitialKeys::new(packet.version, packet.destination_id)
            .is_some_and(|mut keys| keys.open(CLIENT, &packet, datagram).is_some())
}

/// Whether a datagram between unknown endpoints looks like a part of a connection: a long header with a version of known layout,
/// and lengths that fill the datagram.
#[must_use]
pub fn is_plausible(datagram: &[u8], is_truncated: bool) -> bool {
    let mut is_first = true;
    for packet in packets(datagram, is_truncated) {
        let is_known = match packet {
            Ok(packet) if is_first => {
                matches!(packet.kind, Kind::Initial | Kind::ZeroRtt | Kind::Handshake | Kind::Retry)
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
    use super::*;
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
            connection.push(*direction, datagram, false, |event| {
                found.push(match event {
                    Event::Packet { packet, outcome } => {
                        let versions: Vec<_> = supported_versions(packet, datagram).collect();
                        let outcome = match outcome {
                            Outcome::Opened { stop: None, .. } => "opened".to_owned(),
                            Outcome::Clear if versions.contains(&Version::V2) => "version 2".to_owned(),
                            other => format!("{other:?}"),
                        };
                        format!("{} {outcome}", packet.kind.name())
                    }
                    // The zeros that fill the datagram.
                    Event::Rest(range, _)
                        if datagram[range.start..range.end].iter().all(|byte| *byte == 0) =>
                    {
                        return;
                    }
                    Event::Rest(range, why) => format!("{why} to {}", range.end),
                    Event::ClientHello { hello, .. } => {
                        let hello = hello.unwrap();
                        format!("{} {}", hello.server_name.unwrap(), hello.alpn.join(","))
                    }
                    Event::ServerHello { hello, .. } => hello.unwrap().cipher_suite.to_string(),
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
