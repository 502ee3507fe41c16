//! Known content of a run, and the forms in which docs/exposure.md promises to find it.

use std::collections::BTreeSet;

use data_encoding::{BASE32, BASE32_NOPAD, BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use serde_json::Value;

use crate::random::Random;
use crate::run::Run;

/// A run of a message that is found whatever it contains: 47 bytes, and what alignment can cost at both ends.
const PART: usize = 53;

/// Known content in one form.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) name: String,
}

/// A string, a part of a message, or a secret, in a form that is promised to be found.
pub(crate) fn written(run: &Run, random: &mut Random) -> Option<Written> {
    match random.below(8) {
        0..=2 => string(run, random, 300),
        3..=5 => part(run, random),
        _ => secret(run, random),
    }
}

/// A whole string of at most `longest` bytes, as it is.
pub(crate) fn short_string(run: &Run, random: &mut Random, longest: usize) -> Option<String> {
    let strings: Vec<String> = strings(run).into_iter().filter(|text| text.len() <= longest).collect();
    random.pick(&strings).cloned()
}

fn string(run: &Run, random: &mut Random, longest: usize) -> Option<Written> {
    let text = short_string(run, random, longest)?;
    let mut forms = vec![
        ("as it is", text.clone().into_bytes()),
        ("base64", base64(text.as_bytes(), random)),
        ("base32", base32(text.as_bytes(), random)),
        ("hex", hex(text.as_bytes(), random)),
        ("percent", percent(text.as_bytes(), false, random)),
        ("JSON", as_json(&text, random)),
    ];
    if text.encode_utf16().count() >= 8 {
        forms.push(("UTF-16", utf16(&text, random)));
    }
    let (form, bytes) = forms.swap_remove(random.below(forms.len()));
    Some(Written { bytes, name: format!("the string {text:?}, {form}") })
}

fn part(run: &Run, random: &mut Random) -> Option<Written> {
    let bodies = bodies(run);
    let body = random.pick(&bodies)?;
    let starts: Vec<usize> = body.char_indices().map(|(at, _)| at).collect();
    let from = *random.pick(&starts)?;
    let len = PART + random.below(200);
    let ends = body[from..].char_indices().map(|(at, character)| at + character.len_utf8());
    let text = &body[from..from + { ends }.find(|end| *end >= len)?];
    // Bytes that are almost all equal could be padding.
    if text.bytes().collect::<BTreeSet<_>>().len() < 8 {
        return None;
    }
    let mut forms = vec![
        ("as it is", text.as_bytes().to_vec()),
        ("base64", base64(text.as_bytes(), random)),
        ("base64 in lines", in_lines(&base64(text.as_bytes(), random), random)),
        ("base32", base32(text.as_bytes(), random)),
        ("hex", hex(text.as_bytes(), random)),
        ("hex in lines", in_lines(&hex(text.as_bytes(), random), random)),
        ("percent", percent(text.as_bytes(), random.once_in(2), random)),
        ("\\u", escaped(text)),
        ("JSON in JSON", nested(text, 1 + random.below(3))),
    ];
    if text.encode_utf16().count() >= 47 {
        forms.push(("UTF-16", utf16(text, random)));
    }
    let (form, bytes) = forms.swap_remove(random.below(forms.len()));
    Some(Written { bytes, name: format!("{} bytes of a message from {from} on, {form}", text.len()) })
}

fn secret(run: &Run, random: &mut Random) -> Option<Written> {
    let keys = String::from_utf8(run.keys.clone()).ok()?;
    let lines: Vec<&str> = keys.lines().filter(|line| line.split(' ').count() == 3).collect();
    let line = *random.pick(&lines)?;
    let (label, digits) = (line.split(' ').next()?, line.split(' ').nth(2)?);
    let raw = HEXLOWER.decode(digits.as_bytes()).ok()?;
    let forms = [
        ("as it is", raw.clone()),
        ("its line", line.as_bytes().to_vec()),
        ("base64", base64(&raw, random)),
        ("base64 in lines", in_lines(&BASE64.encode(&raw).into_bytes(), random)),
        ("base32", base32(&raw, random)),
        ("hex", hex(&raw, random)),
    ];
    let (form, bytes) = random.pick(&forms)?.clone();
    Some(Written { bytes, name: format!("a {label}, {form}") })
}

