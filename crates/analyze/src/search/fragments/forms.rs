//! Undoes the encodings that a run of text may be written in.
//!
//! A known string is searched in every encoding as a pattern of its own. For every part of every message that would need
//! too much memory, so here it is the text that is decoded: wherever the bytes look like text, every decoding that applies is
//! tried at every alignment. Ciphertext hardly ever looks like text, so it costs one look at every sixteenth byte.

use std::ops::Range;

use crate::search::Encoding;

/// Distance of the places at which bytes are tested for being text.
const LOOK_EVERY: usize = 16;

/// Bytes tested.
const LOOK: usize = 8;

/// Shortest text that is decoded: the shortest form of the fewest bytes that are evidence is longer.
const MIN_TEXT: usize = LOOK_EVERY + LOOK - 1;

/// Fewest decoded bytes that are searched.
const MIN_DECODED: usize = 24;

/// How often escapes of JSON inside of escapes of JSON are undone.
const MAX_NESTED: usize = 2;

/// The output of a decoder, and for each byte where its written form begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoded {
    pub bytes: Vec<u8>,
    /// Offsets in the text; one more than there are bytes, the last one behind the form of the last byte.
    pub written_at: Vec<u32>,
}

impl Decoded {
    fn push(&mut self, byte: u8, written_at: u32) {
        self.bytes.push(byte);
        self.written_at.push(written_at);
    }

    fn end(mut self, at: u32) -> Self {
        self.written_at.push(at);
        self
    }

    /// The text that a range of the decoded bytes was written in.
    pub(super) fn written(&self, decoded: Range<usize>) -> Range<usize> {
        self.written_at[decoded.start] as usize..self.written_at[decoded.end] as usize
    }

    /// Offsets of an outer text instead of an inner one.
    fn in_outer(mut self, outer: &Decoded) -> Self {
        self.written_at.iter_mut().for_each(|at| *at = outer.written_at[*at as usize]);
        self
    }
}

/// Calls `each` with every decoding of every text in these bytes.
pub(super) fn decode_all(bytes: &[u8], mut each: impl FnMut(Encoding, &Decoded)) {
    texts(bytes, |range| decode_text(&bytes[range.clone()], range.start, 0, &mut each));
    wide_texts(bytes, |decoded| each(Encoding::Utf16, &decoded));
}

fn decode_text(text: &[u8], at: usize, nested: usize, each: &mut dyn FnMut(Encoding, &Decoded)) {
    let mut give = |encoding, mut decoded: Decoded| {
        if decoded.bytes.len() >= MIN_DECODED {
            decoded.written_at.iter_mut().for_each(|written| *written += at as u32);
            each(encoding, &decoded);
        }
    };
    runs(text, Digits::HEX, |digits| (0..2).for_each(|skip| give(Encoding::Hex, digits.decode(skip))));
    runs(text, Digits::BASE32, |digits| (0..8).for_each(|skip| give(Encoding::Base32, digits.decode(skip))));
    runs(text, Digits::BASE64, |digits| (0..4).for_each(|skip| give(Encoding::Base64, digits.decode(skip))));
    if memchr::memchr(b'%', text).is_some() {
        give(Encoding::Percent, percent_decoded(text, false));
        if memchr::memchr(b'+', text).is_some() {
            give(Encoding::Percent, percent_decoded(text, true));
        }
    }
    if memchr::memchr(b'\\', text).is_some() {
        let decoded = json_unescaped(text);
        if nested < MAX_NESTED {
            decode_text(&decoded.bytes, 0, nested + 1, &mut |encoding, inner| {
                give(encoding, inner.clone().in_outer(&decoded));
            });
        }
        give(Encoding::JsonEscapes, decoded);
    }
}

/// Calls `each` for the texts in these bytes: every run of printable characters and line breaks that has
/// [`LOOK_EVERY`] + [`LOOK`] − 1 characters of ASCII in a row.
fn texts(bytes: &[u8], mut each: impl FnMut(Range<usize>)) {
    let mut at = 0;
    let mut free_from = 0;
    while let Some(look) = bytes.get(at..at + LOOK) {
        if !look.is_ascii() || !look.iter().all(|byte| is_text(*byte)) {
            at += LOOK_EVERY;
            continue;
        }
        let before = bytes[free_from..at].iter().rev().take_while(|byte| is_text(**byte)).count();
        let behind = bytes[at..].iter().take_while(|byte| is_text(**byte)).count();
        if before + behind >= MIN_TEXT {
            each(at - before..at + behind);
        }
        free_from = at + behind;
        at = free_from.max(at + LOOK_EVERY);
    }
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | 0x80.. | b'\t' | b'\n' | b'\r')
}

/// Calls `each` for the texts of ASCII in UTF-16, of either byte order: every other byte is zero.
fn wide_texts(bytes: &[u8], mut each: impl FnMut(Decoded)) {
    let mut at = 0;
    while let Some(look) = bytes.get(at..at + LOOK) {
        let Some(first) = (0..2).find(|first| look[*first..].iter().step_by(2).all(|byte| is_wide(*byte)))
        else {
            at += LOOK_EVERY;
            continue;
        };
        if !look[1 - first..].iter().step_by(2).all(|byte| *byte == 0) {
            at += LOOK_EVERY;
            continue;
        }
        let is_pair = |at: &usize| {
            bytes.get(*at).is_some_and(|byte| is_wide(*byte))
                && bytes.get(at + 1).is_none_or(|byte| *byte == 0)
        };
        let mut start = at + first;
        while start >= 2 && is_pair(&(start - 2)) {
            start -= 2;
        }
        let mut decoded = Decoded::default();
        let mut next = start;
        // The zero behind the last character is there in one of the byte orders only.
        while let Some(byte) = bytes.get(next).copied().filter(|byte| is_wide(*byte)) {
            decoded.push(byte, next as u32);
            next += if is_pair(&next) { 2 } else { 1 };
            if bytes.get(next - 1) != Some(&0) {
                break;
            }
        }
        if decoded.bytes.len() >= MIN_DECODED {
            each(decoded.end(next.min(bytes.len()) as u32));
        }
        at = next.max(at + LOOK_EVERY);
    }
}

