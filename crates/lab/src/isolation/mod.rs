//! `lab run isolation`: users' requests in sandboxes without network, and the same escape attempts in sandboxes with one.
//!
//! ```text
//! plan written
//! isolated: captures ready -> gateway ready -> users' requests, escape attempts -> gateway ends -> captures closed
//! control:  captures ready -> the same attempts, in sandboxes with the host's network and in none -> captures closed
//! token:    capture ready -> gateway with tokens over TLS ready -> owner's requests, replay -> gateway ends -> capture closed
//! mtls:     likewise, with certificates of the users
//! record written
//! ```
//! The host sends a beacon on every interface as the first and as the last frame of each capture.
//!
//! Both phases use the same links, interfaces and program; only the network of the sandboxes differs. The lab runs the
//! experiment and records what was done; the observer decides whether anything escaped.

mod attempts;
mod beacons;
pub(crate) mod containers;
mod control;
mod link_settling;
mod plan;
mod protections;
mod user_traffic;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use experiment::isolation::{
    BoxJournal, IsolationRecord, NAME, PORT, PhaseRecord, Plan, PlanFile, ProtectionRecord, ReplayRecord,
    SCHEMA, TLS_PORT, UserTrafficRecord,
};
use experiment::{Experiment, ProgramRecord, RunId, unix_ns};

use self::attempts::Targets;
use self::beacons::Beacons;
use self::control::Network;
use self::protections::Credentials;
use self::user_traffic::User;
use crate::backend::Backend;
use crate::netns::topology::{self, IsolationTopology};
use crate::phases::Phases;
use crate::process::{Call, Process};
use crate::programs::Program;
use crate::run::{CLOSE_DEADLINE, END_DEADLINE, Lab, READY_DEADLINE};
use crate::staging::{Captures, Staging};

/// The file name of the run's record.
pub(crate) const RECORD: &str = "isolation.json";

/// The sandbox backend.
const BACKEND: &str = "namespace";

/// The label of the gateway's sandboxes, by which those of a killed run can be recognised.
const LABEL: &str = "isolation";

/// The prefix of all file names of a run.
const STEM: &str = "isolation.";

/// How long no frame may arrive before a capture ends. A frame from a sandbox is captured at once.
const QUIET: Duration = Duration::from_millis(300);

/// Runs the experiment and publishes its files, [`RECORD`] last.
pub(crate) async fn run(lab: &Lab, captures: &Captures) -> anyhow::Result<()> {
    let Backend::Netns { .. } = lab.backend else {
        bail!(
            "the isolation experiment needs network namespaces, which do not work on this machine; run `lab doctor` \
             for the reason, or `make isolation` to run it in containers"
        );
    };
    let working = lab.reporter.working();
    let run_id = RunId::fresh().context("cannot draw a run id")?;
    let staging = captures.stage(run_id.as_str())?;
    let mut phases = Phases::begin(Experiment::Isolation, &working);
    phases.enter("links");
    let topology = IsolationTopology::build()?;
    link_settling::settle_links().await;
    let run = Run { lab, run_id, staging: &staging, topology };
    let files = run.run_to_end(&mut phases).await?;
    drop(run);
    staging.publish_as(RECORD, &files, |name| name.starts_with(STEM))?;
    phases.report(&format!("{} captures", files.iter().filter(|name| name.ends_with(".pcap")).count()));
    Ok(())
}

/// How the journal calls a limit by `--allow-weak-memory-limit`.
const WEAK: &str = r#""mechanism":"weak "#;

/// A run in progress.
struct Run<'a> {
    lab: &'a Lab,
    run_id: RunId,
    staging: &'a Staging<'a>,
    topology: IsolationTopology,
}

