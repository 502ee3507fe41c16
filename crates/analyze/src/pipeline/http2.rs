//! Turns the HTTP/2 messages of one stream into facts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use dissect::coding::Coding;
use dissect::flow::{Direction, PerDirection};
use dissect::http2::hpack::{Origin, Part};
use dissect::http2::{Connection, Event, Flags, Frame, FrameType, Head, MessageKind, Outcome};
use dissect::websocket::Extensions;

use super::body::{Body, Carriage};
use super::budget::Share;
use super::fact::{Bytes, Fact, HeadFact, MessageFact, Observer, Sequence, Spoken, Unexplained};
use super::http_fields::{known, short_value, target};
use super::http2_tunnel::{HTTP2, MAX_TUNNELS, Purpose, Tunnel};
use super::parts::Content;
use super::protocol::{Context, Handover, Reader};
use super::provenance::{HttpStream, Source, Whole, locate_all};

/// The name of joining a body from several DATA frames (RFC 9113 §6.1) in decode chains.
const FRAMES: &str = "frames";

/// The name of header compression (RFC 7541) in decode chains.
const HPACK: &str = "hpack";

/// Maximum number of contiguous parts that are remembered of one message, to name its frames. Frames of other messages
/// between later parts are named with it.
const MAX_PARTS: usize = 256;

/// Bytes kept of all open messages of a connection together: bodies in content codings, and JSON. The largest coded body
/// that is read on its own takes half.
pub(crate) const MAX_KEPT: usize = 32 << 20;

/// Open messages of all connections together, of HTTP/3 too, each of a kilobyte with its body: a frame of 12 bytes
/// opens one. Beyond it, a message that begins ends the oldest one of its connection.
pub(crate) const MAX_OPEN_TOTAL: usize = 32_768;

/// Connections inside of streams, of all connections together, each of 3 KiB beside what its reader counts.
pub(crate) const MAX_TUNNELS_TOTAL: usize = 4096;

/// Longest `Sec-WebSocket-Extensions` of a header block, all its values together. Real ones have some hundred bytes.
const MAX_EXTENSIONS: usize = 1024;

/// Both directions of one HTTP/2 connection. `R` reads what is inside of tunnels.
#[derive(Debug)]
pub(crate) struct Http2<O: Observer, R> {
    connection: Connection,
    sides: PerDirection<Side<O>>,
    /// The connections inside of open streams.
    tunnels: BTreeMap<u32, Tunnel<O, R>>,
    /// Bytes kept of all open messages.
    kept: usize,
}

#[derive(Debug)]
struct Side<O: Observer> {
    has_begun: bool,
    /// The current frame.
    frame: Option<Frame>,
    /// Offset of the first frame, and the number of bytes of frames that are no body.
    framing: Option<(u64, u64)>,
    messages: BTreeMap<u32, Message<O>>,
    /// Where each open message begins, with its stream.
    starts: BTreeSet<(u64, u32)>,
}

impl<O: Observer> Default for Side<O> {
    fn default() -> Self {
        let (messages, starts) = (BTreeMap::new(), BTreeSet::new());
        Self { has_begun: false, frame: None, framing: None, messages, starts }
    }
}

/// A message that has begun and not ended.
#[derive(Debug)]
struct Message<O: Observer> {
    stream: u32,
    /// Its frames, in contiguous parts.
    parts: Vec<Range<u64>>,
    method: String,
    target: String,
    status: u16,
    content_type: String,
    content: Content,
    codings: Vec<Coding>,
    body: Option<Box<Body<O>>>,
    /// Offsets of the first byte of the body, and of the byte behind its last one.
    body_range: Range<u64>,
    /// Its part of the open messages of all connections.
    _share: Share,
}

impl<O: Observer, R: Reader<O> + Default> Http2<O, R> {
    /// Starts at the beginning of a connection, or at an unknown place of it (`is_joined`).
    pub(crate) fn new(is_joined: bool) -> Self {
        let start = PerDirection::default();
        let connection = if is_joined { Connection::joined(start) } else { Connection::new(start) };
        let sides = PerDirection::from_fn(|_| Side::default());
        Self { connection, sides, tunnels: BTreeMap::new(), kept: 0 }
    }

    /// Starts behind a switch from HTTP/1.1, in which the client has said that it accepts frames of this length.
    pub(crate) fn upgraded(max_frame: u32) -> Self {
        let mut http2 = Self::new(false);
        http2.connection.accept_frames(Direction::ClientToServer, max_frame);
        http2
    }

