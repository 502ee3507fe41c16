//! The control: the escape attempts in sandboxes with a network, and outside any sandbox.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use experiment::RunId;
use experiment::isolation::{BOX_SCHEMA, BoxJournal, BoxRecord, LimitRecord, UNBOXED};
use sandbox::docker::Docker;
use sandbox::namespace::Namespace;
use sandbox::{Command, Job, Limits, Options, Outcome, Sandbox};
use serde_json::json;

use super::user_traffic::User;
use crate::process::Call;
use crate::programs::{Program, Programs};
use crate::run::unix_ns;

/// The label of the lab's sandboxes, by which those of a killed lab can be recognised.
pub(super) const LABEL: &str = "isolation";

/// The `network` of the control's sandboxes in the journal.
const HOST_NETWORK: &str = "the host's";

/// The attempts wait for answers that do not come, which takes some seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// Sandboxes like the gateway's, except that they have the network namespace at `path`.
pub(super) async fn in_namespace(runner: &Path, path: &Path) -> anyhow::Result<impl Sandbox + use<>> {
    let libraries = sandbox::libraries_of(runner).context("cannot find the runner's libraries")?;
    let options = Options { read_only: libraries, ..Options::new(LABEL) };
    Namespace::open_with_network(options, path.to_owned())
        .await
        .context("cannot create a sandbox with a network")
}

/// The same with the Docker engine.
pub(super) async fn in_network(network: &str) -> anyhow::Result<impl Sandbox + use<>> {
    Docker::open_with_network(Options::new(LABEL), network.to_owned())
        .await
        .context("cannot create a sandbox with a network")
}

/// Repeats the users' attempts, all at the same time, in sandboxes with a network.
pub(super) async fn with_network(
    boxes: &impl Sandbox,
    runner: &Path,
    run_id: &RunId,
    users: &[User],
    journal: &mut BoxJournal,
) -> anyhow::Result<()> {
    let runs = users.iter().map(|user| async move {
        let started_at_unix_ns = unix_ns(SystemTime::now());
        let job = Job {
            command: Command::program(runner.to_string_lossy()),
            stdin: prompt(&user.attempts()),
            limits: Limits { wall: DEADLINE, ..Limits::default() },
        };
        let outcome = boxes.run(job).await.context("cannot run a sandbox with a network")?;
        anyhow::Ok(record(run_id, user, started_at_unix_ns, &outcome))
    });
    for record in futures_util::future::try_join_all(runs).await? {
        ensure!(
            record.exit == "code 0",
            "{}: the runner ended with {}: {}",
            record.name,
            record.exit,
            record.stderr
        );
        journal.append(&record).context("cannot write the box journal")?;
    }
    Ok(())
}

/// Repeats, outside any sandbox, the first user's attempts that a sandbox refuses for other reasons than its network: raw
/// sockets and the host's files. Only this shows what they look like when they succeed.
pub(super) async fn unboxed(
    programs: &Programs,
    run_id: &RunId,
    network: Option<&Path>,
    users: &[User],
) -> anyhow::Result<BoxRecord> {
    let user = users.first().context("no users")?;
    let started_at_unix_ns = unix_ns(SystemTime::now());
    let call = Call::new(Program::Runner).inside(network);
    let output = call.output(programs, prompt(&user.unboxed_attempts()), DEADLINE).await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(BoxRecord {
        schema: BOX_SCHEMA,
        run: run_id.as_str().to_owned(),
        name: "no box".to_owned(),
        user: None,
        conversation_id: None,
        network: UNBOXED.to_owned(),
        started_at_unix_ns,
        ended_at_unix_ns: unix_ns(SystemTime::now()),
        exit: "code 0".to_owned(),
        limits: Vec::new(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    })
}

/// The prompt that the gateway writes to a sandbox's stdin for the first message of a conversation.
fn prompt(message: &str) -> Vec<u8> {
    let document = json!({
        "schema": "plainsight.prompt/1",
        "omitted_turns": 0,
        "conversation": [],
        "prompt": message,
    });
    document.to_string().into_bytes()
}

fn record(run_id: &RunId, user: &User, started_at_unix_ns: u64, outcome: &Outcome) -> BoxRecord {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    BoxRecord {
        schema: BOX_SCHEMA,
        run: run_id.as_str().to_owned(),
        name: format!("control box of {}", user.record.id),
        user: Some(user.record.id.clone()),
        conversation_id: None,
        network: HOST_NETWORK.to_owned(),
        started_at_unix_ns,
        ended_at_unix_ns: unix_ns(SystemTime::now()),
        exit: outcome.exit.to_string(),
        limits: outcome
            .in_force
            .iter()
            .map(|limit| LimitRecord {
                name: limit.name.clone(),
                mechanism: limit.mechanism.clone(),
                value: limit.value.clone(),
            })
            .collect(),
        stdout: text(&outcome.stdout),
        stderr: text(&outcome.stderr),
    }
}
