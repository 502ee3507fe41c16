//! `transform_text`: takes text of any characters and returns text; `echo` returns it byte for byte.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToolError, arguments};

pub(super) const NAME: &str = "transform_text";

pub(super) fn run(value: &Value) -> Result<Value, ToolError> {
    let Arguments { text, operation } = arguments(NAME, value)?;
    let transformed = match operation {
        Operation::Identity => text.clone(),
        Operation::Reverse => text.chars().rev().collect(),
        Operation::Uppercase => text.to_uppercase(),
    };
    Ok(json!({
        "operation": value["operation"],
        "text": transformed,
        "characters": text.chars().count(),
        "bytes": text.len(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    text: String,
    operation: Operation,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    /// The unchanged text.
    Identity,
    /// Its characters (Unicode scalar values) from the last to the first.
    Reverse,
    /// In capitals, by Unicode's language-independent rules.
    Uppercase,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn transform(text: &str, operation: &str) -> String {
        let result = run(&json!({"text": text, "operation": operation})).unwrap();
        assert_eq!(result["bytes"], text.len());
        assert_eq!(result["characters"], text.chars().count());
        result["text"].as_str().unwrap().to_owned()
    }

    #[test]
    fn each_operation_transforms_the_text() {
        assert_eq!(transform("한국어 \"é\"\u{0}", "reverse"), "\u{0}\"é\" 어국한");
        assert_eq!(transform("straße ῾ 한 i", "uppercase"), "STRASSE ῾ 한 I");
        assert_eq!(transform("", "identity"), "");
    }

    proptest! {
        #[test]
        fn returns_any_text_unchanged(text in any::<String>()) {
            prop_assert_eq!(&transform(&text, "identity"), &text);
            prop_assert_eq!(&transform(&transform(&text, "reverse"), "reverse"), &text);
            let wire = serde_json::to_vec(&json!({"text": text})).unwrap();
            let back: Value = serde_json::from_slice(&wire).unwrap();
            prop_assert_eq!(back["text"].as_str(), Some(text.as_str()));
        }
    }
}
