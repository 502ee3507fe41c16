//! The leaves of a JSON document that has no freedom of spelling.

/// A leaf, or the name of a member.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    Name(String),
    Text(String),
    /// A whole number.
    Number(u64),
}

/// The leaves of a document in order; `None` if the document could be spelled in another way: with white space, or with
/// escapes that are not needed. `true`, `false` and `null` are left out.
pub(crate) fn leaves(json: &[u8]) -> Option<Vec<Leaf>> {
    let text = std::str::from_utf8(json).ok()?;
    // Refuses what is not JSON at all; the loop below only splits it.
    let _: serde::de::IgnoredAny = serde_json::from_str(text).ok()?;
    let mut leaves = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let len = match first {
            b'"' => {
                let len = string_len(rest)?;
                let string: String = serde_json::from_str(&rest[..len]).ok()?;
                if serde_json::to_string(&string).ok()? != rest[..len] {
                    return None;
                }
                let is_name = rest.as_bytes().get(len) == Some(&b':');
                leaves.push(if is_name { Leaf::Name(string) } else { Leaf::Text(string) });
                len
            }
            b'0'..=b'9' => {
                let len = rest.bytes().take_while(u8::is_ascii_digit).count();
                leaves.push(Leaf::Number(rest[..len].parse().ok()?));
                len
            }
            b'{' | b'}' | b'[' | b']' | b':' | b',' => 1,
            _ => ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word))?.len(),
        };
        rest = &rest[len..];
    }
    Some(leaves)
}

/// Length of the string at the beginning of `text`, with both quotes.
fn string_len(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })?;
    Some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_names_texts_and_numbers() {
        let name = |text: &str| Leaf::Name(text.to_owned());
        let text = |text: &str| Leaf::Text(text.to_owned());
        let found = leaves("{\"a\":[\"x\\n\\\"y\",{\"b\":12}],\"c\":null,\"d\":\"안\"}".as_bytes());
        let expected =
            vec![name("a"), text("x\n\"y"), name("b"), Leaf::Number(12), name("c"), name("d"), text("안")];
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn refuses_freedom_of_spelling() {
        for json in [
            "{ }",
            "[1, 2]",
            "[\"\\u0061\"]",
            "[\"\\/\"]",
            "[1.0]",
            "[-1]",
            "[1e2]",
            "{}\n",
            "{",
            "",
            "[\"a]",
            "\"a\"b",
        ] {
            assert_eq!(leaves(json.as_bytes()), None, "{json}");
        }
    }
}
