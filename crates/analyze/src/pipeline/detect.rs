//! Detects the protocol of a stream by its first bytes.

use dissect::detection::Detection;
use dissect::flow::{Direction, PerDirection};
use dissect::{http1, tls};

/// Longest prefix that is needed for a decision: the longest method and one byte of the target.
const MAX_PREFIX: usize = 64;

/// Bytes held of both directions together. One side may send much before the other sends anything; at this limit the
/// protocol counts as unknown.
const MAX_HELD: usize = 16 << 10;

/// The protocol of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// TLS.
    Tls,
    /// WebSocket, after its opening handshake (RFC 6455 §4). Its first bytes do not identify it.
    WebSocket,
    /// A protocol that is not decoded here.
    Unknown,
}

impl Protocol {
    /// The protocol that an `Upgrade` header names (RFC 9110 §7.8), if it is decoded here.
    pub(crate) fn from_upgrade(name: &str) -> Option<Self> {
        name.eq_ignore_ascii_case("websocket").then_some(Self::WebSocket)
    }
}

/// The first bytes of both directions, held until the protocol is known.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    held: PerDirection<Held>,
}

/// The first bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Stream offset of the first of them.
    pub offset: u64,
    pub bytes: Vec<u8>,
    matches_nothing: bool,
}

impl Detector {
    /// Adds the next bytes of a direction, and returns the protocol once it is known. [`Detector::into_held`] returns
    /// all bytes so far, including those of this call.
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

    /// The bytes held of each direction.
    pub(crate) fn into_held(self) -> PerDirection<Held> {
        self.held
    }

    /// The lowest stream offset held of a direction.
    pub(crate) fn keep_from(&self, direction: Direction) -> Option<u64> {
        let held = &self.held[direction];
        (!held.bytes.is_empty()).then_some(held.offset)
    }
}
