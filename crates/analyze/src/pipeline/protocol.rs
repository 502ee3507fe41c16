//! The interface that all protocols of a stream implement, and the context that they work with.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use dissect::content::Decoder;
use dissect::flow::{Direction, PerDirection};
use dissect::keylog::KeyLog;
use dissect::message_deflate::Inflater;
use dissect::tls::Workspace;

use super::budget::{Budget, FreeDecoded};
use super::carve::{CarveBudget, Carver};
use super::detect::Protocol;
use super::fact::{At, Fact, MessageStart, Observer, Spoken, Unexplained, UnexplainedFact};
use super::provenance::Source;

/// Reads both directions of a stream of bytes: one protocol, or a stack of protocols.
pub(crate) trait Reader<O: Observer> {
    /// Reads the next bytes of a direction: all, or those before a handover.
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

    /// Ends both directions.
    fn finish(self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken;

    /// Bytes of both directions that the reader keeps until more come, beside those that a [`Budget`] of [`Tools`] counts.
    fn kept_bytes(&self) -> usize;

    /// The lowest offset of a direction whose location the reader or the observer may still ask for.
    fn keep_from(&self, direction: Direction, observer: &O) -> u64;
}

/// A handover: the connection continues in another protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handover {
    /// The protocol.
    pub protocol: Protocol,
    /// The offsets of the first bytes of each direction that belong to the new protocol. That of the bytes pushed is among
    /// them.
    pub begins: PerDirection<u64>,
    /// The bytes from there on that were pushed so far, if some were in earlier pushes.
    pub early: Option<Box<PerDirection<Vec<u8>>>>,
}

/// The properties of bodies that observers need beside their bytes.
#[derive(Debug, Default)]
pub(crate) struct BodyNeeds {
    /// Lengths in bytes of the bodies whose hash is needed. Other bodies are not hashed.
    pub hash_lengths: HashSet<u64>,
    /// Whether heads, and the text of bodies that are JSON or can be other text, are needed.
    pub json: bool,
}

impl BodyNeeds {
    /// Whether the hash of a body of this length is needed. `None` if the length is not known yet.
    pub(crate) fn hash(&self, length: Option<u64>) -> bool {
        match length {
            Some(length) => self.hash_lengths.contains(&length),
            None => !self.hash_lengths.is_empty(),
        }
    }
}

/// State that the readers of all connections share.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    /// Undoes content codings.
    pub decoder: Decoder,
    /// Undoes those of parts of bodies.
    pub part_decoder: Decoder,
    /// Decompresses WebSocket messages.
    pub inflater: Inflater,
    /// Bytes that the windows of all WebSocket connections keep.
    pub window_bytes: usize,
    /// What decoding may still give beyond what the lengths of coded bodies allow.
    pub free_decoded: FreeDecoded,
    /// Bytes that all unfinished bodies keep.
    pub body_bytes: Budget,
    /// Open messages of all HTTP/2 and HTTP/3 connections.
    pub http_messages: Budget,
    /// Connections inside of streams of all HTTP/2 connections.
    pub http2_tunnels: Budget,
    /// What the streams of all QUIC sessions keep, in bytes.
    pub quic_bytes: Budget,
    /// The work that carving has done so far.
    pub carve_budget: CarveBudget,
    pub needs: BodyNeeds,
}

/// The keys and buffers for decryption. Inside TLS there are none: a session within a session is not decrypted.
pub(crate) struct Decryption<'c> {
    pub keys: Option<&'c Arc<KeyLog>>,
    /// Buffers for the sessions of all connections.
    pub workspace: &'c mut Workspace,
}

/// The context of a reader while it reads bytes.
pub(crate) struct Context<'c, O: Observer> {
    /// Receives the facts.
    pub observer: &'c mut O,
    /// State that all connections share.
    pub tools: &'c mut Tools,
    /// Number of the TCP connection, as Wireshark's `tcp.stream`; `None` in a QUIC session.
    pub stream: Option<u32>,
    /// Whether the capture began while the connection was already open.
    pub is_midstream: bool,
    /// Keeps the unexplained bytes of the wire; `None` inside TLS.
    pub carvers: Option<&'c mut Option<Box<PerDirection<Carver>>>>,
    /// `None` inside TLS.
    pub decryption: Option<Decryption<'c>>,
    /// Whether the bytes are those of a stream of HTTP/2, in which no other HTTP/2 is read: such streams could be nested without
    /// end.
    pub is_within_stream: bool,
}

impl<O: Observer> Context<'_, O> {
    /// The context for the protocol inside TLS.
    pub(crate) fn within_tls(&mut self) -> Context<'_, O> {
        Context {
            observer: self.observer,
            tools: self.tools,
            stream: self.stream,
            is_midstream: false,
            carvers: None,
            decryption: None,
            is_within_stream: self.is_within_stream,
        }
    }

    /// The context for a protocol inside a stream of another one, whose offsets are not those of the connection.
    pub(crate) fn within_stream(&mut self) -> Context<'_, O> {
        Context { is_within_stream: true, ..self.within_tls() }
    }

    /// Reports bytes of a layer's input that no parser explains, and keeps those of the wire for carving.
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

    /// Reports a number of unexplained bytes, from an offset of a layer's input on.
    pub(crate) fn report(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: u64,
        why: Unexplained,
        source: &dyn Source,
    ) {
        let fact = unexplained_at(self.stream, direction, offset, bytes, why, source);
        self.observer.observe(&Fact::Unexplained(&fact));
    }

    /// Reports that a message begins. `minor_version`: that of HTTP/1.
    pub(crate) fn start_message(
        &mut self,
        visible_in: Option<u64>,
        minor_version: Option<u8>,
        start_line: &dyn fmt::Display,
        is_final_answer: bool,
    ) {
        if let Some(stream) = self.stream {
            let start = MessageStart { stream, visible_in, minor_version, start_line, is_final_answer };
            self.observer.observe(&Fact::MessageStart(&start));
        }
    }

    /// Reports the host that a request names in the clear.
    pub(crate) fn ask(&mut self, host: Option<&[u8]>) {
        if let (Some(stream), Some(host)) = (self.stream, host) {
            self.observer.observe(&Fact::Asked(stream, host));
        }
    }

    /// Keeps unexplained bytes of the wire for carving.
    pub(crate) fn keep_to_carve(&mut self, direction: Direction, offset: u64, bytes: &[u8]) {
        if let Some(carvers) = &mut self.carvers {
            carvers.get_or_insert_default()[direction].push(offset, bytes);
        }
    }
}

/// A number of unexplained bytes, from an offset of a layer's input on, in a TCP connection or else in a QUIC
/// session. A datagram of QUIC is unexplained as a whole, so those in it are not counted again.
pub(crate) fn unexplained_at(
    stream: Option<u32>,
    direction: Direction,
    offset: u64,
    bytes: u64,
    why: Unexplained,
    source: &dyn Source,
) -> UnexplainedFact {
    match stream {
        Some(stream) => {
            let offset = source.stream_offset(direction, offset);
            UnexplainedFact { at: At::Stream { stream, direction, offset }, bytes, why }
        }
        None => {
            let frame = source.frame_before(direction, offset + 1);
            UnexplainedFact { at: At::Frame { frame, stream: None }, bytes: 0, why }
        }
    }
}
