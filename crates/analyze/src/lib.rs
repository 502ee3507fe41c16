//! Says with proof which of the agents' strings stand in a capture.
//!
//! Knows nothing about the programs that made the capture: what was said crosses as text, in journals and manifests.
#![forbid(unsafe_code)]

mod carver;
mod connection;
pub mod console;
mod course;
mod detect;
mod evidence;
mod excerpt;
mod exhibit;
pub mod exposure;
mod findings;
mod frame_map;
mod frame_times;
mod http;
pub mod inputs;
pub mod isolation;
mod journal;
mod location;
mod manifest;
mod packets;
mod pass;
pub mod prove;
mod readable;
mod reader;
mod said;
mod search;
mod stream_entries;
mod streams;
mod strings;
mod tls;
mod traffic;
pub mod verdict;
mod vouched;

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
