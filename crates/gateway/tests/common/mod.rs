//! Runs the gateway as a process with real sandboxes, and sends HTTP requests byte by byte.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use test_support::skip;

/// Longest wait for a condition; reached only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program in the sandboxes of the tests.
pub(crate) static SCRIPTED_AGENT: LazyLock<String> = LazyLock::new(|| {
    let agent = Path::new(env!("CARGO_BIN_EXE_gateway")).with_file_name("examples/scripted-agent");
    assert!(agent.exists(), "it is not built: cargo build -p gateway --examples");
    agent.to_str().expect("a path in UTF-8").to_owned()
});

/// Helpers that the namespace backend starts in advance.
const HELPERS_IN_WAIT: usize = 2;

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    /// Occurs in the command line of every program in its sandboxes.
    pub(crate) mark: String,
    life: u32,
}

/// A folder for a gateway's files, so that the store outlives the process.
pub(crate) struct Workdir(tempfile::TempDir);

impl Workdir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path().join("store.sqlite")
    }

    /// Starts a gateway with namespace sandboxes in this folder; skips the test and returns `None` on a machine without
    /// namespaces.
    pub(crate) fn gateway(&self, flags: &[&str]) -> Option<Gateway> {
        Gateway::start(self.path(), &[&["--backend", "namespace"], flags].concat(), &SCRIPTED_AGENT)
    }
}

impl Gateway {
    /// Starts a gateway whose sandboxes run the scripted agent at the path `agent`.
    pub(crate) fn start(folder: &Path, flags: &[&str], agent: &str) -> Option<Self> {
        Self::launch(folder, |command, mark| {
            if !flags.contains(&"--store") {
                command.arg("--store").arg(folder.join("store.sqlite"));
            }
            if !flags.contains(&"--prompt-format") {
                command.args(["--prompt-format", "json"]);
            }
            command.args(["--runner", agent, "--runner-arg", mark]).args(flags);
        })
    }

    /// Starts a gateway with the settings of `more`; the programs in its sandboxes should have the mark as an argument.
    pub(crate) fn launch(folder: &Path, more: impl FnOnce(&mut Command, &str)) -> Option<Self> {
        Self::launch_by(gateway(), folder, more)
    }

