//! Header compression (RFC 7541): one header block to its fields.
//!
//! ```text
//!   header block    1xxxxxxx                 indexed field            name and value from a table
//!                   01xxxxxx [name] value    literal, then inserted
//!                   0000xxxx [name] value    literal
//!                   0001xxxx [name] value    literal, never indexed
//!                   001xxxxx                 new size of the dynamic table
//!   index           1 … 61 static table │ 62 … known entries, newest first │ entries that were inserted unseen
//! ```
//!
//! Each part of a field carries the range of the block that it was read from. Strings are shared with the table, so a
//! reference to a long entry costs no more than one to a short entry.
//!
//! A decoder that begins within a connection, or behind lost header blocks, does not know the entries that were inserted
//! unseen. References to them are fields with unknown parts; everything inserted later is known, because indices count
//! from the newest entry.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::{DEFAULT_TABLE, MAX_FIELDS, MAX_TABLE, huffman, static_table};

/// The bytes that the size of an entry counts beside its name and value (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;

/// Reason why the rest of a header block is not read. The receiver closes the connection (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The block ends within a field.
    #[error("a header block that ends within a field")]
    Truncated,
    /// An integer above 32 bits, or with needless continuation bytes (RFC 7541 §5.1).
    #[error("an integer too large in a header block")]
    Integer,
    /// Index 0, or one behind the last entry (RFC 7541 §2.3.3, §6.1).
    #[error("an index of no entry in a header block")]
    Index,
    /// A Huffman-coded string with EOS in it or with wrong padding (RFC 7541 §5.2).
    #[error("a malformed Huffman string in a header block")]
    Huffman,
    /// A size update behind a field (RFC 7541 §4.2).
    #[error("a table size update within a header block")]
    SizeUpdate,
}

/// A string of a field, shared with the tables.
#[derive(Clone, PartialEq, Eq)]
pub struct Octets(Shared);

#[derive(Clone)]
enum Shared {
    Static(&'static str),
    Dynamic(Arc<[u8]>),
}

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Shared::Static(text) => text.as_bytes(),
            Shared::Dynamic(bytes) => bytes,
        }
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        *Octets(self.clone()) == *Octets(other.clone())
    }
}

impl Eq for Shared {}

impl From<Vec<u8>> for Octets {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Shared::Dynamic(bytes.into()))
    }
}

impl From<&'static str> for Octets {
    fn from(text: &'static str) -> Self {
        Self(Shared::Static(text))
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

/// How a block carries a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An index of the static table.
    StaticTable,
    /// An index of the dynamic table.
    DynamicTable,
    /// The bytes themselves.
    Literal,
    /// Huffman-coded bytes.
    Huffman,
}

/// The name or the value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its bytes; `None` if it is from an entry that was inserted unseen.
    pub octets: Option<Octets>,
    /// How the block carries it.
    pub origin: Origin,
    /// The bytes of the block that carry it: the string without its length, or the index.
    pub range: Range<usize>,
}

impl Part {
    /// Its bytes; none if they are unknown.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.octets.as_deref().unwrap_or_default()
    }
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Part,
    /// Its value.
    pub value: Part,
    /// Whether its sender forbids intermediaries to index it (RFC 7541 §7.1.3): a hint that it is sensitive.
    pub never_indexed: bool,
}

/// How the reading of one header block ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Fields above [`MAX_FIELDS`]. They were decoded and inserted, but not returned.
    pub left_out: usize,
    /// Why the rest of the block is not read, and the offset where that was found.
    pub error: Option<(Error, usize)>,
}

/// An entry of the dynamic table. Its strings are unknown if they come from an entry that was inserted unseen.
#[derive(Clone, Debug)]
struct Entry {
    name: Option<Octets>,
    value: Option<Octets>,
}

impl Entry {
    /// Its size (RFC 7541 §4.1), at least.
    fn size(&self) -> usize {
        let len = |octets: &Option<Octets>| octets.as_deref().map_or(0, <[u8]>::len);
        len(&self.name) + len(&self.value) + ENTRY_OVERHEAD
    }
}

