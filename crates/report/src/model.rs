//! `plainsight.exposure/1` as this program reads it; `docs/exposure.md` has it field by field.
//!
//! A model of its own, so that nothing but the document passes between the analyzer and the report. It names what the
//! report needs, and no more: a field that it does not know is passed over, one that it knows must be there, be it
//! `null`. Lists that may be long are checked to their end and kept as far as the report will ever show them.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// The document that this program reads.
pub(crate) const SCHEMA: &str = "plainsight.exposure/1";

/// Strings that are kept of a capture, from the first: the first exchange has some sixty.
const STRINGS_KEPT: usize = 512;

/// Strings that are kept of each level beyond those: the proof that the level occurs.
const STRINGS_KEPT_BY_LEVEL: usize = 8;

/// Entries that are kept of any other list: the analyzer's own lists end at a thousand.
const ENTRIES_KEPT: usize = 1_000;

/// The schema alone, read before anything else is expected of the document.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) schema: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Exposure {
    pub(crate) program: Program,
    pub(crate) captures: Vec<Capture>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) conclusion: Option<Conclusion>,
    pub(crate) reasons: Sampled<String>,
    /// Not in documents from before there were such runs.
    #[serde(default)]
    pub(crate) isolation: Sampled<Isolation>,
    pub(crate) errors: Sampled<String>,
}

/// An isolation run.
#[derive(Debug, Deserialize)]
pub(crate) struct Isolation {
    pub(crate) file: String,
    pub(crate) run_id: String,
    pub(crate) backend: String,
    pub(crate) verdict: IsolationVerdict,
    pub(crate) reasons: Sampled<String>,
    pub(crate) box_frames: u64,
    pub(crate) box_canaries: u64,
    pub(crate) secrets_crossed: u64,
    pub(crate) kinds: Sampled<Way>,
    pub(crate) interfaces: Sampled<Watched>,
    pub(crate) boxes: Sampled<Boxed>,
    pub(crate) boxes_total: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) identity: Option<Identity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IsolationVerdict {
    Isolated,
    Leaked,
    Inconclusive,
}

/// A way out of a box.
#[derive(Debug, Deserialize)]
pub(crate) struct Way {
    pub(crate) kind: String,
    pub(crate) tried: u64,
    pub(crate) seen: u64,
    pub(crate) control_tried: u64,
    pub(crate) control_seen: u64,
    pub(crate) control_passed: bool,
}

/// An interface that was watched.
#[derive(Debug, Deserialize)]
pub(crate) struct Watched {
    pub(crate) phase: Phase,
    #[serde(deserialize_with = "nullable")]
    pub(crate) interface: Option<String>,
    pub(crate) file: String,
    pub(crate) sha256: String,
    pub(crate) frames: u64,
    pub(crate) talk_frames: u64,
    pub(crate) arp_frames: u64,
    pub(crate) box_frames: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Isolated,
    Control,
}

/// A box.
#[derive(Debug, Deserialize)]
pub(crate) struct Boxed {
    pub(crate) phase: Phase,
    pub(crate) limits: Sampled<Limit>,
}

/// A limit that was in force.
#[derive(Debug, Deserialize)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) mechanism: String,
    pub(crate) value: String,
}

/// A user id, read and repeated.
#[derive(Debug, Deserialize)]
pub(crate) struct Identity {
    pub(crate) user: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) read: Option<Seen>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) read_from: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) replayed: Option<Seen>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) replayed_from: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) answered: Option<Seen>,
}

/// A place in one of several captures.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    pub(crate) file: String,
    pub(crate) location: Location,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Conclusion {
    Proven,
    Refuted,
    Inconclusive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Exposed,
    Sealed,
    Inconclusive,
}

/// What an eavesdropper must do to read a string, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Verbatim,
    Reassembled,
    Decoded,
    Decrypted,
    Absent,
}

