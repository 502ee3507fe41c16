//! What a conclusion takes: a plaintext capture and a TLS capture of the same messages, each with every string at its level.

use std::fs;

use e2e::damage::{Copied, Judged, sha256};
use e2e::run_lab;
use serde_json::{Value, json};

/// Asserts that the pair proves nothing, for this reason.
fn assert_unproven(judged: &Judged, cause: &str) {
    let reasons = judged.document["reasons"].to_string();
    assert_eq!(judged.conclusion(), "inconclusive", "{reasons}");
    assert!(reasons.contains(cause), "{cause:?} is not among {reasons}");
}

/// Rewrites a journal line by line.
fn edit_journal(copied: &Copied, file: &str, edit: impl Fn(&mut Value)) {
    let text = String::from_utf8(copied.read(file)).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        edit(&mut line);
        line["body_sha256"] = json!(sha256(line["body"].as_str().unwrap().as_bytes()));
        format!("{line}\n")
    });
    copied.write(file, lines.collect::<String>());
}

#[test]
fn the_result_names_the_pair_that_it_is_about() {
    let judged = Copied::of(run_lab("relay")).analyze();
    assert_eq!(judged.conclusion(), "proven");
    let pairs = judged.document["compared"].as_array().unwrap();
    assert_eq!(pairs.len(), 1);
    assert!(pairs[0]["plaintext"].as_str().unwrap().ends_with("http.pcap"), "{pairs:?}");
    assert!(pairs[0]["tls"].as_str().unwrap().ends_with("https.pcap"), "{pairs:?}");
    assert_eq!(judged.document["not_compared"], json!([]));
}

#[test]
fn a_third_capture_is_named_as_not_compared() {
    let copied = Copied::of(run_lab("relay"));
    fs::copy(copied.path("http.pcap"), copied.path("other.pcap")).unwrap();
    let judged = copied.analyze();
    assert_eq!(judged.conclusion(), "proven");
    let others = judged.document["not_compared"].as_array().unwrap();
    assert_eq!(others.len(), 1);
    assert!(others[0].as_str().unwrap().ends_with("other.pcap"), "{others:?}");
}

#[test]
fn a_pair_with_another_scheme_than_its_variants_proves_nothing() {
    for (name, scheme) in [("http", "https"), ("https", "http")] {
        let copied = Copied::of(run_lab("relay"));
        copied.edit_manifest(name, |manifest| manifest["variant"]["scheme"] = json!(scheme));
        let judged = copied.analyze();
        assert_unproven(&judged, &format!("{name} is"));
        let reasons = judged.reasons(name);
        assert!(reasons.iter().any(|reason| reason.contains("states variant.scheme")), "{reasons:?}");
    }
}

/// The TLS capture once more, as the plaintext one: a single string of it is readable, the name of the server.
#[test]
fn a_tls_capture_with_one_readable_string_is_no_plaintext_capture() {
    let copied = Copied::of(run_lab("relay"));
    for file in ["pcap", "keys", "agent-a.jsonl", "agent-b.jsonl"] {
        fs::copy(copied.path(&format!("https.{file}")), copied.path(&format!("http.{file}"))).unwrap();
    }
    let text = String::from_utf8(copied.read("https.manifest.json")).unwrap();
    copied.write("http.manifest.json", text.replace("\"https.", "\"http."));
    copied.edit_manifest("http", |manifest| {
        manifest["name"] = json!("http");
        manifest["variant"]["name"] = json!("http");
        manifest["variant"]["scheme"] = json!("http");
        manifest["variant"]["expected_verdict"] = json!("exposed");
        manifest["expected_verdict"] = json!("exposed");
    });
    // The name that the agents dial is in the hello.
    for agent in ["agent-a", "agent-b"] {
        edit_journal(&copied, &format!("http.{agent}.jsonl"), |line| {
            let body = line["body"].as_str().unwrap().replacen("call-0001", "localhost", 1);
            line["body"] = json!(body);
        });
    }
    let judged = copied.analyze();
    assert_ne!(judged.conclusion(), "proven", "{}", judged.document["reasons"]);
}

#[test]
fn a_pair_of_other_messages_proves_nothing() {
    let copied = Copied::of(run_lab("relay"));
    let lab = e2e::Lab::new();
    let output = lab.run(&["http", "--backend", "relay", "--count", "2"]);
    assert!(output.status.success(), "{}", e2e::lab::outcome(&output));
    for name in e2e::lab::names(&lab.captures()) {
        fs::copy(lab.captures().join(&name), copied.path(&name)).unwrap();
    }
    let judged = copied.analyze();
    assert_eq!((judged.verdict("http"), judged.verdict("https")), ("exposed", "sealed"));
    assert_unproven(&judged, "the agents sent other messages in http");
    assert_eq!(judged.document["compared"], json!([]));
}
