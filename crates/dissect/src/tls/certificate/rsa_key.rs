//! The numbers of RSA keys: RSAPrivateKey (RFC 8017 §A.1.2), bare or in PrivateKeyInfo (RFC 5208 §5).

use super::der::{Der, Parsed, tag};

const RSA: &str = "1.2.840.113549.1.1.1";

/// rsaEncryption as an AlgorithmIdentifier with its NULL parameters, in DER (RFC 8017 §A.1).
const RSA_IDENTIFIER: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The numbers of a private key that its use needs, as big-endian bytes.
#[derive(Clone, Copy)]
pub(in crate::tls) struct RsaPrivateKey<'a> {
    pub(in crate::tls) modulus: &'a [u8],
    public_exponent: &'a [u8],
    pub(in crate::tls) private_exponent: &'a [u8],
    /// The RSAPrivateKey.
    whole: &'a [u8],
}

impl<'a> RsaPrivateKey<'a> {
    /// Reads a DER key of either form. The error is text that is safe to display, and quotes no part of the key.
    pub(in crate::tls) fn parse(der: &'a [u8]) -> Result<Self, String> {
        let parsed = bare(der).and_then(Self::of);
        parsed.map_err(|error| error.to_string())
    }

    fn of(whole: &'a [u8]) -> Parsed<Self> {
        let mut outside = Der::new(whole);
        let mut key = outside.sequence("RSAPrivateKey")?;
        outside.end("RSAPrivateKey")?;
        key.value(tag::INTEGER, "version")?;
        let modulus = key.value(tag::INTEGER, "modulus")?.content;
        let public_exponent = key.value(tag::INTEGER, "publicExponent")?.content;
        let private_exponent = key.value(tag::INTEGER, "privateExponent")?.content;
        Ok(Self { modulus, public_exponent, private_exponent, whole })
    }

    /// The RSAPublicKey that belongs to it, in DER (RFC 8017 §A.1.1): the subjectPublicKey of its certificates (RFC 3279
    /// §2.3.1).
    pub(in crate::tls) fn public_key(&self) -> Vec<u8> {
        let numbers =
            [encoded(tag::INTEGER, self.modulus), encoded(tag::INTEGER, self.public_exponent)].concat();
        encoded(tag::SEQUENCE, &numbers)
    }

    /// The key as a PrivateKeyInfo, in DER.
    pub(in crate::tls) fn to_pkcs8(self) -> Vec<u8> {
        let version = encoded(tag::INTEGER, &[0]);
        let key = encoded(tag::OCTET_STRING, self.whole);
        encoded(tag::SEQUENCE, &[&version[..], &RSA_IDENTIFIER, &key].concat())
    }
}

/// The RSAPrivateKey in a key of either form.
fn bare(der: &[u8]) -> Parsed<&[u8]> {
    let mut outside = Der::new(der);
    let mut key = outside.sequence("private key")?;
    outside.end("private key")?;
    key.value(tag::INTEGER, "version")?;
    // In an RSAPrivateKey the modulus follows.
    let Some(identifier) = key.optional(tag::SEQUENCE, "privateKeyAlgorithm")? else { return Ok(der) };
    if identifier.open().object_identifier("privateKeyAlgorithm")? != RSA {
        return Err(identifier.malformed("privateKeyAlgorithm", "not rsaEncryption"));
    }
    Ok(key.value(tag::OCTET_STRING, "privateKey")?.content)
}

/// One value in DER.
fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = length.iter().position(|octet| *octet != 0).unwrap_or(length.len() - 1);
    let octets = length.get(significant..).unwrap_or_default();
    let mut out = vec![tag];
    if content.len() >= 0x80 {
        out.push(0x80 | octets.len() as u8);
    }
    out.extend_from_slice(octets);
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `version`, `modulus`, `publicExponent`, `privateExponent`, and nothing of the rest.
    fn numbers() -> Vec<u8> {
        let modulus = [&[0][..], &[0xc5; 128]].concat();
        let all = [&[0][..], &modulus, &[1, 0, 1], &[0x31; 128]];
        let all: Vec<u8> = all.iter().flat_map(|number| encoded(tag::INTEGER, number)).collect();
        encoded(tag::SEQUENCE, &all)
    }

    #[test]
    fn reads_both_forms_of_a_key() {
        let bare = numbers();
        let key = RsaPrivateKey::parse(&bare).unwrap();
        assert_eq!((key.modulus.len(), key.private_exponent), (129, &[0x31; 128][..]));
        let wrapped = key.to_pkcs8();
        let again = RsaPrivateKey::parse(&wrapped).unwrap();
        assert_eq!((again.modulus, again.whole), (key.modulus, &bare[..]));
        assert_eq!(again.public_key(), key.public_key());
        let mut public = Der::new(&key.public_key()).sequence("RSAPublicKey").map(|der| der.rest().to_vec());
        assert_eq!(public.as_mut().unwrap().split_off(132), [0x02, 3, 1, 0, 1]);
    }

    #[test]
    fn refuses_what_is_no_rsa_key_at_any_length() {
        let bare = numbers();
        for length in 0..bare.len() {
            assert!(RsaPrivateKey::parse(&bare[..length]).is_err(), "{length}");
        }
        let wrapped = RsaPrivateKey::parse(&bare).unwrap().to_pkcs8();
        for length in 0..wrapped.len() {
            assert!(RsaPrivateKey::parse(&wrapped[..length]).is_err(), "{length}");
        }
        let mut other = wrapped;
        let at = other.windows(RSA_IDENTIFIER.len()).position(|window| window == RSA_IDENTIFIER).unwrap();
        other[at + 12] = 7;
        let error = RsaPrivateKey::parse(&other).err().unwrap();
        assert!(error.contains("not rsaEncryption"), "{error}");
    }
}
