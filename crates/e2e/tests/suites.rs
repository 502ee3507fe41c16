//! Every cipher suite that OpenSSL offers is opened with a key log, or named with the reason (corpus/oracle, `openssl-*`).

use std::path::{Path, PathBuf};

use e2e::damage::analyze;
use e2e::oracle::captures;
use serde_json::Value;

fn recorded() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/oracle/captures");
    let is_openssl =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("openssl-"));
    captures(&folder).into_iter().filter(is_openssl).collect()
}

fn texts<'a>(entries: &'a Value, field: &'a str) -> impl Iterator<Item = &'a str> {
    entries.as_array().into_iter().flatten().filter_map(move |entry| entry[field].as_str())
}

#[test]
fn every_suite_is_opened_or_named() {
    let paths = recorded();
    assert!(paths.len() >= 100, "{} captures", paths.len());
    let judged = analyze(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let (mut opened, mut named) = (0, 0);
    for capture in judged.document["captures"].as_array().expect("captures") {
        let name = capture["name"].as_str().expect("a name");
        let is_read = texts(&capture["http"], "target").any(|target| target == "/data.json");
        let suite = &capture["tls"]["sessions"][0]["visible"]["cipher_suite"];
        if is_read {
            opened += 1;
            continue;
        }
        if name == "openssl-tls13-refused" {
            continue;
        }
        let suite = suite.as_str().unwrap_or_else(|| panic!("{name}: no suite"));
        assert!(suite.contains("_ARIA_"), "{name}: {suite} is not opened");
        let expected = format!("decryption of {suite} is not supported");
        let reasons: Vec<_> = texts(&capture["completeness"]["unexplained"], "reason").collect();
        assert!(reasons.iter().any(|reason| reason.contains(&expected)), "{name}: {reasons:?}");
        named += 1;
    }
    assert!(opened >= 90 && named == 10, "{opened} opened, {named} named");
}
