//! From a master secret to the keys of one direction, and the decryption of one record (RFC 5246 §6.2.3, §6.3).

use std::sync::Arc;

use aes::{Aes128, Aes256};
use camellia::{Camellia128, Camellia256};
use cbc::cipher::array::Array;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, BlockSizeUser, InnerIvInit, KeyInit, consts::U16};

use super::prf::MacKey;
use super::suite::{BlockCipher, Protection, Suite};
use crate::keylog::Secret;
use crate::tls::aead::{Aead, AeadKey};
use crate::tls::cipher_suite::CipherSuite;
use crate::tls::code::ProtocolVersion;
use crate::tls::counters::NotDecrypted;
use crate::tls::record::Header;

/// Length of a block of every block cipher here.
const BLOCK: usize = 16;

/// Longest key block: two MAC keys of SHA-384, two keys of 32 bytes, two IVs of a block.
const MAX_KEY_BLOCK: usize = 2 * (48 + 32 + BLOCK);

/// Bytes of a nonce that each record of GCM and CCM has in the clear (RFC 5288 §3, RFC 6655 §3).
const EXPLICIT_NONCE: usize = 8;

/// What the hellos of one handshake agree on.
#[derive(Clone, Debug)]
pub(in crate::tls) struct Parameters {
    pub(in crate::tls) client_random: [u8; 32],
    pub(in crate::tls) server_random: [u8; 32],
    pub(in crate::tls) version: ProtocolVersion,
    pub(in crate::tls) cipher_suite: CipherSuite,
    /// Whether the MAC is over the ciphertext (RFC 7366).
    pub(in crate::tls) encrypt_then_mac: bool,
}

/// The keys of one direction.
enum Keys {
    Mac { mac: MacKey },
    Cbc { cipher: CbcKey, mac: MacKey, has_explicit_iv: bool, encrypt_then_mac: bool },
    Aead { key: AeadKey, iv: [u8; 12], has_explicit_nonce: bool },
}

/// The block cipher of one direction, with its key.
enum CbcKey {
    Aes128(Box<Aes128>),
    Aes256(Box<Aes256>),
    Camellia128(Box<Camellia128>),
    Camellia256(Box<Camellia256>),
}

impl CbcKey {
    fn new(cipher: BlockCipher, key: &[u8]) -> Option<Self> {
        Some(match cipher {
            BlockCipher::Aes128 => Self::Aes128(Box::new(KeyInit::new_from_slice(key).ok()?)),
            BlockCipher::Aes256 => Self::Aes256(Box::new(KeyInit::new_from_slice(key).ok()?)),
            BlockCipher::Camellia128 => Self::Camellia128(Box::new(KeyInit::new_from_slice(key).ok()?)),
            BlockCipher::Camellia256 => Self::Camellia256(Box::new(KeyInit::new_from_slice(key).ok()?)),
        })
    }

    /// Decrypts whole blocks where they are.
    fn decrypt(&self, iv: [u8; BLOCK], blocks: &mut [u8]) -> Option<()> {
        match self {
            Self::Aes128(cipher) => decrypt_cbc(&**cipher, iv, blocks),
            Self::Aes256(cipher) => decrypt_cbc(&**cipher, iv, blocks),
            Self::Camellia128(cipher) => decrypt_cbc(&**cipher, iv, blocks),
            Self::Camellia256(cipher) => decrypt_cbc(&**cipher, iv, blocks),
        }
    }
}

fn decrypt_cbc<C>(cipher: &C, iv: [u8; BLOCK], blocks: &mut [u8]) -> Option<()>
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = U16> + Clone,
{
    let (blocks, []) = Array::slice_as_chunks_mut(blocks) else { return None };
    cbc::Decryptor::inner_iv_init(cipher.clone(), &iv.into()).decrypt_blocks(blocks);
    Some(())
}

/// A record that authenticated.
#[derive(Clone, Copy, Debug)]
pub(in crate::tls) struct Opened {
    /// Length of the plaintext, which is at the beginning of the buffer.
    pub(in crate::tls) length: usize,
    /// Length of the padding in bytes, with the byte that says it.
    pub(in crate::tls) padding: usize,
    /// Offset in the fragment of the byte that carries the first one of the plaintext.
    pub(in crate::tls) from: usize,
}

impl Keys {
    /// Derives the keys, and the IV of the first record of TLS 1.0.
    fn derive(
        parameters: &Parameters,
        secret: &Secret,
        is_client: bool,
    ) -> Result<(Self, [u8; BLOCK]), NotDecrypted> {
        let unsupported = NotDecrypted::CipherSuite(parameters.cipher_suite);
        let suite = Suite::of(parameters.cipher_suite, parameters.version)?;
        let lengths = match suite.protection {
            Protection::Mac(mac) => [mac.output_len(), 0, 0],
            Protection::Cbc(cipher, mac) => {
                // Later versions send the IV with each record (RFC 4346 §6.2.3.2).
                let iv = if parameters.version == ProtocolVersion::TLS_1_0 { BLOCK } else { 0 };
                [mac.output_len(), cipher.key_len(), iv]
            }
            Protection::Aead(aead) => [0, aead.key_len(), if has_explicit_nonce(aead) { 4 } else { 12 }],
        };
        let mut block = [0; MAX_KEY_BLOCK];
        let block = block.get_mut(..2 * lengths.iter().sum::<usize>()).ok_or(unsupported)?;
        let seed: [&[u8]; 2] = [&parameters.server_random, &parameters.client_random];
        suite.prf.derive(secret.as_bytes(), b"key expansion", &seed, block).ok_or(unsupported)?;
        let [mac, key, iv] = Self::split(block, lengths, is_client).ok_or(unsupported)?;
        Self::of(suite.protection, parameters, mac, key, iv).ok_or(unsupported)
    }

