//! Frames: header, types, and the payloads of frames that carry no message (RFC 9113 §4, §6).

use std::fmt;
use std::ops::{BitAnd, Range};

use super::{DEFAULT_MAX_FRAME, Desync, FRAME_HEADER};
use crate::flow::Direction;

/// A frame type (RFC 9113 §11.2, IANA registry "HTTP/2 Frame Type").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameType(pub u8);

impl FrameType {
    /// A part of a body (RFC 9113 §6.1).
    pub const DATA: Self = Self(0x00);
    /// A header section, or its first part (§6.2).
    pub const HEADERS: Self = Self(0x01);
    /// A deprecated priority (§6.3).
    pub const PRIORITY: Self = Self(0x02);
    /// Ends a stream (§6.4).
    pub const RST_STREAM: Self = Self(0x03);
    /// Properties of the sender (§6.5).
    pub const SETTINGS: Self = Self(0x04);
    /// A request that the server answers without being asked (§6.6).
    pub const PUSH_PROMISE: Self = Self(0x05);
    /// Eight bytes to be sent back (§6.7).
    pub const PING: Self = Self(0x06);
    /// Ends a connection (§6.8).
    pub const GOAWAY: Self = Self(0x07);
    /// Allows more bytes of bodies (§6.9).
    pub const WINDOW_UPDATE: Self = Self(0x08);
    /// The next part of a header section (§6.10).
    pub const CONTINUATION: Self = Self(0x09);
    /// An alternative service (RFC 7838 §4).
    pub const ALTSVC: Self = Self(0x0a);
    /// The origins of a server (RFC 8336 §2).
    pub const ORIGIN: Self = Self(0x0c);
    /// A priority (RFC 9218 §7.1).
    pub const PRIORITY_UPDATE: Self = Self(0x10);

    /// Its name in the registry, if it is known here.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::DATA => "DATA",
            Self::HEADERS => "HEADERS",
            Self::PRIORITY => "PRIORITY",
            Self::RST_STREAM => "RST_STREAM",
            Self::SETTINGS => "SETTINGS",
            Self::PUSH_PROMISE => "PUSH_PROMISE",
            Self::PING => "PING",
            Self::GOAWAY => "GOAWAY",
            Self::WINDOW_UPDATE => "WINDOW_UPDATE",
            Self::CONTINUATION => "CONTINUATION",
            Self::ALTSVC => "ALTSVC",
            Self::ORIGIN => "ORIGIN",
            Self::PRIORITY_UPDATE => "PRIORITY_UPDATE",
            _ => return None,
        })
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {:#04x}", self.0),
        }
    }
}

/// The flags of a frame. Their meaning depends on its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// Of DATA and HEADERS: the last frame of its message (RFC 9113 §6.1).
    pub const END_STREAM: Self = Self(0x01);
    /// Of SETTINGS and PING: an answer (§6.5, §6.7).
    pub const ACK: Self = Self(0x01);
    /// Of HEADERS, PUSH_PROMISE and CONTINUATION: the last frame of its header block (§6.2).
    pub const END_HEADERS: Self = Self(0x04);
    /// Of DATA, HEADERS and PUSH_PROMISE: the frame contains padding (§6.1).
    pub const PADDED: Self = Self(0x08);
    /// Of HEADERS: the frame contains a deprecated priority (§6.2).
    pub const PRIORITY: Self = Self(0x20);

    /// Whether all bits of `flag` are set.
    #[must_use]
    pub fn has(self, flag: Self) -> bool {
        self & flag == flag
    }
}

impl BitAnd for Flags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// A frame header (RFC 9113 §4.1), and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Offset in its direction of the header's first byte.
    pub at: u64,
    /// Length of the payload in bytes.
    pub len: u32,
    /// Its type.
    pub frame_type: FrameType,
    /// Its flags.
    pub flags: Flags,
    /// The reserved bit; senders leave it unset.
    pub reserved: bool,
    /// Its stream; 0 is the connection.
    pub stream: u32,
}

