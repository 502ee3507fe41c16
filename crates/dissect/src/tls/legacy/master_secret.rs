//! From a premaster secret to the master secret (RFC 5246 §8.1, RFC 7627 §4).

use super::prf::Prf;
use super::suite::Suite;
use crate::keylog::Secret;
use crate::tls::cipher_suite::CipherSuite;
use crate::tls::code::ProtocolVersion;
use crate::tls::counters::NotDecrypted;

/// Length of a master secret (RFC 5246 §8.1).
const MASTER_SECRET: usize = 48;

/// What the master secret depends on, beside the premaster secret.
pub(in crate::tls) enum Seed<'a> {
    /// The randoms of client and server.
    Randoms(&'a [u8; 32], &'a [u8; 32]),
    /// The hash of the handshake up to ClientKeyExchange, with extended_master_secret.
    SessionHash(&'a [u8]),
}

/// The master secret of a handshake.
///
/// # Errors
/// Suite or version are not supported.
pub(in crate::tls) fn master_secret(
    suite: CipherSuite,
    version: ProtocolVersion,
    premaster_secret: &[u8],
    seed: &Seed<'_>,
) -> Result<Secret, NotDecrypted> {
    let prf: Prf = Suite::of(suite, version)?.prf;
    let mut secret = [0; MASTER_SECRET];
    let derived = match seed {
        Seed::Randoms(client, server) => {
            prf.derive(premaster_secret, b"master secret", &[&client[..], &server[..]], &mut secret)
        }
        Seed::SessionHash(hash) => {
            prf.derive(premaster_secret, b"extended master secret", &[hash], &mut secret)
        }
    };
    derived.and_then(|()| Secret::new(&secret)).ok_or(NotDecrypted::CipherSuite(suite))
}
