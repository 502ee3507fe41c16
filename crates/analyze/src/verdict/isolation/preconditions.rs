//! Checks whether every attempt was made that had to be made: an attempt that no sandbox made proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use exposure_schema::{Limit, PhaseName};

use super::boxes::{
    self, AttemptName, Boxes, FEWEST_USERS, MIN_VALUE, NO_NETWORK, SHORTEST_LIFE_NS, UNBOXED,
};
use super::doubt::IsolationDoubt;
use super::outputs::answer_text;
use crate::input::isolation_record::{BoxRun, Experiment, KINDS, RequestedAttempt, User};

/// Interfaces that the kernel creates in every network namespace: the loopback interface, and with certain modules
/// loaded the ends of tunnels, which are down and lead nowhere (`net.core.fb_tunnels_only_for_init_net`).
const OF_EVERY_NAMESPACE: [&str; 10] =
    ["lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"];

/// Lists every reason why the run did not make the attempts that it had to make.
pub(super) fn doubts(experiment: &Experiment, boxes: &[Boxes]) -> Vec<IsolationDoubt> {
    let mut doubts = run_doubts(experiment);
    doubts.extend(value_doubts(&boxes::searched_values(experiment, boxes)));
    doubts.extend(user_doubts(experiment));
    for boxes in boxes {
        for run in &boxes.runs {
            doubts.extend(sandbox_doubts(experiment, run));
            doubts.extend(network_doubts(experiment, boxes.phase, run));
        }
    }
    doubts.extend(name_doubts(boxes));
    doubts.extend(difference_doubts(boxes));
    let made = Made::of(boxes);
    doubts.extend(experiment.users.iter().flat_map(|user| attempt_doubts(user, &made)));
    doubts
}

/// A name that occurs twice could stand for either sandbox.
fn name_doubts(boxes: &[Boxes]) -> Vec<IsolationDoubt> {
    let mut names = BTreeSet::new();
    let runs = boxes.iter().flat_map(|boxes| &boxes.runs);
    let twice = runs.filter(|run| !names.insert(run.name.as_str()));
    twice.map(|run| IsolationDoubt::NameTwice { sandbox: run.name.clone() }).collect()
}

/// The limits of a sandbox as read back, except its network, as texts.
fn other_limits(run: &BoxRun) -> BTreeSet<String> {
    let others = run.limits.iter().filter(|limit| limit.name != "network");
    others.map(|limit| format!("{} by {}: {}", limit.name, limit.mechanism, limit.value)).collect()
}

/// The sandboxes of the control differ from the isolated ones in their network alone: with other limits an attempt might
/// succeed, or fail, for another reason.
fn difference_doubts(boxes: &[Boxes]) -> Vec<IsolationDoubt> {
    let mut runs = boxes.iter().flat_map(|boxes| &boxes.runs).filter(|run| run.network != UNBOXED);
    let Some(first) = runs.next() else { return Vec::new() };
    let expected = other_limits(first);
    let differing = runs.filter_map(|run| {
        let limits = other_limits(run);
        let limits: Vec<String> = limits.symmetric_difference(&expected).cloned().collect();
        (!limits.is_empty()).then(|| IsolationDoubt::ControlDiffers { sandbox: run.name.clone(), limits })
    });
    differing.collect()
}

fn run_doubts(experiment: &Experiment) -> Vec<IsolationDoubt> {
    let mut doubts = Vec::new();
    if !experiment.finished {
        doubts.push(IsolationDoubt::NotFinished);
    }
    // The control may have two: processes outside any sandbox have a journal of their own.
    let isolated = experiment.phases.iter().filter(|phase| phase.name == PhaseName::Isolated).count();
    if isolated != 1 {
        doubts.push(IsolationDoubt::IsolatedPhases(isolated));
    }
    doubts
}

/// `values` are sorted.
fn value_doubts(values: &[String]) -> Vec<IsolationDoubt> {
    let mut doubts = Vec::new();
    if values.windows(2).any(|pair| pair[0] == pair[1]) {
        doubts.push(IsolationDoubt::ValueNotUnique);
    }
    if let Some(short) = values.iter().find(|value| value.len() < MIN_VALUE) {
        doubts.push(IsolationDoubt::ValueTooShort(short.clone()));
    }
    doubts
}