impl Frame {
    /// The header in nine bytes that begin at offset `at`.
    #[must_use]
    pub fn parse(header: [u8; FRAME_HEADER], at: u64) -> Self {
        let [a, b, c, frame_type, flags, stream @ ..] = header;
        let stream = u32::from_be_bytes(stream);
        Self {
            at,
            len: u32::from_be_bytes([0, a, b, c]),
            frame_type: FrameType(frame_type),
            flags: Flags(flags),
            reserved: stream >> 31 != 0,
            stream: stream & !(1 << 31),
        }
    }

    /// The bytes of the frame in its direction, header included.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.at..self.at + FRAME_HEADER as u64 + u64::from(self.len)
    }

    /// Whether length and stream are valid for the type (RFC 9113 §6). Frames of unknown types always are.
    ///
    /// # Errors
    ///
    /// [`Desync::FrameTooLong`] above `max_len`, [`Desync::BadFrame`] otherwise.
    pub fn check(&self, max_len: u32) -> Result<(), Desync> {
        if self.len > max_len {
            return Err(Desync::FrameTooLong);
        }
        let on_stream = self.stream != 0;
        let is_valid = match self.frame_type {
            FrameType::DATA | FrameType::HEADERS | FrameType::CONTINUATION | FrameType::PUSH_PROMISE => {
                on_stream && self.len as usize >= self.prefix_len()
            }
            FrameType::PRIORITY => on_stream && self.len == 5,
            FrameType::RST_STREAM => on_stream && self.len == 4,
            FrameType::SETTINGS if self.flags.has(Flags::ACK) => !on_stream && self.len == 0,
            FrameType::SETTINGS => !on_stream && self.len.is_multiple_of(6),
            FrameType::PING => !on_stream && self.len == 8,
            FrameType::GOAWAY => !on_stream && self.len >= 8,
            FrameType::WINDOW_UPDATE => self.len == 4,
            _ => true,
        };
        if is_valid { Ok(()) } else { Err(Desync::BadFrame) }
    }

    /// Length of what precedes body or header block in the payload: pad length, priority, promised stream (RFC 9113 §6.1,
    /// §6.2, §6.6).
    pub(super) fn prefix_len(&self) -> usize {
        let pad_length = usize::from(self.has_padding());
        match self.frame_type {
            FrameType::HEADERS if self.flags.has(Flags::PRIORITY) => pad_length + 5,
            FrameType::PUSH_PROMISE => pad_length + 4,
            _ => pad_length,
        }
    }

    /// Whether the payload begins with the length of its padding.
    pub(super) fn has_padding(&self) -> bool {
        let can_be_padded =
            matches!(self.frame_type, FrameType::DATA | FrameType::HEADERS | FrameType::PUSH_PROMISE);
        can_be_padded && self.flags.has(Flags::PADDED)
    }

    /// Whether these nine bytes look like a frame header at an unknown place of a stream: stricter than
    /// [`Self::check`], because one place in a thousand of any bytes would pass that.
    pub(super) fn is_plausible(&self, direction: Direction) -> bool {
        let flags = match self.frame_type {
            FrameType::DATA => Flags::END_STREAM.0 | Flags::PADDED.0,
            FrameType::HEADERS => {
                Flags::END_STREAM.0 | Flags::END_HEADERS.0 | Flags::PADDED.0 | Flags::PRIORITY.0
            }
            FrameType::PUSH_PROMISE => Flags::END_HEADERS.0 | Flags::PADDED.0,
            FrameType::CONTINUATION => Flags::END_HEADERS.0,
            FrameType::SETTINGS | FrameType::PING => Flags::ACK.0,
            frame_type if frame_type.name().is_some() => 0,
            _ => return false,
        };
        let by_server = direction == Direction::ServerToClient || self.frame_type != FrameType::PUSH_PROMISE;
        let has_content = self.len > 0 || !matches!(self.frame_type, FrameType::HEADERS);
        !self.reserved
            && self.flags.0 & !flags == 0
            && self.stream < MAX_PLAUSIBLE_STREAM
            && by_server
            && has_content
            && self.check(DEFAULT_MAX_FRAME).is_ok()
    }
}

