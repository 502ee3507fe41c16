//! The fields of X.509 certificates (RFC 5280 §4.1).

use data_encoding::HEXLOWER;

use super::der::{Der, Parsed, tag};
use super::name::{distinguished, general};
use super::time::time;
use super::{CertificateFields, MAX_SUBJECT_ALT_NAMES, sha256};

/// id-ce-subjectAltName (RFC 5280 §4.2.1.6): 2.5.29.17.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

const RSA: &str = "1.2.840.113549.1.1.1";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";

/// Parses one DER certificate; the error is text that is safe to display.
pub(super) fn fields(der: &[u8]) -> Result<CertificateFields, String> {
    let mut outside = Der::new(der);
    let fields = certificate(&mut outside).map_err(|error| error.to_string())?;
    match outside.rest().len() {
        0 => Ok(fields),
        count => Err(format!("{count} bytes after the certificate")),
    }
}

fn certificate(outside: &mut Der<'_>) -> Parsed<CertificateFields> {
    let mut certificate = outside.sequence("Certificate")?;
    let mut signed = certificate.sequence("tbsCertificate")?;
    let signature_algorithm =
        certificate.sequence("signatureAlgorithm")?.object_identifier("signatureAlgorithm")?;
    certificate.value(tag::BIT_STRING, "signatureValue")?.whole_octets("signatureValue")?;
    certificate.end("Certificate")?;

    if let Some(version) = signed.optional(tag::context_constructed(0), "version")? {
        version.open().value(tag::INTEGER, "version")?;
    }
    // Any contents: authorities have issued negative and padded numbers.
    let serial = signed.value(tag::INTEGER, "serialNumber")?;
    signed.sequence("signature")?;
    let issuer = signed.sequence("issuer")?;
    let mut validity = signed.sequence("validity")?;
    let (not_before, not_after) = (time(&mut validity, "notBefore")?, time(&mut validity, "notAfter")?);
    validity.end("validity")?;
    let subject = signed.sequence("subject")?;
    let (public_key_algorithm, public_key_sha256) = public_key(&mut signed)?;
    for (number, field) in [(1, "issuerUniqueID"), (2, "subjectUniqueID")] {
        signed.optional(tag::context(number), field)?;
    }
    let names = subject_alt_names(&mut signed)?;
    signed.end("tbsCertificate")?;
    Ok(CertificateFields {
        subject: escape(&distinguished(subject)),
        issuer: escape(&distinguished(issuer)),
        serial: HEXLOWER.encode(serial.content),
        subject_alt_names: names.kept,
        subject_alt_names_total: names.total,
        not_before,
        not_after,
        public_key_algorithm,
        public_key_sha256,
        signature_algorithm: algorithm(&signature_algorithm),
    })
}

/// SubjectPublicKeyInfo as the name of its algorithm, with the size of an RSA key or the curve, and the SHA-256 of the key.
fn public_key(signed: &mut Der<'_>) -> Parsed<(String, [u8; 32])> {
    let mut info = signed.sequence("subjectPublicKeyInfo")?;
    let mut identifier = info.sequence("algorithm")?;
    let id = identifier.object_identifier("algorithm")?;
    let bits = info.value(tag::BIT_STRING, "subjectPublicKey")?.whole_octets("subjectPublicKey")?;
    info.end("subjectPublicKeyInfo")?;
    // Of an odd key, the algorithm is still of interest.
    let name = match id.as_str() {
        RSA => match rsa_bits(bits.open()) {
            Ok(bits) => format!("RSA {bits} bits"),
            Err(_) => algorithm(&id),
        },
        EC_PUBLIC_KEY => match identifier.object_identifier("namedCurve") {
            Ok(curve) => format!("ECDSA {}", algorithm(&curve)),
            Err(_) => algorithm(&id),
        },
        _ => algorithm(&id),
    };
    Ok((name, sha256(bits.content)))
}

/// The size of an RSAPublicKey (RFC 8017 §A.1.1): bits of its modulus, a positive number.
fn rsa_bits(mut key: Der<'_>) -> Parsed<usize> {
    let mut key = key.sequence("RSAPublicKey")?;
    let modulus = key.value(tag::INTEGER, "modulus")?;
    key.value(tag::INTEGER, "publicExponent")?;
    let positive = modulus.content.first().is_some_and(|first| first & 0x80 == 0);
    if !positive {
        return Err(modulus.malformed("modulus", "not a positive number"));
    }
    let mut octets = modulus.content.iter().skip_while(|octet| **octet == 0);
    let bits_of_first = octets.next().map_or(0, |first| 8 - first.leading_zeros() as usize);
    Ok(bits_of_first + octets.count() * 8)
}

