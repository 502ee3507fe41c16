//! Whether all that was said was seen.

use exposure_schema::{Completeness, Direction, TroubledStream, UnexplainedEntry};

use crate::analysis::CaptureReport;
use crate::observe::connections::Streams;
use crate::observe::evidence::{Occurrence, direction};
use crate::search::needles::{KnownMessage, MAX_DEPTH};
use crate::verdict::Doubts;
use crate::verdict::integrity;

/// Missing messages that are named.
const MAX_MISSING: usize = 32;

impl CaptureReport<'_> {
    /// Counts what was seen; whatever is missing is a doubt.
    pub(crate) fn completeness(&self, sha256: &str, has_journal: bool, doubts: &mut Doubts) -> Completeness {
        let before = doubts.capture.len();
        let doubt = &mut doubts.capture;
        let manifest = self.input.manifest.as_ref();
        let hash_matches = manifest.map(|manifest| manifest.capture.sha256.as_deref() == Some(sha256));
        let kernel_drops = manifest.and_then(|manifest| manifest.capture.kernel_drops);
        match manifest {
            None if has_journal => {
                doubt.push("there is no manifest: nobody vouches for this file".to_owned());
            }
            None => {}
            Some(manifest) => {
                doubt.extend(integrity::doubts(manifest, sha256, &self.frames));
                if manifest.vantage == "interface" && manifest.finished && kernel_drops.is_none() {
                    doubt.push("the capturer did not ask the kernel for dropped frames".to_owned());
                }
            }
        }
        if self.frames.dropped > 0 {
            doubt.push(self.frames.told_drops());
        }
        let expected: u64 = self.known.messages.iter().map(|message| message.times).sum();
        let mut accounted = 0;
        let mut missing = Vec::new();
        for (message, sighting) in self.known.messages.iter().zip(&self.evidence.sightings) {
            accounted += sighting.times.min(message.times);
            if sighting.times < message.times && missing.len() < MAX_MISSING {
                missing.push(missing_name(message, sighting));
            }
        }
        if accounted < expected {
            let lacking = expected - accounted;
            doubt.push(format!(
                "{lacking} of {expected} messages of the journals were not seen on the wire{}",
                if self.has_keys || self.streams.tls == 0 {
                    ""
                } else {
                    " (there is no key log to look behind TLS)"
                }
            ));
        }
        let unjournaled = self.evidence.unjournaled;
        if has_journal && unjournaled > 0 {
            // What the journals lack was not searched, and a lost line leaves no other trace.
            doubt.push(format!(
                "{unjournaled} message(s) with a body on the wire match no line of the journals: their strings are not known"
            ));
        }
        if self.known.not_json > 0 {
            let count = self.known.not_json;
            doubt
                .push(format!("{count} message(s) of the journals are no JSON: their strings are not known"));
        }
        if self.known.too_deep > 0 {
            let count = self.known.too_deep;
            doubt.push(format!(
                "{count} message(s) of the journals nest deeper than {MAX_DEPTH} levels: their strings are not known"
            ));
        }
        if self.known.overflowed {
            doubt.push("the journals hold more strings than are searched".to_owned());
        }
        let Streams { with_data, whole, tcp, .. } = &self.streams;
        if whole < with_data {
            let first = self.streams.troubled.first();
            let example = first.map_or_else(String::new, |stream| {
                format!("; tcp.stream {}: {}", stream.index, stream.reasons.join(", "))
            });
            doubt.push(format!("{} of {with_data} TCP streams are not whole{example}", with_data - whole));
        }
        if self.frames.truncated > 0 {
            doubt.push(format!("{} frame(s) are cut by the capture's snaplen", self.frames.truncated));
        }
        if self.evidence.unexplained_bytes > 0 {
            let first = self.evidence.unexplained.first();
            let example = first.map_or_else(String::new, |first| format!("; first: {}", first.reason));
            doubt.push(format!(
                "{} payload bytes are not explained{example}",
                self.evidence.unexplained_bytes
            ));
        }
        let mut bounds: Vec<_> = self.evidence.bounds_hit.iter().cloned().collect();
        bounds.sort_unstable();
        doubt.append(&mut bounds);
        Completeness {
            passed: doubts.capture.len() == before,
            hash_matches_manifest: hash_matches,
            capture_finished: manifest.map(|manifest| manifest.finished),
            kernel_drops,
            messages_expected: expected,
            messages_accounted: accounted,
            messages_missing: missing,
            messages_unjournaled: unjournaled,
            streams: *with_data,
            streams_whole: *whole,
            streams_troubled: (self.streams.troubled.iter())
                .map(|stream| TroubledStream { stream: stream.index, reasons: stream.reasons.clone() })
                .collect(),
            gaps: u64::from(tcp.gaps),
            gap_bytes: tcp.gap_bytes,
            overlap_conflicts: u64::from(tcp.conflicts),
            retransmissions: u64::from(tcp.repeated) + u64::from(tcp.unverified),
            out_of_order: u64::from(tcp.early),
            frames_truncated: self.frames.truncated,
            frames_undecoded: self.frames.undecoded,
            frames_other: self.frames.other,
            frames_control: self.frames.control,
            unexplained_bytes: self.evidence.unexplained_bytes,
            unexplained: (self.evidence.unexplained.iter())
                .map(|bytes| UnexplainedEntry {
                    stream: bytes.stream,
                    direction: bytes.side.map(direction),
                    at: bytes.at,
                    bytes: bytes.bytes,
                    reason: bytes.reason.clone(),
                })
                .collect(),
        }
    }
}

fn missing_name(message: &KnownMessage, sighting: &Occurrence) -> String {
    let id = message.id.as_deref().unwrap_or("without id");
    let what = match message.direction {
        Direction::ClientToServer => "request",
        Direction::ServerToClient => "answer",
    };
    let agents = message.agents.join(" and ");
    format!("{what} {id}: said {} time(s) by {agents}, seen {}", message.times, sighting.times)
}
