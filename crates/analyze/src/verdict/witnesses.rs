//! Checks whether the witnesses of a run agree: the journals of both agents with each other, and with the manifest.

use std::collections::HashMap;

use super::doubt::Doubt;
use super::integrity::CLOCKS_APART_NS;
use crate::input::journal::Message;
use crate::input::manifest::Manifest;

/// Number of agents, each of which writes a journal.
const AGENTS: usize = 2;

/// Compares the journals. What one agent sent, the other received; each wrote its lines while the capture ran.
pub(crate) fn judge(manifest: &Manifest, messages: &[Message]) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    if manifest.journals.len() == AGENTS {
        let disagreeing = journaled_once(messages);
        if disagreeing > 0 {
            doubts.push(Doubt::JournalsDisagree(disagreeing));
        }
    }
    let started = manifest.started_at_unix_ns.unwrap_or(0).saturating_sub(CLOCKS_APART_NS);
    let ended = manifest.ended_at_unix_ns.unwrap_or(u64::MAX).saturating_add(CLOCKS_APART_NS);
    let is_outside =
        |message: &&Message| message.at_unix_ns.is_none_or(|at| !(started..=ended).contains(&at));
    let outside = messages.iter().filter(is_outside).count();
    if outside > 0 {
        doubts.push(Doubt::JournalOutsideTime(outside as u64));
    }
    doubts
}

/// Number of messages that agent-a has journaled more or less often than agent-b.
fn journaled_once(messages: &[Message]) -> u64 {
    let mut balance: HashMap<_, i64> = HashMap::new();
    for message in messages {
        let Message { direction, message_id, content_type, body_sha256, .. } = message;
        let times = balance.entry((*direction as u8, message_id, content_type, body_sha256)).or_default();
        *times += if message.agent == "agent-a" { 1 } else { -1 };
    }
    balance.values().map(|times| times.unsigned_abs()).sum()
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
        // One journal has nothing to agree with.
        assert_eq!(judge(&manifest(1), &both[..2]), []);
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
