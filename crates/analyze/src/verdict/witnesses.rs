//! Checks whether the witnesses of a run agree: the journals of both agents with each other, with the manifest, and with the
//! connections of the capture.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use dissect::flow::Endpoints;
use serde_json::Value;

use super::doubt::Doubt;
use super::integrity::CLOCKS_APART_NS;
use super::report::CaptureReport;
use crate::input::journal::Message;
use crate::input::manifest::Manifest;
use crate::needles::KnownMessage;
use crate::observe::messages::Seen;

/// The client. The other agent is the server.
const CLIENT: &str = "agent-a";

/// Compares the journals with each other and with the manifest. What one agent sent, the other received; each wrote its lines
/// while the capture ran, under the id in the message.
pub(crate) fn judge(manifest: &Manifest, messages: &[Message]) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let disagreeing = journaled_once(messages);
    if manifest.is_comparison() && disagreeing > 0 {
        doubts.push(Doubt::JournalsDisagree(disagreeing));
    }
    let started = manifest.started_at_unix_ns.unwrap_or(0).saturating_sub(CLOCKS_APART_NS);
    let ended = manifest.ended_at_unix_ns.unwrap_or(u64::MAX).saturating_add(CLOCKS_APART_NS);
    let is_outside =
        |message: &&Message| message.at_unix_ns.is_none_or(|at| !(started..=ended).contains(&at));
    let outside = messages.iter().filter(is_outside).count() as u64;
    if outside > 0 {
        doubts.push(Doubt::JournalOutsideTime(outside));
    }
    let other_ids = messages.iter().filter(|message| has_other_id(message)).count() as u64;
    if other_ids > 0 {
        doubts.push(Doubt::JournalOtherId(other_ids));
    }
    doubts
}

/// Number of messages that agent-a has journaled more or less often than agent-b.
fn journaled_once(messages: &[Message]) -> u64 {
    let mut balance: HashMap<_, i64> = HashMap::new();
    for message in messages {
        let Message { direction, message_id, content_type, body_sha256, .. } = message;
        let times = balance.entry((*direction as u8, message_id, content_type, body_sha256)).or_default();
        *times += if message.agent == CLIENT { 1 } else { -1 };
    }
    balance.values().map(|times| times.unsigned_abs()).sum()
}

/// Whether the message is a JSON object with an id, and the line names another one.
fn has_other_id(message: &Message) -> bool {
    let body = serde_json::from_slice::<Value>(&message.body);
    let id = body.as_ref().ok().and_then(|body| body.get("id")?.as_str());
    id.is_some() && id != message.message_id.as_deref()
}

/// What a line of a journal states about the connection of its message.
#[derive(Debug)]
pub(crate) struct Line {
    /// Index of the message among the known ones.
    message: usize,
    is_client: bool,
    at_unix_ns: Option<u64>,
    local: Option<String>,
    remote: Option<String>,
    content_type: Option<String>,
}

/// The lines of the journals, to be compared with the capture.
pub(crate) fn lines(messages: &[Message], known: &[KnownMessage]) -> Vec<Line> {
    let key = |message: &KnownMessage| (message.direction as u8, message.body_sha256, message.id.clone());
    let by_key: HashMap<_, _> =
        known.iter().enumerate().map(|(index, message)| (key(message), index)).collect();
    let line = |message: &Message| {
        let key = (message.direction as u8, message.body_sha256, message.message_id.clone());
        Some(Line {
            message: *by_key.get(&key)?,
            is_client: message.agent == CLIENT,
            at_unix_ns: message.at_unix_ns,
            local: message.local.clone(),
            remote: message.remote.clone(),
            content_type: message.content_type.clone(),
        })
    };
    messages.iter().filter_map(line).collect()
}

