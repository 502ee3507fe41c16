//! The journal (`plainsight.journal/1`): one JSON line for every message an agent sends or receives.
//!
//! The observer learns the messages only from the journal, so it must contain every message that is on the network: the
//! journal writes a `sent` line to the file, in one `write`, before the agent passes the message to the transport.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::hex128::Hex128;
use crate::private_file;

/// The `schema` of every line.
pub const SCHEMA: &str = "plainsight.journal/1";

/// The journal of one agent in one run. Threads can share it.
#[derive(Debug)]
pub struct Journal {
    run: Hex128,
    agent: &'static str,
    file: Option<(PathBuf, Mutex<File>)>,
}

/// The direction of a message, seen from the agent that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// Passed to the transport next.
    Sent,
    /// Received completely.
    Received,
}

/// One message on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Sent or received.
    pub event: Event,
    /// The `id` in the body, if it has one.
    pub id: Option<&'a str>,
    /// The own address of the TCP connection; `None` (written `null`) if it is unknown.
    pub local: Option<SocketAddr>,
    /// The peer's address of the connection.
    pub remote: Option<SocketAddr>,
    /// The Content-Type.
    pub content_type: Option<&'a str>,
    /// The body without transfer and content codings.
    pub body: &'a [u8],
}

impl Journal {
    /// Appends to the journal at `path` (mode 0600). First ends an unfinished last line of an earlier process.
    ///
    /// # Errors
    /// When the file cannot be opened, read or written.
    pub fn open(path: &Path, run: Hex128, agent: &'static str) -> io::Result<Self> {
        let mut file = private_file::append(path)?;
        if ends_within_a_line(path)? {
            file.write_all(b"\n")?;
        }
        Ok(Self { run, agent, file: Some((path.to_owned(), Mutex::new(file))) })
    }

    /// Removes the journal of an earlier process at `path`, if there is one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn begin_anew(path: Option<&Path>) -> io::Result<()> {
        path.map_or(Ok(()), private_file::begin_anew)
    }

    /// A journal that writes nothing.
    pub fn disabled(run: Hex128, agent: &'static str) -> Self {
        Self { run, agent, file: None }
    }

    /// [`Journal::open`] when there is a path, else [`Journal::disabled`].
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub fn open_if(path: Option<&Path>, run: Hex128, agent: &'static str) -> io::Result<Self> {
        match path {
            Some(path) => Self::open(path, run, agent),
            None => Ok(Self::disabled(run, agent)),
        }
    }

    /// Records `message`. The kernel has the line when this returns.
    ///
    /// # Errors
    /// When the file cannot be written; the caller must then not send the message.
    pub fn record(&self, message: &Message<'_>) -> io::Result<()> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        let text = std::str::from_utf8(message.body).ok();
        let line = Line {
            schema: SCHEMA,
            run: &self.run,
            agent: self.agent,
            event: message.event,
            message_id: message.id,
            at_unix_ns: unix_ns(),
            local: message.local,
            remote: message.remote,
            content_type: message.content_type,
            body_sha256: sha256_hex(message.body),
            body: text,
            body_base64: text
                .is_none()
                .then(|| base64::engine::general_purpose::STANDARD.encode(message.body)),
        };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        // A poisoned lock means that another thread panicked while it wrote; at worst its line is incomplete.
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&bytes)
            .map_err(|error| io::Error::new(error.kind(), format!("journal {}: {error}", path.display())))
    }
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    run: &'a Hex128,
    agent: &'static str,
    event: Event,
    message_id: Option<&'a str>,
    at_unix_ns: u64,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    content_type: Option<&'a str>,
    body_sha256: String,
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The SHA-256 of `bytes` as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

/// Nanoseconds since the Unix epoch; 0 for a clock before it. 64 bits last until the year 2554.
fn unix_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX))
}

fn ends_within_a_line(path: &Path) -> io::Result<bool> {
    // Only a regular file has a last line; pipes and devices do not.
    if !std::fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const RUN: &str = "00112233445566778899aabbccddeeff";

    fn lines(path: &Path) -> Vec<Value> {
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn message(body: &[u8]) -> Message<'_> {
        Message {
            event: Event::Sent,
            id: Some("call-0001"),
            local: Some("10.0.0.1:40000".parse().unwrap()),
            remote: Some("[::1]:8000".parse().unwrap()),
            content_type: Some("application/json"),
            body,
        }
    }

    #[test]
    fn a_line_has_the_documented_keys_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let journal = Journal::open(&path, RUN.parse().unwrap(), "agent-a").unwrap();
        journal.record(&message("{\"text\":\"한\\n\u{1f980}\"}".as_bytes())).unwrap();
        let line = &lines(&path)[0];
        let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "schema",
                "run",
                "agent",
                "event",
                "message_id",
                "at_unix_ns",
                "local",
                "remote",
                "content_type",
                "body_sha256",
                "body"
            ]
        );
        assert_eq!(line["run"], RUN);
        assert_eq!(line["event"], "sent");
        assert_eq!(line["remote"], "[::1]:8000");
        assert_eq!(line["body"], "{\"text\":\"한\\n\u{1f980}\"}");
        assert_eq!(line["body_sha256"], sha256_hex("{\"text\":\"한\\n\u{1f980}\"}".as_bytes()));
        assert!(line["at_unix_ns"].as_u64().unwrap() > 1_600_000_000_000_000_000);
    }

    #[test]
    fn writes_a_body_that_is_not_text_as_base64() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let journal = Journal::open(&path, RUN.parse().unwrap(), "agent-b").unwrap();
        journal.record(&Message { id: None, local: None, ..message(b"\xff\x00") }).unwrap();
        let line = &lines(&path)[0];
        assert!(line["body"].is_null() && line["message_id"].is_null() && line["local"].is_null());
        assert_eq!(line["body_base64"], "/wA=");
    }

    #[test]
    fn ends_an_unfinished_line_before_appending() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "{\"cut").unwrap();
        Journal::open(&path, RUN.parse().unwrap(), "agent-a").unwrap().record(&message(b"{}")).unwrap();
        Journal::open(&path, RUN.parse().unwrap(), "agent-a").unwrap().record(&message(b"{}")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("{\"cut\n{\"schema\""));
    }

    #[test]
    fn threads_do_not_mix_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let journal = Journal::open(&path, RUN.parse().unwrap(), "agent-a").unwrap();
        let body = vec![b'x'; 10_000];
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..25).for_each(|_| journal.record(&message(&body)).unwrap()));
            }
        });
        assert_eq!(lines(&path).len(), 100);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        Journal::open(&path, RUN.parse().unwrap(), "agent-a").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
