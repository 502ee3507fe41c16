//! Shows the credentials, personal data and messages of agents in a capture without journals.

use std::fmt::Write as _;

use anstyle::AnsiColor;
use exposure_schema::{AgentEntry, Capture, FindingEntry, Level, Location};

use super::{FAINT, MAX_ROWS, rest, safe, shortened, styled};

/// Width of the column with field names and paths.
const PATH: usize = 44;

/// Writes a line for each, by its field.
pub(super) fn write(out: &mut String, capture: &Capture) -> std::fmt::Result {
    let Some(contents) = &capture.contents else { return Ok(()) };
    for (entries, total, what) in [
        (&contents.credentials, contents.credentials_total, "credentials"),
        (&contents.personal, contents.personal_total, "personal data"),
    ] {
        if total > 0 {
            writeln!(out, "  {what}: {total}, {} of them different", entries.len())?;
        }
        for entry in entries.iter().take(MAX_ROWS) {
            finding(out, entry)?;
        }
        rest(out, entries.len() as u64, what)?;
    }
    if contents.agents_total > 0 {
        writeln!(out, "  messages of agents: {}", contents.agents_total)?;
    }
    for entry in contents.agents.iter().take(MAX_ROWS) {
        agent(out, entry)?;
    }
    rest(out, contents.agents_total, "messages of agents")
}

fn finding(out: &mut String, entry: &FindingEntry) -> std::fmt::Result {
    let value = entry.value.as_deref().unwrap_or(&entry.redacted);
    let shown = entry.details.iter().filter_map(|detail| Some((&detail.name, detail.value.as_ref()?)));
    let details: Vec<_> = shown.take(3).map(|(name, value)| format!("{name} {value}")).collect();
    let more = if entry.times > 1 { format!(", {} times", entry.times) } else { String::new() };
    writeln!(
        out,
        "    {}: {:PATH$} {} {} {FAINT}({} bytes{more}) {}{FAINT:#}",
        place(entry.level, &entry.location),
        shortened(&format!("{} {}", entry.place, entry.path), PATH),
        safe(&entry.kind),
        shortened(value, 40),
        entry.bytes,
        shortened(&details.join(", "), 60),
    )
}

fn agent(out: &mut String, entry: &AgentEntry) -> std::fmt::Result {
    let mut about = vec![entry.protocol.to_string(), entry.what.to_string()];
    about.extend(entry.method.clone());
    about.extend(entry.tools.iter().cloned());
    about.extend(entry.model.clone());
    let joined = if entry.joined > 0 { format!(", from {} parts", entry.joined) } else { String::new() };
    writeln!(
        out,
        "    {}: {} {FAINT}({} texts{joined}){FAINT:#}",
        place(entry.level, &entry.location),
        shortened(&about.join(" "), 70),
        entry.texts_total,
    )
}

/// Whether it can be read without keys, and in which frame.
fn place(level: Level, location: &Location) -> String {
    let level = match level {
        Level::Decrypted => styled(AnsiColor::Green, "only with keys"),
        level => styled(AnsiColor::Red, level.name()),
    };
    match location.frames.first() {
        Some(frame) => format!("{level}  frame {frame}"),
        None => level,
    }
}
