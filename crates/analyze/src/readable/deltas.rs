//! Puts the parts of streamed answers of language models together: OpenAI's chat completions and responses, Anthropic's
//! messages.

use std::collections::BTreeMap;

use super::json::Json;

/// Maximum number of answers of one body that are put together at a time; a body has one.
const MAX_ANSWERS: usize = 16;

/// Maximum number of parts of one answer side by side: choices, blocks of content, tool calls.
const MAX_BLOCKS: usize = 256;

/// An answer that was put together.
#[derive(Debug)]
pub(super) struct Whole {
    /// In the form that the interface has without streaming.
    pub(super) message: Json,
    /// Number of its parts.
    pub(super) parts: u64,
}

/// Whether a document is a part of a streamed answer.
pub(super) fn is_part(json: &Json) -> bool {
    Kind::of(json).is_some()
}

/// Puts the answers of a series together.
pub(super) fn join(series: &[&Json]) -> Vec<Whole> {
    let mut answers: Vec<Answer> = Vec::new();
    for json in series {
        let Some(kind) = Kind::of(json) else { continue };
        let id = kind.id(json);
        let begins = kind == Kind::Messages && json.text_of("type") == Some("message_start");
        let known = answers
            .iter()
            .rposition(|answer| answer.kind == kind && (id.is_none() || answer.id.as_deref() == id));
        let answer = match known.filter(|_| !begins) {
            Some(index) => answers.get_mut(index),
            None if answers.len() < MAX_ANSWERS => {
                answers.push(Answer { kind, id: id.map(str::to_owned), ..Answer::default() });
                answers.last_mut()
            }
            None => None,
        };
        if let Some(answer) = answer {
            answer.parts += 1;
            match kind {
                Kind::Chat => answer.chat(json),
                Kind::Responses => answer.response(json),
                Kind::Messages => answer.message(json),
            }
        }
    }
    answers.into_iter().filter_map(Answer::finish).collect()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Chat,
    Responses,
    Messages,
}

impl Kind {
    fn of(json: &Json) -> Option<Self> {
        if json.text_of("object") == Some("chat.completion.chunk") {
            return Some(Self::Chat);
        }
        match json.text_of("type")? {
            "message_start"
            | "message_delta"
            | "message_stop"
            | "content_block_start"
            | "content_block_delta"
            | "content_block_stop" => Some(Self::Messages),
            kind if kind.starts_with("response.") => Some(Self::Responses),
            _ => None,
        }
    }

    /// What tells answers side by side apart.
    fn id(self, json: &Json) -> Option<&str> {
        if self == Self::Chat { json.text_of("id") } else { None }
    }
}

/// An answer of which parts come.
#[derive(Debug, Default)]
struct Answer {
    kind: Kind,
    id: Option<String>,
    /// What the first part says about the whole: its members.
    about: Vec<(String, Json)>,
    /// Choices, blocks of content, or output items, by their index.
    blocks: BTreeMap<usize, Block>,
    /// The whole answer, if the last part repeats it.
    whole: Option<Json>,
    parts: u64,
}

/// A part of an answer that has an index of its own.
#[derive(Debug, Default)]
struct Block {
    /// What its first part says.
    begin: Vec<(String, Json)>,
    /// Texts by the name of their member, as far as they came.
    texts: BTreeMap<&'static str, String>,
    /// Tool calls, or contents, by their index.
    inner: BTreeMap<usize, Block>,
}

impl Block {
    fn push(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.texts.entry(name).or_default().push_str(text);
        }
    }

    fn begin(&mut self, name: &str, value: Option<&Json>) {
        if let Some(value) = value.filter(|value| value.scalar().is_some())
            && !self.begin.iter().any(|(known, _)| known == name)
        {
            self.begin.push((name.to_owned(), value.clone()));
        }
    }

    fn text(&mut self, name: &str) -> Option<Json> {
        self.texts.remove(name).map(Json::Text)
    }
}

fn at(blocks: &mut BTreeMap<usize, Block>, index: usize) -> Option<&mut Block> {
    if blocks.len() >= MAX_BLOCKS && !blocks.contains_key(&index) {
        return None;
    }
    Some(blocks.entry(index).or_default())
}

