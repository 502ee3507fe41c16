//! Makes JSON of the beginning of a JSON text (RFC 8259).
//!
//! What stays are the values that are whole: a string whose closing quote is there, and any other value that something
//! follows. A number at the cut could have more digits. So every string that is read from the result is one of the whole
//! text, at the same path.

/// Maximum depth of arrays and objects: as deep as observers read.
const MAX_DEPTH: usize = 128;

/// Cuts `text` behind its last whole value, and closes what is open there. Text that does not begin with an array or object,
/// or that is nested deeper than [`MAX_DEPTH`], becomes empty. Malformed text remains malformed, or loses its end.
pub(crate) fn close(text: &mut Vec<u8>) {
    let mut open: Vec<u8> = Vec::new();
    // Where the last whole value ends, and the depth there.
    let mut whole = None;
    let mut strings = Strings::Outside;
    // Whether the next string of an object is a name.
    let mut expects_name = false;
    for (at, byte) in text.iter().copied().enumerate() {
        match (strings, byte) {
            (Strings::Escaped, _) => strings = Strings::Inside,
            (Strings::Inside, b'\\') => strings = Strings::Escaped,
            (Strings::Inside, b'"') => {
                strings = Strings::Outside;
                if !expects_name {
                    whole = Some((at + 1, open.len()));
                }
            }
            (Strings::Inside, _) => {}
            (Strings::Outside, b'"') => strings = Strings::Inside,
            (Strings::Outside, b'{' | b'[') => {
                open.push(if byte == b'{' { b'}' } else { b']' });
                if open.len() > MAX_DEPTH {
                    return text.clear();
                }
                expects_name = byte == b'{';
                whole = Some((at + 1, open.len()));
            }
            (Strings::Outside, b'}' | b']') => {
                if open.pop() != Some(byte) {
                    break;
                }
                expects_name = false;
                whole = Some((at + 1, open.len()));
                if open.is_empty() {
                    break;
                }
            }
            (Strings::Outside, b':') => expects_name = false,
            (Strings::Outside, b',') => {
                // The value before the comma is whole, also a number.
                whole = Some((at, open.len()));
                expects_name = open.last() == Some(&b'}');
            }
            (Strings::Outside, _) => {}
        }
    }
    let Some((end, depth)) = whole else { return text.clear() };
    // What was open there is open still, or was closed since: then the text ended in between.
    if depth > open.len() {
        return;
    }
    text.truncate(end);
    text.extend(open.iter().take(depth).rev());
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strings {
    Outside,
    Inside,
    /// Inside, behind a backslash.
    Escaped,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn closed(text: &str) -> String {
        let mut text = text.as_bytes().to_vec();
        close(&mut text);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn keeps_whole_values() {
        for (text, expected) in [
            (r#"{"a":"b","c":"d"#, r#"{"a":"b"}"#),
            (r#"{"a":"b","c""#, r#"{"a":"b"}"#),
            (r#"{"a":"b","c":"#, r#"{"a":"b"}"#),
            (r#"{"a":12"#, "{}"),
            (r#"{"a":12,"#, r#"{"a":12}"#),
            (r#"[1,[2,{"a\"":"\\"#, r#"[1,[2,{}]]"#),
            (r#"["a\"#, "[]"),
            (r#"[{"a":"b"}]"#, r#"[{"a":"b"}]"#),
            (r#"[{"a":"b"}"#, r#"[{"a":"b"}]"#),
            ("", ""),
            ("\"text", ""),
            ("12", ""),
        ] {
            assert_eq!(closed(text), expected, "{text}");
        }
        assert_eq!(closed(&"[".repeat(MAX_DEPTH + 1)), "");
    }

    /// Whether each value of `part` is in `whole`, at the same path.
    fn is_part(part: &Value, whole: &Value) -> bool {
        match (part, whole) {
            (Value::Object(part), Value::Object(whole)) => {
                part.iter().all(|(name, value)| whole.get(name).is_some_and(|whole| is_part(value, whole)))
            }
            (Value::Array(part), Value::Array(whole)) => {
                part.len() <= whole.len() && part.iter().zip(whole).all(|(part, whole)| is_part(part, whole))
            }
            _ => part == whole,
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            "[a\"\\\\,:{}]{0,4}".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(4, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a\"\\\\:]{0,3}", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        });
        prop::collection::vec(value, 0..4).prop_map(Value::from)
    }

    proptest! {
        #[test]
        fn every_beginning_is_a_part_of_the_whole(value in json()) {
            let text = value.to_string();
            for end in 1..=text.len() {
                if text.is_char_boundary(end) {
                    let part = closed(&text[..end]);
                    let part: Value = serde_json::from_str(&part).expect("JSON");
                    prop_assert!(is_part(&part, &value), "{part} of {value}");
                }
            }
        }
    }
}
