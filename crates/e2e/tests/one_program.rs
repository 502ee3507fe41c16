//! The whole experiment with one file in an empty folder: `plainsight` alone.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use e2e::programs::program;

/// Runs the one program in a folder where no other is.
fn plainsight(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(folder.join("bin/plainsight"));
    command.args(arguments).current_dir(folder).env_clear().env("HOME", folder);
    command.output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn one_file_runs_the_experiment_and_writes_the_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::create_dir(folder.join("bin")).expect("a folder for the program");
    fs::copy(program("plainsight"), folder.join("bin/plainsight")).expect("a copy of the program");

    let run = plainsight(folder, &["lab", "run", "http", "https", "--backend", "relay"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let analyzed = plainsight(folder, &["analyze", "captures"]);
    assert!(analyzed.status.success(), "{}{}", text(&analyzed.stdout), text(&analyzed.stderr));
    assert!(text(&analyzed.stdout).contains("proven"), "{}", text(&analyzed.stdout));
    let report = plainsight(folder, &["report"]);
    assert!(report.status.success(), "{}", text(&report.stderr));
    assert!(folder.join("analysis/report.html").is_file());
}

#[test]
fn without_a_command_it_says_what_it_can_do() {
    let output = Command::new(program("plainsight")).env_clear().output().expect("the program starts");
    assert!(output.status.success());
    let help = text(&output.stdout);
    for command in ["lab", "analyze", "report", "doctor"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{help}");
    }
}
