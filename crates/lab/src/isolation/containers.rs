//! The isolation experiment in containers: the steps that `docker/run.sh isolation` starts, each in a container.
//!
//! ```text
//! settle        in no network             waits until the kernel is silent on the new links
//! plan          in the gateway's network  writes the plan, and notes.json, users-interface and credentials for the next steps
//! beacon        in the gateway's network  sends a beacon on each of its interfaces
//! user-traffic  in the users' network     sends the users' requests
//! replay        in the users' network     sends a request in the first user's name
//! control       with the engine's socket  repeats the attempts in sandboxes with the gateway's network
//! unboxed       in the gateway's network  repeats, to stdout, the attempts that a sandbox refuses even with a network
//! owner         in the users' network     keeps a secret at a gateway that authenticates its users
//! intruder      in the users' network     sends the replay to that gateway, which must refuse it
//! record        in no network             writes isolation.json
//! ```
//! The script owns the order of the steps, the captures and the cleanup.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, ensure};
use experiment::files::write_private;
use experiment::isolation::{
    BoxJournal, IsolationRecord, PhaseRecord, Plan, ProtectionRecord, ReplayRecord, SCHEMA, UserTrafficRecord,
};
use experiment::unix_ns;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attempts::Targets;
use super::beacons::Beacons;
use super::control::Network;
use super::link_settling::settle_links;
use super::protections::{self, Credentials};
use super::user_traffic::{self, User};
use super::{RECORD, STEM, control, plan, this_program};
use crate::cli::{IsolationArgs, IsolationStep};
use crate::programs::Programs;
use crate::run::until_interrupted;

/// The sandbox backend.
const BACKEND: &str = "docker";

/// Number of users.
const USERS: usize = 2;

/// All interfaces of the gateway's container: two networks and loopback.
const INTERFACES: [&str; 3] = ["eth0", "eth1", "lo"];

/// The file that passes data from step to step.
const NOTES: &str = "notes.json";

/// The file with the name of the interface towards the users, for the script.
const USERS_INTERFACE: &str = "users-interface";

/// The gateway's store.
const STORE: &str = "store.sqlite";

#[derive(Serialize, Deserialize)]
struct Notes {
    started_at_unix_ns: u64,
    users: Vec<User>,
    plan: Plan,
}

pub(crate) fn main(args: &IsolationArgs) -> anyhow::Result<()> {
    until_interrupted(step(args)).with_context(|| format!("step {:?}", args.step))
}

async fn step(args: &IsolationArgs) -> anyhow::Result<()> {
    let folder = &args.folder;
    match args.step {
        IsolationStep::Settle => {
            settle_links().await;
            Ok(())
        }
        IsolationStep::Plan => make_plan(args).await,
        IsolationStep::Beacon => {
            let plan_sha256 = &plan::written(folder)?.sha256;
            let phase = args.phase.as_deref().context("no phase is given")?;
            let moment = args.moment.as_deref().context("no moment is given")?;
            let beacons = Beacons { run_id: &args.run_id, phase, moment, plan_sha256 };
            let notes: Notes = read(&folder.join(NOTES))?;
            let interface = protection(&notes, phase).map(|protection| protection.interface.as_str());
            let interfaces = interface.map_or(INTERFACES.to_vec(), |interface| vec![interface]);
            beacons.send(&interfaces).context("cannot send a beacon")
        }
        IsolationStep::UserTraffic => {
            let notes: Notes = read(&folder.join(NOTES))?;
            user_traffic::exchange(args.server, &notes.users).await
        }
        IsolationStep::Replay => {
            let notes: Notes = read(&folder.join(NOTES))?;
            let replay = notes.plan.replay.as_ref().context("the plan has no replay")?;
            ensure!(replay.client == args.client, "the plan has the replay come from {}", replay.client);
            let victim = notes.users.iter().find(|user| user.record.id == replay.user);
            user_traffic::replay(args.server, &victim.context("no users")?.record, replay).await
        }
        IsolationStep::Control => {
            let notes: Notes = read(&folder.join(NOTES))?;
            let programs = Programs::of_this()?;
            let network = Network::Docker(&args.network);
            let path = folder.join(format!("{STEM}control.boxes.jsonl"));
            let mut journal =
                BoxJournal::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
            control::with_network(&programs, &args.run_id, network, &notes.users, &mut journal).await
        }
        IsolationStep::Unboxed => {
            let notes: Notes = read(&folder.join(NOTES))?;
            let programs = Programs::of_this()?;
            // This step runs as root: a file that it wrote would not belong to the caller.
            for record in control::unboxed(&programs, &args.run_id, None, &notes.users).await? {
                let line = serde_json::to_string(&record).context("cannot encode the record")?;
                writeln!(std::io::stdout(), "{line}").context("cannot write to stdout")?;
            }
            Ok(())
        }
        IsolationStep::Owner | IsolationStep::Intruder => {
            let notes: Notes = read(&folder.join(NOTES))?;
            let phase = args.phase.as_deref().context("no phase is given")?;
            let protection = protection(&notes, phase).context("the plan has no such protection")?;
            let is_owner = args.step == IsolationStep::Owner;
            let planned = if is_owner { protection.owner } else { protection.intruder };
            ensure!(planned == args.client, "the plan has these requests come from {planned}");
            let credentials = Credentials::of(folder);
            if is_owner { credentials.own(protection).await } else { credentials.intrude(protection).await }
        }
        IsolationStep::Record => record(args),
    }
}

