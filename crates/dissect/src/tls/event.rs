//! What a session tells.

use std::ops::Range;

use super::code::{Alert, ContentType};
use super::counters::{NotDecrypted, Reason};
use super::decrypt::DecryptAttempt;
use super::handshake::Message;
use super::record::Header;
use crate::flow::Direction;

/// One thing a session found, in stream order of each direction.
#[derive(Debug)]
pub enum Event<'a> {
    /// A record, decrypted where the keys are there.
    Record(Record<'a>),
    /// A handshake message, in the clear or decrypted. It follows the record that completes it.
    Handshake(Handshake),
    /// Bytes that could not be explained, other than a record for lack of keys (which says so itself).
    Anomaly(Anomaly),
}

/// A record.
#[derive(Debug)]
pub struct Record<'a> {
    /// Its sender.
    pub direction: Direction,
    /// Its number in this direction, from 0.
    pub index: u64,
    /// Stream offsets from the first byte of its header to its end.
    pub range: Range<u64>,
    /// Its header; the content type there is the outer one.
    pub header: Header,
    /// What is in it.
    pub content: Content<'a>,
    /// The last attempt to decrypt it, if there was one.
    pub attempt: Option<DecryptAttempt<'a>>,
}

/// What is in a record.
#[derive(Debug)]
pub enum Content<'a> {
    /// Handshake bytes in the clear; the messages follow as events.
    Handshake(&'a [u8]),
    /// `change_cipher_spec`.
    ChangeCipherSpec {
        /// Whether it is exactly the byte 0x01, in its place.
        well_formed: bool,
    },
    /// An alert in the clear; `None` where it is malformed.
    Alert(Option<Alert>),
    /// Protected, and opened.
    Decrypted(DecryptedRecord<'a>),
    /// Protected, tried, and not authentic.
    NotAuthentic,
    /// Protected, and not tried.
    NotDecrypted(NotDecrypted),
    /// A hole in the capture took part of it.
    Damaged,
    /// Something that has no place here; an [`Anomaly`] says why.
    Unexpected(&'a [u8]),
}

/// An authenticated record.
#[derive(Debug)]
pub struct DecryptedRecord<'a> {
    /// Inner content type.
    pub content_type: ContentType,
    /// Inner content without content type and padding. Valid until the next call.
    pub plaintext: &'a [u8],
    /// Offset of `plaintext` in the decrypted application data of this direction; for other content types the offset
    /// at which the next application data go on.
    pub application_offset: u64,
    /// Length of the padding in bytes.
    pub padding: usize,
    /// Which keys opened it.
    pub epoch: Epoch,
    /// Its sequence number under these keys.
    pub sequence: u64,
}

impl DecryptedRecord<'_> {
    /// The alert in it, if it is one.
    #[must_use]
    pub fn alert(&self) -> Option<Alert> {
        if self.content_type == ContentType::ALERT { Alert::parse(self.plaintext) } else { None }
    }
}

/// A generation of keys in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Epoch {
    /// No keys yet.
    #[default]
    Clear,
    /// 0-RTT keys.
    Early,
    /// Handshake traffic keys.
    Handshake,
    /// Application traffic keys, with the number of key updates before.
    Application(u64),
}

/// A handshake message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Its sender.
    pub direction: Direction,
    /// Stream offsets of the records that carry it, whole records.
    pub range: Range<u64>,
    /// Whether it was decrypted: only who holds the keys sees it.
    pub was_encrypted: bool,
    /// What it says.
    pub message: Message,
}

/// Bytes that could not be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Their sender.
    pub direction: Direction,
    /// Their stream offsets. For what goes on to the end of the stream: those known so far.
    pub range: Range<u64>,
    /// What is wrong.
    pub reason: Reason,
}
