//! Errors of all programs: one line, of one form, and one exit status where a permission is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use e2e::lab::outcome;
use e2e::{programs, skip};

fn run(program: &str, arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(programs::program(program));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env_remove("SSLKEYLOGFILE");
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// The only line of stderr that is no log line, without the name of the program.
fn error_line<'o>(program: &str, output: &'o Output) -> &'o str {
    let stderr = std::str::from_utf8(&output.stderr).expect("text");
    let is_log = |line: &&str| line.contains(" INFO ") || line.contains(" ERROR ");
    let lines: Vec<_> = stderr.lines().filter(|line| !is_log(line)).collect();
    // The lab and the benchmark report what they do before they fail.
    let notes = ["lab: backend", "bench: this is", "bench: other programs"];
    let lines: Vec<_> =
        lines.into_iter().filter(|line| !notes.iter().any(|note| line.starts_with(note))).collect();
    let [line] = lines[..] else { panic!("{program}: {}", outcome(output)) };
    let rest = line.strip_prefix(program).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or_else(|| panic!("{program}: {line}"))
}

#[test]
fn error_is_one_line_with_program_file_and_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = "No such file or directory";
    for (program, arguments, status, parts) in [
        ("analyze", &["nowhere.pcap"][..], 2, ["nowhere.pcap", missing]),
        ("analyze", &["--strings", "nowhere.txt", "x.pcap"], 2, ["x.pcap", missing]),
        ("report", &["nowhere.json"], 2, ["nowhere.json", "make lab"]),
        (
            "agent-a",
            &["--server-url", "http://127.0.0.1:1", "--message", "nowhere.json"],
            2,
            ["nowhere.json", missing],
        ),
        (
            "agent-a",
            &["--server-url", "http://127.0.0.1:1", "--deadline", "0"],
            1,
            ["0 answers correct", "1 wrong"],
        ),
        (
            "agent-b",
            &["--listen", "127.0.0.1:0", "--tls-cert", "no.pem", "--tls-key", "no.key"],
            2,
            ["no.pem", missing],
        ),
        ("agent-b", &["healthcheck", "http://127.0.0.1:1/healthz"], 1, ["127.0.0.1:1", "refused"]),
        (
            "gateway",
            &["--listen", "127.0.0.1:0", "--tls-cert", "no.pem", "--tls-key", "no.key"],
            2,
            ["no.pem", missing],
        ),
        ("capturer", &["healthcheck", "--ready-file", "nowhere"], 1, ["nowhere", missing]),
        ("runner", &[], 2, ["stdin", "EOF"]),
    ] {
        let output = run(program, arguments, folder.path());
        assert_eq!(output.status.code(), Some(status), "{program} {arguments:?}: {}", outcome(&output));
        if program == "analyze" && arguments.len() > 1 {
            continue; // two inputs, two errors
        }
        let line = error_line(program, &output);
        assert!(parts.iter().all(|part| line.contains(part)), "{program} {arguments:?}: {line}");
    }
}

#[test]
fn missing_permission_has_status_2_in_every_program() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).expect("a folder");
    fs::write(folder.path().join("unreadable"), "x").expect("a file");
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("own file");
    set(&locked, 0o555);
    set(&folder.path().join("unreadable"), 0);
    if fs::read(folder.path().join("unreadable")).is_ok() {
        set(&locked, 0o755);
        return skip_as_root();
    }
    let relay = [
        "relay",
        "--listen",
        "127.0.0.1:0",
        "--connect",
        "127.0.0.1:1",
        "--variant",
        "http",
        "--output",
        "locked",
    ];
    let report = ["exposure.json", "--output", "locked"];
    fs::write(folder.path().join("exposure.json"), empty_result()).expect("a file");
    let cases: [(&str, &[&str]); 10] = [
        ("analyze", &["unreadable"]),
        ("report", &["unreadable"]),
        ("report", &report),
        ("certgen", &["--out", "locked"]),
        ("agent-a", &["--server-url", "http://127.0.0.1:1", "--journal", "locked/x"]),
        ("agent-b", &["--listen", "127.0.0.1:0", "--journal", "locked/x"]),
        ("gateway", &["--listen", "127.0.0.1:0", "--store", "locked/x.sqlite"]),
        ("capturer", &relay),
        // In a namespace of its own the lab has every permission for the user's files.
        ("lab", &["run", "http", "--backend", "relay", "--captures", "locked"]),
        ("bench", &["run", "--dir", "locked"]),
    ];
    for (program, arguments) in cases {
        let output = run(program, arguments, folder.path());
        assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}: {}", outcome(&output));
        let line = error_line(program, &output);
        assert!(line.to_lowercase().contains("permission denied"), "{program} {arguments:?}: {line}");
    }
    set(&locked, 0o755);
}

/// In CI the tests run as an ordinary user.
fn skip_as_root() {
    skip("permissions do not bind root");
}

/// A result without captures, for a report.
fn empty_result() -> String {
    r#"{"schema":"plainsight.exposure/1","program":{"name":"analyze","version":"0.1.0"},"captures":[],"conclusion":null,
        "reasons":[],"errors":[]}"#
        .to_owned()
}
