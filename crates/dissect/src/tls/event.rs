//! The events of a session.

use std::ops::Range;

use super::code::{Alert, ContentType, ProtocolVersion};
use super::counters::{NotDecrypted, Reason};
use super::decrypt::DecryptAttempt;
use super::handshake::Message;
use super::record::Header;
use crate::flow::Direction;

/// An event of a session. Those of one direction come in stream order.
#[derive(Debug)]
pub enum Event<'a> {
    /// A record, decrypted if its keys are known.
    Record(Record<'a>),
    /// A handshake message, in the clear or decrypted. It follows the record that completes it.
    Handshake(Handshake),
    /// Unexplained bytes, except those of a record without keys: that is [`Content::NotDecrypted`].
    Anomaly(Anomaly),
}

/// A record.
#[derive(Debug)]
#[non_exhaustive]
pub struct Record<'a> {
    /// Direction of the record.
    pub direction: Direction,
    /// Number of the record in this direction, from 0.
    pub index: u64,
    /// Stream offsets of header and fragment.
    pub range: Range<u64>,
    /// The header, with the outer content type.
    pub header: Header,
    /// Whether only holders of the keys can read its fragment.
    pub is_protected: bool,
    /// The content of the fragment.
    pub content: Content<'a>,
    /// The last attempt to decrypt it, if there was one.
    pub attempt: Option<DecryptAttempt<'a>>,
}

/// What the fragment of a record is.
#[derive(Debug)]
pub enum Content<'a> {
    /// Handshake bytes in the clear; the messages follow as events.
    Handshake(&'a [u8]),
    /// `change_cipher_spec` (RFC 9846 §5).
    ChangeCipherSpec {
        /// Whether it is the single byte 0x01, where the protocol allows it.
        well_formed: bool,
    },
    /// An alert in the clear; `None` where it is malformed.
    Alert(Option<Alert>),
    /// Protected and decrypted.
    Decrypted(DecryptedRecord<'a>),
    /// Protected, and it did not authenticate.
    NotAuthentic,
    /// Protected, and it could not be tried.
    NotDecrypted(NotDecrypted),
    /// Part of the record is missing from the capture.
    Damaged,
    /// Not allowed here; an [`Anomaly`] with the reason follows.
    Unexpected(&'a [u8]),
}

/// An authenticated record.
#[derive(Debug)]
#[non_exhaustive]
pub struct DecryptedRecord<'a> {
    /// Inner content type; before TLS 1.3 that of the header.
    pub content_type: ContentType,
    /// Inner content without content type, MAC and padding. Valid until the next call.
    pub plaintext: &'a [u8],
    /// Offset of `plaintext` in the decrypted application data of this direction; for other content types the offset
    /// at which the application data continue.
    pub application_offset: u64,
    /// Length of the padding in bytes.
    pub padding: usize,
    /// Generation of the keys.
    pub epoch: Epoch,
    /// Sequence number under these keys.
    pub sequence: u64,
    /// Offset in the fragment of the byte that carries the first one of the plaintext. In front of it is what the sender needs
    /// for each record: a nonce or an IV before TLS 1.3.
    pub carried_from: usize,
    /// Version of TLS.
    pub version: ProtocolVersion,
    /// Whether it was encrypted: a NULL cipher suite protects records by a MAC alone.
    pub needs_secret: bool,
}

impl DecryptedRecord<'_> {
    /// The alert, if this is one.
    #[must_use]
    pub fn alert(&self) -> Option<Alert> {
        if self.content_type == ContentType::ALERT { Alert::parse(self.plaintext) } else { None }
    }
}

/// A generation of keys in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Epoch {
    /// No keys yet.
    #[default]
    Clear,
    /// 0-RTT keys.
    Early,
    /// Handshake traffic keys; before TLS 1.3 the keys of the connection, up to the Finished message.
    Handshake,
    /// Application traffic keys, with the number of key updates before; before TLS 1.3 that of renegotiations.
    Application(u64),
}

/// A handshake message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Handshake {
    /// Direction of the message.
    pub direction: Direction,
    /// Stream offsets of the whole records that carry the message.
    pub range: Range<u64>,
    /// Whether the message was decrypted: without the keys it is not visible.
    pub was_encrypted: bool,
    /// The parsed message.
    pub message: Message,
}

/// Unexplained bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anomaly {
    /// Direction of the bytes.
    pub direction: Direction,
    /// Stream offsets of the bytes. Where they extend to the end of the stream: those known so far.
    pub range: Range<u64>,
    /// Why the bytes are unexplained.
    pub reason: Reason,
}
