//! The store in Firestore, with the official emulator: the suite of all stores, and a gateway with this store.
#![cfg(feature = "firestore")]

mod common;
mod store_suite;

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::{SCRIPTED_AGENT, Workdir, wait_until};
use gateway::store::firestore::Firestore;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use test_support::skip;

/// The variable in which the client looks for the emulator's address.
const VARIABLE: &str = "FIRESTORE_EMULATOR_HOST";

/// Any name works, because the emulator creates the project.
const PROJECT: &str = "demo-plainsight";

/// The emulator of the Google Cloud CLI; ended with all its processes when dropped.
struct Emulator {
    child: Child,
    address: String,
}

impl Emulator {
    /// Skips the test and returns `None` if the emulator is not installed.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let spawned = Command::new("gcloud")
            .args(["emulators", "firestore", "start", "--quiet", "--host-port", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A process group, because the emulator is a script that starts further processes.
            .process_group(0)
            .spawn();
        let Ok(child) = spawned else {
            skip("gcloud is not installed");
            return None;
        };
        let mut emulator = Self { child, address };
        let ended = wait_until(|| match emulator.child.try_wait().unwrap() {
            Some(_) => Some(true),
            None => is_listening(&emulator.address).then_some(false),
        });
        if ended {
            skip("gcloud has no Firestore emulator");
            return None;
        }
        Some(emulator)
    }
}

/// Whether a server listens at this address. A client that tries often enough can get the same port as its own and
/// connect to itself, which does not count.
fn is_listening(address: &str) -> bool {
    let connected = TcpStream::connect(address);
    connected.is_ok_and(|stream| stream.local_addr().ok() != stream.peer_addr().ok())
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
