//! Header compression of HTTP/3 (RFC 9204): the dynamic table of one direction, and its header blocks.

use std::collections::VecDeque;

use super::static_table;
use crate::http2::hpack::{self, Cursor, Error as FieldError, Field, Octets, Origin, Part};

/// Largest sum of sizes of entries that is kept (RFC 9204 §3.2.1). Browsers and servers allow 4 to 64 KiB.
pub const MAX_TABLE: usize = 64 << 10;

/// Maximum number of fields that are returned of one block; a real one has some dozens.
pub const MAX_FIELDS: usize = 1024;

/// Longest instruction of an encoder stream that is read: four times the longest cookie that browsers keep.
pub const MAX_INSTRUCTION: usize = 16 << 10;

/// What an entry counts beside its strings (RFC 9204 §3.2.1).
const ENTRY_OVERHEAD: usize = 32;

/// Why a header block or an encoder stream is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A malformed field, index or string, as in HTTP/2.
    #[error(transparent)]
    Field(#[from] hpack::Error),
    /// A required insert count that is not possible (RFC 9204 §4.5.1.1).
    #[error("a header block that depends on an impossible number of entries")]
    InsertCount,
    /// Entries that it depends on were not captured, or are not kept.
    #[error("a header block that depends on entries that were not captured")]
    Missing,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Octets,
    value: Octets,
}

impl Entry {
    fn size(&self) -> usize {
        self.name.len() + self.value.len() + ENTRY_OVERHEAD
    }
}

/// The dynamic table of one direction, which its encoder stream fills, and the decoder of its header blocks.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// The sum of the entries' sizes.
    size: usize,
    /// The capacity that the encoder has set.
    capacity: usize,
    /// The largest one that its peer allows.
    max_capacity: usize,
    /// Number of insertions so far.
    inserted: u64,
    /// Bytes of the encoder stream, and how many of them are read.
    instructions: Vec<u8>,
    read: usize,
    /// Whether instructions are missing, so that no index is certain.
    is_lost: bool,
}

impl Decoder {
    /// The peer of the encoder allows a table of this size (RFC 9204 §5).
    pub(super) fn allow(&mut self, max_capacity: u64) {
        self.max_capacity = usize::try_from(max_capacity).unwrap_or(usize::MAX).min(u32::MAX as usize);
    }

