//! What a hello may contain (RFC 9846 §4, RFC 5246 §7.4.1).
//!
//! A hello is sent in the clear, and its sender chooses most of its fields: lists of codes, extensions, padding. The parser
//! accepts any values there, as an endpoint must. This check is stricter: it finds the first thing in a hello that no rule
//! foresees, so that a field cannot hide a message. What is left are the fields whose values are random or opaque by their
//! nature: randoms, session ids, key shares, tickets, cookies, trust anchors, the outer form of an encrypted hello.
//!
//! Extensions by message, as far as they have a rule here ("CH" ClientHello, "HRR" HelloRetryRequest, "SH13" ServerHello
//! of TLS 1.3, "SH12" ServerHello of earlier versions):
//!
//! | extension | CH | HRR | SH13 | SH12 | contents |
//! |---|---|---|---|---|---|
//! | server_name | x | | | x | one host name; empty in a ServerHello |
//! | max_fragment_length | x | | | x | one code |
//! | status_request | x | | | x | OCSP without ids and extensions; empty in a ServerHello |
//! | supported_groups | x | | | | registered codes |
//! | ec_point_formats | x | | | x | registered codes |
//! | signature_algorithms, signature_algorithms_cert, delegated_credentials | x | | | | registered codes |
//! | heartbeat | x | | | x | one code |
//! | application_layer_protocol_negotiation | x | | | x | registered names, one in a ServerHello |
//! | status_request_v2 | x | | | | OCSP without ids and extensions |
//! | signed_certificate_timestamp | x | | | x | empty; a list of timestamps in a ServerHello |
//! | client_certificate_type, server_certificate_type | x | | | x | registered codes, one in a ServerHello |
//! | padding | x | | | | zeros |
//! | encrypt_then_mac, extended_master_secret | x | | | x | empty |
//! | compress_certificate | x | | | | registered codes |
//! | record_size_limit | x | | | x | a number |
//! | session_ticket | x | | | x | a ticket; empty in a ServerHello |
//! | pre_shared_key | x | | x | | identities and binders, last; a number in a ServerHello |
//! | early_data, post_handshake_auth | x | | | | empty |
//! | supported_versions | x | x | x | | registered codes |
//! | cookie | x | x | | | a cookie |
//! | psk_key_exchange_modes | x | | | | registered codes |
//! | key_share | x | x | x | | registered groups with keys of their length; the group alone in an HRR |
//! | application_settings (two drafts), next_protocol_negotiation, channel_id | x | | | | protocol names; empty |
//! | trust_anchors | x | | | | relative object identifiers |
//! | encrypted_client_hello | x | | | | an outer form; in an HRR, eight bytes |
//! | renegotiation_info | x | | | x | empty list |
//! | GREASE (RFC 8701) | x | | | | empty, or one zero |

use std::fmt;

use super::cipher_suite::CipherSuite;
use super::code::{ExtensionType, NamedGroup, ProtocolVersion, is_grease};
use super::cursor::{Cursor, Malformed, Parsed};

/// Bytes of a digest in a PSK binder (RFC 9846 §4.2.11): SHA-256 to SHA-512.
const BINDER_BYTES: std::ops::RangeInclusive<usize> = 32..=64;

/// Bytes of the confirmation in a HelloRetryRequest with encrypted_client_hello (RFC 9849 §7.2.1).
const ECH_CONFIRMATION_BYTES: usize = 8;

/// Something in a hello that no rule foresees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Irregularity {
    /// The version field of a hello that names its version elsewhere (RFC 9846 §4.1.2), or an unknown version.
    Version(ProtocolVersion),
    /// Another compression method than null (RFC 9846 §4.1.2).
    Compression,
    /// A cipher suite that is not registered.
    CipherSuite(CipherSuite),
    /// An extension without a rule.
    UnknownExtension(ExtensionType),
    /// An extension that this message must not have.
    MisplacedExtension(ExtensionType),
    /// An extension that occurs twice.
    RepeatedExtension(ExtensionType),
    /// An extension whose contents are not as its specification defines.
    ExtensionContents(ExtensionType),
    /// A list with the same value twice.
    RepeatedValue,
    /// A session id that is not the one of the first ClientHello (RFC 9846 §4.1.2, §4.1.3).
    SessionId,
    /// A ClientHello in the form of SSL 2.0 (RFC 5246 appendix E.2).
    Ssl2Form,
}

