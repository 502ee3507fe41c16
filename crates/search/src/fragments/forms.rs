//! Undoes the encodings that a run of text may be written in.
//!
//! A known string is searched in every encoding as a pattern of its own. For every part of every message that would need
//! too much memory, so here it is the text that is decoded: wherever the bytes look like text, every decoding that applies is
//! tried at every alignment. Ciphertext hardly ever looks like text, so it costs one look at every sixteenth byte.

use std::ops::Range;

use super::near;
use crate::Encoding;

/// Distance of the places at which bytes are tested for being text.
const LOOK_EVERY: usize = 16;

/// Bytes tested.
const LOOK: usize = 8;

/// The highest bits of these bytes.
const NOT_ASCII: u64 = 0x8080_8080_8080_8080;

/// Shortest text that is decoded: the shortest form of the fewest bytes that are evidence is longer.
const MIN_TEXT: usize = LOOK_EVERY + LOOK - 1;

/// Fewest decoded bytes that are searched.
const MIN_DECODED: usize = 24;

/// Bytes before and behind an escape that are decoded with it: more than a run of the guaranteed length.
const NEAR_ESCAPE: usize = 64;

/// How often escapes of JSON inside of escapes of JSON are undone.
const MAX_NESTED: usize = 2;

/// The output of a decoder.
#[derive(Debug)]
pub(super) struct Decoded<'t> {
    pub bytes: Vec<u8>,
    places: Places<'t>,
    /// Where the text begins.
    first: usize,
    /// What the text was decoded from.
    outer: Option<&'t Decoded<'t>>,
}

/// Where the written form of each byte begins, as offsets in the text.
#[derive(Debug)]
enum Places<'t> {
    /// One by one; one more than there are bytes, the last one behind the form of the last byte.
    Listed(Vec<u32>),
    /// By the digits from this one on: most runs of digits decode to nothing that is searched, so that few places are needed.
    Digits(&'t DigitRun, usize),
}

impl Decoded<'_> {
    /// The bytes that a range of the decoded bytes was written in.
    pub(super) fn written(&self, decoded: Range<usize>) -> Range<usize> {
        self.written_at(decoded.start)..self.written_at(decoded.end)
    }

    fn written_at(&self, index: usize) -> usize {
        let in_text = match &self.places {
            Places::Listed(places) => places[index] as usize,
            Places::Digits(digits, _) if index == self.bytes.len() => digits.end,
            // A digit that belongs to two bytes begins the second one.
            Places::Digits(digits, skip) => digits.place(skip + index * 8 / digits.bits),
        };
        let at = self.first + in_text;
        self.outer.map_or(at, |outer| outer.written_at(at))
    }
}

/// Bytes with the places at which they are written.
#[derive(Default)]
struct Listed {
    bytes: Vec<u8>,
    places: Vec<u32>,
}

impl Listed {
    /// With room for so many bytes.
    fn with_capacity(len: usize) -> Self {
        Self { bytes: Vec::with_capacity(len), places: Vec::with_capacity(len + 1) }
    }

    fn push(&mut self, byte: u8, at: usize) {
        self.bytes.push(byte);
        self.places.push(at as u32);
    }

    /// The form of the last byte ends at `end`; the text begins at `first`.
    fn end<'t>(mut self, end: usize, first: usize, outer: Option<&'t Decoded<'t>>) -> Decoded<'t> {
        self.places.push(end as u32);
        Decoded { bytes: self.bytes, places: Places::Listed(self.places), first, outer }
    }
}