fn is_wide(byte: u8) -> bool {
    is_text(byte) && byte.is_ascii()
}

/// An alphabet of digits, each of which has the same number of bits.
#[derive(Clone, Copy)]
struct Digits {
    bits: u32,
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

    const fn new(bits: u32, alphabets: &[&[u8]]) -> Self {
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

    /// The number of digits in the run that begins at `at`, and its end.
    fn measure(&self, text: &[u8], at: usize) -> (usize, usize) {
        let (mut count, mut end, mut next) = (0, at, at);
        while let Some(byte) = text.get(next) {
            if self.values[usize::from(*byte)] != NO_DIGIT {
                count += 1;
                next += 1;
                end = next;
                continue;
            }
            match line_break(&text[next..]) {
                0 => break,
                _ if count == 0 => break,
                len => next += len,
            }
        }
        (count, end)
    }
}

/// Digits in a row, without the line breaks between them.
#[derive(Default)]
struct DigitRun {
    bits: u32,
    values: Vec<u8>,
    /// Offset of each digit.
    at: Vec<u32>,
    end: u32,
}

impl DigitRun {
    /// The bytes that the digits from `skip` on denote.
    fn decode(&self, skip: usize) -> Decoded {
        let mut decoded = Decoded::default();
        let (mut held, mut held_bits, mut began_at) = (0_u32, 0, None);
        for (value, at) in self.values.iter().zip(&self.at).skip(skip) {
            held = held << self.bits | u32::from(*value);
            held_bits += self.bits;
            let began = *began_at.get_or_insert(*at);
            if held_bits >= 8 {
                held_bits -= 8;
                decoded.push((held >> held_bits) as u8, began);
                held &= (1 << held_bits) - 1;
                // A digit that belongs to two bytes begins the second one.
                began_at = (held_bits > 0).then_some(*at);
            }
        }
        decoded.end(self.end)
    }
}

/// Calls `each` for the runs of digits in a text. Lines may break anywhere in a run, and a line may be indented.
fn runs(text: &[u8], digits: Digits, mut each: impl FnMut(&DigitRun)) {
    let shortest = (MIN_DECODED * 8) / digits.bits as usize;
    let mut at = 0;
    while at < text.len() {
        // Most runs are words, which are too short.
        let (count, end) = digits.measure(text, at);
        if count >= shortest {
            let mut run = DigitRun { bits: digits.bits, end: end as u32, ..DigitRun::default() };
            for (at, byte) in text.iter().enumerate().take(end).skip(at) {
                let value = digits.values[usize::from(*byte)];
                if value != NO_DIGIT {
                    run.values.push(value);
                    run.at.push(at as u32);
                }
            }
            each(&run);
        }
        at = end.max(at + 1);
    }
}

/// Length of the line break that a text begins with, and of the indentation behind it; 0 if it begins with none.
fn line_break(text: &[u8]) -> usize {
    let breaks = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if breaks == 0 {
        return 0;
    }
    breaks + text[breaks..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Undoes percent-encoding (RFC 3986 §2.1); `+` is a space if `is_form` is set.
fn percent_decoded(text: &[u8], is_form: bool) -> Decoded {
    let mut decoded = Decoded::default();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let hex = |at: usize| text.get(at).map(|byte| Digits::HEX.values[usize::from(*byte)]);
        let (byte, len) = match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high @ 0..16), Some(low @ 0..16)) => (high << 4 | low, 3),
            (b'+', ..) if is_form => (b' ', 1),
            (byte, ..) => (byte, 1),
        };
        decoded.push(byte, at as u32);
        at += len;
    }
    decoded.end(at as u32)
}

/// Undoes the escapes of JSON strings (RFC 8259 §7). What is no escape stays.
fn json_unescaped(text: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    let mut at = 0;
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
                decoded.push(byte, at as u32);
                at += 1;
                continue;
            }
        };
        for byte in char.encode_utf8(&mut [0; 4]).bytes() {
            decoded.push(byte, at as u32);
        }
        at += len;
    }
    decoded.end(at as u32)
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
        for width in [1, 4, 7, 64, 76] {
            for ends in ["\n", "\r\n", "\r\n  "] {
                let lines: Vec<_> =
                    written.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
                let lines = lines.join(ends);
                let (text, range) = with_frame(&lines);
                decodes(&text, Encoding::Base64, SAID.as_bytes(), range);
            }
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
                wide_texts(&text, |decoded| {
                    found.push((decoded.bytes.clone(), decoded.written(0..ascii.len())));
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

    #[test]
    fn takes_any_bytes() {
        for byte in 0..=u8::MAX {
            decode_all(&[byte; 300], |_, decoded| {
                assert!(decoded.written_at.len() == decoded.bytes.len() + 1);
            });
        }
        for text in [&br"\u\u12\ud800\udc"[..], br"%%2%%zz\", b"\\", b"%"] {
            decode_all(&text.repeat(20), |_, _| {});
        }
    }
}