impl fmt::Display for Irregularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "the version {version}"),
            Self::Compression => f.write_str("a compression method"),
            Self::CipherSuite(suite) => write!(f, "an unknown cipher suite: {suite}"),
            Self::UnknownExtension(extension) => write!(f, "an unknown extension: {extension}"),
            Self::MisplacedExtension(extension) => write!(f, "an extension of another message: {extension}"),
            Self::RepeatedExtension(extension) => write!(f, "an extension that occurs twice: {extension}"),
            Self::ExtensionContents(extension) => {
                write!(f, "an extension with contents that its specification does not define: {extension}")
            }
            Self::RepeatedValue => f.write_str("a list with the same value twice"),
            Self::SessionId => f.write_str("a session id that does not repeat the client's"),
            Self::Ssl2Form => f.write_str("the form of SSL 2.0"),
        }
    }
}

/// The message that an extension is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    ClientHello,
    HelloRetryRequest,
    ServerHello13,
    ServerHello12,
}

/// Checks the body of a ClientHello that parses.
pub(super) fn check_client_hello(body: &[u8]) -> Option<Irregularity> {
    client_hello(Cursor::new(body)).err().and_then(|broken| broken.0)
}

/// Checks the body of a ServerHello or HelloRetryRequest that parses.
pub(super) fn check_server_hello(
    body: &[u8],
    is_hello_retry_request: bool,
    version: ProtocolVersion,
) -> Option<Irregularity> {
    let within = match version {
        _ if is_hello_retry_request => Within::HelloRetryRequest,
        ProtocolVersion::TLS_1_3 => Within::ServerHello13,
        _ => Within::ServerHello12,
    };
    server_hello(Cursor::new(body), within, version).err().and_then(|broken| broken.0)
}

/// Why a check ends: with the rule that is broken, or with `None` at a field that does not parse, which the parser reports.
struct Broken(Option<Irregularity>);

impl From<Irregularity> for Broken {
    fn from(irregularity: Irregularity) -> Self {
        Self(Some(irregularity))
    }
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Self(None)
    }
}

type Checked = Result<(), Broken>;

fn client_hello(mut cursor: Cursor<'_>) -> Checked {
    let legacy_version = ProtocolVersion(cursor.u16("legacy_version")?);
    cursor.array::<32>("random")?;
    cursor.vec8("legacy_session_id")?;
    let suites = cursor.vec16("cipher_suites")?.all_u16("cipher_suites", |v| v)?;
    if let Some(unknown) = suites.iter().find(|suite| !is_grease(**suite) && !is_registered_suite(**suite)) {
        return Err(Irregularity::CipherSuite(CipherSuite(*unknown)).into());
    }
    distinct(&suites)?;
    if cursor.vec8("legacy_compression_methods")?.rest() != [0] {
        return Err(Irregularity::Compression.into());
    }
    let extensions = if cursor.is_empty() { Vec::new() } else { extensions(&mut cursor)? };
    let has_versions = extensions.iter().any(|(kind, _)| *kind == ExtensionType::SUPPORTED_VERSIONS);
    let allowed = match has_versions {
        true => legacy_version == ProtocolVersion::TLS_1_2,
        false => (ProtocolVersion::SSL_3_0..=ProtocolVersion::TLS_1_2).contains(&legacy_version),
    };
    if !allowed {
        return Err(Irregularity::Version(legacy_version).into());
    }
    let last = extensions.len().saturating_sub(1);
    for (index, (kind, contents)) in extensions.into_iter().enumerate() {
        if kind == ExtensionType::PRE_SHARED_KEY && index != last {
            return Err(Irregularity::MisplacedExtension(kind).into());
        }
        extension(Within::ClientHello, kind, contents)?;
    }
    Ok(())
}

fn server_hello(mut cursor: Cursor<'_>, within: Within, version: ProtocolVersion) -> Checked {
    let legacy_version = ProtocolVersion(cursor.u16("legacy_version")?);
    cursor.array::<32>("random")?;
    cursor.vec8("legacy_session_id_echo")?;
    let suite = cursor.u16("cipher_suite")?;
    if !is_registered_suite(suite) {
        return Err(Irregularity::CipherSuite(CipherSuite(suite)).into());
    }
    if cursor.u8("legacy_compression_method")? != 0 {
        return Err(Irregularity::Compression.into());
    }
    let is_legacy_right = match within {
        Within::ServerHello12 => (ProtocolVersion::SSL_3_0..=ProtocolVersion::TLS_1_2).contains(&version),
        _ => legacy_version == ProtocolVersion::TLS_1_2,
    };
    if !is_legacy_right {
        return Err(Irregularity::Version(legacy_version).into());
    }
    let extensions = if cursor.is_empty() { Vec::new() } else { extensions(&mut cursor)? };
    extensions.into_iter().try_for_each(|(kind, contents)| extension(within, kind, contents))
}

