//! Answers a prompt.

use std::net::SocketAddr;

use agent_core::tools;
use serde_json::Value;

use crate::attempt::Attempt;
use crate::listen::Listener;

/// Maximum number of attempts in one prompt: each can wait for seconds, and a box has a time limit.
const MAX_ATTEMPTS: usize = 32;

/// Answers `prompt`, which follows `earlier` messages of the same user.
pub(crate) fn answer(prompt: &str, earlier: usize) -> String {
    let mut parts = Vec::new();
    let mut words = Vec::new();
    let mut listeners = Vec::new();
    let mut attempts = 0;
    for line in prompt.lines() {
        let (first, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match first {
            "listen" => match rest.parse::<SocketAddr>() {
                Ok(address) => match Listener::open(address) {
                    Ok(listener) => {
                        listeners.push(listener);
                        parts.push(format!("listen {address}: listening"));
                    }
                    Err(error) => parts.push(format!("listen {address}: {error}")),
                },
                Err(_) => words.push(line),
            },
            "attempt" if attempts == MAX_ATTEMPTS => parts.push(format!("more than {MAX_ATTEMPTS} attempts")),
            "attempt" => match Attempt::parse(rest) {
                Some(attempt) => {
                    attempts += 1;
                    parts.push(attempt.make());
                }
                None => words.push(line),
            },
            _ => match tool(first, rest) {
                Some(result) => parts.push(result),
                None => words.push(line),
            },
        }
    }
    // Waits for the attempts of other boxes.
    drop(listeners);
    let words = words.join("\n");
    if !words.trim().is_empty() || parts.is_empty() {
        parts.push(in_words(words.trim(), earlier));
    }
    parts.join("\n")
}

/// The result of a tool as JSON; `None` if the line is not a call of a tool.
fn tool(name: &str, arguments: &str) -> Option<String> {
    let arguments: Value = serde_json::from_str(arguments).ok().filter(Value::is_object)?;
    Some(match tools::run(name, &arguments) {
        Ok(result) => format!("{name}: {result}"),
        Err(error) => format!("{name}: {error}"),
    })
}

fn in_words(message: &str, earlier: usize) -> String {
    let count = message.split_whitespace().count();
    let words = if count == 1 { "word" } else { "words" };
    format!("This is your message number {}, of {count} {words}: {message}", earlier + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_a_message_in_words() {
        assert_eq!(answer("hello there", 0), "This is your message number 1, of 2 words: hello there");
        assert_eq!(answer("안녕하세요", 4), "This is your message number 5, of 1 word: 안녕하세요");
    }

    #[test]
    fn calls_a_tool_and_reports_its_error() {
        let result = answer(r#"transform_text {"text":"straße","operation":"uppercase"}"#, 0);
        assert!(result.starts_with("transform_text: ") && result.contains("STRASSE"), "{result}");
        let unknown = answer(r#"no_such_tool {"a":1}"#, 0);
        assert!(unknown.starts_with("no_such_tool: "), "{unknown}");
    }

    #[test]
    fn answers_malformed_commands_in_words() {
        for message in ["listen to me", "attempt the impossible", "attempt", "{\"a\":1}"] {
            assert!(answer(message, 0).ends_with(message), "{message}");
        }
    }
}
