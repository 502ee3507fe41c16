//! The fields of TLS records and handshake messages (RFC 9846 §4, §5).

use super::layout::{Fields, big_endian};
use super::{Field, Kind, Value};
use crate::tls::{
    AlertDescription, AlertLevel, CipherSuite, ContentType, ExtensionType, HandshakeType, NamedGroup,
    ProtocolVersion,
};

/// Length of a record's header (RFC 9846 §5.1).
const RECORD_HEADER: usize = 5;

/// The fields of a record: its header, and the body unless it is a handshake message, which can begin and end in others. The
/// body of such a record is one field, [`Kind::TlsHandshakeData`].
#[must_use]
pub fn of_record(bytes: &[u8]) -> Vec<Field> {
    let mut fields = Fields::of(bytes);
    let _ = record(&mut fields);
    fields.rest(Kind::TlsCiphertext);
    fields.into_vec()
}

fn record(fields: &mut Fields<'_>) -> Option<()> {
    let content_type = ContentType(*fields.remaining().first()?);
    if content_type.0 & ContentType::SSL2_CLIENT_HELLO.0 != 0 {
        return ssl2_client_hello(fields);
    }
    code(fields, Kind::TlsRecordType, 1, |number| ContentType(number as u8).name())?;
    code(fields, Kind::TlsRecordVersion, 2, |number| ProtocolVersion(number as u16).name())?;
    fields.number(Kind::TlsRecordLength, RECORD_HEADER - 3)?;
    match content_type {
        ContentType::CHANGE_CIPHER_SPEC => fields.rest(Kind::TlsChangeCipherSpec),
        ContentType::HANDSHAKE => fields.rest(Kind::TlsHandshakeData),
        // A longer one is protected.
        ContentType::ALERT if fields.remaining().len() == 2 => {
            code(fields, Kind::TlsAlertLevel, 1, |number| AlertLevel(number as u8).name())?;
            code(fields, Kind::TlsAlertDescription, 1, |number| AlertDescription(number as u8).name())?;
        }
        _ => fields.rest(Kind::TlsCiphertext),
    }
    Some(())
}

/// The fields of a whole handshake message, with its header of four bytes. What does not add up is
/// [`Kind::TlsHandshakeData`] from there on.
#[must_use]
pub fn of_handshake(message: &[u8]) -> Vec<Field> {
    let mut fields = Fields::of(message);
    let _ = handshake(&mut fields);
    fields.rest(Kind::TlsHandshakeData);
    fields.into_vec()
}

fn handshake(fields: &mut Fields<'_>) -> Option<()> {
    let message_type = HandshakeType(*fields.remaining().first()?);
    code(fields, Kind::TlsHandshakeType, 1, |number| HandshakeType(number as u8).name())?;
    fields.number(Kind::TlsHandshakeLength, 3)?;
    match message_type {
        HandshakeType::CLIENT_HELLO => client_hello(fields),
        HandshakeType::SERVER_HELLO => server_hello(fields),
        HandshakeType::ENCRYPTED_EXTENSIONS => extensions(fields, Sender::Server),
        HandshakeType::FINISHED => {
            fields.rest(Kind::TlsVerifyData);
            Some(())
        }
        _ => None,
    }
}

/// A ClientHello in the form of SSL 2.0, which has no record (RFC 5246 appendix E.2).
fn ssl2_client_hello(fields: &mut Fields<'_>) -> Option<()> {
    // The first bit announces a header of two bytes.
    fields.next(Kind::TlsRecordLength, 2, |bytes| Value::Number(big_endian(bytes) & 0x7fff))?;
    code(fields, Kind::TlsHandshakeType, 1, |number| HandshakeType(number as u8).name())?;
    version(fields, Kind::TlsVersion)?;
    let specs = fields.number(Kind::TlsCipherSuitesLength, 2)?;
    let session_id = fields.number(Kind::TlsSessionIdLength, 2)?;
    let challenge = fields.number(Kind::TlsChallengeLength, 2)?;
    fields.within(specs, Kind::TlsHandshakeData, |fields| each(fields, cipher_spec))?;
    fields.next(Kind::TlsSessionId, session_id, |_| Value::Bytes)?;
    fields.next(Kind::TlsChallenge, challenge, |_| Value::Bytes)
}