/// Higher stream numbers do not look like a frame header: connections end long before.
const MAX_PLAUSIBLE_STREAM: u32 = 1 << 24;

/// A setting (RFC 9113 §6.5.2, IANA registry "HTTP/2 Settings").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SettingId(pub u16);

impl SettingId {
    /// The largest dynamic table that the sender's decoder keeps, in bytes.
    pub const HEADER_TABLE_SIZE: Self = Self(0x1);
    /// The largest frame payload that the sender accepts, in bytes.
    pub const MAX_FRAME_SIZE: Self = Self(0x5);

    /// Its name in the registry, if it is known here.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x1 => "HEADER_TABLE_SIZE",
            0x2 => "ENABLE_PUSH",
            0x3 => "MAX_CONCURRENT_STREAMS",
            0x4 => "INITIAL_WINDOW_SIZE",
            0x5 => "MAX_FRAME_SIZE",
            0x6 => "MAX_HEADER_LIST_SIZE",
            0x8 => "ENABLE_CONNECT_PROTOCOL",
            0x9 => "NO_RFC7540_PRIORITIES",
            _ => return None,
        })
    }
}

/// An error code (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0x0 => "NO_ERROR",
            0x1 => "PROTOCOL_ERROR",
            0x2 => "INTERNAL_ERROR",
            0x3 => "FLOW_CONTROL_ERROR",
            0x4 => "SETTINGS_TIMEOUT",
            0x5 => "STREAM_CLOSED",
            0x6 => "FRAME_SIZE_ERROR",
            0x7 => "REFUSED_STREAM",
            0x8 => "CANCEL",
            0x9 => "COMPRESSION_ERROR",
            0xa => "CONNECT_ERROR",
            0xb => "ENHANCE_YOUR_CALM",
            0xc => "INADEQUATE_SECURITY",
            0xd => "HTTP_1_1_REQUIRED",
            code => return write!(f, "{code:#x}"),
        })
    }
}

