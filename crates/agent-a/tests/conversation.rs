//! agent-a as a process against agent-b's own routes and listener, plain and over TLS.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use agent_b::routes::{Service, router};
use agent_core::hex128::Hex128;
use agent_core::journal::{Journal, sha256_hex};
use agent_core::tls::{self, TlsVersions};
use serde_json::Value;
use serve::{ConnectionLimits, Handle, Server};
use test_support::skip;

/// agent-b on a thread of this process, listening on 127.0.0.1; stopped on drop.
struct Lab {
    address: SocketAddr,
    folder: tempfile::TempDir,
    handle: Handle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Lab {
    fn start(tls_versions: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = tls_versions.map(|versions| {
            certgen::ensure(&certgen::Request::new(folder.path())).unwrap();
            let versions: TlsVersions = versions.parse().unwrap();
            let file = |name| folder.path().join(name);
            tls::server_config(&file("server.pem"), &file("server.key"), &versions, None).unwrap()
        });
        let journal =
            Journal::open(&folder.path().join("b.jsonl"), Hex128::fresh().unwrap(), "agent-b").unwrap();
        let read_timeout = Duration::from_secs(10);
        let service = Service { body_limit: 256 * 1024, read_timeout, journal };
        let server = Server::listen("127.0.0.1:0".parse().unwrap(), limits(read_timeout)).unwrap();
        let (address, handle) = (server.local(), Handle::new());
        let stop = handle.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.serve(router(service), tls, stop)).unwrap();
        });
        Self { address, folder, handle, thread: Some(thread) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// agent-a with this server as agent-b.
    fn agent_a(&self, scheme: &str, flags: &[&str]) -> Command {
        let mut command = agent_a();
        command.args(["--server-url", &format!("{scheme}://agent-b:8000/tool")]);
        command.args(["--resolve", &format!("agent-b={}", self.address)]);
        command.arg("--ca").arg(self.file("ca.pem")).arg("--journal").arg(self.file("a.jsonl")).args(flags);
        command
    }

    fn run(&self, scheme: &str, flags: &[&str]) -> Output {
        self.agent_a(scheme, flags).output().unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.handle.shutdown();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// The program without settings from the environment.
fn agent_a() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-a"));
    for variable in [
        "SERVER_URL",
        "CA_CERT",
        "RESOLVE",
        "HTTP_VERSION",
        "TLS_VERSIONS",
        "MESSAGE",
        "COUNT",
        "JOURNAL",
        "RUN_ID",
        "DEADLINE",
        "SSLKEYLOGFILE",
    ] {
        command.env_remove(variable);
    }
    command
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the whole script, and checks the journals.
fn whole_script(scheme: &str, tls_versions: Option<&str>) {
    let lab = Lab::start(tls_versions);
    let run = "0123456789abcdef0123456789abcdef";
    let versions = tls_versions.unwrap_or("1.3");
    let output = lab.run(scheme, &["--run-id", run, "--http-version", "1.1", "--tls-versions", versions]);
    assert_success(&output);

    let stdout = String::from_utf8(output.stdout).unwrap();
    let shown: Vec<_> =
        stdout.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    let expected: Vec<_> = (1..=12).map(|number| format!("call-{number:04} 200")).collect();
    assert_eq!(shown, expected);
    assert!(!stdout.chars().any(|c| c.is_control() && c != '\n'), "stdout holds control characters");

    let (of_a, of_b) = (lines(&lab.file("a.jsonl")), lines(&lab.file("b.jsonl")));
    assert_eq!((of_a.len(), of_b.len()), (24, 24));
    let mut canaries = HashSet::new();
    for (journal, first) in [(&of_a, "sent"), (&of_b, "received")] {
        for (number, line) in journal.iter().enumerate() {
            assert_eq!((line["event"] == first), number % 2 == 0);
            assert_eq!(line["message_id"], format!("call-{:04}", number / 2 + 1));
            assert_eq!(line["content_type"], "application/json");
            assert_eq!(line["body_sha256"], sha256_hex(line["body"].as_str().unwrap().as_bytes()));
        }
    }
    for (a, b) in of_a.iter().zip(&of_b) {
        // Both journals hold the same bytes, on the same connection.
        assert_eq!(a["body"], b["body"]);
        assert_eq!((&a["local"], &a["remote"]), (&b["remote"], &b["local"]));
        assert_eq!((&a["run"], &a["agent"]), (&run.into(), &"agent-a".into()));
        assert_eq!(a["remote"], lab.address.to_string());
        let body: Value = serde_json::from_str(a["body"].as_str().unwrap()).unwrap();
        assert_eq!(body.as_object().unwrap().keys().next_back().unwrap(), "canary");
        assert!(canaries.insert(body["canary"].as_str().unwrap().to_owned()));
    }
    // Nine messages on one connection, then three on one each.
    let locals: Vec<_> = of_a.iter().step_by(2).map(|line| line["local"].as_str().unwrap()).collect();
    let mut uses = BTreeMap::new();
    locals.iter().for_each(|local| *uses.entry(local).or_insert(0) += 1);
    assert_eq!(uses.len(), 4, "{locals:?}");
    assert_eq!(uses[&locals[0]], 9);
}

#[test]
fn runs_the_script_over_http() {
    whole_script("http", None);
}

#[test]
fn runs_the_script_over_tls_1_3() {
    whole_script("https", Some("1.3"));
}

#[test]
fn runs_the_script_over_tls_1_2() {
    whole_script("https", Some("1.2"));
}

#[test]
fn fails_without_a_common_tls_version() {
    let lab = Lab::start(Some("1.3"));
    let output = lab.run("https", &["--tls-versions", "1.2", "--deadline", "20"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn trusts_only_the_given_authority() {
    let lab = Lab::start(Some("1.3"));
    let other = tempfile::tempdir().unwrap();
    certgen::ensure(&certgen::Request::new(other.path())).unwrap();
    let started = std::time::Instant::now();
    fs::copy(other.path().join("ca.pem"), lab.file("ca.pem")).unwrap();
    let output = lab.run("https", &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("certificate"), "{stderr}");
    assert!(started.elapsed() < Duration::from_secs(10), "it kept trying despite an untrusted certificate");
    // No message was sent to the untrusted server.
    assert!(lines(&lab.file("a.jsonl")).is_empty() && lines(&lab.file("b.jsonl")).is_empty());
}

#[test]
fn rejects_a_certificate_for_another_name() {
    let lab = Lab::start(Some("1.3"));
    let output = agent_a()
        .args(["--server-url", "https://agent-c:8000/tool", "--ca", lab.file("ca.pem").to_str().unwrap()])
        .args(["--resolve", &format!("agent-c={}", lab.address)])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("agent-c"), "{stderr}");
}

#[test]
fn writes_a_key_log_only_with_sslkeylogfile() {
    let lab = Lab::start(Some("1.3"));
    let keys = lab.file("run.keys");
    assert_success(&lab.run("https", &[]));
    assert!(!keys.exists());
    assert_success(&lab.agent_a("https", &[]).env("SSLKEYLOGFILE", &keys).output().unwrap());
    let text = fs::read_to_string(&keys).unwrap();
    // Four full handshakes: no session is resumed.
    assert_eq!(text.matches("CLIENT_TRAFFIC_SECRET_0 ").count(), 4, "{text}");
    assert_eq!(text.matches("SERVER_HANDSHAKE_TRAFFIC_SECRET ").count(), 4);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn ignores_proxies_in_the_environment() {
    let lab = Lab::start(None);
    let mut command = lab.agent_a("http", &["--count", "1"]);
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(variable, "http://127.0.0.1:1");
    }
    assert_success(&command.output().unwrap());
}

// Regression: answers that wait for a delayed acknowledgement take 40 ms, most of them over TLS.
#[test]
fn sequential_requests_do_not_stall() {
    for tls_versions in [None, Some("1.3")] {
        let lab = Lab::start(tls_versions);
        let scheme = if tls_versions.is_some() { "https" } else { "http" };
        assert_success(&lab.run(scheme, &["--count", "48", "--quiet"]));
        let journal = lines(&lab.file("a.jsonl"));
        let mut times: Vec<u64> = journal
            .chunks(2)
            .map(|pair| pair[1]["at_unix_ns"].as_u64().unwrap() - pair[0]["at_unix_ns"].as_u64().unwrap())
            .collect();
        times.sort_unstable();
        assert_eq!(times.len(), 48);
        assert!(times[24] < 20_000_000, "{scheme}: {times:?}");
    }
}

#[test]
fn count_repeats_the_script_with_new_ids() {
    let lab = Lab::start(None);
    assert_success(&lab.run("http", &["--count", "30"]));
    let sent: Vec<_> =
        lines(&lab.file("a.jsonl")).into_iter().filter(|line| line["event"] == "sent").collect();
    let ids: HashSet<_> = sent.iter().map(|line| line["message_id"].to_string()).collect();
    assert_eq!((sent.len(), ids.len()), (30, 30));
}

#[test]
fn sends_a_message_from_a_file_unchanged() {
    let lab = Lab::start(None);
    let file = lab.file("message.json");
    let text = "{ \"id\":\"mine\",\"type\":\"tool_call\", \"tool_name\":\"transform_text\",\n\"arguments\":{\"text\":\"\\ud55c\",\"operation\":\"reverse\"}";
    fs::write(&file, format!("{text}}}\n")).unwrap();
    let output = lab.run("http", &["--message", file.to_str().unwrap(), "--count", "2"]);
    assert_success(&output);
    let journal = lines(&lab.file("b.jsonl"));
    assert!(
        journal[0]["body"].as_str().unwrap().starts_with(&format!("{text},\"canary\":\"")),
        "{}",
        journal[0]
    );
    assert_eq!((&journal[0]["message_id"], &journal[2]["message_id"]), (&"mine".into(), &"mine-2".into()));
    // A refusal by the server counts as a wrong answer.
    fs::write(&file, "{\"id\":\"mine\",\"type\":\"tool_call\",\"tool_name\":\"none\",\"arguments\":{}}")
        .unwrap();
    let output = lab.run("http", &["--message", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("mine 404 {\"error\":"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("404"), "{output:?}");
}

#[test]
fn a_flag_overrides_its_variable() {
    let lab = Lab::start(None);
    let mut command = lab.agent_a("http", &["--count", "1"]);
    assert_success(&command.env("SERVER_URL", "http://nowhere.invalid/tool").output().unwrap());
    let mut command = agent_a();
    command.env("SERVER_URL", "http://agent-b:8000/tool").env("RESOLVE", format!("agent-b={}", lab.address));
    assert_success(&command.output().unwrap());
}

#[test]
fn waits_for_a_server_that_starts_late() {
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let folder = tempfile::tempdir().unwrap();
    let journal_path = folder.path().join("a.jsonl");
    let waiting = agent_a()
        .args(["--server-url", &format!("http://{address}/tool"), "--count", "2", "--journal"])
        .arg(&journal_path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let service = Service {
        body_limit: 1 << 20,
        read_timeout: Duration::from_secs(10),
        journal: Journal::disabled(Hex128::fresh().unwrap(), "agent-b"),
    };
    let server = Server::listen(address, limits(Duration::from_secs(10))).unwrap();
    let handle = Handle::new();
    let stop = handle.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(server.serve(router(service), None, stop)).unwrap();
    });
    assert_success(&waiting.wait_with_output().unwrap());
    // The failed attempts sent nothing, and so recorded nothing.
    assert_eq!(lines(&journal_path).len(), 4);
    handle.shutdown();
    thread.join().unwrap();
}

#[test]
fn gives_up_on_a_server_that_never_starts() {
    for url in ["http://127.0.0.1:1/tool", "http://agent-b.invalid:8000/tool"] {
        let started = std::time::Instant::now();
        let output = agent_a().args(["--server-url", url, "--deadline", "1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(started.elapsed() < Duration::from_secs(15));
        // It says so before it waits, once, with what to do.
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.lines().next().unwrap().contains(&format!("no server at {url} yet")));
        assert_eq!(stderr.matches("agent-b --listen").count(), 1, "{stderr}");
    }
}

#[test]
fn exits_with_2_on_invalid_flags_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.json");
    fs::write(&bad, "[]").unwrap();
    for (arguments, words) in [
        (vec!["--server-url", "nonsense"], "SERVER_URL"),
        (vec!["--server-url", "https://agent-b/tool", "--ca", "/nowhere/ca.pem"], "/nowhere/ca.pem"),
        (vec!["--resolve", "agent-b"], "HOST=IP"),
        (vec!["--message", "/nowhere/message.json"], "/nowhere/message.json"),
        (vec!["--message", bad.to_str().unwrap()], "bad.json"),
        (vec!["--count", "0"], "--count"),
        (vec!["--tls-versions", "1.0"], "1.0"),
        (vec!["--http-version", "2"], "HTTP version `2` is not supported; supported: 1.1"),
        (vec!["--run-id", "x"], "32 lower-case hex"),
        (vec!["--journal", "/nowhere/a.jsonl"], "/nowhere/a.jsonl"),
        (vec!["--no-such-flag"], "--no-such-flag"),
    ] {
        let output = agent_a().args(&arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}

#[test]
fn sends_nothing_if_the_journal_cannot_be_written() {
    if !Path::new("/dev/full").exists() {
        return skip("this system has no /dev/full");
    }
    let lab = Lab::start(None);
    let output = agent_a()
        .args(["--server-url", "http://agent-b:8000/tool", "--resolve", &format!("agent-b={}", lab.address)])
        .args(["--journal", "/dev/full"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(lines(&lab.file("b.jsonl")).is_empty(), "a message was sent but not recorded");
}

fn limits(read_timeout: Duration) -> ConnectionLimits {
    let connections = agent_b::MAX_CONNECTIONS;
    ConnectionLimits { connections, per_address: connections, read_timeout, send_buffer: None }
}
