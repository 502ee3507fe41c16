//! The messages in the capture, compared with those that the journals name.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::direction::direction;
use super::frame_times::FrameTimes;
use dissect::flow::Endpoints;

use crate::needles::KnownStrings;
use crate::pipeline::fact::{ConnectionSummary, MessageFact, MessageStart};
use crate::pipeline::provenance::{HttpStream, Location};
use crate::readable::redacted_target;
use exposure_schema::{Direction, Level};

/// Maximum number of messages listed one by one; the others are counted.
pub(crate) const MAX_LISTED: usize = 10_000;

/// Longest target that is listed, in bytes: servers are asked to support 8,000 (RFC 9112 §3). A longer one ends in `…`.
pub(crate) const MAX_TARGET: usize = 8 << 10;

/// Longest method and content type that is listed, in bytes. Real ones have some dozen.
pub(crate) const MAX_SHORT: usize = 256;

/// A message as the capture shows it.
#[derive(Clone, Debug)]
pub(crate) struct WireMessage {
    /// Where its head and body are.
    pub location: Location,
    /// Its stream in HTTP/2 or HTTP/3.
    pub http_stream: Option<HttpStream>,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Request method; empty in an answer.
    pub method: String,
    /// Request target; empty in an answer.
    pub target: String,
    /// Status code; 0 in a request.
    pub status: u16,
    /// `Content-Type`; empty if there is none.
    pub content_type: String,
    /// Length of the body in bytes, after all codings are undone.
    pub body_bytes: u64,
    /// Whether head and body were captured completely.
    pub is_complete: bool,
    /// The level at which the body can be read.
    pub level: Level,
    /// The decode chain that leads to it, outermost layer first.
    pub decode_chain: Arc<[&'static str]>,
}

/// Occurrences of a known message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Occurrence {
    /// Number of occurrences.
    pub times: u64,
    /// The first occurrence.
    pub first: Option<WireMessage>,
    /// What the journals state about an occurrence too: of the first ones, as many as the journals name.
    pub seen: Vec<Seen>,
}

/// What the capture shows of an occurrence.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Number of its connection; `None` outside of any.
    pub stream: Option<u32>,
    /// `Content-Type`; empty if there is none.
    pub content_type: Box<str>,
}

/// An entry of the message list.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub message: WireMessage,
    /// Index of the known message that it matches.
    pub known: Option<usize>,
    /// Capture time of its first frame, nanoseconds since the epoch.
    pub first_at: Option<u64>,
    /// Capture time of its last frame.
    pub last_at: Option<u64>,
}

/// All messages of a capture.
#[derive(Debug)]
pub(crate) struct Messages<'k> {
    known: &'k KnownStrings,
    by_body: HashMap<(Direction, [u8; 32]), Vec<usize>>,
    /// Occurrences of each known message, by its index.
    pub occurrences: Vec<Occurrence>,
    /// The first [`MAX_LISTED`].
    pub listed: Vec<Listed>,
    /// Number of messages.
    pub total: u64,
    /// Messages with a body that match no line of the journals, if there are journals: their strings are unknown.
    pub unjournaled: u64,
    /// The connections that carried messages of the journals, and their ends once they are closed.
    pub ends: HashMap<u32, Option<Endpoints>>,
    /// The minor versions of HTTP/1 that were seen, in any message.
    pub minor_versions: BTreeSet<u8>,
    /// Whether secrets are left out of the listed targets.
    pub hides_secrets: bool,
}

impl<'k> Messages<'k> {
    pub(crate) fn new(known: &'k KnownStrings) -> Self {
        let mut by_body: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, message) in known.messages.iter().enumerate() {
            by_body.entry((message.direction, message.body_sha256)).or_default().push(index);
        }
        Self {
            known,
            by_body,
            occurrences: vec![Occurrence::default(); known.messages.len()],
            listed: Vec::new(),
            total: 0,
            unjournaled: 0,
            ends: HashMap::new(),
            minor_versions: BTreeSet::new(),
            hides_secrets: false,
        }
    }

    /// Notes the beginning of a message.
    pub(crate) fn start(&mut self, start: &MessageStart<'_>) {
        self.minor_versions.extend(start.minor_version);
    }

    /// Notes the ends of a connection that carried messages of the journals.
    pub(crate) fn closed(&mut self, summary: &ConnectionSummary) {
        if let Some(ends) = self.ends.get_mut(&summary.stream) {
            *ends = summary.ends;
        }
    }

    /// Adds a message. `times` has the capture times of its frames. Returns whether it is whole and
    /// known, and has strings.
    pub(crate) fn take(&mut self, message: &MessageFact<'_>, times: &FrameTimes) -> bool {
        self.total += 1;
        let way = message.location.direction.map(direction);
        let known = way.zip(message.body_sha256).and_then(|key| self.by_body.get(&key));
        let index = known.and_then(|indices| {
            // Known messages with equal bodies but different ids can only be distinguished by their order.
            let open = |index: &&usize| self.occurrences[**index].times < self.known.messages[**index].times;
            indices.iter().find(open).or_else(|| indices.last()).copied()
        });
        if message.is_complete
            && let Some(index) = index
        {
            let occurrence = &mut self.occurrences[index];
            occurrence.times += 1;
            occurrence.first.get_or_insert_with(|| WireMessage::from(message));
            if occurrence.times <= self.known.messages[index].times {
                let stream = message.location.stream;
                occurrence.seen.push(Seen { stream, content_type: message.content_type.into() });
                self.ends.extend(stream.map(|stream| (stream, None)));
            }
        } else if message.body_bytes > 0 && !self.known.messages.is_empty() {
            self.unjournaled += 1;
        }
        if self.listed.len() < MAX_LISTED {
            let first_at = message.location.frames.first().and_then(|frame| times.at(*frame));
            let last_at = times.at(message.last_frame);
            let mut wire = WireMessage::from(message);
            if self.hides_secrets
                && let Cow::Owned(shown) = redacted_target(message.target)
            {
                wire.target = listed(&shown, MAX_TARGET);
            }
            self.listed.push(Listed { message: wire, known: index, first_at, last_at });
        }
        message.is_complete && index.is_some_and(|index| self.known.messages[index].has_strings)
    }
}

impl From<&MessageFact<'_>> for WireMessage {
    fn from(fact: &MessageFact<'_>) -> Self {
        let level = match fact {
            MessageFact { needs_secret: true, .. } => Level::Decrypted,
            MessageFact { is_encoded: true, .. } => Level::Decoded,
            MessageFact { is_in_one_frame: true, .. } => Level::Verbatim,
            _ => Level::Reassembled,
        };
        Self {
            location: fact.location.clone(),
            http_stream: fact.http_stream,
            last_frame: fact.last_frame,
            method: listed(fact.method, MAX_SHORT),
            target: listed(fact.target, MAX_TARGET),
            status: fact.status,
            content_type: listed(fact.content_type, MAX_SHORT),
            body_bytes: fact.body_bytes,
            is_complete: fact.is_complete,
            level,
            decode_chain: fact.chain.as_slice().into(),
        }
    }
}

/// A text as it is listed: with at most so many bytes, and `…` behind them if there are more.
fn listed(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(listed("/a", 2), "/a");
        assert_eq!(listed("/abc", 2), "/a…");
        assert_eq!(listed("/ä/", 2), "/…");
    }
}