/// The payload of a frame that carries no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control<'a> {
    /// RFC 9113 §6.3.
    Priority,
    /// RFC 9113 §6.4.
    ResetStream(ErrorCode),
    /// RFC 9113 §6.5, and the settings' bytes; [`settings`] reads them.
    Settings(&'a [u8]),
    /// A SETTINGS frame that acknowledges the other side's.
    SettingsAck,
    /// RFC 9113 §6.7.
    Ping {
        /// Whether it answers one.
        ack: bool,
        /// Eight bytes of the sender's choice.
        data: &'a [u8],
    },
    /// RFC 9113 §6.8.
    GoAway {
        /// The last stream that the sender may have processed.
        last_stream: u32,
        /// Why it ends the connection.
        code: ErrorCode,
        /// Bytes of the sender's choice.
        debug: &'a [u8],
    },
    /// RFC 9113 §6.9: number of bytes that the receiver may send in addition.
    WindowUpdate(u32),
    /// ALTSVC, ORIGIN or PRIORITY_UPDATE: its payload.
    Extension(&'a [u8]),
}

impl<'a> Control<'a> {
    /// Reads the payload of a frame; `None` if frames of this type carry messages or are unknown.
    #[must_use]
    pub fn read(frame: &Frame, payload: &'a [u8]) -> Option<Self> {
        let word = |at: usize| {
            payload.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        Some(match frame.frame_type {
            FrameType::PRIORITY => Self::Priority,
            FrameType::RST_STREAM => Self::ResetStream(ErrorCode(word(0))),
            FrameType::SETTINGS if frame.flags.has(Flags::ACK) => Self::SettingsAck,
            FrameType::SETTINGS => Self::Settings(payload),
            FrameType::PING => Self::Ping { ack: frame.flags.has(Flags::ACK), data: payload },
            FrameType::GOAWAY => Self::GoAway {
                last_stream: word(0) & !(1 << 31),
                code: ErrorCode(word(4)),
                debug: payload.get(8..).unwrap_or_default(),
            },
            FrameType::WINDOW_UPDATE => Self::WindowUpdate(word(0) & !(1 << 31)),
            FrameType::ALTSVC | FrameType::ORIGIN | FrameType::PRIORITY_UPDATE => Self::Extension(payload),
            _ => return None,
        })
    }
}

/// The settings in the payload of a SETTINGS frame, or in the decoded `HTTP2-Settings` field (RFC 9113 §6.5.1).
pub fn settings(payload: &[u8]) -> impl Iterator<Item = (SettingId, u32)> {
    payload
        .as_chunks::<6>()
        .0
        .iter()
        .map(|[a, b, value @ ..]| (SettingId(u16::from_be_bytes([*a, *b])), u32::from_be_bytes(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_frame_header() {
        let frame = Frame::parse(*b"\0\x40\x01\x01\x25\x80\0\0\x07", 24);
        assert_eq!((frame.len, frame.frame_type, frame.stream), (16385, FrameType::HEADERS, 7));
        assert!(frame.flags.has(Flags::END_STREAM) && frame.flags.has(Flags::END_HEADERS) && frame.reserved);
        assert!(!frame.flags.has(Flags::PADDED));
        assert_eq!(frame.range(), 24..24 + 9 + 16385);
        assert_eq!(frame.check(16384), Err(Desync::FrameTooLong));
        assert_eq!(frame.check(16385), Ok(()));
    }

    /// RFC 9113 §6: a row for each type and each of its rules.
    #[test]
    fn checks_length_and_stream_of_each_type() {
        for (frame_type, flags, len, stream, is_valid) in [
            (FrameType::DATA, 0, 0, 1, true),
            (FrameType::DATA, 0, 9, 0, false),
            (FrameType::HEADERS, 0, 9, 0, false),
            (FrameType::PRIORITY, 0, 5, 1, true),
            (FrameType::PRIORITY, 0, 4, 1, false),
            (FrameType::RST_STREAM, 0, 4, 1, true),
            (FrameType::RST_STREAM, 0, 4, 0, false),
            (FrameType::SETTINGS, 0, 12, 0, true),
            (FrameType::SETTINGS, 0, 13, 0, false),
            (FrameType::SETTINGS, 0, 12, 1, false),
            (FrameType::SETTINGS, 1, 6, 0, false),
            (FrameType::PUSH_PROMISE, 0, 3, 1, false),
            (FrameType::PING, 0, 8, 0, true),
            (FrameType::PING, 0, 8, 1, false),
            (FrameType::GOAWAY, 0, 7, 0, false),
            (FrameType::WINDOW_UPDATE, 0, 4, 0, true),
            (FrameType::WINDOW_UPDATE, 0, 5, 1, false),
            (FrameType::CONTINUATION, 0, 0, 0, false),
            (FrameType(0xfa), 0xff, 77, 5, true),
        ] {
            let frame = Frame { at: 0, len, frame_type, flags: Flags(flags), reserved: false, stream };
            assert_eq!(frame.check(DEFAULT_MAX_FRAME).is_ok(), is_valid, "{frame:?}");
        }
    }

    #[test]
    fn reads_settings() {
        let payload = b"\0\x01\0\0\x10\0\0\x05\0\x01\0\0\xfa\xfa\0\0\0\x01";
        let read: Vec<_> = settings(payload).collect();
        assert_eq!(
            read,
            [
                (SettingId::HEADER_TABLE_SIZE, 4096),
                (SettingId::MAX_FRAME_SIZE, 65536),
                (SettingId(0xfafa), 1)
            ]
        );
    }
}
