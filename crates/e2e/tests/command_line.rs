//! `analyze` as a user meets it: paths good and bad, standard input, colours, a reader that leaves, exit statuses.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Output, Stdio};

use e2e::damage::{self, Copied, Side, analyze_command, conversation, strangers};
use e2e::lab::said;
use e2e::{Lab, has_netns, run_lab, skip};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text on stdout")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text on stderr")
}

/// Without a panic, whatever happens.
fn run(copied: &Copied, arguments: &[&str]) -> Output {
    let output = analyze_command().args(arguments).current_dir(copied.folder()).output();
    let output = output.expect("analyze starts");
    assert!(!stderr(&output).contains("panicked"), "{}", said(&output));
    output
}

#[test]
fn a_folder_without_captures_is_named() {
    let empty = Copied::empty();
    fs::create_dir(empty.path("captures")).expect("a folder");
    fs::write(empty.path("captures/notes.txt"), "no capture").expect("a file");
    for arguments in [&[][..], &["captures"], &["captures", "--format", "json"]] {
        let output = run(&empty, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("no capture") && stderr(&output).contains("captures"));
        assert!(!empty.path("analysis").exists(), "nothing was analyzed, so nothing is written");
    }
    let output = run(&empty, &["--format", "json", "captures"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON all the same");
    assert_eq!((&document["captures"], &document["conclusion"]), (&json!([]), &json!(null)));
    assert_eq!(document["errors"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let output = run(&Copied::empty(), &["elsewhere/http.pcap"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("elsewhere/http.pcap"), "{}", stderr(&output));
}

#[test]
fn wrong_usage_is_told_from_a_wrong_verdict() {
    for arguments in [&["--no-such-flag"][..], &["--format", "poem"], &["--no-output", "--output", "x"]] {
        let output = run(&Copied::empty(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stdout(&output).is_empty());
    }
    for (flag, word) in [("--version", env!("CARGO_PKG_VERSION")), ("--help", "Exit status")] {
        let output = run(&Copied::empty(), &[flag]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains(word), "{flag}");
    }
}

#[test]
fn a_file_that_is_no_capture_does_not_keep_the_rest_from_being_analyzed() {
    let contents: [&[u8]; 2] = [b"GIF89a and then some more bytes of it", &[0; 4096]];
    for content in contents {
        let copied = Copied::of(run_lab("relay"));
        copied.write("broken.pcap", content);
        let judged = copied.analyze();
        assert_eq!(judged.status, 2, "{}", judged.said);
        assert!(judged.said.contains("broken.pcap"), "{}", judged.said);
        assert_eq!(judged.document["errors"].as_array().map(Vec::len), Some(1));
        assert_eq!((judged.verdict("http"), judged.verdict("https")), ("exposed", "sealed"));
        assert_eq!(judged.conclusion(), "proven", "the pair is as good as it was");
    }
}

#[test]
fn an_exposure_outweighs_a_broken_file() {
    let copied = Copied::of(run_lab("relay"));
    copied.write("broken.pcap", "no capture");
    copied.edit_manifest("http", |manifest| manifest["expected_verdict"] = json!("sealed"));
    let judged = copied.analyze();
    assert_eq!((judged.status, judged.conclusion()), (1, "refuted"));
    assert!(judged.said.contains("broken.pcap"));
}

#[test]
fn a_truncated_file_is_read_up_to_its_end() {
    let copied = Copied::of(run_lab("relay"));
    let (whole, records) = (copied.read("http.pcap"), copied.records("http").len());
    copied.write("http.pcap", &whole[..whole.len() - 1]);
    let judged = copied.analyze();
    assert_eq!((judged.status, judged.verdict("http")), (3, "exposed"));
    assert_eq!(judged.capture("http")["frames"], records - 1);
    assert!(judged.reasons("http").iter().any(|reason| reason.contains("ends")));
    assert_eq!(judged.verdict("https"), "sealed");
    assert_eq!(judged.conclusion(), "inconclusive");
}

#[test]
fn a_capture_without_journal_lists_what_is_readable() {
    let foreign = Copied::empty();
    let run = Copied::of(run_lab("relay"));
    foreign.write("plain.pcap", run.read("http.pcap"));
    foreign.write("tls.pcap", run.read("https.pcap"));
    let judged = foreign.analyze();
    assert_eq!((judged.status, judged.conclusion()), (0, "null"));
    let (plain, tls) = (judged.capture("plain"), judged.capture("tls"));
    assert_eq!((&plain["verdict"], &tls["verdict"]), (&json!(null), &json!(null)));
    assert!(judged.reasons("plain")[0].contains("no journal"));
    assert_eq!((&plain["http_total"], &tls["http_total"]), (&json!(24), &json!(0)));
    assert_eq!((&tls["readable"], &tls["readable_total"]), (&json!([]), &json!(0)));
    let readable = plain["readable"].as_array().expect("an array of strings");
    let canary = readable.iter().find(|string| string["value"] == *run.canary("http"));
    let canary = canary.expect("the canary is readable");
    assert_eq!(canary["path"], "$.canary");
    assert_eq!(canary["location"]["frames"], json!([4]));
    assert_eq!(tls["tls"]["sessions"][0]["visible"]["server_name"], "agent-b");
    assert_eq!(tls["tls"]["sessions"][0]["visible"]["version"], "TLS 1.3");
}

#[test]
fn what_looks_like_a_secret_is_shown_only_when_asked_for() {
    let foreign = Copied::empty();
    let body = r#"{"user":"kim-minjun","password":"correct-horse","nested":{"api_key":["battery-staple"]}}"#;
    let request = format!(
        "POST /login HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    write_conversation(&foreign, "login", request.as_bytes());
    for format in ["text", "json"] {
        let output = run(&foreign, &["login.pcap", "--format", format, "--no-output"]);
        assert!(stdout(&output).contains("kim-minjun"), "{format}");
        assert!(!stdout(&output).contains("correct-horse") && !stdout(&output).contains("battery-staple"));
        let output = run(&foreign, &["login.pcap", "--format", format, "--no-output", "--show-secrets"]);
        assert!(stdout(&output).contains("correct-horse") && stdout(&output).contains("battery-staple"));
    }
}

/// A file with one conversation, of which the client says everything.
fn write_conversation(folder: &Copied, name: &str, said: &[u8]) {
    let frames = conversation(strangers(), &[(Side::Client, said)]);
    let records: Vec<_> = frames
        .into_iter()
        .map(|bytes| damage::Record { at: 1, original_len: bytes.len() as u32, bytes })
        .collect();
    folder.write_records(name, craft::link_type::ETHERNET, &records);
}

#[test]
fn hostile_text_does_not_reach_the_terminal() {
    let foreign = Copied::empty();
    let body = "{\"\\u001b[31mkey\":\"\\u001b]0;owned\\u0007 \\u202e right to left\",\"b\":\"\u{9b}31m\"}";
    let request = format!(
        "POST /\x1b[2J HTTP/1.1\r\nContent-Type: application/json;\x1b[2J\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    write_conversation(&foreign, "hostile", request.as_bytes());
    let other = request.replace("/\x1b[2J", "/quiet").replace(";\x1b[2J", "");
    write_conversation(&foreign, "quiet", other.as_bytes());
    for format in ["text", "json"] {
        for file in ["hostile.pcap", "quiet.pcap"] {
            let output = run(&foreign, &[file, "--format", format, "--no-output"]);
            let shown = stdout(&output);
            let is_hostile = |c: char| c.is_control() && c != '\n' || format == "text" && c == '\u{202e}';
            let found = shown.chars().find(|c| is_hostile(*c) && !(format == "json" && *c == '\u{9b}'));
            assert_eq!(found, None, "{format} {file}");
            assert!(stderr(&output).chars().all(|c| !c.is_control() || c == '\n'), "{format} {file}");
        }
    }
}

#[test]
fn standard_input_is_a_capture_too() {
    let copied = Copied::of(run_lab("relay"));
    let from_stdin = |arguments: &[&str]| {
        let mut command = analyze_command();
        command.args(arguments).args(["-", "--format", "json", "--no-output"]);
        let file = File::open(copied.path("http.pcap")).expect("a file");
        let output = command.stdin(file).current_dir(copied.folder()).output().expect("analyze starts");
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), document)
    };
    let (status, document) = from_stdin(&[]);
    let capture = &document["captures"][0];
    assert_eq!(status, Some(0));
    assert_eq!((&capture["file"], &capture["verdict"]), (&json!("-"), &json!(null)));
    assert_eq!(capture["sha256"], damage::sha256(&copied.read("http.pcap")));
    assert_eq!(capture["bytes"], copied.read("http.pcap").len());
    assert_eq!(capture["http_total"], 24);

    let (status, document) = from_stdin(&["--journal", "http.agent-a.jsonl"]);
    let capture = &document["captures"][0];
    assert_eq!((status, &capture["verdict"]), (Some(0), &json!("exposed")));
    assert_eq!(capture["completeness"]["messages_accounted"], 24);
}

#[test]
fn garbage_on_standard_input_is_no_capture() {
    let mut child = analyze_command().args(["-", "--no-output"]).stdin(Stdio::piped()).spawn();
    let child = child.as_mut().expect("analyze starts");
    child.stdin.take().expect("a pipe").write_all(b"no capture at all").expect("it listens");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(2));
}

#[test]
fn colours_only_where_they_are_wanted() {
    let captures = run_lab("relay").captures();
    let escapes = |set: &[(&str, &str)]| {
        let mut command = analyze_command();
        command.env_remove("CLICOLOR_FORCE").args(["--no-output"]).arg(&captures);
        let output = command.envs(set.iter().copied()).output().expect("analyze starts");
        assert_eq!(output.status.code(), Some(0));
        stdout(&output).contains('\x1b')
    };
    assert!(!escapes(&[]), "a pipe is no terminal");
    assert!(escapes(&[("CLICOLOR_FORCE", "1")]));
    assert!(!escapes(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn a_reader_that_leaves_changes_no_exit_status() {
    let captures = run_lab("relay").captures();
    for format in ["text", "json"] {
        let mut command = analyze_command();
        let mut child = command.args(["--no-output", "--format", format]).arg(&captures).spawn();
        let child = child.as_mut().expect("analyze starts");
        drop(child.stdout.take());
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().expect("a pipe"), &mut said).expect("text");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{format}: {said}");
        assert_eq!(said, "", "{format}");
    }
}

#[test]
fn a_full_disk_is_told() {
    let full = File::options().write(true).open("/dev/full");
    let Ok(full) = full else { return skip("there is no /dev/full") };
    let mut command = analyze_command();
    let captures = run_lab("relay").captures();
    let output = command.arg("--no-output").arg(captures).stdout(full).output().expect("analyze starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("stdout"), "{}", stderr(&output));
}

#[test]
fn the_result_is_written_to_a_file_too() {
    let copied = Copied::of(run_lab("relay"));
    let output = run(&copied, &[".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(copied.read("analysis/exposure.json"), output.stdout);
    let output = run(&copied, &[".", "--output", "deep/er/result.json"]);
    assert!(stdout(&output).contains("proven"));
    assert!(copied.path("deep/er/result.json").is_file());
    assert_eq!(e2e::lab::names(&copied.path("deep/er")), ["result.json"], "no temporary file stays");
}

#[test]
fn a_file_in_the_way_of_the_result_is_an_error() {
    let copied = Copied::of(run_lab("relay"));
    copied.write("analysis", "in the way");
    let output = run(&copied, &["http.pcap"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("analysis/exposure.json"), "{}", stderr(&output));
}

#[test]
fn nothing_but_the_result_is_on_stdout() {
    let copied = Copied::of(run_lab("relay"));
    let output = run(&copied, &[".", "--no-output", "--format", "json"]);
    assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok());
    assert_eq!(stderr(&output), "");
}

#[test]
fn both_formats_and_single_captures_have_the_same_exit_status() {
    let copied = Copied::of(run_lab("relay"));
    copied.edit_manifest("https", |manifest| manifest["finished"] = json!(false));
    for (path, status) in [(".", 3), ("http.pcap", 0), ("https.pcap", 3)] {
        for format in ["text", "json"] {
            let output = run(&copied, &[path, "--no-output", "--format", format]);
            assert_eq!(output.status.code(), Some(status), "{path} {format}");
        }
    }
}

#[test]
fn a_capture_with_no_frame_at_all() {
    let copied = Copied::of(run_lab("relay"));
    for name in ["http", "https"] {
        copied.write_records(name, craft::link_type::ETHERNET, &[]);
        copied.vouch(name);
    }
    let judged = copied.analyze();
    assert_eq!((judged.verdict("http"), judged.verdict("https")), ("inconclusive", "inconclusive"));
    assert_eq!((judged.conclusion(), judged.status), ("inconclusive", 3));
}

#[test]
fn a_killed_capturer_leaves_an_inconclusive_capture() {
    let mut backends = vec!["relay"];
    match has_netns() {
        Ok(()) => backends.push("netns"),
        Err(reason) => skip(&reason),
    }
    for backend in backends {
        let lab = Lab::new();
        let running = lab.run_at_length(&["https", "--backend", backend]);
        lab.wait_for_frames("https");
        running.signal("capturer", Signal::SIGKILL);
        let output = running.end();
        assert_eq!(output.status.code(), Some(1), "{backend}: {}", said(&output));
        let judged = damage::analyze(&[&lab.captures()]);
        assert_eq!(
            (judged.verdict("https"), judged.status),
            ("inconclusive", 3),
            "{backend}: {}",
            judged.said
        );
        let reasons = judged.reasons("https");
        assert!(reasons.iter().any(|reason| reason.contains("broke off")), "{backend}: {reasons:#?}");
        let capture = judged.capture("https");
        assert!(capture["frames"].as_u64() > Some(3), "{backend}: {}", capture["frames"]);
    }
}

/// Empty, or shorter than a file header: a clear message that names the file.
#[test]
fn a_file_too_short_to_be_a_capture() {
    for content in [&b""[..], b"\xd4\xc3", b"\xd4\xc3\xb2\xa1"] {
        let copied = Copied::of(run_lab("relay"));
        copied.write("broken.pcap", content);
        let judged = copied.analyze();
        assert!(
            judged.document.to_string().contains("ends") || judged.status == 2,
            "{:#}",
            judged.document["captures"][0]
        );
        assert_ne!(judged.status, 0);
    }
}

#[test]
fn a_truncated_file_without_journal_is_said_to_be_truncated() {
    let foreign = Copied::empty();
    let whole = Copied::of(run_lab("relay")).read("http.pcap");
    foreign.write("cut.pcap", &whole[..whole.len() / 2]);
    let judged = foreign.analyze();
    assert!(
        judged.reasons("cut").iter().any(|reason| reason.contains("ends")),
        "{:#?}",
        judged.reasons("cut")
    );
    let output = run(&foreign, &["cut.pcap", "--no-output"]);
    assert!(stdout(&output).contains("ends") || stderr(&output).contains("ends"));
}

/// The manifest of "https" expects "sealed", and nobody said so: exit 0 means "expectations met".
#[test]
fn an_expected_verdict_that_is_not_given_is_not_met() {
    for (remove, unname) in [(true, false), (false, true), (true, true)] {
        let copied = Copied::of(run_lab("relay"));
        if remove {
            copied.remove("https.agent-a.jsonl");
            copied.remove("https.agent-b.jsonl");
        }
        if unname {
            copied.edit_manifest("https", |manifest| manifest["journals"] = json!([]));
        }
        let judged = copied.analyze();
        assert_eq!(judged.status, 3, "journals removed: {remove}, not named: {unname}");
        assert_ne!(judged.conclusion(), "proven");
    }
}
