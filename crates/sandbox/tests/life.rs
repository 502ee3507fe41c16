//! A box ends with its owner: cancelled, killed or interrupted. Boxes that run at the same time share nothing.
#![cfg(target_os = "linux")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{TOKEN, Way, job, processes_with, sleep, stdout};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::{Backend, Exit, Job, Limits};

macro_rules! for_each_way {
    ($($test:ident),* $(,)?) => {
        mod namespace {
            $(#[test] fn $test() { super::with_runtime(super::$test(super::Way::Namespace)); })*
        }
        mod namespace_without_cgroups {
            $(#[test] fn $test() { super::with_runtime(super::$test(super::Way::WithoutCgroups)); })*
        }
        mod docker {
            $(#[test] fn $test() { super::with_runtime(super::$test(super::Way::Docker)); })*
        }
    };
}

#[test]
fn killing_the_helper_ends_the_box() {
    with_runtime(its_helper_killed(Way::Namespace));
    with_runtime(its_helper_killed(Way::WithoutCgroups));
}

for_each_way! {
    dropping_the_future_ends_the_box,
    killing_the_owner_ends_the_box,
    interrupting_the_owner_ends_the_box,
    boxes_at_the_same_time_share_nothing,
}

fn with_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Far longer than the kernel or the engine takes; only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn dropping_the_future_ends_the_box(way: Way) {
    let Some(sandbox) = common::open(way).await else { return };
    // Before the box starts, while it starts, and while it runs.
    for pause in [0, 1, 3, 10, 40, 150] {
        let token = common::token();
        let mut job = job(&sleep(&token).each_ref().map(String::as_str));
        job.command.environment.push((TOKEN.into(), token.clone()));
        let running = tokio::time::timeout(Duration::from_millis(pause), sandbox.run(job));
        assert!(running.await.is_err(), "it cannot have ended");
        eventually("it keeps running", || processes_with(&token).is_empty()).await;
        if pause == 150 {
            eventually("a cgroup remains", || groups_of(std::process::id()) == 0).await;
        }
    }
    let token = common::token();
    let mut job = job(&sleep(&token).each_ref().map(String::as_str));
    job.command.environment.push((TOKEN.into(), token.clone()));
    let running = tokio::spawn({
        let sandbox = sandbox.clone();
        async move { sandbox.run(job).await }
    });
    eventually("it does not start", || !processes_with(&token).is_empty()).await;
    running.abort();
    eventually("it keeps running", || processes_with(&token).is_empty()).await;
    if way == Way::Docker {
        eventually("a container remains", || containers("test", std::process::id()) == 0).await;
    }
}

async fn killing_the_owner_ends_the_box(way: Way) {
    ended_by(way, Signal::SIGKILL, "killed").await;
}

async fn interrupting_the_owner_ends_the_box(way: Way) {
    ended_by(way, Signal::SIGINT, "interrupted").await;
}

async fn ended_by(way: Way, signal: Signal, label: &str) {
    if common::open(way).await.is_none() {
        return;
    }
    let label = format!("{label}-{}", std::process::id());
    let token = common::token();
    let mut owner = owner(way, &label, &token);
    // A process group of its own, as a shell makes it: the signal reaches the whole group.
    eventually("the box does not start", || !processes_with(&token).is_empty()).await;
    kill(Pid::from_raw(-owner.id().cast_signed()), signal).unwrap();
    owner.wait().unwrap();
    eventually("the box keeps running", || processes_with(&token).is_empty()).await;
    if way == Way::Docker {
        eventually("a container remains", || containers(&label, owner.id()) == 0).await;
    } else {
        // Its empty cgroups stay until the next start with the same label.
        let opened = sandbox::open(Backend::Namespace, common::options(way, &label)).await.unwrap();
        assert_eq!(groups_of(owner.id()), 0, "{} reaped", opened.reaped);
    }
}

async fn its_helper_killed(way: Way) {
    let Some(sandbox) = common::open(way).await else { return };
    let token = common::token();
    let mut job = job(&sleep(&token).each_ref().map(String::as_str));
    job.command.environment.push((TOKEN.into(), token.clone()));
    let running = tokio::spawn(async move { sandbox.run(job).await });
    eventually("it does not start", || !processes_with(&token).is_empty()).await;
    let parent_of = |pid: u32| -> u32 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok()).unwrap()
    };
    let helper = parent_of(parent_of(processes_with(&token)[0]));
    kill(Pid::from_raw(helper.cast_signed()), Signal::SIGKILL).unwrap();
    assert!(matches!(running.await.unwrap(), Err(sandbox::Error::Broken(_))));
    eventually("the box keeps running", || processes_with(&token).is_empty()).await;
}

/// Starts a program that runs a box and leads its own process group.
fn owner(way: Way, label: &str, token: &str) -> Child {
    // Background jobs of a script ignore SIGINT, and so would their children.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_box-run")]);
    command.args(["--backend", if way == Way::Docker { "docker" } else { "namespace" }, "--label", label]);
    if way == Way::WithoutCgroups {
        command.arg("--no-cgroups");
    }
    command
        .args(["--allow-weak-memory-limit", "--env", &format!("{TOKEN}={token}")])
        .arg(common::escapist())
        .args(sleep(token));
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Number of cgroups of boxes that a process has made.
fn groups_of(pid: u32) -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points =
        mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    points.map(|point| groups_below(std::path::Path::new(point), &format!("-{pid}-"))).sum()
}

fn groups_below(folder: &std::path::Path, owner: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let one = usize::from(name.starts_with("plainsight-box.") && name.contains(owner));
            one + groups_below(&entry.path(), owner)
        })
        .sum()
}

/// Number of containers of a label that a process has made, running or not.
fn containers(label: &str, pid: u32) -> usize {
    let output = Command::new("docker")
        .args([
            "ps",
            "-a",
            "--format",
            "{{.Names}}",
            "--filter",
            &format!("label=plainsight.sandbox={label}"),
        ])
        .output()
        .expect("docker's command line");
    BufReader::new(&output.stdout[..])
        .lines()
        .map_while(Result::ok)
        .filter(|name| name.contains(&format!("-{pid}-")))
        .count()
}

/// Every box returns its own input, and finds no file of another box in its scratch folder.
async fn boxes_at_the_same_time_share_nothing(way: Way) {
    let Some(sandbox) = common::open(way).await else { return };
    let (boxes, at_once) = if way == Way::Docker { (16, 4) } else { (100, 16) };
    let mut running = tokio::task::JoinSet::new();
    let mut started = 0;
    while started < boxes || !running.is_empty() {
        while started < boxes && running.len() < at_once {
            let (sandbox, number) = (sandbox.clone(), started);
            running.spawn(async move {
                let text = format!("what box {number} was asked");
                let limits = Limits { memory_bytes: 64 << 20, scratch_bytes: 1 << 20, ..Limits::default() };
                let outcome = sandbox
                    .run(Job { stdin: text.clone().into_bytes(), limits, ..job(&["keep"]) })
                    .await
                    .unwrap();
                assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
                assert_eq!(stdout(&outcome), format!("found 0\n{text}"));
            });
            started += 1;
        }
        running.join_next().await.unwrap().unwrap();
    }
    if way == Way::Docker {
        eventually("a container remains", || containers("test", std::process::id()) == 0).await;
    }
}
