//! HTTP/2 in a stream of bytes (RFC 9113), with its header compression (RFC 7541).
//!
//! [`Connection`] reads both directions: frames, and the messages that they carry, stream by stream. Input may be divided
//! anywhere. Bodies are slices of it, without framing and padding, still in their content coding, which
//! [`crate::content`] undoes. Every result carries offsets of its direction.
//!
//! Reading begins with the connection preface, behind a switch from HTTP/1.1, or anywhere within a connection. In the
//! last case, and behind missing bytes, it finds the next frame by its shape; see [`Connection::joined`].
//!
//! Knows nothing about the origin of its bytes: a TCP stream, or decrypted data.

mod connection;
mod detect;
mod frame;
pub mod hpack;
pub(crate) mod huffman;
mod message;
mod parser;
mod static_table;

pub use connection::{Connection, Event, Step, max_frame_of_upgrade};
pub use detect::{PREFACE, detect, detect_within};
pub use frame::{Control, ErrorCode, Flags, Frame, FrameType, SettingId, settings};
pub use message::{Head, MessageKind, Outcome};

/// Length of a frame header (RFC 9113 §4.1).
pub const FRAME_HEADER: usize = 9;

/// The largest frame payload without a setting that allows more (RFC 9113 §6.5.2).
pub const DEFAULT_MAX_FRAME: u32 = 1 << 14;

/// The largest frame payload that a setting can allow (RFC 9113 §6.5.2).
pub const LARGEST_MAX_FRAME: u32 = (1 << 24) - 1;

/// The size of the dynamic table before its first size update (RFC 9113 §6.5.2).
pub const DEFAULT_TABLE: usize = 4096;

/// The largest dynamic table kept, in the units of RFC 7541 §4.1. Browsers allow 64 KiB, servers 4 KiB. Of a larger one the
/// newest entries are kept; older ones count as unknown.
pub const MAX_TABLE: usize = 64 << 10;

/// Longest header block, as the sum of its fragments. Browsers accept 256 KiB.
pub const MAX_BLOCK: usize = 256 << 10;

/// Maximum number of frames that carry one header block. A block of [`MAX_BLOCK`] takes 17 of the default size; more
/// are a flood of empty frames.
pub const MAX_FRAGMENTS: usize = 64;

/// Maximum number of fields returned of one header block. Common servers stop at 100, but cookies come in a field each.
pub const MAX_FIELDS: usize = 512;

/// Longest `Content-Encoding` of one header block, all its values together. The names of four codings take 40 bytes, but one byte
/// that refers to a table can stand for [`MAX_TABLE`] of them.
pub const MAX_CODING_NAMES: usize = 256;

/// Maximum number of messages of one direction that have begun and not ended. Servers allow some hundred streams at a
/// time.
pub const MAX_OPEN: usize = 1024;

/// Maximum number of messages of one direction whose stream the other side has reset, and whose rest may still arrive.
pub const MAX_RESET: usize = 64;

/// Longest payload of a frame other than DATA and header blocks that is read. The largest of them, with origins or an
/// alternative service, stay far below.
pub const MAX_CONTROL: usize = 4096;

/// Reason why input is not read as HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Desync {
    /// The client does not begin with the connection preface (RFC 9113 §3.4).
    #[error("no HTTP/2 connection preface")]
    NoPreface,
    /// A frame longer than its receiver allows (RFC 9113 §4.2).
    #[error("an HTTP/2 frame longer than its receiver allows")]
    FrameTooLong,
    /// A frame whose length or stream is not valid for its type (RFC 9113 §6).
    #[error("a malformed HTTP/2 frame")]
    BadFrame,
    /// A header block that another frame interrupts, or a CONTINUATION without one (RFC 9113 §6.10).
    #[error("an HTTP/2 frame out of order")]
    OutOfTurn,
    /// Bytes are missing from the capture, or it began within the connection: no frame has been found yet.
    #[error("a gap in the capture where HTTP/2 framing was")]
    Gap,
}

/// Something in a valid frame that its receiver ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// Padding other than zeros (RFC 9113 §6.1), from its first other byte on.
    #[error("HTTP/2 padding other than zeros")]
    Padding,
    /// The payload of a frame of an unknown type (RFC 9113 §4.1), of one longer than [`MAX_CONTROL`], or with padding
    /// longer than the frame (RFC 9113 §6.1).
    #[error("the payload of an HTTP/2 frame that is not read")]
    Payload,
    /// A header block longer than [`MAX_BLOCK`], in more than [`MAX_FRAGMENTS`] frames, or with missing bytes.
    #[error("an HTTP/2 header block that is not read")]
    Block,
}
