//! One running program: started so that it cannot outlive the lab, waited for with a deadline, and dead once dropped.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
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

/// Lines of stderr kept for an error message. A program says why it failed at the end.
const LAST_WORDS_LINES: usize = 12;

/// Bytes kept of one line. Enough for an error with two paths in it; a longer line is data, not a message.
const LAST_WORDS_LINE_BYTES: usize = 600;

/// How long the output of a program that has ended is still read. Its pipe is closed by then, unless something it
/// started holds it open.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);

/// How often a killed process is asked whether it is gone. Only while dropping, for a millisecond or two.
const REAP_INTERVAL: Duration = Duration::from_millis(1);

/// How long a killed process may take to be gone. SIGKILL cannot be refused; only a stuck disk can delay it.
const REAP_WAIT: Duration = Duration::from_secs(5);

/// Variables that would change what the programs do behind the back of their flags. They are taken out, so that the
/// same command means the same run whatever the caller's environment holds.
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

/// What to start, and in which network namespace.
pub(crate) struct Call {
    program: Program,
    arguments: Vec<OsString>,
    netns: Option<PathBuf>,
    key_log: Option<PathBuf>,
}

impl Call {
    pub(crate) fn new(program: Program) -> Self {
        Self { program, arguments: Vec::new(), netns: None, key_log: None }
    }

    /// A flag with its value.
    pub(crate) fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.arguments.push(name.into());
        self.arguments.push(value.into());
        self
    }

    /// An argument on its own.
    pub(crate) fn word(mut self, word: &str) -> Self {
        self.arguments.push(word.into());
        self
    }

    /// The namespace to run in, as a path to it.
    pub(crate) fn inside(mut self, netns: Option<&Path>) -> Self {
        self.netns = netns.map(Path::to_owned);
        self
    }

    /// Where it writes its TLS secrets.
    pub(crate) fn key_log(mut self, path: Option<PathBuf>) -> Self {
        self.key_log = path;
        self
    }

    /// On Linux by way of `lab __enter`, which enters the namespace and asks the kernel to kill the program when the
    /// lab dies; both need a word with the kernel between fork and exec, and `pre_exec` cannot be had without `unsafe`.
    fn command(&self, programs: &Programs) -> Command {
        let program = programs.path(self.program);
        let mut command = if cfg!(target_os = "linux") {
            let mut command = Command::new(programs.lab());
            command.arg("__enter").arg("--parent").arg(std::process::id().to_string());
            if let Some(netns) = &self.netns {
                command.arg("--netns").arg(netns);
            }
            command.arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(&self.arguments);
        for name in FOREIGN_VARIABLES {
            command.env_remove(name);
        }
        if let Some(path) = &self.key_log {
            command.env("SSLKEYLOGFILE", path);
        }
        // A process group of its own: a Ctrl-C reaches the lab alone, which then ends the others in order.
        #[cfg(unix)]
        command.process_group(0);
        command
    }

    /// Runs it to its end with these bytes on its stdin, and hands over what it said.
    pub(crate) async fn output(
        self,
        programs: &Programs,
        stdin: Vec<u8>,
        deadline: Duration,
    ) -> anyhow::Result<Output> {
        let program = self.program;
        let mut command = self.command(programs);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("starting {program}"))?;
        let mut pipe = child.stdin.take();
        let feeding = tokio::spawn(async move {
            if let Some(pipe) = &mut pipe {
                // One that ends without reading everything says so itself.
                let _ = pipe.write_all(&stdin).await;
            }
        });
        let output = tokio::time::timeout(deadline, child.wait_with_output())
            .await
            .with_context(|| format!("{program} did not finish within {} s", deadline.as_secs()))?
            .with_context(|| format!("waiting for {program}"))?;
        feeding.abort();
        let words = || harmless(&String::from_utf8_lossy(&output.stderr));
        anyhow::ensure!(output.status.success(), "{program} ended with {}: {}", output.status, words());
        Ok(output)
    }

    /// Starts it.
    pub(crate) fn start(self, programs: &Programs, reporter: &Reporter) -> anyhow::Result<Process> {
        let mut command = self.command(programs);
        let stdout = if reporter.wants_output() { Stdio::piped() } else { Stdio::null() };
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().with_context(|| format!("starting {}", programs.path(self.program).display()))?;

        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let mut readers = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            let reader = Listener {
                program: self.program,
                reporter: reporter.clone(),
                keep: Some(last_words.clone()),
            };
            readers.push(tokio::spawn(reader.listen(stderr)));
        }
        if let Some(stdout) = child.stdout.take() {
            let reader = Listener { program: self.program, reporter: reporter.clone(), keep: None };
            readers.push(tokio::spawn(reader.listen(stdout)));
        }
        Ok(Process { program: self.program, child, last_words, readers })
    }
}