/// The bodies of the messages, as agent-a journaled them.
pub(crate) fn bodies(run: &Run) -> Vec<String> {
    let lines = run.journals[0].split(|byte| *byte == b'\n');
    let body = |line: &[u8]| {
        let line: Value = serde_json::from_slice(line).ok()?;
        line["body"].as_str().map(str::to_owned)
    };
    lines.filter_map(body).collect()
}

/// The distinct strings of all messages that are searched by themselves.
fn strings(run: &Run) -> Vec<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.len() >= 8 => drop(found.insert(text.clone())),
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            Value::Object(object) => object.values().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for body in bodies(run) {
        if let Ok(body) = serde_json::from_str(&body) {
            collect(&body, &mut found);
        }
    }
    found.into_iter().collect()
}

/// Base64 with up to two bytes before and after the text.
fn base64(text: &[u8], random: &mut Random) -> Vec<u8> {
    let text = [&b"xy"[..random.below(3)], text, &b"z"[..random.below(2)]].concat();
    match random.once_in(2) {
        true => BASE64.encode(&text).into_bytes(),
        false => BASE64URL_NOPAD.encode(&text).into_bytes(),
    }
}

fn base32(text: &[u8], random: &mut Random) -> Vec<u8> {
    let text = [&b"vwxy"[..random.below(5)], text].concat();
    match random.once_in(2) {
        true => BASE32.encode(&text).into_bytes(),
        false => BASE32_NOPAD.encode(&text).to_lowercase().into_bytes(),
    }
}

fn hex(text: &[u8], random: &mut Random) -> Vec<u8> {
    if random.once_in(2) { HEXLOWER.encode(text).into_bytes() } else { HEXUPPER.encode(text).into_bytes() }
}

/// Every byte, or all but those that RFC 3986 §2.3 leaves as they are.
fn percent(text: &[u8], all: bool, random: &mut Random) -> Vec<u8> {
    let upper = random.once_in(2);
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let written = |byte: &u8| match byte {
        byte if !all && stays(*byte) => char::from(*byte).to_string(),
        byte if upper => format!("%{byte:02X}"),
        byte => format!("%{byte:02x}"),
    };
    text.iter().map(written).collect::<String>().into_bytes()
}

/// As serialisers write it: with the escapes that JSON needs, and those of all characters that are not ASCII or of none.
fn as_json(text: &str, random: &mut Random) -> Vec<u8> {
    let quoted = Value::from(text).to_string();
    let inside = &quoted[1..quoted.len() - 1];
    if random.once_in(2) {
        return inside.as_bytes().to_vec();
    }
    let mut written = String::new();
    for character in inside.chars() {
        match character.is_ascii() {
            true => written.push(character),
            false => written
                .extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
        }
    }
    written.into_bytes()
}

/// Every character as an escape of JSON (RFC 8259 §7).
fn escaped(text: &str) -> Vec<u8> {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>().into_bytes()
}

/// The text in JSON strings inside of each other, without the outermost quotes.
fn nested(text: &str, layers: usize) -> Vec<u8> {
    let quoted = |text: String| Value::from(text).to_string();
    let text = (0..layers).fold(text.to_owned(), |text, _| {
        let quoted = quoted(text);
        quoted[1..quoted.len() - 1].to_owned()
    });
    text.into_bytes()
}

fn utf16(text: &str, random: &mut Random) -> Vec<u8> {
    let order: fn(u16) -> [u8; 2] = if random.once_in(2) { u16::to_le_bytes } else { u16::to_be_bytes };
    text.encode_utf16().flat_map(order).collect()
}

fn in_lines(text: &[u8], random: &mut Random) -> Vec<u8> {
    let line_break: &[u8] = if random.once_in(2) { b"\r\n" } else { b"\n" };
    text.chunks(random.within(4..77)).collect::<Vec<_>>().join(line_break)
}
