//! Writes what verdicts on own traffic are about.

use std::fmt::Write as _;

use exposure_schema::{Capture, Ended, Scope, ScopeConnection, Unvouched, Verdict};

use super::{CompletenessLine, FAINT, MAX_ROWS, STRONG, heading, safe};

/// Shows the scope of every verdict that has one.
pub(super) fn write(out: &mut String, captures: &[&Capture]) -> std::fmt::Result {
    let scoped: Vec<_> =
        captures.iter().filter_map(|capture| Some((*capture, capture.scope.as_ref()?))).collect();
    if scoped.is_empty() {
        return Ok(());
    }
    heading(out, "What the verdict is about")?;
    for (capture, scope) in scoped {
        one(out, capture, scope)?;
    }
    writeln!(out)
}

fn one(out: &mut String, capture: &Capture, scope: &Scope) -> std::fmt::Result {
    writeln!(out, "  {STRONG}{}{STRONG:#}  {FAINT}{}{FAINT:#}", safe(&capture.name), title(scope))?;
    for connection in scope.connections.iter().take(MAX_ROWS) {
        writeln!(out, "    {}", line(connection))?;
    }
    if scope.connections_total > MAX_ROWS as u64 {
        writeln!(out, "    … and {} more connections", scope.connections_total - MAX_ROWS as u64)?;
    }
    let outside = &scope.outside;
    if outside.connections + outside.frames > 0 {
        writeln!(
            out,
            "    also in the file, searched but not part of the verdict: {} other TCP connection(s), {} frame(s) of no TCP connection",
            outside.connections, outside.frames
        )?;
    }
    for doubt in outside.doubts.iter().take(MAX_ROWS) {
        writeln!(out, "      {FAINT}{}{FAINT:#}", safe(&doubt.text))?;
    }
    if scope.strings_not_searched > 0 {
        let count = scope.strings_not_searched;
        writeln!(out, "    not searched for: {count} number(s) and short string(s) of the JSON documents")?;
    }
    writeln!(out, "    nothing vouches")?;
    for item in &scope.unvouched {
        writeln!(out, "      {}", unvouched(*item))?;
    }
    if let Some(add) = &scope.add {
        let why = match capture.verdict {
            Some(Verdict::Sealed) => "the exit status is 0 only if this scope is asked for",
            _ => "connections that carry the strings belong to the scope",
        };
        writeln!(out, "    {why}")?;
        // A line of its own, to be copied.
        writeln!(out, "    add: {STRONG}{add}{STRONG:#}")?;
    }
    Ok(())
}

fn title(scope: &Scope) -> String {
    let count = scope.connections_total;
    match scope.asked.as_slice() {
        [] if scope.add.is_some() => {
            format!("{count} connection(s) with the servers to which the strings went")
        }
        [] => format!("all {count} connection(s): none carries the strings under the keys"),
        [all] if all == "all" => {
            format!("everything in the file: {count} connection(s) and all other frames")
        }
        asked => format!("{count} connection(s) in the scope {}", asked.join(", ")),
    }
}

fn line(connection: &ScopeConnection) -> String {
    let end = |end: &Option<String>| end.as_deref().map_or_else(|| "unknown".to_owned(), safe);
    let ended = match connection.ended {
        Ended::Fin => "closed by both sides",
        Ended::Rst => "reset",
        Ended::Open => "open at the end of the capture",
    };
    format!(
        "tcp.stream {}: {} to {}, strings found {} time(s) under the keys, {ended}",
        connection.stream,
        end(&connection.client),
        end(&connection.server),
        connection.strings_found
    )
}

/// What nothing vouches for, as the end of a sentence.
fn unvouched(item: Unvouched) -> &'static str {
    match item {
        Unvouched::Drops => "that no frame was dropped;",
        Unvouched::Period => "that nothing came before the first frame or after the last;",
        Unvouched::Filter => "that no filter left frames out;",
        Unvouched::Vantage => "that the traffic took no way past the place of the capture;",
        Unvouched::OpenConnections => "that the connections without an end carried nothing later;",
    }
}

/// The line about completeness among the controls: of the scope only.
pub(super) fn completeness_line(capture: &Capture, scope: &Scope) -> CompletenessLine {
    // The controls have lines of their own, and the scope is explained behind them.
    let about_scope = |code: &str| !(code.starts_with("control.") || code.starts_with("scope."));
    let doubts = capture.doubts.iter().filter(|doubt| about_scope(&doubt.code)).count();
    CompletenessLine {
        passed: doubts == 0 && scope.connections_total > 0,
        text: match doubts {
            0 => format!(
                "every byte of {} connection(s) in the scope is there and read",
                scope.connections_total
            ),
            _ => {
                format!("{doubts} doubt(s) about the {} connection(s) in the scope", scope.connections_total)
            }
        },
    }
}
