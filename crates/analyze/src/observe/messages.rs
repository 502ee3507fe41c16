//! The messages that crossed, held against those that the journals name.

use std::collections::HashMap;
use std::sync::Arc;

use super::direction::direction;
use super::frame_times::FrameTimes;
use crate::pipeline::fact::MessageFact;
use crate::pipeline::provenance::Location;
use crate::search::needles::KnownStrings;
use exposure_schema::{Direction, Level};

/// Most messages that are listed one by one; the others are counted.
pub(crate) const MAX_LISTED: usize = 1000;

/// A message as it crossed the wire.
#[derive(Clone, Debug)]
pub(crate) struct WireMessage {
    /// Where head and body are.
    pub location: Location,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Request method, or empty.
    pub method: String,
    /// Request target, or empty.
    pub target: String,
    /// Status code, or 0.
    pub status: u16,
    /// `Content-Type`, or empty.
    pub content_type: String,
    /// Bytes of the body, all codings undone.
    pub body_bytes: u64,
    /// Whether head and body were seen whole.
    pub is_complete: bool,
    /// What it takes to read the body.
    pub level: Level,
    /// What has to be undone to read it.
    pub decode_chain: Arc<[&'static str]>,
}

/// Occurrences of a known message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Occurrence {
    /// How many.
    pub times: u64,
    /// The first.
    pub first: Option<WireMessage>,
}

/// A message of the list.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// The message.
    pub message: WireMessage,
    /// Index of the known message that it is.
    pub known: Option<usize>,
    /// Time of its first frame, nanoseconds since the epoch.
    pub first_at: Option<u64>,
    /// Time of its last frame.
    pub last_at: Option<u64>,
}

/// All messages of a capture.
#[derive(Debug)]
pub(crate) struct Messages<'k> {
    known: &'k KnownStrings,
    by_body: HashMap<(Direction, [u8; 32]), Vec<usize>>,
    /// By index of the known message.
    pub occurrences: Vec<Occurrence>,
    /// The first [`MAX_LISTED`].
    pub listed: Vec<Listed>,
    /// Number of messages.
    pub total: u64,
    /// Messages with a body that no journal names, where there is any journal: their strings are not known.
    pub unjournaled: u64,
}

impl<'k> Messages<'k> {
    /// No message yet.
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
        }
    }

    /// Takes a message. `times` knows when its frames were captured.
    pub(crate) fn take(&mut self, message: &MessageFact<'_>, times: &FrameTimes) {
        self.total += 1;
        let way = message.location.direction.map(direction);
        let known = way.zip(message.body_sha256).and_then(|key| self.by_body.get(&key));
        let index = known.and_then(|indices| {
            // Equal bodies under several ids differ in their order alone.
            let open = |index: &&usize| self.occurrences[**index].times < self.known.messages[**index].times;
            indices.iter().find(open).or_else(|| indices.last()).copied()
        });
        if message.is_complete
            && let Some(index) = index
        {
            let occurrence = &mut self.occurrences[index];
            occurrence.times += 1;
            occurrence.first.get_or_insert_with(|| WireMessage::from(message));
        } else if message.body_bytes > 0 && !self.known.messages.is_empty() {
            self.unjournaled += 1;
        }
        if self.listed.len() < MAX_LISTED {
            let first_at = message.location.frames.first().and_then(|frame| times.at(*frame));
            let last_at = times.at(message.last_frame);
            self.listed.push(Listed { message: message.into(), known: index, first_at, last_at });
        }
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
            last_frame: fact.last_frame,
            method: fact.method.to_owned(),
            target: fact.target.to_owned(),
            status: fact.status,
            content_type: fact.content_type.to_owned(),
            body_bytes: fact.body_bytes,
            is_complete: fact.is_complete,
            level,
            decode_chain: fact.chain.as_slice().into(),
        }
    }
}
