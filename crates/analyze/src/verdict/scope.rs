//! Narrows the doubts of a capture to the connections that its verdict is about.
//!
//! Only doubts about single connections can be left outside: each is counted again, from what is known of each connection,
//! for the scope and for the rest. Every other doubt stays, and so do all where the counts do not add up.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use super::doubt::Doubt;
use super::report::CaptureReport;
use crate::input::scope::Scope;
use crate::observe::connections::Trouble;
use crate::observe::ledger::{Account, Carried, Ledger};
use crate::pipeline::fact::Unexplained;

/// The scope of a verdict, and the doubts on both sides of it.
#[derive(Debug, Default)]
pub(crate) struct Narrowed {
    /// Numbers of the connections in the scope.
    pub members: BTreeSet<u32>,
    /// Numbers of the other connections.
    pub others: BTreeSet<u32>,
    /// The doubts about the scope, and about the capture as a whole.
    pub doubts: Vec<Doubt>,
    /// The doubts about the rest of the capture.
    pub outside: Vec<Doubt>,
    /// The scope to ask for, if none was asked for or a connection with strings is outside of it.
    pub add: Vec<Scope>,
}

/// Narrows `doubts` to the scope that was asked for, or else to the servers whose connections carry the strings under the
/// keys.
pub(crate) fn narrow(
    report: &CaptureReport<'_>,
    ledger: &Ledger,
    asked: &[Scope],
    doubts: Vec<Doubt>,
) -> Narrowed {
    let servers = servers_of_carriers(report, ledger);
    let scopes: Vec<_> = if asked.is_empty() { servers.iter().copied().collect() } else { asked.to_vec() };
    let is_all = scopes.is_empty() || scopes.contains(&Scope::All);
    // A connection with unknown ends could be any.
    let is_member = |account: &Account| {
        is_all || account.ends.is_none_or(|ends| scopes.iter().any(|scope| scope.contains(&ends)))
    };
    let mut narrowed = Narrowed::default();
    let (mut inside, mut outside) = (Sum::default(), Sum::default());
    for (number, account) in &ledger.connections {
        let (members, sum) = match is_member(account) {
            true => (&mut narrowed.members, &mut inside),
            false => (&mut narrowed.others, &mut outside),
        };
        members.insert(*number);
        sum.add(*number, account);
    }
    let elsewhere = if is_all { &mut inside } else { &mut outside };
    elsewhere.unexplained(ledger.elsewhere.bytes, ledger.elsewhere.first.as_ref());

    for doubt in doubts {
        match (inside.recount(&doubt), outside.recount(&doubt)) {
            (Some(ours), Some(theirs)) if !is_all && ours.0 + theirs.0 == size(&doubt) => {
                narrowed.doubts.extend(ours.1);
                narrowed.outside.extend(theirs.1);
            }
            // The connections of the scope are judged one by one: such a line is of no use to any of them.
            _ if !is_all && matches!(doubt, Doubt::KeyLogLine(_)) => narrowed.outside.push(doubt),
            _ => narrowed.doubts.push(doubt),
        }
    }
    narrowed.doubts.extend(scope_doubts(report, ledger, asked, &narrowed.members));
    let in_quic = report.observed.hits.carried_in_quic;
    if !is_all && in_quic > 0 {
        narrowed.doubts.push(Doubt::CarrierInQuic(in_quic));
    }
    let missing = servers.into_iter().filter(|server| !asked.contains(server));
    let is_wider = |scope: &Scope| asked.is_empty() || !covers(ledger, asked, *scope);
    narrowed.add = missing.filter(is_wider).collect();
    narrowed
}

/// The servers of the connections that carry strings under the keys.
fn servers_of_carriers(report: &CaptureReport<'_>, ledger: &Ledger) -> BTreeSet<Scope> {
    let carriers = report.observed.hits.carriers.keys();
    let ends = carriers.filter_map(|carrier| ledger.connections.get(carrier)?.ends);
    ends.map(|ends| Scope::At(ends.server.into())).collect()
}

/// Whether every connection of `scope` is in a scope that was asked for.
fn covers(ledger: &Ledger, asked: &[Scope], scope: Scope) -> bool {
    let mut ends = ledger.connections.values().filter_map(|account| account.ends);
    ends.all(|ends| !scope.contains(&ends) || asked.iter().any(|asked| asked.contains(&ends)))
}

