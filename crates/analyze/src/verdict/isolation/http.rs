//! A strict reader of the two messages of a user's connection.
//!
//! It reads what the lab's clients and the gateway write, and nothing else: every byte of a connection must be of a field
//! whose value is known, so that none is free to hold data. General HTTP is read elsewhere (`dissect::http1`).

use std::fmt;

/// Why bytes are not a message that a client or the gateway writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotRead {
    StartLine,
    /// A line of the head is not a field, or the head does not end.
    Head,
    /// A field that is not written here, that occurs twice, or with another value.
    Field,
    /// The length of the body is not stated exactly once.
    Length,
    /// A chunk that is not a size without extension, its bytes and a line end, or a trailer.
    Chunk,
    /// There are fewer bytes than the message has.
    Cut,
    /// There are bytes behind the message.
    More,
}

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartLine => "its start line is none that is written here",
            Self::Head => "its head is not valid",
            Self::Field => "a field of its head is none that is written here, or occurs twice",
            Self::Length => "the length of its body is not stated once",
            Self::Chunk => "a chunk of its body has an extension, or a trailer follows",
            Self::Cut => "it is cut",
            Self::More => "bytes follow that belong to no message",
        })
    }
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub host: &'a str,
    /// The value of `X-User-Id`.
    pub user: &'a str,
    /// The value of `Authorization`; none over plain HTTP.
    pub authorization: Option<&'a str>,
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub status: &'a str,
    /// The value of `Date`.
    pub date: &'a str,
    pub body: Vec<u8>,
}

/// The status of an answer to a user.
pub(crate) const ANSWERED: &str = "200 OK";

/// The status of an answer to a client that has not shown to be the user that it names.
pub(crate) const REFUSED: &str = "401 Unauthorized";

/// Fields of the gateway's answers with a fixed value.
const FIXED_IN_ANSWERS: [(&str, &str); 4] = [
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("connection", "close"),
];

/// Fields of the clients' requests with a fixed value.
const FIXED_IN_REQUESTS: [(&str, &str); 2] = [("content-type", "application/json"), ("connection", "close")];

/// Challenges in an answer to a client without a valid token (RFC 6750 §3).
const CHALLENGES: [&str; 2] = ["Bearer", "Bearer error=\"invalid_token\""];

/// Reads all bytes that a client sent over plain HTTP.
pub(crate) fn request(bytes: &[u8]) -> Result<Request<'_>, NotRead> {
    let request = request_over_tls(bytes)?;
    if request.authorization.is_some() { Err(NotRead::Field) } else { Ok(request) }
}

/// Reads all bytes that a client sent over TLS, where it may have a token.
pub(crate) fn request_over_tls(bytes: &[u8]) -> Result<Request<'_>, NotRead> {
    let (start, fields, rest) = head(bytes)?;
    let mut words = start.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(NotRead::StartLine);
    };
    let mut fields = Fields(fields);
    fields.take_fixed(&FIXED_IN_REQUESTS)?;
    let host = fields.take("host")?.ok_or(NotRead::Field)?;
    let user = fields.take("x-user-id")?.ok_or(NotRead::Field)?;
    let authorization = fields.take("authorization")?;
    let length = fields.take("content-length")?;
    fields.must_be_empty()?;
    let body = match length {
        Some(length) => exactly(rest, length)?,
        None if rest.is_empty() => Vec::new(),
        None => return Err(NotRead::More),
    };
    Ok(Request { method, target, host, user, authorization, body })
}

/// Reads all bytes that the gateway sent.
pub(crate) fn answer(bytes: &[u8]) -> Result<Answer<'_>, NotRead> {
    let (start, fields, rest) = head(bytes)?;
    let status = start.strip_prefix("HTTP/1.1 ").ok_or(NotRead::StartLine)?;
    if ![ANSWERED, REFUSED].contains(&status) {
        return Err(NotRead::StartLine);
    }
    let mut fields = Fields(fields);
    fields.take_fixed(&FIXED_IN_ANSWERS)?;
    let date = fields.take("date")?.ok_or(NotRead::Field)?;
    let length = fields.take("content-length")?;
    let coding = fields.take("transfer-encoding")?;
    let challenge = fields.take("www-authenticate")?;
    if challenge.is_some_and(|challenge| status != REFUSED || !CHALLENGES.contains(&challenge)) {
        return Err(NotRead::Field);
    }
    fields.must_be_empty()?;
    let body = match (length, coding) {
        (Some(length), None) => exactly(rest, length)?,
        (None, Some("chunked")) => chunked(rest)?,
        _ => return Err(NotRead::Length),
    };
    Ok(Answer { status, date, body })
}