impl Run<'_> {
    /// Runs both phases, and returns the names of their files.
    async fn run_to_end(&self, phases: &mut Phases<'_>) -> anyhow::Result<Vec<String>> {
        let started_at_unix_ns = unix_ns(SystemTime::now());
        let store = self.staging.path().join("store.sqlite");
        let users = users(&store)?;
        let server = SocketAddr::new(topology::HOST_FRONT.into(), PORT);

        phases.enter("agent-b ready");
        let mut agent_b = self.agent_b()?;
        agent_b.ready(&self.ready_file("agent-b"), READY_DEADLINE).await?;
        let [first, ..] = users.as_slice() else { bail!("no users") };
        let [.., intruder] = topology::USERS;
        let plan = Plan {
            interfaces: topology::INTERFACES.map(ToOwned::to_owned).to_vec(),
            user_traffic: UserTrafficRecord { server, clients: topology::USERS.map(IpAddr::V4).to_vec() },
            users: users.iter().map(|user| user.record.clone()).collect(),
            replay: Some(ReplayRecord { user: first.record.id.clone(), client: intruder.into() }),
            protections: protections::plan(server.ip(), &first.record, intruder.into(), topology::FRONT)?,
        };
        let plan_file = plan::write(self.staging.path(), &self.run_id, &plan)?;
        let isolated = self.isolated_phase(&plan, &plan_file, &store, &users, phases).await?;
        let control = self.control_phase(&plan_file, &users, phases).await?;
        let credentials = Credentials::of(self.staging.path());
        credentials.make(&self.lab.programs, &plan.protections).await?;
        for protection in &plan.protections {
            self.protection(protection, &credentials, &plan_file, phases).await?;
        }
        phases.enter("agent-b ended");
        agent_b.terminate();
        agent_b.success(END_DEADLINE, "finishing").await?;

        let record = IsolationRecord {
            schema: SCHEMA,
            run_id: self.run_id.clone(),
            backend: BACKEND.to_owned(),
            program: this_program(),
            started_at_unix_ns,
            ended_at_unix_ns: unix_ns(SystemTime::now()),
            finished: true,
            phases: vec![isolated, control],
            plan,
            plan_file,
        };
        let path = self.staging.path().join(RECORD);
        record.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(files(&record))
    }

    /// Users send their requests; the gateway runs them in sandboxes without network.
    async fn isolated_phase(
        &self,
        plan: &Plan,
        plan_file: &PlanFile,
        store: &Path,
        users: &[User],
        phases: &mut Phases<'_>,
    ) -> anyhow::Result<PhaseRecord> {
        let (capturers, phase) = self.start_captures("isolated", plan_file, phases).await?;
        phases.enter("gateway ready");
        let mut gateway =
            self.gateway(plan.user_traffic.server, store, &phase.boxes, &self.topology.host.path())?;
        gateway.ready(&self.ready_file("gateway"), READY_DEADLINE).await?;
        phases.enter("user traffic");
        tokio::select! {
            done = self.user_traffic(plan, users) => done?,
            ended = gateway.untimely_end("it was serving the users' requests") => return Err(ended.into()),
        }
        phases.enter("gateway ended");
        gateway.terminate();
        gateway.success(END_DEADLINE, "finishing").await?;
        let boxes = std::fs::read_to_string(self.staging.path().join(&phase.boxes));
        if boxes.is_ok_and(|boxes| boxes.contains(WEAK)) {
            self.lab.reporter.note(
                "no cgroup limits the sandboxes' memory here: the lab gave --allow-weak-memory-limit, and it was only watched",
            );
        }
        self.close_captures(&phase, plan_file, capturers, phases).await?;
        Ok(phase)
    }

    /// The users' escape attempts again, in sandboxes with the host's network and in none.
    async fn control_phase(
        &self,
        plan_file: &PlanFile,
        users: &[User],
        phases: &mut Phases<'_>,
    ) -> anyhow::Result<PhaseRecord> {
        let inside_host = self.topology.host.path();
        let (capturers, phase) = self.start_captures("control", plan_file, phases).await?;
        phases.enter("control");
        let path = self.staging.path().join(&phase.boxes);
        let mut journal =
            BoxJournal::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let programs = &self.lab.programs;
        let network = Network::Namespace(&inside_host);
        let ((), unboxed) = tokio::try_join!(
            control::with_network(programs, &self.run_id, network, users, &mut journal),
            control::unboxed(programs, &self.run_id, Some(&inside_host), users),
        )?;
        for unboxed in unboxed {
            journal.append(&unboxed).with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.close_captures(&phase, plan_file, capturers, phases).await?;
        Ok(phase)
    }

    /// Starts a capture without filter on every interface of the host, and sends the first beacons.
    async fn start_captures(
        &self,
        name: &'static str,
        plan_file: &PlanFile,
        phases: &mut Phases<'_>,
    ) -> anyhow::Result<(Vec<Process>, PhaseRecord)> {
        phases.enter("captures ready");
        let mut capturers = Vec::new();
        let mut captures = Vec::new();
        for interface in topology::INTERFACES {
            let stem = format!("{STEM}{name}.{interface}");
            capturers.push(self.capturer(interface, &stem, None).await?);
            captures.push(format!("{stem}.pcap"));
        }
        self.beacons(name, "start", plan_file, &topology::INTERFACES)?;
        Ok((capturers, PhaseRecord { name, boxes: format!("{STEM}{name}.boxes.jsonl"), captures }))
    }

    /// Starts a capture without filter. `key_log` is the name of the key log that belongs to it.
    async fn capturer(
        &self,
        interface: &str,
        stem: &str,
        key_log: Option<String>,
    ) -> anyhow::Result<Process> {
        let ready = self.ready_file(stem);
        let mut call = Call::new(Program::Capturer)
            .word("interface")
            .word("--no-filter")
            .flag("--interface", interface)
            .flag("--variant", NAME)
            .flag("--backend", self.lab.backend.manifest_name().as_str())
            .flag("--output", self.staging.path())
            .flag("--name", stem)
            .flag("--run-id", self.run_id.as_str())
            .flag("--quiet-ms", QUIET.as_millis().to_string())
            .flag("--ready-file", &ready);
        if let Some(key_log) = key_log {
            call = call.flag("--key-log", key_log).flag("--port", TLS_PORT.to_string());
        }
        let inside_host = self.topology.host.path();
        let mut capturer = call.inside(Some(&inside_host)).start(&self.lab.programs, &self.lab.reporter)?;
        capturer.ready(&ready, READY_DEADLINE).await?;
        Ok(capturer)
    }

    /// Sends the last beacons, and closes the captures.
    async fn close_captures(
        &self,
        phase: &PhaseRecord,
        plan_file: &PlanFile,
        capturers: Vec<Process>,
        phases: &mut Phases<'_>,
    ) -> anyhow::Result<()> {
        phases.enter("captures closed");
        self.beacons(phase.name, "end", plan_file, &topology::INTERFACES)?;
        close(capturers).await
    }

    /// One protection: its owner keeps a secret at a gateway that authenticates its users, and the replay fails.
    async fn protection(
        &self,
        protection: &ProtectionRecord,
        credentials: &Credentials,
        plan_file: &PlanFile,
        phases: &mut Phases<'_>,
    ) -> anyhow::Result<()> {
        phases.enter("replay refused");
        let ProtectionRecord { auth, interface, capture, .. } = protection;
        let key_log = protections::key_log(protection);
        let stem = capture.trim_end_matches(".pcap");
        let capturer = self.capturer(interface, stem, Some(key_log.clone())).await?;
        self.beacons(auth, "start", plan_file, &[interface])?;
        let ready = self.ready_file(&format!("gateway.{auth}"));
        let store = self.staging.path().join(format!("{auth}.sqlite"));
        let inside_host = self.topology.host.path();
        let call = credentials.flags(auth, self.gateway_call(protection.server, &store, &ready));
        let mut gateway = call
            .key_log(Some(self.staging.path().join(key_log)))
            .inside(Some(&inside_host))
            .start(&self.lab.programs, &self.lab.reporter)?;
        gateway.ready(&ready, READY_DEADLINE).await?;
        let (protection, credentials) = (protection.clone(), Credentials::of(self.staging.path()));
        let requests = self.as_users(async move || {
            credentials.own(&protection).await?;
            credentials.intrude(&protection).await
        });
        tokio::select! {
            done = requests => done?,
            ended = gateway.untimely_end("it was serving the owner and the intruder") => return Err(ended.into()),
        }
        gateway.terminate();
        gateway.success(END_DEADLINE, "finishing").await?;
        self.beacons(auth, "end", plan_file, &[interface])?;
        close(vec![capturer]).await
    }

    fn beacons(
        &self,
        phase: &str,
        moment: &str,
        plan_file: &PlanFile,
        interfaces: &[&str],
    ) -> anyhow::Result<()> {
        let beacons = Beacons { run_id: &self.run_id, phase, moment, plan_sha256: &plan_file.sha256 };
        self.topology.host.inside(|| beacons.send(interfaces)).context("cannot send a beacon")
    }

    /// agent-b outside the host: a server for the escape attempts to reach.
    fn agent_b(&self) -> anyhow::Result<Process> {
        Call::new(Program::AgentB)
            .flag("--listen", format!("0.0.0.0:{PORT}"))
            .flag("--ready-file", self.ready_file("agent-b"))
            .inside(Some(&self.topology.outside.path()))
            .start(&self.lab.programs, &self.lab.reporter)
    }

    fn gateway(
        &self,
        listen: SocketAddr,
        store: &Path,
        journal: &str,
        inside: &Path,
    ) -> anyhow::Result<Process> {
        self.gateway_call(listen, store, &self.ready_file("gateway"))
            .flag("--journal", self.staging.path().join(journal))
            .flag("--run-id", self.run_id.as_str())
            // The intruder's replay shows what this means.
            .word("--insecure-header-auth")
            .inside(Some(inside))
            .start(&self.lab.programs, &self.lab.reporter)
    }

    /// What all gateways of the run have in common.
    fn gateway_call(&self, listen: SocketAddr, store: &Path, ready: &Path) -> Call {
        Call::new(Program::Gateway)
            .flag("--listen", listen.to_string())
            .flag("--store", store)
            .flag("--backend", BACKEND)
            .flag("--label", LABEL)
            // The sandboxes run the project's own program.
            .word("--allow-weak-memory-limit")
            // All users' sandboxes run at the same time, however few CPUs there are, because each tries to reach the other.
            .flag("--boxes", topology::USERS.len().to_string())
            .flag("--ready-file", ready)
    }

    /// Sends the users' requests and those of the replay.
    async fn user_traffic(&self, plan: &Plan, users: &[User]) -> anyhow::Result<()> {
        let users = users.to_vec();
        let server = plan.user_traffic.server;
        let replay = plan.replay.clone().context("the plan has no replay")?;
        self.as_users(async move || {
            user_traffic::exchange(server, &users).await?;
            let victim = users.iter().find(|user| user.record.id == replay.user);
            user_traffic::replay(server, &victim.context("no users")?.record, &replay).await
        })
        .await
    }

    /// Sends requests on a thread in the users' namespace. This thread stays free to receive signals.
    async fn as_users(
        &self,
        requests: impl AsyncFnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let (done, over) = tokio::sync::oneshot::channel();
        let namespace = self.topology.users.try_clone().context("cannot duplicate the users' namespace")?;
        std::thread::Builder::new().name("users".to_owned()).spawn(move || {
            let sent =
                namespace.enter_for_good().context("cannot enter the users' namespace").and_then(|()| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(requests())
                });
            // The receiver is dropped if the lab is ending.
            let _ = done.send(sent);
        })?;
        over.await.context("the users' thread panicked")?
    }

    fn ready_file(&self, stem: &str) -> PathBuf {
        self.staging.path().join(format!("{stem}.ready"))
    }
}

