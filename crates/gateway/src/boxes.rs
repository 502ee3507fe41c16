//! One request, one sandbox: runs the configured command with the conversation on its stdin, and returns its answer,
//! whole or also in pieces.
//!
//! The sandbox has no network, and nothing in this crate can give it one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use agent_core::error_chain::error_chain;
use agent_core::text::printable_bytes;
use sandbox::{Command, Exit, Job, Limits, Outcome, Sandbox};
use tokio::sync::mpsc;

use crate::answer::{AnswerFormat, NoAnswer};
use crate::audit::Audit;
use crate::journal::{Journal, Owner};
use crate::metrics::Metrics;
use crate::pieces::Pieces;
use crate::prompt::{History, Prompt, PromptFormat};
use crate::workspace::{BadWorkspace, UpToRecord, Workspaces};

/// Longest part of a sandbox's output in the log, in characters: a screenful. The store has the whole answer.
const LOGGED_CHARACTERS: usize = 2000;

/// A sandbox that started this long ago shows that sandboxes start.
const RECENT_START: Duration = Duration::from_secs(30);

/// Longest run of a sandbox that only shows that sandboxes start.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// Makes sandboxes with the same command and limits.
#[derive(Clone)]
pub struct Boxes {
    /// The backend.
    pub sandbox: Arc<dyn Sandbox>,
    /// The command of each sandbox.
    pub command: Command,
    /// The limits of each sandbox.
    pub limits: Limits,
    /// The form of the conversation on the command's stdin.
    pub prompt_format: PromptFormat,
    /// Where the answer is in the command's output.
    pub answer_format: AnswerFormat,
    /// Further arguments of the command when its answer is streamed.
    pub stream_arguments: Vec<String>,
    /// Where the pieces and the answer are in the command's output when its answer is streamed.
    pub stream_format: AnswerFormat,
    /// Keeps the files of the conversations, if set.
    pub workspaces: Option<Arc<Workspaces>>,
    /// Records every sandbox, if set.
    pub journal: Option<Arc<Journal>>,
    /// Notes every sandbox without its text.
    pub audit: Arc<Audit>,
    /// Counts the sandboxes.
    pub metrics: Arc<Metrics>,
    /// When a sandbox last started.
    pub last_start: Arc<LastStart>,
}

/// When a sandbox last started.
#[derive(Debug, Default)]
pub struct LastStart(Mutex<Option<Instant>>);

impl LastStart {
    fn is_recent(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < RECENT_START)
    }

    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Why a sandbox gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The sandbox was killed at its time limit.
    #[error("the sandbox did not finish within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The sandbox could not be made. Only the log names the reason, because it describes the machine.
    #[error("the sandbox could not be started; see the server's log")]
    NotStarted,
    /// The sandbox was killed at its memory limit.
    #[error("the sandbox needed more than its {0} bytes of memory")]
    OutOfMemory(u64),
    /// The sandbox was killed at its output limit.
    #[error("the sandbox wrote more than its {0} bytes of output")]
    TooMuchOutput(u64),
    /// The program in the sandbox ended with an error status.
    #[error("the program in the sandbox ended with status {0}")]
    Status(i32),
    /// A signal ended the program in the sandbox.
    #[error("signal {0} ended the program in the sandbox")]
    Signal(i32),
    /// The program in the sandbox succeeded, but its output contains no answer.
    #[error("the program in the sandbox gave no answer: {0}")]
    NoAnswer(#[from] NoAnswer),
    /// The program in the sandbox succeeded, but the workspace that it gives back cannot be kept.
    #[error("the program in the sandbox gave back no usable workspace: {0}")]
    Workspace(#[from] BadWorkspace),
}

/// What a sandbox gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub text: String,
    /// The workspace that is the conversation's from now on; `None` if it stays as it is.
    pub workspace: Option<Vec<u8>>,
}

impl Boxes {
    /// Answers `prompt` with a sandbox of its own for `owner`. Dropping the future ends the sandbox.
    ///
    /// # Errors
    /// When the sandbox gives no answer.
    pub async fn answer(&self, owner: Owner<'_>, prompt: Prompt<'_>) -> Result<Answered, Failure> {
        let outcome = self.run(owner, self.job(prompt)).await?;
        self.answer_of(&outcome, &self.answer_format)
    }

