//! Errors of this crate.

use std::io;

/// Why a box could not be made, or its command not started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The backend does not work on this machine.
    #[error("{0}")]
    Unavailable(String),
    /// The job itself is wrong, for every backend and machine.
    #[error("the job is wrong: {0}")]
    BadJob(String),
    /// This machine cannot enforce a limit. Nothing was started.
    #[error("limit without a mechanism: cannot limit {limit}: {reason}")]
    NoMechanism {
        /// The field of [`crate::Limits`].
        limit: &'static str,
        /// Why not, and the remedy.
        reason: String,
    },
    /// The kernel refused a step of making the box.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The command could not be started in the box.
    #[error("cannot start {program}: {reason}")]
    CannotStart {
        /// The program.
        program: String,
        /// The reason of the kernel or the engine.
        reason: String,
    },
    /// The engine answered with an error.
    #[error("docker, {step}: {error}")]
    Engine {
        /// The step that failed.
        step: &'static str,
        /// The engine's message.
        error: String,
    },
    /// A step on the host failed.
    #[error("{step}: {error}")]
    Io {
        /// The step that failed.
        step: String,
        /// The system's error.
        error: io::Error,
    },
    /// The helper or the first process of the box ended without a report, or the engine's report is missing.
    #[error("the box broke: {0}")]
    Broken(String),
}

impl Error {
    pub(crate) fn io(step: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let step = step.into();
        move |error| Self::Io { step, error }
    }
}

/// A step that the kernel refused, and the usual cause.
#[derive(Debug, Clone, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("making the box, {step}: {error}{}{hint}", if hint.is_empty() { "" } else { "; " })]
pub struct Refusal {
    /// The step that was refused.
    pub step: String,
    /// The kernel's error number, if it gave one.
    pub errno: Option<i32>,
    /// The error as text.
    pub error: String,
    /// The usual cause or a remedy; empty if none is known.
    pub hint: String,
}

impl Refusal {
    pub(crate) fn new(step: impl Into<String>, error: &io::Error) -> Self {
        Self { step: step.into(), errno: error.raw_os_error(), error: error.to_string(), hint: String::new() }
    }
}

/// Names the step at which something failed.
pub(crate) trait At<T> {
    fn at(self, step: &str) -> Result<T, Refusal>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &str) -> Result<T, Refusal> {
        self.map_err(|error| Refusal::new(step, &error.into()))
    }
}
