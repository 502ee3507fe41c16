//! Everything that is known about a capture before it is judged.

use std::path::PathBuf;

use dissect::capture::SkippedBlocks;
use dissect::tls::KeyUse;

use super::doubt::Doubt;
use crate::input::capture::Digest;
use crate::input::manifest::Manifest;
use crate::needles::KnownStrings;
use crate::observe::CaptureObserver;

/// An RSA key of a server, and what it opened.
#[derive(Clone, Debug)]
pub(crate) struct UsedKey {
    /// The file that it is from.
    pub file: PathBuf,
    /// Size in bits.
    pub bits: usize,
    /// SHA-256 of the public key.
    pub public_key_sha256: [u8; 32],
    /// What handshakes have to do with it.
    pub used: KeyUse,
}

/// The observations and circumstances of one capture.
#[derive(Debug)]
pub(crate) struct CaptureReport<'k> {
    /// The manifest.
    pub manifest: Option<&'k Manifest>,
    /// Whether there are journals, which name what was sent.
    pub has_journal: bool,
    /// Whether there was a key log, beside the capture or in it, or a server key opened a handshake.
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
    /// The given RSA keys of servers.
    pub server_keys: Vec<UsedKey>,
    /// The problems with the file and its companions.
    pub input_doubts: Vec<Doubt>,
}
