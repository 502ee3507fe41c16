//! What an isolation run says of itself: `plainsight.isolation/1`, and the boxes' journals (`plainsight.box/1`).
//!
//! The observer's own reading of both formats; it takes no code from the programs that wrote them.

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

/// The way out that only reads.
pub(crate) const READS: &str = "file";

/// Every way out that has to be tried, or nothing is said of boxes.
pub(crate) const KINDS: [&str; 7] = ["dns", "file", "ipv6", "neighbour", "raw", "tcp", "udp"];

/// The largest experiment file that is read; real ones have two kilobytes.
const MAX_LEN: u64 = 1 << 20;

/// The longest line of a boxes' journal: output is capped far below.
const MAX_LINE: u64 = 16 << 20;

/// Boxes that are read from one journal. The experiment runs a handful.
pub(crate) const MAX_BOXES: usize = 10_000;

/// The name of the file that describes a run.
pub(crate) const FILE_NAME: &str = "isolation.json";

/// The names of the captures that an isolation run speaks for.
///
/// # Errors
///
/// The file cannot be read, or is not what it should be.
pub(crate) fn captures_of(path: &Path) -> Result<Vec<String>> {
    Ok(Experiment::read(path)?.phases.into_iter().flat_map(|phase| phase.captures).collect())
}

/// What was done.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Experiment {
    schema: String,
    /// The same in every manifest and in every line of the journals.
    pub run_id: String,
    /// What made the boxes: `namespace` or `docker`.
    pub backend: String,
    /// Whether it came to its end.
    pub finished: bool,
    /// The boxes without network, and those that show what would have been seen.
    pub phases: Vec<Phase>,
    /// Every interface that a box with a network could have sent by.
    pub interfaces: Vec<String>,
    /// What else may be on the wire: the users' traffic with the gateway.
    #[serde(rename = "talk")]
    pub user_traffic: UserTraffic,
    /// Who talked.
    pub users: Vec<User>,
    /// The request in another user's name, if there was one.
    pub replay: Option<Replay>,
}

/// One part of the run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Phase {
    /// What it is for.
    pub name: PhaseName,
    /// The boxes' journal, beside the experiment's file.
    pub boxes: String,
    /// The captures that ran meanwhile, beside the experiment's file.
    pub captures: Vec<String>,
}

/// The users' traffic with the gateway.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct UserTraffic {
    /// Where the gateway listens.
    pub server: SocketAddr,
    /// Addresses that talk to it.
    pub clients: Vec<IpAddr>,
}

/// A user of the gateway.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct User {
    /// What the header `X-User-Id` says.
    pub id: String,
    /// What this user sent to the gateway, and no other user may get.
    pub secret: String,
    /// Where this user talks from.
    pub address: IpAddr,
    /// What this user's box was asked to try.
    pub attempts: Vec<Asked>,
}

/// One way out that a box was asked to try.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Asked {
    /// Which way.
    pub kind: String,
    /// Where to.
    pub target: String,
}

/// A request in another user's name.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Replay {
    /// Whose name.
    pub user: String,
    /// The address that claimed it.
    pub client: IpAddr,
}

impl Experiment {
    /// Reads the experiment's file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no JSON, lacks a field, or has another schema.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let what = || format!("the isolation experiment {}", path.display());
        let metadata = path.metadata().with_context(what)?;
        if !metadata.is_file() {
            bail!("{}: it is no file", what());
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

/// One box that ran.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BoxRun {
    schema: String,
    /// The run it belongs to.
    pub run: String,
    /// Its name.
    #[serde(rename = "box")]
    pub name: String,
    /// For whom it ran.
    pub user: Option<String>,
    /// Its network: `none`, or what it was given. A process without any box says `unboxed`.
    pub network: String,
    /// When it was asked for, nanoseconds since the epoch.
    pub started_at_unix_ns: u64,
    /// When it was gone.
    pub ended_at_unix_ns: u64,
    /// How it ended.
    pub exit: String,
    /// What bounded it, read back from the kernel.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// What it answered.
    pub stdout: String,
    /// What it said of its attempts, a line of JSON each.
    pub stderr: String,
}

/// One try to get out, as the box tells it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Attempt {
    schema: String,
    /// Which way: `tcp`, `dns`, `file`, …
    pub kind: String,
    /// Where to.
    pub target: String,
    /// What it would have carried; drawn in the box. None where it only reads.
    pub canary: Option<String>,
    /// Whether the box believes that it got through.
    pub succeeded: bool,
    /// What came of it, in the words of the operating system.
    pub outcome: String,
    /// What it read. Empty where it only sends.
    #[serde(default)]
    pub data: String,
}

impl Attempt {
    /// Whether it only reads: then what it got tells of it, and nothing of it is on a wire.
    pub(crate) fn reads(&self) -> bool {
        self.kind == READS
    }

    /// Whether it can be looked for: a canary is 32 hex digits, drawn for this attempt alone.
    pub(crate) fn can_be_told(&self) -> bool {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match &self.canary {
            Some(canary) => !self.reads() && canary.len() == 32 && canary.bytes().all(is_digit),
            None => self.reads(),
        }
    }
}

impl BoxRun {
    /// What the box says it tried. Other lines of its stderr are words.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let lines = self.stderr.lines();
        let attempts = lines.filter_map(|line| serde_json::from_str::<Attempt>(line).ok());
        attempts.filter(|attempt| attempt.schema == ATTEMPT_SCHEMA).collect()
    }

    /// Lines of its stderr that speak of an attempt and are none that can be read, a last line without its end among
    /// them: their canaries are not looked for.
    pub(crate) fn unreadable_attempts(&self) -> usize {
        let told = self.stderr.lines().filter(|line| line.contains(ATTEMPT_NAME)).count();
        let is_cut = !self.stderr.is_empty() && !self.stderr.ends_with('\n');
        told - self.attempts().len().min(told) + usize::from(is_cut)
    }

    /// Whether it listened at an address for others to reach it, as its answer says.
    pub(crate) fn listened_at(&self, address: &str) -> bool {
        self.stdout.contains(&format!("listen {address}: listening"))
    }

    /// Whether the two were there at the same time.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.started_at_unix_ns < other.ended_at_unix_ns && other.started_at_unix_ns < self.ended_at_unix_ns
    }
}

/// Reads a boxes' journal.
///
/// # Errors
///
/// It cannot be read, or a line is not what it should be.
pub(crate) fn read_boxes(path: &Path) -> Result<Vec<BoxRun>> {
    let what = || format!("the boxes' journal {}", path.display());
    if !path.metadata().with_context(what)?.is_file() {
        bail!("{}: it is no file", what());
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
            bail!("{}: more than {MAX_BOXES} boxes", what());
        }
        boxes.push(read);
    }
}
