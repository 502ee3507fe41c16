//! Recognises the messages of agents by their shape: tool calls, MCP, A2A, and the interfaces of language models.

use super::json::Json;
use super::names::{can_be_secret, names_secret};
use super::path::Path;
use super::redact::redacted;

/// Maximum number of messages of agents read of one body.
pub(super) const MAX_OF_BODY: usize = 256;

/// Maximum number of texts listed of one message; the others are counted.
const MAX_TEXTS: usize = 32;

/// Longest text of a message that is kept, in characters.
const MAX_TEXT: usize = 256;

/// Longest method, tool, model or id that is kept, in characters.
const MAX_NAME: usize = 128;

/// A protocol of agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The tool calls of this project's agents.
    ToolCall,
    /// Model Context Protocol: JSON-RPC 2.0 over HTTP and server-sent events.
    Mcp,
    /// Agent2Agent.
    A2a,
    /// JSON-RPC 2.0 of another protocol.
    JsonRpc,
    /// OpenAI's chat completions, which others offer too.
    ChatCompletions,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
}

impl Protocol {
    /// The protocol as it is written in outputs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ToolCall => "tool_call",
            Self::Mcp => "mcp",
            Self::A2a => "a2a",
            Self::JsonRpc => "json_rpc",
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
        }
    }
}

/// What the head of a message says about its body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Context<'h> {
    /// Target of a request; empty in an answer.
    pub(crate) target: &'h str,
    pub(crate) content_type: &'h str,
}

/// A message of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentMessage {
    pub(crate) protocol: Protocol,
    /// `request`, `notification`, `result`, `error`, `answer`, `tool_call`, `tool_result`.
    pub(crate) what: &'static str,
    /// Method of JSON-RPC.
    pub(crate) method: Option<String>,
    /// Names of the tools that it calls.
    pub(crate) tools: Vec<String>,
    pub(crate) model: Option<String>,
    pub(crate) id: Option<String>,
    /// The first [`MAX_TEXTS`] of its arguments, results and texts.
    pub(crate) texts: Vec<AgentText>,
    /// Number of such texts.
    pub(crate) texts_total: u64,
    /// Number of streamed parts that were put together; 0 if it came as a whole.
    pub(crate) joined: u64,
}

/// A text of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentText {
    pub(crate) path: String,
    /// The text, or its beginning; `None` if its name says that it is a secret.
    pub(crate) redacted: Option<String>,
    /// The same with secrets.
    pub(crate) text: String,
    /// Length of the whole text in bytes.
    pub(crate) bytes: u64,
}

/// Methods of MCP, up to the slash, and whole ones.
const MCP_METHODS: [&str; 12] = [
    "initialize",
    "ping",
    "tools/",
    "resources/",
    "prompts/",
    "completion/",
    "logging/",
    "notifications/",
    "sampling/",
    "roots/",
    "elicitation/",
    "server/discover",
];

/// Methods of A2A: before version 1, and of it.
const A2A_METHODS: [&str; 13] = [
    "message/send",
    "message/stream",
    "tasks/",
    "agent/",
    "SendMessage",
    "SendStreamingMessage",
    "GetTask",
    "ListTasks",
    "CancelTask",
    "SubscribeToTask",
    "CreateTaskPushNotificationConfig",
    "GetExtendedAgentCard",
    "GetAgentCard",
];

/// Members of results of MCP.
const MCP_RESULTS: [&str; 8] = [
    "protocolVersion",
    "tools",
    "content",
    "structuredContent",
    "resources",
    "resourceTemplates",
    "prompts",
    "contents",
];