/// The extensions of a message, each at most once.
fn extensions<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<(ExtensionType, Cursor<'a>)>, Broken> {
    let mut block = cursor.vec16("extensions")?;
    let mut found: Vec<(ExtensionType, Cursor<'a>)> = Vec::new();
    while !block.is_empty() {
        let kind = ExtensionType(block.u16("extension_type")?);
        let contents = block.vec16("extension_data")?;
        found.push((kind, contents));
    }
    let mut kinds: Vec<u16> = found.iter().map(|(kind, _)| kind.0).collect();
    kinds.sort_unstable();
    let mut pairs = kinds.iter().zip(kinds.iter().skip(1));
    if let Some((kind, _)) = pairs.find(|(one, next)| one == next) {
        return Err(Irregularity::RepeatedExtension(ExtensionType(*kind)).into());
    }
    Ok(found)
}

/// Checks that an extension belongs to its message and has the contents of its specification.
fn extension(within: Within, kind: ExtensionType, contents: Cursor<'_>) -> Checked {
    use ExtensionType as E;
    use Within::{ClientHello, HelloRetryRequest, ServerHello12, ServerHello13};

    let is_placed = match kind {
        E::SUPPORTED_VERSIONS | E::KEY_SHARE => within != ServerHello12,
        E::COOKIE | E::ENCRYPTED_CLIENT_HELLO => matches!(within, ClientHello | HelloRetryRequest),
        E::PRE_SHARED_KEY => matches!(within, ClientHello | ServerHello13),
        E::SERVER_NAME
        | E::MAX_FRAGMENT_LENGTH
        | E::STATUS_REQUEST
        | E::EC_POINT_FORMATS
        | E::HEARTBEAT
        | E::ALPN
        | E::SIGNED_CERTIFICATE_TIMESTAMP
        | E::CLIENT_CERTIFICATE_TYPE
        | E::SERVER_CERTIFICATE_TYPE
        | E::ENCRYPT_THEN_MAC
        | E::EXTENDED_MASTER_SECRET
        | E::RECORD_SIZE_LIMIT
        | E::SESSION_TICKET
        | E::RENEGOTIATION_INFO => matches!(within, ClientHello | ServerHello12),
        E::SUPPORTED_GROUPS
        | E::SIGNATURE_ALGORITHMS
        | E::STATUS_REQUEST_V2
        | E::PADDING
        | E::COMPRESS_CERTIFICATE
        | E::DELEGATED_CREDENTIALS
        | E::EARLY_DATA
        | E::PSK_KEY_EXCHANGE_MODES
        | E::POST_HANDSHAKE_AUTH
        | E::SIGNATURE_ALGORITHMS_CERT
        | E::NEXT_PROTOCOL_NEGOTIATION
        | E::APPLICATION_SETTINGS_OLD
        | E::APPLICATION_SETTINGS
        | E::CHANNEL_ID
        | E::TRUST_ANCHORS => within == ClientHello,
        kind if is_grease(kind.0) => within == ClientHello,
        kind => return Err(Irregularity::UnknownExtension(kind).into()),
    };
    if !is_placed {
        return Err(Irregularity::MisplacedExtension(kind).into());
    }
    match has_defined_contents(within, kind, contents) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Irregularity::ExtensionContents(kind).into()),
    }
}