    /// Like [`Self::launch`], of a command that becomes the gateway with the arguments that it gets.
    pub(crate) fn launch_by(
        mut command: Command,
        folder: &Path,
        more: impl FnOnce(&mut Command, &str),
    ) -> Option<Self> {
        static LIVES: AtomicU64 = AtomicU64::new(0);
        let life = LIVES.fetch_add(1, Ordering::Relaxed);
        let mark = format!("mark-{}-{life}", std::process::id());
        let ready = folder.join("ready.json");
        let _ = fs::remove_file(&ready);
        command.env("LOG_FORMAT", "json").arg("--allow-weak-memory-limit").arg("--ready-file").arg(&ready);
        more(&mut command, &mark);
        if !command.get_args().any(|argument| argument == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let log = folder.join(format!("log-{life}"));
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        while !ready.exists() {
            assert!(started.elapsed() < PATIENCE, "no ready file");
            if let Some(status) = child.try_wait().unwrap() {
                let log = fs::read_to_string(&log).unwrap();
                assert!(log.contains("no sandboxes"), "the gateway ended: {status}: {log}");
                skip(&log);
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let ready: Value = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        let address = ready["local"].as_str().unwrap().parse().unwrap();
        Some(Self { child, address, folder: folder.to_owned(), mark, life: u32::try_from(life).unwrap() })
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends one request on a new connection.
    pub(crate) fn exchange(&self, request: &[u8]) -> Response {
        let mut stream = self.connect();
        // A server may answer and close before it has read the whole request.
        let _ = stream.write_all(request);
        Response::read(&mut stream).expect("an answer")
    }

    /// Sends a message in a new conversation.
    pub(crate) fn say(&self, user: &str, message: &str) -> Response {
        self.post(user, &json!({"message": message}))
    }

    /// Sends a message in a conversation.
    pub(crate) fn say_in(&self, user: &str, id: &str, message: &str) -> Response {
        self.post(user, &json!({"message": message, "conversationId": id}))
    }

    pub(crate) fn post(&self, user: &str, body: &Value) -> Response {
        self.exchange(&post(user, body.to_string().as_bytes()))
    }

    /// Asks for a streamed answer on a new connection; the response is not read yet.
    pub(crate) fn ask_for_stream(&self, user: &str, body: &Value) -> TcpStream {
        let mut stream = self.connect();
        let request = post(user, body.to_string().as_bytes());
        let head = "Accept: text/event-stream\r\nContent-Type: ";
        let request = String::from_utf8(request).unwrap().replacen("Content-Type: ", head, 1);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Sends a message in a new conversation, and opens its streamed answer.
    pub(crate) fn stream(&self, user: &str, message: &str) -> EventStream {
        EventStream::open(self.ask_for_stream(user, &json!({"message": message})))
    }

    pub(crate) fn get(&self, user: &str, path: &str) -> Response {
        self.exchange(&request("GET", path, user))
    }

    pub(crate) fn delete(&self, user: &str, path: &str) -> Response {
        self.exchange(&request("DELETE", path, user))
    }

    /// Waits until this many requests run, and this many wait.
    pub(crate) fn wait_for_load(&self, running: u64, waiting: u64) {
        wait_until(|| {
            let health = self.get("health-check", "/healthz").json();
            (health["running"] == running && health["waiting"] == waiting).then_some(())
        });
    }

    /// The commands that run in its sandboxes.
    pub(crate) fn box_commands(&self) -> Vec<Process> {
        Process::all().into_iter().filter(|process| process.has_mark(&self.mark)).collect()
    }

    /// All descendants of the gateway's process: commands in sandboxes, their helpers, and idle helpers.
    pub(crate) fn family(&self) -> Vec<Process> {
        let all = Process::all();
        let mut family = vec![self.pid()];
        loop {
            let born =
                |process: &&Process| family.contains(&process.parent) && !family.contains(&process.pid);
            let more: Vec<_> = all.iter().filter(born).map(|process| process.pid).collect();
            if more.is_empty() {
                break;
            }
            family.extend(more);
        }
        family.remove(0);
        let is_ours = |process: &Process| family.contains(&process.pid) || process.has_mark(&self.mark);
        all.into_iter().filter(is_ours).collect()
    }

    /// Waits until no sandbox is left: no command, and no helper except the idle ones.
    #[track_caller]
    pub(crate) fn assert_no_box_left(&self) {
        wait_until(|| {
            let family = self.family();
            let helpers = family.iter().filter(|process| process.line.contains("__sandbox-helper")).count();
            let boxed = family.iter().any(|process| process.has_mark(&self.mark));
            (!boxed && helpers <= HELPERS_IN_WAIT).then_some(())
        });
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join(format!("log-{}", self.life))).unwrap()
    }

    /// The log's lines, each of which must be JSON.
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.log().lines().map(parse).collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_until(|| self.child.try_wait().unwrap())
    }

    /// Ends the gateway by SIGTERM.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        assert!(self.wait().success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = write!(io::stderr(), "the log of the gateway:\n{}", self.log());
        }
    }
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Reads one response, with a Content-Length, in chunks (RFC 9112 §7.1), or without a body; `None` if the connection ends before it is complete.
    pub(crate) fn read(stream: &mut impl Read) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        fn next(reader: &mut impl BufRead) -> Option<String> {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            line.strip_suffix("\r\n").map(ToOwned::to_owned)
        }
        let status = next(&mut reader)?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = next(&mut reader)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Self { status, headers, body: Vec::new() };
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let length = usize::from_str_radix(&next(&mut reader)?, 16).ok()?;
                let mut chunk = vec![0; length];
                reader.read_exact(&mut chunk).ok()?;
                response.body.append(&mut chunk);
                reader.read_exact(&mut [0; 2]).ok()?;
                if length == 0 {
                    return Some(response);
                }
            }
        }
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        response.body.resize(length, 0);
        reader.read_exact(&mut response.body).ok()?;
        Some(response)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that the response is an answer, and returns its conversation and text.
    pub(crate) fn answer(&self) -> (String, String) {
        let body = self.json();
        assert_eq!(self.status, 200, "{body}");
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (text("conversationId"), text("text"))
    }

    /// Asserts that the response is an error of exactly the documented form.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{body}");
        let error = body["error"].as_object().unwrap();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message"], "{body}");
        assert_eq!(error["code"], code, "{body}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}

/// A streamed answer, read event by event from its chunked body (RFC 9112 §7.1).
pub(crate) struct EventStream {
    reader: BufReader<TcpStream>,
    pub(crate) headers: Vec<(String, String)>,
    /// Bytes of the body that are no whole event yet.
    unread: Vec<u8>,
}

impl EventStream {
    /// Reads the head of a streamed answer.
    pub(crate) fn open(stream: TcpStream) -> Self {
        let mut this = Self { reader: BufReader::new(stream), headers: Vec::new(), unread: Vec::new() };
        assert_eq!(this.line(), "HTTP/1.1 200 OK");
        loop {
            let line = this.line();
            let Some((name, value)) = line.split_once(':') else { break };
            this.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        assert_eq!(this.header("content-type"), Some("text/event-stream"));
        assert_eq!(this.header("transfer-encoding"), Some("chunked"));
        this
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("no whole line: {line:?}")).to_owned()
    }

    /// The next event with its data; `None` after the last one.
    pub(crate) fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.unread.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                if event == ":\n\n" {
                    continue;
                }
                let (name, data) = event.trim_end().split_once('\n').unwrap();
                let name = name.strip_prefix("event: ").unwrap_or_else(|| panic!("{event:?}"));
                let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:?}"));
                return Some((name.to_owned(), serde_json::from_str(data).unwrap()));
            }
            let length = usize::from_str_radix(&self.line(), 16).unwrap();
            let start = self.unread.len();
            self.unread.resize(start + length, 0);
            self.reader.read_exact(&mut self.unread[start..]).unwrap();
            assert_eq!(self.line(), "");
            if length == 0 {
                assert!(self.unread.is_empty(), "{:?}", String::from_utf8_lossy(&self.unread));
                return None;
            }
        }
    }

    /// The next event, which must have this name.
    #[track_caller]
    pub(crate) fn expect(&mut self, name: &str) -> Value {
        let (found, data) = self.next().expect("an event");
        assert_eq!(found, name, "{data}");
        data
    }

    /// The id in the first event.
    #[track_caller]
    pub(crate) fn started(&mut self) -> String {
        let data = self.expect("started");
        assert_eq!(data.as_object().unwrap().len(), 1, "{data}");
        data["conversationId"].as_str().unwrap().to_owned()
    }

    /// The text of the next event, a piece.
    #[track_caller]
    pub(crate) fn delta(&mut self) -> String {
        let data = self.expect("delta");
        assert_eq!(data.as_object().unwrap().len(), 1, "{data}");
        data["text"].as_str().unwrap().to_owned()
    }

    /// Reads all pieces up to the last event, and returns their text and that event.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> (String, (String, Value)) {
        let mut text = String::new();
        loop {
            let (name, data) = self.next().expect("an event");
            if name == "delta" {
                text += data["text"].as_str().unwrap();
            } else {
                assert_eq!(self.next(), None);
                return (text, (name, data));
            }
        }
    }
}

