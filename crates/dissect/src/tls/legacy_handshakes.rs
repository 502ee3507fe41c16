//! What the hellos of a connection before TLS 1.3 agree on, beyond version and suite: the first handshake, and the last
//! renegotiation.

use super::cipher_suite::CipherSuite;
use super::code::{ExtensionType, ProtocolVersion};
use super::counters::NotDecrypted;
use super::handshake::{ClientHello, ServerHello};
use super::legacy::{Decrypter, Parameters};
use super::resumption::ResumptionId;
use super::server_key::KeyNumber;
use crate::flow::PerDirection;
use crate::keylog::Secret;

/// The handshakes of one connection.
#[derive(Debug, Default)]
pub(super) struct LegacyHandshakes {
    first: Option<Agreement>,
    /// The random of the last ClientHello under the keys of an earlier handshake (RFC 5246 §7.4.1.1).
    again_random: Option<[u8; 32]>,
    /// The answer to it.
    again: Option<Agreement>,
    /// Where the master secrets of both come from.
    exchanges: [Exchange; 2],
    /// Whether there are server keys.
    pub(super) has_server_keys: bool,
    /// Whether records wait for the messages that the keys of the first handshake depend on.
    pub(super) waits_for_keys: bool,
    /// The keys of each direction, once a record needed them, or why there are none.
    pub(super) decrypters: PerDirection<Option<Result<Decrypter, NotDecrypted>>>,
}

/// One handshake before TLS 1.3, as far as its master secret depends on it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// The ticket that a renegotiation's ClientHello offers; that of the first one is kept with the other values of it.
    pub(super) offered_ticket: Option<ResumptionId>,
    /// That of the ServerHello.
    pub(super) session_id: Option<ResumptionId>,
    /// The ticket that the server issues.
    pub(super) issued_ticket: Option<ResumptionId>,
    /// The server key that belongs to the certificate.
    pub(super) server_key: Option<KeyNumber>,
    /// Whether ServerHelloDone or ClientKeyExchange has come: the handshake resumes no session.
    pub(super) is_full: bool,
    /// The outcome of ClientKeyExchange, if there are server keys.
    pub(super) transported: Option<Result<Secret, NotDecrypted>>,
}

impl Exchange {
    /// Begins with the ClientHello of a renegotiation.
    fn offered(hello: &ClientHello) -> Self {
        Self { offered_ticket: hello.ticket.as_deref().copied(), ..Self::default() }
    }

    /// Notes the ServerHello.
    fn answered(&mut self, hello: &ServerHello) {
        self.session_id = ResumptionId::of(&hello.session_id);
    }
}

/// The values of a ServerHello.
#[derive(Clone, Copy, Debug)]
struct Agreement {
    random: [u8; 32],
    version: ProtocolVersion,
    cipher_suite: CipherSuite,
    encrypt_then_mac: bool,
    is_compressed: bool,
    /// Whether the master secret depends on the whole handshake (RFC 7627).
    is_extended: bool,
}

impl From<&ServerHello> for Agreement {
    fn from(hello: &ServerHello) -> Self {
        Self {
            random: hello.random,
            version: hello.version,
            cipher_suite: hello.cipher_suite,
            encrypt_then_mac: hello.extensions.contains(&ExtensionType::ENCRYPT_THEN_MAC),
            is_compressed: hello.compression_method != 0,
            is_extended: hello.extensions.contains(&ExtensionType::EXTENDED_MASTER_SECRET),
        }
    }
}

impl Agreement {
    fn parameters(&self, client_random: [u8; 32]) -> Result<Parameters, NotDecrypted> {
        if self.is_compressed {
            return Err(NotDecrypted::Compression);
        }
        Ok(Parameters {
            client_random,
            server_random: self.random,
            version: self.version,
            cipher_suite: self.cipher_suite,
            encrypt_then_mac: self.encrypt_then_mac,
        })
    }
}

impl LegacyHandshakes {
    /// The ServerHello of the first handshake.
    pub(super) fn begin(hello: &ServerHello, has_server_keys: bool) -> Self {
        let mut first = Exchange::default();
        first.answered(hello);
        Self {
            first: Some(hello.into()),
            exchanges: [first, Exchange::default()],
            has_server_keys,
            waits_for_keys: has_server_keys,
            ..Self::default()
        }
    }

    /// That of the first handshake, or of the last renegotiation.
    pub(super) fn exchange(&self, is_again: bool) -> &Exchange {
        let [first, again] = &self.exchanges;
        if is_again { again } else { first }
    }

    /// That of the first handshake, or of the last renegotiation.
    pub(super) fn exchange_mut(&mut self, is_again: bool) -> &mut Exchange {
        let [first, again] = &mut self.exchanges;
        if is_again { again } else { first }
    }

    /// Whether the master secret depends on the whole handshake (RFC 7627).
    pub(super) fn is_extended(&self, is_again: bool) -> bool {
        let agreement = if is_again { &self.again } else { &self.first };
        agreement.is_some_and(|agreement| agreement.is_extended)
    }

    /// The ClientHello of a renegotiation.
    pub(super) fn client_hello_again(&mut self, hello: &ClientHello) {
        self.again_random = Some(hello.random);
        self.again = None;
        *self.exchange_mut(true) = Exchange::offered(hello);
    }

    /// The ServerHello of a renegotiation.
    pub(super) fn server_hello_again(&mut self, hello: &ServerHello) {
        self.again = Some(hello.into());
        self.exchange_mut(true).answered(hello);
    }

    /// The random of the ClientHello of the last renegotiation.
    pub(super) fn again_random(&self) -> Option<&[u8; 32]> {
        self.again_random.as_ref()
    }

    /// What the keys of the first handshake are derived from.
    pub(super) fn first(&self, client_random: [u8; 32]) -> Result<Parameters, NotDecrypted> {
        self.first.ok_or(NotDecrypted::NoServerHello)?.parameters(client_random)
    }

    /// What the keys of the last renegotiation are derived from.
    pub(super) fn again(&self) -> Result<Parameters, NotDecrypted> {
        let client_random = self.again_random.ok_or(NotDecrypted::NoClientHello)?;
        self.again.ok_or(NotDecrypted::NoServerHello)?.parameters(client_random)
    }
}
