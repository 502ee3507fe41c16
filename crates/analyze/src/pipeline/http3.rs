//! Turns the HTTP/3 messages of one QUIC session into facts.
//!
//! ```text
//!   bytes of a QUIC stream ──> http3::Connection ──> heads, bodies ──> Body, facts
//!          │
//!          └> searched as one sequence; what one packet carries was searched with the packet
//! ```
//!
//! Only the key log shows the streams, so that reading any of this needs a secret. The datagrams that carry them are
//! unexplained as a whole, whatever is read here.

use std::collections::BTreeMap;
use std::ops::Range;

use dissect::coding::Coding;
use dissect::flow::{Direction, PerDirection};
use dissect::http2::hpack::Origin as FieldOrigin;
use dissect::http3::{Connection, Event, Head, Kind};
use dissect::quic::StreamEvent;
use dissect::tcp::Origin;

use super::body::{Body, Carriage};
use super::budget::Share;
use super::fact::{Bytes, Fact, HeadFact, MessageFact, Observer, Sequence, Unexplained};
use super::http_fields::{known, short_value, target, value};
use super::parts::Content;
use super::protocol::Context;
use super::provenance::{
    DecodeChain, DirectionFrames, FrameMap, HttpStream, Location, Provenance, Source, Whole,
};

/// Bytes that the streams of all QUIC sessions keep together: what waits for missing bytes or for entries of a table,
/// the state of streams, and where their bytes are. A session of a browser keeps some hundred kilobytes. The one that
/// exceeds it is not read any longer.
pub(crate) const MAX_KEPT_TOTAL: usize = 32 << 20;

/// What a stream counts beside its places: its state here and in the layer below, and the observer's memory of it.
const STREAM_SIZE: usize = 1024;

/// The name of QUIC in decode chains.
pub(super) const QUIC: &str = "quic";

/// The name of HTTP/3 in decode chains.
const HTTP3: &str = "http3";

/// The name of joining a body from its DATA frames (RFC 9114 §7.2.1) in decode chains.
const FRAMES: &str = "frames";

/// The name of header compression (RFC 9204) in decode chains.
const QPACK: &str = "qpack";

/// Whether an application protocol (RFC 7301) is HTTP/3, or a draft of it.
pub(crate) fn is_http3(alpn: &str) -> bool {
    alpn == "h3" || alpn.starts_with("h3-")
}

/// The HTTP/3 connection in one QUIC session.
#[derive(Debug)]
pub(crate) struct Http3<O: Observer> {
    session: u32,
    connection: Connection,
    sides: PerDirection<Side<O>>,
}

#[derive(Debug)]
struct Side<O: Observer> {
    streams: BTreeMap<u64, Stream<O>>,
    /// What the places of all streams take, in bytes.
    places: usize,
}

impl<O: Observer> Default for Side<O> {
    fn default() -> Self {
        Self { streams: BTreeMap::new(), places: 0 }
    }
}

/// One direction of a stream.
#[derive(Debug)]
struct Stream<O: Observer> {
    /// Offset of the next byte.
    next: u64,
    frames: FrameMap,
    /// The observer's memory of its bytes.
    memory: O::Memory,
    message: Option<Message<O>>,
    /// Whether nothing follows.
    has_ended: bool,
}

impl<O: Observer> Default for Stream<O> {
    fn default() -> Self {
        Self {
            next: 0,
            frames: FrameMap::default(),
            memory: O::Memory::default(),
            message: None,
            has_ended: false,
        }
    }
}

/// A message that has begun and not ended.
#[derive(Debug)]
struct Message<O: Observer> {
    /// Offset of its head.
    start: u64,
    method: String,
    target: String,
    status: u16,
    content_type: String,
    content: Content,
    codings: Vec<Coding>,
    body: Option<Box<Body<O>>>,
    /// Offsets of the first byte of the body, and of the byte behind its last one.
    body_range: Range<u64>,
    has_gap: bool,
    /// Its part of the open messages of all connections.
    _share: Share,
}

impl<O: Observer> Http3<O> {
    /// Of the session with this number.
    pub(crate) fn new(session: u32) -> Self {
        Self { session, connection: Connection::default(), sides: PerDirection::from_fn(|_| Side::default()) }
    }

