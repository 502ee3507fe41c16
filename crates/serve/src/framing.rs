//! Checks where requests begin and end, before the HTTP library reads them. The library accepts three forms that another server
//! in front may read differently, so that part of a body becomes a request of its own (request smuggling, RFC 9112 §11.2):
//! a line that ends in LF alone, Content-Length together with Transfer-Encoding, and more than one Host.
//!
//! ```text
//!  socket ── bytes ──> Framing ── the same bytes, or a byte that is no HTTP ──> hyper ──> 400
//! ```

use std::pin::Pin;
use std::task::{Context, Poll};
use std::{io, mem};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the HTTP library gets in the place of a byte that breaks a rule. No part of a head and no chunk may contain it, so that
/// the library answers 400 and closes the connection.
const POISON: u8 = 0;

/// Longest line that is kept, to read its name and value. The lines that matter are far shorter, and hyper bounds all others.
const MAX_KEPT: usize = 256;

/// Follows the requests of one connection.
#[derive(Debug)]
struct Framing {
    part: Part,
    head: Head,
    line: Line,
}

/// The part of a request that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    /// Bytes of a body, or of a chunk, that are left; what follows them.
    Data(u64, After),
    /// The line with a chunk's length.
    ChunkLength,
    /// The empty line after a chunk.
    ChunkEnd,
    Trailers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Request,
    Chunk,
}

/// What the head of a request has said so far.
#[derive(Debug, Default)]
struct Head {
    has_request_line: bool,
    is_http_1_0: bool,
    hosts: u32,
    content_length: Option<u64>,
    is_chunked: bool,
}

/// The beginning of a line.
#[derive(Debug, Default)]
struct Line {
    kept: Vec<u8>,
    /// Bytes of the line, with CR.
    length: u64,
    ends_in_cr: bool,
}

/// A request breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Broken;

impl Framing {
    fn new() -> Self {
        Self { part: Part::Head, head: Head::default(), line: Line::default() }
    }

    /// Takes the next bytes. `Err` has the number of those before the one that breaks a rule.
    fn check(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while at < bytes.len() {
            if let Part::Data(left, after) = self.part {
                let taken = left.min((bytes.len() - at) as u64);
                at += taken as usize;
                self.part = data(left - taken, after);
                continue;
            }
            self.byte(bytes[at]).map_err(|Broken| at)?;
            at += 1;
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), Broken> {
        if byte != b'\n' {
            return self.line.push(byte);
        }
        let line = mem::take(&mut self.line);
        if !line.ends_in_cr {
            return Err(Broken);
        }
        self.part = match self.part {
            Part::Head if !line.is_empty() => {
                self.head.take(&line)?;
                Part::Head
            }
            // An empty line before a request counts for nothing (RFC 9112 §2.2).
            Part::Head if !self.head.has_request_line => Part::Head,
            Part::Head => mem::take(&mut self.head).end()?,
            Part::ChunkLength => match line.chunk_length()? {
                0 => Part::Trailers,
                length => Part::Data(length, After::Chunk),
            },
            Part::ChunkEnd if line.is_empty() => Part::ChunkLength,
            Part::ChunkEnd => return Err(Broken),
            Part::Trailers if line.is_empty() => Part::Head,
            Part::Trailers | Part::Data(..) => self.part,
        };
        Ok(())
    }
}

fn data(left: u64, after: After) -> Part {
    match (left, after) {
        (0, After::Request) => Part::Head,
        (0, After::Chunk) => Part::ChunkEnd,
        _ => Part::Data(left, after),
    }
}

impl Line {
    fn push(&mut self, byte: u8) -> Result<(), Broken> {
        // CR without LF.
        if self.ends_in_cr {
            return Err(Broken);
        }
        self.length += 1;
        self.ends_in_cr = byte == b'\r';
        if self.kept.len() < MAX_KEPT {
            self.kept.push(byte);
        }
        Ok(())
    }

    /// The line without CR, as far as it is kept.
    fn text(&self) -> &[u8] {
        self.kept.strip_suffix(b"\r").unwrap_or(&self.kept)
    }

    fn is_empty(&self) -> bool {
        self.length <= 1
    }

    fn is_whole(&self) -> bool {
        self.length <= MAX_KEPT as u64
    }

    /// The length of a chunk (RFC 9112 §7.1): hexadecimal digits; extensions count for nothing.
    fn chunk_length(&self) -> Result<u64, Broken> {
        let digits = self.text().iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let digits = std::str::from_utf8(&self.text()[..digits]).map_err(|_| Broken)?;
        u64::from_str_radix(digits, 16).map_err(|_| Broken)
    }
}

impl Head {
    fn take(&mut self, line: &Line) -> Result<(), Broken> {
        if !self.has_request_line {
            self.has_request_line = true;
            self.is_http_1_0 = line.text().ends_with(b" HTTP/1.0");
            return Ok(());
        }
        let colon = line.text().iter().position(|byte| *byte == b':');
        let (name, value) = match colon {
            Some(colon) => (&line.text()[..colon], line.text()[colon + 1..].trim_ascii()),
            // Too long a name for a name that matters, or no field at all, which hyper refuses.
            None => (line.text(), &b""[..]),
        };
        // A line that continues the one before (RFC 9112 §5.2), or white space before the colon (§5.1).
        if name.iter().any(|byte| b" \t".contains(byte)) {
            return Err(Broken);
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("host") {
            self.hosts += 1;
        } else if is("content-length") {
            let digits =
                std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            let length =
                digits.filter(|_| line.is_whole()).and_then(|text| text.parse().ok()).ok_or(Broken)?;
            if self.content_length.replace(length).is_some_and(|other| other != length) {
                return Err(Broken);
            }
        } else if is("transfer-encoding") {
            if self.is_chunked || !line.is_whole() || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Broken);
            }
            self.is_chunked = true;
        }
        Ok(())
    }