/// Whether the contents of an extension are as its specification defines.
fn has_defined_contents(within: Within, kind: ExtensionType, mut contents: Cursor<'_>) -> Parsed<bool> {
    use ExtensionType as E;

    let is_client = within == Within::ClientHello;
    let bytes = contents.rest();
    Ok(match kind {
        E::SERVER_NAME if is_client => {
            let mut list = contents.vec16("server_name_list")?;
            let is_host = list.u8("name_type")? == 0 && !list.vec16("host_name")?.is_empty();
            is_host && list.is_empty() && contents.is_empty()
        }
        E::MAX_FRAGMENT_LENGTH => matches!(bytes, [1..=4]),
        // OCSP, no responder ids, no extensions (RFC 6066 §8).
        E::STATUS_REQUEST if is_client => bytes == [1, 0, 0, 0, 0],
        E::STATUS_REQUEST_V2 => {
            let mut list = contents.vec16("certificate_status_req_list")?;
            while !list.is_empty() {
                let kind = list.u8("status_type")?;
                if !matches!(kind, 1 | 2) || list.vec16("request")?.rest() != [0, 0, 0, 0] {
                    return Ok(false);
                }
            }
            contents.is_empty()
        }
        E::SUPPORTED_GROUPS => {
            let groups = contents.vec16("named_group_list")?.all_u16("named_group", |v| v)?;
            groups.iter().all(|group| is_grease(*group) || is_registered_group(*group))
                && are_distinct(&groups)
                && contents.is_empty()
        }
        E::EC_POINT_FORMATS => {
            let formats = contents.vec8("ec_point_format_list")?.rest();
            formats.iter().all(|format| *format <= 2) && are_distinct(formats) && contents.is_empty()
        }
        E::SIGNATURE_ALGORITHMS | E::SIGNATURE_ALGORITHMS_CERT | E::DELEGATED_CREDENTIALS => {
            let schemes = contents.vec16("supported_signature_algorithms")?.all_u16("scheme", |v| v)?;
            schemes.iter().all(|scheme| is_grease(*scheme) || is_registered_scheme(*scheme))
                && are_distinct(&schemes)
                && contents.is_empty()
        }
        E::HEARTBEAT => matches!(bytes, [1 | 2]),
        E::ALPN | E::APPLICATION_SETTINGS_OLD | E::APPLICATION_SETTINGS => {
            let mut list = contents.vec16("protocol_name_list")?;
            let mut names = Vec::new();
            while !list.is_empty() {
                names.push(list.vec8("protocol_name")?.rest());
            }
            let is_known = |name: &[u8]| is_registered_protocol(name) || is_grease_protocol(name);
            names.iter().all(|name| is_known(name))
                && are_distinct(&names)
                && (is_client || names.len() == 1)
                && contents.is_empty()
        }
        E::CLIENT_CERTIFICATE_TYPE | E::SERVER_CERTIFICATE_TYPE if is_client => {
            let types = contents.vec8("certificate_types")?.rest();
            types.iter().all(|kind| *kind <= 3) && are_distinct(types) && contents.is_empty()
        }
        E::CLIENT_CERTIFICATE_TYPE | E::SERVER_CERTIFICATE_TYPE => matches!(bytes, [0..=3]),
        E::PADDING => bytes.iter().all(|byte| *byte == 0),
        E::COMPRESS_CERTIFICATE => {
            let algorithms = contents.vec8("algorithms")?.all_u16("algorithm", |v| v)?;
            algorithms.iter().all(|algorithm| is_grease(*algorithm) || (1..=3).contains(algorithm))
                && are_distinct(&algorithms)
                && contents.is_empty()
        }
        // From 64 to 2^14 + 1 (RFC 8449 §4).
        E::RECORD_SIZE_LIMIT => (64..=(1 << 14) + 1).contains(&contents.u16("limit")?) && contents.is_empty(),
        E::SESSION_TICKET if is_client => true,
        E::SIGNED_CERTIFICATE_TIMESTAMP if !is_client => true,
        E::PRE_SHARED_KEY if is_client => has_defined_identities(contents)?,
        E::PRE_SHARED_KEY => bytes.len() == 2,
        E::SUPPORTED_VERSIONS if is_client => {
            let versions = contents.vec8("versions")?.all_u16("versions", |v| v)?;
            // No rule covers drafts.
            let is_known = |version: ProtocolVersion| version.name().is_some() && version.draft().is_none();
            versions.iter().all(|version| is_grease(*version) || is_known(ProtocolVersion(*version)))
                && are_distinct(&versions)
                && contents.is_empty()
        }
        E::SUPPORTED_VERSIONS => {
            contents.u16("selected_version")? == ProtocolVersion::TLS_1_3.0 && contents.is_empty()
        }
        E::COOKIE => !contents.vec16("cookie")?.is_empty() && contents.is_empty(),
        E::PSK_KEY_EXCHANGE_MODES => {
            let modes = contents.vec8("ke_modes")?.rest();
            modes.iter().all(|mode| *mode <= 1 || is_grease_mode(*mode))
                && are_distinct(modes)
                && contents.is_empty()
        }
        E::KEY_SHARE => has_defined_shares(within, contents)?,
        E::ENCRYPTED_CLIENT_HELLO if is_client => has_defined_outer_form(contents)?,
        E::ENCRYPTED_CLIENT_HELLO => bytes.len() == ECH_CONFIRMATION_BYTES,
        E::TRUST_ANCHORS => has_defined_anchors(contents)?,
        E::RENEGOTIATION_INFO => bytes == [0],
        kind if is_grease(kind.0) => matches!(bytes, [] | [0]),
        _ => bytes.is_empty(),
    })
}

/// Identities and binders of pre_shared_key, as many of one as of the other (RFC 9846 §4.2.11).
fn has_defined_identities(mut contents: Cursor<'_>) -> Parsed<bool> {
    let mut identities = contents.vec16("identities")?;
    let mut binders = contents.vec16("binders")?;
    while !identities.is_empty() && !binders.is_empty() {
        let identity = identities.vec16("identity")?;
        identities.u32("obfuscated_ticket_age")?;
        let binder = binders.vec8("binder")?.rest().len();
        if identity.is_empty() || !BINDER_BYTES.contains(&binder) {
            return Ok(false);
        }
    }
    Ok(identities.is_empty() && binders.is_empty() && contents.is_empty())
}

