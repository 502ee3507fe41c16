//! Checks whether every attempt was made that had to be made: an attempt that no sandbox made proves nothing.

use std::collections::BTreeSet;

use exposure_schema::PhaseName;

use super::boxes::{self, AttemptName, Boxes, FEWEST_USERS, MIN_VALUE, NO_NETWORK};
use super::doubt::IsolationDoubt;
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
    doubts.extend(experiment.users.iter().flat_map(|user| attempt_doubts(user, boxes)));
    doubts
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
        for kind in KINDS {
            if !user.attempts.iter().any(|asked| asked.kind == kind) {
                doubts.push(IsolationDoubt::AttemptNotRequested { user: user.id.clone(), kind });
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
    }
    let lines = run.unreadable_attempts();
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
        PhaseName::Control => {}
    }
    doubts
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

/// Checks whether a sandbox of each user made every attempt that was requested. An attempt to reach a neighbour counts
/// only if a sandbox of another user listened there at the same time.
fn attempt_doubts(user: &User, boxes: &[Boxes]) -> Vec<IsolationDoubt> {
    let mut doubts = Vec::new();
    let own = |run: &&BoxRun| run.user.as_deref() == Some(&user.id);
    for RequestedAttempt { kind, target } in &user.attempts {
        let tried = |run: &&BoxRun| {
            run.attempts().iter().any(|attempt| attempt.kind == *kind && attempt.target == *target)
        };
        let Some(run) = boxes::isolated(boxes).filter(own).find(tried) else {
            let (user, kind, target) = (user.id.clone(), kind.clone(), target.clone());
            doubts.push(IsolationDoubt::AttemptNotMade { user, kind, target });
            continue;
        };
        let mut others = boxes::isolated(boxes).filter(|other| !own(other));
        if kind == "neighbour" && !others.any(|other| other.overlaps(run) && other.listened_at(target)) {
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
