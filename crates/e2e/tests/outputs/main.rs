//! Reads every format of `analyze --format` with other programs: a JSON Schema, xmllint, Python's csv.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use craft::link_type::ETHERNET;
use e2e::damage::{Copied, Record, Side, analyze_command, conversation, strangers};
use e2e::{has_netns, run_lab, skip};
use serde_json::{Value, json};

/// Strings that break formats which do not escape them.
const HOSTILE: [&str; 14] = [
    "\u{1b}[2J\u{1b}]0;title\u{7} escapes of terminals",
    "\u{9b}31m C1, \u{7f} delete, \u{0} nul, \u{8} back",
    "lines\r\nand\nmore\u{2028}lines\u{2029}and\u{85}lines",
    "=cmd|' /C calc'!A0 and =HYPERLINK(\"http://x\")",
    "+1+1 and -2+3 and @SUM(A1:A9), \"quoted\", commas",
    "@everyone and -- and ,;\t| many \"\"separators\"\"",
    "| a | table | `code` ``more`` *bold* [link](http://x) <b>@user</b>",
    "# heading\n- list\n> quote\n```\nfence\n```\n<!-- comment -->",
    "</failure><![CDATA[ x ]]> &amp; &lt; <?pi?> <!DOCTYPE x>",
    "not characters of XML: \u{ffff} \u{fffe} \u{1} \u{1f}",
    "{0} {1} {{2}} [text](0) placeholders and links of SARIF",
    "\u{202e}reversed\u{202c} \u{200b}invisible\u{feff} \u{2066}isolated\u{2069}",
    "한국어와 emoji 🙂🙃 and combining e\u{301}",
    "::error file=x::workflow commands ::set-output name=x::",
];

/// A name of a file with everything that a name can have.
const NAME: &str = "=a|b`c<d>&\"e'\u{1b}[1m\nf#[g](h){0} 한.pcap";

