//! What one pass over a capture collects: where needles stand, which messages crossed, which bytes nobody can explain.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dissect::content;
use dissect::flow;
use exposure_schema::{Direction, Level};

use crate::observe::byte_counts;
use crate::observe::cleartext::Readable;
use crate::observe::frame_times::FrameTimes;
use crate::observe::hits::{Findings, Place};
use crate::observe::packet_list::Packets;
use crate::search::needles::KnownStrings;
use crate::search::{Match, PatternId, Scanner};

/// Most HTTP messages that are listed one by one; the others are counted.
pub(crate) const MAX_LISTED: usize = 1000;

/// Most places of unexplained bytes that are listed; all are counted.
pub(crate) const MAX_UNEXPLAINED: usize = 64;

/// The direction in the words of the experiment.
pub(crate) fn direction(side: flow::Direction) -> Direction {
    match side {
        flow::Direction::ClientToServer => Direction::ClientToServer,
        flow::Direction::ServerToClient => Direction::ServerToClient,
    }
}

/// One HTTP message as it crossed the wire.
#[derive(Clone, Debug)]
pub(crate) struct WireMessage {
    /// Where head and body stand.
    pub place: Place,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Request method, or empty.
    pub method: String,
    /// Request target, or empty.
    pub target: String,
    /// Status code, or 0.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// Bytes of the body, all codings undone.
    pub body_len: u64,
    /// SHA-256 of the body, where it could be one of the journals.
    pub digest: Option<[u8; 32]>,
    /// Whether head and body were seen whole.
    pub complete: bool,
    /// What it takes to read the body.
    pub level: Level,
    /// What has to be undone to read it.
    pub layers: Arc<[&'static str]>,
}

/// Bytes that are neither a message that was read nor an authenticated record.
#[derive(Clone, Debug)]
pub(crate) struct Unexplained {
    /// TCP stream; `None` outside of any.
    pub stream: Option<u32>,
    /// Who sent them.
    pub side: Option<flow::Direction>,
    /// Stream offset of the first of them; outside of any stream the frame number.
    pub at: u64,
    /// How many.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

/// Where a known message was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Occurrence {
    /// How often.
    pub times: u64,
    /// The first time.
    pub first: Option<WireMessage>,
}

/// An HTTP message of the list.
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

/// Everything that one pass collects.
#[derive(Debug)]
pub(crate) struct Evidence<'k> {
    /// What is searched.
    pub known: &'k KnownStrings,
    /// Where it stands.
    pub findings: Findings,
    /// By index of the known message.
    pub sightings: Vec<Occurrence>,
    /// The first [`MAX_LISTED`] HTTP messages.
    pub listed: Vec<Listed>,
    /// Number of HTTP messages.
    pub messages: u64,
    /// Messages with a body that no journal names, where there is any journal: their strings are not known.
    pub unjournaled: u64,
    /// Bytes searched without any key: stream bytes, bytes outside of streams, decoded bodies.
    pub searched_bytes: u64,
    /// Decrypted bytes searched.
    pub decrypted_bytes: u64,
    /// Bytes that were decoded out of unexplained bytes.
    pub(crate) carved_bytes: u64,
    /// The first [`MAX_UNEXPLAINED`] places of unexplained bytes.
    pub unexplained: Vec<Unexplained>,
    /// All unexplained bytes.
    pub unexplained_bytes: u64,
    /// Bounds that were hit, each with what it means.
    pub bounds_hit: HashSet<String>,
    /// What stands readable in a capture without journals.
    pub readable: Option<Readable>,
    /// The first frames.
    pub packets: Packets,
    /// When the latest frames were captured.
    pub times: FrameTimes,
    /// Bytes by kind.
    pub traffic: byte_counts::Account,
    /// Takes content codings off.
    pub decoder: content::Decoder,
    /// Scratch for the matches of one push.
    pub matches: Vec<Match>,
    /// Body lengths that the journals know, to leave other bodies unhashed.
    body_lengths: HashSet<u64>,
    by_body: HashMap<(Direction, [u8; 32]), Vec<usize>>,
    layers: Vec<Arc<[&'static str]>>,
}

impl<'k> Evidence<'k> {
    /// Nothing seen yet.
    pub(crate) fn new(known: &'k KnownStrings, readable: Option<Readable>) -> Self {
        let mut by_body: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, message) in known.messages.iter().enumerate() {
            by_body.entry((message.direction, message.body_sha256)).or_default().push(index);
        }
        Self {
            known,
            findings: Findings::new(known),
            sightings: vec![Occurrence::default(); known.messages.len()],
            listed: Vec::new(),
            messages: 0,
            unjournaled: 0,
            searched_bytes: 0,
            decrypted_bytes: 0,
            carved_bytes: 0,
            unexplained: Vec::new(),
            unexplained_bytes: 0,
            bounds_hit: HashSet::new(),
            readable,
            packets: Packets::default(),
            times: FrameTimes::default(),
            traffic: byte_counts::Account::default(),
            decoder: content::Decoder::default(),
            matches: Vec::new(),
            body_lengths: known.messages.iter().map(|message| message.body_len).collect(),
            by_body,
            layers: Vec::new(),
        }
    }

