//! Records that wait for the peer's hello, which determines how they are read.

use std::collections::VecDeque;
use std::ops::Range;

use super::record::{Framed, HEADER_LEN, Header};

/// Maximum number of bytes in one direction, including bookkeeping, that wait for the hello of the other. A client
/// sends no protected record before it receives the ServerHello, so only records that the capture reorders have to
/// wait. Beyond the bound the session stops waiting, and the records count as not decrypted.
pub const MAX_HELD_BYTES: usize = 64 << 10;

/// Records of one direction, in order.
#[derive(Debug, Default)]
pub(super) struct HeldRecords {
    records: VecDeque<HeldRecord>,
    /// Bookkeeping included.
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct HeldRecord {
    pub(super) header: Header,
    pub(super) range: Range<u64>,
    /// Header and fragment.
    pub(super) bytes: Vec<u8>,
}

impl HeldRecord {
    fn cost(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }
}

impl HeldRecords {
    pub(super) fn push(&mut self, framed: &Framed, fragment: &[u8]) {
        let mut bytes = Vec::with_capacity(HEADER_LEN + fragment.len());
        bytes.extend_from_slice(&framed.header.to_bytes());
        bytes.extend_from_slice(fragment);
        let record = HeldRecord { header: framed.header, range: framed.range.clone(), bytes };
        self.bytes += record.cost();
        self.records.push_back(record);
    }

    pub(super) fn pop(&mut self) -> Option<HeldRecord> {
        let record = self.records.pop_front()?;
        self.bytes = self.bytes.saturating_sub(record.cost());
        Some(record)
    }

    /// Bytes of the records, bookkeeping included.
    pub(super) fn kept_bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn is_over_bound(&self) -> bool {
        self.bytes > MAX_HELD_BYTES
    }
}
