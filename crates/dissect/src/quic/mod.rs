//! QUIC (RFC 9000, RFC 9001) of versions 1 and 2 (RFC 9369): what the wire shows of it.
//!
//! ```text
//!   UDP datagram ──> packet ──> keys ──> frame ──> crypto_stream ──> ClientHello, ServerHello
//! ```
//!
//! Initial packets are encrypted under keys that follow from a connection ID in their own header, so any observer reads
//! them: they hide nothing. [`Connection`] opens those of both directions and puts the hellos together, which CRYPTO frames
//! may carry in any order. All other packets need secrets of the endpoints, and stay closed; Retry and version negotiation
//! are in the clear.
//!
//! Offsets are bytes in the datagram's payload, so that a caller knows the frame of each.

mod connection;
mod crypto_stream;
mod frame;
mod keys;
mod packet;

pub use connection::{Connection, Event, MAX_KEYS, Outcome, begins_connection, is_plausible};
pub use crypto_stream::{MAX_CRYPTO, MAX_PIECES};
pub use frame::{Frame, Frames};
pub use packet::{
    Kind, MAX_COALESCED, MAX_CONNECTION_ID, Malformed, Packet, Packets, Version, packets, supported_versions,
};