    /// The part of one direction: for each of MAC key, key and IV, the key block has the client's and then the server's
    /// (RFC 5246 §6.3).
    fn split(mut rest: &[u8], lengths: [usize; 3], is_client: bool) -> Option<[&[u8]; 3]> {
        let mut parts: [&[u8]; 3] = [&[]; 3];
        for (part, length) in parts.iter_mut().zip(lengths) {
            let (client, after) = rest.split_at_checked(length)?;
            let (server, after) = after.split_at_checked(length)?;
            *part = if is_client { client } else { server };
            rest = after;
        }
        Some(parts)
    }

    fn of(
        protection: Protection,
        parameters: &Parameters,
        mac: &[u8],
        key: &[u8],
        iv: &[u8],
    ) -> Option<(Self, [u8; BLOCK])> {
        let mut first_iv = [0; BLOCK];
        first_iv.iter_mut().zip(iv).for_each(|(to, from)| *to = *from);
        let keys = match protection {
            Protection::Mac(hash) => Self::Mac { mac: MacKey::new(hash, mac)? },
            Protection::Cbc(cipher, hash) => Self::Cbc {
                cipher: CbcKey::new(cipher, key)?,
                mac: MacKey::new(hash, mac)?,
                has_explicit_iv: parameters.version != ProtocolVersion::TLS_1_0,
                encrypt_then_mac: parameters.encrypt_then_mac,
            },
            Protection::Aead(aead) => Self::Aead {
                key: AeadKey::new(aead, key)?,
                iv: *first_iv.first_chunk()?,
                has_explicit_nonce: has_explicit_nonce(aead),
            },
        };
        Some((keys, first_iv))
    }

    /// Decrypts a fragment into `out`. `iv` is the last block of the record before. If the record does not authenticate, the
    /// content of `out` is undefined.
    fn open(
        &self,
        iv: [u8; BLOCK],
        sequence: u64,
        header: Header,
        fragment: &[u8],
        out: &mut [u8],
    ) -> Option<Opened> {
        // The MAC is over the sequence number and a header with the length of what it protects (RFC 5246 §6.2.3.1).
        let pseudo_header = |length: usize| -> Option<[u8; 13]> {
            let mut bytes = [0; 13];
            let header = Header { length: u16::try_from(length).ok()?, ..header }.to_bytes();
            bytes
                .iter_mut()
                .zip(sequence.to_be_bytes().into_iter().chain(header))
                .for_each(|(to, from)| *to = from);
            Some(bytes)
        };
        match self {
            Self::Mac { mac } => {
                let content = verify(mac, &pseudo_header, fragment)?;
                out.get_mut(..content)?.copy_from_slice(fragment.get(..content)?);
                Some(Opened { length: content, padding: 0, from: 0 })
            }
            Self::Aead { key, iv: base, has_explicit_nonce } => {
                let mut nonce = *base;
                let mut sealed = fragment;
                let mut from = 0;
                if *has_explicit_nonce {
                    let explicit;
                    (explicit, sealed) = fragment.split_first_chunk::<EXPLICIT_NONCE>()?;
                    nonce.iter_mut().skip(4).zip(explicit).for_each(|(to, from)| *to = *from);
                    from = EXPLICIT_NONCE;
                } else {
                    // RFC 7905 §2.
                    let padded = nonce.iter_mut().skip(4).zip(sequence.to_be_bytes());
                    padded.for_each(|(to, from)| *to ^= from);
                }
                let length = sealed.len().checked_sub(key.tag_len())?;
                let length = key.open(nonce, &pseudo_header(length)?, sealed, out)?;
                Some(Opened { length, padding: 0, from })
            }
            Self::Cbc { cipher, mac, has_explicit_iv, encrypt_then_mac } => {
                let mut sealed = fragment;
                if *encrypt_then_mac {
                    sealed = fragment.get(..verify(mac, &pseudo_header, fragment)?)?;
                }
                let (iv, blocks, from) = match *has_explicit_iv {
                    true => sealed.split_first_chunk().map(|(iv, blocks)| (*iv, blocks, BLOCK))?,
                    false => (iv, sealed, 0),
                };
                let out = out.get_mut(..blocks.len())?;
                out.copy_from_slice(blocks);
                cipher.decrypt(iv, out)?;
                // Every byte of the padding has its length, itself not counted (RFC 5246 §6.2.3.2).
                let padding = usize::from(*out.last()?) + 1;
                let content = out.get(..out.len().checked_sub(padding)?)?;
                let is_padding =
                    out.get(content.len()..)?.iter().all(|byte| usize::from(*byte) + 1 == padding);
                let length = match (is_padding, *encrypt_then_mac) {
                    (false, _) => return None,
                    (true, true) => content.len(),
                    (true, false) => verify(mac, &pseudo_header, content)?,
                };
                Some(Opened { length, padding, from })
            }
        }
    }

