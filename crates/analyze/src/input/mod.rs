//! What is read: captures, and what stands beside them.

pub(crate) mod capture;
pub mod discover;
pub(crate) mod isolation_record;
pub(crate) mod journal;
pub(crate) mod manifest;
