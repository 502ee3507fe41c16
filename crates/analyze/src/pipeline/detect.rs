//! Which protocol a connection speaks, by its first bytes.

use dissect::detection::Detection;
use dissect::flow::Direction;
use dissect::{http1, tls};

/// More than this is never needed to tell: the longest method and one byte of the target.
const MAX_PREFIX: usize = 64;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// TLS.
    Tls,
    /// Nothing that is read here.
    Unknown,
}

/// The first bytes of both sides, until one of them tells.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    sides: [First; 2],
}

/// The first bytes of one side.
#[derive(Debug, Default)]
pub(crate) struct First {
    /// Stream offset of the first of them.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    is_neither: bool,
}

impl Detector {
    /// Takes the next bytes of a side and says what the connection speaks, if that can be told. The bytes that were
    /// held until then are in [`Detector::into_first`]; those of this call are among them.
    pub(crate) fn push(&mut self, side: Direction, offset: u64, bytes: &[u8]) -> Option<Protocol> {
        let first = &mut self.sides[side as usize];
        if first.bytes.is_empty() {
            first.offset = offset;
        }
        first.bytes.extend_from_slice(bytes);
        let http = http1::detect(side, &first.bytes);
        let tls = tls::detect(&first.bytes);
        match (http, tls) {
            (Detection::Match, _) => Some(Protocol::Http1),
            (_, Detection::Match) => Some(Protocol::Tls),
            (Detection::NeedMore, _) | (_, Detection::NeedMore) if first.bytes.len() < MAX_PREFIX => None,
            _ => {
                first.is_neither = true;
                let both = self.sides.iter().all(|first| first.is_neither);
                let held: usize = self.sides.iter().map(|first| first.bytes.len()).sum();
                (both || held > MAX_HELD).then_some(Protocol::Unknown)
            }
        }
    }

    /// What was held of each side.
    pub(crate) fn into_first(self) -> [First; 2] {
        self.sides
    }

    /// The lowest offset that is held of a side.
    pub(crate) fn keep_from(&self, side: Direction) -> Option<u64> {
        let first = &self.sides[side as usize];
        (!first.bytes.is_empty()).then_some(first.offset)
    }
}

/// One side may say much before the other says anything; after this it is called unknown.
const MAX_HELD: usize = 16 << 10;