    fn read(&mut self, direction: Direction, bytes: &[u8], source: &dyn Source, cx: &mut Context<'_, O>) {
        let mut rest = bytes;
        loop {
            let step = self.connection.step(direction, rest);
            rest = rest.get(step.consumed..).unwrap_or_default();
            let side = &mut self.sides[direction];
            let offset = step.offset;
            match step.event {
                Event::NeedMore => return,
                Event::Frame(frame) => {
                    side.frame = Some(frame);
                    let range = frame.range();
                    let of_body = if frame.frame_type == FrameType::DATA { frame.len } else { 0 };
                    let framing = side.framing.get_or_insert((range.start, 0));
                    framing.1 += range.end - range.start - u64::from(of_body);
                    if frame.frame_type == FrameType::DATA
                        && let Some(message) = side.messages.get_mut(&frame.stream)
                    {
                        message.extend(range);
                    }
                }
                Event::Control(..) => {}
                Event::Head => {
                    self.head(direction, source, cx);
                    let stream = self.connection.head(direction).stream;
                    self.end_oldest(direction, stream, cx);
                }
                Event::Headless { stream } => {
                    let start = side.frame.map_or(offset, |frame| frame.at);
                    side.begin(Message::new(stream, start..offset, cx));
                    start_message(direction, start, None, source, cx);
                    self.end_oldest(direction, stream, cx);
                }
                Event::Data { stream, bytes } => {
                    let frame = side.frame;
                    if let Some(message) = side.messages.get_mut(&stream) {
                        let before = message.kept();
                        message.push(direction, offset, bytes, frame, source, cx);
                        self.kept = (self.kept + message.kept()).saturating_sub(before);
                        if self.kept > MAX_KEPT
                            && let Some(body) = &mut message.body
                        {
                            self.kept = self.kept.saturating_sub(body.kept());
                            body.keep_nothing();
                        }
                    }
                    if let Some(tunnel) = self.tunnels.get_mut(&stream) {
                        tunnel.push(direction, offset, bytes, source, cx);
                    }
                }
                Event::End { stream, outcome } => {
                    if let Some(message) = side.end(stream) {
                        self.kept = self.kept.saturating_sub(message.kept());
                        message.finish(direction, outcome == Outcome::Complete, source, cx);
                    }
                    if self.tunnels.get_mut(&stream).is_some_and(|tunnel| tunnel.end(direction)) {
                        self.end_tunnel(stream, source, cx);
                    }
                }
                Event::Ignored(bytes, what) => {
                    cx.unexplained(direction, offset, bytes, Unexplained::IgnoredByHttp2(what), source);
                }
                Event::Opaque(bytes, why) => {
                    if side.frame.take().is_some() {
                        self.kept += side.lost(cx.observer);
                        lose(&mut self.tunnels, direction, source, cx);
                    }
                    cx.unexplained(direction, offset, bytes, Unexplained::NotHttp2(why), source);
                }
            }
        }
    }

    /// Ends the oldest message but that on `stream`, if too many are open in all connections.
    fn end_oldest(&mut self, direction: Direction, stream: u32, cx: &Context<'_, O>) {
        if cx.tools.http_messages.total() > MAX_OPEN_TOTAL {
            self.connection.end_oldest(direction, stream);
        }
    }

