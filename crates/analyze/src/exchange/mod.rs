//! Searches the frames of one exchange for the strings of its messages.
//!
//! The frames go through the same pipeline as those of a capture, and the same search decides at which level each string can
//! be read. Besides, it states where: the bytes of frames that carry each string.

mod carriers;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use aws_lc_rs::digest;
use dissect::keylog::KeyLog;
use exposure_schema::Event;
pub use exposure_schema::{Direction, Level};
use memchr::memmem;
use serde::Serialize;

use self::carriers::{Carriers, ExchangeObserver};
use crate::follow::Frame;
use crate::input::capture::Sink as _;
use crate::input::journal::Message;
use crate::input::strings::GivenStrings;
use crate::needles::{KnownString, KnownStrings, MatchMode, StringSearch};
use crate::observe::CaptureObserver;
use crate::observe::connections::TlsConnection;
use crate::observe::hits::Hit;
use crate::observe::messages::Occurrence;
use crate::observe::packet_rows::Row;
use crate::observe::text_fields::TextFields;
use crate::output::strings::is_in;
use crate::pipeline::frames::Pipeline;
use crate::pipeline::provenance::Location;
pub use crate::timeline::Way;
use crate::timeline::milliseconds_between;

/// Maximum number of occurrences of one string that have places.
const MAX_OCCURRENCES: usize = 16;

/// Maximum number of places in all. A string in the records of a long answer has one for each segment, so that many strings
/// could have more places than the exchange has bytes. Beyond the limit each string has its first place only.
const MAX_PLACES: usize = 1 << 14;

/// Maximum number of characters shown of a string.
const MAX_TEXT_CHARS: usize = 4096;

/// Steps of decode chains that are protocols, not encodings.
const PROTOCOLS: [&str; 7] = ["http1", "tls1.0", "tls1.1", "tls1.2", "tls1.3", "tls-records", "websocket"];

/// A message, as a journal states it.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// From the client to the server, or back.
    pub direction: Direction,
    /// Its body: JSON.
    pub body: &'a [u8],
}

/// What the frames of an exchange show.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// Number of its connection in the whole capture. These frames do not show it: the caller sets it, see
    /// [`crate::follow::NewFrame::stream`].
    pub stream: Option<u32>,
    /// Number of strings that anyone can read.
    pub readable: usize,
    /// Number of strings that can be read with the key log.
    pub with_keys: usize,
    /// Number of strings.
    pub total: usize,
    /// Length of all frames on the wire.
    pub bytes: u64,
    /// What TLS shows without keys.
    pub tls: Option<VisibleTls>,
    /// The frames.
    pub packets: Vec<Packet>,
    /// The strings.
    pub strings: Vec<FoundString>,
}

/// A frame of an exchange.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Packet {
    /// Its number in the capture.
    pub frame: u64,
    /// Milliseconds since the first frame of the exchange.
    pub ms: f64,
    /// Where it goes; `None` outside of TCP.
    pub direction: Option<Way>,
    /// Its length on the wire.
    pub bytes: u64,
    /// Length of its TCP payload on the wire.
    pub payload: u64,
    /// Names of what begins in it.
    pub what: Vec<String>,
    /// Number of strings that have a place in it and that anyone can read there.
    pub marks: usize,
    /// Number of strings that have a place in it, with the key log.
    pub marks_with_keys: usize,
}

/// A message of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// From the client.
    Request,
    /// From the server.
    Answer,
}

/// A string of a message, and where the frames contain it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundString {
    /// Its index.
    pub id: usize,
    /// Its value.
    pub text: String,
    /// The message that it belongs to.
    #[serde(rename = "in")]
    pub part: Part,
    /// Its path in the message.
    pub path: Option<String>,
    /// The cheapest level at which it was found.
    pub level: Level,
    /// How it is written there; `None` if it was not found.
    pub encoding: Option<String>,
    /// The bytes that carry it.
    pub places: Vec<Place>,
}

/// Bytes of a frame that carry a string, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Number of the frame in the capture.
    pub frame: u64,
    /// Offset in the frame of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
    /// The level at which the string can be read there.
    pub level: Level,
}

/// What a TLS handshake shows in the clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VisibleTls {
    /// The name that the client asks for.
    pub server_name: Option<String>,
    /// The version that the server chose.
    pub version: Option<String>,
    /// The cipher suite that the server chose.
    pub cipher_suite: Option<String>,
    /// The group of the key exchange that the server chose.
    pub group: Option<String>,
    /// The application protocols that the client offers; with TLS 1.2, the one that the server chose.
    pub alpn: Option<String>,
}

