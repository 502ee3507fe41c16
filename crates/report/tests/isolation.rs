//! The isolation experiment in the report: the text of each verdict in both languages, and the escaping of captured
//! text.

// For one large `json!`.
#![recursion_limit = "256"]

mod document;

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A name that a sandbox made up: markup for HTML and Markdown, and a bidirectional character.
const HOSTILE: &str = "<script>alert(1)</script>\u{202e}`|x";

/// An isolation run with this verdict and these reasons, and with hostile text wherever a sandbox could put it.
fn run(verdict: &str, reasons: &[&str]) -> Value {
    let seen = |frame: u64| {
        json!({
            "file": "captures/isolation.isolated.veth-front.pcap", "interface": "veth-front",
            "location": { "frames": [frame], "file_offset": 100, "stream": 2, "direction": "client_to_server",
                          "stream_offset": 60, "wire_bytes": 21, "layers": [], "excerpt": null,
                          "filter": format!("frame.number == {frame}") },
        })
    };
    let kind = |kind: &str| json!({ "kind": kind, "tried": 2, "seen": 0, "control_tried": 2, "control_seen": 2, "control_passed": true });
    let interface = |phase: &str, frames: u64| {
        json!({ "phase": phase, "interface": "veth-back", "file": "captures/back.pcap", "sha256": "0".repeat(64),
                "frames": frames, "talk_frames": 0, "arp_frames": 0, "box_frames": frames, "box_frames_listed": [],
                "kernel_drops": 0 })
    };
    json!({
        "file": "captures/isolation.json", "run_id": "00112233445566778899aabbccddeeff", "backend": "namespace",
        "verdict": verdict, "reasons": reasons, "box_frames": 0, "box_canaries": 0, "secrets_crossed": 0,
        "controls": {
            "positive": { "passed": true, "kinds": 2, "seen": 2 },
            "decoys": { "passed": true, "searched": 8, "found": 0 },
        },
        "kinds": [kind("tcp"), kind(HOSTILE)],
        "interfaces": [interface("isolated", 0), interface("control", 35)],
        "boxes": [{ "phase": "isolated", "box": "box 1", "user": "alice", "network": "none", "exit": "code 0",
                    "limits": [{ "name": "memory_bytes", "mechanism": "cgroup v2 memory.max", "value": HOSTILE }] }],
        "boxes_total": 7, "attempts": [], "attempts_total": 0,
        "identity": { "user": HOSTILE, "read": seen(11), "read_from": "10.78.0.2:4000", "replayed": seen(50),
                      "replayed_from": "10.78.0.4:4000", "answered": seen(62), "shown": true },
        "protections": [
            { "auth": "token", "listen": "10.78.0.1:8443", "user": HOSTILE, "file": HOSTILE, "read": 0,
              "owner": { "credential": "token", "from": "10.78.0.2:5000", "status": 200, "answered": seen(71) },
              "replays": [
                  { "credential": "nothing", "from": "10.78.0.4:5001", "status": 401, "answered": seen(72) },
                  { "credential": "wrong-token", "from": "10.78.0.4:5002", "status": 401, "answered": null },
              ],
              "shown": true },
            { "auth": HOSTILE, "listen": "10.78.0.1:8443", "user": "alice", "file": null, "read": 3, "owner": null,
              "replays": [], "shown": false },
        ],
    })
}

/// The report of a document with these runs, as Markdown and HTML.
fn report(runs: &[Value], lang: &str) -> (String, String) {
    let mut document = document::proven(4);
    document["isolation"] = runs.into();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("exposure.json");
    fs::write(&input, document.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
    let output = command.arg(&input).args(["--lang", lang]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    (read("report.md"), read("report.html"))
}

#[test]
fn each_verdict_has_its_own_text_in_both_languages() {
    let words = [
        ("isolated", "Isolated.", "격리됨."),
        ("leaked", "Leaked.", "누출됨."),
        ("inconclusive", "Inconclusive.", "판정 불가."),
    ];
    for (verdict, english, korean) in words {
        for (lang, own) in [("en", english), ("ko", korean)] {
            let (markdown, html) = report(&[run(verdict, &["the kernel dropped 3 frame(s)"])], lang);
            for text in [&markdown, &html] {
                assert!(text.contains(own), "{verdict} {lang}");
                assert!(text.contains("the kernel dropped 3 frame(s)"), "{verdict} {lang}");
                let others = words.iter().filter(|(other, ..)| *other != verdict);
                for (_, english, korean) in others {
                    assert!(!text.contains(english) && !text.contains(korean), "{verdict} {lang}: {english}");
                }
            }
        }
    }
}

#[test]
fn captured_text_is_escaped() {
    let (markdown, html) = report(&[run("isolated", &[])], "en");
    assert!(!html.contains("<script>alert"), "a captured script");
    for text in [&markdown, &html] {
        assert!(!text.contains('\u{202e}'), "a right-to-left override");
        for words in ["10.78.0.4:4000", "frame.number == 50", "cgroup v2 memory.max"] {
            assert!(text.contains(words), "{words}");
        }
    }
}

#[test]
fn replay_under_token_and_mtls_is_shown_in_both_languages() {
    for (lang, words) in [
        ("en", ["the same replay fails", "the intruder", "a wrong token", "its token", "not seen"]),
        ("ko", ["같은 재전송이 실패한다", "침입자", "틀린 토큰", "자신의 토큰", "관측되지 않음"]),
    ] {
        let (markdown, html) = report(&[run("isolated", &[])], lang);
        let numbers = ["frame.number == 71", "frame.number == 72", "10.78.0.4:5001", "401"];
        for word in words.into_iter().chain(numbers) {
            assert!(markdown.contains(word) && html.contains(word), "{lang}: {word}");
        }
        let mut without = run("isolated", &[]);
        without.as_object_mut().unwrap().remove("protections");
        assert!(!report(&[without], lang).0.contains(words[0]), "{lang}");
    }
}

#[test]
fn report_without_isolation_run_has_no_isolation_chapter() {
    let (markdown, _) = report(&[], "en");
    assert!(!markdown.contains("left the sandboxes"));
}