/// Compares the lines of the journals with the capture: each message crossed on the connection that its lines name, in that
/// connection's time, with that content type. Lines of messages that are not in the capture are left out; these messages are a
/// doubt already.
pub(crate) fn judge_on_wire(lines: &[Line], report: &CaptureReport<'_>) -> Vec<Doubt> {
    let Some(manifest) = report.manifest else { return Vec::new() };
    let mut beyond_relay = BeyondRelay::default();
    let (mut connections, mut times, mut types) = (0, 0, 0);
    for line in lines {
        let seen = &report.observed.messages.occurrences[line.message].seen;
        if seen.is_empty() {
            continue;
        }
        types += u64::from(!seen.iter().any(|seen| has_content_type(line, seen)));
        times += u64::from(!seen.iter().any(|seen| is_in_time(line, seen, report)));
        // The capture shows the relay where agent-a speaks to agent-b.
        let is_connected = match (line.is_client, manifest.vantage.as_str(), &seen[..]) {
            (false, "relay", [only]) => beyond_relay.agrees(line, only.stream),
            (false, "relay", _) => true,
            _ => seen.iter().any(|seen| is_on_connection(line, seen, report)),
        };
        connections += u64::from(!is_connected);
    }
    let counted = [
        (connections, Doubt::JournalOtherConnection(connections)),
        (times, Doubt::JournalOutsideConnection(times)),
        (types, Doubt::JournalOtherContentType(types)),
    ];
    counted.into_iter().filter(|(count, _)| *count > 0).map(|(_, doubt)| doubt).collect()
}

fn has_content_type(line: &Line, seen: &Seen) -> bool {
    line.content_type.as_deref().unwrap_or_default().eq_ignore_ascii_case(&seen.content_type)
}

/// Whether the line was written while its connection existed. The times of connections behind the first ones are not kept.
fn is_in_time(line: &Line, seen: &Seen, report: &CaptureReport<'_>) -> bool {
    let described = &report.observed.connections.described;
    let connection = seen.stream.and_then(|stream| described.get(stream as usize));
    let (Some(at), Some(connection)) = (line.at_unix_ns, connection) else { return true };
    let (first, last) = (connection.first.1, connection.last.1);
    (first.saturating_sub(CLOCKS_APART_NS)..=last.saturating_add(CLOCKS_APART_NS)).contains(&at)
}

fn is_on_connection(line: &Line, seen: &Seen, report: &CaptureReport<'_>) -> bool {
    let ends = seen.stream.and_then(|stream| report.observed.messages.ends.get(&stream).copied().flatten());
    let Some(Endpoints { client, server }) = ends else { return false };
    let (local, remote) = if line.is_client { (client, server) } else { (server, client) };
    is_address(line.local.as_deref(), local.into()) && is_address(line.remote.as_deref(), remote.into())
}

/// Whether the text is this address. An agent that is not certain of an address states none.
fn is_address(text: Option<&str>, address: SocketAddr) -> bool {
    text.is_none_or(|text| parsed(text) == Some(address))
}

