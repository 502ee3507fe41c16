//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>): exposures, leaks and doubts as results.
//!
//! The rules are their codes, the artifacts the captures. A location has the offset in the file as its region, and frames,
//! stream, layers and display filter as properties. Strings that only the holder of the keys can read are no results.

use std::io::{self, Write};

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use exposure_schema::{Capture, Exposure, Location};
use serde_json::{Value, json};

use super::finding::{self, Finding, Kind};
use super::safe_text::safe;
use super::{json_text, rules};

/// Maximum number of results: what a run uploaded to GitHub may have. Others are counted in a notification.
const MAX_RESULTS: usize = 25_000;

/// Name of the fingerprints, and the version of what they are made of.
pub(crate) const FINGERPRINT: &str = "plainsight/v1";

pub(crate) const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Writes the result as one run.
///
/// # Errors
///
/// `out` fails.
pub fn write(exposure: &Exposure, out: &mut dyn Write) -> io::Result<()> {
    let mut run = Run::default();
    for error in &exposure.errors {
        run.notifications.push(notification("error", error));
    }
    let isolation = exposure.isolation.iter().map(|run| artifact(&run.file));
    let artifacts: Vec<_> = exposure.captures.iter().map(of_capture).chain(isolation).collect();
    run.files.extend(exposure.captures.iter().map(|capture| capture.file.as_str()));
    run.files.extend(exposure.isolation.iter().map(|run| run.file.as_str()));
    run.compressed = exposure
        .captures
        .iter()
        .filter(|capture| capture.compression.is_some())
        .map(|c| c.file.as_str())
        .collect();
    finding::each(exposure, &mut |finding| {
        run.add(&finding);
        Ok::<_, io::Error>(())
    })?;
    if run.left_out > 0 {
        let text = format!("{} more results are left out; --format jsonl lists all", run.left_out);
        run.notifications.push(notification("warning", &text));
    }
    let rules: Vec<_> = run.rules.iter().map(|code| rule(code)).collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": format!("plainsight {}", exposure.program.name),
                "version": exposure.program.version,
                "semanticVersion": exposure.program.version,
                "rules": rules,
            } },
            "artifacts": artifacts,
            "invocations": [{
                "executionSuccessful": exposure.errors.is_empty(),
                "toolExecutionNotifications": run.notifications,
            }],
            "results": run.results,
            "properties": { "conclusion": exposure.conclusion },
        }],
    });
    json_text::write(&document, out)?;
    out.write_all(b"\n")
}

/// What a run contains, as far as it was collected.
#[derive(Default)]
struct Run<'a> {
    /// Paths of the artifacts, in their order.
    files: Vec<&'a str>,
    /// Paths of compressed captures, whose offsets are those of another file.
    compressed: Vec<&'a str>,
    /// Codes of the rules, in the order of their first results.
    rules: Vec<String>,
    results: Vec<Value>,
    notifications: Vec<Value>,
    /// Number of results beyond [`MAX_RESULTS`].
    left_out: u64,
}

impl Run<'_> {
    fn add(&mut self, finding: &Finding<'_>) {
        if !matches!(finding.kind, Kind::Exposure | Kind::Doubt | Kind::Leak) {
            return;
        }
        if self.results.len() >= MAX_RESULTS {
            self.left_out += 1;
            return;
        }
        let rule = self.rules.iter().position(|code| *code == finding.code).unwrap_or_else(|| {
            self.rules.push(finding.code.to_string());
            self.rules.len() - 1
        });
        let mut result = json!({
            "ruleId": finding.code,
            "ruleIndex": rule,
            "level": finding.severity.name(),
            "message": { "text": message(&finding.text) },
            "partialFingerprints": { FINGERPRINT: fingerprint(finding) },
            "properties": {
                "kind": finding.kind,
                "capture": finding.capture,
                "level": finding.level,
                "messageId": finding.message_id,
                "direction": finding.direction,
                "path": finding.path,
                "locationsTotal": finding.locations_total,
            },
        });
        if let (Some(file), Some(result)) = (finding.file, result.as_object_mut()) {
            result.insert("locations".into(), self.locations(file, finding));
        }
        self.results.push(result);
    }

    fn locations(&self, file: &str, finding: &Finding<'_>) -> Value {
        let mut artifact = json!({ "uri": uri(file) });
        if let Some(index) = self.files.iter().position(|known| *known == file) {
            artifact["index"] = index.into();
        }
        let physical = |place: Option<&Location>| {
            let mut physical = json!({ "artifactLocation": artifact });
            // The offset in a compressed capture is one in what it contains, which is not the artifact.
            if let Some(place) = place.filter(|_| !self.compressed.contains(&file)) {
                physical["region"] = region(place);
            }
            physical
        };
        let at = |place: &Location| {
            json!({
                "physicalLocation": physical(Some(place)),
                "properties": {
                    "frame": place.frames.first(),
                    "frames": place.frames,
                    "fileOffset": place.file_offset,
                    "stream": place.stream,
                    "streamOffset": place.stream_offset,
                    "direction": place.direction,
                    "wireBytes": place.wire_bytes,
                    "layers": place.layers,
                    "filter": place.filter,
                },
            })
        };
        match &*finding.locations {
            [] => json!([{ "physicalLocation": physical(None) }]),
            places => places.iter().map(at).collect(),
        }
    }
}

