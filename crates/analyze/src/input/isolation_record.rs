//! The record of an isolation run: `plainsight.isolation/1`, and the journals of its sandboxes (`plainsight.box/1`).
//!
//! The observer has its own readers for both formats; it shares no code with the programs that wrote them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail};
use exposure_schema::{Limit, PhaseName};
use serde::Deserialize;

const SCHEMA: &str = "plainsight.isolation/1";
const BOX_SCHEMA: &str = "plainsight.box/1";
const ATTEMPT_SCHEMA: &str = "plainsight.attempt/1";
const ATTEMPT_NAME: &str = "plainsight.attempt";

/// The kind of attempt that reads a file instead of sending something.
pub(crate) const READS: &str = "file";

/// Every kind of attempt. A run that lacks one is inconclusive.
pub(crate) const KINDS: [&str; 7] = ["dns", "file", "ipv6", "neighbour", "raw", "tcp", "udp"];

/// Largest `isolation.json` that is read; real ones have two kilobytes.
const MAX_LEN: u64 = 1 << 20;

/// Longest line of a sandboxes' journal: the output of a sandbox is limited far below.
const MAX_LINE: u64 = 16 << 20;

/// Maximum number of sandboxes that are read from one journal. The experiment runs a handful.
pub(crate) const MAX_BOXES: usize = 10_000;

/// The name of the file that describes an isolation run.
pub(crate) const FILE_NAME: &str = "isolation.json";

/// The names of the captures that belong to an isolation run.
///
/// # Errors
///
/// The file cannot be read, or is not a valid record.
pub(crate) fn captures_of(path: &Path) -> Result<Vec<String>> {
    Ok(Experiment::read(path)?.phases.into_iter().flat_map(|phase| phase.captures).collect())
}

/// The content of `isolation.json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Experiment {
    schema: String,
    /// The id that every manifest and every line of the journals repeats.
    pub run_id: String,
    /// What made the sandboxes: `namespace` or `docker`.
    pub backend: String,
    /// Whether the run completed.
    pub finished: bool,
    /// The sandboxes without network, and the control with a network.
    pub phases: Vec<Phase>,
    /// Every interface through which a sandbox with a network could have sent.
    pub interfaces: Vec<String>,
    /// The only other traffic that is expected on these interfaces: the users' requests to the gateway.
    #[serde(rename = "talk")]
    pub user_traffic: UserTraffic,
    pub users: Vec<User>,
    /// The request in another user's name, if the run made one.
    pub replay: Option<Replay>,
}

/// One phase of the run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Phase {
    pub name: PhaseName,
    /// Name of the journal of its sandboxes, beside `isolation.json`.
    pub boxes: String,
    /// Names of the captures made during the phase, beside `isolation.json`.
    pub captures: Vec<String>,
}

/// The users' traffic with the gateway.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct UserTraffic {
    /// The address that the gateway listens on.
    pub server: SocketAddr,
    /// The addresses of the users.
    pub clients: Vec<IpAddr>,
}

/// A user of the gateway.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct User {
    /// The value of the header `X-User-Id`.
    pub id: String,
    /// A value that this user sent to the gateway and that no other user may receive.
    pub secret: String,
    pub address: IpAddr,
    /// The attempts that this user's sandbox was asked to make.
    pub attempts: Vec<RequestedAttempt>,
}

/// An attempt that a sandbox was asked to make.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RequestedAttempt {
    pub kind: String,
    pub target: String,
}

/// A request in another user's name.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Replay {
    /// The id that was replayed.
    pub user: String,
    /// The address that replayed it.
    pub client: IpAddr,
}

impl Experiment {
    /// Reads `isolation.json`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not JSON, lacks a field, or has another schema.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let what = || format!("the isolation experiment {}", path.display());
        let metadata = path.metadata().with_context(what)?;
        if !metadata.is_file() {
            bail!("{}: not a regular file", what());
        }
        let len = metadata.len();
        if len > MAX_LEN {
            bail!("{} has {len} bytes, more than {MAX_LEN}", what());
        }
        let read: Self =
            serde_json::from_slice(&std::fs::read(path).with_context(what)?).with_context(what)?;
        if read.schema != SCHEMA {
            bail!("{}: the schema is {:?}, not {SCHEMA:?}", what(), read.schema);
        }
        let mut named = HashSet::new();
        let files = read.phases.iter().flat_map(|phase| phase.captures.iter().chain([&phase.boxes]));
        if let Some(twice) = files.into_iter().find(|name| !named.insert(name.as_str())) {
            bail!("{}: it names {twice:?} twice", what());
        }
        Ok(read)
    }
}

