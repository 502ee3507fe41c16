//! Workspaces: the files of a conversation persist between its turns, and only there.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Gateway, SCRIPTED_AGENT, Workdir};
use serde_json::Value;

const FIRST: &str = "write src/add.sh\necho $(($1 - $2))\n.\nwrite check.sh\n\
                     [ \"$(sh src/add.sh 2 3)\" = 5 ] && echo passed\n.\nrun sh check.sh";
const SECOND: &str = "replace src/add.sh\n-\n+\nrun sh check.sh";

fn coder() -> String {
    let agent = Path::new(SCRIPTED_AGENT.as_str()).with_file_name("offline-coder");
    assert!(agent.exists(), "it is not built: cargo build -p gateway --examples");
    agent.to_str().expect("a path in UTF-8").to_owned()
}

/// A gateway whose sandboxes run the coder; `None` on a machine without namespaces.
fn start(workdir: &Workdir, flags: &[&str]) -> Option<Gateway> {
    let folder = workdir.path().join("workspaces");
    let mut all = vec!["--backend", "namespace", "--workspaces", folder.to_str().expect("a path in UTF-8")];
    // What `sh` needs. Some of these are links to others.
    let system: Vec<_> =
        ["/bin", "/usr", "/lib", "/lib64"].into_iter().filter(|path| Path::new(path).exists()).collect();
    for path in system {
        all.extend(["--read-only", path]);
    }
    all.extend(flags);
    Gateway::start(workdir.path(), &all, &coder())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_coding_agent_finds_its_files_in_the_next_turn() {
    let workdir = Workdir::new();
    let folder = workdir.path().join("workspaces");
    let Some(gateway) = start(&workdir, &[]) else { return };
    let (id, first) = gateway.say("alice", FIRST).answer();
    assert_eq!(first, "wrote src/add.sh, 18 bytes\nwrote check.sh, 46 bytes\nran sh check.sh: status 1");
    let (_, second) = gateway.say_in("alice", &id, SECOND).answer();
    assert_eq!(second, "replaced - by + in src/add.sh\nran sh check.sh: status 0\npassed");

    // Another conversation and another user have none of it.
    for user in ["alice", "bob"] {
        let (_, other) = gateway.say(user, "show check.sh").answer();
        assert!(other.contains("No such file"), "{other}");
    }

    let kept = files(&folder);
    assert!(!kept.is_empty());
    for file in &kept {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    // It survives the gateway.
    gateway.stop();
    let Some(gateway) = start(&workdir, &[]) else { return };
    let (_, third) = gateway.say_in("alice", &id, "show src/add.sh").answer();
    assert_eq!(third, "echo $(($1 + $2))");

    // It is part of what is exported, and gone with the conversation.
    let exported = String::from_utf8(gateway.get("alice", "/api/user/data").body).unwrap();
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.iter().any(|line| line["conversationId"] == id.as_str() && line["workspace"].is_string()),
        "{exported}"
    );
    assert_eq!(gateway.delete("alice", &format!("/api/conversation/{id}")).status, 204);
    assert!(files(&folder).iter().all(|file| !file.to_string_lossy().contains(&id)));
    assert_eq!(gateway.delete("alice", "/api/user/data").status, 204);
    assert_eq!(gateway.delete("bob", "/api/user/data").status, 204);
    assert_eq!(files(&folder), Vec::<PathBuf>::new());
}

#[test]
fn a_workspace_is_bounded_and_counts() {
    let workdir = Workdir::new();
    let Some(gateway) = start(&workdir, &["--workspace-size", "64", "--quota", "1"]) else { return };
    let (id, _) = gateway.say("alice", "write small\nx\n.").answer();
    let large = format!("write large\n{}\n.", "x".repeat(60_000));
    gateway.say_in("alice", &id, &large).answer();
    gateway.say_in("alice", &id, &large.replace("large", "larger")).assert_error(502, "box_failed");
    let (_, kept) = gateway.say_in("alice", &id, "show small\nshow larger").answer();
    assert!(kept.starts_with("x\n") && kept.contains("No such file"), "{kept}");

    // A mebibyte of workspaces, of which the messages are not even half.
    let refused = (0..40).map(|_| gateway.say("bob", &large)).find(|answer| answer.status != 200);
    refused.expect("the quota is full").assert_error(429, "quota_exceeded");
}

#[test]
fn streams_have_no_record() {
    let workdir = Workdir::new();
    let Some(gateway) = start(&workdir, &[]) else { return };
    let mut stream = gateway.stream("alice", "write one\n1\n.\nshow one");
    let id = stream.started();
    let (text, (name, done)) = stream.rest();
    assert_eq!((name.as_str(), text.trim_end()), ("done", "wrote one, 2 bytes\n1"));
    assert_eq!(done["text"], "wrote one, 2 bytes\n1");
    assert_eq!(gateway.say_in("alice", &id, "show one").answer().1, "1");
}

#[test]
fn needs_a_prompt_that_can_hold_files() {
    let workdir = Workdir::new();
    let folder = workdir.path().join("workspaces");
    let store = workdir.store();
    let output = common::run(&[
        "--allow-weak-memory-limit",
        "--runner",
        SCRIPTED_AGENT.as_str(),
        "--workspaces",
        folder.to_str().unwrap(),
        "--store",
        store.to_str().unwrap(),
    ]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && stderr.contains("--prompt-format json"), "{stderr}");
}
