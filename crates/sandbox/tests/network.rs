//! The positive control of the tests without network: the same attempts from a box that was given one.
#![cfg(target_os = "linux")]

mod common;

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Way, job, options, run, stdout};
use sandbox::docker::Docker;
use sandbox::namespace::Namespace;
use sandbox::{Exit, Sandbox};
use test_support::skip;

/// Set for the copy of this program that is root in user and network namespaces of its own.
const INSIDE: &str = "PLAINSIGHT_TEST_INSIDE";

/// Joining a network namespace needs rights over it: root has them, and so has any user in a new user namespace.
#[test]
fn a_box_joins_the_network_namespace_that_it_is_given() {
    if nix::unistd::geteuid().is_root() {
        runtime().block_on(joins());
        return;
    }
    let this = std::env::current_exe().unwrap();
    let inside = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(this)
        .args(["--exact", "a_box_joins_the_network_namespace_that_it_is_given", "--nocapture"])
        .env(INSIDE, "1")
        .output();
    match inside {
        Ok(output) => {
            let text = [output.stdout, output.stderr]
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .concat();
            // Without this test's name in the copy, `--exact` would select nothing and succeed.
            assert!(output.status.success() && text.contains("1 passed"), "inside the namespaces:\n{text}");
        }
        Err(error) => skip(&format!("no program `unshare`: {error}")),
    }
}

async fn joins() {
    let path = format!("/proc/{}/ns/net", std::process::id());
    let ours = std::fs::read_link(&path).unwrap().display().to_string();
    for way in [Way::Namespace, Way::WithoutCgroups] {
        let opened = Namespace::open_with_network(options(way, "test"), path.clone().into()).await.unwrap();
        let given: Arc<dyn Sandbox> = Arc::new(opened);
        let outcome = run(&given, job(&["namespace", "net"])).await;
        assert_eq!(stdout(&outcome), format!("{ours}\n"));
        let network = outcome.in_force.iter().find(|entry| entry.name == "network").unwrap();
        assert_eq!(network.mechanism, "network namespace that was given");
        let isolated: Arc<dyn Sandbox> = Arc::new(Namespace::open(options(way, "test")).await.unwrap());
        assert_ne!(stdout(&run(&isolated, job(&["namespace", "net"])).await), format!("{ours}\n"));
        // Inside `unshare` this process has no network itself.
        if std::env::var_os(INSIDE).is_none() {
            reaches(&given, "127.0.0.1").await;
        }
    }
}

#[test]
fn a_container_joins_the_network_that_it_is_given() {
    runtime().block_on(async {
        if common::open(Way::Docker).await.is_none() {
            return;
        }
        let network = EngineNetwork::create();
        let given =
            Docker::open_with_network(options(Way::Docker, "test"), network.id.clone()).await.unwrap();
        let given: Arc<dyn Sandbox> = Arc::new(given);
        reaches(&given, &network.gateway()).await;
    });
}

/// Maximum time for the engine to take the address of an ended container back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(20);

/// A bridge network of the engine that the test creates and removes.
///
/// The engine's default network `bridge` cannot be used: after the first start of an engine 20.10 its description has
/// no `Gateway`.
struct EngineNetwork {
    id: String,
}

impl EngineNetwork {
    fn create() -> Self {
        let name = format!("plainsight-test-{}", std::process::id());
        Self { id: docker(&["network", "create", &name]) }
    }

    /// The host's address in this network.
    fn gateway(&self) -> String {
        docker(&["network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", &self.id])
    }
}

impl Drop for EngineNetwork {
    /// Tries again while the network is in use: the engine reports the end of a container before it takes its address
    /// back, and does not list such a container among the network's members.
    fn drop(&mut self) {
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        let removed = loop {
            let removed = Command::new("docker").args(["network", "rm", &self.id]).output();
            let is_in_use =
                |output: &Output| String::from_utf8_lossy(&output.stderr).contains("has active endpoints");
            if !removed.as_ref().is_ok_and(is_in_use) || Instant::now() >= deadline {
                break removed;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        if !std::thread::panicking() {
            let removed = removed.unwrap();
            assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
        }
    }
}

/// What Docker's command line prints, without the line end.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("Docker's command line starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Lets a box of `sandbox` connect to a listener at this address of the host.
async fn reaches(sandbox: &Arc<dyn Sandbox>, address: &str) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let listening = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let outcome = run(sandbox, job(&["network", "tcp", &target])).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(stdout(&outcome).contains(&format!("tcp {target} ok")), "{}", stdout(&outcome));
    listening.join().unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