/// Decodes the header blocks of one direction, in their order.
#[derive(Debug)]
pub struct Decoder {
    /// Newest first.
    entries: VecDeque<Entry>,
    /// The sum of the entries' sizes.
    size: usize,
    /// The largest sum of sizes that the sender keeps.
    max_size: usize,
    /// Whether the sender may have entries older than those known here.
    has_unseen: bool,
}

impl Default for Decoder {
    /// A decoder for the first header block of a connection.
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, max_size: DEFAULT_TABLE, has_unseen: false }
    }
}

impl Decoder {
    /// Header blocks are missing: the entries of the table are at unknown indices.
    pub fn forget(&mut self) {
        self.entries.clear();
        self.size = 0;
        // The size that the sender uses is unknown too. An entry that is kept for too long does no harm.
        self.max_size = MAX_TABLE;
        self.has_unseen = true;
    }

    /// Whether the sender may have entries that are not known here.
    #[must_use]
    pub fn has_unseen(&self) -> bool {
        self.has_unseen
    }

    /// Sum of the sizes of the known entries (RFC 7541 §4.1), at most [`MAX_TABLE`].
    #[must_use]
    pub fn table_size(&self) -> usize {
        self.size
    }

    /// Decodes a whole header block. Fields come in their order, until an error ends the reading.
    pub fn decode(&mut self, block: &[u8], mut take: impl FnMut(Field)) -> Outcome {
        let mut cursor = Cursor { block, at: 0 };
        let mut outcome = Outcome::default();
        let mut fields = 0;
        while cursor.at < block.len() {
            let before = cursor.at;
            match self.next(&mut cursor, fields == 0) {
                Ok(None) => {}
                Ok(Some(field)) => {
                    fields += 1;
                    if fields <= MAX_FIELDS {
                        take(field);
                    }
                }
                Err(why) => {
                    outcome.error = Some((why, before));
                    // What the sender's table contains from here on is unknown.
                    self.forget();
                    break;
                }
            }
        }
        outcome.left_out = fields.saturating_sub(MAX_FIELDS);
        outcome
    }

    /// The next field; `None` for a size update.
    fn next(&mut self, cursor: &mut Cursor<'_>, is_first: bool) -> Result<Option<Field>, Error> {
        let start = cursor.at;
        let first = cursor.peek()?;
        if first & 0x80 != 0 {
            let index = cursor.integer(7)?;
            let entry = self.entry(index)?;
            let origin = origin_of(index);
            let range = start..cursor.at;
            let name = Part { octets: entry.name, origin, range: range.clone() };
            let value = Part { octets: entry.value, origin, range };
            return Ok(Some(Field { name, value, never_indexed: false }));
        }
        if first & 0xe0 == 0x20 {
            if !is_first {
                return Err(Error::SizeUpdate);
            }
            self.resize(cursor.integer(5)?);
            return Ok(None);
        }
        let is_inserted = first & 0x40 != 0;
        let index = cursor.integer(if is_inserted { 6 } else { 4 })?;
        let name = if index == 0 {
            cursor.string(7)?
        } else {
            Part { octets: self.entry(index)?.name, origin: origin_of(index), range: start..cursor.at }
        };
        let value = cursor.string(7)?;
        if is_inserted {
            self.insert(Entry { name: name.octets.clone(), value: value.octets.clone() });
        }
        Ok(Some(Field { name, value, never_indexed: first & 0xf0 == 0x10 }))
    }

    fn entry(&self, index: usize) -> Result<Entry, Error> {
        if let Some((name, value)) = static_table::entry(index) {
            return Ok(Entry { name: Some(name.into()), value: Some(value.into()) });
        }
        let at = index.checked_sub(static_table::LEN + 1).ok_or(Error::Index)?;
        match self.entries.get(at) {
            Some(entry) => Ok(entry.clone()),
            // No table has more entries than that, because the size of an entry counts its overhead.
            None if self.has_unseen && at < MAX_TABLE / ENTRY_OVERHEAD => {
                Ok(Entry { name: None, value: None })
            }
            None => Err(Error::Index),
        }
    }

