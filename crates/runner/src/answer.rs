//! Answers a prompt.

use std::net::SocketAddr;

use agent_core::tools;
use serde_json::Value;

use crate::attempt::Attempt;
use crate::listen::Listener;

/// Maximum number of attempts in one prompt: each can wait for seconds, and a box has a time limit.
const MAX_ATTEMPTS: usize = 32;

/// Answers `prompt`, which follows `earlier` messages of the same user. Calls `piece` with each part of the answer as soon as
/// it is ready, and with each word of an answer in words; all pieces together are the answer.
pub(crate) fn answer(prompt: &str, earlier: usize, piece: impl FnMut(&str)) -> String {
    let mut parts = Parts { text: String::new(), is_empty: true, piece };
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
                        parts.add(&format!("listen {address}: listening"));
                    }
                    Err(error) => parts.add(&format!("listen {address}: {error}")),
                },
                Err(_) => words.push(line),
            },
            "attempt" if attempts == MAX_ATTEMPTS => parts.add(&format!("more than {MAX_ATTEMPTS} attempts")),
            "attempt" => match Attempt::parse(rest) {
                Some(attempt) => {
                    attempts += 1;
                    parts.add(&attempt.make());
                }
                None => words.push(line),
            },
            _ => match tool(first, rest) {
                Some(result) => parts.add(&result),
                None => words.push(line),
            },
        }
    }
    // Waits for the attempts of other boxes.
    drop(listeners);
    let words = words.join("\n");
    if !words.trim().is_empty() || parts.is_empty {
        parts.add_words(&in_words(words.trim(), earlier));
    }
    parts.text
}

/// The answer so far: parts, a line or more each.
struct Parts<F> {
    text: String,
    is_empty: bool,
    piece: F,
}

impl<F: FnMut(&str)> Parts<F> {
    fn add(&mut self, part: &str) {
        self.begin_line();
        self.add_piece(part);
    }

    fn add_words(&mut self, part: &str) {
        self.begin_line();
        for word in part.split_inclusive(char::is_whitespace) {
            self.add_piece(word);
        }
    }

    fn begin_line(&mut self) {
        if !self.is_empty {
            self.add_piece("\n");
        }
        self.is_empty = false;
    }

    fn add_piece(&mut self, piece: &str) {
        self.text.push_str(piece);
        (self.piece)(piece);
    }
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

    fn answer(prompt: &str, earlier: usize) -> String {
        let mut pieces = String::new();
        let text = super::answer(prompt, earlier, |piece| pieces.push_str(piece));
        assert_eq!(pieces, text);
        text
    }

    #[test]
    fn pieces_are_parts_and_words() {
        let mut pieces = Vec::new();
        let prompt = "no such  line\nattempt file /no/such/file\n안녕\nattempt file /no/such/either";
        super::answer(prompt, 0, |piece| pieces.push(piece.to_owned()));
        let parts = pieces.iter().filter(|piece| piece.starts_with("file /no/such")).count();
        assert_eq!((parts, pieces[1].as_str()), (2, "\n"), "{pieces:?}");
        let words = ["\n", "This ", "is ", "your ", "message ", "number ", "1, ", "of ", "4 ", "words: "];
        assert_eq!(pieces[3..13], words, "{pieces:?}");
        assert_eq!(pieces[13..], ["no ", "such ", " ", "line\n", "안녕"], "{pieces:?}");
    }

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