/// Reads the messages of a document.
pub(super) fn read(head: &Context<'_>, json: &Json) -> Vec<AgentMessage> {
    match json {
        Json::List(batch) => {
            let of_batch = batch.iter().take(MAX_OF_BODY).enumerate().filter(|(_, json)| is_rpc(json));
            let root = Path::root("$");
            of_batch.filter_map(|(index, json)| rpc(json, &root.element(index))).collect()
        }
        Json::Object(_) => one(head, json).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn one(head: &Context<'_>, json: &Json) -> Option<AgentMessage> {
    let root = Path::root("$");
    if is_rpc(json) {
        return rpc(json, &root);
    }
    tool_call(json, &root)
        .or_else(|| model_answer(json, &root))
        .or_else(|| model_request(head, json, &root))
        .or_else(|| responses_request(head, json, &root))
}

fn is_rpc(json: &Json) -> bool {
    json.text_of("jsonrpc") == Some("2.0")
}

/// JSON-RPC 2.0 §4, §5.
fn rpc(json: &Json, root: &Path<'_>) -> Option<AgentMessage> {
    let id = json.get("id").and_then(Json::scalar);
    if let Some(method) = json.text_of("method") {
        let is =
            |known: &&str| if known.ends_with('/') { method.starts_with(*known) } else { method == *known };
        let protocol = match () {
            () if A2A_METHODS.iter().any(&is) => Protocol::A2a,
            () if MCP_METHODS.iter().any(is) => Protocol::Mcp,
            () => Protocol::JsonRpc,
        };
        let what = if id.is_some() { "request" } else { "notification" };
        let mut message = AgentMessage::new(protocol, what, id);
        message.method = Some(short(method));
        let params = json.get("params");
        if matches!(method, "tools/call" | "prompts/get") {
            message.tools.extend(params.and_then(|params| params.text_of("name")).map(short));
        }
        message.add(params, &root.member("params"));
        return Some(message);
    }
    if let Some(result) = json.get("result") {
        let kind = result.text_of("kind").unwrap_or_default();
        let is_a2a = matches!(kind, "task" | "message" | "status-update" | "artifact-update")
            || ["task", "message", "statusUpdate", "artifactUpdate"].iter().any(|name| {
                result
                    .get(name)
                    .is_some_and(|inner| inner.has("contextId") || inner.has("parts") || inner.has("taskId"))
            });
        let protocol = match () {
            () if is_a2a => Protocol::A2a,
            () if MCP_RESULTS.iter().any(|name| result.has(name)) => Protocol::Mcp,
            () => Protocol::JsonRpc,
        };
        let mut message = AgentMessage::new(protocol, "result", id);
        message.add(Some(result), &root.member("result"));
        return Some(message);
    }
    let error = json.get("error")?;
    let mut message = AgentMessage::new(Protocol::JsonRpc, "error", id);
    message.add(Some(error), &root.member("error"));
    Some(message)
}

/// A tool call of this project's agents, or its result: docs/formats.md.
fn tool_call(json: &Json, root: &Path<'_>) -> Option<AgentMessage> {
    let id = json.get("id").and_then(Json::scalar);
    let tool = json.text_of("tool_name").map(short);
    let (what, member) = match json.text_of("type")? {
        "tool_call" if tool.is_some() && json.has("arguments") => ("tool_call", "arguments"),
        "tool_result" if json.has("result") => ("tool_result", "result"),
        _ => return None,
    };
    let mut message = AgentMessage::new(Protocol::ToolCall, what, id);
    message.tools.extend(tool);
    message.add(json.get(member), &root.member(member));
    Some(message)
}

/// A request to a language model.
fn model_request(head: &Context<'_>, json: &Json, root: &Path<'_>) -> Option<AgentMessage> {
    let path = head.target.split('?').next().unwrap_or_default();
    let turns = json.list_of("messages");
    if turns.is_empty() || !turns.iter().all(|turn| turn.text_of("role").is_some()) {
        return None;
    }
    // Anthropic's has the system prompt beside the messages, and schemas of tools under another name.
    let is_messages = path.ends_with("/messages")
        || json.has("system")
        || json.has("anthropic_version")
        || json.list_of("tools").iter().any(|tool| tool.has("input_schema"));
    let protocol = match path.ends_with("/chat/completions") {
        false if is_messages => Protocol::Messages,
        is_chat if is_chat || json.has("model") => Protocol::ChatCompletions,
        _ => return None,
    };
    let mut message = AgentMessage::new(protocol, "request", None);
    message.model = json.text_of("model").map(short);
    message.add(json.get("system"), &root.member("system"));
    message.add(json.get("messages"), &root.member("messages"));
    Some(message)
}

/// A request to OpenAI's responses: a model and an input, as embeddings have too.
fn responses_request(head: &Context<'_>, json: &Json, root: &Path<'_>) -> Option<AgentMessage> {
    let path = head.target.split('?').next().unwrap_or_default();
    let is_of_turns = json.list_of("input").iter().any(|turn| turn.has("role") || turn.has("type"));
    let is_responses =
        path.ends_with("/responses") || json.has("previous_response_id") || json.has("instructions");
    if !json.has("model") || !json.has("input") || !(is_of_turns || is_responses) {
        return None;
    }
    let mut message = AgentMessage::new(Protocol::Responses, "request", None);
    message.model = json.text_of("model").map(short);
    message.add(json.get("instructions"), &root.member("instructions"));
    message.add(json.get("input"), &root.member("input"));
    Some(message)
}

/// The answer of a language model, as a whole.
fn model_answer(json: &Json, root: &Path<'_>) -> Option<AgentMessage> {
    let id = json.text_of("id");
    let content = json.list_of("content");
    let (protocol, member) = match json.text_of("object") {
        Some("chat.completion") => (Protocol::ChatCompletions, "choices"),
        Some("response") if json.has("output") => (Protocol::Responses, "output"),
        _ if json.text_of("type") == Some("message")
            && json.text_of("role") == Some("assistant")
            && content.iter().all(|block| block.text_of("type").is_some()) =>
        {
            (Protocol::Messages, "content")
        }
        _ => return None,
    };
    let mut message = AgentMessage::new(protocol, "answer", id);
    message.model = json.text_of("model").map(short);
    let calls = match protocol {
        Protocol::ChatCompletions => json
            .list_of("choices")
            .iter()
            .filter_map(|choice| choice.get("message"))
            .flat_map(|turn| turn.list_of("tool_calls"))
            .filter_map(|call| call.get("function")?.text_of("name"))
            .collect::<Vec<_>>(),
        Protocol::Responses => {
            let is_call = |item: &&Json| item.text_of("type").is_some_and(|kind| kind.ends_with("_call"));
            json.list_of("output").iter().filter(is_call).filter_map(|item| item.text_of("name")).collect()
        }
        _ => {
            let is_call =
                |block: &&Json| block.text_of("type").is_some_and(|kind| kind.ends_with("tool_use"));
            content.iter().filter(is_call).filter_map(|block| block.text_of("name")).collect()
        }
    };
    message.tools.extend(calls.into_iter().take(MAX_TEXTS).map(short));
    message.add(json.get(member), &root.member(member));
    Some(message)
}

impl AgentMessage {
    fn new(protocol: Protocol, what: &'static str, id: Option<&str>) -> Self {
        Self {
            protocol,
            what,
            method: None,
            tools: Vec::new(),
            model: None,
            id: id.map(short),
            texts: Vec::new(),
            texts_total: 0,
            joined: 0,
        }
    }

    /// Adds the texts of a value.
    fn add(&mut self, value: Option<&Json>, path: &Path<'_>) {
        if let Some(value) = value {
            self.leaves(value, path, false);
        }
    }

    fn leaves(&mut self, value: &Json, path: &Path<'_>, is_secret: bool) {
        match value {
            Json::Word => {}
            Json::Text(text) | Json::Number(text) => {
                self.texts_total += 1;
                if self.texts.len() < MAX_TEXTS {
                    let kept: String = text.chars().take(MAX_TEXT).collect();
                    let shown = || redacted(text).chars().take(MAX_TEXT).collect();
                    self.texts.push(AgentText {
                        path: path.text(),
                        redacted: (!is_secret).then(shown),
                        text: kept,
                        bytes: text.len() as u64,
                    });
                }
            }
            Json::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.leaves(element, &path.element(index), is_secret);
                }
            }
            Json::Object(members) => {
                for (name, value) in members {
                    let is_named =
                        |text: &str| names_secret(name).is_some_and(|names| can_be_secret(names, text));
                    let is_secret = value.scalar().map_or(names_secret(name).is_some(), is_named);
                    self.leaves(value, &path.member(name), is_secret);
                }
            }
        }
    }
}