    /// Inserts an entry, and evicts others (RFC 7541 §4.4).
    fn insert(&mut self, entry: Entry) {
        self.size += entry.size();
        self.entries.push_front(entry);
        self.evict();
    }

    /// A larger table than [`MAX_TABLE`] is kept in part: older entries count as inserted unseen.
    fn resize(&mut self, size: usize) {
        self.has_unseen &= size > 0;
        self.max_size = size;
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.max_size.min(MAX_TABLE)
            && let Some(oldest) = self.entries.pop_back()
        {
            self.has_unseen |= self.size <= self.max_size;
            self.size -= oldest.size();
        }
    }
}

fn origin_of(index: usize) -> Origin {
    if index <= static_table::LEN { Origin::StaticTable } else { Origin::DynamicTable }
}

/// Reads a header block, or the instructions of an encoder stream (RFC 9204 §4.3).
pub(crate) struct Cursor<'a> {
    pub(crate) block: &'a [u8],
    pub(crate) at: usize,
}

impl Cursor<'_> {
    pub(crate) fn peek(&self) -> Result<u8, Error> {
        self.block.get(self.at).copied().ok_or(Error::Truncated)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// An integer behind a prefix (RFC 7541 §5.1, RFC 9204 §4.1.1).
    pub(crate) fn integer(&mut self, prefix_bits: u32) -> Result<usize, Error> {
        let max = (1u32 << prefix_bits) - 1;
        let prefix = u32::from(self.byte()?) & max;
        if prefix < max {
            return Ok(prefix as usize);
        }
        let mut value = u64::from(max);
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map(|value| value as usize).map_err(|_| Error::Integer);
            }
        }
        Err(Error::Integer)
    }

    /// A string whose length has a prefix of so many bits, with the sign of the Huffman code in front: seven in HTTP/2 (RFC
    /// 7541 §5.2), three to seven in HTTP/3 (RFC 9204 §4.1.2).
    pub(crate) fn string(&mut self, prefix_bits: u32) -> Result<Part, Error> {
        let is_coded = u32::from(self.peek()?) >> prefix_bits & 1 != 0;
        let len = self.integer(prefix_bits)?;
        let end = self.at.checked_add(len).ok_or(Error::Truncated)?;
        let range = self.at..end;
        let bytes = self.block.get(range.clone()).ok_or(Error::Truncated)?;
        self.at = end;
        let (octets, origin) = if is_coded {
            (huffman::decode(bytes).ok_or(Error::Huffman)?, Origin::Huffman)
        } else {
            (bytes.to_vec(), Origin::Literal)
        };
        Ok(Part { octets: Some(octets.into()), origin, range })
    }
}

#[cfg(test)]
mod tests {
    use super::super::huffman::tests::encode;
    use super::*;
    use data_encoding::HEXLOWER_PERMISSIVE;
    use proptest::prelude::*;

    fn unhex(text: &str) -> Vec<u8> {
        HEXLOWER_PERMISSIVE.decode(text.replace([' ', '\n'], "").as_bytes()).expect("hexadecimal digits")
    }

    /// The fields of a block as `name: value`, with `?` for unknown parts.
    fn fields(decoder: &mut Decoder, block: &[u8]) -> Vec<String> {
        let text = |part: &Part| match &part.octets {
            Some(octets) => octets.escape_ascii().to_string(),
            None => "?".to_owned(),
        };
        let mut seen = Vec::new();
        let outcome = decoder
            .decode(block, |field| seen.push(format!("{}: {}", text(&field.name), text(&field.value))));
        seen.extend(outcome.error.map(|(why, at)| format!("{why} at {at}")));
        seen
    }

    /// A sequence of blocks of RFC 7541 appendix C: fields of each, and the size of the table behind it.
    fn check(max_size: usize, blocks: &[(&str, &[&str], usize)]) {
        let mut decoder = Decoder { max_size, ..Decoder::default() };
        for (block, expected, size) in blocks {
            assert_eq!(fields(&mut decoder, &unhex(block)), *expected);
            assert_eq!(decoder.table_size(), *size);
        }
    }

