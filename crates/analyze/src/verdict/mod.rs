//! From what was observed to what may be said: pure functions, no file is read here.

pub(crate) mod capture;
pub(crate) mod completeness;
pub mod conclusion;
pub(crate) mod controls;
pub(crate) mod doubt;
pub(crate) mod integrity;
pub(crate) mod isolation;
pub(crate) mod report;
