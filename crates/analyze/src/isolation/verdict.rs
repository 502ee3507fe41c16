//! What may be said of an isolation run. Pure: from what was read to the entry in the result.
//!
//! *leaked*: something of a box without network is on a wire, or in another user's hands. *isolated*: nothing is, every
//! way out was tried, and of every way it was shown that these captures would have seen it. Anything else is
//! *inconclusive*, with every reason.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::experiment::{Attempt, BoxRun, Experiment, PhaseName};
use super::result::{
    AttemptEntry, BoxEntry, Identity, InterfaceEntry, Isolation, IsolationControls, IsolationVerdict,
    KindEntry, Sighting,
};
use super::wire::Tally;
use crate::exposure::DecoyControl;

/// Boxes and attempts that are listed one by one; all are judged.
pub(super) const MAX_LISTED: usize = 1000;

/// The network of a box that has none.
const NO_NETWORK: &str = "none";

/// One capture, read.
#[derive(Debug)]
pub(super) struct Captured {
    /// The phase it ran in.
    pub phase: PhaseName,
    /// Its facts for the result.
    pub entry: InterfaceEntry,
    /// Whose frames it holds.
    pub tally: Tally,
    /// From when to when it was captured, nanoseconds since the epoch, as its manifest says.
    pub window: Option<RangeInclusive<u64>>,
    /// What keeps it from proving that something is absent.
    pub doubts: Vec<String>,
    /// Where each value that was looked for stands: by value, how often and where first.
    pub sightings: BTreeMap<String, (u64, Sighting)>,
    /// Decoys that were looked for, and found.
    pub decoys: (u64, u64),
}

/// The boxes of one phase.
#[derive(Debug)]
pub(super) struct Boxes {
    /// The phase they ran in.
    pub phase: PhaseName,
    /// What they did.
    pub runs: Vec<BoxRun>,
}

