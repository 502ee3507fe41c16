//! The report's page in a real browser: on a wide screen and on a phone, light and dark, in both languages. Screenshots
//! are written to `report-screenshots/` in the target folder.

mod browser;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use browser::{Chromium, PHONE, Tab, WIDE, chromium, run};
use e2e::damage::{Copied, Side, analyze_with, conversation, sha256, strangers};
use e2e::lab::outcome;
use e2e::{programs, run_lab, skip};
use serde_json::{Value, json};

/// Folder of the screenshots in the target folder.
const PICTURES: &str = "report-screenshots";

/// Least contrast of text that WCAG 2.2 requires (level AA, 1.4.3).
const LEAST_CONTRAST: f64 = 4.5;

/// A report in a browser of its own.
struct Open {
    browser: Chromium,
    tab: Tab,
}

impl Open {
    async fn file(program: &Path, file: &Path) -> Self {
        let browser = Chromium::start(program, "en").await;
        let tab = browser.open(&format!("file://{}", file.display())).await;
        Self { browser, tab }
    }

    async fn shown(&self, width: i64, scheme: &str) {
        self.tab.shown(width, scheme).await;
    }

    async fn ask(&self, script: &str) -> Value {
        self.tab.ask(script).await
    }

    async fn press(&self, key: &str, code: i64) {
        self.tab.press(key, code).await;
    }

    async fn picture(&self, name: &str) {
        self.tab.picture(PICTURES, name).await;
    }

    /// Closes the browser, and asserts that the page requested only its own file and caused no message.
    async fn assert_no_requests_or_messages(self, file: &Path) {
        self.tab.assert_own_requests_and_no_messages(&format!("file://{}", file.display()));
        self.browser.close().await;
    }
}

/// Analyzes a folder, writes the report, and returns the path of the page.
fn reported(copied: &Copied, flags: &[&str]) -> PathBuf {
    let result = copied.path("exposure.json");
    let output = result.to_str().expect("a path of text");
    let analyzed = analyze_with(&[copied.folder()], &["--format", "json", "--output", output]);
    assert!(result.is_file(), "{}", outcome(&analyzed));
    let reported = Command::new(programs::program("report")).arg(&result).args(flags).output();
    let reported = reported.expect("report starts");
    assert!(reported.status.success(), "{}", outcome(&reported));
    copied.path("report.html")
}

