//! Checks whether the traffic of one user carries the secret of another one.

use std::net::IpAddr;

use super::leak::Leak;
use super::value_hits::ValueHits;
use crate::input::isolation_record::Experiment;
use crate::observe::frame_ownership::FrameOwnership;

/// A secret may cross only between the gateway and its owner. The one exception is the replay of the owner's id, which
/// demonstrates exactly this; `account` checks that it is that very request. This rule finds secrets in frames, and so outside
/// of streams too.
pub(super) fn judge(
    experiment: &Experiment,
    hits: &ValueHits<'_>,
    ownership: &FrameOwnership,
    interface: Option<&str>,
) -> Vec<Leak> {
    let mut leaks = Vec::new();
    let server = experiment.user_traffic.server;
    for owner in &experiment.users {
        let replay = experiment.replay.as_ref().filter(|replay| replay.user == owner.id);
        let is_allowed = |ip: IpAddr| ip == owner.address || replay.is_some_and(|replay| ip == replay.client);
        let is_of_another = |frame| {
            let client = |(from, to)| if from == server { to } else { from };
            ownership.ends(frame).map(client).is_some_and(|client| !is_allowed(client.ip()))
        };
        if let Some((frame, _)) = hits.first(&owner.secret, is_of_another) {
            let (interface, user) = (interface.map(str::to_owned), owner.id.clone());
            leaks.push(Leak::SecretInTraffic { interface, frame, user });
        }
    }
    leaks
}