/// A name without secrets that its form gives away, and not too long.
fn short(text: &str) -> String {
    redacted(text).chars().take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(target: &str, text: &str) -> Vec<String> {
        let head = Context { target, content_type: "application/json" };
        let json = Json::read(text.as_bytes()).expect("JSON");
        read(&head, &json)
            .iter()
            .map(|message| {
                let texts: Vec<_> = message
                    .texts
                    .iter()
                    .map(|text| format!("{}={}", text.path, text.redacted.as_deref().unwrap_or("?")))
                    .collect();
                let method = message.method.as_deref().unwrap_or("-");
                let tools = message.tools.join("+");
                format!("{} {} {method} {tools}: {}", message.protocol.name(), message.what, texts.join(", "))
            })
            .collect()
    }

    #[test]
    fn reads_tool_calls_of_mcp() {
        let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"api_key":"0123456789ab"}}}"#;
        assert_eq!(
            seen("/mcp", call),
            [
                "mcp request tools/call add: $.params.name=add, $.params.arguments.a=1, $.params.arguments.api_key=?"
            ]
        );
        let result =
            r#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"3"}],"isError":false}}"#;
        assert_eq!(
            seen("", result),
            ["mcp result - : $.result.content[0].type=text, $.result.content[0].text=3"]
        );
        let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(seen("/mcp", note), ["mcp notification notifications/initialized : "]);
        let batch = format!("[{note},{{\"x\":1}},{note}]");
        assert_eq!(seen("/mcp", &batch).len(), 2);
        let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}"#;
        assert_eq!(
            seen("", error),
            ["json_rpc error - : $.error.code=-32601, $.error.message=no such method"]
        );
    }

    #[test]
    fn reads_a2a_and_other_json_rpc() {
        let send = r#"{"jsonrpc":"2.0","id":"1","method":"message/send","params":{"message":{"role":"user","parts":[{"kind":"text","text":"hi"}]}}}"#;
        assert!(
            seen("/", send)[0].starts_with("a2a request message/send : $.params.message.role=user"),
            "{:?}",
            seen("/", send)
        );
        let task = r#"{"jsonrpc":"2.0","id":"1","result":{"kind":"task","id":"t","contextId":"c"}}"#;
        assert!(seen("", task)[0].starts_with("a2a result"));
        let other = r#"{"jsonrpc":"2.0","id":"1","method":"eth_call","params":["x"]}"#;
        assert_eq!(seen("/", other), ["json_rpc request eth_call : $.params[0]=x"]);
    }

    #[test]
    fn reads_the_interfaces_of_models() {
        let chat = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        assert_eq!(
            seen("/v1/chat/completions", chat),
            ["chat_completions request - : $.messages[0].role=user, $.messages[0].content=hi"]
        );
        assert!(seen("/v1/messages", chat)[0].starts_with("messages request"));
        let answer = r#"{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"get","arguments":"{}"}}]}}]}"#;
        assert!(seen("", answer)[0].starts_with("chat_completions answer - get: "));
        let answer = r#"{"id":"x","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"},{"type":"tool_use","id":"t","name":"get","input":{"q":"x"}}]}"#;
        assert!(
            seen("", answer)[0]
                .starts_with("messages answer - get: $.content[0].type=text, $.content[0].text=hi")
        );
        let request = r#"{"model":"m","input":"hi","instructions":"be brief"}"#;
        assert_eq!(
            seen("/v1/responses", request),
            ["responses request - : $.instructions=be brief, $.input=hi"]
        );
        let answer = r#"{"id":"r","object":"response","model":"m","output":[{"type":"function_call","name":"get","arguments":"{}"}]}"#;
        assert!(seen("", answer)[0].starts_with("responses answer - get: "));
    }

    #[test]
    fn reads_the_tool_calls_of_this_project() {
        let call = r#"{"id":"call-0001","type":"tool_call","tool_name":"analyze_dependency","arguments":{"target":"libssl"}}"#;
        assert_eq!(
            seen("/tools", call),
            ["tool_call tool_call - analyze_dependency: $.arguments.target=libssl"]
        );
    }

    #[test]
    fn claims_no_agents_in_other_json() {
        for text in [
            "{}",
            "[]",
            "[1,2]",
            r#"{"messages":["a"],"model":"m"}"#,
            r#"{"messages":[],"model":"m"}"#,
            r#"{"type":"message","text":"x"}"#,
            r#"{"model":"T","input":"x"}"#,
            r#"{"jsonrpc":"1.0","method":"x"}"#,
            r#"{"object":"list","data":[]}"#,
            r#"{"type":"tool_call"}"#,
            r#"{"jsonrpc":"2.0"}"#,
            r#"{"messages":[{"role":"user","content":"x"}]}"#,
        ] {
            assert_eq!(seen("/embeddings", text), [] as [String; 0], "{text}");
        }
    }

    #[test]
    fn hides_keys_inside_of_texts() {
        let text = r#"{"model":"m","messages":[{"role":"user","content":"key sk_test_0aA1bB2cC3dD4eE5fF6gG7hH is mine"}]}"#;
        let seen = seen("/v1/chat/completions", text);
        assert!(seen[0].ends_with("content=key sk_test_… is mine"), "{seen:?}");
    }
}