/// Finds the visible text with the least contrast to its background. The background is what lies under the text; in a
/// drawing it is the shape below it.
const CONTRAST: &str = r#"
(() => {
  const channel = (value) => { value /= 255; return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const colour = (text) => {
    const numbers = text.match(/[\d.]+/g);
    if (!numbers || text === "none") return null;
    const [r, g, b, a = 1] = numbers.map(Number);
    return a > 0.5 ? [r, g, b] : null;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const ground = (x, y) => {
    for (const below of document.elementsFromPoint(x, y)) {
      if (below instanceof SVGTextElement || below instanceof SVGLineElement) continue;
      const style = getComputedStyle(below);
      const found = below instanceof SVGGeometryElement ? colour(style.fill) : colour(style.backgroundColor);
      if (found) return found;
    }
    return colour(getComputedStyle(document.body).backgroundColor);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let least = { contrast: 99 }, texts = 0;
  const seen = new Map();
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest("script, style, title, .sr, .skip, [hidden]")) continue;
    const style = getComputedStyle(element);
    if (style.visibility === "hidden" || style.display === "none") continue;
    const svg = element instanceof SVGElement;
    const key = `${element.tagName} ${element.className.baseVal ?? element.className} ${style.color} ${style.fill} ${element.parentElement.className.baseVal ?? element.parentElement.className} ${element.closest(".panel, .callout, .result, nav, td, pre, .badge")?.className}`;
    const times = seen.get(key) ?? 0;
    if (times >= 12) continue;
    seen.set(key, times + 1);
    const range = document.createRange();
    range.selectNodeContents(node);
    element.scrollIntoView({ block: "center", behavior: "instant" });
    const box = [...range.getClientRects()].find((rect) => rect.width > 1 && rect.height > 1);
    if (!box) continue;
    const x = box.left + Math.min(box.width / 2, 40), y = box.top + box.height / 2;
    if (x < 0 || y < 0 || x > innerWidth || y > innerHeight) continue;
    const text = colour(svg ? style.fill : style.color), under = ground(x, y);
    if (!text || !under) continue;
    texts += 1;
    const found = contrast(text, under);
    if (found < least.contrast) least = { contrast: found, text: node.data.trim().slice(0, 60), class: key, on: under };
  }
  return { ...least, texts };
})()
"#;

/// The width of the page's contents, and the width of the window.
const OVERFLOW: &str =
    "({ page: document.documentElement.scrollWidth, width: document.documentElement.clientWidth })";

#[test]
fn page_fits_and_has_contrast_on_every_screen() {
    let Some(program) = chromium() else { return };
    let copied = Copied::of(run_lab("relay"));
    run(async {
        for lang in ["en", "ko"] {
            let file = reported(&copied, &["--lang", lang, "--author", "김민지"]);
            let open = Open::file(&program, &file).await;
            for width in [WIDE, PHONE] {
                for scheme in ["light", "dark"] {
                    let what = format!("{lang}-{width}-{scheme}");
                    open.shown(width, scheme).await;
                    let overflow = open.ask(OVERFLOW).await;
                    assert_eq!(overflow, json!({ "page": width, "width": width }), "{what}");
                    open.picture(&what).await;
                    let least = open.ask(CONTRAST).await;
                    assert!(least["texts"].as_u64() > Some(200), "{what}: {least}");
                    assert!(least["contrast"].as_f64() >= Some(LEAST_CONTRAST), "{what}: {least}");
                }
            }
            open.assert_no_requests_or_messages(&file).await;
        }
    });
}

/// By how many pixels the widest row of the hex view is wider than its box.
const HEX_OVERFLOW: &str = "Math.max(...[...document.querySelectorAll('.hexes .body')].map((body) => body.scrollWidth - body.clientWidth))";

#[test]
fn rows_of_the_hex_view_are_never_clipped() {
    let Some(program) = chromium() else { return };
    let copied = Copied::of(run_lab("relay"));
    let file = reported(&copied, &["--lang", "en"]);
    run(async {
        let open = Open::file(&program, &file).await;
        for width in [700, 1024, 1200, WIDE, 1920] {
            open.shown(width, "light").await;
            assert_eq!(open.ask(HEX_OVERFLOW).await, json!(0), "at {width} pixels");
        }
    });
}

/// The visible panels in each of the two views.
const SEEN: &str = r#"[...document.querySelectorAll(".exhibit")].map((exhibit) =>
    [...exhibit.querySelectorAll(".panel")].filter((panel) => getComputedStyle(panel).visibility === "visible")
        .map((panel) => panel.querySelector("h4").firstChild.data.trim()))"#;

/// The top of the second view, which the switch must not move.
const BELOW: &str =
    "Math.round(document.querySelectorAll('.exhibit')[1].getBoundingClientRect().top + scrollY)";

#[test]
fn switch_shows_one_capture_or_both() {
    let Some(program) = chromium() else { return };
    let copied = Copied::of(run_lab("relay"));
    let file = reported(&copied, &["--lang", "en"]);
    run(async {
        let open = Open::file(&program, &file).await;
        open.shown(WIDE, "light").await;
        let both = json!([["http", "https"], ["http", "https"]]);
        assert_eq!(open.ask(SEEN).await, both);
        let before = open.ask(BELOW).await;
        for (value, seen) in
            [("2", json!([["https"], ["https"]])), ("1", json!([["http"], ["http"]])), ("all", both)]
        {
            let choose =
                format!("document.querySelector('.streams .switch input[value=\"{value}\"]').click()");
            open.ask(&choose).await;
            assert_eq!(open.ask(SEEN).await, seen);
            assert_eq!(open.ask(BELOW).await, before, "the layout jumps");
        }

        // With the keyboard, in the other view.
        open.ask("document.querySelector('.hexes .switch input:checked').focus()").await;
        open.press("ArrowRight", 39).await;
        assert_eq!(open.ask(SEEN).await, json!([["http"], ["http"]]));
        open.press("ArrowRight", 39).await;
        assert_eq!(open.ask(SEEN).await, json!([["https"], ["https"]]));

        // A phone has room for one, which the switch shows.
        open.shown(PHONE, "light").await;
        assert_eq!(open.ask(SEEN).await, json!([["http"], ["http"]]));
        let chosen = "document.querySelector('.streams .switch input:checked').value";
        assert_eq!(open.ask(chosen).await, "1");
        open.ask("document.querySelector('.streams .switch input[value=\"2\"]').click()").await;
        assert_eq!(open.ask(SEEN).await, json!([["https"], ["https"]]));
        open.assert_no_requests_or_messages(&file).await;
    });
}

