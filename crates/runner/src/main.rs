//! `runner`: what runs in a box when nothing else is configured.
//!
//! It reads one document from stdin (`plainsight.prompt/1`: `conversation`, an array of `role` and `text`, and `prompt`),
//! writes one to stdout (`plainsight.answer/1`: `text`), and keeps nothing. It is a small deterministic agent. Of a prompt,
//! line by line, it understands
//!
//! ```text
//! transform_text {"text":"…","operation":"uppercase"}    a tool of the project with its arguments
//! attempt KIND TARGET                                    one try to get out of the box; see `attempt.rs`
//! listen IP:PORT                                         be somebody whom another box could reach
//! ```
//!
//! and whatever else it is told it answers in plain words. What came of each attempt goes to stderr as a line of JSON
//! (`plainsight.attempt/1`), with the canary that it carried: the answer must not hold that, since it leaves the box.
//!
//! Exit status: 0 answered, 2 the document on stdin is not what it should be.
#![forbid(unsafe_code)]

mod answer;
mod attempt;
mod listen;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

const PROMPT: &str = "plainsight.prompt/1";
const ANSWER: &str = "plainsight.answer/1";

/// Most bytes of a prompt: what a box takes on its stdin.
const MAX_PROMPT: u64 = 16 << 20;

/// No prompt to answer.
const BAD_PROMPT: u8 = 2;

#[derive(Deserialize)]
struct Prompt {
    schema: String,
    #[serde(default)]
    conversation: Vec<Message>,
    prompt: String,
}

/// One message of the conversation so far.
#[derive(Deserialize)]
struct Message {
    role: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    text: &'a str,
}

fn main() -> ExitCode {
    match read(io::stdin().lock()) {
        Ok(prompt) => {
            let earlier = prompt.conversation.iter().filter(|message| message.role == "user").count();
            let text = answer::answer(&prompt.prompt, earlier);
            say(&text)
        }
        Err(why) => {
            let _ = writeln!(io::stderr(), "runner: {why}");
            ExitCode::from(BAD_PROMPT)
        }
    }
}

fn read(stdin: impl Read) -> Result<Prompt, String> {
    let mut bytes = Vec::new();
    stdin
        .take(MAX_PROMPT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read stdin: {error}"))?;
    if bytes.len() as u64 > MAX_PROMPT {
        return Err(format!("stdin has more than {MAX_PROMPT} bytes"));
    }
    let prompt: Prompt =
        serde_json::from_slice(&bytes).map_err(|error| format!("stdin is no {PROMPT}: {error}"))?;
    if prompt.schema != PROMPT {
        return Err(format!("the schema on stdin is {:?}, not {PROMPT:?}", prompt.schema));
    }
    Ok(prompt)
}

fn say(text: &str) -> ExitCode {
    let answer = serde_json::to_string(&Answer { schema: ANSWER, text }).unwrap_or_default();
    match writeln!(io::stdout(), "{answer}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