impl Level {
    pub(crate) const ALL: [Self; 5] =
        [Self::Verbatim, Self::Reassembled, Self::Decoded, Self::Decrypted, Self::Absent];

    /// Its name in the document.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Verbatim => "verbatim",
            Self::Reassembled => "reassembled",
            Self::Decoded => "decoded",
            Self::Decrypted => "decrypted",
            Self::Absent => "absent",
        }
    }

    /// Whether it takes no secret.
    pub(crate) fn is_readable(self) -> bool {
        self <= Self::Decoded
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    ClientToServer,
    ServerToClient,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Capture {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) run_id: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) variant: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) backend: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) vantage: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) expected_verdict: Option<Verdict>,
    pub(crate) frames: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) first_frame_at_unix_ns: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) last_frame_at_unix_ns: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) verdict: Option<Verdict>,
    pub(crate) reasons: Sampled<String>,
    pub(crate) completeness: Completeness,
    pub(crate) controls: Controls,
    pub(crate) strings: Strings,
    pub(crate) summary: Summary,
    #[serde(deserialize_with = "nullable")]
    pub(crate) tls: Option<Tls>,
    pub(crate) http: Sampled<HttpMessage>,
    pub(crate) http_total: u64,
    pub(crate) readable: Sampled<Readable>,
    pub(crate) readable_total: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) manifest: Option<Manifest>,
    pub(crate) journal: Sampled<JournalLine>,
    pub(crate) journal_total: u64,
    pub(crate) connections: Sampled<Connection>,
    pub(crate) connections_total: u64,
    pub(crate) packets: Sampled<Packet>,
    pub(crate) traffic: Traffic,
    #[serde(deserialize_with = "nullable")]
    pub(crate) exhibit: Option<Exhibit>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Completeness {
    pub(crate) passed: bool,
    #[serde(deserialize_with = "nullable")]
    pub(crate) hash_matches_manifest: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) capture_finished: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) kernel_drops: Option<u64>,
    pub(crate) messages_expected: u64,
    pub(crate) messages_accounted: u64,
    pub(crate) streams: u64,
    pub(crate) streams_whole: u64,
    pub(crate) gaps: u64,
    pub(crate) overlap_conflicts: u64,
    pub(crate) retransmissions: u64,
    pub(crate) out_of_order: u64,
    pub(crate) frames_truncated: u64,
    pub(crate) frames_undecoded: u64,
    pub(crate) unexplained_bytes: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Controls {
    pub(crate) positive: PositiveControl,
    pub(crate) decoys: DecoyControl,
    #[serde(deserialize_with = "nullable")]
    pub(crate) wrong_key: Option<WrongKeyControl>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PositiveControl {
    pub(crate) passed: bool,
    pub(crate) strings: u64,
    pub(crate) found: u64,
    pub(crate) key_log: bool,
    pub(crate) bytes_searched: u64,
    pub(crate) bytes_decrypted: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DecoyControl {
    pub(crate) passed: bool,
    pub(crate) searched: u64,
    pub(crate) found: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WrongKeyControl {
    pub(crate) passed: bool,
    pub(crate) tried: u64,
    pub(crate) authenticated: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StringEntry {
    pub(crate) value: String,
    pub(crate) path: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) message_id: Option<String>,
    pub(crate) direction: Direction,
    pub(crate) level: Level,
    pub(crate) searched_as: String,
    pub(crate) expected_chance_hits: f64,
    pub(crate) locations: Sampled<Location>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Location {
    pub(crate) frames: Sampled<u64>,
    pub(crate) file_offset: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) stream: Option<u32>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) direction: Option<Direction>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) stream_offset: Option<u64>,
    pub(crate) wire_bytes: u64,
    pub(crate) layers: Vec<String>,
    pub(crate) filter: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) verbatim: u64,
    pub(crate) reassembled: u64,
    pub(crate) decoded: u64,
    pub(crate) decrypted: u64,
    pub(crate) absent: u64,
    pub(crate) total: u64,
}

