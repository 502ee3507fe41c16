//! The messages of the experiment: a tool call, its result, and the error that answers a bad one.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::hex128::Hex128;

/// The Content-Type of every message.
pub const CONTENT_TYPE: &str = "application/json";

/// Longest `id` in bytes. Ids are copied into answers, logs and journals; the agents' own have nine.
pub const ID_LIMIT: usize = 128;

/// Longest quotation of the peer's text in an error message, in characters.
const QUOTE_LIMIT: usize = 200;

/// A tool call: `{"id","type":"tool_call","tool_name","arguments":{…}}`. Other keys, such as the canary, are ignored.
#[derive(Debug)]
pub struct ToolCall<'a> {
    /// Identifies the call; the answer repeats it.
    pub id: String,
    /// The tool to run.
    pub tool_name: String,
    /// The tool's arguments, a JSON object.
    pub arguments: Value,
    /// The message as received, without surrounding white space.
    pub received: &'a RawValue,
}

/// Why a body is not a tool call.
#[derive(Debug, thiserror::Error)]
pub enum BadCall {
    /// The body is not JSON (RFC 8259).
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// The body is JSON, but not a tool call.
    #[error("the message is not a tool call: {0}")]
    WrongShape(String),
}

impl<'a> ToolCall<'a> {
    /// Parses a body.
    ///
    /// # Errors
    /// When the body is not a tool call; the error names what is wrong and where.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadCall> {
        // Checks the whole body to be JSON before its shape, so that the kind of error does not depend on which comes first in
        // the text.
        let received: &RawValue =
            serde_json::from_slice(body).map_err(|error| BadCall::NotJson(quoted(&error)))?;
        // serde would accept an array for a struct.
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

/// The `id` of any JSON body that has one as a string. For the journal, which also records bodies that are not tool calls.
pub fn message_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Identified {
        id: String,
    }
    // serde would accept an array for a struct.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice::<Identified>(body).ok().map(|message| message.id)
}

/// The answer to a successful tool call. Keys are serialised in the order of the fields.
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
    /// The answer with `result` to `call`; it repeats the call as received.
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
    fn distinguishes_invalid_json_from_a_wrong_shape() {
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
    fn finds_the_id_of_any_json_object() {
        assert_eq!(message_id(LAB.as_bytes()).as_deref(), Some("call-0001"));
        assert_eq!(message_id(br#"{"id":"x","other":[1]}"#).as_deref(), Some("x"));
        for body in ["", "{}", "{\"id\":1}", "[\"id\"]"] {
            assert_eq!(message_id(body.as_bytes()), None);
        }
    }
}