/// What is wrong with the scope itself: part of it is empty, or a connection that carries strings is outside.
fn scope_doubts(
    report: &CaptureReport<'_>,
    ledger: &Ledger,
    asked: &[Scope],
    members: &BTreeSet<u32>,
) -> Vec<Doubt> {
    let has_data = |scope: &Scope| {
        let mut accounts = ledger.connections.values().filter(|account| account.has_data);
        accounts.any(|account| account.ends.is_some_and(|ends| scope.contains(&ends)))
    };
    let empty = asked.iter().filter(|scope| !has_data(scope)).map(|scope| Doubt::ScopeEmpty(*scope));
    let mut doubts: Vec<_> = empty.collect();
    let outside: Vec<_> =
        report.observed.hits.carriers.keys().filter(|carrier| !members.contains(carrier)).collect();
    if let Some(first) = outside.first() {
        let server =
            ledger.connections.get(first).and_then(|account| account.ends).map(|ends| ends.server.into());
        doubts.push(Doubt::CarrierOutside { count: outside.len() as u64, first: **first, server });
    }
    doubts
}

/// What is doubtful about some of the connections, summed up as in the doubts of the whole capture.
#[derive(Debug, Default)]
struct Sum {
    with_data: u64,
    not_whole: u64,
    first_not_whole: Option<(u32, Vec<Trouble>)>,
    unexplained: u64,
    first_unexplained: Option<Unexplained>,
    not_opened: u64,
    finished_differs: u64,
    finished_missing: u64,
    cleartext: u64,
}

impl Sum {
    fn add(&mut self, number: u32, account: &Account) {
        let count = |sum: &mut u64, is: bool| sum.add_assign(u64::from(is));
        count(&mut self.with_data, account.has_data);
        count(&mut self.not_whole, !account.troubles.is_empty());
        if !account.troubles.is_empty() {
            self.first_not_whole.get_or_insert_with(|| (number, account.troubles.clone()));
        }
        self.unexplained(account.unexplained.bytes, account.unexplained.first.as_ref());
        match account.carried {
            Carried::Unknown => {}
            Carried::Cleartext => self.cleartext += 1,
            Carried::Tls { opened, is_read, confirmed } => {
                count(&mut self.not_opened, !opened);
                count(&mut self.finished_differs, is_read && confirmed == Some(false));
                count(&mut self.finished_missing, is_read && confirmed.is_none());
            }
        }
    }

    fn unexplained(&mut self, bytes: u64, first: Option<&Unexplained>) {
        self.unexplained += bytes;
        if self.first_unexplained.is_none() {
            self.first_unexplained = first.cloned();
        }
    }

    /// The size of this doubt for these connections, and the doubt if there is any; `None` for a doubt that is not about
    /// single connections.
    fn recount(&self, doubt: &Doubt) -> Option<(u64, Option<Doubt>)> {
        let some = |count: u64, doubt: Doubt| Some((count, (count > 0).then_some(doubt)));
        match doubt {
            Doubt::StreamsNotWhole { .. } => {
                let Self { not_whole: count, with_data, ref first_not_whole, .. } = *self;
                some(count, Doubt::StreamsNotWhole { count, with_data, first: first_not_whole.clone() })
            }
            Doubt::Unexplained { .. } => {
                let Self { unexplained: bytes, ref first_unexplained, .. } = *self;
                some(bytes, Doubt::Unexplained { bytes, first: first_unexplained.clone() })
            }
            Doubt::TlsNotOpened(_) => some(self.not_opened, Doubt::TlsNotOpened(self.not_opened)),
            Doubt::FinishedDiffers(_) => {
                some(self.finished_differs, Doubt::FinishedDiffers(self.finished_differs))
            }
            Doubt::FinishedMissing(_) => {
                some(self.finished_missing, Doubt::FinishedMissing(self.finished_missing))
            }
            Doubt::CleartextHttp(_) => some(self.cleartext, Doubt::CleartextHttp(self.cleartext)),
            _ => None,
        }
    }
}

/// The number of connections or bytes that a doubt is about.
fn size(doubt: &Doubt) -> u64 {
    match doubt {
        Doubt::StreamsNotWhole { count, .. } => *count,
        Doubt::Unexplained { bytes, .. } => *bytes,
        Doubt::TlsNotOpened(count)
        | Doubt::FinishedDiffers(count)
        | Doubt::FinishedMissing(count)
        | Doubt::CleartextHttp(count) => *count,
        _ => 0,
    }
}
