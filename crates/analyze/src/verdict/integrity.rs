//! Checks whether a file is the one that its manifest describes.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

use super::doubt::Doubt;
use super::report::CaptureReport;
use crate::input::manifest::{CaptureFile, Manifest};
use crate::observe::offloads::Offloads;
use crate::observe::text_fields::Field;

/// How far the time of a frame may lie outside the time in the manifest. Kernel and capturer read the same clock, but
/// it can be set meanwhile.
pub(crate) const CLOCKS_APART_NS: u64 = 1_000_000_000;

/// How long a comparison may be silent at the start of its capture, and at its end. The lab starts the agents as soon as the
/// capturer is ready, and stops the capturer when they have ended; on a slow machine that takes seconds.
const IDLE_MAX_NS: u64 = 300_000_000_000;

/// Number of hex digits of a canary, whose form decoys have.
const CANARY_DIGITS: usize = 32;

/// Number of decoys that a capturer generates.
const DECOYS: usize = 8;

/// Every way in which the capture file disagrees with its manifest.
pub(crate) fn doubts(manifest: &Manifest, report: &CaptureReport<'_>) -> Vec<Doubt> {
    let frames = &report.observed.frames;
    let mut doubts = Vec::new();
    if !manifest.missing.is_empty() {
        doubts.push(Doubt::ManifestFieldsMissing(manifest.missing.clone()));
    }
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
    let mut contradictions = Contradictions::default();
    contradictions.file(manifest, report);
    contradictions.frames(manifest, report);
    contradictions.vantage(manifest);
    contradictions.variant(manifest, report);
    contradictions.server_name(manifest, report);
    contradictions.decoys(&manifest.decoys);
    if manifest.is_comparison() {
        contradictions.comparison(manifest, report);
    }
    doubts.extend(contradictions.0);
    doubts
}

/// The fields of the manifest that the capture, or another field, contradicts.
#[derive(Default)]
struct Contradictions(Vec<Doubt>);

impl Contradictions {
    fn differs(&mut self, field: &'static str, manifest: impl Display, found: impl Into<String>) {
        self.0.push(Doubt::ManifestField { field, manifest: manifest.to_string(), found: found.into() });
    }

    /// Adds a doubt if the manifest states another number than was found. A manifest that states none lacks the field, or is
    /// of a capture that was not finished.
    fn counts(&mut self, field: &'static str, manifest: Option<u64>, found: u64) {
        if let Some(manifest) = manifest.filter(|manifest| *manifest != found) {
            self.differs(field, manifest, format!("the file has {found}"));
        }
    }

    /// The capture file as a whole.
    fn file(&mut self, manifest: &Manifest, report: &CaptureReport<'_>) {
        let Manifest { capture, name, .. } = manifest;
        if Path::new(&capture.file).file_stem().is_none_or(|stem| stem != name.as_str()) {
            self.differs("name", name, format!("the capture is {}", capture.file));
        }
        self.counts("capture.bytes", capture.bytes, report.bytes);
        if let (Some(stated), Some(found)) = (capture.snaplen, report.snaplen)
            && stated != found
        {
            self.differs("capture.snaplen", stated, format!("the file's header states {found}"));
        } else if let Some(stated) = capture.snaplen
            && u64::from(stated) < report.observed.frames.longest
        {
            let longest = report.observed.frames.longest;
            self.differs("capture.snaplen", stated, format!("a frame has {longest} bytes"));
        }
        if let (Some(started), Some(ended)) = (manifest.started_at_unix_ns, manifest.ended_at_unix_ns)
            && started > ended.saturating_add(CLOCKS_APART_NS)
        {
            self.differs("started_at_unix_ns", started, format!("it ended at {ended}"));
        }
    }

