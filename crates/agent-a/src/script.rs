//! agent-a's messages: the message of the lab report first, then calls of every tool, from 100 bytes to 64 KiB.

use agent_core::hex128::Hex128;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::session::Connections;

/// Number of messages in the script.
pub const SCRIPT_LENGTH: usize = 12;

/// Length of the script's largest message in bytes, canary included: four TLS records, 45 segments over Ethernet.
pub const LARGEST_MESSAGE: usize = 64 * 1024;

/// Text with characters that encoders often get wrong.
const HARD_TEXT: &str = "안녕하세요, 평문은 누구나 읽습니다. 🦀🔐👩‍💻 \"double\" 'single' \\back\\slash/ <b>&amp;</b> \
tab\tnewline\nreturn\rnull\u{0}bell\u{7}escape\u{1b}[31mdelete\u{7f} c1\u{85} nbsp\u{a0} line\u{2028} e\u{301} \u{10ffff} 끝";

/// A message to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The message id.
    pub id: String,
    /// The exact bytes of the body.
    pub body: Bytes,
    /// The canary in the body.
    pub canary: Hex128,
    /// The connection to send it on.
    pub connections: Connections,
}

/// The message `number` (from 0) of the script, which repeats after [`SCRIPT_LENGTH`] messages, with new ids.
///
/// # Errors
/// If the operating system returns no random bytes.
pub fn scripted(number: usize) -> Result<Outgoing> {
    use Connections::{Fresh, KeptAlive};

    let id = id(number);
    let dependency = |target: &str, depth: u32| -> Shape {
        ("analyze_dependency", json!({"repo": "demo-repo", "target": target, "depth": depth}))
    };
    let document =
        |bytes: u32, seed: usize| -> Shape { ("generate_document", json!({"bytes": bytes, "seed": seed})) };
    let text = |operation: &str, text: &str| -> Shape {
        ("transform_text", json!({"text": text, "operation": operation}))
    };
    let sized = |operation: &str, size: usize| text(operation, &filler(&id, operation, size));
    let (connections, shape) = match number % SCRIPT_LENGTH {
        0 => (KeptAlive, dependency("libssl", 2)),
        1 => (KeptAlive, text("reverse", HARD_TEXT)),
        2 => (KeptAlive, document(1_000, number)),
        3 => (KeptAlive, dependency("libc", 16)),
        4 => (KeptAlive, sized("uppercase", 4 * 1024)),
        5 => (KeptAlive, document(16 * 1024, number)),
        6 => (KeptAlive, sized("reverse", 16 * 1024)),
        7 => (KeptAlive, document(64 * 1024, number)),
        8 => (KeptAlive, sized("identity", LARGEST_MESSAGE)),
        9 => (Fresh, dependency("libcrypto", 3)),
        10 => (Fresh, text("identity", HARD_TEXT)),
        _ => (Fresh, sized("uppercase", 1024)),
    };
    let (tool, arguments) = shape;
    let canary = Hex128::fresh().context("cannot draw a canary")?;
    let body = with_canary(&call(&id, tool, &arguments), &canary)?;
    Ok(Outgoing { id, body, canary, connections })
}

type Shape = (&'static str, Value);

fn id(number: usize) -> String {
    format!("call-{:04}", number + 1)
}

fn call(id: &str, tool: &str, arguments: &Value) -> String {
    json!({"id": id, "type": "tool_call", "tool_name": tool, "arguments": arguments}).to_string()
}

/// Text of Korean and English words that makes the whole message, canary included, `size` bytes long.
fn filler(id: &str, operation: &str, size: usize) -> String {
    let around =
        call(id, "transform_text", &json!({"text": "", "operation": operation})).len() + CANARY_BYTES;
    let length = size.saturating_sub(around);
    let mut text = String::with_capacity(length);
    for number in 1.. {
        let sentence =
            format!("{number}번째 문장: the packet carries ordinary words, 🌊 and {} more. ", number * 7);
        if text.len() + sentence.len() > length {
            break;
        }
        text.push_str(&sentence);
    }
    text.extend(std::iter::repeat_n('.', length - text.len()));
    text
}

/// `,"canary":"…"`
const CANARY_BYTES: usize = ",\"canary\":\"\"".len() + agent_core::hex128::HEX_DIGITS;

/// The JSON object `message` with `canary` as its last key, otherwise unchanged byte for byte.
fn with_canary(message: &str, canary: &Hex128) -> Result<Bytes> {
    let open = message.trim_end().strip_suffix('}').context("the message is not a JSON object")?;
    let comma = if open.trim_end().ends_with('{') { "" } else { "," };
    Ok(format!("{open}{comma}\"canary\":\"{canary}\"}}").into())
}

/// A message from a file, sent instead of the script. The first copy is unchanged except for the canary; further copies have
/// ids of their own.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    object: Map<String, Value>,
}

