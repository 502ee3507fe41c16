//! The frames in the payload of a packet (RFC 9000 §19).

use std::ops::Range;

use super::packet::{Kind, Malformed, Reader};
use super::version::Version;

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
    /// STREAM: a part of a stream.
    Stream {
        /// The stream (RFC 9000 §2.1).
        id: u64,
        /// Offset of its first byte in the stream.
        offset: u64,
        /// The bytes.
        data: Range<usize>,
        /// Whether they are the last ones.
        is_last: bool,
    },
    /// RESET_STREAM: the rest of a stream will not come.
    ResetStream {
        /// The stream.
        id: u64,
        /// Its length.
        len: u64,
    },
    /// DATAGRAM (RFC 9221 §4).
    Datagram(Range<usize>),
    /// A frame that controls the connection, by its type: flow control, connection IDs, paths, the end of the handshake.
    Control {
        /// Its type.
        kind: u64,
    },
    /// A frame of unknown type, or one that an Initial packet cannot contain (RFC 9000 §12.4). What follows it is not read.
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
    framing: Framing,
}

/// Which frames a payload consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Those that an Initial packet may contain.
    Initial,
    /// All of RFC 9000, DATAGRAM, and those of drafts that come before streams.
    All,
    /// Those of Google's versions, which have other numbers ("QUIC Wire Layout Specification", 2018).
    Google,
}

impl<'a> Frames<'a> {
    /// The frames of the payload of an Initial packet.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Self { payload, position: 0, framing: Framing::Initial }
    }

    /// The frames of the payload of a packet of this kind and version.
    #[must_use]
    pub fn of(kind: Kind, version: Version, payload: &'a [u8]) -> Self {
        let framing = match kind {
            _ if version.is_google() => Framing::Google,
            Kind::Initial => Framing::Initial,
            _ => Framing::All,
        };
        Self { payload, position: 0, framing }
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
        let frame = match self.framing {
            Framing::Google => read_google(&mut reader),
            framing => read(&mut reader, framing),
        };
        let is_last = matches!(frame, Err(_) | Ok(Frame::Other { .. }));
        self.position = if is_last { self.payload.len() } else { reader.position };
        Some(frame)
    }
}

fn read(reader: &mut Reader<'_>, framing: Framing) -> Result<Frame, Malformed> {
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
        kind if framing == Framing::Initial => Frame::Other { kind },
        kind => read_other(reader, kind)?,
    })
}

/// The frames of a handshake in Google's versions: PING, CRYPTO, and ACK, whose type has the lengths of its numbers.
fn read_google(reader: &mut Reader<'_>) -> Result<Frame, Malformed> {
    let [kind] = reader.array("frame type")?;
    Ok(match kind {
        0x07 => Frame::Ping,
        0x08 => {
            let offset = reader.number("offset")?;
            let len = reader.number("length")?;
            Frame::Crypto { offset, data: reader.bytes(len, "crypto data")? }
        }
        0x40..=0x7f => {
            let len = |bits: u8| match bits & 3 {
                0 => 1,
                1 => 2,
                2 => 4,
                _ => 6_u64,
            };
            let block = len(kind);
            reader.bytes(len(kind >> 2), "largest acknowledged")?;
            reader.bytes(2, "ACK delay")?;
            let blocks = if kind & 0x20 == 0 { [0] } else { reader.array("number of ACK blocks")? };
            reader.bytes(block, "first ACK block")?;
            reader.bytes(u64::from(blocks[0]) * (1 + block), "ACK blocks")?;
            let [timestamps] = reader.array("number of timestamps")?;
            // The first timestamp has four bytes of time, each of the others two.
            let len = u64::from(timestamps) * 3 + if timestamps > 0 { 2 } else { 0 };
            reader.bytes(len, "timestamps")?;
            Frame::Ack
        }
        kind => Frame::Other { kind: kind.into() },
    })
}

