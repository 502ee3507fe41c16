//! The conclusion that the captures support together, and the exit status that follows from all results.

use super::doubt::Doubt;
use exposure_schema::{Capture, Conclusion, Expected, Isolation, IsolationVerdict, Pair, Summary, Verdict};

/// The conclusion, the reasons for it, and the captures that it is about.
#[derive(Debug, Default)]
pub struct Comparison {
    /// `None` if there is no pair to compare.
    pub conclusion: Option<Conclusion>,
    /// Why the conclusion is not `proven`.
    pub reasons: Vec<String>,
    /// The captures that were compared.
    pub compared: Vec<Pair>,
    /// Paths of all other captures.
    pub not_compared: Vec<String>,
}

/// Compares the plaintext captures with the TLS captures.
///
/// `proven` takes a pair: every string of one can be read without a key, every string of the other only with the key log,
/// and the agents sent the same messages in both.
pub fn compare(captures: &[Capture]) -> Comparison {
    let (conclusion, reasons) = conclusion(captures);
    let compared = if conclusion.is_some() { pairs(captures) } else { Vec::new() };
    let is_compared =
        |capture: &Capture| compared.iter().any(|pair| [&pair.plaintext, &pair.tls].contains(&&capture.file));
    let others = captures.iter().filter(|capture| !is_compared(capture));
    let not_compared = others.map(|capture| capture.file.clone()).collect();
    Comparison { conclusion, reasons, compared, not_compared }
}

/// Every TLS capture with the first plaintext capture of the same messages.
fn pairs(captures: &[Capture]) -> Vec<Pair> {
    let expecting =
        |expected| captures.iter().filter(move |capture| capture.expected_verdict == Some(expected));
    let pair = |sealed: &Capture| {
        let partner =
            expecting(Expected::Exposed).find(|exposed| are_of_the_same_messages(exposed, sealed))?;
        Some(Pair { plaintext: partner.file.clone(), tls: sealed.file.clone() })
    };
    expecting(Expected::Sealed).filter_map(pair).collect()
}

fn are_of_the_same_messages(one: &Capture, other: &Capture) -> bool {
    one.messages_sha256.is_some() && one.messages_sha256 == other.messages_sha256
}

fn conclusion(captures: &[Capture]) -> (Option<Conclusion>, Vec<String>) {
    // A verdict with a scope answers a question of its own.
    let of_runs = captures.iter().filter(|capture| capture.scope.is_none());
    let judged: Vec<_> = of_runs.filter_map(|capture| Some((capture, capture.verdict?))).collect();
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
    let mut reasons: Vec<_> =
        judged.iter().filter_map(|(capture, verdict)| shortcoming(capture, *verdict)).collect();
    reasons.extend(without_partner(captures));
    match reasons.is_empty() {
        true => (Some(Conclusion::Proven), Vec::new()),
        false => (Some(Conclusion::Inconclusive), reasons),
    }
}

/// The reason why a capture does not support `proven`. Doubts rule out most of it already; the level of every string is
/// checked here all the same, because it is what `proven` means.
fn shortcoming(capture: &Capture, verdict: Verdict) -> Option<String> {
    let name = &capture.name;
    if !is_clean(capture, verdict) {
        let why =
            if capture.reasons.is_empty() { "no verdict was expected of it" } else { "see its reasons" };
        return Some(format!("{name} is {}: {why}", verdict.name()));
    }
    let Summary { total, decrypted, .. } = capture.summary;
    let scheme = capture.manifest.as_ref().map_or("", |manifest| manifest.scheme.as_str());
    match verdict {
        Verdict::Exposed if scheme != "http" => {
            Some(format!("{name} is exposed, but its manifest states the scheme {scheme:?}, not \"http\""))
        }
        Verdict::Exposed if capture.summary.keyless() < total => Some(format!(
            "{name} is exposed, but only {} of its {total} strings can be read without a key",
            capture.summary.keyless()
        )),
        Verdict::Sealed if decrypted < total => {
            Some(format!("{name} is sealed, but only {decrypted} of its {total} strings are inside TLS"))
        }
        _ => None,
    }
}

