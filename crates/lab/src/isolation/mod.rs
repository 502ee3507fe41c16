//! `lab run isolation`: users' requests in boxes without network, and the same attempts with one.
//!
//! ```text
//! isolated: captures ready -> gateway ready -> users talk, boxes try to get out -> gateway ends -> captures closed
//! control:  captures ready -> the same attempts from boxes with the host's network, and from no box -> captures closed
//! ```
//! Both parts see the same wires, the same captures and the same program; what differs is the box's network alone.
//! Whether something got out is for the observer to say: the lab only does it, and writes down what was done.

mod attempts;
mod boxes;
pub(crate) mod containers;
mod user_traffic;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use experiment::isolation::{
    BoxJournal, IsolationRecord, NAME, PORT, PhaseRecord, SCHEMA, UserTrafficRecord,
};
use experiment::{Experiment, ProgramRecord, RunId};

use self::attempts::Targets;
use self::user_traffic::User;
use crate::backend::Backend;
use crate::netns::topology::{self, IsolationTopology};
use crate::phases::Phases;
use crate::process::{Call, Process};
use crate::programs::Program;
use crate::run::{CLOSE_DEADLINE, END_DEADLINE, Lab, READY_DEADLINE, unix_ns};
use crate::staging::{Captures, Staging};

/// The name of the file that describes a run.
pub(crate) const RECORD: &str = "isolation.json";

/// What makes the boxes here.
const BACKEND: &str = "namespace";

/// What every file of a run begins with.
const STEM: &str = "isolation.";

/// How long nothing must come before a capture ends. What a box sent is on the wire at once.
const QUIET: Duration = Duration::from_millis(300);

/// Runs it and puts its files into place, [`RECORD`] last.
pub(crate) async fn run(lab: &Lab, captures: &Captures) -> anyhow::Result<()> {
    let Backend::Netns { .. } = lab.backend else {
        bail!(
            "the isolation experiment needs network namespaces, which cannot be had here (`lab doctor` tells why); \
             `make isolation` runs it in containers"
        );
    };
    let working = lab.reporter.working();
    let run_id = RunId::fresh().context("drawing a run id")?;
    let staging = captures.stage(run_id.as_str())?;
    let mut phases = Phases::begin(Experiment::Isolation, &working);
    let run = Run { lab, run_id, staging: &staging, host: Host::build(&mut phases).await? };
    let files = run.run_to_end(&mut phases).await?;
    drop(run);
    staging.publish_as(RECORD, &files, |name| name.starts_with(STEM))?;
    phases.report(&format!("{} captures", files.iter().filter(|name| name.ends_with(".pcap")).count()));
    Ok(())
}

/// The wires, with nothing on them that no program sent.
struct Host {
    topology: IsolationTopology,
}

impl Host {
    async fn build(phases: &mut Phases<'_>) -> anyhow::Result<Self> {
        phases.enter("wires");
        let topology = IsolationTopology::build()?;
        tokio::time::sleep(topology::SETTLING).await;
        Ok(Self { topology })
    }
}

/// One run that is going on.
struct Run<'a> {
    lab: &'a Lab,
    run_id: RunId,
    staging: &'a Staging<'a>,
    host: Host,
}

