//! The verdict on an isolation run: did anything from a sandbox without network reach a network interface or another
//! user?
//!
//! ```text
//! isolation.json, journals ──> preconditions      was everything tried that had to be tried?
//! captures ──────────────────> captures           do they cover the run, and whose are their frames?
//!                              user_traffic       does a user receive the secret of another one?
//!                              account            is every byte of the users a planned request, or a sandbox's answer?
//!                              timeline           do plan, phases, captures and beacons follow each other?
//!                              identity           can a claimed user id be replayed?
//!                              protections        does the replay fail where users are authenticated over TLS?
//! both ──────────────────────> attempts           is the canary of an escape attempt on a wire?
//!                              positive_control   would these captures have shown it?
//! journals ──────────────────> open_ways          how much passes by the ways that no sandbox closes?
//!                              outputs            is every byte of a sandbox's output an answer?
//!                              cross_tenant       does a sandbox have another tenant's data?
//!                                   │
//!                                   v
//!                              judge              leaks and doubts ──> verdict
//! ```
//! All functions here are pure: they read no files.

pub(crate) mod account;
pub(crate) mod attempts;
pub(crate) mod boxes;
pub(crate) mod captures;
mod cross_tenant;
pub(crate) mod doubt;
pub(crate) mod findings;
mod http;
pub(crate) mod identity;
pub(crate) mod judge;
pub(crate) mod leak;
mod leaves;
mod not_shown;
mod open_ways;
mod outputs;
mod positive_control;
mod preconditions;
pub(crate) mod protections;
mod timeline;
mod times;
mod user_traffic;
pub(crate) mod value_hits;
