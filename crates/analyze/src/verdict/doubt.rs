//! What keeps a capture from proving something, as data.
//!
//! Each doubt has a code, which never changes its meaning, a scope, and a text for people. docs/doubts.md lists the codes.

use std::fmt;

use exposure_schema::{DoubtEntry, DoubtScope};

use crate::input::capture::CaptureEnd;
use crate::input::discover::CompanionProblem;
use crate::observe::connections::Trouble;
use crate::pipeline::fact::{Bound, Unexplained};
use crate::search::needles::MAX_DEPTH;
use crate::search::{MIN_PATTERN, Overflow};

/// One reason why something cannot be concluded.
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
    /// Messages of the journals that name no run.
    MessagesWithoutRun(u64),
    /// Messages of the journals whose body is not JSON.
    NotJson(usize),
    /// Messages of the journals that nest deeper than is read.
    TooDeep(usize),
    /// The journals hold more strings than are searched.
    TooManyStrings,
    /// The journals hold no string.
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
    /// The file holds another number of frames than the manifest says.
    FrameCountDiffers {
        /// Frames by the manifest.
        manifest: u64,
        /// Frames in the file.
        file: u64,
    },
    /// The manifest does not say how many frames there are.
    NoFrameCount,
    /// The file holds frames of another link type than the manifest says.
    LinkTypeDiffers {
        /// Link type by the manifest.
        manifest: u16,
        /// Link type in the file.
        file: u16,
    },
    /// Frames lie outside of the time that the manifest states.
    OutsideTime,
    /// Frames that the kernel dropped.
    KernelDrops(u64),
    /// The capturer did not ask the kernel for dropped frames.
    KernelNotAsked,
    /// Frames that the capture itself counts as dropped.
    DroppedFrames(u64),
    /// Messages of the journals that did not cross.
    MessagesNotSeen {
        /// How many.
        missing: u64,
        /// Of how many.
        expected: u64,
        /// Whether there is TLS, and no key log to look behind it.
        behind_tls: bool,
    },
    /// Messages with a body that crossed and that no journal names.
    MessagesNotJournaled(u64),
    /// TCP connections of which something is missing or doubtful.
    StreamsNotWhole {
        /// How many.
        count: u64,
        /// Of how many that carry data.
        with_data: u64,
        /// The first of them, and its troubles.
        first: Option<(u32, Vec<Trouble>)>,
    },
    /// Frames that the snaplen cut.
    FramesTruncated(u64),
    /// Bytes that no parser explains.
    Unexplained {
        /// How many.
        bytes: u64,
        /// Why, of the first of them.
        first: Option<Unexplained>,
    },
    /// A bound of the pipeline was hit.
    Bound(Bound),
    /// A bound of the search was hit.
    Overflow(Overflow),
    /// No key log shows that the search would have found the strings.
    NoKeyLog,
    /// The search did not find every string.
    PositiveControlFailed {
        /// Strings found at no level.
        absent: u64,
        /// All strings.
        total: u64,
    },
    /// TLS connections of which the key log does not open both sides.
    TlsNotOpened(u64),
    /// TCP connections that speak HTTP in the clear: a string could be hidden in it behind two encodings.
    CleartextHttp(u64),
    /// Decoys that were found.
    DecoysFound(u64),
    /// Decoys that are too short for a search.
    DecoysTooShort(usize),
    /// There are no decoys.
    NoDecoys,
    /// Records that authenticated with wrong keys.
    WrongKeyOpened(u64),
    /// No record was tried with wrong keys.
    WrongKeyNotTried,
}

/// What a doubt keeps from being concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concern {
    /// Anything: the capture is missing, changed, damaged or not understood in part.
    Capture,
    /// Only that a string is absent: nothing shows that the search would have found it.
    Search,
}

impl Doubt {
    /// The code: lower-case words, a group before the dot.
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

    /// What the doubt is about.
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

    /// What the doubt keeps from being concluded.
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

    /// The doubt as it enters the result.
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
                write!(f, "a journal is of run {journal}, the capture of run {capture}")
            }
            Self::MessagesWithoutRun(count) => write!(f, "{count} message(s) of the journals name no run"),
            Self::NotJson(count) => {
                write!(f, "{count} message(s) of the journals are no JSON: their strings are not known")
            }
            Self::TooDeep(count) => write!(
                f,
                "{count} message(s) of the journals nest deeper than {MAX_DEPTH} levels: their strings are not known"
            ),
            Self::TooManyStrings => f.write_str("the journals hold more strings than are searched"),
            Self::NoStrings => f.write_str("the journals hold no string to look for"),
            Self::CaptureEnd(end) => write!(f, "{end}"),
            Self::NoManifest => f.write_str("there is no manifest: nothing vouches for this file"),
            Self::NotFinished => f.write_str("the capturer did not close this file: the capture broke off"),
            Self::HashDiffers => {
                f.write_str("the file is not the one that the capturer closed: its SHA-256 differs")
            }
            Self::FrameCountDiffers { manifest, file } => {
                write!(f, "the capturer wrote {manifest} frames, the file holds {file}")
            }
            Self::NoFrameCount => f.write_str("the manifest does not say how many frames the capturer wrote"),
            Self::LinkTypeDiffers { manifest, file } => {
                write!(f, "the capturer wrote frames of link type {manifest}, the file holds some of {file}")
            }
            Self::OutsideTime => {
                f.write_str("frames are of another time than the manifest says that the capture took")
            }
            Self::KernelDrops(count) => write!(f, "the kernel dropped {count} frame(s)"),
            Self::KernelNotAsked => f.write_str("the capturer did not ask the kernel for dropped frames"),
            Self::DroppedFrames(count) => {
                write!(f, "the capture itself says that {count} frame(s) were dropped")
            }
            Self::MessagesNotSeen { missing, expected, behind_tls } => {
                write!(f, "{missing} of {expected} messages of the journals were not seen on the wire")?;
                match behind_tls {
                    true => f.write_str(" (there is no key log to look behind TLS)"),
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
                write!(f, "the key log does not open both sides of {count} TLS connection(s)")
            }
            Self::CleartextHttp(count) => write!(f, "{count} TCP stream(s) speak HTTP in the clear"),
            Self::DecoysFound(count) => write!(f, "{count} decoy(s) that were never sent were found"),
            Self::DecoysTooShort(count) => write!(
                f,
                "{count} decoy(s) of the manifest are shorter than {MIN_PATTERN} bytes: that they are not found shows nothing"
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

    /// The sources that define codes.
    const SOURCES: [&str; 3] =
        [include_str!("doubt.rs"), include_str!("isolation/doubt.rs"), include_str!("isolation/leak.rs")];

    /// Every string that looks like a code, in the sources above their tests.
    fn codes_of_the_source() -> BTreeSet<&'static str> {
        let sources = SOURCES.iter().filter_map(|source| source.split("#[cfg(test)]").next());
        let arms = sources.flat_map(str::lines).filter_map(|line| line.trim().strip_suffix("\","));
        arms.filter_map(|arm| Some(arm.rsplit_once("=> \"")?.1)).filter(|code| code.contains('.')).collect()
    }

    #[test]
    fn docs_list_every_code_once_and_no_other() {
        let table = include_str!("../../../../docs/doubts.md");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let listed: Vec<_> = rows.map(|(code, _)| code).collect();
        let distinct: BTreeSet<_> = listed.iter().copied().collect();
        assert_eq!(distinct.len(), listed.len(), "a code is listed twice");
        assert_eq!(distinct, codes_of_the_source());
        assert!(distinct.len() > 30);
    }
}
