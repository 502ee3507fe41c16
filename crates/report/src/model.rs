//! The part of `plainsight.exposure/1` that the report keeps in memory.
//!
//! A long run has millions of strings, of which the report shows only a sample. Other lists are cut at
//! [`ENTRIES_KEPT`], so that memory is bounded even for a document that the analyzer did not write.

use exposure_schema::Sample;

/// Entries of any other list that are kept. The analyzer's own lists end at a thousand.
const ENTRIES_KEPT: usize = 1_000;

/// The document with a sample of the strings.
pub(crate) type Exposure = exposure_schema::Exposure<Sample>;

/// A capture with a sample of its strings.
pub(crate) type Capture = exposure_schema::Capture<Sample>;

/// Cuts the lists of a document to [`ENTRIES_KEPT`].
pub(crate) fn cut_lists(exposure: &mut Exposure) {
    exposure.reasons.truncate(ENTRIES_KEPT);
    exposure.errors.truncate(ENTRIES_KEPT);
    exposure.isolation.truncate(ENTRIES_KEPT);
    for run in &mut exposure.isolation {
        run.reasons.truncate(ENTRIES_KEPT);
        run.kinds.truncate(ENTRIES_KEPT);
        run.interfaces.truncate(ENTRIES_KEPT);
        run.boxes.truncate(ENTRIES_KEPT);
        for one in &mut run.boxes {
            one.limits.truncate(ENTRIES_KEPT);
        }
    }
    for capture in &mut exposure.captures {
        capture.reasons.truncate(ENTRIES_KEPT);
        capture.http.truncate(ENTRIES_KEPT);
        capture.parts.truncate(ENTRIES_KEPT);
        capture.readable.truncate(ENTRIES_KEPT);
        capture.opened.truncate(ENTRIES_KEPT);
        capture.journal.truncate(ENTRIES_KEPT);
        capture.connections.truncate(ENTRIES_KEPT);
        capture.packets.truncate(ENTRIES_KEPT);
        if let Some(scope) = &mut capture.scope {
            scope.connections.truncate(ENTRIES_KEPT);
            scope.outside.doubts.truncate(ENTRIES_KEPT);
        }
        if let Some(tls) = &mut capture.tls {
            tls.sessions.truncate(ENTRIES_KEPT);
        }
    }
}
