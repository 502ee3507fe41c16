//! agent-b as a process, and HTTP written by hand, so that a test controls every byte on the wire.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything; reached only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running agent-b; killed when dropped.
pub(crate) struct AgentB {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
}

impl AgentB {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, |_| {})
    }

    pub(crate) fn start_with(flags: &[&str], more: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready.json");
        let mut command = agent_b();
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.arg("--ready-file").arg(&ready);
        command.arg("--journal").arg(folder.path().join("b.jsonl")).args(flags);
        command.stdout(Stdio::null()).stderr(fs::File::create(folder.path().join("log")).unwrap());
        more(&mut command);
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        while !ready.exists() {
            assert!(started.elapsed() < PATIENCE, "no ready file");
            if let Some(status) = child.try_wait().unwrap() {
                panic!("agent-b ended: {status}: {}", fs::read_to_string(folder.path().join("log")).unwrap());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let ready: Value = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        let address = ready["local"].as_str().unwrap().parse().unwrap();
        Self { child, address, folder }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One request on a connection of its own: status and body.
    pub(crate) fn exchange(&self, request: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = self.connect();
        // A server that answers before it has read everything may close its side first.
        let _ = stream.write_all(request);
        read_response(&mut stream).expect("an answer")
    }

    pub(crate) fn post(&self, body: &[u8]) -> (u16, Value) {
        let (status, body) = self.exchange(&post(body, "application/json"));
        (status, serde_json::from_slice(&body).unwrap())
    }

    pub(crate) fn journal(&self) -> Vec<Value> {
        lines(&self.folder.path().join("b.jsonl"))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for AgentB {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, without settings from the environment.
pub(crate) fn agent_b() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-b"));
    for variable in [
        "LISTEN",
        "TLS_CERT",
        "TLS_KEY",
        "TLS_VERSIONS",
        "HTTP_VERSION",
        "JOURNAL",
        "RUN_ID",
        "CA_CERT",
        "SSLKEYLOGFILE",
    ] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(started.elapsed() < PATIENCE, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn post(body: &[u8], content_type: &str) -> Vec<u8> {
    let mut request = format!(
        "POST /tool HTTP/1.1\r\nHost: agent-b:8000\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Status and body of one answer with a Content-Length; `None` when the connection ends before it is whole.
pub(crate) fn read_response(stream: &mut impl Read) -> Option<(u16, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(bytes).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some((status, body))
}

pub(crate) fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn certificates() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    certgen::ensure(&certgen::Request::new(folder.path())).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}