    /// Reads what came in a stream.
    pub(crate) fn push(
        &mut self,
        direction: Direction,
        number: u64,
        event: StreamEvent<'_>,
        cx: &mut Context<'_, O>,
    ) {
        let Self { session, connection, sides } = self;
        let side = &mut sides[direction];
        let of = Of { direction, session: *session };
        match event {
            StreamEvent::Data { bytes, place } => {
                side.search(
                    number,
                    bytes,
                    Origin { frame: place.frame, file_offset: place.file_offset },
                    of,
                    cx,
                );
                connection.push(direction, number, bytes, false, |event| side.read(&event, of, cx));
            }
            StreamEvent::Gap(len) => {
                let stream = side.streams.entry(number).or_default();
                stream.next += len;
                cx.observer.gap(&mut stream.memory, len);
                connection.gap(direction, number, len, |event| side.read(&event, of, cx));
            }
            StreamEvent::End => {
                side.streams.entry(number).or_default().has_ended = true;
                connection.push(direction, number, &[], true, |event| side.read(&event, of, cx));
            }
            StreamEvent::Reset => {
                side.streams.entry(number).or_default().has_ended = true;
                connection.reset(direction, number, |event| side.read(&event, of, cx));
            }
        }
        side.forget(number, connection.pending_from(direction, number), cx.observer);
    }

    /// Ends the session: what is unfinished is incomplete.
    pub(crate) fn finish(mut self, cx: &mut Context<'_, O>) {
        for direction in Direction::BOTH {
            let side = &mut self.sides[direction];
            let of = Of { direction, session: self.session };
            self.connection.finish(direction, |event| side.read(&event, of, cx));
        }
    }

    /// Bytes of memory that are kept, beside bodies.
    pub(crate) fn kept(&self) -> usize {
        let sides = self.sides.values().map(|side| side.places + side.streams.len() * STREAM_SIZE);
        self.connection.kept() + sides.sum::<usize>()
    }

    /// Whether something was left out because of a bound.
    pub(crate) fn has_left_out(&self) -> bool {
        self.connection.has_left_out()
    }
}

/// What is read: a direction of a session.
#[derive(Clone, Copy)]
struct Of {
    direction: Direction,
    session: u32,
}

impl<O: Observer> Side<O> {
    /// Searches the next bytes of a stream, and remembers where they are.
    fn search(&mut self, number: u64, bytes: &[u8], origin: Origin, of: Of, cx: &mut Context<'_, O>) {
        let stream = self.streams.entry(number).or_default();
        let before = stream.frames.kept();
        stream.frames.add(stream.next, bytes.len(), origin);
        self.places = (self.places + stream.frames.kept()).saturating_sub(before);
        stream.next += bytes.len() as u64;
        let chain = DecodeChain::default().then(QUIC);
        let bytes = Bytes { bytes, sequence: Sequence::Decrypted, chain, needs_secret: true };
        let packets = Packets(DirectionFrames::in_quic(of.direction, &stream.frames));
        cx.observer.bytes(&mut stream.memory, &bytes, &packets);
    }

    /// Forgets what nothing refers to any longer. `pending`: the first offset that is still to be read, if there is
    /// one.
    fn forget(&mut self, number: u64, pending: Option<u64>, observer: &O) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if stream.has_ended && pending.is_none() {
            return self.remove(number);
        }
        let message = stream.message.as_ref().map(|message| message.start);
        let keep = observer.keep_from(&stream.memory);
        let before = stream.frames.kept();
        stream.frames.forget_before([message, pending].into_iter().flatten().fold(keep, u64::min));
        self.places = (self.places + stream.frames.kept()).saturating_sub(before);
    }

    fn remove(&mut self, number: u64) {
        if let Some(stream) = self.streams.remove(&number) {
            self.places = self.places.saturating_sub(stream.frames.kept());
        }
    }

    fn read(&mut self, event: &Event<'_>, of: Of, cx: &mut Context<'_, O>) {
        let (Event::Head(Head { stream: number, .. })
        | Event::Data { stream: number, .. }
        | Event::Gap { stream: number, .. }
        | Event::End { stream: number, .. }
        | Event::Inserted { stream: number, .. }) = event
        else {
            return;
        };
        let Some(Stream { frames, message, has_ended, .. }) = self.streams.get_mut(number) else { return };
        let source = StreamSource(frames);
        let stream = HttpStream::Http3 { session: of.session, stream: *number };
        match event {
            Event::Head(head) => {
                report_head(head, of.direction, &source, cx);
                let end = head.range.end;
                match head.kind {
                    Kind::Request | Kind::Response => {
                        let begun = Message::of(head, cx);
                        if let Some(headless) = message.replace(begun) {
                            headless.finish(stream, of.direction, head.range.start, false, &source, cx);
                        }
                    }
                    Kind::Interim => {
                        Message::of(head, cx).finish(stream, of.direction, end, true, &source, cx);
                    }
                    Kind::Promise | Kind::Trailers => {}
                }
            }
            Event::Data { offset, bytes, .. } => {
                let message = message.get_or_insert_with(|| Message::headless(*offset, cx));
                message.push(stream, of.direction, *offset, bytes, &source, cx);
            }
            Event::Gap { len, .. } => {
                if let Some(message) = message {
                    message.gap(stream, *len, cx);
                }
            }
            Event::End { offset, is_complete, .. } => {
                if let Some(message) = message.take() {
                    message.finish(stream, of.direction, *offset, *is_complete, &source, cx);
                }
                if *has_ended {
                    self.remove(*number);
                }
            }
            Event::Inserted { range, bytes, is_coded: true, .. } => {
                search_field(bytes, range.clone(), of.direction, &source, cx);
            }
            _ => {}
        }
    }
}

