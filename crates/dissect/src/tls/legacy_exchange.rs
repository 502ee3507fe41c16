//! Where the master secret of a handshake before TLS 1.3 comes from: the key log, a server's RSA key, or the session that it
//! resumes.
//!
//! ```text
//!   key log has the random of the ClientHello ───────────────────────────────────────> master secret
//!   Certificate, ServerHelloDone, ClientKeyExchange ──server key that belongs to it──> master secret ──┐
//!   neither of them before change_cipher_spec: resumed, by ticket or session id ─────> master secret   │ remembered
//!                                                          ^──────────────────────────────────────────-┘ at Finished
//! ```

use super::code::HandshakeType;
use super::counters::NotDecrypted;
use super::handshake::{Message, issued_ticket};
use super::handshake_deframer::DeframedMessage;
use super::key_exchange::KeyExchange;
use super::legacy::{Parameters, Seed, master_secret};
use super::legacy_handshakes::Exchange;
use super::resumption::Resumption;
use super::server_key::{KeyNumber, ServerKeys};
use super::session::Session;
use crate::flow::Direction;
use crate::keylog::{Label, Secret};

/// Waiting for the messages that a key depends on.
impl Session {
    /// Whether records of `direction` cannot be judged yet, because the master secret depends on messages of the peer that may
    /// still come. Both sides send them before what depends on them, so that only records that the capture reorders wait.
    pub(super) fn awaits_key_exchange(&self, direction: Direction) -> bool {
        let Some(handshakes) = self.legacy.as_ref().filter(|handshakes| handshakes.waits_for_keys) else {
            return false;
        };
        let saw_change = |direction| self.state(direction).is_some_and(|state| state.saw_change_cipher_spec);
        let Exchange { is_full, transported, .. } = &handshakes.exchange(false);
        if self.negotiation.no_more_waiting || !self.is_after_hello(direction) {
            return false;
        }
        if self.negotiation.is_client(direction) {
            return !is_full && !saw_change(direction.opposite());
        }
        *is_full && transported.is_none() && saw_change(direction) && !saw_change(direction.opposite())
    }

    /// A message on which keys depend may be missing.
    pub(super) fn expect_no_key_exchange(&mut self) {
        if let Some(handshakes) = &mut self.legacy {
            handshakes.waits_for_keys = false;
        }
    }
}

/// The master secret.
impl Session {
    /// The master secret of the first handshake, or of a renegotiation.
    ///
    /// # Errors
    /// Says why it is not known.
    pub(super) fn master_secret(
        &self,
        is_again: bool,
        client_random: &[u8; 32],
        resumption: &Resumption,
    ) -> Result<Secret, NotDecrypted> {
        let why = match self.logged_secret(client_random) {
            Ok(secret) => return Ok(secret.clone()),
            Err(why) => why,
        };
        let Some(handshakes) = &self.legacy else { return Err(why) };
        let exchange = handshakes.exchange(is_again);
        if let Some(transported) = &exchange.transported {
            return transported.clone();
        }
        if exchange.is_full {
            return Err(why);
        }
        let offered = if is_again {
            exchange.offered_ticket
        } else {
            self.negotiation.offer().and_then(|offer| offer.ticket)
        };
        let ids = [offered, exchange.session_id];
        let secret = ids.into_iter().flatten().find_map(|id| resumption.secret(id)).cloned();
        secret.ok_or(if handshakes.has_server_keys { NotDecrypted::Resumed } else { why })
    }

    /// The master secret in the key log.
    pub(super) fn logged_secret(&self, client_random: &[u8; 32]) -> Result<&Secret, NotDecrypted> {
        let keys = self.keys.as_ref().ok_or(NotDecrypted::NoKeyLog)?;
        let secrets = keys.client(client_random).ok_or(NotDecrypted::ClientRandomNotInKeyLog)?;
        secrets.secret(Label::ClientRandom).ok_or(NotDecrypted::SecretMissing(Label::ClientRandom))
    }

