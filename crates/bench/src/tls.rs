//! Real TLS 1.3 from rustls, client and server in memory, determined by the seed.
//!
//! rustls makes handshakes and records. Only its sources of randomness and time are replaced: random values, private
//! keys of the key exchange, keys of the certificates, and the clock. So the same seed gives the same bytes. The keys
//! protect nothing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::signature::Ed25519KeyPair;
use craft::conversation::Side;
use data_encoding::HEXLOWER;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ED25519, SerialNumber};
use rustls::client::Resumption;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup,
    aws_lc_rs as provider,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ClientConnection, Connection, Error, KeyLog, NamedGroup, RootCertStore, ServerConfig,
    ServerConnection,
};
use time::OffsetDateTime;

use crate::capture_spec::RECORD;
use crate::capture_writer::BEGIN;
use crate::rng::Rng;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Bytes of a record besides its plaintext: header, then content type and tag (RFC 9846 §5.2).
const RECORD_HEADER: usize = 5;
const RECORD_TRAILER: usize = 1 + 16;

/// Outer content type of encrypted records (RFC 9846 §5.2).
const APPLICATION_DATA: u8 = 23;

/// The configuration of both ends of all connections of a capture.
#[derive(Debug)]
pub(crate) struct Peers {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    keys: Arc<Keys>,
}

/// Both ends of one connection.
pub(crate) struct Session {
    client: Connection,
    server: Connection,
}

/// Number of TLS records.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Records {
    pub(crate) total: u64,
    /// Records of the outer type `application_data`.
    pub(crate) encrypted: u64,
}

impl Peers {
    pub(crate) fn new(seed: u64) -> Result<Self> {
        let mut rng = Rng::new(seed, "certificates");
        let (authority, chain, key) = certificates(&mut rng)?;
        let keys = Arc::new(Keys::default());
        // rustls needs `'static` sources. Each capture leaks a few bytes for them.
        let random: &'static SeededRandom =
            Box::leak(Box::new(SeededRandom(Mutex::new(Rng::new(seed, "tls")))));
        let group: &'static Group = Box::leak(Box::new(Group(random)));
        let crypto = Arc::new(CryptoProvider {
            kx_groups: vec![group],
            secure_random: random,
            ..provider::default_provider()
        });
        let mut roots = RootCertStore::empty();
        roots.add(authority).context("cannot trust the authority")?;
        let mut client = ClientConfig::builder_with_details(Arc::clone(&crypto), Arc::new(FixedClock))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        client.key_log = Arc::<Keys>::clone(&keys);
        // Every handshake is a full one with certificates, as between agents without earlier connections.
        client.resumption = Resumption::disabled();
        let mut server = ServerConfig::builder_with_details(crypto, Arc::new(FixedClock))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { client: Arc::new(client), server: Arc::new(server), keys })
    }

    /// A new connection, before its handshake.
    pub(crate) fn session(&self) -> Result<Session> {
        let name = ServerName::try_from("agent-b").context("agent-b is a name")?;
        let mut client = ClientConnection::new(Arc::clone(&self.client), name)?;
        let mut server = ServerConnection::new(Arc::clone(&self.server))?;
        client.set_buffer_limit(None);
        server.set_buffer_limit(None);
        Ok(Session { client: client.into(), server: server.into() })
    }

    /// The key log of all sessions, in NSS format.
    pub(crate) fn key_log(&self) -> String {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Session {
    /// Does the handshake, and returns its flights, including the server's session tickets.
    pub(crate) fn handshake(&mut self) -> Result<Vec<(Side, Vec<u8>)>> {
        let mut flights = Vec::new();
        loop {
            let mut is_quiet = true;
            for side in [Side::Client, Side::Server] {
                let flight = self.take(side)?;
                if flight.is_empty() {
                    continue;
                }
                let other = self.end(side.other());
                let mut rest = &flight[..];
                while !rest.is_empty() {
                    other.read_tls(&mut rest)?;
                    other.process_new_packets()?;
                }
                flights.push((side, flight));
                is_quiet = false;
            }
            if is_quiet {
                break;
            }
        }
        if self.client.is_handshaking() || self.server.is_handshaking() {
            bail!("a TLS handshake in memory makes no progress");
        }
        Ok(flights)
    }

    /// Encrypts `plaintext` from `side`, and returns the records that carry it.
    pub(crate) fn seal(&mut self, side: Side, plaintext: &[u8]) -> Result<Vec<u8>> {
        use std::io::Write;
        self.end(side).writer().write_all(plaintext)?;
        self.take(side)
    }

    /// The record with the close_notify alert of `side` (RFC 9846 §6.1).
    pub(crate) fn close(&mut self, side: Side) -> Result<Vec<u8>> {
        self.end(side).send_close_notify();
        self.take(side)
    }

    fn take(&mut self, side: Side) -> Result<Vec<u8>> {
        let end = self.end(side);
        let mut out = Vec::new();
        while end.wants_write() {
            end.write_tls(&mut out)?;
        }
        Ok(out)
    }

    fn end(&mut self, side: Side) -> &mut Connection {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

impl Records {
    /// Adds the records in `bytes`, which must be complete.
    pub(crate) fn count(&mut self, bytes: &[u8]) {
        for (_, outer_type) in records(bytes) {
            self.total += 1;
            self.encrypted += u64::from(outer_type == APPLICATION_DATA);
        }
    }
}

/// The range of `sealed` whose records carry this range of the plaintext.
pub(crate) fn carriers(sealed: &[u8], plaintext: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let (mut start, mut end, mut plaintext_offset) = (None, 0, 0);
    for (record, _) in records(sealed) {
        let len = record.len() - RECORD_HEADER - RECORD_TRAILER;
        debug_assert!(len <= RECORD);
        if plaintext_offset < plaintext.end && plaintext.start < plaintext_offset + len {
            start.get_or_insert(record.start);
            end = record.end;
        }
        plaintext_offset += len;
    }
    start.unwrap_or(0)..end
}

/// The range of each record, and its outer type.
fn records(bytes: &[u8]) -> impl Iterator<Item = (std::ops::Range<usize>, u8)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = bytes.get(at..at + RECORD_HEADER)?;
        let end = at + RECORD_HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]));
        let record = at..end;
        at = end;
        Some((record, header[0]))
    })
}

