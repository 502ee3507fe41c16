//! Child processes: they cannot outlive the lab, have a deadline, and are killed on drop.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::programs::{Program, Programs};
use crate::report::{Reporter, harmless};

/// Lines of stderr kept for an error message. A program prints the reason of its failure last.
const STDERR_TAIL_LINES: usize = 12;

/// Bytes kept of one line: enough for an error message with two paths.
const STDERR_TAIL_LINE_BYTES: usize = 600;

/// How long to read the output of a program that has exited. The pipe is closed by then, unless a child of the program
/// holds it open.
const OUTPUT_END_WAIT: Duration = Duration::from_millis(500);

/// Interval at which a drop checks whether the killed process is gone; that takes a millisecond or two.
const REAP_INTERVAL: Duration = Duration::from_millis(1);

/// Maximum wait for a killed process. A process cannot ignore SIGKILL; only a stuck disk can delay it.
const REAP_WAIT: Duration = Duration::from_secs(5);

/// Variables that set flags of the programs. The lab removes them, so that a run does not depend on the caller's
/// environment.
const FOREIGN_VARIABLES: &[&str] = &[
    "CA_CERT",
    "CERTS",
    "COUNT",
    "DEADLINE",
    "HTTP_VERSION",
    "JOURNAL",
    "LISTEN",
    "MESSAGE",
    "PLAINSIGHT_BACKEND",
    "RESOLVE",
    "RUN_ID",
    "SERVER_URL",
    "SSLKEYLOGFILE",
    "TLS_CERT",
    "TLS_KEY",
    "TLS_VERSIONS",
];

/// A command by its words, the executable first.
fn command_of(words: &[OsString]) -> Command {
    let (executable, arguments) = words.split_first().expect("an executable has a path");
    let mut command = Command::new(executable);
    command.args(arguments);
    command
}

/// A program to start, with its arguments and network namespace.
pub(crate) struct Call {
    program: Program,
    arguments: Vec<OsString>,
    netns: Option<PathBuf>,
    key_log: Option<PathBuf>,
    stdin: Option<OwnedFd>,
}

impl Call {
    pub(crate) fn new(program: Program) -> Self {
        Self { program, arguments: Vec::new(), netns: None, key_log: None, stdin: None }
    }

