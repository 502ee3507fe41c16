//! Whether the replay fails where users are authenticated over TLS.
//!
//! ```text
//! capture, without keys   the owner's id, token, secret and conversation are nowhere
//! capture, with keys      owner     message, list, conversation  200, with the secret
//!                         intruder  list, conversation           401, without credentials; with tokens also with a wrong one
//! ```
//! Every byte of every connection has to be one of these requests, or its answer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use dissect::flow::Direction;
use exposure_schema::{Credential, Occurrence, ProtectedAnswer, ProtectionEntry};
use serde_json::Value;

use super::boxes::MIN_VALUE;
use super::captures::{Captured, own_findings};
use super::doubt::{CaptureDoubt, IsolationDoubt};
use super::findings::Findings;
use super::http::{self, Answer};
use super::leak::Leak;
use super::not_shown::{NotShown, Unplanned};
use super::outputs::quoted;
use super::timeline::beacon_doubts;
use crate::input::isolation_record::{Experiment, Protection};
use crate::observe::opened_connections::OpenedConnection;
use crate::verdict::doubt::Doubt;

/// What the capture of one protection shows.
#[derive(Debug)]
pub(crate) struct Protected {
    /// The capture by itself.
    pub captured: Captured,
    /// Doubts about its TLS.
    pub of_tls: Vec<CaptureDoubt>,
    /// TCP connections with payload, and those of them that are TLS.
    pub with_data: u64,
    pub tls: u64,
    /// TLS records that did not open.
    pub unopened_records: u64,
    /// The connections as the key log opens them, in the order of their numbers.
    pub connections: Vec<OpenedConnection>,
    /// Where the answer of each connection is, by the connection's number.
    pub answers: BTreeMap<u32, Occurrence>,
    /// What the search found of what an intruder must not read.
    pub values: Vec<SearchedValue>,
    /// The first frame from the gateway to the intruder with the secret, by whatever reading.
    pub told_intruder: Option<u64>,
}

/// A value that TLS has to hide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SearchedValue {
    pub what: &'static str,
    /// Number of occurrences that can be read without a key.
    pub clear: u64,
    /// Number of occurrences that the key log opens.
    pub opened: u64,
}

/// One planned request.
struct Step<'p> {
    client: IpAddr,
    credential: Credential,
    method: &'static str,
    target: String,
    body: Vec<u8>,
    /// What the answer must hold.
    answer: Expected<'p>,
}

/// The answer to a planned request.
#[derive(Clone, Copy)]
enum Expected<'p> {
    /// The conversation that is created.
    Created,
    /// 200 with this text.
    With(&'p str),
    /// 401 with this code.
    Refused(&'static str),
}

/// What the intruder must not read: planned values, and those that the owner's connections carry.
pub(crate) fn hidden_values(
    protection: &Protection,
    connections: &[OpenedConnection],
) -> Vec<(&'static str, String)> {
    let mut hidden =
        vec![("the owner's id", protection.user.clone()), ("the owner's secret", protection.secret.clone())];
    let is_owners = |connection: &&OpenedConnection| {
        connection.ends.is_some_and(|(client, _)| client.ip() == protection.owner)
    };
    for connection in connections.iter().filter(is_owners) {
        let request = http::request_over_tls(&connection.sent[Direction::ClientToServer]).ok();
        let target = request.as_ref().map(|request| request.target);
        let conversation = target.and_then(|target| target.strip_prefix("/api/conversation/"));
        let token = request.and_then(|request| request.authorization?.strip_prefix("Bearer "));
        hidden.extend(token.map(|token| ("the owner's token", token.to_owned())));
        hidden.extend(conversation.map(|id| ("the owner's conversation", id.to_owned())));
    }
    hidden.retain(|(_, value)| value.len() >= MIN_VALUE);
    hidden.sort();
    hidden.dedup();
    hidden
}

/// Judges every planned protection, in the order of the plan. `before`: the captures of the phases.
pub(super) fn judge(
    experiment: &Experiment,
    protected: &[Option<Protected>],
    before: &[Captured],
) -> (Vec<ProtectionEntry>, Findings) {
    let ended = before.iter().filter_map(|capture| Some(*capture.window.as_ref()?.end())).max();
    let run = ended.unwrap_or(experiment.started_at_unix_ns)..=experiment.ended_at_unix_ns;
    let mut all = Findings::default();
    let mut entries = Vec::new();
    let nothing = std::iter::repeat_with(|| &None);
    for (protection, protected) in experiment.protections.iter().zip(protected.iter().chain(nothing)) {
        let mut judged = Judged::new(protection);
        match protected {
            None => judged.doubt(NotShown::NoCapture(protection.capture.clone())),
            Some(protected) => {
                judged.capture(protected);
                if let Some(window) = &protected.captured.window {
                    judged.time(window, &run, protected.captured.ownership.beacons.at);
                }
                judged.connections(protected);
            }
        }
        let Judged { mut entry, findings, .. } = judged;
        entry.shown = findings.leaks.is_empty() && findings.doubts.is_empty();
        entries.push(entry);
        all.append(findings);
    }
    (entries, all)
}

/// One protection, while it is judged.
struct Judged<'p> {
    protection: &'p Protection,
    entry: ProtectionEntry,
    findings: Findings,
    /// The conversation that the owner was given.
    conversation: String,
    /// The owner's token.
    token: Option<String>,
}

