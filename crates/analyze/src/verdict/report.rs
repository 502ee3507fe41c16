//! Everything that is known about a capture before it is judged.

use dissect::capture::SkippedBlocks;

use super::doubt::Doubt;
use crate::input::capture::Digest;
use crate::input::manifest::Manifest;
use crate::needles::KnownStrings;
use crate::observe::CaptureObserver;

/// The observations and circumstances of one capture.
#[derive(Debug)]
pub(crate) struct CaptureReport<'k> {
    /// The manifest.
    pub manifest: Option<&'k Manifest>,
    /// Whether there are journals, which name what was sent.
    pub has_journal: bool,
    /// Whether there was a key log, beside the capture or in it.
    pub has_keys: bool,
    /// The strings that were searched.
    pub known: &'k KnownStrings,
    /// The results of the observers.
    pub observed: CaptureObserver<'k>,
    /// Number of frames that the capture itself counts as dropped.
    pub dropped_frames: u64,
    /// Size of the capture in bytes: of the file, or of its contents if the file is compressed.
    pub bytes: u64,
    /// The most bytes that the file's headers allow for a frame; `None` without a limit.
    pub snaplen: Option<u32>,
    /// Blocks of the capture that carry no frame.
    pub skipped_blocks: SkippedBlocks,
    /// SHA-256 of these bytes, in hexadecimal digits.
    pub sha256: String,
    /// Hash and size of the file.
    pub file: Digest,
    /// Name of the compression of the file.
    pub compression: Option<&'static str>,
    /// The problems with the file and its companions.
    pub input_doubts: Vec<Doubt>,
}
