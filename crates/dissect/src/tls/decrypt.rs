//! From a traffic secret to record keys, and the decryption of one record (RFC 9846 §5.2, §5.3, §7.2, §7.3).

use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::hkdf::{self, KeyType, Prk};
use aws_lc_rs::{digest, hmac};

use super::aead::{Aead, AeadKey};
use super::cipher_suite::CipherSuite;
use super::code::{ContentType, ProtocolVersion};
use super::legacy;
use super::record::Header;
use crate::keylog::Secret;

/// Number of consecutive records that may fail to authenticate before decryption stops. One damaged record leaves the
/// sequence numbers intact, so the records behind it can be decrypted. With wrong keys all records fail, and trying a
/// gigabyte of them wastes time.
pub const MAX_FAILURES: u32 = 16;

/// Longest output of the supported hashes: SHA-384.
const MAX_HASH: usize = 48;

/// The algorithms of a cipher suite that can be decrypted.
#[derive(Clone, Copy)]
pub(super) struct Suite {
    id: CipherSuite,
    aead: Aead,
    hash: hkdf::Algorithm,
    form: Form,
}

/// What drafts of TLS 1.3 do in another way.
#[derive(Clone, Copy)]
struct Form {
    /// In front of every label: another one up to draft 19.
    prefix: &'static [u8],
    /// The label of the next generation of keys.
    next: &'static [u8],
    /// Whether the header of a record is authenticated: since draft 25.
    authenticates_header: bool,
}

impl Form {
    const FINAL: Self = Self { prefix: b"tls13 ", next: b"traffic upd", authenticates_header: true };

    /// `None` for a draft that is not supported: before the 18th, keys are derived otherwise.
    fn of(version: ProtocolVersion) -> Option<Self> {
        Some(match version.draft() {
            None | Some(25..) => Self::FINAL,
            Some(20..25) => Self { authenticates_header: false, ..Self::FINAL },
            Some(18..20) => Self {
                prefix: b"TLS 1.3, ",
                next: b"application traffic secret",
                authenticates_header: false,
            },
            Some(..18) => return None,
        })
    }
}

impl Suite {
    pub(super) fn of(id: CipherSuite) -> Option<Self> {
        let (aead, hash) = match id {
            CipherSuite::TLS_AES_128_GCM_SHA256 => (Aead::Aes128Gcm, hkdf::HKDF_SHA256),
            CipherSuite::TLS_AES_256_GCM_SHA384 => (Aead::Aes256Gcm, hkdf::HKDF_SHA384),
            CipherSuite::TLS_CHACHA20_POLY1305_SHA256 => (Aead::ChaCha20Poly1305, hkdf::HKDF_SHA256),
            CipherSuite::TLS_AES_128_CCM_SHA256 => (Aead::Aes128Ccm, hkdf::HKDF_SHA256),
            CipherSuite::TLS_AES_128_CCM_8_SHA256 => (Aead::Aes128Ccm8, hkdf::HKDF_SHA256),
            _ => return None,
        };
        Some(Self { id, aead, hash, form: Form::FINAL })
    }

    /// The same suite in TLS 1.3 or a draft of it. `None` for a draft that is not supported.
    pub(super) fn in_version(self, version: ProtocolVersion) -> Option<Self> {
        Some(Self { form: Form::of(version)?, ..self })
    }

    /// The hash of the handshake.
    pub(super) fn digest(self) -> &'static digest::Algorithm {
        if self.hash == hkdf::HKDF_SHA384 { &digest::SHA384 } else { &digest::SHA256 }
    }

    /// HMAC with the hash of the handshake.
    pub(super) fn hmac(self) -> hmac::Algorithm {
        if self.hash == hkdf::HKDF_SHA384 { hmac::HMAC_SHA384 } else { hmac::HMAC_SHA256 }
    }
}

impl std::fmt::Debug for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id.fmt(f)
    }
}

