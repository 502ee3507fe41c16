//! Start line and header section, and the length of the body that follows from them.

use super::lenient::{self, Lenience};
use super::{Desync, MAX_HEADERS};
use crate::coding::Coding;
use crate::flow::Direction;

/// How the receiver finds the end of a body (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    Empty,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The body ends when the connection closes.
    UntilClose,
}

/// The start line, and the header fields that decide how to read the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The minor version: 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub minor_version: u8,
    /// Request method; empty in a response.
    pub method: String,
    /// Request target; empty in a response.
    pub target: String,
    /// `Host` of a request; empty if there is none.
    pub host: String,
    /// Status code of a response; 0 in a request.
    pub status: u16,
    /// Reason phrase of a response; empty if there is none, or if it is not ASCII.
    pub reason: String,
    /// `Content-Type`, unparsed; empty if there is none.
    pub content_type: String,
    /// Protocol that `Upgrade` names (RFC 9110 §7.8), unparsed; empty if there is none.
    pub upgrade: String,
    /// `HTTP2-Settings` of a request (RFC 7540 §3.2.1), unparsed; empty if there is none.
    pub http2_settings: String,
    /// `Sec-WebSocket-Extensions` (RFC 6455 §11.3.2), several fields joined by commas; empty if there is none.
    pub websocket_extensions: String,
    /// How the body ends.
    pub framing: Framing,
    /// Codings to undo on the body, outermost first.
    pub codings: Vec<Coding>,
    /// Length of start line and header section in bytes.
    pub len: usize,
    /// Start line and header section as they were sent.
    pub bytes: Vec<u8>,
    /// Whether the response counts as one to a HEAD request that was not seen, because another response is where its body
    /// would be. Known at its end.
    pub answers_head: bool,
    /// Where the header section deviates from RFC 9112, and is read all the same.
    pub lenience: Lenience,
}

/// The property of a request that decides how its response is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    Head,
    Connect,
    Other,
    /// The request was not seen, or messages are missing, so that it may be any.
    Unknown,
}

