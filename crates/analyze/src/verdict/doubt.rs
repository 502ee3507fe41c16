//! Doubts as data: the reasons why a capture does not prove something.
//!
//! Each doubt has a code, which never changes its meaning, a scope, and a text for people. docs/doubts.md lists them.

use std::fmt;

use exposure_schema::{DoubtEntry, DoubtScope};

use crate::input::capture::CaptureEnd;
use crate::input::discover::CompanionProblem;
use crate::observe::connections::Trouble;
use crate::pipeline::fact::{Bound, Unexplained};
use crate::search::needles::MAX_DEPTH;
use crate::search::{MIN_PATTERN, Overflow};

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
        match self {
            Self::NoJournal => "journal.missing",
            Self::Companion(problem) => match problem {
                CompanionProblem::Manifest(_) => "manifest.unusable",
                CompanionProblem::NotBeside(_) => "manifest.names-no-file",
                CompanionProblem::Missing(_) => "manifest.names-missing-file",
            },
            Self::JournalLine(_) => "journal.line-unusable",
            Self::JournalOfOtherRun { .. } => "journal.other-run",
            Self::MessagesWithoutRun(_) => "journal.no-run",
            Self::NotJson(_) => "journal.not-json",
            Self::TooDeep(_) => "journal.too-deep",
            Self::TooManyStrings => "journal.too-many-strings",
            Self::NoStrings => "journal.no-strings",
            Self::KeyLogLine(_) => "key-log.line-unusable",
            Self::CaptureEnd(CaptureEnd::Damaged(_)) => "capture.damaged",
            Self::CaptureEnd(CaptureEnd::Truncated(_)) => "capture.cut-off",
            Self::NoManifest => "manifest.missing",
            Self::NotFinished => "capture.not-finished",
            Self::HashDiffers => "capture.hash-differs",
            Self::FrameCountDiffers { .. } => "capture.frame-count-differs",
            Self::NoFrameCount => "manifest.no-frame-count",
            Self::LinkTypeDiffers { .. } => "capture.link-type-differs",
            Self::OutsideTime => "capture.outside-time",
            Self::KernelDrops(_) => "capture.kernel-drops",
            Self::KernelNotAsked => "manifest.no-kernel-drops",
            Self::DroppedFrames(_) => "capture.dropped-frames",
            Self::MessagesNotSeen { .. } => "message.not-seen",
            Self::MessagesNotJournaled(_) => "message.not-journaled",
            Self::StreamsNotWhole { .. } => "stream.not-whole",
            Self::FramesTruncated(_) => "frame.truncated",
            Self::Unexplained { .. } => "bytes.unexplained",
            Self::Bound(Bound::HandshakeRecords) => "bound.handshake-records",
            Self::Bound(Bound::CarveAttempts) => "bound.carve-attempts",
            Self::Overflow(Overflow::LongStrings) => "bound.long-strings",
            Self::Overflow(Overflow::Matches) => "bound.matches",
            Self::NoKeyLog => "control.no-key-log",
            Self::PositiveControlFailed { .. } => "control.positive-failed",
            Self::TlsNotOpened(_) => "tls.not-opened",
            Self::CleartextHttp(_) => "http.in-the-clear",
            Self::DecoysFound(_) => "control.decoy-found",
            Self::DecoysTooShort(_) => "control.decoy-too-short",
            Self::NoDecoys => "control.no-decoys",
            Self::WrongKeyOpened(_) => "control.wrong-key-opened",
            Self::WrongKeyNotTried => "control.wrong-key-not-tried",
        }
    }

    /// The scope: what the doubt concerns.
    pub(crate) fn scope(&self) -> DoubtScope {
        match self {
            Self::MessagesNotSeen { .. }
            | Self::MessagesNotJournaled(_)
            | Self::MessagesWithoutRun(_)
            | Self::NotJson(_)
            | Self::TooDeep(_) => DoubtScope::Message,
            Self::StreamsNotWhole { .. }
            | Self::TlsNotOpened(_)
            | Self::CleartextHttp(_)
            | Self::Unexplained { .. }
            | Self::Bound(_)
            | Self::Overflow(_) => DoubtScope::Stream,
            Self::FramesTruncated(_) => DoubtScope::Frame,
            _ => DoubtScope::Capture,
        }
    }

    /// The kind of conclusion that the doubt prevents.
    pub(crate) fn concern(&self) -> Concern {
        match self {
            Self::KeyLogLine(_)
            | Self::NoKeyLog
            | Self::TlsNotOpened(_)
            | Self::CleartextHttp(_)
            | Self::DecoysTooShort(_)
            | Self::NoDecoys
            | Self::WrongKeyOpened(_)
            | Self::WrongKeyNotTried => Concern::Search,
            _ => Concern::Capture,
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
            Self::NoKeyLog => f.write_str(
                "there is no positive control: no key log shows that the search would have found the strings",
            ),
            Self::PositiveControlFailed { absent, total } => {
                write!(f, "the positive control failed: {absent} of {total} strings were found at no level")
            }
            Self::TlsNotOpened(count) => {
                write!(f, "the key log does not decrypt both directions of {count} TLS connection(s)")
            }
            Self::CleartextHttp(count) => write!(f, "{count} TCP stream(s) contain HTTP in the clear"),
            Self::DecoysFound(count) => write!(f, "{count} decoy(s) that were never sent were found"),
            Self::DecoysTooShort(count) => write!(
                f,
                "{count} decoy(s) of the manifest are shorter than {MIN_PATTERN} bytes: not finding them proves nothing"
            ),
            Self::NoDecoys => f.write_str("there are no decoys: the manifest names none"),
            Self::WrongKeyOpened(count) => write!(f, "{count} record(s) authenticated with wrong keys"),
            Self::WrongKeyNotTried => f.write_str("no record was tried with wrong keys"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Source files that define codes.
    const SOURCES: [&str; 3] =
        [include_str!("doubt.rs"), include_str!("isolation/doubt.rs"), include_str!("isolation/leak.rs")];

    /// Every string that looks like a code, in the sources above their tests.
    fn codes_of_the_source() -> BTreeSet<&'static str> {
        let sources = SOURCES.iter().filter_map(|source| source.split("#[cfg(test)]").next());
        let arms = sources.flat_map(str::lines).filter_map(|line| line.trim().strip_suffix("\","));
        arms.filter_map(|arm| Some(arm.rsplit_once("=> \"")?.1)).filter(|code| code.contains('.')).collect()
    }

    #[test]
    fn docs_list_every_code_once_and_no_others() {
        let table = include_str!("../../../../docs/doubts.md");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let listed: Vec<_> = rows.map(|(code, _)| code).collect();
        let distinct: BTreeSet<_> = listed.iter().copied().collect();
        assert_eq!(distinct.len(), listed.len(), "a code is listed twice");
        assert_eq!(distinct, codes_of_the_source());
        assert!(distinct.len() > 30);
    }
}