fn member(name: &str, value: impl Into<Json>) -> (String, Json) {
    (name.to_owned(), value.into())
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<Self>> for Json {
    fn from(elements: Vec<Self>) -> Self {
        Self::List(elements)
    }
}

impl Answer {
    fn about(&mut self, json: &Json, names: &[&str]) {
        for name in names {
            if let Some(value) = json.get(name)
                && !self.about.iter().any(|(known, _)| known == name)
            {
                self.about.push(((*name).to_owned(), value.clone()));
            }
        }
    }

    fn chat(&mut self, json: &Json) {
        self.about(json, &["id", "model"]);
        for choice in json.list_of("choices") {
            let Some(block) = at(&mut self.blocks, choice.index_of("index").unwrap_or(0)) else { continue };
            block.begin("finish_reason", choice.get("finish_reason"));
            let Some(delta) = choice.get("delta") else { continue };
            block.begin("role", delta.get("role"));
            for name in ["content", "refusal", "reasoning_content", "reasoning"] {
                block.push(name, delta.text_of(name));
            }
            for call in delta.list_of("tool_calls") {
                let Some(inner) = at(&mut block.inner, call.index_of("index").unwrap_or(0)) else { continue };
                inner.begin("id", call.get("id"));
                if let Some(function) = call.get("function") {
                    inner.push("name", function.text_of("name"));
                    inner.push("arguments", function.text_of("arguments"));
                }
            }
        }
    }

    fn message(&mut self, json: &Json) {
        if let Some(message) = json.get("message") {
            self.about(message, &["id", "model", "role"]);
        }
        let Some(index) = json.index_of("index") else { return };
        let Some(block) = at(&mut self.blocks, index) else { return };
        if let Some(begin) = json.get("content_block") {
            for name in ["type", "id", "name"] {
                block.begin(name, begin.get(name));
            }
            for name in ["text", "thinking"] {
                block.push(name, begin.text_of(name));
            }
        }
        if let Some(delta) = json.get("delta") {
            for name in ["text", "thinking", "partial_json"] {
                block.push(name, delta.text_of(name));
            }
        }
    }

    fn response(&mut self, json: &Json) {
        if let Some(response) = json.get("response") {
            self.about(response, &["id", "model"]);
            if !response.list_of("output").is_empty() {
                self.whole = Some(response.clone());
            }
        }
        let Some(index) = json.index_of("output_index") else { return };
        let Some(block) = at(&mut self.blocks, index) else { return };
        if let Some(item) = json.get("item") {
            for name in ["type", "id", "name", "call_id", "role"] {
                block.begin(name, item.get(name));
            }
        }
        let delta = json.text_of("delta");
        match json.text_of("type") {
            Some("response.function_call_arguments.delta" | "response.mcp_call_arguments.delta") => {
                block.push("arguments", delta);
            }
            Some("response.output_text.delta" | "response.refusal.delta") => {
                if let Some(inner) = at(&mut block.inner, json.index_of("content_index").unwrap_or(0)) {
                    inner.push("text", delta);
                }
            }
            Some(kind) if kind.starts_with("response.reasoning") => block.push("summary", delta),
            _ => {}
        }
    }

    /// The answer as it is without streaming; `None` if its parts say nothing.
    fn finish(self) -> Option<Whole> {
        let Self { kind, about, blocks, whole, parts, .. } = self;
        if let Some(message) = whole {
            return Some(Whole { message, parts });
        }
        if blocks.is_empty() {
            return None;
        }
        let (head, list) = match kind {
            Kind::Chat => (member("object", "chat.completion"), "choices"),
            Kind::Responses => (member("object", "response"), "output"),
            Kind::Messages => (member("type", "message"), "content"),
        };
        let read = match kind {
            Kind::Chat => choice,
            Kind::Responses => item,
            Kind::Messages => content,
        };
        let mut members = vec![head];
        members.extend(about);
        if kind == Kind::Messages && !members.iter().any(|(name, _)| name == "role") {
            // The beginning of the stream was not captured.
            members.push(member("role", "assistant"));
        }
        members.push(member(list, blocks.into_values().map(read).collect::<Vec<_>>()));
        Some(Whole { message: Json::Object(members), parts })
    }
}

fn choice(mut block: Block) -> Json {
    let mut message = Vec::new();
    let (role, rest): (Vec<_>, Vec<_>) = block.begin.drain(..).partition(|(name, _)| name == "role");
    message.extend(role);
    for name in ["content", "refusal", "reasoning_content", "reasoning"] {
        message.extend(block.text(name).map(|text| member(name, text)));
    }
    let calls: Vec<Json> = std::mem::take(&mut block.inner).into_values().map(call).collect();
    if !calls.is_empty() {
        message.push(member("tool_calls", calls));
    }
    let mut members = vec![member("message", Json::Object(message))];
    members.extend(rest);
    Json::Object(members)
}

fn call(mut block: Block) -> Json {
    let function =
        ["name", "arguments"].into_iter().filter_map(|name| Some(member(name, block.text(name)?))).collect();
    let mut members = std::mem::take(&mut block.begin);
    members.push(member("type", "function"));
    members.push(member("function", Json::Object(function)));
    Json::Object(members)
}

fn item(mut block: Block) -> Json {
    let mut members = std::mem::take(&mut block.begin);
    for name in ["arguments", "summary"] {
        members.extend(block.text(name).map(|text| member(name, text)));
    }
    let text = |mut inner: Block| {
        let text = inner.text("text").unwrap_or(Json::Word);
        Json::Object(vec![member("type", "output_text"), member("text", text)])
    };
    let contents: Vec<Json> = std::mem::take(&mut block.inner).into_values().map(text).collect();
    if !contents.is_empty() {
        members.push(member("content", contents));
    }
    Json::Object(members)
}

fn content(mut block: Block) -> Json {
    let input = block.texts.remove("partial_json");
    let mut members = std::mem::take(&mut block.begin);
    if members.is_empty() {
        // The beginning of the block was not captured.
        members.push(member("type", if input.is_some() { "tool_use" } else { "text" }));
    }
    for name in ["text", "thinking"] {
        members.extend(block.text(name).map(|text| member(name, text)));
    }
    if let Some(input) = input {
        members.push(member("input", Json::read_container(input.as_bytes()).unwrap_or(Json::Text(input))));
    }
    Json::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(texts: &[&str]) -> Vec<Whole> {
        let series: Vec<Json> = texts.iter().map(|text| Json::read(text.as_bytes()).expect("JSON")).collect();
        assert!(series.iter().all(is_part));
        join(&series.iter().collect::<Vec<_>>())
    }

    #[test]
    fn joins_chat_completions() {
        let whole = joined(&[
            r#"{"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"lo"}}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"get","arguments":""}}]}}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"q\":"}}]}}]}"#,
            r#"{"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]}"#,
        ]);
        assert_eq!((whole.len(), whole[0].parts), (1, 6));
        let expected = r#"{"object":"chat.completion","id":"x","model":"m","choices":[{"message":{"role":"assistant","content":"Hello","tool_calls":[{"id":"c1","type":"function","function":{"name":"get","arguments":"{\"q\":1}"}}]},"finish_reason":"tool_calls"}]}"#;
        assert_eq!(Some(&whole[0].message), Json::read(expected.as_bytes()).as_ref());
    }

    #[test]
    fn joins_messages() {
        let whole = joined(&[
            r#"{"type":"message_start","message":{"id":"x","type":"message","role":"assistant","model":"m","content":[]}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"get","input":{}}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"q\":"}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"x\"}"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
            r#"{"type":"message_stop"}"#,
        ]);
        assert_eq!((whole.len(), whole[0].parts), (1, 10));
        let expected = r#"{"type":"message","id":"x","model":"m","role":"assistant","content":[{"type":"text","text":"Hello"},{"type":"tool_use","id":"t","name":"get","input":{"q":"x"}}]}"#;
        assert_eq!(Some(&whole[0].message), Json::read(expected.as_bytes()).as_ref());
    }

    #[test]
    fn joins_responses_with_and_without_their_end() {
        let parts = [
            r#"{"type":"response.created","response":{"id":"r","model":"m","output":[]}}"#,
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","role":"assistant","id":"i"}}"#,
            r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hel"}"#,
            r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"lo"}"#,
            r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","name":"get","call_id":"c"}}"#,
            r#"{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{}"}"#,
        ];
        let expected = r#"{"object":"response","id":"r","model":"m","output":[{"type":"message","id":"i","role":"assistant","content":[{"type":"output_text","text":"Hello"}]},{"type":"function_call","name":"get","call_id":"c","arguments":"{}"}]}"#;
        let whole = joined(&parts);
        assert_eq!(Some(&whole[0].message), Json::read(expected.as_bytes()).as_ref());
        let end = r#"{"type":"response.completed","response":{"object":"response","id":"r","output":[{"type":"message"}]}}"#;
        let whole = joined(&[&parts[..], &[end]].concat());
        assert_eq!(whole[0].message.list_of("output").len(), 1, "the last part repeats the whole");
    }

    #[test]
    fn keeps_answers_side_by_side_apart() {
        let part = |id: &str, text: &str| {
            format!(
                r#"{{"id":"{id}","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#
            )
        };
        let parts = [part("x", "a"), part("y", "b"), part("x", "c")];
        let whole = joined(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        let texts: Vec<_> = whole
            .iter()
            .map(|whole| {
                whole.message.list_of("choices")[0].get("message").and_then(|turn| turn.text_of("content"))
            })
            .collect();
        assert_eq!(texts, [Some("ac"), Some("b")]);
    }
}
