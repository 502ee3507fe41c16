//! What the readers of all connections hold together: bounds that hold for a capture with any number of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dissect::content::{FREE_DECODED, MAX_RATIO};

/// A sum over all its [`Share`]s.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// A share of `amount`.
    pub(crate) fn share(&self, amount: usize) -> Share {
        let mut share = Share { budget: self.clone(), amount: 0 };
        share.set(amount);
        share
    }

    /// The sum of all shares.
    pub(crate) fn total(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one holder has of a [`Budget`]. It is given back when the holder is gone, whatever ends it.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    amount: usize,
}

impl Share {
    /// Changes what the holder has.
    pub(crate) fn set(&mut self, amount: usize) {
        if amount > self.amount {
            self.budget.0.fetch_add(amount - self.amount, Ordering::Relaxed);
        } else if amount < self.amount {
            self.budget.0.fetch_sub(self.amount - amount, Ordering::Relaxed);
        }
        self.amount = amount;
    }

    /// The sum of all shares.
    pub(crate) fn total(&self) -> usize {
        self.budget.total()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Bytes that all coded bodies of a capture may become beyond [`MAX_RATIO`]: as many as 128 bodies have free. A capture of
/// short bombs ends there; ordinary bodies take nothing of it.
pub(crate) const MAX_FREE_DECODED: u64 = 8 << 20;

/// What is left of [`MAX_FREE_DECODED`].
#[derive(Debug)]
pub(crate) struct FreeDecoded(u64);

impl Default for FreeDecoded {
    fn default() -> Self {
        Self(MAX_FREE_DECODED)
    }
}

impl FreeDecoded {
    /// How many bytes a coded body of this length may become.
    pub(crate) fn limit(&self, coded: usize) -> u64 {
        (MAX_RATIO * coded as u64).saturating_add(self.0.min(FREE_DECODED))
    }

    /// A coded body of this length has become so many bytes.
    pub(crate) fn take(&mut self, coded: usize, decoded: u64) {
        self.0 = self.0.saturating_sub(decoded.saturating_sub(MAX_RATIO * coded as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_bombs_end_and_ordinary_bodies_do_not() {
        let mut free = FreeDecoded::default();
        let mut decoded = 0;
        for _ in 0..10_000 {
            decoded += free.limit(100);
            free.take(100, free.limit(100));
        }
        assert_eq!(decoded, MAX_FREE_DECODED + 10_000 * 100 * MAX_RATIO);
        assert_eq!(free.limit(1000), 1000 * MAX_RATIO);
    }

    #[test]
    fn a_share_is_given_back() {
        let budget = Budget::default();
        let mut share = budget.share(3);
        let other = budget.share(4);
        assert_eq!(budget.total(), 7);
        share.set(1);
        assert_eq!((budget.total(), other.total()), (5, 5));
        drop(share);
        assert_eq!(budget.total(), 4);
        drop(other);
        assert_eq!(budget.total(), 0);
    }
}
