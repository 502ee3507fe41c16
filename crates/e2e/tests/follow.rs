//! `analyze --follow`: a line for each message while the capture is written, then the result of the ordinary analysis.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use e2e::damage::{Copied, FILE_HEADER, analyze_command};
use e2e::run_lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A program that follows a capture.
struct Following {
    child: Child,
    stdout: BufReader<ChildStdout>,
    lines: Vec<String>,
}

impl Following {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .args(["--follow", "--no-output"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("analyze starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdout, lines: Vec::new() }
    }

    /// Reads lines until so many contain this text.
    fn wait_for(&mut self, text: &str, count: usize) {
        while self.lines.iter().filter(|line| line.contains(text)).count() < count {
            let mut line = String::new();
            let len = self.stdout.read_line(&mut line).expect("text");
            assert!(
                len > 0 && line != "\n",
                "the lines ended before {count} with {text:?}: {:?}",
                self.lines
            );
            self.lines.push(line);
        }
    }

    /// The rest of the output, and the exit status.
    fn end(mut self) -> (Vec<String>, String, Option<i32>) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        let output = self.child.wait_with_output().expect("an exit status");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        (self.lines, rest, output.status.code())
    }
}

/// Checks that what follows the last lines is the result of the ordinary analysis.
fn assert_same_result(rest: &str, status: Option<i32>, ordinary: &Output) {
    let expected = format!("\n{}", String::from_utf8_lossy(&ordinary.stdout));
    assert!(rest.ends_with(&expected), "{rest}\n--- does not end with\n{expected}");
    assert_eq!(status, ordinary.status.code());
}

fn ordinary(copied: &Copied, name: &str) -> Output {
    let mut command = analyze_command();
    command.arg(copied.path(&format!("{name}.pcap"))).arg("--no-output").output().expect("analyze starts")
}

/// Number of requests of a run.
fn requests(copied: &Copied, name: &str) -> usize {
    copied.journal(name, "agent-a").iter().filter(|line| line["event"] == "sent").count()
}

#[test]
fn follows_a_run_until_the_capturer_renames_its_capture() {
    let lab = Copied::of(run_lab("relay"));
    for (name, readable) in [("http", "readable by anyone"), ("https", "with the key log")] {
        let run = lab.copy();
        let expected = ordinary(&run, name);
        let [file, manifest, keys] =
            ["pcap", "manifest.json", "keys"].map(|extension| format!("{name}.{extension}"));
        let [partial, partial_manifest] =
            ["pcap", "manifest.json"].map(|extension| format!("{name}.partial.{extension}"));
        // As the capturer and the agents begin: a file header, an unfinished manifest, an empty key log.
        let (capture, described) = (run.read(&file), run.read(&manifest));
        let secrets = if name == "https" { run.read(&keys) } else { Vec::new() };
        run.remove(&file);
        run.remove(&manifest);
        let (header, frames) = capture.split_at(FILE_HEADER as usize);
        run.write(&partial, header);
        run.write(&partial_manifest, "{}");
        if name == "https" {
            run.write(&keys, "");
        }

        let mut following = Following::start(analyze_command().arg(run.path(&partial)));
        let append = |file: &str, bytes: &[u8]| {
            let mut file = OpenOptions::new().append(true).open(run.path(file)).expect("a file");
            file.write_all(bytes).expect("the file");
        };
        frames.chunks(1000).for_each(|piece| append(&partial, piece));
        if name == "https" {
            append(&keys, &secrets);
        }
        following.wait_for("POST /tool", requests(&run, name));
        following.wait_for("status 200", requests(&run, name));
        // As the capturer ends.
        fs::rename(run.path(&partial), run.path(&file)).expect("a new name");
        run.write(&manifest, &described);
        run.remove(&partial_manifest);

        let (lines, rest, status) = following.end();
        assert_same_result(&rest, status, &expected);
        assert_eq!(status, Some(0));
        for line in lines.iter().filter(|line| line.contains("POST /tool") || line.contains("status 200")) {
            assert!(line.contains(readable), "{line}");
        }
        let hellos = lines.iter().filter(|line| line.contains("ClientHello for ")).count();
        assert_eq!(hellos > 0, name == "https");
    }
}

#[test]
fn follows_standard_input_until_it_ends() {
    let run = Copied::of(run_lab("relay"));
    let capture = run.read("http.pcap");
    let mut following = Following::start(analyze_command().arg("-"));
    let mut input = following.child.stdin.take().expect("a pipe");
    capture.chunks(700).for_each(|piece| input.write_all(piece).expect("analyze reads"));
    following.wait_for("POST /tool", requests(&run, "http"));
    drop(input);
    let (_, rest, status) = following.end();

    let mut child = analyze_command()
        .args(["-", "--no-output"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("analyze starts");
    child.stdin.take().expect("a pipe").write_all(&capture).expect("analyze reads");
    assert_same_result(&rest, status, &child.wait_with_output().expect("an exit status"));
}

#[test]
fn a_signal_ends_the_following_with_the_result() {
    let run = Copied::of(run_lab("relay"));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut following = Following::start(analyze_command().arg(run.path("http.pcap")));
        following.wait_for("status 200", requests(&run, "http"));
        kill(Pid::from_raw(following.child.id() as i32), signal).expect("a running program");
        let (_, rest, status) = following.end();
        assert_same_result(&rest, status, &ordinary(&run, "http"));
    }
}

#[test]
fn prints_only_the_document_as_json() {
    let run = Copied::of(run_lab("relay"));
    let path = run.path("https.pcap");
    let json = ["--no-output", "--format", "json"];
    let expected = analyze_command().arg(&path).args(json).output().expect("analyze starts");
    let mut command = analyze_command();
    command.arg(&path).args(json).args(["--follow", "--follow-for", "0"]);
    let followed = command.output().expect("analyze starts");
    assert_eq!(followed.stdout, expected.stdout);
    assert_eq!((followed.status, &followed.stderr[..]), (expected.status, &b""[..]));
}

#[test]
fn names_what_cannot_be_followed() {
    let folder = Copied::empty();
    folder.write("text.pcap", "this is a text, and no capture");
    let paths = |names: &[&str]| names.iter().map(|name| folder.path(name)).collect::<Vec<_>>();
    for (paths, why) in [
        (paths(&["a.pcap", "b.pcap"]), "--follow needs one capture file"),
        (paths(&["."]), "is a directory"),
        (paths(&["missing.pcap"]), "cannot read"),
        (paths(&["text.pcap"]), "text.pcap: "),
    ] {
        let output = analyze_command()
            .args(&paths)
            .args(["--follow", "--no-output"])
            .output()
            .expect("analyze starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}
