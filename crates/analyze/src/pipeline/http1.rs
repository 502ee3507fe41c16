//! Turns the HTTP/1 messages of one stream into facts.

use std::fmt;

use dissect::flow::{Direction, PerDirection};
use dissect::http1::{Connection, Desync, Event, Framing, Head};

use super::body::{Body, Carriage};
use super::detect::Protocol;
use super::fact::{Fact, HeadFact, MessageFact, Observer, Spoken, Unexplained};
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
    /// The protocol that follows in both directions.
    switched_to: Option<Protocol>,
    /// No message was found yet, and no first bytes show that there is one.
    is_guess: bool,
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
        Self {
            connection,
            reading: PerDirection::from_fn(|_| Reading::default()),
            switched_to: None,
            is_guess: false,
        }
    }

    /// Starts at an unknown place of a connection of an unknown protocol: it is HTTP/1 once a message is found.
    pub(crate) fn guess() -> Self {
        Self { is_guess: true, ..Self::new(true) }
    }

    /// The protocol that a response switches to, if it is decoded here: with 101 the one that it names (RFC 9110 §7.8), with
    /// 2xx to CONNECT any (§9.3.6).
    fn switches_to(&self) -> Option<Protocol> {
        let head = self.connection.head(Direction::ServerToClient);
        let request = self.connection.head(Direction::ClientToServer);
        match head.status {
            101 => Protocol::from_upgrade(&head.upgrade, &head.websocket_extensions, &request.http2_settings),
            _ if self.connection.has_switched() => Some(Protocol::Tunnelled),
            _ => None,
        }
    }

    fn head(&mut self, direction: Direction, source: &dyn Source, cx: &mut Context<'_, O>) {
        self.is_guess = false;
        let head = self.connection.head(direction);
        let reading = &mut self.reading[direction];
        let visible_in = source.visible_frame(direction, reading.message_start);
        cx.start_message(visible_in, Some(head.minor_version), &StartLine(head), head.status >= 200);
        if direction == Direction::ClientToServer && !source.needs_secret() {
            let is_host = |(name, _): &(&[u8], &[u8])| name.eq_ignore_ascii_case(b"host");
            cx.ask(head.fields().find(is_host).map(|(_, host)| host));
        }
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
        let body = Body::new(reading.next, STEP, carriage, &head.codings, content, cx.tools);
        reading.body = Some(Box::new(body));
    }

    fn read(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        let mut rest = bytes;
        let begin = self.reading[direction].next;
        loop {
            let step = self.connection.step(direction, rest);
            rest = rest.get(step.consumed..).unwrap_or_default();
            let reading = &mut self.reading[direction];
            reading.next += step.consumed as u64;
            match step.event {
                Event::NeedMore => {
                    // Between messages no offset has to be remembered; inside a header section its start does.
                    if reading.body.is_none() {
                        reading.message_start =
                            reading.next.saturating_sub(self.connection.held_back(direction) as u64);
                    }
                    return None;
                }
                Event::Head => self.head(direction, source, cx),
                Event::Body { bytes, new_chunk } => {
                    if let Some(body) = &mut reading.body {
                        let at = reading.next.saturating_sub(step.held_back as u64 + bytes.len() as u64);
                        body.push(direction, at, bytes, new_chunk, source, cx);
                    }
                }
                Event::End { complete } => self.end(direction, complete, source, cx),
                Event::Opaque(bytes, why) => {
                    reading.message_start = reading.next.saturating_sub(step.held_back as u64);
                    let at = reading.message_start.saturating_sub(bytes.len() as u64);
                    // Bytes from before the switch are none of the other protocol's.
                    if why == Desync::Switched
                        && at >= begin
                        && let Some(protocol) = self.switched_to
                    {
                        let begins = PerDirection::from_fn(|of| match of == direction {
                            true => at,
                            false => self.reading[of].next,
                        });
                        // From here on, the connection counts as one of the protocol inside of the tunnel.
                        if protocol == Protocol::Tunnelled {
                            cx.report(direction, 0, at.max(1), Unexplained::Tunnelled, source);
                        }
                        return Some(Handover { protocol, begins, early: None });
                    }
                    let why =
                        if self.is_guess { Unexplained::UnknownProtocol } else { Unexplained::NotHttp(why) };
                    cx.unexplained(direction, at, bytes, why, source);
                }
            }
        }
    }

    fn end(&mut self, direction: Direction, is_whole: bool, source: &dyn Source, cx: &mut Context<'_, O>) {
        let reading = &mut self.reading[direction];
        let (start, end) =
            (reading.message_start, reading.next.saturating_sub(self.connection.held_back(direction) as u64));
        reading.message_start = end;
        let Some(body) = reading.body.take() else { return };
        if direction == Direction::ServerToClient && self.connection.has_switched() {
            self.switched_to = self.switches_to();
        }
        let body = body.finish(direction, end, is_whole, source, cx);
        let body_is_empty = !body.is_encoded && body.len == 0;
        if let Some((why, bytes)) = &body.unread {
            cx.report(direction, body.start, *bytes, why.clone(), source);
        }
        let head = self.connection.head(direction);
        for deviation in head.lenience.iter() {
            cx.report(direction, start, head.len as u64, Unexplained::LenientHttp(deviation), source);
        }
        if head.answers_head {
            cx.report(direction, start, head.len as u64, Unexplained::UnseenRequest, source);
        }
        cx.observer.observe(&Fact::Message(&MessageFact {
            location: source.locate(direction, start..end),
            http_stream: source.http_stream(),
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
        let reading = &mut self.reading[direction];
        reading.next = offset;
        // The first message begins where the stream does, which may be behind another protocol.
        if reading.body.is_none() && self.connection.held_back(direction) == 0 {
            reading.message_start = offset;
        }
        self.read(direction, bytes, source, cx)
    }

    fn gap(
        &mut self,
        direction: Direction,
        offset: u64,
        len: u64,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        self.reading[direction].next = offset;
        self.connection.gap(direction, len);
        // What the gap ended, it ended before its first byte.
        self.read(direction, &[], source, cx);
        let reading = &mut self.reading[direction];
        reading.next += len;
        match &mut reading.body {
            Some(body) => body.gap(len, cx.observer),
            None => reading.message_start = reading.next,
        }
    }

    fn finish(mut self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken {
        for direction in Direction::BOTH {
            let held = self.connection.held_back(direction) as u64;
            if held > 0 {
                let at = self.reading[direction].next - held;
                let why = match self.is_guess {
                    true => Unexplained::UnknownProtocol,
                    false => Unexplained::Unfinished,
                };
                cx.report(direction, at, held, why, source);
            }
            if let Some(Event::End { complete }) = self.connection.finish(direction) {
                self.end(direction, complete, source, cx);
            }
        }
        if self.is_guess { Spoken::Unknown } else { Spoken::Messages }
    }

    fn kept_bytes(&self) -> usize {
        self.connection.kept_bytes()
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
