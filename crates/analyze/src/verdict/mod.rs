//! Judges what was observed. All functions here are pure: they read no files.

pub(crate) mod capture;
pub(crate) mod completeness;
pub mod conclusion;
pub(crate) mod controls;
pub(crate) mod doubt;
pub(crate) mod integrity;
pub(crate) mod isolation;
pub(crate) mod report;
pub(crate) mod scope;
pub(crate) mod witnesses;
