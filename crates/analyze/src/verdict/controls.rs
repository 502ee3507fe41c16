//! Judges whether "not found" means "not there".

use exposure_schema::{
    Controls, CoverageControl, DecoyControl, PlantedControl, PositiveControl, Summary, WrongKeyControl,
};

use super::doubt::Doubt;
use super::report::CaptureReport;
use crate::needles::MatchMode;
use crate::observe::hits::Coverage;
use crate::observe::wrong_keys::WrongKeys;

/// What became of strings that were planted in copies of real frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Planted {
    /// Number of planted strings.
    pub planted: u64,
    /// Number of those that were found where they are.
    pub found: u64,
    /// Number of different forms, places and layers.
    pub forms: u64,
    pub places: u64,
    pub layers: u64,
    /// The first that was missed: form and layer.
    pub first_missed: Option<String>,
}

/// Judges the controls. One that failed or is missing is a doubt.
pub(crate) fn judge(
    report: &CaptureReport<'_>,
    summary: &Summary,
    planted: Option<&Planted>,
) -> (Controls, Vec<Doubt>) {
    let mut doubts = Vec::new();
    let positive = positive(report, summary, &mut doubts);
    let decoys = decoys(report, &mut doubts);
    let wrong_key = wrong_key(report, &mut doubts);
    let planted = self::planted(report, planted, &mut doubts);
    let coverage = coverage(report, &mut doubts);
    (Controls { positive, decoys, wrong_key, planted, coverage: Some(coverage) }, doubts)
}

/// The doubts about a capture of TLS that a key log must open: whether it does, whether that proves something, and whether every
/// byte was searched.
pub(crate) fn of_tls(report: &CaptureReport<'_>) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    if !report.has_keys {
        doubts.push(Doubt::NoKeyLog);
    }
    opened(report, &mut doubts);
    let cleartext = report.observed.connections.cleartext;
    if cleartext > 0 {
        doubts.push(Doubt::CleartextHttp(cleartext));
    }
    wrong_key(report, &mut doubts);
    coverage(report, &mut doubts);
    doubts
}

/// Whether the key log opens every connection, with the handshake that was captured.
fn opened(report: &CaptureReport<'_>, doubts: &mut Vec<Doubt>) {
    let connections = &report.observed.connections;
    if connections.tls > 0 && report.has_keys && connections.tls_unopened > 0 {
        doubts.push(Doubt::TlsNotOpened(connections.tls_unopened));
    }
    if connections.tls_finished_differs > 0 {
        doubts.push(Doubt::FinishedDiffers(connections.tls_finished_differs));
    }
    if connections.tls_finished_missing > 0 {
        doubts.push(Doubt::FinishedMissing(connections.tls_finished_missing));
    }
}

/// Whether every captured byte was searched, in its stream or with its frame.
fn coverage(report: &CaptureReport<'_>, doubts: &mut Vec<Doubt>) -> CoverageControl {
    let Coverage { in_frames, promised, in_streams, authentic } = report.observed.hits.coverage;
    let captured = report.observed.frames.captured_bytes;
    // What was taken for authentic, but is not, was not searched for parts.
    let authenticated = report.observed.connections.tls_records.authenticated_bytes;
    let in_streams = in_streams.saturating_sub(authentic.saturating_sub(authenticated));
    // A segment that repeats bytes of its stream is searched with its frame, too.
    let searched = in_frames + in_streams;
    let passed = in_streams >= promised && searched >= captured;
    if !passed {
        doubts.push(Doubt::NotCovered { searched, captured });
    }
    CoverageControl {
        passed,
        captured_bytes: captured,
        bytes_in_frames: in_frames,
        bytes_in_streams: in_streams,
    }
}

/// The planted control: the search without keys finds every string that was planted. `None` where nothing could be planted.
fn planted(
    report: &CaptureReport<'_>,
    planted: Option<&Planted>,
    doubts: &mut Vec<Doubt>,
) -> Option<PlantedControl> {
    let planted = planted.filter(|planted| planted.planted > 0);
    let Some(Planted { planted, found, forms, places, layers, first_missed }) = planted.cloned() else {
        if report.observed.connections.tls > 0 {
            doubts.push(Doubt::NothingPlanted);
        }
        return None;
    };
    if found < planted {
        let first = first_missed.unwrap_or_default();
        doubts.push(Doubt::PlantedMissed { missed: planted - found, planted, first });
    }
    Some(PlantedControl { passed: found == planted, planted, found, forms, places, layers })
}

/// The positive control: the same search finds every string in this very capture.
fn positive(report: &CaptureReport<'_>, summary: &Summary, doubts: &mut Vec<Doubt>) -> PositiveControl {
    let connections = &report.observed.connections;
    let has_tls = connections.tls > 0;
    if has_tls && !report.has_keys {
        doubts.push(Doubt::NoKeyLog);
    } else if summary.absent > 0 {
        // In plaintext, too, a string that is not found shows that the search missed something.
        doubts.push(Doubt::PositiveControlFailed { absent: summary.absent, total: summary.total });
    }
    opened(report, doubts);
    let parts_left_out = report.known.fragment_sources_left_out;
    if parts_left_out > 0 {
        doubts.push(Doubt::PartsNotSearched(parts_left_out));
    }
    let not_searched = report.known.strings.iter().filter(|string| string.match_mode == MatchMode::Message);
    match not_searched.count() {
        0 => {}
        count => doubts.push(Doubt::StringsTooShort(count as u64)),
    }
    if connections.cleartext > 0 {
        doubts.push(Doubt::CleartextHttp(connections.cleartext));
    }
    PositiveControl {
        passed: summary.total > 0 && summary.absent == 0,
        strings: summary.total,
        found: summary.total - summary.absent,
        key_log: report.has_keys,
        bytes_searched: report.observed.hits.searched_bytes,
        bytes_decrypted: report.observed.hits.decrypted_bytes,
    }
}

/// The decoys: values that were never sent are found nowhere.
fn decoys(report: &CaptureReport<'_>, doubts: &mut Vec<Doubt>) -> DecoyControl {
    let known = report.known;
    let found =
        known.decoys().filter(|(decoy, _)| report.observed.hits.of(*decoy).total() > 0).count() as u64;
    let searched = known.searched_decoys() as u64;
    let short = known.short_decoys();
    if found > 0 {
        doubts.push(Doubt::DecoysFound(found));
    } else if short > 0 {
        doubts.push(Doubt::DecoysTooShort(short));
    } else if searched == 0 {
        doubts.push(Doubt::NoDecoys);
    }
    DecoyControl { passed: searched > 0 && short == 0 && found == 0, searched, found }
}

/// The wrong-key control: nothing authenticates under wrong secrets. `None` without TLS or without a key log.
fn wrong_key(report: &CaptureReport<'_>, doubts: &mut Vec<Doubt>) -> Option<WrongKeyControl> {
    let connections = &report.observed.connections;
    if connections.tls == 0 || !report.has_keys {
        return None;
    }
    let WrongKeys { tried, authenticated } = report.observed.wrong_keys;
    if authenticated > 0 {
        doubts.push(Doubt::WrongKeyOpened(authenticated));
    } else if tried == 0 {
        doubts.push(Doubt::WrongKeyNotTried);
    }
    Some(WrongKeyControl { passed: tried > 0 && authenticated == 0, tried, authenticated })
}
