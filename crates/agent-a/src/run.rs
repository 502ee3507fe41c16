//! A whole run: posts the messages, prints and checks the answers.

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

/// Maximum number of characters printed of an answer. The journal holds the whole answer.
const SHOWN_CHARACTERS: usize = 300;

/// The settings of a run.
#[derive(Debug)]
pub struct Plan {
    /// The server.
    pub endpoint: Endpoint,
    /// The HTTP version that every answer must have.
    pub http_version: HttpVersion,
    /// The TLS settings, with the authority to trust.
    pub tls: ClientConfig,
    /// The journal of all messages.
    pub journal: Arc<Journal>,
    /// The message to send instead of the script, if any.
    pub template: Option<Template>,
    /// Number of messages.
    pub count: usize,
    /// How long to wait until the server accepts the first connection.
    pub server_wait: Duration,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of correct answers.
    pub right: usize,
    /// Number of wrong answers, plus messages without an answer.
    pub wrong: usize,
    /// Connections that the kept-alive session opened; more than one means that the server or the client closed one early.
    pub kept_alive_connections: usize,
}

/// Posts the messages one after the other, and writes a line for each to `out`. A message without an answer ends the run.
/// All connections are closed when the function returns.
///
/// # Errors
/// If a message cannot be created or `out` cannot be written. Wrong and missing answers are counted instead.
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
            // Once the server has answered the first message, later ones need not wait for it.
            Connections::KeptAlive if number == 0 => {
                kept_alive.post_when_reachable(message.body.clone(), deadline).await
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
        writeln!(out, "{} {} {shown}", message.id, reply.status.as_u16())
            .context("cannot write to stdout")?;
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
        tracing::warn!("the kept-alive session opened {} connections, not one", tally.kept_alive_connections);
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
