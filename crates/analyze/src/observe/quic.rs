//! The QUIC sessions of a capture: what their first packets show.

use std::net::SocketAddr;

use std::sync::Arc;

use dissect::flow::{Direction, PerDirection};
use dissect::quic::{Event, Kind, Outcome, supported_versions};
use dissect::tls::{Certificate, Message, NamedGroup};

use crate::pipeline::fact::QuicFact;

/// Maximum number of sessions that are described one by one; the others are counted.
pub(crate) const MAX_SESSIONS: usize = 2_048;

/// Maximum number of versions listed of a version negotiation packet.
const MAX_VERSIONS: usize = 16;

/// All QUIC sessions of a capture.
#[derive(Debug, Default)]
pub(crate) struct QuicTable {
    /// The first [`MAX_SESSIONS`].
    pub sessions: Vec<QuicSession>,
    /// Number of sessions.
    pub total: u64,
    /// Datagrams of all sessions.
    pub datagrams: u64,
}

/// One session.
#[derive(Debug)]
pub(crate) struct QuicSession {
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub first_frame: u64,
    pub last_frame: u64,
    pub datagrams: PerDirection<u64>,
    pub payload: PerDirection<u64>,
    pub version: Option<String>,
    pub versions_negotiated: Vec<String>,
    pub has_retry: bool,
    /// Initial packets that were opened, and that were not.
    pub initial: [u64; 2],
    /// Packets that the key log opens.
    pub decrypted: u64,
    pub closed: u64,
    pub server_name: Option<String>,
    /// The name by which the client looked up the server.
    pub looked_up: Option<String>,
    pub alpn_offered: Vec<String>,
    pub tls_versions_offered: Vec<String>,
    pub cipher_suite: Option<String>,
    pub named_group: Option<NamedGroup>,
    /// Fingerprint of the ClientHello.
    pub ja4: Option<String>,
    /// Application protocol that the server chose: only the key log shows it.
    pub alpn: Option<String>,
    /// The certificates that each direction sent: only the key log shows them.
    pub certificates: PerDirection<Vec<Arc<Certificate>>>,
}

impl QuicTable {
    /// Adds a datagram, or an event of it. `looked_up` gives the name by which a client looked up a server.
    pub(crate) fn take(
        &mut self,
        fact: &QuicFact<'_>,
        event: Option<&Event<'_>>,
        looked_up: impl FnOnce(SocketAddr, SocketAddr) -> Option<String>,
    ) {
        let is_first = u64::from(fact.session) >= self.total;
        self.total += u64::from(is_first);
        if is_first && self.sessions.len() < MAX_SESSIONS {
            self.sessions.push(QuicSession {
                client: fact.client,
                server: fact.server,
                first_frame: fact.frame,
                last_frame: fact.frame,
                datagrams: PerDirection::default(),
                payload: PerDirection::default(),
                version: None,
                versions_negotiated: Vec::new(),
                has_retry: false,
                initial: [0; 2],
                decrypted: 0,
                closed: 0,
                server_name: None,
                looked_up: looked_up(fact.client, fact.server),
                alpn_offered: Vec::new(),
                tls_versions_offered: Vec::new(),
                cipher_suite: None,
                named_group: None,
                ja4: None,
                alpn: None,
                certificates: PerDirection::default(),
            });
        }
        self.datagrams += u64::from(event.is_none());
        let Some(session) = self.sessions.get_mut(fact.session as usize) else { return };
        session.last_frame = fact.frame;
        match event {
            None => {
                session.datagrams[fact.direction] += 1;
                session.payload[fact.direction] += u64::from(fact.datagram.wire_payload_len);
            }
            Some(event) => session.event(event, fact.direction, fact.datagram.payload),
        }
    }
}

impl QuicSession {
    fn event(&mut self, event: &Event<'_>, direction: Direction, datagram: &[u8]) {
        match event {
            Event::Packet { packet, outcome } => {
                if packet.kind == Kind::VersionNegotiation {
                    let versions =
                        supported_versions(packet, datagram).filter(|version| !version.is_reserved());
                    self.versions_negotiated =
                        versions.take(MAX_VERSIONS).map(|version| version.to_string()).collect();
                } else if packet.kind != Kind::OneRtt {
                    self.version = Some(packet.version.to_string());
                }
                self.has_retry |= packet.kind == Kind::Retry;
                match outcome {
                    Outcome::Opened { .. } => self.initial[0] += 1,
                    Outcome::NotOpened => self.initial[1] += 1,
                    Outcome::Decrypted { .. } => self.decrypted += 1,
                    Outcome::Closed => self.closed += 1,
                    _ => {}
                }
            }
            Event::ClientHello { hello: Ok(hello), .. } => {
                self.server_name.clone_from(&hello.server_name);
                self.alpn_offered.clone_from(&hello.alpn);
                self.tls_versions_offered =
                    hello.supported_versions.iter().map(ToString::to_string).collect();
                self.ja4 = Some(hello.ja4_of_quic());
            }
            Event::ServerHello { hello: Ok(hello), .. } if !hello.is_hello_retry_request => {
                self.cipher_suite = Some(hello.cipher_suite.to_string());
                self.named_group = hello.key_share_group;
            }
            Event::Handshake { message: Message::EncryptedExtensions(extensions), .. } => {
                self.alpn.clone_from(&extensions.alpn);
            }
            Event::Handshake { message: Message::Certificate(chain), .. } => {
                let side = &mut self.certificates[direction];
                if side.is_empty() {
                    side.clone_from(&chain.certificates);
                }
            }
            _ => {}
        }
    }
}

/// What begins in a datagram, by its names; `None` for what has no name.
pub(crate) fn name(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Packet { packet, .. } => Some(format!("QUIC {}", packet.kind.name())),
        Event::ClientHello { .. } => Some("ClientHello".to_owned()),
        Event::ServerHello { .. } => Some("ServerHello".to_owned()),
        _ => None,
    }
}
