//! Decodes captured bytes: files, frames, connections, and the protocols in them.
//!
//! ```text
//!   file ──> capture ──> frame ──┬──> flow ──> tcp ──┬──> http1, http2 ──> content
//!              (link, encapsulation, │                  ├──> dns
//!               ip, fragment)        │                  └──> tls ──> plaintext, back to http1, http2 and dns
//!                                    └──> dns, quic
//! ```
//!
//! # The contract of a stage
//!
//! A stage is a state machine without files, sockets, clocks or threads: the caller passes bytes and receives results,
//! so the same code serves a file, a pipe and a growing capture. The stages differ in whether they keep bytes.
//!
//! | stage | input | output | missing bytes | end of input |
//! |---|---|---|---|---|
//! | [`capture::Decoder`] | `step(input)` | one [`capture::Step`] | – | `finish(rest)` |
//! | [`frame::decode`] | a frame | a [`frame::Frame`] with a stop | in the frame | – |
//! | [`fragment::Reassembler`] | `push(record, ip, context)` | a [`fragment::Pushed`]; `pop()` until `None` | a datagram that is given up | `finish()`, then `pop()` until `None` |
//! | [`flow::FlowTable`] | `segment(frame)` | a [`flow::FlowSegment`] | – | – |
//! | [`tcp::Reassembler`] | `push(segment, origin)` | a chunk, then `pop()` until `None` | found here: [`tcp::Ready::Gap`] | `finish()`, then `pop()` until `None` |
//! | [`http1::Connection`] | `step(direction, input)` | one [`http1::Step`] | `gap(direction, len)` | `finish(direction)` |
//! | [`http2::Connection`] | `step(direction, input)` | one [`http2::Step`] | `gap(direction, len)` | `finish(direction)`, then `step` until `NeedMore` |
//! | [`websocket::Parser`] | `step(input)` | one [`websocket::Step`] | `gap(len)` | – |
//! | [`grpc::Parser`] | `step(input)`, of a body | one [`grpc::Step`] | `gap(len)` | – |
//! | [`event_stream::Parser`], [`ndjson::Parser`] | `step(input)`, of a body | bytes consumed, and an event or a line | `gap(len)` | `finish()` |
//! | [`message_deflate::Inflater`] | the payload of a message | pieces of text, then an [`content::Outcome`] | `Window::clear()` | – |
//! | [`tls::Session`] | `feed(…)` | `next_event()` until `None` | `gap(…)` | `finish(…)` |
//! | [`dns::Message::parse`] | a datagram, or a message of a stream | a [`dns::Message`] with a stop | at its end | – |
//! | [`dns::Parser`] | `step(input)` | one [`dns::Step`] | `gap(len)` | – |
//! | [`quic::Connection`] | `push(datagram, key_log, …)` | calls back with each [`quic::Event`] | whole datagrams | – |
//! | [`content::Decoder`] | a whole body | pieces of text, then an [`content::Outcome`] | – | – |
//!
//! - **`step`** belongs to stages that read the caller's buffer. It returns the content at the front of the input and
//!   the number of bytes consumed; the caller drops these and calls again until the result is `NeedMore`.
//! - **`push`** and **`feed`** belong to stages that may hold bytes back. One call can release several results: the
//!   caller takes all of them before it passes the next input.
//! - **`gap`** reports that bytes are missing from the capture at this place of the stream. A stage continues behind a
//!   gap as soon as its format allows, and never invents the missing bytes.
//! - **`finish`** reports that no input follows. Bytes that were held back are released, or reported as incomplete.
//!
//! Captured bytes are hostile: no panic is reachable from them, and every buffer has a named bound. Errors and stops
//! name the party at fault: the capture, the traffic, or a limit of this crate.
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
pub mod dns;
pub mod encapsulation;
pub mod event_stream;
pub mod fields;
pub mod flow;
pub mod fragment;
pub mod frame;
pub mod grpc;
pub mod http1;
pub mod http2;
#[cfg(feature = "tls")]
pub mod http3;
pub mod ip;
pub mod keylog;
pub mod link;
#[cfg(feature = "content")]
pub mod message_deflate;
pub mod ndjson;
pub mod preamble;
#[cfg(feature = "tls")]
pub mod quic;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
pub mod websocket;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
