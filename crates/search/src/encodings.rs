//! The encodings in which a string can be readable for everyone without appearing as its own bytes.
//!
//! The search does not decode traffic that might be encoded. It encodes each known string and treats each result as one
//! more pattern. So it finds a string inside an unknown format, and at any offset of a longer encoded text.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;

/// Only this many bytes of a longer string are searched in encoded form: they suffice to show that it can be read.
pub(crate) const MAX_ENCODED: usize = 64;

/// Fewest hexadecimal digits that are also searched as the bytes they denote. These are half as many, and eight bytes
/// are the fewest that are evidence.
const MIN_HEX_DIGITS: usize = 16;

/// Fewest distinct values among such bytes. Bytes that are almost all equal occur in every padding; those of a canary
/// are not.
const MIN_BYTE_VALUES: usize = 4;

/// A way to write a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// Its own bytes, UTF-8.
    Plain,
    /// With the escapes of a JSON string (RFC 8259 §7).
    JsonEscapes,
    /// Base64 or base64url, at any of the three offsets (RFC 4648 §4, §5).
    Base64,
    /// Hexadecimal digits, in either case.
    Hex,
    /// Percent-encoded (RFC 3986 §2.1), also as HTML forms write it.
    Percent,
    /// UTF-16, either byte order.
    Utf16,
    /// Base32, at any of the five offsets, either case (RFC 4648 §6).
    Base32,
    /// Hexadecimal digits with their letters in the other case.
    LetterCase,
    /// Hexadecimal digits as the bytes that they denote.
    Bytes,
}

impl Encoding {
    /// The name in decode chains; `None` for the string itself.
    pub fn layer(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::JsonEscapes => Some("json-escapes"),
            Self::Base64 => Some("base64"),
            Self::Hex => Some("hex"),
            Self::Percent => Some("percent"),
            Self::Utf16 => Some("utf-16"),
            Self::Base32 => Some("base32"),
            Self::LetterCase => Some("letter-case"),
            Self::Bytes => Some("bytes"),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.layer().unwrap_or("plain"))
    }
}

/// A written form: an encoding in one of its variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Form(u8);

