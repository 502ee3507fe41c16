//! Judges whether the capture shows everything that was sent, and nothing that is not understood.

use std::collections::BTreeMap;

use exposure_schema::{Completeness, Direction, TroubledStream, UnexplainedEntry};

use super::doubt::Doubt;
use super::integrity;
use super::report::CaptureReport;
use crate::input::manifest::Manifest;
use crate::needles::KnownMessage;
use crate::observe::connections::Connections;
use crate::observe::direction::direction;
use crate::observe::messages::Occurrence;
use crate::observe::text_fields::TextFields;
use crate::observe::unexplained::UnexplainedRun;
use crate::pipeline::fact::At;

/// Maximum number of missing messages that are named.
const MAX_MISSING: usize = 32;

/// Counts what was captured. Everything that is missing is a doubt.
pub(crate) fn judge(report: &CaptureReport<'_>) -> (Completeness, Vec<Doubt>) {
    let expected = report.known.messages.iter().map(|message| message.times).sum();
    let messages = || report.known.messages.iter().zip(&report.observed.messages.occurrences);
    let accounted = messages().map(|(message, seen)| seen.times.min(message.times)).sum();
    let missing = messages().filter(|(message, seen)| seen.times < message.times);
    let messages_missing =
        missing.take(MAX_MISSING).map(|(message, seen)| missing_name(message, seen)).collect();

    let mut doubts = file_doubts(report);
    doubts.extend(message_doubts(report, expected, accounted));
    doubts.extend(traffic_doubts(report));

    let observed = &report.observed;
    let Connections { with_data, whole, troubled, tcp, .. } = &observed.connections;
    let completeness = Completeness {
        passed: doubts.is_empty(),
        hash_matches_manifest: report
            .manifest
            .map(|manifest| manifest.capture.sha256.as_deref() == Some(report.sha256.as_str())),
        capture_finished: report.manifest.map(|manifest| manifest.finished),
        kernel_drops: report.manifest.and_then(|manifest| manifest.capture.kernel_drops),
        messages_expected: expected,
        messages_accounted: accounted,
        messages_missing,
        messages_unjournaled: observed.messages.unjournaled,
        streams: *with_data,
        streams_whole: *whole,
        streams_troubled: (troubled.iter())
            .map(|connection| TroubledStream {
                stream: connection.stream,
                reasons: connection.troubles.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        gaps: u64::from(tcp.gaps),
        gap_bytes: tcp.gap_bytes,
        overlap_conflicts: u64::from(tcp.conflicts),
        retransmissions: u64::from(tcp.repeated) + u64::from(tcp.unverified),
        out_of_order: u64::from(tcp.early),
        frames_truncated: observed.frames.truncated,
        frames_undecoded: observed.frames.undecoded,
        frames_other: observed.frames.other,
        frames_control: observed.frames.control,
        unexplained_bytes: observed.unexplained.total,
        unexplained: observed.unexplained.runs.iter().map(unexplained_entry).collect(),
    };
    (completeness, doubts)
}

/// Checks whether the file is complete and unchanged since its capturer wrote it.
fn file_doubts(report: &CaptureReport<'_>) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    match report.manifest {
        None if report.has_journal && report.observed.ledger.is_none() => doubts.push(Doubt::NoManifest),
        None => {}
        Some(manifest) => {
            doubts.extend(integrity::doubts(manifest, report));
            doubts.extend(end_doubts(manifest, report));
            let is_kernel_capture = manifest.vantage == "interface" && manifest.finished;
            if is_kernel_capture && manifest.capture.kernel_drops.is_none() {
                doubts.push(Doubt::KernelNotAsked);
            }
        }
    }
    if report.dropped_frames > 0 {
        doubts.push(Doubt::DroppedFrames(report.dropped_frames));
    }
    doubts
}

/// Checks whether a capture that ended after both agents holds the end of every connection. Anything could be in what was cut
/// off its tail.
fn end_doubts(manifest: &Manifest, report: &CaptureReport<'_>) -> Option<Doubt> {
    let unsettled = report.observed.connections.unsettled;
    match manifest.drained {
        _ if !manifest.finished || !manifest.is_comparison() => None,
        Some(true) => (unsettled > 0).then_some(Doubt::ConnectionsNotEnded(unsettled)),
        Some(false) => Some(Doubt::NotDrained),
        // Stated as a missing field, unless it is null.
        None => (!manifest.missing.contains(&"drained")).then_some(Doubt::NotDrained),
    }
}

/// Checks whether the messages on the wire are those of the journals, with known strings.
fn message_doubts(report: &CaptureReport<'_>, expected: u64, accounted: u64) -> Vec<Doubt> {
    let known = report.known;
    let mut doubts = Vec::new();
    if accounted < expected {
        let behind_tls = !report.has_keys && report.observed.connections.tls > 0;
        doubts.push(Doubt::MessagesNotSeen { missing: expected - accounted, expected, behind_tls });
    }
    // Strings of messages that the journals lack were not searched, and a lost line leaves no other trace.
    let unjournaled = report.observed.messages.unjournaled;
    if report.has_journal && unjournaled > 0 {
        doubts.push(Doubt::MessagesNotJournaled(unjournaled));
    }
    if known.not_json > 0 {
        doubts.push(Doubt::NotJson(known.not_json));
    }
    if known.too_deep > 0 {
        doubts.push(Doubt::TooDeep(known.too_deep));
    }
    if known.overflowed {
        doubts.push(Doubt::TooManyStrings);
    }
    doubts
}

/// Checks whether every connection is whole, and every byte searched and explained.
fn traffic_doubts(report: &CaptureReport<'_>) -> Vec<Doubt> {
    let observed = &report.observed;
    let Connections { with_data, whole, troubled, .. } = &observed.connections;
    let mut doubts = Vec::new();
    if whole < with_data {
        let first = troubled.first().map(|connection| (connection.stream, connection.troubles.clone()));
        doubts.push(Doubt::StreamsNotWhole { count: with_data - whole, with_data: *with_data, first });
    }
    if observed.frames.truncated > 0 {
        doubts.push(Doubt::FramesTruncated(observed.frames.truncated));
    }
    if observed.unexplained.total > 0 {
        let first = observed.unexplained.runs.first().map(|run| run.why.clone());
        doubts.push(Doubt::Unexplained { bytes: observed.unexplained.total, first });
    }
    doubts.extend(bounds(report));
    if observed.text_fields.as_ref().is_some_and(TextFields::is_full) {
        doubts.push(Doubt::TextWords);
    }
    doubts
}

/// Reports every bound that was reached, sorted by text.
pub(crate) fn bounds(report: &CaptureReport<'_>) -> impl Iterator<Item = Doubt> + use<> {
    let pipeline = report.observed.bounds.iter().map(|bound| Doubt::Bound(*bound));
    let search = report.observed.hits.overflows.iter().map(|overflow| Doubt::Overflow(*overflow));
    let by_text: BTreeMap<_, _> = pipeline.chain(search).map(|doubt| (doubt.to_string(), doubt)).collect();
    by_text.into_values()
}

fn unexplained_entry(run: &UnexplainedRun) -> UnexplainedEntry {
    let (stream, way, at) = match run.at {
        At::Stream { stream, direction: way, offset } => (Some(stream), Some(direction(way)), offset),
        At::Frame { frame, stream } => (stream, None, frame),
    };
    UnexplainedEntry { stream, direction: way, at, bytes: run.bytes, reason: run.why.to_string() }
}

fn missing_name(message: &KnownMessage, seen: &Occurrence) -> String {
    let id = message.id.as_deref().unwrap_or("without id");
    let what = match message.direction {
        Direction::ClientToServer => "request",
        Direction::ServerToClient => "answer",
    };
    let agents = message.agents.join(" and ");
    format!("{what} {id}: recorded {} time(s) by {agents}, seen {}", message.times, seen.times)
}
