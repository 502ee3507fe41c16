//! Reports on real runs, complete and damaged: the text of each conclusion in both languages.

use std::process::Output;

use craft::link_type::ETHERNET;
use e2e::damage::{Copied, Side, analyze_with, conversation, insert, strangers};
use e2e::lab::outcome;
use e2e::{programs, run_lab};

/// Analyzes the folder, and returns the report in this language.
fn reported(copied: &Copied, lang: &str) -> String {
    let result = copied.path("exposure.json");
    let output = result.to_str().expect("a path of text");
    let analyzed = analyze_with(&[copied.folder()], &["--format", "json", "--output", output]);
    assert!(result.is_file(), "{}", outcome(&analyzed));
    let reported = report(copied, &["--lang", lang]);
    assert!(reported.status.success(), "{}", outcome(&reported));
    String::from_utf8(copied.read("report.md")).expect("text")
}

fn report(copied: &Copied, flags: &[&str]) -> Output {
    let mut command = std::process::Command::new(programs::program("report"));
    command.arg(copied.path("exposure.json")).args(flags).output().expect("report starts")
}

/// The passages that state the result: the summary, the text above the controls, and the conclusion. Numbers become
/// `#`.
fn result_passages(copied: &Copied, lang: &str) -> String {
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
    let passages: Vec<&str> = top.into_iter().chain([""]).chain(controls).chain(chapter("9")).collect();
    numbers(&passages.join("\n"))
}

/// Replaces each number, with its thousands, decimals and exponent, by `#`.
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
fn report_of_a_proven_pair() {
    let copied = Copied::of(run_lab("relay"));
    insta::assert_snapshot!("proven_en", result_passages(&copied, "en"));
    insta::assert_snapshot!("proven_ko", result_passages(&copied, "ko"));
}

/// The canary of the TLS run is also in the capture in the clear.
#[test]
fn report_of_a_refuted_pair() {
    let copied = Copied::of(run_lab("relay"));
    let canary = copied.canary("https");
    let mut records = copied.records("https");
    let middle = records.len() / 2;
    insert(&mut records, middle, conversation(strangers(), &[(Side::Client, canary.as_bytes())]));
    copied.write_records("https", ETHERNET, &records);
    copied.update_manifest("https");
    insta::assert_snapshot!("refuted_en", result_passages(&copied, "en"));
    insta::assert_snapshot!("refuted_ko", result_passages(&copied, "ko"));
}

/// Without the key log there is no positive control.
#[test]
fn report_of_an_inconclusive_pair() {
    let copied = Copied::of(run_lab("relay"));
    copied.remove("https.keys");
    insta::assert_snapshot!("inconclusive_en", result_passages(&copied, "en"));
    insta::assert_snapshot!("inconclusive_ko", result_passages(&copied, "ko"));
}

/// One capture has no other capture to be compared with.
#[test]
fn report_of_a_single_capture() {
    let copied = Copied::empty();
    let run = Copied::of(run_lab("relay"));
    for file in ["http.pcap", "http.manifest.json", "http.agent-a.jsonl", "http.agent-b.jsonl"] {
        copied.write(file, run.read(file));
    }
    insta::assert_snapshot!("alone_en", result_passages(&copied, "en"));
    insta::assert_snapshot!("alone_ko", result_passages(&copied, "ko"));
}

#[test]
fn only_the_report_of_a_proven_pair_contains_words_of_success() {
    let copied = Copied::of(run_lab("relay"));
    let proven = ["en", "ko"].map(|lang| reported(&copied, lang));
    assert!(proven[0].contains("Result: Proven") && proven[1].contains("실습 결과: 증명됨"));
    let mut records = copied.records("https");
    records.remove(records.len() / 2);
    copied.write_records("https", ETHERNET, &records);
    let [english, korean] = ["en", "ko"].map(|lang| reported(&copied, lang));
    for word in ["Proven", "none can be read", "over TLS, none", "So TLS hides"] {
        assert!(proven[0].contains(word), "{word:?} in a report of a proven pair");
        assert!(!english.contains(word), "{word:?} in an inconclusive report");
    }
    for word in ["증명되었다", "증명됨", "하나도 읽을 수 없", "하나도 찾지 못한다"] {
        assert!(proven[1].contains(word), "{word:?} in a report of a proven pair");
        assert!(!korean.contains(word), "{word:?} in an inconclusive report");
    }
    assert!(english.contains("Inconclusive: nothing is proven") && english.contains("SHA-256 differs"));
    assert!(korean.contains("판정 불가: 증명된 것이 없음") && korean.contains("SHA-256 differs"));
}
