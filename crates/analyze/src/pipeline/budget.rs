//! What the readers of all connections hold together: bounds that hold for a capture with any number of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

#[cfg(test)]
mod tests {
    use super::*;

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
