//! The store in Firestore, with the official emulator: the suite of all stores, and a gateway with this store.
#![cfg(feature = "firestore")]

mod common;
mod store_suite;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

use common::{PATIENCE, SCRIPTED_AGENT, Workdir};
use gateway::store::firestore::Firestore;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use test_support::skip;

/// The variable in which the client looks for the emulator's address.
const VARIABLE: &str = "FIRESTORE_EMULATOR_HOST";

/// Any name works, because the emulator creates the project.
const PROJECT: &str = "demo-plainsight";

/// What the emulator prints once it serves requests.
const READY: &str = "is now running";

/// The emulator opens several ports that the system chooses, so another program can take the port that is chosen here
/// before the emulator binds it. Then the next attempt takes another.
const ATTEMPTS: usize = 5;

/// The emulator of the Google Cloud CLI; ended with all its processes when dropped.
struct Emulator {
    child: Child,
    address: String,
}

impl Emulator {
    /// Skips the test and returns `None` if the emulator is not installed.
    fn start() -> Option<Self> {
        let mut output = String::new();
        for _ in 0..ATTEMPTS {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let spawned = Command::new("gcloud")
                .args(["emulators", "firestore", "start", "--quiet", "--host-port", &address])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                // A process group, because the emulator is a script that starts further processes.
                .process_group(0)
                .spawn();
            let Ok(child) = spawned else {
                skip("gcloud is not installed");
                return None;
            };
            let mut emulator = Self { child, address };
            match emulator.wait_until_ready() {
                Ok(()) => return Some(emulator),
                Err(printed) => output = printed,
            }
            if !output.contains("BindException") {
                break;
            }
        }
        skip(&format!("gcloud starts no Firestore emulator: {output}"));
        None
    }

    /// Reads the emulator's output until it serves requests; returns the output if it ends before. A client that tries to
    /// connect in a loop would be no test: it can get the port as its own, connect to itself and so keep the emulator from
    /// binding it.
    fn wait_until_ready(&mut self) -> Result<(), String> {
        let lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that the emulator never waits for room in the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| _ = sender.send(line)));
        let started = Instant::now();
        let mut printed = String::new();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            match receiver.recv_timeout(left) {
                Ok(line) if line.contains(READY) => return Ok(()),
                Ok(line) => {
                    printed.push_str(&line);
                    printed.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => return Err(printed),
                Err(RecvTimeoutError::Timeout) => panic!("the emulator does not become ready: {printed}"),
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

#[test]
fn passes_the_suite_of_all_stores() {
    if std::env::var_os(VARIABLE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            store_suite::suite(Arc::new(Firestore::open(PROJECT).await.unwrap())).await;
        });
        return;
    }
    let Some(emulator) = Emulator::start() else { return };
    // The client reads an environment variable, which cannot be changed safely within this process, so the suite runs
    // in another one.
    let inner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "passes_the_suite_of_all_stores", "--nocapture"])
        .env(VARIABLE, &emulator.address)
        .output()
        .unwrap();
    assert!(inner.status.success(), "{}", String::from_utf8_lossy(&inner.stderr));
    let output = String::from_utf8_lossy(&inner.stdout);
    assert!(output.contains("1 passed"), "the suite did not run: {output}");
}

#[test]
fn gateway_stores_its_conversations_in_firestore() {
    let Some(emulator) = Emulator::start() else { return };
    let workdir = Workdir::new();
    let start = || {
        let store = format!("firestore:{PROJECT}");
        common::Gateway::launch(workdir.path(), |command, mark| {
            command.args(["--backend", "namespace", "--store", &store, "--prompt-format", "json"]);
            command
                .args(["--runner", &SCRIPTED_AGENT, "--runner-arg", mark])
                .env(VARIABLE, &emulator.address);
        })
    };
    let Some(gateway) = start() else { return };
    let answered: Vec<_> = std::thread::scope(|scope| {
        let gateway = &gateway;
        let ask = |number: usize| {
            let user = ["alice", "bob"][number % 2];
            (user, gateway.say(user, &format!("{user} says {number}")).answer())
        };
        let threads: Vec<_> = (0..20).map(|number| scope.spawn(move || ask(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (id, _) = gateway.say("alice", "hello").answer();
    assert_eq!(gateway.say_in("alice", &id, "again").answer().1, "2 before; you said: again");
    gateway.stop();
    let Some(gateway) = start() else { return };
    let read = |user: &str, id: &str| gateway.get(user, &format!("/api/conversation/{id}"));
    assert_eq!(read("alice", &id).json()["turns"], 2);
    for (user, (id, text)) in &answered {
        assert_eq!(read(user, id).json()["messages"][1]["text"], *text);
        let other = if *user == "alice" { "bob" } else { "alice" };
        read(other, id).assert_error(404, "no_such_conversation");
    }
    let page = gateway.get("alice", "/api/conversations?limit=100").json();
    assert_eq!(page["conversations"].as_array().unwrap().len(), 11);
    assert_eq!(page["conversations"][0]["conversationId"], id);
    assert_eq!(gateway.delete("alice", &format!("/api/conversation/{id}")).status, 204);
    read("alice", &id).assert_error(404, "no_such_conversation");
    // Without its store, requests fail, but the gateway keeps running.
    drop(emulator);
    read("alice", &id).assert_error(500, "internal_error");
    assert_eq!(gateway.get("alice", "/healthz").status, 200);
}