/// The bytes in the file. What several frames carry is not in one piece.
fn region(place: &Location) -> Value {
    match place.frames.len() {
        1 => json!({ "byteOffset": place.file_offset, "byteLength": place.wire_bytes }),
        _ => json!({ "byteOffset": place.file_offset }),
    }
}

fn rule(code: &str) -> Value {
    let meaning = rules::meaning(code).unwrap_or("A finding of a newer version.");
    json!({ "id": code, "shortDescription": { "text": message(meaning) } })
}

pub(crate) fn artifact(file: &str) -> Value {
    json!({ "location": { "uri": uri(file) }, "roles": ["analysisTarget"] })
}

fn of_capture(capture: &Capture) -> Value {
    let mut artifact = artifact(&capture.file);
    artifact["length"] = capture.bytes.into();
    artifact["hashes"] = json!({ "sha-256": capture.sha256 });
    artifact["properties"] = json!({
        "name": capture.name,
        "verdict": capture.verdict,
        "expectedVerdict": capture.expected_verdict,
        "frames": capture.frames,
    });
    artifact
}

pub(crate) fn notification(level: &str, text: &str) -> Value {
    json!({ "level": level, "message": { "text": message(text) } })
}

/// A text as a message: braces would be placeholders (§3.11.5), brackets before a parenthesis a link (§3.11.6).
pub(crate) fn message(text: &str) -> String {
    safe(text).replace('{', "{{").replace('}', "}}").replace("](", r"\](")
}

/// A path as a reference to a URI (RFC 3986): every byte but letters, digits, `-._~` and `/` in percent-encoding. An absolute
/// path becomes a URI of the scheme `file`.
pub(crate) fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into());
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// What a result is recognised by in the next run: the code, the capture's name, and the string's place in its message. A
/// value can differ from run to run where the message is known, and is all there is where it is not.
fn fingerprint(finding: &Finding<'_>) -> String {
    let value = if finding.message_id.is_none() { finding.value } else { None };
    let text = if finding.kind == Kind::Leak { Some(finding.text.as_str()) } else { None };
    let parts = [
        Some(&*finding.code),
        finding.capture,
        finding.message_id,
        finding.direction.map(finding::direction_name),
        finding.path,
        value,
        text,
    ];
    digest_of(&parts.map(Option::unwrap_or_default))
}

/// The SHA-256 of a sequence of texts.
pub(crate) fn digest_of(parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        // The length in front of each part keeps two sequences of parts apart.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    HEXLOWER.encode(context.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references_to_uris() {
        assert_eq!(uri("captures/http.pcap"), "captures/http.pcap");
        assert_eq!(uri("/a b/한.pcap"), "file:///a%20b/%ED%95%9C.pcap");
        assert_eq!(uri("c:<x>\n%"), "c%3A%3Cx%3E%0A%25");
    }

    #[test]
    fn messages_have_no_placeholders_and_no_links() {
        assert_eq!(message("{0} [a](b) $.x[0]"), r"{{0}} [a\](b) $.x[0]");
    }
}
