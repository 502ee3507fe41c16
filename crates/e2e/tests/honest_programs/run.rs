//! One run: a server, a capture and a client in a network namespace.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use e2e::capture::Frame;
use e2e::damage::{Copied, Judged, analyze_command};
use e2e::lab::{outcome, wait_until};
use e2e::{has_netns, programs, skip};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

/// The message that the clients send, with the string that must not be readable.
pub(crate) const BODY: &str = r#"{"message":"correct horse battery staple","number":1234567890}"#;

/// A request with the string in its target, and no body.
const GET: &str = "GET /?p=correct%20horse%20battery%20staple HTTP/1.1\r\nHost: localhost\r\n\r\n";

const SOURCES: [(&str, &str); 6] = [
    ("server.py", include_str!("sources/server.py")),
    ("client.py", include_str!("sources/client.py")),
    ("server.js", include_str!("sources/server.js")),
    ("client.js", include_str!("sources/client.js")),
    ("Client.java", include_str!("sources/Client.java")),
    ("client.go", include_str!("sources/client.go")),
];

/// Makes the certificate of a side, which is its own authority.
const CERTIFICATE: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1";

/// Runs in the namespace. Port 8443 is 20FB in the kernel's table of listening sockets. A server that reads commands gets none,
/// and no end of them either.
const SCRIPT: &str = "\
ip link set lo up
mkfifo commands
sh -c \"$SERVER\" <> commands > server.log 2>&1 & server=$!
until grep -qs :20FB /proc/net/tcp /proc/net/tcp6; do sleep 0.02; done
tcpdump -i lo -U --immediate-mode -B 16384 --time-stamp-precision=nano -w mine.pcap tcp port 8443 2> tcpdump.log & tcpdump=$!
until grep -q listening tcpdump.log; do sleep 0.02; done
sh -c \"$CLIENT\" > client.log 2>&1
touch done
until [ -e stop ]; do sleep 0.02; done
kill $server; kill -INT $tcpdump; wait $tcpdump
";

/// A run that is over: its folder, with `mine.pcap` and `mine.keys`.
pub(crate) struct Run {
    folder: Copied,
}

impl Run {
    /// Runs a server and a client, commands of a shell, if these programs and those of every run are installed.
    pub(crate) fn of(needed: &[&str], server: &str, client: &str) -> Option<Self> {
        let every = ["openssl", "python3", "tcpdump", "unshare", "ip"];
        if let Some(missing) = every.iter().chain(needed).find(|program| !is_installed(program)) {
            skip(&format!("{missing} is not installed"));
            return None;
        }
        if let Err(reason) = has_netns() {
            skip(&reason);
            return None;
        }
        let run = Self { folder: Copied::empty() };
        run.prepare(needed);
        run.take(server, client);
        Some(run)
    }

    fn prepare(&self, needed: &[&str]) {
        for (name, text) in SOURCES {
            self.folder.write(name, text);
        }
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let length = BODY.len();
        self.folder.write("body.json", BODY);
        self.folder.write("get", GET);
        self.folder.write("post", format!("{head}Content-Length: {length}\r\n\r\n{BODY}"));
        self.folder
            .write("last", format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{BODY}"));
        for side in ["server", "client"] {
            self.shell(&format!("{CERTIFICATE} -keyout {side}.key -out {side}.pem"));
        }
        if needed.contains(&"go") {
            // Without a limit of time: the first build compiles Go's own libraries.
            self.shell("go build -o client client.go");
        }
    }

    fn shell(&self, script: &str) {
        let go_cache = programs::folder().join("e2e-go-cache");
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.folder.folder());
        command.envs([("GO111MODULE", "off"), ("GOTOOLCHAIN", "local")]).env("GOCACHE", go_cache);
        let output = command.output().expect("a shell");
        assert!(output.status.success(), "{}", outcome(&output));
    }

    fn take(&self, server: &str, client: &str) {
        let mut command = Command::new("unshare");
        command
            .args([
                "--user",
                "--map-user=1000",
                "--map-group=1000",
                "--keep-caps",
                "--net",
                "sh",
                "-c",
                SCRIPT,
            ])
            .current_dir(self.folder.folder())
            .envs([("SERVER", format!("exec {server}")), ("CLIENT", client.to_owned())])
            .env("SSLKEYLOGFILE", "mine.keys")
            .env("HOME", self.folder.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut group = Group(command.spawn().expect("unshare starts"));
        let (mut is_over, mut size, folder) = (false, 0, self.folder.folder());
        wait_until("the client has ended and its connections are captured to their end", || {
            is_over = group.0.try_wait().expect("a child").is_some();
            let before = std::mem::replace(&mut size, self.captured_bytes());
            is_over || folder.join("done").exists() && before == size && self.is_captured()
        });
        assert!(!is_over, "the run ended early: {}", self.logs());
        fs::write(folder.join("stop"), "").expect("a file");
        group.0.wait().expect("it ends");
    }

    fn captured_bytes(&self) -> u64 {
        fs::metadata(self.folder.path("mine.pcap")).map_or(0, |file| file.len())
    }

    /// Whether the capture shows the end of every connection.
    fn is_captured(&self) -> bool {
        let document = self.analyze(&["mine.pcap", "--format", "json"]);
        let document: Value = serde_json::from_slice(&document.stdout).expect("JSON");
        let connections = document["captures"][0]["connections"].as_array().cloned().unwrap_or_default();
        !connections.is_empty() && connections.iter().all(|connection| connection["ended"] != "open")
    }

    fn analyze(&self, arguments: &[&str]) -> Output {
        let output = analyze_command().args(arguments).current_dir(self.folder.folder()).output();
        output.expect("analyze starts")
    }

    /// The verdict on everything in the capture.
    pub(crate) fn judge(&self) -> Judged {
        let flags = ["mine.pcap", "--json", "body.json", "--keys", "mine.keys", "--scope", "all"];
        Judged::of(&self.analyze(&[&flags[..], &["--format", "json"]].concat()))
    }

    /// Asserts that everything in the capture is sealed; returns the result about it.
    pub(crate) fn is_sealed(&self) -> Value {
        let judged = self.judge();
        let verdict = (judged.verdict("mine"), judged.status);
        assert_eq!(verdict, ("sealed", 0), "{:#?}{}", judged.reasons("mine"), self.logs());
        judged.capture("mine").clone()
    }

    /// Asserts that the verdict is inconclusive, for exactly these doubts.
    pub(crate) fn is_doubted(&self, expected: &[&str]) {
        let judged = self.judge();
        assert_eq!(judged.verdict("mine"), "inconclusive", "{}", self.logs());
        assert_eq!(judged.codes("mine"), expected, "{:#?}{}", judged.reasons("mine"), self.logs());
    }

    /// The frames of the capture.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.folder.frames("mine")
    }

    /// Whether the capture contains these bytes.
    pub(crate) fn contains(&self, bytes: &[u8]) -> bool {
        self.folder.read("mine.pcap").windows(bytes.len()).any(|window| window == bytes)
    }

    /// The contents of a file of the run, as text.
    pub(crate) fn text(&self, file: &str) -> String {
        String::from_utf8_lossy(&self.folder.read(file)).into_owned()
    }

    /// The beginning of what each program printed.
    fn logs(&self) -> String {
        let log = |name: &str| {
            let bytes = fs::read(self.folder.path(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned()
        };
        ["server.log", "client.log", "tcpdump.log"].map(|name| format!("\n{name}:\n{}", log(name))).concat()
    }
}

/// The processes of a run, which end with it also where the test fails.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0.id() as i32), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