    /// What the frames show: cuts, offloads, the kernel filter.
    fn frames(&mut self, manifest: &Manifest, report: &CaptureReport<'_>) {
        let Manifest { variant, capture, .. } = manifest;
        let frames = &report.observed.frames;
        self.counts("capture.truncated_frames", capture.truncated_frames, frames.truncated);
        if let Some(offloads) = &report.observed.offloads {
            self.offloads(capture, offloads);
        }
        let of_port = format!("tcp port {}", variant.port);
        let Some(filter) = capture.filter.as_ref().filter(|filter| !filter.is_empty()) else { return };
        let ports = &report.observed.connections.server_ports;
        if *filter != of_port {
            self.differs("capture.filter", filter, format!("the agents use {of_port}"));
        } else if let Some(other) = ports.iter().find(|port| **port != variant.port) {
            self.differs("capture.filter", filter, format!("a connection goes to port {other}"));
        } else if frames.other + frames.control > 0 {
            let others = frames.other + frames.control;
            self.differs("capture.filter", filter, format!("{others} frame(s) are not TCP"));
        }
    }

    fn offloads(&mut self, capture: &CaptureFile, offloads: &Offloads) {
        let Offloads { wrong_checksums: wrong, unverified, with_content, longest, mss } = *offloads;
        if let Some(stated) = capture.unfinished_checksums {
            // An unfinished checksum is correct by chance in one of 65,536 frames.
            let is_plausible = wrong <= stated && (stated - wrong).saturating_mul(1024) <= stated;
            if wrong > stated || unverified == 0 && !is_plausible {
                let found = format!("the checksums of {wrong} frame(s) are wrong");
                self.differs("capture.unfinished_checksums", stated, found);
            }
        }
        if let (Some(stated), Some((least, largest))) = (capture.segmentation_offload_frames, mss) {
            let field = "capture.segmentation_offload_frames";
            if stated == 0 && longest > u64::from(largest) {
                self.differs(
                    field,
                    stated,
                    format!("a segment of {longest} bytes exceeds the MSS of {largest}"),
                );
            } else if stated > 0 && longest <= u64::from(least) {
                self.differs(field, stated, format!("no segment exceeds the MSS of {least}"));
            } else if stated > with_content {
                self.differs(field, stated, format!("{with_content} segment(s) have content"));
            }
        }
    }

    /// What an interface has and a relay has not.
    fn vantage(&mut self, manifest: &Manifest) {
        let Manifest { vantage, backend, interface, capture, .. } = manifest;
        match (vantage.as_str(), capture.kernel_drops, interface) {
            ("relay", Some(_), _) => self.differs("vantage", vantage, "a relay has no kernel drops"),
            ("relay", _, Some(_)) => self.differs("vantage", vantage, "a relay has no interface"),
            ("interface", _, None) => self.differs("interface", "null", "the vantage is an interface"),
            ("interface" | "relay", ..) => {}
            (other, ..) => self.differs("vantage", other, "only interface and relay are known"),
        }
        match (backend.as_str(), vantage.as_str()) {
            ("netns", "relay") => self.differs("backend", backend, "the vantage is a relay"),
            ("relay", "interface") => self.differs("backend", backend, "the vantage is an interface"),
            ("netns" | "relay" | "docker", _) => {}
            (other, _) => self.differs("backend", other, "only netns, relay and docker are known"),
        }
    }

