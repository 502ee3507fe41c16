//! HTTP/1.1 messages in a stream of bytes (RFC 9110, RFC 9112).
//!
//! [`Connection`] reads both directions, because the framing of a response depends on the request (RFC 9112 §6.3).
//! Input may be divided anywhere. Bodies are slices of it, without chunk framing and still in their content coding,
//! which [`crate::content`] undoes.
//!
//! Knows nothing about the origin of its bytes: a TCP stream, or decrypted data.

mod body;
mod connection;
mod detect;
mod head;
mod lenient;
mod search;

pub use connection::{Connection, Event, Step};
pub use detect::detect;
pub use head::{Framing, Head};
pub use lenient::{Deviation, Lenience};

/// Longest start line and header section. Common servers accept 8 to 64 KiB; a longer one is not read as HTTP.
pub const MAX_HEAD: usize = 64 << 10;

/// Maximum number of header fields in one message; common servers stop at 100.
pub const MAX_HEADERS: usize = 128;

/// Longest chunk-size line with its extensions, and longest trailer section.
pub const MAX_CHUNK_LINE: usize = 16 << 10;

/// Maximum number of requests that wait for their response on one connection (pipelining). Further responses are framed
/// as answers to a GET.
pub const MAX_OUTSTANDING: usize = 1024;

/// Reason why input is not read as HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Desync {
    /// A message does not begin with a start line.
    #[error("no HTTP/1 start line")]
    NotHttp,
    /// Start line and header section exceed [`MAX_HEAD`].
    #[error("a header section longer than {MAX_HEAD} bytes")]
    HeadTooLong,
    /// The header section is malformed.
    #[error("a malformed header section")]
    BadHead,
    /// `Content-Length` is no number, or appears with different values, or a request has a `Transfer-Encoding` that does
    /// not end its body (RFC 9112 §6.3; smuggling vectors).
    #[error("a malformed or contradictory Content-Length")]
    BadLength,
    /// A chunk-size line, chunk end or trailer is malformed or longer than [`MAX_CHUNK_LINE`].
    #[error("malformed chunk framing")]
    BadChunk,
    /// Bytes with message framing are missing from the capture.
    #[error("a gap in the capture where message framing was")]
    Gap,
    /// The connection left HTTP (101, or 2xx to CONNECT; RFC 9110 §7.8, §9.3.6).
    #[error("the connection switched to another protocol")]
    Switched,
}
