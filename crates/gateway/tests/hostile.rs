//! Hostile programs in one user's sandboxes, beside a user who behaves well: the gateway lives, and every request of the other
//! user is answered.
//!
//! The long form, 200 hostile sandboxes, is for a memory group (see docs/sandbox.md):
//!
//! ```text
//! HOSTILE_BOXES=200 cargo test -p gateway --test hostile -- --nocapture
//! ```
#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Gateway, Workdir};

/// Hostile sandboxes if `HOSTILE_BOXES` names no other number: as many as fit in a short test.
const BOXES: usize = 10;

/// Compiled by `rustc` alone, as in the tests of the crate `sandbox`, whose program it is.
static ESCAPIST: LazyLock<String> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sandbox/tests/programs/escapist.rs");
    let (ours, place) = (folder.join(format!("hostile-{}", std::process::id())), folder.join("hostile"));
    let status = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"])
        .args([&ours, &source])
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the hostile program does not compile");
    std::fs::rename(&ours, &place).unwrap();
    place.to_str().expect("a path in UTF-8").to_owned()
});

/// The tricks: those that fill memory in turn, and between two of them one of the others.
fn tricks() -> Vec<String> {
    let list = |what: &str| {
        let output = Command::new(&*ESCAPIST).arg(what).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect::<Vec<_>>()
    };
    let memory = list("list-memory-tricks");
    let others = list("list-tricks").into_iter().filter(|name| !memory.contains(name)).rev();
    memory.iter().cycle().zip(others).flat_map(|(memory, other)| [memory.clone(), other]).collect()
}

#[test]
fn hostile_sandboxes_beside_a_user_who_behaves_well() {
    let number = std::env::var("HOSTILE_BOXES").map_or(BOXES, |text| text.parse().expect("a number"));
    let workdir: (Workdir, PathBuf) = {
        let workdir = Workdir::new();
        let path = workdir.path().to_owned();
        (workdir, path)
    };
    // Each hostile sandbox tries to hold a gibibyte, four times its limit.
    let flags = [
        "--backend",
        "namespace",
        "--prompt-format",
        "text",
        "--runner-env",
        "HOLD_MIB=1024",
        "--box-memory",
        "256",
        "--box-scratch",
        "64",
        "--box-seconds",
        "20",
        "--boxes",
        "2",
        "--store",
    ];
    let store = workdir.0.store();
    let started = Gateway::launch(&workdir.1, |command, _| {
        command.args(flags).arg(&store).args(["--runner", &ESCAPIST, "--runner-arg", "prompt"]);
    });
    let Some(gateway) = started else { return };
    let over = AtomicBool::new(false);
    let (mut times, ends) = std::thread::scope(|scope| {
        let well = scope.spawn(|| {
            let mut times: Vec<Duration> = Vec::new();
            while !over.load(Ordering::Relaxed) || times.is_empty() {
                let message = format!("hello {}", times.len());
                let began = Instant::now();
                let (_, text) = gateway.say("alice", &message).answer();
                times.push(began.elapsed());
                assert_eq!(text.trim(), format!("you said: {message}"));
            }
            times
        });
        let mut ends = [0_usize; 2];
        for name in tricks().iter().cycle().take(number) {
            let status = gateway.say("mallory", &format!("trick {name}")).status;
            ends[usize::from(status != 200)] += 1;
        }
        over.store(true, Ordering::Relaxed);
        (well.join().expect("every request of the other user succeeds"), ends)
    });
    times.sort_unstable();
    let quantile = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    println!(
        "{number} hostile sandboxes, {} answered and {} ended by a limit; beside them {} requests of another user, all \
         answered: p50 {:?}, p99 {:?}, longest {:?}",
        ends[0],
        ends[1],
        times.len(),
        quantile(50),
        quantile(99),
        quantile(100)
    );
    assert_eq!(gateway.get("health-check", "/healthz").status, 200);
    gateway.assert_no_box_left();
    gateway.stop();
}
