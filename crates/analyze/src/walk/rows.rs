//! The observer that lists the frames.

use crate::observe::packet_rows::PacketRows;
use crate::pipeline::fact::{Fact, FactObserver};

pub(super) use crate::observe::packet_rows::Row;

/// The observer.
#[derive(Debug, Default)]
pub(super) struct ListFrames {
    pub rows: PacketRows,
}

impl FactObserver for ListFrames {
    fn observe(&mut self, fact: &Fact<'_>) {
        self.rows.observe(fact);
    }
}
