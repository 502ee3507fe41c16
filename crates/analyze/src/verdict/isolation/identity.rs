//! Whether a capture shows that `X-User-Id` is unauthenticated: an eavesdropper can replay it and get answers.

use std::net::{IpAddr, SocketAddr};

use super::value_hits::ValueHits;
use crate::input::isolation_record::Experiment;
use crate::observe::frame_ownership::FrameOwnership;
use crate::observe::hits::Hit;

/// What one capture shows of a replayed user id.
#[derive(Debug)]
pub(crate) struct ReplayedIdentity<'r> {
    pub user: String,
    /// Where the id is in a request of its owner.
    pub read: Sent<'r>,
    /// Where the id is in a request of another client.
    pub replayed: Option<Sent<'r>>,
    /// Where the owner's secret is in an answer to that client.
    pub answered: Option<&'r Hit>,
}

/// An occurrence, and the sender of its first frame.
#[derive(Debug)]
pub(crate) struct Sent<'r> {
    pub by: Option<SocketAddr>,
    pub hit: &'r Hit,
}

/// `None` if the run replays no id, or if this capture does not show the owner's own request.
pub(crate) fn replayed<'r>(
    experiment: &Experiment,
    hits: &ValueHits<'r>,
    ownership: &FrameOwnership,
) -> Option<ReplayedIdentity<'r>> {
    let replay = experiment.replay.as_ref()?;
    let owner = experiment.users.iter().find(|user| user.id == replay.user)?;
    let server = experiment.user_traffic.server;
    let sent = |(frame, hit)| Sent { by: ownership.ends(frame).map(|(from, _)| from), hit };
    let requested_by = |client: IpAddr| {
        move |frame| ownership.ends(frame).is_some_and(|(from, to)| from.ip() == client && to == server)
    };
    let answered_to_replay =
        |frame| ownership.ends(frame).is_some_and(|(from, to)| from == server && to.ip() == replay.client);
    Some(ReplayedIdentity {
        user: owner.id.clone(),
        read: sent(hits.first(&owner.id, requested_by(owner.address))?),
        replayed: hits.first(&owner.id, requested_by(replay.client)).map(sent),
        answered: hits.first(&owner.secret, answered_to_replay).map(|(_, hit)| hit),
    })
}