impl PartialEq for Suite {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// Length of an output of HKDF-Expand.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-Expand-Label(secret, label, "", out.len())` (RFC 9846 §7.1).
pub(super) fn expand_label(suite: Suite, secret: &Secret, label: &[u8], out: &mut [u8]) -> Option<()> {
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(suite.form.prefix.len() + label.len()).ok()?];
    // `new_less_safe` panics above 1024 bytes; a `Secret` has at most 48.
    let prk = Prk::new_less_safe(suite.hash, secret.as_bytes());
    let info: [&[u8]; 5] = [&length, &label_length, suite.form.prefix, label, &[0]];
    prk.expand(&info, Length(out.len())).and_then(|okm| okm.fill(out)).ok()
}

/// A record key and its base nonce (RFC 9846 §7.3).
struct RecordKey {
    key: AeadKey,
    iv: [u8; NONCE_LEN],
    authenticates_header: bool,
}

impl RecordKey {
    /// `None` if the length of the secret is not that of the suite's hash.
    fn derive(suite: Suite, secret: &Secret) -> Option<Self> {
        if suite.hash.len() != secret.as_bytes().len() {
            return None;
        }
        let mut key = [0; 32];
        let key = key.get_mut(..suite.aead.key_len())?;
        expand_label(suite, secret, b"key", key)?;
        let mut iv = [0; NONCE_LEN];
        expand_label(suite, secret, b"iv", &mut iv)?;
        let authenticates_header = suite.form.authenticates_header;
        Some(Self { key: AeadKey::new(suite.aead, key)?, iv, authenticates_header })
    }

    /// Decrypts a fragment into `out` and returns the length of the inner plaintext. If the record does not
    /// authenticate, the content of `out` is undefined.
    fn decrypt(&self, sequence: u64, header: Header, fragment: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut nonce = self.iv;
        for (byte, of_sequence) in nonce.iter_mut().rev().zip(sequence.to_be_bytes().into_iter().rev()) {
            *byte ^= of_sequence;
        }
        let header = header.to_bytes();
        let additional = if self.authenticates_header { &header[..] } else { &[] };
        self.key.open(nonce, additional, fragment, out)
    }
}

/// Decrypts the records of one direction under one generation of keys.
pub(super) struct RecordDecrypter {
    suite: Suite,
    secret: Secret,
    key: RecordKey,
    sequence: u64,
    records_tried: u64,
    failures_in_a_row: u32,
}

/// The outcome of decrypting one record.
pub(super) struct DecryptOutcome {
    /// Length of the inner plaintext in the buffer, if the record authenticated.
    pub(super) inner: Option<usize>,
    pub(super) tried: TriedKey,
}

/// The key that a record was tried with.
pub(super) struct TriedKey {
    cipher_suite: CipherSuite,
    secret: Secret,
    pub(super) sequence: u64,
    records_before: u64,
    /// The suite in the version of the connection; `None` before TLS 1.3.
    suite: Option<Suite>,
    /// The other parameters of keys before TLS 1.3.
    legacy: Option<Box<legacy::Tried>>,
}

impl TriedKey {
    /// A key before TLS 1.3.
    pub(super) fn legacy(secret: Secret, tried: legacy::Tried) -> Self {
        Self {
            cipher_suite: tried.cipher_suite(),
            secret,
            sequence: tried.sequence(),
            records_before: tried.records_before,
            suite: None,
            legacy: Some(Box::new(tried)),
        }
    }
}

impl RecordDecrypter {
    /// Derives the keys from a traffic secret; `None` if its length is not that of the suite's hash.
    pub(super) fn new(suite: Suite, secret: &Secret) -> Option<Self> {
        let key = RecordKey::derive(suite, secret)?;
        Some(Self { suite, secret: secret.clone(), key, sequence: 0, records_tried: 0, failures_in_a_row: 0 })
    }

