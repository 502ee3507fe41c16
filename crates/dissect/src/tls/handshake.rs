//! The contents of handshake messages (RFC 9846 §4, RFC 5246 §7.4).
//!
//! Parsing is strict: lengths must add up and no bytes may follow, because a message counts as explained only if all of
//! its bytes are. Values are kept as sent, including GREASE.

use std::sync::Arc;

use super::certificate::{Certificate, CertificateCache};
use super::cipher_suite::CipherSuite;
use super::code::{ExtensionType, HandshakeType, NamedGroup, ProtocolVersion};
use super::cursor::{Cursor, Malformed, Parsed};
use super::handshake_deframer::{DeframedMessage, MAX_HANDSHAKE_MESSAGE};
use super::hello_rules::{Irregularity, check_client_hello, check_server_hello};
use super::resumption::ResumptionId;
use super::ssl2_hello::Ssl2Hello;
#[cfg(feature = "content")]
use crate::content::{Coding, Decoder, Outcome};

/// Maximum number of certificates that are read in one message; real chains have two to four. Further ones are only
/// counted.
pub const MAX_CERTIFICATES: usize = 16;

/// Longest Certificate message that is taken from a compressed one: as long as the longest message that is read.
#[cfg(feature = "content")]
const MAX_UNCOMPRESSED: usize = MAX_HANDSHAKE_MESSAGE;

/// Longest session id (RFC 9846 §4.1.2).
const MAX_SESSION_ID: usize = 32;

/// The first draft of TLS 1.3 whose ServerHello looks like that of TLS 1.2.
const FIRST_DRAFT_WITH_SESSION_ID: u8 = 22;

/// The random of a HelloRetryRequest: SHA-256 of "HelloRetryRequest" (RFC 9846 §4.1.3).
const HELLO_RETRY_REQUEST_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A handshake message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// ClientHello.
    ClientHello(Box<ClientHello>),
    /// ServerHello or HelloRetryRequest.
    ServerHello(Box<ServerHello>),
    /// EncryptedExtensions of TLS 1.3.
    EncryptedExtensions(EncryptedExtensions),
    /// Certificate; the chain is empty where a client has none.
    Certificate(CertificateChain),
    /// NewSessionTicket of TLS 1.3.
    NewSessionTicket(NewSessionTicket),
    /// KeyUpdate: the sender changes its keys (RFC 9846 §4.6.3).
    KeyUpdate {
        /// Whether the other side is asked to do the same.
        update_requested: bool,
    },
    /// Finished: the last handshake message of its sender (RFC 9846 §4.4.4).
    Finished,
    /// EndOfEarlyData: the last message under 0-RTT keys (RFC 9846 §4.5).
    EndOfEarlyData,
    /// A message whose body is not parsed.
    Other {
        /// Type of the message.
        message_type: HandshakeType,
        /// Length of its body in bytes.
        length: usize,
    },
    /// A message that does not parse.
    Malformed {
        /// Type of the message.
        message_type: HandshakeType,
        /// The field that does not parse.
        error: Malformed,
    },
    /// A message over the bound, which is skipped.
    TooLong {
        /// Type of the message.
        message_type: HandshakeType,
        /// Length that it announces, in bytes.
        length: usize,
    },
}

