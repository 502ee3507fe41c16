//! Header sections that deviate from RFC 9112, read as common servers and clients read them.
//!
//! Different receivers may read such a section differently, so each deviation is named.

use std::borrow::Cow;
use std::fmt;

use crate::flow::Direction;

/// A deviation from RFC 9112 in a header section that is read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deviation {
    /// Start line with other white space than single spaces (§3, §4).
    StartLineSpace,
    /// Bytes in method, target or reason phrase that are not allowed there (§3, §4).
    StartLineBytes,
    /// White space between a field name and its colon (§5.1).
    SpaceBeforeColon,
    /// A field value that continues in the next line (§5.2).
    FoldedLine,
    /// A field name that is no token (§5.1).
    FieldName,
    /// Control characters in a field value (RFC 9110 §5.5).
    FieldValue,
    /// A line without colon, which is ignored (§5).
    NoColon,
    /// More fields than [`super::MAX_HEADERS`].
    ManyFields,
}

impl Deviation {
    /// All deviations.
    pub const ALL: [Self; 8] = [
        Self::StartLineSpace,
        Self::StartLineBytes,
        Self::SpaceBeforeColon,
        Self::FoldedLine,
        Self::FieldName,
        Self::FieldValue,
        Self::NoColon,
        Self::ManyFields,
    ];
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartLineSpace => "unusual white space in the start line",
            Self::StartLineBytes => "characters in the start line that are not allowed there",
            Self::SpaceBeforeColon => "white space before a colon",
            Self::FoldedLine => "a field that continues in the next line",
            Self::FieldName => "a field name that is no token",
            Self::FieldValue => "control characters in a field",
            Self::NoColon => "a line without colon",
            Self::ManyFields => "more fields than servers accept",
        })
    }
}

/// The deviations in one header section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lenience(u16);

impl Lenience {
    /// The deviations, in the order of [`Deviation::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Deviation> {
        Deviation::ALL.into_iter().filter(move |deviation| self.has(*deviation))
    }

    /// Whether a deviation is among them.
    pub fn has(self, deviation: Deviation) -> bool {
        self.0 & 1 << deviation as u16 != 0
    }

    fn add(&mut self, deviation: Deviation, when: bool) {
        self.0 |= u16::from(when) << deviation as u16;
    }
}

/// A start line: the parts of a request, or those of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StartLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) minor_version: u8,
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
}

/// Names and values of fields.
type Fields<'a> = Vec<(&'a [u8], Cow<'a, [u8]>)>;

/// Reads a header section; `None` if its start line is none, or if nothing explains why the strict reader fails.
pub(super) fn read(direction: Direction, bytes: &[u8]) -> Option<(StartLine<'_>, Fields<'_>, Lenience)> {
    let mut lenience = Lenience::default();
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.find(|line| !line.is_empty())?;
    let start = match direction {
        Direction::ClientToServer => request_line(first, &mut lenience)?,
        Direction::ServerToClient => status_line(first, &mut lenience)?,
    };
    let mut fields: Fields<'_> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        if let (Some(b' ' | b'\t'), Some((_, value))) = (line.first(), fields.last_mut()) {
            lenience.add(Deviation::FoldedLine, true);
            lenience.add(Deviation::FieldValue, line.iter().copied().any(is_control));
            // A recipient replaces the line end by spaces (§5.2).
            let value = value.to_mut();
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            lenience.add(Deviation::NoColon, true);
            continue;
        };
        let (written, value) = line.split_at_checked(colon)?;
        let value = value.get(1..).unwrap_or_default();
        let name = written.trim_ascii();
        lenience.add(Deviation::SpaceBeforeColon, written.last().is_some_and(u8::is_ascii_whitespace));
        lenience.add(Deviation::FieldName, name.is_empty() || !name.iter().copied().all(is_token));
        lenience.add(Deviation::FieldName, written.first().is_some_and(u8::is_ascii_whitespace));
        lenience.add(Deviation::FieldValue, value.iter().copied().any(is_control));
        fields.push((name, Cow::Borrowed(value)));
    }
    lenience.add(Deviation::ManyFields, fields.len() > super::MAX_HEADERS);
    (lenience != Lenience::default()).then_some((start, fields, lenience))
}

fn request_line<'a>(line: &'a [u8], lenience: &mut Lenience) -> Option<StartLine<'a>> {
    let version_at = line.trim_ascii_end().len().checked_sub(b"HTTP/1.1".len())?;
    let (before, version) = line.trim_ascii_end().split_at_checked(version_at)?;
    let minor_version = minor_version(version)?;
    let space = before.iter().position(u8::is_ascii_whitespace)?;
    let (method, target) = before.split_at_checked(space)?;
    let is_single = matches!(target, [b' ', .., b' ']) && line.ends_with(version);
    let target = target.trim_ascii();
    if method.is_empty() || target.is_empty() || !before.ends_with(b" ") && !before.ends_with(b"\t") {
        return None;
    }
    let is_plain = target.len() + 2 + method.len() == before.len();
    lenience.add(Deviation::StartLineSpace, !is_single || !is_plain);
    lenience.add(
        Deviation::StartLineBytes,
        !method.iter().copied().all(is_token) || !target.iter().all(u8::is_ascii_graphic),
    );
    Some(StartLine { method, target, minor_version, ..StartLine::default() })
}