/// Searches the frames of one exchange for the strings of its messages, at every level. `keys` is the text of a key log
/// (SSLKEYLOGFILE format). Of a TLS connection, all frames from its first one on are needed: without the handshake, no record
/// can be decrypted.
pub fn read(frames: &[Frame], said: &[Said<'_>], keys: Option<&[u8]>) -> Exchange {
    Strings::of(said).read(frames, keys)
}

/// The strings of an exchange's messages. To prepare the search for a thousand strings takes longer than the search, so a caller
/// that reads a growing exchange again and again prepares it once for the same messages.
#[derive(Debug)]
pub struct Strings {
    messages: Vec<Message>,
    known: KnownStrings,
    search: Arc<StringSearch>,
}

impl Strings {
    /// Prepares the search for the strings of these messages.
    pub fn of(said: &[Said<'_>]) -> Self {
        let messages: Vec<_> = said.iter().map(message).collect();
        let (known, search) = KnownStrings::with_given(&messages, &[], &[], None);
        Self { messages, known, search }
    }

    /// Searches the frames of the exchange, as [`read`] does.
    pub fn read(&self, frames: &[Frame], keys: Option<&[u8]>) -> Exchange {
        let Self { messages, known, search } = self;
        let mut capture = CaptureObserver::new(known, search);
        capture.text_fields = Some(TextFields::new(messages, &GivenStrings::default(), None));
        search_frames(frames, known, capture, keys)
    }
}

fn search_frames<'k>(
    frames: &[Frame],
    known: &'k KnownStrings,
    capture: CaptureObserver<'k>,
    keys: Option<&[u8]>,
) -> Exchange {
    let needs = capture.needs(known);
    let keys = keys.map(|text| Arc::new(KeyLog::parse(text)));
    let mut pipeline = Pipeline::new(ExchangeObserver::new(capture), needs, keys);
    let mut file_offset = 0;
    for (number, frame) in (1..).zip(frames) {
        pipeline.record(&frame.as_record(number, file_offset));
        file_offset += frame.bytes.len() as u64;
    }
    let mut observer = pipeline.finish().observer;
    observer.capture.leave_out_known_from_handshake();
    observer.rows.sort();
    let mut packets = packets(frames, &observer);
    let strings = Places::new(frames, known, &observer, &mut packets).strings();
    let count =
        |is_counted: fn(Level) -> bool| strings.iter().filter(|string| is_counted(string.level)).count();
    Exchange {
        stream: None,
        readable: count(Level::is_keyless),
        with_keys: count(|level| level != Level::Absent),
        total: strings.len(),
        bytes: packets.iter().map(|packet| packet.bytes).sum(),
        tls: observer.capture.connections.tls_connections.values().next().map(visible),
        packets,
        strings,
    }
}

fn message(said: &Said<'_>) -> Message {
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest::digest(&digest::SHA256, said.body).as_ref());
    Message {
        agent: String::new(),
        event: Event::Sent,
        message_id: None,
        direction: said.direction,
        at_unix_ns: None,
        local: None,
        remote: None,
        content_type: None,
        body: said.body.to_vec(),
        body_sha256,
    }
}

fn packets(frames: &[Frame], observer: &ExchangeObserver<'_>) -> Vec<Packet> {
    let first_at = frames.first().map_or(0, |frame| frame.captured_at);
    let packet = |(index, (frame, row)): (usize, (&Frame, &Row))| Packet {
        frame: frame.number,
        ms: milliseconds_between(first_at, row.captured_at),
        direction: row.direction.map(Way::from),
        bytes: u64::from(row.wire_len),
        payload: u64::from(row.payload),
        what: observer.rows.what(index),
        marks: 0,
        marks_with_keys: 0,
    };
    frames.iter().zip(observer.rows.rows()).enumerate().map(packet).collect()
}

fn visible(connection: &TlsConnection) -> VisibleTls {
    let shown = &connection.handshake;
    let offered = || (!shown.alpn_offered.is_empty()).then(|| shown.alpn_offered.join(", "));
    VisibleTls {
        server_name: shown.server_name.clone(),
        version: shown.version.clone(),
        cipher_suite: shown.cipher_suite.clone(),
        group: shown.named_group.clone(),
        alpn: shown.alpn.clone().filter(|_| shown.alpn_visible).or_else(offered),
    }
}

/// Finds the places of the strings, and counts the strings of each packet.
struct Places<'r, 'k> {
    frames: &'r [Frame],
    known: &'k KnownStrings,
    capture: &'r CaptureObserver<'k>,
    carriers: &'r Carriers,
    packets: &'r mut [Packet],
    /// For each packet, the string that was counted last in it: without keys and with them.
    counted: Vec<[Option<usize>; 2]>,
    /// Number of places so far.
    total: usize,
}