impl<O: Observer> Message<O> {
    /// A message without head.
    fn headless(start: u64, cx: &Context<'_, O>) -> Self {
        Self {
            start,
            method: String::new(),
            target: String::new(),
            status: 0,
            content_type: String::new(),
            content: Content::Other,
            codings: Vec::new(),
            body: None,
            body_range: start..start,
            has_gap: true,
            _share: cx.tools.http_messages.share(1),
        }
    }

    fn of(head: &Head, cx: &Context<'_, O>) -> Self {
        let text = |name| short_value(&head.fields, name).unwrap_or_default().into_owned();
        let content_type = text("content-type");
        Self {
            method: text(":method"),
            target: if head.kind == Kind::Request {
                target(&head.fields).into_owned()
            } else {
                String::new()
            },
            status: head.status(),
            content: Content::of(&content_type).with_encoding(value(&head.fields, "grpc-encoding")),
            content_type,
            codings: head.codings(),
            body_range: head.range.end..head.range.end,
            has_gap: false,
            ..Self::headless(head.range.start, cx)
        }
    }

    /// Its body, whose first byte is at this offset.
    fn body(&mut self, stream: HttpStream, offset: u64, cx: &Context<'_, O>) -> &mut Body<O> {
        let Self { body, body_range, codings, content, .. } = self;
        body.get_or_insert_with(|| {
            *body_range = offset..offset;
            let carriage = Carriage::InPieces(FRAMES);
            let body = Body::new(offset, HTTP3, carriage, codings, *content, cx.tools);
            Box::new(body.of_http_stream(stream))
        })
    }

    fn push(
        &mut self,
        stream: HttpStream,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        let is_new_piece = self.body.is_none() || offset != self.body_range.end;
        self.body(stream, offset, cx).push(direction, offset, bytes, is_new_piece, source, cx);
        self.body_range.end = offset + bytes.len() as u64;
    }

    fn gap(&mut self, stream: HttpStream, len: u64, cx: &mut Context<'_, O>) {
        self.has_gap = true;
        let at = self.body_range.end;
        self.body(stream, at, cx).gap(len, cx.observer);
    }

    fn finish(
        mut self,
        stream: HttpStream,
        direction: Direction,
        end: u64,
        is_complete: bool,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        let is_whole = is_complete && !self.has_gap;
        let body = self.body.take().unwrap_or_else(|| {
            let empty = Carriage::AsIs(Some(0));
            Box::new(Body::new(self.body_range.start, HTTP3, empty, &[], self.content, cx.tools))
        });
        let body = body.finish(direction, self.body_range.end, is_whole, source, cx);
        if let Some((why, bytes)) = &body.unread {
            cx.report(direction, body.start, *bytes, why.clone(), source);
        }
        cx.observer.observe(&Fact::Message(&MessageFact {
            location: source.locate(direction, self.start..end),
            http_stream: Some(stream),
            last_frame: source.frame_before(direction, end),
            method: &self.method,
            target: &self.target,
            status: self.status,
            content_type: &self.content_type,
            body_bytes: body.len,
            body_sha256: body.sha256,
            json: body.json.as_deref(),
            is_complete: is_whole && body.unread.is_none(),
            is_in_one_frame: false,
            is_encoded: body.is_encoded,
            needs_secret: source.needs_secret(),
            chain: body.chain,
        }));
    }
}

