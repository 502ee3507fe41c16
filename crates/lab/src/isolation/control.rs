//! The control: the escape attempts in sandboxes with a network, and outside any sandbox.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use experiment::isolation::{AttemptRecord, BOX_SCHEMA, BoxJournal, BoxRecord, UNBOXED};
use experiment::{RunId, unix_ns};
use serde::Deserialize;
use serde_json::{Value, json};

use super::attempts;
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
    let call = Call::new(Program::IsolationControl)
        .flag(flag, value)
        .word("--allow-weak-memory-limit")
        .flag("--run-id", run_id.as_str());
    let call = programs.words(Program::Runner).into_iter().fold(call, Call::word);
    let request =
        |user: &User| json!({ "user": user.record.id, "prompt": prompt(user.attempts_with_network()) });
    let requests: String = users.iter().map(|user| format!("{}\n", request(user))).collect();
    let output = call.output(programs, requests.into_bytes(), BOXED_DEADLINE).await?;
    journal.append_lines(&output.stdout).context("cannot write the box journal")
}

/// How often the attempts in which processes hear each other are made at most. Each depends on both being given CPU time
/// together, for which a busy machine needs several.
const ROUNDS: usize = 3;

/// Repeats, outside any sandbox and at the same time, the users' attempts that a sandbox refuses for other reasons than its
/// network: raw sockets, the host's files, and what processes of one machine share. Only this shows what they look like when
/// they succeed. What one process did not hear of the other is attempted again.
pub(super) async fn unboxed(
    programs: &Programs,
    run_id: &RunId,
    network: Option<&Path>,
    users: &[User],
) -> anyhow::Result<Vec<BoxRecord>> {
    let mut records =
        round_unboxed(programs, run_id, network, users, 1, attempts::is_repeated_unboxed).await?;
    let mut unheard = unheard(&records);
    for round in 2..=ROUNDS {
        if unheard.is_empty() {
            break;
        }
        let is_unheard = |attempt: &AttemptRecord| unheard.contains(&attempt.kind);
        let first = users.len() * (round - 1) + 1;
        let again = round_unboxed(programs, run_id, network, users, first, is_unheard).await?;
        unheard = self::unheard(&again);
        records.extend(again);
    }
    Ok(records)
}

/// One process for each user, which makes those of the user's attempts that are `wanted`. `first` numbers the first of them.
async fn round_unboxed(
    programs: &Programs,
    run_id: &RunId,
    network: Option<&Path>,
    users: &[User],
    first: usize,
    wanted: impl Fn(&AttemptRecord) -> bool,
) -> anyhow::Result<Vec<BoxRecord>> {
    let prompts = users.iter().map(|user| prompt(&user.message(&wanted)));
    let runs = prompts.zip(first..).map(|(prompt, number)| async move {
        let started_at_unix_ns = unix_ns(SystemTime::now());
        let call = Call::new(Program::Runner).inside(network);
        let output = call.output(programs, prompt.to_string().into_bytes(), UNBOXED_DEADLINE).await?;
        let (stdout, stdout_base64) = experiment::isolation::output(&output.stdout);
        let (stderr, stderr_base64) = experiment::isolation::output(&output.stderr);
        anyhow::Ok(BoxRecord {
            schema: BOX_SCHEMA,
            run: run_id.as_str().to_owned(),
            name: format!("no box {number}"),
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

/// The kinds of attempts in which one process of this round did not hear the other.
fn unheard(round: &[BoxRecord]) -> BTreeSet<String> {
    /// What a runner reports of an attempt.
    #[derive(Deserialize)]
    struct Report {
        kind: String,
        succeeded: bool,
    }

    let reports = round
        .iter()
        .flat_map(|record| record.stderr.lines())
        .filter_map(|line| serde_json::from_str::<Report>(line).ok());
    reports
        .filter(|report| !report.succeeded && attempts::hears(&report.kind))
        .map(|report| report.kind)
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reports: &[(&str, bool)]) -> BoxRecord {
        let line = |(kind, succeeded): &(&str, bool)| {
            format!("{}\n", json!({ "kind": kind, "succeeded": succeeded, "outcome": "" }))
        };
        BoxRecord {
            schema: BOX_SCHEMA,
            run: String::new(),
            name: String::new(),
            user: None,
            conversation_id: None,
            network: UNBOXED.to_owned(),
            started_at_unix_ns: 0,
            ended_at_unix_ns: 0,
            exit: String::new(),
            limits: Vec::new(),
            stdout: String::new(),
            stdout_base64: None,
            stderr: reports.iter().map(line).collect(),
            stderr_base64: None,
        }
    }

    #[test]
    fn what_one_of_two_did_not_hear_is_unheard() {
        let first = record(&[("raw", false), ("lock", true), ("notify", false), ("counter", true)]);
        let second = record(&[("raw", true), ("lock", true), ("notify", true), ("counter", false)]);
        assert_eq!(unheard(&[first, second]), ["counter", "notify"].map(str::to_owned).into());
        assert!(unheard(&[record(&[("raw", false), ("file", false), ("lock", true)])]).is_empty());
    }
}
