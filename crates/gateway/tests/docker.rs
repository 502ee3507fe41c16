//! The gateway with Docker sandboxes: a custom image, many sandboxes at once, and a killed gateway.
#![cfg(target_os = "linux")]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use common::{Gateway, SCRIPTED_AGENT, Workdir, post, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use test_support::skip;

/// A custom image with the scripted agent and its libraries; removed when dropped.
struct Image(String);

impl Image {
    fn make() -> Self {
        let name = format!("plainsight-gateway-test:{}", std::process::id());
        let libraries = sandbox::libraries_of(Path::new(&*SCRIPTED_AGENT)).unwrap();
        let (folder, agent) = SCRIPTED_AGENT.rsplit_once('/').unwrap();
        let mut tar = Command::new("tar")
            .args(["--create", "--dereference", "--file=-", "--directory", folder, agent, "--directory=/"])
            .args(libraries.iter().map(|file| file.strip_prefix("/").unwrap()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let made = Command::new("docker")
            .args(["import", "-", &name])
            .stdin(tar.stdout.take().unwrap())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(tar.wait().unwrap().success() && made.success());
        Self(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "--force", &self.0]).stdout(Stdio::null()).status();
    }
}

fn engine_answers() -> bool {
    let asked = Command::new("docker").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// The containers of a label, running or not.
fn containers(label: &str) -> Vec<String> {
    let filter = format!("name=plainsight-box.{label}.");
    let listed =
        Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &filter]).output().unwrap();
    assert!(listed.status.success());
    String::from_utf8(listed.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn runs_a_custom_image_and_removes_its_containers() {
    if !engine_answers() {
        return skip("no Docker engine answers");
    }
    let image = Image::make();
    let label = format!("test-{}", std::process::id());
    let workdir = Workdir::new();
    let start = || {
        let flags = ["--backend", "docker", "--image", &image.0, "--label", &label, "--boxes", "4"];
        Gateway::start(workdir.path(), &flags, "/scripted-agent").expect("an engine answers")
    };
    let mut gateway = start();
    let (id, text) = gateway.say("alice", "hello").answer();
    assert_eq!(text, "0 before; you said: hello");
    assert_eq!(gateway.say_in("alice", &id, "again").answer().1, "2 before; you said: again");
    gateway.say("alice", "exit 3").assert_error(502, "box_failed");
    let mut streamed = gateway.stream("bob", "hello");
    let streamed_id = streamed.started();
    let (pieces, done) = streamed.rest();
    assert_eq!(pieces, "0 before; you said: hello");
    assert_eq!(done, ("done".into(), json!({"conversationId": streamed_id, "text": pieces})));

    let ids = Mutex::new(std::collections::HashSet::new());
    std::thread::scope(|scope| {
        for number in 0..20 {
            let (gateway, ids) = (&gateway, &ids);
            scope.spawn(move || {
                let user = ["alice", "bob"][number % 2];
                let message = format!("{user} says {number}");
                let (id, text) = gateway.say(user, &message).answer();
                assert_eq!(text, format!("0 before; you said: {message}"));
                assert!(ids.lock().unwrap().insert(id));
            });
        }
    });
    wait_until(|| containers(&label).is_empty().then_some(()));

    // If the gateway is killed during a request, its guard removes the containers.
    let ask_for_long = |gateway: &Gateway| {
        let mut stream = gateway.connect();
        stream.write_all(&post("alice", b"{\"message\":\"sleep 600000\"}")).unwrap();
        wait_until(|| (!containers(&label).is_empty()).then_some(()));
        stream
    };
    let asked = ask_for_long(&gateway);
    gateway.signal(Signal::SIGKILL);
    gateway.wait();
    drop(asked);
    wait_until(|| containers(&label).is_empty().then_some(()));

    // If the guard is killed too, the next start removes them.
    let mut gateway = start();
    let asked = ask_for_long(&gateway);
    let children = gateway.family();
    let guard = children.iter().find(|process| process.line.contains("__sandbox-guard")).expect("a guard");
    kill(Pid::from_raw(guard.pid.cast_signed()), Signal::SIGKILL).unwrap();
    wait_until(|| (!guard.exists()).then_some(()));
    gateway.signal(Signal::SIGKILL);
    gateway.wait();
    drop(asked);
    assert!(!containers(&label).is_empty(), "gateway and guard are both gone");
    let gateway = start();
    wait_until(|| containers(&label).is_empty().then_some(()));
    assert_eq!(gateway.get("alice", &format!("/api/conversation/{id}")).json()["turns"], 2);
    gateway.stop();
}

#[test]
fn rejects_a_dynamic_program_without_an_image() {
    if !engine_answers() {
        return skip("no Docker engine answers");
    }
    let workdir = Workdir::new();
    let store = workdir.store();
    let arguments = ["--backend", "docker", "--runner", &SCRIPTED_AGENT, "--store", store.to_str().unwrap()];
    let output = common::run(&arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("not statically linked"), "{stderr}");
}
