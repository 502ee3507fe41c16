//! Traffic secret to record key, and the decryption of one record (RFC 8446 §5.2, §5.3, §7.2, §7.3).

use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, KeyType, Prk};

use super::code::{CipherSuite, ContentType};
use super::record::{HEADER_LEN, Header};
use crate::keylog::Secret;

/// Length of the authentication tag of every supported suite.
pub(super) const TAG_LEN: usize = 16;

/// How many protected records of each direction and generation of keys are tried with a wrong key as well. Each try is
/// as dear as a real decryption, and one forged record would need luck of 2^-128: more tries prove no more.
pub const CONTROL_TRIES: u32 = 1;

/// A cipher suite that can be opened.
#[derive(Clone, Copy)]
pub(super) struct Suite {
    aead: &'static aead::Algorithm,
    hash: hkdf::Algorithm,
}

impl Suite {
    pub(super) fn of(suite: CipherSuite) -> Option<Self> {
        let (aead, hash) = match suite {
            CipherSuite::TLS_AES_128_GCM_SHA256 => (&aead::AES_128_GCM, hkdf::HKDF_SHA256),
            CipherSuite::TLS_AES_256_GCM_SHA384 => (&aead::AES_256_GCM, hkdf::HKDF_SHA384),
            CipherSuite::TLS_CHACHA20_POLY1305_SHA256 => (&aead::CHACHA20_POLY1305, hkdf::HKDF_SHA256),
            _ => return None,
        };
        Some(Self { aead, hash })
    }

    /// Whether a traffic secret of this suite has this length: that of its hash.
    pub(super) fn takes(self, secret: &Secret) -> bool {
        self.hash.len() == secret.as_bytes().len()
    }
}

/// Length of an output of HKDF-Expand.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-Expand-Label(secret, label, "", out.len())` (RFC 8446 §7.1).
fn expand_label(suite: Suite, secret: &Secret, label: &[u8], out: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    // `new_less_safe` panics above 1024 bytes; a `Secret` has at most 48.
    let prk = Prk::new_less_safe(suite.hash, secret.as_bytes());
    let info: [&[u8]; 5] = [&length, &label_length, PREFIX, label, &[0]];
    prk.expand(&info, Length(out.len())).and_then(|okm| okm.fill(out)).ok()
}

/// A record key and its base nonce.
struct RecordKey {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
}

impl RecordKey {
    fn derive(suite: Suite, secret: &Secret) -> Option<Self> {
        let mut key = [0; 32];
        let key = key.get_mut(..suite.aead.key_len())?;
        expand_label(suite, secret, b"key", key)?;
        let mut iv = [0; NONCE_LEN];
        expand_label(suite, secret, b"iv", &mut iv)?;
        Some(Self { key: LessSafeKey::new(UnboundKey::new(suite.aead, key).ok()?), iv })
    }

    /// Opens a fragment into `out`: the length of the inner plaintext. `out` is rubbish unless it authenticates.
    fn open(&self, sequence: u64, header: Header, fragment: &[u8], out: &mut [u8]) -> Option<usize> {
        let (ciphertext, tag) = fragment.split_at_checked(fragment.len().checked_sub(TAG_LEN)?)?;
        let mut nonce = self.iv;
        for (byte, of_sequence) in nonce.iter_mut().rev().zip(sequence.to_be_bytes().into_iter().rev()) {
            *byte ^= of_sequence;
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad: Aad<[u8; HEADER_LEN]> = Aad::from(header.to_bytes());
        let out = out.get_mut(..ciphertext.len())?;
        self.key.open_separate_gather(nonce, aad, ciphertext, tag, out).ok()?;
        Some(ciphertext.len())
    }
}

/// The wrong key beside a right one.
struct Control {
    key: RecordKey,
    left: u32,
}

/// Opens the records of one direction under one generation of keys.
pub(super) struct RecordDecrypter {
    suite: Suite,
    secret: Secret,
    key: RecordKey,
    sequence: u64,
    control: Option<Control>,
    with_control: bool,
}

/// The outcome of decrypting one record.
pub(super) struct DecryptOutcome {
    /// Length of the inner plaintext in the buffer, if it authenticated.
    pub(super) inner: Option<usize>,
    /// Whether the wrong key was tried on it.
    pub(super) control_tried: bool,
    /// Whether the wrong key opened it.
    pub(super) control_opened: bool,
}

impl RecordDecrypter {
    /// Keys from a traffic secret, with a wrong key beside it if wanted. `None` where the secret has another length
    /// than the suite's hash.
    pub(super) fn new(suite: Suite, secret: &Secret, with_control: bool) -> Option<Self> {
        if !suite.takes(secret) {
            return None;
        }
        let control = if with_control {
            Some(Control { key: RecordKey::derive(suite, &secret.control())?, left: CONTROL_TRIES })
        } else {
            None
        };
        let key = RecordKey::derive(suite, secret)?;
        Some(Self { suite, secret: secret.clone(), key, sequence: 0, control, with_control })
    }

    /// Tries to open one record with the current sequence number. The sequence number stays: see [`RecordDecrypter::advance`].
    pub(super) fn open(&mut self, header: Header, fragment: &[u8], out: &mut [u8]) -> DecryptOutcome {
        let mut outcome = DecryptOutcome { inner: None, control_tried: false, control_opened: false };
        // The wrong key goes first: the right one then overwrites whatever it left in the buffer.
        if let Some(control) = &mut self.control {
            outcome.control_tried = true;
            outcome.control_opened = control.key.open(self.sequence, header, fragment, out).is_some();
            control.left -= 1;
            if control.left == 0 {
                self.control = None;
            }
        }
        outcome.inner = self.key.open(self.sequence, header, fragment, out);
        outcome
    }

    /// The record is over: the next one has the next sequence number.
    pub(super) fn advance(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The next generation of keys (RFC 8446 §7.2).
    pub(super) fn update(&mut self) -> Option<()> {
        let mut next = [0; 48];
        let next = next.get_mut(..self.suite.hash.len())?;
        expand_label(self.suite, &self.secret, b"traffic upd", next)?;
        *self = Self::new(self.suite, &Secret::new(next)?, self.with_control)?;
        Some(())
    }
}

/// The inner plaintext without its padding: content type, length of the content, length of the padding
/// (RFC 8446 §5.4). Without any non-zero byte there is no content type.
pub(super) fn strip_padding(inner: &[u8]) -> (ContentType, usize, usize) {
    match inner.iter().rposition(|byte| *byte != 0) {
        Some(at) => (ContentType(inner.get(at).copied().unwrap_or_default()), at, inner.len() - at - 1),
        None => (ContentType(0), 0, inner.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn keys_of_the_rfc_8448_handshake() {
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

    #[test]
    fn padding_is_stripped_and_counted() {
        assert_eq!(strip_padding(&[1, 2, 23, 0, 0]), (ContentType::APPLICATION_DATA, 2, 2));
        assert_eq!(strip_padding(&[22]), (ContentType::HANDSHAKE, 0, 0));
        assert_eq!(strip_padding(&[0, 0]), (ContentType(0), 0, 2));
        assert_eq!(strip_padding(&[]), (ContentType(0), 0, 0));
    }
}
