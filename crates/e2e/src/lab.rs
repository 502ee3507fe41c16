//! A lab in a folder of its own, started as a user would.

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

/// How long a condition of a test may take to come true on a machine under load.
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
    /// A new folder, gone with the value.
    ///
    /// # Panics
    /// If there is no place for it.
    #[must_use]
    pub fn new() -> Self {
        let folder =
            tempfile::Builder::new().prefix("plainsight-trial-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("tmp")).expect("a folder in it");
        Self { folder }
    }

    /// Waits until the capturer of a run under way has handed over more than a handshake: a block of its ring takes
    /// 20 ms to come.
    ///
    /// # Panics
    ///
    /// If it writes nothing for 20 seconds.
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

    /// Where the runs' files go.
    #[must_use]
    pub fn captures(&self) -> PathBuf {
        self.folder.path().join("captures")
    }

    /// Where the certificates are.
    #[must_use]
    pub fn certs(&self) -> PathBuf {
        self.folder.path().join("certs")
    }

    /// What the programs get as their folder for temporary files.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// `lab run` on this folder, to be given its variants and flags.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(programs::lab().parent().expect("a program is in a folder"), arguments)
    }

    /// The same with the lab that stands in `programs`.
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

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the lab starts")
    }

    /// Starts a run that would go on for a long time, and waits until agent-a talks.
    ///
    /// # Panics
    /// If agent-a never talks, or the run is not in the namespaces of its backend.
    #[must_use]
    pub fn run_at_length(&self, arguments: &[&str]) -> RunningLab {
        let arguments = [arguments, &["--count", "1000000"]].concat();
        let child = self.command(&arguments).spawn().expect("the lab starts");
        let mut running = RunningLab { child, captures: self.captures(), namespaces: Vec::new() };
        wait_until("agent-a talks", || {
            if let Some(status) = running.child.try_wait().expect("a child can be asked") {
                let output = std::mem::replace(&mut running.child, nothing()).wait_with_output();
                panic!("the lab ended with {status} before agent-a talked: {output:?}");
            }
            running.pid_of("agent-a").is_some() && talks(&running.captures)
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

    /// The names of the files in `captures/`, sorted. Empty if there is no such folder.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        names(&self.captures())
    }

    /// The manifest of a run.
    ///
    /// # Panics
    /// If it is missing or no JSON.
    #[must_use]
    pub fn manifest(&self, name: &str) -> Value {
        read_json(&self.captures().join(format!("{name}.manifest.json")))
    }

    /// The journal of an agent, line by line.
    ///
    /// # Panics
    /// If it is missing or no JSON.
    #[must_use]
    pub fn journal(&self, name: &str, agent: &str) -> Vec<Value> {
        let path = self.captures().join(format!("{name}.{agent}.jsonl"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.lines().map(|line| serde_json::from_str(line).expect("a journal line is JSON")).collect()
    }
}

/// A lab at work, in the middle of a long run.
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

    /// The process id of one of its programs.
    #[must_use]
    pub fn pid_of(&self, program: &str) -> Option<i32> {
        traces::processes(&self.captures)
            .into_iter()
            .find(|process| process.program == program)
            .map(|process| process.pid)
    }

    /// Sends a signal to the lab, or to one of its programs.
    ///
    /// # Panics
    /// If there is no such process.
    pub fn signal(&self, program: &str, signal: Signal) {
        let pid = if program == "lab" { Some(self.pid()) } else { self.pid_of(program) };
        let pid = pid.unwrap_or_else(|| panic!("{program} runs"));
        kill(Pid::from_raw(pid), signal).unwrap_or_else(|error| panic!("{signal} to {program}: {error}"));
    }

    /// Waits for the lab to end, and for everything it started to be gone.
    ///
    /// # Panics
    /// If something stays: a process of the run, or one of its network namespaces.
    #[must_use]
    pub fn end(self) -> Output {
        let Self { child, captures, namespaces } = self;
        let output = child.wait_with_output().expect("the lab can be waited for");
        // A lab that was killed cannot wait for its children: the kernel kills them, and that takes a moment.
        wait_until("all processes of the run are gone", || traces::processes(&captures).is_empty());
        wait_until("all namespaces of the run are gone", || traces::alive(&namespaces).is_empty());
        output
    }
}

/// A run of all variants by one backend, made once for the whole test binary. Its files are not to be changed.
///
/// # Panics
/// If the run fails. Ask [`has_netns`] first where that may be missing.
#[must_use]
pub fn run_lab(backend: &'static str) -> &'static Lab {
    static DONE: Mutex<Vec<(&str, &Lab)>> = Mutex::new(Vec::new());
    let mut done = DONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, lab)) = done.iter().find(|(name, _)| *name == backend) {
        return lab;
    }
    let lab = in_target_folder(backend);
    let output = lab.run(&["http", "https", "--backend", backend]);
    assert!(output.status.success(), "lab run by {backend}: {}", said(&output));
    // Lives as long as the process; the folder is removed by the next test process (see below).
    let lab: &'static Lab = Box::leak(Box::new(lab));
    done.push((backend, lab));
    lab
}

/// Values in statics are never dropped, so folders of earlier test processes are removed here.
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

/// Whether the lab can take the `netns` backend here. The reason why not goes to [`skip`](crate::skip).
///
/// # Errors
/// With the reason.
///
/// # Panics
/// If the lab cannot be asked.
pub fn has_netns() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| {
            let output = Command::new(programs::lab()).arg("__probe").output().expect("the lab starts");
            let text = String::from_utf8_lossy(&output.stdout);
            if text.contains("\"works\"") { Ok(()) } else { Err(format!("no netns backend here: {text}")) }
        })
        .clone()
}

/// What a program said on stderr, for a message.
#[must_use]
pub fn said(output: &Output) -> String {
    format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
}

/// Waits for a condition.
///
/// # Panics
/// If it does not come true within [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited {} s in vain until {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The names in a folder, sorted; none if it is missing.
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
/// If it is missing or no JSON.
#[must_use]
pub fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether agent-a has journalled a few answers: the run is in full swing.
fn talks(captures: &Path) -> bool {
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

/// A child to leave in the place of one that is taken.
fn nothing() -> Child {
    Command::new(programs::lab()).arg("--version").stdout(Stdio::null()).spawn().expect("the lab starts")
}
