//! The parameters that the hellos of both directions agree on.
//!
//! ```text
//!   client:  Silent ──ClientHello──> Offered ──second ClientHello──> OfferedAgain
//!                                              (only if asked to retry)
//!
//!   server:  Silent ──HelloRetryRequest──> AskedToRetry ──ServerHello──> Chose(version, suite)
//!               └──────────────────────────ServerHello───────────────────────^
//! ```
//!
//! The two sides change state independently, because a capture may contain one direction before the other. A hello
//! without an arrow in the diagram is unexpected and changes nothing.

use aws_lc_rs::digest;

use super::cipher_suite::CipherSuite;
use super::code::ProtocolVersion;
use super::decrypt::Suite;
use super::handshake::{ClientHello, ServerHello};
use super::resumption::ResumptionId;
use crate::flow::Direction;

/// The hellos so far.
#[derive(Debug, Default)]
pub(super) struct Negotiation {
    /// The direction of the TLS client, once a hello shows it.
    client: Option<Direction>,
    offered: ClientSide,
    chosen: ServerSide,
    /// Whether records no longer wait for a hello.
    pub(super) no_more_waiting: bool,
}

#[derive(Debug, Default)]
enum ClientSide {
    #[default]
    Silent,
    Offered(Box<Offer>),
    /// A second ClientHello answered a HelloRetryRequest.
    OfferedAgain(Box<Offer>),
}

#[derive(Clone, Copy, Debug, Default)]
enum ServerSide {
    #[default]
    Silent,
    AskedToRetry {
        echo: Option<SessionIdDigest>,
    },
    Chose {
        choice: Choice,
        echo: Option<SessionIdDigest>,
        after_retry: bool,
    },
}

/// The values kept of the ClientHello. The second one has the same random (RFC 9846 §4.1.2).
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) random: [u8; 32],
    /// Digest of the session id, which the ServerHello of TLS 1.3 and a second ClientHello must repeat: a connection that
    /// never completes keeps no copy.
    session_id: SessionIdDigest,
    /// The ticket of a session that the client wants to resume.
    pub(super) ticket: Option<ResumptionId>,
    /// Suites of 0-RTT data that can be decrypted; empty without an offer of 0-RTT data.
    pub(super) early_suites: Box<[CipherSuite]>,
}

/// The first bytes of the SHA-256 of a session id: another id with the same digest takes 2^64 attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SessionIdDigest([u8; 8]);

impl SessionIdDigest {
    /// That of a ServerHello, if its session id is an echo.
    fn echoed_by(hello: &ServerHello) -> Option<Self> {
        let is_echo = hello.version == ProtocolVersion::TLS_1_3 || hello.is_hello_retry_request;
        is_echo.then(|| Self::of(&hello.session_id))
    }

    fn of(session_id: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, session_id);
        Self(*digest.as_ref().first_chunk().unwrap_or(&[0; 8]))
    }
}

/// The values kept of the ServerHello.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) version: ProtocolVersion,
    pub(super) suite: CipherSuite,
}

impl Negotiation {
    pub(super) fn client(&self) -> Option<Direction> {
        self.client
    }

    /// Whether `direction` is the one of the TLS client, by its hello or else by the connection.
    pub(super) fn is_client(&self, direction: Direction) -> bool {
        self.client.unwrap_or(Direction::ClientToServer) == direction
    }

    pub(super) fn offer(&self) -> Option<&Offer> {
        match &self.offered {
            ClientSide::Silent => None,
            ClientSide::Offered(offer) | ClientSide::OfferedAgain(offer) => Some(offer),
        }
    }

    pub(super) fn choice(&self) -> Option<Choice> {
        match self.chosen {
            ServerSide::Silent | ServerSide::AskedToRetry { .. } => None,
            ServerSide::Chose { choice, .. } => Some(choice),
        }
    }

    /// Whether the server chose a version before TLS 1.3.
    pub(super) fn is_before_tls13(&self) -> bool {
        self.choice().is_some_and(|choice| choice.version < ProtocolVersion::TLS_1_3)
    }

    pub(super) fn is_tls13(&self) -> bool {
        self.choice().is_some_and(|choice| choice.version.is_tls13())
    }

