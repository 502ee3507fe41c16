//! The check of both Finished messages of TLS 1.2 and before (RFC 5246 §7.4.9).
//!
//! ```text
//!   full:     ClientHello | ServerHello .. ServerHelloDone | Certificate .. Finished | NewSessionTicket, Finished
//!   resumed:  ClientHello | ServerHello .. Finished        | Finished
//! ```
//!
//! Each Finished message is a MAC over all messages before it, of both sides. Which ones these are follows from the messages
//! of each side alone, so that the two directions may arrive with any delay between them.

use aws_lc_rs::digest::{self, Context};
use md5::{Digest, Md5};

use super::prf::{Hash, Prf};
use super::suite::Suite;
use crate::keylog::Secret;
use crate::tls::cipher_suite::CipherSuite;
use crate::tls::code::{HandshakeType, ProtocolVersion};

/// Maximum length of the messages of a handshake after its ClientHello that are kept until both Finished messages are
/// checked: chains of both sides at their longest. Beyond it, the handshake is not verified.
pub const MAX_FLIGHT_BYTES: usize = 128 << 10;

/// Length of `verify_data` (RFC 5246 §7.4.9).
const VERIFY_DATA: usize = 12;

/// Length of the type and the length in front of a message's body.
const MESSAGE_HEADER: usize = 4;

/// The hash of a ClientHello under every function that the ServerHello may choose.
pub(in crate::tls) struct HelloHash {
    md5: Md5,
    sha1: Context,
}

impl HelloHash {
    pub(in crate::tls) fn of(client_hello: &[u8]) -> Self {
        let mut sha1 = Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        sha1.update(client_hello);
        Self { md5: Md5::new_with_prefix(client_hello), sha1 }
    }
}

/// The hash of the messages so far.
#[derive(Clone)]
enum Messages {
    Tls10(Box<(Md5, Context)>),
    Tls12(Context),
}

impl Messages {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Tls10(both) => {
                both.0.update(bytes);
                both.1.update(bytes);
            }
            Self::Tls12(context) => context.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            // MD5 and then SHA-1 (RFC 2246 §7.4.9).
            Self::Tls10(both) => {
                let (md5, sha1) = *both;
                [md5.finalize().as_slice(), sha1.finish().as_ref()].concat()
            }
            Self::Tls12(context) => context.finish().as_ref().to_vec(),
        }
    }
}

/// The messages of both sides after the ClientHello, until both Finished messages are checked.
pub(in crate::tls) struct Flights {
    hello: Messages,
    prf: Prf,
    /// The master secret, once it is known.
    secret: Option<Secret>,
    client: Flight,
    server: Flight,
    /// Where the first flight of the server ends, if ServerHelloDone has come: a full handshake.
    first_flight: Option<usize>,
    /// Where ClientKeyExchange ends in the messages of the client.
    key_exchange_end: Option<usize>,
}

/// The messages of one side.
#[derive(Default)]
struct Flight {
    messages: Vec<u8>,
    /// Where the Finished message begins.
    finished_at: Option<usize>,
    /// Whether it is right, once that is known.
    is_right: Option<bool>,
}

impl Flight {
    /// The messages before Finished, and Finished itself.
    fn parts(&self) -> Option<(&[u8], &[u8])> {
        self.messages.split_at_checked(self.finished_at?)
    }
}

impl Flights {
    /// Begins after a ServerHello that chose this suite. `None` if the handshake cannot be verified.
    pub(in crate::tls) fn new(
        hello: &HelloHash,
        sha256: &Context,
        sha384: &Context,
        suite: (CipherSuite, ProtocolVersion),
        secret: Option<Secret>,
    ) -> Option<Self> {
        let prf = Suite::of(suite.0, suite.1).ok()?.prf;
        let hello = match prf {
            Prf::Tls10 => Messages::Tls10(Box::new((hello.md5.clone(), hello.sha1.clone()))),
            Prf::Tls12(Hash::Sha384) => Messages::Tls12(sha384.clone()),
            Prf::Tls12(_) => Messages::Tls12(sha256.clone()),
        };
        let (client, server) = (Flight::default(), Flight::default());
        Some(Self { hello, prf, secret, client, server, first_flight: None, key_exchange_end: None })
    }

