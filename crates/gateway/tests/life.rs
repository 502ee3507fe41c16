//! The gateway as a process: settings, TLS, shutdown, SIGKILL, and the files that remain.

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{Gateway, PATIENCE, Response, Workdir, certificates, post, run, wait_until};
use nix::sys::signal::Signal;
use serde_json::json;
use std::io::Write;

#[test]
fn invalid_settings_exit_with_2_and_name_the_setting() {
    let workdir = Workdir::new();
    let in_place = |name: &str| workdir.path().join(name).to_str().unwrap().to_owned();
    let (_folder, certs) = certificates();
    let cert = certs.join("server.pem").to_str().unwrap().to_owned();
    fs::write(workdir.path().join("text"), "no program, no database, no certificate").unwrap();
    let (text, store) = (in_place("text"), in_place("store.sqlite"));
    let agent = common::SCRIPTED_AGENT.as_str();
    let runs = ["--runner", agent, "--store"];
    for (arguments, words) in [
        (vec!["--listen", "nowhere"], "nowhere"),
        (vec!["--runner", "relative", "--store", &store], "relative is not an absolute path"),
        (vec!["--runner", "/nowhere/agent", "--store", &store], "/nowhere/agent"),
        (vec!["--runner", &text, "--store", &store], text.as_str()),
        (vec!["--image", "some:1", "--store", &store], "--runner"),
        (
            vec!["--runner", agent, "--image", "some:1", "--backend", "namespace", "--store", &store],
            "--backend docker",
        ),
        (vec!["--backend", "none"], "none"),
        (vec!["--runner-env", "=x"], "name"),
        (vec!["--answer-pointer", "result"], "JSON pointer"),
        (vec!["--delta-pointer", "delta"], "JSON pointer"),
        (vec!["--delta-pointer", "/delta", "--runner", agent, "--store", &store], "--answer-pointer"),
        (vec!["--delta-pointer", "/delta", "--answer-pointer", "/text", "--store", &store], "--runner"),
        (vec!["--boxes", "0"], "--boxes"),
        (vec!["--queue", "9999"], "--queue"),
        (vec!["--box-seconds", "0"], "3600"),
        (vec!["--network", "host"], "--network"),
        (vec!["--tls-cert", &cert, "--store", &store], "--tls-key"),
        ([&runs[..], &["/nowhere/at/all.sqlite"]].concat(), "/nowhere/at/all.sqlite"),
        ([&runs[..], &[&text]].concat(), "text"),
        ([&runs[..], &[&store, "--label", "a/b"]].concat(), "label"),
        #[cfg(not(feature = "firestore"))]
        ([&runs[..], &["firestore:demo"]].concat(), "cargo build -p gateway --features firestore"),
    ] {
        let output = run(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn an_address_in_use_exits_with_1() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let other = Workdir::new();
    let address = gateway.address.to_string();
    let store = other.store();
    let output = run(&[
        "--listen",
        &address,
        "--backend",
        "namespace",
        "--allow-weak-memory-limit",
        "--runner",
        &common::SCRIPTED_AGENT,
        "--store",
        store.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address), "{output:?}");
}

#[test]
fn conversations_survive_a_restart() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let (id, text) = gateway.say("alice", "hello").answer();
    gateway.stop();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let read = gateway.get("alice", &format!("/api/conversation/{id}")).json();
    assert_eq!(read["messages"][1]["text"], text);
    assert_eq!(gateway.say_in("alice", &id, "again").answer(), (id, "2 before; you said: again".into()));
}

#[test]
fn store_has_one_gateway_at_a_time() {
    let workdir = Workdir::new();
    let Some(_gateway) = workdir.gateway(&[]) else { return };
    let store = workdir.store();
    let output = run(&["--runner", &common::SCRIPTED_AGENT, "--store", store.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use by another gateway"), "{output:?}");
}

#[test]
fn sigterm_lets_requests_in_flight_finish() {
    let workdir = Workdir::new();
    let Some(mut gateway) = workdir.gateway(&["--boxes", "1"]) else { return };
    let (running, waiting) = std::thread::scope(|scope| {
        let running = scope.spawn(|| gateway.say("alice", "sleep 400"));
        gateway.wait_for_load(1, 0);
        let waiting = scope.spawn(|| gateway.say("bob", "hello"));
        gateway.wait_for_load(1, 1);
        gateway.signal(Signal::SIGTERM);
        (running.join().unwrap(), waiting.join().unwrap())
    });
    assert_eq!(running.answer().1, "slept");
    assert_eq!(waiting.answer().1, "0 before; you said: hello");
    assert!(gateway.wait().success());
}

#[test]
fn second_signal_ends_gateway_and_boxes_at_once() {
    let workdir = Workdir::new();
    let Some(mut gateway) = workdir.gateway(&[]) else { return };
    let mut stream = gateway.connect();
    stream.write_all(&post("alice", b"{\"message\":\"sleep 50000\"}")).unwrap();
    wait_until(|| (!gateway.box_commands().is_empty()).then_some(()));
    let family = gateway.family();
    gateway.signal(Signal::SIGTERM);
    wait_until(|| gateway.log().contains("stopping").then_some(()));
    gateway.signal(Signal::SIGINT);
    gateway.wait();
    wait_until(|| family.iter().all(|process| !process.exists()).then_some(()));
    gateway.assert_no_box_left();
    assert!(Response::read(&mut stream).is_none());
}

#[test]
fn killed_gateway_leaves_no_process_and_a_consistent_store() {
    let workdir = Workdir::new();
    for round in 0..3 {
        let Some(mut gateway) = workdir.gateway(&["--boxes", "4"]) else { return };
        let kept: Vec<_> =
            (0..3).map(|number| gateway.say("alice", &format!("{round} {number}")).answer().0).collect();
        // Some requests are in a sandbox, some are waiting, and some are about to be stored.
        let streams: Vec<_> = (0..12)
            .map(|number| {
                let message = if number < 2 { "sleep 600000".to_owned() } else { format!("sleep {number}") };
                let mut stream = gateway.connect();
                stream.write_all(&post("alice", json!({"message": message}).to_string().as_bytes())).unwrap();
                stream
            })
            .collect();
        wait_until(|| (!gateway.box_commands().is_empty()).then_some(()));
        std::thread::sleep(Duration::from_millis(40 * round));
        let family = gateway.family();
        gateway.signal(Signal::SIGKILL);
        gateway.wait();
        let answered: Vec<_> = streams
            .into_iter()
            .filter_map(|mut stream| Response::read(&mut stream))
            .map(|answer| answer.answer().0)
            .collect();
        wait_until(|| family.iter().all(|process| !process.exists()).then_some(()));
        gateway.assert_no_box_left();

        let integrity: String = rusqlite::Connection::open(workdir.store())
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(integrity, "ok");
        let Some(gateway) = workdir.gateway(&[]) else { return };
        for id in kept.iter().chain(&answered) {
            let read = gateway.get("alice", &format!("/api/conversation/{id}"));
            assert_eq!(read.json()["messages"].as_array().map(Vec::len), Some(2), "{id} was answered");
        }
        let page = gateway.get("alice", "/api/conversations?limit=100").json();
        for entry in page["conversations"].as_array().unwrap() {
            let id = entry["conversationId"].as_str().unwrap();
            let turns = gateway.get("alice", &format!("/api/conversation/{id}")).json()["messages"].clone();
            assert_eq!(turns.as_array().unwrap().len() as u64, 2 * entry["turns"].as_u64().unwrap());
        }
        assert_eq!(gateway.say("alice", "hello").status, 200);
        gateway.stop();
    }
}

#[test]
fn serves_over_tls_and_health_check_trusts_only_the_given_authority() {
    let (_folder, certs) = certificates();
    let (_other_folder, other) = certificates();
    let path = |folder: &Path, name: &str| folder.join(name).to_str().unwrap().to_owned();
    let flags = ["--tls-cert", &path(&certs, "server.pem"), "--tls-key", &path(&certs, "server.key")];
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[&flags[..], &["--read-timeout", "0.5"]].concat()) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let https = format!("https://localhost:{}", gateway.address.port());
    runtime.block_on(async {
        let tls =
            agent_core::tls::client_config(&certs.join("ca.pem"), &"1.3".parse().unwrap(), None).unwrap();
        let client = agent_core::transport::client_builder(tls).timeout(PATIENCE).build().unwrap();
        let asked = client.post(format!("{https}/api/conversation")).header("X-User-Id", "alice");
        let body = json!({"message": "sealed?"}).to_string();
        let answer = asked.header("Content-Type", "application/json").body(body).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));
        assert!(answer.text().await.unwrap().contains("0 before; you said: sealed?"));
        let missing = client.get(format!("{https}/nothing")).send().await.unwrap();
        assert_eq!(missing.status().as_u16(), 404);
    });
    let healthy = |ca: &str| run(&["healthcheck", &format!("{https}/healthz"), "--ca", ca]).status.code();
    assert_eq!(healthy(&path(&certs, "ca.pem")), Some(0));
    assert_eq!(healthy(&path(&other, "ca.pem")), Some(1));
    // The gateway closes a connection without TLS.
    let mut plain = gateway.connect();
    plain.write_all(&post("alice", b"{\"message\":\"hello\"}")).unwrap();
    assert!(Response::read(&mut plain).is_none());
}

#[test]
fn health_check_succeeds_only_on_200() {
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    let status =
        |path: &str| run(&["healthcheck", &format!("http://{}{path}", gateway.address)]).status.code();
    assert_eq!(status("/healthz"), Some(0));
    assert_eq!(status("/nothing"), Some(1));
    assert_eq!(run(&["healthcheck", "http://127.0.0.1:1/healthz"]).status.code(), Some(1));
}

#[test]
fn only_the_owner_can_read_the_store() {
    use std::os::unix::fs::PermissionsExt;
    let workdir = Workdir::new();
    let Some(gateway) = workdir.gateway(&[]) else { return };
    gateway.say("alice", "hello").answer();
    let names: Vec<_> = fs::read_dir(workdir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: Vec<_> = names.iter().filter(|name| name.to_str().unwrap().contains("store.sqlite")).collect();
    assert!(files.len() >= 3, "{names:?}");
    for file in files {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let _: &Gateway = &gateway;
}
