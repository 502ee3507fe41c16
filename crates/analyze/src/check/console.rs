//! Writes the outcome of a check for a person at a terminal.

use std::fmt::{Result, Write as _};

use anstyle::{AnsiColor, Color, Style};
use policy::{Outcome, Place, Violation};

use super::{Checked, counts, word};
use crate::output::safe_text::{safe, shortened};

/// Maximum number of violations shown; the others are counted.
const MAX_ROWS: usize = 100;

/// Maximum number of places shown of one violation.
const MAX_PLACES: usize = 3;

/// Most columns of a sentence.
const WIDTH: usize = 400;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// The whole text with terminal styles; the caller strips them where the output is no terminal.
pub fn text(checked: &Checked) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(checked, &mut out);
    out
}

fn write(checked: &Checked, out: &mut String) -> Result {
    let (colour, title) = match checked.outcome {
        "met" => (AnsiColor::Green, "every rule is met"),
        "violated" => (AnsiColor::Red, "a rule is violated"),
        _ => (AnsiColor::Yellow, "undecided: the captures do not show whether every rule is met"),
    };
    let count = checked.checked.len();
    writeln!(out, "Check: {}, {count} file(s) by {}", styled(colour, title), safe(&checked.policy))?;
    let mut capture = None;
    for violation in checked.violations.iter().take(MAX_ROWS) {
        if capture != Some((&violation.capture, &violation.file)) {
            capture = Some((&violation.capture, &violation.file));
            if !violation.capture.is_empty() {
                let (name, file) = (safe(&violation.capture), safe(&violation.file));
                writeln!(out, "\n{STRONG}{name}{STRONG:#}  {FAINT}{file}{FAINT:#}")?;
            }
        }
        self::violation(violation, out)?;
    }
    if checked.violations.len() > MAX_ROWS {
        writeln!(out, "  … and {} more", checked.violations.len() - MAX_ROWS)?;
    }
    if !checked.accepted.is_empty() {
        writeln!(out, "\nAccepted doubts")?;
        for accepted in &checked.accepted {
            let (doubt, capture) = (safe(&accepted.doubt), safe(&accepted.capture));
            let reason = shortened(&accepted.reason, WIDTH);
            writeln!(out, "  {doubt} in {capture}, until {}: {reason}", accepted.until)?;
        }
    }
    for unused in &checked.unused {
        writeln!(out, "\nNo capture has the accepted doubt {}: remove it from the policy", safe(unused))?;
    }
    let sums = counts(checked).map(|(outcome, count)| {
        let what = match outcome {
            Outcome::Violated => "violated",
            Outcome::Undecided => "undecided",
            Outcome::Wish => "wish(es) not met",
        };
        format!("{count} {what}")
    });
    if !checked.violations.is_empty() {
        let known = checked.violations.iter().filter(|violation| violation.is_known).count();
        writeln!(out, "\n{}, {known} known from the baseline", sums.join(", "))?;
    }
    Ok(())
}

fn violation(violation: &Violation, out: &mut String) -> Result {
    let colour = match violation.outcome {
        _ if violation.is_known => AnsiColor::BrightBlack,
        Outcome::Violated => AnsiColor::Red,
        Outcome::Undecided => AnsiColor::Yellow,
        Outcome::Wish => AnsiColor::Blue,
    };
    // The code of a doubt is what a policy accepts.
    let code =
        if violation.rule == "doubt" { format!(" {}", safe(&violation.subject)) } else { String::new() };
    writeln!(out, "  {} {}{code}", styled(colour, word(violation)), violation.rule)?;
    writeln!(out, "    {}", shortened(&violation.text, WIDTH))?;
    // Several strings are often in one frame.
    let mut places: Vec<_> = violation.places.iter().map(described).collect();
    places.dedup();
    for place in places.iter().take(MAX_PLACES) {
        writeln!(out, "    {FAINT}{}{FAINT:#}", shortened(place, WIDTH))?;
    }
    let more = places.len().saturating_sub(MAX_PLACES);
    if more > 0 {
        writeln!(out, "    {FAINT}and {more} more places{FAINT:#}")?;
    }
    Ok(())
}

/// A place in words: `frame 7 (offset 0x1a4); frame.number == 7`.
pub(super) fn described(place: &Place) -> String {
    let frames: Vec<_> = place.frames.iter().take(4).map(ToString::to_string).collect();
    let more = if place.frames.len() > 4 { ", …" } else { "" };
    let frames = match place.frames.len() {
        0 => String::new(),
        1 => format!("frame {}; ", frames.join("")),
        _ => format!("frames {}{more}; ", frames.join(", ")),
    };
    format!("{frames}{}", place.filter)
}

fn styled(colour: AnsiColor, text: &str) -> String {
    let style = Style::new().bold().fg_color(Some(Color::Ansi(colour)));
    format!("{style}{text}{style:#}")
}
