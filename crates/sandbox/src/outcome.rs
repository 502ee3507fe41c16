//! What comes back.

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
    /// It said more than [`crate::Limits::output_bytes`]; what is above holds the first of it.
    pub truncated: bool,
    /// How the command ended.
    pub exit: Exit,
    /// The most memory that the box used at a time, as far as this backend can know; which way it knows is told by
    /// `in_force`'s entry `memory_bytes`. `None` where nothing could be read.
    pub peak_memory_bytes: Option<u64>,
    /// CPU time of all processes of the box, user and system.
    pub cpu_time: Option<Duration>,
    /// From the call of [`crate::Sandbox::run`] until the box was gone.
    pub duration: Duration,
    /// The limits that were in force, as the kernel (or where it says so, the engine) told them.
    pub in_force: Vec<InForce>,
}

/// How the command of a box ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal, not sent from outside of the box.
    Signal(i32),
    /// Killed: the box reached [`crate::Limits::memory_bytes`]. Also when the kernel killed only one of its processes.
    OutOfMemory,
    /// Killed: it took longer than [`crate::Limits::wall`].
    TimedOut,
    /// Killed: it said more than [`crate::Limits::output_bytes`].
    TooMuchOutput,
}

/// As journals write it: `code 0` is how a command ends when all is well.
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
    /// What it bounds, with its unit: `memory_bytes`, `processes`, `network`, …
    pub name: String,
    /// What puts it in force: `cgroup v2 memory.max`, `RLIMIT_NPROC`, …
    pub mechanism: String,
    /// Its value as read back.
    pub value: String,
}

impl InForce {
    pub(crate) fn new(name: &str, mechanism: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), mechanism: mechanism.into(), value: value.into() }
    }
}