impl Template {
    /// Parses the message.
    ///
    /// # Errors
    /// If it is not a JSON object, has no string `id`, or already has a `canary`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let raw: &RawValue = serde_json::from_slice(bytes).context("the message is not JSON")?;
        let object: Map<String, Value> =
            serde_json::from_str(raw.get()).context("the message is not a JSON object")?;
        ensure!(object.get("id").is_some_and(Value::is_string), "the message has no string `id`");
        ensure!(!object.contains_key("canary"), "the message already has a `canary`, which agent-a adds");
        Ok(Self { text: raw.get().to_owned(), object })
    }

    /// The copy `number`, from 0.
    ///
    /// # Errors
    /// If the operating system returns no random bytes.
    pub fn message(&self, number: usize) -> Result<Outgoing> {
        let canary = Hex128::fresh().context("cannot draw a canary")?;
        let mut object = self.object.clone();
        let first = object["id"].as_str().unwrap_or_default().to_owned();
        let (id, text) = if number == 0 {
            (first, self.text.clone())
        } else {
            let id = format!("{first}-{}", number + 1);
            object["id"] = Value::String(id.clone());
            (id, Value::Object(object).to_string())
        };
        Ok(Outgoing { id, body: with_canary(&text, &canary)?, canary, connections: Connections::KeptAlive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAB: &str = r#"{"id":"call-0001","type":"tool_call","tool_name":"analyze_dependency","arguments":{"repo":"demo-repo","target":"libssl","depth":2}}"#;

    #[test]
    fn the_first_message_is_the_one_of_the_lab_report() {
        let message = scripted(0).unwrap();
        let expected = format!("{},\"canary\":\"{}\"}}", LAB.strip_suffix('}').unwrap(), message.canary);
        assert_eq!(message.body, expected);
        assert_eq!(message.connections, Connections::KeptAlive);
    }

    #[test]
    fn ids_and_canaries_are_distinct() {
        let messages: Vec<_> = (0..3 * SCRIPT_LENGTH).map(|number| scripted(number).unwrap()).collect();
        let ids: std::collections::HashSet<_> = messages.iter().map(|message| &message.id).collect();
        let canaries: std::collections::HashSet<_> = messages.iter().map(|message| &message.canary).collect();
        assert_eq!((ids.len(), canaries.len()), (messages.len(), messages.len()));
        assert_eq!(messages[12].id, "call-0013");
    }

    #[test]
    fn sizes_range_from_a_hundred_bytes_to_exactly_64_kib() {
        let sizes: Vec<_> = (0..SCRIPT_LENGTH).map(|number| scripted(number).unwrap().body.len()).collect();
        assert_eq!(sizes.iter().max(), Some(&LARGEST_MESSAGE));
        assert!(sizes.iter().any(|size| (100..200).contains(size)), "{sizes:?}");
        assert!(sizes.contains(&1024) && sizes.contains(&4096) && sizes.contains(&16384), "{sizes:?}");
    }

    #[test]
    fn a_message_from_a_file_keeps_its_bytes() {
        let template = Template::parse(" {\"id\" : \"x\", \"n\": 1.50 }\n".as_bytes()).unwrap();
        let first = template.message(0).unwrap();
        assert_eq!(first.body, format!("{{\"id\" : \"x\", \"n\": 1.50 ,\"canary\":\"{}\"}}", first.canary));
        let second = template.message(1).unwrap();
        assert_eq!(second.body, format!("{{\"id\":\"x-2\",\"n\":1.5,\"canary\":\"{}\"}}", second.canary));
        for wrong in
            ["", "[]", "{}", "{\"id\":1}", "{\"id\":\"x\",\"canary\":\"y\"}", "{\"id\":\"x\"} trailing"]
        {
            assert!(Template::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
