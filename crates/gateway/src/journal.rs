//! The journal for experiments: output and limits of every sandbox.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use experiment::isolation::{BOX_SCHEMA, BoxJournal, BoxRecord, LimitRecord, NO_NETWORK, output};
use experiment::{RunId, unix_ns};
use sandbox::Outcome;
use uuid::Uuid;

/// The journal of one gateway process, with a line for each sandbox.
#[derive(Debug)]
pub struct Journal {
    file: Mutex<BoxJournal>,
    run: RunId,
}

/// The user and conversation that a sandbox runs for.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The user that the request claims.
    pub user: &'a str,
    /// The conversation.
    pub conversation: Uuid,
}

impl Journal {
    /// Creates a journal at `path`, replacing an existing file.
    ///
    /// # Errors
    /// When the file cannot be created, or the system gives no randomness for a run id.
    pub fn create(path: &Path, run: Option<RunId>) -> anyhow::Result<Self> {
        let run = match run {
            Some(run) => run,
            None => RunId::fresh()?,
        };
        Ok(Self { file: Mutex::new(BoxJournal::create(path)?), run })
    }

    /// Adds a sandbox that has ended. The line is in the file when this returns. A write error is logged, and the user
    /// still gets the answer.
    pub fn add(&self, owner: Owner<'_>, started: SystemTime, outcome: &Outcome) {
        let (stdout, stdout_base64) = output(&outcome.stdout);
        let (stderr, stderr_base64) = output(&outcome.stderr);
        let limit = |limit: &sandbox::InForce| LimitRecord {
            name: limit.name.clone(),
            mechanism: limit.mechanism.clone(),
            value: limit.value.clone(),
        };
        let record = BoxRecord {
            schema: BOX_SCHEMA,
            run: self.run.as_str().to_owned(),
            name: format!("box {}", Uuid::new_v4()),
            user: Some(owner.user.to_owned()),
            conversation_id: Some(owner.conversation.to_string()),
            network: NO_NETWORK.to_owned(),
            started_at_unix_ns: unix_ns(started),
            ended_at_unix_ns: unix_ns(SystemTime::now()),
            exit: outcome.exit.to_string(),
            limits: outcome.in_force.iter().map(limit).collect(),
            stdout,
            stdout_base64,
            stderr,
            stderr_base64,
        };
        let written = self.file.lock().unwrap_or_else(PoisonError::into_inner).append(&record);
        if let Err(error) = written {
            tracing::error!(%error, "the boxes' journal cannot be written");
        }
    }
}
