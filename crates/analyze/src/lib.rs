//! Finds which of the agents' strings can be read in a capture, and proves it.
//!
//! Knows nothing about the programs that made the capture: what they sent reaches it as text, in journals and
//! manifests.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod annotate;
mod arp;
pub mod check;
pub mod contents;
pub mod diff;
pub mod exchange;
pub mod explain;
pub mod follow;
pub mod input;
mod needles;
mod observe;
pub mod output;
mod pipeline;
mod program;
mod readable;
mod tcp_options;
pub mod timeline;
mod trailer;
pub mod verdict;
pub mod walk;

pub use program::{Check, Flags as Cli, check, main};