impl Message {
    /// Parses a message by its type.
    pub(super) fn read(
        deframed: &DeframedMessage<'_>,
        is_tls13: bool,
        certificates: &mut CertificateCache,
    ) -> Self {
        let (message_type, length) = (deframed.message_type, deframed.length);
        let Some(body) = deframed.body else { return Self::TooLong { message_type, length } };
        if deframed.is_ssl2 {
            return match ClientHello::parse_ssl2(body) {
                Ok(hello) => Self::ClientHello(Box::new(hello)),
                Err(error) => Self::Malformed { message_type, error },
            };
        }
        let read = match message_type {
            HandshakeType::CLIENT_HELLO => {
                ClientHello::parse(body).map(|hello| Self::ClientHello(Box::new(hello)))
            }
            HandshakeType::SERVER_HELLO => {
                ServerHello::parse(body).map(|hello| Self::ServerHello(Box::new(hello)))
            }
            HandshakeType::CERTIFICATE => {
                parse_chain(body, is_tls13, |der| certificates.read(der)).map(Self::Certificate)
            }
            #[cfg(feature = "content")]
            HandshakeType::COMPRESSED_CERTIFICATE if is_tls13 => {
                parse_compressed_chain(body, |der| certificates.read(der)).map(Self::Certificate)
            }
            HandshakeType::ENCRYPTED_EXTENSIONS => {
                EncryptedExtensions::parse(body).map(Self::EncryptedExtensions)
            }
            HandshakeType::NEW_SESSION_TICKET if is_tls13 => {
                NewSessionTicket::parse(body).map(Self::NewSessionTicket)
            }
            HandshakeType::KEY_UPDATE => {
                parse_key_update(body).map(|update_requested| Self::KeyUpdate { update_requested })
            }
            HandshakeType::FINISHED => Ok(Self::Finished),
            HandshakeType::END_OF_EARLY_DATA => Ok(Self::EndOfEarlyData),
            _ => Ok(Self::Other { message_type, length }),
        };
        read.unwrap_or_else(|error| Self::Malformed { message_type, error })
    }

    /// Parses a message that QUIC carries (RFC 9001 §4), always of TLS 1.3.
    pub(crate) fn of_quic(message_type: HandshakeType, body: &[u8]) -> Self {
        let (length, range) = (body.len(), 0..0);
        let message = DeframedMessage { message_type, body: Some(body), length, range, is_ssl2: false };
        Self::read(&message, true, &mut CertificateCache::default())
    }

    /// Type of the message on the wire.
    #[must_use]
    pub fn message_type(&self) -> HandshakeType {
        match self {
            Self::ClientHello(_) => HandshakeType::CLIENT_HELLO,
            Self::ServerHello(_) => HandshakeType::SERVER_HELLO,
            Self::EncryptedExtensions(_) => HandshakeType::ENCRYPTED_EXTENSIONS,
            Self::Certificate(chain) if chain.is_compressed => HandshakeType::COMPRESSED_CERTIFICATE,
            Self::Certificate(_) => HandshakeType::CERTIFICATE,
            Self::NewSessionTicket(_) => HandshakeType::NEW_SESSION_TICKET,
            Self::KeyUpdate { .. } => HandshakeType::KEY_UPDATE,
            Self::Finished => HandshakeType::FINISHED,
            Self::EndOfEarlyData => HandshakeType::END_OF_EARLY_DATA,
            Self::Other { message_type, .. }
            | Self::Malformed { message_type, .. }
            | Self::TooLong { message_type, .. } => *message_type,
        }
    }
}

/// ClientHello (RFC 9846 §4.1.2). Text fields show bytes outside printable ASCII escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHello {
    /// `legacy_version`.
    pub legacy_version: ProtocolVersion,
    /// `random`, under which a key log lists the secrets of the connection.
    pub random: [u8; 32],
    /// `legacy_session_id`.
    pub session_id: Vec<u8>,
    /// Cipher suites in order of preference.
    pub cipher_suites: Vec<CipherSuite>,
    /// Extension types in the order of the message.
    pub extensions: Vec<ExtensionType>,
    /// Versions from `supported_versions`; empty where the extension is missing.
    pub supported_versions: Vec<ProtocolVersion>,
    /// Host name from `server_name`, visible on the wire.
    pub server_name: Option<String>,
    /// Protocols from ALPN, visible on the wire.
    pub alpn: Vec<String>,
    /// Groups from `supported_groups`.
    pub supported_groups: Vec<NamedGroup>,
    /// Point formats from `ec_point_formats`, as numbers (RFC 8422 §5.1.2).
    pub ec_point_formats: Vec<u8>,
    /// The first protocol of ALPN, as sent; empty without one.
    pub(super) first_protocol: Vec<u8>,
    /// The ticket of `session_ticket` (RFC 5077 §3.2), if there is one.
    pub(super) ticket: Option<Box<ResumptionId>>,
    /// Groups with a key share.
    pub key_share_groups: Vec<NamedGroup>,
    /// Signature schemes, as numbers.
    pub signature_schemes: Vec<u16>,
    /// Whether `pre_shared_key` offers resumption.
    pub offers_psk: bool,
    /// Whether `early_data` announces 0-RTT.
    pub offers_early_data: bool,
    /// Whether `encrypted_client_hello` is present (possibly as GREASE).
    pub offers_encrypted_client_hello: bool,
    /// The first thing in it that no rule foresees.
    pub irregularity: Option<Irregularity>,
}

