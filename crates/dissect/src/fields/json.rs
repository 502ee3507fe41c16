//! The fields of JSON text (RFC 8259).

use super::layout::Fields;
use super::{Field, Kind, Value};

/// The tokens of a JSON text. From the first byte on that cannot belong to JSON, the rest is [`Kind::HttpBody`]. Whether the
/// tokens make a document is not checked, so that a part of one has tokens, too.
#[must_use]
pub fn of_json(text: &[u8]) -> Vec<Field> {
    let mut fields = Fields::of(text);
    let _ = tokens(&mut fields);
    fields.rest(Kind::HttpBody);
    fields.into_vec()
}

fn tokens(fields: &mut Fields<'_>) -> Option<()> {
    loop {
        let rest = fields.remaining();
        match rest.first()? {
            b'"' => {
                let len = string_len(rest)?;
                let behind = rest.get(len..)?.iter().find(|byte| !is_space(**byte));
                let kind = if behind == Some(&b':') { Kind::JsonKey } else { Kind::JsonString };
                fields.next(kind, len, |bytes| Value::text(content(bytes)))?;
            }
            b'-' | b'0'..=b'9' => {
                let is_in_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let len = rest.iter().take_while(|byte| is_in_number(byte)).count();
                fields.next(Kind::JsonNumber, len, Value::text)?;
            }
            b't' | b'f' | b'n' => {
                let literals: [&[u8]; 3] = [b"true", b"false", b"null"];
                let literal = literals.into_iter().find(|literal| rest.starts_with(literal))?;
                fields.next(Kind::JsonLiteral, literal.len(), Value::text)?;
            }
            _ => {
                let is_punctuation = |byte: &u8| is_space(*byte) || b"{}[]:,".contains(byte);
                let len = rest.iter().take_while(|byte| is_punctuation(byte)).count();
                if len == 0 {
                    return None;
                }
                fields.next(Kind::JsonPunctuation, len, Value::text)?;
            }
        }
    }
}

/// Length of the string that the text begins with, quotation marks included; `None` if it does not end.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        match text.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// A string without its quotation marks; escapes stay.
fn content(string: &[u8]) -> &[u8] {
    string.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(string)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(text: &str) -> Vec<(&'static str, String)> {
        let fields = of_json(text.as_bytes());
        let named = fields.iter().filter(|field| field.kind != Kind::JsonPunctuation);
        named.map(|field| (field.kind.id(), field.value.to_string())).collect()
    }

    #[test]
    fn names_keys_and_values() {
        let text = r#"{"id" : "call \"1\"", "depth":[-2.5e3, true,null],"key":{}}"#;
        let expected = [
            ("json.key", "id"),
            ("json.value.string", r#"call \"1\""#),
            ("json.key", "depth"),
            ("json.value.number", "-2.5e3"),
            ("json.value.literal", "true"),
            ("json.value.literal", "null"),
            ("json.key", "key"),
        ];
        assert_eq!(named(text), expected.map(|(id, value)| (id, value.to_owned())));
    }

    #[test]
    fn what_is_no_json_is_content() {
        assert_eq!(
            named("{\"a\":\x00\"b\"}"),
            [("json.key", "a".to_owned()), ("http.file_data", String::new())]
        );
        assert_eq!(named("\"no end"), [("http.file_data", String::new())]);
        assert_eq!(named("\"no end\\"), [("http.file_data", String::new())]);
        assert_eq!(named(""), []);
    }

    proptest! {
        #[test]
        fn every_byte_has_one_field(text in r#"[\[\]{}:,"\\a-f0-9 -]{0,60}"#) {
            let mut end = 0;
            for field in of_json(text.as_bytes()) {
                prop_assert!(field.range.start == end && !field.range.is_empty(), "{field:?}");
                end = field.range.end;
            }
            prop_assert_eq!(end, text.len());
        }
    }
}
