//! The master secrets of sessions before TLS 1.3 that were opened, for those that resume them: by session id (RFC 5246 §7.3) or by
//! ticket (RFC 5077). A resumed session has no key exchange; its keys follow from the master secret of the first one.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use aws_lc_rs::digest;

use crate::keylog::Secret;

/// Maximum number of session ids and tickets whose master secrets are remembered, some 150 bytes each. The oldest is forgotten
/// first: servers let sessions end after a day at most (RFC 5246 §F.1.4), and a session that resumes a forgotten one counts as
/// not decrypted.
pub const MAX_RESUMABLE: usize = 16 << 10;

/// The first bytes of the SHA-256 of a session id or a ticket: another one with the same digest takes 2^128 attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ResumptionId([u8; 16]);

impl ResumptionId {
    /// Of a session id or a ticket; `None` for an empty one, which names no session.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let digest = (!bytes.is_empty()).then(|| digest::digest(&digest::SHA256, bytes))?;
        digest.as_ref().first_chunk().map(|first| Self(*first))
    }
}

/// Master secrets by session id and ticket.
#[derive(Default)]
pub(super) struct Resumption {
    secrets: HashMap<ResumptionId, Secret>,
    /// In the order in which they were first remembered.
    order: VecDeque<ResumptionId>,
}

impl Resumption {
    /// Remembers the master secret of a session. The last one counts: a server may use an id again.
    pub(super) fn remember(&mut self, id: ResumptionId, secret: &Secret) {
        if self.secrets.insert(id, secret.clone()).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_RESUMABLE
            && let Some(oldest) = self.order.pop_front()
        {
            self.secrets.remove(&oldest);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn secret(&self, id: ResumptionId) -> Option<&Secret> {
        self.secrets.get(&id)
    }
}

/// Shows no secrets.
impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumption").field("sessions", &self.order.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_beyond_the_bound() {
        let mut table = Resumption::default();
        let id = |n: usize| ResumptionId::of(&n.to_be_bytes()).unwrap();
        let secret = |n: u8| Secret::new(&[n; 48]).unwrap();
        for n in 0..=MAX_RESUMABLE {
            table.remember(id(n), &secret(1));
        }
        assert_eq!((table.secrets.len(), table.order.len()), (MAX_RESUMABLE, MAX_RESUMABLE));
        assert!(table.secret(id(0)).is_none());
        table.remember(id(1), &secret(2));
        assert_eq!(table.secret(id(1)).unwrap().as_bytes(), [2; 48]);
        assert_eq!(table.order.len(), MAX_RESUMABLE);
        assert!(ResumptionId::of(b"").is_none());
    }
}
