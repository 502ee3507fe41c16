//! Whether a stream begins with HTTP/2.

use super::frame::{Flags, Frame, FrameType};
use super::{DEFAULT_MAX_FRAME, FRAME_HEADER};
use crate::detection::Detection;
use crate::flow::Direction;

/// The first bytes of a client (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Maximum number of settings in the first frame of a server: ten are registered.
const MAX_FIRST_SETTINGS: u32 = 32;

/// Whether `prefix` begins one direction of an HTTP/2 connection: the client's preface, or the SETTINGS frame that a
/// server sends first (RFC 9113 §3.4).
pub fn detect(direction: Direction, prefix: &[u8]) -> Detection {
    match direction {
        Direction::ClientToServer => {
            let common = prefix.len().min(PREFACE.len());
            match prefix.get(..common) == PREFACE.get(..common) {
                true if common == PREFACE.len() => Detection::Match,
                true => Detection::NeedMore,
                false => Detection::NoMatch,
            }
        }
        Direction::ServerToClient => detect_settings(prefix),
    }
}

/// Number of frame headers in a row that show where a frame begins at an unknown place of a stream.
const ENOUGH: usize = 3;

/// The longest input that [`detect_within`] needs.
pub(super) const SEARCH_WINDOW: usize = ENOUGH * (FRAME_HEADER + DEFAULT_MAX_FRAME as usize);

/// Whether `bytes`, from an unknown place of a direction, begin with a frame: three frame headers follow each other. Frames
/// longer than [`DEFAULT_MAX_FRAME`] are not recognised.
///
/// At the end of the direction (`is_end`) two headers suffice, or one whole frame that ends there.
pub fn detect_within(direction: Direction, bytes: &[u8], is_end: bool) -> Detection {
    let mut at = 0;
    for known in 0..ENOUGH {
        let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<FRAME_HEADER>) else {
            let suffices = known >= 2 || known == 1 && at == bytes.len();
            return match (is_end, suffices) {
                (false, _) => Detection::NeedMore,
                (true, true) => Detection::Match,
                (true, false) => Detection::NoMatch,
            };
        };
        let frame = Frame::parse(*header, 0);
        if !frame.is_plausible(direction) {
            return Detection::NoMatch;
        }
        at += FRAME_HEADER + frame.len as usize;
    }
    Detection::Match
}

fn detect_settings(prefix: &[u8]) -> Detection {
    let Some(header) = prefix.first_chunk::<FRAME_HEADER>() else {
        // Length below 256, type SETTINGS, no flags, stream 0.
        let known = [
            Some(0),
            Some(0),
            None,
            Some(FrameType::SETTINGS.0),
            Some(0),
            Some(0),
            Some(0),
            Some(0),
            Some(0),
        ];
        let fits = prefix.iter().zip(known).all(|(byte, known)| known.is_none_or(|known| known == *byte));
        return if fits { Detection::NeedMore } else { Detection::NoMatch };
    };
    let frame = Frame::parse(*header, 0);
    let is_first = frame.frame_type == FrameType::SETTINGS
        && frame.flags == Flags(0)
        && frame.check(DEFAULT_MAX_FRAME).is_ok()
        && !frame.reserved
        && frame.len / 6 <= MAX_FIRST_SETTINGS;
    if is_first { Detection::Match } else { Detection::NoMatch }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_the_first_bytes_of_both_sides() {
        let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
        for (direction, bytes, len) in
            [(Direction::ClientToServer, PREFACE, 24), (Direction::ServerToClient, &settings[..], 9)]
        {
            for end in 0..len {
                assert_eq!(detect(direction, &bytes[..end]), Detection::NeedMore, "{end} bytes");
            }
            assert_eq!(detect(direction, bytes), Detection::Match);
        }
    }

    #[test]
    fn rejects_other_protocols() {
        for bytes in [&b"PRI * HTTP/2.0\r\n\r\nGET"[..], b"GET / HTTP/1.1", b"\x16\x03\x01"] {
            assert_eq!(detect(Direction::ClientToServer, bytes), Detection::NoMatch);
        }
        for bytes in [
            &b"HTTP/1.1 200 OK\r\n"[..],
            b"\x16\x03\x03\0\x7a\x02\0\0\x76",
            b"\0\0\x05\x04\0\0\0\0\0",
            b"\0\0\x06\x04\0\0\0\0\x01",
            b"\0\0\x06\x04\x01\0\0\0\0",
            b"\0\0\xfc\x04\0\0\0\0\0",
        ] {
            assert_eq!(detect(Direction::ServerToClient, bytes), Detection::NoMatch, "{bytes:?}");
        }
    }

    #[test]
    fn recognises_frames_within_a_connection() {
        let frames = b"\0\0\x02\0\0\0\0\0\x05hi\0\0\0\0\x01\0\0\0\x05\0\0\x08\x06\0\0\0\0\0pingpong";
        let side = Direction::ServerToClient;
        for end in 0..29 {
            assert_eq!(detect_within(side, &frames[..end], false), Detection::NeedMore, "{end} bytes");
        }
        assert_eq!(detect_within(side, &frames[..29], false), Detection::Match);
        assert_eq!(detect_within(side, &frames[..11], true), Detection::Match, "one whole frame");
        assert_eq!(
            detect_within(side, &frames[..12], true),
            Detection::NoMatch,
            "one, and a part of another"
        );
        assert_eq!(detect_within(side, &frames[..20], true), Detection::Match, "two");
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[0; 40], &[0xff; 40]] {
            assert_eq!(detect_within(side, bytes, false), Detection::NoMatch);
        }
    }
}