/// ServerHello or HelloRetryRequest (RFC 9846 §4.1.3, §4.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerHello {
    /// Whether it is a HelloRetryRequest.
    pub is_hello_retry_request: bool,
    /// `random`.
    pub random: [u8; 32],
    /// `legacy_session_id_echo`.
    pub session_id: Vec<u8>,
    /// Negotiated version: from `supported_versions` if present, else the legacy field.
    pub version: ProtocolVersion,
    /// Negotiated cipher suite.
    pub cipher_suite: CipherSuite,
    /// `compression_method`, or `legacy_compression_method` of TLS 1.3: 0 for none.
    pub compression_method: u8,
    /// Group of the server's key share; in a HelloRetryRequest, the group that the server asks for.
    pub key_share_group: Option<NamedGroup>,
    /// Whether a pre-shared key was accepted: no certificate follows.
    pub accepts_psk: bool,
    /// ALPN protocol; TLS 1.3 sends it in EncryptedExtensions instead.
    pub alpn: Option<String>,
    /// Extension types in the order of the message.
    pub extensions: Vec<ExtensionType>,
    /// The first thing in it that no rule foresees.
    pub irregularity: Option<Irregularity>,
}

/// EncryptedExtensions (RFC 9846 §4.3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncryptedExtensions {
    /// ALPN protocol the server chose.
    pub alpn: Option<String>,
    /// Whether 0-RTT data are accepted.
    pub accepts_early_data: bool,
    /// Extension types in the order of the message.
    pub extensions: Vec<ExtensionType>,
}

/// Certificate message (RFC 9846 §4.4.2, RFC 5246 §7.4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateChain {
    /// The first [`MAX_CERTIFICATES`], leaf first.
    pub certificates: Vec<Arc<Certificate>>,
    /// Number of certificates in the message.
    pub total: usize,
    /// Whether the message was compressed (RFC 8879).
    pub is_compressed: bool,
}

/// NewSessionTicket of TLS 1.3 (RFC 9846 §4.6.1), without the ticket itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewSessionTicket {
    /// Lifetime in seconds.
    pub lifetime_seconds: u32,
    /// Length of the ticket in bytes.
    pub ticket_length: usize,
    /// Bytes of 0-RTT data that it permits, if any.
    pub max_early_data: Option<u32>,
}

/// The ticket in the body of a NewSessionTicket before TLS 1.3 (RFC 5077 §3.3): a lifetime, and the ticket.
pub(super) fn issued_ticket(body: &[u8]) -> Option<ResumptionId> {
    let mut cursor = Cursor::new(body);
    cursor.array::<4>("ticket_lifetime_hint").ok()?;
    ResumptionId::of(cursor.vec16("ticket").ok()?.rest())
}

/// Captured bytes as text that is safe to display.
fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Parses an extension block that extends to the end of the message.
fn extensions<'a>(
    cursor: &mut Cursor<'a>,
    mut each: impl FnMut(ExtensionType, Cursor<'a>) -> Parsed<()>,
) -> Parsed<Vec<ExtensionType>> {
    let mut types = Vec::new();
    let mut block = cursor.vec16("extensions")?;
    while !block.is_empty() {
        let extension = ExtensionType(block.u16("extension_type")?);
        types.push(extension);
        each(extension, block.vec16("extension_data")?)?;
    }
    cursor.end("bytes after the extensions")?;
    Ok(types)
}

/// `ProtocolNameList` (RFC 7301 §3.1).
fn alpn_list(mut body: Cursor<'_>) -> Parsed<Vec<String>> {
    let mut names = Vec::new();
    let mut list = body.vec16("protocol_name_list")?;
    while !list.is_empty() {
        names.push(text(list.vec8("protocol_name")?.rest()));
    }
    body.end("bytes after protocol_name_list")?;
    Ok(names)
}

