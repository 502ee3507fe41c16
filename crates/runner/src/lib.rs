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
//! With `--stream` a line of JSON, `{"delta":"…"}`, precedes the answer's document for each part of the answer as soon as
//! the part is ready, and for each word of an answer in words.
//!
//! Exit status: 0 answered, 2 the document on stdin or an argument is invalid.
#![forbid(unsafe_code)]

mod answer;
mod attempt;
mod covert;
mod listen;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

const PROMPT: &str = "plainsight.prompt/1";
const ANSWER: &str = "plainsight.answer/1";

/// Maximum number of bytes of a prompt: the largest stdin of a box.
const MAX_PROMPT: u64 = 16 << 20;

/// Bytes of the lines with pieces of an answer: a quarter of a sandbox's usual output. The whole answer must have room
/// behind them, also if it consists of a thousand short words. The rest of a longer answer has no pieces.
const MAX_PIECES: usize = 64 << 10;

/// The document on stdin or an argument is invalid.
const BAD_INPUT: u8 = 2;

const HELP: &str = "\
The project's own program for sandboxes: reads a prompt from standard input, and writes the answer to standard output

Usage: runner [OPTIONS]

Options:
      --stream   Write each piece of the answer as it is ready, a line of JSON each, and last the answer
  -h, --help     Print help
  -V, --version  Print version";

const VERSION: &str = concat!("runner ", env!("CARGO_PKG_VERSION"));

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

/// A line with a piece of the answer.
#[derive(Serialize)]
struct Piece<'a> {
    delta: &'a str,
}

/// Does what the arguments behind the program's name ask for.
#[must_use]
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut pieces = Pieces { room: 0 };
    for argument in arguments {
        match argument.to_str() {
            Some("--stream") => pieces.room = MAX_PIECES,
            Some("-h" | "--help") => return write(HELP),
            Some("-V" | "--version") => return write(VERSION),
            _ => return refused(&format!("unknown argument {}", argument.display())),
        }
    }
    match read(io::stdin().lock()) {
        Ok(prompt) => {
            let earlier = prompt.conversation.iter().filter(|message| message.role == "user").count();
            let text = answer::answer(&prompt.prompt, earlier, |piece| pieces.write(piece));
            let answer = serde_json::to_string(&Answer { schema: ANSWER, text: &text }).unwrap_or_default();
            write(&answer)
        }
        Err(why) => refused(&why),
    }
}

fn refused(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "runner: {why}");
    ExitCode::from(BAD_INPUT)
}

/// Writes `text` as the whole rest of stdout.
fn write(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes pieces of the answer.
struct Pieces {
    /// Bytes that the lines may still have; 0 without `--stream`.
    room: usize,
}

impl Pieces {
    /// Writes a piece, unless it or an earlier one had no room.
    fn write(&mut self, delta: &str) {
        // Longer than its text in any case.
        if delta.len() >= self.room {
            self.room = 0;
            return;
        }
        let line = serde_json::to_string(&Piece { delta }).unwrap_or_default() + "\n";
        match self.room.checked_sub(line.len()) {
            Some(room) => {
                self.room = room;
                // Writing the answer fails too, and is reported.
                let _ = io::stdout().write_all(line.as_bytes());
            }
            None => self.room = 0,
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