    fn head(&mut self, direction: Direction, source: &dyn Source, cx: &mut Context<'_, O>) {
        let head = self.connection.head(direction);
        let range = head.frames.clone();
        let side = &mut self.sides[direction];
        match side.messages.get_mut(&head.stream) {
            Some(message) if head.kind == MessageKind::Trailers => message.extend(range.clone()),
            _ => {
                start_message(direction, range.start, Some(head), source, cx);
                side.begin(Message::of(head, cx));
            }
        }
        let mut unread = |why| cx.report(direction, range.start, range.end - range.start, why, source);
        if let Some((why, _)) = head.decoded.error {
            unread(Unexplained::HeaderBlock(why));
        }
        if head.decoded.left_out > 0 {
            unread(Unexplained::HeaderFields);
        }
        if head.has_unknown() {
            unread(Unexplained::UnseenFields);
        }
        let change = TunnelChange::of(head, &self.tunnels);
        for field in &head.fields {
            for part in [&field.name, &field.value] {
                search(head, part, direction, source, cx);
            }
        }
        if head.kind == MessageKind::Request && !source.needs_secret() {
            let host = [":authority", "host"].into_iter().find_map(|name| short_value(&head.fields, name));
            cx.ask(host.as_deref().map(str::as_bytes));
        }
        if cx.tools.needs.json {
            report_head(head, direction, source, cx);
        }
        let stream = head.stream;
        match change {
            None => {}
            Some(TunnelChange::Asks(_))
                if self.tunnels.len() >= MAX_TUNNELS
                    || cx.tools.http2_tunnels.total() >= MAX_TUNNELS_TOTAL =>
            {
                cx.report(
                    direction,
                    range.start,
                    range.end - range.start,
                    Unexplained::TooManyTunnels,
                    source,
                );
            }
            Some(TunnelChange::Asks(purpose)) => {
                self.end_tunnel(stream, source, cx);
                self.tunnels.insert(stream, Tunnel::new(stream, purpose, cx.tools.http2_tunnels.share(1)));
            }
            Some(TunnelChange::Accepts(extensions)) => {
                if let Some(tunnel) = self.tunnels.get_mut(&stream) {
                    tunnel.accept(extensions);
                }
            }
            Some(TunnelChange::Refuses) => self.end_tunnel(stream, source, cx),
        }
    }

    fn end_tunnel(&mut self, stream: u32, source: &dyn Source, cx: &mut Context<'_, O>) {
        if let Some(tunnel) = self.tunnels.remove(&stream) {
            tunnel.finish(source, cx);
        }
    }
}

/// Bytes of any stream may be missing here.
fn lose<O: Observer, R: Reader<O> + Default>(
    tunnels: &mut BTreeMap<u32, Tunnel<O, R>>,
    direction: Direction,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) {
    tunnels.values_mut().for_each(|tunnel| tunnel.gap(direction, 0, source, cx));
}

/// What a head changes about the connection inside of its stream (RFC 9113 §8.5, RFC 8441 §4).
enum TunnelChange {
    Asks(Purpose),
    Accepts(Extensions),
    Refuses,
}

impl TunnelChange {
    fn of<O: Observer, R>(head: &Head, tunnels: &BTreeMap<u32, Tunnel<O, R>>) -> Option<Self> {
        match head.kind {
            MessageKind::Request => {
                let is = |name, value: &[u8]| head.value(name).is_some_and(|found| found == value);
                let purpose = if is(":protocol", b"websocket") { Purpose::WebSocket } else { Purpose::Any };
                is(":method", b"CONNECT").then_some(Self::Asks(purpose))
            }
            MessageKind::Response if !tunnels.contains_key(&head.stream) => None,
            MessageKind::Response if matches!(head.status(), 200..300) => {
                Some(Self::Accepts(extensions(head)))
            }
            MessageKind::Response => Some(Self::Refuses),
            _ => None,
        }
    }
}

/// The extensions that a response accepts; none if there are more of them than real servers send.
fn extensions(head: &Head) -> Extensions {
    let values = || head.values("sec-websocket-extensions");
    if values().map(<[u8]>::len).sum::<usize>() > MAX_EXTENSIONS {
        return Extensions::default();
    }
    Extensions::accepted(&values().collect::<Vec<_>>().join(&b','))
}

