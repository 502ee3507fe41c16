//! The transcript of a handshake, and the check of both Finished messages (RFC 9846 §4.4.1, §4.4.4, RFC 5246 §7.4.9).
//!
//! ```text
//!   Hello(hashes) ──HelloRetryRequest, ServerHello──> Hashing ──server's Finished──> Hashing ──client's Finished──> done
//!        │                                               │
//!        └──────────── a message is missing, too long or out of order ────────────────────────────> Lost
//! ```
//!
//! A Finished message is a MAC over every handshake message before it. If both are right, the hellos of the capture are
//! those that both endpoints saw, byte for byte; one that was changed on its way, or in the capture, is noticed.

use aws_lc_rs::digest::{self, Context};
use aws_lc_rs::hmac;

use super::cipher_suite::CipherSuite;
use super::code::{HandshakeType, ProtocolVersion};
use super::decrypt::{Suite, expand_label};
use super::handshake_deframer::DeframedMessage;
use super::legacy::{Flights, HelloHash};
use crate::flow::{Direction, PerDirection};
use crate::keylog::Secret;

/// Type of the message that takes the place of the first ClientHello after a HelloRetryRequest (RFC 9846 §4.4.1).
const MESSAGE_HASH: u8 = 254;

/// Longest hash of a supported suite: SHA-384.
const MAX_HASH: usize = 48;

/// What is known of the Finished message of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finished {
    /// It was not seen, or could not be decrypted.
    #[default]
    NotSeen,
    /// It is right: the handshake of the capture is the one that its sender saw.
    Verified,
    /// It is wrong: a handshake message of the capture is not the one that its sender saw.
    Differs,
    /// It was seen, but a message before it was not, or not in order.
    NotVerifiable,
}

/// The handshake messages so far. It exists only for connections with secrets in the key log: nothing can be verified
/// without, and a capture may contain many thousand hellos.
pub(super) struct Transcript {
    state: State,
    finished: PerDirection<Finished>,
    /// The result of the handshakes before a renegotiation.
    earlier: PerDirection<Option<Finished>>,
}

enum State {
    /// The first ClientHello under every hash that the ServerHello may choose. Its bytes are not kept: a capture can have
    /// many long hellos that no server answers.
    Hello {
        sha256: Context,
        sha384: Context,
        older: Box<HelloHash>,
    },
    /// TLS 1.2 and before.
    Legacy(Box<Flights>),
    Hashing {
        context: Context,
        suite: Suite,
        is_server_finished: bool,
        /// Whether the server accepts 0-RTT data, and EndOfEarlyData was not seen: without the early secret it is not.
        awaits_end_of_early_data: bool,
    },
    Lost,
}

impl Transcript {
    /// Bytes of messages that are kept.
    pub(super) fn kept_bytes(&self) -> usize {
        match &self.state {
            State::Legacy(flights) => flights.kept_bytes(),
            State::Hello { .. } | State::Hashing { .. } | State::Lost => 0,
        }
    }

    /// Begins with the first ClientHello.
    pub(super) fn new(client_hello: &DeframedMessage<'_>) -> Self {
        let hashed = |bytes: &[u8], algorithm| {
            let mut context = Context::new(algorithm);
            context.update(bytes);
            context
        };
        let state = encoded(client_hello).map_or(State::Lost, |bytes| State::Hello {
            sha256: hashed(&bytes, &digest::SHA256),
            sha384: hashed(&bytes, &digest::SHA384),
            older: Box::new(HelloHash::of(&bytes)),
        });
        Self { state, finished: PerDirection::default(), earlier: PerDirection::default() }
    }

    /// The result for one direction.
    pub(super) fn finished(&self, direction: Direction) -> Finished {
        match (self.earlier[direction], self.finished[direction]) {
            (None | Some(Finished::Verified), now) => now,
            (Some(Finished::Differs), _) | (_, Finished::Differs) => Finished::Differs,
            (Some(_), _) => Finished::NotVerifiable,
        }
    }

