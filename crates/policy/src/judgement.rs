//! What a policy says of a result: violations, each with its rule and its evidence.

use std::collections::BTreeSet;

use exposure_schema::Location;
use serde::{Serialize, Serializer};
use time::Date;

use crate::file::Wanted;

/// What a policy says of a result.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// What violates the policy, or cannot be judged, in the order of the captures.
    pub violations: Vec<Violation>,
    /// Doubts that the policy accepts.
    pub accepted: Vec<Accepted>,
    /// Accepted doubts of the policy that no capture has: they can be removed from it.
    pub unused: Vec<String>,
}

/// A doubt that the policy accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Name of the capture or the isolation run.
    pub capture: String,
    /// Code of the doubt.
    pub doubt: String,
    /// Why the policy accepts it.
    pub reason: String,
    /// The last day on which it does.
    #[serde(serialize_with = "day")]
    pub until: Date,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Violation {
    /// Stable code of the rule, such as `tls.minimum`.
    pub rule: &'static str,
    /// What follows from it.
    pub outcome: Outcome,
    /// Name of the capture or the isolation run; empty if it is about an input that was not analyzed.
    pub capture: String,
    /// Path of its file.
    pub file: String,
    /// What the violation is about, the same in every run: a server, a string, a kind of secret, a doubt.
    pub subject: String,
    /// The violation in a sentence. It may change from version to version.
    pub text: String,
    /// The evidence: the first places.
    pub places: Vec<Place>,
    /// Whether the baseline violates the rule in the same way.
    #[serde(rename = "known")]
    pub is_known: bool,
}

/// What follows from a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The rule is violated: the check fails.
    Violated,
    /// The result does not show whether the rule is met: the check is inconclusive.
    Undecided,
    /// A wish is not met: a warning.
    Wish,
}

/// A place in a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Frames, counted from 1 as in Wireshark; empty if the evidence is not in single frames.
    pub frames: Vec<u64>,
    /// Offset in the capture file of the first byte; `None` if it is not known.
    pub file_offset: Option<u64>,
    /// TCP stream.
    pub stream: Option<u32>,
    /// Display filter for Wireshark.
    pub filter: String,
}

impl From<&Location> for Place {
    fn from(location: &Location) -> Self {
        Self {
            frames: location.frames.clone(),
            file_offset: Some(location.file_offset),
            stream: location.stream,
            filter: location.filter.clone(),
        }
    }
}

impl Place {
    pub(crate) fn stream(stream: u32) -> Self {
        Self { stream: Some(stream), filter: format!("tcp.stream == {stream}"), ..Self::default() }
    }

    pub(crate) fn frame(frame: u64, stream: Option<u32>) -> Self {
        Self { frames: vec![frame], stream, filter: format!("frame.number == {frame}"), file_offset: None }
    }
}

impl Outcome {
    pub(crate) fn of(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Required => Self::Violated,
            Wanted::Wished => Self::Wish,
        }
    }

    /// What follows if the result does not show whether a rule is met.
    pub(crate) fn undecided(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Required => Self::Undecided,
            Wanted::Wished => Self::Wish,
        }
    }

    /// The outcome as it is written in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Violated => "violated",
            Self::Undecided => "undecided",
            Self::Wish => "wish",
        }
    }
}

impl Judgement {
    /// The outcome of the check; `None` if it passes. What is known from the baseline, and wishes, do not change it.
    pub fn outcome(&self) -> Option<Outcome> {
        let counts = self.violations.iter().filter(|violation| !violation.is_known);
        counts.map(|violation| violation.outcome).filter(|outcome| *outcome != Outcome::Wish).min()
    }

    /// Marks the violations that another result violates in the same way.
    pub fn compare(&mut self, baseline: &Self) {
        let key = |violation: &Violation| {
            let Violation { rule, outcome, capture, subject, .. } = violation;
            (*rule, *outcome, capture.clone(), subject.clone())
        };
        let known: BTreeSet<_> = baseline.violations.iter().map(key).collect();
        for violation in &mut self.violations {
            violation.is_known = known.contains(&key(violation));
        }
    }
}

/// What the rules of one capture write into.
pub(crate) struct Found<'c> {
    pub(crate) capture: &'c str,
    pub(crate) file: &'c str,
    pub(crate) violations: Vec<Violation>,
}

impl Found<'_> {
    pub(crate) fn add(
        &mut self,
        rule: &'static str,
        outcome: Outcome,
        subject: impl Into<String>,
        text: impl Into<String>,
        places: Vec<Place>,
    ) {
        self.violations.push(Violation {
            rule,
            outcome,
            capture: self.capture.to_owned(),
            file: self.file.to_owned(),
            subject: subject.into(),
            text: text.into(),
            places,
            is_known: false,
        });
    }
}

fn day<S: Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}
