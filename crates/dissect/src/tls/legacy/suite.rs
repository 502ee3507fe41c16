//! How a cipher suite of TLS 1.2 and before protects records, by its registered name.

use super::prf::{Hash, Prf};
use crate::tls::aead::Aead;
use crate::tls::cipher_suite::CipherSuite;
use crate::tls::code::ProtocolVersion;
use crate::tls::counters::NotDecrypted;

/// The algorithms of a cipher suite that can be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) protection: Protection,
    pub(super) prf: Prf,
}

/// How records are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// A MAC, and no encryption (RFC 5246 §6.2.3.1).
    Mac(Hash),
    /// A block cipher in CBC mode, and a MAC (RFC 5246 §6.2.3.2).
    Cbc(BlockCipher, Hash),
    /// RFC 5246 §6.2.3.3, RFC 5288, RFC 6655, RFC 7905.
    Aead(Aead),
}

/// A block cipher with blocks of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockCipher {
    Aes128,
    Aes256,
    Camellia128,
    Camellia256,
}

impl BlockCipher {
    pub(super) fn key_len(self) -> usize {
        match self {
            Self::Aes128 | Self::Camellia128 => 16,
            Self::Aes256 | Self::Camellia256 => 32,
        }
    }
}

impl Suite {
    /// The algorithms of `suite` in a version before TLS 1.3.
    ///
    /// # Errors
    /// Says why records of it are not decrypted.
    pub(super) fn of(suite: CipherSuite, version: ProtocolVersion) -> Result<Self, NotDecrypted> {
        let name = suite.name().and_then(|name| name.split_once("_WITH_"));
        let protection =
            name.and_then(|(_, name)| protection(name)).ok_or(NotDecrypted::CipherSuite(suite))?;
        let is_aead = matches!(protection, Protection::Aead(_));
        let prf = match version {
            // Suites without a hash of their own in the name use SHA-256 (RFC 5246 §5).
            ProtocolVersion::TLS_1_2 if name.is_some_and(|(_, name)| name.ends_with("_SHA384")) => {
                Prf::Tls12(Hash::Sha384)
            }
            ProtocolVersion::TLS_1_2 => Prf::Tls12(Hash::Sha256),
            // AEAD came with TLS 1.2 (RFC 5246 §6.2.3.3).
            ProtocolVersion::TLS_1_0 | ProtocolVersion::TLS_1_1 if !is_aead => Prf::Tls10,
            ProtocolVersion::TLS_1_0 | ProtocolVersion::TLS_1_1 => {
                return Err(NotDecrypted::CipherSuite(suite));
            }
            _ => return Err(NotDecrypted::Version(version)),
        };
        Ok(Self { protection, prf })
    }
}

/// The algorithms behind `_WITH_`.
fn protection(name: &str) -> Option<Protection> {
    Some(match name {
        "AES_128_GCM_SHA256" => Protection::Aead(Aead::Aes128Gcm),
        "AES_256_GCM_SHA384" => Protection::Aead(Aead::Aes256Gcm),
        "CHACHA20_POLY1305_SHA256" => Protection::Aead(Aead::ChaCha20Poly1305),
        "AES_128_CCM" | "AES_128_CCM_SHA256" => Protection::Aead(Aead::Aes128Ccm),
        "AES_128_CCM_8" | "AES_128_CCM_8_SHA256" => Protection::Aead(Aead::Aes128Ccm8),
        "AES_256_CCM" => Protection::Aead(Aead::Aes256Ccm),
        "AES_256_CCM_8" => Protection::Aead(Aead::Aes256Ccm8),
        _ => {
            let (cipher, mac) = name.rsplit_once('_')?;
            let mac = match mac {
                "MD5" => Hash::Md5,
                "SHA" => Hash::Sha1,
                "SHA256" => Hash::Sha256,
                "SHA384" => Hash::Sha384,
                _ => return None,
            };
            match cipher {
                "NULL" => Protection::Mac(mac),
                "AES_128_CBC" => Protection::Cbc(BlockCipher::Aes128, mac),
                "AES_256_CBC" => Protection::Cbc(BlockCipher::Aes256, mac),
                "CAMELLIA_128_CBC" => Protection::Cbc(BlockCipher::Camellia128, mac),
                "CAMELLIA_256_CBC" => Protection::Cbc(BlockCipher::Camellia256, mac),
                _ => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_algorithms_from_the_name() {
        let of = |suite, version| Suite::of(suite, version);
        assert_eq!(
            of(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384, ProtocolVersion::TLS_1_2),
            Ok(Suite {
                protection: Protection::Cbc(BlockCipher::Aes256, Hash::Sha384),
                prf: Prf::Tls12(Hash::Sha384)
            })
        );
        assert_eq!(
            of(CipherSuite::TLS_PSK_DHE_WITH_AES_128_CCM_8, ProtocolVersion::TLS_1_2),
            Ok(Suite { protection: Protection::Aead(Aead::Aes128Ccm8), prf: Prf::Tls12(Hash::Sha256) })
        );
        assert_eq!(
            of(CipherSuite::TLS_RSA_WITH_NULL_MD5, ProtocolVersion::TLS_1_0),
            Ok(Suite { protection: Protection::Mac(Hash::Md5), prf: Prf::Tls10 })
        );
        for (suite, version) in [
            (CipherSuite::TLS_RSA_WITH_RC4_128_SHA, ProtocolVersion::TLS_1_2),
            (CipherSuite::TLS_RSA_WITH_3DES_EDE_CBC_SHA, ProtocolVersion::TLS_1_2),
            (CipherSuite::TLS_NULL_WITH_NULL_NULL, ProtocolVersion::TLS_1_2),
            (CipherSuite::TLS_RSA_WITH_AES_128_GCM_SHA256, ProtocolVersion::TLS_1_1),
            (CipherSuite(0x7777), ProtocolVersion::TLS_1_2),
        ] {
            assert_eq!(of(suite, version), Err(NotDecrypted::CipherSuite(suite)));
        }
        assert_eq!(
            of(CipherSuite::TLS_RSA_WITH_AES_128_CBC_SHA, ProtocolVersion::SSL_3_0),
            Err(NotDecrypted::Version(ProtocolVersion::SSL_3_0))
        );
    }
}
