//! `runner`: the default program in a sandbox.
//!
//! It reads one document from stdin (`plainsight.prompt/1`: `conversation`, an array of `role` and `text`, and `prompt`),
//! writes one to stdout (`plainsight.answer/1`: `text`), and stores nothing. It is a small deterministic agent. It executes
//! these lines of a prompt:
//!
//! ```text
//! transform_text {"text":"…","operation":"uppercase"}    a tool of the project with its arguments
//! attempt KIND TARGET                                    one escape attempt; see `attempt.rs`
//! listen IP:PORT                                         listen, so that another box could connect
//! ```
//!
//! and answers all other lines in words. It writes the outcome of each attempt to stderr as a line of JSON
//! (`plainsight.attempt/1`), with the canary that the attempt carried. The answer must not contain the canary, because the
//! answer leaves the box.
//!
//! Exit status: 0 answered, 2 the document on stdin is invalid.
#![forbid(unsafe_code)]

mod answer;
mod attempt;
mod listen;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

const PROMPT: &str = "plainsight.prompt/1";
const ANSWER: &str = "plainsight.answer/1";

/// Maximum number of bytes of a prompt: the largest stdin of a box.
const MAX_PROMPT: u64 = 16 << 20;

/// The document on stdin is invalid.
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
            write_answer(&text)
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
        serde_json::from_slice(&bytes).map_err(|error| format!("stdin is not a {PROMPT}: {error}"))?;
    if prompt.schema != PROMPT {
        return Err(format!("the schema on stdin is {:?}, not {PROMPT:?}", prompt.schema));
    }
    Ok(prompt)
}

fn write_answer(text: &str) -> ExitCode {
    let answer = serde_json::to_string(&Answer { schema: ANSWER, text }).unwrap_or_default();
    match writeln!(io::stdout(), "{answer}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
