//! Verdicts on captures that the lab did not make: `--strings`, `--json`, `--journal`, `--keys` and `--scope`.

use std::fs;
use std::io::Write as _;
use std::process::{Output, Stdio};

use craft::link_type::ETHERNET;
use e2e::damage::{self, Copied, Record, Side, analyze_command, conversation, strangers};
use e2e::lab::outcome;
use e2e::run_lab;
use serde_json::{Value, json};

/// A folder with a capture of TLS that nothing describes, its key log, and the strings that were sent in it.
struct Own {
    folder: Copied,
    canaries: Vec<String>,
    server: String,
}

/// What `analyze` made of it.
struct Judged {
    status: i32,
    document: Value,
}

impl Own {
    fn new() -> Self {
        Self::of("https")
    }

    fn of(variant: &str) -> Self {
        let run = Copied::of(run_lab("relay"));
        let folder = Copied::empty();
        folder.write("mine.pcap", run.read(&format!("{variant}.pcap")));
        folder.write("secrets.keys", run.read("https.keys"));
        let canaries = run.canaries(variant);
        folder.write("secrets.txt", canaries.join("\n"));
        let server = run.frames(variant)[0].to.to_string();
        Self { folder, canaries, server }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = analyze_command();
        // Wide enough that no line breaks.
        command.args(arguments).current_dir(self.folder.folder()).env("COLUMNS", "300");
        command.output().expect("analyze starts")
    }

    /// Judges the capture by its strings, with further flags.
    fn judge(&self, flags: &[&str]) -> Judged {
        let all =
            [&["mine.pcap", "--strings", "secrets.txt", "--keys", "secrets.keys", "--format", "json"], flags];
        Judged::of(&self.run(&all.concat()))
    }

    fn scoped(&self) -> Judged {
        self.judge(&["--scope", &self.server])
    }

    /// Changes the frames of the capture.
    fn edit(&self, edit: impl FnOnce(&mut Vec<Record>)) {
        let mut records = self.folder.records("mine");
        edit(&mut records);
        self.folder.write_records("mine", ETHERNET, &records);
    }

    /// Adds a connection of strangers in which the client sends these bytes.
    fn add_stranger(&self, sent: &[u8]) {
        self.edit(|records| damage::insert(records, 20, conversation(strangers(), &[(Side::Client, sent)])));
    }
}

impl Judged {
    fn of(output: &Output) -> Self {
        let document =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", outcome(output)));
        Self { status: output.status.code().unwrap_or(-1), document }
    }

    fn capture(&self) -> &Value {
        &self.document["captures"][0]
    }

    fn scope(&self) -> &Value {
        &self.capture()["scope"]
    }

    /// Status and verdict.
    fn verdict(&self) -> (i32, &str) {
        (self.status, self.capture()["verdict"].as_str().unwrap_or("null"))
    }

    fn codes(list: &Value) -> Vec<&str> {
        let list = list.as_array().expect("an array of doubts").iter();
        list.map(|doubt| doubt["code"].as_str().expect("a code")).collect()
    }

    fn doubts(&self) -> Vec<&str> {
        Self::codes(&self.capture()["doubts"])
    }

    fn outside(&self) -> Vec<&str> {
        Self::codes(&self.scope()["outside"]["doubts"])
    }
}

