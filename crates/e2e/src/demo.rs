//! A running demo: `lab demo` in a temporary folder, and its API as a program uses it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::wait_until;
use crate::{programs, traces};

/// Time limit for a step of an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Programs that the page starts besides those of the lab.
const JUDGES: [&str; 2] = ["analyze", "report"];

/// A demo. Ends with this value.
pub struct Demo {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

/// An answer of the page's server.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head, as text.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Demo {
    /// Starts a demo on a free port, and waits until its page is served.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(flags: &[&str]) -> Self {
        Self::start_of(programs::lab().parent().expect("a program is in a folder"), flags)
    }

    /// Like [`Demo::start`], with the programs in this folder.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_of(programs: &Path, flags: &[&str]) -> Self {
        let _ = JUDGES.map(crate::programs::program);
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(programs.join("lab"));
        command
            .args(["--quiet", "demo", "--listen", "127.0.0.1:0"])
            .arg("--captures")
            .arg(folder.path().join("captures"))
            .arg("--certs")
            .arg(folder.path().join("certs"))
            .args(flags)
            .env_remove("PLAINSIGHT_BACKEND");
        Self::of(command, folder)
    }

    /// Starts a program that prints the page's address.
    fn of(mut command: Command, folder: TempDir) -> Self {
        command.env_remove("LISTEN").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the lab starts");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).expect("a line of text");
        let address = url.trim().trim_start_matches("http://").trim_end_matches('/');
        let address =
            address.parse().unwrap_or_else(|error| panic!("{url:?} is not the page's URL: {error}"));
        Self { child, address, folder }
    }

    /// Starts the page alone, with the captures of a folder.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn alone(captures: &Path) -> Self {
        let mut command = Command::new(programs::program("live"));
        command.args(["--listen", "127.0.0.1:0", "--captures"]).arg(captures);
        Self::of(command, tempfile::tempdir().expect("a folder"))
    }

    /// The page's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The page's address, to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder that belongs to the demo alone.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the captures.
    #[must_use]
    pub fn captures(&self) -> PathBuf {
        self.folder.path().join("captures")
    }

    /// The token that the page contains.
    ///
    /// # Panics
    /// If the page has none.
    #[must_use]
    pub fn token(&self) -> String {
        let page = self.request("GET / HTTP/1.1", "", b"");
        let text = String::from_utf8(page.body).expect("text");
        let token =
            text.split("plainsight-token\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
        token.expect("the page has a token").to_owned()
    }

    /// Gets a path of the API.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        let token = format!("X-Plainsight-Token: {}\r\n", self.token());
        self.request(&format!("GET {path} HTTP/1.1"), &token, b"")
    }

    /// Gets a JSON document of the API.
    ///
    /// # Panics
    /// If the answer is none.
    #[must_use]
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
    }

    /// Posts JSON to a path of the API.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let head = format!("X-Plainsight-Token: {}\r\nContent-Type: application/json\r\n", self.token());
        self.request(&format!("POST {path} HTTP/1.1"), &head, body.to_string().as_bytes())
    }

    /// Sends a request with this start line and these header lines, and reads the answer to its end.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn request(&self, start: &str, headers: &str, body: &[u8]) -> Answer {
        let host = if headers.to_ascii_lowercase().contains("host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.address)
        };
        let mut stream = TcpStream::connect(self.address).expect("the page's server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let length = body.len();
        let head = format!("{start}\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).expect("a request is sent");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body = bytes[end + 4..].to_vec();
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Answer { status, head, body: if is_chunked { unchunked(&body) } else { body } }
    }

    /// Sends a signal to all processes of a program of the demo.
    ///
    /// # Panics
    /// If it does not run.
    pub fn signal(&self, program: &str, signal: Signal) {
        let mut running = traces::processes(&self.captures());
        running.retain(|one| one.program == program);
        assert!(!running.is_empty(), "{program} is not running");
        for process in running {
            kill(Pid::from_raw(process.pid), signal).expect("a signal is sent");
        }
    }

    /// Kills the lab, and waits until everything that it started is gone.
    ///
    /// # Panics
    /// If something remains.
    pub fn kill(mut self) {
        let namespaces = traces::namespaces_of(&traces::processes(&self.captures()));
        self.child.kill().expect("the lab is killed");
        self.child.wait().expect("the lab ends");
        wait_until("all processes of the demo are gone", || traces::processes(&self.captures()).is_empty());
        wait_until("all its namespaces are gone", || traces::alive(&namespaces).is_empty());
    }

    /// Ends the demo as Ctrl-C does, and returns its status and what is left of it: processes and files.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn end(mut self) -> (std::process::ExitStatus, Vec<String>) {
        let namespaces = traces::namespaces_of(&traces::processes(&self.captures()));
        let pid = i32::try_from(self.child.id()).expect("a process id fits");
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("a signal is sent");
        let status = self.child.wait().expect("the demo ends");
        wait_until("all processes of the demo are gone", || traces::processes(&self.captures()).is_empty());
        wait_until("all its namespaces are gone", || traces::alive(&namespaces).is_empty());
        (status, crate::lab::names(&self.captures()))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The demo may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The contents of a chunked body (RFC 9112 §7.1).
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let length = String::from_utf8_lossy(&body[..end]);
        let length = usize::from_str_radix(length.trim(), 16).expect("the length of a chunk");
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 2 + length + 2..];
        if length == 0 {
            break;
        }
    }
    whole
}
