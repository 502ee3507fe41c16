//! Writes the scope of a verdict into the result.

use exposure_schema::{Ended, Outside, Scope, ScopeConnection, Unvouched};

use crate::input::discover::OwnTraffic;
use crate::observe::ledger::Ledger;
use crate::pipeline::fact::ConnectionEnd;
use crate::verdict::doubt::Doubt;
use crate::verdict::report::CaptureReport;
use crate::verdict::scope::Narrowed;

/// Maximum number of connections listed.
const MAX_LISTED: usize = 256;

/// Writes down what the verdict is about.
pub(crate) fn entry(
    report: &CaptureReport<'_>,
    ledger: &Ledger,
    own: &OwnTraffic,
    narrowed: &Narrowed,
) -> Scope {
    let members =
        || narrowed.members.iter().filter_map(|number| Some((*number, ledger.connections.get(number)?)));
    let found = |number: u32| report.observed.hits.carriers.get(&number).copied().unwrap_or(0);
    let connections = members().take(MAX_LISTED).map(|(stream, account)| ScopeConnection {
        stream,
        client: account.ends.map(|ends| ends.client.to_string()),
        server: account.ends.map(|ends| ends.server.to_string()),
        strings_found: found(stream),
        ended: ended(account.end),
    });
    let mut unvouched = vec![Unvouched::Drops, Unvouched::Period, Unvouched::Filter, Unvouched::Vantage];
    if members().any(|(_, account)| !account.is_settled) {
        unvouched.push(Unvouched::OpenConnections);
    }
    let add: Vec<_> = narrowed.add.iter().map(|scope| format!("--scope {scope}")).collect();
    let frames = &report.observed.frames;
    let is_all = own.scope.contains(&crate::input::scope::Scope::All);
    Scope {
        asked: own.scope.iter().map(ToString::to_string).collect(),
        add: (!add.is_empty()).then(|| add.join(" ")),
        connections: connections.collect(),
        connections_total: narrowed.members.len() as u64,
        strings_not_searched: own.strings.short,
        outside: Outside {
            connections: narrowed.others.len() as u64,
            frames: if is_all { 0 } else { frames.other + frames.undecoded + frames.control },
            doubts: narrowed.outside.iter().map(Doubt::entry).collect(),
        },
        unvouched,
    }
}

fn ended(end: Option<ConnectionEnd>) -> Ended {
    match end {
        Some(ConnectionEnd::Fin) => Ended::Fin,
        Some(ConnectionEnd::Rst) => Ended::Rst,
        None => Ended::Open,
    }
}
