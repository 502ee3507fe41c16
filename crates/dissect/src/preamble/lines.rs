//! Protocols of lines, and of XML: SMTP, FTP, IMAP, POP3, XMPP.

use super::{Kind, Meaning};
use crate::flow::Direction;

/// Most bytes in which the opening of XMPP is looked for.
const MAX_OPENING: usize = 1024;

/// The kind that the greeting of a server shows.
pub(super) fn detect_greeting(prefix: &[u8]) -> Option<Kind> {
    let begins = |with: &[&[u8]]| with.iter().any(|with| prefix.starts_with(with));
    if begins(&[b"220 ", b"220-"]) {
        Some(Kind::SmtpOrFtp)
    } else if begins(&[b"+OK ", b"+OK\r\n"]) {
        Some(Kind::Pop3)
    } else if begins(&[b"* OK ", b"* PREAUTH "]) {
        Some(Kind::Imap)
    } else {
        None
    }
}

/// The kind that the first bytes of a client show.
pub(super) fn detect_opening(prefix: &[u8]) -> Option<Kind> {
    let is_xml = prefix.starts_with(b"<?xml") || prefix.starts_with(b"<stream:stream");
    let prefix = prefix.get(..MAX_OPENING).unwrap_or(prefix);
    (is_xml && contains(prefix, b"<stream:stream")).then_some(Kind::Xmpp)
}

/// The length of the first line, with its end.
pub(super) fn line_len(held: &[u8]) -> Option<usize> {
    held.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

/// The length up to the end of the first tag.
pub(super) fn tag_len(held: &[u8]) -> Option<usize> {
    held.iter().position(|byte| *byte == b'>').map(|at| at + 1)
}

pub(super) fn smtp_or_ftp(direction: Direction, line: &[u8], asked: Option<&[u8]>) -> Meaning {
    let line = line.trim_ascii();
    match (direction, asked) {
        (Direction::ClientToServer, _) if is(line, b"STARTTLS") => Meaning::Asks(b"220 ".to_vec()),
        (Direction::ClientToServer, _) if is(line, b"AUTH TLS") => Meaning::Asks(b"234 ".to_vec()),
        // Whatever the client sends before the answer: it does not wait for TLS.
        (Direction::ClientToServer, Some(_)) => Meaning::Refuses,
        (Direction::ServerToClient, Some(code)) if line.starts_with(code.trim_ascii_end()) => {
            // A line that others follow has a hyphen behind the code (RFC 5321 §4.2.1).
            if line.get(3) == Some(&b'-') { Meaning::Talk } else { Meaning::Accepts }
        }
        _ => Meaning::Talk,
    }
}

pub(super) fn imap(direction: Direction, line: &[u8], asked: Option<&[u8]>) -> Meaning {
    let mut words = line.trim_ascii().splitn(2, |byte| *byte == b' ');
    let (tag, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match (direction, asked) {
        (Direction::ClientToServer, _) if is(rest, b"STARTTLS") => Meaning::Asks(tag.to_vec()),
        (Direction::ClientToServer, Some(_)) => Meaning::Refuses,
        (Direction::ServerToClient, Some(asked)) if asked == tag => {
            if rest.get(..2).is_some_and(|word| is(word, b"OK")) {
                Meaning::Accepts
            } else {
                Meaning::Refuses
            }
        }
        _ => Meaning::Talk,
    }
}

pub(super) fn pop3(direction: Direction, line: &[u8], asked: Option<&[u8]>) -> Meaning {
    match (direction, asked) {
        (Direction::ClientToServer, _) if is(line.trim_ascii(), b"STLS") => Meaning::Asks(Vec::new()),
        (Direction::ClientToServer, Some(_)) => Meaning::Refuses,
        (Direction::ServerToClient, Some(_)) if line.starts_with(b"+OK") => Meaning::Accepts,
        (Direction::ServerToClient, Some(_)) => Meaning::Refuses,
        _ => Meaning::Talk,
    }
}

/// An element may be one tag, or two.
pub(super) fn xmpp(direction: Direction, tag: &[u8], asked: Option<&[u8]>) -> Meaning {
    let tag = tag.trim_ascii();
    let is_whole =
        |begin: &[u8], end: &[u8]| tag.starts_with(begin) && tag.ends_with(b"/>") || tag.starts_with(end);
    match (direction, asked) {
        (Direction::ClientToServer, _) if is_whole(b"<starttls", b"</starttls") => Meaning::Asks(Vec::new()),
        (Direction::ClientToServer, Some(_)) => Meaning::Refuses,
        (Direction::ServerToClient, Some(_)) if is_whole(b"<proceed", b"</proceed") => Meaning::Accepts,
        (Direction::ServerToClient, Some(_)) if tag.starts_with(b"<failure") => Meaning::Refuses,
        _ => Meaning::Talk,
    }
}

fn is(word: &[u8], expected: &[u8]) -> bool {
    word.eq_ignore_ascii_case(expected)
}

pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