/// Ends captures.
async fn close(mut capturers: Vec<Process>) -> anyhow::Result<()> {
    for capturer in &capturers {
        capturer.terminate();
    }
    for capturer in &mut capturers {
        capturer.success(CLOSE_DEADLINE, "closing the capture").await?;
    }
    Ok(())
}

/// Two users, each with a secret and a list of escape attempts. The last address is the intruder's.
fn users(store: &Path) -> anyhow::Result<Vec<User>> {
    let [users @ .., _intruder] = topology::USERS;
    let targets = |user| Targets {
        outside: topology::OUTSIDE.into(),
        outside_v6: topology::OUTSIDE_V6.into(),
        outside_interface: topology::BACK,
        user,
        of: users.len(),
        store,
    };
    users.iter().enumerate().map(|(index, address)| User::fresh((*address).into(), &targets(index))).collect()
}

/// The names of the plan, the phases' journals and captures, with the captures' manifests, and of the protections' key logs.
fn files(record: &IsolationRecord) -> Vec<String> {
    let mut files = vec![record.plan_file.file.clone()];
    for protection in &record.plan.protections {
        let manifest = protection.capture.replace(".pcap", ".manifest.json");
        files.extend([protection.capture.clone(), manifest, protections::key_log(protection)]);
    }
    for PhaseRecord { boxes, captures, .. } in &record.phases {
        files.push(boxes.clone());
        for capture in captures {
            files.push(capture.clone());
            files.push(capture.replace(".pcap", ".manifest.json"));
        }
    }
    files
}

fn this_program() -> ProgramRecord {
    ProgramRecord { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}
