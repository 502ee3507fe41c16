//! Turns the HTTP/1 messages of one stream into facts.

use std::fmt;

use dissect::flow::{Direction, PerDirection};
use dissect::http1::{Connection, Desync, Event, Framing, Head};

use super::body::{Body, Carriage};
use super::detect::Protocol;
use super::fact::{Fact, HeadFact, MessageFact, MessageStart, Observer, Spoken, Unexplained};
use super::parts::Content;
use super::protocol::{Context, Handover, Reader};
use super::provenance::Source;

/// The name in decode chains.
const STEP: &str = "http1";

/// The name of chunked framing (RFC 9112 §7.1) in decode chains.
const CHUNKED: &str = "chunked";

/// Both directions of one HTTP/1 connection.
#[derive(Debug)]
pub(crate) struct Http1<O: Observer> {
    connection: Connection,
    reading: PerDirection<Reading<O>>,
}

#[derive(Debug)]
struct Reading<O: Observer> {
    /// Offset of the first byte that the parser has not received yet.
    next: u64,
    /// Offset at which the current message begins.
    message_start: u64,
    body: Option<Box<Body<O>>>,
}

impl<O: Observer> Default for Reading<O> {
    fn default() -> Self {
        Self { next: 0, message_start: 0, body: None }
    }
}

impl<O: Observer> Http1<O> {
    /// Starts at the beginning of a connection or, if the capture began `midstream`, at an unknown place; the framing
    /// is then unknown until a message begins.
    pub(crate) fn new(midstream: bool) -> Self {
        let mut connection = Connection::default();
        if midstream {
            Direction::BOTH.into_iter().for_each(|direction| connection.gap(direction, 1));
        }
        Self { connection, reading: PerDirection::from_fn(|_| Reading::default()) }
    }

    /// The protocol that the server switched to with 101 (RFC 9110 §7.8), if it is decoded here.
    fn upgraded_to(&self) -> Option<Protocol> {
        let head = self.connection.head(Direction::ServerToClient);
        let request = self.connection.head(Direction::ClientToServer);
        let protocol =
            Protocol::from_upgrade(&head.upgrade, &head.websocket_extensions, &request.http2_settings);
        protocol.filter(|_| head.status == 101)
    }

    fn head(&mut self, direction: Direction, source: &dyn Source, cx: &mut Context<'_, O>) {
        let head = self.connection.head(direction);
        let reading = &mut self.reading[direction];
        cx.observer.observe(&Fact::MessageStart(&MessageStart {
            stream: cx.stream,
            visible_in: source.visible_frame(direction, reading.message_start),
            minor_version: Some(head.minor_version),
            start_line: &StartLine(head),
            is_final_answer: head.status >= 200,
        }));
        let carriage = match head.framing {
            Framing::Chunked => Carriage::InPieces(CHUNKED),
            Framing::Length(length) => Carriage::AsIs(Some(length)),
            Framing::Empty => Carriage::AsIs(Some(0)),
            Framing::UntilClose => Carriage::AsIs(None),
        };
        if cx.tools.needs.json {
            let fields: Vec<_> = head.fields().collect();
            let range = reading.message_start..reading.next;
            cx.observer.observe(&Fact::Head(&HeadFact {
                location: source.locate(direction, range.clone()),
                target: &head.target,
                fields: &fields,
                is_in_one_frame: source.is_in_one_frame(direction, range),
                is_encoded: false,
                needs_secret: source.needs_secret(),
                chain: source.chain().then(STEP),
            }));
        }
        let content = Content::of(&head.content_type);
        let body = Body::new(reading.next, STEP, carriage, &head.codings, content, &cx.tools.needs);
        reading.body = Some(Box::new(body));
    }

