//! Writes a string in every form, by other code than the search: libraries and the plainest loops.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use data_encoding::{BASE32, BASE32_NOPAD};

/// A way to write a string.
pub(super) struct Form {
    /// The encoding, as in decode chains; empty for the string itself.
    pub name: &'static str,
    pub write: fn(&str) -> Vec<u8>,
}

/// All forms.
pub(super) const FORMS: [Form; 12] = [
    Form { name: "", write: |text| text.as_bytes().to_vec() },
    Form { name: "json-escapes", write: json },
    Form { name: "base64", write: |text| BASE64_STANDARD.encode(text).into_bytes() },
    Form { name: "base64", write: |text| BASE64_STANDARD.encode(format!("x{text}y")).into_bytes() },
    Form { name: "base64", write: |text| BASE64_URL_SAFE_NO_PAD.encode(format!("xx{text}")).into_bytes() },
    Form { name: "base32", write: |text| BASE32.encode(format!("xyz{text}").as_bytes()).into_bytes() },
    Form { name: "base32", write: |text| BASE32_NOPAD.encode(text.as_bytes()).to_lowercase().into_bytes() },
    Form {
        name: "hex",
        write: |text| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
    },
    Form {
        name: "hex",
        write: |text| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>().into(),
    },
    Form { name: "percent", write: percent },
    Form { name: "utf-16", write: |text| text.encode_utf16().flat_map(u16::to_le_bytes).collect() },
    Form { name: "utf-16", write: |text| text.encode_utf16().flat_map(u16::to_be_bytes).collect() },
];

/// As `serde_json` writes it, without the quotes.
fn json(text: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}

/// RFC 3986 §2.3: letters, digits and four characters stay.
fn percent(text: &str) -> Vec<u8> {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            byte => out += &format!("%{byte:02X}"),
        }
    }
    out.into_bytes()
}
