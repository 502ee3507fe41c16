//! The lists of a result that do not have everything that was counted.

use exposure_schema::{Capture, FindingEntry};

/// Names of the lists that are cut in one of two captures.
pub(super) fn cut(old: &Capture, new: &Capture) -> Vec<&'static str> {
    let mut names: Vec<_> = [old, new].into_iter().flat_map(cut_in).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn cut_in(capture: &Capture) -> Vec<&'static str> {
    let is_cut = |len: usize, total: u64| (len as u64) < total;
    let mut names = Vec::new();
    if is_cut(capture.readable.len(), capture.readable_total) {
        names.push("readable");
    }
    if is_cut(capture.opened.len(), capture.opened_total) {
        names.push("opened");
    }
    if let Some(tls) = &capture.tls
        && is_cut(tls.words_in_handshake.len(), tls.words_in_handshake_total)
    {
        names.push("tls.words_in_handshake");
    }
    if let Some(contents) = &capture.contents {
        let occurrences = |entries: &[FindingEntry]| entries.iter().map(|entry| entry.times).sum::<u64>();
        if occurrences(&contents.credentials) < contents.credentials_total || contents.left_out > 0 {
            names.push("contents.credentials");
        }
        if occurrences(&contents.personal) < contents.personal_total {
            names.push("contents.personal");
        }
        if is_cut(contents.agents.len(), contents.agents_total) {
            names.push("contents.agents");
        }
    }
    names
}