fn cipher_spec(fields: &mut Fields<'_>) -> Option<()> {
    // Behind a zero it is a suite of SSL 3.0 or TLS.
    let name = |number: u64| u16::try_from(number).ok().and_then(|suite| CipherSuite(suite).name());
    code(fields, Kind::TlsCipherSpec, 3, name)
}

/// Lists of a client are single values of a server.
#[derive(Clone, Copy, PartialEq)]
enum Sender {
    Client,
    Server,
}

fn client_hello(fields: &mut Fields<'_>) -> Option<()> {
    hello_start(fields)?;
    let len = fields.number(Kind::TlsCipherSuitesLength, 2)?;
    fields.within(len, Kind::TlsHandshakeData, |fields| each(fields, cipher_suite))?;
    let len = fields.number(Kind::TlsCompressionMethodsLength, 1)?;
    fields.within(len, Kind::TlsHandshakeData, |fields| each(fields, compression_method))?;
    extensions(fields, Sender::Client)
}

fn server_hello(fields: &mut Fields<'_>) -> Option<()> {
    hello_start(fields)?;
    cipher_suite(fields)?;
    compression_method(fields)?;
    extensions(fields, Sender::Server)
}

fn hello_start(fields: &mut Fields<'_>) -> Option<()> {
    version(fields, Kind::TlsVersion)?;
    fields.next(Kind::TlsRandom, 32, |_| Value::Bytes)?;
    let len = fields.number(Kind::TlsSessionIdLength, 1)?;
    fields.next(Kind::TlsSessionId, len, |_| Value::Bytes)
}

fn extensions(fields: &mut Fields<'_>, sender: Sender) -> Option<()> {
    let len = fields.number(Kind::TlsExtensionsLength, 2)?;
    fields.within(len, Kind::TlsHandshakeData, |fields| each(fields, |fields| extension(fields, sender)))
}

fn extension(fields: &mut Fields<'_>, sender: Sender) -> Option<()> {
    let extension_type = ExtensionType(big_endian(fields.remaining().get(..2)?) as u16);
    code(fields, Kind::TlsExtensionType, 2, |number| ExtensionType(number as u16).name())?;
    let len = fields.number(Kind::TlsExtensionLength, 2)?;
    fields.within(len, Kind::TlsExtensionData, |fields| match (extension_type, sender) {
        (ExtensionType::SERVER_NAME, Sender::Client) => {
            list(fields, Kind::TlsServerNameListLength, 2, |fields| {
                fields.number(Kind::TlsServerNameType, 1)?;
                let len = fields.number(Kind::TlsServerNameLength, 2)?;
                fields.next(Kind::TlsServerName, len, Value::text)
            })
        }
        (ExtensionType::ALPN, _) => list(fields, Kind::TlsAlpnLength, 2, |fields| {
            let len = fields.number(Kind::TlsAlpnNameLength, 1)?;
            fields.next(Kind::TlsAlpnName, len, Value::text)
        }),
        (ExtensionType::SUPPORTED_VERSIONS, Sender::Client) => {
            list(fields, Kind::TlsSupportedVersionsLength, 1, |fields| {
                version(fields, Kind::TlsSupportedVersion)
            })
        }
        (ExtensionType::SUPPORTED_VERSIONS, Sender::Server) => version(fields, Kind::TlsSupportedVersion),
        (ExtensionType::SUPPORTED_GROUPS, _) => {
            list(fields, Kind::TlsSupportedGroupsLength, 2, |fields| group(fields, Kind::TlsSupportedGroup))
        }
        (ExtensionType::SIGNATURE_ALGORITHMS | ExtensionType::SIGNATURE_ALGORITHMS_CERT, _) => {
            list(fields, Kind::TlsSignatureAlgorithmsLength, 2, |fields| {
                code(fields, Kind::TlsSignatureAlgorithm, 2, signature_algorithm)
            })
        }
        (ExtensionType::KEY_SHARE, Sender::Client) => list(fields, Kind::TlsKeySharesLength, 2, key_share),
        (ExtensionType::KEY_SHARE, Sender::Server) => key_share(fields),
        _ => None,
    })
}

/// In a HelloRetryRequest there is only the group.
fn key_share(fields: &mut Fields<'_>) -> Option<()> {
    group(fields, Kind::TlsKeyShareGroup)?;
    let len = fields.number(Kind::TlsKeyShareLength, 2)?;
    fields.next(Kind::TlsKeyShare, len, |_| Value::Bytes)
}

