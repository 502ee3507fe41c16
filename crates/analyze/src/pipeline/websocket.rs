//! Turns the WebSocket messages of one stream into facts.

use std::fmt;

use dissect::flow::{Direction, PerDirection};
use dissect::message_deflate::Window;
use dissect::websocket::{DataFrame, Event, Extensions, Opcode, Parser};

use super::body::{Body, Carriage};
use super::fact::{Bytes, ControlFrame, Fact, MessageFact, Observer, Sequence, Spoken, Unexplained};
use super::parts::Content;
use super::protocol::{Context, Handover, Reader};
use super::provenance::{Source, Whole};

/// The name of a WebSocket message in decode chains.
const STEP: &str = "websocket";

/// The name of unmasking payload (RFC 6455 §5.3) in decode chains.
const MASK: &str = "mask";

/// The name of joining a message from several frames (RFC 6455 §5.4) in decode chains.
const FRAGMENTS: &str = "fragments";

/// Bytes that the windows of all WebSocket connections keep together: 2,048 connections that compress with context. The context
/// of a direction beyond it is forgotten, and a message that refers to it is unexplained.
pub(crate) const MAX_WINDOWS: usize = 64 << 20;

/// Length of the header of a control frame, by its sender: a client's has a masking key (RFC 6455 §5.2, §5.3).
const HEADER: PerDirection<u64> = PerDirection { client_to_server: 2 + 4, server_to_client: 2 };

/// Both directions of one WebSocket connection, from the end of its opening handshake on.
#[derive(Debug)]
pub(crate) struct WebSocket<O: Observer> {
    sides: PerDirection<Side<O>>,
}

#[derive(Debug)]
struct Side<O: Observer> {
    parser: Parser,
    /// Offset of the first byte that the parser has not received yet.
    next: u64,
    /// Offset at which the current message or frame begins.
    start: u64,
    message: Option<Box<Message<O>>>,
    /// What compressed messages can refer to.
    window: Window,
    /// Whether the sender keeps context from one compressed message to the next.
    keeps_context: bool,
}

/// A message of which frames are still to come.
#[derive(Debug)]
struct Message<O: Observer> {
    body: Body<O>,
    /// Whether a frame header separates the bytes so far from the next.
    new_piece: bool,
    is_compressed: bool,
}

impl<O: Observer> WebSocket<O> {
    /// At the end of the opening handshake, in which the server has accepted these extensions.
    pub(crate) fn new(extensions: Extensions) -> Self {
        let mut websocket = Self { sides: PerDirection::from_fn(Side::new) };
        websocket.accept(extensions);
        websocket
    }

    /// The server has accepted these extensions.
    pub(crate) fn accept(&mut self, extensions: Extensions) {
        for (direction, side) in self.sides.iter_mut() {
            side.parser.accept(extensions);
            side.keeps_context = extensions.deflate.is_some_and(|keeps| keeps[direction]);
        }
    }
}

impl<O: Observer> Side<O> {
    fn new(direction: Direction) -> Self {
        let (parser, window) = (Parser::new(direction), Window::default());
        Self { parser, next: 0, start: 0, message: None, window, keeps_context: false }
    }

    /// Ends a message whose last frame ends at `end`.
    fn end(
        &mut self,
        message: Message<O>,
        direction: Direction,
        end: u64,
        is_whole: bool,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        let Message { body, is_compressed, .. } = message;
        let range = self.start..end;
        let before = self.window.len();
        let body = body.finish_message(&mut self.window, direction, end, is_whole, source, cx);
        if !self.keeps_context {
            self.window.clear();
        }
        cx.tools.window_bytes = (cx.tools.window_bytes + self.window.len()).saturating_sub(before);
        if cx.tools.window_bytes > MAX_WINDOWS {
            self.forget(cx);
        }
        if let Some((why, bytes)) = &body.unread {
            cx.report(direction, body.start, *bytes, why.clone(), source);
        } else if is_compressed {
            let bytes = end.saturating_sub(body.start);
            cx.report(direction, body.start, bytes, Unexplained::CompressedWebSocket, source);
        }
        cx.observer.observe(&Fact::Message(&MessageFact {
            location: source.locate(direction, range.clone()),
            http_stream: source.http_stream(),
            last_frame: source.frame_before(direction, range.end),
            method: "",
            target: "",
            status: 0,
            content_type: "",
            body_bytes: body.len,
            body_sha256: body.sha256,
            json: body.json.as_deref(),
            is_complete: is_whole && body.unread.is_none(),
            is_in_one_frame: source.is_in_one_frame(direction, body.start..range.end),
            is_encoded: body.is_encoded,
            needs_secret: source.needs_secret(),
            chain: body.chain,
        }));
    }

