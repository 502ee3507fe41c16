//! docs/own-traffic.md, command by command: with curl, a Python client and a browser, in a network namespace.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use e2e::damage::analyze_command;
use e2e::lab::{outcome, wait_until};
use e2e::{has_netns, programs, skip};
use serde_json::Value;
use tempfile::TempDir;

const PAGE: &str = include_str!("../../../docs/own-traffic.md");

/// The code blocks of a section of the page: language and text.
fn blocks(heading: &str) -> Vec<(&'static str, String)> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading)).expect("a section");
    let fenced = section.split("```").skip(1).step_by(2);
    fenced
        .filter_map(|block| block.split_once('\n'))
        .map(|(language, text)| {
            (language, text.lines().map(|line| line.trim_start_matches("  ").to_owned() + "\n").collect())
        })
        .collect()
}

/// The lines of the shell commands of a section that begin with this.
fn commands(heading: &str, start: &str) -> Vec<String> {
    let text: String =
        blocks(heading).into_iter().filter(|(language, _)| *language == "sh").map(|(_, text)| text).collect();
    text.replace("\\\n", "").lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

fn is_installed(program: &str, version: &str) -> bool {
    let command = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    command.is_ok_and(|status| status.success())
}

/// Why the walks cannot run on this machine.
fn missing(client: &str, version: &str) -> Option<String> {
    for (program, version) in
        [("tcpdump", "--version"), ("unshare", "--version"), ("ip", "-V"), (client, version)]
    {
        if !is_installed(program, version) {
            return Some(format!("{program} is not installed"));
        }
    }
    has_netns().err()
}

/// A walk that has been taken: its folder, in which `mine.pcap` and `mine.keys` are.
struct Walk {
    root: TempDir,
}

impl Walk {
    /// Runs the page's server, its capture, and these client commands, in the namespace that the page describes.
    fn take(client: &str) -> Self {
        let root = tempfile::Builder::new().prefix("plainsight-walk-").tempdir().expect("a temporary folder");
        let walk = Self { root };
        for name in ["agent-b", "certgen", "analyze"] {
            let _ = programs::program(name);
        }
        let debug = programs::program("analyze");
        fs::create_dir(walk.root.path().join("target")).expect("a folder");
        symlink(debug.parent().expect("a folder"), walk.root.path().join("target/debug")).expect("a link");
        fs::create_dir(walk.folder().as_path()).expect("a folder");
        fs::write(walk.folder().join("client.sh"), client).expect("a file");
        walk.run_in_namespace();
        walk
    }

    fn folder(&self) -> std::path::PathBuf {
        self.root.path().join("walk")
    }

    fn run_in_namespace(&self) {
        let server = commands("A server", "../target/debug/");
        let capture = commands("Capturing", "sudo tcpdump").remove(0).replace("sudo ", "");
        let enter = commands("Capturing", "unshare").remove(0);
        let up = commands("Capturing", "ip link").remove(0);
        let script = format!(
            "set -eu\n{up}\n{}\nagent=$!\n\
             until ../target/debug/agent-b healthcheck --ca certs/ca.pem https://127.0.0.1:8443/healthz; do sleep 0.1; done\n\
             {capture} 2> tcpdump.log &\ntcpdump=$!\n\
             until grep -q listening tcpdump.log; do sleep 0.1; done\n\
             sh -eu client.sh\ntouch done\n\
             until [ -e stop ]; do sleep 0.1; done\n\
             kill -INT $tcpdump; wait $tcpdump || :; kill $agent; wait $agent || :\n",
            server.join("\n"),
        );
        let mut words = enter.split_whitespace();
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).args(["-c", &script]).current_dir(self.folder()).env("HOME", self.root.path());
        command
            .env_remove("SSLKEYLOGFILE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("unshare starts");
        let (mut is_over, folder) = (false, self.folder());
        wait_until("the client has ended and its connections are captured to their end", || {
            is_over = child.try_wait().expect("a child").is_some();
            is_over || folder.join("done").exists() && are_all_over(&folder)
        });
        fs::write(folder.join("stop"), "").expect("a file");
        let output = child.wait_with_output().expect("it ends");
        assert!(!is_over && output.status.success(), "{}", outcome(&output));
    }

    /// Runs a command of the page that analyzes the capture.
    fn analyze(&self, command: &str) -> Output {
        let words = command.split_whitespace().skip_while(|word| *word != "mine.pcap");
        analyze_command().args(words).current_dir(self.folder()).output().expect("analyze starts")
    }
}

fn are_all_over(folder: &Path) -> bool {
    let mut command = analyze_command();
    command.args(["mine.pcap", "--format", "json"]).current_dir(folder);
    let output = command.output().expect("analyze starts");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let connections = document["captures"][0]["connections"].as_array().cloned().unwrap_or_default();
    !connections.is_empty() && connections.iter().all(|connection| connection["ended"] != "open")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_walk() {
    if let Some(reason) = missing("curl", "--version") {
        return skip(&reason);
    }
    let client = [commands("curl", "echo"), commands("curl", "SSLKEYLOGFILE")].concat().join("\n");
    let walk = Walk::take(&client);
    let first = walk.analyze(&commands("curl", "../target/debug/analyze")[0]);
    assert_eq!(first.status.code(), Some(3), "{}{}", stdout(&first), outcome(&first));
    assert!(stdout(&first).contains("add: --scope 127.0.0.1:8443"), "{}", stdout(&first));
    let introduced = PAGE.lines().find(|line| line.starts_with("cargo run -p analyze")).expect("a command");
    let second = walk.analyze(introduced);
    assert_eq!(second.status.code(), Some(0), "{}{}", stdout(&second), outcome(&second));
    assert!(stdout(&second).contains("sealed"), "{}", stdout(&second));
}

#[test]
fn python_walk() {
    if let Some(reason) = missing("python3", "--version") {
        return skip(&reason);
    }
    let (_, program) =
        blocks("A Python client").into_iter().find(|(language, _)| *language == "python").expect("code");
    let client = commands("A Python client", "SSLKEYLOGFILE").join("\n");
    let walk = Walk::take(&format!("cat > client.py <<'END'\n{program}END\n{client}\n"));
    let output = walk.analyze(&commands("A Python client", "../target/debug/analyze")[0]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), outcome(&output));
    assert!(stdout(&output).contains("sealed"), "{}", stdout(&output));
}

#[test]
fn browser_walk() {
    if let Some(reason) = missing("chromium", "--version") {
        return skip(&reason);
    }
    let client = [commands("A browser", "echo"), commands("A browser", "SSLKEYLOGFILE")].concat().join("\n");
    let walk = Walk::take(&client.replace("--headless", "--headless --no-sandbox"));
    let output = walk.analyze(&commands("A browser", "../target/debug/analyze")[0]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), outcome(&output));
    assert!(stdout(&output).contains("sealed"), "{}", stdout(&output));
}
