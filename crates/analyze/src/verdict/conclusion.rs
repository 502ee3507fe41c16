//! The conclusion that the captures support together, and the exit status that follows from all results.

use exposure_schema::{Capture, Conclusion, Expected, Isolation, IsolationVerdict, Verdict};

/// The conclusion, and the reasons for it. `None` if there is no pair to compare.
pub fn conclusion(captures: &[Capture]) -> (Option<Conclusion>, Vec<String>) {
    let judged: Vec<_> = captures.iter().filter_map(|capture| Some((capture, capture.verdict?))).collect();
    let unmet: Vec<_> = judged.iter().filter(|(capture, verdict)| contradicts(capture, *verdict)).collect();
    if !unmet.is_empty() {
        let reasons = unmet.iter().map(|(capture, verdict)| {
            let expected = match capture.expected_verdict {
                Some(Expected::Sealed) => "sealed",
                _ => "exposed",
            };
            format!("{} is {}, expected {expected}", capture.name, verdict.name())
        });
        return (Some(Conclusion::Refuted), reasons.collect());
    }
    let unjudged =
        captures.iter().find(|capture| capture.verdict.is_none() && capture.expected_verdict.is_some());
    if let Some(capture) = unjudged {
        let reason = format!("{} has no journal, so it cannot be judged", capture.name);
        return (Some(Conclusion::Inconclusive), vec![reason]);
    }
    if judged.is_empty() {
        return (None, Vec::new());
    }
    let expects = |expected| judged.iter().any(|(capture, _)| capture.expected_verdict == Some(expected));
    if !(expects(Expected::Exposed) && expects(Expected::Sealed)) {
        let reason = "a conclusion compares a plaintext capture with a TLS capture; one of them is not here";
        return (None, vec![reason.to_owned()]);
    }
    let mut reasons = Vec::new();
    for (capture, verdict) in &judged {
        if !is_clean(capture, *verdict) {
            let why =
                if capture.reasons.is_empty() { "no verdict was expected of it" } else { "see its reasons" };
            reasons.push(format!("{} is {}: {why}", capture.name, verdict.name()));
        }
    }
    match reasons.is_empty() {
        true => (Some(Conclusion::Proven), Vec::new()),
        false => (Some(Conclusion::Inconclusive), reasons),
    }
}

/// Whether the capture shows the opposite of what was expected.
fn contradicts(capture: &Capture, verdict: Verdict) -> bool {
    matches!(
        (capture.expected_verdict, verdict),
        (Some(Expected::Sealed), Verdict::Exposed) | (Some(Expected::Exposed), Verdict::Sealed)
    )
}

/// Whether the capture shows what was expected, without doubt.
fn is_clean(capture: &Capture, verdict: Verdict) -> bool {
    capture.reasons.is_empty()
        && matches!(
            (capture.expected_verdict, verdict),
            (Some(Expected::Exposed), Verdict::Exposed) | (Some(Expected::Sealed), Verdict::Sealed)
        )
}

/// Exit statuses, the same in every format.
pub mod exit {
    /// Every verdict is the expected one, without doubt.
    pub const MET: u8 = 0;
    /// A verdict is the opposite of the expected one.
    pub const NOT_MET: u8 = 1;
    /// An input cannot be used, or the command line cannot.
    pub const INPUT: u8 = 2;
    /// A doubt remains.
    pub const INCONCLUSIVE: u8 = 3;
}

/// Returns the exit status. An exposure or a leak outweighs an unusable input, which outweighs a doubt.
pub fn exit_status(captures: &[Capture], isolation: &[Isolation], errors: usize) -> u8 {
    let judged = || captures.iter().filter_map(|capture| Some((capture, capture.verdict?)));
    let is = |verdict| isolation.iter().any(|run| run.verdict == verdict);
    if judged().any(|(capture, verdict)| contradicts(capture, verdict)) || is(IsolationVerdict::Leaked) {
        exit::NOT_MET
    } else if errors > 0 {
        exit::INPUT
    } else if captures.iter().any(|capture| match (capture.expected_verdict, capture.verdict) {
        (Some(_), Some(verdict)) => !is_clean(capture, verdict),
        (expected, None) => expected.is_some(),
        (None, Some(verdict)) => verdict == Verdict::Inconclusive,
    }) || is(IsolationVerdict::Inconclusive)
    {
        exit::INCONCLUSIVE
    } else {
        exit::MET
    }
}