#[test]
fn sealed_has_status_0_only_if_its_scope_was_asked_for() {
    let own = Own::new();
    let unasked = own.judge(&[]);
    assert_eq!(unasked.verdict(), (3, "sealed"), "{:?}", unasked.doubts());
    let add = format!("--scope {}", own.server);
    assert_eq!((&unasked.scope()["asked"], &unasked.scope()["add"]), (&json!([]), &json!(add)));
    let text = own.run(&["mine.pcap", "--strings", "secrets.txt", "--keys", "secrets.keys"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains(&format!("add: {add}")), "{}", outcome(&text));

    let port = own.server.rsplit_once(':').expect("a port").1;
    for scope in [own.server.as_str(), "all", &format!("*:{port}")] {
        let asked = own.judge(&["--scope", scope]);
        assert_eq!(asked.verdict(), (0, "sealed"), "{scope}: {:?}", asked.doubts());
        assert_eq!((&asked.scope()["asked"], &asked.scope()["add"]), (&json!([scope]), &Value::Null));
        assert_eq!(asked.scope()["connections_total"], 4);
        let connections = asked.scope()["connections"].as_array().expect("an array");
        assert!(connections.iter().all(|connection| connection["server"] == *own.server));
        let found = connections.iter().filter_map(|connection| connection["strings_found"].as_u64());
        assert!(found.sum::<u64>() >= own.canaries.len() as u64);
        assert_eq!(asked.scope()["unvouched"], json!(["drops", "period", "filter", "vantage"]));
        assert_eq!(asked.capture()["controls"]["decoys"], json!({"passed": true, "searched": 8, "found": 0}));
    }
    assert_eq!(unasked.document["conclusion"], Value::Null);
}

#[test]
fn same_inputs_give_the_same_document() {
    let own = Own::new();
    assert_eq!(own.scoped().document, own.scoped().document, "although decoys are drawn");
}

#[test]
fn readable_string_is_exposed_whatever_the_scope() {
    let plain = Own::of("http");
    for flags in [&[][..], &["--scope", "all"], &["--scope", "192.0.2.9:1"], &["--scope", &plain.server]] {
        let judged = plain.judge(flags);
        assert_eq!(judged.verdict(), (1, "exposed"), "{flags:?}");
    }
    let own = Own::new();
    own.add_stranger(format!("nothing and {} in it", own.canaries[3]).as_bytes());
    for flags in [&[][..], &["--scope", &own.server]] {
        assert_eq!(own.judge(flags).verdict(), (1, "exposed"), "readable in another connection: {flags:?}");
    }
}

#[test]
fn other_traffic_is_part_of_the_scope_statement_and_blocks_only_the_scope_all() {
    let own = Own::new();
    own.add_stranger(b"GET / HTTP/1.1\r\nHost: other\r\n\r\n");
    own.add_stranger(b"\x00\x01\x02 no protocol that is known");
    for flags in [&["--scope", own.server.as_str()][..], &[]] {
        let judged = own.judge(flags);
        let status = if flags.is_empty() { 3 } else { 0 };
        assert_eq!(judged.verdict(), (status, "sealed"), "{:?}", judged.doubts());
        assert_eq!(
            judged.scope()["outside"]["connections"],
            1,
            "both strangers use one connection's addresses"
        );
        assert!(judged.outside().contains(&"bytes.unexplained"), "{:?}", judged.outside());
    }
    let all = own.judge(&["--scope", "all"]);
    assert_eq!(all.verdict(), (3, "inconclusive"));
    assert!(all.doubts().contains(&"bytes.unexplained") && all.outside().is_empty());
}

#[test]
fn frames_of_other_protocols_are_part_of_the_scope_statement() {
    let own = Own::new();
    // A frame of an unknown EtherType.
    let frame = [&[2; 12][..], &[0x88, 0xb5], b"a frame of no IP protocol, which carries something"].concat();
    own.edit(|records| damage::insert(records, 10, vec![frame]));
    let judged = own.scoped();
    assert_eq!(judged.verdict(), (0, "sealed"), "{:?}", judged.doubts());
    assert_eq!(judged.scope()["outside"]["frames"], 1);
    assert_eq!(judged.outside(), ["bytes.unexplained"]);
    assert_eq!(own.judge(&["--scope", "all"]).verdict(), (3, "inconclusive"));
}

#[test]
fn every_connection_of_the_scope_must_be_whole_and_read() {
    let with_data = |records: &[Record]| -> Vec<usize> {
        (0..records.len()).filter(|index| records[*index].bytes.len() > 200).collect()
    };
    // A frame of each connection is missing, one after the other.
    for nth in 0..4 {
        let own = Own::new();
        own.edit(|records| {
            let large = with_data(records);
            records.remove(large[large.len() * nth / 4 + 1]);
        });
        let judged = own.scoped();
        assert_eq!(judged.verdict().1, "inconclusive", "without frame {nth}: {:?}", judged.doubts());
        assert!(judged.doubts().contains(&"stream.not-whole"), "{:?}", judged.doubts());
    }
    // Bytes behind the IP packet, which belong to the connection of their frame.
    let own = Own::new();
    own.edit(|records| {
        let at = with_data(records)[2];
        records[at].bytes.extend(b"trailer");
        records[at].original_len += 7;
    });
    let judged = own.scoped();
    assert_eq!((judged.verdict(), judged.doubts()), ((3, "inconclusive"), vec!["bytes.unexplained"]));
    // A changed byte of a protected record.
    let own = Own::new();
    own.edit(|records| {
        let at = with_data(records)[5];
        let last = records[at].bytes.len() - 3;
        records[at].bytes[last] ^= 1;
    });
    assert_eq!(own.scoped().verdict(), (3, "inconclusive"));
}

#[test]
fn connection_that_carries_strings_belongs_to_the_scope() {
    let own = Own::new();
    own.add_stranger(b"\x00\x01\x02 no protocol that is known");
    let judged = own.judge(&["--scope", "192.0.2.2:9000"]);
    assert_eq!(judged.verdict(), (3, "inconclusive"));
    assert!(judged.doubts().contains(&"scope.carrier-outside"), "{:?}", judged.doubts());
    assert_eq!(judged.scope()["add"], format!("--scope {}", own.server));
}

#[test]
fn scope_without_connection_is_a_doubt() {
    let own = Own::new();
    let judged = own.judge(&["--scope", &own.server, "--scope", "[2001:db8::1]:443"]);
    assert_eq!((judged.verdict(), judged.doubts()), ((3, "inconclusive"), vec!["scope.no-connection"]));
}

#[test]
fn string_that_is_not_found_and_missing_keys_are_doubts() {
    let own = Own::new();
    own.folder.write("secrets.txt", format!("{}\nnever sent at all\n", own.canaries[0]));
    let judged = own.scoped();
    assert_eq!((judged.verdict(), judged.doubts()), ((3, "inconclusive"), vec!["control.positive-failed"]));

    let output = own.run(&["mine.pcap", "--strings", "secrets.txt", "--scope", "all", "--format", "json"]);
    let judged = Judged::of(&output);
    assert_eq!(judged.verdict(), (3, "inconclusive"));
    assert!(judged.doubts().contains(&"control.no-key-log"), "{:?}", judged.doubts());
}

#[test]
fn strings_come_from_lines_standard_input_json_and_journals() {
    let own = Own::new();
    let run = Copied::of(run_lab("relay"));
    let documents: String =
        run.journal("https", "agent-a").iter().filter_map(|line| line["body"].as_str()).collect();
    own.folder.write("documents.json", documents);
    own.folder.write("sent.jsonl", run.read("https.agent-a.jsonl"));
    let scope = ["--keys", "secrets.keys", "--scope", own.server.as_str(), "--format", "json"];
    for (flags, strings) in [
        (&["--json", "documents.json"][..], 50),
        (&["--journal", "sent.jsonl"], 500),
        (&["--journal", "sent.jsonl", "--json", "documents.json", "--strings", "secrets.txt"], 550),
    ] {
        let judged = Judged::of(&own.run(&[&["mine.pcap"], flags, &scope].concat()));
        assert_eq!(judged.verdict(), (0, "sealed"), "{flags:?}: {:?}", judged.doubts());
        let total = judged.capture()["summary"]["total"].as_u64().expect("a number");
        assert!(total >= strings, "{flags:?}: {total}");
        let has_short = judged.scope()["strings_not_searched"].as_u64() > Some(0);
        assert_eq!(has_short, flags.contains(&"--json"));
    }
    let mut command = analyze_command();
    command.args(["mine.pcap", "--strings", "-"]).args(scope).current_dir(own.folder.folder());
    let mut child = command.stdin(Stdio::piped()).spawn().expect("analyze starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(own.canaries[0].as_bytes()).expect("it listens");
    drop(stdin);
    let judged = Judged::of(&child.wait_with_output().expect("it ends"));
    assert_eq!((judged.verdict(), &judged.capture()["summary"]["total"]), ((0, "sealed"), &json!(1)));
    assert_eq!(judged.capture()["strings"][0]["path"], "standard input:1");
}

/// The server name of the lab's connections is "agent-b".
#[test]
fn word_of_a_document_in_a_hello_is_exposed_however_short_it_is() {
    let own = Own::new();
    for (document, verdict) in [
        (json!({"long": own.canaries[0], "short": "agent-b"}), (1, "exposed")),
        (json!({"long": own.canaries[0], "agent-b": 1}), (1, "exposed")),
        (json!({"long": own.canaries[0], "short": "agent-c"}), (0, "sealed")),
    ] {
        own.folder.write("document.json", document.to_string());
        let flags = ["mine.pcap", "--json", "document.json", "--keys", "secrets.keys", "--scope", "all"];
        let judged = Judged::of(&own.run(&[&flags[..], &["--format", "json"]].concat()));
        assert_eq!(judged.verdict(), verdict, "{document}: {:?}", judged.doubts());
    }
}

#[test]
fn inputs_that_cannot_be_used_are_errors_that_name_them() {
    let own = Own::new();
    own.folder.write("short.txt", "long enough\nhunter2\n");
    own.folder.write("bytes.txt", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\n");
    own.folder.write("empty.txt", "\n");
    own.folder.write("short.json", r#"{"a":"short"}"#);
    let scope = own.server.as_str();
    for (flags, message) in [
        (&["--strings", "short.txt"][..], "short.txt: line 2 has 7 of the 8 bytes"),
        (&["--strings", "bytes.txt"], "bytes.txt: line 1 is not UTF-8"),
        (&["--strings", "empty.txt"], "empty.txt: there is no string"),
        (&["--strings", "nowhere.txt"], "nowhere.txt: No such file"),
        (&["--json", "short.json"], "short.json: no string in it"),
        (&["--json", "secrets.keys"], "secrets.keys: not JSON"),
        (&["--strings", "-", "--json", "-"], "standard input can be read only once"),
        (&["--strings", "secrets.txt", "--keys", "secrets.txt"], "secrets.txt: line 1: not of the form"),
        (&["--strings", "secrets.txt", "--keys", "mine.pcap"], "mine.pcap: line 1: not"),
        (&["--strings", "secrets.txt", "--keys", "empty.txt"], "empty.txt: no key log"),
        (&["--strings", "secrets.txt", "--scope", "localhost:443"], "packets contain no host names"),
        (&["--scope", scope], "--scope needs what was sent: --strings"),
    ] {
        let output = own.run(&[&["mine.pcap"], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", outcome(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(message), "{flags:?}: {}", outcome(&output));
    }
}

#[test]
fn flags_for_own_traffic_beside_a_manifest_are_errors() {
    let run = Copied::of(run_lab("relay"));
    run.write("secrets.txt", run.canary("https"));
    for (flag, file) in
        [("--journal", "https.agent-a.jsonl"), ("--keys", "https.keys"), ("--strings", "secrets.txt")]
    {
        let output = analyze_command().args(["https.pcap", flag, file]).current_dir(run.folder()).output();
        let output = output.expect("analyze starts");
        assert_eq!(output.status.code(), Some(2), "{flag}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(flag) && stderr.contains("manifest"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn text_and_result_file_state_the_scope() {
    let own = Own::new();
    own.add_stranger(b"\x00\x01\x02 no protocol that is known");
    fs::create_dir(own.folder.path("captures")).expect("a folder");
    fs::rename(own.folder.path("mine.pcap"), own.folder.path("captures/mine.pcap")).expect("a move");
    let flags =
        ["captures/mine.pcap", "--strings", "secrets.txt", "--keys", "secrets.keys", "--scope", &own.server];
    let output = own.run(&flags);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        format!("4 connection(s) in the scope {}", own.server),
        "1 other TCP connection(s)".to_owned(),
        "payload bytes are not explained".to_owned(),
        "that no frame was dropped".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    assert!(!own.folder.path("analysis").exists(), "the result of a run is not replaced");
    let output = own.run(&[&flags[..], &["--output", "mine.json"]].concat());
    assert_eq!(output.status.code(), Some(0));
    let document: Value = serde_json::from_slice(&own.folder.read("mine.json")).expect("JSON");
    assert_eq!(document["captures"][0]["scope"]["asked"], json!([own.server]));
}

/// A generator of numbers, the same for the same seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// Changes one frame in one of several ways; returns a description of the change.
fn mutate(records: &mut Vec<Record>, numbers: &mut Numbers) -> String {
    let at = numbers.below(records.len() - 1);
    let len = records[at].bytes.len();
    let kind = ["without", "twice", "swapped", "changed", "cut", "with a trailer"][numbers.below(6)];
    match kind {
        "without" => drop(records.remove(at)),
        "twice" => records.insert(at, records[at].clone()),
        "swapped" => records.swap(at, at + 1),
        "changed" => records[at].bytes[14 + numbers.below(len - 14)] ^= 1 << numbers.below(8),
        "cut" => records[at].bytes.truncate(34 + numbers.below(len - 34)),
        _ => {
            records[at].bytes.push(1);
            records[at].original_len += 1;
        }
    }
    format!("frame {} {kind}", at + 1)
}

/// With a scope, a capture gets the verdict that it gets as a whole, unless a change made a frame something else than a
/// part of its connection; and what else is in the file does not change a verdict with a scope.
#[test]
fn verdict_with_a_scope_is_that_of_its_connections_alone() {
    let original = Own::new();
    let whole = original.folder.records("mine");
    let mut sealed = 0;
    for seed in 0..60 {
        let mut numbers = Numbers(seed);
        let mut records = whole.clone();
        let change = mutate(&mut records, &mut numbers);
        original.folder.write_records("mine", ETHERNET, &records);
        let (scoped, all) = (original.scoped(), original.judge(&["--scope", "all"]));
        let (verdict, of_all) = (scoped.verdict(), all.verdict());
        let outside = &scoped.scope()["outside"];
        let is_elsewhere = outside["connections"] != 0 || outside["frames"] != 0;
        assert!(
            verdict == of_all || is_elsewhere && of_all == (3, "inconclusive"),
            "{change}: {verdict:?} {of_all:?}"
        );
        original.add_stranger(b"\x00\x01\x02 no protocol that is known");
        assert_eq!(original.scoped().verdict(), verdict, "{change}, with other traffic");
        sealed += usize::from(verdict == (0, "sealed"));
    }
    assert!((5..55).contains(&sealed), "both verdicts occur: {sealed} of 60 are sealed");
}

#[test]
fn doubt_about_the_file_blocks_every_scope() {
    let own = Own::new();
    let whole = own.folder.read("mine.pcap");
    own.folder.write("mine.pcap", &whole[..whole.len() - 5]);
    for scope in [own.server.as_str(), "all"] {
        let judged = own.judge(&["--scope", scope]);
        assert_eq!(judged.verdict(), (3, "inconclusive"), "{scope}");
        assert!(judged.doubts().contains(&"capture.cut-off"), "{scope}: {:?}", judged.doubts());
    }
    // A frame of strangers that the snaplen cut: what was cut off was not searched.
    own.folder.write("mine.pcap", whole);
    own.add_stranger(b"\x00\x01\x02 no protocol that is known");
    own.edit(|records| {
        let stranger = records.iter_mut().find(|record| record.bytes.ends_with(b"that is known"));
        let stranger = stranger.expect("the frame of strangers with content");
        stranger.bytes.truncate(stranger.bytes.len() - 4);
    });
    let judged = own.scoped();
    assert_eq!((judged.verdict(), judged.doubts()), ((3, "inconclusive"), vec!["frame.truncated"]));
}