pub(crate) fn post(user: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /api/conversation HTTP/1.1\r\nHost: localhost\r\nX-User-Id: {user}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// `request` with another header before its Host.
pub(crate) fn with_header(request: &[u8], header: &str) -> Vec<u8> {
    let request = String::from_utf8(request.to_vec()).unwrap();
    request.replacen("Host:", &format!("{header}\r\nHost:"), 1).into_bytes()
}

pub(crate) fn request(method: &str, path: &str, user: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-User-Id: {user}\r\n\r\n").into_bytes()
}

/// The gateway's command, without settings from the environment.
pub(crate) fn gateway() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_gateway")))
}

/// The command of a gateway in namespaces of its own, where `folder` is a small file system in memory. The process stays the
/// same, so that [`Gateway`] can signal it. `None` where an ordinary user may not make such namespaces.
pub(crate) fn gateway_with_small_disk(folder: &Path, size: &str) -> Option<Command> {
    let namespaces = ["--user", "--map-root-user", "--mount"];
    let works = Command::new("unshare").args(namespaces).arg("true").output();
    if !works.is_ok_and(|output| output.status.success()) {
        skip(
            "user namespaces do not work on this machine (`unshare --user --map-root-user --mount true` fails)",
        );
        return None;
    }
    let mut command = Command::new("unshare");
    let mount = format!("mount -t tmpfs -o size={size},mode=700 none \"$0\" && exec \"$@\"");
    command.args(namespaces).args(["sh", "-c", &mount]).arg(folder).arg(env!("CARGO_BIN_EXE_gateway"));
    Some(without_settings(command))
}

fn without_settings(mut command: Command) -> Command {
    for variable in [
        "LISTEN",
        "TLS_CERT",
        "TLS_KEY",
        "TLS_VERSIONS",
        "STORE",
        "LOG_FORMAT",
        "BACKEND",
        "RUNNER",
        "BOX_LABEL",
        "CA_CERT",
        "SSLKEYLOGFILE",
        "NO_COLOR",
        "AUTH",
        "TOKENS",
        "CLIENT_CA",
        "INSECURE_HEADER_AUTH",
        "INSECURE_TOKEN_AUTH",
        "ALLOW_HOST",
        "ALLOW_ORIGIN",
        "AUDIT_LOG",
    ] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    gateway().args(arguments).output().unwrap()
}

/// A process that is not a zombie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    parent: u32,
    /// Start time, which distinguishes the process from a later one with the same number.
    started: u64,
    pub(crate) line: String,
}

impl Process {
    pub(crate) fn all() -> Vec<Self> {
        let numbers = fs::read_dir("/proc").unwrap().flatten();
        numbers.filter_map(|entry| Self::of(entry.file_name().to_str()?.parse().ok()?)).collect()
    }

    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name can contain any character. After it: state, parent, and 18 fields later the start time (proc(5)).
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        if fields[0] == "Z" {
            return None;
        }
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        Some(Self { pid, parent: fields[1].parse().ok()?, started: fields[19].parse().ok()?, line })
    }

    /// Whether this is a program in a sandbox with this mark. The gateway itself has the mark among its flags.
    pub(crate) fn has_mark(&self, mark: &str) -> bool {
        self.line.contains(mark) && !self.line.contains("--runner-arg")
    }

    pub(crate) fn exists(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.started == self.started)
    }
}

/// Waits until `probe` returns a value.
#[track_caller]
pub(crate) fn wait_until<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "the condition does not become true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn certificates() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    certgen::ensure(&certgen::Request::new(folder.path())).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}
