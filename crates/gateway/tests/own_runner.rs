//! The gateway with default settings: the project's own runner in namespace sandboxes.

mod common;

use std::path::Path;

use common::{Gateway, Workdir};
use serde_json::{Value, json};
use test_support::skip;

#[test]
fn runs_the_projects_own_runner_by_default() {
    let runner = Path::new(env!("CARGO_BIN_EXE_gateway")).with_file_name("runner");
    if !runner.is_file() {
        return skip("runner is not built: cargo build --bin runner");
    }
    let workdir = Workdir::new();
    let store = workdir.store();
    let flags = ["--backend", "namespace", "--store", store.to_str().unwrap()];
    let Some(gateway) = Gateway::launch(workdir.path(), |command, _| {
        command.args(flags);
    }) else {
        return;
    };
    let (id, text) = gateway.say("alice", "hello there").answer();
    assert_eq!(text, "This is your message number 1, of 2 words: hello there");
    let (_, text) = gateway.say_in("alice", &id, "and again").answer();
    assert!(text.starts_with("This is your message number 2,"), "{text}");
    let call = "transform_text {\"text\":\"straße\",\"operation\":\"uppercase\"}";
    assert!(gateway.say("alice", call).answer().1.contains("STRASSE"));

    // A stream has the same answer, and its pieces.
    let mut streamed = gateway.stream("alice", "hello there");
    let id = streamed.started();
    let whole = "This is your message number 1, of 2 words: hello there";
    for word in whole.split_inclusive(' ') {
        assert_eq!(streamed.delta(), word);
    }
    assert_eq!(streamed.expect("done"), json!({"conversationId": id, "text": whole}));
    assert_eq!(streamed.next(), None);
    // A piece arrives while the sandbox runs: it listens for three seconds.
    let mut streamed = gateway.stream("alice", "listen 0.0.0.0:4000\nhello");
    let id = streamed.started();
    assert_eq!(streamed.delta(), "listen 0.0.0.0:4000: listening");
    gateway.get("alice", &format!("/api/conversation/{id}")).assert_error(404, "no_such_conversation");
    let (pieces, (name, _)) = streamed.rest();
    assert_eq!(
        (pieces.as_str(), name.as_str()),
        ("\nThis is your message number 1, of 1 word: hello", "done")
    );
    // Only a runner whose answer is streamed writes pieces.
    let outputs: Vec<String> =
        gateway.log_lines().iter().filter_map(|line| Some(line["stdout"].as_str()?.to_owned())).collect();
    let with_pieces: Vec<_> = outputs.iter().map(|output| output.starts_with("{\"delta\":")).collect();
    assert_eq!(with_pieces, [false, false, false, true, true], "{outputs:?}");

    // An escape attempt fails and its outcome is reported; its canary appears in the log only.
    let (_, text) = gateway.say("bob", "attempt tcp 192.0.2.1:80").answer();
    assert!(text.contains("192.0.2.1:80"), "{text}");
    let tried: Vec<Value> = gateway
        .log_lines()
        .iter()
        .filter_map(|line| serde_json::from_str(line["stderr"].as_str()?.trim_end_matches("\\n")).ok())
        .collect();
    assert_eq!(tried.len(), 1, "{}", gateway.log());
    assert_eq!(
        (&tried[0]["schema"], &tried[0]["succeeded"]),
        (&json!("plainsight.attempt/1"), &json!(false))
    );
    let canary = tried[0]["canary"].as_str().unwrap();
    assert!(!text.contains(canary));
}
