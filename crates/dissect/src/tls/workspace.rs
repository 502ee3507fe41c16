//! Buffers that the sessions of a thread share.

use std::fmt;

use super::certificate::CertificateCache;

/// Maximum number of unused record buffers that a [`Workspace`] keeps: more than the number of directions that usually
/// have an unfinished record at a time. Each is at most 18 KiB; further buffers are freed.
pub const MAX_SPARE_BUFFERS: usize = 64;

/// Buffers that all sessions of a thread share, so that an idle session keeps none.
#[derive(Default)]
pub struct Workspace {
    /// The current record, if it was split over chunks.
    pub(super) assembled: Vec<u8>,
    pub(super) spare: Vec<Vec<u8>>,
    pub(super) scratch: Scratch,
}

/// The buffers that the judgement of a record writes to.
#[derive(Default)]
pub(super) struct Scratch {
    /// The current record, decrypted.
    pub(super) plaintext: Vec<u8>,
    pub(super) certificates: CertificateCache,
}

impl Workspace {
    /// Empty buffers. They grow to the length of the longest record and are used again for the next one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Omits the buffers, because they contain decrypted data.
impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").field("spare", &self.spare.len()).finish_non_exhaustive()
    }
}