    /// A decode chain; equal ones are shared.
    pub(crate) fn layers(&mut self, layers: &[&'static str]) -> Arc<[&'static str]> {
        if let Some(known) = self.layers.iter().find(|known| ***known == *layers) {
            return Arc::clone(known);
        }
        let layers: Arc<[&'static str]> = layers.into();
        self.layers.push(Arc::clone(&layers));
        layers
    }

    /// Searches the next bytes of a stream. The matches are the scratch [`Evidence::matches`], to be put back there.
    #[inline]
    pub(crate) fn search(&mut self, scanner: &mut Scanner, bytes: &[u8]) -> Vec<Match> {
        let mut matches = std::mem::take(&mut self.matches);
        scanner.push(&self.known.matcher, bytes, &mut matches);
        self.doubt_overflow(scanner);
        matches
    }

    /// A search that could not follow everything must not be taken for one that found nothing.
    #[inline]
    pub(crate) fn doubt_overflow(&mut self, scanner: &Scanner) {
        if let Some(what) = scanner.overflow() {
            self.bound_hit(what);
        }
    }

    /// A pattern stands somewhere.
    pub(crate) fn hit(
        &mut self,
        pattern: PatternId,
        level: Level,
        layers: &Arc<[&'static str]>,
        place: impl Fn() -> Place,
    ) {
        for meaning in self.known.meanings(pattern) {
            self.findings.add(meaning.needle, level, layers, meaning.form, &place);
        }
    }

    /// Whether a body of this length could be one of the journals'. `None`: the length is not known yet.
    pub(crate) fn wants_digest(&self, length: Option<u64>) -> bool {
        match length {
            Some(length) => self.body_lengths.contains(&length),
            None => !self.body_lengths.is_empty(),
        }
    }

    /// An HTTP message is over.
    pub(crate) fn message(&mut self, message: WireMessage) {
        self.messages += 1;
        let way = message.place.side.map(direction);
        let known = way.zip(message.digest).and_then(|key| self.by_body.get(&key));
        let index = known.and_then(|indices| {
            // Equal bodies under several ids are told apart by their order alone.
            let open = |index: &&usize| self.sightings[**index].times < self.known.messages[**index].times;
            indices.iter().find(open).or_else(|| indices.last()).copied()
        });
        if message.complete
            && let Some(index) = index
        {
            let sighting = &mut self.sightings[index];
            sighting.times += 1;
            sighting.first.get_or_insert_with(|| message.clone());
        } else if message.body_len > 0 && !self.known.messages.is_empty() {
            self.unjournaled += 1;
        }
        if self.listed.len() < MAX_LISTED {
            let first_at = message.place.frames.first().and_then(|frame| self.times.at(*frame));
            let last_at = self.times.at(message.last_frame);
            self.listed.push(Listed { message, known: index, first_at, last_at });
        }
    }

    /// Bytes that nobody can explain.
    pub(crate) fn unexplained(
        &mut self,
        stream: Option<u32>,
        side: Option<flow::Direction>,
        at: u64,
        bytes: u64,
        reason: impl Into<String>,
    ) {
        self.unexplained_bytes += bytes;
        let reason = reason.into();
        if let Some(last) = self.unexplained.last_mut()
            && (last.stream, last.side) == (stream, side)
            && last.reason == reason
        {
            last.bytes += bytes;
        } else if self.unexplained.len() < MAX_UNEXPLAINED {
            self.unexplained.push(Unexplained { stream, side, at, bytes, reason });
        }
    }

    /// A bound was hit, so something may not have been seen.
    pub(crate) fn bound_hit(&mut self, what: &str) {
        if !self.bounds_hit.contains(what) {
            self.bounds_hit.insert(what.to_owned());
        }
    }
}
