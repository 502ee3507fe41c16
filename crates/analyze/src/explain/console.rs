//! Writes an explained frame for a person at a terminal.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anstyle::Style;
use dissect::fields::{Kind, Value};

use super::sentences::{Language, layer, sentence};
use super::{Explained, ExplainedField, Plaintext};
use crate::output::safe_text::safe;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// Bytes of a field that are shown.
const MAX_BYTES: usize = 8;

/// Characters of a value that are shown.
const MAX_VALUE: usize = 60;

/// Returns the whole text with terminal styles; the caller strips them where the output is no terminal.
#[must_use]
pub fn text(explained: &Explained, language: Language) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(explained, language, &mut out);
    out
}

fn write(explained: &Explained, language: Language, out: &mut String) -> std::fmt::Result {
    write!(out, "{STRONG}Frame {}{STRONG:#}: {} bytes", explained.frame, explained.bytes.len())?;
    if let Some(stream) = explained.stream {
        write!(out, ", tcp.stream {stream}")?;
    }
    writeln!(out, ", file offset {}", explained.file_offset)?;
    writeln!(out, "{FAINT}Wireshark: frame.number == {}{FAINT:#}", explained.frame)?;
    let mut known = BTreeSet::new();
    write_fields(out, &explained.bytes, &explained.fields, language, &mut known)?;
    for (number, plaintext) in (1..).zip(&explained.plaintexts) {
        let Plaintext { content_type, bytes, fields } = plaintext;
        let len = bytes.len();
        writeln!(
            out,
            "\n{STRONG}Plaintext {number}{STRONG:#}: {len} bytes of {content_type}, with the key log"
        )?;
        write_fields(out, bytes, fields, language, &mut known)?;
    }
    Ok(())
}

/// Writes fields by layer, with the sentence for each kind that is not in `known` yet.
fn write_fields(
    out: &mut String,
    bytes: &[u8],
    fields: &[ExplainedField],
    language: Language,
    known: &mut BTreeSet<Kind>,
) -> std::fmt::Result {
    let mut last_layer = None;
    // What only separates is left out.
    let is_content =
        |field: &&ExplainedField| !matches!(field.kind, Kind::HttpSeparator | Kind::JsonPunctuation);
    for field in fields.iter().filter(is_content) {
        let of = field.kind.layer();
        if last_layer.replace(of) != Some(of) {
            writeln!(out, "\n{STRONG}{}{STRONG:#}", layer(of, language))?;
        }
        write_field(out, &bytes[field.range.clone()], field)?;
        if known.insert(field.kind) {
            writeln!(out, "        {FAINT}{}{FAINT:#}", sentence(field.kind, language))?;
        }
    }
    Ok(())
}

fn write_field(out: &mut String, bytes: &[u8], field: &ExplainedField) -> std::fmt::Result {
    let mut hex: String = bytes.iter().take(MAX_BYTES).map(|byte| format!("{byte:02x} ")).collect();
    if bytes.len() > MAX_BYTES {
        hex.push('…');
    }
    write!(out, "  {:04x}  {hex:<25} {}", field.range.start, field.kind.id())?;
    if let Some(path) = &field.path {
        write!(out, " {}", shortened(path, MAX_VALUE))?;
    }
    let value = value(&field.value, bytes);
    if !value.is_empty() {
        write!(out, " = {STRONG}{value}{STRONG:#}")?;
    }
    if field.begins_before {
        write!(out, "  {FAINT}begins before this frame{FAINT:#}")?;
    }
    if field.goes_on {
        write!(out, "  {FAINT}goes on in another frame{FAINT:#}")?;
    }
    if let Some(plaintext) = field.plaintext {
        write!(out, "  {FAINT}plaintext {}{FAINT:#}", plaintext + 1)?;
    }
    writeln!(out)
}

/// The value in a line; the number of bytes if these are all there is to say.
fn value(value: &Value, bytes: &[u8]) -> String {
    match value {
        Value::Bytes if bytes.len() > MAX_BYTES => format!("{} bytes", bytes.len()),
        value => shortened(&value.to_string(), MAX_VALUE),
    }
}

fn shortened(text: &str, chars: usize) -> String {
    let mut shown: String = text.chars().take(chars).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    safe(&shown).to_string()
}
