//! agent-b's flags, TLS, health check and exit statuses.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Output};
use std::time::Instant;

use common::{AgentB, PATIENCE, agent_b, certificates};

fn run(arguments: &[&str]) -> Output {
    agent_b().args(arguments).output().unwrap()
}

#[test]
fn invalid_settings_exit_with_2_and_name_the_setting() {
    let (_folder, certs) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    let garbage = path("garbage.pem");
    fs::write(&garbage, "no certificate").unwrap();
    for (arguments, words) in [
        (
            vec!["--tls-cert", "/nowhere/server.pem", "--tls-key", "/nowhere/server.key"],
            "/nowhere/server.pem",
        ),
        (vec!["--tls-cert", &path("server.pem")], "--tls-key"),
        (vec!["--tls-cert", &path("server.pem"), "--tls-key", &path("client.key")], "server.pem"),
        (vec!["--tls-cert", &garbage, "--tls-key", &path("server.key")], "garbage.pem"),
        (vec!["--tls-versions", "1.1"], "1.1"),
        (vec!["--http-version", "2"], "HTTP version `2` is not supported; supported: 1.1"),
        (vec!["--listen", "nowhere"], "nowhere"),
        (vec!["--run-id", "short"], "32 lower-case hex"),
        (vec!["--read-timeout", "0"], "3600"),
        (vec!["--journal", "/nowhere/at/all.jsonl"], "/nowhere/at/all.jsonl"),
        (vec!["--no-such-flag"], "--no-such-flag"),
    ] {
        let output = run(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn uses_the_http_version_of_the_flag() {
    let agent = AgentB::start(&["--http-version", "1.1"]);
    assert_eq!(agent.exchange(b"GET /healthz HTTP/1.1\r\nHost: agent-b\r\n\r\n").0, 200);
    assert!(agent.log().contains("HTTP/1.1"), "{}", agent.log());
}

#[test]
fn an_address_in_use_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address), "{output:?}");
}

#[test]
fn the_health_check_succeeds_only_on_200_from_a_trusted_server() {
    let (_folder, certs) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    let plain = AgentB::start(&[]);
    let tls = AgentB::start(&["--tls-cert", &path("server.pem"), "--tls-key", &path("server.key")]);
    let status = |arguments: &[&str]| run(&[&["healthcheck"], arguments].concat()).status.code();
    assert_eq!(status(&[&format!("http://{}/healthz", plain.address)]), Some(0));
    assert_eq!(status(&[&format!("http://{}/nothing", plain.address)]), Some(1));
    let https = format!("https://localhost:{}/healthz", tls.address.port());
    assert_eq!(status(&[&https, "--ca", &path("ca.pem")]), Some(0));
    let (_other_folder, other) = certificates();
    assert_eq!(status(&[&https, "--ca", other.join("ca.pem").to_str().unwrap()]), Some(1));
    assert_eq!(status(&[&https, "--ca", "/nowhere/ca.pem"]), Some(1));
    assert_eq!(status(&["http://127.0.0.1:1/healthz"]), Some(1));
    // The journal does not record health checks.
    assert!(plain.journal().is_empty() && tls.journal().is_empty());
}

#[test]
fn disconnects_a_client_with_a_slow_handshake() {
    let (_folder, certs) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    let flags =
        ["--tls-cert", &path("server.pem"), "--tls-key", &path("server.key"), "--read-timeout", "0.3"];
    let agent = AgentB::start(&flags);
    // Nothing, the beginning of a ClientHello, and bytes that are not TLS.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = agent.connect();
        stream.write_all(bytes).unwrap();
        let started = Instant::now();
        let _ = stream.read_to_end(&mut Vec::new());
        assert!(started.elapsed() < PATIENCE / 2, "{bytes:?}: not disconnected");
    }
    let https = format!("https://localhost:{}/healthz", agent.address.port());
    assert!(run(&["healthcheck", &https, "--ca", &path("ca.pem")]).status.success());
}

#[cfg(unix)]
#[test]
fn logs_keys_only_if_the_variable_names_a_file() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, certs) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    let keys = folder.path().join("run.keys");
    let flags = ["--tls-cert", &path("server.pem"), "--tls-key", &path("server.key")];
    let ask = |agent: &AgentB| {
        let https = format!("https://localhost:{}/healthz", agent.address.port());
        assert!(run(&["healthcheck", &https, "--ca", &path("ca.pem")]).status.success());
    };
    ask(&AgentB::start(&flags));
    ask(&AgentB::start_with(&flags, |command: &mut Command| {
        command.env("SSLKEYLOGFILE", "");
    }));
    assert!(!keys.exists());
    ask(&AgentB::start_with(&flags, |command: &mut Command| {
        command.env("SSLKEYLOGFILE", &keys);
    }));
    let text = fs::read_to_string(&keys).unwrap();
    let labels: std::collections::BTreeSet<_> =
        text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    for label in [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    ] {
        assert!(labels.contains(label), "{text}");
    }
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_ready_file_is_one_json_line() {
    let agent = AgentB::start(&[]);
    let text = fs::read_to_string(agent.folder.path().join("ready.json")).unwrap();
    assert_eq!(text, format!("{{\"local\":\"{}\"}}\n", agent.address));
}

#[cfg(unix)]
#[test]
fn refuses_a_key_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, certs) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    fs::set_permissions(certs.join("server.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let refused = run(&["--tls-cert", &path("server.pem"), "--tls-key", &path("server.key")]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{why}");
    assert!(why.contains(&format!("chmod 600 {}", path("server.key"))), "{why}");
}

#[test]
fn warns_once_of_plain_http_on_all_addresses_and_of_a_key_log() {
    let (folder, certs) = certificates();
    let path = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    let warnings = |agent: &AgentB| -> Vec<String> {
        agent.log().lines().filter(|line| line.contains("WARN")).map(ToOwned::to_owned).collect()
    };
    assert_eq!(warnings(&AgentB::start(&["-q"])), [""; 0]);
    let open = warnings(&AgentB::start(&["-q", "--listen", "0.0.0.0:0"]));
    assert!(open.len() == 1 && open[0].contains("plain HTTP on all addresses"), "{open:?}");
    let flags = ["-q", "--tls-cert", &path("server.pem"), "--tls-key", &path("server.key")];
    let keys = folder.path().join("run.keys");
    let logging = AgentB::start_with(&flags, |command: &mut Command| {
        command.env("SSLKEYLOGFILE", &keys);
    });
    let logged = warnings(&logging);
    assert!(logged.len() == 1 && logged[0].contains(keys.to_str().unwrap()), "{logged:?}");
}
