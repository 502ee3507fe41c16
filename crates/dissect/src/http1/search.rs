//! Finds the next message in a stream whose framing is lost.
//!
//! A start line alone is easily a part of a text, so the line behind it must be a field line or the empty line. Every
//! position is tried, because the message before may end without a line end.

use super::detect::MAX_METHOD;
use crate::detection::Detection;
use crate::flow::Direction;

/// Longest start line of a message that is found behind a gap: 8,000 bytes, which RFC 9112 §3 asks servers to support, with
/// some room. It bounds the bytes that wait for a decision, and the work on each of them.
pub(super) const MAX_START_LINE: usize = 8 << 10;

/// Longest name in the field line behind the start line.
const MAX_FIELD_NAME: usize = 256;

/// Number of bytes from the first one of a message on that always suffice for a decision.
pub(super) const MAX_LOOKAHEAD: usize = MAX_START_LINE + MAX_FIELD_NAME + 4;

/// The start of a status line (RFC 9112 §4). Here the major version is always 1.
const VERSION: &[u8] = b"HTTP/1.";

/// Methods in use (IANA HTTP method registry, UPnP, Subversion, caches). An unknown word before a target is more often text.
const METHODS: [&[u8]; 38] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"QUERY",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"MKCALENDAR",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"ACL",
    b"BIND",
    b"LINK",
    b"UNLINK",
    b"REPORT",
    b"SEARCH",
    b"MERGE",
    b"CHECKIN",
    b"CHECKOUT",
    b"UNCHECKOUT",
    b"MKACTIVITY",
    b"MKWORKSPACE",
    b"VERSION-CONTROL",
    b"LABEL",
    b"UPDATE",
    b"NOTIFY",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"M-SEARCH",
    b"PURGE",
];

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A message begins at this index.
    Start(usize),
    /// No message begins before this index; at this one or behind it, more bytes are needed.
    Undecided(usize),
}

/// Searches `bytes` for the first message of a direction.
pub(super) fn find(direction: Direction, bytes: &[u8]) -> Found {
    match direction {
        Direction::ClientToServer => find_request(bytes),
        Direction::ServerToClient => find_response(bytes),
    }
}

fn find_request(bytes: &[u8]) -> Found {
    for space in memchr::memchr_iter(b' ', bytes) {
        let before = bytes.get(..space).unwrap_or_default();
        let Some(len) = method_at_end(before) else { continue };
        let start = space - len;
        match rest_of_request(bytes.get(space + 1..).unwrap_or_default()) {
            Detection::Match => return Found::Start(start),
            Detection::NeedMore => return Found::Undecided(start),
            Detection::NoMatch => {}
        }
    }
    Found::Undecided(bytes.len() - unfinished_method(bytes))
}

/// Length of the longest known method that ends `bytes`.
fn method_at_end(bytes: &[u8]) -> Option<usize> {
    // Most spaces follow a small letter.
    bytes.last().filter(|byte| byte.is_ascii_uppercase())?;
    METHODS.iter().filter(|method| bytes.ends_with(method)).map(|method| method.len()).max()
}

/// Length of the longest end of `bytes` that begins a known method.
fn unfinished_method(bytes: &[u8]) -> usize {
    (1..=MAX_METHOD.min(bytes.len()))
        .rev()
        .find(|len| {
            let end = bytes.get(bytes.len() - len..).unwrap_or_default();
            METHODS.iter().any(|method| method.starts_with(end))
        })
        .unwrap_or(0)
}

/// Whether `bytes` continue a request line behind its method: target, version, line end, and a plausible next line.
fn rest_of_request(bytes: &[u8]) -> Detection {
    let Some(line) = bytes.get(..bytes.len().min(MAX_START_LINE)) else { return Detection::NoMatch };
    let too_long = bytes.len() > MAX_START_LINE;
    // A target has no white space (RFC 9112 §3.2); other bytes occur in real ones.
    let Some(end) = line.iter().position(|byte| *byte <= b' ' || *byte == 0x7f) else {
        return if too_long { Detection::NoMatch } else { Detection::NeedMore };
    };
    if end == 0 || line.get(end) != Some(&b' ') {
        return Detection::NoMatch;
    }
    let version = bytes.get(end + 1..).unwrap_or_default();
    let behind = match after_version(version) {
        Ok(Some(behind)) => behind,
        Ok(None) => return Detection::NeedMore,
        Err(()) => return Detection::NoMatch,
    };
    match behind {
        [] | [b'\r'] => Detection::NeedMore,
        [b'\n', next @ ..] | [b'\r', b'\n', next @ ..] => next_line(next),
        _ => Detection::NoMatch,
    }
}