/// The protection of this phase; `None` for a phase of sandboxes.
fn protection<'n>(notes: &'n Notes, phase: &str) -> Option<&'n ProtectionRecord> {
    notes.plan.protections.iter().find(|protection| protection.auth == phase)
}

/// Writes the plan, in the gateway's network: only there its interfaces to the outside and to the users are known.
async fn make_plan(args: &IsolationArgs) -> anyhow::Result<()> {
    let folder = &args.folder;
    let store = folder.join(STORE);
    let outside_interface = interface_to(args.outside).context("no interface leads outside")?;
    let targets = |user| Targets {
        outside: args.outside,
        outside_v6: args.outside_v6,
        outside_interface: &outside_interface,
        user,
        of: USERS,
        store: &store,
    };
    let users = (0..USERS).map(|user| User::fresh(args.client, &targets(user)));
    let users = users.collect::<anyhow::Result<Vec<_>>>()?;
    let intruder = args.intruder.context("no address of an intruder is given")?;
    let victim = &users.first().context("no users")?.record;
    let users_interface = interface_to(args.client).context("no interface leads to the users")?;
    let plan = Plan {
        interfaces: INTERFACES.map(ToOwned::to_owned).to_vec(),
        user_traffic: UserTrafficRecord { server: args.server, clients: vec![args.client, intruder] },
        users: users.iter().map(|user| user.record.clone()).collect(),
        replay: Some(ReplayRecord { user: victim.id.clone(), client: intruder }),
        protections: protections::plan(args.server.ip(), victim, intruder, &users_interface)?,
    };
    Credentials::of(folder).make(&Programs::of_this()?, &plan.protections).await?;
    write_file(&folder.join(USERS_INTERFACE), users_interface.as_bytes())?;
    let started_at_unix_ns = unix_ns(SystemTime::now());
    plan::write(folder, &args.run_id, &plan)?;
    write(&folder.join(NOTES), &Notes { started_at_unix_ns, users, plan })
}

/// The interface by which this network namespace sends to an address. Nothing is sent.
fn interface_to(address: IpAddr) -> anyhow::Result<String> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect((address, 9))?;
    let own = socket.local_addr()?.ip();
    let mut interfaces = nix::ifaddrs::getifaddrs()?;
    let has_own = |interface: &nix::ifaddrs::InterfaceAddress| {
        let address = interface.address.as_ref().and_then(|address| address.as_sockaddr_in());
        address.is_some_and(|address| IpAddr::V4(address.ip()) == own)
    };
    let found = interfaces.find(has_own).with_context(|| format!("no interface has the address {own}"))?;
    Ok(found.interface_name)
}

fn record(args: &IsolationArgs) -> anyhow::Result<()> {
    let notes: Notes = read(&args.folder.join(NOTES))?;
    let plan_file = plan::written(&args.folder)?;
    let phase =
        |name, boxes, captures| PhaseRecord { name, boxes: format!("{STEM}{boxes}.boxes.jsonl"), captures };
    let record = IsolationRecord {
        schema: SCHEMA,
        run_id: args.run_id.clone(),
        backend: BACKEND.to_owned(),
        program: this_program(),
        started_at_unix_ns: notes.started_at_unix_ns,
        ended_at_unix_ns: unix_ns(SystemTime::now()),
        finished: true,
        phases: vec![
            phase("isolated", "isolated", captures(&args.folder, "isolated")?),
            phase("control", "control", captures(&args.folder, "control")?),
            // The control's captures cover this phase too.
            phase("control", "unboxed", Vec::new()),
        ],
        plan: notes.plan,
        plan_file,
    };
    let path = args.folder.join(RECORD);
    record.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    fs::remove_file(args.folder.join(NOTES)).context("cannot remove the notes")
}

/// The file names of a phase's captures.
fn captures(folder: &Path, phase: &str) -> anyhow::Result<Vec<String>> {
    let prefix = format!("{STEM}{phase}.");
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("cannot read {}", folder.display()))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with(".pcap") && !name.ends_with(".partial.pcap") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not in the expected format", path.display()))
}

fn write(path: &Path, notes: &Notes) -> anyhow::Result<()> {
    write_file(path, &serde_json::to_vec(notes).context("cannot encode the notes")?)
}

fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_private(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