/// Calls `each` with every decoding of every text in these bytes.
#[inline]
pub(super) fn decode_all(bytes: &[u8], mut each: impl FnMut(Encoding, &Decoded<'_>)) {
    let mut free_from = 0;
    let mut at = 0;
    while let Some(look) = bytes.get(at..).and_then(|rest| rest.first_chunk::<LOOK>()) {
        // Text of either kind is ASCII, in UTF-16 with zeros between; one of 256 random words is.
        at = match u64::from_le_bytes(*look) & NOT_ASCII {
            0 => decode_at(bytes, at, &mut free_from, &mut each),
            _ => at + LOOK_EVERY,
        };
    }
}

/// Decodes the text at `at`, if there is one. Returns where to look next.
#[cold]
fn decode_at(
    bytes: &[u8],
    at: usize,
    free_from: &mut usize,
    each: &mut dyn FnMut(Encoding, &Decoded<'_>),
) -> usize {
    let look = &bytes[at..at + LOOK];
    if look.iter().all(|byte| is_text(*byte)) {
        let before = bytes[*free_from..at].iter().rev().take_while(|byte| is_text(**byte)).count();
        let behind = bytes[at..].iter().take_while(|byte| is_text(**byte)).count();
        if before + behind >= MIN_TEXT {
            decode_text(&bytes[at - before..at + behind], at - before, None, each);
        }
        *free_from = at + behind;
    } else if let Some(decoded) = wide_text(bytes, at) {
        *free_from = decoded.written(0..decoded.bytes.len()).end;
        if decoded.bytes.len() >= MIN_DECODED {
            each(Encoding::Utf16, &decoded);
        }
    }
    (*free_from).max(at + LOOK_EVERY)
}

fn decode_text(
    text: &[u8],
    first: usize,
    outer: Option<(&Decoded<'_>, usize)>,
    each: &mut dyn FnMut(Encoding, &Decoded<'_>),
) {
    let (outer, nested) = outer.map_or((None, 0), |(outer, nested)| (Some(outer), nested));
    let mut give = |encoding, decoded: &Decoded<'_>| {
        if decoded.bytes.len() >= MIN_DECODED {
            each(encoding, decoded);
        }
    };
    let mut give_digits = |encoding, digits: &DigitRun, skips: usize| {
        for skip in 0..skips {
            let (bytes, places) = (digits.decode(skip), Places::Digits(digits, skip));
            give(encoding, &Decoded { bytes, places, first, outer });
        }
    };
    // The digits of base64 include those of the others.
    runs(text, 0, &Digits::BASE64, |range, digits| {
        give_digits(Encoding::Base64, digits, 4);
        let inner = &text[range.clone()];
        runs(inner, range.start, &Digits::BASE32, |_, digits| give_digits(Encoding::Base32, digits, 8));
        runs(inner, range.start, &Digits::HEX, |_, digits| give_digits(Encoding::Hex, digits, 2));
    });
    for part in near(memchr::memchr_iter(b'%', text), NEAR_ESCAPE, text.len()) {
        let (decoded, end) = percent_decoded(text, part, false);
        give(Encoding::Percent, &decoded.end(end, first, outer));
    }
    if memchr::memchr(b'+', text).is_some() {
        for part in near(memchr::memchr2_iter(b'%', b'+', text), NEAR_ESCAPE, text.len()) {
            let (decoded, end) = percent_decoded(text, part, true);
            give(Encoding::Percent, &decoded.end(end, first, outer));
        }
    }
    for part in near(memchr::memchr_iter(b'\\', text), NEAR_ESCAPE, text.len()) {
        let (decoded, end) = json_unescaped(text, part);
        let decoded = decoded.end(end, first, outer);
        if nested < MAX_NESTED {
            decode_text(&decoded.bytes, 0, Some((&decoded, nested + 1)), &mut give);
        }
        give(Encoding::JsonEscapes, &decoded);
    }
}

/// Whether a byte belongs to a text: a printable character, a line break, or DEL, which JSON and URLs leave as it is.
fn is_text(byte: u8) -> bool {
    byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r')
}

/// The text of ASCII in UTF-16, of either byte order, at `at`: every other byte is zero.
fn wide_text(bytes: &[u8], at: usize) -> Option<Decoded<'static>> {
    let look = &bytes[at..at + LOOK];
    let is_wide_from = |first: usize| {
        let other = |skip: usize| look[skip..].iter().step_by(2);
        other(first).all(|byte| is_wide(*byte)) && other(1 - first).all(|byte| *byte == 0)
    };
    let first = (0..2).find(|first| is_wide_from(*first))?;
    let is_pair = |at: usize| {
        bytes.get(at).is_some_and(|byte| is_wide(*byte)) && bytes.get(at + 1).is_none_or(|byte| *byte == 0)
    };
    let mut start = at + first;
    while start >= 2 && is_pair(start - 2) {
        start -= 2;
    }
    let mut decoded = Listed::default();
    let mut next = start;
    // The zero behind the last character is there in one of the byte orders only.
    while let Some(byte) = bytes.get(next).copied().filter(|byte| is_wide(*byte)) {
        decoded.push(byte, next);
        next += if is_pair(next) { 2 } else { 1 };
        if bytes.get(next - 1) != Some(&0) {
            break;
        }
    }
    Some(decoded.end(next.min(bytes.len()), 0, None))
}

/// Whether a UTF-16 code unit of this value is recognised as text.
pub(super) fn is_wide(byte: u8) -> bool {
    is_text(byte) && byte.is_ascii()
}

/// An alphabet of digits, each of which has the same number of bits.
#[derive(Clone, Copy)]
struct Digits {
    bits: usize,
    /// The value of each byte, or [`NO_DIGIT`].
    values: [u8; 256],
}

const NO_DIGIT: u8 = u8::MAX;

impl Digits {
    /// In either case.
    const HEX: Self = Self::new(4, &[b"0123456789abcdef", b"0123456789ABCDEF"]);
    /// In either case (RFC 4648 §6).
    const BASE32: Self =
        Self::new(5, &[b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"abcdefghijklmnopqrstuvwxyz234567"]);
    /// Also with the alphabet that is safe in URLs (RFC 4648 §4, §5).
    const BASE64: Self = Self::new(
        6,
        &[
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        ],
    );

    const fn new(bits: usize, alphabets: &[&[u8]]) -> Self {
        let mut values = [NO_DIGIT; 256];
        let mut alphabet = 0;
        while alphabet < alphabets.len() {
            let mut digit = 0;
            while digit < alphabets[alphabet].len() {
                values[alphabets[alphabet][digit] as usize] = digit as u8;
                digit += 1;
            }
            alphabet += 1;
        }
        Self { bits, values }
    }

    fn has(&self, byte: u8) -> bool {
        self.values[usize::from(byte)] != NO_DIGIT
    }

    /// The first digit of the run that `at` belongs to.
    fn start_of_run(&self, text: &[u8], free_from: usize, at: usize) -> usize {
        let mut start = at;
        loop {
            start -= text[free_from..start].iter().rev().take_while(|byte| self.has(**byte)).count();
            let before = &text[free_from..start];
            let spaces = before.iter().rev().take_while(|byte| is_space(**byte)).count();
            let breaks = before.iter().rev().skip(spaces).take_while(|byte| is_line_break(**byte)).count();
            if breaks == 0 {
                break;
            }
            start -= spaces + breaks;
        }
        start + text[start..at].iter().take_while(|byte| !self.has(**byte)).count()
    }

    /// The run of `count` digits in this range of a text that begins at `first`.
    fn run(&self, text: &[u8], range: Range<usize>, count: usize, first: usize) -> DigitRun {
        let digits = || range.clone().filter(|at| self.has(text[*at]));
        let has_breaks = count < range.len();
        DigitRun {
            bits: self.bits,
            values: digits().map(|at| self.values[usize::from(text[at])]).collect(),
            start: first + range.start,
            places: digits().take_while(|_| has_breaks).map(|at| (first + at) as u32).collect(),
            end: first + range.end,
        }
    }

    /// The number of digits in the run that begins at `at`, and its end.
    fn measure(&self, text: &[u8], at: usize) -> (usize, usize) {
        let (mut count, mut end, mut next) = (0, at, at);
        loop {
            let digits = text[next..].iter().take_while(|byte| self.has(**byte)).count();
            if digits > 0 {
                count += digits;
                next += digits;
                end = next;
            }
            // A run begins with a digit. To measure line breaks before one again and again would take quadratic time.
            if count == 0 {
                break;
            }
            match line_break(&text[next..]) {
                0 => break,
                len => next += len,
            }
        }
        (count, end)
    }
}

/// Digits in a row, without the line breaks between them.
#[derive(Debug)]
struct DigitRun {
    /// Number of bits of a digit.
    bits: usize,
    values: Vec<u8>,
    /// Offset of the first digit.
    start: usize,
    /// Offset of each digit; empty if nothing is between them.
    places: Vec<u32>,
    /// Offset behind the last digit.
    end: usize,
}

impl DigitRun {
    /// The bytes that the digits from `skip` on denote.
    fn decode(&self, skip: usize) -> Vec<u8> {
        /// So many digits are a whole number of bytes: as many as a digit has bits.
        const GROUP: usize = 8;
        let values = self.values.get(skip..).unwrap_or_default();
        let len = values.len() * self.bits / 8;
        // Each group is written as a whole word, whose end the next one overwrites.
        let mut bytes = vec![0; len + size_of::<u64>()];
        let (groups, rest) = values.as_chunks::<GROUP>();
        let mut at = 0;
        for group in groups.iter().map(|group| &group[..]).chain([rest]).filter(|group| !group.is_empty()) {
            let word = group.iter().fold(0, |word, value| word << self.bits | u64::from(*value));
            let unused = u64::BITS as usize - group.len() * self.bits;
            bytes[at..at + size_of::<u64>()].copy_from_slice(&(word << unused).to_be_bytes());
            at += self.bits;
        }
        bytes.truncate(len);
        bytes
    }

    /// Offset of a digit.
    fn place(&self, digit: usize) -> usize {
        self.places.get(digit).map_or(self.start + digit, |place| *place as usize)
    }
}

/// Calls `each` for the runs of digits in a text that begins at `first`. Lines may break anywhere in a run; a line of at least
/// [`LOOK_EVERY`] + [`LOOK`] − 1 digits may be indented.
fn runs(text: &[u8], first: usize, digits: &Digits, mut each: impl FnMut(Range<usize>, &DigitRun)) {
    let shortest = (MIN_DECODED * 8) / digits.bits;
    let (mut at, mut free_from) = (0, 0);
    // Most words are shorter than a run, so that few places are followed.
    while let Some(look) = text.get(at..at + LOOK) {
        if !look.iter().all(|byte| digits.has(*byte) || is_line_break(*byte)) {
            at += LOOK_EVERY;
            continue;
        }
        let start = digits.start_of_run(text, free_from, at);
        let (count, end) = digits.measure(text, start);
        if count >= shortest {
            each(start..end, &digits.run(text, start..end, count, first));
        }
        free_from = end;
        at = end.max(at + LOOK_EVERY);
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Length of the line break that a text begins with, and of the indentation behind it; 0 if it begins with none.
fn line_break(text: &[u8]) -> usize {
    let breaks = text.iter().take_while(|byte| is_line_break(**byte)).count();
    if breaks == 0 {
        return 0;
    }
    breaks + text[breaks..].iter().take_while(|byte| is_space(**byte)).count()
}

/// Undoes percent-encoding (RFC 3986 §2.1); `+` is a space if `is_form` is set. Also returns where the form of the last
/// byte ends.
fn percent_decoded(text: &[u8], part: Range<usize>, is_form: bool) -> (Listed, usize) {
    let text = &text[..part.end];
    let mut decoded = Listed::with_capacity(part.len());
    let mut at = part.start;
    while let Some(&byte) = text.get(at) {
        let hex = |at: usize| text.get(at).map(|byte| Digits::HEX.values[usize::from(*byte)]);
        let (byte, len) = match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high @ 0..16), Some(low @ 0..16)) => (high << 4 | low, 3),
            (b'+', ..) if is_form => (b' ', 1),
            (byte, ..) => (byte, 1),
        };
        decoded.push(byte, at);
        at += len;
    }
    (decoded, at)
}

/// Undoes the escapes of JSON strings (RFC 8259 §7). What is no escape stays. Also returns where the form of the last byte
/// ends.
fn json_unescaped(text: &[u8], part: Range<usize>) -> (Listed, usize) {
    let text = &text[..part.end];
    let mut decoded = Listed::with_capacity(part.len());
    let mut at = part.start;
    while let Some(&byte) = text.get(at) {
        let next = text.get(at + 1);
        let (char, len) = match (byte, next) {
            (b'\\', Some(b'u')) => match escaped_char(&text[at..]) {
                Some(escaped) => escaped,
                None => (char::from(byte), 1),
            },
            (b'\\', Some(b'n')) => ('\n', 2),
            (b'\\', Some(b'r')) => ('\r', 2),
            (b'\\', Some(b't')) => ('\t', 2),
            (b'\\', Some(b'b')) => ('\u{8}', 2),
            (b'\\', Some(b'f')) => ('\u{c}', 2),
            (b'\\', Some(same @ (b'"' | b'\\' | b'/'))) => (char::from(*same), 2),
            _ => {
                decoded.push(byte, at);
                at += 1;
                continue;
            }
        };
        for byte in char.encode_utf8(&mut [0; 4]).bytes() {
            decoded.push(byte, at);
        }
        at += len;
    }
    (decoded, at)
}

/// The character of `\uXXXX` or of a pair of surrogates, and its length in the text.
fn escaped_char(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(br"\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let first = unit(0)?;
    let units = [first, unit(6).unwrap_or(0)];
    let count = if (0xd800..0xdc00).contains(&first) { 2 } else { 1 };
    let char = char::decode_utf16(units.into_iter().take(count)).next()?.ok()?;
    Some((char, 6 * count))
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, HEXLOWER, HEXUPPER};

    use super::*;

    const SAID: &str = r#"{"text":"one message, \"quoted\", 100% long & with a / in it","more":"é"}"#;

    /// Whether one of the decodings contains these bytes, written at the given range.
    fn decodes(text: &[u8], encoding: Encoding, bytes: &[u8], written: Range<usize>) {
        let mut found = Vec::new();
        decode_all(text, |used, decoded| {
            if used == encoding
                && let Some(at) = memchr::memmem::find(&decoded.bytes, bytes)
            {
                found.push(decoded.written(at..at + bytes.len()));
            }
        });
        assert!(found.contains(&written), "{encoding}: {found:?} is not {written:?}");
    }

    fn with_frame(written: &str) -> (Vec<u8>, Range<usize>) {
        let text = format!("\0\u{1}name=?{written}?\0\u{1}").into_bytes();
        (text, 8..8 + written.len())
    }

    #[test]
    fn decodes_hexadecimal_digits_of_either_case() {
        for written in [HEXLOWER.encode(SAID.as_bytes()), HEXUPPER.encode(SAID.as_bytes())] {
            let (text, range) = with_frame(&written);
            decodes(&text, Encoding::Hex, SAID.as_bytes(), range);
        }
    }

    #[test]
    fn decodes_base64_with_line_breaks_anywhere() {
        let written = BASE64_NOPAD.encode(SAID.as_bytes());
        for (width, ends) in
            [(1, "\n"), (4, "\r\n"), (7, "\n"), (64, "\n"), (76, "\r\n"), (24, "\r\n  "), (76, "\n\t")]
        {
            let lines = written.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap());
            let (text, range) = with_frame(&lines.collect::<Vec<_>>().join(ends));
            decodes(&text, Encoding::Base64, SAID.as_bytes(), range);
        }
    }

    #[test]
    fn decodes_base64_and_base32_in_the_middle_of_other_digits() {
        for before in 0..8 {
            let content = ["#######", SAID].map(str::as_bytes).concat();
            let content = &content[7 - before..];
            let (text, range) = with_frame(&format!("A{}", BASE64_NOPAD.encode(content)));
            let from = range.start + 1 + before * 8 / 6;
            decodes(&text, Encoding::Base64, SAID.as_bytes(), from..range.end);
            let (text, range) = with_frame(&format!("a{}", BASE32_NOPAD.encode(content).to_lowercase()));
            let from = range.start + 1 + before * 8 / 5;
            decodes(&text, Encoding::Base32, SAID.as_bytes(), from..range.end);
        }
    }

    #[test]
    fn decodes_percent_encoding_with_and_without_plus() {
        let written: String = SAID.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (text, range) = with_frame(&written);
        decodes(&text, Encoding::Percent, SAID.as_bytes(), range);
        let (text, range) = with_frame("a+b%20c+and+many+more+words+of+this%21");
        decodes(&text, Encoding::Percent, b"a b c and many more words of this!", range.clone());
        decodes(&text, Encoding::Percent, b"a+b c+and+many+more+words+of+this!", range);
        let (text, range) = with_frame("words+with+nothing+but+spaces+between+them");
        decodes(&text, Encoding::Percent, b"words with nothing but spaces between them", range);
    }

    #[test]
    fn undoes_escapes_of_json_in_escapes_of_json() {
        let mut written = SAID.to_owned();
        for _ in 0..=MAX_NESTED {
            written = serde_json::to_string(&written).unwrap();
            let (text, range) = with_frame(&written);
            decodes(
                &text,
                Encoding::JsonEscapes,
                SAID.as_bytes(),
                range.start + written.find('{').unwrap()
                    ..range.end - (written.len() - written.rfind('}').unwrap() - 1),
            );
        }
        let (text, range) = with_frame(r"\ud55c\uae00 \uD83D\uDE42 and some more words here");
        decodes(&text, Encoding::JsonEscapes, "한글 🙂 and some more words here".as_bytes(), range);
    }

    #[test]
    fn decodes_base64_in_a_string_of_json() {
        let lines = BASE64_NOPAD
            .encode(SAID.as_bytes())
            .as_bytes()
            .chunks(20)
            .map(|line| str::from_utf8(line).unwrap().to_owned())
            .collect::<Vec<_>>();
        let (text, range) = with_frame(&lines.join(r"\n"));
        decodes(&text, Encoding::Base64, SAID.as_bytes(), range);
    }

    #[test]
    fn decodes_utf_16_of_either_order_at_every_alignment() {
        let ascii = "forty characters of plain ASCII, or more of it";
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            for before in 0..20 {
                let wide: Vec<u8> = ascii.encode_utf16().flat_map(order).collect();
                let text = [&vec![0xee; before][..], &wide, &[0xee; 3]].concat();
                let first = before + usize::from(order(1) == [0, 1]);
                let end = before + wide.len();
                let mut found = Vec::new();
                decode_all(&text, |encoding, decoded| {
                    if encoding == Encoding::Utf16 {
                        found.push((decoded.bytes.clone(), decoded.written(0..ascii.len())));
                    }
                });
                assert_eq!(found, [(ascii.as_bytes().to_vec(), first..end)]);
            }
        }
    }

    #[test]
    fn does_not_read_what_is_no_text() {
        let noise: Vec<u8> =
            (0..100_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut decodings = 0;
        decode_all(&noise, |_, _| decodings += 1);
        assert_eq!(decodings, 0);
    }

    /// A megabyte of line breaks, of which none is followed more than once: quadratic time would be minutes.
    #[test]
    fn line_breaks_without_end_take_linear_time() {
        for begins in ["", "A", "QUJD"] {
            let text = [begins.as_bytes(), &[b'\n'; 1 << 20]].concat();
            decode_all(&text, |_, _| {});
        }
    }

    #[test]
    fn takes_any_bytes() {
        for byte in 0..=u8::MAX {
            decode_all(&[byte; 300], |_, decoded| {
                let written = decoded.written(0..decoded.bytes.len());
                assert!(written.start < written.end && written.end <= 300, "{written:?}");
            });
        }
        for text in [&br"\u\u12\ud800\udc"[..], br"%%2%%zz\", b"\\", b"%"] {
            decode_all(&text.repeat(20), |_, _| {});
        }
    }
}