impl RequestKind {
    pub(super) fn of(method: &str) -> Self {
        match method {
            "HEAD" => Self::Head,
            "CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// The message that a header section belongs to, as far as it decides about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageKind {
    Request,
    Response { status: u16, request: RequestKind },
}

impl MessageKind {
    /// Whether the bytes behind the header section are of another protocol (RFC 9110 §7.8, §9.3.6).
    pub(super) fn switches_protocol(self) -> bool {
        match self {
            Self::Response { status: 101, .. } => true,
            Self::Response { status, request: RequestKind::Connect } => (200..300).contains(&status),
            _ => false,
        }
    }
}

/// The header fields that decide about the length of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LengthFields {
    pub(super) content_length: ContentLength,
    pub(super) transfer_encoding: TransferEncoding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ContentLength {
    #[default]
    Absent,
    Valid(u64),
    /// Not a number, or several different numbers.
    Invalid,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    #[default]
    Absent,
    /// The last coding is `chunked`.
    EndsChunked,
    /// The last coding is not `chunked`.
    EndsOtherwise,
}

/// The length of a message body: the rules of RFC 9112 §6.3 in their order.
///
/// Stricter than rule 5 in one point: an invalid `Content-Length` is an error even if the other rules ignore the field.
/// Recipients disagree about such messages, and request smuggling exploits that (RFC 9112 §11.2), so no reading of them
/// is trusted.
pub(super) fn framing(message: MessageKind, fields: LengthFields) -> Result<Framing, Desync> {
    let LengthFields { content_length, transfer_encoding } = fields;
    if content_length == ContentLength::Invalid {
        return Err(Desync::BadLength); // rule 5
    }
    if let MessageKind::Response { status, request } = message
        && (request == RequestKind::Head || matches!(status, 100..200 | 204 | 304))
    {
        return Ok(Framing::Empty); // rule 1
    }
    if message.switches_protocol() {
        return Ok(Framing::Empty); // rule 2: a tunnel follows, and both fields are ignored
    }
    match (transfer_encoding, message) {
        // Rule 3, Transfer-Encoding overrides Content-Length, and rule 4.
        (TransferEncoding::EndsChunked, _) => return Ok(Framing::Chunked),
        (TransferEncoding::EndsOtherwise, MessageKind::Response { .. }) => return Ok(Framing::UntilClose),
        (TransferEncoding::EndsOtherwise, MessageKind::Request) => return Err(Desync::BadLength),
        (TransferEncoding::Absent, _) => {}
    }
    Ok(match (content_length, message) {
        (ContentLength::Valid(0), _) => Framing::Empty,
        (ContentLength::Valid(length), _) => Framing::Length(length), // rule 6
        (_, MessageKind::Request) => Framing::Empty,                  // rule 7
        (_, MessageKind::Response { .. }) => Framing::UntilClose,     // rule 8
    })
}

impl Head {
    /// Names and values of all header fields (RFC 9112 §5) as they were sent, without white space around the values.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.bytes.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((name, value.get(1..).unwrap_or_default().trim_ascii()))
        })
    }

    /// Replaces the head by the one in `bytes`, which end with the empty line.
    pub(super) fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        request: RequestKind,
    ) -> Result<MessageKind, Desync> {
        self.clear();
        self.len = bytes.len();
        self.bytes.extend_from_slice(bytes);
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let (message, lengths) = match self.read_strictly(direction, bytes, request, &mut fields) {
            Some(read) => read,
            None => self.read_leniently(direction, bytes, request)?,
        };
        self.framing = framing(message, lengths)?;
        Ok(message)
    }

    /// Reads a header section that keeps to RFC 9112.
    fn read_strictly<'b>(
        &mut self,
        direction: Direction,
        bytes: &'b [u8],
        request: RequestKind,
        fields: &mut [httparse::Header<'b>],
    ) -> Option<(MessageKind, LengthFields)> {
        let (message, fields) = match direction {
            Direction::ClientToServer => {
                let mut parsed = httparse::Request::new(fields);
                let Ok(httparse::Status::Complete(_)) = parsed.parse(bytes) else { return None };
                self.method.push_str(parsed.method.unwrap_or_default());
                self.minor_version = parsed.version.unwrap_or_default();
                self.target.push_str(parsed.path.unwrap_or_default());
                (MessageKind::Request, parsed.headers)
            }
            Direction::ServerToClient => {
                let mut parsed = httparse::Response::new(fields);
                let Ok(httparse::Status::Complete(_)) = parsed.parse(bytes) else { return None };
                self.minor_version = parsed.version.unwrap_or_default();
                self.status = parsed.code.unwrap_or_default();
                self.reason.push_str(parsed.reason.unwrap_or_default());
                (MessageKind::Response { status: self.status, request }, parsed.headers)
            }
        };
        Some((message, self.read_fields(fields.iter().map(|field| (field.name.as_bytes(), field.value)))))
    }

    /// Reads a header section as servers and clients that are lenient do.
    fn read_leniently(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        request: RequestKind,
    ) -> Result<(MessageKind, LengthFields), Desync> {
        let (start, fields, lenience) = lenient::read(direction, bytes).ok_or(Desync::BadHead)?;
        self.lenience = lenience;
        self.minor_version = start.minor_version;
        self.method.push_str(&String::from_utf8_lossy(start.method));
        self.target.push_str(&String::from_utf8_lossy(start.target));
        self.status = start.status;
        self.reason.push_str(std::str::from_utf8(start.reason).unwrap_or_default());
        let message = match direction {
            Direction::ClientToServer => MessageKind::Request,
            Direction::ServerToClient => MessageKind::Response { status: self.status, request },
        };
        Ok((message, self.read_fields(fields.iter().map(|(name, value)| (*name, value.as_ref())))))
    }

    fn read_fields<'b>(&mut self, fields: impl Iterator<Item = (&'b [u8], &'b [u8])>) -> LengthFields {
        let mut lengths = LengthFields::default();
        let mut content_codings = Vec::new();
        for (field_name, value) in fields {
            let value = value.trim_ascii();
            let is = |name: &str| field_name.eq_ignore_ascii_case(name.as_bytes());
            if is("content-length") {
                lengths.content_length = lengths.content_length.and(value);
            } else if is("transfer-encoding") {
                for name in list(value) {
                    let is_chunked = name.eq_ignore_ascii_case(b"chunked");
                    lengths.transfer_encoding = match is_chunked {
                        true => TransferEncoding::EndsChunked,
                        false => TransferEncoding::EndsOtherwise,
                    };
                    if !is_chunked {
                        self.codings.push(Coding::from_token(name));
                    }
                }
            } else if is("content-encoding") {
                content_codings.extend(list(value).filter(|name| !name.is_empty()).map(Coding::from_token));
            } else if is("content-type") {
                self.content_type.push_str(&String::from_utf8_lossy(value));
            } else if is("upgrade") {
                self.upgrade.push_str(&String::from_utf8_lossy(value));
            } else if is("http2-settings") {
                self.http2_settings.push_str(&String::from_utf8_lossy(value));
            } else if is("sec-websocket-extensions") {
                if !self.websocket_extensions.is_empty() {
                    self.websocket_extensions.push(',');
                }
                self.websocket_extensions.push_str(&String::from_utf8_lossy(value));
            } else if is("host") {
                self.host.push_str(&String::from_utf8_lossy(value));
            }
        }
        // Codings are listed in the order in which they were applied, and undone in the opposite order.
        self.codings.reverse();
        self.codings.extend(content_codings.into_iter().rev());
        self.codings.retain(|coding| *coding != Coding::Identity);
        lengths
    }

    /// Clears the values, but keeps the buffers.
    fn clear(&mut self) {
        self.minor_version = 0;
        self.method.clear();
        self.target.clear();
        self.host.clear();
        self.status = 0;
        self.reason.clear();
        self.content_type.clear();
        self.upgrade.clear();
        self.http2_settings.clear();
        self.websocket_extensions.clear();
        self.framing = Framing::Empty;
        self.codings.clear();
        self.len = 0;
        self.bytes.clear();
        self.answers_head = false;
        self.lenience = Lenience::default();
    }
}