/// The captures for which there is none of the other kind with the same messages.
fn without_partner(captures: &[Capture]) -> impl Iterator<Item = String> {
    let partner_of = |capture: &Capture| match capture.expected_verdict? {
        Expected::Exposed => Some(Expected::Sealed),
        Expected::Sealed => Some(Expected::Exposed),
        Expected::Isolated => None,
    };
    captures.iter().filter_map(move |capture| {
        let partner = partner_of(capture)?;
        let mut others = captures.iter().filter(|other| other.expected_verdict == Some(partner));
        let has_partner = others.any(|other| are_of_the_same_messages(capture, other));
        (!has_partner).then(|| {
            format!(
                "the agents sent other messages in {} than in the captures to compare it with",
                capture.name
            )
        })
    })
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

/// Returns the exit status of these results and this number of errors. An exposure or a leak outweighs an error, which
/// outweighs a doubt.
pub fn exit_status(captures: &[Capture], isolation: &[Isolation], errors: usize) -> u8 {
    let captures = captures.iter().map(capture_status);
    let isolation = isolation.iter().map(isolation_status);
    let errors = (errors > 0).then_some(exit::INPUT);
    let statuses: Vec<_> = captures.chain(isolation).chain(errors).collect();
    let worst_first = [exit::NOT_MET, exit::INPUT, exit::INCONCLUSIVE];
    worst_first.into_iter().find(|status| statuses.contains(status)).unwrap_or(exit::MET)
}

/// The exit status that one isolation run gives.
pub fn isolation_status(run: &Isolation) -> u8 {
    match run.verdict {
        IsolationVerdict::Isolated => exit::MET,
        IsolationVerdict::Leaked => exit::NOT_MET,
        IsolationVerdict::Inconclusive => exit::INCONCLUSIVE,
    }
}

/// The exit status that one capture gives.
pub fn capture_status(capture: &Capture) -> u8 {
    // Without journals there is always a reason for having no verdict: nothing was asked but what is readable.
    let has_doubt = capture.doubts.iter().any(|doubt| doubt.code != Doubt::NoJournal.code());
    match &capture.scope {
        Some(scope) => status_with_scope(!scope.asked.is_empty(), capture.verdict, has_doubt),
        None => status(capture.expected_verdict, capture.verdict, has_doubt),
    }
}

/// The exit status of a verdict with a scope. Such a verdict is expected to be `sealed`.
fn status_with_scope(is_asked: bool, verdict: Option<Verdict>, has_doubt: bool) -> u8 {
    match status(Some(Expected::Sealed), verdict, has_doubt) {
        exit::MET if !is_asked => exit::INCONCLUSIVE,
        status => status,
    }
}

/// The exit status by the verdict that was expected, the one that was given, and whether a doubt remains.
fn status(expected: Option<Expected>, verdict: Option<Verdict>, has_doubt: bool) -> u8 {
    match (expected, verdict) {
        (Some(Expected::Exposed), Some(Verdict::Sealed))
        | (Some(Expected::Sealed), Some(Verdict::Exposed)) => exit::NOT_MET,
        (Some(Expected::Exposed), Some(Verdict::Exposed))
        | (Some(Expected::Sealed), Some(Verdict::Sealed))
        | (None, Some(Verdict::Exposed | Verdict::Sealed) | None)
            if !has_doubt =>
        {
            exit::MET
        }
        _ => exit::INCONCLUSIVE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_follows_verdict_expectation_and_doubt() {
        use Expected::{Exposed as ExpectExposed, Isolated as ExpectIsolated, Sealed as ExpectSealed};
        use Verdict::{Exposed, Inconclusive, Sealed};
        // For each expectation and verdict: the status without a doubt, and with one.
        let table = [
            (Some(ExpectExposed), Some(Exposed), [0, 3]),
            (Some(ExpectExposed), Some(Sealed), [1, 1]),
            (Some(ExpectExposed), Some(Inconclusive), [3, 3]),
            (Some(ExpectExposed), None, [3, 3]),
            (Some(ExpectSealed), Some(Exposed), [1, 1]),
            (Some(ExpectSealed), Some(Sealed), [0, 3]),
            (Some(ExpectSealed), Some(Inconclusive), [3, 3]),
            (Some(ExpectSealed), None, [3, 3]),
            (Some(ExpectIsolated), Some(Exposed), [3, 3]),
            (Some(ExpectIsolated), Some(Sealed), [3, 3]),
            (Some(ExpectIsolated), Some(Inconclusive), [3, 3]),
            (Some(ExpectIsolated), None, [3, 3]),
            (None, Some(Exposed), [0, 3]),
            (None, Some(Sealed), [0, 3]),
            (None, Some(Inconclusive), [3, 3]),
            (None, None, [0, 3]),
        ];
        for (expected, verdict, statuses) in table {
            let given = [false, true].map(|has_doubt| status(expected, verdict, has_doubt));
            assert_eq!(given, statuses, "{verdict:?}, expected {expected:?}");
        }
    }

    #[test]
    fn exit_status_with_a_scope_is_0_only_if_the_scope_was_asked_for() {
        use Verdict::{Exposed, Inconclusive, Sealed};
        // For each verdict: the status where the scope was asked for and where it was not, each without and with a doubt.
        let table = [
            (Some(Exposed), [[1, 1], [1, 1]]),
            (Some(Sealed), [[0, 3], [3, 3]]),
            (Some(Inconclusive), [[3, 3], [3, 3]]),
            (None, [[3, 3], [3, 3]]),
        ];
        for (verdict, statuses) in table {
            let given = [true, false]
                .map(|asked| [false, true].map(|has_doubt| status_with_scope(asked, verdict, has_doubt)));
            assert_eq!(given, statuses, "{verdict:?}");
        }
    }

    #[test]
    fn exit_status_of_an_error_outweighs_a_doubt() {
        assert_eq!(exit_status(&[], &[], 0), exit::MET);
        assert_eq!(exit_status(&[], &[], 1), exit::INPUT);
    }
}