/// The subject alternative names that are kept, and the number of all.
#[derive(Default)]
struct AltNames {
    kept: Vec<String>,
    total: usize,
}

/// Reads the extensions. There are no names if the extension with them does not parse, or if there are two of it.
fn subject_alt_names(signed: &mut Der<'_>) -> Parsed<AltNames> {
    const FIELD: &str = "extensions";
    let Some(extensions) = signed.optional(tag::context_constructed(3), FIELD)? else {
        return Ok(AltNames::default());
    };
    let mut explicit = extensions.open();
    let mut extensions = explicit.sequence(FIELD)?;
    explicit.end(FIELD)?;
    let mut found = Vec::new();
    while !extensions.is_empty() {
        let mut extension = extensions.sequence("Extension")?;
        let id = extension.value(tag::OBJECT_IDENTIFIER, "extnID")?;
        extension.optional(tag::BOOLEAN, "critical")?;
        let value = extension.value(tag::OCTET_STRING, "extnValue")?;
        extension.end("Extension")?;
        if id.content == SUBJECT_ALT_NAME {
            found.push(value.open());
        }
    }
    match found[..] {
        [names] => Ok(general_names(names).unwrap_or_default()),
        _ => Ok(AltNames::default()),
    }
}

fn general_names(mut value: Der<'_>) -> Parsed<AltNames> {
    const FIELD: &str = "subjectAltName";
    let mut names = value.sequence(FIELD)?;
    let mut found = AltNames::default();
    while !names.is_empty() {
        let name = names.any(FIELD)?;
        if !name.is_context_specific() {
            return Err(name.malformed(FIELD, "not a GeneralName"));
        }
        found.total += 1;
        if found.kept.len() < MAX_SUBJECT_ALT_NAMES {
            found.kept.push(escape(&general(name)));
        }
    }
    Ok(found)
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if c.is_control() {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
        safe
    })
}

