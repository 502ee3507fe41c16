//! An isolation run whose sandboxes run a hostile program (`crates/runner/examples/hostile.rs`): it answers like the ordinary
//! one, and passes what it knows to other sandboxes by every channel it finds. If anything crossed, the verdict is not "isolated".

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use e2e::damage::analyze;
use e2e::{has_netns, programs, skip};
use serde_json::Value;

/// The programs that the isolation experiment starts, the sandboxes' program apart.
const PROGRAMS: [&str; 6] = ["lab", "agent-b", "capturer", "certgen", "gateway", "isolation-control"];

#[test]
fn nothing_crosses_unseen_from_a_hostile_program() {
    if let Err(reason) = has_netns() {
        return skip(&reason);
    }
    // Beside the other programs: on the same file system, where they can be linked, and readable by every user.
    let folder =
        tempfile::Builder::new().prefix("hostile-").tempdir_in(programs::folder()).expect("a folder");
    for name in PROGRAMS {
        place(&programs::program(name), &folder.path().join(name));
    }
    place(&hostile(), &folder.path().join("runner"));
    let captures = folder.path().join("captures");
    let output = Command::new(folder.path().join("lab"))
        .args(["run", "isolation", "--backend", "netns", "--captures"])
        .arg(&captures)
        .stdin(Stdio::null())
        .output()
        .expect("the lab starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let journal = fs::read_to_string(captures.join("isolation.isolated.boxes.jsonl")).expect("a journal");
    let lines = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let heard: Vec<String> = lines
        .flat_map(|line| {
            line["stderr"].as_str().unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|line| !line.starts_with("{\"schema\":\"plainsight.attempt/1\""))
        .map(|line| line.chars().rev().collect())
        .collect();
    let judged = analyze(&[&captures.join("isolation.json")]);
    let entry = &judged.document["isolation"][0];
    println!("heard: {heard:?}; verdict: {}", entry["verdict"]);
    if !heard.is_empty() {
        assert_ne!(entry["verdict"], "isolated", "{heard:?}");
        return;
    }
    // Nothing crossed. In the control, where a network is shared, sandboxes hear each other and say so: that is the only doubt
    // there may be.
    let doubts = entry["doubts"].as_array().expect("a list");
    let of_control = |doubt: &Value| {
        let text = doubt["text"].as_str().unwrap_or_default();
        doubt["code"] == "sandbox.attempts-unreadable" && text.starts_with("control box of ")
    };
    assert_ne!(entry["verdict"], "leaked", "{}", entry["reasons"]);
    assert!(doubts.iter().all(of_control), "{}", entry["reasons"]);
    assert_eq!(entry["leaks"].as_array().map(Vec::len), Some(0), "{}", entry["leaks"]);
}

fn place(from: &Path, to: &Path) {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ())).expect("a program can be placed");
}

/// The hostile program, built if it is not there yet.
fn hostile() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "runner", "--example", "hostile"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts");
    assert!(built.success(), "the hostile program cannot be built");
    programs::folder().join("examples/hostile")
}