/// A list whose length precedes it.
fn list(
    fields: &mut Fields<'_>,
    length: Kind,
    length_bytes: usize,
    element: impl FnMut(&mut Fields<'_>) -> Option<()>,
) -> Option<()> {
    let len = fields.number(length, length_bytes)?;
    fields.within(len, Kind::TlsExtensionData, |fields| each(fields, element))
}

/// Reads elements to the end of the structure.
fn each(fields: &mut Fields<'_>, mut element: impl FnMut(&mut Fields<'_>) -> Option<()>) -> Option<()> {
    while !fields.remaining().is_empty() {
        element(fields)?;
    }
    Some(())
}

fn cipher_suite(fields: &mut Fields<'_>) -> Option<()> {
    code(fields, Kind::TlsCipherSuite, 2, |number| CipherSuite(number as u16).name())
}

fn compression_method(fields: &mut Fields<'_>) -> Option<()> {
    code(fields, Kind::TlsCompressionMethod, 1, |number| (number == 0).then_some("null"))
}

fn version(fields: &mut Fields<'_>, kind: Kind) -> Option<()> {
    code(fields, kind, 2, |number| ProtocolVersion(number as u16).name())
}

fn group(fields: &mut Fields<'_>, kind: Kind) -> Option<()> {
    code(fields, kind, 2, |number| NamedGroup(number as u16).name())
}

/// Names of RFC 9846 §4.2.3.
fn signature_algorithm(number: u64) -> Option<&'static str> {
    Some(match number {
        0x0201 => "rsa_pkcs1_sha1",
        0x0203 => "ecdsa_sha1",
        0x0401 => "rsa_pkcs1_sha256",
        0x0403 => "ecdsa_secp256r1_sha256",
        0x0501 => "rsa_pkcs1_sha384",
        0x0503 => "ecdsa_secp384r1_sha384",
        0x0601 => "rsa_pkcs1_sha512",
        0x0603 => "ecdsa_secp521r1_sha512",
        0x0804 => "rsa_pss_rsae_sha256",
        0x0805 => "rsa_pss_rsae_sha384",
        0x0806 => "rsa_pss_rsae_sha512",
        0x0807 => "ed25519",
        0x0808 => "ed448",
        0x0809 => "rsa_pss_pss_sha256",
        0x080a => "rsa_pss_pss_sha384",
        0x080b => "rsa_pss_pss_sha512",
        _ => return None,
    })
}

