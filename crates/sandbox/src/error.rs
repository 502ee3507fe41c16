//! Why there is no outcome.

use std::io;

/// Why a box could not be made or its command not started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The backend does not work on this machine.
    #[error("{0}")]
    Unavailable(String),
    /// The job itself is wrong: whoever made it must change it.
    #[error("the job is wrong: {0}")]
    BadJob(String),
    /// A limit cannot be put in force here. Nothing was started.
    #[error("cannot limit {limit}: {reason}")]
    NoMechanism {
        /// The field of [`crate::Limits`].
        limit: &'static str,
        /// Why not, and what would help.
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
        /// The kernel's or the engine's words.
        reason: String,
    },
    /// The engine answered with an error.
    #[error("docker, {step}: {error}")]
    Engine {
        /// What was asked of it.
        step: &'static str,
        /// What it said.
        error: String,
    },
    /// Something on this side of the wall failed.
    #[error("{step}: {error}")]
    Io {
        /// What was being done.
        step: String,
        /// What happened.
        error: io::Error,
    },
    /// The helper or the first process of the box died before it could say why.
    #[error("the box broke: {0}")]
    Broken(String),
}

impl Error {
    pub(crate) fn io(step: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let step = step.into();
        move |error| Self::Io { step, error }
    }
}

/// A step that the kernel refused, and what that usually means.
#[derive(Debug, Clone, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("making the box, {step}: {error}{}{hint}", if hint.is_empty() { "" } else { "; " })]
pub struct Refusal {
    /// What was being done.
    pub step: String,
    /// The kernel's error number, if it gave one.
    pub errno: Option<i32>,
    /// In words.
    pub error: String,
    /// What may be done about it; empty where nothing is known.
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