/// A `ProtocolNameList` with exactly one name, as a server sends it.
fn alpn_choice(body: Cursor<'_>) -> Parsed<Option<String>> {
    let wrong = body.wrong("protocol_name_list");
    let mut names = alpn_list(body)?;
    if names.len() == 1 { Ok(names.pop()) } else { Err(wrong) }
}

impl ClientHello {
    /// Parses the body of the message.
    ///
    /// # Errors
    /// Names the first field that does not parse.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body);
        let legacy_version = ProtocolVersion(cursor.u16("legacy_version")?);
        let random = cursor.array("random")?;
        let session_id = session_id(&mut cursor)?;
        let suites = cursor.vec16("cipher_suites")?;
        let cipher_suites = suites.all_u16("cipher_suites", CipherSuite)?;
        cursor.vec8("legacy_compression_methods")?;
        let mut hello = Self {
            irregularity: check_client_hello(body),
            ..Self::without_extensions(legacy_version, random, session_id, cipher_suites)
        };
        // Before TLS 1.3 the extension block may be missing altogether (RFC 5246 §7.4.1.2).
        if !cursor.is_empty() {
            hello.extensions = extensions(&mut cursor, |kind, body| hello.extension(kind, body))?;
        }
        Ok(hello)
    }

    /// Parses a message in the form of SSL 2.0 (RFC 5246 appendix E.2) from its version on.
    fn parse_ssl2(body: &[u8]) -> Parsed<Self> {
        let Ssl2Hello { version, cipher_suites, session_id, random } = Ssl2Hello::parse(body)?;
        Ok(Self {
            irregularity: Some(Irregularity::Ssl2Form),
            ..Self::without_extensions(version, random, session_id.to_vec(), cipher_suites)
        })
    }

    fn without_extensions(
        legacy_version: ProtocolVersion,
        random: [u8; 32],
        session_id: Vec<u8>,
        cipher_suites: Vec<CipherSuite>,
    ) -> Self {
        Self {
            legacy_version,
            random,
            session_id,
            cipher_suites,
            extensions: Vec::new(),
            supported_versions: Vec::new(),
            server_name: None,
            alpn: Vec::new(),
            supported_groups: Vec::new(),
            ec_point_formats: Vec::new(),
            first_protocol: Vec::new(),
            ticket: None,
            key_share_groups: Vec::new(),
            signature_schemes: Vec::new(),
            offers_psk: false,
            offers_early_data: false,
            offers_encrypted_client_hello: false,
            irregularity: None,
        }
    }

    fn extension(&mut self, kind: ExtensionType, mut body: Cursor<'_>) -> Parsed<()> {
        match kind {
            ExtensionType::SERVER_NAME => {
                let mut list = body.vec16("server_name_list")?;
                while !list.is_empty() {
                    let name_type = list.u8("name_type")?;
                    let name = list.vec16("host_name")?;
                    if name_type == 0 && self.server_name.is_none() {
                        self.server_name = Some(text(name.rest()));
                    }
                }
            }
            ExtensionType::SUPPORTED_GROUPS => {
                self.supported_groups = body.vec16("named_group_list")?.all_u16("named_group", NamedGroup)?;
            }
            ExtensionType::SIGNATURE_ALGORITHMS => {
                self.signature_schemes =
                    body.vec16("supported_signature_algorithms")?.all_u16("scheme", |v| v)?;
            }
            ExtensionType::ALPN => {
                self.alpn = alpn_list(body)?;
                let mut list = body.vec16("protocol_name_list")?;
                if !list.is_empty() {
                    self.first_protocol = list.vec8("protocol_name")?.rest().to_vec();
                }
                return Ok(());
            }
            ExtensionType::EC_POINT_FORMATS => {
                // Nothing depends on it: a list that does not parse is left out.
                self.ec_point_formats =
                    body.vec8("ec_point_format_list").map(|list| list.rest().to_vec()).unwrap_or_default();
                return Ok(());
            }
            ExtensionType::SUPPORTED_VERSIONS => {
                self.supported_versions = body.vec8("versions")?.all_u16("versions", ProtocolVersion)?;
            }
            ExtensionType::KEY_SHARE => {
                let mut shares = body.vec16("client_shares")?;
                while !shares.is_empty() {
                    self.key_share_groups.push(NamedGroup(shares.u16("key_share group")?));
                    shares.vec16("key_exchange")?;
                }
            }
            ExtensionType::PRE_SHARED_KEY => {
                self.offers_psk = true;
                return Ok(());
            }
            ExtensionType::SESSION_TICKET => {
                self.ticket = ResumptionId::of(body.rest()).map(Box::new);
                return Ok(());
            }
            ExtensionType::EARLY_DATA => self.offers_early_data = true,
            ExtensionType::ENCRYPTED_CLIENT_HELLO => {
                self.offers_encrypted_client_hello = true;
                return Ok(());
            }
            _ => return Ok(()),
        }
        body.end("bytes after the extension")
    }
}

