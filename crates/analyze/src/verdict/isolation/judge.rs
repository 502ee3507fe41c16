//! What may be said of an isolation run. Pure: from what was read to the entry in the result.
//!
//! *leaked*: something of a box without network is on a wire, or in another user's hands. *isolated*: nothing is, every
//! way out was tried, and of every way it was shown that these captures would have seen it. Anything else is
//! *inconclusive*, with every reason.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use exposure_schema::{
    AttemptEntry, BoxEntry, DecoyControl, Identity, InterfaceEntry, Isolation, IsolationControls,
    IsolationVerdict, KindControl, KindEntry, Occurrence, PhaseName,
};

use super::cross_tenant::{self, Owner};
use super::preconditions::{self, UNBOXED};
use crate::input::isolation_record::{Attempt, BoxRun, Experiment, KINDS, READS};
use crate::observe::frame_ownership::FrameOwnership;

/// Boxes and attempts that are listed one by one; all are judged.
pub(crate) const MAX_LISTED: usize = 1000;

/// One capture, read.
#[derive(Debug)]
pub(crate) struct Captured {
    /// The phase it ran in.
    pub phase: PhaseName,
    /// Its facts for the result.
    pub entry: InterfaceEntry,
    /// Whose frames it holds.
    pub ownership: FrameOwnership,
    /// What of one user's is in another one's talk.
    pub leaks: Vec<String>,
    /// From when to when it was captured, nanoseconds since the epoch, as its manifest says.
    pub window: Option<RangeInclusive<u64>>,
    /// What keeps it from proving that something is absent.
    pub doubts: Vec<String>,
    /// Where each value that was looked for stands: by value, how often and where first.
    pub sightings: BTreeMap<String, (u64, Occurrence)>,
    /// Decoys that were looked for, and found.
    pub decoys: (u64, u64),
}

/// What a box refuses for other reasons than its network, so that it has to be shown without one.
const NEEDS_NO_BOX: [&str; 2] = ["raw", "file"];

/// The boxes of one phase.
#[derive(Debug)]
pub(crate) struct Boxes {
    /// The phase they ran in.
    pub phase: PhaseName,
    /// What they did.
    pub runs: Vec<BoxRun>,
}

/// Puts everything together.
pub(crate) fn judge(
    experiment: &Experiment,
    file: String,
    captures: Vec<Captured>,
    boxes: &[Boxes],
    identity: Option<Identity>,
    mut doubts: Vec<String>,
) -> Isolation {
    let mut leaks = Vec::new();
    if !experiment.finished {
        doubts.push("the run did not come to its end".to_owned());
    }
    let attempts = attempts(experiment, boxes, &captures, &mut leaks, &mut doubts);
    doubts.extend(preconditions::doubts(experiment, boxes));
    let kinds = kinds(&attempts, boxes, &mut doubts);
    judge_captures(experiment, &captures, &mut leaks, &mut doubts);
    let secrets_crossed = judge_crossings(experiment, boxes, &mut leaks, &mut doubts);
    judge_times(&captures, boxes, &mut doubts);

    // In each of them, or one could be of a search that finds nothing.
    let searched = captures.iter().map(|capture| capture.decoys.0).min().unwrap_or(0);
    let found = captures.iter().map(|capture| capture.decoys.1).sum();
    for capture in captures.iter().filter(|capture| capture.decoys.0 == 0) {
        doubts.push(format!("{}: there are no decoys to look for", capture.entry.file));
    }
    let decoys = DecoyControl { passed: searched > 0 && found == 0, searched, found };
    if found > 0 {
        doubts.push(format!("{found} decoy(s) were found: the search finds what is not there"));
    }
    let positive = kinds.iter().filter(|kind| kind.control_passed).count() as u64;
    let verdict = match (leaks.is_empty(), doubts.is_empty()) {
        (false, _) => IsolationVerdict::Leaked,
        (true, true) => IsolationVerdict::Isolated,
        (true, false) => IsolationVerdict::Inconclusive,
    };
    let isolated = || captures.iter().filter(|capture| capture.phase == PhaseName::Isolated);
    Isolation {
        file,
        run_id: experiment.run_id.clone(),
        backend: experiment.backend.clone(),
        verdict,
        reasons: leaks.into_iter().chain(doubts).collect(),
        box_frames: isolated().map(|capture| capture.ownership.foreign).sum(),
        box_canaries: attempts.iter().filter(|attempt| is_isolated(attempt) && attempt.seen > 0).count()
            as u64,
        secrets_crossed,
        controls: IsolationControls {
            positive: KindControl {
                passed: positive == kinds.len() as u64 && positive > 0,
                kinds: kinds.len() as u64,
                seen: positive,
            },
            decoys,
        },
        kinds,
        boxes_total: boxes.iter().map(|boxes| boxes.runs.len() as u64).sum(),
        boxes: boxes
            .iter()
            .flat_map(|boxes| boxes.runs.iter().map(|run| box_entry(boxes.phase, run)))
            .take(MAX_LISTED)
            .collect(),
        attempts_total: attempts.len() as u64,
        attempts: attempts.into_iter().take(MAX_LISTED).collect(),
        interfaces: captures.into_iter().map(|capture| capture.entry).collect(),
        identity,
    }
}