    /// Like [`Boxes::answer`]; in addition calls `each` with every piece of the answer as the sandbox writes it. The pieces
    /// precede the answer, and can precede a failure.
    ///
    /// # Errors
    /// When the sandbox gives no answer.
    pub async fn stream(
        &self,
        owner: Owner<'_>,
        prompt: Prompt<'_>,
        mut each: impl FnMut(&str),
    ) -> Result<Answered, Failure> {
        let (stdout, mut written) = mpsc::unbounded_channel();
        let mut job = self.job(prompt);
        job.command.arguments.extend_from_slice(&self.stream_arguments);
        job.stdout = Some(stdout);
        let mut pieces = Pieces::of(&self.stream_format);
        let mut up_to_record = UpToRecord::default();
        let mut take = |bytes: &[u8]| match self.workspaces {
            Some(_) => pieces.push(up_to_record.of(bytes), &mut each),
            None => pieces.push(bytes, &mut each),
        };
        let outcome = {
            let running = self.run(owner, job);
            tokio::pin!(running);
            loop {
                tokio::select! {
                    outcome = &mut running => break outcome,
                    Some(bytes) = written.recv() => take(&bytes),
                }
            }
        };
        while let Ok(bytes) = written.try_recv() {
            take(&bytes);
        }
        self.answer_of(&outcome?, &self.stream_format)
    }

    fn job(&self, prompt: Prompt<'_>) -> Job {
        let record_bytes = self.workspaces.as_ref().map_or(0, |workspaces| workspaces.record_bytes());
        Job {
            command: self.command.clone(),
            stdin: prompt.written(self.prompt_format),
            limits: Limits { output_bytes: self.limits.output_bytes + record_bytes, ..self.limits },
            stdout: None,
        }
    }

    /// Starts a sandbox without a message, unless one started a short while ago. How its program ends does not matter.
    ///
    /// # Errors
    /// When the sandbox cannot be made.
    pub async fn probe(&self) -> Result<(), sandbox::Error> {
        if self.last_start.is_recent() {
            return Ok(());
        }
        let workspace = self.workspaces.as_ref().map(|_| &[][..]);
        let mut job = self.job(Prompt { history: &History::default(), message: "", workspace });
        job.limits.wall = job.limits.wall.min(PROBE_TIME);
        self.sandbox.run(job).await?;
        self.last_start.now();
        Ok(())
    }

    /// Runs the job to its end, and records it.
    async fn run(&self, owner: Owner<'_>, job: Job) -> Result<Outcome, Failure> {
        let (started, began) = (SystemTime::now(), Instant::now());
        let (backend, bytes_in) = (self.sandbox.name(), job.stdin.len());
        tracing::info!(backend, stdin_bytes = bytes_in, "start");
        match self.sandbox.run(job).await {
            Ok(outcome) => {
                self.last_start.now();
                log(&outcome);
                self.metrics.box_ended(&outcome);
                self.audit.add(owner, backend, bytes_in, outcome.duration, Some(&outcome));
                if let Some(journal) = &self.journal {
                    journal.add(owner, started, &outcome);
                }
                Ok(outcome)
            }
            Err(error) => {
                tracing::error!(error = %shown(error_chain(&error).as_bytes()), "the sandbox could not be started");
                self.metrics.box_not_started();
                self.audit.add(owner, backend, bytes_in, began.elapsed(), None);
                Err(Failure::NotStarted)
            }
        }
    }

    fn answer_of(&self, outcome: &Outcome, format: &AnswerFormat) -> Result<Answered, Failure> {
        match outcome.exit {
            Exit::Code(0) => {
                let (answer, workspace) = match &self.workspaces {
                    Some(workspaces) => workspaces.divide(&outcome.stdout)?,
                    None => (&outcome.stdout[..], None),
                };
                if answer.len() as u64 > self.limits.output_bytes {
                    return Err(Failure::TooMuchOutput(self.limits.output_bytes));
                }
                Ok(Answered { text: format.answer(answer)?, workspace })
            }
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

/// Escapes untrusted output for the log.
fn shown(bytes: &[u8]) -> String {
    printable_bytes(bytes, LOGGED_CHARACTERS)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
