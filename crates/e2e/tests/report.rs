//! Reports on real runs, whole and damaged: each of the three conclusions, in both languages, says what it has to say
//! and nothing that it must not.

use std::process::Output;

use craft::link_type::ETHERNET;
use e2e::damage::{Copied, Side, analyze_with, conversation, insert, strangers};
use e2e::lab::said;
use e2e::{programs, run_lab};

/// Analyzes the folder and reports on the result, in this language.
fn reported(copied: &Copied, lang: &str) -> String {
    let result = copied.path("exposure.json");
    let output = result.to_str().expect("a path of text");
    let analyzed = analyze_with(&[copied.folder()], &["--format", "json", "--output", output]);
    assert!(result.is_file(), "{}", said(&analyzed));
    let reported = report(copied, &["--lang", lang]);
    assert!(reported.status.success(), "{}", said(&reported));
    String::from_utf8(copied.read("report.md")).expect("text")
}

fn report(copied: &Copied, flags: &[&str]) -> Output {
    let mut command = std::process::Command::new(programs::program("report"));
    command.arg(copied.path("exposure.json")).args(flags).output().expect("report starts")
}

/// The result at the top, the text over the controls, and the conclusion: what a reader takes home. Numbers as `#`.
fn told(copied: &Copied, lang: &str) -> String {
    let text = reported(copied, lang);
    let text = text.replace(&copied.folder().display().to_string(), "FOLDER");
    let is_quoted = |line: &&str| line.starts_with('>');
    let top: Vec<&str> = text.lines().skip_while(|line| !is_quoted(line)).take_while(is_quoted).collect();
    let chapter = |number: &str| {
        let start = format!("## {number}. ");
        let lines = text.lines().skip_while(|line| !line.starts_with(&start));
        let body = lines.clone().skip(1).take_while(|line| !line.starts_with("## "));
        lines.take(1).chain(body).collect::<Vec<&str>>()
    };
    let controls = chapter("7").into_iter().filter(|line| !line.starts_with('|'));
    let told: Vec<&str> = top.into_iter().chain([""]).chain(controls).chain(chapter("9")).collect();
    numbers(&told.join("\n"))
}

/// Each number as `#`, with its thousands, decimals and exponent.
fn numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, ',' | '.');
        let run =
            rest[start..].find(|c| !is_number(c)).map_or(&rest[start..], |end| &rest[start..start + end]);
        let number = run.trim_end_matches([',', '.']);
        out += &rest[..start];
        out.push('#');
        rest = &rest[start + number.len()..];
    }
    (out + rest).replace("#e-#", "#")
}

#[test]
fn a_proven_pair() {
    let copied = Copied::of(run_lab("relay"));
    insta::assert_snapshot!("proven_en", told(&copied, "en"));
    insta::assert_snapshot!("proven_ko", told(&copied, "ko"));
}

/// The canary of a TLS run crosses the wire in the open as well.
#[test]
fn a_refuted_pair() {
    let copied = Copied::of(run_lab("relay"));
    let canary = copied.canary("https");
    let mut records = copied.records("https");
    let middle = records.len() / 2;
    insert(&mut records, middle, conversation(strangers(), &[(Side::Client, canary.as_bytes())]));
    copied.write_records("https", ETHERNET, &records);
    copied.vouch("https");
    insta::assert_snapshot!("refuted_en", told(&copied, "en"));
    insta::assert_snapshot!("refuted_ko", told(&copied, "ko"));
}

/// Without the key log there is no positive control.
#[test]
fn an_inconclusive_pair() {
    let copied = Copied::of(run_lab("relay"));
    copied.remove("https.keys");
    insta::assert_snapshot!("inconclusive_en", told(&copied, "en"));
    insta::assert_snapshot!("inconclusive_ko", told(&copied, "ko"));
}

/// One capture has nothing to be compared with.
#[test]
fn a_capture_alone() {
    let copied = Copied::empty();
    let run = Copied::of(run_lab("relay"));
    for file in ["http.pcap", "http.manifest.json", "http.agent-a.jsonl", "http.agent-b.jsonl"] {
        copied.write(file, run.read(file));
    }
    insta::assert_snapshot!("alone_en", told(&copied, "en"));
    insta::assert_snapshot!("alone_ko", told(&copied, "ko"));
}

/// Words of success stand in no report but the one on a proven pair, wherever one looks.
#[test]
fn nothing_else_reads_like_success() {
    let copied = Copied::of(run_lab("relay"));
    let proven = ["en", "ko"].map(|lang| reported(&copied, lang));
    assert!(proven[0].contains("Result: Proven") && proven[1].contains("실습 결과: 증명됨"));
    let mut records = copied.records("https");
    records.remove(records.len() / 2);
    copied.write_records("https", ETHERNET, &records);
    let [english, korean] = ["en", "ko"].map(|lang| reported(&copied, lang));
    for word in ["Proven", "none can be read", "none of it is", "it is TLS that hides"] {
        assert!(!english.contains(word), "{word:?} in an inconclusive report");
    }
    for word in ["증명되었다", "증명됨", "하나도 보이지 않는다", "하나도 찾지 못한다"]
    {
        assert!(!korean.contains(word), "{word:?} in an inconclusive report");
    }
    assert!(english.contains("Inconclusive: nothing is proven") && english.contains("SHA-256 differs"));
    assert!(korean.contains("판정 불가: 증명된 것이 없음") && korean.contains("SHA-256 differs"));
}