fn box_entry(phase: PhaseName, run: &BoxRun) -> BoxEntry {
    BoxEntry {
        phase,
        name: run.name.clone(),
        user: run.user.clone(),
        network: run.network.clone(),
        exit: run.exit.clone(),
        limits: run.limits.clone(),
    }
}

/// Every attempt of every box, with what was seen of it.
fn attempts(
    experiment: &Experiment,
    boxes: &[Boxes],
    captures: &[Captured],
    leaks: &mut Vec<String>,
    doubts: &mut Vec<String>,
) -> Vec<AttemptEntry> {
    let mut entries = Vec::new();
    for (boxes, run) in boxes.iter().flat_map(|boxes| boxes.runs.iter().map(move |run| (boxes, run))) {
        for attempt in run.attempts() {
            let (seen, first) = seen(&attempt, boxes.phase, captures);
            let reads = attempt.reads();
            let others = experiment.users.iter().filter(|user| run.user.as_deref() != Some(&user.id));
            let secrets = others.filter(|user| attempt.data.contains(&user.secret)).count() as u64;
            let Attempt { kind, target, canary, succeeded, outcome, .. } = attempt;
            let entry = AttemptEntry {
                phase: boxes.phase,
                name: run.name.clone(),
                kind,
                target,
                canary,
                succeeded,
                outcome,
                secrets,
                seen,
                first,
            };
            if is_isolated(&entry) && seen > 0 {
                let place = entry.first.as_ref().map_or_else(String::new, |first| {
                    format!(" on {}, frame {:?}", first.interface, first.location.frames)
                });
                leaks.push(format!(
                    "{}: its {} to {} is on the wire{place}",
                    run.name, entry.kind, entry.target
                ));
            }
            if is_isolated(&entry) && reads && (entry.succeeded || secrets > 0) {
                leaks
                    .push(format!("{}: its {} of {} got what it wanted", run.name, entry.kind, entry.target));
            }
            // Whoever says that it got out must be seen, or the captures do not see everything.
            if !reads && entry.succeeded && seen == 0 {
                let (name, kind, target) = (&entry.name, &entry.kind, &entry.target);
                doubts.push(format!(
                    "{name} says that its {kind} to {target} got through, and no capture shows it"
                ));
            }
            entries.push(entry);
        }
    }
    entries
}

fn seen(attempt: &Attempt, phase: PhaseName, captures: &[Captured]) -> (u64, Option<Occurrence>) {
    let Some(canary) = &attempt.canary else { return (0, None) };
    // Of a box without network nothing may be anywhere, also when it is late.
    let places = captures.iter().filter(|capture| phase == PhaseName::Isolated || capture.phase == phase);
    let places = places.filter_map(|capture| capture.sightings.get(canary));
    places.fold((0, None), |(times, first), (more, place)| {
        (times + more, first.or_else(|| Some(place.clone())))
    })
}