/// The next `len` bytes as a code.
fn code(
    fields: &mut Fields<'_>,
    kind: Kind,
    len: usize,
    name: impl FnOnce(u64) -> Option<&'static str>,
) -> Option<()> {
    fields.next(kind, len, |bytes| {
        let number = big_endian(bytes);
        Value::Code(number, 2 * len, name(number))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vec8(content: &[u8]) -> Vec<u8> {
        [&[content.len() as u8], content].concat()
    }

    fn vec16(content: &[u8]) -> Vec<u8> {
        [&(content.len() as u16).to_be_bytes(), content].concat()
    }

    fn extension(number: u16, content: &[u8]) -> Vec<u8> {
        [&number.to_be_bytes()[..], &vec16(content)].concat()
    }

    fn message(number: u8, body: &[u8]) -> Vec<u8> {
        [&[number, 0], &vec16(body)[..]].concat()
    }

    fn hello() -> Vec<u8> {
        let extensions = [
            extension(0, &vec16(&[&[0], &vec16(b"agent-b")[..]].concat())),
            extension(16, &vec16(&[vec8(b"http/1.1"), vec8(b"h2")].concat())),
            extension(43, &vec8(&[3, 4])),
            extension(51, &vec16(&[&[0, 0x1d][..], &vec16(&[7; 32])].concat())),
            extension(21, &[0; 5]),
        ]
        .concat();
        let body = [
            &[3, 3][..],
            &[9; 32],
            &vec8(&[8; 32]),
            &vec16(&[0x13, 1, 0x13, 2]),
            &vec8(&[0]),
            &vec16(&extensions),
        ]
        .concat();
        message(1, &body)
    }

    fn named(bytes: &[u8]) -> Vec<(&'static str, String)> {
        of_handshake(bytes).iter().map(|field| (field.kind.id(), field.value.to_string())).collect()
    }

    #[test]
    fn names_every_field_of_a_client_hello() {
        let found = named(&hello());
        let values = |id: &str| {
            let found = found.iter().filter(|(found, _)| *found == id);
            found.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(values("tls.handshake.type"), ["client_hello (0x01)"]);
        assert_eq!(
            values("tls.handshake.ciphersuite"),
            ["TLS_AES_128_GCM_SHA256 (0x1301)", "TLS_AES_256_GCM_SHA384 (0x1302)"]
        );
        assert_eq!(values("tls.handshake.extensions_server_name"), ["agent-b"]);
        assert_eq!(values("tls.handshake.extensions_alpn_str"), ["http/1.1", "h2"]);
        assert_eq!(values("tls.handshake.extensions.supported_version"), ["TLS 1.3 (0x0304)"]);
        assert_eq!(values("tls.handshake.extensions_key_share_group"), ["x25519 (0x001d)"]);
        assert_eq!(values("tls.handshake.extension.type").len(), 5);
        assert!(values("tls.handshake").is_empty(), "everything is read: {found:?}");
    }

    #[test]
    fn records_have_a_header_and_a_body() {
        let ids = |record: &[u8]| of_record(record).iter().map(|field| field.kind.id()).collect::<Vec<_>>();
        let header = ["tls.record.content_type", "tls.record.version", "tls.record.length"];
        let with = |body: &[&'static str]| [&header[..], body].concat();
        assert_eq!(
            ids(&[21, 3, 3, 0, 2, 1, 0]),
            with(&["tls.alert_message.level", "tls.alert_message.desc"])
        );
        assert_eq!(ids(&[21, 3, 3, 0, 3, 1, 0, 7]), with(&["tls.app_data"]));
        assert_eq!(ids(&[20, 3, 3, 0, 1, 1]), with(&["tls.change_cipher_spec"]));
        assert_eq!(ids(&[22, 3, 3, 0, 1, 1]), with(&["tls.handshake"]));
        assert_eq!(ids(&[23, 3, 3, 0, 1, 1]), with(&["tls.app_data"]));
        assert_eq!(ids(&[23, 3]), ["tls.record.content_type", "tls.app_data"]);
    }

    #[test]
    fn names_every_field_of_a_hello_of_ssl_2() {
        let hello =
            [&[0x80, 0x23, 1, 3, 0, 0, 6, 0, 4, 0, 16][..], &[7, 0, 0xc0, 0, 0x13, 1], &[9; 4], &[5; 16]]
                .concat();
        let found: Vec<_> =
            of_record(&hello).iter().map(|field| (field.kind.id(), field.value.to_string())).collect();
        let expected = [
            ("tls.record.length", "35"),
            ("tls.handshake.type", "client_hello (0x01)"),
            ("tls.handshake.version", "SSL 3.0 (0x0300)"),
            ("tls.handshake.cipher_suites_length", "6"),
            ("tls.handshake.session_id_length", "4"),
            ("tls.handshake.challenge_length", "16"),
            ("tls.handshake.cipherspec", "0x0700c0"),
            ("tls.handshake.cipherspec", "TLS_AES_128_GCM_SHA256 (0x001301)"),
        ];
        assert_eq!(found[..8], expected.map(|(id, value)| (id, value.to_owned())));
        let rest: Vec<_> = found[8..].iter().map(|(id, _)| *id).collect();
        assert_eq!(rest, ["tls.handshake.session_id", "tls.handshake.challenge"]);
        (0..hello.len()).for_each(|length| assert_covered_record(&hello[..length]));
    }

    fn assert_covered_record(bytes: &[u8]) {
        let covered: usize = of_record(bytes).iter().map(|field| field.range.len()).sum();
        assert_eq!(covered, bytes.len());
    }

    fn assert_covered(bytes: &[u8]) {
        let mut end = 0;
        for field in of_handshake(bytes) {
            assert_eq!(field.range.start, end, "{field:?}");
            assert!(!field.range.is_empty(), "{field:?}");
            end = field.range.end;
        }
        assert_eq!(end, bytes.len());
    }

    proptest! {
        #[test]
        fn damaged_messages_are_covered(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            end in any::<prop::sample::Index>(),
        ) {
            let mut message = hello();
            for (at, value) in changes {
                let at = at.index(message.len());
                message[at] = value;
            }
            assert_covered(&message[..end.index(message.len() + 1)]);
        }
    }
}