fn find_response(bytes: &[u8]) -> Found {
    // Where the line ends that was read last. Other lines that begin before it end there too, so each byte is read once.
    let mut line_end = 0;
    for start in memchr::memmem::find_iter(bytes, VERSION) {
        let rest = bytes.get(start..).unwrap_or_default();
        if line_end <= start {
            line_end = start + rest.iter().take_while(|byte| **byte >= b' ' || **byte == b'\t').count();
        }
        match status_line(rest, line_end - start) {
            Detection::Match => return Found::Start(start),
            Detection::NeedMore => return Found::Undecided(start),
            Detection::NoMatch => {}
        }
    }
    let unfinished = (1..VERSION.len().min(bytes.len() + 1))
        .rev()
        .find(|len| bytes.ends_with(VERSION.get(..*len).unwrap_or_default()));
    Found::Undecided(bytes.len() - unfinished.unwrap_or(0))
}

/// Whether `bytes` begin with a whole status line and a plausible next line. `len`: the number of bytes before the first control
/// character, which no reason phrase contains: it is text of any character set (RFC 9112 §4).
fn status_line(bytes: &[u8], len: usize) -> Detection {
    let beginning = status_beginning(bytes);
    if beginning != Detection::Match {
        return beginning;
    }
    if len >= MAX_START_LINE {
        return if bytes.len() > MAX_START_LINE { Detection::NoMatch } else { Detection::NeedMore };
    }
    match bytes.get(len..).unwrap_or_default() {
        [] | [b'\r'] => Detection::NeedMore,
        [b'\n', next @ ..] | [b'\r', b'\n', next @ ..] => next_line(next),
        _ => Detection::NoMatch,
    }
}

/// Whether `bytes` begin with version and status code of a response: at most 13 bytes decide.
pub(super) fn status_beginning(bytes: &[u8]) -> Detection {
    let behind = match after_version(bytes) {
        Ok(Some(behind)) => behind,
        Ok(None) => return Detection::NeedMore,
        Err(()) => return Detection::NoMatch,
    };
    for (at, byte) in behind.iter().take(5).enumerate() {
        let fits = match at {
            0 => *byte == b' ',
            1 => (b'1'..=b'9').contains(byte),
            2 | 3 => byte.is_ascii_digit(),
            _ => matches!(byte, b' ' | b'\r' | b'\n'),
        };
        if !fits {
            return Detection::NoMatch;
        }
    }
    if behind.len() >= 5 { Detection::Match } else { Detection::NeedMore }
}

/// The bytes behind `HTTP/1.0` or `HTTP/1.1`; `None` if more are needed.
fn after_version(bytes: &[u8]) -> Result<Option<&[u8]>, ()> {
    let common = bytes.len().min(VERSION.len());
    if bytes.get(..common) != VERSION.get(..common) {
        return Err(());
    }
    match bytes.get(VERSION.len()..) {
        None | Some([]) => Ok(None),
        Some([b'0' | b'1', behind @ ..]) => Ok(Some(behind)),
        Some(_) => Err(()),
    }
}