    /// Adds a flag with its value.
    pub(crate) fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.arguments.push(name.into());
        self.arguments.push(value.into());
        self
    }

    /// Adds an argument without value.
    pub(crate) fn word(mut self, word: impl Into<OsString>) -> Self {
        self.arguments.push(word.into());
        self
    }

    /// Sets the path of the network namespace to run in.
    pub(crate) fn inside(mut self, netns: Option<&Path>) -> Self {
        self.netns = netns.map(Path::to_owned);
        self
    }

    /// Sets the file for the program's TLS secrets.
    pub(crate) fn key_log(mut self, path: Option<PathBuf>) -> Self {
        self.key_log = path;
        self
    }

    /// Sets the program's stdin, such as a listening socket; without it stdin is empty.
    pub(crate) fn stdin(mut self, stdin: OwnedFd) -> Self {
        self.stdin = Some(stdin);
        self
    }

    /// On Linux the command runs through `lab __enter`, which enters the namespace and asks the kernel to kill the program
    /// when the lab dies. Both must happen between fork and exec, and `pre_exec` needs `unsafe`.
    fn command(&self, programs: &Programs) -> Command {
        let program = programs.words(self.program);
        let mut command = if cfg!(target_os = "linux") {
            let mut command = command_of(&programs.lab());
            command.arg("__enter").arg("--parent").arg(std::process::id().to_string());
            if let Some(netns) = &self.netns {
                command.arg("--netns").arg(netns);
            }
            command.arg("--").args(program);
            command
        } else {
            command_of(&program)
        };
        command.args(&self.arguments);
        for name in FOREIGN_VARIABLES {
            command.env_remove(name);
        }
        if let Some(path) = &self.key_log {
            command.env("SSLKEYLOGFILE", path);
        }
        // A process group of its own: Ctrl-C reaches only the lab, which then ends the programs in order.
        #[cfg(unix)]
        command.process_group(0);
        command
    }

    /// Runs the program to its end with `stdin`, and returns its output.
    pub(crate) async fn output(
        self,
        programs: &Programs,
        stdin: Vec<u8>,
        deadline: Duration,
    ) -> anyhow::Result<Output> {
        let program = self.program;
        let mut command = self.command(programs);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let mut pipe = child.stdin.take();
        let feeding = tokio::spawn(async move {
            if let Some(pipe) = &mut pipe {
                // If this fails, the program has exited early; its exit status shows why.
                let _ = pipe.write_all(&stdin).await;
            }
        });
        let output = tokio::time::timeout(deadline, child.wait_with_output())
            .await
            .with_context(|| format!("{program} did not finish within {} s", deadline.as_secs()))?
            .with_context(|| format!("cannot wait for {program}"))?;
        feeding.abort();
        let stderr = || harmless(&String::from_utf8_lossy(&output.stderr));
        anyhow::ensure!(output.status.success(), "{program} ended with {}: {}", output.status, stderr());
        Ok(output)
    }

    pub(crate) fn start(mut self, programs: &Programs, reporter: &Reporter) -> anyhow::Result<Process> {
        let mut command = self.command(programs);
        let stdin = self.stdin.take().map_or_else(Stdio::null, Stdio::from);
        let stdout = if reporter.wants_output() { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", programs.path(self.program).display()))?;

        let stderr_tail = Arc::new(Mutex::new(VecDeque::new()));
        let mut readers = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            let reader = OutputReader {
                program: self.program,
                reporter: reporter.clone(),
                keep: Some(stderr_tail.clone()),
            };
            readers.push(tokio::spawn(reader.read(stderr)));
        }
        if let Some(stdout) = child.stdout.take() {
            let reader = OutputReader { program: self.program, reporter: reporter.clone(), keep: None };
            readers.push(tokio::spawn(reader.read(stdout)));
        }
        Ok(Process { program: self.program, child, stderr_tail, readers })
    }
}

/// A running program. Dropping it kills the program and waits until it is gone.
pub(crate) struct Process {
    program: Program,
    child: Child,
    stderr_tail: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Sends SIGTERM. If the program has exited already, [`success`](Self::success) reports how.
    pub(crate) fn terminate(&self) {
        #[cfg(unix)]
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
    }

    /// Waits until the program exits with status 0.
    pub(crate) async fn success(
        &mut self,
        deadline: Duration,
        while_doing: &'static str,
    ) -> Result<(), Ended> {
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => {
                self.read_remaining_output().await;
                Ok(())
            }
            Ok(Ok(status)) => Err(self.ended(How::Status(status), while_doing).await),
            Ok(Err(error)) => Err(self.ended(How::Lost(error.to_string()), while_doing).await),
            Err(_elapsed) => Err(self.ended(How::TooSlow(deadline), while_doing).await),
        }
    }

    /// Resolves when the program exits, which it must not do yet.
    pub(crate) async fn untimely_end(&mut self, while_doing: &'static str) -> Ended {
        let how = match self.child.wait().await {
            Ok(status) => How::Status(status),
            Err(error) => How::Lost(error.to_string()),
        };
        self.ended(how, while_doing).await
    }

    /// Waits for the ready file at `path`, and returns its content.
    pub(crate) async fn ready(&mut self, path: &Path, deadline: Duration) -> anyhow::Result<String> {
        const WHILE: &str = "getting ready";
        // Short enough not to delay a run, long enough not to take the processor from the program.
        const POLL: Duration = Duration::from_millis(1);
        let started = Instant::now();
        loop {
            match fs::read_to_string(path) {
                Ok(text) => return Ok(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.ended(How::Status(status), WHILE).await.into());
            }
            if started.elapsed() > deadline {
                return Err(self.ended(How::TooSlow(deadline), WHILE).await.into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// How the program exited, if it has.
    pub(crate) async fn post_mortem(&mut self, while_doing: &'static str) -> Option<Ended> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(self.ended(How::Status(status), while_doing).await),
            _ => None,
        }
    }

    /// Whether the program has not exited yet.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    async fn ended(&mut self, how: How, while_doing: &'static str) -> Ended {
        if !matches!(how, How::TooSlow(_)) {
            self.read_remaining_output().await;
        }
        let lines = self.stderr_tail.lock().unwrap_or_else(PoisonError::into_inner);
        Ended { program: self.program, how, while_doing, stderr_tail: lines.iter().cloned().collect() }
    }

    /// Reads the output to its end.
    async fn read_remaining_output(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = tokio::time::timeout(OUTPUT_END_WAIT, reader).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        let _ = self.child.start_kill();
        let started = Instant::now();
        while self.is_running() && started.elapsed() < REAP_WAIT {
            std::thread::sleep(REAP_INTERVAL);
        }
    }
}

/// A program that exited too early, too late, or with a failure.
#[derive(Debug, thiserror::Error)]
#[error("{program} {how} while {while_doing}{}", shown(stderr_tail))]
pub(crate) struct Ended {
    pub(crate) program: Program,
    how: How,
    while_doing: &'static str,
    stderr_tail: Vec<String>,
}

#[derive(Debug)]
enum How {
    Status(ExitStatus),
    TooSlow(Duration),
    Lost(String),
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "ended with {status}"),
            Self::TooSlow(deadline) => write!(f, "did not finish within {} s", deadline.as_secs()),
            Self::Lost(why) => write!(f, "cannot be waited for ({why})"),
        }
    }
}

