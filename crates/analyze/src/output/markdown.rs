//! Markdown as GitHub shows it: a summary for the page of a CI run, with the table of levels and the first proofs.
//!
//! Captured text stands in code spans only, where it is neither markup, nor a link, nor a mention.

use std::fmt::Write as _;
use std::io::{self, Write};

use exposure_schema::{
    Capture, Conclusion, Exposure, Isolation, IsolationVerdict, Level, Location, SearchedAs, StringEntry,
    Verdict,
};

use super::finding::{self, Kind, Severity};
use super::safe_text::shortened;

/// Maximum number of doubts, leaks or findings listed of one capture or run, and of captures in one table.
const MAX_ROWS: usize = 12;

/// Maximum number of captures in the table of levels, and of those with a section of their own.
const MAX_CAPTURES: usize = 100;

/// Most columns of a captured text, and of a sentence.
const WIDTH: usize = 100;
const SENTENCE: usize = 400;

/// Longest document in bytes: GitHub shows no summary of a step that is longer than 1 MiB.
const MAX_LEN: usize = 1_000_000;

/// Writes the result.
///
/// # Errors
///
/// `out` fails.
pub fn write(exposure: &Exposure, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = document(exposure, &mut text);
    out.write_all(text.as_bytes())
}

fn document(exposure: &Exposure, out: &mut String) -> std::fmt::Result {
    conclusion(exposure, out)?;
    for error in exposure.errors.iter().take(MAX_ROWS) {
        writeln!(out, "- ❌ {}", sentence(error))?;
    }
    rest(out, exposure.errors.len(), "inputs that cannot be analyzed")?;
    if !exposure.errors.is_empty() {
        writeln!(out)?;
    }
    let (judged, others): (Vec<_>, Vec<_>) =
        exposure.captures.iter().partition(|capture| capture.verdict.is_some());
    if !judged.is_empty() {
        levels(&judged, out)?;
    }
    let sections = judged.iter().chain(&others).take(MAX_CAPTURES);
    for capture in sections {
        section(out, |out| match capture.verdict {
            Some(_) => proof(capture, out),
            None => without_verdict(capture, out),
        })?;
    }
    rest_of(out, exposure.captures.len(), MAX_CAPTURES, "captures")?;
    for run in &exposure.isolation {
        section(out, |out| isolation(run, out))?;
    }
    Ok(())
}

/// Adds a section, unless the document would be too long with it.
fn section(out: &mut String, write: impl FnOnce(&mut String) -> std::fmt::Result) -> std::fmt::Result {
    const LEFT_OUT: &str = "*A section is left out, because the summary is too long.*\n\n";
    let mut section = String::new();
    write(&mut section)?;
    match out.len() + section.len() <= MAX_LEN {
        true => out.push_str(&section),
        false if !out.ends_with(LEFT_OUT) => out.push_str(LEFT_OUT),
        false => {}
    }
    Ok(())
}

fn conclusion(exposure: &Exposure, out: &mut String) -> std::fmt::Result {
    let (mark, title) = match exposure.conclusion {
        Some(Conclusion::Proven) => {
            ("✅", "proven: over HTTP the JSON is in plain sight, over TLS none of it is")
        }
        Some(Conclusion::Refuted) => ("❌", "refuted: a capture shows the opposite of what was expected"),
        Some(Conclusion::Inconclusive) => ("⚠️", "inconclusive: doubts remain, so nothing is proven"),
        None => ("🔎", "what an eavesdropper can read"),
    };
    writeln!(out, "## {mark} {title}\n")?;
    if exposure.conclusion.is_some() {
        for reason in exposure.reasons.iter().take(MAX_ROWS) {
            writeln!(out, "- {}", sentence(reason))?;
        }
        rest(out, exposure.reasons.len(), "reasons")?;
        if !exposure.reasons.is_empty() {
            writeln!(out)?;
        }
    }
    Ok(())
}

fn levels(captures: &[&Capture], out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "| capture | strings | in one frame | across frames | encoded | only with the TLS keys | not found | verdict |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|---|")?;
    for capture in captures.iter().take(MAX_CAPTURES) {
        let summary = &capture.summary;
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(&capture.name),
            summary.total,
            summary.verbatim,
            summary.reassembled,
            summary.decoded,
            summary.decrypted,
            summary.absent,
            verdict(capture),
        )?;
    }
    writeln!(out)?;
    rest_of(out, captures.len(), MAX_CAPTURES, "captures")
}

fn verdict(capture: &Capture) -> String {
    let verdict = match (capture.verdict, &capture.scope) {
        (Some(Verdict::Sealed), Some(_)) => "sealed in its scope",
        (Some(verdict), _) => verdict.name(),
        (None, _) => "no verdict",
    };
    format!("**{verdict}**")
}

/// For each level that occurs the first string, and the first doubts.
fn proof(capture: &Capture, out: &mut String) -> std::fmt::Result {
    writeln!(out, "### {}: {}\n", code(&capture.name), verdict(capture))?;
    writeln!(out, "{}, {} frames\n", code(&capture.file), capture.frames)?;
    let proofs = Level::ALL.into_iter().filter_map(|level| {
        let of_level = |string: &&StringEntry| string.level == level && !string.locations.is_empty();
        // A string that was found by itself is better evidence than one that was found with its message.
        let by_itself = |string: &&StringEntry| of_level(string) && string.searched_as != SearchedAs::Message;
        let strings = &capture.strings;
        let string = strings.iter().find(by_itself).or_else(|| strings.iter().find(of_level))?;
        Some((level, string, string.locations.first()?))
    });
    let proofs: Vec<_> = proofs.collect();
    if !proofs.is_empty() {
        writeln!(out, "| level | string | place | Wireshark |\n|---|---|---|---|")?;
        for (level, string, place) in proofs {
            let what = format!("{} {}", cell(&string.value), cell(&string.path));
            writeln!(out, "| {} | {what} | {} | {} |", level.name(), at(place), cell(&place.filter))?;
        }
        writeln!(out)?;
    }
    doubts(capture, out)
}

