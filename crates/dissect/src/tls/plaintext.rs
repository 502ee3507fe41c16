//! Maps offsets in the decrypted stream back to the bytes on the wire.

use std::collections::VecDeque;
use std::ops::Range;

use super::code::ContentType;
use super::event::{Content, Record};
use super::record::HEADER_LEN;

/// Which record carries which part of one direction's application data. Takes 24 bytes per record; call
/// [`PlaintextMap::forget_before`] as the stream advances.
#[derive(Clone, Debug, Default)]
pub struct PlaintextMap {
    records: VecDeque<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    plaintext: u64,
    stream: u64,
    plaintext_len: u32,
    record_len: u16,
    /// From the beginning of the record to the byte that carries the first one of the plaintext.
    carried_from: u16,
}

/// The part of a plaintext range that one record carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Offsets in the decrypted application data.
    pub plaintext: Range<u64>,
    /// Stream offsets of exactly the bytes that carry it: all suites encrypt byte for byte, those with CBC block for block.
    pub ciphertext: Range<u64>,
    /// Stream offsets of the whole record, from header to tag.
    pub record: Range<u64>,
}

impl PlaintextMap {
    /// Adds a record. Ignores records that are not decrypted application data.
    pub fn push(&mut self, record: &Record<'_>) {
        if let Content::Decrypted(decrypted) = &record.content
            && decrypted.content_type == ContentType::APPLICATION_DATA
            && !decrypted.plaintext.is_empty()
        {
            // A record is at most 18437 bytes long, so all lengths fit.
            self.records.push_back(Entry {
                plaintext: decrypted.application_offset,
                stream: record.range.start,
                plaintext_len: decrypted.plaintext.len() as u32,
                record_len: (record.range.end - record.range.start) as u16,
                carried_from: (HEADER_LEN + decrypted.carried_from) as u16,
            });
        }
    }

    /// The records that carry this range of the decrypted application data, in order.
    pub fn locate(&self, plaintext: Range<u64>) -> impl Iterator<Item = Located> + '_ {
        let first =
            self.records.partition_point(|e| e.plaintext + u64::from(e.plaintext_len) <= plaintext.start);
        let Range { start, end } = plaintext;
        self.records.range(first..).take_while(move |e| e.plaintext < end).map(move |e| {
            let from = start.max(e.plaintext);
            let to = end.min(e.plaintext + u64::from(e.plaintext_len));
            let body = e.stream + u64::from(e.carried_from);
            Located {
                plaintext: from..to,
                ciphertext: body + (from - e.plaintext)..body + (to - e.plaintext),
                record: e.stream..e.stream + u64::from(e.record_len),
            }
        })
    }

    /// Forgets the records that end at or before this offset of the decrypted application data.
    pub fn forget_before(&mut self, plaintext: u64) {
        while self.records.front().is_some_and(|e| e.plaintext + u64::from(e.plaintext_len) <= plaintext) {
            self.records.pop_front();
        }
    }

    /// Number of records remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no record is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}
