//! The counters of one direction: every byte of the stream is either explained or counted as unexplained, with the reason.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::cipher_suite::CipherSuite;
use super::code::{ContentType, HandshakeType, ProtocolVersion};
use super::cursor::Malformed;
use super::record::{HEADER_LEN, NotTls};
use crate::keylog::Label;

/// Counters of one direction. After [`Session::finish`](super::Session::finish) they are complete, and the kinds of bytes
/// add up to `bytes` ([`RecordCounters::adds_up`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordCounters {
    /// Bytes of the stream that were seen.
    pub bytes: u64,
    /// Of these: record headers.
    pub header_bytes: u64,
    /// Of these: plaintext handshake messages that parsed to the last byte.
    pub handshake_bytes: u64,
    /// Of these: well-formed `change_cipher_spec`.
    pub change_cipher_spec_bytes: u64,
    /// Of these: plaintext alerts of two bytes.
    pub alert_bytes: u64,
    /// Of these: protected fragments that authenticated, tags and padding included.
    pub authenticated_bytes: u64,
    /// Of these: all others.
    pub unexplained_bytes: u64,
    /// The unexplained bytes with the lowest stream offset.
    pub first_unexplained: Option<Unexplained>,
    /// Bytes that are missing from the capture.
    pub gap_bytes: u64,
    /// Bytes of the stream before the first one of TLS, which are not counted here: those of a proxy's protocol.
    pub preceding_bytes: u64,
    /// All records.
    pub records: u64,
    /// Records with the outer content type `application_data`: in TLS 1.3 all protected ones.
    pub application_data_records: u64,
    /// Protected records that authenticated.
    pub authenticated: u64,
    /// Protected records that did not authenticate.
    pub failed: u64,
    /// Protected records that could not be tried.
    pub not_decrypted: u64,
    /// Decrypted application data in bytes.
    pub application_bytes: u64,
}

impl RecordCounters {
    pub(super) const fn new() -> Self {
        Self {
            bytes: 0,
            header_bytes: 0,
            handshake_bytes: 0,
            change_cipher_spec_bytes: 0,
            alert_bytes: 0,
            authenticated_bytes: 0,
            unexplained_bytes: 0,
            first_unexplained: None,
            gap_bytes: 0,
            preceding_bytes: 0,
            records: 0,
            application_data_records: 0,
            authenticated: 0,
            failed: 0,
            not_decrypted: 0,
            application_bytes: 0,
        }
    }

    /// Counts a record and its header.
    pub(super) fn record(&mut self, content_type: ContentType) {
        self.records += 1;
        self.header_bytes += HEADER_LEN as u64;
        self.application_data_records += u64::from(content_type == ContentType::APPLICATION_DATA);
    }

    /// Counts unexplained bytes; none, where only a gap is to be noted.
    pub(super) fn unexplained(&mut self, bytes: u64, stream_offset: u64, reason: Reason) {
        self.unexplained_bytes += bytes;
        if self.first_unexplained.is_none_or(|first| stream_offset < first.stream_offset) {
            self.first_unexplained = Some(Unexplained { stream_offset, reason });
        }
    }

    /// Counts a protected record with `content` bytes of content. Nothing explains the header of one without content either.
    pub(super) fn unexplained_record(&mut self, content: u64, stream_offset: u64, reason: Reason) {
        let header = if content == 0 { HEADER_LEN as u64 } else { 0 };
        self.header_bytes -= header;
        self.unexplained(content + header, stream_offset, reason);
    }

    /// Whether every byte is explained and none is missing.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.first_unexplained.is_none() && self.unexplained_bytes == 0 && self.gap_bytes == 0
    }

    /// Whether the kinds of bytes add up to `bytes`, as they must once the session is finished.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.bytes
            == self.header_bytes
                + self.handshake_bytes
                + self.change_cipher_spec_bytes
                + self.alert_bytes
                + self.authenticated_bytes
                + self.unexplained_bytes
    }
}

/// The counters of a direction that has begun. They take no memory before its first whole record: a client that begins many
/// connections may never send one.
#[derive(Debug, Default)]
pub(super) struct BegunCounters {
    bytes: u64,
    all: Option<Box<RecordCounters>>,
}

impl BegunCounters {
    /// Counts bytes of the stream.
    pub(super) fn receive(&mut self, bytes: u64) {
        self.bytes += bytes;
        if let Some(all) = &mut self.all {
            all.bytes = self.bytes;
        }
    }

    /// Stream offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.preceding_bytes + self.bytes + self.gap_bytes
    }
}

impl Deref for BegunCounters {
    type Target = RecordCounters;

