//! `analyze check`: a policy, the gate of a CI run.

use std::fs;
use std::path::Path;
use std::process::Output;

use e2e::damage::{Copied, analyze_command};
use e2e::run_lab;
use serde_json::Value;

/// What the lab's variant https meets.
const STRICT: &str = r#"
[tls]
minimum = "1.3"
post-quantum = "required"
forward-secrecy = "required"
certificates = { valid-for-days = 1 }

[cleartext]
forbidden = ["*"]

[sealed]
verdict = true
"#;

fn check(run: &Copied, policy: &str, arguments: &[&str]) -> Output {
    fs::write(run.path("plainsight.toml"), policy).expect("a policy");
    let mut command = analyze_command();
    command.arg("check").args(arguments).current_dir(run.folder());
    command.output().expect("analyze starts")
}

/// The status and the document of a check.
fn checked(run: &Copied, policy: &str, arguments: &[&str]) -> (i32, Value) {
    let output = check(run, policy, &[arguments, &["--format", "json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!(document["schema"], "plainsight.check/1");
    (output.status.code().expect("a status"), document)
}

/// Rule and outcome of each violation.
fn violations(document: &Value) -> Vec<(String, String)> {
    let entries = document["violations"].as_array().expect("violations");
    let field = |entry: &'_ Value, name| entry[name].as_str().expect("a text").to_owned();
    entries.iter().map(|entry| (field(entry, "rule"), field(entry, "outcome"))).collect()
}

#[test]
fn tls_meets_a_strict_policy_and_http_does_not() {
    let run = Copied::of(run_lab("relay"));
    let (status, document) = checked(&run, STRICT, &["https.pcap"]);
    assert_eq!((status, violations(&document)), (0, vec![]), "{document}");
    assert_eq!(document["outcome"], "met");

    let (status, document) = checked(&run, STRICT, &["http.pcap"]);
    let expected =
        [("tls.minimum", "undecided"), ("cleartext.forbidden", "violated"), ("sealed.verdict", "violated")];
    let expected = expected.map(|(rule, outcome)| (rule.to_owned(), outcome.to_owned())).to_vec();
    assert_eq!((status, violations(&document)), (1, expected), "{document}");
    let place = &document["violations"][1]["places"][0];
    let frame = place["frames"][0].as_u64().expect("a frame");
    assert_eq!(place["filter"], format!("frame.number == {frame}"));
    let frames = run.frames("http");
    let first = frames.iter().find(|frame| !frame.payload.is_empty()).expect("payload");
    assert_eq!(frame, first.number as u64);
}

#[test]
fn a_baseline_makes_violations_known() {
    let run = Copied::of(run_lab("relay"));
    let (status, document) = checked(&run, STRICT, &["http.pcap", "--baseline", "http.pcap"]);
    assert_eq!(status, 0, "{document}");
    let known =
        document["violations"].as_array().expect("violations").iter().all(|entry| entry["known"] == true);
    assert!(known, "{document}");
    // What the baseline does not have fails all the same.
    let (status, document) = checked(&run, STRICT, &["http.pcap", "--baseline", "https.pcap"]);
    assert_eq!(status, 1, "{document}");
}

#[test]
fn doubts_are_undecided_unless_they_are_accepted_for_a_time() {
    let run = Copied::of(run_lab("relay"));
    let file = run.read("https.pcap");
    run.write("https.pcap", &file[..file.len() - 40]);
    let policy = |until: &str| {
        let codes =
            run.analyze_only("https.pcap").codes("https").into_iter().map(str::to_owned).collect::<Vec<_>>();
        let allow = codes
            .iter()
            .map(|code| format!("[[allow]]\ndoubt = \"{code}\"\nreason = \"a test\"\nuntil = {until}\n"));
        format!("[cleartext]\nforbidden = [\"*\"]\n{}", allow.collect::<String>())
    };
    let (status, document) = checked(&run, "[cleartext]\nforbidden = ['*']", &["https.pcap"]);
    assert_eq!(status, 3, "{document}");
    assert!(
        violations(&document).iter().all(|(rule, outcome)| rule == "doubt" && outcome == "undecided"),
        "{document}"
    );
    let (status, document) = checked(&run, &policy("2999-01-01"), &["https.pcap"]);
    assert_eq!((status, violations(&document)), (0, vec![]), "{document}");
    assert_eq!(document["accepted"][0]["reason"], "a test");
    let (status, document) = checked(&run, &policy("2020-01-01"), &["https.pcap"]);
    assert_eq!(status, 3, "{document}");
    let text = document["violations"][0]["text"].as_str().expect("a text");
    assert!(text.contains("accepted until 2020-01-01, which is over"), "{text}");
}

#[test]
fn secrets_of_captures_without_journals_are_found() {
    let folder = Copied::empty();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/oracle/captures");
    let captures = e2e::oracle::captures(&captures);
    let policy = "[sealed]\nsecrets = ['basic']\nstrings = ['no such string']";
    let secrets_in = |name: &str| {
        let path = captures.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        let path = path.unwrap_or_else(|| panic!("{name}")).to_str().expect("UTF-8");
        let (status, document) = checked(&folder, policy, &[path]);
        let found = violations(&document).iter().filter(|(rule, _)| rule == "sealed.secret").count();
        (status, found)
    };
    // With Basic over HTTP, and over TLS with its keys.
    assert_eq!(secrets_in("curl-http11-apache"), (1, 1));
    assert_eq!(secrets_in("curl-http2-tls13-apache").1, 0);
}

#[test]
fn what_precedes_tls_on_its_connection_is_in_the_clear() {
    let folder = Copied::empty();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/oracle/captures");
    let checked = |name: &str, except: &str| {
        let path = captures.join(name).to_str().expect("UTF-8").to_owned();
        let policy = format!("[cleartext]\nforbidden = ['*']\nexcept = [{except}]");
        let (_, document) = checked(&folder, &policy, &[&path]);
        violations(&document).iter().filter(|(rule, _)| rule == "cleartext.forbidden").count()
    };
    for name in ["smtp-exim", "postgresql", "xmpp-prosody"] {
        assert_eq!(checked(&format!("starttls-{name}.pcapng"), ""), 1, "{name}");
    }
    assert_eq!(checked("starttls-smtp-exim.pcapng", "'TCP/2525'"), 1);
}

#[test]
fn unusable_policies_are_refused_with_the_reason() {
    let run = Copied::of(run_lab("relay"));
    for (policy, reason) in [
        ("", "no rule"),
        ("[tls]\nminimum = '1.4'", "unknown variant `1.4`"),
        ("[cleartext]\nforbidden = ['10.0.0.0/99']", "neither an address, a network, a name"),
        ("[sealed]\nstrings = ['abc']", "string 1 has 3 of the"),
    ] {
        let output = check(&run, policy, &["https.pcap"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(reason) && stderr.contains("plainsight.toml"), "{stderr}");
    }
    let output = analyze_command().args(["check", "--policy", "none.toml"]).output().expect("analyze starts");
    assert_eq!(output.status.code(), Some(2));
}

/// A real connection with its key log, and strings of the policy.
#[test]
fn strings_of_the_policy_are_searched_for() {
    let folder = Copied::empty();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/oracle/captures");
    let capture = captures.join("curl-http11-apache.pcapng");
    let capture = capture.to_str().expect("UTF-8");
    let sealed = |string: &str, flags: &[&str]| {
        let (_, document) = checked(&folder, &format!("[sealed]\nstrings = ['{string}']"), flags);
        violations(&document).into_iter().filter(|(rule, _)| rule.starts_with("sealed")).collect::<Vec<_>>()
    };
    let found = |rule: &str, outcome: &str| (rule.to_owned(), outcome.to_owned());
    let found = [found("sealed.string", "violated"), found("sealed.scope", "undecided")];
    assert_eq!(sealed("User-Agent: curl", &[capture])[..1], found[..1]);
    assert_eq!(sealed("no such string", &[capture]), found[1..]);
    assert_eq!(sealed("no such string", &[capture, "--scope", "all"]), []);
}

#[test]
fn captures_without_traffic_meet_no_rule() {
    let folder = Copied::empty();
    folder.write_records("empty", craft::link_type::ETHERNET, &[]);
    let (status, document) = checked(&folder, "[cleartext]\nforbidden = ['*']", &["empty.pcap"]);
    assert_eq!(status, 3, "{document}");
    assert!(violations(&document).contains(&("traffic".to_owned(), "undecided".to_owned())), "{document}");
}
