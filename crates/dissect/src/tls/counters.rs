//! The counters of one direction: every byte of the stream is explained, or counted as unexplained with the reason.

use std::fmt;

use super::code::{CipherSuite, ContentType, HandshakeType, ProtocolVersion};
use super::cursor::Malformed;
use super::record::{HEADER_LEN, NotTls};
use crate::keylog::Label;

/// Counts of one direction. Complete after [`Session::finish`](super::Session::finish); then the kinds of bytes add up
/// to `bytes` ([`RecordCounters::adds_up`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordCounters {
    /// Bytes of the stream that were seen.
    pub bytes: u64,
    /// Of these: record headers.
    pub header_bytes: u64,
    /// Of these: plaintext handshake messages that parsed to the last byte.
    pub handshake_bytes: u64,
    /// Of these: `change_cipher_spec`, exactly the byte 0x01.
    pub change_cipher_spec_bytes: u64,
    /// Of these: plaintext alerts of two bytes.
    pub alert_bytes: u64,
    /// Of these: protected fragments that authenticated, tags and padding included.
    pub authenticated_bytes: u64,
    /// Of these: everything else.
    pub unexplained_bytes: u64,
    /// Unexplained bytes with the lowest stream offset.
    pub first_unexplained: Option<Unexplained>,
    /// Bytes that are missing from the capture, by the gaps reported.
    pub gap_bytes: u64,
    /// Records.
    pub records: u64,
    /// Records with the outer content type `application_data`: in TLS 1.3 all protected ones.
    pub application_data_records: u64,
    /// Protected records that authenticated.
    pub authenticated: u64,
    /// Protected records that did not.
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

    pub(super) fn unexplained(&mut self, bytes: u64, stream_offset: u64, reason: Reason) {
        self.unexplained_bytes += bytes;
        if self.first_unexplained.is_none_or(|first| stream_offset < first.stream_offset) {
            self.first_unexplained = Some(Unexplained { stream_offset, reason });
        }
    }

    /// Whether every byte is explained and none is missing. Necessary for the verdict `sealed`.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.first_unexplained.is_none() && self.unexplained_bytes == 0 && self.gap_bytes == 0
    }

    /// Whether the kinds of bytes add up to all bytes, as they must once the session is finished.
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

/// The first bytes that could not be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unexplained {
    /// Stream offset of the record, or of the bytes where there is none.
    pub stream_offset: u64,
    /// Why.
    pub reason: Reason,
}

/// Why bytes of a TLS stream are not explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A protected record that could not be tried.
    NotDecrypted(NotDecrypted),
    /// A protected record did not authenticate.
    NotAuthentic,
    /// Bytes are missing from the capture here.
    Gap,
    /// Bytes after a hole that hides where the next record begins.
    AfterGap,
    /// The bytes are no record.
    NotTls(NotTls),
    /// The stream ends within a record.
    PartialRecord,
    /// The stream or the phase ends within a handshake message.
    PartialHandshake,
    /// `change_cipher_spec` is not the single byte 0x01, comes after the handshake (RFC 8446 §5), or is one of too many.
    ChangeCipherSpec,
    /// An alert in the clear is not two bytes.
    Alert,
    /// A handshake message in the clear does not parse.
    Handshake(HandshakeType, Malformed),
    /// A handshake message in the clear over the bound.
    HandshakeTooLong(HandshakeType),
    /// A handshake message in the clear where it does not belong.
    UnexpectedHandshake(HandshakeType),
    /// A record in the clear after protected ones.
    PlaintextAfterEncryption(ContentType),
    /// A content type that is not spoken here.
    UnexpectedContentType(ContentType),
}

/// Why a protected record could not be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDecrypted {
    /// No key log was given.
    NoKeyLog,
    /// The key log does not name this connection.
    ClientRandomNotInKeyLog,
    /// The key log names the connection, but lacks this secret.
    SecretMissing(Label),
    /// The secret has another length than the hash of the cipher suite.
    SecretLength(Label),
    /// The capture holds no ClientHello of the connection: it began later, or a hole took it.
    NoClientHello,
    /// The capture holds no ServerHello of the connection.
    NoServerHello,
    /// Only TLS 1.3 is decrypted.
    Version(ProtocolVersion),
    /// A cipher suite that is not decrypted.
    CipherSuite(CipherSuite),
    /// 0-RTT data that no early traffic secret opens.
    EarlyData,
    /// Too many records in a row did not authenticate.
    AfterFailures,
}

impl fmt::Display for NotDecrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKeyLog => f.write_str("no key log was given"),
            Self::ClientRandomNotInKeyLog => f.write_str("the key log does not name this connection"),
            Self::SecretMissing(label) => write!(f, "the key log lacks {label}"),
            Self::SecretLength(label) => write!(f, "{label} has another length than the cipher suite wants"),
            Self::NoClientHello => {
                f.write_str("the capture holds no ClientHello, so no key can be looked up")
            }
            Self::NoServerHello => {
                f.write_str("the capture holds no ServerHello, so the cipher suite is unknown")
            }
            Self::Version(version) => write!(f, "{version} decryption is not supported"),
            Self::CipherSuite(suite) => write!(f, "decryption of {suite} is not supported"),
            Self::EarlyData => f.write_str("0-RTT data that no early traffic secret opens"),
            Self::AfterFailures => f.write_str("too many records before it did not authenticate"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDecrypted(why) => write!(f, "a protected record could not be opened: {why}"),
            Self::NotAuthentic => f.write_str("a protected record did not authenticate"),
            Self::Gap => f.write_str("bytes are missing from the capture"),
            Self::AfterGap => f.write_str("bytes after a gap that hides where the next record begins"),
            Self::NotTls(why) => write!(f, "not TLS: {why}"),
            Self::PartialRecord => f.write_str("the stream ends within a record"),
            Self::PartialHandshake => f.write_str("a handshake message is cut off"),
            Self::ChangeCipherSpec => {
                f.write_str("change_cipher_spec is malformed, out of place or one too many")
            }
            Self::Alert => f.write_str("an alert in the clear is malformed"),
            Self::Handshake(kind, why) => write!(f, "{kind} does not parse: {why}"),
            Self::HandshakeTooLong(kind) => write!(f, "{kind} is too long"),
            Self::UnexpectedHandshake(kind) => write!(f, "{kind} in the clear where it does not belong"),
            Self::PlaintextAfterEncryption(kind) => write!(f, "{kind} in the clear after protected records"),
            Self::UnexpectedContentType(kind) => write!(f, "unexpected content type {kind}"),
        }
    }
}
