//! The findings of the rules: leaks and doubts.

use super::doubt::IsolationDoubt;
use super::leak::Leak;

/// Leaks and doubts, in the order in which the rules find them.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub leaks: Vec<Leak>,
    pub doubts: Vec<IsolationDoubt>,
}

impl Findings {
    pub(crate) fn append(&mut self, mut other: Self) {
        self.leaks.append(&mut other.leaks);
        self.doubts.append(&mut other.doubts);
    }
}
