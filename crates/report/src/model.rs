//! What the report keeps of `plainsight.exposure/1`.
//!
//! A long run has millions of strings: a sample of them is enough, for the report shows no more. The other lists end at a
//! thousand entries, also in a document that no analyzer wrote.

use exposure_schema::Sample;

/// Entries that are kept of a list other than the strings: the analyzer's own lists end at a thousand.
const ENTRIES_KEPT: usize = 1_000;

/// The document, with the strings that the report may show.
pub(crate) type Exposure = exposure_schema::Exposure<Sample>;

/// A capture of it.
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
        capture.readable.truncate(ENTRIES_KEPT);
        capture.journal.truncate(ENTRIES_KEPT);
        capture.connections.truncate(ENTRIES_KEPT);
        capture.packets.truncate(ENTRIES_KEPT);
        if let Some(tls) = &mut capture.tls {
            tls.sessions.truncate(ENTRIES_KEPT);
        }
    }
}