impl Summary {
    pub(crate) fn of(&self, level: Level) -> u64 {
        match level {
            Level::Verbatim => self.verbatim,
            Level::Reassembled => self.reassembled,
            Level::Decoded => self.decoded,
            Level::Decrypted => self.decrypted,
            Level::Absent => self.absent,
        }
    }

    /// Strings that anybody can read.
    pub(crate) fn readable(&self) -> u64 {
        Level::ALL.into_iter().filter(|level| level.is_readable()).map(|level| self.of(level)).sum()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tls {
    pub(crate) connections: u64,
    pub(crate) records: TlsRecords,
    pub(crate) sessions: Sampled<TlsSession>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TlsRecords {
    pub(crate) total: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TlsSession {
    pub(crate) stream: u32,
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) visible: TlsVisible,
    pub(crate) hidden: TlsHidden,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TlsVisible {
    #[serde(deserialize_with = "nullable")]
    pub(crate) server_name: Option<String>,
    pub(crate) versions_offered: Vec<String>,
    pub(crate) alpn_offered: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) alpn: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) version: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) cipher_suite: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) named_group: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) post_quantum_hybrid: Option<bool>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) records: [u64; 2],
    pub(crate) stream_bytes: [u64; 2],
}

#[derive(Debug, Deserialize)]
pub(crate) struct TlsHidden {
    #[serde(deserialize_with = "nullable")]
    pub(crate) alpn: Option<String>,
    pub(crate) certificates: Vec<Certificate>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) subject_alt_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HttpMessage {
    #[serde(deserialize_with = "nullable")]
    pub(crate) stream: Option<u32>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) direction: Option<Direction>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) first_frame: Option<u64>,
    pub(crate) last_frame: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) method: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) target: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) status: Option<u16>,
    pub(crate) body_bytes: u64,
    pub(crate) level: Level,
    #[serde(deserialize_with = "nullable")]
    pub(crate) message_id: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) first_at_unix_ns: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) last_at_unix_ns: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Readable {
    #[serde(deserialize_with = "nullable")]
    pub(crate) value: Option<String>,
    pub(crate) path: String,
    pub(crate) location: Location,
}

/// What the capturer states.
#[derive(Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) program: Program,
    pub(crate) scheme: String,
    pub(crate) http_version: String,
    pub(crate) tls_versions: Vec<String>,
    pub(crate) port: u16,
    #[serde(deserialize_with = "nullable")]
    pub(crate) interface: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) filter: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) started_at_unix_ns: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) ended_at_unix_ns: Option<u64>,
    pub(crate) journals: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) key_log: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) unfinished_checksums: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) segmentation_offload_frames: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    Sent,
    Received,
}

#[derive(Debug, Deserialize)]
pub(crate) struct JournalLine {
    pub(crate) agent: String,
    pub(crate) event: Event,
    #[serde(deserialize_with = "nullable")]
    pub(crate) message_id: Option<String>,
    pub(crate) at_unix_ns: u64,
    pub(crate) body_bytes: u64,
    pub(crate) body_sha256: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) body: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Connection {
    pub(crate) stream: u32,
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) first_frame: u64,
    pub(crate) last_frame: u64,
    pub(crate) first_frame_at_unix_ns: u64,
    pub(crate) last_frame_at_unix_ns: u64,
    pub(crate) frames: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) round_trips_before_first_answer: Option<u64>,
    pub(crate) ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ended {
    Fin,
    Rst,
    Open,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Packet {
    pub(crate) frame: u64,
    pub(crate) at_unix_ns: u64,
    pub(crate) wire_bytes: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) stream: Option<u32>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) direction: Option<Direction>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) source: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) destination: Option<String>,
    pub(crate) protocol: String,
    pub(crate) flags: Vec<String>,
    pub(crate) payload_bytes: u64,
    pub(crate) holds: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Traffic {
    pub(crate) wire_bytes: u64,
    pub(crate) by_kind: ByKind,
    pub(crate) payload_bytes_sampled: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) payload_entropy_bits_per_byte: Option<f64>,
    pub(crate) payload_printable_bytes: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct ByKind {
    pub(crate) headers: u64,
    pub(crate) clear: u64,
    pub(crate) tls_clear: u64,
    pub(crate) ciphertext: u64,
    pub(crate) other: u64,
}