    fn was_retried(&self) -> bool {
        matches!(self.chosen, ServerSide::AskedToRetry { .. } | ServerSide::Chose { after_retry: true, .. })
    }

    /// Whether a first ClientHello may come from `direction`.
    pub(super) fn expects_client_hello(&self, direction: Direction) -> bool {
        self.may_be_client(direction) && matches!(self.offered, ClientSide::Silent)
    }

    /// Whether a second ClientHello may come from `direction`: it answers a HelloRetryRequest, and there is no third
    /// (RFC 9846 §4.1.2).
    pub(super) fn expects_second_client_hello(&self, direction: Direction) -> bool {
        self.may_be_client(direction)
            && matches!(self.offered, ClientSide::Offered(_))
            && self.was_retried()
            && !self.is_before_tls13()
    }

    fn may_be_client(&self, direction: Direction) -> bool {
        self.client.is_none_or(|client| client == direction)
    }

    /// Whether a ServerHello or HelloRetryRequest may come from `direction`.
    pub(super) fn may_be_server(&self, direction: Direction) -> bool {
        self.client != Some(direction)
    }

    /// Whether an expected ClientHello is consistent: both hellos of a client have the same random (RFC 9846 §4.1.2).
    pub(super) fn fits_client_hello(&self, hello: &ClientHello) -> bool {
        self.offer().is_none_or(|offer| offer.random == hello.random)
    }

    /// Whether an expected ServerHello is consistent: a client is asked to retry only once (RFC 9846 §4.1.4).
    pub(super) fn fits_server_hello(&self, hello: &ServerHello) -> bool {
        !(hello.is_hello_retry_request && self.was_retried())
    }

    /// Whether a ClientHello has the session id that was seen before: a second one repeats that of the first (RFC 9846
    /// §4.1.2), and where the ServerHello came first in the capture, that has it.
    pub(super) fn keeps_session_id(&self, hello: &ClientHello) -> bool {
        let digest = SessionIdDigest::of(&hello.session_id);
        self.offer().is_none_or(|offer| offer.session_id == digest)
            && self.echo().is_none_or(|echo| echo == digest)
    }

    /// Whether a ServerHello of TLS 1.3 repeats the session id of the ClientHello (RFC 9846 §4.1.3). Before TLS 1.3, a
    /// server chooses one of its own.
    pub(super) fn echoes_session_id(&self, hello: &ServerHello) -> bool {
        let echo = SessionIdDigest::echoed_by(hello);
        self.offer().zip(echo).is_none_or(|(offer, echo)| offer.session_id == echo)
    }

    /// The session id that a HelloRetryRequest or a ServerHello has echoed.
    fn echo(&self) -> Option<SessionIdDigest> {
        match self.chosen {
            ServerSide::Silent => None,
            ServerSide::AskedToRetry { echo } | ServerSide::Chose { echo, .. } => echo,
        }
    }

    pub(super) fn client_hello(&mut self, direction: Direction, hello: &ClientHello) {
        self.client = Some(direction);
        self.offered = match std::mem::take(&mut self.offered) {
            ClientSide::Silent => {
                let is_early = |suite: &CipherSuite| hello.offers_early_data && Suite::of(*suite).is_some();
                let early_suites = hello.cipher_suites.iter().copied().filter(is_early).collect();
                let session_id = SessionIdDigest::of(&hello.session_id);
                let (random, ticket) = (hello.random, hello.ticket.as_deref().copied());
                ClientSide::Offered(Box::new(Offer { random, session_id, ticket, early_suites }))
            }
            ClientSide::Offered(offer) | ClientSide::OfferedAgain(offer) => ClientSide::OfferedAgain(offer),
        };
    }

    pub(super) fn server_hello(&mut self, direction: Direction, hello: &ServerHello) {
        if self.client.is_none() && direction == Direction::ClientToServer {
            self.client = Some(direction.opposite());
        }
        let echo = SessionIdDigest::echoed_by(hello);
        self.chosen = if hello.is_hello_retry_request {
            ServerSide::AskedToRetry { echo }
        } else {
            let choice = Choice { version: hello.version, suite: hello.cipher_suite };
            ServerSide::Chose { choice, echo, after_retry: self.was_retried() }
        };
    }
}
