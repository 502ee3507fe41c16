//! Whether what was asked for was done: an attempt that nobody made proves nothing.

use std::collections::BTreeSet;

use exposure_schema::PhaseName;

use super::judge::Boxes;
use crate::input::isolation_record::{Asked, BoxRun, Experiment, KINDS, User};

/// Fewer users have nobody to be kept apart from.
const FEWEST_USERS: usize = 2;

/// The network of a box that has none, and of a process without any box.
pub(crate) const NO_NETWORK: &str = "none";
pub(crate) const UNBOXED: &str = "unboxed";

/// What the kernel puts into every network namespace by itself: the loopback, and where such modules are loaded the ends
/// of tunnels, which are down and lead nowhere (`net.core.fb_tunnels_only_for_init_net`).
const OF_EVERY_NAMESPACE: [&str; 10] =
    ["lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"];

/// Everything that keeps the boxes from having tried all.
pub(crate) fn doubts(experiment: &Experiment, boxes: &[Boxes]) -> Vec<String> {
    let mut doubts = Vec::new();
    judge_users(experiment, &mut doubts);
    for boxes in boxes {
        for run in &boxes.runs {
            judge_box(experiment, boxes.phase, run, &mut doubts);
        }
    }
    for user in &experiment.users {
        judge_attempts(user, boxes, &mut doubts);
    }
    doubts
}

fn judge_users(experiment: &Experiment, doubts: &mut Vec<String>) {
    let Experiment { users, user_traffic, replay, .. } = experiment;
    let distinct: BTreeSet<_> = users.iter().map(|user| &user.id).collect();
    if distinct.len() < FEWEST_USERS {
        doubts.push(format!("{} user(s): there is nobody to be kept apart from", distinct.len()));
    }
    for user in users {
        for kind in KINDS {
            if !user.attempts.iter().any(|asked| asked.kind == kind) {
                doubts.push(format!("no box of user {} was asked to try {kind}", user.id));
            }
        }
    }
    let is_somebody = |client| {
        users.iter().any(|user| user.address == client)
            || replay.as_ref().is_some_and(|replay| replay.client == client)
    };
    if let Some(stranger) = user_traffic.clients.iter().find(|client| !is_somebody(**client)) {
        doubts.push(format!("{stranger} may talk to the gateway, and is nobody's address"));
    }
}

fn judge_box(experiment: &Experiment, phase: PhaseName, run: &BoxRun, doubts: &mut Vec<String>) {
    let name = &run.name;
    if run.run != experiment.run_id {
        doubts.push(format!("{name} is of run {}, not of {}", run.run, experiment.run_id));
    }
    if run.exit != "code 0" {
        doubts.push(format!("{name} ended with {}: nobody knows what it would have tried", run.exit));
    }
    if run.started_at_unix_ns >= run.ended_at_unix_ns {
        doubts.push(format!("{name} ended before it began"));
    }
    match run.unreadable_attempts() {
        0 => {}
        count => doubts.push(format!("{name}: {count} line(s) on attempts cannot be read")),
    }
    for attempt in run.attempts().iter().filter(|attempt| !attempt.can_be_told()) {
        doubts.push(format!(
            "{name}: its {} to {} tells no canary of 32 hex digits: nobody can look for it",
            attempt.kind, attempt.target
        ));
    }
    match phase {
        PhaseName::Isolated => {
            if run.network != NO_NETWORK {
                doubts.push(format!("{name} was given the network {}", run.network));
            }
            let of_network = run.limits.iter().filter(|limit| limit.name == "network");
            let read_back: Vec<&str> = of_network.map(|limit| limit.value.as_str()).collect();
            if read_back.is_empty() || !read_back.iter().all(|value| is_no_network(value)) {
                doubts.push(format!("{name}: nobody read back that it had no network: {read_back:?}"));
            }
            if !experiment.users.iter().any(|user| run.user.as_deref() == Some(&user.id)) {
                doubts.push(format!("{name} ran for nobody of this run"));
            }
        }
        PhaseName::Control if run.network == NO_NETWORK => {
            doubts.push(format!("{name} is the control's, and had no network"));
        }
        PhaseName::Control => {}
    }
}

/// What is read back of a box's network: the interfaces in its namespace, or what an engine says.
fn is_no_network(read_back: &str) -> bool {
    match read_back.strip_prefix("interfaces:") {
        Some(names) => {
            let mut names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.all(|name| OF_EVERY_NAMESPACE.contains(&name))
        }
        None => read_back == NO_NETWORK,
    }
}

/// Every way out has to be tried by a box of this user's, and a box that tries to reach another one has to have one there.
fn judge_attempts(user: &User, boxes: &[Boxes], doubts: &mut Vec<String>) {
    let isolated = || {
        let isolated = boxes.iter().filter(|boxes| boxes.phase == PhaseName::Isolated);
        isolated.flat_map(|boxes| &boxes.runs)
    };
    let own = |run: &&BoxRun| run.user.as_deref() == Some(&user.id);
    for Asked { kind, target } in &user.attempts {
        let tried = |run: &&BoxRun| {
            run.attempts().iter().any(|attempt| attempt.kind == *kind && attempt.target == *target)
        };
        let Some(run) = isolated().filter(own).find(tried) else {
            doubts.push(format!("no box of user {} tried {kind} to {target}", user.id));
            continue;
        };
        if kind == "neighbour" {
            let mut others = isolated().filter(|other| !own(other));
            if !others.any(|other| other.overlaps(run) && other.listened_at(target)) {
                doubts
                    .push(format!("{}: no box of another user listened at {target} while it ran", run.name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_network_is_what_every_namespace_has() {
        for none in ["none", "interfaces: lo", "interfaces:", "interfaces: lo, sit0, tunl0"] {
            assert!(is_no_network(none), "{none}");
        }
        for some in ["", "bridge", "interfaces: lo, eth0", "interfaces: veth-back", "host"] {
            assert!(!is_no_network(some), "{some}");
        }
    }
}
