//! Writes the claims of the run itself, manifest and journals, into the result.

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use exposure_schema::{Direction, JournalEntry, ManifestEntry, ProgramEntry};

use crate::input::journal::Message;
use crate::input::manifest::Manifest;
use crate::needles::KnownMessage;

/// Maximum number of journal lines listed: a hundred messages, each in the journals of both agents, and more than a
/// person reads.
pub(crate) const MAX_JOURNAL_LINES: usize = 200;

/// Longest body that is quoted. The lab's messages have half a kilobyte.
pub(crate) const MAX_QUOTED_BODY: usize = 16 << 10;

/// The fields of the manifest that the result does not state elsewhere.
pub(crate) fn manifest(manifest: &Manifest) -> ManifestEntry {
    let Manifest { variant, capture, .. } = manifest;
    let program = manifest.program.as_ref();
    ManifestEntry {
        program: program
            .map(|program| ProgramEntry { name: program.name.clone(), version: program.version.clone() }),
        scheme: variant.scheme.clone(),
        http_version: variant.http_version.clone(),
        tls_versions: variant.tls_versions.clone(),
        port: variant.port,
        interface: manifest.interface.clone(),
        link_type: manifest.link_type,
        snaplen: capture.snaplen,
        filter: capture.filter.clone(),
        started_at_unix_ns: manifest.started_at_unix_ns,
        ended_at_unix_ns: manifest.ended_at_unix_ns,
        journals: manifest.journals.clone(),
        key_log: manifest.key_log.clone(),
        unfinished_checksums: capture.unfinished_checksums,
        segmentation_offload_frames: capture.segmentation_offload_frames,
    }
}

/// The beginning of the journals.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The first [`MAX_JOURNAL_LINES`] lines of both journals in order of time.
    pub journal: Vec<JournalEntry>,
    /// Number of all lines.
    pub total: u64,
    /// Digest of the messages without their canaries; `None` without lines.
    pub messages_sha256: Option<String>,
    request: Option<MessageKey>,
    answer: Option<MessageKey>,
}

/// Identifies a message: equal in both journals, and different from every other message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MessageKey {
    direction: Direction,
    message_id: Option<String>,
    body_sha256: [u8; 32],
}

impl MessageKey {
    fn of(message: &Message) -> Self {
        let Message { direction, message_id, body_sha256, .. } = message;
        Self { direction: *direction, message_id: message_id.clone(), body_sha256: *body_sha256 }
    }

    /// Returns the index of the message that the line names.
    fn index(&self, known: &[KnownMessage]) -> Option<usize> {
        known.iter().position(|message| {
            (message.direction, &message.id, &message.body_sha256)
                == (self.direction, &self.message_id, &self.body_sha256)
        })
    }
}

impl Claims {
    /// Sorts the lines of all journals by time.
    pub(crate) fn new(messages: &[Message]) -> Self {
        let mut lines: Vec<&Message> = messages.iter().collect();
        // Lines with the same time keep the order of their journals; lines without a time come last.
        lines.sort_by_key(|message| (message.at_unix_ns.is_none(), message.at_unix_ns));
        let request = lines.iter().find(|message| message.direction == Direction::ClientToServer);
        let answer = request.and_then(|request| {
            let answers = |message: &&&Message| {
                message.direction == Direction::ServerToClient && message.message_id == request.message_id
            };
            lines.iter().find(answers)
        });
        let (request, answer) =
            (request.map(|line| MessageKey::of(line)), answer.map(|line| MessageKey::of(line)));
        let mut quoted: Vec<(&str, MessageKey)> = Vec::new();
        let journal = lines.iter().take(MAX_JOURNAL_LINES).map(|line| {
            let mut entry = entry(line);
            let name = MessageKey::of(line);
            // A message that is repeated later belongs to another exchange.
            let is_first = [&request, &answer].into_iter().flatten().any(|first| *first == name)
                && !quoted.iter().any(|(agent, known)| (*agent, known) == (line.agent.as_str(), &name));
            if is_first && line.body.len() <= MAX_QUOTED_BODY {
                entry.body = String::from_utf8(line.body.clone()).ok();
                quoted.push((&line.agent, name));
            }
            entry
        });
        let journal = journal.collect();
        let messages_sha256 = (!messages.is_empty()).then(|| digest_of_messages(messages));
        Self { journal, total: messages.len() as u64, messages_sha256, request, answer }
    }

    /// Returns the first request and its answer, as indices of the known messages.
    pub(crate) fn first_exchange(&self, known: &[KnownMessage]) -> Option<[usize; 2]> {
        let index = |key: &Option<MessageKey>| key.as_ref()?.index(known);
        Some([index(&self.request)?, index(&self.answer)?])
    }
}

/// Number of hex digits of a canary.
const CANARY_DIGITS: usize = 32;

