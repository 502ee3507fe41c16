//! `analyze diff`: what became readable from one result to another, and what ceased to be.

use std::path::Path;
use std::process::Output;

use e2e::damage::{Copied, analyze_command};
use e2e::{new_run, run_lab};
use serde_json::{Value, json};

fn diff(folder: &Path, old: &str, new: &str, flags: &[&str]) -> Output {
    let arguments = [&["diff", old, new], flags].concat();
    analyze_command().args(arguments).current_dir(folder).output().expect("analyze starts")
}

/// The status and the document of a comparison.
fn compared(folder: &Path, old: &str, new: &str) -> (i32, Value) {
    let output = diff(folder, old, new, &["--format", "json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!(document["schema"], "plainsight.diff/1");
    (output.status.code().expect("a status"), document)
}

/// Writes the result on this folder into the folder.
fn write_result(run: &Copied, file: &str) {
    run.write(file, run.analyze().document.to_string());
}

/// Puts the capture and the journals of plain HTTP in the place of those of TLS: the same run without TLS.
fn without_tls(run: &Copied) {
    run.write("https.pcap", run.read("http.pcap"));
    run.update_manifest("https");
    for agent in ["agent-a", "agent-b"] {
        let file = format!("https.{agent}.jsonl");
        run.write(&file, run.read(&file.replace("https", "http")));
    }
}

#[test]
fn two_runs_of_the_same_messages_differ_in_nothing() {
    let (one, other) = (Copied::of(run_lab("relay")), Copied::of(&new_run("relay")));
    assert_ne!(one.canaries("https"), other.canaries("https"));
    write_result(&one, "result.json");
    let old = one.path("result.json");
    let (status, document) = compared(other.folder(), old.to_str().expect("UTF-8"), ".");
    assert_eq!(
        (status, &document["became_readable"], &document["ceased"]),
        (0, &json!(0), &json!(0)),
        "{document}"
    );
    assert_eq!(document["conclusion"], json!({ "old": "proven", "new": "proven" }));
    let names: Vec<_> =
        document["captures"].as_array().expect("captures").iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["http", "https"]);
    assert!(document["captures"][0]["still_readable"].as_u64() > Some(500), "{document}");
    let text = diff(other.folder(), old.to_str().expect("UTF-8"), ".", &[]);
    assert_eq!(text.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&text.stdout).contains("nothing became readable"));
}

#[test]
fn what_tls_hid_becomes_readable_without_it_and_ceases_with_it() {
    let sealed = Copied::of(run_lab("relay"));
    let exposed = sealed.copy();
    without_tls(&exposed);
    write_result(&sealed, "sealed.json");
    sealed.write("exposed.json", exposed.analyze().document.to_string());
    let total = sealed.analyze().capture("https")["summary"]["total"].clone();

    let (status, document) = compared(sealed.folder(), "sealed.json", "exposed.json");
    assert_eq!(status, 1);
    assert_eq!((&document["became_readable"], &document["ceased"]), (&total, &json!(0)));
    let capture = &document["captures"][1];
    assert_eq!(capture["verdict"], json!({ "old": "sealed", "new": "exposed" }));
    let items = capture["became_readable"].as_array().expect("items");
    let canary = items.iter().find(|item| item["path"] == "$.canary").expect("a canary");
    assert_eq!(canary["level"], json!({ "old": "decrypted", "new": "verbatim" }));
    assert_eq!(canary["value"], exposed.canary("http"));
    assert_eq!(canary["code"], "exposure.verbatim");
    assert!(canary["location"]["frames"][0].is_u64());
    let text = diff(sealed.folder(), "sealed.json", "exposed.json", &[]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("https: sealed before, exposed now"), "{text}");
    assert!(text.contains(&format!("Difference: {total} became readable, 0 ceased")), "{text}");

    let (status, document) = compared(sealed.folder(), "exposed.json", "sealed.json");
    assert_eq!(status, 0, "what ceases to be readable is no failure");
    assert_eq!((&document["became_readable"], &document["ceased"]), (&json!(0), &total));
    // A capture by itself is compared with another one whatever their names are.
    let (status, document) = compared(sealed.folder(), "https.pcap", "http.pcap");
    assert_eq!((status, &document["became_readable"]), (1, &total));
}

#[test]
fn doubts_and_missing_captures_cannot_be_compared() {
    let run = Copied::of(run_lab("relay"));
    write_result(&run, "old.json");
    run.remove("https.keys");
    let (status, document) = compared(run.folder(), "old.json", ".");
    assert_eq!((status, &document["became_readable"]), (3, &json!(0)), "{document}");
    let doubts = document["captures"][1]["new_doubts"].as_array().expect("doubts");
    assert!(doubts.iter().any(|doubt| doubt["code"] == "control.no-key-log"), "{doubts:?}");
    // The doubts go away again.
    assert_eq!(compared(run.folder(), ".", "old.json").0, 0);

    let (status, document) = compared(run.folder(), "old.json", "http.pcap");
    assert_eq!((status, &document["only_old"]), (3, &json!([run.path("https.pcap")])), "{document}");
}

#[test]
fn a_list_that_is_cut_cannot_be_compared() {
    let run = Copied::of(run_lab("relay"));
    write_result(&run, "old.json");
    let mut result = run.analyze().document;
    result["captures"][0]["readable_total"] = json!(1);
    run.write("new.json", result.to_string());
    let (status, document) = compared(run.folder(), "old.json", "new.json");
    assert_eq!((status, &document["captures"][0]["cut_lists"]), (3, &json!(["readable"])));
}

#[test]
fn inputs_that_cannot_be_compared_are_errors() {
    let run = Copied::of(run_lab("relay"));
    write_result(&run, "old.json");
    run.write("other.json", r#"{"schema":"plainsight.exposure/9"}"#);
    run.write("no.json", "{}");
    for (new, why) in [
        ("missing.json", "missing.json"),
        ("other.json", "plainsight.exposure/9"),
        ("no.json", "schema"),
        ("https.keys", "https.keys"),
    ] {
        let output = diff(run.folder(), "old.json", new, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{new}: {stderr}");
        assert!(stderr.contains(why) && stderr.lines().count() == 1, "{new}: {stderr}");
    }
}
