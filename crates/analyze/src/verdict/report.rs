//! What is known of a capture once it was read: what a verdict is about.

use super::doubt::Doubt;
use crate::input::manifest::Manifest;
use crate::observe::CaptureObserver;
use crate::search::needles::KnownStrings;

/// Everything that is known of one capture.
#[derive(Debug)]
pub(crate) struct CaptureReport<'k> {
    /// What the capturer states.
    pub manifest: Option<&'k Manifest>,
    /// Whether any journal names what was sent.
    pub has_journal: bool,
    /// Whether there was a key log, given or in the capture itself.
    pub has_keys: bool,
    /// What was looked for.
    pub known: &'k KnownStrings,
    /// What was found.
    pub observed: CaptureObserver<'k>,
    /// Frames that the capture itself counts as dropped.
    pub dropped_frames: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// What is wrong with the file.
    pub input_doubts: Vec<Doubt>,
}