    /// Instructions are missing: the entries of the table are at unknown indices.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
        self.entries.clear();
        self.size = 0;
        (self.instructions, self.read) = (Vec::new(), 0);
    }

    /// Number of bytes that are not read.
    pub(super) fn unread(&self) -> usize {
        self.instructions.len().saturating_sub(self.read)
    }

    /// Bytes of memory that are kept.
    pub(super) fn kept(&self) -> usize {
        self.size + self.instructions.len()
    }

    /// Number of insertions so far.
    pub(super) fn inserted(&self) -> u64 {
        self.inserted
    }

    /// Whether instructions are missing, so that no entry comes any more.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Adds bytes of the encoder stream, which [`Self::step`] reads.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.is_lost {
            self.instructions.extend_from_slice(bytes);
        }
    }

    /// Reads the next instruction, and calls `each` for every string that it inserts, with the length of the
    /// instruction. Returns whether there was one.
    pub(super) fn step(&mut self, mut each: impl FnMut(&Part, usize)) -> bool {
        let rest = self.instructions.get(self.read..).unwrap_or_default();
        let len = match instruction_len(rest) {
            Ok(len) if len <= rest.len() && len <= MAX_INSTRUCTION => len,
            Ok(..=MAX_INSTRUCTION) | Err(FieldError::Truncated) if rest.len() <= MAX_INSTRUCTION => {
                self.instructions.drain(..self.read);
                self.read = 0;
                return false;
            }
            _ => {
                self.lose();
                return false;
            }
        };
        let instructions = std::mem::take(&mut self.instructions);
        let mut cursor = Cursor { block: &instructions, at: self.read };
        let outcome = self.instruction(&mut cursor, &mut |part| each(part, len));
        self.instructions = instructions;
        self.read += len;
        if outcome.is_err() {
            self.lose();
        }
        outcome.is_ok()
    }

    /// RFC 9204 §4.3.
    fn instruction(&mut self, cursor: &mut Cursor<'_>, each: &mut impl FnMut(&Part)) -> Result<(), Error> {
        let first = cursor.peek()?;
        if first & 0x80 != 0 {
            let index = cursor.integer(6)?;
            let name = match first & 0x40 {
                0 => self.relative(self.inserted, index)?.name,
                _ => static_entry(index)?.0,
            };
            let value = cursor.string(7)?;
            each(&value);
            self.insert(Entry { name, value: value.octets.ok_or(FieldError::Truncated)? });
        } else if first & 0x40 != 0 {
            let name = cursor.string(5)?;
            let value = cursor.string(7)?;
            each(&name);
            each(&value);
            let (name, value) = name.octets.zip(value.octets).ok_or(FieldError::Truncated)?;
            self.insert(Entry { name, value });
        } else if first & 0x20 != 0 {
            self.capacity = cursor.integer(5)?;
            self.evict();
        } else {
            let index = cursor.integer(5)?;
            let entry = self.relative(self.inserted, index)?;
            self.insert(entry);
        }
        Ok(())
    }

    fn insert(&mut self, entry: Entry) {
        self.size += entry.size();
        self.entries.push_back(entry);
        self.inserted += 1;
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.capacity.min(MAX_TABLE)
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
        }
    }

    /// The entry that is `index` places before the one at `base` (RFC 9204 §3.2.5).
    fn relative(&self, base: u64, index: usize) -> Result<Entry, Error> {
        self.absolute(base.checked_sub(index as u64 + 1).ok_or(FieldError::Index)?)
    }

    fn absolute(&self, index: u64) -> Result<Entry, Error> {
        let from_newest = self.inserted.checked_sub(index).ok_or(FieldError::Index)?;
        let from_newest = usize::try_from(from_newest).map_err(|_| FieldError::Index)?;
        let at = self.entries.len().checked_sub(from_newest).ok_or(Error::Missing)?;
        Ok(self.entries.get(at).cloned().ok_or(FieldError::Index)?)
    }

    /// How many insertions a header block waits for; `None` if it can be decoded, or never will.
    pub(super) fn waits_for(&self, block: &[u8]) -> Option<u64> {
        let (required, _) = self.prefix(&mut Cursor { block, at: 0 }).ok()?;
        Some(required).filter(|required| *required > self.inserted && !self.is_lost)
    }

    /// The required insert count and the base (RFC 9204 §4.5.1).
    fn prefix(&self, cursor: &mut Cursor<'_>) -> Result<(u64, u64), Error> {
        let encoded = cursor.integer(8)? as u64;
        let required = match encoded {
            0 => 0,
            encoded => {
                let max_entries = (self.max_capacity / ENTRY_OVERHEAD) as u64;
                let full_range = 2 * max_entries;
                if encoded > full_range {
                    return Err(Error::InsertCount);
                }
                let max_value = self.inserted + max_entries;
                let wrapped = max_value / full_range * full_range;
                let required = wrapped + encoded - 1;
                match required > max_value {
                    true => required.checked_sub(full_range).ok_or(Error::InsertCount)?,
                    false => required,
                }
            }
        };
        let is_negative = cursor.peek()? & 0x80 != 0;
        let delta = cursor.integer(7)? as u64;
        let base = match is_negative {
            true => required.checked_sub(delta + 1).ok_or(FieldError::Index)?,
            false => required + delta,
        };
        Ok((required, base))
    }

    /// Decodes a header block, and calls `take` with each of its first [`MAX_FIELDS`] fields. Returns how many more
    /// it has.
    ///
    /// # Errors
    /// Why the rest of the block is not read.
    pub(super) fn decode(&self, block: &[u8], mut take: impl FnMut(Field)) -> Result<usize, Error> {
        let mut cursor = Cursor { block, at: 0 };
        let (required, base) = self.prefix(&mut cursor)?;
        if required > 0 && (self.is_lost || required > self.inserted) {
            return Err(Error::Missing);
        }
        let mut count = 0;
        while cursor.at < block.len() {
            let field = self.field(&mut cursor, base)?;
            if count < MAX_FIELDS {
                take(field);
            }
            count += 1;
        }
        Ok(count.saturating_sub(MAX_FIELDS))
    }

    /// RFC 9204 §4.5.2 to §4.5.6.
    fn field(&self, cursor: &mut Cursor<'_>, base: u64) -> Result<Field, Error> {
        let start = cursor.at;
        let first = cursor.peek()?;
        let post_base = |index: usize| self.absolute(base.saturating_add(index as u64));
        let (never_indexed, index, is_static, is_post_base) = match first {
            0x80.. => (false, cursor.integer(6)?, first & 0x40 != 0, false),
            0x40.. => (first & 0x20 != 0, cursor.integer(4)?, first & 0x10 != 0, false),
            0x20.. => {
                let name = cursor.string(3)?;
                let value = cursor.string(7)?;
                return Ok(Field { name, value, never_indexed: first & 0x10 != 0 });
            }
            0x10.. => (false, cursor.integer(4)?, false, true),
            _ => (first & 0x08 != 0, cursor.integer(3)?, false, true),
        };
        let range = start..cursor.at;
        let (name, value, origin) = match (is_static, is_post_base) {
            (true, _) => {
                let (name, value) = static_entry(index)?;
                (name, value, Origin::StaticTable)
            }
            (_, is_post_base) => {
                let entry = if is_post_base { post_base(index)? } else { self.relative(base, index)? };
                (entry.name, entry.value, Origin::DynamicTable)
            }
        };
        let part = |octets| Part { octets: Some(octets), origin, range: range.clone() };
        let is_whole = first & 0x80 != 0 || first & 0xf0 == 0x10;
        let value = if is_whole { part(value) } else { cursor.string(7)? };
        Ok(Field { name: part(name), value, never_indexed })
    }
}