impl ServerHello {
    /// Parses the body of the message.
    ///
    /// # Errors
    /// Names the first field that does not parse.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body);
        let legacy_version = ProtocolVersion(cursor.u16("legacy_version")?);
        let random = cursor.array("random")?;
        let is_hello_retry_request = random == HELLO_RETRY_REQUEST_RANDOM;
        // Before draft 22, a ServerHello of TLS 1.3 named its version here, and had neither session id nor compression.
        let is_old_draft = legacy_version.draft().is_some_and(|draft| draft < FIRST_DRAFT_WITH_SESSION_ID);
        let session_id = if is_old_draft { Vec::new() } else { session_id(&mut cursor)? };
        let cipher_suite = CipherSuite(cursor.u16("cipher_suite")?);
        let compression_method = if is_old_draft { 0 } else { cursor.u8("legacy_compression_method")? };
        let mut hello = Self {
            is_hello_retry_request,
            random,
            session_id,
            version: legacy_version,
            cipher_suite,
            compression_method,
            key_share_group: None,
            accepts_psk: false,
            alpn: None,
            extensions: Vec::new(),
            irregularity: None,
        };
        if !cursor.is_empty() {
            hello.extensions = extensions(&mut cursor, |kind, body| hello.extension(kind, body))?;
        }
        hello.irregularity = match hello.version.draft() {
            // No rule covers drafts.
            Some(_) => Some(Irregularity::Version(hello.version)),
            None => check_server_hello(body, is_hello_retry_request, hello.version),
        };
        Ok(hello)
    }

    fn extension(&mut self, kind: ExtensionType, mut body: Cursor<'_>) -> Parsed<()> {
        match kind {
            ExtensionType::SUPPORTED_VERSIONS => {
                self.version = ProtocolVersion(body.u16("selected_version")?);
            }
            ExtensionType::KEY_SHARE => {
                self.key_share_group = Some(NamedGroup(body.u16("key_share group")?));
                if !self.is_hello_retry_request {
                    body.vec16("key_exchange")?;
                }
            }
            ExtensionType::PRE_SHARED_KEY => {
                body.u16("selected_identity")?;
                self.accepts_psk = true;
            }
            ExtensionType::ALPN => {
                self.alpn = alpn_choice(body)?;
                return Ok(());
            }
            _ => return Ok(()),
        }
        body.end("bytes after the extension")
    }
}

fn session_id(cursor: &mut Cursor<'_>) -> Parsed<Vec<u8>> {
    let wrong = cursor.wrong("legacy_session_id");
    let id = cursor.vec8("legacy_session_id")?.rest();
    if id.len() > MAX_SESSION_ID { Err(wrong) } else { Ok(id.to_vec()) }
}

impl EncryptedExtensions {
    /// Parses the body of the message.
    ///
    /// # Errors
    /// Names the first field that does not parse.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut parsed = Self::default();
        let types = extensions(&mut Cursor::new(body), |kind, body| {
            match kind {
                ExtensionType::ALPN => parsed.alpn = alpn_choice(body)?,
                ExtensionType::EARLY_DATA => parsed.accepts_early_data = true,
                _ => {}
            }
            Ok(())
        })?;
        parsed.extensions = types;
        Ok(parsed)
    }
}

