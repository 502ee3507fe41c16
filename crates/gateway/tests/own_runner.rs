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
