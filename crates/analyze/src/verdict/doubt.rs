//! Doubts as data: the reasons why a capture does not prove something.
//!
//! Each doubt has a code, which never changes its meaning, a scope, and a text for people. docs/doubts.md lists them.

use std::fmt;
use std::net::SocketAddr;

use exposure_schema::{DoubtEntry, DoubtScope};
use search::fragments::MAX_SOURCE_BYTES;
use search::{MIN_PATTERN, Overflow};

use crate::input::capture::CaptureEnd;
use crate::input::discover::CompanionProblem;
use crate::input::scope::Scope;
use crate::needles::MAX_DEPTH;
use crate::observe::connections::Trouble;
use crate::pipeline::fact::{Bound, Unexplained};

/// One reason why a verdict is not certain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Doubt {
    /// No journal names what was sent.
    NoJournal,
    /// A file that belongs to the capture cannot be used.
    Companion(CompanionProblem),
    /// A line of a journal cannot be used.
    JournalLine(String),
    /// A journal is of another run than the capture.
    JournalOfOtherRun {
        /// The run of the journal.
        journal: String,
        /// The run of the capture.
        capture: String,
    },
    /// Number of messages in the journals that name no run.
    MessagesWithoutRun(u64),
    /// Number of messages in the journals whose body is not JSON.
    NotJson(usize),
    /// Number of messages in the journals that are nested deeper than is read.
    TooDeep(usize),
    /// The journals contain more strings than are searched.
    TooManyStrings,
    /// The journals contain no string.
    NoStrings,
    /// A line of the key log cannot be used.
    KeyLogLine(String),
    /// Reading the file ended early.
    CaptureEnd(CaptureEnd),
    /// There is no manifest.
    NoManifest,
    /// The capturer did not close the file.
    NotFinished,
    /// The file is not the one that the manifest describes.
    HashDiffers,
    /// The file contains another number of frames than the manifest states.
    FrameCountDiffers {
        /// Number of frames in the manifest.
        manifest: u64,
        /// Number of frames in the file.
        file: u64,
    },
    /// The manifest does not state the number of frames.
    NoFrameCount,
    /// The file contains frames of another link type than the manifest states.
    LinkTypeDiffers {
        /// Link type in the manifest.
        manifest: u16,
        /// Link type in the file.
        file: u16,
    },
    /// Frames lie outside of the time that the manifest states.
    OutsideTime,
    /// A field of the manifest is contradicted by the capture, or by another field.
    ManifestField {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        manifest: String,
        /// What contradicts it.
        found: String,
    },
    /// Fields that the manifest lacks, as paths.
    ManifestFieldsMissing(Vec<&'static str>),
    /// Frames still arrived when the capture ended, or the manifest does not state whether they did.
    NotDrained,
    /// Number of connections whose end is missing in a capture that ended after its agents.
    ConnectionsNotEnded(u64),
    /// Number of messages that only one of the agents has journaled.
    JournalsDisagree(u64),
    /// Number of lines of the journals outside of the time that the manifest states, or without a time.
    JournalOutsideTime(u64),
    /// Number of lines of the journals that name another connection than the one that carries the message.
    JournalOtherConnection(u64),
    /// Number of lines of the journals outside of the time of the connection that carries the message.
    JournalOutsideConnection(u64),
    /// Number of lines of the journals with another content type than the message has on the wire.
    JournalOtherContentType(u64),
    /// Number of lines of the journals with another id than the message contains.
    JournalOtherId(u64),
    /// Number of frames that the kernel dropped.
    KernelDrops(u64),
    /// The manifest does not state how many frames the kernel dropped.
    KernelNotAsked,
    /// Number of frames that the capture file itself counts as dropped.
    DroppedFrames(u64),
    /// Messages of the journals that are not in the capture.
    MessagesNotSeen {
        /// Number of these messages.
        missing: u64,
        /// Number of all messages in the journals.
        expected: u64,
        /// Whether there is TLS and no key log, so that they may be inside of TLS.
        behind_tls: bool,
    },
    /// Number of messages with a body that match no line of the journals.
    MessagesNotJournaled(u64),
    /// TCP connections with something missing or doubtful.
    StreamsNotWhole {
        /// Number of these connections.
        count: u64,
        /// Number of connections that carry data.
        with_data: u64,
        /// The first of them, and its troubles.
        first: Option<(u32, Vec<Trouble>)>,
    },
    /// Number of frames that the snaplen cut.
    FramesTruncated(u64),
    /// Bytes that no parser explains.
    Unexplained {
        /// Number of these bytes.
        bytes: u64,
        /// The reason for the first of them.
        first: Option<Unexplained>,
    },
    /// A bound of the pipeline was reached.
    Bound(Bound),
    /// A bound of the search was reached.
    Overflow(Overflow),
    /// Number of messages and secrets of which parts are not searched, because all together are too long.
    PartsNotSearched(u64),
    /// Number of strings that are not searched, because their whole message is too short.
    StringsTooShort(u64),
    /// The messages contain more words than are compared with the text fields of hellos.
    TextWords,
    /// No key log shows that the search would have found the strings.
    NoKeyLog,
    /// The search did not find every string.
    PositiveControlFailed {
        /// Number of strings found at no level.
        absent: u64,
        /// Number of all strings.
        total: u64,
    },
    /// Number of TLS connections of which the key log does not decrypt both directions.
    TlsNotOpened(u64),
    /// Number of TLS connections whose handshake in the capture is not the one that an endpoint saw.
    FinishedDiffers(u64),
    /// Number of decrypted TLS connections in which a Finished message is missing or cannot be verified.
    FinishedMissing(u64),
    /// Number of TCP connections with HTTP in the clear: a string could be hidden in it under two encodings.
    CleartextHttp(u64),
    /// Number of decoys that were found.
    DecoysFound(u64),
    /// Number of decoys that are too short to be searched.
    DecoysTooShort(usize),
    /// The manifest names no decoys.
    NoDecoys,
    /// Number of records that authenticated with wrong keys.
    WrongKeyOpened(u64),
    /// No record was tried with wrong keys.
    WrongKeyNotTried,
    /// Strings that were planted in copies of real frames, and were not found.
    PlantedMissed {
        /// Number of these strings.
        missed: u64,
        /// Number of all that were planted.
        planted: u64,
        /// Form and layer of the first that was missed.
        first: String,
    },
    /// Bytes of the capture that were not searched.
    NotCovered {
        /// Number of bytes that were searched.
        searched: u64,
        /// Number of bytes in all frames.
        captured: u64,
    },
    /// The capture has no connection in whose frames strings can be planted.
    NothingPlanted,
    /// The capture has no connection of this part of the scope.
    ScopeEmpty(Scope),
    /// Connections carry strings under the keys, but are outside of the scope.
    CarrierOutside {
        /// Number of these connections.
        count: u64,
        /// Number of the first of them.
        first: u32,
        /// Its server.
        server: Option<SocketAddr>,
    },
    /// So many times, QUIC sessions carry strings under the keys. A scope has TCP connections only.
    CarrierInQuic(u64),
}