/// The usual name of an algorithm or curve; an unknown OID is returned unchanged.
fn algorithm(oid: &str) -> String {
    let name = match oid {
        "1.2.840.10045.3.1.7" => "secp256r1",
        "1.3.132.0.34" => "secp384r1",
        "1.3.132.0.35" => "secp521r1",
        "1.2.840.10045.2.1" => "ECDSA",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
        other => other,
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{
        CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber, date_time_ymd,
    };

    use super::super::der::encoded;
    use super::*;

    const SEQUENCE: u8 = tag::SEQUENCE;

    /// The identifiers that the tests need, as DER.
    const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];
    const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    const EC: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

    /// The parts of a certificate in DER, for odd ones.
    struct Parts {
        version: Vec<u8>,
        serial: Vec<u8>,
        subject: Vec<u8>,
        validity: Vec<u8>,
        key: Vec<u8>,
        /// What follows the key.
        more: Vec<u8>,
    }

    impl Default for Parts {
        fn default() -> Self {
            Self {
                version: vec![0xa0, 3, 2, 1, 2],
                serial: vec![2, 1, 7],
                subject: encoded(SEQUENCE, &[]),
                validity: encoded(
                    SEQUENCE,
                    &[
                        &encoded(tag::UTC_TIME, &[b"260101000000Z"]),
                        &encoded(tag::GENERALIZED_TIME, &[b"20500101000000Z"]),
                    ],
                ),
                key: key(ED25519, &[], &[7; 32]),
                more: Vec::new(),
            }
        }
    }

    impl Parts {
        fn der(&self) -> Vec<u8> {
            let algorithm = encoded(SEQUENCE, &[ED25519]);
            let signed = encoded(
                SEQUENCE,
                &[
                    &self.version,
                    &self.serial,
                    &algorithm,
                    &encoded(SEQUENCE, &[]),
                    &self.validity,
                    &self.subject,
                    &self.key,
                    &self.more,
                ],
            );
            encoded(SEQUENCE, &[&signed, &algorithm, &encoded(tag::BIT_STRING, &[&[0; 65]])])
        }

        fn fields(&self) -> Result<CertificateFields, String> {
            fields(&self.der())
        }
    }

    fn key(algorithm: &[u8], parameters: &[u8], bits: &[u8]) -> Vec<u8> {
        encoded(
            SEQUENCE,
            &[&encoded(SEQUENCE, &[algorithm, parameters]), &encoded(tag::BIT_STRING, &[&[0], bits])],
        )
    }

    fn extensions(all: &[&[u8]]) -> Vec<u8> {
        encoded(0xa3, &[&encoded(SEQUENCE, all)])
    }

    /// An extension with the last octet of its identifier in the arc id-ce.
    fn extension(id: u8, critical: &[u8], value: &[u8]) -> Vec<u8> {
        let id = encoded(tag::OBJECT_IDENTIFIER, &[&[0x55, 0x1d, id]]);
        encoded(SEQUENCE, &[&id, critical, &encoded(tag::OCTET_STRING, &[value])])
    }

    fn made_by_rcgen() -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["agent-b".into(), "::1".into()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "한국\n회사");
        params.distinguished_name.push(DnType::CommonName, "agent-b");
        let text = |text: &str| Ia5String::try_from(text).unwrap();
        params.subject_alt_names.push(SanType::Rfc822Name(text("a@example.org")));
        params.subject_alt_names.push(SanType::URI(text("https://example.org/")));
        params.serial_number = Some(SerialNumber::from_slice(&[0x80, 1, 2]));
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(2050, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn reads_every_field() {
        let found = fields(&made_by_rcgen()).unwrap();
        assert_eq!(found.subject, "O=한국\\n회사, CN=agent-b");
        assert_eq!(found.issuer, found.subject);
        assert_eq!(found.serial, "00800102");
        assert_eq!(found.subject_alt_names, ["agent-b", "::1", "a@example.org", "https://example.org/"]);
        assert_eq!(found.subject_alt_names_total, 4);
        assert_eq!((found.not_before, found.not_after), (946_598_400, 2_524_608_000));
        assert_eq!(found.public_key_algorithm, "ECDSA secp256r1");
        assert_eq!(found.signature_algorithm, "ecdsa-with-SHA256");
    }

    #[test]
    fn reads_a_certificate_with_nothing_optional() {
        let found = Parts { version: Vec::new(), ..Parts::default() }.fields().unwrap();
        assert_eq!((found.subject.as_str(), found.serial.as_str()), ("", "07"));
        assert_eq!(found.public_key_algorithm, "Ed25519");
        assert_eq!((found.subject_alt_names_total, found.subject_alt_names.len()), (0, 0));
    }

    #[test]
    fn counts_the_bits_of_rsa_keys() {
        let rsa = |modulus: &[u8]| {
            let numbers = [encoded(tag::INTEGER, &[modulus]), vec![2, 3, 1, 0, 1]].concat();
            Parts { key: key(RSA, &[5, 0], &encoded(SEQUENCE, &[&numbers])), ..Parts::default() }
                .fields()
                .unwrap()
                .public_key_algorithm
        };
        assert_eq!(rsa(&[&[0, 0x80][..], &[1; 255]].concat()), "RSA 2048 bits");
        assert_eq!(rsa(&[&[0x40][..], &[1; 127]].concat()), "RSA 1023 bits");
        assert_eq!(rsa(&[0]), "RSA 0 bits");
        assert_eq!(rsa(&[0x80, 0]), "RSA");
        assert_eq!(rsa(&[]), "RSA");
    }

    #[test]
    fn names_the_algorithm_of_a_key_that_it_cannot_read() {
        for (key, name) in [
            (key(RSA, &[5, 0], b"no key"), "RSA"),
            (key(EC, &[6, 5, 0x2b, 0x81, 4, 0, 0x22], &[4]), "ECDSA secp384r1"),
            (key(EC, &[6, 5, 0x2b, 0x81, 4, 0, 0x0a], &[4]), "ECDSA 1.3.132.0.10"),
            (key(EC, &[], &[4]), "ECDSA"),
            (key(EC, &[0x30, 0], &[4]), "ECDSA"),
            (key(&[6, 2, 0x2a, 3], &[0x30, 0], b"?"), "1.2.3"),
        ] {
            assert_eq!(Parts { key, ..Parts::default() }.fields().unwrap().public_key_algorithm, name);
        }
    }

    #[test]
    fn finds_alternative_names_among_other_extensions() {
        let names = extension(17, &[1, 1, 0xff], &[0x30, 6, 0x82, 1, b'a', 0x82, 1, b'b']);
        let unknown = extension(99, &[], b"anything");
        let boolean_in_ber = extension(19, &[1, 1, 1], &[0x30, 0]);
        let identifiers = [&[0x81, 2, 0, 1][..], &[0x82, 2, 0, 1]].concat();
        let more = [identifiers, extensions(&[&unknown, &boolean_in_ber, &names])].concat();
        let found = Parts { more, ..Parts::default() }.fields().unwrap();
        assert_eq!(found.subject_alt_names, ["a", "b"]);
        assert_eq!(found.subject_alt_names_total, 2);
    }

    #[test]
    fn keeps_a_bounded_number_of_alternative_names() {
        let names = extension(17, &[], &encoded(SEQUENCE, &[&[0x82, 1, b'a'].repeat(1000)]));
        let found = Parts { more: extensions(&[&names]), ..Parts::default() }.fields().unwrap();
        assert_eq!(found.subject_alt_names.len(), MAX_SUBJECT_ALT_NAMES);
        assert_eq!(found.subject_alt_names_total, 1000);
    }

    #[test]
    fn gives_no_alternative_names_if_they_do_not_parse_or_come_twice() {
        let names = extension(17, &[], &[0x30, 3, 0x82, 1, b'a']);
        for all in [
            extensions(&[&extension(17, &[], b"no names")]),
            extensions(&[&extension(17, &[], &[0x30, 5, 0x82, 1, b'a', 0x82, 9])]),
            extensions(&[&extension(17, &[], &[0x30, 5, 0x82, 1, b'a', 5, 0])]),
            extensions(&[&names, &names]),
        ] {
            let found = Parts { more: all, ..Parts::default() }.fields().unwrap();
            assert_eq!((found.subject_alt_names, found.subject_alt_names_total), (vec![], 0));
        }
    }

    #[test]
    fn escapes_control_characters_of_all_text() {
        let name = encoded(tag::SET, &[&[0x30, 9, 6, 3, 0x55, 4, 3, 12, 2, 0x1b, b'[']]);
        let names = extension(17, &[], &[0x30, 4, 0x82, 2, b'\n', b'x']);
        let parts =
            Parts { subject: encoded(SEQUENCE, &[&name]), more: extensions(&[&names]), ..Parts::default() };
        let found = parts.fields().unwrap();
        assert_eq!(found.subject, "CN=\\u{1b}[");
        assert_eq!(found.subject_alt_names, ["\\nx"]);
    }

    #[test]
    fn names_the_field_that_is_wrong_and_its_place() {
        let with = |parts: Parts| parts.fields().unwrap_err();
        for (error, expected) in [
            (fields(b"").unwrap_err(), "Certificate at byte 0: it is missing"),
            (
                fields(b"\x30\x03abc").unwrap_err(),
                "tbsCertificate at byte 2: it is longer than what contains it",
            ),
            (
                fields(&[Parts::default().der(), vec![0; 3]].concat()).unwrap_err(),
                "3 bytes after the certificate",
            ),
            (
                with(Parts { version: vec![0xa0, 2, 5, 0], ..Parts::default() }),
                "version at byte 7: it has another type",
            ),
            (
                with(Parts { serial: vec![4, 1, 7], ..Parts::default() }),
                "serialNumber at byte 10: it has another type",
            ),
            (
                with(Parts { validity: encoded(SEQUENCE, &[&[23, 1, b'Z']]), ..Parts::default() }),
                "notBefore at byte 26: not a time as RFC 5280 §4.1.2.5 writes it",
            ),
            (
                with(Parts { more: vec![0xa3, 2, 0x31, 0], ..Parts::default() }),
                "extensions at byte 104: it has another type",
            ),
            (
                with(Parts { more: vec![5, 0], ..Parts::default() }),
                "tbsCertificate at byte 102: more than belongs here",
            ),
        ] {
            assert_eq!(error, expected);
        }
    }

    /// Every prefix, and changed bytes at random places (xorshift64*, a fixed seed): text without control characters, in
    /// both results.
    #[test]
    fn reads_damaged_certificates_without_a_panic() {
        const CHANGED: usize = 20_000;
        let whole = made_by_rcgen();
        let check = |bytes: &[u8]| {
            let texts = match fields(bytes) {
                Ok(found) => [vec![found.subject, found.issuer], found.subject_alt_names].concat(),
                Err(error) => vec![error],
            };
            assert!(!texts.concat().contains(char::is_control), "{}", bytes.escape_ascii());
        };
        for end in 0..whole.len() {
            assert!(fields(&whole[..end]).is_err());
        }
        let mut state = 0x706c_6169_6e73_6967_u64;
        let mut below = |end: usize| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
        };
        for _ in 0..CHANGED {
            let mut bytes = whole.clone();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                match below(4) {
                    0 => bytes[at] = [0, 1, 0x1f, 0x30, 0x7f, 0x80, 0x84, 0xff][below(8)],
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, below(256) as u8),
                    _ => bytes[at] ^= 1 << below(8),
                }
            }
            check(&bytes);
        }
    }
}
