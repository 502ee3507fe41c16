//! DNS messages (RFC 1035), with EDNS (RFC 6891), multicast DNS (RFC 6762) and LLMNR (RFC 4795), which have the same format.
//!
//! ```text
//!   UDP datagram ───────────────────> Message ──> questions, records
//!   TCP stream ──> Parser ──(bytes)──────^
//! ```
//!
//! [`Message::parse`] reads one message from front to back. Every part carries its range of bytes in the message. What
//! was read before a part that does not parse is kept, and [`Message::stop`] names that part: a capture with a small
//! snaplen still shows the names that were asked for.
//!
//! The names of a message are text in the presentation format: labels separated by dots, without the last one. See
//! [`Name`].

mod code;
mod malformed;
mod message;
mod name;
mod reader;
mod record;
mod stream;

pub use code::{Class, Opcode, RecordType, ResponseCode};
pub use malformed::Malformed;
pub use message::{
    HEADER_LEN, Header, MAX_RECORDS, Message, Question, begins_plausibly, is_plausible, service_of_port,
};
pub use name::{MAX_NAME, MAX_POINTERS, Name};
pub use record::{Data, MAX_PARAMETERS, Parameter, Record, Section};
pub use stream::{Event, MAX_DETECTED, Parser, Step, detect};