impl<'p> Judged<'p> {
    fn new(protection: &'p Protection) -> Self {
        let entry = ProtectionEntry {
            auth: protection.auth.clone(),
            listen: protection.server.to_string(),
            user: protection.user.clone(),
            file: None,
            read: 0,
            owner: None,
            replays: Vec::new(),
            shown: false,
        };
        let (conversation, token) = (String::new(), None);
        Self { protection, entry, findings: Findings::default(), conversation, token }
    }

    fn doubt(&mut self, why: NotShown) {
        let auth = self.protection.auth.clone();
        self.findings.doubts.push(IsolationDoubt::ProtectionNotShown { auth, why });
    }

    /// The capture is made behind the phases and within the run, and covers its beacons.
    fn time(&mut self, window: &RangeInclusive<u64>, run: &RangeInclusive<u64>, beacons: [Option<u64>; 2]) {
        if !run.contains(window.start()) || !run.contains(window.end()) {
            self.findings.doubts.push(IsolationDoubt::PhasesOutOfOrder);
        }
        if beacons.iter().flatten().any(|at| !window.contains(at)) {
            let file = self.entry.file.clone().unwrap_or_default();
            self.findings.doubts.push(IsolationDoubt::Capture { file, doubt: Doubt::OutsideTime.into() });
        }
    }

    /// The capture as a whole: it is complete and alive, all of it is TLS that opens, and nothing can be read without a key.
    fn capture(&mut self, protected: &Protected) {
        let Protected { captured, of_tls, with_data, tls, unopened_records, values, .. } = protected;
        self.entry.file = Some(captured.file.clone());
        self.findings.append(own_findings(captured));
        let of_file = |doubt| IsolationDoubt::Capture { file: captured.file.clone(), doubt };
        let no_times = captured.window.is_none().then_some(CaptureDoubt::NoTimes);
        let doubts = of_tls.iter().cloned().chain(no_times).chain(beacon_doubts(captured, &[]));
        self.findings.doubts.extend(doubts.map(of_file));
        if captured.interface.as_ref() != Some(&self.protection.interface) {
            self.doubt(NotShown::OtherInterface);
        }
        if captured.ownership.foreign > 0 {
            self.doubt(NotShown::ForeignFrames(captured.ownership.foreign));
        }
        if tls < with_data {
            self.doubt(NotShown::NotTls { count: with_data - tls, with_data: *with_data });
        }
        if *unopened_records > 0 {
            self.doubt(NotShown::NotOpened(*unopened_records));
        }
        for value in values {
            self.entry.read += value.clear;
            if value.clear > 0 {
                self.doubt(NotShown::Readable { what: value.what, times: value.clear });
            } else if value.opened == 0 {
                self.doubt(NotShown::NotFound(value.what));
            }
        }
    }

