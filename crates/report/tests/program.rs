//! The program from outside: flags, files, messages, exit statuses.

// For one large `json!`.
#![recursion_limit = "256"]

mod document;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Greatest size of the report of a large run.
const MOST_BYTES: u64 = 5_000_000;

/// A temporary folder with an `exposure.json`.
struct Workdir {
    folder: TempDir,
}

impl Workdir {
    fn with(document: &Value) -> Self {
        let workdir = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fs::write(workdir.path("exposure.json"), document.to_string()).expect("a file");
        workdir
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn report(&self, flags: &[&str]) -> Output {
        self.command(flags).output().expect("report starts")
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
        command.arg(self.path("exposure.json")).args(flags).stdin(Stdio::null());
        for variable in ["LC_ALL", "LC_MESSAGES", "LANG", "CHROME"] {
            command.env_remove(variable);
        }
        command
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        if entry.path().is_dir() {
            found.extend(
                files(&entry.path()).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)),
            );
        } else {
            found.push((name, fs::read(entry.path()).expect("a file")));
        }
    }
    found.sort();
    found
}

#[test]
fn same_input_gives_the_same_bytes() {
    let [one, other] = [(); 2].map(|()| {
        let workdir = Workdir::with(&document::proven(12));
        let output = workdir.report(&[
            "--lang",
            "ko",
            "--author",
            "김민지",
            "--course",
            "네트워크",
            "--title",
            "실습",
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        workdir
    });
    let (one, other) = (files(one.folder.path()), files(other.folder.path()));
    let names: Vec<&str> = one.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"report.md") && names.contains(&"report.html"), "{names:?}");
    assert!(names.contains(&"figures/strings-by-level.svg"), "{names:?}");
    assert!(one == other);
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_the_report() {
    use std::os::unix::fs::PermissionsExt;
    let workdir = Workdir::with(&document::proven(3));
    assert!(workdir.report(&[]).status.success());
    for name in ["report.md", "report.html", "figures/strings-by-level.svg"] {
        let metadata = std::fs::metadata(workdir.folder.path().join(name)).expect(name);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn language_defaults_to_the_locale_and_date_to_the_first_frame() {
    let workdir = Workdir::with(&document::proven(1));
    let output = workdir.command(&[]).env("LC_ALL", "ko_KR.UTF-8").output().expect("report starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let page = workdir.read("report.html");
    assert!(page.contains("<html lang=\"ko\">") && page.contains("실습 목표"), "Korean by the locale");
    assert!(page.contains("<dd>2026-11-20</dd>"), "the day of the first frame");
    assert!(workdir.report(&["--date", "2027-01-02"]).status.success());
    let page = workdir.read("report.html");
    assert!(page.contains("<html lang=\"en\">") && page.contains("<dd>2027-01-02</dd>"));
}

#[test]
fn unusable_input_is_an_error_and_keeps_the_earlier_report() {
    let workdir = Workdir::with(&document::proven(2));
    assert!(workdir.report(&[]).status.success());
    let earlier = files(workdir.folder.path());
    let without = |path: &[&str]| {
        let mut document = document::proven(2);
        let (last, parents) = path.split_last().expect("a path");
        let mut parent = &mut document;
        for name in parents {
            parent = match name.parse::<usize>() {
                Ok(index) => &mut parent[index],
                Err(_) => &mut parent[*name],
            };
        }
        parent.as_object_mut().expect("an object").remove(*last).expect("a member");
        document.to_string()
    };
    let changed = |path: &str, value: Value| {
        let mut document = document::proven(2);
        *document.pointer_mut(path).expect("a member") = value;
        document.to_string()
    };
    let cases = [
        ("{", ": not JSON: "),
        ("[]", "the document: "),
        (&document::proven(2).to_string()[..900], ": not JSON: "),
        (&format!("{} x", document::proven(1)), ": not JSON: "),
        (&without(&["schema"]), "missing field `schema`"),
        (
            &changed("/schema", json!("plainsight.exposure/2")),
            "schema: expected \"plainsight.exposure/1\", found \"plainsight.exposure/2\"",
        ),
        (&without(&["conclusion"]), "missing field `conclusion`"),
        (
            &without(&["captures", "1", "controls", "wrong_key"]),
            "captures[1].controls: missing field `wrong_key`",
        ),
        (&without(&["captures", "0", "manifest"]), "captures[0]: missing field `manifest`"),
        (
            &without(&["captures", "0", "strings", "3", "level"]),
            "captures[0].strings[3]: missing field `level`",
        ),
        (&changed("/captures/1/summary/total", json!(-1)), "captures[1].summary.total: "),
        (&changed("/captures/0/strings/0/level", json!("x")), "captures[0].strings[0].level: "),
        (
            &changed("/captures/0/exhibit/turns/0/bytes", json!("%")),
            "captures[0].exhibit.turns[0].bytes: not base64",
        ),
        (
            &changed("/captures/1/exhibit/opened/0/bytes", json!("%")),
            "captures[1].exhibit.opened[0].bytes: not base64",
        ),
    ];
    for (input, message) in cases {
        fs::write(workdir.path("exposure.json"), input).expect("a file");
        let output = workdir.report(&[]);
        assert_eq!(output.status.code(), Some(2), "{message}: {}", stderr(&output));
        let stderr = stderr(&output);
        assert!(stderr.contains(message) && stderr.contains("exposure.json"), "{message}: {stderr}");
    }
    fs::remove_file(workdir.path("exposure.json")).expect("a file");
    let output = workdir.report(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("make lab"), "{}", stderr(&output));
    let now: Vec<_> = files(workdir.folder.path());
    assert!(now == earlier.into_iter().filter(|(name, _)| name != "exposure.json").collect::<Vec<_>>());
}

#[test]
fn large_run_gives_a_small_report_that_counts_what_it_omits() {
    let workdir = Workdir::with(&document::proven(10_000));
    let started = Instant::now();
    let output = workdir.report(&["--appendix"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let took = started.elapsed();
    println!("10,000 messages: {took:?}");
    assert!(took.as_secs() < 60, "{took:?}");
    for name in ["report.html", "report.md"] {
        let bytes = fs::metadata(workdir.path(name)).expect("a file").len();
        assert!(bytes < MOST_BYTES, "{name} has {bytes} bytes");
    }
    let text = workdir.read("report.md");
    assert!(text.contains("The table shows the first 16 of 10,000 calls."), "calls");
    assert!(text.contains("of 60,000 strings"), "strings");
    assert!(text.contains("; only the first 32 turns"), "sizes in order");
}

#[test]
fn ciphertext_has_its_plaintext_beside_it() {
    let workdir = Workdir::with(&document::proven(3));
    for (lang, title) in [("en", "opened with the key log"), ("ko", "키 로그로 복호화한 내용")] {
        assert!(workdir.report(&["--lang", lang]).status.success());
        let (text, page) = (workdir.read("report.md"), workdir.read("report.html"));
        for file in [&text, &page] {
            assert_eq!(file.matches(title).count(), 1, "only the capture with TLS");
        }
        assert!(text.contains("{\"c\":\"opened <by> keys\"}"));
        assert!(page.contains("opened &#60;by&#62; keys") && !page.contains("<by>"));
    }
}

#[test]
fn drawn_windows_say_that_they_are_drawn() {
    let workdir = Workdir::with(&document::proven(3));
    for (lang, words) in [("en", "a drawing, not a screenshot"), ("ko", "스크린샷이 아니라 그린 그림")]
    {
        assert!(workdir.report(&["--lang", lang]).status.success());
        for name in ["figures/window-http.svg", "figures/window-https.svg"] {
            let figure = workdir.read(name);
            assert!(figure.contains(words) && figure.contains("tcp.stream eq 0"), "{name}: {figure}");
        }
    }
}

#[test]
fn appendices_are_there_on_request() {
    let workdir = Workdir::with(&document::proven(3));
    let headings = |flags: &[&str]| {
        assert!(workdir.report(flags).status.success());
        let text = workdir.read("report.md");
        text.lines().filter(|line| line.starts_with("## ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let without = headings(&[]);
    assert_eq!(without.last().map(String::as_str), Some("## 10. Checking it by hand in Wireshark"));
    assert!(!workdir.read("report.html").contains("data-href"), "no link to an appendix");
    let with = headings(&["--appendix"]);
    assert_eq!(with[..without.len()], without);
    let appendices = [
        "## Appendix A. Evidence",
        "## Appendix B. More of the code",
        "## Appendix C. The first exchange, packet by packet",
    ];
    assert_eq!(with[without.len()..], appendices);
    assert!(workdir.read("report.html").contains("data-href=\"#http-4\""));
}

#[test]
fn a_template_orders_the_sections_and_numbers_them_anew() {
    let workdir = Workdir::with(&document::proven(3));
    let template = r##"
        [[section]]
        use = "conclusion"
        [[section]]
        use = "results"
        title = "측정 # 결과"
        text = """
        First <b>paragraph</b>
        of the author.

        Second."""
        [[section]]
        title = "Discussion"
        [[section]]
        use = "aim"
        [[section]]
        use = "evidence"
    "##;
    fs::write(workdir.path("lab.toml"), template).expect("a file");
    let file = workdir.path("lab.toml");
    let output = workdir.report(&["--template", file.to_str().expect("a path of text")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = workdir.read("report.md");
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
    let expected = [
        "## Contents",
        "## 1. Conclusion",
        "## 2. 측정 \\# 결과",
        "## 3. Discussion",
        "## 4. Aim",
        "## Appendix A. Evidence",
    ];
    assert_eq!(headings, expected);
    assert!(text.contains("First \\<b\\>paragraph\\</b\\> of the author.\n\nSecond."));
    assert!(text.contains("what TLS still shows (section 2.3)"), "numbers follow the order");
    assert!(text.contains("(“Controls and completeness” (left out))"));
    assert!(!workdir.read("report.html").contains("<b>"));
}

#[test]
fn every_section_can_be_named_by_a_template() {
    let workdir = Workdir::with(&document::proven(3));
    let unknown = workdir.path("unknown.toml");
    fs::write(&unknown, "[[section]]\nuse = \"x\"").expect("a file");
    let output = workdir.report(&["--template", unknown.to_str().expect("a path of text")]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    let (_, names) = text.trim().split_once("the names are ").expect("a list of names");
    let names: Vec<&str> = names.split(", ").collect();
    let template: String = names.iter().map(|name| format!("[[section]]\nuse = \"{name}\"\n")).collect();
    fs::write(workdir.path("all.toml"), template).expect("a file");
    let all = workdir.path("all.toml");
    assert!(workdir.report(&["--template", all.to_str().expect("a path of text")]).status.success());
    let page = workdir.read("report.html");
    for name in names.iter().filter(|name| **name != "isolation") {
        assert!(page.contains(&format!(" id=\"{name}\">")), "{name}");
    }
    assert!(!page.contains("(left out)"), "every section is there");
}

#[test]
fn report_counts_the_captures_that_it_omits() {
    let mut document = document::proven(4);
    let captures = document["captures"].as_array_mut().expect("captures");
    let more = captures[0].clone();
    captures.extend(std::iter::repeat_n(more, 6));
    for (lang, words) in [("en", "the first 6 of 8 captures"), ("ko", "캡처 8개 중 처음 6개")] {
        let workdir = Workdir::with(&document);
        assert!(workdir.report(&["--lang", lang]).status.success());
        assert!(workdir.read("report.md").contains(words), "{words}");
    }
    let workdir = Workdir::with(&document::proven(4));
    assert!(workdir.report(&["--lang", "en"]).status.success());
    assert!(!workdir.read("report.md").contains("This report covers"));
}

#[test]
fn without_a_browser_markdown_and_html_are_written() {
    let workdir = Workdir::with(&document::proven(1));
    let run = |flags: &[&str], chrome: &str| {
        let mut command = workdir.command(flags);
        command.env("PATH", workdir.folder.path()).env("CHROME", chrome).output().expect("report starts")
    };
    for (chrome, message) in
        [("/nowhere/chrome", "/nowhere/chrome cannot be started"), ("", "apt install chromium")]
    {
        for (flag, file) in [("--pdf", "report.pdf"), ("--docx", "report.docx")] {
            let output = run(&[flag], chrome);
            assert_eq!(output.status.code(), Some(1));
            let stderr = stderr(&output);
            assert!(stderr.contains(&format!("no {file}: ")) && stderr.contains(message), "{stderr}");
            assert!(workdir.path("report.md").is_file() && workdir.path("report.html").is_file());
            assert!(!workdir.path(file).exists());
        }
    }
    assert_eq!(run(&[], "").status.code(), Some(0));
}

#[test]
fn incomplete_capture_still_gives_a_report() {
    let mut foreign = document::capture("http", 0);
    for null in
        ["run_id", "variant", "backend", "vantage", "expected_verdict", "verdict", "manifest", "exhibit"]
    {
        foreign[null] = Value::Null;
    }
    for empty in ["journal", "connections", "packets", "http", "strings"] {
        foreign[empty] = json!([]);
    }
    foreign["first_frame_at_unix_ns"] = Value::Null;
    foreign["reasons"] = json!(["there is no journal"]);
    foreign["traffic"]["payload_entropy_bits_per_byte"] = Value::Null;
    foreign["readable"] = json!([
        { "value": "x", "path": "$.a", "location": document::proven(1)["captures"][0]["strings"][0]["locations"][0] },
        { "value": null, "path": "$.password", "location": document::proven(1)["captures"][0]["strings"][0]["locations"][0] },
    ]);
    foreign["readable_total"] = json!(2);
    let none = json!([]);
    let many: Vec<Value> = (0..9).map(|_| document::capture("https", 1)).collect();
    for captures in [none, json!([foreign]), json!([document::capture("https", 3)]), json!(many)] {
        let mut document = document::proven(0);
        document["captures"] = captures;
        document["conclusion"] = Value::Null;
        document["errors"] = json!(["x.pcap: <b>no</b> capture\u{1b}[2J"]);
        let workdir = Workdir::with(&document);
        for lang in ["en", "ko"] {
            let output = workdir.report(&["--lang", lang]);
            assert!(output.status.success(), "{}", stderr(&output));
            let (text, page) = (workdir.read("report.md"), workdir.read("report.html"));
            assert!(text.contains("`x.pcap: <b>no</b> capture\\u{1b}[2J`"), "an error is named");
            assert!(page.contains("x.pcap: &#60;b&#62;no&#60;/b&#62; capture\\u{1b}[2J"), "and escaped");
            assert!(!text.contains("Proven") && !text.contains("증명됨"), "nothing is proven");
        }
    }
}

/// In Markdown, against the anchors that GitHub makes of headings; in HTML, against the ids of elements.
#[test]
fn every_link_has_a_target() {
    let workdir = Workdir::with(&document::proven(12));
    for lang in ["en", "ko"] {
        for flags in [&["--lang", lang][..], &["--lang", lang, "--appendix"]] {
            assert!(workdir.report(flags).status.success());
            let page = workdir.read("report.html");
            let targets = between(&page, "href=\"#", "\"");
            assert!(targets.len() > if flags.len() > 2 { 50 } else { 10 }, "{}", targets.len());
            for target in targets {
                assert!(page.contains(&format!("id=\"{target}\"")), "#{target} in the page");
            }
            let text = workdir.read("report.md");
            let heading = |line: &str| {
                let heading = line.trim_start_matches('#').trim().to_lowercase();
                let kept = heading.chars().filter(|kept| kept.is_alphanumeric() || " -".contains(*kept));
                kept.map(|kept| if kept == ' ' { '-' } else { kept }).collect::<String>()
            };
            let headings: Vec<String> =
                text.lines().filter(|line| line.starts_with('#')).map(heading).collect();
            for target in between(&text, "](#", ")") {
                assert!(headings.contains(&target), "#{target} in the Markdown");
            }
            for file in between(&text, "](figures/", ")") {
                assert!(workdir.path("figures").join(&file).is_file(), "figures/{file}");
            }
        }
    }
}

#[test]
fn tables_have_the_same_numbers_in_every_language_and_format() {
    let workdir = Workdir::with(&document::proven(12));
    let numbers_of = |lang: &str| {
        assert!(workdir.report(&["--lang", lang, "--appendix"]).status.success());
        let text = workdir.read("report.md");
        let rows: String = text.lines().filter(|line| line.starts_with('|')).collect();
        let page = workdir.read("report.html");
        let cells = [between(&page, "<th", "</th>"), between(&page, "<td", "</td>")].concat();
        let cells: String = cells.into_iter().map(|cell| stripped(&cell) + " ").collect();
        // In Markdown the frames of the appendix are not a table.
        let entries: String = text.lines().filter(|line| line.contains(": `frame.number == ")).collect();
        (numbers(&stripped_links(&(rows + &entries))), numbers(&cells))
    };
    let (english, english_page) = numbers_of("en");
    let (korean, korean_page) = numbers_of("ko");
    assert!(english.len() > 300, "{} numbers", english.len());
    assert!(english_page == korean_page, "both languages have the same numbers in HTML");
    assert!(english == korean, "and in Markdown");
    let only = |these: &[String], others: &[String]| {
        let mut others = others.to_vec();
        let missing = |number: &&String| match others.iter().position(|other| other == *number) {
            Some(at) => {
                others.swap_remove(at);
                false
            }
            None => true,
        };
        these.iter().filter(missing).cloned().collect::<Vec<_>>()
    };
    let (text, page) = (only(&english, &english_page), only(&english_page, &english));
    assert!(text.is_empty() && page.is_empty(), "only in Markdown: {text:?}; only in HTML: {page:?}");
}

fn between(text: &str, start: &str, end: &str) -> Vec<String> {
    let parts = text.split(start).skip(1);
    parts.filter_map(|part| Some(part[..part.find(end)?].to_owned())).collect()
}

/// The text of a cell in HTML, without tags.
fn stripped(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell.split_once('>').map_or("", |(_, rest)| rest);
    while let Some((before, tag)) = rest.split_once('<') {
        text += before;
        rest = tag.split_once('>').map_or("", |(_, rest)| rest);
    }
    (text + rest)
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
}

fn stripped_links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("](#") {
        out += before;
        rest = link.split_once(')').map_or("", |(_, rest)| rest);
        out.push(' ');
    }
    out + rest
}

/// Every run of digits, sorted, because the two languages order numbers differently within a sentence.
fn numbers(text: &str) -> Vec<String> {
    let text = text.replace(',', "");
    let mut numbers: Vec<String> = text
        .split(|digit: char| !digit.is_ascii_digit())
        .filter(|run| !run.is_empty())
        .map(str::to_owned)
        .collect();
    numbers.sort();
    numbers
}

#[test]
fn verdict_with_a_scope_states_it_in_every_language_and_format() {
    let mut document = document::proven(1);
    document["conclusion"] = Value::Null;
    document["captures"] = json!([document::capture("https", 1)]);
    let capture = &mut document["captures"][0];
    capture["manifest"] = Value::Null;
    capture["expected_verdict"] = Value::Null;
    capture["completeness"]["passed"] = json!(false);
    capture["scope"] = json!({
        "asked": ["192.0.2.1:8443"], "add": null,
        "connections": [{
            "stream": 3, "client": "192.0.2.7:50000", "server": "192.0.2.1:8443", "strings_found": 17, "ended": "open",
        }],
        "connections_total": 1, "strings_not_searched": 0,
        "outside": {
            "connections": 5, "frames": 23,
            "doubts": [{ "code": "bytes.unexplained", "scope": "stream", "text": "41 payload bytes are <not> explained" }],
        },
        "unvouched": ["drops", "period", "filter", "vantage", "open_connections"],
    });
    let workdir = Workdir::with(&document);
    let texts = [
        ("en", "the verdict is about", "that no filter left frames out", "still open"),
        ("ko", "이 판정은 연결", "필터로 빠진 프레임이 없다는 것", "닫히지 않음"),
    ];
    for (lang, about, unvouched, ended) in texts {
        let output = workdir.report(&["--lang", lang]);
        assert!(output.status.success(), "{}", stderr(&output));
        for file in ["report.md", "report.html"] {
            let text = workdir.read(file);
            let parts =
                [about, unvouched, ended, "192.0.2.1:8443", "192.0.2.7:50000", "17", "23", "explained"];
            for part in parts {
                assert!(text.contains(part), "{lang} {file}: {part}");
            }
        }
        assert!(!workdir.read("report.html").contains("<not>"), "captured text is escaped");
    }
}

#[test]
fn words_in_a_handshake_and_strings_beside_the_frames_are_stated_in_every_language_and_format() {
    let mut document = document::proven(1);
    let capture = &mut document["captures"][1];
    assert!(capture["tls"].is_object(), "the second capture is TLS");
    capture["tls"]["words_in_handshake_total"] = json!(31);
    capture["tls"]["words_in_handshake"] = json!([{
        "field": "server_name", "text": "libssl.example", "word": "lib<ssl>", "is": "value", "stream": 0, "frame": 4,
    }]);
    capture["beside_frames"] = json!({
        "bytes_searched": 500, "found_total": 47, "found": [{
            "source": "string", "value": "x", "path": "$.x", "message_id": null, "file_offset": 9, "layers": [],
        }],
    });
    let workdir = Workdir::with(&document);
    let texts = [
        ("en", "that the TLS handshake shows", "They were not on the wire"),
        ("ko", "TLS 핸드셰이크에 드러나는", "네트워크로 전송된 것이 아니므로"),
    ];
    for (lang, words, beside) in texts {
        let output = workdir.report(&["--lang", lang]);
        assert!(output.status.success(), "{}", stderr(&output));
        for file in ["report.md", "report.html"] {
            let text = workdir.read(file);
            for part in [words, beside, "31", "47"] {
                assert!(text.contains(part), "{lang} {file}: {part}");
            }
        }
        assert!(!workdir.read("report.html").contains("lib<ssl>"), "captured text is escaped");
    }
}