    fn end(&mut self, direction: Direction, is_whole: bool, source: &dyn Source, cx: &mut Context<'_, O>) {
        let reading = &mut self.reading[direction];
        let (start, end) = (reading.message_start, reading.next);
        reading.message_start = end;
        let Some(body) = reading.body.take() else { return };
        let body = body.finish(direction, end, is_whole, source, cx);
        let body_is_empty = !body.is_encoded && body.len == 0;
        if let Some((why, bytes)) = &body.unread {
            cx.report(direction, body.start, *bytes, why.clone(), source);
        }
        let head = self.connection.head(direction);
        cx.observer.observe(&Fact::Message(&MessageFact {
            location: source.locate(direction, start..end),
            http2_stream: None,
            last_frame: source.frame_before(direction, end),
            method: &head.method,
            target: &head.target,
            status: head.status,
            content_type: &head.content_type,
            body_bytes: body.len,
            body_sha256: body.sha256,
            json: body.json.as_deref(),
            is_complete: is_whole && body.unread.is_none(),
            is_in_one_frame: source
                .is_in_one_frame(direction, if body_is_empty { start } else { body.start }..end),
            is_encoded: body.is_encoded,
            needs_secret: source.needs_secret(),
            chain: body.chain,
        }));
    }
}

impl<O: Observer> Reader<O> for Http1<O> {
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        let mut rest = bytes;
        self.reading[direction].next = offset;
        loop {
            let before = self.reading[direction].next;
            let step = self.connection.step(direction, rest);
            rest = rest.get(step.consumed..).unwrap_or_default();
            let reading = &mut self.reading[direction];
            reading.next += step.consumed as u64;
            match step.event {
                Event::NeedMore => {
                    // Between messages no offset has to be remembered; inside a header section its start does.
                    if reading.body.is_none() && self.connection.held_back(direction) == 0 {
                        reading.message_start = reading.next;
                    }
                    return None;
                }
                Event::Head => self.head(direction, source, cx),
                Event::Body { bytes, new_chunk } => {
                    let at = before + step.consumed as u64 - bytes.len() as u64;
                    if let Some(body) = &mut reading.body {
                        body.push(direction, at, bytes, new_chunk, source, cx);
                    }
                }
                Event::End { complete } => self.end(direction, complete, source, cx),
                Event::Opaque(bytes, why) => {
                    reading.body = None;
                    reading.message_start = reading.next;
                    let at = reading.next - bytes.len() as u64;
                    if let (Desync::Switched, Some(protocol)) = (why, self.upgraded_to()) {
                        return Some(Handover { protocol, offset: at });
                    }
                    cx.unexplained(direction, at, bytes, Unexplained::NotHttp(why), source);
                    if rest.is_empty() {
                        return None;
                    }
                }
            }
        }
    }

    fn gap(
        &mut self,
        direction: Direction,
        _offset: u64,
        len: u64,
        _source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        self.connection.gap(direction, len);
        let reading = &mut self.reading[direction];
        reading.next += len;
        if let Some(body) = &mut reading.body {
            body.gap(len, cx.observer);
        }
    }

    fn finish(mut self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken {
        for direction in Direction::BOTH {
            let held = self.connection.held_back(direction) as u64;
            if held > 0 {
                let at = self.reading[direction].next - held;
                cx.report(direction, at, held, Unexplained::Unfinished, source);
            }
            if let Some(Event::End { complete }) = self.connection.finish(direction) {
                self.end(direction, complete, source, cx);
            }
        }
        Spoken::Messages
    }

    fn keep_from(&self, direction: Direction, _observer: &O) -> u64 {
        self.reading[direction].message_start
    }
}

/// Returns method and target of a request, or status and reason of an answer.
struct StartLine<'a>(&'a Head);

impl fmt::Display for StartLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Head { method, target, status, reason, .. } = self.0;
        match status {
            0 => write!(f, "{method} {target}"),
            status if reason.is_empty() => write!(f, "{status}"),
            status => write!(f, "{status} {}", reason.trim_end()),
        }
    }
}
