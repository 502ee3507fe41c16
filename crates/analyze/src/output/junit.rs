//! JUnit XML, as Jenkins and other programs for tests read it: a test case for each expectation.
//!
//! A capture is a test suite. Its case fails where the verdict is the opposite of the expected one, and has an error where a
//! doubt remains: so there is a failure or an error exactly where the exit status is not 0.

use std::io::{self, Write};

use exposure_schema::{Capture, Conclusion, Expected, Exposure, Isolation, Level, Verdict};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::finding::{self, Kind, NO_JOURNAL};
use super::safe_text::{is_misleading, shortened};
use crate::verdict::conclusion::{capture_status, exit, isolation_status};

/// Maximum number of findings in the text of a case.
const MAX_LINES: usize = 20;

/// Most columns of such a line.
const WIDTH: usize = 400;

/// Writes the result.
///
/// # Errors
///
/// `out` fails.
pub fn write(exposure: &Exposure, out: &mut dyn Write) -> io::Result<()> {
    let mut suites: Vec<_> = exposure.captures.iter().map(of_capture).collect();
    suites.extend(exposure.isolation.iter().map(of_run));
    suites.extend(exposure.conclusion.map(|conclusion| of_conclusion(exposure, conclusion)));
    if !exposure.errors.is_empty() {
        suites.push(of_errors(exposure));
    }
    write_suites(&suites, out)
}