    /// The IV of the record behind this one in TLS 1.0: its last block (RFC 2246 §6.2.3.2).
    fn next_iv(&self, fragment: &[u8]) -> Option<[u8; BLOCK]> {
        let Self::Cbc { mac, has_explicit_iv: false, encrypt_then_mac, .. } = self else { return None };
        let tag = if *encrypt_then_mac { mac.output_len() } else { 0 };
        fragment.get(..fragment.len().checked_sub(tag)?)?.last_chunk().copied()
    }
}

/// Whether each record has a part of its nonce in the clear: the other part of ChaCha20-Poly1305 is the sequence number.
fn has_explicit_nonce(aead: Aead) -> bool {
    aead != Aead::ChaCha20Poly1305
}

/// Checks the MAC at the end of `bytes`, over what precedes it in `bytes`. Returns the length of that.
fn verify(mac: &MacKey, pseudo_header: &dyn Fn(usize) -> Option<[u8; 13]>, bytes: &[u8]) -> Option<usize> {
    let (content, tag) = bytes.split_at_checked(bytes.len().checked_sub(mac.output_len())?)?;
    let expected = mac.sign(&[&pseudo_header(content.len())?, content]);
    (expected.as_bytes() == tag).then_some(content.len())
}

/// Decrypts the records of one direction under the keys of one handshake.
pub(in crate::tls) struct Decrypter {
    parameters: Arc<Parameters>,
    secret: Secret,
    is_client: bool,
    keys: Keys,
    /// The IV of the next record in TLS 1.0.
    iv: [u8; BLOCK],
    sequence: u64,
    records_tried: u64,
    failures_in_a_row: u32,
}

/// The keys that a record was tried with, except for the secret.
#[derive(Clone, Debug)]
pub(in crate::tls) struct Tried {
    parameters: Arc<Parameters>,
    is_client: bool,
    iv: [u8; BLOCK],
    sequence: u64,
    /// How many records were tried with these keys before.
    pub(in crate::tls) records_before: u64,
}

impl Tried {
    pub(in crate::tls) fn cipher_suite(&self) -> CipherSuite {
        self.parameters.cipher_suite
    }

    pub(in crate::tls) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether the record authenticates under another master secret.
    pub(in crate::tls) fn authenticates_under(
        &self,
        secret: &Secret,
        header: Header,
        fragment: &[u8],
    ) -> Option<bool> {
        let (keys, _) = Keys::derive(&self.parameters, secret, self.is_client).ok()?;
        let mut out = vec![0; fragment.len()];
        Some(keys.open(self.iv, self.sequence, header, fragment, &mut out).is_some())
    }
}

impl Decrypter {
    /// Derives the keys of one direction from a master secret.
    ///
    /// # Errors
    /// Says why records of this cipher suite are not decrypted.
    pub(in crate::tls) fn new(
        parameters: Parameters,
        secret: &Secret,
        is_client: bool,
    ) -> Result<Self, NotDecrypted> {
        let (keys, iv) = Keys::derive(&parameters, secret, is_client)?;
        Ok(Self {
            parameters: Arc::new(parameters),
            secret: secret.clone(),
            is_client,
            keys,
            iv,
            sequence: 0,
            records_tried: 0,
            failures_in_a_row: 0,
        })
    }

    /// The master secret.
    pub(in crate::tls) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Whether the suite encrypts nothing, so that no secret is needed for reading.
    pub(in crate::tls) fn is_readable(&self) -> bool {
        matches!(self.keys, Keys::Mac { .. })
    }

    /// Decrypts the next record into `out`, and advances to the one behind it.
    pub(in crate::tls) fn open(
        &mut self,
        header: Header,
        fragment: &[u8],
        out: &mut [u8],
    ) -> (Option<Opened>, Tried) {
        let tried = Tried {
            parameters: Arc::clone(&self.parameters),
            is_client: self.is_client,
            iv: self.iv,
            sequence: self.sequence,
            records_before: self.records_tried,
        };
        let opened = self.keys.open(self.iv, self.sequence, header, fragment, out);
        self.records_tried += 1;
        self.failures_in_a_row = if opened.is_some() { 0 } else { self.failures_in_a_row + 1 };
        self.iv = self.keys.next_iv(fragment).unwrap_or(self.iv);
        self.skip();
        (opened, tried)
    }

    /// Advances behind a record that was not captured.
    pub(in crate::tls) fn skip(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Number of records in a row that did not authenticate.
    pub(in crate::tls) fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }
}

/// Omits the keys.
impl std::fmt::Debug for Decrypter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decrypter").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}