impl Run<'_> {
    /// Everything; the names of the files that it left.
    async fn run_to_end(&self, phases: &mut Phases<'_>) -> anyhow::Result<Vec<String>> {
        let started_at_unix_ns = unix_ns(SystemTime::now());
        let inside_host = self.host.topology.host.path();
        let store = self.staging.path().join("store.sqlite");
        let users = users(&store)?;
        let server = SocketAddr::new(topology::HOST_FRONT.into(), PORT);

        phases.enter("agent-b ready");
        let mut agent_b = self.agent_b()?;
        agent_b.ready(&self.ready_file("agent-b"), READY_DEADLINE).await?;

        let (capturers, isolated) = self.capture("isolated", phases).await?;
        phases.enter("gateway ready");
        let mut gateway = self.gateway(server, &store, &isolated.boxes, &inside_host)?;
        gateway.ready(&self.ready_file("gateway"), READY_DEADLINE).await?;
        phases.enter("talk");
        let replay = tokio::select! {
            done = self.user_traffic(server, &users) => done?,
            ended = gateway.untimely_end("the users were talking") => return Err(ended.into()),
        };
        phases.enter("gateway ended");
        gateway.terminate();
        gateway.success(END_DEADLINE, "finishing").await?;
        self.close(capturers, phases).await?;

        let (capturers, control) = self.capture("control", phases).await?;
        phases.enter("control");
        let mut journal = BoxJournal::create(&self.staging.path().join(&control.boxes))
            .with_context(|| format!("making {}", control.boxes))?;
        let runner = self.lab.programs.path(Program::Runner);
        let boxes = boxes::in_namespace(&runner, &inside_host).await?;
        boxes::with_network(&boxes, &runner, &self.run_id, &users, &mut journal).await?;
        let programs = &self.lab.programs;
        let unboxed = boxes::without_box(programs, &self.run_id, Some(&inside_host), &users).await?;
        journal.append(&unboxed).with_context(|| format!("writing {}", control.boxes))?;
        self.close(capturers, phases).await?;

        phases.enter("agent-b ended");
        agent_b.terminate();
        agent_b.success(END_DEADLINE, "finishing").await?;

        let phases = vec![isolated, control];
        let mut files: Vec<String> = Vec::new();
        for PhaseRecord { boxes, captures, .. } in &phases {
            files.push(boxes.clone());
            for capture in captures {
                files.push(capture.clone());
                files.push(capture.replace(".pcap", ".manifest.json"));
            }
        }
        let clients = topology::USERS.map(IpAddr::V4).to_vec();
        let record = IsolationRecord {
            schema: SCHEMA,
            run_id: self.run_id.clone(),
            backend: BACKEND.to_owned(),
            program: this_program(),
            started_at_unix_ns,
            ended_at_unix_ns: unix_ns(SystemTime::now()),
            finished: true,
            phases,
            interfaces: topology::INTERFACES.map(ToOwned::to_owned).to_vec(),
            user_traffic: UserTrafficRecord { server, clients },
            users: users.into_iter().map(|user| user.record).collect(),
            replay: Some(replay),
        };
        let path = self.staging.path().join(RECORD);
        record.write(&path).with_context(|| format!("writing {}", path.display()))?;
        Ok(files)
    }

    /// A capture of everything, on every interface of the host.
    async fn capture(
        &self,
        name: &'static str,
        phases: &mut Phases<'_>,
    ) -> anyhow::Result<(Vec<Process>, PhaseRecord)> {
        phases.enter("captures ready");
        let inside_host = self.host.topology.host.path();
        let mut capturers = Vec::new();
        let mut captures = Vec::new();
        for interface in topology::INTERFACES {
            let stem = format!("{STEM}{name}.{interface}");
            let ready = self.ready_file(&stem);
            let call = Call::new(Program::Capturer)
                .word("interface")
                .word("--no-filter")
                .flag("--interface", interface)
                .flag("--variant", NAME)
                .flag("--backend", self.lab.backend.manifest_name().as_str())
                .flag("--output", self.staging.path())
                .flag("--name", &stem)
                .flag("--run-id", self.run_id.as_str())
                .flag("--quiet-ms", QUIET.as_millis().to_string())
                .flag("--ready-file", &ready)
                .inside(Some(&inside_host));
            let mut capturer = call.start(&self.lab.programs, &self.lab.reporter)?;
            capturer.ready(&ready, READY_DEADLINE).await?;
            capturers.push(capturer);
            captures.push(format!("{stem}.pcap"));
        }
        Ok((capturers, PhaseRecord { name, boxes: format!("{STEM}{name}.boxes.jsonl"), captures }))
    }

    async fn close(&self, mut capturers: Vec<Process>, phases: &mut Phases<'_>) -> anyhow::Result<()> {
        phases.enter("captures closed");
        for capturer in &capturers {
            capturer.terminate();
        }
        for capturer in &mut capturers {
            capturer.success(CLOSE_DEADLINE, "closing the capture").await?;
        }
        Ok(())
    }

    /// The other agent, out in the world: somebody for a box to talk to.
    fn agent_b(&self) -> anyhow::Result<Process> {
        Call::new(Program::AgentB)
            .flag("--listen", format!("0.0.0.0:{PORT}"))
            .flag("--ready-file", self.ready_file("agent-b"))
            .inside(Some(&self.host.topology.outside.path()))
            .start(&self.lab.programs, &self.lab.reporter)
    }

    fn gateway(
        &self,
        listen: SocketAddr,
        store: &Path,
        journal: &str,
        inside: &Path,
    ) -> anyhow::Result<Process> {
        Call::new(Program::Gateway)
            .flag("--listen", listen.to_string())
            .flag("--store", store)
            .flag("--backend", BACKEND)
            .flag("--label", boxes::LABEL)
            // All users' boxes at once, however many CPUs there are: a box is to be there when another one tries to reach it.
            .flag("--boxes", topology::USERS.len().to_string())
            .flag("--journal", self.staging.path().join(journal))
            .flag("--run-id", self.run_id.as_str())
            .flag("--ready-file", self.ready_file("gateway"))
            .inside(Some(inside))
            .start(&self.lab.programs, &self.lab.reporter)
    }

    /// On a thread inside the users' namespace, where all its sockets are; this one stays free to hear signals.
    async fn user_traffic(
        &self,
        server: SocketAddr,
        users: &[User],
    ) -> anyhow::Result<experiment::isolation::ReplayRecord> {
        let (done, over) = tokio::sync::oneshot::channel();
        let namespace = self.host.topology.users.try_clone().context("holding the users' namespace")?;
        let users = users.to_vec();
        let [.., intruder] = topology::USERS;
        std::thread::Builder::new().name("users".to_owned()).spawn(move || {
            let held = namespace.enter_for_good().context("entering the users' namespace").and_then(|()| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    user_traffic::hold(server, &users).await?;
                    let victim = &users.first().context("no users")?.record;
                    user_traffic::intrude(server, victim, intruder.into()).await
                })
            });
            // Whoever waited for it may be gone: then the lab is ending.
            let _ = done.send(held);
        })?;
        over.await.context("the users' thread is gone")?
    }

    fn ready_file(&self, stem: &str) -> PathBuf {
        self.staging.path().join(format!("{stem}.ready"))
    }
}

/// Two users with a secret and a list of attempts each. The last address is the intruder's.
fn users(store: &Path) -> anyhow::Result<Vec<User>> {
    let [users @ .., _intruder] = topology::USERS;
    let targets = |user| Targets {
        outside: topology::OUTSIDE.into(),
        outside_v6: topology::OUTSIDE_V6.into(),
        user,
        of: users.len(),
        store,
    };
    users.iter().enumerate().map(|(index, address)| User::fresh((*address).into(), &targets(index))).collect()
}

fn this_program() -> ProgramRecord {
    ProgramRecord { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}