impl<O: Observer, R: Reader<O> + Default> Reader<O> for Http2<O, R> {
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        if !std::mem::replace(&mut self.sides[direction].has_begun, true) {
            self.connection.begin_at(direction, offset);
        }
        self.read(direction, bytes, source, cx);
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
        let side = &mut self.sides[direction];
        if !std::mem::replace(&mut side.has_begun, true) {
            self.connection.begin_at(direction, offset);
        }
        self.connection.gap(direction, len);
        if self.connection.is_searching(direction) {
            self.kept += side.lost(cx.observer);
            lose(&mut self.tunnels, direction, source, cx);
        } else if let Some(frame) = side.frame.filter(|frame| frame.frame_type == FrameType::DATA)
            && let Some(Message { body: Some(body), .. }) = side.messages.get_mut(&frame.stream)
        {
            let before = body.kept();
            body.gap(len, cx.observer);
            self.kept += body.kept().saturating_sub(before);
            if let Some(tunnel) = self.tunnels.get_mut(&frame.stream) {
                tunnel.gap(direction, len, source, cx);
            }
        }
        self.read(direction, &[], source, cx);
    }

    fn finish(mut self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken {
        for direction in Direction::BOTH {
            let held = self.connection.held_back(direction) as u64;
            if held > 0 {
                let at = self.connection.pending_from(direction);
                cx.report(direction, at, held, Unexplained::Unfinished, source);
            }
            self.connection.finish(direction);
            self.read(direction, &[], source, cx);
            if let Some((at, bytes)) = self.sides[direction].framing {
                cx.report(direction, at, bytes, Unexplained::Http2Framing, source);
            }
        }
        while let Some(stream) = self.tunnels.keys().next().copied() {
            self.end_tunnel(stream, source, cx);
        }
        Spoken::Messages
    }

    fn kept_bytes(&self) -> usize {
        self.connection.kept_bytes() + self.tunnels.values().map(Tunnel::kept_bytes).sum::<usize>()
    }

    fn keep_from(&self, direction: Direction, _observer: &O) -> u64 {
        let first = self.sides[direction].starts.first().map_or(u64::MAX, |(start, _)| *start);
        if self.sides[direction].has_begun {
            first.min(self.connection.pending_from(direction))
        } else {
            first
        }
    }
}

impl<O: Observer> Side<O> {
    fn begin(&mut self, message: Message<O>) {
        self.end(message.stream);
        self.starts.insert((message.start(), message.stream));
        self.messages.insert(message.stream, message);
    }

    /// Bytes of any message may be missing here, so no match may cross it. The number of bytes that are kept because of it.
    fn lost(&mut self, observer: &mut O) -> usize {
        let mut kept = 0;
        for body in self.messages.values_mut().filter_map(|message| message.body.as_mut()) {
            let before = body.kept();
            body.gap(0, observer);
            kept += body.kept().saturating_sub(before);
        }
        kept
    }

    fn end(&mut self, stream: u32) -> Option<Message<O>> {
        let message = self.messages.remove(&stream)?;
        self.starts.remove(&(message.start(), stream));
        Some(message)
    }
}

impl<O: Observer> Message<O> {
    /// A message without head.
    fn new(stream: u32, part: Range<u64>, cx: &Context<'_, O>) -> Self {
        let body_range = part.end..part.end;
        Self {
            stream,
            parts: vec![part],
            method: String::new(),
            target: String::new(),
            status: 0,
            content_type: String::new(),
            content: Content::Other,
            codings: Vec::new(),
            body: None,
            body_range,
            _share: cx.tools.http_messages.share(1),
        }
    }

    fn of(head: &Head, cx: &Context<'_, O>) -> Self {
        let text = |name| short_value(&head.fields, name).unwrap_or_default().into_owned();
        let content_type = text("content-type");
        Self {
            method: text(":method"),
            target: target(&head.fields).into_owned(),
            status: head.status(),
            content: Content::of(&content_type).with_encoding(head.value("grpc-encoding")),
            content_type,
            codings: head.codings(),
            ..Self::new(head.stream, head.frames.clone(), cx)
        }
    }

    fn start(&self) -> u64 {
        self.parts.first().map_or(0, |part| part.start)
    }