impl NewSessionTicket {
    /// Parses the body of the TLS 1.3 message.
    ///
    /// # Errors
    /// Names the first field that does not parse.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body);
        let lifetime_seconds = cursor.u32("ticket_lifetime")?;
        cursor.u32("ticket_age_add")?;
        cursor.vec8("ticket_nonce")?;
        let ticket_length = cursor.vec16("ticket")?.rest().len();
        let mut max_early_data = None;
        extensions(&mut cursor, |kind, mut body| {
            if kind == ExtensionType::EARLY_DATA {
                max_early_data = Some(body.u32("max_early_data_size")?);
            }
            Ok(())
        })?;
        Ok(Self { lifetime_seconds, ticket_length, max_early_data })
    }
}

/// Parses the body of a Certificate message, in the format of TLS 1.3 or of earlier versions. `read` parses one DER
/// certificate.
fn parse_chain(
    body: &[u8],
    is_tls13: bool,
    mut read: impl FnMut(&[u8]) -> Arc<Certificate>,
) -> Parsed<CertificateChain> {
    let mut cursor = Cursor::new(body);
    if is_tls13 {
        cursor.vec8("certificate_request_context")?;
    }
    let mut list = cursor.vec24("certificate_list")?;
    cursor.end("bytes after certificate_list")?;
    let mut chain = CertificateChain::default();
    while !list.is_empty() {
        let der = list.vec24("cert_data")?.rest();
        if is_tls13 {
            list.vec16("certificate extensions")?;
        }
        chain.total += 1;
        if chain.certificates.len() < MAX_CERTIFICATES {
            chain.certificates.push(read(der));
        }
    }
    Ok(chain)
}

/// Parses the body of a CompressedCertificate message (RFC 8879 §4), whose bytes must be those of a Certificate message of TLS 1.3 in
/// the length that it announces.
#[cfg(feature = "content")]
fn parse_compressed_chain(
    body: &[u8],
    read: impl FnMut(&[u8]) -> Arc<Certificate>,
) -> Parsed<CertificateChain> {
    let mut cursor = Cursor::new(body);
    let coding = match cursor.u16("algorithm")? {
        1 => Coding::Deflate,
        2 => Coding::Brotli,
        3 => Coding::Zstd,
        _ => Coding::Unknown,
    };
    let length = cursor.u24("uncompressed_length")?;
    let compressed = cursor.vec24("compressed_certificate_message")?;
    cursor.end("bytes after compressed_certificate_message")?;
    let malformed = Malformed { field: "compressed_certificate_message", offset: 8, needed: 0, available: 0 };
    if length > MAX_UNCOMPRESSED {
        return Err(malformed);
    }
    let mut chain = Vec::new();
    let outcome = Decoder::default().decode_up_to(length as u64, &[coding], compressed.rest(), |piece| {
        chain.extend_from_slice(piece);
    });
    if outcome != Outcome::Complete || chain.len() != length {
        return Err(malformed);
    }
    Ok(CertificateChain { is_compressed: true, ..parse_chain(&chain, true, read)? })
}