    /// Notes that a message may be missing.
    pub(super) fn lose(&mut self) {
        self.state = State::Lost;
    }

    /// Adds the second ClientHello.
    pub(super) fn client_hello(&mut self, message: &DeframedMessage<'_>) {
        match (&mut self.state, encoded(message)) {
            (State::Hashing { context, is_server_finished: false, .. }, Some(bytes)) => {
                context.update(&bytes);
            }
            _ => self.state = State::Lost,
        }
    }

    /// Adds a HelloRetryRequest or the ServerHello.
    pub(super) fn server_hello(
        &mut self,
        message: &DeframedMessage<'_>,
        (suite, version): (CipherSuite, ProtocolVersion),
        is_retry: bool,
    ) {
        let suite = Suite::of(suite).and_then(|suite| suite.in_version(version));
        let (Some(bytes), Some(suite)) = (encoded(message), suite) else {
            self.state = State::Lost;
            return;
        };
        if let State::Hello { sha256, sha384, .. } = &self.state {
            let mut context = if *suite.digest() == digest::SHA384 { sha384.clone() } else { sha256.clone() };
            if is_retry {
                let hash = context.finish();
                context = Context::new(suite.digest());
                context.update(&[MESSAGE_HASH, 0, 0, hash.as_ref().len() as u8]);
                context.update(hash.as_ref());
            }
            let awaits_end_of_early_data = false;
            self.state =
                State::Hashing { context, suite, is_server_finished: false, awaits_end_of_early_data };
        }
        match &mut self.state {
            State::Hashing { context, suite: chosen, is_server_finished: false, .. } if *chosen == suite => {
                context.update(&bytes);
            }
            _ => self.state = State::Lost,
        }
    }

    /// Adds a decrypted message of the handshake. `secret` is the handshake traffic secret of its sender.
    pub(super) fn encrypted(
        &mut self,
        direction: Direction,
        is_client: bool,
        message: &DeframedMessage<'_>,
        secret: Option<&Secret>,
    ) {
        let is_finished = message.message_type == HandshakeType::FINISHED;
        let State::Hashing { context, suite, is_server_finished, awaits_end_of_early_data } = &mut self.state
        else {
            return self.not_verifiable(direction, is_finished);
        };
        // All messages of the server come before those of the client.
        let (Some(bytes), true) = (encoded(message), is_client == *is_server_finished) else {
            self.state = State::Lost;
            return self.not_verifiable(direction, is_finished);
        };
        if message.message_type == HandshakeType::END_OF_EARLY_DATA {
            *awaits_end_of_early_data = false;
        }
        if is_finished {
            let is_whole = !(is_client && *awaits_end_of_early_data);
            let secret = secret.filter(|_| is_whole);
            let expected = secret.and_then(|secret| verify_data(*suite, secret, context.clone()));
            self.finished[direction] = match (expected, message.body) {
                (Some(expected), Some(body)) if expected.as_ref() == body => Finished::Verified,
                (Some(_), _) => Finished::Differs,
                (None, _) => Finished::NotVerifiable,
            };
            *is_server_finished = true;
        }
        context.update(&bytes);
        if is_finished && is_client {
            self.state = State::Lost;
        }
    }

    /// Notes that the server accepts 0-RTT data, so that the client ends them with a message.
    pub(super) fn expect_end_of_early_data(&mut self) {
        if let State::Hashing { awaits_end_of_early_data, is_server_finished: false, .. } = &mut self.state {
            *awaits_end_of_early_data = true;
        }
    }

    /// Begins again with the ClientHello of another handshake on the same connection, before TLS 1.3. Each of them has to be
    /// verified.
    pub(super) fn renegotiate(&mut self, client_hello: &DeframedMessage<'_>) {
        for direction in Direction::BOTH {
            self.earlier[direction] = Some(self.finished(direction));
        }
        let earlier = std::mem::take(&mut self.earlier);
        *self = Self { earlier, ..Self::new(client_hello) };
    }

