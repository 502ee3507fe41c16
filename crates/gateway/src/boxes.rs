//! One request, one box: the command that the operator configured, the conversation on its stdin, its answer or why there
//! is none.
//!
//! The box has no network, and nothing here could give it one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent_core::error_chain::error_chain;
use agent_core::text::printable_bytes;
use sandbox::{Command, Exit, Job, Limits, Outcome, Sandbox};

use crate::answer::{AnswerFormat, NoAnswer};
use crate::journal::{Journal, Owner};
use crate::prompt::{PromptFormat, prompt};
use crate::store::Turn;

/// Longest part of a box's output that the log shows, in characters: a screen full. The store has the whole answer.
const LOGGED_CHARACTERS: usize = 2000;

/// Makes boxes, all alike.
#[derive(Clone)]
pub struct Boxes {
    /// What runs them.
    pub sandbox: Arc<dyn Sandbox>,
    /// What runs in them.
    pub command: Command,
    /// What each may use.
    pub limits: Limits,
    /// How the conversation is written down for it.
    pub prompt_format: PromptFormat,
    /// Where in its output the answer stands.
    pub answer_format: AnswerFormat,
    /// Where every box is written down, if anywhere.
    pub journal: Option<Arc<Journal>>,
}

/// Why a box gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was killed because its time was over.
    #[error("the box was not done within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It could not be made. Why is for the log: it speaks about the machine.
    #[error("the box could not be started; the server's log says why")]
    NotStarted,
    /// It was killed for its memory.
    #[error("the box needed more than its {0} bytes of memory")]
    OutOfMemory(u64),
    /// It was killed for its output.
    #[error("the box wrote more than its {0} bytes of output")]
    TooMuchOutput(u64),
    /// Its program ended with an error.
    #[error("the program in the box ended with status {0}")]
    Status(i32),
    /// Its program was killed.
    #[error("the program in the box was ended by signal {0}")]
    Signal(i32),
    /// Its program ended well, but what it wrote is no answer.
    #[error("the program in the box gave no answer: {0}")]
    NoAnswer(#[from] NoAnswer),
}

impl Boxes {
    /// The answer to `message` after `turns`, from a box of its own that is `owner`'s. Dropping the future ends the box.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn answer(&self, owner: Owner<'_>, turns: &[Turn], message: &str) -> Result<String, Failure> {
        let started = SystemTime::now();
        let stdin = prompt(self.prompt_format, turns, message);
        let job = Job { command: self.command.clone(), stdin, limits: self.limits };
        tracing::info!(backend = self.sandbox.name(), stdin_bytes = job.stdin.len(), "start");
        match self.sandbox.run(job).await {
            Ok(outcome) => {
                log(&outcome);
                if let Some(journal) = &self.journal {
                    journal.add(owner, started, &outcome);
                }
                self.answer_of(&outcome)
            }
            Err(error) => {
                tracing::error!(error = %shown(error_chain(&error).as_bytes()), "no box");
                Err(Failure::NotStarted)
            }
        }
    }

    fn answer_of(&self, outcome: &Outcome) -> Result<String, Failure> {
        match outcome.exit {
            Exit::Code(0) => Ok(self.answer_format.answer(&outcome.stdout)?),
            Exit::Code(status) => Err(Failure::Status(status)),
            Exit::Signal(signal) => Err(Failure::Signal(signal)),
            Exit::OutOfMemory => Err(Failure::OutOfMemory(self.limits.memory_bytes)),
            Exit::TimedOut => Err(Failure::TimedOut(self.limits.wall)),
            Exit::TooMuchOutput => Err(Failure::TooMuchOutput(self.limits.output_bytes)),
        }
    }
}

fn log(outcome: &Outcome) {
    tracing::info!(
        exit = ?outcome.exit,
        took_us = microseconds(outcome.duration),
        cpu_us = outcome.cpu_time.map(microseconds),
        peak_memory_bytes = outcome.peak_memory_bytes,
        stdout_bytes = outcome.stdout.len(),
        stdout = shown(&outcome.stdout),
        stderr = shown(&outcome.stderr),
        "raw answer"
    );
}

/// What strangers wrote, so that it can do nothing in a log but be read.
fn shown(bytes: &[u8]) -> String {
    printable_bytes(bytes, LOGGED_CHARACTERS)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