    /// The connections: the planned requests in their order, and no others.
    fn connections(&mut self, protected: &Protected) {
        let Protected { connections, answers, told_intruder, .. } = protected;
        let secret = self.protection.secret.as_bytes();
        let leaking = connections.iter().find(|connection| {
            let is_intruders =
                connection.ends.is_some_and(|(client, _)| client.ip() == self.protection.intruder);
            let told = &connection.sent[Direction::ServerToClient];
            is_intruders && memchr::memmem::find(told, secret).is_some()
        });
        if leaking.is_some() || told_intruder.is_some() {
            self.findings.leaks.push(Leak::ReplayAnswered {
                auth: self.protection.auth.clone(),
                user: self.protection.user.clone(),
                stream: leaking.map(|connection| connection.stream),
                frame: *told_intruder,
            });
        }
        let planned = self.number_of_steps();
        if planned == 0 {
            self.doubt(NotShown::UnknownAuth);
        }
        if connections.len() != planned {
            self.doubt(NotShown::Connections { planned, seen: connections.len() });
        }
        for (number, connection) in connections.iter().enumerate() {
            let Some(step) = self.step(number) else { break };
            let answered = answers.get(&connection.stream);
            if let Err(why) = self.take(&step, connection, answered.cloned()) {
                self.doubt(NotShown::Connection { stream: connection.stream, why });
            }
        }
    }

    fn number_of_steps(&self) -> usize {
        (0..).take_while(|number| self.step(*number).is_some()).count()
    }

