//! The sandboxes of the demo, from the gateway's journal: how long each ran, its limits, and the frames that left its host
//! meanwhile.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::events::Events;
use crate::wire::Wires;

/// Sandboxes that are kept.
const MAX_KEPT: usize = 200;

/// Interval of reading the journal.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long to wait until the captures have reached the end of a sandbox, and how often to look. The capturer writes every 20
/// ms at most, on a busy machine later.
const LAST_FRAMES: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// For capturers that do not write at the same moment.
const MARGIN: Duration = Duration::from_millis(100);

/// Longest line of the journal: the output of a sandbox (768 KiB at most) with every byte escaped, and the limits.
const MAX_LINE: u64 = 8 << 20;

/// The sandboxes that have ended, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Boxes(Mutex<VecDeque<BoxView>>);

/// A sandbox, as the API gives it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BoxView {
    name: String,
    user: String,
    conversation: Option<String>,
    started_unix_ms: f64,
    took_ms: f64,
    exit: String,
    network: String,
    limits: Vec<Limit>,
    stdout_bytes: usize,
    stderr_bytes: usize,
    /// Frames that left its host while it ran, other than the page's own; `None` if they are not counted.
    frames_left: Option<usize>,
    why: Option<&'static str>,
}

/// A limit, and the mechanism that enforces it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Limit {
    name: String,
    mechanism: String,
    value: String,
}

/// A line of the journal (`plainsight.box/1`).
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "box")]
    name: String,
    user: Option<String>,
    conversation_id: Option<String>,
    network: String,
    started_at_unix_ns: u64,
    ended_at_unix_ns: u64,
    exit: String,
    limits: Vec<Limit>,
    stdout: String,
    stderr: String,
}

impl Boxes {
    /// The sandboxes of a user.
    pub(crate) fn of_user(&self, user: &str) -> Vec<BoxView> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().filter(|one| one.user == user).cloned().collect()
    }

    /// Reads the journal as it grows, until its file cannot be read.
    pub(crate) fn follow(&self, journal: &Path, wires: &Wires, events: &Events) {
        let journal: PathBuf = journal.to_owned();
        let mut lines = match File::open(&journal) {
            Ok(file) => BufReader::new(file),
            Err(error) => {
                tracing::error!("cannot read {}: {error}", journal.display());
                return;
            }
        };
        let mut line = Vec::new();
        loop {
            let mut part = std::io::Read::take(&mut lines, MAX_LINE);
            match part.read_until(b'\n', &mut line) {
                Err(error) => {
                    tracing::error!("cannot read {}: {error}", journal.display());
                    return;
                }
                Ok(_) if line.ends_with(b"\n") => {
                    self.add(&line, wires, events);
                    line.clear();
                }
                // The line is not finished, or there is none yet. What is longer than any line is given up.
                Ok(_) if line.len() as u64 > MAX_LINE => line.clear(),
                Ok(_) => std::thread::sleep(INTERVAL),
            }
        }
    }

    fn add(&self, line: &[u8], wires: &Wires, events: &Events) {
        let line: Line = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) => {
                tracing::warn!("a line of the boxes' journal cannot be read: {error}");
                return;
            }
        };
        let frames_left = counted(&line, wires);
        let view = BoxView {
            name: line.name,
            user: line.user.unwrap_or_default(),
            conversation: line.conversation_id,
            started_unix_ms: line.started_at_unix_ns as f64 / 1e6,
            took_ms: line.ended_at_unix_ns.saturating_sub(line.started_at_unix_ns) as f64 / 1e6,
            exit: line.exit,
            network: line.network,
            limits: line.limits,
            stdout_bytes: line.stdout.len(),
            stderr_bytes: line.stderr.len(),
            frames_left,
            why: frames_left.is_none().then_some(
                "not counted: the interfaces of the sandboxes' host are not captured (with the backend relay it has none of its own, and with docker it is the engine's machine)",
            ),
        };
        events.send_to(Some(&view.user), "box", &view);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back(view);
    }
}

/// Frames that left the host while the sandbox ran, once the captures have reached its end; `None` if they are not counted.
fn counted(line: &Line, wires: &Wires) -> Option<usize> {
    let started = Instant::now();
    wires.strays(line.started_at_unix_ns, line.ended_at_unix_ns)?;
    while !wires.have_reached(line.ended_at_unix_ns) {
        if started.elapsed() > LAST_FRAMES {
            return None;
        }
        std::thread::sleep(LOOK);
    }
    std::thread::sleep(MARGIN);
    wires.strays(line.started_at_unix_ns, line.ended_at_unix_ns)
}