/// The kind of conclusion that a doubt prevents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concern {
    /// Every conclusion: the capture is missing, changed, damaged or not understood in part.
    Capture,
    /// Only the conclusion that a string is absent: nothing shows that the search would have found it.
    Search,
}

impl Doubt {
    /// The code: a group of words, a dot and further words, all in lower case.
    pub(crate) fn code(&self) -> &'static str {
        self.kind().0
    }

    /// The scope: what the doubt concerns.
    pub(crate) fn scope(&self) -> DoubtScope {
        self.kind().1
    }

    /// The kind of conclusion that the doubt prevents.
    pub(crate) fn concern(&self) -> Concern {
        self.kind().2
    }

    /// Code, scope and concern, as in docs/doubts.md.
    fn kind(&self) -> (&'static str, DoubtScope, Concern) {
        use DoubtScope::{Capture, Frame, Message, Stream};
        match self {
            Self::NoJournal => ("journal.missing", Capture, Concern::Capture),
            Self::Companion(problem) => match problem {
                CompanionProblem::Manifest(_) => ("manifest.unusable", Capture, Concern::Capture),
                CompanionProblem::NotBeside(_) => ("manifest.names-no-file", Capture, Concern::Capture),
                CompanionProblem::Missing(_) => ("manifest.names-missing-file", Capture, Concern::Capture),
            },
            Self::JournalLine(_) => ("journal.line-unusable", Capture, Concern::Capture),
            Self::JournalOfOtherRun { .. } => ("journal.other-run", Capture, Concern::Capture),
            Self::MessagesWithoutRun(_) => ("journal.no-run", Message, Concern::Capture),
            Self::NotJson(_) => ("journal.not-json", Message, Concern::Capture),
            Self::TooDeep(_) => ("journal.too-deep", Message, Concern::Capture),
            Self::TooManyStrings => ("journal.too-many-strings", Capture, Concern::Capture),
            Self::NoStrings => ("journal.no-strings", Capture, Concern::Capture),
            Self::KeyLogLine(_) => ("key-log.line-unusable", Capture, Concern::Search),
            Self::CaptureEnd(CaptureEnd::Damaged(_)) => ("capture.damaged", Capture, Concern::Capture),
            Self::CaptureEnd(CaptureEnd::Truncated(_)) => ("capture.cut-off", Capture, Concern::Capture),
            Self::NoManifest => ("manifest.missing", Capture, Concern::Capture),
            Self::NotFinished => ("capture.not-finished", Capture, Concern::Capture),
            Self::HashDiffers => ("capture.hash-differs", Capture, Concern::Capture),
            Self::FrameCountDiffers { .. } => ("capture.frame-count-differs", Capture, Concern::Capture),
            Self::NoFrameCount => ("manifest.no-frame-count", Capture, Concern::Capture),
            Self::LinkTypeDiffers { .. } => ("capture.link-type-differs", Capture, Concern::Capture),
            Self::OutsideTime => ("capture.outside-time", Capture, Concern::Capture),
            Self::ManifestField { .. } => ("manifest.field-differs", Capture, Concern::Capture),
            Self::ManifestFieldsMissing(_) => ("manifest.field-missing", Capture, Concern::Capture),
            Self::NotDrained => ("capture.not-drained", Capture, Concern::Capture),
            Self::ConnectionsNotEnded(_) => ("stream.not-ended", Stream, Concern::Capture),
            Self::JournalOtherConnection(_) => ("journal.other-connection", Message, Concern::Capture),
            Self::JournalOutsideConnection(_) => ("journal.outside-connection", Message, Concern::Capture),
            Self::JournalOtherContentType(_) => ("journal.other-content-type", Message, Concern::Capture),
            Self::JournalOtherId(_) => ("journal.other-id", Message, Concern::Capture),
            Self::JournalsDisagree(_) => ("journal.disagree", Message, Concern::Capture),
            Self::JournalOutsideTime(_) => ("journal.outside-time", Message, Concern::Capture),
            Self::KernelDrops(_) => ("capture.kernel-drops", Capture, Concern::Capture),
            Self::KernelNotAsked => ("manifest.no-kernel-drops", Capture, Concern::Capture),
            Self::DroppedFrames(_) => ("capture.dropped-frames", Capture, Concern::Capture),
            Self::MessagesNotSeen { .. } => ("message.not-seen", Message, Concern::Capture),
            Self::MessagesNotJournaled(_) => ("message.not-journaled", Message, Concern::Capture),
            Self::StreamsNotWhole { .. } => ("stream.not-whole", Stream, Concern::Capture),
            Self::FramesTruncated(_) => ("frame.truncated", Frame, Concern::Capture),
            Self::Unexplained { .. } => ("bytes.unexplained", Stream, Concern::Capture),
            Self::Bound(Bound::HandshakeRecords) => ("bound.handshake-records", Stream, Concern::Capture),
            Self::Bound(Bound::CarveAttempts) => ("bound.carve-attempts", Stream, Concern::Capture),
            Self::Bound(Bound::HeldBytes) => ("bound.held-bytes", Stream, Concern::Capture),
            Self::Bound(Bound::QuicSessions) => ("bound.quic-sessions", Capture, Concern::Capture),
            Self::Bound(Bound::QuicStreams) => ("bound.quic-streams", Capture, Concern::Capture),
            Self::Overflow(Overflow::LongStrings) => ("bound.long-strings", Stream, Concern::Capture),
            Self::Overflow(Overflow::Matches) => ("bound.matches", Stream, Concern::Capture),
            Self::PartsNotSearched(_) => ("bound.parts", Capture, Concern::Search),
            Self::StringsTooShort(_) => ("message.too-short", Message, Concern::Search),
            Self::TextWords => ("bound.text-words", Capture, Concern::Capture),
            Self::NoKeyLog => ("control.no-key-log", Capture, Concern::Search),
            Self::PositiveControlFailed { .. } => ("control.positive-failed", Capture, Concern::Capture),
            Self::TlsNotOpened(_) => ("tls.not-opened", Stream, Concern::Search),
            Self::FinishedDiffers(_) => ("tls.finished-differs", Stream, Concern::Capture),
            Self::FinishedMissing(_) => ("tls.finished-missing", Stream, Concern::Search),
            Self::CleartextHttp(_) => ("http.in-the-clear", Stream, Concern::Search),
            Self::DecoysFound(_) => ("control.decoy-found", Capture, Concern::Capture),
            Self::DecoysTooShort(_) => ("control.decoy-too-short", Capture, Concern::Search),
            Self::NoDecoys => ("control.no-decoys", Capture, Concern::Search),
            Self::WrongKeyOpened(_) => ("control.wrong-key-opened", Capture, Concern::Search),
            Self::WrongKeyNotTried => ("control.wrong-key-not-tried", Capture, Concern::Search),
            Self::PlantedMissed { .. } => ("control.planted-missed", Capture, Concern::Search),
            Self::NotCovered { .. } => ("control.not-covered", Capture, Concern::Search),
            Self::NothingPlanted => ("control.nothing-planted", Capture, Concern::Search),
            Self::ScopeEmpty(_) => ("scope.no-connection", Capture, Concern::Search),
            Self::CarrierOutside { .. } => ("scope.carrier-outside", Stream, Concern::Search),
            Self::CarrierInQuic(_) => ("scope.carrier-in-quic", Capture, Concern::Search),
        }
    }

    /// The doubt as an entry of the result.
    pub(crate) fn entry(&self) -> DoubtEntry {
        DoubtEntry { code: self.code().into(), scope: self.scope(), text: self.to_string() }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJournal => f.write_str(
                "there is no journal, so what was sent is unknown: this lists what is readable, and no more",
            ),
            Self::Companion(problem) => write!(f, "{problem}"),
            Self::JournalLine(problem) | Self::KeyLogLine(problem) => f.write_str(problem),
            Self::JournalOfOtherRun { journal, capture } => {
                write!(f, "a journal belongs to run {journal}, the capture to run {capture}")
            }
            Self::MessagesWithoutRun(count) => write!(f, "{count} message(s) of the journals name no run"),
            Self::NotJson(count) => {
                write!(f, "{count} message(s) of the journals are not JSON: their strings are not known")
            }
            Self::TooDeep(count) => write!(
                f,
                "{count} message(s) of the journals are nested deeper than {MAX_DEPTH} levels: their strings are not known"
            ),
            Self::TooManyStrings => f.write_str("the journals contain more strings than are searched"),
            Self::NoStrings => f.write_str("the journals contain no string to search for"),
            Self::CaptureEnd(end) => write!(f, "{end}"),
            Self::NoManifest => f.write_str("there is no manifest, so this file cannot be verified"),
            Self::NotFinished => f.write_str("the capturer did not close this file: the capture broke off"),
            Self::HashDiffers => {
                f.write_str("the file is not the one that the capturer closed: its SHA-256 differs")
            }
            Self::FrameCountDiffers { manifest, file } => {
                write!(f, "the capturer wrote {manifest} frames, the file contains {file}")
            }
            Self::NoFrameCount => {
                f.write_str("the manifest does not state how many frames the capturer wrote")
            }
            Self::LinkTypeDiffers { manifest, file } => {
                write!(
                    f,
                    "the capturer wrote frames of link type {manifest}, the file contains some of {file}"
                )
            }
            Self::OutsideTime => f.write_str("frames lie outside the time that the manifest states"),
            Self::ManifestField { field, manifest, found } => {
                write!(f, "the manifest states {field} {manifest:?}, but {found}")
            }
            Self::JournalsDisagree(count) => {
                write!(f, "{count} message(s) are in the journal of one agent and not in that of the other")
            }
            Self::JournalOutsideTime(count) => {
                write!(
                    f,
                    "{count} line(s) of the journals lie outside the time that the manifest states, or have none"
                )
            }
            Self::ManifestFieldsMissing(fields) => {
                write!(f, "the manifest lacks {}", fields.join(", ").replace('/', "."))
            }
            Self::NotDrained => f.write_str(
                "the manifest does not state that the capture ended in silence, so the ends of connections may be missing",
            ),
            Self::ConnectionsNotEnded(count) => write!(
                f,
                "the agents had ended before the capture, but {count} TCP connection(s) have no end in it: frames are missing"
            ),
            Self::JournalOtherConnection(count) => write!(
                f,
                "{count} line(s) of the journals name another connection than the one that carries the message"
            ),
            Self::JournalOutsideConnection(count) => write!(
                f,
                "{count} line(s) of the journals lie outside the time of the connection that carries the message"
            ),
            Self::JournalOtherContentType(count) => write!(
                f,
                "{count} line(s) of the journals state another content type than the message has on the wire"
            ),
            Self::JournalOtherId(count) => {
                write!(f, "{count} line(s) of the journals name another id than the message contains")
            }
            Self::KernelDrops(count) => write!(f, "the kernel dropped {count} frame(s)"),
            Self::KernelNotAsked => f.write_str("the capturer did not ask the kernel for dropped frames"),
            Self::DroppedFrames(count) => {
                write!(f, "the capture file itself counts {count} dropped frame(s)")
            }
            Self::MessagesNotSeen { missing, expected, behind_tls } => {
                write!(f, "{missing} of {expected} messages of the journals were not seen on the wire")?;
                match behind_tls {
                    true => f.write_str(" (there is no key log to decrypt TLS)"),
                    false => Ok(()),
                }
            }
            Self::MessagesNotJournaled(count) => write!(
                f,
                "{count} message(s) with a body on the wire match no line of the journals: their strings are not known"
            ),
            Self::StreamsNotWhole { count, with_data, first } => {
                write!(f, "{count} of {with_data} TCP streams are not whole")?;
                let Some((stream, troubles)) = first else { return Ok(()) };
                let troubles: Vec<_> = troubles.iter().map(ToString::to_string).collect();
                write!(f, "; tcp.stream {stream}: {}", troubles.join(", "))
            }
            Self::FramesTruncated(count) => write!(f, "{count} frame(s) are cut by the capture's snaplen"),
            Self::Unexplained { bytes, first } => {
                write!(f, "{bytes} payload bytes are not explained")?;
                first.as_ref().map_or(Ok(()), |first| write!(f, "; first: {first}"))
            }
            Self::Bound(bound) => write!(f, "{bound}"),
            Self::Overflow(overflow) => write!(f, "{overflow}"),
            Self::PartsNotSearched(count) => write!(
                f,
                "parts of {count} messages or secrets are not searched: all together are longer than {} MiB",
                MAX_SOURCE_BYTES >> 20
            ),
            Self::StringsTooShort(count) => write!(
                f,
                "{count} strings are not searched: their whole message is shorter than {MIN_PATTERN} bytes"
            ),
            Self::TextWords => f.write_str(
                "the messages contain more words than are compared with server names and protocols",
            ),
            Self::NoKeyLog => f.write_str(
                "there is no positive control: no key log shows that the search would have found the strings",
            ),
            Self::PositiveControlFailed { absent, total } => {
                write!(f, "the positive control failed: {absent} of {total} strings were found at no level")
            }
            Self::TlsNotOpened(count) => {
                write!(f, "the key log does not decrypt both directions of {count} TLS connection(s)")
            }
            Self::FinishedDiffers(count) => write!(
                f,
                "in {count} TLS connection(s) the handshake of the capture is not the one that the endpoints saw: a Finished message contradicts it"
            ),
            Self::FinishedMissing(count) => {
                write!(f, "in {count} TLS connection(s) a Finished message is missing or cannot be verified")
            }
            Self::CleartextHttp(count) => write!(f, "{count} TCP stream(s) contain HTTP in the clear"),
            Self::DecoysFound(count) => write!(f, "{count} decoy(s) that were never sent were found"),
            Self::DecoysTooShort(count) => write!(
                f,
                "{count} decoy(s) of the manifest are shorter than {MIN_PATTERN} bytes: not finding them proves nothing"
            ),
            Self::NoDecoys => f.write_str("there are no decoys: the manifest names none"),
            Self::WrongKeyOpened(count) => write!(f, "{count} record(s) authenticated with wrong keys"),
            Self::PlantedMissed { missed, planted, first } => write!(
                f,
                "{missed} of {planted} strings that were planted in copies of the frames are not found; first: {first}"
            ),
            Self::NotCovered { searched, captured } => {
                write!(f, "{searched} of {captured} captured bytes were searched")
            }
            Self::NothingPlanted => f.write_str("no connection has frames in which strings can be planted"),
            Self::WrongKeyNotTried => f.write_str("no record was tried with wrong keys"),
            Self::ScopeEmpty(scope) => {
                write!(f, "the capture has no TCP connection with data in the scope {scope}")
            }
            Self::CarrierOutside { count, first, server } => {
                write!(
                    f,
                    "{count} connection(s) outside of the scope carry strings; the first is tcp.stream {first}"
                )?;
                server.map_or(Ok(()), |server| write!(f, " with {server}"))
            }
            Self::CarrierInQuic(times) => {
                write!(f, "{times} string(s) are in QUIC sessions, which are outside of any scope")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Source files that define codes.
    const SOURCES: [&str; 3] =
        [include_str!("doubt.rs"), include_str!("isolation/doubt.rs"), include_str!("isolation/leak.rs")];

    /// Code, scope and, for a doubt about a capture, concern, in lower case as in docs/doubts.md.
    type Row = (String, Vec<String>);

    /// Every arm `=> ("code", Scope)` or `=> ("code", Scope, Concern::Name)` in the sources above their tests.
    fn rows_of_the_source() -> BTreeSet<Row> {
        let sources = SOURCES.iter().filter_map(|source| source.split("#[cfg(test)]").next());
        let arms = sources.flat_map(|source| source.split("=> (").skip(1));
        let arms = arms.filter_map(|arm| arm.trim_start().strip_prefix('"')?.split_once(')'));
        arms.map(|(arm, _)| {
            let mut parts = arm.split(',').map(|part| part.trim().trim_matches('"').to_lowercase());
            let code = parts.next().expect("an arm has a code");
            (code, parts.map(|part| part.replace("concern::", "")).collect())
        })
        .collect()
    }

    #[test]
    fn docs_list_every_code_with_its_scope_and_concern() {
        let page = include_str!("../../../../docs/doubts.md");
        let rows: Vec<Row> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
            .map(|row| {
                let mut cells = row.split(" | ").map(|cell| cell.trim_end_matches('`').to_owned());
                let code = cells.next().expect("a row has a code");
                let mut columns: Vec<_> = cells.collect();
                columns.pop().expect("a row has a meaning");
                (code, columns)
            })
            .collect();
        let distinct: BTreeSet<_> = rows.iter().map(|(code, _)| code).collect();
        assert_eq!(distinct.len(), rows.len(), "a code is listed twice");
        assert!(distinct.len() > 80, "{} codes", distinct.len());
        assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), rows_of_the_source());
    }
}
