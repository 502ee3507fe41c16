//! The isolation experiment in containers, one step in each: what `docker/run.sh isolation` starts in turn.
//!
//! ```text
//! talk     on the users' network    talks to the gateway, and writes users.json for the steps that follow
//! intrude  on the users' network    claims to be the first user
//! control  beside the engine        the users' attempts from boxes with the gateway's network
//! unboxed  in the gateway's network what a box refuses for other reasons than its network, to stdout
//! record   anywhere                 isolation.json
//! ```
//! The order of the containers, the captures and the end of everything are the script's.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use experiment::files::write_private;
use experiment::isolation::{
    BoxJournal, IsolationRecord, PhaseRecord, ReplayRecord, SCHEMA, UserTrafficRecord,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attempts::Targets;
use super::user_traffic::{self, User};
use super::{RECORD, STEM, boxes, this_program};
use crate::cli::{IsolationArgs, IsolationStep};
use crate::programs::{Program, Programs};
use crate::run::{unix_ns, until_interrupted};

/// What makes the boxes here.
const BACKEND: &str = "docker";

/// How many users talk at once.
const USERS: usize = 2;

/// Every interface of the gateway's container: its two networks and its own.
const INTERFACES: [&str; 3] = ["eth0", "eth1", "lo"];

/// What the steps tell each other.
const NOTES: &str = "notes.json";

/// The store, at a path that only the gateway and the step `unboxed` have.
const STORE: &str = "store.sqlite";

#[derive(Serialize, Deserialize)]
struct Notes {
    began_at_unix_ns: u64,
    users: Vec<User>,
    replay: Option<ReplayRecord>,
}

/// Does one step.
pub(crate) fn main(args: &IsolationArgs) -> anyhow::Result<()> {
    until_interrupted(step(args)).with_context(|| format!("step {:?}", args.step))
}

async fn step(args: &IsolationArgs) -> anyhow::Result<()> {
    let folder = &args.folder;
    match args.step {
        IsolationStep::Talk => {
            let store = folder.join(STORE);
            let targets = |user| Targets {
                outside: args.outside,
                outside_v6: args.outside_v6,
                user,
                of: USERS,
                store: &store,
            };
            let users = (0..USERS).map(|user| User::fresh(args.client, &targets(user)));
            let users = users.collect::<anyhow::Result<Vec<_>>>()?;
            let began_at_unix_ns = unix_ns(SystemTime::now());
            user_traffic::hold(args.server, &users).await?;
            write(&folder.join(NOTES), &Notes { began_at_unix_ns, users, replay: None })
        }
        IsolationStep::Intrude => {
            let mut notes: Notes = read(&folder.join(NOTES))?;
            let victim = &notes.users.first().context("no users")?.record;
            notes.replay = Some(user_traffic::intrude(args.server, victim, args.client).await?);
            write(&folder.join(NOTES), &notes)
        }
        IsolationStep::Control => {
            let notes: Notes = read(&folder.join(NOTES))?;
            let runner = Programs::beside_this()?.path(Program::Runner);
            let boxes = boxes::in_network(&args.network).await?;
            let path = folder.join(format!("{STEM}control.boxes.jsonl"));
            let mut journal =
                BoxJournal::create(&path).with_context(|| format!("making {}", path.display()))?;
            boxes::with_network(&boxes, &runner, &args.run_id, &notes.users, &mut journal).await
        }
        IsolationStep::Unboxed => {
            let notes: Notes = read(&folder.join(NOTES))?;
            let programs = Programs::beside_this()?;
            let record = boxes::without_box(&programs, &args.run_id, None, &notes.users).await?;
            // This step runs as root: what it wrote into the folder would not belong to whoever runs this.
            let line = serde_json::to_string(&record).context("writing the box down")?;
            writeln!(std::io::stdout(), "{line}").context("writing to stdout")
        }
        IsolationStep::Record => record(args),
    }
}

fn record(args: &IsolationArgs) -> anyhow::Result<()> {
    let notes: Notes = read(&args.folder.join(NOTES))?;
    let replay = notes.replay.context("nobody claimed another's name")?;
    let mut clients = vec![replay.client];
    clients.extend(notes.users.iter().map(|user| user.record.address));
    clients.sort();
    clients.dedup();
    let phase =
        |name, boxes, captures| PhaseRecord { name, boxes: format!("{STEM}{boxes}.boxes.jsonl"), captures };
    let record = IsolationRecord {
        schema: SCHEMA,
        run_id: args.run_id.clone(),
        backend: BACKEND.to_owned(),
        program: this_program(),
        started_at_unix_ns: notes.began_at_unix_ns,
        ended_at_unix_ns: unix_ns(SystemTime::now()),
        finished: true,
        phases: vec![
            phase("isolated", "isolated", captures(&args.folder, "isolated")?),
            phase("control", "control", captures(&args.folder, "control")?),
            // At the same time, and so in the same captures.
            phase("control", "unboxed", Vec::new()),
        ],
        interfaces: INTERFACES.map(ToOwned::to_owned).to_vec(),
        user_traffic: UserTrafficRecord { server: args.server, clients },
        users: notes.users.into_iter().map(|user| user.record).collect(),
        replay: Some(replay),
    };
    let path = args.folder.join(RECORD);
    record.write(&path).with_context(|| format!("writing {}", path.display()))?;
    fs::remove_file(args.folder.join(NOTES)).context("removing the notes")
}

/// The captures of a phase, by their names.
fn captures(folder: &Path, phase: &str) -> anyhow::Result<Vec<String>> {
    let prefix = format!("{STEM}{phase}.");
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("reading {}", folder.display()))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with(".pcap") && !name.ends_with(".partial.pcap") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("understanding {}", path.display()))
}

fn write(path: &Path, notes: &Notes) -> anyhow::Result<()> {
    let json = serde_json::to_vec(notes).context("writing the notes down")?;
    write_private(path, &json).with_context(|| format!("writing {}", path.display()))
}