fn analyze(folder: &Path, arguments: &[&str]) -> Output {
    analyze_command().args(arguments).current_dir(folder).output().expect("analyze starts")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn schema(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outputs").join(name)
}

/// A SARIF log that its published schema accepts.
fn sarif(output: &Output) -> Value {
    let log: Value = serde_json::from_str(&text(output)).expect("JSON");
    let mut published: Value =
        serde_json::from_slice(&fs::read(schema("sarif-schema-2.1.0.json")).expect("a schema"))
            .expect("JSON");
    // A bracket without its partner is itself in the expressions of ECMAScript only, unless they are of its `u` mode.
    for definition in ["run", "toolComponent"] {
        let pattern = &mut published["definitions"][definition]["properties"]["language"]["pattern"];
        *pattern = pattern.as_str().expect("an expression").replace("{2}]?", "{2}\\]?").into();
    }
    let options = jsonschema::options().should_validate_formats(true);
    let validator = options.build(&published).expect("a valid schema");
    let errors: Vec<_> =
        validator.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
    log
}

/// Writes `text` to a program, and returns what it prints.
fn piped(program: &str, arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends");
    Some(output)
}

/// Validates JUnit XML; `false` if this machine cannot.
fn is_junit(xml: &str) -> bool {
    let schema = schema("junit-10.xsd");
    let arguments = ["--noout", "--nonet", "--schema", schema.to_str().expect("UTF-8"), "-"];
    let Some(output) = piped("xmllint", &arguments, xml) else {
        skip("there is no xmllint");
        return false;
    };
    assert!(output.status.success(), "{}\n{xml}", String::from_utf8_lossy(&output.stderr));
    true
}

/// The rows as Python's csv reads them, by their columns; `None` if this machine cannot.
fn rows(csv: &str) -> Option<Vec<Value>> {
    let script = "import csv,io,json,sys\n\
        text = sys.stdin.buffer.read().decode()\n\
        print(json.dumps(list(csv.DictReader(io.StringIO(text, newline=''), strict=True))))";
    let Some(output) = piped("python3", &["-c", script], csv) else {
        skip("there is no python3");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// Nothing that a terminal obeys, or that changes or hides what a reader sees.
fn assert_plain(text: &str) {
    let found = text.chars().find(|c| {
        c.is_control() && !matches!(c, '\n' | '\r')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    });
    assert_eq!(found, None, "{text}");
}

/// A capture in which the hostile strings cross a network, and the file that names them.
fn hostile() -> Copied {
    let folder = Copied::empty();
    let body = json!({ "strings": HOSTILE, "=1+1|`x`<b>": "the value of a hostile key" }).to_string();
    let request = format!(
        "POST /`|<x>&=1 HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    let frames = conversation(strangers(), &[(Side::Client, request.as_bytes()), (Side::Server, answer)]);
    let records: Vec<_> = (1..)
        .zip(frames)
        .map(|(at, bytes)| Record { at: at * 1000, original_len: bytes.len() as u32, bytes })
        .collect();
    folder.write_records("plain", ETHERNET, &records);
    fs::rename(folder.path("plain.pcap"), folder.path(NAME)).expect("a name that the file system allows");
    folder.write("sent.json", &body);
    folder
}

/// The outcome of a check, in which the hostile strings are evidence.
#[test]
fn hostile_text_breaks_no_format_of_a_check() {
    let folder = hostile();
    let quoted = HOSTILE.map(|string| Value::from(string).to_string().replace("\u{7f}", "\\u007F"));
    let policy = format!(
        "[cleartext]\nforbidden = ['*']\n[sealed]\nverdict = true\nsecrets = ['*']\nstrings = [{}]\n\
         [[allow]]\ndoubt = \"{}\"\nreason = \"|`<b>\"\nuntil = 2999-01-01\n",
        quoted.join(", "),
        "controls.`<b>|"
    );
    folder.write("plainsight.toml", policy);
    let check = |format: &str| {
        let output = analyze(folder.folder(), &["check", NAME, "--format", format]);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    let log = sarif(&check("sarif"));
    let rules: Vec<_> =
        log["runs"][0]["results"].as_array().expect("results").iter().map(|r| &r["ruleId"]).collect();
    assert!(
        rules.contains(&&json!("sealed.string")) && rules.contains(&&json!("cleartext.forbidden")),
        "{rules:?}"
    );
    let junit = text(&check("junit"));
    is_junit(&junit);
    assert_plain(&junit);
    for format in ["text", "markdown"] {
        assert_plain(&text(&check(format)));
    }
    let markdown = text(&check("markdown"));
    assert!(markdown.starts_with("## ❌ plainsight: a rule of the policy is violated"), "{markdown}");
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let table: Vec<_> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    assert!(table.len() > 10 && table.iter().all(|line| bars(line) == 6), "{markdown}");
    let document: Value = serde_json::from_str(&text(&check("json"))).expect("JSON");
    assert_eq!(document["schema"], "plainsight.check/1");
}

#[test]
fn hostile_text_breaks_no_format() {
    let folder = hostile();
    for known in [&["--json", "sent.json"][..], &[]] {
        let run = |format: &str| {
            let flags = [&[NAME, "--no-output", "--format", format], known].concat();
            let output = analyze(folder.folder(), &flags);
            assert_plain(&text(&output));
            assert_eq!(output.status.code(), Some(if known.is_empty() { 0 } else { 1 }), "{format}");
            output
        };
        let document =
            analyze(folder.folder(), &[&[NAME, "--no-output", "--format", "json"], known].concat());
        let document: Value = serde_json::from_slice(&document.stdout).expect("JSON");
        let capture = &document["captures"][0];
        let entries = if known.is_empty() { "readable" } else { "strings" };
        let values: Vec<_> =
            capture[entries].as_array().expect("strings").iter().map(|s| &s["value"]).collect();
        assert!(HOSTILE.iter().all(|hostile| values.contains(&&json!(hostile))), "{values:?}");

        let lines = text(&run("jsonl"));
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let found: Vec<_> = lines.iter().filter(|line| line["kind"] == "exposure").collect();
        for value in &values {
            assert!(found.iter().any(|line| &&line["value"] == value), "{value}");
        }
        assert!(lines.iter().all(|line| line["schema"] == "plainsight.finding/1" && line["file"] == NAME));

        let log = sarif(&run("sarif"));
        let results = log["runs"][0]["results"].as_array().expect("results");
        assert_eq!(
            results.len(),
            lines
                .iter()
                .filter(|line| ["exposure", "doubt"].iter().any(|kind| line["kind"] == *kind))
                .count()
        );
        let uri = log["runs"][0]["artifacts"][0]["location"]["uri"].as_str().expect("a URI");
        assert!(uri.starts_with("%3Da%7Cb%60c%3Cd%3E") && uri.is_ascii(), "{uri}");

        let markdown = text(&run("markdown"));
        assert_markdown(&markdown);

        let junit = text(&run("junit"));
        is_junit(&junit);

        let csv = text(&run("csv"));
        assert!(csv.split_terminator("\r\n").all(|line| !line.contains(['\r', '\n'])), "{csv}");
        let Some(rows) = rows(&csv) else { continue };
        assert_eq!(rows.len(), lines.len());
        for (row, line) in rows.iter().zip(&lines) {
            for (column, cell) in row.as_object().expect("a row") {
                let cell = cell.as_str().expect("a cell");
                assert!(!cell.trim_start().starts_with(['=', '+', '-', '@']), "{column}: {cell}");
            }
            assert_eq!(row["code"], line["code"]);
        }
        let formula =
            rows.iter().find(|row| row["value"].as_str().is_some_and(|value| value.contains("calc")));
        assert_eq!(formula.expect("a row")["value"], format!("'{}", HOSTILE[3]));
    }
}

/// Outside of code spans there is nothing of the capture.
fn assert_markdown(markdown: &str) {
    for line in markdown.lines() {
        let mut outside = String::new();
        let mut rest = line;
        while let Some(at) = rest.find('`') {
            outside.push_str(&rest[..at]);
            let fence = rest[at..].len() - rest[at..].trim_start_matches('`').len();
            let inside = &rest[at + fence..];
            let end =
                closing(inside, fence).unwrap_or_else(|| panic!("a code span that does not end: {line}"));
            rest = &inside[end + fence..];
        }
        outside.push_str(rest);
        for markup in ["<", "@", "](", "::", "http", "calc", "fence", "~", "\\"] {
            assert!(!outside.contains(markup), "{markup} in {line}");
        }
        if line.starts_with('|') {
            let cells = line.replace("\\|", "").matches('|').count();
            assert!([9, 5].contains(&cells), "{cells} bars: {line}");
        }
    }
}

/// Where a run of exactly so many backticks begins.
fn closing(text: &str, fence: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = text[at..].find('`') {
        let begin = at + next;
        let length = text[begin..].len() - text[begin..].trim_start_matches('`').len();
        if length == fence {
            return Some(begin);
        }
        at = begin + length;
    }
    None
}

/// Whether the numbers of failures and errors that JUnit states are all 0.
fn passes(junit: &str) -> bool {
    let line = junit.lines().find(|line| line.starts_with("<testsuites ")).expect("the root");
    line.contains(" failures=\"0\"") && line.contains(" errors=\"0\"")
}

#[test]
fn formats_agree_with_the_document_of_a_run() {
    let run = Copied::of(run_lab("relay"));
    let document = run.analyze().document;
    let all = |format: &str| analyze(run.folder(), &[".", "--no-output", "--format", format]);

    let lines = text(&all("jsonl"));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for capture in document["captures"].as_array().expect("captures") {
        for level in ["verbatim", "reassembled", "decoded", "decrypted", "absent"] {
            let of_level = |line: &&Value| line["capture"] == capture["name"] && line["level"] == level;
            let count = lines.iter().filter(of_level).count() as u64;
            assert_eq!(count, capture["summary"][level].as_u64().expect("a number"), "{level}");
        }
        let strings = capture["strings"].as_array().expect("strings");
        let found =
            lines.iter().filter(|line| line["capture"] == capture["name"] && line["path"].is_string());
        for (line, string) in found.zip(strings) {
            assert_eq!((&line["value"], &line["locations"]), (&string["value"], &string["locations"]));
        }
    }
    assert_eq!(lines.last().expect("a line")["code"], "conclusion.proven");

    let log = sarif(&all("sarif"));
    let results = log["runs"][0]["results"].as_array().expect("results");
    let exposures = lines.iter().filter(|line| line["kind"] == "exposure").count();
    assert_eq!(results.len(), exposures, "no doubts");
    assert!(results.iter().all(|result| result["level"] == "note"), "an exposure of http is as expected");
    let artifact = &log["runs"][0]["artifacts"][0];
    assert_eq!(artifact["hashes"]["sha-256"], document["captures"][0]["sha256"]);
    let first = &results[0]["locations"][0];
    let place = &document["captures"][0]["strings"][0]["locations"][0];
    assert_eq!(first["properties"]["frame"], place["frames"][0]);
    assert_eq!(first["physicalLocation"]["region"]["byteOffset"], place["file_offset"]);

    // The bytes at the offset are those of the string.
    let string = &document["captures"][0]["strings"][0];
    let at = place["file_offset"].as_u64().expect("an offset") as usize;
    let value = string["value"].as_str().expect("a string");
    assert!(run.read("http.pcap")[at..].starts_with(value.as_bytes()), "{value}");

    let junit = text(&all("junit"));
    is_junit(&junit);
    assert!(passes(&junit));
    for name in ["is exposed", "is sealed", "the plaintext is readable and TLS hides it"] {
        assert_eq!(junit.matches(&format!("<testcase name=\"{name}\"")).count(), 1, "{junit}");
    }

    let markdown = text(&all("markdown"));
    assert!(markdown.starts_with("## ✅ proven"), "{markdown}");
    assert!(markdown.contains("\n| ` http ` | "), "{markdown}");
    for level in ["verbatim", "reassembled", "decoded", "decrypted"] {
        assert!(markdown.contains(&format!("\n| {level} | ")), "{markdown}");
    }
    if let Some(rows) = rows(&text(&all("csv"))) {
        assert_eq!(rows.len(), lines.len());
    }
}

#[test]
fn junit_passes_exactly_if_the_status_is_0() {
    let run = Copied::of(run_lab("relay"));
    let mut seen = Vec::new();
    let mut check = |folder: &Copied, flags: &[&str]| {
        let output = analyze(folder.folder(), &[&["--no-output", "--format", "junit"], flags].concat());
        let junit = text(&output);
        is_junit(&junit);
        let status = output.status.code().expect("a status");
        assert_eq!(passes(&junit), status == 0, "status {status}: {junit}");
        seen.push(status);
    };
    check(&run, &["."]);
    check(&run, &[".", "missing.pcap"]);
    let without_keys = run.copy();
    without_keys.remove("https.keys");
    check(&without_keys, &["."]);
    // The manifest of TLS beside the capture of plain HTTP.
    let swapped = run.copy();
    swapped.write("https.pcap", run.read("http.pcap"));
    swapped.update_manifest("https");
    for agent in ["agent-a", "agent-b"] {
        let file = format!("https.{agent}.jsonl");
        swapped.write(&file, run.read(&file.replace("https", "http")));
    }
    check(&swapped, &["https.pcap"]);
    let own = Copied::empty();
    own.write("mine.pcap", run.read("https.pcap"));
    own.write("mine.keys", run.read("https.keys"));
    own.write("secrets.txt", run.canaries("https").join("\n"));
    let server = run.frames("https")[0].to.to_string();
    check(&own, &["mine.pcap"]);
    check(&own, &["mine.pcap", "--strings", "secrets.txt"]);
    check(&own, &["mine.pcap", "--strings", "secrets.txt", "--scope", &server]);
    check(&own, &["mine.pcap", "--strings", "secrets.txt", "--keys", "mine.keys", "--scope", &server]);
    for status in 0..4 {
        assert!(seen.contains(&status), "no case has the status {status}: {seen:?}");
    }
}

#[test]
fn formats_of_an_isolation_run_are_valid() {
    if let Err(reason) = has_netns() {
        return skip(&reason);
    }
    let lab = e2e::Lab::new();
    let output = lab.run(&["isolation", "--backend", "netns"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = Copied::of(&lab);
    let all = |format: &str| analyze(run.folder(), &[".", "--no-output", "--format", format]);
    let junit = text(&all("junit"));
    is_junit(&junit);
    assert!(passes(&junit) && junit.contains("<testcase name=\"is isolated\""), "{junit}");
    sarif(&all("sarif"));
    assert!(text(&all("markdown")).contains("### ✅ sandboxes: **isolated**"));
    assert!(text(&all("jsonl")).contains("\"code\":\"verdict.isolated\""));
}
