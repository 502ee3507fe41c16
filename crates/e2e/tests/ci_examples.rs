//! The examples for CI systems, run as far as their runners can be imitated: their scripts in bash, with the runner's variables.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::damage::Copied;
use e2e::{programs, run_lab};

const POLICY: &str = "[cleartext]\nforbidden = ['*']\n[sealed]\nverdict = true\n";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The lines of a file behind `start` that are indented further, without their indentation.
fn block<'t>(lines: &mut std::iter::Peekable<std::str::Lines<'t>>, start: &str) -> Vec<&'t str> {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let first = lines.find(|line| line.trim() == start).unwrap_or_else(|| panic!("no {start}"));
    let outer = indentation(first);
    let mut block = Vec::new();
    while let Some(line) = lines.next_if(|line| line.trim().is_empty() || indentation(line) > outer) {
        block.push(line);
    }
    let inner = block.iter().filter(|line| !line.trim().is_empty()).map(|line| indentation(line)).min();
    block.iter().map(|line| line.get(inner.unwrap_or(0)..).unwrap_or_default()).collect()
}

/// A folder with the program `plainsight`, for the search path.
fn installed() -> String {
    let program = programs::program("plainsight");
    let folder = program.parent().expect("a folder");
    format!("{}:{}", folder.display(), std::env::var("PATH").expect("a search path"))
}

/// A step as the runner of GitHub runs it.
fn step(run: &Copied, script: &[&str], variables: &BTreeMap<&str, String>) -> Output {
    let mut command = Command::new("bash");
    command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script.join("\n")]);
    command.current_dir(run.folder()).env("PATH", installed()).envs(variables);
    command.output().expect("bash starts")
}

#[test]
fn the_action_fails_if_a_rule_is_violated() {
    let run = Copied::of(run_lab("relay"));
    run.write("plainsight.toml", POLICY);
    let action = fs::read_to_string(repository().join("action.yml")).expect("the action");
    let mut lines = action.lines().peekable();
    let install = block(&mut lines, "run: |");
    let inputs = block(&mut lines, "env:");
    let check = block(&mut lines, "run: |");
    // An expression within a script would be a way for an input to become code.
    assert!(install.iter().chain(&check).all(|line| !line.contains("${{")));
    let mut variables = BTreeMap::from([
        ("GITHUB_ACTION_PATH", repository().display().to_string()),
        ("GITHUB_STEP_SUMMARY", run.path("summary.md").display().to_string()),
        ("GITHUB_OUTPUT", run.path("output").display().to_string()),
        ("RUNNER_TEMP", run.folder().display().to_string()),
    ]);
    let output = step(&run, &install, &variables);
    assert!(output.status.success(), "{output:?}");
    for (captures, status) in [("https.pcap", 0), ("http.pcap\nhttps.pcap\n", 1), ("$(touch injected)", 2)] {
        for input in &inputs {
            let (name, expression) = input.split_once(": ").expect("a variable");
            let value = match expression {
                "${{ inputs.captures }}" => captures,
                "${{ inputs.policy }}" => "plainsight.toml",
                "${{ inputs.baseline }}" | "${{ inputs.keys }}" => "",
                other => panic!("{other}"),
            };
            variables.insert(name, value.to_owned());
        }
        let output = step(&run, &check, &variables);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let outputs = fs::read_to_string(run.path("output")).expect("the outputs");
        let sarif = outputs.lines().last().and_then(|line| line.strip_prefix("sarif=")).expect("a path");
        if status < 2 {
            let log: serde_json::Value =
                serde_json::from_slice(&fs::read(sarif).expect("SARIF")).expect("JSON");
            assert_eq!(log["version"], "2.1.0");
            let summary = fs::read_to_string(run.path("summary.md")).expect("a summary");
            assert!(summary.starts_with(if status == 0 { "## ✅" } else { "## ❌" }), "{summary}");
        }
    }
    assert!(!run.path("injected").exists());
}

#[test]
fn the_job_of_gitlab_leaves_its_reports() {
    let run = Copied::of(run_lab("relay"));
    run.write("plainsight.toml", POLICY);
    let job = fs::read_to_string(repository().join("examples/gitlab-ci.yml")).expect("the job");
    let script = block(&mut job.lines().peekable(), "script:");
    let commands: Vec<_> = script
        .iter()
        .map(|line| line.strip_prefix("- ").expect("a command"))
        .filter(|command| !command.starts_with("cargo install"))
        .collect();
    fs::create_dir(run.path("captures")).expect("a folder");
    for file in ["pcap", "manifest.json", "keys", "agent-a.jsonl", "agent-b.jsonl"] {
        fs::rename(run.path(&format!("https.{file}")), run.path(&format!("captures/https.{file}")))
            .expect("a file");
    }
    let output = step(&run, &commands, &BTreeMap::new());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for artifact in ["plainsight.xml", "plainsight.sarif"] {
        assert!(job.contains(artifact) && run.path(artifact).exists(), "{artifact}");
    }
}