    /// Bytes of the messages that are kept.
    pub(in crate::tls) fn kept_bytes(&self) -> usize {
        self.client.messages.capacity() + self.server.messages.capacity()
    }

    /// Adds a message as it was sent. Returns whether it is kept: too many bytes are not.
    pub(in crate::tls) fn add(&mut self, is_client: bool, kind: HandshakeType, message: &[u8]) -> bool {
        let length = self.client.messages.len() + self.server.messages.len() + message.len();
        if length > MAX_FLIGHT_BYTES {
            return false;
        }
        let flight = if is_client { &mut self.client } else { &mut self.server };
        if kind == HandshakeType::FINISHED {
            flight.finished_at.get_or_insert(flight.messages.len());
        }
        flight.messages.extend_from_slice(message);
        if kind == HandshakeType::CLIENT_KEY_EXCHANGE && is_client {
            self.key_exchange_end.get_or_insert(self.client.messages.len());
        }
        if kind == HandshakeType::SERVER_HELLO_DONE && self.server.finished_at.is_none() {
            self.first_flight.get_or_insert(self.server.messages.len());
        }
        self.check();
        true
    }

    /// States the master secret, which was not known before.
    pub(in crate::tls) fn set_secret(&mut self, secret: &Secret) {
        self.secret.get_or_insert_with(|| secret.clone());
    }

    /// The hash of all messages up to ClientKeyExchange (RFC 7627 §3); `None` until they are all there.
    pub(in crate::tls) fn session_hash(&self) -> Option<Vec<u8>> {
        let mut messages = self.hello.clone();
        messages.update(self.server.messages.get(..self.first_flight?)?);
        messages.update(self.client.messages.get(..self.key_exchange_end?)?);
        Some(messages.finish())
    }

    /// Whether the Finished message of a side is right; `None` until that is known.
    pub(in crate::tls) fn is_right(&self, is_client: bool) -> Option<bool> {
        if is_client { self.client.is_right } else { self.server.is_right }
    }

    /// Whether both are checked, so that the messages are no longer needed.
    pub(in crate::tls) fn is_done(&self) -> bool {
        self.client.is_right.is_some() && self.server.is_right.is_some()
    }

    fn check(&mut self) {
        if self.client.is_right.is_none() {
            self.client.is_right = self.check_client();
        }
        if self.server.is_right.is_none() {
            self.server.is_right = self.check_server();
        }
    }

    fn check_client(&self) -> Option<bool> {
        let (own, finished) = self.client.parts()?;
        let server = match self.first_flight {
            Some(length) => self.server.messages.get(..length)?,
            None => {
                self.server.finished_at?;
                &self.server.messages
            }
        };
        self.is_verify_data(b"client finished", &[server, own], finished)
    }

    fn check_server(&self) -> Option<bool> {
        let (own, finished) = self.server.parts()?;
        let before: [&[u8]; 3] = match self.first_flight {
            Some(length) => {
                self.client.finished_at?;
                let (first, second) = own.split_at_checked(length)?;
                [first, &self.client.messages, second]
            }
            None => [own, &[], &[]],
        };
        self.is_verify_data(b"server finished", &before, finished)
    }

    fn is_verify_data(&self, label: &[u8], before: &[&[u8]], finished: &[u8]) -> Option<bool> {
        let mut messages = self.hello.clone();
        before.iter().for_each(|part| messages.update(part));
        let mut expected = [0; VERIFY_DATA];
        let secret = self.secret.as_ref()?;
        self.prf.derive(secret.as_bytes(), label, &[&messages.finish()], &mut expected)?;
        Some(finished.get(MESSAGE_HEADER..)? == expected)
    }
}
