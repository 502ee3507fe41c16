//! Which protocol a stream speaks, by its first bytes.

use dissect::detection::Detection;
use dissect::flow::{Direction, PerDirection};
use dissect::{http1, tls};

/// More than this decides nothing new: the longest method and one byte of the target.
const MAX_PREFIX: usize = 64;

/// Bytes held of both directions together. One side may send much before the other sends anything; after this the
/// protocol is unknown.
const MAX_HELD: usize = 16 << 10;

/// What a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// TLS.
    Tls,
    /// WebSocket, behind its opening handshake (RFC 6455 §4). No first byte shows it.
    WebSocket,
    /// Nothing that is read here.
    Unknown,
}

impl Protocol {
    /// The protocol that an `Upgrade` names (RFC 9110 §7.8), if it is read here.
    pub(crate) fn from_upgrade(name: &str) -> Option<Self> {
        name.eq_ignore_ascii_case("websocket").then_some(Self::WebSocket)
    }
}

/// The first bytes of both directions, until they decide.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    held: PerDirection<Held>,
}

/// The first bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Stream offset of the first of them.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    matches_nothing: bool,
}

impl Detector {
    /// Takes the next bytes of a direction, and returns the protocol once it is decided. All bytes so far, those of
    /// this call included, are in [`Detector::into_held`].
    pub(crate) fn push(&mut self, direction: Direction, offset: u64, bytes: &[u8]) -> Option<Protocol> {
        let held = &mut self.held[direction];
        if held.bytes.is_empty() {
            held.offset = offset;
        }
        held.bytes.extend_from_slice(bytes);
        match (http1::detect(direction, &held.bytes), tls::detect(&held.bytes)) {
            (Detection::Match, _) => Some(Protocol::Http1),
            (_, Detection::Match) => Some(Protocol::Tls),
            (Detection::NeedMore, _) | (_, Detection::NeedMore) if held.bytes.len() < MAX_PREFIX => None,
            _ => {
                held.matches_nothing = true;
                let both = self.held.values().all(|held| held.matches_nothing);
                let bytes: usize = self.held.values().map(|held| held.bytes.len()).sum();
                (both || bytes > MAX_HELD).then_some(Protocol::Unknown)
            }
        }
    }

    /// What was held of each direction.
    pub(crate) fn into_held(self) -> PerDirection<Held> {
        self.held
    }

    /// The lowest offset that is held of a direction.
    pub(crate) fn keep_from(&self, direction: Direction) -> Option<u64> {
        let held = &self.held[direction];
        (!held.bytes.is_empty()).then_some(held.offset)
    }
}
