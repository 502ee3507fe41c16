//! What the tests of the boxes share: the program that runs in them, and each backend that works here.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command as StdCommand;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sandbox::{Backend, Command, Error, Helper, Job, Limits, Options, Outcome, Sandbox};

/// The helper of the backends: a test has no `main` of its own.
pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_box-init");

/// The program that tries to escape, built once for each test program.
pub(crate) fn escapist() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Others may be building it too: each its own, moved into place when done.
        let (ours, place) =
            (folder.join(format!("escapist-{}", std::process::id())), folder.join("escapist"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/escapist.rs");
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
    /// By namespaces, with whatever cgroups there are.
    Namespace,
    /// By namespaces, without cgroups: as for an ordinary user where none are delegated.
    WithoutCgroups,
    /// By the engine.
    Docker,
}

/// Opens a backend, or says why the test cannot run here.
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
    Options { helper: Helper::At(HELPER.into()), cgroups: way != Way::WithoutCgroups, ..Options::new(label) }
}

/// A job for the program that tries to escape.
pub(crate) fn job(words: &[&str]) -> Job {
    let mut command = Command::program(escapist().to_string_lossy());
    command.arguments = words.iter().map(ToString::to_string).collect();
    Job { command, stdin: Vec::new(), limits: Limits { wall: Duration::from_secs(20), ..Limits::default() } }
}

/// What it said, as text.
pub(crate) fn stdout(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

/// The variable by which the processes of one box are known on the host.
pub(crate) const TOKEN: &str = "BOX_TOKEN";

/// A value for it that no other box has.
pub(crate) fn token() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Runs a job that shall have an outcome, and sees that nothing of it runs on.
pub(crate) async fn run(sandbox: &Arc<dyn Sandbox>, mut job: Job) -> Outcome {
    let token = token();
    job.command.environment.push((TOKEN.into(), token.clone()));
    let outcome = sandbox.run(job).await.unwrap_or_else(|error: Error| panic!("no box: {error}"));
    assert_eq!(processes_with(&token), Vec::<u32>::new(), "they run on: {outcome:?}");
    outcome
}

/// The words that make a box sleep until it is killed. Its environment is closed to an ordinary user if it is a container's,
/// its arguments are not, so that they hold the token as well.
pub(crate) fn sleep(token: &str) -> [String; 2] {
    ["sleep".to_owned(), format!("{TOKEN}={token}")]
}

/// The processes of this machine that have a box's token.
pub(crate) fn processes_with(token: &str) -> Vec<u32> {
    let wanted = format!("{TOKEN}={token}");
    let has = |pid: &u32| {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let environment = read("environ");
        let arguments = read("cmdline");
        // Whoever asked for the box has these words among others.
        let sleeps = arguments.split(|byte| *byte == 0).skip(1).eq([b"sleep", wanted.as_bytes(), b""]);
        sleeps || environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(has).collect()
}
