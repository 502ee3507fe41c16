//! Markdown as GitHub shows it: a table of the violations.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::console::described;
use super::{Checked, word};
use crate::output::markdown::{code, sentence};

/// Maximum number of rows.
const MAX_ROWS: usize = 200;

/// Writes the outcome.
///
/// # Errors
///
/// `out` fails.
pub fn write(checked: &Checked, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = document(checked, &mut text);
    out.write_all(text.as_bytes())
}

fn document(checked: &Checked, out: &mut String) -> std::fmt::Result {
    let (mark, title) = match checked.outcome {
        "met" => ("✅", "every rule of the policy is met"),
        "violated" => ("❌", "a rule of the policy is violated"),
        _ => ("⚠️", "the captures do not show whether every rule of the policy is met"),
    };
    writeln!(out, "## {mark} plainsight: {title}\n")?;
    for error in &checked.errors {
        writeln!(out, "- ❌ {}", sentence(error))?;
    }
    if !checked.violations.is_empty() {
        writeln!(out, "| | rule | capture | what | evidence |\n|---|---|---|---|---|")?;
    }
    for violation in checked.violations.iter().take(MAX_ROWS) {
        let place = violation.places.first().map(described).unwrap_or_default();
        let cell = |text: &str| if text.is_empty() { String::new() } else { code(text).replace('|', "\\|") };
        writeln!(
            out,
            "| {} | `{}` | {} | {} | {} |",
            word(violation),
            violation.rule,
            cell(&violation.capture),
            cell(&violation.text),
            cell(&place)
        )?;
    }
    if checked.violations.len() > MAX_ROWS {
        writeln!(out, "\n… and {} more", checked.violations.len() - MAX_ROWS)?;
    }
    if !checked.accepted.is_empty() {
        writeln!(out, "\nAccepted doubts:\n")?;
        for accepted in &checked.accepted {
            let (doubt, capture) = (code(&accepted.doubt), code(&accepted.capture));
            writeln!(out, "- {doubt} in {capture}, until {}: {}", accepted.until, code(&accepted.reason))?;
        }
    }
    Ok(())
}