fn user_doubts(experiment: &Experiment) -> Vec<IsolationDoubt> {
    let Experiment { users, user_traffic, replay, .. } = experiment;
    let mut doubts = Vec::new();
    let distinct: BTreeSet<_> = users.iter().map(|user| &user.id).collect();
    if distinct.len() < FEWEST_USERS {
        doubts.push(IsolationDoubt::TooFewUsers(distinct.len()));
    }
    for user in users {
        for kind in KINDS.iter().filter(|kind| kind.is_required) {
            if !user.attempts.iter().any(|asked| asked.kind == kind.name) {
                let (user, kind) = (user.id.clone(), kind.name);
                doubts.push(IsolationDoubt::AttemptNotRequested { user, kind });
            }
        }
    }
    let is_known = |client| {
        users.iter().any(|user| user.address == client)
            || replay.as_ref().is_some_and(|replay| replay.client == client)
    };
    if let Some(unknown) = user_traffic.clients.iter().find(|client| !is_known(**client)) {
        doubts.push(IsolationDoubt::UnknownClient(*unknown));
    }
    doubts
}

/// Checks what every sandbox must fulfil, with a network or without.
fn sandbox_doubts(experiment: &Experiment, run: &BoxRun) -> Vec<IsolationDoubt> {
    let mut doubts = Vec::new();
    let sandbox = || run.name.clone();
    if run.run != experiment.run_id {
        let (run, expected) = (run.run.clone(), experiment.run_id.clone());
        doubts.push(IsolationDoubt::SandboxOfOtherRun { sandbox: sandbox(), run, expected });
    }
    if run.exit != "code 0" {
        doubts.push(IsolationDoubt::SandboxFailed { sandbox: sandbox(), exit: run.exit.clone() });
    }
    if run.started_at_unix_ns >= run.ended_at_unix_ns {
        doubts.push(IsolationDoubt::TimesReversed { sandbox: sandbox() });
    } else if run.ended_at_unix_ns - run.started_at_unix_ns < SHORTEST_LIFE_NS {
        doubts.push(IsolationDoubt::LivedTooShort { sandbox: sandbox() });
    }
    if run.output().iter().any(Option::is_none) {
        doubts.push(IsolationDoubt::OutputContradicts { sandbox: sandbox() });
    }
    let lines = run.reports().unreadable;
    if lines > 0 {
        doubts.push(IsolationDoubt::AttemptsUnreadable { sandbox: sandbox(), lines });
    }
    for attempt in run.attempts().iter().filter(|attempt| !attempt.can_be_told()) {
        doubts.push(IsolationDoubt::CanaryUnsearchable(AttemptName::new(run, attempt)));
    }
    doubts
}

/// Checks whether a sandbox had the network of its phase.
fn network_doubts(experiment: &Experiment, phase: PhaseName, run: &BoxRun) -> Vec<IsolationDoubt> {
    let mut doubts = Vec::new();
    let sandbox = || run.name.clone();
    match phase {
        PhaseName::Isolated => {
            if run.network != NO_NETWORK {
                doubts.push(IsolationDoubt::HasNetwork { sandbox: sandbox(), network: run.network.clone() });
            }
            let of_network = run.limits.iter().filter(|limit| limit.name == "network");
            let limits: Vec<String> = of_network.map(|limit| limit.value.clone()).collect();
            if limits.is_empty() || !limits.iter().all(|value| is_no_network(value)) {
                doubts.push(IsolationDoubt::NetworkNotReadBack { sandbox: sandbox(), limits });
            }
            if !experiment.users.iter().any(|user| run.user.as_deref() == Some(&user.id)) {
                doubts.push(IsolationDoubt::UnknownUser { sandbox: sandbox() });
            }
        }
        PhaseName::Control if run.network == NO_NETWORK => {
            doubts.push(IsolationDoubt::ControlWithoutNetwork { sandbox: sandbox() });
        }
        PhaseName::Control if run.network == UNBOXED => {}
        PhaseName::Control => {
            let is_of_run = |limit: &Limit| has_network(&limit.value, &experiment.interfaces);
            let is_read_back = run.limits.iter().any(|limit| limit.name == "network" && is_of_run(limit));
            if run.network.is_empty() || !is_read_back {
                let network = run.network.clone();
                doubts.push(IsolationDoubt::ControlNetwork { sandbox: sandbox(), network });
            }
        }
    }
    doubts
}

