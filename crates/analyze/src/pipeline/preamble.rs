//! Reads a protocol only as far as another one begins inside of it: SOCKS proxies, and services that change to TLS.

use dissect::flow::{Direction, PerDirection};
use dissect::preamble::{self, Kind};

use super::detect::Protocol;
use super::fact::{Observer, Spoken, Unexplained};
use super::protocol::{Context, Handover, Reader};
use super::provenance::Source;

/// Both directions of one stream.
#[derive(Debug)]
pub(crate) struct Preamble {
    preamble: preamble::Preamble,
}

impl Preamble {
    pub(crate) fn new(kind: Kind, begins: PerDirection<u64>) -> Self {
        Self { preamble: preamble::Preamble::new(kind, begins) }
    }
}

impl<O: Observer> Reader<O> for Preamble {
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        let why = Unexplained::Preamble(self.preamble.kind());
        let begins = self.preamble.push(direction, bytes);
        let end = begins.as_ref().map_or(u64::MAX, |begins| begins[direction]);
        let own = bytes.get(..end.saturating_sub(offset) as usize).unwrap_or(bytes);
        cx.unexplained(direction, offset, own, why, source);
        let early = self.preamble.take_early();
        let early = Direction::BOTH.iter().any(|way| !early[*way].is_empty()).then(|| Box::new(early));
        begins.map(|begins| Handover { protocol: Protocol::Tunnelled, begins, early })
    }

    fn gap(
        &mut self,
        _direction: Direction,
        _offset: u64,
        _len: u64,
        _source: &dyn Source,
        _cx: &mut Context<'_, O>,
    ) {
        self.preamble.gap();
    }

    fn finish(self, _source: &dyn Source, _cx: &mut Context<'_, O>) -> Spoken {
        Spoken::Unknown
    }

    fn kept_bytes(&self) -> usize {
        self.preamble.kept_bytes()
    }

    fn keep_from(&self, direction: Direction, _observer: &O) -> u64 {
        self.preamble.keep_from(direction).unwrap_or(u64::MAX)
    }
}
