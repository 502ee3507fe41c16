//! The messages of the experiment: a tool call, its result, and the error that answers a bad one.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::hex128::Hex128;

/// The Content-Type of every message.
pub const CONTENT_TYPE: &str = "application/json";

/// Longest `id` in bytes. Ids are copied into answers, logs and journals; the agents' own have nine.
pub const ID_LIMIT: usize = 128;

/// Longest part of a text of the other side that an error message quotes, in characters.
const QUOTE_LIMIT: usize = 200;

/// A tool call: `{"id","type":"tool_call","tool_name","arguments":{…}}`. Further keys, the canary among them, are let be.
#[derive(Debug)]
pub struct ToolCall<'a> {
    /// Names the call; the answer carries it back.
    pub id: String,
    /// Which tool to run.
    pub tool_name: String,
    /// What to run it with: a JSON object.
    pub arguments: Value,
    /// The message as it was received, without white space around it.
    pub received: &'a RawValue,
}

/// Why a body is no tool call.
#[derive(Debug, thiserror::Error)]
pub enum BadCall {
    /// It is not JSON (RFC 8259).
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// It is JSON, but not a tool call.
    #[error("the message is no tool call: {0}")]
    WrongShape(String),
}

impl<'a> ToolCall<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadCall> {
        // The whole body is checked to be JSON before its shape is looked at, so that the two errors never depend on
        // which of them comes first in the text.
        let received: &RawValue =
            serde_json::from_slice(body).map_err(|error| BadCall::NotJson(quoted(&error)))?;
        // A struct could also be read from an array.
        if !received.get().starts_with('{') {
            return Err(BadCall::WrongShape("it is not an object".into()));
        }
        let wire: WireCall =
            serde_json::from_str(received.get()).map_err(|error| match error.classify() {
                serde_json::error::Category::Data => BadCall::WrongShape(quoted(&error)),
                _ => BadCall::NotJson(quoted(&error)),
            })?;
        if wire.kind != "tool_call" {
            return Err(BadCall::WrongShape("`type` is not `tool_call`".into()));
        }
        if wire.id.is_empty() || wire.id.len() > ID_LIMIT {
            return Err(BadCall::WrongShape(format!(
                "`id` has {} bytes, not 1 to {ID_LIMIT}",
                wire.id.len()
            )));
        }
        if !wire.arguments.is_object() {
            return Err(BadCall::WrongShape("`arguments` is not an object".into()));
        }
        Ok(Self { id: wire.id, tool_name: wire.tool_name, arguments: wire.arguments, received })
    }
}

#[derive(Deserialize)]
struct WireCall {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    tool_name: String,
    arguments: Value,
}

/// The `id` of any JSON body that has one as a string: for the journal, which also keeps what is no tool call.
pub fn message_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Identified {
        id: String,
    }
    // A struct could also be read from an array.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice::<Identified>(body).ok().map(|message| message.id)
}

/// The answer to a tool call that succeeded. Its keys stand on the wire in the order of the fields.
#[derive(Debug, Serialize)]
pub struct ToolResult<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    tool_name: &'a str,
    status: &'static str,
    result: &'a Value,
    request: &'a RawValue,
    canary: &'a Hex128,
}

impl<'a> ToolResult<'a> {
    /// The answer `result` to `call`, which it repeats as it was received.
    pub fn ok(call: &'a ToolCall<'_>, result: &'a Value, canary: &'a Hex128) -> Self {
        Self {
            id: &call.id,
            kind: "tool_result",
            tool_name: &call.tool_name,
            status: "ok",
            result,
            request: call.received,
            canary,
        }
    }
}

/// The body of every error answer: `{"error":{"code","message"}}`.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
}

#[derive(Debug, Serialize)]
struct ErrorDetail<'a> {
    code: &'a str,
    message: &'a str,
}

impl<'a> ErrorBody<'a> {
    /// `code` for programs, `message` for people.
    pub fn new(code: &'a str, message: &'a str) -> Self {
        Self { error: ErrorDetail { code, message } }
    }
}

fn quoted(error: &serde_json::Error) -> String {
    crate::text::printable(&error.to_string(), QUOTE_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAB: &str = r#"{"id":"call-0001","type":"tool_call","tool_name":"analyze_dependency","arguments":{"repo":"demo-repo","target":"libssl","depth":2}}"#;

    #[test]
    fn the_answer_repeats_the_request_as_received() {
        let odd = "\n {\"arguments\":{ \"text\" : \"\\ud55c\\u0007\" },\"type\":\"tool_call\", \"id\":\"x\",\"tool_name\":\"t\"}\t";
        let call = ToolCall::parse(odd.as_bytes()).unwrap();
        let canary = "0".repeat(32).parse().unwrap();
        let result = serde_json::json!({"n": 1});
        let answer = serde_json::to_string(&ToolResult::ok(&call, &result, &canary)).unwrap();
        let expected = format!(
            r#"{{"id":"x","type":"tool_result","tool_name":"t","status":"ok","result":{{"n":1}},"request":{},"canary":"{canary}"}}"#,
            odd.trim()
        );
        assert_eq!(answer, expected);
    }

    #[test]
    fn what_is_not_json_and_what_is_no_call_are_told_apart() {
        let not_json: [&[u8]; 9] = [
            b"",
            b" ",
            b"{",
            b"[1,",
            b"nope",
            b"{}{}",
            b"\xff",
            b"{\"id\":\"\xff\"}",
            b"{\"id\":\"\\ud800\"}",
        ];
        for body in not_json {
            assert!(matches!(ToolCall::parse(body), Err(BadCall::NotJson(_))), "{body:?}");
        }
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        assert!(ToolCall::parse(&deep).is_err());
        let wrong = [
            "[]".to_owned(),
            "null".to_owned(),
            r#"["call-0001","tool_call","transform_text",{}]"#.to_owned(),
            "{}".to_owned(),
            LAB.replace("\"call-0001\"", "7"),
            LAB.replace("\"call-0001\"", "\"\""),
            LAB.replace("call-0001", &"x".repeat(129)),
            LAB.replace("tool_call", "tool_result"),
            LAB.replace(r#"{"repo":"demo-repo","target":"libssl","depth":2}"#, "[]"),
            LAB.replacen('{', r#"{"id":"twice","#, 1),
        ];
        for body in wrong {
            assert!(matches!(ToolCall::parse(body.as_bytes()), Err(BadCall::WrongShape(_))), "{body}");
        }
    }

    #[test]
    fn the_id_is_found_in_whatever_has_one() {
        assert_eq!(message_id(LAB.as_bytes()).as_deref(), Some("call-0001"));
        assert_eq!(message_id(br#"{"id":"x","other":[1]}"#).as_deref(), Some("x"));
        for body in ["", "{}", "{\"id\":1}", "[\"id\"]"] {
            assert_eq!(message_id(body.as_bytes()), None);
        }
    }
}
