//! Runs the lab in a temporary folder, as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::programs;
use crate::traces;

/// Time limit for a condition that a test waits for, on a machine under load.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with `captures/` and `certs/`, and an empty `tmp/` that programs get as their `TMPDIR`.
pub struct Lab {
    folder: TempDir,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// A new folder, removed when the value is dropped.
    ///
    /// # Panics
    /// If the folder cannot be created.
    #[must_use]
    pub fn new() -> Self {
        let folder =
            tempfile::Builder::new().prefix("plainsight-e2e-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("tmp")).expect("a folder in it");
        Self { folder }
    }

    /// Waits until the capturer of a running lab has written more than a handshake. The kernel hands over a block of
    /// the ring only after 20 ms.
    ///
    /// # Panics
    /// If the capturer writes no more than that for 20 seconds.
    pub fn wait_for_frames(&self, variant: &str) {
        const MORE_THAN_A_HANDSHAKE: u64 = 16 << 10;
        let partial = format!("{variant}.partial.pcap");
        let has_frames = || {
            let staged = std::fs::read_dir(self.captures()).expect("the captures").flatten();
            let mut sizes = staged.filter_map(|entry| entry.path().join(&partial).metadata().ok());
            sizes.any(|file| file.len() > MORE_THAN_A_HANDSHAKE)
        };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !has_frames() {
            assert!(std::time::Instant::now() < deadline, "the capturer writes no frames");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// The folder for the runs' files.
    #[must_use]
    pub fn captures(&self) -> PathBuf {
        self.folder.path().join("captures")
    }

    /// The folder for the certificates.
    #[must_use]
    pub fn certs(&self) -> PathBuf {
        self.folder.path().join("certs")
    }

    /// The programs' folder for temporary files.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// The command `lab run` on this folder, with these variants and flags.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(programs::lab().parent().expect("a program is in a folder"), arguments)
    }

    /// Like [`Lab::command`], with the lab in the folder `programs`.
    #[must_use]
    pub fn command_of(&self, programs: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs.join("lab"));
        command
            .arg("run")
            .args(arguments)
            .arg("--captures")
            .arg(self.captures())
            .arg("--certs")
            .arg(self.certs())
            .env("TMPDIR", self.tmp())
            .env_remove("PLAINSIGHT_BACKEND")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the lab to its end.
    ///
    /// # Panics
    /// If the lab cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the lab starts")
    }

    /// Starts a run that lasts long, and waits until agent-a has received some answers.
    ///
    /// # Panics
    /// If agent-a receives none, or the programs are not in the namespaces of the backend.
    #[must_use]
    pub fn run_at_length(&self, arguments: &[&str]) -> RunningLab {
        let arguments = [arguments, &["--count", "1000000"]].concat();
        let child = self.command(&arguments).spawn().expect("the lab starts");
        let mut running = RunningLab { child, captures: self.captures(), namespaces: Vec::new() };
        wait_until("agent-a talks", || {
            if let Some(status) = running.child.try_wait().expect("a child can be asked") {
                let output = std::mem::replace(&mut running.child, nothing()).wait_with_output();
                panic!("the lab ended with {status} before agent-a received answers: {output:?}");
            }
            running.pid_of("agent-a").is_some() && has_answers(&running.captures)
        });
        running.namespaces = traces::namespaces_of(&traces::processes(&running.captures));
        let expected = if arguments.contains(&"netns") { 2 } else { 0 };
        assert_eq!(
            running.namespaces.len(),
            expected,
            "network namespaces of the run: {:?}",
            running.namespaces
        );
        running
    }

    /// The names of the files in `captures/`, sorted; empty if the folder does not exist.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        names(&self.captures())
    }

    /// The manifest of a run.
    ///
    /// # Panics
    /// If the manifest is missing or not JSON.
    #[must_use]
    pub fn manifest(&self, name: &str) -> Value {
        read_json(&self.captures().join(format!("{name}.manifest.json")))
    }

