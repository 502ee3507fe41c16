//! The stack of protocols in one stream.
//!
//! A [`Stack`] reads both directions of a stream of bytes. It knows their origin only as a [`Source`], so TLS hands its
//! plaintext to a stack of the same kind. To add a protocol, add a module, a variant of [`Layer`] and its arms here.

use std::ops::Range;

use dissect::flow::{Direction, PerDirection};

use super::detect::{Detector, Protocol};
use super::dns::Dns;
use super::fact::{Observer, Spoken, Unexplained};
use super::http1::Http1;
use super::http2::Http2;
use super::preamble::Preamble;
use super::protocol::{Context, Handover, Reader};
use super::provenance::Source;
use super::tls::Tls;
use super::websocket::WebSocket;

/// Both directions of one stream.
#[derive(Debug)]
pub(crate) struct Stack<O: Observer> {
    layer: Layer<O>,
}

#[derive(Debug)]
enum Layer<O: Observer> {
    /// `None` until the first bytes come: many TLS connections carry no application data.
    Detecting(Option<Box<Detector>>),
    Http1(Box<Http1<O>>),
    Http2(Box<Http2<O, Stack<O>>>),
    WebSocket(Box<WebSocket<O>>),
    Dns(Box<Dns>),
    Preamble(Box<Preamble>),
    Tls(Box<Tls<O, Stack<O>>>),
    /// A protocol that is not decoded here, or what was read before the rest was given up.
    Opaque(Spoken),
}

impl<O: Observer> Layer<O> {
    /// `begins`: the stream offsets at which the protocol begins.
    fn new(protocol: Protocol, begins: PerDirection<u64>, cx: &Context<'_, O>) -> Self {
        match (protocol, &cx.decryption) {
            (Protocol::Http2 | Protocol::Http2Upgraded(_) | Protocol::Http2Within, _)
                if cx.is_within_stream =>
            {
                Self::Opaque(Spoken::Unknown)
            }
            (Protocol::Http1, _) => Self::Http1(Box::new(Http1::new(cx.is_midstream))),
            (Protocol::Http2, _) => Self::Http2(Box::new(Http2::new(false))),
            (Protocol::Http2Upgraded(max_frame), _) => Self::Http2(Box::new(Http2::upgraded(max_frame))),
            (Protocol::Http2Within, _) => Self::Http2(Box::new(Http2::new(true))),
            (Protocol::Dns, _) => Self::Dns(Box::default()),
            (Protocol::Preamble(kind), _) => Self::Preamble(Box::new(Preamble::new(kind, begins))),
            (Protocol::WebSocket(extensions), _) => Self::WebSocket(Box::new(WebSocket::new(extensions))),
            (Protocol::Tls, Some(decryption)) => {
                Self::Tls(Box::new(Tls::new(decryption.keys, begins, Stack::default())))
            }
            (Protocol::Tunnelled, _) => Self::Detecting(Some(Box::new(Detector::behind(begins)))),
            // A TLS session inside a TLS session is not decrypted.
            (Protocol::Tls, None) | (Protocol::Unknown, _) => Self::Opaque(Spoken::Unknown),
        }
    }
}

impl<O: Observer> Default for Stack<O> {
    fn default() -> Self {
        Self { layer: Layer::Detecting(None) }
    }
}

impl<O: Observer> Stack<O> {
    /// Continues with a protocol that reads all bytes so far.
    fn become_protocol(
        &mut self,
        protocol: Protocol,
        detector: Detector,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        self.layer = match protocol {
            Protocol::Unknown if detector.is_joined() => Layer::Http1(Box::new(Http1::guess())),
            protocol => Layer::new(protocol, detector.begins(), cx),
        };
        // Bytes of a server of HTTP/2 are held until the client speaks. They came before.
        let server_is_first = matches!(protocol, Protocol::Http2);
        let mut held: Vec<_> = detector.into_held().into_iter().collect();
        held.sort_by_key(|(direction, _)| (*direction == Direction::ServerToClient) != server_is_first);
        for (direction, held) in held {
            if !held.bytes.is_empty() {
                self.push(direction, held.offset, &held.bytes, source, cx);
            }
        }
    }

    /// Ends all protocols, as the end of the capture does. What follows is unexplained.
    pub(crate) fn give_up(&mut self, source: &dyn Source, cx: &mut Context<'_, O>) {
        let layer = std::mem::replace(&mut self.layer, Layer::Opaque(Spoken::Unknown));
        self.layer = Layer::Opaque(Self { layer }.finish(source, cx));
    }

    /// Whether a TLS record of a direction has authenticated, so that the next bytes may belong to another one.
    pub(crate) fn is_protected(&self, direction: Direction) -> bool {
        matches!(&self.layer, Layer::Tls(tls) if tls.is_protected(direction))
    }

    /// Takes the ranges of a direction that authenticated since the last call. Behind the end of the last one, bytes are
    /// undecided.
    pub(crate) fn decided(&mut self, direction: Direction) -> impl Iterator<Item = Range<u64>> {
        let tls = match &mut self.layer {
            Layer::Tls(tls) => Some(tls),
            _ => None,
        };
        tls.and_then(|tls| tls.decided(direction)).into_iter().flatten()
    }
}