    /// Tries to decrypt one record with the current sequence number, without advancing it: the caller decides whether
    /// the record counts (see [`RecordDecrypter::advance`]).
    pub(super) fn decrypt(&mut self, header: Header, fragment: &[u8], out: &mut [u8]) -> DecryptOutcome {
        let tried = TriedKey {
            cipher_suite: self.suite.id,
            secret: self.secret.clone(),
            sequence: self.sequence,
            records_before: self.records_tried,
            suite: Some(self.suite),
            legacy: None,
        };
        self.records_tried += 1;
        DecryptOutcome { inner: self.key.decrypt(self.sequence, header, fragment, out), tried }
    }

    /// Advances to the next sequence number.
    pub(super) fn advance(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Advances after a record that authenticated.
    pub(super) fn succeeded(&mut self) {
        self.advance();
        self.failures_in_a_row = 0;
    }

    /// Advances after a record that did not authenticate.
    pub(super) fn failed(&mut self) {
        self.advance();
        self.failures_in_a_row += 1;
    }

    /// Whether [`MAX_FAILURES`] records in a row did not authenticate.
    pub(super) fn is_given_up(&self) -> bool {
        self.failures_in_a_row >= MAX_FAILURES
    }

    /// Derives the next generation of keys (RFC 9846 §7.2). Should that fail, no further record is tried.
    pub(super) fn update(&mut self) {
        match self.next_generation() {
            Some(next) => *self = next,
            None => self.failures_in_a_row = MAX_FAILURES,
        }
    }

    fn next_generation(&self) -> Option<Self> {
        let mut next = [0; MAX_HASH];
        let next = next.get_mut(..self.suite.hash.len())?;
        expand_label(self.suite, &self.secret, self.suite.form.next, next)?;
        Self::new(self.suite, &Secret::new(next)?)
    }
}

/// One attempt to decrypt a record, successful or not: the keys that were tried.
#[derive(Debug)]
#[non_exhaustive]
pub struct DecryptAttempt<'a> {
    /// Cipher suite of the keys.
    pub cipher_suite: CipherSuite,
    /// Traffic secret of the keys, in their generation; before TLS 1.3 the master secret.
    pub secret: Secret,
    /// Sequence number of the record under these keys.
    pub sequence: u64,
    /// How many records were tried with these keys before.
    pub records_before: u64,
    suite: Option<Suite>,
    legacy: Option<Box<legacy::Tried>>,
    header: Header,
    fragment: &'a [u8],
}

impl<'a> DecryptAttempt<'a> {
    pub(super) fn new(tried: TriedKey, header: Header, fragment: &'a [u8]) -> Self {
        Self {
            cipher_suite: tried.cipher_suite,
            secret: tried.secret,
            sequence: tried.sequence,
            records_before: tried.records_before,
            suite: tried.suite,
            legacy: tried.legacy,
            header,
            fragment,
        }
    }

    /// Whether the record authenticates with the keys of another secret, and everything else the same. `None`
    /// if that secret has the wrong length for the cipher suite. Costs as much as a real decryption.
    #[must_use]
    pub fn authenticates_under(&self, secret: &Secret) -> Option<bool> {
        if let Some(legacy) = &self.legacy {
            return legacy.authenticates_under(secret, self.header, self.fragment);
        }
        let key = RecordKey::derive(self.suite?, secret)?;
        let mut out = vec![0; self.fragment.len()];
        Some(key.decrypt(self.sequence, self.header, self.fragment, &mut out).is_some())
    }
}