    /// The lines of an agent's journal.
    ///
    /// # Panics
    /// If the journal is missing or not JSON.
    #[must_use]
    pub fn journal(&self, name: &str, agent: &str) -> Vec<Value> {
        let path = self.captures().join(format!("{name}.{agent}.jsonl"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.lines().map(|line| serde_json::from_str(line).expect("a journal line is JSON")).collect()
    }
}

/// A lab during a long run.
pub struct RunningLab {
    child: Child,
    captures: PathBuf,
    namespaces: Vec<String>,
}

impl RunningLab {
    /// The lab's process id.
    ///
    /// # Panics
    /// Never: process ids fit.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits")
    }

    /// The process id of a program that the lab started.
    #[must_use]
    pub fn pid_of(&self, program: &str) -> Option<i32> {
        traces::processes(&self.captures)
            .into_iter()
            .find(|process| process.program == program)
            .map(|process| process.pid)
    }

    /// Sends a signal to the lab, or to a program that it started.
    ///
    /// # Panics
    /// If there is no such process.
    pub fn signal(&self, program: &str, signal: Signal) {
        let pid = if program == "lab" { Some(self.pid()) } else { self.pid_of(program) };
        let pid = pid.unwrap_or_else(|| panic!("{program} is not running"));
        kill(Pid::from_raw(pid), signal).unwrap_or_else(|error| panic!("{signal} to {program}: {error}"));
    }

    /// Waits until the lab has ended and everything it started is gone.
    ///
    /// # Panics
    /// If a process or a network namespace of the run remains.
    #[must_use]
    pub fn end(self) -> Output {
        let Self { child, captures, namespaces } = self;
        let output = child.wait_with_output().expect("the lab can be waited for");
        // A killed lab cannot wait for its children. The kernel kills them, which takes a moment.
        wait_until("all processes of the run are gone", || traces::processes(&captures).is_empty());
        wait_until("all namespaces of the run are gone", || traces::alive(&namespaces).is_empty());
        output
    }
}

/// A run of both variants with this backend, made once for the whole test binary. Tests must not change its files.
///
/// # Panics
/// If the run fails. For the backend `netns`, call [`has_netns`] first.
#[must_use]
pub fn run_lab(backend: &'static str) -> &'static Lab {
    static DONE: Mutex<Vec<(&str, &Lab)>> = Mutex::new(Vec::new());
    let mut done = DONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, lab)) = done.iter().find(|(name, _)| *name == backend) {
        return lab;
    }
    // Statics are never dropped, so a later test process removes the folder.
    let lab: &'static Lab = Box::leak(Box::new(new_run(backend)));
    done.push((backend, lab));
    lab
}

/// Another run of both variants with this backend.
///
/// # Panics
/// As [`run_lab`].
#[must_use]
pub fn new_run(backend: &str) -> Lab {
    let lab = in_target_folder(backend);
    let output = lab.run(&["http", "https", "--backend", backend]);
    assert!(output.status.success(), "lab run by {backend}: {}", outcome(&output));
    lab
}

/// Creates a folder for a run in the target folder, and removes those of earlier test processes.
fn in_target_folder(backend: &str) -> Lab {
    const PREFIX: &str = "e2e-run-";
    let place = programs::folder();
    for name in names(place) {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(place.join(name));
        }
    }
    let prefix = format!("{PREFIX}{}-{backend}-", std::process::id());
    let folder =
        tempfile::Builder::new().prefix(&prefix).tempdir_in(place).expect("a folder in the target folder");
    fs::create_dir(folder.path().join("tmp")).expect("a folder in it");
    Lab { folder }
}

/// Checks whether the backend `netns` works on this machine. Pass the error to [`skip`](crate::skip).
///
/// # Errors
/// Why the backend does not work.
///
/// # Panics
/// If the lab cannot be started.
pub fn has_netns() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| {
            let output = Command::new(programs::lab()).arg("__probe").output().expect("the lab starts");
            let text = String::from_utf8_lossy(&output.stdout);
            if text.contains("\"works\"") {
                Ok(())
            } else {
                Err(format!("the backend netns does not work: {text}"))
            }
        })
        .clone()
}

/// Exit status and stderr of a program, for the message of an assertion.
#[must_use]
pub fn outcome(output: &Output) -> String {
    format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
}

/// Waits for a condition.
///
/// # Panics
/// If the condition is not true within [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited {} s until {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The names in a folder, sorted; none if the folder does not exist.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Reads a JSON file.
///
/// # Panics
/// If the file is missing or not JSON.
#[must_use]
pub fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether agent-a's journal has the lines of a few answers.
fn has_answers(captures: &Path) -> bool {
    const LINES: usize = 10;
    names(captures).iter().filter(|name| name.starts_with(".staging-")).any(|staging| {
        let folder = captures.join(staging);
        names(&folder)
            .iter()
            .filter(|name| name.ends_with(".agent-a.jsonl"))
            .any(|name| fs::read(folder.join(name)).is_ok_and(|text| bytecount(&text) >= LINES))
    })
}

fn bytecount(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

/// A short-lived child process, to put in the place of one that is moved out.
fn nothing() -> Child {
    Command::new(programs::lab()).arg("--version").stdout(Stdio::null()).spawn().expect("the lab starts")
}
