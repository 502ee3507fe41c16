//! Shared by the tests: the program that runs in the boxes, and the backends.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command as StdCommand;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sandbox::{Backend, Command, Error, Helper, Job, Limits, Options, Outcome, Sandbox};

/// The helper program: a test has no `main` of its own.
pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_box-init");

/// The program that tries to escape; built if it is missing or older than its source.
pub(crate) fn escapist() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Other processes may build it too: each builds its own file and renames it.
        let (ours, place) =
            (folder.join(format!("escapist-{}", std::process::id())), folder.join("escapist"));
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        let [source, tricks] = ["escapist.rs", "tricks.rs"].map(|name| sources.join(name));
        let modified = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let is_older = |path: &Path| modified(&place).is_some_and(|built| modified(path) < Some(built));
        if is_older(&source) && is_older(&tricks) {
            return place;
        }
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let status = StdCommand::new(rustc)
            .args([
                "--edition",
                "2024",
                "-O",
                "-C",
                "target-feature=+crt-static",
                "-C",
                "strip=symbols",
                "-o",
            ])
            .args([&ours, &source])
            .status()
            .expect("rustc runs");
        assert!(status.success(), "the program that tries to escape does not compile");
        std::fs::rename(&ours, &place).unwrap();
        place
    })
}

/// A way to make boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By namespaces, with the cgroups of this machine.
    Namespace,
    /// By namespaces, without cgroups: as for an ordinary user where none are delegated.
    WithoutCgroups,
    /// By the engine.
    Docker,
}

/// Opens a backend, or skips the test.
pub(crate) async fn open(way: Way) -> Option<Arc<dyn Sandbox>> {
    match sandbox::open(backend(way), options(way, "test")).await {
        Ok(opened) => Some(opened.sandbox),
        Err(error) => {
            let skip = if way == Way::Docker { test_support::skip_docker } else { test_support::skip };
            skip(&error.to_string());
            None
        }
    }
}

pub(crate) fn backend(way: Way) -> Backend {
    if way == Way::Docker { Backend::Docker } else { Backend::Namespace }
}

pub(crate) fn options(way: Way, label: &str) -> Options {
    Options {
        helper: Helper::At(HELPER.into()),
        cgroups: way != Way::WithoutCgroups,
        // An ordinary user has no memory cgroup on many machines.
        allow_weak_memory_limit: true,
        ..Options::new(label)
    }
}

/// A job for the program that tries to escape.
pub(crate) fn job(words: &[&str]) -> Job {
    let mut command = Command::program(escapist().to_string_lossy());
    command.arguments = words.iter().map(ToString::to_string).collect();
    Job {
        command,
        stdin: Vec::new(),
        limits: Limits { wall: Duration::from_secs(20), ..Limits::default() },
        stdout: None,
    }
}

/// The standard output as text.
pub(crate) fn stdout(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

/// The variable that marks the processes of one box for the host.
pub(crate) const TOKEN: &str = "BOX_TOKEN";

/// A unique value for [`TOKEN`].
pub(crate) fn token() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Runs a job that must have an outcome, and checks that all of its processes have ended.
pub(crate) async fn run(sandbox: &Arc<dyn Sandbox>, mut job: Job) -> Outcome {
    let token = token();
    job.command.environment.push((TOKEN.into(), token.clone()));
    let outcome = sandbox.run(job).await.unwrap_or_else(|error: Error| panic!("no box: {error}"));
    assert_eq!(processes_with(&token), Vec::<u32>::new(), "still running: {outcome:?}");
    outcome
}

/// The arguments that make a box sleep until it is killed. They contain the token too, because an ordinary user can
/// read the arguments of a container's process but not its environment.
pub(crate) fn sleep(token: &str) -> [String; 2] {
    ["sleep".to_owned(), format!("{TOKEN}={token}")]
}

/// The processes of this machine with a box's token.
pub(crate) fn processes_with(token: &str) -> Vec<u32> {
    let wanted = format!("{TOKEN}={token}");
    let has = |pid: &u32| {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let environment = read("environ");
        let arguments = read("cmdline");
        // The program that asked for the box has more arguments than these.
        let sleeps = arguments.split(|byte| *byte == 0).skip(1).eq([b"sleep", wanted.as_bytes(), b""]);
        sleeps || environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(has).collect()
}