fn status_line<'a>(line: &'a [u8], lenience: &mut Lenience) -> Option<StartLine<'a>> {
    let (version, rest) = line.split_at_checked(b"HTTP/1.1".len())?;
    let minor_version = minor_version(version)?;
    let trimmed = rest.trim_ascii_start();
    let (code, reason) = trimmed.split_at_checked(3)?;
    if trimmed.len() == rest.len() || !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    lenience.add(Deviation::StartLineSpace, rest.len() - trimmed.len() != 1 || !rest.starts_with(b" "));
    lenience.add(Deviation::StartLineSpace, !matches!(reason.first(), None | Some(b' ')));
    lenience.add(Deviation::StartLineBytes, reason.iter().copied().any(is_control));
    let status = code.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    Some(StartLine { minor_version, status, reason: reason.trim_ascii(), ..StartLine::default() })
}

fn minor_version(version: &[u8]) -> Option<u8> {
    match version {
        b"HTTP/1.0" => Some(0),
        b"HTTP/1.1" => Some(1),
        _ => None,
    }
}

/// Whether a byte may be in a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::super::{Connection, Event, Framing};
    use super::*;

    fn of(direction: Direction, head: &str) -> Option<(Framing, Vec<Deviation>)> {
        let mut connection = Connection::default();
        let is_head = connection.step(direction, head.as_bytes()).event == Event::Head;
        let head = connection.head(direction);
        is_head.then(|| (head.framing, head.lenience.iter().collect()))
    }

    #[test]
    fn names_each_deviation() {
        let (client, server) = (Direction::ClientToServer, Direction::ServerToClient);
        let many = format!("GET / HTTP/1.1\r\n{}Content-Length: 2\r\n\r\n", "A: b\r\n".repeat(200));
        for (direction, head, length, deviation) in [
            (client, "POST / HTTP/1.1\r\nContent-Length : 2\r\n\r\n", 2, Deviation::SpaceBeforeColon),
            (server, "HTTP/1.1 200 OK\r\nContent-Length\t: 2\r\n\r\n", 2, Deviation::SpaceBeforeColon),
            (client, "POST / HTTP/1.1\r\nContent-Length:\r\n 2\r\n\r\n", 2, Deviation::FoldedLine),
            (client, "POST /  HTTP/1.1\r\nContent-Length: 2\r\n\r\n", 2, Deviation::StartLineSpace),
            (client, "POST / HTTP/1.1 \r\nContent-Length: 2\r\n\r\n", 2, Deviation::StartLineSpace),
            (server, "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\n", 2, Deviation::StartLineSpace),
            (client, "POST /a b HTTP/1.1\r\nContent-Length: 2\r\n\r\n", 2, Deviation::StartLineBytes),
            (client, "POST / HTTP/1.1\r\nA B: c\r\nContent-Length: 2\r\n\r\n", 2, Deviation::FieldName),
            (client, "POST / HTTP/1.1\r\nA: \u{1}\r\nContent-Length: 2\r\n\r\n", 2, Deviation::FieldValue),
            (client, "POST / HTTP/1.1\r\nno colon\r\nContent-Length: 2\r\n\r\n", 2, Deviation::NoColon),
            (client, &many, 2, Deviation::ManyFields),
        ] {
            let expected = Some((Framing::Length(length), vec![deviation]));
            assert_eq!(of(direction, head), expected, "{head:?}");
        }
    }

    #[test]
    fn bare_line_feeds_and_a_missing_reason_are_ordinary() {
        for head in ["HTTP/1.1 200\nContent-Length: 2\n\n", "HTTP/1.1 200 \r\nContent-Length: 2, 2\r\n\r\n"] {
            assert_eq!(of(Direction::ServerToClient, head), Some((Framing::Length(2), vec![])), "{head:?}");
        }
    }

    #[test]
    fn a_start_line_without_its_parts_is_none() {
        for (direction, head) in [
            (Direction::ClientToServer, "GET / HTTP/3.0\r\nA: b\r\n\r\n"),
            (Direction::ClientToServer, "GET /HTTP/1.1\r\nA: b\r\n\r\n"),
            (Direction::ServerToClient, "HTTP/1.1 2x0 OK\r\nA: b\r\n\r\n"),
            (Direction::ServerToClient, "HTTP/1.1200 OK\r\nA : b\r\n\r\n"),
        ] {
            assert_eq!(of(direction, head), None, "{head:?}");
        }
    }
}