impl ContentLength {
    /// Adds another field of that name. Repeated equal values count as one (RFC 9110 §8.6).
    fn and(mut self, value: &[u8]) -> Self {
        for part in list(value) {
            // Digits alone: `parse` would accept a sign.
            let is_number = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
            let number =
                std::str::from_utf8(part).ok().filter(|_| is_number).and_then(|part| part.parse().ok());
            self = match (self, number) {
                (Self::Absent, Some(number)) => Self::Valid(number),
                (Self::Valid(known), Some(number)) if known == number => self,
                _ => Self::Invalid,
            };
        }
        self
    }
}

/// The elements of a comma-separated list.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Offset just behind the empty line that ends a header section, searched from `from` on. A bare line feed ends a line
/// too (RFC 9112 §2.2).
pub(super) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes.get(from..)?).find_map(|at| {
        let next = from + at + 1;
        match (bytes.get(next), bytes.get(next + 1)) {
            (Some(b'\n'), _) => Some(next + 1),
            (Some(b'\r'), Some(b'\n')) => Some(next + 2),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: TransferEncoding = TransferEncoding::Absent;
    const CHUNKED: TransferEncoding = TransferEncoding::EndsChunked;
    const OTHER: TransferEncoding = TransferEncoding::EndsOtherwise;
    const REQUEST: MessageKind = MessageKind::Request;

    fn response(status: u16) -> MessageKind {
        MessageKind::Response { status, request: RequestKind::Other }
    }

    fn to(request: RequestKind, status: u16) -> MessageKind {
        MessageKind::Response { status, request }
    }

    /// RFC 9112 §6.3, a row for each rule and each of its cases.
    #[test]
    fn frames_bodies_by_the_rules_of_rfc_9112() {
        use ContentLength::{Absent, Invalid, Valid};
        use Framing::{Chunked, Empty, Length, UntilClose};
        let bad = Err(Desync::BadLength);
        let table = [
            // Rule 1: no body in responses to HEAD and with 1xx, 204, 304, whatever the fields say.
            (1, to(RequestKind::Head, 200), Valid(7), NO, Ok(Empty)),
            (1, to(RequestKind::Head, 200), Absent, CHUNKED, Ok(Empty)),
            (1, to(RequestKind::Head, 404), Absent, NO, Ok(Empty)),
            (1, response(100), Valid(7), NO, Ok(Empty)),
            (1, response(199), Absent, CHUNKED, Ok(Empty)),
            (1, response(204), Valid(7), NO, Ok(Empty)),
            (1, response(304), Valid(7), CHUNKED, Ok(Empty)),
            // Rule 2: no body in a 2xx response to CONNECT; other responses to it have one.
            (2, to(RequestKind::Connect, 200), Valid(7), NO, Ok(Empty)),
            (2, to(RequestKind::Connect, 299), Absent, CHUNKED, Ok(Empty)),
            (2, to(RequestKind::Connect, 407), Valid(7), NO, Ok(Length(7))),
            (2, response(200), Valid(7), NO, Ok(Length(7))),
            // Rule 3: Transfer-Encoding overrides Content-Length.
            (3, REQUEST, Valid(7), CHUNKED, Ok(Chunked)),
            (3, response(200), Valid(7), CHUNKED, Ok(Chunked)),
            (3, response(200), Valid(7), OTHER, Ok(UntilClose)),
            (3, REQUEST, Valid(7), OTHER, bad),
            // Rule 4: chunked last; if not, a response ends with the connection, and a request has no known end.
            (4, REQUEST, Absent, CHUNKED, Ok(Chunked)),
            (4, response(200), Absent, CHUNKED, Ok(Chunked)),
            (4, response(200), Absent, OTHER, Ok(UntilClose)),
            (4, REQUEST, Absent, OTHER, bad),
            // Rule 5: an invalid Content-Length; here also where another rule would ignore it.
            (5, REQUEST, Invalid, NO, bad),
            (5, response(200), Invalid, NO, bad),
            (5, response(204), Invalid, NO, bad),
            (5, REQUEST, Invalid, CHUNKED, bad),
            // Rule 6: a valid Content-Length.
            (6, REQUEST, Valid(7), NO, Ok(Length(7))),
            (6, response(500), Valid(u64::MAX), NO, Ok(Length(u64::MAX))),
            (6, REQUEST, Valid(0), NO, Ok(Empty)),
            (6, response(200), Valid(0), NO, Ok(Empty)),
            // Rule 7: a request without any of it has no body.
            (7, REQUEST, Absent, NO, Ok(Empty)),
            // Rule 8: a response without any of it ends with the connection.
            (8, response(200), Absent, NO, Ok(UntilClose)),
            (8, response(404), Absent, NO, Ok(UntilClose)),
        ];
        for (rule, message, content_length, transfer_encoding, expected) in table {
            let fields = LengthFields { content_length, transfer_encoding };
            assert_eq!(framing(message, fields), expected, "rule {rule}: {message:?} {fields:?}");
        }
    }

    #[test]
    fn switches_protocols_after_101_and_after_2xx_to_connect() {
        for (message, expected) in [
            (response(101), true),
            (to(RequestKind::Head, 101), true),
            (to(RequestKind::Connect, 200), true),
            (to(RequestKind::Connect, 204), true),
            (to(RequestKind::Connect, 403), false),
            (response(100), false),
            (response(200), false),
            (REQUEST, false),
        ] {
            assert_eq!(message.switches_protocol(), expected, "{message:?}");
        }
    }

    #[test]
    fn keeps_all_fields() {
        let text = b"GET / HTTP/1.1\r\nHost: a:1\nX-Empty:\r\nCookie:  a=b \r\nCookie: c=d\r\n\r\n";
        let mut head = Head::default();
        for _ in 0..2 {
            head.read(Direction::ClientToServer, text, RequestKind::Other).expect("a head");
            let seen: Vec<_> = head.fields().collect();
            let expected: [(&[u8], &[u8]); 4] =
                [(b"Host", b"a:1"), (b"X-Empty", b""), (b"Cookie", b"a=b"), (b"Cookie", b"c=d")];
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn reads_content_length_as_digits_only() {
        for (values, expected) in [
            (&["5"][..], ContentLength::Valid(5)),
            (&["007"], ContentLength::Valid(7)),
            (&["5, 5", "5"], ContentLength::Valid(5)),
            (&["18446744073709551615"], ContentLength::Valid(u64::MAX)),
            (&["18446744073709551616"], ContentLength::Invalid),
            (&["5", "6"], ContentLength::Invalid),
            (&["5, 6"], ContentLength::Invalid),
            (&["6", "5", "5"], ContentLength::Invalid),
            (&["+5"], ContentLength::Invalid),
            (&["-5"], ContentLength::Invalid),
            (&["5,"], ContentLength::Invalid),
            (&["0x5"], ContentLength::Invalid),
            (&["5 5"], ContentLength::Invalid),
            (&[""], ContentLength::Invalid),
        ] {
            let read = values.iter().fold(ContentLength::Absent, |read, value| read.and(value.as_bytes()));
            assert_eq!(read, expected, "{values:?}");
        }
    }

    #[test]
    fn uses_the_last_transfer_coding_of_all_fields() {
        for (fields, expected, codings) in [
            ("", TransferEncoding::Absent, vec![]),
            ("Transfer-Encoding: chunked\r\n", CHUNKED, vec![]),
            ("Transfer-Encoding: gzip, Chunked\r\n", CHUNKED, vec![Coding::Gzip]),
            ("Transfer-Encoding: gzip\r\ntransfer-encoding: chunked\r\n", CHUNKED, vec![Coding::Gzip]),
            ("Transfer-Encoding: chunked, gzip\r\n", OTHER, vec![Coding::Gzip]),
            ("Transfer-Encoding: chunked,\r\n", OTHER, vec![Coding::Unknown]),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let mut parsed_fields = [httparse::EMPTY_HEADER; 4];
            let mut parsed = httparse::Response::new(&mut parsed_fields);
            parsed.parse(text.as_bytes()).expect("a header section");
            let mut head = Head::default();
            let read = parsed.headers.iter().map(|field| (field.name.as_bytes(), field.value));
            let lengths = head.read_fields(read);
            assert_eq!((lengths.transfer_encoding, head.codings), (expected, codings), "{fields:?}");
        }
    }

    #[test]
    fn finds_the_empty_line_with_and_without_carriage_returns() {
        for (text, end) in [
            ("a\r\n\r\nb", Some(5)),
            ("a\n\nb", Some(3)),
            ("a\r\n\nb", Some(4)),
            ("a\n\r\nb", Some(4)),
            ("a\r\n\r", None),
            ("a\r\nb\r\n", None),
            ("", None),
        ] {
            assert_eq!(head_end(text.as_bytes(), 0), end, "{text:?}");
        }
        assert_eq!(head_end(b"a", 2), None);
    }
}
