//! Detects the protocol of a stream by its first bytes.

use dissect::detection::Detection;
use dissect::flow::{Direction, PerDirection};
use dissect::websocket::Extensions;
use dissect::{dns, http1, http2, preamble, tls};

/// Longest prefix that is needed for a decision at the beginning of a connection: the longest method and one byte of the
/// target, or HTTP/2's preface.
const MAX_PREFIX: usize = 64;

/// Bytes held of both directions together. One side may send much before the other sends anything; at this limit the
/// protocol counts as unknown.
const MAX_HELD: usize = 16 << 10;

/// The protocol of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2, from its first bytes on (RFC 9113 §3.4).
    Http2,
    /// HTTP/2 behind a switch from HTTP/1.1 (RFC 7540 §3.2), whose client accepts frames of this length.
    Http2Upgraded(u32),
    /// HTTP/2, from an unknown place on.
    Http2Within,
    /// TLS.
    Tls,
    /// DNS messages with their lengths (RFC 7766).
    Dns,
    /// WebSocket, after its opening handshake (RFC 6455 §4). Its first bytes do not identify it.
    WebSocket(Extensions),
    /// A protocol that may hand over to another one.
    Preamble(preamble::Kind),
    /// Any protocol: what runs inside of a tunnel through a proxy. Its first bytes show which one.
    Tunnelled,
    /// A protocol that is not decoded here.
    Unknown,
}

impl Protocol {
    /// The protocol that the `Upgrade` of a 101 names (RFC 9110 §7.8), if it is decoded here. `extensions`: the
    /// `Sec-WebSocket-Extensions` of the same response; `settings`: the `HTTP2-Settings` of its request.
    pub(crate) fn from_upgrade(name: &str, extensions: &str, settings: &str) -> Option<Self> {
        match name {
            name if name.eq_ignore_ascii_case("websocket") => {
                Some(Self::WebSocket(Extensions::accepted(extensions.as_bytes())))
            }
            name if name.eq_ignore_ascii_case("h2c") => {
                Some(Self::Http2Upgraded(http2::max_frame_of_upgrade(settings.as_bytes())))
            }
            _ => None,
        }
    }
}

/// The first bytes of both directions, held until the protocol is known.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    held: PerDirection<Held>,
    /// Whether the first bytes may be from within the connection, or bytes are missing between those held.
    is_joined: bool,
}

/// The first bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Stream offset of the first of them, or of the first one to come.
    pub offset: u64,
    pub bytes: Vec<u8>,
    matches_nothing: bool,
}

impl Detector {
    /// Begins behind another protocol, at these stream offsets.
    pub(crate) fn behind(begins: PerDirection<u64>) -> Self {
        let held = PerDirection::from_fn(|direction| Held { offset: begins[direction], ..Held::default() });
        Self { held, is_joined: false }
    }

    /// The stream offsets at which the protocol begins; 0 where bytes before those held are missing.
    pub(crate) fn begins(&self) -> PerDirection<u64> {
        PerDirection::from_fn(|direction| if self.is_joined { 0 } else { self.held[direction].offset })
    }

    /// Number of bytes held.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.held.values().map(|held| held.bytes.capacity()).sum()
    }

    /// Adds the next bytes of a direction, and returns the protocol once it is known. [`Detector::into_held`] returns
    /// all bytes so far, including those of this call. `is_midstream`: they may be from within the connection.
    pub(crate) fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        is_midstream: bool,
    ) -> Option<Protocol> {
        self.is_joined |= is_midstream;
        let client = &self.held[Direction::ClientToServer];
        let (client_is_other, client_is_silent) = (client.matches_nothing, client.bytes.is_empty());
        let held = &mut self.held[direction];
        if held.bytes.is_empty() {
            held.offset = offset;
        }
        held.bytes.extend_from_slice(bytes);
        let http2 = match http2::detect(direction, &held.bytes) {
            // A client of HTTP/2 speaks first, and begins with the preface.
            Detection::Match if client_is_other => Detection::NoMatch,
            detected => detected,
        };
        let dns = dns::detect(&held.bytes);
        match (http1::detect(direction, &held.bytes), tls::detect(&held.bytes), http2) {
            (Detection::Match, _, _) => Some(Protocol::Http1),
            (_, Detection::Match, _) => Some(Protocol::Tls),
            // A server may begin before it knows what the client speaks.
            (_, _, Detection::Match) if direction == Direction::ServerToClient && client_is_silent => {
                (held.bytes.len() > MAX_HELD).then_some(Protocol::Http2)
            }
            (_, _, Detection::Match) => Some(Protocol::Http2),
            _ if dns == Detection::Match => Some(Protocol::Dns),
            _ if !self.is_joined
                && let Some(kind) = preamble::detect(direction, &held.bytes) =>
            {
                Some(Protocol::Preamble(kind))
            }
            // A message is recognised once it is whole, at most `dns::MAX_DETECTED` bytes.
            _ if dns == Detection::NeedMore => None,
            (Detection::NeedMore, _, _) | (_, Detection::NeedMore, _) | (_, _, Detection::NeedMore)
                if held.bytes.len() < MAX_PREFIX =>
            {
                None
            }
            _ => {
                let within = match self.is_joined {
                    true => http2::detect_within(direction, &held.bytes, false),
                    false => Detection::NoMatch,
                };
                held.matches_nothing = within == Detection::NoMatch;
                if within == Detection::Match {
                    return Some(Protocol::Http2Within);
                }
                let both = self.held.values().all(|held| held.matches_nothing);
                let bytes: usize = self.held.values().map(|held| held.bytes.len()).sum();
                (both || bytes > MAX_HELD).then_some(Protocol::Unknown)
            }
        }
    }

    /// Bytes are missing. Those behind them are held next to those before them.
    pub(crate) fn gap(&mut self) {
        self.is_joined = true;
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// The protocol of a stream that ended, if its few bytes show it.
    pub(crate) fn at_end(&self) -> Option<Protocol> {
        let is_within = |direction| {
            let bytes = &self.held[direction].bytes;
            http2::detect_within(direction, bytes, true) == Detection::Match
        };
        let server = &self.held[Direction::ServerToClient].bytes;
        if http2::detect(Direction::ServerToClient, server) == Detection::Match {
            return Some(Protocol::Http2);
        }
        (self.is_joined && Direction::BOTH.into_iter().any(is_within)).then_some(Protocol::Http2Within)
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
