//! A policy: what the result of the analyzer must show, and where it does not.
//!
//! ```text
//! plainsight.toml ──> Policy ─┐
//!                             ├──> Judgement   violations, each with its rule and its evidence
//! plainsight.exposure/1 ──────┘
//! ```
//! Knows the result only: no captures, no packets, no files. The date comes in as an argument.
#![forbid(unsafe_code)]

mod cleartext;
mod doubts;
mod file;
mod hosts;
mod judge;
mod judgement;
mod sealed;
mod tls;

pub use file::{Allow, Certificates, Cleartext, Error, Policy, Sealed, Tls, Version, Wanted};
pub use hosts::Hosts;
pub use judge::judge;
pub use judgement::{Accepted, Judgement, Outcome, Place, Violation};
