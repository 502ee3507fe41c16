//! A whole run: every message posted, every answer shown and checked.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_core::http_version::HttpVersion;
use agent_core::journal::Journal;
use agent_core::text::printable_bytes;
use anyhow::{Context, Result};
use rustls::ClientConfig;

use crate::endpoint::Endpoint;
use crate::script::{self, Outgoing, Template};
use crate::session::{Connections, Session};
use crate::verify::Verifier;

/// Longest part of an answer that is shown, in characters. The journal has the whole.
const SHOWN_CHARACTERS: usize = 300;

/// What a run needs.
#[derive(Debug)]
pub struct Plan {
    /// The server.
    pub endpoint: Endpoint,
    /// The HTTP version that every answer must have.
    pub http_version: HttpVersion,
    /// Whom to trust.
    pub tls: ClientConfig,
    /// Where messages are written down.
    pub journal: Arc<Journal>,
    /// A message of the caller's, instead of the script.
    pub template: Option<Template>,
    /// How many messages.
    pub count: usize,
    /// How long to wait until the server accepts the first connection.
    pub server_wait: Duration,
}

/// How a run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers that are right.
    pub right: usize,
    /// Answers that are wrong, and messages without one.
    pub wrong: usize,
    /// Connections that the kept-alive session opened; more than one says that the server or the client gave one up.
    pub kept_alive_connections: usize,
}

/// Posts the messages one after the other and writes a line for each to `out`. A message without an answer ends the run.
/// All connections are closed when it returns.
///
/// # Errors
/// When no message can be made or `out` cannot be written; wrong and missing answers are counted instead.
pub async fn run(plan: &Plan, out: &mut impl Write) -> Result<Tally> {
    let session = |connections| Session::new(&plan.endpoint, &plan.tls, connections, &plan.journal);
    let kept_alive = session(Connections::KeptAlive)?;
    let deadline = Instant::now() + plan.server_wait;
    let mut verifier = Verifier::new(plan.http_version);
    let mut tally = Tally::default();
    for number in 0..plan.count {
        let message = plan.message(number)?;
        tracing::debug!("request {}: {}", message.id, printable_bytes(&message.body, SHOWN_CHARACTERS));
        let outcome = match message.connections {
            // Once the first message was answered, the server is there.
            Connections::KeptAlive if number == 0 => {
                kept_alive.post_when_there(message.body.clone(), deadline).await
            }
            Connections::KeptAlive => kept_alive.post(message.body.clone()).await,
            Connections::Fresh => {
                let fresh = session(Connections::Fresh)?;
                let outcome = fresh.post(message.body.clone()).await;
                drop(fresh);
                outcome
            }
        };
        let reply = match outcome {
            Ok(reply) => reply,
            Err(error) => {
                tracing::error!("{}: no answer: {error}", message.id);
                tally.wrong += 1;
                break;
            }
        };
        let shown = printable_bytes(&reply.body, SHOWN_CHARACTERS);
        writeln!(out, "{} {} {shown}", message.id, reply.status.as_u16()).context("stdout")?;
        match verifier.check(&message, &reply) {
            Ok(()) => tally.right += 1,
            Err(error) => {
                tracing::error!("{}: the answer is wrong: {error:#}", message.id);
                tally.wrong += 1;
            }
        }
    }
    tally.kept_alive_connections = kept_alive.connections_opened();
    if tally.kept_alive_connections > 1 {
        tracing::warn!("the kept-alive session took {} connections, not one", tally.kept_alive_connections);
    }
    kept_alive.close().await;
    Ok(tally)
}

impl Plan {
    fn message(&self, number: usize) -> Result<Outgoing> {
        match &self.template {
            Some(template) => template.message(number),
            None => script::scripted(number),
        }
    }
}