/// Key shares with keys of their group's length (RFC 9846 §4.2.8).
fn has_defined_shares(within: Within, mut contents: Cursor<'_>) -> Parsed<bool> {
    let is_of_length = |group: u16, key: &[u8], is_client: bool| match key_bytes(NamedGroup(group), is_client)
    {
        Some(length) => key.len() == length,
        None => is_client && is_grease(group) && key.len() == 1,
    };
    match within {
        Within::ClientHello => {
            let mut shares = contents.vec16("client_shares")?;
            let mut groups = Vec::new();
            while !shares.is_empty() {
                let group = shares.u16("key_share group")?;
                if !is_of_length(group, shares.vec16("key_exchange")?.rest(), true) {
                    return Ok(false);
                }
                groups.push(group);
            }
            Ok(are_distinct(&groups) && contents.is_empty())
        }
        Within::HelloRetryRequest => {
            let group = contents.u16("selected_group")?;
            Ok(is_registered_group(group) && contents.is_empty())
        }
        Within::ServerHello13 | Within::ServerHello12 => {
            let group = contents.u16("key_share group")?;
            Ok(is_of_length(group, contents.vec16("key_exchange")?.rest(), false) && contents.is_empty())
        }
    }
}

/// The outer form of encrypted_client_hello: suite, config id, encapsulated key and ciphertext (RFC 9849 §5).
fn has_defined_outer_form(mut contents: Cursor<'_>) -> Parsed<bool> {
    let is_outer = contents.u8("type")? == 0;
    contents.u16("kdf_id")?;
    contents.u16("aead_id")?;
    contents.u8("config_id")?;
    contents.vec16("enc")?;
    contents.vec16("payload")?;
    Ok(is_outer && contents.is_empty())
}

/// Trust anchors by relative object identifier, whose last byte has no continuation bit
/// (draft-ietf-tls-trust-anchor-ids §3).
fn has_defined_anchors(mut contents: Cursor<'_>) -> Parsed<bool> {
    let mut anchors = contents.vec16("trust_anchors")?;
    let mut found = Vec::new();
    while !anchors.is_empty() {
        let anchor = anchors.vec8("trust_anchor")?.rest();
        if anchor.last().is_none_or(|last| last & 0x80 != 0) {
            return Ok(false);
        }
        found.push(anchor);
    }
    Ok(are_distinct(&found) && contents.is_empty())
}

/// Bytes of a key share; they differ between the sides where a KEM is involved (RFC 9846 §4.2.8, RFC 7919,
/// draft-ietf-tls-ecdhe-mlkem, draft-ietf-tls-mlkem).
fn key_bytes(group: NamedGroup, is_client: bool) -> Option<usize> {
    let kem = |key: usize, ciphertext: usize| if is_client { key } else { ciphertext };
    Some(match group {
        NamedGroup::SECP256R1 => 65,
        NamedGroup::SECP384R1 => 97,
        NamedGroup::SECP521R1 => 133,
        NamedGroup::X25519 => 32,
        NamedGroup::X448 => 56,
        NamedGroup::FFDHE2048 => 256,
        NamedGroup::FFDHE3072 => 384,
        NamedGroup::FFDHE4096 => 512,
        NamedGroup::MLKEM512 => kem(800, 768),
        NamedGroup::MLKEM768 => kem(1184, 1088),
        NamedGroup::MLKEM1024 => kem(1568, 1568),
        NamedGroup::X25519MLKEM768 | NamedGroup::X25519KYBER768DRAFT00 => 32 + kem(1184, 1088),
        NamedGroup::SECP256R1MLKEM768 => 65 + kem(1184, 1088),
        NamedGroup::SECP384R1MLKEM1024 => 97 + kem(1568, 1568),
        _ => return None,
    })
}

fn distinct<T: Ord + Clone>(values: &[T]) -> Checked {
    if are_distinct(values) { Ok(()) } else { Err(Irregularity::RepeatedValue.into()) }
}

fn are_distinct<T: Ord + Clone>(values: &[T]) -> bool {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.iter().zip(sorted.iter().skip(1)).all(|(one, next)| one != next)
}

/// IANA registry "TLS Cipher Suites", without what is reserved or for private use.
fn is_registered_suite(suite: u16) -> bool {
    matches!(
        suite,
        0x0001..=0x001b
            | 0x001e..=0x0046
            | 0x0067..=0x006d
            | 0x0084..=0x00c7
            | 0x00ff
            | 0x1301..=0x1307
            | 0x5600
            | 0xc001..=0xc0b5
            | 0xc100..=0xc106
            | 0xcca8..=0xccae
            | 0xd001..=0xd003
            | 0xd005
    )
}

/// IANA registry "TLS Supported Groups", and the draft of X25519 with Kyber that browsers sent.
fn is_registered_group(group: u16) -> bool {
    matches!(group, 1..=41 | 0x0100..=0x0104 | 0x0200..=0x0202 | 0x11eb..=0x11ee | 0x6399 | 0x639a | 0xff01 | 0xff02)
}

