//! SOCKS 4, 4a and 5.

use super::{Kind, Meaning};
use crate::detection::Detection;
use crate::flow::Direction;
use crate::{http1, tls};

/// The command that asks for a connection, in all versions.
const CONNECT: u8 = 1;

/// SOCKS 4's code of a request that was granted.
const GRANTED: u8 = 0x5a;

/// Longest user name or host name of SOCKS 4 that is read.
const MAX_NAME: usize = 512;

/// The methods of authentication that are read: none, and a password (RFC 1928 §3).
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// The client's first message: its request in SOCKS 4, its methods in SOCKS 5.
    #[default]
    Opening,
    /// The server's choice of a method.
    Choice,
    /// The client's password.
    Password,
    /// Whether it is right.
    Status,
    /// The client's request.
    Request,
    /// The server's reply.
    Reply,
}

/// The version that the first message of a client shows. Behind it a client waits, or sends its request (SOCKS 5) or what is inside
/// of the tunnel (SOCKS 4).
pub(super) fn detect(prefix: &[u8]) -> Option<Kind> {
    let kind = match prefix {
        [4, CONNECT, ..] => Kind::Socks4,
        [5, 1..=9, ..] => Kind::Socks5,
        _ => return None,
    };
    let len = Stage::Opening.unit_len(kind, Direction::ClientToServer, prefix)?;
    let rest = prefix.get(len..)?;
    let goes_on = match (kind, rest) {
        (_, []) => true,
        (Kind::Socks5, [5, CONNECT, 0, 1 | 3 | 4, ..]) => true,
        // The name and the password of the user (RFC 1929 §2).
        (Kind::Socks5, [1, name, ..]) => *name > 0,
        (Kind::Socks4, _) => {
            tls::detect(rest) == Detection::Match
                || http1::detect(Direction::ClientToServer, rest) == Detection::Match
        }
        _ => false,
    };
    goes_on.then_some(kind)
}

impl Stage {
    /// The length of the next message of a direction, if it is its turn and enough bytes show it.
    pub(super) fn unit_len(self, kind: Kind, direction: Direction, held: &[u8]) -> Option<usize> {
        let is_client = direction == Direction::ClientToServer;
        match (self, kind, is_client) {
            (Self::Opening, Kind::Socks4, true) => socks4_request_len(held),
            (Self::Opening, _, true) => Some(2 + usize::from(*held.get(1)?)),
            (Self::Password, _, true) => {
                let name = usize::from(*held.get(1)?);
                Some(3 + name + usize::from(*held.get(2 + name)?))
            }
            (Self::Request, _, true) => socks5_address_len(held),
            (Self::Choice | Self::Status, _, false) => Some(2),
            (Self::Reply, Kind::Socks4, false) => Some(8),
            (Self::Reply, _, false) => socks5_address_len(held),
            _ => None,
        }
    }

    pub(super) fn take(&mut self, kind: Kind, unit: &[u8]) -> Meaning {
        let next = match (*self, kind, unit) {
            (Self::Opening, Kind::Socks4, [4, CONNECT, ..]) => Self::Reply,
            (Self::Opening, Kind::Socks5, [5, ..]) => Self::Choice,
            (Self::Choice, _, [5, NO_AUTHENTICATION]) => Self::Request,
            (Self::Choice, _, [5, PASSWORD]) => Self::Password,
            (Self::Password, _, [1, ..]) => Self::Status,
            (Self::Status, _, [1, 0]) => Self::Request,
            (Self::Request, _, [5, CONNECT, _, 1 | 3 | 4, ..]) => Self::Reply,
            (Self::Reply, Kind::Socks4, [0, GRANTED, ..])
            | (Self::Reply, Kind::Socks5, [5, 0, _, 1 | 3 | 4, ..]) => {
                return Meaning::Accepts;
            }
            _ => return Meaning::Ends,
        };
        *self = next;
        Meaning::Talk
    }
}

/// A request ends behind the user's name, or behind the host's name if its address is not one (SOCKS 4a).
fn socks4_request_len(held: &[u8]) -> Option<usize> {
    let name_len = |from: usize| {
        held.get(from..)?.iter().take(MAX_NAME).position(|byte| *byte == 0).map(|len| from + len + 1)
    };
    let end = name_len(8)?;
    match held.get(4..8)? {
        [0, 0, 0, last] if *last != 0 => name_len(end),
        _ => Some(end),
    }
}

/// A request or reply ends behind its address and port (RFC 1928 §4, §5).
fn socks5_address_len(held: &[u8]) -> Option<usize> {
    let address = match held.get(3)? {
        1 => 4,
        3 => 1 + usize::from(*held.get(4)?),
        4 => 16,
        // An address of another type has no known end: what comes before it ends the reading.
        _ => return Some(4),
    };
    Some(4 + address + 2)
}
