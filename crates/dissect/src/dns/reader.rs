//! Reads the fields of a message one by one.

use std::ops::Range;

use super::malformed::Malformed;
use super::name::Name;

/// Reads a message, or a part of it, from front to back. Names may refer to everything before them.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The message up to the end of the part.
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    /// A reader of a range that was read.
    pub(super) fn part(&self, range: &Range<usize>) -> Reader<'a> {
        Reader { bytes: self.bytes.get(..range.end).unwrap_or_default(), position: range.start }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.position >= self.bytes.len()
    }

    pub(super) fn wrong(&self, what: &'static str) -> Malformed {
        Malformed { what, offset: self.position }
    }

    pub(super) fn bytes(&mut self, len: usize, what: &'static str) -> Result<Range<usize>, Malformed> {
        let end = self.position.saturating_add(len);
        if end > self.bytes.len() {
            return Err(self.wrong(what));
        }
        let range = self.position..end;
        self.position = end;
        Ok(range)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let wrong = self.wrong(what);
        let range = self.bytes(N, what)?;
        self.bytes.get(range).and_then(|bytes| bytes.try_into().ok()).ok_or(wrong)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn name(&mut self) -> Result<Name, Malformed> {
        let name = Name::read(self.bytes, self.position)?;
        self.position = name.range.end;
        Ok(name)
    }

    /// Fails if bytes are left.
    pub(super) fn end(&self, what: &'static str) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.wrong(what)) }
    }
}
