//! What was sent: the agents' journals (`plainsight.journal/1`), one message a line.
//!
//! This is a second reader of the format, on purpose: the observer shares no code with the observed, so that one bug
//! cannot hide in both.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use exposure_schema::{Direction, Event};
use serde::Deserialize;

const SCHEMA: &str = "plainsight.journal/1";

/// Longest line. The agents' bodies are limited to a few MiB; escaped as JSON they at most grow sixfold.
pub(crate) const MAX_LINE: u64 = 64 << 20;

/// Lines that cannot be used and are described one by one; others are counted.
const MAX_PROBLEMS: usize = 100;

/// Longest description of one, in characters: it can quote the line.
const MAX_PROBLEM: usize = 300;

/// One message that one agent sent or received.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The agent that wrote the line.
    pub agent: String,
    /// Whether that agent sent or received it.
    pub event: Event,
    /// The id in the message; `None` if the agent could not read one.
    pub message_id: Option<String>,
    /// Direction of the message.
    pub direction: Direction,
    /// When the line was written, nanoseconds since the epoch.
    pub at_unix_ns: Option<u64>,
    /// The agent's own address on the TCP connection.
    pub local: Option<String>,
    /// The address of its peer.
    pub remote: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The exact bytes of the body.
    pub body: Vec<u8>,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
}

#[derive(Deserialize)]
struct Line {
    schema: String,
    run: Option<String>,
    agent: String,
    event: Event,
    message_id: Option<String>,
    at_unix_ns: Option<u64>,
    local: Option<String>,
    remote: Option<String>,
    content_type: Option<String>,
    body_sha256: String,
    body: Option<String>,
}

/// A journal, and the problems found while reading it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Its messages in order.
    pub messages: Vec<Message>,
    /// The run ids that its lines name.
    pub runs: BTreeSet<String>,
    /// Number of messages that name no run.
    pub without_run: u64,
    /// Lines that could not be used, each with its number and the reason; of many lines the first, and the number of the
    /// others. Usually it is the last line, cut because the agent was killed while it wrote.
    pub problems: Vec<String>,
}

impl Journal {
    /// Reads a journal file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a line has another schema, so that the file is not a journal.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open the journal {}", path.display()))?;
        let mut reader = BufReader::new(file);
        let mut journal = Self::default();
        let mut line = Vec::new();
        let mut further = 0_u64;
        for number in 1_u64.. {
            line.clear();
            let read = reader
                .by_ref()
                .take(MAX_LINE)
                .read_until(b'\n', &mut line)
                .with_context(|| format!("cannot read the journal {}", path.display()))?;
            if read == 0 {
                break;
            }
            if read as u64 == MAX_LINE && line.last() != Some(&b'\n') {
                bail!("{}: line {number} is longer than {MAX_LINE} bytes", path.display());
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if let Err(problem) = journal.take(&line) {
                if journal.problems.len() == MAX_PROBLEMS {
                    further += 1;
                    continue;
                }
                let problem: String = format!("{problem:#}").chars().take(MAX_PROBLEM).collect();
                journal.problems.push(format!("{}: line {number}: {problem}", path.display()));
            }
        }
        if further > 0 {
            journal.problems.push(format!("{}: {further} further lines cannot be used", path.display()));
        }
        Ok(journal)
    }

    fn take(&mut self, line: &[u8]) -> Result<()> {
        let line: Line = serde_json::from_slice(line)?;
        if line.schema != SCHEMA {
            bail!("the schema is {:?}, not {SCHEMA:?}", line.schema);
        }
        let Some(body) = line.body else {
            bail!("the body is not text: its strings cannot be searched");
        };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        let mut body_sha256 = [0; 32];
        body_sha256.copy_from_slice(digest.as_ref());
        if !line.body_sha256.eq_ignore_ascii_case(&HEXLOWER.encode(&body_sha256)) {
            bail!("body_sha256 is not the hash of body");
        }
        let direction = match (line.agent.as_str(), line.event) {
            ("agent-a", Event::Sent) | ("agent-b", Event::Received) => Direction::ClientToServer,
            ("agent-a", Event::Received) | ("agent-b", Event::Sent) => Direction::ServerToClient,
            (other, _) => bail!("the agent is {other:?}, neither \"agent-a\" nor \"agent-b\""),
        };
        match line.run {
            Some(run) => {
                self.runs.insert(run);
            }
            None => self.without_run += 1,
        }
        self.messages.push(Message {
            agent: line.agent,
            event: line.event,
            message_id: line.message_id,
            direction,
            at_unix_ns: line.at_unix_ns,
            local: line.local,
            remote: line.remote,
            content_type: line.content_type,
            body: body.into_bytes(),
            body_sha256,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_bad_lines_takes_bounded_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("http.agent-a.jsonl");
        let long = format!("{{\"schema\":\"{}\"}}\n", "x".repeat(100_000));
        std::fs::write(&path, [&long, &"{\n".repeat(5000)[..]].concat()).expect("written");
        let journal = Journal::read(&path).expect("a file that can be read");
        assert_eq!(journal.problems.len(), MAX_PROBLEMS + 1);
        assert!(journal.problems.iter().all(|problem| problem.chars().count() < MAX_PROBLEM + 300));
        let last = journal.problems.last().expect("the number of the others");
        assert!(last.ends_with("4901 further lines cannot be used"), "{last}");
    }
}
