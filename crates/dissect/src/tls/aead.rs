//! Authenticated encryption with associated data: AES-GCM and ChaCha20-Poly1305 (RFC 5116, RFC 8439), AES-CCM (RFC 3610,
//! RFC 6655).

use aes::{Aes128, Aes256};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ccm::Ccm;
use ccm::aead::inout::InOutBuf;
use ccm::aead::{AeadInOut, KeyInit, Tag};
use ccm::consts::{U8, U12, U16};

/// An algorithm, without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aead {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
    /// With a tag of 16 bytes.
    Aes128Ccm,
    /// With a tag of 8 bytes.
    Aes128Ccm8,
    /// With a tag of 16 bytes.
    Aes256Ccm,
    /// With a tag of 8 bytes.
    Aes256Ccm8,
}

impl Aead {
    /// Length of a key in bytes.
    pub(super) fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128Ccm | Self::Aes128Ccm8 => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::Aes256Ccm | Self::Aes256Ccm8 => 32,
        }
    }

    /// Length of the authentication tag in bytes.
    pub(super) fn tag_len(self) -> usize {
        match self {
            Self::Aes128Ccm8 | Self::Aes256Ccm8 => 8,
            _ => 16,
        }
    }
}

/// A key and its algorithm.
pub(super) struct AeadKey {
    aead: Aead,
    key: Key,
}

enum Key {
    AwsLc(LessSafeKey),
    /// AWS-LC offers no CCM through its Rust interface.
    Aes128Ccm(Box<Ccm<Aes128, U16, U12>>),
    Aes128Ccm8(Box<Ccm<Aes128, U8, U12>>),
    Aes256Ccm(Box<Ccm<Aes256, U16, U12>>),
    Aes256Ccm8(Box<Ccm<Aes256, U8, U12>>),
}

impl AeadKey {
    /// `None` if the key has another length than the algorithm needs.
    pub(super) fn new(aead: Aead, key: &[u8]) -> Option<Self> {
        let aws_lc = |algorithm| UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new).map(Key::AwsLc);
        let key = match aead {
            Aead::Aes128Gcm => aws_lc(&aead::AES_128_GCM)?,
            Aead::Aes256Gcm => aws_lc(&aead::AES_256_GCM)?,
            Aead::ChaCha20Poly1305 => aws_lc(&aead::CHACHA20_POLY1305)?,
            Aead::Aes128Ccm => Key::Aes128Ccm(Box::new(KeyInit::new_from_slice(key).ok()?)),
            Aead::Aes128Ccm8 => Key::Aes128Ccm8(Box::new(KeyInit::new_from_slice(key).ok()?)),
            Aead::Aes256Ccm => Key::Aes256Ccm(Box::new(KeyInit::new_from_slice(key).ok()?)),
            Aead::Aes256Ccm8 => Key::Aes256Ccm8(Box::new(KeyInit::new_from_slice(key).ok()?)),
        };
        Some(Self { aead, key })
    }

    /// Length of the authentication tag in bytes.
    pub(super) fn tag_len(&self) -> usize {
        self.aead.tag_len()
    }

    /// Decrypts ciphertext and tag into `out`, and returns the length of the plaintext. `None` if they do not authenticate, or
    /// do not fit; the content of `out` is undefined then.
    pub(super) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        additional: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let (ciphertext, tag) = sealed.split_at_checked(sealed.len().checked_sub(self.aead.tag_len())?)?;
        let out = out.get_mut(..ciphertext.len())?;
        match &self.key {
            Key::AwsLc(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_separate_gather(nonce, Aad::from(additional), ciphertext, tag, out).ok()
            }
            Key::Aes128Ccm(key) => open_ccm(&**key, nonce, additional, ciphertext, tag, out),
            Key::Aes128Ccm8(key) => open_ccm(&**key, nonce, additional, ciphertext, tag, out),
            Key::Aes256Ccm(key) => open_ccm(&**key, nonce, additional, ciphertext, tag, out),
            Key::Aes256Ccm8(key) => open_ccm(&**key, nonce, additional, ciphertext, tag, out),
        }?;
        Some(ciphertext.len())
    }
}

fn open_ccm<A: AeadInOut<NonceSize = U12>>(
    key: &A,
    nonce: [u8; NONCE_LEN],
    additional: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let tag: &Tag<A> = tag.try_into().ok()?;
    let buffer = InOutBuf::new(ciphertext, out).ok()?;
    key.decrypt_inout_detached(&nonce.into(), additional, buffer, tag).ok()
}
