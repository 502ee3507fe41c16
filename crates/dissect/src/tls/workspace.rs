//! What the sessions of a thread share: buffers, the keys of servers, and the master secrets of sessions to be resumed.

use std::fmt;

use super::certificate::CertificateCache;
use super::resumption::Resumption;
use super::server_key::ServerKeys;

/// Maximum number of unused record buffers that a [`Workspace`] keeps: more than the number of directions that usually
/// have an unfinished record at a time. Each is at most 18 KiB; further buffers are freed.
pub const MAX_SPARE_BUFFERS: usize = 64;

/// What all sessions of a thread share: buffers, so that an idle session keeps none, the keys of servers, and what was opened
/// and may be resumed.
#[derive(Default)]
pub struct Workspace {
    /// The current record, if it was split over chunks.
    pub(super) assembled: Vec<u8>,
    pub(super) spare: Vec<Vec<u8>>,
    pub(super) scratch: Scratch,
}

/// What the judgement of a record writes to.
#[derive(Default)]
pub(super) struct Scratch {
    /// The current record, decrypted.
    pub(super) plaintext: Vec<u8>,
    pub(super) certificates: CertificateCache,
    pub(super) server_keys: ServerKeys,
    pub(super) resumption: Resumption,
}

impl Workspace {
    /// Empty buffers. They grow to the length of the longest record and are used again for the next one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses the RSA keys of servers. To be called before the first input of a session.
    pub fn use_server_keys(&mut self, keys: ServerKeys) {
        self.scratch.server_keys = keys;
    }

    /// Ends the use of the RSA keys of servers, and returns them.
    #[must_use]
    pub fn take_server_keys(&mut self) -> ServerKeys {
        std::mem::take(&mut self.scratch.server_keys)
    }

    /// The RSA keys of servers, with their use so far.
    #[must_use]
    pub fn server_keys(&self) -> &ServerKeys {
        &self.scratch.server_keys
    }
}

/// Omits the buffers, because they contain decrypted data.
impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").field("spare", &self.spare.len()).finish_non_exhaustive()
    }
}