/// Writes suites as a whole document.
pub(crate) fn write_suites(suites: &[Suite], out: &mut dyn Write) -> io::Result<()> {
    let mut xml = Writer::new_with_indent(out, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let total = |count: fn(&Outcome) -> bool| count_of(suites.iter().flat_map(|suite| &suite.cases), count);
    xml.create_element("testsuites")
        .with_attribute(("name", "plainsight"))
        .with_attribute(("tests", &*total(|_| true)))
        .with_attribute(("failures", &*total(|outcome| matches!(outcome, Outcome::Failure(_)))))
        .with_attribute(("errors", &*total(|outcome| matches!(outcome, Outcome::Error(_)))))
        .write_inner_content(|xml| suites.iter().try_for_each(|suite| suite.write(xml)))?;
    xml.into_inner().write_all(b"\n")
}

pub(crate) struct Suite {
    pub(crate) name: String,
    /// Name and value of each.
    pub(crate) properties: Vec<(&'static str, String)>,
    pub(crate) cases: Vec<Case>,
}

pub(crate) struct Case {
    pub(crate) name: String,
    /// What the case is about: the path of a file.
    pub(crate) about: String,
    pub(crate) outcome: Outcome,
    /// Findings, one a line.
    pub(crate) details: Vec<String>,
}

pub(crate) enum Outcome {
    Passed,
    /// The opposite of what was expected.
    Failure(String),
    /// Something is in doubt, or could not be read.
    Error(String),
    /// Nothing that changes the exit status.
    Skipped(String),
}

impl Outcome {
    /// The outcome for an exit status, with the reason for all but success.
    fn of_status(status: u8, reason: String) -> Self {
        match status {
            exit::MET => Self::Passed,
            exit::NOT_MET => Self::Failure(reason),
            _ => Self::Error(reason),
        }
    }
}

fn count_of<'a>(cases: impl IntoIterator<Item = &'a Case>, counts: fn(&Outcome) -> bool) -> String {
    cases.into_iter().filter(|case| counts(&case.outcome)).count().to_string()
}

fn of_capture(capture: &Capture) -> Suite {
    let scoped = capture.scope.is_some();
    let name = match (capture.expected_verdict, capture.verdict) {
        (Some(Expected::Exposed), _) => "is exposed",
        (Some(Expected::Sealed), _) => "is sealed",
        (Some(Expected::Isolated), _) => "belongs to an isolation run",
        (None, _) if scoped => "is sealed in its scope",
        (None, Some(_)) => "is judged without doubt",
        (None, None) => "is read without doubt",
    };
    let verdict = capture.verdict.map_or("no verdict", Verdict::name);
    // Without journals there is always a reason for having no verdict.
    let counts =
        capture.doubts.iter().find(|doubt| doubt.code != NO_JOURNAL || capture.expected_verdict.is_some());
    let reason = match counts {
        Some(first) => format!("{verdict}: {}", first.text),
        None if scoped && capture.verdict == Some(Verdict::Sealed) => {
            "sealed, but no flag asks for the scope".to_owned()
        }
        None => verdict.to_owned(),
    };
    let mut details = Details::default();
    let _ = finding::of_capture(capture, &mut |finding| match finding.kind {
        Kind::Exposure | Kind::Doubt => {
            details.add(finding.code.as_ref(), &finding.text);
            Ok(())
        }
        _ => Ok::<_, ()>(()),
    });
    let mut properties = vec![
        ("file", capture.file.clone()),
        ("sha256", capture.sha256.clone()),
        ("frames", capture.frames.to_string()),
        ("verdict", verdict.to_owned()),
        ("strings", capture.summary.total.to_string()),
    ];
    properties.extend(Level::ALL.map(|level| (level.name(), capture.summary.of(level).to_string())));
    let outcome = Outcome::of_status(capture_status(capture), reason);
    let case =
        Case { name: name.to_owned(), about: capture.file.clone(), outcome, details: details.into_lines() };
    Suite { name: capture.name.clone(), properties, cases: vec![case] }
}

fn of_run(run: &Isolation) -> Suite {
    let reason = match run.reasons.first() {
        Some(first) => format!("{}: {first}", run.verdict.name()),
        None => run.verdict.name().to_owned(),
    };
    let mut details = Details::default();
    for entry in run.leaks.iter().chain(&run.doubts) {
        details.add(&entry.code, &entry.text);
    }
    let outcome = Outcome::of_status(isolation_status(run), reason);
    let case = Case {
        name: "is isolated".to_owned(),
        about: run.file.clone(),
        outcome,
        details: details.into_lines(),
    };
    let kinds = run.kinds.iter().map(|kind| {
        // The verdict is what counts: these cases only show which kind of attempt is the reason.
        let outcome = match (kind.seen, kind.control_passed) {
            (0, true) => Outcome::Passed,
            (0, false) => Outcome::Skipped("the control did not see it either".to_owned()),
            (seen, _) => Outcome::Skipped(format!("seen {seen} time(s) from sandboxes without network")),
        };
        let name = format!("attempts of kind {} are seen in the control only", kind.kind);
        Case { name, about: run.file.clone(), outcome, details: Vec::new() }
    });
    let properties = vec![
        ("file", run.file.clone()),
        ("run_id", run.run_id.clone()),
        ("backend", run.backend.clone()),
        ("verdict", run.verdict.name().to_owned()),
        ("sandboxes", run.boxes_total.to_string()),
    ];
    Suite { name: "isolation".to_owned(), properties, cases: std::iter::once(case).chain(kinds).collect() }
}

fn of_conclusion(exposure: &Exposure, conclusion: Conclusion) -> Suite {
    let reason = match exposure.reasons.is_empty() {
        true => conclusion.name().to_owned(),
        false => format!("{}: {}", conclusion.name(), exposure.reasons.join("; ")),
    };
    let outcome = match conclusion {
        Conclusion::Proven => Outcome::Passed,
        Conclusion::Refuted => Outcome::Failure(reason),
        // Each capture has its own case with its doubts.
        Conclusion::Inconclusive => Outcome::Skipped(reason),
    };
    let name = "the plaintext is readable and TLS hides it".to_owned();
    let case = Case { name, about: "conclusion".to_owned(), outcome, details: Vec::new() };
    Suite { name: "conclusion".to_owned(), properties: Vec::new(), cases: vec![case] }
}

fn of_errors(exposure: &Exposure) -> Suite {
    let cases = exposure.errors.iter().map(|error| Case {
        name: "the input can be analyzed".to_owned(),
        about: "input".to_owned(),
        outcome: Outcome::Error(error.clone()),
        details: Vec::new(),
    });
    Suite { name: "inputs".to_owned(), properties: Vec::new(), cases: cases.collect() }
}

/// The first findings as lines, and the number of the others.
#[derive(Default)]
struct Details {
    lines: Vec<String>,
    left_out: u64,
}

impl Details {
    fn add(&mut self, code: &str, text: &str) {
        match self.lines.len() < MAX_LINES {
            true => self.lines.push(shortened(&format!("{code}: {text}"), WIDTH)),
            false => self.left_out += 1,
        }
    }

    fn into_lines(mut self) -> Vec<String> {
        if self.left_out > 0 {
            self.lines.push(format!("and {} more; --format jsonl lists all", self.left_out));
        }
        self.lines
    }
}

impl Suite {
    fn write(&self, xml: &mut Writer<&mut dyn Write>) -> io::Result<()> {
        let count = |counts: fn(&Outcome) -> bool| count_of(&self.cases, counts);
        let suite = xml
            .create_element("testsuite")
            .with_attribute(("name", &*allowed(&self.name)))
            .with_attribute(("tests", &*count(|_| true)))
            .with_attribute(("failures", &*count(|outcome| matches!(outcome, Outcome::Failure(_)))))
            .with_attribute(("errors", &*count(|outcome| matches!(outcome, Outcome::Error(_)))))
            .with_attribute(("skipped", &*count(|outcome| matches!(outcome, Outcome::Skipped(_)))));
        suite.write_inner_content(|xml| {
            if !self.properties.is_empty() {
                xml.create_element("properties").write_inner_content(|xml| {
                    self.properties.iter().try_for_each(|(name, value)| {
                        let property = xml.create_element("property").with_attribute(("name", *name));
                        property.with_attribute(("value", &*allowed(value))).write_empty().map(drop)
                    })
                })?;
            }
            self.cases.iter().try_for_each(|case| case.write(xml))
        })?;
        Ok(())
    }
}

impl Case {
    fn write(&self, xml: &mut Writer<&mut dyn Write>) -> io::Result<()> {
        let case = xml
            .create_element("testcase")
            .with_attribute(("name", &*allowed(&self.name)))
            .with_attribute(("classname", &*allowed(&self.about)));
        let details = allowed_lines(&self.details);
        let (element, reason) = match &self.outcome {
            Outcome::Passed => {
                return match self.details.is_empty() {
                    true => case.write_empty().map(drop),
                    false => case
                        .write_inner_content(|xml| {
                            let out = xml.create_element("system-out");
                            out.write_text_content(BytesText::new(&details)).map(drop)
                        })
                        .map(drop),
                };
            }
            Outcome::Failure(reason) => ("failure", reason),
            Outcome::Error(reason) => ("error", reason),
            Outcome::Skipped(reason) => ("skipped", reason),
        };
        case.write_inner_content(|xml| {
            let outcome = xml.create_element(element).with_attribute(("message", &*allowed(reason)));
            outcome.write_text_content(BytesText::new(&details)).map(drop)
        })
        .map(drop)
    }
}

/// Text of characters that XML 1.0 allows (§2.2), without those that mislead a reader.
fn allowed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_misleading(c) || matches!(c, '\u{fffe}' | '\u{ffff}') {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    out
}

fn allowed_lines(lines: &[String]) -> String {
    lines.iter().map(|line| allowed(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_xml_does_not_allow_are_escapes() {
        assert_eq!(
            allowed("a\0\u{1b}[0m\u{ffff}\u{fffe}\nb<&\"'"),
            r#"a\u{0}\u{1b}[0m\u{ffff}\u{fffe}\u{a}b<&"'"#
        );
    }
}