/// The inner plaintext without its padding: content type, length of the content, length of the padding
/// (RFC 9846 §5.4). If all bytes are zero, the content type is missing and 0 is returned for it.
pub(super) fn strip_padding(inner: &[u8]) -> (ContentType, usize, usize) {
    match inner.iter().rposition(|byte| *byte != 0) {
        Some(at) => (ContentType(inner.get(at).copied().unwrap_or_default()), at, inner.len() - at - 1),
        None => (ContentType(0), 0, inner.len()),
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    #[test]
    fn derives_the_keys_of_rfc_8448() {
        // RFC 8448 §3, "derive write traffic keys for handshake data", server.
        let suite = Suite::of(CipherSuite::TLS_AES_128_GCM_SHA256).unwrap();
        let secret =
            Secret::new(&bytes("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")).unwrap();
        let (mut key, mut iv) = ([0; 16], [0; 12]);
        expand_label(suite, &secret, b"key", &mut key).unwrap();
        expand_label(suite, &secret, b"iv", &mut iv).unwrap();
        assert_eq!(key[..], bytes("3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(iv[..], bytes("5d313eb2671276ee13000b30"));
    }

    /// A record of `content` under these rules, of the first sequence number.
    fn sealed(secret: &Secret, prefix: &str, with_header: bool, content: &[u8]) -> (Header, Vec<u8>) {
        use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
        let expand = |label: &str, out: &mut [u8]| {
            let label = format!("{prefix}{label}");
            let info = [&[0, out.len() as u8, label.len() as u8][..], label.as_bytes(), &[0]];
            let prk = Prk::new_less_safe(hkdf::HKDF_SHA256, secret.as_bytes());
            prk.expand(&info, Length(out.len())).unwrap().fill(out).unwrap();
        };
        let (mut key, mut iv) = ([0; 16], [0; 12]);
        expand("key", &mut key);
        expand("iv", &mut iv);
        let length = (content.len() + 16) as u16;
        let header =
            Header { content_type: ContentType::APPLICATION_DATA, version: ProtocolVersion::TLS_1_2, length };
        let mut record = content.to_vec();
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        let header_bytes = header.to_bytes();
        let aad: &[u8] = if with_header { &header_bytes } else { &[] };
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), Aad::from(aad), &mut record).unwrap();
        (header, record)
    }

    #[test]
    fn opens_drafts_as_they_protect_records() {
        let suite = Suite::of(CipherSuite::TLS_AES_128_GCM_SHA256).unwrap();
        let secret = Secret::new(&[7; 32]).unwrap();
        for (version, prefix, with_header) in [
            (ProtocolVersion::TLS_1_3, "tls13 ", true),
            (ProtocolVersion::DRAFT_28, "tls13 ", true),
            (ProtocolVersion::FACEBOOK_26, "tls13 ", true),
            (ProtocolVersion::DRAFT_25, "tls13 ", true),
            (ProtocolVersion::DRAFT_24, "tls13 ", false),
            (ProtocolVersion::FACEBOOK_23, "tls13 ", false),
            (ProtocolVersion::DRAFT_20, "tls13 ", false),
            (ProtocolVersion::DRAFT_19, "TLS 1.3, ", false),
            (ProtocolVersion::DRAFT_18, "TLS 1.3, ", false),
        ] {
            let suite = suite.in_version(version).unwrap();
            for (prefix_used, header_used) in [("tls13 ", true), ("tls13 ", false), ("TLS 1.3, ", false)] {
                let (header, record) = sealed(&secret, prefix_used, header_used, b"text\x17");
                let mut out = [0; 64];
                let mut decrypter = RecordDecrypter::new(suite, &secret).unwrap();
                let opened = decrypter.decrypt(header, &record, &mut out);
                let is_right = (prefix_used, header_used) == (prefix, with_header);
                assert_eq!(opened.inner, is_right.then_some(5), "{version}");
                // The control with other keys follows the same rules.
                let attempt = DecryptAttempt::new(opened.tried, header, &record);
                assert_eq!(attempt.authenticates_under(&secret), Some(is_right), "{version}");
            }
        }
        assert!(suite.in_version(ProtocolVersion::DRAFT_17).is_none());
    }

    #[test]
    fn strips_and_counts_padding() {
        assert_eq!(strip_padding(&[1, 2, 23, 0, 0]), (ContentType::APPLICATION_DATA, 2, 2));
        assert_eq!(strip_padding(&[22]), (ContentType::HANDSHAKE, 0, 0));
        assert_eq!(strip_padding(&[0, 0]), (ContentType(0), 0, 2));
        assert_eq!(strip_padding(&[]), (ContentType(0), 0, 0));
    }
}