/// Whether the limits of a sandbox, as read back, show that it had every interface of the run, or by the engine's account the
/// network of another container, in which the captures were made. The engine does not list interfaces.
fn has_network(read_back: &str, interfaces: &[String]) -> bool {
    if let Some(id) = read_back.strip_prefix("container:") {
        return id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let Some(names) = read_back.strip_prefix("interfaces:") else { return false };
    let names: BTreeSet<&str> = names.split(',').map(str::trim).collect();
    interfaces.iter().all(|interface| names.contains(interface.as_str()))
}

/// Whether the limits of a sandbox, as read back, show that it had no network: only the kernel's own interfaces in its
/// namespace, or the engine's statement.
fn is_no_network(read_back: &str) -> bool {
    match read_back.strip_prefix("interfaces:") {
        Some(names) => {
            let mut names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.all(|name| OF_EVERY_NAMESPACE.contains(&name))
        }
        None => read_back == NO_NETWORK,
    }
}

/// What the isolated sandboxes did.
struct Made<'a> {
    /// The first sandbox that made an attempt, by user, kind and target.
    attempts: BTreeMap<(&'a str, &'a str, &'a str), &'a BoxRun>,
    /// The sandboxes that listened at an address.
    listening: BTreeMap<String, Vec<&'a BoxRun>>,
}

impl<'a> Made<'a> {
    fn of(boxes: &'a [Boxes]) -> Self {
        let mut made = Self { attempts: BTreeMap::new(), listening: BTreeMap::new() };
        for run in boxes::isolated(boxes) {
            let user = run.user.as_deref().unwrap_or_default();
            for attempt in run.attempts() {
                made.attempts.entry((user, &attempt.kind, &attempt.target)).or_insert(run);
            }
            let answer = answer_text(run).unwrap_or_default();
            let said =
                answer.lines().filter_map(|line| line.strip_prefix("listen ")?.strip_suffix(": listening"));
            for address in said {
                made.listening.entry(address.to_owned()).or_default().push(run);
            }
        }
        made
    }
}

/// Checks whether a sandbox of the user made every attempt that was requested. An attempt to reach a neighbour counts
/// only if a sandbox of another user listened there at the same time.
fn attempt_doubts(user: &User, made: &Made<'_>) -> Vec<IsolationDoubt> {
    let mut doubts = Vec::new();
    for RequestedAttempt { kind, target, .. } in &user.attempts {
        let Some(run) = made.attempts.get(&(user.id.as_str(), kind.as_str(), target.as_str())) else {
            let (user, kind, target) = (user.id.clone(), kind.clone(), target.clone());
            doubts.push(IsolationDoubt::AttemptNotMade { user, kind, target });
            continue;
        };
        let mut others = made.listening.get(target).into_iter().flatten();
        let is_neighbour = |other: &&BoxRun| other.user.as_ref() != Some(&user.id) && other.overlaps(run);
        if kind == "neighbour" && !others.any(is_neighbour) {
            let (sandbox, target) = (run.name.clone(), target.clone());
            doubts.push(IsolationDoubt::NeighbourMissing { sandbox, target });
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_network_means_only_the_kernels_own_interfaces() {
        for none in ["none", "interfaces: lo", "interfaces:", "interfaces: lo, sit0, tunl0"] {
            assert!(is_no_network(none), "{none}");
        }
        for some in ["", "bridge", "interfaces: lo, eth0", "interfaces: veth-back", "host"] {
            assert!(!is_no_network(some), "{some}");
        }
    }
}
