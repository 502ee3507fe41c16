//! The store in Firestore, against the official emulator: the suite of all stores, and a gateway with it.
#![cfg(feature = "firestore")]

mod common;
mod store_suite;

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::{Place, SCRIPTED_AGENT, wait_until};
use gateway::store::firestore::Firestore;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use test_support::skip;

/// Where the client looks for the emulator.
const VARIABLE: &str = "FIRESTORE_EMULATOR_HOST";

/// Any name will do: the emulator makes what it is asked for.
const PROJECT: &str = "demo-plainsight";

/// The emulator of the Google Cloud CLI; ended with all its processes when dropped.
struct Emulator {
    child: Child,
    address: String,
}

impl Emulator {
    /// `None` where it is not installed, which is then said.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let spawned = Command::new("gcloud")
            .args(["emulators", "firestore", "start", "--quiet", "--host-port", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // It is a script that starts scripts that start a virtual machine.
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
            skip("gcloud has no emulator for Firestore here");
            return None;
        }
        Some(emulator)
    }
}

/// Whether a server listens there. A client that tries often enough can be given the port itself as its own, and is then
/// connected with itself.
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
    // The client reads the variable of its process, and a process's own variables are not to be changed while it runs.
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
fn a_gateway_stores_its_conversations_in_firestore() {
    let Some(emulator) = Emulator::start() else { return };
    let place = Place::new();
    let start = || {
        let store = format!("firestore:{PROJECT}");
        common::Gateway::launch(place.path(), |command, mark| {
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
    // When it is out of reach, requests fail and the gateway lives on.
    drop(emulator);
    read("alice", &id).assert_error(500, "internal_error");
    assert_eq!(gateway.get("alice", "/healthz").status, 200);
}
