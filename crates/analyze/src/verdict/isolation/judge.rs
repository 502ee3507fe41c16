//! The verdict on an isolation run.
//!
//! *leaked*: there is a leak. *isolated*: there is none and no doubt either; every escape attempt was made, and the
//! captures would have shown it. *inconclusive*: there is no leak, but a doubt.

use exposure_schema::{
    AttemptEntry, DecoyControl, IsolationVerdict, KindEntry, MeasuredEntry, ProtectionEntry,
};

use super::account::Account;
use super::boxes::Boxes;
use super::captures::{self, Captured};
use super::doubt::IsolationDoubt;
use super::findings::Findings;
use super::leak::Leak;
use super::protections::Protected;
use super::{
    account, attempts, cross_tenant, open_ways, outputs, positive_control, preconditions, protections,
    timeline,
};
use crate::input::isolation_record::{Experiment, Plan};

/// The verdict on a run, with the leaks and doubts behind it.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub verdict: IsolationVerdict,
    pub leaks: Vec<Leak>,
    pub doubts: Vec<IsolationDoubt>,
    pub attempts: Vec<AttemptEntry>,
    pub kinds: Vec<KindEntry>,
    /// What passed by the ways that no sandbox closes.
    pub measured: Vec<MeasuredEntry>,
    pub decoys: DecoyControl,
    /// How much of the users' traffic is accounted for.
    pub account: Account,
    /// Whether the replay fails where users are authenticated, in the order of the plan.
    pub protections: Vec<ProtectionEntry>,
}

/// Applies every rule. `protected`: the captures of the protections, in the order of the plan. `identity_shown`: a capture
/// shows that a user id was read and replayed.
///
/// The order of leaks and doubts follows the rules, then the input: the same run gives the same lists.
pub(crate) fn judge(
    experiment: &Experiment,
    plan: Option<&Plan>,
    boxes: &[Boxes],
    captures: &[Captured],
    protected: &[Option<Protected>],
    identity_shown: bool,
) -> Judgement {
    let mut all = Findings { leaks: Vec::new(), doubts: preconditions::doubts(experiment, boxes) };
    let later: Vec<_> = protected.iter().flatten().map(|protected| &protected.captured).collect();
    let (attempts, of_attempts) = attempts::judge(experiment, boxes, captures, &later);
    all.append(of_attempts);
    let (kinds, no_control) = positive_control::judge(&attempts, boxes);
    all.doubts.extend(no_control);
    all.append(captures::judge_all(experiment, captures, boxes));
    all.doubts.extend(timeline::doubts(experiment, plan, boxes, captures));
    let connections: Vec<_> =
        captures.iter().flat_map(|capture| &capture.user_connections).cloned().collect();
    let (account, of_traffic) = account::judge(experiment, boxes, &connections);
    all.append(of_traffic);
    all.doubts.extend(outputs::doubts(experiment, boxes));
    all.append(cross_tenant::judge(experiment, boxes));
    if experiment.replay.is_some() && !identity_shown {
        all.doubts.push(IsolationDoubt::IdentityNotShown);
    }
    let (protections, of_protections) = protections::judge(experiment, protected, captures);
    all.append(of_protections);
    let Findings { leaks, doubts } = all;
    let verdict = match (leaks.is_empty(), doubts.is_empty()) {
        (false, _) => IsolationVerdict::Leaked,
        (true, true) => IsolationVerdict::Isolated,
        (true, false) => IsolationVerdict::Inconclusive,
    };
    let measured = open_ways::measure(boxes);
    Judgement {
        verdict,
        leaks,
        doubts,
        attempts,
        kinds,
        measured,
        decoys: decoys(captures),
        account,
        protections,
    }
}