/// One sandbox that ran.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BoxRun {
    schema: String,
    pub run: String,
    #[serde(rename = "box")]
    pub name: String,
    /// The user whose request it ran.
    pub user: Option<String>,
    /// Its network: `none`, or the network that it was given; `unboxed` for a process outside any sandbox.
    pub network: String,
    /// When it was requested, nanoseconds since the epoch.
    pub started_at_unix_ns: u64,
    /// When it had ended.
    pub ended_at_unix_ns: u64,
    pub exit: String,
    /// Its limits, read back from the kernel.
    #[serde(default)]
    pub limits: Vec<Limit>,
    pub stdout: String,
    /// Its reports of attempts, a line of JSON each, among other output.
    pub stderr: String,
}

/// One attempt to get out, as the sandbox reports it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Attempt {
    schema: String,
    /// The kind: `tcp`, `dns`, `file`, …
    pub kind: String,
    pub target: String,
    /// The canary that the attempt carries, generated in the sandbox; `None` for an attempt that only reads.
    pub canary: Option<String>,
    pub succeeded: bool,
    /// The outcome, as the operating system's message.
    pub outcome: String,
    /// What it read; empty for an attempt that sends.
    #[serde(default)]
    pub data: String,
}

impl Attempt {
    /// Whether the attempt only reads. It is then judged by the data that it got, because nothing of it is on a wire.
    pub(crate) fn reads(&self) -> bool {
        self.kind == READS
    }

    /// Whether the attempt can be recognised: a canary is 32 hex digits, generated for this attempt alone.
    pub(crate) fn can_be_told(&self) -> bool {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match &self.canary {
            Some(canary) => !self.reads() && canary.len() == 32 && canary.bytes().all(is_digit),
            None => self.reads(),
        }
    }
}

impl BoxRun {
    /// The attempts that the sandbox reports. Other lines of its stderr are ignored.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let lines = self.stderr.lines();
        let attempts = lines.filter_map(|line| serde_json::from_str::<Attempt>(line).ok());
        attempts.filter(|attempt| attempt.schema == ATTEMPT_SCHEMA).collect()
    }

    /// Number of lines of its stderr that name an attempt but cannot be read, including a last line without its end.
    /// Their canaries are not searched for.
    pub(crate) fn unreadable_attempts(&self) -> usize {
        let named = self.stderr.lines().filter(|line| line.contains(ATTEMPT_NAME)).count();
        let is_cut = !self.stderr.is_empty() && !self.stderr.ends_with('\n');
        named - self.attempts().len().min(named) + usize::from(is_cut)
    }

    /// Whether the sandbox reports that it listened at an address.
    pub(crate) fn listened_at(&self, address: &str) -> bool {
        self.stdout.contains(&format!("listen {address}: listening"))
    }

    /// Whether the two sandboxes ran at the same time.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.started_at_unix_ns < other.ended_at_unix_ns && other.started_at_unix_ns < self.ended_at_unix_ns
    }
}

/// Reads the journal of a phase's sandboxes.
///
/// # Errors
///
/// The file cannot be read, or a line is not valid.
pub(crate) fn read_boxes(path: &Path) -> Result<Vec<BoxRun>> {
    let what = || format!("the sandboxes' journal {}", path.display());
    if !path.metadata().with_context(what)?.is_file() {
        bail!("{}: not a regular file", what());
    }
    let mut reader = BufReader::new(File::open(path).with_context(what)?);
    let mut boxes: Vec<BoxRun> = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).with_context(what)?;
        if read == 0 {
            return Ok(boxes);
        }
        let number = boxes.len() + 1;
        let read: BoxRun =
            serde_json::from_slice(&line).with_context(|| format!("{}: line {number}", what()))?;
        if read.schema != BOX_SCHEMA {
            bail!("{}: line {number}: the schema is {:?}, not {BOX_SCHEMA:?}", what(), read.schema);
        }
        if boxes.len() == MAX_BOXES {
            bail!("{}: more than {MAX_BOXES} sandboxes", what());
        }
        boxes.push(read);
    }
}