    fn deref(&self) -> &RecordCounters {
        static NONE: RecordCounters = RecordCounters::new();
        self.all.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for BegunCounters {
    fn deref_mut(&mut self) -> &mut RecordCounters {
        let bytes = self.bytes;
        self.all.get_or_insert_with(|| Box::new(RecordCounters { bytes, ..RecordCounters::new() }))
    }
}

/// The first bytes that could not be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unexplained {
    /// Stream offset of their record, or their own where there is no record.
    pub stream_offset: u64,
    /// Why they are unexplained.
    pub reason: Reason,
}

/// Why bytes of a TLS stream are not explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A protected record that could not be tried.
    NotDecrypted(NotDecrypted),
    /// A protected record that did not authenticate.
    NotAuthentic,
    /// Bytes are missing from the capture here.
    Gap,
    /// Bytes after a gap that hides where the next record begins.
    AfterGap,
    /// The bytes are not a record.
    NotTls(NotTls),
    /// A record of a version that is described, and never opened: SSL 3.0, or a ClientHello of SSL 2.0.
    RecordVersion(ProtocolVersion),
    /// The stream ends within a record.
    PartialRecord,
    /// The stream, or its part in the clear, ends within a handshake message.
    PartialHandshake,
    /// A `change_cipher_spec` that is not the single byte 0x01, comes after the handshake (RFC 9846 §5), or exceeds
    /// [`MAX_CHANGE_CIPHER_SPECS`](super::MAX_CHANGE_CIPHER_SPECS).
    ChangeCipherSpec,
    /// A malformed alert in the clear.
    Alert,
    /// An alert in front of the hello of its sender. Not even TLS 1.2 requires one there.
    AlertBeforeHello,
    /// A handshake message in the clear that does not parse.
    Handshake(HandshakeType, Malformed),
    /// A handshake message in the clear that exceeds [`MAX_HANDSHAKE_MESSAGE`](super::MAX_HANDSHAKE_MESSAGE).
    HandshakeTooLong(HandshakeType),
    /// A handshake message that may not be sent in the clear, or not now.
    UnexpectedHandshake(HandshakeType),
    /// A record in the clear after protected ones.
    PlaintextAfterEncryption(ContentType),
    /// A content type that neither TLS 1.2 nor TLS 1.3 expects here.
    UnexpectedContentType(ContentType),
}

/// Why a protected record could not be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotDecrypted {
    /// No key log was given.
    NoKeyLog,
    /// The key log has no entry for this connection.
    ClientRandomNotInKeyLog,
    /// The key log has an entry for this connection, but lacks this secret.
    SecretMissing(Label),
    /// The secret is not as long as the hash of the cipher suite.
    SecretLength(Label),
    /// The capture lacks the ClientHello of the connection: it began later, or has a gap there.
    NoClientHello,
    /// The capture lacks the ServerHello of the connection.
    NoServerHello,
    /// A version that is not decrypted.
    Version(ProtocolVersion),
    /// The records are compressed before they are encrypted (RFC 3749).
    Compression,
    /// A cipher suite that is not decrypted.
    CipherSuite(CipherSuite),
    /// There are server keys, and the key exchange has forward secrecy.
    ForwardSecret,
    /// There are server keys, and the key exchange of this suite is neither RSA nor forward secret.
    KeyExchange(CipherSuite),
    /// There are server keys, but none belongs to the certificate of the connection.
    NoServerKey,
    /// The server key that belongs to the certificate does not decrypt the premaster secret.
    PremasterSecret,
    /// The master secret depends on the whole handshake (RFC 7627), of which a part is missing.
    SessionHash,
    /// It resumes a session whose master secret is not known.
    Resumed,
    /// 0-RTT data that no early traffic secret decrypts.
    EarlyData,
    /// [`MAX_FAILURES`](super::MAX_FAILURES) records in a row did not authenticate.
    AfterFailures,
}

impl fmt::Display for NotDecrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeyLog => f.write_str("no key log was given"),
            Self::ClientRandomNotInKeyLog => f.write_str("the key log has no entry for this connection"),
            Self::SecretMissing(label) => write!(f, "the key log lacks {label}"),
            Self::SecretLength(label) => write!(f, "{label} is not as long as the cipher suite requires"),
            Self::NoClientHello => {
                f.write_str("the capture lacks the ClientHello, so no key can be looked up")
            }
            Self::NoServerHello => {
                f.write_str("the capture lacks the ServerHello, so the cipher suite is unknown")
            }
            Self::Version(version) => write!(f, "{version} decryption is not supported"),
            Self::Compression => f.write_str("decryption of compressed records is not supported"),
            Self::CipherSuite(suite) => write!(f, "decryption of {suite} is not supported"),
            Self::ForwardSecret => {
                f.write_str("its key exchange has forward secrecy, so that a server's key does not open it")
            }
            Self::KeyExchange(suite) => {
                write!(f, "a server's RSA key does not open the key exchange of {suite}")
            }
            Self::NoServerKey => f.write_str("no server key belongs to its certificate"),
            Self::PremasterSecret => f.write_str("the server key does not decrypt its premaster secret"),
            Self::SessionHash => {
                f.write_str("a part of its handshake is missing, on which its master secret depends")
            }
            Self::Resumed => f.write_str("it resumes a session that was not opened"),
            Self::EarlyData => f.write_str("0-RTT data that no early traffic secret decrypts"),
            Self::AfterFailures => f.write_str("too many records before it did not authenticate"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDecrypted(why) => write!(f, "a protected record could not be decrypted: {why}"),
            Self::NotAuthentic => f.write_str("a protected record did not authenticate"),
            Self::Gap => f.write_str("bytes are missing from the capture"),
            Self::AfterGap => f.write_str("bytes after a gap that hides where the next record begins"),
            Self::NotTls(why) => write!(f, "not TLS: {why}"),
            Self::RecordVersion(version) => write!(f, "records of {version}, which are not opened"),
            Self::PartialRecord => f.write_str("the stream ends within a record"),
            Self::PartialHandshake => f.write_str("a handshake message is cut off"),
            Self::ChangeCipherSpec => {
                f.write_str("change_cipher_spec is malformed, out of place or repeated too often")
            }
            Self::Alert => f.write_str("an alert in the clear is malformed"),
            Self::AlertBeforeHello => f.write_str("an alert in front of a hello"),
            Self::Handshake(kind, why) => write!(f, "{kind} does not parse: {why}"),
            Self::HandshakeTooLong(kind) => write!(f, "{kind} is too long"),
            Self::UnexpectedHandshake(kind) => {
                write!(f, "{kind} in the clear where the protocol does not allow it")
            }
            Self::PlaintextAfterEncryption(kind) => write!(f, "{kind} in the clear after protected records"),
            Self::UnexpectedContentType(kind) => write!(f, "unexpected content type {kind}"),
        }
    }
}