    #[test]
    fn reads_the_integers_of_the_rfc() {
        for (bytes, bits, value) in
            [(&[0x0a][..], 5, Ok(10)), (&[0x1f, 0x9a, 0x0a], 5, Ok(1337)), (&[0x2a], 8, Ok(42))]
        {
            assert_eq!(Cursor { block: bytes, at: 0 }.integer(bits), value);
        }
        let largest = [0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(Cursor { block: &largest, at: 0 }.integer(5), Ok(u32::MAX as usize));
        for bytes in [&[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f][..], &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0]] {
            assert_eq!(Cursor { block: bytes, at: 0 }.integer(5), Err(Error::Integer));
        }
        assert_eq!(Cursor { block: &[0x1f, 0x80], at: 0 }.integer(5), Err(Error::Truncated));
    }

    /// RFC 7541 §C.2.
    #[test]
    fn reads_each_representation() {
        check(
            4096,
            &[
                (
                    "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                    &["custom-key: custom-header"],
                    55,
                ),
                ("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], 55),
                ("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], 55),
                ("82", &[":method: GET"], 55),
                ("be", &["custom-key: custom-header"], 55),
            ],
        );
    }

    const REQUESTS: [&[&str]; 3] = [
        &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
        &[
            ":method: GET",
            ":scheme: http",
            ":path: /",
            ":authority: www.example.com",
            "cache-control: no-cache",
        ],
        &[
            ":method: GET",
            ":scheme: https",
            ":path: /index.html",
            ":authority: www.example.com",
            "custom-key: custom-value",
        ],
    ];

    /// RFC 7541 §C.3 and §C.4.
    #[test]
    fn reads_requests_with_and_without_huffman_code() {
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let coded = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        for blocks in [plain, coded] {
            let sizes = [57, 110, 164];
            let rows: Vec<_> = (0..3).map(|row| (blocks[row], REQUESTS[row], sizes[row])).collect();
            check(4096, &rows);
        }
    }

    /// RFC 7541 §C.5 and §C.6: entries are evicted.
    #[test]
    fn reads_responses_with_and_without_huffman_code() {
        let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
        let location = "location: https://www.example.com";
        let private = "cache-control: private";
        let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
        let rows: [&[&str]; 3] = [
            &[":status: 302", private, date, location],
            &[":status: 307", private, date, location],
            &[
                ":status: 200",
                private,
                "date: Mon, 21 Oct 2013 20:13:22 GMT",
                location,
                "content-encoding: gzip",
                cookie,
            ],
        ];
        let plain = [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
             474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
             7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765
             3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ];
        let coded = [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
             63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
             b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ];
        for blocks in [plain, coded] {
            let sizes = [222, 222, 215];
            let rows: Vec<_> = (0..3).map(|row| (blocks[row], rows[row], sizes[row])).collect();
            check(256, &rows);
        }
    }

    #[test]
    fn gives_the_bytes_that_carry_each_part() {
        let block = unhex("82 44 0c 2f73 616d 706c 652f 7061 7468 00 83 25a8 49 01 78 be");
        let mut seen = Vec::new();
        let outcome = Decoder::default().decode(&block, |field| seen.push(field));
        assert_eq!(outcome.error, Some((Error::Huffman, 15)));
        let path = &seen[1];
        assert_eq!((path.name.origin, path.name.range.clone()), (Origin::StaticTable, 1..2));
        assert_eq!((path.value.origin, path.value.range.clone()), (Origin::Literal, 3..15));
        assert_eq!(&block[path.value.range.clone()], path.value.bytes());
        let coded = encode(b"x-name");
        let block = [&[0x10, 0x80 | coded.len() as u8], &coded[..], b"\x01v"].concat();
        let mut seen = Vec::new();
        Decoder::default().decode(&block, |field| seen.push(field));
        assert_eq!(seen[0].name.bytes(), b"x-name");
        assert_eq!(seen[0].name.range, 2..2 + coded.len());
        assert_eq!(seen[0].value.range, block.len() - 1..block.len());
        assert!(seen[0].never_indexed);
    }

    #[test]
    fn knows_what_was_inserted_since_it_joined() {
        let mut decoder = Decoder::default();
        decoder.forget();
        // Two unseen entries, then one that is inserted, then all three; the unseen ones are now one index further.
        assert_eq!(fields(&mut decoder, &unhex("be bf 82")), ["?: ?", "?: ?", ":method: GET"]);
        assert_eq!(fields(&mut decoder, b"\x40\x01a\x01b\xbe\xbf"), ["a: b", "a: b", "?: ?"]);
        assert_eq!(fields(&mut decoder, b"\x7f\x00\x01v"), ["?: v"], "a known value under an unseen name");
        assert_eq!(fields(&mut decoder, b"\xbe\xbf"), ["?: v", "a: b"]);
        assert_eq!(
            fields(&mut decoder, b"\xff\xff\xff\x7f"),
            ["an index of no entry in a header block at 0"]
        );
        // An empty table has no unseen entries.
        assert_eq!(
            fields(&mut decoder, b"\x20\x3f\xe1\x1f\xbe"),
            ["an index of no entry in a header block at 4"]
        );
    }

    #[test]
    fn keeps_a_part_of_a_larger_table() {
        let mut decoder = Decoder::default();
        let entry =
            |number: u32| [&b"\x40\x04"[..], &number.to_be_bytes(), b"\x7f\x81\x07", &[b'v'; 1024]].concat();
        // A size of 1 MiB: 3f + (1048576 - 31) in groups of seven bits.
        fields(&mut decoder, &[0x3f, 0xe1, 0xff, 0x3f]);
        for number in 0..1000 {
            fields(&mut decoder, &entry(number));
            assert!(decoder.table_size() <= MAX_TABLE);
        }
        assert!(decoder.has_unseen());
        assert!(fields(&mut decoder, b"\xbe")[0].starts_with("\\x00\\x00\\x03\\xe7: vv"), "the newest");
        assert_eq!(fields(&mut decoder, b"\xff\x80\x01"), ["?: ?"], "one that is no longer kept");
    }

    #[test]
    fn rejects_malformed_blocks() {
        for (block, expected) in [
            (&b"\x80"[..], "an index of no entry in a header block at 0"),
            (b"\xbe", "an index of no entry in a header block at 0"),
            (b"\x82\x20", "a table size update within a header block at 1"),
            (b"\x40\x05ab", "a header block that ends within a field at 0"),
            (b"\x40\x01a", "a header block that ends within a field at 0"),
            (b"\x7f\xff\xff\xff\xff\xff", "an integer too large in a header block at 0"),
        ] {
            assert_eq!(fields(&mut Decoder::default(), block).last().map(String::as_str), Some(expected));
        }
    }

    #[test]
    fn returns_a_bounded_number_of_fields() {
        let mut count = 0;
        let outcome = Decoder::default().decode(&[0x82; MAX_FIELDS + 7], |_| count += 1);
        assert_eq!((count, outcome.left_out), (MAX_FIELDS, 7));
    }

    /// A reference to a long entry shares its bytes: what is allocated grows with the block alone.
    #[test]
    fn references_share_the_bytes_of_the_table() {
        let mut decoder = Decoder::default();
        let long = [&b"\x40\x01n\x7f\xa1\x1e"[..], &[b'v'; 4000]].concat();
        decoder.decode(&long, |_| {});
        let mut seen = Vec::new();
        decoder.decode(&[0xbe; 200], |field| seen.push(field.value.octets.expect("a known value")));
        assert_eq!(seen[0].len(), 4000);
        assert!(seen.iter().all(|octets| octets.as_ptr() == seen[0].as_ptr()));
    }

    proptest! {
        #[test]
        fn any_block_ends_and_keeps_the_bounds(
            blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
            joined in any::<bool>(),
        ) {
            let mut decoder = Decoder::default();
            if joined {
                decoder.forget();
            }
            for block in &blocks {
                decoder.decode(block, |field| {
                    for part in [&field.name, &field.value] {
                        assert!(part.range.end <= block.len());
                        if part.origin == Origin::Literal {
                            assert_eq!(&block[part.range.clone()], part.bytes());
                        }
                    }
                });
                prop_assert!(decoder.table_size() <= MAX_TABLE);
            }
        }
    }
}