    fn end(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.end)
    }

    fn kept(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.kept())
    }

    /// Adds a frame.
    fn extend(&mut self, frame: Range<u64>) {
        let is_full = self.parts.len() >= MAX_PARTS;
        match self.parts.last_mut() {
            Some(last) if last.end >= frame.start || is_full => last.end = last.end.max(frame.end),
            _ => self.parts.push(frame),
        }
    }

    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        frame: Option<Frame>,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        let is_first = self.body.is_none();
        let body = self.body.get_or_insert_with(|| {
            self.body_range = offset..offset;
            let carriage = match frame {
                Some(frame) if frame.flags.has(Flags::END_STREAM) && !frame.flags.has(Flags::PADDED) => {
                    Carriage::AsIs(Some(u64::from(frame.len)))
                }
                _ => Carriage::InPieces(FRAMES),
            };
            let body = Body::new(offset, HTTP2, carriage, &self.codings, self.content, cx.tools);
            Box::new(body.of_http_stream(HttpStream::Http2(self.stream)))
        });
        let new_piece = is_first || offset != self.body_range.end;
        body.push(direction, offset, bytes, new_piece, source, cx);
        self.body_range.end = offset + bytes.len() as u64;
    }

    fn finish(mut self, direction: Direction, is_whole: bool, source: &dyn Source, cx: &mut Context<'_, O>) {
        // The last frame of a capture may be longer than what was captured of it.
        let captured = self.body_range.end.max(self.parts.first().map_or(0, |part| part.end));
        if let Some(last) = self.parts.last_mut().filter(|_| !is_whole) {
            last.end = last.end.min(captured).max(last.start);
        }
        let end = self.end();
        let body = self.body.take().unwrap_or_else(|| {
            let empty = Carriage::AsIs(Some(0));
            Box::new(Body::new(self.body_range.start, HTTP2, empty, &[], self.content, cx.tools))
        });
        let body = body.finish(direction, self.body_range.end, is_whole, source, cx);
        if let Some((why, bytes)) = &body.unread {
            cx.report(direction, body.start, *bytes, why.clone(), source);
        }
        let one_frame = if body.len == 0 { self.start()..end } else { self.body_range.clone() };
        cx.observer.observe(&Fact::Message(&MessageFact {
            location: locate_all(&self.parts, direction, source),
            http_stream: Some(HttpStream::Http2(self.stream)),
            last_frame: source.frame_before(direction, end),
            method: &self.method,
            target: &self.target,
            status: self.status,
            content_type: &self.content_type,
            body_bytes: body.len,
            body_sha256: body.sha256,
            json: body.json.as_deref(),
            is_complete: is_whole && body.unread.is_none(),
            is_in_one_frame: source.is_in_one_frame(direction, one_frame),
            is_encoded: body.is_encoded,
            needs_secret: source.needs_secret(),
            chain: body.chain,
        }));
    }
}

/// Reports the known fields of a header block.
fn report_head<O: Observer>(head: &Head, direction: Direction, source: &dyn Source, cx: &mut Context<'_, O>) {
    let target = match head.kind {
        MessageKind::Request | MessageKind::Pushed => target(&head.fields),
        _ => Cow::Borrowed(""),
    };
    cx.observer.observe(&Fact::Head(&HeadFact {
        location: source.locate(direction, head.frames.clone()),
        target: &target,
        fields: &known(&head.fields),
        is_in_one_frame: source.is_in_one_frame(direction, head.frames.clone()),
        is_encoded: true,
        needs_secret: source.needs_secret(),
        chain: source.chain().then(HTTP2).then(HPACK),
    }));
}

/// Reports that a message begins.
fn start_message<O: Observer>(
    direction: Direction,
    start: u64,
    head: Option<&Head>,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) {
    let is_final_answer = head.is_some_and(|head| head.kind == MessageKind::Response);
    cx.start_message(source.visible_frame(direction, start), None, &StartLine(head), is_final_answer);
}

/// Searches a name or value that the layer below does not contain as it is: Huffman-coded, or divided by framing. What comes
/// from a table was searched when it was inserted.
fn search<O: Observer>(
    head: &Head,
    part: &Part,
    direction: Direction,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) {
    let (range, is_contiguous) = head.locate(part);
    let is_coded = part.origin == Origin::Huffman || part.origin == Origin::Literal && !is_contiguous;
    if !is_coded || part.bytes().is_empty() {
        return;
    }
    let bytes = Bytes {
        bytes: part.bytes(),
        sequence: Sequence::Decoded,
        chain: source.chain().then(HTTP2).then(HPACK),
        needs_secret: source.needs_secret(),
    };
    cx.observer.bytes(&mut O::Memory::default(), &bytes, &Whole { source, direction, range });
}

/// Returns method and target of a request, or the status of an answer.
struct StartLine<'a>(Option<&'a Head>);

impl fmt::Display for StartLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(head) = self.0 else { return f.write_str("a body without head") };
        match (head.kind, head.status()) {
            (MessageKind::Request | MessageKind::Pushed, _) => {
                let method = short_value(&head.fields, ":method");
                write!(f, "{} {}", method.as_deref().unwrap_or("?"), target(&head.fields))
            }
            (MessageKind::Response | MessageKind::Interim, 0) => f.write_str("an unknown status"),
            (MessageKind::Response | MessageKind::Interim, status) => write!(f, "{status}"),
            (MessageKind::Trailers, _) => f.write_str("trailers without head"),
            (MessageKind::Headless, _) => f.write_str("a message whose head is not read"),
        }
    }
}
