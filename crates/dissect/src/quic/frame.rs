//! The frames in the payload of a packet (RFC 9000 §19).

use std::ops::Range;

use super::packet::{Malformed, Reader};

/// A frame. Ranges are in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// PADDING: so many bytes in a row.
    Padding(usize),
    /// PING.
    Ping,
    /// ACK.
    Ack,
    /// CRYPTO: a part of the handshake.
    Crypto {
        /// Offset of its first byte in the handshake of this direction and packet type.
        offset: u64,
        /// The bytes.
        data: Range<usize>,
    },
    /// CONNECTION_CLOSE.
    Close {
        /// Error code.
        error: u64,
        /// Whether the code is the application's.
        is_application: bool,
        /// The reason as text.
        reason: Range<usize>,
    },
    /// A frame that an Initial packet cannot contain (RFC 9000 §12.4). What follows it is not read.
    Other {
        /// Its type.
        kind: u64,
    },
}

/// The frames of a payload. The first one that does not parse is the last item.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    payload: &'a [u8],
    position: usize,
}

impl<'a> Frames<'a> {
    /// The frames of the payload of an Initial packet.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Self { payload, position: 0 }
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.payload.get(self.position..).filter(|rest| !rest.is_empty())?;
        let padding = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len());
        if padding > 0 {
            self.position += padding;
            return Some(Ok(Frame::Padding(padding)));
        }
        let mut reader = Reader { bytes: self.payload, position: self.position };
        let frame = read(&mut reader);
        let is_last = matches!(frame, Err(_) | Ok(Frame::Other { .. }));
        self.position = if is_last { self.payload.len() } else { reader.position };
        Some(frame)
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Frame, Malformed> {
    Ok(match reader.number("frame type")? {
        0x01 => Frame::Ping,
        kind @ (0x02 | 0x03) => {
            reader.number("largest acknowledged")?;
            reader.number("ACK delay")?;
            let ranges = reader.number("ACK range count")?;
            reader.number("first ACK range")?;
            // Every range takes two bytes at least, so a false count ends with the payload.
            for _ in 0..ranges {
                reader.number("gap")?;
                reader.number("ACK range length")?;
            }
            if kind == 0x03 {
                for _ in 0..3 {
                    reader.number("ECN count")?;
                }
            }
            Frame::Ack
        }
        0x06 => {
            let offset = reader.number("offset")?;
            let len = reader.number("length")?;
            Frame::Crypto { offset, data: reader.bytes(len, "crypto data")? }
        }
        kind @ (0x1c | 0x1d) => {
            let error = reader.number("error code")?;
            if kind == 0x1c {
                reader.number("frame type")?;
            }
            let len = reader.number("reason phrase length")?;
            Frame::Close { error, is_application: kind == 0x1d, reason: reader.bytes(len, "reason phrase")? }
        }
        kind => Frame::Other { kind },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_frames_of_an_initial_packet() {
        let payload =
            b"\0\0\0\x01\x02\x05\x00\x01\x00\x02\x03\x03\x05\x00\x00\x00\x01\x02\x03\x06\x40\x10\x02hi\x1c\x01\x06\x03bye\0";
        let frames: Vec<_> = Frames::new(payload).map(Result::unwrap).collect();
        let [Frame::Padding(3), Frame::Ping, Frame::Ack, Frame::Ack, crypto, close, Frame::Padding(1)] =
            &frames[..]
        else {
            panic!("{frames:?}")
        };
        let Frame::Crypto { offset: 16, data } = crypto else { panic!("{crypto:?}") };
        assert_eq!(&payload[data.clone()], b"hi");
        let Frame::Close { error: 1, is_application: false, reason } = close else { panic!("{close:?}") };
        assert_eq!(&payload[reason.clone()], b"bye");
    }

    #[test]
    fn ends_with_what_it_cannot_read() {
        let of = |payload| Frames::new(payload).collect::<Vec<_>>();
        assert_eq!(of(b"\x01\x08\x01\x01"), [Ok(Frame::Ping), Ok(Frame::Other { kind: 8 })]);
        assert_eq!(of(b"\x06\x00\x05hi"), [Err(Malformed { field: "crypto data", offset: 3 })]);
        assert!(of(b"\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01")[0].is_err());
    }
}
