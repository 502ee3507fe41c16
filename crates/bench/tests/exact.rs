//! `bench` with the built analyzer on small captures.

mod programs;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use programs::analyze;

fn bench(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(arguments).arg("--dir").arg(folder);
    command.output().expect("bench can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Each shape has another seed, so that the places differ.
#[test]
fn analyzer_is_exact_on_every_shape() {
    let analyze = analyze();
    let folder = tempfile::tempdir().expect("a folder");
    for (shape, seed) in [("http", "1"), ("plain", "2"), ("https", "3"), ("tiny", "4")] {
        let arguments = ["run", "--sizes", "4MiB", "--shapes", shape, "--seed", seed, "--analyze"];
        let arguments = [&arguments[..], &[analyze.to_str().expect("a path of text")]].concat();
        let output = bench(&arguments, folder.path());
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{shape}\n{stdout}\n{stderr}");
        assert!(stdout.contains("48: all exact"), "{shape}\n{stdout}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0, "no files remain");
}

/// The same program as its own baseline: both are measured, and both answers are checked.
#[test]
fn baseline_is_measured_in_the_same_run() {
    let analyze = analyze();
    let analyze = analyze.to_str().expect("a path of text");
    let folder = tempfile::tempdir().expect("a folder");
    let run = |baseline: &str| {
        let arguments =
            ["run", "--sizes", "1MiB", "--shapes", "plain", "--analyze", analyze, "--baseline", baseline];
        bench(&arguments, folder.path())
    };
    let output = run(analyze);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert!(stdout.contains("× baseline peak"), "{stdout}");
    let wrong = run("/bin/true");
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong.stdout));
    assert!(text(&wrong.stderr).contains("WRONG: the baseline: "), "{}", text(&wrong.stderr));
}

/// The capture is changed after its ground truth was written.
#[test]
fn wrong_answer_fails_the_run() {
    let analyze = analyze();
    let folder = tempfile::tempdir().expect("a folder");
    let made = bench(&["generate", "--shape", "plain", "--size", "1MiB"], folder.path());
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let capture = folder.path().join("plain-1MiB.pcap");
    assert_eq!(text(&made.stdout).trim(), capture.display().to_string());

    let mut bytes = fs::read(&capture).expect("the capture was made");
    let truth = fs::read(folder.path().join("plain-1MiB.truth.json")).expect("and its truth");
    let truth: serde_json::Value = serde_json::from_slice(&truth).expect("which is JSON");
    let at = truth["strings"][0]["places"][0]["file_offset"].as_u64().expect("with a place") as usize;
    bytes[at] ^= 1;
    fs::write(&capture, bytes).expect("the capture can be changed");

    let arguments = ["run", "--sizes", "1MiB", "--shapes", "plain", "--analyze"];
    let arguments = [&arguments[..], &[analyze.to_str().expect("a path of text")]].concat();
    let output = bench(&arguments, folder.path());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let value = truth["strings"][0]["value"].as_str().expect("with a value");
    assert!(stderr.contains("WRONG") && stderr.contains(value), "{stderr}");
    assert!(text(&output.stdout).contains("48: WRONG"));
}

#[test]
fn error_names_a_missing_analyzer() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("no-such-program");
    let arguments = ["run", "--analyze", missing.to_str().expect("a path of text")];
    let output = bench(&arguments, folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no-such-program"), "{}", text(&output.stderr));
}