/// An address. A server that listens on `::` has mapped addresses (RFC 4291 §2.5.5.2).
fn parsed(text: &str) -> Option<SocketAddr> {
    let address: SocketAddr = text.parse().ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// The connections between a relay and agent-b, which are not in the capture: one for each connection of agent-a, all to the
/// same address of agent-b.
#[derive(Default)]
struct BeyondRelay {
    server: Option<SocketAddr>,
    by_stream: HashMap<u32, SocketAddr>,
    clients: BTreeSet<SocketAddr>,
}

impl BeyondRelay {
    /// Whether the line of agent-b agrees with the lines before it.
    fn agrees(&mut self, line: &Line, stream: Option<u32>) -> bool {
        let (Some(local), Some(remote), Some(stream)) = (&line.local, &line.remote, stream) else {
            return true;
        };
        let (Some(local), Some(remote)) = (parsed(local), parsed(remote)) else { return false };
        let known = self.by_stream.get(&stream).copied();
        let is_new = self.clients.insert(remote);
        self.by_stream.entry(stream).or_insert(remote);
        *self.server.get_or_insert(local) == local && known.map_or(is_new, |known| known == remote)
    }
}

#[cfg(test)]
mod tests {
    use exposure_schema::{Direction, Event};
    use serde_json::json;

    use super::*;

    const STARTED: u64 = 1_700_000_000_000_000_000;

    fn manifest(journals: usize) -> Manifest {
        let manifest = json!({
            "schema": "plainsight.manifest/1", "run_id": "0", "name": "http", "variant": {"name": "http", "scheme": "http"},
            "backend": "relay", "vantage": "relay", "capture": {"file": "http.pcap"}, "finished": true,
            "journals": vec!["a.jsonl"; journals], "key_log": null, "decoys": [], "expected_verdict": "exposed",
            "started_at_unix_ns": STARTED, "ended_at_unix_ns": STARTED + 10,
        });
        serde_json::from_value(manifest).unwrap()
    }

    fn line(agent: &str, body: u8) -> Message {
        let event = if agent == "agent-a" { Event::Sent } else { Event::Received };
        Message {
            agent: agent.to_owned(),
            event,
            message_id: Some("call-0001".to_owned()),
            direction: Direction::ClientToServer,
            at_unix_ns: Some(STARTED + 1),
            local: None,
            remote: None,
            content_type: Some("application/json".to_owned()),
            body: vec![body],
            body_sha256: [body; 32],
        }
    }

    #[test]
    fn journals_of_the_same_messages_agree_in_any_order() {
        let both = [line("agent-a", 1), line("agent-a", 2), line("agent-b", 2), line("agent-b", 1)];
        assert_eq!(judge(&manifest(2), &both), []);
        assert_eq!(
            judge(&manifest(1), &both[..2]),
            [Doubt::JournalsDisagree(2)],
            "one journal is not enough"
        );
    }

    #[test]
    fn a_line_with_another_id_than_its_message_is_a_doubt() {
        let with = |id: Option<&str>, body: &str| {
            let mut line = line("agent-a", 1);
            (line.message_id, line.body) = (id.map(str::to_owned), body.into());
            has_other_id(&line)
        };
        assert!(!with(Some("a"), r#"{"id":"a"}"#));
        assert!(with(Some("b"), r#"{"id":"a"}"#));
        assert!(with(None, r#"{"id":"a"}"#));
        // An agent states an id of another kind as none.
        for body in [r#"{"id":7}"#, "{}", "[]", "not JSON"] {
            assert!(!with(None, body), "{body}");
        }
    }

    #[test]
    fn connections_beyond_a_relay_are_one_for_each_of_the_client() {
        let (server, client, other) = ("127.0.0.1:9000", "127.0.0.1:40000", "127.0.0.1:40001");
        let line = |local: &str, remote: &str| Line {
            message: 0,
            is_client: false,
            at_unix_ns: None,
            local: Some(local.to_owned()),
            remote: Some(remote.to_owned()),
            content_type: None,
        };
        let cases = [
            (vec![(server, client, 0), (server, client, 0), (server, other, 1), (server, client, 0)], true),
            (vec![(server, client, 0), (server, other, 0)], false),
            (vec![(server, client, 0), (server, client, 1)], false),
            (vec![(server, client, 0), (other, "127.0.0.1:1", 1)], false),
            (vec![("agent-b", client, 0)], false),
        ];
        for (lines, expected) in cases {
            let mut beyond = BeyondRelay::default();
            let agree = lines
                .iter()
                .all(|(local, remote, stream)| beyond.agrees(&line(local, remote), Some(*stream)));
            assert_eq!(agree, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_line_without_a_time_or_outside_the_capture_is_a_doubt() {
        for at in [None, Some(STARTED - 2 * CLOCKS_APART_NS), Some(STARTED + 2 * CLOCKS_APART_NS)] {
            let mut lines = [line("agent-a", 1), line("agent-b", 1)];
            lines[1].at_unix_ns = at;
            assert_eq!(judge(&manifest(2), &lines), [Doubt::JournalOutsideTime(1)], "{at:?}");
        }
    }

    #[test]
    fn a_message_in_one_journal_only_is_a_doubt() {
        let both = || vec![line("agent-a", 1), line("agent-a", 2), line("agent-b", 1), line("agent-b", 2)];
        type Change = fn(&mut Vec<Message>);
        let cases: [(Change, u64); 6] = [
            (|lines| drop(lines.pop()), 1),
            (|lines| lines.truncate(2), 2),
            (|lines| lines.push(line("agent-b", 1)), 1),
            (|lines| lines[3].message_id = None, 2),
            (|lines| lines[3].content_type = Some("text/plain".to_owned()), 2),
            (|lines| lines[3].direction = Direction::ServerToClient, 2),
        ];
        for (number, (change, disagreeing)) in cases.into_iter().enumerate() {
            let mut lines = both();
            change(&mut lines);
            assert_eq!(judge(&manifest(2), &lines), [Doubt::JournalsDisagree(disagreeing)], "case {number}");
        }
    }
}