impl<O: Observer> Reader<O> for Stack<O> {
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        let handover = match &mut self.layer {
            Layer::Http1(http) => http.push(direction, offset, bytes, source, cx),
            Layer::Http2(http) => http.push(direction, offset, bytes, source, cx),
            Layer::WebSocket(websocket) => websocket.push(direction, offset, bytes, source, cx),
            Layer::Dns(dns) => dns.push(direction, offset, bytes, source, cx),
            Layer::Preamble(preamble) => preamble.push(direction, offset, bytes, source, cx),
            Layer::Tls(tls) => tls.push(direction, offset, bytes, source, cx),
            Layer::Opaque(_) => {
                cx.unexplained(direction, offset, bytes, Unexplained::UnknownProtocol, source);
                None
            }
            Layer::Detecting(detector) => {
                let detector = detector.get_or_insert_default();
                if let Some(protocol) = detector.push(direction, offset, bytes, cx.is_midstream) {
                    let detector = std::mem::take(&mut **detector);
                    self.become_protocol(protocol, detector, source, cx);
                }
                None
            }
        };
        if let Some(Handover { protocol, begins, early }) = handover {
            let from = begins[direction];
            self.layer = Layer::new(protocol, begins, cx);
            if let Some(early) = early {
                for way in Direction::BOTH.into_iter().filter(|way| !early[*way].is_empty()) {
                    self.push(way, begins[way], &early[way], source, cx);
                }
                return None;
            }
            let rest = bytes.get((from - offset) as usize..).unwrap_or_default();
            self.push(direction, from, rest, source, cx);
        }
        None
    }

    fn gap(
        &mut self,
        direction: Direction,
        offset: u64,
        len: u64,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        match &mut self.layer {
            Layer::WebSocket(websocket) => websocket.gap(direction, offset, len, source, cx),
            Layer::Http1(http) => http.gap(direction, offset, len, source, cx),
            Layer::Http2(http) => http.gap(direction, offset, len, source, cx),
            Layer::Dns(dns) => dns.gap(direction, offset, len, source, cx),
            Layer::Preamble(preamble) => preamble.gap(direction, offset, len, source, cx),
            Layer::Tls(tls) => tls.gap(direction, offset, len, source, cx),
            Layer::Detecting(detector) => detector.get_or_insert_default().gap(),
            Layer::Opaque(_) => {}
        }
    }

    fn finish(mut self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken {
        if let Layer::Detecting(Some(detector)) = &mut self.layer
            && let Some(protocol) = detector.at_end().or(detector.is_joined().then_some(Protocol::Unknown))
        {
            let detector = std::mem::take(&mut **detector);
            self.become_protocol(protocol, detector, source, cx);
        }
        match self.layer {
            Layer::Http1(http) => http.finish(source, cx),
            Layer::Http2(http) => http.finish(source, cx),
            Layer::WebSocket(websocket) => websocket.finish(source, cx),
            Layer::Dns(dns) => dns.finish(source, cx),
            Layer::Preamble(preamble) => preamble.finish(source, cx),
            Layer::Tls(tls) => tls.finish(source, cx),
            Layer::Detecting(detector) => {
                for (direction, held) in detector.map(|detector| detector.into_held()).into_iter().flatten() {
                    cx.unexplained(direction, held.offset, &held.bytes, Unexplained::UnknownProtocol, source);
                }
                Spoken::Unknown
            }
            Layer::Opaque(spoken) => spoken,
        }
    }

    fn kept_bytes(&self) -> usize {
        match &self.layer {
            Layer::Http1(http) => http.kept_bytes(),
            Layer::Http2(http) => http.kept_bytes(),
            Layer::WebSocket(websocket) => websocket.kept_bytes(),
            Layer::Dns(dns) => Reader::<O>::kept_bytes(&**dns),
            Layer::Preamble(preamble) => Reader::<O>::kept_bytes(&**preamble),
            Layer::Tls(tls) => tls.kept_bytes(),
            Layer::Detecting(detector) => detector.as_ref().map_or(0, |detector| detector.kept_bytes()),
            Layer::Opaque(_) => 0,
        }
    }

    fn keep_from(&self, direction: Direction, observer: &O) -> u64 {
        match &self.layer {
            Layer::Http1(http) => http.keep_from(direction, observer),
            Layer::Http2(http) => http.keep_from(direction, observer),
            Layer::WebSocket(websocket) => websocket.keep_from(direction, observer),
            Layer::Dns(dns) => dns.keep_from(direction, observer),
            Layer::Preamble(preamble) => preamble.keep_from(direction, observer),
            Layer::Tls(tls) => tls.keep_from(direction, observer),
            Layer::Detecting(detector) => {
                detector.as_ref().and_then(|detector| detector.keep_from(direction)).unwrap_or(u64::MAX)
            }
            Layer::Opaque(_) => u64::MAX,
        }
    }
}