/// Puts everything together.
pub(super) fn judge(
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
    let kinds = kinds(&attempts, &mut doubts);
    judge_captures(&captures, &mut leaks, &mut doubts);
    let secrets_crossed = judge_secrets(experiment, boxes, &mut leaks);
    judge_boxes(experiment, boxes, &mut doubts);
    judge_times(&captures, boxes, &mut doubts);

    let (searched, found) = captures.iter().fold((0, 0), |(searched, found), capture| {
        (capture.decoys.0.max(searched), found + capture.decoys.1)
    });
    let decoys = DecoyControl { passed: searched > 0 && found == 0, searched, found };
    if !decoys.passed {
        doubts.push(match found {
            0 => "there were no decoys to look for".to_owned(),
            found => format!("{found} decoy(s) were found: the search finds what is not there"),
        });
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
        box_frames: isolated().map(|capture| capture.tally.foreign).sum(),
        box_canaries: attempts.iter().filter(|attempt| attempt.is_isolated() && attempt.seen > 0).count()
            as u64,
        secrets_crossed,
        controls: IsolationControls {
            positive: super::result::KindControl {
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
            if entry.is_isolated() && seen > 0 {
                let place = entry.first.as_ref().map_or_else(String::new, |first| {
                    format!(" on {}, frame {:?}", first.interface, first.location.frames)
                });
                leaks.push(format!(
                    "{}: its {} to {} is on the wire{place}",
                    run.name, entry.kind, entry.target
                ));
            }
            if entry.is_isolated() && entry.canary.is_none() && entry.succeeded {
                leaks
                    .push(format!("{}: its {} of {} got what it wanted", run.name, entry.kind, entry.target));
            }
            // Whoever says that it got out must be seen, or the captures do not see everything.
            if entry.canary.is_some() && entry.succeeded && seen == 0 {
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

fn seen(attempt: &Attempt, phase: PhaseName, captures: &[Captured]) -> (u64, Option<Sighting>) {
    let Some(canary) = &attempt.canary else { return (0, None) };
    let places = captures.iter().filter(|capture| capture.phase == phase);
    let places = places.filter_map(|capture| capture.sightings.get(canary));
    places.fold((0, None), |(times, first), (more, place)| {
        (times + more, first.or_else(|| Some(place.clone())))
    })
}

/// Every way out that was tried, and whether the same way, with a network, is seen.
fn kinds(attempts: &[AttemptEntry], doubts: &mut Vec<String>) -> Vec<KindEntry> {
    let mut kinds: BTreeMap<&str, KindEntry> = BTreeMap::new();
    for attempt in attempts {
        let entry = kinds.entry(&attempt.kind).or_insert_with(|| KindEntry::new(&attempt.kind));
        let on_a_wire = attempt.seen > 0;
        // What only reads is seen by what it got, not by packets. That it got anything is too much for a box without
        // network; what shows that there was something to get is a user's secret.
        let reads = attempt.canary.is_none();
        match attempt.phase {
            PhaseName::Isolated => {
                entry.tried += 1;
                entry.seen += u64::from(if reads { attempt.succeeded } else { on_a_wire });
            }
            PhaseName::Control => {
                entry.control_tried += 1;
                entry.control_seen += u64::from(if reads { attempt.secrets > 0 } else { on_a_wire });
            }
        }
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    for kind in &mut kinds {
        kind.control_passed = kind.control_seen > 0;
        if kind.tried == 0 {
            doubts.push(format!("no box without network tried {}", kind.kind));
        } else if !kind.control_passed {
            doubts.push(format!(
                "{}: no positive control: {} attempt(s) with a network, none of them seen to get through",
                kind.kind, kind.control_tried
            ));
        }
    }
    if kinds.is_empty() {
        doubts.push("no box tried anything".to_owned());
    }
    kinds
}

fn judge_captures(captures: &[Captured], leaks: &mut Vec<String>, doubts: &mut Vec<String>) {
    for Captured { phase, entry, tally, doubts: own, .. } in captures {
        doubts.extend(own.iter().map(|doubt| format!("{}: {doubt}", entry.file)));
        if *phase == PhaseName::Isolated && tally.foreign > 0 {
            let first = tally.described.first().map_or_else(String::new, |first| {
                format!(", the first is frame {}: {}", first.frame, first.what)
            });
            leaks.push(format!(
                "{}: {} frame(s) that are not of the users' talk{first}",
                entry.interface.as_deref().unwrap_or("?"),
                tally.foreign
            ));
        }
    }
    let interfaces = |phase| -> BTreeSet<&str> {
        let of_phase = captures.iter().filter(move |capture| capture.phase == phase);
        of_phase.filter_map(|capture| capture.entry.interface.as_deref()).collect()
    };
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

/// Another user's secret in what a box without network got hold of. Returns how many boxes have one.
fn judge_secrets(experiment: &Experiment, boxes: &[Boxes], leaks: &mut Vec<String>) -> u64 {
    let mut crossed = 0;
    for run in boxes.iter().filter(|boxes| boxes.phase == PhaseName::Isolated).flat_map(|boxes| &boxes.runs) {
        for owner in experiment.users.iter().filter(|owner| run.user.as_deref() != Some(&owner.id)) {
            if run.stdout.contains(&owner.secret) || run.stderr.contains(&owner.secret) {
                leaks.push(format!("{}: it has what only user {} told", run.name, owner.id));
                crossed += 1;
            }
        }
    }
    crossed
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
    if isolated.peek().is_some() && isolated.all(|capture| capture.tally.talk == 0) {
        doubts.push(
            "the users' talk with the gateway is in no capture: none of them was where it passes".to_owned(),
        );
    }
}

fn judge_boxes(experiment: &Experiment, boxes: &[Boxes], doubts: &mut Vec<String>) {
    for (boxes, run) in boxes.iter().flat_map(|boxes| boxes.runs.iter().map(move |run| (boxes, run))) {
        if run.run != experiment.run_id {
            doubts.push(format!("{} is of run {}, not of {}", run.name, run.run, experiment.run_id));
        }
        if boxes.phase == PhaseName::Isolated && run.network != NO_NETWORK {
            doubts.push(format!("{} was given the network {}", run.name, run.network));
        }
        if run.exit != "code 0" {
            doubts
                .push(format!("{} ended with {}: nobody knows what it would have tried", run.name, run.exit));
        }
    }
    let told_by = |user: &str| {
        let isolated = boxes.iter().filter(|boxes| boxes.phase == PhaseName::Isolated);
        isolated.flat_map(|boxes| &boxes.runs).any(|run| run.user.as_deref() == Some(user))
    };
    for user in experiment.users.iter().filter(|user| !told_by(&user.id)) {
        doubts.push(format!("no box ran for user {}", user.id));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exposure::Location;
    use crate::isolation::wire::ForeignFrame;

    const RUN: &str = "00112233445566778899aabbccddeeff";
    const CANARY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const CONTROL_CANARY: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// A run in which all is as it should be.
    struct Run {
        experiment: Experiment,
        captures: Vec<Captured>,
        boxes: Vec<Boxes>,
    }

    fn run() -> Run {
        let experiment = json!({
            "schema": "plainsight.isolation/1", "run_id": RUN, "backend": "namespace", "finished": true,
            "phases": [], "talk": { "server": "10.78.0.1:8000", "clients": ["10.78.0.2"] },
            "users": [{ "id": "alice-1234", "secret": "alices-secret" }, { "id": "bob-5678", "secret": "bobs-secret" }],
            "replay": null,
        });
        let isolated = |user: &str| box_run(user, "none", CANARY, false);
        let (alice, bob) = (isolated("alice-1234"), isolated("bob-5678"));
        let control = box_run("alice-1234", "host", CONTROL_CANARY, true);
        Run {
            experiment: serde_json::from_value(experiment).unwrap(),
            captures: vec![
                captured(PhaseName::Isolated, None),
                captured(PhaseName::Control, Some(CONTROL_CANARY)),
            ],
            boxes: vec![
                Boxes { phase: PhaseName::Isolated, runs: vec![alice, bob] },
                Boxes { phase: PhaseName::Control, runs: vec![control] },
            ],
        }
    }

    fn box_run(user: &str, network: &str, canary: &str, succeeded: bool) -> BoxRun {
        let attempt = json!({
            "schema": "plainsight.attempt/1", "kind": "tcp", "target": "10.79.0.2:8000", "canary": canary,
            "succeeded": succeeded, "outcome": "Network is unreachable (os error 101)",
        });
        let run = json!({
            "schema": "plainsight.box/1", "run": RUN, "box": format!("box of {user}"), "user": user,
            "network": network, "started_at_unix_ns": 20, "ended_at_unix_ns": 30, "exit": "code 0", "limits": [], "stdout": "", "stderr": format!("words\n{attempt}\n"),
        });
        serde_json::from_value(run).unwrap()
    }

    fn captured(phase: PhaseName, seen: Option<&str>) -> Captured {
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
        let sighting = Sighting { file: "back.pcap".to_owned(), interface: "veth-back".to_owned(), location };
        let mut talking = Tally::default();
        talking.talk = 10;
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
            tally: talking,
            window: Some(10..=40),
            doubts: Vec::new(),
            sightings: seen.map(|canary| (canary.to_owned(), (1, sighting))).into_iter().collect(),
            decoys: (8, 0),
        }
    }

    fn verdict(run: Run) -> (IsolationVerdict, String) {
        let judged =
            judge(&run.experiment, "isolation.json".to_owned(), run.captures, &run.boxes, None, Vec::new());
        (judged.verdict, judged.reasons.join("; "))
    }

    #[test]
    fn a_clean_run_is_isolated() {
        assert_eq!(verdict(run()), (IsolationVerdict::Isolated, String::new()));
    }

    #[test]
    fn every_leak_is_one() {
        type Damage = fn(&mut Run);
        let damages: [(Damage, &str); 4] = [
            (
                |run| run.captures[0] = captured(PhaseName::Isolated, Some(CANARY)),
                "its tcp to 10.79.0.2:8000 is on the",
            ),
            (
                |run| {
                    run.captures[0].tally.foreign = 2;
                    let what = "ICMPv6 :: to ff02::16".to_owned();
                    let frame = ForeignFrame { frame: 1, at_unix_ns: 0, wire_bytes: 90, what };
                    run.captures[0].tally.described.push(frame);
                },
                "2 frame(s) that are not of the users' talk, the first is frame 1: ICMPv6",
            ),
            (|run| run.boxes[0].runs[0].stdout.push_str("bobs-secret"), "has what only user bob-5678 told"),
            (
                |run| {
                    let read = json!({ "schema": "plainsight.attempt/1", "kind": "file", "target": "/etc/shadow",
                                       "canary": null, "succeeded": true, "outcome": "read 10 bytes" });
                    run.boxes[0].runs[0].stderr.push_str(&read.to_string());
                    run.boxes[1].runs[0].stderr.push_str(&read.to_string());
                },
                "its file of /etc/shadow got what it wanted",
            ),
        ];
        for (damage, reason) in damages {
            let mut damaged = run();
            damage(&mut damaged);
            let (verdict, reasons) = verdict(damaged);
            assert_eq!(verdict, IsolationVerdict::Leaked, "{reasons}");
            assert!(reasons.contains(reason), "{reasons}");
        }
    }

    #[test]
    fn every_doubt_keeps_it_from_being_isolated() {
        type Damage = fn(&mut Run);
        let damages: [(Damage, &str); 17] = [
            (|run| run.experiment.finished = false, "did not come to its end"),
            (|run| run.captures[1].sightings.clear(), "no capture shows it"),
            (
                |run| {
                    run.captures[1].sightings.clear();
                    run.boxes[1].runs[0] = box_run("alice-1234", "host", CONTROL_CANARY, false);
                },
                "tcp: no positive control",
            ),
            (|run| run.boxes[1].runs.clear(), "tcp: no positive control: 0 attempt(s)"),
            (|run| run.boxes[0].runs.clear(), "no box without network tried tcp"),
            (|run| run.boxes.clear(), "no box tried anything"),
            (|run| drop(run.captures.remove(0)), "veth-back was captured for the control only"),
            (|run| drop(run.captures.remove(1)), "but not for the control"),
            (
                |run| run.captures[1].entry.interface = Some("eth9".to_owned()),
                "eth9 was captured for the control only",
            ),
            (
                |run| run.captures[0].doubts.push("the kernel dropped 1 frame(s)".to_owned()),
                "the kernel dropped 1",
            ),
            (|run| run.captures[0].decoys = (8, 1), "1 decoy(s) were found"),
            (|run| run.boxes[0].runs[0].network = "host".to_owned(), "was given the network host"),
            (|run| run.boxes[0].runs[0].exit = "signal 9".to_owned(), "ended with signal 9"),
            (|run| run.captures[0].window = None, "does not say from when to when"),
            (
                |run| run.captures[0].window = Some(21..=40),
                "not captured all the time that box of alice-1234 ran",
            ),
            (
                |run| run.captures[1].window = Some(10..=29),
                "not captured all the time that box of alice-1234 ran",
            ),
            (|run| run.captures[0].tally.talk = 0, "talk with the gateway is in no capture"),
        ];
        for (damage, reason) in damages {
            let mut damaged = run();
            damage(&mut damaged);
            let (verdict, reasons) = verdict(damaged);
            assert_eq!(verdict, IsolationVerdict::Inconclusive, "{reason}: {reasons}");
            assert!(reasons.contains(reason), "{reason}: {reasons}");
        }
        // What only reads: that it got through is not enough, it must have found what a user told.
        let reading = |data: &str| {
            let attempt = |succeeded, data| {
                json!({ "schema": "plainsight.attempt/1", "kind": "file", "target": "/store", "canary": null,
                        "succeeded": succeeded, "outcome": "…", "data": data })
            };
            let mut run = run();
            run.boxes[0].runs[0].stderr.push_str(&attempt(false, "").to_string());
            run.boxes[1].runs[0].stderr.push_str(&attempt(true, data).to_string());
            run
        };
        assert_eq!(verdict(reading("Keep this: bobs-secret")).0, IsolationVerdict::Isolated);
        // The control's box is alice's: her own secret is none.
        for data in ["", "SQLite format 3", "alices-secret"] {
            let (verdict, reasons) = verdict(reading(data));
            assert_eq!(verdict, IsolationVerdict::Inconclusive, "{data}");
            assert!(reasons.contains("file: no positive control: 1 attempt(s)"), "{reasons}");
        }
        let mut silent = run();
        silent.boxes[0].runs.pop();
        assert!(verdict(silent).1.contains("no box ran for user bob-5678"));
    }
}