    /// Notes a message of a handshake behind its hellos, for the master secret.
    pub(super) fn exchange_message(
        &mut self,
        is_again: bool,
        direction: Direction,
        deframed: &DeframedMessage<'_>,
        message: &Message,
        server_keys: &mut ServerKeys,
    ) {
        let is_client = self.negotiation.is_client(direction);
        let Some(handshakes) = &mut self.legacy else { return };
        let exchange = handshakes.exchange_mut(is_again);
        match (deframed.message_type, message) {
            (_, Message::Certificate(chain)) if !is_client => {
                exchange.server_key = chain.certificates.first().and_then(|leaf| server_keys.presented(leaf));
            }
            (HandshakeType::SERVER_HELLO_DONE, _) if !is_client => exchange.is_full = true,
            (HandshakeType::NEW_SESSION_TICKET, _) if !is_client => {
                exchange.issued_ticket = deframed.body.and_then(issued_ticket);
            }
            // A second one is no part of the handshake (RFC 5246 §7.3).
            (HandshakeType::CLIENT_KEY_EXCHANGE, _) if is_client && exchange.transported.is_none() => {
                exchange.is_full = true;
                if !server_keys.is_empty() {
                    self.key_transport(is_again, deframed, server_keys);
                }
            }
            _ => {}
        }
    }

    /// Processes a ClientKeyExchange.
    fn key_transport(
        &mut self,
        is_again: bool,
        deframed: &DeframedMessage<'_>,
        server_keys: &mut ServerKeys,
    ) {
        let Some(handshakes) = &self.legacy else { return };
        let key = handshakes.exchange(is_again).server_key;
        let parameters = match is_again {
            true => handshakes.again(),
            false => self
                .negotiation
                .offer()
                .ok_or(NotDecrypted::NoClientHello)
                .and_then(|offer| handshakes.first(offer.random)),
        };
        let is_extended = handshakes.is_extended(is_again);
        let transported = parameters
            .and_then(|parameters| self.transported(&parameters, is_extended, key, deframed, server_keys));
        if let Some(used) = key.and_then(|key| server_keys.use_mut(key)) {
            *match &transported {
                Ok(_) => &mut used.opened,
                Err(NotDecrypted::ForwardSecret | NotDecrypted::KeyExchange(_)) => &mut used.other_exchanges,
                Err(_) => &mut used.failed,
            } += 1;
        }
        if let Some(handshakes) = &mut self.legacy {
            handshakes.exchange_mut(is_again).transported = Some(transported);
        }
    }

    /// The master secret by the body of a ClientKeyExchange: one RSA operation at most.
    fn transported(
        &self,
        parameters: &Parameters,
        is_extended: bool,
        key: Option<KeyNumber>,
        deframed: &DeframedMessage<'_>,
        server_keys: &ServerKeys,
    ) -> Result<Secret, NotDecrypted> {
        let suite = parameters.cipher_suite;
        if !suite.name().is_some_and(|name| name.starts_with("TLS_RSA_WITH_")) {
            return Err(match KeyExchange::of_suite(suite) {
                Some(KeyExchange::ForwardSecret) => NotDecrypted::ForwardSecret,
                _ => NotDecrypted::KeyExchange(suite),
            });
        }
        let key = key.ok_or(NotDecrypted::NoServerKey)?;
        let premaster = deframed.body.and_then(|body| server_keys.premaster_secret(key, body));
        let premaster = premaster.ok_or(NotDecrypted::PremasterSecret)?;
        let hash;
        let seed = if is_extended {
            hash = self.transcript.as_ref().and_then(|transcript| transcript.session_hash());
            Seed::SessionHash(hash.as_deref().ok_or(NotDecrypted::SessionHash)?)
        } else {
            Seed::Randoms(&parameters.client_random, &parameters.server_random)
        };
        master_secret(suite, parameters.version, &premaster, &seed)
    }

    /// Remembers the master secret at a Finished message that the keys of `direction` have decrypted, for sessions that resume
    /// this one.
    pub(super) fn remember_session(&mut self, direction: Direction, resumption: &mut Resumption) {
        let Some(handshakes) = &self.legacy else { return };
        let Some(Ok(decrypter)) = &handshakes.decrypters[direction] else { return };
        let Exchange { session_id, issued_ticket, .. } =
            handshakes.exchange(handshakes.again_random().is_some());
        for id in [session_id, issued_ticket].into_iter().flatten() {
            resumption.remember(*id, decrypter.secret());
        }
    }
}
