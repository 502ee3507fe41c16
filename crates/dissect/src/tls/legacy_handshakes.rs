//! What the hellos of a connection before TLS 1.3 agree on, beyond version and suite: the first handshake, and the last
//! renegotiation.

use super::cipher_suite::CipherSuite;
use super::code::{ExtensionType, ProtocolVersion};
use super::counters::NotDecrypted;
use super::handshake::{ClientHello, ServerHello};
use super::legacy::{Decrypter, Parameters};
use crate::flow::PerDirection;

/// The handshakes of one connection.
#[derive(Debug, Default)]
pub(super) struct LegacyHandshakes {
    first: Option<Agreement>,
    /// The random of the last ClientHello under the keys of an earlier handshake (RFC 5246 §7.4.1.1).
    again_random: Option<[u8; 32]>,
    /// The answer to it.
    again: Option<Agreement>,
    /// The keys of each direction, once a record needed them, or why there are none.
    pub(super) decrypters: PerDirection<Option<Result<Decrypter, NotDecrypted>>>,
}

/// The values of a ServerHello.
#[derive(Clone, Copy, Debug)]
struct Agreement {
    random: [u8; 32],
    version: ProtocolVersion,
    cipher_suite: CipherSuite,
    encrypt_then_mac: bool,
    is_compressed: bool,
}

impl From<&ServerHello> for Agreement {
    fn from(hello: &ServerHello) -> Self {
        Self {
            random: hello.random,
            version: hello.version,
            cipher_suite: hello.cipher_suite,
            encrypt_then_mac: hello.extensions.contains(&ExtensionType::ENCRYPT_THEN_MAC),
            is_compressed: hello.compression_method != 0,
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
    pub(super) fn begin(hello: &ServerHello) -> Self {
        Self { first: Some(hello.into()), ..Self::default() }
    }

    /// The ClientHello of a renegotiation.
    pub(super) fn client_hello_again(&mut self, hello: &ClientHello) {
        self.again_random = Some(hello.random);
        self.again = None;
    }

    /// The ServerHello of a renegotiation.
    pub(super) fn server_hello_again(&mut self, hello: &ServerHello) {
        self.again = Some(hello.into());
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