/// What a form does.
#[derive(Clone, Copy)]
enum Way {
    Plain,
    Json(&'static JsonSerialiser),
    Base64 {
        skipped: usize,
        alphabet: &'static [u8; 64],
    },
    Base32 {
        skipped: usize,
        alphabet: &'static [u8; 32],
    },
    Utf16(fn(u16) -> [u8; 2]),
    LetterCase {
        is_upper: bool,
    },
    Bytes,
    Hex {
        is_upper: bool,
    },
    Percent(&'static PercentEncoder),
    /// Every character as escapes of JSON. No serialiser writes so, but every parser reads it.
    AllJsonEscapes {
        is_upper: bool,
    },
    /// Every byte percent-encoded.
    AllPercent {
        is_upper: bool,
    },
}

/// Number of forms.
const FORM_COUNT: usize =
    1 + JSON_SERIALISERS.len() + 2 * 3 + 2 * 5 + 2 + 2 + 1 + 2 + PERCENT_ENCODERS.len() + 2 + 2;

/// A set of forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FormSet(u64);

const _: () = assert!(FORM_COUNT <= u64::BITS as usize, "a set has a bit for every form");

impl FormSet {
    pub(crate) fn insert(&mut self, form: Form) {
        self.0 |= 1 << form.0;
    }

    /// Its forms, in the order of their numbers.
    pub(crate) fn iter(self) -> impl Iterator<Item = Form> {
        (0..FORM_COUNT as u8).filter(move |number| self.0 >> number & 1 != 0).map(Form)
    }
}

/// All forms, by their number.
static FORMS: [Way; FORM_COUNT] = {
    let mut forms = [Way::Plain; FORM_COUNT];
    let mut next = 1; // behind the plain form
    let mut at = 0;
    while at < JSON_SERIALISERS.len() {
        forms[next] = Way::Json(&JSON_SERIALISERS[at]);
        (at, next) = (at + 1, next + 1);
    }
    let mut skipped = 0;
    while skipped < 3 {
        forms[next] = Way::Base64 { skipped, alphabet: STANDARD };
        forms[next + 1] = Way::Base64 { skipped, alphabet: URL_SAFE };
        (skipped, next) = (skipped + 1, next + 2);
    }
    skipped = 0;
    while skipped < 5 {
        forms[next] = Way::Base32 { skipped, alphabet: BASE32_LOWER };
        forms[next + 1] = Way::Base32 { skipped, alphabet: BASE32 };
        (skipped, next) = (skipped + 1, next + 2);
    }
    forms[next] = Way::Utf16(u16::to_le_bytes);
    forms[next + 1] = Way::Utf16(u16::to_be_bytes);
    forms[next + 2] = Way::LetterCase { is_upper: false };
    forms[next + 3] = Way::LetterCase { is_upper: true };
    forms[next + 4] = Way::Bytes;
    forms[next + 5] = Way::Hex { is_upper: false };
    forms[next + 6] = Way::Hex { is_upper: true };
    forms[next + 7] = Way::AllJsonEscapes { is_upper: false };
    forms[next + 8] = Way::AllJsonEscapes { is_upper: true };
    forms[next + 9] = Way::AllPercent { is_upper: false };
    forms[next + 10] = Way::AllPercent { is_upper: true };
    next += 11;
    at = 0;
    while at < PERCENT_ENCODERS.len() {
        forms[next] = Way::Percent(&PERCENT_ENCODERS[at]);
        (at, next) = (at + 1, next + 1);
    }
    assert!(next == FORM_COUNT, "every form has its place");
    forms
};

impl Form {
    /// The string itself.
    pub const PLAIN: Self = Self(0);

    /// Number of bits that number every form.
    pub(crate) const BITS: u32 = (FORM_COUNT - 1).ilog2() + 1;

    /// The form with this number, below [`FORM_COUNT`].
    pub(crate) const fn numbered(number: u8) -> Self {
        Self(number)
    }

    /// Its number, from 0.
    pub(crate) const fn number(self) -> u8 {
        self.0
    }

    /// How the text is written.
    pub fn encoding(self) -> Encoding {
        match self.way() {
            Way::Plain => Encoding::Plain,
            Way::Json(_) | Way::AllJsonEscapes { .. } => Encoding::JsonEscapes,
            Way::Base64 { .. } => Encoding::Base64,
            Way::Base32 { .. } => Encoding::Base32,
            Way::Utf16(_) => Encoding::Utf16,
            Way::LetterCase { .. } => Encoding::LetterCase,
            Way::Bytes => Encoding::Bytes,
            Way::Hex { .. } => Encoding::Hex,
            Way::Percent(_) | Way::AllPercent { .. } => Encoding::Percent,
        }
    }

    /// Whether only the first [`MAX_ENCODED`] bytes of a string are written in this form.
    pub(crate) fn is_cut(self) -> bool {
        !matches!(self.way(), Way::Plain | Way::Json(_))
    }

    /// Appends a string in this form. Returns `false` if it has no such form.
    pub fn write(self, value: &[u8], out: &mut Vec<u8>) -> bool {
        let start = &value[..value.len().min(MAX_ENCODED)];
        let text = || std::str::from_utf8(value).ok();
        match self.way() {
            Way::Plain => out.extend_from_slice(value),
            Way::Json(serialiser) => match text() {
                Some(text) => serialiser.escape(text, out),
                None => return false,
            },
            Way::Base64 { skipped, alphabet } => inner::<6>(start, skipped, alphabet, out),
            Way::Base32 { skipped, alphabet } => inner::<5>(start, skipped, alphabet, out),
            Way::Utf16(order) => match text() {
                Some(text) => utf16(text, order, out),
                None => return false,
            },
            Way::LetterCase { is_upper } if hex_bytes(start).is_some() => {
                let in_case = if is_upper { u8::to_ascii_uppercase } else { u8::to_ascii_lowercase };
                out.extend(start.iter().map(in_case));
            }
            Way::Bytes => match hex_bytes(start) {
                Some(bytes) if has_variety(&bytes) => out.extend_from_slice(&bytes),
                _ => return false,
            },
            Way::LetterCase { .. } => return false,
            Way::Hex { is_upper } => write_hex(start, is_upper, out),
            Way::Percent(encoder) => encoder.encode(start, out),
            Way::AllJsonEscapes { is_upper } => match text() {
                Some(text) => text
                    .char_indices()
                    .take_while(|(at, _)| *at < MAX_ENCODED)
                    .for_each(|(_, c)| write_code_units(c, is_upper, out)),
                None => return false,
            },
            Way::AllPercent { is_upper } => start.iter().for_each(|byte| write_percent(*byte, is_upper, out)),
        }
        true
    }

    fn way(self) -> Way {
        FORMS[usize::from(self.0)]
    }
}

/// All written forms of one string, without duplicates and without those that are too short. The memory is reused for the
/// next string.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
    /// The forms, and where each ends in `bytes`.
    forms: Vec<(Form, usize)>,
}

impl Encoder {
    /// Writes a string in every form of at least `at_least` bytes.
    pub(crate) fn encode(&mut self, value: &[u8], at_least: usize) {
        self.bytes.clear();
        self.forms.clear();
        // Most strings need no escapes, and most of their forms would be the string itself.
        let is_plain_json = value.iter().all(|byte| is_plain_in_json(*byte));
        let is_plain_percent = value.iter().all(|byte| is_plain_in_percent(*byte));
        for form in (0..FORM_COUNT as u8).map(Form) {
            match form.way() {
                Way::Json(_) if is_plain_json => continue,
                Way::Percent(_) if is_plain_percent => continue,
                _ => {}
            }
            let before = self.bytes.len();
            let is_written = form.write(value, &mut self.bytes);
            // Of a long string, the start may need no encoding: it is the start of the string itself.
            let is_itself = form != Form::PLAIN && value.starts_with(&self.bytes[before..]);
            if is_written && !is_itself && self.is_new(before, at_least) {
                self.forms.push((form, self.bytes.len()));
            } else {
                self.bytes.truncate(before);
            }
        }
    }

