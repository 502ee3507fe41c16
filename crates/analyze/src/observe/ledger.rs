//! The connections one by one, for a verdict that is about some of them.

use std::collections::BTreeMap;

use dissect::flow::Endpoints;
use dissect::tls::Finished;

use super::connections::{Trouble, troubles};
use crate::pipeline::fact::{At, ConnectionEnd, ConnectionSummary, Spoken, Unexplained, UnexplainedFact};

/// Every connection that carried payload, or has unexplained bytes. Its size is bounded by the capture: a connection needs
/// at least one frame with such bytes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By number, as `tcp.stream`.
    pub connections: BTreeMap<u32, Account>,
    /// Unexplained bytes outside of any connection.
    pub elsewhere: UnexplainedSum,
}

/// What is known of one connection.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// `None` if the connection ended before the bytes for which it is listed.
    pub ends: Option<Endpoints>,
    /// Whether it carried payload.
    pub has_data: bool,
    /// Why it is not whole.
    pub troubles: Vec<Trouble>,
    /// The protocol that it carried.
    pub carried: Carried,
    /// How it ended; `None` if the capture does not show its end.
    pub end: Option<ConnectionEnd>,
    /// Whether the capture shows that nothing follows.
    pub is_settled: bool,
    pub unexplained: UnexplainedSum,
}

/// Unexplained bytes.
#[derive(Debug, Default)]
pub(crate) struct UnexplainedSum {
    pub bytes: u64,
    /// The reason for the first of them.
    pub first: Option<Unexplained>,
}

/// The protocol that a connection carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Carried {
    /// None, or one that is not decoded.
    #[default]
    Unknown,
    /// An application protocol in the clear.
    Cleartext,
    Tls {
        /// Whether records of both sides authenticate.
        opened: bool,
        /// Whether records of one side do.
        is_read: bool,
        /// Whether both Finished messages confirm the handshake; `None` if one is missing.
        confirmed: Option<bool>,
    },
}

impl Ledger {
    /// Adds a connection that is closed.
    pub(crate) fn closed(&mut self, summary: &ConnectionSummary) {
        if !summary.has_data && !self.connections.contains_key(&summary.stream) {
            return;
        }
        let account = self.connections.entry(summary.stream).or_default();
        account.ends = summary.ends;
        account.end = summary.end;
        account.is_settled = summary.is_settled;
        account.has_data = summary.has_data;
        if summary.has_data {
            account.troubles = troubles(summary);
            account.carried = carried(&summary.spoken);
        }
    }

    /// Adds unexplained bytes.
    pub(crate) fn unexplained(&mut self, fact: &UnexplainedFact) {
        let sum = match fact.at {
            At::Stream { stream, .. } | At::Frame { stream: Some(stream), .. } => {
                &mut self.connections.entry(stream).or_default().unexplained
            }
            At::Frame { stream: None, .. } => &mut self.elsewhere,
        };
        sum.bytes += fact.bytes;
        sum.first.get_or_insert_with(|| fact.why.clone());
    }
}

fn carried(spoken: &Spoken) -> Carried {
    match spoken {
        Spoken::Messages => Carried::Cleartext,
        Spoken::Unknown => Carried::Unknown,
        Spoken::Tls(tls) => {
            let finished = || tls.values().map(|side| side.finished);
            Carried::Tls {
                opened: tls.values().all(|side| side.counters.authenticated > 0),
                is_read: tls.values().any(|side| side.counters.authenticated > 0),
                confirmed: if finished().any(|finished| finished == Finished::Differs) {
                    Some(false)
                } else {
                    finished().all(|finished| finished == Finished::Verified).then_some(true)
                },
            }
        }
    }
}
