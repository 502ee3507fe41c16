//! The audit log: one line of JSON for each sandbox, for operators. It holds no text of users or sandboxes.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_core::private_file;
use sandbox::Outcome;
use serde::Serialize;

use crate::api::rfc3339;
use crate::journal::Owner;
use crate::store::now_unix_ns;

/// The form of a line.
const SCHEMA: &str = "plainsight.audit/1";

/// Writes the lines to the log, and to a file if there is one.
#[derive(Debug, Default)]
pub struct Audit {
    file: Option<Mutex<File>>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    schema: &'static str,
    at: String,
    user: &'a str,
    conversation: String,
    backend: &'a str,
    outcome: String,
    run_ms: u64,
    bytes_in: usize,
    bytes_out: usize,
    limits: Vec<Limit<'a>>,
}

#[derive(Debug, Serialize)]
struct Limit<'a> {
    name: &'a str,
    mechanism: &'a str,
    value: &'a str,
}

impl Audit {
    /// Appends to the file at `path`, which only its owner can read.
    ///
    /// # Errors
    /// When it cannot be opened or made.
    pub fn append_to(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Some(Mutex::new(private_file::append(path)?)) })
    }

    /// Notes a sandbox of `owner` that got `bytes_in` and has ended; without an outcome it could not be made. An error of the
    /// file is logged, and the user still gets the answer.
    pub fn add(
        &self,
        owner: Owner<'_>,
        backend: &str,
        bytes_in: usize,
        took: Duration,
        outcome: Option<&Outcome>,
    ) {
        let limit =
            |limit: &'_ sandbox::InForce| format!("{}={} ({})", limit.name, limit.value, limit.mechanism);
        let limits = outcome.map(|outcome| &outcome.in_force[..]).unwrap_or_default();
        let line = Line {
            schema: SCHEMA,
            at: rfc3339(now_unix_ns()),
            user: owner.user,
            conversation: owner.conversation.to_string(),
            backend,
            outcome: outcome.map_or_else(|| "not started".to_owned(), |outcome| outcome.exit.to_string()),
            run_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            bytes_in,
            bytes_out: outcome.map_or(0, |outcome| outcome.stdout.len() + outcome.stderr.len()),
            limits: limits
                .iter()
                .map(|limit| Limit { name: &limit.name, mechanism: &limit.mechanism, value: &limit.value })
                .collect(),
        };
        tracing::info!(
            user = line.user,
            conversation = line.conversation,
            backend,
            outcome = line.outcome,
            run_ms = line.run_ms,
            bytes_in,
            bytes_out = line.bytes_out,
            limits = limits.iter().map(limit).collect::<Vec<_>>().join(", "),
            "audit"
        );
        if let Some(file) = &self.file {
            let written = serde_json::to_vec(&line).map_err(io::Error::other).and_then(|mut text| {
                text.push(b'\n');
                file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text)
            });
            if let Err(error) = written {
                tracing::error!(%error, "the audit log cannot be written");
            }
        }
    }
}
