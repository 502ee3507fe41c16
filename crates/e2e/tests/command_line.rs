//! `analyze` from the command line: paths, standard input, colours, closed pipes, exit statuses.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Output, Stdio};

use e2e::damage::{self, Copied, Judged, Side, analyze_command, conversation, strangers};
use e2e::lab::outcome;
use e2e::{Lab, has_netns, run_lab, skip};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text on stdout")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text on stderr")
}

/// Runs `analyze`, and asserts that it does not panic.
fn run(copied: &Copied, arguments: &[&str]) -> Output {
    let output = analyze_command().args(arguments).current_dir(copied.folder()).output();
    let output = output.expect("analyze starts");
    assert!(!stderr(&output).contains("panicked"), "{}", outcome(&output));
    output
}

#[test]
fn error_names_a_folder_without_captures() {
    let empty = Copied::empty();
    fs::create_dir(empty.path("captures")).expect("a folder");
    fs::write(empty.path("captures/notes.txt"), "no capture").expect("a file");
    for arguments in [&[][..], &["captures"], &["captures", "--format", "json"]] {
        let output = run(&empty, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("no capture") && stderr(&output).contains("captures"));
        assert!(!empty.path("analysis").exists(), "without an analysis no file is written");
    }
    let output = run(&empty, &["--format", "json", "captures"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON all the same");
    assert_eq!((&document["captures"], &document["conclusion"]), (&json!([]), &json!(null)));
    assert_eq!(document["errors"].as_array().map(Vec::len), Some(1));
}

#[test]
fn error_names_a_missing_path() {
    let output = run(&Copied::empty(), &["elsewhere/http.pcap"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("elsewhere/http.pcap"), "{}", stderr(&output));
}

#[test]
fn usage_error_has_status_2_and_help_has_0() {
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
fn file_that_is_not_a_capture_does_not_stop_the_analysis_of_others() {
    let contents: [&[u8]; 2] = [b"GIF89a and then some more bytes of it", &[0; 4096]];
    for content in contents {
        let copied = Copied::of(run_lab("relay"));
        copied.write("broken.pcap", content);
        let judged = copied.analyze();
        assert_eq!(judged.status, 2, "{}", judged.stderr);
        assert!(judged.stderr.contains("broken.pcap"), "{}", judged.stderr);
        assert_eq!(judged.document["errors"].as_array().map(Vec::len), Some(1));
        assert_eq!((judged.verdict("http"), judged.verdict("https")), ("exposed", "sealed"));
        assert_eq!(judged.conclusion(), "proven", "the other captures are not affected");
    }
}

#[test]
fn exposure_outweighs_a_broken_file() {
    let copied = Copied::of(run_lab("relay"));
    copied.write("broken.pcap", "no capture");
    copied.edit_manifest("http", |manifest| manifest["expected_verdict"] = json!("sealed"));
    let judged = copied.analyze();
    assert_eq!((judged.status, judged.conclusion()), (1, "refuted"));
    assert!(judged.stderr.contains("broken.pcap"));
}

#[test]
fn truncated_file_is_analyzed_up_to_its_end() {
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
fn capture_without_journal_lists_readable_strings() {
    let foreign = Copied::empty();
    let run = Copied::of(run_lab("relay"));
    foreign.write("plain.pcap", run.read("http.pcap"));
    foreign.write("tls.pcap", run.read("https.pcap"));
    assert_eq!(foreign.analyze_only("plain.pcap").status, 0);
    let judged = foreign.analyze();
    assert_eq!((judged.status, judged.conclusion()), (3, "null"), "nothing explains what is inside of TLS");
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
fn values_named_like_secrets_need_a_flag_to_be_shown() {
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

/// Writes a capture of one connection in which the client sends these bytes.
fn write_conversation(folder: &Copied, name: &str, sent: &[u8]) {
    let frames = conversation(strangers(), &[(Side::Client, sent)]);
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
fn reads_a_capture_from_standard_input() {
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
    assert_eq!((status, &capture["verdict"]), (Some(1), &json!("exposed")));
    assert_eq!(capture["completeness"]["messages_accounted"], 24);
}

#[test]
fn garbage_on_standard_input_is_an_error() {
    let mut child = analyze_command().args(["-", "--no-output"]).stdin(Stdio::piped()).spawn();
    let child = child.as_mut().expect("analyze starts");
    child.stdin.take().expect("a pipe").write_all(b"no capture at all").expect("it listens");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(2));
}

#[test]
fn colours_need_a_terminal_a_flag_or_clicolor_force() {
    let captures = run_lab("relay").captures();
    let escapes_with = |flags: &[&str], set: &[(&str, &str)]| {
        let mut command = analyze_command();
        command.env_remove("CLICOLOR_FORCE").args(["--no-output"]).args(flags).arg(&captures);
        let output = command.envs(set.iter().copied()).output().expect("analyze starts");
        assert_eq!(output.status.code(), Some(0));
        stdout(&output).contains('\x1b')
    };
    let escapes = |set: &[(&str, &str)]| escapes_with(&[], set);
    assert!(!escapes(&[]), "a pipe is no terminal");
    assert!(escapes(&[("CLICOLOR_FORCE", "1")]));
    assert!(!escapes(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(escapes_with(&["--color", "always"], &[("NO_COLOR", "1")]), "a flag outweighs a variable");
    assert!(!escapes_with(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn closed_pipe_does_not_change_the_exit_status() {
    let captures = run_lab("relay").captures();
    for format in ["text", "json"] {
        let mut command = analyze_command();
        let mut child = command.args(["--no-output", "--format", format]).arg(&captures).spawn();
        let child = child.as_mut().expect("analyze starts");
        drop(child.stdout.take());
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().expect("a pipe"), &mut stderr).expect("text");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{format}: {stderr}");
        assert_eq!(stderr, "", "{format}");
    }
}

#[test]
fn full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full");
    let Ok(full) = full else { return skip("there is no /dev/full") };
    let mut command = analyze_command();
    let captures = run_lab("relay").captures();
    let output = command.arg("--no-output").arg(captures).stdout(full).output().expect("analyze starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("stdout"), "{}", stderr(&output));
}

#[test]
fn result_is_also_written_to_a_file() {
    let copied = run_folder();
    let output = run(&copied, &["captures", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(copied.read("analysis/exposure.json"), output.stdout);
    let output =
        run(&copied, &["captures/http.pcap", "captures/https.pcap", "--output", "deep/er/result.json"]);
    assert!(stdout(&output).contains("proven"));
    assert!(copied.path("deep/er/result.json").is_file());
    assert_eq!(e2e::lab::names(&copied.path("deep/er")), ["result.json"], "no temporary file stays");
}

#[test]
fn file_in_place_of_the_output_folder_is_an_error() {
    let copied = run_folder();
    copied.write("analysis", "in the way");
    let output = run(&copied, &["captures/http.pcap"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("analysis/exposure.json"), "{}", stderr(&output));
    assert!(stdout(&output).contains("exposed"), "the result is printed all the same");
}

/// A folder with the captures of a run in `captures`, as the lab leaves them.
fn run_folder() -> Copied {
    let copied = Copied::of(run_lab("relay"));
    fs::create_dir(copied.path("captures")).expect("a folder");
    for name in e2e::lab::names(copied.folder()) {
        if name != "captures" {
            fs::rename(copied.path(&name), copied.path("captures").join(&name)).expect("a file to move");
        }
    }
    copied
}

#[test]
fn only_an_analysis_of_the_run_folder_replaces_its_result() {
    let copied = run_folder();
    fs::copy(copied.path("captures/http.pcap"), copied.path("mine.pcap")).expect("a copy");
    for arguments in [&["mine.pcap"][..], &["captures", "mine.pcap"], &["."], &["captures/http.pcap", "-"]] {
        run(&copied, arguments);
        assert!(!copied.path("analysis").exists(), "{arguments:?}");
    }
    for arguments in [&["captures/http.pcap"][..], &["captures/https.pcap", "./captures/http.pcap"], &[]] {
        run(&copied, arguments);
        let document: Value = serde_json::from_slice(&copied.read("analysis/exposure.json")).expect("JSON");
        let captures = if arguments.is_empty() { 2 } else { arguments.len() };
        assert_eq!(document["captures"].as_array().map(Vec::len), Some(captures), "{arguments:?}");
    }
}

#[test]
fn result_is_printed_even_if_its_file_cannot_be_written() {
    let copied = Copied::of(run_lab("relay"));
    copied.write("file", "in the way");
    for (format, word) in [("text", "exposed"), ("json", "plainsight.exposure/1")] {
        let output = run(&copied, &["http.pcap", "--format", format, "--output", "file/result.json"]);
        assert_eq!(output.status.code(), Some(2), "{format}");
        assert!(stdout(&output).contains(word), "{format}");
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
    copied.edit_manifest("http", |manifest| manifest["expected_verdict"] = json!("sealed"));
    let output = run(&copied, &["http.pcap", "--output", "file/result.json"]);
    assert_eq!(output.status.code(), Some(1), "an exposure outweighs a file that cannot be written");
}

#[test]
fn error_is_printed_once_on_stderr() {
    let copied = Copied::of(run_lab("relay"));
    copied.write("broken.pcap", "no capture");
    for format in ["text", "json"] {
        let output = run(&copied, &["broken.pcap", "http.pcap", "--no-output", "--format", format]);
        assert_eq!(output.status.code(), Some(2));
        let lines: Vec<_> = stderr(&output).lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("analyze: broken.pcap: "), "{lines:?}");
        assert!(format == "json" || !stdout(&output).contains("broken"), "{}", stdout(&output));
    }
}

/// Any doubt means status 3, with and without journals.
#[test]
fn doubt_means_status_3_without_an_expectation_too() {
    let foreign = Copied::empty();
    let whole = Copied::of(run_lab("relay"));
    let http = whole.read("http.pcap");
    foreign.write("cut.pcap", &http[..http.len() / 2]);
    let judged = foreign.analyze();
    assert_eq!((judged.status, judged.verdict("cut")), (3, "null"), "{:#?}", judged.reasons("cut"));
    for agent in ["agent-a", "agent-b"] {
        foreign.write(&format!("cut.{agent}.jsonl"), whole.read(&format!("http.{agent}.jsonl")));
    }
    let judged = foreign.analyze();
    assert_eq!((judged.status, judged.verdict("cut")), (3, "exposed"), "{:#?}", judged.reasons("cut"));
}

#[test]
fn unreadable_subfolder_costs_only_itself() {
    use std::os::unix::fs::PermissionsExt as _;
    let copied = Copied::of(run_lab("relay"));
    fs::create_dir(copied.path("locked")).expect("a folder");
    fs::copy(copied.path("http.pcap"), copied.path("locked/x.pcap")).expect("a copy");
    let set = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(copied.path("locked"), permissions).expect("own folder");
    };
    set(0);
    if fs::read_dir(copied.path("locked")).is_ok() {
        set(0o755);
        return skip("permissions do not bind root");
    }
    let judged = copied.analyze();
    set(0o755);
    assert_eq!((judged.status, judged.conclusion()), (2, "proven"), "{}", judged.stderr);
    assert!(judged.stderr.contains("locked") && judged.stderr.contains("denied"), "{}", judged.stderr);
}

#[test]
fn links_are_followed_once() {
    use std::os::unix::fs::symlink;
    let copied = Copied::of(run_lab("relay"));
    let elsewhere = Copied::empty();
    elsewhere.write("other.pcap", copied.read("http.pcap"));
    symlink(".", copied.path("a-loop")).expect("a link");
    symlink("https.pcap", copied.path("again.pcap")).expect("a link");
    symlink(elsewhere.folder(), copied.path("elsewhere")).expect("a link");
    symlink(elsewhere.folder(), copied.path("elsewhere-again")).expect("a link");
    let judged = copied.analyze();
    let captures = judged.document["captures"].as_array().expect("an array of captures");
    let names: Vec<_> = captures.iter().map(|capture| capture["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["other", "http", "https"], "each file once, under its own name");
    assert_eq!(judged.verdict("https"), "sealed", "{}", judged.stderr);
    let twice = damage::analyze(&[&copied.path("http.pcap"), &copied.path("again.pcap"), copied.folder()]);
    assert_eq!(twice.document["captures"].as_array().map(Vec::len), Some(3), "over all paths, too");
}

#[test]
fn stdout_contains_only_the_result() {
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
fn capture_without_frames_is_inconclusive() {
    let copied = Copied::of(run_lab("relay"));
    for name in ["http", "https"] {
        copied.write_records(name, craft::link_type::ETHERNET, &[]);
        copied.update_manifest(name);
    }
    let judged = copied.analyze();
    assert_eq!((judged.verdict("http"), judged.verdict("https")), ("inconclusive", "inconclusive"));
    assert_eq!((judged.conclusion(), judged.status), ("inconclusive", 3));
}

#[test]
fn capture_of_a_killed_capturer_is_inconclusive() {
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
        assert_eq!(output.status.code(), Some(1), "{backend}: {}", outcome(&output));
        let judged = damage::analyze(&[&lab.captures()]);
        assert_eq!(
            (judged.verdict("https"), judged.status),
            ("inconclusive", 3),
            "{backend}: {}",
            judged.stderr
        );
        let reasons = judged.reasons("https");
        assert!(reasons.iter().any(|reason| reason.contains("broke off")), "{backend}: {reasons:#?}");
        let capture = judged.capture("https");
        assert!(capture["frames"].as_u64() > Some(3), "{backend}: {}", capture["frames"]);
    }
}

/// The file is empty or shorter than a file header.
#[test]
fn error_names_a_file_too_short_to_be_a_capture() {
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
fn truncated_file_without_journal_is_reported_as_truncated() {
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

/// The manifest of "https" expects "sealed". Status 0 would mean that the expectation is met.
#[test]
fn missing_verdict_does_not_meet_an_expectation() {
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

/// Compresses bytes with a program of this machine, or skips.
fn compressed(program: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let child =
        std::process::Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        skip(&format!("{program} is not installed"));
        return None;
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads everything");
    Some(output.stdout)
}

#[test]
fn compressed_captures_are_read_with_their_companions() {
    for (program, extension, name) in [("gzip", "gz", "gzip"), ("zstd", "zst", "zstd")] {
        let copied = Copied::of(run_lab("relay"));
        let first = |judged: &Judged| judged.capture("http")["strings"][0]["locations"][0].clone();
        let unpacked = first(&copied.analyze());
        for variant in ["http", "https"] {
            let whole = copied.read(&format!("{variant}.pcap"));
            let Some(packed) = compressed(program, &whole) else { return };
            copied.remove(&format!("{variant}.pcap"));
            copied.write(&format!("{variant}.pcap.{extension}"), &packed);
        }
        let judged = copied.analyze();
        assert_eq!((judged.status, judged.conclusion()), (0, "proven"), "{:#?}", judged.reasons("http"));
        let http = judged.capture("http");
        let file = copied.read(&format!("http.pcap.{extension}"));
        assert_eq!(http["compression"], name);
        assert_eq!((&http["sha256"], &http["bytes"]), (&json!(damage::sha256(&file)), &json!(file.len())));
        assert_eq!(first(&judged)["excerpt"], json!(null));
        assert_eq!(first(&judged)["file_offset"], unpacked["file_offset"], "in the contents");

        // The contents decide, not the name; and standard input has none.
        let mut command = analyze_command();
        command.args(["-", "--format", "json", "--no-output"]);
        let opened = File::open(copied.path(&format!("http.pcap.{extension}"))).expect("a file");
        let output = command.stdin(opened).output().expect("analyze starts");
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let capture = &document["captures"][0];
        assert_eq!((&capture["frames"], &capture["compression"]), (&http["frames"], &json!(name)));
        assert_eq!(capture["sha256"], damage::sha256(&file));
    }
}

#[test]
fn damaged_compressed_capture_is_an_error_or_a_doubt_that_names_the_file() {
    for program in ["gzip", "zstd"] {
        let whole = Copied::of(run_lab("relay")).read("http.pcap");
        let Some(packed) = compressed(program, &whole) else { return };
        let folder = Copied::empty();
        let mut changed = packed.clone();
        let in_checksum = changed.len() - if program == "gzip" { 6 } else { 2 };
        changed[in_checksum] ^= 1;
        for (name, bytes, code) in [
            ("cut", &packed[..packed.len() - 5], "capture.cut-off"),
            ("checksum", &changed[..], "capture.damaged"),
            ("tail", &[&packed[..], b"more than a header of other bytes"].concat()[..], "capture.damaged"),
        ] {
            folder.write("x.pcap", bytes);
            let output = run(&folder, &["x.pcap", "--format", "json"]);
            let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            if (program, name) == ("zstd", "cut") {
                // The decoder hands over the last window only at the end of the frame: nothing of a short file.
                assert_eq!(
                    (output.status.code(), stderr(&output)),
                    (Some(2), "analyze: x.pcap: the zstd data ends early\n")
                );
                continue;
            }
            assert_eq!(output.status.code(), Some(3), "{program} {name}: {}", stderr(&output));
            let doubts = document["captures"][0]["doubts"].as_array().expect("an array of doubts");
            assert!(doubts.iter().any(|doubt| doubt["code"] == code), "{program} {name}: {doubts:#?}");
        }
        for len in [4, 12, 20] {
            folder.write("x.pcap", &packed[..len]);
            let output = run(&folder, &["x.pcap"]);
            assert_eq!(output.status.code(), Some(2), "{program} {len}");
            assert!(stderr(&output).starts_with("analyze: x.pcap: "), "{}", stderr(&output));
        }
    }
}