/// IANA registry "TLS SignatureScheme", and the pairs of hash and signature of TLS 1.2 (RFC 5246 §7.4.1.4.1).
fn is_registered_scheme(scheme: u16) -> bool {
    let [hash, signature] = scheme.to_be_bytes();
    let is_pair = (1..=6).contains(&hash) && (1..=3).contains(&signature);
    is_pair
        || matches!(scheme, 0x0704..=0x070f | 0x0804..=0x080b | 0x081a..=0x081c | 0x0904..=0x0906 | 0x0911..=0x091c)
}

/// Whether this is the name of an application protocol: IANA registry "TLS ALPN Protocol IDs". Drafts of HTTP/2 and HTTP/3 are
/// not in it.
#[must_use]
pub fn is_registered_protocol(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 38] = [
        b"acme-tls/1",
        b"c-webrtc",
        b"co",
        b"coap",
        b"dicom",
        b"doq",
        b"dot",
        b"ftp",
        b"h2",
        b"h2c",
        b"h3",
        b"http/0.9",
        b"http/1.0",
        b"http/1.1",
        b"imap",
        b"irc",
        b"managesieve",
        b"mqtt",
        b"nnsp",
        b"nntp",
        b"ntske/1",
        b"pop3",
        b"postgresql",
        b"radius/1.0",
        b"radius/1.1",
        b"sip/2",
        b"smb",
        b"spdy/1",
        b"spdy/2",
        b"spdy/3",
        b"spdy/3.1",
        b"stun.nat-discovery",
        b"stun.turn",
        b"sunrpc",
        b"tds/8.0",
        b"webrtc",
        b"xmpp-client",
        b"xmpp-server",
    ];
    NAMES.contains(&name)
}

/// Names of protocols that are reserved for GREASE: two equal bytes (RFC 8701 §2).
fn is_grease_protocol(name: &[u8]) -> bool {
    <[u8; 2]>::try_from(name).is_ok_and(|name| is_grease(u16::from_be_bytes(name)))
}

