//! What the protocols of a stream have in common: how they take bytes, and what they work with.

use std::collections::HashSet;
use std::sync::Arc;

use dissect::content::Decoder;
use dissect::flow::{Direction, PerDirection};
use dissect::keylog::KeyLog;
use dissect::tls::Workspace;

use super::carve::{CarveBudget, Carver};
use super::detect::Protocol;
use super::fact::{At, Fact, Observer, Spoken, Unexplained, UnexplainedFact};
use super::provenance::Source;

/// What reads both directions of a stream of bytes: one protocol, or a stack of them.
pub(crate) trait Reader<O: Observer> {
    /// Takes the next bytes of a direction; all, or those before the handover.
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover>;

    /// `len` bytes of a direction are missing from `offset` on.
    fn gap(
        &mut self,
        direction: Direction,
        offset: u64,
        len: u64,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    );

    /// Both directions are over.
    fn finish(self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken;

    /// The lowest offset of a direction whose location the reader or the observer may still ask for.
    fn keep_from(&self, direction: Direction, observer: &O) -> u64;
}

/// A connection goes on in another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handover {
    /// Which.
    pub protocol: Protocol,
    /// Offset of the first byte of the pushed ones that belongs to it.
    pub offset: u64,
}

/// What observers need of bodies beyond their bytes.
#[derive(Debug, Default)]
pub(crate) struct BodyNeeds {
    /// Lengths in bytes of bodies whose hash is needed. Others are not hashed.
    pub hash_lengths: HashSet<u64>,
    /// Whether the text of JSON bodies is needed.
    pub json: bool,
}

impl BodyNeeds {
    /// Whether the hash of a body of this length is needed. `None`: the length is not known yet.
    pub(crate) fn hash(&self, length: Option<u64>) -> bool {
        match length {
            Some(length) => self.hash_lengths.contains(&length),
            None => !self.hash_lengths.is_empty(),
        }
    }
}

/// What the readers of all connections share.
#[derive(Debug)]
pub(crate) struct Tools {
    /// Takes content codings off.
    pub decoder: Decoder,
    /// What carving has cost so far.
    pub carve_budget: CarveBudget,
    /// What observers need of bodies.
    pub needs: BodyNeeds,
}

/// What decryption takes. Inside TLS there is none: no session is opened within a session.
pub(crate) struct Decryption<'c> {
    /// The key log, if there is one.
    pub keys: Option<&'c Arc<KeyLog>>,
    /// Buffers for the sessions of all connections.
    pub workspace: &'c mut Workspace,
}

/// What a reader works with while it takes bytes.
pub(crate) struct Context<'c, O: Observer> {
    /// What takes the facts.
    pub observer: &'c mut O,
    /// What all connections share.
    pub tools: &'c mut Tools,
    /// Number of the connection, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// Whether the capture began when the connection was open already.
    pub is_midstream: bool,
    /// Where unexplained bytes of the wire are kept; `None` inside TLS.
    pub carvers: Option<&'c mut Option<Box<PerDirection<Carver>>>>,
    /// `None` inside TLS.
    pub decryption: Option<Decryption<'c>>,
}

impl<O: Observer> Context<'_, O> {
    /// The context of what is within TLS.
    pub(crate) fn within_tls(&mut self) -> Context<'_, O> {
        Context {
            observer: self.observer,
            tools: self.tools,
            stream: self.stream,
            is_midstream: false,
            carvers: None,
            decryption: None,
        }
    }

    /// Reports bytes of a layer's input that no parser explains, and keeps those of the wire to be carved.
    pub(crate) fn unexplained(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        why: Unexplained,
        source: &dyn Source,
    ) {
        if !bytes.is_empty() {
            self.report(direction, offset, bytes.len() as u64, why, source);
            self.keep_to_carve(direction, offset, bytes);
        }
    }

    /// Reports a number of unexplained bytes from an offset of a layer's input on.
    pub(crate) fn report(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: u64,
        why: Unexplained,
        source: &dyn Source,
    ) {
        let offset = source.stream_offset(direction, offset);
        self.observer.observe(&Fact::Unexplained(&UnexplainedFact {
            at: At::Stream { stream: self.stream, direction, offset },
            bytes,
            why,
            needs_secret: source.needs_secret(),
        }));
    }

    /// Keeps unexplained bytes of the wire to be carved.
    pub(crate) fn keep_to_carve(&mut self, direction: Direction, offset: u64, bytes: &[u8]) {
        if let Some(carvers) = &mut self.carvers {
            carvers.get_or_insert_default()[direction].push(offset, bytes);
        }
    }
}