#[test]
fn marks_show_the_place_of_their_string() {
    let Some(program) = chromium() else { return };
    let copied = Copied::of(run_lab("relay"));
    let file = reported(&copied, &["--lang", "en", "--appendix"]);
    let canary = copied.canary("http");
    run(async {
        let open = Open::file(&program, &file).await;
        open.shown(WIDE, "light").await;
        let marks = open.ask("[...document.querySelectorAll('.streams .panel')].map((panel) => [...panel.querySelectorAll('.mark')].map((mark) => mark.textContent))").await;
        let http: Vec<&str> = marks[0].as_array().expect("marks").iter().filter_map(Value::as_str).collect();
        assert!(http.len() > 20, "{} marks", http.len());
        for string in ["call-0001", "analyze_dependency", "demo-repo", canary.as_str()] {
            assert!(http.contains(&string), "{string} is marked in {http:?}");
        }
        // Over TLS none of the strings is there; only the server's name and the records are marked.
        let https: Vec<&str> = marks[1].as_array().expect("marks").iter().filter_map(Value::as_str).collect();
        assert!(https.contains(&"agent-b") && https.len() >= 2, "{https:?}");
        let shown = |of: &str| {
            format!(
                "[...document.querySelectorAll('.streams .panel')[1].querySelectorAll('{of}')].map((pre) => pre.textContent).join()"
            )
        };
        let ciphertext = open.ask(&shown(".turn > pre")).await;
        assert!(!ciphertext.as_str().expect("text").contains("analyze_dependency"));
        let opened = open.ask(&shown(".opened pre")).await;
        assert!(opened.as_str().expect("text").contains("analyze_dependency"), "under the key log");

        let tip = "(() => { const tip = document.getElementById('tip'); return tip.hidden ? null : tip.textContent; })()";
        assert_eq!(open.ask(tip).await, Value::Null);
        open.ask("document.querySelector('.streams .mark').focus()").await;
        let text = open.ask(tip).await;
        let text = text.as_str().expect("the tip is open");
        let first = open.ask("({ ...document.querySelector('.streams .mark').dataset })").await;
        for fact in ["title", "level", "places", "frames", "offset"] {
            let fact = first[fact].as_str().expect("a fact");
            assert!(!fact.is_empty() && text.contains(fact), "{fact:?} in {text:?}");
        }
        open.picture("tip-1280-light").await;
        open.press("Escape", 27).await;
        assert_eq!(open.ask(tip).await, Value::Null);

        // Hovering opens the tip, too, and its link leads to the frame in the appendix.
        open.tab
            .page
            .find_element(".streams .panel:nth-child(2) .mark")
            .await
            .expect("a mark")
            .scroll_into_view()
            .await
            .expect("in view");
        open.tab
            .page
            .find_element(".streams .panel:nth-child(2) .mark")
            .await
            .expect("a mark")
            .hover()
            .await
            .expect("hover");
        assert_ne!(open.ask(tip).await, Value::Null);
        open.ask("document.querySelector('#tip a').click()").await;
        let reached = open.ask("document.querySelector(':target')?.tagName + ' ' + location.hash").await;
        assert!(reached.as_str().is_some_and(|reached| reached.starts_with("TR #https-")), "{reached}");
        open.assert_no_requests_or_messages(&file).await;
    });
}

/// Text that could act as markup in HTML, Markdown or SVG, or mislead a reader.
const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)></pre></code>\"'><svg onload=alert(3)> \
                       `code` ``` **bold** [link](javascript:alert(4)) | bar &lt; \u{202e}desrever\u{2066} \u{200b} $x$";

/// Control characters for a terminal: a colour and a bell.
const ANSI: &str = "\u{1b}[31mred\u{7} or not";

