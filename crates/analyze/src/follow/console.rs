//! Writes what was completed for people, a line each.

use super::{Completed, Kind};
use crate::output::safe_text::safe;
use crate::timeline::Way;

/// Longest text of a capture in a line, in characters.
const MAX_CHARS: usize = 160;

/// The line, with captured text made safe for a terminal.
pub fn line(completed: &Completed) -> String {
    let way = match completed.direction {
        Some(Way::Out) => "to server",
        Some(Way::In) => "to client",
        None => "-",
    };
    let mut parts = vec![cut(&completed.what)];
    if !completed.content_type.is_empty() {
        parts.push(cut(&completed.content_type));
    }
    parts.push(format!("{} bytes", completed.bytes));
    parts.push(match (completed.kind, completed.needs_keys) {
        (Kind::Hello, _) => "TLS handshake, readable by anyone".to_owned(),
        (Kind::Message, true) => "with the key log".to_owned(),
        (Kind::Message, false) => "readable by anyone".to_owned(),
    });
    let seconds = completed.ms / 1000.0;
    format!("frame {:>6}  {seconds:>9.3} s  {way}  {}", completed.frame, parts.join(" | "))
}

fn cut(text: &str) -> String {
    safe(&text.chars().take(MAX_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed() -> Completed {
        Completed {
            frame: 4,
            ms: 1.5,
            stream: Some(0),
            direction: Some(Way::Out),
            what: "POST /tool".to_owned(),
            content_type: "application/json".to_owned(),
            bytes: 128,
            needs_keys: false,
            kind: Kind::Message,
        }
    }

    #[test]
    fn a_line_says_what_can_be_read_by_whom() {
        assert_eq!(
            line(&completed()),
            "frame      4      0.002 s  to server  POST /tool | application/json | 128 bytes | readable by anyone"
        );
        let with_keys = Completed { needs_keys: true, ..completed() };
        assert!(line(&with_keys).ends_with("| with the key log"));
    }

    #[test]
    fn captured_text_stays_in_its_line_and_does_not_control_the_terminal() {
        let what = format!("GET /\u{1b}[2J\r\n\u{202e}{}", "a".repeat(100_000));
        let line = line(&Completed { what, ..completed() });
        assert!(
            line.len() < 1000 && !line.chars().any(|char| char.is_control() || char == '\u{202e}'),
            "{line}"
        );
    }
}