/// Whether `bytes` begin with the empty line, or with the name of a field and its colon.
fn next_line(bytes: &[u8]) -> Detection {
    match bytes {
        [] | [b'\r'] => return Detection::NeedMore,
        [b'\n', ..] | [b'\r', b'\n', ..] => return Detection::Match,
        _ => {}
    }
    let name = bytes.get(..bytes.len().min(MAX_FIELD_NAME)).unwrap_or_default();
    match name.iter().position(|byte| !(byte.is_ascii_graphic() && *byte != b':')) {
        None if bytes.len() > MAX_FIELD_NAME => Detection::NoMatch,
        None => Detection::NeedMore,
        Some(0) => Detection::NoMatch,
        Some(end) => match bytes.get(end) {
            Some(b':') => Detection::Match,
            _ => Detection::NoMatch,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLIENT: Direction = Direction::ClientToServer;
    const SERVER: Direction = Direction::ServerToClient;

    fn start(direction: Direction, text: &str) -> Option<usize> {
        match find(direction, text.as_bytes()) {
            Found::Start(at) => Some(at),
            Found::Undecided(_) => None,
        }
    }

    #[test]
    fn finds_a_message_at_any_place() {
        for (direction, before, message) in [
            (CLIENT, "", "GET / HTTP/1.1\r\nHost: a\r\n"),
            (CLIENT, "{\"a\":1}", "POST /b HTTP/1.0\nHost: a\n"),
            (CLIENT, "a GET b\r\n", "OPTIONS * HTTP/1.1\r\n\r\n"),
            (CLIENT, "GET /a", "PUT /b HTTP/1.1\r\n\r\n"),
            (CLIENT, "", "UNLOCK http://a/ HTTP/1.1\r\n\r\n"),
            (CLIENT, "GET GET ", "GET /x HTTP/1.1\r\nA:b"),
            (CLIENT, "HTTP/1.1 200 OK\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\n\r\n"),
            (SERVER, "", "HTTP/1.1 200 OK\r\nServer: a\r\n"),
            (SERVER, "HTTP/1.HTTP/1.1 2", "HTTP/1.0 404\n\n"),
            (SERVER, "\0\u{1}", "HTTP/1.1 500 na\u{ef}ve\r\nA: b"),
        ] {
            let text = format!("{before}{message}");
            assert_eq!(start(direction, &text), Some(before.len()), "{text:?}");
        }
    }

    #[test]
    fn finds_no_message_in_text() {
        for (direction, text) in [
            (CLIENT, "the line GET / HTTP/1.1 is a request\r\n"),
            (CLIENT, "GET / HTTP/1.1\r\nis a request\r\n"),
            (CLIENT, "GET / HTTP/2.0\r\n\r\n"),
            (CLIENT, "FETCH / HTTP/1.1\r\n\r\n"),
            (CLIENT, "GET / / HTTP/1.1\r\n\r\n"),
            (SERVER, "\"HTTP/1.1 200 OK\","),
            (SERVER, "HTTP/1.1 200 OK\r\nis an answer\r\n"),
            (SERVER, "HTTP/1.1 2000 OK\r\n\r\n"),
            (SERVER, "HTTP/1.2 200 OK\r\n\r\n"),
            (SERVER, "HTTP/1.1 000 OK\r\n\r\n"),
        ] {
            assert_eq!(start(direction, text), None, "{text:?}");
        }
    }

    #[test]
    fn keeps_no_more_than_the_longest_start_line() {
        for (direction, beginning) in [(CLIENT, "GET /"), (SERVER, "HTTP/1.1 200 ")] {
            let text = format!("{beginning}{}", "x".repeat(2 * MAX_LOOKAHEAD));
            assert_eq!(find(direction, text.as_bytes()), Found::Undecided(text.len()), "{beginning}");
        }
        let name = format!("GET / HTTP/1.1\r\n{}", "x".repeat(MAX_LOOKAHEAD));
        assert_eq!(find(CLIENT, name.as_bytes()), Found::Undecided(name.len()));
    }

    proptest! {
        /// What a prefix decides, more bytes do not change.
        #[test]
        fn more_bytes_change_no_decision(
            parts in prop::collection::vec(prop::sample::select(vec![
                "GET", " ", "/", "HTTP/1.", "1", "200", "\r\n", "\n", "a", "POST", "Host:", "HT",
            ]), 0..40),
            at in any::<prop::sample::Index>(),
        ) {
            let text = parts.concat();
            let bytes = text.as_bytes();
            let prefix = &bytes[..at.index(bytes.len() + 1)];
            for direction in [CLIENT, SERVER] {
                let whole = find(direction, bytes);
                match find(direction, prefix) {
                    Found::Start(start) => prop_assert_eq!(whole, Found::Start(start)),
                    Found::Undecided(from) => {
                        let (Found::Start(at) | Found::Undecided(at)) = whole;
                        prop_assert!(at >= from, "{:?} {:?}", prefix, whole);
                    }
                }
            }
        }
    }
}