#[test]
fn hostile_text_has_no_effect() {
    let Some(program) = chromium() else { return };
    let copied = hostile_run();
    let file = reported(&copied, &["--lang", "en", "--title", HOSTILE, "--author", HOSTILE]);
    run(async {
        let open = Open::file(&program, &file).await;
        open.shown(WIDE, "light").await;
        let strangers = "[...document.querySelectorAll('main script, img, svg:not(.figure), iframe, object, link[rel=stylesheet]')].length";
        assert_eq!(open.ask(strangers).await, 0);
        let links = "[...document.querySelectorAll('a')].filter((a) => !a.getAttribute('href').startsWith('#')).length";
        assert_eq!(open.ask(links).await, 0);
        let handlers = "[...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => a.name.startsWith('on') || a.name === 'style')).length";
        assert_eq!(open.ask(handlers).await, 0);
        let text = open.ask("document.body.textContent").await;
        let text = text.as_str().expect("text");
        assert!(
            text.contains("<script>alert(1)</script><img src=x onerror=alert(2)>"),
            "the text is visible"
        );
        for hidden in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{1b}', '\u{7}'] {
            assert!(!text.contains(hidden), "{hidden:?} is in the page, unescaped");
        }
        assert!(text.contains("\\u{202e}desrever") && text.contains("\\u{1b}[31mred"), "as escapes");
        let overflow = open.ask(OVERFLOW).await;
        assert_eq!(overflow, json!({ "page": WIDE, "width": WIDE }));
        open.picture("hostile-1280-light").await;
        open.shown(PHONE, "dark").await;
        assert_eq!(open.ask(OVERFLOW).await, json!({ "page": PHONE, "width": PHONE }));
        open.assert_no_requests_or_messages(&file).await;
    });
    let markdown = String::from_utf8(copied.read("report.md")).expect("text");
    assert!(!markdown.contains(['\u{202e}', '\u{2066}', '\u{200b}', '\u{1b}', '\u{7}']));
    for line in outside_of_code(&markdown).lines() {
        let is_escaped = |at: usize| line[..at].ends_with('\\');
        assert!(line.match_indices('<').all(|(at, _)| is_escaped(at)), "HTML in {line:?}");
        let mut links = line.match_indices("](").filter(|(at, _)| !is_escaped(*at));
        let is_own = |target: &str| target.starts_with('#') || target.starts_with("figures/");
        assert!(links.all(|(at, _)| is_own(&line[at + 2..])), "a link in {line:?}");
    }
}

/// A capture of one call in which every string is hostile, with matching journals.
fn hostile_run() -> Copied {
    let copied = Copied::empty();
    let value = format!("{HOSTILE}{ANSI}");
    let body = json!({ "id": HOSTILE, "colour": ANSI, "canary": value, (HOSTILE): ["0123456789", value] })
        .to_string();
    let request = format!(
        "POST /tool?{} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        "<b>'\"&".replace(' ', ""),
        body.len()
    );
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let sent = [(Side::Client, request.as_bytes()), (Side::Server, answer.as_bytes())];
    let frames = conversation(strangers(), &sent);
    let records: Vec<_> = frames
        .into_iter()
        .zip(1_u64..)
        .map(|(bytes, number)| e2e::damage::Record {
            at: 1_795_178_826_000_000_000 + 1_000_000 * number,
            original_len: u32::try_from(bytes.len()).expect("a frame's length"),
            bytes,
        })
        .collect();
    let name = "<img src=x onerror=alert(5)>`|\u{202e}";
    copied.write_records(name, craft::link_type::ETHERNET, &records);
    for (agent, events) in [("agent-a", ["sent", "received"]), ("agent-b", ["received", "sent"])] {
        let line = |event: &str| {
            json!({
                "schema": "plainsight.journal/1", "run": "0".repeat(32), "agent": agent, "event": event,
                "message_id": HOSTILE, "at_unix_ns": 1_795_178_826_000_000_000_u64, "local": null, "remote": null,
                "content_type": HOSTILE, "body_sha256": sha256(body.as_bytes()), "body": body,
            })
            .to_string()
        };
        let lines = events.map(line).join("\n") + "\n";
        copied.write(&format!("{name}.{agent}.jsonl"), lines);
    }
    copied
}

/// The document without its code blocks and code spans.
fn outside_of_code(markdown: &str) -> String {
    let mut out = String::new();
    let mut fence: Option<&str> = None;
    for line in markdown.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => (),
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                out += &without_spans(line);
                out.push('\n');
            }
        }
    }
    out
}

/// A line without its code spans. A span ends at the next run of the same number of backticks (CommonMark §6.1).
fn without_spans(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        if rest[..start].ends_with('\\') {
            out += &rest[..=start];
            rest = &rest[start + 1..];
            continue;
        }
        out += &rest[..start];
        let span = &rest[start..];
        let ticks = span.len() - span.trim_start_matches('`').len();
        let inside = &span[ticks..];
        let mut at = 0;
        rest = loop {
            let Some(found) = inside[at..].find('`') else { break "" };
            let run = inside[at + found..].len() - inside[at + found..].trim_start_matches('`').len();
            at += found + run;
            if run == ticks {
                break &inside[at..];
            }
        };
    }
    out + rest
}