fn at(place: &Location) -> String {
    let frames = match place.frames.as_slice() {
        [] => "no frame".to_owned(),
        [frame] => format!("frame {frame}"),
        [first, .., last] => format!("frames {first}–{last}"),
    };
    format!("{frames}, file offset {}", place.file_offset)
}

fn doubts(capture: &Capture, out: &mut String) -> std::fmt::Result {
    for doubt in capture.doubts.iter().take(MAX_ROWS) {
        writeln!(out, "- {}: {}", code(&doubt.code), sentence(&doubt.text))?;
    }
    rest(out, capture.doubts.len(), "doubts")?;
    if !capture.doubts.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

/// What is readable in a capture without journals: what should be looked at first.
fn without_verdict(capture: &Capture, out: &mut String) -> std::fmt::Result {
    writeln!(out, "### {}: what is readable\n", code(&capture.name))?;
    writeln!(
        out,
        "{}, {} frames, {} HTTP messages, {} readable strings\n",
        code(&capture.file),
        capture.frames,
        capture.http_total,
        capture.readable_total
    )?;
    for wanted in [Severity::Warning, Severity::Note] {
        let mut found = 0;
        finding::of_capture(capture, &mut |finding| {
            if finding.kind != Kind::Exposure || finding.severity != wanted {
                return Ok(());
            }
            found += 1;
            match found > MAX_ROWS {
                true => Ok(()),
                false => writeln!(out, "- {}: {}", code(&finding.code), sentence(&finding.text)),
            }
        })?;
        rest(out, found, "findings")?;
        if found > 0 {
            writeln!(out)?;
        }
    }
    doubts(capture, out)
}

fn isolation(run: &Isolation, out: &mut String) -> std::fmt::Result {
    let mark = match run.verdict {
        IsolationVerdict::Isolated => "✅",
        IsolationVerdict::Leaked => "❌",
        IsolationVerdict::Inconclusive => "⚠️",
    };
    writeln!(out, "### {mark} sandboxes: **{}**\n", run.verdict.name())?;
    writeln!(out, "{}, {} sandboxes\n", code(&run.file), run.boxes_total)?;
    if !run.kinds.is_empty() {
        writeln!(out, "| attempt | tried in a sandbox | seen | tried with a network | seen | control |")?;
        writeln!(out, "|---|--:|--:|--:|--:|---|")?;
        for kind in &run.kinds {
            let control = if kind.control_passed { "passed" } else { "**failed**" };
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {control} |",
                cell(&kind.kind),
                kind.tried,
                kind.seen,
                kind.control_tried,
                kind.control_seen
            )?;
        }
        writeln!(out)?;
    }
    for entry in run.leaks.iter().chain(&run.doubts).take(MAX_ROWS) {
        writeln!(out, "- {}: {}", code(&entry.code), sentence(&entry.text))?;
    }
    rest(out, run.leaks.len() + run.doubts.len(), "leaks and doubts")?;
    writeln!(out)
}

fn rest(out: &mut String, total: usize, what: &str) -> std::fmt::Result {
    rest_of(out, total, MAX_ROWS, what)
}

fn rest_of(out: &mut String, total: usize, shown: usize, what: &str) -> std::fmt::Result {
    match total.checked_sub(shown) {
        Some(more @ 1..) => writeln!(out, "\n*and {more} more {what}; --format jsonl lists them*\n"),
        _ => Ok(()),
    }
}

/// A code span (CommonMark §6.1): between more backticks than there are in a row in the text. Line ends and other control
/// characters are escapes.
pub(crate) fn code(text: &str) -> String {
    span(text, WIDTH)
}

/// A sentence, which can have captured text in it.
pub(crate) fn sentence(text: &str) -> String {
    span(text, SENTENCE)
}

fn span(text: &str, columns: usize) -> String {
    let text = shortened(text, columns);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    // One space beside each fence does not count; a text that is nothing but spaces keeps them all.
    let pad = if text.is_empty() || !text.trim().is_empty() { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A code span in a cell of a table, where a bar divides cells even inside of it.
fn cell(text: &str) -> String {
    code(text).replace('|', r"\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_spans_hold_any_text() {
        assert_eq!(code("a"), "` a `");
        assert_eq!(code("``a`"), "``` ``a` ```");
        assert_eq!(code("<b>@me **x** [a](b)\n# x"), r"` <b>@me **x** [a](b)\u{a}# x `");
        assert_eq!(cell("a|b"), r"` a\|b `");
        assert_eq!(code("  "), "`  `");
    }

    #[test]
    fn a_section_that_would_make_the_document_too_long_is_left_out() {
        let mut out = "x".repeat(MAX_LEN - 1);
        for _ in 0..3 {
            section(&mut out, |out| write!(out, "{}", "z".repeat(10))).expect("a string");
        }
        assert!(!out.contains('z'));
        assert_eq!(out.matches("left out").count(), 1);
    }
}