type Field<'a> = (&'a str, &'a str);

/// Start line, fields, and the bytes behind the head.
fn head(bytes: &[u8]) -> Result<(&str, Vec<Field<'_>>, &[u8]), NotRead> {
    const END: &[u8] = b"\r\n\r\n";
    let end = memchr::memmem::find(bytes, END).ok_or(NotRead::Cut)?;
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| NotRead::Head)?;
    if !text.chars().all(|letter| (' '..='~').contains(&letter) || "\r\n".contains(letter)) {
        return Err(NotRead::Head);
    }
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let fields: Option<Vec<_>> = lines.map(|line| line.split_once(": ")).collect();
    let is_bare = |text: &str| text.contains(['\r', '\n']);
    let fields = fields.ok_or(NotRead::Head)?;
    if is_bare(start) || fields.iter().any(|(name, value)| is_bare(name) || is_bare(value)) {
        return Err(NotRead::Head);
    }
    Ok((start, fields, &bytes[end + END.len()..]))
}

/// The fields that were not taken yet.
struct Fields<'a>(Vec<Field<'a>>);

impl<'a> Fields<'a> {
    /// Takes a field that may occur once.
    fn take(&mut self, name: &str) -> Result<Option<&'a str>, NotRead> {
        let Some(at) = self.0.iter().position(|(known, _)| *known == name) else { return Ok(None) };
        let (_, value) = self.0.remove(at);
        let is_twice = self.0.iter().any(|(known, _)| *known == name);
        if is_twice { Err(NotRead::Field) } else { Ok(Some(value)) }
    }

    fn take_fixed(&mut self, fixed: &[(&str, &str)]) -> Result<(), NotRead> {
        for (name, value) in fixed {
            if self.take(name)?.is_none_or(|given| given != *value) {
                return Err(NotRead::Field);
            }
        }
        Ok(())
    }

    fn must_be_empty(&self) -> Result<(), NotRead> {
        if self.0.is_empty() { Ok(()) } else { Err(NotRead::Field) }
    }
}

fn exactly(rest: &[u8], length: &str) -> Result<Vec<u8>, NotRead> {
    let number: usize = length.parse().map_err(|_| NotRead::Length)?;
    if number.to_string() != length {
        return Err(NotRead::Length);
    }
    match rest.len() {
        len if len < number => Err(NotRead::Cut),
        len if len > number => Err(NotRead::More),
        _ => Ok(rest.to_vec()),
    }
}

