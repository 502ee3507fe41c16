//! QUIC (RFC 9000, RFC 9001) of versions 1 and 2 (RFC 9369), their drafts, and versions of vendors that carry TLS: what the wire
//! shows of it, and what a key log does.
//!
//! ```text
//!   UDP datagram ──> packet ──> keys ──> frame ──> crypto_stream ──> ClientHello, ServerHello, certificates
//! ```
//!
//! Initial packets are encrypted under keys that follow from a connection ID in their own header, so any observer reads
//! them: they hide nothing. [`Connection`] opens those of both directions and puts the hellos together, which CRYPTO frames
//! may carry in any order. All other packets need secrets of the endpoints, which a key log may have; Retry and version negotiation
//! are in the clear.
//!
//! Offsets are bytes in the datagram's payload, so that a caller knows the frame of each.

mod connection;
mod crypto_stream;
mod frame;
mod keys;
mod packet;
mod streams;
mod version;

pub use connection::{Connection, Datagram, Event, MAX_KEYS, Outcome, begins_connection, is_plausible};
pub use crypto_stream::{MAX_CRYPTO, MAX_HANDSHAKE_CRYPTO, MAX_PIECES};
pub use frame::{Frame, Frames};
pub use packet::{
    Kind, MAX_COALESCED, MAX_CONNECTION_ID, Malformed, Packet, Packets, packets, supported_versions,
};
pub use streams::{MAX_STREAMS, MAX_WAITING, Place, StreamEvent};
pub use version::Version;
