//! Doubts: why a capture or an isolation run does not prove something. Leaks of a run have the same form.

use serde::{Deserialize, Serialize};

use crate::Name;

/// One doubt, or one leak of an isolation run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DoubtEntry {
    /// Stable code, such as `capture.hash-differs`. A code never changes its meaning; docs/doubts.md lists all codes.
    pub code: Name,
    /// What the doubt is about.
    pub scope: DoubtScope,
    /// The text for people. It may change from version to version.
    pub text: String,
}

/// What a doubt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DoubtScope {
    /// The whole capture, or a file that belongs to it.
    Capture,
    /// One or more TCP connections, or bytes outside of any.
    Stream,
    /// One or more frames.
    Frame,
    /// One or more messages.
    Message,
    /// A sandbox of an isolation run, or an escape attempt.
    Sandbox,
    /// An isolation run as a whole.
    Run,
}
