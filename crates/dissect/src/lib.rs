//! Bytes to facts.
//!
//! Every stage is a push-style state machine without files, sockets, clocks or threads inside: the caller brings the
//! bytes and takes the results, so one path serves a file, a pipe and a capture that is still growing. Captured bytes
//! are hostile: no panic is reachable from them, and every buffer has a named bound.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic))]
pub mod arp;
pub mod capture;
pub mod checksum;
pub mod coding;
#[cfg(feature = "content")]
pub mod content;
pub mod decode_stop;
pub mod detection;
pub mod flow;
pub mod frame;
pub mod http1;
pub mod ip;
pub mod keylog;
pub mod link;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
pub mod websocket;
