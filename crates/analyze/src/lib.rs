//! Says with proof which of the agents' strings stand in a capture.
//!
//! Knows nothing about the programs that made the capture: what was said crosses as text, in journals and manifests.
#![forbid(unsafe_code)]

mod carver;
mod connection;
pub mod console;
mod detect;
mod evidence;
pub mod exposure;
mod findings;
mod frame_map;
mod http;
pub mod inputs;
mod journal;
mod manifest;
mod pass;
pub mod prove;
mod readable;
mod reader;
mod search;
mod streams;
mod strings;
mod tls;
pub mod verdict;

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
