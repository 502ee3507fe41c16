//! A reader for the length-prefixed fields of TLS. A failed read names its field.

use std::fmt;

/// A handshake message that does not parse: which field, where, and how many bytes it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Field that could not be read, as the RFC names it.
    pub field: &'static str,
    /// Offset of the field in the message body (bytes, after the four-byte message header).
    pub offset: usize,
    /// Bytes that the field needs; 0 if its value rather than its length is wrong.
    pub needed: usize,
    /// Bytes that are left.
    pub available: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, offset, needed, available } = self;
        if *needed == 0 {
            write!(f, "{field} at byte {offset} has an invalid value")
        } else {
            write!(f, "{field} at byte {offset} needs {needed} bytes, {available} are left")
        }
    }
}

impl std::error::Error for Malformed {}

pub(super) type Parsed<T> = Result<T, Malformed>;

/// Reads one message body, or a part of it, from front to back.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn bytes(&mut self, len: usize, field: &'static str) -> Parsed<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(Malformed { field, offset: self.offset, needed: len, available: self.rest.len() });
        };
        self.rest = rest;
        self.offset += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Parsed<[u8; N]> {
        let wrong = self.wrong(field);
        self.bytes(N, field)?.try_into().map_err(|_| wrong)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Parsed<u8> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Parsed<u16> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(super) fn u24(&mut self, field: &'static str) -> Parsed<usize> {
        self.array::<3>(field).map(|[a, b, c]| usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Parsed<u32> {
        self.array(field).map(u32::from_be_bytes)
    }

    fn part(&mut self, len: usize, field: &'static str) -> Parsed<Self> {
        let offset = self.offset;
        Ok(Self { rest: self.bytes(len, field)?, offset })
    }

    /// A vector with a length prefix of one byte.
    pub(super) fn vec8(&mut self, field: &'static str) -> Parsed<Self> {
        let len = self.u8(field)?;
        self.part(usize::from(len), field)
    }

    /// A vector with a length prefix of two bytes.
    pub(super) fn vec16(&mut self, field: &'static str) -> Parsed<Self> {
        let len = self.u16(field)?;
        self.part(usize::from(len), field)
    }

    /// A vector with a length prefix of three bytes.
    pub(super) fn vec24(&mut self, field: &'static str) -> Parsed<Self> {
        let len = self.u24(field)?;
        self.part(len, field)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// All of the rest as 16-bit numbers.
    pub(super) fn all_u16<T>(mut self, field: &'static str, wrap: impl Fn(u16) -> T) -> Parsed<Vec<T>> {
        let mut all = Vec::with_capacity(self.rest.len() / 2);
        while !self.is_empty() {
            all.push(wrap(self.u16(field)?));
        }
        Ok(all)
    }

    /// Fails if bytes are left.
    pub(super) fn end(&self, field: &'static str) -> Parsed<()> {
        if self.is_empty() { Ok(()) } else { Err(self.wrong(field)) }
    }

    /// The error for a field here whose value is invalid.
    pub(super) fn wrong(&self, field: &'static str) -> Malformed {
        Malformed { field, offset: self.offset, needed: 0, available: self.rest.len() }
    }
}
