//! The encodings in which a string can stand in the open without being itself: whoever reads them needs no secret.
//!
//! Instead of decoding whatever in the traffic might be an encoding, each known string is encoded and searched as one
//! more pattern. So a string inside an unknown format, at any offset of a longer encoded text, is found all the same.

use std::fmt;

/// Of a longer string only this many bytes are searched in encoded form. Who reads a kilobyte of it has read it.
pub(super) const MAX_ENCODED: usize = 1024;

/// How a string is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Form {
    /// Its own bytes, UTF-8.
    Plain,
    /// With the escapes of a JSON string (RFC 8259 §7).
    JsonEscapes,
    /// Base64 or base64url, at any of the three offsets (RFC 4648 §4, §5).
    Base64,
    /// Hexadecimal digits, either case.
    Hex,
    /// Percent-encoded (RFC 3986 §2.1), also as HTML forms write it.
    Percent,
}

impl Form {
    /// The name in the decode chain; `None` for the string itself.
    pub(crate) fn layer(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::JsonEscapes => Some("json-escapes"),
            Self::Base64 => Some("base64"),
            Self::Hex => Some("hex"),
            Self::Percent => Some("percent"),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.layer().unwrap_or("plain"))
    }
}

/// Every way to write down one string, each once. Forms shorter than `at_least` bytes are left out.
#[derive(Debug)]
pub(crate) struct Forms(Vec<(Form, Vec<u8>)>);

