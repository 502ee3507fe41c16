//! Experiments that the page starts: `lab`, then `analyze`, then `report`, as `make lab` does.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use analyze::exchange;
use analyze::input::key_log::Keys;
use analyze::walk;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use crate::events::Events;
use crate::programs;

/// Interval of reading the captures while they grow.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How long the programs of an experiment may take to end, and the interval of asking whether they have.
const STOP_WAIT: Duration = Duration::from_secs(5);
const STOP_POLL: Duration = Duration::from_millis(5);

/// How long a cancelled program may clean up.
const CANCEL_WAIT: Duration = Duration::from_secs(2);

/// Longest capture that is read again and again while it grows: some thousand messages. A longer one is read once, at its end.
const MAX_LOOK: u64 = 16 << 20;

/// Messages that are listed.
const MAX_MESSAGES: usize = 400;

/// Lines of the programs' output that are kept.
const MAX_LOG: usize = 200;

/// Longest kept part of a line, in characters.
const MAX_LINE: usize = 400;

/// Prefix of the lab's folder for the files of a run in progress.
const STAGING_PREFIX: &str = ".staging-";

/// The languages and forms of a report.
const LANGUAGES: [&str; 2] = ["en", "ko"];

/// The experiments by name.
pub(crate) const EXPERIMENTS: [&str; 3] = ["http", "https", "isolation"];

/// The last experiment.
#[derive(Debug)]
pub(crate) struct Trials {
    current: Mutex<Option<Trial>>,
    cancel: watch::Sender<u64>,
    events: Events,
    /// Folder for the files of experiments.
    folder: PathBuf,
    /// Folder of the certificates.
    certs: PathBuf,
}

/// An experiment, as the API gives it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Trial {
    id: u64,
    experiments: Vec<String>,
    state: TrialState,
    phase: Option<String>,
    log: Vec<String>,
    messages: Vec<MessageView>,
    frames: serde_json::Map<String, Value>,
    conclusion: Option<Value>,
    reasons: Vec<Value>,
    why: Option<String>,
    remedy: Option<&'static str>,
    exposure: Option<Value>,
    reports: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum TrialState {
    #[default]
    Running,
    Done,
    Failed,
    Cancelled,
}

/// The experiment was cancelled.
#[derive(Debug, thiserror::Error)]
#[error("cancelled")]
struct Cancelled;

/// A message or record in a capture.
#[derive(Clone, Debug, Serialize)]
struct MessageView {
    capture: String,
    frame: u64,
    direction: Option<exchange::Way>,
    what: String,
    bytes: u64,
    needs_keys: bool,
}

impl Trials {
    pub(crate) fn new(folder: PathBuf, certs: PathBuf, events: Events) -> Arc<Self> {
        Arc::new(Self { current: Mutex::new(None), cancel: watch::Sender::new(0), events, folder, certs })
    }

    /// The last experiment.
    pub(crate) fn current(&self) -> Option<Trial> {
        self.lock().clone()
    }

