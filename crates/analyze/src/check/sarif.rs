//! SARIF 2.1.0: the rules of the policy, and a result for each violation.

use std::io::{self, Write};

use policy::{Outcome, Place, Violation};
use serde_json::{Value, json};

use super::Checked;
use crate::output::json_text;
use crate::output::sarif::{FINGERPRINT, SCHEMA, artifact, digest_of, message, notification, uri};

/// The rules, each with its meaning.
const RULES: [(&str, &str); 13] = [
    ("cleartext.forbidden", "Payload between these hosts is outside of TLS and QUIC."),
    ("doubt", "A doubt that the policy does not accept."),
    ("input", "An input cannot be analyzed."),
    ("sealed.personal", "Data about a person can be read without a secret."),
    ("sealed.scope", "No flag says which connections the strings must not be in."),
    ("sealed.secret", "A credential can be read without a secret."),
    ("sealed.string", "A string of the policy can be read without a secret, or was not searched for."),
    ("sealed.verdict", "The verdict is not sealed."),
    ("tls.certificates", "A certificate is not valid for as long as the policy asks."),
    (
        "tls.forward-secrecy",
        "A recording of the connection can be opened with the server's key, or by anyone between.",
    ),
    ("tls.minimum", "The connection uses an older version of TLS than the policy allows."),
    ("tls.post-quantum", "The key exchange does not resist quantum computers."),
    ("traffic", "The capture has no payload."),
];

/// Writes the outcome as one run.
///
/// # Errors
///
/// `out` fails.
pub fn write(checked: &Checked, out: &mut dyn Write) -> io::Result<()> {
    let rules: Vec<_> = RULES
        .iter()
        .map(|(code, meaning)| json!({ "id": code, "shortDescription": { "text": message(meaning) } }))
        .collect();
    let artifacts: Vec<_> = checked
        .checked
        .iter()
        .map(|file| {
            let mut artifact = artifact(&file.file);
            if let Some(sha256) = &file.sha256 {
                artifact["hashes"] = json!({ "sha-256": sha256 });
            }
            artifact
        })
        .collect();
    let notifications: Vec<_> = checked.errors.iter().map(|error| notification("error", error)).collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "plainsight check",
                "version": checked.program.version,
                "semanticVersion": checked.program.version,
                "rules": rules,
            } },
            "artifacts": artifacts,
            "invocations": [{
                "executionSuccessful": checked.errors.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": checked.violations.iter().map(|violation| result(checked, violation)).collect::<Vec<_>>(),
            "properties": { "outcome": checked.outcome, "policy": checked.policy },
        }],
    });
    json_text::write(&document, out)?;
    out.write_all(b"\n")
}

fn result(checked: &Checked, violation: &Violation) -> Value {
    let level = match violation.outcome {
        _ if violation.is_known => "note",
        Outcome::Violated => "error",
        Outcome::Undecided => "warning",
        Outcome::Wish => "note",
    };
    let parts = [violation.rule, violation.outcome.name(), &violation.capture, &violation.subject];
    let mut result = json!({
        "ruleId": violation.rule,
        "ruleIndex": RULES.iter().position(|(code, _)| *code == violation.rule),
        "level": level,
        "message": { "text": message(&violation.text) },
        "partialFingerprints": { FINGERPRINT: digest_of(&parts) },
        "properties": {
            "outcome": violation.outcome.name(),
            "capture": violation.capture,
            "subject": violation.subject,
        },
    });
    if checked.baseline.is_some() {
        result["baselineState"] = if violation.is_known { "unchanged" } else { "new" }.into();
    }
    if !violation.file.is_empty() {
        result["locations"] = locations(checked, violation);
    }
    result
}

fn locations(checked: &Checked, violation: &Violation) -> Value {
    let index = checked.checked.iter().position(|file| file.file == violation.file);
    let mut artifact = json!({ "uri": uri(&violation.file) });
    if let Some(index) = index {
        artifact["index"] = index.into();
    }
    let at = |place: &Place| {
        json!({
            "physicalLocation": { "artifactLocation": artifact },
            "properties": {
                "frame": place.frames.first(),
                "frames": place.frames,
                "fileOffset": place.file_offset,
                "stream": place.stream,
                "filter": place.filter,
            },
        })
    };
    match violation.places.as_slice() {
        [] => json!([{ "physicalLocation": { "artifactLocation": artifact } }]),
        places => places.iter().map(at).collect(),
    }
}
