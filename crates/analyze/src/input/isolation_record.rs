//! The record of an isolation run: `plainsight.isolation/1`, and the journals of its sandboxes (`plainsight.box/1`).
//!
//! The observer has its own readers for both formats; it shares no code with the programs that wrote them.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest;
use data_encoding::{BASE64, HEXLOWER};
use exposure_schema::{Limit, PhaseName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const SCHEMA: &str = "plainsight.isolation/1";
const BOX_SCHEMA: &str = "plainsight.box/1";
const ATTEMPT_SCHEMA: &str = "plainsight.attempt/1";
const PLAN_SCHEMA: &str = "plainsight.isolation-plan/1";

/// A kind of escape attempt that this program can judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Its name in plans and reports.
    pub name: &'static str,
    /// Whether a run without it is inconclusive.
    pub is_required: bool,
    /// What shows that an attempt succeeded.
    pub shown: Shown,
    /// Whether the control makes it outside any sandbox, because a sandbox refuses it even with a network.
    pub needs_no_box: bool,
}

/// What shows that an attempt succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Its canary is in a capture. In the control it must be on the way to the target, by this protocol.
    OnWire(Carrier),
    /// It got data of another user. It has no canary.
    Reads,
    /// It heard the canary of another sandbox, by a way that is not the network: a lock, a notification, a counter.
    Hears,
    /// Nothing: no sandbox closes this way. What arrived of another sandbox's canary is counted, and stated.
    Measured,
}

/// The protocol that carries an attempt's canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Tcp,
    Udp,
    /// A packet directly in IP, of the experimental protocol 253 (RFC 3692 §2.1).
    Raw,
}

/// Every kind of attempt that is known. A new kind is a row here; the plan of a run names those that it makes.
pub(crate) const KINDS: [Kind; 11] = {
    const fn on_wire(name: &'static str, carrier: Carrier) -> Kind {
        Kind { name, is_required: true, shown: Shown::OnWire(carrier), needs_no_box: false }
    }
    const fn hears(name: &'static str) -> Kind {
        Kind { name, is_required: true, shown: Shown::Hears, needs_no_box: true }
    }
    [
        hears("counter"),
        on_wire("dns", Carrier::Udp),
        Kind { name: "file", is_required: true, shown: Shown::Reads, needs_no_box: true },
        on_wire("ipv6", Carrier::Udp),
        hears("lock"),
        on_wire("neighbour", Carrier::Tcp),
        hears("notify"),
        Kind { needs_no_box: true, ..on_wire("raw", Carrier::Raw) },
        on_wire("tcp", Carrier::Tcp),
        Kind { name: "timing", is_required: true, shown: Shown::Measured, needs_no_box: true },
        on_wire("udp", Carrier::Udp),
    ]
};

/// The kind of this name.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    KINDS.into_iter().find(|kind| kind.name == name)
}

/// Maximum number of users: the data of each is searched for in the traffic of each.
const MAX_USERS: usize = 64;

/// Maximum number of protections: each has a capture of its own, and there are two kinds.
const MAX_PROTECTIONS: usize = 8;

/// Largest `isolation.json` that is read; real ones have two kilobytes.
const MAX_LEN: u64 = 1 << 20;

/// Longest line of a sandboxes' journal: the output of a sandbox is limited far below.
const MAX_LINE: u64 = 16 << 20;

/// Maximum number of sandboxes that are read from one journal. The experiment runs a handful.
pub(crate) const MAX_BOXES: usize = 10_000;

/// The name of the file that describes an isolation run.
pub(crate) const FILE_NAME: &str = "isolation.json";

