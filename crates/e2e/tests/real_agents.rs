//! What a capture without journal shows of a conversation of the MCP's own client and server (corpus/oracle).

use std::path::{Path, PathBuf};

use e2e::damage::{analyze, analyze_with};
use serde_json::{Value, json};

fn capture() -> PathBuf {
    of_corpus("mcp-streamable-http")
}

fn of_corpus(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/oracle/captures");
    folder.join(format!("{name}.pcapng"))
}

fn entries(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

#[test]
fn a_conversation_of_mcp_is_read_to_the_field() {
    let judged = analyze(&[&capture()]);
    let capture = &judged.document["captures"][0];
    let leaf = |path: &str| {
        let found = entries(&capture["readable"]).iter().find(|leaf| leaf["path"] == path);
        let found = found.unwrap_or_else(|| panic!("{path} is listed"));
        (found["value"].as_str(), found["location"]["frames"][0].as_u64())
    };
    assert_eq!(leaf("$.params.arguments.city"), (Some("Seoul"), Some(20)));
    assert_eq!(leaf("$.params.arguments.api_key"), (None, Some(20)), "secrets are not written");
    assert_eq!(leaf("$.result.content[0].text"), (Some("Seoul has nine million inhabitants"), Some(24)));

    let credentials = entries(&capture["contents"]["credentials"]);
    assert_eq!(credentials.len(), 1, "{credentials:?}");
    assert_eq!(credentials[0]["path"], "$.params.arguments.api_key");
    assert_eq!((&credentials[0]["value"], &credentials[0]["bytes"]), (&Value::Null, &Value::from(11)));

    let agents = entries(&capture["contents"]["agents"]);
    let methods: Vec<_> = agents.iter().filter_map(|message| message["method"].as_str()).collect();
    assert_eq!(methods, ["server/discover", "tools/list", "tools/call"]);
    let call = agents.iter().find(|message| message["method"] == "tools/call").expect("a call");
    assert_eq!(call["tools"], json!(["lookup"]));
}

/// The first major version of the SDK answers with server-sent events.
#[test]
fn answers_in_events_are_read_to_the_field() {
    let judged = analyze(&[&of_corpus("mcp-event-stream")]);
    let capture = &judged.document["captures"][0];
    let strings = entries(&capture["readable"]);
    let value = |path: &str, value: &str| {
        let found = strings.iter().find(|leaf| leaf["path"] == path && leaf["value"] == value);
        found.unwrap_or_else(|| panic!("{path} is listed")).clone()
    };
    assert_eq!(
        value("$.result.tools[0].name", "lookup")["location"]["layers"],
        json!(["http1", "chunked", "event-stream"])
    );
    value("$.result.content[0].text", "Seoul has nine million inhabitants");
    value("$.params.arguments.city", "Seoul");
    let secret = strings.iter().find(|leaf| leaf["path"] == "$.params.arguments.api_key");
    assert!(secret.expect("the key is listed")["value"].is_null(), "secrets are not written");

    let agents = entries(&capture["contents"]["agents"]);
    let messages: Vec<_> = agents.iter().map(|message| (&message["what"], &message["method"])).collect();
    let of = |wanted: &str| messages.iter().filter(|(what, _)| *what == wanted).count();
    assert_eq!((of("request"), of("notification"), of("result")), (3, 1, 3), "{messages:?}");
}

#[test]
fn its_secret_is_written_only_when_asked_for() {
    let texts = [&[][..], &["--show-secrets"][..]].map(|flags| {
        let output = analyze_with(&[&capture()], &[&["--format", "json", "--no-output"], flags].concat());
        String::from_utf8(output.stdout).expect("text")
    });
    assert_eq!(texts.map(|text| text.contains("sk-corpus-4")), [false, true]);
}
