//! Support for the end-to-end tests in `tests/`: the built programs, a lab in a folder of its own, its captures read by
//! another implementation than ours, and a look at what a run leaves behind.
//!
//! It imports none of the crates under test. What it knows of them is what a user knows: flags, files, exit statuses.

pub mod capture;
pub mod damage;
pub mod lab;
pub mod programs;
pub mod traces;

pub use lab::{Lab, RunningLab, has_netns, run_lab};
pub use test_support::skip;