/// Reports the known fields of a header block, and searches those that the stream has in another form.
fn report_head<O: Observer>(head: &Head, direction: Direction, source: &dyn Source, cx: &mut Context<'_, O>) {
    let len = head.range.end - head.range.start;
    if let Some(why) = head.error {
        cx.report(direction, head.range.start, len, Unexplained::Http3HeaderBlock(why), source);
    }
    if head.left_out > 0 {
        cx.report(direction, head.range.start, len, Unexplained::HeaderFields, source);
    }
    for part in head.fields.iter().flat_map(|field| [&field.name, &field.value]) {
        if part.origin == FieldOrigin::Huffman && !part.bytes().is_empty() {
            search_field(part.bytes(), head.range.clone(), direction, source, cx);
        }
    }
    if !cx.tools.needs.json {
        return;
    }
    let is_request = matches!(head.kind, Kind::Request | Kind::Promise);
    cx.observer.observe(&Fact::Head(&HeadFact {
        location: source.locate(direction, head.range.clone()),
        target: &if is_request { target(&head.fields) } else { "".into() },
        fields: &known(&head.fields),
        is_in_one_frame: false,
        is_encoded: true,
        needs_secret: source.needs_secret(),
        chain: source.chain().then(HTTP3).then(QPACK),
    }));
}

/// Searches a name or value that a range of the stream has Huffman-coded.
fn search_field<O: Observer>(
    bytes: &[u8],
    range: Range<u64>,
    direction: Direction,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) {
    let chain = source.chain().then(HTTP3).then(QPACK);
    let bytes = Bytes { bytes, sequence: Sequence::Decoded, chain, needs_secret: source.needs_secret() };
    cx.observer.bytes(&mut O::Memory::default(), &bytes, &Whole { source, direction, range });
}

/// Where the bytes of a stream come from, for the search in them: what one packet carries was found there.
struct Packets<'a>(DirectionFrames<'a>);

impl Provenance for Packets<'_> {
    fn locate(&self, range: Range<u64>) -> Location {
        self.0.locate(range)
    }

    fn is_below(&self, range: Range<u64>) -> bool {
        self.0.is_in_one_frame(range)
    }
}

/// Where the bytes of one direction of a stream come from.
struct StreamSource<'a>(&'a FrameMap);

