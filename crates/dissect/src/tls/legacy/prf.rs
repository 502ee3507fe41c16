//! The pseudorandom function of TLS 1.2 and before (RFC 5246 §5, RFC 2246 §5), and the MACs that it is made of.

use aws_lc_rs::hmac::{self as aws, Context};
use hmac::{Hmac, KeyInit, Mac as _};
use md5::Md5;

/// Longest output of the hashes: SHA-384.
const MAX_HASH: usize = 48;

/// A hash of a cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Md5,
    Sha1,
    Sha256,
    Sha384,
}

impl Hash {
    /// Length of its output in bytes.
    pub(super) fn output_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// HMAC (RFC 2104) with a key.
pub(super) enum MacKey {
    /// AWS-LC offers no MD5 through its Rust interface.
    Md5(Box<Hmac<Md5>>),
    AwsLc(Box<aws::Key>),
}

/// The output of a MAC.
#[derive(Clone, Copy)]
pub(super) struct MacTag {
    bytes: [u8; MAX_HASH],
    len: usize,
}

impl MacTag {
    fn new(tag: &[u8]) -> Self {
        let mut bytes = [0; MAX_HASH];
        let len = tag.len().min(MAX_HASH);
        bytes.iter_mut().zip(tag).for_each(|(to, from)| *to = *from);
        Self { bytes, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl MacKey {
    /// Takes a key of any length.
    pub(super) fn new(hash: Hash, key: &[u8]) -> Option<Self> {
        Some(match hash {
            Hash::Md5 => Self::Md5(Box::new(Hmac::new_from_slice(key).ok()?)),
            Hash::Sha1 => Self::aws_lc(aws::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key),
            Hash::Sha256 => Self::aws_lc(aws::HMAC_SHA256, key),
            Hash::Sha384 => Self::aws_lc(aws::HMAC_SHA384, key),
        })
    }

    fn aws_lc(algorithm: aws::Algorithm, key: &[u8]) -> Self {
        Self::AwsLc(Box::new(aws::Key::new(algorithm, key)))
    }

    /// Length of a MAC in bytes.
    pub(super) fn output_len(&self) -> usize {
        match self {
            Self::Md5(_) => Hash::Md5.output_len(),
            Self::AwsLc(key) => key.algorithm().tag_len(),
        }
    }

    /// The MAC of the joined parts.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> MacTag {
        match self {
            Self::Md5(key) => {
                let mut mac = (**key).clone();
                parts.iter().for_each(|part| mac.update(part));
                MacTag::new(&mac.finalize().into_bytes())
            }
            Self::AwsLc(key) => {
                let mut context = Context::with_key(key);
                parts.iter().for_each(|part| context.update(part));
                MacTag::new(context.sign().as_ref())
            }
        }
    }
}

/// The pseudorandom function of a version and a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prf {
    /// TLS 1.0 and 1.1: MD5 and SHA-1 (RFC 2246 §5).
    Tls10,
    /// TLS 1.2: the hash of the cipher suite (RFC 5246 §5).
    Tls12(Hash),
}

impl Prf {
    /// `PRF(secret, label, seed)`, as many bytes as `out` takes.
    pub(super) fn derive(self, secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) -> Option<()> {
        out.fill(0);
        match self {
            Self::Tls12(hash) => expand(hash, secret, label, seed, out),
            Self::Tls10 => {
                // The halves share a byte where the length is odd.
                let half = secret.len().div_ceil(2);
                expand(Hash::Md5, secret.get(..half)?, label, seed, out)?;
                expand(Hash::Sha1, secret.get(secret.len() - half..)?, label, seed, out)
            }
        }
    }
}

/// Adds `P_hash(secret, label + seed)` to `out` by exclusive or.
fn expand(hash: Hash, secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) -> Option<()> {
    let key = MacKey::new(hash, secret)?;
    let seed: Vec<&[u8]> = [label].into_iter().chain(seed.iter().copied()).collect();
    let mut a = key.sign(&seed);
    for piece in out.chunks_mut(hash.output_len()) {
        let parts: Vec<&[u8]> = [a.as_bytes()].into_iter().chain(seed.iter().copied()).collect();
        let block = key.sign(&parts);
        piece.iter_mut().zip(block.as_bytes()).for_each(|(to, from)| *to ^= from);
        a = key.sign(&[a.as_bytes()]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    /// The vectors that the TLS working group exchanged for P_SHA256.
    #[test]
    fn derives_the_known_vector_of_tls_1_2() {
        let mut out = [0; 100];
        let secret = bytes("9bbe436ba940f017b17652849a71db35");
        let seed = bytes("a0ba9f936cda311827a6f796ffd5198c");
        Prf::Tls12(Hash::Sha256).derive(&secret, b"test label", &[&seed], &mut out).unwrap();
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e1\
                        4baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a7\
                        2e5a5110fff70187347b66";
        assert_eq!(out[..], bytes(expected));
    }
}
