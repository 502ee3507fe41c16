//! Writes an isolation run into the result.

use std::collections::BTreeMap;

use exposure_schema::{
    BeaconControl, BoxEntry, Identity, InterfaceEntry, Isolation, IsolationControls, KindControl, Occurrence,
    PhaseName, TrafficAccount,
};

use super::location::location;
use crate::input::isolation_record::{BoxRun, Experiment};
use crate::observe::hits::Hit;
use crate::observe::messages::{Messages, WireMessage};
use crate::verdict::isolation::boxes::Boxes;
use crate::verdict::isolation::captures::Captured;
use crate::verdict::isolation::doubt::IsolationDoubt;
use crate::verdict::isolation::identity::{ReplayedIdentity, Sent};
use crate::verdict::isolation::judge::Judgement;
use crate::verdict::isolation::leak::Leak;

/// Maximum number of sandboxes and of attempts listed; all are judged.
const MAX_LISTED: usize = 1000;

/// Writes down everything that is known about a run.
pub(crate) fn entry(
    file: String,
    experiment: &Experiment,
    boxes: &[Boxes],
    captures: Vec<Captured>,
    identity: Option<Identity>,
    judgement: Judgement,
) -> Isolation {
    let Judgement { verdict, leaks, doubts, attempts, kinds, measured, decoys, account, protections } =
        judgement;
    let isolated = || captures.iter().filter(|capture| capture.phase == PhaseName::Isolated);
    let escaped = attempts.iter().filter(|attempt| attempt.phase == PhaseName::Isolated && attempt.seen > 0);
    let seen = kinds.iter().filter(|kind| kind.control_passed).count();
    let runs = || boxes.iter().flat_map(|boxes| boxes.runs.iter().map(|run| (boxes.phase, run)));
    Isolation {
        file,
        run_id: experiment.run_id.clone(),
        backend: experiment.backend.clone(),
        verdict,
        reasons: (leaks.iter().map(ToString::to_string))
            .chain(doubts.iter().map(ToString::to_string))
            .collect(),
        leaks: leaks.iter().map(Leak::entry).collect(),
        doubts: doubts.iter().map(IsolationDoubt::entry).collect(),
        box_frames: isolated().map(|capture| capture.ownership.foreign).sum(),
        box_canaries: escaped.count() as u64,
        secrets_crossed: leaks.iter().filter(|leak| matches!(leak, Leak::SecretInOutput { .. })).count()
            as u64,
        traffic: TrafficAccount {
            connections: account.connections,
            connections_accounted: account.accounted,
            bytes: account.bytes,
            bytes_accounted: account.bytes_accounted,
            boxes: account.boxes,
            boxes_answered: account.boxes_answered,
        },
        controls: IsolationControls {
            positive: KindControl {
                passed: seen == kinds.len() && seen > 0,
                kinds: kinds.len() as u64,
                seen: seen as u64,
            },
            decoys,
            beacons: beacons(&captures),
        },
        kinds,
        measured,
        boxes: runs().map(|(phase, run)| sandbox(phase, run)).take(MAX_LISTED).collect(),
        boxes_total: runs().count() as u64,
        attempts_total: attempts.len() as u64,
        attempts: attempts.into_iter().take(MAX_LISTED).collect(),
        interfaces: captures.into_iter().map(interface).collect(),
        identity,
        protections,
    }
}

/// The beacons of all captures.
fn beacons(captures: &[Captured]) -> BeaconControl {
    let expected = 2 * captures.len() as u64;
    let seen = captures.iter().map(beacons_in).sum();
    BeaconControl { passed: expected > 0 && seen == expected, expected, seen }
}

fn beacons_in(capture: &Captured) -> u64 {
    capture.ownership.beacons.at.iter().flatten().count() as u64
}

fn sandbox(phase: PhaseName, run: &BoxRun) -> BoxEntry {
    BoxEntry {
        phase,
        name: run.name.clone(),
        user: run.user.clone(),
        network: run.network.clone(),
        exit: run.exit.clone(),
        limits: run.limits.clone(),
    }
}

fn interface(capture: Captured) -> InterfaceEntry {
    let beacon_frames = beacons_in(&capture);
    InterfaceEntry {
        phase: capture.phase,
        interface: capture.interface,
        file: capture.file,
        sha256: capture.sha256,
        frames: capture.frames,
        talk_frames: capture.ownership.of_users,
        beacon_frames,
        arp_frames: capture.ownership.arp,
        box_frames: capture.ownership.foreign,
        box_frames_listed: capture.ownership.described,
        kernel_drops: capture.kernel_drops,
    }
}

/// What one capture shows of a replayed user id.
pub(crate) fn identity(replayed: ReplayedIdentity<'_>, file: &str, interface: Option<&str>) -> Identity {
    let place = |hit: &Hit| occurrence(hit, file, interface);
    let by = |sent: &Sent<'_>| sent.by.map(|sender| sender.to_string());
    Identity {
        shown: replayed.replayed.is_some() && replayed.answered.is_some(),
        user: replayed.user,
        read_from: by(&replayed.read),
        read: Some(place(replayed.read.hit)),
        replayed_from: replayed.replayed.as_ref().and_then(by),
        replayed: replayed.replayed.map(|sent| place(sent.hit)),
        answered: replayed.answered.map(place),
    }
}

/// An occurrence in one capture.
pub(crate) fn occurrence(hit: &Hit, file: &str, interface: Option<&str>) -> Occurrence {
    Occurrence {
        file: file.to_owned(),
        interface: interface.unwrap_or_default().to_owned(),
        location: location(&hit.location, &hit.decode_chain),
    }
}

/// The place of the answer on each connection that has one, by the connection's number. The connections carry one each.
pub(crate) fn answers(
    messages: &Messages<'_>,
    file: &str,
    interface: Option<&str>,
) -> BTreeMap<u32, Occurrence> {
    let answers = messages.listed.iter().map(|listed| &listed.message).filter(|message| message.status > 0);
    let place = |message: &WireMessage| {
        let occurrence = Occurrence {
            file: file.to_owned(),
            interface: interface.unwrap_or_default().to_owned(),
            location: location(&message.location, &message.decode_chain),
        };
        Some((message.location.stream?, occurrence))
    };
    answers.filter_map(place).collect()
}
