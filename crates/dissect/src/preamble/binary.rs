//! Protocols of binary messages: LDAP, PostgreSQL, MySQL.

use super::lines::contains;
use super::{Kind, Meaning};
use crate::flow::Direction;

/// The object identifier of StartTLS (RFC 4511 §4.14.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// Tags of LDAP's extended request and response (RFC 4511 §4.12).
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;

/// PostgreSQL's requests for TLS and for GSSAPI (PostgreSQL documentation, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

/// The version of MySQL's protocol.
const MYSQL_VERSION: u8 = 10;

/// MySQL's header: three bytes of length, and a number.
const MYSQL_HEADER: usize = 4;

/// Length and flag of MySQL's request for TLS (MySQL documentation, "Protocol::SSLRequest").
const MYSQL_REQUEST: usize = 32;
const MYSQL_SSL: u8 = 0x08;

/// The kind that the first bytes of a server show.
pub(super) fn detect_greeting(prefix: &[u8]) -> Option<Kind> {
    let [_, _, 0, 0, MYSQL_VERSION, version @ ..] = prefix else { return None };
    let version = version.get(..version.iter().position(|byte| *byte == 0)?)?;
    let is_version =
        version.first().is_some_and(u8::is_ascii_digit) && version.is_ascii() && version.len() <= 64;
    is_version.then_some(Kind::MySql)
}

/// The kind that the first bytes of a client show.
pub(super) fn detect_opening(prefix: &[u8]) -> Option<Kind> {
    if prefix.starts_with(&SSL_REQUEST) || prefix.starts_with(&GSS_REQUEST) {
        return Some(Kind::PostgreSql);
    }
    let message = prefix.get(..ldap_len(prefix)?)?;
    asks_for_tls(message).then_some(Kind::Ldap)
}

/// The length of the first message (ITU-T X.690 §8.1).
pub(super) fn ldap_len(held: &[u8]) -> Option<usize> {
    let [0x30, first, rest @ ..] = held else { return None };
    match first {
        short @ 0..=0x7f => Some(2 + usize::from(*short)),
        0x81..=0x83 => {
            let octets = rest.get(..usize::from(first & 0x0f))?;
            let len = octets.iter().fold(0, |len, octet| len << 8 | usize::from(*octet));
            Some(2 + octets.len() + len)
        }
        _ => None,
    }
}

pub(super) fn ldap(direction: Direction, message: &[u8], asked: Option<&[u8]>) -> Meaning {
    match (direction, asked) {
        (Direction::ClientToServer, None) if asks_for_tls(message) => Meaning::Asks(Vec::new()),
        (Direction::ClientToServer, Some(_)) => Meaning::Ends,
        (Direction::ServerToClient, Some(_)) if operation(message) == Some(EXTENDED_RESPONSE) => {
            // The code of the result is first: an enumeration (RFC 4511 §4.1.9).
            if contains(message, &[0x0a, 1, 0]) { Meaning::Accepts } else { Meaning::Refuses }
        }
        _ => Meaning::Talk,
    }
}

fn asks_for_tls(message: &[u8]) -> bool {
    operation(message) == Some(EXTENDED_REQUEST) && contains(message, START_TLS)
}

/// The tag behind the number of a message.
fn operation(message: &[u8]) -> Option<u8> {
    let header = match message.get(1)? {
        0..=0x7f => 2,
        long => 2 + usize::from(long & 0x0f),
    };
    let [2, number_len, number_and_rest @ ..] = message.get(header..)? else { return None };
    number_and_rest.get(usize::from(*number_len)).copied()
}

/// The length of the next message, as far as it matters here.
pub(super) fn postgresql_len(direction: Direction) -> Option<usize> {
    Some(match direction {
        Direction::ClientToServer => SSL_REQUEST.len(),
        Direction::ServerToClient => 1,
    })
}

pub(super) fn postgresql(direction: Direction, message: &[u8], asked: Option<&[u8]>) -> Meaning {
    match (direction, asked) {
        (Direction::ClientToServer, None) if message == SSL_REQUEST => Meaning::Asks(vec![b'S']),
        // GSSAPI's own encryption is not read.
        (Direction::ClientToServer, None) if message == GSS_REQUEST => Meaning::Asks(Vec::new()),
        (Direction::ServerToClient, Some(yes)) if message == yes => Meaning::Accepts,
        (Direction::ServerToClient, Some(_)) if message == b"N" => Meaning::Refuses,
        _ => Meaning::Ends,
    }
}

/// The length of the first packet.
pub(super) fn mysql_len(held: &[u8]) -> Option<usize> {
    let [low, middle, high, ..] = held else { return None };
    let len = u32::from_le_bytes([*low, *middle, *high, 0]);
    Some(MYSQL_HEADER + usize::try_from(len).ok()?)
}

/// The server does not answer a request for TLS: its own handshake message is next.
pub(super) fn mysql(direction: Direction, packet: &[u8]) -> Meaning {
    let Some((header, payload)) = packet.split_first_chunk::<MYSQL_HEADER>() else { return Meaning::Ends };
    match direction {
        Direction::ServerToClient if header[3] == 0 && payload.first() == Some(&MYSQL_VERSION) => {
            Meaning::Talk
        }
        Direction::ClientToServer
            if header[3] == 1
                && payload.len() == MYSQL_REQUEST
                && payload.get(1).is_some_and(|flags| flags & MYSQL_SSL != 0) =>
        {
            Meaning::Accepts
        }
        _ => Meaning::Ends,
    }
}