/// Key exchange modes that are reserved for GREASE (RFC 8701 §2).
fn is_grease_mode(mode: u8) -> bool {
    matches!(mode, 0x0b | 0x2a | 0x49 | 0x68 | 0x87 | 0xa6 | 0xc5 | 0xe4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extensions of an ordinary hello of TLS 1.3, in the order of their codes.
    const ORDINARY: [(ExtensionType, &[u8]); 9] = [
        (ExtensionType::SERVER_NAME, b"\0\x0c\0\0\x09localhost"),
        (ExtensionType::SUPPORTED_GROUPS, &[0, 4, 0x1a, 0x1a, 0, 29]),
        (ExtensionType::SIGNATURE_ALGORITHMS, &[0, 4, 8, 4, 4, 3]),
        (ExtensionType::ALPN, b"\0\x09\x08http/1.1"),
        (ExtensionType::PADDING, &[0; 40]),
        (ExtensionType::EXTENDED_MASTER_SECRET, &[]),
        (ExtensionType::SUPPORTED_VERSIONS, &[4, 3, 4, 3, 3]),
        (ExtensionType::PSK_KEY_EXCHANGE_MODES, &[1, 1]),
        (ExtensionType::RENEGOTIATION_INFO, &[0]),
    ];

    struct Hello {
        version: [u8; 2],
        suites: Vec<u8>,
        compression: Vec<u8>,
        extensions: Vec<(ExtensionType, Vec<u8>)>,
    }

    impl Hello {
        fn ordinary() -> Self {
            Self {
                version: [3, 3],
                suites: vec![0x3a, 0x3a, 0x13, 1, 0x13, 2, 0, 0xff],
                compression: vec![0],
                extensions: ORDINARY.iter().map(|(kind, contents)| (*kind, contents.to_vec())).collect(),
            }
        }

        fn with(mut self, kind: ExtensionType, contents: &[u8]) -> Self {
            self.extensions.retain(|(other, _)| *other != kind);
            self.extensions.push((kind, contents.to_vec()));
            self
        }

        fn body(&self) -> Vec<u8> {
            let mut body = self.version.to_vec();
            body.extend([7; 32]);
            body.push(0);
            body.extend((self.suites.len() as u16).to_be_bytes());
            body.extend(&self.suites);
            body.push(self.compression.len() as u8);
            body.extend(&self.compression);
            body.extend(block(&self.extensions));
            body
        }

        fn check(&self) -> Option<Irregularity> {
            check_client_hello(&self.body())
        }
    }

    fn block(extensions: &[(ExtensionType, Vec<u8>)]) -> Vec<u8> {
        let mut block = Vec::new();
        for (kind, contents) in extensions {
            block.extend(kind.0.to_be_bytes());
            block.extend((contents.len() as u16).to_be_bytes());
            block.extend(contents);
        }
        let mut all = (block.len() as u16).to_be_bytes().to_vec();
        all.extend(block);
        all
    }

    fn server_hello(
        version: ProtocolVersion,
        is_retry: bool,
        extensions: &[(ExtensionType, Vec<u8>)],
    ) -> Option<Irregularity> {
        let mut body = vec![3, 3];
        body.extend([9; 32]);
        body.extend([0, 0x13, 1, 0]);
        body.extend(block(extensions));
        check_server_hello(&body, is_retry, version)
    }

    #[test]
    fn accepts_an_ordinary_hello() {
        assert_eq!(Hello::ordinary().check(), None);
        let old = Hello { extensions: Vec::new(), ..Hello::ordinary() };
        assert_eq!(old.check(), None);
    }

    #[test]
    fn rejects_fields_with_values_that_are_not_registered() {
        let unknown_suite = Hello { suites: vec![0x13, 1, b'p', b'w'], ..Hello::ordinary() };
        assert_eq!(unknown_suite.check(), Some(Irregularity::CipherSuite(CipherSuite(0x7077))));
        let twice = Hello { suites: vec![0x13, 1, 0x13, 1], ..Hello::ordinary() };
        assert_eq!(twice.check(), Some(Irregularity::RepeatedValue));
        for compression in [&[1, 0][..], &[0x41], &[0, 0], &[]] {
            let hello = Hello { compression: compression.to_vec(), ..Hello::ordinary() };
            assert_eq!(hello.check(), Some(Irregularity::Compression), "{compression:?}");
        }
        let version = Hello { version: *b"hi", ..Hello::ordinary() };
        assert_eq!(version.check(), Some(Irregularity::Version(ProtocolVersion(0x6869))));
    }

    #[test]
    fn rejects_extensions_without_a_rule_twice_or_in_the_wrong_message() {
        let unknown = ExtensionType(0x7777);
        assert_eq!(
            Hello::ordinary().with(unknown, b"x").check(),
            Some(Irregularity::UnknownExtension(unknown))
        );
        let mut twice = Hello::ordinary();
        twice.extensions.push((ExtensionType::PADDING, vec![0; 3]));
        assert_eq!(twice.check(), Some(Irregularity::RepeatedExtension(ExtensionType::PADDING)));
        let padding = (ExtensionType::PADDING, vec![0; 60_000]);
        let misplaced = Some(Irregularity::MisplacedExtension(ExtensionType::PADDING));
        for version in [ProtocolVersion::TLS_1_3, ProtocolVersion::TLS_1_2] {
            assert_eq!(server_hello(version, false, std::slice::from_ref(&padding)), misplaced);
        }
        let psk =
            Hello::ordinary().with(ExtensionType::PRE_SHARED_KEY, &[]).with(ExtensionType::EARLY_DATA, &[]);
        assert_eq!(psk.check(), Some(Irregularity::MisplacedExtension(ExtensionType::PRE_SHARED_KEY)));
    }

    /// One byte of the sender's choice in each extension.
    #[test]
    fn rejects_contents_that_no_specification_defines() {
        use ExtensionType as E;
        let binder = [&[0, 7, 0, 1, b'i', 0, 0, 0, 0, 0, 33, 32][..], &[7; 32]].concat();
        let share = [&[0, 36, 0, 29, 0, 32][..], &[7; 32]].concat();
        let cases: &[(E, &[u8], &[u8])] = &[
            (E::SERVER_NAME, b"\0\x04\0\0\x01a", b"\0\x08\0\0\x01a\x01\0\x01b"),
            (E::SERVER_NAME, b"\0\x04\0\0\x01a", b"\0\x04\x05\0\x01a"),
            (E::MAX_FRAGMENT_LENGTH, &[4], &[5]),
            (E::STATUS_REQUEST, &[1, 0, 0, 0, 0], &[1, 0, 3, 0, 1, 65, 0, 0]),
            (E::STATUS_REQUEST_V2, &[0, 7, 2, 0, 4, 0, 0, 0, 0], &[0, 7, 2, 0, 4, 0, 0, 0, 1]),
            (E::SUPPORTED_GROUPS, &[0, 2, 0, 29], &[0, 2, 0x41, 0x42]),
            (E::EC_POINT_FORMATS, &[1, 0], &[1, 65]),
            (E::SIGNATURE_ALGORITHMS, &[0, 2, 8, 4], &[0, 2, 0x41, 0x42]),
            (E::SIGNATURE_ALGORITHMS_CERT, &[0, 2, 4, 1], &[0, 4, 4, 1, 4, 1]),
            (E::DELEGATED_CREDENTIALS, &[0, 2, 4, 3], &[0, 2, 0xfe, 3]),
            (E::HEARTBEAT, &[1], &[65]),
            (E::ALPN, b"\0\x03\x02h2", b"\0\x05\x04free"),
            (E::ALPN, b"\0\x03\x02\x3a\x3a", b"\0\x03\x02\x3a\x4a"),
            (E::SIGNED_CERTIFICATE_TIMESTAMP, &[], &[65]),
            (E::CLIENT_CERTIFICATE_TYPE, &[1, 2], &[1, 65]),
            (E::PADDING, &[0, 0], &[0, 1]),
            (E::ENCRYPT_THEN_MAC, &[], &[0]),
            (E::EXTENDED_MASTER_SECRET, &[], &[65]),
            (E::COMPRESS_CERTIFICATE, &[2, 0, 2], &[2, 0, 4]),
            (E::RECORD_SIZE_LIMIT, &[0x40, 1], &[0x40, 2]),
            (E::EARLY_DATA, &[], &[65]),
            (E::SUPPORTED_VERSIONS, &[4, 0x3a, 0x3a, 3, 4], &[4, 0x41, 0x42, 3, 4]),
            (E::SUPPORTED_VERSIONS, &[4, 3, 4, 3, 3], &[4, 0x7f, 0x1c, 3, 4]),
            (E::COOKIE, &[0, 1, 65], &[0, 1, 65, 66]),
            (E::PSK_KEY_EXCHANGE_MODES, &[2, 0x0b, 1], &[2, 0x41, 1]),
            (E::POST_HANDSHAKE_AUTH, &[], &[65]),
            (E::KEY_SHARE, &share, &[0, 5, 0, 29, 0, 1, 65]),
            (E::KEY_SHARE, &[0, 5, 0x3a, 0x3a, 0, 1, 0], &[0, 6, 0x3a, 0x3a, 0, 2, 0, 0]),
            (E::NEXT_PROTOCOL_NEGOTIATION, &[], &[65]),
            (E::APPLICATION_SETTINGS, b"\0\x03\x02h2", b"\0\x03\x02hi"),
            (E::TRUST_ANCHORS, &[0, 3, 2, 0x82, 1], &[0, 3, 2, 1, 0x82]),
            (E::ENCRYPTED_CLIENT_HELLO, &[0, 0, 1, 0, 1, 5, 0, 0, 0, 0], &[1, 0, 1, 0, 1, 5, 0, 0, 0, 0]),
            (E::RENEGOTIATION_INFO, &[0], &[1, 65]),
            (E(0x2a2a), &[0], &[65]),
            (E::PRE_SHARED_KEY, &binder, &[0, 7, 0, 1, b'i', 0, 0, 0, 0, 0, 2, 1, 65]),
        ];
        for (kind, defined, other) in cases {
            assert_eq!(Hello::ordinary().with(*kind, defined).check(), None, "{kind} {defined:?}");
            assert_eq!(
                Hello::ordinary().with(*kind, other).check(),
                Some(Irregularity::ExtensionContents(*kind)),
                "{kind} {other:?}"
            );
        }
    }

    #[test]
    fn a_server_answers_with_what_its_version_defines() {
        use ExtensionType as E;
        let share = [&[0, 29, 0, 32][..], &[7; 32]].concat();
        let chosen = [(E::SUPPORTED_VERSIONS, vec![3, 4]), (E::KEY_SHARE, share)];
        assert_eq!(server_hello(ProtocolVersion::TLS_1_3, false, &chosen), None);
        let retry =
            [(E::SUPPORTED_VERSIONS, vec![3, 4]), (E::KEY_SHARE, vec![0, 23]), (E::COOKIE, vec![0, 1, 65])];
        assert_eq!(server_hello(ProtocolVersion::TLS_1_3, true, &retry), None);
        let old = [
            (E::EC_POINT_FORMATS, vec![1, 0]),
            (E::ALPN, b"\0\x03\x02h2".to_vec()),
            (E::SESSION_TICKET, vec![]),
        ];
        assert_eq!(server_hello(ProtocolVersion::TLS_1_2, false, &old), None);
        for (kind, contents) in [
            (E::ALPN, &b"\0\x06\x02h2\x02h3"[..]),
            (E::SERVER_NAME, b"a"),
            (E::SESSION_TICKET, b"a"),
            (E::STATUS_REQUEST, &[1, 0, 0, 0, 0]),
        ] {
            let found = server_hello(ProtocolVersion::TLS_1_2, false, &[(kind, contents.to_vec())]);
            assert_eq!(found, Some(Irregularity::ExtensionContents(kind)));
        }
        let grease = server_hello(ProtocolVersion::TLS_1_3, false, &[(E(0x1a1a), vec![])]);
        assert_eq!(grease, Some(Irregularity::MisplacedExtension(E(0x1a1a))));
    }
}
