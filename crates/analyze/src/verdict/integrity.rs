//! Checks whether a file is the one that its manifest describes.

use std::collections::BTreeSet;

use super::doubt::Doubt;
use super::report::CaptureReport;
use crate::input::manifest::Manifest;

/// How far the time of a frame may lie outside the time in the manifest. Kernel and capturer read the same clock, but
/// it can be set meanwhile.
pub(crate) const CLOCKS_APART_NS: u64 = 1_000_000_000;

/// Number of hex digits of a canary, whose form decoys have.
const CANARY_DIGITS: usize = 32;

/// Every way in which the capture file disagrees with its manifest.
pub(crate) fn doubts(manifest: &Manifest, report: &CaptureReport<'_>) -> Vec<Doubt> {
    let frames = &report.observed.frames;
    let mut doubts = Vec::new();
    if !manifest.finished {
        doubts.push(Doubt::NotFinished);
    } else if manifest.capture.sha256.as_deref() != Some(report.sha256.as_str()) {
        doubts.push(Doubt::HashDiffers);
    }
    match manifest.capture.frames {
        Some(manifest) if manifest != frames.total => {
            doubts.push(Doubt::FrameCountDiffers { manifest, file: frames.total });
        }
        None if manifest.finished => doubts.push(Doubt::NoFrameCount),
        _ => {}
    }
    if let Some(manifest) = manifest.link_type
        && let Some(other) = frames.link_types.iter().flatten().find(|link_type| link_type.0 != manifest)
    {
        doubts.push(Doubt::LinkTypeDiffers { manifest, file: other.0 });
    }
    let is_early = frames
        .earliest_at
        .zip(manifest.started_at_unix_ns)
        .is_some_and(|(at, started)| at < started.saturating_sub(CLOCKS_APART_NS));
    let is_late = frames
        .latest_at
        .zip(manifest.ended_at_unix_ns)
        .is_some_and(|(at, ended)| at > ended.saturating_add(CLOCKS_APART_NS));
    if is_early || is_late {
        doubts.push(Doubt::OutsideTime);
    }
    if let Some(drops @ 1..) = manifest.capture.kernel_drops {
        doubts.push(Doubt::KernelDrops(drops));
    }
    doubts.extend(contradictions(manifest, report));
    doubts
}

/// The fields of the manifest that the capture, or another field, contradicts.
fn contradictions(manifest: &Manifest, report: &CaptureReport<'_>) -> Vec<Doubt> {
    let Manifest { variant, capture, .. } = manifest;
    let frames = &report.observed.frames;
    let mut found = Vec::new();
    let mut differs = |field, manifest: &dyn ToString, found_instead: String| {
        found.push(Doubt::ManifestField { field, manifest: manifest.to_string(), found: found_instead });
    };
    if let Some(bytes) = capture.bytes.filter(|bytes| *bytes != report.bytes) {
        differs("capture.bytes", &bytes, format!("the file has {}", report.bytes));
    }
    if let Some(truncated) = capture.truncated_frames.filter(|truncated| *truncated != frames.truncated) {
        differs("capture.truncated_frames", &truncated, format!("the file has {}", frames.truncated));
    }
    if let Some(snaplen) = capture.snaplen.filter(|snaplen| u64::from(*snaplen) < frames.longest) {
        differs("capture.snaplen", &snaplen, format!("a frame has {} bytes", frames.longest));
    }
    let of_port = format!("tcp port {}", variant.port);
    if let Some(filter) = capture.filter.as_ref().filter(|filter| !filter.is_empty() && **filter != of_port) {
        differs("capture.filter", filter, format!("the agents use {of_port}"));
    }
    match (manifest.vantage.as_str(), capture.kernel_drops) {
        ("relay", Some(_)) => differs("vantage", &"relay", "a relay has no kernel drops".to_owned()),
        ("interface" | "relay", _) => {}
        (other, _) => differs("vantage", &other, "only interface and relay are known".to_owned()),
    }
    if let Some(expected) = variant.expected_verdict.filter(|expected| *expected != manifest.expected_verdict)
    {
        let stated = format!("expected_verdict is {:?}", manifest.expected_verdict).to_lowercase();
        differs("variant.expected_verdict", &format!("{expected:?}").to_lowercase(), stated);
    }
    let (tls, scheme) = (report.observed.connections.tls, variant.scheme.as_str());
    match scheme {
        "http" if tls > 0 => differs("variant.scheme", &scheme, format!("{tls} connection(s) are TLS")),
        "https" if tls == 0 => differs("variant.scheme", &scheme, "no connection is TLS".to_owned()),
        "http" | "https" => {}
        other => differs("variant.scheme", &other, "only http and https are known".to_owned()),
    }
    let is_canary = |decoy: &String| {
        decoy.len() == CANARY_DIGITS && decoy.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    if let Some(other) = manifest.decoys.iter().find(|decoy| !is_canary(decoy)) {
        differs("decoys", other, "a decoy has the form of a canary: 32 hex digits".to_owned());
    }
    let distinct: BTreeSet<_> = manifest.decoys.iter().collect();
    if distinct.len() < manifest.decoys.len() {
        differs("decoys", &manifest.decoys.len(), format!("{} of them are distinct", distinct.len()));
    }
    found
}