/// Length of the instruction at the front (RFC 9204 §4.3), of which the end may be missing. Reads no string: an
/// instruction that comes in many pieces is looked at with each.
fn instruction_len(bytes: &[u8]) -> Result<usize, FieldError> {
    let mut cursor = Cursor { block: bytes, at: 0 };
    match cursor.peek()? {
        0x80.. => {
            cursor.integer(6)?;
            skip_string(&mut cursor, 7)?;
        }
        0x40.. => {
            skip_string(&mut cursor, 5)?;
            skip_string(&mut cursor, 7)?;
        }
        _ => drop(cursor.integer(5)?),
    }
    Ok(cursor.at)
}

fn static_entry(index: usize) -> Result<(Octets, Octets), FieldError> {
    let (name, value) = static_table::entry(index).ok_or(FieldError::Index)?;
    Ok((name.into(), value.into()))
}

/// Skips a string, whether or not all of it is there.
fn skip_string(cursor: &mut Cursor<'_>, prefix_bits: u32) -> Result<(), FieldError> {
    let len = cursor.integer(prefix_bits)?;
    cursor.at = cursor.at.checked_add(len).ok_or(FieldError::Integer)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.replace(' ', "").as_bytes()).unwrap()
    }

    fn fields(decoder: &Decoder, block: &str) -> Vec<String> {
        let mut fields = Vec::new();
        let left_out = decoder.decode(&bytes(block), |field| {
            let text = |part: &Part| String::from_utf8_lossy(part.bytes()).into_owned();
            fields.push(format!("{}={}", text(&field.name), text(&field.value)));
        });
        assert_eq!(left_out, Ok(0));
        fields
    }

    fn table(decoder: &Decoder) -> Vec<String> {
        let entry = |entry: &Entry| format!("{}={}", entry.name.escape_ascii(), entry.value.escape_ascii());
        decoder.entries.iter().map(entry).collect()
    }

    /// RFC 9204 appendix B, in which the decoder allows a table of 220 bytes.
    /// The strings that bytes of the encoder stream insert.
    fn feed(decoder: &mut Decoder, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        decoder.push(bytes);
        while decoder.step(|part, _| found.push(part.bytes().to_vec())) {}
        found
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        let mut decoder = Decoder::default();
        decoder.allow(220);
        // B.1
        assert_eq!(fields(&decoder, "0000 510b 2f69 6e64 6578 2e68 746d 6c"), [":path=/index.html"]);
        // B.2
        let instructions =
            "3fbd01 c00f 7777 772e 6578 616d 706c 652e 636f 6d c10c 2f73 616d 706c 652f 7061 7468";
        let block = "0381 10 11";
        assert_eq!(decoder.waits_for(&bytes(block)), Some(2));
        feed(&mut decoder, &bytes(instructions));
        assert_eq!((decoder.waits_for(&bytes(block)), decoder.size), (None, 106));
        assert_eq!(fields(&decoder, block), [":authority=www.example.com", ":path=/sample/path"]);
        // B.3
        feed(&mut decoder, &bytes("4a63 7573 746f 6d2d 6b65 790c 6375 7374 6f6d 2d76 616c 7565"));
        assert_eq!(decoder.size, 160);
        // B.4
        feed(&mut decoder, &bytes("02"));
        assert_eq!(decoder.size, 217);
        let expected = [":authority=www.example.com", ":path=/", "custom-key=custom-value"];
        assert_eq!(fields(&decoder, "0500 80 c1 81"), expected);
        // B.5
        feed(&mut decoder, &bytes("810d 6375 7374 6f6d 2d76 616c 7565 32"));
        let expected = [
            ":path=/sample/path",
            "custom-key=custom-value",
            ":authority=www.example.com",
            "custom-key=custom-value2",
        ];
        assert_eq!((table(&decoder), decoder.size), (expected.map(str::to_owned).to_vec(), 215));
    }

    #[test]
    fn says_why_a_block_is_not_read() {
        let mut decoder = Decoder::default();
        decoder.allow(220);
        let read = |decoder: &Decoder, block: &str| decoder.decode(&bytes(block), |_| {});
        assert_eq!(read(&decoder, "00"), Err(FieldError::Truncated.into()));
        assert_eq!(read(&decoder, "0000 ff"), Err(FieldError::Truncated.into()));
        assert_eq!(read(&decoder, "0000 ff80808080 80"), Err(FieldError::Integer.into()));
        assert_eq!(read(&decoder, "0000 ff24"), Err(FieldError::Index.into()), "the static table ends at 98");
        assert_eq!(read(&decoder, "0e00 80"), Err(Error::InsertCount));
        assert_eq!(read(&decoder, "0200 80"), Err(Error::Missing));
        decoder.lose();
        assert_eq!(decoder.waits_for(&bytes("0200 80")), None);
        assert_eq!(read(&decoder, "0200 80"), Err(Error::Missing));
        assert_eq!(read(&decoder, "0000 d1"), Ok(0), "a block without references is read all the same");
    }

    #[test]
    fn memory_is_bounded() {
        let mut decoder = Decoder::default();
        decoder.allow(u64::MAX);
        let entry = [&bytes("4161 3f e107")[..1], b"a", &bytes("7fe907"), &[b'v'; 1128]].concat();
        feed(&mut decoder, &bytes("3fe1ffffff0e"));
        for _ in 0..200 {
            feed(&mut decoder, &entry);
        }
        assert!(decoder.size <= MAX_TABLE && decoder.inserted == 200, "{decoder:?}");
        feed(&mut decoder, &bytes("41617fffffffff0e"));
        for _ in 0..200 {
            feed(&mut decoder, &[0; 1000]);
        }
        assert!(decoder.is_lost && decoder.instructions.is_empty());
    }

    proptest! {
        /// Any bytes end, and any division of the encoder stream gives the same table.
        #[test]
        fn division_changes_nothing(
            instructions in prop::collection::vec(any::<u8>(), 0..300),
            block in prop::collection::vec(any::<u8>(), 0..100),
            size in 1_usize..40,
        ) {
            let read = |size: usize| {
                let mut decoder = Decoder::default();
                decoder.allow(4096);
                let mut found = Vec::new();
                feed(&mut decoder, &[0x3f, 0xe1, 0x1f]);
                for piece in instructions.chunks(size) {
                    found.extend(feed(&mut decoder, piece));
                }
                let mut fields = Vec::new();
                let end = decoder.decode(&block, |field| fields.push(field));
                (found, table(&decoder), decoder.is_lost, fields, end)
            };
            prop_assert_eq!(read(size), read(1000));
        }
    }
}