/// The first exchange as it crossed the wire.
#[derive(Debug, Deserialize)]
pub(crate) struct Exhibit {
    #[serde(deserialize_with = "nullable")]
    pub(crate) message_id: Option<String>,
    pub(crate) stream: u32,
    pub(crate) turns: Vec<Turn>,
    pub(crate) bytes_shown: u64,
    pub(crate) client_bytes: u64,
    pub(crate) server_bytes: u64,
    #[serde(deserialize_with = "nullable")]
    pub(crate) frame: Option<ExhibitFrame>,
}

/// A run of bytes in one direction.
#[derive(Debug, Deserialize)]
pub(crate) struct Turn {
    pub(crate) direction: Direction,
    pub(crate) stream_offset: u64,
    pub(crate) frames: Sampled<u64>,
    #[serde(deserialize_with = "base64_bytes")]
    pub(crate) bytes: Vec<u8>,
}

/// The frame that holds the first string, as captured.
#[derive(Debug, Deserialize)]
pub(crate) struct ExhibitFrame {
    pub(crate) frame: u64,
    pub(crate) file_offset: u64,
    pub(crate) wire_bytes: u64,
    #[serde(deserialize_with = "base64_bytes")]
    pub(crate) bytes: Vec<u8>,
    pub(crate) payload_offset: u64,
    pub(crate) path: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) message_id: Option<String>,
    pub(crate) level: Level,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A list read to its end, of which the first [`ENTRIES_KEPT`] are kept.
#[derive(Debug)]
pub(crate) struct Sampled<T> {
    kept: Vec<T>,
}

impl<T> Default for Sampled<T> {
    fn default() -> Self {
        Self { kept: Vec::new() }
    }
}

impl<T> std::ops::Deref for Sampled<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.kept
    }
}

impl<'a, T> IntoIterator for &'a Sampled<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Sampled<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut kept = Vec::new();
        each(deserializer, |element| {
            if kept.len() < ENTRIES_KEPT {
                kept.push(element);
            }
        })?;
        Ok(Self { kept })
    }
}

/// The strings of a capture: the first, and the first of each level.
#[derive(Debug)]
pub(crate) struct Strings {
    kept: Vec<StringEntry>,
}

impl std::ops::Deref for Strings {
    type Target = [StringEntry];

    fn deref(&self) -> &[StringEntry] {
        &self.kept
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut kept = Vec::new();
        let mut beyond: BTreeMap<Level, usize> = BTreeMap::new();
        each(deserializer, |string: StringEntry| {
            let beyond = beyond.entry(string.level).or_default();
            if kept.len() < STRINGS_KEPT {
                kept.push(string);
            } else if *beyond < STRINGS_KEPT_BY_LEVEL {
                *beyond += 1;
                kept.push(string);
            }
        })?;
        Ok(Self { kept })
    }
}

/// Hands over the elements of a list as they are read.
fn each<'de, D, T>(deserializer: D, take: impl FnMut(T)) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Each<T, F>(F, PhantomData<T>);

    impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Each<T, F> {
        type Value = ();

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
            while let Some(element) = elements.next_element()? {
                (self.0)(element);
            }
            Ok(())
        }
    }

    deserializer.deserialize_seq(Each(take, PhantomData))
}

/// A member that may be `null` and must be there: without this, serde takes a missing one for `null`.
fn nullable<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

fn base64_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(|error| de::Error::custom(format_args!("not base64: {error}")))
}