#[test]
fn pdf_has_searchable_text_and_page_numbers() {
    if chromium().is_none() {
        return;
    }
    if Command::new("pdftotext").arg("-v").output().is_err() {
        return skip("no pdftotext (poppler-utils) to read the PDF with");
    }
    let copied = Copied::of(run_lab("relay"));
    for (lang, words) in [
        ("en", ["What TLS still shows", "Result: Proven", "Controls and completeness"]),
        ("ko", ["TLS를 써도 드러나는 것", "실습 결과: 증명됨", "대조 검사와 완전성"]),
    ] {
        reported(&copied, &["--lang", lang, "--pdf"]);
        let first = copied.read("report.pdf");
        let output =
            Command::new("pdftotext").arg(copied.path("report.pdf")).arg("-").output().expect("pdftotext");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for word in words {
            assert!(text.contains(word), "{word:?} in the PDF");
        }
        // Every page has its number and the number of pages.
        let pages = text.matches('\u{c}').count();
        assert!((9..=12).contains(&pages) && text.contains(&format!("{pages} / {pages}")), "{pages} pages");
        let information = Command::new("pdfinfo").arg(copied.path("report.pdf")).output().expect("pdfinfo");
        assert!(String::from_utf8_lossy(&information.stdout).contains("A4"), "the size of a page");
        let fonts = Command::new("pdffonts").arg(copied.path("report.pdf")).output().expect("pdffonts");
        let fonts = String::from_utf8_lossy(&fonts.stdout).into_owned();
        let embedded =
            fonts.lines().skip(2).map(|line| line[53..].split_whitespace().nth(1).map(str::to_owned));
        assert!(embedded.flatten().all(|embedded| embedded == "yes"), "{fonts}");
        reported(&copied, &["--lang", lang, "--pdf"]);
        let second = copied.read("report.pdf");
        if second != first {
            let folder = programs::folder().join("report-screenshots");
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(format!("{lang}-first.pdf")), &first).expect("a file is written");
            fs::write(folder.join(format!("{lang}-second.pdf")), &second).expect("a file is written");
            panic!(
                "the same input gives different bytes: see {lang}-first.pdf and {lang}-second.pdf in {}",
                folder.display()
            );
        }
    }
}

/// LibreOffice opens the document of Word, and turns it into pages.
#[test]
fn word_document_opens_and_has_text_tables_and_pictures() {
    if chromium().is_none() {
        return;
    }
    if Command::new("soffice").arg("--version").output().is_err() {
        return skip("no LibreOffice (libreoffice-writer-nogui) to open the document with");
    }
    let copied = Copied::of(run_lab("relay"));
    for (lang, words) in [
        ("en", ["What TLS still shows", "Result: Proven", "verbatim"]),
        ("ko", ["대조 검사와 완전성", "실습 결과: 증명됨", "그대로"]),
    ] {
        reported(&copied, &["--lang", lang, "--docx"]);
        if lang == "en" {
            let first = copied.read("report.docx");
            reported(&copied, &["--lang", lang, "--docx"]);
            assert!(copied.read("report.docx") == first, "the same input gives the same bytes");
        }
        let profile = format!("-env:UserInstallation=file://{}", copied.path("libreoffice").display());
        let opened = Command::new("soffice")
            .args([&profile, "--headless", "--convert-to", "pdf", "--outdir"])
            .arg(copied.folder())
            .arg(copied.path("report.docx"))
            .output()
            .expect("soffice");
        assert!(opened.status.success(), "{}", outcome(&opened));
        let output =
            Command::new("pdftotext").arg(copied.path("report.pdf")).arg("-").output().expect("pdftotext");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for word in words {
            assert!(text.contains(word), "{word:?} in the document");
        }
        assert!(!text.contains("\u{fffd}"), "no broken characters");
        let images = Command::new("pdfimages").arg("-list").arg(copied.path("report.pdf")).output();
        let images = String::from_utf8_lossy(&images.expect("pdfimages").stdout).lines().count();
        assert!(images >= 2 + 6, "{images} lines about pictures");
    }
}
