//! HTTP/3 (RFC 9114) with QPACK (RFC 9204), from the bytes of QUIC's streams to heads and bodies.
//!
//! ```text
//!   bytes of a stream ──> frames ──> header block ──> qpack ──> Head
//!                           │                           ^
//!                           └──> DATA                   └── encoder stream
//! ```
//!
//! [`Connection`] receives the bytes of each stream in order, as [`crate::quic::Event::Stream`] has them. A header
//! block that refers to entries of the dynamic table that have not come yet holds its stream back until they come.

mod connection;
mod qpack;
mod static_table;

pub use connection::{Connection, Event, Head, Kind, MAX_BLOCK, MAX_HELD, MAX_STREAMS};
pub use qpack::{Decoder, Error, MAX_FIELDS, MAX_INSTRUCTION, MAX_TABLE};