    /// The forms and the bytes written in them.
    pub(crate) fn forms(&self) -> impl Iterator<Item = (Form, &[u8])> {
        let mut start = 0;
        self.forms
            .iter()
            .map(move |(form, end)| (*form, &self.bytes[std::mem::replace(&mut start, *end)..*end]))
    }

    fn is_new(&self, from: usize, at_least: usize) -> bool {
        let written = &self.bytes[from..];
        written.len() >= at_least && self.forms().all(|(_, known)| known != written)
    }
}

/// Whether no JSON serialiser escapes a character of ASCII.
fn is_plain_in_json(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !b"\"\\/<>&'=+`".contains(&byte)
}

/// Whether every encoder keeps a character.
fn is_plain_in_percent(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

/// What a JSON serialiser escapes, beyond the quotation mark, the backslash and control characters (RFC 8259 §7).
struct JsonSettings {
    /// Characters of ASCII that it writes as `\u00XX`; the quotation mark is otherwise `\"`.
    as_code_units: &'static str,
    beyond_ascii: BeyondAscii,
    /// Whether the digits of an escape are upper case.
    is_upper: bool,
    /// Whether it writes `\/`.
    escapes_solidus: bool,
    /// Whether it writes `\b` and `\f`, and not their code units.
    has_short_b_and_f: bool,
}

/// Which characters beyond ASCII become escaped UTF-16 code units.
#[derive(Clone, Copy, PartialEq)]
enum BeyondAscii {
    Kept,
    Escaped,
    /// Only U+2028 and U+2029, which end a line in JavaScript.
    LineEndsEscaped,
}

/// Escapes nothing that RFC 8259 does not ask for: serde_json, JavaScript, Ruby.
const MINIMAL: JsonSettings = JsonSettings {
    as_code_units: "",
    beyond_ascii: BeyondAscii::Kept,
    is_upper: false,
    escapes_solidus: false,
    has_short_b_and_f: true,
};

/// The serialisers that the search knows, by what they are set to at first or often.
static JSON_SERIALISERS: [JsonSerialiser; 11] = [
    JsonSerialiser::new(MINIMAL),
    // Jackson, without and with its feature ESCAPE_NON_ASCII.
    JsonSerialiser::new(JsonSettings { is_upper: true, ..MINIMAL }),
    JsonSerialiser::new(JsonSettings { is_upper: true, beyond_ascii: BeyondAscii::Escaped, ..MINIMAL }),
    // Python's json, nlohmann's JSON for C++: everything that is not printable ASCII.
    JsonSerialiser::new(JsonSettings {
        as_code_units: "\u{7f}",
        beyond_ascii: BeyondAscii::Escaped,
        ..MINIMAL
    }),
    JsonSerialiser::new(JsonSettings { beyond_ascii: BeyondAscii::Escaped, ..MINIMAL }),
    // PHP's json_encode, without and with JSON_UNESCAPED_UNICODE.
    JsonSerialiser::new(JsonSettings {
        escapes_solidus: true,
        beyond_ascii: BeyondAscii::Escaped,
        ..MINIMAL
    }),
    JsonSerialiser::new(JsonSettings {
        escapes_solidus: true,
        beyond_ascii: BeyondAscii::LineEndsEscaped,
        ..MINIMAL
    }),
    // Go's encoding/json, newer and older; Rails.
    JsonSerialiser::new(JsonSettings {
        as_code_units: "<>&",
        beyond_ascii: BeyondAscii::LineEndsEscaped,
        ..MINIMAL
    }),
    JsonSerialiser::new(JsonSettings {
        as_code_units: "<>&",
        beyond_ascii: BeyondAscii::LineEndsEscaped,
        has_short_b_and_f: false,
        ..MINIMAL
    }),
    // Gson.
    JsonSerialiser::new(JsonSettings {
        as_code_units: "<>&='",
        beyond_ascii: BeyondAscii::LineEndsEscaped,
        ..MINIMAL
    }),
    // System.Text.Json of .NET.
    JsonSerialiser::new(JsonSettings {
        as_code_units: "\"<>&'+`\u{7f}",
        beyond_ascii: BeyondAscii::Escaped,
        is_upper: true,
        ..MINIMAL
    }),
];

/// A way to write JSON.
struct JsonSerialiser {
    settings: JsonSettings,
    /// The bytes that are written as they are, wherever they occur in UTF-8.
    kept: [bool; 256],
}

impl JsonSerialiser {
    const fn new(settings: JsonSettings) -> Self {
        let mut kept = [false; 256];
        let mut byte = b' ' as usize;
        while byte < 256 {
            kept[byte] = match byte as u8 {
                b'"' | b'\\' => false,
                b'/' => !settings.escapes_solidus,
                0x80.. => match settings.beyond_ascii {
                    BeyondAscii::Kept => true,
                    BeyondAscii::Escaped => false,
                    // U+2028 and U+2029 begin with this byte, as do characters that are kept.
                    BeyondAscii::LineEndsEscaped => byte != 0xe2,
                },
                _ => true,
            };
            byte += 1;
        }
        let (escaped, mut at) = (settings.as_code_units.as_bytes(), 0);
        while at < escaped.len() {
            kept[escaped[at] as usize] = false;
            at += 1;
        }
        Self { settings, kept }
    }

    fn escape(&self, text: &str, out: &mut Vec<u8>) {
        let mut rest = text;
        loop {
            let kept = rest.bytes().take_while(|byte| self.kept[usize::from(*byte)]).count();
            out.extend_from_slice(&rest.as_bytes()[..kept]);
            let mut behind = rest[kept..].chars();
            let Some(c) = behind.next() else { return };
            self.settings.escape(c, out);
            rest = behind.as_str();
        }
    }
}

impl JsonSettings {
    /// Appends a character, escaped if these settings say so.
    fn escape(&self, c: char, out: &mut Vec<u8>) {
        match c {
            c if self.as_code_units.contains(c) => write_code_units(c, self.is_upper, out),
            '"' => out.extend_from_slice(br#"\""#),
            '\\' => out.extend_from_slice(br"\\"),
            '\n' => out.extend_from_slice(br"\n"),
            '\r' => out.extend_from_slice(br"\r"),
            '\t' => out.extend_from_slice(br"\t"),
            '\u{8}' if self.has_short_b_and_f => out.extend_from_slice(br"\b"),
            '\u{c}' if self.has_short_b_and_f => out.extend_from_slice(br"\f"),
            '/' if self.escapes_solidus => out.extend_from_slice(br"\/"),
            c if c < ' ' || self.escapes_beyond_ascii(c) => write_code_units(c, self.is_upper, out),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    fn escapes_beyond_ascii(&self, c: char) -> bool {
        match self.beyond_ascii {
            BeyondAscii::Kept => false,
            BeyondAscii::Escaped => !c.is_ascii(),
            BeyondAscii::LineEndsEscaped => matches!(c, '\u{2028}' | '\u{2029}'),
        }
    }
}

/// Appends the escapes of JSON for a character.
fn write_code_units(c: char, is_upper: bool, out: &mut Vec<u8>) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(br"\u");
        write_hex(&unit.to_be_bytes(), is_upper, out);
    }
}

/// Appends a byte, percent-encoded.
fn write_percent(byte: u8, is_upper: bool, out: &mut Vec<u8>) {
    out.push(b'%');
    write_hex(&[byte], is_upper, out);
}

/// Appends hexadecimal digits.
fn write_hex(bytes: &[u8], is_upper: bool, out: &mut Vec<u8>) {
    inner::<4>(bytes, 0, if is_upper { HEX_UPPER } else { HEX_LOWER }, out);
}

/// What an encoder of URLs and forms keeps, beside letters and digits; everything else is percent-encoded.
struct PercentEncoder {
    keeps: &'static [u8],
    space: &'static [u8],
    is_upper: bool,
}

/// Characters beside letters and digits that RFC 3986 §2.3 calls unreserved.
const UNRESERVED: &[u8] = b"-._~";

/// The encoders that the search knows.
static PERCENT_ENCODERS: [PercentEncoder; 8] = [
    // RFC 3986, with either case of digits; `+` for a space as in Python's quote_plus.
    PercentEncoder { keeps: UNRESERVED, space: b"%20", is_upper: true },
    PercentEncoder { keeps: UNRESERVED, space: b"%20", is_upper: false },
    PercentEncoder { keeps: UNRESERVED, space: b"+", is_upper: true },
    PercentEncoder { keeps: UNRESERVED, space: b"+", is_upper: false },
    // Python's quote.
    PercentEncoder { keeps: b"-._~/", space: b"%20", is_upper: true },
    // JavaScript's encodeURIComponent and encodeURI (ECMA-262 §19.2.6).
    PercentEncoder { keeps: b"-._~!*'()", space: b"%20", is_upper: true },
    PercentEncoder { keeps: b"-._~!*'();/?:@&=+$,#", space: b"%20", is_upper: true },
    // Forms (WHATWG URL §5.2), Java's URLEncoder.
    PercentEncoder { keeps: b"-._*", space: b"+", is_upper: true },
];

impl PercentEncoder {
    fn encode(&self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            match byte {
                b' ' => out.extend_from_slice(self.space),
                byte if byte.is_ascii_alphanumeric() || self.keeps.contains(&byte) => out.push(byte),
                byte => write_percent(byte, self.is_upper, out),
            }
        }
    }
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE32_LOWER: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";
const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";

/// Appends the characters of `BITS` bits that depend on `bytes` alone, whatever precedes and follows them, if they begin
/// `skipped` bytes into a group. A group of base64 has three bytes, one of base32 five, one of hexadecimal digits one.
fn inner<const BITS: usize>(bytes: &[u8], skipped: usize, alphabet: &[u8], out: &mut Vec<u8>) {
    // Bits before the first character that depends on these bytes only.
    let mixed = (8 * skipped).next_multiple_of(BITS) - 8 * skipped;
    let (mut held, mut held_bits) = (0_u32, 0);
    for (at, byte) in bytes.iter().enumerate() {
        held = held << 8 | u32::from(*byte);
        held_bits += 8;
        if at == 0 {
            held_bits -= mixed;
        }
        while held_bits >= BITS {
            held_bits -= BITS;
            out.push(alphabet[(held >> held_bits) as usize & ((1 << BITS) - 1)]);
        }
        held &= (1 << held_bits) - 1;
    }
}

/// Appends UTF-16 without the zero at its outer end. The two byte orders of ASCII text then have the same bytes, so that
/// text in one of them is not found twice.
fn utf16(text: &str, order: fn(u16) -> [u8; 2], out: &mut Vec<u8>) {
    let before = out.len();
    for unit in text.encode_utf16().take(MAX_ENCODED) {
        out.extend_from_slice(&order(unit));
    }
    if order(1) == [1, 0] {
        out.pop_if(|last| *last == 0);
    } else if out.get(before) == Some(&0) {
        out.remove(before);
    }
}

/// The bytes that a string of hexadecimal digits denotes; `None` for any other string, and for an odd number of digits.
fn hex_bytes(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() < MIN_HEX_DIGITS {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode(value).ok()
}

/// Whether the bytes have at least [`MIN_BYTE_VALUES`] distinct values.
fn has_variety(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count() >= MIN_BYTE_VALUES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &[u8], at_least: usize) -> Vec<(Encoding, Vec<u8>)> {
        let mut encoder = Encoder::default();
        encoder.encode(b"another string, whose forms must be gone", 1);
        encoder.encode(value, at_least);
        encoder.forms().map(|(form, bytes)| (form.encoding(), bytes.to_vec())).collect()
    }

    fn all(value: &str) -> Vec<(Encoding, String)> {
        let forms = encoded(value.as_bytes(), 1).into_iter();
        // UTF-16 of more than ASCII is not UTF-8.
        forms.filter_map(|(form, bytes)| Some((form, String::from_utf8(bytes).ok()?))).collect()
    }

    fn has(value: &str, form: Encoding, written: &str) {
        let forms = all(value);
        assert!(forms.contains(&(form, written.to_owned())), "{written} is not among {forms:?}");
    }

    #[test]
    fn escapes_json_as_serialisers_do() {
        has("say \"hi\"\n\u{1}", Encoding::JsonEscapes, r#"say \"hi\"\n\u0001"#);
        has("안녕", Encoding::JsonEscapes, r"\uc548\ub155");
        has("안녕", Encoding::JsonEscapes, r"\uC548\uB155");
        has("🙂", Encoding::JsonEscapes, r"\ud83d\ude42");
        has("a/b", Encoding::JsonEscapes, r"a\/b");
        let value = "quote \" tab \t bell \u{7} 한글";
        let serialised = serde_json::to_string(value).expect("strings serialise");
        has(value, Encoding::JsonEscapes, serialised.trim_matches('"'));
    }

    /// As written by json.dumps of Python 3, json_encode of PHP 8, encoding/json of Go, Gson, System.Text.Json of .NET.
    #[test]
    fn escapes_json_as_other_languages_do() {
        let value = "<a href=\"/x?y=1&z='2'\">`+`</a>\u{7f}\u{2028}é";
        has(value, Encoding::JsonEscapes, r#"<a href=\"/x?y=1&z='2'\">`+`</a>\u007f\u2028\u00e9"#);
        has(value, Encoding::JsonEscapes, "<a href=\\\"\\/x?y=1&z='2'\\\">`+`<\\/a>\u{7f}\\u2028\\u00e9");
        has(
            value,
            Encoding::JsonEscapes,
            "\\u003ca href=\\\"/x?y=1\\u0026z='2'\\\"\\u003e`+`\\u003c/a\\u003e\u{7f}\\u2028é",
        );
        has(
            value,
            Encoding::JsonEscapes,
            "\\u003ca href\\u003d\\\"/x?y\\u003d1\\u0026z\\u003d\\u00272\\u0027\\\"\\u003e`+`\\u003c/a\\u003e\u{7f}\\u2028é",
        );
        has(
            value,
            Encoding::JsonEscapes,
            r"\u003Ca href=\u0022/x?y=1\u0026z=\u00272\u0027\u0022\u003E\u0060\u002B\u0060\u003C/a\u003E\u007F\u2028\u00E9",
        );
        has("a\u{8}\u{c}b", Encoding::JsonEscapes, r"a\u0008\u000cb");
    }

    #[test]
    fn escapes_every_character() {
        has("key 한🙂", Encoding::JsonEscapes, r"\u006b\u0065\u0079\u0020\ud55c\ud83d\ude42");
        has("key 한", Encoding::JsonEscapes, r"\u006B\u0065\u0079\u0020\uD55C");
        has("key 한", Encoding::Percent, "%6b%65%79%20%ed%95%9c");
        has("key 한", Encoding::Percent, "%6B%65%79%20%ED%95%9C");
        let long = "a long string ".repeat(20);
        let cut = r"\u0061".len() * MAX_ENCODED;
        assert!(all(&long).iter().any(|(_, written)| written.starts_with(r"\u0061") && written.len() == cut));
    }

    /// As written by urllib.parse of Python 3, JavaScript and its URLSearchParams.
    #[test]
    fn percent_encodes_as_other_languages_do() {
        let value = "a b/c?d=e&f~(g)!*'+,;:@$#é";
        has(value, Encoding::Percent, "a%20b/c%3Fd%3De%26f~%28g%29%21%2A%27%2B%2C%3B%3A%40%24%23%C3%A9");
        has(value, Encoding::Percent, "a+b%2Fc%3Fd%3De%26f~%28g%29%21%2A%27%2B%2C%3B%3A%40%24%23%C3%A9");
        has(value, Encoding::Percent, "a%20b%2Fc%3Fd%3De%26f~(g)!*'%2B%2C%3B%3A%40%24%23%C3%A9");
        has(value, Encoding::Percent, "a%20b/c?d=e&f~(g)!*'+,;:@$#%C3%A9");
        has(value, Encoding::Percent, "a+b%2Fc%3Fd%3De%26f%7E%28g%29%21*%27%2B%2C%3B%3A%40%24%23%C3%A9");
    }

    #[test]
    fn finds_base64_at_every_offset_of_a_longer_text() {
        // RFC 4648 §10: "foobar" is Zm9vYmFy.
        has("foobar", Encoding::Base64, "Zm9vYmFy");
        // At the other offsets the outer characters mix with the neighbours: x|foobar and xx|foobar.
        has("foobar", Encoding::Base64, "Zvb2Jhc"); // eGZvb2Jhcnl5eQ== is xfoobaryyy
        has("foobar", Encoding::Base64, "mb29iYX"); // eHhmb29iYXJ5eXk= is xxfoobaryyy
    }

    #[test]
    fn finds_base32_at_every_offset_of_a_longer_text() {
        // RFC 4648 §10: "foobar" is MZXW6YTBOI======, whose last character also depends on what follows.
        has("foobar", Encoding::Base32, "MZXW6YTBO");
        has("foobar", Encoding::Base32, "mzxw6ytbo");
        // x|foobar|yyy, xx|foobar|yyy and so on, as Python's base64.b32encode writes them.
        has("foobar", Encoding::Base32, "TG633CMFZ"); // PBTG633CMFZHS6LZ
        has("foobar", Encoding::Base32, "M33PMJQX"); // PB4GM33PMJQXE6LZPE======
        has("foobar", Encoding::Base32, "ZTPN5RGC4"); // PB4HQZTPN5RGC4TZPF4Q====
        has("foobar", Encoding::Base32, "GN5XWEYLS"); // PB4HQ6DGN5XWEYLSPF4XS===
    }

    /// The written forms of a string in one encoding.
    fn in_bytes(value: &str, form: Encoding) -> Vec<Vec<u8>> {
        let forms = encoded(value.as_bytes(), 8).into_iter();
        forms.filter(|(given, _)| *given == form).map(|(_, bytes)| bytes).collect()
    }

    #[test]
    fn writes_utf16_in_either_byte_order() {
        // In both byte orders ASCII text contains these bytes, with a zero before or behind them.
        assert_eq!(in_bytes("libssl.so", Encoding::Utf16), [b"l\0i\0b\0s\0s\0l\0.\0s\0o"]);
        let orders = in_bytes("안녕 🙂!", Encoding::Utf16);
        assert_eq!(orders[0], b"\x48\xc5\x55\xb1\x20\0\x3d\xd8\x42\xde\x21");
        assert_eq!(orders[1], b"\xc5\x48\xb1\x55\0\x20\xd8\x3d\xde\x42\0\x21");
    }

    #[test]
    fn writes_hex_digits_as_bytes_and_in_the_other_case() {
        let canary = "819532f4e8ad66650123456789abcdef";
        let bytes = *b"\x81\x95\x32\xf4\xe8\xad\x66\x65\x01\x23\x45\x67\x89\xab\xcd\xef";
        assert_eq!(in_bytes(canary, Encoding::Bytes), [bytes]);
        assert_eq!(in_bytes(canary, Encoding::LetterCase), [canary.to_uppercase().into_bytes()]);
        assert_eq!(in_bytes(&canary.to_uppercase(), Encoding::LetterCase), [canary.as_bytes()]);
        for other in [&canary[..15], &canary[..14], "819532f4e8ad666g", &"0".repeat(32), &"0a0b0c".repeat(6)]
        {
            assert_eq!(in_bytes(other, Encoding::Bytes), Vec::<Vec<u8>>::new(), "{other}");
        }
    }

    #[test]
    fn writes_hex_and_percent_encoding() {
        has("\u{ff}k", Encoding::Hex, "c3bf6b");
        has("\u{ff}k", Encoding::Hex, "C3BF6B");
        has("a b&c", Encoding::Percent, "a%20b%26c");
        has("a b&c", Encoding::Percent, "a+b%26c");
        has("é/", Encoding::Percent, "%c3%a9%2f");
    }

    #[test]
    fn forms_without_escapes_are_left_out_only_where_they_are_the_string_itself() {
        for byte in 0..=127_u8 {
            let text = char::from(byte).to_string();
            let is_itself = |write: &dyn Fn(&mut Vec<u8>)| {
                let mut out = Vec::new();
                write(&mut out);
                out == text.as_bytes()
            };
            let in_json = JSON_SERIALISERS.iter().all(|json| is_itself(&|out| json.escape(&text, out)));
            assert_eq!(is_plain_in_json(byte), in_json, "{text:?}");
            let in_percent =
                PERCENT_ENCODERS.iter().all(|to| is_itself(&|out| to.encode(text.as_bytes(), out)));
            assert_eq!(is_plain_in_percent(byte), in_percent, "{text:?}");
        }
    }

    #[test]
    fn writes_each_form_once_and_none_too_short() {
        let forms = encoded(b"abcdefgh", 8);
        let plain = forms.iter().filter(|(_, bytes)| bytes == b"abcdefgh").count();
        assert_eq!(plain, 1);
        assert!(forms.iter().all(|(_, bytes)| bytes.len() >= 8));
        let long = "unreserved-0123456789".repeat(10);
        let forms = encoded(long.as_bytes(), 8);
        let starts = forms.iter().filter(|(_, written)| long.as_bytes().starts_with(written));
        assert_eq!(starts.count(), 1, "only the string itself");
    }
}
