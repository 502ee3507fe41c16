//! Writes a string in every form, by other code than the search: libraries and the plainest loops.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use data_encoding::{BASE32, BASE32_NOPAD};

/// A way to write a string.
pub(super) struct Form {
    /// The encoding, as in decode chains; empty for the string itself.
    pub name: &'static str,
    pub write: fn(&str) -> Vec<u8>,
    pub strings: Strings,
}

/// The strings that show most of a form.
pub(super) enum Strings {
    All,
    /// Those that it writes otherwise than they are, where the run has any.
    Preferably(fn(&str) -> bool),
    /// No others have this form.
    Only(fn(&str) -> bool),
}

/// All forms.
pub(super) const FORMS: [Form; 14] = [
    form("", |text| text.as_bytes().to_vec()),
    Form { strings: Strings::Preferably(has_escapes), ..form("json-escapes", json) },
    form("base64", |text| BASE64_STANDARD.encode(text).into_bytes()),
    form("base64", |text| BASE64_STANDARD.encode(format!("x{text}y")).into_bytes()),
    form("base64", |text| BASE64_URL_SAFE_NO_PAD.encode(format!("xx{text}")).into_bytes()),
    form("base32", |text| BASE32.encode(format!("xyz{text}").as_bytes()).into_bytes()),
    form("base32", |text| BASE32_NOPAD.encode(text.as_bytes()).to_lowercase().into_bytes()),
    form("hex", |text| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into()),
    form("hex", |text| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>().into()),
    Form { strings: Strings::Preferably(has_reserved), ..form("percent", percent) },
    form("utf-16", |text| text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    form("utf-16", |text| text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    Form { strings: Strings::Only(is_hex), ..form("letter-case", other_case) },
    Form { strings: Strings::Only(is_hex), ..form("bytes", denoted) },
];

const fn form(name: &'static str, write: fn(&str) -> Vec<u8>) -> Form {
    Form { name, write, strings: Strings::All }
}

fn has_escapes(text: &str) -> bool {
    text.contains(['"', '\\', '\n', '\t'])
}

fn has_reserved(text: &str) -> bool {
    text.bytes().any(|byte| !is_unreserved(byte))
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
}

/// Whether the text has the form of a canary: digits and letters of one case, which are no padding.
fn is_hex(text: &str) -> bool {
    let distinct = text.bytes().collect::<BTreeSet<_>>().len();
    text.len() == 32
        && distinct > 8
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && text.bytes().any(|byte| byte > b'9')
}

fn other_case(text: &str) -> Vec<u8> {
    text.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c }).collect::<String>().into()
}

fn denoted(text: &str) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
    text.as_bytes().chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

/// As `serde_json` writes it, without the quotes.
fn json(text: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

/// Letters, digits and four characters stay.
fn percent(text: &str) -> Vec<u8> {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            byte if is_unreserved(byte) => out.push(byte.into()),
            byte => out += &format!("%{byte:02X}"),
        }
    }
    out.into_bytes()
}
