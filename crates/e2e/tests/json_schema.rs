//! Validates results of real runs with the committed JSON Schema, `docs/exposure.schema.json`.

use std::path::Path;

use e2e::damage::{Copied, Judged};
use e2e::lab::outcome;
use e2e::{Lab, has_netns, run_lab, skip};
use serde_json::Value;

/// The errors of a result according to the schema.
fn errors(result: &Value) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/exposure.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).expect("a schema")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a valid schema");
    schema.iter_errors(result).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn assert_fits(judged: &Judged) {
    assert_eq!(errors(&judged.document), Vec::<String>::new(), "{}", judged.stderr);
}

#[test]
fn results_of_a_pair_fit_the_schema() {
    let copied = Copied::of(run_lab("relay"));
    assert_fits(&copied.analyze());
    copied.remove("https.keys");
    assert_fits(&copied.analyze());
}

#[test]
fn result_of_a_capture_without_journals_fits_the_schema() {
    let copied = Copied::of(run_lab("relay"));
    for file in ["http.manifest.json", "http.agent-a.jsonl", "http.agent-b.jsonl"] {
        copied.remove(file);
    }
    assert_fits(&copied.analyze_only("http.pcap"));
}

#[test]
fn result_of_an_isolation_run_fits_the_schema() {
    if let Err(reason) = has_netns() {
        return skip(&reason);
    }
    let lab = Lab::new();
    let output = lab.run(&["isolation", "--backend", "netns"]);
    assert!(output.status.success(), "lab run isolation: {}", outcome(&output));
    assert_fits(&Copied::of(&lab).analyze());
}

#[test]
fn result_that_lacks_a_field_does_not_fit_the_schema() {
    let mut result = Copied::of(run_lab("relay")).analyze().document;
    let capture = result["captures"][0].as_object_mut().expect("a capture");
    capture.remove("verdict").expect("a verdict");
    assert_eq!(errors(&result).len(), 1);
}
