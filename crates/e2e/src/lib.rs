//! Support for the end-to-end tests in `tests/`: finds the built programs, runs the lab in a temporary folder, reads
//! its captures with another implementation than ours, and finds what a run leaves behind.
//!
//! This crate imports none of the crates under test. It knows them as a user does: flags, files, exit statuses.

pub mod capture;
pub mod damage;
pub mod demo;
pub mod lab;
pub mod oracle;
pub mod programs;
pub mod segment;
pub mod tls;
pub mod traces;

pub use lab::{Lab, RunningLab, has_netns, new_run, run_lab};
pub use test_support::skip;