    /// What follows the head.
    fn end(self) -> Result<Part, Broken> {
        // RFC 9112 §3.2: exactly one Host in HTTP/1.1.
        let has_right_hosts = self.hosts == 1 || self.hosts == 0 && self.is_http_1_0;
        match (self.content_length, self.is_chunked) {
            _ if !has_right_hosts => Err(Broken),
            // RFC 9112 §6.1: an attempt at request smuggling.
            (Some(_), true) => Err(Broken),
            (None, true) if self.is_http_1_0 => Err(Broken),
            (None, true) => Ok(Part::ChunkLength),
            (length, false) => Ok(data(length.unwrap_or_default(), After::Request)),
        }
    }
}

/// A connection whose requests are checked.
#[derive(Debug)]
pub(crate) struct Checked<S> {
    stream: S,
    framing: Framing,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    /// A byte broke a rule; the poison is still to be handed over.
    Broken,
    /// The reader has the poison, and gets nothing else.
    Ended,
}

impl<S> Checked<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, framing: Framing::new(), state: State::Well }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Checked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state == State::Well {
            let before = buffer.filled().len();
            std::task::ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            let Err(good) = self.framing.check(&buffer.filled()[before..]) else {
                return Poll::Ready(Ok(()));
            };
            buffer.set_filled(before + good);
            self.state = State::Broken;
        }
        if self.state == State::Broken && buffer.remaining() > 0 {
            buffer.put_slice(&[POISON]);
            self.state = State::Ended;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Checked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    /// The offset of the byte that breaks a rule, the same however the bytes are divided.
    fn broken_at(bytes: &[u8]) -> Option<usize> {
        let whole = Framing::new().check(bytes).err();
        for size in 1..bytes.len().min(40) {
            let mut framing = Framing::new();
            let mut start = 0;
            let found = bytes.chunks(size).find_map(|part| {
                let found = framing.check(part).err().map(|at| start + at);
                start += part.len();
                found
            });
            assert_eq!(found, whole, "in parts of {size}: {}", String::from_utf8_lossy(bytes));
        }
        whole
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn passes_requests_one_after_the_other() {
        let long = format!("GET /{} HTTP/1.1\r\nhOsT: x\r\nA: {}\r\n\r\n", "a".repeat(999), "b".repeat(999));
        for requests in [
            GET.to_owned(),
            format!("{GET}{GET}\r\n{GET}"),
            format!("{long}{GET}"),
            format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\n\n\n\n\n{GET}"),
            format!("POST / HTTP/1.1\r\nContent-Length: 0\r\nHost: x\r\n\r\n{GET}"),
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\n\n\r\n\n\n\r\n00\r\nT: t\r\n\r\n{GET}"
            ),
            "GET / HTTP/1.0\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab".to_owned(),
        ] {
            assert_eq!(broken_at(requests.as_bytes()), None, "{requests}");
        }
    }

    #[test]
    fn stops_at_what_servers_read_differently() {
        let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        for request in [
            "GET / HTTP/1.1\nHost: x\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: x\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: x\r\n\n".to_owned(),
            "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nA: b\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n".to_owned(),
            "GET / HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n".to_owned(),
            "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            post("Content-Length: 3\r\nTransfer-Encoding: chunked"),
            post("Transfer-Encoding: chunked\r\nContent-Length: 3"),
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            post("Transfer-Encoding: gzip, chunked"),
            post("Transfer-Encoding: identity"),
            post("Transfer-Encoding : chunked"),
            post("Transfer-Encoding\t: chunked"),
            post("A: b\r\n Transfer-Encoding: chunked"),
            post("Content-Length: 3\r\nContent-Length: 4"),
            post("Content-Length: +3"),
            post("Content-Length: 3, 3"),
            post("Content-Length: 99999999999999999999"),
            post(&format!("Content-Length: {}3", " ".repeat(MAX_KEPT))),
            post("Transfer-Encoding: chunked") + "x\r\n",
            post("Transfer-Encoding: chunked") + "3\nabc\r\n",
            post("Transfer-Encoding: chunked") + "3\r\nabcd\r\n",
            post("Transfer-Encoding: chunked") + "0\r\n\n",
            post("Content-Length: 3") + "abc" + "GET / HTTP/1.1\n",
        ] {
            assert!(broken_at(request.as_bytes()).is_some(), "{request}");
        }
    }

    #[tokio::test]
    async fn the_reader_gets_the_poison_in_the_place_of_the_byte() {
        let bytes = &b"GET / HTTP/1.1\r\nHost: x\nGET /secret HTTP/1.1\r\n\r\n"[..];
        let mut read = Vec::new();
        Checked::new(tokio::io::join(bytes, tokio::io::sink())).read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"GET / HTTP/1.1\r\nHost: x\0");
    }
}
