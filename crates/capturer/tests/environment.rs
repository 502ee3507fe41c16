//! The capturer as a container runs it: with its flags in the environment, and with its health check.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Longer than any operation here; only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(20);

fn program(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capturer"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

fn healthcheck(ready_file: &Path) -> Output {
    program(&["healthcheck"], &[("CAPTURE_READY_FILE", ready_file.to_str().unwrap())]).output().unwrap()
}

/// Killed if the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn reads_every_flag_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let ready_file = folder.path().join("ready");
    assert_eq!(healthcheck(&ready_file).status.code(), Some(1), "before it records");

    let environment = [
        ("CAPTURE_VARIANT", "https"),
        ("CAPTURE_BACKEND", "docker"),
        ("CAPTURE_OUTPUT", folder.path().to_str().unwrap()),
        ("CAPTURE_NAME", "mine"),
        ("CAPTURE_KEY_LOG", "mine.keys"),
        ("CAPTURE_SNAPLEN", "1000"),
        ("CAPTURE_QUIET_MS", "10"),
        ("CAPTURE_LISTEN", "127.0.0.1:0"),
        ("CAPTURE_CONNECT", "127.0.0.1:1"),
        ("CAPTURE_READY_FILE", ready_file.to_str().unwrap()),
        ("RUN_ID", "00112233445566778899aabbccddeeff"),
    ];
    let mut running = Running(program(&["--quiet", "relay"], &environment).spawn().unwrap());
    let started = Instant::now();
    while !healthcheck(&ready_file).status.success() {
        assert!(running.0.try_wait().unwrap().is_none(), "the capturer exited before it was ready");
        assert!(started.elapsed() < DEADLINE, "the capturer did not become ready");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(running.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(running.0.wait().unwrap().success());

    let manifest = fs::read(folder.path().join("mine.manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["run_id"], "00112233445566778899aabbccddeeff");
    assert_eq!(manifest["name"], "mine");
    assert_eq!(manifest["variant"]["name"], "https");
    assert_eq!(manifest["backend"], "docker");
    assert_eq!(manifest["key_log"], "mine.keys");
    assert_eq!(manifest["capture"]["snaplen"], 1000);
    assert_eq!(manifest["finished"], true);
}

#[test]
fn a_flag_overrides_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    fs::write(&there, "{}\n").unwrap();
    let absent = folder.path().join("absent");
    let asked = program(
        &["healthcheck", "--ready-file", there.to_str().unwrap()],
        &[("CAPTURE_READY_FILE", absent.to_str().unwrap())],
    );
    assert!({ asked }.status().unwrap().success());
}

#[test]
fn errors_name_the_file_or_variable() {
    let absent = Path::new("/no/such/ready");
    let unhealthy = healthcheck(absent);
    assert_eq!(unhealthy.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&unhealthy.stderr).contains("not recording: no ready file /no/such/ready")
    );

    let missing = program(&["healthcheck"], &[]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    let wrong = program(&["relay"], &[("CAPTURE_VARIANT", "gopher")]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("known: http, https"));
    let without = ["interface", "--interface", "lo", "--output", "x", "--variant", "http"];
    let without = program(&without, &[]).output().unwrap();
    assert_eq!(without.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without.stderr).contains("--backend <BACKEND>"));
}