impl<'r, 'k> Places<'r, 'k> {
    fn new(
        frames: &'r [Frame],
        known: &'k KnownStrings,
        observer: &'r ExchangeObserver<'k>,
        packets: &'r mut [Packet],
    ) -> Self {
        let counted = vec![[None; 2]; packets.len()];
        let ExchangeObserver { capture, carriers, .. } = observer;
        Self { frames, known, capture, carriers, packets, counted, total: 0 }
    }

    fn strings(mut self) -> Vec<FoundString> {
        self.known.strings.iter().enumerate().map(|(id, string)| self.string(id, string)).collect()
    }

    fn string(&mut self, id: usize, string: &KnownString) -> FoundString {
        let message = string.message.unwrap_or(0);
        let occurrence = &self.capture.messages.occurrences[message];
        let (level, chain, places) = match string.match_mode {
            MatchMode::Value(needle) | MatchMode::Pair(needle) => {
                let found = self.capture.hits.of(needle);
                let hits = nearest(&found.hits, occurrence);
                let chain = hits.first().map(|hit| &*hit.decode_chain);
                let value = self.value_in_needle(string);
                let locations = hits.iter().map(|hit| (hit.level, narrowed(hit, value.as_ref())));
                (found.level(), chain, self.places(id, locations))
            }
            MatchMode::Message => match &occurrence.first {
                Some(first) => {
                    let places = self.places(id, [(first.level, first.location.clone())].into_iter());
                    (first.level, Some(&*first.decode_chain), places)
                }
                None => (Level::Absent, None, Vec::new()),
            },
        };
        let direction = self.known.messages[message].direction;
        FoundString {
            id,
            text: self.known.value_of(string).chars().take(MAX_TEXT_CHARS).collect(),
            part: if direction == Direction::ClientToServer { Part::Request } else { Part::Answer },
            path: Some(string.path.to_string()),
            level,
            encoding: chain.map(encoding),
            places,
        }
    }

    /// Where the value of a string is in its needle, if it is searched with its surroundings. `None` if that is not certain: the
    /// value can be in them twice.
    fn value_in_needle(&self, string: &KnownString) -> Option<Range<usize>> {
        let MatchMode::Pair(needle) = string.match_mode else { return None };
        let value = self.known.value_of(string).as_bytes();
        let mut found = memmem::find_iter(self.known.bytes_of(needle), value);
        let start = found.next().filter(|_| !value.is_empty() && found.next().is_none())?;
        Some(start..start + value.len())
    }

    /// The places of the occurrences of a string, each once.
    fn places(&mut self, id: usize, occurrences: impl Iterator<Item = (Level, Location)>) -> Vec<Place> {
        let mut places = Vec::new();
        let mut known = BTreeSet::new();
        for (level, location) in occurrences {
            for carried in self.carriers.of(&location) {
                let (frame, start, end) = (carried.frame, carried.range.start, carried.range.end);
                if !places.is_empty() && self.total >= MAX_PLACES {
                    return places;
                }
                if known.insert((frame, start, end)) {
                    self.total += 1;
                    self.count(id, frame, level);
                    places.push(Place { frame: self.frames[frame].number, start, end, level });
                }
            }
        }
        places
    }

    /// Counts a string in a packet, unless it was counted there.
    fn count(&mut self, id: usize, frame: usize, level: Level) {
        let [keyless, with_keys] = &mut self.counted[frame];
        let packet = &mut self.packets[frame];
        if level.is_keyless() && keyless.replace(id) != Some(id) {
            packet.marks += 1;
        }
        if with_keys.replace(id) != Some(id) {
            packet.marks_with_keys += 1;
        }
    }
}

/// The first occurrences: those at the cheapest level first, and of these the ones in the string's own message.
fn nearest<'h>(hits: &'h [Hit], message: &Occurrence) -> Vec<&'h Hit> {
    let mut sorted: Vec<_> = hits.iter().collect();
    sorted.sort_by_key(|hit| (hit.level, !is_in(&hit.location, message)));
    sorted.truncate(MAX_OCCURRENCES);
    sorted
}

/// The location of an occurrence, or of this part of its needle where the bytes are those of the needle.
fn narrowed(hit: &Hit, part: Option<&Range<usize>>) -> Location {
    let mut location = hit.location.clone();
    if let Some(part) = part.filter(|_| matches!(hit.level, Level::Verbatim | Level::Reassembled)) {
        location.file_offset += part.start as u64;
        location.stream_offset = location.stream_offset.map(|offset| offset + part.start as u64);
        location.wire_len = part.len() as u64;
    }
    location
}

/// The names of the encodings in a decode chain.
fn encoding(chain: &[&'static str]) -> String {
    let name = |step: &&'static str| match *step {
        "json-escapes" => "JSON escapes",
        step => step,
    };
    let steps: Vec<_> = chain.iter().filter(|step| !PROTOCOLS.contains(step)).map(name).collect();
    if steps.is_empty() { "as it is".to_owned() } else { steps.join(", ") }
}
