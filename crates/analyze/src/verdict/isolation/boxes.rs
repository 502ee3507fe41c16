//! The sandboxes of a run, and the values by which the search recognises them and their users.

use exposure_schema::PhaseName;

use crate::input::isolation_record::{Attempt, BoxRun, Experiment};

/// Fewest users: with fewer there is no other tenant to be isolated from.
pub(crate) const FEWEST_USERS: usize = 2;

/// Shortest value that is searched, in bytes. A shorter one occurs by chance.
pub(crate) const MIN_VALUE: usize = 8;

/// The field `network` of a sandbox without network, and of a process outside any sandbox.
pub(crate) const NO_NETWORK: &str = "none";
pub(crate) const UNBOXED: &str = "unboxed";

/// Shortest life of a sandbox: starting a program alone takes longer.
pub(crate) const SHORTEST_LIFE_NS: u64 = 100_000;

/// The sandboxes of one phase.
#[derive(Debug)]
pub(crate) struct Boxes {
    pub phase: PhaseName,
    pub runs: Vec<BoxRun>,
}

/// The name of an escape attempt, distinct among those of all sandboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptName {
    pub sandbox: String,
    pub kind: String,
    pub target: String,
}

impl AttemptName {
    pub(crate) fn new(run: &BoxRun, attempt: &Attempt) -> Self {
        let (kind, target) = (attempt.kind.clone(), attempt.target.clone());
        Self { sandbox: run.name.clone(), kind, target }
    }
}

/// The sandboxes that must be isolated.
pub(crate) fn isolated(boxes: &[Boxes]) -> impl Iterator<Item = &BoxRun> {
    let isolated = boxes.iter().filter(|boxes| boxes.phase == PhaseName::Isolated);
    isolated.flat_map(|boxes| &boxes.runs)
}

/// Every value to be searched in every capture, sorted: canaries of the attempts, ids and secrets of the users, and the secrets
/// of the protections. A value that occurs twice is in the list twice.
pub(crate) fn searched_values(experiment: &Experiment, boxes: &[Boxes]) -> Vec<String> {
    let runs = boxes.iter().flat_map(|boxes| &boxes.runs);
    let canaries = runs.flat_map(BoxRun::attempts).filter_map(|attempt| attempt.canary.clone());
    let of_users = experiment.users.iter().flat_map(|user| [user.id.clone(), user.secret.clone()]);
    let of_protections = experiment.protections.iter().map(|protection| protection.secret.clone());
    let mut values: Vec<String> = canaries.chain(of_users).chain(of_protections).collect();
    values.sort();
    values
}
