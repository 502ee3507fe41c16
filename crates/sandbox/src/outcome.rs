//! The outcome of a job.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a box ended and what it cost.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the command wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
    /// Whether the command wrote more than [`crate::Limits::output_bytes`]; `stdout` and `stderr` then hold the
    /// beginning.
    pub truncated: bool,
    /// How the command ended.
    pub exit: Exit,
    /// Peak memory of the box in bytes, as far as the backend can measure it; the entry `memory_bytes` of `in_force` names how
    /// it was measured. `None` where nothing could be read.
    pub peak_memory_bytes: Option<u64>,
    /// CPU time of all processes of the box, user and system.
    pub cpu_time: Option<Duration>,
    /// From the call of [`crate::Sandbox::run`] to the end of the box.
    pub duration: Duration,
    /// The limits that were in force, read back from the kernel, or from the engine where an entry says so.
    pub in_force: Vec<InForce>,
}

/// How the command of a box ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// A signal from within the box ended it.
    Signal(i32),
    /// Killed: the box reached [`crate::Limits::memory_bytes`]. Also if the kernel killed only one of its processes.
    OutOfMemory,
    /// Killed: it took longer than [`crate::Limits::wall`].
    TimedOut,
    /// Killed: it wrote more than [`crate::Limits::output_bytes`].
    TooMuchOutput,
}

/// The form in journals: `code 0` is a success.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::TimedOut => f.write_str("timed out"),
            Self::TooMuchOutput => f.write_str("too much output"),
        }
    }
}

/// One limit that was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The limit, with its unit: `memory_bytes`, `processes`, `network`, …
    pub name: String,
    /// What enforces it: `cgroup v2 memory.max`, `RLIMIT_NPROC`, …
    pub mechanism: String,
    /// Its value as read back.
    pub value: String,
}

impl InForce {
    pub(crate) fn new(name: &str, mechanism: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), mechanism: mechanism.into(), value: value.into() }
    }
}