/// The run id of an isolation run and the names of the captures that it claims.
///
/// # Errors
///
/// The file cannot be read, or is not a valid record.
pub(crate) fn captures_of(path: &Path) -> Result<(String, Vec<String>)> {
    let Experiment { run_id, phases, protections, .. } = Experiment::read(path)?;
    let of_phases = phases.into_iter().flat_map(|phase| phase.captures);
    let of_protections = protections.into_iter().map(|protection| protection.capture);
    Ok((run_id, of_phases.chain(of_protections).collect()))
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
    /// The gateways at which it must fail; none in the record of a run without them.
    #[serde(default)]
    pub protections: Vec<Protection>,
    /// The plan's file; `None` in the record of a run without one.
    pub plan: Option<PlanFile>,
    /// When the run began, nanoseconds since the epoch.
    pub started_at_unix_ns: u64,
    /// When it ended.
    pub ended_at_unix_ns: u64,
}

/// The plan's file, as the record names it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PlanFile {
    /// Its name, beside `isolation.json`.
    pub file: String,
    /// Its SHA-256 in hex digits.
    pub sha256: String,
}

/// What is known of the plan, which the lab writes before the first capture.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// SHA-256 of the file, in hex digits.
    pub sha256: String,
    /// When it was written, nanoseconds since the epoch.
    pub written_at_unix_ns: u64,
    /// The fields in which it differs from the record.
    pub differing: Vec<&'static str>,
}

impl Plan {
    /// Reads the plan, and compares it with the record beside it.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is not JSON, or has another schema.
    pub(crate) fn read(path: &Path, record: &Path) -> Result<Self> {
        let what = || format!("the plan {}", path.display());
        let bytes = read_bounded(path).with_context(what)?;
        let plan: Value = serde_json::from_slice(&bytes).with_context(what)?;
        if plan["schema"] != PLAN_SCHEMA {
            bail!("{}: the schema is {}, not {PLAN_SCHEMA:?}", what(), plan["schema"]);
        }
        let record: Value = serde_json::from_slice(&read_bounded(record)?).with_context(what)?;
        let fields = ["run_id", "interfaces", "talk", "users", "replay", "protections"];
        let written = plan["written_at_unix_ns"].as_u64();
        Ok(Self {
            sha256: HEXLOWER.encode(digest::digest(&digest::SHA256, &bytes).as_ref()),
            written_at_unix_ns: written.with_context(|| format!("{}: no time of writing", what()))?,
            differing: fields.into_iter().filter(|field| plan[*field] != record[*field]).collect(),
        })
    }
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
    /// The messages that the user sends, in this order, all in one conversation.
    #[serde(default)]
    pub messages: Vec<String>,
    /// The attempts that this user's sandbox was asked to make.
    pub attempts: Vec<RequestedAttempt>,
}

/// An attempt that a sandbox was asked to make.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RequestedAttempt {
    pub kind: String,
    pub target: String,
    /// The interface by which its packets leave where a sandbox has a network; `None` if it sends none.
    #[serde(default)]
    pub interface: Option<String>,
}

/// A request in another user's name.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Replay {
    /// The id that was replayed.
    pub user: String,
    /// The address that replayed it.
    pub client: IpAddr,
}

/// A gateway that authenticates its users over TLS, and the replay that must fail there.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Protection {
    /// What names the user there: `token` or `mtls`. Also the phase in the beacons of its capture.
    pub auth: String,
    /// The address that the gateway listens on.
    pub server: SocketAddr,
    /// The user who keeps a secret there.
    pub user: String,
    /// The address of this user.
    pub owner: IpAddr,
    /// The address that replays the user's id.
    pub intruder: IpAddr,
    /// The secret, which nothing else in the run contains.
    pub secret: String,
    /// The user's one message, with the secret.
    pub message: String,
    /// The interface of its capture.
    pub interface: String,
    /// The name of its capture, beside `isolation.json`.
    pub capture: String,
}