/// Chunks without extensions, and no trailer (RFC 9112 §7.1).
fn chunked(mut rest: &[u8]) -> Result<Vec<u8>, NotRead> {
    let mut body = Vec::new();
    loop {
        let line = memchr::memmem::find(rest, b"\r\n").ok_or(NotRead::Cut)?;
        let size = std::str::from_utf8(&rest[..line]).map_err(|_| NotRead::Chunk)?;
        let number = usize::from_str_radix(size, 16).map_err(|_| NotRead::Chunk)?;
        if !size.eq_ignore_ascii_case(&format!("{number:x}")) {
            return Err(NotRead::Chunk);
        }
        rest = &rest[line + 2..];
        let (chunk, behind) = rest.split_at_checked(number).ok_or(NotRead::Cut)?;
        body.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n").ok_or(NotRead::Chunk)?;
        if number == 0 {
            return if rest.is_empty() { Ok(body) } else { Err(NotRead::More) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "POST /api/conversation HTTP/1.1\r\nhost: h:1\r\ncontent-type: application/json\r\n\
                           connection: close\r\nx-user-id: alice\r\ncontent-length: 2\r\n\r\n{}";
    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
                          x-content-type-options: nosniff\r\ncontent-length: 2\r\nconnection: close\r\n\
                          date: Sun, 22 Nov 2026 19:06:54 GMT\r\n\r\n{}";

    #[test]
    fn reads_what_clients_and_gateway_write() {
        let read = request(REQUEST.as_bytes()).unwrap();
        assert_eq!((read.method, read.target, read.host), ("POST", "/api/conversation", "h:1"));
        assert_eq!((read.user, read.body), ("alice", b"{}".to_vec()));
        let read = answer(ANSWER.as_bytes()).unwrap();
        assert_eq!((read.status, read.body), ("200 OK", b"{}".to_vec()));
        let chunks = ANSWER.replace("content-length: 2", "transfer-encoding: chunked");
        let chunks = chunks.replace("\r\n\r\n{}", "\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
        assert_eq!(answer(chunks.as_bytes()).unwrap().body, b"{}");
    }

    #[test]
    fn tokens_and_challenges_are_read_over_tls_only() {
        let with_token = REQUEST.replace("x-user-id", "authorization: Bearer plns_0\r\nx-user-id");
        assert_eq!(request(with_token.as_bytes()).unwrap_err(), NotRead::Field);
        let read = request_over_tls(with_token.as_bytes()).unwrap();
        assert_eq!((read.authorization, read.user), (Some("Bearer plns_0"), "alice"));
        assert_eq!(request_over_tls(REQUEST.as_bytes()).unwrap().authorization, None);
        let refused = ANSWER.replace("200 OK", "401 Unauthorized\r\nwww-authenticate: Bearer");
        assert_eq!(answer(refused.as_bytes()).unwrap().status, REFUSED);
    }

    #[test]
    fn refuses_every_byte_that_is_free() {
        for (from, to, why) in [
            ("POST /api/conversation", "POST  /api/conversation", NotRead::StartLine),
            ("HTTP/1.1\r", "HTTP/1.0\r", NotRead::StartLine),
            ("x-user-id", "x-more: 1\r\nx-user-id", NotRead::Field),
            ("x-user-id: alice", "x-user-id: alice\r\nx-user-id: bob", NotRead::Field),
            ("connection: close", "connection: Close", NotRead::Field),
            ("connection: close", "Connection: close", NotRead::Field),
            ("length: 2", "length: 02", NotRead::Length),
            ("length: 2", "length: 3", NotRead::Cut),
            ("{}", "{}GET", NotRead::More),
        ] {
            assert_eq!(request(REQUEST.replace(from, to).as_bytes()).unwrap_err(), why, "{to}");
        }
        for (from, to, why) in [
            ("HTTP/1.1 200", "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\nHTTP/1.1 200", NotRead::StartLine),
            ("no-store", "no-cache", NotRead::Field),
            ("{}", "{}HTTP/1.1 200 OK\r\n", NotRead::More),
            ("connection", "www-authenticate: Bearer\r\nconnection", NotRead::Field),
            ("200 OK", "401 Unauthorized\r\nwww-authenticate: secret", NotRead::Field),
            ("200 OK", "403 Forbidden", NotRead::StartLine),
            ("content-length: 2", "transfer-encoding: chunked\r\ncontent-length: 2", NotRead::Length),
        ] {
            assert_eq!(answer(ANSWER.replace(from, to).as_bytes()).unwrap_err(), why, "{to}");
        }
        let chunked = |chunks: &str| {
            let head = ANSWER.replace("content-length: 2", "transfer-encoding: chunked");
            answer(head.replace("\r\n\r\n{}", &format!("\r\n\r\n{chunks}")).as_bytes()).map(|read| read.body)
        };
        assert_eq!(chunked("2;secret\r\n{}\r\n0\r\n\r\n"), Err(NotRead::Chunk));
        assert_eq!(chunked("2\r\n{}\r\n0\r\nx: y\r\n\r\n"), Err(NotRead::Chunk));
        assert_eq!(chunked("02\r\n{}\r\n0\r\n\r\n"), Err(NotRead::Chunk));
        assert_eq!(chunked("2\r\n{}\r\n0\r\n\r\nmore"), Err(NotRead::More));
        for len in 0..REQUEST.len() {
            assert_eq!(request(&REQUEST.as_bytes()[..len]).unwrap_err(), NotRead::Cut, "{len}");
        }
    }
}