impl Source for StreamSource<'_> {
    fn locate(&self, direction: Direction, range: Range<u64>) -> Location {
        DirectionFrames::in_quic(direction, self.0).locate(range)
    }

    fn stream_offset(&self, _direction: Direction, offset: u64) -> u64 {
        offset
    }

    fn visible_frame(&self, _direction: Direction, _offset: u64) -> Option<u64> {
        None
    }

    fn frame_before(&self, _direction: Direction, end: u64) -> u64 {
        self.0.frame_before(end)
    }

    fn is_in_one_frame(&self, _direction: Direction, _range: Range<u64>) -> bool {
        false
    }

    fn chain(&self) -> DecodeChain {
        DecodeChain::default().then(QUIC)
    }

    fn needs_secret(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use dissect::quic::Place;

    use super::*;
    use crate::pipeline::fact::FactObserver;
    use crate::pipeline::protocol::{BodyNeeds, Tools};

    const CLIENT: Direction = Direction::ClientToServer;
    const SERVER: Direction = Direction::ServerToClient;

    /// POST, https; a body of five bytes.
    const REQUEST: &[u8] = b"\x01\x04\0\0\xd4\xd7\0\x05hello";

    /// 103, then 200, a body in two frames, and trailers.
    const ANSWER: &[u8] =
        b"\x01\x08\0\0\x5f\x09\x03103\x01\x03\0\0\xd9\0\x04he, \0\x02ho\x01\x0a\0\0\x23abc\x03yes";

    /// The messages, and how many heads there were.
    #[derive(Debug, Default)]
    struct Seen {
        messages: Vec<(String, Vec<u64>, u64, bool)>,
        places: Vec<Location>,
        heads: usize,
        unread: Vec<String>,
    }

    impl FactObserver for Seen {
        fn observe(&mut self, fact: &Fact<'_>) {
            match fact {
                Fact::Message(message) => {
                    assert!(message.needs_secret && message.location.stream.is_none());
                    let stream = message.http_stream;
                    assert!(matches!(stream, Some(HttpStream::Http3 { session: 7, .. })), "{stream:?}");
                    let name = format!("{}{}", message.method, message.status);
                    let frames = message.location.frames.clone();
                    self.messages.push((name, frames, message.body_bytes, message.is_complete));
                    self.places.push(message.location.clone());
                }
                Fact::Head(_) => self.heads += 1,
                Fact::Unexplained(fact) => {
                    assert_eq!(fact.bytes, 0, "the datagram is counted");
                    self.unread.push(fact.why.to_string());
                }
                _ => {}
            }
        }
    }

    struct Session {
        http3: Http3<Seen>,
        observer: Seen,
        tools: Tools,
        frame: u64,
    }

    fn context<'c>(observer: &'c mut Seen, tools: &'c mut Tools) -> Context<'c, Seen> {
        Context {
            observer,
            tools,
            stream: None,
            is_midstream: false,
            carvers: None,
            decryption: None,
            is_within_stream: false,
        }
    }

    impl Session {
        fn new() -> Self {
            let needs = BodyNeeds { json: true, ..BodyNeeds::default() };
            let tools = Tools { needs, ..Tools::default() };
            Self { http3: Http3::new(7), observer: Seen::default(), tools, frame: 0 }
        }

        fn event(&mut self, direction: Direction, stream: u64, event: StreamEvent<'_>) {
            self.http3.push(direction, stream, event, &mut context(&mut self.observer, &mut self.tools));
        }

        /// Bytes in the next frame, whose offset in the file is ten thousand times its number.
        fn bytes(&mut self, direction: Direction, stream: u64, bytes: &[u8]) {
            self.frame += 1;
            let place = Place { frame: self.frame, file_offset: self.frame * 10_000 };
            self.event(direction, stream, StreamEvent::Data { bytes, place });
        }

        fn finish(mut self) -> Seen {
            self.http3.finish(&mut context(&mut self.observer, &mut self.tools));
            assert_eq!(self.tools.http_messages.total(), 0);
            self.observer
        }
    }

    fn message(name: &str, frames: &[u64], body: u64, is_complete: bool) -> (String, Vec<u64>, u64, bool) {
        (name.to_owned(), frames.to_vec(), body, is_complete)
    }

    #[test]
    fn messages_are_where_their_bytes_are() {
        let mut session = Session::new();
        session.bytes(CLIENT, 0, &REQUEST[..9]);
        session.bytes(CLIENT, 4, REQUEST);
        session.bytes(CLIENT, 0, &REQUEST[9..]);
        session.event(CLIENT, 0, StreamEvent::End);
        session.bytes(SERVER, 0, ANSWER);
        session.event(SERVER, 0, StreamEvent::End);
        assert_eq!(session.http3.sides[SERVER].streams.len(), 0);
        let seen = session.finish();
        let expected = [
            message("POST0", &[1, 3], 5, true),
            message("103", &[4], 0, true),
            message("200", &[4], 6, true),
            message("POST0", &[2], 5, false),
        ];
        assert_eq!(seen.messages, expected);
        assert_eq!((seen.heads, seen.unread.len()), (5, 0));
        let place = |index: usize| (seen.places[index].file_offset, seen.places[index].wire_len);
        assert_eq!((place(0), place(1), place(2)), ((10_000, 13), (40_000, 10), (40_010, 27)));
        assert_eq!(seen.places[0].direction, Some(CLIENT));
    }

    #[test]
    fn missing_bytes_of_a_body_are_counted() {
        let mut session = Session::new();
        session.bytes(CLIENT, 0, &REQUEST[..9]);
        session.event(CLIENT, 0, StreamEvent::Gap(2));
        session.bytes(CLIENT, 0, &REQUEST[11..]);
        session.event(CLIENT, 0, StreamEvent::End);
        session.bytes(CLIENT, 4, &REQUEST[..10]);
        session.event(CLIENT, 4, StreamEvent::Reset);
        session.event(CLIENT, 8, StreamEvent::Gap(3));
        session.bytes(CLIENT, 8, REQUEST);
        let seen = session.finish();
        assert_eq!(seen.messages, [message("POST0", &[1, 2], 5, false), message("POST0", &[3], 2, false)]);
    }

    /// Without settings, no head can refer to the dynamic table.
    #[test]
    fn heads_that_are_not_read_are_said() {
        let mut session = Session::new();
        session.bytes(CLIENT, 0, b"\x01\x04\x02\0\xd1\x80\0\x02hi");
        session.event(CLIENT, 0, StreamEvent::End);
        let seen = session.finish();
        assert_eq!(seen.messages, [message("0", &[1], 2, true)]);
        assert_eq!(seen.unread.len(), 1);
        assert!(seen.unread[0].starts_with("not read as HTTP/3: "), "{:?}", seen.unread);
    }

    #[test]
    fn what_is_kept_is_counted() {
        let mut session = Session::new();
        for stream in 0..500 {
            session.bytes(CLIENT, stream * 4, &REQUEST[..10]);
        }
        assert!(session.http3.kept() >= 500 * STREAM_SIZE);
        assert_eq!(session.tools.http_messages.total(), 500);
        for stream in 0..500 {
            session.bytes(CLIENT, stream * 4, &REQUEST[10..]);
            session.event(CLIENT, stream * 4, StreamEvent::End);
        }
        assert_eq!((session.http3.kept(), session.http3.sides[CLIENT].places), (0, 0));
        assert_eq!(session.tools.http_messages.total(), 0);
        assert_eq!(session.finish().messages.len(), 500);
    }
}