    /// The `number`-th planned request. It depends on the conversation that the first one created.
    fn step(&self, number: usize) -> Option<Step<'p>> {
        use Credential::{Certificate, Nothing, Token, WrongToken};
        let Protection { auth, owner, intruder, secret, message, .. } = self.protection;
        let (own, replays): (_, &[_]) = match auth.as_str() {
            "token" => (Token, &[(Nothing, "missing_token"), (WrongToken, "invalid_token")]),
            "mtls" => (Certificate, &[(Nothing, "missing_certificate")]),
            _ => return None,
        };
        let list = || "/api/conversations".to_owned();
        let one = || format!("/api/conversation/{}", self.conversation);
        let get = |client, credential, target, answer| Step {
            client,
            credential,
            method: "GET",
            target,
            body: Vec::new(),
            answer,
        };
        Some(match number {
            0 => Step {
                client: *owner,
                credential: own,
                method: "POST",
                target: "/api/conversation".to_owned(),
                body: format!("{{\"message\":{}}}", quoted(message)).into_bytes(),
                answer: Expected::Created,
            },
            // The list has no text of messages; the conversation's id is checked where it is asked for.
            1 => get(*owner, own, list(), Expected::With("")),
            2 => get(*owner, own, one(), Expected::With(secret)),
            _ => {
                let (credential, code) = *replays.get((number - 3) / 2)?;
                let target = if number % 2 == 1 { list() } else { one() };
                get(*intruder, credential, target, Expected::Refused(code))
            }
        })
    }

    fn take(
        &mut self,
        step: &Step<'_>,
        connection: &OpenedConnection,
        answered: Option<Occurrence>,
    ) -> Result<(), Unplanned> {
        let (client, server) = connection.ends.ok_or(Unplanned::Ends)?;
        if client.ip() != step.client || server != self.protection.server {
            return Err(Unplanned::Ends);
        }
        let request = http::request_over_tls(&connection.sent[Direction::ClientToServer]);
        let answer = http::answer(&connection.sent[Direction::ServerToClient]).map_err(Unplanned::Answer)?;
        self.enter(step, client, &answer, answered);
        let request = request.map_err(Unplanned::Request)?;
        let is_planned = request.method == step.method
            && request.target == step.target
            && request.body == step.body
            && request.host == server.to_string()
            && request.user == self.protection.user;
        if !is_planned {
            return Err(Unplanned::Other);
        }
        if !self.has_credential(step.credential, request.authorization, connection) {
            return Err(Unplanned::Credential);
        }
        self.check_answer(step.answer, &answer)
    }

    /// Notes an answer for the result.
    fn enter(
        &mut self,
        step: &Step<'_>,
        client: SocketAddr,
        answer: &Answer<'_>,
        answered: Option<Occurrence>,
    ) {
        let status = answer.status.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0);
        let credential = step.credential;
        let answer = ProtectedAnswer { credential, from: client.to_string(), status, answered };
        match step.answer {
            Expected::Refused(_) => self.entry.replays.push(answer),
            Expected::With(text) if !text.is_empty() => self.entry.owner = Some(answer),
            Expected::With(_) | Expected::Created => {}
        }
    }

    /// Whether the client has shown exactly this. The first token is the owner's.
    fn has_credential(
        &mut self,
        credential: Credential,
        authorization: Option<&str>,
        connection: &OpenedConnection,
    ) -> bool {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let has_no_certificate = connection.certificate.is_none();
        match credential {
            Credential::Token => {
                let Some(token) = token.filter(|_| has_no_certificate) else { return false };
                self.token.get_or_insert_with(|| token.to_owned()) == token
            }
            Credential::WrongToken => {
                token.is_some_and(|wrong| self.token.as_deref().is_some_and(|token| token != wrong))
                    && has_no_certificate
            }
            Credential::Certificate => {
                let subject = format!("CN={}", self.protection.user);
                authorization.is_none() && connection.certificate == Some(Ok(subject))
            }
            Credential::Nothing => authorization.is_none() && has_no_certificate,
        }
    }

    fn check_answer(&mut self, expected: Expected<'_>, answer: &Answer<'_>) -> Result<(), Unplanned> {
        let status = if matches!(expected, Expected::Refused(_)) { http::REFUSED } else { http::ANSWERED };
        if answer.status != status {
            return Err(Unplanned::Status);
        }
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| Unplanned::Content)?;
        let is_expected = match expected {
            Expected::Created => {
                let id = body["conversationId"].as_str().unwrap_or_default();
                id.clone_into(&mut self.conversation);
                !id.is_empty()
            }
            Expected::With(text) => memchr::memmem::find(&answer.body, text.as_bytes()).is_some(),
            Expected::Refused(code) => body["error"]["code"] == code,
        };
        if is_expected { Ok(()) } else { Err(Unplanned::Content) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dissect::flow::PerDirection;
    use exposure_schema::{Location, PhaseName};
    use serde_json::json;

    use super::*;
    use crate::observe::frame_ownership::FrameOwnership;
    use crate::verdict::isolation::http::NotRead;

    const USER: &str = "alice-1234";
    const SECRET: &str = "alices-other-secret";
    const CONVERSATION: &str = "conversation-of-alice";
    const TOKEN: &str = "plns_right";
    const OWNER: &str = "10.78.0.2:50000";
    const INTRUDER: &str = "10.78.0.4:50000";

    /// One planned protection, and what its capture shows.
    struct Run {
        experiment: Experiment,
        protected: Vec<Option<Protected>>,
    }

    impl Run {
        fn protected(&mut self) -> &mut Protected {
            self.protected[0].as_mut().expect("a capture")
        }

        fn sent(&mut self, number: usize) -> &mut PerDirection<Vec<u8>> {
            &mut self.protected().connections[number].sent
        }

        /// Replaces a text of an answer; its length stays right.
        fn answer(&mut self, number: usize, from: &str, to: &str) {
            replace(&mut self.sent(number).server_to_client, from, to);
        }

        fn ask(&mut self, number: usize, from: &str, to: &str) {
            replace(&mut self.sent(number).client_to_server, from, to);
        }

        fn judged(&self) -> (Vec<ProtectionEntry>, Findings) {
            judge(&self.experiment, &self.protected, &[])
        }
    }

    fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let old = format!("content-length: {}", body.len());
        let (head, body) = (head.replace(from, to), body.replace(from, to));
        let head = head.replace(&old, &format!("content-length: {}", body.len()));
        *bytes = format!("{head}\r\n\r\n{body}").into_bytes();
    }

    fn request(method: &str, target: &str, authorization: Option<&str>, body: &str) -> Vec<u8> {
        let authorization =
            authorization.map(|value| format!("authorization: {value}\r\n")).unwrap_or_default();
        let len = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        format!(
            "{method} {target} HTTP/1.1\r\nhost: 10.78.0.1:8443\r\ncontent-type: application/json\r\n\
             connection: close\r\nx-user-id: {USER}\r\n{authorization}{len}\r\n{body}"
        )
        .into_bytes()
    }

    fn answer(status: &str, body: &str) -> Vec<u8> {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\ncontent-length: {}\r\nconnection: close\r\n\
             date: Sun, 22 Nov 2026 19:06:54 GMT\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    fn refusal(code: &str) -> Vec<u8> {
        answer("401 Unauthorized", &format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"no\"}}}}"))
    }

    fn run(auth: &str) -> Run {
        let is_by_token = auth == "token";
        let own = is_by_token.then(|| format!("Bearer {TOKEN}"));
        let own = own.as_deref();
        let list = "/api/conversations";
        let one = format!("/api/conversation/{CONVERSATION}");
        let message = format!("{{\"message\":\"Keep {SECRET}\"}}");
        let created = format!("{{\"conversationId\":\"{CONVERSATION}\",\"text\":\"Keep {SECRET}\"}}");
        let listed = format!("{{\"conversations\":[{{\"conversationId\":\"{CONVERSATION}\"}}]}}");
        let mut exchanges = vec![
            (OWNER, request("POST", "/api/conversation", own, &message), answer("200 OK", &created)),
            (OWNER, request("GET", list, own, ""), answer("200 OK", &listed)),
            (OWNER, request("GET", &one, own, ""), answer("200 OK", &created)),
        ];
        let missing = if is_by_token { "missing_token" } else { "missing_certificate" };
        for target in [list, &one] {
            exchanges.push((INTRUDER, request("GET", target, None, ""), refusal(missing)));
        }
        for target in [list, &one].into_iter().filter(|_| is_by_token) {
            let wrong = request("GET", target, Some("Bearer plns_wrong"), "");
            exchanges.push((INTRUDER, wrong, refusal("invalid_token")));
        }
        let connection = |(stream, (from, asked, told)): (u32, (&str, Vec<u8>, Vec<u8>))| OpenedConnection {
            stream,
            ends: Some((from.parse().unwrap(), "10.78.0.1:8443".parse().unwrap())),
            sent: PerDirection { client_to_server: asked, server_to_client: told },
            certificate: (!is_by_token && from == OWNER).then(|| Ok(format!("CN={USER}"))),
        };
        let count = exchanges.len() as u64;
        let connections: Vec<_> = (0..).zip(exchanges).map(connection).collect();
        let found = |what| SearchedValue { what, clear: 0, opened: 2 };
        let experiment = json!({
            "schema": "plainsight.isolation/1", "run_id": "00", "backend": "namespace", "finished": true,
            "started_at_unix_ns": 0, "ended_at_unix_ns": 100, "phases": [], "interfaces": [],
            "talk": { "server": "10.78.0.1:8000", "clients": [] }, "users": [], "replay": null, "plan": null,
            "protections": [{
                "auth": auth, "server": "10.78.0.1:8443", "user": USER, "owner": "10.78.0.2",
                "intruder": "10.78.0.4", "secret": SECRET, "message": format!("Keep {SECRET}"),
                "interface": "veth-front", "capture": "isolation.x.veth-front.pcap",
            }],
        });
        let protected = Protected {
            captured: captured(),
            of_tls: Vec::new(),
            with_data: count,
            tls: count,
            unopened_records: 0,
            answers: connections.iter().map(|connection| (connection.stream, place())).collect(),
            connections,
            values: vec![found("the owner's id"), found("the owner's secret")],
            told_intruder: None,
        };
        Run { experiment: serde_json::from_value(experiment).unwrap(), protected: vec![Some(protected)] }
    }

    fn place() -> Occurrence {
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
        Occurrence { file: "x.pcap".to_owned(), interface: "veth-front".to_owned(), location }
    }

    fn captured() -> Captured {
        let traffic = json!({ "server": "10.78.0.1:8443", "clients": ["10.78.0.2", "10.78.0.4"] });
        let mut ownership =
            FrameOwnership::new(serde_json::from_value(traffic).unwrap(), None, BTreeSet::new());
        ownership.beacons.at = [Some(20), Some(30)];
        Captured {
            phase: PhaseName::Control,
            file: "x.pcap".to_owned(),
            sha256: "0".repeat(64),
            interface: Some("veth-front".to_owned()),
            frames: 10,
            kernel_drops: Some(0),
            ownership,
            leaks: Vec::new(),
            doubts: Vec::new(),
            window: Some(10..=40),
            user_connections: Vec::new(),
            sightings: BTreeMap::new(),
            decoys_searched: 8,
            decoys_found: 0,
        }
    }

    type Damage = fn(&mut Run);

    fn assert_doubts(auth: &str, cases: Vec<(Damage, NotShown)>) {
        for (damage, why) in cases {
            let mut damaged = run(auth);
            damage(&mut damaged);
            let (entries, Findings { leaks, doubts }) = damaged.judged();
            assert!(!entries[0].shown, "{why}");
            assert!(leaks.is_empty(), "{why}: {leaks:?}");
            let doubt = IsolationDoubt::ProtectionNotShown { auth: auth.to_owned(), why };
            assert!(doubts.contains(&doubt), "{doubt:?}: {doubts:?}");
        }
    }

    fn unplanned(stream: u32, why: Unplanned) -> NotShown {
        NotShown::Connection { stream, why }
    }

    #[test]
    fn replay_that_fails_is_shown() {
        for (auth, credentials) in [
            (
                "token",
                vec![
                    Credential::Nothing,
                    Credential::Nothing,
                    Credential::WrongToken,
                    Credential::WrongToken,
                ],
            ),
            ("mtls", vec![Credential::Nothing, Credential::Nothing]),
        ] {
            let (entries, findings) = run(auth).judged();
            assert!(findings.leaks.is_empty() && findings.doubts.is_empty(), "{auth}: {findings:?}");
            let [entry] = entries.as_slice() else { panic!("{entries:?}") };
            assert!(entry.shown && entry.read == 0);
            let owner = entry.owner.as_ref().expect("the owner's answer");
            assert_eq!((owner.status, owner.from.as_str(), owner.answered.is_some()), (200, OWNER, true));
            let shown: Vec<_> = entry.replays.iter().map(|replay| replay.credential).collect();
            assert_eq!(shown, credentials);
            assert!(entry.replays.iter().all(|replay| replay.status == 401 && replay.from == INTRUDER));
        }
    }

    #[test]
    fn run_without_protections_has_none() {
        let mut run = run("token");
        run.experiment.protections.clear();
        run.protected.clear();
        let (entries, findings) = run.judged();
        assert!(entries.is_empty() && findings.leaks.is_empty() && findings.doubts.is_empty());
    }

    #[test]
    fn intruder_that_gets_the_secret_is_a_leak() {
        let cases: [Damage; 3] = [
            |run| run.answer(4, "\"no\"", &format!("\"{SECRET}\"")),
            |run| {
                let told = run.sent(2).server_to_client.clone();
                run.sent(4).server_to_client = told;
            },
            // In whatever form the search finds it.
            |run| run.protected().told_intruder = Some(7),
        ];
        for (auth, damage) in ["token", "mtls"].into_iter().flat_map(|auth| cases.map(|case| (auth, case))) {
            let mut damaged = run(auth);
            damage(&mut damaged);
            let (entries, findings) = damaged.judged();
            assert!(!entries[0].shown);
            let [Leak::ReplayAnswered { auth: leaking, user, .. }] = findings.leaks.as_slice() else {
                panic!("{findings:?}")
            };
            assert_eq!((leaking.as_str(), user.as_str()), (auth, USER));
        }
    }

    #[test]
    fn capture_that_does_not_show_it_is_a_doubt() {
        for auth in ["token", "mtls"] {
            assert_doubts(
                auth,
                vec![
                    (
                        |run| run.protected[0] = None,
                        NotShown::NoCapture("isolation.x.veth-front.pcap".to_owned()),
                    ),
                    (
                        |run| run.protected.clear(),
                        NotShown::NoCapture("isolation.x.veth-front.pcap".to_owned()),
                    ),
                    (
                        |run| run.protected().captured.interface = Some("lo".to_owned()),
                        NotShown::OtherInterface,
                    ),
                    (|run| run.protected().captured.ownership.foreign = 1, NotShown::ForeignFrames(1)),
                    (|run| run.protected().unopened_records = 2, NotShown::NotOpened(2)),
                    (
                        |run| run.protected().values[1].clear = 1,
                        NotShown::Readable { what: "the owner's secret", times: 1 },
                    ),
                    (|run| run.protected().values[0].opened = 0, NotShown::NotFound("the owner's id")),
                ],
            );
        }
        assert_doubts(
            "token",
            vec![(|run| run.protected().tls -= 1, NotShown::NotTls { count: 1, with_data: 7 })],
        );
        assert_doubts(
            "basic",
            vec![(|run| run.experiment.protections[0].auth = "basic".to_owned(), NotShown::UnknownAuth)],
        );
    }

    /// What holds for any capture of a run, and what a key log has to do.
    #[test]
    fn damaged_capture_is_a_doubt() {
        let cases: [(Damage, &str); 9] = [
            (
                |run| run.protected().captured.doubts.push(Doubt::KernelDrops(1).into()),
                "capture.kernel-drops",
            ),
            (|run| run.protected().captured.decoys_searched = 0, "control.no-decoys"),
            (|run| run.protected().captured.window = None, "manifest.no-times"),
            (|run| run.protected().captured.window = Some(10..=101), "isolation.phases-out-of-order"),
            (|run| run.protected().captured.window = Some(21..=40), "capture.outside-time"),
            (|run| run.protected().of_tls.push(Doubt::ConnectionsNotEnded(1).into()), "stream.not-ended"),
            (|run| run.protected().captured.ownership.beacons.at[1] = None, "capture.beacon-missing"),
            (|run| run.protected().of_tls.push(Doubt::NoKeyLog.into()), "control.no-key-log"),
            (|run| run.protected().of_tls.push(Doubt::FinishedDiffers(1).into()), "tls.finished-differs"),
        ];
        for (damage, code) in cases {
            let mut damaged = run("mtls");
            damage(&mut damaged);
            let (entries, Findings { doubts, .. }) = damaged.judged();
            let codes: Vec<_> = doubts.iter().map(IsolationDoubt::code).collect();
            assert!(!entries[0].shown && codes.len() == 1, "{codes:?}");
            assert_eq!(codes, [code]);
        }
    }

    #[test]
    fn other_connections_than_the_planned_ones_are_doubts() {
        for auth in ["token", "mtls"] {
            assert_doubts(
                auth,
                vec![
                    (|run| run.protected().connections[0].ends = None, unplanned(0, Unplanned::Ends)),
                    // The intruder has the owner's address.
                    (
                        |run| {
                            let ends = run.protected().connections[0].ends;
                            run.protected().connections[3].ends = ends;
                        },
                        unplanned(3, Unplanned::Ends),
                    ),
                    (
                        |run| run.sent(3).client_to_server.truncate(9),
                        unplanned(3, Unplanned::Request(NotRead::Cut)),
                    ),
                    (
                        |run| run.sent(3).server_to_client.clear(),
                        unplanned(3, Unplanned::Answer(NotRead::Cut)),
                    ),
                    (|run| run.ask(4, CONVERSATION, "conversation-of-bob"), unplanned(4, Unplanned::Other)),
                    (|run| run.ask(3, USER, "bob-5678"), unplanned(3, Unplanned::Other)),
                    (|run| run.ask(0, "Keep", "keep"), unplanned(0, Unplanned::Other)),
                    (|run| run.answer(3, "401 Unauthorized", "200 OK"), unplanned(3, Unplanned::Status)),
                    (|run| run.answer(3, "missing_", "other_"), unplanned(3, Unplanned::Content)),
                    (|run| run.answer(2, "200 OK", "401 Unauthorized"), unplanned(2, Unplanned::Status)),
                    (|run| run.answer(2, SECRET, "something else"), unplanned(2, Unplanned::Content)),
                    (|run| run.answer(0, "conversationId", "id"), unplanned(0, Unplanned::Content)),
                ],
            );
        }
        for (auth, planned) in [("token", 7), ("mtls", 5)] {
            assert_doubts(
                auth,
                vec![(
                    |run| drop(run.protected().connections.pop()),
                    NotShown::Connections { planned, seen: planned - 1 },
                )],
            );
        }
    }

    #[test]
    fn other_credentials_than_the_planned_ones_are_doubts() {
        let refused = |stream| unplanned(stream, Unplanned::Credential);
        assert_doubts(
            "token",
            vec![
                // The owner without token, and with another one; the intruder with the owner's.
                (|run| run.ask(1, &format!("\r\nauthorization: Bearer {TOKEN}"), ""), refused(1)),
                (|run| run.ask(1, TOKEN, "plns_other"), refused(1)),
                (|run| run.ask(5, "plns_wrong", TOKEN), refused(5)),
                (|run| run.ask(3, "x-user-id", "authorization: Bearer plns_wrong\r\nx-user-id"), refused(3)),
                (
                    |run| run.protected().connections[5].certificate = Some(Ok(format!("CN={USER}"))),
                    refused(5),
                ),
            ],
        );
        assert_doubts(
            "mtls",
            vec![
                (|run| run.protected().connections[1].certificate = None, refused(1)),
                (
                    |run| run.protected().connections[1].certificate = Some(Ok("CN=bob".to_owned())),
                    refused(1),
                ),
                (|run| run.protected().connections[1].certificate = Some(Err("no".to_owned())), refused(1)),
                (
                    |run| run.protected().connections[4].certificate = Some(Ok(format!("CN={USER}"))),
                    refused(4),
                ),
            ],
        );
    }
}
