//! Turns frames into facts: reassembly, the protocols of each stream, decryption, decoding.
//!
//! ```text
//!   frames ──> Connection ──> Stack ──> Http1, Http2, WebSocket, Dns
//!     │            │            │         │
//!     └> datagram (DNS, QUIC ──> Http3)   │
//!                  │            └> Tls ──> Stack (of the plaintext)
//!                  v            v         v
//!               facts, bytes of each layer and where they come from ──> Observer
//! ```
//!
//! Knows nothing about verdicts, documents and journals. A consumer of its facts implements [`fact::Observer`].

pub(crate) mod body;
mod budget;
pub(crate) mod carve;
pub(crate) mod connection;
mod cut_json;
pub(crate) mod datagram;
pub(crate) mod detect;
pub(crate) mod dns;
pub(crate) mod fact;
mod fragments;
pub(crate) mod frames;
pub(crate) mod http1;
pub(crate) mod http2;
mod http2_tunnel;
pub(crate) mod http3;
mod http_fields;
pub(crate) mod parts;
mod preamble;
pub(crate) mod protocol;
pub(crate) mod provenance;
pub(crate) mod stack;
pub(crate) mod tls;
pub(crate) mod websocket;