/// A certificate authority, and a leaf certificate for `agent-b` with its key.
fn certificates(
    rng: &mut Rng,
) -> Result<(CertificateDer<'static>, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let (authority_key, _) = signing_key(rng)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "plainsight bench CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    dated(&mut params, 1)?;
    let authority = params.self_signed(&authority_key)?;
    let issuer = Issuer::new(params, authority_key);
    let (leaf_key, key) = signing_key(rng)?;
    let mut params = CertificateParams::new(vec!["agent-b".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "agent-b");
    dated(&mut params, 2)?;
    let leaf = params.signed_by(&leaf_key, &issuer)?;
    Ok((authority.der().clone(), vec![leaf.der().clone()], key.into()))
}

fn dated(params: &mut CertificateParams, serial: u64) -> Result<()> {
    let now = OffsetDateTime::from_unix_timestamp((BEGIN / NANOS_PER_SECOND) as i64)?;
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = now - time::Duration::days(1);
    params.not_after = now + time::Duration::days(365);
    Ok(())
}

/// An Ed25519 key, because Ed25519 signatures are deterministic (RFC 8032).
fn signing_key(rng: &mut Rng) -> Result<(KeyPair, PrivatePkcs8KeyDer<'static>)> {
    let mut seed = [0; 32];
    rng.fill(&mut seed);
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).context("cannot make an Ed25519 key")?;
    let der = key.to_pkcs8v1().context("cannot encode an Ed25519 key")?;
    let der = PrivatePkcs8KeyDer::from(der.as_ref().to_vec());
    Ok((KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)?, der))
}

/// Collects the key log in memory.
#[derive(Default)]
struct Keys(Mutex<String>);

impl KeyLog for Keys {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(label);
        for part in [client_random, secret] {
            text.push(' ');
            HEXLOWER.encode_append(part, &mut text);
        }
        text.push('\n');
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// A source of "secure" random values for rustls that depends on the seed only.
#[derive(Debug)]
struct SeededRandom(Mutex<Rng>);

impl SeededRandom {
    fn draw(&self, buffer: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(buffer);
    }
}

impl SecureRandom for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        self.draw(buffer);
        Ok(())
    }
}

/// X25519 (RFC 7748) with private keys from [`SeededRandom`].
#[derive(Debug)]
struct Group(&'static SeededRandom);

struct Exchange {
    key: PrivateKey,
    public: Vec<u8>,
}

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut bytes = [0; 32];
        self.0.draw(&mut bytes);
        let failed = || Error::General("cannot make an X25519 key".to_owned());
        let key = PrivateKey::from_private_key(&X25519, &bytes).map_err(|_| failed())?;
        let public = key.compute_public_key().map_err(|_| failed())?.as_ref().to_vec();
        Ok(Box::new(Exchange { key, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer_public: &[u8]) -> Result<SharedSecret, Error> {
        let peer = UnparsedPublicKey::new(&X25519, peer_public);
        let failed = Error::General("the X25519 key exchange failed".to_owned());
        agreement::agree(&self.key, peer, failed, |secret| Ok(SharedSecret::from(secret)))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// A clock that always shows the time of the first frame.
#[derive(Debug)]
struct FixedClock;

impl TimeProvider for FixedClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_nanos(BEGIN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(seed: u64) -> (Vec<u8>, String) {
        let peers = Peers::new(seed).unwrap();
        let mut session = peers.session().unwrap();
        let mut all: Vec<u8> =
            session.handshake().unwrap().into_iter().flat_map(|(_, bytes)| bytes).collect();
        all.extend(session.seal(Side::Client, b"question").unwrap());
        all.extend(session.close(Side::Server).unwrap());
        (all, peers.key_log())
    }

    #[test]
    fn same_seed_gives_the_same_bytes() {
        assert_eq!(conversation(1), conversation(1));
        assert_ne!(conversation(1).0, conversation(2).0);
    }

    #[test]
    fn carriers_are_whole_records() {
        let peers = Peers::new(1).unwrap();
        let mut session = peers.session().unwrap();
        session.handshake().unwrap();
        let sealed = session.seal(Side::Server, &vec![b'x'; RECORD + 10]).unwrap();
        let first = RECORD_HEADER + RECORD + RECORD_TRAILER;
        assert_eq!(carriers(&sealed, &(0..1)), 0..first);
        assert_eq!(carriers(&sealed, &(RECORD - 1..RECORD)), 0..first);
        assert_eq!(carriers(&sealed, &(RECORD - 1..RECORD + 1)), 0..sealed.len());
        assert_eq!(carriers(&sealed, &(RECORD..RECORD + 1)), first..sealed.len());
    }
}