impl Experiment {
    /// Reads `isolation.json`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not JSON, lacks a field, or has another schema.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let what = || format!("the isolation experiment {}", path.display());
        let bytes = read_bounded(path).with_context(what)?;
        let read: Self = serde_json::from_slice(&bytes).with_context(what)?;
        if read.schema != SCHEMA {
            bail!("{}: the schema is {:?}, not {SCHEMA:?}", what(), read.schema);
        }
        if read.users.len() > MAX_USERS {
            bail!("{}: it has {} users, more than {MAX_USERS}", what(), read.users.len());
        }
        if read.protections.len() > MAX_PROTECTIONS {
            bail!("{}: it has {} protections, more than {MAX_PROTECTIONS}", what(), read.protections.len());
        }
        let mut named = HashSet::new();
        let files = read.phases.iter().flat_map(|phase| phase.captures.iter().chain([&phase.boxes]));
        let files = files.chain(read.protections.iter().map(|protection| &protection.capture));
        if let Some(twice) = files.into_iter().find(|name| !named.insert(name.as_str())) {
            bail!("{}: it names {twice:?} twice", what());
        }
        Ok(read)
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        bail!("not a regular file");
    }
    if metadata.len() > MAX_LEN {
        bail!("it has {} bytes, more than {MAX_LEN}", metadata.len());
    }
    Ok(std::fs::read(path)?)
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
    /// The conversation that the request belongs to.
    #[serde(default)]
    pub conversation_id: Option<String>,
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
    /// The bytes of stdout in Base64, if it is not UTF-8.
    #[serde(default)]
    pub stdout_base64: Option<String>,
    /// Its reports of attempts, a line of JSON each.
    pub stderr: String,
    /// The bytes of stderr in Base64, if it is not UTF-8.
    #[serde(default)]
    pub stderr_base64: Option<String>,
    /// What stderr reports, read when it is first asked for.
    #[serde(skip)]
    pub reports: OnceCell<Reports>,
}

/// What a sandbox reports on stderr.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reports {
    /// The attempts, in order.
    pub attempts: Vec<Attempt>,
    /// Number of lines that are not exactly the report of one attempt, including a last line without its end.
    pub unreadable: usize,
}

/// One attempt to get out, as the sandbox reports it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
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
    /// What it read or heard; empty for an attempt that sends.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
}

impl Attempt {
    /// Whether the attempt only reads. It is then judged by the data that it got, because nothing of it is on a wire.
    pub(crate) fn reads(&self) -> bool {
        kind(&self.kind).is_some_and(|kind| kind.shown == Shown::Reads)
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

impl Reports {
    /// Reads every line. A line counts as a report only if it is what serialising the report gives: any other spelling
    /// of it could hold data of its own.
    fn read(stderr: &str) -> Self {
        let mut reports = Self::default();
        for line in stderr.split_inclusive('\n') {
            let attempt = line.strip_suffix('\n').and_then(|line| {
                let attempt: Attempt = serde_json::from_str(line).ok()?;
                let is_exact = serde_json::to_string(&attempt).is_ok_and(|exact| exact == line);
                (is_exact && attempt.schema == ATTEMPT_SCHEMA).then_some(attempt)
            });
            match attempt {
                Some(attempt) => reports.attempts.push(attempt),
                None => reports.unreadable += 1,
            }
        }
        reports
    }
}

impl BoxRun {
    /// What its stderr reports.
    pub(crate) fn reports(&self) -> &Reports {
        self.reports.get_or_init(|| Reports::read(&self.stderr))
    }

    /// The attempts that the sandbox reports.
    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.reports().attempts
    }

    /// The bytes of its stdout and stderr; `None` for one whose text and Base64 contradict each other.
    pub(crate) fn output(&self) -> [Option<Cow<'_, [u8]>>; 2] {
        fn bytes<'t>(text: &'t str, base64: Option<&str>) -> Option<Cow<'t, [u8]>> {
            let Some(base64) = base64 else { return Some(text.as_bytes().into()) };
            let bytes = BASE64.decode(base64.as_bytes()).ok()?;
            (String::from_utf8_lossy(&bytes) == text).then_some(bytes.into())
        }
        let stdout = bytes(&self.stdout, self.stdout_base64.as_deref());
        [stdout, bytes(&self.stderr, self.stderr_base64.as_deref())]
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