/// The frames that no Initial packet contains.
fn read_other(reader: &mut Reader<'_>, kind: u64) -> Result<Frame, Malformed> {
    // How many numbers a frame consists of.
    let numbers = match kind {
        0x04 => {
            let id = reader.number("stream ID")?;
            reader.number("error code")?;
            return Ok(Frame::ResetStream { id, len: reader.number("final size")? });
        }
        0x08..=0x0f => {
            let id = reader.number("stream ID")?;
            let offset = if kind & 4 != 0 { reader.number("offset")? } else { 0 };
            let len = if kind & 2 != 0 { reader.number("length")? } else { reader.rest() };
            return Ok(Frame::Stream {
                id,
                offset,
                data: reader.bytes(len, "stream data")?,
                is_last: kind & 1 != 0,
            });
        }
        0x30 | 0x31 => {
            let len = if kind & 1 != 0 { reader.number("length")? } else { reader.rest() };
            return Ok(Frame::Datagram(reader.bytes(len, "datagram data")?));
        }
        // NEW_TOKEN
        0x07 => {
            let len = reader.number("token length")?;
            reader.bytes(len, "token")?;
            0
        }
        // NEW_CONNECTION_ID: two numbers, an ID with its length in a byte, a reset token of 16 bytes.
        0x18 => {
            reader.number("sequence number")?;
            reader.number("retire prior to")?;
            let [len] = reader.array("length")?;
            reader.bytes(len.into(), "connection ID")?;
            reader.bytes(16, "stateless reset token")?;
            0
        }
        // PATH_CHALLENGE, PATH_RESPONSE
        0x1a | 0x1b => {
            reader.bytes(8, "path data")?;
            0
        }
        // HANDSHAKE_DONE; IMMEDIATE_ACK (draft-ietf-quic-ack-frequency)
        0x1e | 0x1f => 0,
        // MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED, RETIRE_CONNECTION_ID; TIME_STAMP
        // (draft-huitema-quic-ts)
        0x10 | 0x12..=0x14 | 0x16 | 0x17 | 0x19 | 0x2f5 => 1,
        // STOP_SENDING, MAX_STREAM_DATA, STREAM_DATA_BLOCKED
        0x05 | 0x11 | 0x15 => 2,
        // ACK_FREQUENCY (draft-ietf-quic-ack-frequency)
        0xaf => 4,
        kind => return Ok(Frame::Other { kind }),
    };
    for _ in 0..numbers {
        reader.number("number of a control frame")?;
    }
    Ok(Frame::Control { kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some implementations begin each packet with one of them.
    #[test]
    fn reads_on_behind_frames_of_drafts() {
        let payload = b"\x42\xf5\x43\x5a\x40\xaf\x01\x02\x44\x00\x03\x1f\x0a\x08\x02hi";
        let frames: Vec<_> = Frames::of(Kind::OneRtt, Version::V1, payload).collect();
        let control = |kind| Ok(Frame::Control { kind });
        let stream = Ok(Frame::Stream { id: 8, offset: 0, data: 15..17, is_last: false });
        assert_eq!(frames, [control(0x2f5), control(0xaf), control(0x1f), stream]);
    }

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
    fn reads_the_other_frames() {
        let payload = b"\x04\x00\x01\x05\x1e\x18\x01\x00\x02ab0123456789abcdef\x05\x04\x01\x0e\x04\x02\x02hi\x31\x01d\x09\x08end";
        let frames: Vec<_> = Frames::of(Kind::OneRtt, Version::V1, payload).map(Result::unwrap).collect();
        let [
            reset,
            Frame::Control { kind: 0x1e },
            Frame::Control { kind: 0x18 },
            stop,
            stream,
            datagram,
            last,
        ] = &frames[..]
        else {
            panic!("{frames:?}")
        };
        assert_eq!(*reset, Frame::ResetStream { id: 0, len: 5 });
        assert_eq!(*stop, Frame::Control { kind: 5 });
        let Frame::Stream { id: 4, offset: 2, data, is_last: false } = stream else { panic!("{stream:?}") };
        assert_eq!(&payload[data.clone()], b"hi");
        let Frame::Datagram(data) = datagram else { panic!("{datagram:?}") };
        assert_eq!(&payload[data.clone()], b"d");
        let Frame::Stream { id: 8, offset: 0, data, is_last: true } = last else { panic!("{last:?}") };
        assert_eq!(&payload[data.clone()], b"end");
    }

    #[test]
    fn reads_the_handshake_of_google() {
        let payload = b"\x40\x01\0\0\x01\0\x08\x00\x02hi\x07\0\0";
        let of = |payload| Frames::of(Kind::Initial, Version(0x5430_3531), payload).collect::<Vec<_>>();
        let crypto = Frame::Crypto { offset: 0, data: 9..11 };
        assert_eq!(of(payload), [Ok(Frame::Ack), Ok(crypto), Ok(Frame::Ping), Ok(Frame::Padding(2))]);
        // Two blocks and two timestamps.
        let payload = b"\x75\x01\x02\0\0\x02\0\x01\x01\0\x01\x01\0\x01\x02\x01abcd\x01ef\x07";
        assert_eq!(of(payload), [Ok(Frame::Ack), Ok(Frame::Ping)]);
    }

    #[test]
    fn ends_with_what_it_cannot_read() {
        let of = |payload| Frames::new(payload).collect::<Vec<_>>();
        assert_eq!(of(b"\x01\x08\x01\x01"), [Ok(Frame::Ping), Ok(Frame::Other { kind: 8 })]);
        assert_eq!(of(b"\x06\x00\x05hi"), [Err(Malformed { field: "crypto data", offset: 3 })]);
        assert!(of(b"\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01")[0].is_err());
    }
}