/// Parses the body of a KeyUpdate: one byte, 0 or 1 (RFC 9846 §4.6.3).
fn parse_key_update(body: &[u8]) -> Parsed<bool> {
    let mut cursor = Cursor::new(body);
    let wrong = cursor.wrong("request_update");
    let requested = cursor.u8("request_update")?;
    cursor.end("bytes after request_update")?;
    match requested {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_server_hellos_of_drafts_and_calls_them_irregular() {
        let extensions = [&[0, 43, 0, 2][..], &ProtocolVersion::DRAFT_23.0.to_be_bytes()].concat();
        let late = [&[3, 3][..], &[7; 32], &[0, 0x13, 0x01, 0], &[0, 6], &extensions].concat();
        let early = [&ProtocolVersion::DRAFT_20.0.to_be_bytes()[..], &[7; 32], &[0x13, 0x01, 0, 0]].concat();
        for (body, version, draft) in
            [(late, ProtocolVersion::DRAFT_23, 23), (early, ProtocolVersion::DRAFT_20, 20)]
        {
            let hello = ServerHello::parse(&body).unwrap();
            assert_eq!((hello.version, hello.version.draft()), (version, Some(draft)));
            assert_eq!(hello.cipher_suite, CipherSuite::TLS_AES_128_GCM_SHA256);
            assert_eq!(hello.irregularity, Some(Irregularity::Version(version)));
            assert!(hello.version.is_tls13() && hello.version.to_string().starts_with("TLS 1.3 (draft "));
        }
        assert_eq!(ProtocolVersion::TLS_1_2.draft(), None);
        assert_eq!(ProtocolVersion(0x7fff).draft(), None);
    }

    /// A ClientHello body with the given extension block.
    fn client_hello(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        body
    }

    /// RFC 8879 §4, §7: zlib is algorithm 1.
    #[cfg(feature = "content")]
    #[test]
    fn compressed_certificates_are_read_like_others() {
        use std::io::Write as _;

        let read = |body: &[u8]| parse_compressed_chain(body, |der| Arc::new(Certificate::parse(der)));
        let vec24 = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat();
        let entry = |der: &[u8]| [vec24(der), vec![0, 0]].concat();
        let chain = [vec![0], vec24(&[entry(&[1; 300]), entry(&[2; 300])].concat())].concat();
        let compressed = |bytes: &[u8]| {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let body = |algorithm: u16, length: usize, bytes: &[u8]| {
            [&algorithm.to_be_bytes(), &(length as u32).to_be_bytes()[1..], &vec24(bytes)].concat()
        };
        let whole = compressed(&chain);
        let found = read(&body(1, chain.len(), &whole)).unwrap();
        assert_eq!(
            found.certificates,
            parse_chain(&chain, true, |der| Arc::new(Certificate::parse(der))).unwrap().certificates
        );
        assert!(found.is_compressed && found.total == 2);
        for wrong in [
            body(1, chain.len() - 1, &whole),
            body(1, chain.len() + 1, &whole),
            body(1, chain.len(), &whole[..whole.len() - 5]),
            body(2, chain.len(), &whole),
            body(9, chain.len(), &whole),
            body(1, chain.len(), &compressed(&[&chain[..], b"x"].concat())),
            body(1, 1 << 20, &compressed(&vec![0; 1 << 20])),
            [&body(1, chain.len(), &whole)[..], b"x"].concat(),
        ] {
            assert!(read(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn parses_the_extensions_of_a_client_hello() {
        let body = client_hello(&[
            0, 0, 0, 9, 0, 7, 0, 0, 4, b'h', b'o', b's', 0x1b, // server_name "hos\x1b"
            0, 16, 0, 5, 0, 3, 2, b'h', b'2', // ALPN h2
            0, 43, 0, 3, 2, 3, 4, // supported_versions 1.3
            0, 51, 0, 7, 0, 5, 0x11, 0xec, 0, 1, 9, // key_share X25519MLKEM768
            0, 42, 0, 0, // early_data
        ]);
        let hello = ClientHello::parse(&body).unwrap();
        assert_eq!(hello.server_name.as_deref(), Some("hos\\x1b"));
        assert_eq!(hello.alpn, ["h2"]);
        assert_eq!(hello.supported_versions, [ProtocolVersion::TLS_1_3]);
        assert_eq!(hello.key_share_groups, [NamedGroup::X25519MLKEM768]);
        assert_eq!(hello.cipher_suites, [CipherSuite::TLS_AES_128_GCM_SHA256]);
        assert!(hello.offers_early_data && !hello.offers_psk);
        for len in 0..body.len() {
            // Without its extension block it is a valid hello of TLS 1.2.
            assert_eq!(ClientHello::parse(&body[..len]).is_ok(), len == 41, "{len}");
        }
    }

    #[test]
    fn rejects_trailing_bytes() {
        let mut body = client_hello(&[]);
        assert!(ClientHello::parse(&body).is_ok());
        body.push(0);
        assert_eq!(ClientHello::parse(&body).unwrap_err().field, "bytes after the extensions");
        assert_eq!(
            ClientHello::parse(&client_hello(&[0, 42, 0, 1, 0])).unwrap_err().field,
            "bytes after the extension"
        );
        assert!(parse_key_update(&[2]).is_err() && parse_key_update(&[1, 0]).is_err());
        assert_eq!(parse_key_update(&[1]), Ok(true));
    }
}