impl Forms {
    /// The forms of a string.
    pub(crate) fn of(value: &[u8], at_least: usize) -> Self {
        let mut forms = Self(Vec::new());
        let text = std::str::from_utf8(value).ok();
        forms.add(Form::Plain, value.to_vec(), at_least);
        if let Some(text) = text {
            forms.add(Form::JsonEscapes, json_escaped(text, Unicode::Kept, Solidus::Kept), at_least);
            forms.add(Form::JsonEscapes, json_escaped(text, Unicode::LowerHex, Solidus::Kept), at_least);
            forms.add(Form::JsonEscapes, json_escaped(text, Unicode::UpperHex, Solidus::Kept), at_least);
            forms.add(Form::JsonEscapes, json_escaped(text, Unicode::Kept, Solidus::Escaped), at_least);
        }
        let start = &value[..value.len().min(MAX_ENCODED)];
        for skipped in 0..3 {
            forms.add(Form::Base64, base64_inner(start, skipped, STANDARD), at_least);
            forms.add(Form::Base64, base64_inner(start, skipped, URL_SAFE), at_least);
        }
        forms.add(
            Form::Hex,
            start.iter().flat_map(|byte| hex(*byte, b"0123456789abcdef")).collect(),
            at_least,
        );
        forms.add(
            Form::Hex,
            start.iter().flat_map(|byte| hex(*byte, b"0123456789ABCDEF")).collect(),
            at_least,
        );
        for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
            forms.add(Form::Percent, percent(start, digits, b"%20"), at_least);
            forms.add(Form::Percent, percent(start, digits, b"+"), at_least);
        }
        forms
    }

    /// The forms and their bytes.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = (Form, Vec<u8>)> {
        self.0.into_iter()
    }

    fn add(&mut self, form: Form, bytes: Vec<u8>, at_least: usize) {
        if bytes.len() >= at_least && !self.0.iter().any(|(_, known)| *known == bytes) {
            self.0.push((form, bytes));
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Unicode {
    Kept,
    LowerHex,
    UpperHex,
}

#[derive(Clone, Copy, PartialEq)]
enum Solidus {
    Kept,
    Escaped,
}

/// As the common serialisers write it: two-character escapes where RFC 8259 §7 has them, `\u00XX` for the other control
/// characters; beyond ASCII as it is, or as escaped UTF-16 code units.
fn json_escaped(text: &str, unicode: Unicode, solidus: Solidus) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(br#"\""#),
            '\\' => out.extend_from_slice(br"\\"),
            '\u{8}' => out.extend_from_slice(br"\b"),
            '\u{c}' => out.extend_from_slice(br"\f"),
            '\n' => out.extend_from_slice(br"\n"),
            '\r' => out.extend_from_slice(br"\r"),
            '\t' => out.extend_from_slice(br"\t"),
            '/' if solidus == Solidus::Escaped => out.extend_from_slice(br"\/"),
            c if c < ' ' || !c.is_ascii() && unicode != Unicode::Kept => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a vector does not fail.
                    let _ = match unicode {
                        Unicode::UpperHex => write!(out, "\\u{unit:04X}"),
                        _ => write!(out, "\\u{unit:04x}"),
                    };
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The base64 characters that depend on `bytes` alone when it begins `skipped` bytes into a group of three, whatever
/// stands before and behind it.
fn base64_inner(bytes: &[u8], skipped: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bits = 8 * skipped..8 * (skipped + bytes.len());
    // Six-bit groups that lie wholly inside.
    let (first, last) = (bits.start.div_ceil(6), bits.end / 6);
    let bit = |at: usize| bytes[(at - bits.start) / 8] >> (7 - (at - bits.start) % 8) & 1;
    (first..last)
        .map(|group| (6 * group..6 * group + 6).fold(0, |value, at| value << 1 | bit(at)))
        .map(|value| alphabet[usize::from(value)])
        .collect()
}

fn hex(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

/// Everything but unreserved characters (RFC 3986 §2.3) encoded.
fn percent(bytes: &[u8], digits: &[u8; 16], space: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b' ' => out.extend_from_slice(space),
            b'-' | b'.' | b'_' | b'~' => out.push(byte),
            byte if byte.is_ascii_alphanumeric() => out.push(byte),
            byte => {
                out.push(b'%');
                out.extend_from_slice(&hex(byte, digits));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: &str) -> Vec<(Form, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("forms of text are text");
        Forms::of(value.as_bytes(), 1).into_iter().map(|(form, bytes)| (form, text(bytes))).collect()
    }

    fn has(value: &str, form: Form, written: &str) {
        let forms = all(value);
        assert!(forms.contains(&(form, written.to_owned())), "{written} is not among {forms:?}");
    }

    #[test]
    fn json_escapes_as_serialisers_write_them() {
        has("say \"hi\"\n\u{1}", Form::JsonEscapes, r#"say \"hi\"\n\u0001"#);
        has("안녕", Form::JsonEscapes, r"\uc548\ub155");
        has("안녕", Form::JsonEscapes, r"\uC548\uB155");
        has("🙂", Form::JsonEscapes, r"\ud83d\ude42");
        has("a/b", Form::JsonEscapes, r"a\/b");
        let value = "quote \" tab \t bell \u{7} 한글";
        let serialised = serde_json::to_string(value).expect("strings serialise");
        has(value, Form::JsonEscapes, serialised.trim_matches('"'));
    }

    #[test]
    fn base64_at_every_offset_of_a_longer_text() {
        // RFC 4648 §10: "foobar" is Zm9vYmFy.
        has("foobar", Form::Base64, "Zm9vYmFy");
        // At the other offsets the outer characters mix with the neighbours: x|foobar and xx|foobar.
        has("foobar", Form::Base64, "Zvb2Jhc"); // eGZvb2Jhcnl5eQ== is xfoobaryyy
        has("foobar", Form::Base64, "mb29iYX"); // eHhmb29iYXJ5eXk= is xxfoobaryyy
    }

    #[test]
    fn hex_and_percent() {
        has("\u{ff}k", Form::Hex, "c3bf6b");
        has("\u{ff}k", Form::Hex, "C3BF6B");
        has("a b&c", Form::Percent, "a%20b%26c");
        has("a b&c", Form::Percent, "a+b%26c");
        has("é/", Form::Percent, "%c3%a9%2f");
    }

    #[test]
    fn each_form_once_and_none_too_short() {
        let forms = Forms::of(b"abcdefgh", 8);
        let plain = forms.0.iter().filter(|(_, bytes)| bytes == b"abcdefgh").count();
        assert_eq!(plain, 1);
        assert!(forms.0.iter().all(|(_, bytes)| bytes.len() >= 8));
    }
}
