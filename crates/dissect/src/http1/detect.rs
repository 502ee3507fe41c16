//! Whether a stream begins with an HTTP/1 message.

use crate::detection::Detection;
use crate::flow::Direction;

const RESPONSE_START: &[u8] = b"HTTP/1.";

/// The longest registered method (UPDATEREDIRECTREF) has 17 letters (IANA HTTP method registry).
pub(super) const MAX_METHOD: usize = 17;

/// Whether `prefix` begins a request or a response.
pub fn detect(direction: Direction, prefix: &[u8]) -> Detection {
    match direction {
        Direction::ClientToServer => detect_request(prefix),
        Direction::ServerToClient => detect_response(prefix),
    }
}

fn detect_request(prefix: &[u8]) -> Detection {
    let method_len = prefix.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    match prefix.get(method_len) {
        None if method_len <= MAX_METHOD => Detection::NeedMore,
        Some(b' ') if (1..=MAX_METHOD).contains(&method_len) => {
            if prefix.starts_with(b"PRI ") {
                return Detection::NoMatch; // the connection preface of HTTP/2 (RFC 9113 §3.4)
            }
            if prefix.starts_with(b"CONNECT ") {
                return Detection::Match;
            }
            // origin-form, absolute-form and asterisk-form (RFC 9112 §3.2)
            match prefix.get(method_len + 1) {
                None => Detection::NeedMore,
                Some(b'/' | b'*') => Detection::Match,
                Some(byte) if byte.is_ascii_lowercase() => Detection::Match,
                Some(_) => Detection::NoMatch,
            }
        }
        _ => Detection::NoMatch,
    }
}

fn detect_response(prefix: &[u8]) -> Detection {
    let common = prefix.len().min(RESPONSE_START.len());
    match prefix.get(..common) == RESPONSE_START.get(..common) {
        true if common == RESPONSE_START.len() => Detection::Match,
        true => Detection::NeedMore,
        false => Detection::NoMatch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_each_form_of_request_target() {
        for request in [
            "GET / HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET http://a/ HTTP/1.1",
            "CONNECT a:443 HTTP/1.1",
            "VERSION-CONTROL /x HTTP/1.1",
            "UPDATEREDIRECTREF /x HTTP/1.1",
        ] {
            assert_eq!(detect(Direction::ClientToServer, request.as_bytes()), Detection::Match, "{request}");
        }
    }

    #[test]
    fn rejects_other_protocols() {
        for bytes in [
            &b"PRI * HTTP/2.0\r\n"[..],
            b"\x16\x03\x01\x02",
            b"get / HTTP/1.1",
            b" GET / HTTP/1.1",
            b"GET  / HTTP/1.1",
            b"EHLO EXAMPLE.ORG",
            b"ABCDEFGHIJKLMNOPQR /",
        ] {
            assert_eq!(detect(Direction::ClientToServer, bytes), Detection::NoMatch, "{bytes:?}");
        }
        for bytes in [&b"HTTP/2"[..], b"http/1.1", b"220 ready", b"HTTP 1.1"] {
            assert_eq!(detect(Direction::ServerToClient, bytes), Detection::NoMatch, "{bytes:?}");
        }
    }

    #[test]
    fn needs_more_until_the_prefix_decides() {
        for (direction, text) in
            [(Direction::ClientToServer, &b"POST /"[..]), (Direction::ServerToClient, b"HTTP/1.")]
        {
            for len in 0..text.len() {
                assert_eq!(detect(direction, &text[..len]), Detection::NeedMore, "{len} bytes");
            }
            assert_eq!(detect(direction, text), Detection::Match);
        }
    }
}
