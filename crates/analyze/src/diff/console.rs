//! Writes a comparison for a person at a terminal.

use std::fmt::{Result, Write as _};

use anstyle::{AnsiColor, Color, Style};
use exposure_schema::{Conclusion, DoubtEntry, IsolationVerdict, Level, Verdict};

use super::{CaptureDiff, Change, Diff, Item, RunDiff};
use crate::output::safe_text::{safe, shortened};

/// Maximum number of entries shown of one list.
const MAX_ROWS: usize = 12;

/// Most columns of an entry.
const WIDTH: usize = 100;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// The whole text with terminal styles; the caller strips them where the output is no terminal.
pub fn text(diff: &Diff) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(diff, &mut out);
    out
}

fn write(diff: &Diff, out: &mut String) -> Result {
    for capture in &diff.captures {
        self::capture(capture, out)?;
    }
    for run in &diff.isolation {
        self::run(run, out)?;
    }
    for (files, which) in [(&diff.only_old, &diff.old), (&diff.only_new, &diff.new)] {
        for file in files.iter().take(MAX_ROWS) {
            writeln!(out, "{} is only in {}", safe(file), safe(which))?;
        }
        more(out, files.len() as u64, "files")?;
    }
    let name = |conclusion: Option<Conclusion>| conclusion.map_or("none", Conclusion::name);
    let Change { old, new } = diff.conclusion;
    if old != new {
        writeln!(out, "Conclusion: {} before, {STRONG}{}{STRONG:#} now", name(old), name(new))?;
    }
    let readable = match diff.became_readable {
        0 => styled(AnsiColor::Green, "nothing became readable"),
        count => styled(AnsiColor::Red, &format!("{count} became readable")),
    };
    writeln!(out, "Difference: {readable}, {} ceased to be readable", diff.ceased)
}

fn capture(diff: &CaptureDiff, out: &mut String) -> Result {
    let Change { old, new } = &diff.verdict;
    let name = |verdict: &Option<Verdict>| verdict.map_or("no verdict", Verdict::name);
    let verdict = match old == new {
        true => format!("{} in both", name(new)),
        false => format!("{} before, {STRONG}{}{STRONG:#} now", name(old), name(new)),
    };
    let files = format!("{}, {}", safe(&diff.file.old), safe(&diff.file.new));
    writeln!(out, "{STRONG}{}{STRONG:#}: {verdict}  {FAINT}{files}{FAINT:#}", safe(&diff.name))?;
    let new = |item: &Item| item.level.new;
    let old = |item: &Item| item.level.old;
    items(out, "became readable", AnsiColor::Red, &diff.became_readable, diff.became_readable_total, new)?;
    items(out, "ceased to be readable", AnsiColor::Green, &diff.ceased, diff.ceased_total, old)?;
    writeln!(out, "  {} readable in both", diff.still_readable)?;
    doubts(out, "new", &diff.new_doubts)?;
    doubts(out, "gone", &diff.gone_doubts)?;
    if !diff.cut_lists.is_empty() {
        let lists = diff.cut_lists.join(", ");
        writeln!(
            out,
            "  {}: the results do not list all of {lists}",
            styled(AnsiColor::Yellow, "incomplete")
        )?;
    }
    writeln!(out)
}

fn items(
    out: &mut String,
    title: &str,
    colour: AnsiColor,
    items: &[Item],
    total: u64,
    level: impl Fn(&Item) -> Option<Level>,
) -> Result {
    if total == 0 {
        return Ok(());
    }
    writeln!(out, "  {}", styled(colour, &format!("{total} {title}")))?;
    for item in items.iter().take(MAX_ROWS) {
        let level = level(item).map_or("", Level::name);
        let absent = match (item.level.old, item.level.new) {
            (Some(_), None) => ", not sent any more",
            (None, Some(_)) => ", not sent before",
            _ => "",
        };
        writeln!(out, "    {level:<12} {}{FAINT}{absent}{FAINT:#}", shortened(&item.text, WIDTH))?;
    }
    more(out, total, title)
}

fn run(diff: &RunDiff, out: &mut String) -> Result {
    let Change { old, new } = diff.verdict;
    let verdict = match old == new {
        true => format!("{} in both", new.name()),
        false => format!("{} before, {STRONG}{}{STRONG:#} now", IsolationVerdict::name(old), new.name()),
    };
    let files = format!("{}, {}", safe(&diff.file.old), safe(&diff.file.new));
    writeln!(out, "{STRONG}isolation{STRONG:#}: {verdict}  {FAINT}{files}{FAINT:#}")?;
    doubts(out, "new", &diff.new_findings)?;
    doubts(out, "gone", &diff.gone_findings)?;
    writeln!(out)
}

fn doubts(out: &mut String, which: &str, entries: &[DoubtEntry]) -> Result {
    for entry in entries.iter().take(MAX_ROWS) {
        let word = styled(AnsiColor::Yellow, which);
        writeln!(out, "    {word:<4} {}: {}", safe(&entry.code), shortened(&entry.text, WIDTH))?;
    }
    more(out, entries.len() as u64, "doubts")
}

fn more(out: &mut String, total: u64, what: &str) -> Result {
    match total.checked_sub(MAX_ROWS as u64) {
        Some(more @ 1..) => writeln!(out, "    … and {more} more {what}; --format json lists them"),
        _ => Ok(()),
    }
}

fn styled(colour: AnsiColor, text: &str) -> String {
    let style = Style::new().bold().fg_color(Some(Color::Ansi(colour)));
    format!("{style}{text}{style:#}")
}