fn shown(stderr_tail: &[String]) -> String {
    if stderr_tail.is_empty() {
        return "; its stderr is empty".to_owned();
    }
    let lines: String = stderr_tail.iter().map(|line| format!("\n    {line}")).collect();
    format!("; its last lines on stderr:{lines}")
}

/// Reads an output of a program line by line, passes the lines to the reporter, and keeps the last ones.
struct OutputReader {
    program: Program,
    reporter: Reporter,
    keep: Option<Arc<Mutex<VecDeque<String>>>>,
}

impl OutputReader {
    async fn read(self, mut output: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; 16 * 1024];
        let mut line = Vec::new();
        let mut dropped = false;
        loop {
            let read = match output.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            for &byte in &chunk[..read] {
                if byte == b'\n' {
                    self.take(&line, dropped);
                    line.clear();
                    dropped = false;
                } else if line.len() < STDERR_TAIL_LINE_BYTES {
                    line.push(byte);
                } else {
                    dropped = true;
                }
            }
        }
        if !line.is_empty() {
            self.take(&line, dropped);
        }
    }

    fn take(&self, line: &[u8], dropped: bool) {
        let mut text = harmless(&String::from_utf8_lossy(line));
        if dropped {
            text.push('…');
        }
        self.reporter.program_output(self.program.name(), &text);
        if let Some(keep) = &self.keep {
            let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == STDERR_TAIL_LINES {
                kept.pop_front();
            }
            kept.push_back(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(keep: &Arc<Mutex<VecDeque<String>>>) -> OutputReader {
        OutputReader {
            program: Program::AgentB,
            reporter: Reporter::new(true, false),
            keep: Some(keep.clone()),
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn keeps_the_last_lines_and_cuts_long_ones() {
        let keep = Arc::default();
        let text: String = (0..40).map(|n| format!("line {n}\n")).collect::<String>() + &"x".repeat(5000);
        reader(&keep).read(text.as_bytes()).await;
        let kept = keep.lock().unwrap();
        assert_eq!(kept.len(), STDERR_TAIL_LINES);
        assert_eq!(kept[STDERR_TAIL_LINES - 2], "line 39");
        assert_eq!(kept[STDERR_TAIL_LINES - 1].chars().count(), STDERR_TAIL_LINE_BYTES + 1);
    }

    #[test]
    fn error_names_program_step_and_last_lines_of_stderr() {
        let ended = Ended {
            program: Program::AgentB,
            how: How::TooSlow(Duration::from_secs(10)),
            while_doing: "getting ready",
            stderr_tail: vec!["address in use".to_owned()],
        };
        assert_eq!(
            ended.to_string(),
            "agent-b did not finish within 10 s while getting ready; its last lines on stderr:\n    address in use"
        );
    }
}