    /// Adds a ServerHello of a version before TLS 1.3, whose master secret is `secret`, or may become known later
    /// (`may_be_opened`).
    pub(super) fn legacy_server_hello(
        &mut self,
        direction: Direction,
        message: &DeframedMessage<'_>,
        suite: (CipherSuite, ProtocolVersion),
        secret: Option<&Secret>,
        may_be_opened: bool,
    ) {
        let flights = match &self.state {
            State::Hello { sha256, sha384, older } if secret.is_some() || may_be_opened => {
                Flights::new(older, sha256, sha384, suite, secret.cloned())
            }
            _ => None,
        };
        self.state = flights.map_or(State::Lost, |flights| State::Legacy(Box::new(flights)));
        self.legacy(direction, false, message);
    }

    /// Adds any later message of a handshake before TLS 1.3.
    pub(super) fn legacy(&mut self, direction: Direction, is_client: bool, message: &DeframedMessage<'_>) {
        // It may come at any time, and is not part of the handshake (RFC 5246 §7.4.1.1).
        if message.message_type == HandshakeType::HELLO_REQUEST {
            return;
        }
        let is_finished = message.message_type == HandshakeType::FINISHED;
        self.not_verifiable(direction, is_finished);
        let State::Legacy(flights) = &mut self.state else { return };
        if !encoded(message).is_some_and(|bytes| flights.add(is_client, message.message_type, &bytes)) {
            self.state = State::Lost;
            return;
        }
        for (of_client, side) in [(is_client, direction), (!is_client, direction.opposite())] {
            match flights.is_right(of_client) {
                Some(true) => self.finished[side] = Finished::Verified,
                Some(false) => self.finished[side] = Finished::Differs,
                None => {}
            }
        }
        if flights.is_done() {
            self.state = State::Lost;
        }
    }

    /// States the master secret of a handshake before TLS 1.3, which was not known at its ServerHello.
    pub(super) fn set_secret(&mut self, secret: &Secret) {
        if let State::Legacy(flights) = &mut self.state {
            flights.set_secret(secret);
        }
    }

    /// See [`Flights::session_hash`].
    pub(super) fn session_hash(&self) -> Option<Vec<u8>> {
        match &self.state {
            State::Legacy(flights) => flights.session_hash(),
            _ => None,
        }
    }

    fn not_verifiable(&mut self, direction: Direction, is_finished: bool) {
        let finished = &mut self.finished[direction];
        if is_finished && *finished == Finished::NotSeen {
            *finished = Finished::NotVerifiable;
        }
    }
}

/// A message as it was sent; `None` if it was too long to be kept.
fn encoded(message: &DeframedMessage<'_>) -> Option<Vec<u8>> {
    let body = message.body?;
    if message.is_ssl2 {
        // It has no header (RFC 5246 appendix E.2).
        return Some([&[message.message_type.0], body].concat());
    }
    let [_, length @ ..] = u32::try_from(body.len()).ok()?.to_be_bytes();
    let mut bytes = vec![message.message_type.0];
    bytes.extend(length);
    bytes.extend(body);
    Some(bytes)
}

/// `verify_data` of a Finished message that follows these messages (RFC 9846 §4.4.4).
fn verify_data(suite: Suite, secret: &Secret, messages: Context) -> Option<hmac::Tag> {
    let mut key = [0; MAX_HASH];
    let key = key.get_mut(..suite.digest().output_len())?;
    expand_label(suite, secret, b"finished", key)?;
    let key = hmac::Key::new(suite.hmac(), key);
    Some(hmac::sign(&key, messages.finish().as_ref()))
}

/// Shows no secrets.
impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcript").field("finished", &self.finished).finish_non_exhaustive()
    }
}
