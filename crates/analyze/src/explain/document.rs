//! Writes an explained frame for programs: `plainsight.explain/1`.

use data_encoding::HEXLOWER;
use dissect::fields::Value;
use serde::Serialize;

use super::sentences::{Language, layer, sentence};
use super::{Explained, ExplainedField, Plaintext};

/// Name and version of the document.
pub const SCHEMA: &str = "plainsight.explain/1";

/// The document.
#[derive(Debug, Serialize)]
pub struct Document<'e> {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Number of the frame, from 1.
    pub frame: u64,
    /// When it was captured, nanoseconds since the epoch.
    pub at_unix_ns: u64,
    /// Offset in the capture of its first byte.
    pub file_offset: u64,
    /// Number of its connection, as Wireshark's `tcp.stream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<u32>,
    /// Its captured bytes, in hexadecimal digits.
    pub bytes: String,
    /// Its fields, in the order of their bytes.
    pub fields: Vec<FieldEntry<'e>>,
    /// What the keys open of the records that it has a part of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plaintexts: Vec<PlaintextEntry<'e>>,
}

/// A field.
#[derive(Debug, Serialize)]
pub struct FieldEntry<'e> {
    /// Name of its layer.
    pub layer: Sentences,
    /// Name of the field, as in Wireshark's filters.
    pub id: &'static str,
    /// Offset of its first byte in the frame.
    pub offset: usize,
    /// Its length in bytes.
    pub length: usize,
    /// Its value; absent if the bytes are all there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// In JSON, the path of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'e str>,
    /// Whether it begins in an earlier frame.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub begins_before: bool,
    /// Whether it goes on in a later frame.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
    /// Index of its plaintext.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<usize>,
    /// What it is for.
    pub explanation: Sentences,
}

/// A text in both languages.
#[derive(Debug, Serialize)]
pub struct Sentences {
    /// English.
    pub en: &'static str,
    /// Korean.
    pub ko: &'static str,
}

/// The plaintext of a record.
#[derive(Debug, Serialize)]
pub struct PlaintextEntry<'e> {
    /// Name of its content type.
    pub content_type: &'e str,
    /// Its bytes, in hexadecimal digits.
    pub bytes: String,
    /// Their fields, by their offsets in it.
    pub fields: Vec<FieldEntry<'e>>,
}

impl<'e> From<&'e Explained> for Document<'e> {
    fn from(explained: &'e Explained) -> Self {
        Self {
            schema: SCHEMA,
            frame: explained.frame,
            at_unix_ns: explained.captured_at,
            file_offset: explained.file_offset,
            stream: explained.stream,
            bytes: HEXLOWER.encode(&explained.bytes),
            fields: explained.fields.iter().map(FieldEntry::from).collect(),
            plaintexts: explained.plaintexts.iter().map(PlaintextEntry::from).collect(),
        }
    }
}

impl<'e> From<&'e ExplainedField> for FieldEntry<'e> {
    fn from(field: &'e ExplainedField) -> Self {
        let of = field.kind.layer();
        Self {
            layer: Sentences { en: layer(of, Language::English), ko: layer(of, Language::Korean) },
            id: field.kind.id(),
            offset: field.range.start,
            length: field.range.len(),
            value: (field.value != Value::Bytes).then(|| field.value.to_string()),
            path: field.path.as_deref(),
            begins_before: field.begins_before,
            goes_on: field.goes_on,
            plaintext: field.plaintext,
            explanation: Sentences {
                en: sentence(field.kind, Language::English),
                ko: sentence(field.kind, Language::Korean),
            },
        }
    }
}

impl<'e> From<&'e Plaintext> for PlaintextEntry<'e> {
    fn from(plaintext: &'e Plaintext) -> Self {
        Self {
            content_type: &plaintext.content_type,
            bytes: HEXLOWER.encode(&plaintext.bytes),
            fields: plaintext.fields.iter().map(FieldEntry::from).collect(),
        }
    }
}