/// A program that runs. Dropping it kills it and waits until it is gone.
pub(crate) struct Process {
    program: Program,
    child: Child,
    last_words: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Asks it to end in order (SIGTERM). One that is gone already will be noticed by whoever waits for it.
    pub(crate) fn terminate(&self) {
        #[cfg(unix)]
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
    }

    /// Waits for it to end with status 0.
    pub(crate) async fn success(
        &mut self,
        deadline: Duration,
        while_doing: &'static str,
    ) -> Result<(), Ended> {
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => {
                self.hear_out().await;
                Ok(())
            }
            Ok(Ok(status)) => Err(self.ended(How::Status(status), while_doing).await),
            Ok(Err(error)) => Err(self.ended(How::Lost(error.to_string()), while_doing).await),
            Err(_elapsed) => Err(self.ended(How::TooSlow(deadline), while_doing).await),
        }
    }

    /// Resolves when it ends although it should not, however it does.
    pub(crate) async fn untimely_end(&mut self, while_doing: &'static str) -> Ended {
        let how = match self.child.wait().await {
            Ok(status) => How::Status(status),
            Err(error) => How::Lost(error.to_string()),
        };
        self.ended(how, while_doing).await
    }

    /// Reads `path`, which it writes once it is ready.
    pub(crate) async fn ready(&mut self, path: &Path, deadline: Duration) -> anyhow::Result<String> {
        const WHILE: &str = "getting ready";
        // Short enough to cost a run nothing worth mentioning, long enough not to take the program's processor away.
        const POLL: Duration = Duration::from_millis(1);
        let started = Instant::now();
        loop {
            match fs::read_to_string(path) {
                Ok(text) => return Ok(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
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

    /// If it is dead, how it died.
    pub(crate) async fn post_mortem(&mut self, while_doing: &'static str) -> Option<Ended> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(self.ended(How::Status(status), while_doing).await),
            _ => None,
        }
    }

    async fn ended(&mut self, how: How, while_doing: &'static str) -> Ended {
        if !matches!(how, How::TooSlow(_)) {
            self.hear_out().await;
        }
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        Ended { program: self.program, how, while_doing, last_words: words.iter().cloned().collect() }
    }

    /// Reads what it wrote before it ended.
    async fn hear_out(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = tokio::time::timeout(LAST_WORDS_WAIT, reader).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _ = self.child.start_kill();
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && started.elapsed() < REAP_WAIT {
            std::thread::sleep(REAP_INTERVAL);
        }
    }
}

/// A program that ended when it should not, or not as it should.
#[derive(Debug, thiserror::Error)]
#[error("{program} {how} while {while_doing}{}", said(last_words))]
pub(crate) struct Ended {
    pub(crate) program: Program,
    how: How,
    while_doing: &'static str,
    last_words: Vec<String>,
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
            Self::Lost(why) => write!(f, "could not be waited for ({why})"),
        }
    }
}

fn said(last_words: &[String]) -> String {
    if last_words.is_empty() {
        return "; it said nothing on stderr".to_owned();
    }
    let lines: String = last_words.iter().map(|line| format!("\n    {line}")).collect();
    format!("; its last words:{lines}")
}

/// Reads one output of a program line by line, keeps the last ones, and passes them on to who wants them.
struct Listener {
    program: Program,
    reporter: Reporter,
    keep: Option<Arc<Mutex<VecDeque<String>>>>,
}

impl Listener {
    async fn listen(self, mut output: impl AsyncRead + Unpin) {
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
                } else if line.len() < LAST_WORDS_LINE_BYTES {
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
        self.reporter.said(self.program.name(), &text);
        if let Some(keep) = &self.keep {
            let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == LAST_WORDS_LINES {
                kept.pop_front();
            }
            kept.push_back(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(keep: &Arc<Mutex<VecDeque<String>>>) -> Listener {
        Listener { program: Program::AgentB, reporter: Reporter::new(true, false), keep: Some(keep.clone()) }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_last_lines_are_kept_and_bounded() {
        let keep = Arc::default();
        let text: String = (0..40).map(|n| format!("line {n}\n")).collect::<String>() + &"x".repeat(5000);
        listener(&keep).listen(text.as_bytes()).await;
        let kept = keep.lock().unwrap();
        assert_eq!(kept.len(), LAST_WORDS_LINES);
        assert_eq!(kept[LAST_WORDS_LINES - 2], "line 39");
        assert_eq!(kept[LAST_WORDS_LINES - 1].chars().count(), LAST_WORDS_LINE_BYTES + 1);
    }

    #[test]
    fn an_end_names_program_step_and_last_words() {
        let ended = Ended {
            program: Program::AgentB,
            how: How::TooSlow(Duration::from_secs(10)),
            while_doing: "getting ready",
            last_words: vec!["address in use".to_owned()],
        };
        assert_eq!(
            ended.to_string(),
            "agent-b did not finish within 10 s while getting ready; its last words:\n    address in use"
        );
    }
}