/// Sums the decoys of all captures. In a capture without decoys, the search might find nothing at all.
fn decoys(captures: &[Captured]) -> DecoyControl {
    let searched = captures.iter().map(|capture| capture.decoys_searched).min().unwrap_or(0);
    let found = captures.iter().map(|capture| capture.decoys_found).sum();
    DecoyControl { passed: searched > 0 && found == 0, searched, found }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    use dissect::flow::{Direction, PerDirection};
    use exposure_schema::{DoubtScope, ForeignFrame, Isolation, Location, Occurrence, PhaseName};
    use serde_json::json;

    use super::*;
    use crate::input::isolation_record::{BoxRun, Carrier, KINDS};
    use crate::observe::frame_ownership::FrameOwnership;
    use crate::observe::user_connections::{Sent, UserConnection};
    use crate::output::isolation::entry;
    use crate::pipeline::fact::Bound;
    use crate::verdict::doubt::Doubt;
    use crate::verdict::isolation::boxes::{AttemptName, UNBOXED};
    use crate::verdict::isolation::captures::Sighting;
    use crate::verdict::isolation::doubt::CaptureDoubt;
    use crate::verdict::isolation::leak::WirePlace;

    const RUN: &str = "00112233445566778899aabbccddeeff";
    const USERS: [&str; 2] = ["alice-1234", "bob-5678"];
    const SECRETS: [&str; 2] = ["alices-secret", "bobs-secret"];
    const CONVERSATIONS: [&str; 2] = ["conversation-of-alice", "conversation-of-bob"];
    const PLAN: &str = "0123456789abcdef";

    /// When the run began.
    const START: u64 = 1_795_374_414_000_000_000;
    const DATE: &str = "Sun, 22 Nov 2026 19:06:54 GMT";

    /// So many milliseconds after the run began.
    const fn at(ms: u64) -> u64 {
        START + ms * 1_000_000
    }

    /// A run without leak or doubt: the sandboxes of both users make every attempt, and with a network each attempt is
    /// seen.
    struct Run {
        experiment: Experiment,
        plan: Option<Plan>,
        captures: Vec<Captured>,
        boxes: Vec<Boxes>,
    }

    /// The addresses at which the sandbox of this user and that of the other user listen.
    fn neighbours(user: usize) -> (String, String) {
        (format!("127.0.0.1:{}", 7001 + user), format!("127.0.0.1:{}", 7002 - user))
    }

    fn required() -> impl Iterator<Item = &'static str> {
        KINDS.iter().filter(|kind| kind.is_required).map(|kind| kind.name)
    }

    fn asked(user: usize) -> Vec<(&'static str, String)> {
        let target = |kind| match kind {
            "file" => "/store".to_owned(),
            "neighbour" => neighbours(user).1,
            "raw" => "10.79.0.2".to_owned(),
            "lock" => "/program".to_owned(),
            "notify" | "counter" | "timing" => format!("{user}/2 /shared"),
            _ => "10.79.0.2:8000".to_owned(),
        };
        required().map(|kind| (kind, target(kind))).collect()
    }

    /// The message of a user, and the answer of a sandbox without network.
    fn message(user: usize) -> String {
        let attempts = asked(user).into_iter().map(|(kind, target)| format!("attempt {kind} {target}\n"));
        format!("listen {}\n{}Keep this: {}", neighbours(user).0, attempts.collect::<String>(), SECRETS[user])
    }

    fn answer(user: usize) -> String {
        let outcomes = asked(user).into_iter().enumerate().map(|(index, (kind, target))| {
            let canary = (kind != "file").then(|| canary(user, index));
            let report = attempt(kind, &target, canary.as_deref(), false, "");
            let hash = super::outputs::hash(&serde_json::from_str(&report).unwrap()).unwrap();
            format!("{kind} {target}: {OUTCOME} [{hash}]\n")
        });
        format!(
            "listen {}: listening\n{}This is your message number 1, of 3 words: Keep this: {}",
            neighbours(user).0,
            outcomes.collect::<String>(),
            SECRETS[user]
        )
    }

    const OUTCOME: &str = "Network is unreachable (os error 101)";

    /// Distinct for every sandbox and kind of attempt.
    fn canary(place: usize, kind: usize) -> String {
        format!("{:032x}", 0xabcd_0000 + place * 100 + kind)
    }

    /// The canary of a sandbox's attempt of this kind.
    fn own(place: usize, kind: &str) -> String {
        canary(place, required().position(|name| name == kind).unwrap())
    }

    fn attempt(kind: &str, target: &str, canary: Option<&str>, succeeded: bool, data: &str) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let canary = canary.map_or_else(|| "null".to_owned(), quoted);
        let data = if data.is_empty() { String::new() } else { format!(",\"data\":{}", quoted(data)) };
        format!(
            "{{\"schema\":\"plainsight.attempt/1\",\"kind\":{},\"target\":{},\"canary\":{canary},\
             \"succeeded\":{succeeded},\"outcome\":{}{data}}}\n",
            quoted(kind),
            quoted(target),
            quoted(OUTCOME)
        )
    }

    /// The `place`-th sandbox of the run; its attempts of the kinds in `through` succeed.
    fn box_run(place: usize, user: Option<usize>, network: &str, through: &[&str]) -> BoxRun {
        let of = user.unwrap_or(place % 2);
        let stderr: String = asked(of)
            .iter()
            .enumerate()
            .map(|(index, (kind, target))| {
                let succeeded = through.contains(kind);
                let reads = *kind == "file";
                let data = match *kind {
                    _ if !succeeded => String::new(),
                    "file" => SECRETS.join(" "),
                    // The first place of a pair is even.
                    "lock" | "notify" | "counter" => canary(place ^ 1, index),
                    "timing" => canary(place ^ 1, index)[..4].to_owned(),
                    _ => String::new(),
                };
                let canary = (!reads).then(|| canary(place, index));
                attempt(kind, target, canary.as_deref(), succeeded, &data)
            })
            .collect();
        let is_isolated = network == "none";
        let (began, ended) = if is_isolated { (20, 30) } else { (60, 70) };
        let interfaces = if is_isolated { "interfaces: lo" } else { "interfaces: lo, veth-back" };
        let stdout = json!({ "schema": "plainsight.answer/1", "text": answer(of) });
        let stdout = format!("{{\"schema\":\"plainsight.answer/1\",\"text\":{}}}\n", stdout["text"]);
        let run = json!({
            "schema": "plainsight.box/1", "run": RUN, "box": format!("box {place}"), "network": network,
            "user": user.map(|user| USERS[user]), "conversation_id": CONVERSATIONS[of],
            "started_at_unix_ns": at(began), "ended_at_unix_ns": at(ended), "exit": "code 0",
            "limits": [{ "name": "network", "mechanism": "network namespace", "value": interfaces }],
            "stdout": stdout, "stderr": stderr,
        });
        serde_json::from_value(run).unwrap()
    }

    /// The kinds of attempts that succeed with a network.
    const BY_NETWORK: [&str; 5] = ["dns", "ipv6", "neighbour", "tcp", "udp"];

    /// Those that succeed only outside of a sandbox.
    const UNBOXED_KINDS: [&str; 6] = ["raw", "file", "lock", "notify", "counter", "timing"];

    fn run() -> Run {
        let user = |index: usize| {
            let attempts: Vec<_> = asked(index)
                .into_iter()
                .map(|(kind, target)| json!({ "kind": kind, "target": target, "interface": "veth-back" }))
                .collect();
            json!({
                "id": USERS[index], "secret": SECRETS[index], "address": "10.78.0.2",
                "messages": [message(index)], "attempts": attempts
            })
        };
        let phase = |name: &str| json!({ "name": name, "boxes": "boxes.jsonl", "captures": ["back.pcap"] });
        let experiment = json!({
            "schema": "plainsight.isolation/1", "run_id": RUN, "backend": "namespace", "finished": true,
            "started_at_unix_ns": at(0), "ended_at_unix_ns": at(100),
            "phases": [phase("isolated"), phase("control")], "interfaces": ["veth-back"],
            "talk": { "server": "10.78.0.1:8000", "clients": ["10.78.0.2"] },
            "users": [user(0), user(1)], "replay": null,
            "plan": { "file": "isolation.plan.json", "sha256": PLAN },
        });
        let plan = Plan { sha256: PLAN.to_owned(), written_at_unix_ns: at(5), differing: Vec::new() };
        let control = vec![
            box_run(2, Some(0), "host", &BY_NETWORK),
            box_run(3, Some(1), "host", &BY_NETWORK),
            box_run(4, None, UNBOXED, &UNBOXED_KINDS),
            box_run(5, None, UNBOXED, &UNBOXED_KINDS),
        ];
        let seen = control.iter().flat_map(BoxRun::attempts).filter(|attempt| attempt.succeeded);
        let seen: Vec<String> = seen.filter_map(|attempt| attempt.canary.clone()).collect();
        let mut isolated = captured(PhaseName::Isolated, &[]);
        isolated.user_connections = (0..2).map(connection).collect();
        Run {
            experiment: serde_json::from_value(experiment).unwrap(),
            plan: Some(plan),
            captures: vec![isolated, captured(PhaseName::Control, &seen)],
            boxes: vec![
                Boxes {
                    phase: PhaseName::Isolated,
                    runs: vec![box_run(0, Some(0), "none", &[]), box_run(1, Some(1), "none", &[])],
                },
                Boxes { phase: PhaseName::Control, runs: control },
            ],
        }
    }

    /// The connection of a user: one message and its answer.
    fn connection(user: usize) -> UserConnection {
        exchange(
            user,
            &request(
                USERS[user],
                "POST",
                "/api/conversation",
                &json!({ "message": message(user) }).to_string(),
            ),
            &reply(&format!(
                "{{\"conversationId\":\"{}\",\"text\":{}}}",
                CONVERSATIONS[user],
                json!(answer(user))
            )),
        )
    }

    fn request(user: &str, method: &str, target: &str, body: &str) -> String {
        let len = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        format!(
            "{method} {target} HTTP/1.1\r\nhost: 10.78.0.1:8000\r\ncontent-type: application/json\r\n\
             connection: close\r\nx-user-id: {user}\r\n{len}\r\n{body}"
        )
    }

    fn reply(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\ncontent-length: {}\r\nconnection: close\r\ndate: {DATE}\r\n\r\n{body}",
            body.len()
        )
    }

    fn exchange(stream: usize, asked: &str, told: &str) -> UserConnection {
        let sent = |text: &str, ms| Sent { bytes: text.into(), first_at: at(ms), last_at: at(ms) };
        let ends = ("10.78.0.2:50000".parse().unwrap(), "10.78.0.1:8000".parse().unwrap());
        UserConnection {
            stream: stream as u32,
            ends: Some(ends),
            sent: PerDirection::from_fn(|direction| match direction {
                Direction::ClientToServer => sent(asked, 19),
                Direction::ServerToClient => sent(told, 31),
            }),
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
        let first = Occurrence { file: "back.pcap".to_owned(), interface: "veth-back".to_owned(), location };
        let to = |carrier, target: &str| (carrier, target.parse().unwrap());
        let carriers = vec![
            to(Carrier::Tcp, "10.79.0.2:8000"),
            to(Carrier::Udp, "10.79.0.2:8000"),
            to(Carrier::Raw, "10.79.0.2:0"),
            to(Carrier::Tcp, "127.0.0.1:7001"),
            to(Carrier::Tcp, "127.0.0.1:7002"),
        ];
        let sighting = Sighting { count: 1, first: Some(first), carriers };
        let traffic = json!({ "server": "10.78.0.1:8000", "clients": ["10.78.0.2"] });
        let mut ownership =
            FrameOwnership::new(serde_json::from_value(traffic).unwrap(), None, BTreeSet::new());
        ownership.of_users = 10;
        let (began, ended) = if phase == PhaseName::Isolated { (10, 40) } else { (50, 80) };
        ownership.beacons.at = [Some(at(began + 5)), Some(at(ended - 5))];
        Captured {
            phase,
            file: "back.pcap".to_owned(),
            sha256: "0".repeat(64),
            interface: Some("veth-back".to_owned()),
            frames: 10,
            kernel_drops: Some(0),
            ownership,
            leaks: Vec::new(),
            doubts: Vec::new(),
            window: Some(at(began)..=at(ended)),
            user_connections: Vec::new(),
            sightings: seen.iter().map(|canary| (canary.clone(), sighting.clone())).collect(),
            decoys_searched: 8,
            decoys_found: 0,
        }
    }

    fn judged(run: &Run) -> Judgement {
        judge(&run.experiment, run.plan.as_ref(), &run.boxes, &run.captures, &[], false)
    }

    fn entered(run: Run) -> Isolation {
        let judgement = judged(&run);
        entry("isolation.json".to_owned(), &run.experiment, &run.boxes, run.captures, None, judgement)
    }

    type Damage = fn(&mut Run);

    fn assert_leaks(cases: Vec<(Damage, Leak)>) {
        for (damage, leak) in cases {
            let mut damaged = run();
            damage(&mut damaged);
            let judgement = judged(&damaged);
            assert_eq!(judgement.verdict, IsolationVerdict::Leaked, "{leak}: {judgement:?}");
            assert!(judgement.leaks.contains(&leak), "{leak:?}: {:?}", judgement.leaks);
        }
    }

    fn assert_doubts(cases: Vec<(Damage, IsolationDoubt)>) {
        for (damage, doubt) in cases {
            let mut damaged = run();
            damage(&mut damaged);
            let judgement = judged(&damaged);
            assert_eq!(judgement.verdict, IsolationVerdict::Inconclusive, "{doubt}: {judgement:?}");
            assert!(judgement.doubts.contains(&doubt), "{doubt:?}: {:?}", judgement.doubts);
        }
    }

    fn one(run: &mut Run, phase: usize, number: usize) -> &mut BoxRun {
        let run = &mut run.boxes[phase].runs[number];
        // What was read of its output before the change.
        run.reports.take();
        run
    }

    /// Puts a canary into the control's capture.
    fn remember(run: &mut Run, canary: String) {
        let sighting = captured(PhaseName::Control, std::slice::from_ref(&canary)).sightings.remove(&canary);
        run.captures[1].sightings.insert(canary, sighting.unwrap());
    }

    fn sandbox(number: usize) -> String {
        format!("box {number}")
    }

    fn name(number: usize, kind: &str, target: &str) -> AttemptName {
        AttemptName { sandbox: sandbox(number), kind: kind.to_owned(), target: target.to_owned() }
    }

    fn on_wire(number: usize, kind: &str) -> Leak {
        let first = WirePlace { interface: "veth-back".to_owned(), frames: vec![3] };
        Leak::CanaryOnWire { attempt: name(number, kind, "10.79.0.2:8000"), first: Some(first) }
    }

    fn of_capture(doubt: impl Into<CaptureDoubt>) -> IsolationDoubt {
        IsolationDoubt::Capture { file: "back.pcap".to_owned(), doubt: doubt.into() }
    }

    fn not_seen(kind: &str, tried: u64, seen: u64) -> IsolationDoubt {
        IsolationDoubt::EscapeNotSeen { kind: kind.to_owned(), tried, seen }
    }

    #[test]
    fn run_without_leak_or_doubt_is_isolated() {
        let judgement = judged(&run());
        assert_eq!(judgement.verdict, IsolationVerdict::Isolated, "{judgement:?}");
        assert!(judgement.leaks.is_empty() && judgement.doubts.is_empty());
    }

    #[test]
    fn canaries_and_foreign_frames_on_a_wire_are_leaks() {
        assert_leaks(vec![
            (|run| run.captures[0] = captured(PhaseName::Isolated, &[own(0, "tcp")]), on_wire(0, "tcp")),
            // Too late: in a capture of the control.
            (|run| remember(run, own(1, "udp")), on_wire(1, "udp")),
            // Counted, but without a location.
            (
                |run| {
                    let nowhere = Sighting { count: 1, ..Sighting::default() };
                    run.captures[0].sightings.insert(own(0, "tcp"), nowhere);
                },
                Leak::CanaryOnWire { attempt: name(0, "tcp", "10.79.0.2:8000"), first: None },
            ),
            (
                |run| {
                    run.captures[0].ownership.foreign = 2;
                    run.captures[0].ownership.described.push(foreign_frame());
                },
                Leak::ForeignFrames {
                    interface: Some("veth-back".to_owned()),
                    count: 2,
                    first: Some(foreign_frame()),
                },
            ),
            (|run| run.captures[0].leaks.push(secret_in_traffic()), secret_in_traffic()),
        ]);
    }

    fn foreign_frame() -> ForeignFrame {
        ForeignFrame { frame: 1, at_unix_ns: 0, wire_bytes: 90, what: "ICMPv6 :: to ff02::16".to_owned() }
    }

    fn secret_in_traffic() -> Leak {
        Leak::SecretInTraffic { interface: Some("veth-back".to_owned()), frame: 7, user: USERS[1].to_owned() }
    }

    #[test]
    fn data_of_another_tenant_in_a_sandbox_is_a_leak() {
        let secret = || Leak::SecretInOutput { sandbox: sandbox(0), user: USERS[1].to_owned() };
        assert_leaks(vec![
            (|run| one(run, 0, 0).stdout.push_str("bobs-secret"), secret()),
            // As hex digits, and as JSON in which every letter is escaped.
            (|run| one(run, 0, 0).stdout.push_str("626f62732d736563726574"), secret()),
            (
                |run| {
                    let escaped: String =
                        "bobs-secret".bytes().map(|byte| format!("\\u{byte:04x}")).collect();
                    one(run, 0, 0).stderr.push_str(&format!("{{\"text\":\"{escaped}\"}}\n"));
                },
                secret(),
            ),
            (
                |run| one(run, 0, 1).stdout.push_str(&own(0, "neighbour")),
                Leak::CanaryInOutput { sandbox: sandbox(1), owner: sandbox(0) },
            ),
            (
                |run| {
                    let read = attempt("file", "/etc/shadow", None, true, "");
                    one(run, 0, 0).stderr.push_str(&read);
                },
                Leak::ReadSucceeded(name(0, "file", "/etc/shadow")),
            ),
            (
                |run| {
                    let heard =
                        attempt("counter", "0/2 /shared", Some(&own(9, "counter")), true, &own(1, "counter"));
                    one(run, 0, 0).stderr.push_str(&heard);
                },
                Leak::ReadSucceeded(name(0, "counter", "0/2 /shared")),
            ),
        ]);
    }

    /// By a way that no sandbox closes, data is no leak; how much of it is right is in the result.
    #[test]
    fn what_passes_by_an_open_way_is_measured() {
        let mut run = run();
        for (number, word) in [(0, own(1, "timing")), (1, own(8, "timing"))] {
            let silent =
                attempt("timing", &format!("{number}/2 /shared"), Some(&own(number, "timing")), false, "");
            let target = format!("{number}/2 /shared");
            let heard = attempt("timing", &target, Some(&own(number, "timing")), true, &word[28..]);
            let stderr = one(&mut run, 0, number).stderr.replace(&silent, &heard);
            one(&mut run, 0, number).stderr = stderr;
        }
        let measured = judged(&run).measured;
        assert!(matches!(measured.as_slice(), [timing] if timing.bits == 32 && timing.control_right == 32));
    }

    #[test]
    fn captures_that_miss_an_interface_are_doubts() {
        let veth_back = || "veth-back".to_owned();
        let eth9 = || "eth9".to_owned();
        assert_doubts(vec![
            (
                |run| drop(run.captures.remove(0)),
                IsolationDoubt::InterfaceOnlyInControl { interface: veth_back() },
            ),
            (|run| drop(run.captures.remove(0)), IsolationDoubt::NothingCaptured),
            (
                |run| drop(run.captures.remove(1)),
                IsolationDoubt::InterfaceOnlyIsolated { interface: veth_back() },
            ),
            (
                |run| run.captures[1].interface = Some("eth9".to_owned()),
                IsolationDoubt::InterfaceOnlyInControl { interface: eth9() },
            ),
            (
                |run| run.experiment.interfaces.push("lo".to_owned()),
                IsolationDoubt::InterfaceMissing { interface: "lo".to_owned() },
            ),
            (
                |run| run.captures.push(captured(PhaseName::Isolated, &[])),
                IsolationDoubt::InterfaceTwice { interface: veth_back() },
            ),
            (
                |run| {
                    let mut second = captured(PhaseName::Isolated, &[]);
                    second.interface = Some("lo".to_owned());
                    run.captures.push(second);
                },
                IsolationDoubt::TrafficOnTwoInterfaces { interfaces: [veth_back(), "lo".to_owned()] },
            ),
            (|run| run.captures[0].ownership.of_users = 0, IsolationDoubt::NoUserTraffic),
        ]);
    }

    #[test]
    fn incomplete_captures_are_doubts() {
        let uncovered = |number| CaptureDoubt::LifetimeNotCovered { sandbox: sandbox(number) };
        assert_doubts(vec![
            (|run| run.experiment.finished = false, IsolationDoubt::NotFinished),
            (
                |run| run.captures[0].doubts.push(Doubt::KernelDrops(1).into()),
                of_capture(Doubt::KernelDrops(1)),
            ),
            (|run| run.captures[0].decoys_found = 1, of_capture(Doubt::DecoysFound(1))),
            (|run| run.captures[0].decoys_searched = 0, of_capture(Doubt::NoDecoys)),
            (|run| run.captures[0].window = None, of_capture(CaptureDoubt::NoTimes)),
            (|run| run.captures[0].window = Some(at(21)..=at(40)), of_capture(uncovered(0))),
            (|run| run.captures[1].window = Some(at(50)..=at(69)), of_capture(uncovered(2))),
        ]);
    }

    /// An attempt that reads has to find the secret of a user; any other has to be seen, to the same target, by a sandbox.
    #[test]
    fn control_that_does_not_show_an_attempt_is_a_doubt() {
        assert_doubts(vec![
            (
                |run| run.captures[1].sightings.clear(),
                IsolationDoubt::SuccessNotCaptured(name(2, "tcp", "10.79.0.2:8000")),
            ),
            (|run| run.boxes[1].runs.clear(), not_seen("tcp", 0, 0)),
            (
                |run| {
                    for number in [0, 1] {
                        *one(run, 1, number) = box_run(2 + number, Some(number), "host", &[]);
                    }
                    run.captures[1].sightings.clear();
                    // A process without any sandbox succeeds in everything: that is no control of a sandbox.
                    for number in [2, 3] {
                        *one(run, 1, number) =
                            box_run(2 + number, None, UNBOXED, &required().collect::<Vec<_>>());
                    }
                    for kind in 0..required().count() {
                        for place in [4, 5] {
                            remember(run, canary(place, kind));
                        }
                    }
                },
                not_seen("tcp", 2, 0),
            ),
            (
                |run| {
                    for number in [0, 1] {
                        let other = one(run, 1, number).stderr.replace("10.79.0.2", "10.79.0.9");
                        one(run, 1, number).stderr = other;
                    }
                },
                not_seen("udp", 2, 0),
            ),
            (
                |run| {
                    let silent = box_run(3, Some(1), "host", &["dns", "ipv6", "tcp", "udp"]);
                    *one(run, 1, 1) = silent;
                    let canary = own(3, "neighbour");
                    run.captures[1].sightings.remove(&canary);
                },
                not_seen("neighbour", 2, 1),
            ),
            (
                |run| {
                    for number in [2, 3] {
                        let nothing = one(run, 1, number).stderr.replace("secret", "nothing");
                        one(run, 1, number).stderr = nothing;
                    }
                },
                not_seen("file", 4, 0),
            ),
            // A process that hears itself, or a canary of no attempt, hears no other.
            (
                |run| {
                    let itself = one(run, 1, 2).stderr.replace(&own(5, "notify"), &own(4, "notify"));
                    one(run, 1, 2).stderr = itself;
                },
                not_seen("notify", 4, 1),
            ),
            (
                |run| {
                    for (number, heard) in [(2, 5), (3, 4)] {
                        let unknown =
                            one(run, 1, number).stderr.replace(&own(heard, "lock"), &own(9, "lock"));
                        one(run, 1, number).stderr = unknown;
                    }
                },
                not_seen("lock", 4, 0),
            ),
            // Seven digits can be an accident.
            (
                |run| {
                    for (number, heard) in [(2, 5), (3, 4)] {
                        let whole = own(heard, "counter");
                        let short = one(run, 1, number).stderr.replace(&whole, &whole[..7]);
                        one(run, 1, number).stderr = short;
                    }
                },
                not_seen("counter", 4, 0),
            ),
            (|run| drop(run.boxes[1].runs.pop()), not_seen("counter", 3, 0)),
            (
                |run| one(run, 1, 0).network = "none".to_owned(),
                IsolationDoubt::ControlWithoutNetwork { sandbox: sandbox(2) },
            ),
        ]);
    }

    #[test]
    fn attempts_that_were_not_made_are_doubts() {
        let not_made = |user: usize, kind: &str| IsolationDoubt::AttemptNotMade {
            user: USERS[user].to_owned(),
            kind: kind.to_owned(),
            target: "10.79.0.2:8000".to_owned(),
        };
        let no_neighbour =
            || IsolationDoubt::NeighbourMissing { sandbox: sandbox(0), target: "127.0.0.1:7002".to_owned() };
        let unreadable = || IsolationDoubt::AttemptsUnreadable { sandbox: sandbox(0), lines: 1 };
        assert_doubts(vec![
            (|run| run.boxes.clear(), IsolationDoubt::KindNotTried("tcp".to_owned())),
            (|run| drop(run.boxes[0].runs.pop()), not_made(1, "dns")),
            (
                |run| run.experiment.users[1].attempts.truncate(3),
                IsolationDoubt::AttemptNotRequested { user: USERS[1].to_owned(), kind: "neighbour" },
            ),
            (|run| one(run, 0, 0).stderr = one(run, 0, 0).stderr.replacen("{", "x{", 1), unreadable()),
            (
                |run| one(run, 0, 0).stderr = one(run, 0, 0).stderr.replacen("attempt/1", "attempt/2", 1),
                unreadable(),
            ),
            (|run| one(run, 0, 0).stderr = one(run, 0, 0).stderr.trim_end().to_owned(), unreadable()),
            (
                |run| {
                    let canary = format!("\"{}\"", own(0, "tcp"));
                    one(run, 0, 0).stderr = one(run, 0, 0).stderr.replace(&canary, "null");
                },
                IsolationDoubt::CanaryUnsearchable(name(0, "tcp", "10.79.0.2:8000")),
            ),
            (|run| one(run, 0, 1).stdout.clear(), no_neighbour()),
            (
                |run| {
                    one(run, 0, 1).started_at_unix_ns = at(30);
                    one(run, 0, 1).ended_at_unix_ns = at(34);
                },
                no_neighbour(),
            ),
        ]);
    }

    #[test]
    fn users_that_cannot_be_distinguished_are_doubts() {
        assert_doubts(vec![
            (|run| run.experiment.users.truncate(1), IsolationDoubt::TooFewUsers(1)),
            (
                |run| run.experiment.user_traffic.clients.push("10.78.0.9".parse().unwrap()),
                IsolationDoubt::UnknownClient(IpAddr::from([10, 78, 0, 9])),
            ),
            (
                |run| {
                    let same = one(run, 1, 0).stderr.replace(&own(2, "tcp"), &own(2, "udp"));
                    one(run, 1, 0).stderr = same;
                },
                IsolationDoubt::ValueNotUnique,
            ),
            (
                |run| run.experiment.users[0].secret = "short".to_owned(),
                IsolationDoubt::ValueTooShort("short".to_owned()),
            ),
            (|run| drop(run.experiment.phases.remove(0)), IsolationDoubt::IsolatedPhases(0)),
            (
                |run| {
                    let replay = json!({ "user": USERS[0], "client": "10.78.0.4" });
                    run.experiment.replay = Some(serde_json::from_value(replay).unwrap());
                },
                IsolationDoubt::IdentityNotShown,
            ),
        ]);
    }

    #[test]
    fn sandboxes_that_differ_from_the_request_are_doubts() {
        let not_read_back =
            |limits: Vec<String>| IsolationDoubt::NetworkNotReadBack { sandbox: sandbox(0), limits };
        assert_doubts(vec![
            (
                |run| one(run, 0, 0).ended_at_unix_ns = at(20),
                IsolationDoubt::TimesReversed { sandbox: sandbox(0) },
            ),
            (
                |run| one(run, 0, 0).network = "host".to_owned(),
                IsolationDoubt::HasNetwork { sandbox: sandbox(0), network: "host".to_owned() },
            ),
            (|run| one(run, 0, 0).limits.clear(), not_read_back(Vec::new())),
            (
                |run| one(run, 0, 0).limits[0].value = "interfaces: lo, eth0".to_owned(),
                not_read_back(vec!["interfaces: lo, eth0".to_owned()]),
            ),
            (
                |run| {
                    one(run, 0, 0).user = Some("carol".to_owned());
                    one(run, 0, 0).stdout.clear();
                },
                IsolationDoubt::UnknownUser { sandbox: sandbox(0) },
            ),
            (
                |run| one(run, 0, 0).exit = "signal 9".to_owned(),
                IsolationDoubt::SandboxFailed { sandbox: sandbox(0), exit: "signal 9".to_owned() },
            ),
            (
                |run| one(run, 0, 0).run = "another".to_owned(),
                IsolationDoubt::SandboxOfOtherRun {
                    sandbox: sandbox(0),
                    run: "another".to_owned(),
                    expected: RUN.to_owned(),
                },
            ),
            // Magic numbers of compressed data, more than are tried.
            (
                |run| one(run, 0, 0).stdout.push_str(&"x^".repeat(400)),
                IsolationDoubt::Output { sandbox: sandbox(0), doubt: Doubt::Bound(Bound::CarveAttempts) },
            ),
        ]);
    }

    /// Leaks and doubts of every kind, several of each.
    fn damaged_run() -> Run {
        let mut run = run();
        run.experiment.interfaces.extend((0..20).map(|number| format!("eth{number}")));
        for number in 0..20 {
            let mut more = box_run(10 + number, Some(number % 2), "host", &["tcp", "file"]);
            let others: Vec<_> = (10..30).map(|other| own(other, "tcp")).collect();
            more.stdout = format!("{} {}", SECRETS.join(" "), others.join(" "));
            run.boxes[0].runs.push(more);
            let mut capture = captured(PhaseName::Isolated, &[own(10 + number, "udp")]);
            capture.interface = Some(format!("veth{number}"));
            capture.doubts = vec![Doubt::KernelDrops(1).into(), CaptureDoubt::Filtered];
            run.captures.push(capture);
        }
        run
    }

    #[test]
    fn same_run_gives_the_same_result_byte_for_byte() {
        let json = || serde_json::to_string(&entered(damaged_run())).unwrap();
        let first = json();
        for _ in 0..3 {
            assert!(first == json(), "the lists have another order");
        }
    }

    #[test]
    fn entry_lists_leaks_and_doubts_in_the_order_of_its_reasons() {
        let entered = entered(damaged_run());
        assert!(entered.leaks.len() > 400 && entered.doubts.len() > 100, "{:?}", entered.reasons);
        let texts: Vec<_> =
            entered.leaks.iter().chain(&entered.doubts).map(|entry| entry.text.clone()).collect();
        assert_eq!(texts, entered.reasons);
        assert!(entered.leaks.iter().all(|leak| leak.code.starts_with("leak.")));
        assert!(entered.doubts.iter().all(|doubt| !doubt.code.starts_with("leak.")));
        assert_eq!(entered.secrets_crossed, 20, "each of the 20 sandboxes has the secret of the other user");
        let dropped = entered.doubts.iter().find(|doubt| *doubt.code == *"capture.kernel-drops").unwrap();
        assert_eq!(dropped.scope, DoubtScope::Capture);
        assert_eq!(dropped.text, "back.pcap: the kernel dropped 1 frame(s)");
    }
}
