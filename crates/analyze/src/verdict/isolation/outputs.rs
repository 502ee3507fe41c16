//! What a sandbox writes, byte for byte: its answer follows from the message that it was asked and the attempts that it
//! reports, so an output that differs holds something else.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

use super::boxes::{Boxes, isolated};
use super::doubt::IsolationDoubt;
use crate::input::isolation_record::{Attempt, BoxRun, Experiment, User};

/// Longest outcome of an attempt in bytes: the longest message of the operating system has some 50.
const MAX_OUTCOME: usize = 80;

/// Hex digits of the hash of a report in an answer.
const HASH: usize = 16;

/// Outcomes that are no error of the operating system: those of the sandbox's program and of Rust's library.
const OUTCOMES: [&str; 9] = [
    "connected and sent",
    "sent",
    "sent, no answer",
    "sent and answered",
    "heard nothing",
    "measured",
    "connection timed out",
    "operation timed out",
    "unsupported",
];

/// Every sandbox whose output is not exactly an answer to a message of its user.
pub(super) fn doubts(experiment: &Experiment, boxes: &[Boxes]) -> Vec<IsolationDoubt> {
    let mut doubts = Vec::new();
    for run in isolated(boxes) {
        let user = experiment.users.iter().find(|user| run.user.as_deref() == Some(&user.id));
        let is_answer = user.is_some_and(|user| answered(run, user).is_some());
        if !is_answer {
            doubts.push(IsolationDoubt::OutputUnexplained { sandbox: run.name.clone() });
        }
    }
    doubts
}

/// The index of the message of `user` that the sandbox answers with exactly its output.
pub(super) fn answered(run: &BoxRun, user: &User) -> Option<usize> {
    let text = answer_text(run)?;
    let is_answer = |(number, message): (usize, &String)| {
        expected(message, number, run.attempts()).is_some_and(|expected| expected == text)
    };
    user.messages.iter().enumerate().position(is_answer)
}

/// The text of the answer, if stdout has nothing else.
pub(super) fn answer_text(run: &BoxRun) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        text: String,
    }
    if run.stdout_base64.is_some() || run.stderr_base64.is_some() {
        return None;
    }
    let Answer { text } = serde_json::from_str(&run.stdout).ok()?;
    let exact = format!("{{\"schema\":\"plainsight.answer/1\",\"text\":{}}}\n", quoted(&text));
    (exact == run.stdout).then_some(text)
}

/// A string as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// The answer to the `number`-th message of a conversation, given the outcome of each attempt; `None` if the attempts are
/// others than the message asks for, or an outcome is none that there is.
fn expected(message: &str, number: usize, attempts: &[Attempt]) -> Option<String> {
    let mut attempts = attempts.iter();
    let mut parts = Vec::new();
    let mut words = Vec::new();
    for line in message.lines() {
        if let Some(address) = line.strip_prefix("listen ") {
            parts.push(format!("listen {address}: listening"));
        } else if let Some(asked) = line.strip_prefix("attempt ") {
            let attempt = attempts.next()?;
            let Attempt { kind, target, outcome, .. } = attempt;
            if asked != format!("{kind} {target}") || !is_outcome(outcome) {
                return None;
            }
            parts.push(format!("{kind} {target}: {outcome} [{}]", hash(attempt)?));
        } else {
            words.push(line);
        }
    }
    if attempts.next().is_some() {
        return None;
    }
    let words = words.join("\n");
    let words = words.trim();
    if !words.is_empty() || parts.is_empty() {
        let count = words.split_whitespace().count();
        let noun = if count == 1 { "word" } else { "words" };
        parts.push(format!("This is your message number {}, of {count} {noun}: {words}", number + 1));
    }
    Some(parts.join("\n"))
}

/// The beginning of the SHA-256 of a report, which the answer carries over the network: a report that was changed later has
/// another one.
pub(super) fn hash(attempt: &Attempt) -> Option<String> {
    let report = serde_json::to_string(attempt).ok()?;
    let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, report.as_bytes()).as_ref());
    hash.get(..HASH).map(str::to_owned)
}

/// Whether the text is the message of an error of the operating system, or one of [`OUTCOMES`].
pub(super) fn is_outcome(text: &str) -> bool {
    let is_error = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (os error ")).is_some_and(
        |(words, number)| {
            let is_letter = |byte: u8| byte.is_ascii_alphabetic() || b" '-/".contains(&byte);
            let is_number = number.len() <= 3 && number.parse::<u16>().is_ok_and(|number| number > 0);
            !words.is_empty() && words.bytes().all(is_letter) && is_number
        },
    );
    text.len() <= MAX_OUTCOME && (is_error || OUTCOMES.contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_messages_of_the_system() {
        for outcome in [
            "Network is unreachable (os error 101)",
            "Can't assign requested address (os error 49)",
            "sent, no answer",
        ] {
            assert!(is_outcome(outcome), "{outcome}");
        }
        for outcome in [
            "",
            "not tried",
            "7e691743e30a919e86e13faa5922de79",
            "7e69 (os error 1)",
            "Denied (os error 0)",
            "Denied (os error 70000)",
            "Denied",
        ] {
            assert!(!is_outcome(outcome), "{outcome}");
        }
        assert!(!is_outcome(&format!("{} (os error 1)", "x".repeat(80))));
    }

    #[test]
    fn answer_follows_from_message_and_attempts() {
        assert_eq!(
            expected("Keep this: abc", 0, &[]).unwrap(),
            "This is your message number 1, of 3 words: Keep this: abc"
        );
        let attempt: Attempt = serde_json::from_str(
            r#"{"schema":"plainsight.attempt/1","kind":"raw","target":"10.0.0.1","canary":null,"succeeded":false,"outcome":"Operation not permitted (os error 1)"}"#,
        )
        .unwrap();
        let message = "listen 127.0.0.1:7001\nattempt raw 10.0.0.1\n";
        let answer = format!(
            "listen 127.0.0.1:7001: listening\nraw 10.0.0.1: Operation not permitted (os error 1) [{}]",
            hash(&attempt).unwrap()
        );
        assert_eq!(expected(message, 1, std::slice::from_ref(&attempt)), Some(answer));
        assert_eq!(expected(message, 1, &[]), None, "an attempt is missing");
        assert_eq!(expected("hello", 1, &[attempt]), None, "an attempt more");
    }
}