    /// Forgets what compressed messages can refer to.
    fn forget(&mut self, cx: &mut Context<'_, O>) {
        cx.tools.window_bytes = cx.tools.window_bytes.saturating_sub(self.window.len());
        self.window.clear();
    }
}

impl<O: Observer> Reader<O> for WebSocket<O> {
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        let side = &mut self.sides[direction];
        side.next = offset;
        if side.message.is_none() && side.parser.held_back() == 0 {
            side.start = offset;
        }
        let mut rest = bytes;
        loop {
            let Side { parser, next, start, message, .. } = side;
            let before = *next;
            let step = parser.step(rest);
            *next += step.consumed as u64;
            rest = rest.get(step.consumed..).unwrap_or_default();
            match step.event {
                Event::NeedMore => return None,
                Event::Frame(frame) => match message {
                    Some(message) => message.new_piece = true,
                    None => *message = Some(begin(&frame, direction, *start, *next, source, cx)),
                },
                Event::Payload(payload) => {
                    if let Some(message) = message {
                        let new_piece = std::mem::take(&mut message.new_piece);
                        message.body.push(direction, before, payload, new_piece, source, cx);
                    }
                }
                Event::End { complete } => {
                    let end = *next;
                    if let Some(message) = message.take() {
                        side.end(*message, direction, end, complete, source, cx);
                    }
                    side.start = end;
                }
                Event::Control(_, payload) => {
                    let len = HEADER[direction] + payload.len() as u64;
                    let (needs_secret, range) = (source.needs_secret(), next.saturating_sub(len)..*next);
                    // Frames of HTTP/2 can divide it.
                    if let Some(stream) = cx.stream.filter(|_| source.http_stream().is_none()) {
                        let frame = ControlFrame { stream, direction, range, needs_secret };
                        cx.observer.observe(&Fact::ControlFrame(&frame));
                    }
                    if direction == Direction::ClientToServer {
                        control(payload, direction, before..*next, source, cx);
                    }
                    if message.is_none() {
                        *start = *next;
                    }
                }
                Event::Opaque(bytes, why) => {
                    *message = None;
                    *start = *next;
                    let at = *next - bytes.len() as u64;
                    cx.unexplained(direction, at, bytes, Unexplained::NotWebSocket(why), source);
                    return None;
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
        let side = &mut self.sides[direction];
        side.parser.gap(len);
        side.next += len;
        if let Some(message) = &mut side.message {
            message.body.gap(len, cx.observer);
        }
    }

    fn finish(self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken {
        for (direction, mut side) in self.sides {
            let held = side.parser.held_back() as u64;
            if held > 0 {
                cx.report(direction, side.next - held, held, Unexplained::Unfinished, source);
            }
            let end = side.next;
            if let Some(message) = side.message.take() {
                side.end(*message, direction, end, false, source, cx);
            }
            side.forget(cx);
        }
        Spoken::Messages
    }

    /// A header or a control frame; windows have a bound of their own.
    fn kept_bytes(&self) -> usize {
        0
    }

    fn keep_from(&self, direction: Direction, _observer: &O) -> u64 {
        self.sides[direction].start
    }
}

/// Begins a message, whose first frame begins at `start` and its payload at `payload`.
fn begin<O: Observer>(
    frame: &DataFrame,
    direction: Direction,
    start: u64,
    payload: u64,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) -> Box<Message<O>> {
    let is_answer = direction == Direction::ServerToClient;
    cx.start_message(source.visible_frame(direction, start), None, &StartLine(frame.opcode), is_answer);
    let carriage = match frame {
        DataFrame { is_masked: true, .. } => Carriage::Transformed(MASK),
        DataFrame { is_final: true, is_compressed: true, .. } => Carriage::AsIs(None),
        DataFrame { is_final: true, payload_len, .. } => Carriage::AsIs(Some(*payload_len)),
        _ => Carriage::InPieces(FRAGMENTS),
    };
    let content = if frame.opcode == Opcode::Text { Content::Json } else { Content::Other };
    let mut body = Body::new(payload, STEP, carriage, &[], content, cx.tools);
    if frame.is_compressed {
        body = body.compressed();
    }
    Box::new(Message { body, new_piece: true, is_compressed: frame.is_compressed })
}

/// Searches a masked control frame: up to 125 bytes of the sender's choice.
fn control<O: Observer>(
    payload: &[u8],
    direction: Direction,
    range: std::ops::Range<u64>,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) {
    let bytes = Bytes {
        bytes: payload,
        sequence: Sequence::Decoded,
        chain: source.chain().then(STEP).then(MASK),
        needs_secret: source.needs_secret(),
    };
    cx.observer.bytes(&mut O::Memory::default(), &bytes, &Whole { source, direction, range });
}

struct StartLine(Opcode);

impl fmt::Display for StartLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebSocket {}", self.0.name())
    }
}
