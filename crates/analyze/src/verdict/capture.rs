//! The verdict on one capture. "Not found" means "not visible" only if no doubt is left.

use exposure_schema::{Summary, Verdict};

use super::doubt::{Concern, Doubt};

/// The verdict on a capture, and the doubts that are stated with it. A pure function of levels and doubts.
///
/// * exposed: a known string, or a part of a message or of a secret, occurs at a level that needs no secret. Doubts about the capture are listed, but do not
///   change the verdict.
/// * sealed: none does, and there is no doubt of any kind.
/// * inconclusive: none does, but there is a doubt.
/// * `None`: nothing names what was sent.
pub(crate) fn judge(
    summary: &Summary,
    is_readable_in_part: bool,
    has_strings: bool,
    doubts: Vec<Doubt>,
) -> (Option<Verdict>, Vec<Doubt>) {
    let (mut capture, search): (Vec<_>, Vec<_>) =
        doubts.into_iter().partition(|doubt| doubt.concern() == Concern::Capture);
    if !has_strings {
        capture.insert(0, Doubt::NoJournal);
        return (None, capture);
    }
    if is_readable_in_part || summary.verbatim + summary.reassembled + summary.decoded > 0 {
        return (Some(Verdict::Exposed), capture);
    }
    if summary.total == 0 {
        capture.push(Doubt::NoStrings);
    }
    capture.extend(search);
    let verdict = if capture.is_empty() { Verdict::Sealed } else { Verdict::Inconclusive };
    (Some(verdict), capture)
}