    /// What the agents spoke.
    fn variant(&mut self, manifest: &Manifest, report: &CaptureReport<'_>) {
        let variant = &manifest.variant;
        if let Some(expected) =
            variant.expected_verdict.filter(|expected| *expected != manifest.expected_verdict)
        {
            let stated = format!("expected_verdict is {:?}", manifest.expected_verdict).to_lowercase();
            self.differs("variant.expected_verdict", format!("{expected:?}").to_lowercase(), stated);
        }
        let (tls, scheme) = (report.observed.connections.tls, variant.scheme.as_str());
        match scheme {
            "http" if tls > 0 => {
                self.differs("variant.scheme", scheme, format!("{tls} connection(s) are TLS"));
            }
            "https" if tls == 0 => self.differs("variant.scheme", scheme, "no connection is TLS"),
            "http" | "https" => {}
            other => self.differs("variant.scheme", other, "only http and https are known"),
        }
        if !variant.http_version.is_empty()
            && let Some(other) = (report.observed.messages.minor_versions.iter())
                .map(|minor| format!("1.{minor}"))
                .find(|version| *version != variant.http_version)
        {
            self.differs("variant.http_version", &variant.http_version, format!("a message is HTTP/{other}"));
        }
        let [offered, chosen] = report.observed.connections.tls_versions.each_ref().map(|versions| {
            versions.iter().map(|version| version.to_string().replace("TLS ", "")).collect::<BTreeSet<_>>()
        });
        let stated: BTreeSet<_> = variant.tls_versions.iter().cloned().collect();
        let list = |versions: &BTreeSet<String>| versions.iter().cloned().collect::<Vec<_>>().join(", ");
        let is_repeated = stated.len() < variant.tls_versions.len();
        if stated != offered || is_repeated {
            let found = if tls == 0 {
                "there is no TLS".to_owned()
            } else {
                format!("clients offer {}", list(&offered))
            };
            self.differs("variant.tls_versions", variant.tls_versions.join(", "), found);
        } else if !chosen.is_subset(&stated) {
            self.differs("variant.tls_versions", list(&stated), format!("servers choose {}", list(&chosen)));
        }
    }

    /// The name that clients dial, which they send in the clear.
    fn server_name(&mut self, manifest: &Manifest, report: &CaptureReport<'_>) {
        let stated = manifest.variant.server_name.as_deref();
        let said = report.observed.text_fields.iter().flat_map(|fields| fields.said.keys());
        let mut names = said.filter(|(field, _)| *field == Field::ServerName).map(|(_, name)| name);
        if let Some(other) = names.find(|name| stated.is_none_or(|stated| !stated.eq_ignore_ascii_case(name)))
        {
            self.differs(
                "variant.server_name",
                stated.unwrap_or("null"),
                format!("a client asks for {other:?}"),
            );
        }
    }

    fn decoys(&mut self, decoys: &[String]) {
        let is_canary = |decoy: &String| {
            decoy.len() == CANARY_DIGITS
                && decoy.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if let Some(other) = decoys.iter().find(|decoy| !is_canary(decoy)) {
            self.differs("decoys", other, "a decoy has the form of a canary: 32 hex digits");
        }
        let distinct = decoys.iter().collect::<BTreeSet<_>>().len();
        if distinct < decoys.len() {
            self.differs("decoys", decoys.len(), format!("{distinct} of them are distinct"));
        } else if (1..DECOYS).contains(&decoys.len()) {
            self.differs("decoys", decoys.len(), format!("a capturer generates {DECOYS}"));
        }
    }

    /// What holds for the two agents of a comparison alone.
    fn comparison(&mut self, manifest: &Manifest, report: &CaptureReport<'_>) {
        let (frames, connections) = (&report.observed.frames, &report.observed.connections);
        let port = manifest.variant.port;
        if connections.total > 0
            && !manifest.missing.contains(&"variant/port")
            && !connections.server_ports.contains(&port)
        {
            self.differs("variant.port", port, "no connection goes to this port");
        }
        if let (Some(started), Some(first)) = (manifest.started_at_unix_ns, frames.earliest_at)
            && first.saturating_sub(started) > IDLE_MAX_NS
        {
            self.differs("started_at_unix_ns", started, format!("the first frame is at {first}"));
        }
        if let (Some(ended), Some(last)) = (manifest.ended_at_unix_ns, frames.latest_at)
            && ended.saturating_sub(last) > IDLE_MAX_NS
        {
            self.differs("ended_at_unix_ns", ended, format!("the last frame is at {last}"));
        }
    }
}
