//! The bodies of the fuzz targets: each takes arbitrary bytes and panics if a parser breaks a promise.
//!
//! `fuzz/` passes them to libFuzzer; `tests/corpus.rs` runs them with the stable compiler over the committed corpus and
//! over mutations of it. A target checks more than the absence of panics: offsets without gaps, the same result for
//! every division of the input, and all bounds.
#![forbid(unsafe_code)]

mod capture;
mod certificate;
mod content;
mod dns;
mod exchange;
mod fields;
mod fragments;
mod frame;
mod http1;
mod http2;
mod http3;
mod keylog;
mod pipeline;
mod preamble;
mod quic;
mod readable;
mod server_key;
mod tcp;
mod tls;
mod websocket;

pub use capture::capture;
pub use certificate::certificate;
pub use content::content;
pub use dns::dns;
pub use exchange::exchange;
pub use fields::fields;
pub use fragments::fragments;
pub use frame::{arp, frame};
pub use http1::http1;
pub use http2::http2;
pub use http3::http3;
pub use keylog::keylog;
pub use pipeline::pipeline;
pub use preamble::preamble;
pub use quic::quic;
pub use readable::readable;
pub use server_key::server_key;
pub use tcp::{flow, tcp};
pub use tls::{tls_handshake, tls_records, tls_session};
pub use websocket::websocket;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name in `fuzz/fuzz_targets` and `fuzz/regressions`.
    pub name: &'static str,
    /// The folder of `corpus` with files of the kind that it reads.
    pub corpus: &'static str,
    /// Panics if `data` shows a defect.
    pub run: fn(data: &[u8]),
}

/// Every target.
pub const TARGETS: [Target; 24] = [
    Target { name: "arp", corpus: "frame", run: arp },
    Target { name: "capture", corpus: "capture", run: capture },
    Target { name: "certificate", corpus: "certificate", run: certificate },
    Target { name: "content", corpus: "content", run: content },
    Target { name: "dns", corpus: "dns", run: dns },
    Target { name: "exchange", corpus: "capture", run: exchange },
    Target { name: "fields", corpus: "frame", run: fields },
    Target { name: "flow", corpus: "capture", run: flow },
    Target { name: "fragments", corpus: "fragments", run: fragments },
    Target { name: "frame", corpus: "frame", run: frame },
    Target { name: "http1", corpus: "http1", run: http1 },
    Target { name: "http2", corpus: "http2", run: http2 },
    Target { name: "http3", corpus: "http3", run: http3 },
    Target { name: "keylog", corpus: "keylog", run: keylog },
    Target { name: "pipeline", corpus: "capture", run: pipeline },
    Target { name: "preamble", corpus: "preamble", run: preamble },
    Target { name: "quic", corpus: "quic", run: quic },
    Target { name: "readable", corpus: "readable", run: readable },
    Target { name: "server_key", corpus: "server_key", run: server_key },
    Target { name: "tcp", corpus: "tcp", run: tcp },
    Target { name: "tls_handshake", corpus: "tls", run: tls_handshake },
    Target { name: "tls_records", corpus: "tls", run: tls_records },
    Target { name: "tls_session", corpus: "tls", run: tls_session },
    Target { name: "websocket", corpus: "websocket", run: websocket },
];

/// A number from 1 to `max` that depends on the input only: where to cut it, so that one input always has the same
/// result.
fn piece_size(data: &[u8], max: usize) -> usize {
    data.iter().fold(data.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % max + 1
}