    /// Starts an experiment; `None` if one runs.
    pub(crate) fn start(self: &Arc<Self>, experiments: Vec<String>, count: Option<u32>) -> Option<Trial> {
        let started = {
            let mut current = self.lock();
            if current.as_ref().is_some_and(|trial| trial.state == TrialState::Running) {
                return None;
            }
            let id = current.as_ref().map_or(1, |trial| trial.id + 1);
            let trial = Trial { id, experiments: experiments.clone(), ..Trial::default() };
            current.insert(trial).clone()
        };
        let all = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = all.run(started.id, &experiments, count).await;
            if outcome.as_ref().is_err_and(anyhow::Error::is::<Cancelled>) {
                // What it has written so far is of no use. There may be nothing yet.
                let _ = tokio::fs::remove_dir_all(&all.folder).await;
            }
            all.change(|trial| {
                trial.phase = None;
                match outcome {
                    Ok(()) => trial.state = TrialState::Done,
                    Err(error) if error.is::<Cancelled>() => trial.state = TrialState::Cancelled,
                    Err(error) => {
                        trial.state = TrialState::Failed;
                        trial.why = Some(format!("{error:#}"));
                        trial.remedy = Some("run `lab doctor` in a terminal");
                    }
                }
            });
        });
        self.current()
    }

    /// Ends the experiment that runs. Its programs end with it.
    pub(crate) fn cancel(&self) {
        if let Some(id) = self.current().map(|trial| trial.id) {
            self.cancel.send_replace(id);
        }
    }

    /// Ends the experiment that runs, and waits until its programs are gone.
    pub(crate) async fn stop(&self) {
        self.cancel();
        let started = Instant::now();
        let is_running = || self.current().is_some_and(|trial| trial.state == TrialState::Running);
        while is_running() && started.elapsed() < STOP_WAIT {
            tokio::time::sleep(STOP_POLL).await;
        }
    }

    /// The report of the last experiment.
    pub(crate) fn report(&self, language: &str, form: &str) -> Option<PathBuf> {
        let language = LANGUAGES.into_iter().find(|known| *known == language)?;
        let path = self.folder.join(language).join(format!("report.{form}"));
        let is_there = self.current()?.reports.iter().any(|known| known == form);
        is_there.then_some(path).filter(|path| path.is_file())
    }

    async fn run(&self, id: u64, experiments: &[String], count: Option<u32>) -> Result<()> {
        // Of the last experiment.
        match tokio::fs::remove_dir_all(&self.folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot empty {}", self.folder.display()));
            }
            _ => {}
        }
        let captures = self.folder.join("captures");
        self.enter("lab");
        let mut lab = programs::command("lab")?;
        lab.args(["-v", "run"])
            .args(experiments)
            .arg("--captures")
            .arg(&captures)
            .arg("--certs")
            .arg(&self.certs);
        if let Some(count) = count {
            lab.arg("--count").arg(count.to_string());
        }
        let looking = self.look(&captures, experiments);
        tokio::select! {
            status = self.finish(id, "lab", lab) => {
                let status = status?;
                if !status.success() {
                    bail!("lab ended with {status}: {}", self.last_line());
                }
            }
            () = looking => {}
        }
        self.look_once(&captures, experiments, u64::MAX).await;

        self.enter("analyze");
        let result = self.folder.join("exposure.json");
        let mut analyze = programs::command("analyze")?;
        analyze.arg("--quiet").arg("--output").arg(&result).arg(&captures);
        let status = self.finish(id, "analyze", analyze).await?;
        let text = tokio::fs::read(&result)
            .await
            .with_context(|| format!("analyze ended with {status} and left no result"))?;
        let exposure: Value =
            serde_json::from_slice(&text).context("the result of analyze cannot be read")?;
        self.change(|trial| {
            trial.conclusion = exposure.get("conclusion").cloned().filter(|conclusion| !conclusion.is_null());
            trial.reasons = exposure.get("reasons").and_then(Value::as_array).cloned().unwrap_or_default();
            trial.exposure = Some(exposure);
        });

        self.enter("report");
        for language in LANGUAGES {
            let mut report = programs::command("report")?;
            report.arg("--lang").arg(language).arg("--output").arg(self.folder.join(language)).arg(&result);
            let status = self.finish(id, "report", report).await?;
            if !status.success() {
                bail!("report ended with {status}: {}", self.last_line());
            }
        }
        self.change(|trial| trial.reports = vec!["html".into(), "md".into()]);
        // A PDF needs a browser, which a machine may lack.
        self.enter("report as PDF");
        let mut all = true;
        for language in LANGUAGES {
            let mut report = programs::command("report")?;
            let output = self.folder.join(language);
            report.args(["--pdf", "--lang", language]).arg("--output").arg(output).arg(&result);
            all &= self.finish(id, "report", report).await?.success();
        }
        if all {
            self.change(|trial| trial.reports.insert(1, "pdf".into()));
        }
        Ok(())
    }

    /// Runs a program to its end, and shows what it writes on stderr. If the experiment is cancelled, kills the program and
    /// what it started.
    async fn finish(&self, id: u64, name: &str, mut command: Command) -> Result<ExitStatus> {
        // A group of its own, because `report` starts a browser.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let group = child.id();
        let (stderr, stdout) = (child.stderr.take(), child.stdout.take());
        let mut cancelled = self.cancel.subscribe();
        let ended = async {
            let (status, (), ()) =
                tokio::join!(child.wait(), self.log(stderr, true), self.log(stdout, false));
            status.with_context(|| format!("cannot wait for {name}"))
        };
        let ended = tokio::select! {
            status = ended => return status,
            _ = cancelled.wait_for(|cancelled| *cancelled == id) => Err(Cancelled.into()),
        };
        // First so that the programs remove their temporary files.
        signal_group(group, false);
        let _ = tokio::time::timeout(CANCEL_WAIT, child.wait()).await;
        signal_group(group, true);
        let _ = child.wait().await;
        ended
    }

    async fn log(&self, output: Option<impl AsyncRead + Unpin>, is_shown: bool) {
        let Some(output) = output else { return };
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if is_shown {
                let line: String = line.chars().take(MAX_LINE).collect();
                self.change(|trial| {
                    if trial.log.len() == MAX_LOG {
                        trial.log.remove(0);
                    }
                    trial.log.push(line);
                });
            }
        }
    }

    /// What the programs wrote last: where one failed, its error.
    fn last_line(&self) -> String {
        let current = self.lock();
        let line = current.as_ref().and_then(|trial| trial.log.last());
        line.map_or_else(|| "it wrote nothing".into(), |line| line.trim().to_owned())
    }

    /// Reads the captures again and again while they grow. Never ends by itself.
    async fn look(&self, captures: &Path, experiments: &[String]) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            self.look_once(captures, experiments, MAX_LOOK).await;
        }
    }

    async fn look_once(&self, captures: &Path, experiments: &[String], longest: u64) {
        let (folder, names) = (captures.to_owned(), experiments.to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            let folders = growing(&folder).into_iter().chain([folder]);
            let files = folders.flat_map(|folder| capture_files(&folder, &names));
            let is_short = |path: &Path| std::fs::metadata(path).is_ok_and(|file| file.len() <= longest);
            let files = files.filter(|(_, path)| is_short(path));
            files.filter_map(|(name, path)| Some((name.clone(), messages(&name, &path)?))).collect::<Vec<_>>()
        })
        .await;
        let Ok(looked) = looked else { return };
        self.change(|trial| {
            for (name, (frames, messages)) in looked {
                trial.frames.insert(name.clone(), frames.into());
                trial.messages.retain(|message| message.capture != name);
                trial.messages.extend(messages);
                trial.messages.truncate(MAX_MESSAGES);
            }
        });
    }

    fn enter(&self, phase: &str) {
        self.change(|trial| trial.phase = Some(phase.to_owned()));
    }

    fn change(&self, change: impl FnOnce(&mut Trial)) {
        let changed = {
            let mut current = self.lock();
            let Some(trial) = &mut *current else { return };
            change(trial);
            trial.clone()
        };
        self.events.send("run", &changed);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trial>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a program with what it started. The programs of a lab have groups of their own, and end with it.
fn signal_group(group: Option<u32>, kill: bool) {
    #[cfg(unix)]
    if let Some(group) = group.and_then(|id| i32::try_from(id).ok()) {
        use nix::sys::signal::{Signal, killpg};
        let signal = if kill { Signal::SIGKILL } else { Signal::SIGTERM };
        // It may have ended meanwhile.
        let _ = killpg(nix::unistd::Pid::from_raw(group), signal);
    }
    #[cfg(not(unix))]
    let _ = (group, kill);
}

/// The folder in which the lab writes now.
fn growing(captures: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(captures).ok()?.filter_map(Result::ok);
    let is_staging =
        |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(STAGING_PREFIX);
    entries.find(is_staging).map(|entry| entry.path())
}

/// The captures of these experiments in a folder, with their names.
fn capture_files(folder: &Path, experiments: &[String]) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name_of = |path: &Path| {
        let name = path.file_name()?.to_str()?.strip_suffix(".pcap")?;
        let name = name.strip_suffix(".partial").unwrap_or(name);
        let experiment = name.split('.').next()?;
        experiments.iter().any(|known| known == experiment).then(|| name.to_owned())
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter_map(|path| Some((name_of(&path)?, path))).collect()
}

/// Number of frames of a capture, and what begins in them: messages, and the records of TLS.
fn messages(name: &str, path: &Path) -> Option<(u64, Vec<MessageView>)> {
    let index = walk::index(path, Keys::None, &mut |_| ControlFlow::Continue(())).ok()?;
    let total = index.total();
    let rows = index.packets(1, usize::try_from(total).ok()?, None);
    let with_content = rows.into_iter().filter(|row| row.payload > 0 && !row.what.is_empty());
    let views = with_content.map(|row| MessageView {
        capture: name.to_owned(),
        frame: row.frame,
        direction: row.direction,
        needs_keys: row.what.iter().all(|what| what == "Application Data"),
        what: row.what.join(", "),
        bytes: row.payload,
    });
    Some((total, views.take(MAX_MESSAGES).collect()))
}
