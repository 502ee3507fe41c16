//! The control: the escape attempts in sandboxes with a network, and outside any sandbox.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use experiment::isolation::{BOX_SCHEMA, BoxJournal, BoxRecord, UNBOXED};
use experiment::{RunId, unix_ns};
use serde_json::{Value, json};

use super::user_traffic::User;
use crate::process::Call;
use crate::programs::{Program, Programs};

/// The attempts wait for answers that do not come, which takes some seconds.
const UNBOXED_DEADLINE: Duration = Duration::from_secs(60);

/// `isolation-control` ends its sandboxes after a minute; it must have time to report that.
const BOXED_DEADLINE: Duration = Duration::from_secs(90);

/// The network that the sandboxes get.
pub(super) enum Network<'a> {
    /// The network namespace at this path.
    Namespace(&'a Path),
    /// The Docker network of this name.
    Docker(&'a str),
}

impl Network<'_> {
    fn flag(&self) -> (&'static str, OsString) {
        match self {
            Self::Namespace(path) => ("--netns", path.into()),
            Self::Docker(name) => ("--docker-network", name.into()),
        }
    }
}

/// Repeats the users' attempts, all at the same time, in sandboxes with a network.
pub(super) async fn with_network(
    programs: &Programs,
    run_id: &RunId,
    network: Network<'_>,
    users: &[User],
    journal: &mut BoxJournal,
) -> anyhow::Result<()> {
    let (flag, value) = network.flag();
    let runner = programs.path(Program::Runner);
    let call = Call::new(Program::IsolationControl)
        .flag(flag, value)
        .word("--allow-weak-memory-limit")
        .flag("--run-id", run_id.as_str())
        .word(runner);
    let request =
        |user: &User| json!({ "user": user.record.id, "prompt": prompt(user.attempts_with_network()) });
    let requests: String = users.iter().map(|user| format!("{}\n", request(user))).collect();
    let output = call.output(programs, requests.into_bytes(), BOXED_DEADLINE).await?;
    journal.append_lines(&output.stdout).context("cannot write the box journal")
}

/// Repeats, outside any sandbox and at the same time, the users' attempts that a sandbox refuses for other reasons than its
/// network: raw sockets, the host's files, and what processes of one machine share. Only this shows what they look like when
/// they succeed.
pub(super) async fn unboxed(
    programs: &Programs,
    run_id: &RunId,
    network: Option<&Path>,
    users: &[User],
) -> anyhow::Result<Vec<BoxRecord>> {
    let runs = users.iter().enumerate().map(|(index, user)| async move {
        let started_at_unix_ns = unix_ns(SystemTime::now());
        let call = Call::new(Program::Runner).inside(network);
        let prompt = prompt(&user.unboxed_attempts()).to_string();
        let output = call.output(programs, prompt.into_bytes(), UNBOXED_DEADLINE).await?;
        let (stdout, stdout_base64) = experiment::isolation::output(&output.stdout);
        let (stderr, stderr_base64) = experiment::isolation::output(&output.stderr);
        anyhow::Ok(BoxRecord {
            schema: BOX_SCHEMA,
            run: run_id.as_str().to_owned(),
            name: format!("no box {}", index + 1),
            user: None,
            conversation_id: None,
            network: UNBOXED.to_owned(),
            started_at_unix_ns,
            ended_at_unix_ns: unix_ns(SystemTime::now()),
            exit: "code 0".to_owned(),
            limits: Vec::new(),
            stdout,
            stdout_base64,
            stderr,
            stderr_base64,
        })
    });
    futures_util::future::try_join_all(runs).await
}

/// The prompt that the gateway writes to a sandbox's stdin for the first message of a conversation.
fn prompt(message: &str) -> Value {
    json!({
        "schema": "plainsight.prompt/1",
        "omitted_turns": 0,
        "conversation": [],
        "prompt": message,
    })
}