/// A digest that two runs share if each agent sent and received the same messages in each: the same number of each
/// content type and body, with canaries left out.
fn digest_of_messages(messages: &[Message]) -> String {
    let one = |message: &Message| {
        let mut context = Context::new(&SHA256);
        let content_type = message.content_type.as_deref().unwrap_or_default();
        let event = [message.event as u8, message.direction as u8];
        for part in [message.agent.as_bytes(), &event, content_type.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        update_without_canaries(&mut context, &message.body);
        context.finish()
    };
    let mut digests: Vec<_> = messages.iter().map(one).collect();
    digests.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
    let mut context = Context::new(&SHA256);
    digests.iter().for_each(|digest| context.update(digest.as_ref()));
    HEXLOWER.encode(context.finish().as_ref())
}

/// Adds a body; a run of exactly [`CANARY_DIGITS`] hex digits becomes a star.
fn update_without_canaries(context: &mut Context, body: &[u8]) {
    for run in body.chunk_by(|one, next| one.is_ascii_hexdigit() == next.is_ascii_hexdigit()) {
        let is_canary = run.len() == CANARY_DIGITS && run[0].is_ascii_hexdigit();
        context.update(if is_canary { b"*" } else { run });
    }
}

fn entry(line: &Message) -> JournalEntry {
    JournalEntry {
        agent: line.agent.clone(),
        event: line.event,
        message_id: line.message_id.clone(),
        at_unix_ns: line.at_unix_ns,
        local: line.local.clone(),
        remote: line.remote.clone(),
        content_type: line.content_type.clone(),
        body_bytes: line.body.len() as u64,
        body_sha256: HEXLOWER.encode(&line.body_sha256),
        body: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exposure_schema::Event;

    fn line(agent: &str, event: Event, direction: Direction, at: Option<u64>, body: &str) -> Message {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        Message {
            agent: agent.to_owned(),
            event,
            message_id: Some(body[..1].to_owned()),
            direction,
            at_unix_ns: at,
            local: None,
            remote: None,
            content_type: None,
            body: body.as_bytes().to_vec(),
            body_sha256: digest.as_ref().try_into().expect("SHA-256 has 32 bytes"),
        }
    }

    #[test]
    fn sorts_lines_by_time_and_quotes_the_first_exchange() {
        use Direction::{ClientToServer as Request, ServerToClient as Answer};
        use Event::{Received, Sent};
        let claims = Claims::new(&[
            line("agent-a", Sent, Request, Some(10), "1 request"),
            line("agent-a", Received, Answer, Some(40), "1 answer"),
            line("agent-a", Sent, Request, Some(50), "2 request"),
            line("agent-a", Sent, Request, Some(60), "1 request"),
            line("agent-b", Received, Request, Some(20), "1 request"),
            line("agent-b", Sent, Answer, None, "2 answer"),
            line("agent-b", Sent, Answer, Some(30), "1 answer"),
        ]);
        let rows: Vec<_> = claims
            .journal
            .iter()
            .map(|line| (line.agent.as_str(), line.at_unix_ns, line.body.as_deref()))
            .collect();
        let expected = [
            ("agent-a", Some(10), Some("1 request")),
            ("agent-b", Some(20), Some("1 request")),
            ("agent-b", Some(30), Some("1 answer")),
            ("agent-a", Some(40), Some("1 answer")),
            ("agent-a", Some(50), None),
            ("agent-a", Some(60), None),
            ("agent-b", None, None),
        ];
        assert_eq!(rows, expected);
        assert_eq!(claims.total, 7);
    }

    #[test]
    fn the_digest_of_messages_leaves_out_canaries_and_order() {
        let digest = |bodies: &[&str]| {
            let lines: Vec<_> = (bodies.iter())
                .map(|body| line("agent-a", Event::Sent, Direction::ClientToServer, None, body))
                .collect();
            Claims::new(&lines).messages_sha256.expect("there are messages")
        };
        let (one, other) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
        let with = |canary: &str| format!(r#"{{"text":"a","canary":"{canary}"}}"#);
        assert_eq!(digest(&[&with(one), "b"]), digest(&["b", &with(other)]));
        for differing in [
            &[with(one).as_str()][..],
            &[&with(one), "c"],
            &[&with(one), "b", "b"],
            &[&with(&one[1..]), "b"],
            &[&with(&format!("{one}0")), "b"],
        ] {
            assert_ne!(digest(&[&with(one), "b"]), digest(differing), "{differing:?}");
        }
        assert_eq!(Claims::new(&[]).messages_sha256, None);
    }

    #[test]
    fn counts_but_does_not_quote_what_is_too_long() {
        let body = "x".repeat(MAX_QUOTED_BODY + 1);
        let lines = vec![line("agent-a", Event::Sent, Direction::ClientToServer, Some(1), &body); 300];
        let claims = Claims::new(&lines);
        assert_eq!((claims.journal.len(), claims.total), (MAX_JOURNAL_LINES, 300));
        assert_eq!(claims.journal[0].body, None);
        assert_eq!(claims.journal[0].body_bytes, body.len() as u64);
    }
}