fn is_isolated(attempt: &AttemptEntry) -> bool {
    attempt.phase == PhaseName::Isolated
}

/// Every way out that was tried, and whether the same way, with a network, is seen.
///
/// The same way is the same kind and the same target, by a box that differs in its network alone. Without any box only
/// those count that a box refuses for other reasons.
fn kinds(attempts: &[AttemptEntry], boxes: &[Boxes], doubts: &mut Vec<String>) -> Vec<KindEntry> {
    let unboxed: BTreeSet<&str> = boxes
        .iter()
        .flat_map(|boxes| &boxes.runs)
        .filter(|run| run.network == UNBOXED)
        .map(|run| run.name.as_str())
        .collect();
    let mut kinds: BTreeMap<&str, KindEntry> =
        KINDS.into_iter().map(|kind| (kind, kind_entry(kind))).collect();
    // By kind and target: whether it is seen with a network.
    let mut ways: BTreeMap<(&str, &str), bool> = attempts
        .iter()
        .filter(|attempt| is_isolated(attempt))
        .map(|attempt| ((attempt.kind.as_str(), attempt.target.as_str()), false))
        .collect();
    for attempt in attempts {
        let entry = kinds.entry(&attempt.kind).or_insert_with(|| kind_entry(&attempt.kind));
        let on_a_wire = attempt.seen > 0;
        // What only reads is seen by what it got, not by packets. That it got anything is too much for a box without
        // network; what shows that there was something to get is a user's secret.
        let reads = attempt.kind == READS;
        match attempt.phase {
            PhaseName::Isolated => {
                entry.tried += 1;
                entry.seen += u64::from(if reads { attempt.succeeded } else { on_a_wire });
            }
            PhaseName::Control => {
                if unboxed.contains(attempt.name.as_str()) && !NEEDS_NO_BOX.contains(&attempt.kind.as_str()) {
                    continue;
                }
                entry.control_tried += 1;
                let Some(way) = ways.get_mut(&(attempt.kind.as_str(), attempt.target.as_str())) else {
                    continue;
                };
                let is_seen = if reads { attempt.secrets > 0 } else { on_a_wire };
                entry.control_seen += u64::from(is_seen);
                *way |= is_seen;
            }
        }
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    for kind in &mut kinds {
        let mut of_kind =
            ways.iter().filter(|((name, _), _)| *name == kind.kind).map(|(_, is_seen)| *is_seen);
        // Another's data are in one of several places; every other way has to be seen.
        kind.control_passed = if kind.kind == READS {
            of_kind.any(|seen| seen)
        } else {
            kind.tried > 0 && of_kind.all(|seen| seen)
        };
        if kind.tried == 0 {
            doubts.push(format!("no box without network tried {}", kind.kind));
        } else if !kind.control_passed {
            doubts.push(format!(
                "{}: no positive control: of {} attempt(s) with a network {} were seen to get through, not every way",
                kind.kind, kind.control_tried, kind.control_seen
            ));
        }
    }
    kinds
}

fn kind_entry(kind: &str) -> KindEntry {
    let kind = kind.to_owned();
    KindEntry { kind, tried: 0, seen: 0, control_tried: 0, control_seen: 0, control_passed: false }
}

fn judge_captures(
    experiment: &Experiment,
    captures: &[Captured],
    leaks: &mut Vec<String>,
    doubts: &mut Vec<String>,
) {
    for Captured { phase, entry, ownership, leaks: own_leaks, doubts: own, .. } in captures {
        leaks.extend(own_leaks.iter().cloned());
        doubts.extend(own.iter().map(|doubt| format!("{}: {doubt}", entry.file)));
        if *phase == PhaseName::Isolated && ownership.foreign > 0 {
            let first = ownership.described.first().map_or_else(String::new, |first| {
                format!(", the first is frame {}: {}", first.frame, first.what)
            });
            leaks.push(format!(
                "{}: {} frame(s) that are not of the users' talk{first}",
                entry.interface.as_deref().unwrap_or("?"),
                ownership.foreign
            ));
        }
    }
    let interfaces = |phase| -> BTreeSet<&str> {
        let of_phase = captures.iter().filter(move |capture| capture.phase == phase);
        of_phase.filter_map(|capture| capture.entry.interface.as_deref()).collect()
    };
    for phase in [PhaseName::Isolated, PhaseName::Control] {
        let mut seen = BTreeSet::new();
        let of_phase = || captures.iter().filter(move |capture| capture.phase == phase);
        for interface in of_phase().filter_map(|capture| capture.entry.interface.as_deref()) {
            if !seen.insert(interface) {
                doubts.push(format!(
                    "{interface} was captured twice at once: one of the two is something else"
                ));
            }
        }
        for interface in experiment.interfaces.iter().filter(|name| !seen.contains(name.as_str())) {
            doubts.push(format!("{interface} was not captured in every part of the run"));
        }
        let talking: Vec<_> = of_phase().filter(|capture| capture.ownership.of_users > 0).collect();
        if let [first, second, ..] = talking.as_slice() {
            let name = |capture: &Captured| capture.entry.interface.clone().unwrap_or_default();
            doubts.push(format!("the users' talk is on {} and on {}", name(first), name(second)));
        }
    }
    let (isolated, control) = (interfaces(PhaseName::Isolated), interfaces(PhaseName::Control));
    if isolated.is_empty() {
        doubts.push("nothing was captured while the boxes ran".to_owned());
    }
    for interface in control.difference(&isolated) {
        doubts.push(format!("{interface} was captured for the control only, not while the boxes ran"));
    }
    for interface in isolated.difference(&control) {
        doubts.push(format!("{interface} was captured while the boxes ran, but not for the control"));
    }
}

/// What a box without network has of somebody else's. Returns how many times it is a user's secret.
fn judge_crossings(
    experiment: &Experiment,
    boxes: &[Boxes],
    leaks: &mut Vec<String>,
    doubts: &mut Vec<String>,
) -> u64 {
    let mut secrets = 0;
    for crossing in cross_tenant::crossings(experiment, boxes, doubts) {
        match crossing.of {
            Owner::User(id) => {
                leaks.push(format!("{}: it has what only user {id} told", crossing.name));
                secrets += 1;
            }
            Owner::Box(name) => leaks.push(format!("{}: it has the canary of {name}", crossing.name)),
        }
    }
    secrets
}

/// Who did not listen while a box ran has not seen that it was silent.
fn judge_times(captures: &[Captured], boxes: &[Boxes], doubts: &mut Vec<String>) {
    for capture in captures {
        let runs = boxes.iter().filter(|boxes| boxes.phase == capture.phase).flat_map(|boxes| &boxes.runs);
        let file = &capture.entry.file;
        match &capture.window {
            None => {
                doubts.push(format!("{file}: its manifest does not say from when to when it was captured"));
            }
            Some(window) => {
                let is_covered = |run: &&BoxRun| {
                    window.contains(&run.started_at_unix_ns) && window.contains(&run.ended_at_unix_ns)
                };
                if let Some(run) = runs.into_iter().find(|run| !is_covered(run)) {
                    doubts.push(format!("{file}: it was not captured all the time that {} ran", run.name));
                }
            }
        }
    }
    let mut isolated = captures.iter().filter(|capture| capture.phase == PhaseName::Isolated).peekable();
    if isolated.peek().is_some() && isolated.all(|capture| capture.ownership.of_users == 0) {
        doubts.push(
            "the users' talk with the gateway is in no capture: none of them was where it passes".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use exposure_schema::ForeignFrame;
    use exposure_schema::Location;

    const RUN: &str = "00112233445566778899aabbccddeeff";
    const USERS: [&str; 2] = ["alice-1234", "bob-5678"];
    const SECRETS: [&str; 2] = ["alices-secret", "bobs-secret"];

    /// A run in which all is as it should be: both users' boxes try every way, and with a network each is seen.
    struct Run {
        experiment: Experiment,
        captures: Vec<Captured>,
        boxes: Vec<Boxes>,
    }

    /// Where a user's box listens, and where the other one's does.
    fn neighbours(user: usize) -> (String, String) {
        (format!("127.0.0.1:{}", 7001 + user), format!("127.0.0.1:{}", 7002 - user))
    }

    fn asked(user: usize) -> Vec<(&'static str, String)> {
        let target = |kind| match kind {
            "file" => "/store".to_owned(),
            "neighbour" => neighbours(user).1,
            _ => "10.79.0.2:8000".to_owned(),
        };
        KINDS.into_iter().map(|kind| (kind, target(kind))).collect()
    }

    /// Another one for every box and every way.
    fn canary(place: usize, kind: usize) -> String {
        format!("{:032x}", 0xabcd_0000 + place * 100 + kind)
    }

    fn attempt(kind: &str, target: &str, canary: Option<&str>, succeeded: bool, data: &str) -> Value {
        json!({ "schema": "plainsight.attempt/1", "kind": kind, "target": target, "canary": canary,
                "succeeded": succeeded, "outcome": "Network is unreachable (os error 101)", "data": data })
    }

    /// `place` tells the boxes apart; `through` are the ways that get through.
    fn box_run(place: usize, user: Option<usize>, network: &str, through: &[&str]) -> BoxRun {
        let of = user.unwrap_or_default();
        let stderr: String = asked(of)
            .iter()
            .enumerate()
            .map(|(index, (kind, target))| {
                let succeeded = through.contains(kind);
                let data = if succeeded && *kind == READS { SECRETS.join(" ") } else { String::new() };
                let canary = (*kind != READS).then(|| canary(place, index));
                format!("{}\n", attempt(kind, target, canary.as_deref(), succeeded, &data))
            })
            .collect();
        let run = json!({
            "schema": "plainsight.box/1", "run": RUN, "box": format!("box {place}"), "network": network,
            "user": user.map(|user| USERS[user]), "started_at_unix_ns": 20, "ended_at_unix_ns": 30,
            "exit": "code 0",
            "limits": [{ "name": "network", "mechanism": "network namespace", "value": "interfaces: lo" }],
            "stdout": format!("listen {}: listening", neighbours(of).0), "stderr": stderr,
        });
        serde_json::from_value(run).unwrap()
    }

    /// The ways that a box gets through by once it has a network.
    const BY_NETWORK: [&str; 5] = ["dns", "ipv6", "neighbour", "tcp", "udp"];

    fn run() -> Run {
        let user = |index: usize| {
            let attempts: Vec<_> = asked(index)
                .into_iter()
                .map(|(kind, target)| json!({ "kind": kind, "target": target }))
                .collect();
            json!({ "id": USERS[index], "secret": SECRETS[index], "address": "10.78.0.2", "attempts": attempts })
        };
        let experiment = json!({
            "schema": "plainsight.isolation/1", "run_id": RUN, "backend": "namespace", "finished": true,
            "phases": [], "interfaces": ["veth-back"],
            "talk": { "server": "10.78.0.1:8000", "clients": ["10.78.0.2"] },
            "users": [user(0), user(1)], "replay": null,
        });
        let control = vec![
            box_run(2, Some(0), "host", &BY_NETWORK),
            box_run(3, Some(1), "host", &BY_NETWORK),
            box_run(4, None, UNBOXED, &["raw", "file"]),
        ];
        let seen = control.iter().flat_map(BoxRun::attempts).filter(|attempt| attempt.succeeded);
        let seen: Vec<String> = seen.filter_map(|attempt| attempt.canary).collect();
        Run {
            experiment: serde_json::from_value(experiment).unwrap(),
            captures: vec![captured(PhaseName::Isolated, &[]), captured(PhaseName::Control, &seen)],
            boxes: vec![
                Boxes {
                    phase: PhaseName::Isolated,
                    runs: vec![box_run(0, Some(0), "none", &[]), box_run(1, Some(1), "none", &[])],
                },
                Boxes { phase: PhaseName::Control, runs: control },
            ],
        }
    }

    fn captured(phase: PhaseName, seen: &[String]) -> Captured {
        let location = Location {
            frames: vec![3],
            file_offset: 100,
            stream: None,
            direction: None,
            stream_offset: None,
            wire_bytes: 32,
            layers: Vec::new(),
            filter: "frame.number == 3".to_owned(),
            excerpt: None,
        };
        let sighting =
            Occurrence { file: "back.pcap".to_owned(), interface: "veth-back".to_owned(), location };
        let traffic = json!({ "server": "10.78.0.1:8000", "clients": ["10.78.0.2"] });
        let mut ownership = FrameOwnership::new(serde_json::from_value(traffic).unwrap());
        ownership.of_users = 10;
        Captured {
            phase,
            entry: InterfaceEntry {
                phase,
                interface: Some("veth-back".to_owned()),
                file: "back.pcap".to_owned(),
                sha256: "0".repeat(64),
                frames: 0,
                talk_frames: 0,
                arp_frames: 0,
                box_frames: 0,
                box_frames_listed: Vec::new(),
                kernel_drops: Some(0),
            },
            ownership,
            leaks: Vec::new(),
            window: Some(10..=40),
            doubts: Vec::new(),
            sightings: seen.iter().map(|canary| (canary.clone(), (1, sighting.clone()))).collect(),
            decoys: (8, 0),
        }
    }

    fn verdict(run: Run) -> (IsolationVerdict, String) {
        let judged =
            judge(&run.experiment, "isolation.json".to_owned(), run.captures, &run.boxes, None, Vec::new());
        (judged.verdict, judged.reasons.join("; "))
    }

    type Damage = fn(&mut Run);

    fn assert_all(expected: IsolationVerdict, damages: &[(Damage, &str)]) {
        for (damage, reason) in damages {
            let mut damaged = run();
            damage(&mut damaged);
            let (verdict, reasons) = verdict(damaged);
            assert_eq!(verdict, expected, "{reason}: {reasons}");
            assert!(reasons.contains(reason), "{reason}: {reasons}");
        }
    }

    /// Of which phase, and of which box in it.
    fn one(run: &mut Run, phase: usize, number: usize) -> &mut BoxRun {
        &mut run.boxes[phase].runs[number]
    }

    fn remember(run: &mut Run, canary: String) {
        let sighting = captured(PhaseName::Control, std::slice::from_ref(&canary)).sightings.remove(&canary);
        run.captures[1].sightings.insert(canary, sighting.unwrap());
    }

    #[test]
    fn a_clean_run_is_isolated() {
        assert_eq!(verdict(run()), (IsolationVerdict::Isolated, String::new()));
    }

    #[test]
    fn every_leak_is_one() {
        assert_all(
            IsolationVerdict::Leaked,
            &[
                (
                    |run| run.captures[0] = captured(PhaseName::Isolated, &[canary(0, 5)]),
                    "box 0: its tcp to 10.79.0.2:8000 is on the wire",
                ),
                // Late: in a capture of the control.
                (|run| remember(run, canary(1, 6)), "box 1: its udp to 10.79.0.2:8000 is on the wire"),
                (
                    |run| {
                        run.captures[0].ownership.foreign = 2;
                        let what = "ICMPv6 :: to ff02::16".to_owned();
                        let frame = ForeignFrame { frame: 1, at_unix_ns: 0, wire_bytes: 90, what };
                        run.captures[0].ownership.described.push(frame);
                    },
                    "2 frame(s) that are not of the users' talk, the first is frame 1: ICMPv6",
                ),
                (
                    |run| {
                        run.captures[0].leaks.push("what only user bob-5678 told is on veth-back".to_owned());
                    },
                    "told is on veth-back",
                ),
                (
                    |run| one(run, 0, 0).stdout.push_str("bobs-secret"),
                    "box 0: it has what only user bob-5678 told",
                ),
                // As hex digits, and as JSON in which every letter is escaped.
                (
                    |run| one(run, 0, 0).stdout.push_str("626f62732d736563726574"),
                    "box 0: it has what only user bob-5678 told",
                ),
                (
                    |run| {
                        let escaped: String =
                            "bobs-secret".bytes().map(|byte| format!("\\u{byte:04x}")).collect();
                        one(run, 0, 0).stderr.push_str(&format!("{{\"text\":\"{escaped}\"}}\n"));
                    },
                    "box 0: it has what only user bob-5678 told",
                ),
                (|run| one(run, 0, 1).stdout.push_str(&canary(0, 3)), "box 1: it has the canary of box 0"),
                (
                    |run| {
                        let read = attempt("file", "/etc/shadow", None, true, "");
                        one(run, 0, 0).stderr.push_str(&format!("{read}\n"));
                    },
                    "box 0: its file of /etc/shadow got what it wanted",
                ),
            ],
        );
    }

    #[test]
    fn every_doubt_keeps_it_from_being_isolated() {
        assert_all(
            IsolationVerdict::Inconclusive,
            &[
                (|run| run.experiment.finished = false, "did not come to its end"),
                (|run| drop(run.captures.remove(0)), "veth-back was captured for the control only"),
                (|run| drop(run.captures.remove(1)), "but not for the control"),
                (
                    |run| run.captures[1].entry.interface = Some("eth9".to_owned()),
                    "eth9 was captured for the control only",
                ),
                (
                    |run| run.experiment.interfaces.push("lo".to_owned()),
                    "lo was not captured in every part of the run",
                ),
                (
                    |run| run.captures.push(captured(PhaseName::Isolated, &[])),
                    "veth-back was captured twice at once",
                ),
                (
                    |run| {
                        let mut second = captured(PhaseName::Isolated, &[]);
                        second.entry.interface = Some("lo".to_owned());
                        run.captures.push(second);
                    },
                    "the users' talk is on veth-back and on lo",
                ),
                (
                    |run| run.captures[0].doubts.push("the kernel dropped 1 frame(s)".to_owned()),
                    "the kernel dropped 1",
                ),
                (|run| run.captures[0].decoys = (8, 1), "1 decoy(s) were found"),
                (|run| run.captures[0].decoys = (0, 0), "back.pcap: there are no decoys to look for"),
                (|run| run.captures[0].window = None, "does not say from when to when"),
                (|run| run.captures[0].window = Some(21..=40), "not captured all the time that box 0 ran"),
                (|run| run.captures[1].window = Some(10..=29), "not captured all the time that box 2 ran"),
                (|run| run.captures[0].ownership.of_users = 0, "talk with the gateway is in no capture"),
            ],
        );
    }

    /// What only reads has to find what a user told; every other way has to be seen, to the same target, by a box.
    #[test]
    fn a_control_that_passes_for_another_reason_does_not() {
        assert_all(
            IsolationVerdict::Inconclusive,
            &[
                (|run| run.captures[1].sightings.clear(), "no capture shows it"),
                (|run| run.boxes[1].runs.clear(), "tcp: no positive control: of 0 attempt(s)"),
                (
                    |run| {
                        for number in [0, 1] {
                            *one(run, 1, number) = box_run(2 + number, Some(number), "host", &[]);
                        }
                        run.captures[1].sightings.clear();
                        remember(run, canary(4, 4));
                        // A process without any box gets out by every way: that is no control of a box.
                        *one(run, 1, 2) = box_run(4, None, UNBOXED, &KINDS);
                        for kind in 0..KINDS.len() {
                            remember(run, canary(4, kind));
                        }
                    },
                    "tcp: no positive control: of 2 attempt(s) with a network 0",
                ),
                (
                    |run| {
                        for number in [0, 1] {
                            let other = one(run, 1, number).stderr.replace("10.79.0.2", "10.79.0.9");
                            one(run, 1, number).stderr = other;
                        }
                    },
                    "udp: no positive control",
                ),
                (
                    |run| {
                        let silent = box_run(3, Some(1), "host", &["dns", "ipv6", "tcp", "udp"]);
                        *one(run, 1, 1) = silent;
                        let canary = canary(3, 3);
                        run.captures[1].sightings.remove(&canary);
                    },
                    "neighbour: no positive control: of 2 attempt(s) with a network 1",
                ),
                (
                    |run| {
                        let nothing = one(run, 1, 2).stderr.replace("secret", "nothing");
                        one(run, 1, 2).stderr = nothing;
                    },
                    "file: no positive control",
                ),
                (
                    |run| one(run, 1, 0).network = "none".to_owned(),
                    "box 2 is the control's, and had no network",
                ),
            ],
        );
    }

    #[test]
    fn what_was_asked_for_has_to_be_done() {
        assert_all(
            IsolationVerdict::Inconclusive,
            &[
                (|run| run.boxes.clear(), "no box without network tried tcp"),
                (|run| drop(run.boxes[0].runs.pop()), "no box of user bob-5678 tried dns"),
                (|run| run.experiment.users.truncate(1), "nobody to be kept apart from"),
                (
                    |run| run.experiment.users[1].attempts.truncate(3),
                    "no box of user bob-5678 was asked to try neighbour",
                ),
                (
                    |run| run.experiment.user_traffic.clients.push("10.78.0.9".parse().unwrap()),
                    "10.78.0.9 may talk to the gateway, and is nobody's address",
                ),
                (
                    |run| one(run, 0, 0).stderr = one(run, 0, 0).stderr.replacen("{", "x{", 1),
                    "box 0: 1 line(s) on attempts cannot be read",
                ),
                (
                    |run| one(run, 0, 0).stderr = one(run, 0, 0).stderr.replacen("attempt/1", "attempt/2", 1),
                    "box 0: 1 line(s) on attempts cannot be read",
                ),
                (
                    |run| one(run, 0, 0).stderr = one(run, 0, 0).stderr.trim_end().to_owned(),
                    "box 0: 1 line(s) on attempts cannot be read",
                ),
                (
                    |run| {
                        let canary = format!("\"{}\"", canary(0, 5));
                        one(run, 0, 0).stderr = one(run, 0, 0).stderr.replace(&canary, "null");
                    },
                    "box 0: its tcp to 10.79.0.2:8000 tells no canary",
                ),
                (
                    |run| one(run, 0, 1).stdout.clear(),
                    "box 0: no box of another user listened at 127.0.0.1:7002",
                ),
                (
                    |run| {
                        one(run, 0, 1).started_at_unix_ns = 30;
                        one(run, 0, 1).ended_at_unix_ns = 40;
                    },
                    "box 0: no box of another user listened at 127.0.0.1:7002",
                ),
                (|run| one(run, 0, 0).ended_at_unix_ns = 20, "box 0 ended before it began"),
                (|run| one(run, 0, 0).network = "host".to_owned(), "was given the network host"),
                (|run| one(run, 0, 0).limits.clear(), "box 0: nobody read back that it had no network"),
                (
                    |run| one(run, 0, 0).limits[0].value = "interfaces: lo, eth0".to_owned(),
                    "box 0: nobody read back that it had no network",
                ),
                (|run| one(run, 0, 0).user = Some("carol".to_owned()), "box 0 ran for nobody of this run"),
                (|run| one(run, 0, 0).exit = "signal 9".to_owned(), "ended with signal 9"),
                (|run| one(run, 0, 0).run = "another".to_owned(), "is of run another"),
                // Feints of compressed data, more than are tried.
                (|run| one(run, 0, 0).stdout.push_str(&"x^".repeat(400)), "the output of box 0: "),
            ],
        );
    }
}
